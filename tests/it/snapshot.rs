//! Snapshots: what they see, how long, and what ends them.

use std::cmp::Ordering;
use std::path::Path;

use finalite::{Connection, OpenOptions, ResultCode, handles};

fn open(path: &Path) -> Connection {
    let options = OpenOptions::new().pragma("journal_mode", "wal").pragma("wal_autocheckpoint", 0);
    let conn = options.open(path).unwrap();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a)").unwrap();
    conn
}

fn count(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM t", ()).unwrap()
}

#[test]
fn an_earlier_state_is_read_by_any_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (mut writer, mut reader) = (open(&path), open(&path));
    let mut snapshots = Vec::new();
    for rows in 1..=3 {
        writer.execute("INSERT INTO t VALUES (?)", (rows,)).unwrap();
        let tx = writer.transaction().unwrap();
        assert_eq!(count(&tx), rows);
        snapshots.push(tx.snapshot().unwrap());
    }
    let others = std::thread::spawn(move || snapshots).join().unwrap();
    for (rows, snapshot) in (1..).zip(&others) {
        let tx = reader.transaction_at(snapshot).unwrap();
        assert_eq!(count(&tx), rows);
        // One that is not the last cannot write.
        if rows < 3 {
            let error = tx.execute("INSERT INTO t VALUES (0)", ()).unwrap_err();
            assert_eq!(error.extended_code(), Some(ResultCode::BUSY_SNAPSHOT), "{error}");
        }
    }
    assert_eq!(count(&reader), 3);
    assert_eq!(others[0].compare_age(&others[1]), Ordering::Less);
    assert_eq!(others[2].compare_age(&others[1]), Ordering::Greater);
    assert_eq!(others[1].compare_age(&others[1]), Ordering::Equal);
    reader.recover_snapshots().unwrap();
}

#[test]
fn a_checkpoint_and_a_write_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = open(&dir.path().join("a.db"));
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let tx = conn.transaction().unwrap();
    count(&tx);
    let snapshot = tx.snapshot().unwrap();
    drop(tx);
    conn.query_one::<(i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)", ()).unwrap();
    conn.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    let error = conn.transaction_at(&snapshot).unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::ERROR_SNAPSHOT), "{error}");
    // Nothing is left open.
    assert!(conn.is_autocommit());
    assert_eq!(count(&conn), 2);
}

#[test]
fn there_is_none_without_a_reading_transaction_and_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = open(&dir.path().join("a.db"));
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_eq!(conn.snapshot().unwrap_err().code(), Some(ResultCode::ERROR));
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    assert!(tx.snapshot().is_err(), "a transaction that writes");
    drop(tx);
    let mut memory = Connection::open_in_memory().unwrap();
    memory.execute("CREATE TABLE t(a)", ()).unwrap();
    let tx = memory.transaction().unwrap();
    count(&tx);
    assert!(tx.snapshot().is_err(), "no log");
}

#[test]
fn it_is_counted_and_outlives_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = open(&dir.path().join("a.db"));
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let tx = conn.transaction().unwrap();
    count(&tx);
    let snapshot = tx.snapshot().unwrap();
    drop(tx);
    conn.close().unwrap();
    assert!(handles::counts().snapshots >= 1);
    assert!(format!("{snapshot:?}").contains("snapshot.rs"), "{snapshot:?}");
}

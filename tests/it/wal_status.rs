//! The state of a write-ahead log, and who holds it. The level of records is that of a debug build.

use std::path::Path;
use std::time::Duration;

use finalite::data::Access;
use finalite::handles::{HandleKind, Recording};
use finalite::{CheckpointMode, Connection, OpenOptions, ResultCode, WalStatus};

use crate::common::library;

fn open(path: &Path) -> Connection {
    OpenOptions::recommended().busy_timeout(Duration::ZERO).pragma("wal_autocheckpoint", 0).open(path).unwrap()
}

fn filled(path: &Path) -> Connection {
    let conn = open(path);
    conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'one'), (2, 'two')")
        .unwrap();
    conn
}

fn status(conn: &Connection) -> WalStatus {
    conn.wal_status().unwrap().unwrap()
}

#[test]
fn frames_and_bytes_are_those_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = filled(&path);
    let page_bytes = conn.pragma::<u64>("page_size").unwrap();
    let before = status(&conn);
    assert!(before.frames > 0 && before.pending_frames == before.frames);
    assert_eq!(before.bytes, 32 + u64::from(before.frames) * (24 + page_bytes));
    assert!(before.readers.is_empty(), "{:?}", before.readers);
    conn.checkpoint(CheckpointMode::Passive).unwrap();
    let after = status(&conn);
    assert_eq!((after.frames, after.pending_frames, after.bytes), (before.frames, 0, before.bytes));
    conn.checkpoint(CheckpointMode::Truncate).unwrap();
    assert_eq!((status(&conn).frames, status(&conn).bytes), (0, 0));
    // Another connection, which has read nothing yet, says the same; so does one in a transaction.
    conn.execute("INSERT INTO t VALUES (3, 'three')", ()).unwrap();
    assert_eq!(status(&open(&path)).frames, status(&conn).frames);
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (4, 'four')").unwrap();
    match library::reads_pages() {
        true => assert!(status(&conn).frames > 0),
        // As with a shared cache.
        false => assert_eq!(conn.wal_status().unwrap_err().code(), Some(ResultCode::LOCKED)),
    }
}

#[test]
fn without_a_log_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Connection::open_in_memory().unwrap().wal_status().unwrap().is_none());
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (1)").unwrap();
    assert!(conn.wal_status().unwrap().is_none());
}

#[test]
fn an_exclusive_connection_knows_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().pragma("locking_mode", "exclusive").pragma("journal_mode", "wal");
    let conn = options.open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    if finalite::sqlite::version_number() >= 3_051_000 {
        assert!(status(&conn).frames > 0);
    }
}

/// Each kind of handle, by the line that opened it.
#[test]
fn those_who_hold_it_are_listed() {
    let _recording = Recording::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = filled(&path);
    let (mut other, unrelated) = (open(&path), filled(&dir.path().join("b.db")));
    let line_of_statement = line!() + 1;
    let mut statement = other.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    let mut elsewhere = unrelated.prepare("SELECT a FROM t").unwrap();
    let mut rows_elsewhere = elsewhere.query(()).unwrap();
    rows_elsewhere.next().unwrap();
    let listed = status(&conn).readers;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0].opened_at.file(), listed[0].opened_at.line()), (file!(), line_of_statement));
    assert_eq!((listed[0].kind, listed[0].sql.as_deref()), (HandleKind::Statement, Some("SELECT a FROM t")));
    assert!(listed[0].running.is_some());
    drop(rows);
    drop(statement);
    assert!(status(&conn).readers.is_empty());

    let line_of_transaction = line!() + 1;
    let mut tx = other.transaction().unwrap();
    tx.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    let inner = tx.savepoint().unwrap();
    let listed = status(&conn).readers;
    assert_eq!(listed.len(), 1, "a savepoint within a transaction is a part of it: {listed:?}");
    assert_eq!((listed[0].kind, listed[0].opened_at.line()), (HandleKind::Transaction, line_of_transaction));
    drop(inner);
    tx.rollback().unwrap();

    let savepoint = other.savepoint().unwrap();
    assert_eq!(status(&conn).readers[0].kind, HandleKind::Savepoint);
    savepoint.rollback().unwrap();

    let blob = other.blob(("t", "a", 1), Access::ReadOnly).unwrap();
    assert_eq!(status(&conn).readers[0].kind, HandleKind::Blob);
    drop(blob);
    assert!(status(&conn).readers.is_empty());
}

#[test]
fn the_oldest_comes_first() {
    let _recording = Recording::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = filled(&path);
    let (first, second) = (open(&path), open(&path));
    let _older = first.unchecked_transaction().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let _newer = second.unchecked_transaction().unwrap();
    let lines: Vec<u32> = status(&conn).readers.iter().map(|reader| reader.opened_at.line()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0] < lines[1], "{lines:?}");
}

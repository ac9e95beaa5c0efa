//! Two connections on one file, in both journal modes.

use std::time::Duration;

use finalite::{Connection, OpenOptions, TransactionBehavior};

fn two(journal_mode: &str) -> (tempfile::TempDir, Connection, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().pragma("journal_mode", journal_mode).busy_timeout(Duration::ZERO);
    let path = dir.path().join("a.db");
    let first = options.open(&path).unwrap();
    first.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let second = options.open(&path).unwrap();
    (dir, first, second)
}

#[test]
fn a_reader_in_wal_mode_is_in_nobodys_way() {
    let (_dir, first, second) = two("wal");
    let mut statement = first.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert_eq!(second.execute("INSERT INTO t VALUES (2)", ()).unwrap(), 1);
    assert!(rows.next().unwrap().is_none(), "its snapshot is older");
}

#[test]
fn a_reader_in_rollback_mode_holds_the_writer_up_until_its_rows_are_dropped() {
    let (_dir, first, second) = two("delete");
    let mut statement = first.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert!(second.execute("INSERT INTO t VALUES (2)", ()).unwrap_err().is_busy());
    drop(rows);
    assert_eq!(second.execute("INSERT INTO t VALUES (2)", ()).unwrap(), 1);
}

#[test]
fn one_row_calls_hold_no_lock_when_they_return() {
    let (_dir, first, second) = two("delete");
    let calls: [(&str, &dyn Fn()); 6] = [
        ("query_one", &|| assert_eq!(first.query_one::<i64>("SELECT a FROM t LIMIT 1", ()).unwrap(), 1)),
        ("query_one, two rows", &|| drop(first.query_one::<i64>("SELECT 1 FROM t, t", ()))),
        ("query_optional", &|| assert!(first.query_optional::<i64>("SELECT a FROM t LIMIT 1", ()).unwrap().is_some())),
        ("query_row that fails", &|| drop(first.query_row("SELECT a FROM t", (), |row| row.get::<String>(0)))),
        ("query_all that fails", &|| drop(first.query_all::<String>("SELECT a FROM t", ()))),
        ("query_as, one taken", &|| {
            drop(first.prepare("SELECT a FROM t").unwrap().query_as::<i64>(()).unwrap().next());
        }),
    ];
    for (call, run) in calls {
        run();
        second.execute("INSERT INTO t VALUES (2)", ()).unwrap_or_else(|error| panic!("after {call}: {error}"));
    }
    // The control: rows that are left as they are.
    let mut statement = first.prepare("SELECT a FROM t LIMIT 1").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    std::mem::forget(rows);
    assert!(second.execute("INSERT INTO t VALUES (2)", ()).unwrap_err().is_busy());
}

#[test]
fn busy_kinds_are_told_apart() {
    let (_dir, mut first, mut second) = two("wal");
    let tx = first.transaction_with(TransactionBehavior::Immediate).unwrap();
    let error = second.transaction_with(TransactionBehavior::Immediate).map(drop).unwrap_err();
    assert!(error.is_busy() && !error.is_busy_snapshot(), "{error:?}");
    drop(tx);
    // A reader whose snapshot is old cannot become a writer, however long it waits.
    second.set_busy_timeout(Duration::from_secs(60)).unwrap();
    let tx = second.transaction().unwrap();
    assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    first.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    let error = tx.execute("INSERT INTO t VALUES (3)", ()).unwrap_err();
    assert!(error.is_busy_snapshot() && error.is_busy(), "{error:?}");
    drop(tx);
    // Within one connection it is LOCKED: a table cannot be dropped under a running statement.
    let mut statement = first.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    let error = first.execute("DROP TABLE t", ()).unwrap_err();
    assert!(error.is_locked() && !error.is_busy(), "{error:?}");
}

#[test]
fn the_busy_timeout_waits_for_the_other() {
    let (_dir, mut first, second) = two("delete");
    // The commit waits, too: the other holds a shared lock when it finds that it cannot write.
    first.set_busy_timeout(Duration::from_secs(60)).unwrap();
    second.set_busy_timeout(Duration::from_secs(60)).unwrap();
    let tx = first.transaction_with(TransactionBehavior::Immediate).unwrap();
    let (started, wait) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        started.send(()).unwrap();
        second.execute("INSERT INTO t VALUES (2)", ())
    });
    wait.recv().unwrap();
    tx.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    tx.commit().unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 1);
    assert_eq!(first.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 3);
}

#[test]
fn a_schema_change_by_another_connection_is_followed() {
    let (_dir, first, second) = two("wal");
    let mut statement = first.prepare("SELECT * FROM t").unwrap();
    assert_eq!(statement.query_one::<i64>(()).unwrap(), 1);
    second.execute_batch("ALTER TABLE t ADD COLUMN b DEFAULT 'new'").unwrap();
    assert_eq!(statement.query_one::<(i64, String)>(()).unwrap(), (1, "new".into()));
    second.execute_batch("DROP TABLE t").unwrap();
    let error = statement.query_one::<i64>(()).unwrap_err();
    assert!(error.to_string().contains("no such table: t"), "{error}");
}

#[test]
fn two_connections_count_to_the_same_number() {
    for journal_mode in ["wal", "delete"] {
        let (_dir, first, second) = two(journal_mode);
        std::thread::scope(|scope| {
            for mut conn in [first, second] {
                conn.set_busy_timeout(Duration::from_secs(60)).unwrap();
                scope.spawn(move || {
                    for _ in 0..50 {
                        let tx = conn.transaction_with(TransactionBehavior::Immediate).unwrap();
                        let a: i64 = tx.query_one("SELECT a FROM t", ()).unwrap();
                        tx.execute("UPDATE t SET a = ?", (a + 1,)).unwrap();
                        tx.commit().unwrap();
                    }
                });
            }
        });
        let conn = Connection::open(_dir.path().join("a.db")).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ()).unwrap(), 101, "{journal_mode}");
    }
}

/// To roll an outermost savepoint back takes no lock that a commit needs.
#[test]
fn a_savepoint_is_rolled_back_beside_a_reader() {
    let (_dir, first, mut second) = two("delete");
    let mut statement = first.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    let savepoint = second.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    savepoint.rollback().unwrap();
    let savepoint = second.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    drop(savepoint);
    let mut savepoint = second.savepoint().unwrap();
    std::mem::forget(savepoint.savepoint().unwrap());
    savepoint.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    // The control: a commit has to wait for the reader.
    assert!(savepoint.commit().unwrap_err().is_busy());
    assert!(second.is_autocommit());
    drop(rows);
    assert_eq!(second.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1]);
    first.execute("INSERT INTO t VALUES (3)", ()).unwrap();
}

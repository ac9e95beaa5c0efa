//! Into WAL mode and out of it: beside others, and where it cannot be had.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::common::system::{EACCES, without_shared_memory};
use finalite::pool::Pool;
use finalite::{Connection, Error, ErrorKind, JournalMode, OpenOptions};

/// What the switch waits for, if the test is right.
const LONG: Duration = Duration::from_secs(60);

/// Runs the switch while another connection is in a transaction, which ends long after SQLite has said that it is busy.
fn beside<T>(other: Connection, switch: impl FnOnce() -> Result<T, Error>) -> T {
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(100));
            other.execute("COMMIT", ()).unwrap();
        });
        switch().unwrap()
    })
}

/// A connection that writes, or reads, until it is told to end.
fn busy(path: &std::path::Path, sql: &str) -> Connection {
    let other = Connection::open(path).unwrap();
    other.execute_batch(sql).unwrap();
    other
}

const WRITES: &str = "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)";
const READS: &str = "BEGIN; SELECT * FROM t";

fn fill(mode: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = OpenOptions::new().pragma("journal_mode", mode).open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (0)").unwrap();
    (dir, path)
}

#[test]
fn a_switch_waits_for_others_in_both_directions() {
    for (before, after) in [("delete", "wal"), ("truncate", "wal"), ("wal", "delete"), ("wal", "memory")] {
        for sql in [WRITES, READS] {
            let (_dir, path) = fill(before);
            let conn = OpenOptions::new().busy_timeout(LONG).open(&path).unwrap();
            let other = busy(&path, sql);
            // SQLite itself waits for readers on the way into WAL mode, and for nobody else.
            if (sql, after) != (READS, "wal") {
                let error = conn.execute(&format!("PRAGMA journal_mode = {after}"), ()).unwrap_err();
                assert!(error.is_busy(), "the control: {error}");
            }
            beside(other, || conn.set_pragma("journal_mode", after));
            assert_eq!(conn.pragma::<String>("journal_mode").unwrap(), after, "{before}, {sql}");
            assert_eq!(conn.pragma::<i64>("busy_timeout").unwrap(), 60_000, "as it was");
        }
    }
}

#[test]
fn opening_waits_for_others() {
    for options in [
        OpenOptions::recommended(),
        OpenOptions::new().pragma("journal_mode", "wal"),
        OpenOptions::new().wal_if_possible(),
    ] {
        let (_dir, path) = fill("delete");
        let options = options.busy_timeout(LONG);
        let conn = beside(busy(&path, WRITES), || options.open(&path));
        assert_eq!(conn.journal_mode().unwrap(), JournalMode::Wal);
        let (_dir, path) = fill("delete");
        drop(beside(busy(&path, WRITES), || Pool::builder(&path).options(options).build()));
    }
}

#[test]
fn a_switch_waits_no_longer_than_the_timeout_says() {
    for (before, after) in [("delete", "wal"), ("wal", "delete")] {
        for timeout in [0, 30] {
            let (_dir, path) = fill(before);
            let other = busy(&path, WRITES);
            let conn = OpenOptions::new().busy_timeout(Duration::from_millis(timeout)).open(&path).unwrap();
            assert!(conn.set_pragma("journal_mode", after).unwrap_err().is_busy());
            assert_eq!(conn.pragma::<u64>("busy_timeout").unwrap(), timeout, "as it was");
            // In WAL mode it is enough that it is there.
            drop(other);
            conn.set_pragma("journal_mode", after).unwrap();
        }
    }
}

/// What is wrong otherwise is told at once, and not waited for.
#[test]
fn a_switch_within_a_transaction_is_an_error_at_once() {
    let (_dir, path) = fill("delete");
    let conn = OpenOptions::new().busy_timeout(LONG).open(&path).unwrap();
    conn.execute("BEGIN", ()).unwrap();
    let error = conn.set_pragma("journal_mode", "wal").unwrap_err();
    assert!(error.to_string().contains("from within a transaction"), "{error}");
}

#[test]
fn many_open_a_fresh_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..40 {
        let path = Arc::new(dir.path().join(format!("{round}.db")));
        let go = Arc::new(Barrier::new(16));
        let open = |_| {
            let (path, go) = (Arc::clone(&path), Arc::clone(&go));
            thread::spawn(move || {
                go.wait();
                let conn = OpenOptions::recommended().busy_timeout(LONG).open(&*path)?;
                conn.execute("CREATE TABLE IF NOT EXISTS t(a)", ())?;
                conn.execute("INSERT INTO t VALUES (1)", ())
            })
        };
        let all: Vec<_> = (0..16).map(open).collect();
        for one in all {
            one.join().unwrap().unwrap();
        }
        let conn = Connection::open(&*path).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 16);
    }
}

/// SQLite has written into the file that it has a log when it finds out that there can be none.
#[cfg(target_os = "linux")]
#[test]
fn wal_if_possible_takes_back_what_was_not() {
    let dir = tempfile::tempdir().unwrap();
    for is_filled in [false, true] {
        let path = dir.path().join(format!("{is_filled}.db"));
        if is_filled {
            Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        }
        without_shared_memory(EACCES, || {
            let error = OpenOptions::recommended().open(&path).unwrap_err();
            assert_eq!(error.code_name(), Some("SQLITE_CANTOPEN"), "the control");
            let read = Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM sqlite_schema", ());
            assert!(read.is_err(), "the control: now nobody here can read it");
            let conn = OpenOptions::recommended().wal_if_possible().open(&path).unwrap();
            assert_eq!(conn.journal_mode().unwrap(), JournalMode::Delete);
            let other = Connection::open(&path).unwrap();
            other.execute_batch("CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES (1)").unwrap();
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1 + i64::from(is_filled));
            assert_eq!(conn.pragma::<String>("locking_mode").unwrap(), "normal");
        });
    }
    // Where others have the log, it is theirs.
    let path = dir.path().join("others.db");
    let other = OpenOptions::recommended().open(&path).unwrap();
    other.execute("CREATE TABLE t(a)", ()).unwrap();
    let options = OpenOptions::recommended().wal_if_possible().busy_timeout(Duration::ZERO);
    assert_eq!(options.open(&path).unwrap().journal_mode().unwrap(), JournalMode::Wal);
}

/// A file system without shared memory.
#[cfg(unix)]
#[test]
fn wal_if_possible_says_which_mode_it_got() {
    let without = OpenOptions::recommended().vfs("unix-dotfile");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let error = without.clone().open(&path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Pragma { .. }), "the control: {error}");
    let conn = without.wal_if_possible().open(&path).unwrap();
    assert_eq!(conn.journal_mode().unwrap(), JournalMode::Delete);
    assert_eq!(conn.pragma::<i64>("synchronous").unwrap(), 2, "which WAL alone makes less of");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    conn.close().unwrap();

    let conn = OpenOptions::recommended().wal_if_possible().open(dir.path().join("b.db")).unwrap();
    assert_eq!((conn.journal_mode().unwrap(), conn.pragma::<i64>("synchronous").unwrap()), (JournalMode::Wal, 1));
    assert!(OpenOptions::new().wal_if_possible().open_in_memory().is_ok());
}

#[test]
fn every_journal_mode_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    for (word, mode) in [
        ("truncate", JournalMode::Truncate),
        ("persist", JournalMode::Persist),
        ("memory", JournalMode::Memory),
        ("off", JournalMode::Off),
        ("delete", JournalMode::Delete),
        ("wal", JournalMode::Wal),
    ] {
        conn.set_pragma("journal_mode", word).unwrap();
        assert_eq!(conn.journal_mode().unwrap(), mode);
    }
}

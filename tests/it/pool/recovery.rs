//! A database that a writer has left half-written: the readers see what was committed, and no error.

use std::process::{Command, Stdio};

use super::*;
use crate::common::system::{EIO, ENOSPC, with_failing_writes};

/// The database that a child process dies on.
const VICTIM: &str = "FINALITE_POOL_VICTIM";

/// A database in rollback mode.
fn rollback() -> OpenOptions {
    OpenOptions::new()
}

/// A pool on 100 rows, and a reader that has not read yet beside one that has.
fn fill(path: &Path, options: OpenOptions) -> Pool {
    let pool = Pool::builder(path).options(options).readers(2).build().unwrap();
    pool.write(|tx| {
        tx.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", ())?;
        tx.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO t SELECT i, hex(zeroblob(500)) FROM n", ())
    })
    .unwrap();
    let first = pool.reader().unwrap();
    assert_eq!(rows(&first), 100);
    drop(pool.reader().unwrap());
    drop(first);
    pool
}

fn fail_to_write(path: &Path) -> Error {
    let conn = Connection::open(path).unwrap();
    conn.execute("UPDATE t SET b = 'x'", ()).unwrap_err()
}

/// Whether a connection that reads only, and is of no pool, is refused.
fn is_unrecovered(path: &Path) -> bool {
    let conn = OpenOptions::new().read_only(true).open(path).unwrap();
    let read = conn.query_one::<i64>("SELECT count(*) FROM t", ());
    read.is_err_and(|error| error.code_name() == Some("SQLITE_READONLY_ROLLBACK"))
}

#[test]
fn readers_go_on_after_a_write_that_failed() -> Outcome {
    for (errno, code) in [(ENOSPC, "SQLITE_FULL"), (EIO, "SQLITE_IOERR_WRITE")] {
        for is_of_the_pool in [true, false] {
            for use_of in [prepare, step_cached, in_transaction, scan] {
                let dir = tempfile::tempdir()?;
                let path = dir.path().join("pool.db");
                let pool = fill(&path, rollback());
                let readers = [pool.reader()?, pool.reader()?];
                let error = with_failing_writes(errno, || match is_of_the_pool {
                    true => pool.write(|tx| tx.execute("UPDATE t SET b = 'x'", ())).unwrap_err(),
                    false => fail_to_write(&path),
                });
                assert_eq!(error.code_name(), Some(code));
                assert!(is_unrecovered(&path), "the control");
                for reader in &readers {
                    assert_eq!(use_of(reader)?, 100, "{code}");
                    assert_eq!(reader.is_readonly("main"), Some(true));
                }
                drop(readers);
                assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
                let changed = "SELECT count(*) FROM t WHERE b = 'x'";
                assert_eq!(pool.reader()?.query_one::<i64>(changed, ())?, 0, "nothing was stored");
                pool.write(|tx| tx.execute("UPDATE t SET b = 'x'", ()))?;
                assert_eq!(pool.reader()?.query_one::<i64>(changed, ())?, 100);
            }
        }
    }
    Ok(())
}

fn prepare(conn: &Connection) -> finalite::Result<i64> {
    conn.query_one("SELECT count(*) + 0 FROM t", ())
}

/// Prepared when all was well.
fn step_cached(conn: &Connection) -> finalite::Result<i64> {
    conn.query_one("SELECT count(*) FROM t", ())
}

fn in_transaction(conn: &Connection) -> finalite::Result<i64> {
    conn.execute("BEGIN", ())?;
    let count = conn.query_one("SELECT count(*) FROM t", ());
    conn.execute("COMMIT", ())?;
    count
}

fn scan(conn: &Connection) -> finalite::Result<i64> {
    let scan = conn.scan("SELECT a, b FROM t", ()).strategy(finalite::scan::ScanStrategy::Pages);
    Ok(i64::try_from(scan.batches(10, |_| Ok::<_, Error>(()))?).unwrap())
}

/// A connection that the pool opens only now.
#[test]
fn a_reader_is_opened_on_what_is_half_written() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("pool.db");
    drop(fill(&path, rollback()));
    let pool = Pool::builder(&path).options(rollback()).build()?;
    with_failing_writes(EIO, || fail_to_write(&path));
    assert!(is_unrecovered(&path), "the control");
    assert_eq!(rows(&*pool.reader()?), 100);
    Ok(())
}

/// What cannot be recovered is the error that it was.
#[test]
fn a_recovery_that_fails_leaves_the_error() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("pool.db");
    let pool = fill(&path, rollback());
    let reader = pool.reader()?;
    with_failing_writes(EIO, || {
        fail_to_write(&path);
        let error = reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap_err();
        assert_eq!(error.code_name(), Some("SQLITE_READONLY_ROLLBACK"));
    });
    assert_eq!(rows(&reader), 100, "and later it can");
    Ok(())
}

/// Who may not write does not: a pool that is to read only leaves the journal alone.
#[test]
fn a_pool_that_reads_only_recovers_nothing() -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("pool.db");
    drop(fill(&path, rollback()));
    let pool = Pool::builder(&path).options(rollback().read_only(true)).build()?;
    let reader = pool.reader()?;
    with_failing_writes(EIO, || fail_to_write(&path));
    let error = reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap_err();
    assert_eq!(error.code_name(), Some("SQLITE_READONLY_ROLLBACK"));
    assert!(is_unrecovered(&path));
    Ok(())
}

/// Dies in a transaction whose changes are in the file, when the test below asks for it.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else {
        return;
    };
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE t SET b = hex(zeroblob(400))").unwrap();
    std::process::abort();
}

#[test]
fn readers_go_on_after_a_process_died_in_a_transaction() -> Outcome {
    for (options, is_rollback) in [(rollback(), true), (OpenOptions::recommended(), false)] {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("pool.db");
        let pool = fill(&path, options);
        let status = Command::new(std::env::current_exe()?)
            .args(["--exact", "pool::recovery::victim", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        assert!(!status.success());
        assert_eq!(is_unrecovered(&path), is_rollback, "the control");
        thread::scope(|scope| {
            let pool = &pool;
            for _ in 0..4 {
                scope.spawn(move || assert!(pool.try_reader().unwrap().is_none_or(|reader| rows(&reader) == 100)));
            }
        });
        let unchanged = "SELECT count(*) FROM t WHERE length(b) = 1000";
        assert_eq!(pool.reader()?.query_one::<i64>(unchanged, ())?, 100);
        assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    }
    Ok(())
}

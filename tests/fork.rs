//! A child process that inherits a connection through `fork` can do nothing with it, and nothing to it by dropping it.
#![cfg(unix)]

mod child;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use child::{fork_here, in_child, leave};
use finalite::pool::{Checkpointer, Pool};
use finalite::scan::ScanPath;
use finalite::{Connection, Error, ErrorKind, OpenOptions, endpoint, ffi, stats};

/// A connection in the middle of a transaction whose journal is on disk.
fn in_transaction(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a); BEGIN IMMEDIATE; INSERT INTO t VALUES ('from the parent')")
        .unwrap();
    conn
}

#[test]
fn a_forked_connection_is_refused_and_dropping_it_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let journal = dir.path().join("a.db-journal");
    let conn = in_transaction(&path);
    assert!(journal.exists());
    let handle = conn.interrupt_handle();
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();

    let forked = |error: finalite::Error| matches!(error.kind(), ErrorKind::Forked);
    assert!(in_child(|| {
        forked(conn.execute("INSERT INTO t VALUES ('from the child')", ()).unwrap_err())
            && forked(conn.prepare("SELECT 1").unwrap_err())
            && forked(conn.execute_batch("COMMIT").unwrap_err())
            && forked(conn.set_busy_timeout(std::time::Duration::ZERO).unwrap_err())
            && forked(rows.next().map(drop).unwrap_err())
            && !handle.interrupt()
            && !conn.interrupt_handle().interrupt()
            && !conn.is_autocommit()
    }));
    drop(rows);
    drop(statement);

    // The whole connection dropped in the child, with its cache, statements and rows.
    let mut conn = Some(conn);
    assert!(in_child(|| {
        let conn = conn.take().unwrap();
        let mut statement = conn.prepare_cached("SELECT * FROM t");
        drop(statement.as_mut().map(|statement| statement.query(()).is_err()));
        drop(statement);
        conn.close().is_ok()
    }));
    let conn = conn.unwrap();
    assert!(journal.exists(), "the parent's journal is still there");
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    conn.execute("COMMIT", ()).unwrap();
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");

    // A handle that is first made in the child reaches nothing either.
    let fresh = Connection::open(&path).unwrap();
    assert!(in_child(|| !fresh.interrupt_handle().interrupt()));
    drop(fresh);

    // A child opens its own.
    assert!(in_child(|| {
        let conn = Connection::open(&path).unwrap();
        conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap() == 1
    }));
    the_guards_of_a_forked_connection_do_nothing_in_drop(&path);
    a_child_begins_its_own_books(&path);
    what_has_a_thread_is_dropped_by_a_child();
    a_pool_in_use_does_not_hold_a_child();
    a_scan_goes_on_in_the_parent_alone();
    the_control(&path, &journal);
}

/// Forked by the closure of a scan, whose threads stay behind in the parent.
fn a_scan_goes_on_in_the_parent_alone() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO t SELECT 'row ' || i FROM n;",
    )
    .unwrap();
    for threads in [1, 2, 4] {
        for at in [1, 50, 150] {
            let (mut batches, mut child, mut is_child) = (0, None, false);
            let scanned = conn.scan("SELECT a FROM t", ()).path(ScanPath::Pages).threads(threads).batches(1000, |_| {
                batches += 1;
                if batches == at {
                    child = fork_here();
                    is_child = child.is_none();
                }
                Ok::<_, Error>(())
            });
            if is_child {
                leave(scanned.is_err_and(|error| matches!(error.kind(), ErrorKind::Forked)));
            }
            assert_eq!(scanned.unwrap(), 300_000);
            assert!(child.unwrap().wait(), "{threads} threads, batch {at}");
        }
    }
}

fn the_guards_of_a_forked_connection_do_nothing_in_drop(path: &Path) {
    let mut conn = OpenOptions::new().open(path).unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES ('kept')", ()).unwrap();
    let mut savepoint = Some(savepoint);
    assert!(in_child(|| {
        drop(savepoint.take());
        true
    }));
    savepoint.unwrap().commit().unwrap();
    let mut tx = Some(tx);
    assert!(in_child(|| {
        drop(tx.take());
        true
    }));
    tx.unwrap().commit().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE a = 'kept'", ()).unwrap(), 1);
}

/// What connections of a child count never goes back, though its threads open and close them all the time.
fn a_child_begins_its_own_books(path: &Path) {
    let _inherited = OpenOptions::new().name("inherited").open(path).unwrap();
    assert!(stats::snapshot().connections.iter().any(|conn| conn.name.as_deref() == Some("inherited")));
    assert!(in_child(|| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let conn = Connection::open(path).unwrap();
                        conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
                    }
                });
            }
            let mut hits = 0;
            for _ in 0..200 {
                let now = stats::snapshot();
                assert!(now.caches.pager_hits >= hits, "{} after {hits}", now.caches.pager_hits);
                assert!(now.connections.len() <= 3);
                assert!(now.closed.connections <= now.opened.connections);
                hits = now.caches.pager_hits;
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(hits > 0);
        });
        stats::snapshot().connections.is_empty()
    }));
}

fn what_has_a_thread_is_dropped_by_a_child() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Arc::new(Pool::builder(dir.path().join("a.db")).build().unwrap());
    let mut endpoint = Some(endpoint::serve("127.0.0.1:0").unwrap());
    let mut checkpointer = Some(Checkpointer::start(&pool, Duration::from_secs(3600)).unwrap());
    assert_eq!(stats::snapshot().process.background_threads, 2);
    assert!(in_child(|| {
        drop(endpoint.take());
        drop(checkpointer.take());
        stats::snapshot().process.background_threads == 0
    }));
    drop(endpoint);
    drop(checkpointer);
    assert_eq!(stats::snapshot().process.background_threads, 0);
}

/// Whatever lock was held at the moment of the fork, the child waits for none of them.
fn a_pool_in_use_does_not_hold_a_child() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::builder(dir.path().join("a.db")).readers(2).build().unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(pool.reader().unwrap());
                }
            });
        }
        for _ in 0..20 {
            assert!(in_child(|| {
                let refused = pool.reader().map(drop).unwrap_err();
                matches!(refused.kind(), ErrorKind::Forked) && stats::snapshot().pools.is_empty()
            }));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A driver whose Drop closes in the child as well: the parent's transaction is rolled back on disk, behind its back.
fn the_control(path: &Path, journal: &Path) {
    let conn = in_transaction(path);
    assert!(journal.exists());
    in_child(|| {
        // SAFETY: the child uses the connection alone; what it does to the parent is the point.
        unsafe { ffi::sqlite3_close(conn.as_raw()) == ffi::SQLITE_OK }
    });
    assert!(!journal.exists(), "the child took the parent's journal away");
    conn.execute("ROLLBACK", ()).ok();
}

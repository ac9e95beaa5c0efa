//! What partitions leave behind in the process: no thread, no descriptor, no lock, no handle, no memory.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use finalite::memory::AllocationFault;
use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, LeakCheck, OpenOptions, Result, Row, handles, memory};

use crate::common::child::{fork_here, leave};
use crate::runner::cases;

cases![
    nothing_is_left_behind,
    nothing_is_left_behind_by_errors_and_panics,
    the_counts_see_what_is_left,
    allocations_fail,
    a_closure_forks_a_child,
    the_child_of_a_fork_has_no_partitions,
];

const ROWS: i64 = 4_000;
const SQL: &str = "SELECT id, a FROM t WHERE id BETWEEN :first_rowid AND :last_rowid";

fn fill(path: &Path, journal: &str) -> Connection {
    let conn = OpenOptions::new().lookaside(0, 0).open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = {journal};
         CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO t SELECT i, 'text ' || i FROM n;"
    ))
    .unwrap();
    conn
}

const STRATEGIES: [ScanStrategy; 2] = [ScanStrategy::Statement, ScanStrategy::Pages];

fn count(
    conn: &Connection,
    (strategy, threads): (ScanStrategy, usize),
    step: impl Fn(Row<'_>) -> Result<()> + Sync,
) -> Result<i64> {
    let add = |rows: &mut i64, row: Row<'_>| {
        *rows += 1;
        step(row)
    };
    let mut plan = None;
    let partitions = conn.scan(SQL, ()).strategy(strategy).partitions_of("t", threads).on_end(|end| plan = Some(end));
    let rows = partitions.fold(|| 0, add, |rows, more| *rows += more)?;
    assert!(plan.is_none_or(|plan| plan.strategy == strategy || plan.threads == 1));
    Ok(rows)
}

/// Threads, descriptors and open handles of the process.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    threads: usize,
    descriptors: usize,
    handles: handles::HandleCounts,
}

impl Counts {
    fn now() -> Self {
        let entries = |path| fs::read_dir(path).unwrap().count();
        let mut handles = handles::counts();
        // The calling connection keeps its statements.
        handles.cached_statements = 0;
        Self { threads: entries("/proc/self/task"), descriptors: entries("/proc/self/fd"), handles }
    }

    /// Waits for the system's list of threads, which may be behind what is joined.
    fn settled(expected: &Self) -> Self {
        loop {
            let now = Self::now();
            if now.threads <= expected.threads {
                return now;
            }
            thread::yield_now();
        }
    }
}

fn nothing_is_left_behind() {
    STRATEGIES.into_iter().for_each(nothing_is_left_behind_by);
}

fn nothing_is_left_behind_by(strategy: ScanStrategy) {
    let dir = tempfile::tempdir().unwrap();
    let leaks = LeakCheck::new();
    for journal in ["wal", "delete"] {
        let path = dir.path().join(journal);
        let conn = fill(&path, journal);
        // While a connection has a lock, SQLite keeps the descriptors of those that are closed, and takes them again.
        assert_eq!(count(&conn, (strategy, 5), |_| Ok(())).unwrap(), ROWS);
        let before = Counts::now();
        for threads in 1..=5 {
            let most = AtomicU64::new(0);
            let see = |_: Row<'_>| {
                let connections = handles::counts().connections;
                most.fetch_max(connections, Ordering::Relaxed);
                Ok(())
            };
            assert_eq!(count(&conn, (strategy, threads), see).unwrap(), ROWS);
            assert_eq!(Counts::settled(&before), before, "{journal}, {threads} threads");
            let expected = if threads == 1 { 1 } else { 1 + threads as u64 };
            assert!(most.into_inner() <= expected);
        }
        // Another connection finds no lock.
        let other = OpenOptions::new().busy_timeout(std::time::Duration::ZERO).open(&path).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE; DELETE FROM t WHERE id = 1; ROLLBACK").unwrap();
        other.close().unwrap();
        conn.close().unwrap();
    }
    drop(leaks);
}

fn nothing_is_left_behind_by_errors_and_panics() {
    STRATEGIES.into_iter().for_each(nothing_is_left_behind_by_errors_and_panics_by);
}

fn nothing_is_left_behind_by_errors_and_panics_by(strategy: ScanStrategy) {
    let dir = tempfile::tempdir().unwrap();
    let leaks = LeakCheck::new();
    let conn = fill(&dir.path().join("a.db"), "wal");
    assert_eq!(count(&conn, (strategy, 3), |_| Ok(())).unwrap(), ROWS);
    let before = Counts::now();
    for id in [1, 17, ROWS / 2, ROWS] {
        for threads in [2, 3] {
            let fail = |row: Row<'_>| match row.get::<i64>(0)? {
                found if found == id => Err(Error::external("on purpose")),
                _ => Ok(()),
            };
            assert!(matches!(count(&conn, (strategy, threads), fail).unwrap_err().kind(), ErrorKind::External(_)));
            assert_eq!(Counts::settled(&before), before);
            let panic = |row: Row<'_>| {
                assert!(row.get::<i64>(0)? != id, "on purpose");
                Ok(())
            };
            assert!(catch_unwind(AssertUnwindSafe(|| count(&conn, (strategy, threads), panic))).is_err());
            assert_eq!(Counts::settled(&before), before);
            let handle = conn.interrupt_handle();
            let interrupt = |row: Row<'_>| {
                if row.get::<i64>(0)? == id {
                    assert!(handle.interrupt());
                }
                Ok(())
            };
            // The interrupt may come with the last row.
            if let Err(error) = count(&conn, (strategy, threads), interrupt) {
                assert!(error.is_interrupted());
            }
            assert_eq!(Counts::settled(&before), before);
        }
    }
    conn.execute("DELETE FROM t", ()).unwrap();
    conn.close().unwrap();
    drop(leaks);
}

/// Positive control: a reader, a thread and a file that are left show in the counts.
fn the_counts_see_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), "wal");
    let before = Counts::now();
    let reader = Connection::open(dir.path().join("a.db")).unwrap();
    assert_ne!(Counts::now().handles, before.handles);
    reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    assert_ne!(Counts::now().descriptors, before.descriptors);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = thread::spawn(move || stopped.recv());
    assert_ne!(Counts::now().threads, before.threads);
    drop(stop);
    thread.join().unwrap().unwrap_err();
    drop((conn, reader));
}

/// Each allocation of SQLite's fails, once and with all that follow: the result is right or says so, and nothing stays.
fn allocations_fail() {
    STRATEGIES.into_iter().for_each(allocations_fail_by);
}

fn allocations_fail_by(strategy: ScanStrategy) {
    let dir = tempfile::tempdir().unwrap();
    let leaks = LeakCheck::new();
    let conn = fill(&dir.path().join("a.db"), "wal");
    let total = || count(&conn, (strategy, 2), |row| row.get::<&str>(1).map(drop));
    assert_eq!(total().unwrap(), ROWS);
    let before = Counts::now();
    let mut failed = 0;
    for (sticky, all_threads) in [(false, false), (true, false), (false, true), (true, true)] {
        // Every seventh: opening two connections takes some thousand allocations.
        for n in (0..).step_by(7) {
            conn.clear_statement_cache();
            let fault = AllocationFault::after(n).sticky(sticky).all_threads(all_threads).arm();
            let result = total();
            let failures = fault.disarm();
            match result {
                Ok(found) => assert_eq!(found, ROWS, "point {n}"),
                Err(error) => {
                    assert!(failures > 0, "point {n}: {error:?}");
                    assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "point {n}: {error:?}");
                }
            }
            // A rollback that found no memory is repeated by the next call.
            assert_eq!(conn.query_one::<i64>("SELECT 7", ()).unwrap(), 7, "point {n}");
            assert!(conn.is_autocommit(), "point {n}");
            assert_eq!(Counts::settled(&before).handles, before.handles, "point {n}");
            if failures == 0 {
                break;
            }
            failed += 1;
        }
    }
    assert_eq!(total().unwrap(), ROWS);
    conn.close().unwrap();
    println!("{failed} allocations failed");
    assert!(failed > 100, "{failed}");
    assert_eq!(memory::stats().foreign_blocks_total, 0);
    drop(leaks);
}

/// The scan goes on in the parent. In the child, whose other threads do not exist, it ends.
fn a_closure_forks_a_child() {
    STRATEGIES.into_iter().for_each(a_closure_forks_a_child_by);
}

fn a_closure_forks_a_child_by(strategy: ScanStrategy) {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), "wal");
    let parent = std::process::id();
    for id in [1, ROWS / 2, ROWS] {
        for threads in [1, 2, 4] {
            let caller = thread::current().id();
            let fork = |row: Row<'_>| {
                if row.get::<i64>(0)? == id {
                    match fork_here() {
                        Some(child) => assert!(child.wait()),
                        // On another thread, there is no caller who would get the error.
                        None if thread::current().id() != caller => leave(true),
                        None => {}
                    }
                }
                Ok(())
            };
            let result = count(&conn, (strategy, threads), fork);
            if std::process::id() != parent {
                leave(result.is_err_and(|error| matches!(error.kind(), ErrorKind::Forked)));
            }
            assert_eq!(result.unwrap(), ROWS);
        }
    }
    conn.close().unwrap();
}

fn the_child_of_a_fork_has_no_partitions() {
    STRATEGIES.into_iter().for_each(the_child_of_a_fork_has_no_partitions_by);
}

fn the_child_of_a_fork_has_no_partitions_by(strategy: ScanStrategy) {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), "wal");
    assert!(crate::common::child::in_child(|| {
        let plan = conn.scan(SQL, ()).strategy(strategy).partitions_of("t", 2).plan();
        let found = count(&conn, (strategy, 2), |_| Ok(()));
        [plan.map(drop), found.map(drop)]
            .into_iter()
            .all(|result| result.is_err_and(|error| matches!(error.kind(), ErrorKind::Forked)))
    }));
    assert_eq!(count(&conn, (strategy, 2), |_| Ok(())).unwrap(), ROWS);
    conn.close().unwrap();
}

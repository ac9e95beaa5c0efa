//! What a scan of pages leaves behind: no lock, no handle, no memory, also where allocations fail.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;

use finalite::memory::AllocationFault;
use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, LeakCheck, OpenOptions, Result, memory};

use crate::runner::cases;

cases![
    locks_are_as_before_a_scan,
    allocations_of_a_scan_fail,
    allocations_of_a_scan_of_utf_16_fail,
    allocations_of_a_scan_by_threads_fail,
    allocations_of_a_scan_without_rowids_fail,
    the_check_sees_what_is_left,
    #[cfg(not(sqlite_without_shared_cache))]
    a_cache_that_the_process_shares_is_left_to_sqlite,
];

fn fill(path: &Path, journal: &str, encoding: &str) -> Connection {
    fill_table(path, journal, encoding, "")
}

fn fill_table(path: &Path, journal: &str, encoding: &str, options: &str) -> Connection {
    let conn = OpenOptions::new().pragma("encoding", encoding).lookaside(0, 0).open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = {journal};
         CREATE TABLE t(id INTEGER PRIMARY KEY, a REAL, b TEXT, c BLOB){options};
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         INSERT INTO t SELECT i, i / 2.0, 'text ' || i, zeroblob(i * 11 % 9000) FROM n;
         ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'later';"
    ))
    .unwrap();
    conn
}

fn total(conn: &Connection) -> Result<(i64, u64)> {
    let mut ids = 0;
    let rows = conn.scan("SELECT * FROM t", ()).strategy(ScanStrategy::Pages).for_each(|row| {
        ids += row.get::<i64>(0)?;
        assert_eq!(row.get::<&str>("d")?, "later");
        assert_eq!(row.get::<&[u8]>("c")?.len() as i64, ids_len(row.get(0)?));
        Ok::<_, Error>(())
    })?;
    Ok((ids, rows))
}

/// The same by several threads.
fn total_by_threads(conn: &Connection, threads: usize) -> Result<(i64, u64)> {
    let scan = |sql| conn.scan(sql, ()).strategy(ScanStrategy::Pages).threads(threads);
    let columns = scan("SELECT id, d FROM t").columns()?;
    assert!(columns.column("d")?.as_str()?.iter().all(|later| later == Some("later")));
    let rows = u64::try_from(columns.len()).unwrap();
    Ok((columns.column("id")?.as_i64()?.iter().sum(), rows))
}

fn ids_len(id: i64) -> i64 {
    id * 11 % 9000
}

/// The locks of this process on the files of a directory, as the system lists them: without their numbers, sorted.
fn locks(dir: &Path) -> Vec<String> {
    // The kernel hands its list out in pieces, and between two of them locks of other processes come and go: an entry may
    // be left out, or be there twice. Those of this process stay as they are meanwhile.
    let (mut seen, mut lists_without_more) = (BTreeSet::new(), 0);
    while lists_without_more < 10 {
        let before = seen.len();
        seen.extend(read_locks(dir));
        lists_without_more = if seen.len() == before { lists_without_more + 1 } else { 0 };
    }
    seen.into_iter().collect()
}

fn read_locks(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let inodes: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| format!(":{} ", entry.unwrap().metadata().unwrap().ino())).collect();
    let all = fs::read_to_string("/proc/locks").unwrap();
    all.lines()
        .filter(|line| inodes.iter().any(|inode| line.contains(inode.as_str())))
        .map(|line| line.split_once(": ").unwrap().1.to_owned())
        .collect()
}

fn locks_are_as_before_a_scan() {
    let dir = tempfile::tempdir().unwrap();
    let check = LeakCheck::new();
    for journal in ["delete", "wal"] {
        locks_are_as_before(dir.path(), journal);
    }
    drop(check);
}

fn allocations_of_a_scan_fail() {
    allocations_fail("delete", "UTF-8", "", 160, total);
}

fn allocations_of_a_scan_of_utf_16_fail() {
    allocations_fail("wal", "UTF-16le", "", 160, total);
}

fn allocations_of_a_scan_by_threads_fail() {
    allocations_fail("wal", "UTF-8", "", 90, |conn| total_by_threads(conn, 2));
}

fn allocations_of_a_scan_without_rowids_fail() {
    allocations_fail("wal", "UTF-8", "WITHOUT ROWID", 160, total);
    allocations_fail("delete", "UTF-8", "WITHOUT ROWID", 90, |conn| total_by_threads(conn, 2));
}

fn locks_are_as_before(dir: &Path, journal: &str) {
    let path = dir.join(format!("{journal}.db"));
    let conn = fill(&path, journal, "UTF-8");
    total(&conn).unwrap();
    let idle = locks(dir);
    assert_eq!(total(&conn).unwrap(), (405_450, 900));
    assert_eq!(locks(dir), idle, "{journal}, after a scan");
    for threads in 1..=4 {
        assert_eq!(total_by_threads(&conn, threads).unwrap(), (405_450, 900));
        assert_eq!(locks(dir), idle, "{journal}, after a scan by {threads} threads");
        threads_end_with_the_scan(&conn, threads);
    }

    // The writer's lock of one connection is not lost by the scan of another one on the same file.
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE t SET a = 1 WHERE id = 1").unwrap();
    let held = locks(dir);
    assert!(held.len() > idle.len(), "{held:?}");
    total(&conn).unwrap();
    assert_eq!(locks(dir), held, "{journal}, beside a writer");
    let mut while_scanning = Vec::new();
    conn.scan("SELECT id FROM t", ())
        .strategy(ScanStrategy::Pages)
        .for_each(|_| {
            while_scanning = locks(dir);
            Ok::<_, Error>(())
        })
        .unwrap();
    assert!(!while_scanning.is_empty());
    // Positive control: any other descriptor drops them.
    drop(fs::File::open(&path).unwrap());
    assert_ne!(locks(dir), held, "{journal}: the list does not show what is lost");
    writer.execute("ROLLBACK", ()).unwrap_or_default();
    writer.close().unwrap();
    conn.close().unwrap();
}

fn threads_end_with_the_scan(conn: &Connection, threads: usize) {
    let count = || fs::read_dir("/proc/self/task").unwrap().count();
    let (before, mut most) = (count(), 0);
    let scan = conn.scan("SELECT * FROM t", ()).strategy(ScanStrategy::Pages).threads(threads).progress(50, |_| {
        most = most.max(count());
        ControlFlow::Continue(())
    });
    assert_eq!(scan.columns().unwrap().len(), 900);
    // They are joined; the system's list may be behind.
    while count() > before {
        thread::yield_now();
    }
    let expected = if threads == 1 { before..=before } else { before + 1..=before + threads - 1 };
    assert!(expected.contains(&most), "{before}, then {most}, with {threads} threads");
}

/// Each allocation of SQLite's fails, once and with all that follow: the scan is right or says so. There are at least so
/// many.
fn allocations_fail(
    journal: &str,
    encoding: &str,
    options: &str,
    points_min: u64,
    total: impl Fn(&Connection) -> Result<(i64, u64)>,
) {
    let dir = tempfile::tempdir().unwrap();
    let check = LeakCheck::new();
    let conn = fill_table(&dir.path().join("sweep.db"), journal, encoding, options);
    let plan = conn.scan("SELECT * FROM t", ()).strategy(ScanStrategy::Pages).plan().unwrap();
    assert_eq!(plan.strategy, ScanStrategy::Pages, "{plan}");
    let expected = total(&conn).unwrap();
    let mut points = 0;
    for sticky in [false, true] {
        for n in 0.. {
            conn.clear_statement_cache();
            let fault = AllocationFault::after(n).sticky(sticky).arm();
            let result = total(&conn);
            let failures = fault.disarm();
            match result {
                Ok(found) => assert_eq!(found, expected, "point {n}"),
                Err(error) => {
                    assert!(failures > 0, "point {n}: {error:?}");
                    assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "point {n}: {error:?}");
                }
            }
            assert_eq!(conn.query_one::<i64>("SELECT 7", ()).unwrap(), 7, "point {n}");
            assert_eq!(total(&conn).unwrap(), expected, "point {n}");
            if failures == 0 {
                break;
            }
            points += 1;
        }
    }
    conn.close().unwrap();
    println!("{points} allocations failed");
    assert!(points >= points_min, "{points}");
    assert_eq!(memory::stats().foreign_blocks_total, 0);
    drop(check);
}

/// Positive control: a connection that is left shows in the report.
fn the_check_sees_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let check = LeakCheck::new();
    let conn = fill(&dir.path().join("left.db"), "delete", "UTF-8");
    total(&conn).unwrap();
    let report = check.finish();
    assert!(!report.is_clean());
    drop(conn);
}

/// Not by a URI, but for the whole process: what is opened meanwhile shares, for as long as it is open.
#[cfg(not(sqlite_without_shared_cache))]
fn a_cache_that_the_process_shares_is_left_to_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let share = |on| {
        // SAFETY: takes a number; c3ref/enable_shared_cache.html.
        assert_eq!(unsafe { finalite::ffi::sqlite3_enable_shared_cache(on) }, finalite::ffi::SQLITE_OK);
    };
    let path_of = |conn: &Connection| {
        let plan = conn.scan("SELECT a FROM t", ()).strategy(ScanStrategy::Pages).plan().unwrap();
        assert_eq!(conn.scan("SELECT a FROM t", ()).strategy(ScanStrategy::Pages).columns().unwrap().len(), 2);
        plan.strategy
    };
    let own = Connection::open(&path).unwrap();
    own.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    share(1);
    let shared = Connection::open(&path).unwrap();
    share(0);
    assert_eq!(path_of(&shared), ScanStrategy::Statement);
    assert_eq!(path_of(&own), ScanStrategy::Pages, "the control");
}

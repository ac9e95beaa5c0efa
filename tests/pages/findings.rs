//! What a scan finds out serves the next scan of the same statement, and no longer than it is true.

use std::ffi::{c_char, c_void};

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use finalite::extend::{Access, Action};
use finalite::scan::{ScanPlan, ScanStrategy};
use finalite::{Connection, ErrorKind, OpenOptions, ffi};

use crate::compare::read_all;

/// Adds so many rows.
fn add(conn: &Connection, table: &str, rows: usize) {
    conn.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO {table}(a) SELECT 'row ' || i FROM n;"
    ))
    .unwrap();
}

/// The rows of `t` and the path that they would come by, when nobody chooses it.
#[track_caller]
fn assert_chosen(conn: &Connection, rows: usize, path: ScanStrategy, reason: &str) {
    let scan = || conn.scan_table("t").select(["rowid", "a"]);
    assert_eq!(read_all(scan()).unwrap().len(), rows);
    let plan = scan().plan().unwrap();
    assert_eq!(plan.strategy, path, "{plan}");
    assert!(plan.reason.contains(reason), "{plan}");
    assert_eq!(read_all(scan()).unwrap().len(), rows);
}

const SMALL: &str = "is small";

#[test]
fn a_table_that_grows_and_shrinks() {
    for journal in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!("PRAGMA journal_mode = {journal}; CREATE TABLE t(a TEXT); CREATE TABLE u(a);"))
            .unwrap();
        let other = Connection::open(&path).unwrap();
        assert_chosen(&conn, 0, ScanStrategy::Statement, "");
        add(&other, "t", 30);
        assert_chosen(&conn, 30, ScanStrategy::Statement, SMALL);
        // Something else changes.
        add(&other, "u", 30);
        assert_chosen(&conn, 30, ScanStrategy::Statement, SMALL);
        add(&conn, "t", 30);
        assert_chosen(&conn, 60, ScanStrategy::Pages, "");
        add(&other, "t", 5_000);
        assert_chosen(&conn, 5_060, ScanStrategy::Pages, "");
        other.execute("DELETE FROM t WHERE rowid > 20", ()).unwrap();
        assert_chosen(&conn, 20, ScanStrategy::Statement, SMALL);
        other.execute("DELETE FROM t", ()).unwrap();
        assert_chosen(&conn, 0, ScanStrategy::Statement, "");
        add(&conn, "t", 5_000);
        assert_chosen(&conn, 5_000, ScanStrategy::Pages, "");
    }
}

/// What the file tells is of before, as long as nothing is written back: one scan is left to SQLite, and no more.
#[test]
fn a_table_that_grows_in_the_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new()
        .pragma("journal_mode", "wal")
        .pragma("wal_autocheckpoint", 0_i64)
        .open(dir.path().join("a.db"))
        .unwrap();
    conn.execute("CREATE TABLE t(a TEXT)", ()).unwrap();
    add(&conn, "t", 10);
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)", ()).unwrap();
    assert_chosen(&conn, 10, ScanStrategy::Statement, SMALL);
    add(&conn, "t", 5_000);
    assert_chosen(&conn, 5_010, ScanStrategy::Pages, "");
}

/// Whoever asks for pages has them, also where the statement was found to be as fast.
#[test]
fn a_small_table_whose_pages_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('one')").unwrap();
    assert_chosen(&conn, 1, ScanStrategy::Statement, SMALL);
    let scan = || conn.scan_table("t").select(["rowid", "a"]).strategy(ScanStrategy::Pages);
    assert_eq!(scan().plan().unwrap().strategy, ScanStrategy::Pages);
    assert_eq!(read_all(scan()).unwrap().len(), 1);
    assert_chosen(&conn, 1, ScanStrategy::Statement, SMALL);
}

/// The same SQL is another statement once the schema is another one.
#[test]
fn what_was_found_out_is_forgotten_with_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute("CREATE TABLE t(a TEXT)", ()).unwrap();
    add(&conn, "t", 1_000);
    let other = Connection::open(&path).unwrap();
    let first = || {
        let rows = read_all(conn.scan_table("t").select(["a"])).unwrap();
        let plan = conn.scan_table("t").select(["a"]).plan().unwrap();
        (format!("{:?}", rows[0][0]), rows.len(), plan.strategy)
    };
    let text = |text: &str| format!("{:?}", crate::common::cell::Cell::Text(text.into()));
    assert_eq!(first(), (text("row 1"), 1_000, ScanStrategy::Pages));
    // Its root is another page, and `a` another place in the record.
    other
        .execute_batch(
            "ALTER TABLE t RENAME TO old; CREATE TABLE t(b, a TEXT);
             INSERT INTO t SELECT 0, 'new' || a FROM old; DROP TABLE old; VACUUM;",
        )
        .unwrap();
    assert_eq!(first(), (text("newrow 1"), 1_000, ScanStrategy::Pages));
    // A view hides the table, and then goes.
    conn.execute("CREATE TEMP VIEW t AS SELECT a || '!' AS a FROM main.t", ()).unwrap();
    assert_eq!(first(), (text("newrow 1!"), 1_000, ScanStrategy::Statement));
    conn.execute("DROP VIEW temp.t", ()).unwrap();
    assert_eq!(first(), (text("newrow 1"), 1_000, ScanStrategy::Pages));
    conn.execute("PRAGMA reverse_unordered_selects = on", ()).unwrap();
    assert_eq!(first(), (text("newrow 1000"), 1_000, ScanStrategy::Statement));
}

/// What could not be asked once is asked again.
#[test]
fn an_interrupt_is_no_answer() {
    struct Watch {
        db: *mut ffi::sqlite3,
        selects: usize,
        interrupted: usize,
    }

    /// Interrupts a `SELECT` that is prepared: the first is the scan's, and the second asks for its program before it
    /// runs.
    unsafe extern "C" fn interrupt(
        watch: *mut c_void,
        action: i32,
        _: *const c_char,
        _: *const c_char,
        _: *const c_char,
        _: *const c_char,
    ) -> i32 {
        // SAFETY: the watch lives as long as the authorizer is set, and is used by this thread alone.
        let watch = unsafe { &mut *watch.cast::<Watch>() };
        watch.selects += usize::from(action == ffi::SQLITE_SELECT);
        if action == ffi::SQLITE_SELECT && watch.selects == watch.interrupted {
            // SAFETY: the connection is open.
            unsafe { ffi::sqlite3_interrupt(watch.db) };
        }
        ffi::SQLITE_OK
    }

    for interrupted in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        conn.execute("CREATE TABLE t(a TEXT)", ()).unwrap();
        add(&conn, "t", 5_000);
        // SQLite forgets an interrupt while no statement is running.
        let mut running = conn.prepare("VALUES (1), (2)").unwrap();
        let mut running = running.query(()).unwrap();
        running.next().unwrap();
        // SAFETY: the connection is open while the handle is used.
        let mut watch = Watch { db: unsafe { conn.as_raw() }, selects: 0, interrupted };
        // SAFETY: as above; the watch outlives the authorizer, which is taken off below.
        unsafe { ffi::sqlite3_set_authorizer(watch.db, Some(interrupt), (&raw mut watch).cast()) };
        let scan = || conn.scan_table("t").select(["rowid", "a"]);
        assert!(matches!(scan().columns().unwrap_err().kind(), ErrorKind::Interrupted), "{interrupted}");
        drop(running);
        assert_eq!(scan().plan().unwrap().strategy, ScanStrategy::Pages);
        assert_eq!(read_all(scan()).unwrap().len(), 5_000);
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_set_authorizer(watch.db, None, std::ptr::null_mut()) };
        assert!(watch.selects >= 2);
    }
}

/// A file with tables of so many rows.
fn tables(dir: &tempfile::TempDir, sizes: &[usize]) -> Connection {
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    for size in sizes {
        conn.execute(&format!("CREATE TABLE t{size}(a TEXT)"), ()).unwrap();
        add(&conn, &format!("t{size}"), *size);
    }
    conn
}

/// Preparing takes longer than a few rows: the first scan of a small table prepares its own statement and no other.
#[test]
fn a_small_table_is_not_examined() {
    let dir = tempfile::tempdir().unwrap();
    let conn = tables(&dir, &[2, 39, 41]);
    // Whether the cache is shared is found out once.
    read_all(conn.scan_table("t2").all_columns()).unwrap();
    let prepared = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&prepared);
    let _subscription = conn.set_authorizer(move |request| {
        counted.fetch_add(usize::from(matches!(request.action, Action::Select)), Ordering::Relaxed);
        Access::Allow
    });
    let prepares = |table: &str| {
        prepared.store(0, Ordering::Relaxed);
        let mut plan = None;
        let rows =
            conn.scan_table(table).all_columns().on_end(|it: ScanPlan| plan = Some(it.strategy)).columns().unwrap();
        (rows.len(), plan.unwrap(), prepared.load(Ordering::Relaxed))
    };
    assert_eq!(prepares("t39"), (39, ScanStrategy::Statement, 1));
    assert_eq!(prepares("t41"), (41, ScanStrategy::Pages, 2));
}

/// The first rows come from the statement, the others from the pages: the seam shows nowhere.
#[test]
fn the_first_rows_and_the_others_are_one_result() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [39, 40, 41, 120];
    let conn = tables(&dir, &sizes);
    for size in sizes {
        let name = format!("t{size}");
        // A condition on the table that a view has, and none.
        let view = format!("v{size}");
        conn.execute(&format!("CREATE VIEW {view} AS SELECT a FROM {name} WHERE a <> 'row 7'"), ()).unwrap();
        for (table, rows) in [(&name, size), (&view, size - 1)] {
            // Another statement each time: nothing is known of it.
            conn.set_statement_cache_limits(0, 0);
            let scan = || conn.scan_table(table).all_columns();
            let expected = read_all(conn.scan(&format!("SELECT * FROM {table}"), ())).unwrap();
            assert_eq!((read_all(scan()).unwrap(), expected.len()), (expected, rows));
            let mut plan = None;
            assert_eq!(scan().on_end(|it| plan = Some(it.strategy)).columns().unwrap().len(), rows);
            assert_eq!(plan == Some(ScanStrategy::Pages), size > 40, "{table}");
            for every in [1, 7, 40] {
                let mut told = Vec::new();
                let tell = |rows| {
                    told.push(rows);
                    ControlFlow::Continue(())
                };
                scan().progress(every, tell).columns().unwrap();
                assert_eq!(told, (1..=rows as u64).filter(|row| row.is_multiple_of(every)).collect::<Vec<_>>());
                let mut lengths = Vec::new();
                let take = |batch: &finalite::scan::ColumnBatch| {
                    lengths.push(batch.len());
                    Ok::<_, finalite::Error>(())
                };
                scan().batches(every as usize, take).unwrap();
                let (whole, rest) = (rows / every as usize, rows % every as usize);
                let expected = [vec![every as usize; whole], vec![rest; usize::from(rest > 0)]].concat();
                assert_eq!(lengths, expected, "{table} {every}");
            }
            for last in [1, 39, 40, 41, rows].into_iter().filter(|&last| last <= rows) {
                let mut seen = 0;
                let found = scan().try_for_each(|_| {
                    seen += 1;
                    Ok::<_, finalite::Error>(if seen == last {
                        ControlFlow::Break(seen)
                    } else {
                        ControlFlow::Continue(())
                    })
                });
                assert_eq!((found.unwrap(), seen), (Some(last), last));
                assert_eq!(scan().limit(last as u64).columns().unwrap().len(), last);
                let mut ended = 0;
                let end = |rows| {
                    ended += 1;
                    if rows == last as u64 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                assert_eq!(scan().progress(1, end).columns().unwrap().len(), last);
                assert_eq!(ended, last);
            }
        }
    }
}

/// The closure gives the name of the table to another one before the statement is examined.
#[test]
fn what_the_first_rows_change_is_not_read() {
    for at in [1, 40, 41] {
        let dir = tempfile::tempdir().unwrap();
        let conn = tables(&dir, &[100]);
        conn.execute_batch("CREATE TABLE other(a TEXT)").unwrap();
        add(&conn, "other", 7_000);
        let (mut seen, mut plan) = (Vec::new(), None);
        conn.scan_table("t100")
            .all_columns()
            .on_end(|it| plan = Some(it.strategy))
            .for_each(|row| {
                seen.push(row.get::<String>(0)?);
                if seen.len() == at {
                    conn.execute("CREATE TEMP VIEW t100 AS SELECT a FROM main.other", ())?;
                }
                Ok::<_, finalite::Error>(())
            })
            .unwrap();
        assert_eq!(seen, (1..=100).map(|row| format!("row {row}")).collect::<Vec<_>>());
        // After the first rows, pages are read, whatever the name means by now.
        assert_eq!(plan == Some(ScanStrategy::Pages), at > 40);
    }
}

/// The plan is told wherever the scan ends within the first rows.
#[test]
fn the_first_rows_may_be_all() {
    let dir = tempfile::tempdir().unwrap();
    let conn = tables(&dir, &[30, 1000]);
    let told = |table: &str, limit: u64, fails_at: usize| {
        let (mut plan, mut rows) = (None, 0);
        let scan = conn.scan_table(table).all_columns().limit(limit).on_end(|it| plan = Some(it));
        let result = scan.for_each(|_| {
            rows += 1;
            if rows == fails_at { Err(finalite::Error::external(std::fmt::Error)) } else { Ok(()) }
        });
        assert_eq!(result.is_err(), rows == fails_at);
        plan.map(|plan| (plan.strategy, plan.reason)).unwrap()
    };
    let (small, enough) =
        ("the table is small: SQLite is as fast", "the first rows, for which SQLite is as fast, were enough");
    assert_eq!(told("t30", u64::MAX, 0), (ScanStrategy::Statement, small));
    assert_eq!(told("t1000", 10, 0), (ScanStrategy::Statement, enough));
    assert_eq!(told("t1000", u64::MAX, 7), (ScanStrategy::Statement, enough));
    assert_eq!(told("t1000", u64::MAX, 500).0, ScanStrategy::Pages);
}

/// A view of few rows of a large table: it is examined when SQLite took long to find them.
#[test]
fn a_view_of_few_rows_is_examined_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let conn = tables(&dir, &[3000]);
    conn.execute_batch("CREATE VIEW few AS SELECT * FROM t3000 WHERE a > 'row 99' AND a < 'row 999'").unwrap();
    let strategies: Vec<_> = (0..4)
        .map(|_| {
            let mut plan = None;
            let rows = conn.scan_table("few").all_columns().on_end(|it| plan = Some(it)).columns().unwrap().len();
            (rows, plan.unwrap().strategy)
        })
        .collect();
    assert_eq!(strategies[3], (9, ScanStrategy::Pages), "{strategies:?}");
}

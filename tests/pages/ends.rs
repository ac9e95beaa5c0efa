//! How a scan was run, told when it has ended.

use finalite::scan::{ScanPlan, ScanStrategy};
use finalite::{Connection, Error, ErrorKind};

use crate::checks::Image;

fn file(dir: &tempfile::TempDir) -> Connection {
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE u(a); CREATE TABLE few(a); INSERT INTO few VALUES (1);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, 'row ' || i FROM n;",
    )
    .unwrap();
    conn
}

#[track_caller]
fn assert_told(plan: Option<ScanPlan>, path: ScanStrategy, threads: usize, reason: &str) {
    let plan = plan.expect("it is told");
    assert_eq!((plan.strategy, plan.threads), (path, threads), "{plan}");
    assert!(plan.reason.contains(reason), "{plan}");
}

#[test]
fn what_ran_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    let told = |sql, path, threads, limit| {
        let mut plan = None;
        let scan = conn.scan(sql, ()).strategy(path).threads(threads).limit(limit);
        scan.on_end(|it| plan = Some(it)).columns().unwrap();
        plan
    };
    let (by_pages, by_statement) = (ScanStrategy::Pages, ScanStrategy::Statement);
    assert_told(told("SELECT * FROM t", by_pages, 1, 9000), by_pages, 1, "a plain scan of a table");
    assert_told(told("SELECT * FROM t", by_pages, 3, 9000), by_pages, 3, "a plain scan of a table");
    assert_told(told("SELECT * FROM t", by_pages, 3, 10), by_pages, 3, "a plain scan of a table");
    assert_told(told("SELECT * FROM t", by_statement, 3, 9000), by_statement, 1, "not requested");
    assert_told(told("SELECT * FROM t", by_pages, 3, 0), by_statement, 1, "0 rows");
    assert_told(told("SELECT a || '!' FROM t", by_pages, 3, 9000), by_statement, 1, "SQLite does more");
    assert_told(told("SELECT * FROM u", by_pages, 3, 9000), by_statement, 1, "is empty");
    assert_told(told("VALUES (1)", by_pages, 3, 9000), by_statement, 1, "not a SELECT");
    // A table by its name: twice, as what the first found out is kept.
    for _ in 0..2 {
        let mut plan = None;
        conn.scan_table("few").all_columns().on_end(|it| plan = Some(it)).columns().unwrap();
        assert_told(plan, by_statement, 1, "is small");
    }
    // The plan before is the one after.
    for sql in ["SELECT * FROM t", "SELECT a || '!' FROM t"] {
        assert_eq!(Some(conn.scan(sql, ()).strategy(by_pages).plan().unwrap()), told(sql, by_pages, 1, 9000));
    }
}

/// The last closure is called, once, and after the one for progress.
#[test]
fn it_is_told_once_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    let order = std::cell::RefCell::new(Vec::new());
    let add = |what| order.borrow_mut().push(what);
    let scan = conn.scan("SELECT id FROM t", ()).strategy(ScanStrategy::Pages).on_end(|_| add("replaced"));
    let scan = scan.progress(4000, |_| {
        add("progress");
        std::ops::ControlFlow::Continue(())
    });
    let mut rows = 0;
    scan.on_end(|_| add("end"))
        .for_each(|_| {
            rows += 1;
            if rows == 5000 {
                add("last row");
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(*order.borrow(), ["progress", "last row", "end"]);
}

/// After an error, but not where nothing ran.
#[test]
fn errors() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    let mut plan = None;
    let scan = conn.scan("SELECT id FROM t", ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it));
    scan.for_each(|_| Err(Error::external(std::fmt::Error))).unwrap_err();
    assert_told(plan, ScanStrategy::Pages, 1, "a plain scan of a table");
    let mut plan = None;
    conn.scan("SELECT nothing", ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it)).columns().unwrap_err();
    assert_eq!(plan, None);
}

#[test]
fn the_connection_wrote() {
    for journal in ["delete", "wal"] {
        // The first rows are those of the statement, as long as the table may be small.
        for (at, reason) in [
            (1, "has written since the scan began"),
            (41, "wrote while its pages were read"),
            (3000, "wrote while its pages were read"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let conn = file(&dir);
            conn.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
            let (mut plan, mut rows) = (None, 0);
            let scan = conn.scan_table("t").all_columns().on_end(|it| plan = Some(it));
            let count = scan.for_each(|_| {
                rows += 1;
                if rows == at {
                    conn.execute("INSERT INTO u VALUES (1)", ())?;
                }
                Ok::<_, Error>(())
            });
            assert_eq!(count.unwrap(), 5000);
            // Near the end all pages are read before it writes.
            assert_told(plan, ScanStrategy::Statement, 1, reason);
        }
    }
}

#[test]
fn damage_is_left_to_the_statement() {
    let mut image = Image::new(
        512,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO t SELECT i, 'row ' || i FROM n;",
    );
    let leaf = image.leaves()[5];
    let cell = image.cell(leaf, 2);
    let header = cell + 2 + usize::from(image.page(leaf)[cell + 1] >= 0x80);
    // A header that SQLite looks past: all values are missing.
    image.page(leaf)[header] = 0;
    let (_dir, path) = image.write();
    for threads in [1, 3] {
        let conn = Connection::open(&path).unwrap();
        let mut plan = None;
        let scan = conn.scan("SELECT a FROM t", ()).strategy(ScanStrategy::Pages).threads(threads);
        let batch = scan.on_end(|it| plan = Some(it)).columns().unwrap();
        assert_eq!((batch.len(), batch.columns()[0].null_count()), (500, 1));
        assert_told(plan, ScanStrategy::Statement, 1, "is malformed");
    }
    // One that it does not: the error says where.
    image.page(leaf)[header] = 1;
    let (_dir, path) = image.write();
    let conn = Connection::open(&path).unwrap();
    let mut plan = None;
    let scan = conn.scan("SELECT a FROM t", ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it));
    let error = scan.columns().unwrap_err();
    assert_told(plan, ScanStrategy::Statement, 1, "is malformed");
    let expected = format!("database disk image is malformed: page {leaf}, cell 2: its record is malformed");
    assert!(matches!(error.kind(), ErrorKind::Sqlite { message, .. } if **message == expected), "{error}");
}

/// After a write the statement would count other rows: what is damaged ends the scan.
#[test]
fn damage_after_a_write_is_an_error() {
    for at in [1, 250] {
        let mut image = Image::new(
            4096,
            "CREATE TABLE u(a); CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO t SELECT i, 'row ' || i FROM n;",
        );
        let leaf = image.leaves()[0];
        let cell = image.cell(leaf, 251);
        image.page(leaf)[cell + 3] = 1;
        let (_dir, path) = image.write();
        let conn = Connection::open(&path).unwrap();
        let mut seen = Vec::new();
        let scan = conn.scan("SELECT id, a FROM t", ()).strategy(ScanStrategy::Pages).for_each(|row| {
            seen.push(row.get::<i64>(0)?);
            if seen.len() == at {
                conn.execute("DELETE FROM t WHERE id < 100", ())?;
            }
            Ok::<_, Error>(())
        });
        let error = scan.unwrap_err();
        assert_eq!(error.code(), Some(finalite::ResultCode::CORRUPT), "{error}");
        assert_eq!(seen, (1..=251).collect::<Vec<_>>());
    }
}

/// The names of the SQL lead to something else by now, where a default is asked for.
#[test]
fn what_a_short_record_lacks_is_left_to_the_statement_that_knows() {
    for hide in [
        "CREATE TEMP VIEW t AS SELECT 1 AS id, 'other' AS a, 'other' AS d",
        "CREATE TEMP TABLE t(id, a, d DEFAULT 'other')",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let conn = file(&dir);
        conn.execute_batch("ALTER TABLE t ADD COLUMN d DEFAULT 'later'; UPDATE t SET d = 'now' WHERE id <= 300")
            .unwrap();
        let (mut plan, mut rows) = (None, 0);
        let scan = conn.scan("SELECT * FROM t", ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it));
        let count = scan.for_each(|row| {
            rows += 1;
            assert_eq!(row.get::<i64>(0)?, rows);
            assert_eq!(row.get::<&str>(1)?, format!("row {rows}"));
            assert_eq!(row.get::<&str>(2)?, if rows <= 300 { "now" } else { "later" });
            if rows == 100 {
                conn.execute_batch(hide)?;
            }
            Ok::<_, Error>(())
        });
        assert_eq!(count.unwrap(), 5000);
        assert_told(plan, ScanStrategy::Statement, 1, "before a column was added");
    }
}

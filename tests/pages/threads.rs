//! Several threads decode: the rows, their order and their batches are those of the statement.

use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use finalite::scan::{ColumnBatch, ColumnType, OnTypeMismatch, Scan, ScanStrategy};
use finalite::{Connection, Error, ErrorKind, OpenOptions};

use crate::STREAM;
use crate::common::cell::Cell;
use crate::common::random::Random;

type Columns = Vec<(ColumnType, Vec<Cell>)>;

/// What a scan in batches gave, up to its end.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The first row of each batch, and its columns.
    batches: Vec<(u64, Columns)>,
    end: Result<u64, String>,
}

fn by_pages<'a>(conn: &'a Connection, sql: &'a str, threads: usize) -> Scan<'a, ()> {
    conn.scan(sql, ()).strategy(ScanStrategy::Pages).threads(threads)
}

fn columns_of(batch: &ColumnBatch) -> Columns {
    batch.columns().iter().map(|column| (column.data_type(), column.iter().map(Cell::from).collect())).collect()
}

fn batches(scan: Scan<'_, ()>, rows: usize) -> Seen {
    let mut seen = Vec::new();
    let end = scan.batches(rows, |batch| {
        for column in batch.columns() {
            assert_eq!(column.null_count(), column.iter().filter(|value| Cell::from(*value) == Cell::Null).count());
            assert_eq!(column.validity().is_some(), column.null_count() > 0);
            if let Some(validity) = column.validity() {
                assert_eq!(validity.len(), batch.len().div_ceil(8));
            }
        }
        seen.push((batch.first_row(), columns_of(batch)));
        Ok::<_, Error>(())
    });
    Seen { batches: seen, end: end.map_err(|error| error.to_string()) }
}

/// Compares scans by several threads with the statement. Returns the number of rows.
fn compare(conn: &Connection, sql: &str) -> usize {
    let by_statement = conn.scan(sql, ()).columns().unwrap();
    let expected = columns_of(&by_statement);
    for threads in 1..=4 {
        let scan = || by_pages(conn, sql, threads);
        let found = scan().columns().unwrap();
        assert_eq!(found.len(), by_statement.len(), "{sql}");
        assert!(columns_of(&found) == expected, "{sql}: {threads} threads");
        for rows in [3, 700, 5000] {
            let statement = batches(conn.scan(sql, ()), rows);
            assert!(batches(scan(), rows) == statement, "{sql}: {threads} threads, {rows} rows in a batch");
        }
    }
    by_statement.len()
}

/// Of many kinds: what changes its type, NULLs, long values, columns that were added later.
fn fill(path: &Path, page_bytes: i64, encoding: &str, rows: u64) -> Connection {
    let conn = OpenOptions::new().pragma("page_size", page_bytes).pragma("encoding", encoding).open(path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA synchronous = off;
         CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, c TEXT, d BLOB, e INTEGER, f);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO t SELECT i * 2, i, iif(i % 5, i / 4.0, NULL), 'text ' || i, zeroblob(i % 30), i,
            CASE WHEN i < 6000 THEN NULL WHEN i < 9000 THEN i WHEN i < 12000 THEN i / 2.0 ELSE 'f' || i END FROM n;
         UPDATE t SET d = zeroblob(7000) WHERE id % 2222 = 0;
         UPDATE t SET e = 'none' WHERE id % 7777 = 0;
         ALTER TABLE t ADD COLUMN g TEXT DEFAULT 'later';
         ALTER TABLE t ADD COLUMN h INTEGER DEFAULT 7;
         UPDATE t SET g = 'now' WHERE id > 15000;",
    ))
    .unwrap();
    conn
}

#[test]
fn the_rows_are_those_of_the_statement() {
    let dir = tempfile::tempdir().unwrap();
    for (number, (page_bytes, encoding, rows)) in
        [(512, "UTF-8", 20_000), (4096, "UTF-8", 30_000), (4096, "UTF-16le", 20_000), (65_536, "UTF-8", 20_000)]
            .into_iter()
            .enumerate()
    {
        let conn = fill(&dir.path().join(format!("{number}.db")), page_bytes, encoding, rows);
        for sql in ["SELECT * FROM t", "SELECT a, b FROM t", "SELECT d, rowid FROM t", "SELECT h, f, c FROM t"] {
            assert_eq!(compare(&conn, sql) as u64, rows);
        }
        conn.execute("DELETE FROM t WHERE id > 20", ()).unwrap();
        assert_eq!(compare(&conn, "SELECT * FROM t"), 10);
        conn.execute("DELETE FROM t", ()).unwrap();
        assert_eq!(compare(&conn, "SELECT * FROM t"), 0);
    }
}

#[test]
fn a_plan_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), 4096, "UTF-8", 5000);
    let plan = by_pages(&conn, "SELECT a FROM t", 3).plan().unwrap();
    assert_eq!((plan.strategy, plan.threads), (ScanStrategy::Pages, 3));
    assert_eq!(plan.to_string(), "by reading the table's pages, with 3 threads: it is a plain scan of a table");
    assert_eq!(by_pages(&conn, "SELECT a FROM t", 0).plan().unwrap().threads, 1);
    let plan = by_pages(&conn, "SELECT a + 1 FROM t", 3).plan().unwrap();
    assert_eq!((plan.strategy, plan.threads), (ScanStrategy::Statement, 1));
}

/// Where it ends early: by a limit, by the progress, by an error, by a panic.
#[test]
fn every_stop() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), 1024, "UTF-8", 9000);
    let sql = "SELECT * FROM t";
    for threads in 1..=3 {
        let scan = || by_pages(&conn, sql, threads);
        for limit in [1, 2, 999, 1000, 1001, 4096, 8999, 9000, 9001] {
            let statement = batches(conn.scan(sql, ()).limit(limit), 1000);
            assert!(batches(scan().limit(limit), 1000) == statement, "{threads} threads, {limit} rows");
        }
        for (every, most) in [(1, 40), (250, 5000), (1000, 4000), (1700, 9000), (9000, 9000)] {
            let with_progress = |scan: Scan<'_, ()>| {
                let mut told = Vec::new();
                let scan = scan.progress(every, |rows| {
                    told.push(rows);
                    if rows >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                let mut sizes = Vec::new();
                let rows = scan
                    .batches(1000, |batch| {
                        sizes.push(batch.len());
                        Ok::<_, Error>(())
                    })
                    .unwrap();
                (told, sizes, rows)
            };
            let statement = with_progress(conn.scan(sql, ()));
            assert_eq!(with_progress(scan()), statement, "{threads} threads, each {every}");
        }
        for at in 1..=9 {
            let mut calls = 0;
            let error = scan().batches(1000, |batch| {
                calls += 1;
                if calls == at { Err(batch.column("nowhere").unwrap_err()) } else { Ok(()) }
            });
            assert!(matches!(error.unwrap_err().kind(), ErrorKind::NoSuch { .. }));
            assert_eq!(calls, at);
            let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
                scan().batches(1000, |batch| {
                    assert!(batch.first_row() < 1000 * at, "on purpose");
                    Ok::<_, Error>(())
                })
            }));
            assert_eq!(panicked.is_err(), at < 9);
            assert_eq!(scan().columns().unwrap().len(), 9000);
        }
    }
}

/// A value that does not fit is told with the same row and column.
#[test]
fn mixed_columns() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), 4096, "UTF-8", 20_000);
    for (columns, is_error) in [("a, e", [true, true]), ("f", [true, true]), ("e, f", [true, true]), ("b", [false; 2])]
    {
        let sql = format!("SELECT {columns} FROM t");
        for (mixed, is_error) in [OnTypeMismatch::Error, OnTypeMismatch::Widen].into_iter().zip(is_error) {
            for threads in 1..=3 {
                for rows in [100, 4096] {
                    let statement = batches(conn.scan(&sql, ()).on_type_mismatch(mixed), rows);
                    assert_eq!(statement.end.is_err(), is_error, "{columns}: {:?}", statement.end);
                    let found = batches(by_pages(&conn, &sql, threads).on_type_mismatch(mixed), rows);
                    assert!(found == statement, "{columns}: {:?}, not {:?}", found.end, statement.end);
                }
            }
        }
    }
}

/// The closure writes between two batches: the rest is what SQLite reads behind the last row handed over, each row
/// once.
#[test]
fn the_closure_writes() {
    for journal in ["delete", "wal"] {
        for threads in 1..=3 {
            for at in [1, 4, 9] {
                let dir = tempfile::tempdir().unwrap();
                let conn = fill(&dir.path().join("a.db"), 1024, "UTF-8", 20_000);
                conn.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
                let (mut ids, mut calls) = (Vec::new(), 0);
                let scan = by_pages(&conn, "SELECT id, d, g FROM t", threads);
                let rows = scan
                    .batches(1000, |batch| {
                        calls += 1;
                        ids.extend_from_slice(batch.column(0)?.as_i64()?);
                        if calls == at {
                            conn.execute("DELETE FROM t WHERE id < ? OR id BETWEEN 30000 AND 32000", (1000 * at,))?;
                            conn.execute("CREATE TABLE u AS SELECT zeroblob(3000) FROM t LIMIT 300", ())?;
                        }
                        Ok::<_, Error>(())
                    })
                    .unwrap();
                assert_eq!(rows, ids.len() as u64);
                ids.retain(|id| !(30_000..=32_000).contains(id));
                let expected: Vec<i64> =
                    (1..=20_000).map(|i| i * 2).filter(|id| !(30_000..=32_000).contains(id)).collect();
                assert!(ids == expected, "{journal}, {threads} threads, {at}: {} rows", ids.len());
            }
        }
    }
}

/// What it began, it ends while the rest is read; what it alters, ends the scan.
#[test]
fn the_closure_rolls_back_or_alters() {
    let dir = tempfile::tempdir().unwrap();
    for threads in 1..=3 {
        for (number, (first, then, is_refused)) in [
            ("BEGIN; DELETE FROM t WHERE id > 30000", "ROLLBACK", false),
            ("BEGIN; DELETE FROM t WHERE id > 30000; ROLLBACK", "SELECT 1", false),
            ("CREATE TABLE u(a)", "SELECT 1", false),
            ("ALTER TABLE t DROP COLUMN c", "SELECT 1", true),
        ]
        .into_iter()
        .enumerate()
        {
            let conn = fill(&dir.path().join(format!("{threads}-{number}.db")), 1024, "UTF-8", 20_000);
            let (mut ids, mut calls) = (Vec::new(), 0);
            let outcome = by_pages(&conn, "SELECT id, d, g FROM t", threads).batches(1000, |batch| {
                ids.extend_from_slice(batch.column(0)?.as_i64()?);
                calls += 1;
                match calls {
                    1 => conn.execute_batch(first),
                    8 => conn.execute_batch(then),
                    _ => Ok(()),
                }
            });
            assert!(ids.is_sorted_by(|one, other| one < other), "{first}, {threads} threads");
            match outcome {
                Ok(rows) => assert!(!is_refused && rows == 20_000 && ids.len() == 20_000, "{first}: {rows}"),
                Err(error) => assert!(is_refused && error.to_string().contains("was altered"), "{first}: {error}"),
            }
        }
    }
}

/// The connection writes, and the next row goes on in overflow pages: it is among the rest.
#[test]
fn a_long_row_after_a_write_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE u(a);
         INSERT INTO t VALUES (1, 'short'), (2, zeroblob(9000)), (3, 'short'), (4, zeroblob(9000));",
    )
    .unwrap();
    for threads in 1..=2 {
        let mut ids = Vec::new();
        by_pages(&conn, "SELECT id, a FROM t", threads)
            .batches(1, |batch| {
                ids.extend_from_slice(batch.column(0)?.as_i64()?);
                if ids.len() == 1 {
                    conn.execute("INSERT INTO u VALUES (1)", ())?;
                }
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(ids, [1, 2, 3, 4], "{threads} threads");
    }
}

#[test]
fn an_interrupt_ends_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), 1024, "UTF-8", 30_000);
    let handle = conn.interrupt_handle();
    for threads in 1..=3 {
        let mut rows = 0;
        let scan = by_pages(&conn, "SELECT * FROM t", threads);
        let error = scan.batches(1000, |batch| {
            rows += batch.len();
            if rows == 5000 {
                handle.interrupt();
            }
            Ok::<_, Error>(())
        });
        assert!(matches!(error.unwrap_err().kind(), ErrorKind::Interrupted));
        assert!((5000..20_000).contains(&rows), "{rows}");
        assert_eq!(by_pages(&conn, "SELECT id FROM t", threads).columns().unwrap().len(), 30_000);
    }
}

/// Damage is told with the same page and cell as by one thread, after the same batches.
#[test]
fn damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fill(&path, 1024, "UTF-8", 9000).close().unwrap();
    let sound = std::fs::read(&path).unwrap();
    let mut random = Random::new(5, STREAM);
    let mut failed = 0;
    for round in 0..150 {
        let mut bytes = sound.clone();
        for _ in 0..1 + random.below(3) {
            let page = 2 + random.below(bytes.len() / 1024 - 2);
            bytes[page * 1024 + random.below(60)] = random.next().to_le_bytes()[0];
        }
        let damaged = dir.path().join(format!("{round}.db"));
        std::fs::write(&damaged, &bytes).unwrap();
        let conn = OpenOptions::new().read_only(true).open(&damaged).unwrap();
        let scan = |threads| by_pages(&conn, "SELECT * FROM t", threads);
        let expected = batches(scan(1), 500);
        let columns = scan(1).columns().map(|batch| columns_of(&batch)).map_err(|error| error.to_string());
        for threads in 2..=3 {
            let found = batches(scan(threads), 500);
            assert!(found == expected, "round {round}: {:?}, not {:?}", found.end, expected.end);
            let found = scan(threads).columns().map(|batch| columns_of(&batch)).map_err(|error| error.to_string());
            assert!(found == columns, "round {round}: {:?}, not {:?}", found.err(), columns.as_ref().err());
        }
        failed += usize::from(expected.end.is_err());
        drop(conn);
        std::fs::remove_file(&damaged).unwrap();
    }
    assert!((30..150).contains(&failed), "{failed}");
}

/// As many as anybody asks for.
#[test]
fn no_threads_and_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let conn = fill(&dir.path().join("a.db"), 4096, "UTF-8", 20_000);
    let expected = columns_of(&conn.scan("SELECT * FROM t NOT INDEXED", ()).columns().unwrap());
    for threads in [0, 255, usize::MAX] {
        let found = by_pages(&conn, "SELECT * FROM t NOT INDEXED", threads).columns().unwrap();
        assert!(columns_of(&found) == expected, "{threads}");
    }
}

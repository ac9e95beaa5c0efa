//! Every allocation of SQLite's fails under a scan, once and with all that follow: the error says so, what was read
//! before is right, nothing is left, and the next statement does not see it.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use finalite::handles::{self, HandleCounts};
use finalite::memory::{self, AllocationFault};
use finalite::{ColumnBatch, Connection, Error, ErrorKind, OpenOptions, Result};

use crate::common::cell::Cell;
use crate::reference::{self, Table};

/// Text to convert, a sorter that keeps it, groups.
const QUERIES: [&str; 6] = [
    "SELECT id, name, code FROM t",
    "SELECT name, id, code || 'x' FROM t ORDER BY name || id DESC",
    "SELECT name, count(*), group_concat(id || name) FROM t GROUP BY name HAVING count(*) > 0",
    "SELECT NULL, CASE id % 3 WHEN 0 THEN name WHEN 1 THEN id ELSE code END FROM t",
    "SELECT zeroblob(id * 300), name, zeroblob(10) FROM t",
    "SELECT id, code, zeroblob(id * 200) FROM t WHERE zeroblob(10) IS NOT NULL",
];

type Read = fn(&Connection, &str, &Table) -> Result<()>;

const READS: [(&str, Read); 7] = [
    ("for_each", |conn, sql, table| {
        let mut seen = 0;
        let rows = conn.scan(sql, ()).for_each(|row| {
            for column in 0..row.column_count() {
                check_cell(&row.value(column)?.into(), &table.rows[seen][column]);
            }
            seen += 1;
            Ok::<_, Error>(())
        })?;
        assert_eq!((rows, seen), (table.rows.len() as u64, table.rows.len()));
        Ok(())
    }),
    ("for_each that does not look at its errors", |conn, sql, table| {
        let mut seen = 0;
        let rows = conn.scan(sql, ()).for_each(|row| {
            for column in (0..row.column_count()).rev() {
                if let Ok(value) = row.value(column) {
                    check_cell(&value.into(), &table.rows[seen][column]);
                }
            }
            seen += 1;
            Ok::<_, Error>(())
        })?;
        assert_eq!((rows, seen), (table.rows.len() as u64, table.rows.len()), "the result was cut off");
        Ok(())
    }),
    ("try_for_each, stopped", |conn, sql, table| {
        let found = conn.scan(sql, ()).try_for_each(|row| {
            let value = Cell::from(row.value(1)?);
            Ok::<_, Error>(if value == table.rows[1][1] {
                ControlFlow::Break(value)
            } else {
                ControlFlow::Continue(())
            })
        })?;
        assert_eq!(found.as_ref(), Some(&table.rows[1][1]));
        Ok(())
    }),
    ("batches", |conn, sql, table| {
        let mut seen = 0;
        conn.scan(sql, ()).batches(2, |batch| {
            check(batch, table, seen);
            seen += batch.len();
            Ok::<_, Error>(())
        })?;
        assert_eq!(seen, table.rows.len());
        Ok(())
    }),
    ("columns", |conn, sql, table| {
        let batch = conn.scan(sql, ()).columns()?;
        check(&batch, table, 0);
        assert_eq!(batch.len(), table.rows.len());
        Ok(())
    }),
    ("columns, with a limit and progress", |conn, sql, table| {
        let batch = conn.scan(sql, ()).limit(3).progress(2, |_| ControlFlow::Continue(())).columns()?;
        check(&batch, table, 0);
        assert_eq!(batch.len(), 3.min(table.rows.len()));
        Ok(())
    }),
    ("a scan within a scan", |conn, sql, table| {
        let mut seen = 0;
        conn.scan(sql, ()).for_each(|row| {
            let first = Cell::from(row.value(0)?);
            let batch = conn.scan(sql, ()).limit(1).columns()?;
            check(&batch, table, 0);
            assert_eq!(first, table.rows[seen][0], "a row is not changed by another execution");
            seen += 1;
            Ok::<_, Error>(())
        })?;
        assert_eq!(seen, table.rows.len());
        Ok(())
    }),
];

/// Another statement is run right where a cell cannot be read, before the scan has ended.
fn next_to_an_unread_cell(conn: &Connection, sql: &str) -> Result<()> {
    let scan = conn.scan(sql, ()).for_each(|row| {
        for column in 0..row.column_count() {
            if let Err(error) = row.value(column) {
                assert_eq!(conn.query_one::<i64>("SELECT 7", ()).map_err(|error| error.to_string()), Ok(7));
                return Err(error);
            }
        }
        Ok::<_, Error>(())
    });
    scan.map(drop)
}

fn check(batch: &ColumnBatch, table: &Table, start: usize) {
    for (row, expected) in table.rows[start..start + batch.len()].iter().enumerate() {
        for (column, cell) in expected.iter().enumerate() {
            check_cell(&batch.value(row, column).unwrap().into(), cell);
        }
    }
}

fn check_cell(found: &Cell, expected: &Cell) {
    assert!(found == expected, "{} is not the {} that it should be", brief(found), brief(expected));
}

fn brief(cell: &Cell) -> String {
    match cell {
        Cell::Text(bytes) | Cell::Blob(bytes) => format!("{} of {} bytes", cell.data_type(), bytes.len()),
        cell => format!("{cell:?}"),
    }
}

fn database(encoding: &str, lookaside: bool) -> Connection {
    let options = OpenOptions::new().pragma("encoding", encoding);
    let conn = if lookaside { options } else { options.lookaside(0, 0) }.open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, code BLOB);
         INSERT INTO t VALUES (1, 'grüße und viel mehr davon, länger als eine Zeile im Kopf', x'0102'),
             (2, 'grüße', zeroblob(300)), (3, 'drei', NULL), (4, NULL, x''), (5, 'größer und noch größer', x'05');",
    )
    .unwrap();
    conn
}

/// What is compared after each point, to the last byte.
type Rest = (HandleCounts, u64, u64);

fn at_rest(conn: &Connection) -> Rest {
    // The schema as it is when it was just read, of which SQLite keeps more or less otherwise.
    conn.execute_batch("PRAGMA writable_schema = reset").unwrap();
    conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    conn.query_one::<i64>("SELECT count(*) FROM temp.sqlite_schema", ()).unwrap();
    // SQLite keeps the text of the last error.
    conn.prepare("no SQL").unwrap_err();
    conn.clear_statement_cache();
    conn.release_memory().unwrap();
    let memory = memory::stats();
    (handles::counts(), memory.bytes, memory.blocks)
}

/// How many points there were; the first finding, if any.
fn sweep(conn: &Connection, sticky: bool, run: impl Fn() -> Result<()>) -> (u64, Option<String>) {
    run().unwrap();
    at_rest(conn);
    let rest = at_rest(conn);
    for n in 0.. {
        let mut other = conn.prepare("SELECT 7").unwrap();
        let fault = AllocationFault::after(n).sticky(sticky).arm();
        let result = catch_unwind(AssertUnwindSafe(&run)).map_err(|panic| match panic.downcast::<String>() {
            Ok(words) => *words,
            Err(_) => "an assertion".to_owned(),
        });
        let failures = fault.disarm();
        let answer = if n % 2 == 0 { other.query_one::<i64>(()) } else { conn.query_one("SELECT 7", ()) };
        drop(other);
        let after = at_rest(conn);
        let finding = match (&result, answer) {
            (Err(words), _) => format!("a panic: {words}"),
            (Ok(Err(error)), _) if failures == 0 || !matches!(error.kind(), ErrorKind::NoMemory { .. }) => {
                format!("{failures} faults are told as {error:?}")
            }
            (_, Err(error)) => format!("the next statement fails: {error:?}"),
            (_, Ok(_)) if after != rest => format!("what is left is not {rest:?} but {after:?}"),
            _ if failures == 0 => return (n, None),
            _ => continue,
        };
        return (n, Some(format!("point {n}: {finding}")));
    }
    unreachable!("the loop ends at the first point where nothing fails")
}

/// Returns how many allocations failed.
pub fn out_of_memory_is_an_error_and_nothing_else() -> u64 {
    sweep_all(&QUERIES)
}

fn sweep_all(queries: &[&str]) -> u64 {
    let (mut points, mut findings) = (0, Vec::new());
    for (encoding, lookaside) in [("UTF-8", true), ("UTF-16le", false), ("UTF-16be", true)] {
        let conn = database(encoding, lookaside);
        for sql in queries {
            let table = reference::read(&conn, sql);
            assert!(table.rows.len() >= 4);
            let (count, finding) = sweep(&conn, false, || next_to_an_unread_cell(&conn, sql));
            points += count;
            findings.extend(finding.map(|it| format!("next to an unread cell, {encoding}, {sql}, {it}")));
            for (name, read) in READS {
                for sticky in [false, true] {
                    let (count, finding) = sweep(&conn, sticky, || read(&conn, sql, &table));
                    points += count;
                    findings.extend(finding.map(|it| format!("{name}, {encoding}, sticky: {sticky}, {sql}, {it}")));
                }
            }
        }
        conn.close().unwrap();
    }
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
    points
}

/// The sweep sees what it looks for.
pub fn the_sweep_sees_what_is_wrong() {
    let conn = &database("UTF-16le", false);
    let sql = "SELECT name, id FROM t ORDER BY name";
    let scan = || conn.scan(sql, ()).for_each(|row| row.get::<Option<&str>>(0).map(drop));
    let told_as_another = || scan().map(drop).map_err(|_| Error::external("no"));
    let (_, finding) = sweep(conn, false, told_as_another);
    assert!(finding.unwrap().contains("told as"));
    let forgets_a_statement = || {
        let other = conn.prepare("SELECT 1")?;
        scan().map(drop).inspect_err(|_| std::mem::forget(other))
    };
    let (_, finding) = sweep(conn, false, forgets_a_statement);
    assert!(finding.unwrap().contains("statements: 1"));
}

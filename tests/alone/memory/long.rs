//! A long mixed run, with two witnesses: the allocator and the kernel.
//!
//! `FINALITE_LONG_RUN` sets the number of iterations.

use std::path::Path;
use std::{env, fs};

use finalite::{Connection, OpenOptions, Statement, memory};

use super::nothing_is_left_by;
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    a_run_stays_where_it_is,
    a_model_that_keeps_statements_does_not,
];

/// What the kernel may add of its own: a heap's slack, a stack's new page.
const SLACK_BYTES: i64 = 2 << 20;

#[derive(Debug)]
struct Growth {
    native_bytes: i64,
    /// 0 where the kernel does not tell.
    resident_bytes: i64,
}

/// How much is held more at the end than after a quarter of the way.
fn growth(mut step: impl FnMut(usize)) -> Growth {
    let steps = env::var("FINALITE_LONG_RUN").map_or(4_000, |steps| steps.parse().unwrap());
    let mut quarter = (0, 0);
    for n in 0..steps {
        step(n);
        if n == steps / 4 {
            quarter = held();
        }
    }
    let end = held();
    Growth { native_bytes: end.0 - quarter.0, resident_bytes: end.1 - quarter.1 }
}

fn held() -> (i64, i64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    let resident = resident.map_or(0, |kilobytes| kilobytes.trim().parse::<i64>().unwrap() * 1024);
    (memory::stats().bytes.cast_signed(), resident)
}

fn open(path: &Path) -> Connection {
    // The disk is not the point.
    OpenOptions::new().pragma("synchronous", "OFF").pragma("journal_mode", "WAL").open(path).unwrap()
}

fn work(path: &Path, n: usize) {
    let mut conn = if n.is_multiple_of(2) { open(path) } else { Connection::open_in_memory().unwrap() };
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)").unwrap();
    let tx = conn.transaction().unwrap();
    let mut insert = tx.prepare("INSERT INTO t(b) VALUES (?)").unwrap();
    insert.execute_many((0..30).map(|k| (format!("row {n} {k}"),))).unwrap();
    drop(insert);
    if n.is_multiple_of(3) {
        tx.commit().unwrap()
    } else {
        tx.rollback().unwrap()
    }
    let mut scan = conn.prepare("SELECT a, b FROM t ORDER BY b").unwrap();
    let mut rows = scan.query(()).unwrap();
    while let Some(row) = rows.next().unwrap() {
        assert!(row.get::<&str>(1).unwrap().starts_with("row"));
    }
    drop(rows);
    drop(scan);
    assert!(conn.prepare("SELECT nothing").is_err());
    conn.execute("DELETE FROM t WHERE a > ?", (100,)).unwrap();
    conn.close().unwrap();
}

fn a_run_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let growth = growth(|n| work(&path, n));
    println!("  {growth:?}");
    assert_eq!(growth.native_bytes, 0);
    if is_resident_size_telling() {
        assert!(growth.resident_bytes < SLACK_BYTES, "{growth:?}");
    }
}

fn a_model_that_keeps_statements_does_not() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let comment = "kept ".repeat(1_000);
    let mut kept: Vec<Statement<'_>> = Vec::new();
    let growth = growth(|n| kept.push(conn.prepare(&format!("SELECT a + {n} FROM t -- {comment}")).unwrap()));
    println!("  {growth:?}");
    assert!(growth.native_bytes > SLACK_BYTES);
    if is_resident_size_telling() {
        assert!(growth.resident_bytes > SLACK_BYTES, "{growth:?}");
    }
}

/// AddressSanitizer keeps what is freed for a while, and other systems tell nothing.
fn is_resident_size_telling() -> bool {
    cfg!(target_os = "linux") && std::env::var_os("FINALITE_NO_RSS").is_none()
}

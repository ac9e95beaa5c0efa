//! Rust's heap allocations, counted: none per row and none per execution of a cached statement, once everything was
//! run for the first time. What is asked for as a `String` is counted, which shows that the counter works.
//!
//! SQLite allocates by itself; those are not counted here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use finalite::{Connection, Result, ValueRef, named_params, params, params_from_iter};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Absent while the thread ends: nobody counts there.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RUNS: u32 = 1_000;
const ROWS: u32 = 1_000;

/// Allocations per run, rounded up: one in any run shows. The first runs prepare the statement and are not counted.
fn per_run(mut run: impl FnMut() -> Result<()>) -> Result<u64> {
    run()?;
    run()?;
    let before = COUNT.get();
    for _ in 0..RUNS {
        run()?;
    }
    Ok((COUNT.get() - before).div_ceil(RUNS.into()))
}

struct Check {
    failed: bool,
}

impl Check {
    fn expect(&mut self, what: &str, expected: u64, run: impl FnMut() -> Result<()>) -> Result<()> {
        let found = per_run(run)?;
        let verdict = if found == expected { "" } else { "  <- not as expected" };
        println!("{found:>6}  {what}{verdict}");
        self.failed |= found != expected;
        Ok(())
    }
}

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, b BLOB)", ())?;
    let tx = conn.transaction()?;
    for id in 1..=ROWS {
        tx.execute("INSERT INTO t VALUES (?, ?, 0.5, 'some text', x'0102')", (id, id))?;
    }
    let mut check = Check { failed: false };
    println!("Rust heap allocations per run, after the first two:");

    let mut all = tx.prepare("SELECT * FROM t")?;
    check.expect("1000 rows, every value of each", 0, || {
        let mut rows = all.query(())?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            for column in 0..row.column_count() {
                if let ValueRef::Text(text) | ValueRef::Blob(text) = row.value(column)? {
                    bytes += text.len();
                }
            }
        }
        assert_eq!(bytes, ROWS as usize * 11);
        rows.finish()
    })?;
    check.expect("1000 rows, columns by index and type", 0, || {
        let mut rows = all.query(())?;
        while let Some(row) = rows.next()? {
            let _: (i64, i64, f64, &str, &[u8]) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        }
        rows.finish()
    })?;
    check.expect("1000 rows, columns by name", 0, || {
        let mut rows = all.query(())?;
        while let Some(row) = rows.next()? {
            let _: (i64, &str) = (row.get("n")?, row.get("s")?);
        }
        rows.finish()
    })?;
    let s = all.column("s")?;
    check.expect("1000 rows, a column looked up before", 0, || {
        let mut rows = all.query(())?;
        while let Some(row) = rows.next()? {
            let _: &str = row.get(s)?;
        }
        rows.finish()
    })?;
    let mut numbers = tx.prepare("SELECT id, r FROM t")?;
    check.expect("1000 rows as tuples of numbers", 0, || {
        numbers.query_as::<(i64, f64)>(())?.try_for_each(|row| row.map(drop))
    })?;
    check.expect("cached query_row by integer, text borrowed", 0, || {
        tx.query_row("SELECT s, n FROM t WHERE id = ?", (7,), |row| {
            let _: (&str, i64) = (row.get(0)?, row.get(1)?);
            Ok(())
        })
    })?;
    check.expect("cached query_one of numbers", 0, || {
        tx.query_one::<(i64, f64)>("SELECT n, r FROM t WHERE id = ?", (7,)).map(drop)
    })?;
    check.expect("cached query_optional that finds nothing", 0, || {
        tx.query_optional::<i64>("SELECT n FROM t WHERE id = ?", (-1,)).map(drop)
    })?;
    let name = String::from("a name that is borrowed");
    check.expect("cached execute of integers and &str", 0, || {
        tx.execute("UPDATE t SET n = ?, s = ? WHERE id = ?", (1, &name, 7)).map(drop)
    })?;
    check.expect("cached execute by name", 0, || {
        let params = named_params! { ":n": 1, ":s": &name, ":id": 7 };
        tx.execute("UPDATE t SET n = :n, s = :s WHERE id = :id", params).map(drop)
    })?;
    check.expect("cached execute of params!", 0, || {
        tx.execute("UPDATE t SET n = ?, s = ? WHERE id = ?", params![1, &name, 7]).map(drop)
    })?;
    check.expect("cached execute of params_from_iter", 0, || {
        tx.execute("UPDATE t SET n = ?, r = ? WHERE id = ?", params_from_iter([1, 2, 7])).map(drop)
    })?;
    let mut update = tx.prepare("UPDATE t SET n = ? WHERE id = ?")?;
    check.expect("kept statement, execute", 0, || update.execute((1, 7)).map(drop))?;

    println!("and where the caller asks for them:");
    check.expect("cached query_one of a String: its one", 1, || {
        tx.query_one::<String>("SELECT s FROM t WHERE id = ?", (8,)).map(drop)
    })?;
    check.expect("1000 rows, one column as a String: one each", ROWS.into(), || {
        let mut rows = all.query(())?;
        while let Some(row) = rows.next()? {
            let _: String = row.get(s)?;
        }
        rows.finish()
    })?;
    if check.failed {
        eprintln!("a count is not as expected");
        std::process::exit(1);
    }
    Ok(())
}

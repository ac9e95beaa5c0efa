//! What grows with the result, and what must not: time per cell over rows and columns, memory of `for_each`, `batches`
//! and `columns`, and Rust's allocations per batch after the first, which are none.
//!
//! `growth [--quick]`. Fails if a batch allocates, or if the memory of `for_each` or `batches` grows with the rows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use finalite::Connection;
use finalite_peers::reference::Handle;
use finalite_peers::statistics::median;
use finalite_peers::task::{Shape, Workload};
use finalite_peers::{Result, scans};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // Absent while the thread ends: nobody counts there.
    let _ = COUNT.try_with(|count| count.set(count.get() + u64::from(bytes > 0)));
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size));
        count(-signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAMES: [&str; 4] = ["C best", "finalite for_each", "finalite batches", "finalite columns"];

fn main() -> Result<()> {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let conn = Connection::open_in_memory()?;
    let peer = Handle::of(&conn).rusqlite()?;

    println!("Nanoseconds per cell, median of 5; rows made by the query itself (an integer, a real, a text each):\n");
    println!("| rows | {} |\n|---:|---:|---:|---:|---:|", NAMES.join(" | "));
    let most = if is_quick { 5 } else { 7 };
    for power in 4..=most {
        let rows = 10_u64.pow(power);
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             SELECT i, i + 0.5, 'a text of 18 bytes' FROM n"
        );
        print_row(&conn, &peer, rows, &sql, rows * 3)?;
    }

    println!("\nThe same over columns of integers, 200,000 cells each:\n");
    println!("| columns | {} |\n|---:|---:|---:|---:|---:|", NAMES.join(" | "));
    for columns in [1_u64, 2, 5, 10, 20, 50, 100, 200] {
        let rows = 200_000 / columns;
        let names: Vec<_> = (0..columns).map(|column| format!("c{column} INTEGER")).collect();
        let values: Vec<_> = (0..columns).map(|column| format!("i + {column}")).collect();
        conn.execute_batch(&format!(
            "CREATE TABLE wide({}); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO wide SELECT {} FROM n;",
            names.join(", "),
            values.join(", ")
        ))?;
        print_row(&conn, &peer, columns, "SELECT * FROM wide", rows * columns)?;
        conn.execute("DROP TABLE wide", ())?;
    }
    print_memory(most)
}

fn print_row(conn: &Connection, peer: &rusqlite::Connection, label: u64, sql: &str, cells: u64) -> Result<()> {
    // The workload is named for the program's whole life; a few of them are.
    let sql: &'static str = String::leak(sql.to_owned());
    let workload: &'static Workload =
        Box::leak(Box::new(Workload { name: "growth", sql, shape: Shape::Wide, is_keyed: false }));
    let mut competitors = scans::competitors(conn, peer, workload, &[])?;
    competitors.retain(|competitor| NAMES.contains(&competitor.name));
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); competitors.len()];
    let mut expected = None;
    for round in 0..=5 {
        for (competitor, samples) in competitors.iter_mut().zip(&mut samples) {
            let begin = Instant::now();
            let checksum = (competitor.run)(u64::MAX)?;
            let nanoseconds = begin.elapsed().as_nanos() as f64;
            if *expected.get_or_insert(checksum) != checksum {
                return Err(format!("{} read other data than the others", competitor.name).into());
            }
            if round > 0 {
                samples.push(nanoseconds / cells as f64);
            }
        }
    }
    let figures: Vec<_> = samples.iter_mut().map(|samples| format!("{:.1}", median(samples))).collect();
    println!("| {label} | {} |", figures.join(" | "));
    Ok(())
}

/// The most bytes at once, of a connection of its own: Rust's, above what there was before, and SQLite's.
fn peaks(run: impl FnOnce(&Connection) -> finalite::Result<()>) -> Result<(i64, u64)> {
    let conn = Connection::open_in_memory()?;
    // What is made once is made: the statement, and what the thread needs.
    conn.scan(GENERATED, (1,)).for_each(|_| Ok(()))?;
    let before = LIVE.get();
    PEAK.set(before);
    run(&conn)?;
    Ok((PEAK.get() - before, conn.memory().peak_bytes))
}

const GENERATED: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
    SELECT i, i + 0.5, 'a text of 18 bytes', iif(i % 3, NULL, x'0102') FROM n";

fn print_memory(most: u32) -> Result<()> {
    println!("\nBytes above what there was before, Rust's and SQLite's, and allocations per batch after the first:\n");
    println!("| rows | for_each | | batches of {} | | per batch | columns | |", scans::BATCH);
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut first = None;
    for power in 4..=most {
        let rows = 10_i64.pow(power);
        let each = peaks(|conn| conn.scan(GENERATED, (rows,)).for_each(|_| Ok(())).map(drop))?;
        let (mut counts, mut allocated) = (Vec::with_capacity(1 << 12), 0);
        let batches = peaks(|conn| {
            conn.scan(GENERATED, (rows,))
                .batches(scans::BATCH, |batch| {
                    let sum = batch.column(0)?.as_i64()?.iter().sum::<i64>();
                    counts.push(COUNT.get());
                    std::hint::black_box(sum);
                    Ok(())
                })
                .map(drop)
        })?;
        if let [first, .., last] = counts[..] {
            allocated = last - first;
        }
        let columns = peaks(|conn| conn.scan(GENERATED, (rows,)).columns().map(drop))?;
        println!(
            "| {rows} | {} | {} | {} | {} | {allocated} | {} | {} |",
            each.0, each.1, batches.0, batches.1, columns.0, columns.1
        );
        if allocated > 0 {
            return Err("a batch after the first allocates".into());
        }
        let (each_first, batches_first) = *first.get_or_insert((each, batches));
        if each != each_first || batches != batches_first {
            return Err("memory grows with the rows".into());
        }
    }
    Ok(())
}

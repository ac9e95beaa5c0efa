//! Inserts rows into a file in three ways, and prints how many rows each of them takes in a second.
//!
//! `cargo run --release --example bulk_insert -- [ROWS]`; 1,000,000 rows unless given.

mod events;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use finalite::{Connection, OpenOptions, Result};

const INSERT: &str = "INSERT INTO readings(time, sensor, value) VALUES (?, ?, ?)";

/// A row to insert: numbers, and a text that is bound without being copied.
fn reading(n: u32) -> (i64, &'static str, f64) {
    const SENSORS: [&str; 3] = ["kitchen", "cellar", "garden"];
    (1_700_000_000 + i64::from(n), SENSORS[n as usize % SENSORS.len()], f64::from(n % 400) / 10.0)
}

/// Every row is a transaction of its own, which waits for the disk or at least for the system.
fn autocommit(conn: &mut Connection, rows: u32) -> Result<()> {
    for n in 0..rows {
        conn.execute(INSERT, reading(n))?;
    }
    Ok(())
}

/// The same calls in one transaction. The connection keeps the statement, so it is prepared once.
fn one_transaction(conn: &mut Connection, rows: u32) -> Result<()> {
    let tx = conn.transaction()?;
    for n in 0..rows {
        tx.execute(INSERT, reading(n))?;
    }
    tx.commit()
}

/// The statement in hand: nothing is looked up between rows.
fn prepared(conn: &mut Connection, rows: u32) -> Result<()> {
    let tx = conn.transaction()?;
    tx.prepare(INSERT)?.execute_many((0..rows).map(reading))?;
    tx.commit()
}

type Insert = fn(&mut Connection, u32) -> Result<()>;

/// Into a new file.
fn measure(insert: Insert, rows: u32) -> Result<Duration, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut conn = OpenOptions::recommended().open(directory.path().join("readings.db"))?;
    conn.execute("CREATE TABLE readings(time INTEGER, sensor TEXT, value REAL) STRICT", ())?;
    let start = Instant::now();
    insert(&mut conn, rows)?;
    let elapsed = start.elapsed();
    assert_eq!(conn.query_one::<u32>("SELECT count(*) FROM readings", ())?, rows);
    conn.close()?;
    Ok(elapsed)
}

fn run(rows: u32) -> Result<(), Box<dyn Error>> {
    let ways: [(&str, Insert, u32); 3] = [
        // Row by row, all of them would take too long.
        ("autocommit, execute", autocommit, rows.min(1000)),
        ("one transaction, execute", one_transaction, rows),
        ("one transaction, prepare and execute_many", prepared, rows),
    ];
    let mut out = io::stdout();
    for (n, (name, insert, rows)) in ways.into_iter().enumerate() {
        let seconds = measure(insert, rows)?.as_secs_f64();
        if n == 0 {
            writeln!(out, "{:41}{:>11}{:>10}{:>17}", "", "rows", "seconds", "rows per second")?;
        }
        writeln!(out, "{name:41}{rows:11}{seconds:10.3}{:17.0}", f64::from(rows) / seconds)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    events::warn_on_stderr();
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(1_000_000), |rows| rows.parse());
    let (Ok(rows @ 1..), None) = (rows, arguments.next()) else {
        eprintln!("usage: bulk_insert [ROWS]");
        return ExitCode::from(2);
    };
    match run(rows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

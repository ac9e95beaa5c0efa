//! Writes a table to a Parquet file, batch by batch.
//!
//! `cargo run --release -p finalite-arrow --example to_parquet -- DATABASE TABLE FILE`

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use finalite::scan::ScanStrategy;
use finalite::sql::quote_identifier;
use finalite::{Connection, OpenOptions};
use finalite_arrow::Options;
use parquet::arrow::ArrowWriter;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, table, file] = &arguments[..] else {
        eprintln!("usage: to_parquet DATABASE TABLE FILE");
        return ExitCode::from(2);
    };
    match run(Path::new(database), table, Path::new(file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(database: &Path, table: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let conn = OpenOptions::new().read_only(true).create(false).open(database)?;
    // Under another name until it is whole.
    let part = file.with_extension("part");
    let written = write(&conn, table, &part);
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written?;
    fs::rename(&part, file)?;
    conn.close()?;
    Ok(())
}

fn write(conn: &Connection, table: &str, file: &Path) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let total: u64 = conn.query_one(&format!("SELECT count(*) FROM {}", quote_identifier(table)), ())?;
    let mut strategy = ScanStrategy::Statement;
    let scan = conn.scan_table(table).all_columns().threads(2).on_end(|plan| strategy = plan.strategy);
    let mut done = 0;
    let mut writer = None;
    // A result without rows is one empty batch, so there is a writer in any case.
    Options::new().rows(65_536).for_each_record_batch(scan, |batch| {
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(ArrowWriter::try_new(File::create(file)?, batch.schema(), None)?),
        };
        writer.write(&batch)?;
        done += batch.num_rows() as u64;
        show(table, done, total);
        Ok::<(), Box<dyn Error>>(())
    })?;
    if let Some(writer) = writer {
        writer.close()?;
    }
    let (seconds, bytes) = (start.elapsed().as_secs_f64(), fs::metadata(file)?.len());
    println!("{done} rows, {bytes} bytes, {seconds:.1} s, {strategy:?}");
    Ok(())
}

/// Draws the bar anew; without a terminal, nothing.
fn show(table: &str, done: u64, total: u64) {
    let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
    let bar: String = (0..25).map(|n| if n * 4 < percent { '#' } else { '.' }).collect();
    if io::stdout().is_terminal() {
        print!("\r{table}  [{bar}] {percent:3} %  {done} of {total} rows ");
        let _ = io::stdout().flush();
    }
}

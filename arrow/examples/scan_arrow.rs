//! Reads a table as Arrow record batches, and prints the types and NULLs of the columns, and the speed.
//!
//! `cargo run --release -p finalite-arrow --example scan_arrow -- DATABASE TABLE [--where CONDITION] [--threads N]`

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use arrow_array::Array;
use finalite::OpenOptions;
use finalite::scan::ScanStrategy;
use finalite::sql::quote_identifier;
use finalite_arrow::Options;

const USAGE: &str = "usage: scan_arrow DATABASE TABLE [--where CONDITION] [--threads N]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (Some(database), Some(table)) = (arguments.next(), arguments.next()) else {
        return Err(USAGE.into());
    };
    let (mut condition, mut threads) = (String::new(), 1);
    while let (Some(option), value) = (arguments.next(), arguments.next()) {
        match (&*option, value) {
            ("--where", Some(value)) => condition = format!(" WHERE {value}"),
            ("--threads", Some(value)) => {
                threads = value.parse().map_err(|_| format!("--threads needs a number, not {value}"))?;
            }
            _ => return Err(USAGE.into()),
        }
    }

    let conn = OpenOptions::new().read_only(true).create(false).open(&database)?;
    conn.execute("PRAGMA mmap_size = 1073741824", ())?;
    let sql = format!("SELECT * FROM {}{condition}", quote_identifier(&table));
    let mut plan = None;
    let scan = conn.scan(&sql, ()).strategy(ScanStrategy::Pages).threads(threads).on_end(|it| plan = Some(it));
    let start = Instant::now();
    let (mut rows, mut columns) = (0, Vec::new());
    Options::new().rows(65_536).for_each_record_batch(scan, |batch| {
        columns.resize_with(batch.num_columns(), Column::default);
        rows += batch.num_rows();
        for ((column, array), field) in columns.iter_mut().zip(batch.columns()).zip(batch.schema_ref().fields()) {
            column.nulls += array.null_count();
            column.field = format!("{} {}", field.name(), field.data_type());
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    let elapsed = start.elapsed();
    conn.close()?;

    println!("{sql}");
    if let Some(plan) = plan {
        println!("{plan}");
    }
    for Column { field, nulls } in &columns {
        println!("  {field}: {nulls} of {rows} NULL");
    }
    let nanoseconds = elapsed.as_nanos().checked_div(rows as u128).unwrap_or(0);
    println!("{rows} rows in {:.3} s, {nanoseconds} ns a row", elapsed.as_secs_f64());
    Ok(())
}

#[derive(Default)]
struct Column {
    field: String,
    nulls: usize,
}

//! Record batches of a table, and rows from record batches, beside rusqlite with Arrow's builders.
//!
//! `cargo run --release [ROWS [ROUNDS [WORKLOAD]]]`: every competitor runs once a round, in another order each round. Printed are
//! the medians of the ratios within a round to the first competitor, with the interval that order statistics give for
//! them (95 %). The first round fills the caches and is dropped.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType;
use finalite::scan::ScanStrategy;
use finalite::{Connection, OpenOptions};
use finalite_arrow::{Options, insert_record_batches};
use finalite_arrow_benches::builders;

type Outcome<T> = Result<T, Box<dyn Error>>;

const TABLE: &str = "t(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB)";
const BATCH: usize = Options::ROWS;
const QUERIES: [(&str, &str); 4] = [
    ("1 integer", "SELECT i1 FROM t"),
    ("4 numbers", "SELECT i1, i2, r1, r2 FROM t"),
    ("2 texts", "SELECT s1, s2 FROM t"),
    ("8 columns", "SELECT * FROM t"),
];

fn build(path: &Path, rows: u32) -> Outcome<()> {
    let conn = Connection::open(path)?;
    conn.execute(&format!("CREATE TABLE {TABLE}"), ())?;
    conn.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO t SELECT i, i * 7919 % 1000003, -i, i / 3.0, i * 0.5, printf('text %08d', i),
                              printf('a text of thirty-five bytes %07d', i), randomblob(16) FROM n",
        (rows,),
    )?;
    Ok(())
}

/// What makes sure that everybody has read the same.
fn sum_of(batch: &RecordBatch) -> u64 {
    let mut sum = batch.num_rows() as u64;
    for array in batch.columns() {
        sum = sum.wrapping_add(match array.data_type() {
            DataType::Int64 => array.as_primitive::<Int64Type>().values().iter().fold(0, |a, b| a ^ b.cast_unsigned()),
            DataType::Float64 => array.as_primitive::<Float64Type>().values().iter().fold(0, |a, b| a ^ b.to_bits()),
            DataType::Utf8 => array.as_string::<i32>().value_data().len() as u64,
            _ => array.as_binary::<i32>().value_data().len() as u64,
        });
    }
    sum
}

fn with_rusqlite(conn: &rusqlite::Connection, sql: &str) -> Outcome<u64> {
    let mut sum = 0;
    builders::read(conn, sql, |batch| sum += sum_of(&batch))?;
    Ok(sum)
}

fn with_finalite(conn: &Connection, sql: &str, strategy: ScanStrategy, threads: usize) -> Outcome<u64> {
    let mut sum = 0;
    Options::new().rows(BATCH).for_each_record_batch(
        conn.scan(sql, ()).strategy(strategy).threads(threads),
        |batch| {
            sum += sum_of(&batch);
            Ok::<(), finalite_arrow::Error>(())
        },
    )?;
    Ok(sum)
}

fn in_memory(conn: &Connection, sql: &str) -> Outcome<u64> {
    let batches = Options::new().rows(BATCH).record_batches(conn.scan(sql, ()).strategy(ScanStrategy::Pages))?;
    let mut sum = 0;
    for batch in batches {
        sum += sum_of(&batch?);
    }
    Ok(sum)
}

fn stream(path: &Path, sql: &'static str) -> Outcome<u64> {
    let conn = open(path)?;
    let pages = ScanStrategy::Pages;
    let mut sum = 0;
    for batch in Options::new().rows(BATCH).stream(conn, move |conn| conn.scan(sql, ()).strategy(pages))? {
        sum += sum_of(&batch?);
    }
    Ok(sum)
}

fn open(path: &Path) -> Outcome<Connection> {
    Ok(OpenOptions::new().read_only(true).create(false).pragma("mmap_size", 1 << 30).open(path)?)
}

/// Inserts by rusqlite's kept statement, in one transaction.
fn insert_with_rusqlite(batches: &[RecordBatch]) -> Outcome<u64> {
    let mut conn = rusqlite::Connection::open_in_memory()?;
    conn.execute_batch(&format!("CREATE TABLE {TABLE}"))?;
    let transaction = conn.transaction()?;
    let mut rows = 0;
    {
        let mut statement = transaction.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        for batch in batches {
            let integers = [0, 1, 2].map(|column| batch.column(column).as_primitive::<Int64Type>());
            let reals = [3, 4].map(|column| batch.column(column).as_primitive::<Float64Type>());
            let texts = [5, 6].map(|column| batch.column(column).as_string::<i32>());
            let blobs = batch.column(7).as_binary::<i32>();
            for row in 0..batch.num_rows() {
                rows += statement.execute(rusqlite::params![
                    integers[0].value(row),
                    integers[1].value(row),
                    integers[2].value(row),
                    reals[0].value(row),
                    reals[1].value(row),
                    texts[0].value(row),
                    texts[1].value(row),
                    blobs.value(row),
                ])?;
            }
        }
    }
    transaction.commit()?;
    Ok(rows as u64)
}

fn insert_with_finalite(batches: &[RecordBatch]) -> Outcome<u64> {
    let conn = Connection::open_in_memory()?;
    conn.execute(&format!("CREATE TABLE {TABLE}"), ())?;
    Ok(insert_record_batches(&conn, "t", batches.iter().cloned().map(Ok))?)
}

type Competitor<'a> = (&'a str, Box<dyn Fn() -> Outcome<u64> + 'a>);

/// Runs all in turns, and prints the ratios to the first.
fn compare(what: &str, rounds: usize, rows: u64, competitors: &[Competitor<'_>]) -> Outcome<()> {
    let mut times = vec![vec![]; competitors.len()];
    let mut expected = None;
    for round in 0..=rounds {
        for turn in 0..competitors.len() {
            let index = (turn + round) % competitors.len();
            let (name, run) = &competitors[index];
            let start = Instant::now();
            let sum = run()?;
            let elapsed = start.elapsed().as_secs_f64();
            if *expected.get_or_insert(sum) != sum {
                return Err(format!("{what}: {name} has read something else").into());
            }
            if round > 0 {
                times[index].push(elapsed);
            }
        }
    }
    for (index, (name, _)) in competitors.iter().enumerate() {
        let mut ratios: Vec<f64> = times[index].iter().zip(&times[0]).map(|(time, first)| time / first).collect();
        let mut nanos: Vec<f64> = times[index].iter().map(|time| time * 1e9 / rows as f64).collect();
        ratios.sort_by(f64::total_cmp);
        nanos.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        let half = (0.98 * (ratios.len() as f64).sqrt()).ceil() as usize;
        let (low, high) = (ratios[middle.saturating_sub(half)], ratios[(middle + half).min(ratios.len() - 1)]);
        println!("{what}  {name:32} {:.2} ({low:.2}-{high:.2})  {:.0} ns/row", ratios[middle], nanos[middle]);
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let rounds = arguments.next().map_or(Ok(30), |text| text.parse())?;
    let only = arguments.next();
    let is_wanted = |what: &str| only.as_deref().is_none_or(|only| only == what);
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("t.db");
    build(&path, rows)?;
    println!("{rows} rows, {rounds} rounds, batches of {BATCH}, SQLite {}", rusqlite::version());
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let theirs = rusqlite::Connection::open_with_flags(&path, flags)?;
    theirs.pragma_update(None, "mmap_size", 1 << 30)?;
    let ours = open(&path)?;
    for (what, sql) in QUERIES.into_iter().filter(|(what, _)| is_wanted(what)) {
        let competitors: [Competitor<'_>; 7] = [
            ("rusqlite, builders", Box::new(|| with_rusqlite(&theirs, sql))),
            ("rusqlite, builders again", Box::new(|| with_rusqlite(&theirs, sql))),
            ("for_each, statement", Box::new(|| with_finalite(&ours, sql, ScanStrategy::Statement, 1))),
            ("for_each, pages", Box::new(|| with_finalite(&ours, sql, ScanStrategy::Pages, 1))),
            ("for_each, pages, 2 threads", Box::new(|| with_finalite(&ours, sql, ScanStrategy::Pages, 2))),
            ("record_batches, pages", Box::new(|| in_memory(&ours, sql))),
            ("RecordBatchStream, pages", Box::new(|| stream(&path, sql))),
        ];
        compare(what, rounds, rows.into(), &competitors)?;
    }
    if !is_wanted("insert") {
        return Ok(());
    }
    let batches: Vec<RecordBatch> =
        finalite_arrow::record_batches(ours.scan_table("t").all_columns().limit(200_000))?.collect::<Result<_, _>>()?;
    let inserted = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let competitors: [Competitor<'_>; 3] = [
        ("rusqlite, kept statement", Box::new(|| insert_with_rusqlite(&batches))),
        ("rusqlite, kept statement again", Box::new(|| insert_with_rusqlite(&batches))),
        ("insert_record_batches", Box::new(|| insert_with_finalite(&batches))),
    ];
    compare("insert", rounds, inserted, &competitors)
}

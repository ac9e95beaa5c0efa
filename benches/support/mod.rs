//! What the benches share: the data, the loops over SQLite's C interface that finalite is compared with, and the table
//! of ratios at the end.
#![allow(dead_code, reason = "each bench uses a part")]

pub mod c;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use finalite::{Connection, OpenOptions, Result};
use tempfile::TempDir;

pub const ROWS: u32 = 100_000;

/// A database in a file with the table `t`: an integer key, two integers, two reals, two texts, a blob.
pub fn database() -> (TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().pragma("mmap_size", 1_i64 << 30);
    let conn = options.open(dir.path().join("bench.db")).unwrap();
    conn.execute_batch(&format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO t SELECT i, i * 7919 % 30000, i * 104729 % 2147483647, i / 3.0 + 0.1, i * 0.7 + 0.3,
             printf('%013x', i * 65537), printf('%016x-%016x--', i * 7919, i * 104729), zeroblob(16) FROM n;"
    ))
    .unwrap();
    (dir, conn)
}

/// The sum that every competitor makes of a text or blob.
#[inline(always)]
pub fn sum_of_bytes(bytes: &[u8]) -> u64 {
    bytes.len() as u64 + bytes.last().copied().map_or(0, u64::from)
}

/// Measures competitors, and remembers how long each took.
pub struct Table<'c> {
    group: BenchmarkGroup<'c, WallTime>,
    name: &'static str,
    rows: RefCell<Vec<(&'static str, Vec<f64>)>>,
}

impl<'c> Table<'c> {
    pub fn new(criterion: &'c mut Criterion, name: &'static str) -> Self {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(30).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        Self { group, name, rows: RefCell::default() }
    }

    /// Adds a competitor. `run` does the work once; all of a table return the same checksum.
    pub fn add(&mut self, name: &'static str, mut run: impl FnMut() -> Result<u64>) {
        let expected = run().unwrap();
        let samples = RefCell::new(Vec::new());
        self.group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let start = Instant::now();
                for _ in 0..times {
                    assert_eq!(run().unwrap(), expected);
                }
                let elapsed = start.elapsed();
                samples.borrow_mut().push(elapsed.as_secs_f64() / times as f64);
                elapsed
            });
        });
        self.rows.borrow_mut().push((name, samples.into_inner()));
    }

    /// Prints the median of each as a ratio to the first ones, if those were measured.
    pub fn finish(self, references: usize) {
        self.group.finish();
        let rows = self.rows.into_inner();
        let medians: Vec<(&str, Option<f64>)> = rows.into_iter().map(|(name, all)| (name, median(all))).collect();
        let references: Vec<(&str, f64)> =
            medians[..references].iter().filter_map(|&(name, time)| Some((name, time?))).collect();
        println!("\n{}: time over the time of …", self.name);
        let heads: String = references.iter().map(|(name, _)| format!("{name:>28}")).collect();
        println!("{:32}{heads}", "");
        for (name, time) in medians.iter().filter_map(|&(name, time)| Some((name, time?))) {
            let ratios: String =
                references.iter().map(|(_, reference)| format!("{:>28.2}", time / reference)).collect();
            println!("{name:32}{ratios}");
        }
        println!();
    }
}

/// Of the samples that were measured, which are the later ones: criterion warms up first.
fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.drain(..samples.len().saturating_sub(30));
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}

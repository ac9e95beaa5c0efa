//! The workloads, the same code for each driver, and the lines by which a process is told what to do.

use std::future::Future;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rows of the table `t`.
pub const ROWS: i64 = 400_000;

/// Pragmas of each connection.
#[allow(dead_code)]
pub const PRAGMAS: &str = "PRAGMA journal_mode = wal; PRAGMA synchronous = off; PRAGMA cache_size = -64000; \
                           PRAGMA foreign_keys = on; PRAGMA busy_timeout = 5000";
#[allow(dead_code)]
pub const LOOKUP: &str = "SELECT s1, i1 FROM t WHERE id = ?";
#[allow(dead_code)]
pub const INSERT: &str = "INSERT INTO log(a, b, c) VALUES (?, ?, ?)";
#[allow(dead_code)]
pub const STREAM: &str = "SELECT id, s1, i1 FROM t";

/// What a driver does. Everything is awaited, and owned.
pub trait Driver: Send + Sync + 'static {
    fn lookup(&self, id: i64) -> impl Future<Output = (String, i64)> + Send;
    fn insert(&self, a: i64, b: String, c: f64) -> impl Future<Output = ()> + Send;
    /// Reads all rows, one after the other, and returns [`checksum`] of them.
    fn stream(&self) -> impl Future<Output = u64> + Send;
}

/// Adds a row.
#[allow(dead_code)]
pub fn checksum(sum: u64, id: i64, text: &str, number: i64) -> u64 {
    sum.wrapping_add(id as u64)
        .wrapping_add(number as u64)
        .wrapping_add(text.len() as u64 + text.as_bytes().last().map_or(0, |&last| u64::from(last)))
}

/// Serves standard input: a line `lookup TASKS OPERATIONS`, and the answer `NANOSECONDS_PER_OPERATION P50 P99 CHECKSUM`.
#[allow(dead_code)]
pub fn serve<D: Driver>(open: impl AsyncFnOnce(&str) -> D) {
    let path = std::env::args().nth(1).expect("the database");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let driver = Arc::new(runtime.block_on(open(&path)));
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        let workload = words.next().unwrap().to_owned();
        let [tasks, operations] = [0, 1].map(|_| words.next().unwrap().parse::<u64>().unwrap());
        let (took, mut times, sum) = runtime.block_on(run(&driver, &workload, tasks, operations));
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_nanos();
        println!("{} {} {} {sum}", took.as_nanos() / u128::from(operations), at(50), at(99));
        std::io::stdout().flush().unwrap();
    }
    // deadpool-sqlite panics outside of the runtime.
    runtime.block_on(async { drop(driver) });
}

async fn run<D: Driver>(
    driver: &Arc<D>,
    workload: &str,
    tasks: u64,
    operations: u64,
) -> (Duration, Vec<Duration>, u64) {
    if workload == "stream" {
        let begin = Instant::now();
        let driver = Arc::clone(driver);
        let sum = tokio::spawn(async move { driver.stream().await }).await.unwrap();
        let took = begin.elapsed();
        return (took, vec![took], sum);
    }
    let next = Arc::new(AtomicU64::new(0));
    let is_insert = workload == "insert";
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let (driver, next) = (Arc::clone(driver), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut times, mut sum) = (Vec::new(), 0);
                loop {
                    let operation = next.fetch_add(1, Ordering::Relaxed);
                    if operation >= operations {
                        return (times, sum);
                    }
                    let begin = Instant::now();
                    if is_insert {
                        driver.insert(operation as i64, format!("line number {operation}"), 0.5).await;
                        sum += 1;
                    } else {
                        let id = (operation.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as i64 % ROWS + 1;
                        let (text, number) = driver.lookup(id).await;
                        sum = checksum(sum, id, &text, number);
                    }
                    times.push(begin.elapsed());
                }
            })
        })
        .collect();
    let (mut times, mut sum) = (Vec::new(), 0_u64);
    for task in running {
        let (its, part) = task.await.unwrap();
        times.extend(its);
        sum = sum.wrapping_add(part);
    }
    (begin.elapsed(), times, sum)
}

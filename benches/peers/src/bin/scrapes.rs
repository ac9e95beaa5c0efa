//! What it costs a program to be looked at: queries while the endpoint is scraped ten times a second, while it only
//! serves, and without it.
//!
//! `scrapes [--quick] [--csv PATH]`. One process: the three take turns within a round, in an order that turns.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use finalite::Connection;
use finalite_endpoint::{Endpoint, serve};
use finalite_peers::Result;
use finalite_peers::report::{self, Comparison, show, target};

const NOBODY: &str = "no endpoint";
const SERVED: &str = "served";
const SCRAPED: &str = "scraped";
const COMPARISONS: [Comparison; 6] = [
    target("lookup", SCRAPED, SERVED, 1.02),
    show("lookup", SERVED, NOBODY),
    target("scan", SCRAPED, SERVED, 1.02),
    show("scan", SERVED, NOBODY),
    target("prepare", SCRAPED, SERVED, 1.02),
    show("prepare", SERVED, NOBODY),
];

const ROWS: i64 = 10_000;

type Work<'a> = &'a dyn Fn(u64) -> Result<i64>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let csv = arguments.iter().position(|argument| argument == "--csv").and_then(|at| arguments.get(at + 1));
    let (rounds, length) = if is_quick { (2, Duration::from_millis(60)) } else { (40, Duration::from_millis(400)) };

    let conn = Connection::open_in_memory()?;
    conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")?;
    conn.prepare("INSERT INTO t VALUES (?, ?, ?)")?.execute_many((1..=ROWS).map(|n| (n, n * 7, format!("row {n}"))))?;
    // What a service has open besides.
    let others: Vec<Connection> = (0..8).map(|_| Connection::open_in_memory()).collect::<finalite::Result<_>>()?;
    for other in &others {
        other.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    }

    let lookup = |n: u64| -> Result<i64> {
        let id = i64::try_from(n % ROWS.unsigned_abs())? + 1;
        Ok(conn.query_one("SELECT a FROM t WHERE id = ?", (id,))?)
    };
    let scan = |_: u64| -> Result<i64> {
        let mut sum = 0;
        conn.scan("SELECT a FROM t", ()).for_each(|row| {
            sum += row.get::<i64>(0)?;
            Ok(())
        })?;
        Ok(sum)
    };
    let prepare = |_: u64| -> Result<i64> { Ok(conn.prepare("SELECT a FROM t WHERE id = 1")?.query_one(())?) };
    let workloads: [(&str, u64, Work<'_>); 3] =
        [("lookup", 64, &lookup), ("scan", 1, &scan), ("prepare", 16, &prepare)];

    let mut output = String::new();
    for (workload, batch, work) in workloads {
        for round in 0..rounds {
            for position in 0..3 {
                let competitor = [NOBODY, SERVED, SCRAPED][(round + position) % 3];
                let watcher = Watcher::new(competitor)?;
                // Statements that were prepared before have no record, or one: those of this turn are to be its own.
                conn.clear_statement_cache();
                work(0)?;
                let (operations, elapsed) = run(length, batch, work)?;
                watcher.end(length)?;
                // Per million operations: the turns differ in how many they did.
                let nanoseconds = elapsed.as_nanos() * 1_000_000 / u128::from(operations);
                // The rounds are what there is many of: each counts as the report counts a process.
                output += &format!("{workload},-,{round},{round},{position},{competitor},1000000,{nanoseconds}\n");
            }
        }
    }
    let missed = report::print(&output, &COMPARISONS)?;
    if let Some(path) = csv {
        std::fs::write(path, report::csv(&output))?;
    }
    if !is_quick {
        missed.iter().for_each(|missed| println!("\nmissed: {missed}"));
    }
    Ok(())
}

/// Works for this long, looking at the clock once per batch.
fn run(length: Duration, batch: u64, work: Work<'_>) -> Result<(u64, Duration)> {
    let start = Instant::now();
    let mut operations = 0;
    while start.elapsed() < length {
        for _ in 0..batch {
            black_box(work(operations)?);
            operations += 1;
        }
    }
    Ok((operations, start.elapsed()))
}

/// An endpoint, and somebody who scrapes it.
struct Watcher {
    endpoint: Option<Endpoint>,
    scraper: Option<thread::JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    scrapes: Arc<AtomicU64>,
}

impl Watcher {
    fn new(competitor: &str) -> Result<Self> {
        let endpoint = (competitor != NOBODY).then(|| serve("127.0.0.1:0")).transpose()?;
        let (is_over, scrapes) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let address = endpoint.as_ref().map(Endpoint::address).filter(|_| competitor == SCRAPED);
        let scraper = address.map(|address| {
            let (is_over, scrapes) = (Arc::clone(&is_over), Arc::clone(&scrapes));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(get(address, "/metrics").expect("an answer").contains("sqlite_native_memory_bytes "));
                    scrapes.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(100));
                }
            })
        });
        Ok(Self { endpoint, scraper, is_over, scrapes })
    }

    /// Sees to it that there were as many scrapes as there should be.
    fn end(self, length: Duration) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(scraper) = self.scraper {
            scraper.join().map_err(|_| "the scraper failed")?;
            let expected = u64::try_from(length.as_millis())? / 150;
            let scrapes = self.scrapes.load(Ordering::Relaxed);
            if scrapes < expected {
                return Err(format!("{scrapes} scrapes instead of {expected}").into());
            }
        }
        drop(self.endpoint);
        Ok(())
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(address)?;
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    Ok(answer)
}

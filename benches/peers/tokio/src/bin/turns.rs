//! Async drivers in turn: one process of each waits at a pipe, and each round has them work one after the other, in
//! another order. Ratios are taken within a round.
//!
//! `turns [--quick] [--rounds N]`; the programs are found beside this one and in `others/`, where `run.sh` builds them.

#[path = "../task.rs"]
#[allow(dead_code)]
mod task;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The control is finalite again. In `finalite grouped`, inserts share transactions.
const PEERS: [&str; 7] =
    ["finalite", "finalite again", "finalite grouped", "tokio-rusqlite", "deadpool-sqlite", "async-sqlite", "sqlx"];

struct Peer {
    name: &'static str,
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    nanoseconds: f64,
    p50: f64,
    p99: f64,
    /// Seconds of processors, of all threads.
    cpu: f64,
    sum: u64,
}

impl Peer {
    fn start(name: &'static str, program: &Path, database: &Path) -> Self {
        let mut process = Command::new(program)
            .arg(database)
            .args(name.strip_prefix("finalite "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run.sh builds it", program.display()));
        let stdin = process.stdin.take().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "{name}");
        Self { name, process, stdin, stdout, samples: Vec::new() }
    }

    fn run(&mut self, command: &str) -> Sample {
        let before = cpu(self.process.id());
        writeln!(self.stdin, "{command}").unwrap();
        self.stdin.flush().unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        let words: Vec<&str> = answer.split_whitespace().collect();
        let [nanoseconds, p50, p99, sum] = words[..] else { panic!("{}: {answer}", self.name) };
        let number = |word: &str| word.parse::<f64>().unwrap();
        let cpu = cpu(self.process.id()) - before;
        Sample { nanoseconds: number(nanoseconds), p50: number(p50), p99: number(p99), cpu, sum: sum.parse().unwrap() }
    }
}

/// Time of processors that a process has used, in seconds. The system counts in hundredths.
fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    fields.iter().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Of an odd number of values.
fn median(mut values: Vec<f64>) -> f64 {
    assert!(values.len() % 2 == 1);
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn create(path: &Path) {
    let conn = finalite::OpenOptions::recommended().open(path).unwrap();
    conn.execute_batch(&format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, s1 TEXT, i1 INTEGER);
         CREATE TABLE log(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO t SELECT i, 'text ' || (i * 7919), i * 31 FROM n",
        task::ROWS
    ))
    .unwrap();
    conn.close().unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let given =
        arguments.iter().position(|argument| argument == "--rounds").map(|at| arguments[at + 1].parse().unwrap());
    let rounds: usize = given.unwrap_or(if is_quick { 3 } else { 15 });
    assert!(rounds % 2 == 1, "--rounds: an odd number, which has a median");
    let own = std::env::current_exe().unwrap();
    let others =
        PathBuf::from(std::env::var_os("PEERS_TARGET").expect("PEERS_TARGET: where run.sh has built the others"));
    let dir = tempfile::tempdir().unwrap();
    let mut peers = PEERS.map(|name| {
        // A database each: nobody meets another's locks.
        let database = dir.path().join(format!("{name}.db"));
        create(&database);
        let program = match name {
            finalite if finalite.starts_with("finalite") => own.with_file_name("finalite"),
            other => others.join(format!("peer-{other}")),
        };
        Peer::start(name, &program, &database)
    });
    println!("{rounds} rounds, {} processors, load {}", std::thread::available_parallelism().unwrap(), load());
    println!("| | driver | ns per operation | ratio to finalite | to finalite grouped | p50 µs | p99 µs | CPU µs |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    let operations = if is_quick { 2_000 } else { 20_000 };
    let mut workloads: Vec<(String, String, usize)> = Vec::new();
    for workload in ["lookup", "insert"] {
        for tasks in [1, 8, 64] {
            let command = format!("{workload} {tasks} {operations}");
            workloads.push((format!("{workload}, {tasks} tasks"), command, operations));
        }
    }
    let rows = usize::try_from(task::ROWS).unwrap();
    workloads.push((format!("stream of {rows} rows"), format!("stream 1 {rows}"), rows));
    for (name, command, count) in workloads {
        for round in 0..=rounds {
            let mut sums = Vec::new();
            for turn in 0..peers.len() {
                let place = (turn * 5 + round) % peers.len();
                let sample = peers[place].run(&command);
                sums.push(sample.sum);
                // The first round fills the caches.
                if round > 0 {
                    peers[place].samples.push(sample);
                }
            }
            assert!(sums.iter().all(|sum| *sum == sums[0]), "{name}: they have read other values: {sums:?}");
        }
        let [first, grouped] = ["finalite", "finalite grouped"]
            .map(|name| peers.iter().find(|peer| peer.name == name).unwrap().samples.clone());
        for peer in &mut peers {
            let samples = std::mem::take(&mut peer.samples);
            let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
            let [ratio, to_grouped] = [&first, &grouped].map(|ours| {
                median(samples.iter().zip(ours).map(|(its, ours)| its.nanoseconds / ours.nanoseconds).collect())
            });
            println!(
                "| {name} | {} | {:.0} | {ratio:.2} | {to_grouped:.2} | {:.1} | {:.1} | {:.1} |",
                peer.name,
                of(|sample| sample.nanoseconds),
                of(|sample| sample.p50) / 1e3,
                of(|sample| sample.p99) / 1e3,
                samples.iter().map(|sample| sample.cpu).sum::<f64>() * 1e6 / (samples.len() * count) as f64
            );
        }
    }
    println!("load {}", load());
    for peer in peers {
        drop(peer.stdin);
        let mut process = peer.process;
        assert!(process.wait().unwrap().success(), "{}", peer.name);
    }
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

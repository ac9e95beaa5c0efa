//! What counting SQLite's memory costs: stock SQLite, SQLite that counts nothing, and finalite's allocator. METHOD.md
//! says how.
//!
//! `memory [--quick] [--processes N] [--rounds N] [--connections N] [--csv FILE] [WORKLOAD-PREFIX]`
//!
//! A process has one allocator, so this program starts itself once per column and has the processes work in turn.

use std::fs;
use std::path::PathBuf;

use finalite::Connection;
use finalite_peers::column::Column;
use finalite_peers::{Result, environment, report, sample};

mod cases;
mod idle;
mod turns;
mod worker;

/// What is measured, and how often.
struct Options {
    /// Of each column, one after the other.
    processes: u64,
    /// In each process, after one that is not counted.
    rounds: u64,
    /// Of the table that is scanned.
    rows: u64,
    /// Operations of all other workloads are this many times fewer.
    fewer: u64,
    /// How many are open at the same time.
    connections: u64,
    csv: PathBuf,
    only: String,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            processes: 10,
            rounds: 4,
            rows: 100_000,
            fewer: 1,
            connections: 1_000,
            csv: std::env::current_exe()?.with_file_name("memory.csv"),
            only: String::new(),
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--quick" => {
                    (options.processes, options.rounds, options.rows) = (1, 3, 10_000);
                    (options.fewer, options.connections) = (20, 50);
                }
                "--processes" => options.processes = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--connections" => options.connections = value()?.parse()?,
                "--csv" => options.csv = value()?.into(),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}").into()),
                _ => options.only = argument,
            }
        }
        if options.processes == 0 || options.rounds == 0 || options.connections == 0 {
            return Err("processes, rounds and connections are at least 1".into());
        }
        Ok(options)
    }

    fn wants(&self, workload: &str) -> bool {
        workload.starts_with(&self.only)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--worker", column, path] => {
            Column::of_name(column)?.enter()?;
            worker::serve(path)
        }
        ["--idle", column, driver, path, count] => {
            Column::of_name(column)?.enter()?;
            idle::hold(driver, path, count.parse()?)
        }
        _ => compare(&Options::parse(arguments.into_iter())?),
    }
}

fn compare(options: &Options) -> Result<()> {
    println!("# What counting SQLite's memory costs\n\n{}", environment::of_process());
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("scanned.db");
    let mut conn = Connection::open(&path)?;
    sample::fill(&mut conn, options.rows)?;
    conn.close()?;
    let path = path.to_str().ok_or("the temporary directory is not UTF-8")?;
    let cases: Vec<_> = cases::all(options).into_iter().filter(|case| options.wants(&case.workload)).collect();
    let mut output = String::new();
    for process in 1..=options.processes {
        eprint!("\rprocesses {process} of {} ", options.processes);
        turns::measure(options, process, path, &cases, &mut output)?;
    }
    eprintln!();
    fs::write(&options.csv, report::csv(&output))?;
    let missed = report::print(&output, &cases::COMPARISONS)?;
    if options.wants("idle") {
        idle::print(options, path)?;
    }
    println!("\nload at the end {}; raw samples in {}", environment::load(), options.csv.display());
    if missed.is_empty() {
        println!("no target is missed");
    } else {
        println!("targets missed:");
        missed.iter().for_each(|missed| println!("- {missed}"));
    }
    Ok(())
}

//! finalite against C and rusqlite over one SQLite. METHOD.md says what is compared, and how.
//!
//! `core [--quick] [--processes N] [--rounds N] [--rows N] [--csv FILE] [WORKLOAD-PREFIX]`
//!
//! The program starts itself several times. Each process measures everybody in turn, round by round; this one makes
//! the sample database, collects what they measured and prints it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use finalite_peers::{Result, environment, listener, report};

mod comparisons;
mod measure;

/// What is measured, and how often.
struct Options {
    processes: u64,
    /// In each process, after one that is not counted.
    rounds: u64,
    /// Of the table that is scanned.
    rows: u64,
    /// Operations of all other workloads are this many times fewer.
    fewer: u64,
    csv: PathBuf,
    only: String,
    /// In a process that measures: where the databases are.
    measure_in: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            processes: 10,
            rounds: 4,
            rows: 1_000_000,
            fewer: 1,
            csv: std::env::current_exe()?.with_file_name("core.csv"),
            only: String::new(),
            measure_in: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--quick" => {
                    (options.processes, options.rounds, options.rows, options.fewer) = (2, 3, 50_000, 10);
                }
                "--processes" => options.processes = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--rows" => options.rows = value()?.parse()?,
                "--csv" => options.csv = value()?.into(),
                "--measure-in" => options.measure_in = Some(value()?.into()),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}").into()),
                _ => options.only = argument,
            }
        }
        if options.processes == 0 || options.rounds == 0 || options.rows == 0 {
            return Err("processes, rounds and rows are at least 1".into());
        }
        Ok(options)
    }

    fn wants(&self, workload: &str) -> bool {
        workload.starts_with(&self.only)
    }

    /// Whether a workload is wanted whose name begins like this.
    fn wants_some(&self, group: &str) -> bool {
        self.wants(group) || self.only.starts_with(group)
    }
}

fn main() -> Result<()> {
    listener::listen_if_asked()?;
    let options = Options::parse(std::env::args().skip(1))?;
    if let Some(dir) = &options.measure_in {
        return measure::run(&options, dir);
    }
    println!("# finalite, C and rusqlite over one SQLite\n\n{}", environment::of_process());
    let dir = tempfile::tempdir()?;
    measure::prepare(&options, dir.path())?;
    let mut output = String::new();
    for process in 1..=options.processes {
        eprint!("\rprocess {process} of {} ", options.processes);
        output.push_str(&start(dir.path())?);
    }
    eprintln!();
    fs::write(&options.csv, report::csv(&output))?;
    let missed = report::print(&output, &comparisons::COMPARISONS)?;
    println!("\nload at the end {}; raw samples in {}", environment::load(), options.csv.display());
    if missed.is_empty() {
        println!("no target is missed");
    } else {
        println!("targets missed:");
        missed.iter().for_each(|missed| println!("- {missed}"));
    }
    Ok(())
}

/// One process that measures; returns what it printed.
fn start(dir: &Path) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--measure-in").arg(dir);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("a process that measures ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

//! finalite's pool against r2d2 and deadpool, over one SQLite. METHOD.md says what is compared, and how.
//!
//! `pool [--quick] [--processes N] [--rounds N] [--csv FILE] [WORKLOAD-PREFIX]`; `pool --fixed POOL N` acquires and
//! returns so often, for counting instructions.
//!
//! The program starts itself several times. Each process has all pools and measures them in turn, round by round.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use finalite::{Connection, OpenOptions};
use finalite_peers::statistics::{Estimate, median};
use finalite_peers::{Result, environment, listener, report, sample};

use report::{Comparison, show, target};

mod acquire;
mod measure;
mod peers;
mod read;

/// What an acquire and return of finalite's is to take at most, in nanoseconds.
const AT_MOST: f64 = 150.0;

const COMPARISONS: [Comparison; 23] = [
    show("acquire", "finalite reader again", "finalite reader"),
    target("acquire", "finalite reader", "r2d2", 0.5),
    target("acquire", "finalite reader", "r2d2 unchecked", 0.5),
    target("acquire", "finalite reader", "deadpool", 0.5),
    target("acquire", "finalite reader", "deadpool unchecked", 0.5),
    show("acquire", "finalite try_reader", "r2d2 unchecked"),
    show("acquire", "finalite reader_owned", "r2d2 unchecked"),
    show("lookup 8 threads", "finalite again", "finalite"),
    target("lookup 8 threads", "finalite", "r2d2", 1.0),
    target("lookup 8 threads", "finalite", "r2d2 unchecked", 1.0),
    show("lookup 8 threads", "finalite", "no pool"),
    show("range 8 threads", "finalite again", "finalite"),
    target("range 8 threads", "finalite", "r2d2", 1.0),
    target("range 8 threads", "finalite", "r2d2 unchecked", 1.0),
    show("range 8 threads", "finalite", "no pool"),
    show("lookup 2 threads", "finalite again", "finalite"),
    target("lookup 2 threads", "finalite", "r2d2", 1.0),
    target("lookup 2 threads", "finalite", "r2d2 unchecked", 1.0),
    show("lookup 2 threads", "finalite", "no pool"),
    show("range 2 threads", "finalite again", "finalite"),
    target("range 2 threads", "finalite", "r2d2", 1.0),
    target("range 2 threads", "finalite", "r2d2 unchecked", 1.0),
    show("range 2 threads", "finalite", "no pool"),
];

/// What is measured, and how often.
struct Options {
    processes: u64,
    /// In each process, after one that is not counted.
    rounds: u64,
    /// Of the table that is read.
    rows: u64,
    /// Operations are this many times fewer.
    fewer: u64,
    csv: PathBuf,
    only: String,
    /// In a process that measures: the database.
    measure_in: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            processes: 10,
            rounds: 4,
            rows: 100_000,
            fewer: 1,
            csv: std::env::current_exe()?.with_file_name("pool.csv"),
            only: String::new(),
            measure_in: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--quick" => {
                    (options.processes, options.rounds, options.rows, options.fewer) = (2, 3, 10_000, 20);
                }
                "--processes" => options.processes = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--csv" => options.csv = value()?.into(),
                "--measure-in" => options.measure_in = Some(value()?.into()),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}").into()),
                _ => options.only = argument,
            }
        }
        if options.processes == 0 || options.rounds == 0 {
            return Err("processes and rounds are at least 1".into());
        }
        Ok(options)
    }

    fn wants(&self, workload: &str) -> bool {
        workload.starts_with(&self.only)
    }
}

fn main() -> Result<()> {
    listener::listen_if_asked()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["--fixed", name, operations] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let dir = tempfile::tempdir()?;
        return measure::fixed(&prepare(dir.path(), 1_000)?, name, operations.parse()?);
    }
    let options = Options::parse(arguments.into_iter())?;
    match &options.measure_in {
        Some(path) => measure::run(&options, path),
        None => compare(&options),
    }
}

/// Makes the database, in WAL mode.
fn prepare(dir: &Path, rows: u64) -> Result<PathBuf> {
    let path = dir.join("read.db");
    let mut conn: Connection = OpenOptions::recommended().open(&path)?;
    sample::fill(&mut conn, rows)?;
    conn.close()?;
    Ok(path)
}

fn compare(options: &Options) -> Result<()> {
    print!("# finalite's pool, r2d2 and deadpool over one SQLite\n\n{}", environment::of_process());
    let packages = ["r2d2", "deadpool", "deadpool-sync", "tokio"].map(|name| format!("{name} {}", version(name)));
    println!("- pools: {}", packages.join(", "));
    let dir = tempfile::tempdir()?;
    let path = prepare(dir.path(), options.rows)?;
    let mut output = String::new();
    for process in 1..=options.processes {
        eprint!("\rprocess {process} of {} ", options.processes);
        output.push_str(&start(&path)?);
    }
    eprintln!();
    fs::write(&options.csv, report::csv(&output))?;
    let fairness = options.csv.with_extension("fairness.csv");
    fs::write(&fairness, fairness_csv(&output))?;
    let mut missed = report::print(&output, &COMPARISONS)?;
    missed.extend(print_nanoseconds(&output)?);
    print_fairness(&output)?;
    let files = [&options.csv, &fairness].map(|file| file.display().to_string()).join(" and ");
    println!("\nload at the end {}; raw samples in {files}", environment::load());
    if missed.is_empty() {
        println!("no target is missed");
    } else {
        println!("targets missed:");
        missed.iter().for_each(|missed| println!("- {missed}"));
    }
    Ok(())
}

/// One process that measures; returns what it printed.
fn start(path: &Path) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--measure-in").arg(path);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("a process that measures ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn version(package: &str) -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{package}\"\n")));
    entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next()).unwrap_or("unknown")
}

/// The target that is no ratio. Returns it if it is missed.
fn print_nanoseconds(output: &str) -> Result<Option<String>> {
    let mut by_process: Vec<(&str, Vec<f64>)> = Vec::new();
    for line in output.lines().filter(|line| line.starts_with("acquire,")) {
        let [_, _, process, _, _, "finalite reader", operations, nanoseconds] = line.split(',').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let sample = nanoseconds.parse::<f64>()? / operations.parse::<f64>()?;
        match by_process.last_mut() {
            Some((last, samples)) if *last == process => samples.push(sample),
            _ => by_process.push((process, vec![sample])),
        }
    }
    if by_process.is_empty() {
        return Ok(None);
    }
    let medians: Vec<_> = by_process.iter_mut().map(|(_, samples)| median(samples)).collect();
    let Estimate { median, low, high } = Estimate::of(&medians);
    let verdict = match () {
        () if high <= AT_MOST => "met",
        () if low > AT_MOST => "missed",
        () => "undecided",
    };
    println!("\nfinalite reader: {median:.1} ns ({low:.1} – {high:.1}), target ≤ {AT_MOST} ns: {verdict}");
    let missed = || format!("acquire: finalite reader takes {median:.1} ns, target ≤ {AT_MOST} ns");
    Ok((verdict == "missed").then(missed))
}

fn fairness_lines(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter_map(|line| line.strip_prefix("#fairness "))
}

fn fairness_csv(output: &str) -> String {
    let header = "workload,process,round,competitor,longest_wait_nanoseconds,fewest_operations,most_operations";
    std::iter::once(header).chain(fairness_lines(output)).flat_map(|line| [line, "\n"]).collect()
}

/// How the threads of one workload and pool fared, in all runs.
struct Fared<'a> {
    workload: &'a str,
    name: &'a str,
    longest: Vec<f64>,
    shares: Vec<f64>,
}

/// For each workload and pool: the longest wait of a run, and how much less the slowest thread did than the fastest.
fn print_fairness(output: &str) -> Result<()> {
    let mut all: Vec<Fared<'_>> = Vec::new();
    for line in fairness_lines(output) {
        let [workload, _process, _round, name, longest, fewest, most] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("not a sample: {line}").into());
        };
        let place = all.iter().position(|fared| (fared.workload, fared.name) == (workload, name));
        let place = place.unwrap_or_else(|| {
            all.push(Fared { workload, name, longest: Vec::new(), shares: Vec::new() });
            all.len() - 1
        });
        all[place].longest.push(longest.parse::<f64>()? / 1e3);
        all[place].shares.push(fewest.parse::<f64>()? / most.parse::<f64>()?.max(1.0));
    }
    if all.is_empty() {
        return Ok(());
    }
    all.sort_by_key(|fared| (fared.workload, fared.name));
    let mut table = String::new();
    for Fared { workload, name, longest, shares } in &mut all {
        let (wait, share) = (median(longest), median(shares));
        let (longest, least) = (longest[longest.len() - 1], shares[0]);
        writeln!(table, "| {workload} | {name} | {wait:.1} | {longest:.1} | {share:.3} | {least:.3} |")?;
    }
    println!("\n## fairness\n");
    println!("The longest wait of a run in µs, and the operations of the thread that did fewest over the most.\n");
    println!("| | | longest wait | worst run | fewest / most | worst run |\n|---|---|---:|---:|---:|---:|\n{table}");
    Ok(())
}

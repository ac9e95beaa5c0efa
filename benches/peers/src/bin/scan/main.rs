//! Whole results, by finalite, C and every other driver, over one file. METHOD.md says what is compared, and how.
//!
//! `scan [--quick] [--headline] [--processes N] [--rounds N] [--rows N] [--csv FILE] [--svg FILE] [--others DIR] [WORKLOAD-PREFIX]`
//!
//! Every driver that links a SQLite of its own is a program of its own, a worker: `DIR` has them. This program starts
//! one of each, and itself as one more, and has them work in turn.

use std::fs;
use std::path::{Path, PathBuf};

use finalite::{Connection, OpenOptions};
use finalite_peers::task::{self, HEADLINE, WORKLOADS, Workload};
use finalite_peers::work::Competitor;
use finalite_peers::{Result, environment, reference, sample, scans};

mod chart;
mod table;
mod turns;

/// What is measured, and how often.
struct Options {
    /// Of each driver, one after the other.
    processes: u64,
    /// In each process, after one that is not counted.
    rounds: u64,
    /// Of the headline's table; that of the others has a fifth.
    rows: u64,
    csv: PathBuf,
    svg: PathBuf,
    others: Option<PathBuf>,
    /// Whether only the table of the chart is measured.
    is_headline_alone: bool,
    only: String,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let here = std::env::current_exe()?;
        let mut options = Self {
            processes: 10,
            rounds: 3,
            rows: 1_000_000,
            csv: here.with_file_name("scan.csv"),
            svg: here.with_file_name("scan.svg"),
            others: None,
            is_headline_alone: false,
            only: String::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--quick" => (options.processes, options.rounds, options.rows) = (2, 3, 100_000),
                "--headline" => options.is_headline_alone = true,
                "--processes" => options.processes = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--rows" => options.rows = value()?.parse()?,
                "--csv" => options.csv = value()?.into(),
                "--svg" => options.svg = value()?.into(),
                "--others" => options.others = Some(value()?.into()),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}").into()),
                _ => options.only = argument,
            }
        }
        if options.processes == 0 || options.rounds == 0 || options.rows < 5_000 + 5 * task::KEYED_ROWS {
            return Err("processes and rounds are at least 1, rows at least 10000".into());
        }
        Ok(options)
    }
}

/// How everybody's connection is set, and what is read through it.
pub struct Setting {
    pub name: &'static str,
    /// Bytes, or `default`: everybody opens as its README says.
    pub mmap: &'static str,
    /// The large file, or that with a fifth of the rows.
    pub is_large: bool,
    /// A connection per run, and the system's cache of the file is dropped before it.
    pub is_cold: bool,
    pub workloads: &'static [Workload],
}

const fn headline() -> &'static [Workload] {
    WORKLOADS.split_at(HEADLINE).0
}

const SETTINGS: [Setting; 5] = [
    Setting { name: "1 GB mapped", mmap: "1073741824", is_large: true, is_cold: false, workloads: headline() },
    Setting {
        name: "1 GB mapped; a fifth of the rows",
        mmap: "1073741824",
        is_large: false,
        is_cold: false,
        workloads: WORKLOADS.split_at(HEADLINE).1,
    },
    Setting { name: "not mapped", mmap: "0", is_large: false, is_cold: false, workloads: headline() },
    Setting { name: "as opened by default", mmap: "default", is_large: false, is_cold: false, workloads: headline() },
    Setting { name: "cold", mmap: "0", is_large: false, is_cold: true, workloads: WORKLOADS.split_at(1).0 },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--worker", path, mmap, opens, rows] => serve(path, mmap, opens == "each", rows.parse()?),
        _ => compare(&Options::parse(arguments.into_iter())?),
    }
}

fn open(path: &str, mmap: &str) -> Result<Connection> {
    let options = OpenOptions::new().read_only(true);
    Ok(match mmap {
        "default" => options.open(path)?,
        _ => options.pragma("mmap_size", mmap.parse::<i64>()?).pragma("cache_size", -400_000).open(path)?,
    })
}

/// As a worker: C, rusqlite and finalite, through one connection.
fn serve(path: &str, mmap: &str, is_each: bool, rows: u64) -> Result<()> {
    let keys = task::keys(10_000, rows)?;
    let conn = open(path, mmap)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    let mut known: Vec<(&'static str, Vec<Competitor<'_>>)> = Vec::new();
    task::serve(|task| {
        let workload = task::workload(&task.workload)?;
        if is_each {
            let conn = open(path, mmap)?;
            let peer = reference::Handle::of(&conn).rusqlite()?;
            return run(&mut scans::competitors(&conn, &peer, workload, &keys)?, task);
        }
        let place = known.iter().position(|(name, _)| *name == workload.name);
        let place = match place {
            Some(place) => place,
            None => {
                known.push((workload.name, scans::competitors(&conn, &peer, workload, &keys)?));
                known.len() - 1
            }
        };
        run(&mut known[place].1, task)
    })
}

fn run(competitors: &mut [Competitor<'_>], task: &task::Task) -> Result<u64> {
    let competitor = competitors.iter_mut().find(|competitor| competitor.name == task.competitor);
    let competitor = competitor.ok_or_else(|| format!("no competitor {:?}", task.competitor))?;
    (competitor.run)(task.operations)
}

/// Makes a file with so many rows.
fn make(path: &Path, rows: u64, has_others: bool) -> Result<()> {
    let mut conn = Connection::open(path)?;
    sample::fill(&mut conn, rows)?;
    if has_others {
        sample::fill_others(&mut conn, rows / 2)?;
    }
    conn.close()?;
    // What is not yet on disk cannot be dropped from the system's cache.
    fs::File::open(path)?.sync_all()?;
    Ok(())
}

/// How many operations a run has: the rows of the result, or for keyed workloads queries that read some thousand rows.
fn operations(conn: &Connection, workload: &Workload, rows: u64) -> Result<u64> {
    Ok(match workload.name {
        "lookup" | "1 row" => rows / 100,
        "10 rows" => rows / 200,
        "100 rows" => rows / 1_000,
        "1000 rows" => rows / 10_000,
        _ => conn.query_one(&format!("SELECT count(*) FROM ({})", workload.sql), ())?,
    })
}

fn compare(options: &Options) -> Result<()> {
    println!("# Whole results\n\n{}", environment::of_process());
    let dir = tempfile::tempdir()?;
    let (large, small) = (dir.path().join("large.db"), dir.path().join("small.db"));
    make(&large, options.rows, false)?;
    make(&small, options.rows / 5, true)?;
    let mut output = String::new();
    for setting in &SETTINGS[..if options.is_headline_alone { 1 } else { SETTINGS.len() }] {
        let (path, rows) = if setting.is_large { (&large, options.rows) } else { (&small, options.rows / 5) };
        let workloads: Vec<_> =
            setting.workloads.iter().filter(|known| known.name.starts_with(&options.only)).collect();
        if workloads.is_empty() {
            continue;
        }
        let text = path.to_str().ok_or("the temporary directory is not UTF-8")?;
        let drivers = turns::drivers(options.others.as_deref())?;
        println!("\n## {}: {} rows\n\n{}", setting.name, rows, turns::ENVIRONMENT_HEADER);
        let conn = open(text, setting.mmap)?;
        println!("| C, rusqlite, finalite | {} |", own_environment(&conn)?);
        for driver in &drivers {
            driver.print_environment(text, setting.mmap)?;
        }
        let workloads: Vec<(&Workload, u64)> = workloads
            .into_iter()
            .map(|workload| Ok((workload, operations(&conn, workload, rows)?)))
            .collect::<Result<_>>()?;
        conn.close()?;
        for process in 1..=options.processes {
            eprint!("\r{}: processes {process} of {} ", setting.name, options.processes);
            turns::measure(options, setting, process, text, rows, &drivers, &workloads, &mut output)?;
        }
        eprintln!();
    }
    fs::write(&options.csv, finalite_peers::report::csv(&output))?;
    let groups = finalite_peers::report::groups(&output)?;
    let summary = table::print(&groups)?;
    if let Some(chart) = chart::draw(&groups, options.rows)? {
        fs::write(&options.svg, chart)?;
    }
    println!("\nload at the end {}; raw samples in {}", environment::load(), options.csv.display());
    println!("{summary}");
    Ok(())
}

fn own_environment(conn: &Connection) -> Result<String> {
    let mut columns = vec![finalite::sqlite::version().to_string(), "as above".to_owned()];
    columns.push(if reference::Handle::of(conn).has_mutex() { "yes" } else { "none" }.to_owned());
    for pragma in ["mmap_size", "cache_size", "journal_mode", "page_size"] {
        let value: finalite::Value = conn.query_one(&format!("PRAGMA {pragma}"), ())?;
        columns.push(match value {
            finalite::Value::Text(text) => text,
            finalite::Value::Integer(value) => value.to_string(),
            other => format!("{other:?}"),
        });
    }
    columns.push("as above".to_owned());
    Ok(columns.join(" | "))
}

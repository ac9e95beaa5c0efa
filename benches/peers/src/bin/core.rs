//! finalite against C and rusqlite, in one process over one SQLite: `core [--quick] [--rounds N] [--rows N]
//! [--csv FILE] [WORKLOAD-PREFIX]`. METHOD.md says what is compared, and how.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use finalite::{Connection, OpenOptions};
use finalite_peers::sample::Numbers;
use finalite_peers::statistics::Estimate;
use finalite_peers::work::{self, Competitor};
use finalite_peers::{Result, environment, reference, sample};

/// One competitor over another, and what it should be at most.
struct Comparison {
    what: &'static str,
    over: &'static str,
    at_most: Option<f64>,
}

const fn compare(what: &'static str, over: &'static str, at_most: f64) -> Comparison {
    Comparison { what, over, at_most: Some(at_most) }
}

const fn show(what: &'static str, over: &'static str) -> Comparison {
    Comparison { what, over, at_most: None }
}

const SCAN: [Comparison; 8] = [
    show("C best again", "C best"),
    show("Rust best", "C best"),
    show("finalite value", "Rust best"),
    show("finalite value", "C best"),
    show("finalite value", "C usual"),
    show("finalite value", "rusqlite get_ref"),
    show("finalite &str", "C best"),
    show("finalite &str", "rusqlite get_ref"),
];

const SCAN_ONE: [Comparison; 8] = [
    show("C best again", "C best"),
    show("Rust best", "C best"),
    show("finalite value", "Rust best"),
    compare("finalite value", "C best", 1.05),
    show("finalite value", "C usual"),
    compare("finalite value", "rusqlite get_ref", 0.82),
    show("finalite &str", "C best"),
    show("finalite &str", "rusqlite get_ref"),
];

const SCAN_WIDE: [Comparison; 8] = [
    show("C best again", "C best"),
    show("Rust best", "C best"),
    show("finalite value", "Rust best"),
    compare("finalite value", "C best", 1.05),
    compare("finalite value", "C usual", 0.81),
    compare("finalite value", "rusqlite get_ref", 0.78),
    show("finalite &str", "C best"),
    show("finalite &str", "rusqlite get_ref"),
];

const LOOKUP: [Comparison; 7] = [
    show("C usual again", "C usual"),
    show("finalite borrowed", "C usual"),
    show("finalite borrowed", "C as finalite"),
    compare("finalite borrowed", "rusqlite borrowed", 1.0),
    compare("finalite borrowed", "rusqlite borrowed one", 1.0),
    compare("finalite owned", "rusqlite owned", 1.0),
    compare("finalite owned", "rusqlite owned one", 1.0),
];

const INSERT: [Comparison; 5] = [
    show("C usual again", "C usual"),
    show("finalite cached", "C usual"),
    show("finalite kept", "C usual"),
    compare("finalite cached", "rusqlite cached", 0.85),
    compare("finalite kept", "rusqlite kept", 0.85),
];

const OPEN: [Comparison; 3] = [show("C again", "C"), compare("finalite", "C", 1.05), show("finalite", "rusqlite")];

struct Options {
    rounds: usize,
    rows: u64,
    csv: PathBuf,
    /// Divides the operations of a run.
    quick: u64,
    only: String,
}

impl Options {
    fn parse() -> Result<Self> {
        let csv = std::env::current_exe()?.with_file_name("core.csv");
        let mut options = Self { rounds: 40, rows: 1_000_000, csv, quick: 1, only: String::new() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--quick" => (options.rounds, options.rows, options.quick) = (5, 50_000, 10),
                "--rounds" => options.rounds = value()?.parse()?,
                "--rows" => options.rows = value()?.parse()?,
                "--csv" => options.csv = value()?.into(),
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}").into()),
                _ => options.only = argument,
            }
        }
        if options.rounds == 0 || options.rows == 0 {
            return Err("rounds and rows are at least 1".into());
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

/// Measures, keeps the raw samples, prints.
struct Report {
    rounds: usize,
    csv: BufWriter<File>,
    missed: Vec<String>,
}

impl Report {
    fn new(options: &Options) -> Result<Self> {
        let mut csv = BufWriter::new(File::create(&options.csv)?);
        writeln!(csv, "workload,setting,round,position,competitor,operations,nanoseconds")?;
        Ok(Self { rounds: options.rounds, csv, missed: Vec::new() })
    }

    /// Every competitor once per round, in another order each; `between` runs before each, and is not timed.
    fn measure(
        &mut self,
        (workload, setting): (&str, &str),
        operations: u64,
        mut competitors: Vec<Competitor<'_>>,
        comparisons: &[Comparison],
        mut between: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..competitors.len()).collect();
        let mut numbers = Numbers::new(4);
        let mut samples = vec![Vec::with_capacity(self.rounds); competitors.len()];
        let mut expected = None;
        // Round 0 fills the caches and is not kept.
        for round in 0..=self.rounds {
            for last in (1..order.len()).rev() {
                order.swap(last, usize::try_from(numbers.below(last as u64 + 1))?);
            }
            for (position, &index) in order.iter().enumerate() {
                between()?;
                let competitor = &mut competitors[index];
                let start = Instant::now();
                let checksum = (competitor.run)(operations)?;
                let nanoseconds = start.elapsed().as_nanos();
                if competitor.has_checksum && *expected.get_or_insert(checksum) != checksum {
                    return Err(format!("{workload}: {} read other data than the others", competitor.name).into());
                }
                if round > 0 {
                    samples[index].push(nanoseconds as f64);
                    let name = competitor.name;
                    writeln!(
                        self.csv,
                        "{workload},{setting},{round},{position},{name},{operations},{nanoseconds}"
                    )?;
                }
            }
        }
        let names: Vec<_> = competitors.iter().map(|competitor| competitor.name).collect();
        self.print((workload, setting), operations, &names, &samples, comparisons)
    }

    fn print(
        &mut self,
        (workload, setting): (&str, &str),
        operations: u64,
        names: &[&str],
        samples: &[Vec<f64>],
        comparisons: &[Comparison],
    ) -> Result<()> {
        println!("\n## {workload}, {setting}: {operations} operations a run, {} rounds\n", self.rounds);
        println!("| competitor | ns per operation | 95 % interval |\n|---|---:|---|");
        for (name, samples) in names.iter().zip(samples) {
            let each: Vec<_> = samples.iter().map(|sample| sample / operations as f64).collect();
            let Estimate { median, low, high } = Estimate::of(&each);
            println!("| {name} | {median:.1} | {low:.1} – {high:.1} |");
        }
        println!("\n| ratio, round by round | median | 95 % interval | target | |\n|---|---:|---|---:|---|");
        for Comparison { what, over, at_most } in comparisons {
            let of = |name: &str| {
                let index = names.iter().position(|known| *known == name);
                index.map(|index| &samples[index]).ok_or_else(|| format!("no competitor {name:?} in {workload}"))
            };
            let ratios: Vec<_> = of(what)?.iter().zip(of(over)?).map(|(what, over)| what / over).collect();
            let Estimate { median, low, high } = Estimate::of(&ratios);
            let verdict = match at_most {
                None => "",
                Some(target) if high <= *target => "met",
                Some(target) if low > *target => "missed",
                Some(_) => "undecided",
            };
            let target = at_most.map(|target| format!("≤ {target:.2}")).unwrap_or_default();
            println!("| {what} / {over} | {median:.3} | {low:.3} – {high:.3} | {target} | {verdict} |");
            if verdict == "missed" {
                self.missed.push(format!("{workload}, {setting}: {what} / {over} is {median:.3}, target {target}"));
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let options = Options::parse()?;
    println!("# finalite, C and rusqlite over one SQLite\n\n{}", environment::of_process());
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("sample.db");
    let mut report = Report::new(&options)?;
    if options.wants_some("scan") || options.wants("lookup") {
        let mut conn = Connection::open(&path)?;
        sample::fill(&mut conn, options.rows)?;
        conn.close()?;
        for mmap_size in [0, 1 << 30] {
            read_file(&options, &mut report, &path, mmap_size)?;
        }
    }
    look_up_in_memory(&options, &mut report)?;
    insert(&options, &mut report)?;
    open(&options, &mut report, dir.path())?;

    report.csv.flush()?;
    println!("\nload at the end {}; raw samples in {}", environment::load(), options.csv.display());
    if report.missed.is_empty() {
        println!("no target is missed");
    } else {
        println!("targets missed:");
        report.missed.iter().for_each(|missed| println!("- {missed}"));
    }
    Ok(())
}

/// Scans and lookups in the file, through one connection for all: the same page cache and mapping, the same settings.
fn read_file(options: &Options, report: &mut Report, path: &Path, mmap_size: i64) -> Result<()> {
    let conn = OpenOptions::new()
        .read_only(true)
        .pragma("mmap_size", mmap_size)
        .pragma("cache_size", -400_000)
        .open(path)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    let setting = if mmap_size == 0 { "in a file, mmap off" } else { "in a file, mmap 1 GB" };
    println!("\n{setting}: {}", environment::of_connection(&conn)?);
    for (name, sql) in sample::QUERIES {
        let workload = format!("scan {name}");
        if options.wants(&workload) {
            let comparisons = match name {
                "one" => &SCAN_ONE,
                "wide" => &SCAN_WIDE,
                _ => &SCAN,
            };
            let competitors = work::scans(&conn, &peer, sql)?;
            report.measure((&workload, setting), options.rows, competitors, comparisons, || Ok(()))?;
        }
    }
    if options.wants("lookup") {
        let count = 100_000 / options.quick;
        let keys = sample::keys(usize::try_from(count)?, options.rows)?;
        // In one read transaction: outside of it, locking and unlocking the file hides all else.
        conn.execute("BEGIN", ())?;
        report.measure(("lookup", setting), count, work::lookups(&conn, &peer, &keys)?, &LOOKUP, || Ok(()))?;
        conn.execute("COMMIT", ())?;
    }
    Ok(())
}

/// Lookups where SQLite has the least to do: no file, no lock, and all in the processor's cache.
fn look_up_in_memory(options: &Options, report: &mut Report) -> Result<()> {
    const ROWS: u64 = 1_000;
    if !options.wants("lookup") {
        return Ok(());
    }
    let mut conn = Connection::open_in_memory()?;
    sample::fill(&mut conn, ROWS)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    let setting = "1000 rows in memory";
    println!("\n{setting}: {}", environment::of_connection(&conn)?);
    let count = 200_000 / options.quick;
    let keys = sample::keys(usize::try_from(count)?, ROWS)?;
    report.measure(("lookup", setting), count, work::lookups(&conn, &peer, &keys)?, &LOOKUP, || Ok(()))
}

/// Inserts in one transaction, into a table that is emptied before every run.
fn insert(options: &Options, report: &mut Report) -> Result<()> {
    if !options.wants("insert") {
        return Ok(());
    }
    let mut conn = Connection::open_in_memory()?;
    sample::create_sink(&conn)?;
    let setting = "in memory, in a transaction";
    println!("\n{setting}: {}", environment::of_connection(&conn)?);
    let count = 100_000 / options.quick;
    let records = sample::records(usize::try_from(count)?)?;
    let c_records: Vec<_> = records.iter().map(Into::into).collect();
    let tx = conn.transaction()?;
    let peer = reference::Handle::of(tx.connection()).rusqlite()?;
    let sum = "SELECT count(*), coalesce(sum(i), 0), coalesce(sum(length(s)), 0), coalesce(sum(r), 0.0) FROM sink";
    let mut expected: Option<(i64, i64, i64, f64)> = None;
    let competitors = work::inserts(tx.connection(), &peer, &records, &c_records)?;
    report.measure(("insert", setting), count, competitors, &INSERT, || {
        // What the last run inserted is what the first inserted; before the first there is nothing.
        let sums: (i64, i64, i64, f64) = tx.query_one(sum, ())?;
        if sums.0 > 0 && *expected.get_or_insert(sums) != sums {
            return Err("insert: a competitor inserted other data than the others".into());
        }
        tx.execute("DELETE FROM sink", ())?;
        Ok(())
    })?;
    Ok(())
}

/// Opening, the first query, closing.
fn open(options: &Options, report: &mut Report, dir: &Path) -> Result<()> {
    let count = 1_000 / options.quick;
    if options.wants("open memory") {
        let competitors = work::opens(":memory:", "SELECT 7")?;
        report.measure(("open memory", "first query, close"), count, competitors, &OPEN, || Ok(()))?;
    }
    if options.wants("open file") {
        let path = dir.join("open.db");
        let mut conn = Connection::open(&path)?;
        sample::fill(&mut conn, 10)?;
        conn.close()?;
        let path = path.to_str().ok_or("the temporary directory is not UTF-8")?;
        let competitors = work::opens(path, "SELECT i1 FROM t WHERE id = 7")?;
        report.measure(("open file", "first query, close"), count, competitors, &OPEN, || Ok(()))?;
    }
    Ok(())
}

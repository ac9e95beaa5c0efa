//! Full scans of a rowid table by the page reader, which is not SQLite's executor: beside C on the same connection,
//! over journal and log, mapped or not, all rows and those that meet a condition. And beside a plain read of the file.
//! The same of a table without rowids, and of an index: `pages index`.
//!
//! `pages [--quick] [--rows N] [--rounds N] [WORKLOAD-PREFIX]`

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use finalite::scan::ScanStrategy;
use finalite::{Connection, OpenOptions};
use finalite_peers::statistics::Estimate;
use finalite_peers::work::Competitor;
use finalite_peers::{Result, environment, file_cache, sample, scans};

struct Options {
    rows: u64,
    rounds: usize,
    only: String,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { rows: 400_000, rounds: 15, only: String::new() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match &*argument {
                "--quick" => (options.rows, options.rounds) = (20_000, 3),
                "--rows" => options.rows = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                _ if argument.starts_with('-') => return Err(format!("unknown option {argument}").into()),
                _ => options.only = argument,
            }
        }
        if options.rows == 0 || options.rounds == 0 {
            return Err("rows and rounds are at least 1".into());
        }
        Ok(options)
    }
}

/// How the file is.
struct Setting {
    name: &'static str,
    mmap: i64,
    /// Frames of the log that are not in the file; `None` for a rollback journal.
    frames: Option<u64>,
}

const SETTINGS: [Setting; 5] = [
    Setting { name: "journal, 1 GB mapped", mmap: 1 << 30, frames: None },
    Setting { name: "journal, not mapped", mmap: 0, frames: None },
    Setting { name: "log, all in the file, not mapped", mmap: 0, frames: Some(0) },
    Setting { name: "log, about 1,000 frames, not mapped", mmap: 0, frames: Some(1_000) },
    Setting { name: "log, about 100,000 frames, not mapped", mmap: 0, frames: Some(100_000) },
];

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    println!("# Full scans of a rowid table by its pages\n\n{}", environment::of_process());
    let dir = tempfile::tempdir()?;
    if options.only.is_empty() || options.only == "index" {
        indexes(&dir.path().join("indexes.db"), &options)?;
    }
    if options.only == "index" {
        return Ok(());
    }
    for (number, setting) in SETTINGS.iter().enumerate() {
        let path = dir.path().join(format!("{number}.db"));
        let _writer = make(&path, setting, options.rows)?;
        println!("\n## {}, {} rows\n", setting.name, options.rows);
        println!("| | over C usual | 95 % | over C best | ns per row |\n|---|---:|---:|---:|---:|");
        let conn = OpenOptions::new()
            .read_only(true)
            .pragma("mmap_size", setting.mmap)
            .pragma("cache_size", -400_000_i64)
            .open(&path)?;
        for (name, sql) in
            sample::QUERIES.into_iter().chain(sample::FILTERS).filter(|(name, _)| name.starts_with(&options.only))
        {
            let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan()?;
            if plan.strategy != ScanStrategy::Pages && options.rows > 10_000 {
                return Err(format!("{name}: {plan}").into());
            }
            measure(name, &mut scans::page_competitors(&conn, sql)?, &options)?;
        }
        conn.close()?;
        fs::remove_file(&path)?;
    }
    if options.only.starts_with("filter") {
        return Ok(());
    }
    let path = dir.path().join("plain.db");
    drop(make(&path, &SETTINGS[0], options.rows)?);
    beside_a_plain_read(&path)?;
    cold(&path, &options)?;
    growth(dir.path(), &options)?;
    small_tables(&dir.path().join("small.db"), &options)
}

/// Makes the file. The writer is returned that keeps the log from being written back.
fn make(path: &Path, setting: &Setting, rows: u64) -> Result<Connection> {
    let mut conn = Connection::open(path)?;
    if setting.frames.is_some() {
        conn.execute("PRAGMA journal_mode = wal", ())?;
        conn.execute("PRAGMA wal_autocheckpoint = 0", ())?;
    }
    sample::fill(&mut conn, rows)?;
    if let Some(frames) = setting.frames {
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)", ())?;
        // Each changed row is about a page, until all are changed.
        let pages: u64 = conn.query_one("PRAGMA page_count", ())?;
        let mut left = frames;
        while left > 0 {
            let now = left.min(pages);
            let every = rows / now.max(1);
            conn.execute("UPDATE t SET i1 = i1 + 1 WHERE id % ? = 0", (every.max(1),))?;
            left -= now;
        }
    }
    Ok(conn)
}

/// The b-trees of a table without rowids, and of an index that has all columns that are read.
fn indexes(path: &Path, options: &Options) -> Result<()> {
    const QUERIES: [(&str, &str); 5] = [
        ("without rowids, one", "SELECT i1 FROM k"),
        ("without rowids, wide", "SELECT * FROM k"),
        ("index, one", "SELECT i1 FROM t INDEXED BY t_i"),
        ("index, three and the rowid", "SELECT id, i1, r1, s1 FROM t INDEXED BY t_i"),
        ("index, filter 1 %", "SELECT id, s1 FROM t INDEXED BY t_i WHERE r1 < 81.92"),
    ];
    let conn = make(path, &SETTINGS[0], options.rows)?;
    conn.execute_batch(
        "CREATE TABLE k(id INTEGER PRIMARY KEY, i1 INTEGER, i2 INTEGER, r1 REAL, r2 REAL, s1 TEXT, s2 TEXT, b BLOB) WITHOUT ROWID;
         INSERT INTO k SELECT * FROM t; CREATE INDEX t_i ON t(s1, i1, r1);",
    )?;
    conn.close()?;
    println!("\n## Pages of an index, not mapped, {} rows\n", options.rows);
    println!("| | over C usual | 95 % | over C best | ns per row |\n|---|---:|---:|---:|---:|");
    let conn = OpenOptions::new().read_only(true).pragma("cache_size", -400_000_i64).open(path)?;
    for (name, sql) in QUERIES {
        let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan()?;
        if plan.strategy != ScanStrategy::Pages {
            return Err(format!("{name}: {plan}").into());
        }
        measure(name, &mut scans::page_competitors(&conn, sql)?, options)?;
    }
    conn.close()?;
    Ok(fs::remove_file(path)?)
}

fn measure(name: &str, competitors: &mut [Competitor<'_>], options: &Options) -> Result<()> {
    let mut samples = vec![Vec::new(); competitors.len()];
    let mut sums = Vec::new();
    for round in 0..=options.rounds {
        for (competitor, samples) in competitors.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            let sum = (competitor.run)(options.rows)?;
            let elapsed = start.elapsed().as_secs_f64();
            // The first is not counted.
            if round > 0 {
                samples.push(elapsed);
            } else {
                sums.push(sum);
            }
        }
    }
    if sums.iter().any(|&sum| sum != sums[0]) {
        return Err(format!("{name}: the checksums differ").into());
    }
    let over = |samples: &[f64], base: &[f64]| {
        Estimate::of(&samples.iter().zip(base).map(|(what, over)| what / over).collect::<Vec<_>>())
    };
    for (competitor, mine) in competitors.iter().zip(&samples) {
        let usual = over(mine, &samples[0]);
        let best = over(mine, &samples[1]);
        let each = Estimate::of(mine).median * 1e9 / options.rows as f64;
        println!(
            "| {name}: {} | {:.2} | {:.2} … {:.2} | {:.2} | {each:.1} |",
            competitor.name, usual.median, usual.low, usual.high, best.median
        );
    }
    Ok(())
}

/// Bytes per second, of the file.
fn beside_a_plain_read(path: &Path) -> Result<()> {
    let bytes = fs::metadata(path)?.len() as f64;
    let mut plain = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    for _ in 0..7 {
        let start = Instant::now();
        let mut file = fs::File::open(path)?;
        while file.read(&mut buffer)? > 0 {}
        plain.push(bytes / start.elapsed().as_secs_f64());
    }
    let conn = Connection::open(path)?;
    let mut pages = Vec::new();
    for _ in 0..7 {
        let start = Instant::now();
        conn.scan("SELECT * FROM t", ()).strategy(ScanStrategy::Pages).for_each(|_| Ok(()))?;
        pages.push(bytes / start.elapsed().as_secs_f64());
    }
    let [plain, pages] = [plain, pages].map(|samples| Estimate::of(&samples).median / 1e9);
    println!("\n## Beside a plain read\n\nreading the file: {plain:.2} GB/s; scanning it: {pages:.2} GB/s");
    Ok(())
}

/// From a file that the system has forgotten, by a connection that has read nothing.
fn cold(path: &Path, options: &Options) -> Result<()> {
    println!("\n## Cold, not mapped, {} rows\n\n| | ns per row | 95 % |\n|---|---:|---:|", options.rows);
    let sql = "SELECT * FROM t";
    let names: Vec<_> = {
        let conn = Connection::open(path)?;
        scans::page_competitors(&conn, sql)?.iter().map(|competitor| competitor.name).collect()
    };
    let mut samples = vec![Vec::new(); names.len() + 1];
    for _ in 0..options.rounds.min(7) {
        for (index, samples) in samples.iter_mut().enumerate() {
            file_cache::evict(path)?;
            let held = file_cache::held(path)?;
            if held > 0.01 {
                return Err(format!("the system still holds {held:.2} of the file").into());
            }
            let start = Instant::now();
            if index < names.len() {
                let conn = Connection::open(path)?;
                (scans::page_competitors(&conn, sql)?[index].run)(options.rows)?;
            } else {
                let mut file = fs::File::open(path)?;
                while file.read(&mut [0; 256 << 10])? > 0 {}
            }
            samples.push(start.elapsed().as_secs_f64() * 1e9 / options.rows as f64);
        }
    }
    for (name, samples) in names.iter().chain(&["a plain read of the file"]).zip(&samples) {
        let each = Estimate::of(samples);
        println!("| {name} | {:.1} | {:.1} … {:.1} |", each.median, each.low, each.high);
    }
    Ok(())
}

/// The same for all sizes, 1 GB mapped.
fn growth(dir: &Path, options: &Options) -> Result<()> {
    println!("\n## Growth, 8 columns, 1 GB mapped: ns per row\n");
    let sizes: &[u64] = if options.rows < 100_000 { &[10_000] } else { &[10_000, 100_000, 1_000_000, 10_000_000] };
    for (number, &rows) in sizes.iter().enumerate() {
        let path = dir.join("growth.db");
        drop(make(&path, &SETTINGS[0], rows)?);
        let conn = OpenOptions::new().read_only(true).pragma("mmap_size", 1_i64 << 30).open(&path)?;
        let mut competitors = scans::page_competitors(&conn, "SELECT * FROM t")?;
        if number == 0 {
            let names: Vec<_> = competitors.iter().map(|competitor| competitor.name).collect();
            println!("| rows | {} |\n|---:|{}", names.join(" | "), "---:|".repeat(names.len()));
        }
        let mut samples = vec![Vec::new(); competitors.len()];
        for round in 0..=options.rounds.min(5) {
            for (competitor, samples) in competitors.iter_mut().zip(&mut samples) {
                let start = Instant::now();
                (competitor.run)(rows)?;
                if round > 0 {
                    samples.push(start.elapsed().as_secs_f64() * 1e9 / rows as f64);
                }
            }
        }
        let each: Vec<_> = samples.iter().map(|samples| format!("{:.1}", Estimate::of(samples).median)).collect();
        println!("| {rows} | {} |", each.join(" | "));
        drop(competitors);
        conn.close()?;
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// Tables that are not worth it must not pay for it: with a statement that the connection has, and with one that it
/// prepares each time.
fn small_tables(path: &Path, options: &Options) -> Result<()> {
    println!("\n## Small tables: `scan_table` as it is, over the statement alone\n");
    println!("| rows | statement kept | 95 % | statement prepared | 95 % |\n|---:|---:|---:|---:|---:|");
    for journal in ["delete", "wal"] {
        let conn = Connection::open(path)?;
        conn.execute_batch(&format!("PRAGMA journal_mode = {journal}"))?;
        for rows in [0, 1, 10, 30, 60, 100, 1_000, 10_000, 100_000] {
            conn.execute_batch(&format!(
                "DROP TABLE IF EXISTS s; CREATE TABLE s(id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 INSERT INTO s SELECT i, i * 7, 'text ' || i FROM n WHERE {rows} > 0;"
            ))?;
            let time = |path: Option<ScanStrategy>| -> Result<f64> {
                let repeats = 200_000 / (rows + 100) + 1;
                let start = Instant::now();
                for _ in 0..repeats {
                    let scan = conn.scan_table("s").all_columns();
                    let scan = match path {
                        Some(path) => scan.strategy(path),
                        None => scan,
                    };
                    scan.for_each(|row| {
                        std::hint::black_box(row.value(2)?);
                        Ok(())
                    })?;
                }
                Ok(start.elapsed().as_secs_f64())
            };
            let ratio = || -> Result<Estimate> {
                let mut ratios = Vec::new();
                for _ in 0..options.rounds {
                    let base = time(Some(ScanStrategy::Statement))?;
                    ratios.push(time(None)? / base);
                }
                Ok(Estimate::of(&ratios))
            };
            let kept = ratio()?;
            conn.set_statement_cache_limits(0, 0);
            let prepared = ratio()?;
            conn.set_statement_cache_limits(128, 8 << 20);
            println!(
                "| {rows}, {journal} | {:.2} | {:.2} … {:.2} | {:.2} | {:.2} … {:.2} |",
                kept.median, kept.low, kept.high, prepared.median, prepared.low, prepared.high
            );
        }
    }
    Ok(())
}

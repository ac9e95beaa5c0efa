//! Measuring: every competitor once per round, in another order each time.
//!
//! Prints a line per sample, `workload,setting,process,round,position,competitor,operations,nanoseconds`, and
//! `# setting: …` for what a connection is set to.

use std::path::Path;
use std::time::Instant;

use finalite::{Connection, OpenOptions};
use finalite_peers::task::Numbers;
use finalite_peers::work::{self, Competitor};
use finalite_peers::{Result, dates, environment, lists, reference, sample, small, task};

use crate::Options;

const SCANNED: &str = "scanned.db";
const OPENED: &str = "opened.db";

/// Makes the databases.
pub fn prepare(options: &Options, dir: &Path) -> Result<()> {
    if options.wants_some("scan") || options.wants("lookup") {
        let mut conn = Connection::open(dir.join(SCANNED))?;
        sample::fill(&mut conn, options.rows)?;
        conn.close()?;
    }
    let mut conn = Connection::open(dir.join(OPENED))?;
    sample::fill(&mut conn, 10)?;
    conn.close()?;
    Ok(())
}

/// Measures all that is wanted.
pub fn run(options: &Options, dir: &Path) -> Result<()> {
    if options.wants_some("scan") || options.wants("lookup") {
        read_file(options, &dir.join(SCANNED), "file without mmap", 0)?;
        read_file(options, &dir.join(SCANNED), "file with 1 GB of mmap", 1 << 30)?;
    }
    look_up_in_memory(options)?;
    insert(options)?;
    in_memory(options)?;
    small(options, dir)?;
    open(options, dir)
}

/// Times every competitor once per round. `between` runs before each, and is not timed.
fn measure(
    options: &Options,
    (workload, setting): (&str, &str),
    operations: u64,
    mut competitors: Vec<Competitor<'_>>,
    mut between: impl FnMut() -> Result<()>,
) -> Result<()> {
    let process = std::process::id();
    let mut numbers = Numbers::new(process.into());
    let mut expected = None;
    // Round 0 fills the caches and does not count.
    for round in 0..=options.rounds {
        for last in (1..competitors.len()).rev() {
            competitors.swap(last, usize::try_from(numbers.below(last as u64 + 1))?);
        }
        for (position, competitor) in competitors.iter_mut().enumerate() {
            between()?;
            let start = Instant::now();
            let checksum = (competitor.run)(operations)?;
            let nanoseconds = start.elapsed().as_nanos();
            let name = competitor.name;
            if competitor.has_checksum && *expected.get_or_insert(checksum) != checksum {
                return Err(format!("{workload}: {name} read other data than the others").into());
            }
            if round > 0 {
                println!("{workload},{setting},{process},{round},{position},{name},{operations},{nanoseconds}");
            }
        }
    }
    Ok(())
}

fn show(setting: &str, conn: &Connection) -> Result<()> {
    println!("# {setting}: {}", environment::of_connection(conn)?);
    Ok(())
}

/// Scans and lookups in the file, through one connection for all: the same page cache and mapping, the same settings.
fn read_file(options: &Options, path: &Path, setting: &str, mmap_size: i64) -> Result<()> {
    let open = OpenOptions::new().read_only(true).pragma("mmap_size", mmap_size).pragma("cache_size", -400_000);
    let conn = open.open(path)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    show(setting, &conn)?;
    for (name, sql) in sample::QUERIES {
        let workload = format!("scan {name}");
        if options.wants(&workload) {
            let competitors = work::scans(&conn, &peer, sql)?;
            measure(options, (&workload, setting), options.rows, competitors, || Ok(()))?;
        }
    }
    if options.wants("lookup") {
        let count = 100_000 / options.fewer;
        let keys = task::keys(count, options.rows)?;
        // In one read transaction: outside of it, locking and unlocking the file hides all else.
        conn.execute("BEGIN", ())?;
        measure(options, ("lookup", setting), count, work::lookups(&conn, &peer, &keys)?, || Ok(()))?;
        conn.execute("COMMIT", ())?;
    }
    Ok(())
}

/// Lookups where SQLite has the least to do: no file, no lock, and all in the processor's cache.
fn look_up_in_memory(options: &Options) -> Result<()> {
    const ROWS: u64 = 1_000;
    if !options.wants("lookup") {
        return Ok(());
    }
    let mut conn = Connection::open_in_memory()?;
    sample::fill(&mut conn, ROWS)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    let setting = "1000 rows in memory";
    show(setting, &conn)?;
    let count = 200_000 / options.fewer;
    let keys = task::keys(count, ROWS)?;
    measure(options, ("lookup", setting), count, work::lookups(&conn, &peer, &keys)?, || Ok(()))
}

/// Inserts in one transaction, into a table that is emptied before every run.
fn insert(options: &Options) -> Result<()> {
    if !options.wants("insert") {
        return Ok(());
    }
    let mut conn = Connection::open_in_memory()?;
    sample::create_sink(&conn)?;
    let setting = "in memory and a transaction";
    show(setting, &conn)?;
    let count = 100_000 / options.fewer;
    let records = sample::records(usize::try_from(count)?)?;
    let c_records: Vec<_> = records.iter().map(Into::into).collect();
    let tx = conn.transaction()?;
    let peer = reference::Handle::of(tx.connection()).rusqlite()?;
    let sums = "SELECT count(*), coalesce(sum(i), 0), coalesce(sum(length(s)), 0), coalesce(sum(r), 0.0) FROM sink";
    let mut expected: Option<(i64, i64, i64, f64)> = None;
    let competitors = work::inserts(tx.connection(), &peer, &records, &c_records)?;
    measure(options, ("insert", setting), count, competitors, || {
        // What the last run inserted is what the first inserted; before the first there is nothing.
        let found: (i64, i64, i64, f64) = tx.query_one(sums, ())?;
        if found.0 > 0 && *expected.get_or_insert(found) != found {
            return Err("insert: a competitor inserted other data than the others".into());
        }
        tx.execute("DELETE FROM sink", ())?;
        Ok(())
    })
}

/// Lists as parameters, and dates: one connection in memory.
fn in_memory(options: &Options) -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let setting = "in memory";
    if options.wants_some("list") {
        sample::fill(&mut conn, lists::KEYS)?;
        let keys = task::keys(lists::KEYS, lists::KEYS)?;
        for form in ["alone", "in", "join"] {
            let workload = format!("list {form}");
            if options.wants(&workload) {
                let peer = reference::Handle::of(&conn).rusqlite()?;
                let competitors = lists::competitors(&conn, &peer, &keys, form)?;
                measure(options, (&workload, setting), 40 / options.fewer, competitors, || Ok(()))?;
            }
        }
    }
    for direction in ["bind", "read"] {
        let workload = format!("date {direction}");
        if options.wants(&workload) {
            let peer = reference::Handle::of(&conn).rusqlite()?;
            let competitors = dates::competitors(&conn, &peer, direction)?;
            measure(options, (&workload, setting), dates::DATES, competitors, || Ok(()))?;
        }
    }
    Ok(())
}

/// Tables that are scanned once, queries of a few rows, updates of one row.
fn small(options: &Options, dir: &Path) -> Result<()> {
    const ROWS: u64 = 4_000;
    if options.wants("small tables") {
        let path = dir.join(format!("tables {}.db", std::process::id()));
        let mut conn = Connection::open(&path)?;
        small::create_tables(&mut conn)?;
        let peer = reference::Handle::of(&conn).rusqlite()?;
        let tables = small::tables();
        let count = small::TABLES as u64;
        measure(options, ("small tables", "a file"), count, small::once(&conn, &peer, &tables), || Ok(()))?;
        drop(peer);
        conn.close()?;
        std::fs::remove_file(path)?;
    }
    if !options.wants_some("small") && !options.wants("update") {
        return Ok(());
    }
    let mut conn = Connection::open_in_memory()?;
    sample::fill(&mut conn, ROWS)?;
    let count = 20_000 / options.fewer;
    let keys = task::keys(count, ROWS)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    if options.wants("small queries") {
        let queries = small::queries(ROWS, count);
        measure(options, ("small queries", "in memory"), count, small::once(&conn, &peer, &queries), || Ok(()))?;
    }
    for (workload, rows) in [("small by key", 5), ("small row by key", 1)] {
        if options.wants(workload) {
            let competitors = small::by_key(&conn, &peer, &keys, rows)?;
            measure(options, (workload, "in memory"), count, competitors, || Ok(()))?;
        }
    }
    drop(peer);
    if options.wants("update") {
        let tx = conn.transaction()?;
        let peer = reference::Handle::of(tx.connection()).rusqlite()?;
        let competitors = small::updates(tx.connection(), &peer, &keys)?;
        measure(options, ("update", "in memory and a transaction"), count, competitors, || Ok(()))?;
    }
    Ok(())
}

/// Opening, the first query, closing.
fn open(options: &Options, dir: &Path) -> Result<()> {
    let count = 1_000 / options.fewer;
    if options.wants("open memory") {
        let competitors = work::opens(":memory:", "SELECT 7")?;
        measure(options, ("open memory", "first query and close"), count, competitors, || Ok(()))?;
    }
    if options.wants("open file") {
        let path = dir.join(OPENED);
        let path = path.to_str().ok_or("the temporary directory is not UTF-8")?;
        let competitors = work::opens(path, "SELECT i1 FROM t WHERE id = 7")?;
        measure(options, ("open file", "first query and close"), count, competitors, || Ok(()))?;
    }
    Ok(())
}

//! A fixed amount of work by one competitor, for counting instructions: `fixed WORKLOAD COMPETITOR COUNT`. `--list`
//! tells the workloads and competitors, `--environment` what this program is built from.
//!
//! The environment variable `COLUMN` says what SQLite's memory comes from, and then the program is sure that it does;
//! it takes `FINALITE_ALLOCATOR=stock` for all but `finalite`.
//!
//! All that is not the work is the same for every count, so that the difference of two runs is that of the work alone.

use finalite::Connection;
use finalite_peers::column::Column;
use finalite_peers::work::{self, Competitor};
use finalite_peers::{
    Result, dates, environment, functions, hooks, listener, lists, moving, native, reference, sample, scans, small,
    tables, task,
};

/// Rows of the table: the most that a scan can be asked for.
const ROWS: u64 = 4_000;

const WORKLOADS: [&str; 34] = [
    "scan one",
    "scan num",
    "scan text",
    "scan wide",
    "rows one",
    "rows num",
    "rows text",
    "rows wide",
    "lookup",
    "insert",
    "update",
    "small tables",
    "small queries",
    "small by key",
    "small row by key",
    "function integer",
    "function text",
    "update hook",
    "list alone",
    "list in",
    "list join",
    "table read",
    "table sum",
    "date bind",
    "date read",
    "blob read",
    "blob write",
    "backup",
    "open memory",
    "open file",
    "malloc and free",
    "prepare",
    "prepare without lookaside",
    "records",
];

fn main() -> Result<()> {
    if let Ok(column) = std::env::var("COLUMN") {
        Column::of_name(&column)?.enter()?;
    }
    listener::listen_if_asked()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => WORKLOADS.iter().try_for_each(|workload| {
            with_competitors(workload, |competitors| {
                for competitor in competitors {
                    println!("{workload}\t{}", competitor.name);
                }
                Ok(())
            })
        }),
        ["--environment"] => {
            print!("{}", environment::of_process());
            Ok(())
        }
        [workload, name, count] => with_competitors(workload, |competitors| {
            let count = count.parse()?;
            let competitor = competitors.iter_mut().find(|competitor| competitor.name == name);
            let competitor = competitor.ok_or_else(|| format!("no competitor {name:?} in {workload:?}"))?;
            let checksum = (competitor.run)(count)?;
            println!("{checksum}");
            Ok(())
        }),
        _ => Err("usage: fixed WORKLOAD COMPETITOR COUNT | --list | --environment".into()),
    }
}

fn with_competitors(workload: &str, run: impl FnOnce(&mut [Competitor<'_>]) -> Result<()>) -> Result<()> {
    match workload {
        "open memory" => return run(&mut work::opens(":memory:", "SELECT 7")?),
        "open file" => {
            let dir = tempfile::tempdir()?;
            let path = dir.path().join("sample.db");
            let mut conn = Connection::open(&path)?;
            sample::fill(&mut conn, 10)?;
            conn.close()?;
            let path = path.to_str().ok_or("the temporary directory is not UTF-8")?;
            return run(&mut work::opens(path, "SELECT i1 FROM t WHERE id = 7")?);
        }
        "small tables" => {
            let dir = tempfile::tempdir()?;
            let mut conn = Connection::open(dir.path().join("tables.db"))?;
            small::create_tables(&mut conn)?;
            let peer = reference::Handle::of(&conn).rusqlite()?;
            return run(&mut small::once(&conn, &peer, &small::tables()));
        }
        "malloc and free" => return run(&mut native::blocks()),
        "prepare" => return run(&mut native::prepares(&native::small(true)?)?),
        "prepare without lookaside" => return run(&mut native::prepares(&native::small(false)?)?),
        "records" => return run(&mut native::levels(&native::small(true)?)),
        _ => {}
    }
    let mut conn = Connection::open_in_memory()?;
    sample::fill(&mut conn, ROWS)?;
    let peer = reference::Handle::of(&conn).rusqlite()?;
    if workload == "insert" {
        drop(peer);
        return with_inserts(&mut conn, run);
    }
    if workload == "lookup" {
        let keys = task::keys(10_000, ROWS)?;
        return run(&mut work::lookups(&conn, &peer, &keys)?);
    }
    if workload == "update" {
        drop(peer);
        let keys = task::keys(10_000, ROWS)?;
        let tx = conn.transaction()?;
        let peer = reference::Handle::of(tx.connection()).rusqlite()?;
        return run(&mut small::updates(tx.connection(), &peer, &keys)?);
    }
    if workload == "small queries" {
        return run(&mut small::once(&conn, &peer, &small::queries(ROWS, 10_000)));
    }
    if workload == "small by key" || workload == "small row by key" {
        let keys = task::keys(10_000, ROWS)?;
        let rows = if workload == "small by key" { 5 } else { 1 };
        return run(&mut small::by_key(&conn, &peer, &keys, rows)?);
    }
    if let Some(access) = workload.strip_prefix("blob ") {
        moving::create(&conn)?;
        return run(&mut moving::blobs(&conn, &peer, access == "write"));
    }
    if workload == "update hook" {
        return run(&mut hooks::competitors(&conn)?);
    }
    if let Some(form) = workload.strip_prefix("list ") {
        let keys = task::keys(lists::KEYS, ROWS)?;
        return run(&mut lists::competitors(&conn, &peer, &keys, form)?);
    }
    if let Some(form) = workload.strip_prefix("table ") {
        return run(&mut tables::competitors(&conn, &peer, form)?);
    }
    if let Some(direction) = workload.strip_prefix("date ") {
        return run(&mut dates::competitors(&conn, &peer, direction)?);
    }
    if workload == "backup" {
        return run(&mut moving::backups(&conn, &peer)?);
    }
    if let Some(argument) = workload.strip_prefix("function ") {
        return run(&mut functions::competitors(&conn, &peer, argument)?);
    }
    if let Some(name) = workload.strip_prefix("rows ") {
        return run(&mut scans::competitors(&conn, &peer, task::workload(name)?, &[])?);
    }
    let scan = workload.strip_prefix("scan ").and_then(|name| sample::QUERIES.iter().find(|query| query.0 == name));
    let (_, sql) = scan.ok_or_else(|| format!("no workload {workload:?}"))?;
    run(&mut work::scans(&conn, &peer, sql)?)
}

fn with_inserts(conn: &mut Connection, run: impl FnOnce(&mut [Competitor<'_>]) -> Result<()>) -> Result<()> {
    sample::create_sink(conn)?;
    let records = sample::records(10_000)?;
    let c_records: Vec<_> = records.iter().map(Into::into).collect();
    let tx = conn.transaction()?;
    let peer = reference::Handle::of(tx.connection()).rusqlite()?;
    run(&mut work::inserts(tx.connection(), &peer, &records, &c_records)?)
}

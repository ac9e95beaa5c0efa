//! What connections take that are open and do nothing: bytes as SQLite's allocator counts them, and resident memory.

use std::ffi::CString;
use std::process::Stdio;

use finalite::memory::{self, MemoryStats};
use finalite_peers::column::Column;
use finalite_peers::reference::Opened;
use finalite_peers::{Result, environment};

use crate::Options;

/// Who opens them, and in which process: each has one of its own, because freed memory stays resident.
const HOLDERS: [(&str, Column); 5] = [
    ("C", Column::Stock),
    ("rusqlite", Column::Stock),
    ("finalite", Column::Stock),
    ("finalite", Column::Uncounted),
    ("finalite", Column::Finalite),
];

const MEMORY: &str = ":memory:";

/// What one process found, per connection.
struct Held {
    bytes: f64,
    blocks: f64,
    /// Of the bytes, what finalite charges to the connection.
    charged: f64,
    /// `None` where the system does not say.
    resident: Option<f64>,
}

/// Prints a table for connections in memory, and one for connections to the file.
pub fn print(options: &Options, path: &str) -> Result<()> {
    let count = options.connections;
    for (place, path) in [("in memory", MEMORY), ("to a file", path)] {
        println!("\n## {count} idle connections {place}\n");
        println!("Each has run one query. Per connection; 0 bytes: nobody counts.\n");
        println!("| | bytes | blocks | charged to it | resident bytes |\n|---|---:|---:|---:|---:|");
        for (driver, column) in HOLDERS {
            let Held { bytes, blocks, charged, resident } = ask(driver, column, path, count)?;
            let resident = resident.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes:.0}"));
            println!("| {driver}, {} | {bytes:.0} | {blocks:.1} | {charged:.0} | {resident} |", column.name());
        }
    }
    Ok(())
}

fn ask(driver: &str, column: Column, path: &str, count: u64) -> Result<Held> {
    let mut command = column.command()?;
    command.args(["--idle", column.name(), driver, path, &count.to_string()]).stderr(Stdio::inherit());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("a process that holds connections ended with {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let [bytes, blocks, charged, resident] = text.trim_end().split(',').collect::<Vec<_>>()[..] else {
        return Err(format!("not what connections hold: {text}").into());
    };
    Ok(Held {
        bytes: bytes.parse()?,
        blocks: blocks.parse()?,
        charged: charged.parse()?,
        resident: if resident.is_empty() { None } else { Some(resident.parse()?) },
    })
}

/// In a process of its own: opens the connections, and says what they hold.
pub fn hold(driver: &str, path: &str, count: u64) -> Result<()> {
    let sql = if path == MEMORY { "SELECT 7" } else { "SELECT i1 FROM t WHERE id = 7" };
    // The first connection of a process takes what all have in common.
    drop(open_finalite(path, sql)?);
    let before = (memory::stats(), environment::resident_bytes());
    match driver {
        "C" => {
            let (c_path, c_sql) = (CString::new(path)?, CString::new(sql)?);
            let open = (0..count).map(|_| Opened::open(&c_path, &c_sql)).collect::<Result<Vec<_>>>()?;
            tell(&before, count, &open, |_| 0)
        }
        "rusqlite" => {
            let open = (0..count).map(|_| open_rusqlite(path, sql)).collect::<Result<Vec<_>>>()?;
            tell(&before, count, &open, |_| 0)
        }
        "finalite" => {
            let open = (0..count).map(|_| open_finalite(path, sql)).collect::<Result<Vec<_>>>()?;
            tell(&before, count, &open, |conn| conn.memory().bytes)
        }
        _ => Err(format!("no driver {driver:?}").into()),
    }
}

fn open_finalite(path: &str, sql: &str) -> Result<finalite::Connection> {
    let conn = finalite::Connection::open(path)?;
    conn.prepare(sql)?.query(())?.next()?;
    Ok(conn)
}

fn open_rusqlite(path: &str, sql: &str) -> Result<rusqlite::Connection> {
    let conn = rusqlite::Connection::open(path)?;
    conn.prepare(sql)?.query(())?.next()?;
    Ok(conn)
}

fn tell<T>(
    (before, resident): &(MemoryStats, Option<u64>),
    count: u64,
    open: &[T],
    charged: impl Fn(&T) -> u64,
) -> Result<()> {
    let now = memory::stats();
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / count as f64;
    let resident = environment::resident_bytes().zip(*resident).map(|(after, before)| each(after, before).to_string());
    println!(
        "{},{},{},{}",
        each(now.bytes, before.bytes),
        each(now.blocks, before.blocks),
        each(open.iter().map(charged).sum(), 0),
        resident.unwrap_or_default(),
    );
    Ok(())
}

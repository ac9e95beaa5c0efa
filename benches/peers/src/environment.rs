//! On what a figure was measured. Printed by the programs themselves, so that it cannot differ from what ran.

use std::fs;

use finalite::{Connection, sqlite};

use crate::Result;
use crate::reference::Handle;

/// What does not depend on a connection: machine, compilers, versions, SQLite.
pub fn of_process() -> String {
    let options: Vec<_> = sqlite::compile_options().collect();
    format!(
        "- machine: {}, {} cores, load {}\n\
         - compilers: {}, {}; profile `{}`, optimization {}{}\n\
         - drivers: finalite {}, rusqlite {}, libsqlite3-sys {}\n\
         - SQLite {} ({})\n\
         - its compile options: {}\n",
        processor(),
        std::thread::available_parallelism().map_or(0, usize::from),
        load(),
        env!("RUST_COMPILER"),
        env!("C_COMPILER"),
        env!("BUILD_PROFILE"),
        env!("OPTIMIZATION"),
        if cfg!(feature = "no-tracing") { "; tracing compiled out" } else { "" },
        version("finalite"),
        version("rusqlite"),
        version("libsqlite3-sys"),
        sqlite::version(),
        sqlite::source_id(),
        options.join(" "),
    )
}

/// What a connection is set to.
pub fn of_connection(conn: &Connection) -> Result<String> {
    let pragma = |name: &str| -> Result<String> {
        // An in-memory database has no mmap_size: the pragma returns no row.
        let value: Option<finalite::Value> = conn.query_optional(&format!("PRAGMA {name}"), ())?;
        Ok(match value {
            None => "none".to_owned(),
            Some(finalite::Value::Text(text)) => text,
            Some(finalite::Value::Integer(value)) => value.to_string(),
            Some(other) => format!("{other:?}"),
        })
    };
    let mut settings = vec![format!("mutex {}", if Handle::of(conn).has_mutex() { "yes" } else { "none" })];
    for name in [
        "mmap_size",
        "cache_size",
        "page_size",
        "page_count",
        "journal_mode",
        "synchronous",
        "encoding",
        "foreign_keys",
    ] {
        settings.push(format!("{name} {}", pragma(name)?));
    }
    Ok(settings.join(", "))
}

/// The mean load of the last minute, where the system tells it: above 1 the machine did other work too.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

/// Memory of this process that is in RAM, where the system tells it.
pub fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<u64>().ok()? * 1024)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.trim().to_owned())
}

/// The version of a package that this program was built with.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{package}\"\n")));
    entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next()).unwrap_or("unknown")
}

//! Snapshots say what is so: numbers, names, ages and figures as the program itself knows them; as structs and as JSON;
//! and nothing of what is in the database. The crate `finalite-endpoint` tests them as metrics.

pub mod activity;
pub mod counters;
pub mod failures;
pub mod figures;
#[cfg(unix)]
pub mod forked;
pub mod json;

use std::path::Path;
use std::time::Duration;

use finalite::handles::{self, TrackingLevel};
use finalite::stats::{ConnectionStats, DbStatus, Stats, snapshot};
use finalite::{Connection, OpenOptions};
use serde_json::Value;

/// Runs a case with a record of each handle.
fn with_records(case: fn()) {
    handles::set_level(TrackingLevel::Records);
    case();
}

/// Runs a case where somebody has looked before, so that connections publish their figures.
fn after_a_snapshot(case: fn()) {
    drop(snapshot());
    with_records(case);
}

#[track_caller]
fn named(name: &str) -> Connection {
    OpenOptions::new().name(name).open_in_memory().unwrap()
}

#[track_caller]
fn of<'s>(stats: &'s Stats, name: &str) -> &'s ConnectionStats {
    let mut found = stats.connections.iter().filter(|conn| conn.name.as_deref() == Some(name));
    let conn = found.next().unwrap_or_else(|| panic!("{name} is not in {stats:?}"));
    assert!(found.next().is_none(), "{name} is there twice");
    conn
}

/// Does nothing, as a call to a connection.
fn touch(conn: &Connection) {
    conn.set_busy_timeout(Duration::ZERO).unwrap();
}

fn figures(conn: &ConnectionStats) -> [Option<u64>; 4] {
    let of = |pick: fn(DbStatus) -> u64| conn.figures.map(pick);
    [
        of(|figures| figures.page_cache_bytes),
        of(|figures| figures.schema_bytes),
        conn.figures.and_then(|figures| figures.statement_bytes),
        of(|figures| figures.lookaside_slots),
    ]
}

/// The same, as the connection says itself.
fn own_figures(conn: &Connection) -> [Option<u64>; 4] {
    let memory = conn.memory();
    [memory.page_cache_bytes, memory.schema_bytes, memory.statement_bytes, memory.lookaside_slots].map(Some)
}

fn json_of(stats: &Stats) -> Value {
    serde_json::from_str(&stats.to_json()).unwrap()
}

/// In a file, so that there is something to read.
fn database(path: &Path, rows: u32) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                INSERT INTO t SELECT i, hex(randomblob(100)) FROM n";
    conn.execute(fill, (rows,)).unwrap();
    assert_eq!(conn.query_one::<u32>("SELECT count(*) FROM t", ()).unwrap(), rows);
}

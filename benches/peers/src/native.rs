//! Work that lets SQLite allocate, by every competitor: for the memory bench. Checksums are those of
//! [`work`](crate::work).

use std::ffi::CString;

use finalite::Connection;
use finalite::handles::{self, TrackingLevel};

use crate::Result;
use crate::reference::{self, Handle};
use crate::sample;
use crate::task::bytes;
use crate::work::Competitor;

/// One row of integers out of [`sample::fill`]'s table, by its key.
const SMALL: &str = "SELECT i1, i2 FROM t WHERE id = 7";

/// Fifty rows, which SQLite sorts: it allocates for each execution.
const SORTED: &str = "SELECT s1, i1 FROM t WHERE id BETWEEN ?1 AND ?1 + 49 ORDER BY s2";

/// Blocks of 48 to 408 bytes, allocated and freed one at a time.
pub fn blocks() -> Vec<Competitor<'static>> {
    vec![Competitor::new("C", reference::malloc_and_free)]
}

/// A connection in memory, with a small table.
pub fn small(has_lookaside: bool) -> Result<Connection> {
    let mut conn = Connection::open_in_memory()?;
    if !has_lookaside {
        Handle::of(&conn).turn_lookaside_off()?;
    }
    sample::fill(&mut conn, 10)?;
    Ok(conn)
}

/// Prepares a small query, runs it and drops the statement.
pub fn prepares(conn: &Connection) -> Result<Vec<Competitor<'_>>> {
    let sql = CString::new(SMALL)?;
    let handle = Handle::of(conn);
    Ok(vec![
        Competitor::new("C", move |n| handle.prepare_and_finalize(&sql, n)),
        Competitor::new("finalite", move |n| Ok(prepare_and_drop(conn, n)?)),
    ])
}

#[inline(never)]
fn prepare_and_drop(conn: &Connection, count: u64) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    for _ in 0..count {
        let mut statement = conn.prepare(SMALL)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            sum = sum.wrapping_add(row.get::<i64>(0)?.cast_unsigned());
        }
        rows.finish()?;
    }
    Ok(sum)
}

/// Prepares a statement and drops it, with counters alone and with a record of each.
pub fn levels(conn: &Connection) -> Vec<Competitor<'_>> {
    let at = move |level| {
        move |count| {
            handles::set_level(level);
            for _ in 0..count {
                conn.prepare(SMALL)?;
            }
            Ok(count)
        }
    };
    vec![
        Competitor::new("counters", at(TrackingLevel::Counters)),
        Competitor::new("records", at(TrackingLevel::Records)),
    ]
}

/// Fifty rows in order of a text, for each of the first n keys; both from their cache of statements.
pub fn sorts<'a>(conn: &'a Connection, peer: &'a rusqlite::Connection, keys: &'a [i64]) -> Vec<Competitor<'a>> {
    let first = move |n: u64| -> Result<&'a [i64]> {
        keys.get(..usize::try_from(n)?).ok_or_else(|| "more queries than keys".into())
    };
    vec![
        Competitor::new("finalite", move |n| Ok(finalite_sorts(conn, first(n)?)?)),
        Competitor::new("rusqlite", move |n| Ok(rusqlite_sorts(peer, first(n)?)?)),
    ]
}

#[inline(never)]
fn finalite_sorts(conn: &Connection, keys: &[i64]) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        let mut statement = conn.prepare_cached(SORTED)?;
        let mut rows = statement.query((*key,))?;
        while let Some(row) = rows.next()? {
            let integer: i64 = row.get(1)?;
            sum = sum.wrapping_add(bytes(row.get::<&str>(0)?.as_bytes())).wrapping_add(integer.cast_unsigned());
        }
        rows.finish()?;
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_sorts(peer: &rusqlite::Connection, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        let mut statement = peer.prepare_cached(SORTED)?;
        let mut rows = statement.query((*key,))?;
        while let Some(row) = rows.next()? {
            let integer: i64 = row.get(1)?;
            sum = sum.wrapping_add(bytes(row.get_ref(0)?.as_str()?.as_bytes()));
            sum = sum.wrapping_add(integer.cast_unsigned());
        }
    }
    Ok(sum)
}

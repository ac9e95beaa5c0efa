//! Rows of `t` as structs of eight fields: derived, by hand, and as they are mostly read with rusqlite.

use std::hint::black_box;

use finalite::FromRow;

use crate::task::{Cell, bytes};

/// A row that owns what it has.
#[derive(FromRow)]
struct Owned {
    id: i64,
    i1: i64,
    i2: i64,
    r1: f64,
    r2: f64,
    s1: String,
    s2: String,
    b: Vec<u8>,
}

impl Owned {
    #[inline]
    fn sum(&self) -> u64 {
        let Self { id, i1, i2, r1, r2, s1, s2, b } = self;
        [id.sum(), i1.sum(), i2.sum(), r1.sum(), r2.sum(), s1.sum(), s2.sum(), b.sum()]
            .into_iter()
            .fold(0, u64::wrapping_add)
    }
}

/// A row whose texts and blobs are SQLite's.
#[derive(FromRow)]
struct Lent<'row> {
    id: i64,
    i1: i64,
    i2: i64,
    r1: f64,
    r2: f64,
    s1: &'row str,
    s2: &'row str,
    b: &'row [u8],
}

impl Lent<'_> {
    #[inline]
    fn sum(&self) -> u64 {
        let Self { id, i1, i2, r1, r2, s1, s2, b } = *self;
        let lent = [bytes(s1.as_bytes()), bytes(s2.as_bytes()), bytes(b)];
        [id.sum(), i1.sum(), i2.sum(), r1.sum(), r2.sum()].into_iter().chain(lent).fold(0, u64::wrapping_add)
    }
}

/// Derived, by `query_as`.
#[inline(never)]
pub fn derived(conn: &finalite::Connection, sql: &str, limit: u64) -> finalite::Result<u64> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query_as::<Owned>(())?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next() else {
            break;
        };
        sum = sum.wrapping_add(black_box(row?).sum());
    }
    Ok(sum)
}

/// Derived, texts and blobs borrowed.
#[inline(never)]
pub fn derived_lent(conn: &finalite::Connection, sql: &str, limit: u64) -> finalite::Result<u64> {
    finalite_rows(conn, sql, limit, |row| Ok(black_box(Lent::from_row(row)?).sum()))
}

/// By `row.get(0)`.
#[inline(never)]
pub fn by_hand(conn: &finalite::Connection, sql: &str, limit: u64) -> finalite::Result<u64> {
    finalite_rows(conn, sql, limit, |row| {
        let owned = Owned {
            id: row.get(0)?,
            i1: row.get(1)?,
            i2: row.get(2)?,
            r1: row.get(3)?,
            r2: row.get(4)?,
            s1: row.get(5)?,
            s2: row.get(6)?,
            b: row.get(7)?,
        };
        Ok(black_box(owned).sum())
    })
}

#[inline(always)]
fn finalite_rows(
    conn: &finalite::Connection,
    sql: &str,
    limit: u64,
    read: impl Fn(finalite::Row<'_>) -> finalite::Result<u64>,
) -> finalite::Result<u64> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        sum = sum.wrapping_add(read(row)?);
    }
    rows.finish()?;
    Ok(sum)
}

/// rusqlite by position.
#[inline(never)]
pub fn rusqlite(peer: &rusqlite::Connection, sql: &str, limit: u64) -> rusqlite::Result<u64> {
    rusqlite_rows(peer, sql, limit, |row| {
        Ok(Owned {
            id: row.get(0)?,
            i1: row.get(1)?,
            i2: row.get(2)?,
            r1: row.get(3)?,
            r2: row.get(4)?,
            s1: row.get(5)?,
            s2: row.get(6)?,
            b: row.get(7)?,
        })
    })
}

/// rusqlite by name.
#[inline(never)]
pub fn rusqlite_by_name(peer: &rusqlite::Connection, sql: &str, limit: u64) -> rusqlite::Result<u64> {
    rusqlite_rows(peer, sql, limit, |row| {
        Ok(Owned {
            id: row.get("id")?,
            i1: row.get("i1")?,
            i2: row.get("i2")?,
            r1: row.get("r1")?,
            r2: row.get("r2")?,
            s1: row.get("s1")?,
            s2: row.get("s2")?,
            b: row.get("b")?,
        })
    })
}

#[inline(always)]
fn rusqlite_rows(
    peer: &rusqlite::Connection,
    sql: &str,
    limit: u64,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<Owned>,
) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut rows = statement.query_map((), read)?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next() else {
            break;
        };
        sum = sum.wrapping_add(black_box(row?).sum());
    }
    Ok(sum)
}

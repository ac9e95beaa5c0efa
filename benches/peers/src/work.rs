//! The work, by every competitor. All of them compute the same checksum over the same bytes: integers and the bits of
//! reals are summed, a text or blob adds its length and its last byte.

use std::ffi::CString;
use std::hint::black_box;

use finalite::ValueRef;

use crate::Result;
use crate::reference::{self, CRecord, Handle, Insert, Lookup, Scan};
use crate::sample::{INSERT, LOOKUP};
use crate::scans::sum_of_refs;
use crate::task::bytes;

/// Somebody who does a piece of work: `run(n)` does it `n` times and returns the checksum.
pub struct Competitor<'a> {
    pub name: &'static str,
    pub run: Box<dyn FnMut(u64) -> Result<u64> + 'a>,
    /// Whether the checksum says something: not for who reads nothing.
    pub has_checksum: bool,
}

impl<'a> Competitor<'a> {
    pub fn new(name: &'static str, run: impl FnMut(u64) -> Result<u64> + 'a) -> Self {
        Self { name, run: Box::new(run), has_checksum: true }
    }
}

/// A row for the inserts.
#[derive(finalite::Params)]
pub struct Record {
    #[finalite(rename = "i")]
    pub integer: i64,
    #[finalite(rename = "s")]
    pub text: String,
    #[finalite(rename = "r")]
    pub real: f64,
}

/// Reads the first n rows of a query. The references are first; `C best` a second time is the control, whose ratio
/// is 1 but for noise, and `Rust best` makes the same calls from Rust, without a driver.
pub fn scans<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    sql: &str,
) -> Result<Vec<Competitor<'a>>> {
    let handle = Handle::of(conn);
    let mut step = handle.prepare(sql)?;
    let mut usual = handle.prepare(sql)?;
    let mut best = handle.prepare(sql)?;
    let mut again = handle.prepare(sql)?;
    let mut rust = handle.prepare(sql)?;
    let mut value = conn.prepare(sql)?;
    let mut text = conn.prepare(sql)?;
    let mut rusqlite = peer.prepare(sql)?;
    Ok(vec![
        Competitor { has_checksum: false, ..Competitor::new("C step only", move |n| step.scan(Scan::StepOnly, n)) },
        Competitor::new("C usual", move |n| usual.scan(Scan::Usual, n)),
        Competitor::new("C best", move |n| best.scan(Scan::Best, n)),
        Competitor::new("C best again", move |n| again.scan(Scan::Best, n)),
        Competitor::new("Rust best", move |n| rust.scan_in_rust(n)),
        Competitor::new("finalite value", move |n| Ok(finalite_values(&mut value, n)?)),
        Competitor::new("finalite &str", move |n| Ok(finalite_text(&mut text, n)?)),
        Competitor::new("rusqlite get_ref", move |n| Ok(rusqlite_refs(&mut rusqlite, n)?)),
    ])
}

#[inline(never)]
fn finalite_values(statement: &mut finalite::Statement<'_>, limit: u64) -> finalite::Result<u64> {
    let columns = statement.column_count();
    let mut rows = statement.query(())?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for column in 0..columns {
            sum = sum.wrapping_add(match row.value(column)? {
                ValueRef::Null => 0,
                ValueRef::Integer(value) => value.cast_unsigned(),
                ValueRef::Real(value) => value.to_bits(),
                ValueRef::Text(text) => bytes(text),
                ValueRef::Blob(blob) => bytes(blob),
            });
        }
    }
    rows.finish()?;
    Ok(sum)
}

#[inline(never)]
fn finalite_text(statement: &mut finalite::Statement<'_>, limit: u64) -> finalite::Result<u64> {
    let columns = statement.column_count();
    let mut rows = statement.query(())?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for column in 0..columns {
            let value = row.value(column)?;
            sum = sum.wrapping_add(match value {
                ValueRef::Null => 0,
                ValueRef::Integer(value) => value.cast_unsigned(),
                ValueRef::Real(value) => value.to_bits(),
                ValueRef::Text(_) => bytes(value.as_str().map_err(finalite::Error::external)?.as_bytes()),
                ValueRef::Blob(blob) => bytes(blob),
            });
        }
    }
    rows.finish()?;
    Ok(sum)
}

#[inline(never)]
fn rusqlite_refs(statement: &mut rusqlite::Statement<'_>, limit: u64) -> rusqlite::Result<u64> {
    let columns = statement.column_count();
    sum_of_refs(statement.query(())?, columns, limit)
}

/// Reads text and integer of one row by its key, for each of the first n keys. The statement is kept in C, and comes
/// out of the cache in Rust. `borrowed` reads the text where it is, `owned` as a `String`.
pub fn lookups<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    keys: &'a [i64],
) -> Result<Vec<Competitor<'a>>> {
    let handle = Handle::of(conn);
    let first = move |n: u64| -> Result<&'a [i64]> {
        keys.get(..usize::try_from(n)?).ok_or_else(|| "more lookups than keys".into())
    };
    let reference = |name, lookup| -> Result<Competitor<'a>> {
        let mut statement = handle.prepare(LOOKUP)?;
        Ok(Competitor::new(name, move |n| statement.lookup(lookup, first(n)?)))
    };
    Ok(vec![
        reference("C usual", Lookup::Usual)?,
        reference("C as finalite", Lookup::AsFinalite)?,
        reference("C as rusqlite", Lookup::AsRusqlite)?,
        reference("C as rusqlite one", Lookup::AsRusqliteOne)?,
        reference("C usual again", Lookup::Usual)?,
        Competitor::new("finalite borrowed", move |n| Ok(finalite_borrowed(conn, first(n)?)?)),
        Competitor::new("finalite owned", move |n| Ok(finalite_owned(conn, first(n)?)?)),
        Competitor::new("finalite key", move |n| Ok(finalite_key(conn, first(n)?)?)),
        Competitor::new("rusqlite borrowed", move |n| Ok(rusqlite_borrowed(peer, first(n)?)?)),
        Competitor::new("rusqlite kept", move |n| Ok(rusqlite_kept(peer, first(n)?)?)),
        Competitor::new("rusqlite borrowed one", move |n| Ok(rusqlite_borrowed_one(peer, first(n)?)?)),
        Competitor::new("rusqlite owned", move |n| Ok(rusqlite_owned(peer, first(n)?)?)),
        Competitor::new("rusqlite owned one", move |n| Ok(rusqlite_owned_one(peer, first(n)?)?)),
    ])
}

#[inline(never)]
fn finalite_borrowed(conn: &finalite::Connection, keys: &[i64]) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        sum = sum.wrapping_add(conn.query_row(LOOKUP, (*key,), |row| {
            let text: &str = row.get(0)?;
            let integer: i64 = row.get(1)?;
            Ok(bytes(text.as_bytes()).wrapping_add(integer.cast_unsigned()))
        })?);
    }
    Ok(sum)
}

#[inline(never)]
fn finalite_key(conn: &finalite::Connection, keys: &[i64]) -> finalite::Result<u64> {
    static KEY: finalite::StatementKey = finalite::StatementKey::new(LOOKUP);
    let mut sum = 0_u64;
    for key in keys {
        sum = sum.wrapping_add(conn.statement(KEY)?.query_row((*key,), |row| {
            let text: &str = row.get(0)?;
            let integer: i64 = row.get(1)?;
            Ok(bytes(text.as_bytes()).wrapping_add(integer.cast_unsigned()))
        })?);
    }
    Ok(sum)
}

#[inline(never)]
fn finalite_owned(conn: &finalite::Connection, keys: &[i64]) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        let (text, integer): (String, i64) = conn.query_one(LOOKUP, (*key,))?;
        sum = sum.wrapping_add(bytes(black_box(text).as_bytes())).wrapping_add(integer.cast_unsigned());
    }
    Ok(sum)
}

fn borrowed(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    let text = row.get_ref(0)?.as_str()?;
    let integer: i64 = row.get(1)?;
    Ok(bytes(text.as_bytes()).wrapping_add(integer.cast_unsigned()))
}

fn owned(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}

#[inline(never)]
fn rusqlite_borrowed(peer: &rusqlite::Connection, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        sum = sum.wrapping_add(peer.prepare_cached(LOOKUP)?.query_row((*key,), borrowed)?);
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_kept(peer: &rusqlite::Connection, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    let mut statement = peer.prepare(LOOKUP)?;
    for key in keys {
        sum = sum.wrapping_add(statement.query_row((*key,), borrowed)?);
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_borrowed_one(peer: &rusqlite::Connection, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        sum = sum.wrapping_add(peer.prepare_cached(LOOKUP)?.query_one((*key,), borrowed)?);
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_owned(peer: &rusqlite::Connection, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        let (text, integer) = peer.prepare_cached(LOOKUP)?.query_row((*key,), owned)?;
        sum = sum.wrapping_add(bytes(black_box(text).as_bytes())).wrapping_add(integer.cast_unsigned());
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_owned_one(peer: &rusqlite::Connection, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for key in keys {
        let (text, integer) = peer.prepare_cached(LOOKUP)?.query_one((*key,), owned)?;
        sum = sum.wrapping_add(bytes(black_box(text).as_bytes())).wrapping_add(integer.cast_unsigned());
    }
    Ok(sum)
}

/// Inserts the first n records, one by one: integer, borrowed text, real. The caller has begun a transaction. `cached`
/// takes the statement out of the cache for every row, `kept` has it.
pub fn inserts<'a>(
    conn: &'a finalite::Connection,
    peer: &'a rusqlite::Connection,
    records: &'a [Record],
    c_records: &'a [CRecord<'a>],
) -> Result<Vec<Competitor<'a>>> {
    let handle = Handle::of(conn);
    let first = move |n: u64| -> Result<&'a [Record]> {
        records.get(..usize::try_from(n)?).ok_or_else(|| "more inserts than records".into())
    };
    let reference = |name, insert| -> Result<Competitor<'a>> {
        let mut statement = handle.prepare(INSERT)?;
        Ok(Competitor::new(name, move |n| {
            let records = c_records.get(..usize::try_from(n)?).ok_or("more inserts than records")?;
            statement.insert(insert, records)
        }))
    };
    let mut finalite_kept = conn.prepare(INSERT)?;
    let mut finalite_many = conn.prepare(INSERT)?;
    let mut kept_struct = conn.prepare(INSERT)?;
    let mut rusqlite_kept = peer.prepare(INSERT)?;
    Ok(vec![
        reference("C usual", Insert::Usual)?,
        reference("C as finalite", Insert::AsFinalite)?,
        reference("C as rusqlite", Insert::AsRusqlite)?,
        reference("C as rusqlite cached", Insert::AsRusqliteCached)?,
        reference("C usual again", Insert::Usual)?,
        Competitor::new("finalite cached", move |n| Ok(finalite_insert_cached(conn, first(n)?)?)),
        Competitor::new("finalite kept", move |n| Ok(finalite_insert_kept(&mut finalite_kept, first(n)?)?)),
        Competitor::new("finalite execute_many", move |n| Ok(finalite_insert_many(&mut finalite_many, first(n)?)?)),
        Competitor::new("finalite insert_into", move |n| Ok(finalite_insert_into(conn, first(n)?)?)),
        Competitor::new("finalite kept struct", move |n| Ok(finalite_kept_struct(&mut kept_struct, first(n)?)?)),
        Competitor::new("rusqlite cached", move |n| Ok(rusqlite_insert_cached(peer, first(n)?)?)),
        Competitor::new("rusqlite kept", move |n| Ok(rusqlite_insert_kept(&mut rusqlite_kept, first(n)?)?)),
    ])
}

#[inline(never)]
fn finalite_insert_cached(conn: &finalite::Connection, records: &[Record]) -> finalite::Result<u64> {
    let mut changed = 0;
    for Record { integer, text, real } in records {
        changed += conn.execute(INSERT, (*integer, text, *real))? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn finalite_insert_kept(statement: &mut finalite::Statement<'_>, records: &[Record]) -> finalite::Result<u64> {
    let mut changed = 0;
    for Record { integer, text, real } in records {
        changed += statement.execute((*integer, text, *real))? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn finalite_insert_many(statement: &mut finalite::Statement<'_>, records: &[Record]) -> finalite::Result<u64> {
    let sets = records.iter().map(|Record { integer, text, real }| (*integer, text, *real));
    Ok(statement.execute_many(sets)? as u64)
}

#[inline(never)]
fn finalite_insert_into(conn: &finalite::Connection, records: &[Record]) -> finalite::Result<u64> {
    let mut changed = 0;
    for record in records {
        changed += conn.insert_into("sink", record)? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn finalite_kept_struct(statement: &mut finalite::Statement<'_>, records: &[Record]) -> finalite::Result<u64> {
    let mut changed = 0;
    for record in records {
        changed += statement.execute(record)? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn rusqlite_insert_cached(peer: &rusqlite::Connection, records: &[Record]) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for Record { integer, text, real } in records {
        changed += peer.prepare_cached(INSERT)?.execute((*integer, text, *real))? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn rusqlite_insert_kept(statement: &mut rusqlite::Statement<'_>, records: &[Record]) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for Record { integer, text, real } in records {
        changed += statement.execute((*integer, text, *real))? as u64;
    }
    Ok(changed)
}

/// Opens the database at this path, reads one integer, closes; n times. C makes the calls that finalite makes; rusqlite
/// opens as it does by default.
pub fn opens<'a>(path: &'a str, sql: &'static str) -> Result<Vec<Competitor<'a>>> {
    let c_path = CString::new(path)?;
    let c_sql = CString::new(sql)?;
    let (again_path, again_sql) = (c_path.clone(), c_sql.clone());
    Ok(vec![
        Competitor::new("C", move |n| reference::open(&c_path, &c_sql, n)),
        Competitor::new("C again", move |n| reference::open(&again_path, &again_sql, n)),
        Competitor::new("finalite", move |n| Ok(finalite_open(path, sql, n)?)),
        Competitor::new("rusqlite", move |n| Ok(rusqlite_open(path, sql, n)?)),
    ])
}

#[inline(never)]
fn finalite_open(path: &str, sql: &str, count: u64) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    for _ in 0..count {
        let conn = finalite::Connection::open(path)?;
        sum = sum.wrapping_add(conn.query_one::<i64>(sql, ())?.cast_unsigned());
        conn.close()?;
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_open(path: &str, sql: &str, count: u64) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for _ in 0..count {
        let conn = rusqlite::Connection::open(path)?;
        sum = sum.wrapping_add(conn.query_one(sql, (), |row| row.get::<_, i64>(0))?.cast_unsigned());
        conn.close().map_err(|(_, error)| error)?;
    }
    Ok(sum)
}

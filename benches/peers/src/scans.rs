//! The scan bench's work: a whole result, by every competitor that shares this process.

use std::hint::black_box;

use finalite::scan::{ColumnBatch, ColumnType, Scan as FinaliteScan, ScanStrategy};
use finalite::{Connection, Error, FromRow, ValueRef};
use rusqlite::types::ValueRef as RusqliteRef;

use crate::Result;
use crate::reference::{self, Handle, Scan};
use crate::structs;
use crate::task::{Cell, HEADLINE, Shape, WORKLOADS, Workload, bytes, sum};
use crate::work::Competitor;

/// How many rows a batch has.
pub const BATCH: usize = 4096;

/// One execution: the key to bind, and the most rows to read; returns the checksum.
type Execute<'a> = Box<dyn FnMut(Option<i64>, u64) -> Result<u64> + 'a>;

/// Everybody here reads through the one connection, and keeps the statement or takes it from the driver's cache. A
/// run of n reads the first n rows, or executes the query for each of the first n keys.
pub fn competitors<'a>(
    conn: &'a Connection,
    peer: &'a rusqlite::Connection,
    workload: &'static Workload,
    keys: &'a [i64],
) -> Result<Vec<Competitor<'a>>> {
    let Workload { sql, shape, is_keyed, .. } = *workload;
    let c = |scan| -> Result<Execute<'a>> {
        let mut statement = Handle::of(conn).prepare(sql)?;
        Ok(Box::new(move |key, limit| run_c(&mut statement, scan, key, limit)))
    };
    let by_shape = |f: ByShape| -> Execute<'a> { Box::new(move |key, limit| Ok(f(peer, sql, key, limit)?)) };
    let (owned, vecs) = rusqlite_of(shape);
    let mut competitors: Vec<(&'static str, Execute<'a>)> = vec![
        ("C usual", c(Scan::Usual)?),
        ("C best", c(Scan::Best)?),
        ("C best again", c(Scan::Best)?),
        ("rusqlite get_ref", by_shape(rusqlite_refs)),
        ("rusqlite get", by_shape(owned)),
        ("rusqlite into Vecs", by_shape(vecs)),
        ("rusqlite into arenas", by_shape(rusqlite_arenas)),
        ("finalite Rows", Box::new(|key, limit| Ok(rows(conn, sql, key, limit)?))),
        ("finalite for_each", Box::new(|key, limit| Ok(for_each(first_rows(conn, sql, key, limit))?))),
        ("finalite for_each &str", Box::new(|key, limit| Ok(for_each_str(first_rows(conn, sql, key, limit))?))),
        ("finalite batches", Box::new(|key, limit| Ok(batches(first_rows(conn, sql, key, limit))?))),
        ("finalite columns", Box::new(|key, limit| Ok(columns(first_rows(conn, sql, key, limit), false)?))),
        ("finalite columns &str", Box::new(|key, limit| Ok(columns(first_rows(conn, sql, key, limit), true)?))),
    ];
    if is_of_pages(workload) {
        let by_pages = move |limit| first_rows(conn, sql, None, limit).strategy(ScanStrategy::Pages);
        competitors.push(("finalite pages", Box::new(move |_, limit| Ok(for_each(by_pages(limit))?))));
        competitors.push(("finalite pages columns", Box::new(move |_, limit| Ok(columns(by_pages(limit), false)?))));
    }
    if let Some(owned) = finalite_of(shape) {
        competitors.push(("finalite query_as", Box::new(move |key, limit| Ok(owned(conn, sql, key, limit)?))));
    }
    if is_of_structs(workload) {
        let ours = |f: OfStructs<Connection, finalite::Error>| -> Execute<'a> {
            Box::new(move |_, limit| Ok(f(conn, sql, limit)?))
        };
        let theirs = |f: OfStructs<rusqlite::Connection, rusqlite::Error>| -> Execute<'a> {
            Box::new(move |_, limit| Ok(f(peer, sql, limit)?))
        };
        competitors.extend([
            ("finalite struct", ours(structs::derived)),
            ("finalite struct &str", ours(structs::derived_lent)),
            ("finalite struct by hand", ours(structs::by_hand)),
            ("rusqlite struct", theirs(structs::rusqlite)),
            ("rusqlite struct by name", theirs(structs::rusqlite_by_name)),
        ]);
    }
    Ok(competitors
        .into_iter()
        .map(|(name, mut execute)| {
            Competitor::new(name, move |n| {
                if !is_keyed {
                    return execute(None, n);
                }
                let keys = keys.get(..usize::try_from(n)?).ok_or("more queries than keys")?;
                keys.iter().try_fold(0_u64, |sum, &key| Ok(sum.wrapping_add(execute(Some(key), u64::MAX)?)))
            })
        })
        .collect())
}

/// Whether the page reader takes a workload: columns of a table, all rows.
pub fn is_of_pages(workload: &Workload) -> bool {
    WORKLOADS[..HEADLINE].iter().any(|known| known.name == workload.name)
}

/// A function that reads so many rows as structs.
type OfStructs<C, E> = fn(&C, &str, u64) -> Result<u64, E>;

/// Whether rows are read as structs, too.
pub fn is_of_structs(workload: &Workload) -> bool {
    workload.name == "wide"
}

fn run_c(statement: &mut reference::Statement<'_>, scan: Scan, key: Option<i64>, limit: u64) -> Result<u64> {
    if let Some(key) = key {
        statement.bind(key)?;
    }
    statement.scan(scan, limit)
}

#[inline(always)]
pub fn sum_of(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(value) => value.cast_unsigned(),
        ValueRef::Real(value) => value.to_bits(),
        ValueRef::Text(text) => bytes(text),
        ValueRef::Blob(blob) => bytes(blob),
    }
}

#[inline(always)]
fn sum_of_str(value: ValueRef<'_>) -> finalite::Result<u64> {
    match value {
        ValueRef::Text(_) => Ok(bytes(value.as_str().map_err(Error::external)?.as_bytes())),
        _ => Ok(sum_of(value)),
    }
}

/// The parameters of a query that has a key, or has none.
fn params<'p>(key: Option<i64>) -> impl finalite::Params<'p> {
    finalite::params_from_iter(key)
}

/// A scan of so many rows, with the key where there is one.
fn first_rows<'a>(
    conn: &'a Connection,
    sql: &'a str,
    key: Option<i64>,
    limit: u64,
) -> FinaliteScan<'a, impl finalite::Params<'static>> {
    conn.scan(sql, params(key)).limit(limit)
}

#[inline(never)]
fn rows(conn: &Connection, sql: &str, key: Option<i64>, limit: u64) -> finalite::Result<u64> {
    let mut statement = conn.prepare_cached(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params(key))?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for column in 0..columns {
            sum = sum.wrapping_add(sum_of(row.value(column)?));
        }
    }
    rows.finish()?;
    Ok(sum)
}

#[inline(never)]
pub fn for_each<'p>(scan: FinaliteScan<'_, impl finalite::Params<'p>>) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    scan.for_each(|row| {
        for column in 0..row.column_count() {
            sum = sum.wrapping_add(sum_of(row.value(column)?));
        }
        Ok(())
    })?;
    Ok(sum)
}

#[inline(never)]
fn for_each_str(scan: FinaliteScan<'_, impl finalite::Params<'static>>) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    scan.for_each(|row| {
        for column in 0..row.column_count() {
            sum = sum.wrapping_add(sum_of_str(row.value(column)?)?);
        }
        Ok(())
    })?;
    Ok(sum)
}

#[inline(never)]
fn batches(scan: FinaliteScan<'_, impl finalite::Params<'static>>) -> finalite::Result<u64> {
    let mut sum = 0_u64;
    scan.batches(BATCH, |batch| {
        sum = sum.wrapping_add(sum_of_batch(batch, false)?);
        Ok(())
    })?;
    Ok(sum)
}

#[inline(never)]
fn columns(scan: FinaliteScan<'_, impl finalite::Params<'static>>, is_str: bool) -> finalite::Result<u64> {
    sum_of_batch(&scan.columns()?, is_str)
}

/// Full scans by the page reader, beside C and beside the statement.
pub fn page_competitors<'a>(conn: &'a Connection, sql: &'static str) -> Result<Vec<Competitor<'a>>> {
    let mut usual = Handle::of(conn).prepare(sql)?;
    let mut best = Handle::of(conn).prepare(sql)?;
    let by_pages = move |n| first_rows(conn, sql, None, n).strategy(ScanStrategy::Pages);
    Ok(vec![
        Competitor::new("C usual", move |n| usual.scan(Scan::Usual, n)),
        Competitor::new("C best", move |n| best.scan(Scan::Best, n)),
        Competitor::new("statement for_each", move |n| Ok(for_each(first_rows(conn, sql, None, n))?)),
        Competitor::new("statement columns", move |n| Ok(columns(first_rows(conn, sql, None, n), false)?)),
        Competitor::new("for_each", move |n| Ok(for_each(by_pages(n))?)),
        Competitor::new("batches", move |n| Ok(batches(by_pages(n))?)),
        Competitor::new("2 threads: batches", move |n| Ok(batches(by_pages(n).threads(2))?)),
        Competitor::new("columns", move |n| Ok(columns(by_pages(n), false)?)),
        Competitor::new("2 threads: columns", move |n| Ok(columns(by_pages(n).threads(2), false)?)),
    ])
}

/// Every value is read, as a user of columns reads them. `is_str`: texts as `&str`.
pub fn sum_of_batch(batch: &ColumnBatch, is_str: bool) -> finalite::Result<u64> {
    let mut sums = 0_u64;
    for column in batch.columns() {
        sums = sums.wrapping_add(match column.data_type() {
            ColumnType::Null => 0,
            // In the place of a NULL there is 0, whose bits are 0.
            ColumnType::Integer => sum(column.as_i64_with_validity()?.0),
            ColumnType::Real => sum(column.as_f64_with_validity()?.0),
            ColumnType::Text if is_str => {
                column.as_str()?.iter().flatten().fold(0, |sum, text| sum.wrapping_add(bytes(text.as_bytes())))
            }
            ColumnType::Text | ColumnType::Blob => {
                column.as_bytes()?.iter().flatten().fold(0, |sum, value| sum.wrapping_add(bytes(value)))
            }
            _ => column.iter().fold(0, |sum, value| sum.wrapping_add(sum_of(value))),
        });
    }
    Ok(sums)
}

type ByShape = fn(&rusqlite::Connection, &str, Option<i64>, u64) -> rusqlite::Result<u64>;

#[inline(never)]
fn rusqlite_refs(peer: &rusqlite::Connection, sql: &str, key: Option<i64>, limit: u64) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let columns = statement.column_count();
    sum_of_refs(statement.query(rusqlite::params_from_iter(key))?, columns, limit)
}

/// Reads every value of up to so many rows.
#[inline(always)]
pub fn sum_of_refs(mut rows: rusqlite::Rows<'_>, columns: usize, limit: u64) -> rusqlite::Result<u64> {
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for column in 0..columns {
            sum = sum.wrapping_add(match row.get_ref(column)? {
                RusqliteRef::Null => 0,
                RusqliteRef::Integer(value) => value.cast_unsigned(),
                RusqliteRef::Real(value) => value.to_bits(),
                RusqliteRef::Text(text) => bytes(text),
                RusqliteRef::Blob(blob) => bytes(blob),
            });
        }
    }
    Ok(sum)
}

/// A row as a program has it that knows its columns: a tuple of what is read as its own.
trait Owned: Sized {
    /// A vector per column.
    type Vecs: Default;

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self>;
    fn sum(&self) -> u64;
    fn push(row: &rusqlite::Row<'_>, vecs: &mut Self::Vecs) -> rusqlite::Result<()>;
    fn sum_of(vecs: &Self::Vecs) -> u64;
}

macro_rules! owned {
    ($($column:ident $index:tt),+) => {
        impl<$($column: Cell + rusqlite::types::FromSql),+> Owned for ($($column,)+) {
            type Vecs = ($(Vec<$column>,)+);

            #[inline]
            fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                Ok(($(row.get::<_, $column>($index)?,)+))
            }

            #[inline]
            fn sum(&self) -> u64 {
                let mut sum = 0_u64;
                $(sum = sum.wrapping_add(self.$index.sum());)+
                sum
            }

            #[inline]
            fn push(row: &rusqlite::Row<'_>, vecs: &mut Self::Vecs) -> rusqlite::Result<()> {
                $(vecs.$index.push(row.get($index)?);)+
                Ok(())
            }

            fn sum_of(vecs: &Self::Vecs) -> u64 {
                let mut sums = 0_u64;
                $(sums = sums.wrapping_add(sum(&vecs.$index));)+
                sums
            }
        }
    };
}

owned!(A 0);
owned!(A 0, B 1);
owned!(A 0, B 1, C 2);
owned!(A 0, B 1, C 2, D 3);
owned!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

type Wide = (i64, i64, i64, f64, f64, String, String, Vec<u8>);
type Nulls = (i64, Option<i64>, Option<i64>, Option<f64>, Option<f64>, Option<String>, Option<String>, Option<Vec<u8>>);

/// Reading into tuples, and into vectors.
fn rusqlite_of(shape: Shape) -> (ByShape, ByShape) {
    fn of<T: Owned>() -> (ByShape, ByShape) {
        (rusqlite_owned::<T>, rusqlite_vecs::<T>)
    }
    match shape {
        Shape::One => of::<(i64,)>(),
        Shape::Num => of::<(i64, i64, f64, f64)>(),
        Shape::Text => of::<(String, String)>(),
        Shape::Wide => of::<Wide>(),
        Shape::Nulls => of::<Nulls>(),
        Shape::Long => of::<(String,)>(),
        Shape::Hundred => (rusqlite_hundred, rusqlite_hundred_vecs),
        Shape::Pair => of::<(i64, String)>(),
        Shape::Group => of::<(i64, i64, f64)>(),
        Shape::Lookup => of::<(String, i64)>(),
    }
}

#[inline(never)]
fn rusqlite_owned<T: Owned>(
    peer: &rusqlite::Connection,
    sql: &str,
    key: Option<i64>,
    limit: u64,
) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(key))?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        sum = sum.wrapping_add(black_box(T::read(row)?).sum());
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_vecs<T: Owned>(
    peer: &rusqlite::Connection,
    sql: &str,
    key: Option<i64>,
    limit: u64,
) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(key))?;
    let mut vecs = T::Vecs::default();
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        T::push(row, &mut vecs)?;
    }
    Ok(T::sum_of(black_box(&vecs)))
}

/// A column as finalite's batches have it: numbers in a row, the bytes of texts and blobs in one arena.
#[derive(Default)]
struct Arena {
    numbers: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Arena {
    #[inline(always)]
    fn push(&mut self, value: RusqliteRef<'_>) {
        match value {
            RusqliteRef::Null => self.numbers.push(0),
            RusqliteRef::Integer(value) => self.numbers.push(value.cast_unsigned()),
            RusqliteRef::Real(value) => self.numbers.push(value.to_bits()),
            RusqliteRef::Text(value) | RusqliteRef::Blob(value) => {
                self.bytes.extend_from_slice(value);
                self.ends.push(self.bytes.len());
            }
        }
    }

    fn sum(&self) -> u64 {
        let numbers = self.numbers.iter().fold(0_u64, |sum, number| sum.wrapping_add(*number));
        let mut start = 0;
        self.ends.iter().fold(numbers, |sum, &end| {
            let value = &self.bytes[start..end];
            start = end;
            sum.wrapping_add(bytes(value))
        })
    }
}

#[inline(never)]
fn rusqlite_arenas(peer: &rusqlite::Connection, sql: &str, key: Option<i64>, limit: u64) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut arenas: Vec<Arena> = (0..statement.column_count()).map(|_| Arena::default()).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(key))?;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for (column, arena) in arenas.iter_mut().enumerate() {
            arena.push(row.get_ref(column)?);
        }
    }
    Ok(black_box(&arenas).iter().fold(0, |sum, arena| sum.wrapping_add(arena.sum())))
}

#[inline(never)]
fn rusqlite_hundred(peer: &rusqlite::Connection, sql: &str, _: Option<i64>, limit: u64) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for column in 0..100 {
            sum = sum.wrapping_add(row.get::<_, i64>(column)?.cast_unsigned());
        }
    }
    Ok(sum)
}

#[inline(never)]
fn rusqlite_hundred_vecs(peer: &rusqlite::Connection, sql: &str, _: Option<i64>, limit: u64) -> rusqlite::Result<u64> {
    let mut statement = peer.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut vecs: Vec<Vec<i64>> = vec![vec![]; 100];
    for _ in 0..limit {
        let Some(row) = rows.next()? else {
            break;
        };
        for (column, values) in vecs.iter_mut().enumerate() {
            values.push(row.get(column)?);
        }
    }
    Ok(sum(black_box(&vecs).iter().flatten()))
}

type OwnedByShape = fn(&Connection, &str, Option<i64>, u64) -> finalite::Result<u64>;

/// Reading into tuples; finalite has none of a hundred.
fn finalite_of(shape: Shape) -> Option<OwnedByShape> {
    Some(match shape {
        Shape::One => query_as::<(i64,)>,
        Shape::Num => query_as::<(i64, i64, f64, f64)>,
        Shape::Text => query_as::<(String, String)>,
        Shape::Wide => query_as::<Wide>,
        Shape::Nulls => query_as::<Nulls>,
        Shape::Long => query_as::<(String,)>,
        Shape::Hundred => return None,
        Shape::Pair => query_as::<(i64, String)>,
        Shape::Group => query_as::<(i64, i64, f64)>,
        Shape::Lookup => query_as::<(String, i64)>,
    })
}

#[inline(never)]
fn query_as<T: Owned + for<'row> FromRow<'row>>(
    conn: &Connection,
    sql: &str,
    key: Option<i64>,
    limit: u64,
) -> finalite::Result<u64> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query_as::<T>(params(key))?;
    let mut sum = 0_u64;
    for _ in 0..limit {
        let Some(row) = rows.next() else {
            break;
        };
        sum = sum.wrapping_add(black_box(row?).sum());
    }
    Ok(sum)
}

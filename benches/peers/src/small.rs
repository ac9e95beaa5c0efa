//! Small work: many tables that are scanned once, queries of a few rows whose SQL is new each time or is not, updates of
//! one row.

use finalite::Connection;

use crate::Result;
use crate::reference::{Handle, Scan as CScan};
use crate::scans::{for_each, sum_of, sum_of_batch, sum_of_refs};
use crate::task::sum;
use crate::work::Competitor;

/// How many tables there are.
pub const TABLES: usize = 1_000;

/// How many rows each has.
const ROWS: i64 = 10;

/// Creates the tables.
pub fn create_tables(conn: &mut Connection) -> Result<()> {
    let tx = conn.transaction()?;
    for table in 0..TABLES {
        tx.execute_batch(&format!("CREATE TABLE small{table}(i INTEGER, s TEXT, r REAL)"))?;
        let mut insert = tx.prepare(&format!("INSERT INTO small{table} VALUES (?, ?, ?)"))?;
        for row in 0..ROWS {
            insert.execute((row, format!("{table:06}-{row:06}"), row as f64 + 0.5))?;
        }
    }
    tx.commit()?;
    Ok(())
}

/// The names of the tables, and a scan of each as SQL.
pub fn tables() -> Vec<(String, String)> {
    let names = (0..TABLES).map(|table| format!("small{table}"));
    names.map(|name| (name.clone(), format!("SELECT * FROM {name}"))).collect()
}

/// Queries of three rows of `sample`'s table `t`, each with SQL of its own.
pub fn queries(rows: u64, count: u64) -> Vec<(String, String)> {
    let sql = |n: u64| format!("SELECT i1, r1, s1 FROM t WHERE id BETWEEN {} AND {}", n % rows, n % rows + 2);
    (0..count).map(|n| (String::new(), sql(n))).collect()
}

/// Runs the first n queries, each once; of tables, also by the name of each.
pub fn once<'a>(
    conn: &'a Connection,
    peer: &'a rusqlite::Connection,
    queries: &'a [(String, String)],
) -> Vec<Competitor<'a>> {
    let of_each = move |name, query: fn(&Connection, &rusqlite::Connection, &(String, String)) -> Result<u64>| {
        Competitor::new(name, move |n| {
            let queries = queries.get(..usize::try_from(n)?).ok_or("more queries than there are")?;
            queries.iter().try_fold(0_u64, |sum, it| Ok(sum.wrapping_add(query(conn, peer, it)?)))
        })
    };
    let mut all = vec![
        of_each("C", |conn, _, (_, sql)| Handle::of(conn).query_once(sql)),
        of_each("rusqlite", |_, peer, (_, sql)| Ok(rusqlite_rows(&mut peer.prepare(sql)?, None)?)),
        of_each("finalite Rows", |conn, _, (_, sql)| Ok(rows(conn, sql)?)),
        of_each("finalite scan", |conn, _, (_, sql)| Ok(for_each(conn.scan(sql, ()))?)),
        of_each("finalite columns", |conn, _, (_, sql)| Ok(sum_of_batch(&conn.scan(sql, ()).columns()?, false)?)),
    ];
    if queries.first().is_some_and(|(name, _)| !name.is_empty()) {
        all.extend([
            of_each("finalite scan_table", |conn, _, (name, _)| Ok(for_each(conn.scan_table(name).all_columns())?)),
            of_each("finalite scan_table columns", |conn, _, (name, _)| {
                Ok(sum_of_batch(&conn.scan_table(name).all_columns().columns()?, false)?)
            }),
        ]);
    }
    all
}

/// Queries `count` rows from each of the first n keys on, with one SQL.
pub fn by_key<'a>(
    conn: &'a Connection,
    peer: &'a rusqlite::Connection,
    keys: &'a [i64],
    count: u64,
) -> Result<Vec<Competitor<'a>>> {
    let sql: &'static str = match count {
        1 => "SELECT i1, r1, s1 FROM t WHERE id = ?",
        _ => "SELECT i1, r1, s1 FROM t WHERE id BETWEEN ?1 AND ?1 + 4",
    };
    let first = move |n: u64| -> Result<&'a [i64]> {
        keys.get(..usize::try_from(n)?).ok_or_else(|| "more queries than keys".into())
    };
    let of_each = move |name, query: fn(&Connection, &rusqlite::Connection, &str, i64) -> Result<u64>| {
        Competitor::new(name, move |n| {
            first(n)?.iter().try_fold(0_u64, |sum, &key| Ok(sum.wrapping_add(query(conn, peer, sql, key)?)))
        })
    };
    let mut c = Handle::of(conn).prepare(sql)?;
    Ok(vec![
        Competitor::new("C", move |n| {
            first(n)?.iter().try_fold(0_u64, |sum, &key| {
                c.bind(key)?;
                Ok(sum.wrapping_add(c.scan(CScan::Best, u64::MAX)?))
            })
        }),
        of_each("rusqlite", |_, peer, sql, key| Ok(rusqlite_rows(&mut *peer.prepare_cached(sql)?, Some(key))?)),
        of_each("rusqlite into Vecs", |_, peer, sql, key| Ok(rusqlite_vecs(&mut *peer.prepare_cached(sql)?, key)?)),
        of_each("finalite scan", |conn, _, sql, key| Ok(for_each(conn.scan(sql, (key,)))?)),
        of_each("finalite columns", |conn, _, sql, key| Ok(sum_of_batch(&conn.scan(sql, (key,)).columns()?, false)?)),
    ])
}

/// Updates one row of `t` for each of the first n keys, with a statement that is kept. The caller has begun a
/// transaction.
pub fn updates<'a>(
    conn: &'a Connection,
    peer: &'a rusqlite::Connection,
    keys: &'a [i64],
) -> Result<Vec<Competitor<'a>>> {
    const UPDATE: &str = "UPDATE t SET i2 = ? WHERE id = ?";
    let first = move |n: u64| -> Result<&'a [i64]> {
        keys.get(..usize::try_from(n)?).ok_or_else(|| "more updates than keys".into())
    };
    let mut c = Handle::of(conn).prepare(UPDATE)?;
    let mut rusqlite = peer.prepare(UPDATE)?;
    let mut kept = conn.prepare(UPDATE)?;
    let mut many = conn.prepare(UPDATE)?;
    Ok(vec![
        Competitor::new("C", move |n| c.update(first(n)?)),
        Competitor::new("rusqlite kept", move |n| Ok(rusqlite_updates(&mut rusqlite, first(n)?)?)),
        Competitor::new("finalite kept", move |n| Ok(updates_kept(&mut kept, first(n)?)?)),
        Competitor::new("finalite execute_many", move |n| {
            Ok(many.execute_many((0_i64..).zip(first(n)?.iter().copied()))? as u64)
        }),
    ])
}

#[inline(never)]
fn updates_kept(statement: &mut finalite::Statement<'_>, keys: &[i64]) -> finalite::Result<u64> {
    let mut changed = 0;
    for (value, &key) in (0_i64..).zip(keys) {
        changed += statement.execute((value, key))? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn rusqlite_updates(statement: &mut rusqlite::Statement<'_>, keys: &[i64]) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for (value, &key) in (0_i64..).zip(keys) {
        changed += statement.execute((value, key))? as u64;
    }
    Ok(changed)
}

#[inline(never)]
fn rows(conn: &Connection, sql: &str) -> finalite::Result<u64> {
    let mut statement = conn.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(())?;
    let mut sum = 0_u64;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            sum = sum.wrapping_add(sum_of(row.value(column)?));
        }
    }
    rows.finish()?;
    Ok(sum)
}

#[inline(never)]
fn rusqlite_rows(statement: &mut rusqlite::Statement<'_>, key: Option<i64>) -> rusqlite::Result<u64> {
    let columns = statement.column_count();
    sum_of_refs(statement.query(rusqlite::params_from_iter(key))?, columns, u64::MAX)
}

/// Into a vector for each column, of owned values.
#[inline(never)]
fn rusqlite_vecs(statement: &mut rusqlite::Statement<'_>, key: i64) -> rusqlite::Result<u64> {
    let (mut integers, mut reals, mut texts) = (Vec::<i64>::new(), Vec::<f64>::new(), Vec::<String>::new());
    let mut rows = statement.query((key,))?;
    while let Some(row) = rows.next()? {
        integers.push(row.get(0)?);
        reals.push(row.get(1)?);
        texts.push(row.get(2)?);
    }
    Ok(sum(&integers).wrapping_add(sum(&reals)).wrapping_add(sum(&texts)))
}

//! Aggregates over the pages of a table beside SQLite's own. `--pairs n` sets the number of pairs, `--rows n` the size of
//! the table.

#[path = "support/pairs.rs"]
mod pairs;

use finalite::scan::{Groups, Relation, Summary};
use finalite::{Connection, Result, ValueRef};
use pairs::{measure, sizes};

const ROWS: usize = 1_000_000;

/// Number of groups, or 0; rows, and their sum.
type Answer = (usize, u64, f64);

fn fill(conn: &Connection, rows: usize) -> Result<()> {
    conn.execute_batch(&format!(
        "CREATE TABLE sale(id INTEGER PRIMARY KEY, region TEXT, amount INTEGER, price REAL, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO sale SELECT i, 'region ' || (i * 7919 % 50), i * 7919 % 1000, i / 8.0, 'sale ' || i || ' of the year'
             FROM n;"
    ))
}

fn group(conn: &Connection, key: &str) -> Result<Answer> {
    let mut groups = Groups::default();
    conn.scan_table("sale")
        .select([key, "price"])
        .batches(4096, |batch| groups.add(&[batch.column(0)?], &[batch.column(1)?]))?;
    let all = groups.groups();
    Ok((
        all.len(),
        all.iter().map(|group| group.rows()).sum(),
        all.iter().map(|group| group.summaries()[0].total()).sum(),
    ))
}

fn grouped_by_sqlite(conn: &Connection, key: &str) -> Result<Answer> {
    let sql = format!("SELECT {key}, count(*), sum(price), min(price), max(price) FROM sale GROUP BY {key}");
    let mut answer = (0, 0, 0.0);
    conn.scan(&sql, ()).for_each(|row| {
        answer.0 += 1;
        answer.1 += row.get::<u64>(1)?;
        answer.2 += row.get::<f64>(2)?;
        Ok(())
    })?;
    Ok(answer)
}

fn sum(conn: &Connection, below: i64) -> Result<Answer> {
    let mut prices = Summary::default();
    conn.scan_table("sale").select(["price"]).filter("amount", Relation::Less, below).batches(4096, |batch| {
        prices.add(batch.column(0)?);
        Ok(())
    })?;
    assert_ne!(prices.max(), ValueRef::Null);
    Ok((0, prices.rows(), prices.total()))
}

fn summed_by_sqlite(conn: &Connection, below: i64) -> Result<Answer> {
    let sql = "SELECT count(*), sum(price), max(price) FROM sale WHERE amount < ?";
    let (rows, total, _): (u64, f64, f64) = conn.query_one(sql, (below,))?;
    Ok((0, rows, total))
}

fn main() -> Result<()> {
    let (pairs, rows) = sizes(ROWS);
    let dir = tempfile::tempdir().map_err(finalite::Error::external)?;
    let conn = finalite::OpenOptions::recommended().open(dir.path().join("sales.db"))?;
    fill(&conn, rows)?;
    let is_same = |found: &Answer, expected: &Answer| {
        assert_eq!((found.0, found.1), (expected.0, expected.1));
        assert!((found.2 - expected.2).abs() <= expected.2.abs() * 1e-9);
    };
    for mmap_bytes in [0, 1_i64 << 30] {
        conn.set_pragma("mmap_size", mmap_bytes)?;
        println!("{rows} rows, mmap_size {mmap_bytes}, {pairs} pairs: pages over SQLite");
        for (name, key) in [("GROUP BY a text, 50 groups", "region"), ("GROUP BY an integer, 1,000 groups", "amount")] {
            measure(name, pairs, || grouped_by_sqlite(&conn, key), || group(&conn, key), is_same)?;
        }
        for (name, below) in [("sum of half of the rows", 500), ("sum of all rows", 1_000)] {
            measure(name, pairs, || summed_by_sqlite(&conn, below), || sum(&conn, below), is_same)?;
        }
    }
    Ok(())
}

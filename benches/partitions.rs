//! Statements on two threads over the same statements on one. `--pairs n` sets the number of pairs, `--rows n` the size of
//! the table.

#[path = "support/pairs.rs"]
mod pairs;

use std::collections::BTreeMap;

use finalite::scan::{Partitions, ScanStrategy};
use finalite::{Connection, Result, Row};
use pairs::{measure, sizes};

const ROWS: usize = 1_000_000;

type Groups = BTreeMap<String, (i64, f64)>;

/// Statements, with a place for the condition on the rowid.
const STATEMENTS: [(&str, &str); 5] = [
    ("aggregate with a condition", "SELECT '', count(*), sum(price) FROM sale WHERE amount % 3 = 0 AND {}"),
    ("GROUP BY", "SELECT region, count(*), sum(price) FROM sale WHERE {} GROUP BY region"),
    ("text LIKE", "SELECT '', count(*), sum(price) FROM sale WHERE note LIKE '%9 of%' AND {}"),
    ("each row", "SELECT region, amount, price FROM sale WHERE {}"),
    ("each row, from pages", "SELECT region, amount, price FROM sale WHERE {}"),
];

fn fill(conn: &Connection, rows: usize) -> Result<()> {
    conn.execute_batch(&format!(
        "CREATE TABLE sale(id INTEGER PRIMARY KEY, region TEXT, amount INTEGER, price REAL, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO sale SELECT i, 'region ' || (i % 50), i * 7919 % 1000, i / 8.0, 'sale ' || i || ' of the year' FROM n;"
    ))
}

fn add(groups: &mut Groups, row: Row<'_>) -> Result<()> {
    let (count, sum) = (row.get::<i64>(1)?, row.get::<Option<f64>>(2)?.unwrap_or(0.0));
    let region = row.get::<&str>(0)?;
    match groups.get_mut(region) {
        Some(group) => *group = (group.0 + count, group.1 + sum),
        None => _ = groups.insert(region.to_owned(), (count, sum)),
    }
    Ok(())
}

fn merge(groups: &mut Groups, others: Groups) {
    for (region, (count, sum)) in others {
        let group = groups.entry(region).or_default();
        *group = (group.0 + count, group.1 + sum);
    }
}

fn main() -> Result<()> {
    let (pairs, rows) = sizes(ROWS);
    let dir = tempfile::tempdir().map_err(finalite::Error::external)?;
    let conn = finalite::OpenOptions::recommended().open(dir.path().join("sales.db"))?;
    fill(&conn, rows)?;
    for mmap_bytes in [0, 1_i64 << 30] {
        conn.set_pragma("mmap_size", mmap_bytes)?;
        println!("{rows} rows, mmap_size {mmap_bytes}, {pairs} pairs: two threads over one");
        for (name, sql) in STATEMENTS {
            let (all, ranged) = (sql.replace("{}", "1"), sql.replace("{}", "id BETWEEN :first_rowid AND :last_rowid"));
            let strategy = if name.ends_with("pages") { ScanStrategy::Pages } else { ScanStrategy::Statement };
            let one = || {
                let mut groups = Groups::new();
                conn.scan(&all, ()).strategy(strategy).for_each(|row| add(&mut groups, row))?;
                Ok(groups)
            };
            let two = || -> Result<Groups> {
                let partitions: Partitions<'_, ()> = conn.scan(&ranged, ()).strategy(strategy).partitions_of("sale", 2);
                partitions.fold(Groups::new, add, merge)
            };
            measure(name, pairs, one, two, |found, expected| {
                assert!(found.iter().zip(expected).all(|(a, b)| (a.0, a.1.0) == (b.0, b.1.0)));
            })?;
        }
    }
    Ok(())
}

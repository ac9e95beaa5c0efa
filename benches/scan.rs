//! Reading every value of a table: SQLite's C interface, and the ways that finalite has.
//!
//! The published figures are of `benches/peers`, which runs the competitors in turns.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use finalite::scan::{ColumnBatch, ColumnType, ScanStrategy};
use finalite::{Connection, Result, Row, ValueRef};
use support::{Table, c, database, sum_of_bytes};

const QUERIES: [(&str, &str); 4] = [
    ("one", "SELECT i1 FROM t"),
    ("num", "SELECT i1, i2, r1, r2 FROM t"),
    ("text", "SELECT s1, s2 FROM t"),
    ("wide", "SELECT * FROM t"),
];

#[inline(always)]
fn sum_of(row: Row<'_>) -> Result<u64> {
    let mut sum = 0_u64;
    for column in 0..row.column_count() {
        sum = sum.wrapping_add(match row.value(column)? {
            ValueRef::Null => 0,
            ValueRef::Integer(value) => value.cast_unsigned(),
            ValueRef::Real(value) => value.to_bits(),
            ValueRef::Text(value) | ValueRef::Blob(value) => sum_of_bytes(value),
        });
    }
    Ok(sum)
}

fn sum_of_batch(batch: &ColumnBatch) -> Result<u64> {
    let mut sum = 0_u64;
    for column in batch.columns() {
        sum = sum.wrapping_add(match column.data_type() {
            ColumnType::Integer => {
                column.as_i64()?.iter().fold(0, |sum, value| sum.wrapping_add(value.cast_unsigned()))
            }
            ColumnType::Real => column.as_f64()?.iter().fold(0, |sum, value| sum.wrapping_add(value.to_bits())),
            _ => column.as_bytes()?.iter().flatten().fold(0, |sum, value| sum.wrapping_add(sum_of_bytes(value))),
        });
    }
    Ok(sum)
}

fn rows(conn: &Connection, sql: &str) -> Result<u64> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut sum = 0_u64;
    while let Some(row) = rows.next()? {
        sum = sum.wrapping_add(sum_of(row)?);
    }
    Ok(sum)
}

fn for_each(conn: &Connection, sql: &str, path: ScanStrategy) -> Result<u64> {
    let mut sum = 0_u64;
    conn.scan(sql, ()).strategy(path).for_each(|row| {
        sum = sum.wrapping_add(sum_of(row)?);
        Ok(())
    })?;
    Ok(sum)
}

fn batches(conn: &Connection, sql: &str, path: ScanStrategy) -> Result<u64> {
    let mut sum = 0_u64;
    conn.scan(sql, ()).strategy(path).batches(4096, |batch| {
        sum = sum.wrapping_add(sum_of_batch(batch)?);
        Ok(())
    })?;
    Ok(sum)
}

fn columns(conn: &Connection, sql: &str, path: ScanStrategy) -> Result<u64> {
    sum_of_batch(&conn.scan(sql, ()).strategy(path).columns()?)
}

fn scans(criterion: &mut Criterion) {
    let (_dir, conn) = database();
    let conn = &conn;
    for (name, sql) in QUERIES {
        let mut table = Table::new(criterion, name);
        let (mut usual, mut best) =
            (c::Statement::prepare(conn, sql).unwrap(), c::Statement::prepare(conn, sql).unwrap());
        table.add("C, usual loop", || usual.scan_usual());
        table.add("C, best loop", || best.scan_best());
        table.add("rows", || rows(conn, sql));
        table.add("for_each", || for_each(conn, sql, ScanStrategy::Statement));
        table.add("batches", || batches(conn, sql, ScanStrategy::Statement));
        table.add("columns", || columns(conn, sql, ScanStrategy::Statement));
        table.add("pages, for_each", || for_each(conn, sql, ScanStrategy::Pages));
        table.add("pages, batches", || batches(conn, sql, ScanStrategy::Pages));
        table.add("pages, columns", || columns(conn, sql, ScanStrategy::Pages));
        table.finish(2);
    }
}

criterion_group!(benches, scans);
criterion_main!(benches);

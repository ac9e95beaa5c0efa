//! One scan by both paths.

use finalite::scan::{Scan, ScanStrategy};
use finalite::{Connection, Error, Params, Result};

use crate::common::cell::Cell;

/// All rows, by one path.
pub fn read<'p>(scan: Scan<'_, impl Params<'p>>, path: ScanStrategy) -> Result<Vec<Vec<Cell>>> {
    read_all(scan.strategy(path))
}

/// All rows.
pub fn read_all<'p>(scan: Scan<'_, impl Params<'p>>) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    let count = scan.for_each(|row| {
        let cells = (0..row.column_count()).map(|column| row.value(column).map(Cell::from));
        rows.push(cells.collect::<Result<_>>()?);
        Ok::<_, Error>(())
    })?;
    assert_eq!(count, rows.len() as u64);
    Ok(rows)
}

/// Reads by both paths, row by row and as columns. Returns whether it was the page reader, and how many rows there are.
pub fn both(conn: &Connection, sql: &str) -> (bool, usize) {
    let expected = read(conn.scan(sql, ()), ScanStrategy::Statement).unwrap();
    let found = read(conn.scan(sql, ()), ScanStrategy::Pages).unwrap();
    assert_same(&expected, &found, sql);

    let columns = conn.scan(sql, ()).strategy(ScanStrategy::Pages).columns().unwrap();
    assert_eq!(columns.len(), expected.len(), "{sql}");
    let mut names = conn.prepare(sql).unwrap();
    let names: Vec<String> = {
        let rows = names.query(()).unwrap();
        drop(rows);
        names.column_names().unwrap().map(str::to_owned).collect()
    };
    assert_eq!(columns.columns().iter().map(|column| column.name().to_owned()).collect::<Vec<_>>(), names);
    let by_statement = conn.scan(sql, ()).strategy(ScanStrategy::Statement).columns().unwrap();
    for (index, (one, other)) in columns.columns().iter().zip(by_statement.columns()).enumerate() {
        assert_eq!(one.data_type(), other.data_type(), "{sql}: column {index}");
        for (row, value) in one.iter().enumerate() {
            assert_eq!(Cell::from(value), expected[row][index], "{sql}: row {row}, column {index}");
        }
    }
    for threads in [2, 4] {
        let found = conn.scan(sql, ()).strategy(ScanStrategy::Pages).threads(threads).columns().unwrap();
        for (index, (one, other)) in found.columns().iter().zip(by_statement.columns()).enumerate() {
            assert_eq!(one.data_type(), other.data_type(), "{sql}: column {index}, {threads} threads");
            assert!(
                one.iter().map(Cell::from).eq(other.iter().map(Cell::from)),
                "{sql}: column {index}, {threads} threads"
            );
        }
    }
    let mut row = 0;
    conn.scan(sql, ())
        .strategy(ScanStrategy::Pages)
        .threads(1 + expected.len() % 3)
        .batches(7, |batch| {
            for at in 0..batch.len() {
                for (column, expected) in expected[row].iter().enumerate() {
                    assert_eq!(Cell::from(batch.value(at, column).unwrap()), *expected);
                }
                row += 1;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(row, expected.len(), "{sql}");
    let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
    (plan.strategy == ScanStrategy::Pages, expected.len())
}

pub fn assert_same(expected: &[Vec<Cell>], found: &[Vec<Cell>], sql: &str) {
    for (row, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(expected.len(), found.len(), "{sql}: row {row}");
        for (column, (expected, found)) in expected.iter().zip(found).enumerate() {
            assert!(expected == found, "{sql}: row {row}, column {column}: {} not {}", brief(found), brief(expected));
        }
    }
    assert_eq!(expected.len(), found.len(), "{sql}");
}

fn brief(cell: &Cell) -> String {
    match cell {
        Cell::Text(bytes) | Cell::Blob(bytes) if bytes.len() > 40 => format!("{} bytes", bytes.len()),
        cell => format!("{cell:?}"),
    }
}

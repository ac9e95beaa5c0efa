//! Whatever the table and the query: a scan reads what plain calls of the C library read.

use std::ops::ControlFlow;

use finalite::scan::{ColumnBuffer, ColumnType, OffsetBuffer, Offsets, OnTypeMismatch};
use finalite::{ColumnBatch, Connection, Error, ErrorKind, Result, Row, Scan, Type, ValueRef};

use crate::common::cell::Cell;
use crate::common::random::Random;
use crate::generate::{STREAM, World};
use crate::model::{self, Rules};
use crate::reference::{self, Table};

/// Some seconds' worth; `FINALITE_SCAN_SEEDS` asks for another number.
const SEEDS: u64 = 20;
const TYPES: [ColumnType; 6] =
    [ColumnType::Null, ColumnType::Integer, ColumnType::Real, ColumnType::Text, ColumnType::Blob, ColumnType::Dynamic];

/// Says on a failure what was compared.
struct Case<'a> {
    seed: u64,
    sql: &'a str,
    scans: u64,
    rules: Rules,
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, scan {} of: {}\n{:?}", self.seed, self.scans, self.sql, self.rules);
        }
    }
}

/// Returns how many scans were compared, of how many queries, with how many seeds.
pub fn scans_read_what_c_reads() -> (u64, u64, u64) {
    let (mut scans, mut queries) = (0, 0);
    let seeds = std::env::var("FINALITE_SCAN_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let world = World::new(seed);
        let mut random = Random::new(!seed, STREAM);
        for sql in &world.queries {
            let table = reference::read(&world.conn, sql);
            let mut case = Case { seed, sql, scans: 0, rules: Rules::default() };
            rows(&world.conn, &table, &mut case);
            batches(&world.conn, &table, &mut case, &mut random);
            progress(&world.conn, &table, &mut case, &mut random);
            policies(&world.conn, &table, &mut case, &mut random);
            scans += case.scans;
            queries += 1;
        }
    }
    (scans, queries, seeds)
}

impl<'a> Case<'a> {
    fn scan<'c>(&mut self, conn: &'c Connection) -> Scan<'c, ()>
    where
        'a: 'c,
    {
        self.scans += 1;
        let mut scan = conn.scan(self.sql, ());
        if let Some(schema) = &self.rules.schema {
            scan = scan.schema(schema.iter().copied());
        }
        if let Some(mixed) = self.rules.mixed {
            scan = scan.on_type_mismatch(mixed);
        }
        scan
    }
}

/// 0, 1, and around the number of rows.
fn around(rows: usize) -> Vec<usize> {
    let mut around = vec![0, 1, 2, rows.saturating_sub(1), rows, rows + 1];
    around.sort_unstable();
    around.dedup();
    around
}

fn cells(row: Row<'_>) -> Result<Vec<Cell>> {
    (0..row.column_count()).map(|column| Ok(row.value(column)?.into())).collect()
}

fn rows(conn: &Connection, table: &Table, case: &mut Case<'_>) {
    let rows = table.rows.len();
    for limit in around(rows).into_iter().chain([usize::MAX]) {
        let mut seen = Vec::new();
        let count = case.scan(conn).limit(limit as u64).for_each(|row| {
            let names: Vec<&str> = (0..row.column_count()).map(|column| row.column_name(column).unwrap()).collect();
            assert_eq!(names, table.names);
            assert!(row.column_name(names.len()).is_err() && row.value(names.len()).is_err());
            seen.push(cells(row)?);
            Ok::<_, Error>(())
        });
        assert_eq!(count.unwrap(), seen.len() as u64);
        assert_eq!(seen, table.rows[..limit.min(rows)]);
    }
    for stop in 0..=rows {
        let mut seen = Vec::new();
        let found = case.scan(conn).try_for_each(|row| {
            seen.push(cells(row)?);
            Ok::<_, Error>(if seen.len() == stop + 1 { ControlFlow::Break(stop) } else { ControlFlow::Continue(()) })
        });
        assert_eq!(found.unwrap(), (stop < rows).then_some(stop));
        assert_eq!(seen, table.rows[..(stop + 1).min(rows)]);
    }
}

/// What a scan came to, batch by batch: all in one where `size` is `None`.
fn read_batches(scan: Scan<'_, ()>, size: Option<usize>, mut check: impl FnMut(usize, &ColumnBatch)) -> Result<u64> {
    let Some(size) = size else {
        let batch = scan.columns()?;
        check(0, &batch);
        return Ok(batch.len() as u64);
    };
    let mut number = 0;
    scan.batches(size, |batch| {
        check(number, batch);
        number += 1;
        Ok::<_, Error>(())
    })
}

fn batches(conn: &Connection, table: &Table, case: &mut Case<'_>, random: &mut Random) {
    let rows = table.rows.len();
    let limits = around(rows);
    for size in around(rows).into_iter().filter(|&size| size > 0).map(Some).chain([None]) {
        compare(conn, table, case, size, usize::MAX);
        compare(conn, table, case, size, random.pick(&limits));
    }
    for limit in limits {
        compare(conn, table, case, Some(1 + random.below(rows + 1)), limit);
        compare(conn, table, case, None, limit);
    }
}

/// Runs the scan and compares all of it: batches, their types and values, and the error that ends it.
fn compare(conn: &Connection, table: &Table, case: &mut Case<'_>, size: Option<usize>, limit: usize) {
    let rows = limit.min(table.rows.len());
    let expected = model::expect(table, &case.rules, rows, size.unwrap_or(usize::MAX));
    let without_rows = model::types_without_rows(table, &case.rules);
    let mut seen = 0;
    let result = read_batches(case.scan(conn).limit(limit as u64), size, |number, batch| {
        seen += 1;
        let none = (0..0, without_rows.clone());
        let (range, types) = if rows == 0 { &none } else { &expected.batches[number] };
        let found: Vec<ColumnType> = batch.columns().iter().map(ColumnBuffer::data_type).collect();
        assert_eq!(&found, types, "batch {number} of {size:?} rows, limit {limit}");
        check_batch(batch, table, range.clone());
    });
    match (result, &expected.misfit) {
        (Ok(count), None) => {
            assert_eq!(count, rows as u64);
            assert_eq!(seen, if rows == 0 && size.is_none() { 1 } else { expected.batches.len() });
        }
        (Err(error), Some(misfit)) => {
            let ErrorKind::MixedColumn { row, column, name, expected: asked, found, .. } = error.kind() else {
                panic!("{error:?} instead of {misfit:?}");
            };
            let told =
                model::Misfit { row: usize::try_from(*row).unwrap(), column: *column, expected: *asked, found: *found };
            assert_eq!((told, &**name), (model::Misfit { ..*misfit }, &*table.names[misfit.column]));
            assert_eq!(error.sql(), Some(case.sql));
            assert_eq!(seen, expected.batches.len(), "batches before the error");
        }
        (result, misfit) => panic!("{result:?}, expected {misfit:?}, batches of {size:?}, limit {limit}"),
    }
}

fn check_batch(batch: &ColumnBatch, table: &Table, range: std::ops::Range<usize>) {
    let rows = &table.rows[range.clone()];
    assert_eq!((batch.len(), batch.is_empty()), (rows.len(), rows.is_empty()));
    assert_eq!(batch.first_row(), range.start as u64);
    assert_eq!(batch.columns().len(), table.names.len());
    assert!(batch.column(table.names.len()).is_err() && batch.column("no such column").is_err());
    assert_eq!(batch.value(0, table.names.len()), None);
    for (index, name) in table.names.iter().enumerate() {
        let column = batch.column(index).unwrap();
        assert_eq!(column.name(), name);
        let first = table.names.iter().position(|other| other.eq_ignore_ascii_case(name)).unwrap();
        assert!(std::ptr::eq(batch.column(&*name.to_ascii_uppercase()).unwrap(), &raw const batch.columns()[first]));
        let expected: Vec<&Cell> = rows.iter().map(|row| &row[index]).collect();
        check_column(batch, index, &expected);
    }
    // One line for the names, one for each row that is shown, and one for the rest: nothing in a cell breaks a line.
    // A statement that returns no columns has none.
    let lines = if table.names.is_empty() { 0 } else { 1 + rows.len().min(20) + usize::from(rows.len() > 20) };
    assert_eq!(batch.to_string().lines().count(), lines);
}

/// The value, where reals that are the widened integers of the reference are taken back.
fn cell_of(column: &ColumnBuffer, value: ValueRef<'_>, expected: &Cell) -> Cell {
    match (value, expected) {
        (ValueRef::Real(real), Cell::Integer(integer)) if column.data_type() == ColumnType::Real => {
            assert!(model::is_exact(*integer));
            assert_eq!(real, integer.to_string().parse::<f64>().unwrap());
            expected.clone()
        }
        _ => value.into(),
    }
}

fn check_column(batch: &ColumnBatch, index: usize, expected: &[&Cell]) {
    let column = &batch.columns()[index];
    let len = expected.len();
    assert_eq!((column.len(), column.is_empty()), (len, len == 0));
    assert_eq!(column.iter().len(), len);
    for (row, (value, &cell)) in column.iter().zip(expected).enumerate() {
        assert_eq!(&cell_of(column, value, cell), cell);
        assert_eq!(&cell_of(column, column.value(row).unwrap(), cell), cell);
        assert_eq!(&cell_of(column, batch.value(row, index).unwrap(), cell), cell);
        assert_eq!(column.is_null(row), cell.is_null());
    }
    assert_eq!((column.value(len), batch.value(len, index), column.is_null(len)), (None, None, false));
    let nulls = expected.iter().filter(|cell| cell.is_null()).count();
    assert_eq!(column.null_count(), nulls);
    match column.validity() {
        None => assert_eq!(nulls, 0),
        Some(bits) => {
            assert!(nulls > 0);
            assert_eq!(bits.len(), len.div_ceil(8));
            for (row, cell) in expected.iter().enumerate() {
                assert_eq!(bits[row / 8] >> (row % 8) & 1 == 0, cell.is_null(), "bit {row}");
            }
        }
    }
    check_slices(column, batch.first_row(), expected);
    check_bytes(column, expected);
    check_text(batch, index, expected);
}

fn check_refused<T>(column: &ColumnBuffer, result: Result<T>, asked_type: ColumnType) {
    let error = result.err().unwrap();
    let ErrorKind::ColumnType { name, asked, found, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((&**name, *asked, *found), (column.name(), asked_type, column.data_type()));
}

/// The ways to read a column of numbers agree with its values, and those that have no place for NULL refuse it.
macro_rules! check_numbers {
    ($column:expr, $first_row:expr, $values:expr, $as:ident, $iter:ident, $with_validity:ident, $into:ident, $into_with_validity:ident) => {{
        let (column, values) = ($column, $values);
        let nulls = values.iter().filter(|value| value.is_none()).count();
        assert!(column.$iter().unwrap().eq(values.iter().copied()));
        let (slice, validity) = column.$with_validity().unwrap();
        assert_eq!(slice.len(), values.len());
        assert_eq!((validity, validity.is_some()), (column.validity(), nulls > 0));
        assert!(values.iter().zip(slice).all(|(value, read)| value.is_none_or(|value| value == *read)));
        assert_eq!(column.clone().$into_with_validity().unwrap(), (slice.to_vec(), validity.map(<[u8]>::to_vec)));
        if nulls == 0 {
            assert_eq!(column.$as().unwrap(), slice);
            assert_eq!(column.clone().$into().unwrap(), slice);
        } else {
            let first = values.iter().position(Option::is_none).unwrap();
            for error in [column.$as().unwrap_err(), column.clone().$into().unwrap_err()] {
                let ErrorKind::ColumnHasNulls { row, name, nulls: counted, .. } = error.kind() else {
                    panic!("{error:?}");
                };
                assert_eq!((*row, &**name, *counted), ($first_row + first as u64, column.name(), nulls));
            }
        }
    }};
}

fn check_slices(column: &ColumnBuffer, first_row: u64, expected: &[&Cell]) {
    if column.data_type() == ColumnType::Integer {
        let values: Vec<Option<i64>> =
            expected.iter().map(|cell| if let Cell::Integer(value) = cell { Some(*value) } else { None }).collect();
        check_numbers!(
            column,
            first_row,
            values,
            as_i64,
            iter_i64,
            as_i64_with_validity,
            into_i64,
            into_i64_with_validity
        );
    } else {
        check_refused(column, column.as_i64(), ColumnType::Integer);
        check_refused(column, column.iter_i64().map(drop), ColumnType::Integer);
        check_refused(column, column.clone().into_i64(), ColumnType::Integer);
    }
    if column.data_type() == ColumnType::Real {
        let values: Vec<Option<f64>> = expected
            .iter()
            .map(|cell| match cell {
                Cell::Real(bits) => Some(f64::from_bits(*bits)),
                Cell::Integer(value) => Some(value.to_string().parse::<f64>().unwrap()),
                _ => None,
            })
            .collect();
        check_numbers!(
            column,
            first_row,
            values,
            as_f64,
            iter_f64,
            as_f64_with_validity,
            into_f64,
            into_f64_with_validity
        );
    } else {
        check_refused(column, column.as_f64(), ColumnType::Real);
        check_refused(column, column.iter_f64().map(drop), ColumnType::Real);
        check_refused(column, column.clone().into_f64(), ColumnType::Real);
    }
}

fn ends(offsets: Offsets<'_>) -> Vec<usize> {
    match offsets {
        Offsets::Small(offsets) => offsets.iter().map(|&offset| usize::try_from(offset).unwrap()).collect(),
        Offsets::Large(_) => panic!("2 GiB are far away"),
    }
}

fn check_bytes(column: &ColumnBuffer, expected: &[&Cell]) {
    if !matches!(column.data_type(), ColumnType::Text | ColumnType::Blob) {
        check_refused(column, column.as_bytes(), ColumnType::Blob);
        check_refused(column, column.clone().into_bytes(), ColumnType::Blob);
        return;
    }
    let view = column.as_bytes().unwrap();
    let values: Vec<Option<&[u8]>> = expected
        .iter()
        .map(|cell| match cell {
            Cell::Text(bytes) | Cell::Blob(bytes) => Some(&**bytes),
            _ => None,
        })
        .collect();
    assert_eq!(view.iter().len(), values.len());
    assert_eq!(view.iter().collect::<Vec<_>>(), values);
    assert_eq!((0..values.len()).map(|row| view.get(row)).collect::<Vec<_>>(), values);
    assert_eq!((view.get(values.len()), view.get(usize::MAX)), (None, None));
    let all: Vec<u8> = values.iter().flatten().copied().flatten().copied().collect();
    assert_eq!(view.bytes(), all);
    let mut offsets = vec![0];
    offsets.extend(values.iter().scan(0, |end, value| {
        *end += value.map_or(0, <[u8]>::len);
        Some(*end)
    }));
    assert_eq!(ends(view.offsets()), offsets);
    let owned = column.clone().into_bytes().unwrap();
    assert_eq!((&*owned.bytes, owned.validity.as_deref()), (view.bytes(), column.validity()));
    assert!(
        matches!((owned.offsets, view.offsets()), (OffsetBuffer::Small(owned), Offsets::Small(lent)) if owned == lent)
    );
}

fn check_text(batch: &ColumnBatch, index: usize, expected: &[&Cell]) {
    let column = &batch.columns()[index];
    if column.data_type() != ColumnType::Text {
        check_refused(column, column.as_str(), ColumnType::Text);
        return;
    }
    let is_invalid = |cell: &&Cell| matches!(cell, Cell::Text(bytes) if str::from_utf8(bytes).is_err());
    match (column.as_str(), expected.iter().position(is_invalid)) {
        (Ok(view), None) => {
            let values: Vec<Option<&str>> = expected
                .iter()
                .map(|cell| if let Cell::Text(text) = cell { str::from_utf8(text).ok() } else { None })
                .collect();
            assert_eq!(view.iter().len(), values.len());
            assert_eq!(view.iter().collect::<Vec<_>>(), values);
            assert_eq!((0..values.len()).map(|row| view.get(row)).collect::<Vec<_>>(), values);
            assert_eq!((view.get(values.len()), view.get(usize::MAX)), (None, None));
            assert_eq!(view.text().as_bytes(), column.as_bytes().unwrap().bytes());
            assert_eq!(view.offsets(), column.as_bytes().unwrap().offsets());
        }
        (Err(error), Some(invalid)) => {
            let ErrorKind::ColumnConversion { row, column: told, name, found, .. } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(*row, Some(batch.first_row() + invalid as u64));
            assert_eq!((*told, &**name, *found), (index, column.name(), Type::Text));
        }
        (result, invalid) => panic!("column {index} reads as {result:?}, the first invalid row is {invalid:?}"),
    }
}

fn progress(conn: &Connection, table: &Table, case: &mut Case<'_>, random: &mut Random) {
    let rows = table.rows.len() as u64;
    for every in around(table.rows.len()).into_iter().filter(|&every| every > 0).map(|every| every as u64) {
        let reports: Vec<u64> = (1..=rows / every).map(|times| times * every).collect();
        // Each way to read counts alike; breaking at a report, or never.
        for stop in [usize::MAX, 0, reports.len() / 2] {
            let expected = &reports[..reports.len().min(stop.saturating_add(1))];
            let read = if stop < reports.len() { reports[stop] } else { rows };
            let report = |seen: &mut Vec<u64>, rows| {
                seen.push(rows);
                if seen.len() > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let (mut seen, mut count) = (Vec::new(), 0);
            let result = case.scan(conn).progress(every, |rows| report(&mut seen, rows)).for_each(|_| {
                count += 1;
                Ok::<_, Error>(())
            });
            assert_eq!((result.unwrap(), count, &*seen), (read, read, expected));

            let (mut seen, mut count) = (Vec::new(), 0);
            let result = case.scan(conn).progress(every, |rows| report(&mut seen, rows)).try_for_each(|_| {
                count += 1;
                Ok::<_, Error>(ControlFlow::<()>::Continue(()))
            });
            assert_eq!((result.unwrap(), count, &*seen), (None, read, expected));

            for size in [Some(1 + random.below(table.rows.len() + 1)), None] {
                let (mut seen, mut count) = (Vec::new(), 0);
                let scan = case.scan(conn).progress(every, |rows| report(&mut seen, rows));
                let result = read_batches(scan, size, |_, batch| {
                    check_batch(batch, table, count..count + batch.len());
                    count += batch.len();
                });
                assert_eq!((result.unwrap(), count as u64, &*seen), (read, read, expected), "batches of {size:?}");
            }
        }
    }
}

fn policies(conn: &Connection, table: &Table, case: &mut Case<'_>, random: &mut Random) {
    let columns = table.names.len();
    // What the first row has, what each column has most of, and anything.
    let first = (0..columns).map(|column| own_type(table.rows.first().map(|row| &row[column])));
    let last = (0..columns).map(|column| own_type(table.rows.last().map(|row| &row[column])));
    let any = (0..columns).map(|_| random.pick(&TYPES));
    let mut schemas: Vec<Option<Vec<ColumnType>>> = vec![None, Some(first.collect()), Some(last.collect())];
    schemas.extend([
        Some(any.collect()),
        Some(vec![ColumnType::Dynamic; columns]),
        Some(vec![ColumnType::Real; columns]),
    ]);
    for schema in schemas {
        for mixed in [None, Some(OnTypeMismatch::Error), Some(OnTypeMismatch::Widen), Some(OnTypeMismatch::Dynamic)] {
            case.rules = Rules { schema: schema.clone(), mixed };
            compare(conn, table, case, None, usize::MAX);
            compare(conn, table, case, Some(1 + random.below(table.rows.len() + 1)), usize::MAX);
        }
    }
    case.rules = Rules::default();
    for count in [columns + 1, columns.wrapping_sub(1), columns + 70].into_iter().filter(|&count| count < 1000) {
        let error = case.scan(conn).schema(vec![ColumnType::Dynamic; count]).columns().unwrap_err();
        let ErrorKind::ColumnCount { expected, found, columns: names, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!((*expected, *found), (count, columns));
        assert!(names.iter().map(|name| &**name).eq(table.names.iter().map(String::as_str)));
    }
}

fn own_type(cell: Option<&Cell>) -> ColumnType {
    match cell.map_or(Type::Null, Cell::data_type) {
        Type::Null => ColumnType::Null,
        Type::Integer => ColumnType::Integer,
        Type::Real => ColumnType::Real,
        Type::Text => ColumnType::Text,
        Type::Blob => ColumnType::Blob,
    }
}

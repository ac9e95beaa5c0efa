//! What the documentation says that the columns of a scan are, worked out by other means.

use std::ops::Range;

use finalite::Type;
use finalite::scan::{ColumnType, OnTypeMismatch};

use crate::common::cell::Cell;
use crate::reference::Table;

/// What a scan is told of its columns.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub schema: Option<Vec<ColumnType>>,
    pub mixed: Option<OnTypeMismatch>,
}

/// A value that does not fit.
#[derive(Debug, PartialEq)]
pub struct Misfit {
    pub row: usize,
    pub column: usize,
    pub expected: ColumnType,
    pub found: Type,
}

/// The rows of each batch, and the types that its columns have; and what ends the scan, if anything does.
#[derive(Debug)]
pub struct Expected {
    pub batches: Vec<(Range<usize>, Vec<ColumnType>)>,
    pub misfit: Option<Misfit>,
}

/// What is known of a column.
#[derive(Clone, Copy)]
struct Column {
    data_type: ColumnType,
    /// Neither a value nor the caller has said anything: the first value decides, whatever the declaration promised,
    /// unless it is an integer that widens to the promised REAL.
    is_open: bool,
    /// In this batch an integer came that no double equals.
    has_large: bool,
}

pub fn expect(table: &Table, rules: &Rules, rows: usize, size: usize) -> Expected {
    let fallback = if rules.schema.is_some() { OnTypeMismatch::Error } else { OnTypeMismatch::Dynamic };
    let mixed = rules.mixed.unwrap_or(fallback);
    let mut columns: Vec<Column> = (0..table.names.len()).map(|index| begin(table, rules, index)).collect();
    let mut expected = Expected { batches: Vec::new(), misfit: None };
    let mut start = 0;
    while start < rows {
        let end = start.saturating_add(size).min(rows);
        for column in &mut columns {
            column.has_large = false;
        }
        for row in start..end {
            for (index, column) in columns.iter_mut().enumerate() {
                if let Err((expected_type, found)) = take(column, &table.rows[row][index], mixed) {
                    expected.misfit = Some(Misfit { row, column: index, expected: expected_type, found });
                    return expected;
                }
            }
        }
        expected.batches.push((start..end, columns.iter().map(|column| column.data_type).collect()));
        start = end;
    }
    expected
}

/// The types of the columns of a result without rows.
pub fn types_without_rows(table: &Table, rules: &Rules) -> Vec<ColumnType> {
    (0..table.names.len()).map(|index| begin(table, rules, index).data_type).collect()
}

fn begin(table: &Table, rules: &Rules, index: usize) -> Column {
    let declared = rules.schema.as_ref().map(|types| types[index]);
    let is_declared = declared.is_some_and(|declared| declared != ColumnType::Null);
    let data_type = declared.unwrap_or_else(|| promised(table.declared[index].as_deref().unwrap_or("")));
    Column { data_type, is_open: !is_declared, has_large: false }
}

fn take(column: &mut Column, cell: &Cell, mixed: OnTypeMismatch) -> Result<(), (ColumnType, Type)> {
    if cell.is_null() {
        return Ok(());
    }
    let found = cell.data_type();
    let own = match found {
        Type::Integer => ColumnType::Integer,
        Type::Real => ColumnType::Real,
        Type::Text => ColumnType::Text,
        _ => ColumnType::Blob,
    };
    if let Cell::Integer(value) = cell {
        column.has_large |= !is_exact(*value);
    }
    let was_open = std::mem::take(&mut column.is_open);
    if was_open && !(mixed == OnTypeMismatch::Widen && column.data_type == ColumnType::Real) {
        column.data_type = own;
        return Ok(());
    }
    if column.data_type == own || column.data_type == ColumnType::Dynamic {
        return Ok(());
    }
    match (mixed, column.data_type, cell) {
        (OnTypeMismatch::Widen, ColumnType::Real, cell)
            if was_open && !matches!(cell, Cell::Integer(value) if is_exact(*value)) =>
        {
            column.data_type = own;
        }
        (OnTypeMismatch::Dynamic, ..) => column.data_type = ColumnType::Dynamic,
        (OnTypeMismatch::Widen, ColumnType::Real, Cell::Integer(value)) if is_exact(*value) => {}
        (OnTypeMismatch::Widen, ColumnType::Integer, Cell::Real(_)) if !column.has_large => {
            column.data_type = ColumnType::Real;
        }
        _ => return Err((column.data_type, found)),
    }
    Ok(())
}

/// Whether a double equals the integer.
pub fn is_exact(value: i64) -> bool {
    // What has no more than 53 bits from its first to its last.
    let magnitude = value.unsigned_abs();
    magnitude == 0 || magnitude >> magnitude.trailing_zeros() < 1 << 53
}

/// Section 3.1 of "Datatypes In SQLite", where an affinity tells one storage class.
fn promised(declaration: &str) -> ColumnType {
    let declaration = declaration.to_lowercase();
    let rules = [
        (ColumnType::Integer, "int"),
        (ColumnType::Text, "char"),
        (ColumnType::Text, "clob"),
        (ColumnType::Text, "text"),
        (ColumnType::Blob, "blob"),
        (ColumnType::Real, "real"),
        (ColumnType::Real, "floa"),
        (ColumnType::Real, "doub"),
    ];
    rules.iter().find(|(_, word)| declaration.contains(word)).map_or(ColumnType::Null, |&(promised, _)| promised)
}

//! Rows of a result as columns.

use std::fmt;
use std::ops::Range;

use super::column::{ColumnBuffer, Mismatch};
use crate::btree::cells::Cells;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::pages::{Expected, Part, Piece};
use crate::print;
use crate::scan::OnTypeMismatch;
use crate::statement::{Row, Statement};
use crate::value::{ColumnType, ValueRef};

/// Some rows of a result, or all of them, column by column.
///
/// Its `Display` output is a small table.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let batch = conn.scan("VALUES (1, 'one'), (2, NULL)", ()).columns()?;
/// assert_eq!(
///     batch.to_string(),
///     "column1  column2\n\
///      \u{20}     1  one\n\
///      \u{20}     2  NULL\n"
/// );
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone)]
pub struct ColumnBatch {
    columns: Vec<ColumnBuffer>,
    len: usize,
    first_row: u64,
    /// Whether the columns have been created.
    is_begun: bool,
    plan: ColumnSettings,
}

/// The caller's settings for the columns.
#[derive(Clone, Debug)]
pub(super) struct ColumnSettings {
    pub(super) schema: Option<Box<[ColumnType]>>,
    pub(super) mixed: Option<OnTypeMismatch>,
    /// Number of rows of a batch, if known.
    pub(super) rows: usize,
}

impl ColumnBatch {
    /// Limits of the capacity reserved before the first row: rows, and values.
    const ROOM_ROWS_MAX: usize = 1 << 16;
    const ROOM_VALUES_MAX: usize = 1 << 20;

    pub(super) fn new(plan: ColumnSettings) -> Self {
        Self { columns: Vec::new(), len: 0, first_row: 0, is_begun: false, plan }
    }

    /// Adds a row. After an error the columns have different lengths, and the batch must not be used.
    #[inline(always)]
    pub(super) fn push(&mut self, row: Row<'_>) -> Result<()> {
        if !self.is_begun {
            self.begin(row)?;
        }
        if let Err((index, mismatch)) = row.read_into(self.columns.iter_mut())? {
            let row_number = self.first_row + self.len as u64;
            return Err(mixed_column(&self.columns[index], row_number, index, mismatch).in_sql(row.sql()));
        }
        self.len += 1;
        Ok(())
    }

    /// Creates the columns, unless they exist. Must not be called before the first step, which may re-prepare the
    /// statement and so change its columns.
    #[cold]
    #[inline(never)]
    pub(super) fn begin(&mut self, row: Row<'_>) -> Result<()> {
        if self.is_begun {
            return Ok(());
        }
        let heads = row.heads()?;
        let ColumnSettings { schema, mixed, rows } = &self.plan;
        let columns = 0..heads.len();
        self.columns = match schema {
            Some(types) if types.len() != columns.len() => {
                let names = columns.map(|index| heads.name(index).into()).collect();
                return Err(wrong_column_count(types, names).in_sql(row.sql()));
            }
            Some(types) => {
                let mixed = mixed.unwrap_or(OnTypeMismatch::Error);
                columns.map(|index| ColumnBuffer::declared(index, heads, types[index], mixed)).collect()
            }
            None => {
                let mixed = mixed.unwrap_or(OnTypeMismatch::Dynamic);
                columns.map(|index| ColumnBuffer::affinity(index, heads, heads.affinity(index), mixed)).collect()
            }
        };
        let room = (*rows).min(Self::ROOM_ROWS_MAX).min(Self::ROOM_VALUES_MAX / heads.len().max(1));
        for column in &mut self.columns {
            column.reserve(room);
        }
        self.is_begun = true;
        Ok(())
    }

    /// Reserves capacity for the expected size. The columns must exist.
    pub(super) fn expect(&mut self, expected: Expected) {
        for column in &mut self.columns {
            column.expect(expected);
        }
    }

    /// Returns a batch whose rows will be appended to this one. The columns of this one must exist.
    pub(super) fn part(&self) -> Self {
        let columns = self.columns.iter().map(ColumnBuffer::part).collect();
        Self {
            columns,
            len: 0,
            first_row: 0,
            is_begun: true,
            plan: ColumnSettings { schema: None, mixed: None, rows: 0 },
        }
    }

    /// Appends rows of a part, with the same result as pushing each. All values may be moved out of the part; its
    /// length stays.
    pub(super) fn append(&mut self, part: &mut Self, rows: Range<usize>) -> Result<()> {
        let is_batch = self.len == 0 && rows == (0..self.plan.rows) && rows.len() == part.len;
        let columns = self.columns.iter_mut().zip(&mut part.columns).enumerate();
        // All columns are tried: the error is that of the first row, and in it of the first column.
        let errors = columns.filter_map(|(index, (to, from))| {
            to.flush_nulls();
            from.flush_nulls();
            Some((index, to.append(from, rows.clone(), is_batch).err()?))
        });
        if let Some((index, (row, mismatch))) = errors.min_by_key(|&(_, (row, _))| row) {
            let row_number = self.first_row + (self.len + row) as u64;
            return Err(mixed_column(&self.columns[index], row_number, index, mismatch));
        }
        self.len += rows.len();
        Ok(())
    }

    pub(super) fn finish(&mut self) {
        for column in &mut self.columns {
            column.finish();
        }
    }

    /// Removes the rows, and keeps the capacity.
    pub(super) fn clear(&mut self) {
        self.first_row += self.len as u64;
        self.len = 0;
        for column in &mut self.columns {
            column.clear();
        }
    }

    /// Returns an empty batch for the next rows, with columns of the same types.
    pub(super) fn successor(&self) -> Self {
        let columns: Vec<_> = self.columns.iter().map(|column| column.successor(self.len)).collect();
        let first_row = self.first_row + self.len as u64;
        Self { columns, len: 0, first_row, is_begun: self.is_begun, plan: self.plan.clone() }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of the batch's first row in the result, 0-based.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// The columns, in the order of the result.
    #[must_use]
    pub fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    /// The columns, in the order of the result, each with the memory of its values.
    #[must_use]
    pub fn into_columns(self) -> Vec<ColumnBuffer> {
        self.columns
    }

    /// A column, by index (0-based) or by name (ASCII letters compared without case; the first of that name).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such column.
    pub fn column(&self, column: impl BatchIndex) -> Result<&ColumnBuffer> {
        column.find(&self.columns).ok_or_else(|| {
            let known = self.columns.iter().map(|column| column.name().into()).collect();
            Error::new(ErrorKind::NoSuch { what: NameKind::Column, name: column.to_name(), known })
        })
    }

    /// A value, by row and column, both 0-based; `None` where there is no such row or column.
    #[must_use]
    pub fn value(&self, row: usize, column: usize) -> Option<ValueRef<'_>> {
        self.columns.get(column)?.value(row)
    }
}

impl Part for ColumnBatch {
    #[inline(always)]
    fn push(&mut self, cells: &Cells<Piece>) {
        // A part accepts values of any type.
        let is_taken = cells.read_all_into(self.columns.iter_mut()).is_ok();
        debug_assert!(is_taken, "a value does not fit a column of a part");
        self.len += 1;
    }

    fn forget(&mut self) {
        self.len = 0;
        for column in &mut self.columns {
            column.forget();
        }
    }
}

impl fmt::Debug for ColumnBatch {
    /// Shows the columns' names and types, but no values, which may be confidential, and many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnBatch").field("rows", &self.len).field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Checks the number of declared types before a statement that writes is run. The columns of a read-only statement are
/// checked after its first step, which may change them.
pub(super) fn check_before(statement: &Statement<'_>, types: &[ColumnType]) -> Result<()> {
    if statement.is_readonly() || types.len() == statement.column_count() {
        return Ok(());
    }
    let names = statement.column_names()?.map(Into::into).collect();
    Err(wrong_column_count(types, names).in_sql(statement.sql()))
}

fn wrong_column_count(types: &[ColumnType], names: Box<[Box<str>]>) -> Error {
    Error::new(ErrorKind::ColumnCount { expected: types.len(), found: names.len(), columns: names })
}

#[cold]
#[inline(never)]
fn mixed_column(column: &ColumnBuffer, row: u64, index: usize, mismatch: Mismatch) -> Error {
    let Mismatch { expected, found } = mismatch;
    Error::new(ErrorKind::MixedColumn { row, column: index, name: column.name().into(), expected, found })
}

/// Identifies a column of a batch: an index (0-based), or a name.
pub trait BatchIndex: sealed::Sealed {
    #[doc(hidden)]
    fn find(self, columns: &[ColumnBuffer]) -> Option<&ColumnBuffer>;
    #[doc(hidden)]
    fn to_name(self) -> Box<str>;
}

mod sealed {
    pub trait Sealed: Copy {}
    impl Sealed for usize {}
    impl Sealed for &str {}
}

impl BatchIndex for usize {
    fn find(self, columns: &[ColumnBuffer]) -> Option<&ColumnBuffer> {
        columns.get(self)
    }

    fn to_name(self) -> Box<str> {
        self.to_string().into()
    }
}

impl BatchIndex for &str {
    fn find(self, columns: &[ColumnBuffer]) -> Option<&ColumnBuffer> {
        columns.iter().find(|column| column.name().eq_ignore_ascii_case(self))
    }

    fn to_name(self) -> Box<str> {
        self.into()
    }
}

/// The first 20 rows, and the number of the others.
impl fmt::Display for ColumnBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.len().min(print::ROWS_MAX);
        let columns = self.columns().iter().map(|column| print::Lines {
            is_numeric: matches!(column.data_type(), ColumnType::Integer | ColumnType::Real),
            cells: [print::cut(column.name(), print::CHARS_MAX)]
                .into_iter()
                .chain(column.iter().take(shown).map(|value| print::text_of(value, print::CHARS_MAX)))
                .collect(),
        });
        print::write_columns(f, &columns.collect::<Vec<_>>(), self.len() - shown)
    }
}

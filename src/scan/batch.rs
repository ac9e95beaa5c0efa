//! Rows as columns.

use std::fmt;
use std::ops::Range;

use super::column::{ColumnBuffer, Mismatch};
use super::schema::{ColumnType, OnTypeMismatch};
use crate::ValueRef;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::pages::{Cells, Expected, Part, Piece};
use crate::rows::Row;
use crate::statement::Statement;

/// Some rows of a result, or all of them, column by column.
///
/// It prints as a small table.
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
    /// The columns are made.
    is_begun: bool,
    plan: Plan,
}

/// What the caller wants of the columns.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) schema: Option<Box<[ColumnType]>>,
    pub(super) mixed: Option<OnTypeMismatch>,
    /// Rows of a batch, where that is known.
    pub(super) rows: usize,
}

impl ColumnBatch {
    /// Room is made for no more rows than this, and no more values than that, before any is read.
    const ROOM_ROWS_MAX: usize = 1 << 16;
    const ROOM_VALUES_MAX: usize = 1 << 20;

    pub(super) fn new(plan: Plan) -> Self {
        Self { columns: Vec::new(), len: 0, first_row: 0, is_begun: false, plan }
    }

    /// Adds a row. After an error the columns are of different lengths, and the batch is not to be used.
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

    /// Makes the columns, unless that is done. Not before the first step: it may prepare the statement anew, and the
    /// columns are those of then.
    #[cold]
    #[inline(never)]
    pub(super) fn begin(&mut self, row: Row<'_>) -> Result<()> {
        if self.is_begun {
            return Ok(());
        }
        let names = row.names()?;
        let Plan { schema, mixed, rows } = &self.plan;
        let columns = names.iter().cloned().enumerate();
        self.columns = match schema {
            Some(types) if types.len() != names.len() => {
                return Err(wrong_column_count(types, names.into()).in_sql(row.sql()));
            }
            Some(types) => {
                let mixed = mixed.unwrap_or(OnTypeMismatch::Error);
                columns.map(|(index, name)| ColumnBuffer::declared(index, name, types[index], mixed)).collect()
            }
            None => {
                let mixed = mixed.unwrap_or(OnTypeMismatch::Dynamic);
                let affinity = |index| ColumnType::affinity(row.declared_type(index).as_deref());
                columns.map(|(index, name)| ColumnBuffer::affinity(index, name, affinity(index), mixed)).collect()
            }
        };
        let room = (*rows).min(Self::ROOM_ROWS_MAX).min(Self::ROOM_VALUES_MAX / names.len().max(1));
        for column in &mut self.columns {
            column.reserve(room);
        }
        self.is_begun = true;
        Ok(())
    }

    /// Makes room for what there may be. It is begun.
    pub(super) fn expect(&mut self, expected: Expected) {
        for column in &mut self.columns {
            column.expect(expected);
        }
    }

    /// A batch for rows that are to be appended to this one, which is begun.
    pub(super) fn part(&self) -> Self {
        let columns = self.columns.iter().map(ColumnBuffer::part).collect();
        Self { columns, len: 0, first_row: 0, is_begun: true, plan: Plan { schema: None, mixed: None, rows: 0 } }
    }

    /// Adds some of a part's rows, as if each was pushed. All of them may be taken out of it, but for their number.
    pub(super) fn append(&mut self, part: &mut Self, rows: Range<usize>) -> Result<()> {
        let is_batch = self.len == 0 && rows == (0..self.plan.rows) && rows.len() == part.len;
        let columns = self.columns.iter_mut().zip(&mut part.columns).enumerate();
        // All are tried: the first row counts, and in it the first column.
        let errors =
            columns.filter_map(|(index, (to, from))| Some((index, to.append(from, rows.clone(), is_batch).err()?)));
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

    /// Forgets the rows, and keeps their room.
    pub(super) fn clear(&mut self) {
        self.first_row += self.len as u64;
        self.len = 0;
        for column in &mut self.columns {
            column.clear();
        }
    }

    /// An empty batch for the rows after these, whose columns have the types that these have.
    pub(super) fn successor(&self) -> Self {
        let columns: Vec<_> = self.columns.iter().map(|column| column.successor(self.len)).collect();
        let first_row = self.first_row + self.len as u64;
        Self { columns, len: 0, first_row, is_begun: self.is_begun, plan: self.plan.clone() }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row of the result that comes first here, 0-based.
    #[must_use]
    pub fn first_row(&self) -> u64 {
        self.first_row
    }

    /// The columns, in the order of the result.
    #[must_use]
    pub fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    /// The columns, in the order of the result, each with the memory that its values are in.
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
        // A part takes any value.
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
    /// Shows the columns' names and types; the values may be anybody's, and many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnBatch").field("rows", &self.len).field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Whether the declared types are as many as the columns, for a statement that changes something: it should not have
/// run if they are not. The columns of any other are known better after its first step.
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

/// What names a column of a batch: an index (0-based), a name.
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

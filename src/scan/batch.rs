//! Rows as columns.

use super::column::{ColumnBuffer, Mismatch};
use super::schema::{ColumnType, Mixed};
use crate::ValueRef;
use crate::error::{Error, ErrorKind, Result, What};
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
#[derive(Clone, Debug)]
pub struct ColumnBatch {
    columns: Vec<ColumnBuffer>,
    len: usize,
    first_row: u64,
    /// The columns that a row must have; `None` before the first row.
    row_columns: Option<usize>,
    schema: Option<Box<[ColumnType]>>,
}

impl ColumnBatch {
    /// The most rows for which room is made before any is read.
    const ROOM_MAX: usize = 1 << 16;

    /// Makes the columns, as far as they are known before the statement runs.
    pub(super) fn new(
        statement: &Statement<'_>,
        schema: Option<Box<[ColumnType]>>,
        mixed: Option<Mixed>,
        room: usize,
    ) -> Result<Self> {
        let names: Vec<Box<str>> = statement.column_names()?.map(Into::into).collect();
        check_schema(schema.as_deref(), &names).map_err(|error| error.in_sql(statement.sql()))?;
        let columns = names.into_iter().enumerate();
        let mut columns: Vec<ColumnBuffer> = match &schema {
            Some(types) => {
                let mixed = mixed.unwrap_or(Mixed::Error);
                columns.map(|(index, name)| ColumnBuffer::declared(index, name, types[index], mixed)).collect()
            }
            None => {
                let mixed = mixed.unwrap_or(Mixed::Dynamic);
                let promised = |index| ColumnType::promised(statement.declared_type(index).as_deref());
                columns.map(|(index, name)| ColumnBuffer::promised(index, name, promised(index), mixed)).collect()
            }
        };
        for column in &mut columns {
            column.reserve(room.min(Self::ROOM_MAX));
        }
        Ok(Self { columns, len: 0, first_row: 0, row_columns: None, schema })
    }

    /// Adds a row. After an error the columns are of different lengths, and the batch is not to be used.
    #[inline(always)]
    pub(super) fn push(&mut self, row: Row<'_>) -> Result<()> {
        if self.row_columns != Some(row.column_count()) {
            self.begin(&row)?;
        }
        for (index, column) in self.columns.iter_mut().enumerate() {
            let value = row.value(index)?;
            if let Err(mismatch) = column.push(value) {
                return Err(mixed_column(column, self.first_row + self.len as u64, index, mismatch).in_sql(row.sql()));
            }
        }
        self.len += 1;
        Ok(())
    }

    /// The first row is there: the statement may have been prepared anew, and have other columns than it had.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, row: &Row<'_>) -> Result<()> {
        let names = row.names()?;
        check_schema(self.schema.as_deref(), names).map_err(|error| error.in_sql(row.sql()))?;
        self.columns.truncate(names.len());
        let mixed = self.columns.first().map_or(Mixed::Dynamic, ColumnBuffer::mixed);
        for (index, name) in names.iter().enumerate() {
            match self.columns.get_mut(index) {
                Some(column) => column.rename(name),
                None => self.columns.push(ColumnBuffer::promised(index, name.clone(), ColumnType::Null, mixed)),
            }
        }
        self.row_columns = Some(names.len());
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

    /// A column, by index (0-based) or by name (ASCII letters compared without case; the first of that name).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such column.
    pub fn column(&self, column: impl BatchIndex) -> Result<&ColumnBuffer> {
        column.find(&self.columns).ok_or_else(|| {
            let known = self.columns.iter().map(|column| column.name().into()).collect();
            Error::new(ErrorKind::NoSuch { what: What::Column, name: column.to_name(), known })
        })
    }

    /// A value, by row and column, both 0-based; `None` where there is no such row or column.
    #[must_use]
    pub fn value(&self, row: usize, column: usize) -> Option<ValueRef<'_>> {
        self.columns.get(column)?.value(row)
    }
}

fn check_schema(types: Option<&[ColumnType]>, names: &[Box<str>]) -> Result<()> {
    match types {
        Some(types) if types.len() != names.len() => {
            Err(Error::new(ErrorKind::ColumnCount { expected: types.len(), found: names.len(), columns: names.into() }))
        }
        _ => Ok(()),
    }
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

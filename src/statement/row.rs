//! [`Row`]: the cells of one row, of a statement, of a scan of database pages or of another engine.

use std::fmt;
use std::sync::Arc;

use super::remote::RemoteRow;
use crate::btree::cells::Cells;
use crate::convert::FromSql;
use crate::error::{Error, ErrorKind, NameKind, Result, ResultCode};
use crate::raw::{self, CellError, ColumnHeads};
use crate::value::{ConversionError, Sink, ValueRef};

/// One row of a result, either of a statement or of a scan of database pages.
///
/// Borrowed values (`&'row str`, `&'row [u8]`) point into the memory of SQLite or, in a scan of pages, of the reader,
/// and are valid as long as the row.
#[derive(Clone, Copy)]
pub struct Row<'row> {
    source: Source<'row>,
}

/// Source of the cells. All rows of one loop have the same source, so that the compiler can remove the check from the
/// loop.
#[derive(Clone, Copy)]
enum Source<'row> {
    Statement(raw::Row<'row>),
    Record(&'row Record<'row>),
    Remote(&'row RemoteRow),
}

/// The source of the names of columns.
#[derive(Clone, Copy)]
enum Head<'row> {
    Statement(raw::Row<'row>),
    Remote(&'row RemoteRow),
}

impl<'row> Row<'row> {
    #[inline(always)]
    pub(crate) fn of_statement(raw: raw::Row<'row>) -> Self {
        Self { source: Source::Statement(raw) }
    }

    #[inline(always)]
    pub(crate) fn of_record(record: &'row Record<'row>) -> Self {
        Self { source: Source::Record(record) }
    }

    #[inline]
    pub(super) fn of_remote(remote: &'row RemoteRow) -> Self {
        Self { source: Source::Remote(remote) }
    }

    #[inline]
    fn head(&self) -> Head<'row> {
        match self.source {
            Source::Statement(raw) => Head::Statement(raw),
            Source::Record(record) => Head::Statement(record.statement),
            Source::Remote(remote) => Head::Remote(remote),
        }
    }

    /// Returns the number of columns.
    ///
    /// C: [sqlite3_data_count](https://sqlite.org/c3ref/data_count.html)
    #[inline]
    #[must_use]
    pub fn column_count(&self) -> usize {
        match self.source {
            Source::Statement(raw) => raw.column_count(),
            Source::Record(record) => record.cells.column_count(),
            Source::Remote(remote) => remote.column_count(),
        }
    }

    /// Returns the name of the column with this 0-based index: the `AS` name if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such column, [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_column_name](https://sqlite.org/c3ref/column_name.html)
    pub fn column_name(&self, column: usize) -> Result<&'row str> {
        let names = self.names()?;
        names.get(column).map(|name| &**name).ok_or_else(|| self.no_such(&column.to_string()))
    }

    /// Returns the value of a column, converted to a Rust type.
    ///
    /// The column is an index (0-based), a name (ASCII letters are compared without case; the first column of that name
    /// is read), or a [`ColumnKey`] from [`Statement::column`](crate::Statement::column).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnConversion`] if the value does not convert, [`ErrorKind::NoSuch`] if there is no such column,
    /// [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let length = conn.query_row("SELECT 7 AS id, 'seven' AS name", (), |row| {
    ///     assert_eq!(row.get::<u8>(0)?, 7);
    ///     Ok(row.get::<&str>("name")?.len())
    /// })?;
    /// assert_eq!(length, 5);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[doc(alias = "get_unwrap")]
    pub fn get<T: FromSql<'row>>(&self, column: impl ColumnIndex) -> Result<T> {
        self.get_with(column.find(self)?, T::from_sql)
    }

    #[inline]
    pub(super) fn get_with<T>(
        &self,
        column: usize,
        read: impl FnOnce(ValueRef<'row>) -> Result<T, ConversionError>,
    ) -> Result<T> {
        let value = self.value(column)?;
        read(value).map_err(|problem| self.unreadable(column, value, problem))
    }

    /// Reads a cell as [`get_with`](Self::get_with) does. A row of a statement is passed in registers, to a function that
    /// contains no decoding of records: structs have many columns.
    #[inline(always)]
    pub(super) fn cell<T>(
        self,
        column: u16,
        read: impl FnOnce(ValueRef<'row>) -> Result<T, ConversionError>,
    ) -> Result<T> {
        match self.source {
            Source::Statement(raw) => cell(raw, usize::from(column), read),
            Source::Record(_) | Source::Remote(_) => self.get_with(usize::from(column), read),
        }
    }

    /// Returns the value of the column with this 0-based index, with SQLite's storage class and unconverted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such column; [`ErrorKind::NoMemory`] if memory ran out during a conversion
    /// from UTF-16 or the expansion of a zeroblob, which also ends the rows.
    ///
    /// C: [sqlite3_column_value](https://sqlite.org/c3ref/column_blob.html)
    #[inline(always)]
    #[doc(alias = "get_ref")]
    pub fn value(&self, column: usize) -> Result<ValueRef<'row>> {
        match self.source {
            Source::Statement(raw) => raw.value(column).map_err(|CellError| self.cell_error(column)),
            Source::Record(record) => record.cells.value(column).ok_or_else(|| self.no_such(&column.to_string())),
            Source::Remote(remote) => remote.value(column).ok_or_else(|| self.no_such(&column.to_string())),
        }
    }

    /// Passes each cell to the sink of its column. An error of a sink is returned as `Ok(Err(…))` with the column.
    #[inline(always)]
    pub(crate) fn read_into<S, E>(&self, sinks: impl Iterator<Item = S>) -> Result<Result<(), (usize, E)>>
    where
        S: Sink<'row, Output = Result<(), E>>,
    {
        let raw = match self.source {
            Source::Statement(raw) => raw,
            Source::Record(record) => return Ok(record.cells.read_all_into(sinks)),
            Source::Remote(_) => return Err(not_local()),
        };
        match raw.read_into(sinks) {
            Ok(()) => Ok(Ok(())),
            Err((column, Some(error))) => Ok(Err((column, error))),
            Err((column, None)) => Err(self.cell_error(column)),
        }
    }

    #[cold]
    #[inline(never)]
    fn cell_error(&self, column: usize) -> Error {
        if matches!(self.head(), Head::Statement(raw) if raw.is_out_of_memory()) {
            Error::new(ErrorKind::NoMemory { code: ResultCode::NOMEM }).in_sql(self.sql())
        } else {
            self.no_such(&column.to_string())
        }
    }

    #[cold]
    #[inline(never)]
    fn unreadable(&self, column: usize, value: ValueRef<'_>, problem: ConversionError) -> Error {
        let name = self.names().ok().and_then(|names| names.get(column).cloned()).unwrap_or_default();
        Error::new(ErrorKind::ColumnConversion { row: None, column, name, found: value.data_type(), problem })
            .in_sql(self.sql())
    }

    #[cold]
    #[inline(never)]
    fn no_such(&self, name: &str) -> Error {
        let known = self.names().unwrap_or_default().into();
        Error::new(ErrorKind::NoSuch { what: NameKind::Column, name: name.into(), known }).in_sql(self.sql())
    }

    pub(crate) fn names(&self) -> Result<&'row [Box<str>]> {
        match self.head() {
            Head::Statement(raw) => Ok(raw.column_names()?),
            Head::Remote(remote) => Ok(remote.names()),
        }
    }

    /// Returns names and declared types of the columns.
    pub(crate) fn heads(&self) -> Result<&'row Arc<ColumnHeads>> {
        match self.head() {
            Head::Statement(raw) => Ok(raw.column_heads()?),
            Head::Remote(_) => Err(not_local()),
        }
    }

    pub(crate) fn sql(&self) -> &'row str {
        match self.head() {
            Head::Statement(raw) => raw.sql(),
            Head::Remote(remote) => remote.sql(),
        }
    }

    /// Returns the columns that were stored for a type.
    #[inline]
    pub(super) fn plan(&self, key: usize) -> Option<&'row [u16]> {
        match self.head() {
            Head::Statement(raw) => raw.plan(key),
            Head::Remote(remote) => remote.plan(key),
        }
    }

    /// Stores the columns of a type, for which none are stored.
    pub(super) fn add_plan(&self, key: usize, columns: Box<[u16]>) -> &'row [u16] {
        match self.head() {
            Head::Statement(raw) => raw.add_plan(key, columns),
            Head::Remote(remote) => remote.add_plan(key, columns),
        }
    }

    #[inline]
    pub(super) fn expect_columns(&self, expected: usize) -> Result<()> {
        if self.column_count() == expected { Ok(()) } else { Err(self.wrong_column_count(expected)) }
    }

    #[cold]
    #[inline(never)]
    fn wrong_column_count(&self, expected: usize) -> Error {
        let columns = self.names().unwrap_or_default().into();
        Error::new(ErrorKind::ColumnCount { expected, found: self.column_count(), columns }).in_sql(self.sql())
    }
}

#[inline]
fn cell<'row, T>(
    raw: raw::Row<'row>,
    column: usize,
    read: impl FnOnce(ValueRef<'row>) -> Result<T, ConversionError>,
) -> Result<T> {
    let value = raw.value(column).map_err(|CellError| Row::of_statement(raw).cell_error(column))?;
    read(value).map_err(|problem| Row::of_statement(raw).unreadable(column, value, problem))
}

/// Returns the error of a scan for a row of another engine, which no scan returns.
#[cold]
fn not_local() -> Error {
    Error::new(ErrorKind::Misuse { reason: "the row is not one of a local statement" })
}

impl fmt::Debug for Row<'_> {
    /// Shows the names of the columns and no values, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("columns", &self.names().unwrap_or_default()).finish()
    }
}

/// A column of a statement's result that was looked up by name, by [`Statement::column`](crate::Statement::column).
///
/// It remains valid when the schema changes and SQLite prepares the statement again, which happens at the first row of
/// an execution. (SQLite allows a connection to drop a column while its own `SELECT *` is running; in the remaining
/// rows, the columns then shift.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnKey {
    pub(crate) owner: u64,
    pub(crate) number: usize,
}

/// A reference to a column: an index (0-based), a name, or a [`ColumnKey`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no column",
    label = "expected an index (`usize`, 0-based), a name (`&str`) or a `ColumnKey`",
    note = "`get` has one type argument, what is read: `row.get::<T>(column)`"
)]
pub trait ColumnIndex: sealed::Sealed {
    #[doc(hidden)]
    fn find(self, row: &Row<'_>) -> Result<usize>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for usize {}
    impl Sealed for &str {}
    impl Sealed for super::ColumnKey {}
}

impl ColumnIndex for usize {
    #[inline]
    fn find(self, _: &Row<'_>) -> Result<usize> {
        Ok(self)
    }
}

impl ColumnIndex for &str {
    #[inline]
    fn find(self, row: &Row<'_>) -> Result<usize> {
        let column = match row.head() {
            Head::Statement(raw) => raw.find_column(self)?,
            Head::Remote(remote) => remote.names().iter().position(|name| name.eq_ignore_ascii_case(self)),
        };
        column.ok_or_else(|| row.no_such(self))
    }
}

impl ColumnIndex for ColumnKey {
    #[inline]
    fn find(self, row: &Row<'_>) -> Result<usize> {
        let resolved = match row.head() {
            Head::Statement(raw) => raw.resolve(self.owner, self.number),
            Head::Remote(_) => None,
        };
        match resolved {
            Some(Ok(index)) => Ok(index),
            Some(Err(name)) => Err(row.no_such(name)),
            None => Err(Error::new(ErrorKind::Misuse { reason: "the column belongs to another statement" })),
        }
    }
}

/// The current row of a scan of database pages.
pub(crate) struct Record<'rows> {
    pub(crate) cells: Cells,
    /// The row of the same scan's statement, for the column names.
    pub(crate) statement: raw::Row<'rows>,
}

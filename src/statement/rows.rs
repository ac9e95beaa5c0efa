//! Rows of one execution of a statement, and reading rows as Rust types.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use crate::convert::FromSql;
use crate::core::{Core, Place};
use crate::error::{Error, ErrorKind, Fault, NameKind, Result};
use crate::pages::Record;
use crate::raw::{self, CellError, Cursor, OwnedCursor};
use crate::value::{ConversionError, Sink, ValueRef};

/// One execution of a statement, whose rows are fetched one at a time.
///
/// Dropping it resets the statement immediately, which releases the read lock and the parameters. An error of the reset
/// (a change by `INSERT … RETURNING` that fails only then) is logged by Drop and returned by [`finish`](Self::finish).
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let mut statement = conn.prepare("VALUES (1, 'one'), (2, 'two')")?;
/// let mut rows = statement.query(())?;
/// let mut words = String::new();
/// while let Some(row) = rows.next()? {
///     words.push_str(row.get::<&str>(1)?);
/// }
/// assert_eq!(words, "onetwo");
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3_step](https://sqlite.org/c3ref/step.html)
#[must_use = "rows are fetched by `next`; a statement without rows is run by `execute`"]
pub struct Rows<'stmt> {
    cursor: Cursor<'stmt>,
    core: &'stmt Core,
}

impl<'stmt> Rows<'stmt> {
    #[inline]
    pub(crate) fn new(mut cursor: Cursor<'stmt>, core: &'stmt Core) -> Self {
        cursor.set_started(core.start_time());
        Self { cursor, core }
    }

    /// Fetches the next row; returns `None` after the last row, and from then on.
    ///
    /// The row borrows `self`, so it must end before the next row is fetched.
    ///
    /// # Errors
    ///
    /// Any error of SQLite, after which there are no more rows; [`ErrorKind::TransactionEnded`] before the first row.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the rows, which `Iterator` cannot say")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        if self.cursor.step_on() {
            return Ok(Some(Row::of_statement(self.cursor.row())));
        }
        self.step()
    }

    /// Handles every call of `next` that does not step from one row to the next: the first step, the end of the rows,
    /// and errors.
    #[inline(never)]
    fn step(&mut self) -> Result<Option<Row<'_>>> {
        if self.cursor.is_unstepped() {
            self.core.check_transaction().map_err(|error| {
                self.cursor.fail();
                error.in_sql(self.cursor.sql())
            })?;
        }
        match self.cursor.step().map(|row| row.is_some()) {
            Ok(is_row) => Ok(is_row.then(|| Row::of_statement(self.cursor.row()))),
            Err(fault) => {
                self.core.db().resume_panic();
                Err(self.core.error(fault).without_bound(|| self.cursor.expanded_sql().ok()))
            }
        }
    }

    /// Returns the current row. Without one, returns a row without columns that still gives access to the statement's
    /// metadata.
    pub(crate) fn current(&self) -> Row<'_> {
        Row::of_statement(self.cursor.row())
    }

    pub(crate) fn current_raw(&self) -> raw::Row<'_> {
        self.cursor.row()
    }

    /// Restarts the execution before its first row. The parameters stay bound.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.cursor.restart().map_err(|fault| self.core.error(fault))
    }

    /// Ends the execution, without fetching further rows, and returns the result of the reset, which Drop would only
    /// log.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless [`next`](Self::next) has returned it: for example, that of a change whose commit
    /// failed.
    ///
    /// C: [sqlite3_reset](https://sqlite.org/c3ref/reset.html)
    #[inline]
    pub fn finish(self) -> Result<()> {
        // The execution is ended here, so Drop need not run.
        let mut this = ManuallyDrop::new(self);
        let result = this.cursor.finish();
        this.log_if_slow();
        result.map_err(|fault| this.core.error(fault))
    }

    #[inline]
    fn log_if_slow(&self) {
        if let Some(started) = self.cursor.started() {
            self.core.log_if_slow(started, self.cursor.sql(), self.cursor.site());
        }
    }

    /// Returns the SQL with the values in place of the parameters, for diagnostics. The text contains the bound values.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_expanded_sql](https://sqlite.org/c3ref/expanded_sql.html)
    pub fn expanded_sql(&self) -> Result<Box<str>> {
        Ok(self.cursor.expanded_sql()?)
    }

    #[inline]
    pub(crate) fn next_as<T: for<'row> FromRow<'row>>(&mut self) -> Result<Option<T>> {
        match self.next()? {
            Some(row) => T::from_row(row).map(Some),
            None => Ok(None),
        }
    }
}

impl Drop for Rows<'_> {
    #[inline]
    fn drop(&mut self) {
        // The measured time includes the reset, which may commit.
        if self.cursor.started().is_some() {
            self.cursor.end();
            self.log_if_slow();
        }
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("sql", &self.cursor.sql()).finish_non_exhaustive()
    }
}

/// Rows that own their statement, returned by [`Statement::into_rows`](crate::Statement::into_rows).
///
/// Dropping them resets the statement, and finalizes it or returns it to its cache.
#[must_use = "rows are fetched by `next`"]
pub struct OwnedRows<'conn> {
    /// `None` only within methods that consume `self`.
    cursor: Option<OwnedCursor<'conn>>,
    core: &'conn Core,
    place: Place,
}

impl<'conn> OwnedRows<'conn> {
    pub(crate) fn new(mut cursor: OwnedCursor<'conn>, core: &'conn Core, place: Place) -> Self {
        cursor.set_started(core.start_time());
        Self { cursor: Some(cursor), core, place }
    }

    #[inline]
    fn cursor(&self) -> &OwnedCursor<'conn> {
        self.cursor.as_ref().expect("taken by calls that end `self`")
    }

    #[inline]
    fn cursor_mut(&mut self) -> &mut OwnedCursor<'conn> {
        self.cursor.as_mut().expect("taken by calls that end `self`")
    }

    /// Fetches the next row, as [`Rows::next`] does.
    ///
    /// # Errors
    ///
    /// Any error of SQLite, after which there are no more rows; [`ErrorKind::TransactionEnded`] before the first row.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the rows, which `Iterator` cannot say")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        if self.cursor_mut().step_on() {
            return Ok(Some(Row::of_statement(self.cursor().row())));
        }
        self.step()
    }

    /// Handles every call of `next` that does not step from one row to the next: the first step, the end of the rows,
    /// and errors.
    #[inline(never)]
    fn step(&mut self) -> Result<Option<Row<'_>>> {
        if self.cursor().is_unstepped() {
            self.core.check_transaction().map_err(|error| {
                self.cursor_mut().fail();
                error.in_sql(self.cursor().statement().sql())
            })?;
        }
        match self.cursor_mut().step().map(|row| row.is_some()) {
            Ok(is_row) => Ok(is_row.then(|| Row::of_statement(self.cursor().row()))),
            Err(fault) => Err(self.failed(fault)),
        }
    }

    #[cold]
    fn failed(&self, fault: Fault) -> Error {
        self.core.db().resume_panic();
        self.core.error(fault).without_bound(|| self.cursor().expanded_sql().ok())
    }

    /// Ends the execution and returns the result of the reset, as [`Rows::finish`] does.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless [`next`](Self::next) has returned it.
    pub fn finish(mut self) -> Result<()> {
        // Drop does the rest.
        self.cursor_mut().finish().map_err(|fault| self.core.error(fault))
    }
}

impl Drop for OwnedRows<'_> {
    fn drop(&mut self) {
        let Some(mut cursor) = self.cursor.take() else {
            return;
        };
        if let Some(started) = cursor.started() {
            // The measured time includes the reset, which may commit.
            cursor.end();
            let statement = cursor.statement();
            self.core.log_if_slow(started, statement.sql(), statement.site());
        }
        self.core.put_back(cursor.into_statement(), self.place);
    }
}

impl fmt::Debug for OwnedRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRows").field("sql", &self.cursor().statement().sql()).finish_non_exhaustive()
    }
}

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

    /// Returns the raw row of the statement, which knows the column names.
    #[inline]
    fn statement(&self) -> raw::Row<'row> {
        match self.source {
            Source::Statement(raw) => raw,
            Source::Record(record) => record.statement,
        }
    }

    /// Returns the number of columns.
    ///
    /// C: [sqlite3_data_count](https://sqlite.org/c3ref/data_count.html)
    #[inline]
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.statement().column_count()
    }

    /// Returns the name of the column with this 0-based index: the `AS` name if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such column, [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_column_name](https://sqlite.org/c3ref/column_name.html)
    pub fn column_name(&self, column: usize) -> Result<&'row str> {
        let names = self.statement().column_names()?;
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
    pub fn get<T: FromSql<'row>>(&self, column: impl ColumnIndex) -> Result<T> {
        let column = column.find(self)?;
        let value = self.value(column)?;
        T::from_sql(value).map_err(|problem| self.unreadable(column, value, problem))
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
    pub fn value(&self, column: usize) -> Result<ValueRef<'row>> {
        match self.source {
            Source::Statement(raw) => raw.value(column).map_err(|CellError| self.cell_error(column)),
            Source::Record(record) => record.cells.value(column).ok_or_else(|| self.no_such(&column.to_string())),
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
        if self.statement().is_out_of_memory() {
            Error::new(ErrorKind::NoMemory { code: crate::ResultCode::NOMEM }).in_sql(self.statement().sql())
        } else {
            self.no_such(&column.to_string())
        }
    }

    #[cold]
    #[inline(never)]
    fn unreadable(&self, column: usize, value: ValueRef<'_>, problem: ConversionError) -> Error {
        let name =
            self.statement().column_names().ok().and_then(|names| names.get(column).cloned()).unwrap_or_default();
        Error::new(ErrorKind::ColumnConversion { row: None, column, name, found: value.data_type(), problem })
            .in_sql(self.statement().sql())
    }

    #[cold]
    #[inline(never)]
    fn no_such(&self, name: &str) -> Error {
        let known = self.statement().column_names().unwrap_or_default().into();
        Error::new(ErrorKind::NoSuch { what: NameKind::Column, name: name.into(), known })
            .in_sql(self.statement().sql())
    }

    pub(crate) fn names(&self) -> Result<&'row [Box<str>]> {
        Ok(self.statement().column_names()?)
    }

    /// Returns the declared type of a column, if it is a column of a table.
    pub(crate) fn declared_type(&self, column: usize) -> Option<Box<str>> {
        self.statement().column_declared_type(column)
    }

    pub(crate) fn sql(&self) -> &'row str {
        self.statement().sql()
    }

    #[inline]
    fn expect_columns(&self, expected: usize) -> Result<()> {
        if self.column_count() == expected { Ok(()) } else { Err(self.wrong_column_count(expected)) }
    }

    #[cold]
    #[inline(never)]
    fn wrong_column_count(&self, expected: usize) -> Error {
        let columns = self.statement().column_names().unwrap_or_default().into();
        Error::new(ErrorKind::ColumnCount { expected, found: self.column_count(), columns })
            .in_sql(self.statement().sql())
    }
}

impl fmt::Debug for Row<'_> {
    /// Shows the names of the columns and no values, which may be confidential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("columns", &self.statement().column_names().unwrap_or_default()).finish()
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

    pub trait RowSource {}
    impl RowSource for super::Rows<'_> {}
    impl RowSource for super::OwnedRows<'_> {}
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
        row.statement().find_column(self)?.ok_or_else(|| row.no_such(self))
    }
}

impl ColumnIndex for ColumnKey {
    #[inline]
    fn find(self, row: &Row<'_>) -> Result<usize> {
        match row.statement().resolve(self.owner, self.number) {
            Some(Ok(index)) => Ok(index),
            Some(Err(name)) => Err(row.no_such(name)),
            None => Err(Error::new(ErrorKind::Misuse { reason: "the column belongs to another statement" })),
        }
    }
}

/// A type as which a whole row can be read.
///
/// Implemented for every [`FromSql`] type (one column) and for tuples of up to 16 columns. The row must have exactly as
/// many columns as the type reads.
///
/// # Example
///
/// ```
/// use finalite::{Connection, FromRow, Result, Row};
///
/// #[derive(Debug, PartialEq)]
/// struct User { id: i64, name: String }
///
/// impl FromRow<'_> for User {
///     fn from_row(row: Row<'_>) -> Result<Self> {
///         Ok(Self { id: row.get("id")?, name: row.get("name")? })
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let user: User = conn.query_one("SELECT 'Ada' AS name, 1 AS id", ())?;
/// assert_eq!(user, User { id: 1, name: "Ada".into() });
/// # Ok::<(), finalite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a row cannot be read as `{Self}`",
    label = "no type that a row is read as",
    note = "a row of one column is read as that column's type, one of several columns as a tuple of up to 16",
    note = "for a struct of your own, implement `finalite::FromRow`, or read the row by a closure (`query_map`, `query_row`)"
)]
pub trait FromRow<'row>: Sized {
    /// Returns the row as this type.
    ///
    /// # Errors
    ///
    /// The errors of reading the columns, or [`Error::external`].
    fn from_row(row: Row<'row>) -> Result<Self>;
}

impl<'row, T: FromSql<'row>> FromRow<'row> for T {
    #[inline]
    fn from_row(row: Row<'row>) -> Result<Self> {
        row.expect_columns(1)?;
        row.get(0)
    }
}

macro_rules! tuples {
    ($(($count:literal $($type:ident $column:tt)+))+) => {
        $(
            impl<'row, $($type: FromSql<'row>),+> FromRow<'row> for ($($type,)+) {
                #[inline]
                fn from_row(row: Row<'row>) -> Result<Self> {
                    row.expect_columns($count)?;
                    Ok(($(row.get::<$type>($column)?,)+))
                }
            }
        )+
    };
}

crate::statement::tuples::with_tuples!(tuples);

/// The source of rows of an iterator: [`Rows`] or [`OwnedRows`].
pub trait RowSource: sealed::RowSource {
    #[doc(hidden)]
    fn next(&mut self) -> Result<Option<Row<'_>>>;

    #[doc(hidden)]
    fn finish(self) -> Result<()>;
}

macro_rules! row_sources {
    ($($rows:ident)*) => {
        $(
            impl RowSource for $rows<'_> {
                #[inline]
                fn next(&mut self) -> Result<Option<Row<'_>>> {
                    self.next()
                }

                fn finish(self) -> Result<()> {
                    self.finish()
                }
            }
        )*
    };
}

row_sources! { Rows OwnedRows }

/// An iterator over rows, each read as `T`. Returned by [`Statement::query_as`](crate::Statement::query_as) with
/// [`Rows`], and by [`Connection::query_as`] with [`OwnedRows`].
///
/// After an error of SQLite, the iterator ends. After a row that cannot be converted, it continues with the next row.
#[derive(Debug)]
#[must_use = "an iterator fetches nothing until it is asked"]
pub struct QueryAs<R, T> {
    rows: R,
    row_type: PhantomData<fn() -> T>,
}

impl<R: RowSource, T> QueryAs<R, T> {
    #[inline]
    pub(crate) fn new(rows: R) -> Self {
        Self { rows, row_type: PhantomData }
    }

    /// Ends the execution and returns the result of the reset, as [`Rows::finish`] does.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless the iterator has returned it.
    pub fn finish(self) -> Result<()> {
        self.rows.finish()
    }
}

impl<R: RowSource, T: for<'row> FromRow<'row>> Iterator for QueryAs<R, T> {
    type Item = Result<T>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next() {
            Ok(Some(row)) => Some(T::from_row(row)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<R: RowSource, T: for<'row> FromRow<'row>> FusedIterator for QueryAs<R, T> {}

/// An iterator over rows, each read by a closure. Returned by [`Statement::query_map`](crate::Statement::query_map),
/// [`Statement::query_and_then`](crate::Statement::query_and_then), and the methods of the same names of
/// [`Connection`].
///
/// After an error of SQLite, the iterator ends. After an error of the closure, it continues with the next row.
#[must_use = "an iterator fetches nothing until it is asked"]
pub struct QueryMap<R, F> {
    rows: R,
    read: F,
}

impl<R: RowSource, F> QueryMap<R, F> {
    #[inline]
    pub(crate) fn new(rows: R, read: F) -> Self {
        Self { rows, read }
    }

    /// Ends the execution and returns the result of the reset, as [`Rows::finish`] does.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless the iterator has returned it.
    pub fn finish(self) -> Result<()> {
        self.rows.finish()
    }
}

impl<R: RowSource, T, E: From<Error>, F: FnMut(Row<'_>) -> Result<T, E>> Iterator for QueryMap<R, F> {
    type Item = Result<T, E>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next() {
            Ok(Some(row)) => Some((self.read)(row)),
            Ok(None) => None,
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl<R: RowSource, T, E: From<Error>, F: FnMut(Row<'_>) -> Result<T, E>> FusedIterator for QueryMap<R, F> {}

impl<R: fmt::Debug, F> fmt::Debug for QueryMap<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryMap").field("rows", &self.rows).finish_non_exhaustive()
    }
}

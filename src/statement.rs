//! [`Statement`]: running prepared statements, and their metadata.

use std::any::Any;
use std::fmt;

use crate::core::{Checkout, Core};
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::raw::{Binding, Repetition, Stmt};

mod column_list;
mod from_columns;
mod from_row;
pub(crate) mod params;
pub(crate) mod remote;
mod row;
mod row_iterators;
mod rows;
#[cfg(feature = "scan-status")]
mod scan_status;
pub(crate) mod to_columns;
pub(crate) mod tuples;

pub use from_columns::FromColumns;
pub use from_row::FromRow;
use params::{Binder, Params};
pub(crate) use row::Record;
pub use row::{ColumnIndex, ColumnKey, Row};
pub use row_iterators::{QueryAs, QueryMap, RowSource};
pub use rows::{OwnedRows, Rows};
#[cfg(feature = "scan-status")]
pub use scan_status::ScanStep;
pub use to_columns::ToColumns;

/// Items that derived code calls.
#[doc(hidden)]
pub mod derive {
    pub use super::column_list::{ColumnList, Listed, Unlisted};
    pub use super::from_columns::{Cells, ColumnFinder, read_row};
    pub use super::to_columns::{ColumnNames, bind, param};
}

/// A prepared statement. Dropping it finalizes it immediately. A statement from
/// [`prepare_cached`](crate::Connection::prepare_cached) is instead reset and returned to its connection's cache.
///
/// Running a statement takes `&mut self`, because a statement has one execution at a time; [`Rows`] borrow the
/// statement.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a)", ())?;
/// let mut insert = conn.prepare("INSERT INTO t VALUES (?)")?;
/// assert_eq!(insert.execute_many((1..=3).map(|a| (a,)))?, 3);
/// let mut select = conn.prepare("SELECT a FROM t WHERE a > ?")?;
/// let all: Vec<i64> = select.query_as((1,))?.collect::<Result<_, _>>()?;
/// assert_eq!(all, [2, 3]);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3_stmt](https://sqlite.org/c3ref/stmt.html)
#[doc(alias = "CachedStatement")]
pub struct Statement<'conn> {
    checkout: Checkout<'conn>,
}

impl<'conn> Statement<'conn> {
    #[inline]
    pub(crate) fn new(checkout: Checkout<'conn>) -> Self {
        Self { checkout }
    }

    /// Whether SQLite will prepare the statement again before its next first step, without having looked at the file.
    pub(crate) fn is_expired(&self) -> bool {
        self.raw().is_expired()
    }

    /// Returns the data stored with the statement until SQLite re-prepares it.
    pub(crate) fn findings<T: Any + Send + Default>(&self) -> &T {
        self.raw().findings()
    }

    /// Whether data is stored with the statement.
    pub(crate) fn has_findings(&self) -> bool {
        self.raw().has_findings()
    }

    #[inline]
    fn raw(&self) -> &Stmt<'conn> {
        self.checkout.raw()
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut Stmt<'conn> {
        self.checkout.raw_mut()
    }

    #[inline]
    fn core(&self) -> &'conn Core {
        self.checkout.core()
    }

    /// Binds the parameters and returns the rows of a new execution. The first [`Rows::next`] runs the statement.
    ///
    /// The values that the parameters borrow stay borrowed as long as the rows live, because SQLite reads them in
    /// place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ParameterCount`], [`ErrorKind::ParameterUnset`], [`ErrorKind::ParameterTwice`],
    /// [`ErrorKind::NoSuch`] and [`ErrorKind::ParameterConversion`] for the parameters; [`ErrorKind::NoMemory`], and
    /// `SQLITE_TOOBIG` for text or bytes beyond SQLite's limit. Errors of the execution itself are returned by
    /// [`Rows::next`].
    ///
    /// C: [sqlite3_bind](https://sqlite.org/c3ref/bind_blob.html)
    #[inline]
    #[doc(alias = "bind")]
    pub fn query<'s, 'p: 's>(&'s mut self, params: impl Params<'p>) -> Result<Rows<'s>> {
        let core = self.core();
        trace_run(self.raw(), core);
        let mut binder = Binder::new(self.raw_mut().begin()?);
        params.bind(&mut binder)?;
        Ok(Rows::new(binder.finish()?.run(), core))
    }

    /// Starts an execution of an `EXPLAIN`, which reads no parameter, without values for its parameters.
    pub(crate) fn query_unbound(&mut self) -> Result<Rows<'_>> {
        let core = self.core();
        trace_run(self.raw(), core);
        Ok(Rows::new(self.raw_mut().begin()?.run(), core))
    }

    /// Returns an error, before the statement runs, if rows are expected and the statement returns none.
    #[inline]
    pub(crate) fn check_columns(&self) -> Result<()> {
        if self.raw().has_columns() { Ok(()) } else { Err(self.without_columns()) }
    }

    #[cold]
    #[inline(never)]
    fn without_columns(&self) -> Error {
        let reason = "the statement returns no rows and was not run: use `execute`";
        Error::new(ErrorKind::Misuse { reason }).in_sql(self.sql())
    }

    /// Runs the statement and returns an iterator that fetches its rows and reads each as `T`.
    ///
    /// # Errors
    ///
    /// The errors of [`query`](Self::query), and [`ErrorKind::Misuse`] for a statement that returns no rows, which is
    /// not run. The iterator yields a result for each row.
    #[inline]
    pub fn query_as<'s, 'p: 's, T: for<'row> FromRow<'row>>(
        &'s mut self,
        params: impl Params<'p>,
    ) -> Result<QueryAs<Rows<'s>, T>> {
        self.check_columns()?;
        Ok(QueryAs::new(self.query(params)?))
    }

    /// Runs the statement and returns an iterator that fetches its rows and passes each to a closure.
    ///
    /// # Errors
    ///
    /// The errors of [`query_as`](Self::query_as). The iterator yields a result for each row.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Result};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut statement = conn.prepare("VALUES (1, 'one'), (2, 'two')")?;
    /// let words = statement.query_map([], |row| row.get::<String>(1))?.collect::<Result<Vec<_>>>()?;
    /// assert_eq!(words, ["one", "two"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    pub fn query_map<'s, 'p: 's, T, F>(&'s mut self, params: impl Params<'p>, read: F) -> Result<QueryMap<Rows<'s>, F>>
    where
        F: FnMut(Row<'_>) -> Result<T>,
    {
        self.query_and_then(params, read)
    }

    /// Runs the statement and returns an iterator that fetches its rows and passes each to a closure, as
    /// [`query_map`](Self::query_map) does. The closure may return any error type that implements `From<Error>`.
    ///
    /// # Errors
    ///
    /// The errors of [`query_as`](Self::query_as). The iterator yields a result for each row.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut statement = conn.prepare("VALUES ('1'), ('two')")?;
    /// let parsed = statement.query_and_then([], |row| -> Result<i64, Box<dyn std::error::Error>> {
    ///     Ok(row.get::<&str>(0)?.parse()?)
    /// })?;
    /// let parsed: Vec<Option<i64>> = parsed.map(Result::ok).collect();
    /// assert_eq!(parsed, [Some(1), None]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    pub fn query_and_then<'s, 'p: 's, T, E: From<Error>, F>(
        &'s mut self,
        params: impl Params<'p>,
        read: F,
    ) -> Result<QueryMap<Rows<'s>, F>>
    where
        F: FnMut(Row<'_>) -> Result<T, E>,
    {
        self.check_columns()?;
        Ok(QueryMap::new(self.query(params)?, read))
    }

    /// Runs the statement to completion and returns the number of rows it inserted, updated or deleted. Rows that the
    /// statement returns are discarded. [`Connection::execute`](crate::Connection::execute) documents the count.
    ///
    /// # Errors
    ///
    /// The errors of [`query`](Self::query), [`Rows::next`] and [`Rows::finish`].
    ///
    /// C: [sqlite3_changes64](https://sqlite.org/c3ref/changes.html)
    #[inline]
    pub fn execute<'p>(&mut self, params: impl Params<'p>) -> Result<usize> {
        let core = self.core();
        trace_run(self.raw(), core);
        let mut binder = Binder::new(self.raw_mut().begin()?);
        params.bind(&mut binder)?;
        execute_once(core, binder.finish()?)
    }

    /// Runs the statement once for each set of parameters and returns the total number of rows changed.
    ///
    /// No transaction is opened. Outside a transaction, each run is a transaction of its own, and the runs before an
    /// error remain committed.
    ///
    /// # Errors
    ///
    /// The error of the first [`execute`](Self::execute) that fails.
    pub fn execute_many<'p, I>(&mut self, sets: I) -> Result<usize>
    where
        I: IntoIterator,
        I::Item: Params<'p>,
    {
        self.try_execute_many(sets.into_iter().map(Ok))
    }

    /// Runs the statement once for each set of parameters from an iterator that may fail, and returns the total number
    /// of rows changed.
    ///
    /// No transaction is opened. The changes of the runs before an error remain, unless the caller's transaction is
    /// rolled back.
    ///
    /// SQLite holds the values of a set until the next one is bound, or the call ends.
    ///
    /// # Errors
    ///
    /// The first error of the iterator or of [`execute`](Self::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", [])?;
    /// let mut insert = conn.prepare("INSERT INTO t VALUES (?)")?;
    /// let lines = ["1", "2", "three"];
    /// let sets = lines.iter().map(|line| Ok::<_, Box<dyn std::error::Error>>((line.parse::<i64>()?,)));
    /// assert!(insert.try_execute_many(sets).is_err());
    /// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", [])?, 2);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn try_execute_many<'p, P: Params<'p>, E: From<Error>>(
        &mut self,
        sets: impl IntoIterator<Item = Result<P, E>>,
    ) -> Result<usize, E> {
        let core = self.core();
        let mut repetition = self.raw_mut().repeat().map_err(Error::from)?;
        sets.into_iter().try_fold(0, |changed, params| Ok(changed + run_next(core, &mut repetition, params?)?))
    }

    /// Runs a statement that yields exactly one row, and returns the row as `T`.
    ///
    /// All changes of the statement are complete when this method returns, because it also returns the result of the
    /// reset. If a second row or a failed conversion is the error, changes that the statement made (`INSERT …
    /// RETURNING`) are kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RowCount`] for no row or more than one; [`ErrorKind::ColumnCount`] and
    /// [`ErrorKind::ColumnConversion`] if the row cannot be read as `T`; [`ErrorKind::Misuse`] for a statement that
    /// returns no rows, which is not run; and the errors of [`execute`](Self::execute).
    #[inline]
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<T> {
        match self.query_optional(params)? {
            Some(value) => Ok(value),
            None => Err(self.no_rows()),
        }
    }

    /// Runs a statement that yields at most one row, and returns the row as `T`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The errors of [`query_one`](Self::query_one), except that no row is not an error.
    #[inline]
    pub fn query_optional<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<Option<T>> {
        self.check_columns()?;
        self.single(params)
    }

    /// Runs the statement, passes its first row to a closure and returns the closure's result. Further rows are
    /// ignored; a statement that writes runs to completion. For [`query_one`](Self::query_one), a second row is an
    /// error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RowCount`] if there is no row ([`Error::is_no_rows`]); the closure's error; [`ErrorKind::Misuse`]
    /// for a statement that returns no rows, which is not run; and the errors of [`execute`](Self::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut statement = conn.prepare("VALUES (1, 'one'), (2, 'two')")?;
    /// let first: (i64, String) = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    /// assert_eq!(first, (1, "one".into()));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    pub fn query_row<'p, T>(&mut self, params: impl Params<'p>, read: impl FnOnce(Row<'_>) -> Result<T>) -> Result<T> {
        self.query_row_and_then(params, read)
    }

    /// Runs the statement, passes its first row to a closure and returns the closure's result, as
    /// [`query_row`](Self::query_row) does. The closure may return any error type that implements `From<Error>`.
    ///
    /// # Errors
    ///
    /// See [`query_row`](Self::query_row).
    #[inline]
    pub fn query_row_and_then<'p, T, E: From<Error>>(
        &mut self,
        params: impl Params<'p>,
        read: impl FnOnce(Row<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_columns()?;
        let writes = !self.is_readonly();
        let mut rows = self.query(params)?;
        let Some(row) = rows.next()? else {
            rows.finish()?;
            return Err(self.no_rows().into());
        };
        let value = read(row);
        finish_after_first(rows, writes)?;
        value
    }

    #[cold]
    fn no_rows(&self) -> Error {
        Error::no_rows().in_sql(self.sql())
    }

    /// Runs the statement and returns whether it yields a row. A statement that writes runs to completion.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a statement that returns no rows, which is not run; and the errors of
    /// [`execute`](Self::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut statement = conn.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?")?;
    /// assert!(!statement.exists(("people",))?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    pub fn exists<'p>(&mut self, params: impl Params<'p>) -> Result<bool> {
        self.check_columns()?;
        let writes = !self.is_readonly();
        let mut rows = self.query(params)?;
        let found = rows.next()?.is_some();
        finish_after_first(rows, writes)?;
        Ok(found)
    }

    /// Runs the statement and returns all rows, each as `T`.
    ///
    /// # Errors
    ///
    /// The errors of [`execute`](Self::execute); [`ErrorKind::ColumnCount`] and [`ErrorKind::ColumnConversion`] for a
    /// row that cannot be read as `T`; [`ErrorKind::Misuse`] for a statement that returns no rows, which is not run.
    #[inline]
    pub fn query_all<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<Vec<T>> {
        self.check_columns()?;
        let mut rows = self.query(params)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next_as()? {
            all.push(row);
        }
        rows.finish()?;
        Ok(all)
    }

    /// Runs a pragma and returns its row as `T`; `None` if it yields none.
    pub(crate) fn query_pragma<T: for<'row> FromRow<'row>>(&mut self) -> Result<Option<T>> {
        self.single(())
    }

    /// Returns the single row, after at most two steps and the reset, whose result code reports whether the changes
    /// were stored.
    #[inline]
    fn single<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<Option<T>> {
        let mut rows = self.query(params)?;
        let Some(row) = rows.next()? else {
            rows.finish()?;
            return Ok(None);
        };
        let value = T::from_row(row);
        let surplus = value.is_ok() && rows.next()?.is_some();
        rows.finish()?;
        if surplus {
            return Err(Error::new(ErrorKind::RowCount { found: 2 }).in_sql(self.sql()));
        }
        value.map(Some)
    }

    /// Binds the parameters and returns rows that own the statement. Dropping the rows ends the statement as dropping
    /// the statement itself does.
    ///
    /// The values that the parameters borrow must live as long as the borrow of the connection.
    ///
    /// # Errors
    ///
    /// See [`query`](Self::query).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, OwnedRows, Result};
    ///
    /// fn numbers(conn: &Connection) -> Result<OwnedRows<'_>> {
    ///     conn.prepare("VALUES (1), (2)")?.into_rows(())
    /// }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut rows = numbers(&conn)?;
    /// assert_eq!(rows.next()?.unwrap().get::<i64>(0)?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn into_rows<'p: 'conn>(self, params: impl Params<'p>) -> Result<OwnedRows<'conn>> {
        trace_run(self.raw(), self.core());
        let (core, place) = (self.core(), self.checkout.place());
        let cursor = self.checkout.into_raw().into_cursor(|binding| {
            let mut binder = Binder::new(binding);
            params.bind(&mut binder)?;
            binder.finish()
        })?;
        Ok(OwnedRows::new(cursor, core, place))
    }

    /// Finalizes the statement and returns the result, which Drop cannot. A statement from the cache is finalized too.
    ///
    /// # Errors
    ///
    /// Any error of SQLite. The statement is finalized nevertheless.
    ///
    /// C: [sqlite3_finalize](https://sqlite.org/c3ref/finalize.html)
    pub fn finalize(self) -> Result<()> {
        Ok(self.checkout.into_raw().finalize()?)
    }

    /// Returns the SQL from which the statement was prepared.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.raw().sql()
    }

    /// Returns the SQL with the given values in place of the parameters, for diagnostics. The statement is not run.
    ///
    /// # Errors
    ///
    /// The errors of [`query`](Self::query) for the parameters; [`ErrorKind::NoMemory`], also if the text exceeds
    /// SQLite's length limit, because SQLite does not distinguish the two.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut statement = conn.prepare("SELECT ?, :b")?;
    /// assert_eq!(&*statement.expanded_sql((1, "it's"))?, "SELECT 1, 'it''s'");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_expanded_sql](https://sqlite.org/c3ref/expanded_sql.html)
    pub fn expanded_sql<'p>(&mut self, params: impl Params<'p>) -> Result<Box<str>> {
        let mut binder = Binder::new(self.raw_mut().begin()?);
        params.bind(&mut binder)?;
        Ok(binder.finish()?.expanded_sql()?)
    }

    /// Returns the number of parameters, which is the largest parameter index.
    ///
    /// C: [sqlite3_bind_parameter_count](https://sqlite.org/c3ref/bind_parameter_count.html)
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.raw().parameter_count()
    }

    /// Returns the name of a parameter with its prefix. `index` is 1-based, as in SQLite. `None` for `?` and for an
    /// index out of range.
    ///
    /// C: [sqlite3_bind_parameter_name](https://sqlite.org/c3ref/bind_parameter_name.html)
    #[must_use]
    pub fn parameter_name(&self, index: usize) -> Option<&str> {
        self.raw().parameter_names().get(index.checked_sub(1)?)?.as_deref()
    }

    /// Returns the number of columns in the result; 0 for a statement that returns no rows.
    ///
    /// C: [sqlite3_column_count](https://sqlite.org/c3ref/column_count.html)
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.raw().column_count()
    }

    /// Returns the names of the result columns, as of the last preparation. After a schema change, the names are
    /// updated with the first row of the next execution.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_column_name](https://sqlite.org/c3ref/column_name.html)
    pub fn column_names(&self) -> Result<impl ExactSizeIterator<Item = &str>> {
        Ok(self.raw().column_names()?.iter().map(|name| &**name))
    }

    /// Returns the names, declared types and origins of the result columns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, name VARCHAR(20))", ())?;
    /// let statement = conn.prepare("SELECT name AS n, 1 FROM users")?;
    /// let columns = statement.columns()?;
    /// assert_eq!((columns[0].name(), columns[0].declared_type()), ("n", Some("VARCHAR(20)")));
    /// assert_eq!(columns[0].table(), Some("users"));
    /// assert_eq!(columns[1].declared_type(), None);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_column_decltype](https://sqlite.org/c3ref/column_decltype.html),
    /// [sqlite3_column_database_name](https://sqlite.org/c3ref/column_database_name.html)
    pub fn columns(&self) -> Result<Vec<ColumnMetadata>> {
        let names = self.raw().column_names()?.iter().enumerate();
        Ok(names
            .map(|(column, name)| ColumnMetadata {
                name: name.clone(),
                declared_type: self.raw().column_declared_type(column),
                origin: self.raw().column_origin(column),
            })
            .collect())
    }

    /// Looks up a column by its name and returns a key for reading it from rows. ASCII letters are compared without
    /// case.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if no column has that name, [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut statement = conn.prepare("SELECT 1 AS id, 'x' AS name")?;
    /// let name = statement.column("name")?;
    /// let mut rows = statement.query(())?;
    /// while let Some(row) = rows.next()? {
    ///     assert_eq!(row.get::<&str>(name)?, "x");
    /// }
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn column(&mut self, name: &str) -> Result<ColumnKey> {
        if let Some((owner, number)) = self.raw_mut().column_handle(name)? {
            return Ok(ColumnKey { owner, number });
        }
        let known = self.raw().column_names()?.into();
        Err(Error::new(ErrorKind::NoSuch { what: NameKind::Column, name: name.into(), known }).in_sql(self.sql()))
    }

    /// Whether the statement does not change the database file. `BEGIN` and `COMMIT` count as read-only, the `EXPLAIN`
    /// of a writing statement as writing.
    ///
    /// C: [sqlite3_stmt_readonly](https://sqlite.org/c3ref/stmt_readonly.html)
    #[must_use]
    pub fn is_readonly(&self) -> bool {
        self.raw().is_readonly()
    }

    /// Whether the statement is an `EXPLAIN` or `EXPLAIN QUERY PLAN`.
    ///
    /// C: [sqlite3_stmt_isexplain](https://sqlite.org/c3ref/stmt_isexplain.html)
    #[must_use]
    pub fn is_explain(&self) -> bool {
        self.raw().explain_mode() != 0
    }

    /// Returns SQLite's counters, summed over all executions so far.
    ///
    /// C: [sqlite3_stmt_status](https://sqlite.org/c3ref/stmt_status.html)
    #[must_use]
    pub fn counters(&self) -> StatementCounters {
        self.raw().counters()
    }
}

/// Ends the rows after the first one. A statement that writes is run to its end.
#[inline]
fn finish_after_first(mut rows: Rows<'_>, writes: bool) -> Result<()> {
    while writes && rows.next()?.is_some() {}
    rows.finish()
}

/// Runs the statement of a repetition once. Returns the number of rows changed.
#[inline(always)]
fn run_next<'p>(core: &Core, repetition: &mut Repetition<'_, 'p, '_>, params: impl Params<'p>) -> Result<usize> {
    trace_run(repetition.statement(), core);
    let mut binder = Binder::new(repetition.begin()?);
    params.bind(&mut binder)?;
    execute_repeated(core, binder.finish()?)
}

// What follows the parameters is the same code for all of their types.

#[inline(never)]
fn execute_once<'s>(core: &'s Core, binding: Binding<'s, 's>) -> Result<usize> {
    Rows::execute(binding, core, false)
}

#[inline(never)]
fn execute_repeated<'s>(core: &'s Core, binding: Binding<'s, 's>) -> Result<usize> {
    Rows::execute(binding, core, true)
}

/// Also without a subscriber: `tracing` may pass the event on to `log`.
#[inline(never)]
fn trace_run(statement: &Stmt<'_>, core: &Core) {
    tracing::trace!(
        target: "finalite::statement",
        sql = statement.sql(),
        connection = core.identity().0,
        name = core.identity().1,
        prepared_at = %statement.site(),
        "run",
    );
}

pub use crate::raw::stmt::Counters as StatementCounters;

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("sql", &self.sql()).finish_non_exhaustive()
    }
}

/// Metadata of a result column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMetadata {
    name: Box<str>,
    declared_type: Option<Box<str>>,
    origin: Option<(Box<str>, Box<str>, Box<str>)>,
}

impl ColumnMetadata {
    /// Returns the name in the result.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the type in the `CREATE TABLE`, as written there; `None` for an expression and for a column declared
    /// without a type.
    #[must_use]
    pub fn declared_type(&self) -> Option<&str> {
        self.declared_type.as_deref()
    }

    /// Returns the database of the table that the column comes from: `main`, `temp` or the name of an attached
    /// database. `None` for an expression, and always without the feature `bundled`.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.origin.as_ref().map(|(database, _, _)| &**database)
    }

    /// Returns the table that the column comes from; `None` as for [`database`](Self::database).
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.origin.as_ref().map(|(_, table, _)| &**table)
    }

    /// Returns the name of the column in its table; `None` as for [`database`](Self::database).
    #[must_use]
    pub fn origin_column(&self) -> Option<&str> {
        self.origin.as_ref().map(|(_, _, column)| &**column)
    }
}

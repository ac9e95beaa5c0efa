//! Prepared statements: running them, and what is known about them.

use std::fmt;
use std::panic::Location;

use crate::Connection;
use crate::cache::Ticket;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::params::{Binder, Params};
use crate::raw::{Stmt, shielded};
use crate::rows::{self, ColumnKey, FromRow, OwnedRows, QueryAs, QueryMap, Row, Rows};

/// A prepared statement. Dropping it finalizes it, on the spot; one from
/// [`prepare_cached`](Connection::prepare_cached) goes back to its connection's cache, reset.
///
/// Running it takes `&mut self`: there is one execution at a time, which the [`Rows`] borrow.
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
    /// `None` only within the calls that end `self`.
    raw: Option<Stmt<'conn>>,
    conn: &'conn Connection,
    home: Home,
}

/// The place of a statement that is no longer used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Home {
    /// Nowhere: it is finalized.
    Nowhere,
    /// The cache, which does not know it yet.
    Cache,
    /// The slot of the cache that it was taken from.
    Slot(Ticket),
}

impl<'conn> Statement<'conn> {
    #[inline]
    pub(crate) fn new(raw: Stmt<'conn>, conn: &'conn Connection, home: Home) -> Self {
        Self { raw: Some(raw), conn, home }
    }

    #[inline]
    fn raw(&self) -> &Stmt<'conn> {
        self.raw.as_ref().expect("taken by calls that end `self`")
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut Stmt<'conn> {
        self.raw.as_mut().expect("taken by calls that end `self`")
    }

    /// Nothing is left for Drop.
    #[inline]
    fn into_raw(mut self) -> Stmt<'conn> {
        self.raw.take().expect("taken by calls that end `self`")
    }

    /// Runs it and lends its rows.
    ///
    /// What the parameters borrow stays borrowed as long as the rows live: SQLite reads it where it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ParameterCount`], [`ErrorKind::ParameterUnset`], [`ErrorKind::NoSuch`] and
    /// [`ErrorKind::ParameterConversion`] for the parameters. SQLite itself fails at the first [`Rows::next`].
    ///
    /// C: [sqlite3_bind](https://sqlite.org/c3ref/bind_blob.html)
    #[inline]
    #[doc(alias = "bind")]
    pub fn query<'s, 'p: 's>(&'s mut self, params: impl Params<'p>) -> Result<Rows<'s>> {
        self.trace_run();
        let conn = self.conn;
        let mut binder = Binder::new(self.raw_mut().begin()?);
        params.bind(&mut binder)?;
        Ok(Rows::new(binder.finish()?.run(), conn))
    }

    #[inline]
    fn trace_run(&self) {
        tracing::trace!(
            target: "finalite::statement",
            sql = self.raw().sql(),
            connection = self.conn.db().id(),
            name = self.conn.db().book().name(),
            prepared_at = %self.raw().site(),
            "run",
        );
    }

    /// Refuses a statement that returns no rows, where rows are asked for: before it runs.
    #[inline]
    pub(crate) fn check_columns(&self) -> Result<()> {
        if self.raw().has_columns() { Ok(()) } else { Err(self.without_columns()) }
    }

    #[cold]
    #[inline(never)]
    fn without_columns(&self) -> Error {
        let reason = "the statement returns no rows, and was not run: `execute` runs it";
        Error::new(ErrorKind::Misuse { reason }).in_sql(self.sql())
    }

    /// Runs a statement without parameters of a guard's, whatever became of its transaction. In Drop, too: nothing may
    /// unwind.
    pub(crate) fn run_unchecked(&mut self, opened_at: &'static Location<'static>) -> Result<()> {
        let (connection, name) = self.conn.identity();
        shielded(|| {
            let sql = self.raw().sql();
            tracing::trace!(target: "finalite::statement", sql, connection, name, %opened_at, "run");
        });
        let started = rows::started(self.conn);
        let result = self.run_to_its_end();
        if let Some(started) = started {
            rows::log_slow(started, self.conn, self.sql(), opened_at);
        }
        result
    }

    fn run_to_its_end(&mut self) -> Result<()> {
        let mut cursor = self.raw_mut().begin()?.run();
        while cursor.step()?.is_some() {}
        Ok(cursor.finish()?)
    }

    /// Runs it and reads each row as `T`, lazily.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); [`ErrorKind::Misuse`] for a statement that returns no rows, which is not run. Each row
    /// has its own result.
    #[inline]
    pub fn query_as<'s, 'p: 's, T: for<'row> FromRow<'row>>(
        &'s mut self,
        params: impl Params<'p>,
    ) -> Result<QueryAs<Rows<'s>, T>> {
        self.check_columns()?;
        Ok(QueryAs::new(self.query(params)?))
    }

    /// Runs it and reads each row by a closure, lazily.
    ///
    /// # Errors
    ///
    /// As [`query_as`](Self::query_as). Each row has its own result.
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

    /// Runs it and reads each row by a closure, lazily; the closure's error is the caller's own.
    ///
    /// # Errors
    ///
    /// As [`query_as`](Self::query_as). Each row has its own result.
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

    /// Runs it to the end and returns the number of rows it inserted, updated or deleted; rows that it returns are
    /// passed over. [`Connection::execute`] says how it counts.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and what SQLite returns.
    ///
    /// C: [sqlite3_changes64](https://sqlite.org/c3ref/changes.html)
    #[inline]
    pub fn execute<'p>(&mut self, params: impl Params<'p>) -> Result<usize> {
        let conn = self.conn;
        let before = conn.db().total_changes();
        let mut rows = self.query(params)?;
        while rows.next()?.is_some() {}
        rows.finish()?;
        Ok(conn.changes_since(before))
    }

    /// Runs it once for each set of parameters and returns the sum of the rows changed.
    ///
    /// It opens no transaction: outside of one, every run is a transaction of its own, and those before an error
    /// stay.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute), from the first run that fails.
    pub fn execute_many<'p, I>(&mut self, sets: I) -> Result<usize>
    where
        I: IntoIterator,
        I::Item: Params<'p>,
    {
        self.try_execute_many(sets.into_iter().map(Ok))
    }

    /// Runs it once for each set of parameters of an iterator that may fail, and returns the sum of the rows changed.
    ///
    /// It opens no transaction: the runs before an error stay, unless a transaction around is rolled back.
    ///
    /// # Errors
    ///
    /// The iterator's first error, and as [`execute_many`](Self::execute_many).
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
        sets.into_iter().try_fold(0, |changed, params| Ok(changed + self.execute(params?)?))
    }

    /// Runs it and returns the one row it yields.
    ///
    /// What it changed is complete when this returns: the result of the reset is part of it. If there is an error
    /// because of a second row or a conversion, changes that the statement made (`INSERT … RETURNING`) stand.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RowCount`] for none or more than one row, [`ErrorKind::ColumnCount`] and [`ErrorKind::ColumnConversion`] if the
    /// row is no `T`, [`ErrorKind::Misuse`] for a statement that returns no rows, which is not run, and as
    /// [`execute`](Self::execute).
    #[inline]
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<T> {
        match self.query_optional(params)? {
            Some(value) => Ok(value),
            None => Err(self.no_rows()),
        }
    }

    /// Runs it and returns the row it yields, `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`query_one`](Self::query_one), but no row is no error.
    #[inline]
    pub fn query_optional<'p, T: for<'row> FromRow<'row>>(&mut self, params: impl Params<'p>) -> Result<Option<T>> {
        self.check_columns()?;
        self.single(params)
    }

    /// Runs it and returns what the closure makes of the first row. Further rows are not looked at; a statement that
    /// writes runs to its end. [`query_one`](Self::query_one) is the call for which a second row is an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RowCount`] if there is no row ([`Error::is_no_rows`]), the closure's error, [`ErrorKind::Misuse`] for a
    /// statement that returns no rows, which is not run, and as [`execute`](Self::execute).
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

    /// Runs it and returns what the closure makes of the first row, as [`query_row`](Self::query_row); the closure's
    /// error is the caller's own.
    ///
    /// # Errors
    ///
    /// As [`query_row`](Self::query_row).
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
        while writes && rows.next()?.is_some() {}
        rows.finish()?;
        value
    }

    #[cold]
    fn no_rows(&self) -> Error {
        Error::no_rows().in_sql(self.sql())
    }

    /// Runs it and returns whether there is a row. A statement that writes runs to its end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a statement that returns no rows, which is not run, and as [`execute`](Self::execute).
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
        while writes && rows.next()?.is_some() {}
        rows.finish()?;
        Ok(found)
    }

    /// Runs it and returns all rows.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute); [`ErrorKind::ColumnCount`] and [`ErrorKind::ColumnConversion`] for a row that is no `T`;
    /// [`ErrorKind::Misuse`] for a statement that returns no rows, which is not run.
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

    /// Runs a pragma and returns what it answers; `None` if it has no answer.
    pub(crate) fn query_pragma<T: for<'row> FromRow<'row>>(&mut self) -> Result<Option<T>> {
        self.single(())
    }

    /// At most two steps, then the reset, whose code tells what became of the changes.
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

    /// Runs it and gives itself to the rows, which end it as dropping it would.
    ///
    /// What the parameters borrow must live as long as the borrow of the connection.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
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
        self.trace_run();
        let (conn, home) = (self.conn, self.home);
        let cursor = self.into_raw().into_cursor(|binding| {
            let mut binder = Binder::new(binding);
            params.bind(&mut binder)?;
            binder.finish()
        })?;
        Ok(OwnedRows::new(cursor, conn, home))
    }

    /// Finalizes it, and returns the result, which Drop cannot. One from the cache does not go back.
    ///
    /// # Errors
    ///
    /// What SQLite returns. The statement is gone all the same.
    ///
    /// C: [sqlite3_finalize](https://sqlite.org/c3ref/finalize.html)
    pub fn finalize(self) -> Result<()> {
        Ok(self.into_raw().finalize()?)
    }

    /// The SQL it was prepared from.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.raw().sql()
    }

    /// The SQL with values written into it, for looking at. Nothing is run.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query) for the parameters; [`ErrorKind::NoMemory`], also if the text would be longer than
    /// SQLite's limit: it does not tell them apart.
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

    /// The number of parameters: the largest index.
    ///
    /// C: [sqlite3_bind_parameter_count](https://sqlite.org/c3ref/bind_parameter_count.html)
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.raw().parameter_count()
    }

    /// The name of a parameter, 1-based as in SQLite, with its prefix; `None` for `?` and for an index that there is
    /// not.
    ///
    /// C: [sqlite3_bind_parameter_name](https://sqlite.org/c3ref/bind_parameter_name.html)
    #[must_use]
    pub fn parameter_name(&self, index: usize) -> Option<&str> {
        self.raw().parameter_names().get(index.checked_sub(1)?)?.as_deref()
    }

    /// The number of columns in its result; 0 for a statement that returns none.
    ///
    /// C: [sqlite3_column_count](https://sqlite.org/c3ref/column_count.html)
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.raw().column_count()
    }

    /// The names of the columns, as prepared. A schema change shows after the first row of the next execution.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3_column_name](https://sqlite.org/c3ref/column_name.html)
    pub fn column_names(&self) -> Result<impl ExactSizeIterator<Item = &str>> {
        Ok(self.raw().column_names()?.iter().map(|name| &**name))
    }

    /// Names, declared types and origins of the columns.
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

    /// Looks a column up by name, once; ASCII letters are compared without case.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is none of that name, [`ErrorKind::NoMemory`].
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

    /// Whether it leaves the database file as it is. `BEGIN` and `COMMIT` count as reading, the `EXPLAIN` of a writing
    /// statement as writing.
    ///
    /// C: [sqlite3_stmt_readonly](https://sqlite.org/c3ref/stmt_readonly.html)
    #[must_use]
    pub fn is_readonly(&self) -> bool {
        self.raw().is_readonly()
    }

    /// Whether it is an `EXPLAIN` or `EXPLAIN QUERY PLAN`.
    ///
    /// C: [sqlite3_stmt_isexplain](https://sqlite.org/c3ref/stmt_isexplain.html)
    #[must_use]
    pub fn is_explain(&self) -> bool {
        self.raw().explain_mode() != 0
    }

    /// What SQLite counted over all executions so far.
    ///
    /// C: [sqlite3_stmt_status](https://sqlite.org/c3ref/stmt_status.html)
    #[must_use]
    pub fn counters(&self) -> StatementCounters {
        self.raw().counters()
    }
}

impl Drop for Statement<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.conn.put_back(raw, self.home);
        }
    }
}

pub use crate::raw::stmt::Counters as StatementCounters;

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("sql", &self.sql()).finish_non_exhaustive()
    }
}

/// What SQLite knows about a column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMetadata {
    name: Box<str>,
    declared_type: Option<Box<str>>,
    origin: Option<(Box<str>, Box<str>, Box<str>)>,
}

impl ColumnMetadata {
    /// The name in the result.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type in the `CREATE TABLE`, as written there; `None` for an expression and for a column without one.
    #[must_use]
    pub fn declared_type(&self) -> Option<&str> {
        self.declared_type.as_deref()
    }

    /// The database of the table that the column comes from: `main`, `temp` or the attached name. `None` for an
    /// expression, and always without the feature `bundled`.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.origin.as_ref().map(|(database, _, _)| &**database)
    }

    /// The table that the column comes from, as [`database`](Self::database).
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.origin.as_ref().map(|(_, table, _)| &**table)
    }

    /// The name of the column in its table, as [`database`](Self::database).
    #[must_use]
    pub fn origin_column(&self) -> Option<&str> {
        self.origin.as_ref().map(|(_, _, column)| &**column)
    }
}

//! Calls that prepare, run and read in one.

use super::Connection;
use crate::error::{Error, Result};
use crate::statement::params::Params;
use crate::statement::{FromRow, OwnedRows, QueryAs, QueryMap, Row};

impl Connection {
    /// Runs one statement to completion and returns the number of rows it inserted, updated or deleted. Rows that the
    /// statement returns are discarded, so that `PRAGMA journal_mode = wal` runs too.
    ///
    /// The count is [`changes`](Self::changes), or 0 if [`total_changes`](Self::total_changes) did not increase, as for
    /// a query or DDL. `CREATE VIRTUAL TABLE` increases it by the row that it writes into the schema and by the rows
    /// that its module writes.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::execute`](crate::Statement::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.execute("CREATE TABLE t(a)", ())?, 0);
    /// assert_eq!(conn.execute("INSERT INTO t VALUES (?), (?)", (1, "two"))?, 2);
    /// assert_eq!(conn.execute("DELETE FROM t WHERE a = ?", (3,))?, 0);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn execute<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    /// Runs a statement that yields exactly one row, and returns the row as `T`.
    ///
    /// `T` owns its data. To read borrowed text or bytes (`&str`), use [`query_row`](Self::query_row).
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_one`](crate::Statement::query_one), which also
    /// describes what happens to changes.
    #[inline]
    #[track_caller]
    #[doc(alias("fetch_one", "get_result"))]
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<T> {
        self.prepare_cached(sql)?.query_one(params)
    }

    /// Runs a statement that yields at most one row, and returns the row as `T`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_optional`](crate::Statement::query_optional).
    #[inline]
    #[track_caller]
    #[doc(alias = "fetch_optional")]
    pub fn query_optional<'p, T: for<'row> FromRow<'row>>(
        &self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<Option<T>> {
        self.prepare_cached(sql)?.query_optional(params)
    }

    /// Runs a statement and returns all rows, each as `T`.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_all`](crate::Statement::query_all).
    #[inline]
    #[track_caller]
    #[doc(alias("fetch_all", "load"))]
    pub fn query_all<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<Vec<T>> {
        self.prepare_cached(sql)?.query_all(params)
    }

    /// Runs a statement and returns an iterator that fetches its rows and reads each as `T`.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_as`](crate::Statement::query_as). The iterator
    /// yields a result for each row.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Result};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let words = conn.query_as::<(i64, String)>("VALUES (1, 'one'), (2, 'two')", [])?;
    /// let words = words.map(|row| Ok(row?.1)).collect::<Result<Vec<_>>>()?;
    /// assert_eq!(words, ["one", "two"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    #[doc(alias = "fetch")]
    pub fn query_as<'conn, 'p: 'conn, T: for<'row> FromRow<'row>>(
        &'conn self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<QueryAs<OwnedRows<'conn>, T>> {
        Ok(QueryAs::new(self.query_owned(sql, params)?))
    }

    /// Runs a cached statement, which must return columns.
    #[inline]
    #[track_caller]
    pub(super) fn query_owned<'conn, 'p: 'conn>(
        &'conn self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<OwnedRows<'conn>> {
        let statement = self.prepare_cached(sql)?;
        statement.check_columns()?;
        statement.into_rows(params)
    }

    /// Runs a statement and returns an iterator that fetches its rows and passes each to a closure.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_as`](crate::Statement::query_as). The iterator
    /// yields a result for each row.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Result};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let words = conn.query_map("VALUES ('one'), ('two')", [], |row| row.get::<String>(0))?;
    /// assert_eq!(words.collect::<Result<Vec<_>>>()?, ["one", "two"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn query_map<'conn, 'p: 'conn, T, F>(
        &'conn self,
        sql: &str,
        params: impl Params<'p>,
        read: F,
    ) -> Result<QueryMap<OwnedRows<'conn>, F>>
    where
        F: FnMut(Row<'_>) -> Result<T>,
    {
        self.query_and_then(sql, params, read)
    }

    /// Runs a statement and returns an iterator that fetches its rows and passes each to a closure, as
    /// [`query_map`](Self::query_map) does. The closure may return any error type that implements `From<Error>`.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_as`](crate::Statement::query_as). The iterator
    /// yields a result for each row.
    #[inline]
    #[track_caller]
    pub fn query_and_then<'conn, 'p: 'conn, T, E: From<Error>, F>(
        &'conn self,
        sql: &str,
        params: impl Params<'p>,
        read: F,
    ) -> Result<QueryMap<OwnedRows<'conn>, F>>
    where
        F: FnMut(Row<'_>) -> Result<T, E>,
    {
        Ok(QueryMap::new(self.query_owned(sql, params)?, read))
    }

    /// Runs a statement and returns whether it yields a row.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::exists`](crate::Statement::exists).
    #[inline]
    #[track_caller]
    pub fn exists<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<bool> {
        self.prepare_cached(sql)?.exists(params)
    }

    /// Runs a statement, passes its first row to a closure and returns the closure's result. Further rows are ignored,
    /// as by [`Statement::query_row`](crate::Statement::query_row); for [`query_one`](Self::query_one), a second row is
    /// an error.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_row`](crate::Statement::query_row), and the
    /// closure's error.
    #[inline]
    #[track_caller]
    pub fn query_row<'p, T>(
        &self,
        sql: &str,
        params: impl Params<'p>,
        read: impl FnOnce(Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare_cached(sql)?.query_row(params, read)
    }

    /// Runs a statement, passes its first row to a closure and returns the closure's result, as
    /// [`query_row`](Self::query_row) does. The closure may return any error type that implements `From<Error>`.
    ///
    /// # Errors
    ///
    /// See [`query_row`](Self::query_row).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// #[derive(Debug)]
    /// enum AppError { Negative, Database(finalite::Error) }
    ///
    /// impl From<finalite::Error> for AppError {
    ///     fn from(error: finalite::Error) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let balance = conn.query_row_and_then("SELECT -5", [], |row| match row.get::<i64>(0)? {
    ///     cents @ 0.. => Ok(cents),
    ///     _ => Err(AppError::Negative),
    /// });
    /// assert!(matches!(balance, Err(AppError::Negative)));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn query_row_and_then<'p, T, E: From<Error>>(
        &self,
        sql: &str,
        params: impl Params<'p>,
        read: impl FnOnce(Row<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.prepare_cached(sql)?.query_row_and_then(params, read)
    }
}

//! [`Connection`]: preparing statements, running SQL in one call, settings, closing.

use std::cell::{Cell, OnceCell};
use std::ffi::CString;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::time::Instant;

use crate::core::cache::StatementCacheStats;
use crate::core::{self, Core, Reuse, failures};
use crate::error::{Error, Fault, Result, ResultCode};
use crate::raw::Db;
use crate::statement::params::Params;
use crate::statement::{FromRow, OwnedRows, QueryAs, QueryMap, Row, Statement};
use crate::track::{HandleKind, Taint, registry, shielded};

mod interrupt;
mod journal_mode;
mod open;
pub(crate) mod pauses;
pub(crate) mod pragma;
mod script;

pub use interrupt::InterruptHandle;
pub use journal_mode::JournalMode;
pub use open::OpenOptions;
pub use pragma::PragmaValue;
pub use script::Script;

/// An open connection to a database.
///
/// Statements, rows and transactions borrow the connection and therefore end before it. Dropping the connection closes
/// it immediately. Handles that the program leaked (`mem::forget`) are then found, finalized, counted and logged.
///
/// A connection is `Send` but not `Sync`: it can move to another thread, but cannot be shared. Open one connection per
/// thread.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE people(name TEXT NOT NULL, born INTEGER)", ())?;
/// conn.execute("INSERT INTO people VALUES (?, ?)", ("Ada", 1815))?;
/// let (name, born): (String, i64) = conn.query_one("SELECT * FROM people", ())?;
/// assert_eq!((&*name, born), ("Ada", 1815));
/// conn.close()?;
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3](https://sqlite.org/c3ref/sqlite3.html)
pub struct Connection {
    core: Core,
    pub(crate) optimize_on_close: Cell<bool>,
    has_failed_to_close: Cell<bool>,
    /// Whether other connections may share the main database's cache; determined on first use.
    pub(crate) has_shared_cache: OnceCell<bool>,
    /// Time from which the pool checks whether the database file was moved.
    moved_check: Cell<Option<Instant>>,
}

impl Connection {
    pub(crate) fn adopt(db: Db) -> Self {
        Self {
            core: Core::new(db),
            optimize_on_close: Cell::new(false),
            has_failed_to_close: Cell::new(false),
            has_shared_cache: OnceCell::new(),
            moved_check: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn db(&self) -> &Db {
        self.core.db()
    }

    /// Returns the limits of the statement cache: the number of statements, and their memory in bytes. See
    /// [`set_statement_cache_limits`](Self::set_statement_cache_limits).
    #[must_use]
    pub fn statement_cache_limits(&self) -> (usize, usize) {
        self.core.cache().borrow().limits()
    }

    #[inline]
    pub(crate) fn moved_check(&self) -> Option<Instant> {
        self.moved_check.get()
    }

    pub(crate) fn set_moved_check(&self, due: Option<Instant>) {
        self.moved_check.set(due);
    }

    /// Whether statements exist outside the cache. Nothing borrows the connection, so they were leaked.
    pub(crate) fn has_forgotten_statements(&mut self) -> bool {
        self.db().statements() > self.core.cache().borrow().stats().statements
    }

    pub(crate) fn db_mut(&mut self) -> &mut Db {
        self.core.db_mut()
    }

    #[inline]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    /// Returns the number and the name that identify the connection in events.
    pub(crate) fn identity(&self) -> (u64, Option<&str>) {
        self.core.identity()
    }

    #[cold]
    pub(crate) fn error(&self, fault: Fault) -> Error {
        self.core.error(fault)
    }

    /// Returns the error of the last SQLite call, if it failed.
    pub(crate) fn last_error(&self) -> Option<Error> {
        self.db().last_fault().map(|fault| self.error(fault))
    }

    /// Prepares one SQL statement, without using the statement cache.
    ///
    /// # Errors
    ///
    /// SQLite's error for invalid SQL; [`ErrorKind::EmptySql`]; [`ErrorKind::TrailingSql`] if the SQL contains more
    /// than one statement; [`ErrorKind::NulInSql`].
    ///
    /// C: [sqlite3_prepare_v3](https://sqlite.org/c3ref/prepare.html)
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.core.prepare(sql, Reuse::Once, Location::caller()).map(Statement::new)
    }

    /// Returns a statement from the cache, or prepares it. Dropping the statement resets it and returns it to the
    /// cache.
    ///
    /// [`execute`](Self::execute) and the `query_…` methods use the cache as well. `PRAGMA` statements are not cached.
    ///
    /// # Errors
    ///
    /// See [`prepare`](Self::prepare).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// for n in 0..3 {
    ///     assert_eq!(conn.prepare_cached("SELECT ?")?.query_one::<i64>((n,))?, n);
    /// }
    /// let stats = conn.statement_cache_stats();
    /// assert_eq!((stats.misses, stats.hits), (1, 2));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        self.prepare_cached_at(sql, Location::caller())
    }

    #[inline]
    pub(crate) fn prepare_cached_at(&self, sql: &str, site: &'static Location<'static>) -> Result<Statement<'_>> {
        self.core.check_out(sql, site).map(Statement::new)
    }

    /// Runs one statement to completion and returns the number of rows it inserted, updated or deleted. Rows that the
    /// statement returns are discarded, so that `PRAGMA journal_mode = wal` runs too.
    ///
    /// The count is [`changes`](Self::changes), or 0 if [`total_changes`](Self::total_changes) did not increase, as for
    /// a query or DDL. `CREATE VIRTUAL TABLE` increases it by the row that it writes into the schema and by the rows
    /// that its module writes.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::execute`].
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
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_one`], which also describes what happens to
    /// changes.
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
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_optional`].
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
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_all`].
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
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_as`]. The iterator yields a result for each row.
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
    fn query_owned<'conn, 'p: 'conn>(&'conn self, sql: &str, params: impl Params<'p>) -> Result<OwnedRows<'conn>> {
        let statement = self.prepare_cached(sql)?;
        statement.check_columns()?;
        statement.into_rows(params)
    }

    /// Runs a statement and returns an iterator that fetches its rows and passes each to a closure.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_as`]. The iterator yields a result for each row.
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
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_as`]. The iterator yields a result for each row.
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
    /// The errors of [`prepare`](Self::prepare) and [`Statement::exists`].
    #[inline]
    #[track_caller]
    pub fn exists<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<bool> {
        self.prepare_cached(sql)?.exists(params)
    }

    /// Runs a statement, passes its first row to a closure and returns the closure's result. Further rows are ignored,
    /// as by [`Statement::query_row`]; for [`query_one`](Self::query_one), a second row is an error.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::query_row`], and the closure's error.
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

    /// Returns the rowid of the last successful `INSERT` into a rowid table on this connection; 0 if there was none.
    ///
    /// C: [sqlite3_last_insert_rowid](https://sqlite.org/c3ref/last_insert_rowid.html)
    #[must_use]
    pub fn last_insert_rowid(&self) -> i64 {
        self.db().last_insert_rowid()
    }

    /// Returns the number of rows changed by the last completed `INSERT`, `UPDATE` or `DELETE`, excluding those changed
    /// by triggers and foreign key actions. Other statements do not change this number; [`execute`](Self::execute)
    /// returns 0 for them.
    ///
    /// C: [sqlite3_changes64](https://sqlite.org/c3ref/changes.html)
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.db().changes().cast_unsigned()
    }

    /// Returns the number of rows changed since the connection was opened, including those changed by triggers and
    /// foreign key actions.
    ///
    /// C: [sqlite3_total_changes64](https://sqlite.org/c3ref/total_changes.html)
    #[must_use]
    pub fn total_changes(&self) -> u64 {
        self.db().total_changes().cast_unsigned()
    }

    /// Whether the connection is in autocommit mode, with no transaction open.
    ///
    /// C: [sqlite3_get_autocommit](https://sqlite.org/c3ref/get_autocommit.html)
    #[must_use]
    pub fn is_autocommit(&self) -> bool {
        self.db().is_autocommit()
    }

    /// Returns the absolute path of the database file; `None` for an in-memory or temporary database.
    ///
    /// C: [sqlite3_db_filename](https://sqlite.org/c3ref/db_filename.html)
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let path = self.db().path();
        if path.is_empty() {
            return None;
        }
        #[cfg(unix)]
        {
            use std::ffi::OsStr;
            use std::os::unix::ffi::OsStrExt;
            Some(OsStr::from_bytes(path.to_bytes()).into())
        }
        #[cfg(not(unix))]
        Some(path.to_string_lossy().into_owned().into())
    }

    /// Whether a database is read-only: `main`, `temp` or an attached one. `None` if there is no database of that name.
    ///
    /// C: [sqlite3_db_readonly](https://sqlite.org/c3ref/db_readonly.html)
    #[must_use]
    pub fn is_readonly(&self, database: &str) -> Option<bool> {
        self.db().is_read_only(&CString::new(database).ok()?)
    }

    /// Whether the database file was moved, replaced or deleted since it was opened. If so, changes are not written to
    /// the file that the path refers to. `false` for a database without a file, and if the file system cannot tell.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("app.db");
    /// let conn = Connection::open(&path)?;
    /// assert!(!conn.has_moved()?);
    /// # #[cfg(unix)]
    /// # {
    /// std::fs::rename(&path, dir.path().join("moved.db"))?;
    /// assert!(conn.has_moved()?);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [SQLITE_FCNTL_HAS_MOVED](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlhasmoved)
    pub fn has_moved(&self) -> Result<bool> {
        Ok(self.db().has_moved()?)
    }

    /// Returns the name set by [`OpenOptions::name`](crate::OpenOptions::name).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.db().book().name()
    }

    /// Returns the time that the connection waits for a lock of another connection. See
    /// [`set_busy_timeout`](Self::set_busy_timeout).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.busy_timeout()?, Duration::from_secs(5));
    /// conn.set_busy_timeout(Duration::from_millis(250))?;
    /// assert_eq!(conn.busy_timeout()?, Duration::from_millis(250));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [PRAGMA busy_timeout](https://sqlite.org/pragma.html#pragma_busy_timeout)
    #[track_caller]
    pub fn busy_timeout(&self) -> Result<Duration> {
        self.pragma("busy_timeout").map(Duration::from_millis)
    }

    /// Sets the time to wait for a lock of another connection before `SQLITE_BUSY` is returned. The time is truncated
    /// to whole milliseconds. The default is 5 seconds.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    ///
    /// C: [sqlite3_busy_timeout](https://sqlite.org/c3ref/busy_timeout.html)
    pub fn set_busy_timeout(&self, timeout: Duration) -> Result<()> {
        self.db().add_taint(Taint::SETTING);
        Ok(self.db().set_busy_timeout(milliseconds(timeout))?)
    }

    /// Sets the duration from which an execution is logged, as a warning with the target `finalite::slow`. `None`, the
    /// default, disables this log; no clock is read then.
    ///
    /// An execution lasts from its start until its rows are dropped, including the time that the caller spends between
    /// rows.
    pub fn set_slow_threshold(&self, threshold: Option<Duration>) {
        self.db().add_taint(Taint::SETTING);
        self.core.set_slow_threshold(threshold);
    }

    /// Returns the duration set by [`set_slow_threshold`](Self::set_slow_threshold).
    #[inline]
    #[must_use]
    pub fn slow_threshold(&self) -> Option<Duration> {
        self.core.slow_threshold()
    }

    /// Returns the current contents and the counters of the statement cache.
    #[must_use]
    pub fn statement_cache_stats(&self) -> StatementCacheStats {
        self.core.cache().borrow().stats()
    }

    /// Sets the limits of the statement cache: the number of statements (default 128; 0 disables the cache) and the
    /// memory in bytes that they may use together (default 8 MiB). Statements beyond a limit are finalized immediately.
    pub fn set_statement_cache_limits(&self, statements: usize, bytes: usize) {
        self.db().add_taint(Taint::SETTING);
        let evicted = self.core.cache().borrow_mut().set_limits(statements, bytes);
        self.core.finalize_evicted(evicted);
    }

    /// Finalizes every statement in the cache. Statements in use return to the cache when they are dropped.
    pub fn clear_statement_cache(&self) {
        let all = self.core.cache().borrow_mut().take_all();
        self.core.finalize_evicted(all);
    }

    /// Closes the connection and returns the error that Drop would only log.
    ///
    /// The borrow checker ensures that no statement, rows or transaction is left. Closing can still fail if foreign
    /// code created a statement, blob or backup through [`as_raw`](Self::as_raw). The connection is then dropped: its
    /// handle is not closed, and this is logged. [`close_or_return`](Self::close_or_return) returns the connection
    /// instead.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if a statement, blob or backup of foreign code is open.
    ///
    /// C: [sqlite3_close](https://sqlite.org/c3ref/close.html)
    #[track_caller]
    pub fn close(self) -> Result<()> {
        Ok(self.close_or_return()?)
    }

    /// Closes the connection, or returns it within the error.
    ///
    /// A returned connection is usable, but SQLite has already disconnected its virtual tables.
    ///
    /// # Errors
    ///
    /// [`CloseError`] with the connection and the error of [`close`](Self::close).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// fn close(conn: Connection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     conn.close_or_return()?;
    ///     Ok(())
    /// }
    /// close(Connection::open_in_memory()?).unwrap();
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn close_or_return(mut self) -> Result<(), CloseError> {
        // A read-only connection cannot store the result of `PRAGMA optimize`.
        if self.optimize_on_close.get()
            && !self.db().is_inherited()
            && self.db().is_read_only(c"main") == Some(false)
            && let Err(error) = self.execute("PRAGMA optimize", ())
        {
            let (connection, name) = self.identity();
            shielded(|| match error.code() {
                // Another connection is writing, or the program has set `query_only`: the next connection to close runs
                // it.
                Some(ResultCode::BUSY | ResultCode::LOCKED | ResultCode::READONLY) => {
                    tracing::debug!(target: "finalite::open", %error, connection, name, "PRAGMA optimize left out at close");
                }
                _ => {
                    tracing::warn!(target: "finalite::open", %error, connection, name, "PRAGMA optimize failed at close");
                }
            });
        }
        match self.close_in_place() {
            Ok(()) => Ok(()),
            Err(error) => Err(CloseError(Box::new((Mutex::new(self), error)))),
        }
    }

    fn close_in_place(&mut self) -> Result<()> {
        if self.db().is_closed() {
            return Ok(());
        }
        self.core.guards().forget_all(self.db());
        shielded(|| {
            let (connection, opened_at) = (self.db().id(), self.db().site());
            tracing::debug!(target: "finalite::open", connection, %opened_at, "close");
        });
        if let Err(fault) = self.core.close() {
            let error = Error::from(fault);
            // A failed close is counted once: Drop tries again.
            if !self.has_failed_to_close.replace(true) {
                failures::CLOSE.count(&error);
            }
            return Err(error);
        }
        // In a forked child, memory of the parent's connections is no leak.
        if !self.db().is_inherited() {
            core::report_orphans();
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Err(error) = self.close_in_place() {
            registry::forgot(HandleKind::Connection, self.db().id(), Some(self.db().site()), None);
            shielded(|| {
                tracing::error!(
                    target: "finalite::leak",
                    opened_at = %self.db().site(),
                    %error,
                    "the connection could not be closed; its handle stays behind",
                );
            });
            self.db_mut().abandon();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// Returns the time in milliseconds, as SQLite takes it, at most `i32::MAX`.
pub(crate) fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// A connection that could not be closed, and the error.
#[derive(thiserror::Error)]
#[error("{}", self.error())]
pub struct CloseError(Box<(Mutex<Connection>, Error)>);

impl CloseError {
    /// Returns the error of closing.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.1
    }

    /// Returns the connection, which is still open.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        self.0.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text of the error comes first.
        write!(f, "{:?}; CloseError", self.error())
    }
}

impl From<CloseError> for Error {
    /// Drops the connection, which tries to close it again.
    fn from(error: CloseError) -> Self {
        error.0.1
    }
}

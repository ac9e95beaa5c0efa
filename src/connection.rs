//! The connection: preparing, running in one call, closing.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CString;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::time::Instant;

use crate::ResultCode;
use crate::cache::{Cache, StatementCacheStats};
use crate::error::{Error, ErrorKind, Result};
use crate::failures;
use crate::memory;
use crate::params::Params;
use crate::raw::{Db, Fault, HandleKind, Parked, Stmt, Taint, registry, shielded};
use crate::rows::{FromRow, OwnedRows, QueryAs, QueryMap, Row};
use crate::sql;
use crate::statement::{Home, Statement};
use crate::transaction::Guards;

/// An open database.
///
/// Everything made from it borrows it, and is gone before it is closed. Dropping it closes it, on the spot; what was
/// forgotten (`mem::forget`) is found, finalized, counted and logged then.
///
/// A connection can be sent to another thread, and not be shared: open one per thread.
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
    db: Db,
    cache: RefCell<Cache>,
    pub(crate) guards: Guards,
    slow_threshold: Cell<Option<Duration>>,
    pub(crate) optimize_on_close: Cell<bool>,
    has_failed_to_close: Cell<bool>,
    /// Whether other connections may share the main database's cache; unknown until somebody asks.
    pub(crate) has_shared_cache: OnceCell<bool>,
    /// From when on its pool is to ask whether its file was moved.
    moved_check: Cell<Option<Instant>>,
}

impl Connection {
    pub(crate) fn adopt(db: Db) -> Self {
        Self {
            db,
            cache: RefCell::new(Cache::new(Cache::STATEMENTS_MAX, Cache::BYTES_MAX)),
            guards: Guards::default(),
            slow_threshold: Cell::new(None),
            optimize_on_close: Cell::new(false),
            has_failed_to_close: Cell::new(false),
            has_shared_cache: OnceCell::new(),
            moved_check: Cell::new(None),
        }
    }

    #[inline]
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// How many statements the cache keeps, and how many bytes. See
    /// [`set_statement_cache_limits`](Self::set_statement_cache_limits).
    #[must_use]
    pub fn statement_cache_limits(&self) -> (usize, usize) {
        self.cache.borrow().limits()
    }

    #[inline]
    pub(crate) fn moved_check(&self) -> Option<Instant> {
        self.moved_check.get()
    }

    pub(crate) fn set_moved_check(&self, due: Option<Instant>) {
        self.moved_check.set(due);
    }

    /// Whether there are statements that are neither in the cache nor, since nothing borrows the connection, anybody's.
    pub(crate) fn has_forgotten_statements(&mut self) -> bool {
        self.db.statements() > self.cache.get_mut().stats().statements
    }

    pub(crate) fn db_mut(&mut self) -> &mut Db {
        &mut self.db
    }

    /// Its number and its name, by which events tell it from others.
    pub(crate) fn identity(&self) -> (u64, Option<&str>) {
        (self.db.id(), self.db.book().name())
    }

    /// A fault as an error that names the database, where it is about the file.
    #[cold]
    pub(crate) fn error(&self, fault: Fault) -> Error {
        Error::from(fault).in_databases(|| self.db.files()).with_parameter_limit(|| self.db.parameters_max())
    }

    /// The error of the last call, if it failed.
    pub(crate) fn last_error(&self) -> Option<Error> {
        self.db.last_fault().map(|fault| self.error(fault))
    }

    /// Prepares a statement.
    ///
    /// # Errors
    ///
    /// What SQLite finds wrong with the SQL; [`ErrorKind::EmptySql`], [`ErrorKind::TrailingSql`] if there is more than
    /// one statement, [`ErrorKind::NulInSql`].
    ///
    /// C: [sqlite3_prepare_v3](https://sqlite.org/c3ref/prepare.html)
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.prepare_at(sql, HandleKind::Statement, Location::caller())
    }

    /// Takes a statement from the cache, or prepares it; dropping it puts it back.
    ///
    /// [`execute`](Self::execute) and the `query_…` calls do this by themselves. `PRAGMA` statements are not kept.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
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
        let found = self.cache.borrow_mut().take(sql);
        match found {
            Some((parked, ticket)) => Ok(Statement::new(self.db.unpark(parked), self, Home::Slot(ticket))),
            None => self.prepare_for_cache(sql, site),
        }
    }

    #[inline(never)]
    fn prepare_for_cache(&self, sql: &str, site: &'static Location<'static>) -> Result<Statement<'_>> {
        let kind =
            if sql::starts_with_keyword(sql, "PRAGMA") { HandleKind::Statement } else { HandleKind::CachedStatement };
        let statement = self.prepare_at(sql, kind, site)?;
        // Shielded, as the next: Drop of a transaction prepares its ROLLBACK.
        shielded(|| {
            let (connection, name) = self.identity();
            tracing::trace!(target: "finalite::cache", sql, connection, name, prepared_at = %site, "miss");
        });
        Ok(statement)
    }

    fn prepare_at(&self, sql: &str, kind: HandleKind, site: &'static Location<'static>) -> Result<Statement<'_>> {
        self.prepare_shown_as(sql, sql, kind, site)
    }

    /// Prepares a statement that errors and events show as another text, for one that has a secret in it.
    pub(crate) fn prepare_shown_as(
        &self,
        sql: &str,
        shown: &str,
        kind: HandleKind,
        site: &'static Location<'static>,
    ) -> Result<Statement<'_>> {
        if let Some(nul) = sql.find('\0') {
            return Err(Error::new(ErrorKind::NulInSql).in_sql(shown).at_offset(nul));
        }
        let taint = sql::taint(sql);
        self.db.add_taint(taint);
        let prepared = self.db.prepare(sql, kind, site);
        let (statement, taken) = prepared.map_err(|fault| self.error(fault).in_sql(shown))?;
        let Some(raw) = statement else {
            return Err(Error::new(ErrorKind::EmptySql).in_sql(shown));
        };
        let rest = sql::skip_blank(&sql[taken..]);
        if !rest.is_empty() {
            let error = Error::new(ErrorKind::TrailingSql { rest: rest.into() });
            return Err(error.in_sql(shown).at_offset(sql.len() - rest.len()));
        }
        shielded(|| {
            let (connection, name) = self.identity();
            tracing::debug!(target: "finalite::statement", sql = shown, connection, name, prepared_at = %site, "prepared");
        });
        let home = if kind == HandleKind::CachedStatement { Home::Cache } else { Home::Nowhere };
        Ok(Statement::new(raw.with_sql(shown, taint), self, home))
    }

    /// Ends the use of a statement.
    #[inline]
    pub(crate) fn put_back(&self, raw: Stmt<'_>, home: Home) {
        if matches!(home, Home::Nowhere) {
            return;
        }
        // A repair that fails finalizes: the statement comes back in neither case.
        let parked = match raw.park() {
            Ok(parked) => parked,
            Err(fault) => return self.db.lose(fault),
        };
        let Home::Slot(ticket) = home else {
            return self.put_in_new_slot(parked);
        };
        let mut cache = self.cache.borrow_mut();
        let homeless = cache.put_back(parked, ticket);
        let has_surplus = cache.has_surplus();
        drop(cache);
        if let Some(parked) = homeless {
            self.put_in_new_slot(parked);
        }
        if has_surplus {
            self.evict_surplus();
        }
    }

    #[cold]
    #[inline(never)]
    fn put_in_new_slot(&self, parked: Parked) {
        // Measured when it is put in for the first time, never on the way of a statement that has its slot.
        let statement = self.db.unpark(parked);
        let bytes = usize::try_from(statement.memory_bytes()).unwrap_or(0);
        let sql: Box<str> = statement.sql().into();
        let Ok(parked) = statement.park() else {
            return;
        };
        let mut evicted = Vec::new();
        self.cache.borrow_mut().insert(&sql, parked, bytes, &mut evicted);
        self.finalize_evicted(evicted);
    }

    #[cold]
    #[inline(never)]
    fn evict_surplus(&self) {
        let evicted = self.cache.borrow_mut().take_surplus();
        self.finalize_evicted(evicted);
    }

    fn finalize_evicted(&self, evicted: Vec<Parked>) {
        for parked in evicted {
            let statement = self.db.unpark(parked);
            shielded(|| {
                let (connection, name) = self.identity();
                let (sql, prepared_at) = (statement.sql(), statement.site());
                tracing::trace!(target: "finalite::cache", sql, connection, name, %prepared_at, "evicted");
            });
            drop(statement);
        }
    }

    /// Runs one statement to its end and returns the number of rows it inserted, updated or deleted. Rows that it
    /// returns are passed over, so that `PRAGMA journal_mode = wal` runs too.
    ///
    /// The count is [`changes`](Self::changes), or 0 where [`total_changes`](Self::total_changes) has not moved: for a
    /// query, and for DDL. `CREATE VIRTUAL TABLE` moves it, by the row that it writes into the schema, and by what its
    /// module writes.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::execute`].
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

    /// Runs a statement and returns the one row it yields.
    ///
    /// `T` owns what it reads: for borrowed text or bytes (`&str`) there is [`query_row`](Self::query_row).
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_one`]; see there what becomes of changes.
    #[inline]
    #[track_caller]
    pub fn query_one<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<T> {
        self.prepare_cached(sql)?.query_one(params)
    }

    /// Runs a statement and returns the row it yields, `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_optional`].
    #[inline]
    #[track_caller]
    pub fn query_optional<'p, T: for<'row> FromRow<'row>>(
        &self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<Option<T>> {
        self.prepare_cached(sql)?.query_optional(params)
    }

    /// Runs a statement and returns all rows.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_all`].
    #[inline]
    #[track_caller]
    pub fn query_all<'p, T: for<'row> FromRow<'row>>(&self, sql: &str, params: impl Params<'p>) -> Result<Vec<T>> {
        self.prepare_cached(sql)?.query_all(params)
    }

    /// Runs a statement and reads each row as `T`, lazily.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_as`]. Each row has its own result.
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
    pub fn query_as<'conn, 'p: 'conn, T: for<'row> FromRow<'row>>(
        &'conn self,
        sql: &str,
        params: impl Params<'p>,
    ) -> Result<QueryAs<OwnedRows<'conn>, T>> {
        let statement = self.prepare_cached(sql)?;
        statement.check_columns()?;
        Ok(QueryAs::new(statement.into_rows(params)?))
    }

    /// Runs a statement and reads each row by a closure, lazily.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_as`]. Each row has its own result.
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

    /// Runs a statement and reads each row by a closure, lazily; the closure's error is the caller's own.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_as`]. Each row has its own result.
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
        let statement = self.prepare_cached(sql)?;
        statement.check_columns()?;
        Ok(QueryMap::new(statement.into_rows(params)?, read))
    }

    /// Runs a statement and returns whether there is a row.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::exists`].
    #[inline]
    #[track_caller]
    pub fn exists<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<bool> {
        self.prepare_cached(sql)?.exists(params)
    }

    /// Runs a statement and returns what the closure makes of the first row; further rows are not looked at, as by
    /// [`Statement::query_row`]. [`query_one`](Self::query_one) is the call for which a second row is an error.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare) and [`Statement::query_row`], and the closure's.
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

    /// Runs a statement and returns what the closure makes of the first row, as [`query_row`](Self::query_row); the
    /// closure's error is the caller's own.
    ///
    /// # Errors
    ///
    /// As [`query_row`](Self::query_row).
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

    /// The rowid of the last successful `INSERT` into a rowid table on this connection; 0 if there was none.
    ///
    /// C: [sqlite3_last_insert_rowid](https://sqlite.org/c3ref/last_insert_rowid.html)
    #[must_use]
    pub fn last_insert_rowid(&self) -> i64 {
        self.db.last_insert_rowid()
    }

    /// The rows that the last `INSERT`, `UPDATE` or `DELETE` to complete has changed, without triggers and foreign key
    /// actions. Any other statement leaves it as it is; [`execute`](Self::execute) returns 0 for those.
    ///
    /// C: [sqlite3_changes64](https://sqlite.org/c3ref/changes.html)
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.db.changes().cast_unsigned()
    }

    /// The rows changed since the connection was opened, triggers and foreign key actions included.
    ///
    /// C: [sqlite3_total_changes64](https://sqlite.org/c3ref/total_changes.html)
    #[must_use]
    pub fn total_changes(&self) -> u64 {
        self.db.total_changes().cast_unsigned()
    }

    /// `changes`, or 0 if the statement changed nothing and left those of an earlier one.
    #[inline]
    pub(crate) fn changes_since(&self, total_before: i64) -> usize {
        if self.db.total_changes() == total_before { 0 } else { usize::try_from(self.db.changes()).unwrap_or(0) }
    }

    /// Whether no transaction is open.
    ///
    /// C: [sqlite3_get_autocommit](https://sqlite.org/c3ref/get_autocommit.html)
    #[must_use]
    pub fn is_autocommit(&self) -> bool {
        self.db.is_autocommit()
    }

    /// The absolute path of the database file; `None` for a database in memory or a temporary one.
    ///
    /// C: [sqlite3_db_filename](https://sqlite.org/c3ref/db_filename.html)
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let path = self.db.path();
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

    /// Whether a database is read-only: `main`, `temp` or an attached one. `None` if there is none of that name.
    ///
    /// C: [sqlite3_db_readonly](https://sqlite.org/c3ref/db_readonly.html)
    #[must_use]
    pub fn is_readonly(&self, database: &str) -> Option<bool> {
        self.db.is_read_only(&CString::new(database).ok()?)
    }

    /// Whether the database file was moved, replaced or deleted since it was opened: what is written then is not in the
    /// file that the path leads to. `false` for a database without a file, and where the file system cannot tell.
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
        Ok(self.db.has_moved()?)
    }

    /// The name that [`OpenOptions::name`](crate::OpenOptions::name) gave it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.db.book().name()
    }

    /// How long it waits for another connection's lock. See [`set_busy_timeout`](Self::set_busy_timeout).
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

    /// How long to wait for another connection's lock before `SQLITE_BUSY` is returned; whole milliseconds. 5 seconds
    /// unless set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    ///
    /// C: [sqlite3_busy_timeout](https://sqlite.org/c3ref/busy_timeout.html)
    pub fn set_busy_timeout(&self, timeout: Duration) -> Result<()> {
        self.db.add_taint(Taint::SETTING);
        Ok(self.db.set_busy_timeout(milliseconds(timeout))?)
    }

    /// From which duration on an execution is logged, as a warning with the target `finalite::slow`. `None`, the
    /// default: never, and no clock is read.
    ///
    /// An execution lasts from its start until its rows are dropped: what the caller does between rows counts.
    pub fn set_slow_threshold(&self, threshold: Option<Duration>) {
        self.db.add_taint(Taint::SETTING);
        self.slow_threshold.set(threshold);
    }

    /// See [`set_slow_threshold`](Self::set_slow_threshold).
    #[inline]
    #[must_use]
    pub fn slow_threshold(&self) -> Option<Duration> {
        self.slow_threshold.get()
    }

    /// What the statement cache holds and did.
    #[must_use]
    pub fn statement_cache_stats(&self) -> StatementCacheStats {
        self.cache.borrow().stats()
    }

    /// How many statements the cache keeps (128 unless set; 0 keeps none), and how many bytes of memory those may
    /// hold together (8 MiB unless set). What is beyond is finalized at once.
    pub fn set_statement_cache_limits(&self, statements: usize, bytes: usize) {
        self.db.add_taint(Taint::SETTING);
        let evicted = self.cache.borrow_mut().set_limits(statements, bytes);
        self.finalize_evicted(evicted);
    }

    /// Finalizes every statement in the cache. Those that are out come back into it.
    pub fn clear_statement_cache(&self) {
        let all = self.cache.borrow_mut().take_all();
        self.finalize_evicted(all);
    }

    /// Closes the connection and returns what Drop would only log.
    ///
    /// The borrow checker has seen to it that nothing made from it is alive. Closing can fail all the same if foreign
    /// code made a statement, blob or backup on it through [`as_raw`](Self::as_raw); then what happens is what Drop
    /// does: the handle stays behind, logged. [`close_or_return`](Self::close_or_return) gives the connection back.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` as said.
    ///
    /// C: [sqlite3_close](https://sqlite.org/c3ref/close.html)
    #[track_caller]
    pub fn close(self) -> Result<()> {
        Ok(self.close_or_return()?)
    }

    /// Closes the connection, or gives it back.
    ///
    /// A connection that comes back is usable; SQLite has already disconnected its virtual tables.
    ///
    /// # Errors
    ///
    /// [`CloseError`], as [`close`](Self::close).
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
        // One that reads only has nothing to store.
        if self.optimize_on_close.get()
            && !self.db.is_inherited()
            && self.db.is_read_only(c"main") == Some(false)
            && let Err(error) = self.execute("PRAGMA optimize", ())
        {
            let (connection, name) = self.identity();
            shielded(|| match error.code() {
                // Somebody else writes, or the program has forbidden it by `query_only`: the next to close does it.
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
        if self.db.is_closed() {
            return Ok(());
        }
        self.guards.forget_all(&self.db);
        let kept = self.cache.get_mut().take_all();
        shielded(|| {
            let (connection, opened_at) = (self.db.id(), self.db.site());
            tracing::debug!(target: "finalite::open", connection, %opened_at, "close");
        });
        if let Err(fault) = self.db.close(kept) {
            let error = Error::from(fault);
            // Dropping what could not be closed tries once more.
            if !self.has_failed_to_close.replace(true) {
                failures::CLOSE.count(&error);
            }
            return Err(error);
        }
        // In a child process nothing of the parent's is lost.
        if !self.db.is_inherited() {
            memory::report_orphans();
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Err(error) = self.close_in_place() {
            registry::forgot(HandleKind::Connection, self.db.id(), Some(self.db.site()), None);
            shielded(|| {
                tracing::error!(
                    target: "finalite::leak",
                    opened_at = %self.db.site(),
                    %error,
                    "the connection could not be closed; its handle stays behind",
                );
            });
            self.db.abandon();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// A time as SQLite takes it.
pub(crate) fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// A connection that could not be closed, and why.
#[derive(thiserror::Error)]
#[error("{}", self.error())]
pub struct CloseError(Box<(Mutex<Connection>, Error)>);

impl CloseError {
    /// Why.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.1
    }

    /// The connection, still open.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        self.0.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The error says it in words first.
        write!(f, "{:?}; CloseError", self.error())
    }
}

impl From<CloseError> for Error {
    /// Drops the connection, which tries to close it once more.
    fn from(error: CloseError) -> Self {
        error.0.1
    }
}

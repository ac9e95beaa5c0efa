//! [`Connection`]: preparing statements, running SQL in one call, settings, closing.

use std::cell::{Cell, OnceCell};
use std::ffi::CString;
use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::time::Instant;

use crate::core::{Core, Reuse};
use crate::error::{Error, ErrorKind, Fault, NameKind, Result};
use crate::raw::{Db, OwnedDb};
use crate::statement::Statement;

mod any_params;
mod attach;
pub(crate) mod bytecode;
mod checkpoint;
#[cfg(any(feature = "sqlcipher", docsrs))]
mod cipher;
mod close;
mod db_config;
mod file_control;
mod insert;
mod interrupt;
mod journal_mode;
mod limits;
mod maintenance;
pub(crate) mod open;
pub(crate) mod pauses;
pub(crate) mod pragma;
mod query;
mod script;
pub(crate) mod settings;
mod statement_key;

pub use any_params::{AnyParams, NamedParams};
pub use attach::Attached;
pub use checkpoint::{Checkpoint, CheckpointMode};
#[cfg(any(feature = "sqlcipher", docsrs))]
pub use cipher::Key;
pub use close::CloseError;
pub use db_config::DbConfig;
pub use interrupt::InterruptHandle;
pub use journal_mode::JournalMode;
pub use limits::{Limit, ScopedLimit};
pub use maintenance::{CheckScope, ForeignKeyViolation, ForeignKeyViolations, IntegrityProblem, IntegrityProblems};
pub use open::OpenOptions;
pub use pragma::PragmaValue;
pub use script::Script;
pub use statement_key::{ParamFor, ParamsFor, StatementKey};

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
    /// Whether the connection was opened for untrusted files: SQLite alone decodes them.
    pub(crate) is_untrusted: Cell<bool>,
    /// Whether other connections may share the main database's cache; determined on first use.
    pub(crate) has_shared_cache: OnceCell<bool>,
    /// Time from which the pool checks whether the database file was moved.
    moved_check: Cell<Option<Instant>>,
    /// Texts of statements that write structs.
    writes: Cell<Vec<insert::Write>>,
}

impl Connection {
    pub(crate) fn adopt(db: OwnedDb) -> Self {
        Self {
            core: Core::new(db),
            optimize_on_close: Cell::new(false),
            has_failed_to_close: Cell::new(false),
            is_untrusted: Cell::new(false),
            has_shared_cache: OnceCell::new(),
            moved_check: Cell::new(None),
            writes: Cell::default(),
        }
    }

    #[inline]
    pub(crate) fn db(&self) -> &Db {
        self.core.db()
    }

    #[inline]
    pub(crate) fn moved_check(&self) -> Option<Instant> {
        self.moved_check.get()
    }

    pub(crate) fn set_moved_check(&self, due: Option<Instant>) {
        self.moved_check.set(due);
    }

    /// Whether handles exist besides the statements that it keeps. Nothing borrows the connection, so they were leaked.
    pub(crate) fn has_forgotten_handles(&mut self) -> bool {
        let kept = self.core.cache().borrow().stats().statements + self.core.stored().borrow().parked();
        self.db().child_count() > kept
    }

    pub(crate) fn db_mut(&mut self) -> &mut OwnedDb {
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

    /// Returns the name of a database for SQLite, or an error if the connection has none of that name.
    pub(crate) fn database_name(&self, name: &str) -> Result<CString> {
        let names = self.db().database_names();
        let is_known = name.eq_ignore_ascii_case("main") || names.iter().any(|known| known.eq_ignore_ascii_case(name));
        match CString::new(name) {
            Ok(c_name) if is_known => Ok(c_name),
            _ => {
                let (what, known) = (NameKind::Database, names.into());
                Err(Error::new(ErrorKind::NoSuch { what, name: name.into(), known }))
            }
        }
    }

    /// Prepares one SQL statement, without using the statement cache.
    ///
    /// # Errors
    ///
    /// SQLite's error for invalid SQL; [`ErrorKind::EmptySql`](crate::ErrorKind::EmptySql);
    /// [`ErrorKind::TrailingSql`](crate::ErrorKind::TrailingSql) if the SQL contains more than one statement;
    /// [`ErrorKind::NulInSql`](crate::ErrorKind::NulInSql).
    ///
    /// C: [sqlite3_prepare_v3](https://sqlite.org/c3ref/prepare.html)
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        self.core.prepare(sql, Reuse::Once, Location::caller()).map(Statement::new)
    }

    /// Returns a statement from the cache, or prepares it. Dropping the statement resets it and returns it to the
    /// cache.
    ///
    /// [`execute`](Self::execute) and the `query_…` methods use the cache as well. [`scan`](Self::scan) does too, but
    /// inserts a statement only when its SQL is scanned again. `PRAGMA` and `EXPLAIN` are not cached.
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

    /// Returns a statement from the cache, or prepares it: for the cache if the same SQL was asked for before.
    pub(crate) fn prepare_if_repeated(&self, sql: &str, site: &'static Location<'static>) -> Result<Statement<'_>> {
        self.core.check_out_if_repeated(sql, site).map(Statement::new)
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
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
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
        self.db().info().name()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("path", &self.path()).finish_non_exhaustive()
    }
}

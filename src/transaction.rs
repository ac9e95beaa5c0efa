//! Transactions and savepoints: guards that roll back when dropped, by default.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use crate::error::{Error, ErrorKind, Result};
use crate::raw::Db;
use crate::track::registry::{self, Recorded};
use crate::track::{HandleKind, counts, shielded};
use crate::{Connection, Statement, sql};

/// The time at which a transaction takes its locks.
///
/// C: [BEGIN TRANSACTION](https://sqlite.org/lang_transaction.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionBehavior {
    /// Locks are taken at the first read or write. Upgrading a read transaction to a write transaction may return
    /// `SQLITE_BUSY` immediately, regardless of the busy timeout.
    #[default]
    Deferred,
    /// The write lock is taken at the start; readers are not blocked. Recommended for transactions that write.
    Immediate,
    /// The write lock is taken at the start, as by `Immediate`, and outside WAL mode other connections cannot read
    /// during the transaction.
    Exclusive,
}

/// The action when a guard is dropped that was neither committed nor rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropBehavior {
    /// Rolls back.
    #[default]
    Rollback,
    /// Commits. If that fails, rolls back and logs the error.
    Commit,
    /// Leaves the transaction open, so that the program can run `COMMIT` or `ROLLBACK` itself.
    Ignore,
}

/// The open guards of a connection, which are strictly nested.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// Whether a guard is open: of a transaction, or of an outermost savepoint, which acts as the transaction.
    is_open: Cell<bool>,
    /// Whether a rollback must run before any other statement: a guard was leaked, or its rollback in Drop failed
    /// (interrupted, out of memory).
    rollback_owed: Cell<bool>,
    transaction: RefCell<Option<Origin>>,
    /// The open savepoints, outermost first.
    savepoints: RefCell<Vec<OpenSavepoint>>,
    /// The error that ended the transaction, if it occurred in Drop and could not be returned.
    lost: RefCell<Option<Error>>,
}

/// The source location where a guard was opened.
#[derive(Debug)]
struct Origin {
    site: &'static Location<'static>,
    /// The record in the registry of handles, which lives as long as the guard.
    recorded: Option<Recorded>,
}

#[derive(Debug)]
struct OpenSavepoint {
    quoted_name: Box<str>,
    /// Whether no transaction was open before, so that the savepoint acts as one.
    is_transaction: bool,
    origin: Origin,
}

impl Guards {
    #[inline]
    fn is_open(&self) -> bool {
        self.is_open.get()
    }

    fn open(&self, db: &Db, site: &'static Location<'static>) {
        self.forget_errors(db);
        let recorded = record(db, HandleKind::Transaction, db.id(), site);
        self.transaction.replace(Some(Origin { site, recorded }));
        self.is_open.set(true);
        counts::opened(HandleKind::Transaction);
    }

    /// Forgets errors from before a transaction, which do not belong to it.
    fn forget_errors(&self, db: &Db) {
        db.take_lost();
        self.lost.take();
    }

    fn open_savepoint(&self, db: &Db, quoted_name: Box<str>, is_transaction: bool, site: &'static Location<'static>) {
        if !self.is_open() {
            self.forget_errors(db);
        }
        let mut savepoints = self.savepoints.borrow_mut();
        let transaction = self.transaction.borrow();
        let around = savepoints.last().map(|savepoint| &savepoint.origin).or(transaction.as_ref());
        let parent = around.and_then(|origin| origin.recorded.as_ref()).map_or(db.id(), Recorded::id);
        let recorded = record(db, HandleKind::Savepoint, parent, site);
        savepoints.push(OpenSavepoint { quoted_name, is_transaction, origin: Origin { site, recorded } });
        self.is_open.set(true);
        counts::opened(HandleKind::Savepoint);
    }

    /// Removes the transaction's guard and the savepoints in it. Returns the guard's origin.
    fn close(&self, db: &Db) -> Option<Origin> {
        self.forget_savepoints(db, 0);
        self.rollback_owed.set(false);
        let origin = self.transaction.take();
        if origin.is_some() {
            counts::closed(HandleKind::Transaction);
        }
        self.is_open.set(false);
        origin
    }

    /// Returns the source location where the transaction, or the savepoint that acts as one, was opened.
    fn site(&self) -> Option<&'static Location<'static>> {
        let transaction = self.transaction.borrow().as_ref().map(|origin| origin.site);
        transaction.or_else(|| self.savepoints.borrow().first().map(|savepoint| savepoint.origin.site))
    }

    fn site_of_savepoint(&self, depth: usize) -> Option<&'static Location<'static>> {
        self.savepoints.borrow().get(depth).map(|savepoint| savepoint.origin.site)
    }

    /// Returns the quoted name of the innermost savepoint beyond a depth, and whether it acts as the transaction.
    fn innermost(&self, depth: usize) -> Option<(Box<str>, bool)> {
        let savepoints = self.savepoints.borrow();
        savepoints.get(depth..)?.last().map(|savepoint| (savepoint.quoted_name.clone(), savepoint.is_transaction))
    }

    /// Removes the savepoints beyond a depth and reports them as leaked: their guards were forgotten.
    fn forget_savepoints(&self, db: &Db, depth: usize) {
        while self.savepoints.borrow().len() > depth {
            self.forget_innermost(db);
        }
    }

    fn forget_innermost(&self, db: &Db) {
        if let Some(OpenSavepoint { origin, .. }) = self.pop_savepoint() {
            registry::forgot(HandleKind::Savepoint, db.id(), Some(origin.site), None);
        }
    }

    fn pop_savepoint(&self) -> Option<OpenSavepoint> {
        let mut savepoints = self.savepoints.borrow_mut();
        let innermost = savepoints.pop()?;
        self.is_open.set(!savepoints.is_empty() || self.transaction.borrow().is_some());
        counts::closed(HandleKind::Savepoint);
        Some(innermost)
    }

    /// Requires a rollback before any other statement, for a transaction that should not be open.
    pub(crate) fn owe_rollback(&self) {
        self.rollback_owed.set(true);
    }

    /// Keeps an error that ended the transaction and cannot be returned, unless there already is one. Without a guard
    /// around, nothing is left to which it could be told.
    fn lose(&self, error: Error) {
        if self.is_open() {
            self.lost.borrow_mut().get_or_insert(error);
        }
    }

    /// Removes all guards and reports them as leaked: nothing borrows the connection any more, so they were forgotten.
    /// Their transaction is rolled back before any other statement.
    pub(crate) fn forget_all(&self, db: &Db) {
        if self.is_open() {
            let origin = self.close(db);
            self.owe_rollback();
            if let Some(origin) = origin {
                registry::forgot(HandleKind::Transaction, db.id(), Some(origin.site), None);
            }
        }
    }
}

fn record(db: &Db, kind: HandleKind, parent: u64, site: &'static Location<'static>) -> Option<Recorded> {
    if registry::is_recording() { db.record(kind, registry::new_id(), Some(parent), site, None) } else { None }
}

impl Connection {
    /// Begins a transaction that takes its locks at the first read or write, and returns its guard.
    ///
    /// # Errors
    ///
    /// See [`transaction_with`](Self::transaction_with).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// let tx = conn.transaction()?;
    /// let mut insert = tx.prepare("INSERT INTO t VALUES (?)")?;
    /// insert.execute((1,))?;
    /// tx.commit()?; // while `insert` is still there
    /// drop(insert);
    /// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        self.transaction_with(TransactionBehavior::Deferred)
    }

    /// Begins a transaction that takes its locks as specified, and returns its guard.
    ///
    /// An earlier transaction whose guard was leaked is rolled back first, and counted as leaked.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if a lock is not available, and other errors of `BEGIN`, such as that for a transaction opened by
    /// SQL.
    ///
    /// C: [BEGIN TRANSACTION](https://sqlite.org/lang_transaction.html)
    #[track_caller]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.guards.forget_all(self.db());
        self.begin(behavior)
    }

    /// Begins a transaction through a shared reference, and returns its guard. [`transaction`](Self::transaction) needs
    /// `&mut self`, so that the compiler prevents a second transaction; this method checks for one at run time. All
    /// statements that the connection runs while the guard is open are part of the transaction.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] if a transaction is open, by a guard (even a leaked one) or by SQL; and the errors of
    /// `BEGIN`.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", [])?;
    /// let tx = conn.unchecked_transaction()?;
    /// conn.execute("INSERT INTO t VALUES (1)", [])?; // within it
    /// assert!(conn.unchecked_transaction().is_err());
    /// tx.rollback()?;
    /// assert!(!conn.exists("SELECT 1 FROM t", [])?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn unchecked_transaction(&self) -> Result<Transaction<'_>> {
        self.unchecked_transaction_with(TransactionBehavior::Deferred)
    }

    /// Begins a transaction as [`unchecked_transaction`](Self::unchecked_transaction) does, which takes its locks as
    /// specified.
    ///
    /// # Errors
    ///
    /// See [`unchecked_transaction`](Self::unchecked_transaction).
    #[track_caller]
    pub fn unchecked_transaction_with(&self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        // A pending rollback runs first.
        self.check_transaction()?;
        if !self.is_autocommit() {
            return Err(Error::new(ErrorKind::Misuse { reason: "a transaction is already open on this connection" }));
        }
        self.begin(behavior)
    }

    #[track_caller]
    fn begin(&self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.execute(
            match behavior {
                TransactionBehavior::Deferred => "BEGIN",
                TransactionBehavior::Immediate => "BEGIN IMMEDIATE",
                TransactionBehavior::Exclusive => "BEGIN EXCLUSIVE",
            },
            (),
        )?;
        self.guards.open(self.db(), Location::caller());
        Ok(Transaction { conn: self, drop_behavior: DropBehavior::Rollback, is_open: true })
    }

    /// Opens a savepoint and returns its guard. If no transaction is open, the savepoint begins one that ends with it:
    /// committing the savepoint then commits the transaction.
    ///
    /// Transactions and savepoints whose guards were leaked are rolled back first, and counted as leaked.
    ///
    /// # Errors
    ///
    /// The errors of `SAVEPOINT`.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", [])?;
    /// let outer = conn.savepoint()?;
    /// outer.execute("INSERT INTO t VALUES (1)", [])?;
    /// outer.commit()?;
    /// assert!(conn.is_autocommit() && conn.exists("SELECT 1 FROM t", [])?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [SAVEPOINT](https://sqlite.org/lang_savepoint.html)
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        self.guards.forget_all(self.db());
        Savepoint::open(self, 0, None)
    }

    /// Opens a savepoint of this name, to which SQL can refer, and returns its guard. The name is quoted.
    ///
    /// # Errors
    ///
    /// See [`savepoint`](Self::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        self.guards.forget_all(self.db());
        Savepoint::open(self, 0, Some(name))
    }

    /// Rolls back an open transaction. Nothing borrows the connection any more, so its guard was leaked, or SQL began
    /// it.
    pub(crate) fn roll_back_leftovers(&mut self) -> Result<()> {
        self.guards.forget_all(self.db());
        if !self.is_autocommit() {
            self.control("ROLLBACK")?;
        }
        self.guards.rollback_owed.set(false);
        Ok(())
    }

    /// Returns an error if a guard is open whose transaction has ended. Runs a pending rollback first.
    #[inline]
    pub(crate) fn check_transaction(&self) -> Result<()> {
        if self.guards.is_open() || self.guards.rollback_owed.get() { self.check_guards() } else { Ok(()) }
    }

    #[inline(never)]
    fn check_guards(&self) -> Result<()> {
        if self.guards.rollback_owed.get() {
            if !self.is_autocommit() {
                self.control("ROLLBACK")?;
            }
            self.guards.rollback_owed.set(false);
        }
        if self.guards.is_open() && self.is_autocommit() {
            let lost = self.guards.lost.take().or_else(|| Some(self.error(self.db().take_lost()?)));
            return Err(lost.unwrap_or_else(|| Error::new(ErrorKind::TransactionEnded)));
        }
        Ok(())
    }

    /// Runs a statement of a guard, even if the transaction has ended. The statement is recorded as opened at the
    /// source location of the transaction.
    fn control(&self, sql: &str) -> Result<()> {
        self.control_at(sql, self.guards.site().unwrap_or_else(|| self.db().site()))
    }

    fn control_at(&self, sql: &str, site: &'static Location<'static>) -> Result<()> {
        self.prepare_cached_at(sql, site)?.run_unchecked(site)
    }

    /// Rolls back the savepoints beyond a depth, whose guards were leaked. They are rolled back one at a time from the
    /// innermost, because SQLite resolves a repeated name to the innermost savepoint.
    fn roll_back_forgotten(&self, depth: usize) -> Result<()> {
        while self.roll_back_innermost(depth)? {
            self.guards.forget_innermost(self.db());
        }
        Ok(())
    }

    /// Rolls back the innermost savepoint beyond a depth, and ends it in SQLite. Returns whether there is one.
    fn roll_back_innermost(&self, depth: usize) -> Result<bool> {
        match self.guards.innermost(depth) {
            None => return Ok(false),
            // RELEASE would commit, and wait for the locks that a commit needs.
            Some((_, true)) => self.control("ROLLBACK")?,
            Some((name, false)) => {
                self.control(&format!("ROLLBACK TO {name}"))?;
                self.control(&format!("RELEASE {name}"))?;
            }
        }
        Ok(true)
    }

    /// Sends the event of a commit that failed in the Drop of a guard.
    fn tell_of_commit(&self, error: &Error, opened_at: &Location<'_>, words: &str) {
        shielded(|| {
            let (connection, name) = self.identity();
            tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "{words}");
        });
    }

    /// Sends the event of a rollback in the Drop of a guard, with the first words if it succeeded and the second if not.
    /// There is none if the transaction had ended before.
    fn tell_of_rollback(&self, result: &Result<()>, was_open: bool, opened_at: &Location<'_>, words: (&str, &str)) {
        let (rolled_back, failed) = words;
        shielded(|| {
            let (connection, name) = self.identity();
            match result {
                Ok(()) if !was_open => {}
                Ok(()) => {
                    tracing::debug!(target: "finalite::statement", connection, name, %opened_at, "{rolled_back}");
                }
                Err(error) => {
                    tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "{failed}");
                }
            }
        });
    }
}

/// The guard of an open transaction. Dropping it rolls back, unless [`set_drop_behavior`](Self::set_drop_behavior) says
/// otherwise.
///
/// It dereferences to its [`Connection`]. Statements prepared in it may outlive it.
///
/// If SQLite itself rolls back (disk full, out of memory, an interrupted write), every further statement returns
/// [`ErrorKind::TransactionEnded`] until the guard is dropped. If the rollback occurred in the Drop of rows or a
/// savepoint, which cannot return an error, the next call returns that error instead, once.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let mut conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a)", ())?;
/// let tx = conn.transaction()?;
/// tx.execute("INSERT INTO t VALUES (1)", ())?;
/// drop(tx);
/// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 0);
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use = "a transaction that is dropped is rolled back"]
pub struct Transaction<'conn> {
    conn: &'conn Connection,
    drop_behavior: DropBehavior,
    is_open: bool,
}

impl<'conn> Transaction<'conn> {
    /// Returns the connection, for as long as the transaction borrows it.
    #[must_use]
    pub fn connection(&self) -> &'conn Connection {
        self.conn
    }

    /// Prepares a statement as [`Connection::prepare`] does. The statement may outlive the transaction.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'conn>> {
        self.conn.prepare(sql)
    }

    /// Returns a cached statement as [`Connection::prepare_cached`] does. The statement may outlive the transaction.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'conn>> {
        self.conn.prepare_cached(sql)
    }

    /// Sets the action when the guard is dropped; [`DropBehavior::Rollback`] by default.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.drop_behavior = behavior;
    }

    /// Opens a savepoint within the transaction and returns its guard. The savepoint can be rolled back on its own.
    ///
    /// # Errors
    ///
    /// The errors of `SAVEPOINT`; [`ErrorKind::TransactionEnded`].
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, 0, None)
    }

    /// Opens a savepoint of this name, to which SQL can refer, and returns its guard. The name is quoted.
    ///
    /// # Errors
    ///
    /// See [`savepoint`](Self::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, 0, Some(name))
    }

    /// Commits the transaction. If that fails, it is rolled back and nothing is stored, whatever the drop behavior.
    ///
    /// # Errors
    ///
    /// The errors of `COMMIT` (`SQLITE_BUSY`, a violated deferred foreign key); [`ErrorKind::TransactionEnded`] if
    /// SQLite has already rolled back.
    pub fn commit(self) -> Result<()> {
        Ok(self.commit_or_return()?)
    }

    /// Commits the transaction, or returns it within the error, so that the caller can retry or correct the data.
    ///
    /// # Errors
    ///
    /// [`CommitError`] with the transaction and the error of [`commit`](Self::commit).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute_batch(
    ///     "CREATE TABLE parent(id INTEGER PRIMARY KEY);
    ///      CREATE TABLE child(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
    /// )?;
    /// let tx = conn.transaction()?;
    /// tx.execute("INSERT INTO child VALUES (7)", ())?;
    /// let error = tx.commit_or_return().unwrap_err();
    /// assert!(error.error().is_constraint());
    /// let tx = error.into_transaction();
    /// tx.execute("INSERT INTO parent VALUES (7)", ())?;
    /// tx.commit_or_return()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_or_return(mut self) -> Result<(), CommitError<'conn>> {
        match self.try_commit() {
            Ok(()) => Ok(()),
            Err(error) => {
                let drop_behavior = std::mem::take(&mut self.drop_behavior);
                Err(CommitError(Box::new(Uncommitted { transaction: self, drop_behavior, error })))
            }
        }
    }

    fn try_commit(&mut self) -> Result<()> {
        self.conn.check_transaction()?;
        self.conn.roll_back_forgotten(0)?;
        self.conn.control("COMMIT")?;
        self.ended();
        Ok(())
    }

    /// Rolls back the transaction.
    ///
    /// # Errors
    ///
    /// The errors of `ROLLBACK`. It is not an error if SQLite has already rolled back.
    pub fn rollback(mut self) -> Result<()> {
        self.drop_behavior = DropBehavior::Rollback;
        self.try_rollback()
    }

    fn try_rollback(&mut self) -> Result<()> {
        if !self.conn.is_autocommit() {
            self.conn.control("ROLLBACK")?;
        }
        self.ended();
        Ok(())
    }

    fn ended(&mut self) {
        self.is_open = false;
        self.conn.guards.close(self.conn.db());
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        if self.conn.db().is_inherited() || self.drop_behavior == DropBehavior::Ignore {
            self.ended();
            return;
        }
        let opened_at = self.conn.guards.site().unwrap_or_else(|| self.conn.db().site());
        if self.drop_behavior == DropBehavior::Commit {
            match self.try_commit() {
                Ok(()) => return,
                Err(error) => self.conn.tell_of_commit(&error, opened_at, "commit failed in drop; rolling back"),
            }
        }
        let was_open = !self.conn.is_autocommit();
        let result = self.try_rollback();
        let words = ("a transaction was dropped, and rolled back", "rollback failed in drop; the next call does it");
        self.conn.tell_of_rollback(&result, was_open, opened_at, words);
        if result.is_err() {
            self.ended();
            self.conn.guards.owe_rollback();
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("connection", self.conn).finish_non_exhaustive()
    }
}

/// A transaction that could not be committed, and the error. Dropping it rolls back.
///
/// It borrows the connection and therefore does not implement `std::error::Error`, most uses of which require
/// `'static`. `?` converts it to an [`Error`] or a boxed error.
pub struct CommitError<'conn>(Box<Uncommitted<'conn>>);

struct Uncommitted<'conn> {
    /// Rolls back when dropped.
    transaction: Transaction<'conn>,
    /// The behavior that the program has set.
    drop_behavior: DropBehavior,
    error: Error,
}

impl<'conn> CommitError<'conn> {
    /// Returns the error of the commit.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// Returns the transaction, which is still open unless SQLite has ended it ([`ErrorKind::TransactionEnded`]).
    pub fn into_transaction(self) -> Transaction<'conn> {
        let Uncommitted { mut transaction, drop_behavior, .. } = *self.0;
        transaction.drop_behavior = drop_behavior;
        transaction
    }
}

impl fmt::Display for CommitError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl fmt::Debug for CommitError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text of the error comes first.
        write!(f, "{:?}; CommitError", self.error())
    }
}

impl From<CommitError<'_>> for Error {
    /// Drops the transaction, which rolls back.
    fn from(error: CommitError<'_>) -> Self {
        error.0.error
    }
}

impl From<CommitError<'_>> for Box<dyn std::error::Error> {
    fn from(error: CommitError<'_>) -> Self {
        Error::from(error).into()
    }
}

impl From<CommitError<'_>> for Box<dyn std::error::Error + Send + Sync> {
    fn from(error: CommitError<'_>) -> Self {
        Error::from(error).into()
    }
}

/// The guard of an open savepoint, within a transaction or acting as one ([`Connection::savepoint`]). Dropping it rolls
/// back to the savepoint, unless [`set_drop_behavior`](Self::set_drop_behavior) says otherwise. If the rollback fails
/// (out of memory), the whole transaction is rolled back.
///
/// It dereferences to its [`Connection`].
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let mut conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a)", ())?;
/// let mut tx = conn.transaction()?;
/// tx.execute("INSERT INTO t VALUES (1)", ())?;
/// {
///     let attempt = tx.savepoint()?;
///     attempt.execute("INSERT INTO t VALUES (2)", ())?;
/// } // rolled back
/// tx.commit()?;
/// assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ())?, [1]);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [SAVEPOINT](https://sqlite.org/lang_savepoint.html)
#[must_use = "a savepoint that is dropped is rolled back"]
pub struct Savepoint<'tx> {
    conn: &'tx Connection,
    /// 0-based index in `Guards::savepoints`.
    depth: usize,
    drop_behavior: DropBehavior,
    is_open: bool,
}

impl<'tx> Savepoint<'tx> {
    /// Opens a savepoint. `depth` is the number of savepoints around it. Any savepoints beyond were leaked and are
    /// rolled back.
    #[track_caller]
    fn open(conn: &'tx Connection, depth: usize, name: Option<&str>) -> Result<Self> {
        conn.check_transaction()?;
        conn.roll_back_forgotten(depth)?;
        let name = match name {
            Some(name) => sql::quote_identifier(name),
            None => format!("\"finalite {depth}\""),
        };
        let site = Location::caller();
        let is_transaction = conn.is_autocommit();
        conn.control_at(&format!("SAVEPOINT {name}"), conn.guards.site().unwrap_or(site))?;
        conn.guards.open_savepoint(conn.db(), name.into(), is_transaction, site);
        Ok(Self { conn, depth, drop_behavior: DropBehavior::Rollback, is_open: true })
    }

    /// Returns the connection, for as long as the savepoint borrows it.
    #[must_use]
    pub fn connection(&self) -> &'tx Connection {
        self.conn
    }

    /// Prepares a statement as [`Connection::prepare`] does. The statement may outlive the savepoint.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'tx>> {
        self.conn.prepare(sql)
    }

    /// Returns a cached statement as [`Connection::prepare_cached`] does. The statement may outlive the savepoint.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'tx>> {
        self.conn.prepare_cached(sql)
    }

    /// Sets the action when the guard is dropped; [`DropBehavior::Rollback`] by default.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.drop_behavior = behavior;
    }

    /// Opens a savepoint within this one and returns its guard.
    ///
    /// # Errors
    ///
    /// See [`Transaction::savepoint`].
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, self.depth + 1, None)
    }

    /// Opens a savepoint of this name within this one and returns its guard. The name is quoted.
    ///
    /// # Errors
    ///
    /// See [`Transaction::savepoint`].
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, self.depth + 1, Some(name))
    }

    /// Releases the savepoint: its changes become part of the surrounding transaction. Without a surrounding
    /// transaction, they are committed.
    ///
    /// # Errors
    ///
    /// The errors of `RELEASE`; [`ErrorKind::TransactionEnded`]. On error, the savepoint is rolled back.
    pub fn commit(mut self) -> Result<()> {
        self.drop_behavior = DropBehavior::Rollback;
        self.try_commit()
    }

    fn try_commit(&mut self) -> Result<()> {
        self.conn.check_transaction()?;
        self.conn.roll_back_forgotten(self.depth + 1)?;
        self.conn.control(&format!("RELEASE {}", self.name()))?;
        self.ended();
        Ok(())
    }

    /// Rolls back to the start of the savepoint and ends it.
    ///
    /// # Errors
    ///
    /// The errors of `ROLLBACK TO` and `RELEASE`. It is not an error if SQLite has already rolled back the transaction.
    pub fn rollback(mut self) -> Result<()> {
        self.drop_behavior = DropBehavior::Rollback;
        self.try_rollback()
    }

    fn try_rollback(&mut self) -> Result<()> {
        if !self.conn.is_autocommit() {
            self.conn.roll_back_forgotten(self.depth + 1)?;
            self.conn.roll_back_innermost(self.depth)?;
        }
        self.ended();
        Ok(())
    }

    /// Returns the quoted name. The connection stores it, so that a leaked savepoint leaks no memory.
    fn name(&self) -> Box<str> {
        let savepoints = self.conn.guards.savepoints.borrow();
        savepoints.get(self.depth).map(|savepoint| savepoint.quoted_name.clone()).unwrap_or_default()
    }

    fn ended(&mut self) {
        self.is_open = false;
        self.conn.guards.forget_savepoints(self.conn.db(), self.depth + 1);
        self.conn.guards.pop_savepoint();
    }
}

impl Drop for Savepoint<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        if self.conn.db().is_inherited() || self.drop_behavior == DropBehavior::Ignore {
            self.ended();
            return;
        }
        let opened_at = self.conn.guards.site_of_savepoint(self.depth).unwrap_or_else(|| self.conn.db().site());
        let mut first = None;
        if self.drop_behavior == DropBehavior::Commit {
            match self.try_commit() {
                Ok(()) => return,
                Err(error) => {
                    self.conn.tell_of_commit(&error, opened_at, "release failed in drop; rolling back");
                    first = Some(error);
                }
            }
        }
        let was_open = !self.conn.is_autocommit();
        let result = self.try_rollback();
        let words =
            ("a savepoint was dropped, and rolled back", "rollback failed in drop; the transaction is rolled back");
        self.conn.tell_of_rollback(&result, was_open, opened_at, words);
        match result {
            Ok(()) if !self.conn.is_autocommit() => {}
            Ok(()) => {
                if let Some(error) = first {
                    self.conn.guards.lose(error);
                }
            }
            Err(error) => {
                // The changes of the savepoint must not be committed with the transaction, so the whole transaction is
                // rolled back.
                self.ended();
                self.conn.guards.lose(first.unwrap_or(error));
                self.conn.guards.owe_rollback();
            }
        }
    }
}

impl Deref for Savepoint<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl fmt::Debug for Savepoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Savepoint").field("depth", &self.depth).field("connection", self.conn).finish_non_exhaustive()
    }
}

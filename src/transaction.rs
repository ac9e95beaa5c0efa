//! Transactions and savepoints: guards that roll back unless told otherwise.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use crate::error::{Error, ErrorKind, Result};
use crate::raw::registry::{self, Recorded};
use crate::raw::{Db, HandleKind, counts, shielded};
use crate::sql;
use crate::{Connection, Statement};

/// When a transaction takes its lock.
///
/// C: [BEGIN TRANSACTION](https://sqlite.org/lang_transaction.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionBehavior {
    /// At the first read or write. A reader that turns writer may get `SQLITE_BUSY` at once, whatever the timeout.
    #[default]
    Deferred,
    /// The write lock at once; readers go on. What means to write is best begun like this.
    Immediate,
    /// As `Immediate`, and outside WAL mode no one may read meanwhile.
    Exclusive,
}

/// What dropping a guard does that was neither committed nor rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropBehavior {
    /// Rolls back.
    #[default]
    Rollback,
    /// Commits; if that fails, rolls back and logs.
    Commit,
    /// Leaves the transaction open, for the program's own `COMMIT` or `ROLLBACK`.
    Ignore,
}

/// The guards that a connection has out. They are strictly nested.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// A guard is out: of a transaction, or of a savepoint that stands for one.
    is_open: Cell<bool>,
    /// A guard was forgotten, or dropped while its rollback failed (interrupted, no memory): the transaction is to be
    /// rolled back before anything else runs.
    rollback_owed: Cell<bool>,
    transaction: RefCell<Option<Origin>>,
    /// Outermost first.
    savepoints: RefCell<Vec<OpenSavepoint>>,
    /// Why the transaction is to be rolled back, where nobody could be told: the error came in a Drop.
    lost: RefCell<Option<Error>>,
}

/// Where a guard was opened.
#[derive(Debug)]
struct Origin {
    site: &'static Location<'static>,
    /// Lives as long as the guard.
    recorded: Option<Recorded>,
}

#[derive(Debug)]
struct OpenSavepoint {
    quoted_name: Box<str>,
    origin: Origin,
}

impl Guards {
    #[inline]
    fn is_open(&self) -> bool {
        self.is_open.get()
    }

    fn open(&self, db: &Db, site: &'static Location<'static>) {
        // An error from before this transaction is none of it.
        db.take_lost();
        self.lost.take();
        let recorded = record(db, HandleKind::Transaction, db.id(), site);
        self.transaction.replace(Some(Origin { site, recorded }));
        self.is_open.set(true);
        counts::opened(HandleKind::Transaction);
    }

    fn open_savepoint(&self, db: &Db, quoted_name: Box<str>, site: &'static Location<'static>) {
        let mut savepoints = self.savepoints.borrow_mut();
        let transaction = self.transaction.borrow();
        let around = savepoints.last().map(|savepoint| &savepoint.origin).or(transaction.as_ref());
        let parent = around.and_then(|origin| origin.recorded.as_ref()).map_or(db.id(), Recorded::id);
        let recorded = record(db, HandleKind::Savepoint, parent, site);
        savepoints.push(OpenSavepoint { quoted_name, origin: Origin { site, recorded } });
        self.is_open.set(true);
        counts::opened(HandleKind::Savepoint);
    }

    /// Ends the books of the transaction's guard, and of the savepoints in it.
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

    /// Where the transaction was opened, or the savepoint that stands for it.
    fn site(&self) -> Option<&'static Location<'static>> {
        let transaction = self.transaction.borrow().as_ref().map(|origin| origin.site);
        transaction.or_else(|| self.savepoints.borrow().first().map(|savepoint| savepoint.origin.site))
    }

    fn site_of_savepoint(&self, depth: usize) -> Option<&'static Location<'static>> {
        self.savepoints.borrow().get(depth).map(|savepoint| savepoint.origin.site)
    }

    /// The innermost savepoint beyond a depth.
    fn innermost(&self, depth: usize) -> Option<Box<str>> {
        self.savepoints.borrow().get(depth..)?.last().map(|savepoint| savepoint.quoted_name.clone())
    }

    /// Ends the books of savepoints beyond a depth: their guards were forgotten.
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

    /// A transaction is open that should not be: it is rolled back before anything else runs.
    pub(crate) fn owe_rollback(&self) {
        self.rollback_owed.set(true);
    }

    /// Keeps an error that cannot be returned and that ends the transaction, unless there is one.
    fn lose(&self, error: Error) {
        self.lost.borrow_mut().get_or_insert(error);
    }

    /// Ends the books altogether: nothing borrows the connection any more, so what is open was forgotten. Its
    /// transaction is rolled back before anything else runs.
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
    /// Begins a transaction that takes its locks when it needs them.
    ///
    /// # Errors
    ///
    /// As [`transaction_with`](Self::transaction_with).
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

    /// Begins a transaction.
    ///
    /// An earlier one whose guard was forgotten is rolled back first, and counted.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if a lock cannot be had, and what else `BEGIN` returns; among it that a transaction is open,
    /// which a `BEGIN` by hand has begun.
    ///
    /// C: [BEGIN TRANSACTION](https://sqlite.org/lang_transaction.html)
    #[track_caller]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.guards.forget_all(self.db());
        self.begin(behavior)
    }

    /// Begins a transaction on a connection that is shared within its thread, where
    /// [`transaction`](Self::transaction) needs it exclusively: what that call lets the compiler see is checked when
    /// this one runs. Everything that the connection does until the guard is gone is part of the transaction.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] if a transaction is open, by a guard (be it a forgotten one) or by SQL; and what `BEGIN`
    /// returns.
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

    /// Begins a transaction as [`unchecked_transaction`](Self::unchecked_transaction), with a choice of its locks.
    ///
    /// # Errors
    ///
    /// As [`unchecked_transaction`](Self::unchecked_transaction).
    #[track_caller]
    pub fn unchecked_transaction_with(&self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        // A transaction that is to be rolled back goes first.
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

    /// Opens a savepoint. Where no transaction is open it begins one, which ends with it: to commit the savepoint is
    /// to commit the transaction.
    ///
    /// Guards of transactions and savepoints that were forgotten are rolled back first, and counted.
    ///
    /// # Errors
    ///
    /// What `SAVEPOINT` returns.
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

    /// Opens a savepoint of this name, which SQL can refer to. It is quoted.
    ///
    /// # Errors
    ///
    /// As [`savepoint`](Self::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        self.guards.forget_all(self.db());
        Savepoint::open(self, 0, Some(name))
    }

    /// Rolls back what is open: nothing borrows the connection any more, so a guard of it was forgotten, or it was
    /// begun by hand.
    pub(crate) fn roll_back_leftovers(&mut self) -> Result<()> {
        self.guards.forget_all(self.db());
        if !self.is_autocommit() {
            self.control("ROLLBACK")?;
        }
        self.guards.rollback_owed.set(false);
        Ok(())
    }

    /// Refuses to run anything under a guard whose transaction is no more.
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

    /// Runs a statement of a guard's own: also when the transaction has ended. It is recorded as opened where the
    /// transaction was.
    fn control(&self, sql: &str) -> Result<()> {
        self.control_at(sql, self.guards.site().unwrap_or_else(|| self.db().site()))
    }

    fn control_at(&self, sql: &str, site: &'static Location<'static>) -> Result<()> {
        self.prepare_cached_at(sql, site)?.run_unchecked(site)
    }

    /// Rolls back the savepoints beyond a depth, whose guards were forgotten. One by one from the inside: names may
    /// repeat, and SQLite takes the innermost of a name.
    fn roll_back_forgotten(&self, depth: usize) -> Result<()> {
        while let Some(name) = self.guards.innermost(depth) {
            self.roll_back_innermost(&name)?;
            self.guards.forget_innermost(self.db());
        }
        Ok(())
    }

    fn roll_back_innermost(&self, name: &str) -> Result<()> {
        self.control(&format!("ROLLBACK TO {name}"))?;
        self.control(&format!("RELEASE {name}"))
    }
}

/// An open transaction. Dropping it rolls back.
///
/// It can do what a [`Connection`] can. Statements prepared in it may outlive it.
///
/// If SQLite rolls back by itself (a full disk, no memory, an interrupted write), nothing runs any more until the guard
/// is gone: [`ErrorKind::TransactionEnded`]. If it did so in a Drop, which returns nothing (of rows, of a savepoint), the
/// next call returns that error instead, once.
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
    /// The connection, for as long as the transaction borrows it.
    #[must_use]
    pub fn connection(&self) -> &'conn Connection {
        self.conn
    }

    /// As [`Connection::prepare`]; the statement may outlive the transaction.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'conn>> {
        self.conn.prepare(sql)
    }

    /// As [`Connection::prepare_cached`]; the statement may outlive the transaction.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'conn>> {
        self.conn.prepare_cached(sql)
    }

    /// What dropping it will do.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.drop_behavior = behavior;
    }

    /// Opens a savepoint, to be rolled back on its own.
    ///
    /// # Errors
    ///
    /// What `SAVEPOINT` returns, [`ErrorKind::TransactionEnded`].
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, 0, None)
    }

    /// Opens a savepoint of this name, which SQL can refer to. It is quoted.
    ///
    /// # Errors
    ///
    /// As [`savepoint`](Self::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, 0, Some(name))
    }

    /// Commits. If that fails, rolls back: nothing is stored.
    ///
    /// # Errors
    ///
    /// What `COMMIT` returns (`SQLITE_BUSY`, a deferred foreign key), [`ErrorKind::TransactionEnded`] if SQLite has
    /// already rolled back.
    pub fn commit(self) -> Result<()> {
        Ok(self.commit_or_return()?)
    }

    /// Commits, or gives the transaction back, to try again or to mend what is missing.
    ///
    /// # Errors
    ///
    /// [`CommitError`], as [`commit`](Self::commit).
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
            Err(error) => Err(CommitError(Box::new((self, error)))),
        }
    }

    fn try_commit(&mut self) -> Result<()> {
        self.conn.check_transaction()?;
        self.conn.roll_back_forgotten(0)?;
        self.conn.control("COMMIT")?;
        self.ended();
        Ok(())
    }

    /// Rolls back.
    ///
    /// # Errors
    ///
    /// What `ROLLBACK` returns. If SQLite has already rolled back, that is no error.
    pub fn rollback(mut self) -> Result<()> {
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
                Err(error) => {
                    shielded(|| {
                        let (connection, name) = self.conn.identity();
                        tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "commit failed in drop; rolling back");
                    });
                }
            }
        }
        let was_open = !self.conn.is_autocommit();
        let result = self.try_rollback();
        shielded(|| {
            let (connection, name) = self.conn.identity();
            match &result {
                Ok(()) if !was_open => {}
                Ok(()) => {
                    tracing::debug!(target: "finalite::statement", connection, name, %opened_at, "a transaction was dropped, and rolled back");
                }
                Err(error) => {
                    tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "rollback failed in drop; the next call does it");
                }
            }
        });
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

/// A transaction that could not be committed, and why. Dropping it rolls back.
///
/// It borrows the connection, so it is no `std::error::Error` (which would have to be `'static` for most uses); `?`
/// turns it into an [`Error`] or a boxed one.
pub struct CommitError<'conn>(Box<(Transaction<'conn>, Error)>);

impl<'conn> CommitError<'conn> {
    /// Why.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.1
    }

    /// The transaction, still open unless SQLite has ended it ([`ErrorKind::TransactionEnded`]).
    pub fn into_transaction(self) -> Transaction<'conn> {
        self.0.0
    }
}

impl fmt::Display for CommitError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl fmt::Debug for CommitError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The error says it in words first.
        write!(f, "{:?}; CommitError", self.error())
    }
}

impl From<CommitError<'_>> for Error {
    /// Drops the transaction, which rolls back.
    fn from(error: CommitError<'_>) -> Self {
        error.0.1
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

/// A savepoint, within a transaction or standing for one ([`Connection::savepoint`]). Dropping it rolls back to where it
/// began; if even that fails (no memory), the whole transaction is rolled back.
///
/// It can do what a [`Connection`] can.
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
    /// Its place in `Guards::savepoints`.
    depth: usize,
    drop_behavior: DropBehavior,
    is_open: bool,
}

impl<'tx> Savepoint<'tx> {
    /// `depth`: the savepoints that are rightly open. Any beyond were forgotten; they are rolled back.
    #[track_caller]
    fn open(conn: &'tx Connection, depth: usize, name: Option<&str>) -> Result<Self> {
        conn.check_transaction()?;
        conn.roll_back_forgotten(depth)?;
        let name = match name {
            Some(name) => sql::quote_identifier(name),
            None => format!("\"finalite {depth}\""),
        };
        let site = Location::caller();
        conn.control_at(&format!("SAVEPOINT {name}"), conn.guards.site().unwrap_or(site))?;
        conn.guards.open_savepoint(conn.db(), name.into(), site);
        Ok(Self { conn, depth, drop_behavior: DropBehavior::Rollback, is_open: true })
    }

    /// The connection, for as long as the savepoint borrows it.
    #[must_use]
    pub fn connection(&self) -> &'tx Connection {
        self.conn
    }

    /// As [`Connection::prepare`]; the statement may outlive the savepoint.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'tx>> {
        self.conn.prepare(sql)
    }

    /// As [`Connection::prepare_cached`]; the statement may outlive the savepoint.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'tx>> {
        self.conn.prepare_cached(sql)
    }

    /// What dropping it will do.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.drop_behavior = behavior;
    }

    /// Opens a savepoint within this one.
    ///
    /// # Errors
    ///
    /// As [`Transaction::savepoint`].
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, self.depth + 1, None)
    }

    /// Opens a savepoint of this name within this one. It is quoted.
    ///
    /// # Errors
    ///
    /// As [`Transaction::savepoint`].
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        Savepoint::open(self.conn, self.depth + 1, Some(name))
    }

    /// Keeps the changes, as part of the transaction around it; commits them where there is none.
    ///
    /// # Errors
    ///
    /// What `RELEASE` returns, [`ErrorKind::TransactionEnded`]; the savepoint is rolled back.
    pub fn commit(mut self) -> Result<()> {
        self.try_commit()
    }

    fn try_commit(&mut self) -> Result<()> {
        self.conn.check_transaction()?;
        self.conn.roll_back_forgotten(self.depth + 1)?;
        self.conn.control(&format!("RELEASE {}", self.name()))?;
        self.ended();
        Ok(())
    }

    /// Rolls back to where it began.
    ///
    /// # Errors
    ///
    /// What `ROLLBACK TO` returns. If SQLite has already rolled the transaction back, that is no error.
    pub fn rollback(mut self) -> Result<()> {
        self.try_rollback()
    }

    fn try_rollback(&mut self) -> Result<()> {
        if !self.conn.is_autocommit() {
            self.conn.roll_back_forgotten(self.depth + 1)?;
            self.conn.roll_back_innermost(&self.name())?;
        }
        self.ended();
        Ok(())
    }

    /// Kept with the connection: a forgotten savepoint leaves no text behind.
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
                    shielded(|| {
                        let (connection, name) = self.conn.identity();
                        tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "release failed in drop; rolling back");
                    });
                    first = Some(error);
                }
            }
        }
        let was_open = !self.conn.is_autocommit();
        let result = self.try_rollback();
        shielded(|| {
            let (connection, name) = self.conn.identity();
            match &result {
                Ok(()) if !was_open => {}
                Ok(()) => {
                    tracing::debug!(target: "finalite::statement", connection, name, %opened_at, "a savepoint was dropped, and rolled back");
                }
                Err(error) => {
                    tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "rollback failed in drop; the transaction is rolled back");
                }
            }
        });
        match result {
            Ok(()) if !self.conn.is_autocommit() => {}
            Ok(()) => {
                if let Some(error) = first {
                    self.conn.guards.lose(error);
                }
            }
            Err(error) => {
                // What the savepoint did must not be committed with the rest: the whole transaction goes.
                self.conn.guards.lose(first.unwrap_or(error));
                self.conn.guards.owe_rollback();
                self.ended();
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

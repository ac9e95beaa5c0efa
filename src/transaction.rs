//! Transactions and savepoints: guards that roll back when dropped, by default.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use crate::error::{Error, ErrorKind, Result};
use crate::{Connection, Statement};

mod commit_error;
mod savepoint;
mod scope;
mod state;
mod undo;

pub use commit_error::CommitError;
pub use savepoint::Savepoint;
use scope::Scope;
pub use state::TransactionState;
pub(crate) use undo::Undo;

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
    #[doc(alias = "transaction_with_behavior")]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.core().guards().forget_all(self.db());
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
        self.core().check_transaction()?;
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
        self.core().guards().open(self.db(), Location::caller());
        Ok(Transaction { scope: Scope::transaction(self) })
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
        self.core().guards().forget_all(self.db());
        Savepoint::open(self, 0, None)
    }

    /// Opens a savepoint of this name, to which SQL can refer, and returns its guard. The name is quoted.
    ///
    /// # Errors
    ///
    /// See [`savepoint`](Self::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        self.core().guards().forget_all(self.db());
        Savepoint::open(self, 0, Some(name))
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
    scope: Scope<'conn>,
}

impl<'conn> Transaction<'conn> {
    /// Returns the connection, for as long as the transaction borrows it.
    #[must_use]
    pub fn connection(&self) -> &'conn Connection {
        self.scope.connection()
    }

    /// Prepares a statement as [`Connection::prepare`] does. The statement may outlive the transaction.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'conn>> {
        self.connection().prepare(sql)
    }

    /// Returns a cached statement as [`Connection::prepare_cached`] does. The statement may outlive the transaction.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'conn>> {
        self.connection().prepare_cached(sql)
    }

    /// Sets the action when the guard is dropped; [`DropBehavior::Rollback`] by default.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.scope.set_drop_behavior(behavior);
    }

    fn replace_drop_behavior(&mut self, behavior: DropBehavior) -> DropBehavior {
        self.scope.set_drop_behavior(behavior)
    }

    /// Opens a savepoint within the transaction and returns its guard. The savepoint can be rolled back on its own.
    ///
    /// # Errors
    ///
    /// The errors of `SAVEPOINT`; [`ErrorKind::TransactionEnded`].
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::open(self.connection(), 0, None)
    }

    /// Opens a savepoint of this name, to which SQL can refer, and returns its guard. The name is quoted.
    ///
    /// # Errors
    ///
    /// See [`savepoint`](Self::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        Savepoint::open(self.connection(), 0, Some(name))
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
        match self.scope.try_commit() {
            Ok(()) => Ok(()),
            Err(error) => Err(CommitError::new(self, error)),
        }
    }

    /// Rolls back the transaction.
    ///
    /// # Errors
    ///
    /// The errors of `ROLLBACK`. It is not an error if SQLite has already rolled back.
    pub fn rollback(self) -> Result<()> {
        self.scope.rollback()
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.scope.connection()
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("connection", self.connection()).finish_non_exhaustive()
    }
}

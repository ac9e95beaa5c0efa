//! [`Savepoint`]: a part of a transaction that can be rolled back on its own.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use super::DropBehavior;
use super::scope::Scope;
use crate::error::Result;
use crate::{Connection, Statement, sql};

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
    scope: Scope<'tx>,
}

impl<'tx> Savepoint<'tx> {
    /// Opens a savepoint. `depth` is the number of savepoints around it. Any savepoints beyond were leaked and are
    /// rolled back.
    #[track_caller]
    pub(super) fn open(conn: &'tx Connection, depth: usize, name: Option<&str>) -> Result<Self> {
        conn.core().check_transaction()?;
        conn.core().roll_back_forgotten(depth)?;
        let name = match name {
            Some(name) => sql::quote_identifier(name),
            None => format!("\"finalite {depth}\""),
        };
        let site = Location::caller();
        let is_transaction = conn.is_autocommit();
        conn.core().control_at(&format!("SAVEPOINT {name}"), conn.core().guards().site().unwrap_or(site))?;
        conn.core().guards().open_savepoint(conn.db(), name.into(), is_transaction, site);
        Ok(Self { scope: Scope::savepoint(conn, depth) })
    }

    /// Returns the connection, for as long as the savepoint borrows it.
    #[must_use]
    pub fn connection(&self) -> &'tx Connection {
        self.scope.connection()
    }

    /// Prepares a statement as [`Connection::prepare`] does. The statement may outlive the savepoint.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<Statement<'tx>> {
        self.connection().prepare(sql)
    }

    /// Returns a cached statement as [`Connection::prepare_cached`] does. The statement may outlive the savepoint.
    ///
    /// # Errors
    ///
    /// See [`Connection::prepare`].
    #[track_caller]
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'tx>> {
        self.connection().prepare_cached(sql)
    }

    /// Sets the action when the guard is dropped; [`DropBehavior::Rollback`] by default.
    pub fn set_drop_behavior(&mut self, behavior: DropBehavior) {
        self.scope.set_drop_behavior(behavior);
    }

    /// Opens a savepoint within this one and returns its guard.
    ///
    /// # Errors
    ///
    /// See [`Transaction::savepoint`](crate::Transaction::savepoint).
    #[track_caller]
    pub fn savepoint(&mut self) -> Result<Savepoint<'_>> {
        Savepoint::open(self.connection(), self.scope.depth_within(), None)
    }

    /// Opens a savepoint of this name within this one and returns its guard. The name is quoted.
    ///
    /// # Errors
    ///
    /// See [`Transaction::savepoint`](crate::Transaction::savepoint).
    #[track_caller]
    pub fn savepoint_named(&mut self, name: &str) -> Result<Savepoint<'_>> {
        Savepoint::open(self.connection(), self.scope.depth_within(), Some(name))
    }

    /// Releases the savepoint: its changes become part of the surrounding transaction. Without a surrounding
    /// transaction, they are committed.
    ///
    /// # Errors
    ///
    /// The errors of `RELEASE`; [`ErrorKind::TransactionEnded`](crate::ErrorKind::TransactionEnded). On error, the
    /// savepoint is rolled back.
    pub fn commit(mut self) -> Result<()> {
        self.scope.set_drop_behavior(DropBehavior::Rollback);
        self.scope.try_commit()
    }

    /// Rolls back to the start of the savepoint and ends it.
    ///
    /// # Errors
    ///
    /// The errors of `ROLLBACK TO` and `RELEASE`. It is not an error if SQLite has already rolled back the transaction.
    pub fn rollback(self) -> Result<()> {
        self.scope.rollback()
    }
}

impl Deref for Savepoint<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.scope.connection()
    }
}

impl fmt::Debug for Savepoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Savepoint")
            .field("depth", &(self.scope.depth_within() - 1))
            .field("connection", self.connection())
            .finish_non_exhaustive()
    }
}

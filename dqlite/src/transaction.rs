//! [`Transaction`]: writes that are stored together.

use std::fmt;
use std::ops::Deref;

use crate::connection::Connection;
use crate::error::Result;
use crate::link::{Effect, Tx};
use crate::wire::Request;

/// An open transaction, which dereferences to its [`Connection`]. Dropping it rolls back.
///
/// Nothing of it is stored before `COMMIT`, wherever its session ends. If SQLite has rolled it back by itself, as `INSERT OR
/// ROLLBACK` does, its later statements and its `COMMIT` are [refused](crate::ErrorKind::Refused).
///
/// ```compile_fail,E0382
/// # fn f(conn: &mut finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let tx = conn.transaction()?;
/// tx.commit()?;
/// tx.execute("DELETE FROM t", ())?; // stored by itself
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0502
/// # fn f(conn: &mut finalite_dqlite::Connection) -> finalite_dqlite::Result<()> {
/// let tx = conn.transaction()?;
/// conn.execute("DELETE FROM t", ())?; // within the transaction, unseen
/// tx.commit()
/// # }
/// ```
pub struct Transaction<'conn> {
    conn: &'conn Connection,
    is_done: bool,
}

impl<'conn> Transaction<'conn> {
    pub(crate) fn new(conn: &'conn mut Connection) -> Self {
        Self { conn, is_done: false }
    }

    /// Prepares a statement, which may outlive the transaction.
    ///
    /// # Errors
    ///
    /// As [`Connection::prepare`].
    #[track_caller]
    pub fn prepare(&self, sql: &str) -> Result<crate::Statement<'conn>> {
        self.conn.prepare(sql)
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLeader`](crate::ErrorKind::NotLeader): nothing was stored.
    /// [`ErrorKind::Unknown`](crate::ErrorKind::Unknown): everything was stored, or nothing, or it will be. SQLite's, such
    /// as a deferred foreign key: the transaction is rolled back. [`ErrorKind::Refused`](crate::ErrorKind::Refused): SQLite
    /// had rolled it back before.
    pub fn commit(mut self) -> Result<()> {
        self.is_done = true;
        let sql = "COMMIT";
        let mut link = self.conn.link();
        let result = link.call(Request::ExecSql { sql, params: &[] }, Effect::Commit);
        // What was sent is not run again.
        link.take_may_repeat();
        match result {
            Ok(_) => {
                link.set_tx(Tx::None);
                Ok(())
            }
            Err(error) => {
                drop(link);
                self.undo();
                Err(error.in_sql(sql))
            }
        }
    }

    /// Rolls back.
    ///
    /// # Errors
    ///
    /// The session's: its node rolls back.
    pub fn rollback(mut self) -> Result<()> {
        self.is_done = true;
        self.conn.roll_back()
    }

    fn undo(&self) {
        let mut link = self.conn.link();
        if !link.is_alive() || link.tx() == Tx::None {
            return;
        }
        if let Err(error) = link.roll_back() {
            tracing::debug!(target: "finalite::dqlite", %error, "rolling back");
        }
    }

    pub(crate) fn take_may_repeat(&self) -> bool {
        self.conn.link().take_may_repeat()
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.undo();
        }
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transaction").field(self.conn).finish()
    }
}

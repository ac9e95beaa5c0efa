//! All changes of one call, or none.

use super::{Savepoint, Transaction};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};

const IN_USE: &str = "a blob or a statement of the connection is writing: all changes or none needs a transaction of its \
                      own, which could not end before them";

/// A transaction, or a savepoint in the caller's. Dropping it undoes the changes, also during a panic. While it is there,
/// statements are refused if SQL has ended the transaction.
pub(crate) enum Undo<'a> {
    Transaction(Transaction<'a>),
    Savepoint(Savepoint<'a>),
}

impl<'a> Undo<'a> {
    #[track_caller]
    pub(crate) fn begin(conn: &'a Connection) -> Result<Self> {
        let (core, db) = (conn.core(), conn.db());
        // A pending rollback runs first.
        core.check_transaction()?;
        if !conn.is_autocommit() {
            return Savepoint::open(conn, core.guards().depth(), None).map(Self::Savepoint);
        }
        // What is being written would become part of the transaction: it could not be committed, and to undo it would
        // undo that, too.
        if db.is_writing() {
            return Err(Error::new(ErrorKind::Misuse { reason: IN_USE }));
        }
        // To undo an outermost savepoint takes a `RELEASE`, which is a commit: it would wait for readers.
        conn.unchecked_transaction().map(Self::Transaction)
    }

    /// Returns an error if the transaction has ended.
    pub(crate) fn check(&self) -> Result<()> {
        let conn = match self {
            Self::Transaction(transaction) => transaction.connection(),
            Self::Savepoint(savepoint) => savepoint.connection(),
        };
        conn.core().check_transaction()?;
        // The guard around a savepoint may be gone, too.
        if conn.is_autocommit() { Err(Error::new(ErrorKind::TransactionEnded)) } else { Ok(()) }
    }

    pub(crate) fn keep(self) -> Result<()> {
        self.check()?;
        // If this fails, the guard undoes the changes.
        match self {
            Self::Transaction(transaction) => transaction.commit(),
            Self::Savepoint(savepoint) => savepoint.commit(),
        }
    }
}

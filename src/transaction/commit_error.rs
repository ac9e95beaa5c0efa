//! [`CommitError`]: a failed commit, with the transaction that is still open.

use std::fmt;

use super::{DropBehavior, Transaction};
use crate::error::Error;

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
    pub(super) fn new(mut transaction: Transaction<'conn>, error: Error) -> Self {
        let drop_behavior = transaction.replace_drop_behavior(DropBehavior::Rollback);
        Self(Box::new(Uncommitted { transaction, drop_behavior, error }))
    }

    /// Returns the error of the commit.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// Returns the transaction, which is still open unless SQLite has ended it
    /// ([`ErrorKind::TransactionEnded`](crate::ErrorKind::TransactionEnded)).
    pub fn into_transaction(self) -> Transaction<'conn> {
        self.into_parts().0
    }

    /// Returns the transaction, as [`into_transaction`](Self::into_transaction) does, and the error of the commit.
    pub fn into_parts(self) -> (Transaction<'conn>, Error) {
        let Uncommitted { mut transaction, drop_behavior, error } = *self.0;
        transaction.set_drop_behavior(drop_behavior);
        (transaction, error)
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

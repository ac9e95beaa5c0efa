//! Closing a connection, in Drop and by a call that can fail.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::Connection;
use crate::core::{self, failures};
use crate::error::{Error, Result, ResultCode};
use crate::track::{HandleKind, registry, shielded};

impl Connection {
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
            && let Err(error) = self.optimize()
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

    pub(super) fn close_in_place(&mut self) -> Result<()> {
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
                    "the connection could not be closed; its handle is leaked",
                );
            });
            self.db_mut().abandon();
        }
    }
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
        self.into_parts().0
    }

    /// Returns the connection, which is still open, and the error of closing.
    #[must_use]
    pub fn into_parts(self) -> (Connection, Error) {
        let (connection, error) = *self.0;
        (connection.into_inner().unwrap_or_else(PoisonError::into_inner), error)
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

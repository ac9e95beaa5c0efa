//! Limits of a connection on the size of SQL, values and other constructs.

use std::fmt;

use crate::Connection;
use crate::error::Result;
pub use crate::raw::db::Limit;
use crate::track::shielded;

impl Connection {
    /// Returns the value of a limit; 0 after the connection was closed.
    ///
    /// C: [sqlite3_limit](https://sqlite.org/c3ref/limit.html)
    #[must_use]
    pub fn limit(&self, limit: Limit) -> u32 {
        self.db().limit(limit)
    }

    /// Sets a limit and returns its value before. SQLite lowers a value that exceeds its compile-time limit to that,
    /// and raises one that is too small for [`Limit::Length`]; [`limit`](Self::limit) returns the value in force.
    ///
    /// A lower limit applies to what is made from now on, not to what exists. Lower limits protect a program that runs
    /// SQL of others; [`limit_queries`](Self::limit_queries) limits the time, the rows and the steps that it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) within a callback of the connection;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Limit};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let before = conn.set_limit(Limit::Length, 1_000_000)?;
    /// assert_eq!(conn.limit(Limit::Length), 1_000_000);
    /// assert!(conn.query_one::<Vec<u8>>("SELECT zeroblob(1000001)", ()).is_err());
    /// assert_eq!(conn.set_limit(Limit::Length, before)?, 1_000_000);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_limit](https://sqlite.org/c3ref/limit.html)
    #[doc(alias("max_variable_number", "max_length"))]
    pub fn set_limit(&self, limit: Limit, value: u32) -> Result<u32> {
        self.db().set_limit(limit, value).map_err(|fault| self.error(fault))
    }

    /// Sets a limit until the returned guard is dropped, which restores the value before.
    ///
    /// # Errors
    ///
    /// See [`set_limit`](Self::set_limit).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Limit};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let before = conn.limit(Limit::Attached);
    /// {
    ///     let _none = conn.scoped_limit(Limit::Attached, 0)?;
    ///     assert!(conn.execute("ATTACH ':memory:' AS other", ()).is_err());
    /// }
    /// assert_eq!(conn.limit(Limit::Attached), before);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_limit](https://sqlite.org/c3ref/limit.html)
    pub fn scoped_limit(&self, limit: Limit, value: u32) -> Result<ScopedLimit<'_>> {
        let before = self.set_limit(limit, value)?;
        Ok(ScopedLimit { conn: self, limit, before })
    }
}

/// A limit that is in force until this guard is dropped. From [`Connection::scoped_limit`].
///
/// Several guards of one limit are to be dropped in reverse order, as variables are: each restores the value that it
/// found. A guard that is leaked leaves its limit in force. Dropped within a callback of the connection, it cannot
/// restore the value, and logs the error.
#[must_use = "dropping it restores the limit"]
pub struct ScopedLimit<'conn> {
    conn: &'conn Connection,
    limit: Limit,
    before: u32,
}

impl Drop for ScopedLimit<'_> {
    fn drop(&mut self) {
        let _cleanup = self.conn.db().begin_cleanup();
        if self.conn.db().is_inherited() {
            return;
        }
        if let Err(error) = self.conn.set_limit(self.limit, self.before) {
            let (connection, name) = self.conn.identity();
            shielded(|| {
                tracing::error!(target: "finalite::open", %error, connection, name, "a limit could not be restored");
            });
        }
    }
}

impl fmt::Debug for ScopedLimit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedLimit").field("limit", &self.limit).field("before", &self.before).finish_non_exhaustive()
    }
}

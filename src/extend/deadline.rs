//! Deadlines and limits of statements.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::Connection;
use crate::error::Result;
use crate::raw::limit::{QueryLimits, Scope};

/// A deadline of a connection. Dropping it ends the deadline. From [`Connection::deadline`].
///
/// It borrows nothing from the connection, and can be sent to another thread. One that is leaked lasts until the
/// connection closes.
#[must_use = "dropping it ends the deadline"]
pub struct Deadline(Arc<Scope>);

impl Deadline {
    /// Returns the time that is left; zero after the deadline.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining().unwrap_or(Duration::MAX)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

/// Limits that are in force on a connection. Dropping the value ends them. From [`Connection::limit_queries`].
///
/// It borrows nothing from the connection, and can be sent to another thread. Limits that are leaked last until the
/// connection closes.
#[must_use = "dropping it ends the limits"]
pub struct ActiveLimits(Arc<Scope>);

impl Drop for ActiveLimits {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl fmt::Debug for ActiveLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveLimits").finish_non_exhaustive()
    }
}

/// Limits what runs on a connection by a flag that any thread may set, and by a moment, for as long as the value exists.
/// See [`workspace::supervise`](crate::workspace::supervise).
#[track_caller]
pub(crate) fn supervise(
    conn: &Connection,
    cancelled: Arc<AtomicBool>,
    deadline: Option<(Instant, Duration)>,
) -> Result<ActiveLimits> {
    conn.db()
        .limit_queries(Scope::cancelled_by(cancelled, deadline), Location::caller())
        .map(ActiveLimits)
        .map_err(|fault| conn.error(fault))
}

impl Connection {
    /// Sets a deadline for everything that runs on the connection, until the returned value is dropped. Of several
    /// deadlines, the earliest counts.
    ///
    /// A statement that is running at the deadline is stopped, one that waits for a lock stops waiting, and none begins
    /// afterwards: the error is [`ErrorKind::Deadline`](crate::ErrorKind::Deadline). What rolls back is exempt. For one
    /// statement or one transaction, set the deadline where that begins:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use finalite::Connection;
    /// # let mut conn = Connection::open_in_memory()?;
    /// # conn.execute("CREATE TABLE t(a)", ())?;
    /// let tx = conn.transaction()?;
    /// let _deadline = tx.deadline(Duration::from_millis(200))?;
    /// tx.execute("INSERT INTO t VALUES (1)", ())?;
    /// tx.commit()?; // if it begins in time
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// A statement that writes and is stopped may end its transaction, as after an interrupt: further statements then
    /// return [`ErrorKind::TransactionEnded`](crate::ErrorKind::TransactionEnded). Between the rows of `RETURNING`, the
    /// changes are made: a few rows are read to their end, however late, so that the error never hides what was stored.
    ///
    /// # Not covered
    ///
    /// No thread is started: SQLite looks at the clock about every 1,000 instructions of its virtual machine. What is a
    /// single instruction is not stopped: `count(*)` of a whole table, a commit, a checkpoint, a function or a busy
    /// handler of the program; it is noticed after it has ended. Nor are a wait for a connection of a pool, and other
    /// connections.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) within a callback of the connection;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::{Connection, ErrorKind};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    /// let deadline = conn.deadline(Duration::from_millis(5))?;
    /// let error = conn.query_one::<i64>(endless, ()).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::Deadline { .. }));
    /// drop(deadline);
    /// assert_eq!(conn.query_one::<i64>("SELECT 1", ())?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias("timeout", "statement_timeout", "query_timeout"))]
    pub fn deadline(&self, allowed: Duration) -> Result<Deadline> {
        self.db()
            .limit_queries(Scope::deadline(allowed), Location::caller())
            .map(Deadline)
            .map_err(|fault| self.error(fault))
    }

    /// Limits the time, the rows or the steps of each execution that begins, until the returned value is dropped. Of
    /// several limits of a kind, the smallest counts.
    ///
    /// An execution that exceeds one is stopped, with [`ErrorKind::QueryLimit`](crate::ErrorKind::QueryLimit), or
    /// [`ErrorKind::Deadline`](crate::ErrorKind::Deadline) for the time. As with a [`deadline`](Self::deadline), SQLite
    /// is stopped only between two instructions, a statement that writes may end its transaction, and what rolls back is
    /// exempt.
    ///
    /// SQLite's own limits, such as the largest size of a value, are set by [`set_limit`](Self::set_limit).
    ///
    /// # Errors
    ///
    /// See [`deadline`](Self::deadline).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ErrorKind, ExceededLimit, extend::QueryLimits};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let _limits = conn.limit_queries(QueryLimits::new().rows(100).steps(1_000_000))?;
    /// let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    /// let error = conn.query_all::<i64>(endless, ()).unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::QueryLimit { exceeded: ExceededLimit::Rows(100), .. }));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias("query_limit", "quota"))]
    pub fn limit_queries(&self, limits: QueryLimits) -> Result<ActiveLimits> {
        self.db()
            .limit_queries(Scope::limits(limits), Location::caller())
            .map(ActiveLimits)
            .map_err(|fault| self.error(fault))
    }
}

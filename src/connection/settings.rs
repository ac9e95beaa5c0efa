//! Settings of a connection: time limits, the statement cache.

use std::time::Duration;

use super::Connection;
use crate::core::cache::StatementCacheStats;
use crate::error::Result;
use crate::track::Taint;

impl Connection {
    /// Returns the time that the connection waits for a lock of another connection. See
    /// [`set_busy_timeout`](Self::set_busy_timeout).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.busy_timeout()?, Duration::from_secs(5));
    /// conn.set_busy_timeout(Duration::from_millis(250))?;
    /// assert_eq!(conn.busy_timeout()?, Duration::from_millis(250));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [PRAGMA busy_timeout](https://sqlite.org/pragma.html#pragma_busy_timeout)
    #[track_caller]
    pub fn busy_timeout(&self) -> Result<Duration> {
        self.db().check_usable().map_err(|fault| self.error(fault))?;
        match self.db().replaced_pragma("busy_timeout") {
            Some(milliseconds) => Ok(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))),
            None => self.pragma("busy_timeout").map(Duration::from_millis),
        }
    }

    /// Sets the time to wait for a lock of another connection before `SQLITE_BUSY` is returned. The time is truncated
    /// to whole milliseconds. The default is 5 seconds. It does not apply while a
    /// [busy handler](Self::set_busy_handler) is set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// C: [sqlite3_busy_timeout](https://sqlite.org/c3ref/busy_timeout.html)
    #[doc(alias = "busy_timeout")]
    pub fn set_busy_timeout(&self, timeout: Duration) -> Result<()> {
        self.db().add_taint(Taint::SETTING);
        Ok(self.db().set_busy_timeout(milliseconds(timeout))?)
    }

    /// Sets the duration from which an execution is logged, as a warning with the target `finalite::slow`. `None`, the
    /// default, disables this log; no clock is read then.
    ///
    /// An execution lasts from its start until its rows are dropped, including the time that the caller spends between
    /// rows.
    pub fn set_slow_threshold(&self, threshold: Option<Duration>) {
        self.db().add_taint(Taint::SETTING);
        self.core.set_slow_threshold(threshold);
    }

    /// Returns the duration set by [`set_slow_threshold`](Self::set_slow_threshold).
    #[inline]
    #[must_use]
    pub fn slow_threshold(&self) -> Option<Duration> {
        self.core.slow_threshold()
    }

    /// Returns the current contents and the counters of the statement cache.
    #[must_use]
    pub fn statement_cache_stats(&self) -> StatementCacheStats {
        self.core.cache().borrow().stats()
    }

    /// Returns the limits of the statement cache: the number of statements, and their memory in bytes. See
    /// [`set_statement_cache_limits`](Self::set_statement_cache_limits).
    #[must_use]
    pub fn statement_cache_limits(&self) -> (usize, usize) {
        self.core.cache().borrow().limits()
    }

    /// Sets the limits of the statement cache: the number of statements (default 128; 0 disables the cache) and the
    /// memory in bytes that they may use together (default 8 MiB). Statements beyond a limit are finalized immediately.
    #[doc(alias = "set_prepared_statement_cache_capacity")]
    pub fn set_statement_cache_limits(&self, statements: usize, bytes: usize) {
        self.db().add_taint(Taint::SETTING);
        let evicted = self.core.cache().borrow_mut().set_limits(statements, bytes);
        self.core.finalize_evicted(evicted);
    }

    /// Finalizes every statement in the cache, and those that have a [key](crate::StatementKey), which prepare theirs
    /// again when they are next used. Statements in use return to the cache when they are dropped.
    pub fn clear_statement_cache(&self) {
        let all = self.core.cache().borrow_mut().take_all();
        self.core.finalize_evicted(all);
        let all = self.core.stored().borrow_mut().take_all();
        self.core.finalize_evicted(all);
    }
}

/// Returns the time in milliseconds, as SQLite takes it, at most `i32::MAX`.
pub(crate) fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

//! Retry policy, and write transactions that use it.

use std::panic::Location;
use std::time::Duration;

use super::{Pool, PooledConnection};
use crate::connection::pauses::{pauses, wait_for_lock};
use crate::error::{Error, Result};
use crate::{Connection, DropBehavior, Transaction};

/// Limits and pauses of retries. Pauses double up to a maximum, and each is shortened by a random part, so that callers
/// that failed at the same time do not retry at the same time.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use finalite::pool::{Pool, RetryPolicy};
///
/// let retry = RetryPolicy::new(Duration::from_millis(20)).attempts(3);
/// let error = Pool::builder("/nowhere/app.db").open_retry(retry).build().unwrap_err();
/// assert!(error.to_string().contains("3 attempts"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    deadline: Duration,
    attempts: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

impl RetryPolicy {
    /// Returns a policy without retries.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Duration::ZERO).attempts(1)
    }

    /// Returns a policy that retries until this time has passed since the first attempt, with pauses from 1 ms to 100
    /// ms.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(1), Duration::from_millis(100));
        Self { deadline, attempts: u32::MAX, first_pause, longest_pause }
    }

    /// Sets the maximum number of attempts, the first one included.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the first and the longest pause.
    #[must_use]
    pub fn pauses_between(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }

    /// Returns the pauses before the second and each later attempt; ends when there are no more attempts.
    pub(super) fn pauses(self) -> impl Iterator<Item = Duration> {
        let attempts = usize::try_from(self.attempts).unwrap_or(usize::MAX);
        pauses(self.deadline, self.first_pause, self.longest_pause).take(attempts.saturating_sub(1))
    }
}

impl Pool {
    /// Runs the closure in a transaction that has the write lock, and commits. If another connection's lock prevents
    /// this (`SQLITE_BUSY` in any of its forms, `SQLITE_LOCKED_SHAREDCACHE`), everything is rolled back and run again,
    /// as the builder's [`write_retry`](super::PoolBuilder::write_retry) allows. Effects of the closure outside of the
    /// database must therefore be repeatable.
    ///
    /// If the transaction's own statements prevent the `COMMIT` (rows of an `INSERT … RETURNING` are open, for which
    /// SQLite also returns `SQLITE_BUSY`), the error is returned immediately: it would occur again.
    ///
    /// A transaction that may have been stored is never run again: if `COMMIT` fails by anything but a lock, the error
    /// is returned.
    ///
    /// # Errors
    ///
    /// Those of [`writer`](Self::writer), the closure's, and those of `COMMIT`. Nothing is stored then, unless `COMMIT`
    /// failed in writing (`SQLITE_IOERR`): in that case the transaction may have been stored.
    #[track_caller]
    pub fn write<T>(&self, work: impl FnMut(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        let site = Location::caller();
        let lend = || self.lend(&self.writer, self.wait_limit(), site);
        self.write_while(lend, |_| Ok(()), work, |error, _| error.is_anothers_lock())
    }

    /// Runs the closure in a transaction, like [`write`](Self::write), with an error type of the caller's.
    ///
    /// The closure's error is not examined. The transaction is run again if the last call on its connection failed
    /// because of another connection's lock.
    ///
    /// # Errors
    ///
    /// See [`write`](Self::write).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::pool::Pool;
    ///
    /// #[derive(Debug)]
    /// enum AppError { Overdrawn, Database(finalite::Error) }
    ///
    /// impl From<finalite::Error> for AppError {
    ///     fn from(error: finalite::Error) -> Self {
    ///         Self::Database(error)
    ///     }
    /// }
    ///
    /// let pool = Pool::in_memory("accounts").build()?;
    /// pool.writer()?.execute_batch("CREATE TABLE account(cents INTEGER); INSERT INTO account VALUES (5)")?;
    /// let drawn = pool.write_and_then(|tx| {
    ///     tx.execute("UPDATE account SET cents = cents - 7", [])?;
    ///     match tx.query_one::<i64>("SELECT cents FROM account", [])? {
    ///         0.. => Ok(()),
    ///         _ => Err(AppError::Overdrawn),
    ///     }
    /// });
    /// assert!(matches!(drawn, Err(AppError::Overdrawn)));
    /// assert_eq!(pool.reader()?.query_one::<i64>("SELECT cents FROM account", [])?, 5);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn write_and_then<T, E: From<Error>>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let site = Location::caller();
        let lend = || self.lend(&self.writer, self.wait_limit(), site);
        self.write_guarded(lend, |_| Ok(()), work)
    }

    /// Runs the closure in a transaction, like [`write_and_then`](Self::write_and_then). `lend`
    /// checks out the connection for each run. `guard` is called with it before each `BEGIN`, and what it returns is
    /// dropped after the `COMMIT`, or the rollback.
    pub(crate) fn write_guarded<'pool, T, E: From<Error>, G>(
        &'pool self,
        lend: impl FnMut() -> Result<PooledConnection<'pool>>,
        guard: impl FnMut(&Connection) -> Result<G>,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.write_while(lend, guard, work, |_, tx| tx.last_error().is_some_and(|error| error.is_anothers_lock()))
    }

    /// Runs the closure in a transaction, with retries. `is_locked` returns whether another connection's lock caused
    /// the closure's error.
    fn write_while<'pool, T, E: From<Error>, G>(
        &'pool self,
        mut lend: impl FnMut() -> Result<PooledConnection<'pool>>,
        mut guard: impl FnMut(&Connection) -> Result<G>,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
        is_locked: impl Fn(&E, &Transaction<'_>) -> bool,
    ) -> Result<T, E> {
        let mut pauses = self.options.write_retry.pauses();
        loop {
            let (error, is_locked) = match try_write(&mut lend, &mut guard, &mut work, &is_locked) {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            match pauses.next() {
                // A `COMMIT` that a lock prevented was not carried out.
                Some(pause) if is_locked => wait_for_lock(pause),
                _ => return Err(error),
            }
        }
    }
}

/// Runs the closure in a transaction once. The error comes with whether another connection's lock caused it.
fn try_write<'pool, T, E: From<Error>, G>(
    lend: &mut impl FnMut() -> Result<PooledConnection<'pool>>,
    guard: &mut impl FnMut(&Connection) -> Result<G>,
    work: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    is_locked: &impl Fn(&E, &Transaction<'_>) -> bool,
) -> Result<T, (E, bool)> {
    let failed = |error: Error| {
        let is_locked = error.is_anothers_lock();
        (error.into(), is_locked)
    };
    let mut conn = lend().map_err(failed)?;
    let _guard = guard(&conn).map_err(failed)?;
    let mut tx = conn.transaction().map_err(failed)?;
    let outcome = work(&mut tx);
    // What failed is not stored, so that it can be run again.
    tx.set_drop_behavior(DropBehavior::Rollback);
    let value = outcome.map_err(|error| {
        let is_locked = is_locked(&error, &tx);
        (error, is_locked)
    })?;
    tx.commit_or_return().map_err(|error| failed(error.into()))?;
    Ok(value)
}

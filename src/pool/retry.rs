//! Trying again: how often, how long, with which pauses; and writing with it.

use std::thread;
use std::time::Duration;

use super::Pool;
use crate::Transaction;
use crate::error::{Error, Result};
use crate::pauses::pauses;

/// For how long to try again, and with which pauses: they double, up to a longest, and each is cut by a random part, so
/// that those who failed together do not come back together.
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
    /// Never again.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Duration::ZERO).attempts(1)
    }

    /// Tries again until this time has passed since the first attempt, with pauses from 1 ms to 100 ms.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(1), Duration::from_millis(100));
        Self { deadline, attempts: u32::MAX, first_pause, longest_pause }
    }

    /// No more attempts than this, the first one counted.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The first and the longest pause.
    #[must_use]
    pub fn pauses_between(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }

    /// The pauses before the second attempt and those that follow; it ends when there is to be none.
    pub(super) fn pauses(self) -> impl Iterator<Item = Duration> {
        let attempts = usize::try_from(self.attempts).unwrap_or(usize::MAX);
        pauses(self.deadline, self.first_pause, self.longest_pause).take(attempts.saturating_sub(1))
    }
}

impl Pool {
    /// Runs the closure in a transaction that has the write lock, and commits. If another connection's lock is in the
    /// way (`SQLITE_BUSY` in any of its forms, `SQLITE_LOCKED_SHAREDCACHE`) everything is rolled back and run again, as
    /// the builder's [`write_retry`](super::PoolBuilder::write_retry) allows: so what the closure does outside of the
    /// database should bear to be done twice.
    ///
    /// Where statements of the transaction's own are in the way (a `COMMIT` while rows of an `INSERT … RETURNING` are
    /// open, which SQLite calls `SQLITE_BUSY` too) they would be again: that is returned at once.
    ///
    /// What may have been stored is never run again: a `COMMIT` that fails by anything but a lock is the end.
    ///
    /// # Errors
    ///
    /// As [`writer`](Self::writer), the closure's, and what `COMMIT` returns; nothing is stored then, unless `COMMIT`
    /// failed in writing (`SQLITE_IOERR`), after which nobody can tell.
    #[track_caller]
    pub fn write<T>(&self, work: impl FnMut(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        self.write_while(work, |error, _| error.is_anothers_lock())
    }

    /// Runs the closure in a transaction, as [`write`](Self::write); the closure's error is the caller's own.
    ///
    /// What it fails with is not looked at. It is run again if the last call on its connection met another's lock.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
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
        self.write_while(work, |_, tx| tx.last_error().is_some_and(|error| error.is_anothers_lock()))
    }

    /// `is_locked`: whether what the closure failed with came of another connection's lock.
    #[track_caller]
    fn write_while<T, E: From<Error>>(
        &self,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
        is_locked: impl Fn(&E, &Transaction<'_>) -> bool,
    ) -> Result<T, E> {
        let mut pauses = self.options.write_retry.pauses();
        loop {
            let (error, is_locked) = match self.try_write(&mut work, &is_locked) {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            match pauses.next() {
                // The commit was not carried out where a lock was in its way.
                Some(pause) if is_locked => thread::sleep(pause),
                _ => return Err(error),
            }
        }
    }

    /// The error comes with whether another connection's lock was its cause.
    #[track_caller]
    fn try_write<T, E: From<Error>>(
        &self,
        work: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
        is_locked: &impl Fn(&E, &Transaction<'_>) -> bool,
    ) -> Result<T, (E, bool)> {
        let failed = |error: Error| {
            let is_locked = error.is_anothers_lock();
            (error.into(), is_locked)
        };
        let mut conn = self.writer().map_err(failed)?;
        let mut tx = conn.transaction().map_err(failed)?;
        let value = work(&mut tx).map_err(|error| {
            let is_locked = is_locked(&error, &tx);
            (error, is_locked)
        })?;
        tx.commit_or_return().map_err(|error| failed(error.into()))?;
        Ok(value)
    }
}

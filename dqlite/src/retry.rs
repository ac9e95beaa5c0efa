//! [`RetryPolicy`], and transactions that are run again under it.

use std::thread;
use std::time::{Duration, Instant};

use finalite::workspace::jittered;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::transaction::Transaction;

/// Limits of [`Connection::retry`].
///
/// The default allows 10 seconds, which is longer than an election with dqlite's default timing takes, with pauses from 2
/// to 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    deadline: Duration,
    attempts: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl RetryPolicy {
    /// Returns a policy that begins no attempt after this time. A leader is searched for as long at most, or for
    /// [`leader_timeout`](crate::ClusterBuilder::leader_timeout).
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(2), Duration::from_millis(100));
        Self { deadline, attempts: u32::MAX, first_pause, longest_pause }
    }

    /// Sets the maximum number of attempts, the first one included.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the first and the longest pause; each is twice as long as the one before.
    #[must_use]
    pub fn pauses_between(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }
}

/// Runs the work in a transaction, again where nothing was stored.
pub(crate) fn run<T, E: From<Error>>(
    conn: &mut Connection,
    policy: RetryPolicy,
    mut work: impl FnMut(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    let mut pause = policy.first_pause;
    let mut attempt = 1;
    let mut last = None;
    loop {
        // One that is over. Nothing of the program is sent while another is opened.
        let opened = match conn.is_alive() {
            true => Ok(()),
            false => conn.reopen_within(policy.deadline.saturating_sub(began.elapsed())),
        };
        let error = match opened {
            Ok(()) => {
                if let Some(error) = last.filter(|_| began.elapsed() > policy.deadline) {
                    return Err(error);
                }
                match attempt_once(conn, &mut work)? {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                }
            }
            // The node that was found has stepped down, or ended, meanwhile.
            Err(error) if error.is_not_leader() || matches!(error.kind(), ErrorKind::Disconnected { .. }) => {
                error.into()
            }
            Err(error) => return Err(error.into()),
        };
        if attempt >= policy.attempts || began.elapsed().saturating_add(pause) > policy.deadline {
            return Err(error);
        }
        last = Some(error);
        attempt += 1;
        crate::stats::retried();
        // So that callers that failed together do not return together.
        thread::sleep(jittered(pause));
        pause = pause.saturating_mul(2).min(policy.longest_pause);
    }
}

/// Runs the work once. The inner error is one after which it may be run again.
fn attempt_once<T, E: From<Error>>(
    conn: &mut Connection,
    work: &mut impl FnMut(&Transaction<'_>) -> Result<T, E>,
) -> Result<Result<T, E>, E> {
    let tx = match conn.transaction() {
        Ok(tx) => tx,
        Err(error) if error.is_busy() || error.is_not_leader() => return Ok(Err(error.into())),
        Err(error) => return Err(error.into()),
    };
    match work(&tx) {
        Ok(value) => {
            tx.commit()?;
            Ok(Ok(value))
        }
        Err(error) => {
            let may_repeat = tx.take_may_repeat();
            drop(tx);
            if may_repeat { Ok(Err(error)) } else { Err(error) }
        }
    }
}

//! Pauses between retries.

use std::hash::{BuildHasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use crate::track::activity;

/// Returns the pauses before the second and each later attempt, until `deadline` has passed since this call. Pauses
/// double up to the longest, and each is shortened by a random part, so that callers that failed at the same time do
/// not retry at the same time.
pub(crate) fn pauses(deadline: Duration, first: Duration, longest: Duration) -> impl Iterator<Item = Duration> {
    let start = Instant::now();
    let mut pause = first;
    std::iter::from_fn(move || {
        let left = deadline.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
        let this = jittered(pause).min(left);
        pause = pause.saturating_mul(2).min(longest);
        Some(this)
    })
}

/// Waits before another attempt to get a lock.
pub(crate) fn wait_for_lock(pause: Duration) {
    thread::sleep(pause);
    activity::lock_retry(pause);
}

/// Returns a random duration from half of the pause to the whole of it.
#[must_use]
pub fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    let part = u32::try_from(random % 1024).unwrap_or(0);
    pause / 2 + pause / 2048 * part
}

//! Trying again: with which pauses.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The pauses before the second attempt and those that follow, until this time has passed since now: they double, up to
/// the longest, and each is cut by a random part, so that those who failed together do not come back together.
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

/// From a half to the whole of it.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    let part = u32::try_from(random % 1024).unwrap_or(0);
    pause / 2 + pause / 2048 * part
}

//! Which process a connection belongs to.
//!
//! A SQLite connection must not be used, nor even closed, by a child that inherited it through `fork`
//! (sqlite.org/howtocorrupt.html, 2.6): it believes in locks that only the parent holds, and closing rolls back the
//! parent's transaction in the file. The count kept here moves in every forked child, so one relaxed load tells a
//! stranger's connection from our own.
//!
//! The same load tells whether somebody asked for the figures of all connections since this one gave its own: the word
//! it reads moves for both, so that neither costs what the other does not.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of forks in the upper half, of requests for figures in the lower.
static NOW: AtomicU64 = AtomicU64::new(0);

const REQUESTS: u64 = u32::MAX as u64;

/// A moment between a fork or a request and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl Moment {
    /// One that never is: before there is such a number of forks, there is no process left.
    pub(super) const NEVER: Self = Self(u64::MAX);
}

#[inline(always)]
pub(super) fn now() -> Moment {
    Moment(NOW.load(Ordering::Relaxed))
}

/// The number of forks between this process and the one that loaded the library.
#[inline(always)]
pub(super) fn generation() -> u32 {
    let [.., a, b, c, d] = (NOW.load(Ordering::Relaxed) >> 32).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Asks the connections for their figures: each gives them when it is next used.
pub(super) fn request_figures() {
    let _ = NOW.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(after_request(now)));
}

/// The lower half begins again at 1, and does not carry into the upper.
fn after_request(now: u64) -> u64 {
    (now & !REQUESTS) | (now.wrapping_add(1) & REQUESTS).max(1)
}

/// Whether anybody ever asked.
pub(super) fn are_figures_asked() -> bool {
    NOW.load(Ordering::Relaxed) & REQUESTS != 0
}

/// Starts counting forks, once per process. Called before the first open.
#[cfg(unix)]
pub(super) fn watch() {
    use std::ffi::c_int;
    use std::sync::Once;

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
    }

    unsafe extern "C" fn in_child() {
        NOW.fetch_add(1 << 32, Ordering::Relaxed);
    }

    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        // SAFETY: the handler only adds to an atomic, which is async-signal-safe, so it may run in the child of a
        // multi-threaded process. It is a function of this library, which must not be unloaded (README, effects).
        // A failure (ENOMEM) leaves forks undetected; there is nothing to undo.
        let _ = unsafe { pthread_atfork(None, None, Some(in_child)) };
    });
}

/// No `fork` here.
#[cfg(not(unix))]
pub(super) fn watch() {}

#[cfg(test)]
mod tests {
    use super::after_request;

    #[test]
    fn requests_are_no_forks() {
        let forks = 7 << 32;
        assert_eq!(after_request(forks), forks + 1);
        assert_eq!(after_request(forks + 5), forks + 6);
        assert_eq!(after_request(forks + u64::from(u32::MAX)), forks + 1);
    }
}

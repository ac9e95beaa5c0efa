//! Which process a connection belongs to.
//!
//! A SQLite connection must not be used, nor even closed, by a child that inherited it through `fork`
//! (sqlite.org/howtocorrupt.html, 2.6): it believes in locks that only the parent holds, and closing rolls back the
//! parent's transaction in the file. The count kept here moves in every forked child, so one relaxed load tells a
//! stranger's connection from our own.
//!
//! The same load tells whether somebody asked for the figures of all connections since this one gave its own: the word
//! it reads moves for both, so that neither costs what the other does not.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
#[cfg(unix)]
use std::time::Duration;

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

/// Threads that open a database just now, attach or close one.
static OPENING: AtomicU32 = AtomicU32::new(0);
/// Threads that fork just now.
static FORKING: AtomicU32 = AtomicU32::new(0);

/// The time in which a file is opened or closed and noted (`files.rs`): a fork waits for its end, so that a child knows
/// of every file that SQLite has open, and does not find the lock in use under which SQLite opens files.
#[must_use]
pub(super) struct Opening(());

impl Opening {
    pub(super) fn begin() -> Self {
        loop {
            OPENING.fetch_add(1, Ordering::SeqCst);
            if FORKING.load(Ordering::SeqCst) == 0 {
                return Self(());
            }
            OPENING.fetch_sub(1, Ordering::SeqCst);
            thread::yield_now();
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        // In a child that was forked within it, it is over already.
        let _ = OPENING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |opening| opening.checked_sub(1));
    }
}

/// Starts counting forks. Called before the first open.
#[cfg(unix)]
pub(super) fn watch() {
    use std::ffi::c_int;
    use std::sync::atomic::AtomicBool;

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
    }

    /// How often a fork looks whether nobody opens or closes a file any more. Not without end: this thread may be the
    /// one, in something that is called meanwhile, and attaching may wait for a lock.
    const LOOKS_MAX: u32 = 100;

    unsafe extern "C" fn prepare() {
        FORKING.fetch_add(1, Ordering::SeqCst);
        for look in 0..LOOKS_MAX {
            if OPENING.load(Ordering::SeqCst) == 0 {
                break;
            }
            if look < LOOKS_MAX / 2 { thread::yield_now() } else { thread::sleep(Duration::from_millis(1)) }
        }
    }

    unsafe extern "C" fn in_parent() {
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }

    unsafe extern "C" fn in_child() {
        NOW.fetch_add(1 << 32, Ordering::Relaxed);
        FORKING.store(0, Ordering::SeqCst);
        OPENING.store(0, Ordering::SeqCst);
    }

    // No `Once`, which a child may find in the hands of a thread that it does not have. Handlers that two threads have
    // installed at the same time do no more than those of one.
    static IS_WATCHING: AtomicBool = AtomicBool::new(false);
    if IS_WATCHING.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: the handlers work on atomics and yield or sleep, all of which is async-signal-safe, so that they may run in
    // the child of a multi-threaded process. They are functions of this library, which must not be unloaded (README,
    // effects). A failure (ENOMEM) leaves forks undetected; there is nothing to undo.
    let _ = unsafe { pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    IS_WATCHING.store(true, Ordering::Release);
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

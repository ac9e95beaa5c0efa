//! Detection of `fork`: the process to which a connection belongs.
//!
//! A child process must neither use nor close a SQLite connection that it inherited through `fork`
//! (sqlite.org/howtocorrupt.html, 2.6): the connection assumes locks that only the parent holds, and closing it rolls
//! back the parent's transaction in the file. A counter is incremented in every forked child, so one relaxed load
//! distinguishes an inherited connection from one of this process.
//!
//! The same load shows whether the figures of all connections were requested since this connection last published its
//! own. Both events change one word, so checking for both costs no more than checking for one:
//!
//! ```text
//! NOW (64 bits):  | number of forks (32) | number of requests for figures (32) |
//! ```

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Number of forks in the upper half, number of requests for figures in the lower half.
static NOW: AtomicU64 = AtomicU64::new(0);

const REQUESTS: u64 = u32::MAX as u64;

/// Value of `NOW`: it changes with each fork and each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    /// A value that `NOW` never has: the number of forks cannot reach 2^32 - 1.
    pub(crate) const NEVER: Self = Self(u64::MAX);
    /// Another one.
    pub(crate) const WATCHED: Self = Self(u64::MAX - 1);
}

#[inline(always)]
pub(crate) fn now() -> Moment {
    Moment(NOW.load(Ordering::Relaxed))
}

/// Returns the number of forks between the process that loaded the library and this one.
#[inline(always)]
pub(crate) fn generation() -> u32 {
    let [.., a, b, c, d] = (NOW.load(Ordering::Relaxed) >> 32).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Requests the figures of all connections: each publishes them when it is next used.
pub(crate) fn request_figures() {
    let _ = NOW.fetch_update(Ordering::Release, Ordering::Relaxed, |now| Some(after_request(now)));
}

/// Returns the value after a request. The lower half wraps around to 1 and does not carry into the upper half.
fn after_request(now: u64) -> u64 {
    (now & !REQUESTS) | (now.wrapping_add(1) & REQUESTS).max(1)
}

/// Whether figures were ever requested.
pub(crate) fn are_figures_asked() -> bool {
    NOW.load(Ordering::Relaxed) & REQUESTS != 0
}

/// Number of threads that are opening, attaching or closing a database.
static OPENING: AtomicU32 = AtomicU32::new(0);
/// Number of threads that are forking.
static FORKING: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Number of `Opening` guards of this thread, plus one while it forks: other fork handlers of the program may open
    /// and close databases in between.
    static EXEMPTIONS: Cell<u32> = const { Cell::new(0) };
}

/// Changes the exemptions of this thread, and returns the number before.
fn exempt(change: impl FnOnce(u32) -> u32) -> u32 {
    EXEMPTIONS.try_with(|exemptions| exemptions.replace(change(exemptions.get()))).unwrap_or_default()
}

/// Waits between two looks at what another thread does, numbered from 0.
fn pause(look: u32) {
    const YIELDS: u32 = 50;
    if look < YIELDS { thread::yield_now() } else { thread::sleep(Duration::from_millis(1)) }
}

/// Guard for the time in which a file is opened or closed and listed (`files.rs`). A fork waits for its end, for a
/// limited time, so that the child's list contains every file that SQLite has open, and SQLite's lock for opening files
/// is not held in the child.
#[must_use]
pub(crate) struct Opening(());

impl Opening {
    pub(crate) fn begin() -> Self {
        /// Longest wait for a fork, about a second. It is limited because a fork handler of the program may wait for
        /// this thread.
        const LOOKS_MAX: u32 = 1_000;
        let is_exempt = exempt(|exemptions| exemptions + 1) != 0;
        let mut look = 0;
        loop {
            OPENING.fetch_add(1, Ordering::SeqCst);
            if is_exempt || FORKING.load(Ordering::SeqCst) == 0 || look == LOOKS_MAX {
                return Self(());
            }
            OPENING.fetch_sub(1, Ordering::SeqCst);
            pause(look);
            look += 1;
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        exempt(|exemptions| exemptions.saturating_sub(1));
        // In a child that was forked during this guard, `in_child` has already reset the counter to 0.
        let _ = OPENING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |opening| opening.checked_sub(1));
    }
}

/// Registers the fork handlers. Called before the first open.
#[cfg(unix)]
pub(crate) fn watch() {
    use std::ffi::c_int;
    use std::sync::atomic::AtomicBool;

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> c_int;
    }

    /// Largest number of times that a fork checks whether other threads are still opening or closing files, about a
    /// second. It is limited because attaching may wait for a lock.
    const LOOKS_MAX: u32 = 1_000;

    unsafe extern "C" fn prepare() {
        // The forking thread may itself be opening a file, in a callback.
        let own = exempt(|exemptions| exemptions + 1);
        FORKING.fetch_add(1, Ordering::SeqCst);
        for look in 0..LOOKS_MAX {
            if OPENING.load(Ordering::SeqCst) <= own {
                break;
            }
            pause(look);
        }
    }

    unsafe extern "C" fn in_parent() {
        exempt(|exemptions| exemptions.saturating_sub(1));
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }

    unsafe extern "C" fn in_child() {
        exempt(|exemptions| exemptions.saturating_sub(1));
        NOW.fetch_add(1 << 32, Ordering::Relaxed);
        FORKING.store(0, Ordering::SeqCst);
        OPENING.store(0, Ordering::SeqCst);
    }

    // A `Once` is not used: if another thread is running it at the fork, it never completes in the child. Two threads
    // may both register the handlers; running the handlers twice has the same effect as once.
    static IS_WATCHING: AtomicBool = AtomicBool::new(false);
    if IS_WATCHING.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: pthread_atfork(3) takes functions that live as long as the process: these are of this library, which must
    // not be unloaded (README, effects; rule 24). Only `in_child` runs in the child, where a thread of a multi-threaded
    // process may call only async-signal-safe functions; it uses atomics and a variable of the thread that has no
    // destructor. `prepare` and `in_parent` run on the forking thread of the parent. A failure (ENOMEM) leaves forks
    // undetected; there is nothing to undo.
    let _ = unsafe { pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    IS_WATCHING.store(true, Ordering::Release);
}

/// Does nothing: this system has no `fork`.
#[cfg(not(unix))]
pub(crate) fn watch() {}

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

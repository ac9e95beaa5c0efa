//! `sqlite3_interrupt` from another thread, safe even after the connection is closed.

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ffi;
use super::os::fork;

/// Target shared by a `Db` and its interrupt handles. The `Db` clears it before it closes.
pub(crate) struct Interrupter {
    state: Mutex<State>,
    fork_generation: u32,
}

struct State {
    target: Option<Target>,
    /// Whether the connection was interrupted, at any time.
    was_interrupted: bool,
    /// Connections that work for this one: they are interrupted with it.
    followers: Vec<Arc<Interrupter>>,
}

struct Target(NonNull<ffi::sqlite3>);

// SAFETY: the pointer is used for `sqlite3_interrupt` alone, which is exempt from rule 12: c3ref/interrupt.html allows
// it "from a thread different from the thread that is currently running the database operation". The mutex around it
// keeps the connection open during the call, as the page requires (rule 6).
unsafe impl Send for Target {}

impl Interrupter {
    /// Creates the target. `fork_generation` is the connection's: the handle may be created in a child process that
    /// inherited the connection.
    pub(super) fn new(db: Option<NonNull<ffi::sqlite3>>, fork_generation: u32) -> Self {
        let state = State { target: db.map(Target), was_interrupted: false, followers: Vec::new() };
        Self { state: Mutex::new(state), fork_generation }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts the connection's running statements; returns `false` if it is closed or belongs to another process.
    pub(crate) fn interrupt(&self) -> bool {
        // A lock held by another thread at the moment of the fork is never released in the child.
        if self.fork_generation != fork::generation() {
            return false;
        }
        let mut state = self.lock();
        state.was_interrupted = true;
        // A follower has none, so that locks are taken in one order.
        for follower in &state.followers {
            follower.interrupt();
        }
        let Some(Target(db)) = state.target.as_ref() else {
            return false;
        };
        // SAFETY: `disarm` takes the pointer out, under this lock, before `sqlite3_close`; so the connection is open
        // until the guard is released (rule 6). c3ref/interrupt.html: it must not be one that "might close before
        // sqlite3_interrupt() returns". The call sets a flag and calls nothing back, so the lock may be held (rule 4).
        unsafe { ffi::sqlite3_interrupt(db.as_ptr()) };
        true
    }

    /// Whether the connection was interrupted, at any time. SQLite forgets an interrupt when no statement is running.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.lock().was_interrupted
    }

    /// Interrupts other connections with this one, for as long as the guard exists. No connection follows two at a time.
    pub(crate) fn lead(self: Arc<Self>, followers: Vec<Arc<Self>>) -> Leading {
        self.lock().followers.extend(followers.iter().map(Arc::clone));
        Leading { leader: self, followers }
    }

    /// Clears the target: later interrupts do nothing.
    pub(super) fn disarm(&self) {
        self.lock().target = None;
    }

    /// Undoes `disarm`, for a connection that could not be closed.
    pub(super) fn rearm(&self, db: NonNull<ffi::sqlite3>) {
        self.lock().target = Some(Target(db));
    }
}

/// Guard of [`Interrupter::lead`].
#[must_use]
pub(crate) struct Leading {
    leader: Arc<Interrupter>,
    followers: Vec<Arc<Interrupter>>,
}

impl Drop for Leading {
    fn drop(&mut self) {
        // A lock held by another thread at the moment of the fork is never released in the child.
        if self.leader.fork_generation == fork::generation() {
            let is_own = |other: &Arc<Interrupter>| self.followers.iter().any(|own| Arc::ptr_eq(own, other));
            self.leader.lock().followers.retain(|other| !is_own(other));
        }
    }
}

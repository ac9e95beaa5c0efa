//! `sqlite3_interrupt` from another thread, safe even after the connection is closed.

use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use super::ffi;
use super::os::fork;

/// Target shared by a `Db` and its interrupt handles. The `Db` clears it before it closes.
pub(crate) struct Interrupter {
    target: Mutex<Option<Target>>,
    fork_generation: u32,
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
        Self { target: Mutex::new(db.map(Target)), fork_generation }
    }

    /// Interrupts the connection's running statements; returns `false` if it is closed or belongs to another process.
    pub(crate) fn interrupt(&self) -> bool {
        // A lock held by another thread at the moment of the fork is never released in the child.
        if self.fork_generation != fork::generation() {
            return false;
        }
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Target(db)) = target.as_ref() else {
            return false;
        };
        // SAFETY: `disarm` takes the pointer out, under this lock, before `sqlite3_close`; so the connection is open
        // until the guard is released (rule 6). c3ref/interrupt.html: it must not be one that "might close before
        // sqlite3_interrupt() returns". The call sets a flag and calls nothing back, so the lock may be held (rule 4).
        unsafe { ffi::sqlite3_interrupt(db.as_ptr()) };
        true
    }

    /// Clears the target: later interrupts do nothing.
    pub(super) fn disarm(&self) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Undoes `disarm`, for a connection that could not be closed.
    pub(super) fn rearm(&self, db: NonNull<ffi::sqlite3>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(Target(db));
    }
}

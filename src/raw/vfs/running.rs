//! Calls from C into methods of a file system of the program.
//!
//! Such a call belongs to a thread: C does not say which connection it works for. While one runs, no connection of this
//! thread can be entered ([`is_running`]). A panic is parked for the thread ([`call`]), and resumed by the next call of a
//! connection of this thread that may resume one: that is the call that entered C, unless it is a cleanup. On a thread of
//! SQLite's own, which sorts, no call follows: the panic is logged and counted when the thread ends.
//!
//! In a process that never registers such a file system, no connection looks here: see [`begin_use`].

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::raw::allocator::Charge;
use crate::raw::callback::tell_of_lost_panic;
use crate::raw::os::fork;
use crate::track::discard;

/// Whether a file system of the program was ever registered.
static IS_IN_USE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Number of methods on the stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// `errno` of the last method that failed.
    static ERRNO: Cell<i32> = const { Cell::new(0) };
    static PARKED: Slot = const { Slot(Cell::new(None)) };
}

/// Panic that must not unwind through C.
struct Slot(Cell<Option<Box<dyn Any + Send>>>);

impl Drop for Slot {
    fn drop(&mut self) {
        // The thread ends: one of SQLite's, or of another driver's.
        if let Some(payload) = self.0.take() {
            tell_of_lost_panic();
            discard(payload);
        }
    }
}

/// Has every connection look at [`is_running`] at each entry from now on. Called before SQLite can call a method.
pub(super) fn begin_use() {
    if !IS_IN_USE.swap(true, Ordering::SeqCst) {
        // What connections have compared until now is out of date.
        fork::request_figures();
    }
}

/// Whether connections have to look at [`is_running`] at each entry.
pub(in crate::raw) fn is_in_use() -> bool {
    IS_IN_USE.load(Ordering::Relaxed)
}

/// Whether this thread is in a method of a file system of the program: C is running, for a connection that is unknown.
pub(in crate::raw) fn is_running() -> bool {
    is_in_use() && DEPTH.try_with(Cell::get).unwrap_or_default() > 0
}

/// Runs a method of the program for C. Returns `None` if it panicked.
pub(super) fn call<R>(run: impl FnOnce() -> R) -> Option<R> {
    let depth = DEPTH.try_with(|depth| depth.replace(depth.get() + 1)).unwrap_or_default();
    let charge = Charge::to_nobody();
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    drop(charge);
    let _ = DEPTH.try_with(|of| of.set(depth));
    match result {
        Ok(result) => Some(result),
        Err(payload) => {
            park(payload);
            None
        }
    }
}

/// Keeps the payload of a panic. Of several, the first is kept.
#[cold]
fn park(payload: Box<dyn Any + Send>) {
    if cfg!(feature = "loadable-extension") {
        // The call that entered C is the host's, and SQLite's error is all that it gets.
        tell_of_lost_panic();
        return discard(payload);
    }
    let mut payload = Some(payload);
    let _ = PARKED.try_with(|slot| {
        let first = slot.0.take();
        slot.0.set(if first.is_some() { first } else { payload.take() });
    });
    if let Some(another) = payload {
        discard(another);
    }
}

/// Returns the payload of a panic that is parked for this thread.
pub(in crate::raw) fn take_parked() -> Option<Box<dyn Any + Send>> {
    if !is_in_use() || is_running() {
        return None;
    }
    PARKED.try_with(|slot| slot.0.take()).ok().flatten()
}

/// Whether a panic is parked for this thread.
pub(in crate::raw) fn has_parked() -> bool {
    let has = |slot: &Slot| {
        let payload = slot.0.take();
        let has = payload.is_some();
        slot.0.set(payload);
        has
    };
    is_in_use() && PARKED.try_with(has).unwrap_or_default()
}

/// Resumes a panic of a method that a call without a connection has caused. Not for Drop.
pub(in crate::raw) fn resume() {
    if !thread::panicking()
        && let Some(payload) = take_parked()
    {
        panic::resume_unwind(payload);
    }
}

/// Keeps the `errno` of a failure for `xGetLastError`.
pub(super) fn set_errno(errno: i32) {
    let _ = ERRNO.try_with(|last| last.set(errno));
}

pub(super) fn errno() -> i32 {
    ERRNO.try_with(Cell::get).unwrap_or_default()
}

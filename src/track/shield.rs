//! Protection against panics where no code may unwind: in Drop, when closing, and when a handle is repaired.

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Emits an event and discards a panic of the subscriber, which must not leave a handle half closed.
pub(crate) fn shielded(send: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(send)) {
        discard(payload);
    }
}

/// Drops the payload of a panic. If dropping it panics too, the second payload is leaked.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
}

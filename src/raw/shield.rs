//! Events that are sent from where nothing may unwind: Drop, closing, what repairs a handle.

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Sends an event. A subscriber that panics is somebody else's; it must not leave a handle half ended.
pub(crate) fn shielded(send: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(send)) {
        discard(payload);
    }
}

/// Drops what a panic carried, which may panic too: what that carries is left.
pub(super) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
}

//! Events that are sent from where nothing may unwind: Drop, closing, what repairs a handle.

use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Sends an event. A subscriber that panics is somebody else's; it must not leave a handle half ended.
pub(crate) fn shielded(send: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(send)) {
        // Dropping it might panic again.
        mem::forget(payload);
    }
}

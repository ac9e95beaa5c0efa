//! Protection against panics where no code may unwind: in Drop, when closing, and when a handle is repaired.

use std::panic::{self, AssertUnwindSafe};

pub(crate) use crate::raw::os::threads::discard;

/// Emits an event and discards a panic of the subscriber, which must not leave a handle half closed.
pub(crate) fn shielded(send: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(send)) {
        discard(payload);
    }
}

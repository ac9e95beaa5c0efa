//! Requests that last as long as a value exists.

use std::sync::atomic::{AtomicU32, Ordering};

/// Number of the requests for one thing that exist.
#[derive(Debug)]
pub(crate) struct Demands(AtomicU32);

impl Demands {
    pub(crate) const fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether there is a request.
    #[inline(always)]
    pub(crate) fn exist(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Makes a request.
    pub(crate) fn start(&'static self) -> Demand {
        self.0.fetch_add(1, Ordering::Relaxed);
        Demand(self)
    }
}

/// A request. Dropping it ends the request.
#[derive(Debug)]
#[must_use]
pub(crate) struct Demand(&'static Demands);

impl Drop for Demand {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

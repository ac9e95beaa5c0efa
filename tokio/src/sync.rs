//! The locks and the flag of a hand-over and of a queue. `tests/loom/` has loom's in their place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

//! The lock of a hand-over. `tests/loom.rs` has loom's in its place.

pub(crate) use std::sync::{Mutex, MutexGuard};

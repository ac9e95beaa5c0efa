//! Items for the other crates of finalite's workspace. They are outside semver: each of those crates depends on one
//! exact version of finalite.

pub use crate::worker::{Stop, Worker};

/// Version of finalite.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

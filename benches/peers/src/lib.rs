//! What the bench programs share: the sample data, the work that everybody does, the references in C, the statistics.

pub mod column;
pub mod environment;
pub mod listener;
pub mod native;
pub mod reference;
pub mod report;
pub mod sample;
pub mod statistics;
pub mod work;

/// Any error: a bench program stops at the first.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

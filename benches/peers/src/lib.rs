//! What the bench programs share: the sample data, the work that everybody does, the references in C, the statistics.

pub mod column;
pub mod dates;
pub mod environment;
pub mod file_cache;
pub mod functions;
pub mod hooks;
pub mod listener;
pub mod lists;
pub mod moving;
pub mod native;
pub mod reference;
pub mod report;
pub mod sample;
pub mod scans;
pub mod small;
pub mod statistics;
pub mod structs;
pub mod tables;
pub mod task;
pub mod work;

pub use task::Result;

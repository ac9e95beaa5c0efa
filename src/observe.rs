//! Figures for people and programs that inspect the process: handles, native memory, leak checks, statistics.

mod diagnostics;
pub mod handles;
pub(crate) mod leak_check;
pub mod memory;
mod process;
pub mod stats;
pub(crate) mod wal;

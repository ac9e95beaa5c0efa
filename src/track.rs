//! Accounting of what is alive, readable from any thread: counts and records of handles, published figures, open files,
//! state that each process of a fork has for itself.
//!
//! No code here calls SQLite.

pub(crate) mod activity;
pub(crate) mod counts;
pub(crate) mod demand;
pub(crate) mod figures;
pub(crate) mod open_files;
pub(crate) mod per_process;
pub(crate) mod registry;
mod shield;
mod taint;

pub use counts::HandleKind;
pub use per_process::PerProcess;
pub(crate) use per_process::Process;
pub(crate) use shield::{discard, shielded};
pub(crate) use taint::Taint;

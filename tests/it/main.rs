//! The public API, by concept. What compares process-wide counters is in binaries of its own (`lifecycle.rs`).

mod advice;
mod advisories;
#[path = "../alone/mod.rs"]
mod alone;
mod batch;
mod batches;
mod cache;
mod close;
mod contention;
mod conversions;
mod diagnostics;
mod errors;
mod events;
mod exact;
mod journal_mode;
mod moving;
mod names;
mod open;
#[path = "../panicking/mod.rs"]
mod panicking;
mod params;
mod pragma;
mod returning;
mod rows;
mod rules;
mod scan;
mod statement;
#[cfg(target_os = "linux")]
#[path = "../system/mod.rs"]
mod system;
mod transaction;
mod words;

//! The public API, by concept. What compares process-wide counters is in binaries of its own (`lifecycle.rs`).

mod advisories;
mod batch;
mod cache;
mod close;
mod contention;
mod exact;
mod open;
mod pragma;
mod returning;
mod rows;
mod rules;
mod statement;
mod transaction;

//! The public API, by concept. What compares process-wide counters is in binaries of its own (`lifecycle.rs`).

mod batch;
mod cache;
mod close;
mod contention;
mod open;
mod pragma;
mod returning;
mod rows;
mod statement;
mod transaction;

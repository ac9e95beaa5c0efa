//! The public API, by concept. What compares figures of the whole process, or listens to events, is in
//! `tests/alone`.

mod advice;
mod advisories;
mod aggregates;
mod backup;
mod batch;
mod batches;
mod blob;
mod cache;
mod close;
mod collations;
#[path = "../common/mod.rs"]
mod common;
mod contention;
mod conversions;
mod deadlines;
mod diagnostics;
mod errors;
mod exact;
mod functions;
mod hooks;
mod journal_mode;
mod moving;
mod names;
mod open;
mod params;
mod pool;
mod pragma;
mod returning;
mod rows;
mod rules;
mod scan;
mod statement;
mod transaction;
mod watch;
mod words;

//! The public API, by concept. What compares figures of the whole process, or listens to events, is in
//! `tests/alone`.

mod advice;
mod advisories;
mod aggregates;
mod attach;
mod backup;
mod batch;
mod batches;
mod blob;
mod cache;
mod checkpoint;
#[cfg(feature = "sqlcipher")]
mod cipher;
mod close;
mod collations;
#[path = "../common/mod.rs"]
mod common;
mod contention;
mod conversions;
mod csv;
mod db_config;
mod deadlines;
mod debug;
mod derive;
mod diagnostics;
mod errors;
mod exact;
mod explain;
mod extension;
mod file_control;
mod fts;
mod functions;
mod hooks;
mod insert;
mod journal_mode;
mod limits;
mod lists;
mod maintenance;
mod migrations;
mod moving;
mod names;
mod open;
mod params;
mod pool;
mod pragma;
mod print;
mod returning;
mod rows;
mod rtree;
mod rules;
mod scan;
#[cfg(feature = "scan-status")]
mod scan_status;
mod schema;
mod serialize;
#[cfg(feature = "session")]
mod session;
#[cfg(feature = "snapshot")]
mod snapshot;
mod sql_text;
mod statement;
mod statement_key;
mod status;
mod table_functions;
mod transaction;
mod transaction_state;
mod types;
mod untrusted;
mod vfs;
mod virtual_tables;
mod wal_status;
mod watch;
mod words;

//! A SQLite driver whose handles close deterministically, with built-in accounting of open handles and native memory.
//!
//! Dropping a [`Connection`] closes it, dropping a [`Statement`] finalizes it or returns it to the statement cache, and
//! dropping [`Rows`] resets the statement. Each happens in `Drop`, immediately and on the current thread. There is no
//! finalizer queue, no zombie connection and no deferred work. Open handles are counted ([`handles`]), and so is the
//! memory that SQLite allocates ([`memory`]). Handles that a program leaks (`mem::forget`) are found, finalized and
//! reported when their connection closes.
//!
//! ```
//! use finalite::Connection;
//!
//! let conn = Connection::open_in_memory()?;
//! conn.execute_batch(
//!     "CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
//!      INSERT INTO people(name) VALUES ('Ada'), ('Grace');",
//! )?;
//!
//! let mut statement = conn.prepare("SELECT id, name FROM people WHERE name > ?")?;
//! let mut rows = statement.query(("B",))?;
//! while let Some(row) = rows.next()? {
//!     let name: &str = row.get("name")?; // SQLite's own memory, until the next row
//!     assert_eq!(name, "Grace");
//! }
//! # Ok::<(), finalite::Error>(())
//! ```
//!
//! # Overview
//!
//! - Opening a database: [`Connection::open`], [`OpenOptions`].
//! - Running SQL in one call: [`Connection::execute`], [`query_one`](Connection::query_one),
//!   [`query_all`](Connection::query_all), [`execute_batch`](Connection::execute_batch). Except for `execute_batch`,
//!   statements are cached.
//! - Running a statement repeatedly and reading row by row: [`Connection::prepare`], [`Statement`], [`Rows`], [`Row`].
//! - Values: [`convert`] has the tables of all conversions and of the formats of dates. [`Params`] is the trait of values
//!   to bind, [`FromRow`] that of types a row can be read as. Both are derived for structs (feature `derive`), which
//!   [`insert_into`](Connection::insert_into) and [`upsert`](Connection::upsert) then write.
//! - Reading a whole result, or a whole table from its database pages: [`scan`].
//! - Reading and writing parts of a large value: [`Connection::blob`]. Copies of a database in use:
//!   [`Connection::backup_to`], [`Connection::vacuum_into`], [`data`].
//! - A list as one parameter, for `IN`: [`array()`].
//! - Statements beside the connection: [`StatementKey`]. Checked at compile time, by the macro `sql!` of the crate
//!   [`finalite-sql`](https://docs.rs/finalite-sql).
//! - Versions of the schema: [`data::Migrations`].
//! - Transactions: [`Connection::transaction`], [`Transaction`], [`Savepoint`].
//! - The schema of a database: [`Connection::schema`], [`Connection::table_exists`]. The plan of a query, to look at or
//!   for tests: [`Connection::query_plan`].
//! - Files and SQL from strangers: [`OpenOptions::untrusted`].
//! - SQL that calls Rust: [`extend`]. The same as an extension for any SQLite: [`loadable_extension!`].
//! - File systems in Rust: [`vfs`]. In memory, read only from bytes of the program, or the program's own.
//! - Errors: [`Error`], [`ErrorKind`].
//! - Accounting: memory allocated by SQLite in [`memory`], open handles in [`handles`], both checked in a test by
//!   [`LeakCheck`], all figures in [`stats`].
//! - Settings: [`Connection::pragma`], [`set_pragma`](Connection::set_pragma), SQLite's limits
//!   ([`set_limit`](Connection::set_limit)) and switches ([`set_db_config`](Connection::set_db_config)).
//! - Maintenance: [`Connection::checkpoint`], [`wal_status`](Connection::wal_status),
//!   [`integrity_check`](Connection::integrity_check), [`optimize`](Connection::optimize).
//! - Attached databases: [`Connection::attach`]. Quoting of names and values: [`sql`].
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `bundled`, on by default | SQLite, compiled into the binary; without it the system's is linked |
//! | `session` | sessions, changesets and pre-update hooks: `Connection::session`, `apply_changeset`, `on_preupdate` |
//! | `snapshot` | snapshots of a write-ahead log: `Connection::snapshot`, `transaction_at` |
//! | `scan-status` | what SQLite measures of each step of a statement: `Statement::scan_status` |
//! | `sqlcipher` | encrypted databases: SQLCipher in place of SQLite, with the system's OpenSSL; `OpenOptions::key` |
//! | `derive` | `#[derive(FromRow, Params)]` for structs that are rows, `#[derive(FromSql, ToSql)]` for types that are columns |
//! | `chrono`, `time`, `jiff` | dates and times of these crates, in a [format](convert#dates-and-times) that the type tells |
//! | `uuid`, `url`, `serde_json`, `rust_decimal` | [values](convert#types-of-other-crates) of these crates; `convert::Json`, `convert::Jsonb` |
//! | `count-system-sqlite` | [`memory`] of a system SQLite |
//! | `loadable-extension` | extensions that any program loads into its SQLite: [`loadable_extension!`]; not together with `bundled` |
//! | `fault-injection` | allocations that fail: `memory::fail_after`; files that do, and power cuts: `faults` |
//!
//! `session`, `snapshot` and `scan-status` need a SQLite that is compiled for them. In a program's `.cargo/config.toml`,
//! for all three:
//!
//! ```toml
//! [env]
//! LIBSQLITE3_FLAGS = "-DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK -DSQLITE_ENABLE_SNAPSHOT -DSQLITE_ENABLE_STMT_SCANSTATUS"
//! ```
//!
//! # Logging
//!
//! Events are emitted through [`tracing`](https://docs.rs/tracing) with the targets below. They contain SQL, but never
//! bound values.
//!
//! | target | level | events |
//! |---|---|---|
//! | `finalite::open` | DEBUG | a connection is opened or closed, with its number and the location that opened it |
//! | `finalite::statement` | DEBUG | a statement is prepared; a guard is dropped without a commit and rolled back |
//! | `finalite::statement` | TRACE | a statement is run, including `COMMIT` and similar statements of a guard |
//! | `finalite::cache` | TRACE | the statement cache misses or evicts a statement |
//! | `finalite::scan` | DEBUG | a scan that requested [pages] reads through the statement instead, with the reason |
//! | `finalite::slow` | WARN | an execution took at least the duration set by [`Connection::set_slow_threshold`] |
//! | `finalite::leak` | WARN, ERROR | a handle is open for a long time, was leaked, or cannot be closed |
//! | `finalite::migration` | DEBUG, ERROR | a migration is applied or taken back; foreign keys stay off after one |
//! | `finalite::pool` | DEBUG to ERROR | checkpoints; a connection closed, not reused; a pool ended during a checkout |
//! | `finalite::endpoint` | DEBUG to ERROR | a message of the crate `finalite-endpoint` |
//! | `finalite::worker` | ERROR | a background thread of finalite panicked, or a call of `finalite-tokio` that nobody awaits |
//!
//! [pages]: scan::ScanStrategy::Pages
//!
//! Errors that cannot be returned, because they occur in `Drop`, are logged at level ERROR with the target of their
//! area. Events of statements carry the number of the connection and its name, if it has one. They also carry the
//! source location that prepared the statement or, for a statement of a guard, the one that opened the transaction.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, unsafe_code, unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block, clippy::missing_safety_doc)]
#![deny(
    clippy::cast_lossless,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::ptr_as_ptr
)]
#![warn(clippy::incompatible_msrv, missing_debug_implementations, unreachable_pub)]
#![warn(
    clippy::doc_markdown,
    clippy::explicit_iter_loop,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::redundant_closure_for_method_calls,
    clippy::semicolon_if_nothing_returned
)]

#[cfg(target_family = "wasm")]
compile_error!(
    "finalite does not run on wasm: it relies on threads, on POSIX or Windows files and on a C library built for them"
);

#[cfg(all(feature = "loadable-extension", any(feature = "bundled", feature = "count-system-sqlite")))]
compile_error!(
    "the feature `loadable-extension` excludes `bundled` and `count-system-sqlite`: an extension uses the SQLite of the \
     program that loads it. Remedy: `finalite = { default-features = false, features = [\"loadable-extension\"] }`, built \
     on its own (`cargo build -p`), as Cargo unites the features of packages that it builds together"
);
#[cfg(all(feature = "loadable-extension", any(feature = "session", feature = "snapshot", feature = "scan-status")))]
compile_error!(
    "the features `session`, `snapshot` and `scan-status` are not for extensions: the table of functions that SQLite \
     passes to an extension lacks theirs. Remedy: leave them out, or leave out `loadable-extension`"
);

mod btree;
pub mod coming_from;
mod connection;
pub mod convert;
mod core;
pub mod data;
mod error;
pub mod explain;
pub mod extend;
#[cfg(feature = "fault-injection")]
pub mod faults;
#[allow(unsafe_code)]
pub mod ffi;
pub mod insert;
mod observe;
mod pages;
pub mod pool;
mod print;
#[allow(unsafe_code)]
mod raw;
pub mod scan;
pub mod schema;
pub mod sql;
pub mod sqlite;
mod statement;
mod track;
mod transaction;
mod value;
pub mod vfs;
mod worker;
#[doc(hidden)]
pub mod workspace;

#[cfg(any(feature = "sqlcipher", docsrs))]
pub use connection::Key;
pub use connection::{
    AnyParams, Attached, CheckScope, Checkpoint, CheckpointMode, CloseError, Connection, DbConfig, ForeignKeyViolation,
    ForeignKeyViolations, IntegrityProblem, IntegrityProblems, InterruptHandle, JournalMode, Limit, NamedParams,
    OpenOptions, ParamFor, ParamsFor, PragmaValue, ScopedLimit, Script, StatementKey,
};
pub use convert::{Array, FromSql, Param, ToSql, ZeroBlob, array};
pub use core::cache::StatementCacheStats;
pub use error::{
    BlobObstacle, ChangesetObstacle, Constraint, ConstraintKind, Error, ErrorKind, ExceededLimit, MigrationProblem,
    NameKind, OptionalExtension, Result, ResultCode, SqlPosition,
};
pub use observe::leak_check::{LeakCheck, LeakReport, ProcessSnapshot};
pub use observe::wal::WalStatus;
pub use observe::{handles, memory, stats};
pub use print::TextTable;
pub use scan::{ColumnBatch, Scan};
#[doc(hidden)]
pub use statement::derive;
#[doc(hidden)]
pub use statement::params::macros;
pub use statement::params::{
    Binder, NamedParamsFromIter, Params, ParamsFromIter, named_params_from_iter, params_from_iter,
};
pub use statement::{
    ColumnIndex, ColumnKey, ColumnMetadata, FromColumns, FromRow, OwnedRows, QueryAs, QueryMap, Row, RowSource, Rows,
    Statement, StatementCounters, ToColumns,
};
pub use transaction::{CommitError, DropBehavior, Savepoint, Transaction, TransactionBehavior, TransactionState};
pub use value::{ConversionError, Type, Value, ValueRef};

#[cfg(feature = "scan-status")]
pub use statement::ScanStep;

#[cfg(feature = "derive")]
pub use finalite_derive::{FromRow, FromSql, Params, ToSql};

#[doc = include_str!("../docs/cookbook.md")]
#[doc(alias("IN list", "attach", "vacuum", "backup", "migrate", "user_version"))]
pub mod cookbook {}

/// Runs the program of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// Runs the programs of the memory guide as doctests.
#[cfg(doctest)]
#[doc = include_str!("../docs/memory.md")]
mod memory_guide {}

//! A SQLite driver with an explicit lifecycle.
//!
//! A value's life is its scope: [`Connection`] closes, [`Statement`] finalizes, [`Rows`] resets, each in `Drop`, now,
//! on this thread. There is no finalizer queue, no zombie connection and no deferred work. Everything alive is counted
//! ([`handles`]), and so is what SQLite allocates ([`memory`]); what a program forgets is found, finalized and reported
//! when its connection closes.
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
//! # Where to find what
//!
//! - Opening: [`Connection::open`], [`OpenOptions`].
//! - Running SQL in one call: [`Connection::execute`], [`query_one`](Connection::query_one),
//!   [`query_all`](Connection::query_all), [`execute_batch`](Connection::execute_batch). Statements are cached.
//! - Running it many times, reading row by row: [`Connection::prepare`], [`Statement`], [`Rows`], [`Row`].
//! - Values: [`convert`] has the table of all conversions; [`Params`] is what can be bound, [`FromRow`] what can be
//!   read.
//! - Reading a whole result, or a whole table from its pages: [`scan`].
//! - [`Connection::transaction`], [`Transaction`], [`Savepoint`].
//! - Errors: [`Error`], [`ErrorKind`].
//! - What SQLite holds: [`memory`]; what is alive: [`handles`]; both in a test: [`LeakCheck`]; all at once: [`stats`].
//! - Pragmas: [`Connection::pragma`], [`Connection::set_pragma`].
//!
//! # Logging
//!
//! Events go to [`tracing`](https://docs.rs/tracing), with these targets. SQL is shown, bound values never are.
//!
//! | target | level | what |
//! |---|---|---|
//! | `finalite::open` | DEBUG | a connection is opened or closed, with its number and where it was opened |
//! | `finalite::statement` | DEBUG, TRACE | a statement is prepared; it runs, `COMMIT` and the like of a guard too; a guard was dropped without a commit, and rolled back |
//! | `finalite::cache` | TRACE | the statement cache misses or evicts |
//! | `finalite::scan` | DEBUG | what was to come from [pages](scan::ScanStrategy::Pages) is left to the statement, and why |
//! | `finalite::slow` | WARN | a statement took as long as [`Connection::set_slow_threshold`] says |
//! | `finalite::leak` | WARN, ERROR | a handle is held for long, was forgotten or cannot be closed |
//! | `finalite::pool` | DEBUG to ERROR | checkpoints; a connection that is not lent again; a pool that ended while lending |
//! | `finalite::endpoint` | DEBUG to ERROR | the server's address; clients that go wrong |
//! | `finalite::worker` | ERROR | a thread of finalite's has panicked |
//!
//! What fails where nobody can be told (in Drop) is an ERROR of the target it belongs to. Events of statements carry the
//! connection's number, its name if it has one, and where the statement was prepared, or the transaction that it belongs to
//! opened.

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

mod cache;
mod connection;
pub mod convert;
mod diagnostics;
#[cfg(feature = "endpoint")]
pub mod endpoint;
mod error;
mod failures;
pub mod handles;
mod interrupt;
mod journal_mode;
mod leak_check;
pub mod memory;
mod open;
mod pages;
mod params;
mod pauses;
pub mod pool;
mod pragma;
mod process;
#[allow(unsafe_code)]
mod raw;
mod result_code;
mod rows;
pub mod scan;
mod script;
mod sql;
pub mod sqlite;
mod statement;
pub mod stats;
mod transaction;
mod tuples;
mod value;
mod worker;

pub use cache::StatementCacheStats;
pub use connection::{CloseError, Connection};
pub use convert::{ConversionError, FromSql};
pub use error::{Constraint, ConstraintKind, Error, ErrorKind, NameKind, OptionalExtension, Result, SqlPosition};
pub use interrupt::InterruptHandle;
pub use journal_mode::JournalMode;
pub use leak_check::{LeakCheck, LeakReport, ProcessSnapshot};
pub use open::OpenOptions;
#[doc(hidden)]
pub use params::macros;
pub use params::{
    Binder, NamedParamsFromIter, Param, Params, ParamsFromIter, ToSql, ZeroBlob, named_params_from_iter,
    params_from_iter,
};
pub use pragma::PragmaValue;
pub use raw::ffi;
pub use result_code::ResultCode;
pub use rows::{ColumnIndex, ColumnKey, FromRow, OwnedRows, QueryAs, QueryMap, Row, RowSource, Rows};
pub use scan::{ColumnBatch, Scan};
pub use script::Script;
pub use statement::{ColumnMetadata, Statement, StatementCounters};
pub use transaction::{CommitError, DropBehavior, Savepoint, Transaction, TransactionBehavior};
pub use value::{Type, Value, ValueRef};

#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}

/// The README's program compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// The guide's programs too.
#[cfg(doctest)]
#[doc = include_str!("../docs/memory.md")]
mod memory_guide {}

//! Tables of SQLite files in [DataFusion](https://datafusion.apache.org), for [finalite](https://docs.rs/finalite).
//!
//! [`SqliteTable`] is a table or a view, [`SqliteDatabase`] all those of a file, as a schema. Tables of several files,
//! and of anything else that DataFusion reads, are joined in one query.
//!
//! ```
//! use std::sync::Arc;
//! use datafusion::arrow::util::pretty::pretty_format_batches;
//! use datafusion::prelude::SessionContext;
//! use finalite::Connection;
//! use finalite_datafusion::SqliteTable;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("shop.db");
//! Connection::open(&path)?.execute_batch(
//!     "CREATE TABLE sale(id INTEGER PRIMARY KEY, price REAL); INSERT INTO sale(price) VALUES (9.5), (0.5)",
//! )?;
//! let ctx = SessionContext::new();
//! ctx.register_table("sale", Arc::new(SqliteTable::open(&path, "sale")?))?;
//! let explained = ctx.sql("EXPLAIN SELECT id FROM sale WHERE price > 1 LIMIT 5").await?.collect().await?;
//! let plan = pretty_format_batches(&explained)?.to_string();
//! assert!(plan.contains("SqliteScan: table=sale, projection=[id], filters=[price > Float64(1)], limit=5"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reading
//!
//! A scan reads the columns that the query needs. Without a filter it reads the pages of the table, as
//! [`scan_table`](finalite::Connection::scan_table) does; with one it runs a statement, which can use an index. A limit
//! ends it early. `count(*)` reads no column.
//!
//! Types are those of [`finalite_arrow`], by the declared types. A column without one has the type of its values in the
//! first rows when the table was opened, and is text if they have none: a view with columns that are computed is run up
//! to its first rows then. A value that does not fit is an error in the rows that are read, unless the [`Options`] say
//! otherwise.
//!
//! # Filters
//!
//! SQLite evaluates comparisons of a column with a literal, `BETWEEN`, `IN`, `IS NULL`, the beginning of a text (`LIKE
//! 'a%'`), and `AND` and `OR` of these, for columns of ordinary tables whose type is declared. Where its rules are not
//! quite DataFusion's, SQLite leaves some rows more, and DataFusion filters these:
//!
//! | column | SQLite | then DataFusion |
//! |---|---|---|
//! | integers, blobs; texts, of any collation; reals | all | no |
//! | booleans | `=`, `NOT`, the column alone | yes: there are texts `true` and `false` |
//! | dates and timestamps | `=`, `<`, `<=`, `>`, `>=`, `BETWEEN`, `IN` | yes: they have several forms |
//! | decimals of at most 15 digits | comparisons | yes |
//! | texts in a file in UTF-16 | `=`, `<>`, `IN` | no |
//! | values that do not fit are NULL ([`Mismatch::Null`](finalite_arrow::Mismatch::Null)) | all but `IS NULL` | yes |
//!
//! DataFusion evaluates all others. A limit is left to SQLite if no filter is evaluated twice.
//!
//! # Inserting
//!
//! `INSERT INTO`, `REPLACE INTO` and `INSERT OVERWRITE` (the table is emptied before) run in one transaction, which an
//! error of the query or of SQLite undoes, and dropping the query.
//!
//! # Changes of the schema
//!
//! A table is described when it is opened. If another connection changes a column that a query needs, the query fails
//! with [`Error::Changed`]; a [`SqliteDatabase`] describes its tables for each query.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
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

mod bridge;
mod database;
mod error;
mod filter;
mod insert;
mod scan;
mod source;
mod stream;
mod table;

pub use database::SqliteDatabase;
pub use error::{Error, Result};
pub use finalite_arrow::Options;
pub use table::SqliteTable;

/// The README's program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

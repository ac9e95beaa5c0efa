//! [Arrow](https://arrow.apache.org) record batches from SQLite and into it, for [finalite](https://docs.rs/finalite).
//!
//! [`record_batches`] reads a result, [`for_each_record_batch`] one batch after another, and [`RecordBatchStream`] on a
//! thread of its own, for consumers that ask for the next batch whenever they like. [`export`] makes an Arrow C stream
//! of it, which pyarrow, polars and DuckDB import. [`insert_record_batches`] inserts the rows of batches into a table.
//!
//! ```
//! use arrow_array::cast::AsArray;
//! use arrow_array::types::{Date32Type, Int64Type};
//! use arrow_array::RecordBatchReader;
//! use finalite::Connection;
//! use finalite_arrow::record_batches;
//!
//! let conn = Connection::open_in_memory()?;
//! conn.execute_batch(
//!     "CREATE TABLE sale(amount INTEGER, day DATE);
//!      INSERT INTO sale VALUES (250, '2024-05-01'), (NULL, '2024-05-02');",
//! )?;
//! let reader = record_batches(conn.scan_table("sale").all_columns())?;
//! assert_eq!(reader.schema().field(1).data_type(), &arrow_schema::DataType::Date32);
//! for batch in reader {
//!     let batch = batch?;
//!     assert_eq!(batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(250), None]);
//!     assert_eq!(batch.column(1).as_primitive::<Date32Type>().value(0), 19_844);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Forms
//!
//! A [`Scan`](finalite::Scan) borrows its connection and calls a closure: while the rows are read, nothing else can hold
//! the statement, and an error, a panic or a break ends it at once. An Arrow reader is the reverse: its consumer asks
//! for the next batch, is `'static`, and for a C stream `Send`. The three forms bridge that:
//!
//! | | connection | memory | the consumer |
//! |---|---|---|---|
//! | [`for_each_record_batch`] | borrowed | one batch | is a closure |
//! | [`record_batches`] | borrowed, until it returns | the whole result | owns all batches, and may outlive the connection |
//! | [`RecordBatchStream`] | owned, on a thread | three batches | asks when it likes, on any thread |
//!
//! # Schema
//!
//! A column of a table has the Arrow type of its declared type, the first line of this table whose words it contains
//! (any case). Otherwise, and for expressions, the type is that of the values in the first batch, or in the first eight if
//! they are NULL in the first.
//!
//! | declared type | Arrow | values that are read |
//! |---|---|---|
//! | `BOOL`, `BOOLEAN` | `Boolean` | 0, 1, and the texts `true` and `false` |
//! | `DATE` | `Date32` | texts of dates; of midnight; whole days in Unix seconds |
//! | `DATETIME…`, `TIMESTAMP…` | `Timestamp(µs)` | texts that SQLite's date functions read, and Unix seconds; in UTC |
//! | `DECIMAL(p, s)`, `NUMERIC(p, s)` up to 38 digits | `Decimal128(p, s)` | numbers, and texts of numbers, with at most `s` decimal places |
//! | `JSON` | `Utf8`, extension type `arrow.json` | texts; numbers, as which SQLite stores their texts |
//! | …`INT`… | `Int64` | integers |
//! | …`CHAR`…, …`CLOB`…, …`TEXT`… | `Utf8` | texts |
//! | …`BLOB`… | `Binary` | blobs |
//! | …`REAL`…, …`FLOA`…, …`DOUB`… | `Float64` | reals, and integers that are exact as such |
//! | other `NUMERIC…`, `DECIMAL…`, `NUMBER…` | `Float64` | numbers that are exact as such; if the first batch has others, as below |
//! | others, and expressions | integers `Int64`, integers and reals `Float64`, texts `Utf8`, blobs `Binary`, NULL alone `Null` | |
//!
//! A REAL in a decimal column counts as the shortest decimal number that reads back as it. Every field is nullable: SQLite promises `NOT NULL` for tables, not for results,
//! which a join may extend. [`Options::declared_types`] limits the types to SQLite's own, and [`Options::column`] sets
//! that of one column.
//!
//! SQLite stores any value in any column, except in STRICT tables. A value that does not fit is an error that names row
//! and column, unless [`Options::mismatch`] makes it NULL, or the column text. This is decided batch by batch:
//! finalite's [`OnTypeMismatch`](finalite::scan::OnTypeMismatch) does not apply.
//!
//! # Copies
//!
//! Integers, reals, texts, blobs and their validity bitmaps have Arrow's layout already and are passed on as they are,
//! in buffers that are exactly Rust's vectors; texts are validated once. Dates, times, booleans and decimals are
//! computed from the values, and so is each column of mixed values.

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

mod column;
mod decimal;
mod declared;
mod error;
mod export;
mod insert;
mod insert_value;
mod options;
mod read;
mod stream;
mod table;
#[doc(hidden)]
pub mod workspace;

pub use error::{Error, Result};
pub use export::{export, export_batch};
pub use insert::{InsertOptions, OnConflict, insert_record_batches};
pub use options::{Mismatch, Options};
pub use read::{RecordBatches, for_each_record_batch, record_batches};
pub use stream::RecordBatchStream;
pub use table::create_batch_table;

/// The README's program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

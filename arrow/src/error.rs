//! Errors.

use arrow_schema::{ArrowError, DataType};
use finalite::Type;

/// An error of reading or inserting record batches.
///
/// It contains no value of the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of finalite or SQLite.
    #[error(transparent)]
    Sqlite(#[from] finalite::Error),
    /// An error of Arrow.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// A value does not fit the Arrow type of its column.
    #[error(
        "row {row}, column {column} ({name}): {found} does not fit {expected}: {reason}; `Options` can set another \
         type, or NULL in its place"
    )]
    Value {
        /// 0-based row of the result.
        row: u64,
        /// 0-based index of the column.
        column: usize,
        /// Name of the column in the result.
        name: Box<str>,
        /// Arrow type of the column.
        expected: DataType,
        /// Storage class of the value.
        found: Type,
        /// Reason.
        reason: &'static str,
    },
    /// The texts or blobs of a column are more than 2 GiB in one batch, and its type has 32-bit offsets.
    #[error(
        "column {column} ({name}): the batch from row {row} on has more than 2 GiB of texts or blobs: read fewer rows \
         at a time, or use `Options::large`"
    )]
    TooLarge {
        /// 0-based row of the result that begins the batch.
        row: u64,
        /// 0-based index of the column.
        column: usize,
        /// Name of the column.
        name: Box<str>,
    },
    /// [`Options::column`](crate::Options::column) has named a column that the result does not have, or a type that
    /// values of SQLite are not read as.
    #[error("column {name}: {reason}")]
    Option {
        /// The name.
        name: Box<str>,
        /// Reason.
        reason: &'static str,
    },
    /// A batch has a column whose type has no counterpart in SQLite, or a value that SQLite cannot store.
    #[error("batch row {row}, column {column} ({name}): {data_type} cannot be inserted: {reason}")]
    Insert {
        /// 0-based row, counted over all batches.
        row: u64,
        /// 0-based index of the column in the batch.
        column: usize,
        /// Name of the column.
        name: Box<str>,
        /// Arrow type of the column.
        data_type: DataType,
        /// Reason.
        reason: &'static str,
    },
    /// SQLite refused a row.
    #[error("batch row {row}: {source}")]
    Row {
        /// 0-based row, counted over all batches.
        row: u64,
        /// SQLite's error, which names the constraint and its columns.
        source: finalite::Error,
    },
    /// The progress callback ended the insertion, which was undone.
    #[error("ended by the progress callback before row {row}")]
    Stopped {
        /// Number of rows that had been inserted.
        row: u64,
    },
    /// The thread of a [`RecordBatchStream`](crate::RecordBatchStream) cannot be started.
    #[error("the thread that reads cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// The thread of a [`RecordBatchStream`](crate::RecordBatchStream) panicked. Its panic was printed and logged.
    #[error("the thread that reads has panicked")]
    Panicked,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        match error {
            Error::Arrow(error) => error,
            error => Self::ExternalError(Box::new(error)),
        }
    }
}

//! Errors.

use datafusion_common::DataFusionError;

/// An error of opening, reading or inserting into a table.
///
/// DataFusion has it as [`DataFusionError::External`]. It contains no value of the database.
///
/// # Example
///
/// ```
/// use datafusion::error::DataFusionError;
/// use finalite_datafusion::{Error, SqliteTable};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("shop.db");
/// finalite::Connection::open(&path)?;
/// let error = SqliteTable::open(&path, "sale").unwrap_err();
/// assert!(error.to_string().contains("no such table"));
/// let DataFusionError::External(error) = DataFusionError::from(error) else { panic!() };
/// assert!(matches!(error.downcast_ref(), Some(Error::Arrow(finalite_arrow::Error::Sqlite(_)))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of reading or inserting record batches, or SQLite's.
    #[error(transparent)]
    Arrow(#[from] finalite_arrow::Error),
    /// The table is not as it was when the [`SqliteTable`](crate::SqliteTable) was opened: open it again.
    #[error("table {table}: column {column} has changed since the table was opened")]
    Changed {
        /// Name of the table.
        table: Box<str>,
        /// Name of the column.
        column: Box<str>,
    },
    /// A batch that DataFusion inserts has a type that is not one of the table's.
    #[error("column {column}: {data_type} is no type of a table")]
    Type {
        /// Name of the column.
        column: Box<str>,
        /// Arrow type.
        data_type: Box<str>,
    },
    /// DataFusion dropped the insertion before its last batch: nothing was inserted.
    #[error("the insertion was cancelled")]
    Cancelled,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<finalite::Error> for Error {
    fn from(error: finalite::Error) -> Self {
        Self::Arrow(error.into())
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

//! Rows of record batches into a table.

use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use finalite::Connection;
pub use finalite::insert::OnConflict;
use finalite::insert::{self, InsertPlan, InsertStrategy};
use finalite::workspace::{InsertFailure, Insertion};

use crate::error::{Error, Result};
use crate::insert_value::lend;

/// Inserts the rows of record batches into a table, by the default [`InsertOptions`]. Returns the number of rows
/// inserted.
///
/// The columns of a batch are matched with those of the table by name; other columns of the table have their defaults.
/// The table may be qualified by its database, `temp.sale`. All rows are inserted, or none: within a transaction of the
/// caller's in a savepoint, otherwise in a transaction of its own.
///
/// `batches` is a [`RecordBatchReader`](arrow_array::RecordBatchReader), or batches as `Ok`.
///
/// | Arrow | SQLite |
/// |---|---|
/// | `Null` | NULL |
/// | `Boolean` | INTEGER 0 or 1 |
/// | `Int8` to `Int64`, `UInt8` to `UInt64` | INTEGER; an error above 2⁶³ − 1 |
/// | `Float16`, `Float32`, `Float64` | REAL; an error for NaN, which SQLite stores as NULL |
/// | `Utf8`, `LargeUtf8`, `Utf8View` | TEXT |
/// | `Binary`, `LargeBinary`, `BinaryView`, `FixedSizeBinary` | BLOB |
/// | `Date32`, `Date64` | TEXT `2024-05-01` |
/// | `Time32`, `Time64` | TEXT `12:30:00.250` |
/// | `Timestamp` without a time zone | TEXT `2024-05-01 12:30:00`, with a fraction if there is one |
/// | `Timestamp` with a time zone | TEXT `2024-05-01 12:30:00+00:00`, in UTC |
/// | `Decimal32` to `Decimal256` | TEXT with each digit, which a column of NUMERIC affinity stores as a number |
/// | `Dictionary` of these | as the value |
///
/// Texts and blobs are bound where they are, without a copy.
///
/// # Errors
///
/// [`Error::Insert`] for another type, [`Error::Row`] for a row that SQLite refuses, [`Error::Arrow`] for an error of
/// `batches`, [`Error::Sqlite`] if the table or a column of that name does not exist. No row is inserted then.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
/// use finalite::Connection;
/// use finalite_arrow::insert_record_batches;
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE city(name TEXT NOT NULL, people INTEGER)", ())?;
/// let people: ArrayRef = Arc::new(Int64Array::from(vec![Some(330_000), None]));
/// let names: ArrayRef = Arc::new(StringArray::from(vec!["Bonn", "Ulm"]));
/// let batch = RecordBatch::try_from_iter([("people", people), ("name", names)])?;
/// assert_eq!(insert_record_batches(&conn, "city", [Ok(batch)])?, 2);
/// let rows: Vec<(String, Option<i64>)> = conn.query_all("SELECT * FROM city", ())?;
/// assert_eq!(rows, [("Bonn".into(), Some(330_000)), ("Ulm".into(), None)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn insert_record_batches(
    conn: &Connection,
    table: &str,
    batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<u64> {
    InsertOptions::new().insert_record_batches(conn, table, batches)
}

/// Options of inserting.
///
/// # Example
///
/// ```
/// use std::ops::ControlFlow;
/// use finalite::Connection;
/// use finalite_arrow::{InsertOptions, OnConflict, record_batches};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (2)")?;
/// let batches = record_batches(conn.scan("SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3", ()))?;
/// let mut seen = vec![];
/// let inserted = InsertOptions::new()
///     .on_conflict(OnConflict::Ignore)
///     .progress(2, |rows| {
///         seen.push(rows);
///         ControlFlow::Continue(())
///     })
///     .insert_record_batches(&conn, "t", batches)?;
/// assert_eq!((inserted, seen), (2, vec![2]));
/// # Ok::<(), finalite_arrow::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct InsertOptions<'a>(insert::InsertOptions<'a>);

impl<'a> InsertOptions<'a> {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the treatment of rows that violate a constraint. The default is [`OnConflict::Abort`].
    pub fn on_conflict(self, on_conflict: OnConflict) -> Self {
        Self(self.0.on_conflict(on_conflict))
    }

    /// Sets the strategy. See [`finalite::insert::InsertOptions::strategy`].
    pub fn strategy(self, strategy: InsertStrategy) -> Self {
        Self(self.0.strategy(strategy))
    }

    /// Calls the closure after every `every` rows of the batches with their number so far. If it breaks, the insertion
    /// is undone and ends with [`Error::Stopped`].
    ///
    /// # Panics
    ///
    /// If `every` is 0.
    #[track_caller]
    pub fn progress(self, every: u64, report: impl FnMut(u64) -> ControlFlow<()> + 'a) -> Self {
        Self(self.0.progress(every, report))
    }

    /// Calls the closure with the plan by which the rows of the last batch were inserted. See
    /// [`finalite::insert::InsertOptions::on_end`].
    pub fn on_end(self, tell: impl FnOnce(InsertPlan) + 'a) -> Self {
        Self(self.0.on_end(tell))
    }

    /// See [`insert_record_batches`].
    ///
    /// # Errors
    ///
    /// See [`insert_record_batches`]; [`Error::Stopped`].
    #[track_caller]
    pub fn insert_record_batches(
        self,
        conn: &Connection,
        table: &str,
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<u64> {
        let mut insertion = Insertion::begin(conn, table, self.0)?;
        let mut row = 0;
        for batch in batches {
            let batch = batch?;
            insert_batch(&mut insertion, &batch, row)?;
            row += batch.num_rows() as u64;
        }
        Ok(insertion.finish()?)
    }
}

/// Inserts a batch, of which the rows are counted from this one on.
fn insert_batch(insertion: &mut Insertion<'_, '_>, batch: &RecordBatch, first_row: u64) -> Result<()> {
    let at = |row, column: usize, reason| {
        let field = batch.schema_ref().field(column);
        let (name, data_type) = (field.name().as_str().into(), field.data_type().clone());
        Error::Insert { row, column, name, data_type, reason }
    };
    let mut columns = Vec::with_capacity(batch.num_columns());
    let mut refusals = Vec::with_capacity(batch.num_columns());
    for (column, array) in batch.columns().iter().enumerate() {
        let (lent, refused) = lend(array).map_err(|reason| at(first_row, column, reason))?;
        columns.push(lent);
        refusals.push(refused);
    }
    let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    insertion.insert_columns(&names, columns, batch.num_rows()).map_err(|failure| match failure {
        InsertFailure::Value { row, column, problem } => match refusals[column].reason(row - first_row) {
            Some(reason) => at(row, column, reason),
            None => {
                let failure = InsertFailure::Value { row, column, problem };
                Error::Row { row, source: failure.into_error(&names) }
            }
        },
        InsertFailure::Row { row, error } => Error::Row { row, source: error },
        InsertFailure::Stopped { rows } => Error::Stopped { row: rows },
        InsertFailure::Other(error) => Error::Sqlite(error),
    })
}

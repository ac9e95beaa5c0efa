//! Rows of record batches into a table.

use std::cell::Cell;
use std::fmt;
use std::ops::ControlFlow;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use finalite::sql::quote_identifier;
use finalite::{Binder, Connection, ConversionError, Param, Params, workspace};

use crate::error::{Error, Result};
use crate::insert_value::CellReader;

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
pub fn insert_record_batches(
    conn: &Connection,
    table: &str,
    batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<u64> {
    InsertOptions::new().insert_record_batches(conn, table, batches)
}

/// Treatment of rows that violate a uniqueness constraint, or `NOT NULL`.
///
/// C: [ON CONFLICT](https://sqlite.org/lang_conflict.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnConflict {
    /// An error; no row is inserted.
    #[default]
    Abort,
    /// The row is left out.
    Ignore,
    /// The rows that are in the way are deleted.
    Replace,
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
#[must_use]
pub struct InsertOptions<'a> {
    on_conflict: OnConflict,
    progress: Option<(u64, Box<Report<'a>>)>,
}

type Report<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

impl<'a> InsertOptions<'a> {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self { on_conflict: OnConflict::Abort, progress: None }
    }

    /// Sets the treatment of rows that violate a constraint. The default is [`OnConflict::Abort`].
    pub fn on_conflict(self, on_conflict: OnConflict) -> Self {
        Self { on_conflict, ..self }
    }

    /// Calls the closure after every `every` rows of the batches with their number so far. If it breaks, the insertion
    /// is undone and ends with [`Error::Stopped`].
    ///
    /// # Panics
    ///
    /// If `every` is 0.
    #[track_caller]
    pub fn progress(self, every: u64, report: impl FnMut(u64) -> ControlFlow<()> + 'a) -> Self {
        assert!(every > 0, "the progress interval is 0 rows");
        Self { progress: Some((every, Box::new(report))), ..self }
    }

    /// See [`insert_record_batches`].
    ///
    /// # Errors
    ///
    /// See [`insert_record_batches`]; [`Error::Stopped`].
    pub fn insert_record_batches(
        mut self,
        conn: &Connection,
        table: &str,
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<u64> {
        let table = workspace::quoted_table(conn, table);
        let undo = Undo::begin(conn)?;
        let (mut inserted, mut row) = (0, 0);
        for batch in batches {
            self.insert(conn, &table, &batch?, &mut row, &mut inserted)?;
        }
        undo.keep()?;
        Ok(inserted)
    }

    fn insert(
        &mut self,
        conn: &Connection,
        table: &str,
        batch: &RecordBatch,
        row: &mut u64,
        inserted: &mut u64,
    ) -> Result<()> {
        let mut readers = Vec::with_capacity(batch.num_columns());
        let at = |row, column: usize, reason| {
            let field = batch.schema_ref().field(column);
            let (name, data_type) = (field.name().as_str().into(), field.data_type().clone());
            Error::Insert { row, column, name, data_type, reason }
        };
        for (column, array) in batch.columns().iter().enumerate() {
            readers.push(CellReader::new(array).map_err(|reason| at(*row, column, reason))?);
        }
        let mut statement = conn.prepare_cached(&self.sql(table, batch))?;
        let refused = Cell::new(None);
        for index in 0..batch.num_rows() {
            let count = statement.execute(Cells { readers: &readers, row: index, refused: &refused });
            *inserted += count.map_err(|source| match refused.get() {
                Some((column, reason)) => at(*row, column, reason),
                None => Error::Row { row: *row, source },
            })? as u64;
            *row += 1;
            if let Some((every, report)) = &mut self.progress
                && row.is_multiple_of(*every)
                && report(*row).is_break()
            {
                return Err(Error::Stopped { row: *row });
            }
        }
        Ok(())
    }

    fn sql(&self, table: &str, batch: &RecordBatch) -> String {
        let action = match self.on_conflict {
            OnConflict::Abort => "INSERT",
            OnConflict::Ignore => "INSERT OR IGNORE",
            OnConflict::Replace => "INSERT OR REPLACE",
        };
        let fields = batch.schema_ref().fields();
        if fields.is_empty() {
            return format!("{action} INTO {table} DEFAULT VALUES");
        }
        let names: Vec<String> = fields.iter().map(|field| quote_identifier(field.name())).collect();
        format!("{action} INTO {table} ({}) VALUES ({})", names.join(","), vec!["?"; names.len()].join(","))
    }
}

/// The cells of a row as parameters.
struct Cells<'r, 'a> {
    readers: &'r [CellReader<'a>],
    row: usize,
    /// The column of a cell that cannot be stored, and why.
    refused: &'r Cell<Option<(usize, &'static str)>>,
}

impl<'p> Params<'p> for Cells<'_, 'p> {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> finalite::Result<()> {
        for (column, reader) in self.readers.iter().enumerate() {
            let value = reader.read(self.row).unwrap_or_else(|reason| {
                self.refused.set(Some((column, reason)));
                Param::error(ConversionError::message("an Arrow value", reason))
            });
            binder.push(value)?;
        }
        Ok(())
    }
}

impl Default for InsertOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InsertOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsertOptions").field("on_conflict", &self.on_conflict).finish_non_exhaustive()
    }
}

/// A transaction, or a savepoint in the caller's. Dropping it undoes the changes, also during a panic.
struct Undo<'a> {
    conn: &'a Connection,
    is_outermost: bool,
    is_kept: bool,
}

impl<'a> Undo<'a> {
    fn begin(conn: &'a Connection) -> Result<Self> {
        // To undo an outermost savepoint takes a `RELEASE`, which is a commit: it would wait for readers.
        let is_outermost = conn.is_autocommit();
        conn.execute(if is_outermost { "BEGIN" } else { "SAVEPOINT finalite_arrow" }, ())?;
        Ok(Self { conn, is_outermost, is_kept: false })
    }

    fn keep(mut self) -> Result<()> {
        // If this fails, Drop undoes the changes.
        self.conn.execute(if self.is_outermost { "COMMIT" } else { "RELEASE finalite_arrow" }, ())?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // After some errors, SQLite has rolled back the transaction already.
        if self.is_kept || self.conn.is_autocommit() {
            return;
        }
        let undo: &[&str] =
            if self.is_outermost { &["ROLLBACK"] } else { &["ROLLBACK TO finalite_arrow", "RELEASE finalite_arrow"] };
        for sql in undo {
            // The error that is being returned, or the panic, says what went wrong.
            let _ = self.conn.execute(sql, ());
        }
    }
}

//! Options of reading.

use arrow_schema::{DataType, Schema};

/// Options of reading.
///
/// # Example
///
/// ```
/// use arrow_array::RecordBatchReader;
/// use arrow_schema::DataType;
/// use finalite::Connection;
/// use finalite_arrow::{Mismatch, Options};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE t(price NUMERIC, day DATE); INSERT INTO t VALUES (9.99, 'yesterday')")?;
/// let options = Options::new().column("price", DataType::Decimal128(10, 2)).mismatch(Mismatch::Null);
/// let mut reader = options.record_batches(conn.scan_table("t").all_columns())?;
/// let batch = reader.next().unwrap()?;
/// assert_eq!(batch.column(0).data_type(), &DataType::Decimal128(10, 2));
/// assert_eq!(batch.column(1).null_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) rows: usize,
    pub(crate) is_large: bool,
    pub(crate) has_declared_types: bool,
    pub(crate) is_utc: bool,
    pub(crate) mismatch: Mismatch,
    pub(crate) columns: Vec<(Box<str>, DataType)>,
}

/// Treatment of values that do not fit the Arrow type of their column. NULL fits every type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mismatch {
    /// Ends reading with [`Error::Value`](crate::Error::Value).
    #[default]
    Error,
    /// NULL in place of the value.
    Null,
    /// A column that has such a value in its first batch becomes text: numbers as the shortest decimal text, blobs as they
    /// are if that is UTF-8. If the first such value is in a later batch, it is an error, because the type of a column
    /// is the same in all batches.
    Text,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rows: Self::ROWS,
            is_large: false,
            has_declared_types: true,
            is_utc: false,
            mismatch: Mismatch::Error,
            columns: Vec::new(),
        }
    }
}

impl Options {
    /// Default number of rows of a batch.
    pub const ROWS: usize = 8_192;

    /// Returns the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of rows of a batch. The default is [`ROWS`](Self::ROWS). With 0, reading is an error.
    pub fn rows(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// Sets whether texts and blobs have 64-bit offsets (`LargeUtf8`, `LargeBinary`). The default is `false`: a column
    /// has them if its first batch has more than 2 GiB, and a later batch of more is an error.
    pub fn large(self, is_large: bool) -> Self {
        Self { is_large, ..self }
    }

    /// Sets whether declared types of dates, times, booleans, decimals and JSON determine the Arrow type. The default is
    /// `true`. With `false`, only SQLite's own types do: integers, reals, texts and blobs.
    pub fn declared_types(self, has_declared_types: bool) -> Self {
        Self { has_declared_types, ..self }
    }

    /// Sets whether timestamps have the time zone UTC. The default is `false`: they have no time zone. The values are in
    /// UTC in both cases.
    pub fn utc(self, is_utc: bool) -> Self {
        Self { is_utc, ..self }
    }

    /// Sets the treatment of values that do not fit. The default is [`Mismatch::Error`].
    pub fn mismatch(self, mismatch: Mismatch) -> Self {
        Self { mismatch, ..self }
    }

    /// Sets the type of the columns of this name (ASCII letters compared without case): `Boolean`, `Int64`, `Float64`,
    /// `Utf8`, `LargeUtf8`, `Binary`, `LargeBinary`, `Date32`, `Timestamp` in microseconds, `Decimal128`. Numbers in a
    /// column that is set to text are converted.
    ///
    /// Reading is an error for another type, and if the result has no such column.
    pub fn column(mut self, name: &str, data_type: DataType) -> Self {
        self.columns.push((name.into(), data_type));
        self
    }

    /// Sets the types of the columns that a schema has fields of, as [`column`](Self::column) does: for a consumer that
    /// knows its schema before anything is read.
    ///
    /// # Example
    ///
    /// ```
    /// use arrow_array::RecordBatchReader;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use finalite::Connection;
    /// use finalite_arrow::Options;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let schema = Schema::new(vec![Field::new("total", DataType::Int64, true)]);
    /// let reader = Options::new().schema(&schema).record_batches(conn.scan("SELECT NULL AS total", ()))?;
    /// assert_eq!(*reader.schema(), schema);
    /// # Ok::<(), finalite_arrow::Error>(())
    /// ```
    pub fn schema(self, schema: &Schema) -> Self {
        schema.fields().iter().fold(self, |options, field| options.column(field.name(), field.data_type().clone()))
    }
}

//! Record batches of a scan.

use std::sync::Arc;
use std::vec;

use arrow_array::{RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use finalite::{ColumnBatch, Params, Scan, workspace};

use crate::column::Target;
use crate::declared;
use crate::error::{Error, Result};
use crate::options::{Mismatch, Options};

/// Reads a whole result into record batches, by the default [`Options`].
///
/// The batches are in memory when the call returns, and the connection is free again. For results that are too large for
/// that: [`for_each_record_batch`], [`RecordBatchStream`](crate::RecordBatchStream).
///
/// # Errors
///
/// [`Error::Sqlite`] for the errors of [`Scan::batches`]; [`Error::Value`] for a value that does not fit.
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite_arrow::record_batches;
///
/// let conn = Connection::open_in_memory()?;
/// let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) SELECT i FROM n";
/// let batches: Vec<_> = record_batches(conn.scan(sql, ()))?.collect::<Result<_, _>>()?;
/// let rows: Vec<usize> = batches.iter().map(|batch| batch.num_rows()).collect();
/// assert_eq!(rows, [8_192, 8_192, 8_192, 8_192, 7_232]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn record_batches<'p>(scan: Scan<'_, impl Params<'p>>) -> Result<RecordBatches> {
    Options::new().record_batches(scan)
}

/// Calls the closure with one record batch after another, by the default [`Options`]. Returns the number of rows.
///
/// The closure is called at least once: a result without rows is one empty batch, which has the schema. The schema of
/// all batches is the same. The closure may use the connection.
///
/// # Errors
///
/// The closure's, and those of [`record_batches`].
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite_arrow::{Error, for_each_record_batch};
///
/// let conn = Connection::open_in_memory()?;
/// let mut bytes = 0;
/// for_each_record_batch(conn.scan("VALUES (1, 'one'), (2, 'two')", ()), |batch| {
///     bytes += batch.get_array_memory_size();
///     Ok::<(), Error>(())
/// })?;
/// assert!(bytes > 0);
/// # Ok::<(), Error>(())
/// ```
pub fn for_each_record_batch<'p, E: From<Error>>(
    scan: Scan<'_, impl Params<'p>>,
    take: impl FnMut(RecordBatch) -> Result<(), E>,
) -> Result<u64, E> {
    Options::new().for_each_record_batch(scan, take)
}

impl Options {
    /// See [`record_batches`].
    ///
    /// # Errors
    ///
    /// See [`record_batches`]; [`Error::Option`] for a [`column`](Self::column) that the result does not have.
    pub fn record_batches<'p>(&self, scan: Scan<'_, impl Params<'p>>) -> Result<RecordBatches> {
        let mut shape = Shape::new(self);
        let mut batches = Vec::new();
        self.read(scan, &mut shape, |batch| {
            batches.push(batch);
            Ok::<(), Error>(())
        })?;
        // An empty result is one batch, of which the schema is kept alone.
        batches.retain(|batch| batch.num_rows() > 0);
        let schema = shape.schema.unwrap_or_else(|| Arc::new(Schema::empty()));
        Ok(RecordBatches { schema, batches: batches.into_iter() })
    }

    /// See [`for_each_record_batch`].
    ///
    /// # Errors
    ///
    /// See [`record_batches`](Self::record_batches), and the closure's.
    pub fn for_each_record_batch<'p, E: From<Error>>(
        &self,
        scan: Scan<'_, impl Params<'p>>,
        take: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.read(scan, &mut Shape::new(self), take)
    }

    fn read<'p, E: From<Error>>(
        &self,
        scan: Scan<'_, impl Params<'p>>,
        shape: &mut Shape<'_>,
        mut take: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<u64, E> {
        // Batches that wait for the type of a column.
        let mut waiting = Vec::new();
        let mut hand_over = |shape: &mut Shape<'_>, batches: &mut Vec<ColumnBatch>| {
            shape.begin(batches)?;
            batches.drain(..).try_for_each(|batch| take(shape.batch(batch)?))
        };
        let read = workspace::owned_batches(scan.with_error::<Cause<E>>(), self.rows, |batch| {
            waiting.push(batch);
            if shape.is_begun() || waiting.len() == WAITING_MAX || shape.is_known(&waiting) {
                hand_over(shape, &mut waiting).map_err(Cause)?;
            }
            Ok(())
        });
        let rows = read.map_err(|Cause(error)| error)?;
        hand_over(shape, &mut waiting)?;
        Ok(rows)
    }
}

/// Number of batches from which the types of columns are inferred that have no declared type.
pub(crate) const WAITING_MAX: usize = 8;

/// Error of the closure, or of the scan.
struct Cause<E>(E);

impl<E: From<Error>> From<finalite::Error> for Cause<E> {
    fn from(error: finalite::Error) -> Self {
        Self(Error::Sqlite(error).into())
    }
}

/// The schema, once the first batch has been read.
pub(crate) struct Shape<'a> {
    options: &'a Options,
    schema: Option<SchemaRef>,
    targets: Vec<Target>,
}

impl<'a> Shape<'a> {
    pub(crate) fn new(options: &'a Options) -> Self {
        Self { options, schema: None, targets: Vec::new() }
    }

    fn is_begun(&self) -> bool {
        self.schema.is_some()
    }

    /// Whether the type of each column is known: not if all its values are NULL, and no type is declared.
    pub(crate) fn is_known(&self, batches: &[ColumnBatch]) -> bool {
        let is_known = |(index, _)| Target::of(index, batches, self.options).data_type != DataType::Null;
        batches.first().is_none_or(|first| first.columns().iter().enumerate().all(is_known))
    }

    /// Returns the schema, which the first batches determine.
    pub(crate) fn schema(&mut self, batches: &[ColumnBatch]) -> Result<SchemaRef> {
        self.begin(batches)?;
        Ok(self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty())))
    }

    fn batch(&self, batch: ColumnBatch) -> Result<RecordBatch> {
        let rows = batch.len();
        let schema = self.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()));
        let columns = batch.into_columns().into_iter().zip(&self.targets).enumerate();
        let arrays = columns.map(|(index, (column, target))| target.convert(column, index)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }

    /// Determines the schema, unless it is known, by the first batches.
    fn begin(&mut self, batches: &[ColumnBatch]) -> Result<()> {
        let Some(first) = batches.first().filter(|_| !self.is_begun()) else {
            return Ok(());
        };
        let columns = first.columns();
        for (name, _) in &self.options.columns {
            if !columns.iter().any(|column| column.name().eq_ignore_ascii_case(name)) {
                let reason = "the result has no such column";
                return Err(Error::Option { name: name.clone(), reason });
            }
        }
        self.targets = (0..columns.len()).map(|index| Target::of(index, batches, self.options)).collect();
        if self.options.mismatch == Mismatch::Text {
            for (index, target) in self.targets.iter_mut().enumerate() {
                let mut columns = batches.iter().map(|batch| batch.columns()[index].clone());
                if columns.any(|column| matches!(target.convert(column, index), Err(Error::Value { .. }))) {
                    *target = Target::as_text(self.options);
                }
            }
        }
        let fields = columns.iter().zip(&self.targets);
        let fields = fields.map(|(column, it)| declared::field(column.name(), it.data_type.clone(), it.is_json));
        self.schema = Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        Ok(())
    }
}

/// The record batches of a result, in memory. From [`record_batches`].
///
/// They own their memory: they may outlive the connection, and be sent to another thread.
#[derive(Debug)]
#[must_use]
pub struct RecordBatches {
    schema: SchemaRef,
    batches: vec::IntoIter<RecordBatch>,
}

impl Iterator for RecordBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next().map(Ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}

impl ExactSizeIterator for RecordBatches {}

impl RecordBatchReader for RecordBatches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

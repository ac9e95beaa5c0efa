//! Arrow's C interfaces.

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, to_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchReader, StructArray};

use crate::error::Result;

/// Makes an [Arrow C stream](https://arrow.apache.org/docs/format/CStreamInterface.html) of a reader. Its consumer
/// releases it; if there is none, dropping it does.
///
/// The reader is a [`RecordBatchStream`](crate::RecordBatchStream), which reads while the consumer asks, or
/// [`RecordBatches`](crate::RecordBatches), which are in memory. Buffers are passed on without a copy.
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite_arrow::{RecordBatchStream, export};
///
/// let conn = Connection::open_in_memory()?;
/// let reader = RecordBatchStream::start(conn, |conn| conn.scan("VALUES (1), (2)", ()))?;
/// let mut stream = Box::new(export(reader));
/// // For example, pyarrow's `RecordBatchReader._import_from_c(address)`.
/// let address = (&raw mut *stream).addr();
/// # let _ = address;
/// # Ok::<(), finalite_arrow::Error>(())
/// ```
pub fn export(reader: impl RecordBatchReader + Send + 'static) -> FFI_ArrowArrayStream {
    FFI_ArrowArrayStream::new(Box::new(reader))
}

/// Exports one batch as a struct array by the
/// [Arrow C data interface](https://arrow.apache.org/docs/format/CDataInterface.html). Buffers are passed on without a
/// copy.
///
/// # Errors
///
/// [`Error::Arrow`](crate::Error::Arrow).
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite_arrow::{export_batch, record_batches};
///
/// let conn = Connection::open_in_memory()?;
/// let batch = record_batches(conn.scan("VALUES (1, 'one')", ()))?.next().unwrap()?;
/// let (array, schema) = export_batch(batch)?;
/// assert_eq!((array.len(), schema.format()), (1, "+s"));
/// # Ok::<(), finalite_arrow::Error>(())
/// ```
pub fn export_batch(batch: RecordBatch) -> Result<(FFI_ArrowArray, FFI_ArrowSchema)> {
    // That of the array would lack the metadata of the batch.
    let schema = FFI_ArrowSchema::try_from(batch.schema_ref().as_ref())?;
    let (array, _) = to_ffi(&StructArray::from(batch).to_data())?;
    Ok((array, schema))
}

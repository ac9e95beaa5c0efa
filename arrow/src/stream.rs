//! A reader that owns its connection.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use finalite::workspace::Worker;
use finalite::{Connection, Params, Scan};

use crate::error::{Error, Result};
use crate::options::Options;

/// Record batches of a scan that runs on a thread of its own, while the consumer asks for them.
///
/// The thread owns the connection, reads one batch ahead, and waits if the consumer does. Dropping the stream interrupts
/// the scan, closes the connection and joins the thread; so does the end of the rows, except that the thread is joined
/// by the drop.
///
/// # Example
///
/// ```
/// use arrow_array::RecordBatchReader;
/// use finalite::Connection;
/// use finalite_arrow::RecordBatchStream;
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), (2)")?;
/// let stream = RecordBatchStream::start(conn, |conn| conn.scan_table("t").all_columns())?;
/// assert_eq!(stream.schema().field(0).name(), "a");
/// let rows: usize = std::thread::spawn(|| stream.map(|batch| batch.unwrap().num_rows()).sum()).join().unwrap();
/// assert_eq!(rows, 2);
/// # Ok::<(), finalite_arrow::Error>(())
/// ```
#[must_use]
pub struct RecordBatchStream {
    schema: SchemaRef,
    /// The batch that had the schema, unless it was taken or is empty.
    first: Option<RecordBatch>,
    /// `None` after the end. Dropped before the thread is joined, which may be about to send.
    batches: Option<Receiver<Message>>,
    _worker: Worker,
}

enum Message {
    Batch(RecordBatch),
    Error(Error),
    /// All rows were sent.
    End,
}

impl RecordBatchStream {
    /// Starts the thread, by the default [`Options`]. The closure, which is called on it, chooses the scan.
    ///
    /// Waits for the first batch, which has the schema.
    ///
    /// # Errors
    ///
    /// Those of [`record_batches`](crate::record_batches) up to the first batch; [`Error::Thread`].
    pub fn start<'p, P, F>(conn: Connection, scan: F) -> Result<Self>
    where
        P: Params<'p>,
        F: for<'a> FnOnce(&'a Connection) -> Scan<'a, P> + Send + 'static,
    {
        Options::new().stream(conn, scan)
    }
}

impl Options {
    /// See [`RecordBatchStream::start`].
    ///
    /// # Errors
    ///
    /// See [`RecordBatchStream::start`].
    pub fn stream<'p, P, F>(&self, conn: Connection, scan: F) -> Result<RecordBatchStream>
    where
        P: Params<'p>,
        F: for<'a> FnOnce(&'a Connection) -> Scan<'a, P> + Send + 'static,
    {
        let (send, batches) = mpsc::sync_channel(1);
        let options = self.clone();
        let worker = Worker::start("finalite-arrow", move |stop| {
            let interrupt = conn.interrupt_handle();
            stop.on_set(move || {
                interrupt.interrupt();
            });
            let end = run(&options, &conn, scan, &send);
            // Closed before the consumer learns of the end.
            drop(conn);
            // Without a consumer, nobody is left to tell.
            let _ = send.send(end);
        });
        let worker = worker.map_err(Error::Thread)?;
        match batches.recv() {
            Ok(Message::Batch(first)) => {
                let schema = first.schema();
                let first = (first.num_rows() > 0).then_some(first);
                Ok(RecordBatchStream { schema, first, batches: Some(batches), _worker: worker })
            }
            Ok(Message::Error(error)) => Err(error),
            Ok(Message::End) | Err(_) => Err(Error::Panicked),
        }
    }
}

/// Sends all batches. Returns the last message.
fn run<'p, P: Params<'p>>(
    options: &Options,
    conn: &Connection,
    scan: impl for<'a> FnOnce(&'a Connection) -> Scan<'a, P>,
    send: &SyncSender<Message>,
) -> Message {
    let mut is_wanted = true;
    let read = options.for_each_record_batch(scan(conn), |batch| {
        is_wanted = send.send(Message::Batch(batch)).is_ok();
        // Any error ends the scan; this one is not seen.
        if is_wanted { Ok(()) } else { Err(Error::Stopped { row: 0 }) }
    });
    match read {
        Err(error) if is_wanted => Message::Error(error),
        _ => Message::End,
    }
}

impl Iterator for RecordBatchStream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let message = self.batches.as_ref()?.recv();
        let last = match message {
            Ok(Message::Batch(batch)) => return Some(Ok(batch)),
            Ok(Message::End) => None,
            Ok(Message::Error(error)) => Some(error),
            Err(_) => Some(Error::Panicked),
        };
        self.batches = None;
        last.map(|error| Err(error.into()))
    }
}

impl RecordBatchReader for RecordBatchStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for RecordBatchStream {
    fn drop(&mut self) {
        // Ends a thread that waits for the consumer; then the worker is dropped.
        self.batches = None;
    }
}

impl fmt::Debug for RecordBatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatchStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

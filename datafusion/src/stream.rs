//! The thread that reads for a query, and the stream of its batches.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use datafusion_common::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion_common::arrow::datatypes::SchemaRef;
use datafusion_common::arrow::error::ArrowError;
use datafusion_execution::RecordBatchStream;
use datafusion_physical_plan::metrics::BaselineMetrics;
use finalite::workspace::{Stop, Worker};
use finalite::{Connection, params_from_iter};
use futures::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::bridge::to_datafusion;
use crate::error::{Error, Result};
use crate::filter::Condition;
use crate::source::{Source, panicked};

/// About 50 microseconds of SQLite's work.
const INSTRUCTIONS_PER_CHECK: u32 = 2_000;

/// Columns and rows to read.
pub(crate) struct Query {
    pub(crate) source: Arc<Source>,
    pub(crate) projection: Arc<[usize]>,
    pub(crate) schema: SchemaRef,
    pub(crate) condition: Option<Condition>,
    pub(crate) limit: Option<usize>,
    /// Rows of a batch.
    pub(crate) rows: usize,
}

enum Message {
    Batch(RecordBatch),
    Error(Error),
    /// All rows were sent.
    End,
}

/// The batches of a query. The first poll starts the thread, which opens the connection; the end, an error and dropping
/// the stream close it and join the thread.
pub(crate) struct SqliteStream {
    schema: SchemaRef,
    state: State,
    metrics: BaselineMetrics,
}

enum State {
    Waiting(Box<Query>),
    Reading(Reading),
    Ended,
}

/// The receiver is dropped first: a thread that waits for room ends.
struct Reading {
    batches: Receiver<Message>,
    _worker: Worker,
}

impl SqliteStream {
    pub(crate) fn new(query: Query, metrics: BaselineMetrics) -> Self {
        Self { schema: Arc::clone(&query.schema), state: State::Waiting(Box::new(query)), metrics }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let reading = match &mut self.state {
            State::Reading(reading) => reading,
            State::Ended => return Poll::Ready(None),
            waiting => {
                let State::Waiting(query) = std::mem::replace(waiting, State::Ended) else {
                    return Poll::Ready(None);
                };
                *waiting = match query.start() {
                    Ok(reading) => State::Reading(reading),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                return self.next(cx);
            }
        };
        let last = match ready!(reading.batches.poll_recv(cx)) {
            Some(Message::Batch(batch)) => return Poll::Ready(Some(Ok(batch))),
            Some(Message::Error(error)) => Some(Err(error)),
            Some(Message::End) => None,
            None => Some(Err(panicked())),
        };
        self.state = State::Ended;
        Poll::Ready(last)
    }
}

impl Stream for SqliteStream {
    type Item = datafusion_common::Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poll = self.next(cx).map(|next| next.map(|batch| batch.map_err(Into::into)));
        self.metrics.record_poll(poll)
    }
}

impl RecordBatchStream for SqliteStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl fmt::Debug for SqliteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Query {
    fn start(self) -> Result<Reading> {
        // One batch ahead.
        let (send, batches) = channel(1);
        let worker = Worker::start("finalite-datafusion", move |stop| {
            let last = match self.read(stop, &send) {
                Ok(()) => Message::End,
                Err(error) => Message::Error(error),
            };
            // Without a consumer, nobody is left to tell. The connection is closed before.
            let _ = send.blocking_send(last);
        });
        Ok(Reading { batches, _worker: worker.map_err(finalite_arrow::Error::Thread)? })
    }

    fn read(&self, stop: &Stop, send: &Sender<Message>) -> Result<()> {
        let conn = self.source.opener.read()?;
        // An interrupt in front of a statement does nothing: the flag ends the statement that begins afterwards.
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (flag, interrupt) = (Arc::clone(&is_stopped), conn.interrupt_handle());
        stop.on_set(move || {
            flag.store(true, Ordering::Relaxed);
            interrupt.interrupt();
        });
        let flag = Arc::clone(&is_stopped);
        let _subscription = conn.on_progress(INSTRUCTIONS_PER_CHECK, move || match flag.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?;
        // The columns and the rows are of one state of the file.
        conn.execute("BEGIN", ())?;
        let names: Vec<&str> = self.projection.iter().map(|&index| self.source.column_name(index)).collect();
        let filtered = self.condition.iter().flat_map(|condition| &condition.columns).map(|name| &**name);
        self.source.check(&conn, names.iter().copied().chain(filtered))?;
        if stop.wait(Duration::ZERO) {
            return Err(Error::Cancelled);
        }
        let give = |batch| send.blocking_send(Message::Batch(batch)).map_err(|_| Error::Cancelled);
        if names.is_empty() {
            return self.count(&conn, give);
        }
        let options = self.source.options(&self.projection, self.rows);
        let take = |batch: arrow_array::RecordBatch| {
            let mut types = batch.schema_ref().fields().iter().map(|field| to_datafusion::data_type(field.data_type()));
            let mut fields = self.schema.fields().iter();
            if let Some(field) = fields.find(|field| types.next().flatten().as_ref() != Some(field.data_type())) {
                return Err(self.source.changed(field.name()));
            }
            // An empty result has one batch, without rows.
            if batch.num_rows() == 0 { Ok(()) } else { give(to_datafusion::batch(&batch, &self.schema)?) }
        };
        match &self.condition {
            None => {
                let scan = conn.scan_table(&self.source.name).select(names);
                let scan = if let Some(rows) = self.limit { scan.limit(rows as u64) } else { scan };
                options.for_each_record_batch(scan, take)?;
            }
            Some(condition) => {
                let columns: Vec<String> = names.iter().map(|name| self.source.quoted_column(name)).collect();
                let sql = self.sql(&columns.join(", "));
                options.for_each_record_batch(conn.scan(&sql, params_from_iter(&condition.values)), take)?;
            }
        }
        Ok(())
    }

    fn sql(&self, columns: &str) -> String {
        let mut sql = format!("SELECT {columns} FROM {}", self.source.quoted_name);
        if let Some(condition) = &self.condition {
            sql += &format!(" WHERE {}", condition.sql);
        }
        if let Some(limit) = self.limit {
            sql += &format!(" LIMIT {limit}");
        }
        sql
    }

    /// Gives batches without columns, which have a number of rows.
    fn count(&self, conn: &Connection, give: impl Fn(RecordBatch) -> Result<()>) -> Result<()> {
        let sql = match self.limit {
            Some(_) => format!("SELECT count(*) FROM ({})", self.sql("1")),
            None => self.sql("count(*)"),
        };
        let values = self.condition.iter().flat_map(|condition| &condition.values);
        let mut left: usize = conn.query_one(&sql, params_from_iter(values))?;
        while left > 0 {
            let rows = left.min(self.rows);
            left -= rows;
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), Vec::new(), &options);
            give(batch.map_err(|error: ArrowError| {
                let error = arrow_schema::ArrowError::ExternalError(Box::new(error));
                Error::Arrow(finalite_arrow::Error::Arrow(error))
            })?)?;
        }
        Ok(())
    }
}

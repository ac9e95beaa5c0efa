//! Insertions.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_common::Result as PlanResult;
use datafusion_common::arrow::array::RecordBatch;
use datafusion_common::arrow::datatypes::SchemaRef;
use datafusion_datasource::sink::DataSink;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_expr::dml::InsertOp;
use datafusion_physical_plan::{DisplayAs, DisplayFormatType};
use finalite::TransactionBehavior;
use finalite::workspace::Worker;
use finalite_arrow::{InsertOptions, OnConflict};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::bridge::from_datafusion;
use crate::error::{Error, Result};
use crate::source::{Source, panicked};

#[derive(Debug)]
pub(crate) struct SqliteSink {
    source: Arc<Source>,
    op: InsertOp,
}

/// The thread that inserts. The sender is dropped first: a thread that waits for a batch ends, and undoes what it did.
struct Writer {
    batches: mpsc::Sender<Option<RecordBatch>>,
    inserted: oneshot::Receiver<Result<u64>>,
    _worker: Worker,
}

impl SqliteSink {
    pub(crate) fn new(source: &Arc<Source>, op: InsertOp) -> Self {
        Self { source: Arc::clone(source), op }
    }

    fn start(&self) -> Result<Writer> {
        let (source, op) = (Arc::clone(&self.source), self.op);
        let (batches, receive) = mpsc::channel(1);
        let (tell, inserted) = oneshot::channel();
        let worker = Worker::start("finalite-datafusion", move |_| {
            let result = insert(&source, op, receive);
            // Without a consumer, nobody is left to tell.
            let _ = tell.send(result);
        });
        Ok(Writer { batches, inserted, _worker: worker.map_err(finalite_arrow::Error::Thread)? })
    }
}

/// Inserts all batches up to `None`, or nothing.
fn insert(source: &Source, op: InsertOp, mut receive: mpsc::Receiver<Option<RecordBatch>>) -> Result<u64> {
    let mut conn = source.opener.write()?;
    let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
    if op == InsertOp::Overwrite {
        tx.execute(&format!("DELETE FROM {}", source.quoted_name), ())?;
    }
    let on_conflict = if op == InsertOp::Replace { OnConflict::Replace } else { OnConflict::Abort };
    let external = |error: Error| arrow_schema::ArrowError::ExternalError(Box::new(error));
    let batches = std::iter::from_fn(|| match receive.blocking_recv() {
        Some(None) => None,
        Some(Some(batch)) => {
            let fields = batch.schema_ref().fields().iter().map(|field| from_datafusion::field(field));
            let schema = fields.collect::<Result<Vec<_>>>().map(|fields| Arc::new(arrow_schema::Schema::new(fields)));
            Some(schema.and_then(|schema| from_datafusion::batch(&batch, &schema)).map_err(external))
        }
        None => Some(Err(external(Error::Cancelled))),
    });
    let rows = InsertOptions::new().on_conflict(on_conflict).insert_record_batches(&tx, &source.name, batches)?;
    tx.commit()?;
    Ok(rows)
}

impl DisplayAs for SqliteSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => writeln!(f, "table={}", self.source.name),
            _ => write!(f, "SqliteSink: table={}, {}", self.source.name, self.op),
        }
    }
}

#[async_trait]
impl DataSink for SqliteSink {
    fn schema(&self) -> &SchemaRef {
        &self.source.schema
    }

    async fn write_all(&self, mut data: SendableRecordBatchStream, _: &Arc<TaskContext>) -> PlanResult<u64> {
        let writer = self.start()?;
        let mut is_end = false;
        while !is_end {
            let batch = data.next().await.transpose()?;
            is_end = batch.is_none();
            // The thread has ended: its error says why.
            if writer.batches.send(batch).await.is_err() {
                break;
            }
        }
        let Writer { batches, inserted, _worker } = writer;
        drop(batches);
        Ok(inserted.await.map_err(|_| panicked())??)
    }
}

//! Tables.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_catalog::{Session, TableProvider};
use datafusion_common::arrow::datatypes::SchemaRef;
use datafusion_common::stats::Precision;
use datafusion_common::{Result as PlanResult, Statistics};
use datafusion_datasource::sink::DataSinkExec;
use datafusion_expr::dml::InsertOp;
use datafusion_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion_physical_plan::ExecutionPlan;
use finalite::OpenOptions;
use finalite_arrow::Options;

use crate::error::Result;
use crate::filter::support;
use crate::insert::SqliteSink;
use crate::scan::SqliteScan;
use crate::source::{Opener, Source};

/// A table or a view of a database file, for DataFusion.
///
/// Each scan opens a connection of its own, for reading only, on a thread of its own, and reads one state of the file
/// from beginning to end; DataFusion's threads never wait for a file. The connection is closed and the thread is joined
/// when the rows are at their end, and when the stream is dropped: this interrupts a statement that runs, and waits for
/// the thread, which may be waiting for a lock of another connection (at most for the busy timeout). Each scan is one
/// partition, since several connections could read several states of the file.
///
/// Clones share the description of the table.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use datafusion::prelude::SessionContext;
/// use finalite::Connection;
/// use finalite_datafusion::SqliteTable;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("shop.db");
/// Connection::open(&path)?.execute_batch(
///     "CREATE TABLE sale(id INTEGER PRIMARY KEY, day DATE, price REAL);
///      INSERT INTO sale(day, price) VALUES ('2024-05-01', 9.5), ('2024-05-02', 0.5);",
/// )?;
///
/// let ctx = SessionContext::new();
/// ctx.register_table("sale", Arc::new(SqliteTable::open(&path, "sale")?))?;
/// let batches = ctx.sql("SELECT day FROM sale WHERE price > 1").await?.collect().await?;
/// assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteTable {
    source: Arc<Source>,
}

impl SqliteTable {
    /// Opens a table or a view of a database file, by the default options.
    ///
    /// The file is read now, for the columns and an estimate of the number of rows, and closed again.
    ///
    /// # Errors
    ///
    /// [`Error::Arrow`](crate::Error::Arrow) if there is no such file or table.
    pub fn open(path: impl AsRef<Path>, table: &str) -> Result<Self> {
        Self::new(OpenOptions::new(), path, table)
    }

    /// Opens a table or a view with options of its connections. Scans open the file for reading only, insertions as the
    /// options say; neither creates it.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, OpenOptions};
    /// use finalite_datafusion::SqliteTable;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("shop.db");
    /// Connection::open(&path)?.execute("CREATE TABLE sale(price REAL)", ())?;
    /// let table = SqliteTable::new(OpenOptions::new().pragma("mmap_size", 1 << 30), &path, "sale")?;
    /// assert_eq!(table.estimated_rows(), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(options: OpenOptions, path: impl AsRef<Path>, table: &str) -> Result<Self> {
        Self::with_types(options, Options::new(), path, table)
    }

    /// Opens a table or a view whose types follow [`Options`]: time zone, offsets, the type of single columns, the
    /// treatment of values that do not fit.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open); [`finalite_arrow::Error::Option`] for the type of a column that the table does not
    /// have.
    ///
    /// # Example
    ///
    /// ```
    /// use datafusion::arrow::datatypes::DataType;
    /// use datafusion::catalog::TableProvider;
    /// use finalite::{Connection, OpenOptions};
    /// use finalite_datafusion::{Options, SqliteTable};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("shop.db");
    /// Connection::open(&path)?.execute("CREATE TABLE sale(at TIMESTAMP)", ())?;
    /// let table = SqliteTable::with_types(OpenOptions::new(), Options::new().declared_types(false), &path, "sale")?;
    /// // Without values, a type that is not declared is text.
    /// assert_eq!(table.schema().field(0).data_type(), &DataType::Utf8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_types(options: OpenOptions, types: Options, path: impl AsRef<Path>, table: &str) -> Result<Self> {
        Self::of(Opener::new(options, path.as_ref()), types, table)
    }

    pub(crate) fn of(opener: Opener, types: Options, table: &str) -> Result<Self> {
        Ok(Self { source: Arc::new(Source::open(opener, types, table)?) })
    }

    /// Returns an estimate of the number of rows, as it was when the table was opened: what `ANALYZE` has counted,
    /// otherwise the range of the rowids, at most what fits into the file. `None` for views, and for tables without
    /// either.
    #[must_use]
    pub fn estimated_rows(&self) -> Option<usize> {
        self.source.rows
    }
}

#[async_trait]
impl TableProvider for SqliteTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.source.schema)
    }

    fn table_type(&self) -> TableType {
        if self.source.is_view { TableType::View } else { TableType::Base }
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(SqliteScan::new(&self.source, projection, filters, limit)?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(support(&self.source, filters))
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.source.schema);
        statistics.num_rows = Precision::Inexact(self.source.rows?);
        Some(statistics)
    }

    async fn insert_into(
        &self,
        _: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(SqliteSink::new(&self.source, op)), None)))
    }
}

//! Tables of SQLite files in DataFusion.

mod changes;
mod filters;
mod insert;
mod property;
mod query;

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use finalite::Connection;
use finalite_datafusion::{Error, SqliteTable};

/// A database file.
struct File {
    directory: tempfile::TempDir,
}

impl File {
    fn new(script: &str) -> Self {
        let file = Self { directory: tempfile::tempdir().unwrap() };
        file.run(script);
        file
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("t.db")
    }

    fn run(&self, script: &str) {
        Connection::open(self.path()).unwrap().execute_batch(script).unwrap();
    }

    fn table(&self, name: &str) -> SqliteTable {
        SqliteTable::open(self.path(), name).unwrap()
    }

    /// A context with this table of the file.
    fn context(&self, table: &str) -> SessionContext {
        let context = SessionContext::new();
        context.register_table(table, Arc::new(self.table(table))).unwrap();
        context
    }
}

async fn batches(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    context.sql(sql).await?.collect().await
}

/// Returns the cells of the result as text, a line for each row.
async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    text(&batches(context, sql).await.unwrap())
}

fn text(batches: &[RecordBatch]) -> Vec<String> {
    if batches.iter().all(|batch| batch.num_rows() == 0) {
        return Vec::new();
    }
    let table = pretty_format_batches(batches).unwrap().to_string();
    let lines = table.lines().skip(3).filter(|line| line.starts_with('|'));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|"));
    cells.collect()
}

/// Returns the physical plan, from the scan on.
async fn plan(context: &SessionContext, sql: &str) -> String {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    datafusion::physical_plan::displayable(&*plan).indent(false).to_string()
}

/// Returns the error of this crate within one of DataFusion's.
fn inner(error: &DataFusionError) -> &Error {
    match error.find_root() {
        DataFusionError::External(error) => error.downcast_ref().unwrap(),
        error => panic!("{error}"),
    }
}

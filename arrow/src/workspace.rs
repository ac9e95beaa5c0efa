//! Items for the other crates of finalite's workspace. They are outside semver: each of those crates depends on one
//! exact version of this one.

use arrow_schema::{DataType, Field};
use finalite::{ColumnBatch, Connection, workspace};

use crate::column::Target;
use crate::declared;
use crate::error::{Error, Result};
use crate::options::{Mismatch, Options};
use crate::read::{Shape, WAITING_MAX};

pub use crate::column::Origin;

/// A column of a table, as record batches have it.
#[derive(Clone, Debug)]
pub struct TableColumn {
    /// Name and type.
    pub field: Field,
    /// Source of the type.
    pub origin: Origin,
}

/// Error of reading the first rows.
enum Stop {
    Enough,
    Error(finalite::Error),
}

impl From<finalite::Error> for Stop {
    fn from(error: finalite::Error) -> Self {
        Self::Error(error)
    }
}

/// Returns the columns of a table or a view, before it is read. Types that are not declared are those of its first
/// rows; a column without values there is text.
///
/// # Errors
///
/// Those of SQLite; [`Error::Option`] for the options of a column that the table does not have.
pub fn table_columns(options: &Options, conn: &Connection, table: &str) -> Result<Vec<TableColumn>> {
    let mut columns = Vec::new();
    let mut shape = Shape::new(options);
    workspace::owned_batches(conn.scan_table(table).all_columns().limit(0).with_error::<Error>(), 1, |batch| {
        let origin = |column| Target::origin(column, options);
        let origins: Vec<Origin> = batch.columns().iter().map(origin).collect();
        let schema = shape.schema(&[batch])?;
        let fields = schema.fields().iter().map(|field| field.as_ref().clone());
        columns = fields.zip(origins).map(|(field, origin)| TableColumn { field, origin }).collect();
        Ok(())
    })?;
    let inferred = columns.iter_mut().filter(|column| column.origin == Origin::Inferred);
    let mut inferred: Vec<&mut TableColumn> = inferred.collect();
    if inferred.is_empty() {
        return Ok(columns);
    }
    let names: Vec<&str> = inferred.iter().map(|column| &**column.field.name()).collect();
    let options = Options { columns: Vec::new(), ..options.clone() };
    let mut shape = Shape::new(&options);
    let mut batches: Vec<ColumnBatch> = Vec::new();
    let scan = conn.scan_table(table).select(names).with_error::<Stop>();
    let read = workspace::owned_batches(scan, options.rows, |batch| {
        batches.push(batch);
        if batches.len() == WAITING_MAX || shape.is_known(&batches) { Err(Stop::Enough) } else { Ok(()) }
    });
    if let Err(Stop::Error(error)) = read {
        return Err(error.into());
    }
    let schema = shape.schema(&batches)?;
    for (column, field) in inferred.iter_mut().zip(schema.fields()) {
        column.field = field.as_ref().clone();
        if *field.data_type() == DataType::Null {
            column.field = declared::field(field.name(), declared::text(options.is_large), false);
        }
    }
    Ok(columns)
}

impl Options {
    /// Returns the options with which a scan of these columns of a table has their types.
    #[doc(hidden)]
    pub fn for_table_columns<'c>(&self, columns: impl Iterator<Item = &'c TableColumn> + Clone) -> Self {
        let mut options = self.clone();
        let has = |name: &str| columns.clone().any(|column| column.field.name().eq_ignore_ascii_case(name));
        options.columns.retain(|(name, _)| has(name));
        if options.mismatch == Mismatch::Text {
            // It has chosen the types.
            options.mismatch = Mismatch::Error;
        }
        let inferred = columns.filter(|column| column.origin == Origin::Inferred);
        inferred.fold(options, |options, column| options.column(column.field.name(), column.field.data_type().clone()))
    }

    /// Whether each value is of its column's type, or an error.
    #[doc(hidden)]
    pub fn is_strict(&self) -> bool {
        self.mismatch == Mismatch::Error
    }
}

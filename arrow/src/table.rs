//! Record batches as a table of SQL.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use finalite::Connection;
use finalite::extend::CallbackError;
use finalite::extend::virtual_table::{
    CellCall, Declared, FilterCall, IndexQuery, TableCall, TableCursor, TableDefinition, TableKind, VirtualTable,
};
use finalite::sql::quote_identifier;
use finalite::workspace::{plan_positions, positions};

use crate::error::{Error, Result};
use crate::insert_value::CellReader;

/// Makes record batches a table, which SQL reads in place: `SELECT .. FROM name`, also in joins with tables of the
/// database. The rowid is the number of the row in all batches, from 1.
///
/// Values are those that [`insert_record_batches`](crate::insert_record_batches) stores. The table is not written, and
/// belongs to no database. The batches are dropped when the module is
/// [removed](finalite::Connection::remove_module) or replaced, or with the connection.
///
/// # Errors
///
/// [`Error::Arrow`] for a batch of another schema; [`Error::Insert`] for a type that has no counterpart in SQLite;
/// [`Error::Sqlite`] as [`create_module`](finalite::Connection::create_module), and for a schema without columns. A value
/// that SQLite does not have (NaN, an integer above 2⁶³ − 1) is an error of the statement that reads it.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
/// use finalite::Connection;
/// use finalite_arrow::create_batch_table;
///
/// let names: ArrayRef = Arc::new(StringArray::from(vec!["Bonn", "Ulm"]));
/// let people: ArrayRef = Arc::new(Int64Array::from(vec![Some(330_000), None]));
/// let batch = RecordBatch::try_from_iter([("name", names), ("people", people)])?;
///
/// let conn = Connection::open_in_memory()?;
/// create_batch_table(&conn, "cities", &batch.schema(), vec![batch])?;
/// assert_eq!(conn.query_one::<String>("SELECT name FROM cities WHERE people IS NULL", ())?, "Ulm");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn create_batch_table(
    conn: &Connection,
    name: &str,
    schema: &Arc<Schema>,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<()> {
    let empty = RecordBatch::new_empty(Arc::clone(schema));
    for (column, field) in schema.fields().iter().enumerate() {
        if let Err(reason) = CellReader::new(empty.column(column)) {
            let (name, data_type) = (field.name().as_str().into(), field.data_type().clone());
            return Err(Error::Insert { row: 0, column, name, data_type, reason });
        }
    }
    let (mut first, mut parts) = (0, Vec::new());
    for batch in batches {
        if batch.schema() != *schema {
            let message = format!("a batch of the table {name} has another schema");
            return Err(arrow_schema::ArrowError::SchemaError(message).into());
        }
        // A cursor stands in a batch that has rows.
        if batch.num_rows() > 0 {
            let rows = batch.num_rows();
            parts.push(Part { first, batch });
            first += rows;
        }
    }
    let rows = Batches { schema: Arc::clone(schema), rows: first, parts };
    Ok(conn.create_module::<BatchTable>(name, rows)?)
}

/// The batches of a table.
struct Batches {
    schema: Arc<Schema>,
    /// Number of rows of all.
    rows: usize,
    parts: Vec<Part>,
}

struct Part {
    /// Number of rows before this batch.
    first: usize,
    batch: RecordBatch,
}

struct BatchTable;

struct BatchCursor<'t> {
    batches: &'t Batches,
    /// Columns of the batch that the cursor stands in, and its number.
    columns: Vec<CellReader<'t>>,
    part: usize,
    /// Row in that batch.
    row: usize,
    /// Rows after this one that are visited, in all batches.
    left: usize,
}

impl VirtualTable for BatchTable {
    type Shared = Batches;
    type Cursor<'t> = BatchCursor<'t>;

    const KIND: TableKind = TableKind::EponymousOnly;

    fn connect(batches: &Batches, _: &TableDefinition<'_>) -> std::result::Result<Declared<Self>, CallbackError> {
        let column =
            |field: &Arc<arrow_schema::Field>| quote_identifier(field.name()) + declared_type(field.data_type());
        let columns: Vec<String> = batches.schema.fields().iter().map(column).collect();
        Ok(Declared::new(format!("CREATE TABLE x({})", columns.join(", ")), Self))
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> std::result::Result<(), CallbackError> {
        plan_positions(query)
    }

    fn open<'t>(&'t self, batches: &'t Batches) -> std::result::Result<BatchCursor<'t>, CallbackError> {
        Ok(BatchCursor { batches, columns: Vec::new(), part: 0, row: 0, left: 0 })
    }
}

/// Returns the type of a column as SQL has it, which its affinity follows.
fn declared_type(data_type: &DataType) -> &'static str {
    use DataType as D;
    match data_type {
        D::Boolean => " BOOLEAN",
        D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32 | D::UInt64 => " INTEGER",
        D::Float16 | D::Float32 | D::Float64 => " REAL",
        D::Utf8 | D::LargeUtf8 | D::Utf8View => " TEXT",
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => " BLOB",
        D::Date32 | D::Date64 | D::Time32(_) | D::Time64(_) | D::Timestamp(..) => " TEXT",
        D::Dictionary(_, values) => declared_type(values),
        _ => "",
    }
}

impl BatchCursor<'_> {
    /// Enters a batch.
    fn enter(&mut self, part: usize, row: usize) -> std::result::Result<(), CallbackError> {
        let batches = self.batches;
        self.columns.clear();
        if let Some(Part { batch, .. }) = batches.parts.get(part) {
            for array in batch.columns() {
                self.columns.push(CellReader::new(array)?);
            }
        }
        (self.part, self.row) = (part, row);
        Ok(())
    }
}

impl TableCursor for BatchCursor<'_> {
    fn filter(&mut self, call: &FilterCall<'_>) -> std::result::Result<bool, CallbackError> {
        let rows = positions(call, self.batches.rows);
        let (first, Some(left)) = (rows.start, rows.len().checked_sub(1)) else {
            return Ok(false);
        };
        self.left = left;
        let part = self.batches.parts.partition_point(|part| part.first <= first) - 1;
        self.enter(part, first - self.batches.parts[part].first)?;
        Ok(true)
    }

    #[inline]
    fn next(&mut self, _: &TableCall<'_>) -> std::result::Result<bool, CallbackError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(false);
        };
        self.left = left;
        self.row += 1;
        if self.row == self.batches.parts[self.part].batch.num_rows() {
            self.enter(self.part + 1, 0)?;
        }
        Ok(true)
    }

    #[inline]
    fn column(&self, column: usize, cell: &CellCall<'_>) -> std::result::Result<(), CallbackError> {
        let reader = &self.columns[column];
        match reader.read(self.row) {
            Ok(value) => cell.set(value),
            Err(reason) => {
                let name = self.batches.schema.field(column).name();
                Err(format!("row {}, column {name}: {reason}", self.rowid()?).into())
            }
        }
    }

    fn rowid(&self) -> std::result::Result<i64, CallbackError> {
        Ok(i64::try_from(self.batches.parts[self.part].first + self.row + 1)?)
    }
}

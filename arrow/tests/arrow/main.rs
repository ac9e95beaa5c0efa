//! Record batches beside finalite's own rows.

mod cells;
mod insert;
mod schema;
mod stream;
mod table;

use arrow_array::cast::AsArray;
use arrow_array::types::{ByteArrayType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, GenericByteArray, RecordBatch, RecordBatchReader};
use arrow_schema::DataType;
use finalite::{Connection, Value};

/// Executes a script on a new database in memory.
pub(crate) fn database(script: &str) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(script).unwrap();
    conn
}

pub(crate) fn all(reader: impl RecordBatchReader) -> Vec<RecordBatch> {
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
        for (column, field) in batch.columns().iter().zip(schema.fields()) {
            assert_eq!(column.data_type(), field.data_type());
            column.to_data().validate_full().unwrap();
        }
    }
    batches
}

/// Returns the cells as values of SQLite: a day as its number, a point in time as microseconds, a decimal as its text.
pub(crate) fn cells(batches: &[RecordBatch]) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend((0..batch.num_rows()).map(|row| {
            let columns = batch.columns().iter();
            columns.map(|array| cell(array, row)).collect::<Vec<_>>()
        }));
    }
    rows
}

fn cell(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::Integer(array.as_boolean().value(row).into()),
        DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Real(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => Value::Integer(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(..) => Value::Integer(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Decimal128(..) => Value::Text(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Utf8 => Value::Text(text(array.as_string::<i32>(), row)),
        DataType::LargeUtf8 => Value::Text(text(array.as_string::<i64>(), row)),
        DataType::Binary => Value::Blob(array.as_binary::<i32>().value(row).into()),
        DataType::LargeBinary => Value::Blob(array.as_binary::<i64>().value(row).into()),
        other => panic!("{other}"),
    }
}

fn text<T: ByteArrayType<Native = str>>(array: &GenericByteArray<T>, row: usize) -> String {
    array.value(row).into()
}

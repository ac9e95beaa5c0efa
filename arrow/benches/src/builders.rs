//! rusqlite with a builder of Arrow's for each column: the code that a program without finalite writes by hand.

use std::error::Error;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use finalite_arrow::Options;
use rusqlite::types::ValueRef;

type Outcome<T> = Result<T, Box<dyn Error>>;

const BATCH: usize = Options::ROWS;

/// A builder of each type; those of texts and blobs know how much the last batch had.
enum Builder {
    Integer(Int64Builder),
    Real(Float64Builder),
    Text(StringBuilder),
    Blob(BinaryBuilder),
}

impl Builder {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int64 => Self::Integer(Int64Builder::with_capacity(BATCH)),
            DataType::Float64 => Self::Real(Float64Builder::with_capacity(BATCH)),
            DataType::Utf8 => Self::Text(StringBuilder::with_capacity(BATCH, BATCH * 36)),
            _ => Self::Blob(BinaryBuilder::with_capacity(BATCH, BATCH * 16)),
        }
    }

    fn push(&mut self, value: ValueRef<'_>) -> Outcome<()> {
        match (self, value) {
            (Self::Integer(array), ValueRef::Integer(value)) => array.append_value(value),
            (Self::Real(array), ValueRef::Real(value)) => array.append_value(value),
            (Self::Text(array), ValueRef::Text(_)) => array.append_value(value.as_str()?),
            (Self::Blob(array), ValueRef::Blob(value)) => array.append_value(value),
            (Self::Integer(array), ValueRef::Null) => array.append_null(),
            (Self::Real(array), ValueRef::Null) => array.append_null(),
            (Self::Text(array), ValueRef::Null) => array.append_null(),
            (Self::Blob(array), ValueRef::Null) => array.append_null(),
            _ => return Err("a value of another type".into()),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Integer(array) => Arc::new(array.finish()),
            Self::Real(array) => Arc::new(array.finish()),
            Self::Text(array) => Arc::new(array.finish()),
            Self::Blob(array) => Arc::new(array.finish()),
        }
    }
}

fn schema_of(statement: &rusqlite::Statement<'_>) -> SchemaRef {
    let names: Vec<&str> = statement.column_names().collect();
    let types = names.iter().map(|name| match name.as_bytes()[0] {
        b'i' => DataType::Int64,
        b'r' => DataType::Float64,
        b's' => DataType::Utf8,
        _ => DataType::Binary,
    });
    Arc::new(Schema::new(names.iter().zip(types).map(|(name, it)| Field::new(*name, it, true)).collect::<Vec<_>>()))
}

/// Hands over one batch after another, and returns their schema.
///
/// # Errors
///
/// Those of SQLite and Arrow, and a value that is not of the type that the name of its column begins with.
pub fn read(conn: &rusqlite::Connection, sql: &str, mut take: impl FnMut(RecordBatch)) -> Outcome<SchemaRef> {
    let mut statement = conn.prepare_cached(sql)?;
    let schema = schema_of(&statement);
    let builders = || schema.fields().iter().map(|field| Builder::of(field.data_type())).collect::<Vec<_>>();
    let mut columns = builders();
    let (mut rows, mut in_batch) = (statement.query(())?, 0);
    let mut finish = |columns: &mut Vec<Builder>| -> Outcome<()> {
        let arrays = columns.iter_mut().map(Builder::finish).collect();
        take(RecordBatch::try_new(Arc::clone(&schema), arrays)?);
        Ok(())
    };
    while let Some(row) = rows.next()? {
        for (index, column) in columns.iter_mut().enumerate() {
            column.push(row.get_ref(index)?)?;
        }
        in_batch += 1;
        if in_batch == BATCH {
            finish(&mut columns)?;
            (columns, in_batch) = (builders(), 0);
        }
    }
    if in_batch > 0 {
        finish(&mut columns)?;
    }
    Ok(schema)
}

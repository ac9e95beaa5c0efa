//! Columns of a batch as Arrow arrays.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, GenericByteBuilder, PrimitiveBuilder};
use arrow_array::types::{
    BinaryType, ByteArrayType, Date32Type, Decimal128Type, Float64Type, Int64Type, LargeBinaryType, LargeUtf8Type,
    TimestampMicrosecondType, Utf8Type,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, Float64Array, GenericByteArray, Int64Array, NullArray, OffsetSizeTrait,
    new_null_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, Utc};
use finalite::scan::{BytesBuffers, ColumnBuffer, ColumnType, OffsetBuffer as Offsets};
use finalite::{ColumnBatch, FromSql, Type, ValueRef, workspace};

use crate::error::{Error, Result};
use crate::options::{Mismatch, Options};
use crate::{decimal, declared};

const OTHER_TYPE: &str = "it is of another type";
const NOT_UTF8: &str = "it is not UTF-8";

/// Source of a column's Arrow type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// [`Options::column`].
    Options,
    /// The declared type.
    Declared,
    /// The first values.
    Inferred,
}

/// The Arrow type of a column.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) data_type: DataType,
    pub(crate) is_json: bool,
    /// Whether values of other types are converted to text or bytes.
    is_conversion: bool,
    mismatch: Mismatch,
}

impl Target {
    /// Returns the type of a column by the options, its declared type, and its values in the first batches, of which
    /// there is at least one.
    pub(crate) fn of(index: usize, batches: &[ColumnBatch], options: &Options) -> Self {
        let column = &batches[0].columns()[index];
        let buffers = || batches.iter().map(|batch| &batch.columns()[index]);
        let is_it = |(name, _): &&(Box<str>, DataType)| name.eq_ignore_ascii_case(column.name());
        let mismatch = options.mismatch;
        if let Some((_, data_type)) = options.columns.iter().rfind(is_it) {
            return Self { data_type: data_type.clone(), is_json: false, is_conversion: true, mismatch };
        }
        let special = column.declared_type().filter(|_| options.has_declared_types);
        if let Some((data_type, is_json)) = special.and_then(|declared| declared::special(declared, options)) {
            return Self { data_type, is_json, is_conversion: false, mismatch };
        }
        let is_number = special.is_some_and(declared::is_number);
        let promised = match workspace::promised_type(column.declared_type()) {
            ColumnType::Null if is_number && buffers().all(|column| column.iter().all(is_real)) => ColumnType::Real,
            ColumnType::Null => buffers().map(inferred).find(|&it| it != ColumnType::Null).unwrap_or(ColumnType::Null),
            promised => promised,
        };
        let is_large = options.is_large || buffers().any(is_large);
        let data_type = match promised {
            ColumnType::Integer => DataType::Int64,
            ColumnType::Real => DataType::Float64,
            ColumnType::Text => declared::text(is_large),
            ColumnType::Blob => declared::blob(is_large),
            _ => DataType::Null,
        };
        Self { data_type, is_json: false, is_conversion: false, mismatch }
    }

    /// Returns the source of the type that a column of a table has.
    pub(crate) fn origin(column: &ColumnBuffer, options: &Options) -> Origin {
        let declared = column.declared_type();
        let special = declared.filter(|_| options.has_declared_types).and_then(|it| declared::special(it, options));
        if options.columns.iter().any(|(name, _)| name.eq_ignore_ascii_case(column.name())) {
            Origin::Options
        } else if options.mismatch == Mismatch::Text
            || special.is_none() && workspace::promised_type(declared) == ColumnType::Null
        {
            Origin::Inferred
        } else {
            Origin::Declared
        }
    }

    /// Returns text of any value.
    pub(crate) fn as_text(options: &Options) -> Self {
        let data_type = declared::text(options.is_large);
        Self { data_type, is_json: false, is_conversion: true, mismatch: options.mismatch }
    }

    /// Converts the values of a batch. Those that have Arrow's layout already are not copied.
    ///
    /// # Errors
    ///
    /// For a value that does not fit, and for more than 2 GiB of texts.
    pub(crate) fn convert(&self, column: ColumnBuffer, index: usize) -> Result<ArrayRef> {
        let rows = column.len();
        match (&self.data_type, column.data_type()) {
            _ if column.null_count() == rows => Ok(new_null_array(&self.data_type, rows)),
            (DataType::Int64, ColumnType::Integer) => {
                let (values, validity) = column.into_i64_with_validity()?;
                Ok(Arc::new(Int64Array::new(scalars(values), nulls(validity, rows))))
            }
            (DataType::Float64, ColumnType::Real) => {
                let (values, validity) = column.into_f64_with_validity()?;
                Ok(Arc::new(Float64Array::new(scalars(values), nulls(validity, rows))))
            }
            (DataType::Utf8, ColumnType::Text) => self.take_bytes::<Utf8Type>(column, index),
            (DataType::LargeUtf8, ColumnType::Text) => self.take_bytes::<LargeUtf8Type>(column, index),
            (DataType::Binary, ColumnType::Blob) => self.take_bytes::<BinaryType>(column, index),
            (DataType::LargeBinary, ColumnType::Blob) => self.take_bytes::<LargeBinaryType>(column, index),
            _ => self.read(&Cells { column: &column, index, target: self }),
        }
    }

    /// Reads the values one by one.
    fn read(&self, cells: &Cells<'_>) -> Result<ArrayRef> {
        match &self.data_type {
            DataType::Null => {
                cells.each(|_| Err::<(), _>("the values from which its type was inferred are NULL"), |_| {})?;
                Ok(Arc::new(NullArray::new(cells.column.len())))
            }
            DataType::Boolean => {
                let mut array = BooleanBuilder::with_capacity(cells.column.len());
                cells.each(boolean, |value| array.append_option(value))?;
                Ok(Arc::new(array.finish()))
            }
            DataType::Int64 => cells.primitive::<Int64Type>(integer),
            DataType::Float64 => cells.primitive::<Float64Type>(real),
            DataType::Date32 => cells.primitive::<Date32Type>(date),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let mut array = PrimitiveBuilder::<TimestampMicrosecondType>::with_capacity(cells.column.len())
                    .with_timezone_opt(zone.clone());
                cells.each(timestamp, |value| array.append_option(value))?;
                Ok(Arc::new(array.finish()))
            }
            &DataType::Decimal128(precision, scale) => {
                let of = u8::try_from(scale).map_err(|_| cells.unsupported())?;
                let mut array = PrimitiveBuilder::<Decimal128Type>::with_capacity(cells.column.len())
                    .with_precision_and_scale(precision, scale)?;
                cells.each(|value| decimal(value, precision, of), |value| array.append_option(value))?;
                Ok(Arc::new(array.finish()))
            }
            DataType::Utf8 => cells.bytes::<Utf8Type, _>(|value| self.text(value)),
            DataType::LargeUtf8 => cells.bytes::<LargeUtf8Type, _>(|value| self.text(value)),
            DataType::Binary => cells.bytes::<BinaryType, _>(|value| self.blob(value)),
            DataType::LargeBinary => cells.bytes::<LargeBinaryType, _>(|value| self.blob(value)),
            _ => Err(cells.unsupported()),
        }
    }

    /// Takes the memory of texts or blobs.
    fn take_bytes<T: ByteArrayType<Offset: Widened>>(&self, column: ColumnBuffer, index: usize) -> Result<ArrayRef> {
        let (name, first_row, rows): (Box<str>, _, _) = (column.name().into(), column.first_row(), column.len());
        let BytesBuffers { mut bytes, offsets, validity, .. } = column.into_bytes()?;
        // The room for values to come may be several times their size.
        if bytes.capacity() / 2 > bytes.len() {
            bytes.shrink_to_fit();
        }
        let Some(offsets) = T::Offset::take(offsets) else {
            return Err(Error::TooLarge { row: first_row, column: index, name });
        };
        let offsets = OffsetBuffer::new(scalars(offsets));
        let (bytes, nulls) = (Buffer::from_vec(bytes), nulls(validity, rows));
        // Clones share the memory.
        if let Ok(array) = GenericByteArray::<T>::try_new(offsets.clone(), bytes.clone(), nulls.clone()) {
            return Ok(Arc::new(array));
        }
        let value = |row: usize| &bytes[offsets[row].as_usize()..offsets[row + 1].as_usize()];
        let is_valid = |row: &usize| str::from_utf8(value(*row)).is_ok();
        if self.mismatch != Mismatch::Null {
            let row = (0..rows).find(|row| !is_valid(row)).unwrap_or_default();
            let (expected, row) = (self.data_type.clone(), first_row + row as u64);
            return Err(Error::Value { row, column: index, name, expected, found: Type::Text, reason: NOT_UTF8 });
        }
        // What is not UTF-8 must not be among the bytes at all.
        let mut array = GenericByteBuilder::<LargeUtf8Type>::with_capacity(rows, bytes.len());
        for row in 0..rows {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            array.append_option(str::from_utf8(value(row)).ok().filter(|_| !is_null));
        }
        let (offsets, bytes, nulls) = array.finish().into_parts();
        let offsets = Offsets::Large(offsets.to_vec());
        let offsets =
            T::Offset::take(narrowed(offsets)).ok_or(Error::TooLarge { row: first_row, column: index, name })?;
        Ok(Arc::new(GenericByteArray::<T>::try_new(OffsetBuffer::new(scalars(offsets)), bytes, nulls)?))
    }

    fn text<'a>(&self, value: ValueRef<'a>) -> Result<Cow<'a, str>, &'static str> {
        match value {
            ValueRef::Text(text) => Ok(str::from_utf8(text).map_err(|_| NOT_UTF8)?.into()),
            // The type JSON has NUMERIC affinity: SQLite stores the text of a number as that number.
            ValueRef::Integer(value) if self.is_conversion || self.is_json => Ok(value.to_string().into()),
            ValueRef::Real(value) if self.is_conversion || self.is_json && value.is_finite() => {
                Ok(format!("{value:?}").into())
            }
            ValueRef::Blob(blob) if self.is_conversion => Ok(str::from_utf8(blob).map_err(|_| NOT_UTF8)?.into()),
            _ => Err(OTHER_TYPE),
        }
    }

    fn blob<'a>(&self, value: ValueRef<'a>) -> Result<&'a [u8], &'static str> {
        match value {
            ValueRef::Blob(blob) => Ok(blob),
            ValueRef::Text(text) if self.is_conversion => Ok(text),
            _ => Err(OTHER_TYPE),
        }
    }
}

/// Returns the type of values without a promised one: that of integers and reals together is `Real`, that of other
/// mixtures is that of the first value.
fn inferred(column: &ColumnBuffer) -> ColumnType {
    if column.data_type() != ColumnType::Dynamic {
        return column.data_type();
    }
    let is_number = |value| matches!(value, ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_));
    if column.iter().all(is_number) {
        return ColumnType::Real;
    }
    let first = column.iter().find(|value| !matches!(value, ValueRef::Null));
    match first.unwrap_or(ValueRef::Null) {
        ValueRef::Null => ColumnType::Null,
        ValueRef::Integer(_) => ColumnType::Integer,
        ValueRef::Real(_) => ColumnType::Real,
        ValueRef::Text(_) => ColumnType::Text,
        ValueRef::Blob(_) => ColumnType::Blob,
    }
}

/// Whether the column has 64-bit offsets.
fn is_large(column: &ColumnBuffer) -> bool {
    column.as_bytes().is_ok_and(|bytes| i32::try_from(bytes.bytes().len()).is_err())
}

/// The values of a column, and what they are converted to.
struct Cells<'a> {
    column: &'a ColumnBuffer,
    index: usize,
    target: &'a Target,
}

impl<'a> Cells<'a> {
    fn each<T>(
        &self,
        read: impl Fn(ValueRef<'a>) -> Result<T, &'static str>,
        mut push: impl FnMut(Option<T>),
    ) -> Result<()> {
        for (row, value) in self.column.iter().enumerate() {
            push(match value {
                ValueRef::Null => None,
                value => match read(value) {
                    Ok(value) => Some(value),
                    Err(_) if self.target.mismatch == Mismatch::Null => None,
                    Err(reason) => return Err(self.misfit(row, value.data_type(), reason)),
                },
            });
        }
        Ok(())
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        read: impl Fn(ValueRef<'a>) -> Result<T::Native, &'static str>,
    ) -> Result<ArrayRef> {
        let mut array = PrimitiveBuilder::<T>::with_capacity(self.column.len());
        self.each(read, |value| array.append_option(value))?;
        Ok(Arc::new(array.finish()))
    }

    fn bytes<T: ByteArrayType, V: AsRef<T::Native>>(
        &self,
        read: impl Fn(ValueRef<'a>) -> Result<V, &'static str>,
    ) -> Result<ArrayRef> {
        let mut bytes = 0_usize;
        let limit = if T::Offset::IS_LARGE { usize::MAX } else { i32::MAX as usize };
        let mut array = GenericByteBuilder::<T>::new();
        self.each(read, |value| {
            let value = value.filter(|value| {
                bytes = bytes.saturating_add(size_of_val::<T::Native>(value.as_ref()));
                bytes <= limit
            });
            array.append_option(value);
        })?;
        if bytes > limit {
            let (row, name) = (self.column.first_row(), self.column.name().into());
            return Err(Error::TooLarge { row, column: self.index, name });
        }
        Ok(Arc::new(array.finish()))
    }

    #[cold]
    fn misfit(&self, row: usize, found: Type, reason: &'static str) -> Error {
        Error::Value {
            row: self.column.first_row() + row as u64,
            column: self.index,
            name: self.column.name().into(),
            expected: self.target.data_type.clone(),
            found,
            reason,
        }
    }

    fn unsupported(&self) -> Error {
        Error::Option { name: self.column.name().into(), reason: "values are not read as its type" }
    }
}

/// Offsets of 32 or 64 bits.
pub(crate) trait Widened: OffsetSizeTrait {
    /// Takes offsets; `None` if they do not fit.
    fn take(offsets: Offsets) -> Option<Vec<Self>>;
}

impl Widened for i32 {
    fn take(offsets: Offsets) -> Option<Vec<Self>> {
        match narrowed(offsets) {
            Offsets::Small(offsets) => Some(offsets),
            Offsets::Large(_) => None,
        }
    }
}

impl Widened for i64 {
    fn take(offsets: Offsets) -> Option<Vec<Self>> {
        Some(match offsets {
            Offsets::Small(offsets) => offsets.into_iter().map(i64::from).collect(),
            Offsets::Large(offsets) => offsets,
        })
    }
}

/// Returns 32-bit offsets if they suffice: a column keeps its 64-bit offsets once it has needed them.
fn narrowed(offsets: Offsets) -> Offsets {
    match offsets {
        Offsets::Large(offsets) if offsets.last().is_none_or(|&end| i32::try_from(end).is_ok()) => {
            Offsets::Small(offsets.into_iter().map(|offset| i32::try_from(offset).unwrap_or(i32::MAX)).collect())
        }
        offsets => offsets,
    }
}

fn scalars<T: ArrowNativeType>(values: Vec<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(values)
}

fn nulls(validity: Option<Vec<u8>>, rows: usize) -> Option<NullBuffer> {
    validity.map(|validity| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(validity), 0, rows)))
}

fn boolean(value: ValueRef<'_>) -> Result<bool, &'static str> {
    match value {
        ValueRef::Integer(0) => Ok(false),
        ValueRef::Integer(1) => Ok(true),
        ValueRef::Text(text) if text.eq_ignore_ascii_case(b"true") => Ok(true),
        ValueRef::Text(text) if text.eq_ignore_ascii_case(b"false") => Ok(false),
        _ => Err("it is none of 0, 1, true and false"),
    }
}

/// Whether the value may be in a column of reals.
fn is_real(value: ValueRef<'_>) -> bool {
    value == ValueRef::Null || real(value).is_ok()
}

fn integer(value: ValueRef<'_>) -> Result<i64, &'static str> {
    if let ValueRef::Integer(value) = value { Ok(value) } else { Err(OTHER_TYPE) }
}

fn real(value: ValueRef<'_>) -> Result<f64, &'static str> {
    match value {
        ValueRef::Real(value) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³")]
        ValueRef::Integer(value) if value.unsigned_abs() <= 1 << 53 => Ok(value as f64),
        ValueRef::Integer(_) => Err("it is not exact as a real"),
        _ => Err(OTHER_TYPE),
    }
}

fn date(value: ValueRef<'_>) -> Result<i32, &'static str> {
    const MICROS_PER_DAY: i64 = 86_400_000_000;
    let micros = timestamp(value)?;
    if micros % MICROS_PER_DAY != 0 {
        return Err("it has a time of day");
    }
    i32::try_from(micros / MICROS_PER_DAY).map_err(|_| OUT_OF_RANGE)
}

const OUT_OF_RANGE: &str = "it is out of range";

/// Microseconds since 1970-01-01 00:00:00 UTC.
fn timestamp(value: ValueRef<'_>) -> Result<i64, &'static str> {
    match value {
        ValueRef::Text(_) => {
            let time = DateTime::<Utc>::from_sql(value).map_err(|_| "it is no date or time that SQLite reads")?;
            if time.timestamp_subsec_nanos() % 1_000 != 0 {
                return Err("it is finer than microseconds");
            }
            Ok(time.timestamp_micros())
        }
        ValueRef::Integer(seconds) => seconds.checked_mul(1_000_000).ok_or(OUT_OF_RANGE),
        ValueRef::Real(seconds) => {
            let micros = (seconds * 1e6).round();
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            if micros.abs() < 9.2e18 { Ok(micros as i64) } else { Err(OUT_OF_RANGE) }
        }
        _ => Err(OTHER_TYPE),
    }
}

fn decimal(value: ValueRef<'_>, precision: u8, scale: u8) -> Result<i128, &'static str> {
    match value {
        ValueRef::Integer(value) => decimal::of_integer(value, precision, scale),
        ValueRef::Real(value) => decimal::of_real(value, precision, scale),
        ValueRef::Text(text) => decimal::of_text(text, precision, scale),
        _ => Err(OTHER_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use finalite::Connection;

    use super::*;

    fn column(sql: &str) -> (ColumnBuffer, Target) {
        let batch = Connection::open_in_memory().unwrap().scan(sql, ()).columns().unwrap();
        let target = Target::of(0, std::slice::from_ref(&batch), &Options::new());
        (batch.into_columns().remove(0), target)
    }

    /// Addresses of the values and of the validity bitmap.
    fn before(column: &ColumnBuffer) -> [usize; 2] {
        let values = match column.data_type() {
            ColumnType::Integer => column.as_i64_with_validity().unwrap().0.as_ptr().addr(),
            ColumnType::Real => column.as_f64_with_validity().unwrap().0.as_ptr().addr(),
            _ => column.as_bytes().unwrap().bytes().as_ptr().addr(),
        };
        [values, column.validity().unwrap().as_ptr().addr()]
    }

    fn after(array: &dyn Array) -> [usize; 2] {
        let data = array.to_data();
        let values = data.buffers().last().unwrap().as_ptr().addr();
        [values, data.nulls().unwrap().buffer().as_ptr().addr()]
    }

    #[test]
    fn memory_is_taken_over() {
        for values in ["(1), (NULL), (3)", "(0.5), (NULL)", "('one'), (NULL), ('é')", "(x'00ff'), (NULL)"] {
            let (column, target) = column(&format!("VALUES {values}"));
            let before = before(&column);
            assert_eq!(after(&target.convert(column, 0).unwrap()), before, "{values}");
        }
    }

    /// Control test: values that are converted are elsewhere.
    #[test]
    fn converted_values_are_elsewhere() {
        let (column, target) = column("VALUES (1), (NULL), (3)");
        let target = Target { data_type: DataType::Float64, ..target };
        let before = before(&column);
        assert_ne!(after(&target.convert(column, 0).unwrap())[0], before[0]);
    }

    #[test]
    fn offsets_that_do_not_fit_are_refused() {
        assert_eq!(i32::take(Offsets::Large(vec![0, 5])), Some(vec![0, 5]));
        assert_eq!(i32::take(Offsets::Large(vec![0, 1 << 31])), None);
        assert_eq!(i64::take(Offsets::Large(vec![0, 1 << 31])), Some(vec![0, 1 << 31]));
        assert_eq!(i64::take(Offsets::Small(vec![0, 5])), Some(vec![0, 5]));
    }
}

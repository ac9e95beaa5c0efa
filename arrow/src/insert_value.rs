//! Values of Arrow arrays as values of SQLite.

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::{as_date, as_datetime, as_time};
use arrow_array::types::{
    ArrowDictionaryKeyType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, BinaryArray, StringArray, downcast_dictionary_array};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::{DataType, TimeUnit};
use finalite::insert::InsertColumn;
use finalite::workspace::{self, RawParam};
use finalite::{ConversionError, Param, ToSql};

const UNSUPPORTED: &str = "the type has no counterpart in SQLite";
const OUT_OF_RANGE: &str = "it is out of range";
const NAN: &str = "SQLite stores NaN as NULL";

type Read<'a> = Box<dyn Fn(usize) -> Result<Param<'a>, &'static str> + 'a>;

/// Reasons why values of a column cannot be stored.
pub(crate) enum Refusals {
    /// One for all.
    Any(&'static str),
    /// By row.
    Rows(Vec<(usize, &'static str)>),
}

impl Refusals {
    /// Returns the reason for the value of a row; `None` if it is finalite's.
    pub(crate) fn reason(&self, row: u64) -> Option<&'static str> {
        match self {
            Self::Any(reason) => Some(reason),
            Self::Rows(rows) => rows.iter().find(|(at, _)| *at as u64 == row).map(|(_, reason)| *reason),
        }
    }
}

/// Returns the values of an array as a column to insert: SQLite reads those of the usual types where they are, others are
/// converted before.
pub(crate) fn lend<'a>(array: &'a dyn Array) -> Result<(InsertColumn<'a>, Refusals), &'static str> {
    use RawParam::{Blob, Integer, Text};
    let column = match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            lend_by(array, move |row| Ok(Integer(values.value(row).into())))
        }
        DataType::Int32 => lend_integers::<Int32Type>(array),
        DataType::Int64 => lend_integers::<Int64Type>(array),
        DataType::UInt32 => lend_integers::<UInt32Type>(array),
        DataType::Float32 => lend_reals::<Float32Type>(array),
        DataType::Float64 => lend_reals::<Float64Type>(array),
        DataType::Utf8 => {
            let values: &StringArray = array.as_string();
            lend_by(array, move |row| Ok(Text(values.value(row))))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            lend_by(array, move |row| Ok(Text(values.value(row))))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            lend_by(array, move |row| Ok(Text(values.value(row))))
        }
        DataType::Binary => {
            let values: &BinaryArray = array.as_binary();
            lend_by(array, move |row| Ok(Blob(values.value(row))))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            lend_by(array, move |row| Ok(Blob(values.value(row))))
        }
        _ => return Ok(convert(&CellReader::new(array)?, array.len())),
    };
    Ok((column, Refusals::Any(NAN)))
}

/// Converts values before SQLite asks for them.
fn convert<'a>(reader: &CellReader<'a>, len: usize) -> (InsertColumn<'a>, Refusals) {
    let mut refused = vec![];
    let values = (0..len).map(|row| {
        reader.read(row).unwrap_or_else(|reason| {
            refused.push((row, reason));
            Param::error(ConversionError::message("an Arrow value", reason))
        })
    });
    let column = InsertColumn::from_values(values);
    (column, Refusals::Rows(refused))
}

/// Lends the values of an array, which the closure reads where there is one.
fn lend_by<'a>(
    array: &'a dyn Array,
    read: impl Fn(usize) -> Result<RawParam<'a>, ConversionError> + 'a,
) -> InsertColumn<'a> {
    match array.nulls() {
        None => workspace::lent_column(array.len(), read),
        Some(nulls) => {
            workspace::lent_column(
                array.len(),
                move |row| {
                    if nulls.is_null(row) { Ok(RawParam::Null) } else { read(row) }
                },
            )
        }
    }
}

fn lend_integers<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array) -> InsertColumn<'a> {
    let values = array.as_primitive::<T>().values();
    lend_by(array, |row| Ok(RawParam::Integer(values[row].into())))
}

fn lend_reals<'a, T: ArrowPrimitiveType<Native: Into<f64>>>(array: &'a dyn Array) -> InsertColumn<'a> {
    let values = array.as_primitive::<T>().values();
    lend_by(array, |row| {
        let value: f64 = values[row].into();
        if value.is_nan() { Err(ConversionError::message("an Arrow value", NAN)) } else { Ok(RawParam::Real(value)) }
    })
}

/// Reads the cells of a column, one by one.
pub(crate) struct CellReader<'a> {
    nulls: Option<&'a NullBuffer>,
    read: Read<'a>,
}

impl<'a> CellReader<'a> {
    pub(crate) fn new(array: &'a dyn Array) -> Result<Self, &'static str> {
        Ok(Self { nulls: array.nulls(), read: reader(array)? })
    }

    /// Reads the value of a row, which must be one of the array's.
    pub(crate) fn read(&self, row: usize) -> Result<Param<'a>, &'static str> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) { Ok(Param::null()) } else { (self.read)(row) }
    }
}

fn reader<'a>(array: &'a dyn Array) -> Result<Read<'a>, &'static str> {
    use DataType as D;
    Ok(match array.data_type() {
        D::Null => Box::new(|_| Ok(Param::null())),
        D::Boolean => {
            let array = array.as_boolean();
            Box::new(|row| Ok(Param::integer(array.value(row).into())))
        }
        D::Int8 => integer::<Int8Type>(array),
        D::Int16 => integer::<Int16Type>(array),
        D::Int32 => integer::<Int32Type>(array),
        D::Int64 => integer::<Int64Type>(array),
        D::UInt8 => integer::<UInt8Type>(array),
        D::UInt16 => integer::<UInt16Type>(array),
        D::UInt32 => integer::<UInt32Type>(array),
        D::UInt64 => integer::<UInt64Type>(array),
        D::Float16 => real::<Float16Type>(array, f64::from),
        D::Float32 => real::<Float32Type>(array, f64::from),
        D::Float64 => real::<Float64Type>(array, f64::from),
        D::Utf8 => {
            let array: &StringArray = array.as_string();
            Box::new(|row| Ok(Param::text(array.value(row))))
        }
        D::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Box::new(|row| Ok(Param::text(array.value(row))))
        }
        D::Utf8View => {
            let array = array.as_string_view();
            Box::new(|row| Ok(Param::text(array.value(row))))
        }
        D::Binary => {
            let array: &BinaryArray = array.as_binary();
            Box::new(|row| Ok(Param::blob(array.value(row))))
        }
        D::LargeBinary => {
            let array = array.as_binary::<i64>();
            Box::new(|row| Ok(Param::blob(array.value(row))))
        }
        D::BinaryView => {
            let array = array.as_binary_view();
            Box::new(|row| Ok(Param::blob(array.value(row))))
        }
        D::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            Box::new(|row| Ok(Param::blob(array.value(row))))
        }
        D::Date32 => date::<Date32Type>(array),
        D::Date64 => date::<Date64Type>(array),
        D::Time32(TimeUnit::Second) => time::<Time32SecondType>(array),
        D::Time32(_) => time::<Time32MillisecondType>(array),
        D::Time64(TimeUnit::Microsecond) => time::<Time64MicrosecondType>(array),
        D::Time64(_) => time::<Time64NanosecondType>(array),
        D::Timestamp(TimeUnit::Second, zone) => timestamp::<TimestampSecondType>(array, zone.is_some()),
        D::Timestamp(TimeUnit::Millisecond, zone) => timestamp::<TimestampMillisecondType>(array, zone.is_some()),
        D::Timestamp(TimeUnit::Microsecond, zone) => timestamp::<TimestampMicrosecondType>(array, zone.is_some()),
        D::Timestamp(TimeUnit::Nanosecond, zone) => timestamp::<TimestampNanosecondType>(array, zone.is_some()),
        D::Decimal32(..) => decimal::<Decimal32Type>(array),
        D::Decimal64(..) => decimal::<Decimal64Type>(array),
        D::Decimal128(..) => decimal::<Decimal128Type>(array),
        D::Decimal256(..) => decimal::<Decimal256Type>(array),
        D::Dictionary(..) => downcast_dictionary_array!(
            array => dictionary(array)?,
            _ => return Err(UNSUPPORTED)
        ),
        _ => return Err(UNSUPPORTED),
    })
}

fn integer<'a, T: ArrowPrimitiveType<Native: TryInto<i64>>>(array: &'a dyn Array) -> Read<'a> {
    let values = array.as_primitive::<T>().values();
    Box::new(|row| values[row].try_into().map(Param::integer).map_err(|_| OUT_OF_RANGE))
}

fn real<'a, T: ArrowPrimitiveType>(array: &'a dyn Array, widen: impl Fn(T::Native) -> f64 + 'a) -> Read<'a> {
    let values = array.as_primitive::<T>().values();
    Box::new(move |row| checked(widen(values[row])))
}

fn checked<'a>(value: f64) -> Result<Param<'a>, &'static str> {
    if value.is_nan() { Err(NAN) } else { Ok(Param::real(value)) }
}

fn date<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array) -> Read<'a> {
    let values = array.as_primitive::<T>().values();
    Box::new(|row| Ok(as_date::<T>(values[row].into()).ok_or(OUT_OF_RANGE)?.into_param()))
}

fn time<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array) -> Read<'a> {
    let values = array.as_primitive::<T>().values();
    Box::new(|row| Ok(as_time::<T>(values[row].into()).ok_or(OUT_OF_RANGE)?.into_param()))
}

fn timestamp<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array, has_zone: bool) -> Read<'a> {
    let values = array.as_primitive::<T>().values();
    Box::new(move |row| {
        let time = as_datetime::<T>(values[row].into()).ok_or(OUT_OF_RANGE)?;
        Ok(if has_zone { time.and_utc().into_param() } else { time.into_param() })
    })
}

fn decimal<'a, T: DecimalType>(array: &'a dyn Array) -> Read<'a> {
    let array = array.as_primitive::<T>();
    Box::new(|row| Ok(Param::text(array.value_as_string(row))))
}

fn dictionary<'a, K: ArrowDictionaryKeyType>(
    array: &'a arrow_array::DictionaryArray<K>,
) -> Result<Read<'a>, &'static str> {
    let values = CellReader::new(array.values())?;
    let keys = array.keys();
    Ok(Box::new(move |row| values.read(keys.value(row).as_usize())))
}

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
use finalite::{Param, ToSql};

const UNSUPPORTED: &str = "the type has no counterpart in SQLite";
const OUT_OF_RANGE: &str = "it is out of range";

type Read<'a> = Box<dyn Fn(usize) -> Result<Param<'a>, &'static str> + 'a>;

/// Reads the cells of a column.
pub(crate) struct CellReader<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

/// The values; the usual types without a call through a pointer.
enum Values<'a> {
    Integer(&'a [i64]),
    Real(&'a [f64]),
    Text(&'a StringArray),
    Blob(&'a BinaryArray),
    Other(Read<'a>),
}

impl<'a> CellReader<'a> {
    pub(crate) fn new(array: &'a dyn Array) -> Result<Self, &'static str> {
        let values = match array.data_type() {
            DataType::Int64 => Values::Integer(array.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Values::Real(array.as_primitive::<Float64Type>().values()),
            DataType::Utf8 => Values::Text(array.as_string()),
            DataType::Binary => Values::Blob(array.as_binary()),
            _ => Values::Other(reader(array)?),
        };
        Ok(Self { nulls: array.nulls(), values })
    }

    /// Reads the value of a row, which must be one of the array's.
    #[inline]
    pub(crate) fn read(&self, row: usize) -> Result<Param<'a>, &'static str> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(Param::null());
        }
        match &self.values {
            Values::Integer(values) => Ok(Param::integer(values[row])),
            Values::Real(values) => checked(values[row]),
            Values::Text(values) => Ok(Param::text(values.value(row))),
            Values::Blob(values) => Ok(Param::blob(values.value(row))),
            Values::Other(read) => read(row),
        }
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
        D::UInt8 => integer::<UInt8Type>(array),
        D::UInt16 => integer::<UInt16Type>(array),
        D::UInt32 => integer::<UInt32Type>(array),
        D::UInt64 => integer::<UInt64Type>(array),
        D::Float16 => real::<Float16Type>(array, f64::from),
        D::Float32 => real::<Float32Type>(array, f64::from),
        D::LargeUtf8 => {
            let array = array.as_string::<i64>();
            Box::new(|row| Ok(Param::text(array.value(row))))
        }
        D::Utf8View => {
            let array = array.as_string_view();
            Box::new(|row| Ok(Param::text(array.value(row))))
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
    if value.is_nan() { Err("SQLite stores NaN as NULL") } else { Ok(Param::real(value)) }
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

//! Values in a form that SQLite accepts, and the types of the standard library that have that form already.

use std::borrow::Cow;

use super::{ConversionError, Value};

/// A value in a form that SQLite accepts.
#[derive(Clone, Copy, Debug)]
pub enum RawParam<'p> {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(&'p str),
    /// BLOB.
    Blob(&'p [u8]),
    /// A BLOB of this many zero bytes.
    ZeroBlob(u64),
}

/// A type of the standard library that is lent to SQLite where it is. Lending it runs no code of the program.
pub trait Lend {
    /// Returns the value, or the reason why SQLite cannot store it.
    fn lend(&self) -> Result<RawParam<'_>, ConversionError>;
}

/// Lends the value at an index, NULL beyond the end.
#[inline]
pub(crate) fn lend_at<T: Lend>(values: &[T], index: usize) -> Result<RawParam<'_>, ConversionError> {
    values.get(index).map_or(Ok(RawParam::Null), Lend::lend)
}

macro_rules! lend {
    ($($type:ty: $value:ident => $lent:expr;)+) => {
        $(
            impl Lend for $type {
                #[inline]
                fn lend(&self) -> Result<RawParam<'_>, ConversionError> {
                    let $value = self;
                    $lent
                }
            }
        )+
    };
}

lend! {
    i8: value => Ok(RawParam::Integer((*value).into()));
    i16: value => Ok(RawParam::Integer((*value).into()));
    i32: value => Ok(RawParam::Integer((*value).into()));
    i64: value => Ok(RawParam::Integer(*value));
    isize: value => integer(*value, "isize");
    u16: value => Ok(RawParam::Integer((*value).into()));
    u32: value => Ok(RawParam::Integer((*value).into()));
    u64: value => integer(*value, "u64");
    usize: value => integer(*value, "usize");
    bool: value => Ok(RawParam::Integer((*value).into()));
    f32: value => real((*value).into(), "f32");
    f64: value => real(*value, "f64");
    &str: value => Ok(RawParam::Text(value));
    String: value => Ok(RawParam::Text(value));
    Box<str>: value => Ok(RawParam::Text(value));
    Cow<'_, str>: value => Ok(RawParam::Text(value));
    &[u8]: value => Ok(RawParam::Blob(value));
    Vec<u8>: value => Ok(RawParam::Blob(value));
    Box<[u8]>: value => Ok(RawParam::Blob(value));
    Cow<'_, [u8]>: value => Ok(RawParam::Blob(value));
    Value: value => Ok(match value {
        Value::Null => RawParam::Null,
        Value::Integer(value) => RawParam::Integer(*value),
        Value::Real(value) => return real(*value, "Value"),
        Value::Text(text) => RawParam::Text(text),
        Value::Blob(bytes) => RawParam::Blob(bytes),
    });
}

impl<T: Lend> Lend for Option<T> {
    #[inline]
    fn lend(&self) -> Result<RawParam<'_>, ConversionError> {
        self.as_ref().map_or(Ok(RawParam::Null), Lend::lend)
    }
}

#[inline]
fn integer<'a, T>(value: T, rust_type: &'static str) -> Result<RawParam<'a>, ConversionError>
where
    T: TryInto<i64> + Copy + std::fmt::Display,
{
    value.try_into().map(RawParam::Integer).map_err(|_| ConversionError::too_big_to_bind(rust_type, value))
}

/// Lends a number that must not be NaN, which SQLite would store as NULL.
#[inline]
fn real<'a>(value: f64, rust_type: &'static str) -> Result<RawParam<'a>, ConversionError> {
    if value.is_nan() { Err(ConversionError::nan(rust_type)) } else { Ok(RawParam::Real(value)) }
}

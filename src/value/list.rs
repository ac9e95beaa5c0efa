//! [`List`]: values that are bound as one parameter.

use std::ops::Deref;

use super::{ConversionError, Value, ValueRef};

/// Values that are lent or owned. Unlike those of `Cow`, the lifetimes in `T` may be shortened.
#[derive(Clone)]
pub(crate) enum Values<'p, T> {
    Lent(&'p [T]),
    Owned(Vec<T>),
}

impl<T> Deref for Values<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Lent(values) => values,
            Self::Owned(values) => values,
        }
    }
}

/// A list of values, borrowed or owned.
///
/// It consists of types of the standard library alone, so that dropping it runs no code of the program.
#[derive(Clone)]
pub(crate) enum List<'p> {
    I32(Values<'p, i32>),
    U32(Values<'p, u32>),
    I64(Values<'p, i64>),
    U64(Values<'p, u64>),
    F64(Values<'p, f64>),
    Text(Values<'p, &'p str>),
    OwnedText(Values<'p, String>),
    Blob(Values<'p, &'p [u8]>),
    OwnedBlob(Values<'p, Vec<u8>>),
    Value(Values<'p, Value>),
}

impl List<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::I32(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::OwnedText(values) => values.len(),
            Self::Blob(values) => values.len(),
            Self::OwnedBlob(values) => values.len(),
            Self::Value(values) => values.len(),
        }
    }

    /// Returns the value at an index, NULL beyond the end. A value that SQLite cannot store is an error, as it is for a
    /// parameter of its own.
    #[inline]
    pub(crate) fn value(&self, index: usize) -> Result<ValueRef<'_>, ConversionError> {
        Ok(match self {
            Self::I32(values) => integer(values.get(index).copied()),
            Self::U32(values) => integer(values.get(index).copied()),
            Self::I64(values) => integer(values.get(index).copied()),
            Self::U64(values) => match values.get(index) {
                Some(&value) => {
                    ValueRef::Integer(i64::try_from(value).map_err(|_| ConversionError::too_big_to_bind("u64", value))?)
                }
                None => ValueRef::Null,
            },
            Self::F64(values) => real(values.get(index).copied(), "f64")?,
            Self::Text(values) => values.get(index).map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
            Self::OwnedText(values) => values.get(index).map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
            Self::Blob(values) => values.get(index).map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
            Self::OwnedBlob(values) => values.get(index).map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
            Self::Value(values) => match values.get(index) {
                Some(&Value::Real(value)) => real(Some(value), "Value")?,
                Some(value) => value.as_value_ref(),
                None => ValueRef::Null,
            },
        })
    }

    /// Returns the same list with owned values.
    pub(crate) fn to_owned_list(&self) -> List<'static> {
        match self {
            Self::I32(values) => List::I32(Values::Owned(values.to_vec())),
            Self::U32(values) => List::U32(Values::Owned(values.to_vec())),
            Self::I64(values) => List::I64(Values::Owned(values.to_vec())),
            Self::U64(values) => List::U64(Values::Owned(values.to_vec())),
            Self::F64(values) => List::F64(Values::Owned(values.to_vec())),
            Self::Text(values) => List::OwnedText(Values::Owned(values.iter().map(|&text| text.to_owned()).collect())),
            Self::OwnedText(values) => List::OwnedText(Values::Owned(values.to_vec())),
            Self::Blob(values) => {
                List::OwnedBlob(Values::Owned(values.iter().map(|&bytes| bytes.to_owned()).collect()))
            }
            Self::OwnedBlob(values) => List::OwnedBlob(Values::Owned(values.to_vec())),
            Self::Value(values) => List::Value(Values::Owned(values.to_vec())),
        }
    }
}

#[inline]
fn integer<'a>(value: Option<impl Into<i64>>) -> ValueRef<'a> {
    value.map_or(ValueRef::Null, |value| ValueRef::Integer(value.into()))
}

#[inline]
fn real<'a>(value: Option<f64>, rust_type: &'static str) -> Result<ValueRef<'a>, ConversionError> {
    match value {
        Some(value) if value.is_nan() => Err(ConversionError::nan(rust_type)),
        Some(value) => Ok(ValueRef::Real(value)),
        None => Ok(ValueRef::Null),
    }
}

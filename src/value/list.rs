//! [`List`]: values that are bound as one parameter.

use std::ops::Deref;

use super::lent::lend_at;
use super::{ConversionError, RawParam, Value};

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
    pub(crate) fn value(&self, index: usize) -> Result<RawParam<'_>, ConversionError> {
        match self {
            Self::I32(values) => lend_at(values, index),
            Self::U32(values) => lend_at(values, index),
            Self::I64(values) => lend_at(values, index),
            Self::U64(values) => lend_at(values, index),
            Self::F64(values) => lend_at(values, index),
            Self::Text(values) => lend_at(values, index),
            Self::OwnedText(values) => lend_at(values, index),
            Self::Blob(values) => lend_at(values, index),
            Self::OwnedBlob(values) => lend_at(values, index),
            Self::Value(values) => lend_at(values, index),
        }
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

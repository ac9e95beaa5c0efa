//! Bytes.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{ConversionError, FromColumn};
use crate::{IntoParam, Param, ToSql, ValueRef};

impl<'row> FromColumn<'row> for &'row [u8] {
    #[inline]
    fn from_column(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.as_bytes()
    }
}

impl<'row> FromColumn<'row> for Cow<'row, [u8]> {
    #[inline]
    fn from_column(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.as_bytes().map(Cow::Borrowed)
    }
}

impl<const N: usize> FromColumn<'_> for [u8; N] {
    #[inline]
    fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = value else {
            return Err(ConversionError::wrong_type("[u8; N]"));
        };
        bytes.try_into().map_err(|_| ConversionError::length("[u8; N]", N, bytes.len()))
    }
}

macro_rules! owned_bytes {
    ($($type:ty, $into:expr;)*) => {
        $(
            impl FromColumn<'_> for $type {
                #[inline]
                fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    match value {
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes.into()),
                        _ => Err(ConversionError::wrong_type(stringify!($type))),
                    }
                }
            }

            impl ToSql for $type {
                #[inline]
                fn to_sql(&self) -> Param<'_> {
                    Param::blob(&**self)
                }
            }

            impl<'p> IntoParam<'p> for $type {
                #[inline]
                fn into_param(self) -> Param<'p> {
                    Param::blob(Vec::from($into(self)))
                }
            }
        )*
    };
}

owned_bytes! {
    Vec<u8>, std::convert::identity;
    Box<[u8]>, std::convert::identity;
    Rc<[u8]>, |bytes: Rc<[u8]>| Vec::from(&*bytes);
    Arc<[u8]>, |bytes: Arc<[u8]>| Vec::from(&*bytes);
}

impl ToSql for [u8] {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::blob(self)
    }
}

impl<const N: usize> ToSql for [u8; N] {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::blob(self)
    }
}

impl<'p, const N: usize> IntoParam<'p> for [u8; N] {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::blob(Vec::from(self))
    }
}

impl ToSql for Cow<'_, [u8]> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::blob(&**self)
    }
}

impl<'p> IntoParam<'p> for Cow<'p, [u8]> {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::blob(self)
    }
}

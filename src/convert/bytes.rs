//! Conversions of bytes.

use std::any::type_name;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

impl<'row> FromSql<'row> for &'row [u8] {
    #[inline]
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.as_bytes()
    }
}

impl<'row> FromSql<'row> for Cow<'row, [u8]> {
    #[inline]
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.bytes_as("Cow<[u8]>").map(Cow::Borrowed)
    }
}

impl<const N: usize> FromSql<'_> for [u8; N] {
    #[inline]
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        let bytes = value.bytes_as(type_name::<Self>())?;
        bytes.try_into().map_err(|_| ConversionError::length(type_name::<Self>(), N, bytes.len()))
    }
}

macro_rules! owned_bytes {
    ($($type:ty)*) => {
        $(
            impl FromSql<'_> for $type {
                #[inline]
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    value.bytes_as(stringify!($type)).map(Self::from)
                }
            }
        )*
    };
}

owned_bytes! { Vec<u8> Box<[u8]> Rc<[u8]> Arc<[u8]> }

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

impl ToSql for Vec<u8> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::blob(&**self)
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p> {
        Param::blob(self)
    }
}

impl ToSql for Cow<'_, [u8]> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::blob(&**self)
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: 'p,
    {
        Param::blob(self)
    }
}

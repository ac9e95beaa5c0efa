//! Conversions of text.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

impl<'row> FromSql<'row> for &'row str {
    #[inline]
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.as_str()
    }
}

impl<'row> FromSql<'row> for Cow<'row, str> {
    #[inline]
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.text_as("Cow<str>").map(Cow::Borrowed)
    }
}

macro_rules! owned_text {
    ($($type:ty)*) => {
        $(
            impl FromSql<'_> for $type {
                #[inline]
                fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    value.text_as(stringify!($type)).map(Self::from)
                }
            }
        )*
    };
}

owned_text! { String Box<str> Rc<str> Arc<str> }

impl ToSql for str {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::text(self)
    }
}

impl ToSql for String {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::text(&**self)
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p> {
        Param::text(self)
    }
}

impl ToSql for Cow<'_, str> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::text(&**self)
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: 'p,
    {
        Param::text(self)
    }
}

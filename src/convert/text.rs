//! Text.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::{ConversionError, FromColumn};
use crate::{IntoParam, Param, ToSql, ValueRef};

impl<'row> FromColumn<'row> for &'row str {
    #[inline]
    fn from_column(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.as_str()
    }
}

impl<'row> FromColumn<'row> for Cow<'row, str> {
    #[inline]
    fn from_column(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.text_as("Cow<str>").map(Cow::Borrowed)
    }
}

macro_rules! owned_text {
    ($($type:ty, $into:expr;)*) => {
        $(
            impl FromColumn<'_> for $type {
                #[inline]
                fn from_column(value: ValueRef<'_>) -> Result<Self, ConversionError> {
                    value.text_as(stringify!($type)).map(Self::from)
                }
            }

            impl ToSql for $type {
                #[inline]
                fn to_sql(&self) -> Param<'_> {
                    Param::text(&**self)
                }
            }

            impl<'p> IntoParam<'p> for $type {
                #[inline]
                fn into_param(self) -> Param<'p> {
                    Param::text(String::from($into(self)))
                }
            }
        )*
    };
}

owned_text! {
    String, std::convert::identity;
    Box<str>, std::convert::identity;
    Rc<str>, |text: Rc<str>| String::from(&*text);
    Arc<str>, |text: Arc<str>| String::from(&*text);
}

impl ToSql for str {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::text(self)
    }
}

impl ToSql for Cow<'_, str> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::text(&**self)
    }
}

impl<'p> IntoParam<'p> for Cow<'p, str> {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::text(self)
    }
}

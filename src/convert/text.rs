//! Conversions of text, characters and paths.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
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

impl FromSql<'_> for char {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        let mut chars = value.text_as("char")?.chars();
        let only = chars.next().filter(|_| chars.next().is_none());
        only.ok_or_else(|| ConversionError::message("char", "not one character"))
    }
}

impl ToSql for char {
    fn to_sql(&self) -> Param<'_> {
        Param::text(self.to_string())
    }
}

impl<'row> FromSql<'row> for &'row Path {
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        value.text_as("&Path").map(Path::new)
    }
}

impl FromSql<'_> for PathBuf {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        value.text_as("PathBuf").map(Self::from)
    }
}

impl ToSql for Path {
    fn to_sql(&self) -> Param<'_> {
        let not_utf8 = || ConversionError::message("Path", "the path is not UTF-8");
        self.to_str().map_or_else(|| Param::error(not_utf8()), Param::text)
    }
}

impl ToSql for PathBuf {
    fn to_sql(&self) -> Param<'_> {
        self.as_path().to_sql()
    }
}

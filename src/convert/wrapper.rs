//! Conversions of types that wrap other types or values: `Option`, `Value`, references and smart pointers.

use std::rc::Rc;
use std::sync::Arc;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, Value, ValueRef};

impl<'row, T: FromSql<'row>> FromSql<'row> for Option<T> {
    #[inline]
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::from_sql(value).map(Some),
        }
    }
}

impl<T: ToSql> ToSql for Option<T> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        self.as_ref().map_or_else(Param::null, T::to_sql)
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: 'p,
    {
        self.map_or_else(Param::null, T::into_param)
    }
}

impl<'row> FromSql<'row> for ValueRef<'row> {
    #[inline]
    fn from_sql(value: Self) -> Result<Self, ConversionError> {
        Ok(value)
    }
}

impl FromSql<'_> for Value {
    #[inline]
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        value.to_value()
    }
}

impl ToSql for ValueRef<'_> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        (*self).into_param()
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: 'p,
    {
        match self {
            Self::Null => Param::null(),
            Self::Integer(value) => Param::integer(value),
            Self::Real(value) => Param::number(value, "ValueRef"),
            Self::Text(_) => self.text_as("ValueRef").map_or_else(Param::error, Param::text),
            Self::Blob(bytes) => Param::blob(bytes),
        }
    }
}

impl ToSql for Value {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        match self {
            Self::Text(text) => Param::text(&**text),
            Self::Real(value) => Param::number(*value, "Value"),
            other => other.as_value_ref().into_param(),
        }
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p> {
        match self {
            Self::Text(text) => Param::text(text),
            Self::Blob(bytes) => Param::blob(bytes),
            other => other.to_sql().into_owned(),
        }
    }
}

impl<T: ToSql + ?Sized> ToSql for &T {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        (**self).to_sql()
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: 'p,
    {
        self.to_sql()
    }
}

macro_rules! pointers {
    ($($pointer:ident)*) => {
        $(
            impl<T: ToSql + ?Sized> ToSql for $pointer<T> {
                #[inline]
                fn to_sql(&self) -> Param<'_> {
                    (**self).to_sql()
                }
            }
        )*
    };
}

pointers! { Box Rc Arc }

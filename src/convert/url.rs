//! Conversions of the type of the crate `url`.

use ::url::Url;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

impl FromSql<'_> for Url {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        // The error tells the kind of the mistake, without the text.
        Self::parse(value.text_as("url::Url")?).map_err(|error| ConversionError::other("url::Url", error))
    }
}

impl ToSql for Url {
    fn to_sql(&self) -> Param<'_> {
        Param::text(self.as_str())
    }

    fn into_param<'p>(self) -> Param<'p> {
        Param::text(String::from(self))
    }
}

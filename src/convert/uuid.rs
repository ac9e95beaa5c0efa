//! Conversions of the types of the crate `uuid`.

use ::uuid::Uuid;
use ::uuid::fmt::Hyphenated;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

/// Reads both encodings.
fn read(value: ValueRef<'_>, name: &'static str) -> Result<Uuid, ConversionError> {
    match value {
        ValueRef::Blob(bytes) => {
            Uuid::from_slice(bytes).map_err(|_| ConversionError::length(name, size_of::<Uuid>(), bytes.len()))
        }
        ValueRef::Text(text) => Uuid::try_parse_ascii(text).map_err(|_| ConversionError::message(name, "not a UUID")),
        _ => Err(ConversionError::wrong_type(name)),
    }
}

impl FromSql<'_> for Uuid {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        read(value, "uuid::Uuid")
    }
}

impl ToSql for Uuid {
    fn to_sql(&self) -> Param<'_> {
        Param::blob(&self.as_bytes()[..])
    }
}

impl FromSql<'_> for Hyphenated {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        read(value, "uuid::fmt::Hyphenated").map(Self::from)
    }
}

impl ToSql for Hyphenated {
    fn to_sql(&self) -> Param<'_> {
        let mut digits = Uuid::encode_buffer();
        Param::text(self.encode_lower(&mut digits).to_owned())
    }
}

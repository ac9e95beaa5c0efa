//! Conversions of the type of the crate `rust_decimal`.

use ::rust_decimal::Decimal;

use super::{FromSql, Param, ToSql};
use crate::value::{ConversionError, ValueRef};

const NAME: &str = "rust_decimal::Decimal";

impl FromSql<'_> for Decimal {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value {
            ValueRef::Text(_) => Self::from_str_exact(value.text_as(NAME)?)
                .map_err(|_| ConversionError::message(NAME, "not a decimal number of up to 28 digits")),
            ValueRef::Integer(value) => Ok(value.into()),
            ValueRef::Real(_) => {
                Err(ConversionError::message(NAME, "a REAL is no exact decimal: declare the column as TEXT"))
            }
            _ => Err(ConversionError::wrong_type(NAME)),
        }
    }
}

impl ToSql for Decimal {
    fn to_sql(&self) -> Param<'_> {
        Param::text(self.to_string())
    }
}

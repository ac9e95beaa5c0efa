//! Conversions of the crate `serde_json`: its values and, as [`Json`] and [`Jsonb`], all types that serialize.

use ::serde_json::{Error, Value, error::Category};
use serde_core::de::DeserializeOwned;
use serde_core::{Deserialize, Serialize};

use super::{FromSql, Param, ToSql, jsonb};
use crate::value::{ConversionError, ValueRef};

/// A type that serializes, as a TEXT of JSON.
///
/// Reading can borrow text from the row: fields that are `&str` are read if their text has no escapes. A number is read
/// from INTEGER and REAL, too: a column that is declared as `JSON` has the affinity NUMERIC, so that SQLite stores a text
/// that is a number as one. Declare it as TEXT to keep each digit.
///
/// # Example
///
/// ```
/// use std::collections::BTreeMap;
/// use finalite::{Connection, convert::Json};
///
/// let conn = Connection::open_in_memory()?;
/// let tags = BTreeMap::from([("color", vec!["red", "blue"])]);
/// assert_eq!(conn.query_one::<String>("SELECT ? ->> '$.color[1]'", (Json(&tags),))?, "blue");
/// let Json(read) = conn.query_one::<Json<BTreeMap<String, Vec<String>>>>("SELECT ?", (Json(&tags),))?;
/// assert_eq!(read["color"], tags["color"]);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

/// A type that serializes, as a BLOB in [SQLite's binary JSON](https://sqlite.org/jsonb.html).
///
/// SQLite's JSON functions read it without parsing a text. In the program it is built from a [`serde_json::Value`], and
/// translated to a text to be read: nothing is borrowed.
///
/// # Example
///
/// ```
/// use finalite::{Connection, convert::Jsonb};
///
/// let conn = Connection::open_in_memory()?;
/// assert_eq!(conn.query_one::<String>("SELECT json(?)", (Jsonb([1, 2]),))?, "[1,2]");
/// assert_eq!(conn.query_one::<Jsonb<Vec<u8>>>("SELECT jsonb('[3, 4]')", ())?.0, [3, 4]);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// [`serde_json::Value`]: ::serde_json::Value
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jsonb<T>(pub T);

/// The error without the text of `serde_json`'s, which can quote the value.
fn unreadable(error: &Error, name: &'static str) -> ConversionError {
    match (error.line(), error.column()) {
        (0, _) => ConversionError::message(name, problem(error)),
        (line, column) => ConversionError::message(name, format!("{}, at line {line} column {column}", problem(error))),
    }
}

fn problem(error: &Error) -> &'static str {
    match error.classify() {
        Category::Data => "JSON of another shape than the type has",
        Category::Eof => "JSON that ends too early",
        _ if error.to_string().starts_with("recursion limit") => "JSON that is nested too deeply",
        _ => "not JSON",
    }
}

fn unwritable(name: &'static str) -> ConversionError {
    ConversionError::message(name, "the value has no form in JSON")
}

fn read<'row, T: Deserialize<'row>>(value: ValueRef<'row>, name: &'static str) -> Result<T, ConversionError> {
    let unreadable = |error: Error| unreadable(&error, name);
    match value {
        ValueRef::Text(_) => ::serde_json::from_str(value.text_as(name)?).map_err(unreadable),
        ValueRef::Integer(number) => T::deserialize(::serde_json::Value::from(number)).map_err(unreadable),
        ValueRef::Real(number) if number.is_finite() => {
            T::deserialize(::serde_json::Value::from(number)).map_err(unreadable)
        }
        _ => Err(ConversionError::wrong_type(name)),
    }
}

fn write<T: Serialize + ?Sized>(value: &T, name: &'static str) -> Param<'static> {
    ::serde_json::to_string(value).map_or_else(|_| Param::error(unwritable(name)), Param::text)
}

impl FromSql<'_> for Value {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        read(value, "serde_json::Value")
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> Param<'_> {
        write(self, "serde_json::Value")
    }
}

impl<'row, T: Deserialize<'row>> FromSql<'row> for Json<T> {
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError> {
        read(value, "Json").map(Self)
    }
}

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> Param<'_> {
        write(&self.0, "Json")
    }
}

impl<T: DeserializeOwned> FromSql<'_> for Jsonb<T> {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        let ValueRef::Blob(bytes) = value else {
            return Err(ConversionError::wrong_type("Jsonb"));
        };
        let text = jsonb::to_text(bytes).ok_or_else(|| ConversionError::message("Jsonb", "malformed JSONB"))?;
        // The place is one in the text, which nobody has seen.
        ::serde_json::from_str(&text).map(Self).map_err(|error| ConversionError::message("Jsonb", problem(&error)))
    }
}

impl<T: Serialize> ToSql for Jsonb<T> {
    fn to_sql(&self) -> Param<'_> {
        let bytes = ::serde_json::to_value(&self.0).ok().and_then(|value| jsonb::from_value(&value));
        bytes.map_or_else(|| Param::error(unwritable("Jsonb")), Param::blob)
    }
}

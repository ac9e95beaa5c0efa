//! SQLite values, owned and borrowed, and their storage classes.

use std::borrow::Cow;
use std::fmt;
use std::str;

mod column_type;
mod conversion_error;
mod lent;
mod list;
mod order;
mod relation;
mod stored;
mod value_ref;

pub use column_type::ColumnType;
pub use conversion_error::ConversionError;
pub use lent::RawParam;
pub(crate) use lent::{Lend, lend_at};
pub(crate) use list::{List, Values};
pub(crate) use order::{compare, compare_integer, to_f64};
pub use relation::Relation;
pub(crate) use stored::StoredValue;
pub use value_ref::ValueRef;
pub(crate) use value_ref::{AsItIs, Sink};

/// The storage class of a value.
///
/// C: [Fundamental datatypes](https://sqlite.org/c3ref/c_blob.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// NULL.
    Null,
    /// INTEGER.
    Integer,
    /// REAL.
    Real,
    /// TEXT.
    Text,
    /// BLOB.
    Blob,
}

impl Type {
    /// Returns the name as SQLite's `typeof()` reports it, in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Text => "TEXT",
            Self::Blob => "BLOB",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An owned value of SQLite.
///
/// # Example
///
/// ```
/// use finalite::{Connection, Value};
///
/// let conn = Connection::open_in_memory()?;
/// let value: Value = conn.query_one("SELECT 'seven'", ())?;
/// assert_eq!(value, Value::from("seven"));
/// assert_eq!(value.to_string(), "seven");
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// NULL.
    #[default]
    Null,
    /// INTEGER, 64 bits, signed.
    Integer(i64),
    /// REAL, an IEEE 754 double.
    Real(f64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

impl Value {
    /// Returns the storage class.
    #[must_use]
    pub const fn data_type(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Integer(_) => Type::Integer,
            Self::Real(_) => Type::Real,
            Self::Text(_) => Type::Text,
            Self::Blob(_) => Type::Blob,
        }
    }

    /// Returns the same value, borrowed.
    #[must_use]
    pub fn as_value_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }
    }
}

/// Displays the value as a table cell: numbers in decimal, text unchanged, bytes as an SQL literal (`X'00FF'`), NULL as
/// `NULL`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.pad("NULL"),
            Self::Integer(value) => value.fmt(f),
            // With a fraction, as SQLite writes it: `1.0` is not an INTEGER.
            Self::Real(value) => f.pad(&format!("{value:?}")),
            Self::Text(text) => f.pad(text),
            Self::Blob(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                f.pad(&format!("X'{digits}'"))
            }
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident($into:expr);)*) => {
        $(
            impl From<$type> for Value {
                fn from(value: $type) -> Self {
                    Self::$variant($into(value))
                }
            }
        )*
    };
}

from! {
    bool => Integer(i64::from);
    i8 => Integer(i64::from);
    i16 => Integer(i64::from);
    i32 => Integer(i64::from);
    i64 => Integer(i64::from);
    u8 => Integer(i64::from);
    u16 => Integer(i64::from);
    u32 => Integer(i64::from);
    f32 => Real(f64::from);
    f64 => Real(f64::from);
    &str => Text(String::from);
    String => Text(String::from);
    Box<str> => Text(String::from);
    Cow<'_, str> => Text(String::from);
    &[u8] => Blob(Vec::from);
    Vec<u8> => Blob(Vec::from);
    Box<[u8]> => Blob(Vec::from);
    Cow<'_, [u8]> => Blob(Vec::from);
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Blob(bytes.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

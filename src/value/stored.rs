//! [`StoredValue`]: a value of any bytes.

use super::ValueRef;

/// An owned value whose text need not be UTF-8, as SQLite stores it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum StoredValue {
    #[default]
    Null,
    Integer(i64),
    Real(f64),
    Text(Box<[u8]>),
    Blob(Box<[u8]>),
}

impl StoredValue {
    pub(crate) fn as_value_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }
    }
}

impl From<ValueRef<'_>> for StoredValue {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(text) => Self::Text(text.into()),
            ValueRef::Blob(blob) => Self::Blob(blob.into()),
        }
    }
}

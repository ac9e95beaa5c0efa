//! [`ValueRef`]: a value in memory of SQLite or of the program.

use std::str;

use super::{ConversionError, Type, Value};

/// A borrowed SQLite value.
///
/// TEXT is represented as bytes: SQLite does not guarantee that text is valid UTF-8, and code that only copies or
/// compares it need not pay for the check. [`as_str`](ValueRef::as_str) validates it.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ValueRef};
///
/// let conn = Connection::open_in_memory()?;
/// conn.query_row("SELECT 7, 'seven', NULL", (), |row| {
///     assert_eq!(row.value(0)?, ValueRef::Integer(7));
///     assert_eq!(row.value(1)?.as_str()?, "seven");
///     assert_eq!(row.value(2)?, ValueRef::Null);
///     Ok(())
/// })?;
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// NULL.
    Null,
    /// INTEGER, 64 bits, signed.
    Integer(i64),
    /// REAL, an IEEE 754 double.
    Real(f64),
    /// TEXT in UTF-8, as stored: not validated.
    Text(&'a [u8]),
    /// BLOB.
    Blob(&'a [u8]),
}

impl<'a> ValueRef<'a> {
    /// Returns the storage class.
    #[must_use]
    pub const fn data_type(self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Integer(_) => Type::Integer,
            Self::Real(_) => Type::Real,
            Self::Text(_) => Type::Text,
            Self::Blob(_) => Type::Blob,
        }
    }

    /// Whether the value is NULL.
    #[must_use]
    pub const fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns the INTEGER.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] for any other type.
    #[inline]
    pub fn as_i64(self) -> Result<i64, ConversionError> {
        match self {
            Self::Integer(value) => Ok(value),
            _ => Err(ConversionError::wrong_type("i64")),
        }
    }

    /// Returns the REAL.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] for any other type.
    #[inline]
    pub fn as_f64(self) -> Result<f64, ConversionError> {
        match self {
            Self::Real(value) => Ok(value),
            _ => Err(ConversionError::wrong_type("f64")),
        }
    }

    /// Returns the TEXT, validated as UTF-8.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] for any other type, and for text that is not UTF-8.
    #[inline]
    pub fn as_str(self) -> Result<&'a str, ConversionError> {
        self.text_as("&str")
    }

    /// Returns the TEXT, validated as UTF-8. `rust_type` is the type that an error names.
    #[inline]
    pub(crate) fn text_as(self, rust_type: &'static str) -> Result<&'a str, ConversionError> {
        match self {
            Self::Text(bytes) => str::from_utf8(bytes).map_err(|error| ConversionError::not_utf8(rust_type, error)),
            _ => Err(ConversionError::wrong_type(rust_type)),
        }
    }

    /// Returns the bytes of a TEXT or BLOB.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] for any other type.
    #[inline]
    pub fn as_bytes(self) -> Result<&'a [u8], ConversionError> {
        self.bytes_as("&[u8]")
    }

    /// Returns the bytes of a TEXT or BLOB. `rust_type` is the type that an error names.
    #[inline]
    pub(crate) fn bytes_as(self, rust_type: &'static str) -> Result<&'a [u8], ConversionError> {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => Ok(bytes),
            _ => Err(ConversionError::wrong_type(rust_type)),
        }
    }

    /// Returns an owned copy.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] for text that is not UTF-8: a [`Value::Text`] is a `String`.
    pub fn to_value(self) -> Result<Value, ConversionError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Integer(value) => Value::Integer(value),
            Self::Real(value) => Value::Real(value),
            Self::Text(_) => Value::Text(self.text_as("Value")?.to_owned()),
            Self::Blob(bytes) => Value::Blob(bytes.to_owned()),
        })
    }
}

/// Consumer of a value. It is called in one place for each type, so that the compiler specializes it for each type and
/// the type is not tested a second time.
pub(crate) trait Sink<'a> {
    type Output;

    /// Consumes the value. Implementations must be `#[inline(always)]`.
    fn take(self, value: ValueRef<'a>) -> Self::Output;
}

/// Sink that returns the value unchanged.
pub(crate) struct AsItIs;

impl<'a> Sink<'a> for AsItIs {
    type Output = ValueRef<'a>;

    #[inline(always)]
    fn take(self, value: ValueRef<'a>) -> ValueRef<'a> {
        value
    }
}

//! Conversions between Rust's types and SQLite's, which are exact or return an error.
//!
//! No conversion wraps, truncates or rounds, with one exception: a REAL read as `f32` is rounded, because most numbers
//! that a program stores as `f32` and computes with in SQL are no longer exact `f32` values. A value that a type cannot
//! hold is an error, which names the column or parameter, the Rust type and SQLite's type.
//!
//! # Reading: [`FromSql`]
//!
//! | Rust | NULL | INTEGER | REAL | TEXT | BLOB |
//! |---|---|---|---|---|---|
//! | `i8` … `i64`, `isize`, `i128`, `u8` … `u64`, `usize`, `u128` | error | in range | error | error | error |
//! | `f64` | error | if exact (up to 53 significant bits) | yes | error | error |
//! | `f32` | error | if exact (up to 24 significant bits) | rounded; error if finite and too large | error | error |
//! | `bool` | error | 0 or 1 | error | error | error |
//! | `&str`, `String`, `Box<str>`, `Rc<str>`, `Arc<str>`, `Cow<str>` | error | error | error | if UTF-8 | error |
//! | `&[u8]`, `Vec<u8>`, `Box<[u8]>`, `Rc<[u8]>`, `Arc<[u8]>`, `Cow<[u8]>` | error | error | error | its bytes | yes |
//! | `[u8; N]` | error | error | error | if N bytes | if N bytes |
//! | `Option<T>` | `None` | as `T` | as `T` | as `T` | as `T` |
//! | [`Value`](crate::Value) | yes | yes | yes | if UTF-8 | yes |
//! | [`ValueRef`] | yes | yes | yes | yes | yes |
//!
//! # Binding: [`ToSql`](crate::ToSql)
//!
//! | Rust | SQLite |
//! |---|---|
//! | `i8` … `i64`, `isize`, `u8` … `u32` | INTEGER |
//! | `u64`, `usize`, `i128`, `u128` | INTEGER; error if it does not fit in a signed 64-bit integer |
//! | `f32`, `f64` | REAL, including infinities; error for NaN, which SQLite would store as NULL |
//! | `bool` | INTEGER, 0 or 1 |
//! | `&str`, `&String`, a reference to any text above | TEXT, not copied |
//! | `String`, `Box<str>`, `Rc<str>`, `Arc<str>`, `Cow<str>` | TEXT, copied (a borrowed `Cow` is not) |
//! | `&[u8]`, `&Vec<u8>`, `&[u8; N]`, a reference to any bytes above | BLOB, not copied |
//! | `Vec<u8>`, `Box<[u8]>`, `Rc<[u8]>`, `Arc<[u8]>`, `[u8; N]`, `Cow<[u8]>` | BLOB, copied (a borrowed `Cow` is not) |
//! | [`ZeroBlob`](crate::ZeroBlob) | BLOB of this number of zero bytes, to be written later |
//! | `None` | NULL |
//! | `Some(T)` | as `T` |
//! | [`Value`](crate::Value), [`ValueRef`] | itself; error for TEXT that is not UTF-8, and for NaN |

use std::error::Error as StdError;
use std::fmt;
use std::str::Utf8Error;

use crate::ValueRef;

mod bytes;
mod number;
mod text;
mod wrapper;

pub(crate) use number::exact_f64;

/// A type as which a column can be read.
///
/// `'row` is the borrow of the row: a `&'row str` points into SQLite's memory and is valid until the next row is
/// fetched.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ConversionError, FromSql, ValueRef};
///
/// #[derive(Debug, PartialEq)]
/// enum Color { Red, Green }
///
/// impl FromSql<'_> for Color {
///     fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
///         match value.as_str()? {
///             "red" => Ok(Self::Red),
///             "green" => Ok(Self::Green),
///             _ => Err(ConversionError::message("Color", "unknown color")),
///         }
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// assert_eq!(conn.query_one::<Color>("SELECT 'green'", ())?, Color::Green);
/// let error = conn.query_one::<Color>("SELECT 'blue' AS paint", ()).unwrap_err();
/// assert!(error.to_string().starts_with("column 0 (paint), TEXT: unknown color (Color)"));
/// # Ok::<(), finalite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a column cannot be read as `{Self}`",
    label = "no type that a column is read as",
    note = "numbers, `bool`, text, bytes and `Option` of them can: see the table in `finalite::convert`",
    note = "for a type of your own, implement `finalite::FromSql`; for another crate's, read what it is made from"
)]
pub trait FromSql<'row>: Sized {
    /// Converts the value to this type.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] if the value has another type or does not fit. The caller adds the column and the SQL.
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError>;
}

/// The reason why a value cannot be converted. It names types, and never contains the value of a column.
///
/// The only value it contains is one that SQLite cannot store: an integer beyond 64 bits that is to be bound.
pub struct ConversionError(Box<Inner>);

struct Inner {
    rust_type: &'static str,
    problem: Problem,
}

enum Problem {
    WrongType,
    OutOfRange,
    TooBigToBind { value: String },
    NotExact,
    NaN,
    NotUtf8(Utf8Error),
    Length { expected: usize, found: usize },
    Message(Box<str>),
    Other(Box<dyn StdError + Send + Sync>),
}

impl ConversionError {
    #[cold]
    fn new(rust_type: &'static str, problem: Problem) -> Self {
        Self(Box::new(Inner { rust_type, problem }))
    }

    /// Returns the error for a value whose type `rust_type` does not read.
    #[must_use]
    pub fn wrong_type(rust_type: &'static str) -> Self {
        Self::new(rust_type, Problem::WrongType)
    }

    /// Returns the error for a value of the right type that does not fit in `rust_type`.
    #[must_use]
    pub fn out_of_range(rust_type: &'static str) -> Self {
        Self::new(rust_type, Problem::OutOfRange)
    }

    /// Returns an error with this message, for any other reason. The message appears in logs: do not include the value.
    pub fn message(rust_type: &'static str, message: impl Into<Box<str>>) -> Self {
        Self::new(rust_type, Problem::Message(message.into()))
    }

    /// Returns an error with another error as its [`source`](StdError::source), for any other reason. The text of that
    /// error appears in logs: do not include the value.
    pub fn other(rust_type: &'static str, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(rust_type, Problem::Other(error.into()))
    }

    pub(crate) fn not_utf8(rust_type: &'static str, error: Utf8Error) -> Self {
        Self::new(rust_type, Problem::NotUtf8(error))
    }

    fn not_exact(rust_type: &'static str) -> Self {
        Self::new(rust_type, Problem::NotExact)
    }

    fn length(rust_type: &'static str, expected: usize, found: usize) -> Self {
        Self::new(rust_type, Problem::Length { expected, found })
    }

    fn too_big_to_bind(rust_type: &'static str, value: impl fmt::Display) -> Self {
        Self::new(rust_type, Problem::TooBigToBind { value: value.to_string() })
    }

    fn nan(rust_type: &'static str) -> Self {
        Self::new(rust_type, Problem::NaN)
    }

    /// Returns a copy of the error. A source error is replaced by its text.
    pub(crate) fn restated(&self) -> Self {
        let problem = match &self.0.problem {
            Problem::WrongType => Problem::WrongType,
            Problem::OutOfRange => Problem::OutOfRange,
            Problem::TooBigToBind { value } => Problem::TooBigToBind { value: value.clone() },
            Problem::NotExact => Problem::NotExact,
            Problem::NaN => Problem::NaN,
            Problem::NotUtf8(error) => Problem::NotUtf8(*error),
            Problem::Length { expected, found } => Problem::Length { expected: *expected, found: *found },
            Problem::Message(message) => Problem::Message(message.clone()),
            Problem::Other(error) => Problem::Message(error.to_string().into()),
        };
        Self::new(self.0.rust_type, problem)
    }

    /// Returns the name of the Rust type of the conversion, its target when reading and its source when binding.
    #[must_use]
    pub fn rust_type(&self) -> &'static str {
        self.0.rust_type
    }
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rust_type = self.0.rust_type;
        match &self.0.problem {
            Problem::WrongType => write!(f, "not readable as {rust_type}"),
            Problem::OutOfRange => write!(f, "out of range for {rust_type}"),
            Problem::TooBigToBind { value } => {
                write!(f, "{value} ({rust_type}) does not fit in an INTEGER, 64 bits with sign")
            }
            Problem::NotExact => write!(f, "not exactly representable as {rust_type}"),
            Problem::NaN => write!(f, "SQLite cannot store NaN ({rust_type}): it would become NULL"),
            Problem::NotUtf8(error) => write!(f, "{error} ({rust_type})"),
            Problem::Length { expected, found } => write!(f, "{found} bytes, not {expected} ({rust_type})"),
            Problem::Message(message) => write!(f, "{message} ({rust_type})"),
            Problem::Other(error) => write!(f, "{error} ({rust_type})"),
        }
    }
}

impl fmt::Debug for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}; ")?;
        f.debug_struct("ConversionError").field("rust_type", &self.0.rust_type).finish_non_exhaustive()
    }
}

impl StdError for ConversionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.problem {
            Problem::NotUtf8(error) => Some(error),
            Problem::Other(error) => Some(&**error),
            _ => None,
        }
    }
}

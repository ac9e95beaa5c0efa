//! [`ConversionError`]: the reason why a value does not fit a Rust type.

use std::error::Error as StdError;
use std::fmt;
use std::str::Utf8Error;

/// The reason why a value cannot be converted. It names types, and never contains the value of a column.
///
/// The only value it contains is one that SQLite cannot store: an integer beyond 64 bits that is to be bound.
#[doc(alias = "FromSqlError")]
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

    pub(crate) fn not_exact(rust_type: &'static str) -> Self {
        Self::new(rust_type, Problem::NotExact)
    }

    pub(crate) fn length(rust_type: &'static str, expected: usize, found: usize) -> Self {
        Self::new(rust_type, Problem::Length { expected, found })
    }

    pub(crate) fn too_big_to_bind(rust_type: &'static str, value: impl fmt::Display) -> Self {
        Self::new(rust_type, Problem::TooBigToBind { value: value.to_string() })
    }

    pub(crate) fn nan(rust_type: &'static str) -> Self {
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

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
//! # Binding: [`ToSql`]
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
//! | [`ZeroBlob`] | BLOB of this number of zero bytes, to be written through a [`Blob`](crate::data::Blob) |
//! | `None` | NULL |
//! | `Some(T)` | as `T` |
//! | [`Value`](crate::Value), [`ValueRef`] | itself; error for TEXT that is not UTF-8, and for NaN |

use crate::value::{ConversionError, ValueRef};

mod bytes;
mod number;
mod text;
mod to_sql;
mod wrapper;

pub(crate) use number::exact_f64;
pub(crate) use to_sql::ParamValue;
pub use to_sql::{Param, ToSql, ZeroBlob};

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

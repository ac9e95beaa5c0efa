//! Conversions between Rust's types and SQLite's, which are exact or return an error.
//!
//! No conversion wraps, truncates or rounds, with two exceptions. A REAL read as `f32` is rounded, because most numbers
//! that a program stores as `f32` and computes with in SQL are no longer exact `f32` values. A wrapper with a unit in its
//! name, [`UnixSeconds`] for example, stores whole units. A value that a type cannot hold is an error, which names the
//! column or parameter, the Rust type and SQLite's type.
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
//! | `char` | error | error | error | if one character | error |
//! | `&Path`, `PathBuf` | error | error | error | if UTF-8 | error |
//! | `IpAddr`, `Ipv4Addr`, `Ipv6Addr`, `SocketAddr`, `SocketAddrV4`, `SocketAddrV6` | error | error | error | if an address | error |
//! | `SystemTime` | error | error | error | [if a time](self#dates-and-times) | error |
//! | [`Seconds`], [`Millis`], [`Micros`], [`Nanos`] of a duration | error | if not negative | error | error | error |
//! | `NonZero<T>` | error | in range | error | error | error |
//! | [`U64Bits`] | error | yes | error | error | error |
//! | [`IntegerBlob<T>`](IntegerBlob) | error | error | error | error | if 8 or 16 bytes, as `T` has |
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
//! | `char` | TEXT |
//! | `&Path`, `PathBuf` | TEXT; error if not UTF-8 |
//! | `IpAddr`, `Ipv4Addr`, `Ipv6Addr`, `SocketAddr`, `SocketAddrV4`, `SocketAddrV6` | TEXT |
//! | `SystemTime` | TEXT, [in UTC](self#dates-and-times) |
//! | [`Seconds`], [`Millis`], [`Micros`], [`Nanos`] of a duration | INTEGER of whole units; error if it does not fit |
//! | `NonZero<T>` | INTEGER, as `T` |
//! | [`U64Bits`] | INTEGER of the same bits |
//! | [`IntegerBlob<T>`](IntegerBlob) | BLOB that sorts as the number |
//! | [`ZeroBlob`] | BLOB of this number of zero bytes, to be written through a [`Blob`](crate::data::Blob) |
//! | `None` | NULL |
//! | `Some(T)` | as `T` |
//! | [`Value`](crate::Value), [`ValueRef`] | itself; error for TEXT that is not UTF-8, and for NaN |
//!
//! A list of values is bound to one parameter by [`array()`], and read in SQL by `list(?)`.
//!
//! A `Duration` has no default, because a number does not tell its unit. Bytes of a path that is not UTF-8 are a BLOB:
//! `std::os::unix::ffi::OsStrExt` has them.
//!
//! # Dates and times
//!
//! SQLite has no type for them: [its functions](https://sqlite.org/lang_datefunc.html) read texts, and numbers whose unit
//! the SQL must tell. Here, the type tells the format. By default, each type is bound as the text that most drivers write,
//! that those functions read, and that sorts in the order of time:
//!
//! | Type | Feature | Text |
//! |---|---|---|
//! | `chrono::NaiveDate`, `time::Date`, `jiff::civil::Date` | `chrono`, `time`, `jiff` | `2026-11-29` |
//! | `chrono::NaiveTime`, `time::Time`, `jiff::civil::Time` | | `18:04:59` |
//! | `chrono::NaiveDateTime`, `time::PrimitiveDateTime`, `jiff::civil::DateTime` | | `2026-11-29 18:04:59` |
//! | [`SystemTime`](std::time::SystemTime) | none | `2026-11-29 18:04:59+00:00` |
//! | `chrono::DateTime<Utc>`, `DateTime<Local>`, `time::UtcDateTime`, `jiff::Timestamp` | | `2026-11-29 18:04:59+00:00` |
//! | `chrono::DateTime<FixedOffset>`, `time::OffsetDateTime` | | `2026-11-29 20:04:59+02:00` |
//!
//! A fraction of a second has three, six or nine digits, and none if it is zero: `18:04:59.250`. Texts with different
//! offsets do not sort; [`IsoUtc`] of these types does. Bound are the years 0000 to 9999 and offsets of whole minutes up
//! to 14:59, which SQLite reads, and no leap seconds. `jiff::Zoned` is not there, because these texts have no place for the
//! name of a zone: bind its `timestamp()`.
//!
//! Other formats are wrappers around any of these types with a date and a time ([`Moment`]):
//!
//! | Wrapper | SQLite | Read by SQLite's functions |
//! |---|---|---|
//! | [`IsoT`] | TEXT, `2026-11-29T18:04:59+00:00`, or without a zone if the type has none | yes |
//! | [`IsoUtc`] | TEXT, `2026-11-29 18:04:59`, as `CURRENT_TIMESTAMP` | yes |
//! | [`UnixSeconds`] | INTEGER | with `'unixepoch'` or `'auto'` |
//! | [`UnixMillis`], [`UnixMicros`], [`UnixNanos`] | INTEGER | no: divide first |
//! | [`JulianDay`] | REAL | yes |
//!
//! Reading takes a text in each of these forms, whatever the wrapper: blank or `T`, without seconds or with up to nine
//! digits of a fraction, without an offset (UTC), with `Z` or an offset. More digits, if they are not zeros, are an error. A
//! date alone is its midnight, and a midnight without a zone is read as a date. A type without a zone reads `Z` and
//! `+00:00`; another offset, which it would lose, is an error. A number without a wrapper is an error. On Windows, a
//! `SystemTime` begins in 1601 and has multiples of 100 nanoseconds: any other time is an error.
//!
//! A file may have the formats of other programs, whose fractions have other lengths:
//!
//! | Driver | Writes |
//! |---|---|
//! | rusqlite 0.43 | the defaults above; `time::UtcDateTime` with `Z`; of jiff `2026-11-29T18:04:59Z`, `civil` without `Z`: [`IsoT`] |
//! | sqlx 0.9 | with a zone `2026-11-29T18:04:59+00:00` (chrono) or `…Z` (time): [`IsoT`]; without a zone the defaults above |
//! | diesel 2.3 | the defaults above, types with offsets in UTC |
//! | Python's `sqlite3` | the defaults above |
//! | sqlite-jdbc | [`UnixMillis`]; by its settings [`UnixSeconds`], [`JulianDay`] or `2026-11-29 18:04:59.000` in local time |
//! | Microsoft.Data.Sqlite | the defaults above; [`JulianDay`] for parameters of the type Real |
//! | mattn/go-sqlite3 | the defaults above, with the offset that the time has |
//!
//! All of them are read, and fractions of different lengths sort together. `Z` sorts behind a fraction, and a blank before
//! `T`: a column that has both is compared by SQLite's functions, `datetime(a) < datetime(b)`. A text without a zone that is
//! in local time is read as a type without a zone, and converted by the program.
//!
//! # Types of other crates
//!
//! | Type | Feature | SQLite | Reads, too |
//! |---|---|---|---|
//! | `uuid::Uuid` | `uuid` | BLOB of 16 bytes, as rusqlite and sqlx write it | TEXT |
//! | `uuid::fmt::Hyphenated` | `uuid` | TEXT, lower case, as sqlite-jdbc; Microsoft.Data.Sqlite writes upper case | BLOB of 16 bytes |
//! | `url::Url` | `url` | TEXT | |
//! | `serde_json::Value` | `serde_json` | TEXT of JSON, as sqlx and diesel write it | INTEGER, REAL: rusqlite and [affinity](https://sqlite.org/datatype3.html) |
//! | `Json<T>` | `serde_json` | TEXT of JSON | INTEGER, REAL |
//! | `Jsonb<T>` | `serde_json` | BLOB of [SQLite's binary JSON](https://sqlite.org/jsonb.html) | |
//! | `rust_decimal::Decimal` | `rust_decimal` | TEXT with each digit | INTEGER |
//!
//! Texts of decimals do not sort as numbers. Declare their columns as TEXT: an affinity of NUMERIC, which `DECIMAL(10, 2)`
//! has, makes a REAL of them, and reading that is an error. An error of these conversions quotes neither the value nor the
//! text of the other crate's error that might.

use crate::value::{ConversionError, ValueRef};

mod array;
mod bytes;
#[cfg(feature = "chrono")]
mod chrono;
#[cfg(any(feature = "chrono", feature = "time", feature = "jiff"))]
mod civil;
mod datetime;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "serde_json")]
mod jsonb;
mod net;
mod number;
#[cfg(feature = "rust_decimal")]
mod rust_decimal;
#[cfg(feature = "serde_json")]
mod serde_json;
mod std_time;
mod text;
#[cfg(feature = "time")]
mod time;
mod time_format;
mod to_sql;
#[cfg(feature = "url")]
mod url;
#[cfg(feature = "uuid")]
mod uuid;
mod wide_integer;
mod wrapper;

pub use array::{Array, array};
pub(crate) use number::exact_f64;
#[cfg(feature = "serde_json")]
pub use serde_json::{Json, Jsonb};
pub use std_time::{Micros, Millis, Nanos, Seconds};
pub use time_format::{IsoT, IsoUtc, JulianDay, Moment, UnixMicros, UnixMillis, UnixNanos, UnixSeconds};
pub(crate) use to_sql::ParamValue;
pub use to_sql::{Param, ToSql, ZeroBlob};
pub use wide_integer::{IntegerBlob, U64Bits};

/// A type as which a column can be read. It is derived for newtypes and enums (`#[derive(FromSql)]`, feature `derive`).
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
    note = "for a type of your own, implement `finalite::FromSql`; for another crate's, read what it is made from",
    note = "with features of their names, types of chrono, time, jiff, uuid, url, serde_json and rust_decimal can"
)]
#[doc(alias = "column_result")]
pub trait FromSql<'row>: Sized {
    /// Converts the value to this type.
    ///
    /// # Errors
    ///
    /// [`ConversionError`] if the value has another type or does not fit. The caller adds the column and the SQL.
    fn from_sql(value: ValueRef<'row>) -> Result<Self, ConversionError>;
}

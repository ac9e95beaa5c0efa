//! Types of arguments.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use crate::convert::{
    FromSql, IntegerBlob, IsoT, IsoUtc, JulianDay, Micros, Millis, Moment, Nanos, Seconds, U64Bits, UnixMicros,
    UnixMillis, UnixNanos, UnixSeconds,
};
use crate::value::{Value, ValueRef};

/// A type of the program as which an argument of a function is read. It owns its data.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ConversionError, FromSql, ValueRef, extend::FunctionArgument};
///
/// struct Celsius(f64);
///
/// impl FromSql<'_> for Celsius {
///     fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
///         f64::from_sql(value).map(Self)
///     }
/// }
///
/// impl FunctionArgument for Celsius {}
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_scalar_function("fahrenheit", |Celsius(degrees): Celsius| degrees * 1.8 + 32.0)?;
/// assert_eq!(conn.query_one::<f64>("SELECT fahrenheit(100)", ())?, 212.0);
/// # Ok::<(), finalite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of an SQL function",
    label = "no type as which an argument is read",
    note = "for a type of your own that implements `FromSql`, add `impl finalite::extend::FunctionArgument for {Self} {{}}`"
)]
pub trait FunctionArgument: for<'value> FromSql<'value> {
    /// Whether it is mostly read from an INTEGER, which is then looked at first.
    #[doc(hidden)]
    const IS_INTEGER: bool = false;
}

macro_rules! integers {
    ($($type:ty)*) => {
        $(
            impl FunctionArgument for $type {
                const IS_INTEGER: bool = true;
            }
        )*
    };
}

macro_rules! formats {
    ($($format:ident)*) => {
        $(impl<T: Moment> FunctionArgument for $format<T> {})*
    };
}

macro_rules! owned {
    ($($type:ty)*) => {
        $(impl FunctionArgument for $type {})*
    };
}

integers! {
    i8 i16 i32 i64 isize u8 u16 u32 u64 usize bool
}

owned! {
    i128 u128 f32 f64
    String Box<str> Rc<str> Arc<str> Vec<u8> Box<[u8]> Rc<[u8]> Arc<[u8]> Value
    char PathBuf IpAddr Ipv4Addr Ipv6Addr SocketAddr SocketAddrV4 SocketAddrV6
    NonZero<i8> NonZero<i16> NonZero<i32> NonZero<i64> NonZero<i128> NonZero<isize>
    NonZero<u8> NonZero<u16> NonZero<u32> NonZero<u64> NonZero<u128> NonZero<usize>
    U64Bits IntegerBlob<u64> IntegerBlob<i128> IntegerBlob<u128>
    SystemTime Seconds Millis Micros Nanos
}

impl<const N: usize> FunctionArgument for [u8; N] {}

formats! { UnixSeconds UnixMillis UnixMicros UnixNanos JulianDay IsoT IsoUtc }

#[cfg(feature = "chrono")]
owned! {
    chrono::NaiveDate chrono::NaiveTime chrono::NaiveDateTime
    chrono::DateTime<chrono::Utc> chrono::DateTime<chrono::Local> chrono::DateTime<chrono::FixedOffset>
}

#[cfg(feature = "time")]
owned! { time::Date time::Time time::PrimitiveDateTime time::OffsetDateTime time::UtcDateTime }

#[cfg(feature = "jiff")]
owned! { jiff::Timestamp jiff::civil::Date jiff::civil::Time jiff::civil::DateTime }

#[cfg(feature = "uuid")]
owned! { uuid::Uuid uuid::fmt::Hyphenated }

#[cfg(feature = "url")]
owned! { url::Url }

#[cfg(feature = "rust_decimal")]
owned! { rust_decimal::Decimal }

#[cfg(feature = "serde_json")]
owned! { serde_json::Value }

#[cfg(feature = "serde_json")]
impl<T: serde_core::de::DeserializeOwned> FunctionArgument for crate::convert::Json<T> {}

#[cfg(feature = "serde_json")]
impl<T: serde_core::de::DeserializeOwned> FunctionArgument for crate::convert::Jsonb<T> {}

/// The way in which a closure takes an argument. `M` is inferred: [`Owned`], [`Lent`], or [`Nullable`] of one of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of an SQL function",
    label = "no type as which an argument is read",
    note = "numbers, `bool`, text, bytes and `Option` of them are: see `finalite::extend`",
    note = "for a type of your own, implement `FromSql` and `finalite::extend::FunctionArgument`"
)]
pub trait Argument<M> {
    /// The type in a call that lasts for `'call`.
    type Of<'call>: FromSql<'call>;

    /// Whether it is mostly read from an INTEGER.
    #[doc(hidden)]
    const IS_INTEGER: bool = false;
}

/// Marker of arguments that own their data.
#[derive(Debug)]
pub enum Owned {}

/// Marker of arguments that borrow SQLite's memory.
#[derive(Debug)]
pub enum Lent {}

/// Marker of arguments that may be NULL.
#[derive(Debug)]
pub struct Nullable<M>(M);

impl<T: FunctionArgument> Argument<Owned> for T {
    type Of<'call> = T;

    const IS_INTEGER: bool = T::IS_INTEGER;
}

impl Argument<Lent> for &str {
    type Of<'call> = &'call str;
}

impl Argument<Lent> for &[u8] {
    type Of<'call> = &'call [u8];
}

impl Argument<Lent> for &Path {
    type Of<'call> = &'call Path;
}

impl Argument<Lent> for ValueRef<'_> {
    type Of<'call> = ValueRef<'call>;
}

impl Argument<Lent> for Cow<'_, str> {
    type Of<'call> = Cow<'call, str>;
}

impl Argument<Lent> for Cow<'_, [u8]> {
    type Of<'call> = Cow<'call, [u8]>;
}

impl<M, T: Argument<M>> Argument<Nullable<M>> for Option<T> {
    type Of<'call> = Option<T::Of<'call>>;

    const IS_INTEGER: bool = T::IS_INTEGER;
}

/// Calls a macro with each number of arguments of a closure: for each argument a type, its marker, a name and its index.
macro_rules! with_arguments {
    ($macro:ident) => {
        $macro! {
            (0)
            (1 A1 M1 a1 0)
            (2 A1 M1 a1 0 A2 M2 a2 1)
            (3 A1 M1 a1 0 A2 M2 a2 1 A3 M3 a3 2)
            (4 A1 M1 a1 0 A2 M2 a2 1 A3 M3 a3 2 A4 M4 a4 3)
            (5 A1 M1 a1 0 A2 M2 a2 1 A3 M3 a3 2 A4 M4 a4 3 A5 M5 a5 4)
            (6 A1 M1 a1 0 A2 M2 a2 1 A3 M3 a3 2 A4 M4 a4 3 A5 M5 a5 4 A6 M6 a6 5)
            (7 A1 M1 a1 0 A2 M2 a2 1 A3 M3 a3 2 A4 M4 a4 3 A5 M5 a5 4 A6 M6 a6 5 A7 M7 a7 6)
            (8 A1 M1 a1 0 A2 M2 a2 1 A3 M3 a3 2 A4 M4 a4 3 A5 M5 a5 4 A6 M6 a6 5 A7 M7 a7 6 A8 M8 a8 7)
        }
    };
}

pub(super) use with_arguments;

//! [`ToSql`]: Rust types that can be bound, and [`Param`], the value that is bound.

use std::borrow::Cow;
use std::fmt;

use crate::value::{ConversionError, List, Value, ValueRef};

/// A value to bind to a parameter.
///
/// Borrowed text and bytes are bound without a copy: SQLite reads them in place, and the borrow `'p` lasts as long as
/// the rows. SQLite copies owned text and bytes.
#[doc(alias = "ToSqlOutput")]
pub struct Param<'p>(ParamValue<'p>);

/// The value of a [`Param`].
pub(crate) enum ParamValue<'p> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'p, str>),
    Blob(Cow<'p, [u8]>),
    ZeroBlob(u64),
    List(&'p List<'p>),
    OwnedList(Box<List<'p>>),
    Error(ConversionError),
}

impl<'p> Param<'p> {
    #[inline]
    pub(crate) fn into_value(self) -> ParamValue<'p> {
        self.0
    }

    #[inline]
    pub(crate) fn as_value(&self) -> &ParamValue<'p> {
        &self.0
    }

    /// Creates a NULL.
    #[inline]
    #[must_use]
    pub const fn null() -> Self {
        Self(ParamValue::Null)
    }

    /// Creates an INTEGER value.
    #[inline]
    #[must_use]
    pub const fn integer(value: i64) -> Self {
        Self(ParamValue::Integer(value))
    }

    /// Creates a REAL value. SQLite stores NaN as NULL; the implementations of [`ToSql`] for `f32` and `f64` return an
    /// error for NaN instead.
    #[inline]
    #[must_use]
    pub const fn real(value: f64) -> Self {
        Self(ParamValue::Real(value))
    }

    /// Creates a TEXT value.
    #[inline]
    pub fn text(text: impl Into<Cow<'p, str>>) -> Self {
        Self(ParamValue::Text(text.into()))
    }

    /// Creates a BLOB value.
    #[inline]
    pub fn blob(bytes: impl Into<Cow<'p, [u8]>>) -> Self {
        Self(ParamValue::Blob(bytes.into()))
    }

    /// Creates a BLOB value of this number of zero bytes.
    ///
    /// C: [sqlite3_bind_zeroblob64](https://sqlite.org/c3ref/bind_blob.html)
    #[inline]
    #[must_use]
    pub const fn zeroblob(bytes: u64) -> Self {
        Self(ParamValue::ZeroBlob(bytes))
    }

    pub(crate) const fn list(list: &'p List<'p>) -> Self {
        Self(ParamValue::List(list))
    }

    pub(crate) const fn owned_list(list: Box<List<'p>>) -> Self {
        Self(ParamValue::OwnedList(list))
    }

    /// Creates a parameter that cannot be bound. Binding it returns this error, with the parameter and the SQL.
    #[inline]
    #[must_use]
    pub const fn error(error: ConversionError) -> Self {
        Self(ParamValue::Error(error))
    }

    /// Returns the same parameter with owned data. Always inlined: callers know the variant of a number, so that only its
    /// value remains.
    #[inline(always)]
    #[must_use]
    pub fn into_owned(self) -> Param<'static> {
        Param(match self.0 {
            ParamValue::Null => ParamValue::Null,
            ParamValue::Integer(value) => ParamValue::Integer(value),
            ParamValue::Real(value) => ParamValue::Real(value),
            ParamValue::Text(text) => ParamValue::Text(Cow::Owned(text.into_owned())),
            ParamValue::Blob(bytes) => ParamValue::Blob(Cow::Owned(bytes.into_owned())),
            ParamValue::ZeroBlob(bytes) => ParamValue::ZeroBlob(bytes),
            ParamValue::List(list) => ParamValue::OwnedList(Box::new(list.to_owned_list())),
            ParamValue::OwnedList(list) => ParamValue::OwnedList(Box::new(list.to_owned_list())),
            ParamValue::Error(error) => ParamValue::Error(error),
        })
    }
}

/// A copy of an error has the text of its source in place of the source.
impl Clone for Param<'_> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            ParamValue::Null => ParamValue::Null,
            ParamValue::Integer(value) => ParamValue::Integer(*value),
            ParamValue::Real(value) => ParamValue::Real(*value),
            ParamValue::Text(text) => ParamValue::Text(text.clone()),
            ParamValue::Blob(bytes) => ParamValue::Blob(bytes.clone()),
            ParamValue::ZeroBlob(bytes) => ParamValue::ZeroBlob(*bytes),
            ParamValue::List(list) => ParamValue::List(list),
            ParamValue::OwnedList(list) => ParamValue::OwnedList(list.clone()),
            ParamValue::Error(error) => ParamValue::Error(error.restated()),
        })
    }
}

/// Shows the type and the length, but not the value.
impl fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ParamValue::Null => f.write_str("Param(NULL)"),
            ParamValue::Integer(_) => f.write_str("Param(INTEGER)"),
            ParamValue::Real(_) => f.write_str("Param(REAL)"),
            ParamValue::Text(text) => write!(f, "Param(TEXT, {} bytes)", text.len()),
            ParamValue::Blob(bytes) => write!(f, "Param(BLOB, {} bytes)", bytes.len()),
            ParamValue::ZeroBlob(bytes) => write!(f, "Param(BLOB, {bytes} bytes)"),
            ParamValue::List(list) => write!(f, "Param(list of {})", list.len()),
            ParamValue::OwnedList(list) => write!(f, "Param(list of {})", list.len()),
            ParamValue::Error(problem) => write!(f, "Param({problem})"),
        }
    }
}

/// A type whose values can be bound to a parameter. It is derived for newtypes and enums (`#[derive(ToSql)]`, feature
/// `derive`).
///
/// One implementation serves both ways of binding. A value behind a reference is read by SQLite in place; a value
/// passed by value is copied. The conversion table is in [`convert`](crate::convert).
///
/// # Example
///
/// ```
/// use finalite::{Connection, Param, ToSql};
///
/// struct UserId(i64);
///
/// impl ToSql for UserId {
///     fn to_sql(&self) -> Param<'_> {
///         Param::integer(self.0)
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let ada = UserId(7);
/// assert_eq!(conn.query_one::<i64>("SELECT ?", (&ada,))?, 7);
/// assert_eq!(conn.query_one::<i64>("SELECT ?", (ada,))?, 7);
/// # Ok::<(), finalite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be bound to a parameter",
    label = "this value cannot be bound",
    note = "numbers, `bool`, text, bytes, `Option` of them and references to them can: see the table in `finalite::convert`",
    note = "for a type of your own, implement `finalite::ToSql`; for another crate's, bind what it converts to",
    note = "with features of their names, types of chrono, time, jiff, uuid, url, serde_json and rust_decimal can"
)]
#[doc(alias = "bind")]
pub trait ToSql {
    /// Returns the parameter, which borrows from `self`.
    fn to_sql(&self) -> Param<'_>;

    /// Returns the parameter for a value that is passed by value.
    ///
    /// The default implementation copies the data that [`to_sql`](Self::to_sql) borrows. A type that owns its memory,
    /// or that is a borrow itself, can avoid the copy by implementing this method.
    #[inline(always)]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: Sized + 'p,
    {
        self.to_sql().into_owned()
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self) -> Param<'_> {
        Param(match &self.0 {
            ParamValue::Null => ParamValue::Null,
            ParamValue::Integer(value) => ParamValue::Integer(*value),
            ParamValue::Real(value) => ParamValue::Real(*value),
            ParamValue::Text(text) => ParamValue::Text(Cow::Borrowed(text)),
            ParamValue::Blob(bytes) => ParamValue::Blob(Cow::Borrowed(bytes)),
            ParamValue::ZeroBlob(bytes) => ParamValue::ZeroBlob(*bytes),
            ParamValue::List(list) => ParamValue::List(list),
            ParamValue::OwnedList(list) => ParamValue::List(list),
            ParamValue::Error(error) => ParamValue::Error(error.restated()),
        })
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: Sized + 'p,
    {
        self
    }
}

macro_rules! impl_from {
    ($($type:ty)*) => {
        $(
            /// As this type binds.
            impl<'p> From<$type> for Param<'p> {
                #[inline]
                fn from(value: $type) -> Self {
                    value.into_param()
                }
            }
        )*
    };
}

impl_from! {
    bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64
    &'p str String Cow<'p, str> &'p [u8] Vec<u8> Cow<'p, [u8]> Value ValueRef<'p>
}

/// NULL for `None`.
impl<'p, T: Into<Self>> From<Option<T>> for Param<'p> {
    #[inline]
    fn from(value: Option<T>) -> Self {
        value.map_or_else(Self::null, Into::into)
    }
}

/// A value that binds as a BLOB of this number of zero bytes, to be written in pieces through a
/// [`Blob`](crate::data::Blob).
///
/// # Example
///
/// ```
/// use finalite::{Connection, ZeroBlob};
///
/// let conn = Connection::open_in_memory()?;
/// assert_eq!(conn.query_one::<i64>("SELECT length(?)", (ZeroBlob(1000),))?, 1000);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroBlob(pub u64);

impl ToSql for ZeroBlob {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::zeroblob(self.0)
    }
}

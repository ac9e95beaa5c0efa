//! What can be bound to the parameters of a statement.

use std::borrow::Cow;
use std::fmt;

use crate::convert::ConversionError;
use crate::error::{Error, ErrorKind, Result, What};
use crate::raw::{Binding, RawCopy, RawParam};

/// A value on its way into a parameter.
///
/// Text and bytes that are borrowed are bound without a copy and are read by SQLite where they are; the borrow `'p`
/// lasts as long as the rows do. Owned text and bytes are copied by SQLite.
#[derive(Debug)]
pub struct Param<'p>(Repr<'p>);

#[derive(Debug)]
enum Repr<'p> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'p, str>),
    Blob(Cow<'p, [u8]>),
    ZeroBlob(u64),
    Error(ConversionError),
}

impl<'p> Param<'p> {
    /// NULL.
    #[inline]
    #[must_use]
    pub const fn null() -> Self {
        Self(Repr::Null)
    }

    /// INTEGER.
    #[inline]
    #[must_use]
    pub const fn integer(value: i64) -> Self {
        Self(Repr::Integer(value))
    }

    /// REAL. SQLite stores NaN as NULL; the impls for `f32` and `f64` refuse it.
    #[inline]
    #[must_use]
    pub const fn real(value: f64) -> Self {
        Self(Repr::Real(value))
    }

    /// TEXT.
    #[inline]
    pub fn text(text: impl Into<Cow<'p, str>>) -> Self {
        Self(Repr::Text(text.into()))
    }

    /// BLOB.
    #[inline]
    pub fn blob(bytes: impl Into<Cow<'p, [u8]>>) -> Self {
        Self(Repr::Blob(bytes.into()))
    }

    /// BLOB of that many zero bytes.
    ///
    /// C: [sqlite3_bind_zeroblob64](https://sqlite.org/c3ref/bind_blob.html)
    #[inline]
    #[must_use]
    pub const fn zeroblob(bytes: u64) -> Self {
        Self(Repr::ZeroBlob(bytes))
    }

    /// A value that cannot be bound: the call that binds it returns this error, with parameter and SQL.
    #[inline]
    #[must_use]
    pub const fn error(error: ConversionError) -> Self {
        Self(Repr::Error(error))
    }
}

/// A value that can be bound, given away.
///
/// Implemented for numbers, owned text and bytes, `Option`, and every reference to something [`ToSql`]. The conversion
/// table is in [`convert`](crate::convert).
///
/// # Example
///
/// ```
/// use finalite::{Connection, IntoParam, Param};
///
/// struct UserId(i64);
///
/// impl<'p> IntoParam<'p> for UserId {
///     fn into_param(self) -> Param<'p> {
///         Param::integer(self.0)
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// assert_eq!(conn.query_one::<i64>("SELECT ?", (UserId(7),))?, 7);
/// # Ok::<(), finalite::Error>(())
/// ```
pub trait IntoParam<'p> {
    /// Makes the parameter.
    fn into_param(self) -> Param<'p>;
}

/// A value that can be bound, behind a reference: `&'p T` is bound without copying what `T` holds.
pub trait ToSql {
    /// Makes the parameter, which borrows from `self`.
    fn to_sql(&self) -> Param<'_>;
}

impl<'p> IntoParam<'p> for Param<'p> {
    #[inline]
    fn into_param(self) -> Self {
        self
    }
}

/// Binds as a BLOB of that many zero bytes, to be written later through incremental I/O.
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

impl<'p> IntoParam<'p> for ZeroBlob {
    #[inline]
    fn into_param(self) -> Param<'p> {
        Param::zeroblob(self.0)
    }
}

impl ToSql for ZeroBlob {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::zeroblob(self.0)
    }
}

/// The values for the parameters of one execution.
///
/// Positional: `()`, tuples of up to 16 values, arrays, slices, [`params!`](crate::params!) for more than 16 of
/// different types, [`params_from_iter`] for any number. By name: [`named_params!`](crate::named_params!), or slices
/// of `(&str, &dyn ToSql)`. For none write `()`: of what type `[]` is an array, the compiler cannot know.
///
/// Whoever implements it for a type of their own hands the values to the [`Binder`]:
///
/// ```
/// use finalite::{Binder, Connection, Params, Result};
///
/// struct User { id: i64, name: String }
///
/// impl<'p> Params<'p> for &'p User {
///     fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
///         binder.set(":id", self.id)?;
///         binder.set(":name", &self.name)
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)", ())?;
/// let ada = User { id: 1, name: "Ada".into() };
/// assert_eq!(conn.execute("INSERT INTO users VALUES (:id, :name)", &ada)?, 1);
/// # Ok::<(), finalite::Error>(())
/// ```
pub trait Params<'p> {
    /// Hands every value over.
    ///
    /// # Errors
    ///
    /// The [`Binder`]'s.
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()>;
}

/// Takes the values for one execution and checks that each parameter gets one.
pub struct Binder<'s, 'p> {
    raw: Binding<'s, 'p>,
    /// Values given by position so far.
    positional: usize,
    /// Where a name is looked for first: mostly they are given in the order of the SQL.
    next_name: usize,
    /// Whether one was given by name: then each is marked.
    by_name: bool,
}

impl<'s, 'p> Binder<'s, 'p> {
    pub(crate) fn new(raw: Binding<'s, 'p>) -> Self {
        Self { raw, positional: 0, next_name: 0, by_name: false }
    }

    /// The number of parameters in the SQL.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.raw.parameter_count()
    }

    /// Binds the next parameter in order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ParameterCount`] if there is none left, [`ErrorKind::Parameter`] if the value does not convert,
    /// [`ErrorKind::NoMemory`], and `SQLITE_TOOBIG` for text or bytes beyond SQLite's limit.
    #[inline(always)]
    pub fn push(&mut self, value: impl IntoParam<'p>) -> Result<()> {
        let index = self.positional + 1;
        if index > self.raw.parameter_count() {
            return Err(self.wrong_count(index));
        }
        self.bind(index, value.into_param())?;
        self.positional = index;
        if self.by_name {
            self.raw.mark(index);
        }
        Ok(())
    }

    /// Binds the parameter of this name, written as in the SQL with its prefix: `:name`, `@name`, `$name` or `?1`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such parameter, and what [`push`](Self::push) returns.
    pub fn set(&mut self, name: &str, value: impl IntoParam<'p>) -> Result<()> {
        let names = self.raw.parameter_names();
        let is_it = |known: &Option<Box<str>>| known.as_deref() == Some(name);
        let expected = names.get(self.next_name).is_some_and(is_it).then_some(self.next_name);
        let Some(place) = expected.or_else(|| names.iter().position(is_it)) else {
            return Err(self.no_such(name));
        };
        let index = place + 1;
        self.next_name = index;
        self.bind(index, value.into_param())?;
        if !self.by_name {
            self.by_name = true;
            self.raw.clear_marks();
            (1..=self.positional).for_each(|given| self.raw.mark(given));
        }
        self.raw.mark(index);
        Ok(())
    }

    /// Checks that there is room for so many values more, so that the error can tell their number.
    #[inline]
    fn reserve(&self, values: usize) -> Result<()> {
        let given = self.positional + values;
        if given <= self.raw.parameter_count() { Ok(()) } else { Err(self.wrong_count(given)) }
    }

    /// Always inlined: the caller knows which kind of value it has, and one call to SQLite is left of it.
    #[inline(always)]
    fn bind(&mut self, index: usize, param: Param<'p>) -> Result<()> {
        let result = match param.0 {
            Repr::Null => self.raw.bind(index, RawParam::Null),
            Repr::Integer(value) => self.raw.bind(index, RawParam::Integer(value)),
            Repr::Real(value) => self.raw.bind(index, RawParam::Real(value)),
            Repr::ZeroBlob(bytes) => self.raw.bind(index, RawParam::ZeroBlob(bytes)),
            Repr::Text(Cow::Borrowed(text)) => self.raw.bind(index, RawParam::Text(text)),
            Repr::Blob(Cow::Borrowed(bytes)) => self.raw.bind(index, RawParam::Blob(bytes)),
            Repr::Text(Cow::Owned(text)) => self.raw.bind_copy(index, RawCopy::Text(&text)),
            Repr::Blob(Cow::Owned(bytes)) => self.raw.bind_copy(index, RawCopy::Blob(&bytes)),
            Repr::Error(problem) => return Err(self.invalid(index, problem)),
        };
        Ok(result?)
    }

    #[cold]
    #[inline(never)]
    fn invalid(&self, index: usize, problem: ConversionError) -> Error {
        Error::new(ErrorKind::Parameter { index, name: self.name(index), problem }).in_sql(self.raw.sql())
    }

    #[cold]
    #[inline(never)]
    fn wrong_count(&self, given: usize) -> Error {
        let expected = self.raw.parameter_count();
        Error::new(ErrorKind::ParameterCount { expected, given }).in_sql(self.raw.sql())
    }

    #[cold]
    #[inline(never)]
    fn no_such(&self, name: &str) -> Error {
        let known = self.raw.parameter_names().iter().flatten().cloned().collect();
        Error::new(ErrorKind::NoSuch { what: What::Parameter, name: name.into(), known }).in_sql(self.raw.sql())
    }

    fn name(&self, index: usize) -> Option<Box<str>> {
        self.raw.parameter_names().get(index - 1).cloned().flatten()
    }

    /// Checks that nothing is missing.
    #[inline]
    pub(crate) fn finish(self) -> Result<Binding<'s, 'p>> {
        self.check()?;
        Ok(self.raw)
    }

    #[inline]
    fn check(&self) -> Result<()> {
        if self.by_name {
            self.check_marks()
        } else if self.positional == self.raw.parameter_count() {
            Ok(())
        } else {
            Err(self.wrong_count(self.positional))
        }
    }

    fn check_marks(&self) -> Result<()> {
        match (1..=self.raw.parameter_count()).find(|&index| !self.raw.is_marked(index)) {
            None => Ok(()),
            Some(index) => {
                let name = self.name(index);
                Err(Error::new(ErrorKind::ParameterUnset { index, name }).in_sql(self.raw.sql()))
            }
        }
    }
}

impl fmt::Debug for Binder<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binder").field("sql", &self.raw.sql()).finish_non_exhaustive()
    }
}

impl<'p> Params<'p> for () {
    #[inline]
    fn bind(self, _: &mut Binder<'_, 'p>) -> Result<()> {
        Ok(())
    }
}

impl<'p, T: IntoParam<'p>, const N: usize> Params<'p> for [T; N] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        binder.reserve(N)?;
        self.into_iter().try_for_each(|value| binder.push(value))
    }
}

impl<'p, T: ToSql> Params<'p> for &'p [T] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        binder.reserve(self.len())?;
        self.iter().try_for_each(|value| binder.push(value))
    }
}

impl<'p, T: ToSql, const N: usize> Params<'p> for &'p [T; N] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

impl<'p, const N: usize> Params<'p> for [(&str, Param<'p>); N] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.into_iter().try_for_each(|(name, value)| binder.set(name, value))
    }
}

impl<'p, T: ToSql> Params<'p> for &'p Vec<T> {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

impl<'p, const N: usize> Params<'p> for &'p [(&str, &dyn ToSql); N] {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

impl<'p> Params<'p> for &'p [(&str, &dyn ToSql)] {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.iter().try_for_each(|(name, value)| binder.set(name, value.to_sql()))
    }
}

macro_rules! tuples {
    ($(($count:literal $($type:ident $field:tt)+))+) => {
        $(
            impl<'p, $($type: IntoParam<'p>),+> Params<'p> for ($($type,)+) {
                #[inline]
                fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                    binder.reserve($count)?;
                    $(binder.push(self.$field)?;)+
                    Ok(())
                }
            }
        )+
    };
}

crate::tuples::with_tuples!(tuples);

/// Values by position, from an iterator. See [`params_from_iter`].
#[derive(Clone, Debug)]
pub struct ParamsFromIter<I>(I);

/// Binds what an iterator yields, by position.
///
/// # Example
///
/// ```
/// use finalite::{Connection, params_from_iter};
///
/// let conn = Connection::open_in_memory()?;
/// let ids = vec![3, 4, 5];
/// let marks = vec!["?"; ids.len()].join(",");
/// let sum: i64 = conn.query_one(
///     &format!("SELECT sum(column1) FROM (VALUES (1),(3),(5)) WHERE column1 IN ({marks})"),
///     params_from_iter(&ids),
/// )?;
/// assert_eq!(sum, 8);
/// # Ok::<(), finalite::Error>(())
/// ```
pub fn params_from_iter<I: IntoIterator>(values: I) -> ParamsFromIter<I> {
    ParamsFromIter(values)
}

impl<'p, I> Params<'p> for ParamsFromIter<I>
where
    I: IntoIterator,
    I::Item: IntoParam<'p>,
{
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        let values = self.0.into_iter();
        if let (known, Some(most)) = values.size_hint()
            && known == most
        {
            binder.reserve(known)?;
        }
        for value in values {
            binder.push(value)?;
        }
        Ok(())
    }
}

/// Values by position, of any number and different types: an array of [`Param`].
///
/// # Example
///
/// ```
/// use finalite::{Connection, params};
///
/// let conn = Connection::open_in_memory()?;
/// let name = String::from("Ada");
/// let row: (i64, String) = conn.query_one("SELECT ?, ?", params![36, &name])?;
/// assert_eq!(row, (36, name));
/// # Ok::<(), finalite::Error>(())
/// ```
#[macro_export]
macro_rules! params {
    () => { () };
    ($($value:expr),+ $(,)?) => { [$($crate::IntoParam::into_param($value)),+] };
}

/// Values by name. Names carry their prefix, as in the SQL.
///
/// # Example
///
/// ```
/// use finalite::{Connection, named_params};
///
/// let conn = Connection::open_in_memory()?;
/// let sum: i64 = conn.query_one("SELECT :a + @b", named_params! { ":a": 1, "@b": 2 })?;
/// assert_eq!(sum, 3);
/// # Ok::<(), finalite::Error>(())
/// ```
#[macro_export]
macro_rules! named_params {
    () => { () };
    ($($name:literal : $value:expr),+ $(,)?) => { [$(($name, $crate::IntoParam::into_param($value))),+] };
}

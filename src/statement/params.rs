//! Sets of values that can be bound to the parameters of a statement.

use std::borrow::Cow;
use std::fmt;

use crate::convert::{Param, ParamValue, ToSql};
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::raw::lent_columns::LentColumns;
use crate::raw::{Binding, RawList};
use crate::value::{ConversionError, RawParam};

mod target;

pub(super) use target::Target;

/// A set of values for the parameters of one execution.
///
/// No values: `()` or `[]`. By position: tuples of up to 16 values, arrays of up to 32, slices,
/// [`params!`](crate::params!) for any number of values of different types, [`params_from_iter`]. By name:
/// [`named_params!`](crate::named_params!), arrays of up to 32 and slices of `(name, value)`,
/// [`named_params_from_iter`]. A list that is one value: [`array()`](crate::array()).
///
/// Each parameter of the SQL requires exactly one value. A parameter without a value is an error, and so are one with
/// two values and a name that the SQL does not contain. [`NamedParamsFromIter`] can be told to allow the first and the
/// last of these.
///
/// Values by position are assigned to the parameter numbers from 1 to the largest. SQLite assigns the numbers: `?5` has
/// number 5; `?` has the number after the largest so far; a named parameter has the next number at its first
/// occurrence, whatever its name, so that in `$2, $1` number 1 is `$2`. A number that the SQL leaves out (1, if the SQL
/// contains only `?2`) needs a value by position, which is ignored, and needs none by name.
///
/// For a struct, it is derived (`#[derive(Params)]`, feature `derive`). An implementation by hand passes the values to the
/// [`Binder`]:
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of parameters",
    label = "expected `()`, a tuple, an array, a slice, `params![..]` or `named_params!{{..}}`",
    note = "a single value goes into a tuple of one, `(value,)`; an array of more than 32 values is lent: `&values`",
    note = "each value has to implement `finalite::ToSql`"
)]
#[doc(alias = "bind")]
pub trait Params<'p> {
    /// Passes every value to the binder.
    ///
    /// # Errors
    ///
    /// The errors of [`Binder::push`] and [`Binder::set`].
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()>;
}

/// Prefixes of names that may be left out.
const PREFIXES: [char; 3] = [':', '@', '$'];

/// Binds the values of one execution and checks that each parameter has exactly one.
pub struct Binder<'s, 'p> {
    raw: Target<'s, 'p>,
    /// Number of values given by position so far.
    positional: usize,
    /// 0-based position at which the next name is looked up first: names are usually given in the order of the SQL.
    next_name: usize,
    /// Whether a value was given by name. From then on, each parameter with a value is marked.
    by_name: bool,
    /// Whether names that the SQL does not contain are ignored.
    ignores_unused: bool,
    /// Whether parameters without a value are NULL.
    fills_missing: bool,
    /// Whether values by position go to the parameters that have no value yet.
    skips_set: bool,
    /// Whether names in the SQL have different prefixes, so that one without its prefix may be ambiguous; computed on
    /// demand.
    has_prefixes: Option<bool>,
}

impl<'s, 'p> Binder<'s, 'p> {
    pub(crate) fn new(raw: Binding<'s, 'p>) -> Self {
        Self::on(Target::Statement(raw))
    }

    #[inline(always)]
    pub(super) fn on(raw: Target<'s, 'p>) -> Self {
        Self {
            raw,
            positional: 0,
            next_name: 0,
            by_name: false,
            ignores_unused: false,
            fills_missing: false,
            skips_set: false,
            has_prefixes: None,
        }
    }

    /// Returns the number of parameters in the SQL.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.raw.parameter_count()
    }

    /// Binds a value to the next parameter in order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ParameterCount`] if there is no further parameter; [`ErrorKind::ParameterTwice`] if the parameter
    /// was set by name; [`ErrorKind::ParameterConversion`] if the value cannot be converted; [`ErrorKind::NoMemory`];
    /// and `SQLITE_TOOBIG` for text or bytes beyond SQLite's limit.
    #[inline(always)]
    #[doc(alias = "raw_bind_parameter")]
    pub fn push(&mut self, value: impl ToSql + 'p) -> Result<()> {
        let index = self.positional + 1;
        if self.has_marks() || index > self.raw.parameter_count() {
            return self.push_marked(value.into_param());
        }
        self.bind(index, value.into_param())?;
        self.positional = index;
        Ok(())
    }

    /// Whether parameters are marked, so that values by position depend on the marks.
    #[inline(always)]
    fn has_marks(&self) -> bool {
        self.by_name || self.skips_set
    }

    #[inline(never)]
    fn push_marked(&mut self, param: Param<'p>) -> Result<()> {
        let mut index = self.positional + 1;
        if self.skips_set {
            index = self.next_unset(index);
        }
        if index > self.raw.parameter_count() {
            return Err(self.wrong_count(index));
        }
        if self.by_name {
            self.check_unmarked(index)?;
        }
        self.bind(index, param)?;
        self.positional = index;
        if self.by_name {
            self.raw.mark(index);
        }
        Ok(())
    }

    /// Binds a value to the parameter of this name: as in the SQL with its prefix (`:name`, `@name`, `$name` or `?1`),
    /// or without it. Then, `name` is any one of `:name`, `@name` and `$name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no such parameter, unless [`ignore_unused`](Self::ignore_unused) was called;
    /// [`ErrorKind::AmbiguousParameter`] if the name lacks its prefix, and the SQL has it with several;
    /// [`ErrorKind::ParameterTwice`] if it already has a value; and the other errors of [`push`](Self::push).
    pub fn set(&mut self, name: &str, value: impl ToSql + 'p) -> Result<()> {
        let Some(place) = self.find(name)? else {
            return if self.ignores_unused { Ok(()) } else { Err(self.no_such(name)) };
        };
        let index = place + 1;
        self.next_name = index;
        if self.by_name {
            self.check_unmarked(index)?;
        } else if index <= self.positional {
            return Err(self.twice(index));
        }
        self.bind(index, value.into_param())?;
        self.mark_by_name();
        self.raw.mark(index);
        Ok(())
    }

    /// Begins to mark the parameters with values, unless they are being marked.
    fn mark_by_name(&mut self) {
        if !self.by_name {
            self.by_name = true;
            self.raw.clear_marks();
            (1..=self.positional).for_each(|given| self.raw.mark(given));
        }
    }

    /// Ignores values of names that the SQL does not contain, from now on.
    pub fn ignore_unused(&mut self) {
        self.ignores_unused = true;
    }

    /// Binds NULL to the parameters that have no value in the end.
    pub fn missing_as_null(&mut self) {
        self.fills_missing = true;
    }

    /// Assigns values by position, from now on, to the parameters that have no value yet.
    pub(crate) fn skip_set(&mut self) {
        self.skips_set = true;
    }

    /// Returns the first of the parameters from this one on that has no value, or a number beyond the last.
    #[cold]
    fn next_unset(&self, index: usize) -> usize {
        let count = self.raw.parameter_count();
        (index..=count).find(|&index| !self.raw.is_marked(index)).unwrap_or(count + 1)
    }

    /// Returns the 0-based place of the parameter of this name, with its prefix or without.
    fn find(&mut self, name: &str) -> Result<Option<usize>> {
        let names = self.raw.parameter_names();
        let is_bare = !name.starts_with([':', '@', '$', '?', '#']);
        let is_it = |known: &Option<Box<str>>| match known.as_deref() {
            Some(known) if is_bare => known.strip_prefix(PREFIXES) == Some(name),
            known => known == Some(name),
        };
        let expected = names.get(self.next_name).is_some_and(is_it).then_some(self.next_name);
        let place = expected.or_else(|| names.iter().position(is_it));
        if is_bare && place.is_some() {
            let has_prefixes = *self.has_prefixes.get_or_insert_with(|| {
                let mut prefixes = names.iter().flatten().filter_map(|name| name.chars().next());
                let mut prefixes = prefixes.by_ref().filter(|prefix| PREFIXES.contains(prefix));
                prefixes.next().is_some_and(|first| prefixes.any(|other| other != first))
            });
            if has_prefixes && names.iter().filter(|known| is_it(known)).count() > 1 {
                return Err(self.ambiguous(name));
            }
        }
        Ok(place)
    }

    /// Returns an error if the parameter has a value.
    fn check_unmarked(&self, index: usize) -> Result<()> {
        if self.raw.is_marked(index) { Err(self.twice(index)) } else { Ok(()) }
    }

    /// Checks that this number of further parameters exists, so that the error contains the total number of values.
    #[doc(hidden)]
    #[inline]
    pub fn reserve(&self, values: usize) -> Result<()> {
        let given = self.positional + values;
        if given <= self.raw.parameter_count() { Ok(()) } else { Err(self.wrong_count(given)) }
    }

    /// Whether the first parameter has a name.
    #[inline]
    pub(super) fn is_by_name(&self) -> bool {
        let first = self.raw.parameter_names().first().and_then(Option::as_deref);
        first.is_some_and(|name| !name.starts_with('?'))
    }

    /// Binds a value to every parameter. `find` returns the number of the value for a name without its prefix.
    pub(super) fn push_named(
        &mut self,
        find: impl Fn(&str) -> Option<usize>,
        mut bind: impl FnMut(usize, &mut Self) -> Result<()>,
    ) -> Result<()> {
        for index in 1..=self.raw.parameter_count() {
            let name = self.raw.parameter_names().get(index - 1).and_then(Option::as_deref);
            let Some(value) = name.and_then(|name| find(name.get(1..)?)) else {
                return Err(self.unset(index));
            };
            bind(value, self)?;
        }
        Ok(())
    }

    /// Binds columns that are lent to a table as the only parameter.
    pub(crate) fn push_columns(&mut self, columns: &'p LentColumns<'p>) -> Result<()> {
        self.positional = 1;
        match &mut self.raw {
            Target::Statement(raw) => Ok(raw.bind_columns(1, columns)?),
            Target::Collected(_) => Err(not_local()),
        }
    }

    /// Binds a value that is lent to the next parameter.
    #[inline(always)]
    pub(crate) fn push_lent(&mut self, value: RawParam<'p>) -> Result<()> {
        self.positional += 1;
        self.raw.bind(self.positional, value)
    }

    /// Binds one value. Always inlined: the caller knows the variant, so that only one call to SQLite remains.
    #[inline(always)]
    fn bind(&mut self, index: usize, param: Param<'p>) -> Result<()> {
        match param.into_value() {
            ParamValue::Null => self.raw.bind(index, RawParam::Null),
            ParamValue::Integer(value) => self.raw.bind(index, RawParam::Integer(value)),
            ParamValue::Real(value) => self.raw.bind(index, RawParam::Real(value)),
            ParamValue::ZeroBlob(bytes) => self.raw.bind(index, RawParam::ZeroBlob(bytes)),
            ParamValue::Text(Cow::Borrowed(text)) => self.raw.bind(index, RawParam::Text(text)),
            ParamValue::Blob(Cow::Borrowed(bytes)) => self.raw.bind(index, RawParam::Blob(bytes)),
            ParamValue::Text(Cow::Owned(text)) => self.raw.bind_text(index, text),
            ParamValue::Blob(Cow::Owned(bytes)) => self.raw.bind_blob(index, bytes),
            ParamValue::List(list) => self.raw.bind_list(index, RawList::Lent(list)),
            ParamValue::OwnedList(list) => self.raw.bind_list(index, RawList::Owned(list)),
            ParamValue::Error(problem) => Err(self.invalid(index, problem)),
        }
    }

    #[cold]
    #[inline(never)]
    fn invalid(&self, index: usize, problem: ConversionError) -> Error {
        Error::new(ErrorKind::ParameterConversion { index, name: self.name(index), problem }).in_sql(self.raw.sql())
    }

    #[cold]
    #[inline(never)]
    fn twice(&self, index: usize) -> Error {
        Error::new(ErrorKind::ParameterTwice { index, name: self.name(index) }).in_sql(self.raw.sql())
    }

    #[cold]
    #[inline(never)]
    fn wrong_count(&self, given: usize) -> Error {
        let expected = self.raw.parameter_count();
        Error::new(ErrorKind::ParameterCount { expected, given }).in_sql(self.raw.sql())
    }

    #[cold]
    #[inline(never)]
    fn ambiguous(&self, name: &str) -> Error {
        let names = self.raw.parameter_names().iter().flatten();
        let known = names.filter(|known| known.strip_prefix(PREFIXES) == Some(name)).cloned().collect();
        Error::new(ErrorKind::AmbiguousParameter { name: name.into(), known }).in_sql(self.raw.sql())
    }

    #[cold]
    #[inline(never)]
    fn no_such(&self, name: &str) -> Error {
        let known = self.raw.parameter_names().iter().flatten().cloned().collect();
        Error::new(ErrorKind::NoSuch { what: NameKind::Parameter, name: name.into(), known }).in_sql(self.raw.sql())
    }

    fn name(&self, index: usize) -> Option<Box<str>> {
        self.raw.parameter_names().get(index - 1).cloned().flatten()
    }

    /// Checks that each parameter has a value. The caller, who is inlined, knows whether all were given by position.
    #[inline(always)]
    pub(crate) fn finish(self) -> Result<Binding<'s, 'p>> {
        if !(self.by_name || self.ignores_unused || self.fills_missing)
            && self.positional == self.raw.parameter_count()
            && let Target::Statement(raw) = self.raw
        {
            return Ok(raw);
        }
        self.finish_otherwise()
    }

    #[inline(never)]
    fn finish_otherwise(self) -> Result<Binding<'s, 'p>> {
        match self.finish_target()? {
            Target::Statement(raw) => Ok(raw),
            Target::Collected(_) => Err(not_local()),
        }
    }

    /// Checks that each parameter has a value.
    #[inline]
    pub(super) fn finish_target(mut self) -> Result<Target<'s, 'p>> {
        if self.ignores_unused {
            // Values were given by name, even if the SQL contains none of the names.
            self.mark_by_name();
        }
        if self.fills_missing {
            self.fill_missing()?;
        }
        self.check()?;
        Ok(self.raw)
    }

    #[cold]
    fn fill_missing(&mut self) -> Result<()> {
        for index in self.positional + 1..=self.raw.parameter_count() {
            if !self.by_name {
                self.push(Param::null())?;
            } else if !self.raw.is_marked(index) {
                // A value of an earlier execution may still be bound.
                self.bind(index, Param::null())?;
                self.raw.mark(index);
            }
        }
        Ok(())
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
        let is_missing = |&index: &usize| !self.raw.is_marked(index) && !self.is_gap(index);
        match (1..=self.raw.parameter_count()).find(is_missing) {
            None => Ok(()),
            Some(index) => Err(self.unset(index)),
        }
    }

    #[cold]
    #[inline(never)]
    fn unset(&self, index: usize) -> Error {
        Error::new(ErrorKind::ParameterUnset { index, name: self.name(index) }).in_sql(self.raw.sql())
    }
}

/// Returns the error for a binder that does not belong to a local statement.
#[cold]
fn not_local() -> Error {
    Error::new(ErrorKind::Misuse { reason: "the statement is not a local one" })
}

impl Binder<'_, '_> {
    /// Whether the SQL leaves this number out: `?2` alone has no parameter 1.
    #[cold]
    fn is_gap(&self, index: usize) -> bool {
        let names = self.raw.parameter_names();
        let in_use = self.raw.in_use();
        // If SQLite counts the parameters differently, no number is treated as left out.
        names.len() == in_use.len() && names[index - 1].is_none() && !in_use[index - 1]
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

/// `[]` is the only implementation for an array without values, so that its element type can be inferred.
impl<'p> Params<'p> for [&dyn ToSql; 0] {
    #[inline]
    fn bind(self, _: &mut Binder<'_, 'p>) -> Result<()> {
        Ok(())
    }
}

/// Not generic over `N`: with 0 included, the type of `[]` could not be inferred.
macro_rules! arrays {
    ($($length:literal)+) => {
        $(
            impl<'p, T: ToSql + 'p> Params<'p> for [T; $length] {
                #[inline]
                fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                    params_from_iter(self).bind(binder)
                }
            }

            impl<'p, S: AsRef<str>, T: ToSql + 'p> Params<'p> for [(S, T); $length] {
                #[inline]
                fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                    named_params_from_iter(self).bind(binder)
                }
            }
        )+
    };
}

arrays! { 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 }

impl<'p, T: ToSql> Params<'p> for &'p [T] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        params_from_iter(self).bind(binder)
    }
}

impl<'p, T: ToSql, const N: usize> Params<'p> for &'p [T; N] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

impl<'p, T: ToSql> Params<'p> for &'p Vec<T> {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

impl<'p, S: AsRef<str>, T: ToSql> Params<'p> for &'p [(S, T)] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.iter().try_for_each(|(name, value)| binder.set(name.as_ref(), value))
    }
}

impl<'p, S: AsRef<str>, T: ToSql, const N: usize> Params<'p> for &'p [(S, T); N] {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

impl<'p, S: AsRef<str>, T: ToSql> Params<'p> for &'p Vec<(S, T)> {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.as_slice().bind(binder)
    }
}

macro_rules! tuples {
    ($(($count:literal $($type:ident $field:tt)+))+) => {
        $(
            impl<'p, $($type: ToSql + 'p),+> Params<'p> for ($($type,)+) {
                // Always inlined, so that the state of the binder stays in registers.
                #[inline(always)]
                fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                    binder.reserve($count)?;
                    if binder.has_marks() {
                        $(binder.push_marked(self.$field.into_param())?;)+
                        return Ok(());
                    }
                    $(binder.bind(binder.positional + 1 + $field, self.$field.into_param())?;)+
                    binder.positional += $count;
                    Ok(())
                }
            }
        )+
    };
}

crate::statement::tuples::with_tuples!(tuples);

/// Values by position from an iterator. Returned by [`params_from_iter`].
#[derive(Clone)]
pub struct ParamsFromIter<I>(I);

impl<I> fmt::Debug for ParamsFromIter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParamsFromIter(..)")
    }
}

/// Returns the values of an iterator as parameters by position.
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
    I::Item: ToSql + 'p,
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

/// Values by name from an iterator. Returned by [`named_params_from_iter`].
#[derive(Clone, Debug)]
pub struct NamedParamsFromIter<I> {
    values: I,
    ignores_unused: bool,
    fills_missing: bool,
}

impl<I> NamedParamsFromIter<I> {
    /// Ignores values whose name the SQL does not contain, which are an error otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, named_params};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let user = named_params! { "id": 1, "name": "Ada" };
    /// assert_eq!(conn.query_one::<i64>("SELECT :id", user.ignore_unused())?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn ignore_unused(mut self) -> Self {
        self.ignores_unused = true;
        self
    }

    /// Binds NULL to parameters that have no value, which are an error otherwise.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use finalite::{Connection, named_params_from_iter};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let values = HashMap::from([("id", 1)]);
    /// let row: (i64, Option<i64>) =
    ///     conn.query_one("SELECT :id, :parent", named_params_from_iter(&values).missing_as_null())?;
    /// assert_eq!(row, (1, None));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn missing_as_null(mut self) -> Self {
        self.fills_missing = true;
        self
    }
}

/// Returns the `(name, value)` pairs of an iterator as parameters by name. Names are written as in the SQL, or without
/// their prefix.
///
/// # Example
///
/// ```
/// use std::collections::HashMap;
/// use finalite::{Connection, named_params_from_iter};
///
/// let conn = Connection::open_in_memory()?;
/// let values = HashMap::from([("a", 1), (":b", 2)]);
/// let sum: i64 = conn.query_one("SELECT :a + :b", named_params_from_iter(&values))?;
/// assert_eq!(sum, 3);
/// # Ok::<(), finalite::Error>(())
/// ```
pub fn named_params_from_iter<I: IntoIterator>(values: I) -> NamedParamsFromIter<I> {
    NamedParamsFromIter { values, ignores_unused: false, fills_missing: false }
}

impl<'p, I, S, T> Params<'p> for NamedParamsFromIter<I>
where
    I: IntoIterator<Item = (S, T)>,
    S: AsRef<str>,
    T: ToSql + 'p,
{
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        if self.ignores_unused {
            binder.ignore_unused();
        }
        if self.fills_missing {
            binder.missing_as_null();
        }
        self.values.into_iter().try_for_each(|(name, value)| binder.set(name.as_ref(), value))
    }
}

/// Creates parameters by position from any number of values of different types.
///
/// Variables and fields are borrowed, not moved. `Copy` values (numbers, `&str`) are bound by value.
///
/// # Example
///
/// ```
/// use finalite::{Connection, params};
///
/// struct User { id: i64, name: String }
///
/// let conn = Connection::open_in_memory()?;
/// let ada = User { id: 36, name: "Ada".into() };
/// let row: (i64, String) = conn.query_one("SELECT ?, ?", params![ada.id, ada.name])?;
/// assert_eq!(row, (36, ada.name));
/// # Ok::<(), finalite::Error>(())
/// ```
#[macro_export]
macro_rules! params {
    () => { () };
    ($($value:expr),+ $(,)?) => { $crate::params_from_iter([$($crate::macros::lend(&$value).param()),+]) };
}

/// Creates parameters by name, written as in the SQL or without its prefix (`id` for `:id`, `@id` or `$id`). A name that
/// is given twice is [`ErrorKind::ParameterTwice`](crate::ErrorKind::ParameterTwice). Values are borrowed as by
/// [`params!`](crate::params!).
///
/// # Example
///
/// ```
/// use finalite::{Connection, named_params};
///
/// let conn = Connection::open_in_memory()?;
/// let sum: i64 = conn.query_one("SELECT :a + @b", named_params! { "a": 1, "@b": 2 })?;
/// assert_eq!(sum, 3);
/// # Ok::<(), finalite::Error>(())
/// ```
#[macro_export]
macro_rules! named_params {
    () => { () };
    ($($name:literal : $value:expr),+ $(,)?) => {
        $crate::named_params_from_iter([$(($name, $crate::macros::lend(&$value).param())),+])
    };
}

/// Implementation of `params!`, which chooses by the type of each value how to bind it: method lookup first finds the
/// method of `Lent`, which exists for `Copy` values, and otherwise the method of the type that `Lent` derefs to.
#[doc(hidden)]
pub mod macros {
    use std::ops::Deref;

    use super::{Param, ToSql};

    /// A value in `params!`.
    #[expect(missing_debug_implementations, reason = "it lives within the macro, and shows no value")]
    pub struct Lent<'a, T: ?Sized>(Borrowed<'a, T>);

    /// A value that is bound by reference.
    #[expect(missing_debug_implementations, reason = "it lives within the macro, and shows no value")]
    pub struct Borrowed<'a, T: ?Sized>(&'a T);

    /// Borrows a value for `params!`.
    #[inline]
    pub fn lend<T: ?Sized>(value: &T) -> Lent<'_, T> {
        Lent(Borrowed(value))
    }

    impl<T: ToSql + Copy> Lent<'_, T> {
        /// Returns the parameter, which borrows only what the value itself borrows.
        #[inline]
        pub fn param<'p>(self) -> Param<'p>
        where
            T: 'p,
        {
            (*self.0.0).into_param()
        }
    }

    impl<'a, T: ?Sized> Borrowed<'a, T> {
        /// Returns the parameter, which borrows the value.
        #[inline]
        pub fn param(&self) -> Param<'a>
        where
            T: ToSql,
        {
            self.0.to_sql()
        }
    }

    impl<'a, T: ?Sized> Deref for Lent<'a, T> {
        type Target = Borrowed<'a, T>;

        #[inline]
        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
}

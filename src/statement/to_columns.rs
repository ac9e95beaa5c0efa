//! [`ToColumns`]: structs whose fields are bound by the names of columns.

use super::params::Binder;
use crate::convert::{Param, ToSql};
use crate::error::Result;

/// A struct whose fields are values of columns. `#[derive(Params)]` implements it for structs with named fields, beside
/// [`Params`](crate::Params).
///
/// An `Option` of one binds NULL to all of its columns if it is `None`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no columns to write",
    label = "no struct with `#[derive(Params)]` and named fields",
    note = "`insert_into` and `upsert` take a struct with `#[derive(Params)]`, whose fields are named as the columns",
    note = "a field with `#[finalite(flatten)]` is such a struct, too"
)]
pub trait ToColumns {
    /// Number of columns.
    #[doc(hidden)]
    const COLUMNS: usize;

    /// Lists the names of the columns.
    #[doc(hidden)]
    fn names(names: &mut ColumnNames);

    /// Returns the index of the column of this name.
    #[doc(hidden)]
    fn find(name: &str) -> Option<usize>;

    /// Binds the column with this index to the next parameter.
    #[doc(hidden)]
    fn bind_one<'p>(&'p self, column: usize, binder: &mut Binder<'_, 'p>) -> Result<()>;

    /// Returns the value of the column with this index.
    #[doc(hidden)]
    fn value<'p>(&'p self, column: usize) -> Param<'p>;

    /// Binds all columns, in order.
    #[doc(hidden)]
    fn bind_all<'p>(&'p self, binder: &mut Binder<'_, 'p>) -> Result<()>;
}

impl<T: ToColumns> ToColumns for Option<T> {
    const COLUMNS: usize = T::COLUMNS;

    fn names(names: &mut ColumnNames) {
        T::names(names);
    }

    fn find(name: &str) -> Option<usize> {
        T::find(name)
    }

    fn bind_one<'p>(&'p self, column: usize, binder: &mut Binder<'_, 'p>) -> Result<()> {
        match self {
            Some(value) => value.bind_one(column, binder),
            None => binder.push(Param::null()),
        }
    }

    fn value<'p>(&'p self, column: usize) -> Param<'p> {
        self.as_ref().map_or_else(Param::null, |value| value.value(column))
    }

    fn bind_all<'p>(&'p self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        match self {
            Some(value) => value.bind_all(binder),
            None => (0..T::COLUMNS).try_for_each(|_| binder.push(Param::null())),
        }
    }
}

/// Binds the columns of a struct: each parameter that has a name to the field of that name; all fields in order if the
/// parameters have no names.
#[doc(hidden)]
#[inline]
pub fn bind<'p, T: ToColumns>(value: &'p T, binder: &mut Binder<'_, 'p>) -> Result<()> {
    if binder.is_by_name() {
        return binder.push_named(T::find, |column, binder| value.bind_one(column, binder));
    }
    binder.reserve(T::COLUMNS)?;
    value.bind_all(binder)
}

/// Returns the parameter of a field.
#[doc(hidden)]
#[inline(always)]
pub fn param<'p>(field: impl ToSql + 'p) -> Param<'p> {
    field.into_param()
}

/// Returns the names of the columns.
pub(crate) fn names_of<T: ToColumns>() -> Vec<String> {
    let mut names = ColumnNames { names: Vec::new(), prefix: String::new() };
    T::names(&mut names);
    names.names
}

/// A list of the names of columns.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "it lives within derived code")]
pub struct ColumnNames {
    names: Vec<String>,
    /// The prefix of the names in the part that is being listed.
    prefix: String,
}

impl ColumnNames {
    /// Adds names.
    pub fn add(&mut self, names: &[&str]) {
        self.names.extend(names.iter().map(|name| [&self.prefix, *name].concat()));
    }

    /// Adds the names of a part of the struct, with this prefix.
    pub fn part(&mut self, prefix: &str, names: fn(&mut Self)) {
        let outer = self.prefix.len();
        self.prefix.push_str(prefix);
        names(self);
        self.prefix.truncate(outer);
    }
}

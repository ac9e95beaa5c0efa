//! [`AnyParams`], [`NamedParams`]: the number of a key's parameters, in place of their types.

use super::statement_key::ParamsFor;
use crate::convert::ToSql;
use crate::statement::ToColumns;
use crate::statement::params::{NamedParamsFromIter, Params, ParamsFromIter};
use crate::statement::tuples::with_tuples;

/// In place of the types of a [`StatementKey`](crate::StatementKey)'s parameters: `N` values of any types, by position.
///
/// The macro `sql!` of the crate `finalite-sql` knows the number of parameters and not their types. It takes a tuple or
/// an array of `N` values, or [`params!`](crate::params!) with `N`; another number is not compiled.
///
/// # Example
///
/// ```
/// use finalite::{AnyParams, Connection, StatementKey, params};
///
/// static LATER: StatementKey<AnyParams<2>, bool> = StatementKey::new("SELECT ? > ?");
///
/// let conn = Connection::open_in_memory()?;
/// assert!(LATER.query_one(&conn, ("b", "a"))?);
/// assert!(LATER.query_one(&conn, [2, 1])?);
/// assert!(LATER.query_one(&conn, params![1, 0.5])?);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AnyParams<const N: usize>(());

/// In place of the types of a [`StatementKey`](crate::StatementKey)'s parameters: `N` values of any types, each of which
/// has a name in the SQL.
///
/// Besides what [`AnyParams`] takes, in the order in which the names first occur, it takes
/// [`named_params!`](crate::named_params!) with `N` names, and a reference to a struct that derives
/// [`Params`](crate::Params). Names are compared when the statement is run.
///
/// # Example
///
/// ```
/// use finalite::{Connection, NamedParams, StatementKey, named_params};
///
/// static LATER: StatementKey<NamedParams<2>, bool> = StatementKey::new("SELECT :a > :b");
///
/// let conn = Connection::open_in_memory()?;
/// assert!(LATER.query_one(&conn, (2, 1))?);
/// assert!(LATER.query_one(&conn, named_params! { "b": 1, "a": 2 })?);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NamedParams<const N: usize>(());

impl<'p, T: ToColumns, const N: usize> ParamsFor<'p, NamedParams<N>> for &'p T where Self: Params<'p> {}
impl<'p, S: AsRef<str>, T: ToSql + 'p, const N: usize> ParamsFor<'p, NamedParams<N>>
    for NamedParamsFromIter<[(S, T); N]>
{
}

/// Implements [`ParamsFor`] for tuples of values of any types.
macro_rules! values {
    ($(($count:literal $($type:ident $field:tt)+))+) => {
        $(
            impl<'p, $($type: ToSql + 'p),+> ParamsFor<'p, AnyParams<$count>> for ($($type,)+) {}
            impl<'p, $($type: ToSql + 'p),+> ParamsFor<'p, NamedParams<$count>> for ($($type,)+) {}
        )+
    };
}

with_tuples!(values);

impl<'p, T, const N: usize> ParamsFor<'p, AnyParams<N>> for [T; N] where Self: Params<'p> {}
impl<'p, T, const N: usize> ParamsFor<'p, NamedParams<N>> for [T; N] where Self: Params<'p> {}
impl<'p, T: ToSql + 'p, const N: usize> ParamsFor<'p, AnyParams<N>> for ParamsFromIter<[T; N]> {}
impl<'p, T: ToSql + 'p, const N: usize> ParamsFor<'p, NamedParams<N>> for ParamsFromIter<[T; N]> {}

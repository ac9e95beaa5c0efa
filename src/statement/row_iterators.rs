//! Iterators over rows that are read as values.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use super::from_row::FromRow;
use super::row::Row;
use super::{OwnedRows, Rows};
use crate::error::{Error, Result};

/// The source of rows of an iterator: [`Rows`] or [`OwnedRows`].
pub trait RowSource: sealed::Sealed {
    #[doc(hidden)]
    fn next(&mut self) -> Result<Option<Row<'_>>>;

    #[doc(hidden)]
    fn finish(self) -> Result<()>;
}

macro_rules! row_sources {
    ($($rows:ident)*) => {
        $(
            impl RowSource for $rows<'_> {
                #[inline]
                fn next(&mut self) -> Result<Option<Row<'_>>> {
                    self.next()
                }

                fn finish(self) -> Result<()> {
                    self.finish()
                }
            }
        )*
    };
}

row_sources! { Rows OwnedRows }

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Rows<'_> {}
    impl Sealed for super::OwnedRows<'_> {}
}

/// An iterator over rows, each read as `T`. Returned by [`Statement::query_as`](crate::Statement::query_as) with
/// [`Rows`], and by [`Connection::query_as`](crate::Connection::query_as) with [`OwnedRows`].
///
/// After an error of SQLite, the iterator ends. After a row that cannot be converted, it continues with the next row.
#[derive(Debug)]
#[must_use = "iterators are lazy: nothing is fetched until `next`"]
pub struct QueryAs<R, T> {
    rows: R,
    row_type: PhantomData<fn() -> T>,
}

impl<R: RowSource, T> QueryAs<R, T> {
    #[inline]
    pub(crate) fn new(rows: R) -> Self {
        Self { rows, row_type: PhantomData }
    }

    /// Ends the execution and returns the result of the reset, as [`Rows::finish`] does.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless the iterator has returned it.
    pub fn finish(self) -> Result<()> {
        self.rows.finish()
    }
}

impl<R: RowSource, T: for<'row> FromRow<'row>> Iterator for QueryAs<R, T> {
    type Item = Result<T>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next() {
            Ok(Some(row)) => Some(T::from_row(row)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<R: RowSource, T: for<'row> FromRow<'row>> FusedIterator for QueryAs<R, T> {}

/// An iterator over rows, each read by a closure. Returned by [`Statement::query_map`](crate::Statement::query_map),
/// [`Statement::query_and_then`](crate::Statement::query_and_then), and the methods of the same names of
/// [`Connection`](crate::Connection).
///
/// After an error of SQLite, the iterator ends. After an error of the closure, it continues with the next row.
#[must_use = "iterators are lazy: nothing is fetched until `next`"]
pub struct QueryMap<R, F> {
    rows: R,
    read: F,
}

impl<R: RowSource, F> QueryMap<R, F> {
    #[inline]
    pub(crate) fn new(rows: R, read: F) -> Self {
        Self { rows, read }
    }

    /// Ends the execution and returns the result of the reset, as [`Rows::finish`] does.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless the iterator has returned it.
    pub fn finish(self) -> Result<()> {
        self.rows.finish()
    }
}

impl<R: RowSource, T, E: From<Error>, F: FnMut(Row<'_>) -> Result<T, E>> Iterator for QueryMap<R, F> {
    type Item = Result<T, E>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next() {
            Ok(Some(row)) => Some((self.read)(row)),
            Ok(None) => None,
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl<R: RowSource, T, E: From<Error>, F: FnMut(Row<'_>) -> Result<T, E>> FusedIterator for QueryMap<R, F> {}

impl<R: fmt::Debug, F> fmt::Debug for QueryMap<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryMap").field("rows", &self.rows).finish_non_exhaustive()
    }
}

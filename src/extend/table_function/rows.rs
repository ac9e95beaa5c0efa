//! Rows of a table function: what its closure returns.

use crate::convert::ToSql;
use crate::extend::CallbackError;
use crate::extend::virtual_table::CellCall;

/// A row of a table function: a value that can be bound, for a table of one column, or a tuple of up to 12.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of a table function",
    label = "no row of a table function",
    note = "a row is a value that implements `ToSql`, or a tuple of up to 12 of them"
)]
pub trait TableRow: 'static {
    /// Number of columns.
    #[doc(hidden)]
    const COLUMNS: usize;

    /// Sets a column of the row, 0-based.
    #[doc(hidden)]
    fn answer(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError>;
}

impl<T: ToSql + 'static> TableRow for T {
    const COLUMNS: usize = 1;

    #[inline(always)]
    fn answer(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        cell.set(self)
    }
}

macro_rules! tuples {
    ($($count:literal ($($type:ident $index:tt)*))*) => {
        $(
            impl<$($type: ToSql + 'static),*> TableRow for ($($type,)*) {
                const COLUMNS: usize = $count;

                #[inline(always)]
                fn answer(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
                    match column {
                        $($index => cell.set(&self.$index),)*
                        _ => Ok(()),
                    }
                }
            }
        )*
    };
}

tuples! {
    1 (A 0)
    2 (A 0 B 1)
    3 (A 0 B 1 C 2)
    4 (A 0 B 1 C 2 D 3)
    5 (A 0 B 1 C 2 D 3 E 4)
    6 (A 0 B 1 C 2 D 3 E 4 F 5)
    7 (A 0 B 1 C 2 D 3 E 4 F 5 G 6)
    8 (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7)
    9 (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8)
    10 (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9)
    11 (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10)
    12 (A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7 I 8 J 9 K 10 L 11)
}

/// An item of an iterator of rows: a row, or a `Result` of one, whose error ends the statement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of a table function",
    label = "no row of a table function",
    note = "a row is a value that implements `ToSql`, a tuple of up to 12 of them, or a `Result` of one of these"
)]
pub trait TableItem {
    /// The row.
    type Row: TableRow;

    /// Returns the row.
    #[doc(hidden)]
    fn into_row(self) -> Result<Self::Row, CallbackError>;
}

impl<T: TableRow> TableItem for T {
    type Row = T;

    #[inline(always)]
    fn into_row(self) -> Result<T, CallbackError> {
        Ok(self)
    }
}

impl<T: TableRow, E: Into<CallbackError>> TableItem for Result<T, E> {
    type Row = T;

    #[inline(always)]
    fn into_row(self) -> Result<T, CallbackError> {
        self.map_err(Into::into)
    }
}

/// The rows of one call of a table function: an iterable of [items](TableItem) that borrows nothing, or a `Result` of one.
/// `M` is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the rows of a table function",
    label = "expected an iterable of rows, or a `Result` of one",
    note = "the iterator owns its data: `.collect::<Vec<_>>()`, and `move` closures"
)]
pub trait TableRows<M> {
    /// The iterator.
    type Iter: Iterator<Item: TableItem> + 'static;

    /// Returns the iterator.
    #[doc(hidden)]
    fn into_rows(self) -> Result<Self::Iter, CallbackError>;
}

/// Marker of rows that are an iterable.
#[derive(Debug)]
pub enum Iterated {}

/// Marker of rows that are a `Result` of an iterable.
#[derive(Debug)]
pub enum Fallible {}

impl<R: IntoIterator<Item: TableItem, IntoIter: 'static>> TableRows<Iterated> for R {
    type Iter = R::IntoIter;

    #[inline(always)]
    fn into_rows(self) -> Result<R::IntoIter, CallbackError> {
        Ok(self.into_iter())
    }
}

impl<R: IntoIterator<Item: TableItem, IntoIter: 'static>, E: Into<CallbackError>> TableRows<Fallible> for Result<R, E> {
    type Iter = R::IntoIter;

    #[inline(always)]
    fn into_rows(self) -> Result<R::IntoIter, CallbackError> {
        self.map(IntoIterator::into_iter).map_err(Into::into)
    }
}

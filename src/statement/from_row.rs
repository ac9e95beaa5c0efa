//! [`FromRow`]: types as which a row is read.

use super::row::Row;
use super::tuples::with_tuples;
use crate::convert::FromSql;
use crate::error::Result;

/// A type as which a whole row can be read.
///
/// Implemented for every [`FromSql`] type (one column) and for tuples of up to 16 columns. The row must have exactly as
/// many columns as the type reads. For a struct, it is derived (`#[derive(FromRow)]`, feature `derive`) or written by
/// hand.
///
/// # Example
///
/// ```
/// use finalite::{Connection, FromRow, Result, Row};
///
/// #[derive(Debug, PartialEq)]
/// struct User { id: i64, name: String }
///
/// impl FromRow<'_> for User {
///     fn from_row(row: Row<'_>) -> Result<Self> {
///         Ok(Self { id: row.get("id")?, name: row.get("name")? })
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let user: User = conn.query_one("SELECT 'Ada' AS name, 1 AS id", ())?;
/// assert_eq!(user, User { id: 1, name: "Ada".into() });
/// # Ok::<(), finalite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a row cannot be read as `{Self}`",
    label = "no type that a row is read as",
    note = "a row of one column is read as that column's type, one of several columns as a tuple of up to 16",
    note = "for a struct of your own, derive or implement `finalite::FromRow`, or read the row by a closure (`query_map`, \
            `query_row`)"
)]
pub trait FromRow<'row>: Sized {
    /// Returns the row as this type.
    ///
    /// # Errors
    ///
    /// The errors of reading the columns, or [`Error::external`](crate::Error::external).
    fn from_row(row: Row<'row>) -> Result<Self>;
}

impl<'row, T: FromSql<'row>> FromRow<'row> for T {
    #[inline]
    fn from_row(row: Row<'row>) -> Result<Self> {
        row.expect_columns(1)?;
        row.get(0)
    }
}

macro_rules! tuples {
    ($(($count:literal $($type:ident $column:tt)+))+) => {
        $(
            impl<'row, $($type: FromSql<'row>),+> FromRow<'row> for ($($type,)+) {
                #[inline]
                fn from_row(row: Row<'row>) -> Result<Self> {
                    row.expect_columns($count)?;
                    Ok(($(row.get::<$type>($column)?,)+))
                }
            }
        )+
    };
}

with_tuples!(tuples);

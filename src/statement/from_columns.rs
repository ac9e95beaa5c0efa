//! [`FromColumns`]: types that are read from some columns of a row, found by name once per statement.

use super::column_list::ColumnList;
use super::row::Row;
use crate::convert::FromSql;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::value::{ConversionError, ValueRef};

/// A type that is read from some of the columns of a row. `#[derive(FromRow)]` implements it, beside
/// [`FromRow`](crate::FromRow).
///
/// A field with `#[finalite(flatten)]` has such a type, or an `Option` of one, which is `None` if all of its columns are
/// NULL: the right side of a `LEFT JOIN` without a match.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from some columns of a row",
    label = "no struct with `#[derive(FromRow)]`",
    note = "a field with `#[finalite(flatten)]` is a struct with `#[derive(FromRow)]`, or an `Option` of one",
    note = "a field that is one column has no `flatten`"
)]
pub trait FromColumns<'row>: Sized {
    /// Number of columns.
    #[doc(hidden)]
    const COLUMNS: usize;

    /// The columns, if the type alone tells their names.
    #[doc(hidden)]
    const LIST: Option<&'static ColumnList> = None;

    /// Finds the columns.
    #[doc(hidden)]
    fn find(finder: &mut ColumnFinder<'_>) -> Result<()>;

    /// Reads the columns, in the order in which `find` finds them.
    #[doc(hidden)]
    fn read(cells: &mut Cells<'row>) -> Result<Self>;
}

impl<'row, T: FromColumns<'row>> FromColumns<'row> for Option<T> {
    const COLUMNS: usize = T::COLUMNS;

    fn find(finder: &mut ColumnFinder<'_>) -> Result<()> {
        T::find(finder)
    }

    fn read(cells: &mut Cells<'row>) -> Result<Self> {
        if cells.are_null(T::COLUMNS)? { Ok(None) } else { T::read(cells).map(Some) }
    }
}

/// Reads a row as `T`, whose columns are found in the first row and kept with the statement.
#[doc(hidden)]
#[inline(always)]
pub fn read_row<'row, T: FromColumns<'row>>(row: Row<'row>) -> Result<T> {
    let find: fn(&mut ColumnFinder<'_>) -> Result<()> = T::find;
    // Types whose functions have the same address find the same columns. The type itself has no `TypeId`, as it may
    // borrow.
    let key = find as usize;
    let columns = match row.plan(key) {
        Some(columns) => columns,
        None => row.add_plan(key, ColumnFinder::find_all(row, find, std::any::type_name::<T>())?),
    };
    T::read(&mut Cells { row, columns })
}

/// In place of a column's index: the row has no such column, and the field has a default value.
const ABSENT: u16 = u16::MAX;

/// Finds the columns of a type in the result of a statement.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "it lives within derived code")]
pub struct ColumnFinder<'a> {
    row: Row<'a>,
    names: &'a [Box<str>],
    /// The prefix of the names in the part that is being found.
    prefix: String,
    found: Vec<u16>,
    /// Number of columns that were found by position.
    positional: usize,
    ignores_extra: bool,
}

#[expect(clippy::missing_errors_doc, reason = "only derived code calls it")]
impl<'a> ColumnFinder<'a> {
    #[cold]
    #[inline(never)]
    fn find_all(row: Row<'a>, find: fn(&mut Self) -> Result<()>, rust_type: &'static str) -> Result<Box<[u16]>> {
        let names = row.names()?;
        let mut finder =
            ColumnFinder { row, names, prefix: String::new(), found: Vec::new(), positional: 0, ignores_extra: false };
        find(&mut finder)?;
        let is_read = |column: usize| finder.found.iter().any(|&found| usize::from(found) == column);
        match (0..names.len()).find(|&column| !is_read(column)) {
            Some(column) if !finder.ignores_extra => {
                let kind = ErrorKind::UnreadColumn { column, name: names[column].clone(), rust_type };
                Err(Error::new(kind).in_sql(row.sql()))
            }
            _ => Ok(finder.found.into()),
        }
    }

    /// Finds the column of this name.
    pub fn name(&mut self, name: &str) -> Result<()> {
        match self.index_of(name)? {
            Some(column) => self.push(column),
            None => Err(self.no_such(&[&self.prefix, name].concat())),
        }
    }

    /// Finds the column of this name, if there is one.
    pub fn optional_name(&mut self, name: &str) -> Result<()> {
        match self.index_of(name)? {
            Some(column) => self.push(column),
            None => {
                self.found.push(ABSENT);
                Ok(())
            }
        }
    }

    /// Finds the next column by position.
    pub fn position(&mut self) -> Result<()> {
        let column = self.positional;
        self.positional += 1;
        if column < self.names.len() { self.push(column) } else { Err(self.no_such(&column.to_string())) }
    }

    /// Finds the columns of a part of the type, whose names have this prefix.
    pub fn part(&mut self, prefix: &str, find: fn(&mut Self) -> Result<()>) -> Result<()> {
        let outer = self.prefix.len();
        self.prefix.push_str(prefix);
        find(self)?;
        self.prefix.truncate(outer);
        Ok(())
    }

    /// Leaves columns that nothing reads unread.
    pub fn ignore_extra(&mut self) {
        self.ignores_extra = true;
    }

    fn index_of(&self, name: &str) -> Result<Option<usize>> {
        let name = [&self.prefix, name].concat();
        let mut columns = (0..self.names.len()).filter(|&column| self.names[column].eq_ignore_ascii_case(&name));
        let first = columns.next();
        if let (Some(first), Some(second)) = (first, columns.next()) {
            let kind = ErrorKind::AmbiguousColumn { name: name.into(), first, second };
            return Err(Error::new(kind).in_sql(self.row.sql()));
        }
        Ok(first)
    }

    fn push(&mut self, column: usize) -> Result<()> {
        match u16::try_from(column) {
            Ok(index) if index != ABSENT => {
                self.found.push(index);
                Ok(())
            }
            // More columns than SQLite can be compiled for.
            _ => Err(self.no_such(&column.to_string())),
        }
    }

    fn no_such(&self, name: &str) -> Error {
        let kind = ErrorKind::NoSuch { what: NameKind::Column, name: name.into(), known: self.names.into() };
        Error::new(kind).in_sql(self.row.sql())
    }
}

/// A column that was found.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Found(u16);

/// The cells of a row that a type reads.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Cells<'row> {
    row: Row<'row>,
    columns: &'row [u16],
}

#[expect(clippy::missing_errors_doc, reason = "only derived code calls it")]
impl<'row> Cells<'row> {
    /// Returns the next columns.
    #[inline]
    pub fn take<const N: usize>(&mut self) -> Result<[Found; N]> {
        let Some((taken, rest)) = self.columns.split_first_chunk::<N>() else {
            return Err(Error::new(ErrorKind::Misuse { reason: "the type reads more columns than it has found" }));
        };
        self.columns = rest;
        Ok(taken.map(Found))
    }

    /// Reads a column.
    #[inline]
    pub fn get<T: FromSql<'row>>(&self, column: Found) -> Result<T> {
        self.row.cell(column.0, T::from_sql)
    }

    /// Reads a column by a function.
    #[inline]
    pub fn get_with<T>(
        &self,
        column: Found,
        read: impl FnOnce(ValueRef<'row>) -> Result<T, ConversionError>,
    ) -> Result<T> {
        self.row.cell(column.0, read)
    }

    /// Whether the row has the column.
    #[inline]
    pub fn has(&self, column: Found) -> bool {
        column.0 != ABSENT
    }

    /// Whether the next columns are all NULL or absent. If so, they are taken.
    fn are_null(&mut self, count: usize) -> Result<bool> {
        let Some((part, rest)) = self.columns.split_at_checked(count) else {
            return Ok(false);
        };
        for &column in part {
            if column != ABSENT && !matches!(self.row.value(usize::from(column))?, ValueRef::Null) {
                return Ok(false);
            }
        }
        self.columns = rest;
        Ok(true)
    }
}

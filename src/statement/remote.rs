//! Rows and parameters of statements that another engine runs, or another thread, for the crates of the workspace that speak to one.

use std::borrow::Cow;
use std::ops::Range;

use super::params::{Binder, Params, Target};
use super::row::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::Plans;
use crate::sql;
use crate::value::{RawParam, ValueRef};

/// A value that is bound to a parameter of another engine's statement.
#[derive(Clone, PartialEq)]
pub enum RemoteParam<'p> {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(Cow<'p, str>),
    /// BLOB.
    Blob(Cow<'p, [u8]>),
    /// A BLOB of this many zero bytes.
    ZeroBlob(u64),
}

impl<'p> From<RawParam<'p>> for RemoteParam<'p> {
    fn from(param: RawParam<'p>) -> Self {
        match param {
            RawParam::Null => Self::Null,
            RawParam::Integer(value) => Self::Integer(value),
            RawParam::Real(value) => Self::Real(value),
            RawParam::Text(text) => Self::Text(text.into()),
            RawParam::Blob(bytes) => Self::Blob(bytes.into()),
            RawParam::ZeroBlob(bytes) => Self::ZeroBlob(bytes),
        }
    }
}

impl std::fmt::Debug for RemoteParam<'_> {
    /// Shows the type and no value, which may be confidential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "NULL",
            Self::Integer(_) => "INTEGER",
            Self::Real(_) => "REAL",
            Self::Text(_) => "TEXT",
            Self::Blob(_) | Self::ZeroBlob(_) => "BLOB",
        })
    }
}

/// The parameters of an SQL text, as SQLite numbers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteParameters {
    names: Box<[Option<Box<str>>]>,
    in_use: Box<[bool]>,
}

impl RemoteParameters {
    /// Reads the parameters from SQL that need not be valid.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        Self { names: sql::parameter_names(sql).into(), in_use: sql::numbers_in_use(sql).into() }
    }

    /// Returns the parameters of a statement of which the number is known. If the text has another number, nothing but
    /// the number is kept.
    #[must_use]
    pub fn counted(sql: &str, count: usize) -> Self {
        let read = Self::of(sql);
        if read.count() == count {
            return read;
        }
        Self { names: vec![None; count].into(), in_use: vec![true; count].into() }
    }

    /// Returns the number of parameters.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Returns one value for each parameter, in order.
    ///
    /// # Errors
    ///
    /// Those of [`Params::bind`]; [`ErrorKind::Misuse`] for a list ([`array()`](crate::array())), which only a local
    /// statement reads.
    pub fn bind<'p>(&self, sql: &str, params: impl Params<'p>) -> Result<Vec<RemoteParam<'p>>> {
        let mut binder = Binder::on(Target::Collected(Box::new(Collected::new(sql, self))));
        params.bind(&mut binder)?;
        Ok(match binder.finish_target()? {
            Target::Collected(collected) => collected.values,
            Target::Statement(_) => Vec::new(),
        })
    }
}

/// The values of a set of parameters, as they are collected.
pub(super) struct Collected<'a, 'p> {
    sql: &'a str,
    parameters: &'a RemoteParameters,
    values: Vec<RemoteParam<'p>>,
    marks: Vec<bool>,
}

impl<'a, 'p> Collected<'a, 'p> {
    fn new(sql: &'a str, parameters: &'a RemoteParameters) -> Self {
        let values = vec![RemoteParam::Null; parameters.count()];
        Self { sql, parameters, values, marks: Vec::new() }
    }

    pub(super) fn sql(&self) -> &'a str {
        self.sql
    }

    pub(super) fn names(&self) -> &'a [Option<Box<str>>] {
        &self.parameters.names
    }

    pub(super) fn in_use(&self) -> &'a [bool] {
        &self.parameters.in_use
    }

    /// Stores the value of a parameter, 1-based.
    pub(super) fn set(&mut self, index: usize, value: RemoteParam<'p>) -> Result<()> {
        match index.checked_sub(1).and_then(|place| self.values.get_mut(place)) {
            Some(place) => *place = value,
            None => return Err(self.misuse("there is no such parameter")),
        }
        Ok(())
    }

    /// Returns the error for a list.
    #[cold]
    pub(super) fn no_list(&self) -> Error {
        self.misuse("a list is read by the local SQLite alone: bind its values one by one")
    }

    #[cold]
    fn misuse(&self, reason: &'static str) -> Error {
        Error::new(ErrorKind::Misuse { reason }).in_sql(self.sql)
    }

    pub(super) fn clear_marks(&mut self) {
        self.marks.clear();
        self.marks.resize(self.values.len(), false);
    }

    /// 1-based, in range.
    pub(super) fn mark(&mut self, index: usize) {
        self.marks[index - 1] = true;
    }

    /// 1-based, in range.
    pub(super) fn is_marked(&self, index: usize) -> bool {
        self.marks[index - 1]
    }
}

/// One cell of a [`RemoteRow`]. Text and bytes are ranges of its buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteCell {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(Range<usize>),
    /// BLOB.
    Blob(Range<usize>),
}

/// The current row of a statement that another engine or another thread runs, and the buffer that it is in.
#[derive(Default)]
pub struct RemoteRow {
    sql: Box<str>,
    names: Box<[Box<str>]>,
    /// Valid for these names.
    plans: Plans,
    buffer: Vec<u8>,
    cells: Vec<RemoteCell>,
}

impl RemoteRow {
    /// Creates a row without columns.
    #[must_use]
    pub fn new(sql: impl Into<Box<str>>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }

    /// Sets the names of the columns. The columns that types have found are kept if the names are the same.
    pub fn set_names<'n>(&mut self, names: impl Iterator<Item = &'n str> + Clone) {
        if !self.names.iter().map(|name| &**name).eq(names.clone()) {
            self.names = names.map(Box::from).collect();
            self.plans = Plans::default();
        }
    }

    /// Replaces the buffer, and returns the one before. There is no row afterwards.
    pub fn set_buffer(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        self.cells.clear();
        std::mem::replace(&mut self.buffer, buffer)
    }

    /// Returns the buffer, and the cells to fill.
    pub fn parts(&mut self) -> (&[u8], &mut Vec<RemoteCell>) {
        (&self.buffer, &mut self.cells)
    }

    /// Returns the buffer.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Returns the row.
    #[must_use]
    pub fn row(&self) -> Row<'_> {
        Row::of_remote(self)
    }

    /// Returns the names of the columns.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn column_count(&self) -> usize {
        self.cells.len()
    }

    #[inline]
    pub(super) fn value(&self, column: usize) -> Option<ValueRef<'_>> {
        Some(match self.cells.get(column)? {
            RemoteCell::Null => ValueRef::Null,
            RemoteCell::Integer(value) => ValueRef::Integer(*value),
            RemoteCell::Real(value) => ValueRef::Real(*value),
            RemoteCell::Text(range) => ValueRef::Text(self.buffer.get(range.clone())?),
            RemoteCell::Blob(range) => ValueRef::Blob(self.buffer.get(range.clone())?),
        })
    }

    pub(super) fn plan(&self, key: usize) -> Option<&[u16]> {
        self.plans.get(key)
    }

    pub(super) fn add_plan(&self, key: usize, columns: Box<[u16]>) -> &[u16] {
        self.plans.add(key, columns)
    }
}

impl std::fmt::Debug for RemoteRow {
    /// Shows the names of the columns and no values, which may be confidential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteRow").field("columns", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromRow, Value, named_params_from_iter};

    fn bind<'p>(sql: &str, params: impl Params<'p>) -> Result<Vec<RemoteParam<'p>>> {
        RemoteParameters::of(sql).bind(sql, params)
    }

    #[test]
    fn each_parameter_has_one_value() {
        let text = String::from("lent");
        let values = bind("SELECT ?, ?, ?, ?", (1, &text, None::<f64>, vec![1_u8])).unwrap();
        let expected = [
            RemoteParam::Integer(1),
            RemoteParam::Text("lent".into()),
            RemoteParam::Null,
            RemoteParam::Blob(vec![1].into()),
        ];
        assert_eq!(values, expected);
        assert!(matches!(values[1], RemoteParam::Text(Cow::Borrowed(_))), "not copied");
        for sql in ["SELECT ?, ?", "SELECT 1", "SELECT ?, ?, ?, ?, ?"] {
            let error = bind(sql, (1, 2, 3)).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ParameterCount { .. }), "{error}");
        }
        assert_eq!(RemoteParameters::counted("SELECT ?", 3).count(), 3);
    }

    #[test]
    fn names_find_their_parameters() {
        let set = [(":b", 2), (":a", 1)];
        let values = bind("SELECT :a, :b, :a", named_params_from_iter(set)).unwrap();
        assert_eq!(values, [RemoteParam::Integer(1), RemoteParam::Integer(2)]);
        let error = bind("SELECT :a, :c", named_params_from_iter(set)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoSuch { .. }), "{error}");
        let error = bind("SELECT :a, :b, :c", named_params_from_iter(set)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterUnset { .. }), "{error}");
        // Number 1 is left out.
        let values = bind("SELECT ?2", [("?2", 7)]).unwrap();
        assert_eq!(values, [RemoteParam::Null, RemoteParam::Integer(7)]);
    }

    #[test]
    fn a_list_is_an_error() {
        let error = bind("SELECT * FROM list(?)", (crate::array(&[1, 2]),)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    }

    #[test]
    fn a_row_is_read_from_its_buffer() {
        let mut remote = RemoteRow::new("SELECT id, name FROM user");
        remote.set_names(["id", "name", "none"].into_iter());
        remote.set_buffer(b"..Ada..".to_vec());
        remote.parts().1.extend([RemoteCell::Integer(7), RemoteCell::Text(2..5), RemoteCell::Null]);
        let row = remote.row();
        assert_eq!(row.column_count(), 3);
        assert_eq!(row.get::<&str>("NAME").unwrap(), "Ada");
        assert_eq!(row.column_name(2).unwrap(), "none");
        let read = <(u8, String, Option<i64>)>::from_row(row).unwrap();
        assert_eq!(read, (7, "Ada".to_owned(), None));
        let error = row.get::<i64>(1).unwrap_err();
        assert_eq!(error.sql(), Some("SELECT id, name FROM user"));
        assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 1, .. }), "{error}");
        assert!(matches!(row.get::<Value>(3).unwrap_err().kind(), ErrorKind::NoSuch { .. }));
        assert!(<(i64, String)>::from_row(row).is_err());

        // A range beyond the buffer is no value.
        remote.parts().1[1] = RemoteCell::Text(5..9);
        assert!(remote.row().value(1).is_err());
    }

    #[test]
    fn plans_last_as_long_as_the_names() {
        let mut remote = RemoteRow::default();
        remote.set_names(["a"].into_iter());
        remote.add_plan(1, Box::new([0]));
        remote.set_names(["a"].into_iter());
        assert_eq!(remote.plan(1), Some(&[0][..]));
        remote.set_names(["b"].into_iter());
        assert_eq!(remote.plan(1), None);
    }
}

//! Tables over slices of structs.

use std::marker::PhantomData;

use super::positions::{plan_positions, positions};
use super::{
    CallbackError, CellCall, Declared, FilterCall, IndexQuery, TableCall, TableCursor, TableDefinition, TableKind,
    VirtualTable,
};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::quote_identifier;
use crate::statement::to_columns::{ToColumns, names_of};

impl Connection {
    /// Makes a slice of structs a table: each field is a column, and the rowid is the index plus 1. Nothing is copied:
    /// the table reads the structs in place.
    ///
    /// The struct has `#[derive(Params)]` (feature `derive`). `rows` is a `Vec`, an `Arc<[T]>`, a `&'static [T]` or
    /// anything else that is a slice. It is dropped when the module is [removed](Self::remove_module) or replaced and its
    /// last statement has ended, or with the connection.
    ///
    /// The table is not written, and belongs to no database: it is there under its name, like a table function.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a struct of which two parts have the same column, or that has none; and as
    /// [`create_module`](Self::create_module), by which it is registered.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "derive")] {
    /// use finalite::{Connection, Params};
    ///
    /// #[derive(Params)]
    /// struct City { name: &'static str, people: Option<i64> }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let cities = vec![City { name: "Oslo", people: Some(717_710) }, City { name: "Ys", people: None }];
    /// conn.create_slice_table("cities", cities)?;
    /// let sql = "SELECT rowid, name FROM cities WHERE people IS NULL";
    /// assert_eq!(conn.query_one::<(i64, String)>(sql, ())?, (2, "Ys".into()));
    /// # }
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [Eponymous-only virtual tables](https://sqlite.org/vtab.html#eponymous_only_virtual_tables)
    #[track_caller]
    pub fn create_slice_table<T, R>(&self, name: &str, rows: R) -> Result<()>
    where
        T: ToColumns + 'static,
        R: AsRef<[T]> + Send + 'static,
    {
        let names = names_of::<T>();
        let is_twice = |at: &usize| names[..*at].iter().any(|name| name.eq_ignore_ascii_case(&names[*at]));
        if names.is_empty() || (1..names.len()).any(|at| is_twice(&at)) {
            let reason = "the struct of a table has no column, or two columns of the same name";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        self.create_module::<SliceTable<T, R>>(name, rows)
    }
}

/// The table over a slice.
struct SliceTable<T, R>(PhantomData<fn() -> (T, R)>);

struct SliceCursor<'t, T> {
    rows: &'t [T],
    /// Rows that are still to be visited, the current one first.
    left: std::ops::Range<usize>,
}

impl<T: ToColumns + 'static, R: AsRef<[T]> + Send + 'static> VirtualTable for SliceTable<T, R> {
    type Shared = R;
    type Cursor<'t> = SliceCursor<'t, T>;

    const KIND: TableKind = TableKind::EponymousOnly;

    fn connect(_: &R, _: &TableDefinition<'_>) -> std::result::Result<Declared<Self>, CallbackError> {
        let columns: Vec<String> = names_of::<T>().iter().map(|name| quote_identifier(name)).collect();
        Ok(Declared::new(format!("CREATE TABLE x({})", columns.join(", ")), Self(PhantomData)))
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> std::result::Result<(), CallbackError> {
        plan_positions(query)
    }

    fn open<'t>(&'t self, rows: &'t R) -> std::result::Result<SliceCursor<'t, T>, CallbackError> {
        Ok(SliceCursor { rows: rows.as_ref(), left: 0..0 })
    }
}

impl<T: ToColumns> TableCursor for SliceCursor<'_, T> {
    fn filter(&mut self, call: &FilterCall<'_>) -> std::result::Result<bool, CallbackError> {
        self.left = positions(call, self.rows.len());
        Ok(!self.left.is_empty())
    }

    #[inline(always)]
    fn next(&mut self, _: &TableCall<'_>) -> std::result::Result<bool, CallbackError> {
        self.left.start += 1;
        Ok(self.left.start < self.left.end)
    }

    #[inline(always)]
    fn column(&self, column: usize, cell: &CellCall<'_>) -> std::result::Result<(), CallbackError> {
        match self.rows.get(self.left.start) {
            Some(row) => cell.set_param(row.value(column)),
            None => Ok(()),
        }
    }

    fn rowid(&self) -> std::result::Result<i64, CallbackError> {
        Ok(i64::try_from(self.left.start)?.saturating_add(1))
    }
}

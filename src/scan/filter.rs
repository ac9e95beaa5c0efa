//! Conditions on the columns of a table.

use std::fmt;

use super::Scan;
use crate::error::Result;
use crate::sql::quote_identifier;
use crate::statement::params::{Binder, Params};
use crate::value::{Relation, Value};

/// The table of a scan that takes [filters](Scan::filter), and their values. From
/// [`TableScan::select`](super::TableScan::select).
#[derive(Clone)]
pub struct ScannedTable {
    /// As SQL.
    pub(super) name: String,
    pub(super) filters: Vec<Value>,
}

/// The values of the filters.
impl<'p> Params<'p> for ScannedTable {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.filters.into_iter().try_for_each(|value| binder.push(value))
    }
}

/// Shows no value.
impl fmt::Debug for ScannedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScannedTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<E> Scan<'_, ScannedTable, E> {
    /// Reads only rows whose value in this column is in this relation to another value. With several filters, rows meet
    /// all of them. The column need not be selected.
    ///
    /// The condition is evaluated on a row's record before any value is copied, if the rows come from pages: see
    /// [`Scan::plan`]. SQLite evaluates it where it has an index for it, whose order the rows then have, and where
    /// values have to be converted between text and number. Filters on the rowid, or the `INTEGER PRIMARY KEY`, limit the
    /// pages that are read, except in [partitions](Self::partitions), whose pages are those of their ranges.
    ///
    /// The values are bound as parameters, and appear in no error and no log.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    /// use finalite::scan::Relation;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch(
    ///     "CREATE TABLE city(name TEXT, people INTEGER, river TEXT);
    ///      INSERT INTO city VALUES ('Bonn', 330000, 'Rhein'), ('Ulm', 129000, 'Donau'), ('Rom', 2700000, NULL);",
    /// )?;
    /// let cities = conn
    ///     .scan_table("city")
    ///     .select(["name"])
    ///     .filter("people", Relation::Greater, 200_000)
    ///     .filter("river", Relation::IsNot, None::<&str>)
    ///     .columns()?;
    /// assert_eq!(cities.column("name")?.as_str()?.iter().collect::<Vec<_>>(), [Some("Bonn")]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn filter(mut self, column: &str, relation: Relation, value: impl Into<Value>) -> Self {
        let sql = self.sql.to_mut();
        if self.known.is_empty() {
            let all_rows = sql.strip_suffix(NOT_INDEXED).map_or(sql.len(), str::len);
            sql.truncate(all_rows);
        }
        let joint = if self.known.is_empty() { "WHERE" } else { "AND" };
        let (table, column, operator) = (&self.params.name, quote_identifier(column), relation.operator());
        sql.push_str(&format!(" {joint} {table}.{column} {operator} ?"));
        let value = value.into();
        self.known.push(value.clone());
        self.params.filters.push(value);
        self
    }
}

/// End of the SQL of a table scan without filters: an index that has all columns would return the rows in another order.
pub(super) const NOT_INDEXED: &str = " NOT INDEXED";

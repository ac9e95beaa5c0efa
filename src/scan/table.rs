//! Scan of a table by its name.

use std::fmt;
use std::panic::Location;

use super::Scan;
use super::filter::{NOT_INDEXED, ScannedTable};
use crate::Connection;
use crate::sql::quote_identifier;

/// A table whose columns have not been chosen yet. From [`Connection::scan_table`].
#[must_use = "a table scan does nothing until its rows are requested"]
pub struct TableScan<'a> {
    conn: &'a Connection,
    table: &'a str,
    site: &'static Location<'static>,
}

impl Connection {
    /// Prepares a scan of a whole table, without SQL. Call [`select`](TableScan::select) or
    /// [`all_columns`](TableScan::all_columns) next.
    ///
    /// The name is that of a table, or `database.table`. The part before the first dot is the name of a database if the
    /// connection has one of that name (`main`, `temp`, or an attached one).
    ///
    /// [`Scan::filter`] then limits the rows.
    ///
    /// The rows are in rowid order; those of a table without rowids are in the order of its primary key, or of an index
    /// that has all columns that are read. They come from pages if that is possible, which is several times as fast as
    /// running a statement. SQLite runs a statement for a table of a few rows, and returns the first rows of a table of
    /// which nothing is known yet. What a scan of a larger table finds out is kept with the statement, which is cached
    /// from the second scan on: see [`Scan::strategy`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE city(name TEXT, people INTEGER); INSERT INTO city VALUES ('Ulm', 129000);")?;
    /// let batch = conn.scan_table("city").select(["people"]).columns()?;
    /// assert_eq!(batch.column("people")?.as_i64()?, [129_000]);
    ///
    /// conn.execute_batch("ATTACH ':memory:' AS other; CREATE TABLE other.city AS SELECT 'Bonn' AS name;")?;
    /// let batch = conn.scan_table("other.city").all_columns().columns()?;
    /// assert_eq!(batch.column("name")?.as_str()?.get(0), Some("Bonn"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn scan_table<'a>(&'a self, table: &'a str) -> TableScan<'a> {
        TableScan { conn: self, table, site: Location::caller() }
    }
}

impl<'a> TableScan<'a> {
    /// Reads these columns, in this order. `rowid` may be one of them.
    pub fn select<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Scan<'a, ScannedTable> {
        let table = self.conn.quoted_table(self.table);
        // Qualified by the table, an unknown name in quotes is an error, and not a string literal.
        let columns: Vec<String> =
            names.into_iter().map(|name| format!("{table}.{}", quote_identifier(name.as_ref()))).collect();
        self.scan_of(&columns.join(", "))
    }

    /// Reads all columns, as `SELECT *` does.
    pub fn all_columns(self) -> Scan<'a, ScannedTable> {
        self.scan_of("*")
    }

    fn scan_of(self, columns: &str) -> Scan<'a, ScannedTable> {
        let name = self.conn.quoted_table(self.table);
        let sql = ["SELECT ", columns, " FROM ", &name, NOT_INDEXED].concat();
        let scan = Scan::new(self.conn, sql.into(), ScannedTable { name, filters: Vec::new() }, self.site);
        Scan { table: Some(self.table), strategy: None, ..scan }
    }
}

impl fmt::Debug for TableScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableScan").field("table", &self.table).finish_non_exhaustive()
    }
}

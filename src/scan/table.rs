//! A scan of a table by its name.

use std::fmt;
use std::panic::Location;

use super::Scan;
use crate::Connection;
use crate::sql::quote_identifier;

/// A table, of which columns are still to be chosen. From [`Connection::scan_table`].
#[must_use = "choose columns, and then what is done with the rows"]
pub struct TableScan<'a> {
    conn: &'a Connection,
    table: &'a str,
    site: &'static Location<'static>,
}

impl Connection {
    /// Begins a scan of a whole table, without SQL: choose [`columns`](TableScan::columns) or take
    /// [`all_columns`](TableScan::all_columns).
    ///
    /// The rows come in the order of the rowid. Where the table qualifies they come from its pages, which is several
    /// times as fast as running a statement; SQLite runs one for a table of a few rows on one page. That is found out
    /// at the first scan, and remembered with the cached statement: see [`Scan::path`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE city(name TEXT, people INTEGER); INSERT INTO city VALUES ('Ulm', 129000);")?;
    /// let batch = conn.scan_table("city").columns(["people"]).columns()?;
    /// assert_eq!(batch.column("people")?.as_i64()?, [129_000]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn scan_table<'a>(&'a self, table: &'a str) -> TableScan<'a> {
        TableScan { conn: self, table, site: Location::caller() }
    }
}

impl<'a> TableScan<'a> {
    /// Reads these columns, in this order. `rowid` is one, too.
    pub fn columns<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Scan<'a, ()> {
        let table = quote_identifier(self.table);
        // With the table before it, a name in quotes that is no column's is not taken for a text.
        let columns: Vec<String> =
            names.into_iter().map(|name| format!("{table}.{}", quote_identifier(name.as_ref()))).collect();
        self.select(&columns.join(", "))
    }

    /// Reads all columns, as `SELECT *` does.
    pub fn all_columns(self) -> Scan<'a, ()> {
        self.select("*")
    }

    fn select(self, columns: &str) -> Scan<'a, ()> {
        // An index that has all the columns would give another order.
        let sql = format!("SELECT {columns} FROM {} NOT INDEXED", quote_identifier(self.table));
        Scan { path: None, ..Scan::new(self.conn, sql.into(), (), self.site) }
    }
}

impl fmt::Debug for TableScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableScan").field("table", &self.table).finish_non_exhaustive()
    }
}

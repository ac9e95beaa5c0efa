//! SQL that reads the rest of a table from a given row on.

use crate::Connection;
use crate::btree::cells::ColumnSource;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::quote_identifier;

/// A table and the wanted columns, as SQL.
pub(super) struct Names {
    columns: String,
    table: String,
    rowid: String,
}

impl Names {
    /// Looks up the names, which the page reader itself does not need. The columns get the names of the scan's result.
    pub(super) fn find(
        conn: &Connection,
        database: &str,
        root: u32,
        sources: &[ColumnSource],
        called: &[Box<str>],
    ) -> Result<Self> {
        let unknown = || Error::new(ErrorKind::Misuse { reason: "the scanned table no longer exists" });
        let quoted = quote_identifier(database);
        let table = if root == 1 {
            "sqlite_schema".to_owned()
        } else {
            let sql = format!("SELECT name FROM {quoted}.sqlite_schema WHERE rootpage = ? AND type = 'table'");
            conn.prepare(&sql)?.query_optional::<String>((root,))?.ok_or_else(unknown)?
        };
        // Columns computed on read (virtual generated columns) have no place in a record.
        let columns = conn
            .prepare("SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden <> 2 ORDER BY cid")?
            .query_all::<String>((&*table, database))?;
        let is_column = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        let rowid = ["rowid", "_rowid_", "oid"]
            .into_iter()
            .find(|name| !is_column(name))
            .ok_or_else(|| Error::new(ErrorKind::Misuse { reason: "columns have taken all names of the rowid" }))?;
        let table = format!("{quoted}.{}", quote_identifier(&table));
        // Qualified by the table, an unknown name is an error, and not a string literal.
        let name = |source: &ColumnSource| match *source {
            ColumnSource::Rowid => Some(format!("{table}.{rowid}")),
            ColumnSource::Stored { place, .. } => {
                columns.get(place).map(|name| format!("{table}.{}", quote_identifier(name)))
            }
        };
        let columns = sources
            .iter()
            .zip(called)
            .map(|(source, called)| Some(format!("{} AS {}", name(source)?, quote_identifier(called))))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(unknown)?;
        Ok(Self { columns: columns.join(", "), table, rowid: rowid.to_owned() })
    }

    /// Returns the schema version of a database.
    pub(super) fn schema_version(conn: &Connection, database: &str) -> Result<u32> {
        conn.prepare(&format!("PRAGMA {}.schema_version", quote_identifier(database)))?.query_one(())
    }

    /// Returns a `SELECT` of the rows after a row, or from that row on.
    pub(super) fn select_rest(&self, is_from_it_on: bool) -> String {
        let Self { columns, table, rowid } = self;
        let comparison = if is_from_it_on { ">=" } else { ">" };
        format!(
            "SELECT {columns} FROM {table} NOT INDEXED WHERE {table}.{rowid} {comparison} ? ORDER BY {table}.{rowid}"
        )
    }
}

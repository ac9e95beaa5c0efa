//! The SQL for the rest of a table that is scanned, from a row on.

use super::cells::Want;
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::quote_identifier;

/// A table and the columns that are wanted of it, in SQL.
pub(super) struct Names {
    columns: String,
    table: String,
    rowid: String,
}

impl Names {
    /// Looks the names up, which a scan does without. The columns are called as in its result.
    pub(super) fn find(
        conn: &Connection,
        database: &str,
        root: u32,
        wants: &[Want],
        called: &[Box<str>],
    ) -> Result<Self> {
        let unknown = || Error::new(ErrorKind::Misuse { reason: "the table that is scanned is gone" });
        let quoted = quote_identifier(database);
        let table = if root == 1 {
            "sqlite_schema".to_owned()
        } else {
            let sql = format!("SELECT name FROM {quoted}.sqlite_schema WHERE rootpage = ? AND type = 'table'");
            conn.prepare(&sql)?.query_optional::<String>((root,))?.ok_or_else(unknown)?
        };
        // Columns that are computed when they are read have no place in a record.
        let columns = conn
            .prepare("SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden <> 2 ORDER BY cid")?
            .query_all::<String>((&*table, database))?;
        let is_column = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !is_column(name)).ok_or_else(|| {
            Error::new(ErrorKind::Misuse { reason: "the rowid of the table that is scanned has no name left" })
        })?;
        let table = format!("{quoted}.{}", quote_identifier(&table));
        // With the table before it, a name that is no column's is not taken for a text.
        let name = |want: &Want| match *want {
            Want::Rowid => Some(format!("{table}.{rowid}")),
            Want::Stored { place, .. } => columns.get(place).map(|name| format!("{table}.{}", quote_identifier(name))),
        };
        let columns = wants
            .iter()
            .zip(called)
            .map(|(want, called)| Some(format!("{} AS {}", name(want)?, quote_identifier(called))))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(unknown)?;
        Ok(Self { columns: columns.join(", "), table, rowid: rowid.to_owned() })
    }

    /// The number of changes of a database's schema.
    pub(super) fn schema_version(conn: &Connection, database: &str) -> Result<u32> {
        conn.prepare(&format!("PRAGMA {}.schema_version", quote_identifier(database)))?.query_one(())
    }

    /// What comes after a row, or from it on.
    pub(super) fn select_rest(&self, is_from_it_on: bool) -> String {
        let Self { columns, table, rowid } = self;
        let comparison = if is_from_it_on { ">=" } else { ">" };
        format!(
            "SELECT {columns} FROM {table} NOT INDEXED WHERE {table}.{rowid} {comparison} ? ORDER BY {table}.{rowid}"
        )
    }
}

//! [`TypedColumn`]: declared types that a node takes for an order to convert.

use finalite::FromRow;

use crate::connection::Connection;
use crate::error::Result;

/// A column that is declared as DATE, DATETIME, TIMESTAMP or BOOLEAN, in a table that is not `STRICT`.
///
/// A node converts what is read from such a column by the declaration. It ends if the value has another type than it expects
/// (a REAL, a text that is no date: dqlite's issue 733), and it sends NULL as an empty text or as 0 (issue 882). A column
/// without a type, with another type, or in a `STRICT` table, which has no such types, is exact. So is `+column` or
/// `CAST(column AS TEXT)` in place of `column`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Its type as declared.
    pub declared: String,
}

impl FromRow<'_> for TypedColumn {
    fn from_row(row: finalite::Row<'_>) -> finalite::Result<Self> {
        Ok(Self { table: row.get(0)?, column: row.get(1)?, declared: row.get(2)? })
    }
}

pub(crate) fn find(conn: &Connection) -> Result<Vec<TypedColumn>> {
    conn.query_all(SQL, ())
}

/// `table_info` has no generated columns.
const SQL: &str = "SELECT m.name, p.name, p.type FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS p
     WHERE m.type IN ('table', 'view') AND upper(p.type) IN ('DATE', 'DATETIME', 'TIMESTAMP', 'BOOLEAN')
     ORDER BY m.name, p.cid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_columns_are_found() {
        let conn = finalite::Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE g(a, d DATETIME GENERATED ALWAYS AS (a + 0.5), e Boolean AS (a) STORED, f DATE);
             CREATE TABLE s(a TEXT) STRICT;",
        )
        .unwrap();
        let found: Vec<TypedColumn> = conn.query_all(SQL, ()).unwrap();
        let found: Vec<_> = found.iter().map(|typed| (&*typed.column, &*typed.declared)).collect();
        assert_eq!(found, [("d", "DATETIME"), ("e", "Boolean"), ("f", "DATE")]);
    }
}

//! Changesets as SQL text.

use super::apply::table_columns;
use super::{Change, Changeset};
use crate::Connection;
use crate::error::{ChangesetObstacle, Error, ErrorKind, Result};
use crate::raw::hook::Operation;
use crate::sql::{quote_identifier, quote_literal};
use crate::value::ValueRef;

impl Changeset {
    /// Returns SQL statements that make the changes, one in a line: to be read, logged or run by another program. The
    /// changeset has no names of columns; they are those of the tables of the connection's main database.
    ///
    /// The statements contain the values. Rows are chosen by their primary key alone, so they make each change without a
    /// look at conflicts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ChangesetTable`] if a table is missing, or has fewer columns; [`ErrorKind::MalformedChangeset`];
    /// errors of reading the schema.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name)", ())?;
    /// let mut session = conn.session()?;
    /// session.attach("t")?;
    /// conn.execute("INSERT INTO t VALUES (1, 'O''Hara')", ())?;
    /// let sql = session.changeset()?.to_sql(&conn)?;
    /// assert_eq!(sql, "INSERT INTO \"t\"(\"id\", \"name\") VALUES (1, 'O''Hara');\n");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn to_sql(&self, conn: &Connection) -> Result<String> {
        let mut sql = String::new();
        let mut changes = self.changes()?;
        let (mut table, mut names) = (None::<String>, Vec::new());
        while let Some(change) = changes.next()? {
            if table.as_deref() != Some(change.table()) {
                table = Some(change.table().to_owned());
                names = column_names(conn, &change)?;
            }
            sql += &statement(&change, &names)?;
            sql += ";\n";
        }
        Ok(sql)
    }
}

/// Returns the names of the columns of a change, quoted.
fn column_names(conn: &Connection, change: &Change<'_>) -> Result<Vec<String>> {
    let obstacle = |obstacle| Error::new(ErrorKind::ChangesetTable { table: change.table().into(), obstacle });
    let columns = table_columns(conn, change.table())?;
    if columns.is_empty() {
        return Err(obstacle(ChangesetObstacle::NoSuchTable));
    }
    if columns.len() < change.column_count() {
        return Err(obstacle(ChangesetObstacle::Columns { table: columns.len(), changeset: change.column_count() }));
    }
    Ok(columns.into_iter().map(|column| column.name).take(change.column_count()).collect())
}

fn statement(change: &Change<'_>, names: &[String]) -> Result<String> {
    let table = quote_identifier(change.table());
    Ok(match change.operation() {
        Operation::Insert => {
            let values: Result<Vec<String>> = (0..names.len())
                .map(|column| Ok(quote_literal(change.new_value(column)?.unwrap_or(ValueRef::Null))))
                .collect();
            format!("INSERT INTO {table}({}) VALUES ({})", names.join(", "), values?.join(", "))
        }
        Operation::Delete => format!("DELETE FROM {table} WHERE {}", key(change, names)?),
        Operation::Update => {
            let mut assignments = Vec::new();
            for (column, name) in names.iter().enumerate() {
                if let Some(value) = change.new_value(column)? {
                    assignments.push(format!("{name} = {}", quote_literal(value)));
                }
            }
            format!("UPDATE {table} SET {} WHERE {}", assignments.join(", "), key(change, names)?)
        }
    })
}

/// Returns the condition that chooses the row.
fn key(change: &Change<'_>, names: &[String]) -> Result<String> {
    let mut conditions = Vec::new();
    for column in change.primary_key()? {
        let Some(name) = names.get(column) else {
            continue;
        };
        conditions.push(match change.old_value(column)? {
            None | Some(ValueRef::Null) => format!("{name} IS NULL"),
            Some(value) => format!("{name} = {}", quote_literal(value)),
        });
    }
    Ok(conditions.join(" AND "))
}

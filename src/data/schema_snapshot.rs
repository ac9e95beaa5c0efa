//! The schema of a database as text.

use super::migrations;
use crate::Connection;
use crate::error::Result;

impl Connection {
    /// Returns the schema of the main database as a script: each table with its indexes and triggers, in the order of
    /// names, then views. The text depends on nothing else, so that a program can keep it in a file, for review, and
    /// compare it in a test. Internal tables of SQLite, those that a virtual table creates for itself, and
    /// `finalite_migrations` are left out.
    ///
    /// # Errors
    ///
    /// Those of reading the schema.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(b, a UNIQUE); CREATE VIEW v AS SELECT a FROM t; CREATE INDEX i ON t(b)")?;
    /// assert_eq!(
    ///     conn.schema_snapshot()?,
    ///     "CREATE TABLE t(b, a UNIQUE);\nCREATE INDEX i ON t(b);\n\nCREATE VIEW v AS SELECT a FROM t;\n"
    /// );
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [the schema table](https://sqlite.org/schematab.html)
    pub fn schema_snapshot(&self) -> Result<String> {
        // `tbl_name` of an index or a trigger is its table or view.
        let sql = "
            WITH listed AS (SELECT name, type FROM pragma_table_list WHERE schema = 'main')
            SELECT s.type IN ('table', 'view'), s.sql
            FROM main.sqlite_schema s LEFT JOIN listed l ON l.name = s.tbl_name
            WHERE s.sql IS NOT NULL AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                AND s.tbl_name <> ? AND l.type IS NOT 'shadow'
            ORDER BY l.type IS 'view', s.tbl_name,
                CASE s.type WHEN 'table' THEN 0 WHEN 'view' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, s.name";
        let mut text = String::new();
        for row in self.query_as::<(bool, String)>(sql, (migrations::TABLE,))? {
            let (is_first, sql) = row?;
            if is_first && !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&sql);
            text.push_str(";\n");
        }
        Ok(text)
    }
}

//! A check of migrations without a database.

use super::{MigrationProblem, Migrations, to_u32};
use crate::Connection;
use crate::error::Result;

impl Migrations {
    /// Applies all migrations to an empty database in memory; takes them back as far as they have scripts down, comparing
    /// the schema ([`schema_snapshot`](Connection::schema_snapshot)); and applies those again. For a test.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration) for one that fails, or whose script down leaves another
    /// schema than the one before.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::data::{Migration, Migrations};
    ///
    /// let migrations = Migrations::new([
    ///     Migration::new("users", "CREATE TABLE users(name TEXT); CREATE INDEX by_name ON users(name)")
    ///         .down("DROP INDEX by_name"),
    /// ]);
    /// let error = migrations.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "migration 1 (users): its script down does not restore the schema");
    /// ```
    pub fn validate(&self) -> Result<()> {
        let conn = Connection::open_in_memory()?;
        let mut schemas = vec![conn.schema_snapshot()?];
        for version in 1..=self.len() {
            self.migrate_to(&conn, to_u32(version))?;
            schemas.push(conn.schema_snapshot()?);
        }
        for version in (1..=self.len()).rev() {
            let Some(migration) = self.get(version - 1).filter(|migration| migration.down.is_some()) else {
                break;
            };
            self.migrate_to(&conn, to_u32(version - 1))?;
            if conn.schema_snapshot()? != schemas[version - 1] {
                return Err(migration.problem(version, MigrationProblem::NotRestored));
            }
        }
        self.migrate(&conn)?;
        conn.close()
    }
}

//! Foreign keys during migrations: off, and checked before each commit.

use std::collections::HashMap;

use super::MigrationProblem;
use crate::error::{Error, ErrorKind, Result};
use crate::track::shielded;
use crate::{Connection, ForeignKeyViolation};

/// Turns foreign keys off, and on again when it is dropped, if they were on.
pub(super) struct ForeignKeysOff<'conn> {
    conn: &'conn Connection,
    was_on: bool,
}

impl<'conn> ForeignKeysOff<'conn> {
    /// Within a transaction, SQLite would ignore the pragma.
    pub(super) fn set(conn: &'conn Connection) -> Result<Self> {
        if !conn.is_autocommit() {
            return Err(Error::new(ErrorKind::Misuse { reason: "migrations begin transactions, and one is open" }));
        }
        let was_on = conn.pragma("foreign_keys")?;
        if was_on {
            conn.set_pragma("foreign_keys", false)?;
        }
        Ok(Self { conn, was_on })
    }

    /// Returns the violations that are in the database now; none are looked for where foreign keys were off.
    pub(super) fn violations(&self) -> Result<Violations> {
        let found = self.was_on.then(|| find(self.conn)).transpose()?;
        Ok(Violations(found))
    }
}

impl Drop for ForeignKeysOff<'_> {
    fn drop(&mut self) {
        if !self.was_on {
            return;
        }
        // A deadline does not apply, and no panic is resumed here.
        let _cleanup = self.conn.db().begin_cleanup();
        if let Err(error) = self.conn.set_pragma("foreign_keys", true) {
            shielded(|| {
                let (connection, name) = self.conn.identity();
                tracing::error!(target: "finalite::migration", %error, connection, name, "foreign keys stay off");
            });
        }
    }
}

/// Table, rowid and the table that is referred to, of a row that violates a foreign key.
type Key = (String, Option<i64>, String);

/// Violations, with their number: the rows of a table `WITHOUT ROWID` cannot be told apart.
type Found = HashMap<Key, usize>;

/// Violations before a migration; `None` if they are not looked for.
pub(super) struct Violations(Option<Found>);

impl Violations {
    pub(super) fn unknown() -> Self {
        Self(None)
    }

    /// Returns an error if there are more than before, and remembers those there are.
    pub(super) fn compare(&mut self, conn: &Connection) -> Result<(), MigrationProblem> {
        let Some(before) = &mut self.0 else {
            return Ok(());
        };
        let now = find(conn).map_err(MigrationProblem::Failed)?;
        let new =
            |(key, count): (&Key, &usize)| count.checked_sub(before.get(key).copied().unwrap_or(0)).filter(|&n| n > 0);
        let violations = now.iter().filter_map(new).sum();
        let first = now.iter().filter(|&entry| new(entry).is_some()).map(|(key, _)| key).min();
        if let Some((table, _, parent)) = first {
            let (table, parent) = (table.as_str().into(), parent.as_str().into());
            return Err(MigrationProblem::ForeignKeys { violations, table, parent });
        }
        *before = now;
        Ok(())
    }
}

fn find(conn: &Connection) -> Result<Found> {
    let mut found = Found::new();
    for violation in conn.foreign_key_check(None)? {
        let ForeignKeyViolation { table, rowid, parent, .. } = violation?;
        *found.entry((table, rowid, parent)).or_default() += 1;
    }
    Ok(found)
}

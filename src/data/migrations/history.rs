//! Record of the migrations that were applied to a database: its `user_version`, and the table of checksums.

use super::{MigrationProblem, Migrations, to_u32};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};

pub(in crate::data) const TABLE: &str = "finalite_migrations";

/// State of a database, read within one transaction where it matters.
pub(super) struct History {
    /// Number of migrations that were applied.
    pub(super) version: usize,
    /// The `user_version`, which may be none of ours.
    user_version: i64,
    /// Versions with the checksums of their scripts, in order.
    recorded: Vec<(i64, String)>,
}

impl History {
    /// Reads the state, which other connections may be changing, as of one moment.
    pub(super) fn look(conn: &Connection) -> Result<Self> {
        if !conn.is_autocommit() {
            return Self::read(conn);
        }
        let tx = conn.unchecked_transaction()?;
        let history = Self::read(&tx)?;
        tx.rollback()?;
        Ok(history)
    }

    /// Reads the state, within a transaction.
    pub(super) fn read(conn: &Connection) -> Result<Self> {
        let user_version = conn.query_one("PRAGMA main.user_version", ())?;
        let sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?";
        let recorded = if conn.exists(sql, (TABLE,))? {
            conn.query_all(&format!("SELECT version, checksum FROM main.{TABLE} ORDER BY version"), ())?
        } else {
            Vec::new()
        };
        Ok(Self { version: usize::try_from(user_version).unwrap_or(0), user_version, recorded })
    }

    /// Compares the state with what the program knows. Returns the version.
    pub(super) fn check(&self, migrations: &Migrations) -> Result<usize> {
        let (version, known) = (self.user_version, migrations.len());
        if !usize::try_from(version).is_ok_and(|version| version <= known) {
            return Err(Error::new(ErrorKind::NewerDatabase { version, known: to_u32(known) }));
        }
        if let Some(&(recorded, _)) = self.recorded.last().filter(|(recorded, _)| *recorded > version) {
            return Err(Error::new(ErrorKind::MigrationHistory { version, recorded }));
        }
        for (version, applied) in &self.recorded {
            let version = usize::try_from(*version).unwrap_or(0);
            let Some(migration) = version.checked_sub(1).and_then(|index| migrations.get(index)) else {
                continue;
            };
            let current = checksum(migration.up);
            if *applied != current {
                let problem = MigrationProblem::Changed { applied: applied.as_str().into(), current: current.into() };
                return Err(migration.problem(version, problem));
            }
        }
        Ok(self.version)
    }

    /// Whether each migration that was applied has its row.
    pub(super) fn is_complete(&self) -> bool {
        (1..).zip(&self.recorded).take_while(|(version, (recorded, _))| version == recorded).count() == self.version
            && self.recorded.len() == self.version
    }

    /// Stores the version, with a row for each migration up to it, and none beyond.
    pub(super) fn record(&mut self, conn: &Connection, migrations: &Migrations) -> Result<()> {
        conn.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS main.{TABLE}(version INTEGER PRIMARY KEY, name TEXT NOT NULL,
                 checksum TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
             PRAGMA main.user_version = {}",
            self.version
        ))?;
        self.user_version = i64::try_from(self.version).unwrap_or(i64::MAX);
        conn.execute(&format!("DELETE FROM main.{TABLE} WHERE version > ? OR version < 1"), (self.user_version,))?;
        self.recorded.retain(|(version, _)| (1..=self.user_version).contains(version));
        for (version, migration) in (1_i64..).zip(migrations.iter()).take(self.version) {
            if self.recorded.iter().any(|(recorded, _)| *recorded == version) {
                continue;
            }
            let checksum = checksum(migration.up);
            let sql = format!("INSERT INTO main.{TABLE}(version, name, checksum) VALUES (?, ?, ?)");
            conn.execute(&sql, (version, migration.name(), &checksum))?;
            self.recorded.push((version, checksum));
        }
        self.recorded.sort();
        Ok(())
    }
}

/// Returns the checksum of a script: FNV-1a of 64 bits. Line endings, and blanks at the end, do not count: they differ
/// between checkouts of one file.
pub(super) fn checksum(script: &str) -> String {
    let bytes = script.trim_end().bytes().zip(script.bytes().skip(1).map(Some).chain([None]));
    let bytes = bytes.filter(|&(byte, next)| !(byte == b'\r' && next == Some(b'\n'))).map(|(byte, _)| byte);
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_ignore_line_endings_and_the_end() {
        // The value for an empty text, and that for `a`, are those of the algorithm's authors.
        assert_eq!((&*checksum(""), &*checksum("a")), ("cbf29ce484222325", "af63dc4c8601ec8c"));
        for same in ["a\nb", "a\r\nb", "a\nb\n", "a\r\nb\r\n \t\n"] {
            assert_eq!(checksum(same), checksum("a\nb"), "{same:?}");
        }
        for other in ["a b", "\na\nb", "a\n\nb", "a\rb", "a\nB", " a\nb"] {
            assert_ne!(checksum(other), checksum("a\nb"), "{other:?}");
        }
    }
}

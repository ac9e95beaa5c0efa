//! [`MigrationProblem`]: reasons for which a migration is not applied.

use super::{Error, SqlPosition};

/// Reason for which a migration cannot be applied or taken back: see [`Migrations`](crate::data::Migrations).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationProblem {
    /// A statement of its script failed, or its function returned an error.
    #[error("{0}")]
    Failed(Error),
    /// Its script is not the one that was applied to the database.
    #[error("its script has changed since it was applied to this database (checksum {applied}, now {current})")]
    #[non_exhaustive]
    Changed {
        /// Checksum of the script that was applied.
        applied: Box<str>,
        /// Checksum of the script as it is now.
        current: Box<str>,
    },
    /// Rows violate foreign keys after it that did not before.
    #[error("after it, {violations} row{} of {table} or others lack the row of {parent} that they refer to",
        if *violations == 1 { "" } else { "s" })]
    #[non_exhaustive]
    ForeignKeys {
        /// Number of violations that it adds.
        violations: usize,
        /// Table of one of the rows.
        table: Box<str>,
        /// Table that this row refers to.
        parent: Box<str>,
    },
    /// It cannot be taken back.
    #[error("it has no script down")]
    NoDown,
    /// Its script begins or ends a transaction.
    #[error("{keyword} at line {line}, column {column}: each migration is a transaction of its own")]
    #[non_exhaustive]
    TransactionControl {
        /// Keyword of the statement.
        keyword: &'static str,
        /// 1-based line of the statement.
        line: usize,
        /// 1-based column of the statement, in characters.
        column: usize,
    },
    /// The schema after its script down is not the schema before the migration:
    /// [`Migrations::validate`](crate::data::Migrations::validate).
    #[error("its script down does not restore the schema")]
    NotRestored,
}

impl MigrationProblem {
    /// Returns the error of its SQL.
    pub(super) fn error(&self) -> Option<&Error> {
        if let Self::Failed(error) = self { Some(error) } else { None }
    }

    pub(super) fn position(&self) -> Option<SqlPosition> {
        match *self {
            Self::Failed(ref error) => error.position(),
            Self::TransactionControl { line, column, .. } => Some(SqlPosition { line, column }),
            _ => None,
        }
    }
}

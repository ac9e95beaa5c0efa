//! [`Constraint`]: a failed constraint, read from SQLite's message.

use super::ResultCode;

/// The kind of a failed constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConstraintKind {
    /// A UNIQUE constraint or a unique index.
    Unique,
    /// A PRIMARY KEY constraint, or the uniqueness of the rowid.
    PrimaryKey,
    /// A NOT NULL constraint.
    NotNull,
    /// A CHECK constraint.
    Check,
    /// A FOREIGN KEY constraint.
    ForeignKey,
    /// The declared type of a column in a STRICT table.
    DataType,
    /// `RAISE` in a trigger.
    Trigger,
    /// Any other constraint: of a commit hook, a function or a virtual table.
    Other,
}

/// A failed constraint, as far as SQLite's message describes it.
#[derive(Clone, Copy, Debug)]
pub struct Constraint<'a> {
    pub(super) code: ResultCode,
    pub(super) message: &'a str,
}

impl<'a> Constraint<'a> {
    /// Returns the kind of the constraint.
    #[must_use]
    pub fn kind(self) -> ConstraintKind {
        match self.code {
            ResultCode::CONSTRAINT_UNIQUE => ConstraintKind::Unique,
            ResultCode::CONSTRAINT_PRIMARYKEY | ResultCode::CONSTRAINT_ROWID => ConstraintKind::PrimaryKey,
            ResultCode::CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
            ResultCode::CONSTRAINT_CHECK => ConstraintKind::Check,
            ResultCode::CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
            ResultCode::CONSTRAINT_DATATYPE => ConstraintKind::DataType,
            ResultCode::CONSTRAINT_TRIGGER => ConstraintKind::Trigger,
            _ => ConstraintKind::Other,
        }
    }

    /// Returns the name in SQLite's message: the columns (`users.email`), the name or expression of the CHECK, or the
    /// index. `None` for a foreign key, for which SQLite reports no name, and for `RAISE` in a trigger.
    #[must_use]
    pub fn target(self) -> Option<&'a str> {
        match self.kind() {
            // The message of RAISE is arbitrary text.
            ConstraintKind::Trigger => None,
            // "cannot store TEXT value in INTEGER column t.a"
            ConstraintKind::DataType => self.message.rsplit_once(" column ").map(|(_, column)| column),
            _ => self.message.split_once("constraint failed: ").map(|(_, target)| target),
        }
    }

    /// Returns the table and the column of each column concerned. Empty if SQLite's message names no columns.
    pub fn columns(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names_columns = match self.kind() {
            // For an index on an expression, SQLite reports the name of the index.
            ConstraintKind::Unique => !self.target().is_some_and(|target| target.starts_with("index '")),
            ConstraintKind::PrimaryKey | ConstraintKind::NotNull | ConstraintKind::DataType => true,
            _ => false,
        };
        let target = self.target().filter(|_| names_columns).unwrap_or_default();
        target.split(", ").filter_map(|column| column.split_once('.'))
    }
}

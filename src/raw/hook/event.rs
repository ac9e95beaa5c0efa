//! Events that SQLite reports to closures. Names are borrowed from SQLite for the time of the call.

use std::ffi::c_int;
use std::time::Duration;

use super::trace::Traced;
use crate::raw::ffi;

/// Kind of a change of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A row was inserted.
    Insert,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
}

impl Operation {
    /// Returns the operation of SQLite's number.
    pub(in crate::raw) fn of(number: c_int) -> Self {
        match number {
            ffi::SQLITE_INSERT => Self::Insert,
            ffi::SQLITE_DELETE => Self::Delete,
            _ => Self::Update,
        }
    }
}

/// A row that was changed, from [`Connection::on_update`](crate::Connection::on_update).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update<'a> {
    /// Name of the database: `main`, `temp`, or that of an attached one.
    pub database: &'a str,
    /// Name of the table.
    pub table: &'a str,
    /// Rowid of the row; after an update that changes it, the new one.
    pub rowid: i64,
    /// Kind of the change.
    pub operation: Operation,
}

/// A commit in WAL mode, from [`Connection::on_wal`](crate::Connection::on_wal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WalCommit<'a> {
    /// Name of the database: `main`, or that of an attached one.
    pub database: &'a str,
    /// Number of pages in the write-ahead log.
    pub pages: u32,
}

/// Free pages that a commit may remove, from
/// [`Connection::on_autovacuum_pages`](crate::Connection::on_autovacuum_pages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AutovacuumPages<'a> {
    /// Name of the database: `main`, or that of an attached one.
    pub database: &'a str,
    /// Number of pages of the database file.
    pub pages: u32,
    /// Number of free pages.
    pub free_pages: u32,
    /// Size of a page in bytes.
    pub page_bytes: u32,
}

/// Kinds of trace events to receive: a set, built from its constants by [`with`](Self::with).
///
/// C: [SQL Trace Event Codes](https://sqlite.org/c3ref/c_trace.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct TraceEvents(pub(super) u32);

impl TraceEvents {
    /// A statement, or a trigger of it, begins: [`TraceEvent::Statement`].
    pub const STATEMENT: Self = Self(1);
    /// A statement has ended: [`TraceEvent::Profile`].
    pub const PROFILE: Self = Self(2);
    /// A statement returns a row: [`TraceEvent::Row`].
    pub const ROW: Self = Self(4);
    /// The connection closes: [`TraceEvent::Close`].
    pub const CLOSE: Self = Self(8);
    /// All events.
    pub const ALL: Self = Self(15);

    /// Returns the events of both sets.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set has all events of another.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An event of [`Connection::on_trace`](crate::Connection::on_trace).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TraceEvent<'a> {
    /// A statement begins, or a trigger within a statement.
    #[non_exhaustive]
    Statement {
        /// The statement.
        statement: Traced<'a>,
        /// The SQL that begins: that of the statement, or after `-- ` that of a step of a trigger or of a statement
        /// that SQLite runs within another; or `-- TRIGGER` with the name of a trigger.
        text: &'a str,
    },
    /// A statement has ended.
    #[non_exhaustive]
    Profile {
        /// The statement.
        statement: Traced<'a>,
        /// Time since its first step, as SQLite measures it: on most systems, in whole milliseconds.
        duration: Duration,
    },
    /// A statement returns a row.
    #[non_exhaustive]
    Row {
        /// The statement.
        statement: Traced<'a>,
    },
    /// The connection closes.
    Close,
}

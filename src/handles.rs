//! What is alive: connections, statements, rows, transactions, counted in the whole process.
//!
//! The counters are always on. They tell finalite's handles only; rusqlite's in the same process do not count.
//!
//! # Example
//!
//! ```
//! use finalite::{Connection, handles};
//!
//! let before = handles::counts();
//! let conn = Connection::open_in_memory()?;
//! let statement = conn.prepare("SELECT 1")?;
//! let during = handles::counts();
//! assert_eq!(during.connections - before.connections, 1);
//! assert_eq!(during.statements - before.statements, 1);
//! drop(statement);
//! drop(conn);
//! assert_eq!(handles::counts(), before);
//! # Ok::<(), finalite::Error>(())
//! ```

use std::fmt;

use crate::raw::{Kind, counts};

/// Numbers of handles, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandleCounts {
    /// [`Connection`](crate::Connection)s.
    pub connections: u64,
    /// [`Statement`](crate::Statement)s.
    pub statements: u64,
    /// Statements of the connections' caches, kept or lent out as a [`CachedStatement`](crate::CachedStatement).
    pub cached_statements: u64,
    /// Executions: [`Rows`](crate::Rows) and what stands on them.
    pub rows: u64,
    /// [`Transaction`](crate::Transaction)s.
    pub transactions: u64,
    /// [`Savepoint`](crate::Savepoint)s.
    pub savepoints: u64,
}

impl HandleCounts {
    fn collect(count: impl Fn(Kind) -> u64) -> Self {
        Self {
            connections: count(Kind::Connection),
            statements: count(Kind::Statement),
            cached_statements: count(Kind::CachedStatement),
            rows: count(Kind::Rows),
            transactions: count(Kind::Transaction),
            savepoints: count(Kind::Savepoint),
        }
    }

    /// Each kind's name, as the field is called, and its number.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("connections", self.connections),
            ("statements", self.statements),
            ("cached_statements", self.cached_statements),
            ("rows", self.rows),
            ("transactions", self.transactions),
            ("savepoints", self.savepoints),
        ]
        .into_iter()
    }

    /// The sum over all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_kind().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for HandleCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (kind, count)) in self.by_kind().enumerate() {
            write!(f, "{}{kind} {count}", if n > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// The handles alive now, in the whole process. Exact as long as no other thread opens or closes any meanwhile.
#[must_use]
pub fn counts() -> HandleCounts {
    HandleCounts::collect(|kind| {
        // Closed first: a handle opened and closed in between must not count as minus one.
        let closed = counts::closed_total(kind);
        counts::opened_total(kind).saturating_sub(closed)
    })
}

/// The handles opened since the process began.
#[must_use]
pub fn opened() -> HandleCounts {
    HandleCounts::collect(counts::opened_total)
}

/// The handles that were forgotten (`mem::forget`) since the process began, and found and ended by finalite: when
/// their statement was used next, when the next transaction began, or when the connection closed.
#[must_use]
pub fn forgotten() -> HandleCounts {
    HandleCounts::collect(counts::forgotten_total)
}

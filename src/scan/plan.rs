//! Plan of a scan: its strategy, and the reason for it.

use std::fmt;

use crate::pages::PageRows;

/// Reasons why SQLite runs the statement.
pub(super) const NOT_ASKED: &str = "the page reader was not requested: see `Scan::strategy` and `scan_table`";
pub(super) const UNTRUSTED: &str = "the database was opened as untrusted: SQLite alone decodes it";
pub(super) const NO_ROWS: &str = "the limit is 0 rows";
pub(super) const WRITTEN: &str = "the connection wrote while its pages were read";

impl ScanPlan {
    pub(super) fn by_statement(reason: &'static str) -> Self {
        Self { strategy: ScanStrategy::Statement, threads: 1, reason }
    }

    pub(super) fn by_pages(threads: usize, pages: &PageRows<'_>) -> Self {
        let reason = match (pages.is_of_index(), pages.has_condition()) {
            (false, false) => "it is a plain scan of a table",
            (false, true) => "it is a scan of a table with a condition",
            (true, false) => "it is a plain scan of an index, or of a table without rowids",
            (true, true) => "it is a scan of an index, or of a table without rowids, with a condition",
        };
        Self { strategy: ScanStrategy::Pages, threads, reason }
    }

    pub(super) fn by_ranges(threads: usize, strategy: ScanStrategy) -> Self {
        let reason = "ranges of rowids are read by connections that see one snapshot";
        Self { strategy, threads, reason }
    }
}

/// Leaves the remaining rows to the statement, after this number of rows. Logs the reason in detail, if the page reader
/// was asked for.
pub(super) fn leave(
    plan: &mut Option<ScanPlan>,
    sql: &str,
    rows: u64,
    reason: &'static str,
    detail: &dyn fmt::Display,
) {
    if reason != NOT_ASKED {
        tracing::debug!(target: "finalite::scan", sql, rows, reason = %detail, "continued by the statement");
    }
    *plan = Some(ScanPlan::by_statement(reason));
}

/// Strategy of a scan. From [`Scan::plan`](super::Scan::plan) before it, and from [`Scan::on_end`](super::Scan::on_end)
/// after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanPlan {
    /// Source of the rows; after the scan, source of the last of them. With several ranges, it is
    /// [`Statement`](ScanStrategy::Statement) if a statement has read rows of one of them.
    pub strategy: ScanStrategy,
    /// Maximum number of threads that decode columns, see [`Scan::threads`](super::Scan::threads), or number of threads
    /// that read ranges, see [`Scan::partitions`](super::Scan::partitions).
    pub threads: usize,
    /// Reason for the strategy.
    pub reason: &'static str,
}

/// Source of the rows of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanStrategy {
    /// SQLite's own execution of the statement, step by step.
    Statement,
    /// Pages of the table, or of an index that has all columns that are read, decoded under the lock and the snapshot
    /// that SQLite holds.
    Pages,
}

impl fmt::Display for ScanPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strategy = match self.strategy {
            ScanStrategy::Statement => "by running the statement",
            ScanStrategy::Pages => "by reading the table's pages",
        };
        write!(f, "{strategy}")?;
        if self.threads > 1 {
            write!(f, ", with {} threads", self.threads)?;
        }
        write!(f, ": {}", self.reason)
    }
}

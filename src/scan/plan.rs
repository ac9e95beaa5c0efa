//! How a scan is run, and why so.

use std::fmt;

/// Reasons why SQLite runs the statement.
pub(super) const NOT_ASKED: &str = "nobody asked for the page reader: see `Scan::strategy` and `scan_table`";
pub(super) const NO_ROWS: &str = "no rows are asked for";
pub(super) const WRITTEN: &str = "the connection wrote while its pages were read";

impl ScanPlan {
    pub(super) fn by_statement(reason: &'static str) -> Self {
        Self { strategy: ScanStrategy::Statement, threads: 1, reason }
    }

    pub(super) fn by_pages(threads: usize) -> Self {
        Self { strategy: ScanStrategy::Pages, threads, reason: "it is a scan of a table, and no more" }
    }
}

/// After so many rows, what comes next is left to the statement. It is told where the pages were asked for, in detail.
pub(super) fn leave(
    plan: &mut Option<ScanPlan>,
    sql: &str,
    rows: u64,
    reason: &'static str,
    detail: &dyn fmt::Display,
) {
    if reason != NOT_ASKED {
        tracing::debug!(target: "finalite::scan", sql, rows, reason = %detail, "left to the statement");
    }
    *plan = Some(ScanPlan::by_statement(reason));
}

/// How a scan is run. From [`Scan::plan`](super::Scan::plan) before, and [`Scan::on_end`](super::Scan::on_end) after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanPlan {
    /// What yields the rows; after the scan, the last of them.
    pub strategy: ScanStrategy,
    /// How many threads decode, at most, where the rows are made columns. See [`Scan::threads`](super::Scan::threads).
    pub threads: usize,
    /// Why it does.
    pub reason: &'static str,
}

/// What yields the rows of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanStrategy {
    /// SQLite's own execution of the statement, step by step.
    Statement,
    /// The pages of the table, decoded under the lock and the snapshot that SQLite holds.
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

//! Plan of an insertion: its strategy, and the reason for it.

use std::fmt;
use std::ops::ControlFlow;

use crate::Connection;
use crate::error::Result;

/// Number of rows from which one statement for all rows is faster, its examination included.
const ROWS_MIN: usize = 500;

/// Strategy of an insertion. From [`InsertOptions::plan`](super::InsertOptions::plan) before it, and from
/// [`InsertOptions::on_end`](super::InsertOptions::on_end) after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InsertPlan {
    /// The strategy.
    pub strategy: InsertStrategy,
    /// Reason for the strategy.
    pub reason: &'static str,
}

/// The statements of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InsertStrategy {
    /// One statement for all rows, or for all up to the next call of a progress closure, which reads the columns.
    Columns,
    /// A kept statement that is run for each row, with its values as parameters.
    Rows,
}

impl InsertPlan {
    pub(super) fn by_columns() -> Self {
        Self { strategy: InsertStrategy::Columns, reason: "one statement reads the columns where they are" }
    }

    pub(super) fn is_by_columns(&self) -> bool {
        self.strategy == InsertStrategy::Columns
    }

    pub(super) fn by_rows(reason: &'static str) -> Self {
        Self { strategy: InsertStrategy::Rows, reason }
    }

    /// Returns the plan as far as the statement does not matter.
    pub(super) fn in_advance(strategy: Option<InsertStrategy>, columns: usize, rows: usize) -> Option<Self> {
        match strategy {
            Some(InsertStrategy::Rows) => Some(Self::by_rows("it was requested: see `InsertOptions::strategy`")),
            _ if columns == 0 => Some(Self::by_rows("there are no columns")),
            None if rows < ROWS_MIN => Some(Self::by_rows("so few rows are as fast, each by itself")),
            _ => None,
        }
    }

    /// Returns the plan for a statement that reads this many columns, by its bytecode.
    pub(super) fn of(conn: &Connection, sql: &str, columns: usize) -> Result<Self> {
        let (mut read, mut has_programs, mut is_copied, mut is_checked) = (0, false, false, false);
        conn.read_bytecode(sql, &[], |instruction| {
            match instruction.code {
                "VColumn" => read += 1,
                "Program" => has_programs = true,
                "OpenEphemeral" | "OpenAutoindex" | "SorterOpen" => is_copied = true,
                // P1 says that the constraint is deferred, to the commit. A negative P2 counts violations that a new row
                // ends.
                "FkCounter" => is_checked |= instruction.p1 == 0 && instruction.p2 > 0,
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        })?;
        Ok(if has_programs {
            Self::by_rows("a trigger, or an action of a foreign key, runs for each row")
        } else if is_copied {
            Self::by_rows("SQLite would copy the columns into a temporary table first")
        } else if is_checked {
            Self::by_rows("a foreign key is checked after each row, and after one statement would name none")
        } else if read != columns {
            Self::by_rows("an authorizer hides the columns")
        } else {
            Self::by_columns()
        })
    }
}

impl fmt::Display for InsertPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strategy = match self.strategy {
            InsertStrategy::Columns => "by columns",
            InsertStrategy::Rows => "row by row",
        };
        write!(f, "{strategy}: {}", self.reason)
    }
}

//! Results of earlier scans of a statement, kept with it: whether it is a plain scan of a table, and whether the table
//! is so small that SQLite is as fast.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::program::Program;
use crate::Connection;
use crate::btree::tree;
use crate::error::Result;
use crate::raw::storage::Storage;
use crate::statement::Rows;

/// Number of rows on one page up to which SQLite is as fast as the page reader, whose preparation takes time.
pub(super) const SMALL_ROWS: usize = 40;

/// Results kept with the statement until it is re-prepared.
#[derive(Default)]
pub(super) struct Findings {
    program: OnceCell<Option<Arc<Program>>>,
    small: Cell<Option<SmallTable>>,
}

/// A table that was small at the last scan.
#[derive(Clone, Copy)]
struct SmallTable {
    /// Version of the database at that time.
    data_version: u32,
    /// The page that held all rows; `None` if there were no rows.
    page: Option<Page>,
}

#[derive(Clone, Copy)]
struct Page {
    number: u32,
    bytes: usize,
}

impl Findings {
    pub(super) fn of<'rows>(rows: &'rows Rows<'_>) -> &'rows Self {
        rows.current_raw().findings()
    }

    /// Returns the scan of a table that the statement is; `None` if it is not one. Before the first step of the statement
    /// it may be that of a newer schema: see [`Program::schema_version`]. SQLite then prepares the statement again at
    /// that step, which removes it.
    pub(super) fn program(&self, conn: &Connection, sql: &str) -> Result<Option<Arc<Program>>> {
        if self.program.get().is_none() {
            // If `EXPLAIN` fails, the statement can still be run, and a later attempt may succeed.
            let program = Program::of(conn, sql)?;
            // Still unset here: the `EXPLAIN` is another statement.
            let _ = self.program.set(program.map(Arc::new));
        }
        Ok(self.program.get().cloned().flatten())
    }

    /// Whether an earlier `EXPLAIN` showed that the statement is not a plain scan.
    pub(super) fn is_known_not_plain(&self) -> bool {
        matches!(self.program.get(), Some(None))
    }

    pub(super) fn was_small(&self) -> bool {
        self.small.get().is_some()
    }

    /// Whether the table is still small according to the database file. With a write-ahead log the file may be out of
    /// date.
    pub(super) fn is_still_small(&self, storage: Storage<'_>) -> bool {
        let (Some(small), Some(data_version)) = (self.small.get(), storage.data_version()) else {
            return false;
        };
        if small.data_version == data_version {
            return true;
        }
        self.small.set(None);
        let Some(page) = small.page else {
            return false;
        };
        let mut head = [0; tree::HEAD_BYTES];
        let offset = tree::head_in_file(page.number, page.bytes);
        let cells = storage.read(offset, &mut head).ok().and_then(|_| tree::leaf_cells(head));
        let is_small = cells.is_some_and(|cells| usize::from(cells) <= SMALL_ROWS);
        if is_small {
            self.small.set(Some(SmallTable { data_version, page: small.page }));
        }
        is_small
    }

    pub(super) fn set_empty(&self, storage: Storage<'_>) {
        self.set_small(storage, None);
    }

    pub(super) fn set_on_page(&self, storage: Storage<'_>, number: u32, bytes: usize) {
        self.set_small(storage, Some(Page { number, bytes }));
    }

    fn set_small(&self, storage: Storage<'_>, page: Option<Page>) {
        self.small.set(storage.data_version().map(|data_version| SmallTable { data_version, page }));
    }

    /// Records that the table is not small.
    pub(super) fn set_large(&self) {
        self.small.set(None);
    }
}

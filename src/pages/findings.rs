//! What scans of a statement have found out about it, and the next one need not ask again: whether SQLite would do no
//! more than scan a table, and whether that is so small that SQLite is as fast.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::program::Program;
use super::tree;
use crate::Connection;
use crate::raw::storage::Storage;
use crate::rows::Rows;

/// Up to so many rows on one page, SQLite is as fast as the page reader is with all that it looks at before it begins.
pub(super) const SMALL_ROWS: usize = 40;

/// Kept with the statement until it is prepared anew.
#[derive(Default)]
pub(super) struct Findings {
    program: OnceCell<Option<Arc<Program>>>,
    small: Cell<Option<Small>>,
}

/// The table was small.
#[derive(Clone, Copy)]
struct Small {
    /// As of this version of the database.
    data_version: u32,
    /// The page that had all of its rows; `None` if it had no rows.
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

    /// What SQLite would do for the statement, which stands on a row; `None` if that is not a plain scan.
    pub(super) fn program(&self, conn: &Connection, sql: &str) -> Option<Arc<Program>> {
        if self.program.get().is_none() {
            // Whatever is wrong with explaining it, the statement can be run, and another time it may be known.
            let program = Program::of(conn, sql).ok()?;
            // It is not there yet: the `EXPLAIN` is another statement.
            self.program.set(program.map(Arc::new)).ok()?;
        }
        self.program.get()?.clone()
    }

    /// Whether that was the answer last time.
    pub(super) fn is_known_not_plain(&self) -> bool {
        matches!(self.program.get(), Some(None))
    }

    pub(super) fn was_small(&self) -> bool {
        self.small.get().is_some()
    }

    /// Whether the table is as small as it was, by what the file tells: with a write-ahead log that may be of before.
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
            self.small.set(Some(Small { data_version, page: small.page }));
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
        self.small.set(storage.data_version().map(|data_version| Small { data_version, page }));
    }

    /// It has turned out not to be.
    pub(super) fn set_large(&self) {
        self.small.set(None);
    }
}

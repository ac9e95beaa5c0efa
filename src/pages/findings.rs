//! Results of earlier scans of a statement, kept with it: whether it is a plain scan of a table, and whether the table
//! is so small that SQLite is as fast.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::program::Program;
use crate::Connection;
use crate::btree::tree;
use crate::error::Result;
use crate::raw::storage::Storage;
use crate::statement::Rows;
use crate::value::Value;

/// Number of rows on one page up to which SQLite is as fast as the page reader, whose preparation takes time.
pub(crate) const SMALL_ROWS: usize = 40;

/// Results kept with the statement until it is re-prepared.
#[derive(Default)]
pub(super) struct Findings {
    program: RefCell<Option<KnownProgram>>,
    small: Cell<Option<SmallTable>>,
}

/// The scan of a table that a statement is, for these values of its parameters; `None` if it is not one.
struct KnownProgram {
    values: Box<[Value]>,
    program: Option<Arc<Program>>,
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

    /// Returns the scan of a table that the statement is, for these values of its parameters; `None` if it is not one.
    /// Before the first step of the statement it may be that of a newer schema: see [`Program::schema_version`]. SQLite
    /// then prepares the statement again at that step, which removes it.
    pub(super) fn program(&self, conn: &Connection, sql: &str, values: &[Value]) -> Result<Option<Arc<Program>>> {
        if let Some(known) = self.known(values) {
            return Ok(known);
        }
        // If `EXPLAIN` fails, the statement can still be run, and a later attempt may succeed.
        let program = Program::of(conn, sql, values)?.map(Arc::new);
        *self.program.borrow_mut() = Some(KnownProgram { values: values.into(), program: program.clone() });
        Ok(program)
    }

    fn known(&self, values: &[Value]) -> Option<Option<Arc<Program>>> {
        let known = self.program.borrow();
        known.as_ref().filter(|known| *known.values == *values).map(|known| known.program.clone())
    }

    /// Whether an earlier `EXPLAIN` showed that the statement is not a scan of a table for these values.
    pub(super) fn is_known_not_plain(&self, values: &[Value]) -> bool {
        self.known(values) == Some(None)
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

//! Results of earlier scans of a statement, kept with it: whether it is a plain scan of a table, and whether the table
//! is so small that SQLite is as fast.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::program::Program;
use super::{SMALL, SMALL_RANGE, Threshold};
use crate::Connection;
use crate::btree::tree;
use crate::error::Result;
use crate::raw::Db;
use crate::raw::storage::Storage;
use crate::statement::Rows;
use crate::value::Value;

/// Number of rows on one page up to which SQLite is as fast as the page reader, whose preparation takes time.
pub(crate) const SMALL_ROWS: usize = 40;

/// Number of rows of a range of rowids up to which SQLite is as fast: it finds the first one in its cache, and the program
/// need not be asked for with each pair of bounds.
pub(super) const SMALL_RANGE_ROWS: u64 = 200;

/// Results kept with the statement until it is re-prepared.
#[derive(Default)]
pub(super) struct Findings {
    program: RefCell<Option<KnownProgram>>,
    /// Number of different values in a row for which it was not a scan of a table.
    refusals: Cell<u32>,
    small: Cell<Option<Small>>,
}

/// Number of different values in a row after which the statement counts as another one for all values. SQLite may choose
/// an index by a value, and asking takes longer than reading a row by its key.
const REFUSALS_MAX: u32 = 2;

/// The scan of a table that a statement is, for these values of its parameters; `None` if it is not one.
struct KnownProgram {
    values: Box<[Value]>,
    program: Option<Arc<Program>>,
}

/// A table or a range that was small at the last scan.
#[derive(Clone, Copy)]
enum Small {
    Table(SmallTable),
    /// The range of rowids: the next one may be so too.
    Range,
}

#[derive(Clone, Copy)]
struct SmallTable {
    database: i32,
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
        self.refusals.set(if program.is_none() { self.refusals.get().saturating_add(1) } else { 0 });
        *self.program.borrow_mut() = Some(KnownProgram { values: values.into(), program: program.clone() });
        Ok(program)
    }

    fn known(&self, values: &[Value]) -> Option<Option<Arc<Program>>> {
        let known = self.program.borrow();
        known.as_ref().filter(|known| *known.values == *values).map(|known| known.program.clone())
    }

    /// Whether an earlier `EXPLAIN` showed that the statement is not a scan of a table for these values, or, unless pages
    /// were asked for, for others.
    pub(super) fn is_known_not_plain(&self, values: &[Value], threshold: Threshold) -> bool {
        match self.known(values) {
            Some(program) => program.is_none(),
            None => threshold == Threshold::Large && self.refusals.get() >= REFUSALS_MAX,
        }
    }

    /// Returns the number of the database that the statement reads for these values of its parameters, if that is known.
    pub(super) fn database(&self, values: &[Value]) -> Option<i32> {
        self.known(values).flatten().map(|program| program.database)
    }

    pub(super) fn was_small(&self) -> bool {
        self.small.get().is_some()
    }

    /// Returns the reason why the table or range still counts as small.
    pub(super) fn still_small(&self, db: &Db) -> Option<&'static str> {
        match self.small.get()? {
            Small::Range => Some(SMALL_RANGE),
            Small::Table(small) => self.is_still_small(small, db).then_some(SMALL),
        }
    }

    /// Whether the table is still small according to the database file. With a write-ahead log the file may be out of
    /// date.
    fn is_still_small(&self, small: SmallTable, db: &Db) -> bool {
        let storage = Storage::new(db, small.database);
        let Ok(data_version) = storage.data_version() else {
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
            self.small.set(Some(Small::Table(SmallTable { data_version, ..small })));
        }
        is_small
    }

    pub(super) fn set_empty(&self, db: &Db, database: i32) {
        self.set_small(db, database, None);
    }

    pub(super) fn set_on_page(&self, db: &Db, database: i32, number: u32, bytes: usize) {
        self.set_small(db, database, Some(Page { number, bytes }));
    }

    pub(super) fn set_small_range(&self) {
        self.small.set(Some(Small::Range));
    }

    fn set_small(&self, db: &Db, database: i32, page: Option<Page>) {
        let data_version = Storage::new(db, database).data_version().ok();
        self.small.set(data_version.map(|data_version| Small::Table(SmallTable { database, data_version, page })));
    }

    /// Notes the number of rows that SQLite has returned, which may be that of a large table or range.
    pub(super) fn note_rows(&self, count: u64) {
        let most = match self.small.get() {
            Some(Small::Range) => SMALL_RANGE_ROWS,
            _ => SMALL_ROWS as u64,
        };
        if count > most {
            self.small.set(None);
        }
    }
}

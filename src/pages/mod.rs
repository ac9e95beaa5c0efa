//! The page reader: a scan of a table that decodes its pages, while SQLite holds the lock and the snapshot.
//!
//! The statement of the scan is stepped to its first row, and stays there: it is what keeps the read transaction open,
//! what knows the names of the columns, and what goes on if the pages cannot be read. [`Program`] tells from its
//! bytecode whether it is a plain scan of a table, which [`findings`] keep; [`snapshot`] finds the version of each page
//! that it sees; [`tree`] and [`cells`] decode, and know nothing of SQLite's interface.

mod cells;
mod crew;
mod findings;
mod format;
mod lookup;
mod program;
mod snapshot;
mod tree;

use std::sync::Arc;

pub(crate) use cells::Cells;
use cells::{Reader, Step};
pub(crate) use crew::{Crew, Part, Piece, Split};
use findings::{Findings, SMALL_ROWS};
use lookup::Names;
use program::Program;
use snapshot::{Before, ReadError, Seen, Snapshot, View};
use tree::Tree;

use crate::error::{Error, ErrorKind, Result};
use crate::raw::storage::Storage;
use crate::rows::{Row, Rows};
use crate::{Connection, ResultCode, raw};

const NOT_PLAIN: &str = "SQLite does more than scan a table: a condition, an order, an index, a computed column, …";
const SMALL: &str = "the table is so small that SQLite is as fast";

/// SQLite's number for the main database.
const MAIN: i32 = 0;

/// Which tables are read from their pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Those that can be.
    Any,
    /// Those that are not so small that SQLite is as fast.
    Large,
}

/// What a table may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// As many rows as there are if all pages are as full as the first ones, and some more.
    pub(crate) rows: u64,
    /// All texts and blobs of a column are no longer than this together.
    pub(crate) bytes: u64,
}

/// What a statement's first step led to.
pub(crate) struct Begun {
    pub(crate) has_row: bool,
    /// What is to be scanned, or why that is left to SQLite.
    pub(crate) scan: Result<PlainScan, &'static str>,
}

/// A scan of a table and no more, and what its transaction sees.
pub(crate) struct PlainScan {
    program: Arc<Program>,
    view: View,
    worth: Worth,
}

/// Takes the first step, and finds out what is scanned and seen.
pub(crate) fn begin(conn: &Connection, rows: &mut Rows<'_>, worth: Worth) -> Result<Begun> {
    /// A commit falls into the two reads of the log's index only now and then.
    const ATTEMPTS: usize = 5;
    let main = Storage::new(conn.db(), MAIN);
    let findings = Findings::of(rows);
    let mut is_small = worth == Worth::Large && findings.was_small();
    let reason = if findings.is_known_not_plain() {
        Some(NOT_PLAIN)
    } else if !is_small && main.is_shared() {
        Some("the database has no file, or its cache is shared with other connections")
    } else {
        None
    };
    if let Some(reason) = reason {
        return Ok(Begun { has_row: rows.next()?.is_some(), scan: Err(reason) });
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        // Where the table was small, all that is asked is whether it still is.
        let before = if is_small { Before::default() } else { Before::take(main) };
        let has_row = rows.next()?.is_some();
        let findings = Findings::of(rows);
        if std::mem::take(&mut is_small) && findings.is_still_small(main) {
            return Ok(Begun { has_row, scan: Err(SMALL) });
        }
        if !has_row {
            findings.set_empty(main);
            return Ok(Begun { has_row, scan: Err("the table is empty") });
        }
        let view = match View::after(before, main) {
            Seen::View(view) => Some(view),
            Seen::Moved => None,
            Seen::Unknown(reason) => return Ok(Begun { has_row, scan: Err(reason) }),
        };
        // What the first step has called (a function of the program's) must not be called again.
        let Some(program) = findings.program(conn, rows.current_raw().sql()) else {
            return Ok(Begun { has_row, scan: Err(NOT_PLAIN) });
        };
        // Where a transaction is open, another first step would not begin another one.
        if view.is_none() && attempt < ATTEMPTS && conn.is_autocommit() {
            rows.restart()?;
            continue;
        }
        let scan = view
            .map(|view| PlainScan { program, view, worth })
            .ok_or("others wrote while the scan began, or the transaction was open before");
        return Ok(Begun { has_row, scan });
    }
}

/// To be called when a scan that was left to SQLite has ended.
pub(crate) fn note_rows(rows: &Rows<'_>, count: u64) {
    if count > SMALL_ROWS as u64 {
        Findings::of(rows).set_large();
    }
}

/// The rows of a table, from its pages.
pub(crate) struct PageRows<'rows> {
    reader: Reader<Snapshot<'rows>>,
    record: Record<'rows>,
    conn: &'rows Connection,
    root: u32,
    schema_version: u32,
    database_bytes: u64,
    end: End,
    /// The row that it stands on has not been handed out.
    owes_row: bool,
}

/// Why there are no more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There are none, or the scan goes on.
    Natural,
    /// The connection has written: SQLite has to read the rest.
    Written,
    /// The connection was told to stop.
    Interrupted,
    /// The row lacks values that nobody could be asked for but the statement of the scan, which sees the same rows.
    Unknown,
}

/// The row that a scan of pages stands on.
pub(crate) struct Record<'rows> {
    pub(crate) cells: Cells,
    /// Of the same scan: it knows the names.
    pub(crate) statement: raw::Row<'rows>,
}

impl<'rows> PageRows<'rows> {
    /// Begins with the first row. The error is the reason why the pages are not read.
    pub(crate) fn open(
        conn: &'rows Connection,
        rows: &'rows Rows<'_>,
        scan: PlainScan,
    ) -> Result<Result<Self, &'static str>> {
        let PlainScan { program, view, worth } = scan;
        let storage = Storage::new(conn.db(), MAIN);
        if let Err(reason) = view.check(storage) {
            return Ok(Err(reason));
        }
        if program.database != MAIN {
            return Ok(Err("the table is temporary, or of an attached database"));
        }
        let stopped = |error| match error {
            ReadError::Written => Ok(Err("the connection has written since the scan began")),
            ReadError::Interrupted => Ok(Err("the connection was interrupted")),
            ReadError::Damage(damage) => Err(corrupt(conn, damage)),
            ReadError::Fault(fault) => Err(conn.error(fault)),
        };
        let snapshot = match Snapshot::open(storage, view) {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(reason)) => return Ok(Err(reason)),
            Err(error) => return stopped(error),
        };
        let header = snapshot.header();
        let page_count = snapshot.page_count();
        let root = program.root;
        let mut cells = Cells::new(program.wants.clone(), header.encoding, Vec::new());
        let mut reader = Reader::new(Tree::new(snapshot, root, header.page_bytes, header.usable_bytes, page_count));
        let leaf = match reader.first_leaf(&mut cells) {
            Ok(leaf) => leaf,
            Err(error) => return stopped(error),
        };
        if worth == Worth::Large && leaf.page == root && leaf.cells <= SMALL_ROWS {
            Findings::of(rows).set_on_page(storage, root, header.page_bytes);
            return Ok(Err(SMALL));
        }
        let record = Record { cells, statement: rows.current_raw() };
        let schema_version = header.schema_version;
        let database_bytes = u64::from(page_count) * header.page_bytes as u64;
        let (end, owes_row) = (End::Natural, false);
        Ok(Ok(Self { reader, record, conn, root, schema_version, database_bytes, end, owes_row }))
    }

    /// What there may be to read.
    pub(crate) fn expected(&self) -> Expected {
        /// A pointer to a cell, the lengths of its payload and of the record's header, the rowid, one value.
        const ROW_BYTES_MIN: u64 = 6;
        let rows = self.reader.expected_rows().min(self.database_bytes / ROW_BYTES_MIN);
        // Of two bytes in UTF-16 there are at most three in UTF-8.
        let bytes = self.database_bytes.saturating_add(self.database_bytes / 2);
        Expected { rows: rows.saturating_add(rows / 16), bytes }
    }

    /// The next row.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>> {
        match self.reader.step(&mut self.record.cells) {
            Ok(Step::Row) => Ok(Some(Row::of_record(&self.record))),
            other => self.next_otherwise(other),
        }
    }

    #[inline(never)]
    fn next_otherwise(&mut self, step: Result<Step, ReadError>) -> Result<Option<Row<'_>>> {
        self.end = match step {
            Ok(Step::Row) => return Ok(Some(Row::of_record(&self.record))),
            Ok(Step::RowWithoutDefaults) => match self.reader.pages().check() {
                // The table cannot be asked by its names: they may be taken, or not be for everybody to know.
                Ok(()) => match self.names() {
                    Ok(names) => {
                        self.find_defaults(&names)?;
                        return Ok(Some(Row::of_record(&self.record)));
                    }
                    Err(_) => End::Unknown,
                },
                // SQLite may know another row by now.
                Err(error) => return self.next_otherwise(Err(error)),
            },
            Ok(Step::End) => End::Natural,
            Err(ReadError::Written) => {
                // It may have come while the rest of a long row was read.
                self.owes_row = self.reader.is_on_row();
                End::Written
            }
            Err(ReadError::Interrupted) => End::Interrupted,
            Err(ReadError::Damage(damage)) => return Err(self.corrupt(damage)),
            Err(ReadError::Fault(fault)) => return Err(self.conn.error(fault).in_sql(self.record.statement.sql())),
        };
        Ok(None)
    }

    /// Why it ended.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// The SQL for what comes next, and the rowid that is its parameter.
    pub(crate) fn rest(&self) -> Result<(String, i64)> {
        let (rowid, owes_row) = (self.record.cells.rowid, self.owes_row);
        Ok((self.names()?.select_rest(owes_row), rowid))
    }

    /// Found anew each time: a name may be another one by now.
    fn names(&self) -> Result<Names> {
        if Names::schema_version(self.conn, "main")? != self.schema_version && !self.is_table_as_it_was() {
            let reason = "a table was altered while it was read from its pages";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        let called = self.record.statement.column_names()?;
        Names::find(self.conn, "main", self.root, self.record.cells.wants(), called)
    }

    /// Whether the statement, prepared anew, would read the same columns of the same table.
    fn is_table_as_it_was(&self) -> bool {
        let sql = self.record.statement.sql();
        let called = self.record.statement.column_names().unwrap_or_default();
        let is_called_so = self
            .conn
            .prepare(sql)
            .is_ok_and(|now| now.column_names().is_ok_and(|now| now.eq(called.iter().map(|name| &**name))));
        let wants = self.record.cells.wants();
        let is_it = |now: &Program| now.database == MAIN && now.root == self.root && *now.wants == *wants;
        is_called_so && Program::of(self.conn, sql).is_ok_and(|now| now.as_ref().is_some_and(is_it))
    }

    /// Asks SQLite for the row, whose record is too short.
    #[cold]
    fn find_defaults(&mut self, names: &Names) -> Result<()> {
        let mut statement = self.conn.prepare(&names.select_row())?;
        let mut rows = statement.query((self.record.cells.rowid,))?;
        let Some(row) = rows.next()? else {
            return Err(self.corrupt(self.reader.damage("SQLite does not find its rowid")));
        };
        for column in 0..row.column_count() {
            self.record.cells.set_default(column, row.value(column)?);
        }
        rows.finish()
    }

    #[cold]
    fn corrupt(&self, damage: format::Damage) -> Error {
        corrupt(self.conn, damage).in_sql(self.record.statement.sql())
    }
}

fn corrupt(conn: &Connection, damage: format::Damage) -> Error {
    let message = format!("database disk image is malformed: {damage}").into();
    let error = Error::new(ErrorKind::Sqlite { code: ResultCode::CORRUPT, message });
    error.in_database(|| conn.db().path().to_string_lossy().into())
}

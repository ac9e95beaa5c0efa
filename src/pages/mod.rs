//! The page reader: a scan of a table that decodes its pages, while SQLite holds the lock and the snapshot.
//!
//! The statement of the scan is stepped to its first row, and stays there: it is what keeps the read transaction open,
//! what knows the names of the columns, and what goes on if the pages cannot be read. [`Program`] tells from its
//! bytecode whether it is a plain scan of a table, which [`findings`] keep; [`snapshot`] finds the version of each page
//! that it sees; [`tree`] and [`cells`] decode, and know nothing of SQLite's interface.
//!
//! What does not decode is SQLite's to judge: the statement is stepped to that row, and goes on. So each check here is
//! as strict as SQLite's or stricter (`docs/page_reader.md` has them side by side), and the rows are the
//! statement's.

mod cells;
mod crew;
mod findings;
mod format;
mod lookup;
mod pointer_map;
mod program;
mod snapshot;
mod tree;

use std::fmt;
use std::sync::Arc;

pub(crate) use cells::Cells;
use cells::{Reader, Step};
pub(crate) use crew::{Crew, Part, Piece, Split};
use findings::{Findings, SMALL_ROWS};
use format::{Damage, DamageKind};
use lookup::Names;
use program::Program;
use snapshot::{Before, ReadError, Seen, Snapshot, View};
use tree::{Shape, Tree};

use crate::error::{Error, ErrorKind, Result};
use crate::raw::storage::Storage;
use crate::rows::{Row, Rows};
use crate::{Connection, ResultCode, raw};

const NOT_PLAIN: &str = "SQLite does more than scan a table: a condition, an order, an index, a computed column, …";
const SMALL: &str = "the table is so small that SQLite is as fast";
const UNREADABLE: &str = "a page cannot be read";
const MALFORMED: &str = "a page does not decode";

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
    } else if !is_small && program::has_shared_cache(conn, rows.current_raw().sql())? {
        Some("it reads nothing of the main database, or the cache may be shared with other connections")
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
    /// The statement of the scan has to read the row that comes next, and goes on from there.
    Left(Cause),
}

/// Why rows are left to the statement of the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Damage(Damage),
    /// A read failed.
    Unreadable,
    /// The row lacks values that nobody else could be asked for.
    Unknown,
}

impl Cause {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Damage(_) => MALFORMED,
            Self::Unreadable => UNREADABLE,
            Self::Unknown => "a row was written before a column was added, and another scan of it ended otherwise",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => write!(f, "{damage}"),
            other => f.write_str(other.reason()),
        }
    }
}

/// Steps the statement of a scan, which stands on its first row, on to the one of this number. `false` if it ends just
/// before.
pub(crate) fn catch_up(conn: &Connection, rows: &mut Rows<'_>, number: u64, cause: Cause) -> Result<bool> {
    for before in 1..=number {
        let error = match (rows.next().map(|row| row.is_some()), cause) {
            (Ok(true), _) => continue,
            (Ok(false), _) if before == number => return Ok(false),
            // SQLite does not say where and what.
            (Err(error), Cause::Damage(damage)) if error.code() == Some(ResultCode::CORRUPT) => corrupt(conn, damage),
            (Err(error), _) => return Err(error),
            (Ok(false), _) => corrupt(conn, "SQLite finds fewer rows than the pages have"),
        };
        return Err(error.in_sql(rows.current_raw().sql()));
    }
    Ok(true)
}

/// The row that a scan of pages stands on.
pub(crate) struct Record<'rows> {
    pub(crate) cells: Cells,
    /// Of the same scan: it knows the names.
    pub(crate) statement: raw::Row<'rows>,
}

impl<'rows> PageRows<'rows> {
    /// Begins with the first row. The inner error is the reason why the pages are not read.
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
            ReadError::Damage(damage) => damage_error(conn, damage).map_or(Ok(Err(MALFORMED)), Err),
            ReadError::Unreadable => Ok(Err(UNREADABLE)),
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
        let database_bytes = u64::from(page_count) * header.page_bytes as u64;
        let payload_bytes_max = database_bytes.min(storage.value_bytes_max().into());
        let mut reader = Reader::new(Tree::new(snapshot, root, Shape::new(header, page_count)), payload_bytes_max);
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
                Ok(()) if self.find_defaults() => return Ok(Some(Row::of_record(&self.record))),
                Ok(()) => End::Left(Cause::Unknown),
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
            Err(ReadError::Damage(damage)) => match (damage_error(self.conn, damage), self.reader.pages().check()) {
                (None, Ok(())) => End::Left(Cause::Damage(damage)),
                (None, Err(ReadError::Interrupted)) => End::Interrupted,
                // After a write the statement counts other rows, and what is damaged may have no rowid to go on from.
                (error, _) => {
                    let error = error.unwrap_or_else(|| corrupt(self.conn, damage));
                    return Err(error.in_sql(self.record.statement.sql()));
                }
            },
            Err(ReadError::Unreadable) => End::Left(Cause::Unreadable),
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
        is_called_so && self.is_program_as_it_was()
    }

    fn is_program_as_it_was(&self) -> bool {
        let wants = self.record.cells.wants();
        let is_it = |now: &Program| now.database == MAIN && now.root == self.root && *now.wants == *wants;
        Program::of(self.conn, self.record.statement.sql()).is_ok_and(|now| now.as_ref().is_some_and(is_it))
    }

    /// Asks SQLite for the row, whose record is too short, by its number: another execution of the same statement sees
    /// the same rows in the same order. Its rowid would not do, which may be another row's in a damaged file. `false` if
    /// that row cannot be had, or is another one.
    #[cold]
    fn find_defaults(&mut self) -> bool {
        // A name may be another table's by now: a temporary one hides it.
        if !self.is_program_as_it_was() {
            return false;
        }
        let number = self.reader.row_number();
        let mut read = || -> Result<bool> {
            let mut statement = self.conn.prepare(self.record.statement.sql())?;
            let mut rows = statement.query(())?;
            for _ in 0..number {
                if rows.next()?.is_none() {
                    return Ok(false);
                }
            }
            let Some(row) = rows.next()? else {
                return Ok(false);
            };
            for column in 0..row.column_count() {
                if !self.record.cells.set_default(column, row.value(column)?) {
                    return Ok(false);
                }
            }
            rows.finish()?;
            Ok(true)
        };
        // Whatever went wrong, the statement of the scan says so where it comes to that row.
        read().unwrap_or(false)
    }
}

/// The error that ends a scan; `None` where its statement has to say what it is.
#[cold]
fn damage_error(conn: &Connection, damage: Damage) -> Option<Error> {
    match damage.kind {
        DamageKind::Malformed => None,
        DamageKind::Endless => Some(corrupt(conn, damage)),
        // What SQLite says where it looks at how much it has read.
        DamageKind::CutOff => Some(file_error(conn, ResultCode::IOERR_SHORT_READ, format!("disk I/O error: {damage}"))),
    }
}

fn corrupt(conn: &Connection, damage: impl fmt::Display) -> Error {
    file_error(conn, ResultCode::CORRUPT, format!("database disk image is malformed: {damage}"))
}

#[cold]
fn file_error(conn: &Connection, code: ResultCode, message: String) -> Error {
    let error = Error::new(ErrorKind::Sqlite { code, message: message.into() });
    error.in_database(|| conn.db().path().to_string_lossy().into())
}

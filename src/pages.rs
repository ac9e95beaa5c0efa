//! The page reader: scans a table by decoding its pages, while SQLite holds the lock and the snapshot.
//!
//! The statement of the scan is stepped to its first row, and stays there. It keeps the read transaction open, knows
//! the column names, and continues if the pages cannot be read. [`Program`] reads its bytecode to find out whether it
//! is a plain scan of a table, and [`findings`] keeps that result. [`snapshot`] finds the version of each page that the
//! transaction sees. [`tree`] and [`cells`] decode, and do not use SQLite's interface.
//!
//! SQLite judges content that does not decode: the statement is stepped to that row, and continues. Each check here is
//! therefore as strict as SQLite's or stricter (`docs/page_reader.md` compares them), and the rows are those of the
//! statement.

mod findings;
mod lookup;
mod program;
mod snapshot;
mod threads;

use std::fmt;
use std::sync::Arc;

use crate::Connection;
use crate::btree::cells::{Cells, Reader, Step};
use crate::btree::condition::{Condition, Verdict};
use crate::btree::format::{Damage, DamageKind};
use crate::btree::tree::{Shape, Tree};
use crate::error::{Error, ErrorKind, Result, ResultCode};
use crate::raw::storage::Storage;
use crate::statement::{OwnedRows, Record, Row, Rows, Statement};
use crate::value::Value;
use findings::Findings;
pub(crate) use findings::SMALL_ROWS;
use lookup::Names;
use program::Program;
pub(crate) use snapshot::LastCommit;
pub(crate) use snapshot::View;
use snapshot::{LogState, ReadError, Snapshot, SnapshotView};
pub(crate) use threads::{DecoderThreads, Filled, Part, Piece, Split};

const NOT_PLAIN: &str = "SQLite does more than scan a table: a condition, an order, an index, a computed column, …";
const CONDITION: &str = "SQLite evaluates its condition: a value of it is not known, or has to be converted, or the \
                         snapshot of the table is not known";
const MOVED: &str = "another connection wrote while the scan began, or a transaction was already open";
pub(crate) const SMALL: &str = "the table is small: SQLite is as fast";
const UNREADABLE: &str = "a page cannot be read";
const MALFORMED: &str = "a page is malformed";

/// Maximum number of first steps: only now and then a commit falls between the two reads of the log's index.
const ATTEMPTS: usize = 5;

/// SQLite's number for the main database.
const MAIN: i32 = 0;

/// Selection of tables that are read from their pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threshold {
    /// All tables for which it is possible.
    Any,
    /// Tables that are not so small that SQLite is as fast.
    Large,
}

/// Expected size of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Estimated number of rows, with a margin: assumes that all pages are as full as the first ones.
    pub(crate) rows: u64,
    /// Upper bound for the bytes of all texts and blobs of a column.
    pub(crate) bytes: u64,
}

/// Result of a statement's first step.
pub(crate) struct FirstStep<'stmt> {
    pub(crate) has_row: bool,
    /// The scan, or the reason why SQLite runs it.
    pub(crate) scan: Result<PlainScan<'stmt>, &'static str>,
    /// View of the transaction of a statement that is to be [examined](examine) after its first rows.
    pub(crate) unexamined: Option<View>,
}

impl FirstStep<'_> {
    fn by_statement(has_row: bool, reason: &'static str) -> Self {
        Self { has_row, scan: Err(reason), unexamined: None }
    }
}

/// A plain scan of a table, and the view of its transaction.
pub(crate) struct PlainScan<'stmt> {
    program: Arc<Program>,
    /// With values for its parameters.
    condition: Option<Condition>,
    /// Values of the parameters.
    values: &'stmt [Value],
    view: View,
    threshold: Threshold,
    /// Results of earlier scans, where they are not those of the scan's own statement.
    findings: Option<&'stmt Findings>,
}

/// A scan with a condition that is about to begin, and a statement that holds its read transaction. The first step of
/// the scan's own statement might read the whole table to find a row.
pub(crate) struct Anchor<'conn, 'stmt> {
    pub(crate) scan: PlainScan<'stmt>,
    pub(crate) transaction: OwnedRows<'conn>,
}

/// Returns the number of frames of the main database's write-ahead log, and the number of those that are in the database
/// file; `None` if there is no log, or if it cannot be read without SQLite.
#[track_caller]
pub(crate) fn log_frames(conn: &Connection) -> Result<Option<(u32, u32)>> {
    if program::has_shared_cache(conn, "SELECT 1 FROM sqlite_schema")? {
        return Ok(None);
    }
    Ok(snapshot::log_frames(Storage::new(conn.db(), MAIN)))
}

/// Begins a scan with a condition on the rows of a table. Returns `None` for other statements, and where SQLite must
/// evaluate the condition. `values` are those of the parameters.
pub(crate) fn begin_conditional<'conn, 'stmt>(
    conn: &'conn Connection,
    statement: &'stmt Statement<'_>,
    values: &'stmt [Value],
    threshold: Threshold,
) -> Result<Option<Anchor<'conn, 'stmt>>> {
    match try_conditional(conn, statement, values, threshold) {
        // No statement is running that would keep the interrupt.
        Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::NoMemory { .. }) => Err(error),
        // The error is that of a statement of the page reader's own: that of the scan has its own, or none.
        Err(_) => Ok(None),
        begun => begun,
    }
}

fn try_conditional<'conn, 'stmt>(
    conn: &'conn Connection,
    statement: &'stmt Statement<'_>,
    values: &'stmt [Value],
    threshold: Threshold,
) -> Result<Option<Anchor<'conn, 'stmt>>> {
    let findings: &Findings = statement.findings();
    let is_small = threshold == Threshold::Large && findings.was_small();
    // What is known of an expired statement may not be true any more, and the scan does not step it.
    if conn.db().has_limits() || is_small || statement.is_expired() || findings.is_known_not_plain(values) {
        return Ok(None);
    }
    let program = match findings.program(conn, statement.sql(), values)? {
        Some(program) if program.condition.is_some() => program,
        _ => return Ok(None),
    };
    let condition =
        program.condition.as_ref().and_then(|condition| condition.with_parameters(values, &program.sources));
    if condition.is_none()
        || program.database != MAIN
        || conn.db().has_replaced_collation()
        || program::has_shared_cache(conn, statement.sql())?
    {
        return Ok(None);
    }
    let main = Storage::new(conn.db(), MAIN);
    let mut attempt = 0;
    let (view, transaction) = loop {
        attempt += 1;
        let before = LogState::take(main);
        let mut transaction = conn.prepare("SELECT 1 FROM main.sqlite_schema")?.into_rows(())?;
        transaction.next()?;
        match View::after(before, main) {
            SnapshotView::View(view) => break (view, transaction),
            SnapshotView::Moved if attempt < ATTEMPTS && conn.is_autocommit() => {}
            SnapshotView::Moved | SnapshotView::Unknown(_) => return Ok(None),
        }
    };
    // The program is that of the schema in this transaction, or another one will be found when SQLite prepares the
    // statement again.
    if i64::from(Names::schema_version(conn, "main")?) != program.schema_version {
        return Ok(None);
    }
    let scan = PlainScan { program, condition, values, view, threshold, findings: Some(findings) };
    Ok(Some(Anchor { scan, transaction }))
}

/// Returns the state of the main database's write-ahead log, on a connection that has read; `None` if there is no log, or
/// if it cannot be read without SQLite.
#[track_caller]
pub(crate) fn last_commit(conn: &Connection) -> Result<Option<LastCommit>> {
    if program::has_shared_cache(conn, "SELECT 1 FROM sqlite_schema")? {
        return Ok(None);
    }
    Ok(snapshot::last_commit(Storage::new(conn.db(), MAIN)))
}

/// Whether a statement is to be examined only after its first rows: nothing is known of it, and SQLite is as fast if there
/// are no more. Several threads decode all rows, or none.
pub(crate) fn is_examined_later(statement: &Statement<'_>, threshold: Threshold, threads: usize) -> bool {
    threshold == Threshold::Large && threads == 1 && !statement.has_findings()
}

/// Takes the first step, and determines the snapshot, and the table unless it is examined later.
pub(crate) fn begin(
    conn: &Connection,
    rows: &mut Rows<'_>,
    values: &[Value],
    threshold: Threshold,
    is_examined_later: bool,
) -> Result<FirstStep<'static>> {
    let main = Storage::new(conn.db(), MAIN);
    let mut is_small = false;
    let reason = if conn.db().has_limits() {
        Some("a deadline or a limit is set, which SQLite keeps")
    } else if !is_examined_later && Findings::of(rows).is_known_not_plain(values) {
        Some(NOT_PLAIN)
    } else {
        is_small = threshold == Threshold::Large && !is_examined_later && Findings::of(rows).was_small();
        (!is_small && program::has_shared_cache(conn, rows.current_raw().sql())?)
            .then_some("it reads no table of the main database, or its cache may be shared with other connections")
    };
    if let Some(reason) = reason {
        return Ok(FirstStep::by_statement(rows.next()?.is_some(), reason));
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        // If the table was small, it is only checked whether it still is.
        let before = if is_small { LogState::default() } else { LogState::take(main) };
        let has_row = rows.next()?.is_some();
        if std::mem::take(&mut is_small) && Findings::of(rows).is_still_small(main) {
            return Ok(FirstStep::by_statement(has_row, SMALL));
        }
        if !has_row {
            if !is_examined_later {
                Findings::of(rows).set_empty(main);
            }
            return Ok(FirstStep::by_statement(has_row, "the table is empty"));
        }
        let view = match View::after(before, main) {
            SnapshotView::View(view) => Some(view),
            SnapshotView::Moved => None,
            SnapshotView::Unknown(reason) => return Ok(FirstStep::by_statement(has_row, reason)),
        };
        if is_examined_later && view.is_some() {
            return Ok(FirstStep { has_row, scan: Err(SMALL), unexamined: view });
        }
        // Functions of the program that the first step has called must not be called again.
        let Ok(Some(program)) = Findings::of(rows).program(conn, rows.current_raw().sql(), values) else {
            return Ok(FirstStep::by_statement(has_row, NOT_PLAIN));
        };
        // In an open transaction, another first step would not begin a new snapshot.
        if view.is_none() && attempt < ATTEMPTS && conn.is_autocommit() {
            rows.restart()?;
            continue;
        }
        if program.condition.is_some() {
            return Ok(FirstStep::by_statement(has_row, CONDITION));
        }
        let scan = view
            .map(|view| PlainScan { program, condition: None, values: &[], view, threshold, findings: None })
            .ok_or(MOVED);
        return Ok(FirstStep { has_row, scan, unexamined: None });
    }
}

/// Determines the table of a statement without parameters that has returned its first rows. The view is that of its
/// transaction. The error is the reason why SQLite runs it: an expired statement, whose SQL may mean something else by now,
/// is one.
pub(crate) fn examine(
    conn: &Connection,
    rows: &Rows<'_>,
    view: View,
    threshold: Threshold,
) -> Result<PlainScan<'static>, &'static str> {
    let statement = rows.current_raw();
    if statement.is_expired() {
        return Err("the connection changed what the statement reads");
    }
    let Ok(Some(program)) = Findings::of(rows).program(conn, statement.sql(), &[]) else {
        return Err(NOT_PLAIN);
    };
    let condition = match &program.condition {
        Some(_) if conn.db().has_replaced_collation() => return Err(CONDITION),
        Some(condition) => Some(condition.with_parameters(&[], &program.sources).ok_or(CONDITION)?),
        None => None,
    };
    Ok(PlainScan { program, condition, values: &[], view, threshold, findings: None })
}

/// Notes that the table is not small, if it had more rows. Called at the end of a scan that SQLite ran.
pub(crate) fn note_rows(rows: &Rows<'_>, count: u64) {
    if count > SMALL_ROWS as u64 {
        Findings::of(rows).set_large();
    }
}

/// Reads the rows of a table from its pages.
pub(crate) struct PageRows<'rows> {
    reader: Reader<Snapshot<'rows>>,
    record: Record<'rows>,
    conn: &'rows Connection,
    /// Values of the parameters of the statement.
    values: Box<[Value]>,
    root: u32,
    schema_version: u32,
    database_bytes: u64,
    end: End,
    /// Whether the current row has not been returned yet.
    owes_row: bool,
}

/// Result of a step.
enum Outcome {
    Row,
    /// The row does not meet the condition.
    Unwanted,
    Ended,
}

/// Reason why there are no more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Regular end of the rows; also the value before the scan has ended.
    Natural,
    /// The connection has written: SQLite must read the remaining rows.
    Written,
    /// The connection was interrupted.
    Interrupted,
    /// The statement of the scan must read the next row, and continues from there.
    Left(HandoverReason),
}

/// Reason why the statement of the scan reads the remaining rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandoverReason {
    Damage(Damage),
    /// A read failed.
    Unreadable,
    /// The record lacks values, and their defaults could not be determined.
    Unknown,
    /// A value of the record has to be converted before the condition is evaluated.
    Condition,
}

impl HandoverReason {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Damage(_) => MALFORMED,
            Self::Unreadable => UNREADABLE,
            Self::Condition => "a value has to be converted between text and number for the condition",
            Self::Unknown => "a row was written before a column was added, and another scan of it ended otherwise",
        }
    }
}

impl fmt::Display for HandoverReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => write!(f, "{damage}"),
            other => f.write_str(other.reason()),
        }
    }
}

/// Steps the statement of a scan to the row with this number, after `steps` steps. Returns `false` if it ends directly
/// before that row.
pub(crate) fn catch_up(
    conn: &Connection,
    rows: &mut Rows<'_>,
    steps: u64,
    number: u64,
    cause: HandoverReason,
) -> Result<bool> {
    for before in steps..=number {
        let error = match (rows.next().map(|row| row.is_some()), cause) {
            (Ok(true), _) => continue,
            (Ok(false), _) if before == number => return Ok(false),
            // SQLite's error does not say where the damage is.
            (Err(error), HandoverReason::Damage(damage)) if error.code() == Some(ResultCode::CORRUPT) => {
                corrupt(conn, damage)
            }
            (Err(error), _) => return Err(error),
            (Ok(false), _) => corrupt(conn, "SQLite finds fewer rows than the pages have"),
        };
        return Err(error.in_sql(rows.current_raw().sql()));
    }
    Ok(true)
}

impl<'rows> PageRows<'rows> {
    /// Opens the pages and reads the first leaf page. The inner error is the reason why the pages are not read.
    pub(crate) fn open(
        conn: &'rows Connection,
        rows: &'rows Rows<'_>,
        scan: PlainScan<'_>,
    ) -> Result<Result<Self, &'static str>> {
        let PlainScan { program, condition, values, view, threshold, findings } = scan;
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
        let condition = condition.map(Box::new);
        let mut cells = Cells::new(&program.sources, program.columns, condition, header.encoding, Vec::new());
        let database_bytes = u64::from(page_count) * header.page_bytes as u64;
        let payload_bytes_max = database_bytes.min(storage.value_bytes_max().into());
        let mut reader = Reader::new(Tree::new(snapshot, root, Shape::new(header, page_count)), payload_bytes_max);
        let leaf = match reader.first_leaf(&mut cells) {
            Ok(leaf) => leaf,
            Err(error) => return stopped(error),
        };
        if threshold == Threshold::Large && leaf.page == root && leaf.cells <= SMALL_ROWS {
            findings.unwrap_or_else(|| Findings::of(rows)).set_on_page(storage, root, header.page_bytes);
            return Ok(Err(SMALL));
        }
        let record = Record { cells, statement: rows.current_raw() };
        let schema_version = header.schema_version;
        let (end, owes_row) = (End::Natural, false);
        let values = values.into();
        Ok(Ok(Self { reader, record, conn, values, root, schema_version, database_bytes, end, owes_row }))
    }

    /// Skips rows that the statement has returned. The error is the reason why they cannot be read.
    pub(crate) fn skip(&mut self, rows: u64) -> Result<Result<(), &'static str>> {
        for _ in 0..rows {
            if self.next()?.is_none() {
                return Ok(Err(match self.end {
                    End::Left(cause) => cause.reason(),
                    End::Natural | End::Written | End::Interrupted => UNREADABLE,
                }));
            }
        }
        Ok(Ok(()))
    }

    /// Estimates the size of the table.
    pub(crate) fn expected(&self) -> Expected {
        /// Cell pointer, payload length, record header length, rowid, and one value.
        const ROW_BYTES_MIN: u64 = 6;
        // With a condition, few rows may meet it.
        let most = if self.has_condition() { 0 } else { self.database_bytes / ROW_BYTES_MIN };
        let rows = self.reader.expected_rows().min(most);
        // Two bytes of UTF-16 are at most three bytes of UTF-8.
        let bytes = self.database_bytes.saturating_add(self.database_bytes / 2);
        Expected { rows: rows.saturating_add(rows / 16), bytes }
    }

    pub(crate) fn has_condition(&self) -> bool {
        self.record.cells.condition().is_some()
    }

    /// Returns the row of the next cell, if it meets the condition.
    fn fill(&mut self) -> Result<Filled<'_>> {
        let step = self.reader.step(&mut self.record.cells);
        Ok(match self.settle(step)? {
            Outcome::Row => Filled::Row(Row::of_record(&self.record)),
            Outcome::Unwanted => Filled::Unwanted,
            Outcome::Ended => Filled::Ended,
        })
    }

    /// Returns the next row.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>> {
        match self.reader.step_to_wanted(&mut self.record.cells) {
            Ok(Step::Row) => Ok(Some(Row::of_record(&self.record))),
            other => self.next_otherwise(other),
        }
    }

    #[inline(never)]
    fn next_otherwise(&mut self, mut step: Result<Step, ReadError>) -> Result<Option<Row<'_>>> {
        loop {
            match self.settle(step)? {
                Outcome::Row => return Ok(Some(Row::of_record(&self.record))),
                Outcome::Unwanted => step = self.reader.step_to_wanted(&mut self.record.cells),
                Outcome::Ended => return Ok(None),
            }
        }
    }

    /// Completes a step: looks up values that the record lacks, evaluates the condition, or notes the end.
    fn settle(&mut self, step: Result<Step, ReadError>) -> Result<Outcome> {
        let mut step = step;
        // After a write, SQLite may return another row.
        if matches!(step, Ok(Step::RowWithoutDefaults)) {
            step = self.reader.pages().check().map(|()| match self.find_defaults() {
                true => Step::Row,
                false => Step::RowWithoutDefaults,
            });
        }
        if matches!(step, Ok(Step::Row)) {
            match self.record.cells.verdict() {
                Verdict::Accept => return Ok(Outcome::Row),
                Verdict::Reject => return Ok(Outcome::Unwanted),
                Verdict::Unknown => step = Ok(Step::RowWithoutVerdict),
            }
        }
        if matches!(step, Ok(Step::RowWithoutVerdict)) {
            step = self.reader.pages().check().map(|()| Step::RowWithoutVerdict);
        }
        self.owes_row = matches!(step, Ok(Step::RowWithoutDefaults | Step::RowWithoutVerdict));
        self.end = match step {
            Ok(Step::RowWithoutDefaults) => End::Left(HandoverReason::Unknown),
            Ok(Step::Row | Step::RowWithoutVerdict) => End::Left(HandoverReason::Condition),
            Ok(Step::End) => End::Natural,
            Err(ReadError::Written) => {
                // The write may have occurred while the rest of a long row was read.
                self.owes_row = self.reader.is_on_row();
                End::Written
            }
            Err(ReadError::Interrupted) => End::Interrupted,
            Err(ReadError::Damage(damage)) => match (damage_error(self.conn, damage), self.reader.pages().check()) {
                (None, Ok(())) => End::Left(HandoverReason::Damage(damage)),
                (None, Err(ReadError::Interrupted)) => End::Interrupted,
                // After a write, row numbers in the statement's result differ, and a damaged row may have no rowid to
                // continue from.
                (error, _) => {
                    let error = error.unwrap_or_else(|| corrupt(self.conn, damage));
                    return Err(error.in_sql(self.record.statement.sql()));
                }
            },
            Err(ReadError::Unreadable) => End::Left(HandoverReason::Unreadable),
        };
        Ok(Outcome::Ended)
    }

    /// Returns the reason why the scan ended.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// Returns the SQL that reads the remaining rows, and its parameters.
    pub(crate) fn remaining_rows_query(&self) -> Result<(String, Vec<Value>)> {
        let (sql, constants) = self.names()?.select_rest(self.owes_row, self.record.cells.condition());
        let parameters = [Value::Integer(self.record.cells.rowid)].into_iter().chain(constants);
        Ok((sql, parameters.collect()))
    }

    /// Looks up the names each time: they may have changed.
    fn names(&self) -> Result<Names> {
        if Names::schema_version(self.conn, "main")? != self.schema_version && !self.is_table_as_it_was() {
            let reason = "a table was altered while it was read from its pages";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        let called = self.record.statement.column_names()?;
        Names::find(self.conn, "main", self.root, &self.record.cells.sources(), called)
    }

    /// Whether the statement, re-prepared, would read the same columns of the same table.
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
        let sources = self.record.cells.sources();
        let is_it = |now: &Program| {
            let condition =
                now.condition.as_ref().and_then(|condition| condition.with_parameters(&self.values, &now.sources));
            now.database == MAIN
                && now.root == self.root
                && *now.sources == *sources
                && now.condition.is_some() == self.has_condition()
                && condition.as_ref() == self.record.cells.condition()
        };
        let now = Program::of(self.conn, self.record.statement.sql(), &self.values);
        now.is_ok_and(|now| now.as_ref().is_some_and(is_it))
    }

    /// Whether the statement of the scan, which was not stepped yet, reads the same rows in the same order. It may be
    /// prepared again at its first step: for a temporary table that hides its table, or for a setting.
    pub(crate) fn is_statement_as_it_was(&self) -> bool {
        !self.record.statement.is_expired() || self.is_program_as_it_was()
    }

    /// Reads the defaults of a record that is too short from SQLite. Another execution of the same statement sees the
    /// same rows in the same order, so the row is found by its number. Its rowid is not used: in a damaged file another
    /// row may have the same. Returns `false` if that row cannot be read, or is another one.
    #[cold]
    fn find_defaults(&mut self) -> bool {
        // The name may refer to another table by now: a temporary table hides it.
        if !self.is_program_as_it_was() {
            return false;
        }
        let number = self.reader.row_number();
        let mut read = || -> Result<bool> {
            let sql = match self.has_condition() {
                true => self.names()?.select_all(),
                false => self.record.statement.sql().to_owned(),
            };
            let mut statement = self.conn.prepare(&sql)?;
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
        // Any error here is reported by the statement of the scan when it reaches that row.
        read().unwrap_or(false)
    }
}

/// Returns the error that ends a scan; `None` if the statement of the scan must judge the damage.
#[cold]
fn damage_error(conn: &Connection, damage: Damage) -> Option<Error> {
    match damage.kind {
        DamageKind::Malformed => None,
        DamageKind::Endless => Some(corrupt(conn, damage)),
        // SQLite's error where it checks the number of bytes read.
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

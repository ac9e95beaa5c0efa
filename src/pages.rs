//! The page reader: scans a table or an index by decoding its pages, while SQLite holds the lock and the snapshot.
//!
//! The statement of the scan is stepped to its first row, and stays there. It keeps the read transaction open, knows
//! the column names, and continues if the pages cannot be read. [`Program`] reads its bytecode to find out whether it
//! is a plain scan, and [`findings`] keeps that result. [`snapshot`] finds the version of each page that the
//! transaction sees. [`tree`] and [`cells`] decode, and do not use SQLite's interface.
//!
//! SQLite judges content that does not decode: the statement is stepped to that row, and continues. Each check here is
//! therefore as strict as SQLite's or stricter (`docs/page_reader.md` compares them), and the rows are those of the
//! statement.

mod findings;
mod lists;
mod lookup;
mod program;
mod snapshot;
mod threads;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::Connection;
use crate::btree::cells::{Cells, Reader, Step};
use crate::btree::condition::{Condition, Verdict};
use crate::btree::format::{Damage, DamageKind, Encoding};
use crate::btree::rowid_range::RowidRange;
use crate::btree::tree::{Pages, Shape, Tree, TreeKind};
use crate::error::{Error, ErrorKind, Fault, Result, ResultCode};
use crate::raw::storage::Storage;
use crate::sql::quote_identifier;
use crate::statement::params::params_from_iter;
use crate::statement::{OwnedRows, Record, Row, Rows, Statement};
use crate::value::Value;
pub(crate) use findings::SMALL_ROWS;
use findings::{Findings, SMALL_RANGE_ROWS};
use lookup::{KeyValue, Names};
use program::Program;
pub(crate) use snapshot::{LastCommit, View};
use snapshot::{LogState, ReadError, Snapshot, SnapshotView};
pub(crate) use threads::{DecoderThreads, Filled, Part, Piece, Split};

const NOT_PLAIN: &str = "SQLite does more than scan a table or an index: a search, an order, a computed column, …";
const CONDITION: &str = "SQLite evaluates its condition: a value of it is not known, or has to be converted, or the \
                         snapshot of the table is not known";
const MOVED: &str = "another connection wrote while the scan began, or a transaction was already open";
pub(crate) const SMALL: &str = "the table is small: SQLite is as fast";
const TEMPORARY: &str = "it reads a temporary table";
const EMPTY: &str = "the table is empty";
const SMALL_RANGE: &str = "the range of rowids is small: SQLite is as fast";
pub(crate) const FIRST_ROWS: &str = "the first rows, for which SQLite is as fast, were enough";
const WRITTEN: &str = "the connection has written since the scan began";
const INTERRUPTED: &str = "the connection was interrupted";
const UNREADABLE: &str = "a page cannot be read";
const MALFORMED: &str = "a page is malformed";

/// Maximum number of first steps: only now and then a commit falls between the two reads of the log's index.
const ATTEMPTS: usize = 5;

/// SQLite's numbers of databases: the main one, that of temporary tables, and the first attached one.
const MAIN: i32 = 0;
const TEMP: i32 = 1;
const ATTACHED: i32 = 2;

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
    range: RowidRange,
    /// Values of the parameters.
    values: &'stmt [Value],
    view: View,
    threshold: Threshold,
    /// Results of earlier scans, where they are not those of the scan's own statement.
    findings: Option<&'stmt Findings>,
}

/// A scan that is about to begin, and a statement that holds its read transaction, unless that is open anyway. The first
/// step of the scan's own statement might read the whole table to find a row.
pub(crate) struct Anchor<'conn, 'stmt> {
    pub(crate) scan: PlainScan<'stmt>,
    pub(crate) transaction: Option<OwnedRows<'conn>>,
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
    without_own_errors(try_conditional(conn, statement, values, threshold))
}

/// Replaces an error of a statement of the page reader's own: that of the scan has its own, or none.
fn without_own_errors<T>(begun: Result<Option<T>>) -> Result<Option<T>> {
    match begun {
        // No statement is running that would keep the interrupt.
        Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::NoMemory { .. }) => Err(error),
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
    let is_known = is_small || statement.is_expired() || findings.is_known_not_plain(values, threshold);
    if conn.db().has_limits() || is_known {
        return Ok(None);
    }
    let Some(program) = findings.program(conn, statement.sql(), values)? else {
        return Ok(None);
    };
    let condition =
        program.condition.as_ref().and_then(|condition| condition.with_parameters(values, &program.sources));
    let (Some(condition), Some(range), Some(name)) =
        (condition, program.bounds.range(values), database_name(conn, program.database))
    else {
        return Ok(None);
    };
    let is_small = threshold == Threshold::Large && range.len() <= SMALL_RANGE_ROWS;
    if is_small || range.is_empty() || conn.db().has_replaced_collation() {
        return Ok(None);
    }
    let storage = Storage::new(conn.db(), program.database);
    let mut attempt = 0;
    let (view, transaction) = loop {
        attempt += 1;
        let before = LogState::take(storage);
        let sql = format!("SELECT 1 FROM {}.sqlite_schema", quote_identifier(&name));
        let mut transaction = conn.prepare(&sql)?.into_rows(())?;
        transaction.next()?;
        match View::after(before, storage) {
            SnapshotView::View(view) => break (view, transaction),
            SnapshotView::Moved if attempt < ATTEMPTS && conn.is_autocommit() => {}
            SnapshotView::Moved | SnapshotView::Unknown(_) => return Ok(None),
        }
    };
    // The program is that of the schema in this transaction, or another one will be found when SQLite prepares the
    // statement again.
    if i64::from(Names::schema_version(conn, &name)?) != program.schema_version {
        return Ok(None);
    }
    let scan =
        PlainScan { program, condition: Some(condition), range, values, view, threshold, findings: Some(findings) };
    Ok(Some(Anchor { scan, transaction: Some(transaction) }))
}

/// Returns the view of a connection's open transaction on its main database, which has begun while this was the last
/// commit; `None` if its pages cannot be read. Without a write-ahead log there is no such commit.
pub(crate) fn view_since(conn: &Connection, commit: Option<LastCommit>) -> Result<Option<View>> {
    if program::has_shared_cache(conn, "SELECT 1 FROM sqlite_schema")? {
        return Ok(None);
    }
    Ok(match View::after(LogState::at(commit), Storage::new(conn.db(), MAIN)) {
        SnapshotView::View(view) => Some(view),
        SnapshotView::Moved | SnapshotView::Unknown(_) => None,
    })
}

/// Begins a scan in an open transaction, whose view this is. Returns `None` for a statement that is not a scan of a table
/// of the main database, and where SQLite must evaluate its condition. `values` are those of the parameters.
pub(crate) fn begin_within<'conn, 'stmt>(
    conn: &'conn Connection,
    statement: &Statement<'_>,
    values: &'stmt [Value],
    view: View,
) -> Result<Option<Anchor<'conn, 'stmt>>> {
    if statement.is_expired() {
        return Ok(None);
    }
    let findings: &Findings = statement.findings();
    let Some(program) = without_own_errors(findings.program(conn, statement.sql(), values))? else {
        return Ok(None);
    };
    let condition = match &program.condition {
        Some(condition) => match condition.with_parameters(values, &program.sources) {
            Some(condition) => Some(condition),
            None => return Ok(None),
        },
        None => None,
    };
    let range = program.bounds.range(values).filter(|range| !range.is_empty());
    Ok(range.filter(|_| program.database == MAIN && !conn.db().has_replaced_collation()).map(|range| {
        let threshold = Threshold::Any;
        Anchor {
            scan: PlainScan { program, condition, range, values, view, threshold, findings: None },
            transaction: None,
        }
    }))
}

/// Returns the name of a database; `None` for that of temporary tables.
fn database_name(conn: &Connection, database: i32) -> Option<Box<str>> {
    match database {
        MAIN => Some("main".into()),
        TEMP => None,
        attached => Storage::new(conn.db(), attached).name(),
    }
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

/// Takes the first step, and determines the snapshot, and the table unless it is examined later. `values` are those of the
/// parameters.
pub(crate) fn begin<'stmt>(
    conn: &Connection,
    rows: &mut Rows<'_>,
    values: &'stmt [Value],
    threshold: Threshold,
    is_examined_later: bool,
) -> Result<FirstStep<'stmt>> {
    let db = conn.db();
    // The view of its first rows would be that of the main database.
    let is_examined_later = is_examined_later && Storage::new(db, ATTACHED).name().is_none();
    let (mut is_small, mut known) = (false, None);
    if !is_examined_later {
        let findings = Findings::of(rows);
        is_small = threshold == Threshold::Large && findings.was_small();
        // An expired statement may be of another database when SQLite has prepared it again, or the database have another
        // number.
        known = findings.database(values).filter(|_| !rows.current_raw().is_expired());
    }
    // If it is known, its cache is not shared: see `has_shared_cache`.
    let mut database = Some(known.unwrap_or(MAIN));
    let reason = if db.has_limits() {
        Some("a deadline or a limit is set, which SQLite keeps")
    } else if !is_examined_later && Findings::of(rows).is_known_not_plain(values, threshold) {
        Some(NOT_PLAIN)
    } else if is_small || known.is_some() || !program::has_shared_cache(conn, rows.current_raw().sql())? {
        None
    } else if Storage::new(db, ATTACHED).name().is_some() {
        // The first step tells which one it is.
        database = None;
        None
    } else {
        Some("it reads no table of the main database, or its cache may be shared with other connections")
    };
    if let Some(reason) = reason {
        return Ok(FirstStep::by_statement(rows.next()?.is_some(), reason));
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        // If the table was small, it is only checked whether it still is.
        let before = match database {
            Some(database) if !is_small => LogState::take(Storage::new(db, database)),
            _ => LogState::default(),
        };
        let has_row = rows.next()?.is_some();
        let left = |reason| Ok(FirstStep::by_statement(has_row, reason));
        if std::mem::take(&mut is_small)
            && let Some(reason) = Findings::of(rows).still_small(db)
        {
            return left(reason);
        }
        if !has_row {
            if let Some(database) = known {
                Findings::of(rows).set_empty(db, database);
            }
            return left(EMPTY);
        }
        let view = database.map(|database| View::after(before, Storage::new(db, database)));
        if let (true, Some(SnapshotView::View(view))) = (is_examined_later, view) {
            return Ok(FirstStep { has_row, scan: Err(SMALL), unexamined: Some(view) });
        }
        // Functions of the program that the first step has called must not be called again.
        let findings = Findings::of(rows);
        let Ok(Some(program)) = findings.program(conn, rows.current_raw().sql(), values) else {
            return left(NOT_PLAIN);
        };
        if program.database == TEMP {
            return left(TEMPORARY);
        }
        let view = match view {
            Some(view) if database == Some(program.database) => view,
            _ => View::after(LogState::default(), Storage::new(db, program.database)),
        };
        database = Some(program.database);
        let view = match view {
            SnapshotView::View(view) => view,
            SnapshotView::Unknown(reason) => return left(reason),
            // In an open transaction, another first step would not begin a new snapshot.
            SnapshotView::Moved if attempt < ATTEMPTS && conn.is_autocommit() => {
                rows.restart()?;
                continue;
            }
            SnapshotView::Moved => return left(MOVED),
        };
        let range = match program.bounds.range(values) {
            Some(range) if program.condition.is_none() => range,
            _ => return left(CONDITION),
        };
        if threshold == Threshold::Large && range.len() <= SMALL_RANGE_ROWS {
            findings.set_small_range();
            return left(SMALL_RANGE);
        }
        let scan = Ok(PlainScan { program, condition: None, range, values, view, threshold, findings: None });
        return Ok(FirstStep { has_row, scan, unexamined: None });
    }
}

/// Notes that the statement returned few rows at once. If it took many steps to find them, the next scan by it is examined
/// first: a condition may select few rows of a large table.
pub(crate) fn note_first_rows(rows: &Rows<'_>) {
    /// As many as for some values of [`SMALL_ROWS`] rows.
    const STEPS_MAX: i32 = 2000;
    if rows.current_raw().steps() > STEPS_MAX {
        // From now on there are findings.
        Findings::of(rows);
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
    if program.database != MAIN {
        return Err(TEMPORARY);
    }
    let condition = match &program.condition {
        Some(_) if conn.db().has_replaced_collation() => return Err(CONDITION),
        Some(condition) => Some(condition.with_parameters(&[], &program.sources).ok_or(CONDITION)?),
        None => None,
    };
    let range = program.bounds.range(&[]).ok_or(CONDITION)?;
    Ok(PlainScan { program, condition, range, values: &[], view, threshold, findings: None })
}

/// Notes that the table is not small, if it had more rows. Called at the end of a scan that SQLite ran.
pub(crate) fn note_rows(rows: &Rows<'_>, count: u64) {
    Findings::of(rows).note_rows(count);
}

/// Reads the rows of a table or an index from its pages.
pub(crate) struct PageRows<'rows> {
    reader: Reader<Snapshot<'rows>>,
    record: Record<'rows>,
    conn: &'rows Connection,
    /// Values of the parameters of the statement.
    values: Box<[Value]>,
    /// Name of the database, whose number may change.
    database: Box<str>,
    root: u32,
    kind: TreeKind,
    schema_version: u32,
    database_bytes: u64,
    end: End,
    /// Whether the current row has not been returned yet.
    owes_row: bool,
    /// Key of the last row in an index, if it is not that of the current row.
    last_key: Option<Vec<KeyValue>>,
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
        let PlainScan { program, condition, range, values, view, threshold, findings } = scan;
        let Program { database, root, .. } = *program;
        let storage = Storage::new(conn.db(), database);
        if let Err(reason) = view.check(storage) {
            return Ok(Err(reason));
        }
        let Some(name) = database_name(conn, database) else {
            return Ok(Err(TEMPORARY));
        };
        let stopped = |error| match error {
            ReadError::Written => Ok(Err(WRITTEN)),
            ReadError::Interrupted => Ok(Err(INTERRUPTED)),
            ReadError::Damage(damage) => damage_error(conn, damage).map_or(Ok(Err(MALFORMED)), Err),
            // Nothing was read from pages yet: the statement reads all rows.
            ReadError::Unreadable | ReadError::Unknown(_) => Ok(Err(UNREADABLE)),
        };
        let attached = (database != MAIN).then(|| name.clone());
        let snapshot = match Snapshot::open(storage, attached, view) {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(reason)) => return Ok(Err(reason)),
            Err(error) => return stopped(error),
        };
        let header = snapshot.header();
        let page_count = snapshot.page_count();
        if i64::from(header.schema_version.cast_signed()) != program.schema_version {
            return Ok(Err("the schema has changed since the statement was prepared"));
        }
        // The key of an index does not tell in which encoding its texts are compared.
        if condition.as_ref().is_some_and(|condition| !condition.lists.is_empty()) && header.encoding != Encoding::Utf8
        {
            return Ok(Err(CONDITION));
        }
        let condition = condition.map(Box::new);
        let mut cells =
            Cells::new(&program.sources, program.columns, condition, header.encoding, program.kind.key(), Vec::new());
        let database_bytes = u64::from(page_count) * header.page_bytes as u64;
        let payload_bytes_max = database_bytes.min(storage.value_bytes_max().into());
        let tree = Tree::new(snapshot, root, Shape::new(header, page_count), program.kind).within(range);
        let mut reader = Reader::new(tree, payload_bytes_max);
        let leaf = match reader.first_leaf(&mut cells) {
            Ok(leaf) => leaf,
            Err(error) => return stopped(error),
        };
        if threshold == Threshold::Large {
            let findings = findings.unwrap_or_else(|| Findings::of(rows));
            if range != RowidRange::ALL && reader.expected_rows() <= SMALL_RANGE_ROWS {
                // With a condition, the number of rows that SQLite returns does not tell that the next one is not.
                if cells.condition().is_none() {
                    findings.set_small_range();
                }
                return Ok(Err(SMALL_RANGE));
            }
            if leaf.page == root && leaf.cells <= SMALL_ROWS {
                findings.set_on_page(conn.db(), database, root, header.page_bytes);
                return Ok(Err(SMALL));
            }
        }
        let record = Record { cells, statement: rows.current_raw() };
        let schema_version = header.schema_version;
        let (end, owes_row, last_key) = (End::Natural, false, None);
        let (values, kind) = (values.into(), program.kind);
        Ok(Ok(Self {
            reader,
            record,
            conn,
            values,
            database: name,
            root,
            kind,
            schema_version,
            database_bytes,
            end,
            owes_row,
            last_key,
        }))
    }

    /// Skips rows that the statement has returned. The error is the reason why they cannot be read.
    pub(crate) fn skip(&mut self, rows: u64) -> Result<Result<(), &'static str>> {
        for _ in 0..rows {
            if self.next()?.is_none() {
                return Ok(Err(match self.end {
                    End::Left(cause) => cause.reason(),
                    End::Natural => UNREADABLE,
                    End::Written => WRITTEN,
                    End::Interrupted => INTERRUPTED,
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

    /// Whether the rows are those of an index, or of a table without rowids.
    pub(crate) fn is_of_index(&self) -> bool {
        self.kind != TreeKind::Table
    }

    pub(crate) fn has_condition(&self) -> bool {
        self.record.cells.condition().is_some()
    }

    /// Moves to the next cell.
    fn step(&mut self) -> Result<Outcome> {
        let step = self.reader.step(&mut self.record.cells);
        self.settle(step)
    }

    fn row(&self) -> Row<'_> {
        Row::of_record(&self.record)
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
        let is_decoded = matches!(step, Ok(Step::RowWithoutDefaults | Step::RowWithoutVerdict));
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
            Ok(Step::End) => {
                // In a child process, the pages that are in memory already can be read to the end.
                self.conn.db().check_usable().map_err(|fault| self.conn.error(fault))?;
                End::Natural
            }
            Err(ReadError::Written) => {
                // The write may have occurred while the rest of a long row was read. Its rowid is known then, and in an
                // index the key of the row before.
                self.owes_row = is_decoded || self.kind == TreeKind::Table && self.reader.is_on_row();
                End::Written
            }
            Err(ReadError::Interrupted) => End::Interrupted,
            Err(ReadError::Damage(damage)) => match (damage_error(self.conn, damage), self.reader.pages().check()) {
                (None, Ok(())) => End::Left(HandoverReason::Damage(damage)),
                (None, Err(ReadError::Interrupted)) => End::Interrupted,
                (None, Err(ReadError::Unknown(fault))) => return Err(self.unknown(fault)),
                // After a write, row numbers in the statement's result differ, and a damaged row may have no rowid to
                // continue from.
                (error, _) => {
                    let error = error.unwrap_or_else(|| corrupt(self.conn, damage));
                    return Err(error.in_sql(self.record.statement.sql()));
                }
            },
            Err(ReadError::Unreadable) => End::Left(HandoverReason::Unreadable),
            // Neither the statement nor another one can continue: the first would count rows, and the second start behind
            // a key, which in an index may be that of a row that was not returned.
            Err(ReadError::Unknown(fault)) => return Err(self.unknown(fault)),
        };
        Ok(Outcome::Ended)
    }

    #[cold]
    fn unknown(&self, fault: Fault) -> Error {
        self.conn.error(fault).in_sql(self.record.statement.sql())
    }

    /// Returns the reason why the scan ended.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// Returns the SQL that reads the remaining rows, and its parameters.
    pub(crate) fn remaining_rows_query(&mut self) -> Result<(String, Vec<Value>)> {
        let cells = &self.record.cells;
        let names = self.names()?;
        let key = match (self.kind, self.last_key.take()) {
            (TreeKind::Table, _) => vec![Value::Integer(cells.rowid).into()],
            (TreeKind::Index { .. }, Some(key)) => key,
            (TreeKind::Index { .. }, None) => key_of(cells),
        };
        names.select_rest((key, self.owes_row), self.reader.range().last, cells.condition()).ok_or_else(|| {
            Error::new(ErrorKind::Misuse { reason: "an index was altered while it was read from its pages" })
        })
    }

    /// Looks up the names each time: they may have changed.
    fn names(&self) -> Result<Names> {
        if Names::schema_version(self.conn, &self.database)? != self.schema_version && !self.is_table_as_it_was() {
            let reason = "a table was altered while it was read from its pages";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        let called = self.record.statement.column_names()?;
        Names::find(self.conn, &self.database, (self.root, self.kind), &self.record.cells.sources(), called)
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
            database_name(self.conn, now.database).as_ref() == Some(&self.database)
                && now.root == self.root
                && now.kind == self.kind
                && now.bounds.range(&self.values) == Some(self.reader.range())
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
            let range = self.reader.range();
            let (sql, parameters) = match self.has_condition() || range != RowidRange::ALL {
                true => self.names()?.select_all(range),
                false => (self.record.statement.sql().to_owned(), Vec::new()),
            };
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(parameters))?;
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

/// Returns the values of the current row of an index that define its place.
fn key_of<B: Deref<Target = [u8]>>(cells: &Cells<B>) -> Vec<KeyValue> {
    cells.key().map(|value| KeyValue::of(value, cells.encoding())).collect()
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
    error.in_databases(|| conn.db().files())
}

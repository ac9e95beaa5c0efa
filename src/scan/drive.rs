//! The loop of a scan: from a statement or from pages to the reader.

use super::reader::Reader;
use super::{Progress, ScanPlan};
use super::{plan, threads};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::pages::{self, Anchor, End, Expected, FirstStep, HandoverReason, PageRows, SMALL_ROWS, Threshold};
use crate::statement::params::params_from_iter;
use crate::statement::{Row, Rows};
use crate::value::Value;

/// Source of rows.
pub(super) trait Feed {
    fn next(&mut self) -> Result<Option<Row<'_>>>;
}

impl Feed for Rows<'_> {
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Row<'_>>> {
        Rows::next(self)
    }
}

impl Feed for PageRows<'_> {
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Row<'_>>> {
        PageRows::next(self)
    }
}

/// The first rows of a statement, or the current one alone.
struct FirstRows<'rows, 'stmt> {
    rows: &'rows mut Rows<'stmt>,
    /// Whether the current row has not been returned yet.
    is_owed: bool,
    /// Number of rows that are still to be returned.
    left: usize,
    /// Whether the statement has no more rows.
    is_ended: bool,
}

impl<'rows, 'stmt> FirstRows<'rows, 'stmt> {
    fn new(rows: &'rows mut Rows<'stmt>, is_owed: bool, left: usize) -> Self {
        Self { rows, is_owed, left, is_ended: false }
    }
}

impl Feed for FirstRows<'_, '_> {
    #[inline(always)]
    fn next(&mut self) -> Result<Option<Row<'_>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        if std::mem::take(&mut self.is_owed) {
            return Ok(Some(self.rows.current()));
        }
        let row = self.rows.next()?;
        self.is_ended = row.is_none();
        Ok(row)
    }
}

/// Beginning of a scan.
pub(super) enum Start<'conn, 'stmt> {
    /// With the first step of its statement.
    Step(StepStart<'stmt>),
    /// Before it.
    Anchored(Box<Anchor<'conn, 'stmt>>),
}

/// Beginning of a scan with the first step of its statement.
pub(super) struct StepStart<'stmt> {
    pub(super) threshold: Threshold,
    /// Values of its parameters, if there are some.
    pub(super) values: &'stmt [Value],
    pub(super) is_examined_later: bool,
}

/// Reason why `drive` returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DriveEnd {
    /// End of the rows of this source.
    Empty,
    /// End because no more rows are wanted.
    Enough,
}

/// Passes rows to the reader until there are no more, or no more are wanted.
pub(super) fn drive<E: From<Error>>(
    feed: &mut impl Feed,
    position: &mut ScanProgress<'_>,
    reader: &mut impl Reader<E>,
) -> Result<DriveEnd, E> {
    loop {
        let Some(stop) = position.next_stop() else {
            return Ok(DriveEnd::Enough);
        };
        // A local variable, so that it is kept in a register.
        let mut count = position.rows;
        while count < stop {
            let Some(row) = feed.next()? else {
                position.rows = count;
                return Ok(DriveEnd::Empty);
            };
            count += 1;
            if reader.read(row)?.is_break() {
                position.rows = count;
                return Ok(DriveEnd::Enough);
            }
        }
        position.rows = count;
    }
}

/// Reads the rows from the pages if possible, while the statement stays on its first row, or before it if there is an
/// anchor. Otherwise the statement returns them.
pub(super) fn run_by_pages<E: From<Error>>(
    conn: &Connection,
    rows: &mut Rows<'_>,
    start: Start<'_, '_>,
    threads: usize,
    position: &mut ScanProgress<'_>,
    plan: &mut Option<ScanPlan>,
    reader: &mut impl Reader<E>,
) -> Result<(), E> {
    // Number of steps that the statement has made, and whether the row of the last was not passed on.
    let (mut steps, mut is_owed) = (0, false);
    let (_transaction, has_row, scan) = match start {
        Start::Anchored(anchor) => {
            let Anchor { scan, transaction } = *anchor;
            (transaction, true, Ok(scan))
        }
        Start::Step(StepStart { threshold, values, is_examined_later }) => {
            let FirstStep { has_row, scan, unexamined } =
                pages::begin(conn, rows, values, threshold, is_examined_later)?;
            (steps, is_owed) = (1, true);
            match unexamined {
                None => (None, has_row, scan),
                Some(view) => {
                    *plan = Some(ScanPlan::by_statement(pages::FIRST_ROWS));
                    let mut first = FirstRows::new(rows, true, SMALL_ROWS);
                    let end = drive(&mut first, position, reader)?;
                    if end == DriveEnd::Enough || first.is_ended {
                        let reason = if first.is_ended { pages::SMALL } else { pages::FIRST_ROWS };
                        plan::leave(plan, rows.current_raw().sql(), position.rows, reason, &reason);
                        pages::note_first_rows(rows);
                        return Ok(());
                    }
                    (steps, is_owed) = (position.rows, false);
                    (None, true, pages::examine(conn, rows, view, threshold))
                }
            }
        }
    };
    let left = match scan {
        Ok(scan) => match PageRows::open(conn, rows, scan)? {
            Ok(mut pages) => match pages.skip(position.rows)? {
                Ok(()) => read_pages(conn, rows, pages, steps > 0, threads, (position, plan), reader)?,
                Err(reason) => Remaining::All(reason),
            },
            Err(reason) => Remaining::All(reason),
        },
        Err(reason) => Remaining::All(reason),
    };
    match left {
        Remaining::Nothing => return Ok(()),
        Remaining::Interrupt => {
            rows.next()?;
            return Err(Error::new(ErrorKind::Interrupted).into());
        }
        Remaining::Rows(cause) => {
            if !pages::catch_up(conn, rows, steps, position.rows, cause)? {
                return Ok(());
            }
            is_owed = true;
        }
        Remaining::All(reason) => {
            plan::leave(plan, rows.current_raw().sql(), position.rows, reason, &reason);
            if !has_row {
                return Ok(());
            }
        }
    }
    let owed = usize::from(is_owed);
    if drive(&mut FirstRows::new(rows, is_owed, owed), position, reader)? == DriveEnd::Empty {
        drive(rows, position, reader)?;
    }
    pages::note_rows(rows, position.rows);
    Ok(())
}

/// Rows that were not read from the pages.
enum Remaining {
    Nothing,
    /// None: the next step of the statement is interrupted.
    Interrupt,
    /// Those from the position on, which the statement has to reach.
    Rows(HandoverReason),
    /// All that have not been read by the statement, for this reason.
    All(&'static str),
}

/// Passes the rows of the pages to the reader.
fn read_pages<E: From<Error>>(
    conn: &Connection,
    rows: &Rows<'_>,
    mut pages: PageRows<'_>,
    has_stepped: bool,
    threads: usize,
    (position, plan): (&mut ScanProgress<'_>, &mut Option<ScanPlan>),
    reader: &mut impl Reader<E>,
) -> Result<Remaining, E> {
    *plan = Some(ScanPlan::by_pages(threads, &pages));
    let expected = pages.expected();
    reader.expect(rows.current(), Expected { rows: expected.rows.min(position.limit), ..expected })?;
    let pause = match threads::drive(&mut pages, rows, threads, position, reader)? {
        Some(pause) => pause,
        None => drive(&mut pages, position, reader)?,
    };
    if pause == DriveEnd::Enough {
        return Ok(Remaining::Nothing);
    }
    match pages.end() {
        End::Natural => Ok(Remaining::Nothing),
        End::Interrupted => Ok(Remaining::Interrupt),
        End::Written if position.rows == 0 => Ok(Remaining::All(plan::WRITTEN)),
        End::Written => {
            plan::leave(plan, rows.current_raw().sql(), position.rows, plan::WRITTEN, &plan::WRITTEN);
            drive_rest(conn, pages, position, reader)
        }
        End::Left(cause) => {
            plan::leave(plan, rows.current_raw().sql(), position.rows, cause.reason(), &cause);
            if has_stepped || pages.is_statement_as_it_was() {
                return Ok(Remaining::Rows(cause));
            }
            if matches!(cause, HandoverReason::Condition | HandoverReason::Unknown) {
                return drive_rest(conn, pages, position, reader);
            }
            let reason = "the connection changed what the statement reads, and a page is not readable";
            Err(Error::new(ErrorKind::Misuse { reason }).in_sql(rows.current_raw().sql()).into())
        }
    }
}

/// Passes the rows that were not read from the pages to the reader, by another statement.
fn drive_rest<E: From<Error>>(
    conn: &Connection,
    mut pages: PageRows<'_>,
    position: &mut ScanProgress<'_>,
    reader: &mut impl Reader<E>,
) -> Result<Remaining, E> {
    let (sql, parameters) = pages.remaining_rows_query()?;
    drop(pages);
    let mut rest = conn.prepare(&sql)?;
    let mut rest = rest.query(params_from_iter(parameters))?;
    drive(&mut rest, position, reader)?;
    rest.finish()?;
    Ok(Remaining::Nothing)
}

/// Position of a scan, and its next pause.
pub(super) struct ScanProgress<'a> {
    pub(super) rows: u64,
    pub(super) limit: u64,
    pub(super) progress: Option<Progress<'a>>,
}

impl ScanProgress<'_> {
    /// Reports progress if it is due. Returns the number of rows at which the next pause is; `None` at the end.
    pub(super) fn next_stop(&mut self) -> Option<u64> {
        if let Some(Progress { every, told, report }) = &mut self.progress
            && self.rows > *told
            && self.rows.is_multiple_of(*every)
        {
            *told = self.rows;
            if report(self.rows).is_break() {
                return None;
            }
        }
        if self.rows >= self.limit {
            return None;
        }
        let pause = self
            .progress
            .as_ref()
            .map_or(u64::MAX, |progress| (self.rows / progress.every + 1).saturating_mul(progress.every));
        Some(pause.min(self.limit))
    }
}

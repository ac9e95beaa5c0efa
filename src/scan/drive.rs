//! The loop of a scan: from a statement or from pages to the reader.

use super::reader::Reader;
use super::{Progress, ScanPlan};
use super::{crew, plan};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::pages::{self, Begun, End, Expected, PageRows, Worth};
use crate::statement::{Row, Rows};

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

/// The current row of a statement.
pub(super) struct First<'rows, 'stmt>(Option<&'rows Rows<'stmt>>);

impl Feed for First<'_, '_> {
    fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(self.0.take().map(Rows::current))
    }
}

/// Reason why `drive` returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// End of the rows of this source.
    Empty,
    /// End because no more rows are wanted.
    Enough,
}

/// Passes rows to the reader until there are no more, or no more are wanted.
pub(super) fn drive<E: From<Error>>(
    feed: &mut impl Feed,
    pace: &mut Pace<'_>,
    reader: &mut impl Reader<E>,
) -> Result<Pause, E> {
    loop {
        let Some(stop) = pace.next_stop() else {
            return Ok(Pause::Enough);
        };
        // A local variable, so that it is kept in a register.
        let mut count = pace.rows;
        while count < stop {
            let Some(row) = feed.next()? else {
                pace.rows = count;
                return Ok(Pause::Empty);
            };
            count += 1;
            if reader.read(row)?.is_break() {
                pace.rows = count;
                return Ok(Pause::Enough);
            }
        }
        pace.rows = count;
    }
}

/// Reads the rows from the pages if possible, while the statement stays on its first row. Otherwise the statement
/// returns them.
pub(super) fn run_by_pages<E: From<Error>>(
    conn: &Connection,
    rows: &mut Rows<'_>,
    worth: Worth,
    threads: usize,
    pace: &mut Pace<'_>,
    plan: &mut Option<ScanPlan>,
    reader: &mut impl Reader<E>,
) -> Result<(), E> {
    let Begun { has_row, scan } = pages::begin(conn, rows, worth)?;
    let opened = match scan {
        Ok(scan) => PageRows::open(conn, rows, scan)?,
        Err(reason) => Err(reason),
    };
    match opened {
        Ok(mut pages) => {
            *plan = Some(ScanPlan::by_pages(threads));
            let expected = pages.expected();
            reader.expect(rows.current(), Expected { rows: expected.rows.min(pace.limit), ..expected })?;
            let pause = match crew::drive(&mut pages, rows, threads, pace, reader)? {
                Some(pause) => pause,
                None => drive(&mut pages, pace, reader)?,
            };
            if pause == Pause::Enough {
                return Ok(());
            }
            match pages.end() {
                End::Natural => return Ok(()),
                End::Interrupted => {
                    rows.next()?;
                    return Err(Error::new(ErrorKind::Interrupted).into());
                }
                End::Left(cause) => {
                    drop(pages);
                    plan::leave(plan, rows.current_raw().sql(), pace.rows, cause.reason(), &cause);
                    if !pages::catch_up(conn, rows, pace.rows, cause)? {
                        return Ok(());
                    }
                }
                End::Written => {
                    plan::leave(plan, rows.current_raw().sql(), pace.rows, plan::WRITTEN, &plan::WRITTEN);
                    if pace.rows > 0 {
                        let (sql, rowid) = pages.rest()?;
                        drop(pages);
                        let mut rest = conn.prepare(&sql)?;
                        let mut rest = rest.query((rowid,))?;
                        drive(&mut rest, pace, reader)?;
                        return rest.finish().map_err(E::from);
                    }
                }
            }
        }
        Err(reason) => {
            plan::leave(plan, rows.current_raw().sql(), 0, reason, &reason);
            if !has_row {
                return Ok(());
            }
        }
    }
    if drive(&mut First(Some(rows)), pace, reader)? == Pause::Empty {
        drive(rows, pace, reader)?;
    }
    pages::note_rows(rows, pace.rows);
    Ok(())
}

/// Position of a scan, and its next pause.
pub(super) struct Pace<'a> {
    pub(super) rows: u64,
    pub(super) limit: u64,
    pub(super) progress: Option<Progress<'a>>,
}

impl Pace<'_> {
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

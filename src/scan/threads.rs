//! Columns decoded by several threads.

use super::drive::{DriveEnd, ScanProgress};
use super::reader::Reader;
use crate::error::{Error, Result};
use crate::pages::{DecoderThreads, Filled, PageRows, Split};
use crate::statement::Rows;

/// Number of bytes of pages in a part, for a result that is one batch.
const PART_BYTES: usize = 256 << 10;
/// Number of bytes of pages in a part, for several batches: a part that is a whole batch is handed over without a copy.
const BATCH_BYTES: usize = 1 << 20;
/// Smallest limit of the rows in a part, for batches that are smaller.
const PART_ROWS_MIN: usize = 1024;

/// Passes rows to the reader until there are no more, or no more are wanted. Returns `None` if one thread is to do so;
/// no row has been read then.
pub(super) fn drive<E: From<Error>>(
    pages: &mut PageRows<'_>,
    rows: &Rows<'_>,
    threads: usize,
    position: &mut ScanProgress<'_>,
    reader: &mut dyn Reader<E>,
) -> Result<Option<DriveEnd>, E> {
    let Some((batch, batch_rows)) = reader.batch().filter(|_| threads > 1) else {
        return Ok(None);
    };
    batch.begin(rows.current())?;
    let empty_part = batch.part();
    let (part_rows, bytes) = match batch_rows {
        usize::MAX => (usize::MAX, PART_BYTES),
        rows => (rows.saturating_mul(PART_ROWS_MIN.div_ceil(rows)), BATCH_BYTES),
    };
    // With a condition, the number of rows to decode is not known.
    let limit = if pages.has_condition() { u64::MAX } else { position.limit };
    let split = Split { threads, rows: part_rows as u64, bytes, limit };
    let mut threads = DecoderThreads::new(pages, split, empty_part);
    let mut stop = 0;
    while let Some(mut task) = threads.next()? {
        let mut from = 0;
        loop {
            if position.rows == stop {
                let Some(next) = position.next_stop() else {
                    return Ok(Some(DriveEnd::Enough));
                };
                stop = next;
            }
            let undecoded = task.next_undecoded();
            let to = undecoded.unwrap_or(task.part().len());
            if from < to
                && let Some((batch, _)) = reader.batch()
            {
                let left = usize::try_from(stop - position.rows).unwrap_or(usize::MAX);
                let count = (to - from).min(batch_rows - batch.len()).min(left);
                batch.append(task.part(), from..from + count).map_err(|error| error.in_sql(rows.current().sql()))?;
                from += count;
                position.rows += count as u64;
                if batch.len() == batch_rows {
                    reader.hand_over()?;
                }
            } else if undecoded.is_some() {
                let row = match threads.fill(&mut task)? {
                    Filled::Row(row) => row,
                    Filled::Unwanted => continue,
                    Filled::Ended => return Ok(Some(DriveEnd::Empty)),
                };
                position.rows += 1;
                if reader.read(row)?.is_break() {
                    return Ok(Some(DriveEnd::Enough));
                }
            } else {
                break;
            }
        }
        if !threads.finish(task)? {
            break;
        }
    }
    Ok(Some(DriveEnd::Empty))
}

//! Consumers of the rows of a scan: closures, batches, one batch of all rows.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::ColumnBatch;
use crate::error::{Error, Result};
use crate::pages::Expected;
use crate::statement::Row;

/// Consumer of the rows.
pub(super) trait Reader<E> {
    /// Processes a row. A break ends the scan.
    fn read(&mut self, row: Row<'_>) -> Result<ControlFlow<()>, E>;

    /// Announces the expected size. The row is only used for its columns.
    fn expect(&mut self, _: Row<'_>, _: Expected) -> Result<(), E> {
        Ok(())
    }

    /// Ends a scan that had no error. The row has no values, only columns.
    fn end(&mut self, _: Row<'_>) -> Result<(), E> {
        Ok(())
    }

    /// Returns the batch that rows are added to, and its number of rows, if the reader makes columns.
    fn batch(&mut self) -> Option<(&mut ColumnBatch, usize)> {
        None
    }

    /// Hands over the full batch.
    fn hand_over(&mut self) -> Result<(), E> {
        Ok(())
    }
}

pub(super) struct ForEach<'f, F, E> {
    pub(super) read: &'f mut F,
    pub(super) error: PhantomData<E>,
}

impl<E, F: FnMut(Row<'_>) -> Result<(), E>> Reader<E> for ForEach<'_, F, E> {
    #[inline(always)]
    fn read(&mut self, row: Row<'_>) -> Result<ControlFlow<()>, E> {
        (self.read)(row).map(ControlFlow::Continue)
    }
}

pub(super) struct TryForEach<'f, F, B, E> {
    pub(super) read: &'f mut F,
    pub(super) found: Option<B>,
    pub(super) error: PhantomData<E>,
}

impl<B, E, F: FnMut(Row<'_>) -> Result<ControlFlow<B>, E>> Reader<E> for TryForEach<'_, F, B, E> {
    #[inline(always)]
    fn read(&mut self, row: Row<'_>) -> Result<ControlFlow<()>, E> {
        match (self.read)(row)? {
            ControlFlow::Continue(()) => Ok(ControlFlow::Continue(())),
            ControlFlow::Break(found) => {
                self.found = Some(found);
                Ok(ControlFlow::Break(()))
            }
        }
    }
}

/// Reader that fills batches, and hands them over.
pub(super) struct Batches<F> {
    pub(super) batch: ColumnBatch,
    pub(super) rows: usize,
    /// Whether a result without rows is handed over too, as an empty batch.
    pub(super) has_empty: bool,
    /// Called with a full batch, which it leaves empty.
    pub(super) hand_over: F,
}

impl<E: From<Error>, F: FnMut(&mut ColumnBatch) -> Result<(), E>> Reader<E> for Batches<F> {
    #[inline(always)]
    fn read(&mut self, row: Row<'_>) -> Result<ControlFlow<()>, E> {
        self.batch.push(row)?;
        if self.batch.len() == self.rows {
            self.hand_over()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, columns: Row<'_>) -> Result<(), E> {
        // A result without rows has columns too, whose number may differ from the declared one.
        self.batch.begin(columns)?;
        let is_empty_result = self.batch.first_row() == 0 && self.has_empty;
        if self.batch.is_empty() && !is_empty_result { Ok(()) } else { self.hand_over() }
    }

    fn batch(&mut self) -> Option<(&mut ColumnBatch, usize)> {
        Some((&mut self.batch, self.rows))
    }

    #[inline(never)]
    fn hand_over(&mut self) -> Result<(), E> {
        self.batch.finish();
        (self.hand_over)(&mut self.batch)
    }
}

pub(super) struct Columns {
    pub(super) batch: ColumnBatch,
}

impl<E: From<Error>> Reader<E> for Columns {
    #[inline(always)]
    fn read(&mut self, row: Row<'_>) -> Result<ControlFlow<()>, E> {
        self.batch.push(row)?;
        Ok(ControlFlow::Continue(()))
    }

    fn expect(&mut self, first: Row<'_>, expected: Expected) -> Result<(), E> {
        self.batch.begin(first)?;
        self.batch.expect(expected);
        Ok(())
    }

    fn end(&mut self, columns: Row<'_>) -> Result<(), E> {
        self.batch.begin(columns)?;
        self.batch.finish();
        Ok(())
    }

    fn batch(&mut self) -> Option<(&mut ColumnBatch, usize)> {
        Some((&mut self.batch, usize::MAX))
    }
}

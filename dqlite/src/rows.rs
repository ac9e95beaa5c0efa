//! [`Rows`]: the rows of one execution, as they arrive.

use finalite::workspace::RemoteRow;
use finalite::{FromRow, Row};

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::link::{Cursor, Effect};
use crate::wire::{Batch, Request, Step};

/// One execution of a query: which batch of its rows has arrived, and which row was read last.
pub(crate) struct Execution<'conn> {
    conn: &'conn Connection,
    cursor: Cursor,
    effect: Effect,
    batch: Batch,
    /// Whether the last row was read, or an error ended the rows.
    is_done: bool,
}

impl<'conn> Execution<'conn> {
    /// Begins one. The first batch is in `row` afterwards.
    pub(crate) fn begin(
        conn: &'conn Connection,
        request: Request<'_>,
        effect: Effect,
        row: &mut RemoteRow,
    ) -> Result<Self> {
        let (cursor, body) = conn.link().query(request, effect)?;
        let mut execution = Self { conn, cursor, effect, batch: Batch::default(), is_done: false };
        execution.take(body, row)?;
        Ok(execution)
    }

    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor
    }

    fn take(&mut self, body: Vec<u8>, row: &mut RemoteRow) -> Result<()> {
        match Batch::begin(&body) {
            Ok((batch, names)) => {
                row.set_names(names.into_iter());
                self.batch = batch;
                row.set_buffer(body);
                Ok(())
            }
            Err(problem) => {
                self.is_done = true;
                Err(self.conn.link().unexpected(problem.0, self.effect))
            }
        }
    }

    /// Advances to the next row. Returns whether there is one.
    pub(crate) fn step(&mut self, row: &mut RemoteRow) -> Result<bool> {
        while !self.is_done {
            let (body, cells) = row.parts();
            match self.batch.next(body, cells) {
                Ok(Step::Row) => return Ok(true),
                Ok(Step::Done) => self.is_done = true,
                Ok(Step::More) => {
                    let spare = row.set_buffer(Vec::new());
                    let next = self.conn.link().next_batch(self.cursor, spare);
                    let next = next.and_then(|body| self.take(body, row));
                    if let Err(error) = next {
                        self.is_done = true;
                        return Err(error);
                    }
                }
                Err(problem) => {
                    self.is_done = true;
                    return Err(self.conn.link().unexpected(problem.0, self.effect));
                }
            }
        }
        // Nothing is left that a row could be read from.
        row.parts().1.clear();
        Ok(false)
    }
}

impl Execution<'_> {
    /// Whether a row follows the current one, which stays.
    fn has_another(&mut self, row: &RemoteRow) -> Result<bool> {
        let mut cells = Vec::new();
        match self.batch.next(row.buffer(), &mut cells) {
            Ok(Step::Row) => return Ok(true),
            Ok(Step::Done) => {
                self.is_done = true;
                return Ok(false);
            }
            Ok(Step::More) => {}
            Err(problem) => {
                self.is_done = true;
                return Err(self.conn.link().unexpected(problem.0, self.effect));
            }
        }
        let mut rest = RemoteRow::default();
        let next = self.conn.link().next_batch(self.cursor, Vec::new());
        if let Err(error) = next.and_then(|body| self.take(body, &mut rest)) {
            self.is_done = true;
            return Err(error);
        }
        self.step(&mut rest)
    }
}

impl Drop for Execution<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.conn.link().end_rows(self.cursor);
        }
    }
}

/// The rows of one execution of a [`Statement`](crate::Statement).
///
/// Rows arrive in batches of about 4 KB, and are read from the batch without a copy. Dropping rows before their end reads a
/// bounded rest ([`drain_bytes_max`](crate::ClusterBuilder::drain_bytes_max)), or ends the session: dqlite cannot stop
/// sending them. Another statement of the session may run meanwhile, which has the rest of the rows kept in memory, up to
/// [`keep_bytes_max`](crate::ClusterBuilder::keep_bytes_max).
pub struct Rows<'stmt> {
    execution: Execution<'stmt>,
    row: &'stmt mut RemoteRow,
    sql: &'stmt str,
}

impl<'stmt> Rows<'stmt> {
    pub(crate) fn new(execution: Execution<'stmt>, row: &'stmt mut RemoteRow, sql: &'stmt str) -> Self {
        Self { execution, row, sql }
    }

    /// Fetches the next row. It borrows the rows: the one before can no longer be used.
    ///
    /// # Errors
    ///
    /// SQLite's failure, at any row; the session's. There are no further rows after an error.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the rows, as an iterator's items cannot")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        let has_row = self.execution.step(self.row).map_err(|error| error.in_sql(self.sql))?;
        Ok(has_row.then(|| self.row.row()))
    }

    /// Fetches the next row as a type.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next), and of reading the row.
    pub fn next_as<T: for<'row> FromRow<'row>>(&mut self) -> Result<Option<T>> {
        let Some(row) = self.next()? else { return Ok(None) };
        Ok(Some(T::from_row(row)?))
    }

    /// Returns the names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[Box<str>] {
        self.row.names()
    }

    /// Reads the remaining rows, and drops them.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Self::next).
    pub fn finish(mut self) -> Result<()> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("columns", &self.row.names()).finish_non_exhaustive()
    }
}

/// The rows of a query as a type, as an iterator. Returned by [`Statement::query_as`](crate::Statement::query_as).
pub struct QueryAs<'stmt, T> {
    rows: Rows<'stmt>,
    read: std::marker::PhantomData<fn() -> T>,
}

impl<'stmt, T> QueryAs<'stmt, T> {
    pub(crate) fn new(rows: Rows<'stmt>) -> Self {
        Self { rows, read: std::marker::PhantomData }
    }
}

impl<T: for<'row> FromRow<'row>> Iterator for QueryAs<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.rows.next_as().transpose()
    }
}

impl<T> std::fmt::Debug for QueryAs<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rows.fmt(f)
    }
}

/// Runs a query whose only row is read by a closure; `None` if there is no row.
pub(crate) fn only_row<T>(
    mut execution: Execution<'_>,
    row: &mut RemoteRow,
    read: impl FnOnce(Row<'_>) -> finalite::Result<T>,
) -> Result<Option<T>> {
    if !execution.step(row)? {
        return Ok(None);
    }
    if execution.has_another(row)? {
        return Err(Error::new(ErrorKind::MoreThanOneRow));
    }
    // The session is free: the closure may use it.
    drop(execution);
    Ok(Some(read(row.row())?))
}

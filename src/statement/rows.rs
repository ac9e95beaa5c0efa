//! Rows of one execution of a statement.

use std::fmt;
use std::mem::{self, ManuallyDrop};

use super::from_row::FromRow;
use super::row::Row;
use crate::core::{Core, Place};
use crate::error::{Error, Fault, Result};
use crate::raw::{self, Binding, Borrowed, Cursor, Executed, Stmt};

/// An execution that borrows or owns its statement: the common part of [`Rows`] and [`OwnedRows`].
struct Execution<'conn, S: Executed> {
    cursor: Cursor<S>,
    core: &'conn Core,
}

impl<'conn, S: Executed> Execution<'conn, S> {
    #[inline]
    fn new(mut cursor: Cursor<S>, core: &'conn Core) -> Self {
        cursor.set_started(core.start_time(cursor.reads_only()));
        Self { cursor, core }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Row<'_>>> {
        if self.cursor.step_on() {
            return Ok(Some(Row::of_statement(self.cursor.row())));
        }
        self.step()
    }

    /// Handles every call of `next` that does not step from one row to the next: the first step, the end of the rows,
    /// and errors.
    #[inline(never)]
    fn step(&mut self) -> Result<Option<Row<'_>>> {
        if self.cursor.is_unstepped() {
            self.check_transaction()?;
        }
        match self.cursor.step().map(|row| row.is_some()) {
            Ok(is_row) => Ok(is_row.then(|| Row::of_statement(self.cursor.row()))),
            Err(fault) => Err(self.failed(fault)),
        }
    }

    #[cold]
    fn failed(&self, fault: Fault) -> Error {
        self.core.error(fault).without_bound(|| self.cursor.expanded_sql().ok())
    }

    /// Steps to the end, and ends the execution.
    fn complete(&mut self) -> Result<()> {
        if self.cursor.is_unstepped() {
            self.check_transaction()?;
        }
        self.cursor.complete().map_err(|fault| self.not_completed(fault))
    }

    #[cold]
    #[inline(never)]
    fn not_completed(&self, fault: Fault) -> Error {
        if self.cursor.is_ended() { self.core.error(fault) } else { self.failed(fault) }
    }

    /// Before the first step, returns an error if the transaction of a guard has ended.
    #[inline]
    fn check_transaction(&mut self) -> Result<()> {
        self.core.check_transaction().map_err(|error| {
            self.cursor.fail();
            error.in_sql(self.cursor.sql())
        })
    }

    #[inline]
    fn finish(&mut self) -> Result<()> {
        self.cursor.finish().map_err(|fault| self.core.error(fault))
    }

    #[inline]
    fn count_if_timed(&self) {
        if let Some(started) = self.cursor.started() {
            self.core.ended(started, self.cursor.sql(), self.cursor.site());
        }
    }

    /// Ends an execution whose time is measured. The time includes the reset, which may commit.
    #[inline]
    fn end_if_timed(&mut self) {
        if self.cursor.started().is_some() {
            self.cursor.end();
            self.count_if_timed();
        }
    }
}

/// One execution of a statement, whose rows are fetched one at a time.
///
/// Dropping it resets the statement immediately, which releases the read lock and the parameters. An error of the reset
/// (a change by `INSERT … RETURNING` that fails only then) is logged by Drop and returned by [`finish`](Self::finish).
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let mut statement = conn.prepare("VALUES (1, 'one'), (2, 'two')")?;
/// let mut rows = statement.query(())?;
/// let mut words = String::new();
/// while let Some(row) = rows.next()? {
///     words.push_str(row.get::<&str>(1)?);
/// }
/// assert_eq!(words, "onetwo");
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3_step](https://sqlite.org/c3ref/step.html)
#[must_use = "rows are fetched by `next`; a statement without rows is run by `execute`"]
pub struct Rows<'stmt>(Execution<'stmt, Borrowed<'stmt>>);

impl<'stmt> Rows<'stmt> {
    #[inline]
    pub(crate) fn new(cursor: Cursor<Borrowed<'stmt>>, core: &'stmt Core) -> Self {
        Self(Execution::new(cursor, core))
    }

    /// Fetches the next row; returns `None` after the last row, and from then on.
    ///
    /// The row borrows `self`, so it must end before the next row is fetched.
    ///
    /// # Errors
    ///
    /// Any error of SQLite, after which there are no more rows;
    /// [`ErrorKind::TransactionEnded`](crate::ErrorKind::TransactionEnded) before the first row.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the rows, which `Iterator` cannot say")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        self.0.next()
    }

    /// Returns the current row. Without one, returns a row without columns that still gives access to the statement's
    /// metadata.
    pub(crate) fn current(&self) -> Row<'_> {
        Row::of_statement(self.current_raw())
    }

    pub(crate) fn current_raw(&self) -> raw::Row<'_> {
        self.0.cursor.row()
    }

    /// Restarts the execution before its first row. The parameters stay bound.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.0.cursor.restart().map_err(|fault| self.0.core.error(fault))
    }

    /// Ends the execution, without fetching further rows, and returns the result of the reset, which Drop would only
    /// log.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless [`next`](Self::next) has returned it: for example, that of a change whose commit
    /// failed.
    ///
    /// C: [sqlite3_reset](https://sqlite.org/c3ref/reset.html)
    #[inline]
    pub fn finish(self) -> Result<()> {
        // The execution is ended here, so Drop need not run.
        let mut this = ManuallyDrop::new(self);
        let result = this.0.finish();
        this.0.count_if_timed();
        result
    }

    /// Runs the statement with the parameters that are bound to its end, without reading its rows. Returns the number of
    /// rows that it changed, after the result of the reset. `keeps_bound`: what is bound may stay bound.
    #[inline(always)]
    pub(super) fn execute(binding: Binding<'stmt, 'stmt>, core: &'stmt Core, keeps_bound: bool) -> Result<usize> {
        if !(core.is_at_ease() && binding.is_plain()) {
            return Self::execute_otherwise(binding.run(), core);
        }
        let mut cursor = binding.run();
        match cursor.complete_plain(keeps_bound) {
            Some(Ok(changes)) => {
                mem::forget(cursor);
                Ok(changes)
            }
            Some(Err(fault)) => Err(Execution { cursor, core }.not_completed(fault)),
            // SQLite sets the number of changes of a plain statement in any case.
            None => Self::new(cursor, core).complete().map(|()| core.changes()),
        }
    }

    #[inline(never)]
    fn execute_otherwise(cursor: Cursor<Borrowed<'stmt>>, core: &'stmt Core) -> Result<usize> {
        let before = core.db().total_changes();
        Self::new(cursor, core).complete()?;
        Ok(core.changes_since(before))
    }

    fn complete(mut self) -> Result<()> {
        // After an error, Drop does the rest.
        self.0.complete()?;
        ManuallyDrop::new(self).0.count_if_timed();
        Ok(())
    }

    /// Returns the SQL with the values in place of the parameters, for diagnostics. The text contains the bound values.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// C: [sqlite3_expanded_sql](https://sqlite.org/c3ref/expanded_sql.html)
    pub fn expanded_sql(&self) -> Result<Box<str>> {
        Ok(self.0.cursor.expanded_sql()?)
    }

    #[inline]
    pub(crate) fn next_as<T: for<'row> FromRow<'row>>(&mut self) -> Result<Option<T>> {
        match self.next()? {
            Some(row) => T::from_row(row).map(Some),
            None => Ok(None),
        }
    }
}

impl Drop for Rows<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.end_if_timed();
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("sql", &self.0.cursor.sql()).finish_non_exhaustive()
    }
}

/// Rows that own their statement, returned by [`Statement::into_rows`](crate::Statement::into_rows).
///
/// Dropping them resets the statement, and finalizes it or returns it to its cache.
#[must_use = "rows are fetched by `next`"]
pub struct OwnedRows<'conn> {
    /// `None` only within Drop.
    execution: Option<Execution<'conn, Stmt<'conn>>>,
    place: Place,
}

impl<'conn> OwnedRows<'conn> {
    pub(crate) fn new(cursor: Cursor<Stmt<'conn>>, core: &'conn Core, place: Place) -> Self {
        Self { execution: Some(Execution::new(cursor, core)), place }
    }

    /// Has the time of the execution be no one's, nor a slow one's.
    pub(crate) fn forget_time(&mut self) {
        self.execution().cursor.set_started(None);
    }

    #[inline]
    fn execution(&mut self) -> &mut Execution<'conn, Stmt<'conn>> {
        self.execution.as_mut().expect("taken by Drop")
    }

    /// Fetches the next row, as [`Rows::next`] does.
    ///
    /// # Errors
    ///
    /// Any error of SQLite, after which there are no more rows;
    /// [`ErrorKind::TransactionEnded`](crate::ErrorKind::TransactionEnded) before the first row.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the rows, which `Iterator` cannot say")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        self.execution().next()
    }

    /// Ends the execution and returns the result of the reset, as [`Rows::finish`] does.
    ///
    /// # Errors
    ///
    /// The error of the reset, unless [`next`](Self::next) has returned it.
    pub fn finish(mut self) -> Result<()> {
        // Drop does the rest.
        self.execution().finish()
    }
}

impl Drop for OwnedRows<'_> {
    fn drop(&mut self) {
        if let Some(mut execution) = self.execution.take() {
            execution.end_if_timed();
            execution.core.put_back(execution.cursor.into_statement(), self.place);
        }
    }
}

impl fmt::Debug for OwnedRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sql = self.execution.as_ref().map(|execution| execution.cursor.sql());
        f.debug_struct("OwnedRows").field("sql", &sql).finish_non_exhaustive()
    }
}

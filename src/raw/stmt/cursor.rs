//! One execution of a statement, and the row it stands on.

use std::any::Any;
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr;
use std::time::Instant;

use super::super::db::{Db, Entered};
use super::super::value::{self, OutOfMemory, Sink, ValueRef};
use super::super::{Fault, FaultKind, HandleKind, Taint, counts, ffi, fork, shielded};
use super::{Bound, Phase, Stmt, StmtCore, find, to_usize};

/// A cell could not be read. Which of the two it was is not carried along the way of those that can be read: ask
/// [`Row::is_out_of_memory`]; if not, there is no such column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellError;

impl StmtCore {
    /// From a row to the next. `false` if there is anything else to do, which is for `step`: a loop over rows has one
    /// way out, and nothing but the step in it.
    #[inline(always)]
    fn step_on(&mut self, db: &Db) -> bool {
        if self.phase.get() != Phase::Row {
            return false;
        }
        let Some(entered) = db.try_enter() else {
            return false;
        };
        let code = self.call_step(&entered);
        if code != ffi::SQLITE_ROW {
            self.phase.set(Phase::Left(code));
            self.columns = 0;
        }
        code == ffi::SQLITE_ROW
    }

    #[inline(always)]
    fn call_step(&mut self, entered: &Entered<'_>) -> c_int {
        let _charge = entered.charge();
        // SAFETY: the statement is alive and its bindings too (`Cursor` holds their borrow); no row of it is, since
        // a step needs the cursor exclusively. c3ref/step.html.
        unsafe { ffi::sqlite3_step(self.handle(entered)) }
    }

    /// The next row; `None` after the last. Result and row are two words, and travel in registers.
    fn step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        match self.phase.get() {
            Phase::Started => self.first_step(db),
            Phase::Left(code) => self.last_step(db, code),
            Phase::Row => {
                let _entered = db.enter()?;
                if self.step_on(db) { Ok(Some(Row(self))) } else { self.step(db) }
            }
            Phase::OutOfMemory => {
                self.phase.set(Phase::Failed);
                self.columns = 0;
                Err(Fault::no_memory().in_sql(&self.sql))
            }
            // SQLite would run the statement again (c3ref/step.html, since 3.6.23.1): nobody asked for that.
            Phase::Idle | Phase::Done | Phase::Failed => Ok(None),
        }
    }

    /// A schema change may have prepared the statement anew within the first step.
    #[inline]
    fn first_step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        drop(db.take_lost());
        let mut code = if self.taint.has(Taint::ATTACHED) { self.attach(db)? } else { self.call_step(&db.enter()?) };
        if code != ffi::SQLITE_ROW && code != ffi::SQLITE_DONE {
            let entered = db.enter()?;
            code = db.again_after_recovery(code, || self.call_step(&entered));
        }
        if self.names.get().is_some() || !self.handles.columns.is_empty() || self.findings.get().is_some() {
            self.refresh();
        }
        if code != ffi::SQLITE_ROW {
            return self.last_step(db, code);
        }
        self.phase.set(Phase::Row);
        // SAFETY: the statement is alive; c3ref/data_count.html: the columns of the current row.
        self.columns = unsafe { ffi::sqlite3_data_count(self.ptr.as_ptr()) };
        Ok(Some(Row(self)))
    }

    /// The only step of an ATTACH or DETACH.
    #[cold]
    #[inline(never)]
    fn attach(&mut self, db: &Db) -> Result<c_int, Fault> {
        let _opening = fork::Opening::begin();
        let code = self.call_step(&db.enter()?);
        if let Err(fault) = db.note_files() {
            self.phase.set(Phase::Failed);
            return Err(fault.in_sql(&self.sql));
        }
        Ok(code)
    }

    #[inline]
    fn last_step(&mut self, db: &Db, code: c_int) -> Result<Option<Row<'_>>, Fault> {
        self.columns = 0;
        if code == ffi::SQLITE_DONE {
            self.phase.set(Phase::Done);
            return Ok(None);
        }
        self.phase.set(Phase::Failed);
        Err(self.fault(db, code))
    }

    fn refresh(&mut self) {
        let reprepares = self.status(ffi::SQLITE_STMTSTATUS_REPREPARE);
        if reprepares == self.reprepares {
            return;
        }
        self.reprepares = reprepares;
        self.names.take();
        self.findings.take();
        if self.handles.columns.is_empty() {
            return;
        }
        let mut handles = std::mem::take(&mut self.handles.columns);
        let names = self.column_names().ok();
        for handle in &mut handles {
            handle.index = names.and_then(|names| find(names, &handle.name));
        }
        if names.is_none() {
            // Out of memory: the handles lead nowhere in this execution, and are looked at again in the next.
            self.reprepares = -1;
        }
        self.handles.columns = handles;
    }

    /// Ends the execution. The error is the reset's, unless the last step returned it already.
    #[inline]
    fn finish(&mut self, db: &Db) -> Result<(), Fault> {
        if self.phase.get() == Phase::Idle {
            return Ok(());
        }
        counts::closed(HandleKind::Rows);
        self.rest();
        self.columns = 0;
        let was_failed = self.phase.get() == Phase::Failed;
        self.phase.set(Phase::Idle);
        if db.is_inherited() {
            self.bound = Bound::Nothing;
            return Ok(());
        }
        let charge = db.charge();
        // SAFETY: the statement is alive and what it borrowed too; c3ref/reset.html.
        let code = unsafe { ffi::sqlite3_reset(self.ptr.as_ptr()) };
        let result = if code == ffi::SQLITE_OK || was_failed { Ok(()) } else { Err(self.fault(db, code)) };
        if self.bound != Bound::Nothing {
            self.bound = Bound::Nothing;
            // SAFETY: as above; "sqlite3_reset() does not reset the bindings" (c3ref/clear_bindings.html).
            unsafe { ffi::sqlite3_clear_bindings(self.ptr.as_ptr()) };
        }
        drop(charge);
        result
    }
}

/// One execution of a statement. Drop ends it.
pub(crate) struct Cursor<'stmt> {
    core: &'stmt mut StmtCore,
    db: &'stmt Db,
}

/// One execution, together with its statement.
pub(crate) struct OwnedCursor<'db>(Stmt<'db>);

/// The row that the last step found: one word, and gone before the next step.
#[derive(Clone, Copy)]
pub(crate) struct Row<'row>(&'row StmtCore);

impl<'stmt> Cursor<'stmt> {
    #[inline]
    pub(super) fn new(core: &'stmt mut StmtCore, db: &'stmt Db) -> Self {
        Self { core, db }
    }

    #[inline]
    pub(crate) fn set_started(&mut self, at: Option<Instant>) {
        self.core.started = at;
    }

    #[inline]
    pub(crate) fn started(&self) -> Option<Instant> {
        self.core.started
    }

    /// From a row to the next; `None` if there is anything else to do, which is for `step`.
    #[inline(always)]
    pub(crate) fn step_on(&mut self) -> bool {
        self.core.step_on(self.db)
    }

    /// The row that the last step found; one without columns if it found none.
    #[inline(always)]
    pub(crate) fn row(&self) -> Row<'_> {
        Row(self.core)
    }

    /// Whether the first step is still to come.
    #[inline]
    pub(crate) fn is_unstepped(&self) -> bool {
        self.core.phase.get() == Phase::Started
    }

    /// The next row; `None` after the last.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Row<'_>>, Fault> {
        self.core.step(self.db)
    }

    /// Resets, and returns the code that Drop only logs. No further step is made.
    #[inline]
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        self.core.finish(self.db)
    }

    /// Goes back to before the first row. The parameters stay.
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        let _charge = self.db.enter()?.charge();
        self.core.columns = 0;
        // SAFETY: the statement is alive and what it borrowed too, as `self` is; c3ref/reset.html.
        let code = unsafe { ffi::sqlite3_reset(self.core.ptr.as_ptr()) };
        self.core.phase.set(Phase::Started);
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.core.fault(self.db, code)) }
    }

    pub(crate) fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        self.core.expanded_sql(self.db)
    }

    pub(crate) fn sql(&self) -> &str {
        &self.core.sql
    }

    /// Where the statement was prepared.
    pub(crate) fn site(&self) -> &'static Location<'static> {
        self.core.site
    }

    /// Ends the execution as Drop does.
    #[inline]
    pub(crate) fn end(&mut self) {
        if let Err(fault) = self.core.finish(self.db) {
            lose(self.db, fault, self.core);
        }
    }
}

impl Drop for Cursor<'_> {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

impl<'db> OwnedCursor<'db> {
    pub(super) fn new(statement: Stmt<'db>) -> Self {
        Self(statement)
    }

    #[inline]
    pub(crate) fn set_started(&mut self, at: Option<Instant>) {
        self.0.core_mut().started = at;
    }

    #[inline]
    pub(crate) fn started(&self) -> Option<Instant> {
        self.0.core().started
    }

    /// From a row to the next; `None` if there is anything else to do, which is for `step`.
    #[inline(always)]
    pub(crate) fn step_on(&mut self) -> bool {
        let db = self.0.db;
        self.0.core_mut().step_on(db)
    }

    /// The row that the last step found; one without columns if it found none.
    #[inline(always)]
    pub(crate) fn row(&self) -> Row<'_> {
        Row(self.0.core())
    }

    /// Whether the first step is still to come.
    #[inline]
    pub(crate) fn is_unstepped(&self) -> bool {
        self.0.core().phase.get() == Phase::Started
    }

    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Row<'_>>, Fault> {
        let db = self.0.db;
        let core = self.0.core_mut();
        core.step(db)
    }

    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        let db = self.0.db;
        self.0.core_mut().finish(db)
    }

    /// Ends the execution as Drop does.
    pub(crate) fn end(&mut self) {
        if let Err(fault) = self.finish() {
            lose(self.0.db, fault, self.0.core());
        }
    }

    pub(crate) fn statement(&self) -> &Stmt<'_> {
        &self.0
    }

    /// Ends the execution, as dropping it would, and returns its statement.
    pub(crate) fn into_statement(mut self) -> Stmt<'db> {
        self.end();
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again, so that the statement has one owner still.
        unsafe { ptr::read(&raw const this.0) }
    }

    pub(crate) fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        self.0.core().expanded_sql(self.0.db)
    }
}

impl Drop for OwnedCursor<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A commit that fails shows at the reset (a deferred foreign key after RETURNING); whoever dropped the rows cannot
/// be told otherwise.
#[cold]
fn lose(db: &Db, fault: Fault, statement: &StmtCore) {
    if let FaultKind::Sqlite { code, message, .. } = fault.kind() {
        shielded(|| {
            tracing::error!(
                target: "finalite::statement",
                sql = &*statement.sql,
                code,
                %message,
                connection = db.id(),
                name = db.book().name(),
                prepared_at = %statement.site,
                "ended with an error that nobody waited for",
            );
        });
    }
    db.lose(fault);
}

impl<'row> Row<'row> {
    #[inline]
    pub(crate) fn column_count(self) -> usize {
        to_usize(self.0.columns)
    }

    /// The value of a column, 0-based.
    #[inline(always)]
    pub(crate) fn value(self, column: usize) -> Result<ValueRef<'row>, CellError> {
        let index = match c_int::try_from(column) {
            Ok(index) if index < self.0.columns => index,
            _ => return Err(CellError),
        };
        // SAFETY: the statement is alive; `Row` exists only after SQLITE_ROW and `columns` is the row's own count,
        // the two conditions of c3ref/column_blob.html.
        let value = unsafe { ffi::sqlite3_column_value(self.0.ptr.as_ptr(), index) };
        // SAFETY: the value is unprotected, which is allowed as the connection is used by this thread alone. It lives
        // until the next step, reset or finalize; those need the cursor or the statement, which `'row` keeps borrowed.
        // The cell is read as its own type only, here, so what was handed out stays.
        match unsafe { value::read(value) } {
            Ok(value) => Ok(value),
            Err(OutOfMemory) => Err(self.out_of_memory(index)),
        }
    }

    /// Hands each cell to the sink of its column, up to the end of either; the first error of a sink ends it, and is
    /// told with the column.
    #[inline(always)]
    pub(crate) fn read_into<S, E>(self, sinks: impl Iterator<Item = S>) -> Result<(), (usize, Option<E>)>
    where
        S: Sink<'row, Output = Result<(), E>>,
    {
        for (index, sink) in (0..self.0.columns).zip(sinks) {
            // SAFETY: as in `value`; the index is below the number of the row's columns.
            let value = unsafe { ffi::sqlite3_column_value(self.0.ptr.as_ptr(), index) };
            // SAFETY: as in `value`: unprotected is allowed here, and what is handed out stays while `'row` lasts.
            match unsafe { value::read_into(value, sink) } {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err((to_usize(index), Some(error))),
                Err(OutOfMemory) => {
                    let CellError = self.out_of_memory(index);
                    return Err((to_usize(index), None));
                }
            }
        }
        Ok(())
    }

    /// The failed conversion left a mark on the connection that would fail a stranger's next call; a `column`
    /// function takes it off, a `value` function does not.
    #[cold]
    #[inline(never)]
    fn out_of_memory(self, index: c_int) -> CellError {
        // SAFETY: as in `value`; reading the type converts nothing.
        unsafe { ffi::sqlite3_column_type(self.0.ptr.as_ptr(), index) };
        self.0.phase.set(Phase::OutOfMemory);
        CellError
    }

    /// Whether a cell of this row could not be read for lack of memory.
    pub(crate) fn is_out_of_memory(self) -> bool {
        self.0.phase.get() == Phase::OutOfMemory
    }

    pub(crate) fn column_names(self) -> Result<&'row [Box<str>], Fault> {
        self.0.column_names()
    }

    pub(crate) fn column_declared_type(self, column: usize) -> Option<Box<str>> {
        self.0.column_declared_type(column)
    }

    /// The 0-based index of the first column of this name, ASCII letters compared without case.
    pub(crate) fn find_column(self, name: &str) -> Result<Option<usize>, Fault> {
        Ok(find(self.0.column_names()?, name))
    }

    /// Where a handle points; `Err` with the name if that column is gone, `None` if it is another statement's handle.
    #[inline]
    pub(crate) fn resolve(self, owner: u64, number: usize) -> Option<Result<usize, &'row str>> {
        let handles = &self.0.handles;
        if handles.owner != owner {
            return None;
        }
        let handle = handles.columns.get(number)?;
        Some(handle.index.ok_or(&*handle.name))
    }

    pub(crate) fn sql(self) -> &'row str {
        &self.0.sql
    }

    /// What is kept with the statement, until SQLite prepares it anew. Made when it is first asked for.
    ///
    /// # Panics
    ///
    /// If it was asked for as another type.
    pub(crate) fn findings<T: Any + Send + Default>(self) -> &'row T {
        let findings = self.0.findings.get_or_init(|| Box::new(T::default()));
        findings.downcast_ref().expect("there is one type of them")
    }
}

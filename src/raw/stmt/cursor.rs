//! Execution of a statement, and its current row.

use std::any::Any;
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

use super::{Bound, ColumnHeads, Effect, Phase, Plans, Stmt, StmtCore, find, to_usize};
use crate::error::{Fault, FaultKind};
use crate::raw::db::{Db, Entered};
use crate::raw::ffi;
use crate::raw::os::fork;
use crate::raw::value::{self, OutOfMemory};
use crate::sql;
use crate::track::activity::Start;
use crate::track::{HandleKind, Taint, counts, shielded};
use crate::value::{Sink, ValueRef};

/// Error: a cell could not be read. To keep the successful path cheap, it does not carry the cause: if
/// [`Row::is_out_of_memory`] is false, the column does not exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellError;

impl StmtCore {
    /// Steps from a row to the next. Returns `false` in every other case, which `step` handles: a loop over rows has
    /// one exit, and contains only the SQLite step.
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
        // SAFETY: the statement is not finalized and its bound memory is valid: a cursor borrows both, or owns the
        // statement, which its values outlive (rules 1, 19). `entered` shows that the connection
        // may be used (rule 20). No row of the statement exists, since a step needs the cursor exclusively (rule 21,
        // c3ref/step.html).
        unsafe { ffi::sqlite3_step(self.handle(entered)) }
    }

    /// Enters the connection, or ends the execution: an iterator would repeat the error for ever.
    #[inline]
    fn enter<'db>(&mut self, db: &'db Db) -> Result<Entered<'db>, Fault> {
        db.enter().inspect_err(|_| self.fail())
    }

    fn fail(&mut self) {
        self.phase.set(Phase::Failed);
        self.columns = 0;
    }

    /// Returns the next row; `None` after the last. The result is two words and is returned in registers.
    fn step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        match self.phase.get() {
            Phase::Started => self.first_step(db),
            Phase::Left(code) => self.last_step(db, code),
            Phase::Row => {
                let _entered = self.enter(db)?;
                if self.step_on(db) { Ok(Some(Row(self))) } else { self.step(db) }
            }
            Phase::Limited => self.limited_step(db),
            Phase::OutOfMemory => {
                self.phase.set(Phase::Failed);
                self.columns = 0;
                Err(Fault::no_memory().in_sql(&self.sql))
            }
            // SQLite would run the statement again (c3ref/step.html, since 3.6.23.1), which was not requested.
            Phase::Idle | Phase::Done | Phase::Failed => Ok(None),
        }
    }

    /// Makes the first step, in which SQLite may re-prepare the statement after a schema change.
    #[inline]
    fn first_step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        drop(db.take_lost());
        match db.enter_undisturbed() {
            Some(entered) => self.first_step_in(db, &entered),
            None => self.disturbed_first_step(db),
        }
    }

    /// Makes the first step of an execution that may have limits.
    #[cold]
    #[inline(never)]
    fn disturbed_first_step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        let entered = self.enter(db)?;
        let is_rollback = sql::starts_with_keyword(&self.sql, "ROLLBACK");
        let execution = db.begin_execution(self.ptr, is_rollback).map_err(|fault| {
            self.fail();
            fault.in_sql(&self.sql)
        })?;
        let Some(mut execution) = execution else {
            return self.first_step_in(db, &entered);
        };
        let has_row = db.step_limited(&mut execution, || self.first_step_in(db, &entered).map(|row| row.is_some()))?;
        if !has_row {
            return Ok(None);
        }
        self.limits = Some(Box::new(execution));
        self.phase.set(Phase::Limited);
        self.counted_row(db)
    }

    /// Steps from a row to the next, in an execution that has limits.
    #[cold]
    #[inline(never)]
    fn limited_step(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        let entered = self.enter(db)?;
        let limits = if db.is_limited() { self.limits.take() } else { None };
        let Some(mut execution) = limits else {
            self.phase.set(Phase::Row);
            return self.step(db);
        };
        // The progress handler stops a statement that writes within a step, where SQLite rolls it back.
        if self.may_end_between_rows()
            && let Err(fault) = db.check_time(&execution)
        {
            self.fail();
            return Err(fault.in_sql(&self.sql));
        }
        let code = db.step_limited(&mut execution, || self.call_step(&entered));
        self.limits = Some(execution);
        if code == ffi::SQLITE_ROW { self.counted_row(db) } else { self.last_step(db, code) }
    }

    /// Whether an error between two rows means that nothing is stored. A statement that writes has made its changes before
    /// its first row, and the reset would commit them beside the error.
    fn may_end_between_rows(&self) -> bool {
        self.effect != Effect::Writes
    }

    /// Returns the current row, unless the execution has returned as many as it may.
    fn counted_row(&mut self, db: &Db) -> Result<Option<Row<'_>>, Fault> {
        if self.may_end_between_rows()
            && let Some(execution) = self.limits.as_mut()
            && let Err(fault) = db.count_row(execution)
        {
            self.fail();
            return Err(fault.in_sql(&self.sql));
        }
        Ok(Some(Row(self)))
    }

    #[inline(always)]
    fn first_step_in(&mut self, db: &Db, entered: &Entered<'_>) -> Result<Option<Row<'_>>, Fault> {
        let is_attach = self.taint.has(Taint::ATTACHED);
        let code = if is_attach { self.attach(entered, db)? } else { self.call_step(entered) };
        self.after_first_step(db, entered, code)
    }

    #[inline(always)]
    fn after_first_step(&mut self, db: &Db, entered: &Entered<'_>, code: c_int) -> Result<Option<Row<'_>>, Fault> {
        let is_attach = self.taint.has(Taint::ATTACHED);
        let mut code = code;
        // An ATTACH is run once: what it opened is noted, and the recovery is that of the main database.
        if code != ffi::SQLITE_ROW && code != ffi::SQLITE_DONE && !is_attach {
            code = db.again_after_recovery(code, || self.call_step(entered));
        }
        if self.has_details.get() {
            self.refresh();
        }
        if code != ffi::SQLITE_ROW {
            return self.last_step(db, code);
        }
        self.phase.set(Phase::Row);
        // SAFETY: `self` borrows the core, so the statement is not finalized (rule 19); c3ref/data_count.html: reads
        // "the number of columns in the current row" from memory (rules 20, 21).
        self.columns = unsafe { ffi::sqlite3_data_count(self.ptr.as_ptr()) };
        Ok(Some(Row(self)))
    }

    /// Makes the only step of an ATTACH or DETACH.
    #[cold]
    #[inline(never)]
    fn attach(&mut self, entered: &Entered<'_>, db: &Db) -> Result<c_int, Fault> {
        let _opening = fork::Opening::begin();
        let code = self.call_step(entered);
        if let Err(fault) = db.note_files() {
            self.fail();
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
        // The panic of a callback is the reason of the error. Drop ends the execution.
        db.resume();
        Err(self.fault(db, code))
    }

    fn refresh(&mut self) {
        let reprepares = self.status(ffi::SQLITE_STMTSTATUS_REPREPARE);
        if reprepares == self.reprepares {
            return;
        }
        self.reprepares = reprepares;
        self.names.take();
        self.heads.take();
        self.plans = Plans::default();
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
            // Out of memory: the handles resolve to no column in this execution, and are resolved again in the next.
            self.reprepares = -1;
        }
        self.handles.columns = handles;
    }

    /// Steps to the end, and ends the execution. After an error of a step, the execution has not ended.
    fn complete(&mut self, db: &Db) -> Result<(), Fault> {
        while self.step_on(db) || self.step(db)?.is_some() {}
        self.finish(db, false)
    }

    /// Makes the only step of a plain statement, ends the execution, and returns the number of rows that it changed. `None`
    /// if something is left that `complete` does. After an error of the step, the execution has not ended. `keeps_bound`:
    /// what is bound stays bound, and the mark of it stays set.
    #[inline(always)]
    fn complete_plain(&mut self, db: &Db, keeps_bound: bool) -> Option<Result<usize, Fault>> {
        let entered = db.enter_undisturbed()?;
        drop(db.take_lost());
        let charge = entered.charge();
        // SAFETY: the cursor borrows the statement and what is bound to it (rules 1, 19), `entered` shows that the connection
        // may be used (rule 20), and no row of the statement exists (rule 21, c3ref/step.html).
        let code = unsafe { ffi::sqlite3_step(self.handle(&entered)) };
        if code != ffi::SQLITE_DONE || db.is_disturbed() {
            drop(charge);
            return self.after_first_step(db, &entered, code).err().map(Err);
        }
        self.end_phase();
        if let Err(fault) = self.reset(db, Phase::Done, keeps_bound) {
            return Some(Err(fault));
        }
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); reads a number stored in it, which SQLite has
        // set at the end of the statement (c3ref/changes.html).
        let changes = unsafe { ffi::sqlite3_changes64(entered.db()) };
        drop(charge);
        Some(Ok(usize::try_from(changes).unwrap_or(0)))
    }

    /// Counts the commit of an execution that has ended, if it made one.
    fn count_commit(&self, db: &Db, was_run: bool, has_succeeded: bool) {
        let had_transaction = db.update_transaction();
        let may_be = match self.effect {
            Effect::Writes => was_run,
            Effect::Commits => had_transaction,
            Effect::None | Effect::BeginsOrRollsBack => false,
        };
        if may_be && has_succeeded && db.is_autocommit() {
            counts::committed();
        }
    }

    /// Ends the execution. Returns the error of the reset, unless the last step already returned it, and an error within
    /// a callback. `is_drop`: the panic of a callback is not resumed.
    #[inline]
    fn finish(&mut self, db: &Db, is_drop: bool) -> Result<(), Fault> {
        if self.phase.get() == Phase::Idle {
            return Ok(());
        }
        if db.is_disturbed() {
            return self.finish_disturbed(db, is_drop);
        }
        let phase = self.end_phase();
        let _charge = db.charge();
        self.reset(db, phase, false)
    }

    #[inline(always)]
    fn end_phase(&mut self) -> Phase {
        counts::closed(HandleKind::Rows);
        self.end_run();
        self.columns = 0;
        self.phase.replace(Phase::Idle)
    }

    /// Ends the execution of a statement whose connection was inherited or is closing, or whose callbacks left something
    /// to do. Within a callback, C is running: the execution goes on, and is left to the repair as a forgotten one.
    #[cold]
    #[inline(never)]
    fn finish_disturbed(&mut self, db: &Db, is_drop: bool) -> Result<(), Fault> {
        if db.is_in_callback() && !db.is_inherited() {
            return Err(db.refuse());
        }
        let phase = self.end_phase();
        if db.is_inherited() {
            self.bound = Bound::Nothing;
            return Ok(());
        }
        let ending = db.begin_ending();
        let charge = db.charge();
        let result = self.reset(db, phase, false);
        drop(charge);
        drop(ending);
        db.settle_callbacks();
        if !is_drop {
            db.resume();
        }
        result
    }

    /// Resets the statement, and clears its bindings. `phase` is that of the execution that ends. `keeps_bound`: what is bound
    /// stays bound, and the mark of it stays set. The callers charge what SQLite allocates to the connection.
    #[inline(always)]
    fn reset(&mut self, db: &Db, phase: Phase, keeps_bound: bool) -> Result<(), Fault> {
        // SAFETY: the core is borrowed, so the statement is not finalized, and the bound memory is valid, as the cursor
        // still exists (rules 1, 2, 19). No row exists, as `self` is exclusive (rule 21). A reset may end a
        // transaction, also while the connection is closing; it is not inherited, which disturbs a connection and which
        // the callers checked (rules 12, 20, c3ref/reset.html).
        let code = unsafe { ffi::sqlite3_reset(self.ptr.as_ptr()) };
        let may_commit = match self.effect {
            Effect::None => false,
            Effect::Writes => !db.has_transaction(),
            Effect::BeginsOrRollsBack | Effect::Commits => true,
        };
        let is_uneventful = code == ffi::SQLITE_OK && !may_commit;
        let result = if is_uneventful { Ok(()) } else { self.after_reset(db, phase, code) };
        if self.bound != Bound::Nothing && !keeps_bound {
            self.bound = Bound::Nothing;
            // SAFETY: the statement is not finalized, as above, and the reset has ended its execution (rules 2, 19).
            // "sqlite3_reset() does not reset the bindings" (c3ref/clear_bindings.html).
            unsafe { ffi::sqlite3_clear_bindings(self.ptr.as_ptr()) };
        }
        result
    }

    /// Handles the code of a reset that has failed, or may have committed. `phase` is that of the execution that ended.
    #[cold]
    #[inline(never)]
    fn after_reset(&self, db: &Db, phase: Phase, code: c_int) -> Result<(), Fault> {
        let was_failed = phase == Phase::Failed;
        let result = if code == ffi::SQLITE_OK || was_failed { Ok(()) } else { Err(self.fault(db, code)) };
        self.count_commit(db, phase != Phase::Started, code == ffi::SQLITE_OK && !was_failed);
        result
    }
}

/// A statement that is executed: borrowed ([`Borrowed`]) or owned ([`Stmt`]).
pub(crate) trait Executed {
    fn core(&self) -> &StmtCore;
    fn core_mut(&mut self) -> (&mut StmtCore, &Db);
    fn db(&self) -> &Db;
}

/// A statement that the execution borrows from its owner.
pub(crate) struct Borrowed<'stmt> {
    core: &'stmt mut StmtCore,
    db: &'stmt Db,
}

impl Executed for Borrowed<'_> {
    #[inline(always)]
    fn core(&self) -> &StmtCore {
        self.core
    }

    #[inline(always)]
    fn core_mut(&mut self) -> (&mut StmtCore, &Db) {
        (self.core, self.db)
    }

    #[inline(always)]
    fn db(&self) -> &Db {
        self.db
    }
}

impl Executed for Stmt<'_> {
    #[inline(always)]
    fn core(&self) -> &StmtCore {
        self.core()
    }

    #[inline(always)]
    fn core_mut(&mut self) -> (&mut StmtCore, &Db) {
        let db = self.db;
        (self.core_mut(), db)
    }

    #[inline(always)]
    fn db(&self) -> &Db {
        self.db
    }
}

/// Execution of a statement. Drop ends it.
pub(crate) struct Cursor<S: Executed>(S);

/// Row of the last step. It is one word, and ends before the next step.
#[derive(Clone, Copy)]
pub(crate) struct Row<'row>(&'row StmtCore);

impl<'stmt> Cursor<Borrowed<'stmt>> {
    #[inline]
    pub(super) fn borrow(core: &'stmt mut StmtCore, db: &'stmt Db) -> Self {
        Self(Borrowed { core, db })
    }
}

impl<'db> Cursor<Stmt<'db>> {
    pub(super) fn own(statement: Stmt<'db>) -> Self {
        Self(statement)
    }

    pub(crate) fn into_statement(mut self) -> Stmt<'db> {
        self.end();
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again, so the statement still has one owner (rules 3, 19).
        unsafe { ptr::read(&raw const this.0) }
    }
}

impl<S: Executed> Cursor<S> {
    /// Whether the statement neither writes nor begins or ends a transaction.
    #[inline]
    pub(crate) fn reads_only(&self) -> bool {
        self.0.core().effect == Effect::None
    }

    #[inline]
    pub(crate) fn set_started(&mut self, at: Option<Start>) {
        let started = &mut self.0.core_mut().0.started;
        if at.is_some() || started.is_some() {
            *started = at;
        }
    }

    #[inline]
    pub(crate) fn started(&self) -> Option<Start> {
        self.0.core().started
    }

    /// Steps from a row to the next. Returns `false` in every other case, which `step` handles.
    #[inline(always)]
    pub(crate) fn step_on(&mut self) -> bool {
        let (core, db) = self.0.core_mut();
        core.step_on(db)
    }

    /// Whether the execution has ended.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.core().phase.get() == Phase::Idle
    }

    /// Steps to the end, and ends the execution.
    pub(crate) fn complete(&mut self) -> Result<(), Fault> {
        let (core, db) = self.0.core_mut();
        core.complete(db)
    }

    /// Completes a plain execution, see [`Binding::is_plain`], that was not stepped. Returns the number of rows that it
    /// changed; `None` if something is left that [`complete`](Self::complete) does. `keeps_bound`: what is bound stays bound.
    ///
    /// [`Binding::is_plain`]: super::Binding::is_plain
    #[inline(always)]
    pub(crate) fn complete_plain(&mut self, keeps_bound: bool) -> Option<Result<usize, Fault>> {
        let (core, db) = self.0.core_mut();
        core.complete_plain(db, keeps_bound)
    }

    /// Returns the row of the last step; a row without columns if there is none.
    #[inline(always)]
    pub(crate) fn row(&self) -> Row<'_> {
        Row(self.0.core())
    }

    /// Whether no step was made yet.
    #[inline]
    pub(crate) fn is_unstepped(&self) -> bool {
        self.0.core().phase.get() == Phase::Started
    }

    /// Ends the execution before its first step.
    pub(crate) fn fail(&mut self) {
        self.0.core_mut().0.fail();
    }

    /// Returns the next row; `None` after the last.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Option<Row<'_>>, Fault> {
        let (core, db) = self.0.core_mut();
        core.step(db)
    }

    /// Resets the statement, and returns the error that Drop only logs. Later calls of `step` return no row.
    #[inline]
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        let (core, db) = self.0.core_mut();
        core.finish(db, false)
    }

    /// Resets the statement to before the first row. The parameters stay bound.
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        let (core, db) = self.0.core_mut();
        let _charge = db.enter()?.charge();
        core.columns = 0;
        // SAFETY: `self` borrows or owns the core, and what is bound outlives it, so the statement is not finalized and
        // the memory is valid (rules 1, 19). `enter` succeeded above (rule 20), and no row exists, as `self` is
        // exclusive (rule 21, c3ref/reset.html).
        let code = unsafe { ffi::sqlite3_reset(core.ptr.as_ptr()) };
        core.phase.set(Phase::Started);
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(core.fault(db, code)) }
    }

    pub(crate) fn expanded_sql(&self) -> Result<Box<str>, Fault> {
        self.0.core().expanded_sql(self.0.db())
    }

    pub(crate) fn sql(&self) -> &str {
        &self.0.core().sql
    }

    /// Returns the source location that prepared the statement.
    pub(crate) fn site(&self) -> &'static Location<'static> {
        self.0.core().site
    }

    /// Ends the execution as Drop does.
    #[inline]
    pub(crate) fn end(&mut self) {
        let (core, db) = self.0.core_mut();
        if let Err(fault) = core.finish(db, true)
            && core.phase.get() == Phase::Idle
        {
            lose(db, fault, core);
        }
    }
}

impl<S: Executed> Drop for Cursor<S> {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

/// Logs an error that Drop cannot return, and stores it in the connection. A failed commit may be reported by the reset
/// (for example a deferred foreign key after RETURNING).
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
                name = db.info().name(),
                prepared_at = %statement.site,
                "an execution ended in drop, with this error",
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

    /// Returns the value of a column, 0-based.
    #[inline(always)]
    pub(crate) fn value(self, column: usize) -> Result<ValueRef<'row>, CellError> {
        let index = match c_int::try_from(column) {
            Ok(index) if index < self.0.columns => index,
            _ => return Err(CellError),
        };
        // SAFETY: `'row` borrows the core, so the statement is not finalized (rule 19). `columns` is above 0 only while
        // the last step returned SQLITE_ROW, and `index` is below it: the two conditions of c3ref/column_blob.html
        // (rule 21). The cell is in memory (rule 20).
        let value = unsafe { ffi::sqlite3_column_value(self.0.ptr.as_ptr(), index) };
        // SAFETY: the value is unprotected, which is allowed as only this thread uses the connection (rule 12). It
        // lives until the next step, reset or finalize; those need the cursor or the statement, which `'row` keeps
        // borrowed (rule 21). The cell is only read as its own type, here, so slices returned earlier stay valid
        // (rule 9).
        match unsafe { value::read(value) } {
            Ok(value) => Ok(value),
            Err(OutOfMemory) => Err(self.out_of_memory(index)),
        }
    }

    /// Passes each cell to the sink of its column, up to the end of either. Stops at the first error of a sink, and
    /// returns it with the column.
    #[inline(always)]
    pub(crate) fn read_into<S, E>(self, sinks: impl Iterator<Item = S>) -> Result<(), (usize, Option<E>)>
    where
        S: Sink<'row, Output = Result<(), E>>,
    {
        for (index, sink) in (0..self.0.columns).zip(sinks) {
            // SAFETY: as in `value`: `'row` borrows the core, and `index` is below the number of the row's columns
            // (rules 19, 20, 21).
            let value = unsafe { ffi::sqlite3_column_value(self.0.ptr.as_ptr(), index) };
            // SAFETY: as in `value`: an unprotected value is allowed on the only thread that uses the connection, and
            // slices stay valid while `'row` lasts (rules 9, 12, 21).
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

    /// Clears the out-of-memory flag that the failed conversion set on the connection; otherwise the next call on it
    /// would fail. `sqlite3_column_*` functions clear it, `sqlite3_value_*` functions do not.
    #[cold]
    #[inline(never)]
    fn out_of_memory(self, index: c_int) -> CellError {
        // SAFETY: the callers have read this cell, so `index` is in range and the row is current, as in `value`
        // (rules 19, 20, 21); reading the type converts nothing (rule 9).
        unsafe { ffi::sqlite3_column_type(self.0.ptr.as_ptr(), index) };
        self.0.phase.set(Phase::OutOfMemory);
        CellError
    }

    /// Whether a cell of this row could not be read because memory ran out.
    pub(crate) fn is_out_of_memory(self) -> bool {
        self.0.phase.get() == Phase::OutOfMemory
    }

    pub(crate) fn column_names(self) -> Result<&'row [Box<str>], Fault> {
        self.0.column_names()
    }

    /// Returns names and declared types of the columns.
    pub(crate) fn column_heads(self) -> Result<&'row Arc<ColumnHeads>, Fault> {
        self.0.column_heads()
    }

    /// Returns the 0-based index of the first column of this name, compared without regard to ASCII case.
    pub(crate) fn find_column(self, name: &str) -> Result<Option<usize>, Fault> {
        Ok(find(self.0.column_names()?, name))
    }

    /// Returns the column index of a handle; `Err` with the name if the column no longer exists, `None` if the handle
    /// belongs to another statement.
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

    /// Returns the columns that were stored for a type, until SQLite re-prepares the statement.
    #[inline]
    pub(crate) fn plan(self, key: usize) -> Option<&'row [u16]> {
        self.0.plans.get(key)
    }

    /// Stores the columns of a type, for which none are stored.
    pub(crate) fn add_plan(self, key: usize, columns: Box<[u16]>) -> &'row [u16] {
        self.0.plans.add(key, columns)
    }

    /// Whether SQLite will prepare the statement again before its next first step, without having looked at the file.
    pub(crate) fn is_expired(self) -> bool {
        self.0.is_expired()
    }

    /// Number of instructions that SQLite has run for the statement, in all executions so far.
    pub(crate) fn steps(self) -> i32 {
        self.0.status(ffi::SQLITE_STMTSTATUS_VM_STEP)
    }

    /// Returns the data stored with the statement until SQLite re-prepares it. It is created on the first call.
    ///
    /// # Panics
    ///
    /// If it was created with another type.
    pub(crate) fn findings<T: Any + Send + Default>(self) -> &'row T {
        self.0.findings()
    }
}

//! Deadlines and limits of executions, without a thread: the progress handler and the busy handler look at the clock.
//!
//! While a limit is set, the connection is disturbed (`callback.rs`): each execution then begins in a cold function that
//! checks the deadline and notes the limits of the execution. Without limits, statements run no additional instruction.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Db, ffi};
use crate::error::{Cut, ExceededLimit, Fault, FaultKind};
use crate::track::HandleKind;
use crate::track::registry::Tracked;

/// Limits for each execution of a statement. Set by [`Connection::limit_queries`](crate::Connection::limit_queries).
///
/// The number of steps is that of SQLite's virtual machine. It is checked about every 1,000 instructions, so an
/// execution may make up to 2,000 more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct QueryLimits {
    pub(crate) time: Option<Duration>,
    pub(crate) rows: Option<u64>,
    pub(crate) steps: Option<u64>,
}

impl QueryLimits {
    /// Returns no limits.
    pub const fn new() -> Self {
        Self { time: None, rows: None, steps: None }
    }

    /// Limits the time from the first step of an execution. Includes the time that the caller spends between rows.
    pub const fn time(mut self, longest: Duration) -> Self {
        self.time = Some(longest);
        self
    }

    /// Limits the number of rows that an execution returns. The rows of a statement that writes (`RETURNING`) are not
    /// counted: its changes are made before the first one, and an error would hide that they are stored.
    pub const fn rows(mut self, most: u64) -> Self {
        self.rows = Some(most);
        self
    }

    /// Limits the number of instructions of the virtual machine.
    pub const fn steps(mut self, most: u64) -> Self {
        self.steps = Some(most);
        self
    }
}

/// A limit that the program has set, until it is ended.
#[derive(Debug)]
pub(crate) struct Scope {
    is_ended: AtomicBool,
    deadline: Option<TimeLimit>,
    limits: QueryLimits,
    /// Whether what runs is to end, set by any thread; `None` if nobody can set it.
    cancelled: Option<Arc<AtomicBool>>,
    /// The open handle; `None` before it is set on a connection, and when it has ended.
    tracked: Mutex<Option<Tracked>>,
}

impl Scope {
    pub(crate) fn deadline(allowed: Duration) -> Self {
        Self::new(TimeLimit::from_now(allowed), QueryLimits::new(), None)
    }

    pub(crate) fn limits(limits: QueryLimits) -> Self {
        Self::new(None, limits, None)
    }

    /// Ends what runs once the flag is set, or at the moment, of which the time that was allowed until it is known.
    pub(crate) fn cancelled_by(flag: Arc<AtomicBool>, deadline: Option<(Instant, Duration)>) -> Self {
        let deadline = deadline.map(|(at, allowed)| TimeLimit { at, allowed });
        Self::new(deadline, QueryLimits::new(), Some(flag))
    }

    fn new(deadline: Option<TimeLimit>, limits: QueryLimits, cancelled: Option<Arc<AtomicBool>>) -> Self {
        Self { is_ended: AtomicBool::new(false), deadline, limits, cancelled, tracked: Mutex::default() }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Ends the limit. The connection is disturbed, so it takes notice when it is next used.
    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
        drop(self.tracked().take());
    }

    fn tracked(&self) -> MutexGuard<'_, Option<Tracked>> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_active(&self) -> bool {
        !self.is_ended.load(Ordering::Relaxed)
    }

    /// Returns the time until the deadline; `None` if there is none.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|limit| limit.at.saturating_duration_since(Instant::now()))
    }
}

/// A moment, and the time that was allowed until it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    at: Instant,
    allowed: Duration,
}

impl TimeLimit {
    /// Returns `None` for a time that never ends.
    fn from_now(allowed: Duration) -> Option<Self> {
        Some(Self { at: Instant::now().checked_add(allowed)?, allowed })
    }

    fn earlier(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter().chain(other).min_by_key(|limit| limit.at)
    }

    fn cut(self) -> Cut {
        Cut::Deadline { allowed: self.allowed }
    }
}

/// Limits of one execution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execution {
    time: Option<TimeLimit>,
    rows: Option<u64>,
    rows_returned: u64,
    steps: Option<u64>,
    /// Number of instructions that the progress handler has counted.
    steps_made: u64,
    /// Whether it may run after a deadline: it rolls back.
    is_exempt: bool,
    statement: NonNull<ffi::sqlite3_stmt>,
}

/// The limits of a connection.
#[derive(Default)]
pub(super) struct Limits {
    scopes: RefCell<Vec<Arc<Scope>>>,
    /// Whether there are scopes, so that the connection is disturbed.
    is_active: Cell<bool>,
    /// The earliest deadline of the scopes; one that has ended counts until the connection is next used.
    earliest: Cell<Option<TimeLimit>>,
    /// The execution that is being stepped.
    running: Cell<Option<Execution>>,
    is_preparing: Cell<bool>,
    cut: Cell<Option<Cut>>,
    /// Number of instructions since the clock was last read.
    elapsed: Cell<u32>,
    /// Number of open guards of `Db::exempt_from_deadline`.
    exemptions: Cell<u32>,
}

/// Number of instructions between two looks at the clock.
const INTERVAL: u32 = 1_000;

impl Limits {
    pub(super) fn is_active(&self) -> bool {
        self.is_active.get()
    }

    fn each(&self, mut see: impl FnMut(&Scope)) {
        self.scopes.borrow().iter().filter(|scope| scope.is_active()).for_each(|scope| see(scope));
    }

    fn is_cancelled(&self) -> bool {
        self.scopes.borrow().iter().any(|scope| scope.is_active() && scope.is_cancelled())
    }

    /// Finds the earliest deadline, after the scopes have changed.
    fn set_earliest(&self) {
        let mut earliest = None;
        self.each(|scope| earliest = TimeLimit::earlier(earliest, scope.deadline));
        self.earliest.set(earliest);
    }

    /// Returns the earliest deadline, or the end of the execution's own time.
    fn time_limit(&self) -> Option<TimeLimit> {
        // One may have ended since, on another thread.
        self.set_earliest();
        TimeLimit::earlier(self.earliest.get(), self.running.get().and_then(|execution| execution.time))
    }

    /// Returns the number of instructions after which the progress handler is to be called.
    pub(super) fn interval(&self) -> u32 {
        let mut interval = u32::MAX;
        self.each(|scope| {
            let steps = scope.limits.steps.map_or(INTERVAL, |steps| u32::try_from(steps).unwrap_or(INTERVAL));
            interval = interval.min(steps.clamp(1, INTERVAL));
        });
        interval
    }

    /// Whether a scope has ended since the last `prune`.
    pub(super) fn has_ended(&self) -> bool {
        self.is_active.get() && self.scopes.borrow().iter().any(|scope| !scope.is_active())
    }

    /// Ends the scopes, with their connection.
    pub(super) fn end(&self) {
        self.scopes.take().iter().for_each(|scope| scope.end());
    }

    /// Forgets the scopes that have ended. Returns whether one had, and none is left.
    pub(super) fn prune(&self) -> bool {
        let mut scopes = self.scopes.borrow_mut();
        scopes.retain(|scope| scope.is_active());
        let is_empty = scopes.is_empty();
        drop(scopes);
        self.set_earliest();
        is_empty && self.is_active.replace(false)
    }
}

impl Db {
    /// Adds a limit, until it is ended.
    pub(crate) fn limit_queries(&self, scope: Scope, site: &'static Location<'static>) -> Result<Arc<Scope>, Fault> {
        let entered = self.enter_to_register()?;
        self.take_busy_slot()?;
        let name = match (&scope.cancelled, &scope.deadline) {
            (Some(_), _) => "cancellation",
            (None, Some(_)) => "deadline",
            (None, None) => "limits",
        };
        *scope.tracked() = Some(self.track(HandleKind::Deadline, site, name));
        let scope = Arc::new(scope);
        let limits = self.limits();
        limits.scopes.borrow_mut().push(Arc::clone(&scope));
        limits.set_earliest();
        if !limits.is_active.replace(true) {
            self.disturb();
        }
        self.install_limits(&entered).inspect_err(|_| scope.end())?;
        Ok(scope)
    }

    /// Whether limits were set when the connection was entered.
    pub(super) fn is_limited(&self) -> bool {
        self.limits().is_active()
    }

    /// Whether limits are set that have not ended.
    pub(crate) fn has_limits(&self) -> bool {
        let mut has_any = false;
        self.limits().each(|_| has_any = true);
        has_any
    }

    /// Exempts statements from deadlines and limits, for as long as the guard exists.
    pub(crate) fn exempt_from_limits(&self) -> Exemption<'_> {
        self.limits().exemptions.set(self.limits().exemptions.get() + 1);
        Exemption(self)
    }

    /// Begins an execution: checks the deadline. Returns its limits; `None` if there are none.
    pub(super) fn begin_execution(
        &self,
        statement: NonNull<ffi::sqlite3_stmt>,
        is_rollback: bool,
    ) -> Result<Option<Execution>, Fault> {
        let limits = self.limits();
        if !limits.is_active() {
            return Ok(None);
        }
        limits.cut.set(None);
        let mut all = QueryLimits::new();
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        limits.each(|scope| {
            all.time = least(all.time, scope.limits.time);
            all.rows = least(all.rows, scope.limits.rows);
            all.steps = least(all.steps, scope.limits.steps);
        });
        let is_exempt = is_rollback || limits.exemptions.get() > 0 || self.is_cleaning_up();
        if !is_exempt
            && let Some(deadline) = limits.earliest.get()
            && deadline.at <= Instant::now()
        {
            return Err(Fault::new(FaultKind::Cut(deadline.cut())));
        }
        if !is_exempt && limits.is_cancelled() {
            return Err(Fault::new(FaultKind::Cut(Cut::Interrupted)));
        }
        Ok(Some(Execution {
            time: all.time.and_then(TimeLimit::from_now),
            rows: all.rows.filter(|_| !is_exempt),
            rows_returned: 0,
            steps: all.steps,
            steps_made: 0,
            is_exempt,
            statement,
        }))
    }

    /// Runs a step of an execution within its limits.
    pub(super) fn step_limited<R>(&self, execution: &mut Execution, step: impl FnOnce() -> R) -> R {
        let running = &self.limits().running;
        let before = running.replace(Some(*execution));
        let result = step();
        if let Some(now) = running.replace(before) {
            *execution = now;
        }
        result
    }

    /// Counts a row of an execution. Returns an error if it has too many.
    pub(super) fn count_row(&self, execution: &mut Execution) -> Result<(), Fault> {
        execution.rows_returned += 1;
        match execution.rows {
            Some(most) if execution.rows_returned > most => {
                Err(Fault::new(FaultKind::Cut(Cut::Limit(ExceededLimit::Rows(most)))))
            }
            _ => Ok(()),
        }
    }

    /// Checks the time between two rows of an execution.
    pub(super) fn check_time(&self, execution: &Execution) -> Result<(), Fault> {
        if execution.is_exempt {
            return Ok(());
        }
        if self.limits().is_cancelled() {
            return Err(Fault::new(FaultKind::Cut(Cut::Interrupted)));
        }
        match TimeLimit::earlier(self.limits().earliest.get(), execution.time) {
            Some(limit) if limit.at <= Instant::now() => Err(Fault::new(FaultKind::Cut(limit.cut()))),
            _ => Ok(()),
        }
    }

    /// Marks that a statement is being prepared, during which the deadline is checked, too.
    pub(super) fn while_preparing<R>(&self, prepare: impl FnOnce() -> R) -> R {
        let is_preparing = self.limits().is_preparing.replace(true);
        let result = prepare();
        self.limits().is_preparing.set(is_preparing);
        result
    }

    /// Called by the progress handler after so many instructions. Returns whether the statement goes on.
    pub(super) fn tick(&self, instructions: u32) -> bool {
        let limits = self.limits();
        if !limits.is_active() {
            return true;
        }
        let mut running = limits.running.get();
        if let Some(execution) = &mut running {
            execution.steps_made = execution.steps_made.saturating_add(instructions.into());
            limits.running.set(running);
        }
        let elapsed = limits.elapsed.get().saturating_add(instructions);
        let is_due = elapsed >= INTERVAL;
        limits.elapsed.set(if is_due { 0 } else { elapsed });
        let excess = running.and_then(|execution| {
            let steps = execution.steps?;
            // SQLite counts from the previous execution, so that the first call may be early.
            let has_more = execution.steps_made >= steps.saturating_add(instructions.into());
            has_more.then_some(Cut::Limit(ExceededLimit::Steps(steps)))
        });
        let cut = match excess {
            Some(cut) => Some(cut),
            None if limits.is_cancelled() => Some(Cut::Interrupted),
            None if is_due => limits.time_limit().filter(|limit| limit.at <= Instant::now()).map(TimeLimit::cut),
            None => None,
        };
        match cut {
            Some(cut) if self.may_be_cut(running) => {
                limits.cut.set(Some(cut));
                false
            }
            _ => true,
        }
    }

    /// Whether the running statement may be stopped. SQLite also calls the progress handler when a statement has ended:
    /// stopped then, one that is committed would return an error.
    fn may_be_cut(&self, running: Option<Execution>) -> bool {
        if self.is_cleaning_up() || self.limits().exemptions.get() > 0 {
            return false;
        }
        match running {
            _ if self.limits().is_preparing.get() => true,
            Some(execution) if execution.is_exempt => false,
            Some(execution) => {
                // SAFETY: the statement is being stepped, so that it is not finalized (rule 19); c3ref/stmt_busy.html:
                // reads a state stored in it, which is false once the statement has run to its end (rule 20).
                unsafe { ffi::sqlite3_stmt_busy(execution.statement.as_ptr()) != 0 }
            }
            None => self.may_be_running(),
        }
    }

    /// Returns the longest time to wait for a lock; `None` if there is no limit. An error, which is kept, if there is no
    /// time left.
    pub(super) fn time_to_wait(&self) -> Result<Option<Duration>, ()> {
        let limits = self.limits();
        let is_exempt = self.is_cleaning_up() || limits.exemptions.get() > 0;
        if !limits.is_active() || is_exempt || limits.running.get().is_some_and(|execution| execution.is_exempt) {
            return Ok(None);
        }
        if limits.is_cancelled() {
            limits.cut.set(Some(Cut::Interrupted));
            return Err(());
        }
        let Some(limit) = limits.time_limit() else {
            return Ok(None);
        };
        let remaining = limit.at.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            limits.cut.set(Some(limit.cut()));
            return Err(());
        }
        Ok(Some(remaining))
    }

    /// Returns why SQLite was told to stop, if this code is the result.
    pub(super) fn take_cut(&self, code: c_int) -> Option<Cut> {
        match code & 0xff {
            ffi::SQLITE_INTERRUPT | ffi::SQLITE_BUSY => self.limits().cut.take(),
            _ => None,
        }
    }
}

/// Guard of [`Db::exempt_from_limits`].
#[must_use]
pub(crate) struct Exemption<'db>(&'db Db);

impl Drop for Exemption<'_> {
    fn drop(&mut self) {
        self.0.limits().exemptions.set(self.0.limits().exemptions.get() - 1);
    }
}

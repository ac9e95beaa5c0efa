//! The way to end what a worker runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use finalite::extend::ActiveLimits;
use finalite::pool::{Pool, PooledConnection, Role};
use finalite::{Connection, Error, InterruptHandle, Result, workspace};

use crate::handover::Interrupt;
use crate::spin::{self, Pace, Spin};
use crate::worker::Site;

/// Moment until which a call has to be done, and the time that was allowed until it.
pub(crate) type Deadline = Option<(Instant, Duration)>;

/// A worker, for whoever cancels what it runs.
pub(crate) struct Control {
    /// Whether the call that runs is cancelled. Limits of its connection look at it.
    cancelled: Arc<AtomicBool>,
    /// The connection of the call that runs, for what checks no limits: a `count(*)` of a large table, a sort.
    handle: Mutex<Option<InterruptHandle>>,
    /// Whether the worker is asked to look for a job.
    is_called: AtomicBool,
    /// Whether it looks for a job right now, without sleeping.
    is_spinning: AtomicBool,
    spin: Spin,
    has_several_processors: bool,
    pub(crate) pace: Pace,
    thread: Thread,
}

impl Control {
    /// Returns the control of this thread, which is a worker.
    pub(crate) fn of_this_thread() -> Self {
        Self {
            cancelled: Arc::default(),
            handle: Mutex::default(),
            is_called: AtomicBool::new(false),
            is_spinning: AtomicBool::new(false),
            spin: Spin::new(),
            has_several_processors: spin::processors() > 1,
            pace: Pace::default(),
            thread: workspace::current_thread().expect("a thread that begins has its variables"),
        }
    }

    fn handle(&self) -> MutexGuard<'_, Option<InterruptHandle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what runs on the connection end when the call is cancelled or its deadline has passed, for as long as the
    /// guard exists.
    pub(crate) fn supervise(&self, conn: &Connection, deadline: Deadline) -> Result<Supervision<'_>> {
        let limits = workspace::supervise(conn, Arc::clone(&self.cancelled), deadline)?;
        *self.handle() = Some(conn.interrupt_handle());
        Ok(Supervision { control: self, _limits: limits })
    }

    /// Has what runs on a connection that is supervised end at this deadline as well, for as long as the value exists.
    pub(crate) fn limit(&self, conn: &Connection, deadline: Deadline) -> Result<Option<ActiveLimits>> {
        deadline.map(|_| workspace::supervise(conn, Arc::clone(&self.cancelled), deadline)).transpose()
    }

    /// Checks out a connection for a call that was made at this place and began at this moment, until the call is
    /// cancelled or its deadline has passed.
    pub(crate) fn lend<'pool>(
        &self,
        pool: &'pool Pool,
        role: Role,
        made: (Site, Instant),
        deadline: Deadline,
    ) -> Result<PooledConnection<'pool>> {
        workspace::lend(pool, role, made, &self.cancelled, deadline)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Forgets that the last call was cancelled. Nobody can cancel it any more.
    pub(crate) fn renew(&self) {
        if self.is_cancelled() {
            self.cancelled.store(false, Ordering::Release);
        }
    }

    /// Waits until the condition holds, the call is cancelled or the deadline has passed. Returns whether it holds.
    /// Whoever makes it hold calls [`unpark`](Self::unpark).
    pub(crate) fn wait_until(&self, deadline: Deadline, mut holds: impl FnMut() -> bool) -> bool {
        loop {
            if holds() {
                return true;
            }
            if self.is_cancelled() {
                return false;
            }
            match deadline.map(|(at, _)| at.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Returns the error of a call that has not ended by itself: it is cancelled, or its deadline has passed.
    pub(crate) fn reason(&self, deadline: Deadline) -> Error {
        match deadline {
            Some((_, allowed)) if !self.is_cancelled() => workspace::deadline_passed(allowed),
            _ => workspace::interrupted(),
        }
    }

    /// Returns an error if the call is cancelled, or its deadline has passed.
    pub(crate) fn check(&self, deadline: Deadline) -> Result<()> {
        let is_late = deadline.is_some_and(|(at, _)| at <= Instant::now());
        if is_late || self.is_cancelled() { Err(self.reason(deadline)) } else { Ok(()) }
    }

    pub(crate) fn unpark(&self) {
        self.thread.unpark();
    }

    /// Has the worker return from [`sleep`](Self::sleep).
    pub(crate) fn call(&self) {
        self.is_called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Whether the worker is awake and waits for a job.
    pub(crate) fn is_spinning(&self) -> bool {
        self.is_spinning.load(Ordering::Relaxed)
    }

    /// Has the next [`sleep`](Self::sleep) spin first, if that pays.
    pub(crate) fn get_ready_to_spin(&self) {
        let pays = self.has_several_processors && self.pace.is_quick() && self.spin.pays();
        self.is_spinning.store(pays, Ordering::Relaxed);
    }

    /// Waits until it is called.
    pub(crate) fn sleep(&self) {
        let (begin, spins) = (Instant::now(), self.is_spinning());
        if spins {
            spin::spin(spin::WORKER_MAX, || self.is_called.load(Ordering::Relaxed));
            self.is_spinning.store(false, Ordering::Relaxed);
        }
        while !self.is_called.swap(false, Ordering::Acquire) {
            thread::park();
        }
        self.spin.note(begin.elapsed(), spins);
    }
}

impl Interrupt for Arc<Control> {
    fn interrupt(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(handle) = &*self.handle() {
            handle.interrupt();
        }
        self.unpark();
    }
}

/// Guard of [`Control::supervise`].
#[must_use]
pub(crate) struct Supervision<'a> {
    control: &'a Control,
    _limits: ActiveLimits,
}

impl Drop for Supervision<'_> {
    fn drop(&mut self) {
        *self.control.handle() = None;
    }
}

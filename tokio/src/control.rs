//! The way to end what a worker runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use finalite::extend::ActiveLimits;
use finalite::pool::{Pool, PooledConnection, Role};
use finalite::{Connection, InterruptHandle, Result, workspace};

use crate::handover::Interrupt;

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
    thread: Thread,
}

impl Control {
    /// Returns the control of this thread, which is a worker.
    pub(crate) fn of_this_thread() -> Self {
        Self {
            cancelled: Arc::default(),
            handle: Mutex::default(),
            is_called: AtomicBool::new(false),
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

    /// Checks out a connection for a call that began at this moment, until the call is cancelled or its deadline has
    /// passed.
    pub(crate) fn lend<'pool>(
        &self,
        pool: &'pool Pool,
        role: Role,
        since: Instant,
        deadline: Deadline,
    ) -> Result<PooledConnection<'pool>> {
        workspace::lend(pool, role, since, &self.cancelled, deadline)
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

    pub(crate) fn unpark(&self) {
        self.thread.unpark();
    }

    /// Has the worker return from [`sleep`](Self::sleep).
    pub(crate) fn call(&self) {
        self.is_called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Waits until it is called.
    pub(crate) fn sleep(&self) {
        while !self.is_called.swap(false, Ordering::Acquire) {
            thread::park();
        }
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

//! Limits of the time that calls spend in the queues of a pool.
//!
//! One thread keeps them, without tokio's time driver, which a runtime may lack, stop or move. It is started when a call
//! waits for others for the first time, and joined with the workers. A call costs it nothing: it looks through the queues
//! at the earliest limit that it was told, and again at the earliest of what is left.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use finalite::Error;
use finalite::pool::{Pool as SyncPool, Role};
use finalite::workspace::{self, Worker};

use crate::control::Deadline;
use crate::queue::Queue;
use crate::worker::shielded;

/// Maximum time for which a worker keeps a wake-up, while it runs another call, and for which calls that are left to it wait
/// for a look.
const TICK: Duration = Duration::from_millis(1);

/// Time for which a query runs before another worker is called for the calls behind it: at once for those that come later,
/// at the next look for those that came before.
pub(crate) const QUICK_MAX: Duration = Duration::from_micros(50);

/// Minimum time between two looks at the queues.
const PAUSE: Duration = Duration::from_millis(1);

/// Limit of the time that a call spends in a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// The beginning of the call.
    pub(crate) since: Instant,
    /// `None` is never.
    pub(crate) at: Option<Instant>,
    /// Time that the deadline allows, if that comes first.
    allowed: Option<Duration>,
    /// Whether the call waits for others.
    pub(crate) waits: bool,
    /// Whether the call is a query that may share a read transaction.
    pub(crate) shares: bool,
}

impl Limit {
    /// Returns the limit of a call that waits for as long as it takes.
    pub(crate) fn never() -> Self {
        Self { since: Instant::now(), at: None, allowed: None, waits: false, shares: false }
    }

    /// Returns the earlier of the pool's timeout and the deadline.
    pub(crate) fn new(pool: &SyncPool, deadline: Deadline) -> Self {
        let since = Instant::now();
        let timeout = since.checked_add(workspace::acquire_timeout(pool));
        match deadline {
            Some((at, allowed)) if timeout.is_none_or(|timeout| at < timeout) => {
                Self { since, at: Some(at), allowed: Some(allowed), waits: false, shares: false }
            }
            _ => Self { since, at: timeout, allowed: None, waits: false, shares: false },
        }
    }

    /// Returns the limit of a call that had the connection already, and waits to have it again: its deadline alone.
    pub(crate) fn of_deadline(deadline: Deadline) -> Self {
        let (at, allowed) = deadline.unzip();
        Self { since: Instant::now(), at, allowed, waits: false, shares: false }
    }

    fn error(&self, pool: &SyncPool, role: Role) -> Error {
        match self.allowed {
            Some(allowed) => workspace::deadline_passed(allowed),
            None => workspace::acquire_timed_out(pool, role, self.since.elapsed()),
        }
    }
}

/// The queues of a pool, and the thread that keeps the limits of their calls.
pub(crate) struct Timekeeper {
    pool: Arc<SyncPool>,
    queues: [(Role, Arc<Queue>); 2],
    state: Mutex<State>,
    changed: Condvar,
    /// Whether the thread is to look soon, for those who ask for it without the lock.
    is_ticking: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Moment of the next look at the limits in the queues.
    next: Option<Instant>,
    /// Moment of the next look at the wake-ups that are kept and at calls that a worker leaves, while there are some.
    tick: Option<Instant>,
    thread: Option<Worker>,
    is_stopped: bool,
}

impl Timekeeper {
    pub(crate) fn new(pool: &Arc<SyncPool>, queues: [(Role, Arc<Queue>); 2]) -> Arc<Self> {
        Arc::new(Self {
            pool: Arc::clone(pool),
            queues,
            state: Mutex::default(),
            changed: Condvar::new(),
            is_ticking: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_of_this_process(&self) -> bool {
        self.queues[0].1.process().is_this()
    }

    /// Has the limit of a call kept that was added to a queue.
    ///
    /// # Errors
    ///
    /// The operating system's error if the thread cannot be started.
    pub(crate) fn keep(self: &Arc<Self>, limit: Limit) -> io::Result<()> {
        if !self.is_of_this_process() {
            return Ok(());
        }
        let mut state = self.lock();
        if state.is_stopped {
            return Ok(());
        }
        if state.thread.is_none() {
            let this = Arc::clone(self);
            state.thread = Some(Worker::start("finalite-limits", move |_| this.run())?);
        }
        let Some(at) = limit.at.filter(|at| state.next.is_none_or(|next| *at < next)) else {
            return Ok(());
        };
        state.next = Some(at);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Has the wake-ups made that the queues keep, soon, and calls taken that were left to a worker whose call takes long.
    /// Returns whether the thread runs that does it. Nobody calls this in a child process.
    pub(crate) fn tick(&self) -> bool {
        // What was kept or left before is seen by the look, which begins by this flag.
        if self.is_ticking.load(Ordering::SeqCst) {
            return true;
        }
        let mut state = self.lock();
        if state.thread.is_none() {
            return false;
        }
        if state.tick.is_none() {
            state.tick = Instant::now().checked_add(TICK);
            self.is_ticking.store(true, Ordering::SeqCst);
            drop(state);
            self.changed.notify_one();
        }
        true
    }

    /// Ends the thread and joins it. No limit is kept from here on.
    pub(crate) fn stop(&self) {
        if !self.is_of_this_process() {
            return;
        }
        let mut state = self.lock();
        state.is_stopped = true;
        let thread = state.thread.take();
        drop(state);
        self.changed.notify_one();
        drop(thread);
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_stopped {
            let now = Instant::now();
            let (next, tick) = (state.next, state.tick);
            state = match next.into_iter().chain(tick).min() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now => {
                    self.changed.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(at) => {
                    // A wake-up that is kept from here on is made here, or sets it again.
                    state.tick = None;
                    self.is_ticking.store(false, Ordering::SeqCst);
                    drop(state);
                    self.queues.iter().for_each(|(_, queue)| queue.wakes.make());
                    let is_left = self.queues.iter().any(|(_, queue)| queue.call_overlooked());
                    let mut state = self.lock();
                    if is_left && state.tick.is_none() {
                        state.tick = now.checked_add(TICK);
                        self.is_ticking.store(true, Ordering::SeqCst);
                    }
                    if next == Some(at) {
                        // A call that is added from here on is seen in its queue, or tells its limit after this.
                        state.next = None;
                        drop(state);
                        let left = self.end_overdue(now).map(|at| at.max(now + PAUSE));
                        state = self.lock();
                        state.next = state.next.into_iter().chain(left).min();
                    }
                    state
                }
            };
        }
    }

    /// Ends the calls that have waited for too long. Returns the earliest limit of the others.
    fn end_overdue(&self, now: Instant) -> Option<Instant> {
        let mut earliest = None;
        for (role, queue) in &self.queues {
            let (overdue, next) = queue.take_overdue(now);
            for (job, limit) in overdue {
                job.refuse(&|| limit.error(&self.pool, *role));
                shielded(|| drop(job));
            }
            earliest = earliest.into_iter().chain(next).min();
        }
        earliest
    }
}

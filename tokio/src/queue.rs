//! The calls that wait for a worker, and the workers that wait for a call.
//!
//! Calls are taken in their order. At most one worker at a time is being woken: a call that comes meanwhile wakes nobody,
//! and a worker that has taken a call while others wait wakes the next. A call costs no wake-up while all workers are busy.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use finalite::Error;
use finalite::workspace::{OuterWaits, Process, pool_closed};

use crate::control::Control;
use crate::group::Grouped;
use crate::handover::Interrupt;
use crate::shared::SharedQuery;
use crate::sync::{Mutex, MutexGuard};
use crate::timekeeper::{Limit, QUICK_MAX};
use crate::wakes::Wakes;
use crate::worker::{Context as WorkerContext, shielded};

/// A call that waits for a worker.
pub(crate) trait Job: Send + Sync {
    /// Runs the call, unless it is over. Does not panic.
    fn run(&self, context: &WorkerContext<'_>);

    /// Ends the call with this error, if it has not begun. Does not panic.
    fn refuse(&self, reason: &dyn Fn() -> Error);

    /// Whether it has not begun, and was not cancelled.
    fn is_waiting(&self) -> bool;

    /// Returns the call if it is a query.
    fn query(&self) -> Option<&dyn SharedQuery> {
        None
    }

    /// Returns the call if it may share a transaction.
    fn grouped(&self) -> Option<&Grouped> {
        None
    }
}

/// A call in a queue, and the limit of its time there.
pub(crate) type Waiting = (Arc<dyn Job>, Limit);

/// Number of cancelled calls from which on they are removed, if they are half of those that wait.
const HUSKS_MIN: usize = 64;

/// Time that the calls take, at most, which follow each other on one worker while others sleep.
const FOLLOWING_MAX: Duration = Duration::from_micros(150);

/// A call that a worker has taken.
pub(crate) struct Next {
    pub(crate) job: Waiting,
    /// Number of calls that wait for others after it.
    pub(crate) waiting: usize,
    /// Whether these are left to the worker although others sleep.
    pub(crate) leaves: bool,
    /// Whether it is a query that may share a read transaction, and the first of these too.
    pub(crate) is_before_query: bool,
    pub(crate) taken: Instant,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    /// Maximum number of workers.
    size: usize,
    /// A child process has none of the workers, and may have inherited a lock that is held.
    process: Process,
    pub(crate) wakes: Wakes,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Waiting>,
    /// About the number of calls in `jobs` that were cancelled.
    husks: usize,
    /// Workers that sleep. The last one sleeps shortest, and is called first.
    asleep: Vec<Arc<Control>>,
    /// Number of workers that were called, and have not looked yet.
    called: usize,
    /// Number of workers that run a call.
    running: usize,
    workers: usize,
    /// Those of all workers that have begun.
    controls: Vec<Arc<Control>>,
    phase: Phase,
    /// The worker that has taken a query last, if its calls are quick and it does not sleep.
    quick: Option<QuickWorker>,
    /// Whether what runs was cancelled with the pool.
    is_cancelled: bool,
    /// Tasks that wait until nothing waits or runs, and the number of the wait.
    idle_wakers: Vec<(u64, Waker)>,
    /// The waits for other calls that are over.
    waits: u64,
    waited: Duration,
    timeouts: u64,
}

/// A worker whose calls are quick, and which runs a query.
#[derive(Clone, Copy)]
struct QuickWorker {
    /// Address of its control.
    control: usize,
    /// The moment at which it has taken the query.
    taken: Instant,
    /// Average time of its calls.
    average: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Phase {
    #[default]
    Open,
    /// No call is accepted; those that were accepted run.
    Closed,
    /// Workers end when no call waits.
    Stopped,
    /// Workers end, and all that runs is cancelled.
    Cancelled,
}

/// Fate of a call that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// A worker that is awake has taken notice, and its calls are quick.
    Soon,
    /// A worker is coming.
    Next,
    /// A worker has to be started.
    NeedsWorker,
    /// It waits for other calls to end.
    Waits,
    /// It is left to a worker whose calls are quick, although others sleep. `waits`: whether it waits for more calls than
    /// others sleep.
    Follows { waits: bool },
    /// The queue is closed.
    Refused,
    /// This process was forked from the one whose queue it is.
    Forked,
}

impl Queue {
    pub(crate) fn new(size: usize) -> Self {
        Self { state: Mutex::new(State::default()), size, process: Process::this(), wakes: Wakes::default() }
    }

    /// Locks the state; `None` in a child process.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.process.is_this().then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    pub(crate) fn push(&self, job: Arc<dyn Job>, limit: Limit) -> Pushed {
        self.push_unless(Phase::Closed, (job, limit))
    }

    /// Adds a call to a queue that may be closed.
    pub(crate) fn push_last(&self, job: Arc<dyn Job>) -> Pushed {
        self.push_unless(Phase::Stopped, (job, Limit::never()))
    }

    /// Adds a call if it need not wait for others.
    pub(crate) fn push_if_free(&self, job: Arc<dyn Job>, limit: Limit) -> Option<Pushed> {
        let has_to_wait = self.lock().is_some_and(|state| state.phase < Phase::Closed && !state.is_free(self.size));
        // Another one may come first, and is then waited for.
        (!has_to_wait).then(|| self.push(job, limit))
    }

    fn push_unless(&self, phase: Phase, (job, mut limit): Waiting) -> Pushed {
        let Some(mut state) = self.lock() else {
            return Pushed::Forked;
        };
        if state.phase >= phase {
            return Pushed::Refused;
        }
        limit.waits = !state.is_free(self.size);
        let waits = limit.waits;
        state.jobs.push_back((job, limit));
        let follows = !state.asleep.is_empty() && state.is_served_soon(limit.since);
        let called = if follows { None } else { state.call_one() };
        let pushed = if follows {
            Pushed::Follows { waits }
        } else if waits {
            Pushed::Waits
        } else if state.jobs.len() <= state.called + state.asleep.len() {
            let is_awake = called.as_ref().is_some_and(|called| called.is_spinning() && called.pace.is_quick());
            if is_awake { Pushed::Soon } else { Pushed::Next }
        } else {
            state.workers += 1;
            Pushed::NeedsWorker
        };
        drop(state);
        if let Some(called) = called {
            called.call();
        }
        pushed
    }

    /// Takes note that a worker could not be started. If there is no other, ends the calls with this error. Returns whether
    /// there is one.
    pub(crate) fn has_no_worker(&self, reason: &dyn Fn() -> Error) -> bool {
        let Some(mut state) = self.lock() else {
            return false;
        };
        state.workers -= 1;
        if state.workers > 0 {
            return true;
        }
        let jobs = std::mem::take(&mut state.jobs);
        state.husks = 0;
        let wakers = state.idle_wakers();
        drop(state);
        refuse_all(jobs, reason);
        wake_all(wakers);
        false
    }

    /// Removes the calls whose limit has passed. Returns them, and the earliest limit of the others.
    pub(crate) fn take_overdue(&self, now: Instant) -> (VecDeque<Waiting>, Option<Instant>) {
        let Some(mut state) = self.lock() else {
            return (VecDeque::new(), None);
        };
        let is_overdue = |(_, limit): &Waiting| limit.at.is_some_and(|at| at <= now);
        let mut overdue = VecDeque::new();
        if state.jobs.iter().any(is_overdue) {
            (overdue, state.jobs) = std::mem::take(&mut state.jobs).into_iter().partition(is_overdue);
        }
        for (job, limit) in &overdue {
            if job.is_waiting() {
                state.timeouts += 1;
                state.count_wait(limit, now);
            }
        }
        let earliest = state.jobs.iter().filter_map(|(_, limit)| limit.at).min();
        let wakers = state.idle_wakers();
        drop(state);
        wake_all(wakers);
        (overdue, earliest)
    }

    /// Whether the next call may share a transaction.
    pub(crate) fn is_next_grouped(&self) -> bool {
        self.lock().is_some_and(|state| state.jobs.front().is_some_and(|(job, _)| job.grouped().is_some()))
    }

    /// Takes the next call if it may share a transaction, and joins it.
    pub(crate) fn take_grouped(&self, joins: impl Fn(&Grouped) -> bool) -> Option<Waiting> {
        let mut state = self.lock()?;
        if !state.jobs.front()?.0.grouped().is_some_and(joins) {
            return None;
        }
        let (job, limit) = state.jobs.pop_front()?;
        if !job.is_waiting() {
            state.husks = state.husks.saturating_sub(1);
        } else if limit.waits {
            state.count_wait(&limit, Instant::now());
        }
        Some((job, limit))
    }

    /// Puts calls back that a worker has taken, in this order, before those that wait.
    pub(crate) fn put_back(&self, jobs: VecDeque<Waiting>) {
        let Some(mut state) = self.lock() else {
            return;
        };
        if state.is_cancelled {
            drop(state);
            refuse_all(jobs, &pool_closed);
            return;
        }
        for job in jobs.into_iter().rev() {
            state.jobs.push_front(job);
        }
    }

    /// Takes note of a cancelled call.
    pub(crate) fn forget_one(&self) {
        let Some(mut state) = self.lock() else {
            return;
        };
        state.husks += 1;
        let mut removed = VecDeque::new();
        if state.husks >= HUSKS_MIN && state.husks * 2 >= state.jobs.len() {
            (state.jobs, removed) = std::mem::take(&mut state.jobs).into_iter().partition(|(job, _)| job.is_waiting());
            state.husks = 0;
        }
        let wakers = state.idle_wakers();
        drop(state);
        removed.into_iter().for_each(|job| shielded(|| drop(job)));
        wake_all(wakers);
    }

    /// Adds a worker that has begun.
    pub(crate) fn add(&self, control: &Arc<Control>) {
        let Some(mut state) = self.lock() else {
            return;
        };
        state.controls.push(Arc::clone(control));
        if state.phase == Phase::Cancelled {
            control.interrupt();
        }
    }

    /// Removes a worker that ends.
    pub(crate) fn remove(&self, control: &Arc<Control>) {
        let Some(mut state) = self.lock() else {
            return;
        };
        state.controls.retain(|other| !Arc::ptr_eq(other, control));
        state.workers -= 1;
        let wakers = state.idle_wakers();
        drop(state);
        wake_all(wakers);
    }

    /// Takes the next call if it is a query that may share a read transaction which began then. Returns it with the number of
    /// calls that wait for others after it.
    pub(crate) fn take_query(
        &self,
        control: &Arc<Control>,
        begin: Instant,
        now: Instant,
    ) -> Option<(Arc<dyn Job>, usize)> {
        let mut state = self.lock()?;
        if !state.jobs.front().is_some_and(|(_, limit)| limit.shares && limit.since < begin) {
            return None;
        }
        let taken = state.jobs.pop_front()?;
        state.note_taken(&taken, now);
        state.note_pace(control, control.pace.quick(), now);
        Some((taken.0, state.waiting()))
    }

    /// Calls a worker if calls wait that another one has left for too long. Returns whether there may be more of them.
    pub(crate) fn call_overlooked(&self) -> bool {
        let Some(state) = self.lock() else {
            return false;
        };
        let is_left = !state.jobs.is_empty() && !state.asleep.is_empty();
        let is_served_soon = state.is_served_soon(Instant::now());
        drop(state);
        if is_left && !is_served_soon {
            self.call_next();
        }
        is_left
    }

    /// Calls a worker if a call waits, one sleeps, and none was called.
    pub(crate) fn call_next(&self) {
        let called = self.lock().and_then(|mut state| state.call_one());
        if let Some(called) = called {
            called.call();
        }
    }

    /// Waits for the next call; `None` when the worker has to end. `has_run`: whether the worker has run the last one.
    pub(crate) fn next(&self, control: &Arc<Control>, has_run: bool) -> Option<Next> {
        let mut state = self.lock()?;
        if has_run {
            state.running -= 1;
            // Under the lock, so that it does not undo the end of the pool.
            if state.phase < Phase::Cancelled {
                control.renew();
            }
        }
        let mut is_called = false;
        loop {
            state.called -= usize::from(is_called);
            if let Some(job) = state.jobs.pop_front() {
                state.running += 1;
                let taken = Instant::now();
                state.note_taken(&job, taken);
                // A closure may take long, and another one is to take what waits behind it.
                state.note_pace(control, control.pace.quick().filter(|_| job.1.shares), taken);
                let leaves = !state.jobs.is_empty() && !state.asleep.is_empty() && state.is_served_soon(taken);
                let called = if leaves { None } else { state.call_one() };
                let waiting = state.waiting();
                let is_before_query = job.1.shares && state.jobs.front().is_some_and(|(_, limit)| limit.shares);
                drop(state);
                if let Some(called) = called {
                    called.call();
                }
                return Some(Next { job, waiting, leaves, is_before_query, taken });
            }
            state.note_pace(control, None, Instant::now());
            if state.phase >= Phase::Stopped {
                drop(state);
                self.wakes.make();
                return None;
            }
            control.get_ready_to_spin();
            state.asleep.push(Arc::clone(control));
            let wakers = state.idle_wakers();
            drop(state);
            wake_all(wakers);
            self.wakes.make();
            control.sleep();
            state = self.lock()?;
            is_called = true;
        }
    }

    /// Accepts no more calls.
    pub(crate) fn close(&self) {
        let Some(mut state) = self.lock() else {
            return;
        };
        state.phase = if state.phase < Phase::Closed { Phase::Closed } else { state.phase };
    }

    /// Refuses what waits, and cancels what runs now.
    pub(crate) fn cancel_all(&self) {
        self.close();
        let Some(mut state) = self.lock() else {
            return;
        };
        let jobs = std::mem::take(&mut state.jobs);
        state.husks = 0;
        let is_over = state.running == 0;
        state.is_cancelled = true;
        for control in state.controls.iter().filter(|_| !is_over) {
            control.interrupt();
        }
        let wakers = state.idle_wakers();
        drop(state);
        refuse_all(jobs, &pool_closed);
        wake_all(wakers);
    }

    /// Has the workers end when no call waits or, with `cancels`, at once: calls that wait are refused, and those that run
    /// are cancelled.
    pub(crate) fn stop(&self, cancels: bool) {
        let Some(mut state) = self.lock() else {
            return;
        };
        let phase = if cancels { Phase::Cancelled } else { Phase::Stopped };
        if state.phase < phase {
            state.phase = phase;
        }
        let mut jobs = VecDeque::new();
        if cancels {
            state.is_cancelled = true;
            jobs = std::mem::take(&mut state.jobs);
            state.husks = 0;
            state.controls.iter().for_each(Interrupt::interrupt);
        }
        let asleep = std::mem::take(&mut state.asleep);
        state.called += asleep.len();
        drop(state);
        asleep.iter().for_each(|control| control.call());
        refuse_all(jobs, &pool_closed);
    }

    /// Waits until no call waits and none runs. The wait has a number of its own, by which it is [left](Self::leave_idle).
    pub(crate) fn poll_idle(&self, wait: u64, task: &mut Context<'_>) -> Poll<()> {
        // Code of the executor.
        let waker = task.waker().clone();
        let Some(mut state) = self.lock() else {
            return Poll::Ready(());
        };
        let former = state.take_idle_waker(wait);
        let is_idle = state.is_idle();
        if !is_idle {
            state.idle_wakers.push((wait, waker));
        }
        drop(state);
        drop(former);
        if is_idle { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ends a wait of [`poll_idle`](Self::poll_idle).
    pub(crate) fn leave_idle(&self, wait: u64) {
        let former = self.lock().and_then(|mut state| state.take_idle_waker(wait));
        drop(former);
    }

    /// Returns the calls that wait, and those that have waited for others.
    pub(crate) fn waits(&self) -> OuterWaits {
        let Some(state) = self.lock() else {
            return OuterWaits::default();
        };
        let waiting = state.jobs.len().saturating_sub(state.husks);
        OuterWaits { waiting, timeouts: state.timeouts, waits: state.waits, waited: state.waited }
    }
}

/// Ends calls that were taken off the queue.
fn refuse_all(jobs: VecDeque<Waiting>, reason: &dyn Fn() -> Error) {
    for (job, _) in jobs {
        job.refuse(reason);
        shielded(|| drop(job));
    }
}

/// Wakes tasks. A waker is code of an executor: a panic of one does not keep the others asleep, nor end the thread.
fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(|waker| shielded(|| waker.wake()));
}

impl State {
    /// Takes note of a call that was taken off the queue.
    fn note_taken(&mut self, (job, limit): &Waiting, now: Instant) {
        if limit.waits && job.is_waiting() {
            self.count_wait(limit, now);
        }
        if self.husks > 0 && (self.jobs.is_empty() || !job.is_waiting()) {
            self.husks = if self.jobs.is_empty() { 0 } else { self.husks - 1 };
        }
    }

    /// Takes note that a worker has taken a query, and of the average time of its calls if they are quick; otherwise it
    /// counts as quick no more.
    fn note_pace(&mut self, control: &Arc<Control>, average: Option<Duration>, taken: Instant) {
        let control = Arc::as_ptr(control).addr();
        match average {
            Some(average) => self.quick = Some(QuickWorker { control, taken, average }),
            None => self.quick = self.quick.filter(|quick| quick.control != control),
        }
    }

    /// Returns the number of calls for whose sake wake-ups may be kept: only where the timekeeper looks after them, which is
    /// told of calls that wait for others.
    fn waiting(&self) -> usize {
        let has_limit_kept = self.jobs.back().is_some_and(|(_, limit)| limit.waits || limit.shares);
        if has_limit_kept { self.jobs.len() } else { 0 }
    }

    /// Whether a worker that is awake takes what waits before another one is awake.
    fn is_served_soon(&self, now: Instant) -> bool {
        self.quick.is_some_and(|quick| {
            let calls = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
            now.saturating_duration_since(quick.taken) < QUICK_MAX
                && quick.average.saturating_mul(calls) <= FOLLOWING_MAX
        })
    }

    /// Chooses the worker to call, if a call waits and none was called.
    fn call_one(&mut self) -> Option<Arc<Control>> {
        if self.jobs.is_empty() || self.called > 0 {
            return None;
        }
        let called = self.asleep.pop()?;
        self.called += 1;
        Some(called)
    }

    /// Whether a call that is added now need not wait for others, in a queue with so many workers.
    fn is_free(&self, size: usize) -> bool {
        self.jobs.len() < self.called + self.asleep.len() || self.workers < size
    }

    fn count_wait(&mut self, limit: &Limit, now: Instant) {
        self.waits += 1;
        self.waited = self.waited.saturating_add(now.saturating_duration_since(limit.since));
    }

    fn take_idle_waker(&mut self, wait: u64) -> Option<Waker> {
        let at = self.idle_wakers.iter().position(|(other, _)| *other == wait)?;
        Some(self.idle_wakers.swap_remove(at).1)
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.jobs.is_empty()
    }

    fn idle_wakers(&mut self) -> Vec<Waker> {
        let wakers = if self.is_idle() { std::mem::take(&mut self.idle_wakers) } else { Vec::new() };
        wakers.into_iter().map(|(_, waker)| waker).collect()
    }
}

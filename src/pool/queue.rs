//! Assignment of a role's slots to callers, and the queue of waiting callers.
//!
//! ```text
//! release(slot)   first waiter overdue?  yes: give it the slot   (Word::Take)
//!                                        no:  slot -> idle, and wake the first waiter   (Word::Look)
//! acquire()       idle slot?  yes: take it, even if others wait
//!                             no:  wait in the queue
//! ```
//!
//! A slot's number is the permit to use the slot. It is released as the last step, after its connection has been reset
//! or closed, so that there are never more open connections than slots.
//!
//! Waiters are served in order, with one exception. A released slot is not assigned to the first waiter, whose thread
//! is asleep, but left idle for any running thread, and the first waiter is woken. Assigning it would make every use of
//! a busy pool wait for a thread to wake up. A waiter that has waited for longer than [`PASSED_MAX`] is not passed any
//! more: it is assigned the next slot.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Thread, ThreadId};
use std::time::{Duration, Instant};

use super::Role;
use crate::track::Process;
use crate::track::registry::current_thread;

/// Maximum time for which later callers may pass the first waiter. Measured: with zero, a busy pool does a quarter of
/// the work; with more, it does little more work, and the longest wait grows.
const PASSED_MAX: Duration = Duration::from_micros(500);

/// The slots of one role.
pub(super) struct Queue {
    state: Mutex<State>,
    is_closed: AtomicBool,
    role: Role,
    size: usize,
    process: Process,
    /// The calls that wait in a queue of a layer above.
    outer: OnceLock<WaitsReport>,
}

/// Returns the waits of a queue of a layer above. It takes no lock under which this queue is used.
pub(super) type WaitsReport = Box<dyn Fn() -> OuterWaits + Send + Sync>;

/// Calls that wait for connections of a role in a queue of a layer above, and that have waited.
#[derive(Clone, Copy, Debug, Default)]
pub struct OuterWaits {
    /// Number of calls that wait.
    pub waiting: usize,
    /// Number of calls whose wait timed out.
    pub timeouts: u64,
    /// Number of calls that have waited, those that timed out included.
    pub waits: u64,
    /// Sum of these waits.
    pub waited: Duration,
}

#[derive(Debug)]
struct State {
    /// Stack of idle slots: the slot used last is used first, since its cache is warm.
    idle: Vec<usize>,
    waiting: VecDeque<Arc<Waiter>>,
    slots: Vec<SlotState>,
    acquired: u64,
    timeouts: u64,
    waits: u64,
    waited: Duration,
}

#[derive(Clone, Debug, Default)]
struct SlotState {
    lent: Option<Lent>,
    /// Thread that had the slot last. It is often the next to have it, and is then not looked up.
    last: Option<Thread>,
}

#[derive(Debug)]
struct Waiter {
    word: Mutex<Option<Word>>,
    changed: Condvar,
    since: Instant,
    /// Maximum time for which others may pass it: [`PASSED_MAX`], or half its timeout if that is less.
    passed_max: Duration,
}

/// Message to a waiter.
#[derive(Clone, Copy, Debug)]
enum Word {
    /// A slot is idle, unless another thread has taken it.
    Look,
    Take(usize),
    Closed,
}

/// Use of a slot that is checked out.
#[derive(Clone, Debug)]
pub(super) struct Lent {
    pub(super) site: &'static Location<'static>,
    pub(super) since: Instant,
    /// The thread; `None` in the last destructors of a thread.
    pub(super) thread: Option<Thread>,
    pub(super) is_owned: bool,
}

/// Reason why a slot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    /// The queue belongs to the process that this one was forked from.
    Forked,
    TimedOut {
        waited: Duration,
    },
    /// The waiter has given up.
    GivenUp,
}

/// Time to wait for a slot.
#[derive(Clone, Copy)]
pub(super) enum WaitLimit<'a> {
    None,
    For(Duration),
    /// Until the closure returns true. It is called every [`LOOK`].
    Unless {
        longest: Duration,
        gives_up: &'a dyn Fn() -> bool,
    },
}

/// Time between two looks at whether a waiter has given up.
const LOOK: Duration = Duration::from_millis(20);

/// State of a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueStatus {
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) out: Vec<(usize, Lent)>,
    pub(super) acquired: u64,
    pub(super) timeouts: u64,
    pub(super) waits: u64,
    pub(super) waited: Duration,
}

impl Queue {
    pub(super) fn new(role: Role, size: usize) -> Self {
        let state = State {
            idle: (0..size).rev().collect(),
            waiting: VecDeque::new(),
            slots: vec![SlotState::default(); size],
            acquired: 0,
            timeouts: 0,
            waits: 0,
            waited: Duration::ZERO,
        };
        let (is_closed, process, outer) = (AtomicBool::new(false), Process::this(), OnceLock::new());
        Self { state: Mutex::new(state), is_closed, role, size, process, outer }
    }

    pub(super) fn report_waits(&self, waits: WaitsReport) {
        // One that comes second is dropped.
        let _ = self.outer.set(waits);
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Locks the state. Returns `None` in a child process that inherited the queue: another thread may have held the
    /// lock at the fork. No code that runs under the lock panics, so poisoning is ignored.
    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.process.is_this().then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.process.is_this()
    }

    /// Acquires a slot, after waiting if necessary. Returns it with the time at which it was acquired.
    pub(super) fn acquire(
        &self,
        wait_limit: WaitLimit<'_>,
        site: &'static Location<'static>,
        is_owned: bool,
    ) -> Result<(usize, Instant), Refused> {
        let me = current_id();
        let mut state = self.lock().ok_or(Refused::Forked)?;
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        state.serve_overdue();
        let slot = match (state.idle.pop(), wait_limit) {
            (Some(slot), _) => slot,
            (None, WaitLimit::None) => return Err(Refused::TimedOut { waited: Duration::ZERO }),
            (None, WaitLimit::For(longest)) => {
                let (slot, then) = self.wait(state, longest, None)?;
                state = then;
                slot
            }
            (None, WaitLimit::Unless { longest, gives_up }) => {
                let (slot, then) = self.wait(state, longest, Some(gives_up))?;
                state = then;
                slot
            }
        };
        state.acquired += 1;
        let place = &mut state.slots[slot];
        let thread = match place.last.take() {
            Some(last) if Some(last.id()) == me => Some(last),
            _ => current_thread(),
        };
        let since = Instant::now();
        place.lent = Some(Lent { site, since, thread, is_owned });
        Ok((slot, since))
    }

    #[cold]
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        longest: Duration,
        gives_up: Option<&dyn Fn() -> bool>,
    ) -> Result<(usize, MutexGuard<'a, State>), Refused> {
        let waiter = Arc::new(Waiter {
            word: Mutex::new(None),
            changed: Condvar::new(),
            since: Instant::now(),
            passed_max: PASSED_MAX.min(longest / 2),
        });
        state.waiting.push_back(Arc::clone(&waiter));
        loop {
            drop(state);
            let next = gives_up.map_or(longest, |_| longest.min(waiter.since.elapsed() + LOOK));
            waiter.wait(next);
            state = self.lock().ok_or(Refused::Forked)?;
            // No message can arrive while the lock is held.
            match waiter.take() {
                Some(Word::Take(slot)) if self.is_closed() => {
                    state.idle.push(slot);
                    return Err(Refused::Closed);
                }
                Some(Word::Take(slot)) => {
                    state.count_wait(&waiter);
                    return Ok((slot, state));
                }
                Some(Word::Closed) => return Err(Refused::Closed),
                Some(Word::Look) => {
                    if let Some(slot) = state.idle.pop() {
                        state.leave(&waiter);
                        state.count_wait(&waiter);
                        return Ok((slot, state));
                    }
                }
                None if gives_up.is_some_and(|gives_up| gives_up()) => {
                    state.leave(&waiter);
                    return Err(Refused::GivenUp);
                }
                None if waiter.since.elapsed() < longest => {}
                None => {
                    state.leave(&waiter);
                    state.count_wait(&waiter);
                    state.timeouts += 1;
                    return Err(Refused::TimedOut { waited: waiter.since.elapsed() });
                }
            }
        }
    }

    /// Releases a slot. Returns whether the queue is closed.
    pub(super) fn release(&self, slot: usize) -> bool {
        let Some(mut state) = self.lock() else {
            return self.is_closed();
        };
        let place = &mut state.slots[slot];
        place.last = place.lent.take().and_then(|lent| lent.thread);
        state.idle.push(slot);
        state.serve_overdue();
        let next = state.next_to_look();
        drop(state);
        if let Some(next) = next {
            next.tell_to_look();
        }
        self.is_closed()
    }

    /// Stops handing out slots, and refuses all waiters.
    pub(super) fn close(&self) {
        let Some(mut state) = self.lock() else {
            return;
        };
        self.is_closed.store(true, Ordering::Release);
        for waiter in state.waiting.drain(..) {
            waiter.tell(Word::Closed);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(super) fn status(&self) -> QueueStatus {
        let Some(state) = self.lock() else {
            return QueueStatus::default();
        };
        let mut status = state.status();
        drop(state);
        if let Some(outer) = self.outer.get() {
            let OuterWaits { waiting, timeouts, waits, waited } = outer();
            status.waiting += waiting;
            status.timeouts += timeouts;
            status.waits += waits;
            status.waited = status.waited.saturating_add(waited);
        }
        status
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("role", &self.role).field("size", &self.size).finish_non_exhaustive()
    }
}

impl State {
    fn status(&self) -> QueueStatus {
        let out = self.slots.iter().enumerate().filter_map(|(slot, place)| Some((slot, place.lent.clone()?)));
        QueueStatus {
            idle: self.idle.len(),
            waiting: self.waiting.len(),
            out: out.collect(),
            acquired: self.acquired,
            timeouts: self.timeouts,
            waits: self.waits,
            waited: self.waited,
        }
    }

    /// Assigns idle slots to waiters that may not be passed any longer.
    #[inline]
    fn serve_overdue(&mut self) {
        if !self.waiting.is_empty() {
            self.serve_overdue_waiters();
        }
    }

    fn serve_overdue_waiters(&mut self) {
        while !self.idle.is_empty()
            && let Some(first) = self.waiting.front()
            && first.since.elapsed() >= first.passed_max
            && let Some(slot) = self.idle.pop()
        {
            first.tell(Word::Take(slot));
            self.waiting.pop_front();
        }
    }

    /// Returns the first waiter if a slot is idle. Must be called, and the waiter woken, after a slot has become idle
    /// or a waiter has left.
    fn next_to_look(&self) -> Option<Arc<Waiter>> {
        self.waiting.front().filter(|_| !self.idle.is_empty()).cloned()
    }

    fn count_wait(&mut self, waiter: &Waiter) {
        self.waits += 1;
        self.waited = self.waited.saturating_add(waiter.since.elapsed());
    }

    fn leave(&mut self, waiter: &Arc<Waiter>) {
        self.waiting.retain(|other| !Arc::ptr_eq(other, waiter));
        if let Some(next) = self.next_to_look() {
            next.tell_to_look();
        }
    }
}

impl Waiter {
    fn lock(&self) -> MutexGuard<'_, Option<Word>> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, word: Word) {
        *self.lock() = Some(word);
        self.changed.notify_one();
    }

    /// Sends [`Word::Look`], unless there is an unread message.
    fn tell_to_look(&self) {
        let mut word = self.lock();
        if word.is_none() {
            *word = Some(Word::Look);
            drop(word);
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Option<Word> {
        self.lock().take()
    }

    /// Waits for a message, until `longest` has passed since the waiter was created.
    fn wait(&self, longest: Duration) {
        let left = longest.saturating_sub(self.since.elapsed());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |word| word.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Returns the ID of the current thread without counting a reference, which `current_thread` does.
fn current_id() -> Option<ThreadId> {
    thread_local!(static ID: Option<ThreadId> = current_thread().map(|thread| thread.id()));
    ID.try_with(|&id| id).ok().flatten()
}

//! Who has which slot, and who waits for one.
//!
//! A slot's number is the permit to use it. It is given back last, when whatever becomes of its connection is done, so
//! that no more connections are open than there are slots. Who waits is served in the order of coming: a slot that is
//! given back goes to the first in line, and never to somebody who came later.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::Role;

/// The slots of one role.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    role: Role,
    size: usize,
}

#[derive(Debug)]
struct State {
    /// The slot used last is used first: its cache is warm.
    idle: Vec<usize>,
    waiting: VecDeque<Arc<Waiter>>,
    out: Vec<Option<Lent>>,
    is_closed: bool,
    acquired: u64,
    timeouts: u64,
}

#[derive(Debug)]
struct Waiter {
    granted: Mutex<Option<Result<usize, Closed>>>,
    changed: Condvar,
}

/// Who has a slot.
#[derive(Clone, Debug)]
pub(super) struct Lent {
    pub(super) site: &'static Location<'static>,
    pub(super) since: Instant,
    pub(super) thread: Thread,
    pub(super) is_owned: bool,
}

/// No slot is lent any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed;

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    TimedOut,
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    None,
    For(Duration),
}

/// What a queue knows of itself.
#[derive(Clone, Debug)]
pub(super) struct QueueStatus {
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) out: Vec<(usize, Lent)>,
    pub(super) acquired: u64,
    pub(super) timeouts: u64,
}

impl Queue {
    pub(super) fn new(role: Role, size: usize) -> Self {
        let state = State {
            idle: (0..size).rev().collect(),
            waiting: VecDeque::new(),
            out: vec![None; size],
            is_closed: false,
            acquired: 0,
            timeouts: 0,
        };
        Self { state: Mutex::new(state), role, size }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Nothing that runs under the lock can panic, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, at once or when it is this caller's turn.
    pub(super) fn acquire(
        &self,
        patience: Patience,
        site: &'static Location<'static>,
        is_owned: bool,
    ) -> Result<usize, Refused> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        let slot = match state.idle.pop() {
            Some(slot) => slot,
            None => {
                let Patience::For(longest) = patience else {
                    return Err(Refused::TimedOut);
                };
                let waiter = Arc::new(Waiter { granted: Mutex::new(None), changed: Condvar::new() });
                state.waiting.push_back(Arc::clone(&waiter));
                drop(state);
                let granted = waiter.wait(longest);
                state = self.lock();
                match granted.or_else(|| waiter.take()) {
                    Some(Ok(slot)) => slot,
                    Some(Err(Closed)) => return Err(Refused::Closed),
                    None => {
                        state.waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
                        state.timeouts += 1;
                        return Err(Refused::TimedOut);
                    }
                }
            }
        };
        state.acquired += 1;
        state.out[slot] = Some(Lent { site, since: Instant::now(), thread: thread::current(), is_owned });
        Ok(slot)
    }

    /// A slot is free again. Returns whether the queue is closed.
    pub(super) fn release(&self, slot: usize) -> bool {
        let mut state = self.lock();
        state.out[slot] = None;
        match state.waiting.pop_front() {
            // Under the lock: the waiter looks once more before it gives up.
            Some(waiter) => waiter.grant(Ok(slot)),
            None => state.idle.push(slot),
        }
        state.is_closed
    }

    /// Lends no slot any more, and sends away who waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for waiter in state.waiting.drain(..) {
            waiter.grant(Err(Closed));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    pub(super) fn status(&self) -> QueueStatus {
        let state = self.lock();
        QueueStatus {
            idle: state.idle.len(),
            waiting: state.waiting.len(),
            out: state.out.iter().cloned().enumerate().filter_map(|(slot, lent)| Some((slot, lent?))).collect(),
            acquired: state.acquired,
            timeouts: state.timeouts,
        }
    }
}

impl Waiter {
    fn lock(&self) -> MutexGuard<'_, Option<Result<usize, Closed>>> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grant(&self, what: Result<usize, Closed>) {
        *self.lock() = Some(what);
        self.changed.notify_one();
    }

    fn take(&self) -> Option<Result<usize, Closed>> {
        self.lock().take()
    }

    fn wait(&self, longest: Duration) -> Option<Result<usize, Closed>> {
        let granted = self.lock();
        let waited = self.changed.wait_timeout_while(granted, longest, |granted| granted.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

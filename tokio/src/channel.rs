//! Batches on their way from a worker to the task that reads them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use finalite::workspace::Process;

use crate::control::{Control, Deadline};
use crate::row_batch::RowBatch;

/// Number of batches that wait for the task, at most.
const BATCHES_MAX: usize = 2;

/// A batch of items, as a worker sends it.
pub(crate) enum Batch<T> {
    Items(Vec<T>),
    /// Rows, of which the task makes items.
    Rows(RowBatch),
}

/// A bounded queue of batches.
pub(crate) struct Channel<T> {
    state: Mutex<State<T>>,
    process: Process,
}

struct State<T> {
    batches: VecDeque<Batch<T>>,
    /// The task that waits for a batch.
    waker: Option<Waker>,
    /// The worker that waits for room.
    waiting: Option<Arc<Control>>,
    /// Whether nobody reads any more.
    is_left: bool,
    /// Whether no batch comes any more.
    is_ended: bool,
}

impl<T> Channel<T> {
    pub(crate) fn new() -> Self {
        let (batches, is_left, is_ended) = (VecDeque::new(), false, false);
        let state = State { batches, waker: None, waiting: None, is_left, is_ended };
        Self { state: Mutex::new(state), process: Process::this() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a batch, after waiting for room. Returns whether it was sent: not if nobody reads any more, the call is
    /// cancelled or its deadline has passed.
    pub(crate) fn send(&self, batch: Batch<T>, control: &Arc<Control>, deadline: Deadline) -> bool {
        let mut batch = Some(batch);
        let mut waker = None;
        let mut is_left = false;
        control.wait_until(deadline, || {
            let mut state = self.lock();
            is_left = state.is_left;
            if is_left {
                return true;
            }
            if state.batches.len() >= BATCHES_MAX {
                state.waiting = Some(Arc::clone(control));
                return false;
            }
            state.batches.extend(batch.take());
            waker = state.waker.take();
            true
        });
        self.lock().waiting = None;
        if let Some(waker) = waker {
            waker.wake();
        }
        batch.is_none() && !is_left
    }

    /// Waits until nobody reads any more. Returns whether that is so: not if the call is cancelled, or its deadline has
    /// passed.
    pub(crate) fn wait_until_left(&self, control: &Arc<Control>, deadline: Deadline) -> bool {
        let is_left = control.wait_until(deadline, || {
            let mut state = self.lock();
            state.waiting = Some(Arc::clone(control));
            state.is_left
        });
        self.lock().waiting = None;
        is_left
    }

    /// Tells the task that no batch comes any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.is_ended = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the next batch; `None` if there is none any more.
    pub(crate) fn poll_next(&self, task: &mut Context<'_>) -> Poll<Option<Batch<T>>> {
        // A child process has no worker, and its memory may have the lock of one.
        if !self.process.is_this() {
            return Poll::Ready(None);
        }
        let mut state = self.lock();
        if let Some(batch) = state.batches.pop_front() {
            let waiting = state.waiting.take();
            drop(state);
            if let Some(waiting) = waiting {
                waiting.unpark();
            }
            return Poll::Ready(Some(batch));
        }
        if state.is_ended {
            return Poll::Ready(None);
        }
        let former = state.waker.replace(task.waker().clone());
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Ends the worker's sending, and drops what waits.
    pub(crate) fn leave(&self) {
        if !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        state.is_left = true;
        let batches = std::mem::take(&mut state.batches);
        let waiting = state.waiting.take();
        let waker = state.waker.take();
        drop(state);
        drop((batches, waker));
        if let Some(waiting) = waiting {
            waiting.unpark();
        }
    }
}

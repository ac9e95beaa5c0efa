//! Pieces of a value on their way from a task to the worker that stores them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use finalite::workspace::Process;

use crate::control::{Control, Deadline};

/// Number of pieces that wait for the worker, at most.
const PIECES_MAX: usize = 2;

/// A bounded queue of pieces, from one task to one worker.
pub(crate) struct Upload {
    state: Mutex<State>,
    process: Process,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    /// The task that waits for room.
    waker: Option<Waker>,
    /// The worker that waits for a piece.
    waiting: Option<Arc<Control>>,
    /// Whether the last piece was sent.
    is_complete: bool,
    /// Whether the task is gone, with pieces that were never sent.
    is_left: bool,
}

/// Result of waiting for a piece.
#[derive(Debug)]
pub(crate) enum Next {
    Piece(Vec<u8>),
    /// There are no more.
    Complete,
    /// There may have been more: the task is gone, the call cancelled, or its deadline has passed.
    Over,
}

impl Upload {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), process: Process::this() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next piece.
    pub(crate) fn next(&self, control: &Arc<Control>, deadline: Deadline) -> Next {
        let (mut next, mut waker) = (Next::Over, None);
        control.wait_until(deadline, || {
            let mut state = self.lock();
            if state.is_left {
                return true;
            }
            if let Some(piece) = state.pieces.pop_front() {
                next = Next::Piece(piece);
                waker = state.waker.take();
            } else if state.is_complete {
                next = Next::Complete;
            } else {
                state.waiting = Some(Arc::clone(control));
                return false;
            }
            true
        });
        self.lock().waiting = None;
        if let Some(waker) = waker {
            waker.wake();
        }
        next
    }

    /// Waits for room for a piece.
    pub(crate) fn poll_room(&self, task: &mut Context<'_>) -> Poll<()> {
        // A child process finds the end of the call, which is polled first.
        if !self.process.is_this() {
            return Poll::Pending;
        }
        // Code of the executor.
        let waker = task.waker().clone();
        let mut state = self.lock();
        if state.pieces.len() < PIECES_MAX {
            return Poll::Ready(());
        }
        let former = state.waker.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Sends a piece.
    pub(crate) fn send(&self, piece: Vec<u8>) {
        self.change(|state| state.pieces.push_back(piece));
    }

    /// Tells the worker that no more pieces come.
    pub(crate) fn complete(&self) {
        self.change(|state| state.is_complete = true);
    }

    /// Tells the worker that the task is gone. Nothing after [`complete`](Self::complete).
    pub(crate) fn leave(&self) {
        self.change(|state| state.is_left = !state.is_complete);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // In a child process, another thread may have held the lock at the fork.
        if !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        change(&mut state);
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waiting) = waiting {
            waiting.unpark();
        }
    }
}

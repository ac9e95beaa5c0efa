//! Hand-over of one call: from the task that awaits it to the thread that runs it, and back.
//!
//! ```text
//!            begin                  finish
//! Waiting ──────────► Running ──────────────► Done ── poll ──► Taken
//!    ▲ │ refuse          │ │ put_back
//!    └─│─────────────────│─┘
//!      ├──────► Done     │ cancel: interrupts, unless it is held
//!      │ cancel          ▼
//!      └──────────► Cancelled
//! ```
//!
//! One lock, held for a few instructions, orders all of it. The interrupt of a call that is cancelled is given under that
//! lock, and only while the call runs: it cannot reach the next call of the thread. Closures and results are
//! run and dropped outside of it, and tasks are woken there.
//!
//! It depends on nothing but the lock, which is loom's in `tests/loom/`.

use std::mem;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Interrupt of whatever a thread runs.
pub(crate) trait Interrupt {
    fn interrupt(&self);
}

/// One call: the closure `F`, the interrupt `I` of the thread that runs it, the result `T`.
pub(crate) struct Call<F, I, T> {
    state: Mutex<State<F, I, T>>,
    /// Whether the result is there, for a task that looks for it without the lock.
    is_over: AtomicBool,
}

enum State<F, I, T> {
    Waiting {
        work: F,
        waker: Option<Waker>,
    },
    /// One that is held has no interrupt: its part is done, and the thread runs something else before it can end.
    Running {
        interrupt: Option<I>,
        waker: Option<Waker>,
    },
    Done(T),
    Taken,
    Cancelled,
}

/// The closure of a call that was cancelled before it began. It is dropped by the caller, outside of the lock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cancelled<F, T> {
    /// It never runs.
    BeforeItBegan(F),
    /// It was interrupted.
    WhileRunning,
    /// Its result was not asked for.
    AfterItsEnd(T),
    /// Nothing was left to cancel.
    AfterAll,
}

impl<F, I: Interrupt, T> Call<F, I, T> {
    pub(crate) fn new(work: F) -> Self {
        Self { state: Mutex::new(State::Waiting { work, waker: None }), is_over: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State<F, I, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the call: returns its closure, unless it was cancelled or refused.
    pub(crate) fn begin(&self, interrupt: I) -> Option<F> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Cancelled) {
            State::Waiting { work, waker } => {
                *state = State::Running { interrupt: Some(interrupt), waker };
                Some(work)
            }
            over => {
                *state = over;
                None
            }
        }
    }

    /// Ends the call. Returns the task to wake, or the result if nobody wants it any more. From here on, the thread is not
    /// interrupted by this call.
    pub(crate) fn finish(&self, result: T) -> Result<Option<Waker>, T> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Cancelled) {
            State::Running { waker, interrupt } => {
                *state = State::Done(result);
                self.is_over.store(true, Ordering::Relaxed);
                drop(state);
                drop(interrupt);
                Ok(waker)
            }
            over => {
                *state = over;
                Err(result)
            }
        }
    }

    /// Has the thread not be interrupted by this call from here on. Returns whether the call was not cancelled before.
    pub(crate) fn hold(&self) -> bool {
        let mut state = self.lock();
        let State::Running { interrupt, .. } = &mut *state else {
            return false;
        };
        let interrupt = interrupt.take();
        drop(state);
        drop(interrupt);
        true
    }

    /// Has a call that has begun wait again. Returns its closure if it was cancelled.
    pub(crate) fn put_back(&self, work: F) -> Result<(), F> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Cancelled) {
            State::Running { waker, interrupt } => {
                *state = State::Waiting { work, waker };
                drop(state);
                drop(interrupt);
                Ok(())
            }
            over => {
                *state = over;
                Err(work)
            }
        }
    }

    /// Ends a call that has not begun, with this result. Returns its closure and the task to wake; the result if the call
    /// has begun or is over.
    pub(crate) fn refuse(&self, result: T) -> Result<(F, Option<Waker>), T> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Cancelled) {
            State::Waiting { work, waker } => {
                *state = State::Done(result);
                self.is_over.store(true, Ordering::Relaxed);
                Ok((work, waker))
            }
            over => {
                *state = over;
                Err(result)
            }
        }
    }

    /// Takes the result, or has the task woken when there is one. Returns `None` if the result was taken before.
    pub(crate) fn poll(&self, task: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.lock();
        let waker = match &mut *state {
            State::Waiting { waker, .. } | State::Running { waker, .. } => waker,
            State::Done(_) => {
                let State::Done(result) = mem::replace(&mut *state, State::Taken) else {
                    unreachable!("it was `Done` under this lock");
                };
                return Poll::Ready(Some(result));
            }
            State::Taken | State::Cancelled => return Poll::Ready(None),
        };
        let former = match waker {
            Some(known) if known.will_wake(task.waker()) => None,
            _ => waker.replace(task.waker().clone()),
        };
        drop(state);
        // Code of the executor.
        drop(former);
        Poll::Pending
    }

    /// Cancels the call: one that waits never begins, one that runs is interrupted.
    pub(crate) fn cancel(&self) -> Cancelled<F, T> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Cancelled) {
            State::Waiting { work, waker } => {
                drop(state);
                drop(waker);
                Cancelled::BeforeItBegan(work)
            }
            State::Running { interrupt, waker } => {
                if let Some(interrupt) = &interrupt {
                    interrupt.interrupt();
                }
                drop(state);
                drop((interrupt, waker));
                Cancelled::WhileRunning
            }
            State::Done(result) => {
                drop(state);
                Cancelled::AfterItsEnd(result)
            }
            State::Taken | State::Cancelled => Cancelled::AfterAll,
        }
    }

    /// Whether [`poll`](Self::poll) is likely to return the result.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Returns what the closure says, unless the call has begun or is over.
    pub(crate) fn peek<R>(&self, read: impl FnOnce(&F) -> R) -> Option<R> {
        match &*self.lock() {
            State::Waiting { work, .. } => Some(read(work)),
            _ => None,
        }
    }

    /// Whether it has not begun.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(*self.lock(), State::Waiting { .. })
    }
}

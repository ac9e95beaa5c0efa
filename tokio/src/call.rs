//! The future of a call.

use std::future::Future;
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use finalite::Error;
use finalite::workspace::{Process, forked};

use crate::handover::Cancelled;
use crate::lane::Lane;
use crate::spin;
use crate::worker::{ResultCall, discard};

/// A call that is waited for. Dropping it cancels the call.
#[must_use]
pub(crate) struct Pending<F, T, E> {
    call: Arc<ResultCall<F, T, E>>,
    /// The queue that has the call; `None` if it is one within a transaction.
    lane: Option<Arc<Lane>>,
    /// Whether the first poll looks for the result for some microseconds.
    spins: bool,
    /// Whether it was not polled.
    is_new: bool,
    is_taken: bool,
    process: Process,
}

impl<F, T, E> Pending<F, T, E> {
    pub(crate) fn new(call: Arc<ResultCall<F, T, E>>, lane: Arc<Lane>, spins: bool) -> Self {
        let process = lane.queue.process();
        Self { call, lane: Some(lane), spins, is_new: true, is_taken: false, process }
    }

    /// Has no poll look for the result, of a call that does not end soon.
    pub(crate) fn without_spinning(mut self) -> Self {
        self.spins = false;
        self
    }

    /// Returns the future of a call that is in no queue.
    pub(crate) fn within_transaction(call: Arc<ResultCall<F, T, E>>, process: Process) -> Self {
        Self { call, lane: None, spins: false, is_new: true, is_taken: false, process }
    }
}

impl<F, T, E> Unpin for Pending<F, T, E> {}

impl<F, T, E: From<Error>> Future for Pending<F, T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.process.is_this() {
            return Poll::Ready(Err(forked().into()));
        }
        let is_again =
            mem::take(&mut self.is_new) && self.lane.as_ref().is_some_and(|lane| lane.last_task.is_again(task));
        if is_again && self.spins {
            spin::spin(spin::TASK_MAX, || self.call.is_over());
        }
        if let Poll::Ready(result) = self.call.poll(task) {
            self.is_taken = true;
            return match result {
                Some(Ok(result)) => Poll::Ready(result),
                Some(Err(panic)) => resume_unwind(panic),
                None => panic!("a call was polled after its end"),
            };
        }
        Poll::Pending
    }
}

impl<F, T, E> Drop for Pending<F, T, E> {
    fn drop(&mut self) {
        // In a child process, another thread may have held the call's lock at the fork.
        if self.is_taken || !self.process.is_this() {
            return;
        }
        match self.call.cancel() {
            Cancelled::BeforeItBegan(work) => {
                if let Some(lane) = &self.lane {
                    lane.queue.forget_one();
                }
                drop(work);
            }
            Cancelled::AfterItsEnd(result) => discard(result),
            Cancelled::WhileRunning | Cancelled::AfterAll => {}
        }
    }
}

//! The future of a call.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use finalite::Error;

use crate::handover::Cancelled;
use crate::lane::Lane;
use crate::worker::{ResultCall, discard};

/// A call that is waited for. Dropping it cancels the call.
#[must_use]
pub(crate) struct Pending<F, T, E> {
    call: Arc<ResultCall<F, T, E>>,
    /// The queue that has the call; `None` if it is one within a transaction.
    lane: Option<Arc<Lane>>,
    is_taken: bool,
}

impl<F, T, E> Pending<F, T, E> {
    pub(crate) fn new(call: Arc<ResultCall<F, T, E>>, lane: Arc<Lane>) -> Self {
        Self { call, lane: Some(lane), is_taken: false }
    }

    /// Returns the future of a call that is in no queue.
    pub(crate) fn within_transaction(call: Arc<ResultCall<F, T, E>>) -> Self {
        Self { call, lane: None, is_taken: false }
    }
}

impl<F, T, E> Unpin for Pending<F, T, E> {}

impl<F, T, E: From<Error>> Future for Pending<F, T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
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
        if self.is_taken {
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

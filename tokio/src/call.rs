//! The future of a call.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use finalite::pool::Pool as SyncPool;
use finalite::{Error, workspace};
use tokio::time::Sleep;

use crate::handover::Cancelled;
use crate::lane::Lane;
use crate::worker::{ResultCall, discard};

/// A call that is waited for. Dropping it cancels the call.
#[must_use]
pub(crate) struct Pending<F, T, E> {
    call: Arc<ResultCall<F, T, E>>,
    /// The queue that has the call; `None` if it is one within a transaction.
    lane: Option<Arc<Lane>>,
    /// Limit of the time in the queue; `None` if the call does not wait for others.
    limit: Option<WaitLimit>,
    is_taken: bool,
}

/// Limit of the time that a call spends in the queue.
pub(crate) struct WaitLimit {
    sleep: Pin<Box<Sleep>>,
    since: Instant,
    /// Time that the deadline allows, if that comes first.
    allowed: Option<Duration>,
}

impl WaitLimit {
    /// Returns the earlier of the pool's timeout and the deadline; `None` if both are never.
    pub(crate) fn new(pool: &SyncPool, deadline: Option<(Instant, Duration)>) -> Option<Self> {
        let since = Instant::now();
        let timeout = since.checked_add(workspace::acquire_timeout(pool));
        let (at, allowed) = match (timeout, deadline) {
            (Some(timeout), Some((at, allowed))) if at < timeout => (at, Some(allowed)),
            (None, Some((at, allowed))) => (at, Some(allowed)),
            (Some(timeout), _) => (timeout, None),
            (None, None) => return None,
        };
        Some(Self { sleep: Box::pin(tokio::time::sleep_until(at.into())), since, allowed })
    }

    fn error(&self, lane: &Lane) -> Error {
        match self.allowed {
            Some(allowed) => workspace::deadline_passed(allowed),
            None => workspace::acquire_timed_out(&lane.pool, lane.role, self.since.elapsed()),
        }
    }
}

impl<F, T, E> Pending<F, T, E> {
    pub(crate) fn new(call: Arc<ResultCall<F, T, E>>, lane: Arc<Lane>, limit: Option<WaitLimit>) -> Self {
        Self { call, lane: Some(lane), limit, is_taken: false }
    }

    /// Returns the future of a call that is in no queue.
    pub(crate) fn within_transaction(call: Arc<ResultCall<F, T, E>>) -> Self {
        Self { call, lane: None, limit: None, is_taken: false }
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
        if let Some(limit) = &mut self.limit
            && limit.sleep.as_mut().poll(task).is_ready()
        {
            // The worker looks at the deadline of a call that has begun.
            let limit = self.limit.take();
            if let (Some(limit), Some(lane)) = (limit, self.lane.clone())
                && let Some(work) = self.call.cancel_waiting()
            {
                self.is_taken = true;
                lane.queue.forget_one();
                drop(work);
                return Poll::Ready(Err(limit.error(&lane).into()));
            }
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

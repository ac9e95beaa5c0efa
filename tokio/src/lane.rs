//! The calls and the workers of one role.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use finalite::Error;
use finalite::pool::{Pool as SyncPool, Role};
use finalite::workspace::{Worker, pool_closed};

use crate::call::{Pending, WaitLimit};
use crate::control::Deadline;
use crate::handover::Call;
use crate::queue::{Pushed, Queue};
use crate::worker::{self, Context, ResultCall};

/// The queue of a role, and the workers, which are started when they are needed.
pub(crate) struct Lane {
    pub(crate) pool: Arc<SyncPool>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) role: Role,
    workers: Mutex<Vec<Worker>>,
}

impl Lane {
    pub(crate) fn new(pool: &Arc<SyncPool>, role: Role) -> Arc<Self> {
        // A pool without readers has one worker, which returns the pool's error.
        let size = pool.status().role(role).size.max(1);
        let queue = Arc::new(Queue::new(size));
        Arc::new(Self { pool: Arc::clone(pool), queue, role, workers: Mutex::default() })
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call to the queue.
    pub(crate) fn submit<F, T, E>(self: &Arc<Self>, deadline: Deadline, work: F) -> Result<Pending<F, T, E>, E>
    where
        F: FnOnce(&Context<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let call: Arc<ResultCall<F, T, E>> = Arc::new(Call::new(work));
        let pushed = self.queue.push(Arc::<ResultCall<F, T, E>>::clone(&call));
        self.follow(pushed)?;
        let limit = if pushed == Pushed::Waits { WaitLimit::new(&self.pool, deadline) } else { None };
        Ok(Pending::new(call, Arc::clone(self), limit))
    }

    /// Adds a call to the queue of a pool that is being closed.
    pub(crate) fn submit_last<F, T>(self: &Arc<Self>, work: F) -> Result<Pending<F, T, Error>, Error>
    where
        F: FnOnce(&Context<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let call: Arc<ResultCall<F, T, Error>> = Arc::new(Call::new(work));
        self.follow(self.queue.push_last(Arc::<ResultCall<F, T, Error>>::clone(&call)))?;
        Ok(Pending::new(call, Arc::clone(self), None))
    }

    fn follow(&self, pushed: Pushed) -> Result<(), Error> {
        match pushed {
            Pushed::Refused => Err(pool_closed()),
            Pushed::NeedsWorker => {
                self.start_worker();
                Ok(())
            }
            Pushed::Next | Pushed::Waits => Ok(()),
        }
    }

    fn start_worker(&self) {
        match worker::start(&format!("finalite-{}", self.role), &self.pool, &self.queue) {
            Ok(worker) => self.workers().push(worker),
            Err(error) => {
                let reason = || Error::external(format!("no thread can be started: {error}"));
                self.queue.has_no_worker().iter().for_each(|job| job.refuse(&reason));
            }
        }
    }

    /// Joins the workers. The queue was stopped.
    pub(crate) fn join(&self) {
        // Not under the lock: a call that still runs may drop anything.
        let workers = std::mem::take(&mut *self.workers());
        drop(workers);
    }
}

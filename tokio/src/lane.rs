//! The calls and the workers of one role.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use finalite::pool::{Pool as SyncPool, Role};
use finalite::workspace::{self, Worker, forked, pool_closed};
use finalite::{Connection, Error, Result};

use crate::call::Pending;
use crate::control::Deadline;
use crate::group::{Grouped, Write};
use crate::handover::Call;
use crate::queue::{Pushed, Queue};
use crate::shared::Query;
use crate::spin::LastTask;
use crate::timekeeper::{Limit, Timekeeper};
use crate::worker::{self, Context, ResultCall, Site};

/// The queue of a role, and the workers, which are started when they are needed.
pub(crate) struct Lane {
    pub(crate) pool: Arc<SyncPool>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) role: Role,
    pub(crate) timekeeper: Arc<Timekeeper>,
    pub(crate) last_task: LastTask,
    workers: Mutex<Workers>,
}

#[derive(Default)]
struct Workers {
    started: Vec<Worker>,
    /// Whether they were joined, so that none is started any more.
    are_joined: bool,
}

impl Lane {
    /// Returns the lanes of a pool, for reading and for writing, and the keeper of their limits.
    pub(crate) fn pair(pool: &Arc<SyncPool>) -> ([Arc<Self>; 2], Arc<Timekeeper>) {
        let queues = [Role::Reader, Role::Writer].map(|role| {
            // A pool without readers has one worker, which returns the pool's error.
            let size = pool.status().role(role).size.max(1);
            let queue = Arc::new(Queue::new(size));
            let waits = Arc::clone(&queue);
            workspace::report_waits(pool, role, move || waits.waits());
            (role, queue)
        });
        let timekeeper = Timekeeper::new(pool, queues.clone());
        let lanes = queues.map(|(role, queue)| {
            let (pool, timekeeper) = (Arc::clone(pool), Arc::clone(&timekeeper));
            Arc::new(Self { pool, queue, role, timekeeper, last_task: LastTask::default(), workers: Mutex::default() })
        });
        (lanes, timekeeper)
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call to the queue.
    pub(crate) fn submit<F, T, E>(self: &Arc<Self>, deadline: Deadline, work: F) -> Result<Pending<F, T, E>, E>
    where
        F: FnOnce(&Context<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let limit = Limit::new(&self.pool, deadline);
        let call: Arc<ResultCall<F, T, E>> = Arc::new(Call::new(work));
        let pushed = self.queue.push(Arc::<ResultCall<F, T, E>>::clone(&call), limit);
        self.follow(call, pushed, limit)
    }

    /// Adds a call to the queue whose statement may share a transaction with those of others.
    pub(crate) fn submit_grouped(
        self: &Arc<Self>,
        deadline: Deadline,
        site: Site,
        write: Write,
    ) -> Result<Pending<Write, usize, Error>, Error> {
        let limit = Limit::new(&self.pool, deadline);
        let call: Arc<ResultCall<Write, usize, Error>> = Arc::new(Call::new(write));
        let job = Grouped::new(&call, &self.timekeeper, site, deadline);
        let pushed = self.queue.push(Arc::new(job), limit);
        self.follow(call, pushed, limit)
    }

    /// Adds a query to the queue, which may share a read transaction with others.
    pub(crate) fn submit_query<F, T>(
        self: &Arc<Self>,
        deadline: Deadline,
        shares: bool,
        site: Site,
        work: F,
    ) -> Result<Pending<Query<F>, T, Error>, Error>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let mut limit = Limit::new(&self.pool, deadline);
        limit.shares = shares;
        let call = Arc::new(Call::new(Query { work, site, deadline }));
        let pushed = self.queue.push(Arc::<ResultCall<Query<F>, T, Error>>::clone(&call), limit);
        self.follow(call, pushed, limit)
    }

    /// Adds a call to the queue if it need not wait for others; otherwise returns `None`.
    pub(crate) fn submit_if_free<F, T>(
        self: &Arc<Self>,
        deadline: Deadline,
        work: F,
    ) -> Result<Option<Pending<F, T, Error>>, Error>
    where
        F: FnOnce(&Context<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let limit = Limit::new(&self.pool, deadline);
        let call: Arc<ResultCall<F, T, Error>> = Arc::new(Call::new(work));
        match self.queue.push_if_free(Arc::<ResultCall<F, T, Error>>::clone(&call), limit) {
            None => Ok(None),
            Some(pushed) => self.follow(call, pushed, limit).map(Some),
        }
    }

    /// Adds a call to the queue of a pool that is being closed.
    pub(crate) fn submit_last<F, T>(self: &Arc<Self>, work: F) -> Result<Pending<F, T, Error>, Error>
    where
        F: FnOnce(&Context<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let call: Arc<ResultCall<F, T, Error>> = Arc::new(Call::new(work));
        let pushed = self.queue.push_last(Arc::<ResultCall<F, T, Error>>::clone(&call));
        self.follow(call, pushed, Limit::never())
    }

    /// Starts what a call needs that was added. If that fails, the call is cancelled.
    fn follow<F, T, E: From<Error>>(
        self: &Arc<Self>,
        call: Arc<ResultCall<F, T, E>>,
        pushed: Pushed,
        limit: Limit,
    ) -> Result<Pending<F, T, E>, E> {
        match pushed {
            Pushed::Refused => return Err(pool_closed().into()),
            Pushed::Forked => return Err(forked().into()),
            Pushed::Soon | Pushed::Next | Pushed::NeedsWorker | Pushed::Waits | Pushed::Follows { .. } => {}
        }
        let pending = Pending::new(call, Arc::clone(self), pushed == Pushed::Soon);
        let waits = match pushed {
            Pushed::NeedsWorker => !self.start_worker(),
            Pushed::Waits => true,
            Pushed::Follows { waits } => {
                let is_watched =
                    self.timekeeper.tick() || (self.timekeeper.keep(limit).is_ok() && self.timekeeper.tick());
                if !is_watched {
                    self.queue.call_next();
                }
                waits
            }
            Pushed::Soon | Pushed::Next | Pushed::Refused | Pushed::Forked => false,
        };
        if waits {
            self.timekeeper.keep(limit).map_err(no_thread)?;
        }
        Ok(pending)
    }

    /// Starts a worker. Returns whether the call that needs it is taken care of: if not, it waits for the other workers.
    fn start_worker(&self) -> bool {
        // Under the lock, so that whoever joins the workers finds the new one.
        let mut workers = self.workers();
        if workers.are_joined {
            drop(workers);
            return !self.queue.has_no_worker(&pool_closed);
        }
        match worker::start(&format!("finalite-{}", self.role), self) {
            Ok(worker) => {
                workers.started.push(worker);
                true
            }
            Err(error) => {
                drop(workers);
                !self.queue.has_no_worker(&|| no_thread(&error))
            }
        }
    }

    /// Joins the workers. The queue was stopped.
    pub(crate) fn join(&self) {
        if !self.queue.process().is_this() {
            return;
        }
        let mut workers = self.workers();
        workers.are_joined = true;
        let started = std::mem::take(&mut workers.started);
        // Not under the lock: a call that still runs may drop anything.
        drop(workers);
        drop(started);
    }
}

fn no_thread(error: impl std::fmt::Display) -> Error {
    Error::external(format!("no thread can be started: {error}"))
}

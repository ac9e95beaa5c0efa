//! The threads that run the calls of a pool.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use std::{io, thread};

use finalite::pool::{Pool as SyncPool, PooledConnection, Role};
use finalite::workspace::Worker;
use finalite::{Error, Result};

use crate::control::{Control, Deadline};
use crate::handover::Call;
use crate::lane::Lane;
use crate::queue::{Job, Next, Queue};
use crate::timekeeper::Timekeeper;

/// Place in the program where a call was made.
pub(crate) type Site = &'static Location<'static>;

/// The surroundings of a call while it runs.
pub(crate) struct Context<'a> {
    pub(crate) pool: &'a Arc<SyncPool>,
    pub(crate) control: &'a Arc<Control>,
    /// The beginning of the call.
    pub(crate) since: Instant,
    pub(crate) queue: &'a Queue,
    /// Number of calls that wait for the worker.
    pub(crate) waiting: Cell<usize>,
    /// Whether the call may share a read transaction with the next one.
    pub(crate) is_before_query: bool,
    timekeeper: &'a Timekeeper,
    /// The moment at which the worker has begun the call.
    begin: Cell<Instant>,
    /// Whether the end of the call was noted.
    is_noted: Cell<bool>,
}

impl<'a> Context<'a> {
    /// Checks out a connection, until the call is cancelled or its deadline has passed.
    pub(crate) fn lend(&self, role: Role, site: Site, deadline: Deadline) -> Result<PooledConnection<'a>> {
        self.control.lend(self.pool, role, (site, self.since), deadline)
    }

    /// Wakes the task of a call that is done.
    pub(crate) fn wake(&self, waker: Waker) {
        self.queue.wakes.wake(waker, self.waiting.get(), self.note_end());
    }

    /// Takes the next call if it may share a read transaction that began then.
    pub(crate) fn take_query(&self, begin: Instant, now: Instant) -> Option<Arc<dyn Job>> {
        let (job, waiting) = self.queue.take_query(self.control, begin, now)?;
        self.waiting.set(waiting);
        self.is_noted.set(false);
        self.keep_wakes();
        Some(job)
    }

    /// Has the wake-ups made soon that are kept: the next call may take long.
    fn keep_wakes(&self) {
        if self.queue.wakes.are_kept() && !self.timekeeper.tick() {
            self.queue.wakes.make();
        }
    }

    /// Returns the moment at which the call has ended.
    pub(crate) fn end(&self) -> Instant {
        if self.is_noted.get() { self.begin.get() } else { self.note_end() }
    }

    /// Takes note of the end of a call. Returns the moment.
    fn note_end(&self) -> Instant {
        let now = Instant::now();
        self.control.pace.note(now.duration_since(self.begin.replace(now)));
        self.is_noted.set(true);
        now
    }
}

/// Starts a worker of a lane. It ends when the queue is stopped.
pub(crate) fn start(name: &str, lane: &Lane) -> io::Result<Worker> {
    let (pool, queue) = (Arc::clone(&lane.pool), Arc::clone(&lane.queue));
    let timekeeper = Arc::clone(&lane.timekeeper);
    Worker::start(name, move |_| {
        let control = Arc::new(Control::of_this_thread());
        queue.add(&control);
        let mut has_run = false;
        while let Some(Next { job: (job, limit), waiting, leaves, is_before_query, taken }) =
            queue.next(&control, has_run)
        {
            has_run = true;
            if leaves && !timekeeper.tick() {
                queue.call_next();
            }
            let context = Context {
                pool: &pool,
                control: &control,
                since: limit.since,
                queue: &queue,
                waiting: Cell::new(waiting),
                is_before_query,
                timekeeper: &timekeeper,
                begin: Cell::new(taken),
                is_noted: Cell::new(false),
            };
            context.keep_wakes();
            // What may panic here is the executor, while a task is woken.
            shielded(|| job.run(&context));
            context.end();
            shielded(|| drop(job));
        }
        queue.remove(&control);
    })
}

/// A call whose closure returns a result.
pub(crate) type ResultCall<F, T, E> = Call<F, Arc<Control>, thread::Result<Result<T, E>>>;

impl<F, T, E> Job for ResultCall<F, T, E>
where
    F: FnOnce(&Context<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&self, context: &Context<'_>) {
        run_call(self, context.control, |work| work(context), |waker| context.wake(waker));
    }

    fn refuse(&self, reason: &dyn Fn() -> Error) {
        refuse_call(self, reason);
    }

    fn is_waiting(&self) -> bool {
        Self::is_waiting(self)
    }
}

/// Begins a call, runs its closure and hands the result over. Returns whether the closure panicked.
pub(crate) fn run_call<F, T>(
    call: &Call<F, Arc<Control>, thread::Result<T>>,
    control: &Arc<Control>,
    run: impl FnOnce(F) -> T,
    wake: impl FnOnce(Waker),
) -> bool {
    let Some(work) = call.begin(Arc::clone(control)) else {
        return false;
    };
    let result = catch_unwind(AssertUnwindSafe(|| run(work)));
    let has_panicked = result.is_err();
    match call.finish(result) {
        Ok(Some(waker)) => wake(waker),
        Ok(None) => {}
        Err(unwanted) => discard(unwanted),
    }
    has_panicked
}

/// Ends a call that has not begun with this error. A panic of the program's conversion of the error is the call's.
pub(crate) fn refuse_call<F, T, E: From<Error>>(call: &ResultCall<F, T, E>, reason: &dyn Fn() -> Error) {
    let result = catch_unwind(AssertUnwindSafe(|| Err(reason().into())));
    match call.refuse(result) {
        Ok((work, waker)) => {
            shielded(|| drop(work));
            if let Some(waker) = waker {
                shielded(|| waker.wake());
            }
        }
        Err(unwanted) => discard(unwanted),
    }
}

/// Drops a result that nobody waits for. A panic is logged: no call resumes it.
pub(crate) fn discard<T>(result: thread::Result<T>) {
    match result {
        Ok(result) => shielded(|| drop(result)),
        Err(panic) => {
            log(&*panic);
            shielded(|| drop(panic));
        }
    }
}

/// Runs code of the program that may panic, where nobody would resume the panic.
pub(crate) fn shielded(run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        log(&*panic);
        // The payload of a panic may panic in its own `Drop`; such a payload is leaked.
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(again);
        }
    }
}

fn log(panic: &(dyn Any + Send)) {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let event = || {
        tracing::error!(target: "finalite::worker", message, "a call that nobody awaits panicked");
    };
    if let Err(again) = catch_unwind(event) {
        std::mem::forget(again);
    }
}

//! Statements of several calls in one transaction.
//!
//! A worker that takes such a call takes those behind it, too, runs their statements in one transaction and commits once.
//! Nobody is answered before the commit. Whatever goes wrong, one statement's error or cancellation included, the
//! transaction is rolled back: nothing was stored and nobody was answered, so that each statement then runs alone, as any
//! other call, and has the outcome of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use finalite::pool::Role;
use finalite::{Connection, DropBehavior, Error, Result, workspace};

use crate::control::Deadline;
use crate::queue::Job;
use crate::worker::{Context, ResultCall, Site, discard, refuse_call, shielded};

/// Number of calls that share a transaction, at most.
const CALLS_MAX: usize = 64;

/// Time after which a transaction is committed although other calls wait to join it: those in it wait for their answers.
const TIME_MAX: Duration = Duration::from_millis(5);

/// A statement that may run several times: together with others, or alone.
pub(crate) type Write = Box<dyn FnMut(&Connection, Together) -> Result<usize> + Send>;

/// Whether the statement runs in a transaction with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Yes,
    No,
}

/// A call whose statement may share a transaction.
pub(crate) struct Grouped {
    call: Arc<ResultCall<Write, usize, Error>>,
    site: Site,
    since: Instant,
    deadline: Deadline,
}

impl Grouped {
    pub(crate) fn new(
        call: &Arc<ResultCall<Write, usize, Error>>,
        (site, since): (Site, Instant),
        deadline: Deadline,
    ) -> Self {
        Self { call: Arc::clone(call), site, since, deadline }
    }
}

impl Job for Grouped {
    fn run(&self, context: &Context<'_>) {
        let others = context.queue.take_grouped(CALLS_MAX - 1);
        let members = std::iter::once(self).chain(others.iter().filter_map(|(job, _)| job.grouped()));
        let begin = |member: &'_ Self| member.call.begin(Arc::clone(context.control));
        let mut waiting: Vec<_> = members.filter_map(|member| Some((member, begin(member)?))).collect();
        while waiting.len() > 1 {
            match catch_unwind(AssertUnwindSafe(|| run_together(context, &mut waiting))) {
                Ok(Ok(stored)) => answer(waiting.drain(..stored.len()).zip(stored)),
                Ok(Err(_)) => break,
                // The panic comes again where the statement runs alone, and is resumed by its task.
                Err(panic) => {
                    shielded(|| drop(panic));
                    break;
                }
            }
        }
        waiting.into_iter().for_each(|(member, write)| run_alone(context, member, write));
        others.into_iter().for_each(|job| shielded(|| drop(job)));
    }

    fn refuse(&self, reason: &dyn Fn() -> Error) {
        refuse_call(&self.call, reason);
    }

    fn is_waiting(&self) -> bool {
        self.call.is_waiting()
    }

    fn grouped(&self) -> Option<&Grouped> {
        Some(self)
    }
}

/// Runs the statements of the first calls, as many as there is time for, in one transaction. Returns the number of rows
/// that each has changed; an error if nothing is stored.
fn run_together(context: &Context<'_>, calls: &mut [(&Grouped, Write)]) -> Result<Vec<usize>> {
    let deadline = calls.iter().filter_map(|(member, _)| member.deadline).min();
    let (begin, site) = (Instant::now(), calls[0].0.site);
    let mut conn = context.lend(Role::Writer, site, deadline)?;
    let _supervision = context.control.supervise(&conn, deadline)?;
    let mut tx = conn.transaction()?;
    tx.set_drop_behavior(DropBehavior::Rollback);
    let mut stored = Vec::with_capacity(calls.len());
    for (_, write) in calls {
        stored.push(write(&tx, Together::Yes)?);
        // Alone, its commit would fail; here, a later statement could make good for it.
        if tx.has_unresolved_foreign_keys() {
            return Err(workspace::interrupted());
        }
        if begin.elapsed() >= TIME_MAX {
            break;
        }
    }
    tx.commit()?;
    Ok(stored)
}

/// Runs a statement alone, unless its call was cancelled meanwhile.
fn run_alone(context: &Context<'_>, member: &Grouped, mut write: Write) {
    loop {
        let goes_on = context.queue.renew(context.control);
        if !member.call.is_running() {
            shielded(|| drop(write));
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let waited = member.since.elapsed();
            if waited >= workspace::acquire_timeout(context.pool) {
                return Err(workspace::acquire_timed_out(context.pool, Role::Writer, waited));
            }
            let conn = context.lend(Role::Writer, member.site, member.deadline)?;
            let _supervision = context.control.supervise(&conn, member.deadline)?;
            write(&conn, Together::No)
        }));
        // The cancellation of another call of the group, which has begun, interrupts whatever runs.
        let is_anothers = matches!(&result, Ok(Err(error)) if error.is_interrupted())
            && context.control.is_cancelled()
            && member.call.is_running();
        if goes_on && is_anothers && context.queue.renew(context.control) {
            continue;
        }
        finish(&member.call, result);
        shielded(|| drop(write));
        return;
    }
}

fn answer<'a>(stored: impl Iterator<Item = ((&'a Grouped, Write), usize)>) {
    for ((member, write), rows) in stored {
        finish(&member.call, Ok(Ok(rows)));
        shielded(|| drop(write));
    }
}

fn finish(call: &ResultCall<Write, usize, Error>, result: thread::Result<Result<usize>>) {
    match call.finish(result) {
        Ok(Some(waker)) => shielded(|| waker.wake()),
        Ok(None) => {}
        Err(unwanted) => discard(unwanted),
    }
}

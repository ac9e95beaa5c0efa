//! Queries that wait together, on one connection and in one read transaction.
//!
//! To begin and to end a read transaction costs as much as a lookup by key: SQLite takes and releases a lock of the file,
//! and looks for the end of the log. A worker that finds queries waiting therefore keeps one statement on its row while it
//! runs those that were made before: the transaction ends with that statement. Each query sees all that was committed before
//! it was made, and is answered when it has ended, before the transaction does. The connection remains in autocommit mode.
//!
//! Where no transaction can be had at once, the first query runs alone, with its own errors.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use finalite::pool::Role;
use finalite::workspace::{self, HeldTransaction};
use finalite::{Connection, Error, Result};

use crate::control::Deadline;
use crate::queue::Job;
use crate::worker::{Context, ResultCall, Site, discard, refuse_call, run_call, shielded};

/// Number of queries that share a transaction, at most.
const QUERIES_MAX: usize = 64;

/// Time after which a transaction takes no further query: it keeps the log from starting again.
const TIME_MAX: Duration = Duration::from_millis(1);

/// The closure of a query, for a call.
pub(crate) struct Query<F> {
    pub(crate) work: F,
    pub(crate) site: Site,
    pub(crate) deadline: Deadline,
}

/// A query that may share a transaction.
pub(crate) trait SharedQuery {
    /// Runs it, unless it is over. Returns whether it panicked.
    fn run_on(&self, conn: &Connection, context: &Context<'_>) -> bool;
}

/// Whether a statement only reads, whatever follows its first word. One that begins with a comment runs alone.
pub(crate) fn may_share(sql: &str) -> bool {
    let word = sql.trim_ascii_start().get(.."SELECT".len());
    word.is_some_and(|word| word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("VALUES"))
}

impl<F, T> SharedQuery for ResultCall<Query<F>, T, Error>
where
    F: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run_on(&self, conn: &Connection, context: &Context<'_>) -> bool {
        let run = |query: Query<F>| {
            let _limits = context.control.limit(conn, query.deadline)?;
            (query.work)(conn)
        };
        run_call(self, context.control, run, |waker| context.wake(waker))
    }
}

impl<F, T> Job for ResultCall<Query<F>, T, Error>
where
    F: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    fn run(&self, context: &Context<'_>) {
        if !context.is_before_query || !run_together(self, context) {
            let run = |query: Query<F>| {
                let conn = context.lend(Role::Reader, query.site, query.deadline)?;
                let _supervision = context.control.supervise(&conn, query.deadline)?;
                (query.work)(&conn)
            };
            run_call(self, context.control, run, |waker| context.wake(waker));
        }
    }

    fn refuse(&self, reason: &dyn Fn() -> Error) {
        refuse_call(self, reason);
    }

    fn is_waiting(&self) -> bool {
        Self::is_waiting(self)
    }

    fn query(&self) -> Option<&dyn SharedQuery> {
        Some(self)
    }
}

/// Runs a query, and those that wait behind it, in one transaction. Returns `false` if none can be had at once.
fn run_together<F, T>(first: &ResultCall<Query<F>, T, Error>, context: &Context<'_>) -> bool
where
    F: FnOnce(&Connection) -> Result<T> + Send,
    T: Send,
{
    let Some(site) = first.peek(|query| query.site) else {
        return true;
    };
    let run = AssertUnwindSafe(|| {
        let conn = workspace::lend_at_once(context.pool, Role::Reader, site);
        conn.is_some_and(|conn| run_all(first, &conn, context))
    });
    match catch_unwind(run) {
        Ok(has_begun) => has_begun,
        Err(panic) => {
            // Otherwise, it is one of a callback or of the check of the connection: nobody's, if the query has begun.
            if !panic.is::<QueryPanicked>() {
                discard::<()>(Err(panic));
            }
            !first.is_waiting()
        }
    }
}

/// Panic by which the guards of a connection are dropped whose query has panicked, so that the pool closes it.
struct QueryPanicked;

/// Runs a query, and those that wait behind it. Returns `false` if no transaction can be had.
fn run_all(first: &dyn SharedQuery, conn: &Connection, context: &Context<'_>) -> bool {
    let Ok(_supervision) = context.control.supervise(conn, None) else {
        return false;
    };
    let begin = Instant::now();
    // A lock is waited for by the query itself, within its own limits.
    let Ok(soon) = context.control.limit(conn, begin.checked_add(TIME_MAX).map(|at| (at, TIME_MAX))) else {
        return false;
    };
    let Some(transaction) = HeldTransaction::begin(conn) else {
        return false;
    };
    drop(soon);
    let mut has_panicked = first.run_on(conn, context);
    for _ in 1..QUERIES_MAX {
        // SQLite interrupts all statements until none runs.
        let is_interrupted = context.control.is_cancelled() || transaction.is_interrupted();
        if has_panicked || is_interrupted || !workspace::pass_on(conn) {
            break;
        }
        let now = context.end();
        if now.duration_since(begin) > TIME_MAX {
            break;
        }
        let Some(job) = context.take_query(begin, now) else {
            break;
        };
        if let Some(query) = job.query() {
            has_panicked = query.run_on(conn, context);
        }
        shielded(|| drop(job));
    }
    if has_panicked {
        resume_unwind(Box::new(QueryPanicked));
    }
    true
}

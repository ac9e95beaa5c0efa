//! Statements of several calls in one transaction.
//!
//! A worker that has run the statement of such a call takes the next one from the queue, as long as there is time, runs it
//! in the same transaction, and commits once. Nobody is answered before the commit.
//!
//! A statement that SQLite refuses is undone by SQLite alone, or keeps what came before the row that is refused (`OR FAIL`),
//! as it does in a transaction of its own. Its call is held with the error, and the others go on.
//!
//! Whatever else goes wrong before the `COMMIT`, a cancellation included, has the transaction rolled back. Nothing was
//! stored then, nobody was answered, and the calls go back to the head of the queue, to run alone as any other call, once.
//! From the `COMMIT` on, nothing is run again, unless it is certain that nothing was stored.
//!
//! One call at a time can be interrupted, the one whose statement runs: those that wait are in the queue, where their
//! limits are kept, and those whose statements have ended are held.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use finalite::pool::Role;
use finalite::{
    Connection, DropBehavior, Error, ErrorKind, Params, Result, ResultCode, Transaction, TransactionBehavior,
    TransactionState, workspace,
};

use crate::control::Deadline;
use crate::queue::Job;
use crate::timekeeper::{Limit, Timekeeper};
use crate::worker::{Context, ResultCall, Site, discard, refuse_call, run_call, shielded};

/// Number of calls that share a transaction, at most.
const CALLS_MAX: usize = 64;

/// Time from the end of the first statement after which a transaction is committed although other calls wait to join it:
/// those in it wait for their answers.
const TIME_MAX: Duration = Duration::from_millis(5);

/// Time before a deadline in which its call joins no transaction, and none joins that of its call.
const NEAR: Duration = Duration::from_millis(20);

/// A statement that may run twice: together with others, and alone.
pub(crate) type Write = Box<dyn FnMut(&Connection, Together) -> Result<usize, Failure> + Send>;

/// Whether the statement runs in a transaction with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Yes,
    No,
}

/// The error of a statement.
pub(crate) struct Failure {
    error: Error,
    /// Whether the statement has the same error in a transaction of its own, and as little effect.
    is_own: bool,
}

/// Runs the statement of a call, to completion.
pub(crate) fn execute(
    conn: &Connection,
    sql: &str,
    params: impl Params<'static>,
    together: Together,
) -> Result<usize, Failure> {
    let mut statement = conn.prepare_cached(sql).map_err(|error| {
        let is_own = changes_rows(sql) && is_of_the_text(&error);
        Failure { error, is_own }
    })?;
    // `COMMIT` is such a statement, too.
    if together == Together::Yes && statement.is_readonly() {
        return Err(Failure { error: workspace::interrupted(), is_own: false });
    }
    statement.execute(params).map_err(|error| {
        let is_own = changes_rows(sql) && (is_of_the_parameters(&error) || is_of_a_row(&error));
        Failure { error, is_own }
    })
}

/// Whether a statement inserts, updates or deletes, by its first word. Others may know whether a transaction is open.
fn changes_rows(sql: &str) -> bool {
    let sql = workspace::skip_blank(sql);
    let word = workspace::first_token(sql).and_then(|len| sql.get(..len)).unwrap_or_default();
    ["INSERT", "REPLACE", "UPDATE", "DELETE", "WITH"].iter().any(|first| word.eq_ignore_ascii_case(first))
}

/// Whether it is one of preparing that comes from the text and the schema.
fn is_of_the_text(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::NoSuch { .. } | ErrorKind::TrailingSql { .. } | ErrorKind::NulInSql => true,
        _ => error.extended_code() == Some(ResultCode::ERROR),
    }
}

/// Whether it is one of binding, before the statement has begun.
fn is_of_the_parameters(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ParameterConversion { .. }
            | ErrorKind::ParameterCount { .. }
            | ErrorKind::TooManyParameters { .. }
            | ErrorKind::ParameterUnset { .. }
            | ErrorKind::ParameterTwice { .. }
            | ErrorKind::AmbiguousParameter { .. }
    )
}

/// Whether it is a constraint that a row violates, a trigger's `RAISE` included. SQLite knows before that a statement may
/// end by one, and keeps a journal of it. It keeps none for all errors of virtual tables, of values that are too large, and
/// of types in STRICT tables: what a statement has changed before these is undone with its transaction alone.
fn is_of_a_row(error: &Error) -> bool {
    const VIOLATIONS: [ResultCode; 7] = [
        ResultCode::CONSTRAINT_CHECK,
        ResultCode::CONSTRAINT_FOREIGNKEY,
        ResultCode::CONSTRAINT_NOTNULL,
        ResultCode::CONSTRAINT_PRIMARYKEY,
        ResultCode::CONSTRAINT_ROWID,
        ResultCode::CONSTRAINT_TRIGGER,
        ResultCode::CONSTRAINT_UNIQUE,
    ];
    error.extended_code().is_some_and(|code| VIOLATIONS.contains(&code))
}

type GroupedCall = Arc<ResultCall<Write, usize, Error>>;

/// A call whose statement may share a transaction.
#[derive(Clone)]
pub(crate) struct Grouped {
    call: GroupedCall,
    timekeeper: Arc<Timekeeper>,
    site: Site,
    deadline: Deadline,
    /// Whether it has shared one, and is not to do so again.
    is_alone: bool,
}

impl Grouped {
    pub(crate) fn new(call: &GroupedCall, timekeeper: &Arc<Timekeeper>, site: Site, deadline: Deadline) -> Self {
        Self { call: Arc::clone(call), timekeeper: Arc::clone(timekeeper), site, deadline, is_alone: false }
    }

    fn run_alone(&self, context: &Context<'_>) {
        let run = |mut write: Write| {
            let conn = context.lend(Role::Writer, self.site, self.deadline)?;
            let _supervision = context.control.supervise(&conn, self.deadline)?;
            write(&conn, Together::No).map_err(|failure| failure.error)
        };
        run_call(&self.call, context.control, run, |waker| context.wake(waker));
    }
}

impl Job for Grouped {
    fn run(&self, context: &Context<'_>) {
        if self.is_alone || !context.queue.is_next_grouped() {
            return self.run_alone(context);
        }
        let Some(write) = self.call.begin(Arc::clone(context.control)) else {
            return;
        };
        let running = Some((self.clone(), write));
        let mut group = Group { context, running, held: Vec::new(), deadline: None, fate: Fate::NotStored };
        let result = catch_unwind(AssertUnwindSafe(|| group.run()));
        group.end(result);
    }

    fn refuse(&self, reason: &dyn Fn() -> Error) {
        refuse_call(&self.call, reason);
    }

    fn is_waiting(&self) -> bool {
        self.call.is_waiting()
    }

    fn grouped(&self) -> Option<&Grouped> {
        (!self.is_alone).then_some(self)
    }
}

/// The calls that share a transaction, in their order.
struct Group<'a> {
    context: &'a Context<'a>,
    /// Those whose statements have ended, and the number of rows that each has changed, or its error.
    held: Vec<(Grouped, Write, Result<usize>)>,
    /// The one whose statement runs.
    running: Option<(Grouped, Write)>,
    /// The earliest deadline of those that are held.
    deadline: Deadline,
    fate: Fate,
}

/// Fate of what the statements have changed.
enum Fate {
    NotStored,
    /// The `COMMIT` has begun, and has not ended well.
    Unknown,
    Stored,
}

impl Group<'_> {
    fn run(&mut self) -> Result<()> {
        let Some((first, _)) = &self.running else {
            return Ok(());
        };
        let lent = catch_unwind(AssertUnwindSafe(|| self.context.lend(Role::Writer, first.site, first.deadline)));
        let mut conn = match lent {
            Ok(Ok(conn)) => conn,
            failed => {
                self.answer_running(failed.map(|lent| lent.map(|_| 0)));
                return Ok(());
            }
        };
        // The first statement waits for the lock, as it does alone, unless the transaction reads: preparing may have read a
        // virtual table. SQLite does not wait then, and the call runs alone.
        let mut tx = conn.transaction_with(TransactionBehavior::Deferred)?;
        tx.set_drop_behavior(DropBehavior::Rollback);
        match self.run_one(&tx, None) {
            Err(error) if error.is_busy() && tx.transaction_state(None)? == TransactionState::None => {
                self.answer_running(Ok(Err(error)));
                return Ok(());
            }
            result => result?,
        }
        if let Some(end) = Instant::now().checked_add(TIME_MAX) {
            while self.take_next(end) {
                self.run_one(&tx, Some((end, TIME_MAX)))?;
            }
        }
        self.commit(tx)
    }

    /// Runs the statement of the call that is next, until that is cancelled or has to end for the sake of the others. After
    /// an error that is returned, the transaction is rolled back.
    fn run_one(&mut self, tx: &Transaction<'_>, end: Deadline) -> Result<()> {
        let Some((member, write)) = &mut self.running else {
            return Ok(());
        };
        let control = self.context.control;
        let deadline = [member.deadline, self.deadline, end].into_iter().flatten().min();
        let supervision = control.supervise(tx, deadline)?;
        let outcome = match write(tx, Together::Yes) {
            Ok(rows) => Ok(rows),
            // The transaction has ended where the statement's conflict or trigger rolls it back.
            Err(failure) if failure.is_own && !tx.is_autocommit() && workspace::undoes_statements(tx) => {
                Err(failure.error)
            }
            Err(failure) => return Err(failure.error),
        };
        drop(supervision);
        // Alone, a commit would fail that leaves a key unresolved; here, a later statement could make good for it.
        if !member.call.hold() || control.is_cancelled() || tx.has_unresolved_foreign_keys() || !workspace::pass_on(tx)
        {
            return Err(workspace::interrupted());
        }
        self.deadline = [self.deadline, member.deadline].into_iter().flatten().min();
        self.held.extend(self.running.take().map(|(member, write)| (member, write, outcome)));
        Ok(())
    }

    /// Begins the next call of the queue, if there is time for it until this moment.
    fn take_next(&mut self, end: Instant) -> bool {
        let now = Instant::now();
        let is_near = |deadline: Deadline| deadline.is_some_and(|(at, _)| at.saturating_duration_since(now) <= NEAR);
        if now >= end || self.held.len() == CALLS_MAX || is_near(self.deadline) {
            return false;
        }
        while let Some(job) = self.context.queue.take_grouped(|next| !is_near(next.deadline)) {
            let begun = job.0.grouped().and_then(|next| {
                let write = next.call.begin(Arc::clone(self.context.control))?;
                Some((next.clone(), write))
            });
            shielded(|| drop(job));
            if begun.is_some() {
                self.running = begun;
                return true;
            }
        }
        false
    }

    fn commit(&mut self, tx: Transaction<'_>) -> Result<()> {
        let _supervision = self.context.control.supervise(&tx, self.deadline)?;
        self.fate = Fate::Unknown;
        let Err(failed) = tx.commit_or_return() else {
            self.fate = Fate::Stored;
            return Ok(());
        };
        let (tx, error) = failed.into_parts();
        // It is still open if a lock has prevented the `COMMIT`, or the end of the calls; a hook refuses before anything is
        // written.
        if !tx.is_autocommit() || error.extended_code() == Some(ResultCode::CONSTRAINT_COMMITHOOK) {
            self.fate = Fate::NotStored;
        }
        Err(error)
    }

    /// Ends the call that runs with a failure that has nothing to do with other calls.
    fn answer_running(&mut self, failure: thread::Result<Result<usize>>) {
        if let Some((member, write)) = self.running.take() {
            finish(&member.call, failure);
            shielded(|| drop(write));
        }
    }

    /// Answers the calls, or has them run alone. The connection was given back.
    fn end(self, result: thread::Result<Result<()>>) {
        match (&self.fate, result) {
            (Fate::NotStored, result) => {
                // A panic of a statement comes again where that runs alone, and is resumed by its task.
                shielded(|| drop(result));
                self.put_back();
            }
            (Fate::Stored, result) => {
                self.answer(Ok);
                discard(result);
            }
            (Fate::Unknown, Ok(result)) => {
                let error = result.err().unwrap_or_else(workspace::interrupted);
                self.answer(|_| Ok(Err(workspace::same_error(&error))));
            }
            (Fate::Unknown, Err(panic)) => {
                let message = message(&*panic);
                let mut first = Some(panic);
                self.answer(|_| Err(first.take().unwrap_or_else(|| Box::new(message.clone()))));
            }
        }
    }

    fn answer(self, mut answer: impl FnMut(Result<usize>) -> thread::Result<Result<usize>>) {
        for (member, write, outcome) in self.held {
            finish(&member.call, answer(outcome));
            shielded(|| drop(write));
        }
    }

    fn put_back(self) {
        let all = self.held.into_iter().map(|(member, write, _)| (member, write)).chain(self.running);
        let (mut jobs, mut limits) = (VecDeque::new(), Vec::new());
        for (member, write) in all {
            match member.call.put_back(write) {
                Ok(()) => {
                    let limit = Limit::of_deadline(member.deadline);
                    limits.extend(limit.at.map(|_| (Arc::clone(&member.timekeeper), limit)));
                    jobs.push_back((Arc::new(Grouped { is_alone: true, ..member }) as Arc<dyn Job>, limit));
                }
                Err(write) => shielded(|| drop(write)),
            }
        }
        self.context.queue.put_back(jobs);
        for (timekeeper, limit) in limits {
            // The thread runs since the calls waited; without it, a deadline is kept from where the statement begins.
            let _ = timekeeper.keep(limit);
        }
    }
}

fn finish(call: &ResultCall<Write, usize, Error>, result: thread::Result<Result<usize>>) {
    match call.finish(result) {
        Ok(Some(waker)) => shielded(|| waker.wake()),
        Ok(None) => {}
        Err(unwanted) => discard(unwanted),
    }
}

/// Returns the message of a panic, for each further call that it concerns.
fn message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<String>().cloned();
    message
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "a hook panicked".into())
}

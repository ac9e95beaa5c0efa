//! A worker that serves one transaction, from its beginning to its end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use finalite::pool::{PooledConnection, Role};
use finalite::workspace::Process;
use finalite::{DropBehavior, Error, Result, Transaction, workspace};
use tokio::sync::oneshot;

use crate::control::{Control, Deadline};
use crate::worker::{Context, ResultCall, Site, refuse_call, run_call};

/// A call within a transaction.
pub(crate) trait Command: Send + Sync {
    /// Runs the call, unless it was cancelled. Returns whether its closure panicked.
    fn run(&self, tx: &mut Transaction<'_>, control: &Arc<Control>) -> bool;

    /// Ends the call with this error.
    fn refuse(&self, reason: &dyn Fn() -> Error);
}

impl<F, T, E> Command for ResultCall<F, T, E>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&self, tx: &mut Transaction<'_>, control: &Arc<Control>) -> bool {
        run_call(self, control, |work| work(tx), Waker::wake)
    }

    fn refuse(&self, reason: &dyn Fn() -> Error) {
        refuse_call(self, reason);
    }
}

/// The call that ends a transaction: whether it commits.
pub(crate) type EndCall = ResultCall<bool, (), Error>;

/// Next thing to do in a transaction.
pub(crate) enum Step {
    Run(Arc<dyn Command>),
    End(Arc<EndCall>),
}

impl Step {
    fn refuse(&self, over: Over) {
        let reason = || match over {
            Over::Ended => workspace::transaction_ended(),
            Over::Late { allowed } => workspace::deadline_passed(allowed),
        };
        match self {
            Self::Run(command) => command.refuse(&reason),
            Self::End(call) => refuse_call(call, &reason),
        }
    }
}

/// Reason why a transaction is over.
#[derive(Clone, Copy, Debug)]
enum Over {
    Ended,
    /// Its deadline passed while nothing ran.
    Late {
        allowed: Duration,
    },
}

/// A transaction, for the task that has it and the worker that serves it.
pub(crate) struct Session {
    state: Mutex<State>,
    pub(crate) process: Process,
}

#[derive(Default)]
struct State {
    /// At most one: the task waits for the last one, or has cancelled it.
    step: Option<Step>,
    /// The worker, from the beginning of the transaction to its end.
    control: Option<Arc<Control>>,
    /// Whether nobody has the transaction any more.
    is_left: bool,
    over: Option<Over>,
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), process: Process::this() }
    }

    /// Asks for the next step.
    pub(crate) fn ask(&self, step: Step) {
        // Whoever awaits it in a child process is told.
        if !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        if let Some(over) = state.over {
            drop(state);
            step.refuse(over);
            return;
        }
        let former = state.step.replace(step);
        let control = state.control.clone();
        drop(state);
        drop(former);
        if let Some(control) = control {
            control.unpark();
        }
    }

    /// Has the transaction rolled back.
    pub(crate) fn leave(&self) {
        if !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        state.is_left = true;
        let control = state.control.clone();
        drop(state);
        if let Some(control) = control {
            control.unpark();
        }
    }

    /// Waits for the next step; `None` if the transaction is to be rolled back.
    fn next(&self, control: &Control, deadline: Deadline) -> Option<Step> {
        let mut step = None;
        let is_in_time = control.wait_until(deadline, || {
            let mut state = self.lock();
            step = state.step.take();
            step.is_some() || state.is_left
        });
        if let Some((_, allowed)) = deadline.filter(|_| !is_in_time && !control.is_cancelled()) {
            self.lock().over = Some(Over::Late { allowed });
        }
        step
    }

    /// Ends the session: further steps are refused.
    fn end(&self) {
        let mut state = self.lock();
        let over = *state.over.get_or_insert(Over::Ended);
        state.control = None;
        let step = state.step.take();
        drop(state);
        if let Some(step) = step {
            step.refuse(over);
        }
    }
}

/// Ends a session, also after a panic. The connection is back by then.
struct Ending<'a>(&'a Session);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// End of a transaction that was asked for, to be told when the connection is back.
type Ended = (Arc<EndCall>, std::thread::Result<Result<()>>);

/// Begins a transaction, tells that, and serves it to its end.
pub(crate) fn serve(
    context: &Context<'_>,
    (role, site): (Role, Site),
    deadline: Deadline,
    session: &Session,
    begun: oneshot::Sender<()>,
) -> Result<()> {
    let ending = Ending(session);
    let mut ended = None;
    let served = catch_unwind(AssertUnwindSafe(|| {
        let mut conn = context.lend(role, site, deadline)?;
        serve_on(&mut conn, context.control, deadline, session, begun, &mut ended)
    }));
    drop(ending);
    if let Some((call, result)) = ended
        && let Ok(Some(waker)) = call.finish(result)
    {
        waker.wake();
    }
    // A panic was resumed in the call that has panicked.
    served.unwrap_or(Ok(()))
}

fn serve_on(
    conn: &mut PooledConnection<'_>,
    control: &Arc<Control>,
    deadline: Deadline,
    session: &Session,
    begun: oneshot::Sender<()>,
    ended: &mut Option<Ended>,
) -> Result<()> {
    let _supervision = control.supervise(conn, deadline)?;
    let mut tx = conn.transaction()?;
    tx.set_drop_behavior(DropBehavior::Rollback);
    // SQLite takes the snapshot of a transaction that reads with its first read.
    tx.exists("SELECT 1 FROM sqlite_schema", ())?;
    session.lock().control = Some(Arc::clone(control));
    if begun.send(()).is_err() {
        return Ok(());
    }
    while let Some(step) = session.next(control, deadline) {
        match step {
            Step::Run(command) => {
                let has_panicked = command.run(&mut tx, control);
                drop(command);
                if has_panicked {
                    // The guards are dropped by a panic, so that the pool closes the connection.
                    resume_unwind(Box::new("a call within the transaction panicked"));
                }
                if control.is_cancelled() {
                    break;
                }
            }
            Step::End(call) => {
                let Some(commits) = call.begin(Arc::clone(control)) else {
                    continue;
                };
                let end = AssertUnwindSafe(|| if commits { tx.commit() } else { tx.rollback() });
                let result = catch_unwind(end);
                let has_panicked = result.is_err();
                *ended = Some((call, result));
                if has_panicked {
                    resume_unwind(Box::new("a hook of the commit panicked"));
                }
                return Ok(());
            }
        }
    }
    tx.rollback()
}

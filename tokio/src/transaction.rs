//! Transactions that live across awaits.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use finalite::pool::Role;
use finalite::sql::quote_identifier;
use finalite::{Error, FromRow, Params, Result, workspace};
use tokio::sync::oneshot;

use crate::call::Pending;
use crate::handover::Call;
use crate::pool::Pool;
use crate::session::{self, EndCall, Session, Step};
use crate::worker::{Context, ResultCall, Site};

/// A transaction that lives across awaits, with a connection and a thread of the pool of its own. From [`Pool::begin`] and
/// [`Pool::begin_read`].
///
/// Dropping it rolls back, on its thread, before the connection is lent again. If the future of a call is dropped after
/// the call has begun, the call is interrupted and the whole transaction rolled back: later calls return
/// [`ErrorKind::TransactionEnded`](finalite::ErrorKind::TransactionEnded).
///
/// # Example
///
/// ```
/// use finalite_tokio::Pool;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> finalite::Result<()> {
/// let pool = Pool::open(finalite::pool::Pool::in_memory("transaction")).await?;
/// pool.execute_batch("CREATE TABLE seat(id INTEGER PRIMARY KEY, guest TEXT); INSERT INTO seat VALUES (1, NULL)").await?;
/// let mut tx = pool.begin().await?;
/// let free: i64 = tx.query_one("SELECT id FROM seat WHERE guest IS NULL", ()).await?;
/// // Something else is awaited while the seat is kept, such as a payment.
/// tokio::task::yield_now().await;
/// tx.execute("UPDATE seat SET guest = ? WHERE id = ?", ("Ada", free)).await?;
/// tx.commit().await?;
/// assert_eq!(pool.query_one::<String>("SELECT guest FROM seat", ()).await?, "Ada");
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it rolls back"]
pub struct Transaction {
    session: Arc<Session>,
    /// The call that serves the transaction. Dropping it interrupts what runs.
    _serving: Serving,
}

/// The future of the call that serves a transaction.
type Serving = Pin<Box<dyn Future<Output = Result<()>> + Send + Sync>>;

impl Pool {
    /// Begins a transaction that has the write lock, and with it the pool's writer: other writes wait for its end. A write
    /// that awaits nothing in between is better a closure of [`write`](Self::write), which is handed over once and runs
    /// again after locks of other connections.
    ///
    /// The transaction does not keep the pool: when the last clone of the pool is dropped, it is rolled back. One that is
    /// kept or forgotten keeps its thread and [`close`](Self::close) waiting; a deadline or
    /// [`close_now`](Self::close_now) ends it.
    ///
    /// # Errors
    ///
    /// Those of [`finalite::pool::Pool::writer`], and of `BEGIN`.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Transaction>> + Send {
        self.begin_as(Role::Writer, Location::caller())
    }

    /// Begins a transaction like [`begin`](Self::begin), unless it would have to wait for calls of the pool; `None` then.
    /// Locks of other connections to the database, and those that [`blocking`](Self::blocking) has checked out, are waited
    /// for as ever. The thread of a call that has returned this moment may count as busy.
    ///
    /// # Errors
    ///
    /// See [`begin`](Self::begin).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("try_begin")).await?;
    /// let tx = pool.try_begin().await?.expect("nothing else writes");
    /// assert!(pool.try_begin().await?.is_none());
    /// tx.rollback().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_begin(&self) -> impl Future<Output = Result<Option<Transaction>>> + Send {
        let site = Location::caller();
        async move {
            let (session, serving) = self.serving(Role::Writer, site);
            match self.inner.writer.submit_if_free(self.deadline(), serving)? {
                Some(serving) => begun(session, serving.without_spinning()).await.map(Some),
                None => Ok(None),
            }
        }
    }

    /// Begins a transaction that only reads: all its queries see the same state of the database. It occupies one of the
    /// readers.
    ///
    /// # Errors
    ///
    /// Those of [`finalite::pool::Pool::reader`], and of `BEGIN`.
    #[track_caller]
    pub fn begin_read(&self) -> impl Future<Output = Result<Transaction>> + Send {
        self.begin_as(Role::Reader, Location::caller())
    }

    async fn begin_as(&self, role: Role, site: Site) -> Result<Transaction> {
        let (session, serving) = self.serving(role, site);
        let serving = self.inner.lane(role).submit(self.deadline(), serving)?;
        begun(session, serving.without_spinning()).await
    }

    /// Returns a session, and the call that serves it.
    fn serving(&self, role: Role, site: Site) -> (Beginning, impl FnOnce(&Context<'_>) -> Result<()> + Send + use<>) {
        let (deadline, session) = (self.deadline(), Arc::new(Session::new()));
        let (begun, has_begun) = oneshot::channel();
        let served = Arc::clone(&session);
        let serve = move |context: &Context<'_>| session::serve(context, (role, site), deadline, &served, begun);
        (Beginning { session, has_begun }, serve)
    }
}

/// A transaction that is to begin.
struct Beginning {
    session: Arc<Session>,
    has_begun: oneshot::Receiver<()>,
}

/// Waits until the transaction has begun.
async fn begun(
    Beginning { session, has_begun }: Beginning,
    serving: impl Future<Output = Result<()>> + Send + Sync + 'static,
) -> Result<Transaction> {
    let mut has_begun = Some(has_begun);
    let mut transaction = Transaction { session, _serving: Box::pin(serving) };
    poll_fn(|task| {
        if let Some(beginning) = &mut has_begun
            && let Poll::Ready(result) = Pin::new(beginning).poll(task)
        {
            // A receiver that is over is not polled again. One without a message: it ends before it has begun, with an
            // error that is there when the connection is back.
            has_begun = None;
            if result.is_ok() {
                return Poll::Ready(Ok(()));
            }
        }
        transaction._serving.as_mut().poll(task).map(|result| result.and(Err(workspace::interrupted())))
    })
    .await?;
    Ok(transaction)
}

impl Transaction {
    /// Runs the closure in the transaction, on its thread. A [savepoint](finalite::Transaction::savepoint) of the closure
    /// ends within it; one that lives across awaits is from [`savepoint`](Self::savepoint).
    ///
    /// # Errors
    ///
    /// The closure's; [`ErrorKind::TransactionEnded`](finalite::ErrorKind::TransactionEnded) if the transaction has ended.
    ///
    /// # Panics
    ///
    /// If the closure panics, with its panic. The transaction is rolled back.
    pub async fn run<T, F>(&mut self, work: F) -> Result<T>
    where
        F: FnOnce(&mut finalite::Transaction<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.run_and_then(work).await
    }

    /// Runs the closure like [`run`](Self::run), with an error type of the caller's.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// See [`run`](Self::run).
    pub async fn run_and_then<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut finalite::Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let call: Arc<ResultCall<F, T, E>> = Arc::new(Call::new(work));
        let pending = Pending::within_transaction(Arc::clone(&call), self.session.process);
        self.session.ask(Step::Run(call));
        pending.await
    }

    /// Runs one statement to completion, and returns the number of rows that it inserted, updated or deleted.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub async fn execute(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<usize> {
        let sql = sql.into();
        self.run(move |tx| tx.execute(&sql, params)).await
    }

    /// Runs the statements of a script, and discards rows. A script that ends the transaction or begins one is an error.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run) and [`Connection::execute_batch`](finalite::Connection::execute_batch). The statements
    /// before an error stay in the transaction.
    pub async fn execute_batch(&mut self, script: impl Into<Cow<'static, str>>) -> Result<()> {
        let script = script.into();
        self.run(move |tx| tx.execute_batch(&script)).await
    }

    /// Returns whether a query yields a row.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub async fn exists(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<bool> {
        let sql = sql.into();
        self.run(move |tx| tx.exists(&sql, params)).await
    }

    /// Opens a savepoint of this name, which lives across awaits, as SQLite's
    /// [`SAVEPOINT`](https://sqlite.org/lang_savepoint.html) does: of several of a name, the last is meant.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("savepoint")).await?;
    /// pool.execute("CREATE TABLE t(a)", ()).await?;
    /// let mut tx = pool.begin().await?;
    /// tx.savepoint("each").await?;
    /// tx.execute("INSERT INTO t VALUES (1)", ()).await?;
    /// tx.rollback_to("each").await?;
    /// tx.execute("INSERT INTO t VALUES (2)", ()).await?;
    /// tx.release("each").await?;
    /// tx.commit().await?;
    /// assert_eq!(pool.query_all::<i64>("SELECT a FROM t", ()).await?, [2]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn savepoint(&mut self, name: impl Into<Cow<'static, str>>) -> Result<()> {
        self.at_savepoint("SAVEPOINT", name.into()).await
    }

    /// Forgets the savepoint of this name and those after it. What was changed since stays in the transaction.
    ///
    /// # Errors
    ///
    /// SQLite's if there is none of the name; see [`run`](Self::run).
    pub async fn release(&mut self, name: impl Into<Cow<'static, str>>) -> Result<()> {
        self.at_savepoint("RELEASE", name.into()).await
    }

    /// Undoes what was changed since the savepoint of this name was opened, and forgets those after it. The savepoint
    /// stays.
    ///
    /// # Errors
    ///
    /// SQLite's if there is none of the name; see [`run`](Self::run).
    pub async fn rollback_to(&mut self, name: impl Into<Cow<'static, str>>) -> Result<()> {
        self.at_savepoint("ROLLBACK TO", name.into()).await
    }

    async fn at_savepoint(&mut self, action: &'static str, name: Cow<'static, str>) -> Result<()> {
        self.run(move |tx| tx.execute_batch(&format!("{action} {}", quote_identifier(&name)))).await
    }

    /// Runs a statement that yields exactly one row, and returns the row as `T`.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub async fn query_one<T>(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<T>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.run(move |tx| tx.query_one(&sql, params)).await
    }

    /// Runs a statement that yields at most one row, and returns the row as `T`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub async fn query_optional<T>(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<Option<T>>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.run(move |tx| tx.query_optional(&sql, params)).await
    }

    /// Runs a statement and returns all rows, each as `T`.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub async fn query_all<T>(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<Vec<T>>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.run(move |tx| tx.query_all(&sql, params)).await
    }

    /// Commits. If that fails, nothing is stored. When it returns, the connection is back in the pool.
    ///
    /// If the future is dropped, a `COMMIT` that has begun is carried out, and one that has not is not.
    ///
    /// # Errors
    ///
    /// See [`finalite::Transaction::commit`].
    pub async fn commit(self) -> Result<()> {
        self.end(true).await
    }

    /// Rolls back. When it returns, the connection is back in the pool.
    ///
    /// # Errors
    ///
    /// See [`finalite::Transaction::rollback`].
    pub async fn rollback(self) -> Result<()> {
        self.end(false).await
    }

    async fn end(self, commits: bool) -> Result<()> {
        let call: Arc<EndCall> = Arc::new(Call::new(commits));
        let pending = Pending::within_transaction(Arc::clone(&call), self.session.process);
        self.session.ask(Step::End(call));
        pending.await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.session.leave();
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}

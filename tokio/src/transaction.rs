//! Transactions that live across awaits.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use finalite::pool::Role;
use finalite::{Error, FromRow, Params, Result, workspace};
use tokio::sync::oneshot;

use crate::call::Pending;
use crate::handover::Call;
use crate::pool::Pool;
use crate::session::{self, EndCall, Session, Step};
use crate::worker::{Context, ResultCall};

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
    pub async fn begin(&self) -> Result<Transaction> {
        self.begin_as(Role::Writer).await
    }

    /// Begins a transaction that only reads: all its queries see the same state of the database. It occupies one of the
    /// readers.
    ///
    /// # Errors
    ///
    /// Those of [`finalite::pool::Pool::reader`], and of `BEGIN`.
    pub async fn begin_read(&self) -> Result<Transaction> {
        self.begin_as(Role::Reader).await
    }

    async fn begin_as(&self, role: Role) -> Result<Transaction> {
        let (deadline, session) = (self.deadline(), Arc::<Session>::default());
        let (begun, has_begun) = oneshot::channel();
        let mut has_begun = Some(has_begun);
        let served = Arc::clone(&session);
        let serving = self
            .inner
            .lane(role)
            .submit(deadline, move |context: &Context<'_>| session::serve(context, role, deadline, &served, begun))?;
        let mut transaction = Transaction { session, _serving: Box::pin(serving) };
        poll_fn(|task| {
            if let Some(beginning) = &mut has_begun
                && let Poll::Ready(result) = Pin::new(beginning).poll(task)
            {
                // A receiver that is over is not polled again. One without a message: it ends before it has begun, with
                // an error that is there when the connection is back.
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
}

impl Transaction {
    /// Runs the closure in the transaction, on its thread. A [savepoint](finalite::Transaction::savepoint) is opened and
    /// ended within one closure.
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
        let pending = Pending::within_transaction(Arc::clone(&call));
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
        let pending = Pending::within_transaction(Arc::clone(&call));
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

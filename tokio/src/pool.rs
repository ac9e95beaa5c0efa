//! [`Pool`]: opening, closing, and calls with closures.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use finalite::pool::{Pool as SyncPool, PoolBuilder, PoolReport, PoolStatus, PooledConnection, Role};
use finalite::{Error, Result, Transaction, workspace};

use crate::control::Deadline;
use crate::lane::Lane;
use crate::timekeeper::Timekeeper;
use crate::worker::{Context, Site};

/// Pool of connections to one database whose calls are awaited. See [the crate](crate).
///
/// It is shared: a clone is the same pool. When the last clone is dropped, what runs is cancelled, the threads are joined
/// and the connections are closed, on the thread that drops it. [`close`](Self::close) does so without blocking.
///
/// That join waits for closures that are running. A closure that waits for a task of the same runtime, as with a channel's
/// `blocking_send`, cannot end if a runtime that is being dropped drops the pool first and that task later: then both wait
/// for ever. Await [`close_now`](Self::close_now) before the runtime ends, or send rows by [`stream`](Self::stream), whose
/// thread stops waiting when it is cancelled.
#[derive(Clone)]
#[doc(alias("SqlitePool", "deadpool", "AsyncConnection"))]
pub struct Pool {
    pub(crate) inner: Arc<Inner>,
    /// Time that each call is allowed.
    allowed: Option<Duration>,
}

pub(crate) struct Inner {
    pub(crate) readers: Arc<Lane>,
    pub(crate) writer: Arc<Lane>,
    timekeeper: Arc<Timekeeper>,
    pub(crate) sync: Arc<SyncPool>,
    /// Whether the pool is closed. Of those that close it, one at a time does.
    is_closed: tokio::sync::Mutex<bool>,
    /// Report of the connections that were closed, for the first that asks.
    report: Arc<Mutex<Option<PoolReport>>>,
}

impl Inner {
    pub(crate) fn lane(&self, role: Role) -> &Arc<Lane> {
        if role == Role::Writer { &self.writer } else { &self.readers }
    }

    fn lanes(&self) -> [&Arc<Lane>; 2] {
        [&self.readers, &self.writer]
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lanes().iter().for_each(|lane| lane.queue.stop(true));
        // A closure that waits for a connection of the pool itself would keep the join.
        workspace::refuse_waiters(&self.sync);
        self.lanes().iter().for_each(|lane| lane.join());
        self.timekeeper.stop();
        // A future or a stream may be kept for longer than the pool.
        let report = self.sync.shut_down();
        if !report.is_clean() {
            crate::worker::shielded(|| {
                tracing::error!(target: "finalite::pool", %report, "the pool ended while connections were checked out");
            });
        }
    }
}

impl From<SyncPool> for Pool {
    /// Starts no thread: each is started when the first call needs it.
    fn from(pool: SyncPool) -> Self {
        let sync = Arc::new(pool);
        let ([readers, writer], timekeeper) = Lane::pair(&sync);
        let (is_closed, report) = (tokio::sync::Mutex::new(false), Arc::default());
        Self { inner: Arc::new(Inner { readers, writer, timekeeper, sync, is_closed, report }), allowed: None }
    }
}

impl Pool {
    /// Builds the pool on another thread, since opening a database blocks. Where blocking is no matter, as at the start of
    /// a program, [`From`] takes a pool that is built.
    ///
    /// # Errors
    ///
    /// Those of [`PoolBuilder::build`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("open").readers(2)).await?;
    /// assert_eq!(pool.query_one::<i64>("SELECT 1 + 1", ()).await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(builder: PoolBuilder) -> Result<Self> {
        match tokio::task::spawn_blocking(move || builder.build()).await {
            Ok(built) => Ok(Self::from(built?)),
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(workspace::interrupted()),
            },
        }
    }

    /// Returns the same pool with a deadline for each call: the time from its beginning to its end, with the time that it
    /// waits for a connection. A transaction's is that of the whole transaction, a stream's that of the whole stream.
    ///
    /// The error is [`ErrorKind::Deadline`](finalite::ErrorKind::Deadline). Of what is not covered,
    /// [`Connection::deadline`](finalite::Connection::deadline) tells.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("with_deadline")).await?;
    /// let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    /// let error = pool.with_deadline(Duration::from_millis(20)).query_one::<i64>(endless, ()).await.unwrap_err();
    /// assert!(error.is_deadline());
    /// assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, allowed: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), allowed: Some(allowed) }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        let allowed = self.allowed?;
        Some((Instant::now().checked_add(allowed)?, allowed))
    }

    /// Runs the closure beside SQLite, on a thread of the pool, with a connection for reading.
    ///
    /// The closure is stopped at its next call of SQLite. One that waits for something else, a channel or a lock, is not:
    /// see [`Pool`].
    ///
    /// # Errors
    ///
    /// The closure's, and those of [`finalite::pool::Pool::reader`].
    ///
    /// # Panics
    ///
    /// If the closure panics, with its panic.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("read")).await?;
    /// pool.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (39)").await?;
    /// let sum = pool
    ///     .read(|conn| {
    ///         let mut sum = 0;
    ///         for a in conn.query_as::<i64>("SELECT a FROM t", ())? {
    ///             sum += a?;
    ///         }
    ///         Ok(sum)
    ///     })
    ///     .await?;
    /// assert_eq!(sum, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("call", "interact", "conn"))]
    #[track_caller]
    pub fn read<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send
    where
        F: FnOnce(&mut PooledConnection<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.read_and_then(work)
    }

    /// Runs the closure like [`read`](Self::read), with an error type of the caller's.
    ///
    /// # Errors
    ///
    /// See [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// See [`read`](Self::read).
    #[track_caller]
    pub fn read_and_then<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: FnOnce(&mut PooledConnection<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.on_connection(Role::Reader, Location::caller(), work)
    }

    /// Runs the closure on a thread of the pool, with a connection of the role that the call's end and its deadline stop.
    pub(crate) async fn on_connection<T, E, F>(&self, role: Role, site: Site, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut PooledConnection<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let deadline = self.deadline();
        let call = self.inner.lane(role).submit(deadline, move |context: &Context<'_>| {
            let mut conn = context.lend(role, site, deadline)?;
            let _supervision = context.control.supervise(&conn, deadline)?;
            work(&mut conn)
        })?;
        call.await
    }

    /// Runs the closure in a transaction that has the write lock, on a thread of the pool, and commits. Locks of other
    /// connections are waited for, and the closure runs again, as [`finalite::pool::Pool::write`] tells: it may run
    /// several times, and nothing of a run that fails is stored.
    ///
    /// If the future is dropped, everything is rolled back, unless the `COMMIT` has begun: that is carried out. What has
    /// become of a write that nobody awaits is not told to anyone.
    ///
    /// # Errors
    ///
    /// See [`finalite::pool::Pool::write`].
    ///
    /// # Panics
    ///
    /// If the closure panics, with its panic. Nothing is stored.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("write")).await?;
    /// pool.execute_batch("CREATE TABLE account(id INTEGER PRIMARY KEY, cents INTEGER); INSERT INTO account VALUES (1, 5)").await?;
    /// let (id, drawn) = (1, 2);
    /// let left = pool
    ///     .write(move |tx| {
    ///         tx.execute("UPDATE account SET cents = cents - ? WHERE id = ?", (drawn, id))?;
    ///         tx.query_one::<i64>("SELECT cents FROM account WHERE id = ?", (id,))
    ///     })
    ///     .await?;
    /// assert_eq!(left, 3);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn write<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send
    where
        F: FnMut(&mut Transaction<'_>) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.write_and_then(work)
    }

    /// Runs the closure in a transaction like [`write`](Self::write), with an error type of the caller's.
    ///
    /// # Errors
    ///
    /// See [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// See [`write`](Self::write).
    #[track_caller]
    pub fn write_and_then<T, E, F>(&self, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let site = Location::caller();
        async move {
            let deadline = self.deadline();
            let call = self.inner.writer.submit(deadline, move |context: &Context<'_>| {
                let lend = || context.lend(Role::Writer, site, deadline);
                let guard = |conn: &finalite::Connection| context.control.supervise(conn, deadline);
                workspace::write_guarded(context.pool, lend, guard, work)
            })?;
            call.await
        }
    }

    /// Returns the pool that has the connections, for what needs no thread of its own: its
    /// [`status`](finalite::pool::Pool::status), a [`Checkpointer`](finalite::pool::Checkpointer). Its calls block, and a
    /// connection that is taken from it is missing to the calls of this pool.
    #[must_use]
    pub fn blocking(&self) -> &Arc<SyncPool> {
        &self.inner.sync
    }

    /// Returns the state and the counters of the connections.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.inner.sync.status()
    }

    /// Waits until no call waits or runs. Calls that are made meanwhile are waited for, too.
    ///
    /// A call whose future was dropped is over when its transaction is rolled back and its connection is back.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::pool::Role;
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("idle")).await?;
    /// let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    /// let call = pool.query_one::<i64>(endless, ());
    /// assert!(tokio::time::timeout(std::time::Duration::from_millis(5), call).await.is_err());
    /// pool.idle().await;
    /// assert!(pool.status().role(Role::Reader).checked_out.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn idle(&self) {
        Idle { lanes: self.inner.lanes(), number: IDLE_WAITS.fetch_add(1, Ordering::Relaxed) }.await;
    }

    /// Closes the pool, for all its clones: accepts no more calls, waits for those that were made, for transactions and
    /// for streams, closes the connections and joins the threads. Returns what was found.
    ///
    /// Of several tasks that close a pool, each returns when all of that is done, and one of them has the report; the
    /// others have an empty one. If the future is dropped, the pool accepts no calls, and another `close` ends it.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::ErrorKind;
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("close")).await?;
    /// pool.execute("CREATE TABLE t(a)", ()).await?;
    /// assert!(pool.close().await.is_clean());
    /// let error = pool.query_one::<i64>("SELECT 1", ()).await.unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::PoolClosed));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) -> PoolReport {
        if !self.inner.writer.queue.process().is_this() {
            // A child process: nothing of the pool is its own.
            return self.inner.sync.shut_down();
        }
        self.inner.lanes().iter().for_each(|lane| lane.queue.close());
        let mut is_closed = self.inner.is_closed.lock().await;
        if *is_closed {
            return PoolReport::default();
        }
        self.idle().await;
        let report = self.close_connections().await;
        for lane in self.inner.lanes() {
            lane.queue.stop(false);
            lane.join();
        }
        self.inner.timekeeper.stop();
        *is_closed = true;
        report
    }

    /// Closes the pool like [`close`](Self::close), but cancels what waits and what runs. Calls that wait return
    /// [`ErrorKind::PoolClosed`](finalite::ErrorKind::PoolClosed), those that are stopped
    /// [`ErrorKind::Interrupted`](finalite::ErrorKind::Interrupted).
    pub async fn close_now(&self) -> PoolReport {
        self.inner.lanes().iter().for_each(|lane| lane.queue.cancel_all());
        workspace::refuse_waiters(&self.inner.sync);
        self.close().await
    }

    /// Closes the connections on a thread of the pool: the last one may have a checkpoint to make.
    async fn close_connections(&self) -> PoolReport {
        let report = Arc::clone(&self.inner.report);
        let closing = self.inner.writer.submit_last(move |context: &Context<'_>| {
            let found = context.pool.shut_down();
            // If the future of the first is dropped, the next one finds no connection, and returns the first's report.
            report.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(found);
            Ok(())
        });
        if let Ok(closing) = closing {
            // An error is a thread that cannot be started.
            let _ = closing.await;
        }
        let report = self.inner.report.lock().unwrap_or_else(PoisonError::into_inner).take();
        report.unwrap_or_else(|| self.inner.sync.shut_down())
    }
}

/// Number of waits for a pool to be idle.
static IDLE_WAITS: AtomicU64 = AtomicU64::new(0);

/// Waits until nothing waits or runs.
struct Idle<'a> {
    lanes: [&'a Arc<Lane>; 2],
    number: u64,
}

impl Future for Idle<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<()> {
        let [readers, writer] = self.lanes.map(|lane| lane.queue.poll_idle(self.number, task));
        if readers.is_ready() { writer } else { readers }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|lane| lane.queue.leave_idle(self.number));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("pool", &self.inner.sync).field("allowed", &self.allowed).finish()
    }
}

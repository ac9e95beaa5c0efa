//! Results as streams.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::vec;

use finalite::pool::{PooledConnection, Role};
use finalite::{ColumnBatch, Error, FromRow, Params, Result};
use futures_core::Stream;

use crate::channel::{Batch, Channel};
use crate::control::{Control, Deadline};
use crate::pool::Pool;
use crate::row_batch::{RowBatch, RowReader};
use crate::worker::{Context, Site};

/// Limits of a batch. The first one is small, so that the first row comes soon.
const FIRST_ROWS: usize = 16;
const ROWS_MAX: usize = 1024;
const BYTES_MAX: usize = 64 * 1024;

/// Rows of a query, or results of its batches: a `Stream` of `Result<T>`. From [`Pool::stream`] and
/// [`Pool::stream_batches`].
///
/// The query runs on a thread of the pool, and occupies a reader until its end. It reads ahead: the batch that the task
/// reads, two that wait and one that is being filled are in memory, of at most 1,024 rows or 64 KiB each, whichever comes
/// first. Then it waits for the task, which makes a `T` of each row when it takes that.
///
/// After an error, the stream ends. Dropping it interrupts the query.
#[must_use = "a stream does nothing unless it is polled"]
pub struct RowStream<T> {
    /// The batch that is being read.
    items: Items<T>,
    channel: Arc<Channel<T>>,
    /// The call that runs the query. `None` after the end.
    running: Option<Running>,
    /// Its error, until the last batch has been read.
    failure: Option<Error>,
}

/// The items of a batch.
enum Items<T> {
    Ready(vec::IntoIter<T>),
    OfRows(RowReader<T>),
}

impl<T> Items<T> {
    fn none() -> Self {
        Self::Ready(Vec::new().into_iter())
    }

    fn set(&mut self, batch: Batch<T>) {
        match (self, batch) {
            (Self::OfRows(reader), Batch::Rows(rows)) => reader.set(rows),
            (items, Batch::Items(ready)) => *items = Self::Ready(ready.into_iter()),
            (Self::Ready(_), Batch::Rows(_)) => unreachable!("rows are sent to those who read rows"),
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Result<T>> {
        match self {
            Self::Ready(items) => items.next().map(Ok),
            Self::OfRows(reader) => reader.next(),
        }
    }
}

/// A stream whose row is being read. Dropping it ends the stream.
struct Unread<'a, T>(&'a mut RowStream<T>);

impl<T> Drop for Unread<'_, T> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Future of the call that runs the query.
type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Sends batches to the task, from the thread that runs the query.
pub(crate) struct Sender<'a, T> {
    channel: &'a Channel<T>,
    control: &'a Arc<Control>,
    deadline: Deadline,
}

impl<T> Sender<'_, T> {
    /// Sends items.
    ///
    /// # Errors
    ///
    /// If nobody reads any more, or the time has passed.
    pub(crate) fn send(&self, items: Vec<T>) -> Result<()> {
        self.send_batch(Batch::Items(items))
    }

    fn send_batch(&self, batch: Batch<T>) -> Result<()> {
        if self.channel.send(batch, self.control, self.deadline) {
            return Ok(());
        }
        Err(self.control.reason(self.deadline))
    }

    /// Waits until nobody reads any more, after the last batch.
    ///
    /// # Errors
    ///
    /// If the call is cancelled, or the time has passed.
    pub(crate) fn wait_until_left(&self) -> Result<()> {
        if self.channel.wait_until_left(self.control, self.deadline) {
            return Ok(());
        }
        Err(self.control.reason(self.deadline))
    }
}

/// Ends a channel, also after a panic.
struct Ending<T>(Arc<Channel<T>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Runs a query and sends its rows. Those before an error are sent, too.
fn send_rows<T>(
    conn: &finalite::Connection,
    sql: &str,
    params: impl Params<'static>,
    sender: &Sender<'_, T>,
) -> Result<()> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let (mut batch, mut rows_max) = (RowBatch::default(), FIRST_ROWS);
    let mut has_names = false;
    let read = loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        if !has_names {
            batch.set_names(row)?;
            has_names = true;
        }
        if let Err(error) = batch.push(row) {
            break Err(error);
        }
        if batch.rows() >= rows_max || batch.bytes() >= BYTES_MAX {
            // The next one is likely to be as large, as far as it may have more rows.
            let likely = (batch.bytes() * 4).min(BYTES_MAX + BYTES_MAX / 8);
            sender.send_batch(Batch::Rows(batch))?;
            batch = RowBatch::with_capacity(likely);
            rows_max = ROWS_MAX.min(rows_max * 4);
        }
    };
    if batch.rows() > 0 {
        sender.send_batch(Batch::Rows(batch))?;
    }
    read.and(rows.finish())
}

impl Pool {
    /// Runs a query and streams its rows, each as `T`. It begins when the stream is polled first; see [`RowStream`].
    ///
    /// The task makes the `T` of a row, when it takes that: [`FromRow`] runs on its thread, not beside SQLite. An error or a
    /// panic of it ends the stream, and interrupts the query. What costs
    /// more than a copy belongs into the closure of [`stream_batches`](Self::stream_batches).
    ///
    /// The stream implements `futures_core::Stream`, whose methods are in the crates `futures` and `tokio-stream`;
    /// [`RowStream::next`] needs neither.
    ///
    /// # Errors
    ///
    /// The stream's items: those of [`finalite::pool::Pool::reader`] and of
    /// [`Connection::query_as`](finalite::Connection::query_as).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("stream")).await?;
    /// pool.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'one'), (2, 'two')").await?;
    /// let mut rows = pool.stream::<(i64, String)>("SELECT a, b FROM t WHERE a > ?", (1,));
    /// while let Some(row) = rows.next().await {
    ///     assert_eq!(row?, (2, "two".into()));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("fetch", "query_stream"))]
    pub fn stream<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> RowStream<T>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        let items = Items::OfRows(RowReader::new(&sql, |row| T::from_row(row)));
        self.stream_to(items, Location::caller(), move |conn, sender| send_rows(conn, &sql, params, sender))
    }

    /// Runs a query, calls the closure beside SQLite with batches of so many rows, and streams what it returns. A batch
    /// has a buffer for each column, and is not handed over itself: what travels is as small as the closure makes it.
    ///
    /// # Errors
    ///
    /// The stream's items: those of [`finalite::pool::Pool::reader`], of [`Scan::batches`](finalite::Scan::batches) and
    /// of the closure.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("stream_batches")).await?;
    /// pool.execute_batch("CREATE TABLE t(a INTEGER); INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5]')").await?;
    /// let sum = |batch: &finalite::ColumnBatch| Ok(batch.column(0)?.as_i64()?.iter().sum::<i64>());
    /// let mut sums = pool.stream_batches("SELECT a FROM t", (), 2, sum);
    /// let mut all = Vec::new();
    /// while let Some(sum) = sums.next().await {
    ///     all.push(sum?);
    /// }
    /// assert_eq!(all, [3, 7, 5]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn stream_batches<R, F>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
        rows: usize,
        mut reduce: F,
    ) -> RowStream<R>
    where
        F: FnMut(&ColumnBatch) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let sql = sql.into();
        self.stream_from(Location::caller(), move |conn, sender| {
            conn.scan(&sql, params).batches(rows, |batch| sender.send(vec![reduce(batch)?])).map(drop)
        })
    }

    pub(crate) fn stream_from<T, F>(&self, site: Site, work: F) -> RowStream<T>
    where
        F: FnOnce(&mut PooledConnection<'_>, &Sender<'_, T>) -> Result<()> + Send + 'static,
        T: Send + 'static,
    {
        self.stream_to(Items::none(), site, work)
    }

    fn stream_to<T, F>(&self, items: Items<T>, site: Site, work: F) -> RowStream<T>
    where
        F: FnOnce(&mut PooledConnection<'_>, &Sender<'_, T>) -> Result<()> + Send + 'static,
        T: Send + 'static,
    {
        let channel = Arc::new(Channel::new());
        // A clone of the pool would keep it open while the stream exists.
        let lane = Arc::clone(&self.inner.readers);
        let (deadline, ending) = (self.deadline(), Ending(Arc::clone(&channel)));
        let running = async move {
            let call = lane.submit(deadline, move |context: &Context<'_>| -> Result<()> {
                // Dropped last, so that the connection is back when the task sees the end.
                let ending = ending;
                let mut conn = context.lend(Role::Reader, site, deadline)?;
                let _supervision = context.control.supervise(&conn, deadline)?;
                work(&mut conn, &Sender { channel: &ending.0, control: context.control, deadline })
            })?;
            call.without_spinning().await
        };
        RowStream { items, channel, running: Some(Box::pin(running)), failure: None }
    }
}

impl<T> RowStream<T> {
    /// Returns the next item; `None` after the last.
    ///
    /// If the future is dropped, no item is lost.
    pub async fn next(&mut self) -> Option<Result<T>> {
        match self.next_of_batch() {
            Some(item) => Some(item),
            None => poll_fn(|task| self.poll_item(task)).await,
        }
    }

    /// Returns the next item of the batch that is being read. Ends the stream at a row that is no item, or whose conversion
    /// panics.
    #[inline]
    fn next_of_batch(&mut self) -> Option<Result<T>> {
        let unread = Unread(self);
        let item = unread.0.items.next();
        if !matches!(item, Some(Err(_))) {
            mem::forget(unread);
        }
        item
    }

    /// Ends the stream, whatever the query has still to say.
    #[cold]
    fn leave(&mut self) {
        self.items = Items::none();
        self.channel.leave();
        (self.running, self.failure) = (None, None);
    }

    /// Waits for the future while the query runs: an end of the query by an error ends the wait.
    pub(crate) async fn beside<R>(&mut self, future: impl Future<Output = io::Result<R>>) -> io::Result<R> {
        let mut future = pin!(future);
        poll_fn(|task| {
            if let Poll::Ready(done) = future.as_mut().poll(task) {
                return Poll::Ready(done);
            }
            self.poll_running(task);
            match self.failure.take() {
                Some(failure) => Poll::Ready(Err(io::Error::other(failure))),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Reads no more, and waits until the connection is back.
    pub(crate) async fn end(mut self) {
        self.channel.leave();
        poll_fn(|task| {
            self.poll_running(task);
            if self.running.is_some() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Starts the query, and takes note of its end.
    fn poll_running(&mut self, task: &mut Task<'_>) {
        if let Some(running) = &mut self.running
            && let Poll::Ready(result) = running.as_mut().poll(task)
        {
            self.running = None;
            self.failure = result.err();
        }
    }

    fn poll_item(&mut self, task: &mut Task<'_>) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(item) = self.next_of_batch() {
                return Poll::Ready(Some(item));
            }
            // When it has ended, all batches have been sent.
            self.poll_running(task);
            match self.channel.poll_next(task) {
                Poll::Ready(Some(batch)) => self.items.set(batch),
                // It wakes the task at its end.
                _ if self.running.is_some() => return Poll::Pending,
                _ => {
                    // Its last buffer may be as large as a row.
                    self.items = Items::none();
                    return Poll::Ready(self.failure.take().map(Err));
                }
            }
        }
    }
}

impl<T> Stream for RowStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<T>>> {
        self.poll_item(task)
    }
}

impl<T> Unpin for RowStream<T> {}

impl<T> Drop for RowStream<T> {
    fn drop(&mut self) {
        // Ends a thread that waits for the task; then the call is cancelled.
        self.channel.leave();
    }
}

impl<T> fmt::Debug for RowStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream").field("is_running", &self.running.is_some()).finish_non_exhaustive()
    }
}

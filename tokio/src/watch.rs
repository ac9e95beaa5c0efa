//! Changes of tables as a stream.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use finalite::pool::{Change, Role, Watch as SyncWatch};
use finalite::{Result, workspace};
use futures_core::Stream;

use crate::pool::Pool;
use crate::worker::Context;

/// A watch on tables of a pool's database: a `Stream` of [`Change`]s. From [`Pool::watch`] and [`Pool::watch_query`].
/// Dropping it ends the watch.
///
/// It has room for one change: commits that follow each other before it is asked are one. It needs no thread, and ends
/// when the pool is closed, after the last change.
#[must_use = "dropping it ends the watch"]
#[derive(Debug)]
pub struct Watch(SyncWatch);

impl Pool {
    /// Watches tables of the main database: each commit of the pool that changes one is told. Of what is told besides,
    /// and what is not, [`finalite::pool::Pool::watch`] tells.
    ///
    /// # Errors
    ///
    /// See [`finalite::pool::Pool::watch`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("watch")).await?;
    /// pool.execute_batch("CREATE TABLE job(work TEXT); CREATE TABLE log(line TEXT)").await?;
    /// let mut watch = pool.watch(["job"]).await?;
    /// let writer = pool.clone();
    /// tokio::spawn(async move { writer.execute("INSERT INTO job VALUES ('a')", ()).await });
    /// let change = watch.next().await.expect("the pool is open");
    /// assert!(change.has_table("job") && !change.has_table("log"));
    /// assert!(pool.close().await.is_clean());
    /// assert!(watch.next().await.is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("observe", "subscribe", "notify"))]
    #[track_caller]
    pub fn watch<T: AsRef<str> + Send + 'static>(
        &self,
        tables: impl IntoIterator<Item = T> + Send + 'static,
    ) -> impl Future<Output = Result<Watch>> + Send {
        let site = Location::caller();
        async move {
            let deadline = self.deadline();
            let call = self.inner.writer.submit(deadline, move |context: &Context<'_>| {
                let conn = context.lend(Role::Writer, site, deadline)?;
                workspace::watch_on(context.pool, &conn, tables)
            })?;
            call.await.map(Watch)
        }
    }

    /// Watches the tables of the main database that a query reads, also through views.
    ///
    /// # Errors
    ///
    /// See [`finalite::pool::Pool::watch_query`].
    #[track_caller]
    pub fn watch_query(&self, sql: impl Into<String>) -> impl Future<Output = Result<Watch>> + Send {
        let (sql, site) = (sql.into(), Location::caller());
        async move {
            let deadline = self.deadline();
            let call = self.inner.writer.submit(deadline, move |context: &Context<'_>| {
                let conn = context.lend(Role::Writer, site, deadline)?;
                workspace::watch_query_on(context.pool, &conn, &sql)
            })?;
            call.await.map(Watch)
        }
    }
}

impl Watch {
    /// Returns the next change; `None` when the pool is closed.
    ///
    /// If the future is dropped, no change is lost.
    pub async fn next(&mut self) -> Option<Change> {
        std::future::poll_fn(|task| self.0.poll_next(task)).await
    }

    /// Returns the change since the last one; `None` if there is none.
    pub fn try_next(&mut self) -> Option<Change> {
        self.0.try_next()
    }

    /// Returns the names of the watched tables, as the schema writes them.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.0.tables()
    }
}

impl Stream for Watch {
    type Item = Change;

    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Change>> {
        self.0.poll_next(task)
    }
}

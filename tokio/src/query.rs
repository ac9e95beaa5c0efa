//! Calls with SQL and parameters.

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;

use finalite::pool::Role;
use finalite::{Connection, FromRow, Params, Result};

use crate::group;
use crate::pool::Pool;
use crate::shared::may_share;

impl Pool {
    /// Runs a query on a connection for reading.
    #[track_caller]
    fn query<T: Send + 'static>(
        &self,
        shares: bool,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send {
        let site = Location::caller();
        async move { self.inner.readers.submit_query(self.deadline(), shares, site, work)?.await }
    }

    /// Runs a query that yields exactly one row, and returns the row as `T`. The query reads: for `INSERT … RETURNING`
    /// there is [`write`](Self::write).
    ///
    /// Parameters are owned: `()` for none, tuples of numbers, `String`, `&'static str`, `Vec<u8>`,
    /// [`Value`](finalite::Value).
    ///
    /// # Errors
    ///
    /// Those of [`finalite::pool::Pool::reader`] and
    /// [`Connection::query_one`](finalite::Connection::query_one).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("query_one")).await?;
    /// pool.execute("CREATE TABLE user(id INTEGER PRIMARY KEY, name TEXT)", ()).await?;
    /// let name = String::from("Ada");
    /// pool.execute("INSERT INTO user VALUES (?, ?)", (1, name)).await?;
    /// let user: (i64, String) = pool.query_one("SELECT id, name FROM user WHERE id = ?", (1,)).await?;
    /// assert_eq!(user, (1, "Ada".into()));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("fetch_one"))]
    #[track_caller]
    pub fn query_one<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.query(may_share(&sql), move |conn| conn.query_one(&sql, params))
    }

    /// Runs a query that yields at most one row, and returns the row as `T`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[doc(alias("fetch_optional"))]
    #[track_caller]
    pub fn query_optional<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> impl Future<Output = Result<Option<T>>> + Send
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.query(may_share(&sql), move |conn| conn.query_optional(&sql, params))
    }

    /// Runs a query and returns all rows, each as `T`. A result that need not be in memory as a whole is
    /// [streamed](Self::stream).
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[doc(alias("fetch_all"))]
    #[track_caller]
    pub fn query_all<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> impl Future<Output = Result<Vec<T>>> + Send
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.query(may_share(&sql), move |conn| conn.query_all(&sql, params))
    }

    /// Returns whether a query yields a row.
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("exists")).await?;
    /// pool.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").await?;
    /// assert!(pool.exists("SELECT 1 FROM t WHERE a = ?", (1,)).await?);
    /// assert!(!pool.exists("SELECT 1 FROM t WHERE a = ?", (2,)).await?);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn exists(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> impl Future<Output = Result<bool>> + Send {
        let sql = sql.into();
        self.query(may_share(&sql), move |conn| conn.exists(&sql, params))
    }

    /// Runs one statement to completion on the connection for writing, and returns the number of rows that it inserted,
    /// updated or deleted. It is a transaction of its own. Where tens of tasks write small statements at the same time,
    /// [`execute_grouped`](Self::execute_grouped) commits those that wait at once.
    ///
    /// # Errors
    ///
    /// Those of [`finalite::pool::Pool::writer`] and
    /// [`Connection::execute`](finalite::Connection::execute).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("execute")).await?;
    /// pool.execute("CREATE TABLE t(a)", ()).await?;
    /// assert_eq!(pool.execute("INSERT INTO t VALUES (?), (?)", (1, "two")).await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn execute(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> impl Future<Output = Result<usize>> + Send {
        let sql = sql.into();
        self.on_connection(Role::Writer, Location::caller(), move |conn| conn.execute(&sql, params))
    }

    /// Runs one statement like [`execute`](Self::execute), in a transaction that it may share with other such calls which
    /// wait for the writer: up to 64 are committed at once, and each is answered after the commit.
    ///
    /// A transaction takes further statements for 5 ms from the end of its first one, and none while the deadline of a call
    /// is nearer than 20 ms. An `INSERT`, `UPDATE` or `DELETE` that violates a constraint, or cannot be prepared or bound,
    /// has its error and changes no more than alone; the others are committed without it.
    ///
    /// If a statement fails otherwise (a wrong type in a STRICT table, an error of a function, any error where the program
    /// has virtual tables or a database has `journal_mode = off`), rolls its transaction back (`OR ROLLBACK`,
    /// `RAISE(ROLLBACK, ..)`), takes longer than those 5 ms, is cancelled, or changes the connection, all is rolled back before
    /// the `COMMIT`, and each statement runs alone: it may run twice, its SQL functions with it, and is stored once.
    /// Statements that read, or that run in no transaction, run alone.
    ///
    /// `last_insert_rowid()` is 0 where a statement begins, as for each call. Hooks see one commit for several calls, no
    /// rollback for one that a constraint has refused, and watches one change.
    ///
    /// A future that is dropped before its statement has ended cancels that alone. Dropped later, before the commit, it
    /// stays in the transaction.
    ///
    /// # Errors
    ///
    /// See [`execute`](Self::execute). If the `COMMIT` itself fails, each call returns its error, and nothing is run again,
    /// since the transaction may have been stored; unless it is certain that it was not: another connection's lock has
    /// prevented the `COMMIT`, or a hook has refused it. Then, each runs alone.
    ///
    /// # Panics
    ///
    /// If a hook panics at the `COMMIT`, which is then not run again: each call panics.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> finalite::Result<()> {
    /// let pool = Pool::open(finalite::pool::Pool::in_memory("execute_grouped")).await?;
    /// pool.execute("CREATE TABLE event(id INTEGER PRIMARY KEY, what TEXT)", ()).await?;
    /// let insert = |id: i64| pool.execute_grouped("INSERT INTO event VALUES (?, ?)", (id, String::from("login")));
    /// let (one, other, again) = tokio::join!(insert(1), insert(2), insert(1));
    /// assert_eq!((one?, other?), (1, 1));
    /// assert!(again.unwrap_err().constraint().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("group commit", "batch"))]
    pub fn execute_grouped(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Clone + Send + 'static,
    ) -> impl Future<Output = Result<usize>> + Send {
        let (sql, site) = (sql.into(), Location::caller());
        async move {
            let write = move |conn: &Connection, together| group::execute(conn, &sql, params.clone(), together);
            self.inner.writer.submit_grouped(self.deadline(), site, Box::new(write))?.await
        }
    }

    /// Runs the statements of a script on the connection for writing, and discards rows.
    ///
    /// No transaction is opened: after an error, a deadline or a dropped future, the statements before are stored. With
    /// `BEGIN` and `COMMIT` around them, it is all or nothing.
    ///
    /// # Errors
    ///
    /// Those of [`finalite::pool::Pool::writer`] and
    /// [`Connection::execute_batch`](finalite::Connection::execute_batch).
    #[track_caller]
    pub fn execute_batch(&self, script: impl Into<Cow<'static, str>>) -> impl Future<Output = Result<()>> + Send {
        let script = script.into();
        self.on_connection(Role::Writer, Location::caller(), move |conn| conn.execute_batch(&script))
    }
}

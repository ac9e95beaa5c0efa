//! Calls with SQL and parameters.

use std::borrow::Cow;

use finalite::pool::Role;
use finalite::{FromRow, Params, Result};

use crate::pool::Pool;

impl Pool {
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
    pub async fn query_one<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<T>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.read(move |conn| conn.query_one(&sql, params)).await
    }

    /// Runs a query that yields at most one row, and returns the row as `T`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[doc(alias("fetch_optional"))]
    pub async fn query_optional<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<Option<T>>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.read(move |conn| conn.query_optional(&sql, params)).await
    }

    /// Runs a query and returns all rows, each as `T`. A result that need not be in memory as a whole is
    /// [streamed](Self::stream).
    ///
    /// # Errors
    ///
    /// See [`query_one`](Self::query_one).
    #[doc(alias("fetch_all"))]
    pub async fn query_all<T>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<Vec<T>>
    where
        T: for<'row> FromRow<'row> + Send + 'static,
    {
        let sql = sql.into();
        self.read(move |conn| conn.query_all(&sql, params)).await
    }

    /// Runs one statement to completion on the connection for writing, and returns the number of rows that it inserted,
    /// updated or deleted. It is a transaction of its own.
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
    pub async fn execute(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: impl Params<'static> + Send + 'static,
    ) -> Result<usize> {
        let sql = sql.into();
        self.on_connection(Role::Writer, move |conn| conn.execute(&sql, params)).await
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
    pub async fn execute_batch(&self, script: impl Into<Cow<'static, str>>) -> Result<()> {
        let script = script.into();
        self.on_connection(Role::Writer, move |conn| conn.execute_batch(&script)).await
    }
}

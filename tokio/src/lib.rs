//! [finalite](https://docs.rs/finalite) in tokio programs: a [`Pool`] of SQLite connections whose calls are awaited.
//!
//! ```
//! use finalite_tokio::Pool;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let pool = Pool::open(finalite::pool::Pool::builder(dir.path().join("app.db")).readers(4)).await?;
//! pool.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)", ()).await?;
//! pool.execute("INSERT INTO account VALUES (?, ?), (?, ?)", (1, 100, 2, 0)).await?;
//!
//! // A transaction: one closure, beside SQLite, on a thread of the pool.
//! let (payer, payee, cents) = (1, 2, 30);
//! pool.write(move |tx| {
//!     tx.execute("UPDATE account SET cents = cents - ? WHERE id = ?", (cents, payer))?;
//!     tx.execute("UPDATE account SET cents = cents + ? WHERE id = ?", (cents, payee))
//! })
//! .await?;
//! assert_eq!(pool.query_one::<i64>("SELECT cents FROM account WHERE id = ?", (2,)).await?, 30);
//!
//! // Rows as a stream, in batches, no faster than they are read.
//! let mut accounts = pool.stream::<(i64, i64)>("SELECT id, cents FROM account ORDER BY id", ());
//! while let Some(account) = accounts.next().await {
//!     let (id, cents) = account?;
//!     println!("{id}: {cents}");
//! }
//! assert!(pool.close().await.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! # Overview
//!
//! - One call: [`execute`](Pool::execute), [`query_one`](Pool::query_one), [`query_optional`](Pool::query_optional),
//!   [`query_all`](Pool::query_all), [`execute_batch`](Pool::execute_batch). SQL and parameters are owned. Many small writes
//!   of many tasks: [`execute_grouped`](Pool::execute_grouped).
//! - Several statements: a closure of [`read`](Pool::read) or [`write`](Pool::write), with all of finalite's interface
//!   within it. Borrowed rows stay there; the result travels.
//! - A transaction across awaits: [`begin`](Pool::begin), [`begin_read`](Pool::begin_read).
//! - Many rows: [`stream`](Pool::stream), [`stream_batches`](Pool::stream_batches).
//! - Large values: [`copy_blob_to`](Pool::copy_blob_to), [`copy_blob_from`](Pool::copy_blob_from).
//! - Backups: [`backup_to`](Pool::backup_to). Changes of tables: [`watch`](Pool::watch).
//! - Deadlines: [`with_deadline`](Pool::with_deadline). The end: [`close`](Pool::close), [`close_now`](Pool::close_now).
//!
//! # Threads
//!
//! SQLite blocks. A pool has a thread for each reader and one for the writer, which are started when they are needed first,
//! and are joined when the pool ends. Tokio's blocking threads are not used, except by [`Pool::open`]. A call goes to a
//! thread once and comes back once, whatever number of statements its closure runs. Calls that wait for a connection wait
//! in a queue, and occupy no thread.
//!
//! Queries whose SQL begins with `SELECT` or `VALUES` and that wait together (`query_one`, `query_optional`, `query_all`,
//! `exists`) share a connection and its read transaction. Each sees what was committed before it was made, and has its own
//! answer, error, deadline and cancellation. The transaction lasts for a millisecond and the query that it ends with, and is
//! open while its answers are given; hooks and authorizers see the statement that holds it. While such queries are quick and
//! few of them wait, one reader runs them all, and the others sleep. If one takes longer than 50 µs, another reader takes
//! the calls behind it: those that come later at once, those that came before within some milliseconds.
//!
//! While calls are short and follow each other at once, the thread and the task look for each other for at most 15 µs before
//! they sleep, the task only if it was the last one to call, too; on one processor, or where waits are longer, they sleep
//! at once.
//!
//! A transaction across awaits and a stream occupy a connection and its thread until their end. The builder's
//! [`readers`](finalite::pool::PoolBuilder::readers) are therefore more than the streams and read transactions that live
//! at a time.
//!
//! Once a call has to wait for others, one more thread keeps the limits of those that wait, and gives answers that a
//! thread has kept for a millisecond, to give them together. It also looks each millisecond for calls behind a query that
//! takes long, while there are some. The limits are the
//! [`acquire_timeout`](finalite::pool::PoolBuilder::acquire_timeout) and the deadlines. Every executor will do: no driver of
//! tokio's is needed, and a clock that a test has paused changes nothing. A pool is bound to no runtime: it may be built
//! outside of one, and goes on when one is dropped.
//!
//! # Cancellation
//!
//! Dropping a future cancels its call, as `tokio::time::timeout`, `select!` and the end of a task do:
//!
//! | the call | |
//! |---|---|
//! | waits in the queue | is removed, and never runs; what its closure owns is dropped at once |
//! | runs a statement | is interrupted; further statements of its closure fail; a transaction is rolled back |
//! | waits for the lock of another connection | ends at the next look at the lock, 100 ms at most |
//! | has begun to `COMMIT` | is stored: SQLite does not stop there |
//! | runs code of its closure that makes no call of SQLite | runs to its end |
//!
//! The drop does not wait. The connection is looked at and restored before the thread takes the next call, whose
//! statements the interrupt cannot reach. [`idle`](Pool::idle) waits until all that was cancelled has ended.
//!
//! A write whose future was dropped is in doubt for its caller. A call of [`execute`](Pool::execute) or
//! [`write`](Pool::write) and a [`Transaction`] are stored as a whole, or not at all. The statements of
//! [`execute_batch`](Pool::execute_batch) are stored one by one, up to the one that was stopped, unless the script has its
//! own `BEGIN` and `COMMIT`. The same holds for a deadline and for [`close_now`](Pool::close_now); a call that returns
//! their error has stored nothing else.
//!
//! In a child process that was forked, calls and futures of the parent's pool return
//! [`ErrorKind::Forked`](finalite::ErrorKind::Forked).
//!
//! A panic of a closure is resumed by the task that awaits it, and its connection is closed. If nobody awaits it, it is
//! logged by `tracing`, with the target `finalite::worker`.
//!
//! # In a service
//!
//! [`Pool`] is `Clone + Send + Sync`: it is axum's `State` as it is.
//!
//! ```
//! use axum::{Json, Router, extract::{Path, State}, http::StatusCode, routing::get};
//! use finalite_tokio::Pool;
//!
//! async fn cents(State(pool): State<Pool>, Path(id): Path<i64>) -> Result<Json<i64>, StatusCode> {
//!     let cents = pool.query_optional("SELECT cents FROM account WHERE id = ?", (id,)).await;
//!     // The error has the SQL and the code, and no bound value.
//!     let cents = cents.map_err(|error| {
//!         tracing::error!(%error, "reading an account");
//!         StatusCode::INTERNAL_SERVER_ERROR
//!     })?;
//!     cents.map(Json).ok_or(StatusCode::NOT_FOUND)
//! }
//!
//! fn router(pool: Pool) -> Router {
//!     Router::new().route("/account/{id}", get(cents)).with_state(pool)
//! }
//! ```
//!
//! hyper drops the future of a request whose client is gone, which ends the query. After `axum::serve` with a graceful
//! shutdown, [`Pool::close`] waits for what is left. The example `web_service` is such a program, with finalite-endpoint
//! beside it.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::incompatible_msrv, missing_debug_implementations, unreachable_pub)]
#![warn(
    clippy::doc_markdown,
    clippy::explicit_iter_loop,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::redundant_closure_for_method_calls,
    clippy::semicolon_if_nothing_returned
)]

mod backup;
mod blob;
mod call;
mod channel;
mod control;
mod group;
mod handover;
mod lane;
mod pool;
mod query;
mod queue;
mod row_batch;
mod session;
mod shared;
mod spin;
mod stream;
mod sync;
mod timekeeper;
mod transaction;
mod upload;
mod wakes;
mod watch;
mod worker;

pub use pool::Pool;
pub use stream::RowStream;
pub use transaction::Transaction;
pub use watch::Watch;

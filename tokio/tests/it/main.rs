//! The crate's interface, on both runtimes of tokio.

mod calls;
mod cancel;
mod closing;
mod grouped;
mod grouped_commits;
mod grouped_errors;
mod large;
mod limits;
mod shared;
mod status;
mod streams;
mod transactions;

use std::future::Future;

use finalite_tokio::Pool;
use tempfile::TempDir;

/// A query that ends when it is interrupted.
pub(crate) const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

/// Runs a test on a runtime with one thread, and on one with several.
pub(crate) fn on_both_runtimes<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    one.block_on(test());
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    several.block_on(test());
}

/// A pool on a file with the table `t(a)`.
pub(crate) async fn pool(readers: usize) -> (TempDir, Pool) {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::open(finalite::pool::Pool::builder(dir.path().join("a.db")).readers(readers)).await.unwrap();
    pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
    (dir, pool)
}

pub(crate) async fn count(pool: &Pool) -> i64 {
    pool.query_one("SELECT count(*) FROM t", ()).await.unwrap()
}

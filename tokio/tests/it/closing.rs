//! The end of a pool, and of its runtime.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use finalite::ErrorKind;
use finalite::pool::{Pool as SyncPool, Role};
use finalite::stats::{self, ConnectionStats};
use finalite_tokio::Pool;
use tempfile::TempDir;

use super::{ENDLESS, count, on_both_runtimes, pool};

#[test]
fn close_waits_for_what_was_begun() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(2).await;
        let writes: Vec<_> = (0..20)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    pool.write(move |tx| {
                        thread::sleep(Duration::from_millis(1));
                        tx.execute("INSERT INTO t VALUES (?)", (n,))
                    })
                    .await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(3)).await;
        assert!(pool.close().await.is_clean());
        let mut stored = 0;
        for write in writes {
            match write.await.unwrap() {
                Ok(_) => stored += 1,
                Err(error) => assert!(matches!(error.kind(), ErrorKind::PoolClosed), "{error}"),
            }
        }
        assert!(stored > 0);
        let conn = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), stored);
        assert_eq!(pool.close().await.closed(), 0);
    });
}

#[test]
fn close_now_cancels() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let calls: Vec<_> = (0..3)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.query_one::<i64>(ENDLESS, ()).await })
            })
            .collect();
        while pool.status().role(Role::Reader).checked_out.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // It is lent before it is opened, and a pool that ends opens none.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(pool.close_now().await.is_clean());
        let mut interrupted = 0;
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            assert!(error.is_interrupted() || matches!(error.kind(), ErrorKind::PoolClosed), "{error}");
            interrupted += usize::from(error.is_interrupted());
        }
        assert_eq!(interrupted, 1);
    });
}

#[test]
fn dropping_the_last_clone_cancels_and_joins() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(2).await;
        let mut call = Box::pin({
            let pool = pool.clone();
            async move {
                let call = pool.read(|conn| conn.query_one::<i64>(ENDLESS, ()));
                call.await
            }
        });
        assert!(futures_poll(call.as_mut()).is_pending());
        drop(call);
        drop(pool);
        // The last connection has removed the log.
        assert!(!dir.path().join("a.db-wal").exists());
    });
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn of_two_that_close_a_pool_none_returns_before_the_end() {
    on_both_runtimes(|| async {
        let (_dir, pool) = named("second").await;
        pool.query_one::<i64>("SELECT 1", ()).await.unwrap();
        pool.idle().await;
        let (mut first, mut second) = (Box::pin(pool.close()), Box::pin(pool.close()));
        assert!(futures_poll(first.as_mut()).is_pending());
        // The connections are closed, and the threads not joined.
        wait_for_the_connections("second");
        for _ in 0..20 {
            assert!(futures_poll(second.as_mut()).is_pending());
            thread::sleep(Duration::from_millis(1));
        }
        let report = first.await;
        assert!(report.is_clean() && report.closed() >= 2, "{report}");
        assert_eq!(second.await.closed(), 0);
    });
}

/// A pool of this name, which its connections have, too.
async fn named(name: &str) -> (TempDir, Pool) {
    let dir = tempfile::tempdir().unwrap();
    let builder = SyncPool::builder(dir.path().join("a.db")).name(name).readers(1);
    let pool = Pool::open(builder).await.unwrap();
    pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
    (dir, pool)
}

/// Waits until they are closed. To ask the pool for one would lend one while it closes.
fn wait_for_the_connections(pool: &str) {
    let is_of_pool = |conn: &ConnectionStats| conn.name.as_deref().is_some_and(|name| name.starts_with(pool));
    while stats::snapshot().connections.iter().any(is_of_pool) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// The report of a close whose future was dropped is that of the next.
#[test]
fn a_dropped_close_loses_no_report() {
    on_both_runtimes(|| async {
        let (_dir, pool) = named("dropped").await;
        pool.query_one::<i64>("SELECT 1", ()).await.unwrap();
        pool.idle().await;
        let mut first = Box::pin(pool.close());
        assert!(futures_poll(first.as_mut()).is_pending());
        wait_for_the_connections("dropped");
        thread::sleep(Duration::from_millis(50));
        drop(first);
        let report = pool.close().await;
        assert!(report.is_clean() && report.closed() >= 2, "{report}");
    });
}

/// The last clone is dropped by a closure, on the thread that would have to join itself.
#[test]
fn a_worker_may_drop_the_last_clone() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let (begun, has_begun) = mpsc::channel::<()>();
        let (go, wait) = mpsc::channel::<()>();
        let (report, ended) = mpsc::channel();
        let clone = pool.clone();
        let mut call = Box::pin(async move {
            let own = clone.clone();
            let call = clone.read(move |_| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
                drop(own);
                report.send(()).unwrap();
                Ok(())
            });
            call.await
        });
        assert!(futures_poll(call.as_mut()).is_pending());
        has_begun.recv().unwrap();
        drop(call);
        drop(pool);
        go.send(()).unwrap();
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
    });
}

/// Tasks are dropped with their runtime, in the middle of calls. The pool goes on with another runtime.
#[test]
fn a_pool_outlives_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let first = runtime();
    let (_dir, pool) = first.block_on(pool(2));
    for n in 0..40 {
        let pool = pool.clone();
        first.spawn(async move {
            match n % 2 {
                0 => drop(pool.query_one::<i64>(ENDLESS, ()).await),
                _ => drop(pool.write(|tx| tx.query_one::<i64>(ENDLESS, ())).await),
            }
        });
    }
    thread::sleep(Duration::from_millis(10));
    drop(first);
    let second = runtime();
    second.block_on(async {
        pool.idle().await;
        assert_eq!(count(&pool).await, 0);
        assert!(pool.close().await.is_clean());
    });
}

/// `shutdown_background` within a task of another runtime, as programs with two runtimes have it.
#[test]
fn a_runtime_is_dropped_within_a_runtime() {
    on_both_runtimes(|| async {
        let inner = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let (dir, pool) = pool(1).await;
        // Made here: the task may be dropped before it has run.
        let (clone, guard) = (pool.clone(), SetOnDrop(Arc::clone(&is_dropped)));
        inner.spawn(async move {
            let guard = guard;
            let _ = clone.query_one::<i64>(ENDLESS, ()).await;
            drop(guard);
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        inner.shutdown_background();
        while !is_dropped.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(count(&pool).await, 0);
        let pool: Pool = pool;
        assert!(pool.close().await.is_clean());
        drop(dir);
    });
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

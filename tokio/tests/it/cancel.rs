//! Futures that are dropped.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use finalite::pool::Role;

use super::{ENDLESS, count, on_both_runtimes, pool};

/// Polls once.
fn poll_once(future: impl Future) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_future_that_is_never_polled_does_nothing() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        drop(pool.execute("INSERT INTO t VALUES (1)", ()));
        assert_eq!(count(&pool).await, 0);
    });
}

#[test]
fn a_query_ends_at_once_and_its_connection_is_clean() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for _ in 0..50 {
            let call = pool.query_one::<i64>(ENDLESS, ());
            assert!(tokio::time::timeout(Duration::from_millis(2), call).await.is_err());
            // The next call has the same connection, and is not hit.
            assert_eq!(pool.query_one::<i64>("SELECT sum(value) FROM json_each('[1, 2]')", ()).await.unwrap(), 3);
        }
        assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
        assert!(pool.close().await.is_clean());
    });
}

/// A closure with many short statements is ended, too: an interrupt alone is forgotten between two of them.
#[test]
fn a_closure_of_many_statements_ends() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let (report, ended) = mpsc::channel();
        let call = pool.read(move |conn| {
            let error = loop {
                if let Err(error) = conn.query_one::<i64>("SELECT 1", ()) {
                    break error;
                }
            };
            report.send(error.is_interrupted()).unwrap();
            Err::<(), _>(error)
        });
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
        pool.idle().await;
        assert_eq!(ended.try_recv(), Ok(true));
    });
}

#[test]
fn a_write_is_rolled_back() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let call = pool.write(|tx| {
            tx.execute("INSERT INTO t VALUES (1)", ())?;
            tx.query_one::<i64>(ENDLESS, ())
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
        pool.idle().await;
        assert!(pool.status().role(Role::Writer).checked_out.is_empty());
        assert_eq!(count(&pool).await, 0);
        pool.write(|tx| tx.execute("INSERT INTO t VALUES (2)", ())).await.unwrap();
        assert_eq!(count(&pool).await, 1);
    });
}

#[test]
fn a_call_that_waits_for_a_lock_ends() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(1).await;
        let other = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begin = Instant::now();
        let call = pool.write(|tx| tx.execute("INSERT INTO t VALUES (1)", ()));
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
        pool.idle().await;
        // The busy timeout is five seconds, and the pool tries again for ten.
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(count(&pool).await, 0);
    });
}

#[test]
fn a_call_that_has_not_begun_never_does() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let (go, wait) = mpsc::channel::<()>();
        let blocker = tokio::spawn({
            let pool = pool.clone();
            async move { pool.write(move |_| Ok(wait.recv().is_ok())).await }
        });
        while pool.status().role(Role::Writer).checked_out.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let has_run = Arc::new(AtomicBool::new(false));
        let alive = Arc::clone(&has_run);
        for _ in 0..1000 {
            let ran = Arc::clone(&has_run);
            poll_once(pool.write(move |_| {
                ran.store(true, Ordering::SeqCst);
                Ok(())
            }));
        }
        // What the closures own is dropped with the futures, not when the writer is free.
        assert_eq!(Arc::strong_count(&alive), 2);
        go.send(()).unwrap();
        blocker.await.unwrap().unwrap();
        pool.idle().await;
        assert!(!has_run.load(Ordering::SeqCst));
    });
}

#[test]
fn the_panic_of_a_call_that_nobody_awaits_harms_nobody() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let (begun, has_begun) = mpsc::channel::<()>();
        let (go, wait) = mpsc::channel::<()>();
        poll_once(pool.read(move |_| -> finalite::Result<()> {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            std::panic::resume_unwind(Box::new("nobody sees this"))
        }));
        // It may not have begun when it was dropped.
        if has_begun.recv().is_ok() {
            go.send(()).unwrap();
        }
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

/// A result whose `Drop` panics, of a call that is dropped after its end.
#[test]
fn a_result_that_panics_when_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                std::panic::resume_unwind(Box::new("a bomb"));
            }
        }
    }
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let (go, wait) = mpsc::channel::<()>();
        let call = pool.read(move |_| {
            wait.recv().unwrap();
            Ok(Bomb)
        });
        let mut call = Box::pin(call);
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        go.send(()).unwrap();
        pool.idle().await;
        drop(call);
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

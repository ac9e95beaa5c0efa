//! Limits of the time that calls wait, on runtimes without drivers.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use finalite::ErrorKind;
use finalite::pool::{Pool as SyncPool, Role};
use finalite_tokio::Pool;
use tempfile::TempDir;

/// Runs a test on runtimes that have no drivers, the one of time among them.
fn without_drivers<F: Future<Output = ()>>(test: impl Fn() -> F) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test());
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(test());
}

async fn pool(acquire_timeout: Duration) -> (TempDir, Pool) {
    let dir = tempfile::tempdir().unwrap();
    let builder = SyncPool::builder(dir.path().join("a.db")).readers(1).acquire_timeout(acquire_timeout);
    let pool = Pool::open(builder).await.unwrap();
    pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
    (dir, pool)
}

/// Occupies the writer until the returned sender is dropped.
async fn occupy(pool: &Pool) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (mut begun, pool) = (Some(begun), pool.clone());
    tokio::spawn(async move {
        let write = pool.write(move |tx| {
            begun.take().map(|begun| begun.send(()));
            let _ = released.recv();
            tx.execute("INSERT INTO t VALUES ('first')", ())
        });
        write.await
    });
    has_begun.await.unwrap();
    release
}

#[test]
fn calls_one_after_the_other_need_no_driver() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        for n in 0..500 {
            pool.execute("INSERT INTO t VALUES (?)", (n,)).await.unwrap();
        }
        assert_eq!(super::count(&pool).await, 500);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_call_that_waits_ends_at_its_deadline() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        let release = occupy(&pool).await;
        let begun = Instant::now();
        let error = pool.with_deadline(Duration::from_millis(50)).execute("INSERT INTO t VALUES (2)", ()).await;
        assert!(error.unwrap_err().is_deadline());
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_millis(50) && waited < Duration::from_secs(10), "{waited:?}");
        // An earlier limit than the one that is kept, and a later one.
        let far = pool.with_deadline(Duration::from_secs(20));
        let far = tokio::spawn(async move { far.execute("INSERT INTO t VALUES (3)", ()).await });
        let near = pool.with_deadline(Duration::from_millis(5)).execute("INSERT INTO t VALUES (4)", ()).await;
        assert!(near.unwrap_err().is_deadline());
        drop(release);
        assert_eq!(far.await.unwrap().unwrap(), 1);
        pool.idle().await;
        let stored: Vec<String> = pool.query_all("SELECT CAST(a AS TEXT) FROM t ORDER BY rowid", ()).await.unwrap();
        assert_eq!(stored, ["first", "3"]);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn calls_that_wait_for_too_long_time_out() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_millis(50)).await;
        let release = occupy(&pool).await;
        let calls: Vec<_> = (0..20)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.execute("INSERT INTO t VALUES (?)", (n,)).await })
            })
            .collect();
        for call in calls {
            let error = call.await.unwrap().unwrap_err();
            let ErrorKind::PoolTimeout { waited, .. } = error.kind() else { panic!("{error}") };
            assert!(*waited >= Duration::from_millis(50));
        }
        drop(release);
        pool.idle().await;
        assert_eq!(super::count(&pool).await, 1);
        assert!(pool.close().await.is_clean());
    });
}

/// Waits until a thread of the pool waits for the connection that the test has taken.
async fn one_waits(pool: &Pool) {
    while pool.status().role(Role::Writer).waiting == 0 {
        tokio::task::yield_now().await;
    }
    // It was counted in the queue already, on its way to the thread.
    std::thread::sleep(Duration::from_millis(30));
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_connection_of_the_blocking_pool_is_waited_for_until_the_deadline() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        let taken = pool.blocking().writer_owned().unwrap();
        let begun = Instant::now();
        let late = pool.with_deadline(Duration::from_millis(30));
        assert!(late.execute("INSERT INTO t VALUES (1)", ()).await.unwrap_err().is_deadline());
        assert!(late.execute_batch("INSERT INTO t VALUES (1)").await.unwrap_err().is_deadline());
        assert!(late.write(|tx| tx.execute("INSERT INTO t VALUES (1)", ())).await.unwrap_err().is_deadline());
        assert!(late.begin().await.unwrap_err().is_deadline());
        assert!(late.watch(["t"]).await.unwrap_err().is_deadline());
        assert!(begun.elapsed() < SOON);
        drop(taken);
        assert_eq!(pool.execute("INSERT INTO t VALUES (2)", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_dropped_call_no_longer_waits_for_a_connection_of_the_blocking_pool() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        let taken = pool.blocking().writer_owned().unwrap();
        let begun = Instant::now();
        let call = tokio::spawn({
            let pool = pool.clone();
            async move { pool.execute("INSERT INTO t VALUES (1)", ()).await }
        });
        one_waits(&pool).await;
        call.abort();
        pool.idle().await;
        assert!(begun.elapsed() < SOON);
        drop(taken);
        assert_eq!(super::count(&pool).await, 0);
    });
}

#[test]
fn the_end_of_the_pool_waits_for_no_connection_of_the_blocking_pool() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        let taken = pool.blocking().writer_owned().unwrap();
        let begun = Instant::now();
        let call = tokio::spawn({
            let pool = pool.clone();
            async move { pool.execute("INSERT INTO t VALUES (1)", ()).await }
        });
        one_waits(&pool).await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        drop(pool);
        assert!(begun.elapsed() < SOON);
        drop(taken);
    });
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        let taken = pool.blocking().writer_owned().unwrap();
        let begun = Instant::now();
        let call = tokio::spawn({
            let pool = pool.clone();
            async move { pool.execute("INSERT INTO t VALUES (1)", ()).await }
        });
        one_waits(&pool).await;
        let report = pool.close_now().await;
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_interrupted() || matches!(error.kind(), ErrorKind::PoolClosed), "{error}");
        assert!(!report.is_clean(), "one is checked out: {report}");
        assert!(begun.elapsed() < SOON);
        drop(taken);
    });
}

/// A closure that waits for a connection by itself, which no cancellation reaches.
#[test]
fn the_end_of_the_pool_refuses_what_its_closures_wait_for() {
    for ends_by_dropping in [true, false] {
        without_drivers(|| async {
            let (_dir, pool) = pool(Duration::from_secs(30)).await;
            let taken = pool.blocking().writer_owned().unwrap();
            let (begun, sync) = (Instant::now(), Arc::downgrade(pool.blocking()));
            let (report, ended) = mpsc::channel();
            let call = tokio::spawn({
                let read = pool.clone();
                async move {
                    let call = read.read(move |_| {
                        let sync = sync.upgrade().expect("the pool is there");
                        let refused = sync.writer().map(drop);
                        report.send(refused.map_err(|error| matches!(error.kind(), ErrorKind::PoolClosed))).unwrap();
                        Ok(())
                    });
                    call.await
                }
            });
            one_waits(&pool).await;
            if ends_by_dropping {
                call.abort();
                assert!(call.await.unwrap_err().is_cancelled());
                drop(pool);
            } else {
                drop(pool.close_now().await);
            }
            assert_eq!(ended.recv().unwrap(), Err(true));
            assert!(begun.elapsed() < SOON);
            drop(taken);
        });
    }
}

/// Answers that are given while calls wait are given together, but not later than the end of a call that takes long.
#[test]
fn a_long_call_does_not_keep_the_answers_before_it() {
    without_drivers(|| async {
        let (_dir, pool) = pool(Duration::from_secs(30)).await;
        // The calls 0 and 6 last until they are released. The others are behind them, in their order.
        let (releases, mut blocks): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
        let mut calls = Vec::new();
        for n in 0..20 {
            let (pool, own) = (pool.clone(), if n % 6 == 0 { blocks.pop() } else { None });
            let task = pool.clone();
            calls.push(tokio::spawn(async move {
                let call = task.read(move |conn| {
                    let _ = own.map(|released| released.recv());
                    conn.query_one::<usize>("SELECT ?", (n,))
                });
                call.await
            }));
            while pool.status().role(Role::Reader).acquired_total == 0 || pool.status().role(Role::Reader).waiting < n {
                tokio::task::yield_now().await;
            }
        }
        let (begun, mut releases) = (Instant::now(), releases.into_iter().rev());
        for (n, call) in calls.into_iter().enumerate() {
            if n % 6 == 0 {
                // Those before were answered while this one runs.
                assert!(begun.elapsed() < SOON);
                drop(releases.next());
            }
            assert_eq!(call.await.unwrap().unwrap(), n);
        }
        assert!(pool.close().await.is_clean());
    });
}

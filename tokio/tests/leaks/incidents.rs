//! The incidents of docs/incidents.md, in their async form.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use finalite::extend::{Access, Action, Subscription};
use finalite::pool::{DestroyReason, Pool as SyncPool, Role};
use finalite::{Connection, Result};
use finalite_tokio::Pool;

use super::{COUNTING, ENDLESS, runtimes, times};

static ROLLBACK_IS_DENIED: AtomicBool = AtomicBool::new(false);
static SUBSCRIPTIONS: Mutex<Vec<Subscription>> = Mutex::new(Vec::new());

/// Has a connection refuse its rollbacks while they are denied.
fn watch_rollbacks(conn: &Connection) -> Result<()> {
    let subscription = conn.set_authorizer(|request| match request.action {
        Action::Transaction { operation: "ROLLBACK" } if ROLLBACK_IS_DENIED.load(Ordering::SeqCst) => Access::Deny,
        _ => Access::Allow,
    })?;
    SUBSCRIPTIONS.lock().unwrap().push(subscription);
    Ok(())
}

/// Of a session pool: a rollback fails when a session comes back, and its place is lost.
pub(crate) fn a_rollback_fails() {
    let rounds = times(500);
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let builder = SyncPool::builder(dir.path().join("a.db")).readers(2).init(|conn| watch_rollbacks(conn));
            let pool = Pool::open(builder.acquire_timeout(Duration::from_secs(10))).await.unwrap();
            pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
            ROLLBACK_IS_DENIED.store(true, Ordering::SeqCst);
            for _ in 0..rounds {
                let mut tx = pool.begin().await.unwrap();
                tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
                drop(tx);
            }
            pool.idle().await;
            ROLLBACK_IS_DENIED.store(false, Ordering::SeqCst);
            assert_eq!(pool.status().destroyed(DestroyReason::RollbackFailed), rounds as u64);
            assert_eq!(pool.query_one::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), 0);
            pool.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
            assert!(pool.close().await.is_clean());
        });
        SUBSCRIPTIONS.lock().unwrap().clear();
    }
}

/// Of reserved connections: what one caller sets, the next one finds.
pub(crate) fn a_connection_is_changed() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let pool = Pool::open(SyncPool::builder(dir.path().join("a.db")).readers(1)).await.unwrap();
            for _ in 0..times(200) {
                let change = pool.read(|conn| {
                    conn.execute_batch("CREATE TEMP TABLE mine(a); ATTACH ':memory:' AS other; PRAGMA cache_size = 7")?;
                    conn.create_scalar_function("mine", || -> Result<i64> { Ok(1) })?;
                    conn.query_one::<i64>(ENDLESS, ())
                });
                assert!(tokio::time::timeout(Duration::from_millis(1), change).await.is_err());
                let seen: (i64, i64, i64) = pool
                    .query_one(
                        "SELECT (SELECT count(*) FROM sqlite_temp_schema),
                         (SELECT count(*) FROM pragma_database_list WHERE name = 'other'),
                         (SELECT cache_size FROM pragma_cache_size)",
                        (),
                    )
                    .await
                    .unwrap();
                assert!(seen.0 == 0 && seen.1 == 0 && seen.2 != 7, "{seen:?}");
                assert!(pool.query_one::<i64>("SELECT mine()", ()).await.is_err());
            }
            assert!(pool.close().await.is_clean());
        });
    }
}

/// Of a connector: a failure to open leaves what was opened.
pub(crate) fn a_pool_cannot_be_opened() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let damaged = dir.path().join("damaged.db");
        std::fs::write(&damaged, vec![b'x'; 4096]).unwrap();
        runtime.block_on(async {
            for _ in 0..times(100) {
                assert!(Pool::open(SyncPool::builder("/nowhere/a.db")).await.is_err());
                assert!(Pool::open(SyncPool::builder(&damaged)).await.is_err());
                let failing = SyncPool::in_memory("failing").init(|_| Err(finalite::Error::external("on purpose")));
                assert!(Pool::open(failing).await.is_err());
                let task = tokio::spawn(async {
                    let panicking = SyncPool::in_memory("panicking");
                    Pool::open(panicking.init(|_| std::panic::resume_unwind(Box::new("on purpose")))).await
                });
                assert!(task.await.unwrap_err().is_panic());
                // A future of an opening that is dropped: the pool is built, and dropped.
                let opening = Pool::open(SyncPool::in_memory("dropped"));
                drop(tokio::time::timeout(Duration::ZERO, opening).await);
            }
        });
        // It joins the threads that still open.
        drop(runtime);
    }
}

/// Of a resolver: each use starts a thread that nobody ends.
pub(crate) fn each_pool_joins_its_threads() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        runtime.block_on(async {
            for round in 0..times(100) {
                let pool = Pool::from(SyncPool::builder(&path).readers(2).build().unwrap());
                pool.execute("CREATE TABLE IF NOT EXISTS t(a)", ()).await.unwrap();
                let (a, b) = tokio::join!(
                    pool.query_one::<i64>("SELECT count(*) FROM t", ()),
                    pool.query_one::<i64>("SELECT count(*) FROM t", ())
                );
                assert_eq!((a.unwrap(), b.unwrap()), (0, 0));
                match round % 3 {
                    0 => assert!(pool.close().await.is_clean()),
                    1 => assert!(pool.close_now().await.is_clean()),
                    _ => drop(pool),
                }
                assert_eq!(finalite::stats::snapshot().process.background_threads, 0);
                assert!(!path.with_extension("db-wal").exists());
            }
        });
    }
}

/// Of finalizers that run one after the other: one that blocks keeps all others from running.
pub(crate) fn a_blocked_thread_keeps_nobody_elses() {
    for runtime in runtimes() {
        let dir = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let pool = Pool::open(SyncPool::builder(dir.path().join("a.db")).readers(3)).await.unwrap();
            let (go, wait) = std::sync::mpsc::channel::<()>();
            let blocked = tokio::spawn({
                let pool = pool.clone();
                async move { pool.read(move |_| Ok(wait.recv().is_ok())).await }
            });
            while pool.status().role(Role::Reader).checked_out.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let statements = || finalite::handles::counts().total();
            let before = statements();
            for _ in 0..times(500) {
                pool.stream::<i64>(COUNTING, ()).next().await.unwrap().unwrap();
            }
            // The two other threads have cleaned up behind them.
            while pool.status().role(Role::Reader).checked_out.len() > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(statements() <= before + 8, "{before} {}", statements());
            go.send(()).unwrap();
            assert!(blocked.await.unwrap().unwrap());
            assert!(pool.close().await.is_clean());
        });
    }
}

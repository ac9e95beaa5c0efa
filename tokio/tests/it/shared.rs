//! Queries that wait together for a reader.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use finalite::extend::{Access, AccessRequest, Action};
use finalite::pool::{Pool as SyncPool, Role};
use finalite::{Connection, FromRow, OpenOptions, Result, Row};
use finalite_tokio::Pool;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{count, on_both_runtimes, pool};

/// A query that ends when it is interrupted, and that may share a transaction.
const ENDLESS: &str =
    "SELECT max(i) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)";

const COUNT: &str = "SELECT count(*) FROM t";

/// A pool with one reader, and the SQL function `store()`, which commits a row on another connection.
async fn pool_that_stores() -> (TempDir, Pool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let other = path.clone();
    let init = move |conn: &mut Connection| {
        let storing = Mutex::new(Connection::open(&other)?);
        conn.create_scalar_function("store", move || -> Result<i64> {
            let conn = storing.lock().unwrap();
            conn.query_one("INSERT INTO t SELECT 1 + count(*) FROM t RETURNING a", ())
        })?;
        Ok(())
    };
    let pool = Pool::open(SyncPool::builder(path).readers(1).init(init)).await.unwrap();
    pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
    (dir, pool)
}

/// Occupies a reader until the returned sender is dropped.
async fn occupy(pool: &Pool) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let pool = pool.clone();
    tokio::spawn(async move {
        let read = pool.read(move |_| {
            let _ = begun.send(());
            let _ = released.recv();
            Ok(())
        });
        read.await
    });
    has_begun.await.unwrap();
    release
}

async fn queue<T: Send + 'static>(pool: &Pool, call: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let waiting = || pool.status().role(Role::Reader).waiting;
    let before = waiting();
    let call = tokio::spawn(call);
    while waiting() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call
}

/// Has a call of a pool wait in the queue, behind those that do.
macro_rules! queue {
    ($pool:ident.$($call:tt)*) => {{
        let own = $pool.clone();
        queue(&$pool, async move { own.$($call)*.await }).await
    }};
}

#[test]
fn queries_that_wait_have_one_state_and_later_ones_a_newer() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool_that_stores().await;
        let mut stored = 0;
        // A transaction that has lasted too long takes no further query.
        loop {
            let release = occupy(&pool).await;
            let first = queue!(pool.query_one::<i64>("SELECT store()", ()));
            let second = queue!(pool.query_all::<i64>(COUNT, ()));
            let third = queue!(pool.exists("SELECT 1 FROM t WHERE a = ?", (stored + 1,)));
            drop(release);
            stored += 1;
            assert_eq!(first.await.unwrap().unwrap(), stored);
            let (second, third) = (second.await.unwrap().unwrap(), third.await.unwrap().unwrap());
            assert_eq!(count(&pool).await, stored);
            if second == [stored - 1] && !third {
                break;
            }
        }
        // The control: closures, and what does not begin by SELECT, run one by one.
        let release = occupy(&pool).await;
        let first = queue!(pool.query_one::<i64>("SELECT store()", ()));
        let second = queue!(pool.query_one::<i64>("WITH s AS (SELECT a FROM t) SELECT count(*) FROM s", ()));
        let third = queue!(pool.read(|conn| conn.query_one::<i64>(COUNT, ())));
        drop(release);
        first.await.unwrap().unwrap();
        assert_eq!(second.await.unwrap().unwrap(), stored + 1);
        assert_eq!(third.await.unwrap().unwrap(), stored + 1);
        assert!(pool.close().await.is_clean());
    });
}

/// What may not share runs alone where it is first, too.
#[test]
fn a_call_that_may_not_share_is_not_the_first_of_others() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool_that_stores().await;
        // A transaction that has lasted too long would take no further query.
        for stored in 1..=30 {
            let release = occupy(&pool).await;
            let first = queue!(pool.query_one::<i64>("WITH s AS (SELECT store() AS a) SELECT a FROM s", ()));
            let second = queue!(pool.query_one::<i64>(COUNT, ()));
            let third = queue!(pool.query_one::<i64>(COUNT, ()));
            drop(release);
            assert_eq!(first.await.unwrap().unwrap(), stored);
            assert_eq!((second.await.unwrap().unwrap(), third.await.unwrap().unwrap()), (stored, stored));
        }
        assert!(pool.close().await.is_clean());
    });
}

/// A lock is waited for within each query's own limits, not by the transaction that they would share.
#[test]
fn a_lock_keeps_no_query_longer_than_its_deadline() {
    on_both_runtimes(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let options = OpenOptions::new().busy_timeout(Duration::from_secs(3600));
        let builder = SyncPool::builder(&path).readers(1).options(options);
        let pool = Pool::open(builder).await.unwrap();
        pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
        count(&pool).await;
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let release = occupy(&pool).await;
        let hasty = pool.with_deadline(Duration::from_millis(50));
        let first = queue!(hasty.query_one::<i64>(COUNT, ()));
        let second = queue!(pool.query_one::<i64>(COUNT, ()));
        drop(release);
        assert!(first.await.unwrap().unwrap_err().is_deadline());
        assert!(!second.is_finished());
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(second.await.unwrap().unwrap(), 0);
        drop(other);
        assert!(pool.close().await.is_clean());
    });
}

/// A panic of the program's code in what comes before a query is not the end of those that wait.
#[test]
fn a_panic_before_the_first_query_leaves_it_to_run_alone() {
    on_both_runtimes(|| async {
        let dir = tempfile::tempdir().unwrap();
        // Number of panics to come.
        let panics = Arc::new(AtomicI64::new(0));
        let left = Arc::clone(&panics);
        let init = move |conn: &mut Connection| {
            let left = Arc::clone(&left);
            let authorize = move |request: &AccessRequest<'_>| {
                if let Action::Read { table: "sqlite_master" | "sqlite_schema", .. } = request.action
                    && left.fetch_sub(1, Ordering::SeqCst) > 0
                {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                Access::Allow
            };
            conn.set_authorizer(authorize)?.keep();
            Ok(())
        };
        let pool = Pool::open(SyncPool::builder(dir.path().join("a.db")).readers(1).init(init)).await.unwrap();
        pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
        count(&pool).await;
        let release = occupy(&pool).await;
        panics.store(1, Ordering::SeqCst);
        let first = queue!(pool.query_one::<i64>(COUNT, ()));
        let second = queue!(pool.query_one::<i64>(COUNT, ()));
        drop(release);
        assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap().unwrap()), (0, 0));
        assert!(panics.load(Ordering::SeqCst) <= 0);
        assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn each_query_sees_what_was_committed_before_it_was_made() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(2).await;
        pool.execute("INSERT INTO t VALUES (0)", ()).await.unwrap();
        let committed = Arc::new(AtomicI64::new(0));
        let readers: Vec<_> = (0..16)
            .map(|_| {
                let (pool, committed) = (pool.clone(), Arc::clone(&committed));
                tokio::spawn(async move {
                    let mut is_older_than_the_newest = false;
                    loop {
                        let known = committed.load(Ordering::SeqCst);
                        let seen = pool.query_one::<i64>("SELECT a FROM t", ()).await.unwrap();
                        assert!(seen >= known, "{seen} was read after {known} was committed");
                        is_older_than_the_newest |= seen < committed.load(Ordering::SeqCst);
                        if seen == 500 {
                            return is_older_than_the_newest;
                        }
                    }
                })
            })
            .collect();
        for n in 1..=500 {
            pool.execute("UPDATE t SET a = ?", (n,)).await.unwrap();
            committed.store(n, Ordering::SeqCst);
        }
        let mut is_older = false;
        for reader in readers {
            is_older |= reader.await.unwrap();
        }
        // The control: what is committed while a query waits is not always seen.
        assert!(is_older);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn an_error_a_deadline_and_a_dropped_future_are_of_one_query() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for _ in 0..10 {
            let release = occupy(&pool).await;
            let before = queue!(pool.query_one::<i64>(COUNT, ()));
            let wrong = queue!(pool.query_one::<i64>("SELECT a FROM missing", ()));
            let none = queue!(pool.query_one::<i64>("SELECT a FROM t", ()));
            let late = pool.with_deadline(Duration::from_millis(30));
            let late = queue!(late.query_one::<i64>(ENDLESS, ()));
            let between = queue!(pool.query_one::<i64>(COUNT, ()));
            let in_time = pool.with_deadline(Duration::from_secs(30));
            let in_time = queue!(in_time.query_one::<i64>(COUNT, ()));
            let dropped = queue!(pool.query_one::<i64>(ENDLESS, ()));
            let after = queue!(pool.query_optional::<i64>(COUNT, ()));
            drop(release);
            assert_eq!(before.await.unwrap().unwrap(), 0);
            assert!(wrong.await.unwrap().unwrap_err().to_string().contains("missing"));
            assert!(matches!(none.await.unwrap().unwrap_err().kind(), finalite::ErrorKind::RowCount { .. }));
            assert!(late.await.unwrap().unwrap_err().is_deadline());
            assert_eq!(between.await.unwrap().unwrap(), 0);
            assert_eq!(in_time.await.unwrap().unwrap(), 0);
            tokio::time::sleep(Duration::from_millis(2)).await;
            dropped.abort();
            assert_eq!(after.await.unwrap().unwrap(), Some(0));
        }
        assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
        assert!(pool.close().await.is_clean());
    });
}

#[derive(Debug)]
struct Panics;

impl FromRow<'_> for Panics {
    fn from_row(_: Row<'_>) -> Result<Self> {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

#[test]
fn a_panic_is_of_one_query_and_closes_the_connection() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let release = occupy(&pool).await;
        let before = queue!(pool.query_one::<i64>(COUNT, ()));
        let panics = queue!(pool.query_one::<Panics>(COUNT, ()));
        let after = queue!(pool.query_one::<i64>(COUNT, ()));
        drop(release);
        assert_eq!(before.await.unwrap().unwrap(), 0);
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(after.await.unwrap().unwrap(), 0);
        assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 1);
        assert!(pool.close().await.is_clean());
    });
}

/// While lookups are quick, one reader runs them all. One that takes long does not keep those behind it.
#[test]
fn a_lookup_behind_a_long_query_is_taken_by_another_reader() {
    on_both_runtimes(|| async {
        for readers in [2, 1] {
            let (_dir, pool) = pool(readers).await;
            for _ in 0..20 {
                let lookups = (0..100).map(|_| pool.query_one::<i64>("SELECT 1", ()));
                for lookup in lookups {
                    lookup.await.unwrap();
                }
                let spawn = |sql| {
                    let pool = pool.clone();
                    tokio::spawn(async move { pool.query_one::<i64>(sql, ()).await })
                };
                let long = spawn(ENDLESS);
                let lookups: Vec<_> = (0..8).map(|_| spawn("SELECT 1")).collect();
                let time = Duration::from_millis(if readers == 1 { 20 } else { 10_000 });
                for lookup in lookups {
                    let is_answered = tokio::time::timeout(time, lookup).await.is_ok();
                    // The control: without another reader, it waits, if the long query was first.
                    assert!(is_answered || readers == 1);
                }
                assert!(!long.is_finished());
                long.abort();
                pool.idle().await;
            }
            assert!(pool.close().await.is_clean());
        }
    });
}

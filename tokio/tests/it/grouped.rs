//! Statements of several calls that are committed together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use finalite::pool::{Pool as SyncPool, Role};
use finalite::{ErrorKind, Result};
use finalite_tokio::Pool;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{count, on_both_runtimes};

const SCHEMA: &str = "CREATE TABLE t(a UNIQUE);
    CREATE TABLE parent(id INTEGER PRIMARY KEY);
    CREATE TABLE child(id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER refuses BEFORE INSERT ON t WHEN new.a = 'all' BEGIN SELECT RAISE(ROLLBACK, 'all or nothing'); END";

/// A pool that counts its commits.
async fn pool() -> (TempDir, Pool, Arc<AtomicU64>) {
    let dir = tempfile::tempdir().unwrap();
    let commits = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commits);
    let init = move |conn: &mut finalite::Connection| {
        let counted = Arc::clone(&counted);
        conn.on_commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .map(finalite::extend::Subscription::keep)
    };
    let builder = SyncPool::builder(dir.path().join("a.db")).readers(1).init(init);
    let pool = Pool::open(builder).await.unwrap();
    pool.execute_batch(SCHEMA).await.unwrap();
    pool.idle().await;
    (dir, pool, commits)
}

/// Calls that wait behind one that lasts until the sender is dropped.
async fn behind(pool: &Pool, sqls: &[&'static str]) -> (mpsc::Sender<()>, Vec<JoinHandle<Result<usize>>>) {
    let (release, released) = mpsc::channel::<()>();
    let first = pool.clone();
    tokio::spawn(async move { first.write(move |_| Ok(released.recv().is_ok())).await });
    while pool.status().role(Role::Writer).checked_out.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut calls = Vec::new();
    for sql in sqls {
        let (pool, sql, waiting) = (pool.clone(), *sql, calls.len() + 1);
        let of = pool.clone();
        calls.push(tokio::spawn(async move { pool.execute_grouped(sql, ()).await }));
        while of.status().role(Role::Writer).waiting < waiting {
            tokio::task::yield_now().await;
        }
    }
    (release, calls)
}

async fn ended(calls: Vec<JoinHandle<Result<usize>>>) -> Vec<Result<usize>> {
    let mut all = Vec::new();
    for call in calls {
        all.push(call.await.unwrap());
    }
    all
}

#[test]
fn calls_that_wait_are_committed_together() {
    on_both_runtimes(|| async {
        let (_dir, pool, commits) = pool().await;
        let (release, calls) =
            behind(&pool, &["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), (3)", "DELETE FROM t"]).await;
        let before = commits.load(Ordering::SeqCst);
        drop(release);
        let rows: Vec<usize> = ended(calls).await.into_iter().map(Result::unwrap).collect();
        // In their order.
        assert_eq!(rows, [1, 2, 3]);
        assert!(commits.load(Ordering::SeqCst) <= before + 2, "one of them, and one of the first call");
        assert_eq!(count(&pool).await, 0);
        assert!(pool.close().await.is_clean());
    });
}

/// The outcome of each is that of a call of its own, whatever the others do.
#[test]
fn each_has_the_outcome_that_it_has_alone() {
    let scripts: &[&[&str]] = &[
        &["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"],
        &["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), ('all')", "INSERT INTO t VALUES (3)"],
        &["INSERT INTO t VALUES (1)", "INSERT OR ROLLBACK INTO t VALUES (2), (1)", "INSERT INTO t VALUES (3)"],
        &["INSERT INTO t VALUES (1)", "INSERT OR FAIL INTO t VALUES (2), (1)", "INSERT INTO t VALUES (3)"],
        // A later statement would make good for the deferred key.
        &["INSERT INTO t VALUES (1)", "INSERT INTO child VALUES (7)", "INSERT INTO parent VALUES (7)"],
        &["INSERT INTO parent VALUES (7)", "INSERT INTO child VALUES (7)", "INSERT INTO t VALUES (1)"],
        &["INSERT INTO t VALUES (1)", "COMMIT", "INSERT INTO t VALUES (2)"],
        &["INSERT INTO t VALUES (1)", "VACUUM", "PRAGMA user_version = 5", "INSERT INTO t VALUES (2)"],
        &["INSERT INTO t VALUES (1)", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (2)"],
        &[
            "INSERT INTO t VALUES (1)",
            "syntax error",
            "SELECT 1",
            "",
            "INSERT INTO t VALUES (2); INSERT INTO t VALUES (3)",
        ],
    ];
    on_both_runtimes(|| async {
        for script in scripts {
            let (_dir, alone, _) = pool().await;
            let mut expected = Vec::new();
            for sql in *script {
                expected.push(alone.execute(*sql, ()).await.map_err(|error| error.to_string()));
            }
            let (_other_dir, pool, _) = pool().await;
            let (release, calls) = behind(&pool, script).await;
            drop(release);
            let found: Vec<_> =
                ended(calls).await.into_iter().map(|result| result.map_err(|error| error.to_string())).collect();
            assert_eq!(found, expected, "{script:?}");
            let rows = "SELECT group_concat(a) FROM (SELECT a FROM t UNION ALL SELECT id FROM child ORDER BY 1)";
            let stored = [&alone, &pool].map(|pool| pool.query_one::<Option<String>>(rows, ()));
            let [expected, found] = stored;
            assert_eq!(found.await.unwrap(), expected.await.unwrap(), "{script:?}");
        }
    });
}

#[test]
fn a_dropped_call_takes_nothing_from_the_others() {
    on_both_runtimes(|| async {
        let (_dir, pool, _) = pool().await;
        let endless =
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let (release, calls) = behind(&pool, &["INSERT INTO t VALUES (1)", endless, "INSERT INTO t VALUES (2)"]).await;
        drop(release);
        tokio::time::sleep(Duration::from_millis(30)).await;
        calls[1].abort();
        let mut calls = calls.into_iter();
        let (first, dropped, last) = (calls.next().unwrap(), calls.next().unwrap(), calls.next().unwrap());
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert!(dropped.await.unwrap_err().is_cancelled());
        assert_eq!(last.await.unwrap().unwrap(), 1);
        assert_eq!(count(&pool).await, 2);
        pool.idle().await;
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_deadline_ends_its_own_call_alone() {
    on_both_runtimes(|| async {
        let (_dir, pool, _) = pool().await;
        let (release, mut calls) = behind(&pool, &["INSERT INTO t VALUES (1)"]).await;
        let late = pool.with_deadline(Duration::from_millis(100));
        let endless =
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let ends = tokio::spawn(async move { late.execute_grouped(endless, ()).await });
        while pool.status().role(Role::Writer).waiting < 2 {
            tokio::task::yield_now().await;
        }
        let last = pool.clone();
        calls.push(tokio::spawn(async move { last.execute_grouped("INSERT INTO t VALUES (2)", ()).await }));
        drop(release);
        assert!(ended(calls).await.into_iter().all(|result| result.unwrap() == 1));
        assert!(ends.await.unwrap().unwrap_err().is_deadline());
        assert_eq!(count(&pool).await, 2);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn closing_now_ends_a_group_and_stores_nothing_of_it() {
    on_both_runtimes(|| async {
        let (dir, pool, _) = pool().await;
        let endless =
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let (release, calls) = behind(&pool, &["INSERT INTO t VALUES (1)", endless, "INSERT INTO t VALUES (2)"]).await;
        drop(release);
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(pool.close_now().await.is_clean());
        for result in ended(calls).await {
            let error = result.unwrap_err();
            assert!(error.is_interrupted() || matches!(error.kind(), ErrorKind::PoolClosed), "{error}");
        }
        let conn = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    });
}

/// Every other future is dropped at some moment: what was answered is stored, once, and what was not may be.
#[test]
fn what_was_answered_is_stored_once() {
    on_both_runtimes(|| async {
        let (_dir, pool, _) = pool().await;
        let calls: Vec<_> = (0..400_u64)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    // One in ten fails.
                    let value = if n % 10 == 9 { n - 1 } else { n };
                    let call = pool.execute_grouped("INSERT INTO t VALUES (?)", (value.cast_signed(),));
                    let patience = Duration::from_micros(if n % 2 == 0 { 10_000_000 } else { n * 20 });
                    (value, tokio::time::timeout(patience, call).await)
                })
            })
            .collect();
        let mut answered = 0;
        for call in calls {
            let (value, result) = call.await.unwrap();
            match result {
                Ok(Ok(rows)) => {
                    assert_eq!(rows, 1);
                    answered += 1;
                    let stored = pool.query_one::<i64>("SELECT count(*) FROM t WHERE a = ?", (value.cast_signed(),));
                    assert_eq!(stored.await.unwrap(), 1);
                }
                Ok(Err(error)) => assert!(error.constraint().is_some(), "{error}"),
                Err(_) => {}
            }
        }
        pool.idle().await;
        assert!(answered >= 200 && count(&pool).await >= answered, "{answered} answered");
        assert!(pool.close().await.is_clean());
    });
}

//! Statements of several calls that are committed together.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use finalite::pool::{Pool as SyncPool, Role};
use finalite::{ErrorKind, Result};
use finalite_tokio::Pool;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{count, on_both_runtimes};

const ENDLESS_INSERT: &str =
    "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT begins() UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

const SCHEMA: &str = "CREATE TABLE t(a UNIQUE);
    CREATE TABLE parent(id INTEGER PRIMARY KEY);
    CREATE TABLE child(id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER refuses BEFORE INSERT ON t WHEN new.a = 'all' BEGIN SELECT RAISE(ROLLBACK, 'all or nothing'); END";

/// Numbers of commits, and of endless statements that have begun.
#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    begun: AtomicU64,
}

async fn pool() -> (TempDir, Pool, Arc<Counts>) {
    let dir = tempfile::tempdir().unwrap();
    let counts = Arc::new(Counts::default());
    let counted = Arc::clone(&counts);
    let init = move |conn: &mut finalite::Connection| {
        let [commits, begun] = [(); 2].map(|()| Arc::clone(&counted));
        conn.create_scalar_function("begins", move || -> Result<i64> {
            Ok(begun.begun.fetch_add(1, Ordering::SeqCst).cast_signed())
        })?;
        conn.on_commit(move || {
            commits.commits.fetch_add(1, Ordering::SeqCst);
        })
        .map(finalite::extend::Subscription::keep)
    };
    let builder = SyncPool::builder(dir.path().join("a.db")).readers(1).init(init);
    let pool = Pool::open(builder).await.unwrap();
    pool.execute_batch(SCHEMA).await.unwrap();
    pool.idle().await;
    (dir, pool, counts)
}

/// Calls that wait behind one that lasts until the sender is dropped.
pub async fn behind<S: Into<Cow<'static, str>> + Clone>(
    pool: &Pool,
    sqls: &[S],
) -> (mpsc::Sender<()>, Vec<JoinHandle<Result<usize>>>) {
    let (release, released) = mpsc::channel::<()>();
    let first = pool.clone();
    tokio::spawn(async move { first.write(move |_| Ok(released.recv().is_ok())).await });
    (release, waiting(pool, sqls).await)
}

/// Calls that wait, one behind the other, for the call of the writer that has been made.
async fn waiting<S: Into<Cow<'static, str>> + Clone>(pool: &Pool, sqls: &[S]) -> Vec<JoinHandle<Result<usize>>> {
    while pool.status().role(Role::Writer).checked_out.is_empty() {
        tokio::task::yield_now().await;
    }
    let mut calls = Vec::new();
    for sql in sqls {
        let (pool, sql, waiting) = (pool.clone(), sql.clone().into(), calls.len() + 1);
        let of = pool.clone();
        calls.push(tokio::spawn(async move { pool.execute_grouped(sql, ()).await }));
        while of.status().role(Role::Writer).waiting < waiting {
            tokio::task::yield_now().await;
        }
    }
    calls
}

pub async fn ended(calls: Vec<JoinHandle<Result<usize>>>) -> Vec<Result<usize>> {
    let mut all = Vec::new();
    for call in calls {
        all.push(call.await.unwrap());
    }
    all
}

/// Preparing a statement that writes a virtual table may read that, and SQLite does not wait where a transaction has read.
#[test]
fn a_first_statement_waits_for_the_lock_of_another_connection() {
    on_both_runtimes(|| async {
        for insert in ["INSERT INTO plain VALUES ('a')", "INSERT INTO indexed VALUES ('a')"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.db");
            let (release, released) = mpsc::channel::<()>();
            let released = Arc::new(std::sync::Mutex::new(released));
            let init = move |conn: &mut finalite::Connection| {
                let released = Arc::clone(&released);
                conn.create_scalar_function("waits", move || -> Result<bool> {
                    Ok(released.lock().unwrap().recv().is_ok())
                })?;
                Ok(())
            };
            let pool = Pool::open(SyncPool::builder(&path).readers(1).init(init)).await.unwrap();
            let other = finalite::Connection::open(&path).unwrap();
            // The pool's connection has not read them.
            other.execute_batch("CREATE TABLE plain(a); CREATE VIRTUAL TABLE indexed USING fts5(a)").unwrap();
            let first = pool.clone();
            tokio::spawn(async move { first.execute("SELECT waits()", ()).await });
            let calls = waiting(&pool, &[insert; 2]).await;
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            drop(release);
            tokio::time::sleep(Duration::from_millis(200)).await;
            other.execute_batch("ROLLBACK").unwrap();
            for outcome in ended(calls).await {
                assert_eq!(outcome.unwrap(), 1, "{insert}");
            }
            assert!(pool.close().await.is_clean());
        }
    });
}

#[test]
fn calls_that_wait_are_committed_together() {
    on_both_runtimes(|| async {
        let (_dir, pool, counts) = pool().await;
        let (release, calls) =
            behind(&pool, &["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), (3)", "DELETE FROM t"]).await;
        let before = counts.commits.load(Ordering::SeqCst);
        drop(release);
        let rows: Vec<usize> = ended(calls).await.into_iter().map(Result::unwrap).collect();
        // In their order.
        assert_eq!(rows, [1, 2, 3]);
        assert!(counts.commits.load(Ordering::SeqCst) <= before + 2, "one of them, and one of the first call");
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
        // Nobody finds what another call has left on the connection.
        &["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (last_insert_rowid())", "INSERT INTO t VALUES (2)"],
        &["INSERT INTO t VALUES (1)", "CREATE TEMP TABLE mine(a)", "INSERT INTO mine VALUES (1)"],
        &["INSERT INTO t VALUES (1)", "PRAGMA recursive_triggers = 1", "INSERT INTO t VALUES (2)"],
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
        let (release, calls) =
            behind(&pool, &["INSERT INTO t VALUES (1)", ENDLESS_INSERT, "INSERT INTO t VALUES (2)"]).await;
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
        let ends = tokio::spawn(async move { late.execute_grouped(ENDLESS_INSERT, ()).await });
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
fn closing_now_ends_what_was_not_answered() {
    on_both_runtimes(|| async {
        let (dir, pool, counts) = pool().await;
        let (release, calls) =
            behind(&pool, &["INSERT INTO t VALUES (1)", ENDLESS_INSERT, "INSERT INTO t VALUES (2)"]).await;
        drop(release);
        // Alone.
        while counts.begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(pool.close_now().await.is_clean());
        let results = ended(calls).await;
        assert_eq!(*results[0].as_ref().unwrap(), 1);
        assert!(results[1].as_ref().unwrap_err().is_interrupted());
        assert!(matches!(results[2].as_ref().unwrap_err().kind(), ErrorKind::PoolClosed));
        let conn = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    });
}

/// The limits of a call that waits are kept while the statement of another one runs.
#[test]
fn a_deadline_is_kept_while_the_statement_of_another_call_runs() {
    on_both_runtimes(|| async {
        let (_dir, pool, _) = pool().await;
        let (release, calls) = behind(&pool, &[ENDLESS_INSERT]).await;
        let late = pool.with_deadline(Duration::from_millis(50));
        let ends = tokio::spawn(async move { late.execute_grouped("INSERT INTO t VALUES (1)", ()).await });
        drop(release);
        assert!(ends.await.unwrap().unwrap_err().is_deadline());
        assert!(!calls[0].is_finished());
        calls[0].abort();
        pool.idle().await;
        assert_eq!(count(&pool).await, 0);
        assert!(pool.close().await.is_clean());
    });
}

/// A statement that takes longer than the transaction may last holds up nobody who was before it, and nothing runs more
/// than twice: those that are dropped while they wait have no part in it.
#[test]
fn a_long_statement_runs_alone_and_is_not_begun_again_for_others() {
    on_both_runtimes(|| async {
        let (_dir, pool, counts) = pool().await;
        let (release, calls) = behind(
            &pool,
            &["INSERT INTO t VALUES (1)", ENDLESS_INSERT, "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)"],
        )
        .await;
        drop(release);
        let mut calls = calls.into_iter();
        let (first, long) = (calls.next().unwrap(), calls.next().unwrap());
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(count(&pool).await, 1);
        // Once with the first one, and once alone.
        while counts.begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        for waiting in calls {
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!long.is_finished());
        assert_eq!(counts.begun.load(Ordering::SeqCst), 2);
        long.abort();
        pool.idle().await;
        assert_eq!(count(&pool).await, 1);
        assert!(pool.close().await.is_clean());
    });
}

/// Every other future is dropped at some moment: what was answered is stored, once, and what was not is stored once or not
/// at all.
#[test]
fn what_was_answered_is_stored_once() {
    on_both_runtimes(|| async {
        let (_dir, pool, counts) = pool().await;
        pool.execute("CREATE TABLE log(a CHECK (a % 200 <> 199))", ()).await.unwrap();
        let before = counts.commits.load(Ordering::SeqCst);
        let calls: Vec<_> = (0..400_i64)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let call = pool.execute_grouped("INSERT INTO log VALUES (?)", (n,));
                    let patience = if n % 2 == 0 { 10_000_000 } else { n.unsigned_abs() * 20 };
                    tokio::time::timeout(Duration::from_micros(patience), call).await
                })
            })
            .collect();
        let (mut answered, mut in_doubt) = (BTreeSet::new(), BTreeSet::new());
        for (n, call) in (0..400_i64).zip(calls) {
            match call.await.unwrap() {
                Ok(Ok(rows)) => assert!(rows == 1 && answered.insert(n)),
                Ok(Err(error)) => assert!(error.constraint().is_some() && n % 200 == 199, "{n}: {error}"),
                Err(_) => assert!(n % 2 == 1 && in_doubt.insert(n)),
            }
        }
        pool.idle().await;
        let stored: Vec<i64> = pool.query_all("SELECT a FROM log ORDER BY a", ()).await.unwrap();
        let once: BTreeSet<i64> = stored.iter().copied().collect();
        assert_eq!(once.len(), stored.len(), "some are stored twice");
        assert!(answered.is_subset(&once), "some are lost");
        assert!(once.difference(&answered).all(|n| in_doubt.contains(n)));
        assert!((0..400).step_by(2).all(|n| answered.contains(&n)));
        // The control: transactions were shared.
        let commits = counts.commits.load(Ordering::SeqCst) - before;
        assert!(commits < stored.len() as u64, "{commits} commits of {} rows", stored.len());
        assert!(pool.close().await.is_clean());
    });
}

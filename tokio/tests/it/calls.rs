//! Calls that are awaited to their end.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use finalite::pool::{DestroyReason, Role};
use finalite::{ErrorKind, Value};

use super::{ENDLESS, count, on_both_runtimes, pool};

#[derive(Debug)]
enum AppError {
    Overdrawn,
    Database(finalite::Error),
}

impl From<finalite::Error> for AppError {
    fn from(error: finalite::Error) -> Self {
        Self::Database(error)
    }
}

/// Call sites as programs have them.
#[test]
fn parameters_are_owned_and_written_as_in_the_sync_pool() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(2).await;
        pool.execute("CREATE TABLE user(id INTEGER PRIMARY KEY, name TEXT, mail TEXT, photo BLOB, score REAL)", ())
            .await
            .unwrap();
        let (id, name, photo) = (1_i64, String::from("Ada"), vec![1_u8, 2, 3]);
        let mail: Option<String> = None;
        let insert = "INSERT INTO user VALUES (?, ?, ?, ?, ?)";
        assert_eq!(pool.execute(insert, (id, name.clone(), mail, photo, 0.5)).await.unwrap(), 1);
        assert_eq!(pool.execute(insert, (2, "Grace", Some("g@example.com"), None::<Vec<u8>>, 1.5)).await.unwrap(), 1);
        let values = vec![Value::Integer(3), Value::Text("Alan".into()), Value::Null, Value::Null, Value::Real(2.5)];
        assert_eq!(pool.execute(insert, finalite::params_from_iter(values)).await.unwrap(), 1);
        let found: (i64, String) = pool.query_one("SELECT id, name FROM user WHERE name = ?", (name,)).await.unwrap();
        assert_eq!(found, (1, "Ada".into()));
        let order = "score";
        let sql = format!("SELECT name FROM user WHERE id > :id ORDER BY {order} DESC LIMIT :limit");
        let named = finalite::named_params_from_iter([(":id", 1_i64), (":limit", 10)]);
        assert_eq!(pool.query_all::<String>(sql, named).await.unwrap(), ["Alan", "Grace"]);
        let borrowed: Cow<'static, str> = Cow::Borrowed("SELECT mail FROM user WHERE id = ?");
        let mail = pool.query_optional::<Option<String>>(borrowed, (2,)).await.unwrap();
        assert_eq!(mail, Some(Some("g@example.com".into())));
        assert_eq!(pool.query_optional::<i64>("SELECT id FROM user WHERE id = ?", [9]).await.unwrap(), None);
        assert_eq!(pool.query_one::<i64>("SELECT count(*) FROM user", ()).await.unwrap(), 3);
        let error = pool.query_one::<i64>("SELECT id FROM user WHERE name = ?", ("secret",)).await.unwrap_err();
        assert!(error.is_no_rows() && !format!("{error:?}").contains("secret"));
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_write_is_seen_by_the_next_read() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(3).await;
        for n in 1..=200 {
            pool.write(move |tx| tx.execute("INSERT INTO t VALUES (?)", (n,))).await.unwrap();
            assert_eq!(count(&pool).await, n);
        }
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn the_callers_error_is_returned_and_nothing_stored() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let drawn = pool
            .write_and_then(|tx| {
                tx.execute("INSERT INTO t VALUES (1)", ())?;
                if tx.query_one::<i64>("SELECT count(*) FROM t", ())? == 1 { Err(AppError::Overdrawn) } else { Ok(()) }
            })
            .await;
        assert!(matches!(drawn, Err(AppError::Overdrawn)));
        let missing =
            pool.read_and_then(|conn| Ok::<i64, AppError>(conn.query_one("SELECT a FROM nothing", ())?)).await;
        assert!(matches!(missing, Err(AppError::Database(error)) if error.sql() == Some("SELECT a FROM nothing")));
        assert_eq!(count(&pool).await, 0);
    });
}

#[test]
fn a_write_that_meets_a_lock_runs_again() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(1).await;
        let other = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let write = pool.write(move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            tx.execute("INSERT INTO t VALUES (1)", ())
        });
        let release = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(runs.load(Ordering::SeqCst), 0);
            other.execute_batch("COMMIT").unwrap();
        };
        let (written, ()) = tokio::join!(write, release);
        assert_eq!((written.unwrap(), count(&pool).await), (1, 1));
    });
}

#[test]
fn a_panic_is_resumed_in_the_task_and_its_connection_closed() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for (role, is_write) in [(Role::Reader, false), (Role::Writer, true)] {
            let call = async {
                if is_write {
                    pool.write(|tx| -> finalite::Result<()> {
                        tx.execute("INSERT INTO t VALUES (1)", ())?;
                        std::panic::resume_unwind(Box::new("on purpose"))
                    })
                    .await
                } else {
                    pool.read(|_| std::panic::resume_unwind(Box::new("on purpose"))).await
                }
            };
            let panic = futures_catch(call).await.unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"on purpose"), "{role}");
        }
        assert_eq!(pool.status().destroyed(DestroyReason::Panicked), 2);
        assert_eq!(count(&pool).await, 0);
        assert!(pool.close().await.is_clean());
    });
}

/// Polls a future to its end, or to its panic.
async fn futures_catch<T>(future: impl Future<Output = T>) -> std::thread::Result<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|task| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}

#[test]
fn a_call_waits_no_longer_than_the_pool_allows() {
    on_both_runtimes(|| async {
        let dir = tempfile::tempdir().unwrap();
        let builder = finalite::pool::Pool::builder(dir.path().join("a.db")).readers(1);
        let pool = finalite_tokio::Pool::open(builder.acquire_timeout(Duration::from_millis(40))).await.unwrap();
        let blocker = tokio::spawn({
            let pool = pool.clone();
            async move { pool.query_one::<i64>(ENDLESS, ()).await }
        });
        while pool.status().role(Role::Reader).checked_out.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let error = pool.query_one::<i64>("SELECT 1", ()).await.unwrap_err();
        let ErrorKind::PoolTimeout { role, waited, checked_out, .. } = error.kind() else { panic!("{error}") };
        assert_eq!((*role, checked_out.len()), ("reader", 1));
        assert!(*waited >= Duration::from_millis(40));
        // The deadline comes before the time-out.
        let error = pool.with_deadline(Duration::from_millis(5)).query_one::<i64>("SELECT 1", ()).await.unwrap_err();
        assert!(error.is_deadline(), "{error}");
        blocker.abort();
        assert!(blocker.await.unwrap_err().is_cancelled());
        pool.idle().await;
        assert_eq!(pool.query_one::<i64>("SELECT 1", ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_deadline_ends_what_runs_and_waits() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(1).await;
        let hurried = pool.with_deadline(Duration::from_millis(30));
        assert!(hurried.query_one::<i64>(ENDLESS, ()).await.unwrap_err().is_deadline());
        let other = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = hurried.execute("INSERT INTO t VALUES (1)", ()).await.unwrap_err();
        assert!(error.is_deadline(), "{error}");
        let error = hurried.write(|tx| tx.execute("INSERT INTO t VALUES (1)", ())).await.unwrap_err();
        assert!(error.is_deadline(), "{error}");
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(count(&pool).await, 0);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_pool_without_readers_says_so() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(0).await;
        let error = pool.query_one::<i64>("SELECT 1", ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn many_calls_at_once_need_few_threads() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(2).await;
        let calls: Vec<_> = (0..500_i64)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    if n % 5 == 0 {
                        pool.execute("INSERT INTO t VALUES (?)", (n,)).await.map(|_| n)
                    } else {
                        pool.query_one::<i64>("SELECT ?", (n,)).await
                    }
                })
            })
            .collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap().unwrap(), n as i64);
        }
        assert_eq!(count(&pool).await, 100);
        assert!(pool.close().await.is_clean());
    });
}

/// Answers are kept for a moment while other calls wait, and given although the next call does not end.
#[test]
fn an_answer_is_given_while_the_next_call_runs() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for _ in 0..10 {
            let (release, released) = mpsc::channel::<()>();
            let first = pool.clone();
            tokio::spawn(async move { first.write(move |_| Ok(released.recv().is_ok())).await });
            while pool.status().role(Role::Writer).checked_out.is_empty() {
                tokio::task::yield_now().await;
            }
            let call = |sql: &str| {
                let sql = sql.to_owned();
                let pool = pool.clone();
                tokio::spawn(async move { pool.execute(sql, ()).await })
            };
            let wait = async |waiting: usize| {
                while pool.status().role(Role::Writer).waiting < waiting {
                    tokio::task::yield_now().await;
                }
            };
            let answered: Vec<_> = (0..7).map(|_| call("INSERT INTO t VALUES (1)")).collect();
            wait(7).await;
            let endless = call(&format!("INSERT INTO t {ENDLESS}"));
            wait(8).await;
            let behind: Vec<_> = (0..16).map(|_| call("INSERT INTO t VALUES (2)")).collect();
            wait(24).await;
            drop(release);
            for call in answered {
                let answer = tokio::time::timeout(Duration::from_secs(20), call).await;
                assert_eq!(answer.expect("it is kept for ever").unwrap().unwrap(), 1);
            }
            assert!(!endless.is_finished());
            endless.abort();
            for call in behind {
                assert_eq!(call.await.unwrap().unwrap(), 1);
            }
        }
        assert!(pool.close().await.is_clean());
    });
}

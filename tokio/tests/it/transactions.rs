//! Transactions that live across awaits.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use finalite::ErrorKind;
use finalite::pool::{DestroyReason, Role};

use super::{ENDLESS, count, on_both_runtimes, pool};

#[test]
fn a_transaction_is_seen_when_it_is_committed() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(2).await;
        let mut tx = pool.begin().await.unwrap();
        assert_eq!(tx.execute("INSERT INTO t VALUES (?)", (1,)).await.unwrap(), 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), 1);
        assert_eq!(tx.query_all::<i64>("SELECT a FROM t", ()).await.unwrap(), [1]);
        assert_eq!(tx.query_optional::<i64>("SELECT a FROM t WHERE a = 2", ()).await.unwrap(), None);
        assert_eq!(count(&pool).await, 0);
        tx.commit().await.unwrap();
        assert!(pool.status().role(Role::Writer).checked_out.is_empty());
        assert_eq!(count(&pool).await, 1);
        let mut tx = pool.begin().await.unwrap();
        tx.execute("DELETE FROM t", ()).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(count(&pool).await, 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_transaction_that_reads_has_one_state() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(2).await;
        let mut tx = pool.begin_read().await.unwrap();
        pool.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), 0);
        assert!(tx.execute("INSERT INTO t VALUES (2)", ()).await.is_err());
        tx.rollback().await.unwrap();
        assert_eq!(count(&pool).await, 1);
    });
}

#[test]
fn a_dropped_transaction_is_rolled_back_before_the_next_begins() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for _ in 0..50 {
            let mut tx = pool.begin().await.unwrap();
            tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
            drop(tx);
            let mut tx = pool.begin().await.unwrap();
            assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), 0);
        }
        pool.idle().await;
        assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_dropped_call_ends_its_transaction() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut tx = pool.begin().await.unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        let call = tx.query_one::<i64>(ENDLESS, ());
        assert!(tokio::time::timeout(Duration::from_millis(10), call).await.is_err());
        let error = tx.execute("INSERT INTO t VALUES (2)", ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
        // The writer is free already.
        pool.execute("INSERT INTO t VALUES (3)", ()).await.unwrap();
        assert!(tx.commit().await.is_err());
        assert_eq!(pool.query_all::<i64>("SELECT a FROM t", ()).await.unwrap(), [3]);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn an_error_leaves_the_transaction_open() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut tx = pool.begin().await.unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        tx.execute("INSERT INTO nothing VALUES (1)", ()).await.unwrap_err();
        let inner = tx
            .run(|tx| {
                let savepoint = tx.savepoint()?;
                savepoint.execute("INSERT INTO t VALUES (2)", ())?;
                savepoint.rollback()
            })
            .await;
        inner.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&pool).await, 1);
    });
}

#[test]
fn a_panic_ends_the_transaction_and_closes_its_connection() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let clone = pool.clone();
        let task = tokio::spawn(async move {
            let mut tx = clone.begin().await.unwrap();
            tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
            tx.run(|_| -> finalite::Result<()> { std::panic::resume_unwind(Box::new("on purpose")) }).await
        });
        let panic = task.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        pool.idle().await;
        assert_eq!(pool.status().destroyed(DestroyReason::Panicked), 1);
        assert_eq!(count(&pool).await, 0);
        pool.execute("INSERT INTO t VALUES (2)", ()).await.unwrap();
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_dropped_begin_takes_nothing() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        for wait in 0..20 {
            let first = pool.begin().await.unwrap();
            let second = tokio::time::timeout(Duration::from_micros(wait * 100), pool.begin());
            assert!(second.await.is_err());
            drop(first);
            drop(tokio::time::timeout(Duration::from_micros(wait * 10), pool.begin()).await);
            pool.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        }
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_deadline_is_that_of_the_transaction() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut tx = pool.with_deadline(Duration::from_millis(40)).begin().await.unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(45)).await;
        // Nothing ran at the deadline, and the writer is free.
        pool.execute("DELETE FROM t", ()).await.unwrap();
        assert!(tx.execute("INSERT INTO t VALUES (2)", ()).await.unwrap_err().is_deadline());
        assert!(tx.commit().await.is_err());
        assert_eq!(count(&pool).await, 0);
    });
}

#[test]
fn closing_now_ends_a_transaction_and_closing_waits() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut tx = pool.begin().await.unwrap();
        tx.execute("INSERT INTO t VALUES (1)", ()).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(5), pool.close()).await.is_err());
        tx.execute("INSERT INTO t VALUES (2)", ()).await.unwrap();
        assert!(pool.close_now().await.is_clean());
        assert!(tx.execute("INSERT INTO t VALUES (3)", ()).await.is_err());
        drop(tx);
    });
}

#[test]
fn a_transaction_that_cannot_begin_returns_its_error_however_often_it_is_polled() {
    on_both_runtimes(|| async {
        let (dir, pool) = pool(1).await;
        let other = finalite::Connection::open(dir.path().join("a.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..200 {
            let late = pool.with_deadline(Duration::from_millis(1));
            // Also between the failure and the return of the connection, which tokio's budget of polls would skip.
            let mut begin = pin!(tokio::task::unconstrained(late.begin()));
            let result = loop {
                let mut task = Context::from_waker(Waker::noop());
                if let Poll::Ready(result) = begin.as_mut().poll(&mut task) {
                    break result;
                }
                std::hint::spin_loop();
            };
            assert!(result.unwrap_err().is_deadline());
        }
        other.execute_batch("ROLLBACK").unwrap();
        pool.begin().await.unwrap().rollback().await.unwrap();
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn savepoints_live_across_awaits() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut tx = pool.begin().await.unwrap();
        tx.execute_batch("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await.unwrap();
        for (n, is_kept) in [(3, true), (4, false), (5, true)] {
            tx.savepoint("an \"odd\" name").await.unwrap();
            tx.execute("INSERT INTO t VALUES (?)", (n,)).await.unwrap();
            if !is_kept {
                tx.rollback_to("an \"odd\" name").await.unwrap();
            }
            tx.release("an \"odd\" name").await.unwrap();
        }
        assert!(tx.release("none").await.is_err());
        assert!(tx.exists("SELECT 1 FROM t WHERE a = 5", ()).await.unwrap());
        assert!(!tx.exists("SELECT 1 FROM t WHERE a = 4", ()).await.unwrap());
        // An error of a statement, and the statements before it stay.
        assert!(tx.execute_batch("INSERT INTO t VALUES (6); INSERT INTO missing VALUES (7)").await.is_err());
        tx.commit().await.unwrap();
        assert_eq!(pool.query_all::<i64>("SELECT a FROM t ORDER BY a", ()).await.unwrap(), [1, 2, 3, 5, 6]);
        assert!(pool.exists("SELECT 1 FROM t WHERE a = 6", ()).await.unwrap());
        // One that is open at the end is committed, or undone, with the rest.
        let mut tx = pool.begin().await.unwrap();
        tx.savepoint("open").await.unwrap();
        tx.execute("DELETE FROM t", ()).await.unwrap();
        drop(tx);
        assert_eq!(count(&pool).await, 5);
        let mut tx = pool.begin().await.unwrap();
        tx.savepoint("open").await.unwrap();
        tx.execute("DELETE FROM t", ()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&pool).await, 0);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_script_cannot_end_the_transaction_unseen() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let mut tx = pool.begin().await.unwrap();
        let ended = tx.execute_batch("INSERT INTO t VALUES (1); COMMIT").await;
        let later = tx.execute("INSERT INTO t VALUES (2)", ()).await;
        assert!(ended.is_err() || later.is_err());
        drop(tx);
        assert!(count(&pool).await <= 1);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_transaction_that_would_wait_is_not_begun() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let tx = pool.begin().await.unwrap();
        assert!(pool.try_begin().await.unwrap().is_none());
        // Calls that wait are not passed.
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.execute("INSERT INTO t VALUES (1)", ()).await }
        });
        while pool.status().role(Role::Writer).waiting == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(pool.try_begin().await.unwrap().is_none());
        tx.rollback().await.unwrap();
        waiting.await.unwrap().unwrap();
        pool.idle().await;
        let mut tx = loop {
            // The worker may still be on its way to the queue.
            match pool.try_begin().await.unwrap() {
                Some(tx) => break tx,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        tx.execute("INSERT INTO t VALUES (2)", ()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&pool).await, 2);
        assert!(pool.close().await.is_clean());
        assert!(matches!(pool.try_begin().await.unwrap_err().kind(), ErrorKind::PoolClosed));
    });
}

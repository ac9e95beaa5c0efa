//! The calls that wait, and who has the connections, in the pool's status.

use std::sync::mpsc;
use std::time::Duration;

use finalite::ErrorKind;
use finalite::pool::{Pool as SyncPool, Role, RoleStatus};
use finalite_tokio::Pool;

use super::{count, on_both_runtimes, pool};

/// Occupies the writer until the returned sender is dropped. Returns the line of the call.
async fn occupy(pool: &Pool) -> (mpsc::Sender<()>, u32) {
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (mut begun, pool) = (Some(begun), pool.clone());
    let line = line!() + 2;
    tokio::spawn(async move {
        let write = pool.write(move |tx| {
            begun.take().map(|begun| begun.send(()));
            let _ = released.recv();
            tx.execute("INSERT INTO t VALUES (0)", ())
        });
        write.await
    });
    has_begun.await.unwrap();
    (release, line)
}

fn writer(pool: &Pool) -> RoleStatus {
    pool.status().role(Role::Writer).clone()
}

#[test]
fn calls_that_wait_are_counted_and_the_holder_is_named() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let before = writer(&pool);
        assert_eq!(before.waiting, 0);
        let (release, line) = occupy(&pool).await;
        let waiting: Vec<_> = (0..3)
            .map(|n| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.execute("INSERT INTO t VALUES (?)", (n,)).await })
            })
            .collect();
        while writer(&pool).waiting < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let now = writer(&pool);
        let [holder] = &now.checked_out[..] else { panic!("{now:?}") };
        assert!(holder.lent_at.file().ends_with("tests/it/status.rs"), "{}", holder.lent_at);
        assert_eq!(holder.lent_at.line(), line);
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(release);
        for call in waiting {
            call.await.unwrap().unwrap();
        }
        pool.idle().await;
        let after = writer(&pool);
        assert_eq!((after.waiting, after.timeouts_total), (0, 0));
        // A call that finds the thread on its way to the queue waits a moment, too.
        assert!(after.waits_total >= before.waits_total + 3, "{after:?}");
        assert!(after.wait_total >= Duration::from_millis(15), "{:?}", after.wait_total);
        assert_eq!(count(&pool).await, 4);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_call_that_times_out_is_counted_and_its_error_names_the_holder() {
    on_both_runtimes(|| async {
        let dir = tempfile::tempdir().unwrap();
        let builder = SyncPool::builder(dir.path().join("a.db")).readers(1).acquire_timeout(Duration::from_millis(20));
        let pool = Pool::open(builder).await.unwrap();
        pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
        let (release, line) = occupy(&pool).await;
        let error = pool.execute("INSERT INTO t VALUES (1)", ()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::PoolTimeout { .. }), "{error}");
        assert!(error.to_string().contains(&format!("tests/it/status.rs:{line}")), "{error}");
        let status = writer(&pool);
        assert_eq!((status.waiting, status.timeouts_total), (0, 1));
        assert!(status.waits_total >= 1 && status.wait_total >= Duration::from_millis(20), "{status:?}");
        drop(release);
        assert!(pool.close().await.is_clean());
    });
}

/// Each kind of call is lent a connection in the name of its caller.
#[test]
fn every_call_has_its_place_in_the_program() {
    on_both_runtimes(|| async {
        let (_dir, pool) = pool(1).await;
        let place = |role| {
            let status = pool.status();
            status.role(role).checked_out.iter().map(|holder| (holder.lent_at.file(), holder.lent_at.line())).next()
        };
        let here = |line| Some((file!(), line));
        let tx = pool.begin().await.unwrap();
        assert_eq!(place(Role::Writer), here(line!() - 1));
        tx.rollback().await.unwrap();
        // The thread is on its way to the queue.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let tx = pool.try_begin().await.unwrap().unwrap();
        assert_eq!(place(Role::Writer), here(line!() - 1));
        tx.rollback().await.unwrap();
        let tx = pool.begin_read().await.unwrap();
        assert_eq!(place(Role::Reader), here(line!() - 1));
        tx.rollback().await.unwrap();
        let mut stream = pool.stream::<i64>("SELECT value FROM json_each('[1, 2, 3]')", ());
        let line = line!() - 1;
        stream.next().await.unwrap().unwrap();
        // It may have ended already.
        let holder = place(Role::Reader);
        assert!(holder.is_none() || holder == here(line));
        drop(stream);
        pool.idle().await;
        let sync = pool.blocking().clone();
        let seen = pool.read(move |_| {
            let status = sync.status();
            Ok(status.role(Role::Reader).checked_out.iter().map(|holder| holder.lent_at.line()).next())
        });
        let line = line!() - 4;
        assert_eq!(seen.await.unwrap(), Some(line));
        assert!(pool.close().await.is_clean());
    });
}

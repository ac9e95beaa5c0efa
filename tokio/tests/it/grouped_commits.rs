//! Calls that share a transaction whose `COMMIT` goes wrong: nothing is stored twice.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use finalite::faults::{ArmedFault, Fault, Operation, Vfs};
use finalite::pool::{Pool as SyncPool, PoolBuilder, RetryPolicy, ReturnPolicy};
use finalite::vfs::{self, Memory};
use finalite::{Connection, OpenOptions, Result};
use finalite_tokio::Pool;
use tokio::task::{JoinError, JoinHandle};

use super::grouped::behind;
use super::{count, on_both_runtimes};

/// Number of calls that share a transaction.
const CALLS: usize = 3;

/// A statement that tells that it runs.
const INSERT: &str = "INSERT INTO t SELECT runs() FROM (VALUES (1))";

type OnCommit = Box<dyn FnMut() -> ControlFlow<()> + Send>;

/// What happens at the next `COMMIT`, and the number of statements that have run.
#[derive(Default)]
struct Surprise {
    commit: Mutex<Option<OnCommit>>,
    after: Mutex<Option<Box<dyn FnMut() + Send>>>,
    runs: AtomicU64,
}

impl Surprise {
    fn observe(self: &Arc<Self>, conn: &Connection) -> Result<()> {
        let [runs, commit, after] = [(); 3].map(|()| Arc::clone(self));
        conn.create_scalar_function("runs", move || -> Result<i64> {
            Ok(runs.runs.fetch_add(1, Ordering::SeqCst).cast_signed())
        })?;
        conn.on_commit(move || {
            // The call that the others wait for has run none.
            let surprise = if commit.runs() == 0 { None } else { commit.commit.lock().unwrap().take() };
            surprise.map_or(ControlFlow::Continue(()), |mut surprise| surprise())
        })?
        .keep();
        conn.on_wal(move |_| {
            let surprise = after.after.lock().unwrap().take();
            if let Some(mut surprise) = surprise {
                surprise();
            }
        })?
        .keep();
        Ok(())
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }
}

/// A pool, and calls that wait behind one that lasts until the sender is dropped.
async fn waiting(
    builder: PoolBuilder,
    surprise: &Arc<Surprise>,
    sqls: &[&'static str],
) -> (Pool, mpsc::Sender<()>, Vec<JoinHandle<Result<usize>>>) {
    let observed = Arc::clone(surprise);
    let pool = Pool::open(builder.readers(1).init(move |conn| observed.observe(conn))).await.unwrap();
    pool.execute("CREATE TABLE t(a)", ()).await.unwrap();
    let (release, calls) = behind(&pool, sqls).await;
    (pool, release, calls)
}

async fn ended(calls: Vec<JoinHandle<Result<usize>>>) -> Vec<std::result::Result<Result<usize>, JoinError>> {
    let mut all = Vec::new();
    for call in calls {
        all.push(call.await);
    }
    all
}

/// The transaction may have been stored, for all that is known.
#[test]
fn a_commit_that_fails_in_writing_is_every_calls_error() {
    on_both_runtimes(|| async {
        let disk = Vfs::new(Memory::new());
        let registration = vfs::register("grouped", disk.clone()).unwrap();
        let surprise = Arc::new(Surprise::default());
        let builder = SyncPool::builder("a.db").options(OpenOptions::recommended().vfs("grouped"));
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT; CALLS]).await;
        // All writes and syncs from the beginning of the `COMMIT` on.
        let armed: Arc<Mutex<Option<ArmedFault>>> = Arc::default();
        let (faulty, arms) = (disk.clone(), Arc::clone(&armed));
        *surprise.commit.lock().unwrap() = Some(Box::new(move || {
            *arms.lock().unwrap() = Some(faulty.arm(Fault::after(0, Operation::Write)));
            ControlFlow::Continue(())
        }));
        drop(release);
        for result in ended(calls).await {
            let error = result.unwrap().unwrap_err();
            assert_eq!(error.code_name(), Some("SQLITE_IOERR_WRITE"), "{error}");
        }
        // The control: it has failed, at the `COMMIT` of all.
        assert_eq!(armed.lock().unwrap().take().unwrap().disarm(), 1);
        assert_eq!(surprise.runs(), CALLS as u64, "it was run again");
        assert!(count(&pool).await <= CALLS as i64);
        assert_eq!(pool.execute_grouped(INSERT, ()).await.unwrap(), 1);
        assert!(pool.close().await.is_clean());
        drop(pool);
        registration.unregister().unwrap();
    });
}

#[test]
fn a_panic_after_the_commit_is_every_calls_and_stores_each_row_once() {
    on_both_runtimes(|| async {
        let (dir, surprise) = (tempfile::tempdir().unwrap(), Arc::new(Surprise::default()));
        let builder = SyncPool::builder(dir.path().join("a.db"));
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT; CALLS]).await;
        *surprise.after.lock().unwrap() = Some(Box::new(|| panic!("on purpose")));
        drop(release);
        for result in ended(calls).await {
            let panic = result.unwrap_err().into_panic();
            let message = panic.downcast_ref::<&str>().copied();
            assert_eq!(message.or(panic.downcast_ref::<String>().map(String::as_str)), Some("on purpose"));
        }
        assert_eq!(count(&pool).await, CALLS as i64);
        assert_eq!(surprise.runs(), CALLS as u64);
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn a_panic_before_the_commit_is_every_calls_and_stores_nothing() {
    on_both_runtimes(|| async {
        let (dir, surprise) = (tempfile::tempdir().unwrap(), Arc::new(Surprise::default()));
        let builder = SyncPool::builder(dir.path().join("a.db"));
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT; CALLS]).await;
        *surprise.commit.lock().unwrap() = Some(Box::new(|| panic!("on purpose")));
        drop(release);
        assert!(ended(calls).await.into_iter().all(|result| result.unwrap_err().is_panic()));
        assert_eq!((count(&pool).await, surprise.runs()), (0, CALLS as u64));
        assert!(pool.close().await.is_clean());
    });
}

#[test]
fn each_runs_alone_after_a_hook_has_refused() {
    on_both_runtimes(|| async {
        let (dir, surprise) = (tempfile::tempdir().unwrap(), Arc::new(Surprise::default()));
        let builder = SyncPool::builder(dir.path().join("a.db"));
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT; CALLS]).await;
        *surprise.commit.lock().unwrap() = Some(Box::new(|| ControlFlow::Break(())));
        drop(release);
        assert!(ended(calls).await.into_iter().all(|result| result.unwrap().unwrap() == 1));
        assert_eq!((count(&pool).await, surprise.runs()), (CALLS as i64, 2 * CALLS as u64));
        assert!(pool.close().await.is_clean());
    });
}

/// With a rollback journal, a reader prevents the `COMMIT`.
#[test]
fn each_runs_alone_after_a_lock_has_prevented_the_commit() {
    on_both_runtimes(|| async {
        let (dir, surprise) = (tempfile::tempdir().unwrap(), Arc::new(Surprise::default()));
        let path = dir.path().join("a.db");
        let options = OpenOptions::new().pragma("journal_mode", "delete").busy_timeout(Duration::from_millis(5));
        // The call that the others wait for is not committed, either.
        let builder = SyncPool::builder(&path).options(options).write_retry(RetryPolicy::none());
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT; CALLS]).await;
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        drop(release);
        assert!(ended(calls).await.into_iter().all(|result| result.unwrap().unwrap_err().is_busy()));
        assert_eq!(surprise.runs(), 2 * CALLS as u64);
        reader.execute_batch("COMMIT").unwrap();
        reader.close().unwrap();
        assert_eq!(pool.execute_grouped(INSERT, ()).await.unwrap(), 1);
        assert_eq!(count(&pool).await, 1);
        assert!(pool.close().await.is_clean());
    });
}

/// A statement that changes the connection panics where it runs alone, and nobody else's is run again after its `COMMIT`.
#[test]
fn a_changed_connection_panics_for_the_call_that_has_changed_it() {
    on_both_runtimes(|| async {
        let (dir, surprise) = (tempfile::tempdir().unwrap(), Arc::new(Surprise::default()));
        let builder = SyncPool::builder(dir.path().join("a.db")).on_return(ReturnPolicy::Panic);
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT, "CREATE TEMP TABLE mine(a)", INSERT]).await;
        drop(release);
        let outcomes: Vec<_> =
            ended(calls).await.into_iter().map(|result| result.map_err(|_| ()).map(Result::unwrap)).collect();
        assert_eq!(outcomes, [Ok(1), Err(()), Ok(1)]);
        assert_eq!(count(&pool).await, 2);
        assert!(pool.close().await.is_clean());
    });
}

/// The time for which a call waits for the writer ends when it has it.
#[test]
fn a_call_that_had_the_writer_is_not_refused_for_its_waiting() {
    on_both_runtimes(|| async {
        let (dir, surprise) = (tempfile::tempdir().unwrap(), Arc::new(Surprise::default()));
        let builder = SyncPool::builder(dir.path().join("a.db")).acquire_timeout(Duration::from_millis(60));
        let slow = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
            SELECT max(i) FROM n";
        let (pool, release, calls) = waiting(builder, &surprise, &[INSERT, slow]).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        drop(release);
        assert!(ended(calls).await.into_iter().all(|result| result.unwrap().unwrap() == 1));
        assert_eq!(count(&pool).await, 2);
        assert!(pool.close().await.is_clean());
    });
}

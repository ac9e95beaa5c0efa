//! Patroni, patroni/patroni#3202 (2024): a watching `patronictl` died of "can't start new thread".
//!
//! - What happened: each refresh made a client, each client a thread, and none of them ever ended.
//! - The mechanism: the thread of `DnsCachingResolver` waits on a queue for ever; nothing tells it to stop, and nobody
//!   joins it. The clients are cached since; the thread still has no end.
//! - Here: every thread belongs to one value, whose Drop tells it to stop and joins it.
//! - Tested: pool and checkpointer, opened, used and dropped: threads and files are gone at once; so are they where the
//!   thread has panicked, waits for a lock, or drops its owner itself. The crate `finalite-endpoint` tests the same of
//!   its server (`endpoint/tests/threads.rs`).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use finalite::pool::{Checkpointer, DestroyReason, Pool};
use finalite::{Connection, OpenOptions, TransactionBehavior, stats};
use serde_json::json;

use crate::common::incident::{change_by, database, times};
use crate::runner::cases;

cases![threads_end_with_their_owners];

/// As short as sleeping gets: a thread that is to be seen at work.
const OFTEN: Duration = Duration::from_millis(1);
/// Not within this test.
const NEVER: Duration = Duration::from_secs(3600);

fn pool(path: &Path) -> Arc<Pool> {
    let options = OpenOptions::recommended().pragma("synchronous", "off");
    Arc::new(Pool::builder(path).readers(1).options(options).build().unwrap())
}

fn background_threads() -> u64 {
    stats::snapshot().process.background_threads
}

/// Each owner is dropped in its turn, and nothing may be left when that returns.
fn open_use_and_drop(path: &Path, turn: usize) {
    let pool = pool(path);
    let every = if turn.is_multiple_of(2) { OFTEN } else { NEVER };
    let checkpointer = Checkpointer::start(&pool, every).unwrap();
    assert_eq!(background_threads(), 1);
    pool.writer().unwrap().execute("INSERT INTO t(b) VALUES ('x')", ()).unwrap();
    let rows: usize = pool.reader().unwrap().query_one("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(rows, turn + 1);
    if turn.is_multiple_of(3) {
        // The pool first: the checkpointer does not keep it.
        drop(pool);
        drop(checkpointer);
    } else {
        drop(checkpointer);
        drop(pool);
    }
    assert_eq!(background_threads(), 0);
    let wal = path.with_extension("db-wal");
    assert!(!wal.exists(), "turn {turn}: {wal:?} is there");
    let elsewhere = path.with_extension("renamed");
    std::fs::rename(path, &elsewhere).unwrap();
    std::fs::rename(&elsewhere, path).unwrap();
}

/// What happens to the checkpointer's thread when it opens the pool's writer.
fn on_its_thread(path: &Path, happens: impl Fn(&mut Connection) + Send + Sync + 'static) -> Arc<Pool> {
    let options = OpenOptions::recommended().busy_timeout(Duration::from_millis(100));
    let init = move |conn: &mut Connection| {
        if thread::current().name() == Some("finalite-checkpoint") {
            happens(conn);
        }
        Ok(())
    };
    let pool = Arc::new(Pool::builder(path).readers(1).options(options).init(init).build().unwrap());
    // It comes back with a temporary table and is destroyed: whoever asks for the writer next opens one.
    pool.writer().unwrap().execute_batch("CREATE TEMP TABLE scratch(a)").unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::TemporarySchema), 1);
    pool
}

fn a_thread_that_panicked_is_joined(path: &Path) {
    let (tell, told) = mpsc::channel();
    let pool = on_its_thread(path, move |_| {
        tell.send(()).unwrap();
        panic!("on purpose");
    });
    let checkpointer = Checkpointer::start(&pool, OFTEN).unwrap();
    told.recv().unwrap();
    drop(checkpointer);
    assert_eq!(background_threads(), 0);
    // The panic cost the pool neither its slot nor its lock.
    assert_eq!(pool.writer().unwrap().query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

fn a_thread_may_drop_its_owner(path: &Path) {
    let owner: Arc<Mutex<Option<Checkpointer>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let own = Arc::clone(&owner);
    let pool = on_its_thread(path, move |_| {
        drop(own.lock().unwrap().take());
        tell.send(()).unwrap();
    });
    let mut place = owner.lock().unwrap();
    *place = Some(Checkpointer::start(&pool, OFTEN).unwrap());
    drop(place);
    told.recv().unwrap();
    // Nobody can join it. It ends by itself, and lets go of the pool before.
    while background_threads() > 0 {
        thread::yield_now();
    }
    assert_eq!(Arc::strong_count(&pool), 1);
}

fn a_thread_that_waits_for_a_lock_does_not_hold_its_owner(path: &Path) {
    let (tell, told) = mpsc::channel();
    let was_refused = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&was_refused);
    let pool = on_its_thread(path, move |conn| {
        tell.send(()).unwrap();
        let began = conn.transaction_with(TransactionBehavior::Immediate);
        refused.store(began.is_err_and(|error| error.is_busy()), Ordering::SeqCst);
    });
    let mut locker = Connection::open(path).unwrap();
    let lock = locker.transaction_with(TransactionBehavior::Immediate).unwrap();
    let checkpointer = Checkpointer::start(&pool, OFTEN).unwrap();
    told.recv().unwrap();
    // The lock is held all the while: this returns because the busy timeout ends, or never.
    drop(checkpointer);
    assert!(was_refused.load(Ordering::SeqCst));
    drop(lock);
    assert_eq!(background_threads(), 0);
}

fn threads_end_with_their_owners() {
    let turns = times(100, 1000);
    let dir = tempfile::tempdir().unwrap();
    let path = database(dir.path());
    let change = change_by(|| {
        for turn in 0..turns {
            open_use_and_drop(&path, turn);
        }
        a_thread_that_panicked_is_joined(&path);
        a_thread_may_drop_its_owner(&path);
        a_thread_that_waits_for_a_lock_does_not_hold_its_owner(&path);
    });
    let destroyed: u64 = stats::snapshot().pool_totals.destroyed.iter().sum();
    let forgotten = finalite::handles::forgotten().total();
    change.print("patroni", turns, &json!({ "destroyed": destroyed, "forgotten": forgotten }));
    change.assert_none();
    control();
}

/// Patroni's resolver: it starts a thread when it is made, and has no end.
struct Resolver;

impl Resolver {
    fn new(questions: mpsc::Receiver<()>) -> Self {
        thread::spawn(move || while questions.recv().is_ok() {});
        Self
    }
}

fn control() {
    const CLIENTS: usize = 20;
    let mut queues = Vec::new();
    let change = change_by(|| {
        for _ in 0..CLIENTS {
            let (queue, questions) = mpsc::channel();
            let _resolver = Resolver::new(questions);
            // Patroni's thread keeps the queue itself.
            queues.push(queue);
        }
    });
    change.print("patroni, as it was", CLIENTS, &json!({}));
    assert_eq!(change.growth("threads"), CLIENTS as u64);
}

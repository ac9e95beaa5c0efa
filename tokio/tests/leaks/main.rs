//! Handles, native bytes, threads and descriptors after futures that were dropped, and after the incidents of other
//! drivers in their async form: alone in its process, one case after the other.

mod dropped;
mod incidents;
mod memory;

use std::time::Duration;

use finalite::{LeakCheck, ProcessSnapshot};
use finalite_tokio::Pool;
use tokio::runtime::{Builder, Runtime};

/// A query that ends when it is interrupted.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

/// A query whose rows do not end.
const COUNTING: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";

fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

/// Number of rounds: ten times as many with `FINALITE_LONG_RUN`.
fn times(short: usize) -> usize {
    if std::env::var_os("FINALITE_LONG_RUN").is_some() { short * 10 } else { short }
}

/// Runs this, and checks that all is as it was before.
fn leaves_nothing(name: &str, work: impl Fn()) {
    let before = ProcessSnapshot::now();
    let check = LeakCheck::new();
    work();
    // Waits until the system has taken joined threads off its list.
    let report = check.finish();
    assert!(report.is_clean(), "{name}: {report}");
    assert_eq!(ProcessSnapshot::now(), before, "{name}");
}

#[test]
fn nothing_is_left() {
    // What the process keeps for good.
    dropped::at_random_points(0, 100);
    leaves_nothing("random points", || dropped::at_random_points(1, times(10_000)));
    leaves_nothing("a runtime in the middle", dropped::with_their_runtime);
    leaves_nothing("rollbacks that fail", incidents::a_rollback_fails);
    leaves_nothing("changed connections", incidents::a_connection_is_changed);
    leaves_nothing("failed opens", incidents::a_pool_cannot_be_opened);
    leaves_nothing("threads", incidents::each_pool_joins_its_threads);
    leaves_nothing("a blocked thread", incidents::a_blocked_thread_keeps_nobody_elses);
    leaves_nothing("a long stream", memory::a_long_stream_takes_the_memory_of_a_short_one);
    the_check_sees_a_stream_that_is_kept();
}

/// The control.
fn the_check_sees_a_stream_that_is_kept() {
    let [runtime, _] = runtimes();
    let before = ProcessSnapshot::now();
    let dir = tempfile::tempdir().unwrap();
    let (pool, stream) = runtime.block_on(async {
        // Not by `open`, whose thread is the runtime's.
        let pool = Pool::from(finalite::pool::Pool::builder(dir.path().join("a.db")).build().unwrap());
        let mut stream = pool.stream::<i64>(COUNTING, ());
        stream.next().await.unwrap().unwrap();
        (pool, stream)
    });
    let now = ProcessSnapshot::now();
    assert_eq!(now.threads, before.threads + 1);
    assert!(now.handles.total() > before.handles.total() && now.native_bytes > before.native_bytes);
    assert!(now.descriptors.len() > before.descriptors.len());
    drop(pool);
    let ended = runtime.block_on(async {
        let mut stream = stream;
        while let Some(row) = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.unwrap() {
            if row.is_err() {
                return true;
            }
        }
        false
    });
    // The pool's end has cancelled it.
    assert!(ended);
}

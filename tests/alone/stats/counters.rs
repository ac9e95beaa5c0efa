//! Counters never go back.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::mem::forget;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use finalite::handles::HandleKind;
use finalite::pool::Pool;
use finalite::stats::{Stats, snapshot};
use finalite::{Connection, OpenOptions, ffi};

use super::figures::has_lookaside;
use super::{after_a_snapshot, database, touch};
use crate::runner::cases;

cases![
    within after_a_snapshot:
    counters_never_go_back,
    closing_keeps_what_was_counted,
];

/// Everything that only grows.
pub fn counters(stats: &Stats) -> BTreeMap<String, u64> {
    let memory = &stats.memory;
    let mut all: BTreeMap<String, u64> = [
        ("allocated", memory.allocated_bytes_total),
        ("allocations", memory.allocations_total),
        ("reallocations", memory.reallocations_total),
        ("frees", memory.frees_total),
        ("failures", memory.failures_total),
        ("pager hits", stats.caches.pager_hits),
        ("pager misses", stats.caches.pager_misses),
        ("pager writes", stats.caches.pager_writes),
        ("pager spills", stats.caches.pager_spills),
        ("spilled bytes", stats.caches.tempbuf_spill_bytes),
        ("lookaside hits", stats.caches.lookaside_hits),
        ("lookaside misses, size", stats.caches.lookaside_misses_size),
        ("lookaside misses, full", stats.caches.lookaside_misses_full),
        ("pool acquired", stats.pool_totals.acquired),
        ("pool timeouts", stats.pool_totals.timeouts),
        ("pool opened", stats.pool_totals.opened),
        ("pool open failures", stats.pool_totals.open_failures),
        ("pool waits", stats.pool_totals.waits),
        ("pool checkpoints", stats.pool_totals.checkpoints),
        ("executions", stats.activity.executions),
        ("commits", stats.activity.commits),
        ("busy", stats.activity.busy),
        ("lock retries", stats.activity.lock_retries),
        ("slow", stats.activity.slow),
    ]
    .map(|(name, count)| (name.into(), count))
    .into();
    let sizes = memory.size_histogram.iter().enumerate().map(|(n, &count)| (format!("size {n}"), count));
    let destroyed = stats.pool_totals.destroyed.iter().enumerate().map(|(n, &count)| (format!("destroyed {n}"), count));
    let failed = [("open", &stats.open_failures), ("close", &stats.close_failures)];
    let failed = failed.into_iter().flat_map(|(of, counts)| counts.iter().map(move |(c, n)| (format!("{of} {c}"), *n)));
    let handles = [("opened", &stats.opened), ("closed", &stats.closed), ("forgotten", &stats.forgotten)];
    let handles = handles
        .into_iter()
        .flat_map(|(of, counts)| HandleKind::ALL.map(|kind| (format!("{of} {kind}"), counts.of(kind))));
    all.extend(sizes.chain(destroyed).chain(failed).chain(handles));
    all
}

/// The counters that are less than they were.
pub fn went_back(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Vec<String> {
    let less = before.iter().filter(|(name, before)| now.get(*name).is_none_or(|now| now < before));
    less.map(|(name, _)| name.clone()).collect()
}

fn use_a_connection_and_a_pool(dir: &Path, round: usize) {
    let path = dir.join("shared.db");
    let conn = OpenOptions::recommended().pragma("synchronous", "off").open(&path).unwrap();
    conn.execute("INSERT INTO t(b) VALUES (?)", (round as i64,)).unwrap();
    conn.query_all::<i64>("SELECT a FROM t ORDER BY b LIMIT 100", ()).unwrap();
    if round.is_multiple_of(3) {
        forget(conn.prepare("SELECT 'forgotten'").unwrap());
    }
    drop(conn);
    assert!(Connection::open(dir.join("nowhere/a.db")).is_err());
    let pool = Pool::builder(&path).readers(2).acquire_timeout(Duration::from_millis(1)).build().unwrap();
    let reader = pool.reader().unwrap();
    reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    let readers = [Some(reader), pool.reader().ok(), pool.reader().ok()];
    assert!(readers.iter().any(Option::is_none));
    drop(readers);
    let writer = pool.writer().unwrap();
    writer.execute_batch("CREATE TEMP TABLE u(a); INSERT INTO u VALUES (1)").unwrap();
    drop(writer);
    drop(pool);
}

fn counters_never_go_back() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::recommended().open(dir.path().join("shared.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
    drop(conn);
    let first = counters(&snapshot());
    let (rounds, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let last = thread::scope(|scope| {
        let done = Done(&is_done);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        let round = rounds.fetch_add(1, Ordering::Relaxed);
                        // New threads too: what one counted stays when it ends.
                        thread::scope(|scope| {
                            scope.spawn(|| use_a_connection_and_a_pool(dir.path(), round));
                        });
                    }
                })
            })
            .collect();
        let mut last = first.clone();
        let mut taken = 0;
        while (taken < 500 || rounds.load(Ordering::Relaxed) < 100)
            && !workers.iter().any(|worker| worker.is_finished())
        {
            let stats = snapshot();
            let now = counters(&stats);
            assert_eq!(went_back(&last, &now), Vec::<String>::new());
            last = now;
            taken += 1;
        }
        drop(done);
        assert!(taken >= 500, "a worker panicked");
        last
    });
    let moved = |name: &str| last[name] > first.get(name).copied().unwrap_or(0);
    for name in [
        "pager hits",
        "pager misses",
        "pager writes",
        if has_lookaside() { "lookaside hits" } else { "pager hits" },
        "pool acquired",
        "pool timeouts",
        "pool opened",
        "opened connection",
        "closed connection",
        "forgotten statement",
        "open SQLITE_CANTOPEN",
    ] {
        assert!(moved(name), "{name} did not move");
    }
    // Those of a process that forgets what is closed go back, and that is seen.
    assert!(went_back(&last, &first).contains(&"pager hits".to_owned()));
    let now = snapshot();
    assert_eq!((now.open.total(), now.pools.len()), (0, 0));
    assert_eq!(went_back(&last, &counters(&now)), Vec::<String>::new());
    assert_eq!(now.opened, now.closed);
}

/// What SQLite itself says of a counter.
pub fn counted(conn: &Connection, operation: c_int) -> u64 {
    let (mut now, mut highest) = (0, 0);
    // SAFETY: the connection is open and used by this thread alone. c3ref/db_status.html: with 0 nothing is reset.
    let code = unsafe { ffi::sqlite3_db_status(conn.as_raw(), operation, &raw mut now, &raw mut highest, 0) };
    assert_eq!(code, ffi::SQLITE_OK);
    now.max(highest).try_into().unwrap()
}

fn closing_keeps_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    database(&path, 5_000);
    for is_asked in [false, true] {
        let before = snapshot();
        let conn = Connection::open(&path).unwrap();
        conn.execute("UPDATE t SET b = b || 'x' WHERE a % 10 = 0", ()).unwrap();
        for _ in 0..3 {
            assert_eq!(conn.query_one::<i64>("SELECT count(DISTINCT b) FROM t", ()).unwrap(), 5_000);
        }
        if is_asked {
            // In part told while it was open: it is counted once.
            drop(snapshot());
            touch(&conn);
            conn.query_one::<i64>("SELECT count(DISTINCT b) FROM t", ()).unwrap();
        }
        let own = [
            ffi::SQLITE_DBSTATUS_CACHE_HIT,
            ffi::SQLITE_DBSTATUS_CACHE_MISS,
            ffi::SQLITE_DBSTATUS_CACHE_WRITE,
            ffi::SQLITE_DBSTATUS_LOOKASIDE_HIT,
        ]
        .map(|operation| counted(&conn, operation));
        assert!(own.iter().filter(|&&count| count > 0).count() >= if has_lookaside() { 4 } else { 3 }, "{own:?}");
        drop(conn);
        let (now, before) = (snapshot().caches, before.caches);
        let told = [
            now.pager_hits - before.pager_hits,
            now.pager_misses - before.pager_misses,
            now.pager_writes - before.pager_writes,
            now.lookaside_hits - before.lookaside_hits,
        ];
        assert_eq!(told, own);
        // And not once more.
        assert_eq!(snapshot().caches, now);
    }
}

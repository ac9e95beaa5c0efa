//! `memory::set_limit`.

use std::sync::Barrier;
use std::thread;

use finalite::{Connection, Error, ErrorKind, memory};

use super::native::Block;
use super::nothing_is_left_by;
use super::{Moved, moved_since};
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    a_limit_fails_what_is_beyond_it,
    a_limit_is_exceeded_by_at_most_32_kib,
    a_limit_below_what_is_held,
    a_limit_holds_for_reallocations,
    a_limit_holds_for_threads_together,
    threads_that_ended_do_not_widen_it,
];

/// What a thread may be beyond the limit.
const HELD_BACK: u64 = 32 * 1024;

fn is_no_memory(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NoMemory { .. })
}

fn a_limit_fails_what_is_beyond_it() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(1000)), ('kept')").unwrap();
    let mut open = conn.prepare("SELECT a FROM t").unwrap();
    let before = memory::stats();
    let limit = before.bytes + (1 << 20);
    memory::set_limit(limit).unwrap();
    assert_eq!(memory::stats().limit_bytes, Some(limit));

    assert!(is_no_memory(&conn.query_one::<Vec<u8>>("SELECT zeroblob(10000000)", ()).unwrap_err()));
    let failures = moved_since(&before).failures_limit;
    assert!(failures > 0);
    assert!(is_no_memory(&conn.execute("INSERT INTO t VALUES (zeroblob(8000000))", ()).unwrap_err()));
    assert!(moved_since(&before).failures_limit > failures);
    assert_eq!(moved_since(&before).failures_system, 0);

    // The same connection and another one work on, and the data is as it was.
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
    assert_eq!(conn.execute("UPDATE t SET a = 'changed' WHERE a = 'kept'", ()).unwrap(), 1);
    let mut rows = open.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    rows.finish().unwrap();
    Connection::open_in_memory().unwrap().query_one::<i64>("SELECT 1", ()).unwrap();

    memory::set_limit(None).unwrap();
    assert_eq!(memory::stats().limit_bytes, None);
    assert_eq!(conn.query_one::<Vec<u8>>("SELECT zeroblob(10000000)", ()).unwrap().len(), 10_000_000);
    assert_eq!(conn.execute("INSERT INTO t VALUES (zeroblob(8000000))", ()).unwrap(), 1);
}

/// As many blocks as are to be had.
fn fill() -> Vec<Block> {
    (0..).map_while(|_| Block::new(64)).collect()
}

fn a_limit_is_exceeded_by_at_most_32_kib() {
    let before = memory::stats();
    let limit = before.bytes + 1_000_000;
    memory::set_limit(limit).unwrap();
    let blocks = fill();
    let held = memory::stats().bytes;
    assert!(held.abs_diff(limit) < HELD_BACK, "{held} where {limit} is allowed");
    assert_eq!(moved_since(&before).failures_limit, 1);
    assert!(Block::new(64).is_none());
    assert_eq!(moved_since(&before).failures_limit, 2);
    // A large one fails exactly at the limit, and where it fits it is given.
    drop(blocks);
    assert!(Block::new(1_000_001).is_none());
    assert!(Block::new(1_000_000).is_some());
    memory::set_limit(None).unwrap();
}

fn a_limit_below_what_is_held() {
    let block = Block::filled(100_000, 7);
    let conn = Connection::open_in_memory().unwrap();
    memory::set_limit(1).unwrap();
    assert!(is_no_memory(&conn.query_one::<Vec<u8>>("SELECT zeroblob(100000)", ()).unwrap_err()));
    assert!(block.contents().iter().all(|&byte| byte == 7));
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    memory::set_limit(None).unwrap();
}

fn a_limit_holds_for_reallocations() {
    let mut block = Block::filled(1 << 20, 7);
    let before = memory::stats();
    memory::set_limit(before.bytes + (1 << 19)).unwrap();
    assert!(!block.resize(4 << 20));
    assert_eq!(moved_since(&before), Moved { failures_limit: 1, ..Moved::default() });
    assert_eq!(block.bytes(), 1 << 20);
    assert!(block.contents().iter().all(|&byte| byte == 7));
    assert!(block.resize(3 << 19), "up to the limit");
    assert!(block.resize(100), "less is always allowed");
    assert!(block.contents().iter().take(100).all(|&byte| byte == 7));
    memory::set_limit(None).unwrap();
    assert!(block.resize(4 << 20));
}

fn a_limit_holds_for_threads_together() {
    let threads = 4;
    let limit = memory::stats().bytes + 4_000_000;
    memory::set_limit(limit).unwrap();
    let barrier = Barrier::new(5);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let blocks = fill();
                barrier.wait();
                barrier.wait();
                drop(blocks);
            });
        }
        barrier.wait();
        let held = memory::stats().bytes;
        assert!(held.abs_diff(limit) <= (threads + 1) * HELD_BACK, "{held} where {limit} is allowed");
        barrier.wait();
    });
    memory::set_limit(None).unwrap();
}

/// Each leaves blocks behind that it has not told the process's sum of.
fn threads_that_ended_do_not_widen_it() {
    let threads = 100;
    let barrier = Barrier::new(threads);
    let left: Vec<Block> = thread::scope(|scope| {
        let work = || {
            // All at once, so that each has a shard of its own.
            barrier.wait();
            let block = Block::new(31 * 1024).unwrap();
            barrier.wait();
            block
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let limit = memory::stats().bytes + 1_000_000;
    memory::set_limit(limit).unwrap();
    let blocks = fill();
    let held = memory::stats().bytes;
    memory::set_limit(None).unwrap();
    drop((blocks, left));
    assert!(held <= limit + HELD_BACK, "{held} where {limit} is allowed, and one thread is left");
}

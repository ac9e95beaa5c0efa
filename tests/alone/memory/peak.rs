//! The most that was held.

use std::sync::{Barrier, mpsc};
use std::thread;

use finalite::{Connection, memory};

use super::native::{Block, inside};
use super::nothing_is_left_by;
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    connection_peak_is_exact,
    process_peak_misses_at_most_32_kib_per_thread,
    process_peak_is_not_what_a_reader_adds_up,
];

const HELD_BACK: u64 = 32 * 1024;
const BLOCK: u64 = 1_000;

fn connection_peak_is_exact() {
    let conn = Connection::open_in_memory().unwrap();
    let mut peak = 0;
    inside(&conn, || {
        let start = conn.memory();
        let is = |bytes, peak| {
            let memory = conn.memory();
            assert_eq!((memory.bytes, memory.peak_bytes), (start.bytes + bytes, start.bytes + peak));
        };
        let first = Block::new(6_000_000).unwrap();
        is(6_000_000, 6_000_000);
        let mut second = Block::new(4_000_000).unwrap();
        is(10_000_000, 10_000_000);
        assert_eq!(conn.memory().blocks, start.blocks + 2);
        drop(first);
        is(4_000_000, 10_000_000);
        let third = Block::new(5_999_999).unwrap();
        is(9_999_999, 10_000_000);
        // One byte more than ever, by growing.
        assert!(second.resize(4_000_008));
        is(10_000_007, 10_000_007);
        assert!(second.resize(8));
        is(6_000_007, 10_000_007);
        drop((second, third));
        is(0, 10_000_007);
        assert_eq!(conn.memory().blocks, start.blocks);
        peak = start.bytes + 10_000_007;
    });
    assert_eq!(conn.memory().peak_bytes, peak);
    conn.query_one::<Vec<u8>>("SELECT zeroblob(100000)", ()).unwrap();
    assert_eq!(conn.memory().peak_bytes, peak, "less than the peak does not move it");
    drop(conn);
    let next = Connection::open_in_memory().unwrap();
    assert!(next.memory().peak_bytes < 1_000_000, "the next connection begins anew");
}

/// Nobody looks while it is at its peak.
fn process_peak_misses_at_most_32_kib_per_thread() {
    // How many blocks it takes to be well above everything before.
    let count = |threads: u64| {
        let stats = memory::stats();
        (stats.bytes, (stats.peak_bytes - stats.bytes + 10_000_000) / BLOCK / threads)
    };
    let is_near = |peak: u64, threads: u64| {
        let seen = memory::stats().peak_bytes;
        assert!(seen.abs_diff(peak) <= threads * HELD_BACK, "{seen} where it was {peak}");
    };
    let allocate = |count| (0..count).map(|_| Block::new(BLOCK).unwrap()).collect::<Vec<_>>();
    let (start, blocks) = count(1);
    drop(allocate(blocks));
    is_near(start + blocks * BLOCK, 1);

    let threads = 4;
    let (start, blocks) = count(threads);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let blocks = allocate(blocks);
                barrier.wait();
                drop(blocks);
            });
        }
    });
    is_near(start + threads * blocks * BLOCK, threads + 1);
}

/// One block passes from thread to thread, and never are there two. Whoever adds up the threads' figures meanwhile may
/// meet both, but must not keep that as the peak.
fn process_peak_is_not_what_a_reader_adds_up() {
    // Between the two in the list of threads, so that a reader takes a while from one to the other.
    const BETWEEN: usize = 150;
    let before = memory::stats();
    let large = before.peak_bytes - before.bytes + 4_000_000;
    // SQLite gives no block of 2 GiB.
    let parts = large / (1 << 30) + 1;
    let (to_other, from_one) = mpsc::sync_channel::<Vec<Block>>(0);
    let (to_one, from_other) = mpsc::sync_channel::<()>(0);
    let are_between = Barrier::new(BETWEEN + 1);
    let is_over = Barrier::new(BETWEEN + 1);
    let is_listed = || drop(Block::new(1));
    thread::scope(|scope| {
        let (are_between, is_over) = (&are_between, &is_over);
        // It frees, and comes first.
        scope.spawn(move || {
            is_listed();
            to_one.send(()).unwrap();
            for blocks in from_one {
                drop(blocks);
                to_one.send(()).unwrap();
            }
        });
        from_other.recv().unwrap();
        for _ in 0..BETWEEN {
            let wait = move || {
                is_listed();
                are_between.wait();
                is_over.wait();
            };
            thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, wait).unwrap();
        }
        are_between.wait();
        // It allocates, and comes last.
        let allocating = scope.spawn(move || {
            for _ in 0..3_000 {
                to_other.send((0..parts).map(|_| Block::new(large / parts).unwrap()).collect()).unwrap();
                from_other.recv().unwrap();
            }
        });
        while !allocating.is_finished() {
            let _ = memory::stats();
        }
        is_over.wait();
    });
    let peak = before.bytes + large;
    let seen = memory::stats().peak_bytes;
    assert!(seen <= peak + 3 * HELD_BACK, "{seen} where it was {peak}");
}

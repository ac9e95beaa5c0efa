//! Threads that allocate here and free there, come and go.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Barrier, Mutex, MutexGuard};
use std::thread;

use finalite::{Connection, memory};

use super::native::Block;
use super::nothing_is_left_by;
use super::{Moved, moved_since};
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    come_and_go,
    more_than_shards,
    thread_locals_free_at_the_end,
    #[cfg(target_os = "linux")]
    frees_after_the_shard_is_given_back,
];

/// Blocks that pass from thread to thread.
type Queue = Arc<Mutex<VecDeque<Block>>>;

/// A size for each block.
fn size(thread: u64, n: u64) -> u64 {
    thread * 37 % 211 + n * 13 % 700 + 1
}

/// What the process must show after these threads have allocated that many blocks each.
fn expected(threads: u64, blocks: u64) -> (Moved, [u64; 32]) {
    let mut moved = Moved { allocations: threads * blocks, ..Moved::default() };
    let mut sizes = [0; 32];
    for bytes in (0..threads).flat_map(|thread| (0..blocks).map(move |n| size(thread, n))) {
        moved.allocated_bytes += bytes;
        sizes[bytes.next_power_of_two().trailing_zeros() as usize] += 1;
    }
    (moved, sizes)
}

fn sizes_since(before: &memory::MemoryStats) -> [u64; 32] {
    let now = memory::stats().size_histogram;
    std::array::from_fn(|n| now[n] - before.size_histogram[n])
}

fn come_and_go() {
    const THREADS: u64 = 300;
    const BLOCKS: u64 = 200;
    let before = memory::stats();
    let queue = Queue::default();
    for wave in 0..THREADS / 20 {
        let threads: Vec<_> = (0..20)
            .map(|n| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    for block in 0..BLOCKS {
                        spin_lock(&queue).push_back(Block::new(size(wave * 20 + n, block)).unwrap());
                        if block % 3 > 0 {
                            // Most likely another thread's.
                            let block = spin_lock(&queue).pop_front();
                            drop(block);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    let (all, sizes) = expected(THREADS, BLOCKS);
    let left = std::mem::take(&mut *spin_lock(&queue));
    let left_bytes: u64 = left.iter().map(Block::bytes).sum();
    let (bytes, blocks) = (left_bytes.cast_signed(), i64::try_from(left.len()).unwrap());
    assert!(blocks > 1_000);
    assert_eq!(moved_since(&before), Moved { bytes, blocks, frees: all.allocations - left.len() as u64, ..all });
    assert_eq!(sizes_since(&before), sizes);
    drop(left);
    assert_eq!(moved_since(&before), Moved { frees: all.allocations, ..all });

    // The same with connections, each closed by another thread than opened it.
    let conns = Arc::new(Mutex::new(VecDeque::<Connection>::new()));
    let threads: Vec<_> = (0..40)
        .map(|n| {
            let conns = Arc::clone(&conns);
            thread::spawn(move || {
                let conn = Connection::open_in_memory().unwrap();
                conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(9000))").unwrap();
                spin_lock(&conns).push_back(conn);
                if n > 20 {
                    let conn = spin_lock(&conns).pop_front();
                    drop(conn);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let left = std::mem::take(&mut *spin_lock(&conns));
    let held: u64 = left.iter().map(|conn| conn.memory().bytes).sum();
    assert_eq!(moved_since(&before).bytes, held.cast_signed());
    drop(left);
    assert_eq!(moved_since(&before).bytes, 0);
}

fn more_than_shards() {
    const THREADS: u64 = 300;
    const BLOCKS: u64 = 40;
    let before = memory::stats();
    let barrier = Arc::new(Barrier::new(usize::try_from(THREADS).unwrap() + 1));
    let queue = Queue::default();
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let (barrier, queue) = (Arc::clone(&barrier), Arc::clone(&queue));
            let work = move || {
                for block in 0..BLOCKS {
                    let mut block = Block::new(size(n, block)).unwrap();
                    // Each way through the books: here, where shards are shared.
                    assert!(block.resize(2_000));
                    spin_lock(&queue).push_back(block);
                }
                barrier.wait();
                barrier.wait();
                for _ in 0..BLOCKS {
                    let block = spin_lock(&queue).pop_front();
                    drop(block.unwrap());
                }
                barrier.wait();
            };
            thread::Builder::new().stack_size(128 * 1024).spawn(work).unwrap()
        })
        .collect();
    barrier.wait();
    let (all, sizes) = expected(THREADS, BLOCKS);
    let count = THREADS * BLOCKS;
    let allocated_bytes = 2_000 * count;
    let all = Moved { allocated_bytes, reallocations: count, ..all };
    let (bytes, blocks) = (allocated_bytes.cast_signed(), count.cast_signed());
    assert_eq!(moved_since(&before), Moved { bytes, blocks, ..all });
    assert_eq!(sizes_since(&before), sizes);
    barrier.wait();
    barrier.wait();
    assert_eq!(moved_since(&before), Moved { frees: count, ..all });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // Their shards are to be had again, and hold what they held.
    thread::spawn(|| drop(Block::new(100))).join().unwrap();
    assert_eq!(moved_since(&before).bytes, 0);
}

fn thread_locals_free_at_the_end() {
    thread_local! {
        static BLOCKS: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
        static CONN: RefCell<Option<Connection>> = const { RefCell::new(None) };
    }
    let before = memory::stats();
    for _ in 0..50 {
        let work = || {
            CONN.set(Some(Connection::open_in_memory().unwrap()));
            BLOCKS.set((1..50).map(|n| Block::new(n * 10).unwrap()).collect());
        };
        thread::spawn(work).join().unwrap();
    }
    assert_eq!(moved_since(&before).bytes, 0);
    assert_eq!(moved_since(&before).blocks, 0);
}

/// A thread's end calls destructors again that have set their value again: the second round comes after the allocator's
/// own destructor.
#[cfg(target_os = "linux")]
fn frees_after_the_shard_is_given_back() {
    use std::ffi::{c_int, c_uint, c_void};
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    unsafe extern "C" {
        fn pthread_key_create(key: *mut c_uint, destructor: unsafe extern "C" fn(*mut c_void)) -> c_int;
        fn pthread_key_delete(key: c_uint) -> c_int;
        fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    }
    const THREADS: u64 = 50;
    static KEY: AtomicU32 = AtomicU32::new(0);
    static ENDED: AtomicU64 = AtomicU64::new(0);

    struct Held {
        rounds: u32,
        blocks: Vec<Block>,
        conn: Connection,
    }

    fn hold(held: Box<Held>) {
        // SAFETY: the key is there; `ends` takes the value back.
        let code = unsafe { pthread_setspecific(KEY.load(Ordering::Relaxed), Box::into_raw(held).cast()) };
        assert_eq!(code, 0);
    }

    unsafe extern "C" fn ends(value: *mut c_void) {
        // SAFETY: what `hold` gave away.
        let mut held = unsafe { Box::from_raw(value.cast::<Held>()) };
        if held.rounds < 2 {
            held.rounds += 1;
            return hold(held);
        }
        assert!(held.blocks[0].resize(50_000));
        held.blocks.push(Block::new(70_000).unwrap());
        assert!(held.conn.memory().bytes > 0);
        drop(held);
        ENDED.fetch_add(1, Ordering::Relaxed);
    }

    let mut key = 0;
    // SAFETY: the pointer is to a number of ours, and the function is of the program.
    assert_eq!(unsafe { pthread_key_create(&raw mut key, ends) }, 0);
    KEY.store(key, Ordering::Relaxed);
    let before = memory::stats();
    for _ in 0..THREADS {
        let work = || {
            let blocks = (1..50).map(|n| Block::new(n * 10).unwrap()).collect();
            hold(Box::new(Held { rounds: 0, blocks, conn: Connection::open_in_memory().unwrap() }));
        };
        thread::spawn(work).join().unwrap();
    }
    // SAFETY: no thread has a value any more.
    assert_eq!(unsafe { pthread_key_delete(key) }, 0);
    assert_eq!(ENDED.load(Ordering::Relaxed), THREADS);
    let moved = moved_since(&before);
    assert_eq!((moved.bytes, moved.blocks, moved.foreign), (0, 0, 0));
    assert!(moved.allocations > THREADS * 51 && moved.reallocations >= THREADS);
}

/// ThreadSanitizer does not see what std's own `lock` does where it has to wait.
fn spin_lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(_) => thread::yield_now(),
        }
    }
}

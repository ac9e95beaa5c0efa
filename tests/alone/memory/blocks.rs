//! Blocks one by one.

use std::ffi::c_void;

use finalite::{ffi, memory};

use super::native::Block;
use super::nothing_is_left_by;
use super::{Moved, moved_since};
use crate::runner::cases;

cases![
    within nothing_is_left_by:
    are_aligned_and_as_large_as_asked_for,
    sizes_are_counted_by_powers_of_two,
    grow_and_shrink_in_the_books,
    a_failed_reallocation_leaves_the_block,
    a_foreign_one_is_left_alone,
];

fn are_aligned_and_as_large_as_asked_for() {
    let sizes = || (1..600).chain([4_095, 4_096, 4_097, 70_000, 1_000_003]);
    let before = memory::stats();
    let mut blocks: Vec<Block> = sizes().map(|bytes| Block::filled(bytes, bytes.to_le_bytes()[0])).collect();
    for (block, bytes) in blocks.iter().zip(sizes()) {
        assert_eq!(block.bytes(), bytes);
        if cfg!(target_pointer_width = "64") {
            assert_eq!(block.address() % 16, 0, "a block of {bytes} bytes");
        }
        // All of it is the block's: nobody wrote there meanwhile.
        assert!(block.contents().iter().all(|&byte| byte == bytes.to_le_bytes()[0]));
    }
    let (count, sum) = (sizes().count() as u64, sizes().sum::<u64>());
    let held = Moved {
        bytes: sum.cast_signed(),
        blocks: count.cast_signed(),
        allocated_bytes: sum,
        allocations: count,
        ..Moved::default()
    };
    assert_eq!(moved_since(&before), held);

    let last = blocks.pop().unwrap().bytes();
    let one_less = Moved { bytes: held.bytes - last.cast_signed(), blocks: held.blocks - 1, frees: 1, ..held };
    assert_eq!(moved_since(&before), one_less);
    drop(blocks);
    assert_eq!(moved_since(&before), Moved { bytes: 0, blocks: 0, frees: count, ..held });
}

fn sizes_are_counted_by_powers_of_two() {
    let before = memory::stats();
    let mut expected = before.size_histogram;
    let mut failed = 0;
    for (n, expected) in expected.iter_mut().enumerate() {
        let largest = (1_u64 << n).min(2_147_483_391);
        let smallest = if n == 0 { 1 } else { (1_u64 << (n - 1)) + 1 };
        for bytes in [smallest, smallest.midpoint(largest), largest] {
            // A gigabyte is asked for and not touched. Where the system does not have it, that is counted instead.
            match Block::new(bytes) {
                Some(_) => *expected += 1,
                None => failed += 1,
            }
        }
    }
    assert_eq!(memory::stats().size_histogram, expected);
    assert_eq!(moved_since(&before).failures_system, failed);
    assert_eq!(moved_since(&before).allocations, 3 * 32 - failed);
    // What SQLite itself refuses does not come to the allocator.
    assert!(Block::new(0).is_none() && Block::new(1 << 31).is_none());
    assert_eq!(moved_since(&before).failures_system, failed);
}

fn grow_and_shrink_in_the_books() {
    let before = memory::stats();
    let mut block = Block::filled(100, 7);
    assert!(block.resize(1_000));
    assert_eq!(block.bytes(), 1_000);
    assert!(block.contents()[..100].iter().all(|&byte| byte == 7));
    let grown =
        Moved { bytes: 1_000, blocks: 1, allocated_bytes: 1_000, allocations: 1, reallocations: 1, ..Moved::default() };
    assert_eq!(moved_since(&before), grown);

    assert!(block.resize(48));
    assert_eq!(block.bytes(), 48);
    assert!(block.contents().iter().all(|&byte| byte == 7));
    let shrunk = Moved { bytes: 48, reallocations: 2, ..grown };
    assert_eq!(moved_since(&before), shrunk);

    // SQLite rounds up to 8, and then there is nothing to do.
    assert!(block.resize(41));
    assert_eq!(block.bytes(), 48);
    assert_eq!(moved_since(&before), shrunk);

    // Of one that is above what a thread holds back.
    assert!(block.resize(1 << 20) && block.resize(8));
    assert_eq!(block.address() % 8, 0);
    let allocated_bytes = 1_000 + (1 << 20) - 48;
    assert_eq!(moved_since(&before), Moved { bytes: 8, allocated_bytes, reallocations: 4, ..shrunk });
    drop(block);
    assert_eq!(
        moved_since(&before),
        Moved { bytes: 0, blocks: 0, allocated_bytes, reallocations: 4, frees: 1, ..shrunk }
    );
}

fn a_failed_reallocation_leaves_the_block() {
    let mut block = Block::filled(100, 7);
    let before = memory::stats();
    let address = block.address();
    let fault = memory::fail_after(0);
    assert!(!block.resize(1_000));
    assert_eq!(fault.disarm(), 1);
    assert_eq!(moved_since(&before), Moved { failures_injected: 1, ..Moved::default() });
    assert_eq!((block.address(), block.bytes()), (address, 100));
    assert!(block.contents().iter().all(|&byte| byte == 7));
    assert!(block.resize(1_000));
    assert!(block.contents()[..100].iter().all(|&byte| byte == 7));
}

/// What libc's `malloc` gave ends in `sqlite3_free`.
fn a_foreign_one_is_left_alone() {
    unsafe extern "C" {
        fn calloc(count: usize, bytes: usize) -> *mut c_void;
        fn free(block: *mut c_void);
    }
    const HEADER: usize = 16;
    let before = memory::stats();
    // SAFETY: takes numbers.
    let foreign = unsafe { calloc(1, HEADER + 64) };
    assert!(!foreign.is_null());
    // Zeros stand where the allocator looks for its mark, and so it reads nothing of anybody's.
    let block = foreign.cast::<u8>().wrapping_add(HEADER).cast::<c_void>();
    // SAFETY: the 16 bytes before it are there, and without the mark the allocator writes nothing.
    unsafe { ffi::sqlite3_free(block) };
    assert_eq!(moved_since(&before), Moved { foreign: 1, ..Moved::default() });
    // SAFETY: as above.
    assert_eq!(unsafe { ffi::sqlite3_msize(block) }, 0);
    // SAFETY: as above.
    assert!(unsafe { ffi::sqlite3_realloc64(block, 100) }.is_null());
    assert_eq!(moved_since(&before), Moved { foreign: 2, ..Moved::default() });
    // SAFETY: it is alive still, as the name of this says.
    unsafe { free(foreign) };
}

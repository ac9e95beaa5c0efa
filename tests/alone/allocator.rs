//! The program's global allocator: the system's. It counts what each thread holds, refuses on demand, and looks at one
//! block when that is given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};

#[global_allocator]
static GLOBAL: Observed = Observed;

struct Observed;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static REFUSES: Cell<bool> = const { Cell::new(false) };
}

/// The address of the watched block's contents; 0: none.
static WATCHED: AtomicUsize = AtomicUsize::new(0);
/// How many bytes of it were overwritten when it was given back; `usize::MAX`: it was not given back yet.
static OVERWRITTEN: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The bytes that SQLite's allocator keeps before a block.
const HEADER: usize = 16;
/// The content that a watched block is to have.
pub const CONTENT: u8 = 0x11;

/// The bytes that this thread has asked for, less those that it has given back.
pub fn held() -> i64 {
    HELD.get()
}

/// Refuses each allocation of this thread while this runs, which therefore must not panic.
pub fn while_refusing<T>(work: impl FnOnce() -> T) -> T {
    REFUSES.set(true);
    let result = work();
    REFUSES.set(false);
    result
}

/// Looks at this block of SQLite's, which is filled with [`CONTENT`], when it is given back.
pub fn watch(address: usize) {
    OVERWRITTEN.store(usize::MAX, Ordering::Relaxed);
    WATCHED.store(address, Ordering::Relaxed);
}

/// The number of bytes of the watched block that were overwritten when it was given back.
pub fn overwritten() -> usize {
    OVERWRITTEN.load(Ordering::Relaxed)
}

fn count(bytes: usize, sign: i64) {
    HELD.set(HELD.get() + sign * i64::try_from(bytes).expect("a size"));
}

/// Looks at a block that is given back: it is alive still, and may be read.
fn look(block: *mut u8, layout: Layout) {
    let watched = WATCHED.load(Ordering::Relaxed);
    if watched == 0 || block.addr() + HEADER != watched {
        return;
    }
    WATCHED.store(0, Ordering::Relaxed);
    // SAFETY: the block is alive until this returns, that long, and its owner has written to all of it.
    let contents = unsafe { slice::from_raw_parts(block.add(HEADER), layout.size() - HEADER) };
    OVERWRITTEN.store(contents.iter().filter(|&&byte| byte != CONTENT).count(), Ordering::Relaxed);
}

// SAFETY: all is the system's allocator's, which keeps the contract, or is refused, which is allowed; counting and looking
// change nothing and allocate nothing.
unsafe impl GlobalAlloc for Observed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REFUSES.get() {
            return ptr::null_mut();
        }
        count(layout.size(), 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        look(block, layout);
        count(layout.size(), -1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if REFUSES.get() {
            return ptr::null_mut();
        }
        look(block, layout);
        count(layout.size(), -1);
        count(bytes, 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, bytes) }
    }
}

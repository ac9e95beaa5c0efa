//! Rust side of SQLite's counting allocator: bindings to `allocator.c`, Rust's global allocator as a source of blocks,
//! and the accounts of the connections.
//!
//! SQLite's own statistics count memory for the whole process only, and take a mutex around each allocation. This
//! allocator charges each block to a connection and takes no lock. It therefore puts a header before each block, which
//! points to the account of the connection whose call allocated it:
//!
//! ```text
//!   address from malloc      address that SQLite gets
//!   v                        v
//!   +------+-----+-----------+-------------------------------+
//!   | size | tag |  account  | bytes that SQLite requested   |
//!   +------+-----+-----|-----+-------------------------------+
//!    header, 16 bytes  |
//!                      v
//!                      Words of a Slot: bytes, blocks and peak of one connection
//! ```
//!
//! - Choosing the account: [`Account::charge`] stores it in C's thread-local variable around each call into SQLite.
//!   Blocks allocated outside of such a call belong to no account.
//! - Freeing: a block may be freed after its connection was closed, or within a call on another connection or thread.
//!   The header still points to its account, so a [`AccountSlot`] is leaked, and is only reused when no block is
//!   charged to it.
//! - Counting without a lock: an account has words for changes within calls on its connection (`own_...`), which one
//!   thread at a time makes with plain loads and stores, and words for changes from anywhere else (`foreign_...`), with
//!   atomic additions. The account's value is the sum of both.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU64, Ordering, fence};

use super::ffi;
use super::os::append_list::AppendList;
use crate::track::figures::AccountMemory;

// The structs below mirror structs of allocator.c: `Words` is `finalite_account`, `ThreadWords` is `finalite_thread`,
// `Totals` is `finalite_totals`, `Backend` is `finalite_backend`. `tests::layouts_agree` compares the layouts.

/// Words of an account, which C writes.
#[repr(C)]
#[derive(Debug, Default)]
struct Words {
    own_bytes: AtomicI64,
    own_blocks: AtomicI64,
    peak_bytes: AtomicI64,
    foreign_bytes: AtomicI64,
    foreign_blocks: AtomicI64,
}

#[repr(C)]
struct ThreadWords {
    shard: *mut c_void,
    account: Cell<*const Words>,
    is_sharing: i64,
    countdown: i64,
    fail_on: i64,
    failed: i64,
    fault: i64,
}

/// Totals over all shards.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) bytes: i64,
    pub(crate) peak_bytes: i64,
    /// `i64::MAX` if there is no limit.
    pub(crate) limit_bytes: i64,
    pub(crate) allocated: i64,
    pub(crate) reallocations: i64,
    pub(crate) frees: i64,
    pub(crate) failures_system: i64,
    pub(crate) failures_limit: i64,
    pub(crate) failures_injected: i64,
    pub(crate) foreign_blocks: i64,
    /// Number of allocations by size: of at most 2^n bytes, and more than 2^(n-1).
    pub(crate) sizes: [i64; 32],
}

#[repr(C)]
struct Backend {
    allocate: unsafe extern "C" fn(usize) -> *mut c_void,
    reallocate: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    release: unsafe extern "C" fn(*mut c_void, usize),
}

unsafe extern "C" {
    fn finalite_allocator_install() -> c_int;
    fn finalite_allocator_is_installed() -> c_int;
    fn finalite_allocator_thread() -> *mut ThreadWords;
    fn finalite_allocator_totals(totals: *mut Totals);
    fn finalite_allocator_raise_peak(bytes: i64);
    fn finalite_allocator_set_limit(bytes: i64);
    fn finalite_allocator_use_rust(backend: *const Backend, yes: c_int);
    fn finalite_allocator_uses_rust() -> c_int;
    #[cfg(feature = "fault-injection")]
    fn finalite_fault_arm(after: i64, sticky: c_int, all: c_int) -> i64;
    #[cfg(feature = "fault-injection")]
    fn finalite_fault_disarm(fault: i64, all: c_int);
    #[cfg(feature = "fault-injection")]
    fn finalite_fault_failed(fault: i64, all: c_int) -> i64;
    #[cfg(test)]
    fn finalite_allocator_layout(out: *mut usize, capacity: c_int) -> c_int;
}

/// Source of the figures of SQLite's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Counting,
    MemStatus,
    None,
}

/// Number of the `Mode` once SQLite has been used; 0 before.
static MODE: AtomicU8 = AtomicU8::new(0);

pub(crate) fn mode() -> Mode {
    match MODE.load(Ordering::Relaxed) {
        1 => Mode::Counting,
        2 => Mode::MemStatus,
        3 => Mode::None,
        // SAFETY: the function takes no argument and reads one word atomically (rule 23).
        _ if unsafe { finalite_allocator_is_installed() } != 0 => Mode::Counting,
        _ => Mode::MemStatus,
    }
}

/// Determines the mode once SQLite has allocated memory. Memory methods that SQLite accepted may have been replaced
/// before its first use, and cannot be queried afterwards (`SQLITE_CONFIG_GETMALLOC` is refused then).
pub(super) fn settle_mode() {
    if MODE.load(Ordering::Relaxed) != 0 {
        return;
    }
    let totals = totals();
    let is_ours =
        totals.sizes.iter().sum::<i64>() + totals.failures_system + totals.failures_limit + totals.failures_injected
            > 0;
    let mode = if is_ours {
        1
    } else if memory_used() > 0 {
        2
    } else {
        3
    };
    MODE.store(mode, Ordering::Relaxed);
}

pub(crate) fn totals() -> Totals {
    let mut totals = Totals::default();
    // SAFETY: C fills the struct, whose layout `tests::layouts_agree` compares with C's; the local lives during the
    // call (rule 23).
    unsafe { finalite_allocator_totals(&raw mut totals) };
    totals
}

/// Returns the bytes in use by SQLite's own statistics; 0 where they are off.
pub(crate) fn memory_used() -> i64 {
    // SAFETY: takes no argument; c3ref/memory_highwater.html: returns a number, which SQLite reads under a mutex of its
    // own, so on any thread (rules 12, 13).
    unsafe { ffi::sqlite3_memory_used() }
}

/// Returns the peak of the bytes in use by SQLite's own statistics; 0 where they are off.
pub(crate) fn memory_highwater() -> i64 {
    // SAFETY: as in `memory_used` (rules 12, 13); c3ref/memory_highwater.html: the mark is reset "if and only if the
    // parameter" is true, and it is 0.
    unsafe { ffi::sqlite3_memory_highwater(0) }
}

/// Returns the blocks in use by SQLite's own statistics; 0 where they are off.
pub(crate) fn malloc_count() -> i64 {
    let (mut now, mut highest) = (0, 0);
    // SAFETY: both pointers are to local integers; c3ref/status.html: with 0 resets nothing. SQLite reads the numbers
    // under a mutex of its own, so on any thread (rules 12, 13).
    unsafe { ffi::sqlite3_status64(ffi::SQLITE_STATUS_MALLOC_COUNT, &raw mut now, &raw mut highest, 0) };
    now
}

pub(crate) fn set_limit(bytes: Option<u64>) {
    let bytes = bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(i64::MAX);
    // SAFETY: the function takes a number and stores it atomically (rule 23).
    unsafe { finalite_allocator_set_limit(bytes) };
}

/// Installs the functions of `allocator.c` as SQLite's allocator.
///
/// # Safety
///
/// No other thread uses SQLite during the call: c3ref/config.html: `sqlite3_config` "is not threadsafe".
pub(crate) unsafe fn install() -> c_int {
    // SAFETY: no other thread uses SQLite during the call (the caller's promise), and SQLite refuses the methods after
    // its start (c3ref/config.html, SQLITE_MISUSE; rule 13). The methods are a static of `allocator.c` (rule 23).
    unsafe { finalite_allocator_install() }
}

// ---- Rust's global allocator behind SQLite ----

/// Alignment of blocks. malloc aligns to 16 bytes on 64-bit systems, and the header of 16 bytes preserves that.
const ALIGN: usize = 16;

unsafe extern "C" fn allocate(bytes: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else {
        return ptr::null_mut();
    };
    // SAFETY: the size is not 0: C adds its header of 16 bytes to the requested size. C gives the block back to
    // `reallocate` or `release` only (rule 22).
    unsafe { alloc::alloc(layout) }.cast()
}

unsafe extern "C" fn reallocate(block: *mut c_void, before: usize, bytes: usize) -> *mut c_void {
    let (Ok(layout), true) = (Layout::from_size_align(before, ALIGN), bytes <= isize::MAX as usize - ALIGN) else {
        return ptr::null_mut();
    };
    // SAFETY: the block is from `allocate` or this function, and has this size, which C read from its header (rule 22).
    // The new size is not 0, as it includes the header, and rounded up to `ALIGN` it fits in `isize` by the check
    // above.
    unsafe { alloc::realloc(block.cast(), layout, bytes) }.cast()
}

unsafe extern "C" fn release(block: *mut c_void, bytes: usize) {
    if let Ok(layout) = Layout::from_size_align(bytes, ALIGN) {
        // SAFETY: the block is from `allocate` or `reallocate` with this size, which C read from its header; C releases
        // it once and does not read it again (rule 22).
        unsafe { alloc::dealloc(block.cast(), layout) };
    }
}

/// Sets whether new blocks come from Rust's global allocator.
pub(crate) fn use_rust_global(yes: bool) {
    static BACKEND: Backend = Backend { allocate, reallocate, release };
    // SAFETY: the struct is a static, and its functions live as long as the library (rule 23).
    unsafe { finalite_allocator_use_rust(&raw const BACKEND, c_int::from(yes)) };
}

pub(crate) fn uses_rust_global() -> bool {
    // SAFETY: the function takes no argument and reads one word atomically (rule 23).
    unsafe { finalite_allocator_uses_rust() != 0 }
}

// ---- fault injection ----

/// An armed fault: makes allocations fail until it is dropped or replaced.
#[cfg(feature = "fault-injection")]
#[derive(Debug)]
pub(crate) struct Fault {
    number: i64,
    all_threads: bool,
    /// A thread's fault must be disarmed on the same thread: not `Send`.
    _stays: PhantomData<*const ()>,
}

#[cfg(feature = "fault-injection")]
impl Fault {
    pub(crate) fn arm(after: u64, sticky: bool, all_threads: bool) -> Self {
        let after = i64::try_from(after).unwrap_or(i64::MAX - 1);
        // SAFETY: the function takes numbers, and stores them in words of this thread, or in atomic ones (rule 23).
        let number = unsafe { finalite_fault_arm(after, c_int::from(sticky), c_int::from(all_threads)) };
        Self { number, all_threads, _stays: PhantomData }
    }

    /// Returns the number of allocations that it made fail.
    pub(crate) fn failures(&self) -> u64 {
        // SAFETY: the function takes numbers, and reads words of this thread, or atomic ones (rule 23).
        let failed = unsafe { finalite_fault_failed(self.number, c_int::from(self.all_threads)) };
        failed.cast_unsigned()
    }
}

#[cfg(feature = "fault-injection")]
impl Drop for Fault {
    fn drop(&mut self) {
        // SAFETY: the function takes numbers, and stores in words of this thread, as `self` is not `Send`, or in atomic
        // ones (rule 23).
        unsafe { finalite_fault_disarm(self.number, c_int::from(self.all_threads)) };
    }
}

// ---- accounts ----

/// Storage for one connection's account. It lives as long as the process, and is reused by another connection once no
/// block is charged to it.
#[repr(align(64))]
#[derive(Debug)]
struct AccountSlot {
    words: Words,
    is_claimed: AtomicBool,
    /// Id of the connection that claimed the slot last; it remains after that connection closes.
    owner: AtomicU64,
    site: AtomicPtr<Location<'static>>,
    is_reported: AtomicBool,
}

/// All slots. They are never freed, so that a block's header may point to one for ever.
static SLOTS: AppendList<AccountSlot> = AppendList::new();

impl AccountSlot {
    fn memory(&self) -> AccountMemory {
        let sum = |own: &AtomicI64, foreign: &AtomicI64| {
            let sum = own.load(Ordering::Relaxed) + foreign.load(Ordering::Relaxed);
            u64::try_from(sum).unwrap_or(0)
        };
        let bytes = sum(&self.words.own_bytes, &self.words.foreign_bytes);
        AccountMemory {
            bytes,
            peak_bytes: u64::try_from(self.words.peak_bytes.load(Ordering::Relaxed)).unwrap_or(0).max(bytes),
            blocks: sum(&self.words.own_blocks, &self.words.foreign_blocks),
        }
    }

    fn account(&self) -> Option<ConnectionAccount> {
        let connection = self.owner.load(Ordering::Acquire);
        // SAFETY: the pointer is NULL, or was made by `claim` from a `&'static` reference, so it is valid whichever
        // claim stored it (rule 23).
        let site = unsafe { self.site.load(Ordering::Relaxed).as_ref() }?;
        Some(ConnectionAccount { connection, site, memory: self.memory() })
    }

    /// Returns the account of a closed connection to which blocks are still charged.
    fn lingering(&self) -> Option<ConnectionAccount> {
        if self.is_claimed.load(Ordering::Acquire) {
            return None;
        }
        let account = self.account()?;
        // Another connection may have claimed the slot since, and charged blocks to it: the words read are then not the
        // closed connection's.
        fence(Ordering::Acquire);
        let is_still =
            !self.is_claimed.load(Ordering::Relaxed) && self.owner.load(Ordering::Relaxed) == account.connection;
        (is_still && account.memory.blocks > 0).then_some(account)
    }

    fn is_vacant(&self) -> bool {
        !self.is_claimed.load(Ordering::Relaxed) && self.memory().blocks == 0 && self.memory().bytes == 0
    }

    /// Claims the slot if no connection has claimed it and no block is charged to it; then no other thread writes to
    /// its words.
    fn try_claim(&self) -> bool {
        if !self.is_vacant() || self.is_claimed.swap(true, Ordering::Acquire) {
            return false;
        }
        // Another connection may have claimed and released the slot between the two checks.
        let is_empty = self.memory() == AccountMemory { bytes: 0, blocks: 0, ..self.memory() };
        if !is_empty {
            self.is_claimed.store(false, Ordering::Release);
        }
        is_empty
    }
}

/// Memory charged to a connection, with the connection's id and site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionAccount {
    pub(crate) connection: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) memory: AccountMemory,
}

/// A connection's account; `None` if the counting allocator is not in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(Option<&'static AccountSlot>);

thread_local! {
    /// Slot that this thread released last, so that opening and closing connections in turn needs no search.
    static RECENT: Cell<Option<&'static AccountSlot>> = const { Cell::new(None) };
    /// Address of C's thread-local words of this thread.
    static THREAD: Cell<Option<NonNull<ThreadWords>>> = const { Cell::new(None) };
}

impl Account {
    pub(super) fn claim(owner: u64, site: &'static Location<'static>) -> Self {
        if mode() != Mode::Counting {
            return Self(None);
        }
        let recent = RECENT.try_with(Cell::take).ok().flatten().filter(|slot| slot.try_claim());
        let slot = recent.or_else(|| SLOTS.iter().find(|slot| slot.try_claim())).unwrap_or_else(Self::new_slot);
        slot.words.own_bytes.store(0, Ordering::Relaxed);
        slot.words.own_blocks.store(0, Ordering::Relaxed);
        slot.words.foreign_bytes.store(0, Ordering::Relaxed);
        slot.words.foreign_blocks.store(0, Ordering::Relaxed);
        slot.words.peak_bytes.store(0, Ordering::Relaxed);
        slot.is_reported.store(false, Ordering::Relaxed);
        slot.site.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        slot.owner.store(owner, Ordering::Release);
        // A reader that sees a value charged from here on also sees the claim.
        fence(Ordering::Release);
        Self(Some(slot))
    }

    fn new_slot() -> &'static AccountSlot {
        SLOTS.push(AccountSlot {
            words: Words::default(),
            is_claimed: AtomicBool::new(true),
            owner: AtomicU64::new(0),
            site: AtomicPtr::default(),
            is_reported: AtomicBool::new(false),
        })
    }

    pub(super) fn memory(self) -> AccountMemory {
        self.0.map(AccountSlot::memory).unwrap_or_default()
    }

    /// Releases the connection's claim. Blocks that are not yet freed stay charged to the slot, which no other
    /// connection can claim until they are freed.
    pub(super) fn release(self) {
        if let Some(slot) = self.0 {
            let peak = slot.words.peak_bytes.load(Ordering::Relaxed);
            // SAFETY: the function takes a number, and writes one word atomically (rule 23).
            unsafe { finalite_allocator_raise_peak(peak) };
            slot.is_claimed.store(false, Ordering::Release);
            let _ = RECENT.try_with(|recent| recent.set(Some(slot)));
        }
    }

    /// Charges SQLite's allocations on this thread to this connection, until the guard is dropped.
    #[inline(always)]
    pub(super) fn charge(self) -> Charge {
        Charge::to(self.0.map_or(ptr::null(), |slot| &raw const slot.words))
    }
}

/// Guard that charges SQLite's allocations on this thread to an account. Dropping it restores the previous account.
pub(super) struct Charge {
    thread: NonNull<ThreadWords>,
    before: *const Words,
    /// The guard belongs to one thread: not `Send`.
    _stays: PhantomData<*const ()>,
}

impl Charge {
    /// Charges SQLite's allocations to no account: for callbacks, in which another driver may be used.
    #[inline(always)]
    pub(super) fn to_nobody() -> Self {
        Self::to(ptr::null())
    }

    #[inline(always)]
    fn to(account: *const Words) -> Self {
        let thread = THREAD.try_with(Cell::get).ok().flatten().unwrap_or_else(find_thread);
        // SAFETY: the pointer is to C's thread-local words of this thread: `find_thread` stores it in a thread-local of
        // the same thread, and the words live as long as the thread. No C code runs on this thread while the reference
        // exists. The account lives as long as the process (rule 23).
        let before = unsafe { thread.as_ref() }.account.replace(account);
        Self { thread, before, _stays: PhantomData }
    }
}

impl Drop for Charge {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as in `to`: `self` is not `Send`, so this is the same thread, and `before` is NULL or an account
        // (rule 23).
        unsafe { self.thread.as_ref() }.account.set(self.before);
    }
}

#[cold]
#[inline(never)]
fn find_thread() -> NonNull<ThreadWords> {
    // SAFETY: the function takes no argument, and returns the address of a thread-local variable (rule 23).
    let thread = unsafe { finalite_allocator_thread() };
    let thread = NonNull::new(thread).expect("a variable has an address");
    let _ = THREAD.try_with(|words| words.set(Some(thread)));
    thread
}

/// Returns the accounts of open connections.
pub(crate) fn accounts() -> impl Iterator<Item = ConnectionAccount> {
    SLOTS.iter().filter(|slot| slot.is_claimed.load(Ordering::Acquire)).filter_map(AccountSlot::account)
}

/// Returns the accounts of closed connections to which blocks are still charged.
pub(crate) fn lingering() -> impl Iterator<Item = ConnectionAccount> {
    SLOTS.iter().filter_map(AccountSlot::lingering)
}

/// Returns those of [`lingering`] that were not returned by an earlier call.
pub(crate) fn lingering_unreported() -> impl Iterator<Item = ConnectionAccount> {
    SLOTS.iter().filter_map(|slot| {
        let lingering = slot.lingering()?;
        (!slot.is_reported.swap(true, Ordering::Relaxed)).then_some(lingering)
    })
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn layouts_agree() {
        let rust = [
            size_of::<Words>(),
            offset_of!(Words, own_bytes),
            offset_of!(Words, own_blocks),
            offset_of!(Words, peak_bytes),
            offset_of!(Words, foreign_bytes),
            offset_of!(Words, foreign_blocks),
            size_of::<ThreadWords>(),
            offset_of!(ThreadWords, account),
            size_of::<Totals>(),
            offset_of!(Totals, limit_bytes),
            offset_of!(Totals, failures_injected),
            offset_of!(Totals, sizes),
            size_of::<Backend>(),
            size_of::<ffi::sqlite3_mem_methods>(),
            // Size of the header, which Rust does not declare; SQLite's alignment depends on it.
            16,
        ];
        let mut c = [0; 32];
        // SAFETY: the array has room for the 32 words that are passed as its capacity, which C does not exceed
        // (rule 23).
        let count = unsafe { finalite_allocator_layout(c.as_mut_ptr(), 32) };
        assert_eq!(c[..usize::try_from(count).unwrap()], rust);
    }
}

//! SQLite's memory: the counting allocator of `allocator.c`, and the accounts that connections have with it.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::iter;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU64, Ordering, fence};

use super::ffi;

// The structs below mirror those of the same names in allocator.c; `tests::layouts_agree` compares them.

/// An account, as C writes it.
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

/// What the shards hold together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) bytes: i64,
    pub(crate) peak_bytes: i64,
    /// `i64::MAX`: none.
    pub(crate) limit_bytes: i64,
    pub(crate) allocated: i64,
    pub(crate) reallocations: i64,
    pub(crate) frees: i64,
    pub(crate) failures_system: i64,
    pub(crate) failures_limit: i64,
    pub(crate) failures_injected: i64,
    pub(crate) foreign_blocks: i64,
    /// Allocations by size: up to 2^n bytes, and more than 2^(n-1).
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

/// Who counts SQLite's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Counting,
    MemStatus,
    None,
}

/// `Mode` once SQLite has been used; 0 before.
static MODE: AtomicU8 = AtomicU8::new(0);

pub(crate) fn mode() -> Mode {
    match MODE.load(Ordering::Relaxed) {
        1 => Mode::Counting,
        2 => Mode::MemStatus,
        3 => Mode::None,
        // SAFETY: takes no argument, and reads one word.
        _ if unsafe { finalite_allocator_is_installed() } != 0 => Mode::Counting,
        _ => Mode::MemStatus,
    }
}

/// Looks who counts, once SQLite has allocated something: methods that were accepted may have been replaced before
/// SQLite was used, and cannot be asked for after (`SQLITE_CONFIG_GETMALLOC` is refused then).
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
    // SAFETY: the struct is the one that C fills (`tests::layouts_agree`), and lives during the call.
    unsafe { finalite_allocator_totals(&raw mut totals) };
    totals
}

/// Bytes by SQLite's own count; 0 where that is off.
pub(crate) fn memory_used() -> i64 {
    // SAFETY: takes no argument; c3ref/memory_highwater.html: may be called at any time.
    unsafe { ffi::sqlite3_memory_used() }
}

/// The most bytes by SQLite's own count; 0 where that is off.
pub(crate) fn memory_highwater() -> i64 {
    // SAFETY: c3ref/memory_highwater.html: may be called at any time, and 0 resets nothing.
    unsafe { ffi::sqlite3_memory_highwater(0) }
}

/// Blocks by SQLite's own count; 0 where that is off.
pub(crate) fn malloc_count() -> i64 {
    let (mut now, mut highest) = (0, 0);
    // SAFETY: both pointers are to integers of ours; c3ref/status.html: resets nothing with 0.
    unsafe { ffi::sqlite3_status64(ffi::SQLITE_STATUS_MALLOC_COUNT, &raw mut now, &raw mut highest, 0) };
    now
}

pub(crate) fn set_limit(bytes: Option<u64>) {
    let bytes = bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(i64::MAX);
    // SAFETY: takes a number, and stores it.
    unsafe { finalite_allocator_set_limit(bytes) };
}

/// Makes the shim SQLite's allocator.
///
/// # Safety
///
/// No other thread uses SQLite during the call: c3ref/config.html: `sqlite3_config` "is not threadsafe".
pub(super) unsafe fn install() -> c_int {
    // SAFETY: nobody else uses SQLite now (the caller's promise); the methods live as long as the process.
    unsafe { finalite_allocator_install() }
}

// ---- Rust's global allocator behind SQLite ----

/// malloc aligns to 16 on 64-bit systems; the shim's header keeps it.
const ALIGN: usize = 16;

unsafe extern "C" fn allocate(bytes: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else {
        return ptr::null_mut();
    };
    // SAFETY: the shim adds its header to what SQLite wants, so the size is not 0.
    unsafe { alloc::alloc(layout) }.cast()
}

unsafe extern "C" fn reallocate(block: *mut c_void, before: usize, bytes: usize) -> *mut c_void {
    let (Ok(layout), true) = (Layout::from_size_align(before, ALIGN), bytes <= isize::MAX as usize - ALIGN) else {
        return ptr::null_mut();
    };
    // SAFETY: the block is from `allocate` with this size, as its header says; the new size is not 0 and fits.
    unsafe { alloc::realloc(block.cast(), layout, bytes) }.cast()
}

unsafe extern "C" fn release(block: *mut c_void, bytes: usize) {
    if let Ok(layout) = Layout::from_size_align(bytes, ALIGN) {
        // SAFETY: the block is from `allocate` with this size, as its header says, and freed here alone.
        unsafe { alloc::dealloc(block.cast(), layout) };
    }
}

/// Whether new blocks come from Rust's global allocator.
pub(crate) fn use_rust_global(yes: bool) {
    static BACKEND: Backend = Backend { allocate, reallocate, release };
    // SAFETY: the struct and its functions live as long as the library.
    unsafe { finalite_allocator_use_rust(&raw const BACKEND, c_int::from(yes)) };
}

pub(crate) fn uses_rust_global() -> bool {
    // SAFETY: takes no argument, and reads one word.
    unsafe { finalite_allocator_uses_rust() != 0 }
}

// ---- fault injection ----

/// Makes allocations fail, until it is disarmed or replaced.
#[cfg(feature = "fault-injection")]
#[derive(Debug)]
pub(crate) struct Fault {
    number: i64,
    all_threads: bool,
    /// Counts on its own thread.
    _stays: PhantomData<*const ()>,
}

#[cfg(feature = "fault-injection")]
impl Fault {
    pub(crate) fn arm(after: u64, sticky: bool, all_threads: bool) -> Self {
        let after = i64::try_from(after).unwrap_or(i64::MAX - 1);
        // SAFETY: takes numbers, and stores them in words of this thread, or in atomic ones.
        let number = unsafe { finalite_fault_arm(after, c_int::from(sticky), c_int::from(all_threads)) };
        Self { number, all_threads, _stays: PhantomData }
    }

    /// The allocations that it made fail.
    pub(crate) fn failures(&self) -> u64 {
        // SAFETY: takes numbers; reads words of this thread, or atomic ones.
        let failed = unsafe { finalite_fault_failed(self.number, c_int::from(self.all_threads)) };
        failed.cast_unsigned()
    }
}

#[cfg(feature = "fault-injection")]
impl Drop for Fault {
    fn drop(&mut self) {
        // SAFETY: takes numbers; stores in words of this thread, as `self` is not `Send`, or in atomic ones.
        unsafe { finalite_fault_disarm(self.number, c_int::from(self.all_threads)) };
    }
}

// ---- accounts ----

/// A place for one connection's account. It lives as long as the process, and goes to the next connection when nothing
/// is charged to it any more.
#[repr(align(64))]
#[derive(Debug)]
struct Slot {
    words: Words,
    is_claimed: AtomicBool,
    /// The connection's id and site, also of one that closed and left blocks behind.
    owner: AtomicU64,
    site: AtomicPtr<Location<'static>>,
    is_reported: AtomicBool,
    next: Option<&'static Slot>,
}

/// All slots, the newest first. A list without a lock, as in `counts`: a child process finds it whole.
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

fn newest() -> Option<&'static Slot> {
    // SAFETY: NULL, or a slot that `Account::claim` leaked: never freed, and shared only from then on. Acquire pairs
    // with the release that published it.
    unsafe { SLOTS.load(Ordering::Acquire).as_ref() }
}

fn slots() -> impl Iterator<Item = &'static Slot> {
    iter::successors(newest(), |slot| slot.next)
}

impl Slot {
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
        // SAFETY: NULL, or a reference to a static that `claim` stored.
        let site = unsafe { self.site.load(Ordering::Relaxed).as_ref() }?;
        Some(ConnectionAccount { connection, site, memory: self.memory() })
    }

    /// What a closed connection left behind.
    fn lingering(&self) -> Option<ConnectionAccount> {
        if self.is_claimed.load(Ordering::Acquire) {
            return None;
        }
        let account = self.account()?;
        // A connection may have claimed it meanwhile, and charged it: then the words are not the closed one's.
        fence(Ordering::Acquire);
        let is_still =
            !self.is_claimed.load(Ordering::Relaxed) && self.owner.load(Ordering::Relaxed) == account.connection;
        (is_still && (account.memory.blocks > 0 || account.memory.bytes > 0)).then_some(account)
    }

    fn is_vacant(&self) -> bool {
        !self.is_claimed.load(Ordering::Relaxed) && self.memory().blocks == 0 && self.memory().bytes == 0
    }

    /// Nothing is charged to it and nobody claims it, so nobody else writes to its words.
    fn try_claim(&self) -> bool {
        if !self.is_vacant() || self.is_claimed.swap(true, Ordering::Acquire) {
            return false;
        }
        // Another connection may have come and gone between the two.
        let is_empty = self.memory() == AccountMemory { bytes: 0, blocks: 0, ..self.memory() };
        if !is_empty {
            self.is_claimed.store(false, Ordering::Release);
        }
        is_empty
    }
}

/// What is charged to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountMemory {
    pub(crate) bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) blocks: u64,
}

/// What is charged to a connection, and which one that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionAccount {
    pub(crate) connection: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) memory: AccountMemory,
}

/// A connection's account; none where finalite does not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(Option<&'static Slot>);

thread_local! {
    /// The slot that this thread gave back last: opening and closing in turn need no search.
    static RECENT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    /// Where C keeps this thread's words.
    static THREAD: Cell<Option<NonNull<ThreadWords>>> = const { Cell::new(None) };
}

impl Account {
    pub(super) fn claim(owner: u64, site: &'static Location<'static>) -> Self {
        if mode() != Mode::Counting {
            return Self(None);
        }
        let recent = RECENT.try_with(Cell::take).ok().flatten().filter(|slot| slot.try_claim());
        let slot = recent.or_else(|| slots().find(|slot| slot.try_claim())).unwrap_or_else(Self::new_slot);
        slot.words.own_bytes.store(0, Ordering::Relaxed);
        slot.words.own_blocks.store(0, Ordering::Relaxed);
        slot.words.foreign_bytes.store(0, Ordering::Relaxed);
        slot.words.foreign_blocks.store(0, Ordering::Relaxed);
        slot.words.peak_bytes.store(0, Ordering::Relaxed);
        slot.is_reported.store(false, Ordering::Relaxed);
        slot.site.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        slot.owner.store(owner, Ordering::Release);
        // Whoever sees what is charged from here on sees the claim too.
        fence(Ordering::Release);
        Self(Some(slot))
    }

    fn new_slot() -> &'static Slot {
        let slot = Box::leak(Box::new(Slot {
            words: Words::default(),
            is_claimed: AtomicBool::new(true),
            owner: AtomicU64::new(0),
            site: AtomicPtr::default(),
            is_reported: AtomicBool::new(false),
            next: None,
        }));
        loop {
            let head = newest();
            slot.next = head;
            let head = head.map_or(ptr::null_mut(), |head| ptr::from_ref(head).cast_mut());
            let published = ptr::from_mut(slot);
            if SLOTS.compare_exchange(head, published, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return slot;
            }
        }
    }

    pub(super) fn memory(self) -> AccountMemory {
        self.0.map(Slot::memory).unwrap_or_default()
    }

    /// Ends the connection's claim. Blocks that outlive it stay charged to the slot, which nobody else gets until they
    /// are freed.
    pub(super) fn release(self) {
        if let Some(slot) = self.0 {
            let peak = slot.words.peak_bytes.load(Ordering::Relaxed);
            // SAFETY: takes a number; writes one word, atomically.
            unsafe { finalite_allocator_raise_peak(peak) };
            slot.is_claimed.store(false, Ordering::Release);
            let _ = RECENT.try_with(|recent| recent.set(Some(slot)));
        }
    }

    /// What SQLite allocates on this thread is this connection's, until the guard is dropped.
    #[inline(always)]
    pub(super) fn charge(self) -> Charge {
        Charge::to(self.0.map_or(ptr::null(), |slot| &raw const slot.words))
    }
}

/// What SQLite allocates on this thread is charged to an account, until this is dropped: then to the one before.
pub(super) struct Charge {
    thread: NonNull<ThreadWords>,
    before: *const Words,
    /// Of one thread.
    _stays: PhantomData<*const ()>,
}

impl Charge {
    /// What SQLite allocates is nobody's: for callbacks, in which another driver may be used.
    #[inline(always)]
    pub(super) fn to_nobody() -> Self {
        Self::to(ptr::null())
    }

    #[inline(always)]
    fn to(account: *const Words) -> Self {
        let thread = THREAD.try_with(Cell::get).ok().flatten().unwrap_or_else(find_thread);
        // SAFETY: C's thread-local words of this thread, which live as long as it. C does not run now, and the
        // reference ends before it does. The account pointed to lives as long as the process.
        let before = unsafe { thread.as_ref() }.account.replace(account);
        Self { thread, before, _stays: PhantomData }
    }
}

impl Drop for Charge {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as in `to`; `self` is not `Send`, so this is the same thread.
        unsafe { self.thread.as_ref() }.account.set(self.before);
    }
}

#[cold]
#[inline(never)]
fn find_thread() -> NonNull<ThreadWords> {
    // SAFETY: takes no argument, and returns the address of a thread-local variable.
    let thread = unsafe { finalite_allocator_thread() };
    let thread = NonNull::new(thread).expect("a variable has an address");
    let _ = THREAD.try_with(|words| words.set(Some(thread)));
    thread
}

/// The accounts of open connections.
pub(crate) fn accounts() -> impl Iterator<Item = ConnectionAccount> {
    slots().filter(|slot| slot.is_claimed.load(Ordering::Acquire)).filter_map(Slot::account)
}

/// What closed connections left behind.
pub(crate) fn lingering() -> impl Iterator<Item = ConnectionAccount> {
    slots().filter_map(Slot::lingering)
}

/// What closed connections left behind and nobody has been told of.
pub(crate) fn lingering_unreported() -> impl Iterator<Item = ConnectionAccount> {
    slots().filter_map(|slot| {
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
            // The header, which Rust does not see: SQLite's alignment rests on it.
            16,
        ];
        let mut c = [0; 32];
        // SAFETY: the array has room for as many words as are said.
        let count = unsafe { finalite_allocator_layout(c.as_mut_ptr(), 32) };
        assert_eq!(c[..usize::try_from(count).unwrap()], rust);
    }
}

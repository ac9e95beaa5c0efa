//! Who counts, in processes that begin differently: SQLite takes its allocator once.

use std::ffi::{c_int, c_void};

use finalite::memory::{self, Backend, Mode};
use finalite::{Connection, ErrorKind, LeakCheck, ffi};

use crate::runner::{Case, case};

pub const CASES: &[Case] = &[
    case!(counting_unless_told_otherwise),
    case!(another_word_in_the_variable_changes_nothing).with_allocator("stocks"),
    case!(stock_leaves_sqlites_own_allocator).with_allocator("stock"),
    case!(stock_without_statistics_is_none).with_allocator("stock"),
    case!(an_install_that_comes_too_late_is_refused).with_allocator("stock"),
    case!(an_install_after_another_driver_is_refused).with_allocator("stock"),
    case!(an_install_first_of_all_counts).with_allocator("stock"),
    case!(another_allocator_that_comes_after_wins),
    case!(another_allocator_with_statistics_wins),
    case!(what_wraps_the_allocator_leaves_it_counting),
    case!(a_first_open_without_memory_decides_nothing),
    case!(a_first_open_under_a_limit_decides_nothing),
    #[cfg(target_os = "linux")]
    case!(a_statement_is_prepared_in_a_late_destructor),
];

fn counting_unless_told_otherwise() {
    assert_eq!(memory::mode(), Mode::Counting, "before anything is open");
    assert_counting();
    // SAFETY: nobody else uses SQLite in this process.
    unsafe { memory::install() }.unwrap();
    assert_counting();
}

fn another_word_in_the_variable_changes_nothing() {
    assert_counting();
}

fn stock_leaves_sqlites_own_allocator() {
    assert_eq!(memory::mode(), Mode::MemStatus);
    assert_memstatus();
}

fn stock_without_statistics_is_none() {
    configure(ffi::SQLITE_CONFIG_MEMSTATUS, 0);
    assert_none();
}

fn an_install_that_comes_too_late_is_refused() {
    let conn = Connection::open_in_memory().unwrap();
    // SAFETY: nobody else uses SQLite in this process.
    let error = unsafe { memory::install() }.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("already used"), "{error}");
    work(&conn);
    conn.close().unwrap();
    assert_memstatus();
}

fn an_install_after_another_driver_is_refused() {
    let block = Theirs::allocate(100);
    // SAFETY: nobody else uses SQLite in this process.
    assert!(unsafe { memory::install() }.is_err());
    assert_memstatus();
    drop(block);
}

fn an_install_first_of_all_counts() {
    // SAFETY: nobody else uses SQLite in this process.
    unsafe { memory::install() }.unwrap();
    assert_eq!(memory::mode(), Mode::Counting);
    assert_counting();
    // SAFETY: as above.
    unsafe { memory::install() }.unwrap();
}

fn another_allocator_that_comes_after_wins() {
    let theirs = theirs::METHODS;
    configure(ffi::SQLITE_CONFIG_MALLOC, &raw const theirs);
    assert_none();
}

fn another_allocator_with_statistics_wins() {
    let theirs = theirs::METHODS;
    configure(ffi::SQLITE_CONFIG_MALLOC, &raw const theirs);
    configure(ffi::SQLITE_CONFIG_MEMSTATUS, 1);
    assert_memstatus();
}

fn what_wraps_the_allocator_leaves_it_counting() {
    let mut ours = theirs::METHODS;
    configure(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut ours);
    configure(ffi::SQLITE_CONFIG_MALLOC, &raw const ours);
    assert_counting();
}

fn a_first_open_without_memory_decides_nothing() {
    let fault = memory::fail_after(0);
    assert!(matches!(Connection::open_in_memory().unwrap_err().kind(), ErrorKind::NoMemory { .. }));
    assert_eq!(fault.disarm(), 1);
    assert_counting();
}

fn a_first_open_under_a_limit_decides_nothing() {
    memory::set_limit(0).unwrap();
    let conn = Connection::open_in_memory();
    let query = |conn: Connection| conn.query_one::<Vec<u8>>("SELECT zeroblob(100000)", ());
    assert!(matches!(conn.and_then(query).unwrap_err().kind(), ErrorKind::NoMemory { .. }));
    memory::set_limit(None).unwrap();
    assert_counting();
}

#[cfg(target_os = "linux")]
fn a_statement_is_prepared_in_a_late_destructor() {
    use std::ffi::c_uint;
    use std::sync::atomic::{AtomicBool, Ordering};
    unsafe extern "C" {
        fn pthread_key_create(key: *mut c_uint, destructor: unsafe extern "C" fn(*mut c_void)) -> c_int;
        fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    }
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn ends(value: *mut c_void) {
        // SAFETY: what the thread gave away.
        let conn = unsafe { Box::from_raw(value.cast::<Connection>()) };
        IS_DONE.store(conn.prepare("SELECT 1").is_ok(), Ordering::Relaxed);
    }
    let mut key = 0;
    // SAFETY: the pointer is to a number of ours, and the function is of the program.
    assert_eq!(unsafe { pthread_key_create(&raw mut key, ends) }, 0);
    let work = move || {
        let conn = Box::into_raw(Box::new(Connection::open_in_memory().unwrap()));
        // SAFETY: the key is there; `ends` takes the connection back.
        assert_eq!(unsafe { pthread_setspecific(key, conn.cast()) }, 0);
    };
    std::thread::spawn(work).join().unwrap();
    assert!(IS_DONE.load(Ordering::Relaxed));
}

/// What must work whoever counts.
fn work(conn: &Connection) {
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(300000))").unwrap();
    assert_eq!(conn.query_one::<Vec<u8>>("SELECT a FROM t", ()).unwrap().len(), 300_000);
    let statement = conn.prepare("SELECT a FROM t").unwrap();
    assert!(statement.memory().bytes > 0);
    assert!(conn.memory().page_cache_bytes > 300_000);
    conn.release_memory().unwrap();
}

fn assert_counting() {
    let before = memory::stats();
    let check = LeakCheck::new();
    let conn = Connection::open_in_memory().unwrap();
    work(&conn);
    let stats = memory::stats();
    assert_eq!((stats.mode, stats.backend), (Mode::Counting, Backend::System));
    assert_eq!(memory::mode(), Mode::Counting);
    assert_eq!(stats.bytes - before.bytes, conn.memory().bytes);
    assert!(conn.memory().bytes > 300_000 && stats.allocations_total > before.allocations_total);
    assert_eq!(own_statistics(), 0, "SQLite's own are off");
    drop(conn);
    assert_eq!(memory::stats().bytes, before.bytes);
    assert!(check.finish().is_clean());
}

fn assert_memstatus() {
    let conn = Connection::open_in_memory().unwrap();
    work(&conn);
    let stats = memory::stats();
    assert_eq!((stats.mode, memory::mode()), (Mode::MemStatus, Mode::MemStatus));
    assert!(stats.bytes > 300_000 && stats.blocks > 50);
    assert_eq!(stats.bytes, own_statistics());
    assert!(stats.peak_bytes >= stats.bytes);
    let bytes = stats.bytes;
    assert_not_counting(&conn);
    drop(conn);
    assert!(memory::stats().bytes < bytes - 300_000);
}

fn assert_none() {
    let conn = Connection::open_in_memory().unwrap();
    work(&conn);
    let stats = memory::stats();
    assert_eq!((stats.mode, memory::mode()), (Mode::None, Mode::None));
    assert_eq!((stats.bytes, stats.blocks, stats.peak_bytes), (0, 0, 0));
    assert_not_counting(&conn);
}

fn assert_not_counting(conn: &Connection) {
    let memory = conn.memory();
    assert_eq!((memory.bytes, memory.blocks, memory.peak_bytes), (0, 0, 0));
    let stats = memory::stats();
    assert_eq!((stats.allocations_total, stats.frees_total, stats.foreign_blocks_total), (0, 0, 0));
    assert_eq!((stats.unattributed_bytes, stats.size_histogram), (0, [0; 32]));
    for refused in [memory::set_limit(1_000_000), memory::set_limit(None), memory::set_backend(Backend::RustGlobal)] {
        let error = refused.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(memory::mode().name()), "{error}");
    }
    assert_eq!(memory::stats().limit_bytes, None);
    let check = LeakCheck::for_connection(conn);
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    drop(check.finish());
}

fn own_statistics() -> u64 {
    // SAFETY: takes no argument.
    u64::try_from(unsafe { ffi::sqlite3_memory_used() }).unwrap()
}

/// Sets one option of the library, before its first use.
fn configure<T>(option: c_int, value: T) {
    // SAFETY: nobody uses SQLite yet in this process, and the value is of the type that the option takes.
    assert_eq!(unsafe { ffi::sqlite3_config(option, value) }, ffi::SQLITE_OK);
}

/// A block that another driver asked for.
struct Theirs(*mut c_void);

impl Theirs {
    fn allocate(bytes: u64) -> Self {
        // SAFETY: takes a number.
        let block = unsafe { ffi::sqlite3_malloc64(bytes) };
        assert!(!block.is_null());
        Self(block)
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        // SAFETY: the block is from SQLite.
        unsafe { ffi::sqlite3_free(self.0) };
    }
}

/// Another crate's allocator.
mod theirs {
    use std::ffi::{c_int, c_void};
    use std::ptr;

    use finalite::ffi;

    unsafe extern "C" {
        fn malloc(bytes: usize) -> *mut c_void;
        fn realloc(block: *mut c_void, bytes: usize) -> *mut c_void;
        fn free(block: *mut c_void);
    }

    /// The size stands before the block.
    const HEADER: usize = 16;

    fn finish(start: *mut c_void, bytes: c_int) -> *mut c_void {
        if start.is_null() {
            return start;
        }
        // SAFETY: room for the header is there.
        unsafe { start.cast::<c_int>().write(bytes) };
        start.wrapping_byte_add(HEADER)
    }

    fn with_header(bytes: c_int) -> usize {
        usize::try_from(bytes).unwrap() + HEADER
    }

    unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
        // SAFETY: takes a number.
        finish(unsafe { malloc(with_header(bytes)) }, bytes)
    }

    unsafe extern "C" fn resize(block: *mut c_void, bytes: c_int) -> *mut c_void {
        // SAFETY: the block is from here, and begins with its header.
        finish(unsafe { realloc(block.wrapping_byte_sub(HEADER), with_header(bytes)) }, bytes)
    }

    unsafe extern "C" fn release(block: *mut c_void) {
        // SAFETY: the block is from here, and begins with its header.
        unsafe { free(block.wrapping_byte_sub(HEADER)) };
    }

    unsafe extern "C" fn size(block: *mut c_void) -> c_int {
        // SAFETY: the block is from here, and begins with its header.
        unsafe { block.wrapping_byte_sub(HEADER).cast::<c_int>().read() }
    }

    unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
        (bytes + 7) & !7
    }

    unsafe extern "C" fn begin(_: *mut c_void) -> c_int {
        ffi::SQLITE_OK
    }

    unsafe extern "C" fn end(_: *mut c_void) {}

    pub(super) const METHODS: ffi::sqlite3_mem_methods = ffi::sqlite3_mem_methods {
        xMalloc: Some(allocate),
        xFree: Some(release),
        xRealloc: Some(resize),
        xSize: Some(size),
        xRoundup: Some(round_up),
        xInit: Some(begin),
        xShutdown: Some(end),
        pAppData: ptr::null_mut(),
    };
}

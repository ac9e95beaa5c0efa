//! The sweep sees what it looks for: drivers that have the faults, a few lines each.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::Mutex;

use finalite::memory::{self, AllocationFault, Backend};
use finalite::{Connection, Error, ErrorKind, OpenOptions, Result, ffi};

use super::Place::{File, Memory};
use super::Run::{Alone, Exclusive, Shared, Writing};
use super::{Of, Run, Scenario, Way, sweep, utf16};
use crate::allocator::{CONTENT, overwritten, watch};
use crate::runner::cases;

cases![
    freed_memory_is_poisoned_while_armed,
    the_mark_of_a_failed_conversion,
    the_mark_of_a_failed_expansion,
    bound_text_is_charged,
    a_fault_outlives_the_one_before,
    the_sweep_sees_what_is_wrong,
    a_fault_keeps_to_its_threads,
];

/// What is wrong with each, and the word by which the sweep tells.
const BROKEN: &[(&str, &str, Run)] = &[
    (
        "an error path forgets a block",
        "what is left",
        Shared(Memory, |conn| {
            let block = lose(100);
            conn.prepare("SELECT a, b FROM t")?;
            find(block);
            Ok(())
        }),
    ),
    (
        "opening forgets a block",
        "left something",
        Alone(|_| {
            let block = lose(100);
            Connection::open_in_memory()?;
            find(block);
            Ok(())
        }),
    ),
    (
        "an error path forgets a statement",
        "statements: 1",
        Shared(Memory, |conn| {
            let first = conn.prepare("SELECT a FROM t")?;
            conn.prepare("SELECT b FROM t ORDER BY a").inspect_err(|_| std::mem::forget(first)).map(drop)
        }),
    ),
    (
        "the error is told as another",
        "told as",
        Shared(Memory, |conn| conn.prepare("SELECT a FROM t").map(drop).map_err(|_| Error::external("no"))),
    ),
    (
        "the error is not looked at",
        "panic: assertion",
        Shared(Memory, |conn| {
            let rows = conn.query_all::<i64>("SELECT a FROM t", ()).unwrap_or_default().len();
            assert_eq!(rows, 3);
            Ok(())
        }),
    ),
    (
        "half of it is stored",
        "the data is",
        Writing(File, |conn| {
            conn.execute("INSERT INTO t VALUES (7, 'sieben', NULL)", ())?;
            conn.execute("UPDATE t SET c = x'010203' WHERE a = 7", ())?;
            Ok(())
        }),
    ),
    (
        "the transaction stays open",
        "a transaction is open",
        Exclusive(Memory, |conn| {
            conn.execute("BEGIN", ())?;
            conn.query_one::<i64>("SELECT count(*) FROM t", ())?;
            conn.execute("COMMIT", ())?;
            Ok(())
        }),
    ),
    (
        "an error path forgets its authorizer",
        "another statement comes to",
        Shared(Memory, |conn| {
            authorize(conn, Some(deny));
            Connection::open_in_memory()?;
            authorize(conn, None);
            Ok(())
        }),
    ),
];

/// Blocks that are lost now.
static LOST: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn lose(bytes: i32) -> *mut c_void {
    // SAFETY: takes a number. The block is freed by `find`.
    let block = unsafe { ffi::sqlite3_malloc(bytes) };
    LOST.lock().unwrap().push(block.expose_provenance());
    block
}

fn find(block: *mut c_void) {
    LOST.lock().unwrap().retain(|&lost| lost != block.addr());
    // SAFETY: from `lose`, or NULL, which is ignored; once, as it is off the list.
    unsafe { ffi::sqlite3_free(block) };
}

type Authorizer =
    unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char, *const c_char, *const c_char) -> c_int;

unsafe extern "C" fn deny(
    _: *mut c_void,
    _: c_int,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    ffi::SQLITE_DENY
}

fn authorize(conn: &Connection, authorizer: Option<Authorizer>) {
    // SAFETY: the connection is open, and the function lives as long as the program.
    unsafe { ffi::sqlite3_set_authorizer(conn.as_raw(), authorizer, ptr::null_mut()) };
}

fn the_sweep_sees_what_is_wrong() {
    for &(name, sign, run) in BROKEN {
        for sticky in [false, true] {
            let way = Way { sticky, lookaside: false, all_threads: false, of: Of::Allocations };
            let finding = sweep(&Scenario { name, run }, way).finding.unwrap_or_default();
            assert!(finding.contains(sign), "{name}, {way:?}: {finding:?}");
            let lost: Vec<usize> = LOST.lock().unwrap().clone();
            lost.into_iter().for_each(|block| find(ptr::with_exposed_provenance_mut(block)));
        }
    }
    assert_eq!((memory::stats().bytes, memory::stats().blocks), (0, 0));
}

/// A fault is of its thread, unless it is of all.
fn a_fault_keeps_to_its_threads() {
    let opens_elsewhere =
        || std::thread::scope(|scope| scope.spawn(|| Connection::open_in_memory().is_ok()).join().unwrap());
    let fault = AllocationFault::after(0).sticky(true).arm();
    assert!(opens_elsewhere());
    assert_eq!(fault.failures(), 0);
    Connection::open_in_memory().unwrap_err();
    assert!(fault.disarm() > 0);

    let fault = AllocationFault::after(0).sticky(true).all_threads(true).arm();
    assert!(!opens_elsewhere());
    assert!(fault.disarm() > 0);
    assert!(opens_elsewhere());
}

/// What SQLite frees while a fault is armed is overwritten, and what it makes larger or smaller is elsewhere.
fn freed_memory_is_poisoned_while_armed() {
    const BYTES: usize = 1000;
    let watched = || {
        // SAFETY: takes a number.
        let block = unsafe { ffi::sqlite3_malloc64(BYTES as u64) };
        assert!(!block.is_null());
        // SAFETY: the block has that many bytes.
        unsafe { ptr::write_bytes(block.cast::<u8>(), CONTENT, BYTES) };
        watch(block.addr());
        block
    };
    // SAFETY: from `watched`, and not used again.
    let free = |block| unsafe { ffi::sqlite3_free(block) };

    memory::set_backend(Backend::RustGlobal).unwrap();
    free(watched());
    assert_eq!(overwritten(), 0, "nothing is armed");
    for all_threads in [false, true] {
        let fault = AllocationFault::after(u64::MAX).all_threads(all_threads).arm();
        free(watched());
        assert_eq!(overwritten(), BYTES);
        for size in [BYTES as u64 / 2, BYTES as u64 * 2] {
            let block = watched();
            // SAFETY: from `watched`; only its address is used again.
            let moved = unsafe { ffi::sqlite3_realloc64(block, size) };
            assert_ne!(moved.addr(), block.addr());
            assert_eq!(overwritten(), BYTES);
            // SAFETY: the block is at least half as long, and was copied that far.
            let copied = unsafe { slice::from_raw_parts(moved.cast::<u8>(), BYTES / 2) };
            assert!(copied.iter().all(|&byte| byte == CONTENT));
            free(moved);
        }
        assert_eq!(fault.disarm(), 0);
    }
    free(watched());
    assert_eq!(overwritten(), 0, "nothing is armed any more");
    memory::set_backend(Backend::System).unwrap();
}

/// A conversion from UTF-16 that finds no memory leaves a mark on the connection, which would fail the *next* call,
/// whichever statement's. The cell that failed takes the error and the mark.
fn the_mark_of_a_failed_conversion() {
    let conn = utf16(OpenOptions::new().lookaside(0, 0));
    let mut other = conn.prepare("SELECT 7").unwrap();
    let mut statement = conn.prepare("SELECT b FROM t ORDER BY a").unwrap();
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    let fault = memory::fail_after(0);
    let error = row.get::<&str>(0).unwrap_err();
    assert_eq!(fault.disarm(), 1);
    assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{error:?}");
    assert_eq!(other.query_one::<i64>(()).unwrap(), 7);
    conn.prepare("SELECT 8").unwrap();
    // The rows end with the error: what was not read is not taken for the end.
    assert!(matches!(rows.next().unwrap_err().kind(), ErrorKind::NoMemory { .. }));
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    assert_eq!(statement.query_all::<String>(()).unwrap().len(), 3);

    // Forgotten rows take the mark of their failed cell with them: only the call that ends them may hear of it.
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    let fault = memory::fail_after(0);
    row.get::<&str>(0).unwrap_err();
    drop(fault);
    std::mem::forget(rows);
    drop(statement.query(()));
    assert_eq!(statement.query_all::<String>(()).unwrap().len(), 3);

    // The control: reading through `value` functions alone leaves the mark for a stranger.
    let mut raw = ptr::null_mut();
    // SAFETY: the connection is open, and each call is given what the one before made.
    unsafe {
        ffi::sqlite3_prepare_v2(
            conn.as_raw(),
            c"SELECT b FROM t ORDER BY a".as_ptr(),
            -1,
            &raw mut raw,
            ptr::null_mut(),
        );
        assert_eq!(ffi::sqlite3_step(raw), ffi::SQLITE_ROW);
        let value = ffi::sqlite3_column_value(raw, 0);
        let _fault = memory::fail_after(0);
        assert!(ffi::sqlite3_value_text(value).is_null());
    }
    let stranger = other.query_one::<i64>(());
    let is_marked = stranger.is_err() || conn.prepare("SELECT 9").is_err();
    assert!(is_marked, "the mark fails a call that has nothing to do with it");
    // SAFETY: made above, and finalized here alone.
    unsafe { ffi::sqlite3_finalize(raw) };
}

/// The text of a statement, for which bound text is converted from UTF-16: no mark either.
fn the_mark_of_a_failed_expansion() {
    let conn = utf16(OpenOptions::new().lookaside(0, 0));
    let mut other = conn.prepare("SELECT 7").unwrap();
    let mut statement = conn.prepare("SELECT ?").unwrap();
    let mut check = |expand: &mut dyn FnMut() -> Result<Box<str>>| {
        for n in 0.. {
            let fault = memory::fail_after(n);
            let text = expand();
            if fault.disarm() == 0 {
                return assert_eq!(&*text.unwrap(), "SELECT 'grüße'");
            }
            assert!(matches!(text.unwrap_err().kind(), ErrorKind::NoMemory { .. }));
            assert_eq!(other.query_one::<i64>(()).unwrap(), 7, "point {n}");
        }
    };
    check(&mut || statement.expanded_sql(("grüße",)));
    let rows = statement.query(("grüße",)).unwrap();
    check(&mut || rows.expanded_sql());
}

/// What binding allocates is its connection's, whether the text is borrowed or given away.
fn bound_text_is_charged() {
    let conn = utf16(OpenOptions::new());
    let text = "ä".repeat(10_000);
    let mut statement = conn.prepare("SELECT ?").unwrap();
    for is_owned in [true, false] {
        let before = conn.memory().bytes;
        let rows = if is_owned { statement.query((text.clone(),)) } else { statement.query((&text,)) };
        assert!(conn.memory().bytes - before >= 20_000, "owned: {is_owned}");
        drop(rows);
        assert_eq!(conn.memory().bytes, before, "owned: {is_owned}");
    }
}

/// A fault that another has replaced takes nothing with it.
fn a_fault_outlives_the_one_before() {
    let replaced = memory::fail_after(1000);
    let fault = memory::fail_after(0);
    drop(replaced);
    Connection::open_in_memory().unwrap_err();
    assert_eq!(fault.disarm(), 1);
}

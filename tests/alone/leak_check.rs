//! `LeakCheck` finds what is left, each kind of it, and names the line that opened it; and nothing where nothing is
//! left.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Barrier, Mutex, PoisonError, mpsc};
use std::thread;

use finalite::handles::{self, HandleKind, TrackingLevel};
use finalite::{Connection, LeakCheck, LeakReport, ProcessSnapshot, ffi};

use crate::runner::{Case, case};

pub const CASES: &[Case] = &[
    case!(nothing_is_left within at_each_level),
    case!(open_handles within at_each_level),
    case!(a_cache_that_grows within at_each_level),
    case!(forgotten_handles within at_each_level),
    case!(descriptors_and_threads within at_each_level),
    case!(native_memory within at_each_level),
    case!(dropping_panics_where_something_is_left within at_each_level),
    case!(nested_checks within at_each_level),
    case!(the_level_stays_and_sites_are_known_at_any within at_each_level),
    case!(one_connection within at_each_level),
    case!(memory_of_one_connection within at_each_level),
    case!(parallel_connections within at_each_level),
    case!(a_leak_is_found_beside_something_that_went within at_each_level),
    case!(rows_of_an_older_statement_are_named within at_each_level),
    case!(the_site_of_the_watched_connection_is_named within at_each_level),
    case!(what_others_forget_hides_nothing within at_each_level),
    case!(a_connection_that_cannot_be_closed),
];

#[track_caller]
fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// The report has each of these lines, and no other leak.
#[track_caller]
fn assert_found(report: &LeakReport, lines: &[&str]) {
    let text = report.to_string();
    assert!(!report.is_clean(), "{text}");
    for line in lines {
        assert!(text.contains(line), "«{line}» is not in\n{text}");
    }
}

#[track_caller]
fn assert_clean(report: &LeakReport) {
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.to_string(), "nothing is left");
    assert!(report.open().is_empty() && report.forgotten().is_empty());
}

/// A line of this file, as reports name it.
fn at(line: u32) -> String {
    format!("opened at {}:{line}:", file!())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a case at each level, which must clean up.
fn at_each_level(case: fn()) {
    // What a process makes once is made before: a first thread, SQLite's own start.
    thread::spawn(|| drop(memory())).join().unwrap();
    for level in [TrackingLevel::Records, TrackingLevel::Counters, TrackingLevel::Backtraces] {
        println!("at {level:?}");
        handles::set_level(level);
        let before = ProcessSnapshot::now();
        case();
        assert_eq!(handles::level(), level);
        // The kernel lists a thread that was joined for a moment.
        while ProcessSnapshot::now().threads > before.threads {
            thread::yield_now();
        }
        assert_eq!(ProcessSnapshot::now(), before, "the case cleans up");
    }
}

fn nothing_is_left() {
    let check = LeakCheck::new();
    let mut conn = memory();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let tx = conn.transaction().unwrap();
    let mut statement = tx.prepare("SELECT a FROM t").unwrap();
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2]);
    tx.commit().unwrap();
    drop(statement);
    conn.close().unwrap();
    thread::spawn(|| drop(memory())).join().unwrap();
    drop(File::open("Cargo.toml").unwrap());
    assert_clean(&check.finish());
    drop(LeakCheck::new());
    drop(LeakCheck::default());

    // What was there before is no leak, nor is it that it went.
    let conn = memory();
    let statement = conn.prepare("SELECT 1").unwrap();
    let check = LeakCheck::new();
    drop(statement);
    drop(conn);
    assert_clean(&check.finish());
}

fn open_handles() {
    let mut conn = memory();
    // BEGIN and SAVEPOINT come into the cache, and stay there.
    drop(conn.transaction().unwrap().savepoint().unwrap());
    conn.transaction().unwrap().commit().unwrap();

    let check = LeakCheck::new();
    let (statement, line) = (conn.prepare("SELECT 'kept'").unwrap(), line!());
    let report = check.finish();
    assert_found(&report, &["statements: 0 before, 1 after", &at(line), "SELECT 'kept'"]);
    assert_eq!(report.open().iter().map(|record| record.kind).collect::<Vec<_>>(), [HandleKind::Statement]);
    assert!(report.forgotten().is_empty());
    drop(statement);

    let check = LeakCheck::new();
    let (mut statement, line) = (conn.prepare("VALUES (1)").unwrap(), line!());
    let rows = statement.query(()).unwrap();
    assert_found(
        &check.finish(),
        &["statements: 0 before, 1 after", "rows: 0 before, 1 after", &at(line), ", running"],
    );
    drop(rows);
    drop(statement);

    let check = LeakCheck::new();
    let (other, line) = (memory(), line!());
    let report = check.finish();
    assert_found(&report, &["connections: 1 before, 2 after", "native bytes: ", "native blocks: ", &at(line)]);
    assert!(!report.to_string().contains("file descriptors") && !report.to_string().contains("threads"), "{report}");
    drop(other);

    let check = LeakCheck::new();
    let (mut tx, line) = (conn.transaction().unwrap(), line!());
    let (savepoint, savepoint_line) = (tx.savepoint().unwrap(), line!());
    let lines = ["transactions: 0 before, 1 after", "savepoints: 0 before, 1 after", &at(line), &at(savepoint_line)];
    assert_found(&check.finish(), &lines);
    drop(savepoint);
    drop(tx);
}

fn a_cache_that_grows() {
    let conn = memory();
    let mut line = 0;
    let check = LeakCheck::new();
    for n in 0..3 {
        conn.execute(&format!("SELECT {n}"), ()).unwrap();
        line = line!() - 1;
    }
    let report = check.finish();
    assert_found(&report, &["cached statements: 0 before, 3 after", &at(line), "SELECT 0", "SELECT 2"]);
    assert_eq!(report.open().len(), 3);

    let check = LeakCheck::new();
    (0..3).for_each(|n| assert_eq!(conn.execute(&format!("SELECT {n}"), ()).unwrap(), 0));
    assert_clean(&check.finish());
}

fn forgotten_handles() {
    let check = LeakCheck::new();
    let mut conn = memory();
    let (mut statement, line) = (conn.prepare("SELECT 'forgotten'").unwrap(), line!());
    forget(statement.query(()).unwrap());
    forget(statement);
    let (cached, cached_line) = (conn.prepare_cached("SELECT 'of the cache'").unwrap(), line!());
    forget(cached);
    let (mut tx, tx_line) = (conn.transaction().unwrap(), line!());
    let (savepoint, savepoint_line) = (tx.savepoint().unwrap(), line!());
    forget(savepoint);
    forget(tx);
    drop(conn);
    let report = check.finish();
    assert!(report.open().is_empty());
    let sites: Vec<_> = report.forgotten().iter().map(|one| (one.kind, one.opened_at.unwrap().line())).collect();
    let expected = [
        (HandleKind::Savepoint, savepoint_line),
        (HandleKind::Transaction, tx_line),
        (HandleKind::Rows, line),
        (HandleKind::Statement, line),
        (HandleKind::CachedStatement, cached_line),
    ];
    assert_eq!(sites.len(), expected.len(), "{report}");
    assert!(expected.iter().all(|one| sites.contains(one)), "{report}");
    assert_found(
        &report,
        &["forgotten: rows of connection ", "forgotten: transaction of ", &at(line), "SELECT 'of the cache'"],
    );
    assert!(!report.to_string().contains(" before, "), "they are ended: {report}");
}

fn descriptors_and_threads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("left-open");
    let check = LeakCheck::new();
    let file = File::create(&path).unwrap();
    let report = check.finish();
    assert_found(&report, &["file descriptors: ", path.to_str().unwrap()]);
    assert!(report.open().is_empty());
    // The same file once more: its name alone does not tell.
    let check = LeakCheck::new();
    let again = File::open(&path).unwrap();
    assert_found(&check.finish(), &["file descriptors: ", path.to_str().unwrap()]);
    drop(again);
    // One goes, and another comes in its place.
    let check = LeakCheck::new();
    drop(file);
    let other = File::create(dir.path().join("other")).unwrap();
    assert_found(&check.finish(), &["file descriptors: ", "/other"]);
    drop(other);

    let check = LeakCheck::new();
    let before = ProcessSnapshot::now().threads;
    let (stop, stopped) = mpsc::channel::<()>();
    let helper = thread::spawn(move || stopped.recv());
    assert_found(&check.finish(), &[&format!("threads: {before} before, {} after", before + 1)]);
    drop(stop);
    let _ = helper.join();
    drop(LeakCheck::new());
}

fn leak_native(bytes: c_int) -> *mut c_void {
    // SAFETY: c3ref/free.html: may be called at any time.
    let block = unsafe { ffi::sqlite3_malloc(bytes) };
    assert!(!block.is_null());
    block
}

fn free_native(block: *mut c_void) {
    // SAFETY: from `leak_native`, freed once.
    unsafe { ffi::sqlite3_free(block) };
}

fn native_memory() {
    let check = LeakCheck::new();
    let before = ProcessSnapshot::now();
    let block = leak_native(12345);
    let report = check.finish();
    let bytes = format!("native bytes: {} before, {} after", before.native_bytes, before.native_bytes + 12345);
    let blocks = format!("native blocks: {} before, {} after", before.native_blocks, before.native_blocks + 1);
    assert_found(&report, &[&bytes, &blocks]);
    free_native(block);
    drop(LeakCheck::new());
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().unwrap()).to_owned(),
    }
}

fn dropping_panics_where_something_is_left() {
    let mut kept = None;
    let mut line = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _check = LeakCheck::new();
        kept = Some(memory());
        line = line!() - 1;
    }));
    let text = message(result.unwrap_err());
    assert!(text.starts_with("something is left:") && text.contains(&at(line)), "{text}");
    drop(kept);

    // The panic of the test itself is the one that is seen; a second one would abort.
    let mut block = ptr::null_mut();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _check = LeakCheck::new();
        block = leak_native(1);
        panic!("the test's own");
    }));
    assert_eq!(message(result.unwrap_err()), "the test's own");
    free_native(block);

    // `finish` has looked already.
    let check = LeakCheck::new();
    let block = leak_native(1);
    assert!(!check.finish().is_clean());
    free_native(block);
}

fn nested_checks() {
    let outer = LeakCheck::new();
    let early = memory();
    let inner = LeakCheck::new();
    let conn = memory();
    let inner_report = inner.finish();
    assert_eq!(inner_report.open().len(), 1, "not the one that was there: {inner_report}");
    assert_found(&inner_report, &["connections: 1 before, 2 after"]);
    let inner = LeakCheck::new();
    drop(inner);
    drop(conn);
    let middle = LeakCheck::for_connection(&early);
    drop(early);
    drop(middle);
    assert_clean(&outer.finish());
}

fn the_level_stays_and_sites_are_known_at_any() {
    let level = handles::level();
    handles::set_level(TrackingLevel::Counters);
    let check = LeakCheck::new();
    let other = LeakCheck::new();
    assert_eq!(handles::level(), TrackingLevel::Counters);
    let (conn, line) = (memory(), line!());
    drop(catch_unwind(AssertUnwindSafe(|| drop(other))).unwrap_err());
    let (late, late_line) = (memory(), line!());
    let report = check.finish();
    assert_found(&report, &["connections: 0 before, 2 after", &at(line), &at(late_line)]);
    assert_eq!(report.open().len(), 2);
    assert_eq!(handles::level(), TrackingLevel::Counters);
    // Nobody asks any more.
    let unrecorded = memory();
    assert_eq!(handles::live().unrecorded.connections, 1);
    assert_eq!(handles::live().records.len(), 2);
    drop((conn, late, unrecorded));
    handles::set_level(level);
}

fn one_connection() {
    let mut conn = memory();
    let check = LeakCheck::for_connection(&conn);
    let tx = conn.transaction().unwrap();
    tx.execute("SELECT 1", ()).unwrap();
    tx.commit().unwrap();
    conn.close().unwrap();
    assert_clean(&check.finish());

    // It is to be closed by then.
    let conn = memory();
    let check = LeakCheck::for_connection(&conn);
    let (statement, line) = (conn.prepare("SELECT 1").unwrap(), line!());
    assert_found(&check.finish(), &["connections: 0 before, 1 after", &at(line)]);
    let check = LeakCheck::for_connection(&conn);
    forget(statement);
    drop(conn);
    let report = check.finish();
    assert_found(&report, &["forgotten: statement of connection ", &at(line)]);

    // What others do is not its business: handles, memory, descriptors, threads, what they forget.
    let conn = memory();
    let check = LeakCheck::for_connection(&conn);
    let other = memory();
    forget(other.prepare("SELECT 1").unwrap());
    drop(other);
    let left = (memory(), File::open("Cargo.toml").unwrap(), leak_native(1));
    drop(conn);
    assert_clean(&check.finish());
    free_native(left.2);

    let conn = memory();
    forget(conn.prepare("SELECT 1").unwrap());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _check = LeakCheck::for_connection(&conn);
        drop(conn);
    }));
    assert!(message(panic.unwrap_err()).contains("forgotten: statement"));
}

/// An SQL function that loses 777 bytes.
unsafe extern "C" fn lose(context: *mut ffi::sqlite3_context, _: c_int, _: *mut *mut ffi::sqlite3_value) {
    *lock(&LOST) = leak_native(777).addr();
    // SAFETY: the context of the running function.
    unsafe { ffi::sqlite3_result_null(context) };
}

/// Its address.
static LOST: Mutex<usize> = Mutex::new(0);

fn memory_of_one_connection() {
    let conn = memory();
    let check = LeakCheck::for_connection(&conn);
    // SAFETY: the connection is open, the name NUL-terminated, and the function takes no state.
    let code = unsafe {
        let (name, none) = (c"lose".as_ptr(), ptr::null_mut());
        ffi::sqlite3_create_function_v2(conn.as_raw(), name, 0, ffi::SQLITE_UTF8, none, Some(lose), None, None, None)
    };
    assert_eq!(code, ffi::SQLITE_OK);
    conn.execute("SELECT lose()", ()).unwrap();
    drop(conn);
    assert_found(&check.finish(), &["native bytes: 0 before, 777 after", "native blocks: 0 before, 1 after"]);
    free_native(ptr::with_exposed_provenance_mut(*lock(&LOST)));
}

/// Tests that run at the same time, one of which leaves something.
fn parallel_connections() {
    const THREADS: usize = 16;
    let barrier = Barrier::new(THREADS);
    let reports: Vec<LeakReport> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let mut conn = memory();
                    let check = LeakCheck::for_connection(&conn);
                    barrier.wait();
                    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
                    let tx = conn.transaction().unwrap();
                    let statement = tx.prepare("SELECT * FROM t").unwrap();
                    if n == 11 {
                        forget(statement)
                    } else {
                        drop(statement)
                    }
                    tx.commit().unwrap();
                    barrier.wait();
                    drop(conn);
                    check.finish()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, report) in reports.iter().enumerate() {
        if n == 11 {
            assert_found(report, &["forgotten: statement of connection ", "SELECT * FROM t"]);
        } else {
            assert_clean(report);
        }
    }
}

/// At one level alone: its count stays.
fn a_connection_that_cannot_be_closed() {
    let check = LeakCheck::new();
    let (conn, line) = (memory(), line!());
    let mut foreign = ptr::null_mut();
    // SAFETY: the connection is open, and the SQL NUL-terminated.
    unsafe { ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut foreign, ptr::null_mut()) };
    // SAFETY: used below, when finalite has given it up.
    let handle = unsafe { conn.as_raw() };
    drop(conn);
    let report = check.finish();
    // SAFETY: made above, finalized once.
    unsafe { ffi::sqlite3_finalize(foreign) };
    // SAFETY: finalite has left it behind.
    unsafe { ffi::sqlite3_close(handle) };
    assert_found(&report, &["connections: 0 before, 1 after", &at(line)]);
}

fn a_leak_is_found_beside_something_that_went() {
    let conn = memory();
    let old = conn.prepare("SELECT 'old'").unwrap();
    let check = LeakCheck::new();
    let kept = conn.prepare("SELECT 'kept'").unwrap();
    drop(old);
    let report = check.finish();
    assert_eq!(report.open().len(), 1);
    assert!(!report.is_clean() && report.to_string().contains("SELECT 'kept'"), "{report}");
    drop(kept);
}

fn rows_of_an_older_statement_are_named() {
    // Without a record from before the check, nobody knows the statement.
    let level = handles::level();
    handles::set_level(TrackingLevel::Records);
    let conn = memory();
    let mut old = conn.prepare("SELECT 'old'").unwrap();
    handles::set_level(level);
    let check = LeakCheck::new();
    let rows = old.query(()).unwrap();
    assert_found(&check.finish(), &["rows: 0 before, 1 after", "SELECT 'old'"]);
    drop(rows);
}

fn the_site_of_the_watched_connection_is_named() {
    let level = handles::level();
    handles::set_level(TrackingLevel::Counters);
    let (conn, line) = (memory(), line!());
    let check = LeakCheck::for_connection(&conn);
    handles::set_level(level);
    assert_found(&check.finish(), &["connections: 0 before, 1 after", &at(line)]);
}

fn what_others_forget_hides_nothing() {
    let conn = memory();
    let check = LeakCheck::for_connection(&conn);
    forget(conn.prepare("SELECT 1").unwrap());
    drop(conn);
    let other = memory();
    (0..256).for_each(|_| forget(other.prepare("SELECT 2").unwrap()));
    drop(other);
    assert!(!check.finish().is_clean());
}

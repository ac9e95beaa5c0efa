//! Extensions that finalite has made, in a program that finalite itself has made: connections that are closed in each way,
//! on many threads, and many times.
//!
//! Arguments: the library of the example, that of the probe.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread;
use std::time::Instant;

use finalite::extend::Replaced;
use finalite::{Connection, ffi, handles, memory};

static LIBRARIES: OnceLock<[String; 2]> = OnceLock::new();

fn probe() -> &'static str {
    &LIBRARIES.get().expect("set by main")[1]
}

fn texts() -> &'static str {
    &LIBRARIES.get().expect("set by main")[0]
}

fn load(conn: &Connection, library: &str, entry: Option<&str>) -> finalite::Result<()> {
    // SAFETY: a library that finalite has made, which keeps what `load_extension` asks for.
    unsafe { conn.load_extension(Path::new(library), entry) }
}

fn loaded() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    load(&conn, probe(), None).unwrap();
    conn
}

fn small() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    load(&conn, probe(), Some("sqlite3_probe_small_init")).unwrap();
    conn
}

/// Values and bytes of the library.
fn counts() -> (i64, i64) {
    let conn = small();
    conn.query_one("SELECT probe_alive(), probe_bytes()", ()).unwrap()
}

fn alive() -> i64 {
    counts().0
}

unsafe extern "C" {
    // The bindings leave out the first, and have the other with types that differ between their versions.
    fn sqlite3_close_v2(db: *mut ffi::sqlite3) -> c_int;
    fn sqlite3_auto_extension(entry: unsafe extern "C" fn()) -> c_int;
}

/// A connection by the C interface.
struct Raw(*mut ffi::sqlite3);

impl Raw {
    fn loaded(library: &str) -> Self {
        let mut db = ptr::null_mut();
        // SAFETY: a name and a place for the handle.
        assert_eq!(unsafe { ffi::sqlite3_open(c":memory:".as_ptr(), &raw mut db) }, ffi::SQLITE_OK);
        // SAFETY: an open connection; the arguments of this function.
        assert_eq!(unsafe { ffi::sqlite3_enable_load_extension(db, 1) }, ffi::SQLITE_OK);
        let library = CString::new(library).unwrap();
        // SAFETY: an open connection, and a library that finalite has made.
        let code = unsafe { ffi::sqlite3_load_extension(db, library.as_ptr(), ptr::null(), ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
        Self(db)
    }

    fn prepare(&self, sql: &CStr) -> *mut ffi::sqlite3_stmt {
        let mut statement = ptr::null_mut();
        // SAFETY: an open connection, a text and a place for the statement.
        let code = unsafe { ffi::sqlite3_prepare_v2(self.0, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK, "{sql:?}");
        statement
    }
}

fn step(statement: *mut ffi::sqlite3_stmt) -> c_int {
    // SAFETY: a statement that is not finalized.
    unsafe { ffi::sqlite3_step(statement) }
}

fn finalize(statement: *mut ffi::sqlite3_stmt) {
    // SAFETY: a statement that is not finalized, and not used again.
    unsafe { ffi::sqlite3_finalize(statement) };
}

const ROWS: &CStr = c"SELECT twice(n), kept('a'), lengths('abc') OVER () FROM local";

/// SQLite refuses to close a connection with a statement, and the functions go on.
fn rule_28_a_refused_close_ends_nothing() {
    let before = alive();
    let raw = Raw::loaded(probe());
    let statement = raw.prepare(c"SELECT twice(n), kept('a') FROM local");
    assert_eq!(step(statement), ffi::SQLITE_ROW);
    // SAFETY: an open connection.
    assert_eq!(unsafe { ffi::sqlite3_close(raw.0) }, ffi::SQLITE_BUSY);
    assert_eq!(step(statement), ffi::SQLITE_ROW);
    assert!(alive() > before);
    finalize(statement);
    // SAFETY: an open connection, which is not used again.
    assert_eq!(unsafe { ffi::sqlite3_close(raw.0) }, ffi::SQLITE_OK);
    assert_eq!(alive(), before);
}

/// A connection that is closed, and lives on until its last statement is finalized.
fn rule_28_a_zombie_has_its_functions() {
    let before = alive();
    for sql in
        [c"SELECT twice(n), kept('a') FROM local", c"SELECT moving_sum(n) OVER (ORDER BY n), twice(n) FROM local", ROWS]
    {
        let raw = Raw::loaded(probe());
        let mut statement = ptr::null_mut();
        // SAFETY: an open connection, a text and a place for the statement. The last one is an error: no window function.
        let code = unsafe { ffi::sqlite3_prepare_v2(raw.0, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
        if code == ffi::SQLITE_OK {
            assert_eq!(step(statement), ffi::SQLITE_ROW);
        }
        // SAFETY: an open connection, whose handle is not used again.
        assert_eq!(unsafe { sqlite3_close_v2(raw.0) }, ffi::SQLITE_OK);
        if code == ffi::SQLITE_OK {
            assert_eq!(step(statement), ffi::SQLITE_ROW);
            // SAFETY: a row of the statement.
            assert!(unsafe { ffi::sqlite3_column_int64(statement, 0) } > 0);
            finalize(statement);
        }
        assert_eq!(alive(), before, "{sql:?}");
    }
}

/// What a function reads leaves the statements of the host alone: none is prepared anew.
fn rule_28_reading_ends_no_statement() {
    let raw = Raw::loaded(probe());
    let prepared_anew = |statement| {
        // SAFETY: a statement that is not finalized.
        unsafe { ffi::sqlite3_stmt_status(statement, ffi::SQLITE_STMTSTATUS_REPREPARE, 0) }
    };
    let run = |statement: *mut ffi::sqlite3_stmt, rows: usize| {
        (0..rows).for_each(|_| assert_eq!(step(statement), ffi::SQLITE_ROW));
        assert_eq!(step(statement), ffi::SQLITE_DONE);
        // SAFETY: a statement that is not finalized.
        assert_eq!(unsafe { ffi::sqlite3_reset(statement) }, ffi::SQLITE_OK);
    };
    let change = |sql| {
        let statement = raw.prepare(sql);
        run(statement, 0);
        finalize(statement);
    };
    change(c"CREATE TABLE t(a)");
    change(c"INSERT INTO t VALUES (1), (2)");
    let kept = raw.prepare(c"SELECT a FROM t");
    let reading = raw.prepare(c"SELECT reads('SELECT ' || a) FROM t UNION ALL SELECT a FROM t");
    run(kept, 2);
    run(reading, 4);
    run(reading, 4);
    run(kept, 2);
    assert_eq!((prepared_anew(kept), prepared_anew(reading)), (0, 0));
    // The control: another schema.
    change(c"CREATE TABLE u(a)");
    run(kept, 2);
    assert_eq!(prepared_anew(kept), 1);
    finalize(kept);
    finalize(reading);
    // SAFETY: an open connection, which is not used again.
    assert_eq!(unsafe { ffi::sqlite3_close(raw.0) }, ffi::SQLITE_OK);
}

/// What the host registers takes the place of what the extension has.
fn rule_28_the_host_replaces_and_removes() {
    let conn = loaded();
    conn.execute_batch("CREATE VIRTUAL TABLE note USING notes; INSERT INTO note VALUES ('a')").unwrap();
    let before: i64 = conn.query_one("SELECT probe_alive()", ()).unwrap();
    assert_eq!(conn.create_scalar_function("twice", |n: i64| 3 * n).unwrap(), Replaced::Other);
    assert_eq!(conn.query_one::<(i64, i64)>("SELECT twice(2), probe_alive()", ()).unwrap(), (6, before - 1));
    // The table goes on with the module that is removed.
    conn.remove_module("notes").unwrap();
    conn.remove_module("local").unwrap();
    assert_eq!(conn.query_one::<String>("SELECT text FROM note", ()).unwrap(), "a");
    let found: i64 = conn.query_one("SELECT probe_alive()", ()).unwrap();
    assert!(found < before);
    conn.execute_batch("DROP TABLE note").unwrap();
    // Loading again brings all of it back.
    load(&conn, probe(), None).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT twice(n) FROM local LIMIT 1", ()).unwrap(), 2);
    conn.retain_modules(&[]).unwrap();
    assert!(conn.query_one::<i64>("SELECT n FROM local", ()).is_err());
    conn.close().unwrap();
}

/// Handles of the program that it forgets, while they use the extension.
fn rule_28_forgotten_handles() {
    let before = alive();
    let conn = loaded();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE tagged USING fts5(a, tokenize = 'tags'); INSERT INTO tagged VALUES ('red,light blue')",
    )
    .unwrap();
    assert!(conn.exists("SELECT 1 FROM tagged('\"light blue\"')", ()).unwrap());
    let mut statement = conn.prepare("SELECT twice(n), kept('a') FROM local").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
    conn.close().unwrap();
    assert_eq!(alive(), before);
}

fn two_extensions_and_the_host() {
    let conn = loaded();
    load(&conn, texts(), None).unwrap();
    conn.create_scalar_function("plus", |n: i64| n + 1).unwrap();
    let sql = "SELECT reads('SELECT plus(twice(length(longest(part)))) FROM split(''a bb'', '' '')'), reverse('abc')";
    assert_eq!(conn.query_one::<(i64, String)>(sql, ()).unwrap(), (5, "cba".into()));
    // What a function reads by ends with its call: the host can close its connection.
    assert_eq!(conn.query_one::<i64>("SELECT reads('SELECT twice(4)')", ()).unwrap(), 8);
    // A panic of the extension is an error here; one of the program's own is resumed.
    let error = conn.query_one::<i64>("SELECT boom(2)", ()).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    conn.create_scalar_function("own", |n: i64| -> i64 { panic!("own {n}") }).unwrap();
    let own = std::panic::AssertUnwindSafe(|| conn.query_one::<i64>("SELECT reads('SELECT own(1)')", ()));
    assert!(std::panic::catch_unwind(own).is_err());
    assert_eq!(conn.query_one::<i64>("SELECT twice(1)", ()).unwrap(), 2);
    conn.close().unwrap();
}

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn mmap(at: *mut c_void, len: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn mprotect(at: *mut c_void, len: usize, access: c_int) -> c_int;
}

/// An entry point of an extension.
type Entry = unsafe extern "C" fn(*mut ffi::sqlite3, *mut *mut c_char, *const c_void) -> c_int;

fn entry(name: &CStr) -> Entry {
    let library = CString::new(probe()).unwrap();
    // SAFETY: a library that is loaded already.
    let library = unsafe { dlopen(library.as_ptr(), 1) };
    // SAFETY: the library, and a name.
    let entry = unsafe { dlsym(library, name.as_ptr()) };
    assert!(!entry.is_null());
    // SAFETY: the entry point, which has this type.
    unsafe { std::mem::transmute::<*mut c_void, Entry>(entry) }
}

fn set_automatic(entry: Entry) {
    // SAFETY: SQLite calls it as what it is.
    let entry = unsafe { std::mem::transmute::<Entry, unsafe extern "C" fn()>(entry) };
    // SAFETY: the entry point of an extension, which stays loaded.
    unsafe { sqlite3_auto_extension(entry) };
}

/// An extension that each new connection has.
fn automatic() {
    set_automatic(entry(c"sqlite3_extension_init"));
    let conn = Connection::open_in_memory().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT twice(4)", ()).unwrap(), 8);
    // SAFETY: takes no argument.
    unsafe { ffi::sqlite3_reset_auto_extension() };
    conn.close().unwrap();
    assert!(Connection::open_in_memory().unwrap().query_one::<i64>("SELECT twice(4)", ()).is_err());
    // An error that the extension has handled is none of the host's.
    set_automatic(entry(c"sqlite3_probe_handled_init"));
    let opened = Connection::open_in_memory();
    // SAFETY: takes no argument.
    unsafe { ffi::sqlite3_reset_auto_extension() };
    assert_eq!(opened.unwrap().query_one::<i64>("SELECT handled()", ()).unwrap(), 1);
}

/// Of the table of functions, no more is read than the oldest version that is taken has, and of an older one no more than
/// its version and `malloc`. What lies behind cannot be read here.
fn rule_28_the_table_is_read_as_far_as_it_goes() {
    /// Places in `sqlite3_api_routines`, which only grows. 3.44 has added the last.
    const LIBVERSION_NUMBER: usize = 67;
    const MALLOC: usize = 68;
    const THREADSAFE: usize = 144;
    const SET_CLIENTDATA: usize = 269;
    const WORDS: usize = SET_CLIENTDATA + 1;
    const PAGE: usize = 0x1_0000;
    static TABLE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    unsafe extern "C" fn capture(_: *mut ffi::sqlite3, _: *mut *mut c_char, table: *const c_void) -> c_int {
        TABLE.store(table.cast_mut(), Ordering::Relaxed);
        ffi::SQLITE_OK
    }
    unsafe extern "C" fn old() -> c_int {
        3_045_002
    }
    set_automatic(capture);
    drop(Connection::open_in_memory().unwrap());
    // SAFETY: takes no argument.
    unsafe { ffi::sqlite3_reset_auto_extension() };
    // SAFETY: the host's table, which has more functions, for 3.54 is linked.
    let table = unsafe { std::slice::from_raw_parts(TABLE.load(Ordering::Relaxed).cast::<usize>(), WORDS) };
    let before_the_end = |words: &[usize]| -> *const c_void {
        // SAFETY: new memory of two pages of the largest size (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS).
        let pages = unsafe { mmap(ptr::null_mut(), 2 * PAGE, 3, 0x22, -1, 0) };
        // SAFETY: the second page.
        let behind = unsafe { pages.cast::<u8>().add(PAGE) };
        // SAFETY: the same.
        assert_eq!(unsafe { mprotect(behind.cast(), PAGE, 0) }, 0);
        // SAFETY: the end of the first page has room for them.
        let place = unsafe { behind.cast::<usize>().sub(words.len()) };
        // SAFETY: as above.
        unsafe { place.copy_from_nonoverlapping(words.as_ptr(), words.len()) };
        place.cast()
    };
    let raw = Raw::loaded(texts());
    let call = |table: *const c_void| {
        let mut message = ptr::null_mut();
        // SAFETY: the entry point with a connection, a place and a table.
        let code = unsafe { entry(c"sqlite3_extension_init")(raw.0, &raw mut message, table) };
        // SAFETY: NULL or a text of SQLite's.
        let text = (!message.is_null()).then(|| unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned());
        // SAFETY: as above, and freed once.
        unsafe { ffi::sqlite3_free(message.cast()) };
        (code, text.unwrap_or_default())
    };
    assert_eq!(call(ptr::null()), (ffi::SQLITE_ERROR, String::new()));
    assert_eq!(call(before_the_end(table)), (ffi::SQLITE_OK, String::new()));
    let mut short = table[..=MALLOC].to_vec();
    short[LIBVERSION_NUMBER] = old as *const () as usize;
    let (code, text) = call(before_the_end(&short));
    assert_eq!(code, ffi::SQLITE_ERROR);
    assert!(text.starts_with("this SQLite is 3.45.2, the extension needs 3.45.3"), "{text}");
    let mut lacking = table.to_vec();
    lacking[0] = 0;
    let (_, text) = call(before_the_end(&lacking));
    assert!(text.contains("compiled without sqlite3_aggregate_context"), "{text}");
    unsafe extern "C" fn unsafe_for_threads() -> c_int {
        0
    }
    let mut single = table.to_vec();
    single[THREADSAFE] = unsafe_for_threads as *const () as usize;
    let (_, text) = call(before_the_end(&single));
    assert!(text.contains("SQLITE_THREADSAFE=0"), "{text}");
    // Functions of another SQLite.
    let mut other = table.to_vec();
    other[1] = table[0];
    assert!(call(before_the_end(&other)).1.contains("another copy of SQLite"));
    // SAFETY: an open connection, which is not used again.
    assert_eq!(unsafe { ffi::sqlite3_close(raw.0) }, ffi::SQLITE_OK);
}

fn many_threads() {
    let before = alive();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..100 {
                    let conn = loaded();
                    assert_eq!(conn.query_one::<i64>("SELECT twice(?)", (n,)).unwrap(), 2 * n);
                    assert!(conn.query_one::<i64>("SELECT fails('x')", ()).is_err());
                    // It moves to another thread, and is closed there.
                    scope.spawn(move || {
                        assert_eq!(conn.query_all::<i64>("SELECT n FROM local", ()).unwrap(), [1, 2, 3]);
                        conn.close().unwrap();
                    });
                }
            });
        }
    });
    assert_eq!(alive(), before);
}

/// Runs loads, after which nothing is there that was not before.
fn measure(what: &str, loads: usize, run: impl Fn(usize)) {
    run(100);
    let (before, memory_before, started) = (counts(), memory::stats().bytes, Instant::now());
    run(loads);
    let (after, memory_after) = (counts(), memory::stats().bytes);
    println!("{loads} loads, {what}: {:?}", started.elapsed() / u32::try_from(loads).unwrap_or(1));
    assert_eq!(after.0, before.0, "{what}");
    // Lists grow to a power of two.
    assert!(after.1 - before.1 < 4096, "{what}: {before:?} {after:?}");
    // The connection has a list of the libraries that it has loaded, a pointer each.
    assert!(memory_after < memory_before + 16 * u64::try_from(loads).unwrap_or(0) + 4096, "{what}");
}

fn many_loads() {
    let loads: usize = std::env::var("LOADS").ok().and_then(|loads| loads.parse().ok()).unwrap_or(10_000);
    let of_new_connections = |loads: usize| (0..loads).for_each(|_| drop(small()));
    let one = small();
    let of_one = |loads: usize| (0..loads).for_each(|_| load(&one, probe(), Some("sqlite3_probe_small_init")).unwrap());
    measure("new connections", loads, of_new_connections);
    measure("one connection", loads / 5, of_one);
    // The control.
    let held: Vec<Connection> = (0..10).map(|_| small()).collect();
    assert!(alive() >= 10);
    drop(held);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let libraries = [arguments.next(), arguments.next()].map(|library| library.expect("two libraries"));
    LIBRARIES.set(libraries).expect("set once");
    drop(small());
    let before = handles::counts();
    let checks: [(&str, fn()); 10] = [
        ("rule_28_a_refused_close_ends_nothing", rule_28_a_refused_close_ends_nothing),
        ("rule_28_a_zombie_has_its_functions", rule_28_a_zombie_has_its_functions),
        ("rule_28_reading_ends_no_statement", rule_28_reading_ends_no_statement),
        ("rule_28_the_host_replaces_and_removes", rule_28_the_host_replaces_and_removes),
        ("rule_28_forgotten_handles", rule_28_forgotten_handles),
        ("two_extensions_and_the_host", two_extensions_and_the_host),
        ("automatic", automatic),
        ("rule_28_the_table_is_read_as_far_as_it_goes", rule_28_the_table_is_read_as_far_as_it_goes),
        ("many_threads", many_threads),
        ("many_loads", many_loads),
    ];
    for (name, check) in checks {
        check();
        println!("finalite: {name}");
    }
    assert_eq!(handles::counts(), before);
}

//! Whatever a program does with a connection, nothing is left when it is gone: no handle, no byte, no descriptor, no
//! thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::Mutex;

use finalite::insert::{InsertColumn, InsertOptions, OnConflict};
use finalite::{Connection, Error, OpenOptions, Param, ToSql, TransactionBehavior, ffi};

use crate::common::witness::{can_write, in_threads, left_by, nothing_left_by};
use crate::runner::cases;

cases![
    nothing_is_left_of_failed_opens,
    nothing_is_left_of_uses,
    nothing_is_left_of_statements_in_the_cache,
    nothing_is_left_of_expansions,
    nothing_is_left_of_prepares,
    a_failed_open_that_keeps_its_handle_is_seen,
    a_connection_without_an_owner_is_seen,
    a_connection_that_stayed_open_is_seen,
    a_thread_that_goes_on_is_seen,
    a_connection_that_is_kept_is_seen,
];

type Scenario = (&'static str, fn(&Path));

/// Ways to open that fail, each after SQLite has allocated something. What a driver keeps of these is lost for ever.
const FAILED_OPENS: &[Scenario] = &[
    ("a missing directory", |dir| fails(Connection::open(dir.join("missing/a.db")))),
    ("a directory", |dir| fails(Connection::open(dir))),
    ("no permission", |dir| {
        let path = dir.join("missing.db");
        fails(OpenOptions::new().create(false).open(path));
    }),
    ("an unknown VFS", |_| fails(OpenOptions::new().vfs("nowhere").open_in_memory())),
    ("NUL in the path", |_| fails(Connection::open("a\0b"))),
    ("not a database, seen by a pragma", |dir| {
        let path = dir.join("text.db");
        std::fs::write(&path, "x".repeat(4096)).unwrap();
        fails(OpenOptions::recommended().open(path));
    }),
    ("a pragma that does not take", |_| {
        fails(OpenOptions::new().pragma("journal_mode", "wal").open_in_memory());
    }),
    ("a failing init", |dir| {
        let options = OpenOptions::new().init(|conn| {
            conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a)")?;
            Err(Error::external("no"))
        });
        fails(options.open(dir.join("init.db")));
    }),
    ("a panicking init", |dir| {
        let options = OpenOptions::new().init(|conn| {
            let mut statement = conn.prepare("SELECT 1")?;
            let _rows = statement.query(())?;
            panic!("in init");
        });
        assert!(catch_unwind(AssertUnwindSafe(|| options.open(dir.join("init.db")))).is_err());
    }),
];

fn fails(result: finalite::Result<Connection>) {
    let error = result.unwrap_err();
    assert!(!error.to_string().is_empty());
}

fn open(dir: &Path) -> Connection {
    let conn = Connection::open(dir.join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b TEXT UNIQUE)").unwrap();
    conn
}

/// For a connection on its way between threads.
static KEPT: Mutex<Vec<Connection>> = Mutex::new(Vec::new());

/// What programs do, and how they stop doing it.
const USES: &[Scenario] = &[
    ("open and drop", |dir| drop(open(dir))),
    ("open and close", |dir| open(dir).close().unwrap()),
    ("columns that are inserted, refused, and given up", |dir| {
        let conn = open(dir);
        let (numbers, texts) = ((0..2000).collect::<Vec<i64>>(), vec!["text"; 2000]);
        let columns = || [("a", InsertColumn::from(&numbers)), ("b", InsertColumn::from(&texts))];
        conn.execute_batch("CREATE TEMP TABLE x(a UNIQUE, b)").unwrap();
        assert_eq!(conn.insert_columns("x", columns()).unwrap(), 2000);
        assert_eq!(conn.insert_columns("x", columns()).unwrap_err().row(), Some(0));
        let panics = InsertOptions::new().on_conflict(OnConflict::Replace).progress(100, |_| panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(|| panics.insert_columns(&conn, "x", columns()))).is_err());
        let nan = [vec![0.5; 1999], vec![f64::NAN]].concat();
        assert_eq!(conn.insert_columns("x", [("b", (&nan).into())]).unwrap_err().row(), Some(1999));
        drop(columns());
    }),
    ("wal", |dir| drop(OpenOptions::recommended().open(dir.join("wal.db")).unwrap())),
    ("a read-only connection", |dir| {
        drop(open(dir));
        let conn = OpenOptions::new().read_only(true).open(dir.join("a.db")).unwrap();
        conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    }),
    ("an interrupt handle that outlives its connection", |dir| {
        let handle = open(dir).interrupt_handle();
        assert!(!handle.interrupt());
    }),
    ("rows dropped half-read", |dir| {
        let conn = open(dir);
        let mut statement = conn.prepare("VALUES (1), (2), (3)").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
    }),
    ("200 statements at once", |dir| {
        let conn = open(dir);
        let statements: Vec<_> = (0..200).map(|_| conn.prepare("SELECT * FROM t WHERE a = ?").unwrap()).collect();
        // Not in the order they came.
        let (even, odd): (Vec<_>, Vec<_>) = statements.into_iter().enumerate().partition(|(n, _)| n % 2 == 0);
        drop(even);
        drop(odd);
    }),
    ("1,000 statements through a cache of 16", |dir| {
        let conn = open(dir);
        conn.set_statement_cache_limits(16, 1 << 20);
        for n in 0..1000 {
            conn.execute(&format!("SELECT {n}"), ()).unwrap();
        }
    }),
    ("statements that fail", |dir| {
        let conn = open(dir);
        for _ in 0..10 {
            conn.execute("nonsense", ()).unwrap_err();
            conn.execute("INSERT OR ABORT INTO t VALUES (1, 'x'), (1, 'x')", ()).unwrap_err();
            conn.query_one::<i64>("SELECT 'text'", ()).unwrap_err();
            conn.query_one::<i64>("SELECT ?", ()).unwrap_err();
            conn.execute_batch("BEGIN; SELECT 1; nonsense").unwrap_err();
        }
    }),
    ("a panic while binding", |dir| {
        struct Bomb;
        impl ToSql for Bomb {
            fn to_sql(&self) -> Param<'_> {
                panic!("while binding");
            }
        }
        let conn = open(dir);
        let text = String::from("bound before the panic");
        for _ in 0..3 {
            let run = || conn.query_one::<(String, i64)>("SELECT ?, ?", (&text, &Bomb));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
        assert_eq!(conn.query_one::<(i64, i64)>("SELECT ?, ?", (1, 2)).unwrap(), (1, 2));
    }),
    ("a panic while reading", |dir| {
        let conn = open(dir);
        let mut statement = conn.prepare("SELECT 1").unwrap();
        let read = || statement.query_row((), |_| -> finalite::Result<()> { panic!("while reading") });
        assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    }),
    ("a panic in a transaction", |dir| {
        let mut conn = open(dir);
        let work = || {
            let mut tx = conn.transaction_with(TransactionBehavior::Immediate).unwrap();
            let savepoint = tx.savepoint().unwrap();
            let mut statement = savepoint.prepare("SELECT 1").unwrap();
            let _rows = statement.query(()).unwrap();
            panic!("in a transaction");
        };
        assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        assert!(conn.is_autocommit());
    }),
    ("a connection made in one thread and closed in another, with its cache", |_| {
        in_threads(1, || {
            let conn = Connection::open_in_memory().unwrap();
            conn.execute("SELECT 1", ()).unwrap();
            KEPT.lock().unwrap().push(conn);
        });
        let conn = KEPT.lock().unwrap().pop().unwrap();
        conn.execute("SELECT 1", ()).unwrap();
    }),
    ("300 threads, each with a connection of its own", |_| {
        for _ in 0..30 {
            in_threads(10, || {
                Connection::open_in_memory().unwrap().execute("SELECT 1", ()).unwrap();
            });
        }
    }),
    ("a connection kept in a thread-local of a thread that ends", |_| {
        thread_local! {
            static OWN: std::cell::RefCell<Option<Connection>> = const { std::cell::RefCell::new(None) };
        }
        in_threads(1, || OWN.with(|own| *own.borrow_mut() = Some(Connection::open_in_memory().unwrap())));
    }),
    ("UTF-16, large values, expanded SQL", |_| {
        let conn = OpenOptions::new().pragma("encoding", "UTF-16").open_in_memory().unwrap();
        let text = "grüße ".repeat(10_000);
        let mut statement = conn.prepare("SELECT ?").unwrap();
        for _ in 0..10 {
            assert_eq!(statement.query_one::<String>((&text,)).unwrap(), text);
            assert!(statement.expanded_sql((&text,)).unwrap().len() > text.len());
        }
    }),
    ("a connection that SQLite refuses to close, and then closes", |dir| {
        let conn = open(dir);
        let mut foreign = ptr::null_mut();
        // SAFETY: the connection is open and the SQL NUL-terminated.
        unsafe { ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut foreign, ptr::null_mut()) };
        let error = conn.close_or_return().unwrap_err();
        // SAFETY: made above, finalized once.
        unsafe { ffi::sqlite3_finalize(foreign) };
        error.into_connection().close().unwrap();
    }),
];

fn nothing_is_left_of_failed_opens() {
    nothing_is_left_of(FAILED_OPENS);
}

fn nothing_is_left_of_uses() {
    nothing_is_left_of(USES);
}

fn nothing_is_left_of(scenarios: &[Scenario]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, scenario) in scenarios {
        // What a process makes once (SQLite's own start, a first thread) is made before the comparison.
        scenario(dir.path());
        nothing_left_by(name, || {
            for _ in 0..20 {
                scenario(dir.path());
            }
        });
    }
    drop(open(dir.path()));
    assert!(can_write(&dir.path().join("a.db")));
}

/// Runs this on a library that is initialized, which is nobody's leak.
fn nothing_left(name: &str, scenario: impl FnOnce()) {
    drop(Connection::open_in_memory().unwrap());
    nothing_left_by(name, scenario);
}

fn nothing_is_left_of_statements_in_the_cache() {
    nothing_left("100,000 statements through the cache", || through_the_cache(100_000));
}

fn nothing_is_left_of_expansions() {
    nothing_left("10,000 expansions", || expand(10_000));
}

fn nothing_is_left_of_prepares() {
    let times = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    nothing_left("a million prepares", || prepare_and_drop(times));
}

/// Reads one row of three, drops everything, and looks after each drop: the gauges are back at once.
fn prepare_and_drop(times: u32) {
    let conn = Connection::open_in_memory().unwrap();
    let idle = finalite::handles::counts();
    for _ in 0..times {
        let mut statement = conn.prepare("VALUES (1), (2), (3)").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        drop(rows);
        drop(statement);
        assert_eq!(finalite::handles::counts(), idle);
    }
}

/// Every SQL is another, as where values are written into it: the cache stays within its bounds all the way.
fn through_the_cache(times: usize) {
    const STATEMENTS_MAX: usize = 64;
    let (conn, unbounded) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
    conn.set_statement_cache_limits(STATEMENTS_MAX, 1 << 18);
    let mut filled = 0;
    for n in 0..times {
        assert_eq!(conn.query_one::<usize>(&format!("SELECT {n}"), ()).unwrap(), n);
        let stats = conn.statement_cache_stats();
        assert!(stats.statements <= STATEMENTS_MAX && stats.bytes <= 1 << 18, "{stats:?}");
        if n == STATEMENTS_MAX {
            filled = conn.memory().bytes;
        }
    }
    assert!(conn.memory().bytes < filled * 3 / 2, "{} bytes at first, then {}", filled, conn.memory().bytes);
    // The control: without the bounds the same growth is seen.
    unbounded.set_statement_cache_limits(usize::MAX, usize::MAX);
    for n in 0..4 * STATEMENTS_MAX {
        unbounded.query_one::<usize>(&format!("SELECT {n}"), ()).unwrap();
    }
    assert!(unbounded.memory().bytes > filled * 3 / 2);
}

/// What SQLite makes for each is given back: the bytes are the same after the first and after the last.
fn expand(times: usize) {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT ?").unwrap();
    let text = "a text that is written into the SQL".repeat(10);
    let mut bytes = None;
    for _ in 0..times {
        assert!(statement.expanded_sql((&text,)).unwrap().len() > text.len());
        let now = conn.memory().bytes;
        assert_eq!(*bytes.get_or_insert(now), now);
    }
}

// ---- Small drivers with the bugs that the scenarios look for: the same check must see each of them.

/// A failed open that keeps its handle, as most drivers had it once.
fn a_failed_open_that_keeps_its_handle_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let missing = std::ffi::CString::new(dir.path().join("missing/a.db").to_str().unwrap()).unwrap();
    let mut handle = ptr::null_mut();
    let (before, after) = left_by(|| {
        // SAFETY: the path is NUL-terminated.
        unsafe { ffi::sqlite3_open(missing.as_ptr(), &raw mut handle) };
    })
    .expect("a failed open that keeps its handle is seen");
    assert!(after.native_bytes > before.native_bytes);
    // SAFETY: opened above.
    unsafe { ffi::sqlite3_close(handle) };
}

/// A step after opening that fails before anybody owns the connection: bytes and a descriptor.
fn a_connection_without_an_owner_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text.db"), "x".repeat(4096)).unwrap();
    let path = std::ffi::CString::new(dir.path().join("text.db").to_str().unwrap()).unwrap();
    let mut handle = ptr::null_mut();
    let (before, after) = left_by(|| {
        // SAFETY: the path is NUL-terminated, and the handle open.
        unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) };
        // SAFETY: as above.
        let code = unsafe {
            let sql = c"SELECT * FROM sqlite_schema";
            ffi::sqlite3_exec(handle, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut())
        };
        assert_eq!(code & 0xff, ffi::SQLITE_NOTADB);
    })
    .expect("a connection without an owner is seen");
    assert_eq!(after.descriptors.len(), before.descriptors.len() + 1);
    // SAFETY: opened above.
    unsafe { ffi::sqlite3_close(handle) };
}

/// A close whose result nobody looks at: a statement was left.
fn a_connection_that_stayed_open_is_seen() {
    let mut handle = ptr::null_mut();
    let mut statement = ptr::null_mut();
    let (before, after) = left_by(|| {
        // SAFETY: the path is NUL-terminated.
        unsafe { ffi::sqlite3_open(c":memory:".as_ptr(), &raw mut handle) };
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_prepare_v2(handle, c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
        // SAFETY: as above.
        unsafe { ffi::sqlite3_close(handle) };
    })
    .expect("a connection that stayed open is seen");
    assert!(after.native_bytes > before.native_bytes);
    // SAFETY: made above.
    unsafe { ffi::sqlite3_finalize(statement) };
    // SAFETY: opened above, and nothing of it is left now.
    assert_eq!(unsafe { ffi::sqlite3_close(handle) }, ffi::SQLITE_OK);
}

/// A helper thread that nobody stops.
fn a_thread_that_goes_on_is_seen() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut helper = None;
    let (before, after) =
        left_by(|| helper = Some(std::thread::spawn(move || stopped.recv()))).expect("a thread that goes on is seen");
    assert_eq!(after.threads, before.threads + 1);
    drop(stop);
    let _ = helper.unwrap().join();
}

/// A whole connection, kept by somebody.
fn a_connection_that_is_kept_is_seen() {
    let mut kept = None;
    let (before, after) =
        left_by(|| kept = Some(Connection::open_in_memory().unwrap())).expect("a connection that is kept is seen");
    assert_eq!(after.handles.connections, before.handles.connections + 1);
    drop(kept);
}

//! Every allocation that SQLite makes fails once, and from some point on: the error says so, nothing is left, nothing
//! panics, and the connection works on.
//!
//! SQLite's allocator is replaced before its first use, which is why this is a process of its own.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use finalite::{Connection, Error, ErrorKind, OpenOptions, ffi};

/// The methods that SQLite came with.
struct Stock(ffi::sqlite3_mem_methods);
// SAFETY: SQLite calls them from any thread, and never through the pointer in them, which they do not use.
unsafe impl Send for Stock {}
// SAFETY: as above.
unsafe impl Sync for Stock {}

static STOCK: OnceLock<Stock> = OnceLock::new();
/// Allocations until one fails; negative: none fails.
static COUNTDOWN: AtomicI64 = AtomicI64::new(-1);
/// Whether all fail after the first.
static STICKY: AtomicI64 = AtomicI64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

fn fails() -> bool {
    match COUNTDOWN.load(Ordering::Relaxed) {
        ..0 => false,
        0 => {
            if STICKY.load(Ordering::Relaxed) == 0 {
                COUNTDOWN.store(-1, Ordering::Relaxed);
            }
            true
        }
        left => {
            COUNTDOWN.store(left - 1, Ordering::Relaxed);
            false
        }
    }
}

unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    // SAFETY: SQLite's own allocator, under its contract.
    let block = unsafe { STOCK.get().unwrap().0.xMalloc.unwrap()(bytes) };
    LIVE.fetch_add(i64::from(!block.is_null()), Ordering::Relaxed);
    block
}

unsafe extern "C" fn free(block: *mut c_void) {
    LIVE.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { STOCK.get().unwrap().0.xFree.unwrap()(block) }
}

unsafe extern "C" fn realloc(block: *mut c_void, bytes: c_int) -> *mut c_void {
    if fails() {
        return std::ptr::null_mut();
    }
    // SAFETY: as above.
    unsafe { STOCK.get().unwrap().0.xRealloc.unwrap()(block, bytes) }
}

fn install() {
    let mut stock = MaybeUninit::<ffi::sqlite3_mem_methods>::zeroed();
    // SAFETY: SQLite is not initialized yet, and this thread is the only one.
    let stock = unsafe {
        assert_eq!(ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, stock.as_mut_ptr()), ffi::SQLITE_OK);
        stock.assume_init()
    };
    let methods =
        ffi::sqlite3_mem_methods { xMalloc: Some(malloc), xFree: Some(free), xRealloc: Some(realloc), ..stock };
    assert!(STOCK.set(Stock(stock)).is_ok());
    // SAFETY: as above; SQLite copies the struct.
    assert_eq!(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods) }, ffi::SQLITE_OK);
    // SAFETY: as above. Without lookaside every allocation comes here.
    assert_eq!(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, 0, 0) }, ffi::SQLITE_OK);
}

/// Something a program does; `Ok` or the error that it returns.
type Scenario = (&'static str, fn(&mut Connection) -> Result<(), Error>);

const SCENARIOS: &[Scenario] = &[
    ("open", |_| {
        let conn = Connection::open_in_memory()?;
        assert_eq!(conn.query_one::<i64>("SELECT 1", ())?, 1);
        conn.close()
    }),
    ("recommended open", |_| {
        OpenOptions::recommended().pragma("cache_size", 100).open_temporary()?.execute("CREATE TABLE x(a)", ())?;
        Ok(())
    }),
    ("prepare, run, read", |conn| {
        let mut statement = conn.prepare("SELECT a, b, length(c) FROM t WHERE a > ? ORDER BY b, c")?;
        let mut rows = statement.query((0,))?;
        while let Some(row) = rows.next()? {
            row.get::<&str>("b")?;
        }
        rows.finish()
    }),
    ("read text and blobs of a UTF-16 database", |conn| {
        let mut statement = conn.prepare("SELECT b, c FROM t")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let text: &str = row.get(0)?;
            assert!(text.starts_with("grüße"));
            assert!(!row.get::<&[u8]>(1)?.is_empty());
        }
        Ok(())
    }),
    ("a zeroblob", |conn| {
        let zeros = conn.query_row("SELECT zeroblob(50000)", (), |row| Ok(row.get::<&[u8]>(0)?.len()))?;
        assert_eq!(zeros, 50_000);
        Ok(())
    }),
    ("bind everything", |conn| {
        let text = String::from("text");
        let row: (String, String, i64) =
            conn.query_one("SELECT ?, ?, length(?)", (&text, text.clone(), finalite::ZeroBlob(100)))?;
        assert_eq!(row, (text.clone(), text, 100));
        Ok(())
    }),
    ("names and metadata", |conn| {
        let mut statement = conn.prepare("SELECT a AS one, b FROM t WHERE a = :a")?;
        assert_eq!(statement.columns()?[1].name(), "b");
        let column = statement.column("one")?;
        statement.query_row((1,), |row| row.get::<i64>(column))?;
        assert!(statement.expanded_sql((1,))?.ends_with("a = 1"));
        Ok(())
    }),
    ("write in a transaction with a savepoint", |conn| {
        let mut tx = conn.transaction()?;
        tx.execute("INSERT INTO t(b, c) VALUES (?, x'00')", ("grüße aus der Transaktion",))?;
        let savepoint = tx.savepoint()?;
        savepoint.execute("DELETE FROM t WHERE a = 1", ())?;
        savepoint.rollback()?;
        tx.rollback()
    }),
    ("a batch", |conn| {
        conn.execute_batch("CREATE TEMP TABLE IF NOT EXISTS x(a); INSERT INTO x VALUES (1), (2); DROP TABLE x")
    }),
    ("the cache", |conn| {
        conn.clear_statement_cache();
        for n in 0..3 {
            conn.query_one::<i64>(&format!("SELECT {n}"), ())?;
        }
        conn.query_all::<i64>("SELECT a FROM t", ())?;
        Ok(())
    }),
    ("pragmas", |conn| {
        conn.set_pragma("user_version", 1)?;
        conn.pragma::<String>("encoding")?;
        Ok(())
    }),
];

fn database() -> Connection {
    let conn = OpenOptions::new().pragma("encoding", "UTF-16").open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB);
         INSERT INTO t(b, c) VALUES ('grüße und mehr', x'0102'), ('grüße', zeroblob(3000));",
    )
    .unwrap();
    conn
}

fn fingerprint(conn: &Connection) -> Vec<(i64, String, i64)> {
    conn.query_all("SELECT a, b, length(c) FROM t", ()).unwrap()
}

#[test]
fn out_of_memory_is_an_error_and_nothing_else() {
    install();
    the_control();
    let mut points = 0;
    for (name, scenario) in SCENARIOS {
        for sticky in [0, 1] {
            let mut conn = database();
            let data = fingerprint(&conn);
            for n in 0.. {
                // So that each point allocates as the first did, and what is left can be compared.
                conn.clear_statement_cache();
                let handles = finalite::handles::counts();
                let live = LIVE.load(Ordering::Relaxed);
                STICKY.store(sticky, Ordering::Relaxed);
                COUNTDOWN.store(n, Ordering::Relaxed);
                let result = scenario(&mut conn);
                let reached = COUNTDOWN.swap(-1, Ordering::Relaxed) <= 0;
                points += 1;
                match &result {
                    Ok(()) => {}
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{name}, point {n}: {error:?}");
                    }
                }
                // Another statement on the same connection, right after.
                assert_eq!(fingerprint(&conn), data, "{name}, point {n}");
                assert!(conn.is_autocommit(), "{name}, point {n}");
                conn.clear_statement_cache();
                assert_eq!(finalite::handles::counts(), handles, "{name}, point {n}");
                // Schema and page cache of the connection may have grown or shrunk; a leak would grow with the points.
                let grown = LIVE.load(Ordering::Relaxed) - live;
                assert!(grown < 60, "{name}, point {n}: {grown} blocks more");
                if !reached {
                    assert!(result.is_ok());
                    break;
                }
            }
            conn.close().unwrap();
            assert_eq!(LIVE.load(Ordering::Relaxed), 0, "{name}: blocks are left after the last close");
        }
    }
    println!("{points} points, 0 panics, 0 blocks left");
    assert!(points > 1000, "{points}");
    the_trap_of_a_failed_conversion();
}

/// What the sweep looks for, in a driver that has it: a block that an error path forgets.
fn the_control() {
    let conn = database();
    // SAFETY: allocates, and is given back below.
    let lost = unsafe { ffi::sqlite3_malloc(100) };
    conn.close().unwrap();
    assert_eq!(LIVE.load(Ordering::Relaxed), 1, "the lost block is seen");
    // SAFETY: allocated above.
    unsafe { ffi::sqlite3_free(lost) };
    assert_eq!(LIVE.load(Ordering::Relaxed), 0);
}

/// A conversion from UTF-16 that finds no memory leaves a mark on the connection, which would fail the *next* call,
/// whichever statement's. The cell that failed takes the error and the mark.
fn the_trap_of_a_failed_conversion() {
    let conn = database();
    let mut other = conn.prepare("SELECT 7").unwrap();
    let mut statement = conn.prepare("SELECT b FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    STICKY.store(0, Ordering::Relaxed);
    COUNTDOWN.store(0, Ordering::Relaxed);
    let error = row.get::<&str>(0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{error:?}");
    assert_eq!(other.query_one::<i64>(()).unwrap(), 7);
    conn.prepare("SELECT 8").unwrap();
    // The rows end with the error: what was not read is not taken for the end.
    assert!(matches!(rows.next().unwrap_err().kind(), ErrorKind::NoMemory { .. }));
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    assert_eq!(statement.query_all::<String>(()).unwrap().len(), 2);

    // Forgotten rows take the mark of their failed cell with them: only the call that ends them may hear of it.
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    COUNTDOWN.store(0, Ordering::Relaxed);
    row.get::<&str>(0).unwrap_err();
    std::mem::forget(rows);
    drop(statement.query(()));
    assert_eq!(statement.query_all::<String>(()).unwrap().len(), 2);

    // The control: reading through `value` functions alone leaves the mark for a stranger.
    let mut raw = std::ptr::null_mut();
    // SAFETY: the connection is open, each call is given what the one before made, and the statement is finalized.
    unsafe {
        ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT b FROM t".as_ptr(), -1, &raw mut raw, std::ptr::null_mut());
        assert_eq!(ffi::sqlite3_step(raw), ffi::SQLITE_ROW);
        let value = ffi::sqlite3_column_value(raw, 0);
        COUNTDOWN.store(0, Ordering::Relaxed);
        assert!(ffi::sqlite3_value_text(value).is_null());
    }
    let stranger = other.query_one::<i64>(());
    assert!(
        stranger.is_err() || conn.prepare("SELECT 9").is_err(),
        "the mark fails a call that has nothing to do with it"
    );
    // SAFETY: made above.
    unsafe { ffi::sqlite3_finalize(raw) };
}

//! What runs in the destructors of a thread's own variables, when those of finalite may be gone: everything works there,
//! and nothing panics, which would be the end of the process.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use finalite::pool::{Checkpointer, Pool};
use finalite::scan::{ColumnType, OnTypeMismatch, ScanStrategy};
use finalite::{
    Connection, Error, LeakCheck, OpenOptions, Params, ZeroBlob, handles, memory, params_from_iter, sqlite, stats,
};

use crate::runner::{Case, case};

pub const CASES: &[Case] = &[
    // The public calls, in the order of the modules.
    case!(connections within in_both_ways),
    case!(failures within in_both_ways),
    case!(statements within in_both_ways),
    case!(transactions within in_both_ways),
    case!(scans within in_both_ways),
    case!(figures within in_both_ways),
    case!(pools within in_both_ways),
    case!(workers within in_both_ways),
    case!(forgotten within in_both_ways),
    case!(the_control_a_panic_is_told),
    case!(what_was_made_before_ends_with_the_thread),
];

thread_local! {
    /// Filled before anything of finalite's is used on the thread, and so dropped after that is gone.
    static LAST: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

struct AtEnd(Option<Box<dyn FnOnce() + Send>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

/// Runs this as the last thing of a thread, which before it did the first, and returns what it panicked with.
fn at_the_end<T: Send + 'static>(
    first: impl FnOnce() -> T + Send + 'static,
    last: impl FnOnce(T) + Send + 'static,
) -> Option<String> {
    let outcome = Arc::new(Mutex::new(Some("it was not run".to_owned())));
    let told = Arc::clone(&outcome);
    let thread = std::thread::spawn(move || {
        let made = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&made);
        LAST.set(Some(AtEnd(Some(Box::new(move || {
            let made = kept.lock().unwrap().take().unwrap();
            let end = catch_unwind(AssertUnwindSafe(|| last(made)));
            *told.lock().unwrap() = end.err().map(|payload| {
                let text = payload.downcast_ref::<String>().cloned();
                text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
            });
        })))));
        *made.lock().unwrap() = Some(first());
    });
    thread.join().unwrap();
    // The thread has ended, and its share of it too.
    Arc::into_inner(outcome).unwrap().into_inner().unwrap()
}

/// Uses everything of which the thread keeps something, a statement that fails among it.
fn warm_up() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.create_diagnostic_tables().unwrap();
    conn.execute_batch("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)").unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
    let pool = Pool::in_memory(&format!("warm {:?}", std::thread::current().id())).build().unwrap();
    drop(pool.reader().unwrap());
    let _ = stats::snapshot();
}

fn fill(path: &Path) -> Connection {
    let conn = OpenOptions::recommended().open(path).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, 'row ' || i FROM n;",
    )
    .unwrap();
    conn
}

fn connections(dir: &Path) {
    let conn = fill(&dir.join("a.db"));
    conn.set_pragma("cache_size", -100).unwrap();
    conn.set_pragma("journal_mode", "delete").unwrap();
    assert_eq!(conn.pragma::<i64>("cache_size").unwrap(), -100);
    conn.journal_mode().unwrap();
    conn.set_busy_timeout(Duration::from_millis(5)).unwrap();
    conn.busy_timeout().unwrap();
    conn.set_slow_threshold(Some(Duration::ZERO));
    conn.set_statement_cache_limits(3, 1 << 20);
    for n in 0..5 {
        assert_eq!(conn.query_one::<i64>(&format!("SELECT {n}"), ()).unwrap(), n);
    }
    conn.clear_statement_cache();
    conn.release_memory().unwrap();
    let _ = conn.memory();
    let _ = conn.statement_cache_stats();
    assert!(!conn.has_moved().unwrap());
    assert!(conn.path().is_some() && conn.is_readonly("main") == Some(false) && conn.is_autocommit());
    let handle = conn.interrupt_handle();
    handle.interrupt();
    assert!(format!("{conn:?}{handle:?}").contains("a.db"));
    conn.close().unwrap();
    assert!(!handle.interrupt());
    let options =
        OpenOptions::new().wal_if_possible().name("name").lookaside(0, 0).init(|conn| conn.execute_batch("SELECT 1"));
    options.open(dir.join("b.db")).unwrap().close_or_return().unwrap();
    options.open_temporary().unwrap();
    OpenOptions::new().immutable(true).no_follow(true).open(dir.join("a.db").canonicalize().unwrap()).unwrap();
    assert!(!sqlite::version().is_empty() && sqlite::compile_options().count() > 0);
}

fn failures(dir: &Path) {
    let mut conn = fill(&dir.join("a.db"));
    conn.execute("INSERT INTO t VALUES (1, 'twice')", ()).unwrap_err();
    conn.query_one::<i64>("SELECT nothing", ()).unwrap_err();
    conn.query_one::<i64>("SELECT b FROM t LIMIT 1", ()).unwrap_err();
    conn.execute_batch("SELECT 1; nonsense").unwrap_err();
    conn.prepare("").map(drop).unwrap_err();
    conn.set_pragma("nothing", 1).unwrap_err();
    conn.query_one::<i64>("SELECT abs(-9223372036854775808)", ()).unwrap_err();
    let error = Connection::open(dir.join("no/where.db")).unwrap_err();
    assert!(!error.to_string().is_empty() && !format!("{error:?}").is_empty());
    assert!(Error::external("mine").to_string() == "mine");
    // The steps of a table of finalite's own, which fail for want of memory, or panic.
    conn.create_diagnostic_tables().unwrap();
    for n in 0..40 {
        let fault = memory::fail_after(n);
        let _ = conn.query_all::<i64>("SELECT a FROM t LIMIT 20", ());
        drop(fault);
    }
    conn.query_one::<i64>("SELECT count(*) FROM finalite_memory", ()).unwrap();
}

fn statements(dir: &Path) {
    let conn = fill(&dir.join("a.db"));
    let mut statement = conn.prepare("SELECT a, b FROM t WHERE a > ?").unwrap();
    let mut rows = statement.query((4990,)).unwrap();
    let mut count = 0;
    while let Some(row) = rows.next().unwrap() {
        row.get::<i64>(0).unwrap();
        row.get::<String>("b").unwrap();
        count += 1;
    }
    rows.finish().unwrap();
    assert_eq!(count, 10);
    let column = statement.column("b").unwrap();
    assert_eq!(statement.query_row((4999,), |row| row.get::<String>(column)).unwrap(), "row 5000");
    assert_eq!(statement.query_as::<(i64, String)>((4990,)).unwrap().count(), 10);
    assert!(statement.query_one::<(i64, String)>((4990,)).is_err());
    assert!(statement.query_optional::<(i64, String)>((6000,)).unwrap().is_none());
    let _ = statement.memory();
    let _ = statement.counters();
    statement.expanded_sql((1,)).unwrap();
    let _ = statement.column_names().unwrap();
    statement.columns().unwrap();
    statement.finalize().unwrap();
    assert_eq!(
        conn.prepare("SELECT a FROM t")
            .unwrap()
            .into_rows(())
            .unwrap()
            .next()
            .unwrap()
            .map(|row| row.get::<i64>(0).unwrap()),
        Some(1)
    );
    let mut insert = conn.prepare_cached("INSERT INTO t(b) VALUES (?)").unwrap();
    assert_eq!(insert.execute_many(["x", "y"].map(|text| (text,))).unwrap(), 2);
    insert.execute((ZeroBlob(10),)).unwrap();
    insert.execute((String::from("given"),)).unwrap();
    drop(insert);
    conn.execute("DELETE FROM t WHERE a IN (?, ?)", params_from_iter([1, 2])).unwrap();
    for statement in conn.script("SELECT 1; SELECT 2") {
        statement.unwrap().query_one::<i64>(()).unwrap();
    }
    fn generic<'p>(conn: &Connection, params: impl Params<'p>) {
        conn.query_all::<i64>("SELECT a FROM t WHERE b = ?", params).unwrap();
    }
    generic(&conn, ("row 7",));
}

fn transactions(dir: &Path) {
    let mut conn = fill(&dir.join("a.db"));
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("DELETE FROM t", ()).unwrap();
    savepoint.rollback().unwrap();
    let savepoint = tx.savepoint_named("one").unwrap();
    savepoint.execute("DELETE FROM t WHERE a = 1", ()).unwrap();
    savepoint.commit().unwrap();
    drop(tx.savepoint().unwrap());
    tx.commit().unwrap();
    drop(conn.transaction().unwrap());
    let tx = conn.transaction().unwrap();
    tx.execute("ROLLBACK", ()).unwrap();
    assert!(tx.commit_or_return().is_err());
    std::mem::forget(conn.transaction().unwrap());
    conn.transaction().unwrap().rollback().unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 4999);
}

fn scans(dir: &Path) {
    let conn = fill(&dir.join("a.db"));
    for path in [ScanStrategy::Statement, ScanStrategy::Pages] {
        for threads in [1, 2] {
            let scan = || {
                conn.scan("SELECT a, b FROM t", ())
                    .strategy(path)
                    .threads(threads)
                    .on_type_mismatch(OnTypeMismatch::Error)
            };
            assert_eq!(scan().for_each(|_| Ok::<_, Error>(())).unwrap(), 5000);
            let stopped = scan().try_for_each(|row| row.get::<i64>(0).map(ControlFlow::Break));
            assert_eq!(stopped.unwrap(), Some(1));
            assert_eq!(scan().batches(100, |_| Ok::<_, Error>(())).unwrap(), 5000);
            assert_eq!(scan().schema([ColumnType::Integer, ColumnType::Text]).columns().unwrap().len(), 5000);
            scan().plan().unwrap();
        }
    }
    assert_eq!(conn.scan_table("t").all_columns().columns().unwrap().len(), 5000);
}

fn figures(dir: &Path) {
    let conn = fill(&dir.join("a.db"));
    let before = stats::snapshot();
    let check = LeakCheck::new();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    let _ = handles::counts();
    let _ = handles::live();
    let _ = handles::opened();
    let _ = handles::closed();
    let _ = handles::forgotten();
    handles::warn_overdue();
    let _ = memory::stats();
    drop(rows);
    drop(statement);
    assert!(check.finish().is_clean());
    assert!(!stats::snapshot().to_json().is_empty());
    assert!(!format!("{:?}", stats::snapshot().diff(&before)).is_empty());
}

fn pools(dir: &Path) {
    drop(fill(&dir.join("a.db")));
    let pool = Arc::new(Pool::builder(dir.join("a.db")).reserved(1).build().unwrap());
    pool.write(|tx| tx.execute("DELETE FROM t WHERE a = 1", ())).unwrap();
    let other = Connection::open(dir.join("a.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = pool.writer().unwrap();
    writer.set_busy_timeout(Duration::ZERO).unwrap();
    writer.execute("DELETE FROM t", ()).unwrap_err();
    drop(writer);
    other.execute("COMMIT", ()).unwrap();
    assert!(pool.try_reader().unwrap().is_some());
    let readers: Vec<_> = (0..4).map(|_| pool.reader().unwrap()).collect();
    pool.reader_within(Duration::from_millis(2)).map(drop).unwrap_err();
    drop(readers);
    let owned = pool.reader_owned().unwrap();
    owned.execute("CREATE TEMP TABLE x(a)", ()).unwrap();
    drop(owned);
    drop(pool.reserve().unwrap());
    assert!(!pool.status().to_string().is_empty());
    let owned = pool.reader_owned().unwrap();
    assert_eq!(pool.shut_down().checked_out().len(), 1);
    drop(owned);
    assert!(Arc::into_inner(pool).unwrap().close().is_clean());
    drop(Pool::in_memory("at the end").build().unwrap());
}

fn workers(dir: &Path) {
    let pool = Arc::new(Pool::builder(dir.join("a.db")).build().unwrap());
    let checkpointer = Checkpointer::start(&pool, Duration::from_millis(1)).unwrap();
    drop(checkpointer);
}

fn forgotten(dir: &Path) {
    let conn = fill(&dir.join("a.db"));
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    std::mem::forget(statement.query(()).unwrap());
    std::mem::forget(statement);
    drop(conn);
    let mut conn = Connection::open_in_memory().unwrap();
    conn.create_diagnostic_tables().unwrap();
    std::mem::forget(conn.transaction().unwrap());
}

/// Runs this at the end of two threads: one that has not used finalite before, and one that has.
fn in_both_ways(scenario: fn(&Path)) {
    for is_warm in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let warm = move || {
            if is_warm {
                warm_up()
            }
        };
        let path = dir.path().to_owned();
        assert_eq!(at_the_end(warm, move |()| scenario(&path)), None, "warm: {is_warm}");
    }
}

/// A connection of the thread's own whose last statement fails, and a panic that nobody has asked for.
fn the_control_a_panic_is_told() {
    assert_eq!(at_the_end(warm_up, |()| ()), None);
    assert_eq!(at_the_end(warm_up, |()| panic!("at the end")), Some("at the end".to_owned()));
}

fn what_was_made_before_ends_with_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let made = move || {
        warm_up();
        (fill(&path), Pool::builder(&path).build().unwrap())
    };
    let ended = at_the_end(made, |(conn, pool)| {
        conn.execute("INSERT INTO t VALUES (1, 'twice')", ()).unwrap_err();
        pool.write(|tx| tx.execute("INSERT INTO t VALUES (1, 'twice')", ())).unwrap_err();
        drop(pool);
        drop(conn);
    });
    assert_eq!(ended, None);
}

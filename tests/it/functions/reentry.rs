//! Panics in functions, and functions that use their own connection.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use finalite::extend::{FunctionOptions, deterministic};
use finalite::{Connection, ConversionError, Error, ErrorKind, FromSql, ValueRef};

use super::{one, open, panic_of};

#[test]
fn rule_5_a_panic_in_a_function_is_resumed_by_the_call_that_ran_it() {
    let conn = open();
    conn.create_scalar_function("bomb", |x: i64| if x == 2 { panic!("at {x}") } else { x }).unwrap();
    let sql = "SELECT bomb(column1) FROM (VALUES (1), (2), (3))";
    let payload = panic_of(|| conn.query_all::<i64>(sql, ()));
    assert_eq!(payload, "at 2");
    let payload = panic_of(|| conn.execute("CREATE TABLE t AS SELECT bomb(2) AS a", ()));
    assert_eq!(payload, "at 2");
    assert!(conn.is_autocommit() && !conn.exists("SELECT 1 FROM sqlite_schema", ()).unwrap());
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 1);
    assert_eq!(panic_of(|| rows.next().map(|_| ())), "at 2");
    // The execution has failed, and ends as any other.
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    assert_eq!(one::<i64>(&conn, "SELECT bomb(4)"), 4);
    conn.scan("SELECT bomb(1)", ()).for_each(|_| Ok(())).unwrap();
    assert_eq!(panic_of(|| conn.scan("SELECT bomb(2)", ()).for_each(|_| Ok(()))), "at 2");
}

#[test]
fn rule_5_a_panic_while_sqlite_plans_is_resumed_by_prepare() {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a); CREATE INDEX i ON t(a); INSERT INTO t VALUES (1), (2); ANALYZE").unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    conn.create_scalar_function(
        "bomb",
        deterministic(move |x: i64| -> i64 {
            counting.fetch_add(1, Ordering::Relaxed);
            panic!("while planning {x}")
        }),
    )
    .unwrap();
    let payload = panic_of(|| conn.prepare("SELECT 1 FROM t WHERE a > bomb(1)").map(|mut s| s.query_all::<i64>(())));
    assert_eq!(payload, "while planning 1");
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

thread_local! {
    static HERE: OnceCell<Rc<Connection>> = const { OnceCell::new() };
    static TRIED: Cell<usize> = const { Cell::new(0) };
}

/// Calls the public entries of a connection that reach SQLite, each of which must be refused.
fn try_everything(conn: &Connection) -> usize {
    let mut refused = 0;
    let mut expect = |what: &str, result: Result<(), Error>| {
        let error = result.expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{what}: {error}");
        refused += 1;
    };
    expect("prepare", conn.prepare("SELECT 1").map(drop));
    expect("prepare_cached", conn.prepare_cached("SELECT 2").map(drop));
    expect("execute", conn.execute("SELECT 1", ()).map(drop));
    expect("execute_batch", conn.execute_batch("SELECT 1"));
    expect("query_one", conn.query_one::<i64>("SELECT 1", ()).map(drop));
    expect("query_optional", conn.query_optional::<i64>("SELECT 1", ()).map(drop));
    expect("query_all", conn.query_all::<i64>("SELECT 1", ()).map(drop));
    expect("query_as", conn.query_as::<i64>("SELECT 1", ()).map(drop));
    expect("query_map", conn.query_map("SELECT 1", (), |row| row.get::<i64>(0)).map(drop));
    expect("query_row", conn.query_row("SELECT 1", (), |row| row.get::<i64>(0)).map(drop));
    expect("exists", conn.exists("SELECT 1", ()).map(drop));
    expect("scan", conn.scan("SELECT 1", ()).for_each(|_| Ok(())).map(drop));
    expect("transaction", conn.unchecked_transaction().map(drop));
    expect("pragma", conn.pragma::<i64>("cache_size").map(drop));
    expect("set_pragma", conn.set_pragma("cache_size", 10));
    expect("busy_timeout", conn.busy_timeout().map(drop));
    expect("set_busy_timeout", conn.set_busy_timeout(std::time::Duration::from_secs(1)));
    expect("has_moved", conn.has_moved().map(drop));
    expect("release_memory", conn.release_memory().map(drop));
    expect("create_scalar_function", conn.create_scalar_function("g", || 1).map(drop));
    expect("create_scalar_function_with", {
        conn.create_scalar_function_with("g", FunctionOptions::new(), |_| Ok(1)).map(drop)
    });
    let sum = finalite::extend::aggregate(|| 0, |sum: &mut i64, n: i64| *sum += n, |sum: i64| sum);
    expect("create_aggregate_function", conn.create_aggregate_function("g", sum).map(drop));
    expect("remove_function", conn.remove_function("f", Some(0)).map(drop));
    expect("create_collation", conn.create_collation("c", |a: &str, b: &str| a.cmp(b)).map(drop));
    expect("remove_collation", conn.remove_collation("c").map(drop));
    expect("on_collation_needed", conn.on_collation_needed(|_| None::<fn(&str, &str) -> std::cmp::Ordering>));
    expect("remove_collation_needed", conn.remove_collation_needed().map(drop));
    // What only reads memory answers.
    let _ = (conn.changes(), conn.last_insert_rowid(), conn.is_autocommit(), conn.path(), conn.memory());
    refused
}

#[test]
fn rule_4_a_function_does_not_use_its_connection_by_a_thread_local() {
    let conn = Rc::new(open());
    assert!(HERE.try_with(|here| here.set(Rc::clone(&conn)).is_ok()).unwrap());
    conn.create_scalar_function("f", || HERE.with(|conn| try_everything(conn.get().unwrap()) as i64)).unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT f()"), 27);
    // Positive control: outside of the callback each of them works.
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    // Within a read of the callback as well: the nested function is refused, the reading goes on.
    conn.create_scalar_function_with("outer", FunctionOptions::new().arguments(0), |call| {
        let inner: i64 = call.connection().query_one("SELECT f()", ())?;
        HERE.with(|conn| assert_eq!(try_everything(conn.get().unwrap()) as i64, inner));
        Ok(inner)
    })
    .unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT outer()"), 27);
    // A row that is being read within the callback sees the connection open, and still registers nothing.
    struct Registers;
    impl FromSql<'_> for Registers {
        fn from_sql(_: ValueRef<'_>) -> Result<Self, ConversionError> {
            HERE.with(|conn| {
                let conn = conn.get().unwrap();
                let error = conn.create_scalar_function("f", || 1).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
                let error = conn.remove_function("outer2", Some(0)).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            });
            TRIED.set(TRIED.get() + 1);
            Ok(Self)
        }
    }
    conn.create_scalar_function_with("outer2", FunctionOptions::new().arguments(0), |call| {
        call.connection().query_one::<Registers>("SELECT 1", ())?;
        Ok(1)
    })
    .unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT outer2()"), 1);
    assert_eq!(TRIED.get(), 1);
}

#[test]
fn rule_4_a_function_does_not_use_its_connection_by_a_captured_lock() {
    let shared = Arc::new(Mutex::new(open()));
    let captured = Arc::downgrade(&shared);
    let conn = shared.lock().unwrap();
    conn.create_scalar_function("f", move || {
        // The lock is held by the call that runs the SQL.
        let shared = captured.upgrade().unwrap();
        shared.try_lock().is_err()
    })
    .unwrap();
    assert!(one::<bool>(&conn, "SELECT f()"));
}

#[test]
fn a_function_uses_other_connections() {
    let conn = open();
    let other = Mutex::new(open());
    conn.create_scalar_function("f", move |x: i64| -> Result<i64, Error> {
        let other = other.lock().unwrap();
        other.query_one("SELECT ? + 1", (x,))
    })
    .unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT f(1)"), 2);
}

#[test]
fn functions_move_with_their_connection() {
    let conn = open();
    conn.create_scalar_function("f", |x: i64| x + 1).unwrap();
    let conns = vec![conn];
    let moved = std::thread::spawn(move || {
        let conn = conns.into_iter().next().unwrap();
        assert_eq!(one::<i64>(&conn, "SELECT f(1)"), 2);
        conn
    });
    let boxed = Box::new(moved.join().unwrap());
    assert_eq!(one::<i64>(&boxed, "SELECT f(2)"), 3);
}

#[test]
fn rule_6_a_function_is_not_called_while_its_connection_closes() {
    let conn = open();
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    conn.create_scalar_function("f", move || {
        counting.fetch_add(1, Ordering::Relaxed);
        1
    })
    .unwrap();
    let mut statement = conn.prepare("SELECT f() FROM (VALUES (1), (2), (3))").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    conn.close().unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

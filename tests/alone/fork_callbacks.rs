//! Functions and collations of a connection around `fork`, and a `fork` within them.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use finalite::extend::{FunctionOptions, aggregate, window};
use finalite::{Connection, Error, ErrorKind};

use crate::common::child::in_child;
use crate::runner::cases;

cases![
    a_child_has_functions_of_its_own_and_its_parents_are_neither_run_nor_dropped,
    a_child_that_is_forked_within_a_callback_does_not_use_the_connection,
];

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Atomic::Relaxed);
    }
}

fn is_forked<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| matches!(error.kind(), ErrorKind::Forked))
}

/// Registers one of each kind. What is dropped of them is counted.
fn register(conn: &Connection, dropped: &Arc<AtomicUsize>) {
    let counted = || Counted(Arc::clone(dropped));
    let (scalar, collation, supply, state, data) = (counted(), counted(), counted(), counted(), Arc::clone(dropped));
    conn.create_scalar_function_with("keeps", FunctionOptions::new().arguments(1), move |call| {
        let _ = &scalar;
        call.auxiliary(0, || Ok(Counted(Arc::clone(&data))))?;
        Ok(call.get::<i64>(0)? + 1)
    })
    .unwrap();
    let sums = window(
        move || (0, Counted(Arc::clone(&state.0))),
        |sum: &mut (i64, Counted), n: i64| sum.0 += n,
        |sum: &mut (i64, Counted), n: i64| sum.0 -= n,
        |sum: &(i64, Counted)| sum.0,
    );
    conn.create_window_function("sums", sums).unwrap();
    conn.create_collation("reversed", move |a: &str, b: &str| {
        let _ = &collation;
        b.cmp(a)
    })
    .unwrap();
    conn.on_collation_needed(move |_| {
        let _ = &supply;
        None::<fn(&str, &str) -> Ordering>
    })
    .unwrap();
}

/// A statement of all of them, of three rows.
const SQL: &str = "SELECT sums(keeps(7)) OVER (ROWS 1 PRECEDING) FROM (VALUES ('a'), ('b'), ('c')) \
                   WHERE column1 > 'z' COLLATE reversed";

fn a_child_has_functions_of_its_own_and_its_parents_are_neither_run_nor_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    register(&conn, &dropped);
    let mut statement = conn.prepare(SQL).unwrap();
    let mut rows = statement.query(()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 8);
    assert!(in_child(|| {
        let of_child = Arc::new(AtomicUsize::new(0));
        let own = Connection::open_in_memory().unwrap();
        register(&own, &of_child);
        assert_eq!(own.query_all::<i64>(SQL, ()).unwrap(), [8, 16, 16]);
        assert!(own.remove_function("keeps", Some(1)).unwrap());
        own.close().unwrap();
        // Positive control: it drops its own, each once: what the closures captured, a state and auxiliary data.
        assert_eq!(of_child.load(Atomic::Relaxed), 6);
        dropped.load(Atomic::Relaxed) == 0
            && is_forked(rows.next().map(drop))
            && is_forked(conn.create_scalar_function("f", || 1))
            && is_forked(conn.remove_function("keeps", Some(1)))
            && is_forked(conn.remove_collation("reversed"))
            && is_forked(conn.remove_collation_needed())
    }));
    // The execution goes on in the parent.
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 16);
    drop(rows);
    drop(statement);
    assert_eq!(dropped.load(Atomic::Relaxed), 2, "a state and auxiliary data");
    // The child drops the connection, in the middle of an execution that was forgotten.
    let mut statement = conn.prepare(SQL).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    std::mem::forget(rows);
    std::mem::forget(statement);
    let mut conn = Some(conn);
    assert!(in_child(|| conn.take().unwrap().close().is_ok() && dropped.load(Atomic::Relaxed) == 2));
    conn.unwrap().close().unwrap();
    assert_eq!(dropped.load(Atomic::Relaxed), 8);
}

fn a_child_that_is_forked_within_a_callback_does_not_use_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let own = || {
        let own = Connection::open_in_memory().unwrap();
        own.create_scalar_function("f", |n: i64| n + 1).unwrap();
        own.query_one::<i64>("SELECT f(1)", ()).unwrap() == 2
    };
    conn.create_scalar_function_with("forks", FunctionOptions::new().arguments(0), move |call| {
        let read = call.connection();
        let count = || read.query_one::<i64>("SELECT count(*) FROM t", ());
        let before = count()?;
        let is_good = in_child(|| is_forked(count()) && own() && is_forked(count()));
        Ok(is_good && count()? == before)
    })
    .unwrap();
    let step = aggregate(|| true, move |good: &mut bool, _: i64| *good &= in_child(own), |good: bool| good);
    conn.create_aggregate_function("forks_each", step).unwrap();
    conn.create_collation("forks", move |a: &str, b: &str| if in_child(own) { a.cmp(b) } else { b.cmp(a) }).unwrap();
    assert!(conn.query_one::<bool>("SELECT forks()", ()).unwrap());
    assert_eq!(conn.execute("INSERT INTO t SELECT forks() FROM t", ()).unwrap(), 2);
    assert!(conn.query_one::<bool>("SELECT forks_each(a) FROM t", ()).unwrap());
    assert!(conn.query_one::<bool>("SELECT 'a' < 'b' COLLATE forks", ()).unwrap());
    assert_eq!(conn.query_one::<i64>("SELECT sum(a) FROM t", ()).unwrap(), 5);
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    conn.close().unwrap();
}

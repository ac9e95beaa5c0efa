//! The soundness rules of the design, each by its number, in programs that broke a first sketch or another driver.
//! AddressSanitizer runs them without lookaside (`.ci/asan.sh`), where a wrong access is a report and not luck.

use std::mem::forget;

use finalite::{Connection, Error, ErrorKind, OpenOptions, Param, ToSql, ValueRef};

use crate::common::profile;

fn heap(text: &str) -> String {
    format!("{text}, long enough for the heap and for no inline representation whatever")
}

#[test]
fn rule_1_parameters_live_as_long_as_the_rows_that_read_them() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT ? FROM (VALUES (1), (2), (3))").unwrap();
    // A signature that takes values by reference drops this one before the first step.
    let mut rows = statement.query((heap("owned"),)).unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().unwrap() {
        assert_eq!(row.get::<&str>(0).unwrap(), heap("owned"));
        seen += 1;
    }
    assert_eq!(seen, 3);
    drop(rows);
    // Borrowed, through each way that borrows.
    let (text, bytes) = (heap("borrowed"), heap("bytes").into_bytes());
    let dynamic: &dyn ToSql = &text;
    for param in [text.as_str().into_param(), (&text).into_param(), dynamic.into_param()] {
        assert_eq!(statement.query([param]).unwrap().next().unwrap().unwrap().get::<&str>(0).unwrap(), text);
    }
    assert_eq!(statement.query((&bytes,)).unwrap().next().unwrap().unwrap().get::<&[u8]>(0).unwrap(), bytes);
    // Values made by an iterator, gone one after the other.
    let mut many = conn.prepare("SELECT ? || ? || ?").unwrap();
    let joined: String = many.query_one(finalite::params_from_iter((0..3).map(|n| heap(&n.to_string())))).unwrap();
    assert!(joined.starts_with("0, long") && joined.contains("2, long"));
}

#[test]
fn rule_1_a_value_that_is_made_while_binding_is_copied() {
    struct Shouted(String);
    impl ToSql for Shouted {
        fn to_sql(&self) -> Param<'_> {
            Param::text(self.0.to_uppercase())
        }
    }
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT ?").unwrap();
    let word = Shouted(heap("quiet"));
    let mut rows = statement.query((&word,)).unwrap();
    assert!(rows.next().unwrap().unwrap().get::<&str>(0).unwrap().starts_with("QUIET, LONG"));
}

#[test]
fn rule_2_bindings_of_forgotten_rows_are_never_looked_at_again() {
    let conn = Connection::open_in_memory().unwrap();
    profile::expand_each(&conn);
    let sql = "SELECT ? FROM (VALUES (1), (2))";
    let mut statement = conn.prepare(sql).unwrap();
    for again in 0..5 {
        {
            let text = heap("freed");
            let mut rows = statement.query((&text,)).unwrap();
            rows.next().unwrap();
            forget(rows);
        }
        match again {
            0 => drop(statement.query(("new",)).unwrap()),
            1 => assert_eq!(statement.execute(("new",)).unwrap(), 0),
            2 => assert!(statement.expanded_sql(("new",)).unwrap().contains("'new'")),
            3 => drop(statement.query(()).unwrap_err()),
            _ => {}
        }
    }
    drop(statement);
    // A cached one goes back to the cache, and a forgotten one is found at close.
    for _ in 0..2 {
        let mut cached = conn.prepare_cached(sql).unwrap();
        let text = heap("freed");
        let mut rows = cached.query((&text,)).unwrap();
        rows.next().unwrap();
        forget(rows);
    }
    {
        let text = heap("freed");
        let mut left = conn.prepare(sql).unwrap();
        let mut rows = left.query((&text,)).unwrap();
        rows.next().unwrap();
        forget(rows);
        forget(left);
    }
    conn.close().unwrap();
}

#[test]
fn rule_2_a_panic_half_way_through_binding_leaves_nothing_bound() {
    struct Bomb;
    impl ToSql for Bomb {
        fn to_sql(&self) -> Param<'_> {
            panic!("while binding")
        }
    }
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT ?, ?").unwrap();
    {
        let text = heap("bound, then freed");
        let run = std::panic::AssertUnwindSafe(|| drop(statement.query((text.as_str(), Bomb))));
        assert!(std::panic::catch_unwind(run).is_err());
    }
    assert_eq!(&*statement.expanded_sql((1, 2)).unwrap(), "SELECT 1, 2");
    assert_eq!(statement.query_one::<(i64, i64)>((1, 2)).unwrap(), (1, 2));
}

#[test]
fn rule_3_a_forgotten_cached_statement_stays_out() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("SELECT 1", ()).unwrap();
    let mut first = conn.prepare_cached("SELECT 1").unwrap();
    let mut rows = first.query(()).unwrap();
    rows.next().unwrap();
    forget(rows);
    forget(first);
    for _ in 0..3 {
        assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    }
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.misses, stats.hits), (2, 3), "the second instance is the one that is used");
    conn.close().unwrap();
}

#[test]
fn rule_4_the_same_connection_may_be_used_while_its_rows_are_read() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3)").unwrap();
    let mut statement = conn.prepare_cached("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut sum = 0;
    while let Some(row) = rows.next().unwrap() {
        let a: i64 = row.get(0).unwrap();
        sum += conn.query_one::<i64>("SELECT sum(a) FROM t WHERE a <= ?", (a,)).unwrap();
        conn.clear_statement_cache();
        conn.set_statement_cache_limits(2, 1000);
    }
    assert_eq!(sum, 1 + 3 + 6);
}

#[test]
fn rule_6_close_finalizes_what_was_forgotten_and_then_sqlite_agrees() {
    let conn = Connection::open_in_memory().unwrap();
    for _ in 0..10 {
        forget(conn.prepare("SELECT 1").unwrap());
        forget(conn.prepare_cached("SELECT 2").unwrap());
    }
    conn.close().unwrap();
}

#[test]
fn rule_8_a_forgotten_transaction_is_rolled_back_by_the_next() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    forget(tx);
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    tx.commit().unwrap();
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [2]);
}

#[test]
fn rule_9_a_cell_is_read_as_its_own_type_only() {
    let conn = OpenOptions::new().pragma("encoding", "UTF-16le").open_in_memory().unwrap();
    conn.query_row("SELECT '12 apples', 12, 1.5, x'3132'", (), |row| {
        let before: Vec<ValueRef<'_>> = (0..4).map(|n| row.value(n)).collect::<Result<_, _>>()?;
        for column in 0..4 {
            // Each of these would be a conversion in place, were it to ask SQLite for it.
            let _ = row.get::<i64>(column);
            let _ = row.get::<f64>(column);
            let _ = row.get::<String>(column);
            let _ = row.get::<Vec<u8>>(column);
        }
        let after: Vec<ValueRef<'_>> = (0..4).map(|n| row.value(n)).collect::<Result<_, _>>()?;
        assert_eq!(before, after);
        Ok(())
    })
    .unwrap();
}

#[test]
fn rule_12_a_connection_may_move_and_its_kept_statements_with_it() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("SELECT 1", ()).unwrap();
    let boxed = Box::new(conn);
    boxed.execute("SELECT 1", ()).unwrap();
    let conn = std::thread::spawn(move || {
        boxed.execute("SELECT 1", ()).unwrap();
        *boxed
    });
    let conn = conn.join().unwrap();
    assert_eq!(conn.statement_cache_stats().hits, 2);
}

#[test]
fn decision_2_execute_counts_rows_as_sqlite_does_not() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    assert_eq!(conn.execute("SELECT * FROM t", ()).unwrap(), 0);
    assert_eq!(conn.changes(), 2, "what a driver would return that asks SQLite without looking further");
    // Where the total moves, it is SQLite's count, of a virtual table's row in the schema too.
    assert_eq!(conn.execute("CREATE TABLE u(a)", ()).unwrap(), 0);
    let total = conn.total_changes();
    assert_eq!(conn.execute("CREATE VIRTUAL TABLE v USING rtree(id, low, high)", ()).unwrap(), 1);
    assert!(conn.total_changes() > total);
}

#[test]
fn decision_4_an_integer_that_does_not_fit_is_named() {
    let conn = Connection::open_in_memory().unwrap();
    let error: Error = conn.execute("SELECT :id", finalite::named_params! { ":id": u64::MAX }).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("1 (:id)") && text.contains("18446744073709551615 (u64)"), "{text}");
    assert!(matches!(error.kind(), ErrorKind::ParameterConversion { index: 1, .. }));
}

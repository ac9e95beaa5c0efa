//! Collations: order, replacing, panics, supply on demand.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use finalite::extend::Replaced;
use finalite::{Connection, ErrorKind, ResultCode, Value};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn lengths(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[test]
fn a_collation_orders_groups_compares_and_serves_indexes() {
    let conn = open();
    assert_eq!(conn.create_collation("by_length", lengths).unwrap(), Replaced::Nothing);
    conn.create_collation("folded", |a: &str, b: &str| a.to_lowercase().cmp(&b.to_lowercase())).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a TEXT COLLATE folded UNIQUE); INSERT INTO t VALUES ('ÅSA'), ('bo'), ('Ca');
         CREATE INDEX i ON t(a COLLATE by_length);",
    )
    .unwrap();
    assert_eq!(
        conn.query_all::<String>("SELECT a FROM t ORDER BY a COLLATE by_length", ()).unwrap(),
        ["Ca", "bo", "ÅSA"]
    );
    assert!(conn.exists("SELECT 1 FROM t WHERE a = 'åsa'", ()).unwrap());
    assert!(conn.execute("INSERT INTO t VALUES ('BO')", ()).unwrap_err().constraint().is_some());
    assert_eq!(
        conn.query_one::<i64>("SELECT count(DISTINCT column1 COLLATE folded) FROM (VALUES ('x'), ('X'))", ()).unwrap(),
        1
    );
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
}

#[test]
fn text_that_is_not_utf_8_comes_last() {
    let conn = open();
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    conn.create_collation("reversed", move |a: &str, b: &str| {
        counting.fetch_add(1, Atomic::Relaxed);
        b.cmp(a)
    })
    .unwrap();
    conn.create_bytes_collation("reversed_bytes", |a: &[u8], b: &[u8]| b.cmp(a)).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('a'), ('b'), ('')").unwrap();
    conn.execute("INSERT INTO t VALUES (CAST(x'ff' AS TEXT)), (CAST(x'fe' AS TEXT))", ()).unwrap();
    let hex = |collation: &str| {
        conn.query_all::<String>(&format!("SELECT hex(a) FROM t ORDER BY a COLLATE {collation}"), ()).unwrap()
    };
    assert_eq!(hex("reversed"), ["62", "61", "", "FE", "FF"]);
    assert!(calls.load(Atomic::Relaxed) > 0);
    assert_eq!(hex("reversed_bytes"), ["FF", "FE", "62", "61", ""]);
    assert_eq!(hex("binary"), ["", "61", "62", "FE", "FF"]);
}

#[test]
fn a_utf_16_database_is_collated_in_utf_8() {
    let conn = open();
    conn.execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(a); INSERT INTO t VALUES ('å'), ('bbb'), ('cc')")
        .unwrap();
    conn.create_collation("by_length", lengths).unwrap();
    assert_eq!(
        conn.query_all::<String>("SELECT a FROM t ORDER BY a COLLATE by_length", ()).unwrap(),
        ["cc", "å", "bbb"]
    );
}

#[test]
fn rule_14_collations_are_replaced_and_removed_while_nothing_runs() {
    let conn = open();
    conn.create_collation("c", lengths).unwrap();
    assert_eq!(conn.create_collation("C", |a: &str, b: &str| b.cmp(a)).unwrap(), Replaced::Registered);
    assert_eq!(conn.create_collation("nocase", |a: &str, b: &str| a.cmp(b)).unwrap(), Replaced::Other);
    let sql = "SELECT column1 FROM (VALUES ('a'), ('b')) ORDER BY column1 COLLATE c";
    assert_eq!(conn.query_all::<String>(sql, ()).unwrap(), ["b", "a"]);
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap().unwrap();
    assert_eq!(conn.create_collation("c", lengths).unwrap_err().code(), Some(ResultCode::BUSY));
    assert_eq!(conn.remove_collation("c").unwrap_err().code(), Some(ResultCode::BUSY));
    drop(rows);
    assert!(conn.remove_collation("c").unwrap());
    assert!(!conn.remove_collation("c").unwrap());
    let error = statement.query_all::<String>(()).unwrap_err();
    assert!(error.to_string().starts_with("no such collation sequence: c"), "{error}");
    let error = conn.create_collation("nul\0", lengths).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }));
}

#[test]
fn rule_5_a_panic_in_a_collation_is_resumed_and_the_order_stays_one() {
    let conn = open();
    conn.create_collation("bomb", |a: &str, _: &str| -> Ordering { panic!("comparing {a}") }).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('c'), ('a'), ('b')").unwrap();
    let sql = "SELECT a FROM t ORDER BY a COLLATE bomb";
    let payload = catch_unwind(AssertUnwindSafe(|| conn.query_all::<String>(sql, ()))).unwrap_err();
    assert!(payload.downcast_ref::<String>().unwrap().starts_with("comparing "));
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 3);
    // Rows that are read one by one: the next call resumes it.
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(()).unwrap();
    let read = catch_unwind(AssertUnwindSafe(|| while rows.next().unwrap().is_some() {}));
    assert!(read.is_err());
    drop(rows);
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

#[test]
fn collations_are_supplied_on_demand() {
    let conn = open();
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    conn.on_collation_needed(move |name| {
        counting.fetch_add(1, Atomic::Relaxed);
        let descending = match name {
            "up" => false,
            "Down" => true,
            "bomb" => panic!("asked for {name}"),
            _ => return None,
        };
        Some(move |a: &str, b: &str| if descending { b.cmp(a) } else { a.cmp(b) })
    })
    .unwrap();
    let sorted = |collation: &str| {
        let sql = format!("SELECT column1 FROM (VALUES ('b'), ('a'), ('c')) ORDER BY column1 COLLATE {collation}");
        conn.query_all::<String>(&sql, ())
    };
    assert_eq!(sorted("up").unwrap(), ["a", "b", "c"]);
    assert_eq!(sorted("Down").unwrap(), ["c", "b", "a"]);
    assert_eq!(sorted("down").unwrap(), ["c", "b", "a"]);
    assert_eq!(asked.load(Atomic::Relaxed), 2);
    assert!(sorted("sideways").unwrap_err().to_string().starts_with("no such collation sequence: sideways"));
    let payload = catch_unwind(AssertUnwindSafe(|| sorted("bomb"))).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "asked for bomb");
    assert!(conn.remove_collation_needed().unwrap() && !conn.remove_collation_needed().unwrap());
    assert_eq!(sorted("up").unwrap(), ["a", "b", "c"]);
    assert!(sorted("bomb").is_err());
}

thread_local! {
    static HERE: OnceCell<Rc<Connection>> = const { OnceCell::new() };
}

#[test]
fn rule_4_a_collation_does_not_use_its_connection() {
    let conn = Rc::new(open());
    assert!(HERE.try_with(|here| here.set(Rc::clone(&conn)).is_ok()).unwrap());
    let refused = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&refused);
    let check = move || {
        HERE.with(|conn| {
            let conn = conn.get().unwrap();
            for error in [
                conn.execute("SELECT 1", ()).unwrap_err(),
                conn.create_collation("other", lengths).unwrap_err(),
                conn.remove_collation("c").unwrap_err(),
                conn.remove_collation_needed().unwrap_err(),
                conn.unchecked_transaction().unwrap_err(),
            ] {
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
                counting.fetch_add(1, Atomic::Relaxed);
            }
        });
    };
    let in_supply = check.clone();
    conn.on_collation_needed(move |_| {
        in_supply();
        None::<fn(&str, &str) -> Ordering>
    })
    .unwrap();
    conn.create_collation("c", move |a: &str, b: &str| {
        check();
        a.cmp(b)
    })
    .unwrap();
    assert!(conn.query_one::<bool>("SELECT 'a' < 'b' COLLATE c", ()).unwrap());
    assert_eq!(refused.swap(0, Atomic::Relaxed), 5);
    assert!(conn.prepare("SELECT 'a' < 'b' COLLATE missing").is_err());
    assert!(refused.load(Atomic::Relaxed) >= 5);
}

#[test]
fn collations_go_at_close() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Atomic::Relaxed);
        }
    }
    let conn = open();
    let dropped = Arc::new(AtomicUsize::new(0));
    let (one, two) = (Counted(Arc::clone(&dropped)), Counted(Arc::clone(&dropped)));
    conn.create_collation("c", move |a: &str, b: &str| {
        let _ = &one;
        a.cmp(b)
    })
    .unwrap();
    conn.on_collation_needed(move |_| {
        let _ = &two;
        Some(lengths)
    })
    .unwrap();
    assert_eq!(conn.query_all::<Value>("SELECT 'a' = 'b' COLLATE supplied", ()).unwrap(), [Value::Integer(0)]);
    assert_eq!(dropped.load(Atomic::Relaxed), 0);
    conn.close().unwrap();
    assert_eq!(dropped.load(Atomic::Relaxed), 2);
}

//! Rule 10: no SQL reaches columns that are not lent to the statement that runs. AddressSanitizer runs these.

use std::cell::RefCell;
use std::rc::Rc;

use finalite::{ErrorKind, Type};

use super::*;
use crate::common::profile;

/// Texts that are on the heap, and freed with the vector.
fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text {n}, long enough for the heap and for no inline representation")).collect()
}

fn insert_texts(conn: &Connection, count: usize) -> finalite::Result<u64> {
    let texts = texts(count);
    insert(conn, InsertStrategy::Columns, vec![("a", (&texts).into())]).0
}

#[test]
fn rule_10_other_sql_finds_no_columns() {
    let conn = open("CREATE TABLE t(a)");
    let unknown = conn.prepare("SELECT * FROM finalite_columns_1(NULL)").unwrap_err();
    assert!(unknown.to_string().starts_with("no such table"), "{unknown}");
    insert_texts(&conn, 5).unwrap();
    for sql in ["SELECT * FROM finalite_columns_1(NULL)", "SELECT * FROM finalite_columns_1(7)"] {
        let error = conn.query_all::<Option<String>>(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionArgument { argument: 1, .. }), "{error}");
    }
    let sql = "SELECT * FROM finalite_columns_1(?)";
    let error = conn.query_all::<Option<String>>(sql, (finalite::array(&[1]),)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FunctionArgument { found: Type::Null, .. }), "{error}");
    assert!(conn.prepare("SELECT * FROM finalite_columns_1").is_err(), "the argument is missing");
    assert!(conn.prepare("INSERT INTO finalite_columns_1 VALUES (1)").is_err());
    conn.execute_batch("CREATE VIEW v AS SELECT * FROM finalite_columns_1(NULL)").unwrap();
    assert!(conn.prepare("SELECT * FROM v").is_err(), "a view must not use it");
    assert!(conn.execute_batch("CREATE TABLE u AS SELECT * FROM finalite_columns_1(1)").is_err());
    assert_eq!(count(&conn), 5);
}

/// The text of the statement, run by others when its columns are gone.
#[test]
fn rule_10_a_cached_statement_keeps_no_columns() {
    let conn = open("CREATE TABLE t(a)");
    let sql = r#"INSERT INTO "t"("a") SELECT c0 FROM finalite_columns_1(?)"#;
    for end in 0..4 {
        let result = match end {
            0 => insert_texts(&conn, 3),
            1 => insert(&conn, InsertStrategy::Columns, vec![("a", (&[0.5, f64::NAN]).into())]).0,
            2 => {
                conn.execute_batch("CREATE UNIQUE INDEX i ON t(a)").unwrap();
                insert_texts(&conn, 3)
            }
            _ => insert_texts(&conn, 0),
        };
        assert_eq!(result.is_ok(), end % 3 == 0);
        // What SQLite has for the parameter now is what was left by the last execution.
        let mut kept = conn.prepare_cached(sql).unwrap();
        assert!(kept.expanded_sql((None::<i64>,)).unwrap().contains("finalite_columns_1(NULL)"));
        let error = kept.execute((None::<i64>,)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionArgument { .. }), "{error}");
    }
    assert_eq!(count(&conn), 3);
}

#[test]
fn rule_10_columns_are_read_within_callbacks_and_outlive_them() {
    let conn = open("CREATE TABLE t(a)");
    conn.create_scalar_function_with("seen", finalite::extend::FunctionOptions::new().arguments(1), |call| {
        // It reads the table that is written, and the text that is lent.
        let text: String = call.get(0)?;
        let rows: i64 = call.connection().query_one("SELECT count(*) FROM t", ())?;
        Ok(call.reply(rows + i64::try_from(text.len()).unwrap_or(0)))
    })
    .unwrap();
    conn.execute_batch("DROP TABLE t; CREATE TABLE t(a CHECK (seen(a) > 0))").unwrap();
    assert_eq!(insert_texts(&conn, 10).unwrap(), 10);
    assert_eq!(conn.query_all::<String>("SELECT a FROM t", ()).unwrap(), texts(10));
}

/// A hook that uses the connection, which is inside C.
#[test]
fn rule_10_a_hook_cannot_insert() {
    thread_local! {
        static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    }
    let conn = Rc::new(open("CREATE TABLE t(a)"));
    CONNECTION.set(Some(Rc::clone(&conn)));
    let hook = conn
        .on_update(|_| {
            let conn = CONNECTION.with_borrow(|conn| conn.as_ref().map(Rc::clone));
            let error = insert_texts(&conn.unwrap(), 600).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
        })
        .unwrap();
    assert_eq!(insert_texts(&conn, 10).unwrap(), 10);
    drop(hook);
    CONNECTION.take();
    assert_eq!((count(&conn), conn.is_autocommit()), (10, true));
}

/// The profile trace fires when a statement ends, and expands its SQL.
#[test]
fn rule_10_a_profile_trace_reads_no_columns_that_are_gone() {
    let conn = open("CREATE TABLE t(a UNIQUE)");
    profile::expand_each(&conn);
    assert_eq!(insert_texts(&conn, 3).unwrap(), 3);
    assert!(insert_texts(&conn, 3).is_err());
    conn.close().unwrap();
}

/// Statements over columns while another is being read, also of the same text.
#[test]
fn rule_10_insertions_within_a_scan() {
    let conn = open("CREATE TABLE s(a); INSERT INTO s VALUES (1), (2), (3); CREATE TABLE t(a)");
    conn.scan("SELECT a FROM s", ())
        .for_each(|_| {
            insert_texts(&conn, 4)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(count(&conn), 12);
    // A panic within the statement leaves nothing behind.
    conn.create_scalar_function("fall", |text: &str| -> i64 { panic!("on purpose, at {}", text.len()) }).unwrap();
    conn.execute_batch("CREATE TABLE u(a CHECK (fall(a)))").unwrap();
    let lent = texts(3);
    let run = || conn.insert_columns("u", [("a", (&lent).into())]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    assert!(conn.is_autocommit());
    assert_eq!(insert_texts(&conn, 4).unwrap(), 4);
}

//! Statements that a connection keeps for a key.

use std::mem::forget;

use finalite::pool::Pool;
use finalite::{Connection, ErrorKind, Result, StatementKey, Value};

use crate::common::leaked;

static DOUBLE: StatementKey<(i64,), i64> = StatementKey::new("SELECT 2 * ?");

fn runs(conn: &Connection, key: StatementKey<(i64,), i64>) -> i32 {
    conn.statement(key).unwrap().counters().runs
}

#[test]
fn each_connection_prepares_it_once() {
    let [first, second] = [(); 2].map(|()| Connection::open_in_memory().unwrap());
    for n in 0..5 {
        assert_eq!(DOUBLE.query_one(&first, (n,)).unwrap(), 2 * n);
        assert_eq!(DOUBLE.query_one(&second, (n,)).unwrap(), 2 * n);
    }
    assert_eq!((runs(&first, DOUBLE), runs(&second, DOUBLE)), (5, 5));
    let stats = first.statement_cache_stats();
    assert_eq!((stats.statements, stats.misses), (0, 0), "the cache is not used");
}

#[test]
fn many_keys_each_find_their_statement() {
    let keys: Vec<StatementKey<(), i64>> =
        (0..1000).map(|n| StatementKey::new(leaked::text(format!("SELECT {n}")))).collect();
    let conn = Connection::open_in_memory().unwrap();
    let stored: Vec<StatementKey> = (0..100).map(|n| conn.store(&format!("SELECT -{n}")).unwrap()).collect();
    for _ in 0..2 {
        for (n, key) in (0..).zip(&keys) {
            assert_eq!(key.query_one(&conn, ()).unwrap(), n);
        }
        for (n, key) in (0..).zip(&stored) {
            assert_eq!(conn.statement(*key).unwrap().query_one::<i64>(()).unwrap(), -n);
        }
    }
    conn.statement(keys[999]).unwrap().query_one::<i64>(()).unwrap();
    assert_eq!(conn.statement(keys[999]).unwrap().counters().runs, 3, "none was evicted");
}

#[test]
fn equal_sql_is_stored_once() {
    let conn = Connection::open_in_memory().unwrap();
    let [first, second] = [(); 2].map(|()| conn.store("SELECT 1").unwrap());
    conn.statement(first).unwrap().query_one::<i64>(()).unwrap();
    assert_eq!(conn.statement(second).unwrap().counters().runs, 1);
}

#[test]
fn a_key_of_another_connection_is_an_error() {
    let [conn, other] = [(); 2].map(|()| Connection::open_in_memory().unwrap());
    let key = other.store("SELECT 1").unwrap();
    let error = conn.statement(key).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Misuse { reason, .. } if reason.contains("another connection")),
        "{error}"
    );
    assert_eq!(other.statement(key).unwrap().query_one::<i64>(()).unwrap(), 1);
}

#[test]
fn rule_3_a_keys_statement_in_use_is_not_touched() {
    let conn = Connection::open_in_memory().unwrap();
    // The first statement of a connection may have other memory than later ones.
    conn.execute_batch("SELECT 0").unwrap();
    let count: StatementKey = StatementKey::new("SELECT value FROM json_each('[1, 2, 3]')");
    let mut first = conn.statement(count).unwrap();
    let bytes = conn.memory().statement_bytes;
    let mut rows = first.query(()).unwrap();
    rows.next().unwrap().unwrap();
    assert_eq!(conn.statement(count).unwrap().query_all::<i64>(()).unwrap(), [1, 2, 3]);
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 2);
    drop(rows);
    assert!(conn.memory().statement_bytes > bytes, "there are two");
    drop(first);
    // The one that was prepared meanwhile has the place.
    assert_eq!(conn.statement(count).unwrap().counters().runs, 1);
    conn.statement(count).unwrap().exists(()).unwrap();
    assert_eq!(conn.memory().statement_bytes, bytes);
}

#[test]
fn rule_3_a_forgotten_statement_of_a_key_stays_out() {
    let conn = Connection::open_in_memory().unwrap();
    let mut first = conn.statement(DOUBLE).unwrap();
    let mut rows = first.query((1,)).unwrap();
    rows.next().unwrap();
    forget(rows);
    forget(first);
    for n in 0..3 {
        assert_eq!(DOUBLE.query_one(&conn, (n,)).unwrap(), 2 * n);
    }
    assert_eq!(runs(&conn, DOUBLE), 3);
    conn.close().unwrap();
}

#[test]
fn rule_2_rows_forgotten_by_a_key_hold_no_parameter() {
    let conn = Connection::open_in_memory().unwrap();
    let echo: StatementKey<(String,), String> = StatementKey::new("SELECT ?");
    {
        let text = String::from("bound, then freed, and long enough for the heap");
        let mut statement = conn.statement(echo).unwrap();
        let mut rows = statement.query((&text,)).unwrap();
        rows.next().unwrap();
        forget(rows);
    }
    assert_eq!(&*conn.statement(echo).unwrap().expanded_sql(("new",)).unwrap(), "SELECT 'new'");
    assert_eq!(echo.query_one(&conn, ("new",)).unwrap(), "new");
}

#[test]
fn clearing_the_cache_finalizes_them_and_keys_stay_valid() {
    let conn = Connection::open_in_memory().unwrap();
    let key = conn.store("SELECT 1").unwrap();
    DOUBLE.query_one(&conn, (1,)).unwrap();
    let with_both = conn.memory().statement_bytes;
    conn.clear_statement_cache();
    assert!(conn.memory().statement_bytes < with_both);
    assert_eq!(conn.memory().statement_bytes, 0);
    assert_eq!(conn.statement(key).unwrap().query_one::<i64>(()).unwrap(), 1);
    assert_eq!(DOUBLE.query_one(&conn, (1,)).unwrap(), 2);
}

#[test]
fn sql_that_is_wrong_is_an_error_each_time() {
    let conn = Connection::open_in_memory().unwrap();
    let wrong: StatementKey = StatementKey::new("SELECT x FROM missing");
    for _ in 0..2 {
        let error = wrong.execute(&conn, ()).unwrap_err();
        assert_eq!(error.sql(), Some("SELECT x FROM missing"));
    }
    conn.execute("CREATE TABLE missing(x)", ()).unwrap();
    assert_eq!(wrong.execute(&conn, ()).unwrap(), 0);
    assert!(matches!(conn.store("").unwrap_err().kind(), ErrorKind::EmptySql));
    assert!(matches!(StatementKey::<(), i64>::new("").query_one(&conn, ()).unwrap_err().kind(), ErrorKind::EmptySql));
    assert!(matches!(conn.store("SELECT 1; SELECT 2").unwrap_err().kind(), ErrorKind::TrailingSql { .. }));
}

#[test]
fn a_pragma_works_each_time() {
    let conn = Connection::open_in_memory().unwrap();
    let set: StatementKey = StatementKey::new("PRAGMA user_version = 7");
    set.execute(&conn, ()).unwrap();
    conn.set_pragma("user_version", 1).unwrap();
    set.execute(&conn, ()).unwrap();
    assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 7);
}

#[test]
fn the_schema_may_change_between_two_uses() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let all: StatementKey = StatementKey::new("SELECT * FROM t");
    assert_eq!(conn.statement(all).unwrap().query_one::<i64>(()).unwrap(), 1);
    conn.execute("ALTER TABLE t ADD COLUMN b DEFAULT 2", ()).unwrap();
    assert_eq!(conn.statement(all).unwrap().query_one::<(i64, i64)>(()).unwrap(), (1, 2));
}

#[test]
fn values_are_given_or_lent() -> Result<()> {
    type Types = (String, Option<String>, Vec<u8>, Option<Vec<u8>>, i64, Option<f64>, Value);
    static ROW: StatementKey<Types, Types> = StatementKey::new("SELECT ?, ?, ?, ?, ?, ?, ?");
    let conn = Connection::open_in_memory()?;
    let expected =
        (String::from("a"), Some(String::from("b")), vec![1], Some(vec![2]), 3, Some(4.5), Value::Text("c".into()));
    let (text, bytes, value) = (String::from("b"), vec![2], Value::Text("c".into()));
    assert_eq!(
        ROW.query_one(&conn, ("a", Some("b"), &[1][..], Some(&[2][..]), 3, Some(4.5), value.clone()))?,
        expected
    );
    assert_eq!(
        ROW.query_one(&conn, ("a".to_owned(), Some(&text), vec![1], Some(&bytes), &3, Some(&4.5), &value))?,
        expected
    );
    assert_eq!(ROW.query_all(&conn, ("a", Some(text), vec![1], Some(bytes), 3, Some(4.5), value))?, [expected]);
    let nothing =
        ROW.query_optional(&conn, ("a", None::<&str>, &b""[..], None::<&[u8]>, 3, None::<f64>, Value::Null))?;
    assert_eq!(nothing, Some((String::from("a"), None, vec![], None, 3, None, Value::Null)));
    Ok(())
}

#[test]
fn a_pool_prepares_it_once_for_each_connection_and_lends_it_again()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let pool = Pool::builder(directory.path().join("a.db")).readers(1).build()?;
    for n in 0..4 {
        let reader = pool.reader()?;
        assert_eq!(DOUBLE.query_one(&reader, (n,))?, 2 * n);
        assert_eq!(runs(&reader, DOUBLE), i32::try_from(n)? + 1);
    }
    pool.write(|tx| DOUBLE.query_one(tx, (1,)))?;
    assert_eq!(pool.status().destroyed_total, [0; _]);
    drop(pool.close());
    Ok(())
}

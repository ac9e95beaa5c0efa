//! Rule 10: no SQL reaches a list that is not bound to the statement that runs. AddressSanitizer runs these.

use std::mem::forget;

use super::*;
use crate::common::profile;

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text {n}, long enough for the heap and for no inline representation")).collect()
}

#[test]
fn rule_10_a_list_of_forgotten_rows_is_never_looked_at_again() {
    for owned in [false, true] {
        let conn = open();
        let mut statement = conn.prepare("SELECT value, max(value) OVER () FROM list(?)").unwrap();
        for again in 0..6 {
            {
                let list = texts(3);
                let list = if owned { array(texts(3)) } else { array(&list) };
                let mut rows = statement.query((list,)).unwrap();
                assert_eq!(rows.next().unwrap().unwrap().get::<String>(0).unwrap(), texts(1)[0]);
                forget(rows);
            }
            match again {
                0 => drop(statement.query((array(&["new"]),)).unwrap()),
                1 => assert_eq!(statement.execute((array(&["new"]),)).unwrap(), 0),
                2 => assert!(statement.expanded_sql((array(&["new"]),)).unwrap().contains("list(NULL)")),
                3 => drop(statement.query(()).unwrap_err()),
                4 => assert!(statement.query_one::<(String, String)>((1,)).is_err(), "the old list is gone"),
                _ => {}
            }
        }
        drop(statement);
        conn.close().unwrap();
    }
}

#[test]
fn rule_10_a_cached_statement_keeps_no_list() {
    let conn = open();
    for way in 0..4 {
        let list = texts(2);
        let mut cached = conn.prepare_cached(SQL).unwrap();
        let list = if way < 2 { array(&list) } else { array(list) };
        let mut rows = cached.query((&list,)).unwrap();
        rows.next().unwrap();
        if way % 2 == 0 {
            forget(rows);
        } else {
            drop(rows);
        }
        drop(cached);
        drop(list);
        // What SQLite has for the parameter now is what was left by the last execution.
        // SAFETY: the connection is open, and nothing is closed through the pointer.
        let db = unsafe { conn.as_raw() };
        // SAFETY: as above; the statement is the only one, idle in the cache.
        unsafe {
            let statement = finalite::ffi::sqlite3_next_stmt(db, std::ptr::null_mut());
            assert_eq!(finalite::ffi::sqlite3_step(statement), finalite::ffi::SQLITE_ERROR, "no list is bound");
            finalite::ffi::sqlite3_reset(statement);
        }
    }
    {
        let list = texts(2);
        let mut left = conn.prepare(SQL).unwrap();
        let mut rows = left.query((array(&list),)).unwrap();
        rows.next().unwrap();
        forget(rows);
        forget(left);
    }
    conn.close().unwrap();
}

#[test]
fn rule_10_an_owned_list_is_dropped_once_whatever_happens() {
    let conn = open();
    let mut statement = conn.prepare("SELECT ?, value FROM list(?)").unwrap();
    // Bound and not run, bound over, refused by the count, and run.
    for _ in 0..3 {
        assert!(statement.query((array(texts(2)),)).is_err());
        assert!(statement.query((array(texts(2)), array(texts(2)), array(texts(2)))).is_err());
        assert!(statement.query((array(texts(2)), u64::MAX)).is_err());
        let rows = statement.query_all::<(Option<i64>, String)>((array(texts(2)), array(texts(2)))).unwrap();
        assert_eq!(rows.len(), 2);
    }
    drop(array(texts(2)));
    drop(statement.query((1, array(texts(2)))).unwrap());
}

#[test]
fn rule_10_a_stored_list_is_null() {
    let conn = filled();
    conn.execute_batch("CREATE TABLE kept(a); CREATE TEMP TABLE temporary(a)").unwrap();
    let list = [1_i64];
    conn.execute("INSERT INTO kept VALUES (?)", (array(&list),)).unwrap();
    conn.execute("CREATE TEMP TABLE made AS SELECT ?1 AS a", (array(&list),)).unwrap();
    conn.execute("INSERT INTO temporary SELECT ? UNION ALL SELECT NULL", (array(&list),)).unwrap();
    for table in ["kept", "temporary", "made"] {
        let error = conn.query_all::<i64>(&format!("SELECT value FROM {table}, list({table}.a)"), ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionArgument { found: Type::Null, .. }), "{error:?}");
    }
}

#[test]
fn rule_10_views_and_triggers_have_no_list() {
    let conn = filled();
    conn.execute_batch(
        "CREATE VIEW v AS SELECT value FROM list(7);
         CREATE TEMP VIEW w AS SELECT value FROM t, list(t.name);
         CREATE TRIGGER tr BEFORE INSERT ON t WHEN new.id IS NULL BEGIN
             SELECT count(*) FROM list(new.name);
         END",
    )
    .unwrap();
    for _ in 0..2 {
        // Not even a list that is alive passes through a trigger.
        let insert = conn.execute("INSERT INTO t(id, name) VALUES (?, ?)", (None::<i64>, array(&[1_i64])));
        let results = [conn.query_all::<i64>("SELECT * FROM v", ()), conn.query_all("SELECT * FROM w", ())];
        for error in results.map(Result::unwrap_err).into_iter().chain([insert.unwrap_err()]) {
            assert!(error.to_string().contains("list"), "{error}");
        }
        // From now on, the connection has the table.
        assert_eq!(conn.query_all::<i64>(SQL, (array(&[1_i64]),)).unwrap(), [1]);
        let error = conn.prepare("SELECT * FROM v").unwrap_err();
        assert!(error.to_string().starts_with("unsafe use of virtual table \"list\""), "{error}");
        // SQLite trusts views of its own process, which have no list either.
        let error = conn.query_all::<i64>("SELECT * FROM w", ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionArgument { found: Type::Text, .. }), "{error:?}");
    }
}

#[test]
fn rule_10_a_list_does_not_pass_through_common_table_expressions() {
    let conn = open();
    let list = texts(3);
    for hint in ["NOT MATERIALIZED", "MATERIALIZED"] {
        let sql = format!("WITH c(p) AS {hint} (SELECT ?1) SELECT value FROM c, list(c.p)");
        let error = conn.query_all::<String>(&sql, (array(&list),)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionArgument { found: Type::Null, .. }), "{error:?}");
        // A control: one that reads the list itself.
        let sql = format!("WITH c AS {hint} (SELECT value FROM list(?1)) SELECT value FROM c");
        assert_eq!(conn.query_all::<String>(&sql, (array(&list),)).unwrap(), list);
    }
    let recursive = "WITH RECURSIVE c(p, n) AS (SELECT ?1, 1 UNION ALL SELECT p, n + 1 FROM c WHERE n < 3) \
                     SELECT count(*) FROM c, list(c.p)";
    let error = conn.query_one::<i64>(recursive, (array(&list),)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FunctionArgument { .. }), "{error:?}");
    let scalar = "SELECT value FROM list((SELECT ?1)) WHERE value <> coalesce((SELECT max(?1) FROM list(?1)), '')";
    assert_eq!(conn.query_all::<String>(scalar, (array(&list),)).unwrap(), list);
}

#[test]
fn rule_10_a_function_of_the_program_gets_null_for_a_list() {
    let conn = open();
    conn.create_scalar_function("same", |value: Value| value).unwrap();
    conn.create_scalar_function("is_null", |value: Option<i64>| value.is_none()).unwrap();
    let list = texts(2);
    assert!(conn.query_one::<bool>("SELECT is_null(?)", (array(&list),)).unwrap());
    assert_eq!(conn.query_one::<Value>("SELECT ?", (array(&list),)).unwrap(), Value::Null);
    for function in ["same(?1)", "max(?1, ?1)", "iif(true, same(?1), 2)"] {
        let sql = format!("SELECT count(*) FROM list({function})");
        let error = conn.query_one::<i64>(&sql, (array(&list),)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionArgument { found: Type::Null, .. }), "{error:?}");
    }
}

#[test]
fn rule_10_other_statements_run_while_a_list_is_read() {
    let conn = filled();
    let list: Vec<i64> = (1..=300).collect();
    let mut statement = conn.prepare_cached("SELECT value FROM list(?)").unwrap();
    let mut rows = statement.query((array(&list),)).unwrap();
    let mut sum = 0;
    while let Some(row) = rows.next().unwrap() {
        let id: i64 = row.get(0).unwrap();
        // The same SQL with a list that ends at once, errors, and what makes SQLite prepare again.
        assert_eq!(conn.query_all::<i64>("SELECT value FROM list(?)", (array(vec![id, id]),)).unwrap(), [id, id]);
        assert!(conn.query_all::<i64>("SELECT value FROM list(?)", (id,)).is_err());
        if id % 100 == 0 {
            conn.execute_batch(&format!("CREATE TABLE made_{id}(a)")).unwrap();
            conn.clear_statement_cache();
        }
        sum += id;
    }
    assert_eq!(sum, 300 * 301 / 2);
}

#[test]
fn rule_10_a_list_is_read_within_callbacks_and_outlives_a_panic() {
    let conn = open();
    conn.create_scalar_function_with("reads", finalite::extend::FunctionOptions::new(), |context| {
        let list = texts(3);
        let all = context.connection().query_all::<String>("SELECT value FROM list(?)", (array(&list),))?;
        Ok(i64::try_from(all.len()).unwrap())
    })
    .unwrap();
    conn.create_scalar_function("panics", |_: &str| -> i64 { panic!("within the list") }).unwrap();
    let list = texts(4);
    let sql = "SELECT sum(reads()) FROM list(?)";
    assert_eq!(conn.query_one::<i64>(sql, (array(&list),)).unwrap(), 12);
    for _ in 0..2 {
        let list = texts(4);
        let run = std::panic::AssertUnwindSafe(|| {
            drop(conn.query_all::<i64>("SELECT panics(value) FROM list(?)", (array(&list),)));
        });
        assert!(std::panic::catch_unwind(run).is_err());
        assert_eq!(conn.query_one::<i64>(sql, (array(texts(1)),)).unwrap(), 3);
    }
}

#[test]
fn rule_10_a_profile_trace_reads_no_list_that_is_gone() {
    let conn = open();
    profile::expand_each(&conn);
    for _ in 0..3 {
        let list = texts(3);
        let mut statement = conn.prepare("SELECT group_concat(value) OVER (ORDER BY value), ? FROM list(?)").unwrap();
        let mut rows = statement.query((list[0].as_str(), array(&list))).unwrap();
        rows.next().unwrap();
        forget(rows);
        drop(list);
    }
    conn.close().unwrap();
}

/// A value in an aggregate is memory of the list until the execution ends.
#[test]
fn rule_10_aggregates_are_left_half_way() {
    let conn = open();
    for sql in [
        "SELECT max(value), min(value), group_concat(value), count(DISTINCT value) FROM list(?) GROUP BY rowid",
        "SELECT max(value) OVER (ORDER BY rowid), 1, 1, 1 FROM list(?)",
    ] {
        for _ in 0..2 {
            let mut statement = conn.prepare(sql).unwrap();
            {
                let list = texts(5);
                let mut rows = statement.query((array(&list),)).unwrap();
                assert_eq!(rows.next().unwrap().unwrap().get::<&str>(0).unwrap(), list[0]);
                forget(rows);
            }
            drop(statement.query((array(texts(1)),)).unwrap());
        }
    }
}

//! Scripts: statement by statement, with the place of a mistake, and no transaction left open.

use finalite::{Connection, ErrorKind};

#[test]
fn a_script_runs_to_its_end_over_comments_and_blanks() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "\u{feff}-- first\nCREATE TABLE t(a);;\n/* ; */ INSERT INTO t VALUES (';'), ('--'); SELECT * FROM t;\n\
         CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; INSERT INTO t VALUES (3) -- end",
    )
    .unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 3);
    for empty in ["", " ", ";", "-- x", "/* x */;;\n"] {
        conn.execute_batch(empty).unwrap();
    }
}

#[test]
fn an_error_names_the_statement_and_its_place() {
    let conn = Connection::open_in_memory().unwrap();
    let place = |script: &str| {
        let error = conn.execute_batch(script).unwrap_err();
        (error.sql().unwrap().to_owned(), error.position().unwrap().to_string())
    };
    let (sql, at) = place("CREATE TABLE a(x);\nINSERT INTO a VALUES (1);\n  SELEC 1;\nSELECT 2");
    assert!(sql.starts_with("SELEC 1"), "{sql}");
    assert_eq!(at, "line 3, column 3");
    // A run-time error has no offset of its own: the statement's beginning is the place.
    let (sql, at) = place("CREATE TABLE u(x UNIQUE); INSERT INTO u VALUES (1);\n\n INSERT INTO u VALUES (1); SELECT 1");
    assert_eq!((&*sql, &*at), ("INSERT INTO u VALUES (1);", "line 3, column 2"));
    // The first statement's own offset, in a script and alone.
    let (_, at) = place("SELECT ä, nowhere");
    assert_eq!(at, "line 1, column 8");
    let (_, at) = place("SELECT 'ä', nowhere");
    assert_eq!(at, "line 1, column 13");
}

#[test]
fn a_transaction_that_the_failed_script_opened_is_rolled_back() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a UNIQUE)").unwrap();
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); COMMIT").unwrap_err();
    assert!(conn.is_autocommit());
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    // One that was open before is the caller's.
    conn.execute("BEGIN", ()).unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1); nonsense").unwrap_err();
    assert!(!conn.is_autocommit());
    conn.execute("COMMIT", ()).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
}

#[test]
fn a_script_is_prepared_lazily() {
    let conn = Connection::open_in_memory().unwrap();
    let mut script = conn.script("CREATE TABLE t(a); INSERT INTO t VALUES (:a); nonsense; SELECT 1");
    assert_eq!(script.next().unwrap().unwrap().execute(()).unwrap(), 0);
    let mut insert = script.next().unwrap().unwrap();
    assert_eq!(insert.sql(), "INSERT INTO t VALUES (:a);");
    assert_eq!(insert.execute((7,)).unwrap(), 1);
    assert_eq!(script.rest(), "nonsense; SELECT 1");
    assert!(script.next().unwrap().is_err());
    assert!(script.next().is_none(), "after an error it ends");
}

#[test]
fn nul_in_a_script_runs_nothing() {
    let conn = Connection::open_in_memory().unwrap();
    let error = conn.execute_batch("CREATE TABLE t(a);\0 DROP TABLE t").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NulInSql));
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ()).unwrap(), 0);
}

#[test]
fn a_long_script_costs_its_length_once() {
    // SQLite copies SQL that has no NUL behind it: for each statement, what is left of the script. 20,000 statements
    // would then copy 10 GB.
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let script = "BEGIN;".to_owned() + &"INSERT INTO t VALUES ('some text of no meaning');\n".repeat(20_000) + "COMMIT";
    conn.execute_batch(&script).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 20_000);
}

#[test]
fn a_script_with_values() {
    let conn = Connection::open_in_memory().unwrap();
    let script = "CREATE TABLE t(a, b);\nINSERT INTO t VALUES (:a, 1);\nINSERT INTO t VALUES (@b, $a); SELECT 'no :c'";
    let values: [(&str, &dyn finalite::ToSql); 3] = [("a", &"text"), (":a_unused", &1), ("@b", &2.5)];
    conn.execute_script(script, &values).unwrap();
    let rows = conn.query_all::<(finalite::Value, finalite::Value)>("SELECT * FROM t ORDER BY rowid", ()).unwrap();
    let text = || finalite::Value::Text("text".into());
    assert_eq!(rows, [(text(), finalite::Value::Integer(1)), (finalite::Value::Real(2.5), text())]);
    // One without a value is told with its place, and a transaction of the script ends.
    let error =
        conn.execute_script("BEGIN; DELETE FROM t;\n  DELETE FROM t WHERE a = :c; COMMIT", &values).unwrap_err();
    assert!(error.to_string().starts_with("parameter 1 (:c) has no value, at line 2, column 3"), "{error}");
    assert!(conn.is_autocommit());
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
    let error = conn.execute_batch("SELECT 1; SELECT ?").unwrap_err();
    assert!(error.to_string().starts_with("the SQL has 1 parameter, 0 were given, at line 1, column 11"), "{error}");
}

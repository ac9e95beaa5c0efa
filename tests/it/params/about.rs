//! What is known about a statement.

use super::*;

#[test]
fn columns_and_where_they_come_from() {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, extra);
         CREATE TEMP TABLE notes(body TEXT);
         ATTACH ':memory:' AS other;
         CREATE TABLE other.things(price DECIMAL(10, 2));
         CREATE VIEW names AS SELECT name AS called FROM users;",
    )
    .unwrap();
    let statement = conn
        .prepare(
            "SELECT users.id, users.name AS n, extra, users.rowid, notes.body, price, called, 1 + 1, max(price), \
             (SELECT name FROM users) FROM users, notes, things, names",
        )
        .unwrap();
    let columns = statement.columns().unwrap();
    let seen: Vec<_> = columns
        .iter()
        .map(|column| {
            let origin = [column.database(), column.table(), column.origin_column()];
            (column.name(), column.declared_type(), origin)
        })
        .collect();
    let origin = |database, table, column| {
        if cfg!(feature = "bundled") { [Some(database), Some(table), Some(column)] } else { [None; 3] }
    };
    assert_eq!(
        seen,
        [
            ("id", Some("INTEGER"), origin("main", "users", "id")),
            ("n", Some("VARCHAR(20)"), origin("main", "users", "name")),
            ("extra", None, origin("main", "users", "extra")),
            ("id", Some("INTEGER"), origin("main", "users", "id")),
            ("body", Some("TEXT"), origin("temp", "notes", "body")),
            ("price", Some("DECIMAL(10, 2)"), origin("other", "things", "price")),
            ("called", Some("VARCHAR(20)"), origin("main", "users", "name")),
            ("1 + 1", None, [None; 3]),
            ("max(price)", None, [None; 3]),
            ("(SELECT name FROM users)", Some("VARCHAR(20)"), origin("main", "users", "name")),
        ]
    );
    assert_eq!(statement.column_names().unwrap().len(), columns.len());
    assert!(statement.column_names().unwrap().eq(columns.iter().map(finalite::ColumnMetadata::name)));
}

#[test]
fn columns_after_a_schema_change() {
    let conn = open();
    conn.execute("CREATE TABLE t(a INTEGER, b TEXT)", ()).unwrap();
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    assert_eq!(statement.columns().unwrap().len(), 2);
    conn.execute_batch("ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN c REAL").unwrap();
    assert_eq!(statement.query_optional::<(String, f64)>(()).unwrap(), None);
    let columns = statement.columns().unwrap();
    let seen: Vec<_> = columns.iter().map(|column| (column.name(), column.declared_type())).collect();
    assert_eq!(seen, [("b", Some("TEXT")), ("c", Some("REAL"))]);
}

#[test]
fn a_statement_without_columns() {
    let conn = open();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let mut statement = conn.prepare("INSERT INTO t VALUES (?)").unwrap();
    assert_eq!((statement.column_count(), statement.columns().unwrap().len()), (0, 0));
    assert_no_such(&statement.column("a").unwrap_err(), NameKind::Column, "a", &[]);
    let returning = conn.prepare("INSERT INTO t VALUES (?) RETURNING a AS stored").unwrap();
    assert_eq!(returning.column_names().unwrap().collect::<Vec<_>>(), ["stored"]);
}

#[test]
fn counters_of_runs_and_work() {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (3, 1), (1, 2), (2, 3)").unwrap();
    let mut statement = conn.prepare("SELECT a FROM t ORDER BY a").unwrap();
    let fresh = statement.counters();
    assert_eq!((fresh.runs, fresh.vm_steps, fresh.fullscan_steps, fresh.sorts, fresh.reprepares), (0, 0, 0, 0, 0));
    assert!(fresh.memory_bytes > 0);
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2, 3]);
    let once = statement.counters();
    assert_eq!((once.runs, once.sorts, once.reprepares), (1, 1, 0));
    assert!(once.vm_steps > 0 && once.fullscan_steps > 0, "{once:?}");
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2, 3]);
    let twice = statement.counters();
    assert_eq!((twice.runs, twice.sorts), (2, 2));
    assert_eq!(
        (twice.vm_steps, twice.fullscan_steps),
        (2 * once.vm_steps, 2 * once.fullscan_steps),
        "reading a counter does not reset it"
    );
    // What is bound and not run is no run.
    drop(statement.query(()).unwrap());
    statement.expanded_sql(()).unwrap();
    assert_eq!(statement.counters().runs, 2);
}

#[test]
fn counters_of_the_planner() {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a); CREATE TABLE u(a)").unwrap();
    conn.prepare("INSERT INTO t VALUES (?)").unwrap().execute_many((0..100).map(|a| (a,))).unwrap();
    conn.prepare("INSERT INTO u VALUES (?)").unwrap().execute_many((0..100).map(|a| (a,))).unwrap();
    let mut join = conn.prepare("SELECT count(*) FROM t, u WHERE t.a = u.a").unwrap();
    assert_eq!(join.query_one::<i64>(()).unwrap(), 100);
    let counters = join.counters();
    assert_eq!((counters.runs, counters.sorts), (1, 0));
    assert!(counters.autoindexes > 0, "{counters:?}");
}

#[test]
fn counters_of_preparing_anew() {
    let conn = open();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let mut reprepares = Vec::new();
    for change in ["SELECT 1", "CREATE TABLE u(a)", "SELECT 1", "DROP TABLE u", "ALTER TABLE t ADD COLUMN b"] {
        conn.execute(change, ()).unwrap();
        statement.query_all::<Value>(()).unwrap();
        reprepares.push(statement.counters().reprepares);
    }
    assert_eq!(reprepares, [0, 1, 1, 2, 3]);
}

#[test]
fn read_only_statements() {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    for (sql, is_readonly) in [
        ("SELECT * FROM t", true),
        ("BEGIN", true),
        ("COMMIT", true),
        ("SAVEPOINT s", true),
        ("PRAGMA user_version", true),
        ("ATTACH ':memory:' AS other", true),
        ("BEGIN IMMEDIATE", false),
        ("INSERT INTO t VALUES (1)", false),
        ("INSERT INTO t VALUES (1) RETURNING a", false),
        ("UPDATE t SET a = 1", false),
        ("DELETE FROM t", false),
        // As without the EXPLAIN (c3ref/stmt_readonly.html), although it runs nothing.
        ("EXPLAIN DELETE FROM t", false),
        ("CREATE TABLE u(a)", false),
        ("CREATE TABLE IF NOT EXISTS t(a)", false),
        ("PRAGMA user_version = 1", false),
        ("PRAGMA journal_mode = wal", false),
        ("VACUUM", false),
    ] {
        assert_eq!(conn.prepare(sql).unwrap().is_readonly(), is_readonly, "{sql}");
    }
}

#[test]
fn explaining_statements() {
    let conn = open();
    for (sql, is_explain) in [
        ("SELECT 'EXPLAIN'", false),
        ("EXPLAIN SELECT 1", true),
        ("EXPLAIN QUERY PLAN SELECT 1", true),
        ("/* comment */ explain SELECT 1", true),
    ] {
        assert_eq!(conn.prepare(sql).unwrap().is_explain(), is_explain, "{sql}");
    }
}

#[test]
fn expanded_sql_shows_the_values() {
    let conn = open();
    conn.execute("CREATE TABLE t(a, b, c, d, e, f)", ()).unwrap();
    let sql = "INSERT INTO t VALUES (?, :text, @blob, $null, ?, ?6) -- ?";
    let values = (7, "it's", [0xc0_u8, 0xff], None::<i64>, 0.5, ZeroBlob(3));
    let expanded = "INSERT INTO t VALUES (7, 'it''s', x'c0ff', NULL, 0.5, zeroblob(3)) -- ?";
    let mut statement = conn.prepare(sql).unwrap();
    assert_eq!(&*statement.expanded_sql(values).unwrap(), expanded);
    assert_eq!(statement.sql(), sql);
    let rows = statement.query(values).unwrap();
    assert_eq!(&*rows.expanded_sql().unwrap(), expanded);
    drop(rows);
    assert_eq!(&*conn.prepare_cached(sql).unwrap().expanded_sql(values).unwrap(), expanded);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0, "nothing was run");
    assert_count(&statement.expanded_sql(()).unwrap_err(), 6, 0);
    assert_no_such(
        &statement.expanded_sql(named_params! { ":nobody": 1 }).unwrap_err(),
        NameKind::Parameter,
        ":nobody",
        &[":text", "@blob", "$null", "?6"],
    );
}

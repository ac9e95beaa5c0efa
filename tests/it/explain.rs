//! Query plans: the tree, its steps, and what a test of a program asks of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use finalite::explain::{PlanIndex, PlanStep, QueryPlan};
use finalite::{Connection, ErrorKind};

fn connection() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x INTEGER, y TEXT, z);
         CREATE INDEX a_x ON a(x);
         CREATE INDEX a_xy ON a(y, x);
         CREATE TABLE b(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
         CREATE TABLE bare(p, q);
         CREATE VIRTUAL TABLE words USING fts5(body);",
    )
    .unwrap();
    conn
}

fn plan(sql: &str) -> QueryPlan {
    connection().query_plan(sql).unwrap()
}

/// The message of the panic.
fn panic_of(f: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    Some(payload.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn the_tree_is_that_of_sqlite() {
    let conn = connection();
    for sql in [
        "SELECT * FROM a",
        "SELECT x FROM a WHERE x = ?",
        "SELECT * FROM a, b WHERE a.y = b.k ORDER BY z",
        "SELECT * FROM a WHERE x = 1 OR y = 'b'",
        "SELECT * FROM bare WHERE p IN (SELECT x FROM a) UNION SELECT id, x FROM a EXCEPT SELECT 1, 2",
        "SELECT (SELECT max(x) FROM a WHERE y = q) FROM bare GROUP BY p",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT * FROM n, a WHERE a.id = n.i",
        "SELECT * FROM bare LEFT JOIN bare AS other ON other.p = bare.q",
        "SELECT * FROM words WHERE words MATCH 'x' ORDER BY rank",
        "DELETE FROM a WHERE id = 1",
        "INSERT INTO a(x) VALUES (1)",
        "CREATE TABLE other(a)",
    ] {
        let plan = conn.query_plan(sql).unwrap();
        assert_eq!(plan.sql(), sql);
        let expected: Vec<(i64, i64, String)> = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {}", sql.replace('?', "2")))
            .unwrap()
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(3)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let parent_of = |id: i64| plan.steps().find(|node| node.children.iter().any(|child| child.id == id));
        let found: Vec<_> =
            plan.steps().map(|it| (it.id, parent_of(it.id).map_or(0, |it| it.id), it.detail.to_string())).collect();
        assert_eq!(found, expected, "{sql}");
        assert_eq!(plan.to_string().lines().count(), 1 + expected.len());
    }
}

#[test]
fn it_is_printed_as_the_shell_does() {
    let plan = plan("SELECT p FROM bare WHERE q = 1 UNION ALL SELECT x FROM a WHERE y = 'b'");
    assert_eq!(
        plan.to_string(),
        "QUERY PLAN\n\
         `--COMPOUND QUERY\n\
         \x20  |--LEFT-MOST SUBQUERY\n\
         \x20  |  `--SCAN bare\n\
         \x20  `--UNION ALL\n\
         \x20     `--SEARCH a USING COVERING INDEX a_xy (y=?)"
    );
    assert_eq!(self::plan("INSERT INTO a(x) VALUES (1)").to_string(), "QUERY PLAN");
}

#[test]
fn steps_have_their_tables_and_indexes() {
    let first = |sql: &str| plan(sql).nodes()[0].step.clone();
    let index = |sql: &str| first(sql).index().cloned();
    let named = |name: &str| Some(PlanIndex::Named(name.into()));
    assert_eq!(index("SELECT z FROM a WHERE x = 1"), named("a_x"));
    assert_eq!(index("SELECT z FROM a WHERE id = 1"), Some(PlanIndex::Rowid));
    assert_eq!(index("SELECT v FROM b WHERE k = 1"), Some(PlanIndex::PrimaryKey));
    assert!(matches!(index("SELECT * FROM words WHERE words MATCH 'x'"), Some(PlanIndex::Virtual(_))));
    assert_eq!(index("SELECT * FROM bare"), None);
    let PlanStep::Search { table, constraint, is_covering, .. } =
        first("SELECT x FROM a AS other WHERE y = 1 AND x > 2")
    else {
        panic!("it is a search");
    };
    assert_eq!((&*table, constraint.as_deref(), is_covering), ("other", Some("y=? AND x>?"), true));
    let joined = plan("SELECT * FROM bare JOIN bare AS other ON other.p = bare.q");
    assert!(joined.steps().any(|node| node.step.index() == Some(&PlanIndex::Automatic)), "{joined}");
    let sorted = plan("SELECT DISTINCT q FROM bare ORDER BY p");
    let purposes: Vec<_> = sorted
        .steps()
        .filter_map(|node| match &node.step {
            PlanStep::UseTempBTree { purpose, .. } => Some(&**purpose),
            _ => None,
        })
        .collect();
    assert_eq!(purposes, ["DISTINCT", "ORDER BY"]);
}

#[test]
fn a_test_of_a_program_is_told_what_is_not_searched() {
    let searched = plan("SELECT z FROM a WHERE x = :x");
    searched.assert_uses_index("A_X");
    searched.assert_no_full_scan();
    assert!(!searched.scans_table("a"));
    // The control: each says what it has found, and shows the plan and the SQL.
    let message = panic_of(|| searched.assert_uses_index("a_xy")).unwrap();
    for part in ["a_xy", "QUERY PLAN\n`--SEARCH a USING INDEX a_x (x=?)", "in: SELECT z FROM a WHERE x = :x"] {
        assert!(message.contains(part), "{message}");
    }
    for (sql, table) in [
        ("SELECT * FROM a WHERE z = 1", "a"),
        ("SELECT y, x FROM a", "a"),
        ("SELECT * FROM b WHERE v = 1", "b"),
        ("UPDATE bare SET p = 1 WHERE q = 2", "bare"),
        ("SELECT x FROM a WHERE EXISTS (SELECT 1 FROM bare WHERE q = x) AND x = 1", "bare"),
        ("SELECT * FROM (SELECT p FROM bare LIMIT 10) AS few WHERE p = 1", "bare"),
    ] {
        let scanned = plan(sql);
        assert!(scanned.scans_table(&table.to_uppercase()), "{scanned}");
        assert_eq!(scanned.full_scans().collect::<Vec<_>>(), [table], "{scanned}");
        let message = panic_of(|| scanned.assert_no_full_scan()).unwrap();
        assert!(
            message.starts_with(&format!("{table} is read from its first row")) && message.contains(sql),
            "{message}"
        );
    }
}

#[test]
fn rows_that_are_no_tables_are_no_full_scan() {
    for sql in [
        "SELECT 1",
        "VALUES (1), (2), (3)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT * FROM n",
        "WITH few AS MATERIALIZED (SELECT x FROM a WHERE y = 'b' LIMIT 3) SELECT * FROM few",
        "SELECT * FROM (SELECT x FROM a WHERE y = 'b' LIMIT 3)",
        "SELECT * FROM words WHERE words MATCH 'x'",
        "SELECT * FROM json_each('[1]')",
        "INSERT INTO bare VALUES (1, 2)",
    ] {
        plan(sql).assert_no_full_scan();
    }
    // SQLite does not say of which rows this is an alias.
    let aliased = plan("WITH few AS (SELECT x FROM a WHERE y = 'b' LIMIT 3) SELECT * FROM few, few AS other");
    assert_eq!(aliased.full_scans().collect::<Vec<_>>(), ["other"], "{aliased}");
}

#[test]
fn the_statement_is_not_run_and_needs_no_values() {
    let conn = connection();
    conn.query_plan("INSERT INTO bare VALUES (?1, :b)").unwrap();
    conn.query_plan(" ;; -- a comment\n DELETE FROM bare WHERE p = ?").unwrap();
    conn.query_plan("DROP TABLE bare").unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM bare", ()).unwrap(), 0);
}

#[test]
fn what_has_no_plan_is_an_error() {
    let conn = connection();
    for sql in ["", "  ", "-- nothing", ";"] {
        assert!(matches!(conn.query_plan(sql).unwrap_err().kind(), ErrorKind::EmptySql), "{sql}");
    }
    for sql in ["PRAGMA foreign_keys = 0", " pragma main.foreign_keys(0)", "EXPLAIN PRAGMA foreign_keys = 0"] {
        assert!(matches!(conn.query_plan(sql).unwrap_err().kind(), ErrorKind::Misuse { .. }), "{sql}");
    }
    assert!(conn.pragma::<bool>("foreign_keys").unwrap(), "it has not taken effect");
    let error = conn.query_plan("SELECT 1; DELETE FROM a").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TrailingSql { .. }), "{error}");
    let error = conn.query_plan("SELECT 1 \0").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NulInSql), "{error}");
    for sql in ["SELECT * FROM nowhere", "EXPLAIN SELECT 1", "SELEC"] {
        let error = conn.query_plan(sql).unwrap_err();
        assert!(error.sql().unwrap().ends_with(sql), "{error}");
    }
    assert_eq!(conn.query_plan("SELECT * FROM a").unwrap().nodes().len(), 1);
}

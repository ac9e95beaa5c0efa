//! The authorizer.

use super::*;

/// The actions of a statement, as text.
fn actions_of(conn: &Connection, sql: &str) -> Vec<String> {
    let (send, seen) = mpsc::channel();
    let subscription = conn
        .set_authorizer(move |request| {
            send.send(format!("{:?} {:?} {:?}", request.action, request.database, request.accessor)).unwrap();
            Access::Allow
        })
        .unwrap();
    conn.prepare(sql).unwrap();
    drop(subscription);
    seen.iter().collect()
}

#[test]
fn actions_are_typed_and_named() {
    let conn = open();
    let select = actions_of(&conn, "SELECT a, upper(a) FROM t");
    assert!(select.contains(&"Select None None".into()), "{select:?}");
    assert!(select.contains(&r#"Read { table: "t", column: "a" } Some("main") None"#.into()), "{select:?}");
    assert!(select.contains(&r#"Function { function: "upper" } None None"#.into()), "{select:?}");
    conn.execute_batch("CREATE TABLE log(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1); END")
        .unwrap();
    let insert = actions_of(&conn, "INSERT INTO t VALUES (1)");
    assert!(insert.contains(&r#"Insert { table: "t" } Some("main") None"#.into()), "{insert:?}");
    assert!(insert.contains(&r#"Insert { table: "log" } Some("main") Some("r")"#.into()), "{insert:?}");
    for (sql, action) in [
        ("CREATE TEMP TABLE x(a)", r#"CreateTable { table: "x", temporary: true } Some("temp") None"#),
        ("CREATE INDEX i ON t(a)", r#"CreateIndex { index: "i", table: "t", temporary: false } Some("main") None"#),
        ("CREATE VIEW v AS SELECT 1", r#"CreateView { view: "v", temporary: false } Some("main") None"#),
        ("DROP TRIGGER r", r#"DropTrigger { trigger: "r", table: "t", temporary: false } Some("main") None"#),
        ("DROP TABLE log", r#"DropTable { table: "log", temporary: false } Some("main") None"#),
        ("UPDATE t SET a = 1", r#"Update { table: "t", column: "a" } Some("main") None"#),
        ("DELETE FROM t", r#"Delete { table: "t" } Some("main") None"#),
        ("PRAGMA user_version = 3", r#"Pragma { pragma: "user_version", argument: Some("3") } None None"#),
        ("BEGIN", r#"Transaction { operation: "BEGIN" } None None"#),
        ("SAVEPOINT s", r#"Savepoint { operation: "BEGIN", name: "s" } None None"#),
        ("ATTACH 'x.db' AS y", r#"Attach { file: "x.db" } None None"#),
        ("DETACH y", r#"Detach { database: "y" } None None"#),
        ("ALTER TABLE t ADD COLUMN b", r#"AlterTable { database: "main", table: "t" } None None"#),
        ("ANALYZE t", r#"Analyze { table: "t" } Some("main") None"#),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i FROM n) SELECT * FROM n", r#"Recursive None Some("n")"#),
    ] {
        let actions = actions_of(&conn, sql);
        assert!(actions.contains(&action.into()), "{sql}: {actions:?}");
    }
}

#[test]
fn statements_of_the_cache_follow_the_rules_of_now() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES ('x')", ()).unwrap();
    let read = || conn.query_one::<Option<String>>("SELECT a FROM t", ());
    let kept = conn.prepare("SELECT a FROM t").unwrap();
    assert_eq!(read().unwrap().as_deref(), Some("x"));
    let hits = conn.statement_cache_stats().hits;
    let rule = |access| {
        conn.set_authorizer(move |request| match request.action {
            Action::Read { .. } => access,
            _ => Access::Allow,
        })
    };
    let ignoring = rule(Access::Ignore).unwrap();
    assert_eq!(read().unwrap(), None);
    let denying = rule(Access::Deny).unwrap();
    assert!(!ignoring.is_active());
    let error = read().unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::AUTH));
    assert!(error.to_string().contains("access to t.a is prohibited"), "{error}");
    drop(denying);
    assert_eq!(read().unwrap().as_deref(), Some("x"));
    // The same statements, which SQLite has prepared again.
    assert!(conn.statement_cache_stats().hits >= hits + 2);
    let mut kept = kept;
    assert_eq!(kept.query_one::<String>(()).unwrap(), "x");
    // On another thread: the connection finds it when it is used next.
    let ignoring = rule(Access::Ignore).unwrap();
    assert_eq!(read().unwrap(), None);
    std::thread::spawn(move || drop(ignoring)).join().unwrap();
    assert_eq!(read().unwrap().as_deref(), Some("x"));
    // Prepared while a rule held, and used without it.
    let ignoring = rule(Access::Ignore).unwrap();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    drop(ignoring);
    assert_eq!(statement.query_one::<Option<String>>(()).unwrap().as_deref(), Some("x"));
}

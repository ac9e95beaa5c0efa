//! What SQLite measures of each step of a statement (feature `scan-status`).

use finalite::Connection;

fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE TABLE u(c); CREATE INDEX u_c ON u(c);
         INSERT INTO t SELECT value, value % 3 FROM generate_series(1, 30);
         INSERT INTO u SELECT value % 5 FROM generate_series(1, 40);",
    )
    .or_else(|_| {
        conn.execute_batch(
            "WITH n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 30)
             INSERT INTO t SELECT value, value % 3 FROM n;
             WITH n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 40)
             INSERT INTO u SELECT value % 5 FROM n;",
        )
    })
    .unwrap();
    conn
}

#[test]
fn loops_and_visits_are_those_of_the_execution() {
    let conn = open();
    let mut statement = conn.prepare("SELECT t.a FROM t CROSS JOIN u ON u.c = t.b ORDER BY u.c + t.a").unwrap();
    assert!(statement.scan_status().iter().all(|step| step.loops.unwrap_or(0) == 0), "before it has run");
    let rows = statement.query_all::<i64>(()).unwrap().len() as u64;
    let steps = statement.scan_status();
    let of = |name: &str| steps.iter().find(|step| step.name.as_deref() == Some(name)).unwrap();
    assert_eq!((of("t").loops, of("t").visits), (Some(1), Some(30)));
    assert_eq!((of("u_c").loops, of("u_c").visits), (Some(30), Some(rows)));
    assert!(of("u_c").explain.contains("u_c (c=?)") && of("u_c").estimated_rows > 0.0);
    assert!(steps.iter().any(|step| step.explain.contains("ORDER BY")), "{steps:?}");
    let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql())).unwrap();
    let mut planned: Vec<(i32, i32, String)> = plan
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(3)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    planned.sort();
    let mut measured: Vec<_> = steps.iter().map(|step| (step.id, step.parent, step.explain.to_string())).collect();
    measured.sort();
    assert_eq!(measured, planned);
    // They add up until they are reset.
    statement.query_all::<i64>(()).unwrap();
    assert_eq!(statement.scan_status()[0].loops.unwrap_or(0) % 2, 0);
    statement.reset_scan_status();
    assert!(statement.scan_status().iter().all(|step| step.visits.unwrap_or(0) == 0));
}

#[test]
fn a_statement_without_a_plan_has_no_steps() {
    let conn = open();
    for sql in ["SELECT 1", "BEGIN", "PRAGMA user_version"] {
        let statement = conn.prepare(sql).unwrap();
        assert!(statement.scan_status().iter().all(|step| step.name.is_none()), "{sql}");
    }
}

//! SQLite's counters of a connection.

use finalite::{Connection, OpenOptions, sqlite};

#[test]
fn the_page_cache_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) INSERT INTO t SELECT zeroblob(3000) FROM n;",
    )
    .unwrap();
    assert!(conn.cache_stats().pager_writes >= 100);
    drop(conn);
    let conn = OpenOptions::new().lookaside(1200, 40).open(&path).unwrap();
    let sum = |conn: &Connection| conn.query_one::<i64>("SELECT sum(length(a)) FROM t", ()).unwrap();
    sum(&conn);
    let first = conn.cache_stats();
    assert!(first.pager_misses >= 100, "{first:?}");
    let has_lookaside = !sqlite::compile_options().any(|option| option == "OMIT_LOOKASIDE");
    assert_eq!(first.lookaside_hits > 0, has_lookaside, "{first:?}");
    sum(&conn);
    let second = conn.cache_stats();
    assert_eq!(second.pager_misses, first.pager_misses);
    assert!(second.pager_hits >= first.pager_hits + 100, "{second:?}");
    assert_eq!((second.pager_writes, second.pager_spills), (0, 0));
    // Another connection has counters of its own.
    assert_eq!(Connection::open_in_memory().unwrap().cache_stats().pager_misses, 0);
}

#[test]
fn a_small_cache_spills() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new().pragma("cache_size", 10).open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(a); BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO t SELECT zeroblob(3000) FROM n;",
    )
    .unwrap();
    assert!(conn.cache_stats().pager_spills > 0);
    conn.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn deferred_violations_are_told_before_the_commit() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(p REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);",
    )
    .unwrap();
    assert!(!conn.has_unresolved_foreign_keys());
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO child VALUES (7)", ()).unwrap();
    assert!(tx.has_unresolved_foreign_keys());
    assert!(tx.commit().is_err());
    assert!(!conn.has_unresolved_foreign_keys());
}

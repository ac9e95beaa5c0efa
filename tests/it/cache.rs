//! The statement cache: what it keeps, what it lets go, and that it never hands one statement out twice.

use finalite::{Connection, Result, Row};

fn handles_of(conn: &Connection) -> usize {
    conn.statement_cache_stats().statements
}

#[test]
fn execute_and_query_use_it_by_themselves() {
    let conn = Connection::open_in_memory().unwrap();
    for n in 0..10 {
        assert_eq!(conn.query_one::<i64>("SELECT ?", (n,)).unwrap(), n);
    }
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.statements, stats.misses, stats.hits, stats.evictions), (1, 1, 9, 0));
    assert!(stats.bytes > 0);
    let mut statement = conn.prepare_cached("SELECT ?").unwrap();
    assert_eq!(statement.counters().runs, 10, "it was one statement all along");
    assert_eq!(statement.query_one::<i64>((7,)).unwrap(), 7);
}

/// What is scanned once would displace what is used again. A statement that is prepared for the cache is kept at once.
#[test]
fn a_scan_keeps_its_statement_when_it_is_repeated() {
    let conn = Connection::open_in_memory().unwrap();
    let scan = |sql: &str| conn.scan(sql, ()).columns().unwrap().len();
    assert_eq!(scan("SELECT 1"), 1);
    assert_eq!(handles_of(&conn), 0);
    assert_eq!(scan("SELECT 1"), 1);
    assert_eq!(handles_of(&conn), 1);
    assert_eq!(scan("SELECT 1"), 1);
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.misses, stats.hits), (2, 1));
    drop(conn.prepare_cached("SELECT 2").unwrap());
    assert_eq!(handles_of(&conn), 2);
    assert_eq!(scan("SELECT 2"), 1);
    assert_eq!(conn.statement_cache_stats().hits, 2);
    // Of two in turn, whose hashes may begin alike, both are kept.
    for n in 100..200 {
        let before = conn.statement_cache_stats().misses;
        for _ in 0..4 {
            scan(&format!("SELECT {n}"));
            scan(&format!("SELECT {}", n + 100));
        }
        assert_eq!(conn.statement_cache_stats().misses - before, 4, "{n}");
    }
    // Many others come in between, and the cache may be off.
    assert_eq!(scan("SELECT 3"), 1);
    (0..4_000).for_each(|n| assert_eq!(scan(&format!("SELECT 3, {n}")), 1));
    let before = handles_of(&conn);
    assert_eq!(scan("SELECT 3"), 1);
    assert_eq!(handles_of(&conn), before);
    conn.set_statement_cache_limits(0, 0);
    (0..3).for_each(|_| assert_eq!(scan("SELECT 4"), 1));
    assert_eq!(handles_of(&conn), 0);
}

#[test]
fn a_statement_that_is_out_is_not_handed_out_again() {
    let conn = Connection::open_in_memory().unwrap();
    let mut first = conn.prepare_cached("SELECT 1").unwrap();
    let mut second = conn.prepare_cached("SELECT 1").unwrap();
    let mut rows = first.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert_eq!(second.query_one::<i64>(()).unwrap(), 1);
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    assert_eq!(handles_of(&conn), 0);
    drop(first);
    drop(second);
    assert_eq!(handles_of(&conn), 2, "both came back");
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.misses, stats.hits), (2, 0));
}

#[test]
fn it_keeps_as_many_as_it_may_and_the_used_ones() {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_statement_cache_limits(4, 1 << 20);
    for round in 0..10 {
        conn.query_one::<i64>("SELECT 'used again and again', 1", ()).unwrap_err();
        conn.execute(&format!("SELECT {round}"), ()).unwrap();
    }
    let stats = conn.statement_cache_stats();
    assert_eq!(stats.statements, 4);
    assert_eq!(stats.evictions, 7, "11 statements, 4 places");
    assert_eq!(stats.hits, 9, "the one in use stayed");
}

#[test]
fn it_keeps_to_its_bytes() {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_statement_cache_limits(1000, 20_000);
    for n in 0..500 {
        conn.execute(&format!("SELECT {n}, 'some text to make it larger'"), ()).unwrap();
        assert!(conn.statement_cache_stats().bytes <= 20_000);
    }
    let stats = conn.statement_cache_stats();
    assert!(stats.statements > 1 && stats.statements < 100, "{stats:?}");
    // One that is larger than the cache is not kept, and throws nobody out.
    let large = format!("SELECT {}", vec!["1"; 2000].join(","));
    conn.execute(&large, ()).unwrap();
    assert_eq!(conn.statement_cache_stats().statements, stats.statements);
    // One that fills it is kept.
    conn.set_statement_cache_limits(1000, 1 << 20);
    conn.clear_statement_cache();
    conn.execute(&large, ()).unwrap();
    let bytes = conn.statement_cache_stats().bytes;
    for (room, kept) in [(bytes, 1), (bytes - 1, 0)] {
        conn.clear_statement_cache();
        conn.set_statement_cache_limits(1000, room);
        conn.execute(&large, ()).unwrap();
        assert_eq!(handles_of(&conn), kept, "{room} of {bytes}");
    }
}

#[test]
fn limits_and_clearing_finalize_at_once() {
    let conn = Connection::open_in_memory().unwrap();
    for n in 0..10 {
        conn.execute(&format!("SELECT {n}"), ()).unwrap();
    }
    assert_eq!(handles_of(&conn), 10);
    conn.set_statement_cache_limits(3, 1 << 20);
    assert_eq!(handles_of(&conn), 3);
    conn.clear_statement_cache();
    assert_eq!(handles_of(&conn), 0);
    assert_eq!(conn.statement_cache_stats().bytes, 0);
    conn.set_statement_cache_limits(0, 1 << 20);
    conn.execute("SELECT 1", ()).unwrap();
    assert_eq!(handles_of(&conn), 0);
}

#[test]
fn a_statement_that_is_out_while_the_cache_changes_comes_back_to_a_place_of_its_own() {
    let conn = Connection::open_in_memory().unwrap();
    for n in 0..4 {
        conn.execute(&format!("SELECT {n}"), ()).unwrap();
    }
    let out = conn.prepare_cached("SELECT 2").unwrap();
    conn.set_statement_cache_limits(4, 1 << 20);
    for n in 10..14 {
        conn.execute(&format!("SELECT {n}"), ()).unwrap();
    }
    drop(out);
    assert_eq!(handles_of(&conn), 4);
    // Every statement is found under its own SQL.
    for n in (0..4).chain(10..14) {
        assert_eq!(conn.query_one::<i64>(&format!("SELECT {n}"), ()).unwrap(), n);
    }
}

#[test]
fn finalize_does_not_put_back() {
    let conn = Connection::open_in_memory().unwrap();
    conn.prepare_cached("SELECT 1").unwrap().finalize().unwrap();
    assert_eq!(handles_of(&conn), 0);
}

#[test]
fn a_statement_comes_back_reset_whatever_happened_to_it() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a UNIQUE)").unwrap();
    for expected in [true, false, false] {
        assert_eq!(conn.execute("INSERT INTO t VALUES (?)", ("text",)).is_ok(), expected);
    }
    assert_eq!(conn.execute("INSERT INTO t VALUES (?)", ("more",)).unwrap(), 1);
    // A wrong binding, rows left half-read, and a panic in the closure.
    let sql = "SELECT a FROM t WHERE a >= ?";
    conn.query_one::<String>(sql, ()).unwrap_err();
    conn.query_one::<String>(sql, ("",)).unwrap_err();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        conn.query_row(sql, ("text",), |_| -> finalite::Result<()> { panic!("in the closure") })
    }));
    assert!(panic.is_err());
    assert_eq!(conn.query_one::<String>(sql, ("text",)).unwrap(), "text");
    conn.execute("DROP TABLE t", ()).unwrap();
}

#[test]
fn a_schema_change_is_seen_by_a_cached_statement() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let sql = "SELECT * FROM t";
    let names = || {
        let name = |row: Row<'_>, n| row.column_name(n).map(str::to_owned);
        conn.query_row(sql, (), |row| (0..row.column_count()).map(|n| name(row, n)).collect::<Result<Vec<_>>>())
    };
    assert_eq!(names().unwrap(), vec!["a"]);
    conn.execute("ALTER TABLE t ADD COLUMN b DEFAULT 2", ()).unwrap();
    assert_eq!(names().unwrap(), vec!["a", "b"]);
    assert_eq!(conn.query_one::<(i64, i64)>(sql, ()).unwrap(), (1, 2));
    conn.execute("ALTER TABLE t RENAME COLUMN a TO c", ()).unwrap();
    assert_eq!(names().unwrap(), vec!["c", "b"]);
    assert!(conn.statement_cache_stats().hits > 0);
}

#[test]
fn many_statements_are_told_apart() {
    // More than the buckets of the table, of lengths around its word size.
    let conn = Connection::open_in_memory().unwrap();
    conn.set_statement_cache_limits(600, 64 << 20);
    for _ in 0..2 {
        for n in 0..500_usize {
            let sql = format!("SELECT {n}{}", " ".repeat(n % 17));
            assert_eq!(conn.query_one::<usize>(&sql, ()).unwrap(), n);
        }
    }
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.hits, stats.misses, stats.evictions), (500, 500, 0));
}

#[test]
fn a_limit_may_be_none() {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_statement_cache_limits(usize::MAX, usize::MAX);
    for _ in 0..2 {
        for n in 0..300_usize {
            assert_eq!(conn.query_one::<usize>(&format!("SELECT {n}"), ()).unwrap(), n);
        }
    }
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.statements, stats.hits, stats.misses, stats.evictions), (300, 300, 300, 0));
}

#[test]
fn a_statement_that_comes_back_to_a_full_cache_keeps_to_its_bytes() {
    let conn = Connection::open_in_memory().unwrap();
    // The first statement of a connection may have other memory than later ones.
    conn.execute_batch("SELECT 0").unwrap();
    conn.execute("SELECT 1", ()).unwrap();
    let bytes = conn.statement_cache_stats().bytes;
    conn.set_statement_cache_limits(100, bytes * 3 / 2);
    let out = conn.prepare_cached("SELECT 1").unwrap();
    conn.execute("SELECT 2", ()).unwrap();
    drop(out);
    let stats = conn.statement_cache_stats();
    assert_eq!((stats.statements, stats.evictions), (1, 1));
    assert!(stats.bytes <= bytes * 3 / 2);
}

/// SQLite prepares a statement anew when the schema has changed, but no `EXPLAIN`: a kept one shows the plan of its time.
#[test]
fn a_plan_is_that_of_the_present_schema() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a, b)").unwrap();
    for explain in ["EXPLAIN QUERY PLAN SELECT b FROM t WHERE a = 1", " explain QUERY plan SELECT b FROM t WHERE a = 1"]
    {
        let plan = || conn.query_row(explain, (), |row| row.get::<String>("detail")).unwrap();
        let cached = || {
            let mut statement = conn.prepare_cached(explain).unwrap();
            statement.query_row((), |row| row.get::<String>("detail")).unwrap()
        };
        conn.execute_batch("CREATE INDEX i ON t(a)").unwrap();
        let searched = String::from("SEARCH t USING INDEX i (a=?)");
        assert_eq!((plan(), cached()), (searched.clone(), searched.clone()));
        let mut kept = conn.prepare(explain).unwrap();
        conn.execute_batch("DROP INDEX i").unwrap();
        assert_eq!((plan(), cached()), ("SCAN t".into(), "SCAN t".into()));
        assert_eq!(kept.query_row((), |row| row.get::<String>("detail")).unwrap(), searched, "the control");
    }
    assert_eq!(handles_of(&conn), 0);
}

//! Preparing and running statements.

use finalite::{Connection, Error, ErrorKind, ResultCode, ffi};

fn numbers() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (1,'x'), (2,'y'), (3,'z')")
        .unwrap();
    conn
}

#[test]
fn execute_counts_the_rows_of_this_statement_alone() {
    let conn = numbers();
    assert_eq!(conn.execute("UPDATE t SET b = 'n' WHERE a > ?", (1,)).unwrap(), 2);
    // SQLite's own counter still says 2 after statements that change nothing.
    assert_eq!(conn.execute("SELECT * FROM t", ()).unwrap(), 0);
    assert_eq!(conn.execute("CREATE TABLE u(a)", ()).unwrap(), 0);
    assert_eq!(conn.execute("UPDATE t SET b = 'n' WHERE a > 9", ()).unwrap(), 0);
    assert_eq!(conn.execute("DELETE FROM t", ()).unwrap(), 3);
    assert_eq!(conn.changes(), 3);
    assert_eq!(conn.total_changes(), 8);
}

#[test]
fn execute_does_not_mind_rows() {
    let conn = numbers();
    assert_eq!(conn.execute("INSERT INTO t(b) VALUES ('a'), ('b') RETURNING a", ()).unwrap(), 2);
    assert_eq!(conn.last_insert_rowid(), 5);
    assert_eq!(conn.execute("PRAGMA user_version", ()).unwrap(), 0);
}

#[test]
fn execute_leaves_triggers_out_of_the_count() {
    let conn = numbers();
    conn.execute_batch(
        "CREATE TABLE log(a); CREATE TRIGGER tr AFTER DELETE ON t BEGIN INSERT INTO log VALUES (old.a); END",
    )
    .unwrap();
    assert_eq!(conn.execute("DELETE FROM t WHERE a < 3", ()).unwrap(), 2);
}

/// SQLite's own counter says 5 before each statement: a number that SQLite did not set for it would be 5.
#[test]
fn a_kept_statement_counts_its_own_rows() {
    let conn = numbers();
    conn.execute_batch(
        "CREATE TABLE u(a UNIQUE); CREATE TABLE log(a); CREATE VIEW v AS SELECT a FROM log;
         CREATE TRIGGER on_view INSTEAD OF INSERT ON v BEGIN INSERT INTO log VALUES (new.a), (new.a); END;",
    )
    .unwrap();
    for (sql, counts) in [
        ("INSERT INTO v VALUES (1)", [0, 0]),
        ("WITH n(a) AS (VALUES (7), (8)) INSERT INTO log SELECT a FROM n", [2, 2]),
        ("-- replaces\nREPLACE INTO u VALUES (1)", [1, 1]),
        ("INSERT INTO u VALUES (2) ON CONFLICT DO NOTHING", [1, 0]),
        ("INSERT INTO u VALUES (3) ON CONFLICT DO UPDATE SET a = 4", [1, 1]),
        ("UPDATE t SET b = n.a FROM (SELECT 9 AS a) n WHERE t.a < 3", [2, 2]),
        ("UPDATE t SET b = 'n' WHERE a > 9", [0, 0]),
        ("DELETE FROM t WHERE a < 3", [2, 0]),
        ("DELETE FROM t", [3, 0]),
        ("INSERT INTO t(b) VALUES ('a'), ('b') RETURNING a", [2, 2]),
        ("EXPLAIN DELETE FROM t", [0, 0]),
        ("SELECT * FROM t", [0, 0]),
        ("CREATE TABLE IF NOT EXISTS w(a)", [0, 0]),
        ("PRAGMA user_version = 7", [0, 0]),
    ] {
        for is_many in [false, true] {
            conn.execute_batch("SAVEPOINT s; CREATE TEMP TABLE IF NOT EXISTS five(a)").unwrap();
            let mut statement = conn.prepare(sql).unwrap();
            for count in counts {
                assert_eq!(conn.execute("INSERT INTO five VALUES (1), (2), (3), (4), (5)", ()).unwrap(), 5, "control");
                let counted = if is_many { statement.execute_many([()]) } else { statement.execute(()) };
                assert_eq!(counted.unwrap(), count, "{sql}");
            }
            drop(statement);
            conn.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
        }
    }
}

#[test]
fn a_kept_statement_may_have_its_columns_asked() {
    let conn = numbers();
    let mut insert = conn.prepare("INSERT INTO t(b) VALUES (?)").unwrap();
    assert_eq!(insert.execute(("a",)).unwrap(), 1);
    assert_eq!(insert.columns().unwrap(), []);
    conn.execute("ALTER TABLE t ADD COLUMN c", ()).unwrap();
    assert_eq!(insert.execute(("b",)).unwrap(), 1);
    // The next preparation adds a row with the number of changes.
    conn.execute_batch("PRAGMA count_changes = 1; ALTER TABLE t ADD COLUMN d").unwrap();
    let mut update = conn.prepare("UPDATE t SET b = ?").unwrap();
    conn.execute_batch("PRAGMA count_changes = 0; ALTER TABLE t ADD COLUMN e; PRAGMA count_changes = 1").unwrap();
    assert_eq!((insert.execute(("c",)).unwrap(), update.execute(("d",)).unwrap()), (1, 6));
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE b = 'd'", ()).unwrap(), 6);
}

#[test]
fn a_kept_statement_notices_that_its_transaction_has_ended() {
    let mut conn = numbers();
    let tx = conn.transaction().unwrap();
    let mut insert = tx.prepare("INSERT INTO t VALUES (?, 'n')").unwrap();
    assert_eq!(insert.execute((4,)).unwrap(), 1, "control");
    tx.execute("ROLLBACK", ()).unwrap();
    let error = insert.execute((5,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error:?}");
    drop(insert);
    drop(tx);
    let tx = conn.transaction().unwrap();
    let mut insert = tx.prepare("INSERT INTO t VALUES (?, 'n')").unwrap();
    let sets = (4..7).inspect(|&a| {
        if a == 6 {
            tx.execute("ROLLBACK", ()).unwrap();
        }
    });
    let error = insert.execute_many(sets.map(|a| (a,))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error:?}");
    drop(insert);
    drop(tx);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 3);
}

#[test]
fn query_one_wants_one_row() {
    let conn = numbers();
    assert_eq!(conn.query_one::<(i64, String)>("SELECT a, b FROM t WHERE a = 2", ()).unwrap(), (2, "y".into()));
    let none = conn.query_one::<i64>("SELECT a FROM t WHERE a = 9", ()).unwrap_err();
    assert!(matches!(none.kind(), ErrorKind::RowCount { found: 0, .. }), "{none:?}");
    let many = conn.query_one::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert!(matches!(many.kind(), ErrorKind::RowCount { found: 2, .. }), "{many:?}");
    let wide = conn.query_one::<i64>("SELECT a, b FROM t WHERE a = 1", ()).unwrap_err();
    assert!(matches!(wide.kind(), ErrorKind::ColumnCount { expected: 1, found: 2, .. }), "{wide:?}");
}

#[test]
fn query_optional_takes_none_and_not_many() {
    let conn = numbers();
    assert_eq!(conn.query_optional::<i64>("SELECT a FROM t WHERE a = ?", (3,)).unwrap(), Some(3));
    assert_eq!(conn.query_optional::<i64>("SELECT a FROM t WHERE a = ?", (4,)).unwrap(), None);
    assert_eq!(conn.query_optional::<Option<i64>>("SELECT NULL", ()).unwrap(), Some(None));
    assert!(conn.query_optional::<i64>("SELECT a FROM t", ()).is_err());
}

#[test]
fn query_all_and_query_as_read_every_row() {
    let conn = numbers();
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1, 2, 3]);
    let mut statement = conn.prepare("SELECT a, b FROM t WHERE a >= ? ORDER BY a DESC").unwrap();
    for from in [1, 3, 4] {
        let rows: Vec<(i64, String)> = statement.query_as((from,)).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), usize::try_from(4 - from).unwrap());
    }
    let sum: i64 = statement.query_as::<(i64, String)>((1,)).unwrap().map(|row| row.unwrap().0).sum();
    assert_eq!(sum, 6);
}

#[test]
fn query_as_goes_on_after_a_row_that_does_not_convert_and_ends_after_an_error_of_sqlites() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("VALUES (1), ('two'), (3)").unwrap();
    let rows: Vec<_> = statement.query_as::<i64>(()).unwrap().collect();
    assert_eq!(rows.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let mut statement = conn.prepare("SELECT abs(column1) FROM (VALUES (1), (-9223372036854775808), (3))").unwrap();
    let mut rows = statement.query_as::<i64>(()).unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert!(rows.next().unwrap().unwrap_err().to_string().starts_with("integer overflow"));
    assert!(rows.next().is_none());
    assert!(rows.next().is_none());
    rows.finish().unwrap();
}

#[test]
fn into_rows_owns_the_statement() {
    let conn = numbers();
    let wanted = String::from("y");
    let mut rows = conn.prepare("SELECT a FROM t WHERE b = ?").unwrap().into_rows((&wanted,)).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 2);
    assert!(rows.next().unwrap().is_none());
    rows.finish().unwrap();
    assert!(conn.prepare("SELECT ?").unwrap().into_rows(()).is_err());
}

#[test]
fn rows_end_once_and_stay_ended() {
    let conn = numbers();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
    // SQLite would run it again from the start.
    assert!(rows.next().unwrap().is_none());
    assert!(rows.next().unwrap().is_none());
    rows.finish().unwrap();
}

#[test]
fn rows_end_after_an_error() {
    let conn = numbers();
    let mut statement = conn.prepare("SELECT abs(a - 9223372036854775807 - 2) FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let error = rows.next().unwrap_err();
    assert!(error.sql().is_some(), "{error:?}");
    assert!(rows.next().unwrap().is_none());
    // The step returned the error already: the reset's repeats nothing.
    rows.finish().unwrap();
    assert!(statement.execute(()).is_err(), "the statement can run again");
}

#[test]
fn execute_many_sums_and_stops_at_the_first_error() {
    let conn = numbers();
    let mut insert = conn.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
    assert_eq!(insert.execute_many([(4, "a"), (5, "b")]).unwrap(), 2);
    assert!(insert.execute_many([(6, "c"), (4, "again"), (7, "d")]).unwrap_err().is_constraint());
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a > 3", ()).unwrap(), [4, 5, 6]);
    assert_eq!(insert.execute_many(Vec::<(i64, &str)>::new()).unwrap(), 0);
}

/// Between two sets, what the first has bound stays. Nothing does when the call is over, however it ends.
#[test]
fn execute_many_leaves_nothing_bound() {
    const LONG: usize = 1 << 20;
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a, b)", ()).unwrap();
    let mut insert = conn.prepare("INSERT INTO t VALUES (length(?), ?)").unwrap();
    insert.execute((1, 2)).unwrap();
    let bytes = || conn.memory().bytes;
    let before = bytes();
    let long = || ("x".repeat(LONG), 1);
    let mut between = Vec::new();
    let sets = [0, 1].into_iter().map(|_| {
        between.push(bytes());
        long()
    });
    insert.execute_many(sets).unwrap();
    assert!(between[1] > before + LONG as u64, "it was bound, or the test shows nothing");
    assert!(bytes() < before + LONG as u64);

    let fails = insert.try_execute_many([Ok(long()), Err(Error::external(std::fmt::Error))]);
    assert!(fails.is_err() && bytes() < before + LONG as u64);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        insert.execute_many([0, 1].into_iter().map(|n| if n == 0 { long() } else { panic!("expected") }))
    }));
    assert!(panics.is_err() && bytes() < before + LONG as u64);
    assert_eq!(insert.execute(("ab", 3)).unwrap(), 1);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 2]);
}

/// A value of the set before must not be read in place of one that is missing.
#[test]
fn execute_many_takes_no_value_of_the_set_before() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a, b)", ()).unwrap();
    let mut insert = conn.prepare("INSERT INTO t VALUES (?1, :b)").unwrap();
    let short = |text: &'static str| finalite::params_from_iter(vec![text; text.len()]);
    assert!(insert.execute_many([short("ab"), short("a"), short("cd")]).is_err());
    assert_eq!(conn.query_all::<(String, String)>("SELECT a, b FROM t", ()).unwrap(), [("ab".into(), "ab".into())]);
    assert_eq!(insert.execute_many([short("ef")]).unwrap(), 1);
    assert_eq!(insert.execute_many([short("gh"), short("ij")]).unwrap(), 2);
    assert_eq!(conn.query_one::<String>("SELECT group_concat(a || b) FROM t", ()).unwrap(), "abab,efef,ghgh,ijij");
}

#[test]
fn empty_trailing_and_nul_sql_are_typed_errors() {
    let conn = Connection::open_in_memory().unwrap();
    for empty in ["", "  ", "-- comment", "/* x */ ;", ";"] {
        assert!(matches!(conn.prepare(empty).unwrap_err().kind(), ErrorKind::EmptySql), "{empty:?}");
        assert!(matches!(conn.execute(empty, ()).unwrap_err().kind(), ErrorKind::EmptySql), "{empty:?}");
    }
    let error = conn.execute("SELECT 1; SELECT 2", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TrailingSql { rest, .. } if &**rest == "SELECT 2"), "{error:?}");
    for fine in ["SELECT 1;", "SELECT 1; -- x", "SELECT 1 /* y */ ; ; \n"] {
        conn.execute(fine, ()).unwrap();
    }
    for nul in [
        "SELECT 1\0",
        "SELECT 1;\0 DROP TABLE x",
        "SELECT \0 1",
        "SELECT 1 -- \0",
        "SELECT 1 /* \0 */",
        "SELECT '\0'",
        "SELECT [\0]",
        "SELECT 1; \0",
        "PRAGMA user_version = 7\0",
        "\0",
    ] {
        assert!(matches!(conn.prepare(nul).unwrap_err().kind(), ErrorKind::NulInSql), "{nul:?}");
    }
    assert_eq!(conn.query_one::<i64>("PRAGMA user_version", ()).unwrap(), 0);
}

#[test]
fn sql_beyond_sqlites_limit_is_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    // SAFETY: the connection is open.
    unsafe { ffi::sqlite3_limit(conn.as_raw(), ffi::SQLITE_LIMIT_SQL_LENGTH, 1000) };
    let error = conn.prepare(&format!("SELECT '{}'", "x".repeat(1000))).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::TOOBIG));
    conn.execute("SELECT 1", ()).unwrap();
}

#[test]
fn borrowed_parameters_are_read_where_they_are_and_then_let_go() {
    let conn = Connection::open_in_memory().unwrap();
    let mut statement = conn.prepare("SELECT ?").unwrap();
    for n in 0..3 {
        let text = format!("text {n}");
        let bytes = vec![n; 100];
        assert_eq!(statement.query_one::<String>((&text,)).unwrap(), text);
        assert_eq!(statement.query_one::<Vec<u8>>((&bytes,)).unwrap(), bytes);
    }
    // An owned String lives as long as SQLite reads it: rows of it are safe.
    let mut rows = statement.query((String::from("owned, long enough to be on the heap"),)).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.get::<&str>(0).unwrap(), "owned, long enough to be on the heap");
}

#[test]
fn the_connection_is_usable_within_closures_and_conversions() {
    let conn = numbers();
    let total = conn
        .query_row("SELECT a FROM t WHERE a = 1", (), |row| {
            let a: i64 = row.get(0)?;
            conn.query_one::<i64>("SELECT sum(a) + ? FROM t", (a,))
        })
        .unwrap();
    assert_eq!(total, 7);
    // The same SQL again, while it runs: another instance.
    let nested = conn
        .query_row("SELECT a FROM t WHERE a = ?", (1,), |_| {
            conn.query_row("SELECT a FROM t WHERE a = ?", (2,), |row| row.get::<i64>(0))
        })
        .unwrap();
    assert_eq!(nested, 2);
}

#[test]
fn interrupts_are_told_apart_and_harmless_after_close() {
    let conn = Connection::open_in_memory().unwrap();
    let handle = conn.interrupt_handle();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let (ready, wait) = std::sync::mpsc::channel();
    let other = handle.clone();
    let thread = std::thread::spawn(move || {
        wait.recv().unwrap();
        // Interrupts that come before the statement runs do nothing, so it is told until it is over.
        while other.interrupt() {
            std::thread::yield_now();
        }
    });
    let mut statement = conn.prepare(endless).unwrap();
    ready.send(()).unwrap();
    let error = statement.query_one::<i64>(()).unwrap_err();
    assert!(error.is_interrupted(), "{error:?}");
    drop(statement);
    drop(conn);
    thread.join().unwrap();
    assert!(!handle.interrupt());
}

fn run_to_its_end(rows: finalite::Result<finalite::QueryAs<finalite::Rows<'_>, i64>>) -> Option<Error> {
    rows.and_then(|mut rows| rows.try_for_each(|row| row.map(drop))).err()
}

/// A statement without columns has no row to return: it is not run to find that out.
#[test]
fn what_returns_no_rows_is_refused_where_rows_are_asked_for() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let insert = "INSERT INTO t VALUES (?)";
    type Ask = fn(&Connection, &str) -> Option<Error>;
    let asking: [(&str, Ask); 9] = [
        ("query_one", |conn, sql| conn.query_one::<i64>(sql, (1,)).err()),
        ("query_optional", |conn, sql| conn.query_optional::<i64>(sql, (1,)).err()),
        ("query_all", |conn, sql| conn.query_all::<i64>(sql, (1,)).err()),
        ("query_one, prepared", |conn, sql| conn.prepare(sql).unwrap().query_one::<i64>((1,)).err()),
        ("query_optional, prepared", |conn, sql| conn.prepare(sql).unwrap().query_optional::<i64>((1,)).err()),
        ("query_all, prepared", |conn, sql| conn.prepare(sql).unwrap().query_all::<i64>((1,)).err()),
        ("query_as, prepared", |conn, sql| run_to_its_end(conn.prepare(sql).unwrap().query_as((1,)))),
        ("query_one, cached", |conn, sql| conn.prepare_cached(sql).unwrap().query_one::<i64>((1,)).err()),
        ("query_as, cached", |conn, sql| run_to_its_end(conn.prepare_cached(sql).unwrap().query_as((1,)))),
    ];
    for (call, ask) in asking {
        let error = ask(&conn, insert).unwrap_or_else(|| panic!("{call} does not fail"));
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{call}: {error}");
        let line = "the statement returns no rows and was not run: use `execute`, in: INSERT INTO t VALUES (?)";
        assert_eq!(error.to_string(), line, "{call}");
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0, "{call}");
        // With rows, the same is run.
        let returning = format!("{insert} RETURNING a");
        assert!(ask(&conn, &returning).is_none(), "{call}");
        assert_eq!(conn.execute("DELETE FROM t", ()).unwrap(), 1, "{call}");
    }
    for sql in ["CREATE TABLE u(a)", "BEGIN", "DELETE FROM t", "ATTACH ':memory:' AS other", "VACUUM"] {
        let error = conn.query_optional::<i64>(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{sql}: {error}");
    }
    assert!(conn.is_autocommit());
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ()).unwrap(), 1);
    // What explains it has columns; so has a pragma that answers, and one that SQLite does not know has none.
    assert!(
        !conn
            .query_all::<finalite::Value>("EXPLAIN QUERY PLAN DELETE FROM t", ())
            .is_err_and(|error| { matches!(error.kind(), ErrorKind::Misuse { .. }) })
    );
    assert_eq!(conn.query_one::<String>("PRAGMA journal_mode = memory", ()).unwrap(), "memory");
    let error = conn.pragma::<i64>("no_such_pragma").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSuch { .. }), "{error}");
    let error = conn.set_pragma("no_such_pragma", 1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Pragma { is_known: false, .. }), "{error}");
}

//! Statements, rows and transactions of one session.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use finalite_dqlite::{Connection, ErrorKind, Result};

use crate::with_nodes;

#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn one_session() {
    with_nodes(|nodes| {
        let mut conn = nodes.open("one_session");
        conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a) STRICT; -- none").unwrap_err();
        conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER) STRICT", ()).unwrap();
        ids_are_free_again(&conn);
        results_and_counts(&conn);
        requests_that_are_refused(&conn);
        transactions(&mut conn);
        rows_while_others_run(&conn);
        returned_rows_are_stored_or_refused(&conn, &nodes.open("one_session"));
        rows_that_are_dropped(&nodes.open("one_session"));
        a_forgotten_statement_is_counted(nodes.open("one_session"));
        assert_eq!(nodes.ended(), 0);
    });
}

/// The number of the next statement: the lowest that the node has free.
#[track_caller]
fn next_id(conn: &Connection) -> u32 {
    conn.prepare("SELECT 1").unwrap().id()
}

fn ids_are_free_again(conn: &Connection) {
    fn early(conn: &Connection) -> Result<i64> {
        let mut statement = conn.prepare("SELECT 1 WHERE ?")?;
        statement.query_one::<i64>((0,))
    }
    assert_eq!(next_id(conn), 0);
    for _ in 0..20 {
        drop(conn.prepare("SELECT 1").unwrap());
        assert_eq!(next_id(conn), 0);
        early(conn).unwrap_err();
        assert_eq!(next_id(conn), 0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let mut statement = conn.prepare("VALUES (1), (2)").unwrap();
            let _rows = statement.query(()).unwrap();
            // As a panic does, without its message.
            resume_unwind(Box::new(()));
        }));
        unwound.unwrap_err();
        assert_eq!(next_id(conn), 0);
    }
    let first = conn.prepare("SELECT 1").unwrap();
    let second = conn.prepare("SELECT 2").unwrap();
    let third = conn.prepare("SELECT 3").unwrap();
    assert_eq!([first.id(), second.id(), third.id()], [0, 1, 2]);
    drop(second);
    assert_eq!(next_id(conn), 1);
    assert_eq!(conn.live_statements(), 2);
    third.finalize().unwrap();
    first.finalize().unwrap();
    assert_eq!((next_id(conn), conn.live_statements()), (0, 0));

    // The positive control: a statement that is forgotten keeps its number.
    std::mem::forget(conn.prepare("SELECT 1").unwrap());
    assert_eq!((next_id(conn), conn.live_statements()), (1, 1));
}

fn results_and_counts(conn: &Connection) {
    let changes = conn.execute("INSERT INTO t(a) VALUES (?), (?)", (7, 8)).unwrap();
    assert_eq!((changes.rows, changes.last_insert_rowid), (2, 2));
    assert_eq!(conn.execute("CREATE INDEX t_a ON t(a)", ()).unwrap().rows, 0);
    assert_eq!(conn.execute("SELECT a FROM t", ()).unwrap().rows, 0);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t ORDER BY a", ()).unwrap(), [7, 8]);
    assert_eq!(conn.query_optional::<i64>("SELECT a FROM t WHERE id = ?", (9,)).unwrap(), None);
    assert!(conn.exists("SELECT 1 FROM t WHERE a > :least", finalite::named_params! { "least": 7 }).unwrap());
    let error = conn.query_one::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MoreThanOneRow), "{error}");
    assert!(conn.query_one::<i64>("SELECT a FROM t WHERE 0", ()).unwrap_err().is_no_rows());
    for sql in ["SELECT 3;", " SELECT 3 ; ", "-- before\nSELECT 3; -- behind", "/* before */ SELECT 3 /* behind */ ;\n"]
    {
        assert_eq!(conn.query_one::<i64>(sql, ()).unwrap(), 3, "{sql}");
        assert_eq!(conn.prepare(sql).unwrap().query_one::<i64>(()).unwrap(), 3, "{sql}");
    }
    conn.execute("DELETE FROM t WHERE a = 1000 ; -- behind", ()).unwrap();
    conn.execute_batch("DELETE FROM t WHERE a = 1000; -- between\n; DELETE FROM t WHERE a = 1001;").unwrap();
    let error = conn.execute("INSERT INTO t VALUES (1, 1)", ()).unwrap_err();
    assert_eq!(error.extended_code(), Some(finalite::ResultCode::CONSTRAINT_PRIMARYKEY));
    assert_eq!(error.sql(), Some("INSERT INTO t VALUES (1, 1)"));
    let mut update = conn.prepare("UPDATE t SET a = a + ? WHERE id = :id").unwrap();
    assert_eq!(update.parameter_count(), 2);
    assert_eq!(update.execute((1, 2)).unwrap().rows, 1);
    assert_eq!(update.execute((1, 99)).unwrap().rows, 0);
}

fn requests_that_are_refused(conn: &Connection) {
    for sql in [
        "ATTACH 'a' AS b",
        "VACUUM",
        "PRAGMA journal_mode = DELETE",
        "INSERT INTO t(a) VALUES (1) RETURNING id",
        "SELECT 1; SELECT 2",
        "BEGIN",
        "SAVEPOINT a",
        "",
    ] {
        let error = conn.execute(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{sql}: {error}");
    }
    let error = conn.execute("INSERT INTO t(a) VALUES (?)", ("a\0b",)).unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
    let error = conn.execute("INSERT INTO t(a) VALUES (?, ?)", (1,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Value(_)), "{error}");
    let error = conn.prepare("SELECT ?").unwrap().query((1, 2)).map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Value(_)), "{error}");
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

fn transactions(conn: &mut Connection) {
    let count = |conn: &Connection| conn.query_one::<i64>("SELECT count(*) FROM t WHERE a = 50", ()).unwrap();
    let tx = conn.transaction().unwrap();
    let mut insert = tx.prepare("INSERT INTO t(a) VALUES (?)").unwrap();
    insert.execute((50,)).unwrap();
    tx.commit().unwrap();
    insert.execute((50,)).unwrap();
    drop(insert);
    assert_eq!(count(conn), 2);

    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t(a) VALUES (50)", ()).unwrap();
    tx.execute("SAVEPOINT a", ()).unwrap();
    tx.execute("INSERT INTO t(a) VALUES (50)", ()).unwrap();
    tx.execute("ROLLBACK TO a", ()).unwrap();
    tx.execute("RELEASE a", ()).unwrap();
    assert_eq!(count(&tx), 3);
    drop(tx);
    assert_eq!(count(conn), 2);

    // SQLite has rolled back by itself.
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t(a) VALUES (50)", ()).unwrap();
    tx.execute("INSERT OR ROLLBACK INTO t(id, a) VALUES (1, 50)", ()).unwrap_err();
    tx.rollback().unwrap();
    assert_eq!(count(conn), 2);

    // What follows is not stored by itself, and the session goes on.
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT OR ROLLBACK INTO t(id, a) VALUES (1, 50)", ()).unwrap_err();
    for sql in ["INSERT INTO t(a) VALUES (50)", "SAVEPOINT a"] {
        let error = tx.execute(sql, ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
    }
    tx.commit().unwrap_err();
    assert_eq!(count(conn), 2);

    // A failure that leaves the transaction open.
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t(id, a) VALUES (1, 50)", ()).unwrap_err();
    tx.execute("INSERT INTO t(a) VALUES (50)", ()).unwrap();
    tx.commit().unwrap();
    assert_eq!(count(conn), 3);
    conn.execute("DELETE FROM t WHERE id = (SELECT max(id) FROM t WHERE a = 50)", ()).unwrap();

    conn.execute(
        "CREATE TRIGGER r BEFORE DELETE ON t WHEN old.a = 99 BEGIN SELECT 1; SELECT RAISE(ROLLBACK, 'no'); END;",
        (),
    )
    .unwrap();
    conn.execute("INSERT INTO t(a) VALUES (99)", ()).unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("DELETE FROM t WHERE a = 99", ()).unwrap_err();
    tx.execute("INSERT INTO t(a) VALUES (50)", ()).unwrap_err();
    drop(tx);
    conn.execute("DROP TRIGGER r", ()).unwrap();
    assert_eq!(count(conn), 2);

    // One that was forgotten is rolled back when the next begins.
    std::mem::forget(conn.transaction().unwrap());
    conn.execute("INSERT INTO t(a) VALUES (50)", ()).unwrap();
    conn.transaction().unwrap().rollback().unwrap();
    assert_eq!(count(conn), 2);
}

/// From dqlite 1.18.7 on, the rows of RETURNING are stored; before 1.18, nothing is sent.
fn returned_rows_are_stored_or_refused(conn: &Connection, other: &Connection) {
    let sql = "INSERT INTO t(a) VALUES (?), (?) RETURNING id, a";
    let count = || other.query_one::<i64>("SELECT count(*) FROM t WHERE a IN (70, 71)", ()).unwrap();
    match conn.query_all::<(i64, i64)>(sql, (70, 71)) {
        Ok(rows) => {
            assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), [70, 71]);
            assert_eq!(count(), 2);
            eprintln!("RETURNING is stored");
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error}");
            assert_eq!(count(), 0);
            eprintln!("RETURNING is refused");
        }
    }
    assert!(conn.is_alive());
}

const MANY: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, 'row ' || i FROM n";

fn rows_while_others_run(conn: &Connection) {
    let mut statement = conn.prepare(MANY).unwrap();
    let mut rows = statement.query((5000,)).unwrap();
    let first: (i64, String) = rows.next_as().unwrap().unwrap();
    assert_eq!(first, (1, "row 1".to_owned()));
    let other = conn.prepare("SELECT 1").unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT 2", ()).unwrap(), 2);
    drop(other);
    let mut last = 1;
    while let Some(row) = rows.next().unwrap() {
        last += 1;
        assert_eq!(row.get::<i64>(0).unwrap(), last);
        assert_eq!(row.get::<&str>(1).unwrap(), format!("row {last}"));
    }
    assert_eq!(last, 5000);
}

fn rows_that_are_dropped(conn: &Connection) {
    // A bounded rest is read: the session goes on.
    let mut statement = conn.prepare(MANY).unwrap();
    let mut rows = statement.query((20_000,)).unwrap();
    rows.next().unwrap().unwrap();
    drop(rows);
    assert!(conn.is_alive());
    assert_eq!(statement.query_one::<(i64, String)>((1,)).unwrap().0, 1);

    // Rows that were forgotten end when their statement is used again.
    std::mem::forget(statement.query((20_000,)).unwrap());
    conn.execute("DELETE FROM t WHERE a = 1000", ()).unwrap();
    assert_eq!(statement.query_one::<(i64, String)>((1,)).unwrap().0, 1);
    std::mem::forget(statement.query((20_000,)).unwrap());
    assert_eq!(statement.query_one::<(i64, String)>((1,)).unwrap().0, 1);

    // Other statements are refused while more is left than is kept.
    let mut rows = statement.query((5_000_000,)).unwrap();
    rows.next().unwrap().unwrap();
    let error = conn.execute("INSERT INTO t(a) VALUES (1)", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Streaming { .. }), "{error}");
    // A failure, of five million rows, ends the session.
    let began = Instant::now();
    drop(rows);
    assert!(!conn.is_alive());
    assert!(began.elapsed() < Duration::from_secs(1), "dropping took {:?}", began.elapsed());
    let error = conn.execute("INSERT INTO t(a) VALUES (1)", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Dead { .. }), "{error}");
}

fn a_forgotten_statement_is_counted(conn: Connection) {
    let before = finalite_dqlite::stats::snapshot();
    std::mem::forget(conn.prepare("SELECT 1").unwrap());
    let meanwhile = finalite_dqlite::stats::snapshot();
    assert_eq!(meanwhile.statements, before.statements + 1);
    let site = meanwhile.statements_by_site.iter().find(|(site, _)| site.contains("statements.rs"));
    assert!(site.is_some(), "{meanwhile:?}");
    conn.close().unwrap();
    let after = finalite_dqlite::stats::snapshot();
    assert_eq!(after.statements, before.statements);
    assert_eq!(after.statements_forgotten, before.statements_forgotten + 1);
    assert_eq!(after.sessions, before.sessions - 1);
}

//! What an error advises is true, also in the neighbours of the case that it was written for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use finalite::{Connection, Error, OpenOptions, ResultCode, TransactionBehavior};

use crate::common::full_path;

fn impatient(path: &Path) -> Connection {
    OpenOptions::new().busy_timeout(Duration::ZERO).open(path).unwrap()
}

fn failure(conn: &Connection, sql: &str) -> Error {
    conn.execute(sql, ()).unwrap_err()
}

#[track_caller]
fn assert_advises(error: &Error, code: ResultCode, words: &str) {
    assert_eq!(error.extended_code(), Some(code), "{error}");
    assert!(error.to_string().contains(&format!(" ({words})")), "{error}");
}

const ANOTHER: &str = "another connection holds the lock";
const ANOTHER_OR_THIS: &str = "another connection holds the lock, or this one, if it has the file attached twice";
const IN_THE_WAY: &str =
    "a statement or transaction of this connection, or of one that shares its cache, holds a conflicting lock";
const CHANGED: &str = "it has changed since this connection's transaction or open rows first read: end them and begin \
                       again, IMMEDIATE where it will write";

#[test]
fn a_lock_is_anothers_or_that_of_a_file_attached_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut other = impatient(&path);
    let conn = impatient(&path);
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let tx = other.transaction_with(TransactionBehavior::Exclusive).unwrap();
    let error = failure(&conn, "INSERT INTO t VALUES (1)");
    assert_advises(&error, ResultCode::BUSY, ANOTHER);
    assert!(error.to_string().contains(", database ") && !error.to_string().contains(" or /"), "{error}");
    // While it is being attached, and while it is.
    assert_advises(&failure(&tx, &format!("ATTACH '{}' AS again", path.display())), ResultCode::BUSY, ANOTHER_OR_THIS);
    drop(tx);
    conn.execute("ATTACH ? AS again", (path.to_str().unwrap(),)).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    conn.execute_batch("BEGIN; INSERT INTO main.t VALUES (1)").unwrap();
    let error = failure(&conn, "INSERT INTO again.t VALUES (2)");
    assert_advises(&error, ResultCode::BUSY, ANOTHER_OR_THIS);
    assert_eq!(error.to_string().matches("a.db").count(), 1, "{error}");
}

#[test]
fn a_checkpoint_that_is_kept_from_its_end_by_a_file_attached_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = impatient(&path);
    conn.set_pragma("journal_mode", "wal").unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    conn.execute("ATTACH ? AS again", (path.to_str().unwrap(),)).unwrap();
    let mut statement = conn.prepare("SELECT a FROM again.t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    impatient(&path).execute("INSERT INTO t VALUES (3)", ()).unwrap();
    assert_advises(&conn.set_pragma("main.wal_checkpoint", "truncate").unwrap_err(), ResultCode::BUSY, ANOTHER_OR_THIS);
}

#[test]
fn what_is_in_the_way_of_ones_own_is_a_statement_or_a_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let conn = impatient(&dir.path().join("a.db"));
    conn.set_pragma("journal_mode", "wal").unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    // No statement runs; the transaction has read or written.
    for sql in ["SELECT a FROM t", "INSERT INTO t VALUES (3)"] {
        conn.execute_batch("BEGIN").unwrap();
        conn.execute(sql, ()).unwrap();
        assert_advises(&failure(&conn, "PRAGMA wal_checkpoint"), ResultCode::LOCKED, IN_THE_WAY);
        assert_advises(&conn.set_pragma("wal_checkpoint", "full").unwrap_err(), ResultCode::LOCKED, IN_THE_WAY);
        conn.execute_batch("ROLLBACK").unwrap();
    }
    // No transaction was begun; the statement runs.
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert_advises(&failure(&conn, "PRAGMA wal_checkpoint"), ResultCode::LOCKED, IN_THE_WAY);
    assert_advises(&failure(&conn, "DROP TABLE t"), ResultCode::LOCKED, IN_THE_WAY);
}

#[test]
fn a_snapshot_that_is_too_old_is_a_transactions_or_that_of_open_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (conn, other) = (impatient(&path), impatient(&path));
    conn.set_pragma("journal_mode", "wal").unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let write = |conn: &Connection| conn.execute("INSERT INTO t VALUES (3)", ());
    // Rows alone: there is nothing that could be rolled back.
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    write(&other).unwrap();
    assert_advises(&write(&conn).unwrap_err(), ResultCode::BUSY_SNAPSHOT, CHANGED);
    drop(rows);
    write(&conn).unwrap();
    conn.execute_batch("BEGIN; SELECT a FROM t").unwrap();
    write(&other).unwrap();
    assert_advises(&write(&conn).unwrap_err(), ResultCode::BUSY_SNAPSHOT, CHANGED);
    conn.execute_batch("ROLLBACK; BEGIN IMMEDIATE").unwrap();
    write(&conn).unwrap();
}

#[test]
fn what_sqlite_explains_itself_gets_no_advice() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    conn.execute_batch("BEGIN").unwrap();
    let mut statement = conn.prepare("INSERT INTO t VALUES (2), (3) RETURNING a").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    let error = failure(&conn, "COMMIT");
    assert!(error.is_busy() && error.to_string().starts_with("cannot commit transaction"), "{error}");
    assert!(!error.to_string().contains(" ("), "{error}");
}

/// The file that an error is about may be any that the connection has open, and is none of them where it is attached.
#[test]
fn the_files_that_an_error_may_be_about_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.db", "b.db"].map(|name| dir.path().join(name));
    fs::write(dir.path().join("text"), "no database. ".repeat(100)).unwrap();
    let conn = impatient(&paths[0]);
    conn.execute("ATTACH ? AS b", (paths[1].to_str().unwrap(),)).unwrap();
    conn.execute("CREATE TABLE b.t(a)", ()).unwrap();
    let mut other = impatient(&paths[1]);
    let tx = other.transaction_with(TransactionBehavior::Exclusive).unwrap();
    let error = failure(&conn, "INSERT INTO b.t VALUES (1)");
    let full = paths.each_ref().map(|path| full_path(path).display().to_string());
    assert!(error.to_string().contains(&format!(", database {} or {}, in: ", full[0], full[1])), "{error}");
    drop(tx);
    // One in memory has no file.
    let memory = impatient(Path::new(":memory:"));
    memory.execute("ATTACH ? AS b", (paths[1].to_str().unwrap(),)).unwrap();
    let tx = other.transaction_with(TransactionBehavior::Exclusive).unwrap();
    let error = failure(&memory, "INSERT INTO b.t VALUES (1)");
    assert!(error.to_string().contains(&format!(", database {}, in: ", full[1])), "{error}");
    drop(tx);
    for sql in [format!("ATTACH '{}/text' AS c", dir.path().display()), "ATTACH '/no/where' AS c".to_owned()] {
        let error = failure(&conn, &sql);
        assert!(error.code().is_some_and(|code| [ResultCode::NOTADB, ResultCode::CANTOPEN].contains(&code)), "{error}");
        assert!(!error.to_string().contains(", database "), "{error}");
    }
}

//! The pre-update hook: rows before and after, and what other hooks do not report.

use std::io::Write;
use std::sync::mpsc;

use finalite::data::Access;
use finalite::extend::{Operation, PreUpdate};
use finalite::{Connection, ErrorKind, Result, Value, ValueRef};

use super::{bump, count, counter, open, panic_of};

fn value(value: Result<Option<ValueRef<'_>>>) -> String {
    value.unwrap().map_or_else(|| "_".into(), |value| value.to_value().unwrap().to_string())
}

/// A change as a line: table, sign, rows before and after, depth.
fn line(change: &PreUpdate<'_>) -> String {
    let columns = 0..change.column_count();
    let old: Vec<String> = columns.clone().map(|column| value(change.old_value(column))).collect();
    let new: Vec<String> = columns.map(|column| value(change.new_value(column))).collect();
    let sign = match change.operation {
        Operation::Insert => "+",
        Operation::Delete => "-",
        _ => "=",
    };
    format!("{}.{} {sign} {} -> {} at {}", change.database, change.table, old.join(","), new.join(","), change.depth())
}

/// The changes of a script.
fn changes_of(conn: &Connection, script: &str) -> Vec<String> {
    let (send, seen) = mpsc::channel();
    let subscription = conn.on_preupdate(move |change| send.send(line(change)).unwrap()).unwrap();
    conn.execute_batch(script).unwrap();
    drop(subscription);
    seen.try_iter().collect()
}

#[test]
fn rows_are_seen_before_and_after() {
    let conn = open();
    assert_eq!(
        changes_of(&conn, "INSERT INTO t VALUES ('x'), (NULL)"),
        ["main.t + _ -> x at 0", "main.t + _ -> NULL at 0"]
    );
    assert_eq!(changes_of(&conn, "UPDATE t SET a = 2.5 WHERE a IS NULL"), ["main.t = NULL -> 2.5 at 0"]);
    assert_eq!(changes_of(&conn, "DELETE FROM t WHERE a = 'x'"), ["main.t - x -> _ at 0"]);
}

#[test]
fn what_an_update_hook_misses_is_seen() {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE u(k INTEGER PRIMARY KEY, v UNIQUE);
         INSERT INTO w VALUES (1, 2); INSERT INTO u VALUES (1, 'x'); INSERT INTO t VALUES (1), (2)",
    )
    .unwrap();
    assert_eq!(changes_of(&conn, "UPDATE w SET v = 3"), ["main.w = 1,2 -> 1,3 at 0"]);
    assert_eq!(
        changes_of(&conn, "REPLACE INTO u VALUES (2, 'x')"),
        ["main.u - 1,x -> _,_ at 0", "main.u + _,_ -> 2,x at 0"]
    );
    assert_eq!(changes_of(&conn, "DELETE FROM t"), ["main.t - 1 -> _ at 0", "main.t - 2 -> _ at 0"]);
}

#[test]
fn triggers_are_deeper() {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE log(a); CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END;
         CREATE TEMP TABLE temporary(a)",
    )
    .unwrap();
    assert_eq!(changes_of(&conn, "INSERT INTO t VALUES (1)"), ["main.t + _ -> 1 at 0", "main.log + _ -> 1 at 1"]);
    assert_eq!(changes_of(&conn, "INSERT INTO temporary VALUES (1)"), ["temp.temporary + _ -> 1 at 0"]);
}

#[test]
fn rowids_are_those_before_and_after() {
    let conn = open();
    let (send, seen) = mpsc::channel();
    let _subscription =
        conn.on_preupdate(move |change| send.send((change.old_rowid, change.new_rowid)).unwrap()).unwrap();
    conn.execute_batch("INSERT INTO t(rowid, a) VALUES (7, 0); UPDATE t SET rowid = 8; DELETE FROM t").unwrap();
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!((seen[0].1, seen[1], seen[2].0), (7, (7, 8), 8));
}

#[test]
fn a_blob_write_is_an_update_without_new_values() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (x'00000000')", ()).unwrap();
    let (send, seen) = mpsc::channel();
    let _subscription =
        conn.on_preupdate(move |change| send.send((line(change), change.blob_column())).unwrap()).unwrap();
    conn.blob(("t", "a", 1), Access::ReadWrite).unwrap().write_all(&[1, 2]).unwrap();
    conn.execute("UPDATE t SET a = 5", ()).unwrap();
    assert_eq!(
        seen.try_iter().collect::<Vec<_>>(),
        [("main.t = X'00000000' -> _ at 0".into(), Some(0)), ("main.t = X'01020000' -> 5 at 0".into(), None)]
    );
}

#[test]
fn a_panic_in_a_blob_write_is_resumed() {
    let conn = open();
    conn.execute("INSERT INTO t VALUES (x'00000000')", ()).unwrap();
    let _subscription = conn.on_preupdate(|_| panic!("no writing")).unwrap();
    let mut blob = conn.blob(("t", "a", 1), Access::ReadWrite).unwrap();
    assert_eq!(panic_of(|| blob.write_all(&[1])), "no writing");
    blob.close().unwrap();
    assert_eq!(panic_of(|| conn.execute("DELETE FROM t", ())), "no writing");
}

#[test]
fn a_column_that_does_not_exist_is_an_error() {
    let conn = open();
    let (send, seen) = mpsc::channel();
    let _subscription = conn
        .on_preupdate(move |change| {
            for found in [change.old_value(1), change.new_value(1), change.new_value(usize::MAX)] {
                send.send(found.is_err_and(|error| matches!(error.kind(), ErrorKind::Misuse { .. }))).unwrap();
            }
        })
        .unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1); UPDATE t SET a = 2").unwrap();
    // An insert has no row before, so that there is nothing to ask for.
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [false, true, true, true, true, true]);
}

#[test]
fn several_closures_are_called_and_end_alone() {
    let conn = open();
    let ((one, first), (two, second)) = (counter(), counter());
    let first_subscription = conn.on_preupdate(move |_| bump(&first)).unwrap();
    let second_subscription = conn.on_preupdate(move |_| bump(&second)).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    drop(first_subscription);
    conn.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    drop(second_subscription);
    conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    assert_eq!((count(&one), count(&two)), (1, 2));
}

#[test]
fn text_of_a_utf_16_database_is_converted() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("PRAGMA encoding = 'UTF-16be'; CREATE TABLE t(a, b); INSERT INTO t VALUES ('grüße', x'00')")
        .unwrap();
    assert_eq!(
        changes_of(&conn, "UPDATE t SET a = a || '!', b = zeroblob(3)"),
        ["main.t = grüße,X'00' -> grüße!,X'000000' at 0"]
    );
    assert_eq!(conn.query_one::<Value>("SELECT a FROM t", ()).unwrap(), Value::Text("grüße!".into()));
}

#[test]
fn a_generated_column_has_a_value_where_it_is_stored() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a, b AS (a + 1), c AS (a + 2) STORED, d)").unwrap();
    assert_eq!(changes_of(&conn, "INSERT INTO t(a, d) VALUES (1, 4)"), ["main.t + _,_,_,_ -> 1,_,3,4 at 0"]);
    assert_eq!(changes_of(&conn, "UPDATE t SET a = 2"), ["main.t = 1,_,3,4 -> 2,_,4,4 at 0"]);
}

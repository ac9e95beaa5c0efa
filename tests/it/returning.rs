//! A single-row call reports what its statement really did.
//!
//! `INSERT … RETURNING` yields its row before it commits. A driver that reads the row, resets and does not look at
//! the code tells `Ok` while nothing was stored: rusqlite's `query_row` did so with a deferred foreign key
//! (its issues 995, 1403, 1418).

use finalite::{Connection, Error, ffi};

const INSERT: &str = "INSERT INTO child(parent) VALUES (99) RETURNING id";

fn family() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
    )
    .unwrap();
    conn
}

fn stored(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM child", ()).unwrap()
}

/// Every call that yields a row, or may.
fn every_call(conn: &Connection) -> Vec<(&'static str, Result<i64, Error>)> {
    vec![
        ("query_one", conn.query_one(INSERT, ())),
        ("query_optional", conn.query_optional(INSERT, ()).map(Option::unwrap_or_default)),
        ("query_row", conn.query_row(INSERT, (), |row| row.get(0))),
        ("query_all", conn.query_all::<i64>(INSERT, ()).map(|all| all[0])),
        ("execute", conn.execute(INSERT, ()).map(|_| 1)),
        ("statement", conn.prepare(INSERT).unwrap().query_one(())),
        (
            "query_as",
            conn.prepare(INSERT).unwrap().query_as(()).unwrap().collect::<Result<Vec<i64>, _>>().map(|all| all[0]),
        ),
        ("rows", {
            let mut statement = conn.prepare(INSERT).unwrap();
            let mut rows = statement.query(()).unwrap();
            let first = rows.next().unwrap().unwrap().get(0);
            rows.finish().and(first)
        }),
    ]
}

#[test]
fn the_control_step_yields_a_row_and_the_reset_the_error() {
    // What makes the trap: at the C level the row comes first, and only the reset fails.
    let conn = family();
    let mut statement = conn.prepare(INSERT).unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    let error = rows.finish().unwrap_err();
    assert!(error.is_constraint(), "{error:?}");
    assert_eq!(stored(&conn), 0);
}

#[test]
fn a_deferred_foreign_key_is_an_error_of_the_call() {
    let conn = family();
    for (call, result) in every_call(&conn) {
        let error = result.expect_err(call);
        assert_eq!(error.code_name(), Some("SQLITE_CONSTRAINT_FOREIGNKEY"), "{call}");
        assert_eq!(stored(&conn), 0, "{call}");
        assert!(conn.is_autocommit(), "{call}");
    }
    conn.execute("INSERT INTO parent VALUES (99)", ()).unwrap();
    for (n, (call, result)) in every_call(&conn).into_iter().enumerate() {
        assert!(result.is_ok(), "{call}");
        assert!(stored(&conn) > i64::try_from(n).unwrap(), "{call}");
    }
}

/// Rows that were forgotten are ended by the next call of the statement, which has nobody else to tell what that returned.
#[test]
fn an_end_that_was_forgotten_is_an_error_of_the_next_call_unless_it_was_told() {
    let conn = family();
    let mut statement = conn.prepare(INSERT).unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    std::mem::forget(rows);
    let error = statement.query_one::<i64>(()).unwrap_err();
    assert_eq!(error.code_name(), Some("SQLITE_CONSTRAINT_FOREIGNKEY"));
    assert_eq!(stored(&conn), 0);
    // An error that a step has returned is not returned again.
    let mut statement = conn.prepare("SELECT abs(?)").unwrap();
    let mut rows = statement.query((i64::MIN,)).unwrap();
    assert!(rows.next().unwrap_err().to_string().contains("integer overflow"));
    std::mem::forget(rows);
    assert_eq!(statement.query_one::<i64>((-7,)).unwrap(), 7);
}

#[test]
fn a_commit_hook_that_refuses_is_an_error_of_the_call() {
    extern "C" fn refuse(_: *mut std::ffi::c_void) -> i32 {
        1
    }
    let conn = family();
    conn.execute("INSERT INTO parent VALUES (99)", ()).unwrap();
    // SAFETY: the connection is open and the hook is a function without state.
    unsafe { ffi::sqlite3_commit_hook(conn.as_raw(), Some(refuse), std::ptr::null_mut()) };
    for (call, result) in every_call(&conn) {
        assert_eq!(result.expect_err(call).code_name(), Some("SQLITE_CONSTRAINT_COMMITHOOK"), "{call}");
        assert_eq!(stored(&conn), 0, "{call}");
    }
    // SAFETY: as above.
    unsafe { ffi::sqlite3_commit_hook(conn.as_raw(), None, std::ptr::null_mut()) };
    assert!(conn.query_one::<i64>(INSERT, ()).is_ok());
}

#[test]
fn a_busy_commit_is_an_error_of_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (99);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent);",
    )
    .unwrap();
    conn.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    // In rollback mode a reader lets the writer write, and not commit.
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM parent").unwrap();
    for (call, result) in every_call(&conn) {
        assert!(result.expect_err(call).is_busy(), "{call}");
        assert_eq!(stored(&conn), 0, "{call}");
        assert!(conn.is_autocommit(), "{call}");
    }
    reader.execute("COMMIT", ()).unwrap();
    assert!(conn.query_one::<i64>(INSERT, ()).is_ok());
    assert_eq!(stored(&conn), 1);
}

#[test]
fn dropping_rows_early_stores_what_can_be_stored() {
    let conn = family();
    conn.execute("INSERT INTO parent VALUES (99)", ()).unwrap();
    {
        let mut statement = conn.prepare("INSERT INTO child(parent) VALUES (99), (99) RETURNING id").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
    }
    assert_eq!(stored(&conn), 2);
}

#[test]
fn a_second_row_or_a_wrong_type_is_an_error_and_the_changes_stand() {
    let conn = family();
    conn.execute("INSERT INTO parent VALUES (99)", ()).unwrap();
    assert!(conn.query_one::<i64>("INSERT INTO child(parent) VALUES (99), (99) RETURNING id", ()).is_err());
    assert!(conn.query_one::<String>(INSERT, ()).is_err());
    assert_eq!(stored(&conn), 3);
}

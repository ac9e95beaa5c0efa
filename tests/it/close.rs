//! Closing: what is gone afterwards, and what happens if SQLite refuses.

use std::ptr;

use finalite::{Connection, ErrorKind, OpenOptions, ffi};

#[test]
fn close_removes_wal_and_shm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = OpenOptions::recommended().open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let wal = dir.path().join("a.db-wal");
    assert!(wal.exists(), "the control: it is there while the connection is open");
    conn.close().unwrap();
    assert!(!wal.exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A statement that finalite does not know of, as foreign code might leave one.
fn foreign_statement(conn: &Connection) -> *mut ffi::sqlite3_stmt {
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open and the SQL NUL-terminated.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut())
    };
    assert_eq!(code, ffi::SQLITE_OK);
    statement
}

fn finalize(statement: *mut ffi::sqlite3_stmt) {
    // SAFETY: made by `foreign_statement`, finalized once.
    assert_eq!(unsafe { ffi::sqlite3_finalize(statement) }, ffi::SQLITE_OK);
}

#[test]
fn a_connection_that_cannot_be_closed_comes_back_usable() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let foreign = foreign_statement(&conn);
    let interrupt = conn.interrupt_handle();
    let error = conn.close_or_return().unwrap_err();
    assert!(error.error().is_busy(), "{error:?}");
    assert!(error.to_string().contains("unfinalized"), "{error}");
    let conn = error.into_connection();
    let (conn, error) = conn.close_or_return().unwrap_err().into_parts();
    assert!(error.is_busy(), "{error:?}");
    assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ()).unwrap(), 1);
    assert!(interrupt.interrupt(), "the interrupt handle works again");
    finalize(foreign);
    conn.close().unwrap();
    assert!(!interrupt.interrupt());
}

#[test]
fn as_raw_and_from_raw_hand_a_connection_over() {
    let mut handle = ptr::null_mut();
    let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_NOMUTEX;
    // SAFETY: the path is NUL-terminated, and the VFS may be NULL.
    let code = unsafe { ffi::sqlite3_open_v2(c":memory:".as_ptr(), &raw mut handle, flags, ptr::null()) };
    assert_eq!(code, ffi::SQLITE_OK);
    // SAFETY: opened above, and given away.
    let conn = unsafe { Connection::from_raw(handle) }.unwrap();
    // SAFETY: the pointer is compared, not used.
    assert_eq!(unsafe { conn.as_raw() }, handle);
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    // SAFETY: NULL is allowed.
    let error = unsafe { Connection::from_raw(ptr::null_mut()) }.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }));
}

#[test]
fn optimize_runs_in_close_and_not_in_drop() {
    let statistics = |how: fn(Connection)| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = OpenOptions::new().optimize_on_close(true).open(&path).unwrap();
        conn.execute_batch(
            "CREATE TABLE t(a, b); CREATE INDEX i ON t(a);
             INSERT INTO t SELECT value, value FROM generate_series(1, 1000);",
        )
        .or_else(|_| {
            conn.execute_batch(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                 INSERT INTO t SELECT i, i FROM n;",
            )
        })
        .unwrap();
        conn.query_all::<i64>("SELECT b FROM t WHERE a = 5", ()).unwrap();
        how(conn);
        let conn = Connection::open(&path).unwrap();
        conn.query_one::<i64>("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'", ()).unwrap()
    };
    assert_eq!(statistics(|conn| conn.close().unwrap()), 1);
    assert_eq!(statistics(drop), 0);
}

#[test]
fn values_can_be_dropped_in_any_order_that_compiles() {
    for order in 0..6 {
        let conn = Connection::open_in_memory().unwrap();
        let mut first = conn.prepare("VALUES (1), (2)").unwrap();
        let mut second = conn.prepare_cached("VALUES (3), (4)").unwrap();
        let mut rows_of_first = first.query(()).unwrap();
        let mut rows_of_second = second.query(()).unwrap();
        rows_of_first.next().unwrap();
        rows_of_second.next().unwrap();
        match order {
            0 => {
                drop(rows_of_first);
                drop(rows_of_second);
                drop(first);
                drop(second);
            }
            1 => {
                drop(rows_of_second);
                drop(second);
                drop(rows_of_first);
                drop(first);
            }
            2 => {
                drop(rows_of_first);
                drop(first);
                drop(rows_of_second);
            }
            3 => {
                drop(rows_of_second);
                drop(second);
                drop(rows_of_first);
            }
            4 => {
                drop(rows_of_first);
                drop(rows_of_second);
                drop(second);
            }
            _ => {}
        }
    }
}

//! What is listed of the handles that are open, and of those that were forgotten.

pub mod forgotten;
#[cfg(unix)]
pub mod forked;
pub mod held;
mod log;
pub mod records;
pub mod sites;

use std::mem::forget;
use std::ptr;

use finalite::handles::{self, HandleKind, OpenHandle};
use finalite::{Connection, ffi};

fn records() -> Vec<OpenHandle> {
    handles::live().records
}

/// The one record of a kind.
fn the(kind: HandleKind) -> OpenHandle {
    let mut found: Vec<OpenHandle> = records().into_iter().filter(|record| record.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found.remove(0)
}

/// A statement that finalite does not know: its connection cannot be closed.
fn foreign_statement(conn: &Connection) -> *mut ffi::sqlite3_stmt {
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open and the SQL NUL-terminated.
    unsafe { ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut()) };
    assert!(!statement.is_null());
    statement
}

/// One connection's worth of everything.
fn use_everything() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let mut tx = conn.transaction().unwrap();
    let savepoint = tx.savepoint().unwrap();
    let mut statement = savepoint.prepare("VALUES (1), (2)").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(rows);
    forget(statement);
}

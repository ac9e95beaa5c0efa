//! Parameters in, rows out: every form of `Params`, every way to name a column, and what SQLite tells of a statement.

mod about;
mod afterwards;
mod columns;
mod limits;
mod named;
mod own;
mod positional;
mod schema_change;

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use finalite::{
    Binder, Connection, Error, ErrorKind, FromRow, NameKind, Params, Result, ResultCode, Statement, ToSql, Value,
    ValueRef, ZeroBlob, ffi, named_params, params, params_from_iter,
};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Every row as text: what SQLite has for the values of the parameters, separated by blanks.
fn bound<'p>(conn: &Connection, sql: &str, params: impl Params<'p>) -> Result<String> {
    conn.query_row(sql, params, |row| {
        let values = (0..row.column_count()).map(|column| Ok(show(row.value(column)?)));
        Ok(values.collect::<Result<Vec<_>>>()?.join(" "))
    })
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{bytes:?}"),
    }
}

fn assert_count(error: &Error, expected: usize, given: usize) {
    let ErrorKind::ParameterCount { expected: in_sql, given: seen, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*in_sql, *seen), (expected, given), "{error}");
}

#[track_caller]
fn assert_twice(error: &Error, index: usize, name: Option<&str>) {
    match error.kind() {
        ErrorKind::ParameterTwice { index: found, name: found_name, .. } => {
            assert_eq!((*found, found_name.as_deref()), (index, name), "{error}");
        }
        _ => panic!("{error:?}"),
    }
}

fn assert_unset(error: &Error, unset: usize, called: Option<&str>) {
    let ErrorKind::ParameterUnset { index, name, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*index, name.as_deref()), (unset, called), "{error}");
}

fn assert_no_such(error: &Error, wanted: NameKind, called: &str, there_is: &[&str]) {
    let ErrorKind::NoSuch { what, name, known, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*what, &**name), (wanted, called));
    assert_eq!(known.iter().map(|name| &**name).collect::<Vec<_>>(), there_is);
}

/// The only statement of the connection, with the values that SQLite has for its parameters at this moment. Asked
/// behind the driver's back, which would first clear what is left of an earlier execution.
fn bound_now(conn: &Connection) -> String {
    // SAFETY: nothing is closed through the pointer, and it is not used after this function.
    let db = unsafe { conn.as_raw() };
    // SAFETY: the connection is open; NULL asks for its first statement.
    let statement = unsafe { ffi::sqlite3_next_stmt(db, ptr::null_mut()) };
    assert!(!statement.is_null());
    // SAFETY: as above.
    let next = unsafe { ffi::sqlite3_next_stmt(db, statement) };
    assert!(next.is_null(), "there is more than one statement");
    // SAFETY: the statement is alive; reads what is bound, which is alive too, or else there is the bug to be found.
    let text = unsafe { ffi::sqlite3_expanded_sql(statement) };
    assert!(!text.is_null());
    // SAFETY: not NULL, and NUL-terminated.
    let sql = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    // SAFETY: it came from `sqlite3_malloc`, for the caller to free.
    unsafe { ffi::sqlite3_free(text.cast()) };
    sql
}

/// Sets one of SQLite's run-time limits.
fn set_limit(conn: &Connection, limit: c_int, value: c_int) {
    // SAFETY: nothing is closed through the pointer, and it is not used after this function.
    let db = unsafe { conn.as_raw() };
    // SAFETY: the connection is open; any limit and value are allowed.
    unsafe { ffi::sqlite3_limit(db, limit, value) };
}

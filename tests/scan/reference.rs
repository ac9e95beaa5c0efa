//! A result as plain calls of the C library read it: what every scan is compared with.

use std::ffi::{CStr, c_char, c_int};
use std::{ptr, slice};

use finalite::{Connection, ffi};

use crate::common::cell::Cell;

/// A whole result.
#[derive(Debug)]
pub struct Table {
    pub names: Vec<String>,
    /// The types that the columns' declarations name.
    pub declared: Vec<Option<String>>,
    pub rows: Vec<Vec<Cell>>,
}

/// Prepares, steps to the end, and reads each cell by its type, as the manual of SQLite says.
pub fn read(conn: &Connection, sql: &str) -> Table {
    // SAFETY: nothing is closed, and the statement is finalized below.
    let db = unsafe { conn.as_raw() };
    let mut statement = ptr::null_mut();
    let len = c_int::try_from(sql.len()).unwrap();
    // SAFETY: the connection is open, and `sql` is `len` readable bytes.
    let code = unsafe { ffi::sqlite3_prepare_v2(db, sql.as_ptr().cast(), len, &raw mut statement, ptr::null_mut()) };
    assert_eq!(code, ffi::SQLITE_OK, "{sql}");
    let mut rows = Vec::new();
    loop {
        // SAFETY: the statement is alive.
        match unsafe { ffi::sqlite3_step(statement) } {
            ffi::SQLITE_ROW => {
                // SAFETY: as above, and the last step found a row.
                rows.push(unsafe { row(statement) });
            }
            code => {
                assert_eq!(code, ffi::SQLITE_DONE, "{sql}");
                break;
            }
        }
    }
    // SAFETY: the statement is alive; names and declarations are those of the execution that has just ended.
    let table = unsafe {
        let columns = 0..ffi::sqlite3_column_count(statement);
        let names = columns.clone().map(|column| copy(ffi::sqlite3_column_name(statement, column)).unwrap());
        let declared = columns.map(|column| copy(ffi::sqlite3_column_decltype(statement, column)));
        Table { names: names.collect(), declared: declared.collect(), rows }
    };
    // SAFETY: the statement is alive, and this is its end.
    assert_eq!(unsafe { ffi::sqlite3_finalize(statement) }, ffi::SQLITE_OK, "{sql}");
    table
}

/// # Safety
///
/// The last step of the statement found a row.
unsafe fn row(statement: *mut ffi::sqlite3_stmt) -> Vec<Cell> {
    // SAFETY: the caller's promise; the columns are in range, and what is copied is valid until the next call on it.
    unsafe {
        (0..ffi::sqlite3_data_count(statement))
            .map(|column| match ffi::sqlite3_column_type(statement, column) {
                ffi::SQLITE_INTEGER => Cell::Integer(ffi::sqlite3_column_int64(statement, column)),
                ffi::SQLITE_FLOAT => Cell::Real(ffi::sqlite3_column_double(statement, column).to_bits()),
                ffi::SQLITE_TEXT => {
                    let text = ffi::sqlite3_column_text(statement, column);
                    Cell::Text(bytes(text, ffi::sqlite3_column_bytes(statement, column)))
                }
                ffi::SQLITE_BLOB => {
                    let blob = ffi::sqlite3_column_blob(statement, column);
                    Cell::Blob(bytes(blob.cast(), ffi::sqlite3_column_bytes(statement, column)))
                }
                _ => Cell::Null,
            })
            .collect()
    }
}

/// # Safety
///
/// `start` points to `len` bytes, or `len` is 0.
unsafe fn bytes(start: *const u8, len: c_int) -> Vec<u8> {
    match usize::try_from(len).unwrap() {
        0 => Vec::new(),
        // SAFETY: the caller's promise.
        len => unsafe { slice::from_raw_parts(start, len) }.to_vec(),
    }
}

/// # Safety
///
/// `text` is NULL or ends in NUL.
unsafe fn copy(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned())
}

//! A trace that looks at the bindings of each statement when it ends.

use std::ffi::c_void;
use std::ptr;

use finalite::{Connection, ffi};

/// Has SQLite expand the SQL, and so read the bindings, of each statement that is reset or finalized.
pub fn expand_each(conn: &Connection) {
    extern "C" fn expand(_: u32, _: *mut c_void, statement: *mut c_void, _: *mut c_void) -> i32 {
        // SAFETY: SQLite passes the statement that is running; the text is given back.
        unsafe {
            let sql = ffi::sqlite3_expanded_sql(statement.cast());
            assert!(!sql.is_null());
            ffi::sqlite3_free(sql.cast());
        }
        0
    }
    // SAFETY: the connection is open, the function has no state and touches nothing but its statement.
    unsafe { ffi::sqlite3_trace_v2(conn.as_raw(), ffi::SQLITE_TRACE_PROFILE, Some(expand), ptr::null_mut()) };
}

//! Functions of SQLite that a program links, and an extension finds in the table of its host: those that the bindings of
//! `libsqlite3-sys` for extensions lack, or have with fewer arguments.

#[cfg(not(feature = "loadable-extension"))]
pub(super) use libsqlite3_sys::{
    sqlite3_db_config as db_config_lookaside, sqlite3_expired as expired, sqlite3_initialize as initialize,
    sqlite3_rtree_geometry_callback as rtree_geometry_callback, sqlite3_rtree_query_callback as rtree_query_callback,
    sqlite3_vtab_config as vtab_config_int,
};

#[cfg(feature = "loadable-extension")]
pub(super) use hosted::*;

#[cfg(feature = "loadable-extension")]
mod hosted {
    use std::ffi::{c_char, c_int, c_void};

    use crate::raw::{ffi, host};

    /// # Safety
    ///
    /// The conditions of `sqlite3_expired`.
    pub(in crate::raw) unsafe fn expired(statement: *mut ffi::sqlite3_stmt) -> c_int {
        match host::table().expired {
            // SAFETY: the host's function, with what the caller passes to it (rule 28).
            Some(expired) => unsafe { expired(statement) },
            // A host without deprecated functions: what depends on the answer is done again.
            None => 1,
        }
    }

    /// Nothing: the host's SQLite is running.
    ///
    /// # Safety
    ///
    /// None.
    pub(in crate::raw) unsafe fn initialize() -> c_int {
        ffi::SQLITE_OK
    }

    /// # Safety
    ///
    /// The conditions of `sqlite3_db_config` for `SQLITE_DBCONFIG_LOOKASIDE`.
    pub(in crate::raw) unsafe fn db_config_lookaside(
        db: *mut ffi::sqlite3,
        operation: c_int,
        memory: *mut c_void,
        slot_bytes: c_int,
        slots: c_int,
    ) -> c_int {
        let db_config = host::table().db_config.expect("the host's SQLite has each function of a connection");
        // SAFETY: the host's function, with what the caller passes to it (rule 28).
        unsafe { db_config(db, operation, memory, slot_bytes, slots) }
    }

    /// # Safety
    ///
    /// The conditions of `sqlite3_vtab_config` for an option that takes an `int`.
    pub(in crate::raw) unsafe fn vtab_config_int(db: *mut ffi::sqlite3, option: c_int, value: c_int) -> c_int {
        match host::table().vtab_config {
            // SAFETY: the host's function, with what the caller passes to it (rule 28).
            Some(vtab_config) => unsafe { vtab_config(db, option, value) },
            None => ffi::SQLITE_MISUSE,
        }
    }

    /// An error: the table of the host lacks the function.
    ///
    /// # Safety
    ///
    /// None.
    pub(in crate::raw) unsafe fn rtree_geometry_callback(
        _db: *mut ffi::sqlite3,
        _name: *const c_char,
        _geometry: Option<unsafe extern "C" fn(*mut ffi::sqlite3_rtree_geometry, c_int, *mut f64, *mut c_int) -> c_int>,
        _context: *mut c_void,
    ) -> c_int {
        ffi::SQLITE_MISUSE
    }

    /// An error: the table of the host lacks the function.
    ///
    /// # Safety
    ///
    /// None.
    pub(in crate::raw) unsafe fn rtree_query_callback(
        _db: *mut ffi::sqlite3,
        _name: *const c_char,
        _query: Option<unsafe extern "C" fn(*mut ffi::sqlite3_rtree_query_info) -> c_int>,
        _context: *mut c_void,
        _destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    ) -> c_int {
        ffi::SQLITE_MISUSE
    }
}

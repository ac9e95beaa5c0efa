//! Properties of a table's columns that no pragma reports.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use super::{Db, ffi, text};
use crate::error::Fault;

/// Properties of a column of a table.
pub(crate) struct ColumnProperties {
    pub(crate) collation: Option<Box<str>>,
    pub(crate) is_autoincrement: bool,
}

impl Db {
    /// Returns the properties of a column; `None` if there is no such table or column, or if the table is a view. The
    /// schema is as SQLite last read it: a read transaction keeps it current.
    pub(crate) fn column_properties(
        &self,
        database: &CStr,
        table: &CStr,
        column: &CStr,
    ) -> Result<Option<ColumnProperties>, Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let mut collation: *const c_char = ptr::null();
        let mut is_autoincrement: c_int = 0;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20). The names are C strings that live during
        // the call (rule 22); c3ref/table_column_metadata.html: of the outputs, which are local, "any of these
        // arguments may be NULL".
        let code = unsafe {
            ffi::sqlite3_table_column_metadata(
                entered.db(),
                database.as_ptr(),
                table.as_ptr(),
                column.as_ptr(),
                ptr::null_mut(),
                &raw mut collation,
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut is_autoincrement,
            )
        };
        // Before the next call: the text is SQLite's until then.
        // SAFETY: NULL, or a C string that is "valid until the next call to any SQLite API function"
        // (c3ref/table_column_metadata.html), which this one, by copying it, comes before (rule 22).
        let collation = unsafe { text::copy(collation) };
        // A busy handler may have panicked.
        self.resume();
        if code == ffi::SQLITE_ERROR {
            return Ok(None);
        }
        self.check(code)?;
        Ok(Some(ColumnProperties { collation, is_autoincrement: is_autoincrement != 0 }))
    }
}

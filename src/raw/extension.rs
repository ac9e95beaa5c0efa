//! Loading of extensions: shared libraries that register functions and modules.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use super::db::DbConfig;
use super::text::SqliteString;
use super::{Db, ffi};
use crate::error::{Fault, FaultKind};

impl Db {
    /// Loads an extension, for which C code may load extensions during this call.
    ///
    /// # Safety
    ///
    /// The conditions of [`Connection::load_extension`](crate::Connection::load_extension).
    pub(crate) unsafe fn load_extension(&self, path: &CStr, entry_point: Option<&CStr>) -> Result<(), Fault> {
        let entered = self.enter_to_register()?;
        // It gets the handle.
        self.give_out();
        let before = self.call_db_config(DbConfig::LoadExtension, -1)?;
        let _allowed = Switched { db: self, before };
        self.call_db_config(DbConfig::LoadExtension, 1)?;
        let mut message: *mut c_char = ptr::null_mut();
        let charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); the strings are C strings, and the entry
        // point may be NULL (rule 22, c3ref/load_extension.html). The caller promises an extension that keeps the
        // rules.
        let code = unsafe {
            ffi::sqlite3_load_extension(
                entered.db(),
                path.as_ptr(),
                entry_point.map_or(ptr::null(), CStr::as_ptr),
                &raw mut message,
            )
        };
        drop(charge);
        // SAFETY: NULL, or a message that "the calling function should free" by sqlite3_free()
        // (c3ref/load_extension.html); `message` is its only owner (rule 22).
        let message = unsafe { SqliteString::from_raw(message) };
        self.resume();
        if code == ffi::SQLITE_OK {
            return Ok(());
        }
        // SQLite always has a message, unless there is no memory for it.
        let Some(message) = message.as_ref().map(SqliteString::to_text) else {
            return Err(Fault::no_memory());
        };
        Err(Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs: true, offset: None, reason: None }))
    }
}

/// Guard that restores whether C code may load extensions.
struct Switched<'db> {
    db: &'db Db,
    before: bool,
}

impl Drop for Switched<'_> {
    fn drop(&mut self) {
        let _cleanup = self.db.begin_cleanup();
        // The connection was entered before, so that this call succeeds, too.
        let _ = self.db.call_db_config(DbConfig::LoadExtension, c_int::from(self.before));
    }
}

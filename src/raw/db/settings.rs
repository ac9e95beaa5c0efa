//! Settings of a connection.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::Db;
use crate::error::Fault;
use crate::raw::ffi;

/// A `sqlite3_db_config` switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    ForeignKeys,
    TrustedSchema,
    DoubleQuotedStringsInDml,
    DoubleQuotedStringsInDdl,
}

impl Db {
    /// Sets the size and number of lookaside slots. It must be called before any statement is prepared.
    pub(crate) fn set_lookaside(&self, slot_bytes: u16, slots: u32) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let bytes = u64::from(slot_bytes) * u64::from(slots);
        let slots = c_int::try_from(slots).unwrap_or(c_int::MAX);
        let memory: *mut c_void = ptr::null_mut();
        let (operation, slot_bytes) = (ffi::SQLITE_DBCONFIG_LOOKASIDE, c_int::from(slot_bytes));
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: a
        // pointer, which may be NULL for memory of SQLite's own, and two ints.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, memory, slot_bytes, slots) };
        self.check(code)?;
        self.info.published().set_lookaside_bytes(bytes);
        Ok(())
    }

    pub(crate) fn switch(&self, switch: Switch, on: bool) -> Result<(), Fault> {
        let entered = self.enter()?;
        let operation = match switch {
            Switch::ForeignKeys => ffi::SQLITE_DBCONFIG_ENABLE_FKEY,
            Switch::TrustedSchema => ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
            Switch::DoubleQuotedStringsInDml => ffi::SQLITE_DBCONFIG_DQS_DML,
            Switch::DoubleQuotedStringsInDdl => ffi::SQLITE_DBCONFIG_DQS_DDL,
        };
        let mut now: c_int = 0;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: each of
        // these operations takes an int and a pointer to an int, which is the local `now`.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, c_int::from(on), &raw mut now) };
        self.check(code)
    }

    /// Returns the largest number of parameters of a statement.
    pub(crate) fn parameters_max(&self) -> usize {
        if self.is_closed() {
            return 0;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19); c3ref/limit.html: a negative value changes
        // nothing, so the call reads a number (rule 20).
        let max = unsafe { ffi::sqlite3_limit(self.ptr.as_ptr(), ffi::SQLITE_LIMIT_VARIABLE_NUMBER, -1) };
        usize::try_from(max).unwrap_or(0)
    }

    /// Frees unused memory: pages of the cache that are not in use.
    pub(crate) fn release_memory(&self) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows, and `self` owns it (rules 19, 20);
        // c3ref/db_release_memory.html: any open connection. The cells of a current row stay valid until the next step
        // (rule 21).
        unsafe { ffi::sqlite3_db_release_memory(entered.db()) };
        Ok(())
    }
}

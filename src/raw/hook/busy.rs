//! The busy handler: SQLite's one slot for the timeout and for a closure.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use super::subscriber::Subscribers;
use super::{OnBusy, Slot};
use crate::error::Fault;
use crate::raw::db::{Db, Entered};
use crate::raw::ffi;

#[derive(Default)]
pub(super) struct Busy {
    /// At most one.
    pub(super) closures: Subscribers<OnBusy>,
    /// Timeout in milliseconds that applies when the slot is given back. SQLite itself forgets it.
    pub(super) timeout: Cell<c_int>,
}

impl Db {
    /// Notes the timeout that the handler replaces.
    pub(super) fn take_busy_slot(&self) -> Result<(), Fault> {
        if !self.is_installed(Slot::Busy) {
            let milliseconds = self.read_pragma(c"PRAGMA busy_timeout")?;
            self.hooks().busy.timeout.set(milliseconds);
        }
        Ok(())
    }

    pub(super) fn install_busy(&self, entered: &Entered<'_>) -> Result<(), Fault> {
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        let code = unsafe { ffi::sqlite3_busy_handler(entered.db(), Some(is_busy), self.address()) };
        self.check(code)
    }

    pub(super) fn give_back_busy_slot(&self, entered: &Entered<'_>) {
        // SAFETY: the connection is open (entered, rule 20); c3ref/busy_timeout.html: replaces the busy handler, and any
        // int is allowed.
        unsafe { ffi::sqlite3_busy_timeout(entered.db(), self.hooks().busy.timeout.get()) };
    }

    pub(crate) fn set_busy_timeout(&self, milliseconds: i32) -> Result<(), Fault> {
        let entered = self.enter()?;
        if self.is_installed(Slot::Busy) {
            self.hooks().busy.timeout.set(milliseconds);
            return Ok(());
        }
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/busy_timeout.html: any int is
        // allowed.
        let code = unsafe { ffi::sqlite3_busy_timeout(entered.db(), milliseconds) };
        self.check(code)
    }
}

/// Returns 0 to give up.
unsafe extern "C" fn is_busy(db: *mut c_void, calls: c_int) -> c_int {
    // SAFETY: SQLite passes the pointer with which `install_busy` registered this function (rule 14).
    let db = unsafe { super::db_of(db) };
    let mut tries_again = false;
    let is_fine = db.hooks().busy.closures.each(db, |call| {
        tries_again = call(u32::try_from(calls).unwrap_or(0));
        true
    });
    c_int::from(is_fine && tries_again)
}

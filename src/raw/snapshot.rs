//! Snapshots of a write-ahead log: a state of the database that a read transaction can begin at.

use std::cmp::Ordering;
use std::ffi::c_int;
use std::panic::Location;
use std::ptr::{self, NonNull};

use super::db::Db;
use super::ffi;
use crate::error::Fault;
use crate::track::HandleKind;
use crate::track::counts::Counted;

unsafe extern "C" {
    // The oldest bindings lack it. c3ref/snapshot_recover.html
    fn sqlite3_snapshot_recover(db: *mut ffi::sqlite3, database: *const std::ffi::c_char) -> c_int;
}

/// A snapshot. Drop frees it.
pub(crate) struct RawSnapshot {
    ptr: NonNull<ffi::sqlite3_snapshot>,
    pub(crate) site: &'static Location<'static>,
    _counted: Counted,
}

// SAFETY: memory of SQLite's allocator that no connection refers to; `self` alone owns it, and nothing changes it
// (rules 16, 19). SQLite is compiled thread-safe, which `library::check` has ensured (rule 12).
unsafe impl Send for RawSnapshot {}
// SAFETY: as for `Send`; shared references only read it (rules 12, 16).
unsafe impl Sync for RawSnapshot {}

impl Db {
    /// Returns the state that the open read transaction of the main database sees.
    pub(crate) fn snapshot(&self, site: &'static Location<'static>) -> Result<RawSnapshot, Fault> {
        let entered = self.enter()?;
        let mut snapshot = ptr::null_mut();
        // SAFETY: the connection is open (entered, rules 19, 20), the name a constant (rule 22). c3ref/snapshot_get.html:
        // what does not hold of the transaction is the error SQLITE_ERROR; the result goes to `snapshot`.
        let code = unsafe { ffi::sqlite3_snapshot_get(entered.db(), c"main".as_ptr(), &raw mut snapshot) };
        self.check(code)?;
        let ptr = NonNull::new(snapshot).ok_or_else(Fault::no_memory)?;
        Ok(RawSnapshot { ptr, site, _counted: Counted::new(HandleKind::Snapshot) })
    }

    /// Moves the open transaction of the main database to an earlier state.
    pub(crate) fn open_snapshot(&self, snapshot: &RawSnapshot) -> Result<(), Fault> {
        let entered = self.enter()?;
        let charge = entered.charge();
        // SAFETY: the connection is open (entered, rules 19, 20), the name a constant (rule 22), and the snapshot alive,
        // as it is borrowed (rule 16). c3ref/snapshot_open.html: of another database it is an error or such a state.
        let code = unsafe { ffi::sqlite3_snapshot_open(entered.db(), c"main".as_ptr(), snapshot.ptr.as_ptr()) };
        drop(charge);
        // A busy handler may have panicked.
        self.resume();
        self.check(code)
    }

    /// Makes snapshots of earlier connections usable again that are still in the log.
    pub(crate) fn recover_snapshots(&self) -> Result<(), Fault> {
        let entered = self.enter()?;
        let charge = entered.charge();
        // SAFETY: the connection is open (entered, rules 19, 20), the name a constant (rule 22,
        // c3ref/snapshot_recover.html).
        let code = unsafe { sqlite3_snapshot_recover(entered.db(), c"main".as_ptr()) };
        drop(charge);
        // A busy handler may have panicked.
        self.resume();
        self.check(code)
    }
}

impl RawSnapshot {
    /// Compares the ages: `Less` if `self` is the older one.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        // SAFETY: both are alive, as they are borrowed (rule 16); c3ref/snapshot_cmp.html: reads both.
        unsafe { ffi::sqlite3_snapshot_cmp(self.ptr.as_ptr(), other.ptr.as_ptr()) }.cmp(&0)
    }
}

impl Drop for RawSnapshot {
    fn drop(&mut self) {
        // SAFETY: `self` owns the snapshot, and this is its only free (rule 16, c3ref/snapshot_free.html).
        unsafe { ffi::sqlite3_snapshot_free(self.ptr.as_ptr()) }
    }
}

//! Reading that must write first.
//!
//! A connection that reads only cannot roll back what another one left half-written, and SQLite refuses it until
//! somebody does who may write (sqlite.org/rescode.html, `SQLITE_READONLY_ROLLBACK`). A connection that has been given a
//! [`Recovery`] has that done, and asks SQLite once more.

use std::ffi::c_int;

use super::{Db, ffi};

/// Opens the same database for writing and reads it, which recovers it. Returns whether that succeeded.
pub(crate) type Recovery = Box<dyn Fn() -> bool + Send>;

/// After each another writer may have died.
const ATTEMPTS: usize = 4;

/// The codes that say so: a journal that is to be rolled back, a log's index that is to be made.
const UNRECOVERED: [c_int; 4] = [
    ffi::SQLITE_READONLY_ROLLBACK,
    ffi::SQLITE_READONLY_RECOVERY,
    ffi::SQLITE_READONLY_CANTLOCK,
    ffi::SQLITE_READONLY_CANTINIT,
];

impl Db {
    /// Has the database recovered where it is found unrecovered, from now on.
    pub(crate) fn set_recovery(&self, recovery: Recovery) {
        let _ = self.recovery.set(recovery);
    }

    /// Makes a call of SQLite's again for as long as it fails for want of recovery, and that can be had. The call must
    /// be one that leaves nothing where it fails, as preparing does, and the first step of a statement.
    #[cold]
    #[inline(never)]
    pub(super) fn again_after_recovery(&self, mut code: c_int, mut call: impl FnMut() -> c_int) -> c_int {
        let Some(recover) = self.recovery.get() else {
            return code;
        };
        for _ in 0..ATTEMPTS {
            if !UNRECOVERED.contains(&code) || self.is_inherited() || !recover() {
                break;
            }
            code = call();
        }
        code
    }
}

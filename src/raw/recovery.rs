//! Recovery for read-only connections.
//!
//! A read-only connection cannot roll back a transaction that another connection left incomplete. SQLite refuses to
//! read until a connection that may write has rolled it back (sqlite.org/rescode.html, `SQLITE_READONLY_ROLLBACK`). A
//! connection with a [`Recovery`] runs it and then repeats the SQLite call.

use std::ffi::c_int;

use super::{Db, ffi};

/// Function that opens the same database for writing and reads it, which recovers it. Returns whether that succeeded.
pub(crate) type Recovery = Box<dyn Fn() -> bool + Send>;

/// Largest number of attempts: after each recovery, another writer may have terminated within a transaction.
const ATTEMPTS: usize = 4;

/// Result codes for a required recovery: a hot journal to roll back, or a write-ahead log index to create.
const UNRECOVERED: [c_int; 4] = [
    ffi::SQLITE_READONLY_ROLLBACK,
    ffi::SQLITE_READONLY_RECOVERY,
    ffi::SQLITE_READONLY_CANTLOCK,
    ffi::SQLITE_READONLY_CANTINIT,
];

impl Db {
    /// Sets the recovery to run when the database requires one.
    pub(crate) fn set_recovery(&self, recovery: Recovery) {
        let _ = self.recovery.set(recovery);
    }

    /// Repeats a SQLite call while it fails because recovery is required and the recovery succeeds. The call must have
    /// no effect if it fails, as preparing and the first step of a statement.
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

//! The busy handler: SQLite's one slot for the timeout and for a closure.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::thread;
use std::time::Duration;

use super::subscriber::Subscribers;
use super::{OnBusy, Slot};
use crate::error::Fault;
use crate::raw::db::{Db, Entered};
use crate::raw::ffi;
use crate::track::activity;

#[derive(Default)]
pub(super) struct Busy {
    /// At most one.
    pub(super) closures: Subscribers<OnBusy>,
    /// The busy timeout in milliseconds, which SQLite forgets while the slot is ours; `None` if it may have changed.
    pub(super) timeout: Cell<Option<c_int>>,
}

impl Db {
    /// Notes the timeout that the handler replaces.
    pub(in crate::raw) fn take_busy_slot(&self) -> Result<(), Fault> {
        if self.hooks().busy.timeout.get().is_none() || self.is_given_out() && !self.is_installed(Slot::Busy) {
            let milliseconds = self.read_pragma(c"PRAGMA busy_timeout")?;
            self.hooks().busy.timeout.set(Some(milliseconds));
        }
        Ok(())
    }

    pub(super) fn install_busy(&self, entered: &Entered<'_>) -> Result<(), Fault> {
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        let code = unsafe { ffi::sqlite3_busy_handler(entered.db(), Some(is_busy), self.address()) };
        self.check(code)
    }

    pub(super) fn give_back_busy_slot(&self, entered: &Entered<'_>) {
        let milliseconds = self.hooks().busy.timeout.get().unwrap_or(0);
        // SAFETY: the connection is open (entered, rule 20); c3ref/busy_timeout.html: replaces the busy handler, and any
        // int is allowed.
        unsafe { ffi::sqlite3_busy_timeout(entered.db(), milliseconds) };
    }

    pub(crate) fn set_busy_timeout(&self, milliseconds: i32) -> Result<(), Fault> {
        let entered = self.enter()?;
        self.hooks().busy.timeout.set(Some(milliseconds));
        if self.is_installed(Slot::Busy) {
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
    let Ok(limit) = db.time_to_wait() else {
        return 0;
    };
    let calls = u32::try_from(calls).unwrap_or(0);
    let mut answer = None;
    let is_fine = db.hooks().busy.closures.each(db, |call| {
        answer = Some(call(calls));
        true
    });
    if let Some(tries_again) = answer {
        return c_int::from(is_fine && tries_again);
    }
    if !is_fine {
        return 0;
    }
    let timeout = u64::try_from(db.hooks().busy.timeout.get().unwrap_or(0)).unwrap_or(0);
    let Some(pause) = pause(calls, timeout) else {
        return 0;
    };
    let pause = limit.map_or(pause, |limit| limit.min(pause));
    activity::lock_retry(pause);
    thread::sleep(pause);
    1
}

/// Returns the time to wait after so many calls for the same lock, as SQLite's own busy handler waits; `None` if the
/// timeout, in milliseconds, has passed.
fn pause(calls: u32, timeout: u64) -> Option<Duration> {
    const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];
    let calls = calls as usize;
    let waited = match calls.checked_sub(PAUSES.len()) {
        None => PAUSES[..calls].iter().sum::<u64>(),
        Some(more) => PAUSES.iter().sum::<u64>() + more as u64 * 100,
    };
    let left = timeout.saturating_sub(waited);
    (left > 0).then(|| Duration::from_millis(left.min(PAUSES[calls.min(PAUSES.len() - 1)])))
}

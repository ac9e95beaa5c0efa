//! The initialization of SQLite.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{dispatch, ffi};
use crate::track::PerProcess;

/// Initializes SQLite before its first use by this crate. SQLite would do that itself, but takes itself for initialized
/// before it has run what a build adds (`SQLITE_EXTRA_INIT`, which SQLCipher uses): another thread could then open a
/// connection that lacks it. It also allocates here, once for the process, and no connection is to be charged for it.
///
/// # Errors
///
/// SQLite's code; the next call tries again.
pub(super) fn initialize() -> Result<(), c_int> {
    static IS_INITIALIZED: AtomicBool = AtomicBool::new(false);
    static INITIALIZING: PerProcess<()> = PerProcess::new(|| ());
    if IS_INITIALIZED.load(Ordering::Acquire) {
        return Ok(());
    }
    let _one_at_a_time = INITIALIZING.lock();
    // SAFETY: takes no argument, and may be called at any time by any thread (rule 12, c3ref/initialize.html).
    match unsafe { dispatch::initialize() } {
        ffi::SQLITE_OK => IS_INITIALIZED.store(true, Ordering::Release),
        code => return Err(code),
    }
    Ok(())
}

//! Running something in a forked child.

use std::ffi::{c_int, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: c_uint) -> c_uint;
}

/// Runs this in a child, which is killed if it hangs; returns whether it said yes.
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `work`, and leaves by `_exit`.
    let pid = unsafe { fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: takes a number; the signal's default is to end the process.
        unsafe { alarm(120) };
        let good = catch_unwind(AssertUnwindSafe(work)).unwrap_or(false);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { _exit(c_int::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: the child was just made.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

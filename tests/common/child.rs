//! Running something in a forked child.

use std::ffi::{c_int, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: c_uint) -> c_uint;
}

/// A child of this process.
pub struct Child(c_int);

/// Goes on twice: with the child in the parent, with `None` in the child, which has to [`leave`] and is killed if it hangs.
pub fn fork_here() -> Option<Child> {
    // SAFETY: the child leaves by `_exit`.
    let pid = unsafe { fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: takes a number; the signal's default is to end the process.
        unsafe { alarm(120) };
        return None;
    }
    Some(Child(pid))
}

/// Ends the child, and says yes or no.
pub fn leave(good: bool) -> ! {
    // SAFETY: ends the child without running what belongs to the parent.
    unsafe { _exit(c_int::from(!good)) }
}

impl Child {
    /// Whether it said yes.
    pub fn wait(&self) -> bool {
        let mut status = 0;
        // SAFETY: the child was made by `fork_here`, and is waited for once.
        assert_eq!(unsafe { waitpid(self.0, &raw mut status, 0) }, self.0);
        status == 0
    }
}

/// Runs this in a child; returns whether it said yes.
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    match fork_here() {
        Some(child) => child.wait(),
        None => leave(catch_unwind(AssertUnwindSafe(work)).unwrap_or(false)),
    }
}

//! What a forked child lists.

use std::ffi::{c_int, c_uint};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use finalite::Connection;
use finalite::handles::{self, TrackingLevel};

use super::{records, use_everything};
use crate::runner::cases;

cases![a_child_lists_whatever_locks_its_parents_threads_held, a_child_has_no_records];

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn alarm(seconds: c_uint) -> c_uint;
}

#[derive(Debug, PartialEq)]
enum End {
    Good,
    Bad,
    /// Killed by the alarm.
    Stuck,
}

/// Runs this in a child that is killed if it is not done by then.
fn in_child(seconds: c_uint, work: impl FnOnce() -> bool) -> End {
    // SAFETY: the child runs `work`, and leaves by `_exit`.
    let pid = unsafe { fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: takes a number; the signal's default is to end the process.
        unsafe { alarm(seconds) };
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { _exit(c_int::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: the child was just made.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    match status {
        0 => End::Good,
        14 => End::Stuck,
        _ => End::Bad,
    }
}

fn look() -> bool {
    let live = handles::live();
    live.records.len() < 1000 && handles::counts().connections > 0 && handles::forgotten_handles().len() <= 256
}

fn a_child_lists_whatever_locks_its_parents_threads_held() {
    handles::set_level(TrackingLevel::Records);
    let is_done = AtomicBool::new(false);
    let _conn = Connection::open_in_memory().unwrap();
    let ends = thread::scope(|scope| {
        for n in 0..3 {
            let is_done = &is_done;
            scope.spawn(move || {
                let conn = Connection::open_in_memory().unwrap();
                while !is_done.load(Ordering::Relaxed) {
                    match n {
                        0 => drop(conn.prepare("SELECT 1").unwrap()),
                        1 => drop(handles::live()),
                        _ => use_everything(),
                    }
                }
            });
        }
        let ends: Vec<End> = (0..200).map(|_| in_child(60, look)).collect();
        is_done.store(true, Ordering::Relaxed);
        ends
    });
    assert!(ends.iter().all(|end| *end == End::Good), "{ends:?}");
    // A child that waits for a lock of a thread that it does not have is seen.
    let lock = Mutex::new(());
    let held = lock.lock().unwrap();
    assert_eq!(in_child(1, || lock.lock().is_ok()), End::Stuck);
    drop(held);
}

fn a_child_has_no_records() {
    handles::set_level(TrackingLevel::Records);
    let _conn = Connection::open_in_memory().unwrap();
    assert_eq!(in_child(60, || records().is_empty()), End::Good);
}

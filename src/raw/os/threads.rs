//! Threads that borrow from the thread that starts them, as those of `std::thread::scope`. A scope waits for ever in a
//! child process, which has no other threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle, Result};

use super::fork;

/// Runs a closure here, and each of the others on a thread of its own, as far as the system starts threads. Returns the
/// results when all have ended, in the order of the closures; in a child process that the first closure forks, that of
/// the first alone.
pub(crate) fn run_beside<T: Send, R>(
    name: &str,
    others: impl Iterator<Item = impl FnOnce() -> T + Send>,
    own: impl FnOnce() -> R,
) -> (R, Vec<Result<T>>) {
    let mut threads = Threads { started: Vec::new(), fork_generation: fork::generation() };
    for other in others {
        let builder = Builder::new().name(name.into());
        // SAFETY: the thread must not outlive what the closure and its result borrow. They outlive this call, and
        // `threads` joins the thread before the call returns or unwinds; it is a local variable that is not moved. In a
        // child process, where it is not joined, the thread does not exist (rule 12).
        match unsafe { builder.spawn_unchecked(other) } {
            Ok(thread) => threads.started.push(thread),
            Err(_) => break,
        }
    }
    let result = own();
    (result, threads.join())
}

struct Threads<T> {
    started: Vec<JoinHandle<T>>,
    fork_generation: u32,
}

impl<T> Threads<T> {
    fn join(&mut self) -> Vec<Result<T>> {
        let started = std::mem::take(&mut self.started);
        if self.fork_generation != fork::generation() {
            // A handle that is dropped would detach a thread of the parent's.
            started.into_iter().for_each(std::mem::forget);
            return Vec::new();
        }
        started.into_iter().map(JoinHandle::join).collect()
    }
}

impl<T> Drop for Threads<T> {
    fn drop(&mut self) {
        // The panic of a thread gives way to the one that unwinds here; none is left after `join`.
        self.join().into_iter().filter_map(Result::err).for_each(discard);
    }
}

/// Drops the payload of a panic. If dropping it panics too, the second payload is leaked.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn all_have_ended_when_the_call_returns() {
        let (done, texts) = (AtomicU32::new(0), ["a", "b", "c"].map(String::from));
        let others = texts.iter().map(|text| {
            let done = &done;
            move || {
                std::thread::yield_now();
                done.fetch_add(1, Ordering::Relaxed);
                text.as_str()
            }
        });
        let (own, results) = run_beside("borrows", others, || 7);
        assert_eq!((own, done.into_inner()), (7, 3));
        assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn all_have_ended_when_the_call_unwinds() {
        let done = AtomicU32::new(0);
        let others = (0..3).map(|n| {
            let done = &done;
            move || {
                std::thread::yield_now();
                done.fetch_add(1, Ordering::Relaxed);
                assert!(n != 1, "on purpose");
            }
        });
        assert!(catch_unwind(AssertUnwindSafe(|| run_beside("borrows", others, || panic!("on purpose")))).is_err());
        assert_eq!(done.into_inner(), 3);
    }

    #[test]
    fn the_panic_of_a_thread_is_a_result() {
        let others = [true, false].into_iter().map(|panics| move || assert!(!panics, "on purpose"));
        let ((), results) = run_beside("panics", others, || ());
        assert_eq!(results.iter().map(Result::is_err).collect::<Vec<_>>(), [true, false]);
    }
}

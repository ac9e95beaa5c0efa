//! Global state that a forked child process initializes anew.
//!
//! A process may be forked while another thread holds a lock; that thread does not exist in the child, so the lock is
//! never released there. Global state behind a lock is therefore created anew in a child. The parent's state stays in
//! the child's memory, unused.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fork;

/// Identity of a process among those forked from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// Returns the current process.
    pub(crate) fn this() -> Self {
        fork::watch();
        Self(fork::generation())
    }

    /// Whether this is the current process.
    pub(crate) fn is_this(self) -> bool {
        self.0 == fork::generation()
    }
}

/// A static value that is created when it is first used in a process, and lives as long as the process.
pub(crate) struct PerProcess<T> {
    current: AtomicPtr<Own<T>>,
    make: fn() -> T,
}

struct Own<T> {
    process: Process,
    value: Mutex<T>,
}

impl<T: Send + 'static> PerProcess<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { current: AtomicPtr::new(ptr::null_mut()), make }
    }

    /// Locks the value of this process. No code of finalite that runs under such a lock can panic, so a poisoned lock
    /// has valid contents.
    pub(crate) fn lock(&self) -> MutexGuard<'static, T> {
        self.own().value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> &'static Own<T> {
        loop {
            let current = self.current.load(Ordering::Acquire);
            // SAFETY: the pointer is NULL, or one that this function leaked: it is never freed once published, and only
            // shared references to it exist from then on (rule 23). Acquire pairs with the release that published it.
            if let Some(own) = unsafe { current.as_ref() }
                && own.process.is_this()
            {
                return own;
            }
            let fresh = Box::into_raw(Box::new(Own { process: Process::this(), value: Mutex::new((self.make)()) }));
            if self.current.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                // SAFETY: created by `Box::into_raw` above, and not published, as the exchange failed: no other thread
                // knows it (rule 23).
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn all_threads_have_one() {
        static COUNT: PerProcess<u64> = PerProcess::new(|| 7);
        let add = || (0..1000).for_each(|_| *COUNT.lock() += 1);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(add);
            }
        });
        assert_eq!(*COUNT.lock(), 4007);
    }
}

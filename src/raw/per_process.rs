//! State that a child process has of its own.
//!
//! A process may be forked while another thread holds a lock; in the child there is no such thread, and nobody ever
//! gives the lock back. So what is behind a lock and of the whole process begins anew in a child, and that of its
//! parent is left alone. It stays in memory as it was.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fork;

/// Which process this is, among those that were forked from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The one that runs this.
    pub(crate) fn this() -> Self {
        fork::watch();
        Self(fork::generation())
    }

    /// Whether it is still this one.
    pub(crate) fn is_this(self) -> bool {
        self.0 == fork::generation()
    }
}

/// A static that is made when it is first used in a process, and lives as long as that.
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

    /// Nothing that finalite runs under such a lock can panic, so a poisoned one is as good.
    pub(crate) fn lock(&self) -> MutexGuard<'static, T> {
        self.own().value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> &'static Own<T> {
        loop {
            let current = self.current.load(Ordering::Acquire);
            // SAFETY: NULL, or what this function leaked: it is never freed, and shared only from then on. Acquire
            // pairs with the release that published it.
            if let Some(own) = unsafe { current.as_ref() }
                && own.process.is_this()
            {
                return own;
            }
            let fresh = Box::into_raw(Box::new(Own { process: Process::this(), value: Mutex::new((self.make)()) }));
            if self.current.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                // SAFETY: made by Box::into_raw three lines above, and published to nobody.
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

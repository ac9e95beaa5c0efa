//! Global state that a forked child process initializes anew.
//!
//! A process may be forked while another thread holds a lock; that thread does not exist in the child, so the lock is
//! never released there. Global state behind a lock is therefore created anew in a child. The parent's state stays in
//! the child's memory, unused.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::raw::os::append_list::AppendList;
use crate::raw::os::fork;

/// Identity of a process among those forked from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(u32);

impl Process {
    /// Returns the current process.
    #[must_use]
    pub fn this() -> Self {
        fork::watch();
        Self(fork::generation())
    }

    /// Whether this is the current process.
    #[must_use]
    pub fn is_this(self) -> bool {
        self.0 == fork::generation()
    }
}

/// A static value that is created when it is first used in a process, and lives as long as the process.
pub struct PerProcess<T: 'static> {
    /// The values of this process and of those that it was forked from.
    values: AppendList<ProcessValue<T>>,
    make: fn() -> T,
}

struct ProcessValue<T> {
    process: Process,
    value: Mutex<T>,
}

impl<T: Send + 'static> PerProcess<T> {
    /// Creates one whose values this function makes.
    pub const fn new(make: fn() -> T) -> Self {
        Self { values: AppendList::new(), make }
    }

    /// Locks the value of this process. No code of finalite that runs under such a lock can panic, so a poisoned lock
    /// has valid contents.
    pub fn lock(&self) -> MutexGuard<'static, T> {
        self.own().value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own(&self) -> &'static ProcessValue<T> {
        let make = || ProcessValue { process: Process::this(), value: Mutex::new((self.make)()) };
        self.values.last_or_push(|own| own.process.is_this(), make)
    }
}

impl<T> std::fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PerProcess(..)")
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

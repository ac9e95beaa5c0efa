//! The parts of the crate that the modules on loom's lock refer to, as far as these use them.

pub(crate) mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

pub(crate) mod control {
    use std::sync::Arc;
    use std::time::Duration;

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Condvar, Mutex};

    use crate::handover::Interrupt;

    /// The crate's `Control` sleeps by `park`, whose token loom does not have.
    pub(crate) struct Control {
        is_called: Mutex<bool>,
        called: Condvar,
        pub(crate) pace: Pace,
        pub(crate) interrupts: AtomicUsize,
    }

    pub(crate) struct Pace {
        is_quick: bool,
    }

    impl Pace {
        pub(crate) fn quick(&self) -> Option<Duration> {
            self.is_quick.then_some(Duration::ZERO)
        }

        pub(crate) fn is_quick(&self) -> bool {
            self.is_quick
        }
    }

    impl Control {
        pub(crate) fn new() -> Self {
            let (is_called, called) = (Mutex::new(false), Condvar::new());
            Self { is_called, called, pace: Pace { is_quick: false }, interrupts: AtomicUsize::new(0) }
        }

        /// Returns one whose calls count as quick.
        pub(crate) fn quick() -> Self {
            Self { pace: Pace { is_quick: true }, ..Self::new() }
        }

        pub(crate) fn is_spinning(&self) -> bool {
            false
        }

        pub(crate) fn get_ready_to_spin(&self) {}

        pub(crate) fn renew(&self) {
            self.interrupts.store(0, Ordering::SeqCst);
        }

        pub(crate) fn call(&self) {
            *self.is_called.lock().unwrap() = true;
            self.called.notify_one();
        }

        pub(crate) fn sleep(&self) {
            let mut is_called = self.is_called.lock().unwrap();
            while !*is_called {
                is_called = self.called.wait(is_called).unwrap();
            }
            *is_called = false;
        }
    }

    impl Interrupt for Arc<Control> {
        fn interrupt(&self) {
            self.interrupts.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) mod timekeeper {
    use std::time::{Duration, Instant};

    /// So long that no clock decides which orders there are.
    pub(crate) const QUICK_MAX: Duration = Duration::from_secs(1_000_000);

    #[derive(Clone, Copy)]
    pub(crate) struct Limit {
        pub(crate) since: Instant,
        pub(crate) at: Option<Instant>,
        pub(crate) waits: bool,
        pub(crate) shares: bool,
    }

    impl Limit {
        pub(crate) fn never() -> Self {
            Self { since: Instant::now(), at: None, waits: false, shares: false }
        }
    }
}

pub(crate) mod worker {
    use crate::wakes::Wakes;

    pub(crate) struct Context<'a> {
        pub(crate) wakes: &'a Wakes,
    }

    pub(crate) fn shielded(run: impl FnOnce()) {
        run();
    }
}

pub(crate) mod group {
    pub(crate) struct Grouped;
}

pub(crate) mod shared {
    pub(crate) trait SharedQuery {}
}

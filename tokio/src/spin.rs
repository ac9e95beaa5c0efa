//! Short waits in which a thread looks again and again, instead of sleeping.
//!
//! To put a thread to sleep and to wake it costs some microseconds on both sides, as much as a lookup takes. A thread that
//! is asked again at once is better awake. It spins only while the last waits were short, and never on a machine with one
//! processor: what it spends is then a part of what the sleep would have cost, and a pool that is seldom asked spends
//! nothing.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Maximum time that a worker spins for its next call.
pub(crate) const WORKER_MAX: Duration = Duration::from_micros(12);

/// Maximum time that a task spins for a call that an awake worker runs.
pub(crate) const TASK_MAX: Duration = Duration::from_micros(6);

/// Time of a call, on average, for which a task spins.
const QUICK_NS: u32 = 4_000;

const CREDIT_MAX: u32 = 8;

/// Credit from which on it spins.
const CREDIT_MIN: u32 = 4;

/// Whether another thread can run while one spins.
pub(crate) fn has_several_processors() -> bool {
    available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

/// The lengths of the last waits.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    credit: AtomicU32,
}

impl Spin {
    /// Whether the last waits were short.
    pub(crate) fn pays(&self) -> bool {
        self.credit.load(Ordering::Relaxed) >= CREDIT_MIN
    }

    /// Takes note of a wait. One that was long counts as much as several short ones.
    pub(crate) fn note(&self, waited: Duration) {
        // Several threads may take note at once: a note that is lost is no matter.
        let credit = self.credit.load(Ordering::Relaxed);
        let credit =
            if waited <= WORKER_MAX { (credit + 1).min(CREDIT_MAX) } else { credit.saturating_sub(CREDIT_MIN) };
        self.credit.store(credit, Ordering::Relaxed);
    }
}

/// The average time of the last calls of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    nanoseconds: AtomicU32,
}

impl Pace {
    /// Takes note of a call. Only the worker does.
    pub(crate) fn note(&self, took: Duration) {
        let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        let average = self.nanoseconds.load(Ordering::Relaxed);
        self.nanoseconds.store(average - average / 8 + took / 8, Ordering::Relaxed);
    }

    /// Whether a call takes less than a sleep.
    pub(crate) fn is_quick(&self) -> bool {
        (1..=QUICK_NS).contains(&self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// Looks until the condition holds, at most for so long. Returns whether it holds.
pub(crate) fn spin(longest: Duration, holds: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..8 {
            if holds() {
                return true;
            }
            spin_loop();
        }
        if begin.elapsed() >= longest {
            return false;
        }
    }
}

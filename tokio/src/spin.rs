//! Short waits in which a thread looks again and again, instead of sleeping.
//!
//! To put a thread to sleep and to wake it costs some microseconds on both sides. A thread that is asked again at once is
//! answered sooner if it is awake, for which it takes a processor meanwhile. It spins only while the last waits were short,
//! and never on a machine with one processor: a pool that is seldom asked spends nothing.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::Context;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Maximum time that a worker spins for its next call.
pub(crate) const WORKER_MAX: Duration = Duration::from_micros(15);

/// Maximum time that a task spins for a call that an awake worker runs.
pub(crate) const TASK_MAX: Duration = Duration::from_micros(15);

/// Time of a call, on average, for which it pays to spin.
const QUICK_NS: u32 = 12_000;

/// A call that took longer counts as one of so long: the thread may have been without a processor.
const COUNTED_NS: u32 = 40_000;

/// A wait that is at most so long is short: that of a task which is woken and asks again at once.
const SHORT: Duration = Duration::from_micros(40);

/// Number of short waits after which it spins, at least and at most. It is doubled by each spin in vain.
const WAITS: std::ops::RangeInclusive<u32> = 4..=256;

/// Number of processors that the process may use.
pub(crate) fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The lengths of the last waits of a worker. Only that changes them.
#[derive(Debug)]
pub(crate) struct Spin {
    /// Number of short waits since the last one that was long, or in vain.
    short: AtomicU32,
    /// Number of them from which on it spins.
    needed: AtomicU32,
}

impl Spin {
    pub(crate) fn new() -> Self {
        Self { short: AtomicU32::new(0), needed: AtomicU32::new(*WAITS.start()) }
    }

    /// Whether the last waits were short.
    pub(crate) fn pays(&self) -> bool {
        self.short.load(Ordering::Relaxed) >= self.needed.load(Ordering::Relaxed)
    }

    /// Takes note of a wait, and whether it began by spinning.
    pub(crate) fn note(&self, waited: Duration, has_spun: bool) {
        let is_in_vain = has_spun && waited > WORKER_MAX;
        if is_in_vain {
            let needed = self.needed.load(Ordering::Relaxed) * 2;
            self.needed.store(needed.min(*WAITS.end()), Ordering::Relaxed);
        } else if has_spun {
            self.needed.store(*WAITS.start(), Ordering::Relaxed);
        }
        let short = if is_in_vain || waited > SHORT { 0 } else { self.short.load(Ordering::Relaxed).saturating_add(1) };
        self.short.store(short, Ordering::Relaxed);
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
        let took = u32::try_from(took.as_nanos()).unwrap_or(COUNTED_NS).min(COUNTED_NS);
        let average = self.nanoseconds.load(Ordering::Relaxed);
        self.nanoseconds.store(average - average / 8 + took / 8, Ordering::Relaxed);
    }

    /// Returns the average time if a call takes less than a sleep.
    pub(crate) fn quick(&self) -> Option<Duration> {
        let average = self.nanoseconds.load(Ordering::Relaxed);
        (1..=QUICK_NS).contains(&average).then(|| Duration::from_nanos(average.into()))
    }

    /// Whether a call takes less than a sleep.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick().is_some()
    }
}

/// The task that has waited for a call last.
#[derive(Debug, Default)]
pub(crate) struct LastTask(AtomicUsize);

impl LastTask {
    /// Takes note of a task that waits. Returns whether it is likely to be the one that did so before: if several tasks
    /// wait in turn, one that spins keeps others from asking.
    pub(crate) fn is_again(&self, task: &Context<'_>) -> bool {
        let this = task.waker().data().addr();
        let is_again = self.0.load(Ordering::Relaxed) == this;
        if !is_again {
            self.0.store(this, Ordering::Relaxed);
        }
        is_again
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

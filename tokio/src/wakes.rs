//! Wake-ups of the tasks whose calls are done.
//!
//! To wake a task of a runtime that sleeps is a system call, and a thread that wakes up: as much as a small insert. While
//! other calls wait, a worker therefore keeps a few wake-ups and makes them together, so that the runtime wakes up once for
//! all. None is kept for long: not beyond the end of a call that comes later than [`AGE_MAX`], not while the worker sleeps,
//! and not beyond the next look of the [timekeeper](crate::timekeeper), if the next call takes long.

use std::sync::PoisonError;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use crate::worker::shielded;

/// Number of wake-ups that are made together, at most.
const TOGETHER_MAX: usize = 16;

/// Age of a wake-up from which on the end of a call makes it.
const AGE_MAX: Duration = Duration::from_micros(100);

/// The wake-ups that are kept.
#[derive(Default)]
pub(crate) struct Wakes {
    state: Mutex<State>,
    /// Whether some are, for a worker that has kept them.
    are_kept: AtomicBool,
}

#[derive(Default)]
struct State {
    kept: [Option<Waker>; TOGETHER_MAX],
    count: usize,
    /// The time at which the first of them was kept.
    since: Option<Instant>,
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a task at once, or soon if so many calls wait for the worker that its runtime has others to wake for.
    pub(crate) fn wake(&self, waker: Waker, waiting: usize, now: Instant) {
        let together = waiting.clamp(1, TOGETHER_MAX);
        let mut state = self.lock();
        let at = state.count;
        state.kept[at] = Some(waker);
        state.count += 1;
        if state.count < together && now.duration_since(*state.since.get_or_insert(now)) < AGE_MAX {
            self.are_kept.store(true, Ordering::Relaxed);
            return;
        }
        let kept = std::mem::take(&mut *state).kept;
        self.are_kept.store(false, Ordering::Relaxed);
        drop(state);
        wake_all(kept);
    }

    /// Whether wake-ups are kept.
    pub(crate) fn are_kept(&self) -> bool {
        self.are_kept.load(Ordering::Relaxed)
    }

    /// Makes the wake-ups that are kept.
    pub(crate) fn make(&self) {
        let mut state = self.lock();
        let kept = std::mem::take(&mut *state).kept;
        self.are_kept.store(false, Ordering::Relaxed);
        drop(state);
        wake_all(kept);
    }
}

fn wake_all(kept: [Option<Waker>; TOGETHER_MAX]) {
    kept.into_iter().flatten().for_each(|waker| shielded(|| waker.wake()));
}

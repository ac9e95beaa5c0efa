//! Who has which slot, and who waits for one.
//!
//! A slot's number is the permit to use it. It is given back last, when whatever becomes of its connection is done, so
//! that no more connections are open than there are slots.
//!
//! Who waits keeps its place in line. A slot that comes back is not handed to the first, who is asleep: it is left where
//! whoever is awake may take it, and the first is woken. Otherwise every use of a busy pool would wait for a thread to wake
//! up. But who has waited for longer than [`PASSED_MAX`] is passed no more: it is given the slot.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use super::Role;

/// For how long the first in line may be passed by those who come. Measured: with none a busy pool does a quarter of the
/// work, and with more it does little more, while the longest wait grows.
const PASSED_MAX: Duration = Duration::from_micros(500);

/// The slots of one role.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    is_closed: AtomicBool,
    role: Role,
    size: usize,
}

#[derive(Debug)]
struct State {
    /// The slot used last is used first: its cache is warm.
    idle: Vec<usize>,
    waiting: VecDeque<Arc<Waiter>>,
    slots: Vec<Place>,
    acquired: u64,
    timeouts: u64,
}

#[derive(Clone, Debug, Default)]
struct Place {
    lent: Option<Lent>,
    /// Who had it last, and may well have it next.
    last: Option<Thread>,
}

#[derive(Debug)]
struct Waiter {
    word: Mutex<Option<Word>>,
    changed: Condvar,
    since: Instant,
}

/// What a waiter is told.
#[derive(Clone, Copy, Debug)]
enum Word {
    /// Something is idle, as far as nobody else has taken it.
    Look,
    Take(usize),
    Closed,
}

/// Who has a slot.
#[derive(Clone, Debug)]
pub(super) struct Lent {
    pub(super) site: &'static Location<'static>,
    pub(super) since: Instant,
    pub(super) thread: Thread,
    pub(super) is_owned: bool,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    TimedOut { waited: Duration },
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    None,
    For(Duration),
}

/// What a queue knows of itself.
#[derive(Clone, Debug)]
pub(super) struct QueueStatus {
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) out: Vec<(usize, Lent)>,
    pub(super) acquired: u64,
    pub(super) timeouts: u64,
}

impl Queue {
    pub(super) fn new(role: Role, size: usize) -> Self {
        let state = State {
            idle: (0..size).rev().collect(),
            waiting: VecDeque::new(),
            slots: vec![Place::default(); size],
            acquired: 0,
            timeouts: 0,
        };
        Self { state: Mutex::new(state), is_closed: AtomicBool::new(false), role, size }
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Nothing that runs under the lock can panic, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, at once or when it is this caller's turn.
    pub(super) fn acquire(
        &self,
        patience: Patience,
        site: &'static Location<'static>,
        is_owned: bool,
    ) -> Result<usize, Refused> {
        let mut state = self.lock();
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        let slot = match (state.idle.pop(), patience) {
            (Some(slot), _) => slot,
            (None, Patience::None) => return Err(Refused::TimedOut { waited: Duration::ZERO }),
            (None, Patience::For(longest)) => {
                let (slot, then) = self.wait(state, longest)?;
                state = then;
                slot
            }
        };
        state.acquired += 1;
        let place = &mut state.slots[slot];
        let thread = match place.last.take() {
            Some(last) if last.id() == current_id() => last,
            _ => thread::current(),
        };
        place.lent = Some(Lent { site, since: Instant::now(), thread, is_owned });
        Ok(slot)
    }

    #[cold]
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        longest: Duration,
    ) -> Result<(usize, MutexGuard<'a, State>), Refused> {
        let waiter = Arc::new(Waiter { word: Mutex::new(None), changed: Condvar::new(), since: Instant::now() });
        state.waiting.push_back(Arc::clone(&waiter));
        loop {
            drop(state);
            waiter.wait(longest);
            state = self.lock();
            // Under the lock nobody tells it anything any more.
            match waiter.take() {
                Some(Word::Take(slot)) => return Ok((slot, state)),
                Some(Word::Closed) => return Err(Refused::Closed),
                Some(Word::Look) => {
                    if let Some(slot) = state.idle.pop() {
                        state.leave(&waiter);
                        return Ok((slot, state));
                    }
                }
                None => {
                    state.leave(&waiter);
                    state.timeouts += 1;
                    return Err(Refused::TimedOut { waited: waiter.since.elapsed() });
                }
            }
        }
    }

    /// A slot is free again. Returns whether the queue is closed.
    pub(super) fn release(&self, slot: usize) -> bool {
        let mut state = self.lock();
        let place = &mut state.slots[slot];
        place.last = place.lent.take().map(|lent| lent.thread);
        let first = state.waiting.front();
        match first.filter(|first| first.since.elapsed() >= PASSED_MAX) {
            Some(first) => {
                first.tell(Word::Take(slot));
                state.waiting.pop_front();
            }
            None => state.idle.push(slot),
        }
        let next = state.next_to_look();
        drop(state);
        if let Some(next) = next {
            next.tell_to_look();
        }
        self.is_closed()
    }

    /// Lends no slot any more, and sends away who waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        self.is_closed.store(true, Ordering::Release);
        for waiter in state.waiting.drain(..) {
            waiter.tell(Word::Closed);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(super) fn status(&self) -> QueueStatus {
        let state = self.lock();
        let out = state.slots.iter().enumerate().filter_map(|(slot, place)| Some((slot, place.lent.clone()?)));
        QueueStatus {
            idle: state.idle.len(),
            waiting: state.waiting.len(),
            out: out.collect(),
            acquired: state.acquired,
            timeouts: state.timeouts,
        }
    }
}

impl State {
    /// The first in line, if there is something for it. Whoever leaves a slot idle, or the line, wakes it.
    fn next_to_look(&self) -> Option<Arc<Waiter>> {
        self.waiting.front().filter(|_| !self.idle.is_empty()).cloned()
    }

    fn leave(&mut self, waiter: &Arc<Waiter>) {
        self.waiting.retain(|other| !Arc::ptr_eq(other, waiter));
        if let Some(next) = self.next_to_look() {
            next.tell_to_look();
        }
    }
}

impl Waiter {
    fn lock(&self) -> MutexGuard<'_, Option<Word>> {
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, word: Word) {
        *self.lock() = Some(word);
        self.changed.notify_one();
    }

    /// Unless it was told something already.
    fn tell_to_look(&self) {
        let mut word = self.lock();
        if word.is_none() {
            *word = Some(Word::Look);
            drop(word);
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Option<Word> {
        self.lock().take()
    }

    /// Until it is told something, or this long after it came.
    fn wait(&self, longest: Duration) {
        let left = longest.saturating_sub(self.since.elapsed());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |word| word.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// `thread::current` counts a reference, and this does not.
fn current_id() -> ThreadId {
    thread_local!(static ID: ThreadId = thread::current().id());
    ID.try_with(|&id| id).unwrap_or_else(|_| thread::current().id())
}

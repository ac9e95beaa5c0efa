//! Closures that any thread can end, while the thread of their connection calls them.

use std::cell::{RefCell, UnsafeCell};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::raw::callback::timed;
use crate::raw::db::Db;
use crate::raw::os::fork;
use crate::track::registry::Tracked;
use crate::track::{HandleKind, shielded};

/// A closure and its state. The connection calls it, and the program ends it.
pub(super) struct Subscriber<F: ?Sized> {
    state: AtomicU8,
    /// Used by the thread that has moved the state from `IDLE` to `RUNNING` or `ENDED`, or from `STOPPING` to `ENDED`.
    subscribed: UnsafeCell<Option<Subscribed<F>>>,
}

/// Not running.
const IDLE: u8 = 0;
/// Running, on the connection's thread.
const RUNNING: u8 = 1;
/// Running, and to be dropped when it returns.
const STOPPING: u8 = 2;
/// Dropped.
const ENDED: u8 = 3;

// SAFETY: the closure is `Send`, and is called and dropped by whoever moved the state away from `IDLE`, which one
// thread does at a time (rule 14). A record is shared data under its own lock.
unsafe impl<F: ?Sized + Send> Sync for Subscriber<F> {}

/// A closure, counted and recorded as an open handle for as long as it exists.
struct Subscribed<F: ?Sized> {
    closure: Box<F>,
    tracked: Tracked,
}

impl<F: ?Sized> Subscriber<F> {
    pub(super) fn new(db: &Db, name: &str, site: &'static Location<'static>, closure: Box<F>) -> Arc<Self> {
        let subscribed = Subscribed { closure, tracked: db.track(HandleKind::Callback, site, name) };
        Arc::new(Self { state: AtomicU8::new(IDLE), subscribed: UnsafeCell::new(Some(subscribed)) })
    }

    /// Runs the closure; `None` if it has ended.
    #[inline]
    pub(super) fn call<R>(&self, run: impl FnOnce(&mut F) -> R) -> Option<R> {
        self.state.compare_exchange(IDLE, RUNNING, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let running = Running(self);
        // SAFETY: this call has moved the state from `IDLE` to `RUNNING`, so no other uses the closure until `running`
        // is dropped (rule 14).
        let subscribed = unsafe { &mut *self.subscribed.get() };
        let result = subscribed.as_mut().map(|Subscribed { closure, tracked }| timed(tracked, || run(closure)));
        drop(running);
        result
    }

    /// Drops the closure, unless another thread is moving the state.
    #[cold]
    fn take(&self) {
        // SAFETY: the caller has moved the state to `ENDED` from one that gave it the closure (rule 14).
        let subscribed = unsafe { (*self.subscribed.get()).take() };
        // Drop of the closure is the program's code.
        shielded(|| drop(subscribed));
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Relaxed) >= STOPPING
    }
}

/// The time in which a closure runs; at its end, an ended closure is dropped.
struct Running<'a, F: ?Sized>(&'a Subscriber<F>);

impl<F: ?Sized> Drop for Running<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let Self(subscriber) = self;
        if subscriber.state.compare_exchange(RUNNING, IDLE, Ordering::Release, Ordering::Acquire).is_err() {
            subscriber.state.store(ENDED, Ordering::Relaxed);
            subscriber.take();
        }
    }
}

/// A subscriber of any kind.
pub(crate) trait End: Send + Sync {
    /// Ends the closure: it is not called again. It is dropped now or, if it is running, when it returns. Returns
    /// whether it had not been ended before.
    fn end(&self) -> bool;

    /// Whether it was ended.
    fn is_ended(&self) -> bool;
}

impl<F: ?Sized + Send> End for Subscriber<F> {
    fn end(&self) -> bool {
        loop {
            if self.state.compare_exchange(IDLE, ENDED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                self.take();
                return true;
            }
            if self.state.compare_exchange(RUNNING, STOPPING, Ordering::Release, Ordering::Relaxed).is_ok() {
                return true;
            }
            if self.has_ended() {
                return false;
            }
        }
    }

    fn is_ended(&self) -> bool {
        self.has_ended()
    }
}

/// The closures that SQLite's one slot serves.
pub(super) struct Subscribers<F: ?Sized> {
    list: RefCell<Vec<Arc<Subscriber<F>>>>,
}

impl<F: ?Sized> Default for Subscribers<F> {
    fn default() -> Self {
        Self { list: RefCell::default() }
    }
}

impl<F: ?Sized + Send + 'static> Subscribers<F> {
    pub(super) fn add(&self, subscriber: &Arc<Subscriber<F>>) {
        self.list.borrow_mut().push(Arc::clone(subscriber));
    }

    /// Forgets the closures that have ended. Returns whether none is left.
    pub(super) fn prune(&self) -> bool {
        let Ok(mut list) = self.list.try_borrow_mut() else {
            return false;
        };
        list.retain(|subscriber| !subscriber.has_ended());
        list.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Whether a closure has ended that is still in the list.
    pub(super) fn has_ended(&self) -> bool {
        self.list.borrow().iter().any(|subscriber| subscriber.has_ended())
    }

    /// Calls each closure, each as a callback of its own: the panic of one does not keep the event from the others.
    /// `run` ends the round by returning `false`. Returns whether the round was not ended, and no closure panicked.
    ///
    /// The list is not changed meanwhile: nothing is registered within a callback, and an ended closure stays in it.
    #[inline]
    pub(super) fn each(&self, db: &Db, mut run: impl FnMut(&mut F) -> bool) -> bool {
        let mut is_fine = true;
        for subscriber in self.list.borrow().iter() {
            match db.call_back(|| subscriber.call(&mut run)) {
                Some(Some(false)) => return false,
                Some(_) => {}
                None => is_fine &= !db.is_open(),
            }
        }
        is_fine
    }

    /// Passes what belongs to each closure that has not ended.
    pub(super) fn inspect(&self, mut see: impl FnMut(&mut F)) {
        for subscriber in self.list.borrow().iter() {
            subscriber.call(&mut see);
        }
    }

    /// Calls each closure although the connection is closing.
    pub(super) fn each_at_close(&self, db: &Db, mut run: impl FnMut(&mut F)) {
        for subscriber in self.list.borrow().iter() {
            db.call_back_at_close(|| subscriber.call(&mut run));
        }
    }

    /// Ends all closures.
    pub(super) fn end(&self) {
        for subscriber in self.list.take() {
            subscriber.end();
        }
    }
}

/// Right to end a subscriber from any thread.
pub(crate) struct Ending(pub(crate) Arc<dyn End>);

impl Ending {
    pub(crate) fn end(&self) {
        if self.0.end() {
            // The connection notices when it is next used, and takes the slot away from SQLite.
            fork::request_figures();
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.is_ended()
    }
}

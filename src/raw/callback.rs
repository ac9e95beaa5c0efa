//! Entry from C into Rust: SQLite calls closures of the program through [`Db::call_back`], and through nothing else.
//!
//! ```text
//!  Rust: Cursor::step ──► C: sqlite3_step ──► Rust: trampoline of function.rs, table.rs, ..
//!                                               │ finds its Entry, which points to the Db
//!                                               ▼
//!                                             Db::call_back
//!                                               │ nothing, if the connection is closing
//!                                               │ shuts the connection: `enter` returns Misuse
//!                                               │ charges SQLite's memory to no account
//!                                               ▼
//!                                             closure of the program
//!                                               │ a panic is parked, and C gets an error
//!  Cursor::step resumes the panic  ◄── C ◄──────┘
//! ```
//!
//! A trampoline converts between C's types and Rust's before and after `call_back`, in code that does not panic, and
//! does not call into the database there.
//!
//! Nothing is added to the statements of a connection without callbacks: what callbacks leave to do makes
//! [`Db::is_disturbed`] true, which compares the words that each entry compares anyway.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::fmt;
use std::panic::{self, AssertUnwindSafe, Location};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hosted::ReadsOfHost;

use super::allocator::Charge;
use super::db::{Db, Entered};
use super::hook::Hooks;
use super::limit::Limits;
use super::os::clock;
use super::os::fork::Moment;
use super::vfs::running;
use super::{Parked, Stmt, ffi};
use crate::error::{Fault, FaultKind, FunctionFault};
use crate::track::registry::Tracked;
use crate::track::{HandleKind, Taint, activity, discard, shielded};

/// Callbacks of a connection, and their state.
#[derive(Default)]
pub(super) struct Callbacks {
    /// Number of callbacks on the stack.
    depth: Cell<u32>,
    /// Number of them up to the innermost that reads: the connection is open to it.
    open_depth: Cell<u32>,
    /// Number of matters that keep the connection disturbed: a parked panic, values that SQLite holds for running
    /// statements ([`Held`]).
    unsettled: Cell<u32>,
    /// Panic that must not unwind through C. The Rust call that entered C resumes it.
    parked: Cell<Option<Box<dyn Any + Send>>>,
    /// Number of running cleanups: they resume no panic.
    cleanups: Cell<u32>,
    /// Values that SQLite released, to be dropped by `settle_callbacks`: their Drop is the program's.
    released: RefCell<Vec<Released>>,
    entries: RefCell<Vec<Registered>>,
    /// Whether a function of an R-tree was ever registered.
    pub(super) has_shapes: Cell<bool>,
    /// Number of entries that SQLite owns ([`Entry::give`]).
    given: Cell<u32>,
    /// Whether a collation of a host has panicked, which no call has told the host yet.
    is_misordered: Cell<bool>,
    /// Whether a reset is running, which ends an execution: its results are of no use.
    is_ending: Cell<bool>,
    pub(super) states: RefCell<States>,
    /// Error that a function returned last, with its text, which SQLite repeats.
    failure: Cell<Option<(Box<str>, FunctionFault)>>,
    /// Number of errors that were kept.
    failures: Cell<u32>,
    /// Statements that callbacks have prepared to read, the most recent last; `None` for one that is prepared each time.
    readers: RefCell<Vec<(Box<str>, Option<Parked>)>>,
    pub(super) hooks: Hooks,
    pub(super) limits: Limits,
    /// Number of open sessions, which use SQLite's pre-update hook.
    #[cfg(feature = "session")]
    pub(super) sessions: Cell<u32>,
}

/// A value that SQLite has released: one that it held, the state of an aggregate that no statement uses any more, or an
/// entry that it owned.
enum Released {
    Held(NonNull<Held>),
    State(Box<dyn Any + Send>),
    Entry(Box<dyn Any>),
}

/// States of aggregates whose statements are running. SQLite's aggregate context has the number of the state and no
/// pointer, because SQLite does not always say when it gives the context up.
#[derive(Default)]
pub(super) struct States {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    alive: u32,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// `None` while a step has it, too.
    state: Option<Box<dyn Any + Send>>,
}

/// Number of a state: an index plus one, and a generation, so that no number is used twice. 0 is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateId(pub(super) u64);

impl StateId {
    pub(super) const NONE: Self = Self(0);
    /// State of an aggregate that has failed: it is not finished.
    pub(super) const FAILED: Self = Self(u64::MAX);

    fn parts(self) -> (usize, u32) {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        let generation = (self.0 >> 32) & u64::from(u32::MAX);
        ((u32::from_be_bytes([a, b, c, d]).wrapping_sub(1)) as usize, u32::try_from(generation).unwrap_or(u32::MAX))
    }
}

impl States {
    /// Makes room for a state, which `put` stores.
    pub(super) fn reserve(&mut self) -> StateId {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 states are alive")
        });
        self.alive += 1;
        StateId(u64::from(self.slots[index as usize].generation) << 32 | u64::from(index + 1))
    }

    fn slot(&mut self, id: StateId) -> Option<&mut Slot> {
        let (index, generation) = id.parts();
        self.slots.get_mut(index).filter(|slot| slot.generation == generation)
    }

    /// Takes a state out, for the time of a call.
    pub(super) fn take(&mut self, id: StateId) -> Option<Box<dyn Any + Send>> {
        self.slot(id)?.state.take()
    }

    /// Stores a state. Returns it if its number has ended.
    pub(super) fn put(&mut self, id: StateId, state: Box<dyn Any + Send>) -> Option<Box<dyn Any + Send>> {
        match self.slot(id) {
            Some(slot) => {
                slot.state = Some(state);
                None
            }
            None => Some(state),
        }
    }

    /// Ends a number. Returns its state, unless a call has it, and whether the number was one.
    fn end(&mut self, id: StateId) -> Option<Option<Box<dyn Any + Send>>> {
        let slot = self.slot(id)?;
        slot.generation = (slot.generation + 1) & 0x7fff_ffff;
        let state = slot.state.take();
        self.vacant.push(u32::try_from(id.parts().0).unwrap_or(0));
        self.alive -= 1;
        Some(state)
    }
}

/// Event of a panic that is lost with its connection.
const DISCARDED: &str = "a callback panicked during a cleanup, and no call followed to resume the panic";

/// Panics that were parked while a cleanup was in C, so that a later call had to resume them.
static LATE: AtomicU64 = AtomicU64::new(0);

impl Callbacks {
    /// Whether no callback left anything to do.
    pub(super) fn are_settled(&self) -> bool {
        self.unsettled.get() == 0
    }

    #[inline(always)]
    fn deepen(&self) {
        self.depth.set(self.depth.get().wrapping_add(1));
    }

    #[inline(always)]
    fn ascend(&self) {
        self.depth.set(self.depth.get().wrapping_sub(1));
    }

    pub(super) fn settle_one(&self) {
        self.unsettled.set(self.unsettled.get() - 1);
    }

    /// Returns the payload of the parked panic.
    fn take_parked(&self) -> Option<Box<dyn Any + Send>> {
        let payload = self.parked.take()?;
        self.settle_one();
        Some(payload)
    }
}

impl Db {
    /// Runs a closure of the program for C. Returns `None` if it was not run, because the connection is being closed,
    /// or if it panicked; the trampoline then returns an error to C.
    #[inline(always)]
    pub(super) fn call_back<R>(&self, run: impl FnOnce() -> R) -> Option<R> {
        if !self.is_open() {
            return None;
        }
        self.call_back_at_close(run)
    }

    /// Runs a closure of the program for C, also while the connection is being closed.
    #[inline(always)]
    pub(super) fn call_back_at_close<R>(&self, run: impl FnOnce() -> R) -> Option<R> {
        self.call_back_for_row(|| {
            let _charge = Charge::to_nobody();
            run()
        })
    }

    /// Runs a method of a cursor for C, as [`call_back`](Self::call_back) does: it is called for each row and each cell. A
    /// statement that steps is not one of a connection that is being closed. SQLite's memory stays charged to the connection:
    /// a text that the method sets is its own.
    #[inline(always)]
    pub(super) fn call_back_for_row<R>(&self, run: impl FnOnce() -> R) -> Option<R> {
        let entry = self.entry.replace(Moment::NEVER);
        self.callbacks.deepen();
        let result = panic::catch_unwind(AssertUnwindSafe(run));
        self.callbacks.ascend();
        if self.callbacks.are_settled() {
            self.entry.set(entry);
        } else {
            self.drop_released_by_call();
        }
        match result {
            Ok(result) => Some(result),
            Err(payload) => {
                self.park(payload);
                None
            }
        }
    }

    /// Keeps the payload of a panic for the call that entered C. Of several panics in one call, the first is kept.
    #[cold]
    #[inline(never)]
    fn park(&self, payload: Box<dyn Any + Send>) {
        if self.is_of_host() {
            self.tell_of_panic(&*payload);
            return discard(payload);
        }
        match self.callbacks.parked.take() {
            Some(first) => {
                self.callbacks.parked.set(Some(first));
                discard(payload);
            }
            None => {
                self.callbacks.parked.set(Some(payload));
                self.disturb();
            }
        }
    }

    /// Counts a matter that keeps the connection disturbed.
    pub(super) fn disturb(&self) {
        self.callbacks.unsettled.set(self.callbacks.unsettled.get() + 1);
        self.entry.set(Moment::NEVER);
    }

    /// Resumes a panic of a callback of the call into C that has just returned. Not for Drop.
    #[inline(always)]
    pub(super) fn resume(&self) {
        if self.is_disturbed() {
            self.resume_parked();
        }
    }

    #[cold]
    #[inline(never)]
    fn resume_parked(&self) {
        if self.callbacks.cleanups.get() > 0 || thread::panicking() {
            return;
        }
        if let Some(payload) = self.callbacks.take_parked().or_else(running::take_parked) {
            panic::resume_unwind(payload);
        }
    }

    /// Resumes a panic that an earlier call could not resume, because it was a cleanup.
    pub(super) fn resume_late(&self) {
        if self.callbacks.cleanups.get() == 0
            && !thread::panicking()
            && let Some(payload) = self.callbacks.take_parked().or_else(running::take_parked)
        {
            self.tell_of_late_panic("a callback panicked during a cleanup: this call resumes the panic");
            panic::resume_unwind(payload);
        }
    }

    #[cold]
    fn tell_of_late_panic(&self, words: &str) {
        LATE.fetch_add(1, Ordering::Relaxed);
        shielded(|| {
            let (connection, name) = (self.id(), self.info().name());
            tracing::error!(target: "finalite::statement", connection, name, "{words}");
        });
    }

    /// Whether a callback is running that may not use its connection, or a method of a file system of the program, which
    /// may use none.
    pub(super) fn is_in_callback(&self) -> bool {
        self.callbacks.depth.get() > self.callbacks.open_depth.get() || running::is_running()
    }

    /// Starts a registration. Returns an error within any callback of the connection, also one that may read.
    pub(super) fn enter_to_register(&self) -> Result<Entered<'_>, Fault> {
        let entered = self.enter()?;
        if self.is_in_any_callback() {
            return Err(Fault::new(FaultKind::Misuse("nothing is registered or removed within a callback")));
        }
        Ok(entered)
    }

    /// Whether a callback of the connection is running, also one that may read.
    pub(super) fn is_in_any_callback(&self) -> bool {
        self.callbacks.depth.get() > 0 || running::is_running()
    }

    /// Opens the connection to the running callback, for as long as the guard exists. Only for callbacks in which SQLite
    /// allows it: functions, collations, methods of virtual tables.
    pub(crate) fn open_to_callback(&self) -> OpenToCallback<'_> {
        // The next entry is a late one, which finds the connection open.
        OpenToCallback {
            db: self,
            before: self.callbacks.open_depth.replace(self.callbacks.depth.get()),
            was_ending: self.callbacks.is_ending.replace(false),
            _reads: self.begin_reading_of_host(),
        }
    }

    /// Returns a statement that a callback has kept; `Some(None)` for one that is prepared each time.
    pub(crate) fn take_reader(&self, sql: &str) -> Option<Option<Stmt<'_>>> {
        let mut readers = self.callbacks.readers.borrow_mut();
        let place = readers.iter().position(|(known, _)| **known == *sql)?;
        let (_, parked) = readers.remove(place);
        drop(readers);
        Some(parked.map(|parked| self.unpark(parked)))
    }

    /// Keeps a statement for the next callback that reads by this SQL, or that it is prepared each time. Returns the one
    /// that gives way.
    pub(crate) fn keep_reader<'db>(&'db self, statement: Stmt<'db>, is_each_time: bool) -> Option<Stmt<'db>> {
        /// Largest number of kept statements.
        const READERS_MAX: usize = 16;
        debug_assert!(!self.is_of_host());
        let sql: Box<str> = statement.sql().into();
        let parked = match is_each_time {
            true => {
                drop(statement);
                None
            }
            // If parking fails, the statement is finalized.
            false => Some(statement.park().ok()?),
        };
        let mut readers = self.callbacks.readers.borrow_mut();
        readers.push((sql, parked));
        let surplus = (readers.len() > READERS_MAX).then(|| readers.remove(0));
        drop(readers);
        surplus?.1.map(|parked| self.unpark(parked))
    }

    /// Finalizes the statements that callbacks have kept.
    pub(super) fn end_readers(&self) {
        for (_, parked) in self.callbacks.readers.take() {
            drop(parked.map(|parked| self.unpark(parked)));
        }
    }

    /// Marks a cleanup (a Drop that runs SQL) for as long as the guard exists: it resumes no panic.
    pub(crate) fn begin_cleanup(&self) -> Cleanup<'_> {
        self.callbacks.cleanups.set(self.callbacks.cleanups.get() + 1);
        Cleanup(self)
    }

    pub(super) fn is_cleaning_up(&self) -> bool {
        self.callbacks.cleanups.get() > 0
    }

    /// Whether a panic of a callback waits for the next call.
    pub(crate) fn has_parked_panic(&self) -> bool {
        let payload = self.callbacks.parked.take();
        let has_panic = payload.is_some();
        self.callbacks.parked.set(payload);
        has_panic
    }

    /// Drops what SQLite has released, unless C is running.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_callbacks(&self) {
        if self.callbacks.depth.get() > 0 {
            return;
        }
        self.settle_changes();
        if self.callbacks.states.borrow().alive > 0 && !self.may_be_running() {
            self.release_states();
        }
        self.drop_released();
    }

    /// Drops what SQLite has released, when the outermost callback has returned: none can have borrowed it any more.
    #[cold]
    #[inline(never)]
    fn drop_released_by_call(&self) {
        if self.callbacks.depth.get() == 0 {
            self.drop_released();
        }
    }

    /// Drops what SQLite has released.
    #[cold]
    #[inline(never)]
    fn drop_released(&self) {
        loop {
            let Some(value) = self.callbacks.released.borrow_mut().pop() else {
                return;
            };
            self.callbacks.settle_one();
            match value {
                // SAFETY: created by `Held::new`, and SQLite has released it, once; nothing refers to it, because the
                // callbacks that could have borrowed it have returned (rules 15, 22).
                Released::Held(held) => self.drop_as_callback(unsafe { Box::from_raw(held.as_ptr()) }),
                Released::State(state) => self.drop_as_callback(state),
                Released::Entry(entry) => self.drop_as_callback(entry),
            }
        }
    }

    /// Drops a value of the program, whose Drop may not use the connection, and parks its panic.
    #[cold]
    #[inline(never)]
    pub(super) fn drop_as_callback<T>(&self, value: T) {
        let entry = self.entry.replace(Moment::NEVER);
        self.callbacks.deepen();
        let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(value)));
        self.callbacks.ascend();
        if self.callbacks.are_settled() {
            self.entry.set(entry);
        }
        if let Err(payload) = dropped {
            self.park(payload);
        }
    }

    /// Makes room for the state of an aggregate.
    pub(super) fn reserve_state(&self) -> StateId {
        self.disturb();
        self.callbacks.states.borrow_mut().reserve()
    }

    /// Ends the state of an aggregate. Returns it, unless a call has it.
    pub(super) fn end_state(&self, id: StateId) -> Option<Box<dyn Any + Send>> {
        let state = self.callbacks.states.borrow_mut().end(id)?;
        self.callbacks.settle_one();
        state
    }

    /// Has a value dropped with those that SQLite releases.
    pub(super) fn release(&self, state: Box<dyn Any + Send>) {
        self.disturb();
        self.callbacks.released.borrow_mut().push(Released::State(state));
        if self.is_of_host() {
            self.drop_released_by_call();
        }
    }

    /// Ends the states of all aggregates: no statement is running that uses them.
    fn release_states(&self) {
        let mut states = self.callbacks.states.borrow_mut();
        let alive = states.slots.iter().enumerate().filter(|(_, slot)| slot.state.is_some());
        let ids: Vec<StateId> =
            alive.map(|(index, slot)| StateId(u64::from(slot.generation) << 32 | (index as u64 + 1))).collect();
        let ended: Vec<_> = ids.into_iter().filter_map(|id| states.end(id)?).collect();
        drop(states);
        // Each was unsettled as a state, and is now as a released value.
        self.callbacks.released.borrow_mut().extend(ended.into_iter().map(Released::State));
    }

    /// Marks a reset, which ends an execution, for as long as the guard exists.
    pub(super) fn begin_ending(&self) -> Ending<'_> {
        Ending { db: self, before: self.callbacks.is_ending.replace(true) }
    }

    /// Whether the results of callbacks are of no use, because the execution is being ended.
    pub(super) fn is_ending(&self) -> bool {
        self.callbacks.is_ending.get()
    }

    /// Keeps the error of a function, in place of one that no call has returned. SQLite gets its text.
    pub(super) fn keep_failure(&self, text: Box<str>, fault: FunctionFault) {
        self.callbacks.failures.set(self.callbacks.failures.get().wrapping_add(1));
        if let Some((_, unreturned)) = self.callbacks.failure.replace(Some((text, fault))) {
            self.drop_as_callback(unreturned);
        }
    }

    /// Keeps the error of a callback that has no place for a text. Returns the code that SQLite gets.
    #[cold]
    pub(super) fn keep_failure_of_code(&self, failure: CallbackFailure) -> c_int {
        match failure {
            CallbackFailure::NoMemory => ffi::SQLITE_NOMEM,
            CallbackFailure::Fault(fault) => {
                self.keep_failure(fault.to_string().into(), fault);
                // A host knows no such code.
                if self.is_of_host() { ffi::SQLITE_ERROR } else { KEPT_FAILURE }
            }
        }
    }

    /// Returns the error that was kept with this code.
    pub(super) fn take_kept_failure(&self, code: c_int) -> Option<FunctionFault> {
        (code == KEPT_FAILURE).then(|| self.callbacks.failure.take().map(|(_, fault)| fault))?
    }

    /// Returns the number of errors that were kept so far.
    pub(crate) fn failures(&self) -> u32 {
        self.callbacks.failures.get()
    }

    /// Returns the error of a function that has this text, or that SQLite reports by the code of kept errors.
    pub(super) fn take_failure(&self, code: c_int, text: &str) -> Option<FunctionFault> {
        let (kept, fault) = self.callbacks.failure.take()?;
        if *kept == *text || code == KEPT_FAILURE {
            return Some(fault);
        }
        self.drop_as_callback(fault);
        None
    }

    /// Passes a closure to SQLite, in place of one with the same key, and keeps it until it is replaced or removed, or
    /// the connection closes. Returns whether a closure was replaced.
    ///
    /// `install` is the call to SQLite with the address of the closure's [`Entry`] and the destructor to pass, and returns
    /// its result code. There is no destructor but on a connection of a host, whose SQLite owns the entry. After it succeeded, SQLite must not call the closure that was replaced: it forgets a hook
    /// at once, and refuses to replace a function or a collation while a statement is running (`SQLITE_BUSY`). No
    /// callback runs, as `entered` is from [`enter_to_register`](Self::enter_to_register).
    pub(super) fn register<F: Send + 'static>(
        &self,
        entered: &Entered<'_>,
        key: Key,
        site: &'static Location<'static>,
        call: F,
        install: impl FnOnce(*mut c_void, Destroy) -> c_int,
    ) -> Result<bool, Fault> {
        debug_assert!(ptr::eq(entered.get(), self));
        let tracked = self.track(HandleKind::Callback, site, &key.to_string());
        let entry = Entry { db: NonNull::from(self), tracked, call };
        if self.is_of_host() {
            return self.check(self.give_to_host(entry, install)).map(|()| false);
        }
        let entry = Rc::new(entry);
        let charge = entered.charge();
        let code = install(Rc::as_ptr(&entry).cast_mut().cast(), None);
        drop(charge);
        self.add_taint(Taint::REGISTERED);
        self.check(code)?;
        let registered = Registered { key, _entry: entry };
        let mut entries = self.callbacks.entries.borrow_mut();
        let replaced = entries.iter_mut().find(|before| before.key == registered.key && before.key.is_of_one());
        let before = match replaced {
            Some(before) => Some(std::mem::replace(before, registered)),
            None => {
                entries.push(registered);
                None
            }
        };
        drop(entries);
        let is_replaced = before.is_some();
        // SQLite has let go of it, and its Drop is the program's.
        drop(before);
        Ok(is_replaced)
    }

    /// Takes a closure away from SQLite, and drops it. Returns whether there was one.
    pub(super) fn unregister(
        &self,
        entered: &Entered<'_>,
        key: &Key,
        uninstall: impl FnOnce() -> c_int,
    ) -> Result<bool, Fault> {
        let place = self.callbacks.entries.borrow().iter().position(|entry| entry.key == *key);
        let Some(place) = place else {
            return Ok(false);
        };
        let charge = entered.charge();
        let code = uninstall();
        drop(charge);
        // One that `init` of a pool has registered would be missing.
        self.add_taint(Taint::REGISTERED);
        self.check(code)?;
        let removed = self.callbacks.entries.borrow_mut().remove(place);
        drop(removed);
        Ok(true)
    }

    /// Whether a closure of this key is registered.
    pub(super) fn is_registered(&self, key: &Key) -> bool {
        self.callbacks.entries.borrow().iter().any(|entry| entry.key == *key)
    }

    /// Whether closures are registered.
    pub(super) fn has_callbacks(&self) -> bool {
        !self.callbacks.entries.borrow().is_empty() || self.callbacks.given.get() > 0 || self.has_hooks()
    }

    /// Whether the connection calls code of the program, or foreign code may have changed what it calls.
    pub(crate) fn has_foreign_code(&self) -> bool {
        self.has_callbacks() || self.is_given_out()
    }

    /// Whether the program has registered virtual tables, or foreign code may have.
    pub(crate) fn has_foreign_tables(&self) -> bool {
        self.callbacks.given.get() > 0 || self.is_given_out()
    }

    /// Drops the closures and what they left, after SQLite has closed the connection.
    pub(super) fn end_callbacks(&self) {
        self.release_states();
        self.drop_released();
        self.drop_as_callback(self.callbacks.failure.take());
        self.end_hooks();
        self.limits().end();
        for entry in self.callbacks.entries.take() {
            self.drop_as_callback(entry);
        }
        if let Some(payload) = self.callbacks.take_parked() {
            self.tell_of_late_panic(DISCARDED);
            discard(payload);
        }
    }

    /// Discards the panic of a file system of the program that closing has caused; not one that was parked before.
    pub(super) fn end_panic_of_closing(&self, was_parked: bool) {
        if !was_parked && let Some(payload) = running::take_parked() {
            self.tell_of_late_panic(DISCARDED);
            discard(payload);
        }
    }
}

/// Logs and counts a panic of a file system of the program that no call can resume, as its thread ends.
pub(super) fn tell_of_lost_panic() {
    LATE.fetch_add(1, Ordering::Relaxed);
    shielded(|| tracing::error!(target: "finalite::statement", "{DISCARDED}"));
}

/// Runs a closure of the program for a C function that belongs to no connection. Returns the payload of its panic, which
/// the caller of that function resumes.
#[cfg(feature = "session")]
pub(super) fn call_back_alone<R>(run: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    let charge = Charge::to_nobody();
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    drop(charge);
    result
}

/// Returns the number of panics that were caught while a cleanup was in C, and resumed by a later call or by none.
pub(crate) fn late_panics() -> u64 {
    LATE.load(Ordering::Relaxed)
}

/// Guard of [`Db::open_to_callback`].
#[must_use]
pub(crate) struct OpenToCallback<'db> {
    db: &'db Db,
    before: u32,
    was_ending: bool,
    /// No extension of this library is loaded meanwhile: it would register functions within a callback.
    _reads: Option<ReadsOfHost>,
}

impl OpenToCallback<'_> {
    /// Runs code of the program, to which the connection is not open.
    pub(crate) fn shut<R>(&self, run: impl FnOnce() -> R) -> R {
        let _shut = Shut { db: self.db, open_depth: self.db.callbacks.open_depth.replace(self.before) };
        self.db.entry.set(Moment::NEVER);
        run()
    }
}

struct Shut<'db> {
    db: &'db Db,
    open_depth: u32,
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.db.callbacks.open_depth.set(self.open_depth);
    }
}

impl Drop for OpenToCallback<'_> {
    fn drop(&mut self) {
        self.db.callbacks.open_depth.set(self.before);
        self.db.callbacks.is_ending.set(self.was_ending);
        self.db.entry.set(Moment::NEVER);
    }
}

/// Guard of [`Db::begin_ending`].
#[must_use]
pub(super) struct Ending<'db> {
    db: &'db Db,
    before: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.db.callbacks.is_ending.set(self.before);
    }
}

/// Guard of [`Db::begin_cleanup`].
#[must_use]
pub(crate) struct Cleanup<'db>(&'db Db);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        self.0.callbacks.cleanups.set(self.0.callbacks.cleanups.get() - 1);
    }
}

/// Destructor of what SQLite owns.
pub(super) type Destroy = Option<unsafe extern "C" fn(*mut c_void)>;

/// Identity of a closure: at most one of each key is registered, but for those that FTS5 keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Name of a tokenizer of FTS5. One does not end another.
    Tokenizer(Box<str>),
    /// Name of an auxiliary function of FTS5. One does not end another.
    FtsFunction(Box<str>),
    /// Name of the function in lower case, and its number of arguments; `None` for any.
    Function(Box<str>, Option<u8>),
    /// Name of the collation in lower case.
    Collation(Box<str>),
    CollationNeeded,
}

impl Key {
    /// Whether SQLite lets go of a closure when it gets another of this key. FTS5 keeps those before: tables and
    /// statements use them until the connection closes.
    fn is_of_one(&self) -> bool {
        !matches!(self, Self::Tokenizer(_) | Self::FtsFunction(_))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokenizer(name) => write!(f, "tokenizer {name}"),
            Self::FtsFunction(name) => write!(f, "FTS5 function {name}"),
            Self::Function(name, Some(arguments)) => write!(f, "function {name}({arguments})"),
            Self::Function(name, None) => write!(f, "function {name}(..)"),
            Self::Collation(name) => write!(f, "collation {name}"),
            Self::CollationNeeded => f.write_str("collation needed"),
        }
    }
}

/// A closure with its connection. C has its address.
pub(super) struct Entry<F> {
    /// Not moved, and freed after the entry.
    db: NonNull<Db>,
    tracked: Tracked,
    pub(super) call: F,
}

impl<F> Entry<F> {
    pub(super) fn new(db: &Db, tracked: Tracked, call: F) -> Self {
        Self { db: NonNull::from(db), tracked, call }
    }

    /// Returns the entry that C passes to a trampoline.
    ///
    /// # Safety
    ///
    /// `address` is that of [`Db::register`], of the same `F`. C calls the trampoline, so the entry is registered, and
    /// it is used during the call only.
    #[inline(always)]
    pub(super) unsafe fn of<'call>(address: *mut c_void) -> &'call Self {
        // SAFETY: the caller promises the address of a registered entry, which the connection's list keeps until SQLite
        // has let go of it: replacing and removing are refused within a callback (rule 4), and closing comes before the
        // list is dropped (rule 6). Only shared references to it exist.
        unsafe { &*address.cast::<Self>() }
    }

    /// Runs the closure for C, as [`Db::call_back`] does.
    #[inline(always)]
    pub(super) fn call_back<R>(&self, run: impl FnOnce(&F) -> R) -> Option<R> {
        timed(&self.tracked, || self.db().call_back(|| run(&self.call)))
    }

    /// Returns the connection, for as long as its entry.
    #[inline(always)]
    pub(super) fn db(&self) -> &Db {
        // SAFETY: the connection registered the entry, does not move (rule 19), and is freed after its list of entries,
        // which keeps `self`. C was entered by its one thread, which is this one (rule 12).
        unsafe { self.db.as_ref() }
    }
}

impl<F: Send + 'static> Entry<F> {
    /// Gives the entry to SQLite, which calls [`release_entry`] when it has let go of it.
    pub(super) fn give(self) -> *mut c_void {
        let given = &self.db().callbacks.given;
        given.set(given.get() + 1);
        Box::into_raw(Box::new(self)).cast()
    }
}

/// Destructor of an [`Entry`] that SQLite owned. Drop of its value is the program's code, and does not run here.
pub(super) unsafe extern "C" fn release_entry<F: Send + 'static>(address: *mut c_void) {
    // SAFETY: made by `Entry::give` of the same `F`; SQLite calls the destructor once, when nothing of it can call the
    // entry any more (rules 14, 22).
    let entry = unsafe { Box::from_raw(address.cast::<Entry<F>>()) };
    // SAFETY: SQLite releases what it owns at the latest in `sqlite3_close`, and the connection is freed after that
    // (rule 6). It does not move (rule 14).
    let db = unsafe { entry.db.as_ref() };
    db.callbacks.given.set(db.callbacks.given.get() - 1);
    let pointer = entry.db;
    db.disturb();
    db.callbacks.released.borrow_mut().push(Released::Entry(entry));
    if db.is_of_host() {
        // SAFETY: the connection of the entry, which is not freed yet: the entry was the last that SQLite owned, at the
        // earliest (rule 28).
        unsafe { Db::released_by_host(pointer) }
    }
}

/// Runs a call of a closure. While times are taken, it is added to the closure's record.
#[inline(always)]
pub(super) fn timed<R>(tracked: &Tracked, call: impl FnOnce() -> R) -> R {
    let began = if activity::is_timing() { now() } else { 0 };
    let result = call();
    if began != 0 {
        add_call(tracked, began);
    }
    result
}

/// Returns the current time, which is not 0.
#[cold]
#[inline(never)]
fn now() -> u64 {
    clock::nanoseconds().max(1)
}

#[cold]
#[inline(never)]
fn add_call(tracked: &Tracked, began: u64) {
    if let Some(record) = &tracked.recorded {
        record.add_call(clock::nanoseconds().saturating_sub(began));
    }
}

/// A closure that SQLite may call.
struct Registered {
    key: Key,
    _entry: Rc<dyn Any>,
}

/// Result code of a callback whose error the connection keeps. It is none of SQLite's, which passes it on as one of
/// `SQLITE_ERROR`.
pub(super) const KEPT_FAILURE: c_int = ffi::SQLITE_ERROR | 200 << 8;

/// The error of a callback.
#[derive(Debug)]
pub(crate) enum CallbackFailure {
    NoMemory,
    Fault(FunctionFault),
}

/// A value of the program that SQLite holds for a running statement, and releases by [`release_held`].
pub(super) struct Held {
    db: NonNull<Db>,
    pub(super) value: Box<dyn Any + Send>,
}

impl Held {
    /// Moves a value to where SQLite can hold it. It is dropped some time after SQLite has passed it to
    /// [`release_held`], and not while a callback is running.
    pub(super) fn new(db: &Db, value: Box<dyn Any + Send>) -> NonNull<Self> {
        db.disturb();
        NonNull::from(Box::leak(Box::new(Self { db: NonNull::from(db), value })))
    }
}

/// Destructor of a [`Held`] value. Drop of the value is the program's code, and does not run here.
pub(super) unsafe extern "C" fn release_held(held: *mut c_void) {
    let Some(held) = NonNull::new(held.cast::<Held>()) else {
        return;
    };
    // SAFETY: created by `Held::new`; SQLite calls the destructor once, and it is freed later (rules 15, 22).
    let db = unsafe { held.as_ref() }.db;
    // SAFETY: SQLite releases what it holds at the latest in `sqlite3_close`, and the connection is freed after that
    // (rule 6). It does not move (rule 14).
    let db = unsafe { db.as_ref() };
    // It is unsettled until it is dropped.
    db.callbacks.released.borrow_mut().push(Released::Held(held));
    if db.is_of_host() {
        db.drop_released_by_call();
    }
}

pub(super) mod hosted;
#[cfg(test)]
mod tests;

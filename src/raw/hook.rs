//! Hooks: closures that SQLite calls when something happens on a connection, several where SQLite has one slot.
//!
//! SQLite gets the address of the connection and no closure. A trampoline finds the closures of its slot in the
//! connection, and calls each through `Db::call_back`. A slot has its trampoline while it has closures: it is installed
//! with the first, and taken away when the connection is used after the last has ended.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

use super::db::{Db, Entered};
use super::limit::Limits;
use super::os::fork::{self, Moment};
use super::{ffi, text};
use crate::error::Fault;
use crate::track::Taint;

mod access;
mod busy;
mod changes;
mod event;
#[cfg(feature = "session")]
mod preupdate;
mod subscriber;
mod trace;

pub use access::{Access, AccessRequest, Action};
pub use event::{AutovacuumPages, Operation, TraceEvent, TraceEvents, Update, WalCommit};
#[cfg(feature = "session")]
pub use preupdate::PreUpdate;
pub use trace::Traced;

use access::Names;
use busy::Busy;
use changes::Changes;
pub(crate) use changes::{ChangeSink, Committed};
pub(crate) use subscriber::{End, Ending};
use subscriber::{Subscriber, Subscribers};
use trace::Tracer;

pub(crate) type OnUpdate = dyn FnMut(&Update<'_>) + Send;
/// Returns whether the transaction may be committed.
pub(crate) type OnCommit = dyn FnMut() -> bool + Send;
pub(crate) type OnRollback = dyn FnMut() + Send;
pub(crate) type OnWal = dyn FnMut(&WalCommit<'_>) + Send;
/// Returns the number of pages to remove.
pub(crate) type OnAutovacuum = dyn FnMut(&AutovacuumPages<'_>) -> u32 + Send;
/// Returns whether the statement goes on.
pub(crate) type OnProgress = dyn FnMut() -> bool + Send;
pub(crate) type OnTrace = dyn FnMut(&TraceEvent<'_>) + Send;
pub(crate) type Authorizer = dyn FnMut(&AccessRequest<'_>) -> Access + Send;
/// Gets the number of earlier calls for the same lock, and returns whether SQLite tries again.
pub(crate) type OnBusy = dyn FnMut(u32) -> bool + Send;

/// The hooks of a connection.
#[derive(Default)]
pub(super) struct Hooks {
    update: Subscribers<OnUpdate>,
    #[cfg(feature = "session")]
    preupdate: Subscribers<preupdate::OnPreUpdate>,
    commit: Subscribers<OnCommit>,
    rollback: Subscribers<OnRollback>,
    wal: Subscribers<OnWal>,
    /// Number of pages of the write-ahead log from which a commit checkpoints; 0: never. SQLite's slot is ours.
    wal_autocheckpoint: Cell<c_int>,
    autovacuum: Subscribers<OnAutovacuum>,
    progress: Subscribers<Ticking>,
    /// Number of virtual machine instructions between two calls of the progress handler.
    interval: Cell<u32>,
    trace: Subscribers<Tracer>,
    authorizer: Subscribers<Authorizer>,
    busy: Busy,
    changes: Changes,
    /// Whether a statement of this module is prepared, which the authorizer does not see.
    is_own: Cell<bool>,
    /// Bit set of the slots whose trampoline SQLite has.
    installed: Cell<u32>,
    /// Moment at which ended closures were last looked for: each end changes it.
    pruned: Cell<Option<Moment>>,
}

/// A slot of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Slot {
    Update = 1,
    Commit = 2,
    Rollback = 4,
    Wal = 8,
    Autovacuum = 16,
    Progress = 32,
    Trace = 64,
    Authorizer = 128,
    Busy = 256,
    #[cfg(feature = "session")]
    PreUpdate = 512,
}

/// A closure of `on_progress`.
struct Ticking {
    every: u32,
    /// Number of instructions since its last call.
    elapsed: u32,
    closure: Box<OnProgress>,
}

/// Returns the connection of a trampoline.
///
/// # Safety
///
/// `address` is the one that a function of this module registered, and SQLite is calling the trampoline of that
/// registration.
#[inline(always)]
unsafe fn db_of<'call>(address: *mut c_void) -> &'call Db {
    // SAFETY: the address of the connection that made the registration (the caller's promise, rule 14). It does not move
    // (rule 19), is freed after SQLite has closed it (rule 6), and is used by the thread that entered C, which is this
    // one (rule 12).
    unsafe { &*address.cast::<Db>() }
}

impl Db {
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.callbacks.hooks
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.callbacks.limits
    }

    fn address(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// Adds a closure to a slot. `install` passes the trampoline to SQLite, or adapts what it was passed.
    fn subscribe<F: ?Sized + Send + 'static>(
        &self,
        slot: Slot,
        subscribers: &Subscribers<F>,
        (name, site): (&str, &'static Location<'static>),
        closure: Box<F>,
        install: impl FnOnce(&Entered<'_>) -> Result<(), Fault>,
    ) -> Result<Ending, Fault> {
        let entered = self.enter_to_register()?;
        let subscriber = Subscriber::new(self, name, site, closure);
        subscribers.prune();
        subscribers.add(&subscriber);
        self.installed(slot);
        let ending = Ending(subscriber as Arc<dyn End>);
        if let Err(fault) = install(&entered) {
            ending.end();
            subscribers.prune();
            return Err(fault);
        }
        self.add_taint(Taint::REGISTERED);
        Ok(ending)
    }

    fn is_installed(&self, slot: Slot) -> bool {
        self.hooks().installed.get() & slot as u32 != 0
    }

    pub(crate) fn on_update(&self, site: &'static Location<'static>, f: Box<OnUpdate>) -> Result<Ending, Fault> {
        self.subscribe(Slot::Update, &self.hooks().update, ("on_update", site), f, |entered| {
            self.install_update(entered);
            Ok(())
        })
    }

    fn installed(&self, slot: Slot) {
        self.hooks().installed.set(self.hooks().installed.get() | slot as u32);
    }

    fn install_update(&self, entered: &Entered<'_>) {
        self.installed(Slot::Update);
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        unsafe { ffi::sqlite3_update_hook(entered.db(), Some(updated), self.address()) };
    }

    fn install_commit(&self, entered: &Entered<'_>) {
        self.installed(Slot::Commit);
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        unsafe { ffi::sqlite3_commit_hook(entered.db(), Some(committing), self.address()) };
    }

    fn install_rollback(&self, entered: &Entered<'_>) {
        self.installed(Slot::Rollback);
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        unsafe { ffi::sqlite3_rollback_hook(entered.db(), Some(rolled_back), self.address()) };
    }

    fn install_authorizer(&self, entered: &Entered<'_>) -> Result<(), Fault> {
        self.installed(Slot::Authorizer);
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        let code = unsafe { ffi::sqlite3_set_authorizer(entered.db(), Some(authorize), self.address()) };
        self.check(code)
    }

    pub(crate) fn on_commit(&self, site: &'static Location<'static>, f: Box<OnCommit>) -> Result<Ending, Fault> {
        self.subscribe(Slot::Commit, &self.hooks().commit, ("on_commit", site), f, |entered| {
            self.install_commit(entered);
            Ok(())
        })
    }

    pub(crate) fn on_rollback(&self, site: &'static Location<'static>, f: Box<OnRollback>) -> Result<Ending, Fault> {
        self.subscribe(Slot::Rollback, &self.hooks().rollback, ("on_rollback", site), f, |entered| {
            self.install_rollback(entered);
            Ok(())
        })
    }

    pub(crate) fn on_wal(&self, site: &'static Location<'static>, f: Box<OnWal>) -> Result<Ending, Fault> {
        self.check_registering()?;
        if !self.is_installed(Slot::Wal) {
            let pages = self.read_pragma(c"PRAGMA wal_autocheckpoint")?;
            self.hooks().wal_autocheckpoint.set(pages);
        }
        self.subscribe(Slot::Wal, &self.hooks().wal, ("on_wal", site), f, |entered| {
            // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
            unsafe { ffi::sqlite3_wal_hook(entered.db(), Some(wal_committed), self.address()) };
            Ok(())
        })
    }

    pub(crate) fn on_autovacuum_pages(
        &self,
        site: &'static Location<'static>,
        f: Box<OnAutovacuum>,
    ) -> Result<Ending, Fault> {
        self.subscribe(Slot::Autovacuum, &self.hooks().autovacuum, ("on_autovacuum_pages", site), f, |entered| {
            // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
            // c3ref/autovacuum_pages.html: the destructor may be NULL.
            let code = unsafe { ffi::sqlite3_autovacuum_pages(entered.db(), Some(vacuuming), self.address(), None) };
            self.check(code)
        })
    }

    /// Adds a closure that is called about every `every` instructions of the virtual machine.
    pub(crate) fn on_progress(
        &self,
        site: &'static Location<'static>,
        every: u32,
        closure: Box<OnProgress>,
    ) -> Result<Ending, Fault> {
        let every = every.clamp(1, i32::MAX.unsigned_abs());
        let ticking = Box::new(Ticking { every, elapsed: 0, closure });
        self.subscribe(Slot::Progress, &self.hooks().progress, ("on_progress", site), ticking, |entered| {
            self.set_interval(entered);
            Ok(())
        })
    }

    /// Passes the progress handler to SQLite with the shortest interval of its closures and of the limits, or takes it
    /// away.
    fn set_interval(&self, entered: &Entered<'_>) {
        let mut interval = self.limits().interval();
        self.hooks().progress.inspect(|ticking| interval = interval.min(ticking.every));
        self.hooks().interval.set(interval);
        let every = if interval == u32::MAX { 0 } else { c_int::try_from(interval).unwrap_or(c_int::MAX) };
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        // c3ref/progress_handler.html: an interval below 1 disables the handler.
        unsafe { ffi::sqlite3_progress_handler(entered.db(), every, Some(progress), self.address()) };
    }

    pub(crate) fn on_trace(
        &self,
        site: &'static Location<'static>,
        events: TraceEvents,
        closure: Box<OnTrace>,
    ) -> Result<Ending, Fault> {
        self.subscribe(
            Slot::Trace,
            &self.hooks().trace,
            ("on_trace", site),
            Box::new(Tracer { events, closure }),
            |entered| self.set_trace(entered),
        )
    }

    /// Requests the events of all closures from SQLite.
    fn set_trace(&self, entered: &Entered<'_>) -> Result<(), Fault> {
        let mut events = TraceEvents(0);
        self.hooks().trace.inspect(|tracer| events = events.with(tracer.events));
        // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
        // c3ref/trace_v2.html: a mask of zero disables tracing.
        let code = unsafe { ffi::sqlite3_trace_v2(entered.db(), events.0, Some(trace::traced), self.address()) };
        self.check(code)
    }

    /// Sets the authorizer, in place of the one before. Prepared statements are prepared again when they are next run.
    pub(crate) fn set_authorizer(&self, site: &'static Location<'static>, f: Box<Authorizer>) -> Result<Ending, Fault> {
        self.check_registering()?;
        self.hooks().authorizer.end();
        self.subscribe(Slot::Authorizer, &self.hooks().authorizer, ("authorizer", site), f, |entered| {
            self.install_authorizer(entered)
        })
    }

    /// Sets the busy handler, in place of the one before. The busy timeout applies again when it has ended.
    pub(crate) fn set_busy_handler(&self, site: &'static Location<'static>, f: Box<OnBusy>) -> Result<Ending, Fault> {
        self.check_registering()?;
        self.take_busy_slot()?;
        self.hooks().busy.closures.end();
        self.subscribe(Slot::Busy, &self.hooks().busy.closures, ("busy_handler", site), f, |entered| {
            self.install_busy(entered)
        })
    }

    /// Passes to SQLite the handlers that keep the limits.
    pub(super) fn install_limits(&self, entered: &Entered<'_>) -> Result<(), Fault> {
        self.installed(Slot::Progress);
        self.installed(Slot::Busy);
        self.set_interval(entered);
        self.install_busy(entered)
    }

    /// Refuses a registration where none is allowed, before anything is changed.
    fn check_registering(&self) -> Result<(), Fault> {
        self.enter_to_register().map(drop)
    }

    /// Takes away from SQLite the trampolines whose closures and limits have all ended, if any has ended since the last
    /// time.
    pub(super) fn prune_hooks_if_ended(&self) {
        let hooks = self.hooks();
        let has_ended = || hooks.pruned.get() != Some(fork::now()) || self.limits().has_ended();
        if hooks.installed.get() != 0 && has_ended() && !self.is_in_any_callback() {
            hooks.pruned.set(Some(fork::now()));
            self.prune_hooks();
        }
    }

    /// Takes away from SQLite the trampolines whose closures and limits have all ended. Not within a callback.
    #[cold]
    #[inline(never)]
    fn prune_hooks(&self) {
        let hooks = self.hooks();
        let entered = Entered::late(self);
        let db = entered.db();
        if self.limits().is_active() && self.limits().prune() {
            self.callbacks.settle_one();
        }
        let (has_limits, has_changes) = (self.limits().is_active(), hooks.changes.is_active());
        if self.is_installed(Slot::Update) && hooks.update.prune() && !has_changes {
            // SAFETY: the connection is open (entered, rule 20); NULL removes the hook (c3ref/update_hook.html).
            unsafe { ffi::sqlite3_update_hook(db, None, ptr::null_mut()) };
            self.uninstalled(Slot::Update);
        }
        #[cfg(feature = "session")]
        self.prune_preupdate(&entered);
        if self.is_installed(Slot::Commit) && hooks.commit.prune() && !has_changes {
            // SAFETY: the connection is open (entered, rule 20); NULL removes the hook (c3ref/commit_hook.html).
            unsafe { ffi::sqlite3_commit_hook(db, None, ptr::null_mut()) };
            self.uninstalled(Slot::Commit);
        }
        if self.is_installed(Slot::Rollback) && hooks.rollback.prune() && !has_changes {
            // SAFETY: the connection is open (entered, rule 20); NULL removes the hook (c3ref/commit_hook.html).
            unsafe { ffi::sqlite3_rollback_hook(db, None, ptr::null_mut()) };
            self.uninstalled(Slot::Rollback);
        }
        if self.is_installed(Slot::Wal) && hooks.wal.prune() {
            // SAFETY: the connection is open (entered, rule 20); replaces the hook by SQLite's own, or by none
            // (c3ref/wal_autocheckpoint.html).
            unsafe { ffi::sqlite3_wal_autocheckpoint(db, hooks.wal_autocheckpoint.get()) };
            self.uninstalled(Slot::Wal);
        }
        if self.is_installed(Slot::Autovacuum) && hooks.autovacuum.prune() {
            // SAFETY: the connection is open (entered, rule 20); NULL removes the hook (c3ref/autovacuum_pages.html).
            unsafe { ffi::sqlite3_autovacuum_pages(db, None, ptr::null_mut(), None) };
            self.uninstalled(Slot::Autovacuum);
        }
        if self.is_installed(Slot::Progress) {
            let is_empty = hooks.progress.prune() && !has_limits;
            self.set_interval(&entered);
            if is_empty {
                self.uninstalled(Slot::Progress);
            }
        }
        if self.is_installed(Slot::Trace) {
            let is_empty = hooks.trace.prune();
            // The slot stays if SQLite runs out of memory, and is asked again.
            if self.set_trace(&entered).is_ok() && is_empty {
                self.uninstalled(Slot::Trace);
            }
        }
        if self.is_installed(Slot::Authorizer)
            && (hooks.authorizer.has_ended() || hooks.authorizer.is_empty() && !hooks.changes.is_used())
        {
            let is_empty = hooks.authorizer.prune() && !hooks.changes.is_used();
            // Statements are prepared again. Older versions of SQLite mark them only where an authorizer is set, so it
            // is set once more: without a closure it allows everything.
            let is_set = self.install_authorizer(&entered).is_ok();
            if is_set && is_empty {
                // SAFETY: the connection is open (entered, rule 20); NULL removes it (c3ref/set_authorizer.html).
                unsafe { ffi::sqlite3_set_authorizer(db, None, ptr::null_mut()) };
                self.uninstalled(Slot::Authorizer);
            }
        }
        if self.is_installed(Slot::Busy) && hooks.busy.closures.prune() && !has_limits {
            self.give_back_busy_slot(&entered);
            self.uninstalled(Slot::Busy);
        }
    }

    fn uninstalled(&self, slot: Slot) {
        self.hooks().installed.set(self.hooks().installed.get() & !(slot as u32));
    }

    /// Takes back the slots that a `PRAGMA` may have taken: preparing one sets the busy handler
    /// (`busy_timeout`) or the WAL hook (`wal_autocheckpoint`).
    #[cold]
    pub(crate) fn reclaim_hooks(&self, is_busy_timeout: bool) -> Result<(), Fault> {
        if is_busy_timeout {
            self.hooks().busy.timeout.set(None);
        }
        if self.hooks().installed.get() == 0 {
            return Ok(());
        }
        let entered = self.enter()?;
        if self.is_installed(Slot::Wal) {
            // SAFETY: the connection is open (entered, rule 20), and its address valid while SQLite has it (rule 14).
            let before = unsafe { ffi::sqlite3_wal_hook(entered.db(), Some(wal_committed), self.address()) };
            if before != self.address() {
                // SQLite's own hook has the number of pages in place of an address.
                self.hooks().wal_autocheckpoint.set(c_int::try_from(before.addr()).unwrap_or(0));
            }
        }
        if is_busy_timeout && self.is_installed(Slot::Busy) {
            let milliseconds = self.read_pragma(c"PRAGMA busy_timeout")?;
            self.hooks().busy.timeout.set(Some(milliseconds));
            self.install_busy(&entered)?;
        }
        Ok(())
    }

    /// Returns the value of a pragma that SQLite does not know, because its slot is ours.
    pub(crate) fn replaced_pragma(&self, name: &str) -> Option<i32> {
        if !self.has_hooks() {
            None
        } else if name.eq_ignore_ascii_case("busy_timeout") {
            self.hooks().busy.timeout.get().filter(|_| self.is_installed(Slot::Busy))
        } else if name.eq_ignore_ascii_case("wal_autocheckpoint") {
            self.is_installed(Slot::Wal).then(|| self.hooks().wal_autocheckpoint.get())
        } else {
            None
        }
    }

    /// Runs a pragma that returns a number.
    fn read_pragma(&self, sql: &'static CStr) -> Result<c_int, Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let (db, sql, mut statement) = (entered.db(), sql.as_ptr(), ptr::null_mut());
        self.hooks().is_own.set(true);
        // SAFETY: the connection is open (entered, rules 19, 20); the SQL is NUL-terminated (rule 22).
        let code = unsafe { ffi::sqlite3_prepare_v3(db, sql, -1, 0, &raw mut statement, ptr::null_mut()) };
        self.hooks().is_own.set(false);
        self.check(code)?;
        // SAFETY: the statement was just prepared, and only this function has it (rule 19).
        let code = unsafe { ffi::sqlite3_step(statement) };
        let value = match code {
            // SAFETY: the last step returned a row, which has one column (rule 21).
            ffi::SQLITE_ROW => Ok(unsafe { ffi::sqlite3_column_int(statement, 0) }),
            ffi::SQLITE_DONE => Ok(0),
            code => Err(self.fault(code)),
        };
        // SAFETY: the statement of this function, which does not use it again (rule 19).
        let code = unsafe { ffi::sqlite3_finalize(statement) };
        value.and_then(|value| self.check(code).map(|()| value))
    }

    /// Ends all closures, after SQLite has closed the connection.
    pub(super) fn end_hooks(&self) {
        let hooks = self.hooks();
        hooks.update.end();
        #[cfg(feature = "session")]
        hooks.preupdate.end();
        hooks.commit.end();
        hooks.rollback.end();
        hooks.wal.end();
        hooks.autovacuum.end();
        hooks.progress.end();
        hooks.trace.end();
        hooks.authorizer.end();
        hooks.busy.closures.end();
        hooks.installed.set(0);
    }

    /// Whether SQLite has a trampoline.
    pub(super) fn has_hooks(&self) -> bool {
        self.hooks().installed.get() != 0
    }
}

unsafe extern "C" fn updated(
    db: *mut c_void,
    operation: c_int,
    database: *const c_char,
    table: *const c_char,
    rowid: ffi::sqlite3_int64,
) {
    // SAFETY: SQLite passes the pointer with which `on_update` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    // SAFETY: c3ref/update_hook.html: the name of the database, unchanged during the call (rule 22).
    let database = unsafe { text::borrow(database) }.unwrap_or_default();
    // SAFETY: c3ref/update_hook.html: the name of the table, unchanged during the call (rule 22).
    let table = unsafe { text::borrow(table) }.unwrap_or_default();
    let update = Update { database: &database, table: &table, rowid, operation: Operation::of(operation) };
    db.hooks().update.each(db, |call| {
        call(&update);
        true
    });
    if db.hooks().changes.is_active() {
        db.note_change(update.database, update.table);
    }
}

/// Returns 0 to commit.
unsafe extern "C" fn committing(db: *mut c_void) -> c_int {
    // SAFETY: SQLite passes the pointer with which `on_commit` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    // What a closure that panicked would have decided is not known.
    let commits = db.hooks().commit.each(db, |call| call());
    if commits && db.hooks().changes.is_active() {
        db.note_commit();
    }
    c_int::from(!commits)
}

unsafe extern "C" fn rolled_back(db: *mut c_void) {
    // SAFETY: SQLite passes the pointer with which `on_rollback` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    db.hooks().rollback.each(db, |call| {
        call();
        true
    });
    if db.hooks().changes.is_active() {
        db.note_rollback();
    }
}

unsafe extern "C" fn wal_committed(
    db: *mut c_void,
    handle: *mut ffi::sqlite3,
    database: *const c_char,
    pages: c_int,
) -> c_int {
    // SAFETY: SQLite passes the pointer with which `on_wal` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    // SAFETY: c3ref/wal_hook.html: the name of the database, unchanged during the call (rule 22).
    let name = unsafe { text::borrow(database) }.unwrap_or_default();
    let commit = WalCommit { database: &name, pages: u32::try_from(pages).unwrap_or(0) };
    db.hooks().wal.each(db, |call| {
        call(&commit);
        true
    });
    let limit = db.hooks().wal_autocheckpoint.get();
    if limit > 0 && pages >= limit {
        let _charge = db.charge();
        // What SQLite's own hook does, which this one replaces; its errors are of no consequence, either.
        // SAFETY: the handle and the name that SQLite passes (rules 19, 22). c3ref/wal_hook.html: "The callback is
        // invoked by SQLite after the commit has taken place and the associated write-lock on the database has been
        // released, so the implementation may read, write or checkpoint the database as required."
        unsafe { ffi::sqlite3_wal_checkpoint(handle, database) };
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn vacuuming(
    db: *mut c_void,
    database: *const c_char,
    pages: c_uint,
    free_pages: c_uint,
    page_bytes: c_uint,
) -> c_uint {
    // SAFETY: SQLite passes the pointer with which `on_autovacuum_pages` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    // SAFETY: c3ref/autovacuum_pages.html: the name of the schema, unchanged during the call (rule 22).
    let database = unsafe { text::borrow(database) }.unwrap_or_default();
    let event = AutovacuumPages { database: &database, pages, free_pages, page_bytes };
    let mut removed = free_pages;
    let is_fine = db.hooks().autovacuum.each(db, |call| {
        removed = removed.min(call(&event));
        true
    });
    if is_fine { removed } else { 0 }
}

/// Returns 0 to go on.
unsafe extern "C" fn progress(db: *mut c_void) -> c_int {
    // SAFETY: SQLite passes the pointer with which `set_interval` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    let interval = db.hooks().interval.get();
    let goes_on = db.hooks().progress.each(db, |ticking| {
        ticking.elapsed = ticking.elapsed.saturating_add(interval);
        if ticking.elapsed < ticking.every {
            return true;
        }
        ticking.elapsed -= ticking.every;
        (ticking.closure)()
    });
    c_int::from(!(goes_on && db.tick(interval)))
}

unsafe extern "C" fn authorize(
    db: *mut c_void,
    code: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    accessor: *const c_char,
) -> c_int {
    // SAFETY: SQLite passes the pointer with which `set_authorizer` registered this function (rule 14).
    let db = unsafe { db_of(db) };
    if db.hooks().is_own.get() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: c3ref/set_authorizer.html: the third to sixth parameters are "either NULL pointers or zero-terminated
    // strings"; unchanged during the call (rule 22).
    let names = unsafe { Names::new([first, second, database, accessor]) };
    let request = names.request(code);
    let mut answer = Access::Allow;
    let is_fine = db.hooks().authorizer.each(db, |call| {
        answer = call(&request);
        true
    });
    match answer {
        _ if !is_fine => ffi::SQLITE_DENY,
        Access::Allow if db.hooks().changes.is_used() => {
            db.hooks().changes.authorize(code, names.first(), request.database)
        }
        Access::Allow => ffi::SQLITE_OK,
        Access::Deny => ffi::SQLITE_DENY,
        Access::Ignore => ffi::SQLITE_IGNORE,
    }
}

//! Connection handle: opening, entering, closing.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::mem;
use std::ops::Deref;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::allocator::{self, Account, Charge};
use super::callback::Callbacks;
use super::initialize::initialize;
use super::interrupt::Interrupter;
use super::lent_columns::ColumnsTables;
use super::list::Lists;
use super::os::fork::{self, Moment};
use super::recovery::Recovery;
use super::storage::TransactionState;
use super::system::Unopened;
use super::vfs::running;
use super::{Parked, ffi, library};
use crate::error::{Fault, FaultKind};
use crate::track::counts::Counted;
use crate::track::figures::{AccountMemory, LastSeen};
use crate::track::registry::{self, ConnectionInfo, Recorded, Tracked};
use crate::track::{HandleKind, Taint, counts, shielded};

mod children;
mod fault;
mod files;
mod settings;

use children::Children;
pub(super) use fault::code_fault;
use files::NotedFile;
pub use settings::{DbConfig, Limit};

/// Owner of an open connection; dropping it closes the connection. The connection does not move in memory: its
/// callbacks point to it.
pub(crate) struct OwnedDb(NonNull<Db>);

/// An open connection: the only user of the handle. [`OwnedDb`] closes it.
pub(crate) struct Db {
    ptr: NonNull<ffi::sqlite3>,
    id: u64,
    /// Id by which parked statements are recognized; it changes with each close.
    parking: Cell<u64>,
    fork_generation: Cell<u32>,
    gate: Cell<Gate>,
    /// Value that [`Db::enter`] compares with the current moment. It differs if there is anything to check or to do
    /// before the connection is used.
    pub(super) entry: Cell<Moment>,
    /// Moment at which the connection last published its figures.
    published: Cell<Moment>,
    pub(super) callbacks: Callbacks,
    pub(super) lists: Lists,
    pub(super) columns_tables: ColumnsTables,
    children: RefCell<Children>,
    interrupter: RefCell<Option<Arc<Interrupter>>>,
    account: Account,
    info: Arc<ConnectionInfo>,
    last_seen: LastSeen,
    /// Lasting changes since `take_taint` was last called.
    taint: Cell<Taint>,
    pub(super) recovery: OnceCell<Recovery>,
    /// Whether foreign code received the handle; it may have registered functions.
    is_given_out: Cell<bool>,
    /// Whether the handle belongs to the host of an extension, which closes it.
    is_of_host: Cell<bool>,
    /// Whether its [`OwnedDb`] exists; that of a host ends before it.
    is_held: Cell<bool>,
    /// Whether a transaction is known to be open: one was open after the last statement that may have changed that.
    has_transaction: Cell<bool>,
    /// Whether a statement other than `PRAGMA` and `BEGIN` was prepared: SQLite reads the schema for the first one that needs
    /// it.
    pub(super) has_prepared: Cell<bool>,
    /// Error of a Drop that ended a transaction, for the next call to return.
    lost: Cell<Option<Fault>>,
    /// Files that the connection has open.
    files: RefCell<Vec<NotedFile>>,
    /// The connection's own record.
    recorded: Cell<Option<Recorded>>,
    /// Whether the handle was not closed, and SQLite has pointers to `self`.
    is_abandoned: Cell<bool>,
    site: &'static Location<'static>,
}

// SAFETY: c3ref/open.html: with SQLITE_OPEN_NOMUTEX, threads may use SQLite "at the same time, as long as each thread
// is using a different" connection, and `library::check` refuses a SQLite without thread safety. `Db` is not `Sync` and
// values made from it borrow it, so only one thread uses it at a time (rule 12). Only `Db` uses the pointers in the
// child list and in the list of callbacks (rules 3, 14), whose closures are `Send` (rule 4); the other fields are
// `Send` by themselves.
unsafe impl Send for OwnedDb {}

impl Deref for OwnedDb {
    type Target = Db;

    #[inline(always)]
    fn deref(&self) -> &Db {
        // SAFETY: created by `Box::leak` in `Db::own`, and freed by the Drop of `self` alone (rule 19). Only shared
        // references to it exist until then.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnedDb {
    /// Closes a `Db` that never became a connection (a failed open); `Connection` closes before it drops its `Db`.
    fn drop(&mut self) {
        if self.is_of_host() && !self.is_closed() {
            return self.leave_to_host();
        }
        if self.close(Vec::new()).is_err() {
            shielded(|| {
                let (connection, name, opened_at) = (self.id(), self.info().name(), self.site());
                tracing::error!(
                    target: "finalite::leak",
                    connection,
                    name,
                    %opened_at,
                    "opening has failed, and the connection could not be closed; its handle is leaked",
                );
            });
            self.abandon();
        }
        if !self.is_abandoned.get() {
            // SAFETY: created by `Box::leak` in `Db::own`; `self` is its only owner and is not used again (rule 19). It
            // is closed, or no callback is registered, so SQLite has no pointer to it (rules 6, 14).
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// Error of a use of the connection within one of its callbacks.
const IN_CALLBACK: &str =
    "the connection is running SQL that called this callback: it can be used again when the callback has returned";

/// Error of a use of any connection within a method of a file system.
const IN_VFS: &str = "SQLite called this method of a file system: connections can be used again when it has returned";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Closing,
    Closed,
}

/// Returns an error if there is no SQLite that can be used.
fn check_library() -> Result<(), Fault> {
    #[cfg(feature = "loadable-extension")]
    if !super::host::is_present() {
        let reason = "no SQLite has loaded this extension, which has none of its own";
        return Err(Fault::new(FaultKind::Unsupported(reason.into())));
    }
    library::check().map_err(|reason| Fault::new(FaultKind::Unsupported(reason)))
}

/// Flags for opening; `SQLITE_OPEN_NOMUTEX` and `SQLITE_OPEN_EXRESCODE` are always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFlags {
    pub(crate) read_only: bool,
    pub(crate) create: bool,
    pub(crate) uri: bool,
    pub(crate) no_follow: bool,
}

/// Returns what the next entry of a connection compares, if nothing is left to do for it: with file systems of the program,
/// each entry is late, and looks whether a method of one is running.
fn moment_of_entry(now: Moment) -> Moment {
    // `now` was read before.
    fence(Ordering::Acquire);
    if running::is_in_use() { Moment::WATCHED } else { now }
}

/// Proof that the connection may be used now. The pointer for calls that reach the database is obtained through it.
#[must_use]
pub(super) struct Entered<'db>(&'db Db);

impl<'db> Entered<'db> {
    /// For code that `enter_late` calls: the connection may be used.
    pub(super) fn late(db: &'db Db) -> Self {
        Self(db)
    }

    #[inline(always)]
    pub(super) fn get(&self) -> &'db Db {
        self.0
    }

    #[inline(always)]
    pub(super) fn db(&self) -> *mut ffi::sqlite3 {
        self.0.ptr.as_ptr()
    }

    /// Charges SQLite's allocations on this thread to this connection, until the guard is dropped. It is held only
    /// around the SQLite call, so that calls on another connection in between are not charged to this one.
    #[inline(always)]
    pub(super) fn charge(&self) -> Charge {
        self.0.account.charge()
    }
}

impl Db {
    pub(crate) fn open(
        path: &CStr,
        flags: OpenFlags,
        vfs: Option<&CStr>,
        name: Option<&str>,
        site: &'static Location<'static>,
    ) -> Result<OwnedDb, Fault> {
        check_library()?;
        if running::is_running() {
            return Err(Fault::new(FaultKind::Misuse(IN_VFS)));
        }
        fork::watch();
        let mut bits = ffi::SQLITE_OPEN_NOMUTEX | ffi::SQLITE_OPEN_EXRESCODE;
        bits |= if flags.read_only { ffi::SQLITE_OPEN_READONLY } else { ffi::SQLITE_OPEN_READWRITE };
        if flags.create && !flags.read_only {
            bits |= ffi::SQLITE_OPEN_CREATE;
        }
        if flags.uri {
            bits |= ffi::SQLITE_OPEN_URI;
        }
        if flags.no_follow {
            bits |= ffi::SQLITE_OPEN_NOFOLLOW;
        }
        initialize().map_err(code_fault)?;
        let id = registry::new_id();
        let account = Account::claim(id, site);
        let opening = fork::Opening::begin();
        let charge = account.charge();
        let mut handle = ptr::null_mut();
        // SAFETY: `path` and `vfs` are NUL-terminated and live during the call, as `CStr` borrows; `vfs` may be NULL
        // for the default (rule 22, c3ref/open.html). `own` below takes the handle, whatever the code (rule 19).
        let code = unsafe {
            ffi::sqlite3_open_v2(path.as_ptr(), &raw mut handle, bits, vfs.map_or(ptr::null(), CStr::as_ptr))
        };
        // c3ref/open.html: "Whether or not an error occurs when it is opened, resources associated with the database
        // connection handle should be released": `Db` takes ownership here, before `code` is checked.
        let db = Self::own(handle, id, account, name, site);
        drop(charge);
        allocator::settle_mode();
        let db = db.ok_or_else(Fault::no_memory)?;
        running::resume();
        if code != ffi::SQLITE_OK {
            return Err(db.fault_of_opening(code, |errno| {
                let is_of_files = |vfs: &CStr| [&b"unix"[..], b"win32"].iter().any(|of| vfs.to_bytes().starts_with(of));
                let (is_uri, create) = (flags.uri, Some(flags.create && !flags.read_only).filter(|_| !flags.uri));
                let unopened = vfs.is_none_or(is_of_files).then_some(Unopened { path, is_uri, create, errno });
                unopened.and_then(|unopened| unopened.reason())
            }));
        }
        db.remove_tokenizers_by_address()?;
        // `sqlite3_open_v2` has read nothing yet, and taken no lock.
        db.note_files()?;
        drop(opening);
        Ok(db)
    }

    /// Marks the connection as inherited from another process: from now on it is neither used nor closed.
    fn disown_handle(&self) {
        self.leave_files_open();
        self.fork_generation.set(u32::MAX);
        self.entry.set(Moment::NEVER);
    }

    /// Takes ownership of a handle; `None` for NULL, which SQLite returns if it "is unable to allocate memory to hold
    /// the sqlite3 object".
    fn own(
        handle: *mut ffi::sqlite3,
        id: u64,
        account: Account,
        name: Option<&str>,
        site: &'static Location<'static>,
    ) -> Option<OwnedDb> {
        let Some(ptr) = NonNull::new(handle) else {
            account.release();
            return None;
        };
        counts::opened(HandleKind::Connection);
        // If figures have been requested, the first entry publishes them.
        // Taken before it is asked whether a file system of the program is there: one that comes in between is seen at the
        // first entry.
        let now = fork::now();
        fence(Ordering::Acquire);
        let moment = if fork::are_figures_asked() || running::is_in_use() { Moment::NEVER } else { now };
        let db = OwnedDb(NonNull::from(Box::leak(Box::new(Self {
            ptr,
            id,
            parking: Cell::new(registry::new_id()),
            fork_generation: Cell::new(fork::generation()),
            gate: Cell::new(Gate::Open),
            entry: Cell::new(moment),
            published: Cell::new(moment),
            callbacks: Callbacks::default(),
            lists: Lists::default(),
            columns_tables: ColumnsTables::default(),
            children: RefCell::new(Children::default()),
            interrupter: RefCell::default(),
            account,
            info: ConnectionInfo::open(id, name, library::default_lookaside(), site),
            last_seen: LastSeen::default(),
            taint: Cell::new(Taint::NONE),
            recovery: OnceCell::new(),
            is_given_out: Cell::new(false),
            is_of_host: Cell::new(false),
            is_held: Cell::new(true),
            has_transaction: Cell::new(false),
            has_prepared: Cell::new(false),
            lost: Cell::new(None),
            files: RefCell::default(),
            recorded: Cell::default(),
            is_abandoned: Cell::new(false),
            site,
        }))));
        db.recorded.set(db.record(HandleKind::Connection, id, None, site, None));
        Some(db)
    }

    /// Takes ownership of a handle that other code opened.
    ///
    /// # Safety
    ///
    /// `handle` is NULL or an open connection that no other code uses or closes from now on.
    pub(crate) unsafe fn from_raw(
        handle: *mut ffi::sqlite3,
        site: &'static Location<'static>,
    ) -> Result<OwnedDb, Fault> {
        check_library()?;
        fork::watch();
        let id = registry::new_id();
        let db = Self::own(handle, id, Account::claim(id, site), None, site);
        let db = db.ok_or_else(|| Fault::new(FaultKind::Misuse("the handle is NULL")))?;
        db.give_out();
        allocator::settle_mode();
        // SAFETY: the handle is open, and owned by `db` alone from now on (the caller's promise, rule 19); sets a flag
        // stored in it (rule 20).
        let code = unsafe { ffi::sqlite3_extended_result_codes(db.ptr.as_ptr(), 1) };
        // The file may be one that the parent process has open: until this is known, the handle is not closed.
        db.note_files().inspect_err(|_| db.disown_handle())?;
        db.check(code)?;
        db.remove_tokenizers_by_address()?;
        Ok(db)
    }

    /// Takes part in a connection of a host, for an extension. No setting is changed. Dropping the result finalizes the
    /// statements made by it, and leaves the connection to the host.
    ///
    /// # Safety
    ///
    /// `handle` is NULL or an open connection of the SQLite whose functions `host` has, which no other thread uses until the
    /// result is dropped. What is registered on it is called by one thread at a time.
    #[cfg(feature = "loadable-extension")]
    pub(super) unsafe fn of_host(
        handle: *mut ffi::sqlite3,
        site: &'static Location<'static>,
    ) -> Result<OwnedDb, Fault> {
        fork::watch();
        let id = registry::new_id();
        let db = Self::own(handle, id, Account::claim(id, site), None, site).ok_or_else(Fault::no_memory)?;
        db.is_of_host.set(true);
        db.give_out();
        allocator::settle_mode();
        Ok(db)
    }

    /// Whether the handle belongs to the host of an extension.
    #[inline(always)]
    pub(crate) fn is_of_host(&self) -> bool {
        cfg!(feature = "loadable-extension") && self.is_of_host.get()
    }

    /// Whether its [`OwnedDb`] exists.
    pub(super) fn is_held(&self) -> bool {
        self.is_held.get()
    }

    /// Starts a use of the connection. Returns an error in a forked child, while the connection is being closed, and
    /// within a callback of the connection.
    #[inline(always)]
    pub(super) fn enter(&self) -> Result<Entered<'_>, Fault> {
        self.try_enter().ok_or_else(|| self.refuse())
    }

    /// Returns an error if the connection may not be used now.
    pub(crate) fn check_usable(&self) -> Result<(), Fault> {
        self.enter().map(drop)
    }

    /// Starts a use of the connection, if there is nothing to check or to do before.
    #[inline(always)]
    pub(super) fn enter_undisturbed(&self) -> Option<Entered<'_>> {
        (self.entry.get() == fork::now() || self.is_calm()).then_some(Entered(self))
    }

    /// Whether there is nothing to check or to do, in a process with file systems of the program: none of their methods is
    /// running on this thread, or has panicked.
    #[cold]
    #[inline(never)]
    fn is_calm(&self) -> bool {
        self.entry.get() == Moment::WATCHED
            && self.published.get() == fork::now()
            && !running::is_running()
            && !running::has_parked()
    }

    /// Starts a use of the connection as [`enter`](Self::enter) does; `None` in place of the error.
    #[inline(always)]
    pub(super) fn try_enter(&self) -> Option<Entered<'_>> {
        if self.entry.get() == fork::now() { Some(Entered(self)) } else { self.enter_late() }
    }

    /// Handles a change since the last entry: the connection must not be used now, or a callback left something to do,
    /// or the figures were requested and are published.
    #[cold]
    #[inline(never)]
    fn enter_late(&self) -> Option<Entered<'_>> {
        if self.is_calm() {
            return Some(Entered(self));
        }
        if self.gate.get() != Gate::Open || self.is_inherited() || self.is_in_callback() {
            return None;
        }
        self.settle_callbacks();
        self.prune_hooks_if_ended();
        self.resume_late();
        let now = fork::now();
        if self.callbacks.are_settled() {
            self.entry.set(moment_of_entry(now));
        }
        if self.published.replace(now) != now {
            self.publish();
        }
        Some(Entered(self))
    }

    /// Continues a use of the connection in a trampoline, after its closure. C is running: nothing that callbacks left
    /// is settled or resumed.
    pub(super) fn entered_by_c(&self) -> Option<Entered<'_>> {
        (self.is_open() && !self.is_inherited()).then_some(Entered(self))
    }

    /// Whether there may be something to check or to do before the connection is used.
    #[inline(always)]
    pub(super) fn is_disturbed(&self) -> bool {
        self.entry.get() != fork::now() && !self.is_calm()
    }

    /// Whether the connection is neither being closed nor closed.
    #[inline(always)]
    pub(super) fn is_open(&self) -> bool {
        self.gate.get() == Gate::Open
    }

    fn set_gate(&self, gate: Gate) {
        self.gate.set(gate);
        self.entry.set(if gate == Gate::Open { moment_of_entry(fork::now()) } else { Moment::NEVER });
    }

    #[cold]
    #[inline(never)]
    pub(super) fn refuse(&self) -> Fault {
        Fault::new(if self.is_inherited() {
            FaultKind::Forked
        } else if running::is_running() {
            FaultKind::Misuse(IN_VFS)
        } else if self.is_open() {
            FaultKind::Misuse(IN_CALLBACK)
        } else {
            FaultKind::Misuse("the connection is being closed")
        })
    }

    /// Whether this process inherited the connection through `fork`.
    pub(crate) fn is_inherited(&self) -> bool {
        self.fork_generation.get() != fork::generation()
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::sqlite3 {
        self.ptr.as_ptr()
    }

    /// Returns the id, unique among all handles of the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Charges SQLite's allocations as [`Entered::charge`] does, for calls that only release memory.
    #[inline(always)]
    pub(super) fn charge(&self) -> Charge {
        self.account.charge()
    }

    #[inline(always)]
    pub(super) fn parking(&self) -> u64 {
        self.parking.get()
    }

    /// Returns the handle for foreign code, and records that it was given out.
    ///
    /// # Safety
    ///
    /// The conditions of [`Connection::as_raw`](crate::Connection::as_raw).
    pub(crate) unsafe fn as_raw(&self) -> *mut ffi::sqlite3 {
        self.give_out();
        self.as_ptr()
    }

    /// Records that foreign code has or had the handle.
    pub(super) fn give_out(&self) {
        self.is_given_out.set(true);
        self.has_transaction.set(false);
        self.add_taint(Taint::RAW);
    }

    pub(crate) fn add_taint(&self, taint: Taint) {
        self.taint.set(self.taint.get().with(taint));
        if taint.has(Taint::SCHEMA) {
            self.note_schema();
        }
    }

    /// Returns the lasting changes since they were last taken.
    pub(crate) fn taint(&self) -> Taint {
        self.taint.get()
    }

    /// Returns the lasting changes since the last call, and clears them.
    pub(crate) fn take_taint(&self) -> Taint {
        self.taint.take()
    }

    /// Returns the state of the transaction on one database, or the highest of all; `None` for an unknown name.
    pub(crate) fn transaction_state(&self, name: Option<&CStr>) -> Option<TransactionState> {
        if self.is_closed() {
            return Some(TransactionState::None);
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call reads memory (rule 20); the
        // name is a C string (rule 22). c3ref/txn_state.html: with NULL, the highest state of any schema.
        match unsafe { ffi::sqlite3_txn_state(self.ptr.as_ptr(), name.map_or(ptr::null(), CStr::as_ptr)) } {
            ffi::SQLITE_TXN_NONE => Some(TransactionState::None),
            ffi::SQLITE_TXN_READ => Some(TransactionState::Read),
            ffi::SQLITE_TXN_WRITE => Some(TransactionState::Write),
            _ => None,
        }
    }

    /// Whether a transaction is open, including one that a running read statement holds open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.transaction_state(None) != Some(TransactionState::None)
    }

    /// Whether a transaction is open that writes, in any database.
    pub(crate) fn is_writing(&self) -> bool {
        self.transaction_state(None) == Some(TransactionState::Write)
    }

    /// Sets the rowid of the last insert to 0.
    pub(crate) fn reset_last_insert_rowid(&self) {
        if !self.is_closed() {
            // SAFETY: `self` owns the connection, which is not closed (rule 19); c3ref/set_last_insert_rowid.html: sets
            // a number stored in it (rule 20).
            unsafe { ffi::sqlite3_set_last_insert_rowid(self.ptr.as_ptr(), 0) };
        }
    }

    /// Returns the memory charged to the connection: current values and peak.
    pub(crate) fn memory(&self) -> AccountMemory {
        self.account.memory()
    }

    /// Returns the records of the connection and its handles.
    pub(crate) fn info(&self) -> &Arc<ConnectionInfo> {
        &self.info
    }

    /// Records a handle, if recording is on.
    #[inline]
    pub(crate) fn record(
        &self,
        kind: HandleKind,
        id: u64,
        parent: Option<u64>,
        site: &'static Location<'static>,
        sql: Option<&str>,
    ) -> Option<Recorded> {
        if registry::is_recording() { self.info.enter(kind, id, parent, site, sql) } else { None }
    }

    /// Counts a handle of the connection as open, and records it if records are kept.
    pub(crate) fn track(&self, kind: HandleKind, site: &'static Location<'static>, name: &str) -> Tracked {
        let recorded = self.record(kind, registry::new_id(), Some(self.id()), site, Some(name));
        Tracked { recorded, _counted: Counted::new(kind) }
    }

    /// Returns the source location that opened it.
    pub(crate) fn site(&self) -> &'static Location<'static> {
        self.site
    }

    // The functions below only read memory of the connection: they take no lock and read no file. They need no entry,
    // and therefore also answer in a forked child. For a closed connection they return the values of a new one.

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.get() == Gate::Closed
    }

    #[inline]
    pub(crate) fn is_autocommit(&self) -> bool {
        // SAFETY: `self` owns the connection, which is not closed when the call is made (rule 19); reads a flag stored
        // in it (rule 20).
        self.is_closed() || unsafe { ffi::sqlite3_get_autocommit(self.ptr.as_ptr()) != 0 }
    }

    pub(super) fn is_given_out(&self) -> bool {
        self.is_given_out.get()
    }

    /// Whether a transaction is known to be open. Foreign code that has the handle may have ended it.
    #[inline]
    pub(super) fn has_transaction(&self) -> bool {
        self.has_transaction.get()
    }

    /// Asks SQLite whether a transaction is open. Returns whether one may have been open before.
    pub(super) fn update_transaction(&self) -> bool {
        self.has_transaction.replace(!self.is_autocommit()) || self.is_given_out()
    }

    #[inline]
    pub(crate) fn last_insert_rowid(&self) -> i64 {
        // SAFETY: `self` owns the connection, which is not closed when the call is made (rule 19); reads a number
        // stored in it (rule 20).
        if self.is_closed() { 0 } else { unsafe { ffi::sqlite3_last_insert_rowid(self.ptr.as_ptr()) } }
    }

    #[inline]
    pub(crate) fn changes(&self) -> i64 {
        // SAFETY: `self` owns the connection, which is not closed when the call is made (rule 19); reads a number
        // stored in it (rule 20).
        if self.is_closed() { 0 } else { unsafe { ffi::sqlite3_changes64(self.ptr.as_ptr()) } }
    }

    #[inline]
    pub(crate) fn total_changes(&self) -> i64 {
        // SAFETY: `self` owns the connection, which is not closed when the call is made (rule 19); reads a number
        // stored in it (rule 20).
        if self.is_closed() { 0 } else { unsafe { ffi::sqlite3_total_changes64(self.ptr.as_ptr()) } }
    }

    pub(crate) fn interrupter(&self) -> Arc<Interrupter> {
        let target = (!self.is_closed()).then_some(self.ptr);
        let new = || Arc::new(Interrupter::new(target, self.fork_generation.get()));
        Arc::clone(self.interrupter.borrow_mut().get_or_insert_with(new))
    }

    pub(super) fn last_seen(&self) -> &LastSeen {
        &self.last_seen
    }
}

impl OwnedDb {
    /// Disables the interrupt handles that were given out.
    pub(crate) fn end_interrupts(&mut self) {
        if let Some(interrupter) = self.interrupter.take() {
            interrupter.disarm();
        }
    }

    /// Finalizes the remaining statements, then closes the connection. `parked` are the statements of the cache: they
    /// are not forgotten.
    ///
    /// If SQLite refuses (`SQLITE_BUSY`: foreign code made a statement, blob or backup), the connection stays open and
    /// usable.
    pub(crate) fn close(&mut self, parked: Vec<Parked>) -> Result<(), Fault> {
        match self.gate.get() {
            Gate::Open => {}
            Gate::Closed => return Ok(()),
            Gate::Closing => return Err(self.refuse()),
        }
        if self.is_inherited() {
            // Neither the file nor its locks may be changed, so the handle and its memory are leaked in this process.
            self.leak();
            return Ok(());
        }
        if self.is_of_host() {
            for kept in parked {
                drop(self.unpark(kept));
            }
            self.end_readers();
            self.finalize_children();
            // Of an automatic extension, SQLite takes an error that the program has handled for the result: it asks the
            // connection.
            self.take_out_of_memory_mark();
            return Ok(());
        }
        self.set_gate(Gate::Closing);
        for kept in parked {
            drop(self.unpark(kept));
        }
        self.end_readers();
        self.finalize_children();
        if self.is_inherited() {
            // A listener to the events of forgotten statements has forked.
            self.leak();
            return Ok(());
        }
        // All statements still parked are finalized now: the new id makes `unpark` refuse them.
        self.parking.set(registry::new_id());
        if let Some(interrupter) = self.interrupter.borrow().as_ref() {
            interrupter.disarm();
        }
        self.publish_counts();
        let had_panic = running::has_parked();
        let closing = fork::Opening::begin();
        let charge = self.account.charge();
        // SAFETY: `self` owns the handle, which is open and not inherited (both checked above, rules 12, 19), and
        // `finalize_children` has finalized every statement of finalite (rule 6). c3ref/close.html: sqlite3_close()
        // returns SQLITE_BUSY and leaves the connection open if anything unfinalized remains.
        let code = unsafe { ffi::sqlite3_close(self.ptr.as_ptr()) };
        drop(charge);
        self.end_panic_of_closing(had_panic);
        if code == ffi::SQLITE_OK {
            self.files.borrow_mut().clear();
        }
        drop(closing);
        if code == ffi::SQLITE_OK {
            self.account.release();
            self.closed();
            self.end_callbacks();
            return Ok(());
        }
        self.set_gate(Gate::Open);
        if let Some(interrupter) = self.interrupter.borrow().as_ref() {
            interrupter.rearm(self.ptr);
        }
        Err(self.fault(code))
    }

    /// Ends the use of a connection of a host by Rust. It lives on with the callbacks that SQLite owns.
    fn leave_to_host(&mut self) {
        // Of a connection of a host, no statement is left open, as it returns no error.
        let _ = self.close(Vec::new());
        self.is_held.set(false);
        if !self.has_given() {
            // SAFETY: SQLite owns nothing of it, and this is the Drop of its only `OwnedDb` (rule 28).
            unsafe { Self::end_of_host(self.0) }
        }
    }

    /// Frees a connection of a host, whose handle the host closes or has closed.
    ///
    /// # Safety
    ///
    /// SQLite owns no entry of it, and nothing uses it after the call.
    pub(super) unsafe fn end_of_host(db: NonNull<Db>) {
        let mut db = OwnedDb(db);
        if let Some(interrupter) = db.interrupter.borrow().as_ref() {
            interrupter.disarm();
        }
        db.account.release();
        db.closed();
        db.end_callbacks();
    }

    /// Marks the connection as closed and ends its records.
    fn closed(&mut self) {
        self.set_gate(Gate::Closed);
        counts::closed(HandleKind::Connection);
        self.info.close();
        drop(self.recorded.take());
    }

    /// Ends the use of a connection that this process inherited. Its callbacks are leaked with the handle.
    fn leak(&mut self) {
        self.closed();
        self.is_abandoned.set(self.has_callbacks());
    }

    /// Leaks a connection that `close` could not close, with its callbacks: SQLite has pointers to them, and to `self`.
    pub(crate) fn abandon(&mut self) {
        self.set_gate(Gate::Closed);
        self.is_abandoned.set(self.has_callbacks());
        // It counts as open until the process ends, and its record and its files remain listed.
        mem::forget(self.recorded.take());
        self.leave_files_open();
        if let Some(interrupter) = self.interrupter.borrow().as_ref() {
            interrupter.disarm();
        }
    }
}

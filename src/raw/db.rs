//! Connection handle: opening, entering, closing.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::mem;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::allocator::{self, Account, Charge};
use super::interrupt::Interrupter;
use super::os::fork::{self, Moment};
use super::recovery::Recovery;
use super::system::Unopened;
use super::{Parked, ffi, library};
use crate::error::{Fault, FaultKind};
use crate::track::figures::{AccountMemory, LastSeen};
use crate::track::registry::{self, Book, Recorded};
use crate::track::{HandleKind, Taint, counts};

mod children;
mod fault;
mod files;
mod settings;

use children::Children;
use files::NotedFile;
pub(crate) use settings::Switch;

/// An open connection: the only owner of the handle, and the only code that closes it.
pub(crate) struct Db {
    ptr: NonNull<ffi::sqlite3>,
    id: u64,
    /// Id by which parked statements are recognized; it changes with each close.
    parking: u64,
    fork_generation: Cell<u32>,
    gate: Cell<Gate>,
    /// Value that [`Db::enter`] compares with the current moment: while the gate is open, the moment at which the
    /// connection last published its figures.
    entry: Cell<Moment>,
    children: RefCell<Children>,
    interrupter: OnceCell<Arc<Interrupter>>,
    account: Account,
    book: Arc<Book>,
    last_seen: LastSeen,
    /// Lasting changes since `take_taint` was last called.
    taint: Cell<Taint>,
    pub(super) recovery: OnceCell<Recovery>,
    /// Whether foreign code received the handle; it may have registered functions.
    is_given_out: Cell<bool>,
    /// Error of a Drop that ended a transaction, for the next call to return.
    lost: Cell<Option<Fault>>,
    /// Files that the connection has open.
    files: RefCell<Vec<NotedFile>>,
    /// The connection's own record.
    recorded: Option<Recorded>,
    site: &'static Location<'static>,
}

// SAFETY: c3ref/open.html: with SQLITE_OPEN_NOMUTEX, threads may use SQLite "at the same time, as long as each thread
// is using a different" connection, and `library::check` refuses a SQLite without thread safety. `Db` is not `Sync` and
// values made from it borrow it, so only one thread uses it at a time (rule 12). Only `Db` uses the pointers in the
// child list (rule 3); the other fields are `Send` by themselves.
unsafe impl Send for Db {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Closing,
    Closed,
}

/// Flags for opening; `SQLITE_OPEN_NOMUTEX` and `SQLITE_OPEN_EXRESCODE` are always set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFlags {
    pub(crate) read_only: bool,
    pub(crate) create: bool,
    pub(crate) uri: bool,
    pub(crate) no_follow: bool,
}

/// Proof that the connection may be used now. The pointer for calls that reach the database is obtained through it.
#[must_use]
pub(super) struct Entered<'db>(&'db Db);

impl<'db> Entered<'db> {
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
    ) -> Result<Self, Fault> {
        library::check().map_err(|reason| Fault::new(FaultKind::Unsupported(reason)))?;
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
        if code != ffi::SQLITE_OK {
            return Err(db.fault_of_opening(code, |errno| {
                let is_of_files = |vfs: &CStr| [&b"unix"[..], b"win32"].iter().any(|of| vfs.to_bytes().starts_with(of));
                let (is_uri, create) = (flags.uri, Some(flags.create && !flags.read_only).filter(|_| !flags.uri));
                let unopened = vfs.is_none_or(is_of_files).then_some(Unopened { path, is_uri, create, errno });
                unopened.and_then(|unopened| unopened.reason())
            }));
        }
        // `sqlite3_open_v2` has read nothing yet, and taken no lock.
        db.note_files()?;
        drop(opening);
        Ok(db)
    }

    /// Marks the connection as inherited from another process: from now on it is neither used nor closed.
    fn disown_handle(&self) {
        // Its files stay open.
        mem::forget(self.files.take());
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
    ) -> Option<Self> {
        let Some(ptr) = NonNull::new(handle) else {
            account.release();
            return None;
        };
        counts::opened(HandleKind::Connection);
        let mut db = Self {
            ptr,
            id,
            parking: registry::new_id(),
            fork_generation: Cell::new(fork::generation()),
            gate: Cell::new(Gate::Open),
            // If figures have been requested, the first entry publishes them.
            entry: Cell::new(if fork::are_figures_asked() { Moment::NEVER } else { fork::now() }),
            children: RefCell::new(Children::default()),
            interrupter: OnceCell::new(),
            account,
            book: Book::open(id, name, library::default_lookaside(), site),
            last_seen: LastSeen::default(),
            taint: Cell::new(Taint::NONE),
            recovery: OnceCell::new(),
            is_given_out: Cell::new(false),
            lost: Cell::new(None),
            files: RefCell::default(),
            recorded: None,
            site,
        };
        db.recorded = db.record(HandleKind::Connection, id, None, site, None);
        Some(db)
    }

    /// Takes ownership of a handle that other code opened.
    ///
    /// # Safety
    ///
    /// `handle` is NULL or an open connection that no other code uses or closes from now on.
    pub(crate) unsafe fn from_raw(handle: *mut ffi::sqlite3, site: &'static Location<'static>) -> Result<Self, Fault> {
        library::check().map_err(|reason| Fault::new(FaultKind::Unsupported(reason)))?;
        fork::watch();
        let id = registry::new_id();
        let db = Self::own(handle, id, Account::claim(id, site), None, site);
        let db = db.ok_or_else(|| Fault::new(FaultKind::Misuse("the handle is NULL")))?;
        db.give_out();
        allocator::settle_mode();
        // SAFETY: the handle is open, and owned by `db` alone from now on (the caller's promise, rule 19); sets a flag
        // stored in it (rule 20).
        unsafe { ffi::sqlite3_extended_result_codes(db.ptr.as_ptr(), 1) };
        // The file may be one that the parent process has open.
        db.note_files().inspect_err(|_| db.disown_handle())?;
        Ok(db)
    }

    /// Starts a use of the connection. Returns an error in a forked child, and while the connection is being closed.
    #[inline(always)]
    pub(super) fn enter(&self) -> Result<Entered<'_>, Fault> {
        self.try_enter().ok_or_else(|| self.refuse())
    }

    /// Starts a use of the connection as [`enter`](Self::enter) does; `None` in place of the error.
    #[inline(always)]
    pub(super) fn try_enter(&self) -> Option<Entered<'_>> {
        if self.entry.get() == fork::now() { Some(Entered(self)) } else { self.enter_late() }
    }

    /// Handles a change since the last entry: either the connection must not be used now, or its figures were requested
    /// and are published.
    #[cold]
    #[inline(never)]
    fn enter_late(&self) -> Option<Entered<'_>> {
        if self.gate.get() != Gate::Open || self.is_inherited() {
            return None;
        }
        self.entry.set(fork::now());
        self.publish();
        Some(Entered(self))
    }

    fn set_gate(&self, gate: Gate) {
        self.gate.set(gate);
        self.entry.set(if gate == Gate::Open { fork::now() } else { Moment::NEVER });
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self) -> Fault {
        Fault::new(if self.is_inherited() {
            FaultKind::Forked
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
        self.parking
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
        self.add_taint(Taint::RAW);
    }

    pub(crate) fn add_taint(&self, taint: Taint) {
        self.taint.set(self.taint.get().with(taint));
    }

    /// Returns the lasting changes since the last call, and clears them.
    pub(crate) fn take_taint(&self) -> Taint {
        self.taint.take()
    }

    /// Disables the interrupt handles that were given out.
    pub(crate) fn end_interrupts(&mut self) {
        if let Some(interrupter) = self.interrupter.take() {
            interrupter.disarm();
        }
    }

    /// Whether a transaction is open, including one that a running read statement holds open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        // SAFETY: `self` owns the connection, which is not closed when the call is made (rule 19); reads memory
        // (rule 20). c3ref/txn_state.html: with NULL, the highest state of any schema.
        !self.is_closed() && unsafe { ffi::sqlite3_txn_state(self.ptr.as_ptr(), ptr::null()) } != ffi::SQLITE_TXN_NONE
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
    pub(crate) fn book(&self) -> &Arc<Book> {
        &self.book
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
        if registry::is_recording() { self.book.enter(kind, id, parent, site, sql) } else { None }
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
        Arc::clone(self.interrupter.get_or_init(|| Arc::new(Interrupter::new(target, self.fork_generation.get()))))
    }

    pub(super) fn last_seen(&self) -> &LastSeen {
        &self.last_seen
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
            self.closed();
            return Ok(());
        }
        self.set_gate(Gate::Closing);
        for kept in parked {
            drop(self.unpark(kept));
        }
        self.finalize_children();
        if self.is_inherited() {
            // A listener to the events of forgotten statements has forked.
            self.closed();
            return Ok(());
        }
        // All statements still parked are finalized now: the new id makes `unpark` refuse them.
        self.parking = registry::new_id();
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.disarm();
        }
        self.publish_counts();
        let closing = fork::Opening::begin();
        let charge = self.account.charge();
        // SAFETY: `self` owns the handle, which is open and not inherited (both checked above, rules 12, 19), and
        // `finalize_children` has finalized every statement of finalite (rule 6). c3ref/close.html: sqlite3_close()
        // returns SQLITE_BUSY and leaves the connection open if anything unfinalized remains.
        let code = unsafe { ffi::sqlite3_close(self.ptr.as_ptr()) };
        drop(charge);
        if code == ffi::SQLITE_OK {
            self.files.get_mut().clear();
        }
        drop(closing);
        if code == ffi::SQLITE_OK {
            self.account.release();
            self.closed();
            return Ok(());
        }
        self.set_gate(Gate::Open);
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.rearm(self.ptr);
        }
        Err(self.fault(code))
    }

    /// Marks the connection as closed and ends its records.
    fn closed(&mut self) {
        self.set_gate(Gate::Closed);
        counts::closed(HandleKind::Connection);
        self.book.close();
        self.recorded = None;
    }

    /// Leaks a connection that `close` could not close.
    pub(crate) fn abandon(&mut self) {
        self.set_gate(Gate::Closed);
        // It counts as open until the process ends, and its record and its files remain listed.
        mem::forget(self.recorded.take());
        mem::forget(self.files.take());
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.disarm();
        }
    }
}

impl Drop for Db {
    /// Closes a `Db` that never became a connection (a failed open); `Connection` closes before it drops its `Db`.
    fn drop(&mut self) {
        let _ = self.close(Vec::new());
    }
}

//! Connection handle, and the list of the statements made from it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CStr, CString, c_int, c_void};
use std::iter;
use std::mem;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::allocator::{self, Account, Charge};
use super::interrupt::Interrupter;
use super::os::fork::{self, Moment};
use super::recovery::Recovery;
use super::stmt::StmtCore;
use super::storage::Storage;
use super::system::{self, Unopened};
use super::{Parked, ffi, library, text};
use crate::error::{Fault, FaultKind};
use crate::track::figures::{AccountMemory, LastSeen};
use crate::track::open_files::{self, FileId, OpenFile};
use crate::track::registry::{self, Book, Record, Recorded};
use crate::track::{HandleKind, Taint, counts};

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

/// A `sqlite3_db_config` switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    ForeignKeys,
    TrustedSchema,
    DoubleQuotedStringsInDml,
    DoubleQuotedStringsInDdl,
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

/// File of a database of the connection, in the list of open files.
struct NotedFile {
    /// Schema name.
    name: Box<CStr>,
    path: Box<CStr>,
    _open: OpenFile,
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

    /// Lists the files that the connection has open. A connection in a child process must not have a file open that the
    /// parent had open at the fork: such a database is detached if it is an attached one, and an error is returned.
    pub(super) fn note_files(&self) -> Result<(), Fault> {
        let mut before = self.files.take();
        let (mut open, mut inherited) = (Vec::new(), Vec::new());
        for (index, name, path) in self.databases_with_files() {
            // A file that was noted may have been moved: its path no longer leads to it.
            if let Some(at) = before.iter().position(|noted| (&noted.name, &noted.path) == (&name, &path)) {
                open.push(before.swap_remove(at));
                continue;
            }
            let Some(file) = FileId::of(&path) else {
                continue;
            };
            if !open_files::was_inherited(file) {
                open.push(NotedFile { name, path, _open: OpenFile::new(file) });
            } else if index == 0 {
                return Err(Fault::new(FaultKind::Forked));
            } else {
                inherited.push(name);
            }
        }
        *self.files.borrow_mut() = open;
        if inherited.is_empty() {
            return Ok(());
        }
        for name in inherited {
            if !self.detach(&name) {
                // The file would remain usable through this connection.
                self.disown_handle();
            }
        }
        Err(Fault::new(FaultKind::Forked))
    }

    /// Marks the connection as inherited from another process: from now on it is neither used nor closed.
    fn disown_handle(&self) {
        // Its files stay open.
        mem::forget(self.files.take());
        self.fork_generation.set(u32::MAX);
        self.entry.set(Moment::NEVER);
    }

    fn detach(&self, name: &CStr) -> bool {
        let quoted = name.to_bytes().iter().flat_map(|&byte| iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        let sql: Vec<u8> = b"DETACH \"".iter().copied().chain(quoted).chain(*b"\"").collect();
        let Ok(sql) = CString::new(sql) else {
            return false;
        };
        let (db, sql, _charge) = (self.ptr.as_ptr(), sql.as_c_str(), self.account.charge());
        // SAFETY: `self` owns the connection, which no other call uses now (rule 19). The callers of `note_files` have
        // just opened or entered it, which stands for an entry here (rule 20). `sql` is a C string (rule 22); the
        // callback and the message pointer may be NULL (c3ref/exec.html).
        let code = unsafe { ffi::sqlite3_exec(db, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        code == ffi::SQLITE_OK
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

    /// Returns the number of statements that are not finalized, including parked ones.
    pub(crate) fn statements(&self) -> usize {
        self.children.borrow().count
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

    /// Frees unused memory: pages of the cache that are not in use.
    pub(crate) fn release_memory(&self) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows, and `self` owns it (rules 19, 20);
        // c3ref/db_release_memory.html: any open connection. The cells of a current row stay valid until the next step
        // (rule 21).
        unsafe { ffi::sqlite3_db_release_memory(entered.db()) };
        Ok(())
    }

    /// Sets the size and number of lookaside slots. It must be called before any statement is prepared.
    pub(crate) fn set_lookaside(&self, slot_bytes: u16, slots: u32) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let bytes = u64::from(slot_bytes) * u64::from(slots);
        let slots = c_int::try_from(slots).unwrap_or(c_int::MAX);
        let memory: *mut c_void = ptr::null_mut();
        let (operation, slot_bytes) = (ffi::SQLITE_DBCONFIG_LOOKASIDE, c_int::from(slot_bytes));
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: a
        // pointer, which may be NULL for memory of SQLite's own, and two ints.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, memory, slot_bytes, slots) };
        self.check(code)?;
        self.book.published().set_lookaside_bytes(bytes);
        Ok(())
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

    pub(crate) fn switch(&self, switch: Switch, on: bool) -> Result<(), Fault> {
        let entered = self.enter()?;
        let operation = match switch {
            Switch::ForeignKeys => ffi::SQLITE_DBCONFIG_ENABLE_FKEY,
            Switch::TrustedSchema => ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
            Switch::DoubleQuotedStringsInDml => ffi::SQLITE_DBCONFIG_DQS_DML,
            Switch::DoubleQuotedStringsInDdl => ffi::SQLITE_DBCONFIG_DQS_DDL,
        };
        let mut now: c_int = 0;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/c_dbconfig_defensive.html: each of
        // these operations takes an int and a pointer to an int, which is the local `now`.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, c_int::from(on), &raw mut now) };
        self.check(code)
    }

    pub(crate) fn set_busy_timeout(&self, milliseconds: i32) -> Result<(), Fault> {
        let entered = self.enter()?;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); c3ref/busy_timeout.html: any int is
        // allowed.
        let code = unsafe { ffi::sqlite3_busy_timeout(entered.db(), milliseconds) };
        self.check(code)
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

    /// Returns the absolute path of the main database; empty for an in-memory or temporary one.
    pub(crate) fn path(&self) -> &CStr {
        if self.is_closed() {
            return c"";
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory (rule 20);
        // c3ref/db_filename.html: the default database is "main".
        let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), c"main".as_ptr()) };
        if path.is_null() {
            return c"";
        }
        // SAFETY: not NULL here; NUL-terminated, and valid "until the database N is DETACH-ed or until the database
        // connection closes" (c3ref/db_filename.html): main cannot be detached, the result borrows `self`, and the
        // callers copy it at once (rules 19, 22).
        unsafe { CStr::from_ptr(path) }
    }

    /// Whether the path of the main database no longer refers to the open file.
    pub(crate) fn has_moved(&self) -> Result<bool, Fault> {
        let entered = self.enter()?;
        let mut has_moved: c_int = 0;
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20); SQLITE_FCNTL_HAS_MOVED takes a pointer to
        // an int, the local `has_moved`.
        let code = unsafe {
            ffi::sqlite3_file_control(
                entered.db(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_HAS_MOVED,
                (&raw mut has_moved).cast::<c_void>(),
            )
        };
        match code {
            // A VFS without this file control, or a database without a file.
            ffi::SQLITE_NOTFOUND | ffi::SQLITE_ERROR => Ok(false),
            code => self.check(code).map(|()| has_moved != 0),
        }
    }

    /// Whether the main database is in memory or in a temporary file, so that other connections cannot open it by a
    /// file name. It may still be a shared in-memory database.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.path().is_empty() || Storage::new(self, 0).vfs_name() == Some(c"memdb")
    }

    /// Returns the absolute paths of all databases that have one: the main database and the attached ones.
    pub(crate) fn files(&self) -> Vec<Box<str>> {
        if self.is_closed() {
            return Vec::new();
        }
        self.databases_with_files().into_iter().map(|(_, _, path)| path.to_string_lossy().into()).collect()
    }

    /// Returns the index, the schema name and the absolute path of each database that has a file. The connection must
    /// not be closed.
    fn databases_with_files(&self) -> Vec<(c_int, Box<CStr>, Box<CStr>)> {
        let mut databases = Vec::new();
        for index in 0.. {
            // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory
            // (rule 20); c3ref/db_name.html: NULL "if N is out of range".
            let name = unsafe { ffi::sqlite3_db_name(self.ptr.as_ptr(), index) };
            if name.is_null() {
                break;
            }
            // SAFETY: the connection is not closed, as above (rules 19, 20); the name is its own, from the line above
            // (rule 22, c3ref/db_filename.html).
            let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), name) };
            if path.is_null() {
                continue;
            }
            // SAFETY: not NULL here; NUL-terminated, and valid until the database is detached or the schema changes,
            // which no code does in this loop; copied here (rule 22, c3ref/db_name.html).
            let name = unsafe { CStr::from_ptr(name) };
            // SAFETY: not NULL here either, and valid as long as the name is; copied here (rule 22).
            let path = unsafe { CStr::from_ptr(path) };
            if !path.is_empty() {
                databases.push((index, name.into(), path.into()));
            }
        }
        databases
    }

    /// Returns whether a schema ("main", "temp" or an attached one) is read-only; `None` if there is no schema of that
    /// name.
    pub(crate) fn is_read_only(&self, schema: &CStr) -> Option<bool> {
        if self.is_closed() {
            return None;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19), and the call only reads memory (rule 20);
        // `schema` is NUL-terminated (rule 22).
        match unsafe { ffi::sqlite3_db_readonly(self.ptr.as_ptr(), schema.as_ptr()) } {
            -1 => None,
            answer => Some(answer != 0),
        }
    }

    pub(crate) fn interrupter(&self) -> Arc<Interrupter> {
        let target = (!self.is_closed()).then_some(self.ptr);
        Arc::clone(self.interrupter.get_or_init(|| Arc::new(Interrupter::new(target, self.fork_generation.get()))))
    }

    pub(super) fn check(&self, code: c_int) -> Result<(), Fault> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.fault(code)) }
    }

    /// Converts a result code of this connection to an error. It must be called directly after the failed call.
    #[cold]
    #[inline(never)]
    pub(super) fn fault(&self, code: c_int) -> Fault {
        let Told { code, message, offset, errno } = self.told(code);
        if code == ffi::SQLITE_ABORT_ROLLBACK
            && let Some(lost) = self.take_lost()
        {
            return lost;
        }
        let attached = message.strip_prefix("unable to open database: ");
        let reason = match (code & 0xff, attached) {
            (ffi::SQLITE_CANTOPEN, Some(path)) => CString::new(path).ok().and_then(|path| {
                let is_uri = path.to_bytes().starts_with(b"file:");
                Unopened { path: &path, is_uri, create: None, errno: errno.unwrap_or(0) }.reason()
            }),
            // If SQLite cannot create a journal, a log or its index, the `errno` is that of its second attempt, not of
            // the first.
            (ffi::SQLITE_CANTOPEN, None) if errno.is_some_and(system::is_of_no_file) => {
                self.files().iter().find_map(|path| system::missing_beside(path))
            }
            _ => errno.map(system::words),
        };
        let may_be_the_programs = self.is_given_out.get();
        Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs, offset, reason })
    }

    /// Returns the largest number of parameters of a statement.
    pub(crate) fn parameters_max(&self) -> usize {
        if self.is_closed() {
            return 0;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19); c3ref/limit.html: a negative value changes
        // nothing, so the call reads a number (rule 20).
        let max = unsafe { ffi::sqlite3_limit(self.ptr.as_ptr(), ffi::SQLITE_LIMIT_VARIABLE_NUMBER, -1) };
        usize::try_from(max).unwrap_or(0)
    }

    /// Returns the error that SQLite stores of the last call, if that failed.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        if self.is_closed() {
            return None;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19); c3ref/errcode.html: reads a number stored
        // in it (rule 20).
        match unsafe { ffi::sqlite3_extended_errcode(self.ptr.as_ptr()) } {
            ffi::SQLITE_OK | ffi::SQLITE_ROW | ffi::SQLITE_DONE => None,
            code => Some(self.fault(code)),
        }
    }

    /// Converts the result code of a failed open to an error.
    fn fault_of_opening(&self, code: c_int, reason: impl FnOnce(c_int) -> Option<Box<str>>) -> Fault {
        let Told { code, message, offset, .. } = self.told(code);
        // SAFETY: the handle is open, even after a failed open, until the Drop of `self` closes it (rule 19);
        // c3ref/system_errno.html: reads a number stored in it (rule 20). The handle is new, so the number belongs to
        // this call.
        let errno = unsafe { ffi::sqlite3_system_errno(self.ptr.as_ptr()) };
        let reason = match code & 0xff {
            ffi::SQLITE_CANTOPEN => reason(errno),
            _ if system::is_of_a_call(code) && errno != 0 => Some(system::words(errno)),
            _ => None,
        };
        Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs: false, offset, reason })
    }

    /// Stores an error that cannot be returned, if it has ended a transaction, for the call that detects this.
    ///
    /// A statement that is running at that time is aborted, and its next step returns the stored error. The next
    /// execution that begins discards it.
    #[cold]
    pub(crate) fn lose(&self, fault: Fault) {
        if self.is_autocommit() {
            self.lost.set(self.lost.take().or(Some(fault)));
        }
    }

    /// Returns and clears the stored error.
    #[inline]
    pub(crate) fn take_lost(&self) -> Option<Fault> {
        self.lost.take()
    }

    /// Returns SQLite's information about the call that returned this code.
    fn told(&self, code: c_int) -> Told {
        let db = self.ptr.as_ptr();
        // SAFETY: `self` owns the connection, which the callers have not closed: they pass the code of a call on it
        // (rule 19); c3ref/errcode.html: reads a number stored in it (rule 20).
        let last = unsafe { ffi::sqlite3_extended_errcode(db) };
        // Some calls return a code without storing it (SQLITE_MISUSE, SQLITE_RANGE): the stored message would belong to
        // an earlier call.
        if last != code && last & 0xff != code {
            return Told { code, message: library::code_message(code).into(), offset: None, errno: None };
        }
        // SAFETY: the connection is not closed, as above (rule 19); the text is in memory (rule 20), and is copied
        // before any other call on the connection.
        let text = unsafe { ffi::sqlite3_errmsg(db) };
        // SAFETY: NULL or NUL-terminated; c3ref/errcode.html: a later call may overwrite or free it, so it is copied
        // immediately (rule 22).
        let message = unsafe { text::copy(text) };
        // SAFETY: the connection is not closed, as above (rules 19, 20); c3ref/errcode.html: -1 if there is no offset.
        let offset = unsafe { ffi::sqlite3_error_offset(db) };
        // SQLite stores the `errno` together with a message. A failed commit stores neither: the message is then the
        // constant of the code, and the `errno` is that of an earlier error.
        let is_kept = !library::is_code_message(text, last);
        let errno = if is_kept && (last & 0xff == ffi::SQLITE_CANTOPEN || system::is_of_a_call(last)) {
            // SAFETY: the connection is not closed, as above (rule 19); c3ref/system_errno.html: reads a number stored
            // in it (rule 20).
            Some(unsafe { ffi::sqlite3_system_errno(db) }).filter(|&errno| errno != 0)
        } else {
            None
        };
        let message = message.unwrap_or_else(|| library::code_message(last).into());
        Told { code: last, message, offset: usize::try_from(offset).ok(), errno }
    }

    /// Clears the out-of-memory flag of the connection. A conversion that runs out of memory sets this flag, which
    /// makes the next call on the connection fail. This function makes that call: it prepares an empty statement.
    #[cold]
    pub(super) fn take_out_of_memory_mark(&self) {
        let mut nothing = ptr::null_mut();
        // SAFETY: the connection is open, as the caller borrows a statement of it (rule 19). c3ref/prepare.html: for
        // SQL that is empty, or on failure, no statement is made; without a statement no file is read, so no entry is
        // needed (rule 20). With -1 the SQL is read up to its NUL (rule 22).
        unsafe {
            ffi::sqlite3_prepare_v3(self.ptr.as_ptr(), c"".as_ptr(), -1, 0, &raw mut nothing, ptr::null_mut());
        }
    }

    /// Returns the slot that the next call of `adopt` uses.
    pub(super) fn next_slot(&self) -> u32 {
        self.children.borrow().next()
    }

    pub(super) fn adopt(&self, core: NonNull<StmtCore>, statement: NonNull<ffi::sqlite3_stmt>) {
        self.children.borrow_mut().insert(Child { core, statement, record: None });
    }

    /// Stores a statement's record in the list.
    pub(super) fn describe(&self, slot: u32, record: &Recorded) {
        if let Some(Slot::Taken(child)) = self.children.borrow_mut().slots.get_mut(slot as usize) {
            child.record = Some(record.share());
        }
    }

    pub(super) fn last_seen(&self) -> &LastSeen {
        &self.last_seen
    }

    /// Publishes the memory of each statement. Returns the sum of their bytes; `None` if there are more than `most`
    /// statements.
    pub(super) fn publish_statements(&self, most: usize) -> Option<u64> {
        // No code that runs while the list is borrowed mutably calls this function; `try_borrow` is a safeguard.
        let children = self.children.try_borrow().ok()?;
        if children.count > most {
            return None;
        }
        Some(children.slots.iter().map(Slot::publish).sum())
    }

    pub(super) fn disown(&self, slot: u32) {
        self.children.borrow_mut().remove(slot);
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

    fn finalize_children(&mut self) {
        let generation = self.fork_generation.get();
        for child in self.children.get_mut().drain().take_while(|_| generation == fork::generation()) {
            // SAFETY: `drain` has just removed it from the list (rule 19). Its owner borrows `self`, which is borrowed
            // mutably here, so no value that could use it exists (rule 3). The connection is not inherited: `close`
            // checked it when it began, and the loop before each (rule 12).
            unsafe { StmtCore::finalize_forgotten(child, self.id, self.account) };
        }
    }
}

/// SQLite's information about a failed call.
struct Told {
    code: c_int,
    message: Box<str>,
    offset: Option<usize>,
    errno: Option<c_int>,
}

impl Drop for Db {
    /// Closes a `Db` that never became a connection (a failed open); `Connection` closes before it drops its `Db`.
    fn drop(&mut self) {
        let _ = self.close(Vec::new());
    }
}

/// Statements made from a connection, in a slab: each statement stores its slot, so inserting and removing need no
/// search.
#[derive(Default)]
struct Children {
    count: usize,
    slots: Vec<Slot>,
    vacant: Option<u32>,
}

enum Slot {
    Vacant { next: Option<u32> },
    Taken(Child),
}

struct Child {
    core: NonNull<StmtCore>,
    /// Copy of the core's pointer: the core may be borrowed exclusively elsewhere.
    statement: NonNull<ffi::sqlite3_stmt>,
    record: Option<Arc<Record>>,
}

impl Slot {
    fn publish(&self) -> u64 {
        let Self::Taken(Child { statement, record, .. }) = self else {
            return 0;
        };
        let ask = |operation| {
            // SAFETY: a statement in the list is not finalized: `release` takes it out first (rule 19). finalite asks
            // between its calls on the connection (rule 4), or in one if a callback that foreign code registered uses
            // the connection; c3ref/stmt_status.html: reads memory (rule 20), and with 0 resets nothing.
            let answer = unsafe { ffi::sqlite3_stmt_status(statement.as_ptr(), operation, 0) };
            u64::try_from(answer).unwrap_or(0)
        };
        let memory = ask(ffi::SQLITE_STMTSTATUS_MEMUSED);
        if let Some(record) = record {
            record.publish(memory, ask(ffi::SQLITE_STMTSTATUS_RUN));
        }
        memory
    }
}

impl Children {
    fn next(&self) -> u32 {
        self.vacant
            .unwrap_or_else(|| u32::try_from(self.slots.len()).expect("memory ends before 2^32 statements are alive"))
    }

    fn insert(&mut self, child: Child) {
        self.count += 1;
        match self.vacant.and_then(|slot| self.slots.get_mut(slot as usize)) {
            Some(place) => {
                if let Slot::Vacant { next } = std::mem::replace(place, Slot::Taken(child)) {
                    self.vacant = next;
                }
            }
            None => self.slots.push(Slot::Taken(child)),
        }
    }

    fn remove(&mut self, slot: u32) {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            self.count -= 1;
            *place = Slot::Vacant { next: self.vacant };
            self.vacant = Some(slot);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = NonNull<StmtCore>> + use<> {
        self.vacant = None;
        self.count = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| match slot {
            Slot::Taken(child) => Some(child.core),
            Slot::Vacant { .. } => None,
        })
    }
}

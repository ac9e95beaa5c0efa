//! The connection handle, and the list of what was made from it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CStr, CString, c_int, c_void};
use std::iter;
use std::mem;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::allocator::{self, Account, AccountMemory, Charge};
use super::figures::LastSeen;
use super::files::{self, FileId, OpenFile};
use super::fork::Moment;
use super::interrupt::Interrupter;
use super::recovery::Recovery;
use super::registry::{self, Book, Record, Recorded};
use super::stmt::StmtCore;
use super::system::{self, Unopened};
use super::{Fault, FaultKind, HandleKind, Parked, Taint, counts, ffi, fork, library, text};

/// An open connection. The first thing that owns the handle, and the only one that closes it.
pub(crate) struct Db {
    ptr: NonNull<ffi::sqlite3>,
    id: u64,
    /// What parked statements are known by; another one after each close.
    parking: u64,
    fork_generation: Cell<u32>,
    gate: Cell<Gate>,
    /// What [`Db::enter`] compares: the moment at which the connection gave its figures last, while the gate is open.
    entry: Cell<Moment>,
    children: RefCell<Children>,
    interrupter: OnceCell<Arc<Interrupter>>,
    account: Account,
    book: Arc<Book>,
    last_seen: LastSeen,
    /// What was done to the connection since it was last asked.
    taint: Cell<Taint>,
    pub(super) recovery: OnceCell<Recovery>,
    /// Whether the handle was given to foreign code, which may have registered functions.
    is_given_out: Cell<bool>,
    /// Why a transaction has ended, where nobody could be told: the error came in a Drop.
    lost: Cell<Option<Fault>>,
    /// What the connection has open.
    files: RefCell<Vec<OpenFile>>,
    /// The connection's own record.
    recorded: Option<Recorded>,
    site: &'static Location<'static>,
}

// SAFETY: c3ref/threadsafe.html: with SQLITE_OPEN_NOMUTEX a connection may be used by any thread, one at a time
// ("multi-thread" mode; `library::check` refuses a SQLite compiled without it). `Db` is not `Sync` and what is made
// from it borrows it, so there is one thread at a time. The pointers in the child list are used by `Db` alone.
unsafe impl Send for Db {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Closing,
    Closed,
}

/// How to open; `SQLITE_OPEN_NOMUTEX` and `SQLITE_OPEN_EXRESCODE` are always on.
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

/// Proof that the connection may be used now; the only way to its pointer.
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

    /// What SQLite allocates is this connection's, until the guard is dropped. It stands around the call alone: what
    /// the program does meanwhile with another connection is not charged to this one.
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
        library::check()?;
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
        // SAFETY: `path` and `vfs` are NUL-terminated and live during the call; `vfs` may be NULL for the default.
        let code = unsafe {
            ffi::sqlite3_open_v2(path.as_ptr(), &raw mut handle, bits, vfs.map_or(ptr::null(), CStr::as_ptr))
        };
        // c3ref/open.html: "Whether or not an error occurs when it is opened, resources associated with the database
        // connection handle should be released": owned here, before `code` is looked at.
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
        // Opening has read nothing yet, and taken no lock.
        db.note_files()?;
        drop(opening);
        Ok(db)
    }

    /// Notes the files that the connection has open now. In a child process those that its parent had open at the fork
    /// are none of its business: what is attached is detached, and that there is one is an error.
    pub(super) fn note_files(&self) -> Result<(), Fault> {
        let (mut open, mut inherited) = (Vec::new(), Vec::new());
        for index in 0.. {
            // SAFETY: the connection is open, and not in a call; c3ref/db_name.html: NULL if the index is out of range.
            let name = unsafe { ffi::sqlite3_db_name(self.ptr.as_ptr(), index) };
            if name.is_null() {
                break;
            }
            // SAFETY: the connection is open and the name its own (c3ref/db_filename.html).
            let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), name) };
            if path.is_null() {
                continue;
            }
            // SAFETY: a NUL-terminated string, valid until the database is detached, which nothing does here.
            let Some(file) = FileId::of(unsafe { CStr::from_ptr(path) }) else {
                continue;
            };
            if files::was_inherited(file) && index == 0 {
                return Err(Fault::new(FaultKind::Forked));
            }
            if files::was_inherited(file) {
                // SAFETY: as the path, NUL-terminated and valid until the database is detached; copied at once.
                inherited.push(unsafe { CStr::from_ptr(name) }.to_owned());
            } else {
                open.push(OpenFile::new(file));
            }
        }
        *self.files.borrow_mut() = open;
        if inherited.is_empty() {
            return Ok(());
        }
        for name in inherited {
            if !self.detach(&name) {
                // It would stay at hand.
                self.disown_handle();
            }
        }
        Err(Fault::new(FaultKind::Forked))
    }

    /// From here on the connection is treated as one that was inherited: it is neither used nor closed.
    fn disown_handle(&self) {
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
        // SAFETY: the connection is open, and no statement is in a call; c3ref/exec.html: without a callback, and NULL
        // for the message.
        let code = unsafe { ffi::sqlite3_exec(db, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        code == ffi::SQLITE_OK
    }

    /// Takes ownership of a handle; `None` for NULL, which SQLite returns where it "is unable to allocate memory to
    /// hold the sqlite3 object".
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
            // Where somebody looks, the first entry tells what there is.
            entry: Cell::new(if fork::are_figures_asked() { Moment::NEVER } else { fork::now() }),
            children: RefCell::new(Children::default()),
            interrupter: OnceCell::new(),
            account,
            book: Book::open(id, name, site),
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

    /// Takes ownership of a handle that somebody else opened.
    ///
    /// # Safety
    ///
    /// `handle` is NULL or an open connection that nothing else uses or closes from here on.
    pub(super) unsafe fn from_raw(handle: *mut ffi::sqlite3, site: &'static Location<'static>) -> Result<Self, Fault> {
        library::check()?;
        fork::watch();
        let id = registry::new_id();
        let db = Self::own(handle, id, Account::claim(id, site), None, site);
        let db = db.ok_or_else(|| Fault::new(FaultKind::Misuse("the handle is NULL")))?;
        db.give_out();
        allocator::settle_mode();
        // SAFETY: the handle is open (caller) and ours alone from here on.
        unsafe { ffi::sqlite3_extended_result_codes(db.ptr.as_ptr(), 1) };
        // It may be the parent's own.
        db.note_files().inspect_err(|_| db.disown_handle())?;
        Ok(db)
    }

    /// Every use of the connection starts here: not from a forked child, not from within close.
    #[inline(always)]
    pub(super) fn enter(&self) -> Result<Entered<'_>, Fault> {
        self.try_enter().ok_or_else(|| self.refuse())
    }

    /// The same without a reason.
    #[inline(always)]
    pub(super) fn try_enter(&self) -> Option<Entered<'_>> {
        if self.entry.get() == fork::now() { Some(Entered(self)) } else { self.enter_late() }
    }

    /// Something changed since the last entry: this connection is not to be used now, or somebody asked for its
    /// figures.
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

    /// Whether this process got the connection through `fork`.
    pub(crate) fn is_inherited(&self) -> bool {
        self.fork_generation.get() != fork::generation()
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::sqlite3 {
        self.ptr.as_ptr()
    }

    /// A number that no other handle has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// See [`Entered::charge`]; for calls that only give back.
    #[inline(always)]
    pub(super) fn charge(&self) -> Charge {
        self.account.charge()
    }

    #[inline(always)]
    pub(super) fn parking(&self) -> u64 {
        self.parking
    }

    /// Foreign code has, or had, the handle.
    pub(super) fn give_out(&self) {
        self.is_given_out.set(true);
        self.add_taint(Taint::RAW);
    }

    pub(crate) fn add_taint(&self, taint: Taint) {
        self.taint.set(self.taint.get().with(taint));
    }

    /// What was done to the connection since this was last called.
    pub(crate) fn take_taint(&self) -> Taint {
        self.taint.take()
    }

    /// From here on the interrupt handles that were given out do nothing.
    pub(crate) fn end_interrupts(&mut self) {
        if let Some(interrupter) = self.interrupter.take() {
            interrupter.disarm();
        }
    }

    /// The statements that are not finalized, parked ones included.
    pub(crate) fn statements(&self) -> usize {
        self.children.borrow().count
    }

    /// Whether a transaction is open, be it by a statement that still reads.
    pub(crate) fn is_in_transaction(&self) -> bool {
        // SAFETY: the connection is open, or not asked; c3ref/txn_state.html: with NULL, the highest state of any
        // schema.
        !self.is_closed() && unsafe { ffi::sqlite3_txn_state(self.ptr.as_ptr(), ptr::null()) } != ffi::SQLITE_TXN_NONE
    }

    /// Forgets the rowid of the last insert.
    pub(crate) fn reset_last_insert_rowid(&self) {
        if !self.is_closed() {
            // SAFETY: the connection is open; c3ref/set_last_insert_rowid.html: sets a number kept in it.
            unsafe { ffi::sqlite3_set_last_insert_rowid(self.ptr.as_ptr(), 0) };
        }
    }

    /// What SQLite holds for the connection now, and held at most.
    pub(crate) fn memory(&self) -> AccountMemory {
        self.account.memory()
    }

    /// Gives back what memory it can: pages of the cache that nobody uses.
    pub(crate) fn release_memory(&self) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        // SAFETY: the connection is open (entered); c3ref/db_release_memory.html.
        unsafe { ffi::sqlite3_db_release_memory(entered.db()) };
        Ok(())
    }

    /// Sets the size and number of lookaside slots. Before anything is prepared.
    pub(crate) fn set_lookaside(&self, slot_bytes: u16, slots: u32) -> Result<(), Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        let bytes = u64::from(slot_bytes) * u64::from(slots);
        let slots = c_int::try_from(slots).unwrap_or(c_int::MAX);
        let memory: *mut c_void = ptr::null_mut();
        let (operation, slot_bytes) = (ffi::SQLITE_DBCONFIG_LOOKASIDE, c_int::from(slot_bytes));
        // SAFETY: the connection is open (entered); c3ref/c_dbconfig_defensive.html: a pointer, which may be NULL for
        // memory of SQLite's own, and two ints.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, memory, slot_bytes, slots) };
        self.check(code)?;
        self.book.published().set_lookaside_bytes(bytes);
        Ok(())
    }

    /// Where the connection and what is made from it are recorded.
    pub(crate) fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Records a handle, if that is asked for.
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

    /// Where it was opened.
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
        // SAFETY: c3ref/c_dbconfig_defensive.html: each of these operations takes an int and a pointer to an int.
        let code = unsafe { ffi::sqlite3_db_config(entered.db(), operation, c_int::from(on), &raw mut now) };
        self.check(code)
    }

    pub(crate) fn set_busy_timeout(&self, milliseconds: i32) -> Result<(), Fault> {
        let entered = self.enter()?;
        // SAFETY: the connection is open (entered).
        let code = unsafe { ffi::sqlite3_busy_timeout(entered.db(), milliseconds) };
        self.check(code)
    }

    // The functions below read memory of the connection and nothing else: no lock, no file. They need no entry, and so
    // answer in a forked child as well; a closed connection answers as a new one would.

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.get() == Gate::Closed
    }

    #[inline]
    pub(crate) fn is_autocommit(&self) -> bool {
        // SAFETY: the connection is open, or not asked; reads a flag kept in it.
        self.is_closed() || unsafe { ffi::sqlite3_get_autocommit(self.ptr.as_ptr()) != 0 }
    }

    #[inline]
    pub(crate) fn last_insert_rowid(&self) -> i64 {
        // SAFETY: the connection is open, or not asked; reads a number kept in it.
        if self.is_closed() { 0 } else { unsafe { ffi::sqlite3_last_insert_rowid(self.ptr.as_ptr()) } }
    }

    #[inline]
    pub(crate) fn changes(&self) -> i64 {
        // SAFETY: the connection is open, or not asked; reads a number kept in it.
        if self.is_closed() { 0 } else { unsafe { ffi::sqlite3_changes64(self.ptr.as_ptr()) } }
    }

    #[inline]
    pub(crate) fn total_changes(&self) -> i64 {
        // SAFETY: the connection is open, or not asked; reads a number kept in it.
        if self.is_closed() { 0 } else { unsafe { ffi::sqlite3_total_changes64(self.ptr.as_ptr()) } }
    }

    /// The absolute path of the main database, empty for one in memory or temporary.
    pub(crate) fn path(&self) -> &CStr {
        if self.is_closed() {
            return c"";
        }
        // SAFETY: the connection is open; c3ref/db_filename.html: the default database is "main".
        let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), c"main".as_ptr()) };
        if path.is_null() {
            return c"";
        }
        // SAFETY: a NUL-terminated string, valid "until the database N is DETACHed or until the database connection
        // closes"; main cannot be detached and the result borrows `self`.
        unsafe { CStr::from_ptr(path) }
    }

    /// Whether the main database's file is no longer the one that its path leads to.
    pub(crate) fn has_moved(&self) -> Result<bool, Fault> {
        let entered = self.enter()?;
        let mut has_moved: c_int = 0;
        // SAFETY: the connection is open (entered); SQLITE_FCNTL_HAS_MOVED takes a pointer to an int.
        let code = unsafe {
            ffi::sqlite3_file_control(
                entered.db(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_HAS_MOVED,
                (&raw mut has_moved).cast::<c_void>(),
            )
        };
        match code {
            // A file system that cannot tell, and a database without a file.
            ffi::SQLITE_NOTFOUND | ffi::SQLITE_ERROR => Ok(false),
            code => self.check(code).map(|()| has_moved != 0),
        }
    }

    /// Whether the main database lies in memory or in a temporary file: shared with others or not, it has no file that
    /// others find by its name.
    pub(crate) fn is_in_memory(&self) -> bool {
        if self.path().is_empty() {
            return true;
        }
        let Ok(entered) = self.enter() else {
            return false;
        };
        let mut vfs: *mut ffi::sqlite3_vfs = ptr::null_mut();
        // SAFETY: the connection is open (entered); SQLITE_FCNTL_VFS_POINTER takes a pointer to a `sqlite3_vfs*`.
        let code = unsafe {
            ffi::sqlite3_file_control(
                entered.db(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_VFS_POINTER,
                (&raw mut vfs).cast::<c_void>(),
            )
        };
        if code != ffi::SQLITE_OK || vfs.is_null() {
            return false;
        }
        // SAFETY: a registered VFS, which outlives the connections that use it (c3ref/vfs_find.html).
        let name = unsafe { (*vfs).zName };
        // SAFETY: c3ref/vfs.html: "zName holds the name of the VFS module", NUL-terminated and constant.
        !name.is_null() && unsafe { CStr::from_ptr(name) } == c"memdb"
    }

    /// The absolute paths of all databases that have one: the main one, and those attached.
    pub(crate) fn files(&self) -> Vec<Box<str>> {
        if self.is_closed() {
            return Vec::new();
        }
        (0..)
            .map_while(|n| {
                // SAFETY: the connection is open; c3ref/db_name.html: NULL "if N is out of range".
                NonNull::new(unsafe { ffi::sqlite3_db_name(self.ptr.as_ptr(), n) }.cast_mut())
            })
            .filter_map(|name| {
                // SAFETY: the connection is open, the name its own, and nothing was attached or detached since.
                let path = unsafe { ffi::sqlite3_db_filename(self.ptr.as_ptr(), name.as_ptr()) };
                // SAFETY: NULL, or NUL-terminated and valid until the database is detached; copied at once.
                unsafe { text::copy(path) }
            })
            .filter(|path| !path.is_empty())
            .collect()
    }

    /// Whether a schema ("main", "temp" or an attached one) is read-only; `None` if there is none of that name.
    pub(crate) fn is_read_only(&self, schema: &CStr) -> Option<bool> {
        if self.is_closed() {
            return None;
        }
        // SAFETY: the connection is open; `schema` is NUL-terminated.
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

    /// The one place where a result code of this connection becomes an error. Call it right after the failed call.
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
            // Of a journal, a log or its index that was to be created, it tells the second attempt and not the first.
            (ffi::SQLITE_CANTOPEN, None) if errno.is_some_and(system::is_of_no_file) => {
                self.files().iter().find_map(|path| system::missing_beside(path))
            }
            _ => errno.map(system::words),
        };
        let may_be_the_programs = self.is_given_out.get();
        Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs, offset, reason })
    }

    /// How many parameters a statement may have.
    pub(crate) fn parameters_max(&self) -> usize {
        if self.is_closed() {
            return 0;
        }
        // SAFETY: the connection is open; c3ref/limit.html: a negative value changes nothing.
        let max = unsafe { ffi::sqlite3_limit(self.ptr.as_ptr(), ffi::SQLITE_LIMIT_VARIABLE_NUMBER, -1) };
        usize::try_from(max).unwrap_or(0)
    }

    /// What SQLite keeps of the last call, if that failed.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        if self.is_closed() {
            return None;
        }
        // SAFETY: the connection is open; c3ref/errcode.html allows it at any time.
        match unsafe { ffi::sqlite3_extended_errcode(self.ptr.as_ptr()) } {
            ffi::SQLITE_OK | ffi::SQLITE_ROW | ffi::SQLITE_DONE => None,
            code => Some(self.fault(code)),
        }
    }

    /// The same for a connection that did not come to be.
    fn fault_of_opening(&self, code: c_int, reason: impl FnOnce(c_int) -> Option<Box<str>>) -> Fault {
        let Told { code, message, offset, .. } = self.told(code);
        // SAFETY: the handle is not closed yet; c3ref/system_errno.html: reads a number kept in it. It is new, so the
        // number is of this call.
        let errno = unsafe { ffi::sqlite3_system_errno(self.ptr.as_ptr()) };
        let reason = match code & 0xff {
            ffi::SQLITE_CANTOPEN => reason(errno),
            _ if system::is_of_a_call(code) && errno != 0 => Some(system::words(errno)),
            _ => None,
        };
        Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs: false, offset, reason })
    }

    /// Keeps an error that cannot be returned, if it has ended a transaction, for the call that finds out.
    ///
    /// A statement that runs is aborted by such an end, and finds out too; from the next execution on it is past.
    #[cold]
    pub(crate) fn lose(&self, fault: Fault) {
        if self.is_autocommit() {
            self.lost.set(self.lost.take().or(Some(fault)));
        }
    }

    /// The error that was kept so, once.
    #[inline]
    pub(crate) fn take_lost(&self) -> Option<Fault> {
        self.lost.take()
    }

    /// What SQLite tells about the call that returned this code.
    fn told(&self, code: c_int) -> Told {
        let db = self.ptr.as_ptr();
        // SAFETY: the connection is open; c3ref/errcode.html allows these at any time.
        let last = unsafe { ffi::sqlite3_extended_errcode(db) };
        // Some calls return a code without storing it (SQLITE_MISUSE, SQLITE_RANGE): the message would be another's.
        if last != code && last & 0xff != code {
            return Told { code, message: library::code_message(code).into(), offset: None, errno: None };
        }
        // SAFETY: the connection is open; the text is copied before any other call on it.
        let text = unsafe { ffi::sqlite3_errmsg(db) };
        // SAFETY: NUL-terminated, and valid until the next call on this connection; copied at once.
        let message = unsafe { text::copy(text) };
        // SAFETY: the connection is open; c3ref/errcode.html: -1 where there is no offset.
        let offset = unsafe { ffi::sqlite3_error_offset(db) };
        // SQLite keeps the system's number together with a message. A commit that fails has neither: the message is the
        // code's own constant, and the number an earlier error's.
        let is_kept = !library::is_code_message(text, last);
        let errno = if is_kept && (last & 0xff == ffi::SQLITE_CANTOPEN || system::is_of_a_call(last)) {
            // SAFETY: the connection is open; c3ref/system_errno.html: reads a number kept in it.
            Some(unsafe { ffi::sqlite3_system_errno(db) }).filter(|&errno| errno != 0)
        } else {
            None
        };
        let message = message.unwrap_or_else(|| library::code_message(last).into());
        Told { code: last, message, offset: usize::try_from(offset).ok(), errno }
    }

    /// A conversion that finds no memory leaves a mark on the connection, which fails the next call, whatever that is.
    /// This is that call: nothing is prepared.
    #[cold]
    pub(super) fn take_out_of_memory_mark(&self) {
        let mut nothing = ptr::null_mut();
        // SAFETY: the connection is open: a statement of it is alive. c3ref/prepare.html: for SQL that is empty, or on
        // failure, no statement is made.
        unsafe {
            ffi::sqlite3_prepare_v3(self.ptr.as_ptr(), c"".as_ptr(), -1, 0, &raw mut nothing, ptr::null_mut());
        }
    }

    /// The slot that `adopt` will use.
    pub(super) fn next_slot(&self) -> u32 {
        self.children.borrow().next()
    }

    pub(super) fn adopt(&self, core: NonNull<StmtCore>, statement: NonNull<ffi::sqlite3_stmt>) {
        self.children.borrow_mut().insert(Child { core, statement, record: None });
    }

    /// Tells the list what record a statement has.
    pub(super) fn describe(&self, slot: u32, record: &Recorded) {
        if let Some(Slot::Taken(child)) = self.children.borrow_mut().slots.get_mut(slot as usize) {
            child.record = Some(record.share());
        }
    }

    pub(super) fn last_seen(&self) -> &LastSeen {
        &self.last_seen
    }

    /// Makes known what each statement holds. Returns the bytes of all of them; `None` if there are more than so many.
    pub(super) fn publish_statements(&self, most: usize) -> Option<u64> {
        // Where it is borrowed otherwise, nothing is called that could lead here.
        let children = self.children.try_borrow().ok()?;
        if children.count > most {
            return None;
        }
        Some(children.slots.iter().map(Slot::publish).sum())
    }

    pub(super) fn disown(&self, slot: u32) {
        self.children.borrow_mut().remove(slot);
    }

    /// Finalizes what is left, then closes. `parked` is what the statement cache holds: not forgotten, only kept.
    ///
    /// If SQLite refuses (BUSY: somebody made a statement, blob or backup behind our back), the connection stays
    /// open and usable.
    pub(crate) fn close(&mut self, parked: Vec<Parked>) -> Result<(), Fault> {
        match self.gate.get() {
            Gate::Open => {}
            Gate::Closed => return Ok(()),
            Gate::Closing => return Err(self.refuse()),
        }
        if self.is_inherited() {
            // Neither file nor lock may be touched, so the handle and its memory stay behind in this process.
            self.closed();
            return Ok(());
        }
        self.set_gate(Gate::Closing);
        for kept in parked {
            drop(self.unpark(kept));
        }
        self.finalize_children();
        // What may still be parked somewhere is finalized now: it must not find its way back here.
        self.parking = registry::new_id();
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.disarm();
        }
        self.publish_counts();
        let closing = fork::Opening::begin();
        let charge = self.account.charge();
        // SAFETY: the handle is open and ours alone; every statement of ours is finalized. c3ref/close.html:
        // sqlite3_close() returns SQLITE_BUSY and leaves the connection open if anything unfinalized remains.
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

    /// The books of an open connection end.
    fn closed(&mut self) {
        self.set_gate(Gate::Closed);
        counts::closed(HandleKind::Connection);
        self.book.close();
        self.recorded = None;
    }

    /// Gives up on a connection that `close` could not close: its handle stays behind.
    pub(crate) fn abandon(&mut self) {
        self.set_gate(Gate::Closed);
        // It counts as open for ever, and is listed as long; so are its files.
        mem::forget(self.recorded.take());
        mem::forget(self.files.take());
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.disarm();
        }
    }

    fn finalize_children(&mut self) {
        for child in self.children.get_mut().drain() {
            // SAFETY: it was in the list until now. Its owner borrows `self`, which is borrowed mutably here: so
            // nothing that could use it is alive.
            unsafe { StmtCore::finalize_forgotten(child, self.id, self.account) };
        }
    }
}

/// What SQLite tells about a call that failed.
struct Told {
    code: c_int,
    message: Box<str>,
    offset: Option<usize>,
    errno: Option<c_int>,
}

impl Drop for Db {
    /// For a `Db` that never became a connection (a failed open); `Connection` closes before it drops this.
    fn drop(&mut self) {
        let _ = self.close(Vec::new());
    }
}

/// The statements made from a connection. A slab: a statement knows its slot, so coming and going cost no search.
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
    /// The core's own: whoever has the core may have it exclusively.
    statement: NonNull<ffi::sqlite3_stmt>,
    record: Option<Arc<Record>>,
}

impl Slot {
    fn publish(&self) -> u64 {
        let Self::Taken(Child { statement, record, .. }) = self else {
            return 0;
        };
        let ask = |operation| {
            // SAFETY: what is in the list is not finalized, and its connection is not in a call;
            // c3ref/stmt_status.html: reads memory, and with 0 resets nothing.
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

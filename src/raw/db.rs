//! The connection handle, and the list of what was made from it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::{CStr, c_int};
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::interrupt::Interrupter;
use super::stmt::StmtCore;
use super::{Fault, FaultKind, Kind, Parked, counts, ffi, fork, library, text};

/// An open connection. The first thing that owns the handle, and the only one that closes it.
pub(crate) struct Db {
    ptr: NonNull<ffi::sqlite3>,
    id: u64,
    fork_generation: u32,
    gate: Cell<Gate>,
    /// What [`Db::enter`] compares with the fork generation: ours while the gate is open, no generation otherwise.
    entry: Cell<u64>,
    /// Cursors alive. At close, after everything else is gone, these are the forgotten ones.
    pub(super) cursors: Cell<u64>,
    children: RefCell<Children>,
    interrupter: OnceCell<Arc<Interrupter>>,
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
}

/// A child that its user forgot, found when the connection closed.
#[derive(Debug)]
pub(crate) struct Forgotten {
    pub(crate) kind: Kind,
    pub(crate) site: &'static Location<'static>,
    pub(crate) sql: Box<str>,
}

/// What closing found and how it ended.
pub(crate) struct Closing {
    pub(crate) forgotten: Vec<Forgotten>,
    /// Cursors whose statement was forgotten too.
    pub(crate) forgotten_cursors: u64,
    pub(crate) result: Result<(), Fault>,
}

impl Db {
    pub(crate) fn open(
        path: &CStr,
        flags: OpenFlags,
        vfs: Option<&CStr>,
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
        let mut handle = ptr::null_mut();
        // SAFETY: `path` and `vfs` are NUL-terminated and live during the call; `vfs` may be NULL for the default.
        let code = unsafe {
            ffi::sqlite3_open_v2(path.as_ptr(), &raw mut handle, bits, vfs.map_or(ptr::null(), CStr::as_ptr))
        };
        // c3ref/open.html: "Whether or not an error occurs when it is opened, resources associated with the database
        // connection handle should be released": owned here, before `code` is looked at.
        let db = Self::own(handle, site).ok_or_else(Fault::no_memory)?;
        match code {
            ffi::SQLITE_OK => Ok(db),
            code => Err(db.fault(code)),
        }
    }

    /// Takes ownership of a handle; `None` for NULL, which SQLite returns where it "is unable to allocate memory to
    /// hold the sqlite3 object".
    fn own(handle: *mut ffi::sqlite3, site: &'static Location<'static>) -> Option<Self> {
        let ptr = NonNull::new(handle)?;
        counts::opened(Kind::Connection);
        Some(Self {
            ptr,
            id: new_id(),
            fork_generation: fork::generation(),
            gate: Cell::new(Gate::Open),
            entry: Cell::new(fork::generation().into()),
            cursors: Cell::new(0),
            children: RefCell::new(Children::default()),
            interrupter: OnceCell::new(),
            site,
        })
    }

    /// Takes ownership of a handle that somebody else opened.
    ///
    /// # Safety
    ///
    /// `handle` is NULL or an open connection that nothing else uses or closes from here on.
    pub(super) unsafe fn from_raw(handle: *mut ffi::sqlite3, site: &'static Location<'static>) -> Result<Self, Fault> {
        library::check()?;
        fork::watch();
        let db = Self::own(handle, site).ok_or_else(|| Fault::new(FaultKind::Misuse("the handle is NULL")))?;
        // SAFETY: the handle is open (caller) and ours alone from here on.
        unsafe { ffi::sqlite3_extended_result_codes(db.ptr.as_ptr(), 1) };
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
        (self.entry.get() == u64::from(fork::generation())).then_some(Entered(self))
    }

    fn set_gate(&self, gate: Gate) {
        self.gate.set(gate);
        self.entry.set(if gate == Gate::Open { self.fork_generation.into() } else { u64::MAX });
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
        self.fork_generation != fork::generation()
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::sqlite3 {
        self.ptr.as_ptr()
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
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
        Arc::clone(self.interrupter.get_or_init(|| Arc::new(Interrupter::new(target, self.fork_generation))))
    }

    pub(super) fn check(&self, code: c_int) -> Result<(), Fault> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.fault(code)) }
    }

    /// The one place where a result code of this connection becomes an error. Call it right after the failed call.
    #[cold]
    #[inline(never)]
    pub(super) fn fault(&self, code: c_int) -> Fault {
        let db = self.ptr.as_ptr();
        // SAFETY: the connection is open; c3ref/errcode.html allows these at any time.
        let last = unsafe { ffi::sqlite3_extended_errcode(db) };
        // Some calls return a code without storing it (SQLITE_MISUSE, SQLITE_RANGE): the message would be another's.
        let stored = last == code || last & 0xff == code;
        let message = if stored {
            // SAFETY: the connection is open; the text is copied before any other call on it.
            let message = unsafe { ffi::sqlite3_errmsg(db) };
            // SAFETY: NUL-terminated, and valid until the next call on this connection; copied at once.
            unsafe { text::copy(message) }
        } else {
            None
        };
        // SAFETY: the connection is open; c3ref/errcode.html: -1 where there is no offset.
        let offset = if stored { unsafe { ffi::sqlite3_error_offset(db) } } else { -1 };
        let errno = match code & 0xff {
            ffi::SQLITE_CANTOPEN | ffi::SQLITE_IOERR => {
                // SAFETY: the connection is open; c3ref/system_errno.html: reads a number kept in it.
                Some(unsafe { ffi::sqlite3_system_errno(db) }).filter(|&errno| errno != 0)
            }
            _ => None,
        };
        Fault::new(FaultKind::Sqlite {
            code: if stored { last } else { code },
            message: message.unwrap_or_else(|| library::code_message(code).into()),
            offset: usize::try_from(offset).ok(),
            errno,
        })
    }

    /// The slot that `adopt` will use.
    pub(super) fn next_slot(&self) -> u32 {
        self.children.borrow().next()
    }

    pub(super) fn adopt(&self, child: NonNull<StmtCore>) {
        self.children.borrow_mut().insert(child);
    }

    pub(super) fn disown(&self, slot: u32) {
        self.children.borrow_mut().remove(slot);
    }

    /// Finalizes what is left, then closes. `parked` is what the statement cache holds: not forgotten, only kept.
    ///
    /// If SQLite refuses (BUSY: somebody made a statement, blob or backup behind our back), the connection stays
    /// open and usable.
    pub(crate) fn close(&mut self, parked: Vec<Parked>) -> Closing {
        if self.gate.get() != Gate::Open {
            return Closing { forgotten: Vec::new(), forgotten_cursors: 0, result: Ok(()) };
        }
        if self.is_inherited() {
            // Neither file nor lock may be touched, so the handle and its memory stay behind in this process.
            self.set_gate(Gate::Closed);
            counts::closed(Kind::Connection);
            return Closing { forgotten: Vec::new(), forgotten_cursors: 0, result: Ok(()) };
        }
        self.set_gate(Gate::Closing);
        for kept in parked {
            drop(self.unpark(kept));
        }
        let forgotten = self.finalize_children();
        // What may still be parked somewhere is finalized now: it must not find its way back here.
        self.id = new_id();
        let forgotten_cursors = self.cursors.take();
        for _ in 0..forgotten_cursors {
            counts::closed(Kind::Rows);
            counts::forgotten(Kind::Rows);
        }
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.disarm();
        }
        // SAFETY: the handle is open and ours alone; every statement of ours is finalized. c3ref/close.html:
        // sqlite3_close() returns SQLITE_BUSY and leaves the connection open if anything unfinalized remains.
        let code = unsafe { ffi::sqlite3_close(self.ptr.as_ptr()) };
        let result = if code == ffi::SQLITE_OK {
            self.set_gate(Gate::Closed);
            counts::closed(Kind::Connection);
            Ok(())
        } else {
            self.set_gate(Gate::Open);
            if let Some(interrupter) = self.interrupter.get() {
                interrupter.rearm(self.ptr);
            }
            Err(self.fault(code))
        };
        Closing { forgotten, forgotten_cursors, result }
    }

    /// Gives up on a connection that `close` could not close: its handle stays behind.
    pub(crate) fn abandon(&mut self) {
        self.set_gate(Gate::Closed);
        if let Some(interrupter) = self.interrupter.get() {
            interrupter.disarm();
        }
    }

    fn finalize_children(&mut self) -> Vec<Forgotten> {
        let children = self.children.get_mut().drain();
        // SAFETY: each was in the list until now. Its owner borrows `self`, which is borrowed mutably here: so nothing
        // that could use it is alive.
        children.map(|child| unsafe { StmtCore::finalize_forgotten(child) }).collect()
    }
}

impl Drop for Db {
    /// For a `Db` that never became a connection (a failed open); `Connection` closes before it drops this.
    fn drop(&mut self) {
        let _ = self.close(Vec::new());
    }
}

/// A number that no other connection has had.
fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The statements made from a connection. A slab: a statement knows its slot, so coming and going cost no search.
#[derive(Default)]
struct Children {
    slots: Vec<Slot>,
    vacant: Option<u32>,
}

enum Slot {
    Vacant { next: Option<u32> },
    Taken(NonNull<StmtCore>),
}

impl Children {
    fn next(&self) -> u32 {
        self.vacant
            .unwrap_or_else(|| u32::try_from(self.slots.len()).expect("memory ends before 2^32 statements are alive"))
    }

    fn insert(&mut self, child: NonNull<StmtCore>) {
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
            *place = Slot::Vacant { next: self.vacant };
            self.vacant = Some(slot);
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = NonNull<StmtCore>> + use<> {
        self.vacant = None;
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| match slot {
            Slot::Taken(child) => Some(child),
            Slot::Vacant { .. } => None,
        })
    }
}

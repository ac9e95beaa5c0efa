//! Incremental reads and writes of one value of a row.

use std::cell::Cell;
use std::ffi::{CString, c_int};
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{self, NonNull};

use super::allocator::Account;
use super::db::Db;
use super::ffi;
use crate::error::{Fault, FaultKind};
use crate::track::registry::{self, Recorded};
use crate::track::{HandleKind, counts, shielded};

/// An open blob. Drop closes it.
pub(crate) struct RawBlob<'db> {
    /// Created by `Db::open_blob`, and in the connection's list. It is freed by `release`, which ends `self`, or by
    /// `Db::close`, when no value that borrows the connection exists.
    core: NonNull<BlobCore>,
    db: &'db Db,
}

/// State of a blob. The connection's list points to it, so that closing the connection also finds a forgotten one.
pub(super) struct BlobCore {
    ptr: NonNull<ffi::sqlite3_blob>,
    slot: u32,
    site: &'static Location<'static>,
    is_writable: bool,
    /// Names of the table and the column. They are here, and not with the owner, which may be forgotten.
    names: (Box<str>, Box<str>),
    /// SQLite's result for an expired blob is 0; the size of the value is therefore kept here.
    len: Cell<c_int>,
    is_expired: Cell<bool>,
    /// Result code of the last call that failed, whose error was returned: closing repeats it.
    returned: Cell<c_int>,
    _recorded: Option<Recorded>,
}

/// The value that a blob is opened on, and for what.
pub(crate) struct BlobTarget<'a> {
    pub(crate) database: &'a str,
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    pub(crate) rowid: i64,
    pub(crate) is_writable: bool,
}

impl Db {
    pub(crate) fn open_blob(
        &self,
        target: &BlobTarget<'_>,
        site: &'static Location<'static>,
    ) -> Result<RawBlob<'_>, Fault> {
        let c_name = |name: &str| {
            CString::new(name).map_err(|_| Fault::new(FaultKind::Misuse("the name of a blob contains NUL")))
        };
        let (database, table, column) = (c_name(target.database)?, c_name(target.table)?, c_name(target.column)?);
        let entered = self.enter()?;
        let mut blob = ptr::null_mut();
        let mut call = || {
            let _charge = entered.charge();
            // SAFETY: the connection is open, as `entered` shows (rules 19, 20); the names are C strings that live
            // during the call (rule 22). c3ref/blob_open.html: "If the blob is not opened, *ppBlob is set to NULL".
            unsafe {
                ffi::sqlite3_blob_open(
                    entered.db(),
                    database.as_ptr(),
                    table.as_ptr(),
                    column.as_ptr(),
                    target.rowid,
                    c_int::from(target.is_writable),
                    &raw mut blob,
                )
            }
        };
        let mut code = call();
        if code != ffi::SQLITE_OK {
            code = self.again_after_recovery(code, call);
        }
        let Some(ptr) = NonNull::new(blob).filter(|_| code == ffi::SQLITE_OK) else {
            self.resume();
            return Err(if code == ffi::SQLITE_OK { Fault::no_memory() } else { self.fault(code) });
        };
        counts::opened(HandleKind::Blob);
        let core = NonNull::from(Box::leak(Box::new(BlobCore {
            ptr,
            slot: self.next_slot(),
            site,
            is_writable: target.is_writable,
            names: (target.table.into(), target.column.into()),
            len: Cell::new(0),
            is_expired: Cell::new(false),
            returned: Cell::new(ffi::SQLITE_OK),
            _recorded: self.record(HandleKind::Blob, registry::new_id(), Some(self.id()), site, None),
        })));
        self.adopt_blob(core);
        let blob = RawBlob { core, db: self };
        blob.core().update_len();
        self.resume();
        Ok(blob)
    }
}

impl RawBlob<'_> {
    #[inline(always)]
    fn core(&self) -> &BlobCore {
        // SAFETY: the core is freed only by `release`, which ends `self`, and by `Db::close`, which needs the
        // connection exclusively while `self` borrows it (rule 19). Only shared references to it exist (rule 16).
        unsafe { self.core.as_ref() }
    }

    /// Returns the size of the value in bytes.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.core().len.get()).unwrap_or(0)
    }

    /// Returns the names of the table and the column, as given.
    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.core().names.0, &self.core().names.1)
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.core().is_writable
    }

    /// Reads bytes into the whole of `into`.
    #[inline]
    pub(crate) fn read(&self, into: &mut [u8], offset: u64) -> Result<(), Fault> {
        let core = self.core();
        let (count, offset) = core.range(into.len(), offset)?;
        let entered = self.db.enter()?;
        let charge = entered.charge();
        // SAFETY: the blob is open: `self` owns it, and `entered` shows that its connection is (rules 16, 19, 20).
        // `into` is `count` writable bytes, which SQLite does not keep (rule 22); `range` has compared both numbers with
        // the size, which SQLite does too (c3ref/blob_read.html).
        let code = unsafe { ffi::sqlite3_blob_read(core.ptr.as_ptr(), into.as_mut_ptr().cast(), count, offset) };
        drop(charge);
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.failed(code)) }
    }

    /// Writes all of `bytes`.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Fault> {
        let core = self.core();
        let (count, offset) = core.range(bytes.len(), offset)?;
        let entered = self.db.enter()?;
        let charge = entered.charge();
        // SAFETY: the blob is open: `self` owns it, and `entered` shows that its connection is (rules 16, 19, 20).
        // `bytes` is `count` readable bytes, which SQLite copies (rule 22); `range` has compared both numbers with the
        // size, which SQLite does too (c3ref/blob_write.html).
        let code = unsafe { ffi::sqlite3_blob_write(core.ptr.as_ptr(), bytes.as_ptr().cast(), count, offset) };
        drop(charge);
        // A preupdate hook may have panicked.
        self.db.resume();
        if code != ffi::SQLITE_OK {
            return Err(self.failed(code));
        }
        core.returned.set(ffi::SQLITE_OK);
        Ok(())
    }

    /// Moves to the value of another row.
    pub(crate) fn reopen(&self, rowid: i64) -> Result<(), Fault> {
        let core = self.core();
        if core.is_expired.get() {
            return Err(Fault::new(FaultKind::BlobExpired));
        }
        let entered = self.db.enter()?;
        let charge = entered.charge();
        // SAFETY: the blob is open: `self` owns it, and `entered` shows that its connection is (rules 16, 19, 20).
        // c3ref/blob_reopen.html: after an error, the blob is "considered aborted" and is still to be closed.
        let code = unsafe { ffi::sqlite3_blob_reopen(core.ptr.as_ptr(), rowid) };
        drop(charge);
        self.db.resume();
        if code == ffi::SQLITE_OK {
            core.update_len();
            return Ok(());
        }
        let fault = self.failed(code);
        core.is_expired.set(true);
        Err(fault)
    }

    #[cold]
    #[inline(never)]
    fn failed(&self, code: c_int) -> Fault {
        self.core().returned.set(code);
        if code & 0xff == ffi::SQLITE_ABORT {
            self.core().is_expired.set(true);
            return Fault::new(FaultKind::BlobExpired);
        }
        self.db.fault(code)
    }

    /// Closes the blob, and returns the error that Drop only logs: outside a transaction, closing one that was opened
    /// for writing commits.
    pub(crate) fn close(self) -> Result<(), Fault> {
        let db = self.db;
        if db.is_in_callback() && !db.is_inherited() {
            return Err(db.refuse());
        }
        let code = ManuallyDrop::new(self).release().0;
        let result = db.check(code);
        db.resume();
        result
    }

    /// Closes and frees the blob. It ends `self`, for `close` and Drop. Returns SQLite's result code, and the code of an
    /// error that was returned before.
    fn release(&mut self) -> (c_int, c_int) {
        let db = self.db;
        db.disown(self.core().slot);
        // SAFETY: created by Box::leak in `Db::open_blob`, and removed from the list by the line above, so `self` is its
        // only owner (rules 16, 19). The callers do not use `self` again.
        let core = unsafe { Box::from_raw(self.core.as_ptr()) };
        counts::closed(HandleKind::Blob);
        if db.is_inherited() {
            return (ffi::SQLITE_OK, ffi::SQLITE_OK);
        }
        let was_writing = core.is_writable && db.is_writing();
        let charge = db.charge();
        // SAFETY: `self` owned the blob, and this is its only close, as the core is freed with it (rules 16, 19). It is
        // not inherited (checked above, rule 12). c3ref/blob_close.html: closed whatever the result is.
        let code = unsafe { ffi::sqlite3_blob_close(core.ptr.as_ptr()) };
        drop(charge);
        if code != ffi::SQLITE_OK {
            // SQLite may have rolled back.
            db.update_transaction();
        } else if was_writing && db.is_autocommit() && !db.is_writing() {
            counts::committed();
        }
        (code, core.returned.get())
    }
}

impl Drop for RawBlob<'_> {
    fn drop(&mut self) {
        let (db, site) = (self.db, self.core().site);
        if db.is_in_callback() && !db.is_inherited() {
            // C is running, and may be using it: the blob is left to close, as a forgotten one.
            return;
        }
        let (code, returned) = self.release();
        if code != ffi::SQLITE_OK && code != returned {
            let fault = db.fault(code);
            if let FaultKind::Sqlite { code, message, .. } = fault.kind() {
                shielded(|| {
                    tracing::error!(
                        target: "finalite::statement",
                        code,
                        %message,
                        connection = db.id(),
                        name = db.info().name(),
                        opened_at = %site,
                        "a blob was closed in drop, with this error",
                    );
                });
            }
            db.lose(fault);
        }
    }
}

impl BlobCore {
    /// Closes and frees a blob whose owner was forgotten.
    ///
    /// # Safety
    ///
    /// `core` was removed from a connection's list; no value that borrows the connection exists.
    pub(super) unsafe fn close_forgotten(core: NonNull<Self>, connection: u64, account: Account) {
        // SAFETY: created by Box::leak in `Db::open_blob`, and not freed: it was in the list until the caller removed
        // it. No value that borrows the connection exists (the caller's promise), so that this is the only owner
        // (rules 16, 19).
        let core = unsafe { Box::from_raw(core.as_ptr()) };
        let charge = account.charge();
        // The result is the error of a commit, or of the last call; the registry reports the forgotten blob.
        // SAFETY: not closed, as its core was in the list, and this is the only close, as the core is freed with it
        // (rule 19). `close` closes nothing that is inherited (rules 6, 12).
        unsafe { ffi::sqlite3_blob_close(core.ptr.as_ptr()) };
        drop(charge);
        counts::closed(HandleKind::Blob);
        registry::forgot(HandleKind::Blob, connection, Some(core.site), None);
    }

    /// Reads the size of the value that the blob is now open on.
    fn update_len(&self) {
        // SAFETY: the blob is open as long as its core, which `self` borrows (rules 16, 19); c3ref/blob_bytes.html:
        // reads a number stored in it (rule 20).
        self.len.set(unsafe { ffi::sqlite3_blob_bytes(self.ptr.as_ptr()) });
    }

    /// Converts a range to the numbers that SQLite takes. Returns an error for an expired blob, which SQLite reports
    /// only for a range within it, and for one that exceeds the value.
    #[inline]
    fn range(&self, count: usize, offset: u64) -> Result<(c_int, c_int), Fault> {
        if self.is_expired.get() {
            return Err(Fault::new(FaultKind::BlobExpired));
        }
        if let (Ok(bytes), Ok(start)) = (c_int::try_from(count), c_int::try_from(offset))
            && start.checked_add(bytes).is_some_and(|end| end <= self.len.get())
        {
            return Ok((bytes, start));
        }
        let len = u64::try_from(self.len.get()).unwrap_or(0);
        Err(Fault::new(FaultKind::BlobRange { offset, bytes: count, len }))
    }
}

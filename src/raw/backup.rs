//! Online backups: copying one database over another, page by page.

use std::any::Any;
use std::ffi::{CStr, c_int};
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;

use super::allocator::Charge;
use super::db::{Db, code_fault};
use super::ffi;
use crate::error::Fault;
use crate::track::registry::{self, Recorded};
use crate::track::{HandleKind, counts};

/// A running backup, in the list of its source. Drop ends it and drops the destination: if it was not complete, the
/// destination is what it was before.
pub(crate) struct RawBackup<'src> {
    /// Created by `Db::begin_backup`, and in the source's list. It is freed by `release`, which ends `self`, or by
    /// `Db::close` of the source, when no value that borrows the source exists.
    core: NonNull<BackupCore>,
    db: &'src Db,
}

/// State of a backup. The source's list points to it, so that closing the source also finds a forgotten one.
pub(super) struct BackupCore {
    ptr: NonNull<ffi::sqlite3_backup>,
    slot: u32,
    site: &'static Location<'static>,
    /// Owner of the destination connection. Nothing reaches it while the backup runs.
    destination: Box<dyn Any + Send>,
    note: BackupNote,
    _recorded: Option<Recorded>,
}

/// Data about a backup for its errors. They are in the core, and not with the owner, which may be forgotten; the
/// destination cannot be asked while the backup runs.
pub(crate) struct BackupNote {
    pub(crate) source_name: Box<str>,
    pub(crate) destination_files: Vec<Box<str>>,
    pub(crate) destination_page_size: Option<u32>,
    pub(crate) is_destination_read_only: bool,
}

impl Db {
    /// Begins a backup of a database of this connection to one of another, whose connection `db_of` returns.
    pub(crate) fn begin_backup<D: Any + Send>(
        &self,
        source_name: &CStr,
        destination: D,
        db_of: impl FnOnce(&D) -> &Db,
        destination_name: &CStr,
        note: BackupNote,
        site: &'static Location<'static>,
    ) -> Result<RawBackup<'_>, Fault> {
        let entered = self.enter()?;
        let destination = Box::new(destination);
        let to = db_of(&destination);
        let to_entered = to.enter()?;
        // What a backup allocates belongs to one or the other connection, which SQLite does not tell.
        let charge = Charge::to_nobody();
        // SAFETY: both connections are open, as the entries show (rules 19, 20), and two different ones: `destination`
        // is owned here, and `self` is borrowed. The names are C strings (rule 22). c3ref/backup_finish.html: the
        // destination may not be used while the backup runs: the core owns it until `release` has ended the backup
        // (rule 7).
        let backup = unsafe {
            ffi::sqlite3_backup_init(to_entered.db(), destination_name.as_ptr(), entered.db(), source_name.as_ptr())
        };
        drop(charge);
        let Some(ptr) = NonNull::new(backup) else {
            return Err(to.last_fault().unwrap_or_else(Fault::no_memory));
        };
        counts::opened(HandleKind::Backup);
        let core = NonNull::from(Box::leak(Box::new(BackupCore {
            ptr,
            slot: self.next_slot(),
            site,
            destination,
            note,
            _recorded: self.record(HandleKind::Backup, registry::new_id(), Some(self.id()), site, None),
        })));
        self.adopt_backup(core);
        Ok(RawBackup { core, db: self })
    }
}

impl RawBackup<'_> {
    fn core(&self) -> &BackupCore {
        // SAFETY: the core is freed only by `release`, which ends `self`, and by `Db::close`, which needs the source
        // exclusively while `self` borrows it (rule 19).
        unsafe { self.core.as_ref() }
    }

    fn ptr(&self) -> *mut ffi::sqlite3_backup {
        self.core().ptr.as_ptr()
    }

    pub(crate) fn note(&self) -> &BackupNote {
        &self.core().note
    }

    /// Copies at most this number of pages; all that are left if it is negative. Returns whether the backup is complete.
    pub(crate) fn step(&mut self, pages: c_int) -> Result<bool, Fault> {
        let _entered = self.db.enter()?;
        let charge = Charge::to_nobody();
        // SAFETY: the backup is not finished: `self` owns it (rules 7, 19). The source is open, as the entry shows
        // (rule 20), and the destination, which the core owns. c3ref/backup_finish.html: only this thread uses either.
        let code = unsafe { ffi::sqlite3_backup_step(self.ptr(), pages) };
        drop(charge);
        // A busy handler may have panicked.
        self.db.resume();
        match code {
            ffi::SQLITE_OK => Ok(false),
            ffi::SQLITE_DONE => Ok(true),
            code => Err(code_fault(code)),
        }
    }

    /// Returns an error if the backup may not be used now.
    pub(crate) fn check_usable(&self) -> Result<(), Fault> {
        self.db.check_usable()
    }

    /// Returns the number of pages of the source, and of those that are left, as of the last step.
    pub(crate) fn counts(&self) -> (u64, u64) {
        // SAFETY: the backup is not finished: `self` owns it (rules 7, 19); reads a number stored in it (rule 20).
        let pages = unsafe { ffi::sqlite3_backup_pagecount(self.ptr()) };
        // SAFETY: the backup is not finished, as above (rules 7, 19); reads a number stored in it, too (rule 20).
        let remaining = unsafe { ffi::sqlite3_backup_remaining(self.ptr()) };
        (u64::try_from(pages).unwrap_or(0), u64::try_from(remaining).unwrap_or(0))
    }

    /// Ends the backup. Returns the owner of the destination.
    pub(crate) fn finish(self) -> (Result<(), Fault>, Box<dyn Any + Send>, BackupNote) {
        let (code, destination, note) = ManuallyDrop::new(self).release();
        let result = if code == ffi::SQLITE_OK { Ok(()) } else { Err(code_fault(code)) };
        (result, destination, note)
    }

    /// Ends and frees the backup. It ends `self`, for `finish` and Drop.
    fn release(&mut self) -> (c_int, Box<dyn Any + Send>, BackupNote) {
        // SAFETY: created by Box::leak in `Db::begin_backup`; it is taken out of the list below, so `self` is its only
        // owner (rule 19). The callers do not use `self` again.
        let core = unsafe { Box::from_raw(self.core.as_ptr()) };
        self.db.disown(core.slot);
        counts::closed(HandleKind::Backup);
        if self.db.is_inherited() {
            return (ffi::SQLITE_OK, core.destination, core.note);
        }
        let _charge = Charge::to_nobody();
        // SAFETY: `self` owned the backup, and this is its only finish, as the core is freed with it (rule 19). Both
        // connections are open, and neither is inherited: the source was checked above, and a destination that was
        // inherited is refused at the beginning (rules 7, 12).
        let code = unsafe { ffi::sqlite3_backup_finish(core.ptr.as_ptr()) };
        (code, core.destination, core.note)
    }
}

impl Drop for RawBackup<'_> {
    fn drop(&mut self) {
        if self.db.is_in_any_callback() && !self.db.is_inherited() {
            // C may be using it: the backup is left to close, as a forgotten one.
            return;
        }
        // The code is that of a step, which has returned it.
        let (_, destination, _) = self.release();
        drop(destination);
    }
}

impl BackupCore {
    /// Ends and frees a backup whose owner was forgotten, and drops its destination.
    ///
    /// # Safety
    ///
    /// `core` was removed from the list of a source that is not inherited; no value that borrows the source exists.
    pub(super) unsafe fn finish_forgotten(core: NonNull<Self>, connection: u64) {
        // SAFETY: created by Box::leak in `Db::begin_backup`, and not freed: it was in the list until the caller removed
        // it. No value that borrows the source exists (the caller's promise), so that this is the only owner (rule 19).
        let core = unsafe { Box::from_raw(core.as_ptr()) };
        let charge = Charge::to_nobody();
        // SAFETY: not finished, as its core was in the list, and this is the only finish (rule 19). The source is open
        // and not inherited (the caller's promise, rules 6, 12), and the core owns the destination (rule 7).
        unsafe { ffi::sqlite3_backup_finish(core.ptr.as_ptr()) };
        drop(charge);
        counts::closed(HandleKind::Backup);
        registry::forgot(HandleKind::Backup, connection, Some(core.site), None);
        drop(core.destination);
    }
}

//! Pages that are read where SQLite has mapped the database file, without a copy.
//!
//! ```text
//!   Storage::lend  -> xFetch    of SQLITE_FCNTL_FILE_POINTER
//!   Mapped::drop   -> xUnfetch
//! ```
//!
//! SQLite neither moves nor removes the mapping while a part of it is fetched.

use std::ffi::{c_int, c_void};
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;

use super::ffi;
use super::storage::{OpenFile, Storage, TransactionState};

/// A part of a database file in memory, which SQLite keeps mapped.
pub(crate) struct Mapped<'db> {
    storage: Storage<'db>,
    offset: i64,
    start: NonNull<u8>,
    bytes: usize,
}

impl<'db> Storage<'db> {
    /// Returns a part of the database file where SQLite has it mapped; `None` if it has not, or if the file may change
    /// during the current read transaction. The borrow of the database does not outlive that transaction.
    pub(crate) fn lend(self, offset: u64, bytes: usize) -> Option<Mapped<'db>> {
        if !self.is_unchanging() {
            return None;
        }
        let entered = self.db().try_enter()?;
        let OpenFile { file, methods } = self.file(&entered, ffi::SQLITE_FCNTL_FILE_POINTER)?;
        // SAFETY: the methods of an open file are constant and live as long as the file is open, which it is during the
        // entry; every version has this field (rule 24).
        if unsafe { (*methods).iVersion } < 3 {
            return None;
        }
        // SAFETY: as above; `iVersion` is at least 3, and c3ref/io_methods.html lists xFetch before "Methods above are
        // valid for version 3" (rule 24).
        let fetch = unsafe { (*methods).xFetch }?;
        let (length, offset) = (c_int::try_from(bytes).ok()?, i64::try_from(offset).ok()?);
        let mut start: *mut c_void = ptr::null_mut();
        let charge = entered.charge();
        // SAFETY: the file is open during the entry, and `start` is a local; the call is the pager's, with more bytes:
        // NULL if they are not all mapped (rules 11, 24).
        let code = unsafe { fetch(file, offset, length, &raw mut start) };
        drop(charge);
        let start = NonNull::new(start.cast()).filter(|_| code == ffi::SQLITE_OK)?;
        Some(Mapped { storage: self, offset, start, bytes })
    }

    /// Whether nothing changes the database file as long as the connection's read transaction is open: neither the
    /// connection itself, nor another one by a commit or a checkpoint.
    fn is_unchanging(self) -> bool {
        /// Positions in the write-ahead log's index: number of frames, and of those that are in the database file.
        const FRAMES_WORD: usize = 4;
        const BACKFILL_WORD: usize = 24;
        let is_read = self.is_read_only() && self.transaction() == TransactionState::Read && self.is_lock_shared();
        if !is_read || !self.is_journal_open() {
            return is_read;
        }
        // A checkpoint writes the frames that readers see and that are not in the file: here none. Those of later
        // commits it writes when this transaction has ended.
        let mut words = [0; BACKFILL_WORD + 1];
        self.read_log_index(0, 0, &mut words) && words[FRAMES_WORD] == words[BACKFILL_WORD]
    }
}

impl Deref for Mapped<'_> {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        // SAFETY: xFetch returned this address for as many bytes, which stay mapped until xUnfetch: os_unix.c and
        // os_win.c move and remove no mapping while a fetch is outstanding. `lend` has checked that their content does
        // not change (rule 18).
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // In a child process, the mapping is the parent's.
        let Some(entered) = self.storage.db().try_enter() else {
            return;
        };
        let Some(OpenFile { file, methods }) = self.storage.file(&entered, ffi::SQLITE_FCNTL_FILE_POINTER) else {
            return;
        };
        // SAFETY: the file is that of `lend`, since the database is attached as long as its read transaction is open;
        // its methods are of version 3, as `lend` found (rule 24).
        if let Some(unfetch) = unsafe { (*methods).xUnfetch } {
            let _charge = entered.charge();
            // SAFETY: the file is open during the entry; offset and address are those of the fetch, which is given back
            // once (rules 11, 24).
            unsafe { unfetch(file, self.offset, self.start.as_ptr().cast()) };
        }
    }
}

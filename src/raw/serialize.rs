//! Databases as bytes: `sqlite3_serialize` and `sqlite3_deserialize`.

use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::slice;

use super::allocator::Charge;
use super::db::Db;
use super::ffi;
use super::storage::TransactionState;
use crate::error::{Fault, FaultKind};

/// Bytes allocated by SQLite and owned by finalite. Dropping them frees them.
pub(crate) struct SqliteBytes {
    /// `None` if there are no bytes.
    ptr: Option<NonNull<u8>>,
    len: usize,
}

// SAFETY: bytes that `self` alone owns, and that nothing changes (rules 17, 19). Freeing needs no connection, and SQLite
// is compiled thread-safe, which `library::check` has ensured before any connection was opened (rule 12).
unsafe impl Send for SqliteBytes {}
// SAFETY: as for `Send` (rules 12, 17); a shared reference only reads bytes that nothing changes.
unsafe impl Sync for SqliteBytes {}

impl SqliteBytes {
    /// Takes ownership of bytes; of no bytes if the pointer is NULL.
    ///
    /// # Safety
    ///
    /// `ptr` is NULL, or `len` initialized bytes from SQLite's allocator that no other code uses or frees.
    pub(super) unsafe fn own(ptr: *mut u8, len: usize) -> Self {
        let ptr = NonNull::new(ptr);
        Self { ptr, len: ptr.map_or(0, |_| len) }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self.ptr {
            // SAFETY: `len` initialized bytes (the promise of `own`), which `self` owns until its Drop (rules 17, 19).
            Some(ptr) => unsafe { slice::from_raw_parts(ptr.as_ptr(), self.len) },
            None => &[],
        }
    }
}

impl Drop for SqliteBytes {
    fn drop(&mut self) {
        if let Some(ptr) = self.ptr {
            // SAFETY: memory of SQLite's allocator (the promise of `own`), of which `self` is the only owner
            // (rules 17, 22, c3ref/free.html).
            unsafe { ffi::sqlite3_free(ptr.as_ptr().cast()) }
        }
    }
}

/// Content for [`Db::deserialize`].
#[derive(Clone, Copy)]
pub(crate) enum Image<'a> {
    /// To be copied into memory of SQLite's, which grows with the database.
    Copied(&'a [u8]),
    /// To be read in place. It is never written.
    Static(&'static [u8]),
}

impl Db {
    /// Returns the content of a database. Pages that could not be read are zero, of which SQLite does not tell.
    pub(crate) fn serialize(&self, name: &CStr) -> Result<SqliteBytes, Fault> {
        let entered = self.enter()?;
        match self.transaction_state(Some(name)) {
            Some(TransactionState::Write) => return Err(Fault::new(FaultKind::Misuse(UNCOMMITTED))),
            None => return Err(Fault::new(FaultKind::Misuse("there is no database of this name"))),
            _ => {}
        }
        // Where SQLite returns NULL without storing an error, that of an earlier call is not to be read.
        self.take_out_of_memory_mark();
        let mut len = -1;
        // The bytes may outlive the connection, and are therefore charged to none.
        let charge = Charge::to_nobody();
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20), and the name a C string (rule 22).
        // c3ref/serialize.html: without flags, the result is memory of sqlite3_malloc64() that the caller owns, or NULL
        // (rule 17); the size goes to `len`.
        let bytes = unsafe { ffi::sqlite3_serialize(entered.db(), name.as_ptr(), &raw mut len, 0) };
        drop(charge);
        self.resume();
        match usize::try_from(len) {
            Ok(len) if !bytes.is_null() || len == 0 => {
                // SAFETY: c3ref/serialize.html: NULL, or memory of sqlite3_malloc64() with `len` bytes, for which "the
                // caller is responsible" (rule 17).
                Ok(unsafe { SqliteBytes::own(bytes, len) })
            }
            _ => Err(self.last_fault().unwrap_or_else(Fault::no_memory)),
        }
    }

    /// Replaces a database, `main` or an attached one, by one in memory with this content.
    pub(crate) fn deserialize(&self, name: &CStr, image: Image<'_>) -> Result<(), Fault> {
        let entered = self.enter()?;
        let (bytes, flags) = match image {
            Image::Copied(bytes) => (bytes, ffi::SQLITE_DESERIALIZE_FREEONCLOSE | ffi::SQLITE_DESERIALIZE_RESIZEABLE),
            Image::Static(bytes) => (bytes, ffi::SQLITE_DESERIALIZE_READONLY),
        };
        let Ok(len) = i64::try_from(bytes.len()) else {
            return Err(Fault::new(FaultKind::TooBig { what: "database", bytes: bytes.len() }));
        };
        let charge = entered.charge();
        let data = match image {
            Image::Static(bytes) => bytes.as_ptr().cast_mut(),
            Image::Copied([]) => ptr::null_mut(),
            Image::Copied(bytes) => {
                // SAFETY: takes a number, and returns NULL or memory of that size (rule 24).
                let copy = unsafe { ffi::sqlite3_malloc64(bytes.len() as u64) }.cast::<u8>();
                if copy.is_null() {
                    return Err(Fault::no_memory());
                }
                // SAFETY: `copy` is `bytes.len()` new bytes, so that the two do not overlap (rule 22).
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len()) };
                copy
            }
        };
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20), and the name a C string (rule 22). `data` is
        // `len` bytes. They are SQLite's own from sqlite3_malloc64(), which it resizes, and frees with
        // SQLITE_DESERIALIZE_FREEONCLOSE even if the call fails; or they live as long as the process and are not written,
        // with SQLITE_DESERIALIZE_READONLY (rule 17, c3ref/deserialize.html).
        let code = unsafe { ffi::sqlite3_deserialize(entered.db(), name.as_ptr(), data, len, len, flags) };
        drop(charge);
        self.resume();
        self.check(code)?;
        // The file that it replaces is closed.
        self.note_files()
    }

    /// Sets the largest size of a database that was deserialized. Returns the limit that now holds; `None` for any other
    /// database.
    pub(crate) fn set_size_limit(&self, name: &CStr, bytes: u64) -> Result<Option<u64>, Fault> {
        let entered = self.enter()?;
        let mut limit = i64::try_from(bytes).unwrap_or(i64::MAX);
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20), and the name a C string (rule 22);
        // SQLITE_FCNTL_SIZE_LIMIT takes a pointer to a 64-bit integer, the local `limit`.
        let code = unsafe {
            ffi::sqlite3_file_control(
                entered.db(),
                name.as_ptr(),
                ffi::SQLITE_FCNTL_SIZE_LIMIT,
                (&raw mut limit).cast(),
            )
        };
        match code {
            ffi::SQLITE_NOTFOUND | ffi::SQLITE_ERROR => Ok(None),
            code => self.check(code).map(|()| u64::try_from(limit).ok()),
        }
    }
}

const UNCOMMITTED: &str = "a database with changes that are not committed cannot be serialized";

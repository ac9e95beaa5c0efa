//! File controls (`sqlite3_file_control`) by the name of a database, one function for each type of argument.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use super::text::SqliteString;
use super::{Db, ffi};
use crate::error::Fault;

/// File controls that take a pointer to an int, from which they read and into which they write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntControl {
    HasMoved,
    /// Reads only.
    ChunkSize,
    /// Returns the value before. A negative value only returns it.
    ReserveBytes,
    /// Returns the value afterwards. A negative value only returns it.
    PersistWal,
    /// Returns the value afterwards. A negative value only returns it.
    PowerSafeOverwrite,
    /// Returns the value before.
    LockTimeout,
}

impl IntControl {
    fn operation(self) -> c_int {
        match self {
            Self::HasMoved => ffi::SQLITE_FCNTL_HAS_MOVED,
            Self::ChunkSize => ffi::SQLITE_FCNTL_CHUNK_SIZE,
            Self::ReserveBytes => ffi::SQLITE_FCNTL_RESERVE_BYTES,
            Self::PersistWal => ffi::SQLITE_FCNTL_PERSIST_WAL,
            Self::PowerSafeOverwrite => ffi::SQLITE_FCNTL_POWERSAFE_OVERWRITE,
            Self::LockTimeout => ffi::SQLITE_FCNTL_LOCK_TIMEOUT,
        }
    }

    /// Returns the C name of the operation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HasMoved => "SQLITE_FCNTL_HAS_MOVED",
            Self::ChunkSize => "SQLITE_FCNTL_CHUNK_SIZE",
            Self::ReserveBytes => "SQLITE_FCNTL_RESERVE_BYTES",
            Self::PersistWal => "SQLITE_FCNTL_PERSIST_WAL",
            Self::PowerSafeOverwrite => "SQLITE_FCNTL_POWERSAFE_OVERWRITE",
            Self::LockTimeout => "SQLITE_FCNTL_LOCK_TIMEOUT",
        }
    }
}

impl Db {
    /// Runs a file control with an int. Returns the int afterwards; `None` if the VFS does not have the file control,
    /// or the database has no file.
    pub(crate) fn control_int(
        &self,
        name: &CStr,
        control: IntControl,
        mut value: c_int,
    ) -> Result<Option<c_int>, Fault> {
        let argument = (&raw mut value).cast();
        // SAFETY: each of these operations takes a pointer to an int, here a local (rule 24).
        let is_known = unsafe { self.control(name, control.operation(), argument) }?;
        Ok(is_known.then_some(value))
    }

    /// Returns the number that changes with each change of the database that the connection has seen; `None` for a
    /// database that is not open.
    pub(crate) fn data_version(&self, name: &CStr) -> Result<Option<u32>, Fault> {
        let mut version: u32 = 0;
        // SAFETY: SQLITE_FCNTL_DATA_VERSION takes a pointer to an unsigned integer of 32 bits, here a local (rule 24).
        let is_known = unsafe { self.control(name, ffi::SQLITE_FCNTL_DATA_VERSION, (&raw mut version).cast()) }?;
        Ok(is_known.then_some(version))
    }

    /// Returns the names of the VFS of a database, from the outermost on; `None` for a database without a file.
    pub(crate) fn vfs_name(&self, name: &CStr) -> Result<Option<Box<str>>, Fault> {
        let mut text: *mut c_char = ptr::null_mut();
        // SAFETY: SQLITE_FCNTL_VFSNAME takes a pointer to a `char*`, here a local (rule 24).
        let is_known = unsafe { self.control(name, ffi::SQLITE_FCNTL_VFSNAME, (&raw mut text).cast()) }?;
        // SAFETY: NULL, or a string of sqlite3_malloc() that "the caller is responsible" for freeing
        // (c3ref/c_fcntl_begin_atomic_write.html); `text` is its only owner (rule 22).
        let text = unsafe { SqliteString::from_raw(text) };
        match text {
            Some(text) => Ok(Some(text.to_text())),
            None if is_known => Err(Fault::no_memory()),
            None => Ok(None),
        }
    }

    /// Calls `sqlite3_file_control`. Returns `false` if the VFS does not have the operation, or the database has no
    /// file.
    ///
    /// # Safety
    ///
    /// `argument` is the pointer that SQLite's documentation of file controls requires for the operation.
    unsafe fn control(&self, name: &CStr, operation: c_int, argument: *mut c_void) -> Result<bool, Fault> {
        let entered = self.enter()?;
        let _charge = entered.charge();
        // SAFETY: the connection is open, as `entered` shows (rules 19, 20), and the name a C string (rule 22); the
        // caller promises a valid argument (rule 24).
        match unsafe { ffi::sqlite3_file_control(entered.db(), name.as_ptr(), operation, argument) } {
            ffi::SQLITE_NOTFOUND | ffi::SQLITE_ERROR => Ok(false),
            code => self.check(code).map(|()| true),
        }
    }
}

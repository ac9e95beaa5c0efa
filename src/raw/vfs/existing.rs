//! File systems that SQLite has already, and their files: what a file system of the program can be built on.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::mem;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::api::FullPath;
use super::error::{VfsError, VfsResult};
use super::flags::{Access, DeviceCharacteristics, FileKind, LockLevel, OpenFlags, SyncMode};
use super::name::{FileName, c_path, owned_path};
use super::running;
use crate::error::{Error, Fault, FaultKind, ResultCode};
use crate::raw::db::code_fault;
use crate::raw::ffi;
use crate::raw::initialize::initialize;
use crate::track::open_files::{FileId, is_open};

/// Reads a field of a registered file system. `pNext`, which SQLite writes, is none of them.
macro_rules! field {
    ($vfs:expr, $field:ident) => {
        // SAFETY: registered, and so valid; c3ref/vfs.html: SQLite modifies `pNext` alone, and no reference to the whole is
        // made (rules 24, 26).
        unsafe { (*$vfs.as_ptr()).$field }
    };
}
pub(super) use field;

/// A file system that is registered with SQLite: the system's (`unix`, `win32`), or any other one by its name.
///
/// # Example
///
/// ```
/// use finalite::vfs::{Access, Existing, FileKind, FileName, OpenFlags};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("notes");
/// let system = Existing::default_one()?;
/// let file = system.open(Some(&FileName::new(&path, &[])?), OpenFlags::read_write(FileKind::MainDatabase))?;
/// file.write_at(b"text", 3)?;
/// assert_eq!(file.size()?, 7);
/// drop(file);
/// assert!(system.access(&path, Access::Exists)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [`sqlite3_vfs`](https://sqlite.org/c3ref/vfs.html), [`sqlite3_vfs_find`](https://sqlite.org/c3ref/vfs_find.html)
#[derive(Clone, Copy)]
pub struct Existing(NonNull<ffi::sqlite3_vfs>);

// SAFETY: c3ref/vfs.html: "The SQLite core will ... invoke the methods ... from any thread": a file system is used by all
// threads, and the object is not freed (rules 24, 26).
unsafe impl Send for Existing {}
// SAFETY: as for `Send`: its methods may be called by several threads at a time (rules 24, 26).
unsafe impl Sync for Existing {}

impl Existing {
    /// Returns SQLite's default file system.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if there is none.
    pub fn default_one() -> crate::Result<Self> {
        initialize().map_err(|code| Error::from(code_fault(code)))?;
        Self::find(None)
            .ok_or_else(|| Fault::new(FaultKind::Unsupported("SQLite has no default file system".into())).into())
    }

    /// Returns the file system of this name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if there is none.
    pub fn named(name: &str) -> crate::Result<Self> {
        initialize().map_err(|code| Error::from(code_fault(code)))?;
        let found = CString::new(name).ok().and_then(|name| Self::find(Some(&name)));
        found.ok_or_else(|| {
            Fault::new(FaultKind::Unsupported(format!("SQLite has no file system of the name `{name}`").into())).into()
        })
    }

    pub(super) fn find(name: Option<&CStr>) -> Option<Self> {
        // SAFETY: c3ref/vfs_find.html: a C string, or NULL for the default. SQLite reads its list under a mutex of its
        // own, so on any thread (rules 22, 24).
        NonNull::new(unsafe { ffi::sqlite3_vfs_find(name.map_or(ptr::null(), CStr::as_ptr)) }).map(Self)
    }

    /// Returns the name under which it is registered.
    #[must_use]
    pub fn name(&self) -> String {
        let name = field!(self, zName);
        if name.is_null() {
            return String::new();
        }
        // SAFETY: c3ref/vfs.html: the name of the module, NUL-terminated, not modified while it is registered (rule 24).
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    /// Returns one that was found before; `None` for NULL.
    pub(super) fn from_ptr(vfs: *mut ffi::sqlite3_vfs) -> Option<Self> {
        NonNull::new(vfs).map(Self)
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::sqlite3_vfs {
        self.0.as_ptr()
    }

    /// Returns the error of a code.
    fn error(&self, code: c_int) -> VfsError {
        let error = VfsError::new(ResultCode::new(code));
        match field!(self, xGetLastError) {
            // SAFETY: registered (rule 24); c3ref/vfs.html: the buffer may be of no bytes, and the result is the number
            // of the system's last error on this thread.
            Some(last) => error.with_os_error(unsafe { last(self.as_ptr(), 0, ptr::null_mut()) }),
            None => error,
        }
    }

    /// Returns the longest path, in bytes, that the file system has room for.
    pub(super) fn longest_path(&self) -> usize {
        usize::try_from(field!(self, mxPathname)).unwrap_or(0)
    }

    /// Refuses a path for which C's buffers have no room: `unix` copies those of journals and logs without a look.
    fn check_length(&self, path: &[u8]) -> VfsResult<()> {
        if path.len() <= self.longest_path() { Ok(()) } else { Err(VfsError::new(ResultCode::CANTOPEN)) }
    }

    /// Converts a path for C, if it is not too long.
    fn path(&self, path: &Path) -> VfsResult<CString> {
        let path = c_path(path)?;
        self.check_length(path.as_bytes()).map(|()| path)
    }

    /// Converts the code of a call. A file system of the program that the call was for, and not SQLite's, may have panicked.
    fn check(&self, code: c_int) -> VfsResult<()> {
        running::resume();
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.error(code)) }
    }

    /// Opens a file; one without a name is a temporary file, which is deleted when it is closed.
    ///
    /// **A database is [`FileKind::MainDatabase`].** SQLite keeps no record of the locks of other kinds of files, and
    /// closing one drops all locks of the process on the file, as closing a [`File`](std::fs::File) does. For the same
    /// reason, a database is opened in one of SQLite's file systems alone, not in `unix` and `unix-none` at a time.
    ///
    /// # Errors
    ///
    /// The file system's; `SQLITE_CANTOPEN` for flags that SQLite does not use: a file without a name that is not
    /// temporary, or not created; and for a path longer than the file system's longest (512 bytes for `unix`), or
    /// for a database that a connection of finalite has open, as a file of another kind.
    pub fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<ExistingFile> {
        let is_sound = match flags.kind() {
            FileKind::Other => false,
            FileKind::MainDatabase | FileKind::MainJournal | FileKind::Wal | FileKind::SuperJournal => name.is_some(),
            _ => name.is_some() || flags.is_create(),
        };
        let Some(open) = field!(self, xOpen).filter(|_| is_sound) else {
            return Err(VfsError::new(ResultCode::CANTOPEN));
        };
        if let Some(name) = name {
            self.check_length(name.as_bytes())?;
            // `unix` keeps a record of locks for databases alone: closing a file of another kind drops those of the process.
            if flags.kind() != FileKind::MainDatabase && FileId::of(name.c_str()).is_some_and(is_open) {
                return Err(VfsError::new(ResultCode::CANTOPEN));
            }
        }
        let words = usize::try_from(field!(self, szOsFile)).unwrap_or(0).div_ceil(8).max(1);
        let memory = NonNull::from(Box::leak(vec![0_u64; words].into_boxed_slice()));
        // From here on, its Drop frees the memory, and closes the file if there are methods.
        let mut real = Real {
            memory,
            vfs: *self,
            flags,
            level: LockLevel::None,
            is_claimed: false,
            has_mapped: false,
            _name: name.cloned(),
        };
        // As SQLite opens a temporary file.
        let temporary = ffi::SQLITE_OPEN_DELETEONCLOSE | ffi::SQLITE_OPEN_EXCLUSIVE;
        let bits = if name.is_none() { flags.bits() | temporary } else { flags.bits() };
        let mut out = bits;
        let path = name.map_or(ptr::null(), FileName::as_ptr);
        // SAFETY: registered (rule 24). The memory has szOsFile bytes, zeroed and aligned, and `real` keeps the name until
        // the file is closed, as c3ref/vfs.html asks for; its path is no longer than mxPathname, as those of SQLite, which
        // C copies into buffers of that size. `out` is a local (rule 26).
        let code = unsafe { open(self.as_ptr(), path, real.file(), bits, &raw mut out) };
        self.check(code)?;
        real.flags = OpenFlags(out);
        Ok(ExistingFile(Arc::new(Mutex::new(real))))
    }

    /// Deletes a file. `sync_directory`: durably.
    ///
    /// # Errors
    ///
    /// The file system's; `SQLITE_IOERR_DELETE_NOENT` if there is no such file; `SQLITE_CANTOPEN` for a path that is too long.
    pub fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
        let path = self.path(path)?;
        let Some(delete) = field!(self, xDelete) else {
            return Err(VfsError::new(ResultCode::IOERR_DELETE));
        };
        // SAFETY: registered (rule 24), and a C string that lives during the call (rule 22).
        self.check(unsafe { delete(self.as_ptr(), path.as_ptr(), c_int::from(sync_directory)) })
    }

    /// Answers a question about a file.
    ///
    /// # Errors
    ///
    /// The file system's; `SQLITE_CANTOPEN` for a path that is too long.
    pub fn access(&self, path: &Path, access: Access) -> VfsResult<bool> {
        let path = self.path(path)?;
        let Some(method) = field!(self, xAccess) else {
            return Err(VfsError::new(ResultCode::IOERR_ACCESS));
        };
        let mut result = 0;
        // SAFETY: registered (rule 24), a C string that lives during the call (rule 22), and a local.
        self.check(unsafe { method(self.as_ptr(), path.as_ptr(), access.to_c(), &raw mut result) })?;
        Ok(result != 0)
    }

    /// Returns the absolute path of a file.
    ///
    /// # Errors
    ///
    /// The file system's; `SQLITE_CANTOPEN` for a path that is too long.
    pub fn full_path(&self, path: &Path) -> VfsResult<FullPath> {
        let path = self.path(path)?;
        let Some(method) = field!(self, xFullPathname) else {
            return Err(VfsError::new(ResultCode::CANTOPEN_FULLPATH));
        };
        let longest = field!(self, mxPathname).max(0);
        let mut buffer: Vec<c_char> = vec![0; usize::try_from(longest).unwrap_or(0) + 2];
        // SAFETY: registered (rule 24), a C string that lives during the call, and a buffer of more than the bytes that
        // are passed, the last of which stay zero (rule 22).
        let code = unsafe { method(self.as_ptr(), path.as_ptr(), longest + 1, buffer.as_mut_ptr()) };
        running::resume();
        if code & 0xff != ffi::SQLITE_OK {
            return Err(self.error(code));
        }
        // SAFETY: the buffer ends with NUL, as its last byte was not passed (rule 22).
        let full = unsafe { CStr::from_ptr(buffer.as_ptr()) };
        let has_symlink = code == ResultCode::OK_SYMLINK.number();
        Ok(FullPath { path: owned_path(full.to_bytes()), has_symlink })
    }

    /// Fills the buffer with random bytes. Returns the number of bytes that are.
    pub fn randomness(&self, into: &mut [u8]) -> usize {
        let (Some(random), Ok(len)) = (field!(self, xRandomness), c_int::try_from(into.len())) else {
            return 0;
        };
        // SAFETY: registered (rule 24), and a buffer of `len` bytes, borrowed exclusively (rule 22).
        let bytes = unsafe { random(self.as_ptr(), len, into.as_mut_ptr().cast()) };
        usize::try_from(bytes).unwrap_or(0).min(into.len())
    }
}

impl fmt::Debug for Existing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Existing").field(&self.name()).finish()
    }
}

/// An open file of an [`Existing`] file system. Dropping it closes it.
///
/// C: [`sqlite3_file`](https://sqlite.org/c3ref/file.html), [`sqlite3_io_methods`](https://sqlite.org/c3ref/io_methods.html)
pub struct ExistingFile(Arc<Mutex<Real>>);

/// The file of C.
struct Real {
    /// Memory of szOsFile bytes, whose first field is a pointer to the methods: NULL unless the file is open.
    memory: NonNull<[u64]>,
    vfs: Existing,
    /// Flags that the file system has returned.
    flags: OpenFlags,
    /// Lock that was asked for last, by which the order of the next one is checked. The file's own may be another, after an
    /// error: it alone answers.
    level: LockLevel,
    /// Whether a file that is open for C is built on it: SQLite uses its addresses of the shared memory until that file, and
    /// not another one, gives the memory up.
    is_claimed: bool,
    /// Whether shared memory was asked for, which closing does not give up.
    has_mapped: bool,
    /// The file keeps its address.
    _name: Option<FileName>,
}

// SAFETY: c3ref/io_methods.html: a file is used by whichever thread uses its connection; `Real` owns the file, and the
// mutex around it lets one thread use it at a time (rules 12, 26).
unsafe impl Send for Real {}

impl Real {
    fn file(&self) -> *mut ffi::sqlite3_file {
        self.memory.as_ptr().cast()
    }

    fn methods(&self) -> Option<&'static ffi::sqlite3_io_methods> {
        // SAFETY: the memory is that of a sqlite3_file, zeroed, or as xOpen has left it (rule 26).
        let methods = unsafe { (*self.file()).pMethods };
        // SAFETY: NULL, or the methods of an open file, which are constant; they are read while the file is open, as
        // `self` exists. Fields that its version lacks are not read: see `shared_methods` (rules 24, 26).
        unsafe { methods.as_ref() }
    }

    /// Returns the methods, if they include those for shared memory.
    fn shared_methods(&self) -> Option<&'static ffi::sqlite3_io_methods> {
        self.methods().filter(|methods| methods.iVersion >= 2 && methods.xShmMap.is_some())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if self.has_mapped
            && let Some(unmap) = self.shared_methods().and_then(|methods| methods.xShmUnmap)
        {
            // SAFETY: open, as it has methods; its shared memory is used by nobody, as the last owner of the file goes: the
            // file of C that has addresses of it is one, from `claim` to its end (rule 26).
            unsafe { unmap(self.file(), 0) };
        }
        if let Some(close) = self.methods().and_then(|methods| methods.xClose) {
            // SAFETY: open, as it has methods, and closed once, by its only owner (rules 19, 26).
            unsafe { close(self.file()) };
        }
        // SAFETY: leaked by `Existing::open`; the file is closed, so that nothing uses it any more (rule 19).
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

/// Calls a method of an open file, and converts its code.
macro_rules! call {
    ($real:expr, $method:ident($($argument:expr),*), $missing:ident) => {{
        let real = &$real;
        let Some(method) = real.methods().and_then(|methods| methods.$method) else {
            return Err(VfsError::new(ResultCode::$missing));
        };
        // SAFETY: the file is open, as `self` exists, and used by this thread alone, which holds the lock. The arguments
        // are numbers, buffers of the length that is passed, and locals (rules 22, 26).
        real.vfs.check(unsafe { method(real.file(), $($argument),*) })
    }};
}

impl ExistingFile {
    fn lock(&self) -> MutexGuard<'_, Real> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns another owner of the file, for the one file of C that is built on it.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` if there was one before.
    pub(super) fn claim(&self) -> VfsResult<Self> {
        if mem::replace(&mut self.lock().is_claimed, true) {
            return Err(VfsError::new(ResultCode::CANTOPEN));
        }
        Ok(Self(Arc::clone(&self.0)))
    }

    /// Whether the file was opened for reading only, though it may have been asked for more.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.lock().flags.is_read_only()
    }

    /// Reads at an offset. Returns the number of bytes that were read, which is smaller than the buffer at the end of the
    /// file; the rest of the buffer is zero.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn read_at(&self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        let (len, at) = range(into.len(), offset, ResultCode::IOERR_READ)?;
        if into.is_empty() {
            return Ok(0);
        }
        let buffer: *mut c_void = into.as_mut_ptr().cast();
        let read = || call!(self.lock(), xRead(buffer, len, at), IOERR_READ);
        match read() {
            Ok(()) => Ok(into.len()),
            Err(error) if error.code() == Some(ResultCode::IOERR_SHORT_READ) => {
                let rest = self.size()?.saturating_sub(offset);
                Ok(usize::try_from(rest).map_or(into.len(), |rest| rest.min(into.len())))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes at an offset. The file grows where it has to.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        let (len, at) = range(bytes.len(), offset, ResultCode::IOERR_WRITE)?;
        if bytes.is_empty() {
            return Ok(());
        }
        call!(self.lock(), xWrite(bytes.as_ptr().cast(), len, at), IOERR_WRITE)
    }

    /// Sets the size.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn truncate(&self, size: u64) -> VfsResult<()> {
        let (_, size) = range(0, size, ResultCode::IOERR_TRUNCATE)?;
        call!(self.lock(), xTruncate(size), IOERR_TRUNCATE)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn sync(&self, mode: SyncMode) -> VfsResult<()> {
        call!(self.lock(), xSync(mode.to_c()), IOERR_FSYNC)
    }

    /// Returns the size in bytes.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn size(&self) -> VfsResult<u64> {
        let mut bytes = 0;
        call!(self.lock(), xFileSize(&raw mut bytes), IOERR_FSTAT)?;
        u64::try_from(bytes).map_err(|_| VfsError::new(ResultCode::IOERR_FSTAT))
    }

    /// Raises the lock to a level. SQLite never asks for [`LockLevel::Pending`], begins with [`LockLevel::Shared`], and
    /// has that when it asks for [`LockLevel::Reserved`]; other orders are refused. [`LockLevel::None`] asks for nothing.
    ///
    /// # Errors
    ///
    /// [`VfsError::BUSY`]; the file system's.
    pub fn lock_to(&self, level: LockLevel) -> VfsResult<()> {
        let mut real = self.lock();
        let is_sound = match level {
            LockLevel::None => return Ok(()),
            LockLevel::Shared => true,
            LockLevel::Reserved | LockLevel::Exclusive => real.level >= LockLevel::Shared,
            LockLevel::Pending => false,
        };
        if !is_sound {
            return Err(VfsError::new(ResultCode::IOERR_LOCK));
        }
        // c3ref/io_methods.html: "If the file lock is already at or above the requested lock, then the call to xLock() is a
        // no-op".
        call!(real, xLock(level.to_c()), IOERR_LOCK)?;
        real.level = real.level.max(level);
        Ok(())
    }

    /// Lowers the lock to [`LockLevel::Shared`], which it then has or exceeds, or to [`LockLevel::None`].
    ///
    /// # Errors
    ///
    /// The file system's. It may have released the lock, or not: what is asked for next goes to it in any case.
    /// `SQLITE_IOERR_UNLOCK` for [`LockLevel::Shared`] without a lock.
    pub fn unlock_to(&self, level: LockLevel) -> VfsResult<()> {
        let (mut real, level) = (self.lock(), level.min(LockLevel::Shared));
        if real.level < level {
            return Err(VfsError::new(ResultCode::IOERR_UNLOCK));
        }
        real.level = level;
        call!(real, xUnlock(level.to_c()), IOERR_UNLOCK)
    }

    /// Whether any connection has [`LockLevel::Reserved`] or more.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn is_reserved(&self) -> VfsResult<bool> {
        let real = self.lock();
        // SQLite asks a file whose own lock is less.
        if real.level > LockLevel::Shared {
            return Ok(true);
        }
        let mut is_reserved = 0;
        call!(real, xCheckReservedLock(&raw mut is_reserved), IOERR_CHECKRESERVEDLOCK)?;
        Ok(is_reserved != 0)
    }

    /// Returns the number of bytes that the device writes at once.
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        let real = self.lock();
        let method = real.methods().and_then(|methods| methods.xSectorSize);
        // SAFETY: the file is open, as `self` exists, and used by this thread alone, which holds the lock (rule 26).
        method.map_or(0, |method| u32::try_from(unsafe { method(real.file()) }).unwrap_or(0))
    }

    /// Returns the promises of the device.
    #[must_use]
    pub fn device(&self) -> DeviceCharacteristics {
        let real = self.lock();
        let method = real.methods().and_then(|methods| methods.xDeviceCharacteristics);
        // SAFETY: the file is open, as `self` exists, and used by this thread alone, which holds the lock (rule 26).
        DeviceCharacteristics(method.map_or(0, |method| unsafe { method(real.file()) }))
    }

    /// Passes a file control on. Returns a code.
    ///
    /// # Safety
    ///
    /// `argument` is what SQLite passes for the operation, in a call that is running.
    pub(super) unsafe fn control(&self, operation: c_int, argument: *mut c_void) -> c_int {
        let real = self.lock();
        let Some(method) = real.methods().and_then(|methods| methods.xFileControl) else {
            return ffi::SQLITE_NOTFOUND;
        };
        // SAFETY: the file is open, as `self` exists, and used by this thread alone, which holds the lock; the argument is
        // that of the operation (the caller's promise, rules 24, 26).
        unsafe { method(real.file(), operation, argument) }
    }

    /// Whether the file has shared memory.
    pub(super) fn has_shared_memory(&self) -> bool {
        self.lock().shared_methods().is_some()
    }

    /// Maps a region of the shared memory, which stays as long as the file is open or until `unmap`. Returns a code, and
    /// the address, which may be there with an error as well (`SQLITE_READONLY`).
    pub(super) fn map(&self, region: c_int, bytes: c_int, extend: bool) -> (c_int, *mut c_void) {
        let mut real = self.lock();
        let Some(map) = real.shared_methods().and_then(|methods| methods.xShmMap) else {
            return (ffi::SQLITE_IOERR_SHMMAP, ptr::null_mut());
        };
        real.has_mapped = true;
        let mut memory = ptr::null_mut();
        // SAFETY: the file is open and used by this thread alone, and has the method; numbers, as SQLite passes them, and
        // a local (rule 26).
        let code = unsafe { map(real.file(), region, bytes, c_int::from(extend), &raw mut memory) };
        (code, memory)
    }

    /// Takes or releases locks of the shared memory. Returns a code.
    pub(super) fn lock_shared(&self, first: c_int, count: c_int, flags: c_int) -> c_int {
        let real = self.lock();
        let Some(lock) = real.shared_methods().and_then(|methods| methods.xShmLock) else {
            return ffi::SQLITE_IOERR_SHMLOCK;
        };
        // SAFETY: the file is open and used by this thread alone, and has the method; numbers of SQLite's (rule 26).
        unsafe { lock(real.file(), first, count, flags) }
    }

    pub(super) fn barrier(&self) {
        let real = self.lock();
        if let Some(barrier) = real.shared_methods().and_then(|methods| methods.xShmBarrier) {
            // SAFETY: the file is open and used by this thread alone, and has the method (rule 26).
            unsafe { barrier(real.file()) }
        }
    }

    /// Gives the shared memory up. Returns a code.
    pub(super) fn unmap(&self, delete: c_int) -> c_int {
        let mut real = self.lock();
        real.has_mapped = false;
        match real.shared_methods().and_then(|methods| methods.xShmUnmap) {
            // SAFETY: the file is open and used by this thread alone, and has the method; SQLite, which calls for this, uses
            // no address of the memory any more, and no other file of C has any, as one has claimed this (rule 26).
            Some(unmap) => unsafe { unmap(real.file(), delete) },
            None => ffi::SQLITE_OK,
        }
    }
}

impl fmt::Debug for ExistingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = self.lock();
        f.debug_struct("ExistingFile").field("vfs", &real.vfs).field("flags", &real.flags).finish_non_exhaustive()
    }
}

/// Converts a length and an offset for C, of which neither exceeds what C has.
fn range(len: usize, offset: u64, code: ResultCode) -> VfsResult<(c_int, i64)> {
    let range = c_int::try_from(len).ok().zip(i64::try_from(offset).ok());
    range.filter(|(len, at)| at.checked_add(i64::from(*len)).is_some()).ok_or(VfsError::new(code))
}

//! Direct reads of a database's files through SQLite's own file objects: the database file, its write-ahead log, and
//! the write-ahead log index in shared memory.
//!
//! ```text
//!   Storage::read            -> xRead   of SQLITE_FCNTL_FILE_POINTER     database file
//!   Storage::read_log        -> xRead   of SQLITE_FCNTL_JOURNAL_POINTER  write-ahead log (-wal)
//!   Storage::read_log_index  -> xShmMap of SQLITE_FCNTL_FILE_POINTER     write-ahead log index (-shm)
//! ```
//!
//! Nothing is opened and nothing is locked here. POSIX drops all locks of a process on a file when it closes any
//! descriptor of that file, so a second descriptor would endanger SQLite's locks; the reads therefore use the
//! descriptors that SQLite has open. Consistency comes from the read transaction that the connection holds. The index
//! has no lock for readers of its header: as in SQLite, the header is stored twice, and a reader reads both copies and
//! compares them (`LogHead::read` in `pages/snapshot.rs`).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::db::{Db, Entered, Limit};
use super::{ffi, text};
use crate::error::{Fault, FaultKind};

#[cfg(feature = "loadable-extension")]
use super::ffi::{sqlite3_is_interrupted, sqlite3_uri_key};
#[cfg(not(feature = "loadable-extension"))]
unsafe extern "C" {
    // c3ref/interrupt.html, since 3.41, and c3ref/uri_boolean.html, since 3.31; not in every version of the bindings.
    fn sqlite3_is_interrupted(db: *mut ffi::sqlite3) -> c_int;
    fn sqlite3_uri_key(path: *const c_char, index: c_int) -> *const c_char;
}

/// One database of a connection, and its files.
///
/// The pointers are requested from SQLite in each call: none is kept that closing or detaching could invalidate.
#[derive(Clone, Copy)]
pub(crate) struct Storage<'db> {
    db: &'db Db,
    /// Index of the database: 0 for main, 1 for temp, 2 and above for attached databases.
    index: c_int,
}

/// Kind of transaction that a connection has open on a database. From
/// [`Connection::transaction_state`](crate::Connection::transaction_state).
///
/// C: [Transaction states](https://sqlite.org/c3ref/c_txn_none.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// None, or one that has neither read nor written yet.
    None,
    /// A read transaction: it has read, and holds its snapshot.
    Read,
    /// A write transaction: it has the write lock.
    Write,
}

/// Number of 32-bit words in one region of the write-ahead log index.
pub(crate) const LOG_REGION_WORDS: usize = 8192;
const LOG_REGION_BYTES: c_int = 4 * 8192;

/// Largest number of bytes read at once: the size of SQLite's largest page, and thus of its largest read.
const READ_BYTES_MAX: usize = 64 << 10;

/// Names of the VFSes that come with SQLite, whose files can be read with reads of any size. Another VFS may depend on
/// the size of a read, as those do that verify or decrypt each page.
const KNOWN_SYSTEMS: [&CStr; 5] = [c"unix", c"unix-excl", c"unix-dotfile", c"win32", c"win32-longpath"];

impl<'db> Storage<'db> {
    pub(crate) fn new(db: &'db Db, index: i32) -> Self {
        Self { db, index }
    }

    /// Returns the name of the database; `None` if there is none with this index, or if the name is not UTF-8.
    pub(crate) fn name(self) -> Option<Box<str>> {
        self.read_name(|name| name.to_str().ok().map(Into::into)).flatten()
    }

    /// Whether this is the name of the database. Its index changes if a database before it is detached.
    pub(crate) fn is_named(self, name: &str) -> bool {
        self.read_name(|its| its.to_bytes() == name.as_bytes()) == Some(true)
    }

    fn read_name<T>(self, read: impl FnOnce(&CStr) -> T) -> Option<T> {
        let entered = self.db.try_enter()?;
        let name = self.name_in(&entered)?;
        // SAFETY: a NUL-terminated name of the connection's own, requested in this entry, during which it is valid
        // (rule 22, c3ref/db_name.html).
        Some(read(unsafe { CStr::from_ptr(name.as_ptr()) }))
    }

    fn name_in(self, entered: &Entered<'_>) -> Option<NonNull<c_char>> {
        // SAFETY: the connection is open (entered, rule 20); c3ref/db_name.html: NULL if the index is out of range. The
        // name is valid until the schema changes, which no call during this entry does (rule 22).
        let name = unsafe { ffi::sqlite3_db_name(entered.db(), self.index) };
        NonNull::new(name.cast_mut())
    }

    /// Returns the filename, followed by the URI parameters; `None` for a database without a file.
    fn path_in(self, entered: &Entered<'_>) -> Option<NonNull<c_char>> {
        let name = self.name_in(entered)?;
        // SAFETY: the connection is open (entered, rule 20), and the name is its own, requested in this entry
        // (rule 22). c3ref/db_filename.html: NULL or empty for a database without a file.
        let path = unsafe { ffi::sqlite3_db_filename(entered.db(), name.as_ptr()) };
        NonNull::new(path.cast_mut())
    }

    /// Calls `sqlite3_file_control` for the database. Returns its result code.
    ///
    /// # Safety
    ///
    /// `argument` is the pointer that SQLite's documentation of file controls requires for the operation.
    unsafe fn control(self, entered: &Entered<'_>, operation: c_int, argument: *mut c_void) -> c_int {
        let name: *const c_char = match self.index {
            // The main database, without a search for its name.
            0 => ptr::null(),
            _ => match self.name_in(entered) {
                Some(name) => name.as_ptr(),
                // As SQLite's for a name that no database has.
                None => return ffi::SQLITE_ERROR,
            },
        };
        // SAFETY: the connection is open (entered, rule 20), and the name is its own, requested in this entry
        // (rule 22), or NULL, which is "main" (c3ref/file_control.html); the caller promises a valid argument.
        unsafe { ffi::sqlite3_file_control(entered.db(), name, operation, argument) }
    }

    /// Returns one of the database's files with its methods, if it is open. It remains open during the entry, because
    /// no other call on the connection runs at the same time.
    fn file(self, entered: &Entered<'_>, operation: c_int) -> Option<OpenFile> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        // SAFETY: SQLITE_FCNTL_FILE_POINTER and SQLITE_FCNTL_JOURNAL_POINTER, the only operations that callers pass,
        // take a pointer to a `sqlite3_file*`, here a local (rule 24).
        let code = unsafe { self.control(entered, operation, (&raw mut file).cast()) };
        if code != ffi::SQLITE_OK || file.is_null() {
            return None;
        }
        // SAFETY: the pager owns the object, which lives as long as the database is attached (c3ref/file.html), and no
        // other call on the connection runs now (rule 12). Another connection could close it only in a shared cache,
        // for which `has_shared_cache` and `Program` in `pages/program.rs` exclude these reads (rule 24).
        let methods = unsafe { (*file).pMethods };
        (!methods.is_null()).then_some(OpenFile { file, methods })
    }

    /// Whether the files are read by a VFS that comes with SQLite.
    pub(crate) fn is_of_known_system(self) -> bool {
        self.vfs_name().is_some_and(|name| KNOWN_SYSTEMS.contains(&name))
    }

    /// Returns the name of the VFS that the database uses.
    pub(crate) fn vfs_name(self) -> Option<&'db CStr> {
        let entered = self.db.try_enter()?;
        let mut vfs: *mut ffi::sqlite3_vfs = ptr::null_mut();
        // SAFETY: SQLITE_FCNTL_VFS_POINTER takes a pointer to a `sqlite3_vfs*`, here a local (rule 24).
        let code = unsafe { self.control(&entered, ffi::SQLITE_FCNTL_VFS_POINTER, (&raw mut vfs).cast()) };
        if code != ffi::SQLITE_OK || vfs.is_null() {
            return None;
        }
        // SAFETY: a registered VFS, which outlives the connections that use it (rule 24). SQLite does not write this
        // field: c3ref/vfs.html: `pNext` is "the only field in the sqlite3_vfs structure that SQLite will ever modify".
        let name = unsafe { (*vfs).zName };
        if name.is_null() {
            return None;
        }
        // SAFETY: c3ref/vfs.html: "The zName field holds the name of the VFS module", NUL-terminated, and not modified
        // "once the object has been registered", which it is while the connection is open, hence during the borrow of
        // `db` (rules 22, 24).
        Some(unsafe { CStr::from_ptr(name) })
    }

    /// Whether the database file is open and can be read.
    pub(crate) fn is_open(self) -> bool {
        let file = |entered| self.file(&entered, ffi::SQLITE_FCNTL_FILE_POINTER);
        self.db.try_enter().and_then(file).is_some_and(|file| file.read_method().is_some())
    }

    /// Whether the journal file is open; for a database in WAL mode, that is the write-ahead log.
    pub(crate) fn is_journal_open(self) -> bool {
        let file = |entered| self.file(&entered, ffi::SQLITE_FCNTL_JOURNAL_POINTER);
        self.db.try_enter().and_then(file).is_some()
    }

    /// Whether the connection holds exactly a shared lock on the database file.
    pub(crate) fn is_lock_shared(self) -> bool {
        const SHARED: c_int = ffi::SQLITE_LOCK_SHARED;
        let Some(entered) = self.db.try_enter() else {
            return false;
        };
        let mut level: c_int = -1;
        // SAFETY: SQLITE_FCNTL_LOCKSTATE takes a pointer to an int, here a local; a VFS that does not support it writes
        // nothing (rule 24).
        let code = unsafe { self.control(&entered, ffi::SQLITE_FCNTL_LOCKSTATE, (&raw mut level).cast()) };
        code == ffi::SQLITE_OK && level == SHARED
    }

    /// Whether the file was opened as immutable: without locks and without a write-ahead log.
    pub(crate) fn is_immutable(self) -> bool {
        let Some(entered) = self.db.try_enter() else {
            return false;
        };
        let Some(path) = self.path_in(&entered) else {
            return false;
        };
        // SAFETY: c3ref/uri_boolean.html: takes "A filename obtained from sqlite3_db_filename()", here in this entry,
        // and a NUL-terminated name of a parameter (rule 22).
        unsafe { ffi::sqlite3_uri_boolean(path.as_ptr(), c"immutable".as_ptr(), 0) != 0 }
    }

    /// Returns the names of the URI parameters with which the file was opened.
    pub(crate) fn uri_parameters(self) -> Vec<Box<str>> {
        let path = |entered| Some((self.path_in(&entered)?, entered));
        let Some((path, _entered)) = self.db.try_enter().and_then(path) else {
            return Vec::new();
        };
        let names = (0..).map_while(|index| {
            // SAFETY: c3ref/uri_boolean.html: takes "A filename obtained from sqlite3_db_filename()", here in this entry,
            // and returns NULL if the index exceeds the number of parameters (rule 22).
            let name = unsafe { sqlite3_uri_key(path.as_ptr(), index) };
            // SAFETY: NULL, or NUL-terminated and of the filename, which lives as long as the database is open; copied
            // immediately (rule 22).
            unsafe { text::copy(name) }
        });
        names.collect()
    }

    /// Returns a number that changes with each change of the database, by this connection or any other, as far as this
    /// connection has seen it.
    ///
    /// C: [`SQLITE_FCNTL_DATA_VERSION`](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html)
    pub(crate) fn data_version(self) -> Result<u32, Fault> {
        let entered = self.db.enter()?;
        let mut version: u32 = 0;
        // SAFETY: SQLITE_FCNTL_DATA_VERSION takes a pointer to an unsigned integer of 32 bits, here a local (rule 24).
        match unsafe { self.control(&entered, ffi::SQLITE_FCNTL_DATA_VERSION, (&raw mut version).cast()) } {
            ffi::SQLITE_OK => Ok(version),
            code => Err(self.db.fault(code)),
        }
    }

    pub(crate) fn transaction(self) -> TransactionState {
        let state = self.read_name(|name| self.db.transaction_state(Some(name)));
        state.flatten().unwrap_or(TransactionState::None)
    }

    /// Whether the connection was interrupted.
    pub(crate) fn is_interrupted(self) -> bool {
        // SAFETY: the connection is open (entered, rule 20); c3ref/interrupt.html: reads a flag stored in it.
        self.db.try_enter().is_some_and(|entered| unsafe { sqlite3_is_interrupted(entered.db()) != 0 })
    }

    /// Returns the largest size of a value in bytes.
    pub(crate) fn value_bytes_max(self) -> u32 {
        self.db.limit(Limit::Length)
    }

    /// Reads from the database file. Bytes beyond its end are zero; the result is `false` if there are any.
    pub(crate) fn read(self, offset: u64, into: &mut [u8]) -> Result<bool, Fault> {
        self.read_file(ffi::SQLITE_FCNTL_FILE_POINTER, offset, into)
    }

    /// Reads from the write-ahead log, as [`read`](Self::read) does from the database file.
    pub(crate) fn read_log(self, offset: u64, into: &mut [u8]) -> Result<bool, Fault> {
        self.read_file(ffi::SQLITE_FCNTL_JOURNAL_POINTER, offset, into)
    }

    /// Returns the size of the database file in bytes.
    pub(crate) fn bytes(self) -> Result<u64, Fault> {
        let entered = self.db.enter()?;
        let Some(OpenFile { file, methods }) = self.file(&entered, ffi::SQLITE_FCNTL_FILE_POINTER) else {
            return Err(Fault::new(FaultKind::Misuse("the file is not open")));
        };
        // SAFETY: the methods of an open file are constant and live as long as the file is open, which it is during the
        // entry; every version has this one (rule 24).
        let Some(size) = (unsafe { (*methods).xFileSize }) else {
            return Err(Fault::new(FaultKind::Misuse("the file has no size")));
        };
        let mut bytes: i64 = 0;
        // SAFETY: the file is open during the entry; c3ref/io_methods.html: xFileSize takes a pointer to an integer of
        // 64 bits, here a local (rules 11, 24).
        match unsafe { size(file, &raw mut bytes) } {
            ffi::SQLITE_OK => u64::try_from(bytes).map_err(|_| Fault::new(FaultKind::Misuse("the file has no size"))),
            code => Err(self.db.fault(code)),
        }
    }

    fn read_file(self, operation: c_int, offset: u64, into: &mut [u8]) -> Result<bool, Fault> {
        let entered = self.db.enter()?;
        let Some(open) = self.file(&entered, operation) else {
            return Err(Fault::new(FaultKind::Misuse("the file is not open")));
        };
        let (file, Some(read)) = (open.file, open.read_method()) else {
            return Err(Fault::new(FaultKind::Misuse("the file cannot be read")));
        };
        let _charge = entered.charge();
        let mut done = 0;
        while done < into.len() {
            let end = into.len().min(done + READ_BYTES_MAX);
            let part = &mut into[done..end];
            let (Ok(bytes), Ok(at)) = (c_int::try_from(part.len()), i64::try_from(offset + done as u64)) else {
                return Err(Fault::new(FaultKind::Misuse("the offset is too large for a file")));
            };
            // SAFETY: the file is open during the entry, and the buffer has `bytes` bytes, borrowed exclusively
            // (rules 11, 24). c3ref/io_methods.html: "If xRead() returns SQLITE_IOERR_SHORT_READ it must also fill in
            // the unread portions of the buffer with zeros."
            match unsafe { read(file, part.as_mut_ptr().cast(), bytes, at) } {
                ffi::SQLITE_OK => done = end,
                ffi::SQLITE_IOERR_SHORT_READ => {
                    into[end..].fill(0);
                    return Ok(false);
                }
                code => return Err(self.db.fault(code)),
            }
        }
        Ok(true)
    }

    /// Copies words of the write-ahead log index, from a word of a region up to at most the end of the region. Returns
    /// `false` if there is no such region. It must only be called for a database in WAL mode: mapping creates the index
    /// if it does not exist.
    pub(crate) fn read_log_index(self, region: u32, first_word: usize, into: &mut [u32]) -> bool {
        let Some(entered) = self.db.try_enter() else {
            return false;
        };
        let Some(OpenFile { file, methods }) = self.file(&entered, ffi::SQLITE_FCNTL_FILE_POINTER) else {
            return false;
        };
        // SAFETY: the methods of an open file are constant and live as long as the file is open, which it is during the
        // entry; every version has this field (rule 24).
        if unsafe { (*methods).iVersion } < 2 {
            return false;
        }
        // SAFETY: as above; `iVersion` is at least 2, and c3ref/io_methods.html lists xShmMap before "Methods above are
        // valid for version 2" (rule 24).
        let map = unsafe { (*methods).xShmMap };
        let (Some(map), Ok(region)) = (map, c_int::try_from(region)) else {
            return false;
        };
        let Some(last_word) = first_word.checked_add(into.len()).filter(|&last| last <= LOG_REGION_WORDS) else {
            return false;
        };
        let mut words: *mut c_void = ptr::null_mut();
        let charge = entered.charge();
        // SAFETY: the file is open during the entry, and `words` is a local; the call is the pager's, with 0 for "do
        // not extend": NULL if the region does not exist (rules 11, 24).
        let code = unsafe { map(file, region, LOG_REGION_BYTES, 0, &raw mut words) };
        drop(charge);
        if code != ffi::SQLITE_OK || words.is_null() {
            return false;
        }
        // SAFETY: the region is mapped as long as the connection has the log open, and has 32768 bytes; it starts at a
        // multiple of them in a mapping, or at an allocation, so it is aligned for words (rule 24). Other connections
        // may write to it at the same time; SQLite copies the header by memcpy. The words read here may therefore be
        // old, new or mixed. The caller detects that for the header: it reads both copies and compares them, as SQLite
        // does. It uses only the entries of frames that a header read in this way counts.
        let words = unsafe { slice::from_raw_parts(words.cast::<AtomicU32>(), last_word) };
        for (to, word) in into.iter_mut().zip(&words[first_word..]) {
            *to = word.load(Ordering::Relaxed);
        }
        // Later reads are not reordered before these.
        fence(Ordering::SeqCst);
        true
    }
}

struct OpenFile {
    file: *mut ffi::sqlite3_file,
    /// Methods, of which only those exist that their `iVersion` includes.
    methods: *const ffi::sqlite3_io_methods,
}

type Read = unsafe extern "C" fn(*mut ffi::sqlite3_file, *mut c_void, c_int, i64) -> c_int;

impl OpenFile {
    fn read_method(&self) -> Option<Read> {
        // SAFETY: the methods of an open file are constant and live as long as the file is open, and no call on the
        // connection comes between `file`, which made `self`, and this read; every version has this one (rule 24).
        unsafe { (*self.methods).xRead }
    }
}

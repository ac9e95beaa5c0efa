//! Names of files, with their URI parameters.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::error::{VfsError, VfsResult};
use super::flags::FileKind;
use crate::error::ResultCode;

#[cfg(feature = "loadable-extension")]
use super::super::ffi::{
    sqlite3_create_filename, sqlite3_filename_database, sqlite3_filename_journal, sqlite3_filename_wal,
    sqlite3_free_filename, sqlite3_uri_boolean, sqlite3_uri_int64, sqlite3_uri_key, sqlite3_uri_parameter,
};
#[cfg(not(feature = "loadable-extension"))]
unsafe extern "C" {
    // c3ref/uri_boolean.html, c3ref/filename_database.html, c3ref/create_filename.html: since 3.31 and 3.32, not in every
    // version of the bindings.
    fn sqlite3_uri_parameter(name: *const c_char, key: *const c_char) -> *const c_char;
    fn sqlite3_uri_boolean(name: *const c_char, key: *const c_char, default: c_int) -> c_int;
    fn sqlite3_uri_int64(name: *const c_char, key: *const c_char, default: i64) -> i64;
    fn sqlite3_uri_key(name: *const c_char, index: c_int) -> *const c_char;
    fn sqlite3_filename_database(name: *const c_char) -> *const c_char;
    fn sqlite3_filename_journal(name: *const c_char) -> *const c_char;
    fn sqlite3_filename_wal(name: *const c_char) -> *const c_char;
    fn sqlite3_create_filename(
        database: *const c_char,
        journal: *const c_char,
        wal: *const c_char,
        parameters: c_int,
        pairs: *mut *const c_char,
    ) -> *const c_char;
    fn sqlite3_free_filename(name: *const c_char);
}

/// Name of a file that SQLite opens: its path, the parameters of the URI that the program opened, and the names of the
/// files that belong to the same database.
///
/// # Example
///
/// ```
/// use std::path::Path;
///
/// use finalite::vfs::FileName;
///
/// let name = FileName::new(Path::new("app.db"), &[("region", "eu"), ("cached", "yes")])?;
/// assert_eq!(name.parameter("region"), Some("eu"));
/// assert!(name.boolean("cached", false));
/// assert_eq!(name.integer("retries", 3), 3);
/// assert_eq!(name.parameters().collect::<Vec<_>>(), [("region", "eu"), ("cached", "yes")]);
/// let log = name.wal();
/// assert_eq!(log.path(), Path::new("app.db-wal"));
/// assert_eq!(log.database().path(), name.path());
/// # Ok::<(), finalite::vfs::VfsError>(())
/// ```
///
/// C: [`sqlite3_uri_parameter`](https://sqlite.org/c3ref/uri_boolean.html),
/// [`sqlite3_filename_database`](https://sqlite.org/c3ref/filename_database.html),
/// [`sqlite3_create_filename`](https://sqlite.org/c3ref/create_filename.html)
#[derive(Clone)]
pub struct FileName {
    owned: Arc<Owned>,
    part: Part,
}

/// One of the names that SQLite keeps together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Database,
    Journal,
    Wal,
}

/// Names in memory of SQLite, which are never changed.
struct Owned(NonNull<c_char>);

// SAFETY: the memory has one owner, is only read until it is freed, and `sqlite3_free` may be called by any thread
// (rules 22, 26).
unsafe impl Send for Owned {}
// SAFETY: the memory is not changed while it exists, so that any number of threads may read it (rules 22, 26).
unsafe impl Sync for Owned {}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by sqlite3_create_filename in `create`, and freed once, by its only owner (rules 22, 26).
        unsafe { sqlite3_free_filename(self.0.as_ptr()) }
    }
}

impl FileName {
    /// Creates a name with these parameters, to open a file without SQLite ([`Existing::open`](super::Existing::open)).
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` if the path is empty, it or a parameter contains NUL, or a parameter has an empty name;
    /// `SQLITE_NOMEM`.
    pub fn new(path: &Path, parameters: &[(&str, &str)]) -> VfsResult<Self> {
        let invalid = VfsError::new(ResultCode::CANTOPEN);
        let database = c_path(path)?;
        let (journal, wal) = (beside(&database, "-journal")?, beside(&database, "-wal")?);
        let mut texts = Vec::with_capacity(parameters.len() * 2);
        for (key, value) in parameters {
            if key.is_empty() {
                return Err(invalid);
            }
            texts.push(CString::new(*key).map_err(|_| invalid)?);
            texts.push(CString::new(*value).map_err(|_| invalid)?);
        }
        let pairs = texts.iter().map(|text| text.as_ptr()).collect();
        // SAFETY: NUL-terminated strings, which live during the call; the keys are not empty (rules 22, 26).
        unsafe { Self::create(database.as_ptr(), journal.as_ptr(), wal.as_ptr(), pairs, Part::Database) }
    }

    /// Copies a name that SQLite passes to `xOpen`; `None` for NULL, a file without a name.
    ///
    /// # Safety
    ///
    /// `name` is the argument of a call of `xOpen` that is running, and `kind` the one of its flags.
    pub(super) unsafe fn copy(name: *const c_char, kind: FileKind) -> VfsResult<Option<Self>> {
        if name.is_null() {
            return Ok(None);
        }
        if !matches!(kind, FileKind::MainDatabase | FileKind::MainJournal | FileKind::Wal) {
            // C reads no further than to the NUL of other names.
            // SAFETY: SQLite's name, NUL-terminated and valid during the call (the caller's promise, rule 26).
            let name = unsafe { CStr::from_ptr(name) };
            return Self::new(path_of(name.to_bytes()), &[]).map(Some);
        }
        // SAFETY: c3ref/filename_database.html: "a filename passed into the xOpen method", of one of the three kinds for
        // which it is defined (the caller's promise, rule 26).
        let database = unsafe { sqlite3_filename_database(name) };
        // SAFETY: as above, of the same filename (rule 26).
        let journal = unsafe { sqlite3_filename_journal(name) };
        // SAFETY: as above, of the same filename (rule 26).
        let wal = unsafe { sqlite3_filename_wal(name) };
        // A program may open any of the names as any kind of file.
        let part = match name {
            name if ptr::eq(name, journal) => Part::Journal,
            name if ptr::eq(name, wal) => Part::Wal,
            _ => Part::Database,
        };
        let mut pairs = Vec::new();
        for index in 0.. {
            // SAFETY: the same filename; NULL beyond the last parameter (c3ref/uri_boolean.html, rule 26).
            let key = unsafe { sqlite3_uri_key(name, index) };
            if key.is_null() {
                break;
            }
            // SAFETY: the same filename, and a name of a parameter of it, so that the result is not NULL (rule 26).
            pairs.extend([key, unsafe { sqlite3_uri_parameter(name, key) }]);
        }
        // Without write-ahead logs, SQLite has no name for one.
        let or_empty = |text: *const c_char| if text.is_null() { c"".as_ptr() } else { text };
        // SAFETY: strings of SQLite's filename, valid during the call (the caller's promise, rule 26).
        unsafe { Self::create(database, or_empty(journal), or_empty(wal), pairs, part) }.map(Some)
    }

    /// Creates a name of copies.
    ///
    /// # Safety
    ///
    /// All pointers are of NUL-terminated strings that are valid during the call. `pairs` are names, which are not
    /// empty, each with its value.
    unsafe fn create(
        database: *const c_char,
        journal: *const c_char,
        wal: *const c_char,
        mut pairs: Vec<*const c_char>,
        part: Part,
    ) -> VfsResult<Self> {
        // SAFETY: a NUL-terminated string, whose first byte is there (the caller's promise, rule 26).
        if unsafe { *database } == 0 {
            // C finds the start of a name by the NULs before it: it would take this one for the name behind it.
            return Err(VfsError::new(ResultCode::CANTOPEN));
        }
        let count = c_int::try_from(pairs.len() / 2).map_err(|_| VfsError::new(ResultCode::CANTOPEN))?;
        // SAFETY: c3ref/create_filename.html: strings that are not NULL, and "an array of 2*N pointers to strings", which
        // the call copies (the caller's promise, rules 22, 26).
        let name = unsafe { sqlite3_create_filename(database, journal, wal, count, pairs.as_mut_ptr()) };
        let owned = NonNull::new(name.cast_mut()).map(Owned).ok_or(VfsError::new(ResultCode::NOMEM))?;
        let name = Self { owned: Arc::new(owned), part };
        if cfg!(unix) || name.c_str().to_str().is_ok() { Ok(name) } else { Err(VfsError::new(ResultCode::CANTOPEN)) }
    }

    /// Returns the name for C, valid as long as `self` or a clone of it.
    pub(super) fn as_ptr(&self) -> *const c_char {
        let database = self.owned.0.as_ptr();
        match self.part {
            Part::Database => database,
            // SAFETY: a name of sqlite3_create_filename, which `self` keeps (rules 22, 26).
            Part::Journal => unsafe { sqlite3_filename_journal(database) },
            // SAFETY: as for the journal. NULL only where SQLite has no write-ahead logs, and so opens none (rule 26).
            Part::Wal => unsafe { sqlite3_filename_wal(database) },
        }
    }

    pub(super) fn c_str(&self) -> &CStr {
        let name = self.as_ptr();
        if name.is_null() {
            return c"";
        }
        // SAFETY: a NUL-terminated string in memory that `self` keeps, and that is not changed (rules 22, 26).
        unsafe { CStr::from_ptr(name) }
    }

    /// Returns the bytes of the path.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.c_str().to_bytes()
    }

    /// Returns the path. It is absolute if the file system makes paths absolute ([`Vfs::full_path`](super::Vfs::full_path)).
    #[must_use]
    pub fn path(&self) -> &Path {
        path_of(self.as_bytes())
    }

    /// Returns the value of a parameter of the URI, empty if it has none; `None` if there is no such parameter, or if the
    /// value is not UTF-8.
    #[must_use]
    pub fn parameter(&self, key: &str) -> Option<&str> {
        let key = CString::new(key).ok()?;
        // SAFETY: a filename of sqlite3_create_filename, which `self` keeps, and a C string (rules 22, 26).
        let value = unsafe { sqlite3_uri_parameter(self.owned.0.as_ptr(), key.as_ptr()) };
        self.text(value)
    }

    /// Returns the value of a parameter as a truth value (`yes`, `true`, `on`, `1` and their opposites); `default` if it
    /// is not one.
    #[must_use]
    pub fn boolean(&self, key: &str, default: bool) -> bool {
        let Ok(key) = CString::new(key) else {
            return default;
        };
        // SAFETY: a filename of sqlite3_create_filename, which `self` keeps, and a C string (rules 22, 26).
        unsafe { sqlite3_uri_boolean(self.owned.0.as_ptr(), key.as_ptr(), c_int::from(default)) != 0 }
    }

    /// Returns the value of a parameter as an integer; `default` if it is not one.
    #[must_use]
    pub fn integer(&self, key: &str, default: i64) -> i64 {
        let Ok(key) = CString::new(key) else {
            return default;
        };
        // SAFETY: a filename of sqlite3_create_filename, which `self` keeps, and a C string (rules 22, 26).
        unsafe { sqlite3_uri_int64(self.owned.0.as_ptr(), key.as_ptr(), default) }
    }

    /// Returns the parameters of the URI, without those that are not UTF-8.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let name: *const c_char = self.owned.0.as_ptr();
        let keys = (0..).map_while(move |index| {
            // SAFETY: a filename of sqlite3_create_filename, which `self` keeps; NULL beyond the last (rules 22, 26).
            let key = unsafe { sqlite3_uri_key(name, index) };
            (!key.is_null()).then_some(key)
        });
        keys.filter_map(move |key| {
            // SAFETY: the same filename, and a name of one of its parameters (rules 22, 26).
            let value = unsafe { sqlite3_uri_parameter(name, key) };
            Some((self.text(key)?, self.text(value)?))
        })
    }

    /// Converts a string within the memory of `self`, or NULL.
    fn text(&self, text: *const c_char) -> Option<&str> {
        if text.is_null() {
            return None;
        }
        debug_assert!(!ptr::eq(text, self.owned.0.as_ptr()));
        // SAFETY: the callers pass what SQLite returned for the filename of `self`: a NUL-terminated string of it, which
        // is not changed as long as `self` exists (rules 22, 26).
        unsafe { CStr::from_ptr(text) }.to_str().ok()
    }

    /// Returns the name of the database that the file belongs to, which has the same parameters.
    #[must_use]
    pub fn database(&self) -> Self {
        Self { owned: Arc::clone(&self.owned), part: Part::Database }
    }

    /// Returns the name of the rollback journal of the same database.
    #[must_use]
    pub fn journal(&self) -> Self {
        Self { owned: Arc::clone(&self.owned), part: Part::Journal }
    }

    /// Returns the name of the write-ahead log of the same database.
    #[must_use]
    pub fn wal(&self) -> Self {
        Self { owned: Arc::clone(&self.owned), part: Part::Wal }
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileName")
            .field("path", &self.path())
            .field("parameters", &self.parameters().collect::<Vec<_>>())
            .finish()
    }
}

/// Returns the name of a file beside a database.
fn beside(database: &CStr, suffix: &str) -> VfsResult<CString> {
    let bytes = [database.to_bytes(), suffix.as_bytes()].concat();
    CString::new(bytes).map_err(|_| VfsError::new(ResultCode::CANTOPEN))
}

/// Converts bytes of a path that C has passed.
#[cfg(unix)]
pub(super) fn path_of(bytes: &[u8]) -> &Path {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    Path::new(OsStr::from_bytes(bytes))
}

/// Converts bytes of a path that C has passed; the empty one if they are not UTF-8.
#[cfg(not(unix))]
pub(super) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(str::from_utf8(bytes).unwrap_or_default())
}

/// Converts a path for C.
pub(super) fn c_path(path: &Path) -> VfsResult<CString> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    #[cfg(not(unix))]
    let bytes = path.to_str().ok_or(VfsError::new(ResultCode::CANTOPEN))?.as_bytes();
    CString::new(bytes).map_err(|_| VfsError::new(ResultCode::CANTOPEN))
}

/// Copies a path that C has passed.
pub(super) fn owned_path(bytes: &[u8]) -> PathBuf {
    path_of(bytes).to_path_buf()
}

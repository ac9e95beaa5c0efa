//! The operating system's reason for a failure to use a file, where it is known to belong to this failure.
//!
//! `sqlite3_system_errno` returns `errno` at the time when SQLite reported an error (`sqlite3SystemError` in its
//! source): that of the failed system call if one failed, otherwise that of any earlier call of the thread.

use std::ffi::{CStr, c_int};
use std::io;
use std::path::{Path, PathBuf};

use super::ffi;

/// Whether an extended code of `SQLITE_IOERR` is reported directly after a failed system call.
///
/// The other codes are reported for a short read, a lock held by another connection, a checksum, lack of memory, or one
/// of SQLite's own checks.
pub(super) fn is_of_a_call(code: c_int) -> bool {
    const CALLS: [c_int; 19] = [
        ffi::SQLITE_IOERR_READ,
        ffi::SQLITE_IOERR_CORRUPTFS,
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_FSTAT,
        ffi::SQLITE_IOERR_UNLOCK,
        ffi::SQLITE_IOERR_RDLOCK,
        ffi::SQLITE_IOERR_DELETE,
        ffi::SQLITE_IOERR_ACCESS,
        ffi::SQLITE_IOERR_CHECKRESERVEDLOCK,
        ffi::SQLITE_IOERR_LOCK,
        ffi::SQLITE_IOERR_CLOSE,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
        ffi::SQLITE_IOERR_SEEK,
        ffi::SQLITE_IOERR_MMAP,
    ];
    CALLS.contains(&code)
}

/// Returns the operating system's message for an `errno`.
pub(super) fn words(errno: c_int) -> Box<str> {
    io::Error::from_raw_os_error(errno).to_string().into()
}

/// Whether the `errno` means that the file does not exist. If SQLite cannot open a file for writing, it tries again for
/// reading; for a file that was to be created, the second attempt reports this `errno` in place of that of the first.
pub(super) fn is_of_no_file(errno: c_int) -> bool {
    io::Error::from_raw_os_error(errno).kind() == io::ErrorKind::NotFound
}

/// A database that could not be opened (`SQLITE_CANTOPEN`).
pub(super) struct Unopened<'a> {
    /// Path or URI as passed to SQLite.
    pub(super) path: &'a CStr,
    pub(super) is_uri: bool,
    /// Whether a missing file was to be created; `None` where that is not known.
    pub(super) create: Option<bool>,
    pub(super) errno: c_int,
}

impl Unopened<'_> {
    /// Returns the reason that the database could not be opened, if it can be found. SQLite may fail before any system
    /// call (a path too long, too many links), and after two calls it reports the `errno` of the second. The path is
    /// therefore examined again, without opening any file.
    pub(super) fn reason(&self) -> Option<Box<str>> {
        let path = if self.is_uri { path_of_uri(self.path)? } else { path_of(self.path.to_bytes())? };
        let full = full_path(&path)?;
        let (bytes, longest) = (full.as_os_str().len(), longest_path()?);
        if bytes > longest {
            return Some(format!("its full path is {bytes} bytes long, and SQLite takes {longest}").into());
        }
        let call = (self.errno != 0).then(|| io::Error::from_raw_os_error(self.errno));
        match path.metadata() {
            Ok(found) if found.is_dir() => Some(match call {
                Some(error) if error.kind() == io::ErrorKind::IsADirectory => error.to_string().into(),
                _ => "it is a directory".into(),
            }),
            Ok(_) => call.filter(|error| error.kind() != io::ErrorKind::NotFound).map(|error| error.to_string().into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Some(error.to_string().into()),
            Err(missing) => {
                if let Some(Err(error)) = full.parent().map(Path::metadata) {
                    return Some(error.to_string().into());
                }
                match call {
                    Some(error) if error.kind() != io::ErrorKind::NotFound => Some(error.to_string().into()),
                    _ => match self.create {
                        Some(true) => Some("it does not exist, and cannot be created in its directory".into()),
                        Some(false) => Some(missing.to_string().into()),
                        None => Some("it does not exist, and was not created".into()),
                    },
                }
            }
        }
    }
}

/// Returns the reason that a journal file next to a database cannot be created, if it can be found.
pub(super) fn missing_beside(database: &str) -> Option<Box<str>> {
    let beside = |suffix| PathBuf::from(format!("{database}{suffix}"));
    let (log, index) = (beside("-wal"), beside("-shm"));
    if let Some(Err(error)) = log.parent().map(Path::metadata) {
        return Some(error.to_string().into());
    }
    let is_it = log.exists() && !index.exists();
    is_it.then(|| {
        "the index of its write-ahead log (-shm) does not exist, and cannot be created in its directory".into()
    })
}

/// Returns the largest length in bytes of a database path that SQLite accepts, which leaves room for the suffixes of
/// its journals.
fn longest_path() -> Option<usize> {
    const SUFFIX: usize = "-journal".len();
    // SAFETY: c3ref/vfs_find.html: NULL asks for the default VFS. SQLite reads its list under a mutex of its own, so on
    // any thread (rules 12, 13).
    let vfs = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    if vfs.is_null() {
        return None;
    }
    // SAFETY: not NULL, and valid as long as the VFS is registered, which SQLite's own are for as long as the process
    // lives (rule 24). c3ref/vfs.html: `pNext` is "the only field" that SQLite modifies; this one is read without a
    // reference to the whole.
    let longest = unsafe { (*vfs).mxPathname };
    usize::try_from(longest).ok()?.checked_sub(SUFFIX)
}

/// Returns the path as SQLite resolves it: absolute, with all symbolic links resolved, including a last one whose
/// target does not exist.
fn full_path(path: &Path) -> Option<PathBuf> {
    const LINKS_MAX: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(full) = path.canonicalize() {
            return Some(full);
        }
        let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { ".".as_ref() } else { parent });
        let full = match (parent.and_then(|parent| parent.canonicalize().ok()), path.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            _ => return std::path::absolute(&path).ok(),
        };
        match full.read_link() {
            Ok(target) => path = full.parent().unwrap_or(&full).join(target),
            Err(_) => return Some(full),
        }
    }
    std::path::absolute(path).ok()
}

/// Returns the path in a URI with its escapes decoded; `None` if the URI names another VFS.
///
/// C: [URI filenames](https://sqlite.org/uri.html)
fn path_of_uri(uri: &CStr) -> Option<PathBuf> {
    let Some(rest) = uri.to_bytes().strip_prefix(b"file:") else {
        return path_of(uri.to_bytes());
    };
    let end = rest.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(rest.len());
    let (path, query) = rest.split_at(end);
    if query.windows(4).any(|parameter| parameter == b"vfs=") {
        return None;
    }
    let path = match path.strip_prefix(b"//") {
        Some(rest) => &rest[rest.iter().position(|&byte| byte == b'/')?..],
        None => path,
    };
    let mut decoded = Vec::new();
    let mut rest = path;
    while let [first, others @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[3..] } else { others };
    }
    path_of(&decoded)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not all bytes are a path")]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    Some(str::from_utf8(bytes).ok()?.into())
}

//! Errors of file systems.

use std::fmt;
use std::io;

use crate::error::ResultCode;

/// Result of a method of a file system.
pub type VfsResult<T> = std::result::Result<T, VfsError>;

/// Error of a method of a file system: what SQLite reports.
///
/// It is made of a result code, or of an [`io::Error`], for which the method has a code: `SQLITE_IOERR_READ` for a read,
/// `SQLITE_CANTOPEN` for an open, and so on. A device that is full is `SQLITE_FULL` in each of them. The number of the
/// system's error becomes part of finalite's message.
///
/// # Example
///
/// ```
/// use std::io;
///
/// use finalite::ResultCode;
/// use finalite::vfs::VfsError;
///
/// assert_eq!(VfsError::new(ResultCode::IOERR_FSYNC).code(), Some(ResultCode::IOERR_FSYNC));
/// let full = VfsError::from(io::Error::from(io::ErrorKind::StorageFull));
/// assert_eq!(full.code(), Some(ResultCode::FULL));
/// // The method decides.
/// assert_eq!(VfsError::from(io::Error::other("the network is down")).code(), None);
/// ```
///
/// C: [Result codes](https://sqlite.org/rescode.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VfsError {
    code: Option<ResultCode>,
    kind: io::ErrorKind,
    errno: i32,
}

impl VfsError {
    /// A lock that another connection holds.
    pub const BUSY: Self = Self::new(ResultCode::BUSY);

    /// Creates the error of a result code. SQLite receives `SQLITE_IOERR` for a code that no method of a file system may
    /// return (`SQLITE_OK`, `SQLITE_ROW`, `SQLITE_SCHEMA` and others).
    #[must_use]
    pub const fn new(code: ResultCode) -> Self {
        Self { code: Some(code), kind: io::ErrorKind::Other, errno: 0 }
    }

    /// Adds the number of the system's error.
    #[must_use]
    pub const fn with_os_error(self, errno: i32) -> Self {
        Self { errno, ..self }
    }

    /// Returns the result code; `None` for an [`io::Error`] whose code the method decides.
    #[must_use]
    pub const fn code(&self) -> Option<ResultCode> {
        self.code
    }

    /// Returns the number of the system's error; 0 if there is none.
    #[must_use]
    pub const fn os_error(&self) -> i32 {
        self.errno
    }

    /// Returns the kind of the [`io::Error`]; `Other` for an error of a result code.
    #[must_use]
    pub const fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    /// Returns the code for SQLite, of a method whose errors have this one.
    pub(super) fn code_or(self, of_method: ResultCode) -> i32 {
        const ALLOWED: [ResultCode; 12] = [
            ResultCode::ERROR,
            ResultCode::PERM,
            ResultCode::BUSY,
            ResultCode::NOMEM,
            ResultCode::READONLY,
            ResultCode::IOERR,
            ResultCode::CORRUPT,
            ResultCode::FULL,
            ResultCode::CANTOPEN,
            ResultCode::PROTOCOL,
            ResultCode::AUTH,
            ResultCode::NOTADB,
        ];
        let code = self.code.unwrap_or(of_method);
        if code == ResultCode::NOMEM {
            // SQLite takes this one for a failed allocation of a file system.
            return ResultCode::IOERR_NOMEM.number();
        }
        if ALLOWED.contains(&code.primary()) { code.number() } else { ResultCode::IOERR.number() }
    }
}

impl From<io::Error> for VfsError {
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(ResultCode::FULL),
            io::ErrorKind::OutOfMemory => Some(ResultCode::IOERR_NOMEM),
            _ => None,
        };
        Self { code, kind: error.kind(), errno: error.raw_os_error().unwrap_or(0) }
    }
}

impl fmt::Display for VfsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => fmt::Display::fmt(&code, f)?,
            None => fmt::Display::fmt(&self.kind, f)?,
        }
        if self.errno != 0 { write!(f, ": {}", io::Error::from_raw_os_error(self.errno)) } else { Ok(()) }
    }
}

impl std::error::Error for VfsError {}

//! SQLite's result codes, primary and extended, and their names.

use std::fmt;

/// A SQLite result code, primary (`SQLITE_BUSY`) or extended (`SQLITE_BUSY_SNAPSHOT`).
///
/// # Example
///
/// ```
/// use finalite::ResultCode;
///
/// let code = ResultCode::CONSTRAINT_UNIQUE;
/// assert_eq!(code.primary(), ResultCode::CONSTRAINT);
/// assert_eq!(code.name(), "SQLITE_CONSTRAINT_UNIQUE");
/// assert_eq!(code.number(), 2067);
/// ```
///
/// C: [Result codes](https://sqlite.org/rescode.html)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "ErrorCode")]
pub struct ResultCode(i32);

impl ResultCode {
    pub(crate) const fn new(code: i32) -> Self {
        Self(code)
    }

    /// Returns the number, as in `sqlite3.h`.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Returns the primary code: the low 8 bits.
    #[must_use]
    pub const fn primary(self) -> Self {
        Self(self.0 & 0xff)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:expr;)*) => {
        impl ResultCode {
            $(
                #[doc = concat!("`SQLITE_", stringify!($name), "`")]
                pub const $name: Self = Self($code);
            )*

            /// Returns the C name. For an extended code that finalite does not know, this is the name of the primary
            /// code.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("SQLITE_", stringify!($name)),)*
                    Self(code) if code > 0xff => self.primary().name(),
                    _ => "SQLITE_UNKNOWN",
                }
            }
        }
    };
}

const fn extended(primary: ResultCode, number: i32) -> i32 {
    primary.0 | (number << 8)
}

codes! {
    OK = 0;
    ERROR = 1;
    INTERNAL = 2;
    PERM = 3;
    ABORT = 4;
    BUSY = 5;
    LOCKED = 6;
    NOMEM = 7;
    READONLY = 8;
    INTERRUPT = 9;
    IOERR = 10;
    CORRUPT = 11;
    NOTFOUND = 12;
    FULL = 13;
    CANTOPEN = 14;
    PROTOCOL = 15;
    EMPTY = 16;
    SCHEMA = 17;
    TOOBIG = 18;
    CONSTRAINT = 19;
    MISMATCH = 20;
    MISUSE = 21;
    NOLFS = 22;
    AUTH = 23;
    FORMAT = 24;
    RANGE = 25;
    NOTADB = 26;
    NOTICE = 27;
    WARNING = 28;
    ROW = 100;
    DONE = 101;
    ERROR_MISSING_COLLSEQ = extended(Self::ERROR, 1);
    ERROR_RETRY = extended(Self::ERROR, 2);
    ERROR_SNAPSHOT = extended(Self::ERROR, 3);
    ERROR_RESERVESIZE = extended(Self::ERROR, 4);
    ERROR_KEY = extended(Self::ERROR, 5);
    ERROR_UNABLE = extended(Self::ERROR, 6);
    IOERR_READ = extended(Self::IOERR, 1);
    IOERR_SHORT_READ = extended(Self::IOERR, 2);
    IOERR_WRITE = extended(Self::IOERR, 3);
    IOERR_FSYNC = extended(Self::IOERR, 4);
    IOERR_DIR_FSYNC = extended(Self::IOERR, 5);
    IOERR_TRUNCATE = extended(Self::IOERR, 6);
    IOERR_FSTAT = extended(Self::IOERR, 7);
    IOERR_UNLOCK = extended(Self::IOERR, 8);
    IOERR_RDLOCK = extended(Self::IOERR, 9);
    IOERR_DELETE = extended(Self::IOERR, 10);
    IOERR_BLOCKED = extended(Self::IOERR, 11);
    IOERR_NOMEM = extended(Self::IOERR, 12);
    IOERR_ACCESS = extended(Self::IOERR, 13);
    IOERR_CHECKRESERVEDLOCK = extended(Self::IOERR, 14);
    IOERR_LOCK = extended(Self::IOERR, 15);
    IOERR_CLOSE = extended(Self::IOERR, 16);
    IOERR_DIR_CLOSE = extended(Self::IOERR, 17);
    IOERR_SHMOPEN = extended(Self::IOERR, 18);
    IOERR_SHMSIZE = extended(Self::IOERR, 19);
    IOERR_SHMLOCK = extended(Self::IOERR, 20);
    IOERR_SHMMAP = extended(Self::IOERR, 21);
    IOERR_SEEK = extended(Self::IOERR, 22);
    IOERR_DELETE_NOENT = extended(Self::IOERR, 23);
    IOERR_MMAP = extended(Self::IOERR, 24);
    IOERR_GETTEMPPATH = extended(Self::IOERR, 25);
    IOERR_CONVPATH = extended(Self::IOERR, 26);
    IOERR_VNODE = extended(Self::IOERR, 27);
    IOERR_AUTH = extended(Self::IOERR, 28);
    IOERR_BEGIN_ATOMIC = extended(Self::IOERR, 29);
    IOERR_COMMIT_ATOMIC = extended(Self::IOERR, 30);
    IOERR_ROLLBACK_ATOMIC = extended(Self::IOERR, 31);
    IOERR_DATA = extended(Self::IOERR, 32);
    IOERR_CORRUPTFS = extended(Self::IOERR, 33);
    IOERR_IN_PAGE = extended(Self::IOERR, 34);
    IOERR_BADKEY = extended(Self::IOERR, 35);
    IOERR_CODEC = extended(Self::IOERR, 36);
    LOCKED_SHAREDCACHE = extended(Self::LOCKED, 1);
    LOCKED_VTAB = extended(Self::LOCKED, 2);
    BUSY_RECOVERY = extended(Self::BUSY, 1);
    BUSY_SNAPSHOT = extended(Self::BUSY, 2);
    BUSY_TIMEOUT = extended(Self::BUSY, 3);
    CANTOPEN_NOTEMPDIR = extended(Self::CANTOPEN, 1);
    CANTOPEN_ISDIR = extended(Self::CANTOPEN, 2);
    CANTOPEN_FULLPATH = extended(Self::CANTOPEN, 3);
    CANTOPEN_CONVPATH = extended(Self::CANTOPEN, 4);
    CANTOPEN_DIRTYWAL = extended(Self::CANTOPEN, 5);
    CANTOPEN_SYMLINK = extended(Self::CANTOPEN, 6);
    CORRUPT_VTAB = extended(Self::CORRUPT, 1);
    CORRUPT_SEQUENCE = extended(Self::CORRUPT, 2);
    CORRUPT_INDEX = extended(Self::CORRUPT, 3);
    READONLY_RECOVERY = extended(Self::READONLY, 1);
    READONLY_CANTLOCK = extended(Self::READONLY, 2);
    READONLY_ROLLBACK = extended(Self::READONLY, 3);
    READONLY_DBMOVED = extended(Self::READONLY, 4);
    READONLY_CANTINIT = extended(Self::READONLY, 5);
    READONLY_DIRECTORY = extended(Self::READONLY, 6);
    ABORT_ROLLBACK = extended(Self::ABORT, 2);
    CONSTRAINT_CHECK = extended(Self::CONSTRAINT, 1);
    CONSTRAINT_COMMITHOOK = extended(Self::CONSTRAINT, 2);
    CONSTRAINT_FOREIGNKEY = extended(Self::CONSTRAINT, 3);
    CONSTRAINT_FUNCTION = extended(Self::CONSTRAINT, 4);
    CONSTRAINT_NOTNULL = extended(Self::CONSTRAINT, 5);
    CONSTRAINT_PRIMARYKEY = extended(Self::CONSTRAINT, 6);
    CONSTRAINT_TRIGGER = extended(Self::CONSTRAINT, 7);
    CONSTRAINT_UNIQUE = extended(Self::CONSTRAINT, 8);
    CONSTRAINT_VTAB = extended(Self::CONSTRAINT, 9);
    CONSTRAINT_ROWID = extended(Self::CONSTRAINT, 10);
    CONSTRAINT_PINNED = extended(Self::CONSTRAINT, 11);
    CONSTRAINT_DATATYPE = extended(Self::CONSTRAINT, 12);
    NOTICE_RECOVER_WAL = extended(Self::NOTICE, 1);
    NOTICE_RECOVER_ROLLBACK = extended(Self::NOTICE, 2);
    NOTICE_RBU = extended(Self::NOTICE, 3);
    WARNING_AUTOINDEX = extended(Self::WARNING, 1);
    AUTH_USER = extended(Self::AUTH, 1);
    OK_LOAD_PERMANENTLY = extended(Self::OK, 1);
    OK_SYMLINK = extended(Self::OK, 2);
}

impl fmt::Debug for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

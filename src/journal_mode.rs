//! The journal mode: which one a database has, and WAL where it can be had.

use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::{Connection, ResultCode};

/// How a database keeps what a transaction may have to take back. From [`Connection::journal_mode`].
///
/// C: [PRAGMA journal_mode](https://sqlite.org/pragma.html#pragma_journal_mode)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JournalMode {
    /// A rollback journal, which is deleted at the end of each transaction.
    Delete,
    /// A rollback journal, which is cut to nothing.
    Truncate,
    /// A rollback journal, whose head is overwritten.
    Persist,
    /// A rollback journal in memory.
    Memory,
    /// A write-ahead log.
    Wal,
    /// None.
    Off,
}

impl Connection {
    /// The journal mode of the main database.
    ///
    /// # Errors
    ///
    /// What SQLite returns where it cannot read the database.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{JournalMode, OpenOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let conn = OpenOptions::recommended().open(dir.path().join("app.db"))?;
    /// assert_eq!(conn.journal_mode()?, JournalMode::Wal);
    /// assert_eq!(OpenOptions::recommended().open_in_memory()?.journal_mode()?, JournalMode::Memory);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [PRAGMA journal_mode](https://sqlite.org/pragma.html#pragma_journal_mode)
    #[track_caller]
    pub fn journal_mode(&self) -> Result<JournalMode> {
        let mode: String = self.pragma("journal_mode")?;
        Ok(match &*mode {
            "delete" => JournalMode::Delete,
            "truncate" => JournalMode::Truncate,
            "persist" => JournalMode::Persist,
            "memory" => JournalMode::Memory,
            "wal" => JournalMode::Wal,
            "off" => JournalMode::Off,
            _ => {
                let known = Box::default();
                return Err(Error::new(ErrorKind::NoSuch { what: NameKind::Pragma, name: mode.into(), known }));
            }
        })
    }

    /// Has the main database use WAL. It takes memory that connections share, which some file systems do not have, those
    /// of a network among them.
    #[track_caller]
    pub(crate) fn use_wal(&self) -> Result<(), NoWal> {
        self.switch_to_wal().map_err(|error| match error.kind() {
            ErrorKind::Pragma { .. } => NoWal::Refused(error),
            _ if error.extended_code().is_some_and(is_of_shared_memory) => NoWal::TooLate(error),
            _ => NoWal::Failed(error),
        })
    }

    #[track_caller]
    fn switch_to_wal(&self) -> Result<()> {
        self.set_pragma("journal_mode", "wal")?;
        // That was written into the file; whether there can be a log shows at the next use.
        self.pragma::<i64>("schema_version").map(drop)
    }
}

/// Why there is no WAL.
pub(crate) enum NoWal {
    /// The database cannot have it, and has another mode.
    Refused(Error),
    /// The database cannot have it, and its file says that it has.
    TooLate(Error),
    /// Anything else.
    Failed(Error),
}

impl From<NoWal> for Error {
    fn from((NoWal::Refused(error) | NoWal::TooLate(error) | NoWal::Failed(error)): NoWal) -> Self {
        error
    }
}

/// Whether it is what SQLite returns where it cannot make, map or lock the shared memory of a log.
fn is_of_shared_memory(code: ResultCode) -> bool {
    const CODES: [ResultCode; 6] = [
        ResultCode::CANTOPEN,
        ResultCode::IOERR_SHMOPEN,
        ResultCode::IOERR_SHMSIZE,
        ResultCode::IOERR_SHMMAP,
        ResultCode::IOERR_SHMLOCK,
        ResultCode::READONLY_CANTINIT,
    ];
    CODES.contains(&code)
}

//! Journal mode of a database, and the switch to WAL.

use crate::Connection;
use crate::error::{Error, ErrorKind, NameKind, Result, ResultCode};
use crate::sql::quote_identifier;

/// Journal mode of a database: the form in which it keeps the data needed to roll back a transaction. From
/// [`Connection::journal_mode`].
///
/// C: [PRAGMA journal_mode](https://sqlite.org/pragma.html#pragma_journal_mode)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JournalMode {
    /// A rollback journal that is deleted at the end of each transaction.
    Delete,
    /// A rollback journal that is truncated at the end of each transaction.
    Truncate,
    /// A rollback journal whose header is overwritten at the end of each transaction.
    Persist,
    /// A rollback journal in memory.
    Memory,
    /// A write-ahead log.
    Wal,
    /// No journal.
    Off,
}

impl JournalMode {
    /// Returns the mode of this name.
    fn of(name: &str) -> Result<Self> {
        Ok(match name {
            "delete" => Self::Delete,
            "truncate" => Self::Truncate,
            "persist" => Self::Persist,
            "memory" => Self::Memory,
            "wal" => Self::Wal,
            "off" => Self::Off,
            _ => {
                let known = Box::default();
                return Err(Error::new(ErrorKind::NoSuch { what: NameKind::Pragma, name: name.into(), known }));
            }
        })
    }
}

impl Connection {
    /// Returns the journal mode of the main database.
    ///
    /// # Errors
    ///
    /// SQLite's error if it cannot read the database.
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
        JournalMode::of(&self.pragma::<String>("journal_mode")?)
    }

    /// Returns the journal mode of a database.
    #[track_caller]
    pub(crate) fn journal_mode_of(&self, database: &str) -> Result<JournalMode> {
        let sql = format!("PRAGMA {}.journal_mode", quote_identifier(database));
        JournalMode::of(&self.query_one::<String>(&sql, ())?)
    }

    /// Switches the main database to WAL. WAL needs memory shared between connections, which some file systems do not
    /// provide, among them network file systems.
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
        // The mode is now written in the file. The next access shows whether a log is possible.
        self.pragma::<i64>("schema_version").map(drop)
    }
}

/// Reason why the database does not use WAL.
pub(crate) enum NoWal {
    /// The database cannot use WAL, and has another mode.
    Refused(Error),
    /// The database cannot use WAL, but its file declares it.
    TooLate(Error),
    /// Any other error.
    Failed(Error),
}

impl From<NoWal> for Error {
    fn from((NoWal::Refused(error) | NoWal::TooLate(error) | NoWal::Failed(error)): NoWal) -> Self {
        error
    }
}

/// Whether SQLite returns this code if it cannot create, map or lock the shared memory of a log.
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

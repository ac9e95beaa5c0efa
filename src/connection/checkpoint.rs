//! Checkpoints: the frames of a write-ahead log are copied into the database file.

use super::{Connection, JournalMode};
use crate::error::{Error, ErrorKind, Result, ResultCode};
pub use crate::raw::checkpoint::{Checkpoint, CheckpointMode};
use crate::raw::library;
use crate::sql::quote_identifier;

impl Connection {
    /// Copies the frames of the main database's write-ahead log into the database file.
    ///
    /// SQLite checkpoints by itself, in a commit that finds 1,000 frames in the log, and when the last connection
    /// closes. A checkpoint at a quiet moment saves commits that work. Readers of older snapshots keep it from its end:
    /// see [`wal_status`](Self::wal_status). A [`Checkpointer`](crate::pool::Checkpointer) does this for a pool.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if a lock of another connection keeps it from its end, after the busy timeout; as many frames as
    /// possible are copied nevertheless. In mode [`Passive`](CheckpointMode::Passive), that is only a checkpoint of
    /// another connection. `SQLITE_LOCKED` if the connection itself has a transaction open that has read or written, or
    /// rows that are not finished. `SQLITE_READONLY` for a read-only connection.
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for [`Noop`](CheckpointMode::Noop) before SQLite 3.51.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{CheckpointMode, OpenOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let conn = OpenOptions::recommended().open(dir.path().join("app.db"))?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// let checkpoint = conn.checkpoint(CheckpointMode::Passive)?;
    /// assert!(checkpoint.is_complete() && checkpoint.log_frames > Some(0));
    /// assert_eq!(conn.checkpoint(CheckpointMode::Truncate)?.log_frames, Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_wal_checkpoint_v2](https://sqlite.org/c3ref/wal_checkpoint_v2.html)
    #[track_caller]
    #[doc(alias("wal_checkpoint", "wal_checkpoint_v2"))]
    pub fn checkpoint(&self, mode: CheckpointMode) -> Result<Checkpoint> {
        self.checkpoint_database("main", mode)
    }

    /// Copies the frames of a database's write-ahead log into the database file, as [`checkpoint`](Self::checkpoint)
    /// does: `main` or an attached database.
    ///
    /// # Errors
    ///
    /// See [`checkpoint`](Self::checkpoint). [`ErrorKind::NoSuch`](crate::ErrorKind::NoSuch) if there is no database of
    /// this name.
    ///
    /// C: [sqlite3_wal_checkpoint_v2](https://sqlite.org/c3ref/wal_checkpoint_v2.html)
    #[track_caller]
    pub fn checkpoint_database(&self, database: &str, mode: CheckpointMode) -> Result<Checkpoint> {
        self.core().check_transaction()?;
        let name = self.database_name(database)?;
        if mode != CheckpointMode::Noop && self.db().is_read_only(&name) == Some(true) {
            return self.refuse_to_write(database);
        }
        let run = || self.db().checkpoint(&name, mode).map_err(|fault| self.error(fault));
        let checkpoint = run()?;
        if checkpoint.log_frames.is_some() {
            return Ok(checkpoint);
        }
        // A connection that has read nothing yet does not know the journal mode.
        self.execute(&format!("PRAGMA {}.schema_version", quote_identifier(database)), ())?;
        run()
    }

    /// SQLite would fail to write to the file, and report that as an error of the disk.
    #[track_caller]
    fn refuse_to_write(&self, database: &str) -> Result<Checkpoint> {
        if self.journal_mode_of(database)? != JournalMode::Wal {
            return Ok(Checkpoint::default());
        }
        let code = ResultCode::READONLY;
        let error = Error::new(ErrorKind::Sqlite { code, message: library::code_message(code.number()).into() });
        Err(error.in_databases(|| self.db().files()))
    }
}

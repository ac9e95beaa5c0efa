//! State of a write-ahead log, and the handles that hold it.

use super::handles::{self, OpenHandle};
use crate::error::Result;
use crate::pages;
use crate::track::open_files;
use crate::{CheckpointMode, Connection, JournalMode};

/// State of the write-ahead log of a database. From [`Connection::wal_status`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WalStatus {
    /// Size of the log's file in bytes. It does not shrink when the log begins anew, unless a checkpoint
    /// [truncates](CheckpointMode::Truncate) it.
    pub bytes: u64,
    /// Number of frames in the log: pages that were written since it began.
    pub frames: u32,
    /// Number of frames that are not in the database file yet.
    pub pending_frames: u32,
    /// Handles of this process that may hold a snapshot of the log, on this connection or others, the oldest first:
    /// transactions, statements that are running, blobs and backups, each with the source location that opened it. A
    /// transaction that has read nothing yet holds none.
    ///
    /// While a snapshot is held, a checkpoint copies no frame that is newer, and the log does not begin anew. The list
    /// lacks other processes, transactions that SQL began, and what was opened while the
    /// [`TrackingLevel`](crate::handles::TrackingLevel) requested no records, as by default in a release build.
    pub readers: Vec<OpenHandle>,
}

impl Connection {
    /// Returns the state of the main database's write-ahead log, and who holds it; `None` if the database is not in WAL
    /// mode.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` and other errors of reading the database. In exclusive locking mode, and with a shared cache, the
    /// errors of [`checkpoint`](Self::checkpoint) with [`CheckpointMode::Noop`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{CheckpointMode, OpenOptions, handles::{self, TrackingLevel}};
    ///
    /// handles::set_level(TrackingLevel::Records);
    /// let dir = tempfile::tempdir()?;
    /// let options = OpenOptions::recommended();
    /// let conn = options.open(dir.path().join("app.db"))?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)")?;
    ///
    /// let other = options.open(dir.path().join("app.db"))?;
    /// let mut statement = other.prepare("SELECT a FROM t")?;
    /// let mut rows = statement.query(())?;
    /// rows.next()?; // a snapshot
    /// conn.execute("INSERT INTO t VALUES (3)", ())?;
    /// conn.checkpoint(CheckpointMode::Passive)?;
    ///
    /// let status = conn.wal_status()?.unwrap();
    /// assert!(status.pending_frames > 0);
    /// assert_eq!(status.readers[0].sql.as_deref(), Some("SELECT a FROM t"));
    /// println!("held by {}", status.readers[0]); // and where it was prepared
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [Write-ahead logging](https://sqlite.org/wal.html#avoiding_excessively_large_wal_files)
    #[track_caller]
    #[doc(alias("wal size", "checkpoint starvation"))]
    pub fn wal_status(&self) -> Result<Option<WalStatus>> {
        if self.journal_mode()? != JournalMode::Wal {
            return Ok(None);
        }
        let (frames, checkpointed) = match pages::log_frames(self)? {
            Some(frames) => frames,
            None => {
                let checkpoint = self.checkpoint(CheckpointMode::Noop)?;
                (checkpoint.log_frames.unwrap_or(0), checkpoint.checkpointed_frames.unwrap_or(0))
            }
        };
        let path = self.db().path();
        Ok(Some(WalStatus {
            bytes: open_files::log_bytes(path).unwrap_or(0),
            frames,
            pending_frames: frames.saturating_sub(checkpointed),
            readers: handles::readers(path),
        }))
    }
}

//! [`Snapshot`]: a state of a database with a write-ahead log, to be read again.

use std::cmp::Ordering;
use std::fmt;
use std::panic::Location;

use crate::error::Result;
use crate::raw::snapshot::RawSnapshot;
use crate::{Connection, Transaction, TransactionBehavior};

/// A state of the main database of a connection, which other connections to the same file can read later, while others
/// write: [`Connection::transaction_at`].
///
/// It is usable as long as the write-ahead log has that state: until a checkpoint has copied all of the log and a writer
/// begins it anew. An open transaction that reads the state, or `PRAGMA wal_autocheckpoint = 0`, keeps it.
///
/// It borrows nothing, and can be sent to other threads.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let dir = tempfile::tempdir()?;
/// let mut conn = Connection::open(dir.path().join("app.db"))?;
/// conn.set_pragma("journal_mode", "wal")?;
/// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
///
/// let tx = conn.transaction()?;
/// assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ())?, 1);
/// let snapshot = tx.snapshot()?;
/// tx.commit()?;
///
/// conn.execute("INSERT INTO t VALUES (2)", ())?;
/// let earlier = conn.transaction_at(&snapshot)?;
/// assert_eq!(earlier.query_one::<i64>("SELECT count(*) FROM t", ())?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [sqlite3_snapshot](https://sqlite.org/c3ref/snapshot.html)
pub struct Snapshot(RawSnapshot);

impl Snapshot {
    /// Compares the ages of two states of one database: `Less` if this one is older. Of two databases the result has no
    /// meaning.
    ///
    /// C: [sqlite3_snapshot_cmp](https://sqlite.org/c3ref/snapshot_cmp.html)
    #[must_use]
    pub fn compare_age(&self, other: &Self) -> Ordering {
        self.0.compare(&other.0)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("taken_at", &format_args!("{}", self.0.site)).finish_non_exhaustive()
    }
}

impl Connection {
    /// Returns the state that the open transaction reads. The transaction has read the main database and written
    /// nothing.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` outside of a transaction, in one that has written or read nothing, and for a database without a
    /// write-ahead log, or with one that is empty; [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// C: [sqlite3_snapshot_get](https://sqlite.org/c3ref/snapshot_get.html)
    #[track_caller]
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.db().snapshot(Location::caller()).map(Snapshot).map_err(|fault| self.error(fault))
    }

    /// Begins a transaction that reads an earlier state of the main database. It cannot write (`SQLITE_BUSY_SNAPSHOT`),
    /// unless nothing was committed since.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR_SNAPSHOT` if the write-ahead log no longer has that state; `SQLITE_BUSY_SNAPSHOT` if a checkpoint is
    /// replacing it; `SQLITE_ERROR` for a database without a write-ahead log; those of
    /// [`transaction`](Self::transaction).
    ///
    /// C: [sqlite3_snapshot_open](https://sqlite.org/c3ref/snapshot_open.html)
    #[track_caller]
    pub fn transaction_at(&mut self, snapshot: &Snapshot) -> Result<Transaction<'_>> {
        // SQLite has to know that the database has a log, which it learns when it reads.
        self.pragma::<i64>("application_id")?;
        let tx = self.transaction_with(TransactionBehavior::Deferred)?;
        match tx.db().open_snapshot(&snapshot.0) {
            Ok(()) => Ok(tx),
            Err(fault) => Err(tx.error(fault)),
        }
    }

    /// Makes states usable that the write-ahead log of a crashed process still has. For a connection that is the first
    /// to open the file and has a [`Snapshot`] of before.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` within a transaction; `SQLITE_BUSY`; errors of reading.
    ///
    /// C: [sqlite3_snapshot_recover](https://sqlite.org/c3ref/snapshot_recover.html)
    pub fn recover_snapshots(&self) -> Result<()> {
        self.db().recover_snapshots().map_err(|fault| self.error(fault))
    }
}

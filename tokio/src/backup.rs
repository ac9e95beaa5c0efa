//! Backups of a database in use.

use std::future::Future;
use std::panic::Location;
use std::path::PathBuf;

use finalite::data::{Backup, BackupProgress};
use finalite::pool::Role;
use finalite::{Connection, JournalMode, OpenOptions, Result};

use crate::control::{Control, Deadline};
use crate::pool::Pool;
use crate::worker::Context;

/// Number of pages of a step. Between steps, the call can be cancelled.
const PAGES: u32 = 1000;

/// Number of restarts after which all is copied in one step.
const RESTARTS_MAX: u64 = 3;

impl Pool {
    /// Copies the main database to a file while it is in use, and calls the closure with the progress, on a thread of the
    /// pool. The file is created; a database that it contains is replaced when the copy is complete. A reader of the pool
    /// is occupied until the end.
    ///
    /// Writes of the pool go on meanwhile. With a write-ahead log, the copy is of the moment at which it begins, and the log
    /// grows until it ends. With a rollback journal, a write begins the copy again, up to three times; then it is made in
    /// one step, which cannot be cancelled. If the future is dropped, or the deadline has passed, the file's database is as
    /// it was.
    ///
    /// # Errors
    ///
    /// See [`Connection::backup_to`](finalite::Connection::backup_to).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite_tokio::Pool;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let dir = tempfile::tempdir()?;
    /// let pool = Pool::open(finalite::pool::Pool::builder(dir.path().join("app.db"))).await?;
    /// pool.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").await?;
    /// let (progress, mut copied) = tokio::sync::watch::channel(0);
    /// pool.backup_to(dir.path().join("copy.db"), move |now| drop(progress.send(now.copied()))).await?;
    /// assert!(*copied.borrow_and_update() > 0);
    /// let copy = finalite::Connection::open(dir.path().join("copy.db"))?;
    /// assert_eq!(copy.query_one::<i64>("SELECT a FROM t", ())?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias("backup", "dump"))]
    #[track_caller]
    pub fn backup_to(
        &self,
        path: impl Into<PathBuf>,
        report: impl FnMut(BackupProgress) + Send + 'static,
    ) -> impl Future<Output = Result<()>> + Send {
        let (path, site) = (path.into(), Location::caller());
        async move {
            let deadline = self.deadline();
            let call = self.inner.readers.submit(deadline, move |context: &Context<'_>| {
                let mut conn = context.lend(Role::Reader, site, deadline)?;
                let _supervision = context.control.supervise(&conn, deadline)?;
                let destination = OpenOptions::new().open(&path)?;
                if conn.journal_mode()? != JournalMode::Wal {
                    return copy(&conn, destination, context.control, deadline, report);
                }
                let tx = conn.transaction()?;
                // The snapshot is taken by the first read.
                tx.exists("SELECT 1 FROM sqlite_schema", ())?;
                copy(&tx, destination, context.control, deadline, report)?;
                tx.rollback()
            })?;
            call.await
        }
    }
}

/// Copies the main database of a connection step by step.
fn copy(
    source: &Connection,
    destination: Connection,
    control: &Control,
    deadline: Deadline,
    mut report: impl FnMut(BackupProgress),
) -> Result<()> {
    let mut backup = Backup::new(source, destination)?;
    loop {
        control.check(deadline)?;
        let is_whole = backup.progress().restarts >= RESTARTS_MAX;
        let progress = backup.step(if is_whole { u32::MAX } else { PAGES })?;
        report(progress);
        if progress.is_done {
            return backup.finish()?.close();
        }
    }
}

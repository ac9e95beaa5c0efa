//! Writes on behalf of read-only connections: rolls back a transaction that a writer left unfinished, and removes the
//! write-ahead log after the last reader has been closed.

use std::ffi::OsString;
use std::panic::Location;
use std::sync::{MutexGuard, PoisonError};

use super::{Options, Pool, PoolReport};
use crate::OpenOptions;
use crate::error::{Error, ErrorKind, Result, ResultCode};
use crate::track::shielded;

/// Opens a connection of its own for the work that SQLite does only on a connection that may write. The pool's writer
/// is not used, since it may be checked out, even by the thread that reads.
pub(super) struct Attendant {
    open: OpenOptions,
    path: OsString,
    site: &'static Location<'static>,
}

impl Attendant {
    /// Opens the database for writing, reads it, and closes it. Reading rolls back the transaction of a writer that
    /// failed or died. Closing checkpoints the write-ahead log into the database, if no other connection has it open.
    fn visit(&self) -> Result<()> {
        let visit = || {
            let conn = self.open.open_at(&self.path, self.site)?;
            if conn.is_readonly("main") == Some(true) {
                return Err(Error::new(ErrorKind::OpenedReadOnly));
            }
            conn.query_one::<i64>("PRAGMA schema_version", ())?;
            drop(conn);
            Ok(())
        };
        visit().map_err(|error| error.in_database(|| self.path.to_string_lossy().into()))
    }

    pub(super) fn recover(&self) -> bool {
        let visited = self.visit();
        shielded(|| match &visited {
            Ok(()) => tracing::debug!(target: "finalite::pool", path = %self.path.display(), "recovered for a reader"),
            Err(error) => {
                tracing::warn!(target: "finalite::pool", %error, "a reader's database could not be recovered");
            }
        });
        visited.is_ok()
    }
}

impl Options {
    pub(super) fn attendant(&self, site: &'static Location<'static>) -> Attendant {
        let open = self.open.clone().create(false).name(&format!("{}/attendant", self.name));
        Attendant { open, path: self.path.clone(), site }
    }
}

impl Pool {
    /// Whether a write-ahead log may remain after the last connection was closed.
    fn may_leave_log(&self) -> bool {
        let is_out = || self.all_slots().iter().any(|role_slots| !role_slots.queue.status().out.is_empty());
        self.is_ours() && !self.options.open.is_read_only() && !self.options.is_in_memory() && !is_out()
    }

    /// Whether the pool belongs to this process, and is not inherited by a fork.
    pub(super) fn is_ours(&self) -> bool {
        self.writer.queue.is_of_this_process()
    }

    /// Locks the closing of connections. Of connections that are closed at the same time, each may take another for one
    /// that stays open, and leave the log to it. The last one is therefore closed under this lock.
    pub(super) fn lock_closing(&self) -> MutexGuard<'_, ()> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the write-ahead log if readers were the last connections to be closed. An error is added to the report.
    pub(super) fn close_log(&self, report: &mut PoolReport) {
        if report.has_closed_readers_last() && self.may_leave_log() {
            report.log_left = self.options.attendant(self.site).visit().err();
        }
    }

    /// Removes the write-ahead log after a connection was returned to a pool that is shut down. Another connection may
    /// be closed at the same time.
    #[cold]
    pub(super) fn close_log_after(&self) {
        if !self.may_leave_log() {
            return;
        }
        let _closing = self.lock_closing();
        if let Err(error) = self.options.attendant(self.site).visit() {
            shielded(|| match error.code() {
                // The database file no longer exists.
                Some(ResultCode::CANTOPEN) => {}
                _ => {
                    tracing::warn!(target: "finalite::pool", %error, "the write-ahead log remains beside the database");
                }
            });
        }
    }
}

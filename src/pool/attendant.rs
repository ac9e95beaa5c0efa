//! What is done for connections that read only: rolling back what a writer has left half-written, and ending the
//! write-ahead log when they are the last to be closed.

use std::ffi::OsString;
use std::panic::Location;
use std::sync::{MutexGuard, PoisonError};

use super::{Options, Pool, PoolReport};
use crate::error::{Error, ErrorKind, Result};
use crate::raw::shielded;
use crate::{OpenOptions, ResultCode};

/// Does for readers, on a connection of its own, what SQLite does on one that may write: not on the pool's writer, which
/// may be lent, and to the very thread that reads.
pub(super) struct Attendant {
    open: OpenOptions,
    path: OsString,
    site: &'static Location<'static>,
}

impl Attendant {
    /// Opens the database for writing, reads it, and closes it. Reading rolls back what a writer has left that failed or
    /// died; closing moves what is in the write-ahead log into the database, if nobody else has it open.
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
    /// Whether a write-ahead log may be left when the last connection was closed.
    fn may_leave_log(&self) -> bool {
        let is_out = || self.lanes().iter().any(|lane| !lane.queue.status().out.is_empty());
        self.is_ours() && !self.options.open.is_read_only() && !self.options.is_in_memory() && !is_out()
    }

    /// Whether it is of this process, and not inherited by a fork.
    pub(super) fn is_ours(&self) -> bool {
        self.writer.queue.is_of_this_process()
    }

    /// Connections that are closed at the same time take each other for the one that stays, and leave the log to it: so
    /// what is to be the last is closed under this lock.
    pub(super) fn lock_closing(&self) -> MutexGuard<'_, ()> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what may be left of the write-ahead log when readers were closed, and no connection that writes after them.
    pub(super) fn close_log(&self, report: &mut PoolReport) {
        if report.has_closed_readers_last() && self.may_leave_log() {
            report.log_left = self.options.attendant(self.site).visit().err();
        }
    }

    /// The same when a connection came back after the pool was shut down, be it beside another.
    #[cold]
    pub(super) fn close_log_after(&self) {
        if !self.may_leave_log() {
            return;
        }
        let _closing = self.lock_closing();
        if let Err(error) = self.options.attendant(self.site).visit() {
            shielded(|| match error.code() {
                // The database is gone.
                Some(ResultCode::CANTOPEN) => {}
                _ => tracing::warn!(target: "finalite::pool", %error, "the write-ahead log stays beside the database"),
            });
        }
    }
}

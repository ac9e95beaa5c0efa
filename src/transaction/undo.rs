//! All changes of one call, or none.

use crate::Connection;
use crate::error::Result;

/// A transaction, or a savepoint in the caller's. Dropping it undoes the changes, also during a panic.
pub(crate) struct Undo<'a> {
    conn: &'a Connection,
    is_outermost: bool,
    is_kept: bool,
}

impl<'a> Undo<'a> {
    pub(crate) fn begin(conn: &'a Connection) -> Result<Self> {
        // To undo an outermost savepoint takes a `RELEASE`, which is a commit: it would wait for readers.
        let is_outermost = conn.is_autocommit();
        conn.execute(if is_outermost { "BEGIN" } else { "SAVEPOINT finalite_undo" }, ())?;
        Ok(Self { conn, is_outermost, is_kept: false })
    }

    pub(crate) fn keep(mut self) -> Result<()> {
        // If this fails, Drop undoes the changes.
        self.conn.execute(if self.is_outermost { "COMMIT" } else { "RELEASE finalite_undo" }, ())?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let core = self.conn.core();
        // After some errors, SQLite has rolled back the transaction already.
        if self.is_kept || core.db().is_inherited() || self.conn.is_autocommit() {
            return;
        }
        let _cleanup = core.db().begin_cleanup();
        // A limit or a deadline that has ended the changes must not end their undoing.
        let _exempt = core.db().exempt_from_limits();
        let undo: &[&str] =
            if self.is_outermost { &["ROLLBACK"] } else { &["ROLLBACK TO finalite_undo", "RELEASE finalite_undo"] };
        if let Err(error) = undo.iter().try_for_each(|sql| core.control(sql)) {
            // The changes must not be committed: those of a savepoint not with the transaction either.
            core.guards().lose(error);
            core.guards().owe_rollback();
        }
    }
}

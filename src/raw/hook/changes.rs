//! Tables that a connection's commits have touched.
//!
//! SQLite's update hook reports rows of rowid tables. The authorizer has a `DELETE` of a watched table delete row by
//! row, where SQLite would truncate the table without a report. Rows of `WITHOUT ROWID` tables are not reported, but
//! counted: after a statement, more changes than reports mean that such a table may have changed. A commit is told when
//! its statement has ended, as it may still fail after the commit hook.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::Arc;

use super::Slot;
use crate::error::Fault;
use crate::raw::db::Db;
use crate::raw::ffi;

/// Tables and kinds of change of one commit.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Watched tables.
    pub(crate) tables: Vec<Box<str>>,
    /// Whether rows have changed that SQLite does not report.
    pub(crate) has_unreported: bool,
    /// Whether the schema may have changed.
    pub(crate) has_schema: bool,
}

/// Receiver of commits, of several connections. It calls no SQLite.
pub(crate) trait ChangeSink: Send + Sync {
    /// Whether a table of the main database is watched.
    fn is_watched(&self, table: &str) -> bool;

    /// Called after a commit.
    fn committed(&self, commit: &Committed);
}

#[derive(Default)]
pub(super) struct Changes {
    sink: RefCell<Option<Arc<dyn ChangeSink>>>,
    /// State of the sink when the connection last took notice; 0: none.
    generation: Cell<u64>,
    /// Tables that the transaction has touched, and whether each is watched.
    tables: RefCell<Vec<(Box<str>, bool)>>,
    /// Index of the table that was touched last.
    last: Cell<usize>,
    /// Number of changes of the connection up to the current statement.
    total_before: Cell<i64>,
    /// Number of rows that the current statement has reported.
    reported: Cell<i64>,
    has_unreported: Cell<bool>,
    has_schema: Cell<bool>,
    is_committing: Cell<bool>,
    is_rolled_back: Cell<bool>,
    /// Whether the connection is disturbed until `settle_changes`.
    is_unsettled: Cell<bool>,
    /// Table that the statement in preparation drops.
    dropped: RefCell<Option<Box<str>>>,
    /// Tables that the statement in preparation reads.
    pub(super) reads: RefCell<Option<Vec<Box<str>>>>,
}

impl Changes {
    pub(super) fn is_active(&self) -> bool {
        self.generation.get() != 0
    }

    pub(super) fn is_used(&self) -> bool {
        self.is_active() || self.reads.borrow().is_some()
    }

    /// Whether a table is watched.
    fn is_watched(&self, table: &str) -> bool {
        let sink = self.sink.borrow().clone();
        sink.is_some_and(|sink| sink.is_watched(table))
    }

    /// Notes a table.
    fn touch(&self, table: &str) {
        let mut tables = self.tables.borrow_mut();
        if tables.get(self.last.get()).is_some_and(|(last, _)| **last == *table) {
            return;
        }
        let index = tables.iter().position(|(known, _)| **known == *table).unwrap_or_else(|| {
            tables.push((table.into(), self.is_watched(table)));
            tables.len() - 1
        });
        self.last.set(index);
    }

    fn clear(&self) {
        self.tables.borrow_mut().clear();
        self.has_unreported.set(false);
        self.has_schema.set(false);
    }

    /// Returns SQLite's answer to an action that is allowed.
    pub(super) fn authorize(&self, code: c_int, table: Option<&str>, database: Option<&str>) -> c_int {
        let dropped = self.dropped.take();
        let Some(table) = table else {
            return ffi::SQLITE_OK;
        };
        match code {
            ffi::SQLITE_DROP_TABLE | ffi::SQLITE_DROP_VTABLE => {
                self.dropped.replace(Some(table.into()));
            }
            ffi::SQLITE_READ if database == Some("main") => {
                if let Some(reads) = &mut *self.reads.borrow_mut()
                    && !reads.iter().any(|known| **known == *table)
                {
                    reads.push(table.into());
                }
            }
            // Dropping a table asks for this, too, and would not happen.
            ffi::SQLITE_DELETE
                if database == Some("main") && dropped.as_deref() != Some(table) && self.is_watched(table) =>
            {
                return ffi::SQLITE_IGNORE;
            }
            _ => {}
        }
        ffi::SQLITE_OK
    }
}

impl Db {
    /// Returns the state of the sink of which the connection took notice; 0 if there is none.
    pub(crate) fn changes_generation(&self) -> u64 {
        self.hooks().changes.generation.get()
    }

    /// Tells commits to the sink, or to none. `generation` changes with the tables that it watches, and is not 0.
    pub(crate) fn watch_changes(&self, sink: Option<Arc<dyn ChangeSink>>, generation: u64) -> Result<(), Fault> {
        let entered = self.enter_to_register()?;
        let changes = &self.hooks().changes;
        let is_active = sink.is_some();
        let was_active = changes.is_active();
        changes.sink.replace(sink);
        // A table that was seen may be watched now.
        changes.tables.borrow_mut().clear();
        changes.generation.set(if is_active { generation } else { 0 });
        if !was_active {
            changes.clear();
            changes.total_before.set(self.total_changes());
        }
        if is_active {
            self.install_update(&entered);
            self.install_commit(&entered);
            self.install_rollback(&entered);
            // Statements are prepared again, since they may truncate a table that is watched now.
            self.install_authorizer(&entered)?;
        } else {
            self.prune_hooks();
        }
        Ok(())
    }

    /// Returns the tables of the main database that a statement reads. `prepare` prepares it.
    pub(crate) fn tables_read<R>(&self, prepare: impl FnOnce() -> R) -> Result<(R, Vec<Box<str>>), Fault> {
        let entered = self.enter_to_register()?;
        let changes = &self.hooks().changes;
        changes.reads.replace(Some(Vec::new()));
        if !self.is_installed(Slot::Authorizer) {
            self.install_authorizer(&entered)?;
        }
        let result = prepare();
        let reads = changes.reads.take().unwrap_or_default();
        self.prune_hooks();
        Ok((result, reads))
    }

    fn unsettle_changes(&self) {
        if !self.hooks().changes.is_unsettled.replace(true) {
            self.disturb();
        }
    }

    /// Notes a row that the update hook reports.
    #[inline]
    pub(super) fn note_change(&self, database: &str, table: &str) {
        let changes = &self.hooks().changes;
        if changes.reported.get() == 0 {
            // Changes of statements before this one, which have ended without a report.
            self.note_unreported();
            self.unsettle_changes();
        }
        changes.reported.set(changes.reported.get() + 1);
        if database == "main" {
            changes.touch(table);
        }
    }

    /// Compares the changes of ended statements with those that were reported.
    fn note_unreported(&self) {
        let changes = &self.hooks().changes;
        let total = self.total_changes();
        if total - changes.total_before.replace(total) > changes.reported.replace(0) {
            changes.has_unreported.set(true);
        }
    }

    /// Notes that the commit hook lets a transaction commit.
    pub(super) fn note_commit(&self) {
        self.hooks().changes.is_committing.set(true);
        self.unsettle_changes();
    }

    pub(super) fn note_rollback(&self) {
        self.hooks().changes.is_rolled_back.set(true);
        self.unsettle_changes();
    }

    /// Notes that a statement may change the schema.
    pub(in crate::raw) fn note_schema(&self) {
        let changes = &self.hooks().changes;
        changes.has_schema.set(changes.is_active());
    }

    /// Tells the commit of the statement that has ended. Called while C is not running.
    pub(crate) fn settle_changes(&self) {
        let changes = &self.hooks().changes;
        if !changes.is_unsettled.replace(false) {
            return;
        }
        self.callbacks.settle_one();
        self.note_unreported();
        let is_committing = changes.is_committing.replace(false);
        if changes.is_rolled_back.replace(false) {
            changes.clear();
        } else if is_committing && self.is_autocommit() {
            let mut touched = changes.tables.take();
            touched.retain(|(_, is_watched)| *is_watched);
            let commit = Committed {
                tables: touched.into_iter().map(|(table, _)| table).collect(),
                has_unreported: changes.has_unreported.get(),
                has_schema: changes.has_schema.get(),
            };
            changes.clear();
            let sink = changes.sink.borrow().clone();
            if let Some(sink) = sink
                && (!commit.tables.is_empty() || commit.has_unreported || commit.has_schema)
            {
                // Closures of the program are called, which may not use this connection.
                self.call_back(|| sink.committed(&commit));
            }
        }
    }
}

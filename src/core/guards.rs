//! The open transaction and savepoint guards of a connection, and the statements that they run.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use super::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::Db;
use crate::track::registry::{self, Recorded};
use crate::track::{HandleKind, counts};

/// A guard is open: of a transaction, or of an outermost savepoint, which acts as the transaction.
const OPEN: u8 = 1;
/// A rollback must run before any other statement: a guard was leaked, or its rollback in Drop failed (interrupted, out of
/// memory).
const ROLLBACK_OWED: u8 = 2;

/// The open guards of a connection, which are strictly nested.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// Bit set of what is looked at before each execution, in one word: [`OPEN`] and [`ROLLBACK_OWED`].
    state: Cell<u8>,
    transaction: RefCell<Option<GuardRecord>>,
    /// The open savepoints, outermost first.
    savepoints: RefCell<Vec<OpenSavepoint>>,
    /// The error that ended the transaction, if it occurred in Drop and could not be returned.
    lost: RefCell<Option<Error>>,
}

/// The source location where a guard was opened.
#[derive(Debug)]
struct GuardRecord {
    site: &'static Location<'static>,
    /// The record in the registry of handles, which lives as long as the guard.
    recorded: Option<Recorded>,
}

#[derive(Debug)]
struct OpenSavepoint {
    quoted_name: Box<str>,
    /// Whether no transaction was open before, so that the savepoint acts as one.
    is_transaction: bool,
    origin: GuardRecord,
}

impl Guards {
    #[inline]
    fn is_open(&self) -> bool {
        self.has(OPEN)
    }

    #[inline]
    fn has(&self, bit: u8) -> bool {
        self.state.get() & bit != 0
    }

    fn set(&self, bit: u8, yes: bool) {
        self.state.set(if yes { self.state.get() | bit } else { self.state.get() & !bit });
    }

    pub(crate) fn open(&self, db: &Db, site: &'static Location<'static>) {
        self.forget_errors(db);
        let recorded = record(db, HandleKind::Transaction, db.id(), site);
        self.transaction.replace(Some(GuardRecord { site, recorded }));
        self.set(OPEN, true);
        counts::opened(HandleKind::Transaction);
    }

    /// Forgets errors from before a transaction, which do not belong to it.
    fn forget_errors(&self, db: &Db) {
        db.take_lost();
        self.lost.take();
    }

    pub(crate) fn open_savepoint(
        &self,
        db: &Db,
        quoted_name: Box<str>,
        is_transaction: bool,
        site: &'static Location<'static>,
    ) {
        if !self.is_open() {
            self.forget_errors(db);
        }
        let mut savepoints = self.savepoints.borrow_mut();
        let transaction = self.transaction.borrow();
        let around = savepoints.last().map(|savepoint| &savepoint.origin).or(transaction.as_ref());
        let parent = around.and_then(|origin| origin.recorded.as_ref()).map_or(db.id(), Recorded::id);
        let recorded = record(db, HandleKind::Savepoint, parent, site);
        savepoints.push(OpenSavepoint { quoted_name, is_transaction, origin: GuardRecord { site, recorded } });
        self.set(OPEN, true);
        counts::opened(HandleKind::Savepoint);
    }

    /// Removes the transaction's guard and the savepoints in it. Returns the source location of the guard.
    pub(crate) fn close(&self, db: &Db) -> Option<&'static Location<'static>> {
        self.forget_savepoints(db, 0);
        self.set(ROLLBACK_OWED, false);
        let origin = self.transaction.take();
        if origin.is_some() {
            counts::closed(HandleKind::Transaction);
        }
        self.set(OPEN, false);
        origin.map(|origin| origin.site)
    }

    /// Returns the source location where the transaction, or the savepoint that acts as one, was opened.
    pub(crate) fn site(&self) -> Option<&'static Location<'static>> {
        let transaction = self.transaction.borrow().as_ref().map(|origin| origin.site);
        transaction.or_else(|| self.savepoints.borrow().first().map(|savepoint| savepoint.origin.site))
    }

    /// Returns the number of open savepoints.
    pub(crate) fn depth(&self) -> usize {
        self.savepoints.borrow().len()
    }

    pub(crate) fn site_of_savepoint(&self, depth: usize) -> Option<&'static Location<'static>> {
        self.savepoints.borrow().get(depth).map(|savepoint| savepoint.origin.site)
    }

    pub(crate) fn savepoint_name(&self, depth: usize) -> Option<Box<str>> {
        self.savepoints.borrow().get(depth).map(|savepoint| savepoint.quoted_name.clone())
    }

    /// Returns the quoted name of the innermost savepoint beyond a depth, and whether it acts as the transaction.
    fn innermost(&self, depth: usize) -> Option<(Box<str>, bool)> {
        let savepoints = self.savepoints.borrow();
        savepoints.get(depth..)?.last().map(|savepoint| (savepoint.quoted_name.clone(), savepoint.is_transaction))
    }

    /// Removes the savepoints beyond a depth and reports them as leaked: their guards were forgotten.
    pub(crate) fn forget_savepoints(&self, db: &Db, depth: usize) {
        while self.savepoints.borrow().len() > depth {
            self.forget_innermost(db);
        }
    }

    fn forget_innermost(&self, db: &Db) {
        if let Some(site) = self.pop_savepoint() {
            registry::forgot(HandleKind::Savepoint, db.id(), Some(site), None);
        }
    }

    /// Removes the innermost savepoint. Returns the source location of its guard.
    pub(crate) fn pop_savepoint(&self) -> Option<&'static Location<'static>> {
        let mut savepoints = self.savepoints.borrow_mut();
        let innermost = savepoints.pop()?;
        self.set(OPEN, !savepoints.is_empty() || self.transaction.borrow().is_some());
        counts::closed(HandleKind::Savepoint);
        Some(innermost.origin.site)
    }

    /// Requires a rollback before any other statement, for a transaction that should not be open.
    pub(crate) fn owe_rollback(&self) {
        self.set(ROLLBACK_OWED, true);
    }

    /// Keeps an error that ended the transaction and cannot be returned, unless there already is one. Without a guard
    /// around, nothing is left to which it could be told.
    pub(crate) fn lose(&self, error: Error) {
        if self.is_open() {
            self.lost.borrow_mut().get_or_insert(error);
        }
    }

    /// Removes all guards and reports them as leaked: nothing borrows the connection any more, so they were forgotten.
    /// Their transaction is rolled back before any other statement.
    pub(crate) fn forget_all(&self, db: &Db) {
        if self.is_open() {
            let site = self.close(db);
            self.owe_rollback();
            if let Some(site) = site {
                registry::forgot(HandleKind::Transaction, db.id(), Some(site), None);
            }
        }
    }
}

fn record(db: &Db, kind: HandleKind, parent: u64, site: &'static Location<'static>) -> Option<Recorded> {
    if registry::is_recording() { db.record(kind, registry::new_id(), Some(parent), site, None) } else { None }
}

impl Core {
    /// Rolls back an open transaction. Nothing borrows the connection any more, so its guard was leaked, or SQL began
    /// it.
    pub(crate) fn roll_back_leftovers(&mut self) -> Result<()> {
        let _cleanup = self.db.begin_cleanup();
        self.guards.forget_all(&self.db);
        if !self.db.is_autocommit() {
            self.control("ROLLBACK")?;
        }
        self.guards.set(ROLLBACK_OWED, false);
        Ok(())
    }

    /// Returns an error if a guard is open whose transaction has ended. Runs a pending rollback first.
    #[inline]
    pub(crate) fn check_transaction(&self) -> Result<()> {
        if self.is_transaction_well() { Ok(()) } else { self.check_guards() }
    }

    /// Whether the transaction of an open guard goes on, and no rollback is pending.
    #[inline(always)]
    pub(super) fn is_transaction_well(&self) -> bool {
        match self.guards.state.get() {
            0 => true,
            OPEN => !self.db.is_autocommit(),
            _ => false,
        }
    }

    #[cold]
    #[inline(never)]
    fn check_guards(&self) -> Result<()> {
        if self.guards.has(ROLLBACK_OWED) {
            if !self.db.is_autocommit() {
                self.control("ROLLBACK")?;
            }
            self.guards.set(ROLLBACK_OWED, false);
        }
        if self.guards.is_open() && self.db.is_autocommit() {
            let lost = self.guards.lost.take().or_else(|| Some(self.error(self.db.take_lost()?)));
            return Err(lost.unwrap_or_else(|| Error::new(ErrorKind::TransactionEnded)));
        }
        Ok(())
    }

    /// Runs a statement of a guard, even if the transaction has ended. The statement is recorded as opened at the
    /// source location of the transaction.
    pub(crate) fn control(&self, sql: &str) -> Result<()> {
        self.control_at(sql, self.guards.site().unwrap_or_else(|| self.db.site()))
    }

    pub(crate) fn control_at(&self, sql: &str, site: &'static Location<'static>) -> Result<()> {
        self.check_out(sql, site)?.run_unchecked(site)
    }

    /// Rolls back the savepoints beyond a depth, whose guards were leaked. They are rolled back one at a time from the
    /// innermost, because SQLite resolves a repeated name to the innermost savepoint.
    pub(crate) fn roll_back_forgotten(&self, depth: usize) -> Result<()> {
        while self.roll_back_innermost(depth)? {
            self.guards.forget_innermost(&self.db);
        }
        Ok(())
    }

    /// Rolls back the innermost savepoint beyond a depth, and ends it in SQLite. Returns whether there is one.
    pub(crate) fn roll_back_innermost(&self, depth: usize) -> Result<bool> {
        match self.guards.innermost(depth) {
            None => return Ok(false),
            // RELEASE would commit, and wait for the locks that a commit needs.
            Some((_, true)) => self.control("ROLLBACK")?,
            Some((name, false)) => {
                self.control(&format!("ROLLBACK TO {name}"))?;
                self.control(&format!("RELEASE {name}"))?;
            }
        }
        Ok(true)
    }
}

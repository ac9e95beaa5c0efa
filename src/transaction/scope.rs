//! The common part of transactions and savepoints: how they end, also in Drop.

use std::panic::Location;

use super::DropBehavior;
use crate::Connection;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::track::shielded;

/// An open transaction or savepoint. Dropping it ends it as its drop behavior says.
pub(super) struct Scope<'conn> {
    conn: &'conn Connection,
    level: Level,
    drop_behavior: DropBehavior,
    is_open: bool,
}

#[derive(Clone, Copy, Debug)]
enum Level {
    Transaction,
    /// A savepoint, and the number of those around it.
    Savepoint {
        depth: usize,
    },
}

impl Level {
    /// Text of the event that a commit failed in Drop.
    fn commit_failed(self) -> &'static str {
        match self {
            Self::Transaction => "commit failed in drop; rolling back",
            Self::Savepoint { .. } => "release failed in drop; rolling back",
        }
    }

    /// Text of the event that Drop rolled back.
    fn rolled_back(self) -> &'static str {
        match self {
            Self::Transaction => "a transaction was dropped, and rolled back",
            Self::Savepoint { .. } => "a savepoint was dropped, and rolled back",
        }
    }

    /// Text of the event that Drop could not roll back.
    fn rollback_failed(self) -> &'static str {
        match self {
            Self::Transaction => "rollback failed in drop; the next call repeats it",
            Self::Savepoint { .. } => "rollback failed in drop; the transaction is rolled back",
        }
    }
}

impl<'conn> Scope<'conn> {
    pub(super) fn transaction(conn: &'conn Connection) -> Self {
        Self { conn, level: Level::Transaction, drop_behavior: DropBehavior::Rollback, is_open: true }
    }

    /// `depth` is the number of savepoints around this one.
    pub(super) fn savepoint(conn: &'conn Connection, depth: usize) -> Self {
        Self { conn, level: Level::Savepoint { depth }, drop_behavior: DropBehavior::Rollback, is_open: true }
    }

    pub(super) fn connection(&self) -> &'conn Connection {
        self.conn
    }

    /// Returns the depth of a savepoint within this scope.
    pub(super) fn depth_within(&self) -> usize {
        match self.level {
            Level::Transaction => 0,
            Level::Savepoint { depth } => depth + 1,
        }
    }

    /// Returns the previous behavior.
    pub(super) fn set_drop_behavior(&mut self, behavior: DropBehavior) -> DropBehavior {
        std::mem::replace(&mut self.drop_behavior, behavior)
    }

    fn core(&self) -> &'conn Core {
        self.conn.core()
    }

    pub(super) fn try_commit(&mut self) -> Result<()> {
        self.core().check_transaction()?;
        self.core().roll_back_forgotten(self.depth_within())?;
        match self.level {
            Level::Transaction => self.core().control("COMMIT")?,
            Level::Savepoint { depth } => {
                // The connection has the name, so that a leaked savepoint leaks no memory.
                let name = self.core().guards().savepoint_name(depth).unwrap_or_default();
                self.core().control(&format!("RELEASE {name}"))?;
            }
        }
        self.ended();
        Ok(())
    }

    pub(super) fn rollback(mut self) -> Result<()> {
        self.drop_behavior = DropBehavior::Rollback;
        self.try_rollback()
    }

    fn try_rollback(&mut self) -> Result<()> {
        let _exempt = self.core().db().exempt_from_limits();
        if !self.conn.is_autocommit() {
            match self.level {
                Level::Transaction => self.core().control("ROLLBACK")?,
                Level::Savepoint { depth } => {
                    self.core().roll_back_forgotten(self.depth_within())?;
                    self.core().roll_back_innermost(depth)?;
                }
            }
        }
        self.ended();
        Ok(())
    }

    fn ended(&mut self) {
        self.is_open = false;
        let guards = self.core().guards();
        match self.level {
            Level::Transaction => _ = guards.close(self.core().db()),
            Level::Savepoint { .. } => {
                guards.forget_savepoints(self.core().db(), self.depth_within());
                guards.pop_savepoint();
            }
        }
    }

    fn opened_at(&self) -> &'static Location<'static> {
        let guards = self.core().guards();
        let site = match self.level {
            Level::Transaction => guards.site(),
            Level::Savepoint { depth } => guards.site_of_savepoint(depth),
        };
        site.unwrap_or_else(|| self.core().db().site())
    }

    /// Sends the event of a commit that failed in Drop.
    fn log_failed_commit(&self, error: &Error, opened_at: &Location<'_>) {
        shielded(|| {
            let (connection, name) = self.core().identity();
            let text = self.level.commit_failed();
            tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "{text}");
        });
    }

    /// Sends the event of a rollback in Drop, unless the transaction had ended before.
    fn log_rollback(&self, result: &Result<()>, was_open: bool, opened_at: &Location<'_>) {
        shielded(|| {
            let (connection, name) = self.core().identity();
            match result {
                Ok(()) if !was_open => {}
                Ok(()) => {
                    let text = self.level.rolled_back();
                    tracing::debug!(target: "finalite::statement", connection, name, %opened_at, "{text}");
                }
                Err(error) => {
                    let text = self.level.rollback_failed();
                    tracing::error!(target: "finalite::statement", %error, connection, name, %opened_at, "{text}");
                }
            }
        });
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        if self.core().db().is_inherited() || self.drop_behavior == DropBehavior::Ignore {
            self.ended();
            return;
        }
        let _cleanup = self.conn.db().begin_cleanup();
        let opened_at = self.opened_at();
        let mut commit_error = None;
        if self.drop_behavior == DropBehavior::Commit {
            match self.try_commit() {
                Ok(()) => return,
                Err(error) => {
                    self.log_failed_commit(&error, opened_at);
                    commit_error = Some(error);
                }
            }
        }
        let was_open = !self.conn.is_autocommit();
        let result = self.try_rollback();
        self.log_rollback(&result, was_open, opened_at);
        // An error that ended a transaction around this scope is kept for its guard.
        match result {
            Ok(()) if !self.conn.is_autocommit() => {}
            Ok(()) => {
                if let Some(error) = commit_error {
                    self.core().guards().lose(error);
                }
            }
            Err(error) => {
                // The changes must not be committed: those of a savepoint not with the transaction either.
                self.ended();
                self.core().guards().lose(commit_error.unwrap_or(error));
                self.core().guards().owe_rollback();
            }
        }
    }
}

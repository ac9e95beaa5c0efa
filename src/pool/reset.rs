//! Checks a returned connection, and restores its state.
//!
//! If nothing was run that changes the state of the connection, the check is a few calls into SQLite that read memory.
//! SQL is run only if something was (`Taint`). A connection whose state cannot be proven to be that of a new one is
//! destroyed.

use std::fmt;
use std::thread;

use super::profile::Profile;
use super::status::Role;
use crate::Connection;
use crate::track::Taint;

/// Treatment of a connection that is returned with changes: a temporary table, an attached database, a pragma, a limit.
///
/// A transaction that is still open is always rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnPolicy {
    /// Restores the state if possible, and destroys the connection otherwise.
    #[default]
    Reset,
    /// Destroys the connection.
    Destroy,
    /// Destroys the connection and panics, for tests: a connection that is to be changed should be a reserved one.
    ///
    /// # Panics
    ///
    /// Dropping the guard panics, unless the thread is panicking already.
    Panic,
}

/// Reason why a connection of a pool was closed instead of reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DestroyReason {
    /// The guard was dropped while its thread panicked, or a callback of the connection panicked and no call resumed
    /// the panic.
    Panicked,
    /// A transaction was open, and remained open after a rollback.
    RollbackFailed,
    /// Statements of the connection were forgotten.
    Forgotten,
    /// A read of the database was still active.
    Busy,
    /// The connection was changed, and the policy is not to restore it.
    Changed,
    /// Temporary tables, views, indexes or triggers had been created.
    TemporarySchema,
    /// An attached database could not be detached.
    Attached,
    /// A pragma, or a property of a database file, was set that cannot be restored.
    Pragma,
    /// Foreign code had access to the handle ([`Connection::as_raw`]).
    Raw,
    /// Tables or functions were registered on it.
    Registered,
    /// The database file was moved, replaced or deleted.
    Moved,
    /// The connection belongs to the process that this one was forked from.
    Forked,
    /// The connection was [reserved](super::Pool::reserve).
    Reserved,
    /// The pool was closed while the connection was checked out.
    PoolClosed,
}

impl DestroyReason {
    /// All reasons.
    pub const ALL: [Self; 14] = [
        Self::Panicked,
        Self::RollbackFailed,
        Self::Forgotten,
        Self::Busy,
        Self::Changed,
        Self::TemporarySchema,
        Self::Attached,
        Self::Pragma,
        Self::Raw,
        Self::Registered,
        Self::Moved,
        Self::Forked,
        Self::Reserved,
        Self::PoolClosed,
    ];

    /// Name of the reason in snake case, such as `rollback_failed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::RollbackFailed => "rollback_failed",
            Self::Forgotten => "forgotten",
            Self::Busy => "busy",
            Self::Changed => "changed",
            Self::TemporarySchema => "temporary_schema",
            Self::Attached => "attached",
            Self::Pragma => "pragma",
            Self::Raw => "raw",
            Self::Registered => "registered",
            Self::Moved => "moved",
            Self::Forked => "forked",
            Self::Reserved => "reserved",
            Self::PoolClosed => "pool_closed",
        }
    }

    /// Whether the caller changed the state of the connection.
    pub(super) fn is_change(self) -> bool {
        matches!(
            self,
            Self::Changed | Self::TemporarySchema | Self::Attached | Self::Pragma | Self::Raw | Self::Registered
        )
    }

    /// Whether the reason is logged as a problem.
    pub(super) fn is_news(self) -> bool {
        !matches!(self, Self::Reserved | Self::PoolClosed)
    }
}

impl fmt::Display for DestroyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Checks a returned connection, and restores its state. The error is the reason why it cannot be reused.
pub(super) fn check(
    conn: &mut Connection,
    role: Role,
    policy: ReturnPolicy,
    profile: Option<&Profile>,
) -> Result<(), DestroyReason> {
    if thread::panicking() {
        return Err(DestroyReason::Panicked);
    }
    if role == Role::Reserved {
        return Err(DestroyReason::Reserved);
    }
    if conn.db().is_inherited() {
        return Err(DestroyReason::Forked);
    }
    conn.db_mut().end_interrupts();
    // A deadline that its guard still holds would be the next caller's.
    if conn.db().has_limits() {
        return Err(DestroyReason::Registered);
    }
    if conn.has_forgotten_handles() {
        return Err(DestroyReason::Forgotten);
    }
    // The result of the rollback is not conclusive: SQLite may have rolled back before, or an authorizer may deny it.
    let _ = conn.core_mut().roll_back_leftovers();
    conn.db().settle_changes();
    restore(conn, policy, profile)?;
    // The panic of a callback that no call resumed is not for the next caller.
    if conn.db().has_parked_panic() { Err(DestroyReason::Panicked) } else { Ok(()) }
}

/// Checks and restores the state of a connection without a transaction.
fn restore(conn: &Connection, policy: ReturnPolicy, profile: Option<&Profile>) -> Result<(), DestroyReason> {
    let _cleanup = conn.db().begin_cleanup();
    if !conn.is_autocommit() {
        return Err(DestroyReason::RollbackFailed);
    }
    if conn.db().is_in_transaction() {
        return Err(DestroyReason::Busy);
    }
    conn.db().reset_last_insert_rowid();
    match (conn.db().take_taint(), profile) {
        (Taint::NONE, _) => Ok(()),
        (taint, Some(profile)) => put_back(conn, taint, policy, profile),
        (_, None) => Err(DestroyReason::Changed),
    }
}

#[cold]
fn put_back(conn: &Connection, taint: Taint, policy: ReturnPolicy, profile: &Profile) -> Result<(), DestroyReason> {
    for (kind, reason) in [
        (Taint::RAW, DestroyReason::Raw),
        (Taint::REGISTERED, DestroyReason::Registered),
        (Taint::OTHER_PRAGMA, DestroyReason::Pragma),
    ] {
        if taint.has(kind) {
            return Err(reason);
        }
    }
    // Before any SQL, which a limit may refuse.
    if taint.has(Taint::CONFIG) && !profile.has_same_config(conn) {
        if policy != ReturnPolicy::Reset {
            return Err(DestroyReason::Changed);
        }
        profile.restore_config(conn).map_err(|_| DestroyReason::Changed)?;
    }
    // A table in the database itself is not part of the connection's state.
    let has_temporary = taint.has(Taint::SCHEMA) && !profile.has_same_temporary_schema(conn).unwrap_or(false);
    let changes = Taint::ATTACHED.with(Taint::PRAGMA).with(Taint::SETTING);
    let is_changed = has_temporary || taint.has(changes);
    if is_changed && policy != ReturnPolicy::Reset {
        return Err(DestroyReason::Changed);
    }
    if has_temporary {
        return Err(DestroyReason::TemporarySchema);
    }
    if taint.has(Taint::ATTACHED) && !profile.detach_others(conn).unwrap_or(false) {
        return Err(DestroyReason::Attached);
    }
    if taint.has(Taint::SETTING) {
        profile.restore_settings(conn);
    }
    // The busy timeout is a pragma, too.
    if taint.has(Taint::PRAGMA.with(Taint::SETTING)) {
        profile.restore_pragmas(conn).map_err(|_| DestroyReason::Pragma)?;
    }
    // Restoring is not a change.
    conn.db().take_taint();
    Ok(())
}

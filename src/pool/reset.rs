//! What is looked at when a connection comes back, and what is put back.
//!
//! A connection on which nothing was run that changes its state is told by a few calls into SQLite that read memory.
//! SQL is run only where something was (`Taint`). What cannot be proven to be as it was is destroyed.

use std::fmt;
use std::thread;

use super::profile::Profile;
use super::status::Role;
use crate::Connection;
use crate::raw::Taint;

/// What to do with a connection that comes back changed: with a temporary table, an attached database, a pragma set.
///
/// A transaction that is left open is rolled back in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnPolicy {
    /// Puts back what can be, and destroys the connection otherwise.
    #[default]
    Reset,
    /// Destroys it.
    Destroy,
    /// Destroys it, and panics, for tests: whoever changes a connection should have reserved one.
    ///
    /// # Panics
    ///
    /// Dropping the guard does, unless the thread is panicking already.
    Panic,
}

/// Why a connection of a pool was closed instead of lent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DestroyReason {
    /// Its guard was dropped while its thread panicked.
    Panicked,
    /// A transaction was open, and stayed so after a rollback.
    RollbackFailed,
    /// Statements made from it were forgotten.
    Forgotten,
    /// Something still read from the database.
    Busy,
    /// It was changed, and the policy is not to put anything back.
    Changed,
    /// There were temporary tables, views, indexes or triggers.
    TemporarySchema,
    /// A database that was attached could not be detached.
    Attached,
    /// A pragma was set that cannot be put back.
    Pragma,
    /// Foreign code had the handle ([`Connection::as_raw`]).
    Raw,
    /// Tables or functions were added to it.
    Registered,
    /// Its database file was moved, replaced or deleted.
    Moved,
    /// It belongs to the process that this one was forked from.
    Forked,
    /// It was [reserved](super::Pool::reserve).
    Reserved,
    /// The pool was closed meanwhile.
    PoolClosed,
}

impl DestroyReason {
    /// Every reason.
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

    /// In one word: `rollback_failed`.
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

    /// Whether whoever had the connection changed what it is like.
    pub(super) fn is_change(self) -> bool {
        matches!(
            self,
            Self::Changed | Self::TemporarySchema | Self::Attached | Self::Pragma | Self::Raw | Self::Registered
        )
    }

    /// Whether it tells of something that went wrong.
    pub(super) fn is_news(self) -> bool {
        !matches!(self, Self::Reserved | Self::PoolClosed)
    }
}

impl fmt::Display for DestroyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether the connection may be lent again; if so, it is as it was when it was new.
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
    if conn.has_forgotten_statements() {
        return Err(DestroyReason::Forgotten);
    }
    // What the rollback returns says little: SQLite may have rolled back before, or be denied to.
    let _ = conn.roll_back_leftovers();
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
    // A table of the database itself is no state of the connection's.
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
    // Putting back is no change.
    conn.db().take_taint();
    Ok(())
}

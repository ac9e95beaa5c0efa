//! Guards of connections that are checked out.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::{Pool, RoleSlots};
use crate::error::Result;
use crate::{Connection, Transaction, TransactionBehavior};

/// Place for a connection. Its lock is held by the guard that has the connection. Callers wait in the queue, not for
/// this lock. If a guard is forgotten, the pool accesses the connection by `&mut`.
#[derive(Debug, Default)]
pub(super) struct PoolSlot(Mutex<Option<Connection>>);

impl PoolSlot {
    /// Locks the slot. Poisoning is ignored: a panic while the connection was checked out is handled when it is
    /// returned.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Option<Connection>>> {
        match self.0.try_lock() {
            Ok(slot) => Some(slot),
            Err(TryLockError::Poisoned(slot)) => Some(slot.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn get_mut(&mut self) -> &mut Option<Connection> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Right to use a slot. Dropping it releases the slot to the next caller, as the last step.
pub(super) struct Permit<'pool> {
    pool: &'pool Pool,
    role_slots: &'pool RoleSlots,
    pub(super) slot: usize,
}

impl<'pool> Permit<'pool> {
    pub(super) fn new(pool: &'pool Pool, role_slots: &'pool RoleSlots, slot: usize) -> Self {
        Self { pool, role_slots, slot }
    }

    /// Returns the slot without releasing it; the caller must do that.
    pub(super) fn keep(self) -> usize {
        ManuallyDrop::new(self).slot
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.role_slots.queue.release(self.slot) {
            // The pool may have been shut down while this connection was being checked. No one else closes it then.
            drop(self.role_slots.slots[self.slot].try_lock().and_then(|mut slot| slot.take()));
            self.pool.close_log_after();
        }
    }
}

const PRESENT: &str = "a guard has its connection until it is dropped";

/// A connection checked out from a [`Pool`]. Dropping it returns the connection.
///
/// It dereferences to [`Connection`]. It stays on its thread; [`OwnedConnection`] can be sent to another.
#[must_use = "the connection returns to the pool immediately"]
pub struct PooledConnection<'pool> {
    /// Declared before the permit, so that it is unlocked before the permit is released.
    conn: MutexGuard<'pool, Option<Connection>>,
    permit: Permit<'pool>,
}

impl<'pool> PooledConnection<'pool> {
    #[inline]
    pub(super) fn new(conn: MutexGuard<'pool, Option<Connection>>, permit: Permit<'pool>) -> Self {
        Self { conn, permit }
    }

    fn conn_mut(&mut self) -> &mut Connection {
        self.conn.as_mut().expect(PRESENT)
    }

    /// Begins a transaction like [`Connection::transaction`]. The writer's takes the write lock immediately.
    ///
    /// # Errors
    ///
    /// See [`Connection::transaction`].
    #[track_caller]
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        let behavior = self.permit.role_slots.queue.role().behavior();
        self.transaction_with(behavior)
    }

    /// Begins a transaction with this behavior, like [`Connection::transaction_with`].
    ///
    /// # Errors
    ///
    /// See [`Connection::transaction_with`].
    #[track_caller]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.conn_mut().transaction_with(behavior)
    }

    /// Creates the tables of [`Connection::create_diagnostic_tables`]. They stay with the connection, so it is closed
    /// when it is returned.
    ///
    /// # Errors
    ///
    /// See [`Connection::create_diagnostic_tables`].
    pub fn create_diagnostic_tables(&mut self) -> Result<()> {
        self.conn_mut().create_diagnostic_tables()
    }
}

impl Deref for PooledConnection<'_> {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect(PRESENT)
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        self.permit.pool.take_back(self.permit.role_slots, &mut self.conn);
    }
}

impl fmt::Debug for PooledConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection").field("connection", &**self).finish_non_exhaustive()
    }
}

/// A connection checked out from a [`Pool`], with a shared reference to the pool. It can be sent to another thread, and
/// stored anywhere.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use finalite::pool::Pool;
///
/// let pool = Arc::new(Pool::in_memory("doc").build()?);
/// let conn = pool.reader_owned()?;
/// let sum = std::thread::spawn(move || conn.query_one::<i64>("SELECT 1 + 1", ())).join().unwrap()?;
/// assert_eq!(sum, 2);
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use = "the connection returns to the pool immediately"]
pub struct OwnedConnection {
    /// The connection; `None` only during `drop`.
    conn: Option<Connection>,
    pool: Arc<Pool>,
    role_slots: fn(&Pool) -> &RoleSlots,
    slot: usize,
}

impl OwnedConnection {
    pub(super) fn new(pool: Arc<Pool>, role_slots: fn(&Pool) -> &RoleSlots, slot: usize, conn: Connection) -> Self {
        Self { conn: Some(conn), pool, role_slots, slot }
    }

    fn conn_mut(&mut self) -> &mut Connection {
        self.conn.as_mut().expect(PRESENT)
    }

    /// Begins a transaction like [`PooledConnection::transaction`].
    ///
    /// # Errors
    ///
    /// See [`PooledConnection::transaction`].
    #[track_caller]
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        let behavior = (self.role_slots)(&self.pool).queue.role().behavior();
        self.transaction_with(behavior)
    }

    /// Begins a transaction with this behavior, like [`Connection::transaction_with`].
    ///
    /// # Errors
    ///
    /// See [`Connection::transaction_with`].
    #[track_caller]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.conn_mut().transaction_with(behavior)
    }

    /// Creates the tables of [`Connection::create_diagnostic_tables`]. They stay with the connection, so it is closed
    /// when it is returned.
    ///
    /// # Errors
    ///
    /// See [`Connection::create_diagnostic_tables`].
    pub fn create_diagnostic_tables(&mut self) -> Result<()> {
        self.conn_mut().create_diagnostic_tables()
    }
}

impl Deref for OwnedConnection {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect(PRESENT)
    }
}

impl Drop for OwnedConnection {
    fn drop(&mut self) {
        let role_slots = (self.role_slots)(&self.pool);
        // Released last, also after a panic.
        let permit = Permit::new(&self.pool, role_slots, self.slot);
        self.pool.take_back(role_slots, &mut self.conn);
        if let Some(conn) = self.conn.take() {
            *role_slots.slots[self.slot].lock() = Some(conn);
        }
        drop(permit);
    }
}

impl fmt::Debug for OwnedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedConnection").field("connection", &**self).finish_non_exhaustive()
    }
}

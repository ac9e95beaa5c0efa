//! A connection that is lent.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::{Lane, Pool};
use crate::error::Result;
use crate::{Connection, Transaction, TransactionBehavior};

/// A place for a connection. Its lock is held by the guard that has the connection, and by nobody else: waiting is the
/// queue's business. It is not lost with a guard that is forgotten, because the pool gets around it by `&mut`.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Option<Connection>>);

impl Slot {
    /// A panic while the connection was lent has poisoned it, and was dealt with when it came back.
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

/// The right to a slot. Dropping it gives the slot to the next, after all else.
pub(super) struct Permit<'pool> {
    pool: &'pool Pool,
    lane: &'pool Lane,
    pub(super) slot: usize,
}

impl<'pool> Permit<'pool> {
    pub(super) fn new(pool: &'pool Pool, lane: &'pool Lane, slot: usize) -> Self {
        Self { pool, lane, slot }
    }

    /// Keeps the slot out; somebody else gives it back.
    pub(super) fn keep(self) -> usize {
        ManuallyDrop::new(self).slot
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.lane.queue.release(self.slot) {
            // The pool was shut down, maybe while this connection was looked at: then nobody else closes it.
            drop(self.lane.slots[self.slot].try_lock().and_then(|mut slot| slot.take()));
            self.pool.close_log_after();
        }
    }
}

const PRESENT: &str = "a connection that is lent is there until its guard is dropped";

/// A connection of a [`Pool`]'s. Dropping it gives it back.
///
/// It can do what a [`Connection`] can. It stays on its thread; [`OwnedConnection`] does not have to.
#[must_use = "it goes back at once"]
pub struct PooledConnection<'pool> {
    /// Unlocked before the permit goes to the next.
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

    /// As [`Connection::transaction`]; the writer's takes the write lock at once.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        let behavior = self.permit.lane.queue.role().behavior();
        self.transaction_with(behavior)
    }

    /// As [`Connection::transaction_with`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.conn_mut().transaction_with(behavior)
    }

    /// As [`Connection::create_diagnostic_tables`]. The connection is closed when it comes back: the tables stay with
    /// it.
    ///
    /// # Errors
    ///
    /// As there.
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
        self.permit.pool.take_back(self.permit.lane, &mut self.conn);
    }
}

impl fmt::Debug for PooledConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledConnection").field("connection", &**self).finish_non_exhaustive()
    }
}

/// A connection of a [`Pool`]'s, with its share of the pool: it can be sent to another thread, and held anywhere.
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
#[must_use = "it goes back at once"]
pub struct OwnedConnection {
    /// `None` only within Drop.
    conn: Option<Connection>,
    pool: Arc<Pool>,
    lane: fn(&Pool) -> &Lane,
    slot: usize,
}

impl OwnedConnection {
    pub(super) fn new(pool: Arc<Pool>, lane: fn(&Pool) -> &Lane, slot: usize, conn: Connection) -> Self {
        Self { conn: Some(conn), pool, lane, slot }
    }

    fn conn_mut(&mut self) -> &mut Connection {
        self.conn.as_mut().expect(PRESENT)
    }

    /// As [`PooledConnection::transaction`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        let behavior = (self.lane)(&self.pool).queue.role().behavior();
        self.transaction_with(behavior)
    }

    /// As [`Connection::transaction_with`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn transaction_with(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>> {
        self.conn_mut().transaction_with(behavior)
    }

    /// As [`Connection::create_diagnostic_tables`]. The connection is closed when it comes back: the tables stay with
    /// it.
    ///
    /// # Errors
    ///
    /// As there.
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
        let lane = (self.lane)(&self.pool);
        // Given back last, whatever happens before.
        let permit = Permit::new(&self.pool, lane, self.slot);
        self.pool.take_back(lane, &mut self.conn);
        if let Some(conn) = self.conn.take() {
            *lane.slots[self.slot].lock() = Some(conn);
        }
        drop(permit);
    }
}

impl fmt::Debug for OwnedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedConnection").field("connection", &**self).finish_non_exhaustive()
    }
}

//! [`Pool`]: sessions that are kept open, and lent.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use finalite::workspace::Process;
use tracing::warn;

use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::link::{Ender, Tx};
use crate::retry::RetryPolicy;
use crate::stats;
use crate::transaction::Transaction;

/// Sessions on one database, which are opened when needed, lent to one caller at a time, and checked when they come back.
///
/// A session that comes back is rolled back if a transaction was forgotten, and statements that were forgotten are
/// finalized and counted. One that has ended is not lent again, and neither are those that were idle while it did: they
/// have the same leader. A guard that was leaked keeps its place until the pool ends, which counts it
/// ([`Stats::sessions_forgotten`](stats::Stats::sessions_forgotten)). Nothing that failed is sent again by the pool.
///
/// # Example
///
/// ```no_run
/// use finalite_dqlite::{Cluster, Pool, RetryPolicy};
///
/// let pool = Pool::new(Cluster::new(["127.0.0.1:9201", "127.0.0.1:9202"]), "app", 8);
/// let name: String = pool.get()?.query_one("SELECT name FROM user WHERE id = ?", (1,))?;
/// pool.get()?.retry(RetryPolicy::default(), |tx| tx.execute("DELETE FROM user WHERE name = ?", (&name,)))?;
/// # Ok::<(), finalite_dqlite::Error>(())
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    database: Box<str>,
    sessions_max: usize,
    timeout: Duration,
    state: Mutex<State>,
    returned: Condvar,
    process: Process,
}

#[derive(Default)]
struct State {
    idle: VecDeque<Idle>,
    /// Sessions that are lent, or being opened.
    lent: usize,
    /// The connections of those that are lent, by a number.
    connections: HashMap<u64, Ender>,
    /// The last number.
    last: u64,
    is_closed: bool,
    /// Counts the sessions that were found to have ended.
    generation: u64,
}

struct Idle {
    conn: Connection,
    since: Instant,
    generation: u64,
}

/// After this time, a session is asked whether it is still the leader's before it is lent.
const TRUSTED: Duration = Duration::from_secs(1);

/// Sessions of a pool, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Sessions that are lent.
    pub checked_out: usize,
    /// Sessions that wait to be lent.
    pub idle: usize,
    /// The most sessions that there can be.
    pub sessions_max: usize,
}

impl Pool {
    /// Returns a pool of up to `sessions_max` sessions. None is opened yet. A caller waits for up to 5 s for one.
    #[must_use]
    pub fn new(cluster: Cluster, database: &str, sessions_max: usize) -> Self {
        Self::with_timeout(cluster, database, sessions_max, Duration::from_secs(5))
    }

    /// Returns a pool whose callers wait this long for a session.
    #[must_use]
    pub fn with_timeout(cluster: Cluster, database: &str, sessions_max: usize, timeout: Duration) -> Self {
        let state = Mutex::default();
        let (database, sessions_max) = (database.into(), sessions_max.max(1));
        Self(Arc::new(Inner {
            cluster,
            database,
            sessions_max,
            timeout,
            state,
            returned: Condvar::new(),
            process: Process::this(),
        }))
    }

    /// Returns a session, which comes back when it is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`], [`ErrorKind::PoolClosed`]; [`ErrorKind::Forked`] in a fork of the process that has made
    /// the pool; those of [`Cluster::open`].
    pub fn get(&self) -> Result<PooledConnection<'_>> {
        // Before its lock, which a thread of the parent may have held.
        if !self.0.process.is_this() {
            return Err(Error::new(ErrorKind::Forked));
        }
        let began = Instant::now();
        let mut state = self.0.lock();
        loop {
            if state.is_closed {
                return Err(Error::new(ErrorKind::PoolClosed));
            }
            if let Some(idle) = state.idle.pop_front() {
                let is_stale = idle.generation != state.generation;
                state.lent += 1;
                drop(state);
                // From here on, the place is given back if anything fails.
                let mut lent = PooledConnection::of(&self.0);
                let probe = || idle.conn.is_leader_within(self.0.cluster.connect_timeout()).unwrap_or(false);
                if !is_stale && (idle.since.elapsed() < TRUSTED || probe()) {
                    lent.keep(idle.conn);
                    return Ok(lent);
                }
                drop(idle.conn);
                drop(lent);
                state = self.0.lock();
                if state.generation == idle.generation {
                    // The others have the same leader.
                    state.generation += 1;
                }
                continue;
            }
            if state.lent < self.0.sessions_max {
                state.lent += 1;
                drop(state);
                let mut lent = PooledConnection::of(&self.0);
                lent.keep(self.0.cluster.open(&self.0.database)?);
                return Ok(lent);
            }
            let waited = began.elapsed();
            let left = self.0.timeout.saturating_sub(waited);
            if left.is_zero() {
                return Err(Error::new(ErrorKind::PoolTimeout { waited }));
            }
            state = self.0.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns how many sessions are lent and how many wait.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let state = self.0.lock();
        PoolStatus { checked_out: state.lent, idle: state.idle.len(), sessions_max: self.0.sessions_max }
    }

    /// Ends the sessions that wait, and those that are lent, also if their guard was leaked; one that is sending or waiting
    /// for an answer ends when it comes back. No further one is lent. In a fork of the process it does nothing.
    pub fn close(&self) {
        if !self.0.process.is_this() {
            return;
        }
        let (idle, connections) = {
            let mut state = self.0.lock();
            state.is_closed = true;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.connections))
        };
        drop(idle);
        connections.values().for_each(Ender::end_idle);
        self.0.returned.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_back(&self, conn: Option<Connection>, epoch: u64, number: u64) {
        // A child has none to give back, and may not get the lock.
        if !self.process.is_this() {
            return;
        }
        let (conn, has_ended) = match conn {
            Some(conn) => {
                let is_sound = restore(&conn);
                // One that was reopened had ended before.
                let has_ended = !is_sound || conn.epoch() != epoch;
                (Some(conn).filter(|_| is_sound), has_ended)
            }
            None => (None, false),
        };
        let mut state = self.lock();
        state.lent -= 1;
        state.connections.remove(&number);
        if has_ended {
            state.generation += 1;
        }
        let generation = state.generation;
        let unwanted = match conn {
            Some(conn) if !state.is_closed => {
                // The last one used is lent first: others may become idle for good.
                state.idle.push_front(Idle { conn, since: Instant::now(), generation });
                None
            }
            conn => conn,
        };
        drop(state);
        drop(unwanted);
        self.returned.notify_one();
    }
}

impl Drop for Inner {
    /// Guards borrow the pool: those that are left were leaked.
    fn drop(&mut self) {
        if !self.process.is_this() {
            return;
        }
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.lent > 0 {
            stats::sessions_forgotten(state.lent);
            warn!(target: "finalite::leak", forgotten = state.lent, "a pool ends with sessions that were leaked");
        }
        state.connections.values().for_each(Ender::end_idle);
    }
}

/// Brings a session back to the state of a new one. Returns whether it can be lent again.
fn restore(conn: &Connection) -> bool {
    if !conn.is_alive() {
        return false;
    }
    let has_transaction = conn.link().tx() != Tx::None;
    if has_transaction {
        warn!(target: "finalite::leak", "a transaction was leaked, and is rolled back");
        if conn.roll_back().is_err() {
            return false;
        }
    }
    match conn.link().finalize_all() {
        Ok(0) => true,
        Ok(forgotten) => {
            stats::forgotten(forgotten);
            warn!(target: "finalite::leak", forgotten, "statements were leaked, and are finalized");
            true
        }
        Err(_) => false,
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("database", &self.0.database).field("status", &self.status()).finish()
    }
}

/// A session that is lent by a [`Pool`], and dereferences to its [`Connection`]. Returned by [`Pool::get`].
pub struct PooledConnection<'pool> {
    pool: &'pool Inner,
    /// Is there until it is dropped, once it was lent.
    conn: Option<Connection>,
    /// The number of the session as it was lent.
    epoch: u64,
    /// The number in the list of connections.
    number: u64,
}

impl<'pool> PooledConnection<'pool> {
    fn of(pool: &'pool Inner) -> Self {
        Self { pool, conn: None, epoch: 0, number: 0 }
    }
}

impl PooledConnection<'_> {
    fn keep(&mut self, conn: Connection) {
        self.epoch = conn.epoch();
        self.conn = Some(conn);
        self.note();
    }

    /// Notes the connection in the pool, which may have been closed meanwhile.
    fn note(&mut self) {
        let Some(ender) = self.conn.as_ref().map(|conn| conn.link().ender()) else { return };
        let mut state = self.pool.lock();
        if state.is_closed {
            drop(state);
            ender.end_idle();
            return;
        }
        if self.number == 0 {
            state.last += 1;
            self.number = state.last;
        }
        state.connections.insert(self.number, ender);
    }

    /// As [`Connection::transaction`].
    ///
    /// # Errors
    ///
    /// Those of [`Connection::transaction`].
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        self.own()?.transaction()
    }

    /// As [`Connection::retry`].
    ///
    /// # Errors
    ///
    /// Those of [`Connection::retry`].
    pub fn retry<T, E: From<Error>>(
        &mut self,
        policy: RetryPolicy,
        work: impl FnMut(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = self.own()?.retry(policy, work);
        self.note();
        result
    }

    /// As [`Connection::reopen`].
    ///
    /// # Errors
    ///
    /// Those of [`Connection::reopen`].
    pub fn reopen(&mut self) -> Result<()> {
        let result = self.own()?.reopen();
        self.note();
        result
    }

    fn own(&mut self) -> Result<&mut Connection> {
        self.conn.as_mut().ok_or_else(|| Error::new(ErrorKind::PoolClosed))
    }
}

impl Deref for PooledConnection<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.conn {
            Some(conn) => conn,
            None => unreachable!("a session that is lent is there until it is dropped"),
        }
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        self.pool.take_back(self.conn.take(), self.epoch, self.number);
    }
}

impl fmt::Debug for PooledConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PooledConnection").field(&self.conn).finish()
    }
}

//! A connection pool: one writer and several readers of one database.
//!
//! SQLite allows one writer at a time and, in WAL mode, any number of concurrent readers. A [`Pool`] has one connection
//! for writing and a number of read-only ones. It opens them on demand, and hands each out to one caller at a time:
//! [`reader`](Pool::reader), [`writer`](Pool::writer), [`write`](Pool::write).
//!
//! Callers wait in a queue. When a connection is returned, a running thread may take it before the first in the queue
//! has woken up. Once the first has waited for half a millisecond, or half its timeout, it gets the next connection.
//! The pool starts no thread.
//!
//! A returned connection is checked. If it is proven clean, it is reused. Otherwise (a failed rollback, a temporary
//! table, a pragma that cannot be restored, a panic) it is closed and counted by its [`DestroyReason`], and another is
//! opened when its slot is next used. A failed rollback, a panic or a failed open never loses a slot.
//!
//! A reader cannot write, and so cannot roll back the unfinished transaction of a writer that failed or died. If it
//! finds such a database, the pool opens another connection for writing, which rolls back; the reader's caller gets no
//! error.
//!
//! Session state that must persist (temporary tables, attached databases) belongs on a connection from
//! [`reserve`](Pool::reserve). It belongs to the caller until it is dropped, and is then closed.
//!
//! # Example
//!
//! ```
//! use finalite::pool::Pool;
//!
//! let dir = tempfile::tempdir()?;
//! let pool = Pool::builder(dir.path().join("app.db"))
//!     .readers(4)
//!     .init(|conn| conn.set_pragma("cache_size", -4000))
//!     .build()?;
//!
//! pool.writer()?.execute_batch("CREATE TABLE account(id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)")?;
//! pool.write(|tx| {
//!     tx.execute("INSERT INTO account VALUES (1, 100), (2, 0)", ())?;
//!     Ok(())
//! })?;
//! let sum: i64 = pool.reader()?.query_one("SELECT sum(cents) FROM account", ())?;
//! assert_eq!(sum, 100);
//!
//! let report = pool.close();
//! assert!(report.is_clean(), "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In an async program
//!
//! SQLite's calls block, and so does waiting for a connection: both belong on a thread that may block. The crate
//! [`finalite-tokio`](https://docs.rs/finalite-tokio) has such threads, and calls that end when their future is dropped.
//! Without it, an [`OwnedConnection`] can be sent to a thread and back:
//!
//! ```
//! use std::sync::Arc;
//! use finalite::{Result, pool::Pool};
//! use tokio::task::spawn_blocking;
//!
//! async fn cents(pool: Arc<Pool>, account: i64) -> Result<Option<i64>> {
//!     let read = move || {
//!         let conn = pool.reader_owned()?;
//!         conn.query_optional("SELECT cents FROM account WHERE id = ?", (account,))
//!     };
//!     spawn_blocking(read).await.expect("the closure does not panic")
//! }
//!
//! let dir = tempfile::tempdir()?;
//! let pool = Arc::new(Pool::builder(dir.path().join("app.db")).build()?);
//! pool.writer()?.execute_batch("CREATE TABLE account(id INTEGER PRIMARY KEY, cents)")?;
//! pool.writer()?.execute("INSERT INTO account VALUES (1, 100)", ())?;
//! let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! runtime.block_on(async {
//!     assert_eq!(cents(Arc::clone(&pool), 1).await?, Some(100));
//!     assert_eq!(cents(Arc::clone(&pool), 2).await?, None);
//!     Ok::<(), finalite::Error>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::track::shielded;
use crate::{Connection, OpenOptions};

mod attendant;
mod builder;
mod checkpointer;
mod guard;
mod lending;
mod profile;
mod queue;
pub(crate) mod registry;
mod reset;
mod retry;
mod status;
mod watch;

pub use builder::PoolBuilder;
pub use checkpointer::Checkpointer;
pub use guard::{OwnedConnection, PooledConnection};
pub use registry::PoolTotals;
pub use reset::{DestroyReason, ReturnPolicy};
pub use retry::RetryPolicy;
pub use status::{Checkout, CheckpointStatus, PoolReport, PoolStatus, Role, RoleStatus};
pub use watch::{Change, Watch};

use builder::Options;
use guard::PoolSlot;
use profile::Profile;
pub use queue::OuterWaits;
use queue::{Queue, WaitLimit};
use registry::Registration;
use status::Counters;
use watch::Hub;

/// Pool of connections to one database, each handed out to one caller at a time. See [the module](self).
///
/// Dropping it closes the connections like [`close`](Self::close), and logs the report if it is not clean.
#[doc(alias("r2d2", "deadpool", "SqlitePool"))]
pub struct Pool {
    writer: RoleSlots,
    readers: RoleSlots,
    reserved: RoleSlots,
    options: Options,
    listed: Registration,
    /// Location at which the pool was built.
    site: &'static Location<'static>,
    /// Connection that keeps a database in memory alive while there is no other.
    anchor: Mutex<Option<Connection>>,
    closing: Mutex<()>,
    /// Whoever watches tables.
    hub: Arc<Hub>,
    /// Whether `close` returns the report, so that it is not logged as well.
    is_reported: bool,
}

/// The slots of one role.
struct RoleSlots {
    queue: Arc<Queue>,
    slots: Box<[PoolSlot]>,
    /// State of a new connection of the role.
    profile: OnceLock<Profile>,
}

impl RoleSlots {
    fn new(role: Role, size: usize) -> Self {
        let slots = (0..size).map(|_| PoolSlot::default()).collect();
        Self { queue: Arc::new(Queue::new(role, size)), slots, profile: OnceLock::new() }
    }
}

type Init = Arc<dyn Fn(&mut Connection) -> Result<()> + Send + Sync>;

impl Pool {
    /// Returns a builder for the database at this path. The defaults are 4 readers, no reserved connections, a timeout
    /// of 30 seconds, and [`OpenOptions::recommended`].
    pub fn builder(path: impl AsRef<Path>) -> PoolBuilder {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        PoolBuilder::new(&name, path.as_os_str().to_owned(), OpenOptions::recommended(), false)
    }

    /// Returns a builder for a database in memory, which connections share by this name within the process. It is
    /// deleted with the pool.
    ///
    /// A database in memory has no WAL: readers and the writer wait for each other.
    ///
    /// C: [the memdb VFS](https://sqlite.org/src/doc/trunk/src/memdb.c)
    pub fn in_memory(name: &str) -> PoolBuilder {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let uri = format!("file:/{encoded}?vfs=memdb");
        PoolBuilder::new(name, uri.into(), OpenOptions::recommended().without_wal().uri(true), true)
    }

    /// Checks out a connection for reading.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`] if none is returned within the builder's `acquire_timeout`,
    /// [`ErrorKind::PoolClosed`], [`ErrorKind::OpenAttempts`] if a connection has to be opened and cannot be, or
    /// [`ErrorKind::NoMemory`] if that is the cause.
    #[track_caller]
    pub fn reader(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.readers, self.wait_limit(), Location::caller())
    }

    /// Checks out a connection for reading, with this timeout.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn reader_within(&self, longest: Duration) -> Result<PooledConnection<'_>> {
        self.lend(&self.readers, WaitLimit::For(longest), Location::caller())
    }

    /// Checks out a connection for reading without waiting. Returns `None` if none is free.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader), except that there is no timeout.
    #[track_caller]
    pub fn try_reader(&self) -> Result<Option<PooledConnection<'_>>> {
        at_once(self.lend(&self.readers, WaitLimit::None, Location::caller()))
    }

    /// Checks out the connection for writing. Its [`transaction`](PooledConnection::transaction) takes the write lock
    /// immediately.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn writer(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.writer, self.wait_limit(), Location::caller())
    }

    /// Checks out the connection for writing, with this timeout.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn writer_within(&self, longest: Duration) -> Result<PooledConnection<'_>> {
        self.lend(&self.writer, WaitLimit::For(longest), Location::caller())
    }

    /// Checks out the connection for writing without waiting. Returns `None` if it is not free.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader), except that there is no timeout.
    #[track_caller]
    pub fn try_writer(&self) -> Result<Option<PooledConnection<'_>>> {
        at_once(self.lend(&self.writer, WaitLimit::None, Location::caller()))
    }

    /// Opens a connection for state that must persist: temporary tables, attached databases, pragmas. It is closed when
    /// it is dropped. Until then it takes one of the builder's `reserved` slots.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn reserve(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.reserved, self.wait_limit(), Location::caller())
    }

    /// Checks out a connection for reading, with a guard that can be sent to another thread and stored anywhere.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn reader_owned(self: &Arc<Self>) -> Result<OwnedConnection> {
        self.lend_owned(|pool| &pool.readers, Location::caller())
    }

    /// Checks out the connection for writing, with a guard that can be sent to another thread and stored anywhere.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn writer_owned(self: &Arc<Self>) -> Result<OwnedConnection> {
        self.lend_owned(|pool| &pool.writer, Location::caller())
    }

    /// Opens a connection like [`reserve`](Self::reserve), with a guard that can be sent to another thread and stored
    /// anywhere.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn reserve_owned(self: &Arc<Self>) -> Result<OwnedConnection> {
        self.lend_owned(|pool| &pool.reserved, Location::caller())
    }

    /// Returns the current state and the counters of the pool.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        PoolStatus::new(&self.listed.0)
    }

    /// Returns the maximum time to wait for a connection.
    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.options.acquire_timeout
    }

    /// Returns the error of a caller that has waited this long for a connection of the role.
    pub(crate) fn timed_out(&self, role: Role, waited: Duration) -> Error {
        self.of_role(role).timed_out(waited)
    }

    fn of_role(&self, role: Role) -> &RoleSlots {
        match role {
            Role::Writer => &self.writer,
            Role::Reader => &self.readers,
            Role::Reserved => &self.reserved,
        }
    }

    fn counters(&self) -> &Counters {
        &self.listed.0.counters
    }

    /// Closes the pool: when this returns, every file is closed. A connection of a forgotten guard is reported, and
    /// closed. There is no [`OwnedConnection`] at this point, since each shares the pool.
    pub fn close(mut self) -> PoolReport {
        self.is_reported = true;
        self.end()
    }

    /// Stops handing out connections, closes idle ones, and reports those that are checked out, which are closed when
    /// they are returned. Use it for a shared pool; [`close`](Self::close) may follow.
    ///
    /// Closing a read-only connection cannot checkpoint the write-ahead log into the database. When the last connection
    /// has been returned, another one is opened to do so. While a connection is checked out, the database consists of
    /// two files, and a copy of one of them is incomplete.
    pub fn shut_down(&self) -> PoolReport {
        let mut report = PoolReport::default();
        if !self.is_ours() {
            return report;
        }
        let _closing = self.lock_closing();
        self.hub.close();
        for role_slots in self.all_slots() {
            role_slots.queue.close();
            for slot in &role_slots.slots {
                // A slot whose connection is checked out is locked, or empty.
                if let Some(conn) = slot.try_lock().and_then(|mut slot| slot.take()) {
                    report.close_in(role_slots.queue.role(), conn);
                }
            }
            report.add_checkouts(status::checkouts(&role_slots.queue));
        }
        if let Some(anchor) = self.anchor.lock().unwrap_or_else(PoisonError::into_inner).take() {
            report.close(anchor);
        }
        self.close_log(&mut report);
        report
    }

    pub(crate) fn report_waits(&self, role: Role, waits: queue::WaitsReport) {
        self.of_role(role).queue.report_waits(waits);
    }

    pub(crate) fn refuse_waiters(&self) {
        self.all_slots().iter().for_each(|role_slots| role_slots.queue.close());
    }

    fn all_slots(&self) -> [&RoleSlots; 3] {
        [&self.readers, &self.reserved, &self.writer]
    }

    fn end(&mut self) -> PoolReport {
        let mut report = PoolReport::default();
        self.hub.close();
        // The writer comes last: closing the last connection checkpoints, which a reader cannot do.
        for role_slots in [&mut self.readers, &mut self.reserved, &mut self.writer] {
            role_slots.queue.close();
            let checked_out = status::checkouts(&role_slots.queue);
            for slot in &mut role_slots.slots {
                // Nothing borrows the pool at this point: if a guard still has the slot, it was forgotten.
                if let Some(conn) = slot.get_mut().take() {
                    report.close_in(role_slots.queue.role(), conn);
                }
            }
            report.add_checkouts(checked_out);
        }
        if let Some(anchor) = self.anchor.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            report.close(anchor);
        }
        self.close_log(&mut report);
        report
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let report = self.end();
        if !report.is_clean() && !self.is_reported {
            shielded(|| {
                tracing::error!(target: "finalite::pool", %report, "the pool ended while connections were checked out");
            });
        }
    }
}

fn at_once<T>(lent: Result<T>) -> Result<Option<T>> {
    match lent {
        Ok(conn) => Ok(Some(conn)),
        Err(error) if matches!(error.kind(), ErrorKind::PoolTimeout { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("path", &self.options.path).field("status", &self.status()).finish_non_exhaustive()
    }
}

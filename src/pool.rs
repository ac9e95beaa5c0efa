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
//! SQLite's calls block, and so does waiting for a connection: both belong on a thread that may block. An
//! [`OwnedConnection`] can be sent to that thread and back. A handler for axum:
//!
//! ```
//! use std::sync::Arc;
//! use axum::extract::{Path, State};
//! use axum::http::StatusCode;
//! use finalite::pool::Pool;
//! use tokio::task::spawn_blocking;
//!
//! async fn cents(State(pool): State<Arc<Pool>>, Path(account): Path<i64>) -> Result<String, StatusCode> {
//!     let read = move || {
//!         let conn = pool.reader_owned()?;
//!         conn.query_optional::<i64>("SELECT cents FROM account WHERE id = ?", (account,))
//!     };
//!     match spawn_blocking(read).await {
//!         Ok(Ok(Some(cents))) => Ok(cents.to_string()),
//!         Ok(Ok(None)) => Err(StatusCode::NOT_FOUND),
//!         Ok(Err(error)) if error.is_busy() => Err(StatusCode::SERVICE_UNAVAILABLE),
//!         _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
//!     }
//! }
//!
//! let dir = tempfile::tempdir()?;
//! let pool = Arc::new(Pool::builder(dir.path().join("app.db")).build()?);
//! pool.writer()?.execute_batch("CREATE TABLE account(id INTEGER PRIMARY KEY, cents); INSERT INTO account VALUES (1, 100)")?;
//! let _app: axum::Router =
//!     axum::Router::new().route("/account/{id}/cents", axum::routing::get(cents)).with_state(Arc::clone(&pool));
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! assert_eq!(cents(State(Arc::clone(&pool)), Path(1)).await, Ok("100".into()));
//! assert_eq!(cents(State(pool), Path(2)).await, Err(StatusCode::NOT_FOUND));
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ffi::OsString;
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::track::shielded;
use crate::{Connection, OpenOptions};

mod attendant;
mod checkpointer;
mod guard;
mod profile;
mod queue;
pub(crate) mod registry;
mod reset;
mod retry;
mod status;

pub use checkpointer::Checkpointer;
pub use guard::{OwnedConnection, PooledConnection};
pub use registry::PoolTotals;
pub use reset::{DestroyReason, ReturnPolicy};
pub use retry::RetryPolicy;
pub use status::{Checkout, PoolReport, PoolStatus, Role, RoleStatus};

use guard::{Permit, Slot};
use profile::Profile;
use queue::{Patience, Queue, Refused};
use registry::{Entry, Listed};
use status::Counters;

/// Pool of connections to one database, each handed out to one caller at a time. See [the module](self).
///
/// Dropping it closes the connections like [`close`](Self::close), and logs the report if it is not clean.
#[doc(alias("r2d2", "deadpool", "SqlitePool"))]
pub struct Pool {
    writer: Lane,
    readers: Lane,
    reserved: Lane,
    options: Options,
    listed: Listed,
    /// Location at which the pool was built.
    site: &'static Location<'static>,
    /// Connection that keeps a database in memory alive while there is no other.
    anchor: Mutex<Option<Connection>>,
    closing: Mutex<()>,
    /// Whether `close` returns the report, so that it is not logged as well.
    is_reported: bool,
}

/// The slots of one role.
struct Lane {
    queue: Arc<Queue>,
    slots: Box<[Slot]>,
    /// State of a new connection of the role.
    profile: OnceLock<Profile>,
}

impl Lane {
    fn new(role: Role, size: usize) -> Self {
        let slots = (0..size).map(|_| Slot::default()).collect();
        Self { queue: Arc::new(Queue::new(role, size)), slots, profile: OnceLock::new() }
    }
}

type Init = Arc<dyn Fn(&mut Connection) -> Result<()> + Send + Sync>;

struct Options {
    name: Box<str>,
    path: OsString,
    open: OpenOptions,
    /// Set if the connections share a database in memory: by the builder, or when the writer's connection shows it.
    is_in_memory: OnceLock<()>,
    init: Option<Init>,
    acquire_timeout: Duration,
    moved_check: Duration,
    policy: ReturnPolicy,
    open_retry: RetryPolicy,
    write_retry: RetryPolicy,
}

/// Builder of a [`Pool`]. From [`Pool::builder`].
#[must_use = "a pool is made by `build`"]
pub struct PoolBuilder {
    options: Options,
    readers: usize,
    reserved: usize,
}

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
        self.lend(&self.readers, self.patience(), Location::caller())
    }

    /// Checks out a connection for reading, with this timeout.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn reader_within(&self, longest: Duration) -> Result<PooledConnection<'_>> {
        self.lend(&self.readers, Patience::For(longest), Location::caller())
    }

    /// Checks out a connection for reading without waiting. Returns `None` if none is free.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader), except that there is no timeout.
    #[track_caller]
    pub fn try_reader(&self) -> Result<Option<PooledConnection<'_>>> {
        at_once(self.lend(&self.readers, Patience::None, Location::caller()))
    }

    /// Checks out the connection for writing. Its [`transaction`](PooledConnection::transaction) takes the write lock
    /// immediately.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn writer(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.writer, self.patience(), Location::caller())
    }

    /// Checks out the connection for writing, with this timeout.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn writer_within(&self, longest: Duration) -> Result<PooledConnection<'_>> {
        self.lend(&self.writer, Patience::For(longest), Location::caller())
    }

    /// Checks out the connection for writing without waiting. Returns `None` if it is not free.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader), except that there is no timeout.
    #[track_caller]
    pub fn try_writer(&self) -> Result<Option<PooledConnection<'_>>> {
        at_once(self.lend(&self.writer, Patience::None, Location::caller()))
    }

    /// Opens a connection for state that must persist: temporary tables, attached databases, pragmas. It is closed when
    /// it is dropped. Until then it takes one of the builder's `reserved` slots.
    ///
    /// # Errors
    ///
    /// See [`reader`](Self::reader).
    #[track_caller]
    pub fn reserve(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.reserved, self.patience(), Location::caller())
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

    fn patience(&self) -> Patience {
        Patience::For(self.options.acquire_timeout)
    }

    fn permit<'pool>(
        &'pool self,
        lane: &'pool Lane,
        patience: Patience,
        site: &'static Location<'static>,
        is_owned: bool,
    ) -> Result<(Permit<'pool>, Instant)> {
        if lane.slots.is_empty() {
            let reason = "the pool has no connections for this: `PoolBuilder::readers` and `reserved` set how many";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        match lane.queue.acquire(patience, site, is_owned) {
            Ok((slot, now)) => Ok((Permit::new(self, lane, slot), now)),
            Err(Refused::Closed) => Err(Error::new(ErrorKind::PoolClosed)),
            Err(Refused::Forked) => Err(Error::new(ErrorKind::Forked)),
            Err(Refused::TimedOut { waited }) => {
                let checked_out =
                    status::checkouts(&lane.queue).iter().map(|checkout| checkout.to_string().into()).collect();
                let role = lane.queue.role().name();
                Err(Error::new(ErrorKind::PoolTimeout { role, waited, checked_out }))
            }
        }
    }

    fn lend<'pool>(
        &'pool self,
        lane: &'pool Lane,
        patience: Patience,
        site: &'static Location<'static>,
    ) -> Result<PooledConnection<'pool>> {
        let (permit, now) = self.permit(lane, patience, site, false)?;
        let mut slot = lane.slots[permit.slot].lock();
        self.destroy_if_moved(&mut slot, now);
        if slot.is_none() {
            *slot = Some(self.open(lane, permit.slot, site)?);
        }
        Ok(PooledConnection::new(slot, permit))
    }

    fn lend_owned(
        self: &Arc<Self>,
        lane: fn(&Self) -> &Lane,
        site: &'static Location<'static>,
    ) -> Result<OwnedConnection> {
        let (permit, now) = self.permit(lane(self), self.patience(), site, true)?;
        let mut conn = lane(self).slots[permit.slot].lock().take();
        self.destroy_if_moved(&mut conn, now);
        let conn = match conn {
            Some(conn) => conn,
            None => self.open(lane(self), permit.slot, site)?,
        };
        let slot = permit.keep();
        Ok(OwnedConnection::new(Arc::clone(self), lane, slot, conn))
    }

    /// Opens a connection for a slot.
    fn open(&self, lane: &Lane, slot: usize, site: &'static Location<'static>) -> Result<Connection> {
        if lane.queue.is_closed() {
            return Err(Error::new(ErrorKind::PoolClosed));
        }
        let role = lane.queue.role();
        let conn = self.attempt(&lane.queue, || {
            // A database file that has been deleted is not created again.
            let creates = role == Role::Writer && lane.profile.get().is_none();
            let conn = self.options.open(role, slot, creates, site)?;
            if lane.profile.get().is_none() {
                let _ = lane.profile.set(Profile::of(&conn)?);
            }
            conn.db().take_taint();
            conn.set_moved_check(Instant::now().checked_add(self.options.moved_check));
            Ok(conn)
        })?;
        if lane.queue.is_closed() {
            return Err(Error::new(ErrorKind::PoolClosed));
        }
        Ok(conn)
    }

    /// Opens a connection, with retries by the caller's policy. A failed attempt leaves nothing open.
    fn attempt(&self, queue: &Queue, open: impl Fn() -> Result<Connection>) -> Result<Connection> {
        let mut attempts = Vec::new();
        let mut pauses = self.options.open_retry.pauses();
        loop {
            match open() {
                Ok(conn) => {
                    self.counters().opened();
                    return Ok(conn);
                }
                // The next attempt would fail too.
                Err(error) if matches!(error.kind(), ErrorKind::Path { .. } | ErrorKind::Forked) => {
                    self.counters().open_failed();
                    return Err(error);
                }
                Err(error) => attempts.push(error),
            }
            self.counters().open_failed();
            match pauses.next() {
                Some(pause) if !queue.is_closed() => std::thread::sleep(pause),
                _ => {
                    // Out of memory is reported as such, as in all other calls.
                    let no_memory = attempts.pop_if(|last| matches!(last.kind(), ErrorKind::NoMemory { .. }));
                    return Err(
                        no_memory.unwrap_or_else(|| Error::new(ErrorKind::OpenAttempts { attempts: attempts.into() }))
                    );
                }
            }
        }
    }

    /// Checks a returned connection, and closes it unless its state is that of a new one.
    fn take_back(&self, lane: &Lane, conn: &mut Option<Connection>) {
        let unchecked = Unchecked { pool: self, conn };
        let Some(borrowed) = unchecked.conn.as_mut() else {
            return;
        };
        let verdict = if lane.queue.is_closed() {
            Err(DestroyReason::PoolClosed)
        } else {
            reset::check(borrowed, lane.queue.role(), self.options.policy, lane.profile.get())
        };
        let Err(reason) = verdict else {
            borrowed.db().publish_if_changed();
            if self.options.moved_check.is_zero() {
                self.check_moved(unchecked.conn, Instant::now());
            }
            return;
        };
        self.destroy(unchecked.conn, reason);
        if self.options.policy == ReturnPolicy::Panic && reason.is_change() && !std::thread::panicking() {
            panic!("a connection came back to its pool changed: {reason}");
        }
    }

    /// Closes a connection whose file was moved or deleted: writes to that file are lost to all who open it by its
    /// path. The check is a system call, and is made at the builder's interval.
    #[inline]
    fn destroy_if_moved(&self, conn: &mut Option<Connection>, now: Instant) {
        if conn.as_ref().is_some_and(|conn| conn.moved_check().is_some_and(|due| now >= due)) {
            self.check_moved(conn, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn check_moved(&self, conn: &mut Option<Connection>, now: Instant) {
        let has_moved = |conn: &Connection| {
            conn.set_moved_check(now.checked_add(self.options.moved_check));
            conn.has_moved().unwrap_or(false)
        };
        if conn.as_ref().is_some_and(has_moved) {
            self.destroy(conn, DestroyReason::Moved);
        }
    }

    /// Closes a connection. All connections are closed here, except at the end of the pool. No lock of the queue is
    /// held, since closing may take long.
    fn destroy(&self, conn: &mut Option<Connection>, reason: DestroyReason) {
        self.counters().destroyed(reason);
        if reason.is_news() {
            shielded(|| {
                tracing::warn!(target: "finalite::pool", %reason, "a connection is closed instead of lent again");
            });
        }
        drop(conn.take());
    }

    /// Returns the current state and the counters of the pool.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        PoolStatus::new(&self.listed.0)
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
        for lane in self.lanes() {
            lane.queue.close();
            for slot in &lane.slots {
                // A slot whose connection is checked out is locked, or empty.
                if let Some(conn) = slot.try_lock().and_then(|mut slot| slot.take()) {
                    report.close_in(lane.queue.role(), conn);
                }
            }
            report.add_checkouts(status::checkouts(&lane.queue));
        }
        if let Some(anchor) = self.anchor.lock().unwrap_or_else(PoisonError::into_inner).take() {
            report.close(anchor);
        }
        self.close_log(&mut report);
        report
    }

    fn lanes(&self) -> [&Lane; 3] {
        [&self.readers, &self.reserved, &self.writer]
    }

    fn end(&mut self) -> PoolReport {
        let mut report = PoolReport::default();
        // The writer comes last: closing the last connection checkpoints, which a reader cannot do.
        for lane in [&mut self.readers, &mut self.reserved, &mut self.writer] {
            lane.queue.close();
            let checked_out = status::checkouts(&lane.queue);
            for slot in &mut lane.slots {
                // Nothing borrows the pool at this point: if a guard still has the slot, it was forgotten.
                if let Some(conn) = slot.get_mut().take() {
                    report.close_in(lane.queue.role(), conn);
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
                tracing::error!(target: "finalite::pool", %report, "the pool ended while something was out");
            });
        }
    }
}

/// Guard for the check of a returned connection, which runs SQL. If the check panics (in a listener to events), what it
/// has proven is not known, and the connection is closed.
struct Unchecked<'a> {
    pool: &'a Pool,
    conn: &'a mut Option<Connection>,
}

impl Drop for Unchecked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.conn.is_some() {
            self.pool.destroy(self.conn, DestroyReason::Panicked);
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

impl Options {
    fn is_in_memory(&self) -> bool {
        self.is_in_memory.get().is_some()
    }

    /// Whether each connection would have a database of its own. The path does not show this reliably, since SQLite
    /// interprets it. Instead, one connection takes a lock: if the database is the same, the other cannot take it.
    fn is_private(&self, writer: &Connection) -> Result<bool> {
        const LOCK: &str = "BEGIN IMMEDIATE";
        let other = self.open.clone().busy_timeout(Duration::ZERO).name(&format!("{}/other", self.name));
        let other = other.open_at(&self.path, Location::caller())?;
        let is_anothers = |result: Result<usize>| match result {
            Ok(_) => Ok(false),
            Err(error) if error.is_anothers_lock() => Ok(true),
            Err(error) => Err(error),
        };
        // Another connection may hold the lock already, so the database is shared.
        if is_anothers(writer.execute(LOCK, ()))? {
            return Ok(false);
        }
        let is_locked = is_anothers(other.execute(LOCK, ()));
        writer.execute("ROLLBACK", ())?;
        Ok(!is_locked?)
    }

    /// Adds the path of the database to an error.
    fn in_database(&self, error: Error) -> Error {
        error.in_database(|| self.path.to_string_lossy().into())
    }

    fn open(&self, role: Role, slot: usize, creates: bool, site: &'static Location<'static>) -> Result<Connection> {
        let name = match role {
            Role::Writer => format!("{}/{role}", self.name),
            Role::Reader | Role::Reserved => format!("{}/{role}/{slot}", self.name),
        };
        let options = self.open.clone().name(&name);
        let options = if creates || self.is_in_memory() { options } else { options.create(false) };
        let options = match role {
            Role::Writer | Role::Reserved => options,
            // A read-only connection in memory would have a database of its own.
            Role::Reader if self.is_in_memory() => options.pragma("query_only", 1),
            Role::Reader if self.open.is_read_only() => options,
            Role::Reader => {
                let attendant = self.attendant(site);
                options.read_only(true).recovered_by(move || attendant.recover())
            }
        };
        let mut conn = options.open_at(&self.path, site).map_err(|error| self.in_database(error))?;
        // If SQLite cannot open the file for writing, even temporarily, it opens it for reading without an error.
        if role != Role::Reader && !self.open.is_read_only() && conn.is_readonly("main") == Some(true) {
            return Err(self.in_database(Error::new(ErrorKind::OpenedReadOnly)));
        }
        if role == Role::Writer && !self.is_in_memory() && conn.db().is_in_memory() {
            if self.is_private(&conn)? {
                let reason =
                    "each connection would have a database of its own; `Pool::in_memory` has one that is shared";
                return Err(Error::new(ErrorKind::Path { reason }));
            }
            let _ = self.is_in_memory.set(());
        }
        if let Some(init) = &self.init {
            let id = conn.db().id();
            init(&mut conn)?;
            if conn.db().id() != id {
                return Err(Error::new(ErrorKind::Misuse {
                    reason: "`init` exchanged the pool's connection for another",
                }));
            }
        }
        Ok(conn)
    }
}

impl PoolBuilder {
    fn new(name: &str, path: OsString, open: OpenOptions, is_in_memory: bool) -> Self {
        let options = Options {
            name: name.into(),
            path,
            open,
            is_in_memory: if is_in_memory { OnceLock::from(()) } else { OnceLock::new() },
            init: None,
            acquire_timeout: Duration::from_secs(30),
            moved_check: Duration::from_secs(1),
            policy: ReturnPolicy::Reset,
            open_retry: RetryPolicy::none(),
            write_retry: RetryPolicy::new(Duration::from_secs(10)),
        };
        Self { options, readers: 4, reserved: 0 }
    }

    /// Sets the name of the pool in [`stats`](crate::observe::stats). Its connections are named `name/writer`, `name/reader/0`
    /// and so on. The default is the name of the file.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = name.into();
        self
    }

    /// Sets the number of connections for reading.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets the maximum number of connections from [`Pool::reserve`] at a time. The default is 0.
    pub fn reserved(mut self, connections: usize) -> Self {
        self.reserved = connections;
        self
    }

    /// Sets the options to open connections with. Readers' connections are always read-only; if
    /// [`read_only`](OpenOptions::read_only) is set here, the writer's is too. The default is
    /// [`OpenOptions::recommended`].
    pub fn options(mut self, options: OpenOptions) -> Self {
        self.options.open = if self.options.is_in_memory() { options.without_wal().uri(true) } else { options };
        self
    }

    /// Sets a function that is run on each new connection. If it fails or panics, the connection is closed. It must not
    /// replace the connection by another.
    ///
    /// Temporary tables and databases in memory that it creates are checked for their schema when a connection is
    /// returned, and not for their content: a row that one caller leaves there is seen by the next.
    pub fn init(mut self, init: impl Fn(&mut Connection) -> Result<()> + Send + Sync + 'static) -> Self {
        self.options.init = Some(Arc::new(init));
        self
    }

    /// Sets the maximum time to wait for a connection. The default is 30 seconds.
    pub fn acquire_timeout(mut self, longest: Duration) -> Self {
        self.options.acquire_timeout = longest;
        self
    }

    /// Sets the interval of checks whether a connection's file was [moved](Connection::has_moved), replaced or deleted.
    /// A check is made when the connection is handed out, if the interval has passed since the last check. If the file
    /// was moved, the connection is closed ([`DestroyReason::Moved`]), and another is opened by the path; a missing
    /// file is not created. The default is one second. With [`Duration::ZERO`] the check is made each time, and again
    /// when the connection is returned; with [`Duration::MAX`] it is never made.
    pub fn check_moved_every(mut self, time: Duration) -> Self {
        self.options.moved_check = time;
        self
    }

    /// Sets the treatment of a connection that was changed when it is returned. The default is [`ReturnPolicy::Reset`].
    pub fn on_return(mut self, policy: ReturnPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// Sets the retries for a connection that cannot be opened. The default is none.
    pub fn open_retry(mut self, retry: RetryPolicy) -> Self {
        self.options.open_retry = retry;
        self
    }

    /// Sets the retries of [`Pool::write`]. The default is to retry for 10 seconds.
    pub fn write_retry(mut self, retry: RetryPolicy) -> Self {
        self.options.write_retry = retry;
        self
    }

    /// Builds the pool. Opens the writer's connection, so that a database that cannot be opened is an error here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OpenAttempts`], with [`ErrorKind::OpenedReadOnly`] in it for a file that cannot be written, unless
    /// the [`options`](Self::options) are read-only. [`ErrorKind::Path`] for `:memory:` and the empty path, for which
    /// each connection would have a database of its own: see [`Pool::in_memory`].
    #[track_caller]
    pub fn build(self) -> Result<Pool> {
        let site = Location::caller();
        let Self { options, readers, reserved } = self;
        let lanes = [(Role::Writer, 1), (Role::Reader, readers), (Role::Reserved, reserved)];
        let [writer, readers, reserved] = lanes.map(|(role, size)| Lane::new(role, size));
        let queues = [&writer, &readers, &reserved].map(|lane| Arc::clone(&lane.queue));
        let pool = Pool {
            listed: Listed::new(Entry { name: options.name.clone(), queues, counters: Counters::default() }),
            writer,
            readers,
            reserved,
            options,
            site,
            anchor: Mutex::new(None),
            closing: Mutex::new(()),
            is_reported: false,
        };
        *pool.writer.slots[0].lock() = Some(pool.open(&pool.writer, 0, site)?);
        if pool.options.is_in_memory() {
            let anchor = pool.attempt(&pool.writer.queue, || {
                pool.options
                    .open
                    .clone()
                    .name(&format!("{}/anchor", pool.options.name))
                    .open_at(&pool.options.path, site)
                    .map_err(|error| pool.options.in_database(error))
            })?;
            *pool.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(anchor);
        }
        Ok(pool)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("path", &self.options.path).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("path", &self.options.path)
            .field("readers", &self.readers)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

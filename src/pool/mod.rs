//! One writer and some readers on one database.
//!
//! SQLite has one writer at a time and, in WAL mode, any number of readers beside it. A [`Pool`] keeps one connection
//! for writing and a number of read-only ones, opens them when they are needed, and lends them one caller at a time:
//! [`reader`](Pool::reader), [`writer`](Pool::writer), [`write`](Pool::write). Who waits keeps its place in line.
//! Somebody who comes when a connection comes back may take it before the first in line is awake; once that has waited
//! for half a millisecond, or half its patience, the next connection there is goes to it. No thread is started.
//!
//! A connection that comes back is looked at. What can be proven clean is lent again; anything else (a rollback that
//! failed, a temporary table, a pragma nobody can put back, a panic) is closed, counted with its [`DestroyReason`], and
//! opened anew when its slot is next asked for. A slot is never lost: not by a failed rollback, a panic, a failed open.
//!
//! A reader cannot write, and so cannot roll back what a writer has left half-written that failed or died. Where it finds
//! such a database the pool opens one more connection, for writing, which does; the reader's caller sees no error.
//!
//! Session state that is to live on (temporary tables, attached databases) belongs to a connection from
//! [`reserve`](Pool::reserve), which is the caller's until it is dropped, and closed then.
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
//! [`OwnedConnection`] goes there and back. A handler for axum:
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
use crate::raw::shielded;
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

/// Connections to one database, lent one caller at a time. See [the module](self).
///
/// Dropping it closes them, as [`close`](Self::close) does, and logs what that would report.
pub struct Pool {
    writer: Lane,
    readers: Lane,
    reserved: Lane,
    options: Options,
    listed: Listed,
    /// Where it was built.
    site: &'static Location<'static>,
    /// Keeps a database in memory alive while no other connection does.
    anchor: Mutex<Option<Connection>>,
    closing: Mutex<()>,
}

/// The slots of one role.
struct Lane {
    queue: Arc<Queue>,
    slots: Box<[Slot]>,
    /// What the role's connections are like when they are new.
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
    /// Set where connections share a database in memory: by its builder, or when the writer finds itself there.
    is_in_memory: OnceLock<()>,
    init: Option<Init>,
    acquire_timeout: Duration,
    moved_check: Duration,
    policy: ReturnPolicy,
    open_retry: RetryPolicy,
    write_retry: RetryPolicy,
}

/// How to make a [`Pool`]. From [`Pool::builder`].
#[must_use = "a pool is made by `build`"]
pub struct PoolBuilder {
    options: Options,
    readers: usize,
    reserved: usize,
}

impl Pool {
    /// Begins a pool on the database at this path: 4 readers, no reserved connections, 30 seconds of patience,
    /// connections opened as [`OpenOptions::recommended`] says.
    pub fn builder(path: impl AsRef<Path>) -> PoolBuilder {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        PoolBuilder::new(&name, path.as_os_str().to_owned(), OpenOptions::recommended(), false)
    }

    /// Begins a pool on a database in memory that its connections share under this name, in the whole process. It is
    /// gone when the pool is.
    ///
    /// There is no WAL in memory: a reader and the writer wait for each other.
    ///
    /// C: [the memdb VFS](https://sqlite.org/src/doc/trunk/src/memdb.c)
    pub fn in_memory(name: &str) -> PoolBuilder {
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let uri = format!("file:/{encoded}?vfs=memdb");
        PoolBuilder::new(name, uri.into(), OpenOptions::recommended().without_wal().uri(true), true)
    }

    /// A connection for reading.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolTimeout`] if none comes free within the builder's `acquire_timeout`, [`ErrorKind::PoolClosed`],
    /// [`ErrorKind::OpenAttempts`] if one has to be opened and cannot be, or [`ErrorKind::NoMemory`] if that is why.
    #[track_caller]
    pub fn reader(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.readers, self.patience(), Location::caller())
    }

    /// A connection for reading, within this time.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    #[track_caller]
    pub fn reader_within(&self, longest: Duration) -> Result<PooledConnection<'_>> {
        self.lend(&self.readers, Patience::For(longest), Location::caller())
    }

    /// A connection for reading, if there is one at once.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader), but for the time-out.
    #[track_caller]
    pub fn try_reader(&self) -> Result<Option<PooledConnection<'_>>> {
        at_once(self.lend(&self.readers, Patience::None, Location::caller()))
    }

    /// The connection for writing. Its [`transaction`](PooledConnection::transaction) takes the write lock at once.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    #[track_caller]
    pub fn writer(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.writer, self.patience(), Location::caller())
    }

    /// The connection for writing, within this time.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    #[track_caller]
    pub fn writer_within(&self, longest: Duration) -> Result<PooledConnection<'_>> {
        self.lend(&self.writer, Patience::For(longest), Location::caller())
    }

    /// The connection for writing, if it is there at once.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader), but for the time-out.
    #[track_caller]
    pub fn try_writer(&self) -> Result<Option<PooledConnection<'_>>> {
        at_once(self.lend(&self.writer, Patience::None, Location::caller()))
    }

    /// A connection of the caller's own, for state that is to live on: temporary tables, attached databases, pragmas.
    /// It is opened now, and closed when it is dropped; until then it takes one of the builder's `reserved` places.
    ///
    /// # Errors
    ///
    /// As [`reader`](Self::reader).
    #[track_caller]
    pub fn reserve(&self) -> Result<PooledConnection<'_>> {
        self.lend(&self.reserved, self.patience(), Location::caller())
    }

    /// As [`reader`](Self::reader), with a guard that can be sent to another thread and held anywhere.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn reader_owned(self: &Arc<Self>) -> Result<OwnedConnection> {
        self.lend_owned(|pool| &pool.readers, Location::caller())
    }

    /// As [`writer`](Self::writer), with a guard that can be sent to another thread and held anywhere.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn writer_owned(self: &Arc<Self>) -> Result<OwnedConnection> {
        self.lend_owned(|pool| &pool.writer, Location::caller())
    }

    /// As [`reserve`](Self::reserve), with a guard that can be sent to another thread and held anywhere.
    ///
    /// # Errors
    ///
    /// As there.
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
            // One that is gone is not made anew under the program's feet.
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

    /// Tries again as the caller's policy says. Each attempt that fails leaves nothing.
    fn attempt(&self, queue: &Queue, open: impl Fn() -> Result<Connection>) -> Result<Connection> {
        let mut attempts = Vec::new();
        let mut pauses = self.options.open_retry.pauses();
        loop {
            match open() {
                Ok(conn) => {
                    self.counters().opened();
                    return Ok(conn);
                }
                // It would be again.
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
                    // Where memory ran out, that is the kind, as everywhere.
                    let no_memory = attempts.pop_if(|last| matches!(last.kind(), ErrorKind::NoMemory { .. }));
                    return Err(
                        no_memory.unwrap_or_else(|| Error::new(ErrorKind::OpenAttempts { attempts: attempts.into() }))
                    );
                }
            }
        }
    }

    /// Takes a connection back: looks at it, and closes it unless it is as it was when it was new.
    fn take_back(&self, lane: &Lane, conn: &mut Option<Connection>) {
        let Some(borrowed) = conn.as_mut() else {
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
                self.check_moved(conn, Instant::now());
            }
            return;
        };
        self.destroy(conn, reason);
        if self.options.policy == ReturnPolicy::Panic && reason.is_change() && !std::thread::panicking() {
            panic!("a connection came back to its pool changed: {reason}");
        }
    }

    /// What is written into a file that was moved or deleted is lost to whoever looks for it by its path. It costs a
    /// system call to ask, and is asked as often as the builder says.
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

    /// The one way in which a connection of the pool ends, but for the pool's own end. No lock of the queue is held:
    /// closing may take long.
    fn destroy(&self, conn: &mut Option<Connection>, reason: DestroyReason) {
        self.counters().destroyed(reason);
        if reason.is_news() {
            shielded(|| {
                tracing::warn!(target: "finalite::pool", %reason, "a connection is closed instead of lent again");
            });
        }
        drop(conn.take());
    }

    /// What the pool holds and did.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        PoolStatus::new(&self.listed.0)
    }

    fn counters(&self) -> &Counters {
        &self.listed.0.counters
    }

    /// Ends the pool: when this returns, every file is closed. What a forgotten guard holds is taken back and closed;
    /// what an owned guard holds is reported, and closed when that is dropped.
    pub fn close(mut self) -> PoolReport {
        self.end()
    }

    /// Lends nothing any more, closes what is idle, and reports what is out, which is closed when it comes back. For a
    /// pool that is shared; [`close`](Self::close) has the last word.
    ///
    /// A connection that reads only cannot move what is in the write-ahead log into the database when it is closed.
    /// When the last one has come back, another connection is opened to do so. As long as one is out, the
    /// database is two files, and copying one of them copies less than all.
    pub fn shut_down(&self) -> PoolReport {
        let mut report = PoolReport::default();
        if !self.is_ours() {
            return report;
        }
        let _closing = self.lock_closing();
        for lane in self.lanes() {
            lane.queue.close();
            for slot in &lane.slots {
                // One that is out is locked, or empty.
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
        // The writer last: closing the last connection checkpoints, and a reader may not.
        for lane in [&mut self.readers, &mut self.reserved, &mut self.writer] {
            lane.queue.close();
            let checked_out = status::checkouts(&lane.queue);
            for slot in &mut lane.slots {
                // Nothing borrows the pool any more: a guard that seems to have the slot was forgotten.
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
        if !report.is_clean() {
            shielded(|| {
                tracing::error!(target: "finalite::pool", %report, "the pool ended while something was out");
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

impl Options {
    fn is_in_memory(&self) -> bool {
        self.is_in_memory.get().is_some()
    }

    /// Whether each connection would have a database of its own. Not looked up in the path, of which SQLite has its own
    /// reading, but tried: a lock that one connection holds is in another's way if the database is the same.
    fn is_private(&self, writer: &Connection) -> Result<bool> {
        const LOCK: &str = "BEGIN IMMEDIATE";
        let other = self.open.clone().busy_timeout(Duration::ZERO).name(&format!("{}/other", self.name));
        let other = other.open_at(&self.path, Location::caller())?;
        let is_anothers = |result: Result<usize>| match result {
            Ok(_) => Ok(false),
            Err(error) if error.is_anothers_lock() => Ok(true),
            Err(error) => Err(error),
        };
        // Somebody may have it already, who then shares it.
        if is_anothers(writer.execute(LOCK, ()))? {
            return Ok(false);
        }
        let is_locked = is_anothers(other.execute(LOCK, ()));
        writer.execute("ROLLBACK", ())?;
        Ok(!is_locked?)
    }

    /// Says which database it was.
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
            // In memory a connection that is opened for reading only would have a database of its own.
            Role::Reader if self.is_in_memory() => options.pragma("query_only", 1),
            Role::Reader if self.open.is_read_only() => options,
            Role::Reader => {
                let attendant = self.attendant(site);
                options.read_only(true).recovered_by(move || attendant.recover())
            }
        };
        let mut conn = options.open_at(&self.path, site).map_err(|error| self.in_database(error))?;
        // Where SQLite may not open a file for writing, or cannot just now, it opens it for reading, and says nothing.
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

    /// What the pool is called in [`stats`](crate::stats). Its connections are then called `name/writer`,
    /// `name/reader/0` and so on. The name of the file unless set.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = name.into();
        self
    }

    /// How many connections there are for reading.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// How many connections [`Pool::reserve`] may have out at a time. 0 unless set.
    pub fn reserved(mut self, connections: usize) -> Self {
        self.reserved = connections;
        self
    }

    /// How connections are opened. The readers' are read-only in addition; where
    /// [`read_only`](OpenOptions::read_only) is set here, the writer's is too. [`OpenOptions::recommended`] unless set.
    pub fn options(mut self, options: OpenOptions) -> Self {
        self.options.open = if self.options.is_in_memory() { options.without_wal().uri(true) } else { options };
        self
    }

    /// Runs this on each connection when it is opened. If it fails or panics, the connection is closed. It may not
    /// exchange the connection for another.
    pub fn init(mut self, init: impl Fn(&mut Connection) -> Result<()> + Send + Sync + 'static) -> Self {
        self.options.init = Some(Arc::new(init));
        self
    }

    /// How long to wait for a connection. 30 seconds unless set.
    pub fn acquire_timeout(mut self, longest: Duration) -> Self {
        self.options.acquire_timeout = longest;
        self
    }

    /// How often a connection is asked whether its file was [moved](Connection::has_moved), replaced or deleted: when it
    /// is lent, and not before this time has passed since it was last asked. One whose file was is closed
    /// ([`DestroyReason::Moved`]), and another opened by the path; it makes no file where there is none. Every second
    /// unless set; [`Duration::ZERO`] asks each time, and again when it comes back; [`Duration::MAX`] never asks.
    pub fn check_moved_every(mut self, time: Duration) -> Self {
        self.options.moved_check = time;
        self
    }

    /// What to do with a connection that comes back changed. [`ReturnPolicy::Reset`] unless set.
    pub fn on_return(mut self, policy: ReturnPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// Whether and when to try again where a connection cannot be opened. Not, unless set.
    pub fn open_retry(mut self, retry: RetryPolicy) -> Self {
        self.options.open_retry = retry;
        self
    }

    /// For how long [`Pool::write`] tries again. 10 seconds unless set.
    pub fn write_retry(mut self, retry: RetryPolicy) -> Self {
        self.options.write_retry = retry;
        self
    }

    /// Makes the pool. The writer's connection is opened now, so that a database that cannot be opened shows here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OpenAttempts`], with [`ErrorKind::OpenedReadOnly`] in it for a file that may not be written, unless
    /// the [`options`](Self::options) say that it is only read; [`ErrorKind::Path`] for `:memory:` and the empty path, of which each connection
    /// would have its own: see [`Pool::in_memory`].
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

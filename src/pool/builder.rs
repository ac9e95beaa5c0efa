//! [`PoolBuilder`]: the options of a pool, and opening its connections.

use std::ffi::OsString;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::registry::{Entry, Registration};
use super::status::Counters;
use super::{Init, Pool, RetryPolicy, ReturnPolicy, Role, RoleSlots};
use crate::error::{Error, ErrorKind, Result};
use crate::{Connection, OpenOptions};

pub(super) struct Options {
    pub(super) name: Box<str>,
    pub(super) path: OsString,
    pub(super) open: OpenOptions,
    /// Set if the connections share a database in memory: by the builder, or when the writer's connection shows it.
    pub(super) is_in_memory: OnceLock<()>,
    pub(super) init: Option<Init>,
    pub(super) acquire_timeout: Duration,
    pub(super) moved_check: Duration,
    pub(super) policy: ReturnPolicy,
    pub(super) open_retry: RetryPolicy,
    pub(super) write_retry: RetryPolicy,
}

/// Builder of a [`Pool`]. From [`Pool::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    options: Options,
    readers: usize,
    reserved: usize,
}

impl Options {
    pub(super) fn is_in_memory(&self) -> bool {
        self.is_in_memory.get().is_some()
    }

    /// Whether each connection would have a database of its own. The path does not show this reliably, since SQLite
    /// interprets it. Instead, one connection takes a lock: if the database is the same, the other cannot take it.
    pub(super) fn is_private(&self, writer: &Connection) -> Result<bool> {
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
    pub(super) fn in_database(&self, error: Error) -> Error {
        error.in_database(|| self.path.to_string_lossy().into())
    }

    pub(super) fn open(
        &self,
        role: Role,
        slot: usize,
        creates: bool,
        site: &'static Location<'static>,
    ) -> Result<Connection> {
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
                let reason = "each connection would have its own database; `Pool::in_memory` shares one";
                return Err(Error::new(ErrorKind::Path { reason }));
            }
            let _ = self.is_in_memory.set(());
        }
        if let Some(init) = &self.init {
            let id = conn.db().id();
            init(&mut conn)?;
            if conn.db().id() != id {
                return Err(Error::new(ErrorKind::Misuse { reason: "`init` replaced the pool's connection" }));
            }
        }
        Ok(conn)
    }
}

impl PoolBuilder {
    pub(super) fn new(name: &str, path: OsString, open: OpenOptions, is_in_memory: bool) -> Self {
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

    /// Sets the name of the pool in [`stats`](crate::stats). Its connections are named `name/writer`,
    /// `name/reader/0` and so on. The default is the name of the file.
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
    /// was moved, the connection is closed ([`DestroyReason::Moved`](super::DestroyReason::Moved)), and another is
    /// opened by the path; a missing file is not created. The default is one second. With [`Duration::ZERO`] the check
    /// is made each time, and again when the connection is returned; with [`Duration::MAX`] it is never made.
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
        let all_slots = [(Role::Writer, 1), (Role::Reader, readers), (Role::Reserved, reserved)];
        let [writer, readers, reserved] = all_slots.map(|(role, size)| RoleSlots::new(role, size));
        let queues = [&writer, &readers, &reserved].map(|role_slots| Arc::clone(&role_slots.queue));
        let pool = Pool {
            listed: Registration::new(Entry { name: options.name.clone(), queues, counters: Counters::default() }),
            writer,
            readers,
            reserved,
            options,
            site,
            anchor: Mutex::new(None),
            closing: Mutex::new(()),
            hub: Arc::default(),
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

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("path", &self.options.path)
            .field("readers", &self.readers)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

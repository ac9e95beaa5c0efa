//! Open handles: connections, statements, rows and transactions. They are always counted, and listed on demand.
//!
//! [`counts`] is always available. [`live`] lists handles individually, each with the source line that opened it, its
//! age and its thread. It lists the handles that were opened while the [`TrackingLevel`] requested records, which is
//! the default in a debug build. Handles that were forgotten (`mem::forget`) and then ended by finalite are reported by
//! [`forgotten`] and [`forgotten_handles`].
//!
//! Only finalite's handles are counted, not those of rusqlite in the same process.
//!
//! # Example
//!
//! ```
//! use finalite::{Connection, handles};
//!
//! let before = handles::counts();
//! let conn = Connection::open_in_memory()?;
//! let statement = conn.prepare("SELECT 1")?;
//! let during = handles::counts();
//! assert_eq!(during.connections - before.connections, 1);
//! assert_eq!(during.statements - before.statements, 1);
//! drop(statement);
//! drop(conn);
//! assert_eq!(handles::counts(), before);
//! # Ok::<(), finalite::Error>(())
//! ```

use std::backtrace::Backtrace;
use std::cmp::Reverse;
use std::ffi::CStr;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::thread::{Thread, ThreadId};
use std::time::Duration;

use crate::raw::callback;
pub use crate::track::HandleKind;
use crate::track::counts;
use crate::track::demand::Demand;
use crate::track::registry::{self, ConnectionInfo};

/// Number of handles of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandleCounts {
    /// [`Connection`](crate::Connection)s.
    pub connections: u64,
    /// [`Statement`](crate::Statement)s.
    pub statements: u64,
    /// Statements of the connections' statement caches, whether in the cache or in use.
    pub cached_statements: u64,
    /// Executions: [`Rows`](crate::Rows) and the types built on it.
    pub rows: u64,
    /// [`Transaction`](crate::Transaction)s.
    pub transactions: u64,
    /// [`Savepoint`](crate::Savepoint)s.
    pub savepoints: u64,
    /// Closures that SQLite calls: functions, collations, hooks, modules of virtual tables, and the tables of
    /// [`create_diagnostic_tables`](crate::Connection::create_diagnostic_tables).
    pub callbacks: u64,
    /// [`Blob`](crate::data::Blob)s.
    pub blobs: u64,
    /// [`Backup`](crate::data::Backup)s.
    pub backups: u64,
    /// `Session`s (feature `session`).
    pub sessions: u64,
    /// `Snapshot`s (feature `snapshot`).
    pub snapshots: u64,
    /// [`Watch`](crate::pool::Watch)es of pools.
    pub watches: u64,
    /// [`Deadline`](crate::extend::Deadline)s, and [limits](crate::extend::ActiveLimits) in force.
    pub deadlines: u64,
}

impl HandleCounts {
    fn collect(count: impl Fn(HandleKind) -> u64) -> Self {
        Self {
            connections: count(HandleKind::Connection),
            statements: count(HandleKind::Statement),
            cached_statements: count(HandleKind::CachedStatement),
            rows: count(HandleKind::Rows),
            transactions: count(HandleKind::Transaction),
            savepoints: count(HandleKind::Savepoint),
            callbacks: count(HandleKind::Callback),
            blobs: count(HandleKind::Blob),
            backups: count(HandleKind::Backup),
            sessions: count(HandleKind::Session),
            snapshots: count(HandleKind::Snapshot),
            watches: count(HandleKind::Watch),
            deadlines: count(HandleKind::Deadline),
        }
    }

    /// Returns the name of each kind, equal to the name of its field, with its number.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("connections", self.connections),
            ("statements", self.statements),
            ("cached_statements", self.cached_statements),
            ("rows", self.rows),
            ("transactions", self.transactions),
            ("savepoints", self.savepoints),
            ("callbacks", self.callbacks),
            ("blobs", self.blobs),
            ("backups", self.backups),
            ("sessions", self.sessions),
            ("snapshots", self.snapshots),
            ("watches", self.watches),
            ("deadlines", self.deadlines),
        ]
        .into_iter()
    }

    /// Returns the number of handles of one kind.
    #[must_use]
    pub fn of(&self, kind: HandleKind) -> u64 {
        match kind {
            HandleKind::Connection => self.connections,
            HandleKind::Statement => self.statements,
            HandleKind::CachedStatement => self.cached_statements,
            HandleKind::Rows => self.rows,
            HandleKind::Transaction => self.transactions,
            HandleKind::Savepoint => self.savepoints,
            HandleKind::Callback => self.callbacks,
            HandleKind::Blob => self.blobs,
            HandleKind::Backup => self.backups,
            HandleKind::Session => self.sessions,
            HandleKind::Snapshot => self.snapshots,
            HandleKind::Watch => self.watches,
            HandleKind::Deadline => self.deadlines,
        }
    }

    /// Returns the differences from the numbers at an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self::collect(|kind| self.of(kind).saturating_sub(earlier.of(kind)))
    }

    /// Returns the sum over all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_kind().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for HandleCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (kind, count)) in self.by_kind().enumerate() {
            write!(f, "{}{kind} {count}", if n > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Returns the number of open handles in the whole process. The numbers are exact while no other thread opens or closes
/// handles.
#[must_use]
pub fn counts() -> HandleCounts {
    HandleCounts::collect(open)
}

fn open(kind: HandleKind) -> u64 {
    // The closed handles are read first: a handle that is opened and closed in between must not make the difference
    // negative.
    let closed = counts::closed_total(kind);
    counts::opened_total(kind).saturating_sub(closed)
}

/// Returns the number of handles opened since the process began.
#[must_use]
pub fn opened() -> HandleCounts {
    HandleCounts::collect(counts::opened_total)
}

/// Returns the number of handles closed since the process began.
#[must_use]
pub fn closed() -> HandleCounts {
    HandleCounts::collect(counts::closed_total)
}

/// Returns the number of handles that were forgotten (`mem::forget`) since the process began and ended by finalite.
/// finalite ends a forgotten handle when its statement is used again, when the next transaction begins, or when the
/// connection closes.
#[must_use]
pub fn forgotten() -> HandleCounts {
    HandleCounts::collect(counts::forgotten_total)
}

/// Returns the number of panics of callbacks, since the process began, that were caught while a `Drop` was in SQLite:
/// the rollback of a transaction, the reset of rows. The next call on the connection resumes such a panic; closing the
/// connection discards it. Each is logged at level ERROR with the target `finalite::statement`. A panic of a file system of
/// the program on a thread that ends without such a call, as those on which SQLite sorts, is counted and logged too.
#[must_use]
pub fn late_panics() -> u64 {
    callback::late_panics()
}

/// Returns the number of open connections.
pub(crate) fn open_connections() -> u64 {
    open(HandleKind::Connection)
}

/// Amount of information kept for each open handle. Raising the level does not record handles that are already open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TrackingLevel {
    /// Counts only. The default in a release build.
    Counters,
    /// An [`OpenHandle`] for each connection, statement, transaction and savepoint. The default in a debug build.
    Records,
    /// Records as above, with a backtrace for connections and transactions.
    Backtraces,
}

/// Returns the current level.
#[must_use]
pub fn level() -> TrackingLevel {
    match registry::level() {
        registry::COUNTERS => TrackingLevel::Counters,
        registry::RECORDS => TrackingLevel::Records,
        _ => TrackingLevel::Backtraces,
    }
}

/// Sets the level for handles opened from now on, in the whole process.
pub fn set_level(level: TrackingLevel) {
    registry::set_level(match level {
        TrackingLevel::Counters => registry::COUNTERS,
        TrackingLevel::Records => registry::RECORDS,
        TrackingLevel::Backtraces => registry::BACKTRACES,
    });
}

/// Request to record the handles that are opened while this value exists, at any [`level`].
///
/// # Example
///
/// ```
/// use finalite::handles::{self, HandleKind, Recording, TrackingLevel};
///
/// handles::set_level(TrackingLevel::Counters);
/// let recording = Recording::start();
/// let conn = finalite::Connection::open_in_memory()?;
/// let statement = conn.prepare("SELECT 1")?;
/// assert!(handles::live().records.iter().any(|record| record.kind == HandleKind::Statement));
/// # drop((statement, recording));
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the recording"]
pub struct Recording {
    _demand: Demand,
}

impl Recording {
    /// Starts recording. Handles that are already open remain without a record.
    pub fn start() -> Self {
        Self { _demand: registry::RECORDING.start() }
    }
}

/// An open handle.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenHandle {
    /// Kind of the handle. Rows have no record of their own: see [`running`](Self::running).
    pub kind: HandleKind,
    /// Id, unique among all handles of the process.
    pub id: u64,
    /// Id of the handle it was made from: the connection, or for a savepoint the enclosing transaction or savepoint.
    pub parent: Option<u64>,
    /// Source location that opened it.
    pub opened_at: &'static Location<'static>,
    /// Time since it was opened.
    pub age: Duration,
    /// Duration of the current execution, for a statement that is running, accurate to a few milliseconds. A running
    /// statement holds a lock on the database.
    pub running: Option<Duration>,
    /// Thread that opened it; `None` if it was opened while the thread's thread-local variables were being destroyed.
    pub thread: Option<ThreadId>,
    /// Name of that thread.
    pub thread_name: Option<Box<str>>,
    /// SQL of a statement, at most the first 256 bytes; never a bound value. For a callback, its kind and name.
    pub sql: Option<Box<str>>,
    /// Bytes held by a statement when its connection last published its figures: see [`stats`](crate::stats).
    pub memory_bytes: Option<u64>,
    /// Number of executions at that time; of a callback, number of its calls while times were taken
    /// ([`stats::Timings`](crate::stats::Timings)).
    pub runs: Option<u64>,
    /// Time that those calls of a callback took, with what they called.
    pub run_time: Option<Duration>,
    source: Arc<registry::Record>,
}

impl OpenHandle {
    fn new(source: Arc<registry::Record>) -> Self {
        // Read before the age, so that it does not exceed the age.
        let running = source.running();
        let (published, calls) = (source.published(), source.calls());
        Self {
            kind: source.kind,
            id: source.id,
            parent: source.parent,
            opened_at: source.site,
            age: source.since.elapsed(),
            running,
            thread: source.thread.as_ref().map(Thread::id),
            thread_name: source.thread.as_ref().and_then(Thread::name).map(Into::into),
            sql: source.sql.clone(),
            memory_bytes: published.map(|(memory_bytes, _)| memory_bytes),
            runs: published.map(|(_, runs)| runs).or(calls.map(|(count, _)| count)),
            run_time: calls.map(|(_, time)| time),
            source,
        }
    }

    /// Returns the backtrace of opening, for connections and transactions at [`TrackingLevel::Backtraces`].
    #[must_use]
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.source.backtrace.as_ref()
    }
}

impl fmt::Display for OpenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} opened at {}, {:.1?} ago", self.kind, self.id, self.opened_at, self.age)?;
        match &self.thread_name {
            Some(name) => write!(f, ", on thread {name}")?,
            None => self.thread.map_or(Ok(()), |id| write!(f, ", on {id:?}"))?,
        }
        if let Some(running) = self.running {
            write!(f, ", running for {running:.1?}")?;
        }
        if let Some(sql) = &self.sql {
            write!(f, ": {sql}")?;
        }
        Ok(())
    }
}

/// Open handles of the process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveHandles {
    /// Records, grouped by connection, in the order of opening.
    pub records: Vec<OpenHandle>,
    /// Number of open handles without a record: opened while the level requested none, or opened or closed while this
    /// list was built.
    pub unrecorded: HandleCounts,
}

/// Lists the open handles of the whole process. It never waits for SQLite.
///
/// Logs a warning for each handle held longer than [`set_warn_after`] allows. A forked child process has no records.
///
/// # Example
///
/// ```
/// use finalite::handles::{self, HandleKind, TrackingLevel};
///
/// handles::set_level(TrackingLevel::Records);
/// let conn = finalite::Connection::open_in_memory()?;
/// let statement = conn.prepare("SELECT 1")?;
/// let live = handles::live();
/// let record = live.records.iter().find(|record| record.kind == HandleKind::Statement).unwrap();
/// assert_eq!(record.sql.as_deref(), Some("SELECT 1"));
/// assert!(record.opened_at.file().ends_with(".rs"));
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use]
pub fn live() -> LiveHandles {
    warn_overdue();
    list()
}

/// Lists the open handles without logging warnings. For callbacks: no event is emitted from within SQLite.
pub(crate) fn list() -> LiveHandles {
    let counts = counts();
    let sources = registry::records();
    let records: Vec<OpenHandle> = sources.into_iter().map(OpenHandle::new).collect();
    let unrecorded = unrecorded(&counts, &records);
    LiveHandles { records, unrecorded }
}

/// Returns the numbers of open handles that are not among the records.
pub(crate) fn unrecorded<'a>(open: &HandleCounts, records: impl IntoIterator<Item = &'a OpenHandle>) -> HandleCounts {
    let mut recorded = [0; HandleKind::ALL.len()];
    for record in records {
        recorded[record.kind as usize] += 1;
        recorded[HandleKind::Rows as usize] += u64::from(record.running.is_some());
    }
    HandleCounts::collect(|kind| open.of(kind).saturating_sub(recorded[kind as usize]))
}

/// Sets the time after which a warning is logged (target `finalite::leak`) for a handle of this kind that is still
/// held, and another when it is released; `None`, the default, means never. A statement counts as held while its rows
/// exist.
///
/// No background thread checks this. It is checked when a handle is released, by [`live`] and by [`warn_overdue`]. It
/// requires [`TrackingLevel::Records`].
pub fn set_warn_after(kind: HandleKind, after: Option<Duration>) {
    registry::set_warn_after(kind, after);
}

/// Logs a warning for each handle held longer than [`set_warn_after`] allows, once per handle. Returns the number of
/// these handles.
pub fn warn_overdue() -> usize {
    registry::records().iter().filter(|record| record.warn_if_overdue()).count()
}

/// A handle that was forgotten and then ended by finalite.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForgottenHandle {
    /// Kind of the handle.
    pub kind: HandleKind,
    /// Id of its connection.
    pub connection: u64,
    /// Source location that opened it; for rows, the one that prepared their statement.
    pub opened_at: Option<&'static Location<'static>>,
    /// SQL of a statement; never a bound value.
    pub sql: Option<Box<str>>,
}

impl ForgottenHandle {
    /// Whether another forgotten handle has the same `Display` output.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let key = |handle: &Self| (handle.kind, handle.connection, handle.opened_at, handle.sql.clone());
        key(self) == key(other)
    }
}

impl From<registry::Forgotten> for ForgottenHandle {
    fn from(forgotten: registry::Forgotten) -> Self {
        let registry::Forgotten { kind, connection, site, sql, .. } = forgotten;
        Self { kind, connection, opened_at: site, sql }
    }
}

impl fmt::Display for ForgottenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of connection {}", self.kind, self.connection)?;
        if let Some(site) = self.opened_at {
            write!(f, " opened at {site}")?;
        }
        match &self.sql {
            Some(sql) => write!(f, ": {sql}"),
            None => Ok(()),
        }
    }
}

/// Returns the last 256 forgotten handles, oldest first, at any tracking level. [`forgotten`] returns the totals.
#[must_use]
pub fn forgotten_handles() -> Vec<ForgottenHandle> {
    registry::forgotten_since(0).into_iter().map(Into::into).collect()
}

/// Returns the records of one connection.
pub(crate) fn of_connection(info: &ConnectionInfo) -> Vec<OpenHandle> {
    info.records().into_iter().map(OpenHandle::new).collect()
}

/// Returns the records of one connection, and logs a warning for each that is overdue.
pub(crate) fn look_through(info: &ConnectionInfo) -> Vec<OpenHandle> {
    let records = info.records();
    for record in &records {
        record.warn_if_overdue();
    }
    records.into_iter().map(OpenHandle::new).collect()
}

/// Returns the handles that may read the database file at this path, on any connection, those first that have been at
/// it for the longest time.
pub(super) fn readers(path: &CStr) -> Vec<OpenHandle> {
    let records: Vec<OpenHandle> = registry::records_of_file(path).into_iter().map(OpenHandle::new).collect();
    let is_guard = |record: &OpenHandle| matches!(record.kind, HandleKind::Transaction | HandleKind::Savepoint);
    let is_within_another =
        |inner: &OpenHandle| records.iter().any(|record| is_guard(record) && Some(record.id) == inner.parent);
    let may_read = |record: &&OpenHandle| match record.kind {
        HandleKind::Transaction | HandleKind::Blob | HandleKind::Backup => true,
        // One that is not within another acts as a transaction.
        HandleKind::Savepoint => !is_within_another(record),
        HandleKind::Statement | HandleKind::CachedStatement => record.running.is_some(),
        _ => false,
    };
    let mut readers: Vec<OpenHandle> = records.iter().filter(may_read).cloned().collect();
    readers.sort_by_key(|record| Reverse(record.running.unwrap_or(record.age)));
    readers
}

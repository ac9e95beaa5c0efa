//! What is alive: connections, statements, rows, transactions; counted always, listed on demand.
//!
//! [`counts`] is always on. [`live`] lists handles one by one, with the line that opened each, its age and its thread;
//! for those opened while the [`TrackingLevel`] asks for records, which is the default of a debug build. What was forgotten
//! (`mem::forget`) and ended by finalite is in [`forgotten`] and [`forgotten_handles`].
//!
//! All of it is about finalite's handles; rusqlite's in the same process do not count.
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
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::thread::{Thread, ThreadId};
use std::time::Duration;

pub use crate::raw::HandleKind;
use crate::raw::registry::Book;
use crate::raw::{counts, registry};

/// Numbers of handles, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandleCounts {
    /// [`Connection`](crate::Connection)s.
    pub connections: u64,
    /// [`Statement`](crate::Statement)s.
    pub statements: u64,
    /// Statements of the connections' caches, kept or lent out.
    pub cached_statements: u64,
    /// Executions: [`Rows`](crate::Rows) and what stands on them.
    pub rows: u64,
    /// [`Transaction`](crate::Transaction)s.
    pub transactions: u64,
    /// [`Savepoint`](crate::Savepoint)s.
    pub savepoints: u64,
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
        }
    }

    /// Each kind's name, as the field is called, and its number.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("connections", self.connections),
            ("statements", self.statements),
            ("cached_statements", self.cached_statements),
            ("rows", self.rows),
            ("transactions", self.transactions),
            ("savepoints", self.savepoints),
        ]
        .into_iter()
    }

    /// The number of one kind.
    #[must_use]
    pub fn of(&self, kind: HandleKind) -> u64 {
        match kind {
            HandleKind::Connection => self.connections,
            HandleKind::Statement => self.statements,
            HandleKind::CachedStatement => self.cached_statements,
            HandleKind::Rows => self.rows,
            HandleKind::Transaction => self.transactions,
            HandleKind::Savepoint => self.savepoints,
        }
    }

    /// Each number less that of an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self::collect(|kind| self.of(kind).saturating_sub(earlier.of(kind)))
    }

    /// The sum over all kinds.
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

/// The handles alive now, in the whole process. Exact as long as no other thread opens or closes any meanwhile.
#[must_use]
pub fn counts() -> HandleCounts {
    HandleCounts::collect(open)
}

fn open(kind: HandleKind) -> u64 {
    // Closed first: a handle opened and closed in between must not count as minus one.
    let closed = counts::closed_total(kind);
    counts::opened_total(kind).saturating_sub(closed)
}

/// The handles opened since the process began.
#[must_use]
pub fn opened() -> HandleCounts {
    HandleCounts::collect(counts::opened_total)
}

/// The handles closed since the process began.
#[must_use]
pub fn closed() -> HandleCounts {
    HandleCounts::collect(counts::closed_total)
}

/// The handles that were forgotten (`mem::forget`) since the process began, and found and ended by finalite: when
/// their statement was used next, when the next transaction began, or when the connection closed.
#[must_use]
pub fn forgotten() -> HandleCounts {
    HandleCounts::collect(counts::forgotten_total)
}

/// The connections open now.
pub(crate) fn open_connections() -> u64 {
    open(HandleKind::Connection)
}

/// How much is kept of each handle while it is open. What is open already is not recorded later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TrackingLevel {
    /// Numbers alone. The default of a release build.
    Counters,
    /// A [`OpenHandle`] for each connection, statement, transaction and savepoint. The default of a debug build.
    Records,
    /// Records, and a backtrace in those of connections and transactions.
    Backtraces,
}

/// The level that was set last.
#[must_use]
pub fn level() -> TrackingLevel {
    match registry::level() {
        registry::COUNTERS => TrackingLevel::Counters,
        registry::RECORDS => TrackingLevel::Records,
        _ => TrackingLevel::Backtraces,
    }
}

/// Sets the level for what is opened from now on, in the whole process.
pub fn set_level(level: TrackingLevel) {
    registry::set_level(match level {
        TrackingLevel::Counters => registry::COUNTERS,
        TrackingLevel::Records => registry::RECORDS,
        TrackingLevel::Backtraces => registry::BACKTRACES,
    });
}

/// A handle that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenHandle {
    /// What it is. Rows have no record of their own: see [`running`](Self::running).
    pub kind: HandleKind,
    /// A number that no other handle of the process has.
    pub id: u64,
    /// The handle it was made from: a connection, or for a savepoint what it lies in.
    pub parent: Option<u64>,
    /// The line of the program that opened it.
    pub opened_at: &'static Location<'static>,
    /// How long ago.
    pub age: Duration,
    /// How long its rows have been out, for a statement that is running, to some milliseconds. It keeps a lock on the
    /// database meanwhile.
    pub running: Option<Duration>,
    /// The thread that opened it; `None` if that was in its last destructors.
    pub thread: Option<ThreadId>,
    /// That thread's name.
    pub thread_name: Option<Box<str>>,
    /// The SQL of a statement, up to 256 bytes of it; never a value.
    pub sql: Option<Box<str>>,
    /// The bytes that a statement held when its connection last made that known: see [`stats`](crate::stats).
    pub memory_bytes: Option<u64>,
    /// How often it had been run then.
    pub runs: Option<u64>,
    source: Arc<registry::Record>,
}

impl OpenHandle {
    fn new(source: Arc<registry::Record>) -> Self {
        // Before the age: it is no longer.
        let running = source.running();
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
            memory_bytes: source.published().map(|(memory_bytes, _)| memory_bytes),
            runs: source.published().map(|(_, runs)| runs),
            source,
        }
    }

    /// Where it was opened, call by call; for connections and transactions, at [`TrackingLevel::Backtraces`].
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

/// The handles that are open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveHandles {
    /// Connection by connection, in the order they were opened.
    pub records: Vec<OpenHandle>,
    /// Those without a record: opened while the level asked for none, or opened or closed while this list was made.
    pub unrecorded: HandleCounts,
}

/// Lists the handles that are open, in the whole process. It never waits for SQLite.
///
/// Warns of what is held for longer than [`set_warn_after`] allows. A child process has no records.
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

/// The same without a warning, for callbacks: no event is sent from within SQLite.
pub(crate) fn list() -> LiveHandles {
    let counts = counts();
    let sources = registry::records();
    let records: Vec<OpenHandle> = sources.into_iter().map(OpenHandle::new).collect();
    let unrecorded = unrecorded(&counts, &records);
    LiveHandles { records, unrecorded }
}

/// What is open and not among the records.
pub(crate) fn unrecorded<'a>(open: &HandleCounts, records: impl IntoIterator<Item = &'a OpenHandle>) -> HandleCounts {
    let mut recorded = [0; HandleKind::ALL.len()];
    for record in records {
        recorded[record.kind as usize] += 1;
        recorded[HandleKind::Rows as usize] += u64::from(record.running.is_some());
    }
    HandleCounts::collect(|kind| open.of(kind).saturating_sub(recorded[kind as usize]))
}

/// For how long handles of a kind may be held before a warning is logged (target `finalite::leak`), and another when
/// they are released; `None`, the default: never. A statement is held while its rows are out.
///
/// No thread waits for it: it is looked at when a handle is released, by [`live`] and by [`warn_overdue`]. It needs
/// [`TrackingLevel::Records`].
pub fn set_warn_after(kind: HandleKind, after: Option<Duration>) {
    registry::set_warn_after(kind, after);
}

/// Warns of what is held for longer than [`set_warn_after`] allows, once for each handle. Returns how many are.
pub fn warn_overdue() -> usize {
    registry::records().iter().filter(|record| record.warn_if_overdue()).count()
}

/// A handle that was forgotten, and ended by finalite.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForgottenHandle {
    /// What it was.
    pub kind: HandleKind,
    /// The id of its connection.
    pub connection: u64,
    /// The line of the program that opened it; for rows, their statement.
    pub opened_at: Option<&'static Location<'static>>,
    /// The SQL of a statement; never a value.
    pub sql: Option<Box<str>>,
}

impl ForgottenHandle {
    /// Whether another prints as this one does.
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

/// The last 256 handles that were forgotten, oldest first, whatever the level. [`forgotten`] has the numbers.
#[must_use]
pub fn forgotten_handles() -> Vec<ForgottenHandle> {
    registry::forgotten_since(0).into_iter().map(Into::into).collect()
}

/// What is recorded of one connection.
pub(crate) fn of_book(book: &Book) -> Vec<OpenHandle> {
    book.records().into_iter().map(OpenHandle::new).collect()
}

/// The same, with a warning of what is held for long.
pub(crate) fn look_through(book: &Book) -> Vec<OpenHandle> {
    let records = book.records();
    for record in &records {
        record.warn_if_overdue();
    }
    records.into_iter().map(OpenHandle::new).collect()
}

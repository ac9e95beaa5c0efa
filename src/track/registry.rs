//! Records of open handles: kind, id, age, source location and thread.
//!
//! A connection is used by one thread, but any thread may list its handles. The records are therefore in memory that
//! both sides share, under locks that are held briefly and never during a call into SQLite:
//!
//! ```text
//!   CONNECTIONS, one lock -----> OpenConnections: by id, and the counts of closed connections
//!                                  |
//!                                  v
//!   Db ---- Arc<ConnectionInfo> -> ConnectionInfo of one connection, with a lock of its own for its records
//!                                  |
//!                                  v
//!   Stmt, .. ---- Recorded -----> Record of one handle
//! ```
//!
//! Each connection has its own lock, so that listing all handles blocks at most one connection at a time. A handle owns
//! its `Recorded`; dropping that removes the record. The published figures of a connection are atomics, and are read
//! without its lock. In a forked child the locks may be held by threads that do not exist there, so the child starts with
//! an empty list and takes no lock of an inherited connection.
//!
//! Counting is always on (`counts`). Records are kept if the program sets a [`level`] that requests them, or while
//! [`RECORDING`] is requested.

use std::backtrace::Backtrace;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::panic;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::counts::Counted;
use super::demand::Demands;
use super::figures::{Counts, Published};
use super::{HandleKind, PerProcess, Process, shielded};
use crate::raw::os::clock::coarse_nanoseconds;
use crate::raw::os::fork;

pub(crate) const COUNTERS: u8 = 0;
pub(crate) const RECORDS: u8 = 1;
pub(crate) const BACKTRACES: u8 = 2;

static LEVEL: AtomicU8 = AtomicU8::new(if cfg!(debug_assertions) { RECORDS } else { COUNTERS });

/// Time after which a held handle is reported, by kind, in nanoseconds; 0: never.
static WARN_AFTER: [AtomicU64; HandleKind::COUNT] = [const { AtomicU64::new(0) }; HandleKind::COUNT];

static CONNECTIONS: PerProcess<OpenConnections> = PerProcess::new(OpenConnections::default);

/// The open connections, by id.
#[derive(Default)]
struct OpenConnections {
    infos: BTreeMap<u64, Arc<ConnectionInfo>>,
    /// Sum of the counts of the connections that are closed. It is under the same lock as the connections, so that a total
    /// never decreases.
    closed: Counts,
}

pub(crate) fn level() -> u8 {
    LEVEL.load(Ordering::Relaxed)
}

pub(crate) fn set_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// Requests to keep records at any level.
pub(crate) static RECORDING: Demands = Demands::none();

pub(crate) fn set_warn_after(kind: HandleKind, after: Option<Duration>) {
    WARN_AFTER[kind as usize].store(after.map_or(0, nanoseconds).max(u64::from(after.is_some())), Ordering::Relaxed);
}

fn warn_after(kind: HandleKind) -> Option<Duration> {
    match WARN_AFTER[kind as usize].load(Ordering::Relaxed) {
        0 => None,
        nanoseconds => Some(Duration::from_nanos(nanoseconds)),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a new id, unique among all handles.
pub(crate) fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Flag of a start time that was not read from the coarse clock.
const PRECISELY: u64 = 1 << 63;

/// An open handle.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: HandleKind,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) site: &'static Location<'static>,
    pub(crate) since: Instant,
    /// Thread that opened it; `None` while the thread's thread-local variables were being destroyed.
    pub(crate) thread: Option<Thread>,
    pub(crate) sql: Option<Box<str>>,
    pub(crate) backtrace: Option<Backtrace>,
    /// Start of the execution, by the coarse clock; with the flag `PRECISELY`, in nanoseconds after `since`. 0 while
    /// there is no execution.
    running: AtomicU64,
    is_warned: AtomicBool,
    /// Figures that a statement published, plus one; 0: none yet.
    memory_bytes: AtomicU64,
    runs: AtomicU64,
    /// Calls of a callback while times were taken, and their time.
    calls: AtomicU64,
    call_nanoseconds: AtomicU64,
}

impl Record {
    pub(crate) fn publish(&self, memory_bytes: u64, runs: u64) {
        self.memory_bytes.store(memory_bytes + 1, Ordering::Relaxed);
        self.runs.store(runs + 1, Ordering::Relaxed);
    }

    /// Returns the bytes and the number of executions of a statement when its connection last published them.
    pub(crate) fn published(&self) -> Option<(u64, u64)> {
        let memory_bytes = self.memory_bytes.load(Ordering::Relaxed).checked_sub(1)?;
        Some((memory_bytes, self.runs.load(Ordering::Relaxed).checked_sub(1)?))
    }

    /// Returns the number of calls of a callback while times were taken, and their time; `None` if there was none.
    pub(crate) fn calls(&self) -> Option<(u64, Duration)> {
        let calls = Some(self.calls.load(Ordering::Relaxed)).filter(|&calls| calls > 0)?;
        Some((calls, Duration::from_nanos(self.call_nanoseconds.load(Ordering::Relaxed))))
    }

    /// Returns the duration of the current execution.
    pub(crate) fn running(&self) -> Option<Duration> {
        let began = Some(self.running.load(Ordering::Relaxed)).filter(|&began| began != 0)?;
        let age = self.since.elapsed();
        if began & PRECISELY != 0 {
            return Some(age.saturating_sub(Duration::from_nanos(began & !PRECISELY)));
        }
        Some(Duration::from_nanos(coarse_nanoseconds().saturating_sub(began)).min(age))
    }

    /// Returns the time for which the handle has been held. A statement holds no lock while it is not running, so only
    /// its execution counts.
    fn held(&self) -> Option<Duration> {
        match self.kind {
            HandleKind::Statement | HandleKind::CachedStatement => self.running(),
            _ => Some(self.since.elapsed()),
        }
    }

    /// Logs a warning, once, if the handle has been held longer than is allowed for its kind. Returns whether it has.
    pub(crate) fn warn_if_overdue(&self) -> bool {
        let Some(after) = self.warn_after() else {
            return false;
        };
        let Some(held) = self.held().filter(|&held| held >= after) else {
            return false;
        };
        if !self.is_warned.swap(true, Ordering::Relaxed) {
            shielded(|| {
                tracing::warn!(
                    target: "finalite::leak",
                    kind = %self.kind,
                    id = self.id,
                    opened_at = %self.site,
                    sql = self.sql.as_deref(),
                    held = ?held,
                    "held for long",
                );
            });
        }
        true
    }

    fn warn_after(&self) -> Option<Duration> {
        match self.kind {
            // The execution of a statement counts as its rows.
            HandleKind::Statement | HandleKind::CachedStatement => {
                warn_after(self.kind).into_iter().chain(warn_after(HandleKind::Rows)).min()
            }
            _ => warn_after(self.kind),
        }
    }

    fn released(&self) {
        if self.warn_if_overdue() || self.is_warned.load(Ordering::Relaxed) {
            self.is_warned.store(false, Ordering::Relaxed);
            shielded(|| {
                tracing::warn!(
                    target: "finalite::leak",
                    kind = %self.kind,
                    id = self.id,
                    opened_at = %self.site,
                    held = ?self.held(),
                    "released",
                );
            });
        }
    }
}

/// Data of a connection that other threads may read, and the records of the handles made from it.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    connection: u64,
    name: Option<Box<str>>,
    site: &'static Location<'static>,
    /// Thread that opened the connection.
    thread: Option<Thread>,
    process: Process,
    published: Published,
    is_closed: AtomicBool,
    /// Number of forgotten handles of the connection.
    forgotten: AtomicU64,
    records: Mutex<BTreeMap<u64, Arc<Record>>>,
    /// Paths of the databases that have a file.
    paths: Mutex<Vec<Box<CStr>>>,
}

impl ConnectionInfo {
    pub(crate) fn open(
        connection: u64,
        name: Option<&str>,
        lookaside_bytes: u64,
        site: &'static Location<'static>,
    ) -> Arc<Self> {
        let info = Arc::new(Self {
            connection,
            name: name.map(Into::into),
            site,
            thread: current_thread(),
            process: Process::this(),
            published: Published::new(lookaside_bytes),
            is_closed: AtomicBool::new(false),
            forgotten: AtomicU64::new(0),
            records: Mutex::default(),
            paths: Mutex::default(),
        });
        CONNECTIONS.lock().infos.insert(connection, Arc::clone(&info));
        info
    }

    /// Marks the connection as closed, and removes it from the list.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let mut connections = CONNECTIONS.lock();
        if connections.infos.remove(&self.connection).is_some() {
            add(&mut connections.closed, self.published.counts());
        }
    }

    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn site(&self) -> &'static Location<'static> {
        self.site
    }

    pub(crate) fn thread_name(&self) -> Option<&str> {
        self.thread.as_ref().and_then(Thread::name)
    }

    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    pub(crate) fn set_paths(&self, paths: Vec<Box<CStr>>) {
        if self.process.is_this() {
            *self.paths.lock().unwrap_or_else(PoisonError::into_inner) = paths;
        }
    }

    /// Returns the paths of the databases that have a file; none in a child process that inherited it.
    pub(crate) fn paths(&self) -> Vec<Box<CStr>> {
        let lock = || self.paths.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.process.is_this().then(lock).unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Locks the records; `None` in a child process that inherited it, because another thread may have held the
    /// lock at the fork.
    fn lock(&self) -> Option<MutexGuard<'_, BTreeMap<u64, Arc<Record>>>> {
        let lock = || self.records.lock().unwrap_or_else(PoisonError::into_inner);
        self.process.is_this().then(lock)
    }

    /// Returns the records in the order of opening.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.lock().map(|records| records.values().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        kind: HandleKind,
        id: u64,
        parent: Option<u64>,
        site: &'static Location<'static>,
        sql: Option<&str>,
    ) -> Option<Recorded> {
        let has_backtrace = level() >= BACKTRACES && matches!(kind, HandleKind::Connection | HandleKind::Transaction);
        let record = Arc::new(Record {
            kind,
            id,
            parent,
            site,
            since: Instant::now(),
            thread: current_thread(),
            sql: sql.map(beginning),
            backtrace: has_backtrace.then(Backtrace::force_capture),
            running: AtomicU64::new(0),
            is_warned: AtomicBool::new(false),
            memory_bytes: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            call_nanoseconds: AtomicU64::new(0),
        });
        self.lock()?.insert(id, Arc::clone(&record));
        Some(Recorded { record, info: Arc::clone(self) })
    }
}

/// Returns the current thread; `None` where `thread::current` panics, which it does while the thread's thread-local
/// variables are being destroyed. Handles may be opened even then.
#[must_use]
pub fn current_thread() -> Option<Thread> {
    thread_local! {
        static CURRENT: Option<Thread> = panic::catch_unwind(thread::current).ok();
    }
    CURRENT.try_with(Option::clone).ok().flatten()
}

/// Returns the beginning of the SQL, at most 256 bytes, to limit the memory of a record.
pub(super) fn beginning(sql: &str) -> Box<str> {
    const BYTES: usize = 256;
    let end = (0..=BYTES.min(sql.len())).rev().find(|&at| sql.is_char_boundary(at)).unwrap_or(0);
    sql[..end].into()
}

/// Entry of an open handle among the records of its connection. Dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct Recorded {
    record: Arc<Record>,
    info: Arc<ConnectionInfo>,
}

impl Recorded {
    pub(crate) fn id(&self) -> u64 {
        self.record.id
    }

    pub(crate) fn share(&self) -> Arc<Record> {
        Arc::clone(&self.record)
    }

    /// Records the start of an execution.
    pub(crate) fn run(&self) {
        // The coarse clock is cheap, and accurate enough if no warning is configured.
        let began = match self.record.warn_after() {
            None => coarse_nanoseconds().max(1),
            Some(_) => PRECISELY | nanoseconds(self.record.since.elapsed()),
        };
        self.record.running.store(began, Ordering::Relaxed);
    }

    /// Adds a call of a callback, and its time.
    #[cold]
    pub(crate) fn add_call(&self, nanoseconds: u64) {
        self.record.calls.fetch_add(1, Ordering::Relaxed);
        self.record.call_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Records the end of an execution.
    pub(crate) fn end_run(&self) {
        self.record.released();
        self.record.running.store(0, Ordering::Relaxed);
    }
}

/// An open handle that no list of its connection has: counted, and recorded if records are kept.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) recorded: Option<Recorded>,
    pub(crate) _counted: Counted,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.record.released();
        if let Some(mut records) = self.info.lock() {
            records.remove(&self.record.id);
        }
    }
}

/// Whether handles opened now are recorded.
#[inline(always)]
pub(crate) fn is_recording() -> bool {
    (level() != COUNTERS || RECORDING.exist()) && fork::generation() == 0
}

/// Returns all records, grouped by connection.
pub(crate) fn records() -> Vec<Arc<Record>> {
    // `infos` has released its lock: no lock is held while another is taken.
    infos().0.iter().flat_map(|info| info.records()).collect()
}

/// Returns the records of the connections that have the file at this path open.
pub(crate) fn records_of_file(path: &CStr) -> Vec<Arc<Record>> {
    let has_open = |info: &&Arc<ConnectionInfo>| info.paths().iter().any(|open| **open == *path);
    infos().0.iter().filter(has_open).flat_map(|info| info.records()).collect()
}

/// Returns the connections that are open in this process, in the order of opening, and the sum of the counts of all
/// connections, including closed ones. It also requests each connection's figures for the next call.
pub(crate) fn infos_and_counts() -> (Vec<Arc<ConnectionInfo>>, Counts) {
    let both = infos();
    fork::request_figures();
    both
}

fn infos() -> (Vec<Arc<ConnectionInfo>>, Counts) {
    let connections = CONNECTIONS.lock();
    let mut counts = connections.closed;
    for info in connections.infos.values() {
        add(&mut counts, info.published.counts());
    }
    (connections.infos.values().cloned().collect(), counts)
}

fn add(sum: &mut Counts, counts: Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// A handle that was forgotten and ended by finalite.
#[derive(Clone, Debug)]
pub(crate) struct Forgotten {
    /// Serial number among the forgotten handles, from 0.
    pub(crate) number: u64,
    pub(crate) kind: HandleKind,
    pub(crate) connection: u64,
    pub(crate) site: Option<&'static Location<'static>>,
    pub(crate) sql: Option<Box<str>>,
}

#[derive(Default)]
struct ForgottenLog {
    count: u64,
    last: VecDeque<Forgotten>,
}

/// Number of forgotten handles that are kept.
pub(crate) const FORGOTTEN_MAX: usize = 256;

static FORGOTTEN: PerProcess<ForgottenLog> = PerProcess::new(ForgottenLog::default);

/// Logs a forgotten handle that is ended now, and stores it for `forgotten_since`.
#[cold]
pub(crate) fn forgot(kind: HandleKind, connection: u64, site: Option<&'static Location<'static>>, sql: Option<&str>) {
    super::counts::forgotten(kind);
    shielded(|| {
        tracing::error!(
            target: "finalite::leak",
            %kind,
            connection,
            opened_at = site.map(tracing::field::display),
            sql,
            "a forgotten handle is released now",
        );
    });
    let info = CONNECTIONS.lock().infos.get(&connection).cloned();
    if let Some(info) = info {
        info.forgotten.fetch_add(1, Ordering::Release);
    }
    let mut lost = FORGOTTEN.lock();
    let number = lost.count;
    lost.count += 1;
    if lost.last.len() == FORGOTTEN_MAX {
        lost.last.pop_front();
    }
    lost.last.push_back(Forgotten { number, kind, connection, site, sql: sql.map(beginning) });
}

/// Returns the number of handles forgotten so far.
pub(crate) fn forgotten_count() -> u64 {
    FORGOTTEN.lock().count
}

/// Returns the forgotten handles from this serial number on, as far as they are kept.
pub(crate) fn forgotten_since(number: u64) -> Vec<Forgotten> {
    FORGOTTEN.lock().last.iter().filter(|one| one.number >= number).cloned().collect()
}

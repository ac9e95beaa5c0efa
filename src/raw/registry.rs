//! Records of what is open: which handle, since when, from where, on which thread.
//!
//! Counting is always on (`counts`); records are kept from a level on that the program sets. Each connection has a book
//! of its own, under a lock of its own, so that listing all of them never stops more than one.

use std::backtrace::Backtrace;
use std::collections::{BTreeMap, VecDeque};
use std::panic;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::clock::coarse_nanoseconds;
use super::figures::{Counts, Published};
use super::{HandleKind, PerProcess, Process, fork, shielded};

pub(crate) const COUNTERS: u8 = 0;
pub(crate) const RECORDS: u8 = 1;
pub(crate) const BACKTRACES: u8 = 2;

static LEVEL: AtomicU8 = AtomicU8::new(if cfg!(debug_assertions) { RECORDS } else { COUNTERS });

/// By kind, in nanoseconds; 0: never.
static WARN_AFTER: [AtomicU64; HandleKind::COUNT] = [const { AtomicU64::new(0) }; HandleKind::COUNT];

static BOOKS: PerProcess<Shelf> = PerProcess::new(Shelf::default);

/// One book for each connection.
#[derive(Default)]
struct Shelf {
    books: BTreeMap<u64, Arc<Book>>,
    /// What the connections counted whose books are no longer here: under the same lock, so that no sum goes back.
    closed: Counts,
}

pub(crate) fn level() -> u8 {
    LEVEL.load(Ordering::Relaxed)
}

pub(crate) fn set_level(level: u8) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// How many ask for records whatever the level is.
static DEMAND: AtomicU32 = AtomicU32::new(0);

/// Has records kept as long as it lives, whatever the level is.
#[derive(Debug)]
pub(crate) struct Demand(());

impl Demand {
    pub(crate) fn new() -> Self {
        DEMAND.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        DEMAND.fetch_sub(1, Ordering::Relaxed);
    }
}

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

/// A number that no other handle has had.
pub(crate) fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Marks a time that is not the coarse clock's.
const PRECISELY: u64 = 1 << 63;

/// One handle that is open.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: HandleKind,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) site: &'static Location<'static>,
    pub(crate) since: Instant,
    /// None in the last destructors of a thread, when it has no name any more.
    pub(crate) thread: Option<Thread>,
    pub(crate) sql: Option<Box<str>>,
    pub(crate) backtrace: Option<Backtrace>,
    /// When the execution began, by the coarse clock; or `PRECISELY`, in nanoseconds after `since`. 0 while there is
    /// none.
    running: AtomicU64,
    is_warned: AtomicBool,
    /// What a statement made known of itself, and one more; 0: nothing yet.
    memory_bytes: AtomicU64,
    runs: AtomicU64,
}

impl Record {
    pub(super) fn publish(&self, memory_bytes: u64, runs: u64) {
        self.memory_bytes.store(memory_bytes + 1, Ordering::Relaxed);
        self.runs.store(runs + 1, Ordering::Relaxed);
    }

    /// The bytes that a statement held and how often it had run, when its connection last made that known.
    pub(crate) fn published(&self) -> Option<(u64, u64)> {
        let memory_bytes = self.memory_bytes.load(Ordering::Relaxed).checked_sub(1)?;
        Some((memory_bytes, self.runs.load(Ordering::Relaxed).checked_sub(1)?))
    }

    /// How long its rows have been out.
    pub(crate) fn running(&self) -> Option<Duration> {
        let began = Some(self.running.load(Ordering::Relaxed)).filter(|&began| began != 0)?;
        let age = self.since.elapsed();
        if began & PRECISELY != 0 {
            return Some(age.saturating_sub(Duration::from_nanos(began & !PRECISELY)));
        }
        Some(Duration::from_nanos(coarse_nanoseconds().saturating_sub(began)).min(age))
    }

    /// How long it has been held. A statement harms nobody while it does not run.
    fn held(&self) -> Option<Duration> {
        match self.kind {
            HandleKind::Statement | HandleKind::CachedStatement => self.running(),
            _ => Some(self.since.elapsed()),
        }
    }

    /// Warns once if it is held for longer than its kind should be. Returns whether it is.
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
            // It is held by its rows.
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

/// What others may know of a connection, and the records of what was made from it.
#[derive(Debug)]
pub(crate) struct Book {
    connection: u64,
    name: Option<Box<str>>,
    site: &'static Location<'static>,
    /// The thread that opened it.
    thread: Option<Thread>,
    process: Process,
    published: Published,
    is_closed: AtomicBool,
    /// How many handles of the connection were forgotten.
    forgotten: AtomicU64,
    records: Mutex<BTreeMap<u64, Arc<Record>>>,
}

impl Book {
    pub(super) fn open(connection: u64, name: Option<&str>, site: &'static Location<'static>) -> Arc<Self> {
        let book = Arc::new(Self {
            connection,
            name: name.map(Into::into),
            site,
            thread: current_thread(),
            process: Process::this(),
            published: Published::new(),
            is_closed: AtomicBool::new(false),
            forgotten: AtomicU64::new(0),
            records: Mutex::default(),
        });
        BOOKS.lock().books.insert(connection, Arc::clone(&book));
        book
    }

    /// The connection is closed: nobody lists the book any more.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let mut shelf = BOOKS.lock();
        if shelf.books.remove(&self.connection).is_some() {
            add(&mut shelf.closed, self.published.counts());
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

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// `None` in a child process that inherited it: another thread may have held the lock at the fork.
    fn lock(&self) -> Option<MutexGuard<'_, BTreeMap<u64, Arc<Record>>>> {
        let lock = || self.records.lock().unwrap_or_else(PoisonError::into_inner);
        self.process.is_this().then(lock)
    }

    /// In the order they were opened.
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
        });
        self.lock()?.insert(id, Arc::clone(&record));
        Some(Recorded { record, book: Arc::clone(self) })
    }
}

/// `thread::current` panics when the thread's own variables are gone; handles may be opened even then.
pub(crate) fn current_thread() -> Option<Thread> {
    thread_local! {
        static CURRENT: Option<Thread> = panic::catch_unwind(thread::current).ok();
    }
    CURRENT.try_with(Option::clone).ok().flatten()
}

/// More of a statement than its beginning tells nobody more, and would be kept.
fn beginning(sql: &str) -> Box<str> {
    const BYTES: usize = 256;
    let end = (0..=BYTES.min(sql.len())).rev().find(|&at| sql.is_char_boundary(at)).unwrap_or(0);
    sql[..end].into()
}

/// An open handle's entry in its connection's book, which ends with it.
#[derive(Debug)]
pub(crate) struct Recorded {
    record: Arc<Record>,
    book: Arc<Book>,
}

impl Recorded {
    pub(crate) fn id(&self) -> u64 {
        self.record.id
    }

    pub(super) fn share(&self) -> Arc<Record> {
        Arc::clone(&self.record)
    }

    /// An execution begins.
    pub(super) fn run(&self) {
        // The coarse clock is cheap, and good enough where nobody asks to be warned.
        let began = match self.record.warn_after() {
            None => coarse_nanoseconds().max(1),
            Some(_) => PRECISELY | nanoseconds(self.record.since.elapsed()),
        };
        self.record.running.store(began, Ordering::Relaxed);
    }

    /// It ends.
    pub(super) fn rest(&self) {
        self.record.released();
        self.record.running.store(0, Ordering::Relaxed);
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.record.released();
        if let Some(mut records) = self.book.lock() {
            records.remove(&self.record.id);
        }
    }
}

/// Whether handles opened now get a record.
#[inline(always)]
pub(crate) fn is_recording() -> bool {
    (level() != COUNTERS || DEMAND.load(Ordering::Relaxed) != 0) && fork::generation() == 0
}

/// Every record, connection by connection.
pub(crate) fn records() -> Vec<Arc<Record>> {
    // The books are let go one by one: no lock is held while another is taken.
    books().0.iter().flat_map(|book| book.records()).collect()
}

/// The books of the connections that are open in this process, in the order they were opened, and what all connections
/// counted together, those closed included. Asks the connections for their figures, for the next time.
pub(crate) fn books_and_counts() -> (Vec<Arc<Book>>, Counts) {
    let both = books();
    fork::request_figures();
    both
}

fn books() -> (Vec<Arc<Book>>, Counts) {
    let shelf = BOOKS.lock();
    let mut counts = shelf.closed;
    for book in shelf.books.values() {
        add(&mut counts, book.published.counts());
    }
    (shelf.books.values().cloned().collect(), counts)
}

fn add(sum: &mut Counts, counts: Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

/// A handle that its user forgot and finalite ended.
#[derive(Clone, Debug)]
pub(crate) struct Forgotten {
    /// Counts the forgotten, from 0.
    pub(crate) number: u64,
    pub(crate) kind: HandleKind,
    pub(crate) connection: u64,
    pub(crate) site: Option<&'static Location<'static>>,
    pub(crate) sql: Option<Box<str>>,
}

#[derive(Default)]
struct LostAndFound {
    count: u64,
    last: VecDeque<Forgotten>,
}

/// How many of the forgotten are kept.
pub(crate) const FORGOTTEN_MAX: usize = 256;

static FORGOTTEN: PerProcess<LostAndFound> = PerProcess::new(LostAndFound::default);

/// Logs a handle that was forgotten and is ended now, and keeps it for whoever asks.
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
            "a handle was forgotten; it is ended now",
        );
    });
    let book = BOOKS.lock().books.get(&connection).cloned();
    if let Some(book) = book {
        book.forgotten.fetch_add(1, Ordering::Release);
    }
    let mut lost = FORGOTTEN.lock();
    let number = lost.count;
    lost.count += 1;
    if lost.last.len() == FORGOTTEN_MAX {
        lost.last.pop_front();
    }
    lost.last.push_back(Forgotten { number, kind, connection, site, sql: sql.map(beginning) });
}

/// How many were forgotten so far.
pub(crate) fn forgotten_count() -> u64 {
    FORGOTTEN.lock().count
}

/// The forgotten from this number on, as far as they are kept.
pub(crate) fn forgotten_since(number: u64) -> Vec<Forgotten> {
    FORGOTTEN.lock().last.iter().filter(|one| one.number >= number).cloned().collect()
}

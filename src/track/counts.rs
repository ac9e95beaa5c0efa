//! Counters of opened and closed handles of each kind, without a lock and without a shared cache line.
//!
//! Each thread owns a shard and is its only writer (a relaxed load and store); readers sum over all shards. A handle
//! may be opened on one thread and closed on another: the counters of a single shard are then unbalanced, but their sum
//! over all shards is correct.

use std::cell::Cell;
use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::activity::{Timed, Times};
use crate::raw::os::append_list::AppendList;

/// Kind of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandleKind {
    /// A [`Connection`](super::super::Connection).
    Connection,
    /// A [`Statement`](super::super::Statement).
    Statement,
    /// A statement of the statement cache, whether in the cache or in use.
    CachedStatement,
    /// An execution of a statement.
    Rows,
    /// A [`Transaction`](super::super::Transaction).
    Transaction,
    /// A [`Savepoint`](super::super::Savepoint).
    Savepoint,
    /// A closure that SQLite calls: a function, a collation, a hook.
    Callback,
    /// A [`Blob`](crate::data::Blob).
    Blob,
    /// A [`Backup`](crate::data::Backup).
    Backup,
    /// A `Session` (feature `session`).
    Session,
    /// A `Snapshot` (feature `snapshot`).
    Snapshot,
    /// A [`Watch`](crate::pool::Watch) of a pool.
    Watch,
    /// A [`Deadline`](crate::extend::Deadline), or [limits](crate::extend::ActiveLimits) in force.
    Deadline,
}

impl HandleKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Connection,
        Self::Statement,
        Self::CachedStatement,
        Self::Rows,
        Self::Transaction,
        Self::Savepoint,
        Self::Callback,
        Self::Blob,
        Self::Backup,
        Self::Session,
        Self::Snapshot,
        Self::Watch,
        Self::Deadline,
    ];

    pub(crate) const COUNT: usize = Self::ALL.len();

    /// Returns the name of the kind in the singular, such as `cached_statement`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Statement => "statement",
            Self::CachedStatement => "cached_statement",
            Self::Rows => "rows",
            Self::Transaction => "transaction",
            Self::Savepoint => "savepoint",
            Self::Callback => "callback",
            Self::Blob => "blob",
            Self::Backup => "backup",
            Self::Session => "session",
            Self::Snapshot => "snapshot",
            Self::Watch => "watch",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for HandleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

const KINDS: usize = HandleKind::COUNT;

#[repr(align(64))]
pub(super) struct Shard {
    opened: [AtomicU64; KINDS],
    closed: [AtomicU64; KINDS],
    commits: AtomicU64,
    pub(super) times: [Times; Timed::COUNT],
    /// Whether a thread owns the shard. When its thread ends, the next thread takes the shard over with its counts.
    is_owned: AtomicBool,
}

impl Shard {
    const fn new() -> Self {
        Self {
            opened: [const { AtomicU64::new(0) }; KINDS],
            closed: [const { AtomicU64::new(0) }; KINDS],
            commits: AtomicU64::new(0),
            times: [const { Times::new() }; Timed::COUNT],
            is_owned: AtomicBool::new(true),
        }
    }
}

/// All shards. They are never freed.
static SHARDS: AppendList<Shard> = AppendList::new();
/// Shard for code that runs after its thread released its own shard (other thread-local destructors). Several threads
/// write to it, by atomic read-modify-write.
static SHARED: Shard = Shard::new();
static FORGOTTEN: [AtomicU64; KINDS] = [const { AtomicU64::new(0) }; KINDS];

/// A thread's claim of its shard, released when the thread ends.
struct Local(&'static Shard);

impl Local {
    fn claim() -> Self {
        let shard = Self::claim_shard();
        let _ = SHARD.try_with(|recent| recent.set(Some(shard)));
        Self(shard)
    }

    fn claim_shard() -> &'static Shard {
        let is_free =
            |shard: &&Shard| !shard.is_owned.load(Ordering::Relaxed) && !shard.is_owned.swap(true, Ordering::Acquire);
        SHARDS.iter().find(is_free).unwrap_or_else(|| SHARDS.push(Shard::new()))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = SHARD.try_with(|shard| shard.set(None));
        self.0.is_owned.store(false, Ordering::Release);
    }
}

thread_local! {
    static LOCAL: Local = Local::claim();
    /// Copy of the shard of `LOCAL`, reached by one load. It has no destructor, so it can be read at any time.
    static SHARD: Cell<Option<&'static Shard>> = const { Cell::new(None) };
}

#[inline]
pub(super) fn add(pick: impl Fn(&Shard) -> &AtomicU64, number: u64) {
    match SHARD.try_with(Cell::get) {
        Ok(Some(shard)) => {
            let counter = pick(shard);
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
        }
        _ => add_first(pick, number),
    }
}

/// Counts the first event of a thread, or one after the thread released its shard.
#[cold]
#[inline(never)]
fn add_first(pick: impl Fn(&Shard) -> &AtomicU64, number: u64) {
    let counter = LOCAL.try_with(|local| pick(local.0)).unwrap_or(pick(&SHARED));
    counter.fetch_add(number, Ordering::Relaxed);
}

#[inline]
pub(crate) fn opened(kind: HandleKind) {
    add(|shard| &shard.opened[kind as usize], 1);
}

#[inline]
pub(crate) fn closed(kind: HandleKind) {
    add(|shard| &shard.closed[kind as usize], 1);
}

/// Returns the number of executions that this thread has begun.
pub(super) fn own_executions() -> u64 {
    let count = |shard: &Shard| shard.opened[HandleKind::Rows as usize].load(Ordering::Relaxed);
    SHARD.try_with(|shard| shard.get().map_or(0, count)).unwrap_or(0)
}

/// A handle that counts as open for as long as this exists.
#[derive(Debug)]
pub(crate) struct Counted(HandleKind);

impl Counted {
    pub(crate) fn new(kind: HandleKind) -> Self {
        opened(kind);
        Self(kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        closed(self.0);
    }
}

/// Counts a transaction that was committed.
#[inline]
pub(crate) fn committed() {
    add(|shard| &shard.commits, 1);
}

pub(crate) fn commits_total() -> u64 {
    sum(|shard| &shard.commits)
}

/// Counts a handle that was forgotten (`mem::forget`) and ended by finalite; see `registry::forgot`.
#[cold]
pub(crate) fn forgotten(kind: HandleKind) {
    FORGOTTEN[kind as usize].fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn opened_total(kind: HandleKind) -> u64 {
    sum(|shard| &shard.opened[kind as usize])
}

pub(crate) fn closed_total(kind: HandleKind) -> u64 {
    sum(|shard| &shard.closed[kind as usize])
}

pub(crate) fn forgotten_total(kind: HandleKind) -> u64 {
    FORGOTTEN[kind as usize].load(Ordering::Relaxed)
}

pub(super) fn sum(pick: impl Fn(&Shard) -> &AtomicU64) -> u64 {
    SHARDS.iter().chain(iter::once(&SHARED)).map(|shard| pick(shard).load(Ordering::Relaxed)).sum()
}

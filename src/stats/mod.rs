//! Everything that is measured, at one moment: for a program's own metrics, and for those who look at it.
//!
//! [`snapshot`] collects what [`memory`] and [`handles`] tell, connection by connection, with what each connection last
//! made known of its caches, and what the pools hold. It calls SQLite on nobody's behalf and waits for nobody: a
//! connection publishes its own figures when it is next used after a snapshot was taken, and when a pool gets it back.
//! So the figures of one that sits idle are as old as [`DbStatus::age`] says, and the first snapshot of a process has
//! none. Telling them takes a connection some microseconds, once after each snapshot; a schema of more than 64 KiB is
//! measured once in five seconds at most. A child process begins anew: it sees its own connections and pools.
//!
//! [`Stats::diff`] tells what happened between two, [`Stats::to_json`] writes one down. With the feature
//! `prometheus-client` there is a collector for the program's own registry; with `endpoint`, a page and a server.
//!
//! # Example
//!
//! ```
//! use finalite::{Connection, OpenOptions, stats};
//!
//! let conn = OpenOptions::new().name("ledger").open_in_memory()?;
//! let before = stats::snapshot();
//! conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000));")?;
//! let after = stats::snapshot();
//!
//! let ledger = after.connections.iter().find(|conn| conn.name.as_deref() == Some("ledger")).unwrap();
//! assert!(ledger.memory.bytes > 100_000);
//! assert!(ledger.opened_at.file().ends_with(".rs"));
//! assert!(after.diff(&before).bytes > 100_000);
//! assert!(after.to_json().contains(r#""name":"ledger""#));
//! # Ok::<(), finalite::Error>(())
//! ```

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant, SystemTime};

use crate::handles::{self, ForgottenHandle, HandleCounts, HandleKind, OpenHandle};
use crate::memory::{self, MemoryStats};
use crate::pool::{PoolStatus, registry as pools};
use crate::raw::allocator::{self, AccountMemory};
use crate::raw::figures::{Counter, Counts};
use crate::raw::registry::{self, Book};
use crate::worker;
use crate::{failures, process};

mod json;
#[cfg(feature = "prometheus-client")]
mod prometheus;

#[cfg(feature = "endpoint")]
pub(crate) use json::{Filter, Privacy, handles_json};
#[cfg(feature = "endpoint")]
pub(crate) use prometheus::to_text;
#[cfg(feature = "prometheus-client")]
pub use prometheus::{Collector, to_openmetrics};

/// What the process holds and did. From [`snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// When it was taken.
    pub taken_at: SystemTime,
    /// SQLite's memory.
    pub memory: MemoryStats,
    /// The process, as the system sees it.
    pub process: ProcessStats,
    /// The handles that are open.
    pub open: HandleCounts,
    /// Those opened since the process began.
    pub opened: HandleCounts,
    /// Those closed since the process began.
    pub closed: HandleCounts,
    /// Those forgotten since the process began, and found and ended by finalite.
    pub forgotten: HandleCounts,
    /// Those that are open and have no record: see [`handles::TrackingLevel`].
    pub unrecorded: HandleCounts,
    /// What SQLite counted for all connections together, as far as they made it known.
    pub caches: CacheStats,
    /// The connections that are open, in the order they were opened.
    pub connections: Vec<ConnectionStats>,
    /// The pools there are.
    pub pools: Vec<PoolStatus>,
    /// What pools did since the process began, those that are gone included.
    pub pool_totals: crate::pool::PoolTotals,
    /// How often opening a connection failed, by the name of the primary result code; `none` where SQLite was not
    /// asked.
    pub open_failures: Vec<(&'static str, u64)>,
    /// How often closing one failed.
    pub close_failures: Vec<(&'static str, u64)>,
    /// What connections left behind when they closed. It is shared with others that are open, or lost.
    pub left_behind: Vec<LeftBehind>,
    /// The last 256 handles that were forgotten, oldest first.
    pub forgotten_handles: Vec<ForgottenHandle>,
    taken: Instant,
}

/// The process, as the system sees it. `None` where the system does not tell (it does on Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Bytes of memory that are resident, SQLite's and all other.
    pub resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub descriptors: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Those of them that finalite started. The core starts none.
    pub background_threads: u64,
}

/// What SQLite counted for connections, since the process began.
///
/// C: [sqlite3_db_status](https://sqlite.org/c3ref/c_dbstatus_options.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Allocations served from lookaside.
    pub lookaside_hits: u64,
    /// Those too large for its slots.
    pub lookaside_misses_size: u64,
    /// Those for which no slot was free.
    pub lookaside_misses_full: u64,
    /// Pages found in the cache.
    pub pager_hits: u64,
    /// Pages read from the file.
    pub pager_misses: u64,
    /// Pages written to the file.
    pub pager_writes: u64,
    /// Pages written in the middle of a transaction to make room.
    pub pager_spills: u64,
    /// Bytes of sorts and temporary tables written to temporary files. 0 before SQLite 3.52.
    pub tempbuf_spill_bytes: u64,
}

impl CacheStats {
    fn new(counts: Counts) -> Self {
        let of = |counter: Counter| counts[counter as usize];
        Self {
            lookaside_hits: of(Counter::LookasideHits),
            lookaside_misses_size: of(Counter::LookasideMissesSize),
            lookaside_misses_full: of(Counter::LookasideMissesFull),
            pager_hits: of(Counter::PagerHits),
            pager_misses: of(Counter::PagerMisses),
            pager_writes: of(Counter::PagerWrites),
            pager_spills: of(Counter::PagerSpills),
            tempbuf_spill_bytes: of(Counter::TempbufSpillBytes),
        }
    }
}

/// A connection that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// A number that no other handle of the process has.
    pub id: u64,
    /// [`OpenOptions::name`](crate::OpenOptions::name), or its place in its pool.
    pub name: Option<Box<str>>,
    /// The line of the program that opened it.
    pub opened_at: &'static Location<'static>,
    /// How long ago.
    pub age: Duration,
    /// The name of the thread that opened it.
    pub thread_name: Option<Box<str>>,
    /// What is charged to it now.
    pub memory: NativeMemory,
    /// Bytes of its lookaside memory, one block of it.
    pub lookaside_bytes: u64,
    /// What it made known of itself; `None` before it was used since somebody first took a snapshot.
    pub figures: Option<DbStatus>,
    /// What was made from it and is open, as far as it is recorded, in the order it was opened.
    pub children: Vec<OpenHandle>,
}

/// SQLite's memory that is charged to a connection: exact, and read at the moment of the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NativeMemory {
    /// Bytes.
    pub bytes: u64,
    /// The most bytes.
    pub peak_bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

impl From<AccountMemory> for NativeMemory {
    fn from(memory: AccountMemory) -> Self {
        let AccountMemory { bytes, peak_bytes, blocks } = memory;
        Self { bytes, peak_bytes, blocks }
    }
}

/// What a connection made known of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DbStatus {
    /// How long ago.
    pub age: Duration,
    /// Bytes of all page caches.
    pub page_cache_bytes: u64,
    /// Bytes of the schemas.
    pub schema_bytes: u64,
    /// Bytes of the statements; `None` if there were more than 64, which takes long to add up.
    pub statement_bytes: Option<u64>,
    /// Lookaside slots in use.
    pub lookaside_slots: u64,
}

/// Memory of a connection that is closed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LeftBehind {
    /// Its id.
    pub connection: u64,
    /// The line of the program that opened it.
    pub opened_at: &'static Location<'static>,
    /// Bytes.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
}

/// What the process holds and did, now. Asks the connections for their figures, for the next snapshot.
///
/// It takes some ten microseconds for the counters, longer where there are many descriptors, threads or records: of
/// each something is read. Like [`handles::live`], it warns of what is held for long.
#[must_use]
pub fn snapshot() -> Stats {
    // Closed before opened: what opens and closes in between must not be closed alone.
    let closed = handles::closed();
    // Before the connections: what opens in between has no record yet.
    let open = handles::counts();
    let (books, counts) = registry::books_and_counts();
    let mut accounts: HashMap<u64, AccountMemory> =
        allocator::accounts().map(|account| (account.connection, account.memory)).collect();
    let connections: Vec<ConnectionStats> =
        books.iter().map(|book| connection(book, accounts.remove(&book.connection()).unwrap_or_default())).collect();
    let mut unrecorded = handles::unrecorded(&open, connections.iter().flat_map(|conn| &conn.children));
    // A connection is known with or without a record.
    unrecorded.connections = unrecorded.connections.saturating_sub(connections.len() as u64);
    let (pools, pool_totals) = pools::all();
    Stats {
        taken_at: SystemTime::now(),
        memory: memory::stats(),
        process: ProcessStats {
            resident_bytes: process::resident_bytes(),
            descriptors: process::descriptor_count(),
            threads: process::threads().map(|threads| threads as u64),
            background_threads: worker::running(),
        },
        open,
        opened: handles::opened(),
        closed,
        forgotten: handles::forgotten(),
        unrecorded,
        caches: CacheStats::new(counts),
        connections,
        pools,
        pool_totals,
        open_failures: failures::OPEN.counts(),
        close_failures: failures::CLOSE.counts(),
        left_behind: allocator::lingering()
            .map(|left| LeftBehind {
                connection: left.connection,
                opened_at: left.site,
                bytes: left.memory.bytes,
                blocks: left.memory.blocks,
            })
            .collect(),
        forgotten_handles: handles::forgotten_handles(),
        taken: Instant::now(),
    }
}

fn connection(book: &Book, memory: AccountMemory) -> ConnectionStats {
    let mut children = handles::look_through(book);
    // Its own record says what its book says.
    children.retain(|record| record.id != book.connection());
    ConnectionStats {
        id: book.connection(),
        name: book.name().map(Into::into),
        opened_at: book.site(),
        age: book.published().open_for(),
        thread_name: book.thread_name().map(Into::into),
        memory: memory.into(),
        lookaside_bytes: book.published().lookaside_bytes(),
        figures: book.published().figures().map(|figures| DbStatus {
            age: figures.age,
            page_cache_bytes: figures.page_cache_bytes,
            schema_bytes: figures.schema_bytes,
            statement_bytes: figures.statement_bytes,
            lookaside_slots: figures.lookaside_slots,
        }),
        children,
    }
}

impl Stats {
    /// What happened since an earlier snapshot of this process.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, stats};
    ///
    /// let before = stats::snapshot();
    /// Connection::open_in_memory()?.execute("CREATE TABLE t(a)", ())?;
    /// let happened = stats::snapshot().diff(&before);
    /// assert_eq!((happened.opened.connections, happened.closed.connections), (1, 1));
    /// assert!(happened.allocations > 0);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn diff(&self, earlier: &Self) -> StatsDiff {
        let change = |now: u64, before: u64| now.cast_signed().wrapping_sub(before.cast_signed());
        let (now, before) = (&self.memory, &earlier.memory);
        StatsDiff {
            elapsed: self.taken.saturating_duration_since(earlier.taken),
            bytes: change(now.bytes, before.bytes),
            blocks: change(now.blocks, before.blocks),
            allocated_bytes: now.allocated_bytes_total.saturating_sub(before.allocated_bytes_total),
            allocations: now.allocations_total.saturating_sub(before.allocations_total),
            frees: now.frees_total.saturating_sub(before.frees_total),
            failures: now.failures_total.saturating_sub(before.failures_total),
            opened: self.opened.since(&earlier.opened),
            closed: self.closed.since(&earlier.closed),
            forgotten: self.forgotten.since(&earlier.forgotten),
            resident_bytes: self
                .process
                .resident_bytes
                .zip(earlier.process.resident_bytes)
                .map(|(now, before)| change(now, before)),
        }
    }

    /// How long the oldest handle of each kind has been open, as far as it is recorded. A connection always is.
    #[must_use]
    pub fn oldest(&self) -> Vec<(HandleKind, Duration)> {
        let mut oldest: Vec<(HandleKind, Duration)> = Vec::new();
        let mut look = |kind: HandleKind, age: Duration| match oldest.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, longest)) => *longest = age.max(*longest),
            None => oldest.push((kind, age)),
        };
        for conn in &self.connections {
            look(HandleKind::Connection, conn.age);
            for record in &conn.children {
                look(record.kind, record.age);
                if let Some(running) = record.running {
                    look(HandleKind::Rows, running);
                }
            }
        }
        oldest
    }
}

/// What happened between two snapshots. From [`Stats::diff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsDiff {
    /// How long it was between the two.
    pub elapsed: Duration,
    /// More bytes held by SQLite, or fewer.
    pub bytes: i64,
    /// More blocks, or fewer.
    pub blocks: i64,
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Allocations that failed.
    pub failures: u64,
    /// Handles opened.
    pub opened: HandleCounts,
    /// Handles closed.
    pub closed: HandleCounts,
    /// Handles forgotten.
    pub forgotten: HandleCounts,
    /// More resident bytes of the process, or fewer; `None` where the system does not tell.
    pub resident_bytes: Option<i64>,
}

impl fmt::Display for StatsDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {:.1?}: {:+} bytes, {:+} blocks, ", self.elapsed, self.bytes, self.blocks)?;
        write!(f, "{} allocations of {} bytes, ", self.allocations, self.allocated_bytes)?;
        write!(f, "opened {}, closed {}", self.opened.total(), self.closed.total())?;
        match self.forgotten.total() {
            0 => Ok(()),
            forgotten => write!(f, ", forgotten {forgotten}"),
        }
    }
}

//! Snapshots of all figures at one moment, for a program's own metrics and for people who inspect it.
//!
//! [`snapshot`] collects the figures of [`memory`] and [`handles`], connection by connection, with the cache figures
//! that each connection last published, and the state of the pools. It makes no SQLite call for any connection and
//! waits for none: a connection publishes its own figures when it is next used after a snapshot was taken, and when it
//! is returned to a pool. The figures of an idle connection are therefore as old as [`DbStatus::age`] says, and the
//! first snapshot of a process has none. Publishing takes a connection some microseconds, once after each snapshot; a
//! schema of more than 64 KiB is measured at most once in five seconds. A child process starts empty: it sees only its
//! own connections and pools.
//!
//! [`Stats::diff`] returns the changes between two snapshots, [`Stats::to_json`] returns one as JSON. The crate
//! [`finalite-endpoint`](https://docs.rs/finalite-endpoint) has a collector for the program's own registry of metrics,
//! and an HTTP server with a page.
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

use super::handles::{self, ForgottenHandle, HandleCounts, HandleKind, OpenHandle};
use super::memory::{self, MemoryStats};
use super::process;
use crate::Connection;
use crate::core::failures;
use crate::pool::{PoolStatus, registry as pools};
use crate::raw::allocator;
use crate::track;
use crate::track::figures::{AccountMemory, Counter, Counts};
use crate::track::registry::{self, ConnectionInfo};
use crate::worker;

mod activity;
mod json;
mod provided;

pub use activity::{ActivityStats, DatabaseStats, SlowExecution, TimeHistogram, Timings};
pub use provided::ProvidedStat;
pub(crate) use provided::provide;

/// State and totals of the process. Returned by [`snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Time of the snapshot.
    pub taken_at: SystemTime,
    /// Memory figures of SQLite.
    pub memory: MemoryStats,
    /// Figures of the process from the operating system.
    pub process: ProcessStats,
    /// Number of open handles.
    pub open: HandleCounts,
    /// Number of handles opened since the process began.
    pub opened: HandleCounts,
    /// Number of handles closed since the process began.
    pub closed: HandleCounts,
    /// Number of handles that were forgotten since the process began and ended by finalite.
    pub forgotten: HandleCounts,
    /// Number of open handles without a record: see [`handles::TrackingLevel`].
    pub unrecorded: HandleCounts,
    /// SQLite's counters, summed over all connections, as last published by each.
    pub caches: CacheStats,
    /// Executions, commits and waits for locks of all connections.
    pub activity: ActivityStats,
    /// Last 32 slow executions, oldest first.
    pub slow_executions: Vec<SlowExecution>,
    /// Database files that connections have open, by path.
    pub databases: Vec<DatabaseStats>,
    /// Open connections, in the order of opening.
    pub connections: Vec<ConnectionStats>,
    /// State of the existing pools.
    pub pools: Vec<PoolStatus>,
    /// Totals of all pools since the process began, including pools that no longer exist.
    pub pool_totals: crate::pool::PoolTotals,
    /// Number of failed opens of connections, by the name of the primary result code; `none` for failures without a
    /// SQLite result code.
    pub open_failures: Vec<(&'static str, u64)>,
    /// Number of failed closes of connections, in the same form.
    pub close_failures: Vec<(&'static str, u64)>,
    /// Memory still charged to closed connections. It is shared with open connections, or leaked.
    pub left_behind: Vec<LeftBehind>,
    /// Last 256 forgotten handles, oldest first.
    pub forgotten_handles: Vec<ForgottenHandle>,
    /// Figures of other crates that the process uses, such as `finalite-dqlite`.
    pub provided: Vec<ProvidedStat>,
    taken: Instant,
}

/// Figures of the process from the operating system. `None` where it does not provide them (Linux does).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Resident memory in bytes, of SQLite and everything else.
    pub resident_bytes: Option<u64>,
    /// Number of open file descriptors.
    pub descriptors: Option<u64>,
    /// Number of threads.
    pub threads: Option<u64>,
    /// Number of threads that finalite started. The core starts none.
    pub background_threads: u64,
}

/// SQLite's cache counters: in [`Stats`], the sums over all connections since the process began; from
/// [`Connection::cache_stats`], those of one connection since it was opened.
///
/// C: [sqlite3_db_status](https://sqlite.org/c3ref/c_dbstatus_options.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Allocations served from lookaside.
    pub lookaside_hits: u64,
    /// Allocations too large for a lookaside slot.
    pub lookaside_misses_size: u64,
    /// Allocations for which no lookaside slot was free.
    pub lookaside_misses_full: u64,
    /// Pages found in the cache.
    pub pager_hits: u64,
    /// Pages read from the file.
    pub pager_misses: u64,
    /// Pages written to the file.
    pub pager_writes: u64,
    /// Pages written before the end of a transaction to free cache space.
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

impl Connection {
    /// Returns SQLite's cache counters of this connection, since it was opened. [`memory`](Self::memory) has the sizes.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// assert!(conn.cache_stats().pager_hits > 0);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_db_status](https://sqlite.org/c3ref/db_status.html)
    #[must_use]
    #[doc(alias("db_status", "SQLITE_DBSTATUS_CACHE_HIT"))]
    pub fn cache_stats(&self) -> CacheStats {
        CacheStats::new(self.db().counts())
    }

    /// Whether the open transaction violates foreign keys so far, so that a commit would fail.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute_batch(
    ///     "CREATE TABLE author(id INTEGER PRIMARY KEY);
    ///      CREATE TABLE book(author INTEGER REFERENCES author(id) DEFERRABLE INITIALLY DEFERRED);",
    /// )?;
    /// let tx = conn.transaction()?;
    /// tx.execute("INSERT INTO book VALUES (7)", ())?;
    /// assert!(tx.has_unresolved_foreign_keys());
    /// tx.execute("INSERT INTO author VALUES (7)", ())?;
    /// assert!(!tx.has_unresolved_foreign_keys());
    /// tx.commit()?;
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [SQLITE_DBSTATUS_DEFERRED_FKS](https://sqlite.org/c3ref/c_dbstatus_options.html#sqlitedbstatusdeferredfks)
    #[must_use]
    #[doc(alias("deferred_fks", "SQLITE_DBSTATUS_DEFERRED_FKS"))]
    pub fn has_unresolved_foreign_keys(&self) -> bool {
        self.db().has_unresolved_foreign_keys()
    }
}

/// An open connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Id, unique among all handles of the process.
    pub id: u64,
    /// Name set with [`OpenOptions::name`](crate::OpenOptions::name), or its place in its pool.
    pub name: Option<Box<str>>,
    /// Source location that opened it.
    pub opened_at: &'static Location<'static>,
    /// Time since it was opened.
    pub age: Duration,
    /// Name of the thread that opened it.
    pub thread_name: Option<Box<str>>,
    /// Memory charged to it.
    pub memory: NativeMemory,
    /// Bytes of its lookaside memory, which is one block.
    pub lookaside_bytes: u64,
    /// Figures that it last published; `None` if it has not been used since the first snapshot of the process was
    /// taken.
    pub figures: Option<DbStatus>,
    /// Recorded open handles made from it, in the order of opening.
    pub children: Vec<OpenHandle>,
}

/// SQLite's memory charged to a connection: exact, and read at the moment of the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NativeMemory {
    /// Bytes allocated and not yet freed.
    pub bytes: u64,
    /// Largest value of `bytes` so far.
    pub peak_bytes: u64,
    /// Blocks allocated and not yet freed.
    pub blocks: u64,
}

impl From<AccountMemory> for NativeMemory {
    fn from(memory: AccountMemory) -> Self {
        let AccountMemory { bytes, peak_bytes, blocks } = memory;
        Self { bytes, peak_bytes, blocks }
    }
}

/// Figures that a connection published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DbStatus {
    /// Time since they were published.
    pub age: Duration,
    /// Bytes of all page caches.
    pub page_cache_bytes: u64,
    /// Bytes of the schemas.
    pub schema_bytes: u64,
    /// Bytes of the statements; `None` if there were more than 64, for which the sum takes too long.
    pub statement_bytes: Option<u64>,
    /// Lookaside slots in use.
    pub lookaside_slots: u64,
}

/// Memory still charged to a closed connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LeftBehind {
    /// Id of the connection.
    pub connection: u64,
    /// Source location that opened it.
    pub opened_at: &'static Location<'static>,
    /// Bytes not yet freed.
    pub bytes: u64,
    /// Blocks not yet freed.
    pub blocks: u64,
}

/// Takes a snapshot of the process. It also requests each connection's figures for the next snapshot.
///
/// A snapshot takes about ten microseconds for the counters, and longer if there are many descriptors, threads or
/// records, because each of them is read. Like [`handles::live`], it logs a warning for each handle that is overdue.
#[must_use]
pub fn snapshot() -> Stats {
    // Closed is read before opened: a handle opened and closed in between must not count as closed only.
    let closed = handles::closed();
    // Read before the connections: a handle opened in between has no record yet.
    let open = handles::counts();
    let (infos, counts) = registry::infos_and_counts();
    let mut accounts: HashMap<u64, AccountMemory> =
        allocator::accounts().map(|account| (account.connection, account.memory)).collect();
    let connections: Vec<ConnectionStats> =
        infos.iter().map(|info| connection(info, accounts.remove(&info.connection()).unwrap_or_default())).collect();
    let mut unrecorded = handles::unrecorded(&open, connections.iter().flat_map(|conn| &conn.children));
    // Every open connection is listed, with or without a record.
    unrecorded.connections = unrecorded.connections.saturating_sub(connections.len() as u64);
    let (pools, pool_totals) = pools::all();
    let (slow, slow_executions) = track::activity::slow();
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
        activity: activity::activity(slow),
        slow_executions: slow_executions.into_iter().map(Into::into).collect(),
        databases: activity::databases(infos.iter().map(|info| &**info)),
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
        provided: provided::provided(),
        taken: Instant::now(),
    }
}

fn connection(info: &ConnectionInfo, memory: AccountMemory) -> ConnectionStats {
    let mut children = handles::look_through(info);
    // The connection's own record repeats its data.
    children.retain(|record| record.id != info.connection());
    ConnectionStats {
        id: info.connection(),
        name: info.name().map(Into::into),
        opened_at: info.site(),
        age: info.published().open_for(),
        thread_name: info.thread_name().map(Into::into),
        memory: memory.into(),
        lookaside_bytes: info.published().lookaside_bytes(),
        figures: info.published().figures().map(|figures| DbStatus {
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
    /// Returns the changes since an earlier snapshot of this process.
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

    /// Returns the age of the oldest recorded handle of each kind. Connections are always included.
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

/// Changes between two snapshots. Returned by [`Stats::diff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsDiff {
    /// Time between the two snapshots.
    pub elapsed: Duration,
    /// Change of the bytes allocated by SQLite.
    pub bytes: i64,
    /// Change of the blocks allocated by SQLite.
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
    /// Change of the resident bytes of the process; `None` where the operating system does not provide them.
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

//! SQLite's native memory: the bytes and blocks it has allocated outside of Rust's heap, per process, connection and
//! statement.
//!
//! SQLite allocates through finalite's counting allocator. It is installed before `main` begins and counts the
//! allocations of every user of the same SQLite library in the process, including rusqlite's connections. It takes no
//! lock and costs less than SQLite's own memory statistics, which it turns off. [`mode`] returns whether the counting
//! allocator is in use; the README's section "Effects on the process" lists the effects on other users of SQLite.
//!
//! - [`stats`]: the whole process.
//! - [`Connection::memory`]: one connection. An allocation that SQLite makes within a call on a connection is charged
//!   to that connection until the block is freed, no matter which thread or connection frees it.
//! - [`Statement::memory`]: one statement.
//! - [`set_limit`]: an upper limit for the whole process.
//!
//! [The guide](https://docs.rs/crate/finalite/latest/source/docs/memory.md) lists the memory that is not counted, the
//! memory that each profiler sees, and the relation of these figures to resident memory.
//!
//! # Example
//!
//! ```
//! use finalite::{Connection, memory};
//!
//! let before = memory::stats();
//! let conn = Connection::open_in_memory()?;
//! conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000));")?;
//! assert!(memory::stats().bytes - before.bytes > 100_000);
//! assert!(conn.memory().page_cache_bytes > 100_000);
//! drop(conn);
//! assert_eq!(memory::stats().bytes, before.bytes);
//! # Ok::<(), finalite::Error>(())
//! ```

use std::fmt;

use super::handles;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::allocator::{self, ConnectionAccount, Totals};
use crate::track::figures::Figure;
use crate::{Connection, Statement};

/// Source of the memory figures of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// finalite's counting allocator.
    Counting,
    /// SQLite's own statistics. This mode applies if `FINALITE_ALLOCATOR=stock` is set, if SQLite is a system library
    /// and the feature `count-system-sqlite` is off, or if another allocator was installed first. Only the bytes, the
    /// peak and the blocks of the process are known.
    MemStatus,
    /// No source: as for `MemStatus`, and SQLite's own statistics are off.
    None,
}

impl Mode {
    /// Returns `counting`, `memstatus` or `none`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::MemStatus => "memstatus",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Source of SQLite's memory blocks, while the mode is [`Mode::Counting`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// C's `malloc`.
    #[default]
    System,
    /// Rust's global allocator. A profiler that is installed as the global allocator (dhat, jemalloc's, `stats_alloc`)
    /// then also sees SQLite's memory.
    RustGlobal,
}

impl Backend {
    /// Returns `system` or `rust`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::RustGlobal => "rust",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// SQLite's memory in the whole process: the current values, and totals since the process began.
///
/// Byte figures are the sizes that SQLite requested; each block takes 16 bytes more. While other threads allocate, the
/// figures belong to slightly different moments. While no thread allocates they are exact, except for the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Source of the figures. Unless it is [`Mode::Counting`], the fields below are 0 or empty, except `bytes`,
    /// `peak_bytes` and `blocks`; with [`Mode::None`] those are 0 too.
    pub mode: Mode,
    /// Source of new blocks.
    pub backend: Backend,
    /// Bytes allocated and not yet freed.
    pub bytes: u64,
    /// Largest value of `bytes` so far. It is inaccurate by up to 32 KiB for each thread that uses SQLite. It is never
    /// less than the peak of any one connection, which is exact.
    pub peak_bytes: u64,
    /// Blocks allocated and not yet freed.
    pub blocks: u64,
    /// Limit set with [`set_limit`].
    pub limit_bytes: Option<u64>,
    /// Total bytes of all allocations, including the bytes by which reallocations enlarged blocks.
    pub allocated_bytes_total: u64,
    /// Number of allocations.
    pub allocations_total: u64,
    /// Number of reallocations.
    pub reallocations_total: u64,
    /// Number of blocks freed.
    pub frees_total: u64,
    /// Number of allocations and reallocations that failed: the sum of the three fields below.
    pub failures_total: u64,
    /// Failures because there was no memory.
    pub failures_system_total: u64,
    /// Failures because of [`set_limit`].
    pub failures_limit_total: u64,
    /// Failures caused by fault injection (feature `fault-injection`).
    pub failures_injected_total: u64,
    /// Number of allocations by size: element `n` counts those of more than 2ⁿ⁻¹ and at most 2ⁿ bytes.
    pub size_histogram: [u64; 32],
    /// Bytes charged to no finalite connection: allocated by another driver, by SQLite for itself, by calls through
    /// [`ffi`](crate::ffi), or to convert (UTF-16) or expand (a zeroblob) a cell for reading.
    pub unattributed_bytes: u64,
    /// Blocks charged to no finalite connection.
    pub unattributed_blocks: u64,
    /// Bytes still charged to closed connections, while at least one finalite connection is open. SQLite keeps the
    /// memory that connections to one file share until the last of them closes.
    pub shared_bytes: u64,
    /// Bytes still charged to closed connections, while no finalite connection is open. Unless another driver has the
    /// same file open, these bytes are leaked.
    pub orphaned_bytes: u64,
    /// Blocks passed to the allocator to be freed or reallocated that it did not allocate, or that were freed before.
    /// They are not touched. A value other than 0 indicates a serious bug in the process.
    pub foreign_blocks_total: u64,
}

/// SQLite's memory of one connection.
///
/// `bytes`, `peak_bytes` and `blocks` are exact; they are 0 unless the mode is [`Mode::Counting`]. The other fields are
/// SQLite's own figures, limited to 2 GiB each. They do not add up to `bytes`, because they overlap and are not
/// complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionMemory {
    /// Bytes allocated within calls on this connection and not yet freed. They include the connection's lookaside
    /// memory (48,000 bytes by default), which is one block.
    pub bytes: u64,
    /// Largest value of `bytes` so far, as measured during calls on this connection.
    pub peak_bytes: u64,
    /// Blocks allocated within calls on this connection and not yet freed.
    pub blocks: u64,
    /// Bytes of all page caches. With a shared cache, each connection reports the whole cache.
    pub page_cache_bytes: u64,
    /// Bytes of the parsed schemas.
    pub schema_bytes: u64,
    /// Bytes of the prepared statements. A lookaside slot in use counts with its full size.
    pub statement_bytes: u64,
    /// Lookaside slots in use.
    pub lookaside_slots: u64,
}

/// SQLite's memory of one statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementMemory {
    /// Bytes of the statement. A lookaside slot in use counts with its full size. A small statement may fit into
    /// lookaside slots; it then adds nothing to the bytes of its connection. Sorters and temporary tables are charged
    /// to the connection.
    pub bytes: u64,
}

/// Returns SQLite's memory figures for the whole process.
///
/// It takes no lock and reads about 10,000 words. With [`Mode::MemStatus`] it calls SQLite, which takes a lock.
#[must_use]
pub fn stats() -> MemoryStats {
    let mode = mode();
    let backend = if allocator::uses_rust_global() { Backend::RustGlobal } else { Backend::System };
    if mode != Mode::Counting {
        return sqlites_own(mode, backend);
    }
    // The accounts are read before the totals: an allocation in between then counts in the total and not in a part.
    let (left, left_blocks) = sum(allocator::lingering());
    let (charged, charged_blocks) = sum(allocator::accounts());
    let highest = allocator::accounts().map(|account| account.memory.peak_bytes).max().unwrap_or(0);
    let totals = allocator::totals();
    let bytes = unsigned(totals.bytes);
    let allocations_total = unsigned(totals.sizes.iter().sum());
    let blocks = allocations_total.saturating_sub(unsigned(totals.frees));
    let is_any_open = handles::open_connections() > 0;
    MemoryStats {
        mode,
        backend,
        bytes,
        peak_bytes: unsigned(totals.peak_bytes).max(highest),
        blocks,
        limit_bytes: Some(totals.limit_bytes).filter(|&limit| limit != i64::MAX).map(unsigned),
        allocated_bytes_total: unsigned(totals.allocated),
        allocations_total,
        reallocations_total: unsigned(totals.reallocations),
        frees_total: unsigned(totals.frees),
        failures_total: unsigned(failures(&totals)),
        failures_system_total: unsigned(totals.failures_system),
        failures_limit_total: unsigned(totals.failures_limit),
        failures_injected_total: unsigned(totals.failures_injected),
        size_histogram: totals.sizes.map(unsigned),
        unattributed_bytes: bytes.saturating_sub(charged + left),
        unattributed_blocks: blocks.saturating_sub(charged_blocks + left_blocks),
        shared_bytes: if is_any_open { left } else { 0 },
        orphaned_bytes: if is_any_open { 0 } else { left },
        foreign_blocks_total: unsigned(totals.foreign_blocks),
    }
}

/// Sums the bytes and blocks of the accounts.
fn sum(accounts: impl Iterator<Item = ConnectionAccount>) -> (u64, u64) {
    accounts.fold((0, 0), |(bytes, blocks), account| (bytes + account.memory.bytes, blocks + account.memory.blocks))
}

fn failures(totals: &Totals) -> i64 {
    totals.failures_system + totals.failures_limit + totals.failures_injected
}

fn sqlites_own(mode: Mode, backend: Backend) -> MemoryStats {
    MemoryStats {
        mode,
        backend,
        bytes: unsigned(allocator::memory_used()),
        peak_bytes: unsigned(allocator::memory_highwater()),
        blocks: unsigned(allocator::malloc_count()),
        limit_bytes: None,
        allocated_bytes_total: 0,
        allocations_total: 0,
        reallocations_total: 0,
        frees_total: 0,
        failures_total: 0,
        failures_system_total: 0,
        failures_limit_total: 0,
        failures_injected_total: 0,
        size_histogram: [0; 32],
        unattributed_bytes: 0,
        unattributed_blocks: 0,
        shared_bytes: 0,
        orphaned_bytes: 0,
        foreign_blocks_total: 0,
    }
}

/// Clamps a sum to 0. A sum over words that other threads write concurrently may be negative for a moment.
fn unsigned(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

/// Returns the source of the memory figures. The value is final once the first connection is open.
#[must_use]
pub fn mode() -> Mode {
    match allocator::mode() {
        allocator::Mode::Counting => Mode::Counting,
        allocator::Mode::MemStatus => Mode::MemStatus,
        allocator::Mode::None => Mode::None,
    }
}

/// Limits the bytes that SQLite may hold in the whole process; `None` removes the limit. Existing allocations are not
/// affected.
///
/// An allocation beyond the limit fails like one for which there is no memory: the call returns
/// [`ErrorKind::NoMemory`], and the connection stays usable. Each thread may exceed the limit by up to 32 KiB.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] unless the mode is [`Mode::Counting`].
///
/// # Example
///
/// ```
/// use finalite::{Connection, ErrorKind, memory};
///
/// let conn = Connection::open_in_memory()?;
/// memory::set_limit(memory::stats().bytes + (1 << 20))?;
/// let error = conn.query_one::<Vec<u8>>("SELECT zeroblob(10000000)", ()).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }));
/// assert_eq!(conn.query_one::<i64>("SELECT 1", ())?, 1);
/// memory::set_limit(None)?;
/// # Ok::<(), finalite::Error>(())
/// ```
pub fn set_limit(bytes: impl Into<Option<u64>>) -> Result<()> {
    require_counting("memory::set_limit")?;
    allocator::set_limit(bytes.into());
    Ok(())
}

/// Sets the source of new blocks. Existing blocks are returned to the allocator they came from, so the backend may be
/// changed at any time.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] unless the mode is [`Mode::Counting`].
///
/// # Example
///
/// ```
/// use finalite::memory::{self, Backend};
///
/// memory::set_backend(Backend::RustGlobal)?; // now a profiler in Rust's global allocator sees SQLite
/// assert_eq!(memory::stats().backend, Backend::RustGlobal);
/// # Ok::<(), finalite::Error>(())
/// ```
pub fn set_backend(backend: Backend) -> Result<()> {
    require_counting("memory::set_backend")?;
    allocator::use_rust_global(backend == Backend::RustGlobal);
    Ok(())
}

fn require_counting(what: &str) -> Result<()> {
    match mode() {
        Mode::Counting => Ok(()),
        mode => {
            let reason = format!("{what} needs finalite's allocator, and the mode is {mode}");
            Err(Error::new(ErrorKind::Unsupported { reason: reason.into() }))
        }
    }
}

pub use crate::ffi::install;

impl Connection {
    /// Returns SQLite's memory figures for this connection.
    ///
    /// The memory for converting text of a UTF-16 database when a cell is read is not charged to any connection.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000));")?;
    /// let memory = conn.memory();
    /// assert!(memory.bytes >= memory.page_cache_bytes && memory.page_cache_bytes > 100_000);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_db_status](https://sqlite.org/c3ref/db_status.html)
    #[must_use]
    pub fn memory(&self) -> ConnectionMemory {
        let account = self.db().memory();
        ConnectionMemory {
            bytes: account.bytes,
            peak_bytes: account.peak_bytes,
            blocks: account.blocks,
            page_cache_bytes: self.db().status(Figure::PageCacheBytes),
            schema_bytes: self.db().status(Figure::SchemaBytes),
            statement_bytes: self.db().status(Figure::StatementBytes),
            lookaside_slots: self.db().status(Figure::LookasideSlots),
        }
    }

    /// Frees unused memory: pages of the cache that are neither in use nor modified. Returns the number of bytes by
    /// which the page cache shrank.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let conn = Connection::open(dir.path().join("app.db"))?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000));")?;
    /// assert!(conn.release_memory()? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_db_release_memory](https://sqlite.org/c3ref/db_release_memory.html)
    pub fn release_memory(&self) -> Result<u64> {
        let before = self.db().status(Figure::PageCacheBytes);
        self.db().release_memory()?;
        Ok(before.saturating_sub(self.db().status(Figure::PageCacheBytes)))
    }
}

impl Statement<'_> {
    /// Returns SQLite's memory figures for this statement.
    ///
    /// C: [SQLITE_STMTSTATUS_MEMUSED](https://sqlite.org/c3ref/c_stmtstatus_counter.html)
    #[must_use]
    pub fn memory(&self) -> StatementMemory {
        StatementMemory { bytes: u64::try_from(self.counters().memory_bytes).unwrap_or(0) }
    }
}

#[cfg(feature = "fault-injection")]
pub use fault::{AllocationFault, ArmedFault, fail_after};

#[cfg(feature = "fault-injection")]
mod fault {
    use crate::raw::allocator;

    /// Selection of the SQLite allocations that fail (feature `fault-injection`). It has no effect until it is armed.
    #[derive(Clone, Copy, Debug)]
    pub struct AllocationFault {
        after: u64,
        sticky: bool,
        all_threads: bool,
    }

    impl AllocationFault {
        /// Selects the allocation or reallocation that comes after `n` others, counted from arming; 0 selects the next
        /// one.
        #[must_use]
        pub fn after(n: u64) -> Self {
            Self { after: n, sticky: false, all_threads: false }
        }

        /// Sets whether all later allocations fail too. Off by default.
        #[must_use]
        pub fn sticky(mut self, sticky: bool) -> Self {
            self.sticky = sticky;
            self
        }

        /// Sets whether the allocations of all threads are counted, instead of those of the current thread only. Off by
        /// default.
        #[must_use]
        pub fn all_threads(mut self, all: bool) -> Self {
            self.all_threads = all;
            self
        }

        /// Arms the fault. One fault per thread and one for all threads can be armed at a time; a second one replaces
        /// the first.
        ///
        /// While any fault is armed, memory that SQLite frees is overwritten, and every reallocation moves the block.
        #[must_use = "it is disarmed when this is dropped"]
        pub fn arm(self) -> ArmedFault {
            ArmedFault(allocator::Fault::arm(self.after, self.sticky, self.all_threads))
        }
    }

    /// An armed fault. Dropping it disarms it.
    #[derive(Debug)]
    pub struct ArmedFault(allocator::Fault);

    impl ArmedFault {
        /// Returns the number of allocations that this fault made fail; 0 once another fault has replaced it.
        #[must_use]
        pub fn failures(&self) -> u64 {
            self.0.failures()
        }

        /// Disarms the fault and returns the number of allocations that it made fail.
        pub fn disarm(self) -> u64 {
            self.failures()
        }
    }

    /// Arms a fault for the allocation that comes after `n` others on this thread; only that one fails. See
    /// [`AllocationFault`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ErrorKind, memory};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let fault = memory::fail_after(0);
    /// let error = conn.execute_batch("CREATE TABLE t(a)").unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }));
    /// assert_eq!(fault.disarm(), 1);
    /// conn.execute_batch("CREATE TABLE t(a)")?;
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use = "it is disarmed when this is dropped"]
    pub fn fail_after(n: u64) -> ArmedFault {
        AllocationFault::after(n).arm()
    }
}

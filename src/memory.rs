//! SQLite's memory: what it holds outside of Rust's heap, and whose that is.
//!
//! SQLite allocates through finalite's counting allocator, which stands in place before `main` begins and counts for
//! every user of the same SQLite in the process, rusqlite's connections among them. It takes no lock and costs less
//! than SQLite's own statistics, which are off for it. [`Mode`] says whether it is so; the README's section
//! "Process-global effects" says what it changes for others.
//!
//! - [`stats`]: the process.
//! - [`Connection::memory`]: one connection. What SQLite allocates within a call on a connection is charged to it,
//!   until it is freed, by whomever.
//! - [`Statement::memory`]: one statement.
//! - [`set_limit`]: no more than so much.
//!
//! [The guide](https://docs.rs/crate/finalite/latest/source/docs/memory.md) tells what is not counted, which profiler
//! sees what, and how all that relates to resident memory.
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

use crate::error::{Error, ErrorKind, Result};
use crate::handles;
use crate::raw::allocator::{self, ConnectionAccount, Totals};
use crate::raw::{Figure, shielded};
use crate::{Connection, Statement};

/// Who counts SQLite's memory in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// finalite's allocator.
    Counting,
    /// SQLite's own statistics: `FINALITE_ALLOCATOR=stock` is set, it is a system SQLite without the feature
    /// `count-system-sqlite`, or something else came first. Bytes, peak and blocks of the process are known, nothing else.
    MemStatus,
    /// Nobody: as `MemStatus`, and those statistics are off.
    None,
}

impl Mode {
    /// `counting`, `memstatus` or `none`.
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

/// Where SQLite's blocks come from, while the mode is [`Mode::Counting`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// C's `malloc`.
    #[default]
    System,
    /// Rust's global allocator, so that a profiler that stands there (dhat, jemalloc's, `stats_alloc`) sees SQLite's
    /// memory too.
    RustGlobal,
}

impl Backend {
    /// `system` or `rust`.
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

/// What SQLite holds in the whole process, and what it has asked for since the process began.
///
/// Bytes are those that SQLite asked for; each block takes 16 more. While other threads allocate, the figures are of
/// slightly different moments; when none does, they are exact, but for the peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Who counts. Where it is not [`Mode::Counting`], what is below is 0 or empty except for `bytes`, `peak_bytes` and
    /// `blocks`, and with [`Mode::None`] those too.
    pub mode: Mode,
    /// Where new blocks come from.
    pub backend: Backend,
    /// Bytes held now.
    pub bytes: u64,
    /// The most bytes held. It may be off by up to 32 KiB for each thread that uses SQLite, and is no less than any
    /// connection's own, which is exact.
    pub peak_bytes: u64,
    /// Blocks held now.
    pub blocks: u64,
    /// What [`set_limit`] allows.
    pub limit_bytes: Option<u64>,
    /// Bytes of all allocations, and what reallocations added.
    pub allocated_bytes_total: u64,
    /// Blocks allocated.
    pub allocations_total: u64,
    /// Blocks made larger or smaller.
    pub reallocations_total: u64,
    /// Blocks freed.
    pub frees_total: u64,
    /// Allocations and reallocations that failed: the sum of the three below.
    pub failures_total: u64,
    /// Those that failed because there was no memory.
    pub failures_system_total: u64,
    /// Those that failed because of [`set_limit`].
    pub failures_limit_total: u64,
    /// Those that failed because they were made to (feature `fault-injection`).
    pub failures_injected_total: u64,
    /// Allocations by size: element `n` counts those of more than 2ⁿ⁻¹ and up to 2ⁿ bytes.
    pub size_histogram: [u64; 32],
    /// Bytes that belong to no finalite connection: another driver's, SQLite's own, allocated by calls through
    /// [`ffi`](crate::ffi), or for a cell that had to be converted (UTF-16) or expanded (a zeroblob) to be read.
    pub unattributed_bytes: u64,
    /// Blocks of that kind.
    pub unattributed_blocks: u64,
    /// Bytes that connections left behind when they closed, while others are open: SQLite keeps what connections to one
    /// file share until the last of them closes.
    pub shared_bytes: u64,
    /// Bytes that connections left behind, when no finalite connection is open any more. If no other driver has the
    /// same file open, they are lost.
    pub orphaned_bytes: u64,
    /// Blocks that were to be freed and are not of this allocator, or were freed before. They are left alone. 0 unless
    /// something is badly wrong.
    pub foreign_blocks_total: u64,
}

/// What SQLite holds for a connection.
///
/// `bytes`, `peak_bytes` and `blocks` are exact, and 0 unless the mode is [`Mode::Counting`]. The parts are SQLite's
/// own figures, up to 2 GiB each, and do not add up to `bytes`: they overlap, and there are others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionMemory {
    /// Bytes allocated within calls on this connection and not yet freed. The connection's lookaside memory (48,000
    /// bytes unless set otherwise) is one block of it.
    pub bytes: u64,
    /// The most of those, as calls on this connection saw it.
    pub peak_bytes: u64,
    /// The blocks they are in.
    pub blocks: u64,
    /// Bytes of all page caches. With a shared cache, each connection counts all of it.
    pub page_cache_bytes: u64,
    /// Bytes of the schemas, as far as they are read.
    pub schema_bytes: u64,
    /// Bytes of the prepared statements, lookaside slots included, each as a whole.
    pub statement_bytes: u64,
    /// Lookaside slots in use.
    pub lookaside_slots: u64,
}

/// What SQLite holds for a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementMemory {
    /// Bytes, lookaside slots included, each as a whole: a small statement may fit into those, and then adds nothing to
    /// its connection's bytes. Sorters and temporary tables are their connection's.
    pub bytes: u64,
}

/// What SQLite holds in the whole process.
///
/// It takes no lock, and reads some 10,000 words. With [`Mode::MemStatus`] it asks SQLite, which takes one.
#[must_use]
pub fn stats() -> MemoryStats {
    let mode = mode();
    let backend = if allocator::uses_rust_global() { Backend::RustGlobal } else { Backend::System };
    if mode != Mode::Counting {
        return sqlites_own(mode, backend);
    }
    // The parts are looked at before the whole: what comes in between adds to the whole.
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

/// Bytes and blocks.
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

/// A sum over words that others write meanwhile may be below zero for a moment.
fn unsigned(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}

/// Who counts. Known for certain once the first connection is open.
#[must_use]
pub fn mode() -> Mode {
    match allocator::mode() {
        allocator::Mode::Counting => Mode::Counting,
        allocator::Mode::MemStatus => Mode::MemStatus,
        allocator::Mode::None => Mode::None,
    }
}

/// Limits what SQLite may hold in the whole process; `None`: no limit. What is held already stays.
///
/// An allocation beyond it fails as if there were no memory: the call returns
/// [`ErrorKind::NoMemory`], and the connection stays usable. Each thread may exceed the limit by
/// up to 32 KiB.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] where the mode is not [`Mode::Counting`].
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

/// Where new blocks come from. Blocks that exist stay where they are and go back to where they are from, so this may be
/// changed at any time.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] where the mode is not [`Mode::Counting`].
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

pub use crate::raw::interop::install;

/// When the last connection closes, what was charged to one that closed before is lost: SQLite shares with nobody then.
pub(crate) fn report_orphans() {
    if handles::open_connections() > 0 {
        return;
    }
    for left in allocator::lingering_unreported() {
        shielded(|| {
            tracing::error!(
                target: "finalite::leak",
                connection = left.connection,
                opened_at = %left.site,
                bytes = left.memory.bytes,
                blocks = left.memory.blocks,
                "memory of a closed connection is not freed, and no connection is open any more",
            );
        });
    }
}

impl Connection {
    /// What SQLite holds for this connection.
    ///
    /// Text of a UTF-16 database is converted when a cell is read, on nobody's account.
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

    /// Gives back memory that is not in use: pages of the cache that nobody reads or has changed. Returns the bytes by
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
    /// What SQLite holds for this statement.
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

    /// Which of SQLite's allocations are to fail (feature `fault-injection`). Nothing fails until it is armed.
    #[derive(Clone, Copy, Debug)]
    pub struct AllocationFault {
        after: u64,
        sticky: bool,
        all_threads: bool,
    }

    impl AllocationFault {
        /// The allocation or reallocation that comes after `n` others, counted from arming; 0: the next.
        #[must_use]
        pub fn after(n: u64) -> Self {
            Self { after: n, sticky: false, all_threads: false }
        }

        /// Whether all that follow fail too. Off unless set.
        #[must_use]
        pub fn sticky(mut self, sticky: bool) -> Self {
            self.sticky = sticky;
            self
        }

        /// Whether to count what all threads allocate, not only this one. Off unless set.
        #[must_use]
        pub fn all_threads(mut self, all: bool) -> Self {
            self.all_threads = all;
            self
        }

        /// Begins. One fault per thread, and one for all threads, can be armed at a time: a second replaces the first.
        ///
        /// While any is armed, memory that SQLite frees is overwritten, and what it reallocates is moved.
        #[must_use = "it is disarmed when this is dropped"]
        pub fn arm(self) -> ArmedFault {
            ArmedFault(allocator::Fault::arm(self.after, self.sticky, self.all_threads))
        }
    }

    /// A fault that is armed. Dropping it disarms it.
    #[derive(Debug)]
    pub struct ArmedFault(allocator::Fault);

    impl ArmedFault {
        /// How many allocations it has made fail; 0 once another fault replaced it.
        #[must_use]
        pub fn failures(&self) -> u64 {
            self.0.failures()
        }

        /// Disarms it, and returns how many allocations it has made fail.
        pub fn disarm(self) -> u64 {
            self.failures()
        }
    }

    /// Makes the allocation fail that comes after `n` others on this thread, once. See [`AllocationFault`].
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

//! Status figures of connections, and their publication to other threads.
//!
//! Only the thread that uses a connection may call `sqlite3_db_status` for it, and a snapshot of the process must not
//! wait for connections. Each connection therefore publishes its own figures, into atomics that other threads read:
//!
//! ```text
//!   thread that takes a snapshot          thread that uses the connection
//!
//!   reads Published                       Db::enter compares the connection's Moment
//!   fork::request_figures  -- NOW + 1 ->    with NOW, as it does to detect a fork
//!                                         NOW has changed: Db::publish
//!   next snapshot reads Published  <----    calls sqlite3_db_status, stores the results
//! ```
//!
//! A request costs an entry nothing, because detecting a fork needs the same comparison. A connection also publishes
//! when it is returned to a pool, and publishes its counters a last time when it is closed.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::allocator::AccountMemory;
use super::db::Db;
use super::{ffi, library};

/// Figure of which `sqlite3_db_status` returns the current value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    PageCacheBytes,
    SchemaBytes,
    StatementBytes,
    LookasideSlots,
}

/// Counter that `sqlite3_db_status` has kept since the connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    LookasideHits,
    LookasideMissesSize,
    LookasideMissesFull,
    PagerHits,
    PagerMisses,
    PagerWrites,
    PagerSpills,
    TempbufSpillBytes,
}

impl Counter {
    pub(crate) const ALL: [Self; 8] = [
        Self::LookasideHits,
        Self::LookasideMissesSize,
        Self::LookasideMissesFull,
        Self::PagerHits,
        Self::PagerMisses,
        Self::PagerWrites,
        Self::PagerSpills,
        Self::TempbufSpillBytes,
    ];

    fn operation(self) -> c_int {
        /// `SQLITE_DBSTATUS_TEMPBUF_SPILL`, since SQLite 3.52. Older bindings do not define it, and an older SQLite
        /// returns an error.
        const TEMPBUF_SPILL: c_int = 13;
        match self {
            Self::LookasideHits => ffi::SQLITE_DBSTATUS_LOOKASIDE_HIT,
            Self::LookasideMissesSize => ffi::SQLITE_DBSTATUS_LOOKASIDE_MISS_SIZE,
            Self::LookasideMissesFull => ffi::SQLITE_DBSTATUS_LOOKASIDE_MISS_FULL,
            Self::PagerHits => ffi::SQLITE_DBSTATUS_CACHE_HIT,
            Self::PagerMisses => ffi::SQLITE_DBSTATUS_CACHE_MISS,
            Self::PagerWrites => ffi::SQLITE_DBSTATUS_CACHE_WRITE,
            Self::PagerSpills => ffi::SQLITE_DBSTATUS_CACHE_SPILL,
            Self::TempbufSpillBytes => TEMPBUF_SPILL,
        }
    }
}

/// Values of all [`Counter`]s, in their order.
pub(crate) type Counts = [u64; Counter::ALL.len()];

/// Figures that a connection published, which every thread may read.
#[derive(Debug)]
pub(crate) struct Published {
    opened: Instant,
    /// Time of publication in nanoseconds after `opened`, plus one; 0: never.
    at: AtomicU64,
    page_cache_bytes: AtomicU64,
    schema_bytes: AtomicU64,
    statement_bytes: AtomicU64,
    lookaside_slots: AtomicU64,
    lookaside_bytes: AtomicU64,
    counts: [AtomicU64; Counter::ALL.len()],
}

/// Value of `statement_bytes` if there are too many statements to query each.
const TOO_MANY: u64 = u64::MAX;

/// Largest number of statements whose memory is queried, each by a call of its own.
const STATEMENTS_MAX: usize = 64;

/// Shortest time between two measurements of a large schema: SQLite traverses the whole schema to compute its size.
const SCHEMA_EVERY: Duration = Duration::from_secs(5);
const LARGE_SCHEMA_BYTES: u64 = 64 << 10;

/// Figures that a connection published, and their age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DbStatus {
    pub(crate) age: Duration,
    pub(crate) page_cache_bytes: u64,
    pub(crate) schema_bytes: u64,
    pub(crate) statement_bytes: Option<u64>,
    pub(crate) lookaside_slots: u64,
}

impl Published {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            at: AtomicU64::new(0),
            page_cache_bytes: AtomicU64::new(0),
            schema_bytes: AtomicU64::new(0),
            statement_bytes: AtomicU64::new(0),
            lookaside_slots: AtomicU64::new(0),
            lookaside_bytes: AtomicU64::new(library::default_lookaside()),
            counts: [const { AtomicU64::new(0) }; Counter::ALL.len()],
        }
    }

    /// Returns the time since the connection was opened.
    pub(crate) fn open_for(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Returns the published figures; `None` before the first publication.
    pub(crate) fn figures(&self) -> Option<DbStatus> {
        let at = self.at.load(Ordering::Acquire).checked_sub(1)?;
        Some(DbStatus {
            age: self.opened.elapsed().saturating_sub(Duration::from_nanos(at)),
            page_cache_bytes: self.page_cache_bytes.load(Ordering::Relaxed),
            schema_bytes: self.schema_bytes.load(Ordering::Relaxed),
            statement_bytes: Some(self.statement_bytes.load(Ordering::Relaxed)).filter(|&bytes| bytes != TOO_MANY),
            lookaside_slots: self.lookaside_slots.load(Ordering::Relaxed),
        })
    }

    /// Returns the size of the connection's lookaside memory, used or not.
    pub(crate) fn lookaside_bytes(&self) -> u64 {
        self.lookaside_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_lookaside_bytes(&self, bytes: u64) {
        self.lookaside_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// State at the connection's last publication.
#[derive(Debug, Default)]
pub(super) struct LastSeen {
    /// Values of SQLite's counters, which have 31 bits.
    counts: Cell<[i32; Counter::ALL.len()]>,
    memory: Cell<Option<AccountMemory>>,
    /// Time of the last measurement of the schema.
    schema: Cell<Option<Instant>>,
}

/// Returns the increase of a 31-bit counter. Across a wrap-around it is recognized if it is less than 2^30.
fn advance(before: i32, now: i32) -> u64 {
    let (before, now) = (i64::from(before), i64::from(now));
    let advance = if now >= before {
        now - before
    } else if before - now > 1 << 30 {
        // The counter wrapped around to 0.
        now - before + (1 << 31)
    } else {
        // SQLite sums over the databases of a connection, and one was detached; or foreign code reset the counter.
        0
    };
    advance.unsigned_abs()
}

impl Db {
    /// Returns SQLite's current value and its high-water mark, without resetting either.
    fn ask(&self, operation: c_int) -> (c_int, c_int) {
        let (mut now, mut highest) = (0, 0);
        if !self.is_closed() {
            // SAFETY: `self` owns the connection, which is not closed (rule 19); both pointers are to local integers.
            // SQLite answers from memory alone, so no entry is needed (rule 20); c3ref/db_status.html: with 0 resets
            // nothing.
            unsafe { ffi::sqlite3_db_status(self.as_ptr(), operation, &raw mut now, &raw mut highest, 0) };
        }
        (now, highest)
    }

    /// Returns the current value of a figure; 0 for a closed connection.
    pub(crate) fn status(&self, figure: Figure) -> u64 {
        let operation = match figure {
            Figure::PageCacheBytes => ffi::SQLITE_DBSTATUS_CACHE_USED,
            Figure::SchemaBytes => ffi::SQLITE_DBSTATUS_SCHEMA_USED,
            Figure::StatementBytes => ffi::SQLITE_DBSTATUS_STMT_USED,
            Figure::LookasideSlots => ffi::SQLITE_DBSTATUS_LOOKASIDE_USED,
        };
        u64::try_from(self.ask(operation).0).unwrap_or(0)
    }

    /// Publishes the figures before a possibly long idle time, if figures were ever requested in this process, and the
    /// connection's memory has changed since its last publication. Counters that changed alone are published at the
    /// next use.
    #[inline]
    pub(crate) fn publish_if_changed(&self) {
        if !super::fork::are_figures_asked() {
            return;
        }
        // No block is charged if the counting allocator is not in use: a change cannot be detected then.
        let memory = self.memory();
        if memory.blocks == 0 || self.last_seen().memory.get() != Some(memory) {
            self.publish();
        }
    }

    /// Publishes the current figures of the connection.
    #[cold]
    pub(crate) fn publish(&self) {
        let published = self.book().published();
        self.publish_counts();
        let statements = self.publish_statements(STATEMENTS_MAX).unwrap_or(TOO_MANY);
        published.statement_bytes.store(statements, Ordering::Relaxed);
        published.page_cache_bytes.store(self.status(Figure::PageCacheBytes), Ordering::Relaxed);
        let asked = &self.last_seen().schema;
        let is_large = published.schema_bytes.load(Ordering::Relaxed) >= LARGE_SCHEMA_BYTES;
        if !is_large || asked.get().is_none_or(|asked| asked.elapsed() >= SCHEMA_EVERY) {
            published.schema_bytes.store(self.status(Figure::SchemaBytes), Ordering::Relaxed);
            asked.set(Some(Instant::now()));
        }
        published.lookaside_slots.store(self.status(Figure::LookasideSlots), Ordering::Relaxed);
        let at = u64::try_from(published.opened.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
        published.at.store(at + 1, Ordering::Release);
        self.last_seen().memory.set(Some(self.memory()));
    }

    /// Publishes the counters, which outlive the connection in the total of closed connections.
    pub(super) fn publish_counts(&self) {
        let mut seen = self.last_seen().counts.get();
        for ((counter, seen), count) in Counter::ALL.into_iter().zip(&mut seen).zip(&self.book().published().counts) {
            let (now, highest) = self.ask(counter.operation());
            // SQLite returns some counters as the current value and some as the high-water mark, and 0 in the other.
            let now = now.max(highest);
            // No other thread writes this word.
            count.store(count.load(Ordering::Relaxed) + advance(*seen, now), Ordering::Relaxed);
            *seen = now;
        }
        self.last_seen().counts.set(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::advance;

    #[test]
    fn counters_of_31_bits_go_on() {
        assert_eq!(advance(5, 5), 0);
        assert_eq!(advance(5, 7), 2);
        assert_eq!(advance(i32::MAX, 0), 1);
        assert_eq!(advance(i32::MAX - 1, 3), 5);
    }

    #[test]
    fn what_is_detached_is_not_counted_again() {
        assert_eq!(advance(1000, 3), 0);
    }
}

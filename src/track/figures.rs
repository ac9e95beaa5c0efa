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
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
}

/// Values of all [`Counter`]s, in their order.
pub(crate) type Counts = [u64; Counter::ALL.len()];

/// Memory charged to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountMemory {
    pub(crate) bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) blocks: u64,
}

/// Figures that a connection published, which every thread may read.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) opened: Instant,
    /// Time of publication in nanoseconds after `opened`, plus one; 0: never.
    pub(crate) at: AtomicU64,
    pub(crate) page_cache_bytes: AtomicU64,
    pub(crate) schema_bytes: AtomicU64,
    pub(crate) statement_bytes: AtomicU64,
    pub(crate) lookaside_slots: AtomicU64,
    lookaside_bytes: AtomicU64,
    pub(crate) counts: [AtomicU64; Counter::ALL.len()],
}

/// Value of `statement_bytes` if there are too many statements to query each.
pub(crate) const TOO_MANY: u64 = u64::MAX;

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
    pub(crate) fn new(lookaside_bytes: u64) -> Self {
        Self {
            opened: Instant::now(),
            at: AtomicU64::new(0),
            page_cache_bytes: AtomicU64::new(0),
            schema_bytes: AtomicU64::new(0),
            statement_bytes: AtomicU64::new(0),
            lookaside_slots: AtomicU64::new(0),
            lookaside_bytes: AtomicU64::new(lookaside_bytes),
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

    pub(crate) fn set_lookaside_bytes(&self, bytes: u64) {
        self.lookaside_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// State at the connection's last publication.
#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    /// Values of SQLite's counters, which have 31 bits.
    pub(crate) counts: Cell<[i32; Counter::ALL.len()]>,
    pub(crate) memory: Cell<Option<AccountMemory>>,
    /// Time of the last measurement of the schema.
    pub(crate) schema: Cell<Option<Instant>>,
}

/// Returns the increase of a 31-bit counter. Across a wrap-around it is recognized if it is less than 2^30.
pub(crate) fn advance(before: i32, now: i32) -> u64 {
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

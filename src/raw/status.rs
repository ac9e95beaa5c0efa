//! `sqlite3_db_status`, and the publication of its figures to other threads.

use std::ffi::c_int;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::db::Db;
use super::ffi;
use super::os::fork;
use crate::track::figures::{Counter, Counts, Figure, TOO_MANY, advance};

/// Largest number of statements whose memory is queried, each by a call of its own.
const STATEMENTS_MAX: usize = 64;

/// Shortest time between two measurements of a large schema: SQLite traverses the whole schema to compute its size.
const SCHEMA_EVERY: Duration = Duration::from_secs(5);
const LARGE_SCHEMA_BYTES: u64 = 64 << 10;

/// Returns the operation of `sqlite3_db_status` that returns a counter.
fn operation(counter: Counter) -> c_int {
    /// `SQLITE_DBSTATUS_TEMPBUF_SPILL`, since SQLite 3.52. Older bindings do not define it, and an older SQLite
    /// returns an error.
    const TEMPBUF_SPILL: c_int = 13;
    match counter {
        Counter::LookasideHits => ffi::SQLITE_DBSTATUS_LOOKASIDE_HIT,
        Counter::LookasideMissesSize => ffi::SQLITE_DBSTATUS_LOOKASIDE_MISS_SIZE,
        Counter::LookasideMissesFull => ffi::SQLITE_DBSTATUS_LOOKASIDE_MISS_FULL,
        Counter::PagerHits => ffi::SQLITE_DBSTATUS_CACHE_HIT,
        Counter::PagerMisses => ffi::SQLITE_DBSTATUS_CACHE_MISS,
        Counter::PagerWrites => ffi::SQLITE_DBSTATUS_CACHE_WRITE,
        Counter::PagerSpills => ffi::SQLITE_DBSTATUS_CACHE_SPILL,
        Counter::TempbufSpillBytes => TEMPBUF_SPILL,
    }
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

    /// Whether foreign keys, deferred or not, are violated in the open transaction.
    pub(crate) fn has_unresolved_foreign_keys(&self) -> bool {
        self.ask(ffi::SQLITE_DBSTATUS_DEFERRED_FKS).0 != 0
    }

    /// Returns the counters since the connection was opened.
    pub(crate) fn counts(&self) -> Counts {
        self.publish_counts();
        self.info().published().counts()
    }

    /// Publishes the figures before a possibly long idle time, if figures were ever requested in this process, and the
    /// connection's memory has changed since its last publication. Counters that changed alone are published at the
    /// next use.
    #[inline]
    pub(crate) fn publish_if_changed(&self) {
        if !fork::are_figures_asked() {
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
        let published = self.info().published();
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
        for ((counter, seen), count) in Counter::ALL.into_iter().zip(&mut seen).zip(&self.info().published().counts) {
            let (now, highest) = self.ask(operation(counter));
            // SQLite returns some counters as the current value and some as the high-water mark, and 0 in the other.
            let now = now.max(highest);
            // No other thread writes this word.
            count.store(count.load(Ordering::Relaxed) + advance(*seen, now), Ordering::Relaxed);
            *seen = now;
        }
        self.last_seen().counts.set(seen);
    }
}

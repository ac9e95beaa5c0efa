//! What SQLite tells of a connection, and how other threads get to know it.
//!
//! `sqlite3_db_status` may be asked by the connection's own thread alone. So a connection publishes its figures itself:
//! when it is next used after somebody asked (`fork::request_figures`, which costs an entry nothing), when a pool gets
//! it back, and the last time when it is closed. Others read what was published, which is memory of ours.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::allocator::AccountMemory;
use super::db::Db;
use super::{ffi, library};

/// What `sqlite3_db_status` can tell of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    PageCacheBytes,
    SchemaBytes,
    StatementBytes,
    LookasideSlots,
}

/// What `sqlite3_db_status` counts since the connection was opened.
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
        /// Since SQLite 3.52; the older bindings do not name it, and an older SQLite refuses it.
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

/// One number for each [`Counter`], in their order.
pub(crate) type Counts = [u64; Counter::ALL.len()];

/// What a connection made known of itself, for every thread to read.
#[derive(Debug)]
pub(crate) struct Published {
    opened: Instant,
    /// When, in nanoseconds after `opened`, and one more; 0: never.
    at: AtomicU64,
    page_cache_bytes: AtomicU64,
    schema_bytes: AtomicU64,
    statement_bytes: AtomicU64,
    lookaside_slots: AtomicU64,
    lookaside_bytes: AtomicU64,
    counts: [AtomicU64; Counter::ALL.len()],
}

/// There are too many statements to ask each.
const TOO_MANY: u64 = u64::MAX;

/// Each is asked for itself.
const STATEMENTS_MAX: usize = 64;

/// SQLite walks through the whole schema to tell its bytes: a large one is not asked for each time.
const SCHEMA_EVERY: Duration = Duration::from_secs(5);
const LARGE_SCHEMA_BYTES: u64 = 64 << 10;

/// What a connection made known of itself, and how long ago that was.
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

    /// How long the connection has been open.
    pub(crate) fn open_for(&self) -> Duration {
        self.opened.elapsed()
    }

    /// `None` before the first time.
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

    /// The connection's lookaside memory, used or not.
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

/// What was the case when the connection published last.
#[derive(Debug, Default)]
pub(super) struct LastSeen {
    /// SQLite's counters, which it keeps in 31 bits.
    counts: Cell<[i32; Counter::ALL.len()]>,
    memory: Cell<Option<AccountMemory>>,
    /// When the schema was asked for.
    schema: Cell<Option<Instant>>,
}

/// How much a counter of 31 bits went on, if not by more than that.
fn advance(before: i32, now: i32) -> u64 {
    let (before, now) = (i64::from(before), i64::from(now));
    let advance = if now >= before {
        now - before
    } else if before - now > 1 << 30 {
        // It began again at 0.
        now - before + (1 << 31)
    } else {
        // SQLite adds up over the databases of a connection, and one was detached; or foreign code set it to 0.
        0
    };
    advance.unsigned_abs()
}

impl Db {
    /// What SQLite says now, and the highest it was. Nothing is reset.
    fn ask(&self, operation: c_int) -> (c_int, c_int) {
        let (mut now, mut highest) = (0, 0);
        if !self.is_closed() {
            // SAFETY: the connection is open; both pointers are to integers of ours. c3ref/db_status.html: reads
            // memory, and with 0 resets nothing.
            unsafe { ffi::sqlite3_db_status(self.as_ptr(), operation, &raw mut now, &raw mut highest, 0) };
        }
        (now, highest)
    }

    /// 0 for a closed connection.
    pub(crate) fn status(&self, figure: Figure) -> u64 {
        let operation = match figure {
            Figure::PageCacheBytes => ffi::SQLITE_DBSTATUS_CACHE_USED,
            Figure::SchemaBytes => ffi::SQLITE_DBSTATUS_SCHEMA_USED,
            Figure::StatementBytes => ffi::SQLITE_DBSTATUS_STMT_USED,
            Figure::LookasideSlots => ffi::SQLITE_DBSTATUS_LOOKASIDE_USED,
        };
        u64::try_from(self.ask(operation).0).unwrap_or(0)
    }

    /// Publishes before the connection lies idle, maybe for long: if anybody in this process ever looked, and its
    /// memory is not what it was the last time. What it counts then waits until it is used again.
    #[inline]
    pub(crate) fn publish_if_changed(&self) {
        if !super::fork::are_figures_asked() {
            return;
        }
        // Without a block it is not counted: then nothing tells.
        let memory = self.memory();
        if memory.blocks == 0 || self.last_seen().memory.get() != Some(memory) {
            self.publish();
        }
    }

    /// Makes the connection's figures known, as they are now.
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

    /// The part that outlives the connection.
    pub(super) fn publish_counts(&self) {
        let mut seen = self.last_seen().counts.get();
        for ((counter, seen), count) in Counter::ALL.into_iter().zip(&mut seen).zip(&self.book().published().counts) {
            let (now, highest) = self.ask(counter.operation());
            // SQLite answers some in one place, and some in the other, and 0 in the place it does not use.
            let now = now.max(highest);
            // This thread is the only one that writes.
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

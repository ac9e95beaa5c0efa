//! Cache of prepared statements: bookkeeping and eviction.
//!
//! A slot is for one statement. It has the SQL, and the statement while that is not in use. A statement that is taken
//! out keeps its slot, unless the slot is needed for another. A second caller with the same SQL finds no statement, and
//! prepares another. When the cache is full, the second-chance algorithm (clock) selects statements: a hand moves over
//! the slots, skips a slot once that was used since its last visit, and evicts the first that was not.

use std::num::NonZeroU64;

use crate::raw::Parked;

/// Right to put a statement back into its slot, until the slot is given to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    slot: u32,
    generation: NonZeroU64,
}

/// State and counters of a connection's statement cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementCacheStats {
    /// Number of statements in the cache, without those in use.
    pub statements: usize,
    /// Number of bytes of memory of these statements, measured by SQLite when each was first inserted.
    pub bytes: usize,
    /// Number of times a statement was found.
    pub hits: u64,
    /// Number of times a statement had to be prepared.
    pub misses: u64,
    /// Number of statements finalized to make room.
    pub evictions: u64,
}

/// Number of sets of hashes of missing statements, and of hashes in a set.
const MISSING_SETS: usize = 64;
const MISSING_PLACES: usize = 4;

pub(crate) struct Cache {
    slots: Vec<CacheSlot>,
    /// Slots that are free.
    vacant: Vec<u32>,
    /// First slot of each hash bucket; their number is a power of two.
    buckets: Vec<Option<u32>>,
    hand: usize,
    /// Slot that was found last.
    recent: u32,
    /// Hash of the SQL that was not found last.
    not_found: u64,
    /// Number of insertions. It distinguishes a ticket of an earlier use of a slot from the current one.
    generation: NonZeroU64,
    statements_max: usize,
    bytes_max: usize,
    /// Hashes of SQL that was asked for once and not kept, each in the set that its high bits say. Empty until there is one.
    missing: Vec<[u64; MISSING_PLACES]>,
    stats: StatementCacheStats,
}

struct CacheSlot {
    sql: Box<str>,
    hash: u64,
    next_in_bucket: Option<u32>,
    statement: Option<Parked>,
    bytes: usize,
    /// Number of the insertion; `None` while the slot is vacant.
    generation: Option<NonZeroU64>,
    /// Whether the slot was used since the last visit of the hand.
    used: bool,
    vacant: bool,
}

impl Cache {
    pub(crate) const STATEMENTS_MAX: usize = 128;
    pub(crate) const BYTES_MAX: usize = 8 << 20;

    pub(crate) fn new(statements_max: usize, bytes_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            buckets: Vec::new(),
            hand: 0,
            recent: 0,
            not_found: 0,
            generation: NonZeroU64::MIN,
            statements_max,
            bytes_max,
            missing: Vec::new(),
            stats: StatementCacheStats::default(),
        }
    }

    pub(crate) fn stats(&self) -> StatementCacheStats {
        self.stats
    }

    /// Takes the statement with this SQL out of the cache, if it is there.
    #[inline]
    pub(crate) fn take(&mut self, sql: &str) -> Option<(Parked, Ticket)> {
        // A loop asks for the same SQL repeatedly: comparing is cheaper than a lookup.
        if self.slots.get(self.recent as usize).is_some_and(|slot| *slot.sql == *sql)
            && let Some(taken) = self.take_from(self.recent)
        {
            return Some(taken);
        }
        self.find(sql)
    }

    fn find(&mut self, sql: &str) -> Option<(Parked, Ticket)> {
        let hash = hash(sql);
        let mut next = self.bucket(hash).and_then(|bucket| self.buckets[bucket]);
        while let Some(index) = next {
            let slot = &self.slots[index as usize];
            next = slot.next_in_bucket;
            if slot.hash == hash
                && *slot.sql == *sql
                && let Some(taken) = self.take_from(index)
            {
                self.recent = index;
                return Some(taken);
            }
        }
        self.stats.misses += 1;
        self.not_found = hash;
        None
    }

    /// Notes the SQL that `take` has not found last. Returns whether it was noted before, and few others of its set since.
    pub(crate) fn note_missing(&mut self) -> bool {
        const SHIFT: u32 = u64::BITS - MISSING_SETS.ilog2();
        if self.statements_max == 0 {
            return false;
        }
        self.missing.resize(MISSING_SETS, [0; MISSING_PLACES]);
        // 0 is an empty place.
        let hash = self.not_found | 1;
        let set = &mut self.missing[(hash >> SHIFT) as usize];
        if set.contains(&hash) {
            return true;
        }
        set.rotate_right(1);
        set[0] = hash;
        false
    }

    #[inline]
    fn take_from(&mut self, index: u32) -> Option<(Parked, Ticket)> {
        let slot = self.slots.get_mut(index as usize)?;
        let generation = slot.generation?;
        let statement = slot.statement.take()?;
        slot.used = true;
        self.stats.hits += 1;
        self.stats.statements -= 1;
        self.stats.bytes -= slot.bytes;
        Some((statement, Ticket { slot: index, generation }))
    }

    /// Puts a statement back into its slot. Returns it if the slot belongs to another by now.
    #[inline]
    pub(crate) fn put_back(&mut self, statement: Parked, ticket: Ticket) -> Option<Parked> {
        match self.slots.get_mut(ticket.slot as usize) {
            Some(slot) if slot.generation == Some(ticket.generation) => {
                self.stats.statements += 1;
                self.stats.bytes += slot.bytes;
                slot.statement = Some(statement);
                None
            }
            _ => Some(statement),
        }
    }

    /// Whether the cache exceeds its limit of bytes: others were inserted while a statement that was put back was in
    /// use.
    #[inline]
    pub(crate) fn has_surplus(&self) -> bool {
        self.stats.bytes > self.bytes_max
    }

    /// Evicts the statements that exceed the limits.
    pub(crate) fn take_surplus(&mut self) -> Vec<Parked> {
        let mut evicted = Vec::new();
        self.make_room(self.statements_max, self.bytes_max, &mut evicted);
        evicted
    }

    /// Inserts a new statement. Evicted statements are added to `evicted`; the caller finalizes them when the cache is
    /// no longer borrowed.
    pub(crate) fn insert(&mut self, sql: &str, statement: Parked, bytes: usize, evicted: &mut Vec<Parked>) {
        if self.statements_max == 0 || bytes > self.bytes_max {
            evicted.push(statement);
            self.stats.evictions += 1;
            return;
        }
        self.make_room(self.statements_max - 1, self.bytes_max - bytes, evicted);
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(CacheSlot {
                sql: Box::default(),
                hash: 0,
                next_in_bucket: None,
                statement: None,
                bytes: 0,
                generation: None,
                used: false,
                vacant: true,
            });
            u32::try_from(self.slots.len() - 1).expect("memory holds fewer than 2^32 statements")
        });
        let hash = hash(sql);
        let slot = &mut self.slots[index as usize];
        slot.sql = sql.into();
        slot.hash = hash;
        slot.statement = Some(statement);
        slot.bytes = bytes;
        slot.used = false;
        slot.vacant = false;
        self.generation = self.generation.saturating_add(1);
        slot.generation = Some(self.generation);
        self.stats.statements += 1;
        self.stats.bytes += bytes;
        if self.slots.len() > self.buckets.len() / 2 {
            self.grow_buckets();
        } else {
            self.link(index);
        }
    }

    /// Makes the number of buckets at least twice that of slots, and links all slots again.
    fn grow_buckets(&mut self) {
        self.buckets = vec![None; (4 * self.slots.len()).next_power_of_two()];
        for index in 0..self.slots.len() {
            if !self.slots[index].vacant {
                self.link(u32::try_from(index).expect("memory holds fewer than 2^32 statements"));
            }
        }
    }

    fn link(&mut self, index: u32) {
        let hash = self.slots[index as usize].hash;
        if let Some(bucket) = self.bucket(hash) {
            self.slots[index as usize].next_in_bucket = self.buckets[bucket].replace(index);
        }
    }

    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.statements_max, self.bytes_max)
    }

    /// Changes the limits. Returns the statements that exceed them.
    pub(crate) fn set_limits(&mut self, statements_max: usize, bytes_max: usize) -> Vec<Parked> {
        let mut evicted = Vec::new();
        self.make_room(statements_max, bytes_max, &mut evicted);
        let kept = self.restart(statements_max, bytes_max);
        for slot in kept {
            if let Some(statement) = slot.statement {
                self.insert(&slot.sql, statement, slot.bytes, &mut evicted);
            }
        }
        evicted
    }

    /// Removes all statements, and returns them.
    pub(crate) fn take_all(&mut self) -> Vec<Parked> {
        let slots = self.restart(self.statements_max, self.bytes_max);
        slots.into_iter().filter_map(|slot| slot.statement).collect()
    }

    /// Replaces the cache by an empty one, which keeps the counters. Returns the slots.
    fn restart(&mut self, statements_max: usize, bytes_max: usize) -> Vec<CacheSlot> {
        let fresh = Self {
            generation: self.generation,
            stats: StatementCacheStats { statements: 0, bytes: 0, ..self.stats },
            ..Self::new(statements_max, bytes_max)
        };
        std::mem::replace(self, fresh).slots
    }

    fn make_room(&mut self, statements_max: usize, bytes_max: usize, evicted: &mut Vec<Parked>) {
        loop {
            let too_many = self.slots.len() - self.vacant.len() > statements_max;
            if !too_many && self.stats.bytes <= bytes_max {
                return;
            }
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let index = self.hand;
            self.hand += 1;
            let slot = &mut self.slots[index];
            // A slot whose statement is in use frees no bytes.
            if slot.vacant || (!too_many && slot.statement.is_none()) {
                continue;
            }
            if slot.used {
                slot.used = false;
                continue;
            }
            if let Some(statement) = self.vacate(index) {
                evicted.push(statement);
                self.stats.evictions += 1;
            }
        }
    }

    fn vacate(&mut self, index: usize) -> Option<Parked> {
        self.unlink(index);
        let slot = &mut self.slots[index];
        slot.vacant = true;
        slot.generation = None;
        slot.sql = Box::default();
        let statement = slot.statement.take();
        if statement.is_some() {
            self.stats.statements -= 1;
            self.stats.bytes -= slot.bytes;
        }
        self.vacant.push(u32::try_from(index).expect("memory holds fewer than 2^32 statements"));
        statement
    }

    fn unlink(&mut self, index: usize) {
        let CacheSlot { hash, next_in_bucket: after, .. } = self.slots[index];
        let Some(bucket) = self.bucket(hash) else {
            return;
        };
        let is_it = |candidate: u32| candidate as usize == index;
        let mut next = self.buckets[bucket];
        if next.is_some_and(is_it) {
            self.buckets[bucket] = after;
            return;
        }
        while let Some(current) = next {
            let current = &mut self.slots[current as usize];
            if current.next_in_bucket.is_some_and(is_it) {
                current.next_in_bucket = after;
                return;
            }
            next = current.next_in_bucket;
        }
    }

    #[inline]
    fn bucket(&self, hash: u64) -> Option<usize> {
        let last = self.buckets.len().checked_sub(1)?;
        usize::try_from(hash >> 32).ok().map(|hash| hash & last)
    }
}

/// Hashes whole words in two lanes, since lookups are frequent. Deliberate collisions are harmless: a bucket holds no
/// more than the cache.
#[inline]
fn hash(sql: &str) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: [u8; 8]| (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER).rotate_left(29);
    let bytes = sql.as_bytes();
    let (words, rest) = bytes.as_chunks::<8>();
    let (pairs, single) = words.as_chunks::<2>();
    let (mut one, mut other) = (bytes.len() as u64, MULTIPLIER);
    for [first, second] in pairs {
        one = mix(one, *first);
        other = mix(other, *second);
    }
    if let [word] = single {
        one = mix(one, *word);
    }
    // The last word overlaps the one before. The length, which is part of the hash, determines the overlap.
    let last = bytes.last_chunk().copied().unwrap_or_else(|| {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    mix(one ^ other.rotate_left(32), last).wrapping_mul(MULTIPLIER)
}

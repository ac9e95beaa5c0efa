//! Which statements a connection keeps, and for how long.
//!
//! A slot is a place for one statement: its SQL, and the statement while nobody uses it. Taking a statement out leaves
//! the slot to its return; a second taker of the same SQL finds nothing and prepares another instance. What has to go
//! when the cache is full is chosen by second chance: a hand goes round, spares what was used since its last visit
//! once, and takes the first that was not.

use std::num::NonZeroU64;

use crate::raw::Parked;

/// The right to a slot, until the slot is given to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    slot: u32,
    generation: NonZeroU64,
}

/// What the statement cache of a connection holds and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatementCacheStats {
    /// Statements in the cache now; one that is out does not count.
    pub statements: usize,
    /// Bytes of memory that they hold, by SQLite's count when each was first put in.
    pub bytes: usize,
    /// Statements found.
    pub hits: u64,
    /// Statements that had to be prepared.
    pub misses: u64,
    /// Statements finalized to make room.
    pub evictions: u64,
}

pub(crate) struct Cache {
    slots: Vec<Slot>,
    /// Slots without SQL.
    vacant: Vec<u32>,
    /// First slot of each hash bucket; a power of two of them.
    buckets: Vec<Option<u32>>,
    hand: usize,
    /// The slot that was found last.
    recent: u32,
    /// Counts the fillings of slots, so that a ticket for an earlier one is told apart.
    generation: NonZeroU64,
    statements_max: usize,
    bytes_max: usize,
    stats: StatementCacheStats,
}

struct Slot {
    sql: Box<str>,
    hash: u64,
    next_in_bucket: Option<u32>,
    statement: Option<Parked>,
    bytes: usize,
    /// `None` while it is vacant.
    generation: Option<NonZeroU64>,
    /// Used since the hand last came by.
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
            generation: NonZeroU64::MIN,
            statements_max,
            bytes_max,
            stats: StatementCacheStats::default(),
        }
    }

    pub(crate) fn stats(&self) -> StatementCacheStats {
        self.stats
    }

    /// Takes the statement for this SQL out, if it is in.
    #[inline]
    pub(crate) fn take(&mut self, sql: &str) -> Option<(Parked, Ticket)> {
        // A loop asks for the same again and again: comparing is cheaper than finding.
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
        None
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

    /// Puts a statement back into the slot it came from; returns it if that is another's by now.
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

    /// Whether it holds more bytes than it may: others took the place of a statement that came back.
    #[inline]
    pub(crate) fn has_surplus(&self) -> bool {
        self.stats.bytes > self.bytes_max
    }

    /// Takes out what is too much.
    pub(crate) fn take_surplus(&mut self) -> Vec<Parked> {
        let mut evicted = Vec::new();
        self.make_room(self.statements_max, self.bytes_max, &mut evicted);
        evicted
    }

    /// Puts a new statement in. What has to go for it is added to `evicted`: the caller finalizes it, when the cache
    /// is no longer borrowed.
    pub(crate) fn insert(&mut self, sql: &str, statement: Parked, bytes: usize, evicted: &mut Vec<Parked>) {
        if self.statements_max == 0 || bytes > self.bytes_max {
            evicted.push(statement);
            self.stats.evictions += 1;
            return;
        }
        self.make_room(self.statements_max - 1, self.bytes_max - bytes, evicted);
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                sql: Box::default(),
                hash: 0,
                next_in_bucket: None,
                statement: None,
                bytes: 0,
                generation: None,
                used: false,
                vacant: true,
            });
            u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 statements are alive")
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

    /// Makes the buckets twice as many as the slots, at least, and links every slot anew.
    fn grow_buckets(&mut self) {
        self.buckets = vec![None; (4 * self.slots.len()).next_power_of_two()];
        for index in 0..self.slots.len() {
            if !self.slots[index].vacant {
                self.link(u32::try_from(index).expect("memory ends before 2^32 statements are alive"));
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

    /// Changes the limits, and returns what is beyond them.
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

    /// Empties it.
    pub(crate) fn take_all(&mut self) -> Vec<Parked> {
        let slots = self.restart(self.statements_max, self.bytes_max);
        slots.into_iter().filter_map(|slot| slot.statement).collect()
    }

    /// Begins anew, empty; what was counted stays counted.
    fn restart(&mut self, statements_max: usize, bytes_max: usize) -> Vec<Slot> {
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
            // A slot whose statement is out gives no bytes.
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
        self.vacant.push(u32::try_from(index).expect("memory ends before 2^32 statements are alive"));
        statement
    }

    fn unlink(&mut self, index: usize) {
        let Slot { hash, next_in_bucket: after, .. } = self.slots[index];
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

/// Whole words in two lanes: a statement is looked up more often than most are run. A bucket that somebody fills with
/// collisions holds no more than the cache.
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
    // The end, as a whole word too: it overlaps what was taken before, and the length says by how much.
    let last = bytes.last_chunk().copied().unwrap_or_else(|| {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    mix(one ^ other.rotate_left(32), last).wrapping_mul(MULTIPLIER)
}

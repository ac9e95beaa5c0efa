//! How many handles of each kind are alive: counters that cost no lock and no shared cache line.
//!
//! Each thread owns a shard and is its only writer (a relaxed load and store); readers add all shards up. A handle
//! may be opened on one thread and closed on another: shards then disagree, their sum does not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    Statement,
    CachedStatement,
    Rows,
    Transaction,
    Savepoint,
}

const KINDS: usize = 6;

#[repr(align(64))]
struct Shard {
    opened: [AtomicU64; KINDS],
    closed: [AtomicU64; KINDS],
}

impl Shard {
    const fn new() -> Self {
        Self { opened: [const { AtomicU64::new(0) }; KINDS], closed: [const { AtomicU64::new(0) }; KINDS] }
    }
}

/// Every shard ever made; they live as long as the process.
static SHARDS: Mutex<Vec<&'static Shard>> = Mutex::new(Vec::new());
/// Shards whose thread has ended, for the next thread. Their counts go on from where they are.
static IDLE: Mutex<Vec<&'static Shard>> = Mutex::new(Vec::new());
/// For code that runs after its thread gave its shard back (other thread-local destructors). Shared, so it is
/// written with read-modify-write.
static SHARED: Shard = Shard::new();
static FORGOTTEN: [AtomicU64; KINDS] = [const { AtomicU64::new(0) }; KINDS];

struct Local(&'static Shard);

impl Local {
    fn claim() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self(idle.unwrap_or_else(|| {
            let shard: &'static Shard = Box::leak(Box::new(Shard::new()));
            SHARDS.lock().unwrap_or_else(PoisonError::into_inner).push(shard);
            shard
        }))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

thread_local! {
    static LOCAL: Local = Local::claim();
}

#[inline]
fn add(pick: impl Fn(&Shard) -> &AtomicU64) {
    let counted = LOCAL.try_with(|local| {
        let counter = pick(local.0);
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    });
    if counted.is_err() {
        pick(&SHARED).fetch_add(1, Ordering::Relaxed);
    }
}

#[inline]
pub(crate) fn opened(kind: Kind) {
    add(|shard| &shard.opened[kind as usize]);
}

#[inline]
pub(crate) fn closed(kind: Kind) {
    add(|shard| &shard.closed[kind as usize]);
}

/// A handle that its user forgot (`mem::forget`) was found and closed in its stead.
#[cold]
pub(crate) fn forgotten(kind: Kind) {
    FORGOTTEN[kind as usize].fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn opened_total(kind: Kind) -> u64 {
    sum(|shard| &shard.opened[kind as usize])
}

pub(crate) fn closed_total(kind: Kind) -> u64 {
    sum(|shard| &shard.closed[kind as usize])
}

pub(crate) fn forgotten_total(kind: Kind) -> u64 {
    FORGOTTEN[kind as usize].load(Ordering::Relaxed)
}

fn sum(pick: impl Fn(&Shard) -> &AtomicU64) -> u64 {
    let shards = SHARDS.lock().unwrap_or_else(PoisonError::into_inner);
    let own: u64 = shards.iter().map(|shard| pick(shard).load(Ordering::Relaxed)).sum();
    own + pick(&SHARED).load(Ordering::Relaxed)
}

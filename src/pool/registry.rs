//! The pools of the process, for those who look at all of them.

use std::sync::Arc;

use super::queue::Queue;
use super::reset::DestroyReason;
use super::status::{Counters, PoolStatus};
use crate::raw::PerProcess;

/// What others may know of a pool.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    /// Of the writer, the readers, the reserved ones.
    pub(super) queues: [Arc<Queue>; 3],
    pub(super) counters: Counters,
}

/// What pools did since the process began, those that are gone included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolTotals {
    /// How often a connection was lent.
    pub acquired: u64,
    /// How often somebody waited for one for too long.
    pub timeouts: u64,
    /// Connections opened.
    pub opened: u64,
    /// Attempts to open one that failed.
    pub open_failures: u64,
    /// Connections closed instead of lent again, in the order of [`DestroyReason::ALL`].
    pub destroyed: [u64; DestroyReason::ALL.len()],
}

impl PoolTotals {
    fn add(&mut self, status: &PoolStatus) {
        for role in &status.roles {
            self.acquired += role.acquired_total;
            self.timeouts += role.timeouts_total;
        }
        self.opened += status.opened_total;
        self.open_failures += status.open_failures_total;
        for (sum, count) in self.destroyed.iter_mut().zip(status.destroyed_total) {
            *sum += count;
        }
    }
}

#[derive(Default)]
struct Registry {
    pools: Vec<Arc<Entry>>,
    /// Of the pools that are gone: under the same lock, so that no sum goes back.
    gone: PoolTotals,
}

static POOLS: PerProcess<Registry> = PerProcess::new(Registry::default);

/// Lists a pool until this is dropped.
#[derive(Debug)]
pub(super) struct Listed(pub(super) Arc<Entry>);

impl Listed {
    pub(super) fn new(entry: Entry) -> Self {
        let entry = Arc::new(entry);
        POOLS.lock().pools.push(Arc::clone(&entry));
        Self(entry)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut registry = POOLS.lock();
        let known = registry.pools.len();
        registry.pools.retain(|entry| !Arc::ptr_eq(entry, &self.0));
        // A child process does not list the pools of its parent.
        if registry.pools.len() < known {
            registry.gone.add(&PoolStatus::new(&self.0));
        }
    }
}

/// What each pool holds, and what all of them did.
pub(crate) fn all() -> (Vec<PoolStatus>, PoolTotals) {
    let registry = POOLS.lock();
    let mut totals = registry.gone;
    let pools: Vec<PoolStatus> = registry.pools.iter().map(|entry| PoolStatus::new(entry)).collect();
    for pool in &pools {
        totals.add(pool);
    }
    (pools, totals)
}

//! Registry of the pools of the process, for statistics.

use std::sync::Arc;
use std::time::Duration;

use super::queue::Queue;
use super::reset::DestroyReason;
use super::status::{Counters, PoolStatus};
use crate::track::PerProcess;

/// The parts of a pool that are visible to the registry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Box<str>,
    /// Queues of the writer, the readers, and the reserved connections.
    pub(super) queues: [Arc<Queue>; 3],
    pub(super) counters: Counters,
}

/// Totals of all pools since the process began, closed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolTotals {
    /// Number of times a connection was checked out.
    pub acquired: u64,
    /// Number of times a caller's wait for a connection timed out.
    pub timeouts: u64,
    /// Number of times a caller waited for a connection, timeouts included.
    pub waits: u64,
    /// Sum of these waits.
    pub wait: Duration,
    /// Number of checkpoints run by a [`Checkpointer`](super::Checkpointer).
    pub checkpoints: u64,
    /// Number of turns of a [`Checkpointer`](super::Checkpointer) that were skipped, because the writer was checked
    /// out.
    pub checkpoints_skipped: u64,
    /// Number of failed checkpoints of a [`Checkpointer`](super::Checkpointer).
    pub checkpoints_failed: u64,
    /// Number of connections opened.
    pub opened: u64,
    /// Number of failed attempts to open a connection.
    pub open_failures: u64,
    /// Number of connections closed instead of reused, in the order of [`DestroyReason::ALL`].
    pub destroyed: [u64; DestroyReason::ALL.len()],
}

impl PoolTotals {
    fn add(&mut self, status: &PoolStatus) {
        for role in &status.roles {
            self.acquired += role.acquired_total;
            self.timeouts += role.timeouts_total;
            self.waits += role.waits_total;
            self.wait = self.wait.saturating_add(role.wait_total);
        }
        self.checkpoints += status.checkpoints_total;
        self.checkpoints_skipped += status.checkpoints_skipped_total;
        self.checkpoints_failed += status.checkpoints_failed_total;
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
    /// Totals of pools that no longer exist. They are under the same lock as the list, so that no total decreases.
    gone: PoolTotals,
}

static POOLS: PerProcess<Registry> = PerProcess::new(Registry::default);

/// Registration of a pool, until it is dropped.
#[derive(Debug)]
pub(super) struct Registration(pub(super) Arc<Entry>);

impl Registration {
    pub(super) fn new(entry: Entry) -> Self {
        let entry = Arc::new(entry);
        POOLS.lock().pools.push(Arc::clone(&entry));
        Self(entry)
    }
}

impl Drop for Registration {
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

/// Returns the status of each pool, and the totals of all pools.
pub(crate) fn all() -> (Vec<PoolStatus>, PoolTotals) {
    let registry = POOLS.lock();
    let mut totals = registry.gone;
    let pools: Vec<PoolStatus> = registry.pools.iter().map(|entry| PoolStatus::new(entry)).collect();
    for pool in &pools {
        totals.add(pool);
    }
    (pools, totals)
}

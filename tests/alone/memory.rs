//! What `memory` says is exact: against sums kept here, against Rust's global allocator, against the kernel.

pub mod accounts;
pub mod backend;
pub mod blocks;
pub mod leaks;
pub mod limit;
pub mod long;
pub mod native;
pub mod peak;
pub mod threads;

use finalite::handles::{self, HandleCounts};
use finalite::memory::{self, Backend, MemoryStats, Mode};

/// Runs a case, which must leave nothing and put everything back as it was.
fn nothing_is_left_by(case: fn()) {
    // The library initializes itself, which is not the case's doing.
    drop(native::Block::new(1));
    nothing_left_by("the case", case);
}

/// Runs a scenario, which must leave nothing and put everything back as it was.
fn nothing_left_by(name: &str, scenario: impl FnOnce()) {
    type Left = (HandleCounts, u64, u64, u64, u64, u64, Option<u64>, Backend);
    let left = || -> Left {
        let stats = memory::stats();
        assert_eq!(stats.mode, Mode::Counting);
        let lost = stats.shared_bytes + stats.orphaned_bytes;
        let nobodys = (stats.unattributed_bytes, stats.unattributed_blocks);
        (handles::counts(), stats.bytes, stats.blocks, lost, nobodys.0, nobodys.1, stats.limit_bytes, stats.backend)
    };
    let before = left();
    scenario();
    assert_eq!(before, left(), "{name} left something");
}

/// How far the process's figures have moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    bytes: i64,
    blocks: i64,
    allocated_bytes: u64,
    allocations: u64,
    reallocations: u64,
    frees: u64,
    failures_system: u64,
    failures_limit: u64,
    failures_injected: u64,
    foreign: u64,
}

fn moved_since(before: &MemoryStats) -> Moved {
    let now = memory::stats();
    let failures = now.failures_system_total + now.failures_limit_total + now.failures_injected_total;
    assert_eq!(now.failures_total, failures);
    assert_eq!(now.allocations_total, now.size_histogram.iter().sum::<u64>());
    assert_eq!(now.blocks, now.allocations_total - now.frees_total);
    Moved {
        bytes: difference(now.bytes, before.bytes),
        blocks: difference(now.blocks, before.blocks),
        allocated_bytes: now.allocated_bytes_total - before.allocated_bytes_total,
        allocations: now.allocations_total - before.allocations_total,
        reallocations: now.reallocations_total - before.reallocations_total,
        frees: now.frees_total - before.frees_total,
        failures_system: now.failures_system_total - before.failures_system_total,
        failures_limit: now.failures_limit_total - before.failures_limit_total,
        failures_injected: now.failures_injected_total - before.failures_injected_total,
        foreign: now.foreign_blocks_total - before.foreign_blocks_total,
    }
}

fn difference(now: u64, before: u64) -> i64 {
    now.cast_signed() - before.cast_signed()
}

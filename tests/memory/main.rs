//! What `memory` says is exact: against sums kept here, against Rust's global allocator, against the kernel.
//!
//! The figures are the process's, so one test runs all scenarios in turn.

use std::sync::{Mutex, PoisonError};

use finalite::handles::{self, HandleCounts};
use finalite::memory::{self, Backend, MemoryStats, Mode};

mod accounts;
mod backend;
mod blocks;
mod leaks;
mod limit;
mod long;
mod native;
mod peak;
mod threads;

#[global_allocator]
static GLOBAL: backend::Counting = backend::Counting;

/// Held by whoever reads the process's figures.
static PROCESS: Mutex<()> = Mutex::new(());

#[test]
fn memory_is_counted_exactly() {
    let scenarios: &[(&str, fn())] = &[
        // What speaks of "32 KiB per thread" comes before what starts hundreds of them.
        ("process_peak_misses_at_most_32_kib_per_thread", peak::process_peak_misses_at_most_32_kib_per_thread),
        ("a_limit_fails_what_is_beyond_it", limit::a_limit_fails_what_is_beyond_it),
        ("a_limit_is_exceeded_by_at_most_32_kib", limit::a_limit_is_exceeded_by_at_most_32_kib),
        ("a_limit_below_what_is_held", limit::a_limit_below_what_is_held),
        ("a_limit_holds_for_reallocations", limit::a_limit_holds_for_reallocations),
        ("a_limit_holds_for_threads_together", limit::a_limit_holds_for_threads_together),
        ("connection_peak_is_exact", peak::connection_peak_is_exact),
        ("blocks_are_aligned_and_as_large_as_asked_for", blocks::are_aligned_and_as_large_as_asked_for),
        ("sizes_are_counted_by_powers_of_two", blocks::sizes_are_counted_by_powers_of_two),
        ("a_block_grows_and_shrinks_in_the_books", blocks::grow_and_shrink_in_the_books),
        ("a_failed_reallocation_leaves_the_block", blocks::a_failed_reallocation_leaves_the_block),
        ("a_foreign_block_is_left_alone", blocks::a_foreign_one_is_left_alone),
        ("two_connections_on_one_thread", accounts::two_connections_on_one_thread),
        ("a_connection_moves_between_threads", accounts::a_connection_moves_between_threads),
        ("a_block_is_freed_while_another_is_used", accounts::a_block_is_freed_while_another_is_used),
        ("blocks_are_freed_by_other_threads_meanwhile", accounts::blocks_are_freed_by_other_threads_meanwhile),
        ("a_callback_uses_another_connection", accounts::a_callback_uses_another_connection),
        ("another_driver_is_nobody", accounts::another_driver_is_nobody),
        ("a_callback_uses_another_driver", accounts::a_callback_uses_another_driver),
        ("what_two_share_outlives_the_first", accounts::what_two_share_outlives_the_first),
        ("what_another_driver_shares_is_orphaned", accounts::what_another_driver_shares_is_orphaned),
        ("rusts_allocator_sees_every_byte", backend::rusts_allocator_sees_every_byte),
        ("each_block_goes_back_to_where_it_is_from", backend::each_block_goes_back_to_where_it_is_from),
        ("a_refused_block_is_a_failure", backend::a_refused_block_is_a_failure),
        ("a_leak_of_the_c_library_is_shown", leaks::a_leak_of_the_c_library_is_shown),
        ("threads_come_and_go", threads::come_and_go),
        ("more_threads_than_shards", threads::more_than_shards),
        ("thread_locals_free_at_the_end", threads::thread_locals_free_at_the_end),
        ("frees_after_the_shard_is_given_back", threads::frees_after_the_shard_is_given_back),
        ("a_long_run_stays_where_it_is", long::a_run_stays_where_it_is),
        ("a_model_that_keeps_statements_does_not", long::a_model_that_keeps_statements_does_not),
    ];
    let _process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    // The library initializes itself, which is no scenario's.
    drop(native::Block::new(1));
    for (name, scenario) in scenarios {
        println!("{name}");
        nothing_left_by(name, scenario);
    }
}

#[test]
fn threads_that_ended_do_not_widen_the_limit() {
    let _process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    limit::threads_that_ended_do_not_widen_it();
}

#[test]
fn process_peak_is_not_what_a_reader_adds_up() {
    let _process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    peak::process_peak_is_not_what_a_reader_adds_up();
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

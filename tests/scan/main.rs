//! Scans of generated tables, compared with plain calls of the C library: every value, type, name, offset and bit,
//! every place to stop, every policy for mixed columns. Then what they allocate, and what they do when SQLite cannot.
//!
//! A process of its own, with one test: what is left is compared by equality.

mod allocations;
#[path = "../common/mod.rs"]
mod common;
mod differential;
mod faults;
mod generate;
mod model;
mod reference;

use finalite::{LeakCheck, memory};

#[test]
fn scans() {
    faults::the_sweep_sees_what_is_wrong();
    let check = LeakCheck::new();
    let (compared, queries, seeds) = differential::scans_read_what_c_reads();
    allocations::none_after_the_first_batch();
    allocations::none_where_nulls_begin_late();
    allocations::none_per_row();
    allocations::one_for_each_list();
    let points = faults::out_of_memory_is_an_error_and_nothing_else();
    println!("{compared} scans of {queries} queries compared, {points} allocations failed");
    assert!(compared > 2_000 * seeds, "{compared}");
    assert!(points > 5_000, "{points}");
    assert_eq!(memory::stats().foreign_blocks_total, 0, "something was freed twice");
    drop(check);
}

//! The page reader against SQLite's own execution: every value, type and byte, over generated histories, beside
//! writers, after a kill, on damaged files.

mod attached;
mod checks;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod conditions;
mod damage;
mod ends;
mod fallbacks;
mod findings;
mod histories;
mod index_checks;
mod indexes;
mod ranges;
mod threads;
mod writers;

/// Of the numbers that these tests take.
const STREAM: u64 = 0x6a09_e667_f3bc_c908;

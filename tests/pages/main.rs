//! The page reader against SQLite's own execution: every value, type and byte, over generated histories, beside
//! writers, after a kill, on damaged files.

#[path = "../cell/mod.rs"]
mod cell;
mod checks;
mod compare;
mod damage;
mod ends;
mod fallbacks;
mod findings;
mod histories;
#[path = "../random/mod.rs"]
mod random;
mod threads;
mod writers;

/// Of the numbers that these tests take.
const STREAM: u64 = 0x6a09_e667_f3bc_c908;

//! The page reader against SQLite's own execution: every value, type and byte, over generated histories, beside writers,
//! after a kill, on damaged files.

mod compare;
mod damage;
mod fallbacks;
mod histories;
mod random;
mod writers;

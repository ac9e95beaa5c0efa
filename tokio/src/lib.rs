//! [finalite](https://docs.rs/finalite) in tokio programs.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::incompatible_msrv, missing_debug_implementations, unreachable_pub)]

mod call;
mod control;
mod handover;
mod lane;
mod pool;
mod query;
mod queue;
mod sync;
mod worker;

pub use pool::Pool;

//! [finalite](https://docs.rs/finalite) in tokio programs.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::incompatible_msrv, missing_debug_implementations, unreachable_pub)]

mod backup;
mod blob;
mod call;
mod channel;
mod control;
mod handover;
mod lane;
mod pool;
mod query;
mod queue;
mod session;
mod stream;
mod sync;
mod transaction;
mod watch;
mod worker;

pub use pool::Pool;
pub use stream::RowStream;
pub use transaction::Transaction;
pub use watch::Watch;

//! A client of [dqlite](https://dqlite.io), the SQLite that is replicated by Raft, with finalite's statements, rows and
//! values.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::incompatible_msrv, missing_debug_implementations, unreachable_pub)]
#![warn(
    clippy::doc_markdown,
    clippy::explicit_iter_loop,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::redundant_closure_for_method_calls,
    clippy::semicolon_if_nothing_returned
)]

mod cluster;
mod connection;
mod dump;
mod error;
mod guard;
mod link;
mod pool;
mod retry;
mod rows;
mod statement;
pub mod stats;
mod stream;
mod transaction;
mod typed_columns;
#[doc(hidden)]
pub mod wire;

pub use cluster::{Cluster, ClusterBuilder, Node, Role};
pub use connection::{Changes, Connection};
pub use dump::Dump;
pub use error::{Error, ErrorKind, Lost, Result};
pub use pool::{Pool, PoolStatus, PooledConnection};
pub use retry::RetryPolicy;
pub use rows::{QueryAs, Rows};
pub use statement::Statement;
pub use stream::Stream;
pub use transaction::Transaction;
pub use typed_columns::TypedColumn;

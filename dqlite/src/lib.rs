//! A client of [dqlite](https://dqlite.io), the SQLite that Raft replicates to several machines, with finalite's
//! statements, rows and values.
//!
//! A service that outgrows one machine keeps [`Connection`], [`Statement`] and [`Rows`], with the same [`Row`], [`Params`],
//! [`FromRow`] and derive macros. They are types of their own, because what they promise differs: a session ends when its
//! node does, and a write whose answer is lost may have been stored.
//!
//! ```no_run
//! use finalite_dqlite::Cluster;
//!
//! let cluster = Cluster::new(["10.0.0.1:9001", "10.0.0.2:9001", "10.0.0.3:9001"]);
//! let conn = cluster.open("app")?;
//! let mut statement = conn.prepare("SELECT name FROM user WHERE id = ?")?;
//! let name: String = statement.query_one((1,))?;
//! println!("{name}");
//! # Ok::<(), finalite_dqlite::Error>(())
//! ```
//!
//! [`Row`]: finalite::Row
//! [`Params`]: finalite::Params
//! [`FromRow`]: finalite::FromRow
//!
//! # Overview
//!
//! - Nodes: [`Cluster::new`], [`Cluster::builder`] with deadlines, limits and a function that dials;
//!   [`leader`](Cluster::leader), [`members`](Cluster::members), [`add`](Cluster::add), [`assign`](Cluster::assign),
//!   [`remove`](Cluster::remove), [`transfer`](Cluster::transfer), [`dump_to`](Cluster::dump_to).
//! - Sessions: [`Cluster::open`], [`Connection::reopen`], [`Connection::close`]; several of them: [`Pool`].
//! - SQL in one call: [`execute`](Connection::execute), [`execute_batch`](Connection::execute_batch),
//!   [`query_one`](Connection::query_one), [`query_optional`](Connection::query_optional),
//!   [`query_all`](Connection::query_all), [`query_row`](Connection::query_row), [`exists`](Connection::exists).
//! - Statements: [`Connection::prepare`], [`Statement::query`], [`Statement::query_as`], [`Statement::execute`].
//! - Transactions: [`Connection::transaction`], [`Connection::retry`].
//! - Figures: [`stats`], which are in [`finalite::stats::snapshot`], too, and so on the page and in the metrics of
//!   `finalite-endpoint`.
//!
//! # Outcomes
//!
//! | [`ErrorKind`] | The write | The session |
//! |---|---|---|
//! | `Sqlite` | was refused or has failed, as in SQLite | goes on |
//! | `Refused`, `Value`, `Streaming` | was not sent | goes on |
//! | `NotLeader` | was not stored, nor was its transaction | is over |
//! | `Disconnected` | was not stored: it was a read, or belongs to a transaction whose `COMMIT` was not sent | is over |
//! | `Unknown` | may have been stored, or may be yet: the answer was lost, or the node failed to store | is over |
//! | `Dead` | was not sent, as the session had ended before | is over |
//! | `Protocol` | was not understood | is over |
//!
//! A session that is over stays so until [`Connection::reopen`]. Nothing is sent twice, with one exception that a program
//! asks for: [`Connection::retry`] runs a transaction again after a lock or after `NotLeader`, up to its `COMMIT`. A
//! connection that was lost is not tried again, because the statement may be what has ended the node, and would end the
//! next.
//!
//! # Statements
//!
//! A [`Statement`] borrows the connection and is finalized on the node when it is dropped. [`Rows`] borrow the statement.
//! While they arrive, other statements of the session may run: the rest is kept in memory, up to a limit. Statements that
//! would end a node, or do something else than in SQLite, are [refused](ErrorKind::Refused) before they are sent:
//!
//! - `ATTACH`, `DETACH`, `VACUUM`, and the pragmas of the file and its log, such as `journal_mode`;
//! - `RETURNING` by `execute`; by `query` on versions before 1.18, which return the rows and do not store them (1.18.7 stores
//!   them; 1.18.1 fails);
//! - text with NUL, more than 255 parameters before 1.18, another number of values than of parameters;
//! - SQL with several statements, except by [`Connection::execute_batch`];
//! - `BEGIN`, `COMMIT` and `ROLLBACK` as SQL: [`Connection::transaction`]; `SAVEPOINT`, `RELEASE` and `ROLLBACK TO` outside of
//!   one, and prepared;
//! - pragmas that are not known to be harmless; quotes and comments that are not closed.
//!
//! One class cannot be told from the SQL: columns that are declared as DATE, DATETIME, TIMESTAMP or BOOLEAN. See
//! [`TypedColumn`], and declare tables as `STRICT`.
//!
//! # Differences from a local connection
//!
//! There is no statement cache: [`Connection::execute`] and `query_*` are one message and its answer, without preparing.
//! Reads go to the leader, too. After a statement of a transaction has failed, the next one first asks whether SQLite has
//! rolled back, in a message of its own. Another session's lock is an error at once ([`Error::is_busy`]). Functions, collations, hooks,
//! blobs, backups, sessions and extensions are not there. Types of columns are not known before the first row.
//!
//! # Logging
//!
//! Events of sessions have the target `finalite::dqlite`, at DEBUG; what was leaked has `finalite::leak`, at WARN. They
//! contain SQL, and no values.

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

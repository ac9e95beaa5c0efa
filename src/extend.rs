//! SQL that calls Rust: functions, aggregates, window functions, collations, full-text search, R-trees, hooks, deadlines.
//!
//! [`Connection::create_scalar_function`](crate::Connection::create_scalar_function) makes a closure an SQL function:
//! the number and the types of its arguments are those of the closure.
//!
//! ```
//! use finalite::Connection;
//!
//! let conn = Connection::open_in_memory()?;
//! conn.create_scalar_function("half", |x: f64| x / 2.0)?;
//! conn.create_scalar_function("initials", |name: &str| -> String {
//!     name.split_whitespace().filter_map(|word| word.chars().next()).collect()
//! })?;
//! let found: (f64, String) = conn.query_one("SELECT half(5), initials('Ada Lovelace')", ())?;
//! assert_eq!(found, (2.5, "AL".into()));
//! # Ok::<(), finalite::Error>(())
//! ```
//!
//! # Arguments and results
//!
//! An argument is `&str`, `&[u8]`, [`ValueRef`](crate::ValueRef), `Cow<str>`, `Cow<[u8]>`, an owned type of the table in
//! [`convert`](crate::convert), `Option` of one of these for an argument that may be NULL, or a type of the program
//! that implements [`FunctionArgument`]. The types of the arguments are written in the closure: `|s: &str|`. A value
//! that the type does not read is the error [`ErrorKind::FunctionArgument`](crate::ErrorKind::FunctionArgument).
//!
//! A result is anything that can be bound ([`ToSql`](crate::ToSql)), or a `Result` of it with any error type that
//! converts to `Box<dyn Error + Send + Sync>`. The error's text becomes SQLite's message; the error itself is the source
//! of [`ErrorKind::Function`](crate::ErrorKind::Function). A plain closure cannot return a borrow of its argument,
//! because the compiler infers one result type for all lifetimes; [`FunctionContext::reply`] copies one.
//!
//! # Rules
//!
//! - Within a closure its connection refuses every use by another handle, with
//!   [`ErrorKind::Misuse`](crate::ErrorKind::Misuse). A function reads through [`FunctionContext::connection`].
//! - A panic ends the statement, and is resumed by the call that runs it.
//! - A function may be used by views and triggers of the database file, as SQLite's own default is, unless the
//!   connection does not trust its schema or the function is [`direct_only`]. It is not deterministic unless it is said
//!   to be ([`deterministic`]), which an index and a generated column require.
//! - A child process that is forked within a closure ends there, by `_exit` or `exec`: where the closure returns, SQLite
//!   goes on with the statement of the parent.
//! - SQLite refuses to replace or remove a function or collation while a statement is running (`SQLITE_BUSY`).
//! - Closures are `Send`, and are dropped when they are replaced or removed, or after the connection was closed.
//! - A connection of a pool on which a caller registered anything is closed when it is returned. What all connections of
//!   a pool need is registered by [`PoolBuilder::init`](crate::pool::PoolBuilder::init).

mod aggregate;
mod argument;
mod collation;
mod context;
pub(crate) mod deadline;
mod extension;
mod fts;
mod hooks;
mod math;
mod options;
mod reading;
mod register;
mod rtree;
mod scalar;
mod table_function;
mod tokenizer;
pub mod virtual_table;

pub use aggregate::{
    Aggregate, AggregateFunction, CallbackError, StepFunction, StepResult, Window, WindowFunction, aggregate, window,
};
pub use argument::{Argument, FunctionArgument, Lent, Nullable, Owned};
pub use context::{FunctionContext, FunctionResult, Reply};
pub use deadline::{ActiveLimits, Deadline};
pub use extension::Extension;
pub use fts::{FtsContext, FtsInstance, FtsPosition, FtsRow};
pub use hooks::{HookAnswer, Subscription};
pub use options::{Flagged, FunctionOptions, deterministic, direct_only, innocuous};
pub use reading::ReadConnection;
pub use register::Replaced;
pub use rtree::{RtreeBox, RtreeMatch, RtreeQuery, Within};
pub use scalar::ScalarFunction;
pub use table_function::{
    Fallible, Iterated, TableColumns, TableFunction, TableFunctionCall, TableItem, TableRow, TableRows,
};
pub use tokenizer::{
    Token, TokenList, TokenizeReason, TokenizeRequest, Tokenizer, TokenizerSetup, Tokens, WrappedTokenizer,
};

#[cfg(feature = "session")]
pub use crate::raw::hook::PreUpdate;
pub use crate::raw::hook::{
    Access, AccessRequest, Action, AutovacuumPages, Operation, TraceEvent, TraceEvents, Traced, Update, WalCommit,
};
pub use crate::raw::limit::QueryLimits;

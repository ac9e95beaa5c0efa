//! SQLite's handles, each owned by one Rust value. With `ffi.rs`, the public doors, the only code that may be `unsafe`;
//! its exported functions are safe to call.
//!
//! `docs/soundness.md` has the rules that the `SAFETY` comments cite.

pub(crate) mod allocator;
pub(crate) mod backup;
pub(crate) mod blob;
pub(crate) mod callback;
#[cfg(feature = "session")]
pub(crate) mod changeset;
pub(crate) mod checkpoint;
#[cfg(any(feature = "sqlcipher", docsrs))]
pub(crate) mod cipher;
pub(crate) mod collation;
mod column_metadata;
pub(crate) mod db;
mod dispatch;
mod extension;
pub(crate) mod file_control;
pub(crate) mod fts;
pub(crate) mod function;
mod hardening;
pub(crate) mod hook;
#[cfg(feature = "loadable-extension")]
pub(crate) mod host;
mod initialize;
pub(crate) mod interrupt;
pub(crate) mod lent_columns;
pub(crate) mod library;
pub(crate) mod limit;
pub(crate) mod list;
pub(crate) mod math;
pub(crate) mod module;
pub(crate) mod os;
mod recovery;
pub(crate) mod rtree;
pub(crate) mod serialize;
#[cfg(feature = "session")]
pub(crate) mod session;
#[cfg(feature = "snapshot")]
pub(crate) mod snapshot;
mod status;
pub(crate) mod stmt;
pub(crate) mod storage;
#[cfg(feature = "session")]
pub(crate) mod stream;
mod system;
mod text;
pub(crate) mod value;
pub(crate) mod vfs;

pub(crate) use libsqlite3_sys as ffi;

pub(crate) use callback::OpenToCallback;
pub(crate) use db::{Db, DbConfig, Limit, OpenFlags, OwnedDb};
pub(crate) use stmt::{
    Binding, Borrowed, CellError, ColumnHeads, Cursor, Executed, Parked, Plans, RawCopy, RawList, Repetition, Row, Stmt,
};

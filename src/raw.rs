//! The only module that may contain `unsafe`. Its exported functions are safe to call, except those in `interop.rs`.
//!
//! `docs/soundness.md` has the rules that the `SAFETY` comments cite.
//!
//! No file here depends on the layers above, except `interop.rs`, which declares the public `unsafe` functions.

pub(crate) mod allocator;
pub(crate) mod db;
pub(crate) mod interop;
pub(crate) mod interrupt;
pub(crate) mod library;
pub(crate) mod os;
mod recovery;
mod status;
pub(crate) mod stmt;
pub(crate) mod storage;
mod system;
pub(crate) mod table;
mod text;
pub(crate) mod value;

pub use libsqlite3_sys as ffi;

pub(crate) use db::{Db, OpenFlags, Switch};
pub(crate) use stmt::{Binding, CellError, Cursor, OwnedCursor, Parked, RawCopy, RawParam, Row, Stmt};

//! The only module that may contain `unsafe`. Its exported functions are safe to call, except those in `interop.rs`.
//!
//! `docs/soundness.md` has the rules that the `SAFETY` comments cite.
//!
//! No file here depends on the layers above, except `interop.rs`, which declares the public `unsafe` functions.

pub(crate) mod allocator;
mod clock;
pub(crate) mod counts;
pub(crate) mod db;
pub(crate) mod fault;
pub(crate) mod figures;
mod files;
mod fork;
pub(crate) mod interop;
pub(crate) mod interrupt;
pub(crate) mod library;
pub(crate) mod pages;
mod per_process;
mod recovery;
pub(crate) mod registry;
mod shield;
pub(crate) mod stmt;
pub(crate) mod storage;
mod system;
pub(crate) mod table;
mod taint;
mod text;
pub(crate) mod value;

pub use libsqlite3_sys as ffi;

pub use counts::HandleKind;
pub(crate) use db::{Db, OpenFlags, Switch};
pub(crate) use fault::{Fault, FaultKind};
pub(crate) use figures::Figure;
pub(crate) use per_process::{PerProcess, Process};
pub(crate) use shield::shielded;
pub(crate) use stmt::{Binding, CellError, Cursor, OwnedCursor, Parked, RawCopy, RawParam, Row, Stmt};
pub(crate) use taint::Taint;

//! The only module that may contain `unsafe`. Its exported functions are safe to call, except those in `interop.rs`.
//!
//! Rules, each relied on by the `SAFETY` comments below:
//!
//! 1. A handle is non-null and owned by exactly one value; that value's `Drop` (or `Db::close`) is the only place
//!    that frees it.
//! 2. A `Db` and everything made from it stay on one thread at a time: `Db` is `Send` and not `Sync`, its children
//!    borrow it and are neither.
//! 3. A `Row` exists only between `SQLITE_ROW` and the next step or reset; column indexes are checked here.
//! 4. Every call that can reach the database goes through [`Db::enter`], which returns the pointer. It refuses a
//!    connection inherited through `fork` and one that is being closed. Calls that SQLite answers from memory alone
//!    (counters, names, a cell of the current row) need no entry.
//! 5. A binding without a copy is marked in the statement before SQLite receives it, and the next use of the bindings
//!    clears them first (`StmtCore::repair`). A forgotten cursor therefore leaves no dangling pointer that SQLite
//!    reads.
//! 6. Memory that crosses the boundary is freed by the side that allocated it (`text.rs`).
//! 7. The objects to which the allocator's headers point (an account's words) live as long as the process
//!    (`allocator.rs`). Structs shared between C and Rust have one layout, which a test compares.
//! 8. No panic unwinds into C, or out of code that closes or releases a handle (`shield.rs`).
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

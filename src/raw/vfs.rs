//! File systems (VFS) of the program, in safe Rust.
//!
//! ```text
//!   Rust: Cursor::step ──► C: sqlite3_step ──► system.rs: xOpen, xDelete, ..   file.rs: xRead, xWrite, ..
//!                                                │ running::call: no connection of this thread can be entered,
//!                                                │                a panic is parked, and C gets an error
//!                                                ▼
//!                                              Vfs, VfsFile of the program (api.rs)
//!                                                │
//!                                                ▼ where it is built on another
//!                                              Existing, ExistingFile (existing.rs) ──► C: unix
//! ```
//!
//! C's objects are the first fields of Rust's. A file is one box, which `xOpen` makes and `xClose` drops. A file system is
//! one that is never freed: connections keep its address.

mod api;
mod control;
mod error;
mod existing;
mod file;
mod flags;
mod name;
pub(in crate::raw) mod running;
mod shared_memory;
mod system;

pub use api::{FullPath, Vfs, VfsFile};
pub use control::{ControlReply, FileControl};
pub use error::{VfsError, VfsResult};
pub use existing::{Existing, ExistingFile};
pub use flags::{Access, DeviceCharacteristics, FileKind, LockLevel, OpenFlags, SyncMode};
pub use name::FileName;
pub use shared_memory::SharedMemory;
pub use system::Registration;
pub(crate) use system::register;

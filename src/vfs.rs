//! File systems (VFS): what SQLite stores its databases with, in safe Rust.
//!
//! | type | files |
//! |---|---|
//! | [`Memory`] | in memory, by name; taken and put back as bytes |
//! | [`ReadOnly`] | one database, from bytes of the program or from a reader of ranges |
//! | `faults::Vfs` (feature `fault-injection`) | those of another one, with failures and power cuts, for tests |
//! | an implementation of [`Vfs`] and [`VfsFile`] | of the program's own, or those of the system with some methods replaced |
//!
//! A file system is [registered](register) under a name. Connections ask for it by that name
//! ([`OpenOptions::vfs`](crate::OpenOptions::vfs)), in the URI of a database (`file:app.db?vfs=name`), or by being opened
//! after [`Registration::make_default`]. A connection that names none uses SQLite's own.
//!
//! [Scans](crate::scan) of a database in a file system of the program read through statements: the page reader reads files
//! of SQLite's own file systems alone.
//!
//! C: [The OS Interface](https://sqlite.org/vfs.html)

mod lock_table;
mod memory;
mod read_only;

pub use crate::raw::vfs::{
    Access, ControlReply, DeviceCharacteristics, Existing, ExistingFile, FileControl, FileKind, FileName, FullPath,
    LockLevel, OpenFlags, Registration, SharedMemory, SyncMode, Vfs, VfsError, VfsFile, VfsResult,
};
pub use lock_table::{FileLock, LockTable};
pub use memory::{Memory, MemoryFile};
pub use read_only::{ReadOnly, ReadOnlyFile};

use crate::Result;

/// Registers a file system under a name, for the process. It stays registered when the [`Registration`] is dropped.
///
/// # Errors
///
/// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if the name is empty, contains NUL, or is that of another file system,
/// of which there is one in the process.
///
/// # Example
///
/// ```
/// use finalite::{Connection, OpenOptions, vfs};
///
/// let registration = vfs::register("app", vfs::Memory::new())?;
/// assert!(vfs::exists("app"));
/// assert_ne!(vfs::default_name().as_deref(), Some("app"));
///
/// let conn = OpenOptions::new().vfs(registration.name()).open("one.db")?;
/// conn.execute("CREATE TABLE t(a)", ())?;
/// assert_eq!(registration.open_files(), 1);
/// // Not while a connection uses it.
/// assert!(registration.unregister().is_err());
/// conn.close()?;
/// registration.unregister()?;
/// assert!(!vfs::exists("app"));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [`sqlite3_vfs_register`](https://sqlite.org/c3ref/vfs_find.html)
pub fn register<V: Vfs>(name: &str, vfs: V) -> Result<Registration> {
    crate::raw::vfs::register(name, vfs)
}

/// Whether there is a file system of this name. See [`register`].
///
/// C: [`sqlite3_vfs_find`](https://sqlite.org/c3ref/vfs_find.html)
#[must_use]
pub fn exists(name: &str) -> bool {
    Existing::named(name).is_ok()
}

/// Returns the name of the default file system; `None` if there is none. See [`register`].
///
/// C: [`sqlite3_vfs_find`](https://sqlite.org/c3ref/vfs_find.html)
#[must_use]
pub fn default_name() -> Option<String> {
    Existing::default_one().ok().map(|default| default.name())
}

//! The traits of file systems and of their files.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::control::{ControlReply, FileControl};
use super::error::{VfsError, VfsResult};
use super::existing::{Existing, ExistingFile};
use super::flags::{Access, DeviceCharacteristics, LockLevel, OpenFlags, SyncMode};
use super::name::FileName;
use super::shared_memory::SharedMemory;
use crate::error::ResultCode;

/// A file system for SQLite: [`register`](crate::vfs::register).
///
/// It is used by all threads at a time. A method that panics is an error for SQLite; the call of finalite's that made
/// SQLite call it resumes the panic, as it does for callbacks. If that call is a `Drop`, or belongs to another driver,
/// the next call on the thread does. On a thread of SQLite's own (`PRAGMA threads`, for sorting) there is none: the panic
/// is logged and counted ([`late_panics`](crate::handles::late_panics)), and SQLite has the error alone.
///
/// No connection of finalite can be used within a method, on its thread: SQLite is in the middle of something, for a
/// connection that it does not name. Each call returns [`ErrorKind::Misuse`](crate::ErrorKind::Misuse). A connection that
/// is dropped or closed there, which is another one than that which is running, is closed.
///
/// Extensions are loaded, and random bytes made, by SQLite's own file system: SQLite asks for the bytes with a lock of its
/// generator held, which a method of the program that opens a file would wait for.
///
/// # Files of the system
///
/// **Do not open a database file by `std::fs` in a file system of your own.** POSIX drops all locks of a process on a file
/// when it closes *any* descriptor of it: one `File` that is dropped beside SQLite's, in this file system or elsewhere in
/// the program, takes the locks from every connection of the process, and two processes write at the same time. A file
/// system that changes what happens to files of the system is built on the one that SQLite has: its files own an
/// [`ExistingFile`], they return it from [`VfsFile::existing`], and every method that they do not implement is that of
/// the existing file.
///
/// # Example
///
/// A file system that counts what is written to write-ahead logs:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use finalite::vfs::{self, Existing, ExistingFile, FileKind, FileName, OpenFlags, Vfs, VfsFile, VfsResult};
/// use finalite::OpenOptions;
///
/// struct Counting {
///     system: Existing,
///     written: Arc<AtomicU64>,
/// }
///
/// struct CountingFile {
///     real: ExistingFile,
///     is_log: bool,
///     written: Arc<AtomicU64>,
/// }
///
/// impl Vfs for Counting {
///     type File = CountingFile;
///
///     fn existing(&self) -> Option<&Existing> {
///         Some(&self.system)
///     }
///
///     fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<CountingFile> {
///         let real = self.system.open(name, flags)?;
///         Ok(CountingFile { real, is_log: flags.kind() == FileKind::Wal, written: Arc::clone(&self.written) })
///     }
/// }
///
/// impl VfsFile for CountingFile {
///     fn existing(&self) -> Option<&ExistingFile> {
///         Some(&self.real)
///     }
///
///     fn write_at(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
///         if self.is_log {
///             self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
///         }
///         self.real.write_at(bytes, offset)
///     }
/// }
///
/// let written = Arc::new(AtomicU64::new(0));
/// vfs::register("counting", Counting { system: Existing::default_one()?, written: Arc::clone(&written) })?;
///
/// let dir = tempfile::tempdir()?;
/// let conn = OpenOptions::new().vfs("counting").pragma("journal_mode", "wal").open(dir.path().join("app.db"))?;
/// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
/// assert!(written.load(Ordering::Relaxed) > 2 * 4096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [`sqlite3_vfs`](https://sqlite.org/c3ref/vfs.html)
pub trait Vfs: Send + Sync + 'static {
    /// An open file.
    type File: VfsFile;

    /// Returns the file system that this one is built on: it does what this one does not implement. Must always return
    /// the same.
    fn existing(&self) -> Option<&Existing> {
        None
    }

    /// Opens a file. One without a name is temporary, and nobody else opens it.
    ///
    /// The flags are the file system's to obey: a file is created if [`is_create`](OpenFlags::is_create), must not exist if
    /// [`is_exclusive`](OpenFlags::is_exclusive) too, and is deleted by its Drop if
    /// [`is_deleted_on_close`](OpenFlags::is_deleted_on_close). One that cannot be written is opened for reading, and
    /// [says so](VfsFile::is_read_only).
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_CANTOPEN` for an [`io::Error`](std::io::Error).
    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<Self::File>;

    /// Deletes a file. `sync_directory`: durably.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_DELETE_NOENT` for a file that does not exist, also as an
    /// [`io::Error`](std::io::Error) of that kind.
    fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
        self.existing().ok_or(VfsError::new(ResultCode::IOERR_DELETE))?.delete(path, sync_directory)
    }

    /// Answers a question about a file. `false` for one that does not exist is no error.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_ACCESS` for an [`io::Error`](std::io::Error).
    fn access(&self, path: &Path, access: Access) -> VfsResult<bool> {
        self.existing().ok_or(VfsError::new(ResultCode::IOERR_ACCESS))?.access(path, access)
    }

    /// Returns the absolute path of a file, as which it is opened. Without an existing file system, the path itself. It has
    /// at most 1,024 bytes, or as many as the existing file system allows, and that of a database 8 less: SQLite cannot
    /// open one that is longer.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_CANTOPEN_FULLPATH` for an [`io::Error`](std::io::Error).
    fn full_path(&self, path: &Path) -> VfsResult<FullPath> {
        match self.existing() {
            Some(existing) => existing.full_path(path),
            None => Ok(path.to_path_buf().into()),
        }
    }

    /// Waits, for a lock that another connection holds. Returns the time that it has waited.
    fn sleep(&self, duration: Duration) -> Duration {
        thread::sleep(duration);
        duration
    }

    /// Returns the current time, for SQL.
    fn current_time(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Absolute path of a file: [`Vfs::full_path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullPath {
    /// The path.
    pub path: PathBuf,
    /// Whether symbolic links were followed to it, which [`OpenOptions::no_follow`](crate::OpenOptions::no_follow)
    /// forbids.
    pub has_symlink: bool,
}

impl From<PathBuf> for FullPath {
    fn from(path: PathBuf) -> Self {
        Self { path, has_symlink: false }
    }
}

/// An open file of a [`Vfs`]. SQLite uses it by one thread at a time, and closes it by dropping it.
///
/// A method that is not implemented is that of the [existing](Self::existing) file. Without one, a file implements at
/// least [`read_at`](Self::read_at), [`write_at`](Self::write_at), [`truncate`](Self::truncate) and
/// [`size`](Self::size): what it does not implement of these fails. SQLite locks databases alone; dropping a file gives
/// its locks up. Locks, which a file for one connection can do without, are in [`LockTable`](crate::vfs::LockTable);
/// [`SharedMemory`] is what write-ahead logs need.
///
/// C: [`sqlite3_io_methods`](https://sqlite.org/c3ref/io_methods.html)
pub trait VfsFile: Send + 'static {
    /// Returns the file of the system that this one is built on, which has the same content and the same locks. Its
    /// shared memory and its file controls are used too. It is asked for once for these, when the file was opened, and stays
    /// open as long. Two open files need two existing ones: the open of the second on the same one is `SQLITE_CANTOPEN`.
    fn existing(&self) -> Option<&ExistingFile> {
        None
    }

    /// Whether the file can only be read, though it may have been opened for more.
    fn is_read_only(&self) -> bool {
        self.existing().is_some_and(ExistingFile::is_read_only)
    }

    /// Reads at an offset. Returns the number of bytes that were read, at most the length of the buffer. It is smaller at
    /// the end of the file only; SQLite then receives zeros for the rest.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_READ` for an [`io::Error`](std::io::Error).
    fn read_at(&mut self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        self.existing().ok_or(VfsError::new(ResultCode::IOERR_READ))?.read_at(into, offset)
    }

    /// Writes at an offset, all bytes. The file grows where it has to.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_WRITE` for an [`io::Error`](std::io::Error), `SQLITE_FULL` if the device
    /// is full.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        self.existing().ok_or(VfsError::new(ResultCode::IOERR_WRITE))?.write_at(bytes, offset)
    }

    /// Sets the size.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_TRUNCATE` for an [`io::Error`](std::io::Error).
    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        self.existing().ok_or(VfsError::new(ResultCode::IOERR_TRUNCATE))?.truncate(size)
    }

    /// Makes durable what was written. Without an existing file, nothing: the file does not outlive the process.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_FSYNC` for an [`io::Error`](std::io::Error).
    fn sync(&mut self, mode: SyncMode) -> VfsResult<()> {
        self.existing().map_or(Ok(()), |existing| existing.sync(mode))
    }

    /// Returns the size in bytes.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_FSTAT` for an [`io::Error`](std::io::Error).
    fn size(&mut self) -> VfsResult<u64> {
        self.existing().ok_or(VfsError::new(ResultCode::IOERR_FSTAT))?.size()
    }

    /// Raises the lock to a level. Without an existing file, nothing: only one connection may use the file.
    ///
    /// # Errors
    ///
    /// [`VfsError::BUSY`] if another connection prevents it; what SQLite is to report; `SQLITE_IOERR_LOCK` for an
    /// [`io::Error`](std::io::Error).
    fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.existing().map_or(Ok(()), |existing| existing.lock_to(level))
    }

    /// Lowers the lock to [`LockLevel::Shared`] or [`LockLevel::None`].
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_UNLOCK` for an [`io::Error`](std::io::Error).
    fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.existing().map_or(Ok(()), |existing| existing.unlock_to(level))
    }

    /// Whether any connection has [`LockLevel::Reserved`] or more.
    ///
    /// # Errors
    ///
    /// What SQLite is to report; `SQLITE_IOERR_CHECKRESERVEDLOCK` for an [`io::Error`](std::io::Error).
    fn is_reserved(&mut self) -> VfsResult<bool> {
        self.existing().map_or(Ok(false), ExistingFile::is_reserved)
    }

    /// Handles a request. One that is not known is answered by [`ControlReply::NotFound`], and passed to the existing
    /// file.
    ///
    /// # Errors
    ///
    /// What SQLite is to report.
    fn control(&mut self, request: FileControl<'_>) -> VfsResult<ControlReply> {
        let _ = request;
        Ok(ControlReply::NotFound)
    }

    /// Returns the number of bytes that the device writes at once; SQLite takes the next power of 2 from 512 to 65,536, and
    /// 4,096 for 0. It is asked for once, when the file was opened.
    fn sector_size(&self) -> u32 {
        self.existing().map_or(0, ExistingFile::sector_size)
    }

    /// Returns the promises of the device. They are asked for when the file was opened; after
    /// [`FileControl::PowersafeOverwrite`], that promise is asked for again, and the others are not.
    fn device(&self) -> DeviceCharacteristics {
        self.existing().map_or(DeviceCharacteristics::NONE, ExistingFile::device)
    }

    /// Returns the memory that connections of the database share in WAL mode, the same for all its open files. `None`:
    /// the database can be in WAL mode only where the [existing](Self::existing) file has shared memory, or with
    /// `PRAGMA locking_mode = EXCLUSIVE`. It is asked for once, when the file was opened.
    fn shared_memory(&self) -> Option<&SharedMemory> {
        None
    }
}

//! SQLite's locks on a database file, among the connections of one process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{LockLevel, VfsError, VfsResult};

/// The locks of one database file, among the connections of this process: [`VfsFile::lock`](super::VfsFile::lock).
///
/// All files of one database hold a [`FileLock`] of the same table, or of a clone of it.
///
/// # Example
///
/// ```
/// use finalite::vfs::{LockLevel, LockTable, VfsError};
///
/// let table = LockTable::new();
/// let (mut writer, mut reader) = (table.file_lock(), table.file_lock());
/// reader.lock(LockLevel::Shared)?;
/// writer.lock(LockLevel::Shared)?;
/// writer.lock(LockLevel::Reserved)?;
/// // The reader is still there; no other one begins.
/// assert_eq!(writer.lock(LockLevel::Exclusive), Err(VfsError::BUSY));
/// assert_eq!(writer.level(), LockLevel::Pending);
/// assert_eq!(table.file_lock().lock(LockLevel::Shared), Err(VfsError::BUSY));
/// drop(reader);
/// writer.lock(LockLevel::Exclusive)?;
/// # Ok::<(), VfsError>(())
/// ```
///
/// C: [File locking](https://sqlite.org/lockingv3.html)
#[derive(Clone, Debug, Default)]
pub struct LockTable(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Number of files with any lock.
    shared: usize,
    /// Highest level of a file; above [`LockLevel::Shared`] one file has it alone.
    level: LockLevel,
}

impl LockTable {
    /// Creates a table without locks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the lock of a file that is being opened.
    #[must_use]
    pub fn file_lock(&self) -> FileLock {
        FileLock { table: self.clone(), level: LockLevel::None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock of one open file: [`LockTable::file_lock`]. Dropping it releases it.
pub struct FileLock {
    table: LockTable,
    level: LockLevel,
}

impl FileLock {
    /// Returns the level of the lock.
    #[must_use]
    pub fn level(&self) -> LockLevel {
        self.level
    }

    /// Raises the lock to a level, as [`VfsFile::lock`](super::VfsFile::lock) is asked to. From
    /// [`LockLevel::Reserved`], a failure for [`LockLevel::Exclusive`] leaves [`LockLevel::Pending`].
    ///
    /// # Errors
    ///
    /// [`VfsError::BUSY`] if another file prevents it; `SQLITE_IOERR_LOCK` for an order of levels that SQLite does not
    /// use.
    pub fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
        if self.level >= level {
            return Ok(());
        }
        let mut state = self.table.state();
        let is_others = state.level != self.level;
        match level {
            LockLevel::Shared if state.level >= LockLevel::Pending => return Err(VfsError::BUSY),
            LockLevel::Shared => {
                state.shared += 1;
                state.level = state.level.max(LockLevel::Shared);
            }
            LockLevel::Reserved | LockLevel::Exclusive if self.level >= LockLevel::Shared => {
                if is_others {
                    return Err(VfsError::BUSY);
                }
                if level == LockLevel::Exclusive && state.shared > 1 {
                    if self.level == LockLevel::Reserved {
                        (self.level, state.level) = (LockLevel::Pending, LockLevel::Pending);
                    }
                    return Err(VfsError::BUSY);
                }
                state.level = level;
            }
            _ => return Err(VfsError::new(crate::ResultCode::IOERR_LOCK)),
        }
        self.level = level;
        Ok(())
    }

    /// Lowers the lock to [`LockLevel::Shared`] or [`LockLevel::None`]; a higher level means [`LockLevel::Shared`].
    pub fn unlock(&mut self, level: LockLevel) {
        let level = level.min(LockLevel::Shared);
        if self.level <= level {
            return;
        }
        let mut state = self.table.state();
        if self.level > LockLevel::Shared {
            state.level = LockLevel::Shared;
        }
        if level == LockLevel::None {
            state.shared -= 1;
            if state.shared == 0 {
                state.level = LockLevel::None;
            }
        }
        self.level = level;
    }

    /// Whether any file has [`LockLevel::Reserved`] or more.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.table.state().level > LockLevel::Shared
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        self.unlock(LockLevel::None);
    }
}

impl fmt::Debug for FileLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileLock").field(&self.level).finish()
    }
}

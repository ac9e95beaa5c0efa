//! Files in memory, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{
    Access, ControlReply, DeviceCharacteristics, FileControl, FileLock, FileName, LockLevel, LockTable, OpenFlags,
    SharedMemory, SyncMode, Vfs, VfsError, VfsFile, VfsResult,
};
use crate::error::{Fault, FaultKind};
use crate::{Result, ResultCode};

/// A file system in memory. Its databases are files with names: several connections and threads open one, with
/// write-ahead logs and attached databases as on a disk, and what is stored can be [taken](Self::snapshot) as bytes and
/// [put back](Self::restore).
///
/// A clone is the same file system. Its files live until they are deleted, or until it is unregistered and dropped.
///
/// # Example
///
/// ```
/// use finalite::OpenOptions;
/// use finalite::vfs::{self, Memory};
///
/// let memory = Memory::new();
/// vfs::register("memory", memory.clone())?;
/// let options = OpenOptions::new().vfs("memory").pragma("journal_mode", "wal");
///
/// let conn = options.open("app.db")?;
/// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
/// // Another connection, to the same database.
/// assert_eq!(options.open("app.db")?.query_one::<i64>("SELECT a FROM t", ())?, 1);
/// conn.close()?;
///
/// let before = memory.snapshot();
/// options.open("app.db")?.execute("DELETE FROM t", ())?;
/// memory.restore(before)?;
/// assert_eq!(options.open("app.db")?.query_one::<i64>("SELECT count(*) FROM t", ())?, 1);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<PathBuf, Arc<Content>>>>);

#[derive(Default)]
struct Content {
    bytes: RwLock<Vec<u8>>,
    locks: LockTable,
    shared: SharedMemory,
}

impl Content {
    fn len(&self) -> usize {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Memory {
    /// Creates a file system without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<Content>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the content of all files. Taken while a connection writes, it is what a process that is killed at that
    /// moment leaves on a disk: databases with their journals, which SQLite rolls back when it opens them.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.files();
        // All files of one moment: nothing is written to any of them meanwhile.
        let contents: Vec<_> = files.values().map(Arc::clone).collect();
        let locked = contents.iter().map(|content| content.bytes.read().unwrap_or_else(PoisonError::into_inner));
        let locked: Vec<_> = locked.collect();
        files.keys().cloned().zip(locked.iter().map(|bytes| bytes.to_vec())).collect()
    }

    /// Replaces all files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if a file is open: nothing has changed then.
    pub fn restore(&self, to: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Result<()> {
        let to = to.into_iter().map(|(path, bytes)| {
            let content = Content { bytes: RwLock::new(bytes), ..Content::default() };
            (path, Arc::new(content))
        });
        let to = to.collect();
        let mut files = self.files();
        if files.values().any(|content| Arc::strong_count(content) > 1) {
            return Err(Fault::new(FaultKind::Misuse("files of the file system are open")).into());
        }
        *files = to;
        Ok(())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files();
        f.debug_map().entries(files.iter().map(|(path, content)| (path, content.len()))).finish()
    }
}

impl Vfs for Memory {
    type File = MemoryFile;

    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<MemoryFile> {
        let content = match name {
            None => Arc::default(),
            Some(name) => {
                let mut files = self.files();
                match files.get(name.path()) {
                    Some(_) if flags.is_create() && flags.is_exclusive() => {
                        return Err(VfsError::new(ResultCode::CANTOPEN));
                    }
                    Some(content) => Arc::clone(content),
                    None if flags.is_create() => Arc::clone(files.entry(name.path().to_path_buf()).or_default()),
                    None => return Err(VfsError::new(ResultCode::CANTOPEN)),
                }
            }
        };
        let doomed = name.filter(|_| flags.is_deleted_on_close()).map(|name| (self.clone(), name.path().to_path_buf()));
        Ok(MemoryFile { lock: content.locks.file_lock(), content, is_read_only: flags.is_read_only(), doomed })
    }

    fn delete(&self, path: &Path, _sync_directory: bool) -> VfsResult<()> {
        match self.files().remove(path) {
            Some(_) => Ok(()),
            None => Err(VfsError::new(ResultCode::IOERR_DELETE_NOENT)),
        }
    }

    fn access(&self, path: &Path, access: Access) -> VfsResult<bool> {
        let files = self.files();
        let content = files.get(path);
        Ok(content.is_some_and(|content| access != Access::Exists || content.len() > 0))
    }
}

/// An open file of [`Memory`].
pub struct MemoryFile {
    content: Arc<Content>,
    lock: FileLock,
    is_read_only: bool,
    /// Deleted when it is closed.
    doomed: Option<(Memory, PathBuf)>,
}

impl MemoryFile {
    /// Changes the bytes.
    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>) -> VfsResult<()>) -> VfsResult<()> {
        if self.is_read_only {
            return Err(VfsError::new(ResultCode::READONLY));
        }
        change(&mut self.content.bytes.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sets the size, if there is enough memory.
fn resize(bytes: &mut Vec<u8>, size: u64) -> VfsResult<()> {
    let no_memory = VfsError::new(ResultCode::IOERR_NOMEM);
    let size = usize::try_from(size).map_err(|_| no_memory)?;
    bytes.try_reserve(size.saturating_sub(bytes.len())).map_err(|_| no_memory)?;
    bytes.resize(size, 0);
    Ok(())
}

impl VfsFile for MemoryFile {
    fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn read_at(&mut self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        let bytes = self.content.bytes.read().unwrap_or_else(PoisonError::into_inner);
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&mut self, written: &[u8], offset: u64) -> VfsResult<()> {
        self.change(|bytes| {
            let end = offset.checked_add(written.len() as u64).ok_or(VfsError::new(ResultCode::FULL))?;
            if end > bytes.len() as u64 {
                resize(bytes, end)?;
            }
            let start = usize::try_from(offset).map_err(|_| VfsError::new(ResultCode::FULL))?;
            bytes[start..start + written.len()].copy_from_slice(written);
            Ok(())
        })
    }

    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        self.change(|bytes| resize(bytes, size))
    }

    fn sync(&mut self, _mode: SyncMode) -> VfsResult<()> {
        Ok(())
    }

    fn size(&mut self) -> VfsResult<u64> {
        Ok(self.content.len() as u64)
    }

    fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.lock.lock(level)
    }

    fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.lock.unlock(level);
        Ok(())
    }

    fn is_reserved(&mut self) -> VfsResult<bool> {
        Ok(self.lock.is_reserved())
    }

    fn control(&mut self, request: FileControl<'_>) -> VfsResult<ControlReply> {
        Ok(match request {
            FileControl::LockState => ControlReply::Integer(self.lock.level() as i32),
            FileControl::SizeHint(_) | FileControl::ChunkSize(_) => ControlReply::Done,
            _ => ControlReply::NotFound,
        })
    }

    /// Writes are seen in their order, all of them: the files end with the process.
    fn device(&self) -> DeviceCharacteristics {
        DeviceCharacteristics::SAFE_APPEND
            | DeviceCharacteristics::SEQUENTIAL
            | DeviceCharacteristics::POWERSAFE_OVERWRITE
            | DeviceCharacteristics::SUBPAGE_READ
    }

    fn shared_memory(&self) -> Option<&SharedMemory> {
        Some(&self.content.shared)
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if let Some((memory, path)) = self.doomed.take() {
            let mut files = memory.files();
            if files.get(&path).is_some_and(|content| Arc::ptr_eq(content, &self.content)) {
                files.remove(&path);
            }
        }
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile")
            .field("bytes", &self.content.len())
            .field("lock", &self.lock)
            .field("read_only", &self.is_read_only)
            .finish()
    }
}

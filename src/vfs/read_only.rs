//! Databases that are only read: from memory of the program, or from any reader of ranges.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{
    Access, DeviceCharacteristics, Existing, ExistingFile, FileKind, FileName, FullPath, OpenFlags, Vfs, VfsError,
    VfsFile, VfsResult,
};
use crate::{Result, ResultCode};

type ReadRange = dyn Fn(Range<u64>) -> io::Result<Vec<u8>> + Send + Sync;

/// A file system with one database, which is read and never written: bytes of the program (`include_bytes!`), or whatever
/// a closure reads, as a range of an object that an HTTP server has. Each name is that of this database.
///
/// The database must not change while it is open. SQLite takes no locks and looks for no journal. One that was in WAL
/// mode, and whose log is empty, is read as well. Temporary files are those of the system.
///
/// # Example
///
/// ```
/// use finalite::OpenOptions;
/// use finalite::vfs::{self, ReadOnly};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("towns.db");
/// # finalite::Connection::open(&path)?.execute_batch("CREATE TABLE t(name); INSERT INTO t VALUES ('Ghent')")?;
/// # let embedded: &'static [u8] = Box::leak(std::fs::read(&path)?.into_boxed_slice());
/// // const TOWNS: &[u8] = include_bytes!("towns.db");
/// vfs::register("towns", ReadOnly::from_static(embedded)?)?;
/// let conn = OpenOptions::new().vfs("towns").read_only(true).open("towns.db")?;
/// assert_eq!(conn.query_one::<String>("SELECT name FROM t", ())?, "Ghent");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReadOnly {
    source: Source,
    system: Existing,
}

#[derive(Clone)]
enum Source {
    Static(&'static [u8]),
    Reader { bytes: u64, read: Arc<ReadRange> },
}

impl ReadOnly {
    /// Creates one whose database is in memory of the program, and is read in place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if SQLite has no file system for temporary files.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        Ok(Self { source: Source::Static(bytes), system: Existing::default_one()? })
    }

    /// Creates one whose database has this size, and is read by the closure: a range of it, all bytes. Ranges are those of
    /// pages, and of parts of the header.
    ///
    /// The closure is called by the threads that use connections, each time SQLite reads a page that is not in its cache.
    /// What takes long to read is better kept by the closure, in larger pieces, or by a larger
    /// `PRAGMA cache_size`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if SQLite has no file system for temporary files.
    ///
    /// # Example
    ///
    /// ```
    /// use std::io;
    ///
    /// use finalite::OpenOptions;
    /// use finalite::vfs::{self, ReadOnly};
    ///
    /// # let source = finalite::Connection::open_in_memory()?;
    /// # source.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (7)")?;
    /// # let object = source.serialize("main")?.to_vec();
    /// let bytes = object.len() as u64;
    /// // `object` is what a server has, and this a request with the header `Range`.
    /// let get = move |range: std::ops::Range<u64>| -> io::Result<Vec<u8>> {
    ///     Ok(object[range.start as usize..range.end as usize].to_vec())
    /// };
    /// vfs::register("remote", ReadOnly::from_reader(bytes, get)?)?;
    /// let conn = OpenOptions::new().vfs("remote").read_only(true).open("object.db")?;
    /// assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ())?, 7);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn from_reader(
        bytes: u64,
        read: impl Fn(Range<u64>) -> io::Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Self> {
        Ok(Self { source: Source::Reader { bytes, read: Arc::new(read) }, system: Existing::default_one()? })
    }
}

impl fmt::Debug for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnly").field("bytes", &self.source.len()).finish_non_exhaustive()
    }
}

impl Source {
    fn len(&self) -> u64 {
        match self {
            Self::Static(bytes) => bytes.len() as u64,
            Self::Reader { bytes, .. } => *bytes,
        }
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        let len = self.len();
        let range = offset.min(len)..offset.saturating_add(into.len() as u64).min(len);
        let bytes = match self {
            Self::Static(bytes) => {
                let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                let bytes = range.and_then(|(start, end)| bytes.get(start..end)).unwrap_or_default();
                into[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            }
            Self::Reader { .. } if range.is_empty() => 0,
            Self::Reader { read, .. } => {
                let expected = range.end - range.start;
                let bytes = read(range)?;
                if bytes.len() as u64 != expected {
                    return Err(VfsError::new(ResultCode::IOERR_READ));
                }
                into[..bytes.len()].copy_from_slice(&bytes);
                bytes.len()
            }
        };
        without_log(&mut into[..bytes], offset);
        Ok(bytes)
    }
}

/// Has a database in WAL mode read as one without a log, for which SQLite would want shared memory: the two versions of
/// the format, at offset 18, become 1.
fn without_log(bytes: &mut [u8], offset: u64) {
    for at in 18..20 {
        let byte = usize::try_from(at - offset.min(at)).ok().filter(|_| at >= offset);
        if let Some(byte) = byte.and_then(|byte| bytes.get_mut(byte))
            && *byte == 2
        {
            *byte = 1;
        }
    }
}

impl Vfs for ReadOnly {
    type File = ReadOnlyFile;

    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<ReadOnlyFile> {
        match flags.kind() {
            FileKind::MainDatabase => Ok(ReadOnlyFile(Inner::Database(self.source.clone()))),
            FileKind::MainJournal | FileKind::Wal | FileKind::SuperJournal => Err(VfsError::new(ResultCode::CANTOPEN)),
            _ => self.system.open(name, flags).map(|file| ReadOnlyFile(Inner::Temporary(file))),
        }
    }

    fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
        // Temporary files: the database has none beside it.
        self.system.delete(path, sync_directory)
    }

    fn access(&self, _path: &Path, _access: Access) -> VfsResult<bool> {
        Ok(false)
    }

    fn full_path(&self, path: &Path) -> VfsResult<FullPath> {
        Ok(path.to_path_buf().into())
    }
}

/// An open file of [`ReadOnly`].
#[derive(Debug)]
pub struct ReadOnlyFile(Inner);

enum Inner {
    Database(Source),
    Temporary(ExistingFile),
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database(_) => "Database",
            Self::Temporary(_) => "Temporary",
        })
    }
}

impl VfsFile for ReadOnlyFile {
    fn existing(&self) -> Option<&ExistingFile> {
        match &self.0 {
            Inner::Database(_) => None,
            Inner::Temporary(file) => Some(file),
        }
    }

    fn is_read_only(&self) -> bool {
        matches!(self.0, Inner::Database(_))
    }

    fn read_at(&mut self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        match &self.0 {
            Inner::Database(source) => source.read_at(into, offset),
            Inner::Temporary(file) => file.read_at(into, offset),
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        match &self.0 {
            Inner::Database(_) => Err(VfsError::new(ResultCode::READONLY)),
            Inner::Temporary(file) => file.write_at(bytes, offset),
        }
    }

    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        match &self.0 {
            Inner::Database(_) => Err(VfsError::new(ResultCode::READONLY)),
            Inner::Temporary(file) => file.truncate(size),
        }
    }

    fn size(&mut self) -> VfsResult<u64> {
        match &self.0 {
            Inner::Database(source) => Ok(source.len()),
            Inner::Temporary(file) => file.size(),
        }
    }

    fn device(&self) -> DeviceCharacteristics {
        match &self.0 {
            Inner::Database(_) => DeviceCharacteristics::IMMUTABLE | DeviceCharacteristics::SUBPAGE_READ,
            Inner::Temporary(file) => file.device(),
        }
    }
}

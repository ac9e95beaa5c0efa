//! List of the open database files, identified by device and inode.
//!
//! SQLite records, for the whole process and by device and inode, the locks it holds on a file (`os_unix.c`,
//! `inodeList`). A child process inherits these records without the locks. A connection that the child opens on such a
//! file assumes locks that only the parent holds; what it writes is lost, or corrupts the file
//! (sqlite.org/howtocorrupt.html, 2.6). Each connection therefore lists its open files here, and a child process checks
//! whether its parent had a file open.
//!
//! The list needs no lock, so that a child process forked at any moment finds it consistent.

#[cfg(not(unix))]
pub(crate) use elsewhere::{FileId, OpenFile, is_open, log_bytes, was_inherited};
#[cfg(unix)]
pub(crate) use unix::{FileId, OpenFile, is_open, log_bytes, was_inherited};

#[cfg(unix)]
mod unix {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::prelude::*;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::raw::os::append_list::AppendList;
    use crate::raw::os::fork::generation;

    /// Identity of a file, independent of its path.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct FileId {
        device: u64,
        inode: u64,
    }

    impl FileId {
        /// Returns the identity of the file at a path, if it exists. The file is not opened, because closing any
        /// descriptor of a database file drops the process's locks on it.
        pub(crate) fn of(path: &CStr) -> Option<Self> {
            if path.is_empty() {
                return None;
            }
            let metadata = Path::new(OsStr::from_bytes(path.to_bytes())).metadata().ok()?;
            Some(Self { device: metadata.dev(), inode: metadata.ino() })
        }
    }

    /// Returns the size of the write-ahead log of the database at a path, if there is one. The file is not opened.
    pub(crate) fn log_bytes(path: &CStr) -> Option<u64> {
        let path = [path.to_bytes(), b"-wal"].concat();
        Some(Path::new(OsStr::from_bytes(&path)).metadata().ok()?.len())
    }

    /// Entry of the list. A released entry is reused; the entries of a parent process stay taken in its child.
    struct FileEntry {
        /// `FREE`, `CLAIMED`, or the `owner` that has the file open. It is written last, so that an entry is read only
        /// when it is complete.
        owner: AtomicU64,
        device: AtomicU64,
        inode: AtomicU64,
    }

    impl FileEntry {
        fn claimed() -> Self {
            Self { owner: AtomicU64::new(CLAIMED), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
        }

        fn is(&self, file: FileId) -> bool {
            self.device.load(Ordering::Relaxed) == file.device && self.inode.load(Ordering::Relaxed) == file.inode
        }
    }

    const FREE: u64 = 0;
    const CLAIMED: u64 = u64::MAX;

    /// Returns the number of this process: its fork generation, counted from 1.
    fn owner() -> u64 {
        u64::from(generation()) + 1
    }

    static PLACES: AppendList<FileEntry> = AppendList::new();

    /// Entry for a file that a connection has open. Dropping it releases the entry.
    pub(crate) struct OpenFile(&'static FileEntry);

    impl OpenFile {
        pub(crate) fn new(file: FileId) -> Self {
            let claim = |place: &&FileEntry| {
                place.owner.compare_exchange(FREE, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            };
            let place = PLACES.iter().find(claim).unwrap_or_else(|| PLACES.push(FileEntry::claimed()));
            place.device.store(file.device, Ordering::Relaxed);
            place.inode.store(file.inode, Ordering::Relaxed);
            place.owner.store(owner(), Ordering::Release);
            Self(place)
        }
    }

    impl Drop for OpenFile {
        /// Releases the entry, unless it was inherited: SQLite's own inherited record of the file also remains,
        /// whatever happens to the connection.
        fn drop(&mut self) {
            if self.0.owner.load(Ordering::Relaxed) == owner() {
                self.0.owner.store(FREE, Ordering::Release);
            }
        }
    }

    /// Whether a connection of this process has the file open.
    pub(crate) fn is_open(file: FileId) -> bool {
        PLACES.iter().any(|place| place.owner.load(Ordering::Acquire) == owner() && place.is(file))
    }

    /// Whether a process that this one was forked from had the file open at the fork.
    pub(crate) fn was_inherited(file: FileId) -> bool {
        let others = |place: &&FileEntry| ![FREE, CLAIMED, owner()].contains(&place.owner.load(Ordering::Acquire));
        generation() != 0 && PLACES.iter().filter(others).any(|place| place.is(file))
    }
}

/// Implementation for systems without `fork`.
#[cfg(not(unix))]
mod elsewhere {
    use std::ffi::CStr;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum FileId {}

    impl FileId {
        pub(crate) fn of(_path: &CStr) -> Option<Self> {
            None
        }
    }

    /// Returns the size of the write-ahead log of the database at a path, if there is one. The file is not opened.
    pub(crate) fn log_bytes(path: &CStr) -> Option<u64> {
        let path = format!("{}-wal", path.to_str().ok()?);
        Some(std::path::Path::new(&path).metadata().ok()?.len())
    }

    pub(crate) struct OpenFile;

    impl OpenFile {
        pub(crate) fn new(_: FileId) -> Self {
            Self
        }
    }

    pub(crate) fn is_open(file: FileId) -> bool {
        match file {}
    }

    pub(crate) fn was_inherited(file: FileId) -> bool {
        match file {}
    }
}

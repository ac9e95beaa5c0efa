//! Requests of SQLite to file systems (kinds of files, locks, durability), and promises of devices.

use std::ffi::c_int;
use std::fmt;
use std::ops::BitOr;

use crate::raw::ffi;

/// Kind of a file that SQLite opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A database: the main one, or one that is attached.
    MainDatabase,
    /// The rollback journal of a database.
    MainJournal,
    /// The write-ahead log of a database.
    Wal,
    /// The database `temp`, if it does not fit in memory.
    TempDatabase,
    /// The rollback journal of `temp`.
    TempJournal,
    /// A table or an index of one statement, such as a sort.
    TransientDatabase,
    /// The journal of a statement or a savepoint.
    Subjournal,
    /// The list of the journals of a transaction in several databases.
    SuperJournal,
    /// A kind that finalite does not know.
    Other,
}

/// Purpose for which SQLite opens a file.
///
/// C: [Flags for opening files](https://sqlite.org/c3ref/c_open_autoproxy.html)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpenFlags(pub(super) c_int);

impl OpenFlags {
    /// Returns flags to open a file for reading and writing, which is created if it does not exist.
    #[must_use]
    pub const fn read_write(kind: FileKind) -> Self {
        Self(ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | Self::bit(kind))
    }

    /// Returns flags to open a file for reading.
    #[must_use]
    pub const fn read_only(kind: FileKind) -> Self {
        Self(ffi::SQLITE_OPEN_READONLY | Self::bit(kind))
    }

    const fn bit(kind: FileKind) -> c_int {
        match kind {
            FileKind::MainDatabase => ffi::SQLITE_OPEN_MAIN_DB,
            FileKind::MainJournal => ffi::SQLITE_OPEN_MAIN_JOURNAL,
            FileKind::Wal => ffi::SQLITE_OPEN_WAL,
            FileKind::TempDatabase => ffi::SQLITE_OPEN_TEMP_DB,
            FileKind::TempJournal => ffi::SQLITE_OPEN_TEMP_JOURNAL,
            FileKind::TransientDatabase => ffi::SQLITE_OPEN_TRANSIENT_DB,
            FileKind::Subjournal => ffi::SQLITE_OPEN_SUBJOURNAL,
            FileKind::SuperJournal => ffi::SQLITE_OPEN_SUPER_JOURNAL,
            FileKind::Other => 0,
        }
    }

    /// Returns the kind of the file.
    #[must_use]
    pub fn kind(self) -> FileKind {
        const KINDS: [FileKind; 8] = [
            FileKind::MainDatabase,
            FileKind::MainJournal,
            FileKind::Wal,
            FileKind::TempDatabase,
            FileKind::TempJournal,
            FileKind::TransientDatabase,
            FileKind::Subjournal,
            FileKind::SuperJournal,
        ];
        KINDS.into_iter().find(|&kind| self.0 & Self::bit(kind) != 0).unwrap_or(FileKind::Other)
    }

    /// Whether the file is opened for reading only.
    #[must_use]
    pub const fn is_read_only(self) -> bool {
        self.0 & ffi::SQLITE_OPEN_READWRITE == 0
    }

    /// Whether the file is created if it does not exist.
    #[must_use]
    pub const fn is_create(self) -> bool {
        self.0 & ffi::SQLITE_OPEN_CREATE != 0
    }

    /// Whether the file must not exist: with [`is_create`](Self::is_create), an error if it does.
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        self.0 & ffi::SQLITE_OPEN_EXCLUSIVE != 0
    }

    /// Whether the file is deleted when it is closed.
    #[must_use]
    pub const fn is_deleted_on_close(self) -> bool {
        self.0 & ffi::SQLITE_OPEN_DELETEONCLOSE != 0
    }

    /// Returns the flags as C has them.
    #[must_use]
    pub const fn bits(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for OpenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFlags")
            .field("kind", &self.kind())
            .field("read_only", &self.is_read_only())
            .field("create", &self.is_create())
            .field("exclusive", &self.is_exclusive())
            .field("deleted_on_close", &self.is_deleted_on_close())
            .finish()
    }
}

/// Question about a file: [`Vfs::access`](super::Vfs::access).
///
/// C: [Flags for xAccess](https://sqlite.org/c3ref/c_access_exists.html)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Whether it exists. SQLite takes an empty journal for one that does not.
    Exists,
    /// Whether it can be read and written.
    ReadWrite,
    /// Whether it can be read.
    Read,
}

impl Access {
    pub(super) const fn from_c(flags: c_int) -> Self {
        match flags {
            ffi::SQLITE_ACCESS_READWRITE => Self::ReadWrite,
            ffi::SQLITE_ACCESS_READ => Self::Read,
            _ => Self::Exists,
        }
    }

    pub(super) const fn to_c(self) -> c_int {
        match self {
            Self::Exists => ffi::SQLITE_ACCESS_EXISTS,
            Self::ReadWrite => ffi::SQLITE_ACCESS_READWRITE,
            Self::Read => ffi::SQLITE_ACCESS_READ,
        }
    }
}

/// Lock that a connection holds on a database file. Each level includes those below it.
///
/// C: [File locking levels](https://sqlite.org/c3ref/c_lock_exclusive.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockLevel {
    /// None.
    #[default]
    None,
    /// It reads. Any number of connections may hold this lock.
    Shared,
    /// It intends to write. Others may read, one alone holds this lock.
    Reserved,
    /// It waits for readers to end. No other reader begins.
    Pending,
    /// It writes. No other connection holds any lock.
    Exclusive,
}

impl LockLevel {
    pub(super) const fn from_c(level: c_int) -> Self {
        match level {
            ffi::SQLITE_LOCK_NONE => Self::None,
            ffi::SQLITE_LOCK_SHARED => Self::Shared,
            ffi::SQLITE_LOCK_RESERVED => Self::Reserved,
            ffi::SQLITE_LOCK_PENDING => Self::Pending,
            _ => Self::Exclusive,
        }
    }

    pub(super) const fn to_c(self) -> c_int {
        match self {
            Self::None => ffi::SQLITE_LOCK_NONE,
            Self::Shared => ffi::SQLITE_LOCK_SHARED,
            Self::Reserved => ffi::SQLITE_LOCK_RESERVED,
            Self::Pending => ffi::SQLITE_LOCK_PENDING,
            Self::Exclusive => ffi::SQLITE_LOCK_EXCLUSIVE,
        }
    }
}

/// Durability that SQLite asks for: [`VfsFile::sync`](super::VfsFile::sync).
///
/// C: [Synchronization type flags](https://sqlite.org/c3ref/c_sync_dataonly.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SyncMode {
    /// Whether the device's cache is to be written, too (`F_FULLFSYNC` of macOS).
    pub full: bool,
    /// Whether the file's metadata, except its size, may stay unwritten.
    pub data_only: bool,
}

impl SyncMode {
    pub(super) const fn from_c(flags: c_int) -> Self {
        Self { full: flags & 0x0f == ffi::SQLITE_SYNC_FULL, data_only: flags & ffi::SQLITE_SYNC_DATAONLY != 0 }
    }

    pub(super) const fn to_c(self) -> c_int {
        let how = if self.full { ffi::SQLITE_SYNC_FULL } else { ffi::SQLITE_SYNC_NORMAL };
        how | if self.data_only { ffi::SQLITE_SYNC_DATAONLY } else { 0 }
    }
}

/// Promises of a device, which SQLite uses to write less: [`VfsFile::device`](super::VfsFile::device). A promise that is
/// not kept corrupts databases when the power fails.
///
/// # Example
///
/// ```
/// use finalite::vfs::DeviceCharacteristics as Device;
///
/// let device = Device::SAFE_APPEND | Device::POWERSAFE_OVERWRITE;
/// assert!(device.contains(Device::SAFE_APPEND) && !device.contains(Device::IMMUTABLE));
/// ```
///
/// C: [Device characteristics](https://sqlite.org/c3ref/c_iocap_atomic.html)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceCharacteristics(pub(super) c_int);

impl DeviceCharacteristics {
    /// No promise.
    pub const NONE: Self = Self(0);
    /// A write of any size is atomic.
    pub const ATOMIC: Self = Self(ffi::SQLITE_IOCAP_ATOMIC);
    /// A write of 4,096 bytes at a multiple of them is atomic.
    pub const ATOMIC_4K: Self = Self(ffi::SQLITE_IOCAP_ATOMIC4K);
    /// Appended data are written before the size of the file is.
    pub const SAFE_APPEND: Self = Self(ffi::SQLITE_IOCAP_SAFE_APPEND);
    /// Writes reach the device in their order.
    pub const SEQUENTIAL: Self = Self(ffi::SQLITE_IOCAP_SEQUENTIAL);
    /// A file that is open cannot be deleted.
    pub const UNDELETABLE_WHEN_OPEN: Self = Self(ffi::SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN);
    /// A write changes no byte beside it when the power fails.
    pub const POWERSAFE_OVERWRITE: Self = Self(ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE);
    /// The file does not change: SQLite takes no lock and looks for no journal.
    pub const IMMUTABLE: Self = Self(ffi::SQLITE_IOCAP_IMMUTABLE);
    /// Parts of a page can be read.
    pub const SUBPAGE_READ: Self = Self(0x8000);

    /// Whether all of these promises are made.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for DeviceCharacteristics {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

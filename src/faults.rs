//! Failures of files, for a program's own tests (feature `fault-injection`): the n-th write fails, the disk is full, the
//! power is cut. Allocations that fail are in [`memory::fail_after`](crate::memory::fail_after).

mod power_cut;

pub use power_cut::PowerCut;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::ResultCode;
use crate::vfs::{
    self, Access, ControlReply, DeviceCharacteristics, Existing, ExistingFile, FileControl, FileKind, FileName,
    FullPath, LockLevel, OpenFlags, SharedMemory, SyncMode, VfsError, VfsFile, VfsResult,
};
use power_cut::{Change, Disk, Record};

/// Operation of a file system that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A file is opened.
    Open,
    /// A file is deleted.
    Delete,
    /// SQLite asks whether a file exists.
    Access,
    /// A file is read.
    Read,
    /// A file is written.
    Write,
    /// The size of a file is set.
    Truncate,
    /// Written data are made durable.
    Sync,
    /// The size of a file is read.
    Size,
    /// A lock is raised. In WAL mode, locks are in shared memory, and are no operations.
    Lock,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Delete,
        Self::Access,
        Self::Read,
        Self::Write,
        Self::Truncate,
        Self::Sync,
        Self::Size,
        Self::Lock,
    ];
}

/// Outcome of an operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The device reports an error (`EIO`); SQLite's code is that of the operation, such as `SQLITE_IOERR_WRITE`.
    Io,
    /// The device is full (`SQLITE_FULL`).
    Full,
    /// This code.
    Code(ResultCode),
    /// A write does its first half, then fails as [`Io`](Self::Io). Other operations fail as that, and do nothing.
    Half,
    /// A read finds the end of the file after half of the bytes, which SQLite takes for zeros, as it must at the end of a
    /// file: it may report corruption, or store what it computes of them. Other operations fail as [`Io`](Self::Io).
    ShortRead,
    /// The operation does nothing and reports success, as a device does that lies about syncs. A read returns zeros; an
    /// open or an access fails as [`Io`](Self::Io).
    Ignored,
    /// The method panics.
    Panic,
}

/// Selection of the operation that fails.
///
/// # Example
///
/// See [`Vfs`].
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    operation: Option<Operation>,
    kind: Option<FileKind>,
    after: u64,
    failure: Failure,
    sticky: bool,
}

impl Fault {
    /// Selects the operation of this kind that comes after `n` others, counted from arming; 0 selects the next one. It
    /// fails as [`Failure::Io`], and those after it do not.
    #[must_use]
    pub fn after(n: u64, operation: Operation) -> Self {
        Self { operation: Some(operation), kind: None, after: n, failure: Failure::Io, sticky: false }
    }

    /// Selects the operation of any kind that comes after `n` others. See [`after`](Self::after).
    #[must_use]
    pub fn after_any(n: u64) -> Self {
        Self { operation: None, kind: None, after: n, failure: Failure::Io, sticky: false }
    }

    /// Sets how it fails.
    #[must_use]
    pub fn failure(self, failure: Failure) -> Self {
        Self { failure, ..self }
    }

    /// Sets whether all later operations of the kind fail, too. Off by default.
    #[must_use]
    pub fn sticky(self, sticky: bool) -> Self {
        Self { sticky, ..self }
    }

    /// Counts operations on files of one kind only. Deletions and accesses are on none.
    #[must_use]
    pub fn on(self, kind: FileKind) -> Self {
        Self { kind: Some(kind), ..self }
    }
}

/// A file system that does what another one does, unless a [`Fault`] is armed, and knows what of it a power cut would
/// leave. A clone is the same one.
///
/// # Example
///
/// ```
/// use finalite::faults::{self, Failure, Fault, Operation, PowerCut};
/// use finalite::vfs::{self, Memory};
/// use finalite::{OpenOptions, ResultCode};
///
/// let faults = faults::Vfs::new(Memory::new());
/// vfs::register("faulty", faults.clone())?;
/// let options = OpenOptions::new().vfs("faulty").pragma("synchronous", "extra");
/// let conn = options.open("app.db")?;
/// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
///
/// // The disk is full, from the second write on.
/// let armed = faults.arm(Fault::after(1, Operation::Write).failure(Failure::Full).sticky(true));
/// let error = conn.execute("INSERT INTO t VALUES (zeroblob(100000))", ()).unwrap_err();
/// assert_eq!(error.code(), Some(ResultCode::FULL));
/// assert!(armed.disarm() > 0);
/// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 1);
///
/// // The power fails now: what was committed is there.
/// let disk = Memory::new();
/// disk.restore(faults.image(PowerCut::Random(7)))?;
/// vfs::register("after", disk)?;
/// let conn = OpenOptions::new().vfs("after").open("app.db")?;
/// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 1);
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct Vfs<V> {
    inner: Arc<V>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    armed: Mutex<Armed>,
    disk: Mutex<Disk>,
}

/// The fault that is armed, and counts.
#[derive(Default)]
struct Armed {
    fault: Option<Fault>,
    /// Number of the fault, by which its guard recognizes it.
    number: u64,
    failures: u64,
    counts: BTreeMap<Operation, u64>,
}

impl State {
    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation. Returns how it fails.
    fn next(&self, operation: Operation, kind: Option<FileKind>) -> Option<Failure> {
        let mut armed = self.armed();
        *armed.counts.entry(operation).or_default() += 1;
        let fault = armed.fault.as_mut()?;
        let is_meant =
            fault.operation.is_none_or(|meant| meant == operation) && (fault.kind.is_none() || fault.kind == kind);
        if !is_meant {
            return None;
        }
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let failure = fault.failure;
        if !fault.sticky {
            armed.fault = None;
        }
        armed.failures += 1;
        Some(failure)
    }

    /// Counts an operation that has no part. `Ok(false)`: it is to do nothing.
    fn check(&self, operation: Operation, kind: Option<FileKind>) -> VfsResult<bool> {
        match self.next(operation, kind) {
            None => Ok(true),
            Some(Failure::Ignored) => Ok(false),
            Some(failure) => Err(error(failure, operation)),
        }
    }
}

/// Returns the error of a failure; panics for the one that does.
fn error(failure: Failure, operation: Operation) -> VfsError {
    const EIO: i32 = 5;
    let code = match operation {
        Operation::Open => ResultCode::CANTOPEN,
        Operation::Delete => ResultCode::IOERR_DELETE,
        Operation::Access => ResultCode::IOERR_ACCESS,
        Operation::Read => ResultCode::IOERR_READ,
        Operation::Write => ResultCode::IOERR_WRITE,
        Operation::Truncate => ResultCode::IOERR_TRUNCATE,
        Operation::Sync => ResultCode::IOERR_FSYNC,
        Operation::Size => ResultCode::IOERR_FSTAT,
        Operation::Lock => ResultCode::IOERR_LOCK,
    };
    match failure {
        Failure::Full => VfsError::new(ResultCode::FULL),
        Failure::Code(code) => VfsError::new(code),
        Failure::Panic => panic!("a fault of the operation {operation:?}"),
        Failure::Io | Failure::Half | Failure::ShortRead | Failure::Ignored => VfsError::new(code).with_os_error(EIO),
    }
}

impl<V: vfs::Vfs> Vfs<V> {
    /// Creates one over another file system, without a fault. What is in its files when they are first opened is durable.
    #[must_use]
    pub fn new(inner: V) -> Self {
        Self { inner: Arc::new(inner), state: Arc::default() }
    }

    /// Returns the other file system.
    #[must_use]
    pub fn inner(&self) -> &V {
        &self.inner
    }

    /// Arms a fault, on all threads. A second one replaces the first.
    #[must_use = "it is disarmed when this is dropped"]
    pub fn arm(&self, fault: Fault) -> ArmedFault {
        let mut armed = self.state.armed();
        armed.fault = Some(fault);
        armed.failures = 0;
        armed.number += 1;
        ArmedFault { state: Arc::clone(&self.state), number: armed.number }
    }

    /// Returns the number of operations of a kind until now, also of those that have failed.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.state.armed().counts.get(&operation).copied().unwrap_or(0)
    }

    /// Returns the files as a power cut at this moment leaves them: what was synced, and of what was written since
    /// then as much as `cut` says. To be opened, they are given to [`Memory::restore`](crate::vfs::Memory::restore), or
    /// written to a directory.
    ///
    /// A file that was created is there for sure, and one that was deleted is gone for sure, once its directory was synced.
    /// SQLite's `unix` file system does that with the first sync of a journal, a write-ahead log or a super-journal, and
    /// where SQLite asks for it when a file is deleted (`PRAGMA synchronous = EXTRA`, for the journal of a commit). The sync
    /// of a database does not make its name durable.
    ///
    /// Only files that were opened in this file system are in the image. Where a database with a journal or a log is there
    /// before, connections open these when they first read: an image of an earlier moment lacks them.
    #[must_use]
    pub fn image(&self, cut: PowerCut) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state.disk().image(cut)
    }
}

impl<V> Clone for Vfs<V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), state: Arc::clone(&self.state) }
    }
}

impl<V: fmt::Debug> fmt::Debug for Vfs<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vfs").field("inner", &self.inner).field("fault", &self.state.armed().fault).finish()
    }
}

/// An armed fault: [`Vfs::arm`]. Dropping it disarms it.
#[must_use = "it is disarmed when this is dropped"]
pub struct ArmedFault {
    state: Arc<State>,
    number: u64,
}

impl ArmedFault {
    /// Returns the number of operations that it made fail; 0 once another fault has replaced it.
    #[must_use]
    pub fn failures(&self) -> u64 {
        let armed = self.state.armed();
        if armed.number == self.number { armed.failures } else { 0 }
    }

    /// Disarms the fault, and returns the number of operations that it made fail.
    pub fn disarm(self) -> u64 {
        self.failures()
    }
}

impl Drop for ArmedFault {
    fn drop(&mut self) {
        let mut armed = self.state.armed();
        if armed.number == self.number {
            armed.fault = None;
        }
    }
}

impl fmt::Debug for ArmedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArmedFault").field("failures", &self.failures()).finish_non_exhaustive()
    }
}

impl<V: vfs::Vfs> vfs::Vfs for Vfs<V> {
    type File = FaultyFile<V::File>;

    fn existing(&self) -> Option<&Existing> {
        self.inner.existing()
    }

    fn open(&self, name: Option<&FileName>, flags: OpenFlags) -> VfsResult<Self::File> {
        let kind = flags.kind();
        if !self.state.check(Operation::Open, Some(kind))? {
            return Err(error(Failure::Io, Operation::Open));
        }
        let mut file = self.inner.open(name, flags)?;
        // Nobody finds a file without a name after a power cut.
        let named = name.filter(|_| !flags.is_deleted_on_close());
        let record = match named.map(FileName::path) {
            None => None,
            Some(path) => Some(self.state.disk().open(path, || content(&mut file))?),
        };
        // Those of which SQLite's `unix` file system syncs the directory with the first sync.
        let settles_names =
            flags.is_create() && matches!(kind, FileKind::MainJournal | FileKind::Wal | FileKind::SuperJournal);
        Ok(FaultyFile { inner: file, state: Arc::clone(&self.state), kind, record, settles_names })
    }

    fn delete(&self, path: &Path, sync_directory: bool) -> VfsResult<()> {
        if !self.state.check(Operation::Delete, None)? {
            return Ok(());
        }
        self.inner.delete(path, sync_directory)?;
        self.state.disk().delete(path, sync_directory);
        Ok(())
    }

    fn access(&self, path: &Path, access: Access) -> VfsResult<bool> {
        if !self.state.check(Operation::Access, None)? {
            return Err(error(Failure::Io, Operation::Access));
        }
        self.inner.access(path, access)
    }

    fn full_path(&self, path: &Path) -> VfsResult<FullPath> {
        self.inner.full_path(path)
    }

    fn sleep(&self, duration: Duration) -> Duration {
        self.inner.sleep(duration)
    }

    fn current_time(&self) -> SystemTime {
        self.inner.current_time()
    }
}

/// Reads all of a file.
fn content(file: &mut impl VfsFile) -> VfsResult<Vec<u8>> {
    let size = file.size()?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| VfsError::new(ResultCode::IOERR_NOMEM))?];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// An open file of [`Vfs`].
pub struct FaultyFile<F> {
    inner: F,
    state: Arc<State>,
    kind: FileKind,
    record: Option<Record>,
    /// Whether the next sync makes the names of the directory durable.
    settles_names: bool,
}

impl<F: VfsFile> FaultyFile<F> {
    /// Adds a change to what is not durable.
    fn note(&self, change: Change) {
        if let Some(record) = &self.record {
            self.state.disk().note(record, change);
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        self.inner.write_at(bytes, offset)?;
        self.note(Change::Write(offset, bytes.into()));
        Ok(())
    }
}

impl<F: fmt::Debug> fmt::Debug for FaultyFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyFile").field("inner", &self.inner).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<F: VfsFile> VfsFile for FaultyFile<F> {
    fn existing(&self) -> Option<&ExistingFile> {
        self.inner.existing()
    }

    fn is_read_only(&self) -> bool {
        self.inner.is_read_only()
    }

    fn read_at(&mut self, into: &mut [u8], offset: u64) -> VfsResult<usize> {
        match self.state.next(Operation::Read, Some(self.kind)) {
            None => self.inner.read_at(into, offset),
            Some(Failure::Ignored) => {
                into.fill(0);
                Ok(into.len())
            }
            Some(Failure::ShortRead) => {
                let half = into.len() / 2;
                self.inner.read_at(&mut into[..half], offset)
            }
            Some(failure) => Err(error(failure, Operation::Read)),
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        match self.state.next(Operation::Write, Some(self.kind)) {
            None => self.write(bytes, offset),
            Some(Failure::Ignored) => Ok(()),
            Some(failure) => {
                if failure == Failure::Half {
                    self.write(&bytes[..bytes.len() / 2], offset)?;
                }
                Err(error(failure, Operation::Write))
            }
        }
    }

    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        if self.state.check(Operation::Truncate, Some(self.kind))? {
            self.inner.truncate(size)?;
            self.note(Change::Truncate(size));
        }
        Ok(())
    }

    fn sync(&mut self, mode: SyncMode) -> VfsResult<()> {
        if self.state.check(Operation::Sync, Some(self.kind))? {
            // What another thread writes meanwhile may come too late.
            let before = self.record.as_ref().map(|record| (record, self.state.disk().pending(record)));
            self.inner.sync(mode)?;
            if let Some((record, count)) = before {
                let with_names = std::mem::take(&mut self.settles_names);
                self.state.disk().sync(record, count, with_names);
            }
        }
        Ok(())
    }

    fn size(&mut self) -> VfsResult<u64> {
        if !self.state.check(Operation::Size, Some(self.kind))? {
            return Ok(0);
        }
        self.inner.size()
    }

    fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
        if self.state.check(Operation::Lock, Some(self.kind))? { self.inner.lock(level) } else { Ok(()) }
    }

    fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.inner.unlock(level)
    }

    fn is_reserved(&mut self) -> VfsResult<bool> {
        self.inner.is_reserved()
    }

    fn control(&mut self, request: FileControl<'_>) -> VfsResult<ControlReply> {
        match request {
            // Hints, by which the other file could grow: the record of the power cut does not know these bytes.
            FileControl::SizeHint(_) | FileControl::ChunkSize(_) => Ok(ControlReply::Done),
            _ => self.inner.control(request),
        }
    }

    fn sector_size(&self) -> u32 {
        self.inner.sector_size()
    }

    /// A power cut keeps, of the other file system's promises about it, that bytes beside a write stay.
    fn device(&self) -> DeviceCharacteristics {
        let promised = self.inner.device();
        let kept = [
            DeviceCharacteristics::POWERSAFE_OVERWRITE,
            DeviceCharacteristics::SUBPAGE_READ,
            DeviceCharacteristics::UNDELETABLE_WHEN_OPEN,
            DeviceCharacteristics::IMMUTABLE,
        ];
        kept.into_iter()
            .filter(|&promise| promised.contains(promise))
            .fold(DeviceCharacteristics::NONE, |all, one| all | one)
    }

    fn shared_memory(&self) -> Option<&SharedMemory> {
        self.inner.shared_memory()
    }
}

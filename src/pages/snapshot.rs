//! Finds and reads the version of each page that the connection's read transaction sees.
//!
//! Without a write-ahead log, the shared lock keeps the database file unchanged. With one, the transaction sees the log
//! up to the frame that was the last when the transaction began. SQLite does not expose that number, so the header of
//! the log's index is read twice:
//!
//! ```text
//! Before::take   reads the header of the log's index
//! first step     SQLite begins the read transaction
//! View::after    reads the number of checkpointed frames, then the header again
//! ```
//!
//! If both headers are equal, nothing was committed in between, and the header's last frame is the end of the snapshot.
//! Otherwise the first step is repeated, or SQLite runs the scan. A page is read from its newest frame of those that
//! are not checkpointed, and from the database file if it has none.
//!
//! <https://sqlite.org/walformat.html>

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::btree::format::{Damage, Header};
use crate::btree::tree::Pages;
use crate::error::Fault;
use crate::raw::storage::{LOG_REGION_WORDS, Storage, TransactionState};

/// Reason why a page was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Damage(Damage),
    /// The connection itself has written since, or has a write transaction open, or has detached a database before the
    /// one that is read.
    Written,
    /// The connection was interrupted.
    Interrupted,
    /// The read failed.
    Unreadable,
    /// It cannot be determined whether the connection has written, and thus not either which rows are the remaining ones.
    Unknown(Fault),
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<Fault> for ReadError {
    /// Drops the fault: SQLite reads the page again, and returns its own error.
    fn from(_: Fault) -> Self {
        Self::Unreadable
    }
}

/// Header of the log's index, which describes the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LogHead([u32; Self::WORDS]);

impl LogHead {
    const WORDS: usize = 12;
    /// Position of the number of checkpointed frames, after two copies of the header.
    const BACKFILL_WORD: usize = 2 * Self::WORDS;
    const VERSION: u32 = 3_007_000;

    /// Reads the header. Returns `None` if there is none, or it is just being written.
    fn read(storage: Storage<'_>) -> Option<Self> {
        let (mut first, mut second) = ([0; Self::WORDS], [0; Self::WORDS]);
        // A writer updates the second copy first.
        let is_there = storage.read_log_index(0, 0, &mut first) && storage.read_log_index(0, Self::WORDS, &mut second);
        let head = Self(first);
        let is_initialized = head.0[3].to_ne_bytes()[0] != 0;
        (is_there && first == second && is_initialized && head.0[0] == Self::VERSION).then_some(head)
    }

    fn page_bytes(self) -> usize {
        let [_, _, low, high] = self.0[3].to_ne_bytes();
        match u16::from_ne_bytes([low, high]) {
            1 => 65_536,
            bytes => usize::from(bytes),
        }
    }

    fn frames(self) -> u32 {
        self.0[4]
    }

    fn pages(self) -> u32 {
        self.0[5]
    }
}

/// State before a transaction begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogState {
    was_open: bool,
    head: Option<LogHead>,
}

impl LogState {
    /// Returns the state at a commit; without a log, there is none.
    pub(super) fn at(commit: Option<LastCommit>) -> Self {
        Self { was_open: false, head: commit.map(|LastCommit(head)| head) }
    }

    pub(super) fn take(storage: Storage<'_>) -> Self {
        // A connection that has not read yet has no log open. Another attempt then examines the snapshot.
        if !storage.is_journal_open() {
            return Self::default();
        }
        let was_open = storage.transaction() != TransactionState::None;
        let may_have_index = !was_open && has_log(storage) == Some(true) && storage.is_lock_shared();
        let head = may_have_index.then(|| LogHead::read(storage)).flatten();
        Self { was_open, head }
    }
}

/// Whether the connection has a write-ahead log open; `None` if that cannot be determined.
fn has_log(storage: Storage<'_>) -> Option<bool> {
    /// Offset of the read version in the database header: 2 with a log.
    const READ_VERSION_OFFSET: u64 = 19;
    if !storage.is_journal_open() {
        return Some(false);
    }
    let mut version = [0];
    match (storage.read(READ_VERSION_OFFSET, &mut version), version) {
        (Ok(true), [2]) => Some(true),
        // A journal that was left open, or a log that the file's header does not declare.
        _ => None,
    }
}

/// Returns the number of frames of the write-ahead log, and the number of those that are in the database file, as of
/// the last commit. `None` if there is no log, or its index cannot be read: an exclusive connection may have that in
/// its own memory.
pub(super) fn log_frames(storage: Storage<'_>) -> Option<(u32, u32)> {
    /// Others commit at the same time.
    const ATTEMPTS: usize = 16;
    if has_log(storage) != Some(true) || !storage.is_lock_shared() {
        return None;
    }
    (0..ATTEMPTS).find_map(|_| {
        let before = LogHead::read(storage)?;
        let mut in_the_file = [0];
        let is_told = storage.read_log_index(0, LogHead::BACKFILL_WORD, &mut in_the_file);
        let is_same = LogHead::read(storage) == Some(before);
        // A log that is restarted gets its new header first, and then the number 0.
        (is_told && is_same).then_some((before.frames(), in_the_file[0].min(before.frames())))
    })
}

/// State of a write-ahead log as of its last commit. If two are equal, nothing was committed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastCommit(LogHead);

/// Returns the state of the write-ahead log; `None` if there is none, or if it is just being written, or cannot be read.
pub(super) fn last_commit(storage: Storage<'_>) -> Option<LastCommit> {
    let has_index = has_log(storage) == Some(true) && storage.is_lock_shared();
    has_index.then(|| LogHead::read(storage)).flatten().map(LastCommit)
}

const WRITING: &str = "the connection has a write transaction open";
const NOT_SHARED: &str = "the connection does not hold exactly a shared lock: another locking mode, or none";

/// The snapshot of a read transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    log: Option<LogView>,
    /// The connection's data version (`SQLITE_FCNTL_DATA_VERSION`).
    data_version: u32,
}

/// The frames of the log that a transaction sees, and the number of those at the beginning that are in the database
/// file too.
#[derive(Clone, Copy, Debug)]
struct LogView {
    head: LogHead,
    in_the_file: u32,
}

/// Result of examining a transaction that has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SnapshotView {
    View(View),
    /// Another connection committed at the same time. Another attempt may succeed.
    Moved,
    Unknown(&'static str),
}

impl View {
    /// Examines the transaction. Must be called when it has begun, before anything else; [`check`](Self::check) makes
    /// the checks that can wait.
    pub(super) fn after(before: LogState, storage: Storage<'_>) -> SnapshotView {
        let Ok(data_version) = storage.data_version() else {
            return SnapshotView::Unknown("the VFS reports no data version");
        };
        match has_log(storage) {
            Some(true) => {}
            Some(false) => return SnapshotView::View(Self { log: None, data_version }),
            None if storage.transaction() == TransactionState::Write => return SnapshotView::Unknown(WRITING),
            None if !storage.is_lock_shared() => return SnapshotView::Unknown(NOT_SHARED),
            None => {
                return SnapshotView::Unknown("a journal is open, and the file header names no write-ahead log");
            }
        }
        // An exclusive connection may have the index in its own memory, where it cannot be read.
        if !storage.is_lock_shared() {
            return SnapshotView::Unknown(NOT_SHARED);
        }
        if storage.transaction() == TransactionState::Write {
            return SnapshotView::Unknown(WRITING);
        }
        if before.was_open {
            return SnapshotView::Unknown(
                "a transaction was already open, and its snapshot of the write-ahead log is unknown",
            );
        }
        // The order matters: a log that is restarted gets its new header first, and then the number 0.
        let mut in_the_file = [0];
        if !storage.read_log_index(0, LogHead::BACKFILL_WORD, &mut in_the_file) {
            return SnapshotView::Unknown("the index of the write-ahead log cannot be read");
        }
        match (before.head, LogHead::read(storage)) {
            (Some(before), Some(after)) if before == after => {
                let log = LogView { head: after, in_the_file: in_the_file[0] };
                SnapshotView::View(Self { log: Some(log), data_version })
            }
            _ => SnapshotView::Moved,
        }
    }

    /// Whether the snapshot can be read from the files. The error is the reason why not.
    pub(super) fn check(self, storage: Storage<'_>) -> Result<(), &'static str> {
        match storage.transaction() {
            TransactionState::Read => {}
            TransactionState::Write => return Err(WRITING),
            TransactionState::None => return Err("it reads no table of the database"),
        }
        if !storage.is_open() {
            return Err("the database is in memory, or temporary");
        }
        match storage.data_version() {
            Ok(version) if version == self.data_version => {}
            Ok(_) => return Err("the connection has written since the scan began"),
            Err(_) => return Err("the data version of the database cannot be read"),
        }
        // An immutable file is read without its log, so with a log the shared lock is required.
        let is_kept = storage.is_lock_shared() || self.log.is_none() && storage.is_immutable();
        if is_kept { Ok(()) } else { Err(NOT_SHARED) }
    }
}

/// Access to the pages of a snapshot.
pub(crate) struct Snapshot<'db> {
    storage: Storage<'db>,
    /// Name of an attached database. It cannot be detached while the transaction is open, but its number may become that
    /// of another one.
    name: Option<Box<str>>,
    data_version: u32,
    page_bytes: usize,
    page_count: u32,
    header: Header,
    /// Newest frame of each page that is not in the database file yet.
    frames: Frames,
}

type Frames = HashMap<u32, u32, BuildHasherDefault<PageHasher>>;

/// Hasher for page numbers, which are many and mostly consecutive.
#[derive(Default)]
struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, page: u32) {
        self.0 = (self.0 ^ u64::from(page)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// Sizes of a frame's header, and of the log's header.
const FRAME_HEAD_BYTES: usize = 24;
const LOG_HEAD_BYTES: u64 = 32;

impl<'db> Snapshot<'db> {
    /// Reads the database header, and the log's index. The inner error is the reason why the pages are not read.
    pub(super) fn open(
        storage: Storage<'db>,
        name: Option<Box<str>>,
        view: View,
    ) -> Result<Result<Self, &'static str>, ReadError> {
        if !storage.is_of_known_system() {
            return Ok(Err("the VFS is not one of SQLite's own"));
        }
        let (frames, log_bytes) = match view.log {
            Some(log) => match find_frames(storage, log) {
                Some(frames) => (frames, log.head.page_bytes()),
                None => return Ok(Err("the index of the write-ahead log cannot be read")),
            },
            None => (Frames::default(), 0),
        };
        let mut header = [0; Header::BYTES];
        let mut this = Self {
            storage,
            name,
            data_version: view.data_version,
            page_bytes: log_bytes,
            page_count: 0,
            header: Header::default(),
            frames,
        };
        if this.read(1, 1, &mut header)? == 0 {
            return Err(Damage::cut_off(1).into());
        }
        let Some(header) = Header::parse(&header) else {
            return Ok(Err("the file is not in a known format: encrypted, or newer"));
        };
        let log_pages = view.log.filter(|log| log.head.frames() > 0).map(|log| log.head.pages());
        if view.log.is_some_and(|log| log.head.frames() > 0 && log.head.page_bytes() != header.page_bytes) {
            return Ok(Err("the write-ahead log has pages of another size"));
        }
        if view.log.is_none() && header.has_log && !storage.is_immutable() {
            return Ok(Err("the file requires a write-ahead log, and none is open"));
        }
        // Limited by the size of the file and the number of frames, whatever the header says.
        let in_file = storage.bytes()? / header.page_bytes as u64;
        let there = u32::try_from(in_file + this.frames.len() as u64).unwrap_or(u32::MAX);
        let page_count = header.pages.or(log_pages).map_or(there, |pages| pages.min(there));
        Ok(Ok(Self { page_bytes: header.page_bytes, page_count, header, ..this }))
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn page_count(&self) -> u32 {
        self.page_count
    }

    fn frame(&self, page: u32) -> Option<u32> {
        if self.frames.is_empty() { None } else { self.frames.get(&page).copied() }
    }
}

/// Returns the newest frame of each page that is not in the database file yet; `None` if the index cannot be read.
fn find_frames(storage: Storage<'_>, log: LogView) -> Option<Frames> {
    /// Frames whose page numbers are in one region of the index. In the first region the header takes the place of
    /// some.
    const FRAMES_PER_REGION: u32 = 4096;
    const HEAD_WORDS: u32 = 34;
    let (last, done) = (log.head.frames(), log.in_the_file);
    let mut frames = Frames::default();
    if done >= last {
        return Some(frames);
    }
    // With the header counted as frames, frame `n` is word `n - 1 + HEAD_WORDS`.
    let mut next = done + HEAD_WORDS;
    let end = last.checked_add(HEAD_WORDS)?;
    let mut words = [0; FRAMES_PER_REGION as usize];
    const { assert!(FRAMES_PER_REGION as usize <= LOG_REGION_WORDS) };
    while next < end {
        let region = next / FRAMES_PER_REGION;
        let first = (next % FRAMES_PER_REGION) as usize;
        let count = (end - next).min(FRAMES_PER_REGION - next % FRAMES_PER_REGION);
        let pages = &mut words[..count as usize];
        // In each region the page numbers come before the hash table. From the second region on they begin at its
        // start.
        if !storage.read_log_index(region, first, pages) {
            return None;
        }
        for (number, &page) in (next - HEAD_WORDS + 1..).zip(&*pages) {
            frames.insert(page, number);
        }
        next += count;
    }
    Some(frames)
}

impl Pages for Snapshot<'_> {
    type Error = ReadError;

    /// Checks that the connection has not written since the transaction began, and is not interrupted. Called before
    /// each read: nothing else on the connection can run until the read is done.
    fn check(&self) -> Result<(), ReadError> {
        if self.storage.is_interrupted() {
            return Err(ReadError::Interrupted);
        }
        if self.name.as_ref().is_some_and(|name| !self.storage.is_named(name)) {
            return Err(ReadError::Written);
        }
        let data_version = self.storage.data_version().map_err(ReadError::Unknown)?;
        let is_same = data_version == self.data_version && self.storage.transaction() == TransactionState::Read;
        if is_same { Ok(()) } else { Err(ReadError::Written) }
    }

    fn piece(&self, first: u32, pages: u32) -> (u32, usize) {
        if self.frames.is_empty() {
            return (pages, self.page_bytes);
        }
        let followers = 1..pages;
        match self.frame(first) {
            None => {
                let more = followers.take_while(|more| self.frame(first + more).is_none()).count();
                (1 + u32::try_from(more).unwrap_or(0), self.page_bytes)
            }
            Some(frame) => {
                let more = followers.take_while(|more| self.frame(first + more) == Some(frame + more)).count();
                (1 + u32::try_from(more).unwrap_or(0), self.page_bytes + FRAME_HEAD_BYTES)
            }
        }
    }

    fn read(&mut self, first: u32, pages: u32, into: &mut [u8]) -> Result<u32, ReadError> {
        self.check()?;
        match self.read_piece(first, into) {
            Ok(true) => Ok(pages),
            // Another page of the run may be missing or unreadable.
            Ok(false) | Err(_) if pages > 1 => Ok(self.read_piece(first, &mut into[..self.page_bytes])?.into()),
            Ok(false) => Ok(0),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl Snapshot<'_> {
    /// Reads a run of pages. Returns `false` if it is not complete.
    #[inline]
    fn read_piece(&self, first: u32, into: &mut [u8]) -> Result<bool, Fault> {
        let index = |number: u32| u64::from(number.saturating_sub(1));
        match self.frame(first) {
            None => self.storage.read(index(first) * self.page_bytes as u64, into),
            Some(frame) => {
                let frame_bytes = (self.page_bytes + FRAME_HEAD_BYTES) as u64;
                let offset = LOG_HEAD_BYTES + index(frame) * frame_bytes + FRAME_HEAD_BYTES as u64;
                self.storage.read_log(offset, into)
            }
        }
    }
}

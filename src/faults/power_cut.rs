//! Files as a power cut leaves them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::vfs::VfsResult;

/// Size of the pieces of which a device writes all or nothing.
const SECTOR: u64 = 512;

/// Part of what was not synced that a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PowerCut {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Any part, by a seed: each sector of 512 bytes of each write is there, is not, or has other bytes; each change of
    /// the size is there or not, and a file that grew may end anywhere; each file that was created or deleted since its
    /// directory was last synced exists or does not. The same seed after the same operations is the same image.
    Random(u64),
}

/// A change of a file.
#[derive(Clone)]
pub(super) enum Change {
    Write(u64, Box<[u8]>),
    Truncate(u64),
}

/// A file, also one that was deleted and is still open.
pub(super) type Record = Arc<Mutex<Durability>>;

#[derive(Default)]
pub(super) struct Durability {
    /// Content of the last sync.
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Whether the file is found by its name for sure.
    is_named: bool,
}

/// The files of a name since the last moment at which it was sure which one that is: the last is the current one.
#[derive(Default)]
struct Name {
    before: Vec<Record>,
    /// `None` if it was deleted.
    current: Option<Record>,
    /// Whether there may be no file.
    may_be_none: bool,
}

/// All files.
#[derive(Default)]
pub(super) struct Disk(BTreeMap<PathBuf, Name>);

fn lock(record: &Record) -> MutexGuard<'_, Durability> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Returns the record of a file that was opened. `content` reads one that is not known yet.
    pub(super) fn open(&mut self, path: &Path, content: impl FnOnce() -> VfsResult<Vec<u8>>) -> VfsResult<Record> {
        if let Some(current) = self.0.get(path).and_then(|name| name.current.as_ref()) {
            return Ok(Arc::clone(current));
        }
        let durable = content()?;
        // SQLite treats an empty file as one that does not exist.
        let is_named = !durable.is_empty();
        let record = Arc::new(Mutex::new(Durability { durable, pending: Vec::new(), is_named }));
        let name = self.0.entry(path.to_path_buf()).or_default();
        name.may_be_none |= !is_named;
        name.current = Some(Arc::clone(&record));
        Ok(record)
    }

    pub(super) fn delete(&mut self, path: &Path, is_durable: bool) {
        if let Some(name) = self.0.get_mut(path) {
            name.before.extend(name.current.take());
            name.may_be_none = true;
        }
        if is_durable {
            self.settle(path.parent());
        }
    }

    pub(super) fn note(&mut self, record: &Record, change: Change) {
        lock(record).pending.push(change);
    }

    /// Makes the first changes of a file durable, of which there are `count`. `with_names`: and all names of its directory.
    pub(super) fn sync(&mut self, record: &Record, count: usize, with_names: bool) {
        let mut file = lock(record);
        let end = count.min(file.pending.len());
        let synced: Vec<Change> = file.pending.drain(..end).collect();
        synced.iter().for_each(|change| apply(&mut file.durable, change));
        drop(file);
        if !with_names {
            return;
        }
        let is_its = |name: &Name| name.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, record));
        // Without a path, it was deleted.
        if let Some(path) = self.0.iter().find(|(_, name)| is_its(name)).map(|(path, _)| path.clone()) {
            self.settle(path.parent());
        }
    }

    /// Returns the number of changes of a file that are not durable.
    pub(super) fn pending(&self, record: &Record) -> usize {
        lock(record).pending.len()
    }

    /// Makes the names of a directory durable.
    fn settle(&mut self, directory: Option<&Path>) {
        self.0.retain(|path, name| {
            if path.parent() == directory {
                name.before.clear();
                name.may_be_none = false;
                name.current.iter().for_each(|current| lock(current).is_named = true);
            }
            !name.before.is_empty() || name.current.is_some()
        });
    }

    pub(super) fn image(&self, cut: PowerCut) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut random = Random(match cut {
            PowerCut::Random(seed) => seed,
            PowerCut::Nothing | PowerCut::Everything => 0,
        });
        let found = self.0.iter().filter_map(|(path, name)| {
            let file = name.file(cut, &mut random)?;
            let file = lock(file);
            Some((path.clone(), file.image(cut, &mut random)))
        });
        found.collect()
    }
}

impl Name {
    /// Returns the file that has the name.
    fn file(&self, cut: PowerCut, random: &mut Random) -> Option<&Record> {
        let oldest = || self.before.iter().chain(&self.current).find(|record| lock(record).is_named);
        match cut {
            PowerCut::Everything => self.current.as_ref(),
            PowerCut::Nothing => oldest(),
            PowerCut::Random(_) => {
                let mut all: Vec<Option<&Record>> = self.before.iter().chain(&self.current).map(Some).collect();
                if self.may_be_none {
                    all.push(None);
                }
                usize::try_from(random.below(all.len() as u64)).ok().and_then(|chosen| all[chosen])
            }
        }
    }
}

impl Durability {
    fn image(&self, cut: PowerCut, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match cut {
            PowerCut::Nothing => {}
            PowerCut::Everything => self.pending.iter().for_each(|change| apply(&mut bytes, change)),
            PowerCut::Random(_) => {
                self.pending.iter().for_each(|change| apply_parts(&mut bytes, change, random));
                let grown = bytes.len().saturating_sub(self.durable.len()) as u64;
                if grown > 0 && random.below(4) == 0 {
                    let kept = usize::try_from(random.below(grown)).unwrap_or(0);
                    bytes.truncate(self.durable.len() + kept);
                }
            }
        }
        bytes
    }
}

/// Applies a change that the file system has accepted: its offsets are those of memory.
fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, written) => write(bytes, *offset, written),
        Change::Truncate(size) => bytes.resize(usize::try_from(*size).unwrap_or(usize::MAX), 0),
    }
}

fn write(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.saturating_add(written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(written);
}

/// Applies parts of a change.
fn apply_parts(bytes: &mut Vec<u8>, change: &Change, random: &mut Random) {
    let Change::Write(offset, written) = change else {
        if random.below(2) == 0 {
            apply(bytes, change);
        }
        return;
    };
    let (mut at, mut rest) = (*offset, &written[..]);
    while !rest.is_empty() {
        let room = usize::try_from(SECTOR - at % SECTOR).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(room.min(rest.len()));
        match random.below(4) {
            0 => {}
            1 => {
                // No byte beside the write changes: the promise `POWERSAFE_OVERWRITE`.
                let garbage: Vec<u8> = piece.iter().map(|_| random.next().to_le_bytes()[0]).collect();
                write(bytes, at, &garbage);
            }
            _ => write(bytes, at, piece),
        }
        at += piece.len() as u64;
        rest = after;
    }
}

/// Numbers made of a seed, by the generator `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

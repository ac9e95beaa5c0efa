//! The index of a write-ahead log, in memory of the process: what `xShmMap`, `xShmLock`, `xShmBarrier` and `xShmUnmap`
//! do for files that have no shared memory of the system.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::raw::ffi;

const LOCKS: usize = 8;

/// Memory that the connections of one database share in WAL mode, for a file system whose databases are used by one
/// process: [`VfsFile::shared_memory`](super::VfsFile::shared_memory).
///
/// All files of one database return the same one, or a clone of it. The memory is freed when the last connection has
/// left it.
///
/// C: [`sqlite3_io_methods`](https://sqlite.org/c3ref/io_methods.html), methods `xShm..`
#[derive(Clone, Default)]
pub struct SharedMemory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    regions: Vec<Region>,
    region_bytes: usize,
    /// Number of connections that may have addresses of regions.
    connections: usize,
    /// For each lock the number of connections that share it; -1 if one holds it exclusively.
    locks: [i32; LOCKS],
}

/// Memory that Rust does not touch between its creation and its end.
struct Region(NonNull<[AtomicU64]>);

// SAFETY: the region owns its memory, which Rust reads and writes at no time, and frees once (rule 26).
unsafe impl Send for Region {}

impl Region {
    /// Creates a region of zeroes; `None` if memory ran out.
    fn new(bytes: usize) -> Option<Self> {
        let words = bytes.div_ceil(size_of::<AtomicU64>());
        let mut memory = Vec::new();
        memory.try_reserve_exact(words).ok()?;
        memory.resize_with(words, AtomicU64::default);
        Some(Self(NonNull::from(Box::leak(memory.into_boxed_slice()))))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`, and freed once, by its only owner. Connections to which SQLite has given its address
        // have left: see `Member` (rule 26).
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl SharedMemory {
    /// Creates one without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of connections that use the memory.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SharedMemory")
            .field("regions", &state.regions.len())
            .field("connections", &state.connections)
            .finish_non_exhaustive()
    }
}

/// Part that one open file has in the memory. As long as it exists, the regions that it has mapped do.
pub(super) struct Member {
    memory: SharedMemory,
    has_joined: bool,
    shared: u8,
    exclusive: u8,
}

impl Member {
    pub(super) fn new(memory: SharedMemory) -> Self {
        Self { memory, has_joined: false, shared: 0, exclusive: 0 }
    }

    /// Returns the address of a region; NULL if it does not exist and is not to be created. The error is a code.
    pub(super) fn map(&mut self, region: c_int, bytes: c_int, extend: bool) -> Result<*mut c_void, c_int> {
        let (Ok(index), Ok(bytes)) = (usize::try_from(region), usize::try_from(bytes)) else {
            return Err(ffi::SQLITE_IOERR_SHMMAP);
        };
        let mut state = self.memory.state();
        if !self.has_joined {
            self.has_joined = true;
            state.connections += 1;
        }
        if state.regions.is_empty() {
            state.region_bytes = bytes;
        }
        if bytes == 0 || state.region_bytes != bytes {
            return Err(ffi::SQLITE_IOERR_SHMSIZE);
        }
        while extend && state.regions.len() <= index {
            let region = Region::new(bytes).ok_or(ffi::SQLITE_IOERR_NOMEM)?;
            state.regions.push(region);
        }
        Ok(state.regions.get(index).map_or(ptr::null_mut(), |region| region.0.as_ptr().cast()))
    }

    /// Takes or releases locks, as the `unix` file system does within one process. Returns a code.
    pub(super) fn lock(&mut self, first: c_int, count: c_int, flags: c_int) -> c_int {
        let range = usize::try_from(first).ok().zip(usize::try_from(count).ok());
        let Some(range) = range.and_then(|(first, count)| Some(first..first.checked_add(count)?)) else {
            return ffi::SQLITE_IOERR_SHMLOCK;
        };
        if range.is_empty() || range.end > LOCKS || !self.has_joined {
            return ffi::SQLITE_IOERR_SHMLOCK;
        }
        let mut state = self.memory.state();
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            range.for_each(|lock| Self::release(&mut state, &mut self.shared, &mut self.exclusive, lock));
            return ffi::SQLITE_OK;
        }
        let is_shared = flags & ffi::SQLITE_SHM_SHARED != 0;
        let is_held = |lock: usize| (if is_shared { self.shared } else { self.exclusive }) & 1 << lock != 0;
        let is_free = |lock: usize| if is_shared { state.locks[lock] >= 0 } else { state.locks[lock] == 0 };
        if !range.clone().all(|lock| is_held(lock) || is_free(lock)) {
            return ffi::SQLITE_BUSY;
        }
        for lock in range {
            let held = if is_shared { &mut self.shared } else { &mut self.exclusive };
            if *held & 1 << lock == 0 {
                *held |= 1 << lock;
                state.locks[lock] = if is_shared { state.locks[lock] + 1 } else { -1 };
            }
        }
        ffi::SQLITE_OK
    }

    fn release(state: &mut State, shared: &mut u8, exclusive: &mut u8, lock: usize) {
        let bit = 1 << lock;
        if *exclusive & bit != 0 {
            state.locks[lock] = 0;
        } else if *shared & bit != 0 {
            state.locks[lock] -= 1;
        }
        *shared &= !bit;
        *exclusive &= !bit;
    }

    /// Orders the accesses to the memory before this call before those that follow.
    pub(super) fn barrier(&self) {
        fence(Ordering::SeqCst);
        drop(self.memory.state());
    }

    /// Leaves the memory: SQLite has no address of it any more. The last one to leave frees it, also if SQLite does not ask
    /// for that: it is filled anew from the log.
    pub(super) fn unmap(&mut self) {
        if !self.has_joined {
            return;
        }
        self.has_joined = false;
        let mut state = self.memory.state();
        (0..LOCKS).for_each(|lock| Self::release(&mut state, &mut self.shared, &mut self.exclusive, lock));
        state.connections -= 1;
        if state.connections == 0 {
            state.regions.clear();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.unmap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_SHARED: c_int = ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_SHARED;
    const LOCK_EXCLUSIVE: c_int = ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_EXCLUSIVE;
    const UNLOCK_SHARED: c_int = ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_SHARED;
    const UNLOCK_EXCLUSIVE: c_int = ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_EXCLUSIVE;

    fn members() -> (SharedMemory, Member, Member) {
        let memory = SharedMemory::new();
        let mut two = [Member::new(memory.clone()), Member::new(memory.clone())];
        two.iter_mut().for_each(|member| assert!(member.map(0, 32768, true).is_ok()));
        let [one, other] = two;
        (memory, one, other)
    }

    #[test]
    fn rule_26_a_region_stays_where_it_is_until_the_last_member_leaves() {
        let (memory, mut one, mut other) = members();
        let first = one.map(0, 32768, false).unwrap();
        assert!(!first.is_null() && first == other.map(0, 32768, true).unwrap());
        assert!(one.map(70, 32768, false).unwrap().is_null());
        assert!(!one.map(70, 32768, true).unwrap().is_null());
        assert_eq!(first, other.map(0, 32768, false).unwrap());
        // SAFETY: the region exists, as both are members, has this size, and is aligned for words (rule 26).
        let words = unsafe { std::slice::from_raw_parts(first.cast::<AtomicU64>(), 4096) };
        words[4095].store(7, Ordering::Relaxed);
        drop(one);
        assert_eq!((memory.connections(), words[4095].load(Ordering::Relaxed)), (1, 7));
        other.unmap();
        assert_eq!((memory.connections(), memory.state().regions.len()), (0, 0));
        assert!(other.map(0, 32768, false).unwrap().is_null());
    }

    #[test]
    fn requests_without_sense_are_errors() {
        let (_memory, mut one, _other) = members();
        assert_eq!(one.map(-1, 32768, true), Err(ffi::SQLITE_IOERR_SHMMAP));
        assert_eq!(one.map(0, 4096, true), Err(ffi::SQLITE_IOERR_SHMSIZE));
        for (first, count) in [(-1, 1), (0, 0), (0, -1), (7, 2), (8, 1), (c_int::MAX, c_int::MAX)] {
            assert_eq!(one.lock(first, count, LOCK_SHARED), ffi::SQLITE_IOERR_SHMLOCK, "{first} {count}");
        }
        assert_eq!(Member::new(SharedMemory::new()).lock(0, 1, LOCK_SHARED), ffi::SQLITE_IOERR_SHMLOCK);
    }

    /// The same requests, made of a seed, are answered as by the shared memory of the system.
    #[test]
    #[cfg(unix)]
    fn locks_are_those_of_the_system() {
        use crate::raw::vfs::{Existing, FileKind, FileName, OpenFlags};

        let dir = tempfile::tempdir().unwrap();
        let name = FileName::new(&dir.path().join("a.db"), &[]).unwrap();
        let system = Existing::named("unix").unwrap();
        let open = || system.open(Some(&name), OpenFlags::read_write(FileKind::MainDatabase)).unwrap();
        let files = [open(), open(), open()];
        let memory = SharedMemory::new();
        let mut members = [(); 3].map(|()| Member::new(memory.clone()));
        for (file, member) in files.iter().zip(&mut members) {
            assert_eq!(file.map(0, 32768, true).0, ffi::SQLITE_OK);
            member.map(0, 32768, true).unwrap();
        }
        let mut seed = 1_u32;
        let mut random = |end: c_int| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            c_int::try_from(seed >> 16).unwrap() % end
        };
        let (mut busy, mut granted) = (0, 0);
        // Locks that each connection has: SQLite asks for none twice, and releases those that it has.
        let mut held: [Vec<(c_int, c_int, c_int)>; 3] = Default::default();
        for _ in 0..3000 {
            let who = usize::try_from(random(3)).unwrap();
            let (first, is_shared) = (random(8), random(2) == 0);
            let count = if is_shared { 1 } else { 1 + random(8 - first) };
            let flags = if is_shared { LOCK_SHARED } else { LOCK_EXCLUSIVE };
            let overlaps = |&(of, n, _): &(c_int, c_int, c_int)| of < first + count && first < of + n;
            let (first, count, flags) = match held[who].iter().position(overlaps) {
                Some(at) => {
                    let (first, count, flags) = held[who].swap_remove(at);
                    (first, count, flags ^ ffi::SQLITE_SHM_LOCK ^ ffi::SQLITE_SHM_UNLOCK)
                }
                None => (first, count, flags),
            };
            let code = files[who].lock_shared(first, count, flags);
            assert_eq!(members[who].lock(first, count, flags), code, "{who} {first} {count} {flags}");
            if flags & ffi::SQLITE_SHM_LOCK != 0 && code == ffi::SQLITE_OK {
                held[who].push((first, count, flags));
                granted += 1;
            }
            busy += c_int::from(code == ffi::SQLITE_BUSY);
        }
        assert!(busy > 100 && granted > 100, "{busy} {granted}");
    }

    #[test]
    fn locks_exclude_others_and_end_with_their_member() {
        let (_memory, mut one, mut other) = members();
        assert_eq!(one.lock(3, 1, LOCK_SHARED), ffi::SQLITE_OK);
        assert_eq!(other.lock(3, 1, LOCK_SHARED), ffi::SQLITE_OK);
        // A second time is the same lock.
        assert_eq!(one.lock(3, 1, LOCK_SHARED), ffi::SQLITE_OK);
        assert_eq!(other.lock(3, 1, UNLOCK_SHARED), ffi::SQLITE_OK);
        assert_eq!(other.lock(3, 1, LOCK_EXCLUSIVE), ffi::SQLITE_BUSY);
        // Of several, all or none.
        assert_eq!(other.lock(1, 4, LOCK_EXCLUSIVE), ffi::SQLITE_BUSY);
        assert_eq!(one.lock(1, 1, LOCK_EXCLUSIVE), ffi::SQLITE_OK);
        assert_eq!(other.lock(1, 1, LOCK_SHARED), ffi::SQLITE_BUSY);
        assert_eq!(one.lock(1, 1, UNLOCK_EXCLUSIVE), ffi::SQLITE_OK);
        drop(one);
        assert_eq!(other.lock(0, 8, LOCK_EXCLUSIVE), ffi::SQLITE_OK);
        assert_eq!(other.lock(0, 8, UNLOCK_EXCLUSIVE), ffi::SQLITE_OK);
        assert_eq!(other.lock(0, 8, UNLOCK_EXCLUSIVE), ffi::SQLITE_OK);
    }
}

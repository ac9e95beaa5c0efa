//! The database files that are open, told from one another by device and inode.
//!
//! SQLite keeps, for the whole process and by device and inode, which locks it holds on a file (`os_unix.c`,
//! `inodeList`). A child process inherits these notes without the locks. A connection that it opens on such a file
//! believes that it holds what only the parent does, and what it writes is lost, or damages the file
//! (sqlite.org/howtocorrupt.html, 2.6). So each connection notes here what it has open, and a child looks whether its
//! parent had it.
//!
//! A list without a lock: a child process forked at any moment finds it whole.

#[cfg(not(unix))]
pub(super) use elsewhere::{FileId, OpenFile, was_inherited};
#[cfg(unix)]
pub(super) use unix::{FileId, OpenFile, was_inherited};

#[cfg(unix)]
mod unix {
    use std::ffi::{CStr, OsStr};
    use std::iter;
    use std::os::unix::prelude::*;
    use std::path::Path;
    use std::ptr;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

    use super::super::fork::generation;

    /// A file, whatever it is called.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) struct FileId {
        device: u64,
        inode: u64,
    }

    impl FileId {
        /// Of the file at a path, if there is one. It is asked for by its name and not opened: closing any descriptor of
        /// a database file drops the locks on it.
        pub(in super::super) fn of(path: &CStr) -> Option<Self> {
            if path.is_empty() {
                return None;
            }
            let metadata = Path::new(OsStr::from_bytes(path.to_bytes())).metadata().ok()?;
            Some(Self { device: metadata.dev(), inode: metadata.ino() })
        }
    }

    /// A place in the list. Those who leave make room for those who come; what a parent had stays taken in its child.
    struct Place {
        is_taken: AtomicBool,
        device: AtomicU64,
        inode: AtomicU64,
        /// The process that has the file open.
        generation: AtomicU32,
        next: Option<&'static Place>,
    }

    static PLACES: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());

    fn newest() -> Option<&'static Place> {
        // SAFETY: NULL, or a place that `OpenFile::new` leaked: it is never freed, and shared only from then on. Acquire
        // pairs with the release that published it.
        unsafe { PLACES.load(Ordering::Acquire).as_ref() }
    }

    fn places() -> impl Iterator<Item = &'static Place> {
        iter::successors(newest(), |place| place.next)
    }

    /// A file that a connection has open, until this is dropped.
    pub(in super::super) struct OpenFile(&'static Place);

    impl OpenFile {
        pub(in super::super) fn new(file: FileId) -> Self {
            let take = |place: &Place| !place.is_taken.swap(true, Ordering::AcqRel);
            let place = places().find(|place| take(place)).unwrap_or_else(new_place);
            place.device.store(file.device, Ordering::Relaxed);
            place.inode.store(file.inode, Ordering::Relaxed);
            place.generation.store(generation(), Ordering::Relaxed);
            Self(place)
        }
    }

    impl Drop for OpenFile {
        /// What was inherited stays: SQLite's notes of it do, whatever becomes of the connection.
        fn drop(&mut self) {
            if self.0.generation.load(Ordering::Relaxed) == generation() {
                self.0.is_taken.store(false, Ordering::Release);
            }
        }
    }

    fn new_place() -> &'static Place {
        let place = Box::leak(Box::new(Place {
            is_taken: AtomicBool::new(true),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
            generation: AtomicU32::new(0),
            next: None,
        }));
        loop {
            place.next = newest();
            let head = place.next.map_or(ptr::null_mut(), |head| ptr::from_ref(head).cast_mut());
            if PLACES.compare_exchange(head, ptr::from_mut(place), Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return place;
            }
        }
    }

    /// Whether a process that this one was forked from had the file open at the fork.
    pub(in super::super) fn was_inherited(file: FileId) -> bool {
        let this = generation();
        this != 0
            && places().any(|place| {
                place.is_taken.load(Ordering::Acquire)
                    && place.generation.load(Ordering::Relaxed) != this
                    && place.device.load(Ordering::Relaxed) == file.device
                    && place.inode.load(Ordering::Relaxed) == file.inode
            })
    }
}

/// No `fork` here.
#[cfg(not(unix))]
mod elsewhere {
    use std::ffi::CStr;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) enum FileId {}

    impl FileId {
        pub(in super::super) fn of(_path: &CStr) -> Option<Self> {
            None
        }
    }

    pub(in super::super) enum OpenFile {}

    impl OpenFile {
        pub(in super::super) fn new(file: FileId) -> Self {
            match file {}
        }
    }

    pub(in super::super) fn was_inherited(file: FileId) -> bool {
        match file {}
    }
}

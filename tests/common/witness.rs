//! What is open in this process, told by four independent witnesses, for tests that have the process to themselves.

use std::path::Path;
use std::sync::Once;

use finalite::handles::{self, HandleCounts};
use finalite::{Connection, memory};

/// Everything that a leak would move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    pub handles: HandleCounts,
    /// Bytes and blocks that SQLite holds, by the counting allocator.
    pub native_bytes: u64,
    pub native_blocks: u64,
    pub descriptors: Vec<String>,
    pub threads: usize,
}

impl Witness {
    pub fn now() -> Self {
        let memory = memory::stats();
        assert_eq!(memory.mode, memory::Mode::Counting, "nobody counts, so nothing is shown");
        Self {
            handles: handles::counts(),
            native_bytes: memory.bytes,
            native_blocks: memory.blocks,
            descriptors: descriptors(),
            threads: thread_count(),
        }
    }
}

/// The files that are open, sorted: more than their number, so that a failure names the file.
fn descriptors() -> Vec<String> {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    let mut files: Vec<String> = open
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        // The one that lists them.
        .filter(|target| !target.ends_with("/fd"))
        // `.ci/tsan.sh`: ThreadSanitizer opens pipes whenever it looks up a function.
        .filter(|target| !target.starts_with("pipe:") || std::env::var_os("FINALITE_NO_PIPES").is_none())
        .collect();
    files.sort();
    files
}

/// Runs this in threads of its own, and returns when the kernel has taken them off its list: a joined thread is still
/// on it for a moment.
pub fn in_threads(count: usize, work: impl Fn() + Send + Copy + 'static) {
    let before = thread_count();
    let threads: Vec<_> = (0..count).map(|_| std::thread::spawn(work)).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    while thread_count() > before {
        std::thread::yield_now();
    }
}

/// Returns the number of threads. ThreadSanitizer starts one of its own with the first thread of the process, so that
/// one has come and gone before any is counted.
fn thread_count() -> usize {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let Ok(Ok(task)) = std::thread::spawn(|| std::fs::read_link("/proc/thread-self")).join() else { return };
        while Path::new("/proc").join(&task).exists() {
            std::thread::yield_now();
        }
    });
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Runs a scenario and returns what it left behind: before and after, where they differ.
pub fn left_by(scenario: impl FnOnce()) -> Option<(Witness, Witness)> {
    let before = Witness::now();
    scenario();
    let after = Witness::now();
    (before != after).then_some((before, after))
}

/// Runs a scenario and asserts that nothing is left of it.
pub fn nothing_left_by(name: &str, scenario: impl FnOnce()) {
    if let Some((before, after)) = left_by(scenario) {
        panic!("{name} left something:\nbefore {before:#?}\nafter {after:#?}");
    }
}

/// Whether another connection can write at once: no lock is left on the file.
pub fn can_write(path: &Path) -> bool {
    let other = Connection::open(path).unwrap();
    other.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    other.execute("INSERT INTO t(b) VALUES ('from another connection')", ()).is_ok()
}

//! Figures of this process from the operating system. They are available on Linux; elsewhere the functions return
//! `None`.
//!
//! Only files below `/proc` are read, which contains no database.

use std::path::Path;

/// Returns the targets of the open file descriptors, sorted.
pub(crate) fn descriptors() -> Option<Vec<Box<str>>> {
    let entries = Path::new("/proc/self/fd").read_dir().ok()?;
    let mut targets: Vec<Box<str>> = entries
        .filter_map(|entry| entry.ok()?.path().read_link().ok())
        .map(|target| -> Box<str> { target.to_string_lossy().into() })
        // The descriptor that `read_dir` itself uses.
        .filter(|target| !(target.starts_with("/proc/") && target.ends_with("/fd")))
        .collect();
    targets.sort_unstable();
    Some(targets)
}

/// Returns the number of open file descriptors.
pub(crate) fn descriptor_count() -> Option<u64> {
    // Minus the descriptor that `read_dir` itself uses.
    let count = Path::new("/proc/self/fd").read_dir().ok()?.count();
    Some(count.saturating_sub(1) as u64)
}

/// Returns the number of threads.
pub(crate) fn threads() -> Option<usize> {
    Some(Path::new("/proc/self/task").read_dir().ok()?.count())
}

/// Returns the resident memory in bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_told_in_kibibytes() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t2\n"), Some(1234 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
        if cfg!(target_os = "linux") {
            assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}

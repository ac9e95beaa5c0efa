//! What the system holds of a file in its cache.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;

use crate::Result;

unsafe extern "C" {
    fn posix_fadvise(file: c_int, offset: i64, length: i64, advice: c_int) -> c_int;
    fn mmap(at: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn mincore(start: *mut c_void, length: usize, pages: *mut u8) -> c_int;
    fn munmap(start: *mut c_void, length: usize) -> c_int;
}

/// Has the system forget what it holds of the file. What is not written yet, it keeps.
pub fn evict(path: &Path) -> Result<()> {
    const POSIX_FADV_DONTNEED: c_int = 4;
    let file = File::open(path)?;
    file.sync_all()?;
    // SAFETY: the file is open; 0 is its whole length. It is advice, which changes no content.
    let code = unsafe { posix_fadvise(file.as_raw_fd(), 0, 0, POSIX_FADV_DONTNEED) };
    if code == 0 { Ok(()) } else { Err(std::io::Error::from_raw_os_error(code).into()) }
}

/// How much of the file it holds, from 0 to 1.
pub fn held(path: &Path) -> Result<f64> {
    const PROT_READ: c_int = 1;
    const MAP_SHARED: c_int = 1;
    const PAGE_BYTES: usize = 4096;
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len())?;
    if length == 0 {
        return Ok(0.0);
    }
    // SAFETY: a new mapping of the open file, wherever there is room, and nothing of it is read.
    let start = unsafe { mmap(ptr::null_mut(), length, PROT_READ, MAP_SHARED, file.as_raw_fd(), 0) };
    if start.addr() == usize::MAX {
        return Err(std::io::Error::last_os_error().into());
    }
    let mut pages = vec![0; length.div_ceil(PAGE_BYTES)];
    // SAFETY: the mapping is there, and the vector has a byte for each of its pages.
    let told = unsafe { mincore(start, length, pages.as_mut_ptr()) };
    let error = std::io::Error::last_os_error();
    // SAFETY: the mapping from above, which nobody else knows.
    unsafe { munmap(start, length) };
    if told != 0 {
        return Err(error.into());
    }
    Ok(pages.iter().filter(|&&page| page & 1 != 0).count() as f64 / pages.len() as f64)
}

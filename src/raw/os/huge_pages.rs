//! Huge pages for large buffers. The first access to each page is a page fault; with pages of 4 KB the faults of a
//! result of 100 MB take longer than copying it.

/// Advises the kernel to back a buffer with huge pages. It is a hint: the buffer's content is the same with any result.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large<T>(buffer: &Vec<T>) {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    /// Smallest buffer for which the advice is given. Below it the gain is small, and adjacent smaller buffers share
    /// huge pages.
    const LARGE_BYTES: usize = 1 << 20;
    /// Page size. On a system with larger pages the call fails and has no effect.
    const PAGE_BYTES: usize = 4096;
    const MADV_HUGEPAGE: c_int = 14;

    let bytes = buffer.capacity() * size_of::<T>();
    if bytes < LARGE_BYTES {
        return;
    }
    let before = buffer.as_ptr().addr() % PAGE_BYTES;
    let start = buffer.as_ptr().cast::<u8>().wrapping_sub(before);
    let len = (before + bytes).next_multiple_of(PAGE_BYTES);
    // SAFETY: madvise(2): this advice concerns performance and changes no content, including that of other data in the
    // first and the last page; an address that is not mapped, or not at the start of a page, returns an error, which is
    // ignored (rule 24).
    unsafe { madvise(start.cast_mut().cast(), len, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large<T>(_: &Vec<T>) {}

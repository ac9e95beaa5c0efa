//! Large buffers in large pages: the first touch of each page is a fault, and with pages of 4 KB the faults of a result
//! of 100 MB take longer than copying it.

/// Says that a buffer is better held in large pages. A hint: whatever comes of it, the buffer's content is the same.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large<T>(buffer: &Vec<T>) {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    /// Below this there is little to gain. Smaller buffers beside each other share large pages.
    const LARGE_BYTES: usize = 1 << 20;
    /// Where pages are larger, the call is refused, and all stays as it was.
    const PAGE_BYTES: usize = 4096;
    const MADV_HUGEPAGE: c_int = 14;

    let bytes = buffer.capacity() * size_of::<T>();
    if bytes < LARGE_BYTES {
        return;
    }
    let before = buffer.as_ptr().addr() % PAGE_BYTES;
    let start = buffer.as_ptr().cast::<u8>().wrapping_sub(before);
    let len = (before + bytes).next_multiple_of(PAGE_BYTES);
    // SAFETY: madvise(2): this advice is about performance and changes no content, also of what else is in the first
    // and the last page; an address that is not mapped is an error, which means nothing here.
    unsafe { madvise(start.cast_mut().cast(), len, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large<T>(_: &Vec<T>) {}

//! C strings: ownership, and conversion to Rust text.

use std::borrow::Cow;
use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};

use super::ffi;

/// A string allocated by SQLite and owned by finalite. Dropping it frees it.
pub(super) struct SqliteString(NonNull<c_char>);

impl SqliteString {
    /// Takes ownership of a string that a `sqlite3_*` function returned; `None` if it returned NULL (out of memory).
    ///
    /// # Safety
    ///
    /// `ptr` is NULL, or a NUL-terminated string from SQLite's allocator that no other code frees.
    pub(super) unsafe fn from_raw(ptr: *mut c_char) -> Option<Self> {
        NonNull::new(ptr).map(Self)
    }

    pub(super) fn to_text(&self) -> Box<str> {
        // SAFETY: the caller of `from_raw` promised a NUL-terminated string, which `self` owns until its Drop
        // (rules 19, 22).
        let text = unsafe { CStr::from_ptr(self.0.as_ptr()) };
        text.to_string_lossy().into()
    }
}

impl Drop for SqliteString {
    fn drop(&mut self) {
        // SAFETY: c3ref/free.html: memory obtained from sqlite3_malloc() is released by sqlite3_free(). The caller of
        // `from_raw` promised such memory, and `self` is its only owner, so it is freed once (rule 22).
        unsafe { ffi::sqlite3_free(self.0.as_ptr().cast()) }
    }
}

/// Returns a string of SQLite's allocator with this text, which ends at its first NUL; NULL if there is no memory.
pub(super) fn to_sqlite(text: &str) -> *mut c_char {
    let len = text.len();
    // SAFETY: takes a size; c3ref/free.html: new memory of SQLite's, or NULL (rule 22).
    let copy = unsafe { ffi::sqlite3_malloc64(len as u64 + 1) }.cast::<u8>();
    if copy.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the new memory has room for the text and its end (rule 22).
    unsafe { write(copy, text) };
    copy.cast()
}

/// Writes a text and a NUL.
///
/// # Safety
///
/// `to` has room for one byte more than the text has, to which nothing else refers.
pub(super) unsafe fn write(to: *mut u8, text: &str) {
    // SAFETY: the caller promises this room (rule 22).
    unsafe { to.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    // SAFETY: and that for the byte behind (rule 22).
    let end = unsafe { to.add(text.len()) };
    // SAFETY: the byte behind the text, for which the caller promises room (rule 22).
    unsafe { end.write(0) }
}

/// Copies a string owned by SQLite; `None` for NULL. Invalid UTF-8 is replaced, because names and messages are
/// displayed and not compared as data.
///
/// # Safety
///
/// `ptr` is NULL or a NUL-terminated string that stays valid during the call.
pub(super) unsafe fn copy(ptr: *const c_char) -> Option<Box<str>> {
    let mut copied = String::new();
    // SAFETY: the caller's promise is that of `append` (rule 22).
    unsafe { append(&mut copied, ptr) }.then(|| copied.into())
}

/// Appends a copy of a string owned by SQLite, as [`copy`] makes it. Returns `false` for NULL.
///
/// # Safety
///
/// `ptr` is NULL or a NUL-terminated string that stays valid during the call.
pub(super) unsafe fn append(to: &mut String, ptr: *const c_char) -> bool {
    // SAFETY: the caller's promise is that of `borrow`; the text is copied before the call ends (rule 22).
    let text = unsafe { borrow(ptr) };
    to.push_str(text.as_deref().unwrap_or_default());
    text.is_some()
}

/// Borrows a string owned by SQLite; `None` for NULL. A string that is not UTF-8 is copied, and the invalid part
/// replaced.
///
/// # Safety
///
/// `ptr` is NULL, or a NUL-terminated string that is unchanged during `'call`.
pub(super) unsafe fn borrow<'call>(ptr: *const c_char) -> Option<Cow<'call, str>> {
    if ptr.is_null() {
        return None;
    }
    // SAFETY: not NULL here; the caller promises a NUL-terminated string that is unchanged during `'call` (rule 22).
    let text = unsafe { CStr::from_ptr(ptr) };
    let bytes = text.to_bytes();
    if bytes.is_ascii() {
        // Nearly all names are, and short: a hook is called with two for each row.
        // SAFETY: each byte was found to be ASCII, which is UTF-8 (rule 22).
        return Some(Cow::Borrowed(unsafe { str::from_utf8_unchecked(bytes) }));
    }
    Some(String::from_utf8_lossy(bytes))
}

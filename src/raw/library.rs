//! The SQLite library that is linked into this process.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{ptr, slice, str};

use libsqlite3_sys as ffi;

/// Oldest supported system SQLite: the one that the bindings of `libsqlite3-sys` 0.40 describe.
pub(super) const VERSION_MIN: c_int = 3_045_003;

pub(crate) fn version() -> &'static str {
    // SAFETY: takes no argument; c3ref/libversion.html: returns "a pointer to the sqlite3_version[] string constant"
    // (rule 22).
    let text = unsafe { ffi::sqlite3_libversion() };
    // SAFETY: the page above promises a string constant (rule 22).
    unsafe { constant(text) }
}

pub(crate) fn version_number() -> i32 {
    // SAFETY: takes no argument and returns a constant number, which needs no connection (rule 20,
    // c3ref/libversion.html).
    unsafe { ffi::sqlite3_libversion_number() }
}

pub(crate) fn source_id() -> &'static str {
    // SAFETY: takes no argument; c3ref/libversion.html: returns "a pointer to a string constant" (rule 22).
    let text = unsafe { ffi::sqlite3_sourceid() };
    // SAFETY: the page above promises a string constant (rule 22).
    unsafe { constant(text) }
}

/// Returns the options SQLite was compiled with, without their `SQLITE_` prefix.
pub(crate) fn compile_options() -> impl Iterator<Item = &'static str> {
    (0..).map_while(|n| {
        // SAFETY: c3ref/compileoption_get.html: any N is allowed, and the result is NULL when "N is out of range"
        // (rule 22).
        let option = unsafe { ffi::sqlite3_compileoption_get(n) };
        // SAFETY: not NULL here. SQLite's source keeps these strings in a constant array; the page names no owner
        // (rule 22).
        (!option.is_null()).then(|| unsafe { constant(option) })
    })
}

/// Returns the keywords of SQL.
pub(crate) fn keywords() -> impl Iterator<Item = &'static str> {
    // SAFETY: takes no argument, and returns a constant (rule 20, c3ref/keyword_check.html).
    let count = unsafe { ffi::sqlite3_keyword_count() };
    (0..count).filter_map(|n| {
        let (mut name, mut len) = (ptr::null(), 0);
        // SAFETY: the places of the results; c3ref/keyword_check.html: any number is allowed (rule 22).
        let code = unsafe { ffi::sqlite3_keyword_name(n, &raw mut name, &raw mut len) };
        let len = usize::try_from(len).ok().filter(|_| code == ffi::SQLITE_OK)?;
        // SAFETY: on success, `len` bytes of a constant, without a NUL (rule 22, c3ref/keyword_check.html).
        str::from_utf8(unsafe { slice::from_raw_parts(name.cast(), len) }).ok()
    })
}

/// Whether a word is a keyword of SQL.
pub(crate) fn is_keyword(word: &str) -> bool {
    // SAFETY: `len` bytes, which the call reads (rule 22, c3ref/keyword_check.html).
    c_int::try_from(word.len()).is_ok_and(|len| unsafe { ffi::sqlite3_keyword_check(word.as_ptr().cast(), len) != 0 })
}

/// Whether the SQL ends with a complete statement.
pub(crate) fn is_complete(sql: &CStr) -> bool {
    // SAFETY: a C string, which the call only reads (rule 22); c3ref/complete.html: needs no connection (rule 20).
    unsafe { ffi::sqlite3_complete(sql.as_ptr()) == 1 }
}

/// Returns the default size in bytes of a connection's lookaside memory.
pub(super) fn default_lookaside() -> u64 {
    /// The result plus one; 0 if not yet known. A `OnceLock` is not used: if another thread is initializing it at a
    /// fork, it never completes in the child.
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    /// Default in SQLite's source; the compile options contain it only where the build sets another value.
    const UNLESS_BUILT_OTHERWISE: u64 = 1200 * 40;
    let parse = |sizes: &str| {
        let (slot_bytes, slots) = sizes.split_once(',')?;
        Some(slot_bytes.trim().parse::<u64>().ok()? * slots.trim().parse::<u64>().ok()?)
    };
    if let Some(bytes) = KNOWN.load(Ordering::Relaxed).checked_sub(1) {
        return bytes;
    }
    let of = |option: &'static str| match option.strip_prefix("DEFAULT_LOOKASIDE=") {
        Some(sizes) => parse(sizes),
        None => (option == "OMIT_LOOKASIDE").then_some(0),
    };
    let bytes = compile_options().find_map(of).unwrap_or(UNLESS_BUILT_OTHERWISE);
    KNOWN.store(bytes + 1, Ordering::Relaxed);
    bytes
}

/// Returns SQLite's message for a result code.
pub(crate) fn code_message(code: c_int) -> &'static str {
    // SAFETY: any argument is allowed, and SQLite owns the text: it "must not be freed" (rule 22, c3ref/errcode.html).
    let text = unsafe { ffi::sqlite3_errstr(code) };
    if text.is_null() {
        return "unknown error";
    }
    // SAFETY: not NULL, and a constant of the library (rule 22, c3ref/errcode.html).
    unsafe { constant(text) }
}

/// Whether the text is, by address, SQLite's constant for a result code, and not another string with the same content.
pub(super) fn is_code_message(text: *const c_char, code: c_int) -> bool {
    // SAFETY: any argument is allowed (c3ref/errcode.html); the result is compared by address and not read (rule 22).
    ptr::eq(text, unsafe { ffi::sqlite3_errstr(code) })
}

/// Returns an error if this SQLite cannot be used.
pub(super) fn check() -> Result<(), Box<str>> {
    // SAFETY: takes no argument and returns a compile-time constant (rule 12, c3ref/threadsafe.html).
    let threadsafe = unsafe { ffi::sqlite3_threadsafe() };
    match unusable(threadsafe, cfg!(feature = "bundled"), version_number()) {
        None => Ok(()),
        Some(reason) => Err(reason),
    }
}

/// Returns the reason a SQLite cannot be used; `None` if it can.
fn unusable(threadsafe: c_int, is_bundled: bool, number: c_int) -> Option<Box<str>> {
    if threadsafe == 0 {
        let reason =
            "this SQLite is compiled with SQLITE_THREADSAFE=0: connections of two threads would corrupt each other";
        return Some(reason.into());
    }
    if !is_bundled && number < VERSION_MIN {
        let (major, minor, patch) = (number / 1_000_000, number / 1000 % 1000, number % 1000);
        let reason = format!(
            "the system's SQLite is {major}.{minor}.{patch}, finalite needs 3.45.3 or newer: update it, or enable the \
             feature `bundled`"
        );
        return Some(reason.into());
    }
    None
}

/// Converts a string constant of SQLite.
///
/// # Safety
///
/// `text` points to a NUL-terminated constant of the SQLite library.
unsafe fn constant(text: *const c_char) -> &'static str {
    // SAFETY: the caller promises a NUL-terminated constant; the library is never unloaded (README, effects), so the
    // borrow may be `'static` (rule 22).
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap_or("(not UTF-8)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_without_mutexes_is_refused() {
        for (is_bundled, number) in [(true, 3_054_001), (false, 3_054_001), (false, 3_000_000)] {
            assert!(unusable(0, is_bundled, number).unwrap().contains("SQLITE_THREADSAFE=0"));
        }
        // Serialized and multi-thread.
        assert_eq!(unusable(1, true, 3_054_001), None);
        assert_eq!(unusable(2, true, 3_054_001), None);
    }

    #[test]
    fn an_old_system_library_is_refused() {
        let reason = unusable(1, false, 3_045_002).unwrap();
        assert!(reason.starts_with("the system's SQLite is 3.45.2, finalite needs 3.45.3"), "{reason}");
        assert_eq!(unusable(1, false, VERSION_MIN), None);
        // The bundled SQLite is the one that `libsqlite3-sys` was built for.
        assert_eq!(unusable(1, true, 3_045_002), None);
    }

    #[test]
    fn the_one_that_is_linked_is_not() {
        assert!(check().is_ok());
    }
}

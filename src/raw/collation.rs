//! Collations: registration, and the trampoline of their comparisons.

use std::cmp::Ordering;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::Location;
use std::{ptr, slice};

use super::callback::{Entry, Key};
use super::db::{Db, Entered};
use super::{ffi, text};
use crate::error::Fault;

fn key(name: &CStr) -> Key {
    Key::Collation(name.to_string_lossy().to_ascii_lowercase().into())
}

impl Db {
    /// Registers a collation. Returns whether it replaced one of the program's.
    pub(crate) fn create_collation<F: Fn(&[u8], &[u8]) -> Ordering + Send + 'static>(
        &self,
        name: &CStr,
        site: &'static Location<'static>,
        compare: F,
    ) -> Result<bool, Fault> {
        let entered = self.enter_to_register()?;
        self.create_collation_in(&entered, name, site, compare)
    }

    fn create_collation_in<F: Fn(&[u8], &[u8]) -> Ordering + Send + 'static>(
        &self,
        entered: &Entered<'_>,
        name: &CStr,
        site: &'static Location<'static>,
        compare: F,
    ) -> Result<bool, Fault> {
        self.register(entered, key(name), site, compare, |entry, destroy| {
            // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22). `entry` is the
            // address of an `Entry<F>`, which lives until SQLite has let go of it (rule 14); its destructor is
            // `destroy`.
            unsafe {
                ffi::sqlite3_create_collation_v2(
                    entered.db(),
                    name.as_ptr(),
                    ffi::SQLITE_UTF8,
                    entry,
                    Some(compare_texts::<F>),
                    destroy,
                )
            }
        })
    }

    /// Whether a closure of the program replaces one of SQLite's collations.
    pub(crate) fn has_replaced_collation(&self) -> bool {
        [c"BINARY", c"NOCASE", c"RTRIM"].into_iter().any(|name| self.is_registered(&key(name)))
    }

    /// Removes a collation. Returns whether there was one.
    pub(crate) fn remove_collation(&self, name: &CStr) -> Result<bool, Fault> {
        let entered = self.enter_to_register()?;
        self.unregister(&entered, &key(name), || {
            // SAFETY: the connection is open (entered, rule 20), and the name NUL-terminated (rule 22).
            // c3ref/create_collation.html: a NULL function deletes the collation, which SQLite refuses while a
            // statement is running (rule 14).
            unsafe {
                ffi::sqlite3_create_collation_v2(
                    entered.db(),
                    name.as_ptr(),
                    ffi::SQLITE_UTF8,
                    ptr::null_mut(),
                    None,
                    None,
                )
            }
        })
    }

    /// Sets the closure that supplies a collation which is not registered: it gets the name, and returns the comparison
    /// if it has one.
    pub(crate) fn on_collation_needed<F, C>(&self, site: &'static Location<'static>, supply: F) -> Result<bool, Fault>
    where
        F: Fn(&str) -> Option<C> + Send + 'static,
        C: Fn(&[u8], &[u8]) -> Ordering + Send + 'static,
    {
        let entered = self.enter_to_register()?;
        self.register(&entered, Key::CollationNeeded, site, Supplier { supply, site }, |entry, _| {
            // SAFETY: the connection is open (entered, rule 20); `entry` is the address of an `Entry<Supplier<F>>`,
            // which lives until it is replaced or the connection closes (rule 14).
            unsafe { ffi::sqlite3_collation_needed(entered.db(), entry, Some(needed::<F, C>)) }
        })
    }

    /// Removes the closure of `on_collation_needed`. Returns whether there was one.
    pub(crate) fn remove_collation_needed(&self) -> Result<bool, Fault> {
        let entered = self.enter_to_register()?;
        self.unregister(&entered, &Key::CollationNeeded, || {
            // SAFETY: the connection is open (entered, rule 20); without a function SQLite calls nothing (rule 14,
            // c3ref/collation_needed.html).
            unsafe { ffi::sqlite3_collation_needed(entered.db(), ptr::null_mut(), None) }
        })
    }
}

struct Supplier<F> {
    supply: F,
    site: &'static Location<'static>,
}

unsafe extern "C" fn compare_texts<F: Fn(&[u8], &[u8]) -> Ordering + Send + 'static>(
    entry: *mut c_void,
    left_len: c_int,
    left: *const c_void,
    right_len: c_int,
    right: *const c_void,
) -> c_int {
    // SAFETY: SQLite passes the pointer with which `create_collation` registered this function, an `Entry<F>`
    // (rule 14).
    let entry = unsafe { Entry::<F>::of(entry) };
    // SAFETY: c3ref/create_collation.html: "two strings", each with its length in bytes, in UTF-8 as registered; they
    // live for the call (rule 15).
    let left = unsafe { bytes(left, left_len) };
    // SAFETY: the other string with its length, as above (rule 15).
    let right = unsafe { bytes(right, right_len) };
    // After a panic the bytes are compared: another order than the collation's, but an order.
    let ordering = entry.call_back(|compare| compare(left, right)).unwrap_or_else(|| {
        entry.db().note_misorder();
        left.cmp(right)
    });
    entry.db().interrupt_misordered();
    ordering as c_int
}

/// # Safety
///
/// `text` is NULL, or `len` bytes that are unchanged during `'call`.
unsafe fn bytes<'call>(text: *const c_void, len: c_int) -> &'call [u8] {
    match usize::try_from(len) {
        Ok(len @ 1..) if !text.is_null() => {
            // SAFETY: not NULL, and the caller promises `len` bytes for `'call` (rule 15).
            unsafe { slice::from_raw_parts(text.cast(), len) }
        }
        _ => &[],
    }
}

unsafe extern "C" fn needed<F, C>(entry: *mut c_void, _db: *mut ffi::sqlite3, _encoding: c_int, name: *const c_char)
where
    F: Fn(&str) -> Option<C> + Send + 'static,
    C: Fn(&[u8], &[u8]) -> Ordering + Send + 'static,
{
    // SAFETY: SQLite passes the pointer with which `on_collation_needed` registered this function (rule 14).
    let entry = unsafe { Entry::<Supplier<F>>::of(entry) };
    // SAFETY: c3ref/collation_needed.html: the fourth parameter is the name of the collation, in UTF-8 for this
    // function; copied here (rule 22).
    let Some(name) = (unsafe { text::copy(name) }) else {
        return;
    };
    let db = entry.db();
    if let Some(Some(compare)) = entry.call_back(|supplier| (supplier.supply)(&name)) {
        // c3ref/collation_needed.html: the callback registers the collation, which no statement uses yet. Without it,
        // SQLite's error says that it is missing.
        if let (Ok(name), Some(entered)) = (CString::new(&*name), db.entered_by_c()) {
            let _ = db.create_collation_in(&entered, &name, entry.call.site, compare);
        }
    }
}

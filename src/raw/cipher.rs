//! Encrypted databases: SQLCipher's functions (zetetic.net/sqlcipher/sqlcipher-api), and memory of keys.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};

use super::{Db, ffi};
use crate::error::Fault;

unsafe extern "C" {
    // `libsqlite3-sys` declares them in none of its bundled bindings.
    fn sqlite3_key_v2(db: *mut ffi::sqlite3, database: *const c_char, key: *const c_void, len: c_int) -> c_int;
    fn sqlite3_rekey_v2(db: *mut ffi::sqlite3, database: *const c_char, key: *const c_void, len: c_int) -> c_int;
}

/// Bytes of a key. Drop overwrites them with zeros.
pub(crate) struct Secret(Box<[u8]>);

impl Secret {
    pub(crate) fn new(bytes: Box<[u8]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Returns the key for C.
    fn parts(&self) -> (*const c_void, c_int) {
        (self.0.as_ptr().cast(), c_int::try_from(self.0.len()).unwrap_or(c_int::MAX))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

/// Overwrites bytes with zeros.
fn overwrite(bytes: &mut [u8]) {
    for byte in bytes {
        // SAFETY: a byte that is borrowed exclusively (rule 22). A volatile write is done although nobody reads it.
        unsafe { ptr::write_volatile(byte, 0) };
    }
    // The memory is freed after the writes.
    compiler_fence(Ordering::SeqCst);
}

impl Db {
    /// Sets the key of the main database, before anything is read.
    pub(crate) fn set_key(&self, key: &Secret) -> Result<(), Fault> {
        self.call_with_key(sqlite3_key_v2, key)
    }

    /// Encrypts the main database with another key.
    pub(crate) fn change_key(&self, key: &Secret) -> Result<(), Fault> {
        self.call_with_key(sqlite3_rekey_v2, key)
    }

    fn call_with_key(
        &self,
        call: unsafe extern "C" fn(*mut ffi::sqlite3, *const c_char, *const c_void, c_int) -> c_int,
        key: &Secret,
    ) -> Result<(), Fault> {
        let entered = self.enter()?;
        let charge = entered.charge();
        let (bytes, len) = key.parts();
        // SAFETY: the connection is open (entered, rules 19, 20), the name a constant; `len` bytes, which SQLCipher
        // copies (rule 22).
        let code = unsafe { call(entered.db(), c"main".as_ptr(), bytes, len) };
        drop(charge);
        self.resume();
        self.check(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_overwritten() {
        let mut bytes = *b"key";
        overwrite(&mut bytes);
        assert_eq!(bytes, [0; 3]);
    }
}

//! Loops over SQLite's C interface, as a program without a driver writes them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CString, c_int};
use std::hint::black_box;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use finalite::{Connection, Error, Result, ffi};

use super::sum_of_bytes;

/// A statement on the handle of a connection of finalite's.
pub struct Statement<'conn> {
    ptr: NonNull<ffi::sqlite3_stmt>,
    conn: PhantomData<&'conn Connection>,
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `prepare`, ours alone, and not used again.
        unsafe { ffi::sqlite3_finalize(self.ptr.as_ptr()) };
    }
}

fn check(code: c_int) -> Result<()> {
    match code {
        ffi::SQLITE_OK | ffi::SQLITE_ROW | ffi::SQLITE_DONE => Ok(()),
        code => Err(Error::external(format!("SQLite's code {code}"))),
    }
}

impl<'conn> Statement<'conn> {
    pub fn prepare(conn: &'conn Connection, sql: &str) -> Result<Self> {
        let sql = CString::new(sql).map_err(Error::external)?;
        let mut statement = ptr::null_mut();
        // SAFETY: the handle is open as long as `conn` is borrowed, and used by this thread alone.
        let handle = unsafe { conn.as_raw() };
        // SAFETY: the handle is open; the SQL is NUL-terminated, which -1 asks for.
        check(unsafe { ffi::sqlite3_prepare_v2(handle, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut()) })?;
        let ptr = NonNull::new(statement).ok_or_else(|| Error::external("no SQL"))?;
        Ok(Self { ptr, conn: PhantomData })
    }

    fn rows(&mut self, mut read: impl FnMut(*mut ffi::sqlite3_stmt)) -> Result<()> {
        let statement = self.ptr.as_ptr();
        loop {
            // SAFETY: the statement is alive and ours alone.
            match unsafe { ffi::sqlite3_step(statement) } {
                ffi::SQLITE_ROW => read(statement),
                code => {
                    check(code)?;
                    break;
                }
            }
        }
        // SAFETY: as above.
        check(unsafe { ffi::sqlite3_reset(statement) })
    }

    /// The usual loop: the type of a column, then the column.
    #[inline(never)]
    pub fn scan_usual(&mut self) -> Result<u64> {
        // SAFETY: the statement is alive.
        let columns = unsafe { ffi::sqlite3_column_count(self.ptr.as_ptr()) };
        let mut sum = 0_u64;
        self.rows(|statement| {
            for column in 0..columns {
                // SAFETY: the statement stands on a row, the column is one of its, and each is read as what it is.
                sum = sum.wrapping_add(unsafe {
                    match ffi::sqlite3_column_type(statement, column) {
                        ffi::SQLITE_INTEGER => ffi::sqlite3_column_int64(statement, column).cast_unsigned(),
                        ffi::SQLITE_FLOAT => ffi::sqlite3_column_double(statement, column).to_bits(),
                        ffi::SQLITE_TEXT => {
                            let text = ffi::sqlite3_column_text(statement, column);
                            bytes(text, ffi::sqlite3_column_bytes(statement, column))
                        }
                        ffi::SQLITE_BLOB => {
                            let blob = ffi::sqlite3_column_blob(statement, column);
                            bytes(blob.cast(), ffi::sqlite3_column_bytes(statement, column))
                        }
                        _ => 0,
                    }
                });
            }
        })?;
        Ok(sum)
    }

    /// The best known: one `sqlite3_column_value` for each cell, and the functions on values, which neither check nor
    /// lock.
    #[inline(never)]
    pub fn scan_best(&mut self) -> Result<u64> {
        // SAFETY: the statement is alive.
        let columns = unsafe { ffi::sqlite3_column_count(self.ptr.as_ptr()) };
        let mut sum = 0_u64;
        self.rows(|statement| {
            for column in 0..columns {
                // SAFETY: as in `scan_usual`; the connection is used by this thread alone, so that the unprotected
                // value may be read.
                sum = sum.wrapping_add(unsafe {
                    let value = ffi::sqlite3_column_value(statement, column);
                    match ffi::sqlite3_value_type(value) {
                        ffi::SQLITE_INTEGER => ffi::sqlite3_value_int64(value).cast_unsigned(),
                        ffi::SQLITE_FLOAT => ffi::sqlite3_value_double(value).to_bits(),
                        ffi::SQLITE_TEXT => bytes(ffi::sqlite3_value_text(value), ffi::sqlite3_value_bytes(value)),
                        ffi::SQLITE_BLOB => {
                            bytes(ffi::sqlite3_value_blob(value).cast(), ffi::sqlite3_value_bytes(value))
                        }
                        _ => 0,
                    }
                });
            }
        })?;
        Ok(sum)
    }

    /// Text and integer of one row by its key.
    #[inline(never)]
    pub fn lookup(&mut self, key: i64) -> Result<u64> {
        let mut sum = 0_u64;
        // SAFETY: the statement is alive, ours alone and not running.
        check(unsafe { ffi::sqlite3_bind_int64(self.ptr.as_ptr(), 1, key) })?;
        self.rows(|statement| {
            // SAFETY: the statement stands on a row of two columns.
            sum = unsafe {
                let text = ffi::sqlite3_column_text(statement, 0);
                let text = bytes(text, ffi::sqlite3_column_bytes(statement, 0));
                text.wrapping_add(ffi::sqlite3_column_int64(statement, 1).cast_unsigned())
            };
        })?;
        Ok(sum)
    }

    /// Inserts one row.
    #[inline(never)]
    pub fn insert(&mut self, integer: i64, text: &str, real: f64) -> Result<()> {
        let statement = self.ptr.as_ptr();
        let len = c_int::try_from(text.len()).map_err(Error::external)?;
        // SAFETY: the statement is alive, ours alone and not running; the text lives until it was run.
        let code = unsafe {
            ffi::sqlite3_bind_int64(statement, 1, integer)
                | ffi::sqlite3_bind_text(statement, 2, text.as_ptr().cast(), len, ffi::SQLITE_STATIC())
                | ffi::sqlite3_bind_double(statement, 3, real)
        };
        check(code)?;
        self.rows(|_| {})
    }
}

/// # Safety
///
/// `first` points to so many bytes, or there are none.
#[inline(always)]
unsafe fn bytes(first: *const u8, len: c_int) -> u64 {
    match usize::try_from(len) {
        // SAFETY: the caller's promise.
        Ok(len @ 1..) => sum_of_bytes(unsafe { slice::from_raw_parts(first, len) }),
        _ => 0,
    }
}

/// Allocates blocks of 48 to 408 bytes from SQLite and frees each at once.
pub fn malloc_and_free(count: u64) -> Result<u64> {
    for n in 0..count {
        // SAFETY: c3ref/free.html: any size may be asked for.
        let block = unsafe { ffi::sqlite3_malloc64(48 + 40 * (n % 10)) };
        if block.is_null() {
            return Err(Error::external("no memory"));
        }
        // SAFETY: allocated above, and freed once.
        unsafe { ffi::sqlite3_free(block) };
    }
    Ok(count)
}

/// The same from the system.
pub fn system_malloc_and_free(count: u64) -> Result<u64> {
    for n in 0..count {
        let size = usize::try_from(48 + 40 * (n % 10)).map_err(Error::external)?;
        let layout = Layout::from_size_align(size, 8).map_err(Error::external)?;
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { System.alloc(layout) });
        if block.is_null() {
            return Err(Error::external("no memory"));
        }
        // SAFETY: allocated above with this layout, and freed once.
        unsafe { System.dealloc(block, layout) };
    }
    Ok(count)
}

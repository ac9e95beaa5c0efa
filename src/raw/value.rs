//! Reading of `sqlite3_value`s, from any source.

use std::slice;

use super::ffi;

/// A borrowed SQLite value.
///
/// TEXT is represented as bytes: SQLite does not guarantee that text is valid UTF-8, and code that only copies or
/// compares it need not pay for the check. [`as_str`](ValueRef::as_str) validates it.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ValueRef};
///
/// let conn = Connection::open_in_memory()?;
/// conn.query_row("SELECT 7, 'seven', NULL", (), |row| {
///     assert_eq!(row.value(0)?, ValueRef::Integer(7));
///     assert_eq!(row.value(1)?.as_str()?, "seven");
///     assert_eq!(row.value(2)?, ValueRef::Null);
///     Ok(())
/// })?;
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// NULL.
    Null,
    /// INTEGER, 64 bits, signed.
    Integer(i64),
    /// REAL, an IEEE 754 double.
    Real(f64),
    /// TEXT in UTF-8, as stored: not validated.
    Text(&'a [u8]),
    /// BLOB.
    Blob(&'a [u8]),
}

/// Error: SQLite ran out of memory while it converted or expanded the value.
pub(super) struct OutOfMemory;

/// Consumer of a value. It is called in one place for each type, so that the compiler specializes it for each type and
/// the type is not tested a second time.
pub(crate) trait Sink<'a> {
    type Output;

    /// Consumes the value. Implementations must be `#[inline(always)]`.
    fn take(self, value: ValueRef<'a>) -> Self::Output;
}

/// Sink that returns the value unchanged.
pub(crate) struct AsItIs;

impl<'a> Sink<'a> for AsItIs {
    type Output = ValueRef<'a>;

    #[inline(always)]
    fn take(self, value: ValueRef<'a>) -> ValueRef<'a> {
        value
    }
}

/// Reads a value without changing its type.
///
/// # Safety
///
/// See [`read_into`].
#[inline(always)]
pub(super) unsafe fn read<'a>(value: *mut ffi::sqlite3_value) -> Result<ValueRef<'a>, OutOfMemory> {
    // SAFETY: the caller makes the promises that `read_into` requires for `value` and `'a`.
    unsafe { read_into(value, AsItIs) }
}

/// Reads a value without changing its type, into a sink.
///
/// The type is read first, because a conversion would change it. For TEXT, `sqlite3_value_text` is called even if only
/// the bytes are needed, so that a UTF-16 database converts the cell once, before any slice of it is returned.
///
/// # Safety
///
/// `value` is valid, only this thread uses the connection it belongs to (it may be an unprotected value), and its
/// content does not change while `'a` lasts: no step, reset or finalize, and no reading of the same cell as another
/// type.
#[inline(always)]
pub(super) unsafe fn read_into<'a, S: Sink<'a>>(
    value: *mut ffi::sqlite3_value,
    sink: S,
) -> Result<S::Output, OutOfMemory> {
    // SAFETY: `value` is valid (caller). c3ref/value_blob.html: unprotected values may be used where no other thread
    // touches the connection.
    match unsafe { ffi::sqlite3_value_type(value) } {
        ffi::SQLITE_INTEGER => {
            // SAFETY: as above; an INTEGER is read without conversion.
            Ok(sink.take(ValueRef::Integer(unsafe { ffi::sqlite3_value_int64(value) })))
        }
        ffi::SQLITE_FLOAT => {
            // SAFETY: as above; a REAL is read without conversion.
            Ok(sink.take(ValueRef::Real(unsafe { ffi::sqlite3_value_double(value) })))
        }
        ffi::SQLITE_TEXT => {
            // SAFETY: as above; converts UTF-16 to UTF-8 in place, which happens at most once per cell.
            let text = unsafe { ffi::sqlite3_value_text(value) };
            if text.is_null() {
                return Err(OutOfMemory);
            }
            // SAFETY: as above; c3ref/column_blob.html: call `_text` first, then `_bytes` for its size in UTF-8.
            let len = unsafe { ffi::sqlite3_value_bytes(value) };
            // SAFETY: `text` is not NULL and points to `len` bytes, valid while the caller's `'a` lasts.
            Ok(sink.take(ValueRef::Text(unsafe { slice::from_raw_parts(text, length(len)) })))
        }
        ffi::SQLITE_BLOB => {
            // SAFETY: as above; expands a zeroblob in place, which happens at most once per cell.
            let blob = unsafe { ffi::sqlite3_value_blob(value) };
            // SAFETY: as above; c3ref/column_blob.html: call `_blob` first, then `_bytes`.
            let len = length(unsafe { ffi::sqlite3_value_bytes(value) });
            if blob.is_null() {
                // "The return value from sqlite3_column_blob() for a zero-length BLOB is a NULL pointer." A zeroblob
                // that found no memory has become NULL.
                // SAFETY: as above; reading the type converts nothing.
                let is_empty = len == 0 && unsafe { ffi::sqlite3_value_type(value) } == ffi::SQLITE_BLOB;
                return if is_empty { Ok(sink.take(ValueRef::Blob(&[]))) } else { Err(OutOfMemory) };
            }
            // SAFETY: `blob` is not NULL and points to `len` bytes, valid while the caller's `'a` lasts.
            Ok(sink.take(ValueRef::Blob(unsafe { slice::from_raw_parts(blob.cast(), len) })))
        }
        _ => Ok(sink.take(ValueRef::Null)),
    }
}

/// A size from SQLite, which is never negative.
#[inline(always)]
fn length(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

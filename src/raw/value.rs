//! Reading of `sqlite3_value`s, from any source, and values as the results of calls that SQLite makes.

use std::ffi::{c_char, c_void};
use std::slice;

use super::ffi;
use crate::value::{AsItIs, RawParam, Sink, ValueRef};

/// Error: SQLite ran out of memory while it converted or expanded the value.
pub(super) struct OutOfMemory;

/// Reads a value without changing its type.
///
/// # Safety
///
/// See [`read_into`].
#[inline(always)]
pub(super) unsafe fn read<'a>(value: *mut ffi::sqlite3_value) -> Result<ValueRef<'a>, OutOfMemory> {
    // SAFETY: the caller makes the promises that `read_into` requires for `value` and `'a` (rules 12, 21).
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
    // SAFETY: the caller promises a valid `value`, and that no other thread uses its connection: c3ref/column_blob.html
    // calls reading an unprotected value "not threadsafe" only (rules 9, 12).
    match unsafe { ffi::sqlite3_value_type(value) } {
        ffi::SQLITE_INTEGER => {
            // SAFETY: `value` is valid, as above; its type is INTEGER, so the call reads a number and converts nothing
            // (rule 9).
            Ok(sink.take(ValueRef::Integer(unsafe { ffi::sqlite3_value_int64(value) })))
        }
        ffi::SQLITE_FLOAT => {
            // SAFETY: `value` is valid, as above; its type is REAL, so the call reads a number and converts nothing
            // (rule 9).
            Ok(sink.take(ValueRef::Real(unsafe { ffi::sqlite3_value_double(value) })))
        }
        ffi::SQLITE_TEXT => {
            // SAFETY: `value` is valid, as above. The call converts UTF-16 to UTF-8 in place, before any slice of the
            // cell exists, and finds UTF-8 when the cell is read again (rule 9).
            let text = unsafe { ffi::sqlite3_value_text(value) };
            if text.is_null() {
                return Err(OutOfMemory);
            }
            // SAFETY: as above; c3ref/column_blob.html: call `_text` first, then `_bytes` for its size in UTF-8
            // (rule 9).
            let len = unsafe { ffi::sqlite3_value_bytes(value) };
            // SAFETY: `text` is not NULL and points to the `len` bytes that SQLite reported after it; the caller
            // promises that they do not change while `'a` lasts (rules 9, 21).
            Ok(sink.take(ValueRef::Text(unsafe { slice::from_raw_parts(text, length(len)) })))
        }
        ffi::SQLITE_BLOB => {
            // SAFETY: `value` is valid, as above. The call expands a zeroblob in place, before any slice of the cell
            // exists, and finds it expanded when the cell is read again (rule 9).
            let blob = unsafe { ffi::sqlite3_value_blob(value) };
            // SAFETY: as above; c3ref/column_blob.html: call `_blob` first, then `_bytes` (rule 9).
            let len = length(unsafe { ffi::sqlite3_value_bytes(value) });
            if blob.is_null() {
                // "The return value from sqlite3_column_blob() for a zero-length BLOB is a NULL pointer." A zeroblob
                // that found no memory has become NULL.
                // SAFETY: `value` is still valid, whatever became of its content; reading the type converts nothing
                // (rule 9).
                let is_empty = len == 0 && unsafe { ffi::sqlite3_value_type(value) } == ffi::SQLITE_BLOB;
                return if is_empty { Ok(sink.take(ValueRef::Blob(&[]))) } else { Err(OutOfMemory) };
            }
            // SAFETY: `blob` is not NULL and points to the `len` bytes that SQLite reported after it; the caller
            // promises that they do not change while `'a` lasts (rules 9, 21).
            Ok(sink.take(ValueRef::Blob(unsafe { slice::from_raw_parts(blob.cast(), len) })))
        }
        _ => Ok(sink.take(ValueRef::Null)),
    }
}

/// `SQLITE_UTF8`, in the type that `sqlite3_result_text64` takes.
const UTF8: u8 = 1;
const _: () = assert!(ffi::SQLITE_UTF8 == 1);

/// Makes a value the result of a call: of a function, or of a column of a virtual table. Too long a text or blob makes
/// the call an error, `SQLITE_TOOBIG`.
///
/// # Safety
///
/// `context` is SQLite's, for the call that runs. Text and bytes stay valid as long as the destructor promises: with
/// `SQLITE_TRANSIENT` SQLite copies them within the call.
#[inline(always)]
pub(super) unsafe fn answer(
    context: *mut ffi::sqlite3_context,
    value: RawParam<'_>,
    destructor: ffi::sqlite3_destructor_type,
) {
    match value {
        RawParam::Null => {
            // SAFETY: the caller promises the context of the call (rules 15, 25; c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_null(context) }
        }
        RawParam::Integer(value) => {
            // SAFETY: the caller promises the context of the call (rules 15, 25; c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_int64(context, value) }
        }
        RawParam::Real(value) => {
            // SAFETY: the caller promises the context of the call (rules 15, 25; c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_double(context, value) }
        }
        RawParam::Text(text) => {
            let (text, len) = (text.as_ptr().cast::<c_char>(), text.len() as u64);
            // SAFETY: the caller promises the context of the call, and that the text, a `str` of `len` bytes, lives as
            // long as the destructor says (rules 15, 22, 25; c3ref/result_blob.html).
            unsafe { ffi::sqlite3_result_text64(context, text, len, destructor, UTF8) }
        }
        RawParam::Blob(bytes) => {
            let (bytes, len) = (bytes.as_ptr().cast::<c_void>(), bytes.len() as u64);
            // SAFETY: as for text; a slice's pointer is not NULL, so that an empty blob is one (rules 15, 22, 25).
            unsafe { ffi::sqlite3_result_blob64(context, bytes, len, destructor) }
        }
        RawParam::ZeroBlob(bytes) => {
            // SAFETY: the caller promises the context of the call (rules 15, 25); c3ref/result_blob.html: a size beyond
            // the limit makes the call an error, SQLITE_TOOBIG.
            unsafe { ffi::sqlite3_result_zeroblob64(context, bytes) };
        }
    }
}

/// A size from SQLite, which is never negative.
#[inline(always)]
fn length(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

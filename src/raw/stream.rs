//! Readers and writers of the program that SQLite calls: the functions of the session extension whose names end in
//! `_strm` (`sqlite.org/session/sqlite3changegroup_add_strm.html`).

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::io::{self, Read, Write};
use std::panic;
use std::slice;

use super::callback::call_back_alone;
use super::db::Db;
use super::ffi;
use crate::error::Fault;

/// Error of a call that reads or writes a stream.
pub(crate) enum StreamError {
    Fault(Fault),
    /// Error of the program's reader or writer.
    Io(io::Error),
}

impl From<Fault> for StreamError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A reader or a writer of the program for the time of a call. C has its address.
pub(super) struct Stream<'a, T: ?Sized> {
    io: &'a mut T,
    /// The connection that is calling, which refuses every use meanwhile; `None` for a call without a connection.
    db: Option<&'a Db>,
    error: Option<io::Error>,
    panic: Option<Box<dyn Any + Send>>,
}

impl<'a, T: ?Sized> Stream<'a, T> {
    pub(super) fn new(io: &'a mut T, db: Option<&'a Db>) -> Self {
        Self { io, db, error: None, panic: None }
    }

    /// Runs code of the program. Returns `None` if it failed or panicked.
    fn call<R>(&mut self, run: impl FnOnce(&mut T) -> io::Result<R>) -> Option<R> {
        let result = match self.db {
            Some(db) => db.call_back(|| run(self.io))?,
            None => match call_back_alone(|| run(self.io)) {
                Ok(result) => result,
                Err(payload) => {
                    self.panic = Some(payload);
                    return None;
                }
            },
        };
        result.map_err(|error| self.error = Some(error)).ok()
    }

    /// Returns the address for C, which uses it in the call that follows.
    pub(super) fn address(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    /// Resumes a panic, and returns the error, after the call. `fault` converts SQLite's result code.
    pub(super) fn end(&mut self, code: c_int, fault: impl FnOnce(c_int) -> Fault) -> Result<(), StreamError> {
        if let Some(payload) = self.panic.take() {
            panic::resume_unwind(payload);
        }
        if let Some(db) = self.db {
            db.resume();
        }
        if let Some(error) = self.error.take() {
            return Err(StreamError::Io(error));
        }
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(StreamError::Fault(fault(code))) }
    }
}

/// A reader as C calls it: `xInput`.
pub(super) type Input<'a> = Stream<'a, dyn Read + 'a>;

/// A writer as C calls it: `xOutput`.
pub(super) type Output<'a> = Stream<'a, dyn Write + 'a>;

pub(super) unsafe extern "C" fn read(stream: *mut c_void, into: *mut c_void, count: *mut c_int) -> c_int {
    // SAFETY: the address of an `Input`, passed with this function to the call that is running, which has borrowed it
    // exclusively (rule 15).
    let stream = unsafe { &mut *stream.cast::<Input<'_>>() };
    // SAFETY: SQLite's in and out parameter, valid during the call (session/sqlite3changegroup_add_strm.html, rule 22).
    let count = unsafe { &mut *count };
    let len = usize::try_from(*count).unwrap_or(0);
    // SAFETY: "a pointer to a buffer" of `count` bytes (the same page, rule 22), zeroed here: SQLite does not initialize
    // it, and a reader may read it.
    unsafe { into.cast::<u8>().write_bytes(0, len) };
    // SAFETY: those bytes, initialized now, which only this call uses (rule 22).
    let into = unsafe { slice::from_raw_parts_mut(into.cast::<u8>(), len) };
    // 0 bytes are the end. A reader that is interrupted is asked again.
    let read = stream.call(|reader| {
        loop {
            match reader.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    });
    match read.map(|read| c_int::try_from(read.min(len))) {
        Some(Ok(read)) => {
            *count = read;
            ffi::SQLITE_OK
        }
        _ => ffi::SQLITE_IOERR,
    }
}

pub(super) unsafe extern "C" fn write(stream: *mut c_void, bytes: *const c_void, count: c_int) -> c_int {
    // SAFETY: the address of an `Output`, passed with this function to the call that is running, which has borrowed it
    // exclusively (rule 15).
    let stream = unsafe { &mut *stream.cast::<Output<'_>>() };
    let len = usize::try_from(count).unwrap_or(0);
    // SAFETY: "a pointer to a buffer" of `count` bytes of output, unchanged during the call
    // (session/sqlite3changegroup_add_strm.html, rule 22); no slice is made of a NULL pointer.
    let bytes = if len == 0 { &[] } else { unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) } };
    match stream.call(|writer| writer.write_all(bytes)) {
        Some(()) => ffi::SQLITE_OK,
        None => ffi::SQLITE_IOERR,
    }
}

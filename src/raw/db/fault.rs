//! Errors of a connection, with what SQLite tells about them.

use std::ffi::{CString, c_int};
use std::ptr;

use super::Db;
use crate::error::{Fault, FaultKind};
use crate::raw::callback::KEPT_FAILURE;
use crate::raw::system::{self, Unopened};
use crate::raw::{ffi, library, text};
use crate::track::activity;

impl Db {
    pub(in crate::raw) fn check(&self, code: c_int) -> Result<(), Fault> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.fault(code)) }
    }

    /// Converts a result code of this connection to an error. It must be called directly after the failed call.
    #[cold]
    #[inline(never)]
    pub(in crate::raw) fn fault(&self, code: c_int) -> Fault {
        let CallError { code, message, offset, errno } = self.call_error(code);
        if matches!(code & 0xff, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) {
            activity::busy();
        }
        if code == ffi::SQLITE_ABORT_ROLLBACK
            && let Some(lost) = self.take_lost()
        {
            return lost;
        }
        let attached = message.strip_prefix("unable to open database: ");
        let reason = match (code & 0xff, attached) {
            (ffi::SQLITE_CANTOPEN, Some(path)) => CString::new(path).ok().and_then(|path| {
                let is_uri = path.to_bytes().starts_with(b"file:");
                Unopened { path: &path, is_uri, create: None, errno: errno.unwrap_or(0) }.reason()
            }),
            // If SQLite cannot create a journal, a log or its index, the `errno` is that of its second attempt, not of
            // the first.
            (ffi::SQLITE_CANTOPEN, None) if errno.is_some_and(system::is_of_no_file) => {
                self.files().iter().find_map(|path| system::missing_beside(path))
            }
            _ => errno.map(system::words),
        };
        let kept = self.take_failure(code, &message);
        let code = if code == KEPT_FAILURE { ffi::SQLITE_ERROR } else { code };
        if let Some(fault) = kept {
            return Fault::new(FaultKind::Function { code, offset, fault });
        }
        if let Some(cut) = self.take_cut(code) {
            return Fault::new(FaultKind::Cut(cut));
        }
        let may_be_the_programs = self.is_given_out();
        Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs, offset, reason })
    }

    /// Returns the error that SQLite stores of the last call, if that failed.
    pub(crate) fn last_fault(&self) -> Option<Fault> {
        if self.is_closed() {
            return None;
        }
        // SAFETY: `self` owns the connection, which is not closed (rule 19); c3ref/errcode.html: reads a number stored
        // in it (rule 20).
        match unsafe { ffi::sqlite3_extended_errcode(self.ptr.as_ptr()) } {
            ffi::SQLITE_OK | ffi::SQLITE_ROW | ffi::SQLITE_DONE => None,
            code => Some(self.fault(code)),
        }
    }

    /// Converts the result code of a failed open to an error.
    pub(super) fn fault_of_opening(&self, code: c_int, reason: impl FnOnce(c_int) -> Option<Box<str>>) -> Fault {
        let CallError { code, message, offset, .. } = self.call_error(code);
        // SAFETY: the handle is open, even after a failed open, until the Drop of `self` closes it (rule 19);
        // c3ref/system_errno.html: reads a number stored in it (rule 20). The handle is new, so the number belongs to
        // this call.
        let errno = unsafe { ffi::sqlite3_system_errno(self.ptr.as_ptr()) };
        let reason = match code & 0xff {
            ffi::SQLITE_CANTOPEN => reason(errno),
            _ if system::is_of_a_call(code) && errno != 0 => Some(system::words(errno)),
            _ => None,
        };
        Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs: false, offset, reason })
    }

    /// Stores an error that cannot be returned, if it has ended a transaction, for the call that detects this.
    ///
    /// A statement that is running at that time is aborted, and its next step returns the stored error. The next
    /// execution that begins discards it.
    #[cold]
    pub(crate) fn lose(&self, fault: Fault) {
        if self.is_autocommit() {
            self.lost.set(self.lost.take().or(Some(fault)));
        }
    }

    /// Returns and clears the stored error.
    #[inline]
    pub(crate) fn take_lost(&self) -> Option<Fault> {
        self.lost.take()
    }

    /// Returns SQLite's message for the call that returned this code.
    pub(in crate::raw) fn call_message(&self, code: c_int) -> Box<str> {
        self.call_error(code).message
    }

    /// Returns SQLite's information about the call that returned this code.
    fn call_error(&self, code: c_int) -> CallError {
        let db = self.ptr.as_ptr();
        // SAFETY: `self` owns the connection, which the callers have not closed: they pass the code of a call on it
        // (rule 19); c3ref/errcode.html: reads a number stored in it (rule 20).
        let last = unsafe { ffi::sqlite3_extended_errcode(db) };
        // Some calls return a code without storing it (SQLITE_MISUSE, SQLITE_RANGE): the stored message would belong to
        // an earlier call.
        if last != code && last & 0xff != code {
            return CallError { code, message: library::code_message(code).into(), offset: None, errno: None };
        }
        // SAFETY: the connection is not closed, as above (rule 19); the text is in memory (rule 20), and is copied
        // before any other call on the connection.
        let text = unsafe { ffi::sqlite3_errmsg(db) };
        // SAFETY: NULL or NUL-terminated; c3ref/errcode.html: a later call may overwrite or free it, so it is copied
        // immediately (rule 22).
        let message = unsafe { text::copy(text) };
        // SAFETY: the connection is not closed, as above (rules 19, 20); c3ref/errcode.html: -1 if there is no offset.
        let offset = unsafe { ffi::sqlite3_error_offset(db) };
        // SQLite stores the `errno` together with a message. A failed commit stores neither: the message is then the
        // constant of the code, and the `errno` is that of an earlier error.
        let is_kept = !library::is_code_message(text, last);
        let errno = if is_kept && (last & 0xff == ffi::SQLITE_CANTOPEN || system::is_of_a_call(last)) {
            // SAFETY: the connection is not closed, as above (rule 19); c3ref/system_errno.html: reads a number stored
            // in it (rule 20).
            Some(unsafe { ffi::sqlite3_system_errno(db) }).filter(|&errno| errno != 0)
        } else {
            None
        };
        let message = message.unwrap_or_else(|| library::code_message(last).into());
        CallError { code: last, message, offset: usize::try_from(offset).ok(), errno }
    }

    /// Clears the out-of-memory flag of the connection, and its error. A conversion that runs out of memory sets this flag, which
    /// makes the next call on the connection fail. This function makes that call: it prepares an empty statement.
    #[cold]
    pub(in crate::raw) fn take_out_of_memory_mark(&self) {
        let mut nothing = ptr::null_mut();
        // SAFETY: the connection is open, as the caller borrows a statement of it (rule 19). c3ref/prepare.html: for
        // SQL that is empty, or on failure, no statement is made; without a statement no file is read, so no entry is
        // needed (rule 20). With -1 the SQL is read up to its NUL (rule 22).
        unsafe {
            ffi::sqlite3_prepare_v3(self.ptr.as_ptr(), c"".as_ptr(), -1, 0, &raw mut nothing, ptr::null_mut());
        }
    }
}

/// Converts the result code of a call that stores its error in no connection.
#[cold]
pub(in crate::raw) fn code_fault(code: c_int) -> Fault {
    if matches!(code & 0xff, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) {
        activity::busy();
    }
    let message = library::code_message(code).into();
    Fault::new(FaultKind::Sqlite { code, message, may_be_the_programs: false, offset: None, reason: None })
}

/// SQLite's information about a failed call.
struct CallError {
    code: c_int,
    message: Box<str>,
    offset: Option<usize>,
    errno: Option<c_int>,
}

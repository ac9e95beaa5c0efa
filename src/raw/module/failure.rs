//! Errors of the methods of virtual tables, as SQLite gets them and as the call that entered C returns them.

use std::error::Error as StdError;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::ptr;

use super::{CallbackError, to_sqlite};
use crate::error::{Error, FunctionCause, FunctionFault, ResultCode};
use crate::raw::{Db, ffi, library};

/// An error of a method of a virtual table, with the result code under which SQLite reports it.
///
/// Any other error is reported as `SQLITE_ERROR`.
///
/// SQLite takes some codes for its own trouble with the database file: `SQLITE_IOERR`, `SQLITE_FULL` and `SQLITE_NOMEM`
/// roll the whole transaction back, also where a statement that only reads returns them, and `SQLITE_INTERRUPT` does so in
/// one that writes. (The last two of the first three undo only a statement that SQLite keeps a journal for.)
///
/// # Example
///
/// ```
/// use finalite::ResultCode;
/// use finalite::extend::CallbackError;
/// use finalite::extend::virtual_table::TableError;
///
/// fn insert(is_open: bool, is_known: bool) -> Result<i64, CallbackError> {
///     if !is_open {
///         return Err(TableError::new(ResultCode::READONLY, "the file is read-only").into());
///     }
///     if is_known {
///         return Err(TableError::constraint("the name is known").into());
///     }
///     Ok(1)
/// }
///
/// assert_eq!(insert(true, true).unwrap_err().to_string(), "the name is known");
/// assert_eq!(insert(false, true).unwrap_err().to_string(), "the file is read-only");
/// ```
#[derive(Debug)]
pub struct TableError {
    code: ResultCode,
    error: CallbackError,
}

impl TableError {
    /// Creates an error with a result code. A code that is no error (`SQLITE_OK`, `SQLITE_ROW`, `SQLITE_DONE`) becomes
    /// `SQLITE_ERROR`.
    pub fn new(code: ResultCode, error: impl Into<CallbackError>) -> Self {
        let is_error = !matches!(code.number() & 0xff, ffi::SQLITE_OK | ffi::SQLITE_ROW | ffi::SQLITE_DONE);
        Self { code: if is_error { code } else { ResultCode::ERROR }, error: error.into() }
    }

    /// Creates the error of a violated constraint, `SQLITE_CONSTRAINT`. In a table with
    /// [`constraint_support`](super::TableOptions::constraint_support), SQLite then follows the policy of the statement:
    /// `INSERT OR IGNORE` leaves the row out.
    pub fn constraint(error: impl Into<CallbackError>) -> Self {
        Self::new(ResultCode::CONSTRAINT, error)
    }

    /// Returns the result code.
    #[must_use]
    pub fn code(&self) -> ResultCode {
        self.code
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for TableError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

/// The error of a method.
pub(super) struct Failure(Box<Parts>);

struct Parts {
    code: c_int,
    text: Box<str>,
    fault: Option<FunctionFault>,
}

impl Failure {
    /// Within a callback: the error of the program is formatted, and perhaps dropped.
    #[cold]
    pub(super) fn new(table: &str, method: &'static str, error: CallbackError) -> Self {
        let mut code = ffi::SQLITE_ERROR;
        let cause = match error.downcast::<Error>() {
            Ok(error) => match error.into_function_cause() {
                Ok(None) => return Self::of_memory(),
                Ok(Some((function, cause))) if *function == *table => cause,
                Ok(Some((function, cause))) => {
                    let nested = FunctionFault { function, cause }.into_kind(ResultCode::ERROR);
                    FunctionCause::Method(method, Box::new(Error::new(nested)))
                }
                Err(error) => FunctionCause::Method(method, Box::new(error)),
            },
            Err(error) => match error.downcast::<TableError>() {
                Ok(error) => {
                    code = error.code.number();
                    FunctionCause::Method(method, error.error)
                }
                Err(error) => FunctionCause::Method(method, error),
            },
        };
        let fault = FunctionFault { function: table.into(), cause };
        // SQLite's message ends at a NUL.
        let text = fault.to_string().split('\0').next().unwrap_or_default().into();
        Self(Box::new(Parts { code, text, fault: Some(fault) }))
    }

    /// The error of a method that did not run to its end: its panic is parked.
    #[cold]
    pub(super) fn of_panic(table: &str, method: &'static str) -> Self {
        let text = format!("table {table}, {method}: it panicked, or the connection is being closed").into();
        Self(Box::new(Parts { code: ffi::SQLITE_ERROR, text, fault: None }))
    }

    fn of_memory() -> Self {
        Self(Box::new(Parts { code: ffi::SQLITE_NOMEM, text: "out of memory".into(), fault: None }))
    }

    /// Makes a failure that would mean something else to SQLite a plain error.
    pub(super) fn without_code(mut self, code: c_int) -> Self {
        if self.0.code & 0xff == code {
            self.0.code = ffi::SQLITE_ERROR;
        }
        self
    }

    /// Keeps the error for the call that entered C. Returns the result code for SQLite, and stores the message, which the
    /// caller of the method frees.
    ///
    /// # Safety
    ///
    /// `message` is a place for a string of SQLite, which is NULL or such a string.
    #[cold]
    pub(super) unsafe fn report(self, db: &Db, message: *mut *mut c_char) -> c_int {
        let new = if self.0.code == ffi::SQLITE_NOMEM { ptr::null_mut() } else { to_sqlite(&self.0.text) };
        if new.is_null() {
            db.drop_as_callback(self.0.fault);
            return ffi::SQLITE_NOMEM;
        }
        // SAFETY: the caller promises a place for a string (rule 25).
        let before = unsafe { message.replace(new) };
        // SAFETY: the caller promises NULL or a string of SQLite, to which nothing points any more (rule 22).
        unsafe { ffi::sqlite3_free(before.cast::<c_void>()) };
        self.keep(db)
    }

    /// Keeps the error of a method of which SQLite takes no message: it reports that of the code. Returns the code.
    #[cold]
    pub(super) fn report_code(mut self, db: &Db) -> c_int {
        self.0.text = library::code_message(self.0.code).into();
        self.keep(db)
    }

    fn keep(self, db: &Db) -> c_int {
        let Parts { code, text, fault } = *self.0;
        if let Some(fault) = fault {
            db.keep_failure(text, fault);
        }
        code
    }
}

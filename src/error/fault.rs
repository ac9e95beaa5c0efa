//! Errors of this layer, to which the layers above add the SQL, the column or the parameter.

use std::ffi::c_int;
use std::time::Duration;

use super::{Error, ErrorKind, ExceededLimit, FunctionFault, ResultCode, may_quote, message};

/// An error and the SQL of its statement. It is one word, so that `Result<bool, Fault>` is returned in registers.
#[derive(Debug)]
pub(crate) struct Fault(Box<(FaultKind, Option<Box<str>>)>);

#[derive(Debug)]
pub(crate) enum FaultKind {
    /// An extended result code of SQLite, its message, the byte offset in the SQL where SQLite knows it, and the
    /// operating system's reason where there is one. `may_be_the_programs` is set if the program may have registered
    /// SQL functions, which can set the message.
    Sqlite {
        code: c_int,
        message: Box<str>,
        may_be_the_programs: bool,
        offset: Option<usize>,
        reason: Option<Box<str>>,
    },
    /// The error of a function of the program, the code under which SQLite reports it, and the byte offset in the SQL.
    Function { code: c_int, offset: Option<usize>, fault: FunctionFault },
    /// A deadline or a limit stopped the statement.
    Cut(Cut),
    /// The connection belongs to the parent process, from which this one was forked.
    Forked,
    /// The call is not allowed in the current state.
    Misuse(&'static str),
    /// A text, blob or SQL that is longer than SQLite's interface accepts.
    TooBig { what: &'static str, bytes: usize },
    /// The linked SQLite cannot be used.
    Unsupported(Box<str>),
    /// The row of a blob has changed.
    BlobExpired,
    /// A range that exceeds a blob.
    BlobRange { offset: u64, bytes: usize, len: u64 },
    /// Bytes that are no changeset.
    #[cfg(feature = "session")]
    MalformedChangeset,
}

/// Reason why SQLite was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Deadline { allowed: Duration },
    Limit(ExceededLimit),
    Interrupted,
}

impl Fault {
    #[cold]
    pub(crate) fn new(kind: FaultKind) -> Self {
        Self(Box::new((kind, None)))
    }

    #[cold]
    pub(crate) fn no_memory() -> Self {
        Self::new(FaultKind::Sqlite {
            code: ResultCode::NOMEM.number(),
            message: "out of memory".into(),
            may_be_the_programs: false,
            offset: None,
            reason: None,
        })
    }

    /// Adds the SQL of the statement.
    #[cold]
    pub(crate) fn in_sql(mut self, sql: &str) -> Self {
        self.0.1 = Some(sql.into());
        self
    }

    pub(crate) fn kind(&self) -> &FaultKind {
        &self.0.0
    }

    /// Returns the kind, and the SQL of the statement if there is one.
    pub(crate) fn into_parts(self) -> (FaultKind, Option<Box<str>>) {
        *self.0
    }
}

impl From<Fault> for Error {
    #[cold]
    fn from(fault: Fault) -> Self {
        let (mut at, mut is_the_programs) = (None, false);
        let (kind, sql) = fault.into_parts();
        let kind = match kind {
            FaultKind::Sqlite { code, message, may_be_the_programs, offset, reason } => {
                at = offset;
                is_the_programs = may_be_the_programs && !message::is_sqlites(&message);
                let code = ResultCode::new(code);
                match code.primary() {
                    ResultCode::NOMEM => ErrorKind::NoMemory { code },
                    _ if code == ResultCode::IOERR_NOMEM => ErrorKind::NoMemory { code },
                    ResultCode::INTERRUPT => ErrorKind::Interrupted,
                    _ => {
                        let message = match &sql {
                            Some(sql) if may_quote(code) && !is_the_programs => message::without_quoted(message, sql),
                            _ => message,
                        };
                        let message = match reason {
                            Some(reason) => format!("{message}: {reason}").into(),
                            None => message,
                        };
                        ErrorKind::Sqlite { code, message }
                    }
                }
            }
            FaultKind::Function { code, offset, fault } => {
                at = offset;
                is_the_programs = true;
                fault.into_kind(ResultCode::new(code))
            }
            FaultKind::Cut(Cut::Deadline { allowed }) => ErrorKind::Deadline { allowed },
            FaultKind::Cut(Cut::Interrupted) => ErrorKind::Interrupted,
            FaultKind::Cut(Cut::Limit(exceeded)) => ErrorKind::QueryLimit { exceeded },
            FaultKind::Forked => ErrorKind::Forked,
            FaultKind::Misuse(reason) => ErrorKind::Misuse { reason },
            FaultKind::TooBig { what, bytes } => ErrorKind::TooBig { what, bytes },
            FaultKind::Unsupported(reason) => ErrorKind::Unsupported { reason },
            FaultKind::BlobExpired => ErrorKind::BlobExpired,
            #[cfg(feature = "session")]
            FaultKind::MalformedChangeset => ErrorKind::MalformedChangeset,
            FaultKind::BlobRange { offset, bytes, len } => ErrorKind::BlobRange { offset, bytes, len },
        };
        let mut error = Self::new(kind);
        error.0.offset = at;
        error.0.is_the_programs = is_the_programs;
        error.0.sql = sql;
        error
    }
}

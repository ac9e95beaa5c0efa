//! Errors of this layer, to which the layers above add the SQL, the column or the parameter.

use std::ffi::c_int;

use super::ffi;

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
    /// The connection belongs to the parent process, from which this one was forked.
    Forked,
    /// The call is not allowed in the current state.
    Misuse(&'static str),
    /// A text, blob or SQL that is longer than SQLite's interface accepts.
    TooBig { what: &'static str, bytes: usize },
    /// The linked SQLite cannot be used.
    Unsupported(Box<str>),
}

impl Fault {
    #[cold]
    pub(super) fn new(kind: FaultKind) -> Self {
        Self(Box::new((kind, None)))
    }

    #[cold]
    pub(super) fn no_memory() -> Self {
        Self::new(FaultKind::Sqlite {
            code: ffi::SQLITE_NOMEM,
            message: "out of memory".into(),
            may_be_the_programs: false,
            offset: None,
            reason: None,
        })
    }

    /// Adds the SQL of the statement.
    #[cold]
    pub(super) fn in_sql(mut self, sql: &str) -> Self {
        self.0.1 = Some(sql.into());
        self
    }

    pub(super) fn kind(&self) -> &FaultKind {
        &self.0.0
    }

    /// Returns the kind, and the SQL of the statement if there is one.
    pub(crate) fn into_parts(self) -> (FaultKind, Option<Box<str>>) {
        *self.0
    }
}

//! What went wrong below, before the layers above add the SQL, the column or the parameter.

use std::ffi::c_int;

use super::ffi;

/// One word, so that `Result<bool, Fault>` travels in registers.
#[derive(Debug)]
pub(crate) struct Fault(Box<(FaultKind, Option<Box<str>>)>);

#[derive(Debug)]
pub(crate) enum FaultKind {
    /// A result code of SQLite's (extended), its message, the byte offset in the SQL where SQLite knows it, and the
    /// system's reason where there is one. The message may be the program's, where that may have functions of its own.
    Sqlite {
        code: c_int,
        message: Box<str>,
        may_be_the_programs: bool,
        offset: Option<usize>,
        reason: Option<Box<str>>,
    },
    /// The connection belongs to the process this one was forked from.
    Forked,
    /// The call is not allowed now.
    Misuse(&'static str),
    /// A text, blob or SQL longer than SQLite's interface can take.
    TooBig { what: &'static str, bytes: usize },
    /// The SQLite that was linked cannot be used.
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

    /// Says which statement it was.
    #[cold]
    pub(super) fn in_sql(mut self, sql: &str) -> Self {
        self.0.1 = Some(sql.into());
        self
    }

    pub(super) fn kind(&self) -> &FaultKind {
        &self.0.0
    }

    /// What it is, and the SQL of the statement, where it was one.
    pub(crate) fn into_parts(self) -> (FaultKind, Option<Box<str>>) {
        *self.0
    }
}

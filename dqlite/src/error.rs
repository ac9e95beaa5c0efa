//! [`Error`]: what failed, and what is known about the write that it interrupted.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use finalite::ResultCode;

/// An error of a cluster, a session or a statement. It has the SQL, and never a value that was bound or stored.
///
/// # Example
///
/// ```
/// use finalite_dqlite::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> &'static str {
///     match error.kind() {
///         ErrorKind::NotLeader { .. } => "nothing was stored: open a session and begin again",
///         ErrorKind::Unknown { .. } => "look whether it was stored before doing it again",
///         _ => "see the message",
///     }
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    sql: Option<Box<str>>,
}

/// A result with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of errors.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// SQLite refused or failed the statement. The session goes on.
    #[non_exhaustive]
    Sqlite {
        /// SQLite's extended result code, such as 1555 for a violation of a primary key.
        code: i32,
        /// The message.
        message: Box<str>,
    },
    /// The node is not the leader. The request was not executed, and its transaction, if there was one, is gone: nothing
    /// of it was stored. The session is over.
    #[non_exhaustive]
    NotLeader {
        /// The message of the node.
        message: Box<str>,
    },
    /// The session ended while a write was under way, outside of a transaction or at its `COMMIT`, or the node failed to
    /// store it (`IOERR`, `FULL` and the like): it may have been stored, or may be later. Nothing has repeated it.
    #[non_exhaustive]
    Unknown {
        /// The event that ended the session.
        cause: Lost,
    },
    /// The session ended during a request that stores nothing by itself: a read, or a statement of a transaction whose
    /// `COMMIT` was not sent. Nothing of it was stored.
    #[non_exhaustive]
    Disconnected {
        /// The event that ended the session.
        cause: Lost,
    },
    /// The session had ended before; nothing was sent.
    #[non_exhaustive]
    Dead {
        /// The event that had ended it.
        reason: &'static str,
    },
    /// No leader was found in time. Nothing was sent to a database.
    #[non_exhaustive]
    NoLeader {
        /// The time that was spent.
        waited: Duration,
        /// The last failure of each address.
        tried: Vec<(String, String)>,
    },
    /// The request was not sent, because a node would fail, or do something else than SQLite does, or because SQLite has
    /// rolled back its transaction.
    #[non_exhaustive]
    Refused {
        /// The reason.
        reason: Box<str>,
    },
    /// The parameters do not fit the statement, or a column does not fit the type that it is read as.
    Value(finalite::Error),
    /// A result has more rows than one.
    MoreThanOneRow,
    /// A result that is still being read is larger than a session keeps for its reader while it does something else.
    /// Nothing was sent.
    #[non_exhaustive]
    Streaming {
        /// The bytes that a session keeps.
        bytes_max: usize,
    },
    /// The server's answer is not one of dqlite's protocol. The session is over.
    #[non_exhaustive]
    Protocol {
        /// The fault.
        reason: Box<str>,
    },
    /// No session of a pool became free in time.
    #[non_exhaustive]
    PoolTimeout {
        /// The time that was spent.
        waited: Duration,
    },
    /// The pool is closed.
    PoolClosed,
    /// The process is a fork of the one that opened the session, which alone may use it.
    Forked,
    /// A file could not be written.
    Output(io::Error),
}

/// The event that ended a session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lost {
    /// The node lost its leadership meanwhile; its message.
    Leadership(Box<str>),
    /// The node closed the connection.
    Closed,
    /// The answer did not come in time.
    TimedOut(Duration),
    /// The connection failed.
    Io(io::Error),
    /// The answer cannot be read.
    Protocol(Box<str>),
    /// The node failed where Raft may have had the write already, such as with a full disk, or as it was stopped.
    #[non_exhaustive]
    Storing {
        /// SQLite's extended result code.
        code: i32,
        /// The message of the node.
        message: Box<str>,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leadership(message) => write!(f, "the node lost its leadership ({message})"),
            Self::Closed => f.write_str("the node closed the connection"),
            Self::TimedOut(after) => write!(f, "no answer within {after:?}"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Protocol(reason) => write!(f, "the answer cannot be read: {reason}"),
            Self::Storing { code, message } => {
                let name = finalite::workspace::result_code(*code).name();
                write!(f, "the node failed to store: {message} ({name}, {code})")
            }
        }
    }
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, sql: None }))
    }

    pub(crate) fn refused(reason: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::Refused { reason: reason.into() })
    }

    pub(crate) fn protocol(reason: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::Protocol { reason: reason.into() })
    }

    pub(crate) fn in_sql(mut self, sql: &str) -> Self {
        self.0.sql.get_or_insert_with(|| sql.into());
        self
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the SQL of the statement, if the error belongs to one.
    #[must_use]
    pub fn sql(&self) -> Option<&str> {
        match &self.0.kind {
            ErrorKind::Value(error) => self.0.sql.as_deref().or(error.sql()),
            _ => self.0.sql.as_deref(),
        }
    }

    /// Returns SQLite's primary result code, if SQLite has failed.
    #[must_use]
    pub fn code(&self) -> Option<ResultCode> {
        match self.0.kind {
            ErrorKind::Sqlite { code, .. } => Some(finalite::workspace::result_code(code).primary()),
            _ => None,
        }
    }

    /// Returns SQLite's extended result code, if SQLite has failed.
    #[must_use]
    pub fn extended_code(&self) -> Option<ResultCode> {
        match self.0.kind {
            ErrorKind::Sqlite { code, .. } => Some(finalite::workspace::result_code(code)),
            _ => None,
        }
    }

    /// Whether another session has the write lock. Nothing was done; the session goes on.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.code() == Some(ResultCode::BUSY)
    }

    /// Whether a constraint of the schema was violated.
    #[must_use]
    pub fn is_constraint(&self) -> bool {
        self.code() == Some(ResultCode::CONSTRAINT)
    }

    /// Whether the node is not the leader, so that nothing was stored.
    #[must_use]
    pub fn is_not_leader(&self) -> bool {
        matches!(self.0.kind, ErrorKind::NotLeader { .. })
    }

    /// Whether a write may have been stored or not.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unknown { .. })
    }

    /// Whether a row was asked for, and there is none.
    #[must_use]
    pub fn is_no_rows(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Value(error) if error.is_no_rows())
    }

    /// Whether the session is over, so that a new one has to be opened.
    #[must_use]
    pub fn is_session_over(&self) -> bool {
        use ErrorKind::{Dead, Disconnected, NotLeader, Protocol, Unknown};
        matches!(self.0.kind, NotLeader { .. } | Unknown { .. } | Disconnected { .. } | Dead { .. } | Protocol { .. })
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { code, message } => {
                let name = finalite::workspace::result_code(*code).name();
                write!(f, "{message} ({name}, {code})")
            }
            Self::NotLeader { message } => write!(f, "the node is not the leader, nothing was stored: {message}"),
            Self::Unknown { cause } => write!(f, "{cause}; the write may have been stored or not"),
            Self::Disconnected { cause } => write!(f, "{cause}; nothing was stored"),
            Self::Dead { reason } => write!(f, "the session is over: {reason}"),
            Self::NoLeader { waited, tried } => {
                write!(f, "no leader within {waited:?}")?;
                tried.iter().try_for_each(|(address, problem)| write!(f, "; {address}: {problem}"))
            }
            Self::Refused { reason } => write!(f, "not sent: {reason}"),
            Self::Value(error) => error.fmt(f),
            Self::MoreThanOneRow => f.write_str("the result has more than one row"),
            Self::Streaming { bytes_max } => write!(
                f,
                "not sent: rows that are still being read have more than {bytes_max} bytes left; read or drop them first"
            ),
            Self::Protocol { reason } => write!(f, "the answer is not one of dqlite: {reason}"),
            Self::PoolTimeout { waited } => write!(f, "no session became free within {waited:?}"),
            Self::PoolClosed => f.write_str("the pool is closed"),
            Self::Forked => f.write_str("the session belongs to the parent process"),
            Self::Output(error) => write!(f, "a file cannot be written: {error}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)?;
        match (&self.0.kind, self.0.sql.as_deref()) {
            // The driver's error shows it.
            (ErrorKind::Value(_), _) | (_, None) => Ok(()),
            (_, Some(sql)) => write!(f, " in {}", excerpt(sql)),
        }
    }
}

/// The beginning of long SQL.
fn excerpt(sql: &str) -> String {
    const CHARS_MAX: usize = 200;
    let sql = sql.trim();
    match sql.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &sql[..end]),
        None => sql.to_owned(),
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.0.kind).field("sql", &self.0.sql).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            ErrorKind::Unknown { cause: Lost::Io(error) } | ErrorKind::Disconnected { cause: Lost::Io(error) } => {
                Some(error)
            }
            ErrorKind::Value(error) => error.source(),
            ErrorKind::Output(error) => Some(error),
            _ => None,
        }
    }
}

/// Parameters that do not bind and columns that do not convert.
impl From<finalite::Error> for Error {
    fn from(error: finalite::Error) -> Self {
        Self::new(ErrorKind::Value(error))
    }
}

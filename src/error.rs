//! The error type: kind of error, SQL and position, column or parameter. It never contains a bound or stored value.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::mem::discriminant;

use crate::raw::library;
use crate::sql;
use crate::value::ConversionError;

mod advice;
mod constraint;
mod excerpt;
mod fault;
mod function;
mod kind;
mod message;
mod migration;
mod optional;
mod result_code;

use advice::{Circumstances, advice};
pub use constraint::{Constraint, ConstraintKind};
use excerpt::Excerpt;
pub(crate) use fault::{Cut, Fault, FaultKind};
pub(crate) use function::{FunctionCause, FunctionFault};
pub use kind::{BlobObstacle, ChangesetObstacle, ErrorKind, ExceededLimit, NameKind};
pub use migration::MigrationProblem;
pub use optional::OptionalExtension;
pub use result_code::ResultCode;

/// `Result` with finalite's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of every fallible call of finalite. One pointer in size.
///
/// [`kind`](Self::kind) returns the kind for matching; the other methods answer common questions. The text shows SQL,
/// names and types, but no bound or stored value. If a message of SQLite quotes something that the SQL does not contain
/// (a bound JSON path, a bound search term), the message ends in `…` instead. A bound value elsewhere in a message is
/// replaced by `…`.
///
/// Messages of the program itself are shown in full, including the values in them: those of `RAISE` in a trigger, and
/// those of a function or module that the program registered through the C handle.
///
/// # Example
///
/// ```
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// let error = conn.prepare("SELECT nam FROM people").unwrap_err();
/// assert_eq!(error.code_name(), Some("SQLITE_ERROR"));
/// assert_eq!(error.sql(), Some("SELECT nam FROM people"));
/// assert!(error.to_string().starts_with("no such table: people"));
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    sql: Option<Box<str>>,
    /// Byte offset of the error in `sql`.
    offset: Option<usize>,
    /// Start of `sql` in its script: 1-based line and column.
    origin: Option<(usize, usize)>,
    /// Database files that the error may concern.
    databases: Box<[Box<str>]>,
    /// 0-based row of an insertion.
    row: Option<u64>,
    /// Whether the message was written by the program and not by SQLite.
    is_the_programs: bool,
}

/// A position in SQL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlPosition {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
}

impl fmt::Display for SqlPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            sql: None,
            offset: None,
            origin: None,
            databases: Box::default(),
            row: None,
            is_the_programs: false,
        }))
    }

    /// Wraps an error of the caller, to return it from a closure that returns [`Result`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::error::Error as _;
    /// use finalite::{Error, ErrorKind};
    ///
    /// let error = Error::external(std::fmt::Error);
    /// assert!(matches!(error.kind(), ErrorKind::External(_)));
    /// assert!(error.source().unwrap().is::<std::fmt::Error>());
    /// ```
    #[doc(alias("UserFunctionError", "FromSqlConversionFailure"))]
    pub fn external(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::External(error.into()))
    }

    /// Returns the error of [`Connection::query_one`](crate::Connection::query_one) for a result without rows, for a
    /// program that reports it for its own queries.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Error;
    ///
    /// assert!(Error::no_rows().is_no_rows());
    /// ```
    #[must_use]
    pub fn no_rows() -> Self {
        Self::new(ErrorKind::RowCount { found: 0 })
    }

    /// Sets the SQL of the error, unless it is set.
    #[cold]
    pub(crate) fn in_sql(mut self, text: &str) -> Self {
        if self.0.sql.is_none() {
            self.0.sql = Some(text.into());
        }
        self
    }

    /// Removes bound values from SQLite's message. `expanded` returns the SQL with its values; if it returns `None`,
    /// the message is replaced by SQLite's fixed text for the code.
    #[cold]
    pub(crate) fn without_bound(mut self, expanded: impl FnOnce() -> Option<Box<str>>) -> Self {
        if let (ErrorKind::Sqlite { code, message }, Some(sql)) = (&mut self.0.kind, &self.0.sql)
            && may_quote(*code)
            && !self.0.is_the_programs
        {
            *message = match expanded() {
                Some(expanded) => message::without_bound(message, sql, &expanded),
                None => library::code_message(code.primary().number()).into(),
            };
        }
        self
    }

    /// Sets the byte offset of the error in its SQL.
    #[cold]
    pub(crate) fn at_offset(mut self, offset: usize) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Sets the 1-based line and column at which its SQL begins in a script.
    #[cold]
    pub(crate) fn at(mut self, origin: (usize, usize)) -> Self {
        self.0.origin = Some(origin);
        self
    }

    /// Sets the 0-based row of an insertion.
    #[cold]
    pub(crate) fn in_row(mut self, row: u64) -> Self {
        self.0.row = Some(row);
        self
    }

    /// Sets the database file, if the error is about the file.
    #[cold]
    pub(crate) fn in_database(self, path: impl FnOnce() -> Box<str>) -> Self {
        self.in_databases(|| vec![path()])
    }

    /// Sets the database files that the error may concern, if it is about a file.
    #[cold]
    pub(crate) fn in_databases(mut self, paths: impl FnOnce() -> Vec<Box<str>>) -> Self {
        const ABOUT_THE_FILE: [ResultCode; 8] = [
            ResultCode::CANTOPEN,
            ResultCode::NOTADB,
            ResultCode::CORRUPT,
            ResultCode::READONLY,
            ResultCode::IOERR,
            ResultCode::PERM,
            ResultCode::BUSY,
            ResultCode::FULL,
        ];
        let about_the_file = self.code().is_some_and(|code| ABOUT_THE_FILE.contains(&code))
            || matches!(self.0.kind, ErrorKind::Pragma { .. } | ErrorKind::OpenedReadOnly);
        if self.0.databases.is_empty() && about_the_file && !self.is_about_another_file() {
            let mut paths = paths();
            paths.retain(|path| !path.is_empty());
            self.0.databases = paths.into();
        }
        self
    }

    /// Whether the statement (`ATTACH`, `VACUUM INTO`) is about a file that the connection does not have open.
    fn is_about_another_file(&self) -> bool {
        let is = |keyword| self.sql().is_some_and(|sql| sql::starts_with_keyword(sql, keyword));
        is("ATTACH") || is("VACUUM") && self.sql().is_some_and(|sql| sql.to_ascii_uppercase().contains("INTO"))
    }

    /// Converts SQLite's error for too many parameters to [`ErrorKind::TooManyParameters`] with the limit.
    #[cold]
    pub(crate) fn with_parameter_limit(mut self, max: impl FnOnce() -> usize) -> Self {
        if matches!(&self.0.kind, ErrorKind::Sqlite { message, .. } if **message == *"too many SQL variables") {
            self.0.kind = ErrorKind::TooManyParameters { max: max() };
        }
        self
    }

    /// Returns the kind of the error, for matching.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the primary result code, if the error has one.
    #[must_use]
    #[doc(alias = "sqlite_error_code")]
    pub fn code(&self) -> Option<ResultCode> {
        self.extended_code().map(ResultCode::primary)
    }

    /// Returns the extended result code, if the error has one; of a pool that could not open a connection
    /// ([`ErrorKind::OpenAttempts`]), that of the last attempt.
    ///
    /// C: [sqlite3_extended_errcode](https://sqlite.org/c3ref/errcode.html)
    #[must_use]
    pub fn extended_code(&self) -> Option<ResultCode> {
        match self.0.kind {
            ErrorKind::Sqlite { code, .. } | ErrorKind::NoMemory { code } => Some(code),
            ErrorKind::Interrupted | ErrorKind::Deadline { .. } | ErrorKind::QueryLimit { .. } => {
                Some(ResultCode::INTERRUPT)
            }
            ErrorKind::TooBig { .. } => Some(ResultCode::TOOBIG),
            ErrorKind::Function { code, .. }
            | ErrorKind::FunctionArgument { code, .. }
            | ErrorKind::FunctionResult { code, .. }
            | ErrorKind::VirtualTable { code, .. }
            | ErrorKind::Tokenizer { code, .. } => Some(code),
            ErrorKind::TooManyParameters { .. } | ErrorKind::BlobUnavailable { .. } => Some(ResultCode::ERROR),
            ErrorKind::BlobExpired => Some(ResultCode::ABORT),
            ErrorKind::FailedCheck { .. } => Some(ResultCode::CORRUPT),
            ErrorKind::PageSize { .. } => Some(ResultCode::READONLY),
            ErrorKind::ChangesetTable { .. } => Some(ResultCode::SCHEMA),
            ErrorKind::MalformedChangeset => Some(ResultCode::CORRUPT),
            ErrorKind::WrongKey => Some(ResultCode::NOTADB),
            ErrorKind::OpenAttempts { ref attempts } => attempts.last()?.extended_code(),
            ErrorKind::Migration { ref problem, .. } => problem.error()?.extended_code(),
            _ => None,
        }
    }

    /// Returns the C name of the extended result code, such as `SQLITE_CONSTRAINT_UNIQUE`.
    #[must_use]
    pub fn code_name(&self) -> Option<&'static str> {
        self.extended_code().map(ResultCode::name)
    }

    /// Returns the SQL of the statement as passed to the call that failed, if known.
    #[must_use]
    pub fn sql(&self) -> Option<&str> {
        match &self.0.kind {
            ErrorKind::Migration { problem, .. } => problem.error()?.sql(),
            _ => self.0.sql.as_deref(),
        }
    }

    /// Returns the position of the error in the SQL, if SQLite reports it. For an error in a script without such a
    /// position, returns the start of the statement.
    ///
    /// Line and column are 1-based and refer to the text passed to the call that failed.
    ///
    /// C: [sqlite3_error_offset](https://sqlite.org/c3ref/errcode.html)
    #[must_use]
    pub fn position(&self) -> Option<SqlPosition> {
        match &self.0.kind {
            ErrorKind::Migration { problem, .. } => problem.position(),
            _ => self.own_position(),
        }
    }

    /// Returns the row that SQLite refused or that was being inserted, 0-based, of an insertion of columns.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a INTEGER NOT NULL)", ())?;
    /// let error = conn.insert_columns("t", [("a", (&[Some(1), None]).into())]).unwrap_err();
    /// assert_eq!(error.row(), Some(1));
    /// assert!(error.to_string().starts_with("row 1: NOT NULL constraint failed: t.a"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        match self.0.kind {
            ErrorKind::InsertValue { row, .. } => Some(row),
            _ => self.0.row,
        }
    }

    fn own_position(&self) -> Option<SqlPosition> {
        let Inner { sql, offset, origin, .. } = &*self.0;
        let offset = offset.or(origin.map(|_| 0))?;
        let (first_line, first_column) = origin.unwrap_or((1, 1));
        let (line, column) = sql::line_and_column(sql.as_deref()?, offset);
        let column = if line == 1 { first_column + column - 1 } else { column };
        Some(SqlPosition { line: first_line + line - 1, column })
    }

    /// Returns the constraint that failed, if the error is a constraint violation.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ConstraintKind};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE users(email TEXT UNIQUE); INSERT INTO users VALUES ('a')")?;
    /// let error = conn.execute("INSERT INTO users VALUES (?)", ("a",)).unwrap_err();
    /// let constraint = error.constraint().unwrap();
    /// assert_eq!(constraint.kind(), ConstraintKind::Unique);
    /// assert_eq!(constraint.columns().collect::<Vec<_>>(), [("users", "email")]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn constraint(&self) -> Option<Constraint<'_>> {
        let (code, message) = match &self.0.kind {
            ErrorKind::Sqlite { code, message } => (code, &**message),
            // It has words of its own, and none of SQLite's.
            ErrorKind::VirtualTable { code, .. } => (code, ""),
            ErrorKind::Migration { problem, .. } => return problem.error()?.constraint(),
            _ => return None,
        };
        (code.primary() == ResultCode::CONSTRAINT).then_some(Constraint { code: *code, message })
    }

    /// Whether a call that expects a row found none.
    #[must_use]
    #[doc(alias = "QueryReturnedNoRows")]
    pub fn is_no_rows(&self) -> bool {
        matches!(self.0.kind, ErrorKind::RowCount { found: 0 })
    }

    /// Whether a lock, usually of another connection, caused the error: `SQLITE_BUSY` or one of its extended codes.
    ///
    /// Retrying may succeed, except for [`is_busy_snapshot`](Self::is_busy_snapshot).
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.code() == Some(ResultCode::BUSY)
    }

    /// Whether a read transaction could not be upgraded to a write transaction, because the database has changed since
    /// it first read: `SQLITE_BUSY_SNAPSHOT`. Roll the transaction back and begin it again.
    #[must_use]
    pub fn is_busy_snapshot(&self) -> bool {
        self.extended_code() == Some(ResultCode::BUSY_SNAPSHOT)
    }

    /// Whether a conflict with a statement of the same connection, or of one that shares its cache, caused the error:
    /// `SQLITE_LOCKED`.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.code() == Some(ResultCode::LOCKED)
    }

    /// Whether a lock of another connection caused the error, so that waiting can help. SQLite also returns
    /// `SQLITE_BUSY` for a conflict with statements of the same connection, but then with a specific message.
    pub(crate) fn is_anothers_lock(&self) -> bool {
        let (code, message) = match &self.0.kind {
            ErrorKind::Sqlite { code, message } => (code, message),
            ErrorKind::OpenAttempts { attempts } => return attempts.last().is_some_and(Self::is_anothers_lock),
            _ => return false,
        };
        *code == ResultCode::LOCKED_SHAREDCACHE
            || (code.primary() == ResultCode::BUSY && **message == *library::code_message(ResultCode::BUSY.number()))
    }

    /// Whether a constraint failed.
    #[must_use]
    pub fn is_constraint(&self) -> bool {
        self.code() == Some(ResultCode::CONSTRAINT)
    }

    /// Whether a [deadline](crate::Connection::deadline) stopped the statement.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Deadline { .. })
    }

    /// Whether the statement was interrupted.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Interrupted)
    }
}

impl From<ConversionError> for Error {
    /// Wraps the error, for closures that convert values themselves. The error does not know its column.
    fn from(error: ConversionError) -> Self {
        Self::external(error)
    }
}

impl From<io::Error> for Error {
    /// Returns the [`Error`] that an `io` method of a [`Blob`](crate::data::Blob) returned, or wraps another one.
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::external)
    }
}

impl From<Error> for io::Error {
    /// Wraps the error, which [`io::Error::get_ref`] returns. The kind is [`io::ErrorKind::OutOfMemory`] or
    /// [`io::ErrorKind::Other`].
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NoMemory { .. } => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.0.row {
            write!(f, "row {row}: ")?;
        }
        write!(f, "{}", self.0.kind)?;
        if let ErrorKind::Sqlite { code, message } = &self.0.kind {
            // The code is shown if the message is only SQLite's fixed text for the primary code, or if the code is an
            // extended one.
            let more = message.strip_prefix(library::code_message(code.primary().number()));
            if more == Some("") || code.number() > 0xff {
                write!(f, " [{code}]")?;
            }
            let circumstances = Circumstances {
                files: self.0.databases.len(),
                is_of_a_statement: self.0.sql.is_some() && !self.is_about_another_file(),
            };
            // Advice is shown only if the message is the fixed text, optionally followed by the reason of the operating
            // system.
            let is_open = more.is_some_and(|more| more.is_empty() || more.starts_with(": "));
            if let Some(advice) = advice(*code, &circumstances).filter(|_| is_open) {
                write!(f, " ({advice})")?;
            }
        }
        let databases = &self.0.databases;
        for (n, database) in databases.iter().enumerate().filter(|&(n, database)| !databases[..n].contains(database)) {
            let lead = if n == 0 { ", database" } else { " or" };
            write!(f, "{lead} {}", Excerpt { longest: usize::MAX, ..Excerpt::of(database) })?;
        }
        if let Some(position) = self.own_position() {
            write!(f, ", at {position}")?;
        }
        if let Some(sql) = self.0.sql.as_deref().filter(|_| !matches!(self.0.kind, ErrorKind::EmptySql)) {
            write!(f, ", in: {}", Excerpt { at: self.0.offset.unwrap_or(0), ..Excerpt::of(sql) })?;
        }
        Ok(())
    }
}

/// Writes the text of `Display`, which `fn main() -> finalite::Result<()>` then prints, followed by the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}; ")?;
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("sql", &self.0.sql)
            .field("position", &self.position())
            .field("databases", &self.0.databases)
            .finish()
    }
}

impl Error {
    /// Returns the function and the cause of an error that a function's own context has made; `None` for one of memory.
    /// Any other error, which has SQL of its own, is returned.
    pub(crate) fn into_function_cause(self) -> std::result::Result<Option<(Box<str>, FunctionCause)>, Self> {
        if matches!(self.0.kind, ErrorKind::NoMemory { .. }) {
            return Ok(None);
        }
        if self.0.sql.is_some() {
            return Err(self);
        }
        let Inner { kind, .. } = *self.0;
        match kind {
            ErrorKind::FunctionArgument { function, argument, found, problem, .. } => {
                Ok(Some((function, FunctionCause::Argument { argument, found, problem })))
            }
            ErrorKind::FunctionResult { function, problem, .. } => Ok(Some((function, FunctionCause::Result(problem)))),
            ErrorKind::Function { function, error, .. } => Ok(Some((function, FunctionCause::Returned(error)))),
            ErrorKind::Tokenizer { tokenizer, error, .. } => Ok(Some((tokenizer, FunctionCause::Tokenizer(error)))),
            kind => Err(Self::new(kind)),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            ErrorKind::External(error)
            | ErrorKind::Function { error, .. }
            | ErrorKind::VirtualTable { error, .. }
            | ErrorKind::Tokenizer { error, .. } => Some(&**error),
            ErrorKind::Migration { problem, .. } => problem.error()?.source(),
            ErrorKind::ColumnConversion { problem, .. }
            | ErrorKind::ParameterConversion { problem, .. }
            | ErrorKind::InsertValue { problem, .. }
            | ErrorKind::FunctionArgument { problem, .. }
            | ErrorKind::FunctionResult { problem, .. } => problem.source(),
            _ => None,
        }
    }
}

/// Compares what two errors say: the variant of their kind, their SQL, and their text, which names the place, the column or
/// the parameter. For tests, and for errors of a program that contain this one and derive `PartialEq`.
///
/// An error with a [`source`](StdError::source) is equal to no other and not to itself, since nothing is known of the
/// source but its text.
///
/// # Example
///
/// ```
/// use finalite::{Connection, Error};
///
/// #[derive(Debug, PartialEq)]
/// enum StoreError {
///     Database(Error),
///     NoSuchUser,
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let error = conn.query_one::<i64>("SELECT 1 WHERE false", ()).unwrap_err();
/// assert_ne!(StoreError::Database(error), StoreError::NoSuchUser);
/// assert_eq!(Error::no_rows(), Error::no_rows());
/// assert_ne!(Error::external("a"), Error::external("a"));
/// # Ok::<(), Error>(())
/// ```
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        discriminant(&self.0.kind) == discriminant(&other.0.kind)
            && self.source().is_none()
            && other.source().is_none()
            && self.0.sql == other.0.sql
            && self.to_string() == other.to_string()
    }
}

/// Whether SQLite's message for a code may quote a value of a running statement, or one that is stored (a rowid, by
/// FTS5). Messages of other codes contain only names of tables and columns, or no names.
fn may_quote(code: ResultCode) -> bool {
    matches!(code.primary(), ResultCode::ERROR | ResultCode::CANTOPEN) || code == ResultCode::CORRUPT_VTAB
}

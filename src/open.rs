//! Opening a database.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::Connection;
use crate::cache::Cache;
use crate::error::{Error, ErrorKind, Result};
use crate::failures;
use crate::journal_mode::NoWal;
use crate::pragma::PragmaValue;
use crate::raw::{Db, OpenFlags, Switch};

type Init = dyn Fn(&mut Connection) -> Result<()> + Send + Sync;
type Recover = dyn Fn() -> bool + Send + Sync;

/// What is asked of a database that is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wal {
    AsItIs,
    IfPossible,
    Required,
}

/// How to open a database. Can be kept and used again.
///
/// # Example
///
/// ```
/// use finalite::OpenOptions;
///
/// let dir = tempfile::tempdir()?;
/// let conn = OpenOptions::recommended().pragma("cache_size", -8000).open(dir.path().join("app.db"))?;
/// assert_eq!(conn.pragma::<String>("journal_mode")?, "wal");
/// assert_eq!(conn.pragma::<i64>("cache_size")?, -8000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [sqlite3_open_v2](https://sqlite.org/c3ref/open.html)
#[derive(Clone)]
pub struct OpenOptions {
    read_only: bool,
    create: bool,
    /// `None` where nothing was said about it.
    uri: Option<bool>,
    immutable: bool,
    no_follow: bool,
    vfs: Option<Box<str>>,
    name: Option<Box<str>>,
    busy_timeout: Duration,
    foreign_keys: bool,
    double_quoted_strings: bool,
    trusted_schema: bool,
    wal: Wal,
    optimize_on_close: bool,
    pragmas: Vec<(Box<str>, PragmaValue)>,
    slow_threshold: Option<Duration>,
    statement_cache: Option<(usize, usize)>,
    lookaside: Option<(u16, u32)>,
    init: Option<Arc<Init>>,
    /// Who recovers the database for a connection that reads only.
    recover: Option<Arc<Recover>>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Reading and writing, creating the file, 5 seconds of busy timeout, foreign keys enforced; all else as SQLite
    /// has it. What [`Connection::open`] uses.
    #[must_use]
    pub fn new() -> Self {
        Self {
            read_only: false,
            create: true,
            uri: None,
            immutable: false,
            no_follow: false,
            vfs: None,
            name: None,
            busy_timeout: Duration::from_secs(5),
            foreign_keys: true,
            double_quoted_strings: true,
            trusted_schema: true,
            wal: Wal::AsItIs,
            optimize_on_close: false,
            pragmas: Vec::new(),
            slow_threshold: None,
            statement_cache: None,
            lookaside: None,
            init: None,
            recover: None,
        }
    }

    /// What SQLite's authors advise for a new application: [`new`](Self::new), and
    ///
    /// - `journal_mode = wal` and `synchronous = normal`, if the database is a file: readers and the writer do not wait
    ///   for each other. Where it cannot be had, opening fails, unless [`wal_if_possible`](Self::wal_if_possible) is set;
    /// - `"text"` is a name, never a string: a misspelt column is an error;
    /// - the schema is not trusted: a view or trigger in the file cannot call functions that are not marked harmless;
    /// - `PRAGMA optimize` when the connection is closed by [`Connection::close`].
    #[must_use]
    pub fn recommended() -> Self {
        Self {
            wal: Wal::Required,
            double_quoted_strings: false,
            trusted_schema: false,
            optimize_on_close: true,
            ..Self::new()
        }
    }

    /// Uses WAL, with `synchronous = normal`, if the database is a file and WAL can be had; opening does not fail where
    /// it cannot, as on a file system of a network, whose machines share no memory. [`Connection::journal_mode`] tells.
    ///
    /// [`recommended`](Self::recommended) fails there, so that nobody counts on what is not so. Locks of others are no
    /// such case: opening waits for them, and returns `SQLITE_BUSY` in the end.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{JournalMode, OpenOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let options = OpenOptions::recommended().wal_if_possible();
    /// let conn = options.clone().open(dir.path().join("app.db"))?;
    /// assert_eq!(conn.journal_mode()?, JournalMode::Wal);
    /// # #[cfg(unix)]
    /// # {
    /// // A way to lock files that has no shared memory.
    /// let conn = options.vfs("unix-dotfile").open(dir.path().join("other.db"))?;
    /// assert_eq!(conn.journal_mode()?, JournalMode::Delete);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [Write-ahead logging](https://sqlite.org/wal.html)
    #[must_use]
    pub fn wal_if_possible(mut self) -> Self {
        self.wal = Wal::IfPossible;
        self
    }

    /// Opens for reading only. The file must exist.
    ///
    /// SQLite may have to make files beside it all the same: a database in WAL mode has a log and its index (`-wal`,
    /// `-shm`), which whoever opens it first makes. Where they are not there and the directory may not be written, that
    /// fails with `SQLITE_CANTOPEN`. A database that nobody changes is opened without them as
    /// [`immutable`](Self::immutable).
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Whether to create the file if there is none. On unless set, off where [`read_only`](Self::read_only).
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether a path that begins with `file:` is a [URI](https://sqlite.org/uri.html), or a path like any other,
    /// whatever SQLite's compile-time setting says. Such a path cannot be opened until one of the two is said.
    ///
    /// It is about the path that is opened. `ATTACH` takes URIs if this is on or if SQLite is set to take them, when it
    /// was compiled (the one that is bundled is) or by `sqlite3_config`.
    #[must_use]
    pub fn uri(mut self, uri: bool) -> Self {
        self.uri = Some(uri);
        self
    }

    /// Opens for reading only, as a file that nobody changes as long as it is open, be it on read-only media: no lock is
    /// taken, and no file beside it is looked for. If somebody changes it all the same, queries return wrong rows or
    /// `SQLITE_CORRUPT`.
    ///
    /// What is in a `-wal` beside it, or waits in a `-journal` to be rolled back, is not seen: close the database in
    /// order before it is copied to where it is immutable.
    ///
    /// The path is one like any other, whatever is in it; a URI, where [`uri`](Self::uri) is on, is taken with this
    /// beside what it says.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, OpenOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("100% (a?b#c).db");
    /// Connection::open(&path)?.execute("CREATE TABLE t(a)", ())?;
    /// let conn = OpenOptions::new().immutable(true).open(&path)?;
    /// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 0);
    /// assert_eq!(conn.is_readonly("main"), Some(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [URI filenames, immutable](https://sqlite.org/uri.html#uriimmutable)
    #[must_use]
    pub fn immutable(mut self, immutable: bool) -> Self {
        self.immutable = immutable;
        self
    }

    /// Opens no file whose path has a symbolic link in it, be it a directory: that is `SQLITE_CANTOPEN_SYMLINK`.
    ///
    /// C: [SQLITE_OPEN_NOFOLLOW](https://sqlite.org/c3ref/open.html)
    #[must_use]
    pub fn no_follow(mut self, no_follow: bool) -> Self {
        self.no_follow = no_follow;
        self
    }

    /// Whether it opens for reading only: as [`read_only`](Self::read_only) or [`immutable`](Self::immutable) says.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only || self.immutable
    }

    /// The VFS to use, by name.
    ///
    /// C: [VFS](https://sqlite.org/vfs.html)
    #[must_use]
    pub fn vfs(mut self, name: &str) -> Self {
        self.vfs = Some(name.into());
        self
    }

    /// What the connection is called in [`stats`](crate::stats), where it tells one from another. No name unless set.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long to wait for another connection's lock. See [`Connection::set_busy_timeout`].
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Whether foreign keys are enforced. On unless set.
    #[must_use]
    pub fn foreign_keys(mut self, on: bool) -> Self {
        self.foreign_keys = on;
        self
    }

    /// Whether `"text"` in double quotes may be a string where it is no name, as SQLite has it for history's sake.
    ///
    /// C: [DQS](https://sqlite.org/quirks.html#dblquote)
    #[must_use]
    pub fn double_quoted_strings(mut self, on: bool) -> Self {
        self.double_quoted_strings = on;
        self
    }

    /// Whether views, triggers and the like in the file may call any function.
    ///
    /// C: [PRAGMA trusted_schema](https://sqlite.org/pragma.html#pragma_trusted_schema)
    #[must_use]
    pub fn trusted_schema(mut self, on: bool) -> Self {
        self.trusted_schema = on;
        self
    }

    /// Sets a pragma after opening, and reads it back: opening fails if it did not take. In the order given.
    ///
    /// See [`Connection::set_pragma`].
    #[must_use]
    pub fn pragma(mut self, name: &str, value: impl Into<PragmaValue>) -> Self {
        self.pragmas.push((name.into(), value.into()));
        self
    }

    /// Whether [`Connection::close`] runs `PRAGMA optimize`. Dropping the connection never does.
    ///
    /// C: [PRAGMA optimize](https://sqlite.org/pragma.html#pragma_optimize)
    #[must_use]
    pub fn optimize_on_close(mut self, on: bool) -> Self {
        self.optimize_on_close = on;
        self
    }

    /// See [`Connection::set_slow_threshold`].
    #[must_use]
    pub fn slow_threshold(mut self, threshold: Option<Duration>) -> Self {
        self.slow_threshold = threshold;
        self
    }

    /// See [`Connection::set_statement_cache_limits`].
    #[must_use]
    pub fn statement_cache_limits(mut self, statements: usize, bytes: usize) -> Self {
        self.statement_cache = Some((statements, bytes));
        self
    }

    /// The size in bytes and the number of the slots from which SQLite serves the connection's small, short allocations
    /// without asking the allocator. 1,200 and 40 unless set; 0 slots: none, so that each allocation is counted.
    ///
    /// C: [SQLITE_DBCONFIG_LOOKASIDE](https://sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfiglookaside)
    #[must_use]
    pub fn lookaside(mut self, slot_bytes: u16, slots: u32) -> Self {
        self.lookaside = Some((slot_bytes, slots));
        self
    }

    /// Runs this on each connection as the last step of opening. If it fails or panics, the connection is closed.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::OpenOptions;
    ///
    /// let options = OpenOptions::new().init(|conn| conn.execute_batch("CREATE TEMP TABLE scratch(a)"));
    /// let conn = options.open_in_memory()?;
    /// assert_eq!(conn.execute("INSERT INTO scratch VALUES (1)", ())?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[must_use]
    pub fn init(mut self, init: impl Fn(&mut Connection) -> Result<()> + Send + Sync + 'static) -> Self {
        self.init = Some(Arc::new(init));
        self
    }

    /// Opens the database at this path.
    ///
    /// As in SQLite, `:memory:` is a database in memory and an empty path a temporary one; see
    /// [`open_in_memory`](Self::open_in_memory) and [`open_temporary`](Self::open_temporary).
    ///
    /// As in SQLite too, a file that cannot be opened for writing (no permission, a read-only file system, too many open
    /// files) is opened for reading: [`Connection::is_readonly`] tells, and each write is `SQLITE_READONLY`. A
    /// pool does not take such a connection for its writer.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` for a file or directory that is missing or may not be opened, [`ErrorKind::Path`] for a path
    /// that contains NUL or begins with `file:` without a word about [`uri`](Self::uri), [`ErrorKind::Forked`] for a
    /// file that a parent process had open when it forked this one, [`ErrorKind::Pragma`] for a pragma that did not take, [`ErrorKind::Unsupported`] for a
    /// SQLite that cannot be used. A file that is not a database shows at the first statement, which is here if a
    /// pragma reads it. Whatever fails, nothing stays open.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Connection> {
        let path = path.as_ref();
        self.open_at(path.as_os_str(), Location::caller())
            .map_err(|error| error.in_database(|| path.to_string_lossy().into()))
    }

    /// Opens a new database in memory, which is gone when the connection is.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    #[track_caller]
    pub fn open_in_memory(&self) -> Result<Connection> {
        self.open_at(OsStr::new(":memory:"), Location::caller())
    }

    /// Opens a new database in a temporary file, which is gone when the connection is.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    #[track_caller]
    pub fn open_temporary(&self) -> Result<Connection> {
        self.open_at(OsStr::new(""), Location::caller())
    }

    #[track_caller]
    pub(crate) fn open_at(&self, path: &OsStr, site: &'static Location<'static>) -> Result<Connection> {
        self.try_open_at(path, site).inspect_err(|error| failures::OPEN.count(error))
    }

    #[track_caller]
    fn try_open_at(&self, path: &OsStr, site: &'static Location<'static>) -> Result<Connection> {
        let c_path = c_path(path, self.uri, self.immutable)?;
        let vfs = self.vfs.as_deref().map(|name| CString::new(name).map_err(|_| bad_path("the VFS name contains NUL")));
        let vfs = vfs.transpose()?;
        let flags = OpenFlags {
            read_only: self.is_read_only(),
            create: self.create,
            uri: self.uri == Some(true) || self.immutable,
            no_follow: self.no_follow,
        };
        let db = Db::open(&c_path, flags, vfs.as_deref(), self.name.as_deref(), site)?;
        if let Some(recover) = self.recover.clone() {
            db.set_recovery(Box::new(move || recover()));
        }
        let mut conn = Connection::adopt(db);
        tracing::debug!(target: "finalite::open", connection = conn.db().id(), path = %path.display(), opened_at = %site, "open");
        if let Some(error) = self.set_up(&mut conn)? {
            drop(conn);
            return self.open_without_wal(path, site).map_err(|_| error);
        }
        Ok(conn)
    }

    /// For connections that read only: opens the database for writing and reads it, and returns whether it could.
    pub(crate) fn recovered_by(mut self, recover: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.recover = Some(Arc::new(recover));
        self
    }

    /// Without WAL, which a database in memory has not.
    pub(crate) fn without_wal(mut self) -> Self {
        self.wal = Wal::AsItIs;
        self
    }

    /// What finalite itself keeps for a connection.
    pub(crate) fn set_limits(&self, conn: &Connection) -> Result<()> {
        conn.set_busy_timeout(self.busy_timeout)?;
        let (statements, bytes) = self.statement_cache.unwrap_or((Cache::STATEMENTS_MAX, Cache::BYTES_MAX));
        conn.set_statement_cache_limits(statements, bytes);
        conn.set_slow_threshold(self.slow_threshold);
        Ok(())
    }

    /// Whatever fails or panics here, the connection is owned by the caller's frame and closed. So is one that comes with
    /// an error: WAL cannot be had, need not be, and the connection is of no use any more.
    #[track_caller]
    fn set_up(&self, conn: &mut Connection) -> Result<Option<Error>> {
        let db = conn.db();
        // First, as it may not change once a slot is in use.
        if let Some((slot_bytes, slots)) = self.lookaside {
            db.set_lookaside(slot_bytes, slots)?;
        }
        self.set_limits(conn)?;
        db.switch(Switch::ForeignKeys, self.foreign_keys)?;
        if !self.double_quoted_strings {
            db.switch(Switch::DoubleQuotedStringsInDml, false)?;
            db.switch(Switch::DoubleQuotedStringsInDdl, false)?;
        }
        if !self.trusted_schema {
            db.switch(Switch::TrustedSchema, false)?;
        }
        conn.optimize_on_close.set(self.optimize_on_close);
        // A database in memory has no such mode.
        if self.wal != Wal::AsItIs && !db.is_in_memory() && conn.is_readonly("main") == Some(false) {
            match conn.use_wal() {
                Ok(()) => conn.set_pragma("synchronous", "normal")?,
                Err(NoWal::Refused(_)) if self.wal == Wal::IfPossible => {}
                Err(NoWal::TooLate(error)) if self.wal == Wal::IfPossible => return Ok(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        for (name, value) in &self.pragmas {
            conn.set_pragma(name, value.clone())?;
        }
        match &self.init {
            Some(init) => init(conn).map(|()| None),
            None => Ok(None),
        }
    }

    /// Takes the database out of WAL mode, for which it lacks shared memory, and opens it. A log that one connection has
    /// for itself needs none, if that is said before it first looks for it.
    #[track_caller]
    fn open_without_wal(&self, path: &OsStr, site: &'static Location<'static>) -> Result<Connection> {
        let without = Self { wal: Wal::AsItIs, ..self.clone() };
        let leaving = without.clone().pragma("locking_mode", "exclusive").pragma("journal_mode", "delete");
        drop(Self { init: None, ..leaving }.try_open_at(path, site)?);
        without.try_open_at(path, site)
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("read_only", &self.read_only)
            .field("create", &self.create)
            .field("uri", &self.uri)
            .field("immutable", &self.immutable)
            .field("no_follow", &self.no_follow)
            .field("vfs", &self.vfs)
            .field("pragmas", &self.pragmas.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Opens the database at this path for reading and writing, and creates it if there is none.
    ///
    /// Waits 5 seconds for locks of others, enforces foreign keys. [`OpenOptions`] has the rest.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// Opens a new database in memory, which is gone when the connection is.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    #[track_caller]
    pub fn open_in_memory() -> Result<Self> {
        OpenOptions::new().open_in_memory()
    }
}

fn bad_path(reason: &'static str) -> Error {
    Error::new(ErrorKind::Path { reason })
}

/// A path as SQLite takes it: bytes on Unix, UTF-8 elsewhere.
///
/// A SQLite that is compiled with `SQLITE_USE_URI`, as the bundled one is, reads `file:` as a URI whatever the flags
/// say; `./file:` is the same file and no URI.
fn c_path(path: &OsStr, uri: Option<bool>, immutable: bool) -> Result<CString> {
    let bytes = path_bytes(path)?;
    if bytes.contains(&0) {
        return Err(bad_path("it contains NUL"));
    }
    let begins_as_uri = bytes.starts_with(b"file:");
    if begins_as_uri && uri.is_none() {
        return Err(bad_path(
            "it begins with `file:`: `OpenOptions::uri(true)` opens it as a URI, `uri(false)` or `./` before it as the \
             file of that name",
        ));
    }
    let is_uri = begins_as_uri && uri == Some(true);
    let path = match (immutable, is_uri) {
        (false, _) if begins_as_uri && !is_uri => [b"./", bytes].concat(),
        (false, _) => bytes.to_owned(),
        (true, true) => immutable_uri(bytes),
        (true, false) if bytes.is_empty() || bytes == b":memory:" => {
            return Err(bad_path("a database in memory, or a temporary one, is not immutable"));
        }
        (true, false) => immutable_uri(&uri_of(bytes)),
    };
    CString::new(path).map_err(|_| bad_path("it contains NUL"))
}

/// A URI that says besides that the file is immutable: first, as the first of two parameters of a name is taken.
fn immutable_uri(uri: &[u8]) -> Vec<u8> {
    const IMMUTABLE: &[u8] = b"?immutable=1";
    let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(uri.len());
    let (path, rest) = uri.split_at(end);
    match rest.strip_prefix(b"?") {
        Some(parameters) => [path, IMMUTABLE, b"&", parameters].concat(),
        None => [path, IMMUTABLE, rest].concat(),
    }
}

/// A path as a URI, with whatever would mean something in it percent-encoded.
///
/// C: [URI filenames](https://sqlite.org/uri.html)
fn uri_of(path: &[u8]) -> Vec<u8> {
    let mut uri = b"file:".to_vec();
    // What follows two slashes is the name of a host, up to the next.
    let has_drive = cfg!(windows) && path.get(1) == Some(&b':');
    if has_drive {
        uri.extend(b"///");
    } else if path.starts_with(b"/") || (cfg!(windows) && path.starts_with(b"\\")) {
        uri.extend(b"//");
    }
    for &byte in path {
        match byte {
            b'\\' if cfg!(windows) => uri.push(b'/'),
            b':' if has_drive => uri.push(byte),
            b'/' | b'.' | b'-' | b'_' => uri.push(byte),
            _ if byte.is_ascii_alphanumeric() => uri.push(byte),
            _ => uri.extend(format!("%{byte:02X}").bytes()),
        }
    }
    uri
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere a path may have no UTF-8 form")]
fn path_bytes(path: &OsStr) -> Result<&[u8]> {
    use std::os::unix::ffi::OsStrExt;
    Ok(path.as_bytes())
}

#[cfg(not(unix))]
fn path_bytes(path: &OsStr) -> Result<&[u8]> {
    path.to_str().map(str::as_bytes).ok_or_else(|| bad_path("it is not Unicode"))
}

//! [`OpenOptions`]: options and flags for opening a database.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::journal_mode::NoWal;
use super::pragma::PragmaValue;
use crate::Connection;
use crate::core::cache::Cache;
use crate::core::failures;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::{Db, DbConfig, OpenFlags};

mod untrusted;

type Init = dyn Fn(&mut Connection) -> Result<()> + Send + Sync;
type Recover = dyn Fn() -> bool + Send + Sync;

/// Journal mode to set for a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wal {
    AsItIs,
    IfPossible,
    Required,
}

/// Options for opening a database. A value can be kept and used for several connections.
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
#[doc(alias("open_with_flags", "OpenFlags", "SqliteConnectOptions"))]
pub struct OpenOptions {
    read_only: bool,
    create: bool,
    /// `None` if [`uri`](OpenOptions::uri) was not called.
    uri: Option<bool>,
    immutable: bool,
    no_follow: bool,
    vfs: Option<Box<str>>,
    name: Option<Box<str>>,
    busy_timeout: Duration,
    foreign_keys: bool,
    double_quoted_strings: bool,
    trusted_schema: bool,
    triggers: bool,
    views: bool,
    is_untrusted: bool,
    wal: Wal,
    optimize_on_close: bool,
    pragmas: Vec<(Box<str>, PragmaValue)>,
    slow_threshold: Option<Duration>,
    statement_cache: Option<(usize, usize)>,
    lookaside: Option<(u16, u32)>,
    #[cfg(any(feature = "sqlcipher", docsrs))]
    key: Option<super::Key>,
    init: Option<Arc<Init>>,
    /// Function that recovers the database for a read-only connection.
    recover: Option<Arc<Recover>>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Returns the options that [`Connection::open`] uses: open for reading and writing, create the file if it does not
    /// exist, busy timeout of 5 seconds, foreign keys enforced. Everything else is SQLite's default.
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
            triggers: true,
            views: true,
            is_untrusted: false,
            wal: Wal::AsItIs,
            optimize_on_close: false,
            pragmas: Vec::new(),
            slow_threshold: None,
            statement_cache: None,
            lookaside: None,
            #[cfg(any(feature = "sqlcipher", docsrs))]
            key: None,
            init: None,
            recover: None,
        }
    }

    /// Returns the options that SQLite's authors recommend for new applications: [`new`](Self::new), and
    ///
    /// - `journal_mode = wal` and `synchronous = normal`, if the database is a file: readers and the writer do not
    ///   block each other. If WAL is not available, opening fails, unless [`wal_if_possible`](Self::wal_if_possible) is
    ///   set;
    /// - `"text"` is an identifier, never a string: a misspelt column name is an error;
    /// - the schema is not trusted: a view or trigger in the file can call only functions that are marked as harmless;
    /// - [`Connection::close`] runs `PRAGMA optimize`.
    #[must_use]
    #[doc(alias = "WAL")]
    pub fn recommended() -> Self {
        Self {
            wal: Wal::Required,
            double_quoted_strings: false,
            trusted_schema: false,
            optimize_on_close: true,
            ..Self::new()
        }
    }

    /// Uses WAL with `synchronous = normal`, if the database is a file and WAL is available. Otherwise opening succeeds
    /// without WAL, as on a network file system, whose machines share no memory. [`Connection::journal_mode`] returns
    /// the mode in use.
    ///
    /// [`recommended`](Self::recommended) alone fails in that case, so that a program does not rely on WAL without
    /// having it. A lock of another connection does not count as unavailable: opening waits for the lock, and returns
    /// `SQLITE_BUSY` after the busy timeout.
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

    /// Sets whether to open the database for reading only. The file must exist.
    ///
    /// SQLite may still have to create files beside the database. A database in WAL mode has a log and its index
    /// (`-wal`, `-shm`), which the first connection creates. If they do not exist and the directory is not writable,
    /// this fails with `SQLITE_CANTOPEN`. A database that no process changes can be opened without these files as
    /// [`immutable`](Self::immutable).
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets whether to create the file if it does not exist. On by default; off for [`read_only`](Self::read_only).
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets whether a path that begins with `file:` is a [URI](https://sqlite.org/uri.html) or an ordinary path,
    /// independently of SQLite's compile-time setting. Unless this is set, such a path is an error.
    ///
    /// The setting applies to the path that is opened. `ATTACH` accepts URIs if it is on, or if SQLite accepts them by
    /// its compile-time setting (as the bundled SQLite does) or by `sqlite3_config`.
    #[must_use]
    pub fn uri(mut self, uri: bool) -> Self {
        self.uri = Some(uri);
        self
    }

    /// Sets whether to open the database for reading only, as a file that no process changes while it is open, for
    /// example on read-only media. SQLite then takes no locks and looks for no file beside it. If the file is changed
    /// nevertheless, queries return wrong rows or `SQLITE_CORRUPT`.
    ///
    /// The contents of a `-wal` file are ignored, and a `-journal` file is not rolled back. Close the database properly
    /// before copying it to the place where it is immutable.
    ///
    /// The path may contain any characters. If [`uri`](Self::uri) is on, a URI keeps its own parameters in addition to
    /// this one.
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

    /// Sets whether to refuse a path that contains a symbolic link, including those in its directories: the error is
    /// `SQLITE_CANTOPEN_SYMLINK`.
    ///
    /// C: [SQLITE_OPEN_NOFOLLOW](https://sqlite.org/c3ref/open.html)
    #[must_use]
    pub fn no_follow(mut self, no_follow: bool) -> Self {
        self.no_follow = no_follow;
        self
    }

    /// Whether these options open the database for reading only, by [`read_only`](Self::read_only) or
    /// [`immutable`](Self::immutable).
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only || self.immutable
    }

    /// Whether these options create a file that does not exist: [`create`](Self::create), unless the database is opened
    /// for reading only.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::OpenOptions;
    ///
    /// assert!(OpenOptions::new().creates_file());
    /// assert!(!OpenOptions::new().create(false).creates_file());
    /// assert!(!OpenOptions::new().read_only(true).creates_file());
    /// ```
    #[must_use]
    pub fn creates_file(&self) -> bool {
        self.create && !self.is_read_only()
    }

    /// Sets the VFS to use, by its name.
    ///
    /// C: [VFS](https://sqlite.org/vfs.html)
    #[must_use]
    pub fn vfs(mut self, name: &str) -> Self {
        self.vfs = Some(name.into());
        self
    }

    /// Sets the name that identifies the connection in [`stats`](crate::stats). No name by default.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the time to wait for a lock of another connection; 5 seconds by default. See
    /// [`Connection::set_busy_timeout`].
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets whether foreign keys are enforced. On by default.
    #[must_use]
    pub fn foreign_keys(mut self, on: bool) -> Self {
        self.foreign_keys = on;
        self
    }

    /// Sets whether text in double quotes that is not an identifier may be a string, as SQLite allows for
    /// compatibility. `true`, the default, keeps SQLite's compile-time setting; [`recommended`](Self::recommended) sets
    /// `false`.
    ///
    /// C: [DQS](https://sqlite.org/quirks.html#dblquote)
    #[must_use]
    pub fn double_quoted_strings(mut self, on: bool) -> Self {
        self.double_quoted_strings = on;
        self
    }

    /// Sets whether views, triggers and other schema objects in the file may call any function. `true`, the default,
    /// keeps SQLite's compile-time setting; [`recommended`](Self::recommended) sets `false`.
    ///
    /// C: [PRAGMA trusted_schema](https://sqlite.org/pragma.html#pragma_trusted_schema)
    #[must_use]
    pub fn trusted_schema(mut self, on: bool) -> Self {
        self.trusted_schema = on;
        self
    }

    /// Sets a pragma after opening and reads it back. Opening fails if the value did not take effect. Pragmas are set
    /// in the order of the calls.
    ///
    /// See [`Connection::set_pragma`].
    #[must_use]
    pub fn pragma(mut self, name: &str, value: impl Into<PragmaValue>) -> Self {
        self.pragmas.push((name.into(), value.into()));
        self
    }

    /// Sets whether [`Connection::close`] runs `PRAGMA optimize`. Dropping the connection does not run it.
    ///
    /// C: [PRAGMA optimize](https://sqlite.org/pragma.html#pragma_optimize)
    #[must_use]
    pub fn optimize_on_close(mut self, on: bool) -> Self {
        self.optimize_on_close = on;
        self
    }

    /// Sets the duration from which an execution is logged. See [`Connection::set_slow_threshold`].
    #[must_use]
    pub fn slow_threshold(mut self, threshold: Option<Duration>) -> Self {
        self.slow_threshold = threshold;
        self
    }

    /// Sets the limits of the statement cache: number of statements, and bytes. See
    /// [`Connection::set_statement_cache_limits`].
    #[must_use]
    pub fn statement_cache_limits(mut self, statements: usize, bytes: usize) -> Self {
        self.statement_cache = Some((statements, bytes));
        self
    }

    /// Sets the size in bytes and the number of the lookaside slots, from which SQLite serves small, short-lived
    /// allocations of the connection without calling the allocator. Default: 40 slots of 1,200 bytes. With 0 slots,
    /// each allocation is counted.
    ///
    /// C: [SQLITE_DBCONFIG_LOOKASIDE](https://sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfiglookaside)
    #[must_use]
    pub fn lookaside(mut self, slot_bytes: u16, slots: u32) -> Self {
        self.lookaside = Some((slot_bytes, slots));
        self
    }

    /// Sets a closure that runs on each connection as the last step of opening. If it fails or panics, the connection
    /// is closed.
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

    /// Opens the database file at this path and returns the connection.
    ///
    /// As in SQLite, `:memory:` opens an in-memory database, and an empty path a temporary one; see
    /// [`open_in_memory`](Self::open_in_memory) and [`open_temporary`](Self::open_temporary).
    ///
    /// As in SQLite, a file that cannot be opened for writing (no permission, a read-only file system, too many open
    /// files) is opened for reading. [`Connection::is_readonly`] reports this, and each write returns
    /// `SQLITE_READONLY`. A pool does not use such a connection as its writer.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` for a file or directory that does not exist or may not be opened; [`ErrorKind::Path`] for a
    /// path that contains NUL, or that begins with `file:` while [`uri`](Self::uri) is not set; [`ErrorKind::Forked`]
    /// for a file that a parent process had open when it forked this one; [`ErrorKind::Pragma`] for a pragma that did
    /// not take effect; [`ErrorKind::Unsupported`] for a SQLite library that cannot be used. A file that is not a
    /// database is reported by the first statement, which runs here if a pragma reads the file. On any error, the
    /// connection is closed.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Connection> {
        let path = path.as_ref();
        self.open_at(path.as_os_str(), Location::caller())
            .map_err(|error| error.in_database(|| path.to_string_lossy().into()))
    }

    /// Opens a new in-memory database, which is deleted when the connection closes.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    #[track_caller]
    pub fn open_in_memory(&self) -> Result<Connection> {
        self.open_at(OsStr::new(":memory:"), Location::caller())
    }

    /// Opens a new database in a temporary file, which is deleted when the connection closes.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
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

    /// Sets the key of an encrypted database. It is passed on before anything is read, and opening fails if it is not
    /// the right one ([`ErrorKind::WrongKey`]).
    ///
    /// A new file is encrypted with it. A file that is not encrypted does not open with a key:
    /// [`Connection::export_encrypted`] makes an encrypted copy.
    ///
    /// C: [sqlite3_key](https://www.zetetic.net/sqlcipher/sqlcipher-api/#sqlite3_key)
    #[cfg(any(feature = "sqlcipher", docsrs))]
    #[must_use]
    #[doc(alias("encryption", "password", "PRAGMA key", "sqlite3_key"))]
    pub fn key(mut self, key: super::Key) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets a function for read-only connections that opens the database for writing, reads it, and returns whether it
    /// could.
    pub(crate) fn recovered_by(mut self, recover: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.recover = Some(Arc::new(recover));
        self
    }

    /// Disables WAL, which does not exist for an in-memory database.
    pub(crate) fn without_wal(mut self) -> Self {
        self.wal = Wal::AsItIs;
        self
    }

    /// Applies the settings that finalite keeps for a connection: busy timeout, statement cache, slow threshold.
    pub(crate) fn set_limits(&self, conn: &Connection) -> Result<()> {
        conn.set_busy_timeout(self.busy_timeout)?;
        let (statements, bytes) = self.statement_cache.unwrap_or((Cache::STATEMENTS_MAX, Cache::BYTES_MAX));
        conn.set_statement_cache_limits(statements, bytes);
        conn.set_slow_threshold(self.slow_threshold);
        Ok(())
    }

    /// Applies the options to a new connection. If a step fails or panics, the caller's frame owns the connection and
    /// closes it. Returns an error in `Ok` if WAL is not available, not required, and the connection is no longer
    /// usable; the caller closes it too.
    #[track_caller]
    fn set_up(&self, conn: &mut Connection) -> Result<Option<Error>> {
        let db = conn.db();
        // First, because lookaside cannot be changed once a slot is in use.
        if let Some((slot_bytes, slots)) = self.lookaside {
            db.set_lookaside(slot_bytes, slots)?;
        }
        self.set_limits(conn)?;
        // Before anything is read.
        #[cfg(any(feature = "sqlcipher", docsrs))]
        if let Some(key) = &self.key {
            conn.set_key(key)?;
        }
        db.set_db_config(DbConfig::ForeignKeys, self.foreign_keys)?;
        if !self.double_quoted_strings {
            db.set_db_config(DbConfig::DoubleQuotedStringsInDml, false)?;
            db.set_db_config(DbConfig::DoubleQuotedStringsInDdl, false)?;
        }
        if !self.trusted_schema {
            db.set_db_config(DbConfig::TrustedSchema, false)?;
        }
        if !self.triggers {
            db.set_db_config(DbConfig::Triggers, false)?;
        }
        if !self.views {
            db.set_db_config(DbConfig::Views, false)?;
        }
        let hardened = if self.is_untrusted { self.harden(conn) } else { Ok(()) };
        #[cfg(any(feature = "sqlcipher", docsrs))]
        let hardened = if self.key.is_some() { conn.check_key(hardened) } else { hardened };
        hardened?;
        conn.optimize_on_close.set(self.optimize_on_close);
        // An in-memory database has no WAL mode.
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

    /// Takes the database out of WAL mode, for which shared memory is not available, and opens it. In exclusive locking
    /// mode the log needs no shared memory, if that mode is set before the first access.
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
    /// Opens the database file at this path for reading and writing, and creates it if it does not exist.
    ///
    /// The busy timeout is 5 seconds, and foreign keys are enforced. [`OpenOptions`] has the other settings.
    ///
    /// # Errors
    ///
    /// See [`OpenOptions::open`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// Opens a new in-memory database, which is deleted when the connection closes.
    ///
    /// # Errors
    ///
    /// See [`OpenOptions::open`].
    #[track_caller]
    pub fn open_in_memory() -> Result<Self> {
        OpenOptions::new().open_in_memory()
    }
}

pub(crate) fn bad_path(reason: &'static str) -> Error {
    Error::new(ErrorKind::Path { reason })
}

/// Returns the path as SQLite takes it: bytes on Unix, UTF-8 elsewhere.
///
/// A SQLite compiled with `SQLITE_USE_URI`, such as the bundled one, reads `file:` as a URI independently of the flags.
/// `./file:` is the same file and no URI.
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

/// Adds `immutable=1` to a URI, as its first parameter: of two parameters with the same name, SQLite takes the first.
fn immutable_uri(uri: &[u8]) -> Vec<u8> {
    const IMMUTABLE: &[u8] = b"?immutable=1";
    let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(uri.len());
    let (path, rest) = uri.split_at(end);
    match rest.strip_prefix(b"?") {
        Some(parameters) => [path, IMMUTABLE, b"&", parameters].concat(),
        None => [path, IMMUTABLE, rest].concat(),
    }
}

/// Returns the path as a URI, with special characters percent-encoded.
///
/// C: [URI filenames](https://sqlite.org/uri.html)
fn uri_of(path: &[u8]) -> Vec<u8> {
    let mut uri = b"file:".to_vec();
    // The text between two slashes and the next slash is a host name.
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
pub(crate) fn path_bytes(path: &OsStr) -> Result<&[u8]> {
    use std::os::unix::ffi::OsStrExt;
    Ok(path.as_bytes())
}

#[cfg(not(unix))]
pub(crate) fn path_bytes(path: &OsStr) -> Result<&[u8]> {
    path.to_str().map(str::as_bytes).ok_or_else(|| bad_path("it is not Unicode"))
}

//! [`Backup`]: a copy of a database that is in use.

use std::any::Any;
use std::ffi::CString;
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Fault, Result, ResultCode};
use crate::raw::backup::{BackupNote, RawBackup};
use crate::sql::quote_identifier;
use crate::{Connection, OpenOptions};

/// A copy of one database over another, made while the source is in use. Dropping it ends it.
///
/// It owns the connection of the destination, which [`finish`](Self::finish) returns. Until it is complete, the
/// destination is unchanged for everybody else; if it is dropped before, the destination is closed and stays as it was.
///
/// The source can be read and written between the steps. What its own connection writes is copied along. After a write
/// of another connection, the copy begins again, which [`BackupProgress::restarts`] counts. (A database in memory has
/// one connection.)
///
/// [`Connection::backup_to`] and [`Connection::restore_from`] do the usual in one call.
///
/// # Example
///
/// ```
/// use finalite::{Connection, data::Backup};
///
/// let source = Connection::open_in_memory()?;
/// source.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))")?;
///
/// let mut backup = Backup::new(&source, Connection::open_in_memory()?)?;
/// while !backup.step(10)?.is_done {
///     println!("{} of {} pages", backup.progress().copied(), backup.progress().page_count);
/// }
/// let copy = backup.finish()?;
/// assert_eq!(copy.query_one::<i64>("SELECT length(a) FROM t", ())?, 100_000);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3_backup](https://sqlite.org/c3ref/backup.html)
pub struct Backup<'src> {
    raw: RawBackup<'src>,
    source: &'src Connection,
    progress: BackupProgress,
}

/// Progress of a [`Backup`], as of its last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// Number of pages of the source.
    pub page_count: u64,
    /// Number of pages that are still to be copied.
    pub remaining: u64,
    /// Number of times that the copy began again, because another connection had written to the source. One that
    /// happened within the last step is not seen.
    pub restarts: u64,
    /// Whether the backup is complete.
    pub is_done: bool,
}

impl BackupProgress {
    /// Returns the number of pages that were copied since the copy began, or began again.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.page_count - self.remaining
    }
}

/// Pace of [`Backup::run`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use finalite::data::BackupPacing;
///
/// // About 4 MB per second of a database with pages of 4096 bytes.
/// let slow = BackupPacing::new().pages_per_step(100).pause(Duration::from_millis(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupPacing {
    pages_per_step: u32,
    pause: Duration,
    time_limit: Option<Duration>,
    restarts_max: u64,
}

impl BackupPacing {
    /// Returns the default pace: 1000 pages in each step, no pause, no time limit, and at most 3 restarts before the
    /// source is copied in one step.
    #[must_use]
    pub fn new() -> Self {
        Self { pages_per_step: 1000, pause: Duration::ZERO, time_limit: None, restarts_max: 3 }
    }

    /// Sets the number of pages that each step copies. During a step, the source is locked for reading: with a rollback
    /// journal, nothing is committed to it.
    #[must_use]
    pub fn pages_per_step(self, pages_per_step: u32) -> Self {
        Self { pages_per_step, ..self }
    }

    /// Sets the pause after each step, in which others use the source.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Sets the time after which [`Backup::run`] returns, also where it is not complete. It is checked between the steps.
    /// Within it, a step that finds a lock is tried again.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit: Some(time_limit), ..self }
    }

    /// Sets the number of restarts after which all is copied in one step, so that connections that write often do not
    /// keep the backup from its end.
    #[must_use]
    pub fn restarts_max(self, restarts_max: u64) -> Self {
        Self { restarts_max, ..self }
    }
}

impl Default for BackupPacing {
    fn default() -> Self {
        Self::new()
    }
}

impl<'src> Backup<'src> {
    /// Begins a backup of the main database of one connection to that of another, whose content it will replace.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` if the destination is in use: it has a transaction open, or a statement that was leaked;
    /// [`ErrorKind::Misuse`] if both connections have the same file; [`ErrorKind::Forked`]. The destination is then
    /// closed.
    ///
    /// C: [sqlite3_backup_init](https://sqlite.org/c3ref/backup_finish.html#sqlite3backupinit)
    #[track_caller]
    pub fn new(source: &'src Connection, destination: Connection) -> Result<Self> {
        Self::begin(source, "main", destination, "main", Location::caller())
    }

    /// Begins a backup as [`new`](Self::new) does, of other databases than `main`: `temp`, or an attached one.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new); `SQLITE_ERROR` if there is no database of such a name.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::Backup};
    ///
    /// let source = Connection::open_in_memory()?;
    /// source.execute_batch("ATTACH ':memory:' AS side; CREATE TABLE side.t(a)")?;
    /// let backup = Backup::of_databases(&source, "side", Connection::open_in_memory()?, "main")?;
    /// assert_eq!(backup.finish()?.query_one::<String>("SELECT name FROM sqlite_schema", ())?, "t");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn of_databases(
        source: &'src Connection,
        source_database: &str,
        destination: Connection,
        destination_database: &str,
    ) -> Result<Self> {
        Self::begin(source, source_database, destination, destination_database, Location::caller())
    }

    fn begin(
        source: &'src Connection,
        from: &str,
        destination: Connection,
        to: &str,
        site: &'static Location<'static>,
    ) -> Result<Self> {
        let misuse = |reason| Error::new(ErrorKind::Misuse { reason });
        let name = |name: &str| CString::new(name).map_err(|_| misuse("the name of a database contains NUL"));
        let (from_name, to_name) = (name(from)?, name(to)?);
        if (from, to) == ("main", "main") && source.path().is_some_and(|path| destination.path() == Some(path)) {
            return Err(misuse("the source of a backup and its destination are the same file"));
        }
        let note = BackupNote {
            source_name: from.into(),
            destination_files: destination.db().files(),
            destination_page_size: page_size(&destination, to),
            is_destination_read_only: destination.is_readonly(to) == Some(true),
        };
        let raw = source.db().begin_backup(&from_name, destination, Connection::db, &to_name, note, site);
        Ok(Self { raw: raw?, source, progress: BackupProgress::default() })
    }

    /// Copies pages, at most this number; all that are left for [`u32::MAX`]. The last step commits the copy.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` and `SQLITE_LOCKED` ([`Error::is_busy`], [`Error::is_locked`]) if a lock of another connection lasts
    /// longer than the busy timeout, or if the source's own connection has a transaction open that writes: the step can
    /// be tried again. After other errors, the backup cannot go on: [`ErrorKind::PageSize`], `SQLITE_READONLY` for the
    /// destination, [`ErrorKind::NoMemory`], and errors of the files.
    ///
    /// C: [sqlite3_backup_step](https://sqlite.org/c3ref/backup_finish.html#sqlite3backupstep)
    pub fn step(&mut self, pages: u32) -> Result<BackupProgress> {
        if self.progress.is_done {
            return Ok(self.progress);
        }
        let before = self.progress.copied();
        let is_done = self.raw.step(i32::try_from(pages).unwrap_or(-1)).map_err(|fault| self.error(fault))?;
        let (page_count, remaining) = self.raw.counts();
        self.progress = BackupProgress { page_count, remaining, is_done, ..self.progress };
        if !is_done && self.progress.copied() < before + u64::from(pages) {
            self.progress.restarts += 1;
        }
        Ok(self.progress)
    }

    /// Returns the progress as of the last step.
    #[must_use]
    pub fn progress(&self) -> BackupProgress {
        self.progress
    }

    /// Runs steps until the backup is complete, or until the time limit of the pace. The closure is called after each
    /// step. Returns the progress: [`is_done`](BackupProgress::is_done) tells which it is. It can be called again.
    ///
    /// # Errors
    ///
    /// Those of [`step`](Self::step). With a time limit, a lock is an error only if it lasts until then.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::{Connection, data::{Backup, BackupPacing}};
    ///
    /// let source = Connection::open_in_memory()?;
    /// source.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))")?;
    /// let mut backup = Backup::new(&source, Connection::open_in_memory()?)?;
    /// let pacing = BackupPacing::new().pages_per_step(5).time_limit(Duration::from_secs(3600));
    /// let mut steps = 0;
    /// assert!(backup.run(pacing, |_| steps += 1)?.is_done);
    /// assert!(steps > 4);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn run(&mut self, pacing: BackupPacing, mut report: impl FnMut(BackupProgress)) -> Result<BackupProgress> {
        /// Pause before a step that found a lock is tried again, if the pace has none.
        const RETRY: Duration = Duration::from_millis(5);
        let began = Instant::now();
        let left = || pacing.time_limit.map(|limit| limit.saturating_sub(began.elapsed()));
        loop {
            let is_whole = self.progress.restarts >= pacing.restarts_max;
            let pages = if is_whole { u32::MAX } else { pacing.pages_per_step.max(1) };
            let pause = match self.step(pages) {
                Ok(progress) => {
                    report(progress);
                    if progress.is_done || left().is_some_and(|left| left.is_zero()) {
                        return Ok(progress);
                    }
                    pacing.pause
                }
                Err(error) if error.is_busy() || error.is_locked() => match left() {
                    None | Some(Duration::ZERO) => return Err(error),
                    Some(_) => pacing.pause.max(RETRY),
                },
                Err(error) => return Err(error),
            };
            let pause = left().map_or(pause, |left| pause.min(left));
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
    }

    /// Copies the pages that are left, and returns the connection of the destination.
    ///
    /// # Errors
    ///
    /// Those of [`step`](Self::step), after which the destination is closed and unchanged: before it is tried again, run
    /// [`step`](Self::step) until it is complete.
    ///
    /// C: [sqlite3_backup_finish](https://sqlite.org/c3ref/backup_finish.html#sqlite3backupfinish)
    pub fn finish(mut self) -> Result<Connection> {
        self.step(u32::MAX)?;
        self.end()
    }

    /// Ends the backup where it is, and returns the connection of the destination. If the backup was not complete, the
    /// destination is what it was before.
    ///
    /// # Errors
    ///
    /// The error of an earlier step after which the backup could not go on. The destination is then closed.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::Backup};
    ///
    /// let source = Connection::open_in_memory()?;
    /// source.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000))")?;
    /// let mut backup = Backup::new(&source, Connection::open_in_memory()?)?;
    /// backup.step(1)?;
    /// assert!(!backup.cancel()?.exists("SELECT 1 FROM sqlite_schema", ())?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn cancel(self) -> Result<Connection> {
        self.end()
    }

    fn end(self) -> Result<Connection> {
        self.raw.check_usable()?;
        let (result, destination, note) = self.raw.finish();
        let destination: Box<dyn Any> = destination;
        result.map_err(|fault| Error::from(fault).in_databases(|| note.destination_files))?;
        Ok(*destination.downcast::<Connection>().expect("`begin` stored a connection"))
    }

    #[cold]
    fn error(&self, fault: Fault) -> Error {
        let (error, note) = (Error::from(fault), self.raw.note());
        if error.code() == Some(ResultCode::READONLY)
            && !note.is_destination_read_only
            && let (Some(source), Some(destination)) =
                (page_size(self.source, &note.source_name), note.destination_page_size)
            && source != destination
        {
            return Error::new(ErrorKind::PageSize { source_bytes: source, destination_bytes: destination });
        }
        error.in_databases(|| self.source.db().files().into_iter().chain(note.destination_files.clone()).collect())
    }
}

fn page_size(connection: &Connection, database: &str) -> Option<u32> {
    connection.query_one(&format!("PRAGMA {}.page_size", quote_identifier(database)), ()).ok()
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Connection {
    /// Copies the main database to a file while it is in use, and calls the closure with the progress. The file is
    /// created; a database that it contains is replaced, unless the copy fails.
    ///
    /// [`vacuum_into`](Self::vacuum_into) writes a compact copy in one read transaction, and never replaces a file.
    /// [`Backup`] has the pace, and more.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) for the path, and of [`Backup::new`] and [`Backup::step`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("copy.db");
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// conn.backup_to(&path, |progress| println!("{} pages left", progress.remaining))?;
    /// assert_eq!(Connection::open(&path)?.query_one::<i64>("SELECT a FROM t", ())?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_backup](https://sqlite.org/c3ref/backup.html)
    #[track_caller]
    #[doc(alias("backup", "dump"))]
    pub fn backup_to(&self, path: impl AsRef<Path>, report: impl FnMut(BackupProgress)) -> Result<()> {
        let site = Location::caller();
        let destination = OpenOptions::new().open_at(path.as_ref().as_os_str(), site)?;
        let mut backup = Backup::begin(self, "main", destination, "main", site)?;
        backup.run(BackupPacing::new(), report)?;
        backup.finish()?.close()
    }

    /// Replaces the content of the main database by that of a database file, and calls the closure with the progress.
    /// The file is opened for reading only.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`] for the path, and of [`Backup::new`] and [`Backup::step`]. The connection is then
    /// closed, and its database unchanged.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a.db");
    /// Connection::open(&path)?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// // A copy in memory.
    /// let conn = Connection::open_in_memory()?.restore_from(&path, |_| {})?;
    /// assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ())?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[doc(alias("restore", "load"))]
    pub fn restore_from(self, path: impl AsRef<Path>, report: impl FnMut(BackupProgress)) -> Result<Self> {
        let site = Location::caller();
        let source = OpenOptions::new().read_only(true).open_at(path.as_ref().as_os_str(), site)?;
        let mut backup = Backup::begin(&source, "main", self, "main", site)?;
        backup.run(BackupPacing::new(), report)?;
        backup.finish()
    }

    /// Writes a compact copy of the main database to a new file, in one read transaction. Free pages are left out.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` if the file exists and is not empty, or within a transaction; [`ErrorKind::Path`] for a path that
    /// is empty or not Unicode.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("copy.db");
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// conn.vacuum_into(&path)?;
    /// assert_eq!(Connection::open(&path)?.query_one::<i64>("SELECT a FROM t", ())?, 1);
    /// assert!(conn.vacuum_into(&path).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [VACUUM INTO](https://sqlite.org/lang_vacuum.html#vacuum_with_an_into_clause)
    #[track_caller]
    pub fn vacuum_into(&self, path: impl AsRef<Path>) -> Result<()> {
        let bad_path = |reason| Error::new(ErrorKind::Path { reason });
        let path = path.as_ref().to_str().ok_or_else(|| bad_path("it is not Unicode"))?;
        let path = match path {
            "" => return Err(bad_path("it is empty")),
            _ if path.contains('\0') => return Err(bad_path("it contains NUL")),
            // These would be a database in memory, and a URI.
            _ if path == ":memory:" || path.starts_with("file:") => format!("./{path}"),
            _ => path.to_owned(),
        };
        self.prepare("VACUUM INTO ?")?.execute((path,))?;
        Ok(())
    }
}

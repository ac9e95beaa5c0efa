//! Counts and times of what connections do.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::observe::handles;
use crate::track::activity::{self, Timed, TimesTotal};
use crate::track::demand::Demand;
use crate::track::registry::ConnectionInfo;
use crate::track::{counts, open_files};

/// Executions, commits and waits for locks of all connections since the process began.
///
/// Times are taken while a [`Timings`] exists, as it describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivityStats {
    /// Number of executions of statements that have ended.
    pub executions: u64,
    /// Number of transactions committed: by `COMMIT`, and by writing statements outside of a transaction
    /// except pragmas. A transaction that foreign code ends through the raw handle is not counted.
    pub commits: u64,
    /// Number of calls that failed with `SQLITE_BUSY` or `SQLITE_LOCKED`, after the busy timeout if there is one.
    /// finalite tries some of them again.
    pub busy: u64,
    /// Number of pauses before finalite tried again to get a lock: in [`Pool::write`](crate::pool::Pool::write), in
    /// switching the journal mode, and within a [deadline](crate::Connection::deadline). SQLite's own waits within the
    /// busy timeout are part of [`write_lock_times`](Self::write_lock_times).
    pub lock_retries: u64,
    /// Sum of these pauses.
    pub lock_retry_wait: Duration,
    /// Number of slow executions: see [`SlowExecution`].
    pub slow: u64,
    /// Times of executions, from the first step to the reset. They include the time that the program takes between two
    /// rows.
    pub execution_times: TimeHistogram,
    /// Times of the executions of `COMMIT` and `RELEASE`.
    pub commit_times: TimeHistogram,
    /// Times of the executions of `BEGIN IMMEDIATE` and `BEGIN EXCLUSIVE`, which wait for the lock for writing.
    pub write_lock_times: TimeHistogram,
}

/// Durations, counted by their power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeHistogram {
    /// Element n counts the durations of less than 2^n microseconds that no element before it counts; the last element
    /// counts all others.
    pub counts: [u64; activity::CLASSES],
    /// Sum of the durations.
    pub sum: Duration,
}

impl TimeHistogram {
    fn new(TimesTotal { classes, nanoseconds }: TimesTotal) -> Self {
        Self { counts: classes, sum: Duration::from_nanos(nanoseconds) }
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the duration that no duration of an element exceeds, `None` for the last element.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::stats::TimeHistogram;
    ///
    /// assert_eq!(TimeHistogram::bound(10), Some(Duration::from_micros(1024)));
    /// assert_eq!(TimeHistogram::bound(27), None);
    /// ```
    #[must_use]
    pub fn bound(element: usize) -> Option<Duration> {
        (element + 1 < activity::CLASSES).then(|| Duration::from_micros(1 << element))
    }
}

/// Request to time the executions of all connections while this value exists.
///
/// Statements that write, and those that begin or end a transaction, are timed each time. Of the executions that only
/// read, one in eight of each thread is timed, and counts for eight: reading the clock twice takes a tenth of a cached
/// lookup.
///
/// # Example
///
/// ```
/// use finalite::{Connection, stats};
///
/// let timings = stats::Timings::start();
/// let before = stats::snapshot().activity.execution_times.count();
/// Connection::open_in_memory()?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
/// assert!(stats::snapshot().activity.execution_times.count() >= before + 2);
/// drop(timings);
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the timing"]
pub struct Timings {
    _demand: Demand,
}

impl Timings {
    /// Starts timing.
    pub fn start() -> Self {
        Self { _demand: activity::TIMING.start() }
    }
}

/// Execution that took at least the threshold of its connection
/// ([`set_slow_threshold`](crate::Connection::set_slow_threshold)); without one, and while a [`Timings`] exists, 100 ms.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowExecution {
    /// Id of the connection.
    pub connection: u64,
    /// Source location that prepared the statement or, for a statement of a guard, opened the transaction.
    pub prepared_at: &'static Location<'static>,
    /// Duration of the execution.
    pub took: Duration,
    /// Time since the execution ended.
    pub age: Duration,
    /// SQL, at most the first 256 bytes; never a bound value.
    pub sql: Box<str>,
}

impl From<activity::Slow> for SlowExecution {
    fn from(activity::Slow { connection, sql, site, took, ended }: activity::Slow) -> Self {
        Self { connection, prepared_at: site, took, age: ended.elapsed(), sql }
    }
}

/// Database file that connections have open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// Absolute path of the file.
    pub path: PathBuf,
    /// Number of connections of finalite that have it open.
    pub connections: u64,
    /// Size of its write-ahead log (the file `-wal`) in bytes; `None` if there is none. SQLite does not shorten the log
    /// when it is copied to the database, but overwrites it.
    pub wal_bytes: Option<u64>,
}

impl DatabaseStats {
    /// Returns the file's name, without the directory.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

pub(super) fn activity(slow: u64) -> ActivityStats {
    let (lock_retries, lock_retry_wait) = activity::lock_retries();
    let times = |timed| TimeHistogram::new(activity::times(timed));
    ActivityStats {
        executions: handles::closed().of(handles::HandleKind::Rows),
        commits: counts::commits_total(),
        busy: activity::busy_total(),
        lock_retries,
        lock_retry_wait,
        slow,
        execution_times: times(Timed::Execution),
        commit_times: times(Timed::Commit),
        write_lock_times: times(Timed::WriteLock),
    }
}

/// Returns the database files of these connections, by path.
pub(super) fn databases<'a>(infos: impl Iterator<Item = &'a ConnectionInfo>) -> Vec<DatabaseStats> {
    let mut connections: BTreeMap<Box<CStr>, u64> = BTreeMap::new();
    for path in infos.flat_map(ConnectionInfo::paths) {
        *connections.entry(path).or_default() += 1;
    }
    let database = |(path, connections): (Box<CStr>, u64)| DatabaseStats {
        wal_bytes: open_files::log_bytes(&path),
        path: to_path(&path),
        connections,
    };
    connections.into_iter().map(database).collect()
}

#[cfg(unix)]
fn to_path(path: &CStr) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())).into()
}

#[cfg(not(unix))]
fn to_path(path: &CStr) -> PathBuf {
    Path::new(&*path.to_string_lossy()).into()
}

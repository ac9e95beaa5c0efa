//! Leak checks for tests.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::handles::{self, ForgottenHandle, HandleCounts, OpenHandle};
use super::{memory, process};
use crate::Connection;
use crate::raw::allocator;
use crate::track::demand::Demand;
use crate::track::registry::{self, ConnectionInfo};

/// Asserts that all handles opened by a test are closed and all memory allocated by SQLite is freed.
///
/// [`new`](Self::new) checks the whole process: handles, native bytes and blocks, file descriptors, threads. Such a
/// test must run alone in its process: in a test binary of its own with one `#[test]`, or with `--test-threads=1`.
/// [`for_connection`](Self::for_connection) checks one connection and suits tests that run in parallel.
///
/// [`finish`](Self::finish) returns a report. Dropping the check instead panics if it finds a leak, unless the thread
/// is already panicking.
///
/// While a check exists, handles are recorded at any [`TrackingLevel`](crate::handles::TrackingLevel), so that
/// the report can name the source lines that opened them.
///
/// # Example
///
/// ```
/// use finalite::{Connection, LeakCheck};
///
/// let check = LeakCheck::new();
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a)", ())?;
/// drop(conn);
/// let report = check.finish();
/// assert!(report.is_clean(), "{report}");
///
/// let check = LeakCheck::new();
/// let conn = Connection::open_in_memory()?;
/// std::mem::forget(conn.prepare("SELECT 1")?);
/// drop(conn);
/// let report = check.finish();
/// assert!(report.to_string().contains("statement of connection"));
/// # Ok::<(), finalite::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping it at once checks nothing"]
pub struct LeakCheck {
    scope: Scope,
    /// Handles with a smaller id were open before the check began.
    first_id: u64,
    first_forgotten: u64,
    is_finished: bool,
    _demand: Demand,
}

#[derive(Debug)]
enum Scope {
    Process(ProcessSnapshot),
    Connection { id: u64, site: &'static Location<'static>, info: Arc<ConnectionInfo>, forgotten: u64 },
}

/// Resources held by the process at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessSnapshot {
    /// Open handles of finalite.
    pub handles: HandleCounts,
    /// Bytes allocated by SQLite, see [`memory::stats`].
    pub native_bytes: u64,
    /// Blocks allocated by SQLite.
    pub native_blocks: u64,
    /// Targets of the open file descriptors, sorted. Empty where the operating system does not provide them (Linux
    /// does).
    pub descriptors: Vec<Box<str>>,
    /// Number of threads. 0 where the operating system does not provide it (Linux does).
    pub threads: usize,
}

impl ProcessSnapshot {
    /// Takes a snapshot of the current process.
    #[must_use]
    pub fn now() -> Self {
        let stats = memory::stats();
        Self {
            handles: handles::counts(),
            native_bytes: stats.bytes,
            native_blocks: stats.blocks,
            descriptors: process::descriptors().unwrap_or_default(),
            threads: process::threads().unwrap_or(0),
        }
    }
}

impl Default for LeakCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl LeakCheck {
    /// Starts a check of the whole process.
    pub fn new() -> Self {
        Self::watch(Scope::Process(ProcessSnapshot::now()))
    }

    /// Starts a check of one connection, which must be closed before the check ends. The check fails if a handle made
    /// from the connection was forgotten, or if memory is still charged to the connection. It does not cover
    /// descriptors and threads, which belong to no connection.
    ///
    /// Connections to one file share some memory until the last of them closes: close all of them before the check
    /// ends.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, LeakCheck};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let check = LeakCheck::for_connection(&conn);
    /// conn.query_one::<i64>("SELECT 1", ())?;
    /// conn.close()?;
    /// drop(check); // panics if something is left
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn for_connection(conn: &Connection) -> Self {
        let db = conn.db();
        let info = Arc::clone(db.info());
        Self::watch(Scope::Connection { id: db.id(), site: db.site(), forgotten: info.forgotten(), info })
    }

    fn watch(scope: Scope) -> Self {
        Self {
            scope,
            first_id: registry::new_id(),
            first_forgotten: registry::forgotten_count(),
            is_finished: false,
            _demand: registry::RECORDING.start(),
        }
    }

    /// Ends the check and returns the report.
    pub fn finish(mut self) -> LeakReport {
        self.is_finished = true;
        self.report()
    }

    fn report(&self) -> LeakReport {
        let mut forgotten = registry::forgotten_since(self.first_forgotten);
        let (leaks, open, forgotten_count) = match &self.scope {
            Scope::Process(before) => {
                wait_for_threads(before.threads);
                let now = ProcessSnapshot::now();
                let has_new_rows = now.handles.rows > before.handles.rows;
                let mut open = handles::list().records;
                open.retain(|record| record.id > self.first_id || (has_new_rows && record.running.is_some()));
                (grown(before, &now), open, registry::forgotten_count().saturating_sub(self.first_forgotten))
            }
            Scope::Connection { id, site, info, forgotten: before } => {
                forgotten.retain(|forgotten| forgotten.connection == *id);
                let mut leaks = Vec::new();
                if !info.is_closed() {
                    let which = vec![format!("connection {id} opened at {site}").into()];
                    leaks.push(Leak { which, ..Leak::new("connections", 0, 1) });
                } else if let Some(left) = allocator::lingering().find(|left| left.connection == *id) {
                    leaks.push(Leak::new("native bytes", 0, left.memory.bytes));
                    leaks.push(Leak::new("native blocks", 0, left.memory.blocks));
                }
                (leaks, handles::of_connection(info), info.forgotten().saturating_sub(*before))
            }
        };
        LeakReport { leaks, open, forgotten: forgotten.into_iter().map(Into::into).collect(), forgotten_count }
    }
}

impl Drop for LeakCheck {
    /// Runs the check, unless [`finish`](LeakCheck::finish) has.
    ///
    /// # Panics
    ///
    /// If there is a leak and the thread is not already panicking.
    fn drop(&mut self) {
        if self.is_finished || thread::panicking() {
            return;
        }
        let report = self.report();
        assert!(report.is_clean(), "{report}");
    }
}

/// Result of a [`LeakCheck`].
#[derive(Clone, Debug)]
pub struct LeakReport {
    leaks: Vec<Leak>,
    open: Vec<OpenHandle>,
    forgotten: Vec<ForgottenHandle>,
    /// Total number; only the last 256 are kept in `forgotten`.
    forgotten_count: u64,
}

/// A resource whose number has grown.
#[derive(Clone, Debug)]
struct Leak {
    what: Box<str>,
    before: u64,
    after: u64,
    /// Descriptions of the individual leaked resources, where known.
    which: Vec<Box<str>>,
}

impl Leak {
    fn new(what: &str, before: u64, after: u64) -> Self {
        Self { what: what.into(), before, after, which: Vec::new() }
    }
}

impl LeakReport {
    /// Whether there is no leak: no number has grown, no handle opened during the check is still open, and no handle
    /// was forgotten.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.leaks.is_empty() && self.open.is_empty() && self.forgotten_count == 0
    }

    /// Returns the handles that were opened during the check and are still open, with the source lines that opened
    /// them.
    #[must_use]
    pub fn open(&self) -> &[OpenHandle] {
        &self.open
    }

    /// Returns the handles that were forgotten during the check and ended by finalite, 256 at most.
    #[must_use]
    pub fn forgotten(&self) -> &[ForgottenHandle] {
        &self.forgotten
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("nothing is left");
        }
        f.write_str("something is left:")?;
        for Leak { what, before, after, which } in &self.leaks {
            write!(f, "\n  {what}: {before} before, {after} after")?;
            for one in which {
                write!(f, "\n    {one}")?;
            }
        }
        for record in &self.open {
            write!(f, "\n  open: {record}")?;
        }
        for group in self.forgotten.chunk_by(ForgottenHandle::is_alike) {
            let times = if group.len() > 1 { format!("{} times ", group.len()) } else { String::new() };
            write!(f, "\n  forgotten: {times}{}", group[0])?;
        }
        match self.forgotten_count.saturating_sub(self.forgotten.len() as u64) {
            0 => Ok(()),
            more => write!(f, "\n  forgotten: {more} more"),
        }
    }
}

/// Returns the resources whose number has grown. A smaller number is not a leak: the test closed handles that were open
/// before.
fn grown(before: &ProcessSnapshot, after: &ProcessSnapshot) -> Vec<Leak> {
    let mut leaks: Vec<Leak> = before
        .handles
        .by_kind()
        .zip(after.handles.by_kind())
        .map(|((kind, before), (_, after))| Leak::new(&kind.replace('_', " "), before, after))
        .collect();
    leaks.push(Leak::new("native bytes", before.native_bytes, after.native_bytes));
    leaks.push(Leak::new("native blocks", before.native_blocks, after.native_blocks));
    leaks.push(Leak::new("threads", before.threads as u64, after.threads as u64));
    leaks.retain(|leak| leak.after > leak.before);

    let mut which = after.descriptors.clone();
    for known in &before.descriptors {
        if let Some(at) = which.iter().position(|one| one == known) {
            which.swap_remove(at);
        }
    }
    if !which.is_empty() {
        let (before, after) = (before.descriptors.len() as u64, after.descriptors.len() as u64);
        leaks.push(Leak { which, ..Leak::new("file descriptors", before, after) });
    }
    leaks
}

/// Waits until the number of threads has fallen to the expected one, for at most one second. The operating system lists
/// a joined thread for a short time after the join.
fn wait_for_threads(expected: usize) {
    const LONGEST: Duration = Duration::from_secs(1);
    let start = Instant::now();
    while process::threads().unwrap_or(0) > expected && start.elapsed() < LONGEST {
        thread::sleep(Duration::from_millis(1));
    }
}

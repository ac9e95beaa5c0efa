//! Asserting in a test that nothing is left.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::Connection;
use crate::handles::{self, ForgottenHandle, HandleCounts, OpenHandle};
use crate::memory;
use crate::process;
use crate::raw::allocator;
use crate::raw::registry::{self, Book, Demand};

/// Asserts that what a test opened is closed, and what SQLite allocated is freed.
///
/// [`new`](Self::new) watches the whole process: handles, native bytes and blocks, file descriptors, threads. Its test
/// must have the process to itself: a test binary of its own with one `#[test]`, or `--test-threads=1`.
/// [`for_connection`](Self::for_connection) watches one connection and suits tests that run in parallel.
///
/// [`finish`](Self::finish) returns a report. Dropping the check instead panics if something is left, unless the thread
/// is panicking already.
///
/// While a check lives, handles are recorded whatever the [`TrackingLevel`](crate::handles::TrackingLevel) is, so that the report can
/// name the lines that opened them.
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
    /// Handles with a smaller id were open before.
    first_id: u64,
    first_forgotten: u64,
    is_finished: bool,
    _demand: Demand,
}

#[derive(Debug)]
enum Scope {
    Process(ProcessSnapshot),
    Connection { id: u64, site: &'static Location<'static>, book: Arc<Book>, forgotten: u64 },
}

/// What the process holds at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessSnapshot {
    /// finalite's handles.
    pub handles: HandleCounts,
    /// Bytes that SQLite holds, see [`memory::stats`].
    pub native_bytes: u64,
    /// Blocks that SQLite holds.
    pub native_blocks: u64,
    /// What the open file descriptors refer to, sorted. Empty where the system does not tell (it does on Linux).
    pub descriptors: Vec<Box<str>>,
    /// Threads. 0 where the system does not tell (it does on Linux).
    pub threads: usize,
}

impl ProcessSnapshot {
    /// What the process holds now.
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
    /// Watches the process, from now on.
    pub fn new() -> Self {
        Self::watch(Scope::Process(ProcessSnapshot::now()))
    }

    /// Watches one connection, until it is closed: by then nothing made from it may have been forgotten, and nothing
    /// may be left of its memory. It says nothing of descriptors and threads, which have no owner.
    ///
    /// Connections to one file share some memory until the last of them closes: close them all before the check ends.
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
        let book = Arc::clone(db.book());
        Self::watch(Scope::Connection { id: db.id(), site: db.site(), forgotten: book.forgotten(), book })
    }

    fn watch(scope: Scope) -> Self {
        Self {
            scope,
            first_id: registry::new_id(),
            first_forgotten: registry::forgotten_count(),
            is_finished: false,
            _demand: Demand::new(),
        }
    }

    /// Ends the check and returns what it found.
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
            Scope::Connection { id, site, book, forgotten: before } => {
                forgotten.retain(|forgotten| forgotten.connection == *id);
                let mut leaks = Vec::new();
                if !book.is_closed() {
                    let which = vec![format!("connection {id} opened at {site}").into()];
                    leaks.push(Leak { which, ..Leak::new("connections", 0, 1) });
                } else if let Some(left) = allocator::lingering().find(|left| left.connection == *id) {
                    leaks.push(Leak::new("native bytes", 0, left.memory.bytes));
                    leaks.push(Leak::new("native blocks", 0, left.memory.blocks));
                }
                (leaks, handles::of_book(book), book.forgotten().saturating_sub(*before))
            }
        };
        LeakReport { leaks, open, forgotten: forgotten.into_iter().map(Into::into).collect(), forgotten_count }
    }
}

impl Drop for LeakCheck {
    /// # Panics
    ///
    /// If something is left and the thread is not panicking already.
    fn drop(&mut self) {
        if self.is_finished || thread::panicking() {
            return;
        }
        let report = self.report();
        assert!(report.is_clean(), "{report}");
    }
}

/// What a [`LeakCheck`] found.
#[derive(Clone, Debug)]
pub struct LeakReport {
    leaks: Vec<Leak>,
    open: Vec<OpenHandle>,
    forgotten: Vec<ForgottenHandle>,
    /// There may be more of them than are kept.
    forgotten_count: u64,
}

/// Something of which there is more than before.
#[derive(Clone, Debug)]
struct Leak {
    what: Box<str>,
    before: u64,
    after: u64,
    /// Which ones, where that is known.
    which: Vec<Box<str>>,
}

impl Leak {
    fn new(what: &str, before: u64, after: u64) -> Self {
        Self { what: what.into(), before, after, which: Vec::new() }
    }
}

impl LeakReport {
    /// Whether nothing is left: of nothing is there more than before, nothing that was opened is open still, and
    /// nothing was forgotten.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.leaks.is_empty() && self.open.is_empty() && self.forgotten_count == 0
    }

    /// The handles that were opened during the check and are open still, with the lines that opened them.
    #[must_use]
    pub fn open(&self) -> &[OpenHandle] {
        &self.open
    }

    /// The handles that were forgotten during the check and ended by finalite, 256 at most.
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

/// What there is more of. Less is no leak: the test closed what was there before.
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

/// A thread that was joined stays on the system's list for a moment.
fn wait_for_threads(expected: usize) {
    const LONGEST: Duration = Duration::from_secs(1);
    let start = Instant::now();
    while process::threads().unwrap_or(0) > expected && start.elapsed() < LONGEST {
        thread::sleep(Duration::from_millis(1));
    }
}

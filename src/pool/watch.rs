//! Watching tables for changes.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Pool, Role};
use crate::Connection;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::extend::Subscription;
use crate::raw::hook::{ChangeSink, Committed, End, Ending};
use crate::track::HandleKind;
use crate::track::registry::Tracked;

/// Changes of watched tables: one commit, or several that followed each other while nobody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Names of the tables that may have changed, sorted, as the schema writes them.
    pub tables: Vec<Box<str>>,
    /// Number of commits of the pool's connections.
    pub commits: u64,
    /// Whether [`Pool::poll_external_changes`] found changes of others: of which tables is not known, so that all
    /// watched ones are in the list.
    pub is_external: bool,
}

impl Change {
    /// Whether a table may have changed. The name is compared without case.
    #[must_use]
    pub fn has_table(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.eq_ignore_ascii_case(name))
    }

    fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Adds a later change.
    fn merge(&mut self, later: Self) {
        self.tables.extend(later.tables);
        self.tables.sort_unstable();
        self.tables.dedup();
        self.commits += later.commits;
        self.is_external |= later.is_external;
    }
}

/// A table, and whether SQLite reports no rows of it.
#[derive(Debug)]
struct Watched {
    name: Box<str>,
    is_without_rowid: bool,
}

/// Whoever watches.
struct Watcher {
    tables: Vec<Watched>,
    delivery: Delivery,
}

enum Delivery {
    /// To the owner of a `Watch`, who asks.
    Pending { change: Mutex<Waiting>, changed: Condvar },
    /// To a closure, on the thread that has committed.
    Closure(Box<dyn Fn(&Change) + Send + Sync>),
}

#[derive(Default)]
struct Waiting {
    change: Change,
    is_closed: bool,
    /// The task that has asked last, and found no change.
    waker: Option<Waker>,
}

impl Waiting {
    fn take(&mut self) -> Option<Change> {
        let change = std::mem::take(&mut self.change);
        (!change.is_empty()).then_some(change)
    }
}

/// Alters what a `Watch` waits for, and wakes whoever waits. No lock is held while a task is woken.
fn tell_waiting(waiting: &Mutex<Waiting>, changed: &Condvar, alter: impl FnOnce(&mut Waiting)) {
    let mut waiting = lock(waiting);
    alter(&mut waiting);
    let waker = waiting.waker.take();
    drop(waiting);
    changed.notify_all();
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Watcher {
    fn is_watching(&self, table: &str) -> bool {
        self.tables.iter().any(|watched| watched.name.eq_ignore_ascii_case(table))
    }

    /// Returns what a change means to this watcher.
    fn part(&self, has_changed: impl Fn(&Watched) -> bool) -> Change {
        let mut tables: Vec<Box<str>> =
            self.tables.iter().filter(|watched| has_changed(watched)).map(|watched| watched.name.clone()).collect();
        tables.sort_unstable();
        Change { tables, ..Change::default() }
    }

    /// Tells a change. No lock is held while the closure runs.
    fn tell(&self, change: Change) {
        match &self.delivery {
            Delivery::Pending { change: waiting, changed } => {
                tell_waiting(waiting, changed, |waiting| waiting.change.merge(change));
            }
            Delivery::Closure(closure) => closure(&change),
        }
    }

    fn close(&self) {
        if let Delivery::Pending { change, changed } = &self.delivery {
            tell_waiting(change, changed, |waiting| waiting.is_closed = true);
        }
    }
}

/// Locks. No code that may panic runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The watchers of a pool.
#[derive(Default)]
pub(super) struct Hub {
    state: Mutex<HubState>,
    /// Number of the set of watched tables, which the connections compare; 0 if nothing was ever watched.
    generation: AtomicU64,
}

#[derive(Default)]
struct HubState {
    watchers: Vec<Arc<Watcher>>,
    /// Whether a table may be another by now than the one that was looked up.
    has_changed_schema: bool,
    is_closed: bool,
    /// The writer's connection, and its `PRAGMA data_version` when it was last read.
    version: Option<(u64, i64)>,
}

impl Hub {
    fn add(&self, watcher: Arc<Watcher>) -> Result<()> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(Error::new(ErrorKind::PoolClosed));
        }
        state.watchers.push(watcher);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Returns whether the watcher was there.
    fn remove(&self, watcher: &Arc<Watcher>) -> bool {
        let mut state = lock(&self.state);
        let before = state.watchers.len();
        let mut removed = None;
        if let Some(place) = state.watchers.iter().position(|other| Arc::ptr_eq(other, watcher)) {
            removed = Some(state.watchers.swap_remove(place));
            self.generation.fetch_add(1, Ordering::Release);
        }
        let was_there = state.watchers.len() < before;
        drop(state);
        // A closure of the program, whose Drop may do anything.
        drop(removed);
        was_there
    }

    /// Ends all watchers: the pool is closed.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        for watcher in &watchers {
            watcher.close();
        }
    }

    /// Has a connection tell its commits, if the watched tables are others than those that it knows.
    pub(super) fn sync(self: &Arc<Self>, conn: &Connection, role: Role) -> Result<()> {
        let generation = self.generation.load(Ordering::Acquire);
        if role == Role::Reader || generation == 0 || conn.db().changes_generation() == generation {
            return Ok(());
        }
        let has_watchers = !lock(&self.state).watchers.is_empty();
        if !has_watchers && conn.db().changes_generation() == 0 {
            return Ok(());
        }
        let sink = has_watchers.then(|| Arc::clone(self) as Arc<dyn ChangeSink>);
        Ok(conn.db().watch_changes(sink, generation)?)
    }

    /// Tells each watcher its part of a change.
    fn tell(&self, commits: u64, is_external: bool, has_changed: impl Fn(&Watched, &HubState) -> bool) {
        let state = lock(&self.state);
        let parts: Vec<_> = state
            .watchers
            .iter()
            .map(|watcher| {
                let part = watcher.part(|watched| has_changed(watched, &state));
                (Arc::clone(watcher), Change { commits, is_external, ..part })
            })
            .filter(|(_, change)| !change.is_empty())
            .collect();
        drop(state);
        for (watcher, change) in parts {
            watcher.tell(change);
        }
    }
}

impl ChangeSink for Hub {
    fn is_watched(&self, table: &str) -> bool {
        lock(&self.state).watchers.iter().any(|watcher| watcher.is_watching(table))
    }

    fn committed(&self, commit: &Committed) {
        if commit.has_schema {
            lock(&self.state).has_changed_schema = true;
        }
        self.tell(1, false, |watched, state| {
            let is_unreported = commit.has_unreported && (watched.is_without_rowid || state.has_changed_schema);
            let is_reported = || commit.tables.iter().any(|table| table.eq_ignore_ascii_case(&watched.name));
            commit.has_schema || is_unreported || is_reported()
        });
    }
}

/// A watch on tables of a pool's database: an iterator whose [`next`](Iterator::next) waits for the next change. From
/// [`Pool::watch`] and [`Pool::watch_query`]. Dropping it ends the watch.
///
/// It has room for one change: commits that follow each other before it is asked are one [`Change`]. It can be sent to
/// another thread. The iterator ends when the pool is closed or [shut down](Pool::shut_down), after the last change.
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    hub: Weak<Hub>,
    watcher: Arc<Watcher>,
    _tracked: Tracked,
}

impl Watch {
    fn waiting(&self) -> (&Mutex<Waiting>, &Condvar) {
        match &self.watcher.delivery {
            Delivery::Pending { change, changed } => (change, changed),
            Delivery::Closure(_) => unreachable!("a `Watch` is made with the other variant"),
        }
    }

    /// Returns the change since the last one; `None` if there is none.
    pub fn try_next(&self) -> Option<Change> {
        lock(self.waiting().0).take()
    }

    /// Returns the next change, or has the task woken when there is one: for a `Stream` of an async program. It is
    /// `Ready(None)` when the pool is closed. The task that has asked last is woken.
    ///
    /// # Example
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// use finalite::pool::Pool;
    ///
    /// let pool = Pool::in_memory("poll_next").build()?;
    /// pool.writer()?.execute_batch("CREATE TABLE t(a)")?;
    /// let watch = pool.watch(["t"])?;
    /// let mut task = Context::from_waker(Waker::noop());
    /// assert!(watch.poll_next(&mut task).is_pending());
    /// pool.writer()?.execute("INSERT INTO t VALUES (1)", ())?;
    /// assert!(matches!(watch.poll_next(&mut task), Poll::Ready(Some(change)) if change.has_table("t")));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn poll_next(&self, task: &mut Context<'_>) -> Poll<Option<Change>> {
        let mut waiting = lock(self.waiting().0);
        if let Some(change) = waiting.take() {
            return Poll::Ready(Some(change));
        }
        if waiting.is_closed {
            return Poll::Ready(None);
        }
        let former = waiting.waker.replace(task.waker().clone());
        drop(waiting);
        // Code of the executor.
        drop(former);
        Poll::Pending
    }

    /// Waits for the next change, at most for the given time. Returns `None` after it, and when the pool is closed.
    pub fn next_within(&self, longest: Duration) -> Option<Change> {
        self.wait(Instant::now().checked_add(longest))
    }

    fn wait(&self, until: Option<Instant>) -> Option<Change> {
        let (waiting, changed) = self.waiting();
        let mut waiting = lock(waiting);
        while waiting.change.is_empty() && !waiting.is_closed {
            waiting = match until {
                None => changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        waiting.take()
    }

    /// Returns the names of the watched tables, as the schema writes them.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.watcher.tables.iter().map(|watched| &*watched.name)
    }
}

impl Iterator for Watch {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        self.wait(None)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.remove(&self.watcher);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("tables", &self.watcher.tables).finish_non_exhaustive()
    }
}

/// The end of a closure of [`Pool::on_change`].
struct EndOfClosure {
    hub: Weak<Hub>,
    watcher: Weak<Watcher>,
}

impl End for EndOfClosure {
    fn end(&self) -> bool {
        match (self.hub.upgrade(), self.watcher.upgrade()) {
            (Some(hub), Some(watcher)) => hub.remove(&watcher),
            _ => false,
        }
    }

    fn is_ended(&self) -> bool {
        self.watcher.strong_count() == 0
    }
}

/// Counts a watch as an open handle, and records it with the writer's connection, if records are kept.
fn track(
    conn: &Connection,
    kind: HandleKind,
    name: &str,
    tables: &[Watched],
    site: &'static Location<'static>,
) -> Tracked {
    let tables: Vec<&str> = tables.iter().map(|table| &*table.name).collect();
    conn.db().track(kind, site, &format!("{name} {}", tables.join(", ")))
}

impl Pool {
    /// Watches tables of the main database. Each commit of the pool's connections that changes one is told, with the
    /// tables.
    ///
    /// The writer is checked out for the call, which waits for it. A connection that is [reserved](Self::reserve) at
    /// that time is not watched.
    ///
    /// # Accuracy
    ///
    /// Told are tables that may have changed; it may be that they have not:
    ///
    /// - A row that was changed and restored, or changed in a savepoint that was rolled back, is a change.
    /// - A change of the schema counts for all watched tables.
    /// - Changes of `WITHOUT ROWID` tables are not reported by SQLite, but counted. A commit that changes one tells all
    ///   watched tables of this kind.
    ///
    /// A `DELETE` without `WHERE` deletes the rows of a watched table one by one, so that SQLite reports them. Rows that
    /// `REPLACE`, a trigger or a foreign key deletes are told. Not told are changes by connections outside of the pool
    /// (see [`poll_external_changes`](Self::poll_external_changes)), and by foreign code through a raw handle that
    /// replaces the hooks. Virtual tables cannot be watched; their shadow tables can.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] for a name that is no table, [`ErrorKind::Misuse`] for a view or a virtual table; the
    /// errors of [`writer`](Self::writer), which include that the pool is closed.
    ///
    /// # Example
    ///
    /// ```
    /// use std::{sync::Arc, thread};
    /// use finalite::pool::Pool;
    ///
    /// let pool = Arc::new(Pool::in_memory("watch").build()?);
    /// pool.writer()?.execute_batch("CREATE TABLE job(work TEXT); CREATE TABLE log(line TEXT)")?;
    /// let watch = pool.watch(["job"])?;
    /// let reading = Arc::clone(&pool);
    /// let worker = thread::spawn(move || {
    ///     let mut seen = 0;
    ///     for change in watch {
    ///         assert!(change.has_table("job"));
    ///         seen = reading.reader()?.query_one::<i64>("SELECT count(*) FROM job", ())?;
    ///         if seen == 2 {
    ///             break;
    ///         }
    ///     }
    ///     Ok::<i64, finalite::Error>(seen)
    /// });
    /// pool.writer()?.execute("INSERT INTO job VALUES ('a')", ())?;
    /// pool.writer()?.execute("INSERT INTO job VALUES ('b')", ())?;
    /// assert_eq!(worker.join().unwrap()?, 2);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias("observe", "observation", "subscribe", "notify"))]
    pub fn watch<T: AsRef<str>>(&self, tables: impl IntoIterator<Item = T>) -> Result<Watch> {
        self.watch_on(&*self.writer()?, tables)
    }

    /// Watches tables like [`watch`](Self::watch), with this connection of the pool for writing.
    #[track_caller]
    pub(crate) fn watch_on<T: AsRef<str>>(
        &self,
        conn: &Connection,
        tables: impl IntoIterator<Item = T>,
    ) -> Result<Watch> {
        let tables = named(conn, tables)?;
        self.start_watch(conn, tables, Location::caller())
    }

    /// Watches the tables of the main database that a query reads, also through views. See [`watch`](Self::watch).
    ///
    /// # Errors
    ///
    /// The error of preparing the query, [`ErrorKind::Misuse`] if it reads no table or a virtual table, and the errors
    /// of [`watch`](Self::watch).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::pool::Pool;
    ///
    /// let pool = Pool::in_memory("watch_query").build()?;
    /// pool.writer()?.execute_batch(
    ///     "CREATE TABLE sale(cents); CREATE TABLE log(line); CREATE VIEW total AS SELECT sum(cents) AS cents FROM sale",
    /// )?;
    /// let watch = pool.watch_query("SELECT cents FROM total")?;
    /// assert_eq!(watch.tables().collect::<Vec<_>>(), ["sale"]);
    /// pool.writer()?.execute("INSERT INTO log VALUES ('nothing')", ())?;
    /// assert!(watch.try_next().is_none());
    /// pool.writer()?.execute("INSERT INTO sale VALUES (100)", ())?;
    /// assert!(watch.try_next().is_some());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    pub fn watch_query(&self, sql: &str) -> Result<Watch> {
        self.watch_query_on(&*self.writer()?, sql)
    }

    /// Watches tables like [`watch_query`](Self::watch_query), with this connection of the pool for writing.
    #[track_caller]
    pub(crate) fn watch_query_on(&self, conn: &Connection, sql: &str) -> Result<Watch> {
        let (prepared, mut names) = conn.db().tables_read(|| conn.prepare(sql).map(drop))?;
        prepared?;
        names.extend(opened(conn, sql)?);
        let tables = read(conn, &names)?;
        self.start_watch(conn, tables, Location::caller())
    }

    /// Calls a closure for each commit that changes one of these tables, on the thread that has committed, before the
    /// call that committed returns. Dropping the subscription ends it; a call that is running on another thread runs to
    /// its end. See [`watch`](Self::watch) for what is told.
    ///
    /// The closure may read through other connections of the pool. It must not ask for the writer, which its thread has.
    /// The call that committed resumes its panic.
    ///
    /// # Errors
    ///
    /// See [`watch`](Self::watch).
    #[track_caller]
    pub fn on_change<T: AsRef<str>>(
        &self,
        tables: impl IntoIterator<Item = T>,
        f: impl Fn(&Change) + Send + Sync + 'static,
    ) -> Result<Subscription> {
        let conn = self.writer()?;
        let tables = named(&conn, tables)?;
        let tracked = track(&conn, HandleKind::Callback, "on_change", &tables, Location::caller());
        let closure = move |change: &Change| {
            let _tracked = &tracked;
            f(change);
        };
        let watcher = Arc::new(Watcher { tables, delivery: Delivery::Closure(Box::new(closure)) });
        let ending = EndOfClosure { hub: Arc::downgrade(&self.hub), watcher: Arc::downgrade(&watcher) };
        self.start(&conn, &watcher)?;
        Ok(Subscription::new(Ending(Arc::new(ending))))
    }

    fn start_watch(&self, conn: &Connection, tables: Vec<Watched>, site: &'static Location<'static>) -> Result<Watch> {
        let tracked = track(conn, HandleKind::Watch, "watch", &tables, site);
        let delivery = Delivery::Pending { change: Mutex::default(), changed: Condvar::new() };
        let watcher = Arc::new(Watcher { tables, delivery });
        self.start(conn, &watcher)?;
        Ok(Watch { hub: Arc::downgrade(&self.hub), watcher, _tracked: tracked })
    }

    /// Adds a watcher, and has the writer tell its commits.
    fn start(&self, conn: &Connection, watcher: &Arc<Watcher>) -> Result<()> {
        self.hub.add(Arc::clone(watcher))?;
        let started = self.hub.sync(conn, Role::Writer).and_then(|()| self.note_version(conn));
        started.map(drop).inspect_err(|_| _ = self.hub.remove(watcher))
    }

    /// Checks whether a connection outside of the pool has committed since the last check, or since the first watch.
    /// If so, all watched tables are told as changed ([`Change::is_external`]). Returns whether.
    ///
    /// SQLite does not tell other processes' commits by itself: call this from time to time. Commits of reserved
    /// connections of the pool count as well, and so does a writer's connection that was replaced. The writer is checked
    /// out for the call.
    ///
    /// # Errors
    ///
    /// Those of [`writer`](Self::writer), and of reading the database file.
    ///
    /// C: [PRAGMA data_version](https://sqlite.org/pragma.html#pragma_data_version)
    #[track_caller]
    #[doc(alias = "data_version")]
    pub fn poll_external_changes(&self) -> Result<bool> {
        let conn = self.writer()?;
        let has_changed = self.note_version(&conn)?;
        drop(conn);
        if has_changed {
            self.hub.tell(0, true, |_, _| true);
        }
        Ok(has_changed)
    }

    /// Notes the version of the database that the writer sees. Returns whether it differs from the one before.
    fn note_version(&self, conn: &Connection) -> Result<bool> {
        let version = (conn.db().id(), conn.query_one("PRAGMA data_version", ())?);
        let before = lock(&self.hub.state).version.replace(version);
        Ok(before.is_some_and(|before| before != version))
    }
}

/// Looks up a table of the main database: its name, its type, and whether it is without rowid.
fn look_up(conn: &Connection, name: &str) -> Result<Option<(String, String, bool)>> {
    let sql = "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE";
    conn.query_optional(sql, (name,))
}

const VIRTUAL: &str = "SQLite does not report the changes of a virtual table: watch its shadow tables";

/// Looks up tables that the caller has named.
fn named<T: AsRef<str>>(conn: &Connection, names: impl IntoIterator<Item = T>) -> Result<Vec<Watched>> {
    let mut tables: Vec<Watched> = Vec::new();
    for name in names {
        let name = name.as_ref();
        let misuse = |reason| Err(Error::new(ErrorKind::Misuse { reason }));
        match look_up(conn, name)? {
            None => {
                let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'";
                let known = conn.query_all::<String>(sql, ())?.into_iter().map(Into::into).collect();
                return Err(Error::new(ErrorKind::NoSuch { what: NameKind::Table, name: name.into(), known }));
            }
            Some((_, kind, _)) if kind == "view" => {
                return misuse("a view has no rows of its own: `watch_query` watches the tables that it reads");
            }
            Some((_, kind, _)) if kind == "virtual" => return misuse(VIRTUAL),
            Some((name, _, is_without_rowid)) => tables.push(Watched { name: name.into(), is_without_rowid }),
        }
    }
    finished(tables)
}

/// Returns the tables of the main database that the program of a query opens. SQLite asks the authorizer for the
/// columns that the SQL names, but not for those of the second table of a `JOIN … USING`.
fn opened(conn: &Connection, sql: &str) -> Result<Vec<Box<str>>> {
    /// SQLite's number for the main database.
    const MAIN: i64 = 0;
    let mut roots = Vec::new();
    conn.read_bytecode(sql, &[], |instruction| {
        if instruction.code == "OpenRead" && instruction.p3 == MAIN {
            roots.push(instruction.p2);
        }
        ControlFlow::<()>::Continue(())
    })?;
    let mut names = Vec::new();
    for root in roots {
        let table = "SELECT tbl_name FROM main.sqlite_schema WHERE rootpage = ?";
        names.extend(conn.query_optional::<String>(table, (root,))?.map(Into::into));
    }
    Ok(names)
}

/// Looks up tables that a query reads.
fn read(conn: &Connection, names: &[Box<str>]) -> Result<Vec<Watched>> {
    let mut tables = Vec::new();
    for name in names {
        match look_up(conn, name)? {
            Some((_, kind, _)) if kind == "virtual" => {
                return Err(Error::new(ErrorKind::Misuse { reason: VIRTUAL }));
            }
            Some((name, kind, is_without_rowid)) if kind != "view" => {
                tables.push(Watched { name: name.into(), is_without_rowid });
            }
            _ => {}
        }
    }
    finished(tables)
}

fn finished(mut tables: Vec<Watched>) -> Result<Vec<Watched>> {
    tables.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    tables.dedup_by(|one, other| one.name == other.name);
    if tables.is_empty() {
        return Err(Error::new(ErrorKind::Misuse { reason: "no table of the main database is to be watched" }));
    }
    Ok(tables)
}

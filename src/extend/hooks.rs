//! Hooks: closures that are called when something happens on a connection.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;

use crate::Connection;
use crate::error::{Fault, Result};
#[cfg(feature = "session")]
use crate::raw::hook::PreUpdate;
use crate::raw::hook::{Access, AccessRequest, AutovacuumPages, Ending, TraceEvent, TraceEvents, Update, WalCommit};

/// Right to end a closure that a connection calls. Dropping it ends the closure: it is not called again, and is dropped
/// immediately or, if it is running, when it returns.
///
/// It borrows nothing from the connection, and can be sent to another thread and dropped there, also while the
/// connection is in use. A subscription that is leaked ([`std::mem::forget`]) or [kept](Self::keep) lasts until the
/// connection closes, and is dropped then. Closures are counted among the open handles, as
/// [`HandleKind::Callback`](crate::handles::HandleKind::Callback).
///
/// # Example
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use finalite::Connection;
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a)", ())?;
/// let changes = Arc::new(AtomicU64::new(0));
/// let counted = Arc::clone(&changes);
/// let subscription = conn.on_update(move |_| _ = counted.fetch_add(1, Ordering::Relaxed))?;
/// conn.execute("INSERT INTO t VALUES (1), (2)", ())?;
/// drop(subscription);
/// conn.execute("INSERT INTO t VALUES (3)", ())?;
/// assert_eq!(changes.load(Ordering::Relaxed), 2);
/// # Ok::<(), finalite::Error>(())
/// ```
#[must_use = "dropping it ends the closure"]
pub struct Subscription(Option<Ending>);

impl Subscription {
    pub(crate) fn new(ending: Ending) -> Self {
        Self(Some(ending))
    }

    /// Leaves the closure to the connection, which calls it until it closes.
    pub fn keep(mut self) {
        self.0 = None;
    }

    /// Whether the closure may still be called: the connection is open, and no other closure has replaced it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.0.as_ref().is_some_and(|ending| !ending.is_ended())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(ending) = &self.0 {
            ending.end();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("is_active", &self.is_active()).finish_non_exhaustive()
    }
}

/// The result of a closure that may stop what SQLite is doing: `()`, which never does, or [`ControlFlow`], which does by
/// `Break`.
pub trait HookAnswer {
    /// Returns the decision.
    #[doc(hidden)]
    fn goes_on(self) -> bool;
}

impl HookAnswer for () {
    fn goes_on(self) -> bool {
        true
    }
}

impl HookAnswer for ControlFlow<()> {
    fn goes_on(self) -> bool {
        self.is_continue()
    }
}

impl Connection {
    fn subscribed(&self, ending: Result<Ending, Fault>) -> Result<Subscription> {
        ending.map(|ending| Subscription(Some(ending))).map_err(|fault| self.error(fault))
    }

    /// Calls a closure for each row of a rowid table that this connection inserts, updates or deletes, before the
    /// statement ends. Several closures may be subscribed; they are called in order.
    ///
    /// Not reported, as with SQLite's own hook: rows of `WITHOUT ROWID` tables; rows deleted by a `DELETE` without
    /// `WHERE`, where SQLite truncates the table (an [authorizer](Self::set_authorizer) that ignores `DELETE` prevents
    /// that); rows that `REPLACE` deletes; changes by other connections. The changes may still be rolled back.
    ///
    /// A closure cannot use the connection ([`ErrorKind::Misuse`](crate::ErrorKind::Misuse)); the call that ran the
    /// statement resumes its panic.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) within a callback of the connection;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use finalite::{Connection, extend::Operation};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// let (send, seen) = mpsc::channel();
    /// let _subscription = conn.on_update(move |update| {
    ///     let _ = send.send((update.operation, update.table.to_owned(), update.rowid));
    /// })?;
    /// conn.execute("INSERT INTO t VALUES ('x')", ())?;
    /// assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(Operation::Insert, "t".into(), 1)]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_update_hook](https://sqlite.org/c3ref/update_hook.html)
    #[track_caller]
    #[doc(alias("update_hook", "observer", "change notification"))]
    pub fn on_update(&self, f: impl FnMut(&Update<'_>) + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().on_update(Location::caller(), Box::new(f)))
    }

    /// Calls a closure before each row is inserted, updated or deleted, also in a `WITHOUT ROWID` table, by `REPLACE`, by
    /// a truncating `DELETE`, and by a write through a [`Blob`](crate::data::Blob). The closure reads the row before and
    /// after the change. Virtual tables are not reported.
    ///
    /// SQLite has one such hook, which sessions use: while a [`Session`](crate::data::Session) is open, this is an error,
    /// and the other way round. A closure cannot use the connection; the call that ran the statement resumes its panic.
    ///
    /// SQLite up to 3.54 crashes if it runs out of memory while it expands an inserted `zeroblob` for the closure.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update); [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) while a session is open.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use finalite::{Connection, Value};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// let (send, seen) = mpsc::channel();
    /// let _subscription = conn.on_preupdate(move |change| {
    ///     let [old, new] = [change.old_value(0), change.new_value(0)].map(|value| {
    ///         value.unwrap().map(|value| value.to_value().unwrap())
    ///     });
    ///     let _ = send.send((old, new));
    /// })?;
    /// conn.execute("UPDATE t SET a = 2", ())?;
    /// conn.execute("DELETE FROM t", ())?;
    /// let [one, two] = [1, 2].map(|value| Some(Value::Integer(value)));
    /// assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(one, two.clone()), (two, None)]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_preupdate_hook](https://sqlite.org/c3ref/preupdate_blobwrite.html)
    #[cfg(feature = "session")]
    #[track_caller]
    #[doc(alias("preupdate_hook"))]
    pub fn on_preupdate(&self, f: impl FnMut(&PreUpdate<'_>) + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().on_preupdate(Location::caller(), Box::new(f)))
    }

    /// Calls a closure before each commit of a transaction that has written. A closure that returns
    /// [`ControlFlow::Break`], or panics, refuses: the transaction is rolled back, with the error
    /// `SQLITE_CONSTRAINT_COMMITHOOK`, and the closures that follow are not called.
    ///
    /// The commit may still fail afterwards. A closure cannot use the connection.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// # Example
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use finalite::{Connection, ResultCode};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let subscription = conn.on_commit(|| ControlFlow::Break(()))?;
    /// let error = conn.execute("CREATE TABLE t(a)", ()).unwrap_err();
    /// assert_eq!(error.extended_code(), Some(ResultCode::CONSTRAINT_COMMITHOOK));
    /// drop(subscription);
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_commit_hook](https://sqlite.org/c3ref/commit_hook.html)
    #[track_caller]
    #[doc(alias("commit_hook"))]
    pub fn on_commit<A: HookAnswer>(&self, mut f: impl FnMut() -> A + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().on_commit(Location::caller(), Box::new(move || f().goes_on())))
    }

    /// Calls a closure when a transaction is rolled back: by `ROLLBACK`, by an error, or because a closure of
    /// [`on_commit`](Self::on_commit) has refused. It is not called when the connection closes, nor for a savepoint.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// C: [sqlite3_rollback_hook](https://sqlite.org/c3ref/commit_hook.html)
    #[track_caller]
    #[doc(alias("rollback_hook"))]
    pub fn on_rollback(&self, f: impl FnMut() + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().on_rollback(Location::caller(), Box::new(f)))
    }

    /// Calls a closure after each commit in WAL mode, with the length of the write-ahead log.
    ///
    /// The connection goes on to checkpoint as `PRAGMA wal_autocheckpoint` says, after the closures were called. While a
    /// closure is subscribed, SQLite itself reads that pragma back as 0, and [`pragma`](Self::pragma) reads back its
    /// value.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// C: [sqlite3_wal_hook](https://sqlite.org/c3ref/wal_hook.html)
    #[track_caller]
    #[doc(alias("wal_hook"))]
    pub fn on_wal(&self, f: impl FnMut(&WalCommit<'_>) + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().on_wal(Location::caller(), Box::new(f)))
    }

    /// Calls a closure before a commit that may remove free pages from a database with `auto_vacuum = FULL`. It returns
    /// the number of pages to remove; of several closures, the smallest number counts. A closure that panics removes
    /// none.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// C: [sqlite3_autovacuum_pages](https://sqlite.org/c3ref/autovacuum_pages.html)
    #[track_caller]
    #[doc(alias("autovacuum_pages"))]
    pub fn on_autovacuum_pages(
        &self,
        f: impl FnMut(&AutovacuumPages<'_>) -> u32 + Send + 'static,
    ) -> Result<Subscription> {
        self.subscribed(self.db().on_autovacuum_pages(Location::caller(), Box::new(f)))
    }

    /// Calls a closure about every `instructions` of SQLite's virtual machine while a statement runs, and while a large
    /// statement is prepared. A closure that returns [`ControlFlow::Break`] interrupts the statement
    /// ([`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted)).
    ///
    /// SQLite has one interval: with several closures it is the shortest, and the others are called when theirs has
    /// passed. An instruction takes between nanoseconds and, where it reads a file or calls a function, milliseconds.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// # Example
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let _subscription = conn.on_progress(1_000, || ControlFlow::Break(()))?;
    /// let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    /// assert!(conn.query_one::<i64>(endless, ()).unwrap_err().is_interrupted());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_progress_handler](https://sqlite.org/c3ref/progress_handler.html)
    #[track_caller]
    #[doc(alias("progress_handler"))]
    pub fn on_progress<A: HookAnswer>(
        &self,
        instructions: u32,
        mut f: impl FnMut() -> A + Send + 'static,
    ) -> Result<Subscription> {
        self.subscribed(self.db().on_progress(Location::caller(), instructions, Box::new(move || f().goes_on())))
    }

    /// Calls a closure for these events: a statement begins or ends, returns a row, or the connection closes.
    ///
    /// Statements that finalite runs by itself (transaction guards, pragmas) are reported, too.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use finalite::{Connection, extend::{TraceEvent, TraceEvents}};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let (send, seen) = mpsc::channel();
    /// let _subscription = conn.on_trace(TraceEvents::STATEMENT, move |event| {
    ///     if let TraceEvent::Statement { statement, .. } = event {
    ///         let _ = send.send((statement.sql().to_owned(), statement.expanded_sql()));
    ///     }
    /// })?;
    /// conn.query_one::<i64>("SELECT ?", (42,))?;
    /// assert_eq!(seen.try_recv(), Ok(("SELECT ?".into(), Some("SELECT 42".into()))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_trace_v2](https://sqlite.org/c3ref/trace_v2.html)
    #[track_caller]
    #[doc(alias("trace", "trace_v2", "profile"))]
    pub fn on_trace(
        &self,
        events: TraceEvents,
        f: impl FnMut(&TraceEvent<'_>) + Send + 'static,
    ) -> Result<Subscription> {
        self.subscribed(self.db().on_trace(Location::caller(), events, Box::new(f)))
    }

    /// Sets the closure that allows or denies what statements do, in place of the one set before. It is called for each
    /// action of a statement while that is prepared. A closure that panics denies.
    ///
    /// All prepared statements, also those of the statement cache, are prepared again when they are next run, under the
    /// new rules; likewise after the subscription is dropped.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ResultCode, extend::{Access, Action}};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE users(name, password); INSERT INTO users VALUES ('ada', 'secret')")?;
    /// let subscription = conn.set_authorizer(|request| match request.action {
    ///     Action::Select => Access::Allow,
    ///     Action::Read { table: "users", column: "password" } => Access::Ignore,
    ///     Action::Read { .. } => Access::Allow,
    ///     _ => Access::Deny,
    /// })?;
    /// let row: (String, Option<String>) = conn.query_one("SELECT name, password FROM users", ())?;
    /// assert_eq!(row, ("ada".into(), None));
    /// let error = conn.execute("DELETE FROM users", ()).unwrap_err();
    /// assert_eq!(error.code(), Some(ResultCode::AUTH));
    /// drop(subscription);
    /// assert_eq!(conn.query_one::<String>("SELECT password FROM users", ())?, "secret");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_set_authorizer](https://sqlite.org/c3ref/set_authorizer.html)
    #[track_caller]
    #[doc(alias("authorizer", "sandbox"))]
    pub fn set_authorizer(&self, f: impl FnMut(&AccessRequest<'_>) -> Access + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().set_authorizer(Location::caller(), Box::new(f)))
    }

    /// Sets the closure that decides whether SQLite waits for a lock of another connection, in place of the one set
    /// before. It gets the number of earlier calls for the same lock, and returns whether SQLite tries again; it sleeps
    /// by itself. A closure that panics gives up.
    ///
    /// While it is set, the [busy timeout](Self::set_busy_timeout) does not apply; afterwards it applies again. SQLite
    /// does not call the closure where waiting could be a deadlock.
    ///
    /// # Errors
    ///
    /// See [`on_update`](Self::on_update), and SQLite's error if it cannot read the busy timeout.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("app.db");
    /// let (conn, other) = (Connection::open(&path)?, Connection::open(&path)?);
    /// other.execute_batch("CREATE TABLE t(a); BEGIN IMMEDIATE")?;
    /// let _subscription = conn.set_busy_handler(|calls| {
    ///     std::thread::sleep(Duration::from_millis(1));
    ///     calls < 3
    /// })?;
    /// assert!(conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err().is_busy());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_busy_handler](https://sqlite.org/c3ref/busy_handler.html)
    #[track_caller]
    #[doc(alias("busy_handler"))]
    pub fn set_busy_handler(&self, f: impl FnMut(u32) -> bool + Send + 'static) -> Result<Subscription> {
        self.subscribed(self.db().set_busy_handler(Location::caller(), Box::new(f)))
    }
}

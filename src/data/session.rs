//! [`Session`]: a record of the changes that a connection makes.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io::Write;
use std::panic::Location;

use super::changeset::{Changeset, stream_error};
use crate::Connection;
use crate::error::{Error, ErrorKind, Fault, NameKind, Result};
use crate::raw::session::{Form, RawSession, SessionSwitch};
use crate::sql::quote_identifier;

/// A record of the rows that a connection inserts, updates and deletes in one database, to be applied to another
/// database as a [`Changeset`]. Dropping it ends the record; within a callback of the connection, when that closes.
///
/// For each row it has the state before the session, and takes the state after it from the database: changes that were
/// rolled back, or that cancel each other out, are not in the changeset. Rows are recognized by their primary key. Tables
/// without a declared primary key are recorded only after [`include_rowid_tables`](Self::include_rowid_tables), virtual
/// tables never.
///
/// SQLite up to 3.54 crashes if it runs out of memory while it expands an inserted `zeroblob` for the session.
///
/// # Example
///
/// ```
/// use finalite::{Connection, data::ConflictAction};
///
/// let (here, there) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
/// for conn in [&here, &there] {
///     conn.execute("CREATE TABLE notes(id INTEGER PRIMARY KEY, text)", ())?;
/// }
/// let mut session = here.session()?;
/// session.attach_all()?;
/// here.execute("INSERT INTO notes(text) VALUES ('synchronized')", ())?;
///
/// there.apply_changeset(&session.changeset()?, |_conflict| ConflictAction::Abort)?;
/// assert_eq!(there.query_one::<String>("SELECT text FROM notes", ())?, "synchronized");
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [The Session Extension](https://sqlite.org/sessionintro.html)
pub struct Session<'conn> {
    raw: RawSession<'conn>,
    conn: &'conn Connection,
    has_rowids: bool,
}

impl Connection {
    /// Begins to record the changes of the main database. No table is recorded until it is
    /// [attached](Session::attach).
    ///
    /// SQLite has one pre-update hook, which sessions use: while a session is open,
    /// [`on_preupdate`](Self::on_preupdate) is an error, and the other way round.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback of the connection, and while a closure of `on_preupdate` is subscribed;
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3session_create](https://sqlite.org/session/sqlite3session_create.html)
    #[track_caller]
    #[doc(alias("sqlite3session_create", "changes", "replication", "sync"))]
    pub fn session(&self) -> Result<Session<'_>> {
        self.session_at(c"main", Location::caller())
    }

    /// Begins to record the changes of a database: `main`, `temp`, or an attached one.
    ///
    /// # Errors
    ///
    /// See [`session`](Self::session); [`ErrorKind::Misuse`] if there is no database of this name.
    #[track_caller]
    pub fn session_of(&self, database: &str) -> Result<Session<'_>> {
        self.session_at(&c_name(database)?, Location::caller())
    }

    fn session_at(&self, database: &CStr, site: &'static Location<'static>) -> Result<Session<'_>> {
        let raw = self.db().create_session(database, site).map_err(|fault| self.error(fault))?;
        Ok(Session { raw, conn: self, has_rowids: false })
    }
}

impl Session<'_> {
    /// Records the changes of a table from now on, also if it is created later.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a table without a primary key, of which nothing would be recorded;
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3session_attach](https://sqlite.org/session/sqlite3session_attach.html)
    pub fn attach(&mut self, table: &str) -> Result<()> {
        let name = c_name(table)?;
        if !self.has_rowids && self.key_of(table)? == Some(false) {
            return Err(Error::new(ErrorKind::Misuse {
                reason: "a table without a primary key is not recorded (`include_rowid_tables` changes that)",
            }));
        }
        self.raw.attach(Some(&name)).map_err(|fault| self.error(fault))
    }

    /// Records the changes of all tables from now on, also of those that are created later.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3session_attach](https://sqlite.org/session/sqlite3session_attach.html)
    pub fn attach_all(&mut self) -> Result<()> {
        self.raw.attach(None).map_err(|fault| self.error(fault))
    }

    /// Attaches the tables for which a closure returns `true`. It gets the name of a table that is not attached each time
    /// a row of it is changed, and replaces the closure set before.
    ///
    /// The closure cannot use the connection; the call that ran the statement resumes its panic.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback of the connection.
    ///
    /// C: [sqlite3session_table_filter](https://sqlite.org/session/sqlite3session_table_filter.html)
    pub fn set_table_filter(&mut self, filter: impl Fn(&str) -> bool + Send + 'static) -> Result<()> {
        let conn = self.conn;
        self.raw.set_filter(Box::new(filter)).map_err(|fault| conn.error(fault))
    }

    /// Records tables without a declared primary key, too, by rowid. Both databases have to use the same rowids for the
    /// same rows. To be called before a table is attached.
    ///
    /// # Errors
    ///
    /// `SQLITE_MISUSE` if a table is attached already.
    ///
    /// C: [SQLITE_SESSION_OBJCONFIG_ROWID](https://sqlite.org/session/c_session_objconfig_rowid.html)
    pub fn include_rowid_tables(&mut self) -> Result<()> {
        self.raw.record_rowids().map_err(|fault| self.error(fault))?;
        self.has_rowids = true;
        Ok(())
    }

    /// Records the changes that make the table of another database (`temp` or an attached one) equal to the table of
    /// the same name in this session's database. The table is attached if it is not yet; of one that the
    /// [filter](Self::set_table_filter) rejects, nothing is recorded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if this session's database has no such table; `SQLITE_SCHEMA` if the two have other columns
    /// or another primary key; errors of reading.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::ConflictAction};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch(
    ///     "ATTACH ':memory:' AS old;
    ///      CREATE TABLE main.t(a PRIMARY KEY, b); CREATE TABLE old.t(a PRIMARY KEY, b);
    ///      INSERT INTO main.t VALUES (1, 'x'); INSERT INTO old.t VALUES (2, 'y')",
    /// )?;
    /// let mut session = conn.session()?;
    /// session.diff("old", "t")?;
    /// let changeset = session.changeset()?;
    /// let mut changes = changeset.changes()?;
    /// let mut count = 0;
    /// while changes.next()?.is_some() {
    ///     count += 1;
    /// }
    /// assert_eq!(count, 2);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3session_diff](https://sqlite.org/session/sqlite3session_diff.html)
    pub fn diff(&mut self, from: &str, table: &str) -> Result<()> {
        if self.key_of(table)?.is_none() {
            return Err(Error::new(ErrorKind::NoSuch { what: NameKind::Table, name: table.into(), known: [].into() }));
        }
        let (from, table) = (c_name(from)?, c_name(table)?);
        self.raw.diff(&from, &table).map_err(|fault| self.error(fault))
    }

    /// Whether changes are recorded. It is on at first.
    ///
    /// # Errors
    ///
    /// See [`set_enabled`](Self::set_enabled).
    pub fn is_enabled(&self) -> Result<bool> {
        self.raw.switch(SessionSwitch::Enabled, None).map_err(|fault| self.error(fault))
    }

    /// Sets whether changes are recorded. A row that was changed while it was on is in the changeset with its state at
    /// the end, whatever happened since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback of the connection.
    ///
    /// C: [sqlite3session_enable](https://sqlite.org/session/sqlite3session_enable.html)
    pub fn set_enabled(&mut self, on: bool) -> Result<()> {
        self.raw.switch(SessionSwitch::Enabled, Some(on)).map(drop).map_err(|fault| self.error(fault))
    }

    /// Whether changes are marked as indirect ([`Change::is_indirect`](super::Change::is_indirect)).
    ///
    /// # Errors
    ///
    /// See [`set_enabled`](Self::set_enabled).
    pub fn is_indirect(&self) -> Result<bool> {
        self.raw.switch(SessionSwitch::Indirect, None).map_err(|fault| self.error(fault))
    }

    /// Sets whether changes are marked as indirect. Changes by triggers and foreign key actions always are.
    ///
    /// # Errors
    ///
    /// See [`set_enabled`](Self::set_enabled).
    ///
    /// C: [sqlite3session_indirect](https://sqlite.org/session/sqlite3session_indirect.html)
    pub fn set_indirect(&mut self, on: bool) -> Result<()> {
        self.raw.switch(SessionSwitch::Indirect, Some(on)).map(drop).map_err(|fault| self.error(fault))
    }

    /// Whether no change was recorded. A session that is not empty may still have an empty changeset, where changes
    /// cancel each other out.
    ///
    /// C: [sqlite3session_isempty](https://sqlite.org/session/sqlite3session_isempty.html)
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns the bytes that the session has allocated for its record.
    ///
    /// C: [sqlite3session_memory_used](https://sqlite.org/session/sqlite3session_memory_used.html)
    #[must_use]
    pub fn memory_used(&self) -> u64 {
        self.raw.memory_used()
    }

    /// Has SQLite compute the size of the changeset as changes are recorded, for [`size_max`](Self::size_max). To be
    /// called before a table is attached.
    ///
    /// # Errors
    ///
    /// `SQLITE_MISUSE` if a table is attached already.
    ///
    /// C: [SQLITE_SESSION_OBJCONFIG_SIZE](https://sqlite.org/session/c_session_objconfig_rowid.html)
    pub fn compute_size(&mut self) -> Result<()> {
        self.raw.compute_size().map_err(|fault| self.error(fault))
    }

    /// Returns an upper limit of the size of the changeset in bytes; 0 without [`compute_size`](Self::compute_size).
    ///
    /// C: [sqlite3session_changeset_size](https://sqlite.org/session/sqlite3session_changeset_size.html)
    #[must_use]
    pub fn size_max(&self) -> u64 {
        self.raw.changeset_size()
    }

    /// Returns the changes so far, with the values that they replace. The session goes on.
    ///
    /// # Errors
    ///
    /// `SQLITE_SCHEMA` if a table was changed such that its record cannot be used; [`ErrorKind::NoMemory`]; errors of
    /// reading. An error of recording lasts: the session is of no use any more.
    ///
    /// C: [sqlite3session_changeset](https://sqlite.org/session/sqlite3session_changeset.html)
    pub fn changeset(&self) -> Result<Changeset> {
        self.raw.changes(Form::Changeset).map(Changeset::of).map_err(|fault| self.error(fault))
    }

    /// Returns the changes so far as a patchset: without the values that they replace, but for primary keys. It is
    /// smaller, cannot be inverted, and conflicts of the kind [`Data`](super::ConflictKind::Data) are not found.
    ///
    /// # Errors
    ///
    /// See [`changeset`](Self::changeset).
    ///
    /// C: [sqlite3session_patchset](https://sqlite.org/session/sqlite3session_patchset.html)
    pub fn patchset(&self) -> Result<Changeset> {
        self.raw.changes(Form::Patchset).map(Changeset::of).map_err(|fault| self.error(fault))
    }

    /// Writes the [`changeset`](Self::changeset) in pieces, without the whole of it in memory. The writer cannot use the
    /// connection.
    ///
    /// # Errors
    ///
    /// Those of `changeset`; [`ErrorKind::External`] with the error of the writer.
    ///
    /// C: [sqlite3session_changeset_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn write_changeset(&self, mut writer: impl Write) -> Result<()> {
        self.raw
            .write_changes(Form::Changeset, &mut writer)
            .map_err(|error| stream_error(error, |fault| self.error(fault)))
    }

    /// Writes the [`patchset`](Self::patchset) in pieces.
    ///
    /// # Errors
    ///
    /// See [`write_changeset`](Self::write_changeset).
    ///
    /// C: [sqlite3session_patchset_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn write_patchset(&self, mut writer: impl Write) -> Result<()> {
        self.raw
            .write_changes(Form::Patchset, &mut writer)
            .map_err(|error| stream_error(error, |fault| self.error(fault)))
    }

    fn error(&self, fault: Fault) -> Error {
        self.conn.error(fault)
    }

    /// Whether a table has a primary key; `None` if there is no such table.
    fn key_of(&self, table: &str) -> Result<Option<bool>> {
        let database = quote_identifier(&self.raw.database().to_string_lossy());
        let sql = format!("PRAGMA {database}.table_info({})", quote_identifier(table));
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query(())?;
        let mut has_key = None;
        while let Some(row) = rows.next()? {
            has_key = Some(has_key == Some(true) || row.get::<i64>("pk")? > 0);
        }
        Ok(has_key)
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("database", &self.raw.database()).finish_non_exhaustive()
    }
}

fn c_name(name: &str) -> Result<CString> {
    CString::new(name)
        .map_err(|_| Error::new(ErrorKind::Misuse { reason: "the name of a database or table contains NUL" }))
}

//! [`ChangeGroup`] and [`Rebaser`]: changesets from changesets.

use std::ffi::CString;
use std::fmt;
use std::io::{Read, Write};

use super::{Applied, Changeset, stream_error};
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::changeset::{RawGroup, RawRebaser};

/// Changesets that are combined into one. Several changes of a row become one change.
///
/// # Example
///
/// ```
/// use finalite::{Connection, data::ChangeGroup};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY)", ())?;
/// let mut group = ChangeGroup::new()?;
/// for sql in ["INSERT INTO t VALUES (1), (2)", "DELETE FROM t WHERE a = 1"] {
///     let mut session = conn.session()?;
///     session.attach("t")?;
///     conn.execute(sql, ())?;
///     group.add(&session.changeset()?)?;
/// }
/// let combined = group.changeset()?;
/// let mut changes = combined.changes()?;
/// assert!(changes.next()?.is_some());
/// assert!(changes.next()?.is_none());
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3_changegroup](https://sqlite.org/session/changegroup.html)
pub struct ChangeGroup<'conn> {
    raw: RawGroup,
    /// Connection of the schema.
    conn: Option<&'conn Connection>,
}

impl<'conn> ChangeGroup<'conn> {
    /// Returns a group without changes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changegroup_new](https://sqlite.org/session/sqlite3changegroup_new.html)
    pub fn new() -> Result<Self> {
        Ok(Self { raw: RawGroup::new()?, conn: None })
    }

    /// Returns a group for the tables of a database: `main`, `temp`, or an attached one. Changesets of tables that had
    /// fewer columns are added with the defaults of the columns that were added since.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`]; [`ErrorKind::Misuse`] within a callback of the connection.
    ///
    /// C: [sqlite3changegroup_schema](https://sqlite.org/session/sqlite3changegroup_schema.html)
    pub fn with_schema(conn: &'conn Connection, database: &str) -> Result<Self> {
        let database = CString::new(database)
            .map_err(|_| Error::new(ErrorKind::Misuse { reason: "the name of a database contains NUL" }))?;
        let mut raw = RawGroup::new()?;
        raw.use_schema(conn.db(), &database).map_err(|fault| conn.error(fault))?;
        Ok(Self { raw, conn: Some(conn) })
    }

    /// Adds changes that were made after those of the group. After an error, the group is as before.
    ///
    /// # Errors
    ///
    /// `SQLITE_SCHEMA` if a table has other columns or another primary key in the group;
    /// [`ErrorKind::MalformedChangeset`]; `SQLITE_ERROR` if a changeset and a patchset are mixed;
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changegroup_add](https://sqlite.org/session/sqlite3changegroup_add.html)
    pub fn add(&mut self, changeset: &Changeset) -> Result<()> {
        Ok(self.raw.add(changeset.as_bytes(), self.conn.map(Connection::db))?)
    }

    /// Adds a changeset that is read in pieces.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add); [`ErrorKind::External`] with the error of the reader.
    ///
    /// C: [sqlite3changegroup_add_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn add_from(&mut self, mut reader: impl Read) -> Result<()> {
        let db = self.conn.map(Connection::db);
        self.raw.add_stream(&mut reader, db).map_err(|error| stream_error(error, Error::from))
    }

    /// Returns the changes of the group.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changegroup_output](https://sqlite.org/session/sqlite3changegroup_output.html)
    pub fn changeset(&self) -> Result<Changeset> {
        Ok(Changeset::of(self.raw.output()?))
    }

    /// Writes the changes of the group in pieces.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`]; [`ErrorKind::External`] with the error of the writer.
    ///
    /// C: [sqlite3changegroup_output_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn write_to(&self, mut writer: impl Write) -> Result<()> {
        self.raw.write(&mut writer).map_err(|error| stream_error(error, Error::from))
    }
}

impl fmt::Debug for ChangeGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeGroup").finish_non_exhaustive()
    }
}

/// Adapts local changes to remote ones that were applied over them.
///
/// Where both sides change the same row, a site applies the other's changeset and resolves the conflicts. Its own
/// changeset, made before, does not know that outcome; rebased on it, it can be applied by all who have applied the
/// remote one, with the same result.
///
/// # Example
///
/// ```
/// use finalite::{Connection, data::{ConflictAction, Rebaser}};
///
/// let (server, client) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
/// for conn in [&server, &client] {
///     conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'old')")?;
/// }
/// let edit = |conn: &Connection, text: &str| {
///     let mut session = conn.session()?;
///     session.attach("t")?;
///     conn.execute("UPDATE t SET a = ?", (text,))?;
///     session.changeset()
/// };
/// let remote = edit(&server, "from the server")?;
/// let local = edit(&client, "from the client")?;
///
/// // The client lets its own edit win.
/// let applied = client.apply_changeset(&remote, |_conflict| ConflictAction::Omit)?;
/// let mut rebaser = Rebaser::new()?;
/// rebaser.add(&applied)?;
/// let rebased = rebaser.rebase(&local)?;
///
/// server.apply_changeset(&rebased, |_conflict| ConflictAction::Abort)?;
/// assert_eq!(server.query_one::<String>("SELECT a FROM t", ())?, "from the client");
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [Rebasing changesets](https://sqlite.org/session/rebaser.html)
pub struct Rebaser(RawRebaser);

impl Rebaser {
    /// Returns a rebaser without conflicts, which leaves a changeset as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_create](https://sqlite.org/session/sqlite3rebaser_create.html)
    pub fn new() -> Result<Self> {
        Ok(Self(RawRebaser::new()?))
    }

    /// Adds the outcome of the conflicts of a changeset that was applied. Several are added in the order in which they
    /// were applied.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_configure](https://sqlite.org/session/sqlite3rebaser_configure.html)
    pub fn add(&mut self, applied: &Applied) -> Result<()> {
        self.add_bytes(applied.rebase_bytes())
    }

    /// Adds the outcome of conflicts that was stored: [`Applied::rebase_bytes`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedChangeset`]; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_configure](https://sqlite.org/session/sqlite3rebaser_configure.html)
    pub fn add_bytes(&mut self, rebase: &[u8]) -> Result<()> {
        Ok(self.0.configure(rebase)?)
    }

    /// Returns a changeset that was made before the conflicts, adapted to their outcome.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedChangeset`]; `SQLITE_SCHEMA` if a table has other columns;
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_rebase](https://sqlite.org/session/sqlite3rebaser_rebase.html)
    pub fn rebase(&self, changeset: &Changeset) -> Result<Changeset> {
        Ok(Changeset::of(self.0.rebase(changeset.as_bytes())?))
    }

    /// Reads a changeset and writes it adapted, without the whole of it in memory.
    ///
    /// # Errors
    ///
    /// Those of [`rebase`](Self::rebase); [`ErrorKind::External`] with the error of the reader or the writer.
    ///
    /// C: [sqlite3rebaser_rebase_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn rebase_stream(&self, mut reader: impl Read, mut writer: impl Write) -> Result<()> {
        self.0.rebase_stream(&mut reader, &mut writer).map_err(|error| stream_error(error, Error::from))
    }
}

impl fmt::Debug for Rebaser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebaser").finish_non_exhaustive()
    }
}

//! [`ChangeGroup`] and [`Rebaser`]: changesets from changesets.

use std::fmt;
use std::io::{Read, Write};

use super::format::{Bytes, Tables};
use super::{Applied, Change, Changeset, stream_error};
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
pub struct ChangeGroup {
    raw: RawGroup,
    /// Whether a call has failed, after which SQLite's group has some of the changes.
    has_failed: bool,
}

impl ChangeGroup {
    /// Returns a group without changes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changegroup_new](https://sqlite.org/session/sqlite3changegroup_new.html)
    pub fn new() -> Result<Self> {
        Ok(Self { raw: RawGroup::new()?, has_failed: false })
    }

    /// Adds changes that were made after those of the group. After an error, the group may have some of them, and cannot be
    /// used any more.
    ///
    /// # Errors
    ///
    /// `SQLITE_SCHEMA` if a table has other columns or another primary key in the group;
    /// [`ErrorKind::MalformedChangeset`]; `SQLITE_ERROR` if a changeset and a patchset are mixed;
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changegroup_add](https://sqlite.org/session/sqlite3changegroup_add.html)
    pub fn add(&mut self, changeset: &Changeset) -> Result<()> {
        self.check()?;
        self.has_failed = true;
        self.raw.add(changeset.as_bytes())?;
        self.has_failed = false;
        Ok(())
    }

    /// Adds one change of a changeset, made after those of the group: what is not wanted is left out. After an error, the
    /// group cannot be used any more.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add); `SQLITE_ERROR` for a change that is inverted; [`ErrorKind::Unsupported`] if
    /// SQLite was built from a release that lacks this, as 3.45 is.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::ChangeGroup};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE kept(a INTEGER PRIMARY KEY); CREATE TABLE secret(a INTEGER PRIMARY KEY)")?;
    /// let mut session = conn.session()?;
    /// session.attach_all()?;
    /// conn.execute_batch("INSERT INTO kept VALUES (1); INSERT INTO secret VALUES (2)")?;
    /// let recorded = session.changeset()?;
    /// # // That of SQLCipher is older.
    /// # let mut changes = recorded.changes()?;
    /// # let change = changes.next()?.unwrap();
    /// # if matches!(ChangeGroup::new()?.add_change(&change), Err(error) if error.code().is_none()) {
    /// #     return Ok(());
    /// # }
    /// let mut group = ChangeGroup::new()?;
    /// let mut changes = recorded.changes()?;
    /// while let Some(change) = changes.next()? {
    ///     if change.table() != "secret" {
    ///         group.add_change(&change)?;
    ///     }
    /// }
    /// let sent = group.changeset()?;
    /// let mut changes = sent.changes()?;
    /// assert_eq!(changes.next()?.unwrap().table(), "kept");
    /// assert!(changes.next()?.is_none());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3changegroup_add_change](https://sqlite.org/session/sqlite3changegroup_add_change.html)
    pub fn add_change(&mut self, change: &Change<'_>) -> Result<()> {
        self.check()?;
        self.has_failed = true;
        self.raw.add_change(change.raw())?;
        self.has_failed = false;
        Ok(())
    }

    /// Adds a changeset that is read in pieces.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add); [`ErrorKind::External`] with the error of the reader.
    ///
    /// C: [sqlite3changegroup_add_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn add_from(&mut self, mut reader: impl Read) -> Result<()> {
        self.check()?;
        self.has_failed = true;
        self.raw.add_stream(&mut reader).map_err(|error| stream_error(error, Error::from))?;
        self.has_failed = false;
        Ok(())
    }

    /// Returns the changes of the group.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] after an error of [`add`](Self::add); [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3changegroup_output](https://sqlite.org/session/sqlite3changegroup_output.html)
    pub fn changeset(&self) -> Result<Changeset> {
        self.check()?;
        Ok(Changeset::of(self.raw.output()?))
    }

    /// Writes the changes of the group in pieces.
    ///
    /// # Errors
    ///
    /// Those of [`changeset`](Self::changeset); [`ErrorKind::External`] with the error of the writer.
    ///
    /// C: [sqlite3changegroup_output_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn write_to(&self, mut writer: impl Write) -> Result<()> {
        self.check()?;
        self.raw.write(&mut writer).map_err(|error| stream_error(error, Error::from))
    }

    fn check(&self) -> Result<()> {
        check_failed(self.has_failed)
    }
}

/// Returns an error if an earlier call has failed.
fn check_failed(has_failed: bool) -> Result<()> {
    if has_failed {
        return Err(Error::new(ErrorKind::Misuse {
            reason: "an earlier call failed, and left some of its changes behind",
        }));
    }
    Ok(())
}

impl fmt::Debug for ChangeGroup {
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
pub struct Rebaser {
    raw: RawRebaser,
    /// Tables of all that was added or rebased.
    tables: Tables,
    /// Whether a call has failed, after which SQLite's rebaser has some of the outcome.
    has_failed: bool,
}

impl Rebaser {
    /// Returns a rebaser without conflicts, which leaves a changeset as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_create](https://sqlite.org/session/sqlite3rebaser_create.html)
    pub fn new() -> Result<Self> {
        Ok(Self { raw: RawRebaser::new()?, tables: Tables::default(), has_failed: false })
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

    /// Adds the outcome of conflicts that was stored: [`Applied::rebase_bytes`]. After an error, the rebaser cannot be used
    /// any more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedChangeset`]; [`ErrorKind::Misuse`] if a table has other columns than in what was added
    /// before; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_configure](https://sqlite.org/session/sqlite3rebaser_configure.html)
    pub fn add_bytes(&mut self, rebase: &[u8]) -> Result<()> {
        check_failed(self.has_failed)?;
        self.has_failed = true;
        self.tables.read(rebase, Bytes::Rebase)?;
        self.raw.configure(rebase)?;
        self.has_failed = false;
        Ok(())
    }

    /// Returns a changeset that was made before the conflicts, adapted to their outcome.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedChangeset`], also for a patchset; [`ErrorKind::Misuse`] if a table has other columns than in
    /// what was added, and after an error of adding; [`ErrorKind::NoMemory`].
    ///
    /// C: [sqlite3rebaser_rebase](https://sqlite.org/session/sqlite3rebaser_rebase.html)
    pub fn rebase(&self, changeset: &Changeset) -> Result<Changeset> {
        check_failed(self.has_failed)?;
        self.tables.clone().read(changeset.as_bytes(), Bytes::Changeset)?;
        Ok(Changeset::of(self.raw.rebase(changeset.as_bytes())?))
    }
}

impl fmt::Debug for Rebaser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebaser").finish_non_exhaustive()
    }
}

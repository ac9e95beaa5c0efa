//! [`Changeset`]: changes of rows as bytes, and [`Changes`], which reads them.

use std::borrow::Cow;
use std::fmt;
use std::io::{Read, Write};

use crate::error::{Error, Fault, Result};
use crate::raw::changeset::{RawChange, RawChanges, invert, invert_stream};
use crate::raw::hook::Operation;
use crate::raw::serialize::SqliteBytes;
use crate::raw::stream::StreamError;
use crate::value::ValueRef;

mod apply;
mod format;
mod group;
mod to_sql;

pub use apply::{Applied, ApplyOptions, Conflict};
pub use group::{ChangeGroup, Rebaser};

/// Changes of rows, as bytes in SQLite's format for changesets and patchsets. They may come from a
/// [`Session`](super::Session), from a file or from a network: each call checks the bytes that it reads.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ValueRef, data::{Changeset, ConflictAction}, extend::Operation};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", ())?;
/// let mut session = conn.session()?;
/// session.attach("t")?;
/// conn.execute("INSERT INTO t VALUES (1, 'one')", ())?;
/// let bytes: Vec<u8> = session.changeset()?.into_bytes();
/// drop(session);
///
/// let changeset = Changeset::from(bytes);
/// let mut changes = changeset.changes()?;
/// while let Some(change) = changes.next()? {
///     assert_eq!((change.table(), change.operation()), ("t", Operation::Insert));
///     assert_eq!(change.new_value(1)?, Some(ValueRef::Text(b"one")));
/// }
///
/// conn.apply_changeset(&changeset.invert()?, |_conflict| ConflictAction::Abort)?;
/// assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 0);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [The Session Extension](https://sqlite.org/sessionintro.html)
pub struct Changeset(Bytes);

enum Bytes {
    /// From SQLite's allocator.
    Sqlite(SqliteBytes),
    Rust(Vec<u8>),
}

impl Changeset {
    pub(super) fn of(bytes: SqliteBytes) -> Self {
        Self(Bytes::Sqlite(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Sqlite(bytes) => bytes.as_slice(),
            Bytes::Rust(bytes) => bytes,
        }
    }

    /// Returns the bytes, which are copied if they are in memory of SQLite's.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Bytes::Sqlite(bytes) => bytes.as_slice().to_vec(),
            Bytes::Rust(bytes) => bytes,
        }
    }

    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Returns an iterator over the changes, grouped by table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooBig`](crate::ErrorKind::TooBig) beyond 2 GiB, which [`Changes::from_reader`] reads;
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// C: [sqlite3changeset_start](https://sqlite.org/session/sqlite3changeset_start.html)
    pub fn changes(&self) -> Result<Changes<'_>> {
        Ok(Changes(RawChanges::of_bytes(self.as_bytes(), false)?))
    }

    /// Returns an iterator over the changes that undo these. Not for a patchset.
    ///
    /// # Errors
    ///
    /// See [`invert`](Self::invert).
    ///
    /// C: [SQLITE_CHANGESETSTART_INVERT](https://sqlite.org/session/c_changesetstart_invert.html)
    pub fn inverted_changes(&self) -> Result<Changes<'_>> {
        format::check_inversion(self.as_bytes())?;
        Ok(Changes(RawChanges::of_bytes(self.as_bytes(), true)?))
    }

    /// Returns the changeset that undoes this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedChangeset`](crate::ErrorKind::MalformedChangeset), also for a patchset, which does not have
    /// the values to restore;
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// C: [sqlite3changeset_invert](https://sqlite.org/session/sqlite3changeset_invert.html)
    pub fn invert(&self) -> Result<Self> {
        format::check_inversion(self.as_bytes())?;
        Ok(Self::of(invert(self.as_bytes())?))
    }

    /// Reads a changeset, and writes the one that undoes it, without the whole of it in memory.
    ///
    /// # Errors
    ///
    /// Those of [`invert`](Self::invert); [`ErrorKind::External`](crate::ErrorKind::External) with the error of the
    /// reader or the writer.
    ///
    /// C: [sqlite3changeset_invert_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn invert_stream(mut reader: impl Read, mut writer: impl Write) -> Result<()> {
        invert_stream(&mut reader, &mut writer).map_err(|error| stream_error(error, Error::from))
    }

    /// Returns these changes followed by others, as one changeset, in which several changes of a row are one. Both are
    /// changesets, or both patchsets.
    ///
    /// # Errors
    ///
    /// See [`ChangeGroup::add`].
    ///
    /// C: [sqlite3changeset_concat](https://sqlite.org/session/sqlite3changeset_concat.html)
    pub fn concat(&self, next: &Self) -> Result<Self> {
        let mut group = ChangeGroup::new()?;
        group.add(self)?;
        group.add(next)?;
        group.changeset()
    }
}

impl AsRef<[u8]> for Changeset {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<Vec<u8>> for Changeset {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Rust(bytes))
    }
}

impl From<&[u8]> for Changeset {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::Rust(bytes.into()))
    }
}

impl Clone for Changeset {
    fn clone(&self) -> Self {
        self.as_bytes().into()
    }
}

impl PartialEq for Changeset {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Changeset {}

impl fmt::Debug for Changeset {
    /// Shows the size, and no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changeset").field("len", &self.as_bytes().len()).finish_non_exhaustive()
    }
}

/// An iterator over the changes of a changeset. Each is borrowed from it until the next.
pub struct Changes<'a>(RawChanges<'a>);

impl<'a> Changes<'a> {
    /// Returns an iterator over a changeset that is read in pieces, without the whole of it in memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::Changes};
    ///
    /// let mut file: &[u8] = b"";
    /// assert!(Changes::from_reader(&mut file)?.next()?.is_none());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3changeset_start_strm](https://sqlite.org/session/sqlite3changegroup_add_strm.html)
    pub fn from_reader(reader: &'a mut (dyn Read + 'a)) -> Result<Self> {
        RawChanges::of_stream(reader).map(Self).map_err(|error| stream_error(error, Error::from))
    }

    /// Moves to the next change. Returns `None` behind the last one, and after an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MalformedChangeset`](crate::ErrorKind::MalformedChangeset);
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory);
    /// [`ErrorKind::External`](crate::ErrorKind::External) with the error of the reader.
    ///
    /// C: [sqlite3changeset_next](https://sqlite.org/session/sqlite3changeset_next.html)
    #[expect(clippy::should_implement_trait, reason = "a change borrows from the iterator")]
    pub fn next(&mut self) -> Result<Option<Change<'_>>> {
        match self.0.next().map_err(|error| stream_error(error, Error::from))? {
            Some(raw) => Change::of(raw).map(Some),
            None => Ok(None),
        }
    }
}

impl fmt::Debug for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// A change of a row.
pub struct Change<'at> {
    raw: RawChange<'at>,
    table: Cow<'at, str>,
    columns: usize,
    operation: Operation,
    is_indirect: bool,
}

impl<'at> Change<'at> {
    fn raw(&self) -> RawChange<'at> {
        self.raw
    }

    fn of(raw: RawChange<'at>) -> Result<Self> {
        let head = raw.head()?;
        Ok(Self {
            raw,
            table: head.table,
            columns: head.columns,
            operation: head.operation,
            is_indirect: head.is_indirect,
        })
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns the kind of the change.
    ///
    /// C: [sqlite3changeset_op](https://sqlite.org/session/sqlite3changeset_op.html)
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// Whether a trigger or a foreign key action made the change, or the session
    /// [marked](super::Session::set_indirect) it.
    #[must_use]
    pub fn is_indirect(&self) -> bool {
        self.is_indirect
    }

    /// Returns the number of columns of the table.
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.columns
    }

    /// Returns the 0-based columns of the primary key, in the order of the table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// C: [sqlite3changeset_pk](https://sqlite.org/session/sqlite3changeset_pk.html)
    pub fn primary_key(&self) -> Result<impl Iterator<Item = usize> + use<'at>> {
        let flags = self.raw.primary_key()?;
        Ok(flags.iter().enumerate().filter(|(_, flag)| **flag != 0).map(|(column, _)| column))
    }

    /// Returns the value of a column, 0-based, before the change; `None` for an insert, and for a column that an update
    /// leaves as it is, unless it is of the primary key. A patchset has those of the primary key only.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if there is no such column;
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory).
    ///
    /// C: [sqlite3changeset_old](https://sqlite.org/session/sqlite3changeset_old.html)
    pub fn old_value(&self, column: usize) -> Result<Option<ValueRef<'at>>> {
        Ok(self.raw.old_value(column)?)
    }

    /// Returns the value of a column, 0-based, after the change; `None` for a deletion, and for a column that an update
    /// leaves as it is.
    ///
    /// # Errors
    ///
    /// See [`old_value`](Self::old_value).
    ///
    /// C: [sqlite3changeset_new](https://sqlite.org/session/sqlite3changeset_new.html)
    pub fn new_value(&self, column: usize) -> Result<Option<ValueRef<'at>>> {
        Ok(self.raw.new_value(column)?)
    }
}

impl fmt::Debug for Change<'_> {
    /// Shows no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("table", &self.table)
            .field("operation", &self.operation)
            .field("is_indirect", &self.is_indirect)
            .finish_non_exhaustive()
    }
}

/// Converts an error of a call that reads or writes a stream.
pub(super) fn stream_error(error: StreamError, of_fault: impl FnOnce(Fault) -> Error) -> Error {
    match error {
        StreamError::Fault(fault) => of_fault(fault),
        StreamError::Io(error) => Error::external(error),
    }
}

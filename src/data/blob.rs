//! [`Blob`]: a value of a row, as something to read, write and seek in.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::Location;

use crate::Connection;
use crate::error::{BlobObstacle, Error, ErrorKind, Fault, FaultKind, Result, ResultCode};
use crate::raw::blob::{BlobTarget, RawBlob};
use crate::value::Type;

/// The table, column and rowid of a value that a [`Blob`] is opened on.
///
/// A tuple `(table, column, rowid)` converts to it.
///
/// # Example
///
/// ```
/// use finalite::data::BlobAddress;
///
/// let address = BlobAddress::new("files", "content", 7).in_database("archive");
/// assert_eq!(BlobAddress::from(("files", "content", 7)).in_database("archive"), address);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobAddress<'a> {
    database: &'a str,
    table: &'a str,
    column: &'a str,
    rowid: i64,
}

impl<'a> BlobAddress<'a> {
    /// Returns the address of a value in the main database.
    #[must_use]
    pub fn new(table: &'a str, column: &'a str, rowid: i64) -> Self {
        Self { database: "main", table, column, rowid }
    }

    /// Sets the database: `main`, `temp`, or the name of an attached one.
    #[must_use]
    pub fn in_database(self, database: &'a str) -> Self {
        Self { database, ..self }
    }
}

impl<'a> From<(&'a str, &'a str, i64)> for BlobAddress<'a> {
    fn from((table, column, rowid): (&'a str, &'a str, i64)) -> Self {
        Self::new(table, column, rowid)
    }
}

/// Purpose for which a [`Blob`] is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading. Holds a read transaction open.
    ReadOnly,
    /// Reading and writing. Holds a write transaction open.
    ReadWrite,
}

impl Connection {
    /// Opens a value, a blob or a text, to read or write parts of it without the whole of it in memory.
    ///
    /// The size of a value does not change through a blob. Insert a [`ZeroBlob`](crate::ZeroBlob) of the final size
    /// first, then write into it.
    ///
    /// A blob holds a transaction open until it is closed. Outside an explicit transaction, changes are committed when
    /// it is closed: [`Blob::close`] returns the error of the commit. Several blobs can be open at the same time; what
    /// one writes, the others read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BlobUnavailable`] with the reason if the row, the column or the table do not allow it;
    /// [`ErrorKind::TransactionEnded`]; `SQLITE_BUSY` and `SQLITE_LOCKED` if another connection has a lock;
    /// `SQLITE_READONLY`; [`ErrorKind::Misuse`] for a name that contains a NUL.
    ///
    /// # Example
    ///
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// use finalite::{Connection, ZeroBlob, data::Access};
    ///
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE files(content BLOB)", ())?;
    ///
    /// let tx = conn.transaction()?;
    /// tx.execute("INSERT INTO files VALUES (?)", (ZeroBlob(11),))?;
    /// let mut blob = tx.blob(("files", "content", tx.last_insert_rowid()), Access::ReadWrite)?;
    /// blob.write_all(b"hello ")?;
    /// blob.write_all(b"world")?;
    /// blob.close()?;
    /// tx.commit()?;
    ///
    /// let mut text = String::new();
    /// conn.blob(("files", "content", 1), Access::ReadOnly)?.read_to_string(&mut text)?;
    /// assert_eq!(text, "hello world");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_blob_open](https://sqlite.org/c3ref/blob_open.html)
    #[track_caller]
    #[doc(alias("blob_open", "incremental I/O"))]
    pub fn blob<'a>(&self, address: impl Into<BlobAddress<'a>>, access: Access) -> Result<Blob<'_>> {
        self.blob_at(address.into(), access, Location::caller())
    }

    fn blob_at(
        &self,
        BlobAddress { database, table, column, rowid }: BlobAddress<'_>,
        access: Access,
        site: &'static Location<'static>,
    ) -> Result<Blob<'_>> {
        self.core().check_transaction()?;
        let is_writable = access == Access::ReadWrite;
        let target = BlobTarget { database, table, column, rowid, is_writable };
        match self.db().open_blob(&target, site) {
            Ok(raw) => Ok(Blob { raw, conn: self, position: 0 }),
            Err(fault) => Err(describe(self, fault, table, column)),
        }
    }
}

/// Converts an error of opening: one about the value gets a kind of its own.
fn describe(conn: &Connection, fault: Fault, table: &str, column: &str) -> Error {
    match fault.kind() {
        FaultKind::Sqlite { code, message, .. } if *code == ResultCode::ERROR.number() => match obstacle(message) {
            Some(obstacle) => {
                Error::new(ErrorKind::BlobUnavailable { table: table.into(), column: column.into(), obstacle })
            }
            None => conn.error(fault),
        },
        _ => conn.error(fault),
    }
}

/// Returns the reason that a message of `sqlite3_blob_open` gives.
fn obstacle(message: &str) -> Option<BlobObstacle> {
    let (_, obstacle) = [
        ("no such table", BlobObstacle::NoSuchTable),
        ("no such column", BlobObstacle::NoSuchColumn),
        ("no such rowid", BlobObstacle::NoSuchRow),
        ("cannot open value of type null", BlobObstacle::Value(Type::Null)),
        ("cannot open value of type integer", BlobObstacle::Value(Type::Integer)),
        ("cannot open value of type real", BlobObstacle::Value(Type::Real)),
        ("cannot open view", BlobObstacle::View),
        ("cannot open virtual table", BlobObstacle::VirtualTable),
        ("cannot open table without rowid", BlobObstacle::WithoutRowid),
        ("cannot open table with generated columns", BlobObstacle::GeneratedColumns),
        ("cannot open indexed column", BlobObstacle::Indexed),
        ("cannot open foreign key column", BlobObstacle::ForeignKey),
    ]
    .into_iter()
    .find(|(beginning, _)| message.starts_with(beginning))?;
    Some(obstacle)
}

/// An open value, a blob or a text: [`Read`], [`Write`] and [`Seek`], like a file of fixed size. Dropping it closes it.
///
/// [`read_at`](Self::read_at) and [`write_at`](Self::write_at) read and write at an offset, and return finalite's
/// [`Error`]. The error of an `io` method contains it: [`io::Error::get_ref`], or `?` in a function that returns
/// [`Result`]. For many small reads or writes, put it into a [`BufReader`](io::BufReader) or
/// [`BufWriter`](io::BufWriter). A text is read as the database stores it, in UTF-8 or UTF-16.
///
/// After its row is changed other than through a blob, or is deleted, every call returns
/// [`ErrorKind::BlobExpired`]; so it does after a rollback if it was opened for writing. Changes that were made before
/// remain.
///
/// Writing calls neither triggers nor update hooks, and checks no `CHECK` constraint.
///
/// # Example
///
/// ```
/// use std::io::{Seek, SeekFrom, Write};
///
/// use finalite::{Connection, ErrorKind, data::Access};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(8))")?;
/// let mut blob = conn.blob(("t", "a", 1), Access::ReadWrite)?;
/// blob.seek(SeekFrom::End(-2))?;
/// blob.write_all(&[1, 2])?;
/// assert_eq!(blob.stream_position()?, 8);
/// assert_eq!(blob.write(&[3])?, 0); // its size is fixed
///
/// let mut bytes = [0; 4];
/// blob.read_at(&mut bytes, 4)?;
/// assert_eq!(bytes, [0, 0, 1, 2]);
///
/// conn.execute("UPDATE t SET a = NULL", ())?;
/// assert!(matches!(blob.read_at(&mut bytes, 4).unwrap_err().kind(), ErrorKind::BlobExpired));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// C: [sqlite3_blob](https://sqlite.org/c3ref/blob.html)
pub struct Blob<'conn> {
    raw: RawBlob<'conn>,
    conn: &'conn Connection,
    position: u64,
}

impl Blob<'_> {
    /// Returns the size of the value in bytes.
    ///
    /// C: [sqlite3_blob_bytes](https://sqlite.org/c3ref/blob_bytes.html)
    #[must_use]
    pub fn len(&self) -> u64 {
        self.raw.len()
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the buffer with the bytes from an offset on. The position of [`Read`] and [`Write`] stays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BlobRange`] if the value has fewer bytes; [`ErrorKind::BlobExpired`]; errors of the file.
    ///
    /// C: [sqlite3_blob_read](https://sqlite.org/c3ref/blob_read.html)
    #[inline]
    pub fn read_at(&self, into: &mut [u8], offset: u64) -> Result<()> {
        self.raw.read(into, offset).map_err(|fault| self.conn.error(fault))
    }

    /// Writes all of the bytes at an offset. The position of [`Read`] and [`Write`] stays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BlobRange`] if the value has fewer bytes, of which then none is written;
    /// [`ErrorKind::BlobExpired`]; [`ErrorKind::Misuse`] if the blob was opened for reading; errors of the file.
    ///
    /// C: [sqlite3_blob_write](https://sqlite.org/c3ref/blob_write.html)
    #[inline]
    pub fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        if !self.raw.is_writable() {
            return Err(Error::new(ErrorKind::Misuse { reason: "the blob was opened for reading only" }));
        }
        self.raw.write(bytes, offset).map_err(|fault| self.conn.error(fault))
    }

    /// Moves to the value of another row, in the same column. This is faster than opening it. The position of [`Read`]
    /// and [`Write`] becomes 0.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BlobUnavailable`] if there is no such row, or if its value is neither a blob nor text;
    /// [`ErrorKind::BlobExpired`]. After an error, the blob has expired.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, data::Access};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('one'), ('three')")?;
    /// let mut blob = conn.blob(("t", "a", 1), Access::ReadOnly)?;
    /// assert_eq!(blob.len(), 3);
    /// blob.reopen(2)?;
    /// assert_eq!(blob.len(), 5);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_blob_reopen](https://sqlite.org/c3ref/blob_reopen.html)
    pub fn reopen(&mut self, rowid: i64) -> Result<()> {
        self.position = 0;
        let (table, column) = self.raw.names();
        self.raw.reopen(rowid).map_err(|fault| describe(self.conn, fault, table, column))
    }

    /// Closes the blob and returns the error that Drop would only log. Outside an explicit transaction, closing a blob
    /// that was opened for writing commits.
    ///
    /// # Errors
    ///
    /// The error of the commit, after which nothing was written; an error of an earlier call.
    ///
    /// C: [sqlite3_blob_close](https://sqlite.org/c3ref/blob_close.html)
    pub fn close(self) -> Result<()> {
        let conn = self.conn;
        self.raw.close().map_err(|fault| conn.error(fault))
    }

    /// Returns the number of bytes, at most `count`, between the position and the end.
    #[inline]
    fn rest(&self, count: usize) -> usize {
        usize::try_from(self.len().saturating_sub(self.position)).map_or(count, |rest| rest.min(count))
    }
}

impl Read for Blob<'_> {
    /// Reads from the position on. Returns 0 at the end.
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.rest(into.len());
        if count == 0 {
            // An expired blob has no end.
            self.read_at(&mut [], 0)?;
            return Ok(0);
        }
        self.read_at(&mut into[..count], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Blob<'_> {
    /// Writes at the position. Returns 0 at the end of the value, whose size is fixed.
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.rest(bytes.len());
        self.write_at(&bytes[..count], self.position.min(self.len()))?;
        self.position += count as u64;
        Ok(count)
    }

    /// Does nothing: each write goes to SQLite at once. Commit the transaction to store it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Blob<'_> {
    /// Sets the position, which may be behind the end.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::End(offset) => (self.len(), offset),
            SeekFrom::Current(offset) => (self.position, offset),
        };
        let position = base.checked_add_signed(offset);
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

impl fmt::Debug for Blob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, column) = self.raw.names();
        f.debug_struct("Blob")
            .field("table", &table)
            .field("column", &column)
            .field("len", &self.len())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

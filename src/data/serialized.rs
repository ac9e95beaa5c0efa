//! Databases as bytes.

use std::ffi::CString;
use std::fmt;
use std::ops::Deref;

use super::Backup;
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::serialize::{Image, SqliteBytes};

/// The content of a database, as its file would have it, in memory of SQLite's. Dropping it frees the memory.
///
/// C: [sqlite3_serialize](https://sqlite.org/c3ref/serialize.html)
pub struct Serialized(SqliteBytes);

impl Deref for Serialized {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl AsRef<[u8]> for Serialized {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Serialized {
    /// Shows the size, and no byte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serialized").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Bytes of the header that tell whether a database has a write-ahead log: 2 each if so.
const VERSIONS: std::ops::Range<usize> = 18..20;

impl Connection {
    /// Returns the content of a database, `main` or an attached one, as bytes that are a database file.
    ///
    /// All of it is in memory at once; [`backup_to`](Self::backup_to) writes a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a database with changes that are not committed, and if there is no database of this
    /// name; `SQLITE_BUSY` if another connection has a lock; [`ErrorKind::NoMemory`]; errors of the file.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// let bytes = conn.serialize("main")?;
    /// assert!(bytes.starts_with(b"SQLite format 3\0"));
    ///
    /// let copy = Connection::deserialize(&bytes)?;
    /// assert_eq!(copy.query_one::<i64>("SELECT a FROM t", ())?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_serialize](https://sqlite.org/c3ref/serialize.html)
    #[track_caller]
    pub fn serialize(&self, database: &str) -> Result<Serialized> {
        let bytes = self.db().serialize(&c_name(database)?).map_err(|fault| self.error(fault))?;
        if !has_zero_page(bytes.as_slice()) {
            return Ok(Serialized(bytes));
        }
        // SQLite leaves a page zero that it could not read. A backup returns such an error. Its copy is in memory, where
        // all pages can be read.
        drop(bytes);
        let copy = Backup::of_databases(self, database, Self::open_in_memory()?, "main")?.finish()?;
        let bytes = copy.db().serialize(c"main").map_err(|fault| copy.error(fault))?;
        Ok(Serialized(bytes))
    }

    /// Opens an in-memory database with this content, which is copied. No bytes are an empty database.
    ///
    /// The content of a database with a write-ahead log is opened with a rollback journal instead, since a database in
    /// memory has no log. The database grows up to 1 GiB: [`set_size_limit`](Self::set_size_limit).
    ///
    /// # Errors
    ///
    /// `SQLITE_NOTADB` and `SQLITE_CORRUPT` if the header or the schema are not those of a database; the rest of it is
    /// not checked. [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ResultCode};
    ///
    /// let error = Connection::deserialize(&[7; 4096]).unwrap_err();
    /// assert_eq!(error.code(), Some(ResultCode::NOTADB));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_deserialize](https://sqlite.org/c3ref/deserialize.html)
    #[track_caller]
    #[doc(alias("from_bytes", "deserialize_read_exact"))]
    pub fn deserialize(bytes: &[u8]) -> Result<Self> {
        let mut conn = Self::open_in_memory()?;
        conn.deserialize_into("main", bytes)?;
        Ok(conn)
    }

    /// Opens an in-memory database for reading only, with this content, which is not copied.
    ///
    /// # Errors
    ///
    /// Those of [`deserialize`](Self::deserialize); [`ErrorKind::Misuse`] for a database with a write-ahead log, which
    /// only a copy can be without.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # let source = Connection::open_in_memory()?;
    /// # source.execute_batch("CREATE TABLE t(a)")?;
    /// # let bytes: &'static [u8] = source.serialize("main")?.to_vec().leak();
    /// // let bytes: &'static [u8] = include_bytes!("app.db");
    /// let conn = Connection::deserialize_static(bytes)?;
    /// assert!(conn.exists("SELECT 1 FROM sqlite_schema WHERE name = 't'", ())?);
    /// assert!(conn.execute("INSERT INTO t VALUES (1)", ()).is_err());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_deserialize](https://sqlite.org/c3ref/deserialize.html)
    #[track_caller]
    pub fn deserialize_static(bytes: &'static [u8]) -> Result<Self> {
        if has_log(bytes) {
            let reason = "the database has a write-ahead log: `deserialize` opens a copy of it without";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        let conn = Self::open_in_memory()?;
        conn.replace("main", Image::Static(bytes))?;
        Ok(conn)
    }

    /// Replaces a database, `main` or an attached one, by an in-memory database with this content, which is copied. The
    /// file of the replaced database stays as it is.
    ///
    /// # Errors
    ///
    /// Those of [`deserialize`](Self::deserialize), after which the database has the content all the same;
    /// `SQLITE_ERROR` if there is no database of this name, for `temp`, and for a database in use.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// # let source = Connection::open_in_memory()?;
    /// # source.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
    /// let bytes = source.serialize("main")?;
    /// let mut conn = Connection::open_in_memory()?;
    /// conn.execute("ATTACH ':memory:' AS loaded", ())?;
    /// conn.deserialize_into("loaded", &bytes)?;
    /// assert_eq!(conn.query_one::<i64>("SELECT a FROM loaded.t", ())?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_deserialize](https://sqlite.org/c3ref/deserialize.html)
    #[track_caller]
    pub fn deserialize_into(&mut self, database: &str, bytes: &[u8]) -> Result<()> {
        if !has_log(bytes) {
            return self.replace(database, Image::Copied(bytes));
        }
        let mut bytes = bytes.to_vec();
        bytes[VERSIONS].fill(1);
        self.replace(database, Image::Copied(&bytes))
    }

    #[track_caller]
    fn replace(&self, database: &str, image: Image<'_>) -> Result<()> {
        self.db().deserialize(&c_name(database)?, image).map_err(|fault| self.error(fault))?;
        // Reads the header and the schema.
        let schema = crate::sql::quote_identifier(database);
        self.prepare(&format!("SELECT count(*) FROM {schema}.sqlite_schema"))?.query_one::<i64>(())?;
        Ok(())
    }

    /// Sets the largest size in bytes of a database that was deserialized; a write beyond it fails with `SQLITE_FULL`.
    /// Returns the limit that now holds, which is not less than the current size. It is 1 GiB before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for any other database.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, ResultCode};
    ///
    /// let conn = Connection::deserialize(&[])?;
    /// assert_eq!(conn.set_size_limit("main", 100_000)?, 100_000);
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// let error = conn.execute("INSERT INTO t VALUES (zeroblob(200000))", ()).unwrap_err();
    /// assert_eq!(error.code(), Some(ResultCode::FULL));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [SQLITE_FCNTL_SIZE_LIMIT](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlsizelimit)
    pub fn set_size_limit(&self, database: &str, bytes: u64) -> Result<u64> {
        let limit = self.db().set_size_limit(&c_name(database)?, bytes).map_err(|fault| self.error(fault))?;
        limit.ok_or_else(|| {
            Error::new(ErrorKind::Misuse { reason: "only a database that was deserialized has a limit" })
        })
    }
}

fn c_name(database: &str) -> Result<CString> {
    CString::new(database).map_err(|_| Error::new(ErrorKind::Misuse { reason: "the name of a database contains NUL" }))
}

fn has_log(bytes: &[u8]) -> bool {
    bytes.get(VERSIONS).is_some_and(|versions| versions.contains(&2))
}

/// Whether a page has only zeros, or the header is none.
fn has_zero_page(bytes: &[u8]) -> bool {
    let Some(size) = bytes.get(16..18) else {
        return false;
    };
    let size = match u16::from_be_bytes([size[0], size[1]]) {
        0 => return true,
        1 => 65_536,
        size => usize::from(size),
    };
    bytes.chunks(size).any(|page| page.iter().all(|&byte| byte == 0))
}

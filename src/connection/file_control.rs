//! Properties of database files: file controls, by the name of the database.

use std::time::Duration;

use super::Connection;
use super::settings::milliseconds;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::file_control::IntControl;
use crate::track::Taint;

impl Connection {
    /// Sets the number of bytes by which a database file grows and shrinks: it is extended and truncated in pieces of
    /// this size, which keeps it from being fragmented. 0, the default, means the size of a page. It applies to this
    /// connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no database of this name; [`ErrorKind::Unsupported`] for one without a file;
    /// [`ErrorKind::Misuse`] within a callback of the connection; [`ErrorKind::Forked`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("app.db");
    /// let conn = Connection::open(&path)?;
    /// conn.set_chunk_size("main", 1 << 20)?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// assert_eq!(std::fs::metadata(&path)?.len(), 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [SQLITE_FCNTL_CHUNK_SIZE](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlchunksize)
    pub fn set_chunk_size(&self, database: &str, bytes: u32) -> Result<()> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        self.set_int(database, IntControl::ChunkSize, bytes).map(drop)
    }

    /// Returns a number that changes when the content of a database changes, by this connection or another, as far as
    /// this connection has seen it: another connection's commit is seen by the next read. `PRAGMA data_version` leaves
    /// out the changes of the connection itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no database of this name; [`ErrorKind::Unsupported`] for `temp` before it is
    /// used; [`ErrorKind::Misuse`] within a callback of the connection; [`ErrorKind::Forked`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let before = conn.data_version("main")?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// assert_ne!(conn.data_version("main")?, before);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [SQLITE_FCNTL_DATA_VERSION](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntldataversion)
    pub fn data_version(&self, database: &str) -> Result<u32> {
        let name = self.database_name(database)?;
        let version = self.db().data_version(&name).map_err(|fault| self.error(fault))?;
        version.ok_or_else(|| unsupported("SQLITE_FCNTL_DATA_VERSION", database))
    }

    /// Returns the number of bytes that are left unused at the end of each page, for extensions such as encryption. It
    /// is what was requested, if that is not in force yet.
    ///
    /// # Errors
    ///
    /// See [`data_version`](Self::data_version).
    ///
    /// C: [SQLITE_FCNTL_RESERVE_BYTES](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlreservebytes)
    pub fn reserve_bytes(&self, database: &str) -> Result<u8> {
        let bytes = self.int(database, IntControl::ReserveBytes)?;
        Ok(u8::try_from(bytes).unwrap_or(0))
    }

    /// Sets the number of bytes that are left unused at the end of each page, and returns it as it was before. It takes
    /// effect when the database is created, or by the next `VACUUM`.
    ///
    /// # Errors
    ///
    /// See [`data_version`](Self::data_version).
    ///
    /// C: [SQLITE_FCNTL_RESERVE_BYTES](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlreservebytes)
    pub fn set_reserve_bytes(&self, database: &str, bytes: u8) -> Result<u8> {
        let before = self.set_int(database, IntControl::ReserveBytes, bytes.into())?;
        Ok(u8::try_from(before).unwrap_or(0))
    }

    /// Whether the write-ahead log and its index remain as files when the last connection closes. See
    /// [`set_persist_wal`](Self::set_persist_wal).
    ///
    /// # Errors
    ///
    /// See [`set_chunk_size`](Self::set_chunk_size).
    ///
    /// C: [SQLITE_FCNTL_PERSIST_WAL](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlpersistwal)
    pub fn persist_wal(&self, database: &str) -> Result<bool> {
        Ok(self.int(database, IntControl::PersistWal)? != 0)
    }

    /// Sets whether the write-ahead log and its index remain as files when this connection is the last to close. They
    /// are needed by connections that may read the directory and not write to it. Off by default.
    ///
    /// # Errors
    ///
    /// See [`set_chunk_size`](Self::set_chunk_size).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::OpenOptions;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let conn = OpenOptions::recommended().open(dir.path().join("app.db"))?;
    /// conn.set_persist_wal("main", true)?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// conn.close()?;
    /// assert!(dir.path().join("app.db-wal").exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [SQLITE_FCNTL_PERSIST_WAL](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlpersistwal)
    pub fn set_persist_wal(&self, database: &str, on: bool) -> Result<()> {
        self.set_int(database, IntControl::PersistWal, i32::from(on)).map(drop)
    }

    /// Whether SQLite assumes that writing a part of a file changes no other part of it, even if power is lost
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// See [`set_chunk_size`](Self::set_chunk_size).
    ///
    /// C: [SQLITE_FCNTL_POWERSAFE_OVERWRITE](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlpowersafeoverwrite)
    pub fn power_safe_overwrite(&self, database: &str) -> Result<bool> {
        Ok(self.int(database, IntControl::PowerSafeOverwrite)? != 0)
    }

    /// Sets whether SQLite assumes that writing a part of a file changes no other part of it, even if power is lost
    /// meanwhile. On by default; off, SQLite writes more to its journals.
    ///
    /// # Errors
    ///
    /// See [`set_chunk_size`](Self::set_chunk_size).
    ///
    /// C: [SQLITE_FCNTL_POWERSAFE_OVERWRITE](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlpowersafeoverwrite)
    pub fn set_power_safe_overwrite(&self, database: &str, on: bool) -> Result<()> {
        self.set_int(database, IntControl::PowerSafeOverwrite, i32::from(on)).map(drop)
    }

    /// Sets the time for which the operating system waits for a lock of the file, and returns it as it was before.
    ///
    /// # Errors
    ///
    /// See [`set_chunk_size`](Self::set_chunk_size). [`ErrorKind::Unsupported`] unless SQLite was compiled with
    /// `SQLITE_ENABLE_SETLK_TIMEOUT`, which the bundled one is not; [`set_busy_timeout`](Self::set_busy_timeout) needs
    /// nothing of the kind.
    ///
    /// C: [SQLITE_FCNTL_LOCK_TIMEOUT](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntllocktimeout)
    pub fn set_lock_timeout(&self, database: &str, timeout: Duration) -> Result<Duration> {
        let before = self.set_int(database, IntControl::LockTimeout, milliseconds(timeout))?;
        Ok(Duration::from_millis(u64::try_from(before).unwrap_or(0)))
    }

    /// Returns the name of the VFS through which a database file is accessed, such as `unix`; for a VFS that is based
    /// on another, both, as `shim/unix`. `None` for a database without a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if there is no database of this name; [`ErrorKind::Misuse`] within a callback of the
    /// connection; [`ErrorKind::Forked`].
    ///
    /// C: [SQLITE_FCNTL_VFSNAME](https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html#sqlitefcntlvfsname)
    pub fn vfs_name(&self, database: &str) -> Result<Option<String>> {
        let name = self.database_name(database)?;
        let vfs = self.db().vfs_name(&name).map_err(|fault| self.error(fault))?;
        // SQLite adds an address and a size to the name of the VFS of databases that were deserialized.
        Ok(vfs.map(|vfs| vfs.split('(').next().unwrap_or_default().to_owned()))
    }

    fn int(&self, database: &str, control: IntControl) -> Result<i32> {
        const ONLY_READ: i32 = -1;
        self.control_int(database, control, ONLY_READ)
    }

    fn set_int(&self, database: &str, control: IntControl, value: i32) -> Result<i32> {
        self.db().add_taint(Taint::OTHER_PRAGMA);
        self.control_int(database, control, value)
    }

    fn control_int(&self, database: &str, control: IntControl, value: i32) -> Result<i32> {
        let name = self.database_name(database)?;
        let answer = self.db().control_int(&name, control, value).map_err(|fault| self.error(fault))?;
        answer.ok_or_else(|| unsupported(control.name(), database))
    }
}

fn unsupported(operation: &str, database: &str) -> Error {
    let reason = format!("the file of the database {database}, if it has one, has no {operation}");
    Error::new(ErrorKind::Unsupported { reason: reason.into() })
}

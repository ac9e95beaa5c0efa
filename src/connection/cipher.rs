//! Encrypted databases.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::Connection;
use crate::error::{Error, ErrorKind, Result, ResultCode};
use crate::raw::cipher::Secret;
use crate::value::ValueRef;

/// The key of an encrypted database, for [`OpenOptions::key`](crate::OpenOptions::key). Its memory is overwritten when
/// the last copy is dropped; no `Debug`, error or event shows it.
///
/// The caller's own copy is the caller's to overwrite. SQLCipher keeps some memory for the whole process from the first
/// connection on: a [`LeakCheck`](crate::LeakCheck) begins after that.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ErrorKind, Key, OpenOptions};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("secret.db");
/// let options = OpenOptions::new().key(Key::passphrase("correct horse"));
/// options.open(&path)?.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
///
/// assert_eq!(options.open(&path)?.query_one::<i64>("SELECT a FROM t", ())?, 1);
/// let error = OpenOptions::new().key(Key::passphrase("wrong")).open(&path).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::WrongKey));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Key(Arc<Secret>);

impl Key {
    /// Returns a key that SQLCipher derives from a passphrase, which takes it a quarter of a million rounds of SHA-512,
    /// each time a connection is opened.
    #[must_use]
    pub fn passphrase(passphrase: &str) -> Self {
        Self(Arc::new(Secret::new(passphrase.as_bytes().into())))
    }

    /// Returns a key of 32 bytes that is used as it is.
    #[must_use]
    pub fn raw(bytes: &[u8; 32]) -> Self {
        Self::of_hex(bytes)
    }

    /// Returns a key of 32 bytes, followed by the 16 bytes of the database's salt.
    #[must_use]
    pub fn raw_with_salt(bytes: &[u8; 48]) -> Self {
        Self::of_hex(bytes)
    }

    /// SQLCipher takes a raw key as the text of a blob literal.
    fn of_hex(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)]);
        // Of its final size at once, so that no copy is left behind.
        let mut text = Vec::with_capacity(2 * bytes.len() + 3);
        text.extend_from_slice(b"x'");
        text.extend(digits);
        text.push(b'\'');
        Self(Arc::new(Secret::new(text.into_boxed_slice())))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Connection {
    pub(super) fn set_key(&self, key: &Key) -> Result<()> {
        self.db().set_key(&key.0).map_err(|fault| self.error(fault))
    }

    /// Reads the schema, which tells whether the key is the right one, unless a read before has failed.
    pub(super) fn check_key(&self, read: Result<()>) -> Result<()> {
        let read =
            read.and_then(|()| self.prepare("SELECT count(*) FROM sqlite_schema")?.query_one::<i64>(()).map(drop));
        match read {
            Err(error) if error.code() == Some(ResultCode::NOTADB) => Err(Error::new(ErrorKind::WrongKey)),
            read => read,
        }
    }

    /// Encrypts the main database with another key, in place. Other connections have to be opened anew.
    ///
    /// A database that is not encrypted is not encrypted by this: [`export_encrypted`](Self::export_encrypted).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a transaction; `SQLITE_BUSY` if another connection has a lock; errors of writing.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Key, OpenOptions};
    ///
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("secret.db");
    /// let open = |key: &Key| OpenOptions::new().key(key.clone()).open(&path);
    /// let (old, new) = (Key::passphrase("old"), Key::raw(&[7; 32]));
    /// let conn = open(&old)?;
    /// conn.execute("CREATE TABLE t(a)", ())?;
    /// conn.rekey(&new)?;
    /// drop(conn);
    /// assert!(open(&old).is_err());
    /// open(&new)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [sqlite3_rekey](https://www.zetetic.net/sqlcipher/sqlcipher-api/#sqlite3_rekey)
    pub fn rekey(&self, key: &Key) -> Result<()> {
        self.core().check_transaction()?;
        if !self.is_autocommit() {
            return Err(Error::new(ErrorKind::Misuse {
                reason: "a database is not encrypted anew within a transaction",
            }));
        }
        self.db().change_key(&key.0).map_err(|fault| self.error(fault))
    }

    /// Copies the main database to a new file, encrypted with this key. The source may be encrypted or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a transaction; `SQLITE_CANTOPEN`; an error if the file exists and has tables; errors
    /// of reading and writing.
    ///
    /// C: [sqlcipher_export](https://www.zetetic.net/sqlcipher/sqlcipher-api/#sqlcipher_export)
    pub fn export_encrypted(&self, path: impl AsRef<Path>, key: &Key) -> Result<()> {
        self.export(path.as_ref(), key.0.as_slice())
    }

    /// Copies the main database to a new file that is not encrypted.
    ///
    /// # Errors
    ///
    /// See [`export_encrypted`](Self::export_encrypted).
    ///
    /// C: [sqlcipher_export](https://www.zetetic.net/sqlcipher/sqlcipher-api/#sqlcipher_export)
    pub fn export_decrypted(&self, path: impl AsRef<Path>) -> Result<()> {
        self.export(path.as_ref(), b"")
    }

    fn export(&self, path: &Path, key: &[u8]) -> Result<()> {
        const NAME: &str = "finalite_export";
        if !self.is_autocommit() {
            return Err(Error::new(ErrorKind::Misuse { reason: "a database is not exported within a transaction" }));
        }
        let path = path.to_str().ok_or(Error::new(ErrorKind::Path { reason: "it is not Unicode" }))?;
        // The key is bound: it is in no SQL. The statements are not kept.
        self.prepare(&format!("ATTACH ? AS {NAME} KEY ?"))?.execute((path, ValueRef::Text(key)))?;
        let exported = self.prepare("SELECT sqlcipher_export(?)").and_then(|mut export| {
            let mut rows = export.query((NAME,))?;
            while rows.next()?.is_some() {}
            rows.finish()
        });
        let detached = self.prepare(&format!("DETACH {NAME}")).and_then(|mut detach| detach.execute(()));
        exported.and(detached.map(drop))
    }
}

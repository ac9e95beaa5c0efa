//! Attached databases, and guards that detach them.

use std::fmt;
use std::panic::Location;
use std::path::Path;

use super::Connection;
use super::open::{bad_path, path_bytes};
use crate::convert::ToSql;
use crate::error::Result;
use crate::sql::quote_text;
use crate::track::shielded;

impl Connection {
    /// Attaches the database at a path under a name, and returns a guard that detaches it.
    ///
    /// The file is created if it does not exist. As for [`open`](Self::open), `:memory:` is a new in-memory database,
    /// and the empty path a temporary one.
    ///
    /// The guard borrows the connection. To begin a transaction by [`transaction`](Self::transaction), call
    /// [`keep`](Attached::keep) first, and [`detach`](Self::detach) later.
    ///
    /// # Errors
    ///
    /// `SQLITE_CANTOPEN` for a file that does not exist or may not be opened; `SQLITE_ERROR` for a name that is in use,
    /// and for more databases than [`Limit::Attached`](crate::Limit::Attached);
    /// [`ErrorKind::Path`](crate::ErrorKind::Path) for a path that contains NUL or begins with `file:`;
    /// [`ErrorKind::Forked`](crate::ErrorKind::Forked) for a file that a parent process had open when it forked this
    /// one. A file that is not a database, or is locked, is an error here or in the first statement that reads it.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let dir = tempfile::tempdir()?;
    /// let conn = Connection::open_in_memory()?;
    /// let archive = conn.attach(dir.path().join("archive.db"), "archive")?;
    /// conn.execute("CREATE TABLE archive.event(text)", ())?;
    /// conn.execute("INSERT INTO archive.event VALUES ('begun')", ())?;
    /// archive.detach()?;
    /// assert!(conn.prepare("SELECT * FROM archive.event").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// C: [ATTACH DATABASE](https://sqlite.org/lang_attach.html)
    #[track_caller]
    pub fn attach(&self, path: impl AsRef<Path>, name: &str) -> Result<Attached<'_>> {
        let path = path_bytes(path.as_ref().as_os_str())?;
        if path.contains(&0) {
            return Err(bad_path("it contains NUL"));
        }
        if path.starts_with(b"file:") {
            return Err(bad_path(
                "it begins with `file:`: `attach_uri` attaches it as a URI, `./` before it is the file of that name",
            ));
        }
        match str::from_utf8(path) {
            // An error shows the path, as that of opening does.
            Ok(text) => self.prepare(&format!("ATTACH {} AS {}", quote_text(text), quote_text(name)))?.execute(())?,
            // SQLite converts a blob to text, whose bytes stay the same in this encoding only.
            Err(_) if self.pragma::<String>("encoding")? == "UTF-8" => self.attach_bound(path, name)?,
            Err(_) => return Err(bad_path("it is not UTF-8, and the main database is in UTF-16")),
        };
        Ok(Attached::new(self, name, Location::caller()))
    }

    /// Attaches the database of a [URI](https://sqlite.org/uri.html), such as `file:app.db?mode=ro`, under a name, and
    /// returns a guard that detaches it. See [`attach`](Self::attach).
    ///
    /// SQLite accepts a URI if [`OpenOptions::uri`](crate::OpenOptions::uri) was on, or by its compile-time setting, as
    /// the bundled one does. Otherwise, it is the name of a file.
    ///
    /// # Errors
    ///
    /// See [`attach`](Self::attach). [`ErrorKind::Path`](crate::ErrorKind::Path) for text that does not begin with
    /// `file:`. No error shows the URI, which may contain a key.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.attach_uri("file:/side?vfs=memdb", "side")?.keep();
    /// conn.execute("CREATE TABLE side.t(a)", ())?;
    /// conn.detach("side")?;
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [URI filenames](https://sqlite.org/uri.html)
    #[track_caller]
    pub fn attach_uri(&self, uri: &str, name: &str) -> Result<Attached<'_>> {
        if uri.contains('\0') {
            return Err(bad_path("it contains NUL"));
        }
        if !uri.starts_with("file:") {
            return Err(bad_path("it is no URI, which begins with `file:`"));
        }
        self.attach_bound(uri, name)?;
        Ok(Attached::new(self, name, Location::caller()))
    }

    #[track_caller]
    fn attach_bound<'p>(&self, path: impl ToSql + 'p, name: &str) -> Result<usize> {
        self.prepare(&format!("ATTACH ? AS {}", quote_text(name)))?.execute((path,))
    }

    /// Detaches an attached database.
    ///
    /// # Errors
    ///
    /// `SQLITE_ERROR` if there is no database of this name, or if it is in use: by rows that are not finished, by a
    /// blob, or by a transaction.
    ///
    /// C: [DETACH](https://sqlite.org/lang_detach.html)
    #[track_caller]
    pub fn detach(&self, name: &str) -> Result<()> {
        self.prepare(&sql_of_detach(name))?.execute(()).map(drop)
    }
}

fn sql_of_detach(name: &str) -> String {
    format!("DETACH {}", quote_text(name))
}

/// An attached database. Dropping it detaches the database. From [`Connection::attach`].
///
/// If it cannot be detached when the guard is dropped, because it is in use, it stays attached, and the error is
/// logged. A guard that is leaked leaves it attached until the connection closes.
#[must_use = "dropping it detaches the database"]
pub struct Attached<'conn> {
    conn: &'conn Connection,
    name: Box<str>,
    site: &'static Location<'static>,
    is_kept: bool,
}

impl<'conn> Attached<'conn> {
    fn new(conn: &'conn Connection, name: &str, site: &'static Location<'static>) -> Self {
        Self { conn, name: name.into(), site, is_kept: false }
    }

    /// Returns the name under which it is attached.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Detaches the database, and returns the error that Drop would only log.
    ///
    /// # Errors
    ///
    /// See [`Connection::detach`]. The database is then still attached.
    #[track_caller]
    pub fn detach(mut self) -> Result<()> {
        self.is_kept = true;
        self.conn.detach(&self.name)
    }

    /// Leaves the database attached until it is [detached](Connection::detach), or the connection closes.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if self.is_kept || self.conn.db().is_inherited() {
            return;
        }
        let _cleanup = self.conn.db().begin_cleanup();
        if let Err(error) = self.conn.core().control_at(&sql_of_detach(&self.name), self.site) {
            let (connection, name) = self.conn.identity();
            shielded(|| {
                let attached_at = self.site;
                tracing::error!(target: "finalite::statement", %error, connection, name, %attached_at, "a database could not be detached");
            });
        }
    }
}

impl fmt::Debug for Attached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("name", &self.name).finish_non_exhaustive()
    }
}

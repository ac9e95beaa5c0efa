//! Collations.

use std::cmp::Ordering;
use std::ffi::CString;
use std::panic::Location;
use std::str;

use super::register::Replaced;
use crate::Connection;
use crate::error::{Error, ErrorKind, Result};

/// Names of SQLite's collations.
const BUILT_IN: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];

impl Connection {
    /// Makes a closure a collation: `ORDER BY name COLLATE natural`. Returns what was replaced.
    ///
    /// The closure must be a total order, and the same one for as long as an index uses it; otherwise SQLite's results
    /// are undefined and the index is corrupt. Text that is not UTF-8 sorts after all other text, by its bytes, without
    /// a call of the closure; [`create_bytes_collation`](Self::create_bytes_collation) compares bytes.
    ///
    /// If the closure panics, the panic is resumed when the statement ends or by the next call on the connection. SQLite
    /// cannot end a comparison with an error, so that the bytes are compared in its place: after a panic in a statement
    /// that writes, run `REINDEX`.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if it replaces a collation while a statement is running; [`ErrorKind::Misuse`] for a name that
    /// contains a NUL, and within a callback; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_collation("by_length", |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))?;
    /// let sql = "SELECT column1 FROM (VALUES ('ccc'), ('a'), ('bb')) ORDER BY column1 COLLATE by_length";
    /// assert_eq!(conn.query_all::<String>(sql, ())?, ["a", "bb", "ccc"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_collation_v2](https://sqlite.org/c3ref/create_collation.html)
    #[track_caller]
    pub fn create_collation(
        &self,
        name: &str,
        compare: impl Fn(&str, &str) -> Ordering + Send + 'static,
    ) -> Result<Replaced> {
        self.register_collation(name, Location::caller(), of_text(compare))
    }

    /// Makes a closure a collation, as [`create_collation`](Self::create_collation) does. The closure gets the bytes of
    /// the texts, which may not be UTF-8.
    ///
    /// # Errors
    ///
    /// See [`create_collation`](Self::create_collation).
    ///
    /// C: [sqlite3_create_collation_v2](https://sqlite.org/c3ref/create_collation.html)
    #[track_caller]
    pub fn create_bytes_collation(
        &self,
        name: &str,
        compare: impl Fn(&[u8], &[u8]) -> Ordering + Send + 'static,
    ) -> Result<Replaced> {
        self.register_collation(name, Location::caller(), compare)
    }

    fn register_collation(
        &self,
        name: &str,
        site: &'static Location<'static>,
        compare: impl Fn(&[u8], &[u8]) -> Ordering + Send + 'static,
    ) -> Result<Replaced> {
        let Ok(c_name) = CString::new(name) else {
            let reason = "the name of the collation contains a NUL character";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        };
        let is_built_in = BUILT_IN.iter().any(|built_in| built_in.eq_ignore_ascii_case(name));
        match self.db().create_collation(&c_name, site, compare).map_err(|fault| self.error(fault))? {
            true => Ok(Replaced::Registered),
            false if is_built_in => Ok(Replaced::Other),
            false => Ok(Replaced::Nothing),
        }
    }

    /// Removes a collation that was registered with this name, and drops its closure. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` while a statement is running; [`ErrorKind::Misuse`] within a callback.
    ///
    /// C: [sqlite3_create_collation_v2](https://sqlite.org/c3ref/create_collation.html)
    pub fn remove_collation(&self, name: &str) -> Result<bool> {
        let Ok(name) = CString::new(name) else {
            return Ok(false);
        };
        self.db().remove_collation(&name).map_err(|fault| self.error(fault))
    }

    /// Sets the closure that supplies collations which are not registered, when a statement first needs one. It gets the
    /// name, and returns the comparison, or `None` for a collation that it does not know. It replaces the closure that
    /// was set before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.on_collation_needed(|name| (name == "reversed").then_some(|a: &str, b: &str| b.cmp(a)))?;
    /// let sql = "SELECT column1 FROM (VALUES ('a'), ('c'), ('b')) ORDER BY column1 COLLATE reversed";
    /// assert_eq!(conn.query_all::<String>(sql, ())?, ["c", "b", "a"]);
    /// assert!(conn.prepare("SELECT 'a' < 'b' COLLATE unknown").is_err());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_collation_needed](https://sqlite.org/c3ref/collation_needed.html)
    #[track_caller]
    pub fn on_collation_needed<C>(&self, supply: impl Fn(&str) -> Option<C> + Send + 'static) -> Result<()>
    where
        C: Fn(&str, &str) -> Ordering + Send + 'static,
    {
        let supply = move |name: &str| supply(name).map(of_text);
        self.db().on_collation_needed(Location::caller(), supply).map_err(|fault| self.error(fault))?;
        Ok(())
    }

    /// Removes the closure of [`on_collation_needed`](Self::on_collation_needed). Returns whether there was one. The
    /// collations that it has supplied stay.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] within a callback.
    pub fn remove_collation_needed(&self) -> Result<bool> {
        self.db().remove_collation_needed().map_err(|fault| self.error(fault))
    }
}

/// Makes a comparison of texts one of bytes. Text that is not UTF-8 comes last, so that the order stays total.
fn of_text(compare: impl Fn(&str, &str) -> Ordering + Send + 'static) -> impl Fn(&[u8], &[u8]) -> Ordering + Send {
    move |left, right| match (str::from_utf8(left), str::from_utf8(right)) {
        (Ok(left), Ok(right)) => compare(left, right),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

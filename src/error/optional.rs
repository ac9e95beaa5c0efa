//! [`OptionalExtension`]: a missing row as `None`.

use super::Result;

/// Adds [`optional`](Self::optional) to results.
pub trait OptionalExtension<T> {
    /// Converts the error for a missing row ([`Error::is_no_rows`](crate::Error::is_no_rows)) to `None`. Other results
    /// are unchanged.
    ///
    /// [`Connection::query_optional`](crate::Connection::query_optional) does the same without this trait.
    ///
    /// # Errors
    ///
    /// Every other error of the result.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, OptionalExtension};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let name = conn.query_row("SELECT name FROM sqlite_schema", [], |row| row.get::<String>(0)).optional()?;
    /// assert_eq!(name, None);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_no_rows() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

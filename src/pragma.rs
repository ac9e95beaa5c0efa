//! Pragmas: read with a type, set and checked.

use std::fmt;
use std::panic::Location;

use crate::error::{Error, ErrorKind, Result, What};
use crate::raw::Kind;
use crate::rows::FromRow;
use crate::sql;
use crate::{Connection, Value};

/// The value of a pragma: a number, or a word.
#[derive(Clone, Debug, PartialEq)]
pub struct PragmaValue(Repr);

#[derive(Clone, Debug, PartialEq)]
enum Repr {
    Integer(i64),
    Text(Box<str>),
}

impl From<i64> for PragmaValue {
    fn from(value: i64) -> Self {
        Self(Repr::Integer(value))
    }
}

impl From<i32> for PragmaValue {
    fn from(value: i32) -> Self {
        i64::from(value).into()
    }
}

impl From<u32> for PragmaValue {
    fn from(value: u32) -> Self {
        i64::from(value).into()
    }
}

impl From<bool> for PragmaValue {
    fn from(value: bool) -> Self {
        i64::from(value).into()
    }
}

impl From<&str> for PragmaValue {
    fn from(value: &str) -> Self {
        Self(Repr::Text(value.into()))
    }
}

impl From<String> for PragmaValue {
    fn from(value: String) -> Self {
        Self(Repr::Text(value.into()))
    }
}

impl fmt::Display for PragmaValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Integer(value) => write!(f, "{value}"),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

/// Pragmas that can be set and not be read.
const WRITE_ONLY: [&str; 4] = ["case_sensitive_like", "incremental_vacuum", "optimize", "shrink_memory"];

/// Pragmas whose value nobody may see; they cannot be read either.
const SECRET: [&str; 6] = ["hexkey", "hexrekey", "key", "rekey", "textkey", "textrekey"];

impl Connection {
    /// Reads a pragma: `journal_mode`, or that of an attached database, `aux.journal_mode`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if it yields nothing: SQLite ignores names that it does not know. [`ErrorKind::Rows`] if it
    /// yields several rows; for those, [`query_all`](Self::query_all) with `PRAGMA …` or the `pragma_…` table-valued
    /// functions are the way. [`ErrorKind::Column`] if the value is no `T`.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// assert_eq!(conn.pragma::<String>("encoding")?, "UTF-8");
    /// assert!(conn.pragma::<bool>("foreign_keys")?);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [PRAGMA](https://sqlite.org/pragma.html)
    #[track_caller]
    pub fn pragma<T: for<'row> FromRow<'row>>(&self, name: &str) -> Result<T> {
        let sql = format!("PRAGMA {}", quote_path(name));
        self.query_optional(&sql, ())?.ok_or_else(|| {
            Error::new(ErrorKind::NoSuch { what: What::Pragma, name: name.into(), known: Box::default() })
        })
    }

    /// Sets a pragma and reads it back. Name and value are quoted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Pragma`] if it reads back as something else: SQLite refuses many settings silently (`journal_mode`
    /// of a database in memory, `foreign_keys` within a transaction, an unknown name). Pragmas that cannot be read
    /// are not checked. What SQLite returns.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.set_pragma("user_version", 7)?;
    /// assert_eq!(conn.pragma::<i64>("user_version")?, 7);
    /// let error = conn.set_pragma("journal_mode", "wal").unwrap_err();
    /// assert!(error.to_string().starts_with("PRAGMA journal_mode is memory, not wal"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [PRAGMA](https://sqlite.org/pragma.html)
    #[track_caller]
    pub fn set_pragma(&self, name: &str, value: impl Into<PragmaValue>) -> Result<()> {
        let value = value.into();
        let literal = match &value.0 {
            Repr::Integer(number) => number.to_string(),
            Repr::Text(text) => sql::quote_text(text),
        };
        let path = quote_path(name);
        let pragma = name.rsplit('.').next().unwrap_or(name);
        let sql = format!("PRAGMA {path} = {literal}");
        if SECRET.iter().any(|known| known.eq_ignore_ascii_case(pragma)) {
            let shown = format!("PRAGMA {path} = …");
            self.prepare_shown_as(&sql, &shown, Kind::Statement, Location::caller())?.execute(())?;
            return Ok(());
        }
        self.execute(&sql, ())?;
        if WRITE_ONLY.iter().any(|known| known.eq_ignore_ascii_case(pragma)) {
            return Ok(());
        }
        let effective = self.query_optional::<Value>(&format!("PRAGMA {path}"), ())?;
        if effective.as_ref().is_some_and(|effective| means(pragma, &value, effective)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Pragma {
            name: name.into(),
            requested: value.to_string().into(),
            effective: effective.map(|effective| display(&effective).into()),
        }))
    }
}

fn quote_path(name: &str) -> String {
    match name.split_once('.') {
        Some((schema, pragma)) => format!("{}.{}", sql::quote_identifier(schema), sql::quote_identifier(pragma)),
        None => sql::quote_identifier(name),
    }
}

fn display(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(_) => "a blob".to_owned(),
    }
}

/// Whether a pragma that was set to one value and reads back as another has taken it: SQLite has several words for
/// most settings, and reads back a number for some of them.
fn means(pragma: &str, requested: &PragmaValue, effective: &Value) -> bool {
    match (&requested.0, effective) {
        (Repr::Integer(requested), Value::Integer(effective)) => requested == effective,
        (Repr::Integer(requested), Value::Text(effective)) => {
            effective.parse() == Ok(*requested) || word_number(pragma, effective) == Some(*requested)
        }
        (Repr::Text(requested), Value::Integer(effective)) => {
            requested.parse() == Ok(*effective) || word_number(pragma, requested) == Some(*effective)
        }
        (Repr::Text(requested), Value::Text(effective)) => {
            requested.eq_ignore_ascii_case(effective)
                // "UTF-16" is the machine's byte order: UTF-16le or UTF-16be.
                || (requested.eq_ignore_ascii_case("UTF-16") && effective.starts_with("UTF-16"))
        }
        _ => false,
    }
}

/// The number behind a word that SQLite takes for a pragma.
fn word_number(pragma: &str, word: &str) -> Option<i64> {
    let pragma = pragma.to_ascii_lowercase();
    let word = word.to_ascii_lowercase();
    Some(match (&*pragma, &*word) {
        ("synchronous", "normal") | ("auto_vacuum", "full") | ("temp_store", "file") => 1,
        ("synchronous", "full") | ("auto_vacuum", "incremental") | ("temp_store", "memory") => 2,
        ("secure_delete", "fast") => 2,
        ("synchronous", "extra") => 3,
        ("auto_vacuum", "none") | ("temp_store", "default") => 0,
        (_, "on" | "yes" | "true") => 1,
        (_, "off" | "no" | "false") => 0,
        _ => return None,
    })
}

//! Pragmas: reading them as a type, setting and verifying them.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use super::pauses::{pauses, wait_for_lock};
use super::settings::milliseconds;
use crate::Connection;
use crate::core::Reuse;
use crate::error::{Error, ErrorKind, NameKind, Result, ResultCode};
use crate::raw::library;
use crate::sql::{self, Pragma, PragmaKind};
use crate::statement::{FromRow, Statement};
use crate::value::Value;

/// The value of a pragma: a number or a word.
#[derive(Clone, PartialEq)]
pub struct PragmaValue(Repr);

#[derive(Clone, PartialEq)]
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

/// A number above [`i64::MAX`] is passed as text, which no pragma takes, so that setting it is an error.
impl From<u64> for PragmaValue {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| value.to_string().into(), Into::into)
    }
}

/// As that of [`u64`], for the length of a list.
impl From<usize> for PragmaValue {
    fn from(value: usize) -> Self {
        i64::try_from(value).map_or_else(|_| value.to_string().into(), Into::into)
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

/// As the value that is referred to.
impl<T: Clone + Into<Self>> From<&T> for PragmaValue {
    fn from(value: &T) -> Self {
        value.clone().into()
    }
}

/// Shows a number, but only the length of a word, which may be an encryption key.
impl fmt::Debug for PragmaValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Integer(value) => write!(f, "PragmaValue({value})"),
            Repr::Text(text) => write!(f, "PragmaValue(TEXT, {} bytes)", text.len()),
        }
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

impl Connection {
    /// Returns the value of a pragma, such as `journal_mode`, or `aux.journal_mode` for an attached database.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if the pragma yields no row, since SQLite ignores unknown names. [`ErrorKind::RowCount`]
    /// if it yields several rows; read those by [`query_all`](Self::query_all) with `PRAGMA …` or the `pragma_…`
    /// table-valued functions. [`ErrorKind::ColumnConversion`] if the value cannot be read as `T`.
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
    #[doc(alias = "pragma_query_value")]
    pub fn pragma<T: for<'row> FromRow<'row>>(&self, name: &str) -> Result<T> {
        self.prepare(&self.sql_of_pragma(name))?.query_pragma()?.ok_or_else(|| {
            Error::new(ErrorKind::NoSuch { what: NameKind::Pragma, name: name.into(), known: Box::default() })
        })
    }

    /// Sets a pragma, reads it back and returns an error if it did not take effect. Name and value are quoted.
    ///
    /// The pragma took effect if the value read back is equivalent to the value set, in any of SQLite's notations: `on`
    /// and `true` are 1, `UTF16` is `UTF-16le`, a switch is on for every number but 0, `wal_autocheckpoint` is off for
    /// every number below 1. A number above SQLite's limit for `mmap_size` or `threads` counts as effective too: SQLite
    /// lowers it to the limit.
    ///
    /// Setting `journal_mode` waits for other connections, up to the busy timeout, when it enters or leaves WAL mode.
    /// If the pragma is run as SQL, SQLite itself returns `SQLITE_BUSY` immediately.
    ///
    /// Pragmas that perform an action (`incremental_vacuum`, `optimize`, `shrink_memory`, `wal_checkpoint`), encryption
    /// keys, and `case_sensitive_like`, which cannot be read, are run but not read back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Pragma`] if the pragma reads back another value: SQLite silently ignores many settings
    /// (`journal_mode` of an in-memory database, `foreign_keys` within a transaction, an unknown name). `SQLITE_BUSY`
    /// for a `wal_checkpoint` that was blocked from completing. [`ErrorKind::Misuse`] for a pragma that queries and
    /// sets nothing (`integrity_check`, `table_info`); read its result by [`query_all`](Self::query_all). Any other
    /// error of SQLite.
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
    #[doc(alias("pragma_update", "pragma_update_and_check"))]
    pub fn set_pragma(&self, name: &str, value: impl Into<PragmaValue>) -> Result<()> {
        let value = value.into();
        let literal = match &value.0 {
            Repr::Integer(number) => number.to_string(),
            Repr::Text(text) => sql::quote_text(text),
        };
        let path = quote_path(name);
        let pragma = name.rsplit('.').next().unwrap_or(name);
        let kind = Pragma::kind_of(pragma);
        let sql = format!("PRAGMA {path} = {literal}");
        if kind == PragmaKind::Question {
            let reason = "this pragma returns rows and sets nothing: run it with `query_all`";
            return Err(Error::new(ErrorKind::Misuse { reason }).in_sql(&sql));
        }
        if kind == PragmaKind::Secret {
            let shown = format!("PRAGMA {path} = …");
            Statement::new(self.core().prepare_shown_as(&sql, &shown, Reuse::Once, Location::caller())?).execute(())?;
            return Ok(());
        }
        if pragma.eq_ignore_ascii_case("wal_checkpoint") {
            return self.run_checkpoint(&sql);
        }
        if pragma.eq_ignore_ascii_case("journal_mode") {
            self.switch_journal(&sql)?;
        } else {
            self.execute(&sql, ())?;
        }
        if kind == PragmaKind::Action {
            return Ok(());
        }
        let effective = self.prepare(&self.sql_of_pragma(name))?.query_pragma::<Value>()?;
        let has_taken = match &effective {
            Some(effective) => means(pragma, &value, effective),
            None => kind == PragmaKind::Directory && value.0 == Repr::Text("".into()),
        };
        if has_taken {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Pragma {
            name: name.into(),
            requested: value.to_string().into(),
            is_known: effective.is_some() || self.knows_pragma(pragma)?,
            effective: effective.map(|effective| display(&effective).into()),
        }))
    }

    /// Returns the SQL that reads a pragma.
    fn sql_of_pragma(&self, name: &str) -> String {
        match self.db().replaced_pragma(name.rsplit('.').next().unwrap_or(name)) {
            Some(value) => format!("SELECT {}", value.max(0)),
            None => format!("PRAGMA {}", quote_path(name)),
        }
    }

    /// Runs a `PRAGMA journal_mode = …`, and repeats it while another connection holds a lock, up to the busy timeout.
    /// SQLite itself tries only once to get the lock for entering or leaving WAL mode.
    #[track_caller]
    fn switch_journal(&self, sql: &str) -> Result<()> {
        let mut result = self.execute(sql, ());
        if !result.as_ref().is_err_and(Error::is_anothers_lock) {
            return result.map(drop);
        }
        let timeout = self.busy_timeout()?;
        let start = Instant::now();
        for pause in pauses(timeout, Duration::from_millis(1), Duration::from_millis(50)) {
            wait_for_lock(pause);
            // SQLite waits for other locks itself, for the remaining time only.
            self.db().set_busy_timeout(milliseconds(timeout.saturating_sub(start.elapsed())))?;
            result = self.execute(sql, ());
            if !result.as_ref().is_err_and(Error::is_anothers_lock) {
                break;
            }
        }
        self.db().set_busy_timeout(milliseconds(timeout))?;
        result.map(drop)
    }

    /// Runs a `PRAGMA wal_checkpoint`, whose row reports whether it was blocked from completing.
    #[track_caller]
    fn run_checkpoint(&self, sql: &str) -> Result<()> {
        let (is_busy, _, _) = self.query_one::<(bool, i64, i64)>(sql, ())?;
        if !is_busy {
            return Ok(());
        }
        let code = ResultCode::BUSY;
        let error = Error::new(ErrorKind::Sqlite { code, message: library::code_message(code.number()).into() });
        Err(error.in_sql(sql).in_databases(|| self.db().files()))
    }

    /// Whether SQLite has a pragma of this name; `false` if SQLite is compiled without the list of pragmas.
    fn knows_pragma(&self, pragma: &str) -> Result<bool> {
        let sql = "SELECT count(*) FROM pragma_pragma_list WHERE name = ? COLLATE NOCASE";
        match self.query_one::<u32>(sql, (pragma,)) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.code() == Some(ResultCode::ERROR) => Ok(false),
            Err(error) => Err(error),
        }
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

/// Whether a pragma that was set to `requested` and reads back as `effective` took effect. SQLite accepts several words
/// for most settings, and reads back a number for some of them.
fn means(pragma: &str, requested: &PragmaValue, effective: &Value) -> bool {
    let pragma = &*pragma.to_ascii_lowercase();
    match effective {
        Value::Integer(effective) => {
            let requested = match &requested.0 {
                Repr::Integer(number) => Some(*number),
                Repr::Text(text) => number(text).or_else(|| word_number(pragma, text)),
            };
            requested.is_some_and(|requested| is_kept_as(pragma, requested, *effective))
        }
        Value::Text(effective) => match &requested.0 {
            Repr::Integer(requested) => {
                effective.parse() == Ok(*requested) || word_number(pragma, effective) == Some(*requested)
            }
            Repr::Text(requested) if pragma == "encoding" => is_encoding(requested, effective),
            Repr::Text(requested) => requested.eq_ignore_ascii_case(effective),
        },
        _ => false,
    }
}

/// Whether SQLite stores the number `requested` as `effective`.
fn is_kept_as(pragma: &str, requested: i64, effective: i64) -> bool {
    if Pragma::kind_of(pragma) == PragmaKind::Switch {
        return (requested == 0) == (effective == 0);
    }
    let kept = match pragma {
        "busy_timeout" | "wal_autocheckpoint" => requested.max(0),
        "default_cache_size" => requested.saturating_abs(),
        "journal_size_limit" => requested.max(-1),
        // 1 is on and 2 is FAST, but any other number except 0 is on as well.
        "secure_delete" if requested > 2 => 1,
        // A value below 0 selects the default size of the mapping. Neither value is lowered to 0, unless the feature is
        // absent.
        "mmap_size" if requested < 0 => effective,
        "mmap_size" | "threads" if effective > 0 => requested.min(effective),
        _ => requested,
    };
    kept == effective
}

/// Parses a number as SQLite does.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Whether two names denote the same encoding. SQLite also accepts names without the hyphen and, for the byte order of
/// the machine, without a byte order.
fn is_encoding(requested: &str, effective: &str) -> bool {
    let plain = |name: &str| name.to_ascii_lowercase().replacen("utf-", "utf", 1);
    let (requested, effective) = (plain(requested), plain(effective));
    requested == effective || (requested == "utf16" && effective.starts_with("utf16"))
}

/// Returns the number for a word that SQLite accepts for a pragma.
fn word_number(pragma: &str, word: &str) -> Option<i64> {
    let word = word.to_ascii_lowercase();
    Some(match (pragma, &*word) {
        ("synchronous", "normal") | ("auto_vacuum", "full") | ("temp_store", "file") => 1,
        ("synchronous", "full") | ("auto_vacuum", "incremental") | ("temp_store", "memory") => 2,
        ("secure_delete", "fast") => 2,
        ("synchronous", "extra") => 3,
        ("auto_vacuum", "none") | ("temp_store", "default") | ("writable_schema", "reset") => 0,
        (_, "on" | "yes" | "true") => 1,
        (_, "off" | "no" | "false") => 0,
        _ => return None,
    })
}

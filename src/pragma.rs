//! Pragmas: read with a type, set and checked.

use std::fmt;
use std::panic::Location;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::milliseconds;
use crate::error::{Error, ErrorKind, NameKind, Result};
use crate::pauses::pauses;
use crate::raw::{HandleKind, library};
use crate::rows::FromRow;
use crate::sql;
use crate::{Connection, ResultCode, Value};

/// The value of a pragma: a number, or a word.
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

/// A number, or the length of a word, which may be a key.
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

/// Pragmas that do something, and one that sets what nobody can read: there is nothing to read back.
const ACTIONS: [&str; 4] = ["case_sensitive_like", "incremental_vacuum", "optimize", "shrink_memory"];

/// Pragmas that ask: what they are given is what they ask about.
const QUESTIONS: [&str; 10] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Pragmas that are off for 0 and on for any other number. All read back 0 or 1 but `cache_spill`, which reads back how
/// many pages the cache has, or more.
const SWITCHES: [&str; 19] = [
    "automatic_index",
    "cache_spill",
    "cell_size_check",
    "checkpoint_fullfsync",
    "count_changes",
    "defer_foreign_keys",
    "empty_result_callbacks",
    "foreign_keys",
    "full_column_names",
    "fullfsync",
    "ignore_check_constraints",
    "legacy_alter_table",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "short_column_names",
    "trusted_schema",
    "writable_schema",
];

/// Pragmas that read back nothing when they are as they were at first, which is what the empty text sets.
const DIRECTORIES: [&str; 2] = ["data_store_directory", "temp_store_directory"];

/// Pragmas whose value nobody may see; they cannot be read either.
const SECRET: [&str; 6] = ["hexkey", "hexrekey", "key", "rekey", "textkey", "textrekey"];

impl Connection {
    /// Reads a pragma: `journal_mode`, or that of an attached database, `aux.journal_mode`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoSuch`] if it yields nothing: SQLite ignores names that it does not know. [`ErrorKind::RowCount`] if
    /// it yields several rows; for those, [`query_all`](Self::query_all) with `PRAGMA …` or the `pragma_…` table-valued
    /// functions are the way. [`ErrorKind::ColumnConversion`] if the value is no `T`.
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
        self.prepare(&sql)?.query_pragma()?.ok_or_else(|| {
            Error::new(ErrorKind::NoSuch { what: NameKind::Pragma, name: name.into(), known: Box::default() })
        })
    }

    /// Sets a pragma and reads it back. Name and value are quoted.
    ///
    /// It has taken if what is read means what was set, in any of SQLite's words for it: `on` is `true` is 1, `UTF16`
    /// is `UTF-16le`, a switch is on for every number but 0, `wal_autocheckpoint` is off for every number below 1. A
    /// number above SQLite's own limit for `mmap_size` or `threads` has taken too: it is lowered to the limit.
    ///
    /// `journal_mode` waits for other connections as long as the busy timeout says, into WAL mode and out of it. SQLite
    /// itself, where the pragma is run as SQL, returns `SQLITE_BUSY` at once.
    ///
    /// Pragmas that do something (`incremental_vacuum`, `optimize`, `shrink_memory`, `wal_checkpoint`), keys, and
    /// `case_sensitive_like`, which cannot be read, are run and not read back.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Pragma`] if it reads back as something else: SQLite refuses many settings silently (`journal_mode`
    /// of a database in memory, `foreign_keys` within a transaction, an unknown name). `SQLITE_BUSY` for a
    /// `wal_checkpoint` that somebody kept from its end. [`ErrorKind::Misuse`] for a pragma that asks and does not set
    /// (`integrity_check`, `table_info`): [`query_all`](Self::query_all) has its answer. What SQLite returns.
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
        if is_in(&QUESTIONS, pragma) {
            let reason = "this pragma asks and sets nothing: run it with `query_all`, which returns its answer";
            return Err(Error::new(ErrorKind::Misuse { reason }).in_sql(&sql));
        }
        if is_in(&SECRET, pragma) {
            let shown = format!("PRAGMA {path} = …");
            self.prepare_shown_as(&sql, &shown, HandleKind::Statement, Location::caller())?.execute(())?;
            return Ok(());
        }
        if pragma.eq_ignore_ascii_case("wal_checkpoint") {
            return self.checkpoint(&sql);
        }
        if pragma.eq_ignore_ascii_case("journal_mode") {
            self.switch_journal(&sql)?;
        } else {
            self.execute(&sql, ())?;
        }
        if is_in(&ACTIONS, pragma) {
            return Ok(());
        }
        let effective = self.prepare(&format!("PRAGMA {path}"))?.query_pragma::<Value>()?;
        let has_taken = match &effective {
            Some(effective) => means(pragma, &value, effective),
            None => is_in(&DIRECTORIES, pragma) && value.0 == Repr::Text("".into()),
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

    /// Runs a `PRAGMA journal_mode = …`, and again while another connection is in the way, as long as the busy timeout
    /// says. SQLite itself asks once for the lock that it takes into WAL mode and out of it.
    #[track_caller]
    fn switch_journal(&self, sql: &str) -> Result<()> {
        let mut result = self.execute(sql, ());
        if !result.as_ref().is_err_and(Error::is_anothers_lock) {
            return result.map(drop);
        }
        let timeout = self.busy_timeout()?;
        let start = Instant::now();
        for pause in pauses(timeout, Duration::from_millis(1), Duration::from_millis(50)) {
            thread::sleep(pause);
            // For other locks SQLite waits, and not as long again.
            self.db().set_busy_timeout(milliseconds(timeout.saturating_sub(start.elapsed())))?;
            result = self.execute(sql, ());
            if !result.as_ref().is_err_and(Error::is_anothers_lock) {
                break;
            }
        }
        self.db().set_busy_timeout(milliseconds(timeout))?;
        result.map(drop)
    }

    /// Runs a `PRAGMA wal_checkpoint`, which tells in its row whether it was kept from its end.
    #[track_caller]
    fn checkpoint(&self, sql: &str) -> Result<()> {
        let (is_busy, _, _) = self.query_one::<(bool, i64, i64)>(sql, ())?;
        if !is_busy {
            return Ok(());
        }
        let code = ResultCode::BUSY;
        let error = Error::new(ErrorKind::Sqlite { code, message: library::code_message(code.number()).into() });
        Err(error.in_sql(sql).in_databases(|| self.db().files()))
    }

    /// Whether SQLite has a pragma of this name; not, where it is built without the list of them.
    fn knows_pragma(&self, pragma: &str) -> Result<bool> {
        let sql = "SELECT count(*) FROM pragma_pragma_list WHERE name = ? COLLATE NOCASE";
        match self.query_one::<u32>(sql, (pragma,)) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.code() == Some(ResultCode::ERROR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_in(list: &[&str], pragma: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(pragma))
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

/// Whether this is what SQLite makes of a number.
fn is_kept_as(pragma: &str, requested: i64, effective: i64) -> bool {
    if is_in(&SWITCHES, pragma) {
        return (requested == 0) == (effective == 0);
    }
    let kept = match pragma {
        "busy_timeout" | "wal_autocheckpoint" => requested.max(0),
        "default_cache_size" => requested.saturating_abs(),
        "journal_size_limit" => requested.max(-1),
        // 1 is on and 2 is FAST, but as a number any other than 0 is on.
        "secure_delete" if requested > 2 => 1,
        // Below 0, mapping is left to the default. Neither is lowered to 0 where there is any.
        "mmap_size" if requested < 0 => effective,
        "mmap_size" | "threads" if effective > 0 => requested.min(effective),
        _ => requested,
    };
    kept == effective
}

/// A number as SQLite reads it.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// SQLite takes the names of encodings without the hyphen too, and without the byte order, for the machine's.
fn is_encoding(requested: &str, effective: &str) -> bool {
    let plain = |name: &str| name.to_ascii_lowercase().replacen("utf-", "utf", 1);
    let (requested, effective) = (plain(requested), plain(effective));
    requested == effective || (requested == "utf16" && effective.starts_with("utf16"))
}

/// The number behind a word that SQLite takes for a pragma.
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

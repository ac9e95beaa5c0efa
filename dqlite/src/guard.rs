//! Statements that are not sent: a node would fail, or do something else than SQLite does.

use finalite::workspace::{first_statement, first_token, skip_blank};

use crate::error::{Error, Result};
use crate::link::Effect;

/// A statement that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) kind: Kind,
    /// Whether it has a RETURNING clause.
    pub(crate) returns: bool,
    /// Whether it inserts, updates or deletes, so that the node's count of changes is its own.
    pub(crate) changes_rows: bool,
}

/// The request that runs a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One that has rows, and stores nothing.
    Query,
    /// One that stores something.
    Write,
    /// One that needs an open transaction.
    Savepoint,
}

impl Checked {
    const fn of(kind: Kind) -> Self {
        Self { kind, returns: false, changes_rows: false }
    }

    pub(crate) fn effect(self) -> Effect {
        if self.kind == Kind::Query { Effect::Read } else { Effect::Write }
    }
}

/// Pragmas that change what a node keeps of a database, or the way in which it keeps it.
const NODES_PRAGMAS: [&str; 9] = [
    "journal_mode",
    "locking_mode",
    "wal_checkpoint",
    "wal_autocheckpoint",
    "page_size",
    "auto_vacuum",
    "incremental_vacuum",
    "journal_size_limit",
    "mmap_size",
];

/// Pragmas whose argument is none that they set.
const READING_PRAGMAS: [&str; 9] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_info",
    "index_xinfo",
    "index_list",
    "foreign_key_list",
    "foreign_key_check",
    "integrity_check",
];

/// The words and signs of a statement, without blanks and comments.
fn tokens(sql: &str) -> impl Iterator<Item = &str> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        loop {
            let (token, after) = rest.split_at(first_token(rest)?);
            rest = after;
            let is_blank = token.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}')
                || token.starts_with("--")
                || token.starts_with("/*");
            if !is_blank {
                return Some(token);
            }
        }
    })
}

/// Checks one statement of SQL, and returns what it does.
pub(crate) fn check(sql: &str) -> Result<Checked> {
    if skip_blank(sql).is_empty() {
        return Err(Error::refused("the SQL has no statement"));
    }
    let leading = sql.len() - skip_blank(sql).len();
    let statement = first_statement(&sql[leading..]);
    if !skip_blank(&sql[leading + statement.len()..]).is_empty() {
        return Err(Error::refused("the SQL has more than one statement: `execute_batch` runs several"));
    }
    if leading > 0 && sql[..leading].contains(';') {
        return Err(Error::refused("the SQL begins with an empty statement, at which dqlite would end"));
    }
    of_statement(statement)
}

fn of_statement(sql: &str) -> Result<Checked> {
    let is = |token: &str, words: &[&str]| words.iter().any(|word| token.eq_ignore_ascii_case(word));
    let mut words = tokens(sql);
    let mut verb = words.next().unwrap_or_default();
    let is_explained = is(verb, &["EXPLAIN"]);
    if is_explained {
        verb = words.next().unwrap_or_default();
        if is(verb, &["QUERY"]) {
            words.next();
            verb = words.next().unwrap_or_default();
        }
    }
    if sql.contains('\0') {
        return Err(Error::refused("the SQL contains NUL, at which dqlite would cut it"));
    }
    if tokens(sql).map(unquoted).any(|word| NODES_PRAGMAS.iter().any(|name| is_table_of_pragma(word, name))) {
        return Err(Error::refused("this pragma is the node's own"));
    }
    // A pragma may take effect when it is prepared, even within EXPLAIN.
    if is(verb, &["PRAGMA"]) {
        return of_pragma(words);
    }
    if is_explained {
        return Ok(Checked::of(Kind::Query));
    }
    if is(verb, &["ATTACH", "DETACH"]) {
        return Err(Error::refused("a session of dqlite has one database, and is unusable after ATTACH or DETACH"));
    }
    if is(verb, &["VACUUM"]) {
        return Err(Error::refused("VACUUM fails in most versions of dqlite; `Cluster::dump` copies a database"));
    }
    if is(verb, &["BEGIN", "COMMIT", "END"]) || (is(verb, &["ROLLBACK"]) && !words.any(|word| is(word, &["TO"]))) {
        let reason = "what is known of a lost write depends on the transaction: use `Connection::transaction`";
        return Err(Error::refused(reason));
    }
    if is(verb, &["SAVEPOINT", "RELEASE", "ROLLBACK"]) {
        return Ok(Checked::of(Kind::Savepoint));
    }
    if is(verb, &["WITH"]) {
        // The verb behind the common tables, which are in parentheses.
        let mut depth = 0_usize;
        verb = words
            .by_ref()
            .find(|token| {
                match *token {
                    "(" => depth += 1,
                    ")" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                depth == 0 && is(token, &["SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"])
            })
            .unwrap_or_default();
    }
    if is(verb, &["SELECT", "VALUES"]) {
        return Ok(Checked::of(Kind::Query));
    }
    let changes_rows = is(verb, &["INSERT", "REPLACE", "UPDATE", "DELETE"]);
    let returns = changes_rows && words.any(|word| is(word, &["RETURNING"]));
    Ok(Checked { kind: Kind::Write, returns, changes_rows })
}

fn of_pragma<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Checked> {
    let mut name = unquoted(words.next().unwrap_or_default());
    let mut next = words.next();
    if next == Some(".") {
        name = unquoted(words.next().unwrap_or_default());
        next = words.next();
    }
    if NODES_PRAGMAS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(Error::refused(format!("`PRAGMA {name}` is the node's own: it may end it")));
    }
    let sets = match next {
        Some("=") => true,
        Some("(") => !READING_PRAGMAS.iter().any(|reading| reading.eq_ignore_ascii_case(name)),
        _ => false,
    };
    Ok(Checked::of(if sets { Kind::Write } else { Kind::Query }))
}

/// Whether a word is the name of the table that runs this pragma.
fn is_table_of_pragma(word: &str, pragma: &str) -> bool {
    const PREFIX: &str = "pragma_";
    word.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        && word[PREFIX.len()..].eq_ignore_ascii_case(pragma)
}

/// A name without its quotes. One that contains its quote is no pragma's.
fn unquoted(token: &str) -> &str {
    match token.as_bytes() {
        [b'"' | b'\'' | b'`' | b'[', .., _] => &token[1..token.len() - 1],
        _ => token,
    }
}

/// The statements of a script, each from its first token on.
pub(crate) fn statements(script: &str) -> impl Iterator<Item = &str> {
    let mut rest = skip_blank(script);
    std::iter::from_fn(move || {
        let statement = first_statement(rest);
        rest = skip_blank(&rest[statement.len()..]);
        (!statement.is_empty()).then_some(statement)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn kind(sql: &str) -> (Kind, bool) {
        let checked = check(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        (checked.kind, checked.returns)
    }

    #[test]
    fn statements_are_told_apart() {
        for sql in [
            "SELECT 1",
            " -- a\n values (1);",
            "WITH a(b) AS (SELECT 1), c AS (VALUES (2)) SELECT * FROM a",
            "EXPLAIN QUERY PLAN DELETE FROM t",
            "EXPLAIN ATTACH 'a' AS b",
            "PRAGMA foreign_keys",
            "PRAGMA main.table_info(t)",
            "PRAGMA integrity_check(5)",
            "SELECT 'VACUUM; ATTACH', \"returning\" FROM t",
        ] {
            assert_eq!(kind(sql), (Kind::Query, false), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES ('returning')",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; SELECT 1; END;",
            "PRAGMA user_version = 5",
            "PRAGMA main.user_version(5)",
            "analyze",
        ] {
            assert_eq!(kind(sql), (Kind::Write, false), "{sql}");
        }
        for sql in ["INSERT INTO t VALUES (1) RETURNING a", "with a as (select 1) update t set a = 1 /**/ returning *"]
        {
            assert_eq!(kind(sql), (Kind::Write, true), "{sql}");
        }
        for sql in ["SAVEPOINT a", "release a", "ROLLBACK TRANSACTION TO a"] {
            assert_eq!(kind(sql), (Kind::Savepoint, false), "{sql}");
        }
    }

    #[test]
    fn requests_that_harm_a_node_are_refused() {
        for sql in [
            "",
            "-- nothing",
            ";",
            ";SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT 1;; -- and\nDELETE FROM t",
            "ATTACH 'a' AS b",
            "/* now */ detach b",
            "VACUUM",
            "VACUUM INTO 'a'",
            "PRAGMA journal_mode",
            "pragma Main . \"journal_mode\" = DELETE",
            "EXPLAIN PRAGMA journal_mode = DELETE",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "SELECT * FROM pragma_journal_mode('delete')",
            "SELECT * FROM [Pragma_Journal_Mode]('delete')",
            "BEGIN",
            "begin immediate",
            "COMMIT",
            "END TRANSACTION",
            "ROLLBACK",
            "SELECT 'a\0b'",
        ] {
            assert!(check(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_script_is_its_statements() {
        let found: Vec<&str> = statements("; SELECT 1;-- a\n;SELECT ';';\n").collect();
        assert_eq!(found, ["SELECT 1;", "SELECT ';';"]);
    }
}

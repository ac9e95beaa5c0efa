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
    /// Whether semicolons are within it.
    pub(crate) has_body: bool,
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
        Self { kind, returns: false, changes_rows: false, has_body: false }
    }

    pub(crate) fn effect(self) -> Effect {
        if self.kind == Kind::Query { Effect::Read } else { Effect::Write }
    }
}

/// Pragmas that change what a node keeps of a database, the way in which it keeps it, or its process. There are tables of
/// these names, too.
const NODES_PRAGMAS: [&str; 14] = [
    "journal_mode",
    "locking_mode",
    "wal_checkpoint",
    "wal_autocheckpoint",
    "page_size",
    "auto_vacuum",
    "incremental_vacuum",
    "journal_size_limit",
    "mmap_size",
    "optimize",
    "soft_heap_limit",
    "hard_heap_limit",
    "temp_store_directory",
    "data_store_directory",
];

/// Pragmas that store nothing, with an argument or without. Some set a property of the session, and return it.
const READING_PRAGMAS: [&str; 21] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_info",
    "index_xinfo",
    "index_list",
    "foreign_key_list",
    "foreign_key_check",
    "integrity_check",
    "quick_check",
    "database_list",
    "collation_list",
    "compile_options",
    "function_list",
    "module_list",
    "pragma_list",
    "data_version",
    "freelist_count",
    "page_count",
    "analysis_limit",
    "busy_timeout",
];

/// Pragmas that set a property of the session, or of the file, and return nothing.
const SETTING_PRAGMAS: [&str; 12] = [
    "application_id",
    "automatic_index",
    "cache_size",
    "cell_size_check",
    "defer_foreign_keys",
    "foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "query_only",
    "recursive_triggers",
    "reverse_unordered_selects",
    "user_version",
];

/// The words and signs of SQL, as SQLite's tokenizer finds them, without blanks and comments. What it would not take, or
/// would only in some versions, is refused.
fn tokens(sql: &str) -> Result<Vec<&str>> {
    const BLANKS: [&str; 7] = [" ", "\t", "\n", "\u{b}", "\u{c}", "\r", "\u{feff}"];
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(length) = first_token(rest) {
        let (token, after) = rest.split_at(length);
        rest = after;
        let is_closed = match token.as_bytes() {
            [quote @ (b'"' | b'\'' | b'`'), ..] => token.bytes().filter(|byte| byte == quote).count() % 2 == 0,
            [b'[', ..] => token.ends_with(']'),
            [b'/', b'*', ..] => token.len() >= 4 && token.ends_with("*/"),
            [b'$' | b'@' | b':' | b'#', name @ ..] => !name.contains(&b'('),
            _ => true,
        };
        if !is_closed {
            return Err(Error::refused("a quote, a comment or the name of a parameter is not closed"));
        }
        if !BLANKS.contains(&token) && !token.starts_with("--") && !token.starts_with("/*") {
            found.push(token);
        }
    }
    Ok(found)
}

fn is(token: &str, words: &[&str]) -> bool {
    words.iter().any(|word| token.eq_ignore_ascii_case(word))
}

/// Checks one statement of SQL, and returns what it does.
pub(crate) fn check(sql: &str) -> Result<Checked> {
    if sql.contains('\0') {
        return Err(Error::refused("the SQL contains NUL, at which dqlite would cut it"));
    }
    let tokens = tokens(sql)?;
    match tokens.first() {
        None => return Err(Error::refused("the SQL has no statement")),
        Some(&";") => return Err(Error::refused("the SQL begins with an empty statement, at which dqlite would end")),
        _ => {}
    }
    let has_body = is_trigger(&tokens);
    let ends =
        |&at: &usize| tokens[at] == ";" && (!has_body || (is(tokens[at - 1], &["END"]) && tokens[at - 2] == ";"));
    // A trigger has four tokens and more before its first semicolon.
    let end = (2..tokens.len()).find(ends).or_else(|| (1..tokens.len().min(2)).find(|&at| tokens[at] == ";"));
    let end = end.unwrap_or(tokens.len());
    if end + 1 < tokens.len() {
        return Err(Error::refused("the SQL has more than one statement: `execute_batch` runs several"));
    }
    of_statement(&tokens[..end]).map(|checked| Checked { has_body, ..checked })
}

/// Whether they begin with `CREATE TRIGGER`, which alone contains semicolons.
fn is_trigger(tokens: &[&str]) -> bool {
    let tokens = match tokens {
        [explain, query, plan, rest @ ..]
            if is(explain, &["EXPLAIN"]) && is(query, &["QUERY"]) && is(plan, &["PLAN"]) =>
        {
            rest
        }
        [explain, rest @ ..] if is(explain, &["EXPLAIN"]) => rest,
        _ => tokens,
    };
    match tokens {
        [create, trigger, ..] if is(create, &["CREATE"]) && is(trigger, &["TRIGGER"]) => true,
        [create, temp, trigger, ..] => {
            is(create, &["CREATE"]) && is(temp, &["TEMP", "TEMPORARY"]) && is(trigger, &["TRIGGER"])
        }
        _ => false,
    }
}

fn of_statement(tokens: &[&str]) -> Result<Checked> {
    let mut words = tokens.iter().copied();
    let mut verb = words.next().unwrap_or_default();
    let is_explained = is(verb, &["EXPLAIN"]);
    if is_explained {
        verb = words.next().unwrap_or_default();
        if is(verb, &["QUERY"]) {
            words.next();
            verb = words.next().unwrap_or_default();
        }
    }
    if tokens.iter().any(|token| NODES_PRAGMAS.iter().any(|name| is_table_of_pragma(unquoted(token), name))) {
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
        // The verb is behind the parentheses of the last common table.
        let (mut depth, mut last) = (0_usize, "");
        verb = words
            .by_ref()
            .find(|&token| {
                match token {
                    "(" => depth += 1,
                    ")" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                let is_next = depth == 0 && last == ")" && token != "," && token != ")" && !is(token, &["AS"]);
                last = token;
                is_next
            })
            .unwrap_or_default();
    }
    if is(verb, &["SELECT", "VALUES"]) {
        return Ok(Checked::of(Kind::Query));
    }
    let changes_rows = is(verb, &["INSERT", "REPLACE", "UPDATE", "DELETE"]);
    let returns = changes_rows && words.any(|word| is(word, &["RETURNING"]));
    Ok(Checked { returns, changes_rows, ..Checked::of(Kind::Write) })
}

fn of_pragma<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Checked> {
    let mut name = unquoted(words.next().unwrap_or_default());
    let mut next = words.next();
    if next == Some(".") {
        name = unquoted(words.next().unwrap_or_default());
        next = words.next();
    }
    let is_any = |names: &[&str]| is(name, names);
    let has_argument = next.is_some();
    if is_any(&READING_PRAGMAS)
        || (!has_argument && (is_any(&SETTING_PRAGMAS) || is_any(&["encoding", "schema_version", "synchronous"])))
    {
        return Ok(Checked::of(Kind::Query));
    }
    if is_any(&SETTING_PRAGMAS) {
        return Ok(Checked::of(Kind::Write));
    }
    Err(Error::refused(format!("`PRAGMA {name}` is the node's own, which it may end, or not known not to be")))
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
            "PRAGMA quick_check(10)",
            "PRAGMA table_info = t",
            "PRAGMA busy_timeout = 5",
            "-- first; then\nSELECT 1",
            "WITH replace AS (SELECT 1), b(c) AS NOT MATERIALIZED (SELECT (1)) SELECT * FROM replace",
            "\u{feff}SELECT 1",
            "SELECT 'VACUUM; ATTACH', \"returning\" FROM t",
        ] {
            assert_eq!(kind(sql), (Kind::Query, false), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES ('returning')",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "WITH a AS (SELECT 1) \u{feff}INSERT INTO t SELECT 1",
            "WITH \"select\" AS (SELECT 1) /* ; */ DELETE FROM t -- ;",
            "CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; END",
            "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM t; SELECT 1; END;",
            "PRAGMA user_version = 5",
            "PRAGMA main.user_version(5)",
            "analyze",
        ] {
            assert_eq!(kind(sql), (Kind::Write, false), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES (1) RETURNING a",
            "INSERT INTO t VALUES (1) \u{feff}RETURNING a",
            "INSERT INTO t VALUES (1)--\n\u{b}\u{feff}\u{feff}returning a",
            "INSERT INTO t VALUES (?1returning) returning a",
            "with a as (select 1) update t set a = 1 /**/ returning *",
        ] {
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
            "SELECT 1;\u{feff}DELETE FROM t",
            "INSERT INTO t SELECT temp trigger FROM (SELECT 1 temp); ATTACH 'a' AS b",
            "EXPLAIN SELECT temp trigger FROM t; DELETE FROM t",
            "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END; DELETE FROM t",
            "CREATE TABLE trigger(a); DELETE FROM t; END;",
            "DELETE FROM t; /*",
            "DELETE FROM t /* not closed",
            "DELETE FROM t WHERE a = 'not closed; ''",
            "DELETE FROM t WHERE a = [b",
            "DELETE FROM t WHERE a = :b(;)",
            "\u{feff}ATTACH 'a' AS b",
            "-- a\n\u{feff}VACUUM",
            "\u{feff}BEGIN",
            "PRAGMA \u{feff}journal_mode=DELETE",
            "SELECT * FROM \u{feff}pragma_journal_mode('delete')",
            "SELECT * FROM pragma_optimize",
            "PRAGMA optimize",
            "PRAGMA synchronous = 2",
            "PRAGMA schema_version = 2",
            "PRAGMA something = 5",
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

//! Removal of bound values from SQLite's messages.

use crate::sql;

/// Prefixes of SQLite's own messages that continue with a value of a running statement: messages of functions, of
/// ATTACH and DETACH, and of built-in modules.
const SQLITES: [&str; 32] = [
    "JSON path error near ",
    "access mode not allowed: ",
    "bad JSON path: ",
    "cache mode not allowed: ",
    "cannot detach database ",
    "database ",
    "error in tokenizer constructor",
    "error parsing prefix parameter: ",
    "expected integer, got ",
    "fts5: ",
    "fts5vocab: ",
    "illegal first argument to ",
    "invalid uri authority: ",
    "malformed MATCH expression: ",
    "near \"",
    "no entry point [",
    "no such access mode: ",
    "no such cache mode: ",
    "no such column: ",
    "no such database: ",
    "no such function: ",
    "no such savepoint: ",
    "no such table: ",
    "no such tokenizer: ",
    "no such vfs: ",
    "parse error in ",
    "unable to open database: ",
    "unable to open shared library [",
    "unknown database",
    "unknown special query: ",
    "unknown tokenizer",
    "unrecognized ",
];

/// Whether a message was written by SQLite, and not by a function or module of the program.
pub(super) fn is_sqlites(message: &str) -> bool {
    SQLITES.iter().any(|beginning| message.starts_with(beginning))
}

/// Returns SQLite's message for a running statement without the text that it quotes, if the SQL does not contain that
/// text: a JSON path, a search term, a bound file name, or a part of one.
pub(super) fn without_quoted(message: Box<str>, sql: &str) -> Box<str> {
    const BEFORE_A_QUOTE: [&str; 3] = [": ", " near ", "missing row "];
    let from = if message.starts_with("fts5: ") { "fts5: ".len() } else { 0 };
    let ends = BEFORE_A_QUOTE.iter().filter_map(|mark| message[from..].find(mark).map(|at| from + at + mark.len()));
    match ends.min() {
        Some(end) if !is_in_sql(sql, message[end..].trim_matches(['\'', '"'])) => {
            format!("{}…", &message[..end]).into()
        }
        _ => message,
    }
}

/// Returns the message without the values that are in the expanded SQL and not in the SQL.
pub(super) fn without_bound(message: &str, sql: &str, expanded: &str) -> Box<str> {
    let mut values = literals(expanded);
    values.retain(|value| !value.is_empty() && message.contains(value.as_str()) && !is_in_sql(sql, value));
    // Longer values first: a value may be part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let message = values.iter().fold(message.to_owned(), |message, value| without(&message, value));
    message.into()
}

/// Whether the SQL contains a text, either literally or after quotes that are doubled within quotes are undoubled.
fn is_in_sql(sql: &str, text: &str) -> bool {
    let is_meant = || ["''", "\"\"", "``"].iter().any(|doubled| sql.replace(doubled, &doubled[1..]).contains(text));
    sql.contains(text) || is_meant()
}

/// Returns the message with `…` in place of a value. A value shorter than 4 bytes is replaced only where it is a whole
/// word, because it is part of many other words.
fn without(message: &str, value: &str) -> String {
    const LONG: usize = 4;
    let is_part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut shown = String::new();
    let mut rest = message;
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        let last = before.chars().next_back().or(shown.chars().next_back());
        let is_word = !last.is_some_and(is_part_of_word) && !after.starts_with(is_part_of_word);
        shown.push_str(before);
        shown.push_str(if is_word || value.len() >= LONG { "…" } else { value });
        rest = after;
    }
    shown + rest
}

/// Returns the values of the literals in SQL as text: strings, blobs and numbers.
///
/// Quoted names and comments are skipped, as SQLite does when it expands values.
fn literals(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' => {
                let (text, taken) = quoted(rest);
                found.push(text);
                taken
            }
            'x' | 'X' if rest[1..].starts_with('\'') => {
                let (digits, taken) = quoted(&rest[1..]);
                found.push(text_of_blob(&digits));
                1 + taken
            }
            '0'..='9' => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                found.push(rest[..end].to_owned());
                end
            }
            _ => sql::first_token(rest).unwrap_or(rest.len()),
        };
        rest = &rest[taken..];
    }
    found
}

/// Returns the content of the quoted token at the start of the text, and the length of the token in bytes.
fn quoted(text: &str) -> (String, usize) {
    let quote = &text[..1];
    let mut inner = String::new();
    let mut at = 1;
    loop {
        let Some(end) = text[at..].find(quote) else {
            inner.push_str(&text[at..]);
            return (inner, text.len());
        };
        inner.push_str(&text[at..at + end]);
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return (inner, at);
        }
        inner.push_str(quote);
        at += 1;
    }
}

/// Returns the text that SQLite shows for a blob where it expects text: the bytes up to the first NUL.
fn text_of_blob(digits: &str) -> String {
    let bytes = digits.as_bytes().chunks(2).map_while(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

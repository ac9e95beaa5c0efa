//! Text of SQL: quoting names and values, patterns of `LIKE`, complete statements.
//!
//! Values are best bound as parameters. Where SQL takes none (names, `CREATE TABLE … DEFAULT`, text for other
//! programs), these functions quote what they are given, so that it cannot end the name or the literal.

// The parts of SQL's lexical rules that finalite itself needs, too: skipping blanks, leading keywords.

use crate::track::Taint;

mod index;
mod parameters;
mod pragmas;
mod quote;
mod statements;

pub(crate) use index::{IndexSql, index_sql, is_integer, with_single_quotes};
pub(crate) use parameters::{first_token, names as parameter_names, numbers_in_use};
pub(crate) use pragmas::{Pragma, PragmaKind};
pub(crate) use quote::quote_text;
pub use quote::{escape_like, quote_identifier, quote_literal};
pub use statements::complete;
pub(crate) use statements::first_statement;

/// Names of the rowid, of which a column may take each.
pub(crate) const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Returns the name of the rowid of a table with these columns; `None` if they have taken all of them.
pub(crate) fn rowid_name(columns: &[impl AsRef<str>]) -> Option<&'static str> {
    let is_column = |name: &&str| columns.iter().any(|column| column.as_ref().eq_ignore_ascii_case(name));
    ROWIDS.into_iter().find(|name| !is_column(name))
}

/// Returns the SQL after leading white space, comments and semicolons. The result starts with a token, or is empty.
#[inline]
pub(crate) fn skip_blank(sql: &str) -> &str {
    let is_blank = sql.as_bytes().first().is_some_and(|first| !first.is_ascii_alphabetic());
    if is_blank { skip_some_blank(sql) } else { sql }
}

fn skip_some_blank(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        // SQLite's tokenizer treats a byte order mark as white space.
        let trimmed = rest.trim_start_matches(['\u{feff}', ' ', '\t', '\n', '\u{b}', '\u{c}', '\r', ';']);
        rest = if let Some(comment) = trimmed.strip_prefix("--") {
            comment.find('\n').map_or("", |end| &comment[end + 1..])
        } else if let Some(comment) = trimmed.strip_prefix("/*").filter(|comment| !comment.is_empty()) {
            comment.find("*/").map_or("", |end| &comment[end + 2..])
        } else {
            return trimmed;
        };
    }
}

/// Whether the SQL begins with SELECT and a blank, as most statements do that are prepared often. Others may be a SELECT, too.
#[inline(always)]
pub(crate) fn is_select(sql: &str) -> bool {
    let Some(&[a, b, c, d, e, f, blank]) = sql.as_bytes().first_chunk::<7>() else {
        return false;
    };
    // Bit 5 distinguishes small letters.
    u32::from_ne_bytes([a, b, c, d]) | 0x2020_2020 == u32::from_ne_bytes(*b"sele")
        && u16::from_ne_bytes([e, f]) | 0x2020 == u16::from_ne_bytes(*b"ct")
        && matches!(blank, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_word_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'_' | b'$')
}

/// Returns the first token of the SQL if it is a word, and the rest behind it. The word is empty otherwise.
pub(crate) fn first_word(sql: &str) -> (&str, &str) {
    let sql = skip_blank(sql);
    sql.split_at(sql.bytes().position(|byte| !is_word_part(byte)).unwrap_or(sql.len()))
}

/// Whether the first token of the SQL is this keyword, compared without case.
pub(crate) fn starts_with_keyword(sql: &str, keyword: &str) -> bool {
    starts_with_one_of(sql, &[keyword])
}

/// Whether the first token of the SQL is one of these keywords, compared without case.
pub(crate) fn starts_with_one_of(sql: &str, keywords: &[&str]) -> bool {
    let word = first_word(sql).0;
    keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Whether the SQL may call a function of this name: whether the name is followed by a parenthesis. Comments and
/// literals count, too.
pub(crate) fn calls(sql: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' || c == '$';
    let starts = sql
        .char_indices()
        .filter(|&(start, _)| sql.get(start..start + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)));
    starts.map(|(start, _)| sql.split_at(start)).any(|(before, from)| {
        let after = &from[name.len()..];
        let after = after.strip_prefix(['"', '`', ']']).unwrap_or(after);
        !before.ends_with(is_part) && skip_blank(after).starts_with('(')
    })
}

/// Returns the lasting effect of a statement on its connection. A pragma may take effect when it is prepared, even
/// within `EXPLAIN`.
#[inline]
pub(crate) fn taint(sql: &str) -> Taint {
    if is_select(sql) { Taint::NONE } else { taint_of_others(sql) }
}

fn taint_of_others(sql: &str) -> Taint {
    let (is_explained, word, rest) = explained(sql);
    let is_one_of = |keywords: &[&str]| keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
    if is_one_of(&["PRAGMA"]) {
        pragmas::taint(rest)
    } else if is_explained {
        Taint::NONE
    } else if is_one_of(&["CREATE", "DROP", "ALTER", "ANALYZE"]) {
        Taint::SCHEMA
    } else if is_one_of(&["ATTACH", "DETACH"]) {
        Taint::ATTACHED
    } else {
        Taint::NONE
    }
}

/// Returns whether the SQL is an `EXPLAIN`, the first word of the statement in it, and the rest behind that word.
fn explained(sql: &str) -> (bool, &str, &str) {
    let (mut word, mut rest) = first_word(sql);
    let is_explained = word.eq_ignore_ascii_case("EXPLAIN");
    for keyword in ["EXPLAIN", "QUERY", "PLAN"] {
        if word.eq_ignore_ascii_case(keyword) {
            (word, rest) = first_word(rest);
        }
    }
    (is_explained, word, rest)
}

/// Returns the name of the pragma of a `PRAGMA` statement, also within `EXPLAIN`, without its schema.
pub(crate) fn pragma_name(sql: &str) -> Option<&str> {
    let (_, word, rest) = explained(sql);
    let (name, rest) = leading_identifier(word.eq_ignore_ascii_case("PRAGMA").then_some(rest)?);
    Some(rest.strip_prefix('.').map_or(name, |after| leading_identifier(after).0))
}

/// Returns the first identifier without its quotes, and the rest of the SQL from the next token on. An identifier that
/// contains its quote character is cut there and therefore matches no pragma.
fn leading_identifier(sql: &str) -> (&str, &str) {
    let sql = skip_blank(sql);
    let closing = match sql.chars().next() {
        Some('[') => Some(']'),
        quote => quote.filter(|c| ['"', '\'', '`'].contains(c)),
    };
    let (name, rest) = match closing {
        Some(closing) => sql[1..].split_once(closing).unwrap_or((&sql[1..], "")),
        None => {
            let is_part = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' || c == '$';
            sql.split_at(sql.find(|c| !is_part(c)).unwrap_or(sql.len()))
        }
    };
    (name, skip_blank(rest))
}

/// Returns the 1-based line and column (in characters) of a byte offset.
pub(crate) fn line_and_column(sql: &str, offset: usize) -> (usize, usize) {
    let before = &sql.as_bytes()[..offset.min(sql.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_is_what_sqlite_skips() {
        for blank in
            ["", " ", "\u{feff}", ";;", "-- a", "-- a\n", "/* a */", "/* a", "\u{b}", " ; -- x\n/* y */\t\r\n\u{c};"]
        {
            assert_eq!(skip_blank(blank), "", "{blank:?}");
        }
        assert_eq!(skip_blank("-- a\nSELECT 1"), "SELECT 1");
        assert_eq!(skip_blank("/* a */ /**/ b"), "b");
        assert_eq!(skip_blank("- - a"), "- - a");
        assert_eq!(skip_blank("/*"), "/*", "SQLite reads a slash and a star");
        assert_eq!(skip_blank("\u{a0}x"), "\u{a0}x", "a no-break space is a token");
    }

    #[test]
    fn keywords_end_where_words_end() {
        assert!(starts_with_keyword(" /* x */ pragma user_version", "PRAGMA"));
        assert!(starts_with_keyword("PRAGMA", "PRAGMA"));
        assert!(!starts_with_keyword("pragmatic", "PRAGMA"));
        assert!(!starts_with_keyword("prag", "PRAGMA"));
        assert!(!starts_with_keyword("pragmäb", "PRAGMA"));
        assert!(starts_with_one_of("EXPLAIN x", &["PRAGMA", "EXPLAIN"]));
        assert!(!starts_with_one_of("", &["PRAGMA", "EXPLAIN"]));
    }

    #[test]
    fn a_select_is_known_by_its_first_bytes() {
        for sql in ["SELECT 1", "select\n1", "SeLeCt\t1", "select "] {
            assert!(is_select(sql), "{sql:?}");
        }
        for sql in ["", "SELECT", "selects 1", "SELECT_ 1", "\u{13}ELECT 1", "SELECS 1", " SELECT 1", "DELETE FROM t"] {
            assert!(!is_select(sql), "{sql:?}");
        }
    }

    #[test]
    fn calls_are_names_before_a_parenthesis() {
        for call in ["list(?)", "SELECT 1 FROM LIST (?)", "ä+list/* */\n(1)", "\"list\"(?)", "[list](?)", "'list('"] {
            assert!(calls(call, "list"), "{call}");
        }
        for other in ["", "list", "alist(?)", "älist(?)", "lists(?)", "list, (", "my_list(1)", "äö list) ("] {
            assert!(!calls(other, "list"), "{other}");
        }
    }

    #[test]
    fn pragmas_have_names() {
        assert_eq!(pragma_name("PRAGMA busy_timeout = 5"), Some("busy_timeout"));
        assert_eq!(pragma_name(" explain pragma main . \"Busy_Timeout\"(5)"), Some("Busy_Timeout"));
        assert_eq!(pragma_name("SELECT 1"), None);
    }

    #[test]
    fn positions_are_one_based_and_count_characters() {
        assert_eq!(line_and_column("SELECT", 0), (1, 1));
        assert_eq!(line_and_column("a\nbc", 3), (2, 2));
        assert_eq!(line_and_column("'ä' x", 5), (1, 5));
        assert_eq!(line_and_column("ab", 99), (1, 3));
    }
}

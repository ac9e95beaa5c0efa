//! The end of a statement: whether there is one, and where it is in SQL that SQLite has not accepted.

use std::ffi::CString;

use super::first_token;
use crate::raw::library;

/// Whether the SQL ends with a complete statement: with a semicolon that is not within a text, a quoted name, a comment
/// or the body of a `CREATE TRIGGER`. SQL that contains NUL is not complete.
///
/// An interactive program can read further lines until there is one. The statement need not be valid.
///
/// # Example
///
/// ```
/// use finalite::sql;
///
/// assert!(!sql::complete("SELECT 'a;"));
/// assert!(sql::complete("SELECT 'a;\nb'; -- done"));
/// ```
///
/// C: [sqlite3_complete](https://sqlite.org/c3ref/complete.html)
#[must_use]
#[doc(alias = "sqlite3_complete")]
pub fn complete(sql: &str) -> bool {
    // Since SQLite 3.54, a comment without its end of line counts as unfinished.
    CString::new(format!("{sql}\n")).is_ok_and(|sql| library::is_complete(&sql))
}

/// Returns the first statement of a script with its semicolon, or all of the script. In `CREATE TRIGGER`, the statement
/// ends after the keyword `END`.
///
/// C: [sqlite3_complete](https://sqlite.org/c3ref/complete.html)
pub(crate) fn first_statement(script: &str) -> &str {
    let is = |token: &str, keywords: &[&str]| keywords.iter().any(|keyword| token.eq_ignore_ascii_case(keyword));
    let (mut end, mut is_trigger) = (0, false);
    // The keywords that may stand before TRIGGER.
    let mut is_prefix = true;
    let (mut last_but_one, mut last) = ("", "");
    while let Some(length) = first_token(&script[end..]) {
        let token = &script[end..end + length];
        end += length;
        if token.starts_with(|c: char| c.is_whitespace() || c == '\u{feff}')
            || token.starts_with("--")
            || token.starts_with("/*")
        {
            continue;
        }
        if token == ";" && (!is_trigger || (last_but_one == ";" && is(last, &["END"]))) {
            return &script[..end];
        }
        if is_prefix {
            is_trigger = is(token, &["TRIGGER"]) && is(last, &["CREATE", "TEMP", "TEMPORARY"]);
            is_prefix = match last {
                "" => is(token, &["EXPLAIN", "CREATE"]),
                last if is(last, &["EXPLAIN"]) => is(token, &["QUERY", "CREATE"]),
                last if is(last, &["QUERY"]) => is(token, &["PLAN"]),
                last if is(last, &["PLAN"]) => is(token, &["CREATE"]),
                last if is(last, &["CREATE"]) => is(token, &["TEMP", "TEMPORARY"]),
                _ => false,
            };
        }
        (last_but_one, last) = (last, token);
    }
    script
}

#[cfg(test)]
mod tests {
    use super::first_statement;

    #[test]
    fn a_statement_ends_where_sqlite_ends_it() {
        for (statement, rest) in [
            ("SELECT 1;", " SELECT 2;"),
            ("SELECT ';', \";\", `;`, [;] -- ;\n /* ; */;", "SELECT 2"),
            ("SELECT 'it''s;';", ";"),
            ("SELECT 1", ""),
            ("SELECT ';", ""),
            ("create temp trigger a insert on t begin select 1; select 2; end;", "select 3;"),
            ("EXPLAIN QUERY PLAN CREATE TRIGGER a INSERT ON t BEGIN SELECT 1; END ;", " SELECT 3"),
            ("CREATE TABLE trigger(a);", "SELECT 1; END;"),
            ("SELECT trigger FROM \u{e4};", "SELECT 1"),
            // An alias and a column.
            ("INSERT INTO t SELECT temp trigger FROM (SELECT 1 temp);", "SELECT 1; END;"),
            ("EXPLAIN SELECT temp trigger FROM t;", "SELECT 1; END;"),
            ("\u{feff}CREATE \u{feff}TRIGGER a INSERT ON t BEGIN SELECT 1; \u{feff}END;", "SELECT 1;"),
        ] {
            assert_eq!(first_statement(&format!("{statement}{rest}")), statement);
        }
    }
}

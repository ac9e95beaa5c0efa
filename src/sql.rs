//! As much of SQL's lexical rules as finalite needs: what is blank, what a statement begins with, how to quote.

/// Skips white space, comments and semicolons; what remains starts with a token, or is empty.
pub(crate) fn skip_blank(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        // SQLite's tokenizer takes a byte order mark for white space.
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

/// Whether the statement begins with this keyword.
pub(crate) fn starts_with_keyword(sql: &str, keyword: &str) -> bool {
    let sql = skip_blank(sql);
    sql.get(..keyword.len()).is_some_and(|start| start.eq_ignore_ascii_case(keyword))
        && !sql[keyword.len()..]
            .starts_with(|next: char| next.is_ascii_alphanumeric() || !next.is_ascii() || next == '_' || next == '$')
}

/// An identifier in double quotes.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal in single quotes.
pub(crate) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// 1-based line and column (in characters) of a byte offset.
pub(crate) fn line_and_column(sql: &str, offset: usize) -> (usize, usize) {
    let before = &sql.as_bytes()[..offset.min(sql.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
    (line, column)
}

#[cfg(test)]
mod tests;

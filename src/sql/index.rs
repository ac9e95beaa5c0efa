//! The parts of a `CREATE INDEX` statement that SQLite has accepted.

use super::{first_token, quote_text};

/// Terms and condition of an index, as SQL.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexSql<'sql> {
    /// Terms without `ASC` and `DESC`.
    pub(crate) terms: Vec<&'sql str>,
    /// Condition of a partial index.
    pub(crate) condition: Option<&'sql str>,
}

/// Returns the terms and the condition of a `CREATE INDEX` statement.
///
/// SQL: [CREATE INDEX](https://sqlite.org/lang_createindex.html)
pub(crate) fn index_sql(sql: &str) -> IndexSql<'_> {
    let mut terms = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    let mut term = Term::at(0);
    while let Some(length) = first_token(&sql[at..]) {
        let token = &sql[at..at + length];
        at += length;
        let is_list_end = depth == 1 && token == ")";
        match token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if token == "(" && depth == 1 {
            term = Term::at(at);
        } else if is_list_end || (depth == 1 && token == ",") {
            terms.push(&sql[term.start..term.end()]);
            term = Term::at(at);
        } else if !is_blank(token) {
            term.push(token, at);
        }
        if is_list_end {
            break;
        }
    }
    let rest = super::skip_blank(&sql[at..]);
    let condition = super::starts_with_keyword(rest, "WHERE").then(|| &rest["WHERE".len()..]);
    IndexSql { terms, condition }
}

/// A term, as far as it has been read.
struct Term {
    start: usize,
    /// Ends of the last token, and of the one before it.
    ends: [usize; 2],
    /// Whether the last token is `ASC` or `DESC` after what may be a whole expression. As others, these two words are names
    /// of columns where SQL expects a name.
    has_order: bool,
    may_end: bool,
}

impl Term {
    fn at(start: usize) -> Self {
        Self { start, ends: [start; 2], has_order: false, may_end: false }
    }

    fn push(&mut self, token: &str, end: usize) {
        /// Keywords after which an expression goes on.
        const JOINTS: [&str; 18] = [
            "AND", "BETWEEN", "CASE", "COLLATE", "DISTINCT", "ELSE", "ESCAPE", "FROM", "GLOB", "IN", "IS", "LIKE",
            "MATCH", "NOT", "OR", "REGEXP", "THEN", "WHEN",
        ];
        let is_one_of = |words: &[&str]| words.iter().any(|word| token.eq_ignore_ascii_case(word));
        self.has_order = self.may_end && is_one_of(&["ASC", "DESC"]);
        let first = token.chars().next().unwrap_or(' ');
        self.may_end =
            (first.is_alphanumeric() || !first.is_ascii() || "_'\"`[)$".contains(first)) && !is_one_of(&JOINTS);
        self.ends = [end, self.ends[0]];
    }

    fn end(&self) -> usize {
        self.ends[usize::from(self.has_order)]
    }
}

fn is_blank(token: &str) -> bool {
    token.starts_with([' ', '\t', '\n', '\x0c', '\r']) || token.starts_with("--") || token.starts_with("/*")
}

fn tokens(mut sql: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (token, rest) = sql.split_at(first_token(sql)?);
        sql = rest;
        Some(token)
    })
}

/// Whether SQLite takes a term of `ORDER BY` for the number of a column: an integer, with signs, parentheses and a
/// collation.
pub(crate) fn is_integer(term: &str) -> bool {
    let mut tokens = tokens(term).filter(|token| !is_blank(token) && !["(", ")", "+", "-"].contains(token));
    let is_number = tokens.next().is_some_and(|token| token.starts_with(|c: char| c.is_ascii_digit()));
    let mut rest = tokens;
    is_number
        && match rest.next() {
            None => true,
            Some(token) => token.eq_ignore_ascii_case("COLLATE") && rest.count() == 1,
        }
}

/// Returns the SQL with single quotes for the strings that it has in double quotes: those that are no columns. A schema may
/// have them where other SQL may not.
pub(crate) fn with_single_quotes(sql: &str, is_column: impl Fn(&str) -> bool) -> String {
    let mut written = String::with_capacity(sql.len());
    let mut tokens = tokens(sql).peekable();
    while let Some(token) = tokens.next() {
        let name =
            token.strip_prefix('"').and_then(|token| token.strip_suffix('"')).map(|name| name.replace("\"\"", "\""));
        match name {
            Some(name) if !is_column(&name) && tokens.peek() != Some(&"(") => written.push_str(&quote_text(&name)),
            _ => written.push_str(token),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::{IndexSql, index_sql, is_integer, with_single_quotes};

    #[test]
    fn terms_and_conditions() {
        for (sql, terms, condition) in [
            ("CREATE INDEX i ON t(a)", &["a"][..], None),
            ("CREATE UNIQUE INDEX \"i (\" ON [t (] ( a DESC,b COLLATE NOCASE asc )", &[" a", "b COLLATE NOCASE"], None),
            (
                "CREATE INDEX i ON t(a + (b, 1), f(a, ',)') /* DESC */) WHERE a > 1",
                &["a + (b, 1)", " f(a, ',)')"],
                Some(" a > 1"),
            ),
            ("CREATE INDEX i ON t(\"desc\" DESC)\n--x\nwhere(a)", &["\"desc\""], Some("(a)")),
            (
                "CREATE INDEX i ON t(a || desc, desc, desc DESC, NOT asc, f(a) desc, - desc asc)",
                &["a || desc", " desc", " desc", " NOT asc", " f(a)", " - desc"],
                None,
            ),
            ("CREATE INDEX i ON t(a ASC,\u{a0}b DESC,a'x' /*y*/ asc)", &["a", "\u{a0}b", "a'x'"], None),
        ] {
            assert_eq!(index_sql(sql), IndexSql { terms: terms.to_vec(), condition }, "{sql}");
        }
    }

    #[test]
    fn integers_are_numbers_of_columns() {
        for (term, is_number) in [
            ("1", true),
            (" ( -2 ) /* b */", true),
            ("0x10", true),
            ("+ 1 COLLATE \"nocase\"", true),
            ("1 + 1", false),
            ("a", false),
            ("1 || a", false),
            ("'1'", false),
            ("", false),
        ] {
            assert_eq!(is_integer(term), is_number, "{term}");
        }
    }

    #[test]
    fn strings_in_double_quotes() {
        let written = with_single_quotes("\"a\" || \"x'\"\"y\" || \"upper\"(\"b\") COLLATE \"c\"", |name| name == "a");
        assert_eq!(written, "\"a\" || 'x''\"y' || \"upper\"('b') COLLATE 'c'");
    }
}

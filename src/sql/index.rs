//! The parts of a `CREATE INDEX` statement that SQLite has accepted.

use super::first_token;

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
    // Where the current term begins, and where it ends without `ASC` and `DESC`.
    let (mut start, mut end) = (0, 0);
    while let Some(length) = first_token(&sql[at..]) {
        let token = &sql[at..at + length];
        at += length;
        let is_blank =
            token.starts_with(|c: char| c.is_whitespace()) || token.starts_with("--") || token.starts_with("/*");
        let is_list_end = depth == 1 && token == ")";
        match token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if token == "(" && depth == 1 {
            (start, end) = (at, at);
        } else if is_list_end || (depth == 1 && token == ",") {
            terms.push(&sql[start..end]);
            (start, end) = (at, at);
        } else if !is_blank && !["ASC", "DESC"].iter().any(|order| depth == 1 && token.eq_ignore_ascii_case(order)) {
            end = at;
        }
        if is_list_end {
            break;
        }
    }
    let rest = super::skip_blank(&sql[at..]);
    let condition = super::starts_with_keyword(rest, "WHERE").then(|| &rest["WHERE".len()..]);
    IndexSql { terms, condition }
}

#[cfg(test)]
mod tests {
    use super::{IndexSql, index_sql};

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
        ] {
            assert_eq!(index_sql(sql), IndexSql { terms: terms.to_vec(), condition }, "{sql}");
        }
    }
}

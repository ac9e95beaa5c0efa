//! Numbers of the parameters in SQL that SQLite has accepted.
//!
//! SQLite reports the largest parameter number and the names of the named parameters. A number without a name is either
//! that of a `?` or unused: `?2` alone leaves 1 unused. Only the SQL text distinguishes the two.

/// The largest limit that SQLite can be compiled with.
const MOST_PARAMETERS: usize = 500_000;

/// Returns, for each number from 1 on, whether the SQL contains a parameter with it.
///
/// C: [Parameters](https://sqlite.org/lang_expr.html#varparam)
pub(crate) fn numbers_in_use(sql: &str) -> Vec<bool> {
    numbered(sql).into_iter().map(|name| name.is_some()).collect()
}

/// Returns the names of the parameters with their prefix, by number from 1 on: what SQLite reports of the statement, in SQL
/// that another engine has prepared. A `?` has none, nor has a number that the SQL leaves out.
pub(crate) fn names(sql: &str) -> Vec<Option<Box<str>>> {
    numbered(sql).into_iter().map(|name| name.filter(|&name| name != "?").map(Box::from)).collect()
}

/// Returns, for each number from 1 on, the token of the parameter that has it.
fn numbered(sql: &str) -> Vec<Option<&str>> {
    let mut in_use: Vec<Option<&str>> = Vec::new();
    let mut names: Vec<(&str, usize)> = Vec::new();
    let mut rest = sql;
    while let Some(token) = first_token(rest) {
        let (token, after) = rest.split_at(token);
        rest = after;
        let digits = token.strip_prefix('?');
        let number = match digits {
            Some("") => in_use.len() + 1,
            Some(digits) => digits.parse().unwrap_or(0),
            None if is_named(token) => match names.iter().find(|(name, _)| *name == token) {
                Some(&(_, number)) => number,
                None => {
                    names.push((token, in_use.len() + 1));
                    in_use.len() + 1
                }
            },
            None => continue,
        };
        // SQLite refuses larger numbers: no list is made of one that it has not seen.
        if number > MOST_PARAMETERS {
            continue;
        }
        if number > in_use.len() {
            in_use.resize(number, None);
        }
        if let Some(place) = number.checked_sub(1) {
            in_use[place].get_or_insert(token);
        }
    }
    in_use
}

fn is_named(token: &str) -> bool {
    token.len() > 1 && token.starts_with(['$', '@', ':', '#'])
}

/// Returns the length in bytes of the first token, where blanks and comments count as tokens; `None` at the end. Tokens
/// are those of SQLite's tokenizer, but text that is neither a parameter nor quoted may be split anywhere.
pub(crate) fn first_token(sql: &str) -> Option<usize> {
    let first = sql.chars().next()?;
    let until = |end: &str| sql.get(1..)?.find(end).map(|at| 1 + at + end.len());
    Some(match first {
        '\'' | '"' | '`' => quoted(sql),
        '[' => until("]").unwrap_or(sql.len()),
        // White space where a token begins, and part of a word within it.
        '\u{feff}' => first.len_utf8(),
        '-' if sql.starts_with("--") => until("\n").unwrap_or(sql.len()),
        '/' if sql.starts_with("/*") => sql[2..].find("*/").map_or(sql.len(), |end| 2 + end + 2),
        '?' => 1 + sql[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(sql.len() - 1),
        '$' | '@' | ':' | '#' => named(sql),
        _ if is_part_of_word(first) => sql.find(|c| !is_part_of_word(c)).unwrap_or(sql.len()),
        _ => first.len_utf8(),
    })
}

/// Returns the length of the quoted token up to its closing quote. A doubled quote is part of the token.
fn quoted(sql: &str) -> usize {
    let quote = sql.as_bytes()[0];
    let mut bytes = sql.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        if byte == quote && bytes.next_if(|&(_, next)| next == quote).is_none() {
            return at + 1;
        }
    }
    sql.len()
}

/// Returns the length of a named parameter with its prefix. The name may contain `::` and may end in a suffix in
/// parentheses. A prefix alone is no name.
fn named(sql: &str) -> usize {
    let mut end = 1;
    let mut letters = 0;
    loop {
        let rest = &sql[end..];
        match rest.chars().next() {
            Some(c) if is_part_of_word(c) => {
                letters += 1;
                end += c.len_utf8();
            }
            Some(':') if rest.starts_with("::") => end += 2,
            Some('(') if letters > 0 => {
                let is_end = |c: char| c == ')' || c.is_ascii_whitespace() || c == '\u{b}';
                return end + rest.find(is_end).map_or(rest.len(), |at| at + 1);
            }
            _ => return if letters > 0 { end } else { 1 },
        }
    }
}

fn is_part_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, numbers: &[usize]) {
        let in_use = numbers_in_use(sql);
        let found: Vec<usize> = (1..=in_use.len()).filter(|number| in_use[number - 1]).collect();
        assert_eq!(found, numbers, "{sql}");
    }

    #[test]
    fn numbers_are_those_of_sqlite() {
        check("SELECT 1", &[]);
        check("SELECT ?, ?", &[1, 2]);
        check("SELECT ?2", &[2]);
        check("SELECT ?3, ?, ?1", &[1, 3, 4]);
        check("SELECT :a, ?2, ?, :a, @b", &[1, 2, 3, 4]);
        check("SELECT $2, $1, ?5, $2", &[1, 2, 5]);
        check("SELECT ?02, :ä, :ä::x, :ä(a b)", &[2, 3, 4, 5]);
    }

    #[test]
    fn names_are_those_of_sqlite() {
        let found = names("SELECT :a, ?, ?5, $b, :a");
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, [Some(":a"), None, None, None, Some("?5"), Some("$b")]);
        assert_eq!(names("SELECT ?4000000000"), []);
    }

    #[test]
    fn what_only_looks_like_a_parameter_is_none() {
        check("SELECT '?', 'it''s ?', \"?\"\"?\", `?`, [?], x'3f', a$1, 1.5e3, '' FROM t", &[]);
        check("-- ?\nSELECT ?4 /* ? ' */ -- '?\n, '''?', ?", &[4, 5]);
        check("SELECT a->'$.b?', a->>'$?', b - -?3, ?2/*", &[2, 3]);
        check("SELECT 'not closed ?", &[]);
        check("SELECT ?1 AS \"größe\", [größe ?]", &[1]);
    }
}

//! Tokens of SQL that SQLite has accepted, or that is searched for the place of an error.

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// A name in quotes, or a text, which SQLite takes as a name in places.
    Quoted,
    /// A number, a parameter, or a sign of its own.
    Other,
}

/// A token, and the byte at which it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub(crate) fn is_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Other && self.text == sign
    }

    pub(crate) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// The name that a word or a quoted name stands for, in lower case.
    pub(crate) fn name(&self) -> Option<String> {
        let name = match self.kind {
            Kind::Word => self.text.to_owned(),
            Kind::Quoted => {
                let quote = &self.text[..1];
                let inner = self.text.get(1..self.text.len() - 1)?;
                if quote == "[" { inner.to_owned() } else { inner.replace(&quote.repeat(2), quote) }
            }
            Kind::Other => return None,
        };
        Some(name.to_ascii_lowercase())
    }
}

/// Returns the tokens, without blanks and comments.
pub(crate) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (kind, length) = match first {
            '\'' | '"' | '`' => (Some(Kind::Quoted), quoted(rest)),
            '[' => (Some(Kind::Quoted), rest.find(']').map_or(rest.len(), |end| end + 1)),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, rest[2..].find("*/").map_or(rest.len(), |end| end + 4)),
            _ if first.is_ascii_digit() => (Some(Kind::Other), word(rest)),
            '?' | ':' | '@' | '$' | '#' => (Some(Kind::Other), first.len_utf8() + word(&rest[1..])),
            '\u{feff}' => (None, first.len_utf8()),
            _ if is_part_of_word(first) => (Some(Kind::Word), word(rest)),
            _ if first.is_ascii_whitespace() || first == '\u{b}' => (None, 1),
            _ => (Some(Kind::Other), first.len_utf8()),
        };
        if let Some(kind) = kind {
            all.push(Token { kind, text: &rest[..length], at });
        }
        at += length;
    }
    all
}

/// Returns the length of a quoted token up to its closing quote. A doubled quote is part of it.
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

fn word(sql: &str) -> usize {
    sql.find(|c| !is_part_of_word(c)).unwrap_or(sql.len())
}

fn is_part_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || c == '_' || c == '$'
}

/// Returns the number of tokens of a group in parentheses, at whose opening one the tokens begin, with both.
pub(crate) fn group(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// Returns the index of the first token from `start` on, outside parentheses, for which a function is true.
pub(crate) fn position<'a>(
    tokens: &[Token<'a>],
    start: usize,
    mut is_it: impl FnMut(usize, &Token<'a>) -> bool,
) -> Option<usize> {
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        if is_it(index, token) {
            return Some(index);
        }
        index += if token.is_sign("(") { group(&tokens[index..]) } else { 1 };
    }
    None
}

/// Splits tokens at the commas outside parentheses.
pub(crate) fn split<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(comma) = position(tokens, start, |_, token| token.is_sign(",")) {
        parts.push(&tokens[start..comma]);
        start = comma + 1;
    }
    parts.push(&tokens[start..]);
    parts
}

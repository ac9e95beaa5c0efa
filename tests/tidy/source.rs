//! The files that rules read: their code, comments and words.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files of the libraries.
pub fn all_sources() -> Vec<File> {
    ["src", "arrow/src", "datafusion/src", "dqlite/src", "endpoint/src", "tokio/src"]
        .into_iter()
        .flat_map(rust_files)
        .collect()
}

/// The Rust files of a directory that is in every package.
pub fn rust_files(directory: &str) -> Vec<File> {
    let mut files = files_below(directory);
    files.retain(|file| file.path.extension().is_some_and(|extension| extension == "rs"));
    assert!(!files.is_empty(), "no Rust files in {directory}");
    files
}

/// All files of a directory, which a package may have come without.
pub fn files_below(directory: impl AsRef<Path>) -> Vec<File> {
    let Ok(entries) = fs::read_dir(root().join(&directory)) else {
        return Vec::new();
    };
    let mut entries: Vec<PathBuf> = entries.map(|entry| directory.as_ref().join(entry.unwrap().file_name())).collect();
    entries.sort();
    let files = entries
        .into_iter()
        // What a build has left is nobody's source.
        .filter(|path| !path.ends_with("target"))
        .flat_map(|path| if root().join(&path).is_dir() { files_below(path) } else { vec![File::read(&path)] });
    files.collect()
}

/// A file, seen three ways; a line is the same line in each.
pub struct File {
    /// From the root of the repository.
    pub path: PathBuf,
    pub text: String,
    /// Without comments and without what stands between quotes.
    pub code: String,
    /// Comments alone.
    pub comments: String,
}

/// Something found.
pub struct Place<'file> {
    /// 1-based.
    pub line: usize,
    pub text: &'file str,
}

/// A word of code, and the code that follows it.
pub struct Word<'file> {
    pub line: usize,
    pub text: &'file str,
    pub after: &'file str,
}

impl File {
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::new(path, &String::from_utf8_lossy(&bytes))
    }

    pub fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        let (code, comments) = split(text);
        Self { path: path.into(), text: text.to_owned(), code, comments }
    }

    /// The words of the code.
    pub fn words(&self) -> impl Iterator<Item = Word<'_>> {
        let mut line = 1;
        let mut rest = &*self.code;
        std::iter::from_fn(move || {
            let start = rest.find(is_word_char)?;
            line += rest[..start].matches('\n').count();
            let word = &rest[start..];
            let (text, after) = word.split_at(word.find(|c| !is_word_char(c)).unwrap_or(word.len()));
            rest = after;
            Some(Word { line, text, after })
        })
    }

    pub fn report<'file>(&self, places: impl Iterator<Item = impl Into<Place<'file>>>, problem: &str) -> Vec<String> {
        let describe = |place: Place<'_>| format!("{}:{}: `{place}` {problem}", self.path.display(), place.line);
        places.map(|place| describe(place.into())).collect()
    }
}

impl<'file> From<Word<'file>> for Place<'file> {
    fn from(word: Word<'file>) -> Self {
        Self { line: word.line, text: word.text }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

pub fn is_word_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Whether a text names this file, and not one whose name only ends like it.
pub fn names_file(text: &str, name: &str) -> bool {
    let is_part_of_name = |c: char| is_word_char(c) || c == '-';
    text.match_indices(name).any(|(offset, _)| !text[..offset].ends_with(is_part_of_name))
}

/// Code and comments, each with blanks where the other is, and where quoted text is.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (is_code, is_comment, len) = match comment_len(rest) {
            Some(len) => (false, true, len),
            None => quoted_len(rest).map_or((true, false, first.len_utf8()), |len| (false, false, len)),
        };
        let (piece, after) = rest.split_at(len);
        let blank = || piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' });
        if is_code {
            code.push_str(piece)
        } else {
            code.extend(blank())
        }
        if is_comment {
            comments.push_str(piece)
        } else {
            comments.extend(blank())
        }
        rest = after;
    }
    (code, comments)
}

/// The length of the comment that the text begins with.
fn comment_len(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    let mut len = text.starts_with("/*").then_some(2)?;
    let mut depth = 1;
    while depth > 0 && len < text.len() {
        let rest = &text[len..];
        match rest {
            _ if rest.starts_with("/*") => (depth, len) = (depth + 1, len + 2),
            _ if rest.starts_with("*/") => (depth, len) = (depth - 1, len + 2),
            _ => len += rest.chars().next().map_or(0, char::len_utf8),
        }
    }
    Some(len)
}

/// The length of the string or character that the text begins with; a lifetime is neither.
fn quoted_len(text: &str) -> Option<usize> {
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", &raw[..hashes]);
            let content = &raw[hashes + 1..];
            let content_len = content.find(&end).map_or(content.len(), |at| at + end.len());
            return Some(text.len() - content.len() + content_len);
        }
    }
    let quote = text.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut chars = text.char_indices().skip(1);
    let second = chars.next()?.1;
    if quote == '\'' && second != '\\' {
        let (offset, third) = chars.next()?;
        return (third == '\'').then_some(offset + 1);
    }
    let mut is_escaped = second == '\\';
    if second == quote {
        return Some(2);
    }
    for (offset, c) in chars {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return Some(offset + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// What the other rules stand on.
#[test]
fn comments_and_quotes_are_not_code() {
    let code = |text: &str| File::new("src/x.rs", text).code.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code("a // b\nc"), "a c");
    assert_eq!(code("a /* b /* c */ d */ e"), "a e");
    assert_eq!(code("a \"b // c\" d"), "a d");
    assert_eq!(code(r#"a "b\" c" d"#), "a d");
    assert_eq!(code("a r#\"b \" c\"# d"), "a d");
    assert_eq!(code(r"a '\'' b '/' c '\u{1f}' '\\' d"), "a b c d");
    assert_eq!(code("fn f<'a>(x: &'a str) -> &'a str { x }"), "fn f<'a>(x: &'a str) -> &'a str { x }");
    let file = File::new("src/x.rs", "a\n/* b\nc */ d // e\n\"f\ng\" h");
    assert_eq!(file.comments.lines().map(str::trim).collect::<Vec<_>>(), ["", "/* b", "c */   // e", "", ""]);
    assert_eq!(file.words().map(|word| (word.line, word.text)).collect::<Vec<_>>(), [(1, "a"), (3, "d"), (5, "h")]);
}

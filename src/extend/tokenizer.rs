//! Tokenizers of full-text search.

use std::error::Error as StdError;
use std::ffi::CString;
use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::str;
use std::sync::Arc;

use super::aggregate::CallbackError;
use crate::Connection;
use crate::error::{Error, ErrorKind, FunctionCause, FunctionFault, Result};
use crate::raw::callback::CallbackFailure;
use crate::raw::fts::{self, tokenizer as raw};

/// Divides text into tokens for full-text search by FTS5. See [`Connection::create_tokenizer`].
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite::extend::{CallbackError, TokenizeRequest, Tokenizer, Tokens};
///
/// /// Tags between commas.
/// struct Tags;
///
/// impl Tokenizer for Tags {
///     fn tokenize(&mut self, request: TokenizeRequest<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackError> {
///         let mut start = 0;
///         for tag in request.text.split(',') {
///             tokens.push(tag.trim().to_lowercase(), start..start + tag.len())?;
///             start += tag.len() + 1;
///         }
///         Ok(())
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_tokenizer("tags", |_| Ok(Tags))?;
/// conn.execute_batch("CREATE VIRTUAL TABLE notes USING fts5(tags, tokenize = 'tags')")?;
/// conn.execute("INSERT INTO notes VALUES ('New York, winter')", ())?;
/// assert!(conn.exists("SELECT 1 FROM notes WHERE notes MATCH '\"new york\"'", ())?);
/// assert!(!conn.exists("SELECT 1 FROM notes WHERE notes MATCH 'york'", ())?);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [fts5_tokenizer_v2](https://sqlite.org/fts5.html#custom_tokenizers)
pub trait Tokenizer: Send + 'static {
    /// Passes the tokens of a text to FTS5, in order.
    ///
    /// # Errors
    ///
    /// Any error; it ends the statement, as the [`source`](std::error::Error::source) of [`ErrorKind::Tokenizer`].
    fn tokenize(
        &mut self,
        request: TokenizeRequest<'_>,
        tokens: &mut Tokens<'_>,
    ) -> std::result::Result<(), CallbackError>;

    /// Passes the tokens of a text that is not UTF-8. The default returns an error. `request.text` is empty; ranges are
    /// those of `text`.
    ///
    /// # Errors
    ///
    /// See [`tokenize`](Self::tokenize).
    fn tokenize_bytes(
        &mut self,
        text: &[u8],
        request: TokenizeRequest<'_>,
        tokens: &mut Tokens<'_>,
    ) -> std::result::Result<(), CallbackError> {
        let _ = (text, request, tokens);
        Err("the text is not UTF-8".into())
    }
}

/// A text to divide into tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizeRequest<'call> {
    /// The text.
    pub text: &'call str,
    /// Reason of the request.
    pub reason: TokenizeReason,
    /// Locale of the text, by [`fts5_locale`](https://sqlite.org/fts5.html#the_locale_option), in a table with `locale =
    /// 1`. SQLite before 3.47 has none.
    pub locale: Option<&'call str>,
}

/// Shows no text, which may be what is stored.
impl fmt::Debug for TokenizeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenizeRequest")
            .field("bytes", &self.text.len())
            .field("reason", &self.reason)
            .field("locale", &self.locale)
            .finish()
    }
}

/// Reason for which FTS5 has a text divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenizeReason {
    /// The text is inserted or removed.
    Document,
    /// The text is part of a query.
    Query {
        /// Whether the last token is a prefix: `word*`.
        prefix: bool,
    },
    /// An auxiliary function asks, such as `highlight`.
    Auxiliary,
}

/// The way of tokens to FTS5.
pub struct Tokens<'call>(&'call mut dyn Sink);

/// The tokens of one call, without its lifetimes.
trait Sink {
    fn push(&mut self, token: &[u8], range: Range<usize>, is_colocated: bool) -> Result<()>;
    fn wrapped(&self, number: usize, text: &str) -> Result<TokenList>;
}

impl Sink for raw::Tokens<'_> {
    fn push(&mut self, token: &[u8], range: Range<usize>, is_colocated: bool) -> Result<()> {
        Ok(raw::Tokens::push(self, token, range, is_colocated)?)
    }

    fn wrapped(&self, number: usize, text: &str) -> Result<TokenList> {
        Ok(TokenList(raw::Tokens::wrapped(self, number, text)?))
    }
}

impl Tokens<'_> {
    /// Passes a token, and the range of the text from which it is made, in bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] if the range is not within the text, does not begin and end between characters, or begins
    /// or ends before the token before does; or if FTS5 takes no more. [`ErrorKind::TooBig`] for a token of more than 2
    /// GiB, [`ErrorKind::NoMemory`], or the error of FTS5. The tokenizer returns the error.
    pub fn push(&mut self, token: impl AsRef<[u8]>, range: Range<usize>) -> Result<()> {
        self.0.push(token.as_ref(), range, false)
    }

    /// Passes a token at the position of the one before: a synonym.
    ///
    /// # Errors
    ///
    /// See [`push`](Self::push), and [`ErrorKind::Misuse`] if there is no token before. It may end before the one before.
    pub fn push_colocated(&mut self, token: impl AsRef<[u8]>, range: Range<usize>) -> Result<()> {
        self.0.push(token.as_ref(), range, true)
    }

    /// Returns the tokens that a wrapped tokenizer makes of a text, for the same reason and in the same locale.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] for a tokenizer that another one wraps; the error of the tokenizer.
    pub fn of_wrapped(&self, tokenizer: &WrappedTokenizer, text: &str) -> Result<TokenList> {
        self.0.wrapped(tokenizer.0, text)
    }
}

impl fmt::Debug for Tokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Tokens that another tokenizer has made of a text.
pub struct TokenList(pub(super) fts::TokenList);

impl TokenList {
    /// Returns the number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Returns the tokens, in order.
    pub fn iter(&self) -> impl Iterator<Item = Token<'_>> {
        (0..self.0.len()).filter_map(|index| self.0.get(index)).map(|token| Token {
            bytes: token.text,
            range: token.range,
            is_colocated: token.is_colocated,
        })
    }
}

/// Shows no token, which may be what is stored.
impl fmt::Debug for TokenList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenList").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A token that another tokenizer has made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token<'list> {
    /// The token.
    pub bytes: &'list [u8],
    /// Range of the text from which it is made, in bytes.
    pub range: Range<usize>,
    /// Whether it is at the position of the one before.
    pub is_colocated: bool,
}

impl Token<'_> {
    /// Returns the token as text.
    ///
    /// # Errors
    ///
    /// The token is not UTF-8.
    pub fn as_str(&self) -> std::result::Result<&str, str::Utf8Error> {
        str::from_utf8(self.bytes)
    }
}

/// A tokenizer of FTS5 that another one uses. Returned by [`TokenizerSetup::wrap`].
#[derive(Debug)]
pub struct WrappedTokenizer(usize);

/// The creation of a tokenizer for a table.
pub struct TokenizerSetup<'call> {
    arguments: Vec<&'call str>,
    wrapping: &'call mut dyn Wrapping,
}

/// The creation, without its lifetimes.
trait Wrapping {
    fn wrap(&mut self, name: &str, arguments: &[&str]) -> Result<usize>;
}

impl Wrapping for raw::Setup<'_> {
    fn wrap(&mut self, name: &str, arguments: &[&str]) -> Result<usize> {
        let c_name = checked(name)?;
        let arguments = arguments.iter().map(|argument| checked(argument)).collect::<Result<Vec<_>>>()?;
        let arguments: Vec<_> = arguments.iter().map(CString::as_c_str).collect();
        match raw::Setup::wrap(self, &c_name, &arguments)? {
            Some(number) => Ok(number),
            None => Err(Error::new(ErrorKind::External(format!("no such tokenizer: {name}").into()))),
        }
    }
}

impl<'call> TokenizerSetup<'call> {
    /// Returns the words after the name of the tokenizer: `["a", "b c"]` of `tokenize = "name a 'b c'"`.
    #[must_use]
    pub fn arguments(&self) -> &[&'call str] {
        &self.arguments
    }

    /// Creates another tokenizer, for use by the new one ([`Tokens::of_wrapped`]): one of SQLite's, such as `unicode61`,
    /// or another of the program's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::External`] if there is none of this name, [`ErrorKind::Misuse`] for a name or an argument with a NUL
    /// and for a tokenizer that wraps itself without end; the error of the tokenizer.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    /// use finalite::extend::{CallbackError, TokenizeRequest, Tokenizer, Tokens, WrappedTokenizer};
    ///
    /// /// Leaves words out.
    /// struct Without(Vec<String>, WrappedTokenizer);
    ///
    /// impl Tokenizer for Without {
    ///     fn tokenize(&mut self, request: TokenizeRequest<'_>, tokens: &mut Tokens<'_>) -> Result<(), CallbackError> {
    ///         for token in tokens.of_wrapped(&self.1, request.text)?.iter() {
    ///             if !self.0.iter().any(|word| word.as_bytes() == token.bytes) {
    ///                 tokens.push(token.bytes, token.range)?;
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_tokenizer("without", |setup| {
    ///     let words = setup.arguments().iter().map(|&word| word.to_owned()).collect();
    ///     Ok(Without(words, setup.wrap("unicode61", &[])?))
    /// })?;
    /// conn.execute_batch("CREATE VIRTUAL TABLE notes USING fts5(body, tokenize = 'without the a')")?;
    /// conn.execute("INSERT INTO notes VALUES ('The Cat')", ())?;
    /// assert!(conn.exists("SELECT 1 FROM notes WHERE notes MATCH 'cat'", ())?);
    /// let words: Vec<String> = {
    ///     conn.execute_batch("CREATE VIRTUAL TABLE words USING fts5vocab(notes, row)")?;
    ///     conn.query_all("SELECT term FROM words", ())?
    /// };
    /// assert_eq!(words, ["cat"]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn wrap(&mut self, name: &str, arguments: &[&str]) -> Result<WrappedTokenizer> {
        self.wrapping.wrap(name, arguments).map(WrappedTokenizer)
    }
}

impl fmt::Debug for TokenizerSetup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenizerSetup").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

impl Connection {
    /// Registers a tokenizer for full-text search: `CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'name ..')`. The
    /// closure creates one [`Tokenizer`] for each table of each connection; it gets the words after the name.
    ///
    /// Each connection that uses such a table registers the tokenizer first. A tokenizer of the same name that tables are
    /// using stays with them, and its closure is kept until the connection closes: what is in an index was made by it. A
    /// tokenizer cannot be removed.
    ///
    /// The tokenizers of an index make the same tokens of the same text for as long as it lives; otherwise rows are not
    /// found. After a change, `INSERT INTO t(t) VALUES ('rebuild')` makes the index anew.
    ///
    /// A tokenizer cannot use the connection. A panic ends the statement, and is resumed by the call that runs it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if SQLite was compiled without FTS5; [`ErrorKind::Misuse`] for a name that is empty or
    /// contains a NUL, and within a callback; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// See [`Tokenizer`] and [`TokenizerSetup::wrap`].
    ///
    /// C: [xCreateTokenizer_v2](https://sqlite.org/fts5.html#custom_tokenizers)
    #[track_caller]
    #[doc(alias("fts5_api", "fts5_tokenizer", "xCreateTokenizer"))]
    pub fn create_tokenizer<T: Tokenizer>(
        &self,
        name: &str,
        create: impl Fn(&mut TokenizerSetup<'_>) -> std::result::Result<T, CallbackError> + Send + 'static,
    ) -> Result<()> {
        let c_name = checked(name)?;
        if name.is_empty() {
            return Err(Error::new(ErrorKind::Misuse { reason: "the name of the tokenizer is empty" }));
        }
        let name: Arc<str> = name.into();
        let create = move |setup: &mut raw::Setup<'_>| {
            let created =
                arguments(setup).and_then(|arguments| create(&mut TokenizerSetup { arguments, wrapping: setup }));
            match created {
                Ok(tokenizer) => Ok(Named { name: Arc::clone(&name), tokenizer }),
                Err(error) => Err(failure(&name, error, FunctionCause::Tokenizer)),
            }
        };
        self.db().create_tokenizer(&c_name, Location::caller(), create).map_err(|fault| self.error(fault))
    }
}

fn arguments<'call>(setup: &raw::Setup<'call>) -> std::result::Result<Vec<&'call str>, CallbackError> {
    Ok(setup.arguments().iter().map(|argument| str::from_utf8(argument)).collect::<std::result::Result<_, _>>()?)
}

pub(super) fn checked(name: &str) -> Result<CString> {
    CString::new(name)
        .map_err(|_| Error::new(ErrorKind::Misuse { reason: "a name or an argument contains a NUL character" }))
}

/// A tokenizer with its name.
struct Named<T> {
    name: Arc<str>,
    tokenizer: T,
}

impl<T: Tokenizer> raw::RawTokenizer for Named<T> {
    fn tokenize(
        &mut self,
        request: raw::Request<'_>,
        tokens: &mut raw::Tokens<'_>,
    ) -> std::result::Result<(), CallbackFailure> {
        let raw::Request { text, locale, flags } = request;
        let reason = if flags.is_query() {
            TokenizeReason::Query { prefix: flags.is_prefix() }
        } else if flags.is_document() {
            TokenizeReason::Document
        } else {
            TokenizeReason::Auxiliary
        };
        let mut tokenize = || -> std::result::Result<(), CallbackError> {
            let locale = locale.map(str::from_utf8).transpose()?;
            let mut tokens = Tokens(tokens);
            match str::from_utf8(text) {
                Ok(text) => self.tokenizer.tokenize(TokenizeRequest { text, reason, locale }, &mut tokens),
                Err(_) => {
                    let request = TokenizeRequest { text: "", reason, locale };
                    self.tokenizer.tokenize_bytes(text, request, &mut tokens)
                }
            }
        };
        tokenize().map_err(|error| failure(&self.name, error, FunctionCause::Tokenizer))
    }
}

/// Returns the failure of a callback that returned an error.
pub(super) fn failure(
    name: &str,
    error: CallbackError,
    cause: fn(Box<dyn StdError + Send + Sync>) -> FunctionCause,
) -> CallbackFailure {
    if let Some(error) = error.downcast_ref::<Error>()
        && matches!(error.kind(), ErrorKind::NoMemory { .. })
    {
        return CallbackFailure::NoMemory;
    }
    CallbackFailure::Fault(FunctionFault { function: name.into(), cause: cause(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each word, as `unicode61` finds it.
    struct Words;

    impl raw::RawTokenizer for Words {
        fn tokenize(
            &mut self,
            request: raw::Request<'_>,
            tokens: &mut raw::Tokens<'_>,
        ) -> std::result::Result<(), CallbackFailure> {
            assert!(request.locale.is_none());
            let list = tokens.wrapped(0, str::from_utf8(request.text).unwrap()).unwrap();
            for token in (0..list.len()).filter_map(|index| list.get(index)) {
                tokens.push(token.text, token.range, token.is_colocated).unwrap();
            }
            Ok(())
        }
    }

    /// The interface of SQLite before 3.47, which later ones have too.
    #[test]
    fn tokenizers_without_locale_are_registered_by_the_older_interface() {
        let conn = Connection::open_in_memory().unwrap();
        let create = |setup: &mut raw::Setup<'_>| {
            assert_eq!(raw::Setup::wrap(setup, c"unicode61", &[]).unwrap(), Some(0));
            Ok(Words)
        };
        conn.db().register_tokenizer(c"words", Location::caller(), create, i32::MAX).unwrap();
        conn.execute_batch(
            "CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'words'); INSERT INTO t VALUES ('One two'), ('three')",
        )
        .unwrap();
        let sql = "SELECT highlight(t, 0, '<', '>') FROM t WHERE t MATCH 'one'";
        assert_eq!(conn.query_all::<String>(sql, ()).unwrap(), ["<One> two"]);
        conn.close().unwrap();
    }
}

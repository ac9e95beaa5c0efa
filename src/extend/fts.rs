//! Auxiliary functions of full-text search.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::str;

use super::aggregate::CallbackError;
use super::context::{FunctionContext, FunctionName, FunctionResult, Reply};
use super::tokenizer::{TokenList, checked};
use crate::Connection;
use crate::convert::{FromSql, ToSql};
use crate::error::{Error, ErrorKind, Result};
use crate::raw::fts::function::{FtsCall, RawInstance};
use crate::raw::function::Call;
use crate::value::ValueRef;

/// A row of an FTS5 table that matches a query.
///
/// Columns, phrases, instances and tokens have 0-based indexes. One that is out of range is
/// [`ErrorKind::Misuse`]; the error of FTS5 is [`ErrorKind::Sqlite`].
///
/// C: [Fts5ExtensionApi](https://sqlite.org/fts5.html#custom_auxiliary_functions)
pub struct FtsRow<'call>(&'call FtsCall<'call>);

/// A place where a phrase of the query matches the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FtsInstance {
    /// Index of the phrase.
    pub phrase: usize,
    /// Index of the column.
    pub column: usize,
    /// Number of tokens before it in the column.
    pub offset: usize,
}

/// A place where one phrase matches the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FtsPosition {
    /// Index of the column.
    pub column: usize,
    /// Number of tokens before it in the column.
    pub offset: usize,
}

impl FtsRow<'_> {
    /// Returns the rowid.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn rowid(&self) -> Result<i64> {
        Ok(self.0.rowid()?)
    }

    /// Returns the number of columns of the table.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn column_count(&self) -> Result<usize> {
        Ok(self.0.column_count()?)
    }

    /// Returns the number of rows of the table.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn row_count(&self) -> Result<i64> {
        Ok(self.0.row_count()?)
    }

    /// Returns the number of tokens in a column of all rows, or in all columns.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn column_total_size(&self, column: impl Into<Option<usize>>) -> Result<i64> {
        Ok(self.0.column_total_size(column.into())?)
    }

    /// Returns the number of tokens in a column of this row, or in all columns. `None` if the table knows none: it has
    /// neither contents nor sizes (`content = '', columnsize = 0`).
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn column_size(&self, column: impl Into<Option<usize>>) -> Result<Option<usize>> {
        Ok(usize::try_from(self.0.column_size(column.into())?).ok())
    }

    /// Returns the text of a column. `None` for NULL, and for a table without contents.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`], and [`ErrorKind::External`] for text that is not UTF-8.
    pub fn column_text(&self, column: usize) -> Result<Option<&str>> {
        let text = self.0.column_text(column)?.map(str::from_utf8).transpose();
        text.map_err(|error| Error::new(ErrorKind::External(error.into())))
    }

    /// Returns the bytes of the text of a column. `None` for NULL, and for a table without contents.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn column_bytes(&self, column: usize) -> Result<Option<&[u8]>> {
        Ok(self.0.column_text(column)?)
    }

    /// Returns the locale of the text of a column, in a table with `locale = 1`.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`]; [`ErrorKind::Unsupported`] before SQLite 3.47.
    pub fn column_locale(&self, column: usize) -> Result<Option<String>> {
        let locale = self.0.column_locale(column)?;
        Ok(locale.map(|locale| String::from_utf8_lossy(&locale).into_owned()))
    }

    /// Returns the number of phrases of the query; 0 without one.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn phrase_count(&self) -> Result<usize> {
        Ok(self.0.phrase_count()?)
    }

    /// Returns the number of tokens of a phrase.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn phrase_size(&self, phrase: usize) -> Result<usize> {
        Ok(self.0.phrase_size(phrase)?)
    }

    /// Returns a token of a phrase.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`]; [`ErrorKind::Unsupported`] where FTS5 cannot tell.
    pub fn phrase_token(&self, phrase: usize, token: usize) -> Result<Box<[u8]>> {
        Ok(self.0.phrase_token(phrase, token)?)
    }

    /// Returns the places where phrases match the row, by column and offset.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn instances(&self) -> Result<Vec<FtsInstance>> {
        (0..self.instance_count()?).map(|instance| self.instance(instance)).collect()
    }

    /// Returns the number of places where phrases match the row.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn instance_count(&self) -> Result<usize> {
        Ok(self.0.instance_count()?)
    }

    /// Returns a place where a phrase matches the row.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn instance(&self, instance: usize) -> Result<FtsInstance> {
        let RawInstance { phrase, column, offset } = self.0.instance(instance)?;
        Ok(FtsInstance { phrase, column, offset })
    }

    /// Returns the token of the row that a token of an instance matches. They differ for a prefix.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`]; [`ErrorKind::Unsupported`] where FTS5 cannot tell.
    pub fn instance_token(&self, instance: usize, token: usize) -> Result<Box<[u8]>> {
        Ok(self.0.instance_token(instance, token)?)
    }

    /// Returns the places where a phrase matches the row, by column and offset.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn phrase_positions(&self, phrase: usize) -> Result<Vec<FtsPosition>> {
        let positions = self.0.phrase_positions(phrase)?;
        Ok(positions.into_iter().map(|(column, offset)| FtsPosition { column, offset }).collect())
    }

    /// Returns the columns in which a phrase matches the row. It is faster than
    /// [`phrase_positions`](Self::phrase_positions) in a table with `detail = column`.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`].
    pub fn phrase_columns(&self, phrase: usize) -> Result<Vec<usize>> {
        Ok(self.0.phrase_columns(phrase)?)
    }

    /// Returns the tokens that the table's tokenizer makes of a text.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`]; the error of the tokenizer.
    pub fn tokenize(&self, text: &str) -> Result<TokenList> {
        Ok(TokenList(self.0.tokenize(text, None)?))
    }

    /// Returns the tokens that the table's tokenizer makes of a text in a locale.
    ///
    /// # Errors
    ///
    /// See [`tokenize`](Self::tokenize); [`ErrorKind::Unsupported`] before SQLite 3.47.
    pub fn tokenize_in(&self, locale: &str, text: &str) -> Result<TokenList> {
        Ok(TokenList(self.0.tokenize(text, Some(locale))?))
    }
}

impl fmt::Debug for FtsRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FtsRow").finish_non_exhaustive()
    }
}

/// One call of an auxiliary function: the row, and the arguments after the table.
pub struct FtsContext<'call> {
    row: FtsRow<'call>,
    call: FunctionContext<'call>,
    /// Whether a reply has made the call an error.
    has_failed: Cell<bool>,
}

impl<'call> Deref for FtsContext<'call> {
    type Target = FtsRow<'call>;

    fn deref(&self) -> &FtsRow<'call> {
        &self.row
    }
}

impl<'call> FtsContext<'call> {
    /// Returns the number of arguments after the table.
    #[must_use]
    pub fn argument_count(&self) -> usize {
        self.call.argument_count()
    }

    /// Returns an argument after the table, 0-based, as a Rust type.
    ///
    /// # Errors
    ///
    /// See [`FunctionContext::get`].
    pub fn get<T: FromSql<'call>>(&self, argument: usize) -> Result<T> {
        self.call.get(argument)
    }

    /// Returns an argument after the table, 0-based, as SQLite has it.
    ///
    /// # Errors
    ///
    /// See [`FunctionContext::value`].
    pub fn value(&self, argument: usize) -> Result<ValueRef<'call>> {
        self.call.value(argument)
    }

    /// Sets the result, which may borrow the row: text and bytes are copied now. The closure returns the [`Reply`].
    pub fn reply(&self, value: impl ToSql) -> Reply {
        let db = self.row.0.db();
        let failures = db.failures();
        let reply = self.call.reply(value);
        if db.failures() != failures {
            self.has_failed.set(true);
        }
        reply
    }

    /// Returns the auxiliary data of the query, or computes it in the first row: for example the number of rows in which
    /// each phrase is. It is dropped when the query ends.
    ///
    /// # Errors
    ///
    /// The error of `compute`; [`ErrorKind::NoMemory`].
    ///
    /// C: [xSetAuxdata](https://sqlite.org/fts5.html#xSetAuxdata)
    pub fn auxiliary<T: Any + Send>(
        &self,
        compute: impl FnOnce() -> std::result::Result<T, CallbackError>,
    ) -> std::result::Result<&'call T, CallbackError> {
        let row = self.row.0;
        if let Some(known) = row.auxiliary().map_err(Error::from)?.and_then(<dyn Any + Send>::downcast_ref) {
            return Ok(known);
        }
        let stored = row.set_auxiliary(Box::new(compute()?)).map_err(Error::from)?;
        stored.downcast_ref().ok_or_else(|| "the auxiliary data was stored with another type".into())
    }

    /// Passes each row of the table that matches a phrase of the query. The closure returns whether to go on.
    ///
    /// # Errors
    ///
    /// See [`FtsRow`]; the first error of the closure, which ends it.
    ///
    /// # Example
    ///
    /// See [`Connection::create_fts_function`].
    ///
    /// C: [xQueryPhrase](https://sqlite.org/fts5.html#xQueryPhrase)
    pub fn query_phrase(
        &self,
        phrase: usize,
        mut see: impl FnMut(&FtsRow<'_>) -> std::result::Result<bool, CallbackError>,
    ) -> std::result::Result<(), CallbackError> {
        let mut result = Ok(());
        let queried = self.row.0.query_phrase(phrase, |row| match see(&FtsRow(row)) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                result = Err(error);
                false
            }
        });
        queried.map_err(Error::from)?;
        result
    }
}

impl fmt::Debug for FtsContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FtsContext").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Connection {
    /// Makes a closure an auxiliary function of full-text search, as `bm25` and `highlight` are: `SELECT name(t, ..) FROM
    /// t WHERE t MATCH ..`. The first argument is the table; the closure gets the row, and the arguments after it.
    ///
    /// A function of the same name that prepared statements use stays with them, and its closure is kept until the
    /// connection closes. A function cannot be removed.
    ///
    /// The rules of [`extend`](super) hold: a panic ends the statement. Unlike other functions it has no connection to read
    /// through: FTS5 takes any query of the table for its own while it orders rows by such a function. What the function
    /// needs of other tables is an argument, or read before by the program.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if SQLite was compiled without FTS5; [`ErrorKind::Misuse`] for a name that is empty,
    /// contains a NUL or has more than 255 bytes, and within a callback; [`ErrorKind::NoMemory`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// // The number of rows in which the rarest phrase of the query is.
    /// conn.create_fts_function("rarest", |fts| {
    ///     let rows = fts.auxiliary(|| {
    ///         let mut rarest = i64::MAX;
    ///         for phrase in 0..fts.phrase_count()? {
    ///             let mut rows = 0;
    ///             fts.query_phrase(phrase, |_| {
    ///                 rows += 1;
    ///                 Ok(true)
    ///             })?;
    ///             rarest = rarest.min(rows);
    ///         }
    ///         Ok(rarest)
    ///     })?;
    ///     Ok(*rows)
    /// })?;
    /// conn.execute_batch(
    ///     "CREATE VIRTUAL TABLE t USING fts5(a); INSERT INTO t VALUES ('one two'), ('one'), ('two one three')",
    /// )?;
    /// assert_eq!(conn.query_one::<i64>("SELECT rarest(t) FROM t WHERE t MATCH 'one AND three'", ())?, 1);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [xCreateFunction](https://sqlite.org/fts5.html#custom_auxiliary_functions)
    #[track_caller]
    #[doc(alias("fts5_extension_function", "xCreateFunction"))]
    pub fn create_fts_function<F, R>(&self, name: &str, function: F) -> Result<()>
    where
        F: Fn(&FtsContext<'_>) -> std::result::Result<R, CallbackError> + Send + 'static,
        R: FunctionResult,
    {
        /// Largest length of a name in bytes (`c3ref/create_function.html`).
        const NAME_MAX: usize = 255;
        let c_name = checked(name)?;
        if name.is_empty() || name.len() > NAME_MAX {
            let reason = "the name of the function is empty or has more than 255 bytes";
            return Err(Error::new(ErrorKind::Misuse { reason }));
        }
        let name = FunctionName(name.into());
        let call = move |row: &FtsCall<'_>, call: &Call<'_>| {
            let call = FunctionContext::new(call, &name);
            let context = FtsContext { row: FtsRow(row), call, has_failed: Cell::new(false) };
            let result = function(&context);
            // Errors of the function itself: those that it has dealt with do not count.
            let failures = row.db().failures();
            result.answer(&context.call);
            row.db().failures() == failures && !context.has_failed.get()
        };
        self.db().create_fts_function(&c_name, Location::caller(), call).map_err(|fault| self.error(fault))
    }
}

//! One call of a function: arguments, result, auxiliary data.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;

use super::aggregate::CallbackError;
use super::argument::Argument;
use super::reading::ReadConnection;
use crate::convert::{FromSql, Param, ParamValue, ToSql};
use crate::error::{Error, ErrorKind, FunctionCause, FunctionFault, Result, ResultCode};
use crate::raw::function::Call;
use crate::value::{ConversionError, RawParam, Type, ValueRef};

/// Name under which a function was registered. A call has its address, which is one word, where the text is two.
pub(super) struct FunctionName(pub(super) Box<str>);

/// One call of a function by SQL.
///
/// # Example
///
/// ```
/// use finalite::{Connection, extend::FunctionOptions};
///
/// let conn = Connection::open_in_memory()?;
/// conn.create_scalar_function_with("longest", FunctionOptions::new().deterministic(), |call| {
///     let mut longest = "";
///     for argument in 0..call.argument_count() {
///         let text: &str = call.get(argument)?;
///         if text.len() > longest.len() {
///             longest = text;
///         }
///     }
///     Ok(call.reply(longest))
/// })?;
/// assert_eq!(conn.query_one::<String>("SELECT longest('a', 'bcd', 'ef')", ())?, "bcd");
/// # Ok::<(), finalite::Error>(())
/// ```
#[doc(alias = "Context")]
pub struct FunctionContext<'call> {
    call: &'call Call<'call>,
    function: &'call FunctionName,
    /// Subtype of the result, which SQLite takes after the result.
    subtype: Cell<Option<u8>>,
}

impl<'call> FunctionContext<'call> {
    #[inline(always)]
    pub(super) fn new(call: &'call Call<'call>, function: &'call FunctionName) -> Self {
        Self { call, function, subtype: Cell::new(None) }
    }

    /// Returns the number of arguments.
    #[must_use]
    pub fn argument_count(&self) -> usize {
        self.call.len()
    }

    /// Returns the name under which the function was registered.
    #[must_use]
    pub fn function_name(&self) -> &'call str {
        &self.function.0
    }

    /// Returns an argument, 0-based, as a Rust type. A `&str` points into SQLite's memory, for the duration of the call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::FunctionArgument`] if the argument does not convert, [`ErrorKind::Function`] if there is none,
    /// [`ErrorKind::NoMemory`].
    #[inline]
    pub fn get<T: FromSql<'call>>(&self, argument: usize) -> Result<T> {
        match self.read(argument) {
            Ok(value) => Ok(value),
            Err(problem) => Err(self.error(problem)),
        }
    }

    /// Returns an argument, 0-based, as SQLite has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Function`] if there is none, [`ErrorKind::NoMemory`].
    #[doc(alias = "get_raw")]
    pub fn value(&self, argument: usize) -> Result<ValueRef<'call>> {
        self.get(argument)
    }

    /// Returns the subtype of an argument, 0-based; 0 if it has none. The options of the function include
    /// [`subtypes`](super::FunctionOptions::subtypes).
    ///
    /// C: [sqlite3_value_subtype](https://sqlite.org/c3ref/value_subtype.html)
    #[must_use]
    pub fn subtype(&self, argument: usize) -> u32 {
        self.call.subtype(argument)
    }

    /// Whether an argument, 0-based, is a bound parameter.
    ///
    /// C: [sqlite3_value_frombind](https://sqlite.org/c3ref/value_blob.html)
    #[must_use]
    pub fn is_bound_parameter(&self, argument: usize) -> bool {
        self.call.is_from_bind(argument)
    }

    /// Sets the subtype of the result, 8 bits that functions around this one can read. The options of the function
    /// include [`subtypes`](super::FunctionOptions::subtypes).
    ///
    /// C: [sqlite3_result_subtype](https://sqlite.org/c3ref/result_subtype.html)
    pub fn set_subtype(&self, subtype: u8) {
        self.subtype.set(Some(subtype));
    }

    /// Sets the subtype, after the result.
    pub(super) fn set_kept_subtype(&self) {
        if let Some(subtype) = self.subtype.get() {
            self.call.set_subtype(subtype);
        }
    }

    /// Sets the result, which may borrow an argument: text and bytes are copied now. The closure returns the [`Reply`].
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, extend::FunctionOptions};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_scalar_function_with("first_word", FunctionOptions::new().arguments(1), |call| {
    ///     let text: Option<&str> = call.get(0)?;
    ///     Ok(call.reply(text.and_then(|text| text.split(' ').next())))
    /// })?;
    /// assert_eq!(conn.query_one::<String>("SELECT first_word('one two')", ())?, "one");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    pub fn reply(&self, value: impl ToSql) -> Reply {
        self.answer(value.to_sql());
        Reply(())
    }

    /// Makes an argument, 0-based, the result, with its type and subtype. Without such an argument, the result is NULL.
    pub fn reply_with_argument(&self, argument: usize) -> Reply {
        self.call.answer_argument(argument);
        Reply(())
    }

    /// Returns the auxiliary data of an argument, 0-based, or computes it: for example a regular expression that is
    /// compiled from a constant pattern.
    ///
    /// SQLite keeps the data from row to row while the argument is a constant or a bound parameter, at the longest until
    /// the execution ends, and drops it otherwise. Data of another type counts as none.
    ///
    /// # Errors
    ///
    /// The error of `compute`; [`ErrorKind::Function`] if there is no such argument.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, extend::FunctionOptions};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_scalar_function_with("has_word", FunctionOptions::new().arguments(2).deterministic(), |call| {
    ///     let words = call.auxiliary(0, || Ok(call.get::<&str>(0)?.split(' ').map(str::to_owned).collect::<Vec<_>>()))?;
    ///     let text: &str = call.get(1)?;
    ///     Ok(words.iter().any(|word| text.contains(word)))
    /// })?;
    /// let found = conn.query_all::<bool>("SELECT has_word('one two', column1) FROM (VALUES ('two'), ('six'))", ())?;
    /// assert_eq!(found, [true, false]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_get_auxdata](https://sqlite.org/c3ref/get_auxdata.html)
    #[doc(alias = "get_or_create_aux")]
    pub fn auxiliary<T: Any + Send>(
        &self,
        argument: usize,
        compute: impl FnOnce() -> std::result::Result<T, CallbackError>,
    ) -> std::result::Result<&'call T, CallbackError> {
        if argument >= self.call.len() {
            return Err(self.error(Unread::Cause(FunctionCause::Missing { argument: argument + 1 })).into());
        }
        if let Some(known) = self.call.auxiliary(argument).and_then(<dyn Any + Send>::downcast_ref) {
            return Ok(known);
        }
        let stored = self.call.set_auxiliary(argument, Box::new(compute()?));
        stored.downcast_ref().ok_or_else(|| "the auxiliary data was stored with another type".into())
    }

    /// Returns the connection of the call, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'call> {
        ReadConnection::new(self.call.db())
    }

    /// Reads an argument of a closure: one that is mostly an integer is looked at as one first.
    #[inline(always)]
    pub(super) fn read_as<M, A: Argument<M>>(&self, argument: usize) -> std::result::Result<A::Of<'call>, Unread> {
        if !A::IS_INTEGER {
            return self.read(argument);
        }
        match self.call.integer(argument) {
            Some(integer) => A::Of::from_sql(ValueRef::Integer(integer)).map_err(|problem| {
                Unread::Cause(FunctionCause::Argument { argument: argument + 1, found: Type::Integer, problem })
            }),
            None => self.call.aside(|call| read(call, argument)),
        }
    }

    /// Reads an argument, for closures: the caller passes the error on.
    #[inline(always)]
    pub(super) fn read<T: FromSql<'call>>(&self, argument: usize) -> std::result::Result<T, Unread> {
        read(self.call, argument)
    }

    #[cold]
    fn error(&self, unread: Unread) -> Error {
        match unread {
            Unread::NoMemory => Error::new(ErrorKind::NoMemory { code: ResultCode::NOMEM }),
            Unread::Cause(cause) => Error::new(self.fault(cause).into_kind(ResultCode::ERROR)),
        }
    }

    fn fault(&self, cause: FunctionCause) -> FunctionFault {
        FunctionFault { function: self.function.0.clone(), cause }
    }

    #[inline(always)]
    pub(super) fn fail(&self, unread: Unread) {
        match unread {
            // It is the result already.
            Unread::NoMemory => {}
            Unread::Cause(cause) => fail(self.call, self.function, cause),
        }
    }

    /// Makes the call an error. An error that this call itself has made keeps its kind.
    #[cold]
    pub(super) fn fail_with(&self, error: Box<dyn StdError + Send + Sync>) {
        let cause = match error.downcast::<Error>() {
            Ok(error) => match error.into_function_cause() {
                Ok(None) => return self.call.fail_for_memory(),
                Ok(Some((function, cause))) if function == self.function.0 => cause,
                Ok(Some((function, cause))) => {
                    let nested = FunctionFault { function, cause }.into_kind(ResultCode::ERROR);
                    FunctionCause::Returned(Box::new(Error::new(nested)))
                }
                Err(error) => FunctionCause::Returned(Box::new(error)),
            },
            Err(error) => FunctionCause::Returned(error),
        };
        self.call.fail(self.fault(cause));
    }

    #[inline(always)]
    pub(super) fn answer(&self, param: Param<'_>) {
        match param.into_value() {
            ParamValue::Null => self.call.answer(RawParam::Null),
            ParamValue::Integer(value) => self.call.answer(RawParam::Integer(value)),
            ParamValue::Real(value) => self.call.answer(RawParam::Real(value)),
            ParamValue::ZeroBlob(bytes) => self.call.answer(RawParam::ZeroBlob(bytes)),
            ParamValue::Text(Cow::Borrowed(text)) => self.call.answer(RawParam::Text(text)),
            ParamValue::Text(Cow::Owned(text)) => self.call.answer(RawParam::Text(&text)),
            ParamValue::Blob(Cow::Borrowed(bytes)) => self.call.answer(RawParam::Blob(bytes)),
            ParamValue::Blob(Cow::Owned(bytes)) => self.call.answer(RawParam::Blob(&bytes)),
            ParamValue::List(_) | ParamValue::OwnedList(_) => {
                let problem = ConversionError::message("Array", "a list can be bound to a parameter, and not returned");
                fail(self.call, self.function, FunctionCause::Result(problem));
            }
            ParamValue::Error(problem) => fail(self.call, self.function, FunctionCause::Result(problem)),
        }
    }

    pub(super) fn raw(&self) -> &'call Call<'call> {
        self.call
    }
}

/// Reads an argument as its own type.
#[inline(always)]
fn read<'call, T: FromSql<'call>>(call: &Call<'call>, argument: usize) -> std::result::Result<T, Unread> {
    let Some(value) = call.argument(argument) else {
        return Err(if argument < call.len() {
            Unread::NoMemory
        } else {
            Unread::Cause(FunctionCause::Missing { argument: argument + 1 })
        });
    };
    match T::from_sql(value) {
        Ok(value) => Ok(value),
        Err(problem) => {
            let found = value.data_type();
            Err(Unread::Cause(FunctionCause::Argument { argument: argument + 1, found, problem }))
        }
    }
}

#[inline(always)]
fn fail(call: &Call<'_>, function: &FunctionName, cause: FunctionCause) {
    call.aside(|call| call.fail(FunctionFault { function: function.0.clone(), cause }));
}

impl fmt::Debug for FunctionContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FunctionContext");
        debug
            .field("function", &self.function_name())
            .field("arguments", &self.argument_count())
            .finish_non_exhaustive()
    }
}

/// The reason for which an argument was not read.
#[derive(Debug)]
pub(super) enum Unread {
    NoMemory,
    Cause(FunctionCause),
}

/// The result of a call that [`FunctionContext::reply`] has set.
#[derive(Debug)]
#[must_use = "the closure returns it"]
pub struct Reply(());

/// A result of a function: a value that can be bound, a [`Reply`], or a `Result` of one of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no result of an SQL function",
    label = "no result of an SQL function",
    note = "a result implements `ToSql`, or is a `Result` of it whose error converts to `Box<dyn Error + Send + Sync>`"
)]
pub trait FunctionResult {
    /// Sets the result of the call.
    #[doc(hidden)]
    fn answer(self, context: &FunctionContext<'_>);
}

impl<T: ToSql> FunctionResult for T {
    #[inline(always)]
    fn answer(self, context: &FunctionContext<'_>) {
        context.answer(self.to_sql());
    }
}

impl FunctionResult for Reply {
    #[inline(always)]
    fn answer(self, _context: &FunctionContext<'_>) {}
}

impl<T: FunctionResult, E: Into<Box<dyn StdError + Send + Sync>>> FunctionResult for std::result::Result<T, E> {
    #[inline(always)]
    fn answer(self, context: &FunctionContext<'_>) {
        match self {
            Ok(value) => value.answer(context),
            Err(error) => context.fail_with(error.into()),
        }
    }
}

//! Registering and removing functions.

use std::ffi::CString;
use std::panic::Location;

use super::aggregate::{AggregateFunction, CallbackError, Finished, Sliding, WindowFunction};
use super::context::{FunctionContext, FunctionName, FunctionResult};
use super::options::FunctionOptions;
use super::scalar::ScalarFunction;
use crate::Connection;
use crate::error::{Error, ErrorKind, Result, ResultCode};
use crate::raw::function::{Call, RawAggregate};
use crate::value::ValueRef;

/// The function or collation that a registered one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replaced {
    /// None: the name was free, for this number of arguments.
    Nothing,
    /// One that the program had registered through finalite. Its closure is dropped.
    Registered,
    /// One of SQLite's own, or of foreign code. Removing the new one does not bring it back.
    Other,
}

impl Connection {
    /// Makes a closure an SQL function: the number and the types of its arguments are those of the closure, up to 8. See
    /// [`extend`](super) for the types, and for what a function may do.
    ///
    /// A closure that returns a borrow of its argument (`|s: &str| s.trim()`) does not compile: "lifetime may not live
    /// long enough". It returns an owned value (`s.trim().to_owned()`), or
    /// [`create_scalar_function_with`](Self::create_scalar_function_with) takes it with
    /// [`call.reply`](FunctionContext::reply), which copies the borrow without a `String` in between.
    ///
    /// A function of the same name with another number of arguments stays. Returns what was replaced.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` if it replaces a function while a statement is running; [`ErrorKind::Misuse`] for a name that
    /// contains a NUL or has more than 255 bytes, and within a callback; [`ErrorKind::NoMemory`]; an interrupt while
    /// SQLite is asked which function of that name it has. An authorizer that forbids `PRAGMA function_list` hides those
    /// that are not the program's: [`Replaced::Other`] is then never returned.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_scalar_function("shout", |text: Option<&str>| text.map(|text| text.to_uppercase() + "!"))?;
    /// conn.create_scalar_function("parsed", |text: &str| text.parse::<i64>())?;
    /// assert_eq!(conn.query_one::<String>("SELECT shout('hello')", ())?, "HELLO!");
    /// let error = conn.query_one::<i64>("SELECT parsed('x')", ()).unwrap_err();
    /// assert!(error.to_string().starts_with("function parsed: invalid digit found in string"));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_function_v2](https://sqlite.org/c3ref/create_function.html)
    #[track_caller]
    #[doc(alias("create_function", "udf", "user-defined function"))]
    pub fn create_scalar_function<M, F: ScalarFunction<M>>(&self, name: &str, function: F) -> Result<Replaced> {
        let options = function.options();
        self.register_scalar(name, options, Location::caller(), move |context| function.call(context))
    }

    /// Makes a closure an SQL function. The closure reads its arguments from a [`FunctionContext`], which also has
    /// auxiliary data, subtypes, and a connection to read through.
    ///
    /// # Errors
    ///
    /// See [`create_scalar_function`](Self::create_scalar_function).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, extend::FunctionOptions};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_scalar_function_with("joined", FunctionOptions::new(), |call| {
    ///     let texts = (0..call.argument_count()).map(|n| call.get::<&str>(n));
    ///     Ok(texts.collect::<Result<Vec<_>, _>>()?.join("-"))
    /// })?;
    /// assert_eq!(conn.query_one::<String>("SELECT joined('a', 'b', 'c')", ())?, "a-b-c");
    ///
    /// // A result that borrows an argument goes through `reply`.
    /// conn.create_scalar_function_with("trimmed", FunctionOptions::new().arguments(1), |call| {
    ///     Ok(call.reply(call.get::<&str>(0)?.trim()))
    /// })?;
    /// assert_eq!(conn.query_one::<String>("SELECT trimmed(' a ')", ())?, "a");
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_function_v2](https://sqlite.org/c3ref/create_function.html)
    #[track_caller]
    pub fn create_scalar_function_with<F, R>(
        &self,
        name: &str,
        options: FunctionOptions,
        function: F,
    ) -> Result<Replaced>
    where
        F: Fn(&FunctionContext<'_>) -> std::result::Result<R, CallbackError> + Send + 'static,
        R: FunctionResult,
    {
        self.register_scalar(name, options, Location::caller(), move |context| {
            function(context).answer(context);
            context.set_kept_subtype();
        })
    }

    fn register_scalar(
        &self,
        name: &str,
        options: FunctionOptions,
        site: &'static Location<'static>,
        function: impl Fn(&FunctionContext<'_>) + Send + 'static,
    ) -> Result<Replaced> {
        let before = self.has_function(name, options.arguments)?;
        Ok(replaced(self.add_scalar(name, options, site, function)?, before))
    }

    /// Registers a scalar function. Returns whether it replaced one of the program's.
    pub(super) fn add_scalar(
        &self,
        name: &str,
        options: FunctionOptions,
        site: &'static Location<'static>,
        function: impl Fn(&FunctionContext<'_>) + Send + 'static,
    ) -> Result<bool> {
        let c_name = checked(name, options)?;
        let name = FunctionName(name.into());
        let call = move |call: &Call<'_>| function(&FunctionContext::new(call, &name));
        self.db().create_scalar(options.signature(&c_name), site, call).map_err(|fault| self.error(fault))
    }

    /// Makes an aggregate function of SQL: one that a trait implements ([`AggregateFunction`]), or one of closures
    /// ([`aggregate`](super::aggregate())).
    ///
    /// # Errors
    ///
    /// See [`create_scalar_function`](Self::create_scalar_function).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, extend::aggregate};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let product = aggregate(|| 1.0, |product: &mut f64, factor: f64| *product *= factor, |product: f64| product);
    /// conn.create_aggregate_function("product", product)?;
    /// assert_eq!(conn.query_one::<f64>("SELECT product(column1) FROM (VALUES (2), (3), (4))", ())?, 24.0);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_function_v2](https://sqlite.org/c3ref/create_function.html)
    #[track_caller]
    pub fn create_aggregate_function<A: AggregateFunction>(&self, name: &str, function: A) -> Result<Replaced> {
        let options = function.options();
        let function = Finished { function, name: FunctionName(name.into()) };
        self.register_aggregate(name, options, Location::caller(), function, false)
    }

    /// Makes a window function of SQL, which is an aggregate function as well: one that a trait implements
    /// ([`WindowFunction`]), or one of closures ([`window`](super::window())).
    ///
    /// # Errors
    ///
    /// See [`create_scalar_function`](Self::create_scalar_function).
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, extend::window};
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let sum = window(
    ///     || 0,
    ///     |sum: &mut i64, n: i64| *sum += n,
    ///     |sum: &mut i64, n: i64| *sum -= n,
    ///     |sum: &i64| *sum,
    /// );
    /// conn.create_window_function("moving_sum", sum)?;
    /// let sql = "SELECT moving_sum(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (2), (3))";
    /// assert_eq!(conn.query_all::<i64>(sql, ())?, [1, 3, 5]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_window_function](https://sqlite.org/c3ref/create_function.html)
    #[track_caller]
    pub fn create_window_function<W: WindowFunction>(&self, name: &str, function: W) -> Result<Replaced> {
        let options = function.options();
        let function = Sliding(Finished { function, name: FunctionName(name.into()) });
        self.register_aggregate(name, options, Location::caller(), function, true)
    }

    fn register_aggregate(
        &self,
        name: &str,
        options: FunctionOptions,
        site: &'static Location<'static>,
        function: impl RawAggregate,
        is_window: bool,
    ) -> Result<Replaced> {
        let c_name = checked(name, options)?;
        let before = self.has_function(name, options.arguments)?;
        let is_own = self.db().create_aggregate(options.signature(&c_name), site, function, is_window);
        Ok(replaced(is_own.map_err(|fault| self.error(fault))?, before))
    }

    /// Removes a function that was registered with this name and number of arguments (`None`: any number), and drops its
    /// closure. Returns whether there was one.
    ///
    /// SQLite then knows the function as a missing one: neither its own function of that name and number nor one of any
    /// number is called in its place.
    ///
    /// # Errors
    ///
    /// `SQLITE_BUSY` while a statement is running; [`ErrorKind::Misuse`] within a callback.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::Connection;
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.create_scalar_function("one", || 1)?;
    /// assert!(conn.remove_function("one", Some(0))?);
    /// assert!(!conn.remove_function("one", Some(0))?);
    /// assert!(conn.prepare("SELECT one()").is_err());
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [sqlite3_create_function_v2](https://sqlite.org/c3ref/create_function.html)
    pub fn remove_function(&self, name: &str, arguments: Option<u8>) -> Result<bool> {
        let Ok(name) = CString::new(name) else {
            return Ok(false);
        };
        self.db().remove_function(&name, arguments).map_err(|fault| self.error(fault))
    }

    /// Whether SQLite knows a function of this name and number of arguments.
    pub(super) fn has_function(&self, name: &str, arguments: Option<u8>) -> Result<bool> {
        let count = arguments.map_or(-1, i64::from);
        let mut is_known = false;
        self.each_function(|known, its| is_known |= known.eq_ignore_ascii_case(name) && its == count)?;
        Ok(is_known)
    }

    /// Passes the name and the number of arguments (-1: any) of each function that SQLite knows. A SQLite that cannot
    /// list them, or an authorizer that forbids it, shows none, and does not prevent the registration. The pragma reads
    /// no database.
    pub(super) fn each_function(&self, mut see: impl FnMut(&str, i64)) -> Result<()> {
        let mut statement = match self.prepare("PRAGMA function_list") {
            Err(error) if error.code().is_some_and(|code| code.primary() == ResultCode::AUTH) => return Ok(()),
            statement => statement?,
        };
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            // Foreign code may have given a name that is no text.
            if let Ok(name) = row.get::<ValueRef<'_>>("name")?.as_str() {
                see(name, row.get("narg")?);
            }
        }
        rows.finish()
    }
}

pub(super) fn replaced(is_own: bool, before: bool) -> Replaced {
    match (is_own, before) {
        (true, _) => Replaced::Registered,
        (false, true) => Replaced::Other,
        (false, false) => Replaced::Nothing,
    }
}

fn checked(name: &str, options: FunctionOptions) -> Result<CString> {
    /// Largest length of a name in bytes, and largest number of arguments (`c3ref/create_function.html`).
    const NAME_MAX: usize = 255;
    const ARGUMENTS_MAX: u8 = 127;
    let misuse = |reason| Err(Error::new(ErrorKind::Misuse { reason }));
    match CString::new(name) {
        Err(_) => misuse("the name of the function contains a NUL character"),
        Ok(_) if name.is_empty() => misuse("the name of the function is empty"),
        Ok(_) if name.len() > NAME_MAX => misuse("the name of the function has more than 255 bytes"),
        Ok(_) if options.arguments.is_some_and(|arguments| arguments > ARGUMENTS_MAX) => {
            misuse("a function has at most 127 arguments")
        }
        Ok(name) => Ok(name),
    }
}

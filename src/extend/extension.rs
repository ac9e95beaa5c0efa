//! Extensions: functions of the program that register functions on any connection.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use super::virtual_table::{TransactionalTable, VirtualTable, WritableTable};
use super::{
    AggregateFunction, CallbackError, FtsContext, FunctionContext, FunctionOptions, FunctionResult, ReadConnection,
    Replaced, ScalarFunction, TableColumns, TableFunction, TableFunctionCall, TableRows, Tokenizer, TokenizerSetup,
    WindowFunction,
};
use crate::Connection;
use crate::error::Result;

/// A connection that an extension extends: it registers functions, collations, tables and parts of full-text search, and
/// reads. The entry point of a [`loadable_extension!`](crate::loadable_extension) gets one, and so does
/// [`Connection::extend_with`].
///
/// The connection of a loadable extension is the host's: of the program that has loaded it. It is neither closed nor set
/// otherwise, and has no transaction begun.
///
/// - What is registered lives as long as the host's SQLite uses it: until it is replaced or removed, or the connection
///   closes. Closures are dropped then, within the call of SQLite that ends them.
/// - What was registered before the function fails stays.
/// - An error of a closure is the error of the host's statement, with its text. So is a panic, which is logged at level
///   ERROR.
/// - A collation must not panic, as it cannot fail. After a panic the connection is interrupted, at each further comparison,
///   until a function or a table of the extension has been called, whose error says so. SQLite looks for interrupts in loops
///   alone: a statement that has none left, like an `INSERT` of one row, has changed the database then, and an index may have
///   its row in a wrong place.
/// - A host may step a statement on several threads, one after the other. The cursor of a virtual table or a table function,
///   which need not be `Send`, is an error on another thread than the one that has opened it.
/// - Within closures, the connection that reads finalizes its statements at the end of each call, knows no lists
///   ([`array()`](crate::array())), and cannot load this extension again.
/// - Hooks and callbacks of R-trees are not registered: SQLite tells no extension when it has let go of a hook, and passes
///   none the functions of R-trees. [`vfs::register`](crate::vfs::register) registers a file system with the host; if one of
///   its methods panics, that is logged, and an error of the call.
/// - The state of an aggregate whose result SQLite does not ask for is dropped with the connection at the latest.
///
/// # Example
///
/// ```
/// use finalite::Connection;
/// use finalite::extend::{Extension, aggregate};
///
/// fn register(extension: &Extension<'_>) -> finalite::Result<()> {
///     extension.create_scalar_function("reverse", |text: &str| text.chars().rev().collect::<String>())?;
///     let split = |text: &str, separator: &str| {
///         text.split(separator).map(|part| (part.to_owned(),)).collect::<Vec<_>>()
///     };
///     extension.create_table_function("split", ["part"], split)?;
///     let product = aggregate(|| 1.0, |product: &mut f64, factor: f64| *product *= factor, |product: f64| product);
///     extension.create_aggregate_function("product", product)?;
///     extension.create_collation("by_length", |a: &str, b: &str| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))?;
///     Ok(())
/// }
///
/// let conn = Connection::open_in_memory()?;
/// conn.extend_with(register)?;
/// let sql = "SELECT reverse(part) FROM split('a bc def', ' ') ORDER BY part COLLATE by_length DESC";
/// assert_eq!(conn.query_all::<String>(sql, ())?, ["fed", "cb", "a"]);
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct Extension<'conn> {
    conn: &'conn Connection,
    /// It stays on the thread that SQLite is called on.
    _stays: PhantomData<*const ()>,
}

impl Connection {
    /// Runs the function of an extension on this connection, as [`loadable_extension!`](crate::loadable_extension) does on
    /// that of a host: for tests of an extension, and for programs that are linked with it.
    ///
    /// # Errors
    ///
    /// Those of the function.
    ///
    /// # Example
    ///
    /// See [`Extension`].
    pub fn extend_with(&self, init: impl FnOnce(&Extension<'_>) -> Result<()>) -> Result<()> {
        init(&Extension { conn: self, _stays: PhantomData })
    }
}

/// Forwards methods of [`Connection`].
macro_rules! forward {
    ($($(#[$attribute:meta])* $name:ident[$($generics:tt)*]($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Extension<'_> {
            $(
                #[doc = concat!("See [`Connection::", stringify!($name), "`].")]
                ///
                /// # Errors
                ///
                /// Those of the method of [`Connection`].
                $(#[$attribute])*
                #[track_caller]
                pub fn $name<$($generics)*>(&self, $($argument: $type),*) -> $result {
                    self.conn.$name($($argument),*)
                }
            )*
        }
    };
}

forward! {
    ///
    /// On the connection of a host, [`Replaced::Other`] stands for [`Replaced::Registered`], too.
    create_scalar_function[M, F: ScalarFunction<M>](name: &str, function: F) -> Result<Replaced>;
    create_scalar_function_with[
        F: Fn(&FunctionContext<'_>) -> std::result::Result<R, CallbackError> + Send + 'static,
        R: FunctionResult
    ](name: &str, options: FunctionOptions, function: F) -> Result<Replaced>;
    create_aggregate_function[A: AggregateFunction](name: &str, function: A) -> Result<Replaced>;
    create_window_function[W: WindowFunction](name: &str, function: W) -> Result<Replaced>;
    create_math_functions[]() -> Result<usize>;
    create_collation[F: Fn(&str, &str) -> Ordering + Send + 'static](name: &str, compare: F) -> Result<Replaced>;
    create_bytes_collation[F: Fn(&[u8], &[u8]) -> Ordering + Send + 'static](
        name: &str, compare: F
    ) -> Result<Replaced>;
    create_table_function[M: 'static, F: TableFunction<M>](
        name: &str, columns: impl Into<TableColumns>, function: F
    ) -> Result<()>;
    create_table_function_with[
        F: Fn(&TableFunctionCall<'_, '_>) -> std::result::Result<R, CallbackError> + Send + 'static,
        R: TableRows<N> + 'static,
        N: 'static
    ](name: &str, columns: impl Into<TableColumns>, function: F) -> Result<()>;
    create_tokenizer[
        T: Tokenizer,
        F: Fn(&mut TokenizerSetup<'_>) -> std::result::Result<T, CallbackError> + Send + 'static
    ](name: &str, create: F) -> Result<()>;
    create_fts_function[
        F: Fn(&FtsContext<'_>) -> std::result::Result<R, CallbackError> + Send + 'static,
        R: FunctionResult
    ](name: &str, function: F) -> Result<()>;
}

impl Extension<'_> {
    /// See [`Connection::create_module`].
    ///
    /// # Errors
    ///
    /// Those of the method of [`Connection`].
    #[track_caller]
    pub fn create_module<T: VirtualTable>(&self, name: &str, shared: T::Shared) -> Result<()> {
        self.conn.create_module::<T>(name, shared)
    }

    /// See [`Connection::create_writable_module`].
    ///
    /// # Errors
    ///
    /// Those of the method of [`Connection`].
    #[track_caller]
    pub fn create_writable_module<T: WritableTable>(&self, name: &str, shared: T::Shared) -> Result<()> {
        self.conn.create_writable_module::<T>(name, shared)
    }

    /// See [`Connection::create_transactional_module`].
    ///
    /// # Errors
    ///
    /// Those of the method of [`Connection`].
    #[track_caller]
    pub fn create_transactional_module<T: TransactionalTable>(&self, name: &str, shared: T::Shared) -> Result<()> {
        self.conn.create_transactional_module::<T>(name, shared)
    }

    /// Returns the connection, to read the database.
    #[must_use]
    pub fn connection(&self) -> ReadConnection<'_> {
        ReadConnection::new(self.conn.db())
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("conn", self.conn).finish_non_exhaustive()
    }
}

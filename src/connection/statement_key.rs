//! [`StatementKey`]: statements that a connection keeps, found without comparing SQL.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use super::Connection;
use crate::convert::ToSql;
use crate::error::{Error, ErrorKind, Result};
use crate::statement::params::Params;
use crate::statement::{FromRow, Statement};

/// A key to a statement that each connection prepares once and keeps, so that a program needs no field for it.
///
/// A key made of a literal serves all connections, also those of a pool: each prepares the statement when it first uses
/// the key. [`Connection::store`] returns a key for SQL that is made at run time; it belongs to that connection. A key
/// is found without hashing or comparing the SQL, and its statement is never evicted.
///
/// A key may know the types of its parameters, `P`, and of its rows, `T`. Then it runs the statement itself, and a
/// program that passes something else is not compiled. Text and bytes are `String` and `Vec<u8>` in `P`, and are lent
/// as `&str` and `&[u8]`.
///
/// Two uses at the same time, of which one is a query that is still read, work too: the second prepares another
/// statement, which is finalized after use.
///
/// # Example
///
/// ```
/// use finalite::{Connection, StatementKey};
///
/// static ADD: StatementKey<(String, Option<i64>)> = StatementKey::new("INSERT INTO people VALUES (?, ?)");
/// static BORN: StatementKey<(String,), Option<i64>> = StatementKey::new("SELECT born FROM people WHERE name = ?");
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE people(name TEXT PRIMARY KEY, born INTEGER)", ())?;
/// let name = String::from("Ada");
/// assert_eq!(ADD.execute(&conn, (&name, Some(1815)))?, 1);
/// assert_eq!(BORN.query_one(&conn, ("Ada",))?, Some(1815));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// In a struct, beside the connection:
///
/// ```
/// use finalite::{Connection, Result, StatementKey};
///
/// struct Counter {
///     conn: Connection,
///     add: StatementKey,
/// }
///
/// impl Counter {
///     fn new(conn: Connection, table: &str) -> Result<Self> {
///         let add = conn.store(&format!("UPDATE {} SET n = n + ?", finalite::sql::quote_identifier(table)))?;
///         Ok(Self { conn, add })
///     }
///
///     fn add(&self, n: i64) -> Result<usize> {
///         self.conn.statement(self.add)?.execute((n,))
///     }
/// }
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE visits(n); INSERT INTO visits VALUES (0)")?;
/// let counter = Counter::new(conn, "visits")?;
/// assert_eq!((counter.add(2)?, counter.add(3)?), (1, 1));
/// assert_eq!(counter.conn.query_one::<i64>("SELECT n FROM visits", ())?, 5);
/// # Ok::<(), finalite::Error>(())
/// ```
pub struct StatementKey<P = (), T = ()> {
    place: Place,
    types: PhantomData<fn(P) -> T>,
}

/// Place of the statement in a connection.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// That of a text that is never freed, by its address.
    Of(&'static str),
    /// A slot of one connection.
    Slot { connection: u64, slot: u32 },
}

impl<P, T> StatementKey<P, T> {
    /// Returns the key to a statement, which each connection prepares when it first uses the key.
    #[must_use]
    pub const fn new(sql: &'static str) -> Self {
        Self { place: Place::Of(sql), types: PhantomData }
    }

    /// Runs the statement to completion and returns the number of rows it inserted, updated or deleted.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::statement`] and [`Statement::execute`].
    #[inline]
    #[track_caller]
    pub fn execute<'p>(self, conn: &Connection, params: impl ParamsFor<'p, P>) -> Result<usize> {
        conn.statement(self)?.execute(params)
    }

    /// Runs a statement that yields exactly one row, and returns the row.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::statement`] and [`Statement::query_one`].
    #[inline]
    #[track_caller]
    pub fn query_one<'p>(self, conn: &Connection, params: impl ParamsFor<'p, P>) -> Result<T>
    where
        T: for<'row> FromRow<'row>,
    {
        conn.statement(self)?.query_one(params)
    }

    /// Runs a statement that yields at most one row, and returns the row; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::statement`] and [`Statement::query_optional`].
    #[inline]
    #[track_caller]
    pub fn query_optional<'p>(self, conn: &Connection, params: impl ParamsFor<'p, P>) -> Result<Option<T>>
    where
        T: for<'row> FromRow<'row>,
    {
        conn.statement(self)?.query_optional(params)
    }

    /// Runs a statement and returns all rows.
    ///
    /// # Errors
    ///
    /// Those of [`Connection::statement`] and [`Statement::query_all`].
    #[inline]
    #[track_caller]
    pub fn query_all<'p>(self, conn: &Connection, params: impl ParamsFor<'p, P>) -> Result<Vec<T>>
    where
        T: for<'row> FromRow<'row>,
    {
        conn.statement(self)?.query_all(params)
    }
}

impl<P, T> Clone for StatementKey<P, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, T> Copy for StatementKey<P, T> {}

impl<P, T> fmt::Debug for StatementKey<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatementKey").field(&self.place).finish()
    }
}

impl Connection {
    /// Prepares a statement, keeps it, and returns a key to it, for this connection alone. Equal SQL has the same key.
    ///
    /// SQL that is a literal needs no call: [`StatementKey::new`].
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare).
    ///
    /// # Example
    ///
    /// See [`StatementKey`].
    #[track_caller]
    pub fn store(&self, sql: &str) -> Result<StatementKey> {
        let slot = self.core().store(sql, Location::caller())?;
        Ok(StatementKey { place: Place::Slot { connection: self.db().id(), slot }, types: PhantomData })
    }

    /// Returns the statement of a key. Dropping it resets it, and gives it back to the key.
    ///
    /// A `PRAGMA` is prepared anew each time, because it may do its work while it is prepared.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare), if this connection uses the key for the first time;
    /// [`ErrorKind::Misuse`] for a key that [`store`](Self::store) of another connection has returned.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, StatementKey};
    ///
    /// static EVEN: StatementKey = StatementKey::new("SELECT value FROM json_each(?) WHERE value % 2 = 0");
    ///
    /// let conn = Connection::open_in_memory()?;
    /// let mut even = conn.statement(EVEN)?;
    /// assert_eq!(even.query_all::<i64>(("[1, 2, 3, 4]",))?, [2, 4]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn statement<P, T>(&self, key: StatementKey<P, T>) -> Result<Statement<'_>> {
        let slot = match key.place {
            Place::Of(sql) => self.core().stored().borrow_mut().slot_of(sql),
            Place::Slot { connection, slot } if connection == self.db().id() => slot,
            Place::Slot { .. } => return Err(of_another_connection()),
        };
        self.core().check_out_stored(slot, Location::caller()).map(Statement::new)
    }
}

#[cold]
fn of_another_connection() -> Error {
    Error::new(ErrorKind::Misuse { reason: "the statement key belongs to another connection" })
}

/// Parameters that a [`StatementKey`] with the parameter types `P` takes.
///
/// For a tuple of types, a tuple of values as [`ParamFor`] them; for a type of the program, a reference to a value that
/// implements [`Params`]; for [`AnyParams`](crate::AnyParams) and [`NamedParams`](crate::NamedParams), so many values of
/// any types.
#[diagnostic::on_unimplemented(
    message = "`{Self}` are not the parameters of a statement with the types `{P}`",
    label = "expected values of the types `{P}`",
    note = "text and bytes are `String` and `Vec<u8>` in the types of a key, and are passed as `&str` and `&[u8]`",
    note = "`AnyParams<N>` and `NamedParams<N>` stand for a tuple or an array of N values, whatever their types"
)]
pub trait ParamsFor<'p, P>: Params<'p> {}

impl<'p> ParamsFor<'p, ()> for () {}

impl<'p, P> ParamsFor<'p, P> for &'p P where &'p P: Params<'p> {}

/// A value for a parameter of the type `T`: one of that type, or a reference to one. `&str` for `String`, `&[u8]` for
/// `Vec<u8>`, and `Option` of either.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value for a parameter of the type `{T}`",
    label = "expected a value of the type `{T}`, or a reference to one"
)]
pub trait ParamFor<T>: ToSql {}

impl<T: ToSql> ParamFor<T> for T {}
impl<'p, T> ParamFor<T> for &'p T where &'p T: ToSql {}
impl<'p, T> ParamFor<Option<T>> for Option<&'p T> where Option<&'p T>: ToSql {}
impl ParamFor<String> for &str {}
impl ParamFor<Option<String>> for Option<&str> {}
impl ParamFor<Vec<u8>> for &[u8] {}
impl ParamFor<Option<Vec<u8>>> for Option<&[u8]> {}

/// Implements [`ParamsFor`] for tuples of one pair of types, of two, and so on.
macro_rules! tuples {
    ([$($types:ident)*]) => {};
    ([$($key:ident $value:ident)*] $next_key:ident $next_value:ident $($rest:ident)*) => {
        impl<'p, $($key, $value: ParamFor<$key> + 'p,)* $next_key, $next_value: ParamFor<$next_key> + 'p>
            ParamsFor<'p, ($($key,)* $next_key,)> for ($($value,)* $next_value,)
        {
        }
        tuples! { [$($key $value)* $next_key $next_value] $($rest)* }
    };
}

tuples! { [] KA A KB B KC C KD D KE E KF F KG G KH H KI I KJ J KK K KL L KM M KN N KO O KP P }

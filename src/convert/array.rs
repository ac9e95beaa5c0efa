//! [`array`]: a list of values as one parameter.

use std::fmt;

use super::{Param, ToSql};
use crate::value::{List, Value, Values};

/// A list of values to bind to one parameter. Created by [`array()`].
///
/// Passed by value, it is moved into the statement. Passed by reference, it is lent to the rows, and can be bound again
/// without an allocation.
pub struct Array<'p>(Box<List<'p>>);

/// Returns a list of values as one parameter, for `IN` and for joins.
///
/// In SQL, the table-valued function `list(?)` has a row for each value, in order, with the column `value`, and a
/// `rowid` that counts from 1. `rarray(?)` is the same function under the name that rusqlite uses.
///
/// Values: slices, arrays and `Vec` of `i32`, `u32`, `i64`, `u64`, `f64`, `&str`, `String`, `&[u8]`, `Vec<u8>` and
/// [`Value`], which may differ in type and be NULL. Those that are lent (`array(&ids)`) are not copied: SQLite reads them
/// in place, and the borrow lasts as long as the rows. A `Vec` that is passed by value is moved into the statement.
/// Binding allocates once, whatever the length of the list.
///
/// For `IN`, SQLite first sorts the list into a temporary index. A join reads it in place, which is faster; a value that
/// is in the list twice then gives its row twice.
///
/// SQLite reads the values as those of a column without affinity: in `id IN (SELECT value FROM list(?))`, the affinity of
/// `id` applies to them, as it does to the values of `IN (1, 2)`.
///
/// # Errors in SQL
///
/// A statement that passes anything but a list to `list` fails with
/// [`ErrorKind::FunctionArgument`](crate::ErrorKind::FunctionArgument): a number, a text, or NULL, which is what a list is
/// to the rest of SQL. (SQLite's `carray` is empty then; with `NOT IN`, a `DELETE` would delete every row.) A NaN, or a
/// `u64` beyond `i64::MAX`, is [`ErrorKind::FunctionResult`](crate::ErrorKind::FunctionResult).
///
/// Behind 16 other conditions on its columns, as in `WHERE value > ? AND ..`, `list` is an error, since SQLite would compare
/// it with itself. `+value > ?` is no such condition.
///
/// Views and triggers cannot use `list`, since no parameter reaches them. A table of the database that is named `list`
/// takes precedence; `rarray` is for such a database. A connection has these functions from the first SQL on that calls
/// them and would otherwise be an error. From then on, SQLite refuses `DROP TABLE IF EXISTS list` where no such table
/// exists.
///
/// # Example
///
/// ```
/// use finalite::{Connection, array};
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch(
///     "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT);
///      INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Edsger');",
/// )?;
/// let ids = vec![3_i64, 1];
/// let sql = "SELECT name FROM users WHERE id IN (SELECT value FROM list(?)) ORDER BY id";
/// assert_eq!(conn.query_all::<String>(sql, (array(&ids),))?, ["Ada", "Edsger"]);
///
/// // A join keeps the order of the list.
/// let sql = "SELECT name FROM list(?) l JOIN users ON id = l.value ORDER BY l.rowid";
/// assert_eq!(conn.query_all::<String>(sql, (array(&ids),))?, ["Edsger", "Ada"]);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// C: [sqlite3_bind_pointer](https://sqlite.org/c3ref/bind_blob.html),
/// [table-valued functions](https://sqlite.org/vtab.html#tabfunc2)
#[doc(alias("rarray", "carray", "list", "IN"))]
pub fn array<'p>(values: impl Into<Array<'p>>) -> Array<'p> {
    values.into()
}

impl Array<'_> {
    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shows the number of values, but not the values.
impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({} values)", self.len())
    }
}

impl ToSql for Array<'_> {
    #[inline]
    fn to_sql(&self) -> Param<'_> {
        Param::list(&self.0)
    }

    #[inline]
    fn into_param<'p>(self) -> Param<'p>
    where
        Self: 'p,
    {
        Param::owned_list(self.0)
    }
}

macro_rules! lists {
    ($(($($lifetime:lifetime)?) $item:ty => $variant:ident)+) => {
        $(
            impl<'p $(, $lifetime: 'p)?> From<&'p [$item]> for Array<'p> {
                fn from(values: &'p [$item]) -> Self {
                    Self(Box::new(List::$variant(Values::Lent(values))))
                }
            }

            impl<'p $(, $lifetime: 'p)?> From<&'p Vec<$item>> for Array<'p> {
                fn from(values: &'p Vec<$item>) -> Self {
                    Self::from(values.as_slice())
                }
            }

            impl<'p $(, $lifetime: 'p)?, const N: usize> From<&'p [$item; N]> for Array<'p> {
                fn from(values: &'p [$item; N]) -> Self {
                    Self::from(values.as_slice())
                }
            }

            impl<'p $(, $lifetime: 'p)?> From<Vec<$item>> for Array<'p> {
                fn from(values: Vec<$item>) -> Self {
                    Self(Box::new(List::$variant(Values::Owned(values))))
                }
            }
        )+
    };
}

lists! {
    () i32 => I32
    () u32 => U32
    () i64 => I64
    () u64 => U64
    () f64 => F64
    ('a) &'a str => Text
    () String => OwnedText
    ('a) &'a [u8] => Blob
    () Vec<u8> => OwnedBlob
    () Value => Value
}

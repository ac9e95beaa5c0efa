//! Statements that insert a struct: its fields are the columns.

use super::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::quote_identifier;
use crate::statement::params::{Binder, Params};
use crate::statement::to_columns::{ColumnNames, ToColumns, names_of};

impl Connection {
    /// Inserts a struct as a row: each field is the value of the column of its name. Returns the number of rows
    /// inserted: 1.
    ///
    /// The struct has `#[derive(Params)]` (feature `derive`). The table may be qualified by its database, `temp.users`.
    /// Names are quoted, and the statement is cached.
    ///
    /// # Errors
    ///
    /// The errors of [`prepare`](Self::prepare) and [`Statement::execute`](crate::Statement::execute): for a table or a
    /// column that does not exist, that of SQLite. [`ErrorKind::ParameterTwice`] for a struct of which two parts have
    /// the same column.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Params};
    ///
    /// #[derive(Params)]
    /// struct NewUser<'a> { name: &'a str, age: Option<i64> }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER)", ())?;
    /// conn.insert_into("users", &NewUser { name: "Ada", age: Some(36) })?;
    /// assert_eq!(conn.last_insert_rowid(), 1);
    /// assert_eq!(conn.query_one::<(i64, String, i64)>("SELECT * FROM users", ())?, (1, "Ada".into(), 36));
    /// # Ok::<(), finalite::Error>(())
    /// ```
    #[track_caller]
    #[doc(alias = "save")]
    pub fn insert_into<T: ToColumns>(&self, table: &str, row: &T) -> Result<usize> {
        self.write(table, None, row)
    }

    /// Inserts a struct as a row, as [`insert_into`](Self::insert_into) does, or updates the row that has the same
    /// values in the columns of `key`: all other columns are set to the fields of the struct. Returns the number of rows
    /// inserted or updated.
    ///
    /// `key` is the primary key, or the columns of a unique index. With an empty one, the row of any constraint that the
    /// insertion violates is updated.
    ///
    /// # Errors
    ///
    /// The errors of [`insert_into`](Self::insert_into); that of SQLite if `key` is no key of the table; and
    /// [`ErrorKind::Sqlite`](crate::ErrorKind::Sqlite) with the constraint if another one is violated.
    ///
    /// # Example
    ///
    /// ```
    /// use finalite::{Connection, Params};
    ///
    /// #[derive(Params)]
    /// struct Setting<'a> { name: &'a str, value: &'a str }
    ///
    /// let conn = Connection::open_in_memory()?;
    /// conn.execute("CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT)", ())?;
    /// conn.upsert("settings", &["name"], &Setting { name: "color", value: "red" })?;
    /// conn.upsert("settings", &["name"], &Setting { name: "color", value: "blue" })?;
    /// let all: Vec<(String, String)> = conn.query_all("SELECT * FROM settings", ())?;
    /// assert_eq!(all, [("color".into(), "blue".into())]);
    /// # Ok::<(), finalite::Error>(())
    /// ```
    ///
    /// C: [UPSERT](https://sqlite.org/lang_upsert.html)
    #[track_caller]
    #[doc(alias("insert or replace", "on conflict"))]
    pub fn upsert<T: ToColumns>(&self, table: &str, key: &[&str], row: &T) -> Result<usize> {
        self.write(table, Some(key), row)
    }

    /// Inserts or, with a key, updates. The texts of the last few statements are kept.
    #[inline]
    #[track_caller]
    fn write<T: ToColumns>(&self, table: &str, key: Option<&[&str]>, row: &T) -> Result<usize> {
        const KEPT_MAX: usize = 8;
        let mut writes = self.writes.take();
        let kept = writes.iter().position(|write| write.is_for::<T>(self, table, key));
        let place = match kept {
            Some(place) => place,
            None => {
                let new = self.build::<T>(table, key)?;
                if writes.len() == KEPT_MAX {
                    writes.remove(0);
                }
                writes.push(new);
                writes.len() - 1
            }
        };
        let result = self.execute(&writes[place].sql, Columns(row));
        self.writes.set(writes);
        result
    }

    #[cold]
    fn build<T: ToColumns>(&self, table: &str, key: Option<&[&str]>) -> Result<Write> {
        let names = names_of::<T>();
        let columns: Vec<String> = names.iter().map(|name| quote_identifier(name)).collect();
        let (quoted, marks) = (self.quoted_table(table), vec!["?"; T::COLUMNS].join(","));
        let mut sql = format!("INSERT INTO {quoted} ({}) VALUES ({marks})", columns.join(","));
        // SQLite would store one of the two values, and say nothing.
        let is_twice = |&at: &usize| names[..at].iter().any(|other| other.eq_ignore_ascii_case(&names[at]));
        if let Some(at) = (1..names.len()).find(is_twice) {
            let kind = ErrorKind::ParameterTwice { index: at + 1, name: Some(names[at].as_str().into()) };
            return Err(Error::new(kind).in_sql(&sql));
        }
        if let Some(key) = key {
            let target: Vec<String> = key.iter().map(|name| quote_identifier(name)).collect();
            let target = if key.is_empty() { String::new() } else { format!(" ({})", target.join(",")) };
            let is_key = |name: &str| key.iter().any(|key| key.eq_ignore_ascii_case(name));
            let others = names.iter().zip(&columns).filter(|(name, _)| !is_key(name));
            let others: Vec<String> = others.map(|(_, column)| format!("{column}=excluded.{column}")).collect();
            let action = if others.is_empty() { "NOTHING" } else { "UPDATE SET " };
            sql.push_str(&format!(" ON CONFLICT{target} DO {action}{}", others.join(",")));
        }
        Ok(Write {
            columns: columns_of::<T>(),
            table: table.into(),
            dot: self.dot(table),
            key: key.map(|key| key.iter().map(|&name| name.into()).collect()),
            sql,
        })
    }

    /// Returns the quoted name of a table, qualified by its database if that is given.
    pub(crate) fn quoted_table(&self, table: &str) -> String {
        match self.split_table(table) {
            (None, name) => quote_identifier(name),
            (Some(database), name) => format!("{}.{}", quote_identifier(database), quote_identifier(name)),
        }
    }

    /// Returns the name of the database, if that is given, and the name of the table.
    pub(crate) fn split_table<'t>(&self, table: &'t str) -> (Option<&'t str>, &'t str) {
        match self.dot(table) {
            None | Some(None) => (None, table),
            Some(Some(dot)) => (Some(&table[..dot]), &table[dot + 1..]),
        }
    }

    /// Returns the place of the dot behind the name of a database, if one is there now; `None` if there is no dot.
    fn dot(&self, table: &str) -> Option<Option<usize>> {
        if !table.as_bytes().contains(&b'.') {
            return None;
        }
        let mut dots = table.match_indices('.').map(|(dot, _)| dot);
        Some(dots.find(|&dot| self.is_readonly(&table[..dot]).is_some()))
    }
}

/// A statement that writes a struct.
pub(super) struct Write {
    /// See [`columns_of`].
    columns: usize,
    table: Box<str>,
    /// See [`Connection::dot`].
    dot: Option<Option<usize>>,
    /// Columns that identify the row to update.
    key: Option<Box<[Box<str>]>>,
    sql: String,
}

impl Write {
    #[inline]
    fn is_for<T: ToColumns>(&self, conn: &Connection, table: &str, key: Option<&[&str]>) -> bool {
        let is_key = || match (&self.key, key) {
            (None, None) => true,
            (Some(own), Some(key)) => own.iter().map(|name| &**name).eq(key.iter().copied()),
            _ => false,
        };
        self.columns == columns_of::<T>()
            && *self.table == *table
            && is_key()
            && (self.dot.is_none() || self.dot == conn.dot(table))
    }
}

/// Returns a number for the columns of a type: the address of the function that names them, which types share only if
/// it does the same for both.
#[inline]
fn columns_of<T: ToColumns>() -> usize {
    let names: fn(&mut ColumnNames) = T::names;
    names as usize
}

/// The columns of a struct as parameters by position.
struct Columns<'a, T>(&'a T);

impl<'p, T: ToColumns> Params<'p> for Columns<'p, T> {
    #[inline]
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.0.bind_all(binder)
    }
}

//! Statements that insert a struct: its fields are the columns.

use super::Connection;
use crate::error::Result;
use crate::sql::push_identifier;
use crate::statement::params::{Binder, Params};
use crate::statement::to_columns::{ColumnNames, ToColumns};

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
    /// column that does not exist, that of SQLite.
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
        let mut built = self.last_insert.take();
        if !built.inserts::<T>(table) {
            built = self.build::<T>(table, built.sql);
        }
        let result = self.execute(&built.sql, Columns(row));
        self.last_insert.set(built);
        result
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
        let mut sql = self.build::<T>(table, String::new()).sql;
        sql.push_str(" ON CONFLICT");
        if !key.is_empty() {
            sql.push('(');
            for name in key {
                push_identifier(&mut sql, name);
                sql.push(',');
            }
            sql.pop();
            sql.push(')');
        }
        sql.push_str(" DO UPDATE SET ");
        let update = sql.len();
        ColumnNames::assignments::<T>(&mut sql, key);
        if sql.len() == update {
            sql.truncate(update - "UPDATE SET ".len());
            sql.push_str("NOTHING");
        }
        self.execute(&sql, Columns(row))
    }

    /// Builds the statement that inserts a `T`, in the memory of `sql`.
    fn build<T: ToColumns>(&self, table: &str, mut sql: String) -> Built {
        const MARKS: &str = "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,";
        sql.clear();
        sql.push_str("INSERT INTO ");
        self.push_table(&mut sql, table);
        sql.push_str(" (");
        ColumnNames::list::<T>(&mut sql);
        sql.push_str(") VALUES (");
        let mut left = T::COLUMNS * 2;
        while left > MARKS.len() {
            sql.push_str(MARKS);
            left -= MARKS.len();
        }
        sql.push_str(&MARKS[..left.saturating_sub(1)]);
        sql.push(')');
        // Whether a part of the name is that of a database may change.
        let columns = if table.contains('.') { 0 } else { columns_of::<T>() };
        Built { columns, sql }
    }

    /// Returns the quoted name of a table, qualified by its database if that is given.
    pub(crate) fn quoted_table(&self, table: &str) -> String {
        let mut sql = String::new();
        self.push_table(&mut sql, table);
        sql
    }

    fn push_table(&self, sql: &mut String, table: &str) {
        match table.split_once('.') {
            Some((database, table)) if self.is_readonly(database).is_some() => {
                push_identifier(sql, database);
                sql.push('.');
                push_identifier(sql, table);
            }
            _ => push_identifier(sql, table),
        }
    }
}

/// Text of the last insertion of a connection, as most are repeated.
#[derive(Default)]
pub(super) struct Built {
    /// See [`columns_of`]; 0 if the text is not to be used again.
    columns: usize,
    sql: String,
}

impl Built {
    /// Whether it inserts a `T` into this table.
    #[inline]
    fn inserts<T: ToColumns>(&self, table: &str) -> bool {
        let end = || self.sql.strip_prefix("INSERT INTO \"")?.strip_prefix(table);
        self.columns == columns_of::<T>() && end().is_some_and(|end| end.starts_with("\" ("))
    }
}

/// Returns a number for the columns of a type: the address of the function that names them, which types share only if
/// it does the same for both.
#[inline]
fn columns_of<T: ToColumns>() -> usize {
    let names: fn(&mut ColumnNames<'_>) = T::names;
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

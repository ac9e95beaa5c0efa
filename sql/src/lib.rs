#![forbid(unsafe_code)]
//! SQL that is checked when the program is compiled, for [finalite](https://docs.rs/finalite), a SQLite driver.
//!
//! The macro [`sql!`] is all of it.

#![deny(missing_docs)]

use proc_macro::TokenStream;
use quote::quote;
use syn::parse_macro_input;

mod check;
mod expand;
mod input;
mod problem;
#[cfg(test)]
mod proof;
mod schema;
mod shape;
mod tokens;

use input::Input;
use problem::Problem;

/// Checks a statement against the schema of the program, and returns a [`StatementKey`] to it, which knows the number of
/// its parameters and the types of its columns. The connection prepares the statement once and keeps it.
///
/// No database is needed: SQLite, compiled into the macro, reads the schema into memory while the program is compiled.
/// Syntax errors, unknown names and wrong numbers of values are errors of the compiler, with the place in the SQL.
///
/// [`StatementKey`]: https://docs.rs/finalite/latest/finalite/struct.StatementKey.html
///
/// # Example
///
/// Beside `Cargo.toml`, the file `schema.sql`:
///
/// ```sql
/// CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, is_admin BOOLEAN NOT NULL DEFAULT FALSE);
/// ```
///
/// The program:
///
/// ```
/// use finalite::Connection;
/// use finalite_sql::sql;
///
/// let conn = Connection::open_in_memory()?;
/// # conn.execute_batch(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql")))?;
/// let ada = sql!("INSERT INTO users(name) VALUES (?) RETURNING id").query_one(&conn, ("Ada",))?;
///
/// let user = sql!("SELECT id, name, email FROM users WHERE id = ?").query_one(&conn, (ada,))?;
/// assert_eq!(user.name, "Ada"); // String, as the column is NOT NULL
/// assert_eq!(user.email, None); // Option<String>
///
/// let renamed = sql!("UPDATE users SET name = :name WHERE id = :id").execute(&conn, ("Countess of Lovelace", ada))?;
/// assert_eq!(renamed, 1);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// A wrong name is not compiled. The error says `no such column: nmae, at line 1, column 8 of the SQL` and `users has id,
/// name, email, is_admin`:
///
/// ```compile_fail
/// # use finalite_sql::sql;
/// # let conn = finalite::Connection::open_in_memory().unwrap();
/// let name = sql!("SELECT nmae FROM users").query_one(&conn, ());
/// ```
///
/// # Rows
///
/// | statement | rows |
/// |---|---|
/// | without columns | none; it is run by `execute` |
/// | of one column | the value of the column |
/// | of several | a struct, `Record`, with a public field for each, which is `Clone`, `Debug` and `PartialEq` |
/// | any, written `sql!(".." as User)` | `User`: a struct with `#[derive(FromRow)]`, a tuple |
///
/// The names of the columns are the names of the fields. An expression needs one: `count(*) AS posts`. Columns are found
/// by name: a program that runs on a database of another schema gets a typed error, no wrong values. The columns of
/// `User` are compared with its fields by the compiler, unless it has a field with `flatten` or reads rows in another way;
/// their types are compared when the statement is run.
///
/// # Types
///
/// | column of a table, declared as | type |
/// |---|---|
/// | `INTEGER`, `BIGINT`, all that SQLite stores as integers | `i64` |
/// | `TEXT`, `VARCHAR(20)`, all that it stores as text | `String` |
/// | `REAL`, `DOUBLE`, `FLOAT` | `f64` |
/// | `BLOB` | `Vec<u8>` |
/// | `BOOLEAN`, `BOOL` | `bool` |
/// | `DATETIME`, `DECIMAL`, anything else or nothing | the use decides |
///
/// The use decides about an expression, too: whatever the value is assigned to, as long as it implements `FromSql`. Where
/// nothing decides, the compiler asks for an annotation: `sql!("SELECT count(*) FROM users" as u32)`, or a type in the
/// name of the column.
///
/// ```
/// # use finalite::Connection;
/// # use finalite_sql::sql;
/// # let conn = Connection::open_in_memory()?;
/// # conn.execute_batch(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql")))?;
/// let users: u32 = sql!("SELECT count(*) FROM users").query_one(&conn, ())?;
/// assert_eq!(users, 0);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// **NULL.** A column is an `Option`, unless it cannot be NULL for certain: it is declared NOT NULL, or is the rowid
/// (`INTEGER PRIMARY KEY`), and the statement cannot add a NULL. One that can: a table on the right of a `LEFT JOIN`, also
/// within a view; `RIGHT JOIN` and `FULL JOIN`; an aggregate without `GROUP BY`, which has a row where the table has none;
/// a subquery in place of a value. In doubt, it is an `Option`. An expression is what the use makes of it: an `Option` if
/// it may be NULL, since NULL is otherwise an error of the call.
///
/// **Another type**, or certainty about NULL, is written into the name of the column, as for sqlx:
///
/// | name | type |
/// |---|---|
/// | `"n!"` | not an `Option` |
/// | `"n?"` | an `Option` |
/// | `"n: Uuid"`, `"n!: Uuid"`, `"n?: Uuid"` | this type |
/// | `"n: _"` | the use decides |
///
/// ```
/// # use finalite::{Connection, FromSql};
/// # use finalite_sql::sql;
/// #[derive(Clone, Debug, FromSql, PartialEq)]
/// struct UserId(i64);
///
/// # let conn = Connection::open_in_memory()?;
/// # conn.execute_batch(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql")))?;
/// # sql!("INSERT INTO users(name) VALUES ('Ada')").execute(&conn, ())?;
/// let all = sql!(
///     r#"SELECT users.id AS "id: UserId", name, count(posts.id) AS "posts: u32"
///        FROM users LEFT JOIN posts ON author = users.id
///        GROUP BY users.id"#
/// )
/// .query_all(&conn, ())?;
/// assert_eq!((all[0].id.clone(), all[0].posts), (UserId(1), 0));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Parameters
///
/// A tuple or an array, by position, of as many values as the statement has parameters; those with names are counted where
/// they first occur. If all have names, also `named_params! {..}` and a reference to a struct with `#[derive(Params)]`,
/// whose names are compared when the statement is run. SQLite does not know types of parameters: each takes any value that
/// implements `ToSql`.
///
/// # Schema
///
/// The file `schema.sql` beside `Cargo.toml`; if there is none, the folder `migrations/`, with the names of files that
/// `Migrations::from_files` reads. Any other, or one of both, is chosen in the macro, relative to `Cargo.toml`:
///
/// ```
/// # use finalite::Connection;
/// # use finalite_sql::sql;
/// # let conn = Connection::open_in_memory()?;
/// # conn.execute_batch(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql")))?;
/// let names = sql!(schema = "schema.sql", "SELECT name FROM users ORDER BY name").query_all(&conn, ())?;
/// assert!(names.is_empty());
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// A macro of the program's own chooses for all: `macro_rules! sql { ($($t:tt)*) => { finalite_sql::sql!(schema =
/// "db/schema.sql", $($t)*) } }`.
///
/// A file that changes compiles the program again. So that a file that is added to a folder does, the program has a
/// `build.rs` with the line `println!("cargo::rerun-if-changed=migrations");`.
///
/// The schema has to be complete: SQLite that reads it has no extensions and none of the program's functions. Steps of
/// migrations that are Rust functions are not run.
///
/// # Limits
///
/// A key keeps its statement: for SQL that is made at run time, or that calls a function of the program's own, there are
/// `Connection::query_one` and `StatementKey::new`. A `PRAGMA` is refused, because SQLite runs some while it prepares
/// them. Values in a table that is not `STRICT` may have another type than the column: a typed error when they are read.
#[proc_macro]
pub fn sql(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as Input);
    expansion(&input).into()
}

fn expansion(input: &Input) -> proc_macro2::TokenStream {
    let sql = input.sql.value();
    let chosen = input.schema.as_ref().map(syn::LitStr::value);
    let (files, expanded) = schema::with(chosen.as_deref(), |schema| {
        expand::expand(input, &check::check(schema, &sql, shape::Rules::default())?)
    });
    // The compiler notes that it has read them, so that a change compiles this again.
    let files: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let files = quote!(#(const _: &[::core::primitive::u8] = ::core::include_bytes!(#files);)*);
    let error = |problem: &Problem| syn::Error::new(input.sql.span(), problem.render(&sql)).into_compile_error();
    let value = expanded.unwrap_or_else(|problem| error(&problem));
    quote!({ #files #value })
}

#[cfg(test)]
mod tests {
    /// So that a file that changes compiles the program again, also if the statement is refused now.
    #[test]
    fn the_compiler_notes_which_files_were_read() {
        for sql in ["SELECT 1", "SELECT nowhere"] {
            let input = syn::parse_str(&format!("schema = \"tests/migrations\", \"{sql}\"")).unwrap();
            let expansion = super::expansion(&input).to_string().replace(' ', "");
            for file in ["0001_users.sql", "0001_users.down.sql", "0002_names.sql"] {
                let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrations").join(file);
                assert!(expansion.contains(&format!("include_bytes!({path:?})")), "{expansion}");
            }
        }
    }
}

/// Runs the programs of the README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

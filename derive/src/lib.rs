//! Derive macros of [finalite](https://docs.rs/finalite), which re-exports them by its feature `derive`.
//!
//! | derive | for | implements |
//! |---|---|---|
//! | [`FromRow`](macro@FromRow) | a struct of several columns | `FromRow` and `FromColumns`: reading rows |
//! | [`Params`](macro@Params) | a struct of several columns | `Params` and `ToColumns`: parameters, `insert_into`, `upsert` |
//! | [`FromSql`](macro@FromSql) | a newtype, an enum without fields | `FromSql`: reading a column |
//! | [`ToSql`](macro@ToSql) | a newtype, an enum without fields | `ToSql`: binding a parameter |
//!
//! # Attributes
//!
//! All four read `#[finalite(..)]`, so that one attribute holds for reading and for writing.
//!
//! | on a struct | effect |
//! |---|---|
//! | `rename_all = ".."` | the columns are the names of the fields in this case |
//! | `ignore_extra` | columns that no field reads are no error |
//! | `crate = path`, also on an enum | where finalite is, if another crate re-exports it or it has another name |
//!
//! | on a field | effect |
//! |---|---|
//! | `rename = ".."` | name of the column |
//! | `default`, `default = path` | if the row has no such column: `Default::default()`, or the result of a function |
//! | `skip` | no column; read as `Default::default()` |
//! | `flatten`, `prefix = ".."` | the columns of a struct of its own, whose names have the prefix; `Option` of one is `None` if all are NULL |
//! | `with = path` | converted by the functions `path::from_sql` and `path::to_sql` of a module or a type |
//! | `json` | a text of JSON: `finalite::convert::Json` (feature `serde_json`) |
//!
//! | on an enum or a variant | effect |
//! |---|---|
//! | `rename_all = ".."` | the texts are the names of the variants in this case |
//! | `rename = ".."` on a variant | its text |
//! | `text` | text in spite of `#[repr(u8)]` or another integer, which makes the enum an integer |
//!
//! The cases are `lowercase`, `UPPERCASE`, `PascalCase`, `camelCase`, `snake_case`, `SCREAMING_SNAKE_CASE` and
//! `kebab-case`.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod attributes;
mod case;
mod fields;
mod from_row;
mod params;
mod renamed;
mod value;

fn expand(input: TokenStream, derive: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let code = derive(&input).and_then(|code| renamed::renamed(code, &input));
    code.unwrap_or_else(|errors| errors.into_compile_error()).into()
}

/// Reads a row as a struct. Fields with names are columns by name, in any order; the fields of a tuple struct are columns
/// by position.
///
/// Names are compared without regard to ASCII case. They are looked up in the first row, and the result is kept with the
/// prepared statement until SQLite prepares that again, so that reading a row costs no more than `row.get(0)` by hand.
///
/// The derived implementation returns these errors, which name the column and contain the SQL:
///
/// - `ErrorKind::NoSuch`: the row has no column for a field.
/// - `ErrorKind::UnreadColumn`: no field reads a column; `ignore_extra` allows it.
/// - `ErrorKind::AmbiguousColumn`: two columns have the name of a field, as in `SELECT * FROM a JOIN b`.
/// - `ErrorKind::ColumnConversion`: a value does not fit its field.
///
/// # Example
///
/// ```
/// use finalite::{Connection, FromRow};
///
/// #[derive(Debug, FromRow, PartialEq)]
/// struct User { id: i64, name: String, age: Option<u8> }
///
/// let conn = Connection::open_in_memory()?;
/// let user: User = conn.query_one("SELECT 'Ada' AS name, 36 AS age, 1 AS id", ())?;
/// assert_eq!(user, User { id: 1, name: "Ada".into(), age: Some(36) });
///
/// let error = conn.query_one::<User>("SELECT 1 AS id, 'Ada' AS nmae, 36 AS age", ()).unwrap_err();
/// assert!(error.to_string().starts_with("no such column: name (there are id, nmae, age)"));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Example: borrowed from the row
///
/// A struct with a lifetime borrows text and bytes from SQLite's memory, until the next row. `query_all` cannot return
/// it; it is read row by row.
///
/// ```
/// use finalite::{Connection, FromRow};
///
/// #[derive(FromRow)]
/// struct Line<'row> { text: &'row str, number: i64 }
///
/// let conn = Connection::open_in_memory()?;
/// let mut statement = conn.prepare("SELECT 1 AS number, 'one' AS text UNION ALL SELECT 2, 'two'")?;
/// let mut rows = statement.query(())?;
/// let mut all = String::new();
/// while let Some(row) = rows.next()? {
///     let line = Line::from_row(row)?;
///     all += &format!("{}:{} ", line.number, line.text);
/// }
/// assert_eq!(all, "1:one 2:two ");
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Example: names
///
/// ```
/// use finalite::{Connection, FromRow};
///
/// #[derive(FromRow)]
/// #[finalite(rename_all = "camelCase", ignore_extra)]
/// struct Event {
///     created_at: i64,
///     #[finalite(rename = "type")]
///     kind: String,
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let event: Event = conn.query_one("SELECT 7 AS createdAt, 'click' AS type, 'unread' AS note", ())?;
/// assert_eq!((event.created_at, &*event.kind), (7, "click"));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Example: fields without a column
///
/// ```
/// use finalite::{Connection, FromRow};
///
/// fn anonymous() -> String { "anonymous".into() }
///
/// #[derive(FromRow)]
/// struct User {
///     #[finalite(default)]
///     age: u8,
///     #[finalite(default = anonymous)]
///     name: String,
///     #[finalite(skip)]
///     cache: Vec<u8>,
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let user: User = conn.query_one("SELECT 36 AS age", ())?;
/// assert_eq!((user.age, &*user.name, user.cache.len()), (36, "anonymous", 0));
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Example: joins
///
/// ```
/// use finalite::{Connection, FromRow};
///
/// #[derive(Debug, FromRow, PartialEq)]
/// struct User { id: i64, name: String }
///
/// #[derive(Debug, FromRow, PartialEq)]
/// struct Post {
///     title: String,
///     #[finalite(flatten, prefix = "author_")]
///     author: User,
///     #[finalite(flatten, prefix = "editor_")]
///     editor: Option<User>,
/// }
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch(
///     "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
///      CREATE TABLE posts(title TEXT NOT NULL, author INTEGER NOT NULL, editor INTEGER);
///      INSERT INTO users VALUES (1, 'Ada');
///      INSERT INTO posts VALUES ('Notes', 1, NULL);",
/// )?;
/// let post: Post = conn.query_one(
///     "SELECT title, a.id AS author_id, a.name AS author_name, e.id AS editor_id, e.name AS editor_name
///      FROM posts JOIN users a ON a.id = author LEFT JOIN users e ON e.id = editor",
///     (),
/// )?;
/// assert_eq!(post.author, User { id: 1, name: "Ada".into() });
/// assert_eq!(post.editor, None);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Example: conversions
///
/// ```
/// use std::time::Duration;
/// use finalite::{Connection, ConversionError, FromRow, Param, Params, ValueRef};
///
/// /// Durations as seconds.
/// mod seconds {
///     # use super::*;
///     pub fn from_sql(value: ValueRef<'_>) -> Result<Duration, ConversionError> {
///         let seconds = u64::try_from(value.as_i64()?);
///         seconds.map(Duration::from_secs).map_err(|_| ConversionError::out_of_range("Duration"))
///     }
///
///     pub fn to_sql(duration: &Duration) -> Param<'_> {
///         Param::integer(duration.as_secs() as i64)
///     }
/// }
/// # fn main() -> finalite::Result<()> {
/// #[derive(FromRow, Params)]
/// struct Job {
///     #[finalite(with = seconds)]
///     timeout: Duration,
/// }
///
/// let conn = Connection::open_in_memory()?;
/// let job: Job = conn.query_one("SELECT :timeout AS timeout", &Job { timeout: Duration::from_secs(5) })?;
/// assert_eq!(job.timeout, Duration::from_secs(5));
/// # Ok(())
/// # }
/// ```
///
/// # Example: by position, and generic
///
/// ```
/// use finalite::{Connection, FromRow};
///
/// #[derive(FromRow)]
/// struct Pair<A, B>(A, B);
///
/// let conn = Connection::open_in_memory()?;
/// let Pair(number, text) = conn.query_one::<Pair<i64, String>>("SELECT 1, 'one'", ())?;
/// assert_eq!((number, &*text), (1, "one"));
/// # Ok::<(), finalite::Error>(())
/// ```
#[proc_macro_derive(FromRow, attributes(finalite))]
pub fn derive_from_row(input: TokenStream) -> TokenStream {
    expand(input, from_row::derive)
}

/// Binds a struct as parameters, and makes it a row for `Connection::insert_into` and `Connection::upsert`.
///
/// `Params` is implemented for a reference to the struct, whose text and bytes SQLite then reads in place:
/// `conn.execute(sql, &user)`. If the first parameter of the SQL has a name (`:id`, `@id` or `$id`), each parameter is
/// bound to the field of its name, as often as it occurs; a parameter without a field is `ErrorKind::ParameterUnset`, and
/// a field without a parameter is not bound. Otherwise (`?`), the fields are bound in order, those of parts (`flatten`)
/// behind the others, and their number has to be that of the parameters. The fields of a tuple struct are always bound in
/// order. If two parts have a field of the same name, the first is bound by that name, and `insert_into` is an error.
///
/// # Example
///
/// ```
/// use finalite::{Connection, FromRow, Params};
///
/// #[derive(Debug, FromRow, Params, PartialEq)]
/// struct User { id: i64, name: String }
///
/// let conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL)", ())?;
/// let mut ada = User { id: 1, name: "Ada".into() };
/// conn.insert_into("users", &ada)?;
/// ada.name = "Countess of Lovelace".into();
/// assert_eq!(conn.execute("UPDATE users SET name = :name WHERE id = :id", &ada)?, 1);
/// assert_eq!(conn.query_all::<User>("SELECT * FROM users", ())?, [ada]);
/// # Ok::<(), finalite::Error>(())
/// ```
///
/// # Example: many rows
///
/// ```
/// use finalite::{Connection, Params};
///
/// #[derive(Params)]
/// struct Point<'a> { x: i64, label: &'a str }
///
/// let mut conn = Connection::open_in_memory()?;
/// conn.execute("CREATE TABLE points(x INTEGER, label TEXT)", ())?;
/// let points = [Point { x: 1, label: "a" }, Point { x: 2, label: "b" }];
/// let tx = conn.transaction()?;
/// tx.prepare_cached("INSERT INTO points VALUES (?, ?)")?.execute_many(&points)?;
/// tx.commit()?;
/// assert_eq!(conn.query_one::<i64>("SELECT sum(x) FROM points", ())?, 3);
/// # Ok::<(), finalite::Error>(())
/// ```
#[proc_macro_derive(Params, attributes(finalite))]
pub fn derive_params(input: TokenStream) -> TokenStream {
    expand(input, params::derive)
}

/// Reads a column as a struct with one field, or as an enum without fields.
///
/// An enum is a TEXT, the name of its variant; with `#[repr(u8)]` or another integer it is an INTEGER, its discriminant. A
/// value that is none of the variants' is a `ConversionError`. A type that derives `FromSql` is also a row of one column,
/// and cannot derive `FromRow`.
///
/// # Example
///
/// ```
/// use finalite::{Connection, FromSql, ToSql};
///
/// #[derive(Debug, FromSql, PartialEq, ToSql)]
/// struct UserId(i64);
///
/// #[derive(Debug, FromSql, PartialEq, ToSql)]
/// #[finalite(rename_all = "snake_case")]
/// enum Status {
///     Open,
///     InProgress,
///     #[finalite(rename = "closed")]
///     Done,
/// }
///
/// #[derive(Debug, FromSql, PartialEq, ToSql)]
/// #[repr(u8)]
/// enum Priority { Low = 1, High = 9 }
///
/// let conn = Connection::open_in_memory()?;
/// let row = (UserId(7), Status::InProgress, Priority::High);
/// let stored: (i64, String, i64) = conn.query_one("SELECT ?, ?, ?", (&row.0, &row.1, &row.2))?;
/// assert_eq!(stored, (7, "in_progress".into(), 9));
/// assert_eq!(conn.query_one::<(UserId, Status, Priority)>("SELECT 7, 'in_progress', 9", ())?, row);
///
/// let error = conn.query_one::<Status>("SELECT 'lost' AS status", ()).unwrap_err();
/// let message = "column 0 (status), TEXT: not one of open, in_progress, closed (Status)";
/// assert!(error.to_string().starts_with(message));
/// # Ok::<(), finalite::Error>(())
/// ```
#[proc_macro_derive(FromSql, attributes(finalite))]
pub fn derive_from_sql(input: TokenStream) -> TokenStream {
    expand(input, value::derive_from_sql)
}

/// Binds a struct with one field, or an enum without fields, as what [`FromSql`](macro@FromSql) reads.
///
/// # Example
///
/// ```
/// use finalite::{Connection, ToSql};
///
/// #[derive(ToSql)]
/// struct Name<'a>(&'a str);
///
/// #[derive(ToSql)]
/// #[repr(i8)]
/// #[finalite(text)]
/// enum Sign { Minus = -1, Plus = 1 }
///
/// let conn = Connection::open_in_memory()?;
/// let stored: (String, String, String) =
///     conn.query_one("SELECT ?, ?, ?", (Name("Ada"), Sign::Minus, Sign::Plus))?;
/// assert_eq!(stored, ("Ada".into(), "Minus".into(), "Plus".into()));
/// # Ok::<(), finalite::Error>(())
/// ```
#[proc_macro_derive(ToSql, attributes(finalite))]
pub fn derive_to_sql(input: TokenStream) -> TokenStream {
    expand(input, value::derive_to_sql)
}

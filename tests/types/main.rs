//! Types of std and of other crates as values: formats, what SQLite makes of them, what other drivers wrote.

#[cfg(feature = "chrono")]
mod chrono;
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "rust_decimal")]
mod decimal;
#[cfg(feature = "jiff")]
mod jiff;
#[cfg(feature = "serde_json")]
mod json;
#[cfg(feature = "serde_json")]
mod jsonb;
mod moments;
mod std_types;
#[cfg(feature = "time")]
mod time;
#[cfg(feature = "url")]
mod url;
#[cfg(feature = "uuid")]
mod uuid;

use std::fmt::Debug;

use finalite::extend::FunctionArgument;
use finalite::{Connection, ErrorKind, FromSql, ToSql, Value};

/// What SQLite holds for a value that was bound.
fn stored(value: impl ToSql) -> Value {
    Connection::open_in_memory().unwrap().query_one("SELECT ?", (value,)).unwrap()
}

fn text(value: impl ToSql) -> String {
    match stored(value) {
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

/// Reads what is stored as another type.
fn read<T: for<'row> FromSql<'row>>(stored: impl ToSql) -> T {
    try_read(stored).unwrap()
}

fn try_read<T: for<'row> FromSql<'row>>(stored: impl ToSql) -> finalite::Result<T> {
    Connection::open_in_memory().unwrap().query_one("SELECT ? AS cell", (stored,))
}

/// Why the value is not read. The error names the column.
fn unread<T: for<'row> FromSql<'row> + Debug>(stored: impl ToSql) -> String {
    let error = try_read::<T>(stored).unwrap_err();
    let ErrorKind::ColumnConversion { column: 0, name, problem, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(&**name, "cell");
    problem.to_string()
}

/// Why the value is not bound. The error names the parameter.
fn unbound(value: impl ToSql) -> String {
    let conn = Connection::open_in_memory().unwrap();
    let error = conn.query_one::<Value>("SELECT ?, :cell", (1, value)).unwrap_err();
    let ErrorKind::ParameterConversion { index: 2, name: Some(name), problem, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(&**name, ":cell");
    problem.to_string()
}

/// An SQL function takes the type as its argument and returns it.
fn passes_through_a_function<T>(value: T)
where
    T: FunctionArgument + ToSql + PartialEq + Debug + 'static,
{
    let conn = Connection::open_in_memory().unwrap();
    conn.create_scalar_function("same", |value: T| value).unwrap();
    let (same, direct) = conn.query_one::<(T, T)>("SELECT same(?1), ?1", (&value,)).unwrap();
    assert_eq!((&same, &direct), (&value, &value));
    let error = conn.query_one::<Value>("SELECT same(NULL)", ()).unwrap_err();
    assert!(error.to_string().contains("argument 1"), "{error}");
}

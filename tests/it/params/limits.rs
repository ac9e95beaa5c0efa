//! Where SQLite's limits are.

use super::*;

/// Some builds of SQLite take more parameters than its default.
fn open_with_default_limit() -> Connection {
    let conn = open();
    set_limit(&conn, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766);
    conn
}

fn rows_of_marks(count: usize) -> String {
    format!("SELECT sum(column1) FROM (VALUES {})", vec!["(?)"; count].join(","))
}

#[test]
fn as_many_parameters_as_sqlite_takes() {
    const MOST: i64 = 32_766;
    let conn = open_with_default_limit();
    let sql = rows_of_marks(32_766);
    assert_eq!(conn.query_one::<i64>(&sql, params_from_iter(1..=MOST)).unwrap(), MOST * (MOST + 1) / 2);
    let values: Vec<i64> = (1..=MOST).collect();
    assert_eq!(conn.query_one::<i64>(&sql, values.as_slice()).unwrap(), MOST * (MOST + 1) / 2);
    assert_count(&conn.execute(&sql, &values[1..]).unwrap_err(), 32_766, 32_765);
    assert_count(&conn.execute(&sql, params_from_iter(0..)).unwrap_err(), 32_766, 32_767);
}

#[test]
fn one_parameter_more() {
    let conn = open_with_default_limit();
    let error = conn.prepare(&rows_of_marks(32_767)).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::ERROR));
    let text = error.to_string();
    assert!(text.starts_with("too many SQL variables: this connection takes 32766 "), "{text}");
    assert!(text.contains("`finalite::array`") && text.contains("`list(?)`"), "{text}");
    assert!(matches!(error.kind(), finalite::ErrorKind::TooManyParameters { max: 32_766, .. }), "{error:?}");
    assert!(text.len() < 500, "not all of the SQL: {} bytes", text.len());
    // In a script, too, and what the message advises works.
    set_limit(&conn, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 3);
    let error = conn.execute_batch("SELECT 1; SELECT ?, ?, ?, ?").unwrap_err();
    assert!(matches!(error.kind(), finalite::ErrorKind::TooManyParameters { max: 3, .. }), "{error:?}");
    let sum = "SELECT sum(value) FROM list(?)";
    assert_eq!(conn.query_one::<i64>(sum, (finalite::array(&[1_i64, 2, 3, 4, 5]),)).unwrap(), 15);
    set_limit(&conn, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766);
    let error = conn.prepare("SELECT ?32767").unwrap_err();
    assert!(error.to_string().starts_with("variable number must be between ?1 and ?32766"), "{error}");
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

#[test]
fn the_last_parameter_by_name() {
    let conn = open_with_default_limit();
    // The numbers before it are not in the SQL.
    assert_eq!(conn.query_one::<i64>("SELECT ?32766", named_params! { "?32766": 1 }).unwrap(), 1);
    let error = conn.execute("SELECT ?, ?32766", named_params! { "?32766": 1 }).unwrap_err();
    assert_unset(&error, 1, None);
    let values: Vec<i64> = (1..=32_766).collect();
    assert_eq!(conn.query_one::<i64>("SELECT ?32766", values.as_slice()).unwrap(), 32_766);
}

#[test]
fn a_row_of_2000_columns() {
    let conn = open();
    let columns: Vec<String> = (0..2000).map(|n| format!("? AS c{n}")).collect();
    let mut statement = conn.prepare(&format!("SELECT {}", columns.join(", "))).unwrap();
    assert_eq!(statement.column_count(), 2000);
    let last = statement.column("c1999").unwrap();
    let mut rows = statement.query(params_from_iter(0..2000)).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.column_count(), 2000);
    for n in 0..2000 {
        assert_eq!(row.get::<usize>(n).unwrap(), n);
        assert_eq!(row.column_name(n).unwrap(), format!("c{n}"));
    }
    for n in [0, 1000, 1999] {
        assert_eq!(row.get::<usize>(&*format!("C{n}")).unwrap(), n);
    }
    assert_eq!(row.get::<usize>(last).unwrap(), 1999);
    assert!(matches!(row.get::<usize>(2000).unwrap_err().kind(), ErrorKind::NoSuch { .. }));
    drop(rows);
    let error = conn.prepare(&format!("SELECT {}, 0", columns.join(", "))).unwrap_err();
    assert!(error.to_string().starts_with("too many columns in result set"), "{error}");
}

fn assert_too_big(error: &Error) {
    assert_eq!(error.code(), Some(ResultCode::TOOBIG), "{error:?}");
    assert!(error.to_string().contains("too big"), "{error}");
    assert!(error.sql().is_some(), "{error:?}");
}

/// None of these is ever allocated.
#[test]
fn blobs_of_zeroes_beyond_the_limit() {
    let conn = open();
    let mut statement = conn.prepare("SELECT length(?)").unwrap();
    for bytes in [1_000_000_001, (1 << 31) - 1, 1 << 31, (1 << 32) + 1, 3_000_000_000, u64::MAX >> 1, u64::MAX] {
        let error = statement.query_one::<i64>((ZeroBlob(bytes),)).unwrap_err();
        assert_too_big(&error);
        assert_eq!(statement.query_one::<i64>(("four",)).unwrap(), 4);
    }
    assert_eq!(statement.query_one::<i64>((ZeroBlob(1_000_000_000),)).unwrap(), 1_000_000_000);
}

#[test]
fn values_beyond_the_limit_while_running() {
    let conn = open();
    assert_too_big(&conn.query_one::<i64>("SELECT zeroblob(3000000000)", ()).unwrap_err());
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

/// The limit is lowered, so that text and bytes beyond it are small.
#[test]
fn text_and_bytes_beyond_the_limit() {
    let conn = open();
    set_limit(&conn, ffi::SQLITE_LIMIT_LENGTH, 1000);
    let mut statement = conn.prepare("SELECT length(?), length(?)").unwrap();
    let (fits, text) = ("x".repeat(1000), "x".repeat(1001));
    let bytes = text.as_bytes();
    assert_eq!(statement.query_one::<(i64, i64)>((&fits, fits.as_bytes())).unwrap(), (1000, 1000));
    assert_too_big(&statement.query_one::<(i64, i64)>(("before", &text)).unwrap_err());
    assert_too_big(&statement.query_one::<(i64, i64)>(("before", text.clone())).unwrap_err());
    assert_too_big(&statement.query_one::<(i64, i64)>(("before", bytes)).unwrap_err());
    assert_too_big(&statement.query_one::<(i64, i64)>(("before", bytes.to_vec())).unwrap_err());
    assert_too_big(&statement.query_one::<(i64, i64)>(("before", ZeroBlob(1001))).unwrap_err());
    assert_eq!(bound_now(&conn), "SELECT length(NULL), length(NULL)");
    assert_eq!(statement.query_one::<(i64, i64)>(("one", "three")).unwrap(), (3, 5));
}

/// The message is SQLite's for this call, not what an earlier one left.
#[test]
fn too_big_after_another_error() {
    let conn = open();
    conn.prepare("SELECT nothing").unwrap_err();
    let error = conn.execute("SELECT ?", (ZeroBlob(u64::MAX),)).unwrap_err();
    assert_too_big(&error);
    assert!(!error.to_string().contains("nothing"), "{error}");
    assert_eq!(error.position(), None);
}

#[test]
fn expanded_sql_beyond_the_limit_is_an_error() {
    let conn = open();
    set_limit(&conn, ffi::SQLITE_LIMIT_LENGTH, 1000);
    let mut statement = conn.prepare("SELECT ?1, ?1").unwrap();
    let text = "x".repeat(900);
    // SQLite returns NULL for both.
    let error = statement.expanded_sql((&text,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{error:?}");
    assert_eq!(&*statement.expanded_sql(("short",)).unwrap(), "SELECT 'short', 'short'");
}

#[test]
fn text_with_nul_goes_in_and_comes_out() {
    let conn = open();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    for text in ["a\0b", "\0", "\0\0a", "a\0"] {
        conn.execute("DELETE FROM t", ()).unwrap();
        conn.execute("INSERT INTO t VALUES (?)", (text,)).unwrap();
        let (read, kind): (String, String) = conn.query_one("SELECT a, typeof(a) FROM t", ()).unwrap();
        assert_eq!((&*read, &*kind), (text, "text"));
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE a = ?", (text.to_owned(),)).unwrap(), 1);
        assert_eq!(conn.query_one::<usize>("SELECT octet_length(a) FROM t", ()).unwrap(), text.len());
    }
}

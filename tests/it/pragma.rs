//! Pragmas: typed, quoted, and checked after they are set.

use finalite::{Connection, ErrorKind};

#[test]
fn a_setting_that_takes_is_ok_in_every_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.set_pragma("auto_vacuum", "incremental").unwrap();
    conn.set_pragma("journal_mode", "WAL").unwrap();
    conn.set_pragma("main.journal_mode", "delete").unwrap();
    conn.set_pragma("synchronous", "NORMAL").unwrap();
    conn.set_pragma("synchronous", 2).unwrap();
    conn.set_pragma("synchronous", "extra").unwrap();
    conn.set_pragma("foreign_keys", "off").unwrap();
    conn.set_pragma("foreign_keys", true).unwrap();
    conn.set_pragma("foreign_keys", "yes").unwrap();
    conn.set_pragma("cache_size", -1234).unwrap();
    conn.set_pragma("cache_size", "500").unwrap();
    conn.set_pragma("temp_store", "memory").unwrap();
    conn.set_pragma("secure_delete", "fast").unwrap();
    conn.set_pragma("user_version", 42_u32).unwrap();
    conn.set_pragma("locking_mode", String::from("exclusive")).unwrap();
    conn.set_pragma("case_sensitive_like", true).unwrap();
    assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 42);
    assert_eq!(conn.pragma::<String>("main.journal_mode").unwrap(), "delete");
}

#[test]
fn an_encoding_named_without_byte_order_takes() {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_pragma("encoding", "UTF-16").unwrap();
    assert!(conn.pragma::<String>("encoding").unwrap().starts_with("UTF-16"));
}

#[test]
fn a_setting_that_sqlite_ignores_is_an_error() {
    let mut conn = Connection::open_in_memory().unwrap();
    let effective = |error: finalite::Error| match error.kind() {
        ErrorKind::Pragma { effective, .. } => effective.as_deref().map(str::to_owned),
        _ => panic!("{error:?}"),
    };
    assert_eq!(effective(conn.set_pragma("journal_mode", "wal").unwrap_err()).as_deref(), Some("memory"));
    assert_eq!(effective(conn.set_pragma("no_such_pragma", 1).unwrap_err()), None);
    assert!(effective(conn.set_pragma("synchronous", "sometimes").unwrap_err()).is_some());
    let tx = conn.transaction().unwrap();
    assert_eq!(effective(tx.set_pragma("foreign_keys", false).unwrap_err()).as_deref(), Some("1"));
}

#[test]
fn names_and_values_are_quoted() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    for name in ["user_version; DROP TABLE t; --", "x\"; DROP TABLE t; --", "main.x\"; DROP TABLE t"] {
        assert!(conn.set_pragma(name, 1).is_err(), "{name}");
        assert!(conn.pragma::<i64>(name).is_err(), "{name}");
    }
    assert!(conn.set_pragma("journal_mode", "off'; DROP TABLE t; --").is_err());
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn reading_an_unknown_or_a_wrong_typed_pragma_is_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(matches!(conn.pragma::<i64>("no_such_pragma").unwrap_err().kind(), ErrorKind::NoSuch { .. }));
    assert!(matches!(conn.pragma::<i64>("encoding").unwrap_err().kind(), ErrorKind::Column { .. }));
    assert!(matches!(conn.pragma::<i64>("compile_options").unwrap_err().kind(), ErrorKind::Column { .. }));
    assert!(matches!(conn.pragma::<String>("compile_options").unwrap_err().kind(), ErrorKind::Rows { found: 2, .. }));
}

#[test]
fn pragmas_are_not_cached() {
    let conn = Connection::open_in_memory().unwrap();
    conn.pragma::<i64>("user_version").unwrap();
    conn.execute(" /* x */ PRAGMA user_version = 3", ()).unwrap();
    assert_eq!(conn.statement_cache_stats().statements, 0);
    assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 3);
}

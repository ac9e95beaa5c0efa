//! Pragmas: typed, quoted, and checked after they are set.

use std::time::Duration;

use finalite::{Connection, ErrorKind, OpenOptions, PragmaValue};

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
fn an_encoding_takes_under_each_of_its_names() {
    for (name, effective) in [
        ("UTF-16", "UTF-16"),
        ("utf16", "UTF-16"),
        ("UTF16be", "UTF-16be"),
        ("UTF16LE", "UTF-16le"),
        ("utf-16be", "UTF-16be"),
        ("UTF8", "UTF-8"),
    ] {
        let conn = OpenOptions::new().pragma("encoding", name).open_in_memory().unwrap();
        let encoding: String = conn.pragma("encoding").unwrap();
        assert!(encoding.starts_with(effective), "{name}: {encoding}");
    }
    // One that is there already stays, and is not what was asked for.
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert_eq!(
        conn.set_pragma("encoding", "UTF16").unwrap_err().kind().to_string(),
        "PRAGMA encoding is UTF-8, not UTF16"
    );
}

#[test]
fn a_number_that_sqlite_keeps_as_another_has_taken() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    let kept: [(&str, PragmaValue, i64); 19] = [
        ("foreign_keys", 7.into(), 1),
        ("recursive_triggers", "on".into(), 1),
        ("writable_schema", "reset".into(), 0),
        ("cache_spill", false.into(), 0),
        ("cache_spill", true.into(), conn.pragma("cache_spill").unwrap()),
        ("cache_spill", "on".into(), conn.pragma("cache_spill").unwrap()),
        ("cache_spill", 100.into(), conn.pragma("cache_spill").unwrap()),
        ("cache_spill", 100_000.into(), 100_000),
        ("wal_autocheckpoint", 7.into(), 7),
        ("wal_autocheckpoint", (-1).into(), 0),
        ("wal_autocheckpoint", (-1).into(), 0),
        ("journal_size_limit", (-5).into(), -1),
        ("busy_timeout", (-1).into(), 0),
        ("default_cache_size", (-500).into(), 500),
        ("user_version", "0x10".into(), 16),
        ("mmap_size", (-1).into(), 0),
        ("secure_delete", "fast".into(), 2),
        ("secure_delete", 7.into(), 1),
        ("synchronous", "normal".into(), 1),
    ];
    for (name, value, effective) in kept {
        conn.set_pragma(name, value.clone()).unwrap_or_else(|error| panic!("{name} = {value}: {error}"));
        assert_eq!(conn.pragma::<i64>(name).unwrap(), effective, "{name} = {value}");
    }
    for name in ["mmap_size", "threads"] {
        conn.set_pragma(name, i64::from(i32::MAX) << 10 | 1000).unwrap();
        assert!((1..i64::from(i32::MAX)).contains(&conn.pragma(name).unwrap()), "{name}");
    }
    // The empty text is for the system's own, which reads back as nothing.
    conn.set_pragma("temp_store_directory", "").unwrap();
    assert!(conn.set_pragma("temp_store_directory", "/no/where").is_err());
    // Not these: what SQLite makes of them is not what was meant.
    for (name, value) in [
        ("foreign_keys", -1_i64),
        ("threads", -1),
        ("analysis_limit", -1),
        ("page_size", 1000),
        ("secure_delete", 2),
        ("secure_delete", -1),
        ("synchronous", 7),
        ("user_version", 1 << 40),
        ("data_version", 100),
    ] {
        assert!(conn.set_pragma(name, value).is_err(), "{name} = {value}");
    }
}

#[test]
fn a_pragma_that_does_something_is_done_once_and_not_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let options = OpenOptions::new().pragma("auto_vacuum", "incremental").pragma("journal_mode", "wal");
    let conn = options.open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000)); DELETE FROM t").unwrap();
    let log = dir.path().join("a.db-wal");
    assert!(log.metadata().unwrap().len() > 0);
    conn.set_pragma("wal_checkpoint", "truncate").unwrap();
    assert_eq!(log.metadata().unwrap().len(), 0);
    // With nothing to do, and on a database without a log.
    conn.set_pragma("main.wal_checkpoint", "TRUNCATE").unwrap();
    Connection::open_in_memory().unwrap().set_pragma("wal_checkpoint", "full").unwrap();
    let free: i64 = conn.pragma("freelist_count").unwrap();
    conn.set_pragma("incremental_vacuum", 5).unwrap();
    assert_eq!(conn.pragma::<i64>("freelist_count").unwrap(), free - 5);
    conn.set_pragma("optimize", 0x1_0002).unwrap();
    conn.set_pragma("shrink_memory", true).unwrap();
}

#[test]
fn a_checkpoint_that_a_reader_keeps_from_its_end_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::recommended().busy_timeout(Duration::ZERO);
    let (conn, reader) =
        (options.open(dir.path().join("a.db")).unwrap(), options.open(dir.path().join("a.db")).unwrap());
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let mut statement = reader.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    let error = conn.set_pragma("wal_checkpoint", "truncate").unwrap_err();
    assert!(error.is_busy() && error.to_string().contains("a.db"), "{error}");
    drop(rows);
    conn.set_pragma("wal_checkpoint", "truncate").unwrap();
}

#[test]
fn a_pragma_that_asks_sets_nothing() {
    let conn = Connection::open_in_memory().unwrap();
    for (name, value) in [("integrity_check", "t"), ("table_info", "t"), ("main.TABLE_LIST", "t")] {
        let error = conn.set_pragma(name, value).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{name}: {error}");
    }
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
    let says = |name| conn.set_pragma(name, 1 << 20).unwrap_err().kind().to_string();
    assert_eq!(says("mmap_size"), "PRAGMA mmap_size reads back nothing: it is not for this database");
    assert_eq!(says("main.MMAP_SIZE"), "PRAGMA main.MMAP_SIZE reads back nothing: it is not for this database");
    assert_eq!(says("mmap_sise"), "PRAGMA mmap_sise reads back nothing: this SQLite does not know it");
    assert!(effective(conn.set_pragma("synchronous", "sometimes").unwrap_err()).is_some());
    let tx = conn.transaction().unwrap();
    assert_eq!(effective(tx.set_pragma("foreign_keys", false).unwrap_err()).as_deref(), Some("1"));
}

#[test]
fn numbers_without_a_sign_are_exact() {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_pragma("user_version", [1, 2, 3].len()).unwrap();
    assert_eq!(conn.pragma::<usize>("user_version").unwrap(), 3);
    conn.set_pragma("cache_size", 4000_u64).unwrap();
    assert_eq!(conn.pragma::<i64>("cache_size").unwrap(), 4000);
    let (version, store) = (&4, &"memory");
    conn.set_pragma("user_version", version).unwrap();
    conn.set_pragma("temp_store", store).unwrap();
    assert_eq!(conn.pragma::<(i64,)>("user_version").unwrap(), (4,));
    // As a number it would wrap, or be a REAL.
    let error = conn.set_pragma("user_version", u64::MAX).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Pragma { .. }), "{error:?}");
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
    assert!(matches!(conn.pragma::<i64>("encoding").unwrap_err().kind(), ErrorKind::ColumnConversion { .. }));
    assert!(matches!(conn.pragma::<i64>("compile_options").unwrap_err().kind(), ErrorKind::ColumnConversion { .. }));
    assert!(matches!(
        conn.pragma::<String>("compile_options").unwrap_err().kind(),
        ErrorKind::RowCount { found: 2, .. }
    ));
}

#[test]
fn pragmas_are_not_cached() {
    let conn = Connection::open_in_memory().unwrap();
    conn.pragma::<i64>("user_version").unwrap();
    conn.execute(" /* x */ PRAGMA user_version = 3", ()).unwrap();
    assert_eq!(conn.statement_cache_stats().statements, 0);
    assert_eq!(conn.pragma::<i64>("user_version").unwrap(), 3);
}

//! Properties of database files, by the name of the database.

use std::time::Duration;

use finalite::pool::{DestroyReason, Pool};
use finalite::{Connection, Error, ErrorKind, OpenOptions, sqlite};

fn is_unknown<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result.unwrap_err().kind(), ErrorKind::NoSuch { .. })
}

fn is_unsupported<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result.unwrap_err().kind(), ErrorKind::Unsupported { .. })
}

#[test]
fn a_file_grows_in_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.attach(dir.path().join("b.db"), "b").unwrap().keep();
    conn.set_chunk_size("b", 100_000).unwrap();
    conn.execute_batch("CREATE TABLE main.t(a); CREATE TABLE b.t(a)").unwrap();
    let bytes = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
    assert_eq!(bytes("b.db"), 100_000);
    assert!(bytes("a.db") < 100_000);
    conn.set_chunk_size("b", 0).unwrap();
}

#[test]
fn the_data_version_changes_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let (conn, other) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    let version = || conn.data_version("main").unwrap();
    let before = version();
    conn.query_all::<i64>("SELECT a FROM t", ()).unwrap();
    assert_eq!(version(), before, "reading is no change");
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    let own = version();
    assert_ne!(own, before);
    other.execute("INSERT INTO t VALUES (2)", ()).unwrap();
    assert_eq!(version(), own, "not seen yet");
    conn.query_all::<i64>("SELECT a FROM t", ()).unwrap();
    assert_ne!(version(), own);
    // Each database has its own.
    conn.attach(":memory:", "x").unwrap().keep();
    let before = version();
    conn.execute("CREATE TABLE x.t(a)", ()).unwrap();
    assert_eq!(version(), before);
}

#[test]
fn reserved_bytes_are_left_by_the_next_vacuum() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert_eq!(conn.reserve_bytes("main").unwrap(), 0);
    assert_eq!(conn.set_reserve_bytes("main", 8).unwrap(), 0);
    assert_eq!(conn.reserve_bytes("main").unwrap(), 8);
    conn.execute("VACUUM", ()).unwrap();
    // The database header has it.
    assert_eq!(std::fs::read(&path).unwrap()[20], 8);
    assert_eq!(Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
}

#[test]
fn a_log_that_persists_is_there_after_closing() {
    for on in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let conn = OpenOptions::recommended().open(dir.path().join("a.db")).unwrap();
        assert!(!conn.persist_wal("main").unwrap());
        conn.set_persist_wal("main", true).unwrap();
        conn.set_persist_wal("main", on).unwrap();
        assert_eq!(conn.persist_wal("main").unwrap(), on);
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        conn.close().unwrap();
        assert_eq!(dir.path().join("a.db-wal").exists(), on);
    }
}

#[test]
fn power_safe_overwrite_is_switched() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    for on in [false, true] {
        conn.set_power_safe_overwrite("main", on).unwrap();
        assert_eq!(conn.power_safe_overwrite("main").unwrap(), on);
    }
}

#[test]
fn a_lock_timeout_needs_a_build_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    let result = conn.set_lock_timeout("main", Duration::from_millis(100));
    if sqlite::compile_options().any(|option| option.starts_with("ENABLE_SETLK_TIMEOUT")) {
        assert_eq!(result.unwrap(), Duration::ZERO);
    } else {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("SQLITE_FCNTL_LOCK_TIMEOUT"), "{error}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

#[test]
fn the_vfs_has_a_name_where_there_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    let name = conn.vfs_name("main").unwrap().unwrap();
    assert!(if cfg!(unix) { name == "unix" } else { name.starts_with("win32") }, "{name}");
    #[cfg(unix)]
    {
        let conn = OpenOptions::new().vfs("unix-dotfile").open(dir.path().join("b.db")).unwrap();
        assert_eq!(conn.vfs_name("main").unwrap().as_deref(), Some("unix-dotfile"));
    }
    let conn = Connection::open_in_memory().unwrap();
    assert_eq!(conn.vfs_name("main").unwrap(), None);
    assert_eq!(Connection::deserialize(&[]).unwrap().vfs_name("main").unwrap().as_deref(), Some("memdb"));
}

#[test]
fn without_a_file_or_a_database_there_is_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    for name in ["nowhere", "ma\0in", ""] {
        assert!(is_unknown(conn.data_version(name)));
        assert!(is_unknown(conn.set_chunk_size(name, 1)));
        assert!(is_unknown(conn.reserve_bytes(name)));
        assert!(is_unknown(conn.persist_wal(name)));
        assert!(is_unknown(conn.vfs_name(name)));
    }
    assert!(is_unsupported(conn.set_chunk_size("main", 1)));
    assert!(is_unsupported(conn.persist_wal("main")));
    assert!(is_unsupported(conn.power_safe_overwrite("main")));
    assert!(is_unsupported(conn.data_version("temp")));
    assert!(conn.data_version("main").is_ok());
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

/// What cannot be read cannot be restored.
#[test]
fn a_pool_closes_a_connection_whose_file_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::builder(dir.path().join("a.db")).build().unwrap();
    pool.writer().unwrap().data_version("main").unwrap();
    pool.writer().unwrap().persist_wal("main").unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::Pragma), 0, "reading is no change");
    pool.writer().unwrap().set_persist_wal("main", true).unwrap();
    pool.writer().unwrap().set_chunk_size("main", 1 << 20).unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::Pragma), 2);
    assert!(!pool.writer().unwrap().persist_wal("main").unwrap());
}

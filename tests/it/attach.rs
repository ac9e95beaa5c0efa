//! Attached databases: forms of paths, guards, errors, and what a pool makes of them.

use std::mem::forget;
use std::path::Path;

use finalite::pool::Pool;
use finalite::{Attached, Connection, Error, ErrorKind, Limit, OpenOptions, ResultCode};

use crate::common::{full_path, leaked};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn names(conn: &Connection) -> Vec<String> {
    conn.query_all("SELECT name FROM pragma_database_list WHERE seq > 1 ORDER BY seq", ()).unwrap()
}

fn forget_guard(attached: Attached<'_>) {
    leaked::note(attached.name().as_ptr());
    forget(attached);
}

fn is_path(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Path { .. })
}

#[test]
fn each_form_of_a_path_is_attached() {
    let dir = tempfile::tempdir().unwrap();
    for (name, path) in [
        ("file", dir.path().join("a.db")),
        // Windows has no names with `?` and `"`.
        ("quote", dir.path().join(if cfg!(windows) { "it's 100% odd#.db" } else { "it's 100% \"odd\"?#.db" })),
        ("memory", ":memory:".into()),
        ("scratch", "".into()),
    ] {
        let conn = memory();
        let attached = conn.attach(&path, name).unwrap();
        assert_eq!(attached.name(), name);
        conn.execute(&format!("CREATE TABLE {name}.t(a)"), ()).unwrap();
        assert_eq!(path.exists(), name == "file" || name == "quote");
        drop(attached);
        assert!(names(&conn).is_empty());
    }
}

#[test]
#[cfg(all(unix, not(target_os = "macos")))]
fn a_path_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe.db"));
    let conn = memory();
    conn.attach(&path, "x").unwrap().keep();
    conn.execute("CREATE TABLE x.t(a)", ()).unwrap();
    assert!(path.exists());
    // In UTF-16, SQLite would convert the bytes.
    let conn = memory();
    conn.set_pragma("encoding", "UTF-16le").unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert!(is_path(&conn.attach(&path, "x").unwrap_err()));
}

#[test]
fn names_are_quoted() {
    let conn = memory();
    for name in ["a b", "it's", "\"", "select", "x; DETACH y", "\u{e4}", "?1", "1"] {
        let attached = conn.attach(":memory:", name).unwrap();
        assert_eq!(names(&conn), [name]);
        attached.detach().unwrap();
        assert!(names(&conn).is_empty(), "{name}");
    }
    let error = conn.attach(":memory:", "nu\0l").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NulInSql), "{error}");
}

#[test]
fn uris_have_a_call_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let conn = OpenOptions::new().uri(true).open_in_memory().unwrap();
    let uri = format!("file:{}?mode=ro", path.display());
    assert!(is_path(&conn.attach(&uri, "x").unwrap_err()));
    assert!(is_path(&conn.attach_uri(path.to_str().unwrap(), "x").unwrap_err()));
    assert!(is_path(&conn.attach_uri("file:a\0b", "x").unwrap_err()));
    assert!(is_path(&conn.attach("a\0b", "x").unwrap_err()));
    let attached = conn.attach_uri(&uri, "x").unwrap();
    assert_eq!(conn.is_readonly("x"), Some(true));
    assert_eq!(conn.execute("INSERT INTO x.t VALUES (1)", ()).unwrap_err().code(), Some(ResultCode::READONLY));
    drop(attached);
    // A URI may contain a key, and is not shown.
    let error = conn.attach_uri("file:/no/where/at/all?hexkey=5ec2e7", "x").unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(!format!("{error} {error:?}").contains("5ec2e7"), "{error:?}");
}

#[test]
fn errors_name_the_file_and_leave_the_connection_usable() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text"), "no database, but long enough to have a header".repeat(40)).unwrap();
    let conn = memory();
    let nowhere = dir.path().join("no/where.db");
    let error = conn.attach(&nowhere, "x").unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(error.to_string().contains(nowhere.to_str().unwrap()), "{error}");
    let error = conn.attach(dir.path().join("text"), "x").unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB), "{error}");
    let kept = conn.attach(":memory:", "x").unwrap();
    assert!(conn.attach(":memory:", "x").unwrap_err().to_string().contains("already in use"));
    assert!(conn.attach(":memory:", "main").is_err());
    conn.set_limit(Limit::Attached, 1).unwrap();
    assert!(conn.attach(":memory:", "y").unwrap_err().to_string().contains("too many attached"));
    assert_eq!(names(&conn), ["x"]);
    drop(kept);
    for name in ["x", "main", "temp", "nowhere"] {
        assert!(conn.detach(name).is_err(), "{name}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
}

#[test]
fn a_guard_detaches_unless_it_is_told_not_to() {
    let conn = memory();
    drop(conn.attach(":memory:", "a").unwrap());
    conn.attach(":memory:", "b").unwrap().detach().unwrap();
    conn.attach(":memory:", "c").unwrap().keep();
    forget_guard(conn.attach(":memory:", "d").unwrap());
    assert_eq!(names(&conn), ["c", "d"]);
    conn.detach("c").unwrap();
    conn.detach("d").unwrap();
    assert!(names(&conn).is_empty());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _attached = conn.attach(":memory:", "e").unwrap();
        std::panic::resume_unwind(Box::new("within"));
    }));
    assert!(result.is_err() && names(&conn).is_empty());
}

#[test]
fn a_database_in_use_stays_attached() {
    let conn = memory();
    let attached = conn.attach(":memory:", "x").unwrap();
    conn.execute_batch("CREATE TABLE x.t(a); INSERT INTO x.t VALUES (1), (2)").unwrap();
    let mut statement = conn.prepare("SELECT a FROM x.t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert!(attached.detach().unwrap_err().to_string().contains("locked"));
    assert_eq!(names(&conn), ["x"]);
    drop(rows);
    // A statement of the cache does not use it.
    conn.query_one::<i64>("SELECT count(*) FROM x.t", ()).unwrap();
    conn.detach("x").unwrap();
    assert!(statement.query(()).and_then(|mut rows| rows.next().map(drop)).is_err());
}

#[test]
fn a_transaction_spans_attached_databases() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.attach(dir.path().join("b.db"), "b").unwrap().keep();
    conn.execute_batch("CREATE TABLE main.t(a); CREATE TABLE b.u(a)").unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    tx.execute("INSERT INTO u VALUES (1)", ()).unwrap();
    drop(tx);
    assert_eq!(
        conn.query_one::<(i64, i64)>("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)", ()).unwrap(),
        (0, 0)
    );
}

/// The list of files for child processes, which the log's figures show too.
#[test]
fn attached_files_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("noted.db");
    let is_noted = |path: &Path| {
        let path = full_path(path);
        finalite::stats::snapshot().databases.iter().any(|database| database.path == path)
    };
    let conn = memory();
    let attached = conn.attach(&path, "x").unwrap();
    conn.execute("CREATE TABLE x.t(a)", ()).unwrap();
    assert!(is_noted(&path));
    drop(attached);
    assert!(!is_noted(&path));
}

#[test]
fn a_pool_detaches_what_was_forgotten_or_kept() {
    let pool = Pool::in_memory("attach: kept").build().unwrap();
    pool.writer().unwrap().attach(":memory:", "kept").unwrap().keep();
    assert!(names(&pool.writer().unwrap()).is_empty());
    forget_guard(pool.writer().unwrap().attach(":memory:", "forgotten").unwrap());
    assert!(names(&pool.writer().unwrap()).is_empty());
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
}

//! Opening: what can be opened, what cannot, and that a failed open leaves nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use finalite::{Connection, ErrorKind, OpenOptions, ResultCode};

use crate::common::full_path;

fn table_of(conn: &Connection) -> Vec<String> {
    conn.query_all("SELECT name FROM sqlite_schema ORDER BY name", ()).unwrap()
}

#[test]
fn open_creates_the_file_and_finds_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let conn = Connection::open(&path).unwrap();
    assert_eq!(table_of(&conn), ["t"]);
    assert_eq!(conn.path().unwrap(), full_path(&path));
}

#[test]
fn the_defaults_are_as_documented() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    assert_eq!(conn.pragma::<i64>("busy_timeout").unwrap(), 5000);
    assert_eq!(conn.path(), None);
    assert!(conn.is_autocommit());
    assert_eq!(conn.is_readonly("main"), Some(false));
    assert_eq!(conn.is_readonly("nowhere"), None);
    assert_eq!(conn.is_readonly("a\0b"), None);
}

#[test]
fn foreign_keys_can_be_off() {
    let conn = OpenOptions::new().foreign_keys(false).open_in_memory().unwrap();
    assert!(!conn.pragma::<bool>("foreign_keys").unwrap());
}

#[test]
fn recommended_is_wal_names_and_no_trust() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::recommended().open(dir.path().join("a.db")).unwrap();
    assert_eq!(conn.pragma::<String>("journal_mode").unwrap(), "wal");
    assert_eq!(conn.pragma::<i64>("synchronous").unwrap(), 1);
    assert!(conn.pragma::<bool>("foreign_keys").unwrap());
    assert!(!conn.pragma::<bool>("trusted_schema").unwrap());
    let error = conn.prepare("SELECT \"nothing\"").unwrap_err();
    assert!(error.to_string().contains("no such column"), "{error}");
    // The control: SQLite itself takes it for a string.
    let lenient = Connection::open_in_memory().unwrap();
    assert_eq!(lenient.query_one::<String>("SELECT \"nothing\"", ()).unwrap(), "nothing");
}

#[test]
fn recommended_opens_what_has_no_wal() {
    let conn = OpenOptions::recommended().open_in_memory().unwrap();
    assert_eq!(conn.pragma::<String>("journal_mode").unwrap(), "memory");
    OpenOptions::recommended().open_temporary().unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let conn = OpenOptions::recommended().read_only(true).open(&path).unwrap();
    assert_eq!(table_of(&conn), ["t"]);
}

#[test]
fn read_only_reads_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let error = OpenOptions::new().read_only(true).open(&path).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
    assert_eq!(conn.is_readonly("main"), Some(true));
    let error = conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::READONLY));
    assert!(error.to_string().contains("a.db"), "{error}");
}

#[test]
fn without_create_a_missing_file_is_an_error_and_stays_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let error = OpenOptions::new().create(false).open(&path).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(!path.exists());
    assert!(error.to_string().contains("a.db"), "{error}");
}

/// A database in WAL mode, closed in order.
fn fill(path: &Path) {
    let conn = OpenOptions::recommended().open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    conn.close().unwrap();
}

fn files(dir: &Path) -> Vec<String> {
    let mut files: Vec<_> =
        dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    files
}

/// From the working directory, whatever that is.
#[cfg(unix)]
fn relative(path: &Path) -> std::path::PathBuf {
    let up = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<std::path::PathBuf>();
    up.join(path.strip_prefix("/").unwrap())
}

#[cfg(unix)]
#[test]
fn an_immutable_database_is_read_without_a_file_beside_it() {
    let names = [
        "a.db",
        "100%41 a?b=c#d&e.db",
        "\u{fc}\u{6f22}.db",
        "file:x.db",
        "a:b+c,d;e@f.db",
        " .db",
        "\\'\"[]{}|^`~<>.db",
        "a\n\tb.db",
    ];
    for name in names {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fill(&path);
        let slashes = PathBuf::from(format!("//{}//{name}", dir.path().display()));
        for path in [path.clone(), relative(&path), slashes] {
            let conn = OpenOptions::new().immutable(true).open(&path).unwrap();
            assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ()).unwrap(), 1, "{name}");
            assert_eq!(conn.is_readonly("main"), Some(true));
            assert_eq!(conn.execute("DELETE FROM t", ()).unwrap_err().code(), Some(ResultCode::READONLY));
            assert_eq!(files(dir.path()), [name], "nothing beside it");
        }
        // The control: whoever only reads makes them.
        let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
        assert_eq!(table_of(&conn), ["t"]);
        assert_eq!(files(dir.path()).len(), 3, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn an_immutable_database_is_not_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let other = OpenOptions::new().busy_timeout(Duration::ZERO).open(&path).unwrap();
    for (immutable, is_locked) in [(true, false), (false, true)] {
        let reader = OpenOptions::new().read_only(true).immutable(immutable).open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        let locked = other.execute_batch("BEGIN EXCLUSIVE; COMMIT");
        assert_eq!(locked.is_err(), is_locked);
    }
}

#[test]
fn immutable_goes_with_a_uri_and_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    fill(&path);
    let at = |rest: &str| format!("file:{}{rest}", path.display());
    for rest in
        ["", "?cache=private", "?immutable=0", "?", "#here", "?cache=private#here", "?a=b&immutable=0&c=d#?immutable=0"]
    {
        let conn = OpenOptions::new().uri(true).immutable(true).open(at(rest)).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT a FROM t", ()).unwrap(), 1, "{rest}");
        assert_eq!(files(dir.path()), ["a.db"], "{rest}");
    }
    let missing = dir.path().join("missing.db");
    let error = OpenOptions::new().create(true).immutable(true).open(&missing).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(error.to_string().contains("missing.db") && !missing.exists(), "{error}");
    for path in ["", ":memory:", "file:x", "a\0b"] {
        let error = OpenOptions::new().immutable(true).open(path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{path:?}: {error}");
    }
    assert!(OpenOptions::new().immutable(true).is_read_only() && !OpenOptions::new().is_read_only());
}

#[cfg(unix)]
#[test]
fn no_follow_opens_nothing_through_a_link() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let dir_path = dir.path().canonicalize().unwrap();
    let path = dir_path.join("real/a.db");
    std::fs::create_dir(dir_path.join("real")).unwrap();
    fill(&path);
    symlink(&path, dir_path.join("link.db")).unwrap();
    symlink(dir_path.join("real"), dir_path.join("link")).unwrap();
    symlink(dir_path.join("real/new.db"), dir_path.join("dangling.db")).unwrap();
    for link in ["link.db", "link/a.db", "dangling.db"] {
        for options in [OpenOptions::new(), OpenOptions::new().read_only(true), OpenOptions::new().immutable(true)] {
            let error = options.no_follow(true).open(dir_path.join(link)).unwrap_err();
            assert_eq!(error.extended_code(), Some(ResultCode::CANTOPEN_SYMLINK), "{link}: {error}");
        }
    }
    assert!(!dir_path.join("real/new.db").exists());
    assert_eq!(table_of(&OpenOptions::new().no_follow(true).open(&path).unwrap()), ["t"]);
    // The control.
    assert_eq!(table_of(&Connection::open(dir_path.join("link.db")).unwrap()), ["t"]);
}

#[cfg(unix)]
#[test]
fn a_file_that_was_moved_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let ends: [&dyn Fn(); 3] = [
        &|| std::fs::rename(&path, dir.path().join("moved.db")).unwrap(),
        &|| std::fs::remove_file(&path).unwrap(),
        &|| {
            std::fs::write(dir.path().join("other.db"), "").unwrap();
            std::fs::rename(dir.path().join("other.db"), &path).unwrap();
        },
    ];
    for end in ends {
        let conn = Connection::open(&path).unwrap();
        conn.execute("CREATE TABLE IF NOT EXISTS t(a)", ()).unwrap();
        assert!(!conn.has_moved().unwrap());
        end();
        assert!(conn.has_moved().unwrap());
    }
    for conn in [Connection::open_in_memory().unwrap(), OpenOptions::new().open_temporary().unwrap()] {
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        assert!(!conn.has_moved().unwrap());
    }
    let memdb = OpenOptions::new().vfs("memdb").open("/has_moved").unwrap();
    assert!(!memdb.has_moved().unwrap());
}

#[test]
fn what_was_asked_for_can_be_asked() {
    let options = OpenOptions::new().name("mine").busy_timeout(Duration::from_millis(70));
    let options = options.slow_threshold(Some(Duration::from_secs(3))).statement_cache_limits(5, 6000);
    let conn = options.open_in_memory().unwrap();
    assert_eq!((conn.name(), conn.busy_timeout().unwrap()), (Some("mine"), Duration::from_millis(70)));
    assert_eq!(conn.slow_threshold(), Some(Duration::from_secs(3)));
    assert_eq!(conn.statement_cache_limits(), (5, 6000));
    assert_eq!(Connection::open_in_memory().unwrap().name(), None);
}

#[test]
fn a_temporary_database_can_be_written() {
    let conn = OpenOptions::new().open_temporary().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert_eq!(conn.path(), None);
}

/// Silently taken for either, it is the other that was meant by somebody.
#[test]
fn a_path_that_begins_with_file_asks_for_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("file:{}?mode=memory", dir.path().join("a.db").display());
    for path in [&*uri, "file:", "file:x?mode=memory&cache=shared", "file:x.db"] {
        for error in
            [Connection::open(path).unwrap_err(), OpenOptions::recommended().read_only(true).open(path).unwrap_err()]
        {
            assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{error:?}");
            let text = error.to_string();
            assert!(["uri(true)", "uri(false)", "./"].iter().all(|way| text.contains(way)), "{text}");
        }
        assert!(!Path::new(path).exists());
    }
    // The ways out, and what only looks like it.
    assert_eq!(OpenOptions::new().uri(true).open(&uri).unwrap().path(), None);
    assert_eq!(OpenOptions::new().uri(false).open(&uri).unwrap_err().code(), Some(ResultCode::CANTOPEN));
    assert_eq!(Connection::open(format!("./{uri}")).unwrap_err().code(), Some(ResultCode::CANTOPEN));
    let conn = Connection::open(dir.path().join("file:a.db")).unwrap();
    assert!(conn.path().unwrap().ends_with("file:a.db"));
    // ATTACH is SQL's, and as SQLite has it.
    conn.execute("ATTACH 'file::memory:' AS other", ()).unwrap();
}

#[test]
fn a_path_that_begins_with_file_is_a_path() {
    let dir = tempfile::tempdir().unwrap();
    // SQLite looks at relative paths; so that tests run beside each other, this one is made absolute by URI only.
    let uri = format!("file:{}?mode=memory", dir.path().join("a.db").display());
    let conn = OpenOptions::new().uri(true).open(&uri).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert!(!dir.path().join("a.db").exists(), "mode=memory was read from the URI");
    // As a path, its directory does not exist.
    let error = OpenOptions::new().uri(false).open(&uri).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
}

#[test]
fn unicode_and_odd_paths_are_paths() {
    let dir = tempfile::tempdir().unwrap();
    // Windows has no names with `?`, `"` and `:`.
    let of_unix = ["a?b=c.db", "quote'\".db", "file:x.db"].into_iter().filter(|_| cfg!(unix));
    for name in ["ü ö.db", "50%41.db", "quote'.db", "#.db"].into_iter().chain(of_unix) {
        let path = dir.path().join(name);
        Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
        assert!(path.exists(), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_unicode_opens() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe.db"));
    let conn = Connection::open(&path).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert!(path.exists());
    assert_eq!(conn.path().unwrap(), dir.path().canonicalize().unwrap().join(path.file_name().unwrap()));
}

#[test]
fn nul_in_a_path_or_vfs_is_an_error() {
    let error = Connection::open("a\0b").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{error:?}");
    let error = OpenOptions::new().vfs("a\0b").open_in_memory().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{error:?}");
}

#[test]
fn the_vfs_is_chosen_by_name() {
    let error = OpenOptions::new().vfs("nowhere").open_in_memory().unwrap_err();
    assert!(error.to_string().contains("no such vfs: nowhere"), "{error}");
    #[cfg(unix)]
    assert!(OpenOptions::new().vfs("unix-none").open_in_memory().is_ok());
}

#[test]
fn what_cannot_be_opened_says_which_file_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/a.db");
    let error = Connection::open(&missing).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(error.to_string().contains("missing/a.db") && error.to_string().contains("(os error "), "{error}");
    let error = Connection::open(dir.path()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(error.to_string().contains(&*dir.path().to_string_lossy()), "{error}");
}

#[test]
fn what_is_no_database_shows_at_the_first_statement_or_pragma() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    std::fs::write(&path, "x".repeat(4096)).unwrap();
    let conn = Connection::open(&path).unwrap();
    let error = conn.query_one::<i64>("SELECT count(*) FROM sqlite_schema", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB));
    assert!(error.to_string().contains("a.db"), "{error}");
    let error = OpenOptions::recommended().open(&path).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB));
}

#[test]
fn a_pragma_that_does_not_take_fails_the_open() {
    let error = OpenOptions::new().pragma("journal_mode", "wal").open_in_memory().unwrap_err();
    let ErrorKind::Pragma { name, requested, effective, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((&**name, &**requested, effective.as_deref()), ("journal_mode", "wal", Some("memory")));
}

#[test]
fn options_set_the_timeout_and_the_cache() {
    let options = OpenOptions::new().busy_timeout(Duration::from_millis(7)).statement_cache_limits(0, 0);
    let conn = options.open_in_memory().unwrap();
    assert_eq!(conn.pragma::<i64>("busy_timeout").unwrap(), 7);
    conn.execute("SELECT 1", ()).unwrap();
    assert_eq!(conn.statement_cache_stats().statements, 0);
}

#[test]
fn init_runs_on_every_connection_and_its_error_is_the_opens() {
    let options = OpenOptions::new().init(|conn| conn.execute_batch("CREATE TEMP TABLE scratch(a)"));
    for _ in 0..2 {
        options.open_in_memory().unwrap().execute("INSERT INTO scratch VALUES (1)", ()).unwrap();
    }
    let options = OpenOptions::new().init(|conn| conn.execute_batch("nonsense"));
    assert!(options.open_in_memory().unwrap_err().to_string().contains("syntax error"));
}

#[cfg(unix)]
#[test]
fn a_database_in_a_read_only_directory_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let set = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    let read = OpenOptions::new().read_only(true).open(&path).map(|conn| table_of(&conn));
    set(0o755);
    assert_eq!(read.unwrap(), ["t"]);
}

#[test]
fn the_connection_says_what_it_is() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(format!("{conn:?}").starts_with("Connection"));
    assert!(format!("{:?}", OpenOptions::new()).contains("read_only: false"));
    assert!(Path::new(finalite::sqlite::version()).components().count() == 1);
    assert_eq!(conn.query_one::<String>("SELECT sqlite_version()", ()).unwrap(), finalite::sqlite::version());
    assert_eq!(conn.query_one::<String>("SELECT sqlite_source_id()", ()).unwrap(), finalite::sqlite::source_id());
    assert!(finalite::sqlite::version_number() > 3_040_000);
    let options: Vec<String> = conn.query_all("PRAGMA compile_options", ()).unwrap();
    assert_eq!(finalite::sqlite::compile_options().collect::<Vec<_>>(), options);
}

#[cfg(feature = "bundled")]
#[test]
fn attach_takes_a_uri_as_the_bundled_sqlite_does() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::new().uri(false).open(dir.path().join("a.db")).unwrap();
    conn.execute("ATTACH 'file:nowhere?mode=memory' AS other", ()).unwrap();
    let file: String = conn.query_one("SELECT file FROM pragma_database_list WHERE name = 'other'", ()).unwrap();
    assert_eq!(file, "");
}

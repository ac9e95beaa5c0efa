//! What an error says of the system: the words of the call that failed, or none.
//!
//! Each case is run by a user whom permissions bind, and may replace SQLite's system calls.

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use finalite::{Connection, Error, OpenOptions, ResultCode, ffi};

use crate::common::child;
use crate::runner::cases;

cases![
    within by_whom_permissions_bind:
    a_directory_that_may_not_be_written_to,
    a_directory_that_may_not_be_searched,
    a_file_that_may_not_be_read,
    no_descriptor_left,
    a_path_that_is_too_long,
    links_in_a_circle,
    links_that_lead_somewhere,
    a_uri,
    a_short_read,
    a_write_that_fails_within_a_statement,
    a_write_that_fails_at_the_commit,
    an_attached_file,
    a_log_that_reading_would_have_to_create,
    an_index_that_reading_would_have_to_create,
    a_journal_that_reading_would_have_to_roll_back,
    a_journal_that_writing_would_have_to_create,
];

const NOBODY: u32 = 65_534;

/// Runs a case in a directory that it may write to: a root that runs the tests gives that up in this process.
fn by_whom_permissions_bind(case: fn(&Path)) {
    unsafe extern "C" {
        fn setgroups(count: usize, groups: *const c_uint) -> c_int;
        fn setgid(group: c_uint) -> c_int;
        fn setuid(user: c_uint) -> c_int;
    }
    let directory = tempfile::tempdir().unwrap();
    std::env::set_current_dir(directory.path()).unwrap();
    if directory.path().metadata().unwrap().uid() == 0 {
        chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        // SAFETY: they take numbers, and a list of none.
        assert_eq!(unsafe { (setgroups(0, std::ptr::null()), setgid(NOBODY), setuid(NOBODY)) }, (0, 0, 0));
        may_be_examined();
    }
    case(directory.path());
    // So that it can be removed.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
}

/// Lets LeakSanitizer look at this process, which has changed its user.
#[cfg(target_os = "linux")]
fn may_be_examined() {
    unsafe extern "C" {
        fn prctl(option: c_int, argument: c_ulong) -> c_int;
    }
    const PR_SET_DUMPABLE: c_int = 4;
    // SAFETY: the option takes a number.
    assert_eq!(unsafe { prctl(PR_SET_DUMPABLE, 1) }, 0);
}

#[cfg(not(target_os = "linux"))]
fn may_be_examined() {}

/// Leaves a failure in `errno` that has nothing to do with what comes next.
fn fail_otherwise() {
    assert_eq!(fs::read_link("/").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

const OTHERWISE: &str = "Invalid argument";

#[track_caller]
fn opening(path: impl AsRef<Path>) -> Error {
    fail_otherwise();
    Connection::open(path).unwrap_err()
}

#[track_caller]
fn assert_says(error: &Error, words: &str) {
    let line = error.to_string();
    assert!(line.contains(words), "{line}");
    assert!(!line.contains(OTHERWISE), "{line}");
}

#[track_caller]
fn assert_quotes_nothing(error: &Error) {
    let line = error.to_string();
    assert!(!line.contains("os error"), "{line}");
}

fn database(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    path
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn a_directory_that_may_not_be_written_to(directory: &Path) {
    permit(directory, 0o555);
    let path = directory.join("new.db");
    let error = opening(&path);
    assert_says(&error, "unable to open database file: it does not exist, and cannot be created in its directory, ");
    assert_quotes_nothing(&error);
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    // Where it was not to be created, that it is not there is all.
    let error = OpenOptions::new().create(false).open(&path).unwrap_err();
    assert_says(&error, "No such file or directory (os error 2)");
    let error = OpenOptions::new().read_only(true).open(&path).unwrap_err();
    assert_says(&error, "No such file or directory (os error 2)");
    // Relative paths are looked for where SQLite looks for them.
    assert_says(&opening("new.db"), "cannot be created in its directory");
}

fn a_directory_that_may_not_be_searched(directory: &Path) {
    let path = database(directory, "a.db");
    permit(directory, 0o000);
    assert_says(&opening(path), "Permission denied (os error 13)");
    assert_says(&opening(directory.join("new.db")), "Permission denied (os error 13)");
}

fn a_file_that_may_not_be_read(directory: &Path) {
    let path = database(directory, "a.db");
    permit(&path, 0o000);
    assert_says(&opening(path), "Permission denied (os error 13)");
}

fn no_descriptor_left(directory: &Path) {
    let path = database(directory, "a.db");
    let conn = Connection::open(&path).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        files.push(file);
    }
    let error = Connection::open(&path).unwrap_err();
    let new = Connection::open(directory.join("new.db")).unwrap_err();
    let journal = conn.execute("INSERT INTO t VALUES (2)", ()).unwrap_err();
    drop(files);
    assert_says(&error, "Too many open files (os error 24)");
    assert_says(&new, "Too many open files (os error 24)");
    assert_says(&journal, "Too many open files (os error 24)");
}

fn a_path_that_is_too_long(directory: &Path) {
    let folder = directory.join("d".repeat(200)).join("d".repeat(200));
    fs::create_dir_all(&folder).unwrap();
    let used = folder.as_os_str().len() + 1;
    for length in 490..540 {
        let path = folder.join("x".repeat(length - used));
        match Connection::open(&path) {
            Ok(_) => assert!(length <= 504, "{length}"),
            Err(error) => {
                assert!(length > 504, "{length}: {error}");
                assert_quotes_nothing(&error);
                assert_says(&error, &format!("its full path is {length} bytes long, and SQLite takes 504"));
            }
        }
    }
    // By a link, which is short.
    symlink(folder.join("x".repeat(530 - used)), directory.join("link.db")).unwrap();
    let error = opening(directory.join("link.db"));
    assert_says(&error, "its full path is 530 bytes long");
}

fn links_in_a_circle(directory: &Path) {
    symlink(directory.join("b.db"), directory.join("a.db")).unwrap();
    symlink(directory.join("a.db"), directory.join("b.db")).unwrap();
    assert_says(&opening(directory.join("a.db")), "Too many levels of symbolic links (os error 40)");
}

fn links_that_lead_somewhere(directory: &Path) {
    symlink("missing/a.db", directory.join("a.db")).unwrap();
    assert_says(&opening(directory.join("a.db")), "No such file or directory (os error 2)");
    fs::create_dir(directory.join("closed")).unwrap();
    permit(&directory.join("closed"), 0o555);
    symlink("closed/b.db", directory.join("b.db")).unwrap();
    let error = opening(directory.join("b.db"));
    assert_says(&error, "it does not exist, and cannot be created in its directory");
    assert_quotes_nothing(&error);
    assert_says(&opening(directory), "Is a directory (os error 21)");
    assert_says(&opening("/"), "it is a directory");
}

fn a_uri(directory: &Path) {
    let opening = |uri: String| {
        fail_otherwise();
        OpenOptions::new().uri(true).open(uri).unwrap_err()
    };
    let place = directory.display();
    for missing in ["missing/a.db", "missing/a.db?mode=rwc", "%6dissing/a%2Edb#x"] {
        assert_says(&opening(format!("file:{place}/{missing}")), "No such file or directory (os error 2)");
        assert_says(&opening(format!("file://localhost{place}/{missing}")), "No such file or directory (os error 2)");
    }
    let error = opening(format!("file:{place}/a.db?mode=rw"));
    assert_says(&error, "it does not exist, and was not created");
    assert_quotes_nothing(&error);
    let error = opening(format!("file:{place}/missing/a.db?vfs=unix-excl"));
    assert_quotes_nothing(&error);
}

fn a_short_read(directory: &Path) {
    let path = directory.join("a.db");
    let options = OpenOptions::new().pragma("journal_mode", "wal").pragma("cache_size", 2);
    let conn = options.open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); BEGIN").unwrap();
    for _ in 0..100 {
        conn.execute("INSERT INTO t VALUES (zeroblob(3000))", ()).unwrap();
    }
    conn.execute("COMMIT", ()).unwrap();
    conn.release_memory().unwrap();
    fs::OpenOptions::new().write(true).open(directory.join("a.db-wal")).unwrap().set_len(9000).unwrap();
    fail_otherwise();
    let error = conn.query_all::<Vec<u8>>("SELECT a FROM t", ()).unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::IOERR_SHORT_READ), "{error}");
    assert_quotes_nothing(&error);
}

unsafe extern "C" {
    fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize;
}

/// Fails as a write to a file that is not open: `EBADF`. For `pwrite` too, whose last argument is left alone.
extern "C" fn no_write(_: c_int, bytes: *const c_void, length: usize) -> isize {
    // SAFETY: what SQLite wants to write, to a descriptor that there is not.
    unsafe { write(-1, bytes, length) }
}

const NO_WRITE: &str = "Bad file descriptor (os error 9)";

/// Lets all writes of SQLite's fail, in this process.
fn end_writes() {
    for call in [c"write", c"pwrite", c"pwrite64"] {
        replace(call, no_write);
    }
}

fn replace(call: &CStr, with: extern "C" fn(c_int, *const c_void, usize) -> isize) {
    // SAFETY: NULL asks for the default VFS, which lives as long as the process.
    let vfs = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    // SAFETY: the VFS is there.
    let set = unsafe { (*vfs).xSetSystemCall }.unwrap();
    // SAFETY: a function of the same type as the call; `None` and `Some` of it are the pointer that SQLite takes.
    let with = unsafe { std::mem::transmute::<*const c_void, ffi::sqlite3_syscall_ptr>(with as *const c_void) };
    // SAFETY: the name is NUL-terminated; SQLite casts the function back to what it is, and refuses a call that it does
    // not make on this system.
    unsafe { set(vfs, call.as_ptr(), with) };
}

/// A connection that has failed before, so that it remembers a number of the system's.
fn that_failed_before(path: &Path) -> Connection {
    let conn = OpenOptions::new().pragma("cache_size", 5).open(path).unwrap();
    conn.execute("ATTACH '/missing/b.db' AS b", ()).unwrap_err();
    conn
}

fn a_write_that_fails_within_a_statement(directory: &Path) {
    let conn = that_failed_before(&database(directory, "a.db"));
    conn.execute("BEGIN", ()).unwrap();
    end_writes();
    let mut results = (0..100).map(|_| conn.execute("INSERT INTO t VALUES (zeroblob(3000))", ()));
    let error = results.find_map(Result::err).unwrap();
    assert_eq!(error.extended_code(), Some(ResultCode::IOERR_WRITE), "{error}");
    assert_says(&error, NO_WRITE);
}

fn a_write_that_fails_at_the_commit(directory: &Path) {
    let conn = that_failed_before(&database(directory, "a.db"));
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (2)").unwrap();
    end_writes();
    for sql in ["COMMIT", "INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (3) RETURNING a"] {
        let error = conn.execute(sql, ()).unwrap_err();
        assert_eq!(error.extended_code(), Some(ResultCode::IOERR_WRITE), "{error}");
        // SQLite keeps no number for a commit, so it would be that of the ATTACH.
        assert!(!error.to_string().contains("No such file"), "{error}");
        if sql == "COMMIT" {
            assert_quotes_nothing(&error);
        }
    }
}

fn an_attached_file(directory: &Path) {
    let conn = Connection::open_in_memory().unwrap();
    let attaching = |path: &Path| {
        fail_otherwise();
        conn.execute("ATTACH ? AS other", (path.to_str().unwrap(),)).unwrap_err()
    };
    assert_says(&attaching(&directory.join("missing/a.db")), "No such file or directory (os error 2)");
    assert_says(&attaching(directory), "Is a directory (os error 21)");
    assert_says(&attaching(&directory.join("x".repeat(500))), "SQLite takes 504");
    let path = database(directory, "a.db");
    permit(&path, 0);
    assert_says(&attaching(&path), "Permission denied (os error 13)");
    permit(directory, 0o555);
    let error = attaching(&directory.join("new.db"));
    assert_says(&error, "it does not exist, and was not created");
    assert_quotes_nothing(&error);
    assert!(!error.to_string().contains("new.db"), "{error}");
}

/// Runs this in a process that ends in the middle of it, as if it were killed.
fn left_by_another(run: impl FnOnce()) {
    assert!(child::in_child(|| {
        run();
        true
    }));
}

/// What reading says, by a connection that may write and by one that may not.
fn reading(path: &Path) -> [Error; 2] {
    [OpenOptions::new(), OpenOptions::new().read_only(true)].map(|options| {
        fail_otherwise();
        options.open(path).unwrap().query_all::<i64>("SELECT count(*) FROM t", ()).unwrap_err()
    })
}

fn a_log_that_reading_would_have_to_create(directory: &Path) {
    let path = database(directory, "a.db");
    Connection::open(&path).unwrap().set_pragma("journal_mode", "wal").unwrap();
    permit(directory, 0o555);
    for error in reading(&path) {
        assert_eq!(error.extended_code(), Some(ResultCode::READONLY_DIRECTORY), "{error}");
        assert_says(&error, "a journal or write-ahead log has to be created beside it");
        assert_says(&error, "this process may not create files there");
    }
    // The advice is good.
    let immutable = format!("file:{}?immutable=1", path.display());
    let conn = OpenOptions::new().read_only(true).uri(true).open(immutable).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
    permit(directory, 0o755);
    assert_eq!(Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
}

fn an_index_that_reading_would_have_to_create(directory: &Path) {
    let path = directory.join("a.db");
    left_by_another(|| {
        let conn = OpenOptions::new().pragma("journal_mode", "wal").open(&path).unwrap();
        conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
        std::mem::forget(conn);
    });
    fs::remove_file(directory.join("a.db-shm")).unwrap();
    permit(directory, 0o555);
    for error in reading(&path) {
        assert_eq!(error.extended_code(), Some(ResultCode::CANTOPEN), "{error}");
        assert_says(&error, "the index of its write-ahead log (-shm) does not exist, and cannot be created");
        // What is in the log would be left out.
        assert!(!error.to_string().contains("immutable"), "{error}");
    }
    permit(directory, 0o755);
    assert_eq!(Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
}

fn a_journal_that_reading_would_have_to_roll_back(directory: &Path) {
    let path = database(directory, "a.db");
    left_by_another(|| {
        let conn = OpenOptions::new().pragma("cache_size", 2).open(&path).unwrap();
        conn.execute("BEGIN", ()).unwrap();
        for _ in 0..50 {
            conn.execute("INSERT INTO t VALUES (zeroblob(3000))", ()).unwrap();
        }
        std::mem::forget(conn);
    });
    let journal = directory.join("a.db-journal");
    assert!(journal.metadata().unwrap().len() > 0);
    // This connection may not write.
    let unfinished = "a transaction that was left unfinished has to be rolled back before anything is read";
    let error = OpenOptions::new().read_only(true).open(&path).unwrap().query_all::<i64>("SELECT 1 FROM t", ());
    let error = error.unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::READONLY_ROLLBACK), "{error}");
    assert_says(&error, unfinished);
    // The journal may not be written.
    permit(&journal, 0o444);
    let [error, _] = reading(&path);
    assert_eq!(error.extended_code(), Some(ResultCode::CANTOPEN), "{error}");
    assert_says(&error, "Permission denied (os error 13) (it needs a journal, ");
    permit(&journal, 0o644);
    // The file may not.
    permit(&path, 0o444);
    for error in reading(&path) {
        assert_eq!(error.extended_code(), Some(ResultCode::READONLY_ROLLBACK), "{error}");
        assert_says(&error, unfinished);
    }
    permit(&path, 0o644);
    // Nor may the directory.
    permit(directory, 0o555);
    let [error, _] = reading(&path);
    assert_eq!(error.extended_code(), Some(ResultCode::IOERR_DELETE), "{error}");
    assert_says(&error, "Permission denied (os error 13) [SQLITE_IOERR_DELETE] (a transaction, or the rollback of one");
    permit(directory, 0o755);
    assert_eq!(Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
}

fn a_journal_that_writing_would_have_to_create(directory: &Path) {
    let path = database(directory, "a.db");
    permit(directory, 0o555);
    let error = Connection::open(&path).unwrap().execute("INSERT INTO t VALUES (2)", ()).unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::READONLY_DIRECTORY), "{error}");
    assert_says(&error, "a journal or write-ahead log has to be created beside it");
}

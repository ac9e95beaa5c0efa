//! Canal, alibaba/canal#5289 (2024): a connection that failed was never disconnected, and sockets piled up.
//!
//! - What happened: the code that handles the failure failed itself, before the line that disconnects.
//! - The mechanism: an argument of the log statement (which server was it?) threw where there was no server.
//! - Here: a handle is owned on the line after `sqlite3_open_v2`, before its code is looked at; the text of the error
//!   is copied from it, and it is closed whatever comes: an error, a pragma that does not take, a panic in `init`.
//! - Tested: every way to fail to open, alone and through a pool, many times: text in each error, and nothing left.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

use finalite::pool::{Pool, RetryPolicy};
use finalite::{Connection, Error, ErrorKind, OpenOptions, ffi, handles};
use serde_json::json;

use crate::common::incident::{change_by, times};
use crate::runner::cases;

cases![a_connection_that_cannot_be_opened_leaves_nothing,];

/// A path to open, and how; every one of them fails.
struct Failure {
    name: &'static str,
    path: PathBuf,
    options: OpenOptions,
    panics: bool,
}

fn failures(dir: &Path) -> Vec<Failure> {
    let text = dir.join("text.db");
    std::fs::write(&text, "x".repeat(4096)).unwrap();
    let sound = dir.join("sound.db");
    Connection::open(&sound).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    let new = OpenOptions::new;
    let failure = |name, path: &Path, options| Failure { name, path: path.to_owned(), options, panics: false };
    let mut failures = vec![
        failure("missing directory", &dir.join("missing/a.db"), new()),
        failure("directory as file", dir, new()),
        failure("not a database", &text, OpenOptions::recommended()),
        failure("unknown VFS", &sound, new().vfs("nowhere")),
        failure("failing hook", &sound, new().init(|conn| conn.execute_batch("SELECT * FROM nowhere"))),
        failure("NUL in path", Path::new("a\0b"), new()),
    ];
    let panicking = new().init(|conn| {
        let mut statement = conn.prepare("SELECT 1 FROM sqlite_schema")?;
        let _rows = statement.query(())?.next()?;
        resume_unwind(Box::new("in the hook"));
    });
    failures.push(Failure { panics: true, ..failure("panicking hook", &sound, panicking) });
    failures.push(no_permission(dir));
    failures
}

/// A file that may not be opened; to a superuser, to whom every file is open, a circle of links is.
fn no_permission(dir: &Path) -> Failure {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let path = dir.join("closed.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let (mut name, mut closed) = ("no permission", path.clone());
    if std::fs::read(&path).is_ok() {
        (name, closed) = ("a circle of links", dir.join("circle.db"));
        symlink(&closed, &closed).unwrap();
    }
    Failure { name, path: closed, options: OpenOptions::new(), panics: false }
}

impl Failure {
    fn open(&self) -> finalite::Result<()> {
        self.options.open(&self.path).map(drop)
    }

    fn open_pool(&self) -> finalite::Result<()> {
        let retry =
            RetryPolicy::new(Duration::from_secs(60)).attempts(3).pauses_between(Duration::ZERO, Duration::ZERO);
        Pool::builder(&self.path).options(self.options.clone()).open_retry(retry).build().map(drop)
    }

    fn happens(&self, open: impl Fn(&Self) -> finalite::Result<()>) -> Option<Error> {
        match catch_unwind(AssertUnwindSafe(|| open(self))) {
            Ok(result) => {
                let error = result.expect_err(self.name);
                assert!(!self.panics && !error.to_string().is_empty(), "{}", self.name);
                Some(error)
            }
            Err(_) => {
                assert!(self.panics, "{} panicked", self.name);
                None
            }
        }
    }
}

fn a_connection_that_cannot_be_opened_leaves_nothing() {
    let each = times(1000, 10_000);
    let dir = tempfile::tempdir().unwrap();
    let failures = failures(dir.path());
    for failure in &failures {
        let change = change_by(|| {
            for turn in 0..each {
                failure.happens(Failure::open);
                if turn % 10 == 0
                    && let Some(error) = failure.happens(Failure::open_pool)
                {
                    match error.kind() {
                        ErrorKind::OpenAttempts { attempts, .. } => {
                            assert_eq!(attempts.len(), 3, "{}", failure.name);
                            assert!(attempts.iter().all(|attempt| !attempt.to_string().is_empty()), "{}", failure.name);
                        }
                        // No attempt makes another path of it.
                        ErrorKind::Path { .. } => assert!(error.to_string().contains("NUL"), "{}", failure.name),
                        _ => panic!("{error}"),
                    }
                }
            }
        });
        let more = json!({ "failure": failure.name, "destroyed": 0, "forgotten": handles::forgotten().total() });
        change.print("canal", each, &more);
        change.assert_none();
    }
    control(&dir.path().join("text.db"));
}

/// Canal's catch block: the failure is described first, that fails, and the handle is never closed.
fn connect(path: &Path, opened: &mut Vec<*mut ffi::sqlite3>) -> Result<(), String> {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let mut handle = ptr::null_mut();
    // SAFETY: the path is NUL-terminated and the pointer to one of ours.
    unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) };
    opened.push(handle);
    let sql = c"PRAGMA journal_mode = wal".as_ptr();
    // SAFETY: the connection is open and the SQL NUL-terminated.
    if unsafe { ffi::sqlite3_exec(handle, sql, None, ptr::null_mut(), ptr::null_mut()) } != ffi::SQLITE_OK {
        let servers: [&str; 0] = [];
        let server = servers.first().ok_or("no server")?;
        println!("{server} failed");
        // SAFETY: the connection is open, and nobody has it.
        unsafe { ffi::sqlite3_close(handle) };
    }
    Ok(())
}

fn control(text: &Path) {
    let mut opened = Vec::new();
    let change = change_by(|| (0..20).for_each(|_| drop(connect(text, &mut opened).unwrap_err())));
    change.print("canal, as it was", 20, &json!({}));
    assert!(!change.is_none());
    assert_eq!(change.growth("descriptors"), 20);
    assert!(change.growth("native_bytes") > 20 * 10_000, "{} bytes", change.growth("native_bytes"));
    for handle in opened {
        // SAFETY: opened above and closed once.
        assert_eq!(unsafe { ffi::sqlite3_close(handle) }, ffi::SQLITE_OK);
    }
}

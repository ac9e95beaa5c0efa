//! What the tests of the incidents share: how often they do a thing, what they print, and the check that tells whether
//! something is left.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use finalite::{Connection, LeakCheck, LeakReport, ProcessSnapshot, Result, ffi};
use serde_json::{Value, json};

/// How often: the second number with `FINALITE_INCIDENTS=full`.
pub fn times(short: usize, full: usize) -> usize {
    if std::env::var("FINALITE_INCIDENTS").is_ok_and(|value| value == "full") { full } else { short }
}

/// What the process held before and after.
pub struct Change {
    before: ProcessSnapshot,
    after: ProcessSnapshot,
    report: LeakReport,
}

/// Runs this, and looks at the process before and after.
pub fn change_by(work: impl FnOnce()) -> Change {
    let before = ProcessSnapshot::now();
    let check = LeakCheck::new();
    work();
    // Waits until the system has taken joined threads off its list.
    let report = check.finish();
    Change { before, after: ProcessSnapshot::now(), report }
}

impl Change {
    fn figures(&self) -> [(&'static str, u64, u64); 4] {
        let (before, after) = (&self.before, &self.after);
        [
            ("handles", before.handles.total(), after.handles.total()),
            ("native_bytes", before.native_bytes, after.native_bytes),
            ("descriptors", before.descriptors.len() as u64, after.descriptors.len() as u64),
            ("threads", before.threads as u64, after.threads as u64),
        ]
    }

    /// How much more there is of something.
    pub fn growth(&self, what: &str) -> u64 {
        let (_, before, after) = self.figures().into_iter().find(|figure| figure.0 == what).expect("a known figure");
        after - before
    }

    /// The one check: all is as it was before.
    pub fn is_none(&self) -> bool {
        self.before == self.after
    }

    pub fn assert_none(&self) {
        assert!(self.is_none(), "{}\nbefore {:?}\nafter {:?}", self.report, self.before, self.after);
    }

    /// Prints one line of JSON.
    pub fn print(&self, incident: &str, iterations: usize, more: &Value) {
        let mut line = json!({ "incident": incident, "iterations": iterations });
        for (what, before, after) in self.figures() {
            line[what] = json!([before, after]);
        }
        for (what, value) in more.as_object().expect("an object") {
            line[what] = value.clone();
        }
        println!("{line}");
    }
}

thread_local! {
    static ROLLBACK_IS_DENIED: Cell<bool> = const { Cell::new(false) };
}

/// Runs this while every `ROLLBACK` that is prepared on this thread is refused, on connections that [`watch_rollbacks`]
/// has seen.
pub fn while_rollback_is_denied<T>(work: impl FnOnce() -> T) -> T {
    struct Allowed;
    impl Drop for Allowed {
        fn drop(&mut self) {
            ROLLBACK_IS_DENIED.set(false);
        }
    }
    ROLLBACK_IS_DENIED.set(true);
    let _allowed = Allowed;
    work()
}

unsafe extern "C" fn authorize(
    _: *mut c_void,
    action: c_int,
    operation: *const c_char,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    if action != ffi::SQLITE_TRANSACTION || !ROLLBACK_IS_DENIED.get() {
        return ffi::SQLITE_OK;
    }
    // SAFETY: c3ref/c_alter_table.html: for SQLITE_TRANSACTION it is the operation, NUL-terminated.
    if unsafe { CStr::from_ptr(operation) } == c"ROLLBACK" { ffi::SQLITE_DENY } else { ffi::SQLITE_OK }
}

/// A pool's `init`: from here on the connection asks whether it may roll back.
pub fn watch_rollbacks(conn: &mut Connection) -> Result<()> {
    // SAFETY: the connection is open, and the callback a function of this program that lives as long as it.
    let code = unsafe { ffi::sqlite3_set_authorizer(conn.as_raw(), Some(authorize), ptr::null_mut()) };
    assert_eq!(code, ffi::SQLITE_OK);
    Ok(())
}

/// A database with one table, in WAL mode, and nobody waiting for the disk.
pub fn database(directory: &Path) -> PathBuf {
    let path = directory.join("incident.db");
    let conn = finalite::OpenOptions::recommended().open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").unwrap();
    path
}

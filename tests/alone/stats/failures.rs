//! Failures, and what was left behind or forgotten.

use std::ffi::CStr;
use std::mem::forget;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use finalite::handles::HandleKind;
use finalite::stats::snapshot;
use finalite::{Connection, OpenOptions, ffi};

use super::{after_a_snapshot, json_of, named, of};
use crate::runner::cases;

cases![
    within after_a_snapshot:
    what_is_left_behind_is_listed,
    what_is_forgotten_is_listed,
    failures_are_counted_by_code,
    a_diff_says_what_happened,
];

/// A connection that is none of finalite's.
struct Stranger(*mut ffi::sqlite3);

impl Stranger {
    fn open(path: &Path) -> Self {
        let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut handle = ptr::null_mut();
        // SAFETY: the path is NUL-terminated and lives during the call.
        let code = unsafe { ffi::sqlite3_open(path.as_ptr(), &raw mut handle) };
        assert_eq!(code, ffi::SQLITE_OK);
        Self(handle)
    }

    fn execute(&self, sql: &CStr) {
        // SAFETY: the connection is open; c3ref/exec.html allows NULL for what is not wanted.
        let code = unsafe { ffi::sqlite3_exec(self.0, sql.as_ptr(), None, ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // SAFETY: the connection is open, and nobody else has it.
        assert_eq!(unsafe { ffi::sqlite3_close(self.0) }, ffi::SQLITE_OK);
    }
}

fn what_is_left_behind_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    assert!(snapshot().left_behind.is_empty());
    let (conn, line) = (OpenOptions::recommended().name("left").open(&path).unwrap(), line!());
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let id = of(&snapshot(), "left").id;
    // It shares with the first what the first has opened.
    let stranger = Stranger::open(&path);
    stranger.execute(c"SELECT count(*) FROM t");
    drop(conn);
    let stats = snapshot();
    let [left] = &stats.left_behind[..] else { panic!("{stats:?}") };
    assert_eq!((left.connection, left.opened_at.line()), (id, line));
    assert_eq!(left.bytes, stats.memory.orphaned_bytes);
    assert!(left.bytes > 0 && left.blocks > 0);
    let json = json_of(&stats);
    let orphaned = json["leaks"]["orphaned"].as_array().unwrap();
    assert_eq!(orphaned.len(), 1);
    assert_eq!((orphaned[0]["connection"].as_u64(), orphaned[0]["bytes"].as_u64()), (Some(id), Some(left.bytes)));
    assert_eq!(json["native"]["orphaned_bytes"], left.bytes);
    drop(stranger);
    let stats = snapshot();
    assert_eq!((stats.left_behind.len(), stats.memory.orphaned_bytes, stats.memory.bytes), (0, 0, 0));
}

fn what_is_forgotten_is_listed() {
    let before = snapshot();
    let conn = named("forgetful");
    let id = of(&snapshot(), "forgetful").id;
    let (statement, line) = (conn.prepare("SELECT 'forgotten here'").unwrap(), line!());
    forget(statement);
    assert_eq!(snapshot().forgotten, before.forgotten, "it is not found yet");
    drop(conn);
    let stats = snapshot();
    assert_eq!(stats.forgotten.statements - before.forgotten.statements, 1);
    let last = stats.forgotten_handles.last().unwrap();
    assert_eq!((last.kind, last.connection, last.opened_at.unwrap().line()), (HandleKind::Statement, id, line));
    assert_eq!(last.sql.as_deref(), Some("SELECT 'forgotten here'"));
    let json = json_of(&stats);
    assert_eq!(json["leaks"]["forgotten"]["statement"], stats.forgotten.statements);
    assert_eq!(json["leaks"]["forgotten"], json["handles"]["forgotten"]);
    let listed = json["leaks"]["forgotten_last"].as_array().unwrap();
    assert_eq!(listed.len(), stats.forgotten_handles.len());
    let last = listed.last().unwrap();
    assert_eq!((last["connection"].as_u64(), last["kind"].as_str()), (Some(id), Some("statement")));
    assert!(last["sql"].is_null() && last["sql_hash"].is_string());

    // The last 256 are kept, and all are counted.
    let conn = named("very forgetful");
    (0..300).for_each(|_| forget(conn.prepare("SELECT 2").unwrap()));
    drop(conn);
    let now = snapshot();
    assert_eq!(now.forgotten.statements - stats.forgotten.statements, 300);
    assert_eq!(now.forgotten_handles.len(), 256);
    assert!(now.forgotten_handles.iter().all(|handle| handle.sql.as_deref() == Some("SELECT 2")));
}

fn failures_are_counted_by_code() {
    let dir = tempfile::tempdir().unwrap();
    let count =
        |counts: &[(&str, u64)], code: &str| counts.iter().find(|(of, _)| *of == code).map_or(0, |(_, count)| *count);
    let before = snapshot();
    std::fs::write(
        dir.path().join("no.db"),
        "this is no database, though it is as long as a page's beginning is".repeat(20),
    )
    .unwrap();
    for _ in 0..3 {
        Connection::open(dir.path().join("nowhere/a.db")).unwrap_err();
    }
    for _ in 0..2 {
        OpenOptions::recommended().open(dir.path().join("no.db")).unwrap_err();
    }
    Connection::open("with a \0 within").unwrap_err();
    let stats = snapshot();
    for (code, expected) in [("SQLITE_CANTOPEN", 3), ("SQLITE_NOTADB", 2), ("none", 1)] {
        let (now, then) = (count(&stats.open_failures, code), count(&before.open_failures, code));
        assert_eq!(now - then, expected, "{code}");
        assert_eq!(json_of(&stats)["failures"]["open"][code], now);
    }
    assert_eq!(stats.close_failures, before.close_failures);

    let conn = Connection::open_in_memory().unwrap();
    let mut statement = ptr::null_mut();
    // SAFETY: the connection is open, the text NUL-terminated; the statement is finalized below.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut())
    };
    assert_eq!(code, ffi::SQLITE_OK);
    let refused = conn.close_or_return().unwrap_err();
    // SAFETY: it was prepared above, and is finalized once; its connection is open, since it could not be closed.
    unsafe { ffi::sqlite3_finalize(statement) };
    refused.into_connection().close().unwrap();
    let stats = snapshot();
    assert_eq!(count(&stats.close_failures, "SQLITE_BUSY") - count(&before.close_failures, "SQLITE_BUSY"), 1);
    assert_eq!(json_of(&stats)["failures"]["close"]["SQLITE_BUSY"], count(&stats.close_failures, "SQLITE_BUSY"));
}

fn a_diff_says_what_happened() {
    let empty = snapshot();
    let conn = named("diff");
    let statement = conn.prepare("SELECT 1").unwrap();
    let full = snapshot();
    let diff = full.diff(&empty);
    let own = conn.memory();
    assert_eq!((diff.bytes, diff.blocks), (own.bytes.cast_signed(), own.blocks.cast_signed()));
    assert_eq!((diff.opened.connections, diff.opened.statements, diff.closed.total()), (1, 1, 0));
    assert_eq!(diff.allocations - diff.frees, own.blocks);
    assert!(diff.allocated_bytes >= own.bytes);
    assert!(diff.elapsed > Duration::ZERO);
    assert!(diff.to_string().contains(&format!("{:+} bytes, {:+} blocks", diff.bytes, diff.blocks)), "{diff}");
    drop(statement);
    drop(conn);
    let back = snapshot().diff(&full);
    assert_eq!((back.bytes, back.blocks), (-diff.bytes, -diff.blocks));
    assert!(back.closed.connections == 1 && back.closed.statements == 1 && back.opened.total() == 0);
    assert_eq!((full.diff(&full).bytes, full.diff(&full).elapsed), (0, Duration::ZERO));
}

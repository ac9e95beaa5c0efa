//! Checkpoints: what each mode copies, waits for and reports.

use std::path::Path;
use std::time::Duration;

use finalite::{Checkpoint, CheckpointMode, Connection, ErrorKind, OpenOptions, ResultCode, sqlite};

use CheckpointMode::{Full, Noop, Passive, Restart, Truncate};

fn impatient() -> OpenOptions {
    OpenOptions::recommended().busy_timeout(Duration::ZERO).pragma("wal_autocheckpoint", 0)
}

fn filled(path: &Path) -> Connection {
    let conn = impatient().open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    conn
}

fn numbers(checkpoint: Checkpoint) -> (Option<u32>, Option<u32>) {
    (checkpoint.log_frames, checkpoint.checkpointed_frames)
}

fn log_bytes(path: &Path) -> u64 {
    std::fs::metadata(path.with_extension("db-wal")).unwrap().len()
}

#[test]
fn each_mode_copies_all_frames_that_nobody_holds() {
    for mode in [Passive, Full, Restart, Truncate] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = filled(&path);
        let checkpoint = conn.checkpoint(mode).unwrap();
        assert!(checkpoint.is_complete(), "{mode:?}");
        if mode == Truncate {
            assert_eq!((numbers(checkpoint), log_bytes(&path)), ((Some(0), Some(0)), 0));
        } else {
            assert!(checkpoint.log_frames > Some(0) && log_bytes(&path) > 0, "{mode:?}");
        }
        conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
        assert!(conn.checkpoint(Passive).unwrap().is_complete(), "{mode:?}");
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 3);
    }
}

#[test]
fn noop_only_tells() {
    let dir = tempfile::tempdir().unwrap();
    let conn = filled(&dir.path().join("a.db"));
    if sqlite::version_number() < 3_051_000 {
        let error = conn.checkpoint(Noop).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
        return;
    }
    let before = conn.checkpoint(Noop).unwrap();
    assert!(before.log_frames > Some(0) && before.checkpointed_frames == Some(0) && !before.is_complete());
    assert_eq!(conn.checkpoint(Noop).unwrap(), before);
    assert_eq!(conn.checkpoint(Passive).unwrap().log_frames, before.log_frames);
    assert!(conn.checkpoint(Noop).unwrap().is_complete());
}

#[test]
fn a_reader_keeps_a_checkpoint_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = filled(&path);
    let reader = impatient().open(&path).unwrap();
    let mut statement = reader.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    let checkpoint = conn.checkpoint(Passive).unwrap();
    assert!(!checkpoint.is_complete() && checkpoint.checkpointed_frames > Some(0), "{checkpoint:?}");
    for mode in [Full, Restart, Truncate] {
        let error = conn.checkpoint(mode).unwrap_err();
        assert_eq!(error.code(), Some(ResultCode::BUSY), "{mode:?}: {error}");
        assert!(error.to_string().contains("a.db"), "{error}");
    }
    assert_eq!(conn.checkpoint(Passive).unwrap(), checkpoint, "as many as possible were copied");
    drop(rows);
    assert!(conn.checkpoint(Truncate).unwrap().is_complete());
}

#[test]
fn ones_own_transaction_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = filled(&dir.path().join("a.db"));
    for sql in ["SELECT a FROM t", "INSERT INTO t VALUES (3)"] {
        let tx = conn.transaction().unwrap();
        assert!(tx.checkpoint(Passive).is_ok(), "nothing was read yet");
        tx.execute(sql, ()).unwrap();
        for mode in [Passive, Truncate] {
            assert_eq!(tx.checkpoint(mode).unwrap_err().code(), Some(ResultCode::LOCKED), "{mode:?}");
        }
    }
    assert!(conn.checkpoint(Truncate).is_ok());
}

#[test]
fn a_database_without_a_log_has_no_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    for mode in [Passive, Full, Restart, Truncate] {
        assert_eq!(numbers(conn.checkpoint(mode).unwrap()), (None, None));
        assert_eq!(numbers(Connection::open_in_memory().unwrap().checkpoint(mode).unwrap()), (None, None));
    }
    assert!(conn.checkpoint(Passive).unwrap().is_complete());
}

/// SQLite learns the journal mode when it first reads the file.
#[test]
fn a_connection_that_has_read_nothing_checkpoints_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let _keep = filled(&path);
    let fresh = OpenOptions::new().open(&path).unwrap();
    assert!(fresh.checkpoint(Truncate).unwrap().log_frames.is_some());
    assert_eq!(log_bytes(&path), 0);
}

#[test]
fn attached_databases_are_checkpointed_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    drop(filled(&path));
    let conn = filled(&dir.path().join("a.db"));
    conn.attach(&path, "an \"odd\" name").unwrap().keep();
    conn.execute("INSERT INTO \"an \"\"odd\"\" name\".t VALUES (3)", ()).unwrap();
    assert!(log_bytes(&path) > 0);
    assert_eq!(numbers(conn.checkpoint_database("an \"odd\" name", Truncate).unwrap()), (Some(0), Some(0)));
    assert_eq!(log_bytes(&path), 0);
    assert!(log_bytes(&dir.path().join("a.db")) > 0, "the main database's is another");
    let error = conn.checkpoint_database("nowhere", Passive).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSuch { .. }), "{error}");
}

#[test]
fn a_busy_handler_that_panics_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = filled(&path);
    let other = impatient().open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let handler = conn.set_busy_handler(|_| std::panic::resume_unwind(Box::new("busy"))).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| conn.checkpoint(Full).map(drop)));
    assert!(result.is_err());
    drop(handler);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(conn.checkpoint(Full).unwrap().is_complete());
}

#[test]
fn a_read_only_connection_does_not_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let _keep = filled(&path);
    let reader = OpenOptions::new().read_only(true).open(&path).unwrap();
    for mode in [Passive, Truncate] {
        assert_eq!(reader.checkpoint(mode).unwrap_err().code(), Some(ResultCode::READONLY));
    }
    if sqlite::version_number() >= 3_051_000 {
        assert!(reader.checkpoint(Noop).unwrap().log_frames > Some(0));
    }
    assert_eq!(reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2);
    let path = dir.path().join("without.db");
    Connection::open(&path).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    let reader = OpenOptions::new().read_only(true).open(&path).unwrap();
    assert_eq!(numbers(reader.checkpoint(Full).unwrap()), (None, None));
}

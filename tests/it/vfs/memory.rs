//! Files in memory, as bytes and back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use finalite::vfs::Memory;

use super::{is_misuse, open, registered};

fn rows(memory: &Memory) -> i64 {
    let registration = registered(memory.clone());
    let count = open(&registration, "a.db").query_one("SELECT count(*) FROM t", ()).unwrap();
    registration.unregister().unwrap();
    count
}

#[test]
fn a_snapshot_is_put_back() {
    let memory = Memory::new();
    let registration = registered(memory.clone());
    let conn = open(&registration, "a.db");
    conn.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let before = memory.snapshot();
    let paths: Vec<&Path> = before.keys().map(PathBuf::as_path).collect();
    assert_eq!(paths, [Path::new("a.db"), Path::new("a.db-wal")]);
    conn.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    assert!(is_misuse(&memory.restore(before.clone()).unwrap_err()));
    conn.close().unwrap();
    assert_eq!(rows(&memory), 2);
    memory.restore(before.clone()).unwrap();
    assert_eq!(rows(&memory), 1);
    // The bytes are those of a database anywhere.
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in &before {
        std::fs::write(dir.path().join(path), bytes).unwrap();
    }
    let on_disk = finalite::Connection::open(dir.path().join("a.db")).unwrap();
    assert_eq!(on_disk.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1);
}

/// A snapshot amid a transaction is what a process that was killed leaves: the journal rolls it back.
#[test]
fn a_snapshot_amid_a_transaction_is_rolled_back() {
    for mode in ["delete", "truncate", "persist", "wal"] {
        let memory = Memory::new();
        let registration = registered(memory.clone());
        let conn = open(&registration, "a.db");
        conn.execute_batch(&format!("PRAGMA journal_mode = {mode}; PRAGMA cache_size = 5; CREATE TABLE t(a)")).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1); BEGIN").unwrap();
        for n in 0..60 {
            conn.execute("INSERT INTO t VALUES (zeroblob(?))", (n * 100,)).unwrap();
            let copy = Memory::new();
            copy.restore(memory.snapshot()).unwrap();
            assert_eq!(rows(&copy), 1, "{mode}");
        }
        conn.execute_batch("COMMIT").unwrap();
        let copy = Memory::new();
        copy.restore(memory.snapshot()).unwrap();
        assert_eq!(rows(&copy), 61, "{mode}");
    }
}

#[test]
fn files_end_with_their_names() {
    let memory = Memory::new();
    let registration = registered(memory.clone());
    let conn = open(&registration, "a.db");
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    drop(conn);
    assert_eq!(memory.snapshot().len(), 1);
    memory.restore(BTreeMap::new()).unwrap();
    assert!(memory.snapshot().is_empty());
    assert!(open(&registration, "a.db").query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    assert!(format!("{memory:?}{registration:?}").contains("open_files: 0"));
}

//! Databases that are only read: from bytes, and from a server of ranges.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finalite::vfs::ReadOnly;
use finalite::{Connection, OpenOptions, ResultCode};

use super::{open, registered};
use crate::common::leaked;

/// The bytes of a database in this mode, after its last connection has closed.
fn database(mode: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = OpenOptions::new().pragma("journal_mode", mode).open(&path).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a);
         WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT i, hex(zeroblob(200)) FROM n",
    )
    .unwrap();
    conn.close().unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn bytes_of_the_program_are_read_in_place_and_not_written() {
    for mode in ["delete", "wal"] {
        let registration = registered(ReadOnly::from_static(leaked::bytes(&database(mode))).unwrap());
        // Opened for writing, it is read only all the same.
        for read_only in [false, true] {
            let conn = OpenOptions::new().vfs(registration.name()).read_only(read_only).open("any.db").unwrap();
            assert_eq!(conn.is_readonly("main"), Some(true), "{mode}");
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 500);
            assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
            let error = conn.execute("DELETE FROM t", ()).unwrap_err();
            assert!(matches!(error.code(), Some(code) if code.primary() == ResultCode::READONLY), "{error}");
            // Temporary files are there.
            conn.execute_batch("PRAGMA temp_store = file; PRAGMA cache_size = 5; PRAGMA temp.cache_size = 5").unwrap();
            conn.execute_batch("CREATE TEMP TABLE u AS SELECT * FROM t").unwrap();
            assert_eq!(conn.query_all::<i64>("SELECT id FROM u ORDER BY a || id", ()).unwrap().len(), 500);
        }
        assert_eq!(registration.open_files(), 0);
    }
}

#[test]
fn a_reader_of_ranges_gets_those_that_sqlite_needs() {
    let object = database("delete");
    let (bytes, asked) = (object.len() as u64, Arc::new(AtomicU64::new(0)));
    let (counter, requests) = (Arc::clone(&asked), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&requests);
    let get = move |range: std::ops::Range<u64>| {
        counter.fetch_add(range.end - range.start, Ordering::Relaxed);
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(object[range.start as usize..range.end as usize].to_vec())
    };
    let registration = registered(ReadOnly::from_reader(bytes, get).unwrap());
    let conn = open(&registration, "remote.db");
    assert_eq!(conn.query_one::<i64>("SELECT length(a) FROM t WHERE id = 250", ()).unwrap(), 400);
    let one_row = asked.load(Ordering::Relaxed);
    assert!(one_row < bytes / 4, "{one_row} of {bytes}");
    let first = requests.load(Ordering::Relaxed);
    assert_eq!(conn.query_one::<i64>("SELECT length(a) FROM t WHERE id = 250", ()).unwrap(), 400);
    assert_eq!(requests.load(Ordering::Relaxed), first);
    assert_eq!(conn.query_one::<i64>("SELECT sum(length(a)) FROM t", ()).unwrap(), 200_000);
}

#[test]
fn a_reader_that_fails_or_lies_is_an_error() {
    type Reply = fn(&[u8], std::ops::Range<u64>) -> io::Result<Vec<u8>>;
    let object = database("delete");
    let replies: [Reply; 4] = [
        |_, _| Err(io::Error::from_raw_os_error(111)),
        |object, range| Ok(object[range.start as usize..range.end as usize - 1].to_vec()),
        |object, _| Ok(object.to_vec()),
        |_, _| Ok(Vec::new()),
    ];
    for reply in replies {
        let object = object.clone();
        let (bytes, first) = (object.len() as u64, AtomicU64::new(0));
        let get = move |range: std::ops::Range<u64>| {
            // The first page is right.
            let is_first = range.start == 0 && first.fetch_add(1, Ordering::Relaxed) < 3;
            if is_first { Ok(object[..range.end as usize].to_vec()) } else { reply(&object, range) }
        };
        let registration = registered(ReadOnly::from_reader(bytes, get).unwrap());
        let conn: Connection = open(&registration, "remote.db");
        let error = conn.query_one::<i64>("SELECT sum(length(a)) FROM t", ()).unwrap_err();
        assert_eq!(error.extended_code(), Some(ResultCode::IOERR_READ));
    }
}

//! Databases as bytes: what is serialized, what is deserialized, and bytes that are no database.

use std::mem::forget;
use std::path::Path;
use std::thread;

use finalite::{Connection, Error, ErrorKind, OpenOptions, ResultCode};

use crate::common::leaked;
use crate::common::random::Random;

fn fill(conn: &Connection) {
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE INDEX t_b ON t(b);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)
         INSERT INTO t SELECT i, randomblob(300), hex(randomblob(5)) FROM n;
         INSERT INTO t VALUES (1000, randomblob(20000), 'overflow');",
    )
    .unwrap();
}

fn filled() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    fill(&conn);
    conn
}

fn content(conn: &Connection) -> Vec<(i64, Vec<u8>, String)> {
    assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
    conn.query_all("SELECT id, a, b FROM t ORDER BY id", ()).unwrap()
}

fn is_misuse<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result.unwrap_err().kind(), ErrorKind::Misuse { .. })
}

#[test]
fn bytes_are_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    fill(&conn);
    let bytes = conn.serialize("main").unwrap();
    assert!(*bytes == std::fs::read(&path).unwrap());
    // They outlive their connection, and go to another thread.
    let expected = content(&conn);
    conn.close().unwrap();
    let found = thread::spawn(move || content(&Connection::deserialize(&bytes).unwrap())).join().unwrap();
    assert_eq!(found, expected);
}

#[test]
fn each_kind_of_database_is_serialized() {
    let dir = tempfile::tempdir().unwrap();
    let wal = OpenOptions::recommended().open(dir.path().join("a.db")).unwrap();
    wal.set_pragma("wal_autocheckpoint", 0).unwrap();
    let temporary = OpenOptions::new().open_temporary().unwrap();
    for conn in [Connection::open_in_memory().unwrap(), wal, temporary, Connection::deserialize(&[]).unwrap()] {
        fill(&conn);
        let copy = Connection::deserialize(&conn.serialize("main").unwrap()).unwrap();
        assert_eq!(content(&copy), content(&conn));
        // Both can be written, apart from each other.
        copy.execute("DELETE FROM t", ()).unwrap();
        conn.execute("INSERT INTO t(b) VALUES ('more')", ()).unwrap();
        let again = copy.serialize("main").unwrap();
        assert!(content(&Connection::deserialize(&again).unwrap()).is_empty());
    }
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("ATTACH ':memory:' AS \"a b\"; CREATE TABLE \"a b\".x(a); CREATE TEMP TABLE y(a)").unwrap();
    for (database, table) in [("a b", "x"), ("temp", "y")] {
        let copy = Connection::deserialize(&conn.serialize(database).unwrap()).unwrap();
        assert_eq!(copy.query_one::<String>("SELECT name FROM sqlite_schema", ()).unwrap(), table);
    }
}

#[test]
fn nothing_is_an_empty_database() {
    let empty = Connection::open_in_memory().unwrap();
    let bytes = empty.serialize("main").unwrap();
    for bytes in [&bytes[..], &[]] {
        let mut conn = Connection::deserialize(bytes).unwrap();
        assert!(!conn.exists("SELECT 1 FROM sqlite_schema", ()).unwrap());
        fill(&conn);
        assert_eq!(content(&conn).len(), 201);
        conn.deserialize_into("main", bytes).unwrap();
        assert!(!conn.exists("SELECT 1 FROM sqlite_schema", ()).unwrap());
        drop(Connection::deserialize_static(leaked::bytes(bytes)).unwrap());
    }
}

#[test]
fn a_page_of_zeros_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    // The last page of the value has no byte that is not 0.
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    let is_zero = |page: &[u8]| page.iter().all(|byte| *byte == 0);
    assert!(std::fs::read(&path).unwrap().chunks(4096).any(is_zero));
    let copy = Connection::deserialize(&conn.serialize("main").unwrap()).unwrap();
    assert_eq!(copy.query_one::<Vec<u8>>("SELECT a FROM t", ()).unwrap(), vec![0; 50_000]);
    // Pages that are not there.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(dir.path().join("b.db"), &bytes[..bytes.len() - 5000]).unwrap();
    let cut = Connection::open(dir.path().join("b.db")).unwrap();
    assert_eq!(cut.serialize("main").unwrap_err().code(), Some(ResultCode::CORRUPT));
}

#[test]
fn changes_that_are_not_committed_are_not_serialized() {
    let mut conn = filled();
    let tx = conn.transaction().unwrap();
    tx.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
    assert!(tx.serialize("main").is_ok(), "it only reads");
    tx.execute("DELETE FROM t", ()).unwrap();
    assert!(is_misuse(tx.serialize("main")));
    tx.rollback().unwrap();
    assert_eq!(content(&Connection::deserialize(&conn.serialize("main").unwrap()).unwrap()), content(&conn));
    for name in ["nowhere", "ma\0in"] {
        assert!(is_misuse(conn.serialize(name)), "{name}");
    }
}

#[test]
fn a_lock_of_another_connection_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let other = Connection::open(&path).unwrap();
    fill(&other);
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let conn = OpenOptions::new().busy_timeout(std::time::Duration::ZERO).open(&path).unwrap();
    let error = conn.serialize("main").unwrap_err();
    assert!(error.is_busy(), "{error}");
    other.execute_batch("COMMIT").unwrap();
    assert!(conn.serialize("main").is_ok());
}

#[test]
fn static_bytes_are_read_and_never_written() {
    let source = filled();
    let bytes = leaked::bytes(&source.serialize("main").unwrap());
    let before = bytes.to_vec();
    for _ in 0..2 {
        let conn = Connection::deserialize_static(bytes).unwrap();
        assert_eq!(content(&conn), content(&source));
        let error = conn.execute("DELETE FROM t", ()).unwrap_err();
        assert_eq!(error.code(), Some(ResultCode::READONLY), "{error}");
        for sql in ["VACUUM", "PRAGMA user_version = 3", "CREATE TABLE u(a)", "REINDEX"] {
            assert!(conn.execute(sql, ()).is_err(), "{sql}");
        }
        // It can be read through a map.
        conn.execute_batch("PRAGMA mmap_size = 1000000").unwrap();
        assert_eq!(content(&conn).len(), 201);
        conn.close().unwrap();
    }
    assert!(bytes == before);
}

#[test]
fn a_database_with_a_log_is_opened_without() {
    let dir = tempfile::tempdir().unwrap();
    let wal = OpenOptions::recommended().open(dir.path().join("a.db")).unwrap();
    fill(&wal);
    let bytes = wal.serialize("main").unwrap();
    assert_eq!(bytes[18..20], [2, 2]);
    let copy = Connection::deserialize(&bytes).unwrap();
    assert_eq!(content(&copy), content(&wal));
    copy.execute("DELETE FROM t", ()).unwrap();
    assert!(is_misuse(Connection::deserialize_static(leaked::bytes(&bytes))));
}

#[test]
fn another_database_of_the_connection_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let source = filled();
    let bytes = source.serialize("main").unwrap();
    let mut conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE in_file(a); ATTACH ':memory:' AS \"a b\"").unwrap();
    conn.deserialize_into("a b", &bytes).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM \"a b\".t", ()).unwrap(), 201);
    assert_eq!(conn.path().unwrap().file_name().unwrap(), "a.db");
    conn.deserialize_into("main", &bytes).unwrap();
    assert_eq!(content(&conn), content(&source));
    assert_eq!(conn.path(), None, "it is in memory");
    conn.execute("DELETE FROM main.t", ()).unwrap();
    // The file has not changed, and is closed.
    let file = Connection::open(&path).unwrap();
    assert!(file.exists("SELECT 1 FROM in_file", ()).is_ok());
    for name in ["nowhere", "temp"] {
        assert_eq!(conn.deserialize_into(name, &bytes).unwrap_err().code(), Some(ResultCode::ERROR), "{name}");
    }
    assert!(is_misuse(conn.deserialize_into("ma\0in", &bytes)));
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let mut conn = filled();
    let bytes = conn.serialize("main").unwrap();
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    forget(rows);
    forget(statement);
    let error = conn.deserialize_into("main", &bytes).unwrap_err();
    assert!(error.code() == Some(ResultCode::ERROR) || error.is_busy(), "{error}");
    assert_eq!(content(&conn).len(), 201);
}

#[test]
fn rule_17_the_memory_belongs_to_one_owner() {
    let source = filled();
    let expected = content(&source);
    let bytes = source.serialize("main").unwrap();
    let copy = {
        let own = bytes.to_vec();
        Connection::deserialize(&own).unwrap()
    };
    assert_eq!(content(&copy), expected, "the bytes that it was made of are gone");
    // What is serialized is a copy: the database is written, and grows, and is closed.
    let first = copy.serialize("main").unwrap();
    copy.execute("UPDATE t SET a = randomblob(5000)", ()).unwrap();
    drop(copy);
    assert!(first[..] == bytes[..]);
    drop(source);
    assert_eq!(content(&Connection::deserialize(&bytes).unwrap()), expected);
    assert_eq!(format!("{bytes:?}"), format!("Serialized {{ len: {}, .. }}", bytes.len()));
}

#[test]
fn a_limit_holds() {
    let conn = Connection::deserialize(&filled().serialize("main").unwrap()).unwrap();
    let size = conn.serialize("main").unwrap().len() as u64;
    assert_eq!(conn.set_size_limit("main", 0).unwrap(), size, "not less than the current size");
    let error = conn.execute("INSERT INTO t VALUES (2000, randomblob(50000), 'x')", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::FULL), "{error}");
    assert_eq!(conn.set_size_limit("main", size + 100_000).unwrap(), size + 100_000);
    conn.execute("INSERT INTO t VALUES (2000, randomblob(50000), 'x')", ()).unwrap();
    for (conn, name) in [(&conn, "nowhere"), (&Connection::open_in_memory().unwrap(), "main")] {
        assert!(is_misuse(conn.set_size_limit(name, 1)), "{name}");
    }
}

/// Bytes that were a database: each is an error, or a database that can be read until an error. 1,000 of them with
/// `FINALITE_LONG_RUN` set, 100 without.
#[test]
fn malformed_databases_are_errors() {
    let count = if std::env::var_os("FINALITE_LONG_RUN").is_some() { 1_000 } else { 100 };
    let good = filled().serialize("main").unwrap();
    let (mut refused, mut failed) = (0, 0);
    for seed in 0..count {
        let mut random = Random::new(17, seed);
        let mut bytes = good.to_vec();
        match random.below(4) {
            0 => bytes.truncate(random.below(bytes.len())),
            1 => {
                let len = random.below(10_000);
                bytes = random.bytes(len);
            }
            // In the header or in the schema, and anywhere.
            kind => {
                let end = if kind == 2 { 4096 } else { bytes.len() };
                for _ in 0..=random.below(30) {
                    let at = random.below(end);
                    bytes[at] = random.next().to_le_bytes()[0];
                }
            }
        }
        let check = |conn: &Connection| -> finalite::Result<()> {
            conn.query_all::<String>("PRAGMA integrity_check", ())?;
            conn.query_all::<(i64, Option<Vec<u8>>)>("SELECT id, CAST(a AS BLOB) FROM t", ())?;
            conn.query_all::<i64>("SELECT id FROM t WHERE b > 'A' ORDER BY b", ())?;
            conn.serialize("main")?;
            conn.execute("UPDATE t SET b = hex(b), a = randomblob(900)", ())?;
            conn.execute("DELETE FROM t WHERE id % 2", ())?;
            conn.execute_batch("VACUUM")
        };
        match Connection::deserialize(&bytes) {
            Ok(conn) => failed += usize::from(check(&conn).is_err()),
            Err(_) => refused += 1,
        }
        if seed % 5 == 0
            && let Ok(conn) = Connection::deserialize_static(leaked::bytes(&bytes))
        {
            let _ = check(&conn);
        }
    }
    assert!(refused > count as usize / 10 && failed > count as usize / 10, "{refused}, {failed}");
}

#[test]
fn a_file_of_another_kind_is_not_a_database() {
    for path in ["Cargo.toml", "docs/scan.png", "src/lib.rs"] {
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let error = Connection::deserialize(&bytes).unwrap_err();
        assert_eq!(error.code(), Some(ResultCode::NOTADB), "{path}: {error}");
    }
}

//! Blobs: reading, writing, seeking, what they are opened on, and when they expire.

use std::error::Error as _;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::mem::forget;

use finalite::data::{Access, Blob, BlobAddress};
use finalite::handles;
use finalite::{BlobObstacle, Connection, Error, ErrorKind, ResultCode, Type, ZeroBlob};

use crate::common::random::Random;

const MIB: usize = 1 << 20;

fn connection() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a);
         INSERT INTO t VALUES (1, x'00010203040506070809'), (2, 'text'), (3, NULL), (4, 7), (5, 0.5), (6, x'')",
    )
    .unwrap();
    conn
}

fn open(conn: &Connection, rowid: i64) -> Blob<'_> {
    conn.blob(("t", "a", rowid), Access::ReadWrite).unwrap()
}

fn bytes(conn: &Connection, rowid: i64) -> Vec<u8> {
    conn.query_one("SELECT a FROM t WHERE id = ?", (rowid,)).unwrap()
}

fn is_expired(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::BlobExpired) && error.code() == Some(ResultCode::ABORT)
}

fn range(error: &Error) -> (u64, usize, u64) {
    match *error.kind() {
        ErrorKind::BlobRange { offset, bytes, len, .. } => (offset, bytes, len),
        _ => panic!("{error}"),
    }
}

#[test]
fn the_whole_of_a_value_is_read() {
    let conn = connection();
    let mut all = Vec::new();
    assert_eq!(open(&conn, 1).read_to_end(&mut all).unwrap(), 10);
    assert_eq!(all, bytes(&conn, 1));
    let mut text = String::new();
    conn.blob(("t", "a", 2), Access::ReadOnly).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    let mut empty = open(&conn, 6);
    assert!(empty.is_empty());
    assert_eq!(empty.read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(empty.write(&[1]).unwrap(), 0);
    empty.read_at(&mut [], 0).unwrap();
}

#[test]
fn a_zeroblob_of_50_mib_is_written_and_read_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", ()).unwrap();
    let piece: Vec<u8> = (0..251_u8).cycle().take(MIB + 7).collect();
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (1, ?)", (ZeroBlob(50 * MIB as u64),)).unwrap();
    let mut blob = open(&tx, 1);
    let mut written = 0;
    loop {
        match blob.write(&piece).unwrap() {
            0 => break,
            count => written += count,
        }
    }
    assert_eq!(written, 50 * MIB);
    blob.close().unwrap();
    tx.commit().unwrap();
    let mut reader = BufReader::with_capacity(100_000, conn.blob(("t", "a", 1), Access::ReadOnly).unwrap());
    let mut position = 0;
    loop {
        let read = reader.fill_buf().unwrap();
        if read.is_empty() {
            break;
        }
        let count = read.len();
        for (n, byte) in read.iter().enumerate() {
            let expected = piece[(position + n) % piece.len()];
            assert_eq!(*byte, expected, "{}", position + n);
        }
        position += count;
        reader.consume(count);
    }
    assert_eq!(position, 50 * MIB);
}

/// The same calls on a `Cursor`, whose rules are those of a file of fixed size.
#[test]
fn it_behaves_like_a_cursor_over_a_slice() {
    let conn = connection();
    conn.execute("UPDATE t SET a = zeroblob(20000) WHERE id = 1", ()).unwrap();
    let mut model = vec![0_u8; 20_000];
    let mut model = io::Cursor::new(&mut model[..]);
    let mut blob = open(&conn, 1);
    let mut random = Random::new(15, 0);
    for _ in 0..3_000 {
        let count = random.below(3_000);
        match random.below(5) {
            0 | 1 => {
                let (mut a, mut b) = (vec![9; count], vec![9; count]);
                assert_eq!(blob.read(&mut a).unwrap(), model.read(&mut b).unwrap());
                assert_eq!(a, b);
            }
            2 | 3 => {
                let data: Vec<u8> = (0..count).map(|n| u8::try_from(n % 256).unwrap()).collect();
                assert_eq!(blob.write(&data).unwrap(), model.write(&data).unwrap());
            }
            _ => {
                let offset = i64::try_from(random.below(50_000)).unwrap() - 25_000;
                let to = match random.below(3) {
                    0 => SeekFrom::Start(offset.unsigned_abs()),
                    1 => SeekFrom::End(offset),
                    _ => SeekFrom::Current(offset),
                };
                let (a, b) = (blob.seek(to), model.seek(to));
                assert_eq!(a.as_ref().ok(), b.as_ref().ok(), "{to:?}");
                assert_eq!(a.err().map(|error| error.kind()), b.err().map(|error| error.kind()));
            }
        }
        assert_eq!(blob.stream_position().unwrap(), model.position());
    }
    drop(blob);
    assert_eq!(bytes(&conn, 1), **model.get_ref());
}

#[test]
fn read_at_and_write_at_do_all_or_nothing() {
    let conn = connection();
    let mut blob = open(&conn, 1);
    let mut four = [0; 4];
    blob.read_at(&mut four, 6).unwrap();
    assert_eq!(four, [6, 7, 8, 9]);
    assert_eq!(range(&blob.read_at(&mut four, 7).unwrap_err()), (7, 4, 10));
    assert_eq!(range(&blob.write_at(&[1; 4], 7).unwrap_err()), (7, 4, 10));
    assert_eq!(range(&blob.read_at(&mut four, u64::MAX).unwrap_err()), (u64::MAX, 4, 10));
    assert_eq!(range(&blob.read_at(&mut [], 11).unwrap_err()), (11, 0, 10));
    blob.read_at(&mut [], 10).unwrap();
    blob.write_at(&[42; 4], 0).unwrap();
    assert_eq!(blob.stream_position().unwrap(), 0);
    blob.close().unwrap();
    assert_eq!(bytes(&conn, 1), [42, 42, 42, 42, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_blob_moves_to_another_row() {
    let conn = connection();
    let mut blob = open(&conn, 1);
    blob.seek(SeekFrom::Start(5)).unwrap();
    blob.reopen(2).unwrap();
    assert_eq!((blob.len(), blob.stream_position().unwrap()), (4, 0));
    let mut text = String::new();
    blob.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    for (rowid, expected) in [(99, BlobObstacle::NoSuchRow), (3, BlobObstacle::Value(Type::Null))] {
        let mut blob = open(&conn, 1);
        let error = blob.reopen(rowid).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::BlobUnavailable { obstacle, .. } if *obstacle == expected),
            "{error}"
        );
        assert!(!error.to_string().contains("99"), "a rowid is a value: {error}");
        for _ in 0..2 {
            assert!(is_expired(&blob.reopen(1).unwrap_err()));
            assert!(is_expired(&blob.read_at(&mut [0], 0).unwrap_err()));
        }
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    use Access::{ReadOnly, ReadWrite};
    use BlobObstacle::{
        ForeignKey, GeneratedColumns, Indexed, NoSuchColumn, NoSuchRow, NoSuchTable, Value, View, VirtualTable,
        WithoutRowid,
    };
    let conn = connection();
    conn.execute_batch(
        "CREATE VIEW v AS SELECT * FROM t;
         CREATE TABLE w(k PRIMARY KEY, a) WITHOUT ROWID;
         CREATE VIRTUAL TABLE f USING fts5(a);
         CREATE TABLE g(a, b AS (a));
         CREATE TABLE i(a, b, u UNIQUE); CREATE INDEX i_a ON i(a); INSERT INTO i VALUES ('a', 'b', 'u');
         CREATE TABLE e(a); CREATE INDEX e_a ON e(length(a)); INSERT INTO e VALUES ('a');
         CREATE TABLE p(a REFERENCES t(id), b); INSERT INTO p VALUES (NULL, 'b');
         CREATE TABLE strange(\"co\"\"l\"); INSERT INTO strange VALUES ('x');",
    )
    .unwrap();
    for (table, column, rowid, access, expected) in [
        ("nowhere", "a", 1, ReadOnly, Some(NoSuchTable)),
        ("t", "nothing", 1, ReadOnly, Some(NoSuchColumn)),
        ("t", "a", 99, ReadOnly, Some(NoSuchRow)),
        ("t", "a", 3, ReadOnly, Some(Value(Type::Null))),
        ("t", "a", 4, ReadOnly, Some(Value(Type::Integer))),
        ("t", "a", 5, ReadOnly, Some(Value(Type::Real))),
        ("t", "id", 1, ReadOnly, Some(Value(Type::Null))),
        ("v", "a", 1, ReadOnly, Some(View)),
        ("f", "a", 1, ReadOnly, Some(VirtualTable)),
        ("w", "a", 1, ReadOnly, Some(WithoutRowid)),
        ("g", "a", 1, ReadOnly, Some(GeneratedColumns)),
        ("i", "a", 1, ReadWrite, Some(Indexed)),
        ("i", "u", 1, ReadWrite, Some(Indexed)),
        ("e", "a", 1, ReadWrite, Some(Indexed)),
        ("p", "a", 1, ReadWrite, Some(ForeignKey)),
        ("i", "a", 1, ReadOnly, None),
        ("i", "b", 1, ReadWrite, None),
        ("p", "b", 1, ReadWrite, None),
        ("strange", "co\"l", 1, ReadWrite, None),
        ("T", "A", 1, ReadWrite, None),
    ] {
        let result = conn.blob((table, column, rowid), access);
        let Some(expected) = expected else {
            assert!(result.is_ok(), "{table}.{column}: {result:?}");
            continue;
        };
        let error = result.unwrap_err();
        let ErrorKind::BlobUnavailable { table: t, column: c, obstacle, .. } = error.kind() else {
            panic!("{table}.{column}: {error}");
        };
        assert_eq!((&**t, &**c, *obstacle), (table, column, expected));
        assert_eq!(error.code(), Some(ResultCode::ERROR));
        assert!(error.to_string().contains(&expected.to_string()), "{error}");
    }
    let address = BlobAddress::new("t", "a", 1);
    let error = conn.blob(address.in_database("nowhere"), ReadOnly).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BlobUnavailable { obstacle: NoSuchTable, .. }), "{error}");
    let error = conn.blob(("t\0", "a", 1), ReadOnly).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    // The connection works on, and nothing is left open.
    assert_eq!(conn.execute("DELETE FROM t WHERE id = 1", ()).unwrap(), 1);
    conn.close().unwrap();
}

#[test]
fn other_databases_have_blobs() {
    let conn = connection();
    conn.execute_batch(
        "ATTACH ':memory:' AS \"a b\"; CREATE TABLE \"a b\".t(a); INSERT INTO \"a b\".t VALUES ('attached');
         CREATE TEMP TABLE u(a); INSERT INTO u VALUES ('temporary')",
    )
    .unwrap();
    for (table, database, expected) in [("t", "a b", "attached"), ("u", "temp", "temporary")] {
        let address = BlobAddress::new(table, "a", 1).in_database(database);
        let mut text = String::new();
        conn.blob(address, Access::ReadOnly).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

#[test]
fn several_are_open_at_once_and_see_each_other() {
    let conn = connection();
    let (mut a, b, c) = (open(&conn, 1), open(&conn, 1), open(&conn, 2));
    a.write_at(b"seen", 0).unwrap();
    let (mut from_b, mut from_c) = ([0; 4], [0; 4]);
    b.read_at(&mut from_b, 0).unwrap();
    c.read_at(&mut from_c, 0).unwrap();
    assert_eq!((&from_b, &from_c), (b"seen", b"text"));
    // So does SQL, and writing another row leaves them.
    assert!(bytes(&conn, 1).starts_with(b"seen"));
    conn.execute("UPDATE t SET a = 8 WHERE id = 4", ()).unwrap();
    a.write_at(b"Seen", 0).unwrap();
    c.read_at(&mut from_c, 0).unwrap();
}

type Change = (&'static str, &'static str);

const CHANGES: &[Change] = &[
    ("update", "UPDATE t SET a = 'new' WHERE id = 1"),
    ("update to itself", "UPDATE t SET a = a WHERE id = 1"),
    ("delete", "DELETE FROM t WHERE id = 1"),
    ("replace", "REPLACE INTO t VALUES (1, 'new')"),
    ("delete all", "DELETE FROM t"),
];

#[test]
fn rule_16_a_blob_whose_row_changed_has_expired_for_ever() {
    for (name, sql) in CHANGES {
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let conn = connection();
            let mut blob = conn.blob(("t", "a", 1), access).unwrap();
            conn.execute(sql, ()).unwrap();
            conn.execute("INSERT OR REPLACE INTO t VALUES (1, zeroblob(10))", ()).unwrap();
            for _ in 0..2 {
                assert!(is_expired(&blob.read_at(&mut [0; 2], 0).unwrap_err()), "{name}");
                let error = blob.read(&mut [0; 2]).unwrap_err();
                assert!(is_expired(error.get_ref().unwrap().downcast_ref().unwrap()), "{name}");
                assert!(is_expired(&blob.read_at(&mut [0; 2], 1000).unwrap_err()), "{name}: not its range");
                assert!(is_expired(&blob.reopen(2).unwrap_err()), "{name}");
                if access == Access::ReadWrite {
                    assert!(is_expired(&blob.write_at(&[1], 0).unwrap_err()), "{name}");
                    assert!(blob.write(&[1]).is_err(), "{name}");
                }
            }
            drop(blob);
            assert_eq!(bytes(&conn, 1), [0; 10], "{name}");
        }
    }
}

#[test]
fn rule_16_a_rollback_ends_a_blob_that_writes() {
    let conn = connection();
    conn.execute_batch("BEGIN").unwrap();
    let mut blob = open(&conn, 1);
    blob.write_at(b"lost", 0).unwrap();
    conn.execute_batch("ROLLBACK").unwrap();
    for _ in 0..2 {
        assert!(is_expired(&blob.read_at(&mut [0; 4], 0).unwrap_err()));
        assert!(is_expired(&blob.write_at(b"late", 0).unwrap_err()));
    }
    drop(blob);
    assert_eq!(bytes(&conn, 1)[..4], [0, 1, 2, 3]);
}

#[test]
fn rule_16_a_forgotten_blob_is_closed_with_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('aaaa')").unwrap();
    let mut blob = conn.blob(("t", "a", 1), Access::ReadWrite).unwrap();
    blob.write_at(b"bb", 0).unwrap();
    forget(blob);
    let other = Connection::open(&path).unwrap();
    other.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(other.execute("DELETE FROM t", ()).unwrap_err().is_busy(), "it holds the lock");
    conn.close().unwrap();
    assert_eq!(other.query_one::<String>("SELECT a FROM t", ()).unwrap(), "bbaa");
    assert_eq!(other.execute("DELETE FROM t", ()).unwrap(), 1);
}

#[test]
fn an_io_error_contains_the_error_of_finalite() {
    let conn = connection();
    let mut blob = open(&conn, 1);
    conn.execute("DELETE FROM t", ()).unwrap();
    let error = io::copy(&mut blob, &mut io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Other);
    let inner: &Error = error.get_ref().unwrap().downcast_ref().unwrap();
    assert!(is_expired(inner));
    assert_eq!(error.to_string(), inner.to_string());
    // By `?`, in both directions.
    fn copy(blob: &mut Blob<'_>) -> finalite::Result<u64> {
        Ok(io::copy(blob, &mut io::sink())?)
    }
    assert!(is_expired(&copy(&mut blob).unwrap_err()));
    let foreign = Error::from(io::Error::from(io::ErrorKind::PermissionDenied));
    let source = foreign.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn a_blob_opened_for_reading_is_not_written() {
    let conn = connection();
    let mut blob = conn.blob(("t", "a", 1), Access::ReadOnly).unwrap();
    let error = blob.write_at(&[1], 0).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    assert!(blob.write(&[1]).is_err());
    let mut first = [9];
    blob.read_at(&mut first, 0).unwrap();
    assert_eq!(first, [0]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('a')").unwrap();
    let reader = finalite::OpenOptions::new().read_only(true).open(&path).unwrap();
    let error = reader.blob(("t", "a", 1), Access::ReadWrite).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::READONLY));
    assert_eq!(reader.blob(("t", "a", 1), Access::ReadOnly).unwrap().len(), 1);
}

#[test]
fn a_lock_of_another_connection_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES ('aaaa')").unwrap();
    let other = Connection::open(&path).unwrap();
    other.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    let blob = conn.blob(("t", "a", 1), Access::ReadWrite).unwrap();
    assert!(other.blob(("t", "a", 1), Access::ReadWrite).unwrap_err().is_busy());
    let reading = other.blob(("t", "a", 1), Access::ReadOnly).unwrap();
    // It keeps the change from being committed, which only `close` can tell.
    let mut blob = blob;
    blob.write_at(b"bb", 0).unwrap();
    conn.set_busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(blob.close().unwrap_err().is_busy());
    drop(reading);
    assert_eq!(conn.query_one::<String>("SELECT a FROM t", ()).unwrap(), "aaaa");
    let mut blob = conn.blob(("t", "a", 1), Access::ReadWrite).unwrap();
    blob.write_at(b"cc", 0).unwrap();
    blob.close().unwrap();
    assert_eq!(other.query_one::<String>("SELECT a FROM t", ()).unwrap(), "ccaa");
}

#[test]
fn within_an_ended_transaction_nothing_is_opened() {
    let mut conn = connection();
    let tx = conn.transaction().unwrap();
    tx.execute_batch("ROLLBACK").unwrap();
    let error = tx.blob(("t", "a", 1), Access::ReadWrite).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TransactionEnded), "{error}");
}

#[test]
fn within_a_callback_nothing_is_opened() {
    thread_local! {
        static CONN: std::cell::OnceCell<Connection> = const { std::cell::OnceCell::new() };
    }
    CONN.with(|cell| {
        let conn = cell.get_or_init(connection);
        let open_in_callback = || {
            CONN.with(|cell| {
                let result = cell.get().unwrap().blob(("t", "a", 1), Access::ReadOnly);
                matches!(result.unwrap_err().kind(), ErrorKind::Misuse { .. })
            })
        };
        conn.create_scalar_function("is_refused", open_in_callback).unwrap();
        assert!(conn.query_one::<bool>("SELECT is_refused()", ()).unwrap());
        assert_eq!(open(conn, 1).len(), 10);
    });
}

#[test]
fn it_is_listed_among_the_handles() {
    let conn = connection();
    let (blob, line) = (conn.blob(("t", "a", 1), Access::ReadWrite).unwrap(), line!());
    let is_ours = |record: &handles::OpenHandle| record.opened_at.file() == file!() && record.opened_at.line() == line;
    let records = handles::live().records;
    let record = records.iter().find(|record| is_ours(record)).unwrap();
    assert_eq!((record.kind, record.kind.name()), (handles::HandleKind::Blob, "blob"));
    assert!(format!("{blob:?}").starts_with("Blob { table: \"t\", column: \"a\", len: 10, position: 0"), "{blob:?}");
    drop(blob);
    assert!(!handles::live().records.iter().any(is_ours));
}

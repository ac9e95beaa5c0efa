//! Encrypted databases: keys, wrong ones, other ones, and who else reads the file.

use std::fs;
use std::path::Path;

use finalite::pool::Pool;
use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, Key, OpenOptions, ResultCode};

const SECRET: &str = "s3cr3t-passphrase";
const STORED: &str = "a text that is stored, long enough to be found";

fn options() -> OpenOptions {
    OpenOptions::new().key(Key::passphrase(SECRET))
}

fn create(path: &Path) {
    let conn = options().open(path).unwrap();
    conn.execute_batch("CREATE TABLE t(a INTEGER PRIMARY KEY, b)").unwrap();
    for n in 0..200 {
        conn.execute("INSERT INTO t VALUES (?, ?)", (n, STORED)).unwrap();
    }
}

fn count(conn: &Connection) -> i64 {
    conn.query_one("SELECT count(*) FROM t", ()).unwrap()
}

fn has(path: &Path, text: &str) -> bool {
    fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[test]
fn a_file_is_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let (path, plain) = (dir.path().join("a.db"), dir.path().join("plain.db"));
    create(&path);
    assert!(!has(&path, STORED) && !has(&path, "SQLite format 3"));
    assert_eq!(count(&options().open(&path).unwrap()), 200);
    // Without a key it is not encrypted.
    Connection::open(&plain)
        .unwrap()
        .execute_batch(&format!("CREATE TABLE t(a); INSERT INTO t VALUES ('{STORED}')"))
        .unwrap();
    assert!(has(&plain, STORED));
}

#[test]
fn another_key_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    create(&path);
    let wrong = OpenOptions::new().key(Key::passphrase("other"));
    let error = wrong.open(&path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WrongKey), "{error}");
    assert_eq!(error.code(), Some(ResultCode::NOTADB));
    // Without a key.
    let error = Connection::open(&path).unwrap().query_one::<i64>("SELECT count(*) FROM t", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::NOTADB));
    // A key for a file that is not encrypted.
    let plain = dir.path().join("plain.db");
    Connection::open(&plain).unwrap().execute("CREATE TABLE t(a)", ()).unwrap();
    assert!(matches!(options().open(&plain).unwrap_err().kind(), ErrorKind::WrongKey));
}

#[test]
fn a_key_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    create(&path);
    let raw = Key::raw(&[0xa5; 32]);
    let mut conn = options().open(&path).unwrap();
    let tx = conn.transaction().unwrap();
    assert!(matches!(tx.rekey(&raw).unwrap_err().kind(), ErrorKind::Misuse { .. }));
    drop(tx);
    conn.rekey(&raw).unwrap();
    assert_eq!(count(&conn), 200);
    conn.close().unwrap();
    assert!(matches!(options().open(&path).unwrap_err().kind(), ErrorKind::WrongKey));
    assert_eq!(count(&OpenOptions::new().key(raw).open(&path).unwrap()), 200);
}

#[test]
fn a_database_is_encrypted_and_decrypted_by_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let [plain, encrypted, again] = ["plain.db", "encrypted.db", "again.db"].map(|name| dir.path().join(name));
    let conn = Connection::open(&plain).unwrap();
    conn.execute_batch(&format!("CREATE TABLE t(a); INSERT INTO t VALUES ('{STORED}')")).unwrap();
    conn.export_encrypted(&encrypted, &Key::raw_with_salt(&[3; 48])).unwrap();
    assert!(!has(&encrypted, STORED));
    let copy = OpenOptions::new().key(Key::raw_with_salt(&[3; 48])).open(&encrypted).unwrap();
    assert_eq!(count(&copy), 1);
    copy.export_decrypted(&again).unwrap();
    assert!(has(&again, STORED));
    assert_eq!(count(&Connection::open(&again).unwrap()), 1);
    // A file that has the tables is left as it is, and nothing remains attached.
    let error = copy.export_decrypted(&again).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    assert_eq!(copy.query_all::<String>("SELECT name FROM pragma_database_list", ()).unwrap(), ["main"]);
}

#[test]
fn a_pool_has_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    create(&path);
    let pool = Pool::builder(&path).options(options()).readers(2).build().unwrap();
    assert_eq!(count(&pool.reader().unwrap()), 200);
    pool.write(|tx| tx.execute("DELETE FROM t WHERE a = 1", ())).unwrap();
    assert_eq!(count(&pool.reader().unwrap()), 199);
    assert!(pool.close().is_clean());
    assert!(!has(&path, STORED));
}

#[test]
fn the_page_reader_steps_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    create(&path);
    let conn = options().open(&path).unwrap();
    for threads in [1, 2] {
        let mut sum = 0;
        let scan = conn.scan("SELECT a, b FROM t", ()).strategy(ScanStrategy::Pages).threads(threads);
        scan.batches(64, |batch| {
            sum += batch.column(0)?.iter_i64()?.map(Option::unwrap).sum::<i64>();
            Ok::<_, Error>(())
        })
        .unwrap();
        assert_eq!(sum, 199 * 100);
    }
    let plan = conn.scan("SELECT a, b FROM t", ()).strategy(ScanStrategy::Pages).plan().unwrap();
    assert_ne!(plan.strategy, ScanStrategy::Pages, "{plan:?}");
}

#[test]
fn no_key_is_shown() {
    let key = Key::passphrase(SECRET);
    let shown = format!("{key:?} {:?} {:?}", options(), Key::raw(&[0xa5; 32]));
    assert!(!shown.contains(SECRET) && !shown.contains("a5a5"), "{shown}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    create(&path);
    let error = OpenOptions::new().key(Key::passphrase("another-secret")).open(&path).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("another-secret"));
}

#[test]
fn an_encrypted_file_may_be_untrusted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    create(&path);
    let open = |key| OpenOptions::untrusted().key(Key::passphrase(key)).open(&path);
    assert_eq!(count(&open(SECRET).unwrap()), 200);
    assert!(matches!(open("other").unwrap_err().kind(), ErrorKind::WrongKey));
}

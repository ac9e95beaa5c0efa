//! Where the pages cannot be read SQLite runs the statement, and the plan says why. And what happens when the
//! connection writes, or is told to stop, while its pages are read.

use std::ffi::c_void;
use std::ops::ControlFlow;

use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, OpenOptions, ffi, vfs};

use crate::compare::both;

fn fill(conn: &Connection) {
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, v AS (a + 1), w AS (a * 2) STORED);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO t(a, b) SELECT -i, 'text ' || i FROM n;
         CREATE INDEX t_a ON t(a);
         CREATE TABLE k(a TEXT PRIMARY KEY, b) WITHOUT ROWID;
         INSERT INTO k SELECT b, a FROM t;
         CREATE VIEW plain AS SELECT b, a FROM t NOT INDEXED;
         CREATE VIEW filtered AS SELECT b, a FROM t WHERE a < -3;
         CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f SELECT b FROM t;
         CREATE TEMP TABLE temporary AS SELECT * FROM t;",
    )
    .unwrap();
}

fn file(dir: &tempfile::TempDir) -> Connection {
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    fill(&conn);
    conn
}

/// What a scan is run by; both paths read the same.
#[track_caller]
fn assert_path(conn: &Connection, sql: &str, path: ScanStrategy, reason: &str) {
    let (is_pages, rows) = both(conn, sql);
    let plan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
    assert_eq!(is_pages, path == ScanStrategy::Pages, "{sql}: {plan}");
    assert_eq!(plan.strategy, path, "{sql}: {plan}");
    assert!(plan.reason.contains(reason), "{sql}: {plan}");
    assert!(rows > 0, "{sql}");
}

#[test]
fn plain_scans_are_told_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    for sql in [
        "SELECT id, a, b, w FROM t NOT INDEXED",
        "  select rowid, B as x from main.t -- all of it\n ;",
        "SELECT t.b, t.id FROM t",
        "SELECT b FROM (SELECT a, b FROM t)",
        "SELECT * FROM plain",
        "SELECT b, b FROM t",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM f_content",
        ";; SELECT b FROM t",
    ] {
        assert_path(&conn, sql, ScanStrategy::Pages, "a plain scan of a table");
    }
    for sql in ["SELECT a FROM t", "SELECT rowid FROM t", "SELECT * FROM k", "SELECT b, a FROM main.k ORDER BY a"] {
        assert_path(&conn, sql, ScanStrategy::Pages, "a plain scan of an index, or of a table without rowids");
    }
    for sql in [
        "SELECT * FROM t",
        "SELECT v FROM t",
        "SELECT a + 1, b FROM t",
        "SELECT b FROM t WHERE b LIKE 'text 4%'",
        "SELECT b FROM t WHERE length(b) > 4",
        "SELECT b FROM t WHERE b <> x'00'",
        "SELECT b FROM t WHERE a < -4",
        // Searches in an index.
        "SELECT a FROM t WHERE a < -4",
        "SELECT id, a FROM t WHERE a >= -400 AND a < -4",
        "SELECT a FROM t WHERE a IN (-4, -5, -6)",
        "SELECT a FROM t WHERE a = -4 AND id > 1",
        "SELECT * FROM k WHERE a > 'text 4'",
        "SELECT b FROM k WHERE a < 'text 4'",
        "SELECT * FROM k WHERE a IN ('text 4', 'text 5', 'text 6')",
        "SELECT b FROM t WHERE b IN ('text 4', x'00', NULL, 'text 6')",
        "SELECT b FROM t WHERE b IN (SELECT 'text 4')",
        "SELECT b FROM t WHERE a IN (SELECT value FROM json_each('[-4, -5, -6]'))",
        "SELECT b FROM t WHERE b IN ('text 4', 'text 5', w, 'text 7')",
        "SELECT b FROM t WHERE (b, w) IN (('text 4', -8), ('text 5', -10), ('text 6', -12))",
        "SELECT b FROM t WHERE id IN (4, 5, 6)",
        "SELECT b FROM t WHERE id > 4 ORDER BY id DESC",
        "SELECT b FROM t WHERE id > 4 ORDER BY b",
        "SELECT b FROM t WHERE id > abs(-4)",
        "SELECT b FROM t WHERE b || '' = 'text 4'",
        "SELECT b FROM t WHERE b = (SELECT 'text 4')",
        "SELECT b FROM t WHERE CAST(b AS INTEGER) = 0",
        "SELECT b FROM t WHERE b > 'text 4' ORDER BY b",
        "SELECT b FROM t ORDER BY b",
        "SELECT b FROM t ORDER BY id DESC",
        "SELECT b FROM t LIMIT 5",
        "SELECT DISTINCT b FROM t",
        "SELECT count(b) FROM t",
        "SELECT b, 1 FROM t",
        "SELECT b FROM t UNION ALL SELECT b FROM t",
        "SELECT t.b, u.b FROM t JOIN t AS u ON u.id = t.id",
        "SELECT * FROM filtered",
        "SELECT * FROM f",
        "SELECT value FROM json_each('[1, 2]')",
        "SELECT rowid, b, (SELECT 1) FROM t",
    ] {
        assert_path(&conn, sql, ScanStrategy::Statement, "SQLite does more");
    }
    for sql in ["SELECT b FROM t WHERE b > 'text 4'", "SELECT id FROM t WHERE (b > 'text 4' AND w < 'x') OR b IS NULL"]
    {
        assert_path(&conn, sql, ScanStrategy::Pages, "a scan of a table with a condition");
    }
    for sql in ["SELECT b FROM t WHERE id > 4", "SELECT id, b FROM t WHERE id BETWEEN 5 AND 400 ORDER BY id"] {
        assert_path(&conn, sql, ScanStrategy::Pages, "a plain scan of a table");
    }
    for sql in [
        "SELECT b FROM t WHERE b IN ('text 4', 'text 5', 'text 6')",
        "SELECT b FROM t WHERE w NOT IN (-4, -6, '-8') AND id > 4",
    ] {
        assert_path(&conn, sql, ScanStrategy::Pages, "a scan of a table with a condition");
    }
    assert_path(&conn, "SELECT * FROM temporary", ScanStrategy::Statement, "a temporary table");
    assert_path(&conn, "VALUES (1), (2)", ScanStrategy::Statement, "not a SELECT");
    for sql in
        ["SELECT a, id FROM t INDEXED BY t_a WHERE id > 4 AND id <= 400", "SELECT a FROM k WHERE b NOT IN (-4, -5, -6)"]
    {
        assert_path(
            &conn,
            sql,
            ScanStrategy::Pages,
            "a scan of an index, or of a table without rowids, with a condition",
        );
    }
    conn.execute("PRAGMA reverse_unordered_selects = on", ()).unwrap();
    assert_path(&conn, "SELECT b FROM t", ScanStrategy::Statement, "SQLite does more");
}

#[test]
fn a_plan_is_that_of_the_scan_as_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    let plan = |sql| conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
    assert!(conn.scan("SELECT b FROM t", ()).plan().unwrap().reason.contains("not requested"));
    assert_eq!(conn.scan_table("t").select(["b"]).plan().unwrap().strategy, ScanStrategy::Pages);
    assert!(plan("UPDATE t SET a = 0 RETURNING a").reason.contains("not a SELECT"));
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE a = 0", ()).unwrap(), 0, "a plan runs nothing");
    conn.execute("INSERT INTO t(a, b) SELECT a, b FROM t, (VALUES (1), (2), (3), (4), (5), (6))", ()).unwrap();
    assert_eq!(plan("SELECT b FROM t").to_string(), "by reading the table's pages: it is a plain scan of a table");
    let error = conn.scan_table("t").select(["nowhere"]).columns().unwrap_err();
    assert!(error.to_string().contains("no such column: t.nowhere"), "{error}");
    let error = conn.scan_table("nowhere").all_columns().columns().unwrap_err();
    assert!(error.to_string().contains("no such table: nowhere"), "{error}");
}

#[test]
fn other_connections() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "SELECT id, b FROM t NOT INDEXED";
    let memory = Connection::open_in_memory().unwrap();
    fill(&memory);
    assert_path(&memory, sql, ScanStrategy::Statement, "in memory");
    let temporary = Connection::open("").unwrap();
    fill(&temporary);
    assert_path(&temporary, sql, ScanStrategy::Statement, "");

    let conn = file(&dir);
    let path = dir.path().join("a.db");
    conn.execute("ATTACH ? AS other", (path.to_str().unwrap(),)).unwrap();
    assert_path(&conn, "SELECT id, b FROM other.t NOT INDEXED", ScanStrategy::Pages, "");
    conn.execute("DETACH other", ()).unwrap();

    conn.execute("PRAGMA locking_mode = exclusive", ()).unwrap();
    conn.execute("UPDATE t SET a = a WHERE id = 1", ()).unwrap();
    assert_path(&conn, sql, ScanStrategy::Statement, "locking mode");
    conn.close().unwrap();

    // An exclusive connection has the index of its log to itself: it is not to be made, and looked at, as a file.
    let conn = OpenOptions::new().pragma("locking_mode", "exclusive").open(&path).unwrap();
    conn.execute("PRAGMA journal_mode = wal", ()).unwrap();
    conn.execute("UPDATE t SET a = a WHERE id = 1", ()).unwrap();
    assert_path(&conn, sql, ScanStrategy::Statement, "locking mode");
    assert!(path.with_extension("db-wal").exists() && !path.with_extension("db-shm").exists());
    conn.execute("PRAGMA journal_mode = delete", ()).unwrap();
    conn.close().unwrap();

    let conn = OpenOptions::new().vfs("unix-none").open(&path).unwrap();
    assert_path(&conn, sql, ScanStrategy::Statement, "exactly a shared lock");
    conn.close().unwrap();
    let conn = OpenOptions::new().read_only(true).open(&path).unwrap();
    assert_path(&conn, sql, ScanStrategy::Pages, "");
    conn.close().unwrap();
    let immutable = format!("file:{}?immutable=1", path.display());
    let conn = OpenOptions::new().read_only(true).uri(true).open(immutable).unwrap();
    assert_path(&conn, sql, ScanStrategy::Pages, "");
}

/// A file system that is not known to read as much as it is asked for.
#[test]
fn a_foreign_file_system() {
    vfs::register("pages-foreign", vfs::Memory::new()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    file(&dir).execute_batch("VACUUM INTO 'file:a.db?vfs=pages-foreign'").unwrap();
    let conn = OpenOptions::new().vfs("pages-foreign").open("a.db").unwrap();
    assert_path(&conn, "SELECT id, b FROM t NOT INDEXED", ScanStrategy::Statement, "not one of SQLite's own");
}

/// An authorizer that hides a column.
#[test]
fn an_authorizer_is_asked_as_for_the_statement() {
    unsafe extern "C" fn hide(
        _: *mut c_void,
        action: i32,
        _: *const std::ffi::c_char,
        column: *const std::ffi::c_char,
        _: *const std::ffi::c_char,
        _: *const std::ffi::c_char,
    ) -> i32 {
        // SAFETY: for SQLITE_READ it is the name of a column.
        let is_hidden = action == ffi::SQLITE_READ && unsafe { std::ffi::CStr::from_ptr(column) } == c"b";
        if is_hidden { ffi::SQLITE_IGNORE } else { ffi::SQLITE_OK }
    }
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    // SAFETY: the connection is open, and closed after the last statement; the function needs no data.
    unsafe { ffi::sqlite3_set_authorizer(conn.as_raw(), Some(hide), std::ptr::null_mut()) };
    assert_path(&conn, "SELECT id, b FROM t NOT INDEXED", ScanStrategy::Statement, "SQLite does more");
    assert_path(&conn, "SELECT id, a FROM t NOT INDEXED", ScanStrategy::Pages, "");
    let batch = conn.scan_table("t").select(["b"]).columns().unwrap();
    assert_eq!(batch.column(0).unwrap().null_count(), 500);
}

#[test]
fn transactions() {
    let sql = "SELECT id, b FROM t NOT INDEXED";
    for journal in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = file(&dir);
        conn.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
        assert_path(&conn, sql, ScanStrategy::Pages, "");
        {
            let tx = conn.transaction().unwrap();
            assert_eq!(
                tx.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap().strategy,
                ScanStrategy::Pages,
                "the first read"
            );
            let later = tx.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap();
            let expected = if journal == "wal" { ScanStrategy::Statement } else { ScanStrategy::Pages };
            assert_eq!(later.strategy, expected, "{journal}: {later}");
            tx.execute("UPDATE t SET b = 'other' WHERE id > 250", ()).unwrap();
            assert_path(&tx, sql, ScanStrategy::Statement, "write transaction");
        }
        assert_path(&conn, sql, ScanStrategy::Pages, "");
        // Others commit after the transaction has begun to read.
        let tx = conn.transaction().unwrap();
        tx.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
        if journal == "wal" {
            let other = Connection::open(dir.path().join("a.db")).unwrap();
            other.execute("DELETE FROM t WHERE id > 100", ()).unwrap();
            other.close().unwrap();
            assert_eq!(both(&tx, sql), (false, 500));
        }
        drop(tx);
    }
}

/// The closure writes to the table that is read, in every phase of the scan; what is there before and after is read
/// once.
#[test]
fn the_closure_writes() {
    for journal in ["delete", "truncate", "wal"] {
        for path in [None, Some(ScanStrategy::Pages)] {
            for at in [1, 300, 2_500, 9_000] {
                let dir = tempfile::tempdir().unwrap();
                let conn = Connection::open(dir.path().join("a.db")).unwrap();
                conn.execute_batch(&format!(
                    "PRAGMA journal_mode = {journal}; PRAGMA synchronous = off;
                     CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
                     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
                     INSERT INTO t SELECT i, 'some text to fill the page, and some more, row ' || i FROM n;"
                ))
                .unwrap();
                let mut seen: Vec<i64> = Vec::new();
                let scan = conn.scan("SELECT id, a FROM t", ());
                let scan = match path {
                    Some(path) => scan.strategy(path),
                    None => scan,
                };
                scan.for_each(|row| {
                    seen.push(row.get(0)?);
                    let text: String = row.get(1)?;
                    assert!(text.ends_with(&format!(" {}", seen.last().unwrap())), "{text}");
                    if seen.len() == at {
                        // What was seen goes, and some of what is to come, and the pages are used for something else.
                        conn.execute("DELETE FROM t WHERE id < ? OR id BETWEEN 5000 AND 7000", (seen[at - 1],))?;
                        conn.execute("CREATE TABLE u AS SELECT zeroblob(3000) FROM t LIMIT 300", ())?;
                        if journal == "wal" {
                            let other = Connection::open(dir.path().join("a.db"))?;
                            other.execute("PRAGMA wal_checkpoint(PASSIVE)", ())?;
                        }
                    }
                    Ok::<_, Error>(())
                })
                .unwrap();
                // What was deleted in time may be seen or not.
                let (deleted, kept): (Vec<i64>, Vec<i64>) = seen.iter().partition(|id| (5000..=7000).contains(*id));
                let expected: Vec<i64> = (1..5000).chain(7001..=10_000).collect();
                assert!(kept == expected, "{journal}, {path:?}, {at}: {}", kept.len());
                assert!(deleted.is_sorted() && seen.is_sorted());
            }
        }
    }
}

/// What a record is too short for is asked of SQLite, which may know another row by then.
#[test]
fn the_closure_changes_what_a_record_is_too_short_for() {
    for change in ["UPDATE t SET d = 'other' WHERE id = 2", "DELETE FROM t WHERE id = 2"] {
        for path in [ScanStrategy::Statement, ScanStrategy::Pages] {
            let dir = tempfile::tempdir().unwrap();
            let conn = Connection::open(dir.path().join("a.db")).unwrap();
            conn.execute_batch(
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a);
                 INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4);
                 ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'later';
                 UPDATE t SET d = 'full' WHERE id = 1;",
            )
            .unwrap();
            let mut seen = Vec::new();
            conn.scan("SELECT d AS e, id AS rowid, id AS a FROM t", ())
                .strategy(path)
                .for_each(|row| {
                    seen.push((row.get::<i64>("rowid")?, row.get::<String>("e")?));
                    assert_eq!(row.get::<i64>("a")?, seen.last().unwrap().0);
                    if seen.len() == 1 {
                        conn.execute(change, ())?;
                    }
                    Ok::<_, Error>(())
                })
                .unwrap();
            let second = change.starts_with("UPDATE").then_some((2, "other".to_owned()));
            let expected: Vec<_> = std::iter::once((1, "full".to_owned()))
                .chain(second)
                .chain([(3, "later".to_owned()), (4, "later".to_owned())])
                .collect();
            assert_eq!(seen, expected, "{change}, {path:?}");
        }
    }
}

/// A record that is too short for its table, where the row cannot be asked for by names.
#[test]
fn the_statement_goes_on_where_nobody_can_be_asked() {
    unsafe extern "C" fn deny_schema(
        _: *mut c_void,
        action: i32,
        table: *const std::ffi::c_char,
        _: *const std::ffi::c_char,
        _: *const std::ffi::c_char,
        _: *const std::ffi::c_char,
    ) -> i32 {
        // SAFETY: for SQLITE_READ it is the name of a table.
        let is_schema =
            action == ffi::SQLITE_READ && unsafe { std::ffi::CStr::from_ptr(table) }.to_bytes().starts_with(b"sqlite_");
        if is_schema { ffi::SQLITE_DENY } else { ffi::SQLITE_OK }
    }
    let make = |columns: &str| {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        conn.execute_batch(&format!(
            "CREATE TABLE t({columns});
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
             INSERT INTO t SELECT i, i + 1, i + 2 FROM n;
             ALTER TABLE t ADD COLUMN later DEFAULT 'later';
             UPDATE t SET later = 'full' WHERE {0} <= 500;
             UPDATE t SET later = 'full' WHERE {0} = 502;",
            columns.split(',').next().unwrap()
        ))
        .unwrap();
        (dir, conn)
    };
    let (_dir, without_name) = make("rowid, oid, _rowid_");
    let (_other, hidden) = make("a, b, c");
    // SAFETY: the connection is open, and closed after the last statement; the function needs no data.
    unsafe { ffi::sqlite3_set_authorizer(hidden.as_raw(), Some(deny_schema), std::ptr::null_mut()) };
    hidden.query_one::<i64>("SELECT rootpage FROM sqlite_schema", ()).unwrap_err();
    for conn in [&without_name, &hidden] {
        assert_path(conn, "SELECT * FROM t", ScanStrategy::Pages, "");
        for limit in [1, 499, 500, 501, 502, 503] {
            assert_eq!(conn.scan_table("t").all_columns().limit(limit).columns().unwrap().len() as u64, limit);
        }
    }
}

#[test]
fn an_interrupt_ends_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    conn.execute("INSERT INTO t(a, b) SELECT a, b FROM t, generate_series(1, 40)", ()).unwrap_err();
    conn.execute_batch(
        "WITH n(i) AS (SELECT a FROM t) INSERT INTO t(a, b) SELECT 1, zeroblob(900) FROM n, n LIMIT 20000",
    )
    .unwrap();
    let handle = conn.interrupt_handle();
    for path in [ScanStrategy::Statement, ScanStrategy::Pages] {
        let mut rows = 0;
        let error = conn
            .scan("SELECT id, b FROM t NOT INDEXED", ())
            .strategy(path)
            .for_each(|_| {
                rows += 1;
                if rows == 700 {
                    handle.interrupt();
                }
                Ok::<_, Error>(())
            })
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Interrupted), "{error:?}");
        assert!(rows < 20_000, "{rows}");
    }
    // The next scan is not stopped.
    assert!(
        conn.scan("SELECT id FROM t NOT INDEXED", ()).strategy(ScanStrategy::Pages).columns().unwrap().len() > 20_000
    );
}

#[test]
fn a_scan_of_pages_within_a_scan_of_pages() {
    let dir = tempfile::tempdir().unwrap();
    let conn = file(&dir);
    let mut pairs = 0;
    conn.scan("SELECT id, b FROM t NOT INDEXED", ())
        .strategy(ScanStrategy::Pages)
        .limit(20)
        .for_each(|row| {
            let id: i64 = row.get("id")?;
            let found = conn.scan("SELECT id, b FROM t NOT INDEXED", ()).strategy(ScanStrategy::Pages).try_for_each(
                |inner| {
                    pairs += 1;
                    Ok::<_, Error>(if inner.get::<i64>(0)? == id {
                        ControlFlow::Break(inner.get::<String>(1)?)
                    } else {
                        ControlFlow::Continue(())
                    })
                },
            )?;
            assert_eq!(found.as_deref(), Some(row.get::<&str>(1)?));
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(pairs, 210);
}

/// A row that goes on in other pages is read after the closure has written for another.
#[test]
fn a_long_row_after_a_write_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE u(a);
         INSERT INTO t VALUES (1, 'short'), (2, zeroblob(9000)), (3, 'short'), (4, zeroblob(9000));",
    )
    .unwrap();
    let mut ids = Vec::new();
    let scan = conn.scan_table("t").all_columns().strategy(ScanStrategy::Pages).for_each(|row| {
        ids.push(row.get::<i64>(0)?);
        if ids.len() == 1 {
            conn.execute("INSERT INTO u VALUES (1)", ())?;
        }
        Ok::<_, Error>(())
    });
    assert_eq!((scan.unwrap(), ids), (4, vec![1, 2, 3, 4]));
}

/// No value ever becomes the name of its column, nor that of another one.
#[test]
fn the_closure_alters_the_table() {
    for (alter, is_refused) in [
        ("ALTER TABLE t RENAME COLUMN d TO e", true),
        ("ALTER TABLE t DROP COLUMN c", true),
        ("ALTER TABLE t DROP COLUMN d", true),
        ("ALTER TABLE t ADD COLUMN e", true),
        ("CREATE TABLE other(a)", false),
        ("CREATE INDEX i ON t(c)", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        conn.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, c TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO t SELECT i, 'row ' || i FROM n;
             ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'later';",
        )
        .unwrap();
        let mut seen = 0;
        let outcome = conn.scan_table("t").all_columns().for_each(|row| {
            seen += 1;
            assert_eq!(row.get::<i64>(0)?, seen, "{alter}");
            assert_eq!(row.get::<&str>(1)?, format!("row {seen}"), "{alter}");
            assert_eq!(row.get::<&str>(2)?, "later", "{alter}");
            if seen == 100 {
                conn.execute(alter, ())?;
            }
            Ok::<_, Error>(())
        });
        match outcome {
            Ok(rows) => assert!(!is_refused && rows == 9000, "{alter}: {rows}"),
            Err(error) => assert!(is_refused && error.to_string().contains("was altered"), "{alter}: {error}"),
        }
    }
}

/// The names of the columns that are read stay, and their places do not: another column has the place of each.
#[test]
fn the_closure_drops_a_column_before_those_that_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, c TEXT, d TEXT, e TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
         INSERT INTO t SELECT i, 'c', 'd ' || i, 'e ' || i FROM n",
    )
    .unwrap();
    let mut seen = 0;
    let scan = conn.scan("SELECT id, d FROM t", ()).strategy(ScanStrategy::Pages);
    let outcome = scan.for_each(|row| {
        seen += 1;
        assert_eq!((row.get::<i64>(0)?, row.get::<&str>(1)?), (seen, &*format!("d {seen}")));
        if seen == 100 {
            conn.execute("ALTER TABLE t DROP COLUMN c", ())?;
        }
        Ok::<_, Error>(())
    });
    assert!(outcome.unwrap_err().to_string().contains("was altered"));
    assert!(seen >= 100);
}

#[test]
fn a_transaction_that_is_rolled_back_within_loses_and_repeats_nothing() {
    for journal in ["delete", "wal"] {
        for path in [ScanStrategy::Statement, ScanStrategy::Pages] {
            let dir = tempfile::tempdir().unwrap();
            let conn = Connection::open(dir.path().join("a.db")).unwrap();
            conn.execute_batch(&format!(
                "PRAGMA journal_mode = {journal}; CREATE TABLE t(id INTEGER PRIMARY KEY, a);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
                 INSERT INTO t SELECT i, 'some text to fill the page' FROM n;"
            ))
            .unwrap();
            let mut seen: Vec<i64> = Vec::new();
            conn.scan("SELECT id, a FROM t", ())
                .strategy(path)
                .for_each(|row| {
                    seen.push(row.get(0)?);
                    match seen.len() {
                        100 => conn.execute_batch("BEGIN; DELETE FROM t WHERE id BETWEEN 200 AND 1200")?,
                        1500 => conn.execute_batch("ROLLBACK")?,
                        _ => {}
                    }
                    Ok::<_, Error>(())
                })
                .unwrap();
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{journal}, {path:?}");
            let kept = seen.iter().filter(|id| !(200..=1200).contains(*id)).count();
            assert_eq!(kept, 10_000 - 1001, "{journal}, {path:?}");
        }
    }
}

#[cfg(not(sqlite_without_shared_cache))]
#[test]
fn a_shared_cache_is_left_to_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("file:{}?cache=shared", dir.path().join("a.db").display());
    let conn = OpenOptions::new().uri(true).open(&uri).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
    let plan = conn.scan_table("t").all_columns().plan().unwrap();
    assert_eq!(plan.strategy, ScanStrategy::Statement, "{plan}");
    assert_eq!(both(&conn, "SELECT a FROM t"), (false, 2));
}

/// The version that decides is the one for reading.
#[test]
fn a_file_that_tells_of_no_log_is_not_read_beside_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = wal; CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);
         PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (2), (3);",
    )
    .unwrap();
    for (write, read) in [(1, 2), (3, 2), (1, 1)] {
        let copy = dir.path().join(format!("{write}-{read}.db"));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[18..20].copy_from_slice(&[write, read]);
        std::fs::write(&copy, bytes).unwrap();
        std::fs::copy(dir.path().join("a.db-wal"), dir.path().join(format!("{write}-{read}.db-wal"))).unwrap();
        let other = Connection::open(&copy).unwrap();
        let rows =
            |path| other.scan("SELECT id FROM t NOT INDEXED", ()).strategy(path).columns().map(|batch| batch.len());
        let (by_sqlite, by_pages) = (rows(ScanStrategy::Statement), rows(ScanStrategy::Pages));
        assert_eq!(by_sqlite.ok(), by_pages.ok(), "{write} {read}");
    }
}

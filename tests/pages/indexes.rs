//! Index b-trees: tables without rowids, and indexes that have all columns that are asked for.

use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, OpenOptions};

use crate::common::cell::Cell;
use crate::compare::{self, both};

/// A table with an index, and one without rowids, of this many rows; each hundredth row is long.
fn fill(conn: &Connection, rows: usize) {
    conn.execute_batch(&format!(
        "PRAGMA synchronous = off;
         CREATE TABLE k(d, r REAL, a TEXT COLLATE NOCASE, b INTEGER, x BLOB, PRIMARY KEY(b DESC, a)) WITHOUT ROWID;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         INSERT INTO k SELECT iif(i % 5, i, NULL), i / 2.0, 'Text ' || (i * 7919 % {rows}), i / 3,
             zeroblob(iif(i % 100, i % 60, 3000)) FROM n;
         CREATE TABLE t(id INTEGER PRIMARY KEY, a REAL, b TEXT, c, v AS (c || b), u TEXT NOT NULL);
         INSERT INTO t(a, b, c, u) SELECT r, iif(b % 100, a, a || printf('%0*d', 3000, b)), d, b || ' ' || a FROM k;
         CREATE INDEX t_b ON t(b, a);
         CREATE INDEX t_c ON t(c DESC, b COLLATE RTRIM DESC);
         CREATE UNIQUE INDEX t_u ON t(u DESC);
         CREATE INDEX \"t (\" ON t ( a + -1 -- DESC
             DESC, c /* , */, b ASC);
         CREATE INDEX t_p ON t(c, b) WHERE b > 'Text 2' AND c <> 77 -- the end
             ;
         CREATE INDEX k_d ON k(d, r);"
    ))
    .unwrap();
}

/// Scans of index b-trees, and of which.
const SCANS: [(&str, &str); 17] = [
    ("SELECT * FROM k INDEXED BY sqlite_autoindex_k_1", "k"),
    ("SELECT r, a FROM k INDEXED BY sqlite_autoindex_k_1", "k"),
    ("SELECT b FROM k INDEXED BY sqlite_autoindex_k_1", "k"),
    ("SELECT x, b FROM k INDEXED BY sqlite_autoindex_k_1", "k"),
    ("SELECT b, a FROM k ORDER BY b DESC, a", "k"),
    ("SELECT r, d FROM k", "k_d"),
    ("SELECT a, r, b, d FROM k INDEXED BY k_d", "k_d"),
    ("SELECT a, b FROM t", "t_b"),
    ("SELECT rowid, b, id FROM t INDEXED BY t_b", "t_b"),
    ("SELECT rowid FROM t INDEXED BY t_b", "t_b"),
    ("SELECT b FROM t ORDER BY b, a", "t_b"),
    ("SELECT c, b FROM t INDEXED BY t_c", "t_c"),
    ("SELECT c, id FROM t INDEXED BY t_c", "t_c"),
    ("SELECT u FROM t INDEXED BY t_u", "t_u"),
    ("SELECT id, u FROM t INDEXED BY t_u", "t_u"),
    ("SELECT c FROM t INDEXED BY \"t (\"", "t ("),
    ("SELECT b, id, c FROM t INDEXED BY \"t (\"", "t ("),
];

const CONDITIONS: [(&str, &str); 13] = [
    ("SELECT * FROM k INDEXED BY sqlite_autoindex_k_1 WHERE r > 100", "k"),
    ("SELECT b FROM k INDEXED BY sqlite_autoindex_k_1 WHERE a = 'TEXT 77' OR d IS NULL", "k"),
    ("SELECT x FROM k INDEXED BY sqlite_autoindex_k_1 WHERE r < 1000 AND a > 'TEXT 5'", "k"),
    ("SELECT a FROM t INDEXED BY t_b WHERE a > 30 AND b <> 'x'", "t_b"),
    ("SELECT b, id FROM t INDEXED BY t_b WHERE a > 30 AND a < 400", "t_b"),
    ("SELECT id FROM t INDEXED BY t_b WHERE a > 30 OR b < 'Text 3'", "t_b"),
    ("SELECT c FROM t INDEXED BY t_p WHERE b > 'Text 2' AND c <> 77", "t_p"),
    ("SELECT b, rowid FROM t INDEXED BY t_p WHERE b > 'Text 2' AND c <> 77", "t_p"),
    ("SELECT b FROM t INDEXED BY t_c WHERE b > 'Text 5'", "t_c"),
    ("SELECT a, b FROM k INDEXED BY sqlite_autoindex_k_1 WHERE d IN (1, 7, 77, 401, 1203) OR r > 30", "k"),
    ("SELECT id FROM t INDEXED BY t_b WHERE a NOT IN (3, 4.5, 9, 'x') AND b <> 'x'", "t_b"),
    // The bounds of rowids are no range of an index.
    ("SELECT b, id FROM t INDEXED BY t_b WHERE id > 40 AND id <= 1400", "t_b"),
    ("SELECT c FROM t INDEXED BY t_p WHERE b > 'Text 2' AND c <> 77 AND id < 1400 AND c NOT IN (6, 7, 8)", "t_p"),
];

/// The root of the b-tree that a statement scans.
fn scanned(conn: &Connection, sql: &str) -> String {
    let opened = "SELECT p2 FROM bytecode(?) WHERE opcode = 'OpenRead'";
    let roots: Vec<i64> = match conn.query_all(opened, (sql,)) {
        Ok(roots) => roots,
        Err(_) => {
            let mut roots = Vec::new();
            let explain = format!("EXPLAIN {sql}");
            conn.scan(&explain, ())
                .for_each(|row| {
                    if row.get::<&str>(1)? == "OpenRead" {
                        roots.push(row.get(3)?);
                    }
                    Ok::<_, Error>(())
                })
                .unwrap();
            roots
        }
    };
    let [root] = roots[..] else { panic!("{sql}: {roots:?}") };
    conn.query_one("SELECT name FROM sqlite_schema WHERE rootpage = ?", (root,)).unwrap()
}

#[test]
fn scans_of_every_kind() {
    for (page_bytes, encoding, journal) in
        [(512, "UTF-8", "delete"), (1024, "UTF-16le", "wal"), (4096, "UTF-8", "wal"), (65_536, "UTF-16be", "delete")]
    {
        let dir = tempfile::tempdir().unwrap();
        let conn = OpenOptions::new()
            .pragma("encoding", encoding)
            .pragma("page_size", page_bytes)
            .open(dir.path().join("a.db"))
            .unwrap();
        conn.execute(&format!("PRAGMA journal_mode = {journal}"), ()).unwrap();
        fill(&conn, 1500);
        let is_utf8 = encoding == "UTF-8";
        for (sql, tree) in SCANS.into_iter().chain(CONDITIONS.into_iter().filter(|_| is_utf8)) {
            assert_eq!(scanned(&conn, sql), tree, "{sql}");
            let (is_pages, rows) = both(&conn, sql);
            assert!(
                is_pages && rows > 0,
                "{sql}: {}",
                conn.scan(sql, ()).strategy(ScanStrategy::Pages).plan().unwrap()
            );
        }
    }
}

/// Those of an attached database, beside tables and indexes of the same names.
#[test]
fn trees_of_an_attached_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    let conn = Connection::open(&path).unwrap();
    fill(&conn, 1500);
    conn.execute("CREATE TABLE u(a)", ()).unwrap();
    conn.close().unwrap();
    let conn = Connection::open(dir.path().join("main.db")).unwrap();
    fill(&conn, 100);
    for (sql, _) in SCANS.into_iter().chain(CONDITIONS) {
        let sql = sql.replace("FROM ", "FROM o.");
        conn.attach(":memory:", "x").unwrap().keep();
        conn.attach(&path, "o").unwrap().keep();
        let (is_pages, rows) = both(&conn, &sql);
        assert!(is_pages && rows > 100, "{sql}: {rows}");
        let expected = compare::read(conn.scan(&sql, ()), ScanStrategy::Statement).unwrap();
        // After `DETACH`, the database has another number.
        for (way, write) in WAYS.into_iter().zip(["INSERT INTO o.u VALUES (1)", "DETACH x"].into_iter().cycle()) {
            let (found, is_continued) = read_with_write(&conn, &sql, way, 50, write);
            compare::assert_same(&expected, &found, &format!("{sql}, {way:?}, {write}"));
            assert!(is_continued || !matches!(way, Way::Each), "{sql}, {way:?}, {write}");
            if write == "DETACH x" {
                conn.detach("o").unwrap();
                conn.attach(":memory:", "x").unwrap().keep();
                conn.attach(&path, "o").unwrap().keep();
                both(&conn, &sql);
            }
        }
        conn.detach("o").unwrap();
        conn.detach("x").unwrap();
    }
}

/// The rows that a scan from pages yields if the closure runs this SQL after so many rows, and whether the statement
/// read the last of them.
fn read_with_write(conn: &Connection, sql: &str, way: Way, at: usize, write: &str) -> (Vec<Vec<Cell>>, bool) {
    let (mut rows, mut plan, mut is_written) = (Vec::new(), None, false);
    let mut write_after = |rows: usize| {
        if rows >= at && !std::mem::replace(&mut is_written, true) {
            conn.execute_batch(write)?;
        }
        Ok::<_, Error>(())
    };
    let scan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).on_end(|it| plan = Some(it));
    match way {
        Way::Each => scan.for_each(|row| {
            let cells = (0..row.column_count()).map(|column| row.value(column).map(Cell::from));
            rows.push(cells.collect::<finalite::Result<_>>()?);
            write_after(rows.len())
        }),
        Way::Batches { threads, rows: size } => scan.threads(threads).batches(size, |batch| {
            rows.extend((0..batch.len()).map(|row| {
                (0..batch.columns().len()).map(|column| batch.value(row, column).unwrap().into()).collect::<Vec<_>>()
            }));
            write_after(rows.len())
        }),
    }
    .unwrap();
    (rows, plan.is_some_and(|plan| plan.reason.contains("wrote while its pages were read")))
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Each,
    Batches { threads: usize, rows: usize },
}

const WAYS: [Way; 4] = [
    Way::Each,
    Way::Batches { threads: 1, rows: 7 },
    Way::Batches { threads: 3, rows: 7 },
    Way::Batches { threads: 2, rows: 1000 },
];

/// A statement goes on after the last row that was read, by the values that order the rows: with NULL, in descending
/// order, by other collations, on overflow pages.
#[test]
fn a_write_loses_and_repeats_nothing() {
    for (encoding, page_bytes) in [("UTF-8", 512), ("UTF-8", 4096), ("UTF-16le", 1024)] {
        let dir = tempfile::tempdir().unwrap();
        let conn = OpenOptions::new()
            .pragma("encoding", encoding)
            .pragma("page_size", page_bytes)
            .open(dir.path().join("a.db"))
            .unwrap();
        conn.execute("CREATE TABLE u(a)", ()).unwrap();
        fill(&conn, 1800);
        let mut continued = 0;
        let is_utf8 = encoding == "UTF-8";
        for (sql, _) in SCANS.into_iter().chain(CONDITIONS.into_iter().filter(|_| is_utf8)) {
            let expected = compare::read(conn.scan(sql, ()), ScanStrategy::Statement).unwrap();
            for way in WAYS {
                for at in [1, 2, 50, 599, 1200] {
                    let (found, is_continued) = read_with_write(&conn, sql, way, at, "INSERT INTO u VALUES (1)");
                    compare::assert_same(&expected, &found, &format!("{sql}, {way:?}, {at}, {page_bytes}"));
                    continued += usize::from(is_continued);
                }
            }
        }
        // Positive control: pages were read, and given up.
        assert!(continued > 150, "{continued}");
    }
}

const TREES: [&str; 2] = [
    "CREATE TABLE t(id INTEGER, a TEXT, PRIMARY KEY(id DESC)) WITHOUT ROWID",
    "CREATE TABLE t(id INTEGER, a TEXT); CREATE INDEX i ON t(id DESC, a)",
];

/// What the closure deletes and inserts in the table that it reads is seen where the statement goes on.
#[test]
fn the_closure_changes_what_it_reads() {
    for (tree, journal) in TREES.into_iter().flat_map(|tree| [(tree, "delete"), (tree, "wal")]) {
        for path in [ScanStrategy::Statement, ScanStrategy::Pages] {
            for at in [1, 100, 3000] {
                let dir = tempfile::tempdir().unwrap();
                let conn = Connection::open(dir.path().join("a.db")).unwrap();
                conn.execute_batch(&format!(
                    "PRAGMA journal_mode = {journal}; PRAGMA synchronous = off; {tree};
                     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
                     INSERT INTO t SELECT i, 'some text to fill the page, and some more, row ' || i FROM n;"
                ))
                .unwrap();
                let (mut seen, mut plan) = (Vec::<i64>::new(), None);
                let scan = conn.scan("SELECT id, a FROM t ORDER BY id DESC", ()).strategy(path);
                scan.on_end(|it| plan = Some(it))
                    .for_each(|row| {
                        seen.push(row.get(0)?);
                        let text: String = row.get(1)?;
                        assert!(text.ends_with(&format!(" {}", seen.last().unwrap())), "{text}");
                        if seen.len() == at {
                            // What was seen goes, and some of what is to come, and the pages are used for something else.
                            conn.execute("DELETE FROM t WHERE id > ? OR id BETWEEN 2000 AND 4000", (seen[at - 1],))?;
                            conn.execute("CREATE TABLE u AS SELECT zeroblob(3000) FROM t LIMIT 300", ())?;
                            conn.execute_batch("INSERT INTO t VALUES (-7, 'row -7'), (20000, 'row 20000')")?;
                        }
                        Ok::<_, Error>(())
                    })
                    .unwrap();
                let (deleted, kept): (Vec<i64>, Vec<i64>) = seen.iter().partition(|id| (2000..=4000).contains(*id));
                let mut expected: Vec<i64> = (4001..=10_000).rev().chain((1..2000).rev()).collect();
                expected.push(-7);
                assert!(kept == expected, "{tree}, {journal}, {path:?}, {at}: {}", kept.len());
                assert!(deleted.is_sorted_by(|one, other| one > other));
                if path == ScanStrategy::Pages {
                    assert!(plan.unwrap().reason.contains("wrote while its pages were read"), "{plan:?}");
                }
            }
        }
    }
}

/// What a record is too short for is asked of SQLite, which may know another row by then.
#[test]
fn defaults_of_short_records() {
    for change in ["", "UPDATE t SET d = 'other' WHERE id = 2", "DELETE FROM t WHERE id = 2"] {
        for path in [ScanStrategy::Statement, ScanStrategy::Pages] {
            for sql in ["SELECT d, id, e FROM t", "SELECT d, id, e FROM t WHERE a > 0 AND e IS NOT NULL"] {
                let dir = tempfile::tempdir().unwrap();
                let conn = Connection::open(dir.path().join("a.db")).unwrap();
                conn.execute_batch(
                    "CREATE TABLE t(a, id INTEGER PRIMARY KEY) WITHOUT ROWID;
                 INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (4, 4);
                 ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'later'; ALTER TABLE t ADD COLUMN e REAL DEFAULT 5;
                 UPDATE t SET d = 'full' WHERE id = 1;",
                )
                .unwrap();
                let (mut seen, mut plan) = (Vec::new(), None);
                conn.scan(sql, ())
                    .strategy(path)
                    .on_end(|it| plan = Some(it))
                    .for_each(|row| {
                        assert_eq!(row.get::<f64>("e")?, 5.0);
                        seen.push((row.get::<i64>("id")?, row.get::<String>("d")?));
                        if seen.len() == 1 {
                            conn.execute_batch(change)?;
                        }
                        Ok::<_, Error>(())
                    })
                    .unwrap();
                let second = match change.split(' ').next() {
                    Some("UPDATE") => Some((2, "other".to_owned())),
                    Some("DELETE") => None,
                    _ => Some((2, "later".to_owned())),
                };
                let expected: Vec<_> = std::iter::once((1, "full".to_owned()))
                    .chain(second)
                    .chain([(3, "later".to_owned()), (4, "later".to_owned())])
                    .collect();
                assert_eq!(seen, expected, "{change}, {path:?}, {sql}");
                if change.is_empty() {
                    assert_eq!(plan.map(|plan| plan.strategy), Some(path), "{sql}");
                }
            }
        }
    }
}

/// No value ever becomes the name of its column, nor that of another one.
#[test]
fn the_closure_alters_the_table() {
    for alter in [
        "ALTER TABLE t RENAME COLUMN a TO e",
        "ALTER TABLE t RENAME TO other",
        "ALTER TABLE t ADD COLUMN e",
        "CREATE INDEX j ON t(a, id)",
        "CREATE TEMP TABLE t(id, a)",
    ] {
        for tree in TREES {
            let dir = tempfile::tempdir().unwrap();
            let conn = Connection::open(dir.path().join("a.db")).unwrap();
            conn.execute_batch(&format!(
                "{tree};
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
                 INSERT INTO t SELECT i, 'row ' || i FROM n;"
            ))
            .unwrap();
            let mut seen = 0;
            let scan = conn.scan("SELECT id, a FROM t ORDER BY id DESC", ()).strategy(ScanStrategy::Pages);
            let outcome = scan.for_each(|row| {
                seen += 1;
                assert_eq!(row.get::<i64>(0)?, 9001 - seen, "{alter}");
                assert_eq!(row.get::<&str>(1)?, format!("row {}", 9001 - seen), "{alter}");
                if seen == 100 {
                    conn.execute(alter, ())?;
                }
                Ok::<_, Error>(())
            });
            match outcome {
                Ok(rows) => assert_eq!((rows, seen), (9000, 9000), "{alter}"),
                Err(error) => {
                    assert!(matches!(error.kind(), finalite::ErrorKind::Misuse { .. }), "{alter}: {error}");
                    assert!(alter.contains("ALTER"), "{alter}: {error}");
                }
            }
        }
    }
}

/// Keys that the SQL for the remaining rows could take for something else.
#[test]
fn keys_that_read_like_something_else() {
    let mut continued = 0;
    for (schema, sql) in [
        // A column computed on read hides the rowid.
        (
            "CREATE TABLE t(a, rowid AS (-a) VIRTUAL); CREATE INDEX i ON t(a); INSERT INTO t(a) SELECT i % 3 FROM n",
            "SELECT a FROM t INDEXED BY i",
        ),
        ("CREATE TABLE t(a, rowid AS (-a) VIRTUAL); INSERT INTO t(a) SELECT i FROM n", "SELECT a FROM t NOT INDEXED"),
        // Columns have all names of the rowid.
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, rowid, oid, _rowid_, a); CREATE INDEX i ON t(a);
             INSERT INTO t(a) SELECT i % 3 FROM n",
            "SELECT a FROM t INDEXED BY i",
        ),
        // The number of a column of the result.
        (
            "CREATE TABLE t(a, b); CREATE INDEX i ON t(1, b DESC); INSERT INTO t SELECT i, i FROM n",
            "SELECT b FROM t INDEXED BY i",
        ),
        (
            "CREATE TABLE t(a, b); CREATE INDEX i ON t((-2), a); INSERT INTO t SELECT i, i FROM n",
            "SELECT a FROM t INDEXED BY i",
        ),
        // A column with the name of an order.
        (
            "CREATE TABLE t(a, b, desc); CREATE INDEX i ON t(b, a || desc); INSERT INTO t SELECT i, i % 3, i FROM n",
            "SELECT b FROM t INDEXED BY i",
        ),
        // A string in double quotes.
        (
            "CREATE TABLE t(a, b); CREATE INDEX i ON t(a, b) WHERE b = \"x\"; INSERT INTO t SELECT i, 'x' FROM n",
            "SELECT a FROM t INDEXED BY i WHERE b = 'x'",
        ),
    ] {
        for at in [1, 50, 599] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.db");
            let conn = Connection::open(&path).unwrap();
            conn.set_db_config(finalite::DbConfig::DoubleQuotedStringsInDdl, true).unwrap();
            conn.execute_batch(&format!(
                "PRAGMA page_size = 512; PRAGMA synchronous = off; CREATE TABLE u(a); CREATE TEMP VIEW n AS
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n;
                 {schema};"
            ))
            .unwrap();
            let conn = Connection::open(&path).unwrap();
            let expected = compare::read(conn.scan(sql, ()), ScanStrategy::Statement).unwrap();
            let (found, is_continued) = read_with_write(&conn, sql, Way::Each, at, "INSERT INTO u VALUES (1)");
            compare::assert_same(&expected, &found, &format!("{schema}, {at}"));
            continued += usize::from(is_continued);
        }
    }
    assert!(continued >= 14, "{continued}");
}

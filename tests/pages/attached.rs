//! Tables of attached databases: their own files, snapshots and locks.

use std::path::Path;

use finalite::scan::{Relation, ScanPlan, ScanStrategy};
use finalite::{Connection, Error, OpenOptions};

use crate::compare::{both, read_all};

/// A file with 3000 rows that name it.
fn file(dir: &Path, name: &str, journal: &str) -> std::path::PathBuf {
    let path = dir.join(format!("{name}.db"));
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = {journal}; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO t SELECT i, '{name} ' || i, i % 5 FROM n;"
    ))
    .unwrap();
    conn.close().unwrap();
    path
}

fn attach(conn: &Connection, path: &Path, name: &str) {
    conn.attach(path, name).unwrap().keep();
}

/// Runs the SQL from pages. Returns the first text, the number of rows, and the plan of the end.
fn run(conn: &Connection, sql: &str) -> (String, usize, ScanPlan) {
    let (mut texts, mut plan) = (Vec::new(), None);
    let scan = conn.scan(sql, ()).strategy(ScanStrategy::Pages).on_end(|end| plan = Some(end));
    scan.for_each(|row| row.get(0).map(|text: String| texts.push(text))).unwrap();
    (texts[0].clone(), texts.len(), plan.unwrap())
}

#[track_caller]
fn assert_pages(conn: &Connection, sql: &str, first: &str, rows: usize) {
    let (text, count, plan) = run(conn, sql);
    assert_eq!((&*text, count, plan.strategy), (first, rows, ScanStrategy::Pages), "{sql}: {plan}");
}

#[test]
fn their_pages_are_read_from_the_first_scan_on() {
    for journals in [["delete", "delete"], ["wal", "wal"], ["delete", "wal"], ["wal", "delete"]] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(file(dir.path(), "first", journals[0])).unwrap();
        attach(&conn, &file(dir.path(), "second", journals[1]), "other");
        for _ in 0..3 {
            assert_pages(&conn, "SELECT a, id FROM other.t", "second 1", 3000);
            assert_pages(&conn, "SELECT a FROM other.t WHERE b = 2", "second 2", 600);
            assert_pages(&conn, "SELECT a FROM other.t WHERE id > 2000 AND id <= 2500", "second 2001", 500);
            assert_pages(&conn, "SELECT a FROM other.t WHERE b IN (1, 2, 3)", "second 1", 1800);
            // The same names in the main database.
            assert_pages(&conn, "SELECT a, id FROM t", "first 1", 3000);
            assert_pages(&conn, "SELECT a, id FROM main.t WHERE b = 2", "first 2", 600);
        }
        for sql in
            ["SELECT * FROM other.t", "SELECT a FROM other.t WHERE b <> 1", "SELECT name FROM other.sqlite_schema"]
        {
            assert!(both(&conn, sql).0, "{sql}");
        }
        // A statement that SQLite has given up, and a schema that another connection changes.
        conn.execute("CREATE TABLE main.more(a)", ()).unwrap();
        assert_pages(&conn, "SELECT a, id FROM other.t", "second 1", 3000);
        let writer = Connection::open(dir.path().join("second.db")).unwrap();
        writer.execute_batch("ALTER TABLE t ADD COLUMN c DEFAULT 'c'; DELETE FROM t WHERE id < 11").unwrap();
        assert_pages(&conn, "SELECT a, id FROM other.t", "second 11", 2990);
        assert_pages(&conn, "SELECT a, c FROM other.t WHERE c = 'c' AND b = 2", "second 12", 598);
        // Within a transaction, before and after its snapshot is known.
        conn.execute_batch("BEGIN; SELECT count(*) FROM main.t").unwrap();
        assert_pages(&conn, "SELECT a, id FROM other.t", "second 11", 2990);
        let later = run(&conn, "SELECT a, id FROM other.t").2;
        let expected = if journals[1] == "wal" { ScanStrategy::Statement } else { ScanStrategy::Pages };
        assert_eq!(later.strategy, expected, "{later}");
        conn.execute_batch("COMMIT; BEGIN; UPDATE other.t SET b = b").unwrap();
        assert_eq!(run(&conn, "SELECT a, id FROM other.t").2.strategy, ScanStrategy::Statement);
        // The other database is not written to.
        assert_pages(&conn, "SELECT a, id FROM main.t", "first 1", 3000);
        conn.execute_batch("ROLLBACK").unwrap();
    }
}

#[test]
fn by_name_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(file(dir.path(), "first", "wal")).unwrap();
    attach(&conn, &file(dir.path(), "second", "wal"), "the other's");
    let small = |rows: usize| {
        let mut plan = None;
        let scan = conn.scan_table("the other's.small").all_columns().on_end(|end| plan = Some(end));
        assert_eq!(scan.columns().unwrap().len(), rows);
        plan.unwrap().strategy
    };
    for _ in 0..2 {
        let (mut plan, mut conditional) = (None, None);
        let all = conn.scan_table("the other's.t").select(["a"]).threads(2).on_end(|end| plan = Some(end));
        assert_eq!(all.columns().unwrap().column(0).unwrap().as_str().unwrap().get(2999), Some("second 3000"));
        let scan = conn.scan_table("the other's.t").select(["a"]).filter("b", Relation::Equal, 4);
        assert_eq!(scan.on_end(|end| conditional = Some(end)).columns().unwrap().len(), 600);
        assert_eq!(plan.unwrap().strategy, ScanStrategy::Pages);
        assert_eq!(conditional.unwrap().strategy, ScanStrategy::Pages);
    }
    // A small table, and what it grows to, in the file of the attached database.
    conn.execute_batch("CREATE TABLE \"the other's\".small(a); INSERT INTO small VALUES (1), (2)").unwrap();
    assert_eq!((small(2), small(2)), (ScanStrategy::Statement, ScanStrategy::Statement));
    let writer = Connection::open(dir.path().join("second.db")).unwrap();
    writer.execute_batch("INSERT INTO small SELECT id FROM t; PRAGMA wal_checkpoint").unwrap();
    assert_eq!((small(3002), small(3002)), (ScanStrategy::Pages, ScanStrategy::Pages));
}

#[test]
fn one_file_under_several_names() {
    for journal in ["delete", "wal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), "one", journal);
        let conn = Connection::open(&path).unwrap();
        attach(&conn, &path, "b");
        attach(&conn, &path, "c");
        for _ in 0..2 {
            for name in ["main", "b", "c"] {
                assert_pages(&conn, &format!("SELECT a, id FROM {name}.t"), "one 1", 3000);
            }
        }
        // One of them writes: another one's snapshot is what it was.
        if journal == "wal" {
            let (mut rows, mut plan) = (0, None);
            let scan = conn.scan("SELECT a, id FROM b.t", ()).strategy(ScanStrategy::Pages);
            scan.on_end(|end| plan = Some(end))
                .for_each(|row| {
                    rows += 1;
                    if rows == 10 {
                        conn.execute("UPDATE c.t SET a = 'written'", ())?;
                    }
                    assert_eq!(row.get::<&str>(0)?, format!("one {rows}"));
                    Ok::<_, Error>(())
                })
                .unwrap();
            assert_eq!((rows, plan.unwrap().strategy), (3000, ScanStrategy::Pages));
            assert_pages(&conn, "SELECT a, id FROM b.t", "written", 3000);
            assert_pages(&conn, "SELECT a, id FROM main.t", "written", 3000);
        }
    }
}

#[test]
fn read_only_and_immutable_files_are_read_and_others_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "one", "delete");
    let conn = OpenOptions::new().uri(true).open(file(dir.path(), "main", "wal")).unwrap();
    let uri = |query: &str| format!("file:{}?{query}", path.display());
    for (query, strategy) in [
        ("mode=ro", ScanStrategy::Pages),
        ("immutable=1", ScanStrategy::Pages),
        ("vfs=unix-none", ScanStrategy::Statement),
        #[cfg(not(sqlite_without_shared_cache))]
        ("cache=shared", ScanStrategy::Statement),
    ] {
        let attached = conn.attach_uri(&uri(query), "o").unwrap();
        for _ in 0..2 {
            for sql in ["SELECT a FROM o.t", "SELECT a FROM o.t WHERE b < 10 AND id > 5"] {
                // SQLite has given up the statement, which has to be stepped once.
                run(&conn, sql);
                let (_, _, plan) = run(&conn, sql);
                assert_eq!(plan.strategy, strategy, "{query}: {plan}");
                assert_eq!(both(&conn, sql).0, strategy == ScanStrategy::Pages, "{query}");
            }
        }
        attached.detach().unwrap();
    }
    attach(&conn, Path::new(":memory:"), "o");
    attach(&conn, Path::new(""), "p");
    conn.execute_batch("CREATE TABLE o.t AS SELECT * FROM main.t; CREATE TABLE p.t AS SELECT * FROM main.t").unwrap();
    for sql in
        ["SELECT a FROM o.t", "SELECT a FROM p.t", "SELECT a FROM o.t WHERE b < 2", "SELECT a FROM p.t WHERE b < 2"]
    {
        assert!(!both(&conn, sql).0, "{sql}");
    }
    conn.execute_batch("CREATE TEMP TABLE u AS SELECT * FROM main.t").unwrap();
    let plan = run(&conn, "SELECT a FROM u").2;
    assert!(plan.reason.contains("temporary table"), "{plan}");
}

/// What a statement is known to read is forgotten when its database goes.
#[test]
fn another_database_under_the_same_name_or_number() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| file(dir.path(), name, if name == "b" { "wal" } else { "delete" }));
    let conn = Connection::open_in_memory().unwrap();
    attach(&conn, &a, "x");
    attach(&conn, &b, "y");
    let sql = "SELECT a, id FROM y.t";
    assert_pages(&conn, sql, "b 1", 3000);
    // Its number is now that of `x`.
    conn.detach("x").unwrap();
    assert_pages(&conn, sql, "b 1", 3000);
    attach(&conn, &c, "x");
    assert_pages(&conn, sql, "b 1", 3000);
    assert_pages(&conn, "SELECT a, id FROM x.t", "c 1", 3000);
    conn.detach("y").unwrap();
    attach(&conn, &a, "y");
    assert_pages(&conn, sql, "a 1", 3000);
    assert_pages(&conn, "SELECT a, id FROM y.t WHERE b = 2", "a 2", 600);
}

/// A database that is read cannot be detached. One before it can, which changes the number of those after it.
#[test]
fn the_closure_detaches() {
    for journal in ["delete", "wal"] {
        for condition in ["", " WHERE b < 100", " WHERE id > 0"] {
            let dir = tempfile::tempdir().unwrap();
            let [a, b, c] = ["a", "b", "c"].map(|name| file(dir.path(), name, journal));
            let conn = Connection::open_in_memory().unwrap();
            attach(&conn, &a, "x");
            attach(&conn, &b, "y");
            let sql = format!("SELECT a, id FROM y.t{condition}");
            for threads in [1, 2] {
                // Positive control: without it, all rows are from pages. (SQLite has given up the statement, which has to
                // be stepped once.)
                run(&conn, &sql);
                assert_eq!(run(&conn, &sql).2.strategy, ScanStrategy::Pages, "{condition}");
                let (mut rows, mut plan) = (0, None);
                let scan = conn.scan(&sql, ()).strategy(ScanStrategy::Pages).threads(threads);
                scan.on_end(|end| plan = Some(end))
                    .batches(100, |batch| {
                        for text in batch.column(0)?.as_str()?.iter() {
                            rows += 1;
                            assert_eq!(text, Some(&*format!("b {rows}")));
                        }
                        if rows == 100 {
                            let error = conn.detach("y").unwrap_err();
                            assert!(error.to_string().contains("database y is locked"), "{error}");
                            conn.detach("x")?;
                            attach(&conn, &c, "z");
                        }
                        Ok::<_, Error>(())
                    })
                    .unwrap();
                assert_eq!(rows, 3000, "{condition}");
                assert_eq!(plan.unwrap().strategy, ScanStrategy::Statement, "{condition}");
                conn.detach("z").unwrap();
                conn.detach("y").unwrap();
                attach(&conn, &a, "x");
                attach(&conn, &b, "y");
            }
        }
    }
}

#[test]
fn the_closure_writes() {
    for journal in ["delete", "wal"] {
        for condition in ["", " WHERE b < 100 AND id > 0"] {
            let dir = tempfile::tempdir().unwrap();
            let conn = Connection::open(file(dir.path(), "main", journal)).unwrap();
            attach(&conn, &file(dir.path(), "o", journal), "o");
            for (change, strategy) in [
                ("UPDATE main.t SET a = 'x'", ScanStrategy::Pages),
                ("UPDATE o.t SET b = b + 1", ScanStrategy::Statement),
                ("CREATE TABLE o.more(a)", ScanStrategy::Statement),
            ] {
                let (mut ids, mut plan) = (Vec::new(), None);
                let sql = format!("SELECT a, id FROM o.t{condition}");
                let scan = conn.scan(&sql, ()).strategy(ScanStrategy::Pages).on_end(|end| plan = Some(end));
                scan.for_each(|row| {
                    ids.push(row.get::<i64>(1)?);
                    if ids.len() == 20 {
                        conn.execute(change, ())?;
                    }
                    Ok::<_, Error>(())
                })
                .unwrap();
                assert_eq!(ids, (1..=3000).collect::<Vec<_>>(), "{journal}, {change}");
                assert_eq!(plan.unwrap().strategy, strategy, "{journal}, {change}");
            }
        }
    }
    // A record that is too short for a column, whose default is asked for.
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open_in_memory().unwrap();
    attach(&conn, &file(dir.path(), "o", "wal"), "o");
    conn.execute_batch("ALTER TABLE o.t ADD COLUMN c DEFAULT 'later'").unwrap();
    for sql in ["SELECT a, c FROM o.t", "SELECT a, c FROM o.t WHERE c <> 'x' AND id > 5"] {
        assert_eq!(run(&conn, sql).2.strategy, ScanStrategy::Pages);
        assert!(both(&conn, sql).0);
    }
    assert_eq!(read_all(conn.scan_table("o.t").select(["c"]).filter("b", Relation::Equal, 2)).unwrap().len(), 600);
}

/// The error of a damaged file names it, and the page.
/// A table of which nothing is known: the closure writes before its statement could be examined.
#[test]
fn the_closure_writes_at_the_first_rows() {
    for journals in [["delete", "delete"], ["wal", "wal"], ["delete", "wal"], ["wal", "delete"]] {
        for is_known in [false, true] {
            for at in [1, 5, 39, 45] {
                let dir = tempfile::tempdir().unwrap();
                let conn = Connection::open(file(dir.path(), "first", journals[0])).unwrap();
                attach(&conn, &file(dir.path(), "second", journals[1]), "other");
                if is_known {
                    conn.scan_table("t").all_columns().columns().unwrap();
                }
                let mut ids = Vec::new();
                let scan = conn.scan_table("other.t").select(["id"]);
                scan.for_each(|row| {
                    ids.push(row.get::<i64>(0)?);
                    if ids.len() == at {
                        conn.execute_batch("DELETE FROM other.t WHERE id <= 3; INSERT INTO other.t(id) VALUES (-1)")?;
                    }
                    Ok::<(), Error>(())
                })
                .unwrap();
                assert!(ids.iter().copied().eq(1..=3000), "{journals:?}, row {at}: {} rows", ids.len());
            }
        }
    }
}

#[test]
fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "one", "delete");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[9 * 4096..10 * 4096].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let conn = Connection::open(file(dir.path(), "main", "delete")).unwrap();
    attach(&conn, &path, "o");
    let error = conn.scan("SELECT * FROM o.t", ()).strategy(ScanStrategy::Pages).columns().unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("one.db") && text.contains("page 10"), "{text}");
    assert_eq!(conn.scan("SELECT * FROM main.t", ()).strategy(ScanStrategy::Pages).columns().unwrap().len(), 3000);
}

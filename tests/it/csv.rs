//! Virtual tables over CSV.

use std::fs;
use std::path::Path;

use finalite::extend::virtual_table::Csv;
use finalite::{Connection, OpenOptions, Value};

fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.create_module::<Csv>("csv", ()).unwrap();
    conn
}

fn create(conn: &Connection, arguments: &str) -> finalite::Result<()> {
    conn.execute("DROP TABLE IF EXISTS temp.t", ())?;
    conn.execute(&format!("CREATE VIRTUAL TABLE temp.t USING csv({arguments})"), ()).map(drop)
}

fn rows(conn: &Connection) -> Vec<Vec<Value>> {
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let rows = statement.query_map((), |row| (0..row.column_count()).map(|column| row.get(column)).collect());
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn texts(rows: &[&[Option<&str>]]) -> Vec<Vec<Value>> {
    let value = |cell: &Option<&str>| cell.map_or(Value::Null, |text| Value::Text(text.into()));
    rows.iter().map(|row| row.iter().map(value).collect()).collect()
}

fn quoted(path: &Path) -> String {
    finalite::sql::quote_literal(finalite::ValueRef::Text(path.to_str().unwrap().as_bytes()))
}

#[test]
fn records_are_rows() {
    let conn = open();
    let cases: &[(&str, &[&[Option<&str>]])] = &[
        ("data = 'a,b\n1,2\n'", &[&[Some("a"), Some("b")], &[Some("1"), Some("2")]]),
        ("data = 'a,b\n1,2', header = yes", &[&[Some("1"), Some("2")]]),
        ("data = 'a,b\n1,2', header", &[&[Some("1"), Some("2")]]),
        ("data = 'a,b\n1,2', header = OFF", &[&[Some("a"), Some("b")], &[Some("1"), Some("2")]]),
        ("data = 'a,b\r\n\"x,\"\"y\"\"\n z\",\r\n', header = on", &[&[Some("x,\"y\"\n z"), Some("")]]),
        ("data = 'a,b\n1\n1,2,3\n'", &[&[Some("a"), Some("b")], &[Some("1"), None], &[Some("1"), Some("2")]]),
        ("data = 'a;b', delimiter = ';'", &[&[Some("a"), Some("b")]]),
        ("data = 'a\tb', delimiter = '\\t'", &[&[Some("a"), Some("b")]]),
        ("data = '|a,|,b', quote = '|'", &[&[Some("a,"), Some("b")]]),
        ("data = '\"a,b', quote = ''", &[&[Some("\"a"), Some("b")]]),
        ("data = 'a,b', columns = 1", &[&[Some("a")]]),
        ("data = 'a,b', columns = 3", &[&[Some("a"), Some("b"), None]]),
        ("data = '', columns = 2", &[]),
        ("data = '\u{feff}é,ü\n', header = no", &[&[Some("é"), Some("ü")]]),
        ("data = 'it''s', header = no", &[&[Some("it's")]]),
    ];
    for (arguments, expected) in cases {
        create(&conn, arguments).unwrap();
        assert_eq!(rows(&conn), texts(expected), "{arguments}");
        // Twice, as a join does.
        let count = conn.query_one::<usize>("SELECT count(*) FROM t a, t b", ()).unwrap();
        assert_eq!(count, expected.len() * expected.len(), "{arguments}");
    }
}

#[test]
fn columns_have_names_and_types() {
    let conn = open();
    let names = |conn: &Connection| {
        let statement = conn.prepare("SELECT * FROM t").unwrap();
        statement.column_names().unwrap().map(str::to_owned).collect::<Vec<_>>()
    };
    create(&conn, "data = 'the name,\"a \"\"b\"\"\"\n', header = yes, columns = 3").unwrap();
    assert_eq!(names(&conn), ["the name", "a \"b\"", "c2"]);
    create(&conn, "data = 'x,y'").unwrap();
    assert_eq!(names(&conn), ["c0", "c1"]);
    create(&conn, "schema = 'CREATE TABLE x(a INTEGER, b)', data = '7,7\n10,x', header = no").unwrap();
    assert_eq!(names(&conn), ["a", "b"]);
    assert_eq!(conn.query_all::<i64>("SELECT rowid FROM t WHERE a > 8", ()).unwrap(), [2]);
    assert!(create(&conn, "data = 'a,A\n', header = yes").unwrap_err().to_string().contains("duplicate column name"));
}

#[test]
fn what_is_wrong_is_said() {
    let conn = open();
    for (arguments, words) in [
        ("header = yes", "neither filename nor data"),
        ("data = 'a', filename = 'b'", "given twice"),
        ("data = 'a', header = perhaps", "neither yes nor no"),
        ("data = 'a', columns = 0", "from 1 to 32767"),
        ("data = 'a', columns = x", "from 1 to 32767"),
        ("data = 'a', delimiter = ';;'", "one character of ASCII"),
        ("data = 'a', quote = 'é'", "one character of ASCII"),
        ("data = 'a', color = red", "unknown argument `color`"),
        ("data = ''", "no column"),
        ("data = '', header = yes", "no column"),
        ("data = 'a', schema = 'CREATE'", "syntax error"),
        ("filename = '/nowhere/at/all.csv'", "SQLITE_CANTOPEN"),
    ] {
        let error = create(&conn, arguments).unwrap_err();
        assert!(error.to_string().contains(words), "{arguments}: {error}");
    }
    create(&conn, "data = 'a'").unwrap();
    assert!(conn.execute("DELETE FROM t", ()).is_err());
    conn.execute_batch("CREATE VIRTUAL TABLE main.u USING csv(data = 'a'); CREATE VIEW v AS SELECT * FROM u").unwrap();
    assert!(conn.query_one::<String>("SELECT * FROM v", ()).unwrap_err().to_string().contains("unsafe use"));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, b"a,b\nc,\xff\n").unwrap();
    create(&conn, &format!("filename = {}", quoted(&path))).unwrap();
    let error = conn.query_all::<(String, String)>("SELECT * FROM t", ()).unwrap_err();
    assert!(error.to_string().contains("record 2, column 2: not UTF-8"), "{error}");
    // What is not asked for is not converted.
    assert_eq!(conn.query_all::<String>("SELECT c0 FROM t", ()).unwrap(), ["a", "c"]);
}

/// A large file, in pieces; descriptors are closed.
#[test]
fn a_file_is_read_record_by_record() {
    let conn = open();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.csv");
    let text: String = (0..30_000).map(|n| format!("{n},\"text, {n}\"\n")).collect();
    fs::write(&path, format!("n,text\n{text}")).unwrap();
    create(&conn, &format!("filename={},header=yes", quoted(&path))).unwrap();
    let sql = "SELECT count(*), sum(n), max(rowid), min(text) FROM t";
    assert_eq!(
        conn.query_one::<(i64, i64, i64, String)>(sql, ()).unwrap(),
        (30_000, 449_985_000, 30_000, "text, 0".into())
    );
    // A file that is gone is an error of the next query.
    fs::remove_file(&path).unwrap();
    let error = conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap_err();
    assert!(error.to_string().contains("SQLITE_CANTOPEN"), "{error}");
}

/// POSIX drops all locks of a process on a file when it closes any descriptor of it.
#[test]
#[cfg(unix)]
fn rule_11_a_database_that_is_read_as_csv_keeps_its_locks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("CREATE TABLE t(a); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
    let is_locked = || {
        // Another process: locks of this one do not hinder it.
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); c.execute('BEGIN IMMEDIATE')";
        let status = std::process::Command::new("python3").args(["-c", script]).arg(&path).output();
        status.ok().map(|output| !output.status.success())
    };
    let before = is_locked();
    let conn = open();
    drop(create(&conn, &format!("filename = {}, columns = 1", quoted(&path))));
    drop(conn.query_all::<Value>("SELECT rowid FROM t", ()));
    drop(conn);
    assert_eq!(is_locked(), before);
    if before == Some(true) {
        // The control: a descriptor beside SQLite's.
        drop(fs::File::open(&path).unwrap());
        assert_eq!(is_locked(), Some(false));
    }
    drop(writer);
    OpenOptions::new().open(&path).unwrap();
}

//! A schema that changes under a statement that is kept.

use finalite::{ColumnKey, Row};

use super::*;

const SQL: &str = "SELECT * FROM t";

fn table() -> Connection {
    let conn = open();
    conn.execute_batch("CREATE TABLE t(a, b, c); INSERT INTO t VALUES ('a', 'b', 'c')").unwrap();
    conn
}

/// Runs the SQL in a statement that was prepared before the schema changed.
trait Run {
    fn run(&mut self, look: impl FnOnce(Row<'_>) -> Result<()>);
    fn handle(&mut self, name: &str) -> Result<ColumnKey>;
}

impl Run for Statement<'_> {
    fn run(&mut self, look: impl FnOnce(Row<'_>) -> Result<()>) {
        self.query_row((), look).unwrap();
    }

    fn handle(&mut self, name: &str) -> Result<ColumnKey> {
        self.column(name)
    }
}

/// The statement in the cache: taken out for each run.
struct Cached<'conn>(&'conn Connection);

impl Run for Cached<'_> {
    fn run(&mut self, look: impl FnOnce(Row<'_>) -> Result<()>) {
        self.0.prepare_cached(SQL).unwrap().query_row((), look).unwrap();
    }

    fn handle(&mut self, name: &str) -> Result<ColumnKey> {
        self.0.prepare_cached(SQL).unwrap().column(name)
    }
}

fn names(row: Row<'_>) -> Vec<&str> {
    (0..row.column_count()).map(|column| row.column_name(column).unwrap()).collect()
}

fn value<'row>(row: Row<'row>, column: impl finalite::ColumnIndex) -> Option<&'row str> {
    row.get(column).unwrap()
}

fn columns_come_and_go(conn: &Connection, statement: &mut impl Run) {
    let [a, b, c] = ["a", "b", "c"].map(|name| statement.handle(name).unwrap());
    statement.run(|row| {
        assert_eq!((value(row, a), value(row, b), value(row, c)), (Some("a"), Some("b"), Some("c")));
        Ok(())
    });

    conn.execute("ALTER TABLE t ADD COLUMN d DEFAULT 'd'", ()).unwrap();
    statement.run(|row| {
        assert_eq!(names(row), ["a", "b", "c", "d"]);
        assert_eq!((value(row, "d"), value(row, 3), value(row, c)), (Some("d"), Some("d"), Some("c")));
        Ok(())
    });
    let d = statement.handle("d").unwrap();

    conn.execute("ALTER TABLE t DROP COLUMN a", ()).unwrap();
    statement.run(|row| {
        assert_eq!(names(row), ["b", "c", "d"]);
        assert_eq!((value(row, b), value(row, c), value(row, d)), (Some("b"), Some("c"), Some("d")));
        assert_eq!((value(row, "B"), value(row, 0)), (Some("b"), Some("b")));
        assert_no_such(&row.get::<&str>(a).unwrap_err(), NameKind::Column, "a", &["b", "c", "d"]);
        assert_no_such(&row.get::<&str>("a").unwrap_err(), NameKind::Column, "a", &["b", "c", "d"]);
        assert_no_such(&row.get::<&str>(3).unwrap_err(), NameKind::Column, "3", &["b", "c", "d"]);
        Ok(())
    });

    conn.execute("ALTER TABLE t RENAME COLUMN b TO x", ()).unwrap();
    statement.run(|row| {
        assert_eq!(names(row), ["x", "c", "d"]);
        assert_eq!((value(row, "x"), value(row, c), value(row, d)), (Some("b"), Some("c"), Some("d")));
        assert_no_such(&row.get::<&str>(b).unwrap_err(), NameKind::Column, "b", &["x", "c", "d"]);
        Ok(())
    });

    // Names that come back, in other places: the handles find them.
    conn.execute("ALTER TABLE t RENAME COLUMN c TO b", ()).unwrap();
    conn.execute("ALTER TABLE t ADD COLUMN a DEFAULT 'new a'", ()).unwrap();
    statement.run(|row| {
        assert_eq!(names(row), ["x", "b", "d", "a"]);
        assert_eq!((value(row, a), value(row, b), value(row, d)), (Some("new a"), Some("c"), Some("d")));
        assert_no_such(&row.get::<&str>(c).unwrap_err(), NameKind::Column, "c", &["x", "b", "d", "a"]);
        Ok(())
    });
    let error = statement.handle("c").unwrap_err();
    assert_no_such(&error, NameKind::Column, "c", &["x", "b", "d", "a"]);
}

#[test]
fn under_a_prepared_statement() {
    let conn = table();
    let mut statement = conn.prepare(SQL).unwrap();
    columns_come_and_go(&conn, &mut statement);
    assert_eq!(statement.counters().reprepares, 4, "once for each run that found a change");
}

#[test]
fn under_a_cached_statement() {
    let conn = table();
    columns_come_and_go(&conn, &mut Cached(&conn));
    let statement = conn.prepare_cached(SQL).unwrap();
    assert_eq!(statement.counters().reprepares, 4, "the same statement all the time");
}

/// The change is another connection's, and the rows are read as tuples and by name.
#[test]
fn by_another_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2)").unwrap();
    let mut statement = conn.prepare(SQL).unwrap();
    let b = statement.column("b").unwrap();
    assert_eq!(statement.query_one::<(i64, i64)>(()).unwrap(), (1, 2));
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE t DROP COLUMN a").unwrap();
    let error = statement.query_one::<(i64, i64)>(()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 2, found: 1, .. }), "{error:?}");
    assert_eq!(statement.query_row((), |row| row.get::<i64>(b)).unwrap(), 2);
    assert_eq!(statement.column_names().unwrap().collect::<Vec<_>>(), ["b"]);
    assert_eq!(statement.column_count(), 1);
}

/// A run without rows prepares anew as well.
#[test]
fn in_a_run_without_rows() {
    let conn = table();
    conn.execute("DELETE FROM t", ()).unwrap();
    let mut statement = conn.prepare(SQL).unwrap();
    let c = statement.column("c").unwrap();
    conn.execute("ALTER TABLE t DROP COLUMN b", ()).unwrap();
    assert_eq!(statement.query_optional::<(i64, i64)>(()).unwrap(), None);
    assert_eq!(statement.column_names().unwrap().collect::<Vec<_>>(), ["a", "c"]);
    conn.execute("INSERT INTO t VALUES (1, 3)", ()).unwrap();
    assert_eq!(statement.query_row((), |row| row.get::<i64>(c)).unwrap(), 3);
}

/// Parameters bound before the statement was prepared anew are bound after it: SQLite carries them over.
#[test]
fn with_parameters() {
    let conn = table();
    let mut statement = conn.prepare("SELECT *, :text AS given FROM t WHERE c = ?2").unwrap();
    conn.execute("ALTER TABLE t DROP COLUMN a", ()).unwrap();
    let text = String::from("bound");
    let mut rows = statement.query((&text, "c".to_owned())).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(value(row, "given"), Some("bound"));
    assert_eq!(&*rows.expanded_sql().unwrap(), "SELECT *, 'bound' AS given FROM t WHERE c = 'c'");
    drop(rows);
    drop(text);
    conn.clear_statement_cache();
    assert_eq!(bound_now(&conn), "SELECT *, NULL AS given FROM t WHERE c = NULL");
}

/// The rest of an execution keeps the columns that it began with.
#[test]
fn while_rows_are_alive() {
    let conn = table();
    conn.execute("INSERT INTO t VALUES ('a2', 'b2', 'c2')", ()).unwrap();
    let mut statement = conn.prepare(SQL).unwrap();
    let b = statement.column("b").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert_eq!(value(rows.next().unwrap().unwrap(), b), Some("b"));
    conn.execute("ALTER TABLE t RENAME COLUMN b TO x", ()).unwrap();
    conn.execute("ALTER TABLE t ADD COLUMN d", ()).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(names(row), ["a", "b", "c"]);
    assert_eq!((value(row, b), value(row, "c")), (Some("b2"), Some("c2")));
    drop(rows);
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!(names(row), ["a", "x", "c", "d"]);
    assert_no_such(&row.get::<&str>(b).unwrap_err(), NameKind::Column, "b", &["a", "x", "c", "d"]);
}

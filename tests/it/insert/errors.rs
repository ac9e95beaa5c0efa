//! What is refused, and where.

use finalite::{ConstraintKind, ErrorKind, NameKind, ResultCode};

use super::*;

fn fails<'v>(conn: &Connection, strategy: InsertStrategy, columns: Vec<(&str, InsertColumn<'v>)>) -> finalite::Error {
    let before = count(conn);
    let error = insert(conn, strategy, columns).0.unwrap_err();
    assert_eq!((count(conn), conn.is_autocommit()), (before, true), "{error}");
    error
}

#[test]
fn names_and_lengths_are_checked_before_a_row_is_inserted() {
    let ids: Vec<i64> = (0..2000).collect();
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a, b)");
        let error = fails(&conn, strategy, vec![("a", (&ids).into()), ("b", (&[1, 2]).into())]);
        assert_eq!(error.to_string(), "column 1 (b) has 2 values, the first column has 2000");
        assert!(matches!(error.kind(), ErrorKind::ColumnLength { column: 1, expected: 2000, found: 2, .. }));

        let error = fails(&conn, strategy, vec![("a", (&ids).into()), ("nowhere", (&ids).into())]);
        assert_eq!(error.to_string(), "no such column: nowhere (there are a, b)");

        let error = fails(&conn, strategy, vec![("a", (&ids).into()), ("A", (&ids).into())]);
        assert!(matches!(error.kind(), ErrorKind::ParameterTwice { index: 2, .. }), "{error}");

        let options = || InsertOptions::new().strategy(strategy);
        let error = options().insert_columns(&conn, "main.none", [("a", (&ids).into())]).unwrap_err();
        let is_table = |what: &NameKind| *what == NameKind::Table;
        assert!(matches!(error.kind(), ErrorKind::NoSuch { what, .. } if is_table(what)), "{error}");
        let error = options().plan(&conn, "none", [("a", (&ids).into())]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoSuch { what, .. } if is_table(what)), "{error}");

        let conn = open("CREATE TABLE t(a, b AS (a + 1) STORED); CREATE VIEW v AS SELECT a FROM t");
        let error = fails(&conn, strategy, vec![("b", (&ids).into())]);
        assert!(error.to_string().contains("cannot INSERT into generated column"), "{error}");
        let error = options().insert_columns(&conn, "v", [("a", (&ids).into())]).unwrap_err();
        assert!(error.to_string().contains("cannot modify v because it is a view"), "{error}");
    }
}

#[test]
fn a_value_that_sqlite_cannot_store_has_its_row_and_column() {
    let zeros = vec![0_i64; 5];
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a, b)");
        let mut reals = vec![0.5; 5];
        reals[3] = f64::NAN;
        let error = fails(&conn, strategy, vec![("a", (&zeros).into()), ("b", (&reals).into())]);
        assert_eq!(error.to_string(), "row 3, column 1 (b): SQLite cannot store NaN (f64): it would become NULL");
        assert!(matches!(error.kind(), ErrorKind::InsertValue { row: 3, column: 1, .. }));
        assert_eq!(error.row(), Some(3));

        let error = fails(&conn, strategy, vec![("a", (&[1, u64::MAX]).into())]);
        assert!(error.to_string().starts_with("row 1, column 0 (a): 18446744073709551615 (u64) does not"), "{error}");
        let error = fails(&conn, strategy, vec![("a", (&[Some(1.0), None, Some(f32::NAN)]).into())]);
        assert_eq!(error.row(), Some(2));
        let error = fails(&conn, strategy, vec![("a", (&[Value::Real(f64::NAN)]).into())]);
        assert_eq!(error.row(), Some(0));
        let error = fails(&conn, strategy, vec![("a", InsertColumn::from_values([1.0, f64::NAN]))]);
        assert_eq!(error.row(), Some(1));
        let error = fails(&conn, strategy, vec![("a", InsertColumn::from_values([finalite::array(&zeros)]))]);
        assert!(error.to_string().contains("a list is not a value"), "{error}");

        // Text of a scan that is not UTF-8: of one column, and among others.
        let batch = conn.scan("SELECT CAST(x'ff' AS TEXT) AS a", ()).columns().unwrap();
        let error = conn.insert_batch("t", &batch).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ColumnConversion { row: Some(0), .. }), "{error}");
        let batch = conn.scan("VALUES (1), (CAST(x'ff' AS TEXT))", ()).columns().unwrap();
        let error = fails(&conn, strategy, vec![("a", batch.column(0).unwrap().into())]);
        assert!(matches!(error.kind(), ErrorKind::InsertValue { row: 1, column: 0, .. }), "{error}");
    }
}

#[test]
fn a_row_that_sqlite_refuses_has_its_number() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL CHECK (b <> 'secret'))");
        let names = ["a", "b", "secret"];
        let error = fails(&conn, strategy, vec![("a", (&[1, 2, 3]).into()), ("b", (&names).into())]);
        assert_eq!((error.row(), error.constraint().unwrap().kind()), (Some(2), ConstraintKind::Check));
        let error = fails(&conn, strategy, vec![("a", (&[1, 2]).into()), ("b", (&[Some("x"), None]).into())]);
        assert_eq!(error.row(), Some(1));
        assert_eq!(error.constraint().unwrap().columns().collect::<Vec<_>>(), [("t", "b")]);
        assert!(error.to_string().starts_with("row 1: NOT NULL constraint failed: t.b"), "{error}");
        let error = fails(&conn, strategy, vec![("a", (&["not a number"]).into()), ("b", (&["x"]).into())]);
        assert_eq!((error.row(), error.code()), (Some(0), Some(ResultCode::MISMATCH)));
        assert!(!format!("{error:?}").contains("not a number"));

        let conn = open("CREATE TABLE t(a INTEGER) STRICT");
        let values = [Value::Integer(1), Value::Text("four".into())];
        let error = fails(&conn, strategy, vec![("a", (&values).into())]);
        assert_eq!(error.row(), Some(1));
        assert!(error.to_string().contains("t.a") && !format!("{error:?}").contains("four"), "{error}");

        // A value that is too long.
        let conn = open("CREATE TABLE t(a)");
        conn.set_limit(finalite::Limit::Length, 100).unwrap();
        let blobs = [vec![0_u8; 50], vec![0; 200]];
        let error = fails(&conn, strategy, vec![("a", (&blobs).into())]);
        assert_eq!((error.row(), error.code()), (Some(1), Some(ResultCode::TOOBIG)));
    }
}

#[test]
fn progress_may_end_it() {
    for strategy in BOTH {
        let conn = open("CREATE TABLE t(a)");
        let options = InsertOptions::new()
            .strategy(strategy)
            .progress(2, |rows| if rows == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        let error = options.insert_columns(&conn, "t", [("a", (&[1, 2, 3, 4, 5]).into())]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Stopped { rows: 4, .. }));
        assert_eq!(error.to_string(), "ended by the progress closure after 4 rows");
        assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
    }
}

/// SQLite stores the last value of the rowid, and says nothing.
#[test]
fn a_rowid_with_two_names_is_refused() {
    const KEYED: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, n)";
    let result = |conn: &Connection, strategy, names: [&'static str; 2]| {
        insert(conn, strategy, names.map(|name| (name, (&[7, 8]).into())).into()).0
    };
    for strategy in BOTH {
        for (schema, names) in [
            (KEYED, ["id", "rowid"]),
            (KEYED, ["OID", "ID"]),
            (KEYED, ["oid", "_rowid_"]),
            ("CREATE TABLE t(n)", ["RowID", "oid"]),
            ("CREATE TABLE t(rowid INTEGER PRIMARY KEY)", ["rowid", "oid"]),
            ("CREATE TABLE t(id INTEGER, rowid, PRIMARY KEY (id))", ["id", "oid"]),
            ("CREATE TEMP TABLE t(id INTEGER PRIMARY KEY)", ["id", "rowid"]),
        ] {
            let conn = open(schema);
            let error = result(&conn, strategy, names).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::ParameterTwice { index: 2, .. }), "{schema} {names:?}: {error}");
            assert_eq!((count(&conn), conn.is_autocommit()), (0, true));
        }
        // Columns with these names, and keys that are not the rowid.
        for (schema, names) in [
            ("CREATE TABLE t(id INTEGER PRIMARY KEY, rowid)", ["id", "rowid"]),
            ("CREATE TABLE t(oid, n)", ["oid", "rowid"]),
            ("CREATE TABLE t(id INTEGER PRIMARY KEY DESC)", ["id", "rowid"]),
            ("CREATE TABLE t(id INT PRIMARY KEY)", ["rowid", "id"]),
            ("CREATE TABLE t(id INTEGER, n, PRIMARY KEY (id, n))", ["rowid", "id"]),
            ("CREATE TABLE t(rowid INTEGER PRIMARY KEY, oid) WITHOUT ROWID", ["rowid", "oid"]),
            (KEYED, ["rowid", "n"]),
        ] {
            let conn = open(schema);
            assert_eq!(result(&conn, strategy, names).unwrap(), 2, "{schema} {names:?}");
            let sql = format!("SELECT {}, {} FROM t", names[0], names[1]);
            assert_eq!(conn.query_all::<(i64, i64)>(&sql, ()).unwrap(), [(7, 7), (8, 8)], "{schema}");
        }
    }
}

//! Ways to name a column.

use super::*;

#[test]
fn by_index_name_and_handle() {
    let conn = open();
    let mut statement = conn.prepare("SELECT 1 AS id, 'Ada' AS name").unwrap();
    let (id, name) = (statement.column("id").unwrap(), statement.column("NAME").unwrap());
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!((row.get::<i64>(0).unwrap(), row.get::<&str>(1).unwrap()), (1, "Ada"));
    assert_eq!((row.get::<i64>("id").unwrap(), row.get::<&str>("name").unwrap()), (1, "Ada"));
    assert_eq!((row.get::<i64>(id).unwrap(), row.get::<&str>(name).unwrap()), (1, "Ada"));
    assert_eq!((row.column_name(0).unwrap(), row.column_name(1).unwrap()), ("id", "name"));
}

/// As SQLite compares names: ASCII letters without case, all else exactly.
#[test]
fn names_without_case() {
    let conn = open();
    conn.query_row("SELECT 1 AS UserId, 2 AS größe, 3 AS \"ÄRA\"", (), |row| {
        for name in ["UserId", "userid", "USERID", "uSERiD"] {
            assert_eq!(row.get::<i64>(name)?, 1);
        }
        assert_eq!(row.get::<i64>("GRößE")?, 2);
        for name in ["grÖße", "ära", "userid ", ""] {
            assert_no_such(&row.get::<i64>(name).unwrap_err(), NameKind::Column, name, &["UserId", "größe", "ÄRA"]);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_first_of_several_with_the_same_name() {
    let conn = open();
    let mut statement = conn.prepare("SELECT 1 AS a, 2 AS b, 3 AS A, 4 AS b").unwrap();
    let (a, b) = (statement.column("A").unwrap(), statement.column("b").unwrap());
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    assert_eq!((row.get::<i64>("A").unwrap(), row.get::<i64>("B").unwrap()), (1, 2));
    assert_eq!((row.get::<i64>(a).unwrap(), row.get::<i64>(b).unwrap()), (1, 2));
    assert_eq!((row.get::<i64>(2).unwrap(), row.get::<i64>(3).unwrap()), (3, 4));
}

#[test]
fn a_column_that_there_is_not() {
    let conn = open();
    let mut statement = conn.prepare("SELECT 1 AS id, 2 AS name").unwrap();
    let error = statement.column("nam").unwrap_err();
    assert_no_such(&error, NameKind::Column, "nam", &["id", "name"]);
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    let error = row.get::<i64>("nam").unwrap_err();
    assert_no_such(&error, NameKind::Column, "nam", &["id", "name"]);
    assert_eq!(error.to_string(), "no such column: nam (there are id, name), in: SELECT 1 AS id, 2 AS name");
    assert_eq!(error.sql(), Some("SELECT 1 AS id, 2 AS name"));
    for index in [2, 3, usize::MAX >> 1, (usize::MAX >> 1) + 1, usize::MAX] {
        let called = index.to_string();
        assert_no_such(&row.get::<i64>(index).unwrap_err(), NameKind::Column, &called, &["id", "name"]);
        assert_no_such(&row.value(index).unwrap_err(), NameKind::Column, &called, &["id", "name"]);
        assert_no_such(&row.column_name(index).unwrap_err(), NameKind::Column, &called, &["id", "name"]);
    }
    assert_eq!(row.get::<i64>("name").unwrap(), 2, "the row is still there");
}

fn assert_misuse(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
    assert!(error.to_string().starts_with("the column belongs to another statement"), "{error}");
}

#[test]
fn a_handle_is_good_for_its_own_statement() {
    const SQL: &str = "SELECT 1 AS a, 2 AS b";
    let conn = open();
    let mut mine = conn.prepare(SQL).unwrap();
    let mut same_sql = conn.prepare(SQL).unwrap();
    let b = mine.column("b").unwrap();
    assert_eq!(mine.column("B").map(|_| ()).ok(), Some(()));
    assert_eq!(mine.query_row((), |row| row.get::<i64>(b)).unwrap(), 2);
    // A statement without handles of its own, and one with.
    assert_misuse(&same_sql.query_row((), |row| row.get::<i64>(b)).unwrap_err());
    let other_b = same_sql.column("b").unwrap();
    assert_misuse(&same_sql.query_row((), |row| row.get::<i64>(b)).unwrap_err());
    assert_misuse(&mine.query_row((), |row| row.get::<i64>(other_b)).unwrap_err());
    assert_eq!(same_sql.query_row((), |row| row.get::<i64>(other_b)).unwrap(), 2);
    // Its statement is gone; another connection's is another.
    drop(mine);
    let mut third = conn.prepare(SQL).unwrap();
    third.column("a").unwrap();
    assert_misuse(&third.query_row((), |row| row.get::<i64>(b)).unwrap_err());
    assert_misuse(&open().query_row(SQL, (), |row| row.get::<i64>(other_b)).unwrap_err());
}

#[test]
fn a_handle_goes_with_its_statement_through_the_cache() {
    const SQL: &str = "SELECT 1 AS a, 2 AS b";
    let conn = open();
    let mut first = conn.prepare_cached(SQL).unwrap();
    let b = first.column("b").unwrap();
    let mut second = conn.prepare_cached(SQL).unwrap();
    assert_misuse(&second.query_row((), |row| row.get::<i64>(b)).unwrap_err());
    second.finalize().unwrap();
    assert_eq!(first.query_row((), |row| row.get::<i64>(b)).unwrap(), 2);
    drop(first);
    assert_eq!(conn.prepare_cached(SQL).unwrap().query_row((), |row| row.get::<i64>(b)).unwrap(), 2);
}

#[test]
fn a_handle_goes_with_its_statement_into_the_rows() {
    let conn = open();
    let mut statement = conn.prepare("SELECT 1 AS a, 2 AS b").unwrap();
    let b = statement.column("b").unwrap();
    let mut rows = statement.into_rows(()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(b).unwrap(), 2);
}

#[test]
fn one_column_is_read_without_a_tuple() {
    let conn = open();
    assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    assert_eq!(conn.query_one::<(i64,)>("SELECT 1", ()).unwrap(), (1,));
    assert_eq!(conn.query_one::<Option<String>>("SELECT NULL", ()).unwrap(), None);
    let error = conn.query_one::<i64>("SELECT 1, 2", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 1, found: 2, .. }), "{error:?}");
    let error = conn.query_all::<(i64, i64)>("SELECT 1", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 2, found: 1, .. }), "{error:?}");
}

//! Uses of `list` without a list.

use super::*;

#[track_caller]
fn assert_no_list(error: &finalite::Error, table: &str, found: Type) {
    let ErrorKind::FunctionArgument { function, argument: 1, found: seen, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((&**function, *seen), (table, found));
    let expected = format!("function {table}, argument 1, {found}: not a list: bind one by `finalite::array` (Array)");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn anything_but_a_list_is_an_error_that_names_the_function() {
    let conn = open();
    for table in ["list", "rarray"] {
        let sql = format!("SELECT value FROM {table}(?)");
        let fails = |value: &dyn ToSql| conn.query_all::<i64>(&sql, (value,)).unwrap_err();
        assert_no_list(&fails(&None::<i64>), table, Type::Null);
        assert_no_list(&fails(&94_000_000_000_000_i64), table, Type::Integer);
        assert_no_list(&fails(&1.5), table, Type::Real);
        assert_no_list(&fails(&"a secret"), table, Type::Text);
        assert_no_list(&fails(&b"a secret".as_slice()), table, Type::Blob);
        assert!(!fails(&"a secret").to_string().contains("secret"));
        assert_eq!(conn.query_all::<i64>(&sql, (array(&[4_i64]),)).unwrap(), [4], "the connection works on");
    }
}

#[test]
fn nothing_is_deleted_by_a_list_that_is_none() {
    let conn = filled();
    let sql = "DELETE FROM t WHERE id NOT IN (SELECT value FROM list(?))";
    assert_no_list(&conn.execute(sql, (None::<i64>,)).unwrap_err(), "list", Type::Null);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 1000);
    // A control: an empty list is a list.
    assert_eq!(conn.execute(sql, (array(&[] as &[i64]),)).unwrap(), 1000);
}

#[test]
fn the_number_of_arguments_is_checked() {
    let conn = open();
    for sql in ["SELECT * FROM list()", "SELECT * FROM list"] {
        let _ = conn.query_all::<i64>(SQL, (array(&[1_i64]),)).unwrap();
        let error = conn.prepare(sql).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Function { .. }), "{error:?}");
        assert!(error.to_string().starts_with("function list: argument 1 is missing"), "{error}");
    }
    let error = conn.prepare("SELECT * FROM list(1, 2)").unwrap_err();
    assert!(error.to_string().starts_with("too many arguments on list() - max 1"), "{error}");
    let error = conn.execute("DELETE FROM list", ()).unwrap_err();
    assert!(error.to_string().starts_with("table list may not be modified"), "{error}");
}

#[test]
fn a_value_that_sqlite_cannot_store_is_an_error() {
    let conn = open();
    for (list, of) in
        [(array(&[1.0, f64::NAN]), "NaN"), (array(vec![Value::Real(f64::NAN)]), "NaN"), (array(&[u64::MAX]), "u64")]
    {
        let error = conn.query_all::<Value>(SQL, (list,)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FunctionResult { .. }), "{error:?}");
        assert!(error.to_string().starts_with("function list, result: ") && error.to_string().contains(of), "{error}");
    }
}

#[test]
fn a_list_is_no_result_of_a_function() {
    let conn = open();
    conn.create_scalar_function("makes", || array(vec![1_i64])).unwrap();
    let error = conn.execute("SELECT makes()", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FunctionResult { .. }), "{error:?}");
}

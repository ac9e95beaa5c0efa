//! Binding by position.

use super::*;

#[test]
fn none() {
    let conn = open();
    assert_eq!(bound(&conn, "SELECT 1", ()).unwrap(), "1");
    assert_eq!(bound(&conn, "SELECT 1", params![]).unwrap(), "1");
    assert_eq!(bound(&conn, "SELECT 1", named_params! {}).unwrap(), "1");
    assert_eq!(bound(&conn, "SELECT 1", []).unwrap(), "1");
    assert_count(&bound(&conn, "SELECT ?", ()).unwrap_err(), 1, 0);
    assert_count(&bound(&conn, "SELECT ?, :a", params![]).unwrap_err(), 2, 0);
}

fn marks(count: usize) -> String {
    format!("SELECT {}", vec!["?"; count].join(", "))
}

fn read_like<'p, T: for<'row> FromRow<'row>>(
    _: &T,
    conn: &Connection,
    sql: &str,
    params: impl Params<'p>,
) -> Result<T> {
    conn.query_one(sql, params)
}

/// A test for each length of tuple: the values in order, read back as a tuple of the same length, and every error.
macro_rules! tuples {
    ($($test:ident: $count:literal, ($($value:literal)+);)+) => {
        mod tuples {
            use super::*;

            $(
                #[test]
                fn $test() {
                    let conn = open();
                    let values = ($($value,)+);
                    assert_eq!(bound(&conn, &marks($count), values).unwrap(), stringify!($($value)+));
                    let read = read_like(&values, &conn, &marks($count), values).unwrap();
                    assert_eq!(bound(&conn, &marks($count), read).unwrap(), stringify!($($value)+));
                    for other in [$count - 1, $count + 1] {
                        let sql = if other == 0 { "SELECT 1".into() } else { marks(other) };
                        assert_count(&bound(&conn, &sql, values).unwrap_err(), other, $count);
                        if other > 0 {
                            let error = read_like(&values, &conn, &sql, params_from_iter(vec![0; other]));
                            assert_columns(&error.err().unwrap(), $count, other);
                        }
                    }
                }
            )+
        }
    };
}

fn assert_columns(error: &Error, by_type: usize, in_row: usize) {
    let ErrorKind::ColumnCount { expected, found, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*expected, *found), (by_type, in_row), "{error}");
    let plural = if in_row == 1 { "" } else { "s" };
    let names = vec!["?"; in_row.min(10)].join(", ");
    let more = if in_row > 10 { format!(" and {} more", in_row - 10) } else { String::new() };
    let start = format!("the row has {in_row} column{plural} ({names}{more}), the type reads {by_type}, in: SELECT ?");
    assert!(error.to_string().starts_with(&start), "{error}");
}

tuples! {
    of_1: 1, (1);
    of_2: 2, (1 2);
    of_3: 3, (1 2 3);
    of_4: 4, (1 2 3 4);
    of_5: 5, (1 2 3 4 5);
    of_6: 6, (1 2 3 4 5 6);
    of_7: 7, (1 2 3 4 5 6 7);
    of_8: 8, (1 2 3 4 5 6 7 8);
    of_9: 9, (1 2 3 4 5 6 7 8 9);
    of_10: 10, (1 2 3 4 5 6 7 8 9 10);
    of_11: 11, (1 2 3 4 5 6 7 8 9 10 11);
    of_12: 12, (1 2 3 4 5 6 7 8 9 10 11 12);
    of_13: 13, (1 2 3 4 5 6 7 8 9 10 11 12 13);
    of_14: 14, (1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    of_15: 15, (1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    of_16: 16, (1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

#[test]
fn a_tuple_holds_different_types() {
    let conn = open();
    let name = String::from("b");
    let values = (1_u8, &name, name.clone(), "c", None::<i64>, Some(2.5), true, [1_u8, 2], ZeroBlob(1), Value::Null);
    assert_eq!(bound(&conn, &marks(10), values).unwrap(), "1 b b c NULL 2.5 1 [1, 2] [0] NULL");
    let read: (u8, String, Option<String>, Option<f64>, bool, Vec<u8>) =
        conn.query_one(&marks(6), (1, "b", None::<&str>, 2.5, true, [1_u8, 2])).unwrap();
    assert_eq!(read, (1, "b".into(), None, Some(2.5), true, vec![1, 2]));
}

#[test]
fn arrays() {
    let conn = open();
    assert_eq!(bound(&conn, &marks(3), [1, 2, 3]).unwrap(), "1 2 3");
    assert_eq!(bound(&conn, &marks(2), [String::from("a"), String::from("b")]).unwrap(), "a b");
    assert_eq!(bound(&conn, &marks(2), ["a", "b"]).unwrap(), "a b");
    assert_eq!(bound(&conn, &marks(2), [Some("a"), None]).unwrap(), "a NULL");
    let mixed: [&dyn ToSql; 3] = [&1, &"b", &None::<i32>];
    assert_eq!(bound(&conn, &marks(3), mixed).unwrap(), "1 b NULL");
    assert_eq!(bound(&conn, &marks(40), &[7; 40]).unwrap(), ["7"; 40].join(" "));
    assert_count(&bound(&conn, &marks(3), [1, 2]).unwrap_err(), 3, 2);
    assert_count(&bound(&conn, &marks(1), [1, 2]).unwrap_err(), 1, 2);
}

#[test]
fn borrowed_arrays_and_slices() {
    let conn = open();
    let numbers = vec![1, 2, 3];
    let array: &[i64; 3] = &[1, 2, 3];
    assert_eq!(bound(&conn, &marks(3), array).unwrap(), "1 2 3");
    assert_eq!(bound(&conn, &marks(3), numbers.as_slice()).unwrap(), "1 2 3");
    assert_eq!(bound(&conn, &marks(2), &numbers[1..]).unwrap(), "2 3");
    assert_eq!(bound(&conn, "SELECT 1", &numbers[3..]).unwrap(), "1");
    let texts = ["a".to_owned(), "b".to_owned()];
    assert_eq!(bound(&conn, &marks(2), &texts).unwrap(), "a b");
    let mixed: &[&dyn ToSql] = &[&1, &"b", &texts[0]];
    assert_eq!(bound(&conn, &marks(3), mixed).unwrap(), "1 b a");
    assert_count(&bound(&conn, &marks(4), array).unwrap_err(), 4, 3);
    assert_count(&bound(&conn, &marks(2), numbers.as_slice()).unwrap_err(), 2, 3);
}

#[test]
fn params_macro() {
    let conn = open();
    let name = String::from("b");
    assert_eq!(bound(&conn, &marks(4), params![1, &name, name.clone(), None::<i64>]).unwrap(), "1 b b NULL");
    assert_eq!(bound(&conn, &marks(1), params![name,]).unwrap(), "b");
    let twenty = params![1, "2", 3.0, true, 5, "6", 7.0, true, 9, "10", 11.0, 12, 13, 14, 15, 16, 17, 18, 19, 20];
    assert_eq!(bound(&conn, &marks(20), twenty).unwrap(), "1 2 3.0 1 5 6 7.0 1 9 10 11.0 12 13 14 15 16 17 18 19 20");
    assert_count(&bound(&conn, &marks(3), params![1, "b"]).unwrap_err(), 3, 2);
    assert_count(&bound(&conn, &marks(1), params![1, "b"]).unwrap_err(), 1, 2);
}

#[test]
fn iterators() {
    let conn = open();
    let texts = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(bound(&conn, &marks(3), params_from_iter(1..=3)).unwrap(), "1 2 3");
    assert_eq!(bound(&conn, &marks(2), params_from_iter(&texts)).unwrap(), "a b");
    assert_eq!(bound(&conn, &marks(2), params_from_iter(texts.iter().rev())).unwrap(), "b a");
    assert_eq!(bound(&conn, &marks(2), params_from_iter(texts.iter().map(String::len))).unwrap(), "1 1");
    assert_eq!(bound(&conn, &marks(2), params_from_iter(texts)).unwrap(), "a b");
    assert_eq!(bound(&conn, "SELECT 1", params_from_iter(None::<i64>)).unwrap(), "1");
}

#[test]
fn iterators_that_yield_too_few() {
    let conn = open();
    for given in 0..3 {
        assert_count(&bound(&conn, &marks(3), params_from_iter(0..given)).unwrap_err(), 3, given);
    }
}

/// An iterator that knows its length is not asked for a value; another is asked for one more than there are
/// parameters, of however many.
#[test]
fn iterators_that_yield_too_many() {
    let conn = open();
    let asked = Cell::new(0);
    let values = (0..9).inspect(|_| asked.set(asked.get() + 1));
    assert_count(&bound(&conn, &marks(2), params_from_iter(values)).unwrap_err(), 2, 9);
    assert_eq!(asked.get(), 0);
    assert_count(&bound(&conn, "SELECT 1", params_from_iter(0..9)).unwrap_err(), 0, 9);
    let values = (0..9).filter(|_| true).inspect(|_| asked.set(asked.get() + 1));
    assert_count(&bound(&conn, &marks(2), params_from_iter(values)).unwrap_err(), 2, 3);
    assert_eq!(asked.replace(0), 3);
    let endless = std::iter::repeat_with(|| asked.replace(asked.get() + 1));
    assert_count(&bound(&conn, &marks(2), params_from_iter(endless)).unwrap_err(), 2, 3);
    assert_eq!(asked.get(), 3);
}

#[test]
fn what_a_wrong_count_says() {
    let conn = open();
    let say = |sql: &str, params: &[i64]| conn.execute(sql, params).unwrap_err().to_string();
    assert_eq!(say("SELECT 1", &[1]), "the SQL has 0 parameters, 1 was given, in: SELECT 1");
    assert_eq!(say("SELECT ?", &[]), "the SQL has 1 parameter, 0 were given, in: SELECT ?");
    assert_eq!(say("SELECT ?, ?", &[1, 2, 3]), "the SQL has 2 parameters, 3 were given, in: SELECT ?, ?");
    let error = conn.execute("SELECT ?", ()).unwrap_err();
    assert_eq!((error.sql(), error.code(), error.position()), (Some("SELECT ?"), None, None));
}

/// Positions are SQLite's indexes, whatever is written in the SQL.
#[test]
fn numbered_parameters() {
    let conn = open();
    assert_eq!(bound(&conn, "SELECT ?2, ?1, ?2", (1, 2)).unwrap(), "2 1 2");
    assert_eq!(bound(&conn, "SELECT ?, ?1, ?", (1, 2)).unwrap(), "1 1 2");
    assert_eq!(bound(&conn, "SELECT ?2, ?", (1, 2, 3)).unwrap(), "2 3", "`?` is one more than the largest so far");
    // An index that the SQL leaves out is counted: SQLite has a place for it.
    assert_eq!(bound(&conn, "SELECT ?3", (1, 2, 3)).unwrap(), "3");
    assert_count(&bound(&conn, "SELECT ?3", (3,)).unwrap_err(), 3, 1);
    let statement = conn.prepare("SELECT ?3, ?, :name").unwrap();
    assert_eq!(statement.parameter_count(), 5);
    let names: Vec<_> = (0..=6).map(|index| statement.parameter_name(index)).collect();
    assert_eq!(names, [None, None, None, Some("?3"), None, Some(":name"), None]);
}

#[test]
fn by_position_although_there_are_names() {
    let conn = open();
    assert_eq!(bound(&conn, "SELECT :b, @a, $c, :b, ?", (1, 2, 3, 4)).unwrap(), "1 2 3 1 4");
    assert_count(&bound(&conn, "SELECT :a, :a", (1, 2)).unwrap_err(), 1, 2);
}

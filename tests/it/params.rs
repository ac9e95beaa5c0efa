//! Parameters in, rows out: every form of `Params`, every way to name a column, and what SQLite tells of a statement.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use finalite::{
    Binder, Connection, Error, ErrorKind, FromRow, NameKind, Params, Result, ResultCode, Statement, ToSql, Value,
    ValueRef, ZeroBlob, ffi, named_params, params, params_from_iter,
};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Every row as text: what SQLite has for the values of the parameters, separated by blanks.
fn bound<'p>(conn: &Connection, sql: &str, params: impl Params<'p>) -> Result<String> {
    conn.query_row(sql, params, |row| {
        let values = (0..row.column_count()).map(|column| Ok(show(row.value(column)?)));
        Ok(values.collect::<Result<Vec<_>>>()?.join(" "))
    })
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => format!("{value:?}"),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{bytes:?}"),
    }
}

fn assert_count(error: &Error, expected: usize, given: usize) {
    let ErrorKind::ParameterCount { expected: in_sql, given: seen, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*in_sql, *seen), (expected, given), "{error}");
}

#[track_caller]
fn assert_twice(error: &Error, index: usize, name: Option<&str>) {
    match error.kind() {
        ErrorKind::ParameterTwice { index: found, name: found_name, .. } => {
            assert_eq!((*found, found_name.as_deref()), (index, name), "{error}");
        }
        _ => panic!("{error:?}"),
    }
}

fn assert_unset(error: &Error, unset: usize, called: Option<&str>) {
    let ErrorKind::ParameterUnset { index, name, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*index, name.as_deref()), (unset, called), "{error}");
}

fn assert_no_such(error: &Error, wanted: NameKind, called: &str, there_is: &[&str]) {
    let ErrorKind::NoSuch { what, name, known, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((*what, &**name), (wanted, called));
    assert_eq!(known.iter().map(|name| &**name).collect::<Vec<_>>(), there_is);
}

/// The only statement of the connection, with the values that SQLite has for its parameters at this moment. Asked
/// behind the driver's back, which would first clear what is left of an earlier execution.
fn bound_now(conn: &Connection) -> String {
    // SAFETY: nothing is closed through the pointer, and it is not used after this function.
    let db = unsafe { conn.as_raw() };
    // SAFETY: the connection is open; NULL asks for its first statement.
    let statement = unsafe { ffi::sqlite3_next_stmt(db, ptr::null_mut()) };
    assert!(!statement.is_null());
    // SAFETY: as above.
    let next = unsafe { ffi::sqlite3_next_stmt(db, statement) };
    assert!(next.is_null(), "there is more than one statement");
    // SAFETY: the statement is alive; reads what is bound, which is alive too, or else there is the bug to be found.
    let text = unsafe { ffi::sqlite3_expanded_sql(statement) };
    assert!(!text.is_null());
    // SAFETY: not NULL, and NUL-terminated.
    let sql = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    // SAFETY: it came from `sqlite3_malloc`, for the caller to free.
    unsafe { ffi::sqlite3_free(text.cast()) };
    sql
}

/// Sets one of SQLite's run-time limits.
fn set_limit(conn: &Connection, limit: c_int, value: c_int) {
    // SAFETY: nothing is closed through the pointer, and it is not used after this function.
    let db = unsafe { conn.as_raw() };
    // SAFETY: the connection is open; any limit and value are allowed.
    unsafe { ffi::sqlite3_limit(db, limit, value) };
}

/// Binding by position.
mod positional {
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
        let start =
            format!("the row has {in_row} column{plural} ({names}{more}), the type reads {by_type}, in: SELECT ?");
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
        let values =
            (1_u8, &name, name.clone(), "c", None::<i64>, Some(2.5), true, [1_u8, 2], ZeroBlob(1), Value::Null);
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
        assert_eq!(
            bound(&conn, &marks(20), twenty).unwrap(),
            "1 2 3.0 1 5 6 7.0 1 9 10 11.0 12 13 14 15 16 17 18 19 20"
        );
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
}

/// Binding by name.
mod named {
    use super::*;

    #[test]
    fn every_prefix() {
        let conn = open();
        let sql = "SELECT :a, @a, $a, ?4, $a::b(c)";
        let values = named_params! { "$a": 3, "?4": 4, "@a": "two", ":a": 1, "$a::b(c)": 5, };
        assert_eq!(bound(&conn, sql, values).unwrap(), "1 two 3 4 5");
    }

    #[test]
    fn a_repeated_name_is_one_parameter() {
        let conn = open();
        assert_eq!(bound(&conn, "SELECT :a, :b, :a", named_params! { ":b": 2, ":a": 1 }).unwrap(), "1 2 1");
        assert_twice(&bound(&conn, "SELECT :a", named_params! { ":a": 1, ":a": "last" }).unwrap_err(), 1, Some(":a"));
    }

    #[test]
    fn slices_of_references() {
        let conn = open();
        let name = String::from("Ada");
        let values: &[(&str, &dyn ToSql)] = &[(":name", &name), (":id", &7), (":none", &None::<i64>)];
        assert_eq!(bound(&conn, "SELECT :id, :name, :none", values).unwrap(), "7 Ada NULL");
        assert_unset(&bound(&conn, "SELECT :id, :name, :none", &values[..2]).unwrap_err(), 3, Some(":none"));
        assert_no_such(
            &bound(&conn, "SELECT :id, :name", values).unwrap_err(),
            NameKind::Parameter,
            ":none",
            &[":id", ":name"],
        );
        assert_eq!(bound(&conn, "SELECT 1", &values[..0]).unwrap(), "1");
    }

    #[test]
    fn names_are_exact() {
        let conn = open();
        for wrong in [":Name", "name", "@name", "$name", ":name ", ":nam", ":names", ""] {
            let values: &[(&str, &dyn ToSql)] = &[(wrong, &1)];
            assert_no_such(&bound(&conn, "SELECT :name", values).unwrap_err(), NameKind::Parameter, wrong, &[":name"]);
        }
        assert_eq!(bound(&conn, "SELECT :größe, :GRÖSSE", named_params! { ":größe": 1, ":GRÖSSE": 2 }).unwrap(), "1 2");
    }

    #[test]
    fn an_unknown_name_is_told_with_those_there_are() {
        let conn = open();
        let error = conn.execute("SELECT :a, @b, ?", named_params! { ":a": 1, ":b": 2 }).unwrap_err();
        assert_no_such(&error, NameKind::Parameter, ":b", &[":a", "@b"]);
        assert_eq!(error.to_string(), "no such parameter: :b (there are :a, @b), in: SELECT :a, @b, ?");
        assert_eq!(error.sql(), Some("SELECT :a, @b, ?"));
        let error = conn.execute("SELECT ?", named_params! { ":a": 1 }).unwrap_err();
        assert_no_such(&error, NameKind::Parameter, ":a", &[]);
        assert_eq!(error.to_string(), "no such parameter: :a, in: SELECT ?");
    }

    #[test]
    fn a_parameter_without_a_value_is_told_with_name_and_index() {
        let conn = open();
        let error = conn.execute("SELECT :a, @b, $c", named_params! { ":a": 1, "$c": 3 }).unwrap_err();
        assert_unset(&error, 2, Some("@b"));
        assert_eq!(error.to_string(), "parameter 2 (@b) has no value, in: SELECT :a, @b, $c");
        let error = conn.execute("SELECT :a, ?", named_params! { ":a": 1 }).unwrap_err();
        assert_unset(&error, 2, None);
        assert_eq!(error.to_string(), "parameter 2 has no value, in: SELECT :a, ?");
    }

    /// Up to 128 parameters are remembered in place, the others in a list: nothing may fall between the two.
    #[test]
    fn around_128_parameters() {
        let conn = open();
        for count in [1, 2, 127, 128, 129, 130, 300] {
            let names: Vec<String> = (1..=count).map(|n| format!(":p{n}")).collect();
            let sql = format!("SELECT {} AS sum", names.join(" + "));
            let total = count * (count + 1) / 2;
            let values = |missing| Numbers { names: &names, missing, positional: 0 };
            assert_eq!(conn.query_one::<usize>(&sql, values(None)).unwrap(), total);
            for missing in [1, 2, 64, 127, 128, 129, count].into_iter().filter(|&it| it <= count && count > 1) {
                let error = conn.execute(&sql, values(Some(missing))).unwrap_err();
                assert_unset(&error, missing, Some(&names[missing - 1]));
            }
            // The first ones by position, the others by name.
            for positional in [1, 126, 127, 128, 129, 200].into_iter().filter(|&it| it + 1 < count) {
                let values = Numbers { names: &names, missing: None, positional };
                assert_eq!(conn.query_one::<usize>(&sql, values).unwrap(), total);
                let values = Numbers { names: &names, missing: Some(positional + 1), positional };
                assert_unset(&conn.execute(&sql, values).unwrap_err(), positional + 1, Some(&names[positional]));
            }
        }
    }

    /// Binds each parameter's number to it.
    struct Numbers<'a> {
        names: &'a [String],
        missing: Option<usize>,
        positional: usize,
    }

    impl<'p> Params<'p> for Numbers<'_> {
        fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
            for (index, name) in (1..).zip(self.names) {
                if index <= self.positional {
                    binder.push(index)?;
                } else if self.missing != Some(index) {
                    binder.set(name, index)?;
                }
            }
            Ok(())
        }
    }
}

/// `Params` of one's own.
mod own {
    use super::*;

    /// What a closure does with the binder.
    struct By<F>(F);

    impl<'p, F: FnOnce(&mut Binder<'_, 'p>) -> Result<()>> Params<'p> for By<F> {
        fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
            (self.0)(binder)
        }
    }

    fn by<'p, F: FnOnce(&mut Binder<'_, 'p>) -> Result<()>>(bind: F) -> By<F> {
        By(bind)
    }

    const SQL: &str = "SELECT ?, :b, ?, @d";

    #[test]
    fn positions_and_names_together() {
        let conn = open();
        let values = by(|binder| {
            assert_eq!(binder.parameter_count(), 4);
            binder.push(1)?;
            binder.set("@d", "four")?;
            binder.push(2)?;
            binder.push(3)
        });
        assert_eq!(bound(&conn, SQL, values).unwrap(), "1 2 3 four");
    }

    /// `push` counts what was pushed, and passes over nothing that was set by name.
    #[test]
    fn a_second_value_is_refused() {
        let conn = open();
        let values = by(|binder| {
            binder.set(":b", "by name")?;
            binder.set("@d", 4)?;
            binder.push(1)?;
            binder.push("by position")?;
            binder.push(3)
        });
        assert_twice(&bound(&conn, SQL, values).unwrap_err(), 2, Some(":b"));
        let values = by(|binder| {
            (1..=4).try_for_each(|value| binder.push(value))?;
            binder.set(":b", "by name")
        });
        assert_twice(&bound(&conn, SQL, values).unwrap_err(), 2, Some(":b"));
    }

    #[test]
    fn whatever_is_missing_is_told() {
        let conn = open();
        let error = bound(&conn, SQL, by(|binder| binder.set("@d", 4))).unwrap_err();
        assert_unset(&error, 1, None);
        let values = by(|binder| {
            binder.push(1)?;
            binder.set("@d", 4)?;
            Ok(())
        });
        assert_unset(&bound(&conn, SQL, values).unwrap_err(), 2, Some(":b"));
        let values = by(|binder| {
            binder.set("@d", 4)?;
            binder.push(1)?;
            binder.push(2)
        });
        assert_unset(&bound(&conn, SQL, values).unwrap_err(), 3, None);
        assert_count(&bound(&conn, SQL, by(|binder| binder.push(1))).unwrap_err(), 4, 1);
        assert_count(&bound(&conn, SQL, by(|_| Ok(()))).unwrap_err(), 4, 0);
    }

    #[test]
    fn too_many_pushes() {
        let conn = open();
        let error = bound(&conn, SQL, by(|binder| (0..5).try_for_each(|value| binder.push(value)))).unwrap_err();
        assert_count(&error, 4, 5);
        let named_first = by(|binder| {
            binder.set("@d", 4)?;
            (0..5).try_for_each(|value| binder.push(value))
        });
        assert_twice(&bound(&conn, SQL, named_first).unwrap_err(), 4, Some("@d"));
    }

    /// An error that the caller swallows leaves that parameter without a value, and the call with an error.
    #[test]
    fn a_swallowed_error_is_a_missing_value() {
        let conn = open();
        let values = by(|binder| {
            assert!(binder.set(":nobody", 1).is_err());
            assert!(binder.set("@d", u64::MAX).is_err());
            (1..=3).try_for_each(|value| binder.push(value))
        });
        assert_count(&bound(&conn, SQL, values).unwrap_err(), 4, 3);
        let values = by(|binder| {
            binder.set(":b", 2)?;
            assert!(binder.push(f64::NAN).is_err());
            binder.push(1)?;
            binder.set("@d", 4)
        });
        assert_unset(&bound(&conn, SQL, values).unwrap_err(), 3, None);
    }

    /// The ready-made forms are parts of a larger one: each takes the positions that follow.
    #[test]
    fn parts_of_other_forms() {
        let conn = open();
        let values = by(|binder| {
            (1, "two").bind(binder)?;
            binder.push(3)?;
            ["four"].bind(binder)
        });
        assert_eq!(bound(&conn, SQL, values).unwrap(), "1 two 3 four");
        let values = by(|binder| {
            named_params! { "@d": "by name" }.bind(binder)?;
            params_from_iter(1..=3).bind(binder)
        });
        assert_eq!(bound(&conn, SQL, values).unwrap(), "1 2 3 by name");
    }

    #[test]
    fn its_own_error_comes_out() {
        let conn = open();
        let error = bound(&conn, "SELECT ?", by(|_| Err(Error::external("not today")))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::External(_)), "{error:?}");
        assert_eq!(error.to_string(), "not today");
    }

    #[test]
    fn what_it_borrows_is_not_copied() {
        struct User {
            id: i64,
            picture: Vec<u8>,
        }
        impl<'p> Params<'p> for &'p User {
            fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                binder.set(":id", self.id)?;
                binder.set(":picture", &self.picture)
            }
        }
        let conn = open();
        let user = User { id: 7, picture: vec![1, 2, 3] };
        let mut statement = conn.prepare("SELECT :id, :picture").unwrap();
        let mut rows = statement.query(&user).unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 7);
        assert_eq!(row.get::<&[u8]>(1).unwrap().as_ptr(), user.picture.as_ptr());
    }
}

/// What was bound before: gone, whatever became of it.
mod afterwards {
    use super::*;

    const SQL: &str = "SELECT ?, ?, ?, ?, ?";
    const NOTHING: &str = "SELECT NULL, NULL, NULL, NULL, NULL";

    /// Text in every place but one, where the value cannot be bound.
    struct FailsAt<'a> {
        place: usize,
        text: &'a str,
        owned: bool,
    }

    impl<'p> Params<'p> for FailsAt<'p> {
        fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
            for place in 1..=binder.parameter_count() {
                if place == self.place {
                    binder.push(f64::NAN)?;
                } else if self.owned {
                    binder.push(self.text.to_owned())?;
                } else {
                    binder.push(self.text)?;
                }
            }
            Ok(())
        }
    }

    fn assert_usable(statement: &mut Statement<'_>) {
        let values = statement.query_one::<(i64, i64, i64, i64, i64)>((1, 2, 3, 4, 5)).unwrap();
        assert_eq!(values, (1, 2, 3, 4, 5));
    }

    #[test]
    fn a_value_that_fails_takes_those_before_it_along() {
        let conn = open();
        let mut statement = conn.prepare(SQL).unwrap();
        for place in 1..=5 {
            for owned in [false, true] {
                let text = String::from("stale");
                let error = statement.query(FailsAt { place, text: &text, owned }).unwrap_err();
                assert!(
                    matches!(error.kind(), ErrorKind::ParameterConversion { index, .. } if *index == place),
                    "{error:?}"
                );
                drop(text);
                let left = bound_now(&conn);
                assert!(!left.contains("stale"), "place {place}: {left}");
                assert_eq!(&*statement.expanded_sql((1, "b", None::<i64>, 4, 5)).unwrap(), "SELECT 1, 'b', NULL, 4, 5");
                assert_usable(&mut statement);
            }
        }
    }

    /// The same through the other calls, which end in the same place: a value short, a name unknown.
    #[test]
    fn a_wrong_count_takes_those_before_it_along() {
        let conn = open();
        let mut statement = conn.prepare(SQL).unwrap();
        let text = String::from("stale");
        assert!(statement.execute(params_from_iter([&text; 4])).is_err());
        assert_eq!(bound_now(&conn), NOTHING);
        assert!(statement.execute(params_from_iter([&text; 6])).is_err());
        assert_eq!(bound_now(&conn), NOTHING);
        assert!(statement.query_one::<i64>(params_from_iter([&text; 4])).is_err());
        assert_eq!(bound_now(&conn), NOTHING);
        assert!(statement.expanded_sql(params_from_iter([&text; 4])).is_err());
        drop(text);
        assert_eq!(bound_now(&conn), NOTHING);
        assert_usable(&mut statement);
    }

    #[test]
    fn a_cached_statement_goes_back_with_nothing_in_it() {
        let conn = open();
        let text = String::from("stale");
        assert!(conn.execute(SQL, FailsAt { place: 5, text: &text, owned: false }).is_err());
        drop(text);
        assert_eq!(bound_now(&conn), NOTHING);
        let text = String::from("stale");
        assert!(conn.query_one::<(String, String, String, String, String)>(SQL, [&text; 5]).is_ok());
        drop(text);
        assert_eq!(bound_now(&conn), NOTHING);
        assert_eq!(conn.statement_cache_stats().misses, 1);
    }

    #[test]
    fn a_panic_half_way_takes_what_was_bound_along() {
        struct Panics<'a>(&'a str);
        impl<'p> Params<'p> for Panics<'p> {
            fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                binder.push(self.0)?;
                binder.push(self.0.to_owned())?;
                panic!("half way")
            }
        }
        let conn = open();
        let mut statement = conn.prepare(SQL).unwrap();
        for _ in 0..2 {
            let text = String::from("stale");
            let result = catch_unwind(AssertUnwindSafe(|| statement.execute(Panics(&text))));
            assert_eq!(result.unwrap_err().downcast_ref(), Some(&"half way"));
            drop(text);
            assert_eq!(bound_now(&conn), NOTHING);
            assert_usable(&mut statement);
        }
        drop(statement);
        // From the cache: the statement unwinds back into it.
        let text = String::from("stale");
        assert!(catch_unwind(AssertUnwindSafe(|| conn.execute(SQL, Panics(&text)))).is_err());
        drop(text);
        assert_eq!(bound_now(&conn), NOTHING);
        assert_eq!(bound(&conn, SQL, [1; 5]).unwrap(), "1 1 1 1 1");
        assert_eq!(conn.statement_cache_stats().misses, 1);
    }

    #[test]
    fn rows_that_are_dropped_leave_nothing_bound() {
        let conn = open();
        let mut statement = conn.prepare("SELECT ?, ?").unwrap();
        let text = String::from("borrowed");
        let mut rows = statement.query((&text, text.clone())).unwrap();
        assert!(rows.next().unwrap().is_some());
        assert_eq!(bound_now(&conn), "SELECT 'borrowed', 'borrowed'", "the check sees what is bound");
        assert_eq!(&*rows.expanded_sql().unwrap(), "SELECT 'borrowed', 'borrowed'");
        drop(rows);
        drop(text);
        assert_eq!(bound_now(&conn), "SELECT NULL, NULL");
        assert_eq!(&*statement.expanded_sql((1, 2)).unwrap(), "SELECT 1, 2");
        assert_eq!(bound_now(&conn), "SELECT 1, 2", "numbers borrow nothing");
    }

    /// Rows that are forgotten cannot clear anything; the next call does, before it does anything else.
    #[test]
    fn rows_that_are_forgotten_leave_nothing_to_the_next_call() {
        let conn = open();
        let mut statement = conn.prepare("SELECT ?, ?").unwrap();
        let text = String::from("borrowed");
        let mut rows = statement.query((&text, text.clone())).unwrap();
        assert!(rows.next().unwrap().is_some());
        std::mem::forget(rows);
        assert_eq!(bound_now(&conn), "SELECT 'borrowed', 'borrowed'", "nobody could clear it");
        assert!(statement.query(()).is_err());
        drop(text);
        assert_eq!(bound_now(&conn), "SELECT NULL, NULL");
        assert_eq!(statement.query_one::<(i64, i64)>((1, 2)).unwrap(), (1, 2));
    }

    /// What is bound is nobody else's to see.
    #[test]
    fn debug_output_shows_no_value() {
        struct Shows;
        impl<'p> Params<'p> for Shows {
            fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                binder.push("hunter2")?;
                assert!(!format!("{binder:?}").contains("hunter2"));
                Ok(())
            }
        }
        let conn = open();
        let mut statement = conn.prepare("SELECT ? AS password").unwrap();
        let mut rows = statement.query(Shows).unwrap();
        assert!(!format!("{rows:?}").contains("hunter2"));
        let row = rows.next().unwrap().unwrap();
        assert_eq!(format!("{row:?}"), r#"Row { columns: ["password"] }"#);
        drop(rows);
        assert!(!format!("{statement:?}").contains("hunter2"));
    }
}

/// Where SQLite's limits are.
mod limits {
    use super::*;

    /// Some builds of SQLite take more parameters than its default.
    fn open_with_default_limit() -> Connection {
        let conn = open();
        set_limit(&conn, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766);
        conn
    }

    fn rows_of_marks(count: usize) -> String {
        format!("SELECT sum(column1) FROM (VALUES {})", vec!["(?)"; count].join(","))
    }

    #[test]
    fn as_many_parameters_as_sqlite_takes() {
        const MOST: i64 = 32_766;
        let conn = open_with_default_limit();
        let sql = rows_of_marks(32_766);
        assert_eq!(conn.query_one::<i64>(&sql, params_from_iter(1..=MOST)).unwrap(), MOST * (MOST + 1) / 2);
        let values: Vec<i64> = (1..=MOST).collect();
        assert_eq!(conn.query_one::<i64>(&sql, values.as_slice()).unwrap(), MOST * (MOST + 1) / 2);
        assert_count(&conn.execute(&sql, &values[1..]).unwrap_err(), 32_766, 32_765);
        assert_count(&conn.execute(&sql, params_from_iter(0..)).unwrap_err(), 32_766, 32_767);
    }

    #[test]
    fn one_parameter_more() {
        let conn = open_with_default_limit();
        let error = conn.prepare(&rows_of_marks(32_767)).unwrap_err();
        assert_eq!(error.code(), Some(ResultCode::ERROR));
        let text = error.to_string();
        assert!(text.starts_with("too many SQL variables: this connection takes 32766 "), "{text}");
        assert!(text.contains("json_each"), "{text}");
        assert!(matches!(error.kind(), finalite::ErrorKind::TooManyParameters { max: 32_766, .. }), "{error:?}");
        assert!(text.len() < 500, "not all of the SQL: {} bytes", text.len());
        // In a script, too, and what the message advises works.
        set_limit(&conn, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 3);
        let error = conn.execute_batch("SELECT 1; SELECT ?, ?, ?, ?").unwrap_err();
        assert!(matches!(error.kind(), finalite::ErrorKind::TooManyParameters { max: 3, .. }), "{error:?}");
        let sum = "SELECT sum(value) FROM json_each(?)";
        assert_eq!(conn.query_one::<i64>(sum, ("[1, 2, 3, 4, 5]",)).unwrap(), 15);
        set_limit(&conn, ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766);
        let error = conn.prepare("SELECT ?32767").unwrap_err();
        assert!(error.to_string().starts_with("variable number must be between ?1 and ?32766"), "{error}");
        assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    }

    #[test]
    fn the_last_parameter_by_name() {
        let conn = open_with_default_limit();
        // The numbers before it are not in the SQL.
        assert_eq!(conn.query_one::<i64>("SELECT ?32766", named_params! { "?32766": 1 }).unwrap(), 1);
        let error = conn.execute("SELECT ?, ?32766", named_params! { "?32766": 1 }).unwrap_err();
        assert_unset(&error, 1, None);
        let values: Vec<i64> = (1..=32_766).collect();
        assert_eq!(conn.query_one::<i64>("SELECT ?32766", values.as_slice()).unwrap(), 32_766);
    }

    #[test]
    fn a_row_of_2000_columns() {
        let conn = open();
        let columns: Vec<String> = (0..2000).map(|n| format!("? AS c{n}")).collect();
        let mut statement = conn.prepare(&format!("SELECT {}", columns.join(", "))).unwrap();
        assert_eq!(statement.column_count(), 2000);
        let last = statement.column("c1999").unwrap();
        let mut rows = statement.query(params_from_iter(0..2000)).unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.column_count(), 2000);
        for n in 0..2000 {
            assert_eq!(row.get::<usize>(n).unwrap(), n);
            assert_eq!(row.column_name(n).unwrap(), format!("c{n}"));
        }
        for n in [0, 1000, 1999] {
            assert_eq!(row.get::<usize>(&*format!("C{n}")).unwrap(), n);
        }
        assert_eq!(row.get::<usize>(last).unwrap(), 1999);
        assert!(matches!(row.get::<usize>(2000).unwrap_err().kind(), ErrorKind::NoSuch { .. }));
        drop(rows);
        let error = conn.prepare(&format!("SELECT {}, 0", columns.join(", "))).unwrap_err();
        assert!(error.to_string().starts_with("too many columns in result set"), "{error}");
    }

    fn assert_too_big(error: &Error) {
        assert_eq!(error.code(), Some(ResultCode::TOOBIG), "{error:?}");
        assert!(error.to_string().contains("too big"), "{error}");
        assert!(error.sql().is_some(), "{error:?}");
    }

    /// None of these is ever allocated.
    #[test]
    fn blobs_of_zeroes_beyond_the_limit() {
        let conn = open();
        let mut statement = conn.prepare("SELECT length(?)").unwrap();
        for bytes in [1_000_000_001, (1 << 31) - 1, 1 << 31, (1 << 32) + 1, 3_000_000_000, u64::MAX >> 1, u64::MAX] {
            let error = statement.query_one::<i64>((ZeroBlob(bytes),)).unwrap_err();
            assert_too_big(&error);
            assert_eq!(statement.query_one::<i64>(("four",)).unwrap(), 4);
        }
        assert_eq!(statement.query_one::<i64>((ZeroBlob(1_000_000_000),)).unwrap(), 1_000_000_000);
    }

    #[test]
    fn values_beyond_the_limit_while_running() {
        let conn = open();
        assert_too_big(&conn.query_one::<i64>("SELECT zeroblob(3000000000)", ()).unwrap_err());
        assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    }

    /// The limit is lowered, so that text and bytes beyond it are small.
    #[test]
    fn text_and_bytes_beyond_the_limit() {
        let conn = open();
        set_limit(&conn, ffi::SQLITE_LIMIT_LENGTH, 1000);
        let mut statement = conn.prepare("SELECT length(?), length(?)").unwrap();
        let (fits, text) = ("x".repeat(1000), "x".repeat(1001));
        let bytes = text.as_bytes();
        assert_eq!(statement.query_one::<(i64, i64)>((&fits, fits.as_bytes())).unwrap(), (1000, 1000));
        assert_too_big(&statement.query_one::<(i64, i64)>(("before", &text)).unwrap_err());
        assert_too_big(&statement.query_one::<(i64, i64)>(("before", text.clone())).unwrap_err());
        assert_too_big(&statement.query_one::<(i64, i64)>(("before", bytes)).unwrap_err());
        assert_too_big(&statement.query_one::<(i64, i64)>(("before", bytes.to_vec())).unwrap_err());
        assert_too_big(&statement.query_one::<(i64, i64)>(("before", ZeroBlob(1001))).unwrap_err());
        assert_eq!(bound_now(&conn), "SELECT length(NULL), length(NULL)");
        assert_eq!(statement.query_one::<(i64, i64)>(("one", "three")).unwrap(), (3, 5));
    }

    /// The message is SQLite's for this call, not what an earlier one left.
    #[test]
    fn too_big_after_another_error() {
        let conn = open();
        conn.prepare("SELECT nothing").unwrap_err();
        let error = conn.execute("SELECT ?", (ZeroBlob(u64::MAX),)).unwrap_err();
        assert_too_big(&error);
        assert!(!error.to_string().contains("nothing"), "{error}");
        assert_eq!(error.position(), None);
    }

    #[test]
    fn expanded_sql_beyond_the_limit_is_an_error() {
        let conn = open();
        set_limit(&conn, ffi::SQLITE_LIMIT_LENGTH, 1000);
        let mut statement = conn.prepare("SELECT ?1, ?1").unwrap();
        let text = "x".repeat(900);
        // SQLite returns NULL for both.
        let error = statement.expanded_sql((&text,)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{error:?}");
        assert_eq!(&*statement.expanded_sql(("short",)).unwrap(), "SELECT 'short', 'short'");
    }

    #[test]
    fn text_with_nul_goes_in_and_comes_out() {
        let conn = open();
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        for text in ["a\0b", "\0", "\0\0a", "a\0"] {
            conn.execute("DELETE FROM t", ()).unwrap();
            conn.execute("INSERT INTO t VALUES (?)", (text,)).unwrap();
            let (read, kind): (String, String) = conn.query_one("SELECT a, typeof(a) FROM t", ()).unwrap();
            assert_eq!((&*read, &*kind), (text, "text"));
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t WHERE a = ?", (text.to_owned(),)).unwrap(), 1);
            assert_eq!(conn.query_one::<usize>("SELECT octet_length(a) FROM t", ()).unwrap(), text.len());
        }
    }
}

/// Ways to name a column.
mod columns {
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
}

/// A schema that changes under a statement that is kept.
mod schema_change {
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
}

/// What is known about a statement.
mod about {
    use super::*;

    #[test]
    fn columns_and_where_they_come_from() {
        let conn = open();
        conn.execute_batch(
            "CREATE TABLE users(id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, extra);
             CREATE TEMP TABLE notes(body TEXT);
             ATTACH ':memory:' AS other;
             CREATE TABLE other.things(price DECIMAL(10, 2));
             CREATE VIEW names AS SELECT name AS called FROM users;",
        )
        .unwrap();
        let statement = conn
            .prepare(
                "SELECT users.id, users.name AS n, extra, users.rowid, notes.body, price, called, 1 + 1, max(price), \
                 (SELECT name FROM users) FROM users, notes, things, names",
            )
            .unwrap();
        let columns = statement.columns().unwrap();
        let seen: Vec<_> = columns
            .iter()
            .map(|column| {
                let origin = [column.database(), column.table(), column.origin_column()];
                (column.name(), column.declared_type(), origin)
            })
            .collect();
        let origin = |database, table, column| {
            if cfg!(feature = "bundled") { [Some(database), Some(table), Some(column)] } else { [None; 3] }
        };
        assert_eq!(
            seen,
            [
                ("id", Some("INTEGER"), origin("main", "users", "id")),
                ("n", Some("VARCHAR(20)"), origin("main", "users", "name")),
                ("extra", None, origin("main", "users", "extra")),
                ("id", Some("INTEGER"), origin("main", "users", "id")),
                ("body", Some("TEXT"), origin("temp", "notes", "body")),
                ("price", Some("DECIMAL(10, 2)"), origin("other", "things", "price")),
                ("called", Some("VARCHAR(20)"), origin("main", "users", "name")),
                ("1 + 1", None, [None; 3]),
                ("max(price)", None, [None; 3]),
                ("(SELECT name FROM users)", Some("VARCHAR(20)"), origin("main", "users", "name")),
            ]
        );
        assert_eq!(statement.column_names().unwrap().len(), columns.len());
        assert!(statement.column_names().unwrap().eq(columns.iter().map(finalite::ColumnMetadata::name)));
    }

    #[test]
    fn columns_after_a_schema_change() {
        let conn = open();
        conn.execute("CREATE TABLE t(a INTEGER, b TEXT)", ()).unwrap();
        let mut statement = conn.prepare("SELECT * FROM t").unwrap();
        assert_eq!(statement.columns().unwrap().len(), 2);
        conn.execute_batch("ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN c REAL").unwrap();
        assert_eq!(statement.query_optional::<(String, f64)>(()).unwrap(), None);
        let columns = statement.columns().unwrap();
        let seen: Vec<_> = columns.iter().map(|column| (column.name(), column.declared_type())).collect();
        assert_eq!(seen, [("b", Some("TEXT")), ("c", Some("REAL"))]);
    }

    #[test]
    fn a_statement_without_columns() {
        let conn = open();
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        let mut statement = conn.prepare("INSERT INTO t VALUES (?)").unwrap();
        assert_eq!((statement.column_count(), statement.columns().unwrap().len()), (0, 0));
        assert_no_such(&statement.column("a").unwrap_err(), NameKind::Column, "a", &[]);
        let returning = conn.prepare("INSERT INTO t VALUES (?) RETURNING a AS stored").unwrap();
        assert_eq!(returning.column_names().unwrap().collect::<Vec<_>>(), ["stored"]);
    }

    #[test]
    fn counters_of_runs_and_work() {
        let conn = open();
        conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (3, 1), (1, 2), (2, 3)").unwrap();
        let mut statement = conn.prepare("SELECT a FROM t ORDER BY a").unwrap();
        let fresh = statement.counters();
        assert_eq!((fresh.runs, fresh.vm_steps, fresh.fullscan_steps, fresh.sorts, fresh.reprepares), (0, 0, 0, 0, 0));
        assert!(fresh.memory_bytes > 0);
        assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2, 3]);
        let once = statement.counters();
        assert_eq!((once.runs, once.sorts, once.reprepares), (1, 1, 0));
        assert!(once.vm_steps > 0 && once.fullscan_steps > 0, "{once:?}");
        assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2, 3]);
        let twice = statement.counters();
        assert_eq!((twice.runs, twice.sorts), (2, 2));
        assert_eq!(
            (twice.vm_steps, twice.fullscan_steps),
            (2 * once.vm_steps, 2 * once.fullscan_steps),
            "reading a counter does not reset it"
        );
        // What is bound and not run is no run.
        drop(statement.query(()).unwrap());
        statement.expanded_sql(()).unwrap();
        assert_eq!(statement.counters().runs, 2);
    }

    #[test]
    fn counters_of_the_planner() {
        let conn = open();
        conn.execute_batch("CREATE TABLE t(a); CREATE TABLE u(a)").unwrap();
        conn.prepare("INSERT INTO t VALUES (?)").unwrap().execute_many((0..100).map(|a| (a,))).unwrap();
        conn.prepare("INSERT INTO u VALUES (?)").unwrap().execute_many((0..100).map(|a| (a,))).unwrap();
        let mut join = conn.prepare("SELECT count(*) FROM t, u WHERE t.a = u.a").unwrap();
        assert_eq!(join.query_one::<i64>(()).unwrap(), 100);
        let counters = join.counters();
        assert_eq!((counters.runs, counters.sorts), (1, 0));
        assert!(counters.autoindexes > 0, "{counters:?}");
    }

    #[test]
    fn counters_of_preparing_anew() {
        let conn = open();
        conn.execute("CREATE TABLE t(a)", ()).unwrap();
        let mut statement = conn.prepare("SELECT * FROM t").unwrap();
        let mut reprepares = Vec::new();
        for change in ["SELECT 1", "CREATE TABLE u(a)", "SELECT 1", "DROP TABLE u", "ALTER TABLE t ADD COLUMN b"] {
            conn.execute(change, ()).unwrap();
            statement.query_all::<Value>(()).unwrap();
            reprepares.push(statement.counters().reprepares);
        }
        assert_eq!(reprepares, [0, 1, 1, 2, 3]);
    }

    #[test]
    fn read_only_statements() {
        let conn = open();
        conn.execute_batch("CREATE TABLE t(a)").unwrap();
        for (sql, is_readonly) in [
            ("SELECT * FROM t", true),
            ("BEGIN", true),
            ("COMMIT", true),
            ("SAVEPOINT s", true),
            ("PRAGMA user_version", true),
            ("ATTACH ':memory:' AS other", true),
            ("BEGIN IMMEDIATE", false),
            ("INSERT INTO t VALUES (1)", false),
            ("INSERT INTO t VALUES (1) RETURNING a", false),
            ("UPDATE t SET a = 1", false),
            ("DELETE FROM t", false),
            // As without the EXPLAIN (c3ref/stmt_readonly.html), although it runs nothing.
            ("EXPLAIN DELETE FROM t", false),
            ("CREATE TABLE u(a)", false),
            ("CREATE TABLE IF NOT EXISTS t(a)", false),
            ("PRAGMA user_version = 1", false),
            ("PRAGMA journal_mode = wal", false),
            ("VACUUM", false),
        ] {
            assert_eq!(conn.prepare(sql).unwrap().is_readonly(), is_readonly, "{sql}");
        }
    }

    #[test]
    fn explaining_statements() {
        let conn = open();
        for (sql, is_explain) in [
            ("SELECT 'EXPLAIN'", false),
            ("EXPLAIN SELECT 1", true),
            ("EXPLAIN QUERY PLAN SELECT 1", true),
            ("/* comment */ explain SELECT 1", true),
        ] {
            assert_eq!(conn.prepare(sql).unwrap().is_explain(), is_explain, "{sql}");
        }
    }

    #[test]
    fn expanded_sql_shows_the_values() {
        let conn = open();
        conn.execute("CREATE TABLE t(a, b, c, d, e, f)", ()).unwrap();
        let sql = "INSERT INTO t VALUES (?, :text, @blob, $null, ?, ?6) -- ?";
        let values = (7, "it's", [0xc0_u8, 0xff], None::<i64>, 0.5, ZeroBlob(3));
        let expanded = "INSERT INTO t VALUES (7, 'it''s', x'c0ff', NULL, 0.5, zeroblob(3)) -- ?";
        let mut statement = conn.prepare(sql).unwrap();
        assert_eq!(&*statement.expanded_sql(values).unwrap(), expanded);
        assert_eq!(statement.sql(), sql);
        let rows = statement.query(values).unwrap();
        assert_eq!(&*rows.expanded_sql().unwrap(), expanded);
        drop(rows);
        assert_eq!(&*conn.prepare_cached(sql).unwrap().expanded_sql(values).unwrap(), expanded);
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0, "nothing was run");
        assert_count(&statement.expanded_sql(()).unwrap_err(), 6, 0);
        assert_no_such(
            &statement.expanded_sql(named_params! { ":nobody": 1 }).unwrap_err(),
            NameKind::Parameter,
            ":nobody",
            &[":text", "@blob", "$null", "?6"],
        );
    }
}

//! Binding by name.

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
    for wrong in [":Name", "Name", "nam", "names", "@name", "$name", ":name ", ":nam", ":names", ""] {
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

#[test]
fn names_without_their_prefix() {
    let conn = open();
    let values = named_params! { "c": 3, "a": 1, "b": "two", "?4": 4 };
    assert_eq!(bound(&conn, "SELECT :a, @b, $c, ?4", values).unwrap(), "1 two 3 4");
    assert_eq!(bound(&conn, "SELECT :a, ?, :b", Mixed).unwrap(), "1 2 3");
    // The exact name is never ambiguous.
    let sql = "SELECT :a, @a, :b";
    assert_eq!(bound(&conn, sql, named_params! { ":a": 1, "@a": 2, "b": 3 }).unwrap(), "1 2 3");
    for values in [named_params! { "a": 1, "b": 2 }, named_params! { "b": 2, "a": 1 }] {
        let error = bound(&conn, sql, values).unwrap_err();
        let ErrorKind::AmbiguousParameter { name, known, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!((&**name, known.iter().map(|name| &**name).collect::<Vec<_>>()), ("a", vec![":a", "@a"]));
        assert_eq!(error.to_string(), format!("the parameter a is ambiguous: the SQL has :a, @a, in: {sql}"));
    }
    // Numbers are no names, and neither is nothing.
    for wrong in ["1", "4", ""] {
        let error = bound(&conn, "SELECT ?1", [(wrong, 1)]).unwrap_err();
        assert_no_such(&error, NameKind::Parameter, wrong, &["?1"]);
    }
    assert_twice(&bound(&conn, "SELECT :a", named_params! { "a": 1, ":a": 2 }).unwrap_err(), 1, Some(":a"));
}

/// One by name, one by position.
struct Mixed;

impl<'p> Params<'p> for Mixed {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        binder.push(1)?;
        binder.push(2)?;
        binder.set("b", 3)
    }
}

#[test]
fn unused_names_are_ignored_where_that_is_asked() {
    let conn = open();
    let values = std::collections::BTreeMap::from([("a", 1), ("b", 2), ("c", 3)]);
    let sql = "SELECT :c, @a";
    let strict = || finalite::named_params_from_iter(&values);
    assert_no_such(&bound(&conn, sql, strict()).unwrap_err(), NameKind::Parameter, "b", &[":c", "@a"]);
    assert_eq!(bound(&conn, sql, strict().ignore_unused()).unwrap(), "3 1");
    assert_eq!(bound(&conn, "SELECT 7", strict().ignore_unused()).unwrap(), "7");
    // Neither forgives the other.
    let missing = "SELECT :c, :d";
    assert_unset(&bound(&conn, missing, strict().ignore_unused()).unwrap_err(), 2, Some(":d"));
    assert_no_such(
        &bound(&conn, missing, strict().missing_as_null()).unwrap_err(),
        NameKind::Parameter,
        "a",
        &[":c", ":d"],
    );
    assert_eq!(bound(&conn, missing, strict().ignore_unused().missing_as_null()).unwrap(), "3 NULL");
    let twice = [(":a", 1), ("a", 1)];
    let error = bound(&conn, "SELECT :a", finalite::named_params_from_iter(twice).ignore_unused()).unwrap_err();
    assert_twice(&error, 1, Some(":a"));
    let ambiguous = bound(&conn, "SELECT :a, @a", strict().ignore_unused().missing_as_null()).unwrap_err();
    assert!(matches!(ambiguous.kind(), ErrorKind::AmbiguousParameter { .. }), "{ambiguous:?}");
}

#[test]
fn what_is_missing_is_null_and_not_the_last_value() {
    let conn = open();
    let mut statement = conn.prepare("SELECT :a, :b, ?5").unwrap();
    let all = [(":a", 1), (":b", 2), ("?5", 3)];
    let read = |statement: &mut Statement<'_>, values: &[(&'static str, i64)]| {
        let values = finalite::named_params_from_iter(values.to_vec()).missing_as_null();
        statement.query_one::<(Option<i64>, Option<i64>, Option<i64>)>(values).unwrap()
    };
    assert_eq!(read(&mut statement, &all), (Some(1), Some(2), Some(3)));
    assert_eq!(read(&mut statement, &all[1..2]), (None, Some(2), None));
    assert_eq!(read(&mut statement, &[]), (None, None, None));
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

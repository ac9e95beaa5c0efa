//! Parameters by name and by number: gaps in the numbering, the order of names, a name given twice.

use finalite::{Binder, Connection, Error, ErrorKind, Params, Result, named_params};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// Gives each of these the value of its number, by name.
struct ByName<'a>(&'a [(&'a str, i64)]);

impl<'p> Params<'p> for ByName<'_> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.0.iter().try_for_each(|&(name, value)| binder.set(name, value))
    }
}

/// First values by position, then by name.
struct Mixed<'a>(&'a [i64], &'a [(&'a str, i64)]);

impl<'p> Params<'p> for Mixed<'_> {
    fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
        self.0.iter().try_for_each(|&value| binder.push(value))?;
        self.1.iter().try_for_each(|&(name, value)| binder.set(name, value))
    }
}

#[test]
fn a_number_that_the_sql_leaves_out_needs_no_value_by_name() {
    let conn = memory();
    for (sql, values, expected) in [
        ("SELECT ?2", &[("?2", 20)][..], 20),
        ("SELECT ?2 + ?4", &[("?2", 20), ("?4", 3)], 23),
        ("SELECT ?3 * 10 + :a", &[("?3", 2), (":a", 5)], 25),
        ("SELECT ?70 + ?130", &[("?70", 7), ("?130", 1)], 8),
        ("SELECT ?2 /* ? */ -- ?\n + length('?') + length(\"?\")", &[("?2", 2)], 4),
        ("SELECT [?].a + ?2 FROM (SELECT 1 AS a) AS [?], (SELECT 2 AS b) AS `?`", &[("?2", 2)], 3),
        ("SELECT $a::b(?) + ?3", &[("$a::b(?)", 1), ("?3", 1)], 2),
        ("SELECT a$ + ?2 FROM (SELECT 1 AS a$)", &[("?2", 1)], 2),
    ] {
        assert_eq!(conn.query_one::<i64>(sql, ByName(values)).unwrap(), expected, "{sql}");
        // Twice: what is known of the statement is kept.
        let mut statement = conn.prepare(sql).unwrap();
        for _ in 0..2 {
            assert_eq!(statement.query_one::<i64>(ByName(values)).unwrap(), expected, "{sql}");
        }
        assert!(statement.expanded_sql(ByName(values)).is_ok(), "{sql}");
        // One that is in the SQL does need one.
        for left_out in 0..values.len() {
            let mut rest = values.to_vec();
            let (name, _) = rest.remove(left_out);
            if rest.is_empty() {
                continue;
            }
            let error = statement.query_one::<i64>(ByName(&rest)).unwrap_err();
            let ErrorKind::ParameterUnset { name: unset, .. } = error.kind() else { panic!("{sql}: {error}") };
            assert_eq!(unset.as_deref(), Some(name), "{sql}");
        }
    }
    let values = named_params! { "?2": 2 };
    assert_eq!(conn.query_one::<i64>("SELECT ?2", values).unwrap(), 2);
}

#[test]
fn one_without_a_name_needs_its_value_beside_named_ones() {
    let conn = memory();
    // `?` is the number after the largest so far.
    for (sql, unset) in [
        ("SELECT ?, :a", 1),
        ("SELECT ?, ?3", 1),
        ("SELECT ?3, ?", 4),
        ("SELECT ?2, ?, :a", 3),
        ("SELECT ?, ?, ?4", 1),
        ("SELECT :a, ?2, ?", 3),
    ] {
        let mut statement = conn.prepare(sql).unwrap();
        let named: Vec<(String, i64)> = (1..=statement.parameter_count())
            .filter_map(|index| Some((statement.parameter_name(index)?.to_owned(), 7)))
            .collect();
        let named: Vec<(&str, i64)> = named.iter().map(|(name, value)| (&**name, *value)).collect();
        let error = statement.query(ByName(&named)).map(drop).unwrap_err();
        let ErrorKind::ParameterUnset { index, name: None, .. } = error.kind() else { panic!("{sql}: {error}") };
        assert_eq!(*index, unset, "{sql}");
    }
    assert_eq!(conn.query_one::<(i64, i64)>("SELECT ?, ?3", Mixed(&[1], &[("?3", 3)])).unwrap(), (1, 3));
}

#[test]
fn values_by_position_are_for_all_numbers_up_to_the_largest() {
    let conn = memory();
    assert_eq!(conn.query_one::<i64>("SELECT ?2", (1, 2)).unwrap(), 2);
    let error = conn.query_one::<i64>("SELECT ?2", (2,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ParameterCount { expected: 2, given: 1, .. }), "{error}");
    // Numbers are numbers, and names are in the order in which they first appear, whatever they are called.
    assert_eq!(conn.query_one::<(i64, i64)>("SELECT ?2, ?1", (1, 2)).unwrap(), (2, 1));
    assert_eq!(conn.query_one::<(i64, i64)>("SELECT $2, $1", (1, 2)).unwrap(), (1, 2));
    assert_eq!(conn.query_one::<(i64, i64)>("SELECT $2, $1", named_params! { "$1": 1, "$2": 2 }).unwrap(), (2, 1));
    assert_eq!(conn.query_one::<(i64, i64, i64)>("SELECT :b, :a, :b", (1, 2)).unwrap(), (1, 2, 1));
}

#[test]
fn a_parameter_given_twice_is_an_error() {
    let conn = memory();
    conn.execute("CREATE TABLE t(a, b)", ()).unwrap();
    let sql = "INSERT INTO t VALUES (:a, ?2)";
    type Give = fn(&Connection, &str) -> Option<Error>;
    let giving: [(&str, usize, Give); 6] = [
        ("named_params!", 1, |conn, sql| conn.execute(sql, named_params! { ":a": 1, "?2": 2, ":a": 1 }).err()),
        ("a number", 2, |conn, sql| conn.execute(sql, ByName(&[(":a", 1), ("?2", 2), ("?2", 3)])).err()),
        ("a slice", 1, |conn, sql| {
            let values: [(&str, &dyn finalite::ToSql); 3] = [(":a", &1), (":a", &2), ("?2", &3)];
            conn.execute(sql, values).err()
        }),
        ("by position, then by name", 1, |conn, sql| conn.execute(sql, Mixed(&[1], &[(":a", 2), ("?2", 2)])).err()),
        ("prepared", 1, |conn, sql| conn.prepare(sql).unwrap().execute(ByName(&[(":a", 1), (":a", 1)])).err()),
        ("by name, then by position", 1, |conn, sql| {
            struct Backwards;
            impl<'p> Params<'p> for Backwards {
                fn bind(self, binder: &mut Binder<'_, 'p>) -> Result<()> {
                    binder.set(":a", 1)?;
                    binder.push(2)
                }
            }
            conn.execute(sql, Backwards).err()
        }),
    ];
    for (how, twice, give) in giving {
        let error = give(&conn, sql).unwrap_or_else(|| panic!("{how} does not fail"));
        let ErrorKind::ParameterTwice { index, name, .. } = error.kind() else { panic!("{how}: {error}") };
        assert_eq!((*index, name.as_deref()), (twice, Some(if twice == 1 { ":a" } else { "?2" })), "{how}");
        assert_eq!(error.sql(), Some(sql), "{how}");
    }
    let error = conn.execute(sql, named_params! { ":a": 1, ":a": 2 }).unwrap_err();
    assert_eq!(error.to_string(), "parameter 1 (:a) is given twice, in: INSERT INTO t VALUES (:a, ?2)");
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 0);
    // One that the SQL has twice is given once; the next execution starts anew.
    let mut statement = conn.prepare("SELECT :a + :a").unwrap();
    for _ in 0..2 {
        assert_eq!(statement.query_one::<i64>(named_params! { ":a": 4 }).unwrap(), 8);
    }
}

/// Which numbers the SQL has is found out of its text. SQLite is asked for the rest: how many there are, and the names.
#[test]
fn the_numbers_are_found_among_all_that_looks_like_them() {
    const DECOYS: [&str; 12] = [
        "'?'",
        "'it''s ?9'",
        "\"?\"",
        "`:a`",
        "[?3]",
        "x'3f'",
        "/* ? ' */ 1",
        "-- ?'\n 1",
        "a$1",
        "1.5",
        "'€?'",
        "\"$x\"",
    ];
    let conn = memory();
    // The same numbers each time (xorshift).
    let mut state = 7_u64;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).unwrap()
    };
    for _ in 0..2000 {
        let mut numbers: Vec<Option<String>> = Vec::new();
        let mut bare = Vec::new();
        let mut columns = Vec::new();
        for _ in 0..1 + below(6) {
            let number = numbers.len() + 1;
            match below(5) {
                0 => {
                    bare.push(number);
                    numbers.push(None);
                    columns.push("?".to_owned());
                }
                1 => {
                    let number = 1 + below(9);
                    let name = format!("?{number}");
                    numbers.resize(numbers.len().max(number), None);
                    numbers[number - 1].get_or_insert(name.clone());
                    columns.push(name);
                }
                2 => {
                    let name = [":a", "$a", "@a", "$a::b", ":é(x?)"][below(5)].to_owned();
                    if !numbers.contains(&Some(name.clone())) {
                        numbers.push(Some(name.clone()));
                    }
                    columns.push(name);
                }
                _ => columns.push(DECOYS[below(12)].to_owned()),
            }
        }
        let sql = format!("SELECT {} FROM (SELECT 1 AS a$1, 2 AS [?3], 3 AS `:a`)", columns.join(", "));
        let mut statement = conn.prepare(&sql).unwrap();
        assert_eq!(statement.parameter_count(), numbers.len(), "{sql}");
        let names: Vec<_> = (1..=numbers.len()).map(|index| statement.parameter_name(index)).collect();
        // A number that is written and also a `?` has the name.
        let named: Vec<(String, i64)> = names.iter().flatten().map(|&name| (name.to_owned(), 1)).collect();
        let unset = bare.into_iter().find(|&index| names[index - 1].is_none());
        let named: Vec<(&str, i64)> = named.iter().map(|(name, value)| (&**name, *value)).collect();
        if named.is_empty() {
            continue;
        }
        let result = statement.query(ByName(&named)).map(drop);
        match (unset, result) {
            (None, Ok(())) => {}
            (Some(unset), Err(error)) => {
                let ErrorKind::ParameterUnset { index, .. } = error.kind() else { panic!("{sql}: {error}") };
                assert_eq!(*index, unset, "{sql}");
            }
            (unset, result) => panic!("{sql}: {unset:?}, {result:?}"),
        }
    }
}

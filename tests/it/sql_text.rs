//! Text of SQL: what is quoted comes back the same, to the last bit.

use finalite::sql::{complete, escape_like, quote_identifier, quote_literal};
use finalite::{Connection, ErrorKind, Value, ValueRef};

use crate::common::cell::Cell;
use crate::common::random::Random;

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// The value of a literal.
fn read(conn: &Connection, literal: &str) -> Cell {
    let sql = format!("SELECT {literal}");
    conn.prepare(&sql)
        .unwrap()
        .query_row((), |row| row.value(0).map(Cell::from))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn assert_same(conn: &Connection, value: ValueRef<'_>) {
    let literal = quote_literal(value);
    assert_eq!(read(conn, &literal), Cell::from(value), "{literal}");
}

#[test]
fn numbers_come_back() {
    let conn = memory();
    for number in [0, 1, -1, i64::MAX, i64::MIN, i64::MIN + 1, 1 << 53] {
        assert_same(&conn, ValueRef::Integer(number));
    }
    for number in [
        0.0,
        -0.0,
        0.1,
        -0.1,
        1.0,
        1e15,
        1e16,
        1e22,
        1e23,
        1e-7,
        123_456_789_012_345_680.0,
        f64::MIN_POSITIVE,
        5e-324,
        2.225_073_858_507_201e-308,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        f64::INFINITY,
        f64::NEG_INFINITY,
        9_007_199_254_740_993.0,
        std::f64::consts::PI,
    ] {
        assert_same(&conn, ValueRef::Real(number));
    }
    assert_eq!(quote_literal(ValueRef::Real(f64::NAN)), "NULL");
    assert_eq!(quote_literal(ValueRef::Real(3.0)), "3.0", "no INTEGER");
    assert_eq!(quote_literal(ValueRef::Null), "NULL");
}

#[test]
fn random_reals_come_back_to_the_last_bit() {
    let conn = memory();
    let mut random = Random::new(26, 1);
    for _ in 0..200 {
        let reals: Vec<f64> = std::iter::repeat_with(|| f64::from_bits(random.next()))
            .filter(|real| real.is_finite())
            .take(100)
            .collect();
        let literals: Vec<String> = reals.iter().map(|&real| quote_literal(ValueRef::Real(real))).collect();
        let sql = format!("VALUES ({})", literals.join("), ("));
        let read: Vec<f64> = conn.prepare(&sql).unwrap().query_all(()).unwrap();
        for (n, (real, read)) in reals.iter().zip(read).enumerate() {
            assert_eq!(real.to_bits(), read.to_bits(), "{}", literals[n]);
        }
    }
}

/// These are decimals in every version.
#[test]
fn reals_of_few_digits_come_back_to_the_last_bit() {
    let conn = memory();
    let mut random = Random::new(26, 2);
    for _ in 0..200 {
        let reals: Vec<f64> = std::iter::repeat_with(|| {
            let (digits, power) = (random.next() % 1_000_000_000_000_000, random.below(45));
            format!("{}.{}e{}", digits % 10, digits / 10, i64::try_from(power).unwrap() - 22).parse().unwrap()
        })
        .take(100)
        .collect();
        let literals: Vec<String> = reals.iter().map(|&real| quote_literal(ValueRef::Real(real))).collect();
        let read: Vec<f64> =
            conn.prepare(&format!("VALUES ({})", literals.join("), ("))).unwrap().query_all(()).unwrap();
        for (n, (real, read)) in reals.iter().zip(read).enumerate() {
            assert_eq!(real.to_bits(), read.to_bits(), "{}", literals[n]);
        }
    }
}

#[test]
fn text_and_blobs_come_back() {
    let conn = memory();
    let many = "\0a".repeat(10_000);
    for text in
        ["", "a", "it's", "''", "\"", "\u{e4}\u{1f600}", "\0", "a\0b", "\0\0", "'\0'", "\u{1}\0\u{2}", "-- ;", &many]
    {
        assert_same(&conn, ValueRef::Text(text.as_bytes()));
        assert_same(&conn, ValueRef::Blob(text.as_bytes()));
    }
    for bytes in [&b"\xff"[..], b"a\x80'", b"\xff\0\xfe"] {
        assert_same(&conn, ValueRef::Text(bytes));
        assert_same(&conn, ValueRef::Blob(bytes));
    }
    // In UTF-16, too.
    conn.execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(a)").unwrap();
    for text in ["it's", "a\0b", "\u{1f600}\0"] {
        assert_same(&conn, ValueRef::Text(text.as_bytes()));
    }
}

#[test]
fn literals_are_those_of_a_default() {
    let conn = memory();
    for (value, expected) in [
        (ValueRef::Text(b"it's"), Value::Text("it's".into())),
        (ValueRef::Integer(-7), Value::Integer(-7)),
        (ValueRef::Blob(b"\x01"), Value::Blob(vec![1])),
    ] {
        conn.execute_batch(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t(a, b DEFAULT {})", quote_literal(value)))
            .unwrap();
        conn.execute("INSERT INTO t(a) VALUES (1)", ()).unwrap();
        assert_eq!(conn.query_one::<Value>("SELECT b FROM t", ()).unwrap(), expected);
    }
}

#[test]
fn names_are_quoted() {
    let conn = memory();
    for name in ["t", "two words", "a\"b", "\"", "select", "it's", "[x]", "\u{e4}", "a; DROP TABLE t"] {
        let quoted = quote_identifier(name);
        conn.execute(&format!("CREATE TABLE {quoted}({quoted})"), ()).unwrap();
        let names: (String, String) = conn
            .query_one(
                "SELECT name, (SELECT name FROM pragma_table_info(s.name)) FROM sqlite_schema AS s WHERE name = ?",
                (name,),
            )
            .unwrap();
        assert_eq!(names, (name.to_owned(), name.to_owned()));
    }
    let error = conn.execute(&format!("CREATE TABLE {}(a)", quote_identifier("nu\0l")), ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NulInSql), "{error}");
}

#[test]
fn an_escaped_pattern_matches_its_text_alone() {
    let conn = memory();
    let texts = ["", "%", "_", "a%b", "a_b", "axb", "\\", "\\%", "100%", "1000", "!", "!_", "\u{e4}%"];
    for escape in ['\\', '!', '\u{e4}', '%', '_'] {
        for text in texts {
            let pattern = escape_like(text, escape);
            for other in texts {
                let sql = "SELECT ? LIKE ? ESCAPE ?";
                let matches = conn.query_one::<bool>(sql, (other, &pattern, escape.to_string())).unwrap();
                assert_eq!(matches, text == other, "{text} {other} {escape}");
            }
        }
    }
    // Without it, a wildcard is one.
    assert!(conn.query_one::<bool>("SELECT '1000' LIKE '100%'", ()).unwrap());
}

#[test]
fn complete_is_what_ends_with_a_semicolon() {
    for (sql, expected) in [
        ("", false),
        ("SELECT 1", false),
        ("SELECT 1;", true),
        ("SELECT 1; -- done", true),
        ("SELECT 1; /* open", false),
        ("SELECT ';", false),
        ("SELECT \";", false),
        ("nonsense;", true),
        ("CREATE TRIGGER a INSERT ON t BEGIN SELECT 1;", false),
        ("CREATE TRIGGER a INSERT ON t BEGIN SELECT 1; END;", true),
        ("SELECT 1;\0", false),
    ] {
        assert_eq!(complete(sql), expected, "{sql}");
    }
}

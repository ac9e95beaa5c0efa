//! Every cell of the two tables in the documentation of `finalite::convert`, one test each.
//!
//! A test's name is its cell: `reading::as_i8::text` reads a TEXT as `i8`, `reading::as_i8::option::text` as
//! `Option<i8>`, and `binding::of_u64::by_reference` binds a `&u64`. The tests in `tables` read the documentation and
//! see to it that the rows here and there are the same.

use finalite::{Connection, Type};

const CLASSES: [Type; 5] = [Type::Null, Type::Integer, Type::Real, Type::Text, Type::Blob];

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

mod reading {
    use std::borrow::Cow;
    use std::error::Error;
    use std::fmt::Debug;
    use std::rc::Rc;
    use std::str::Utf8Error;
    use std::sync::Arc;

    use finalite::{Connection, ErrorKind, FromSql, Result, Row, Type, Value, ValueRef};

    use super::open;

    const SQL: &str = "SELECT id, v AS cell, typeof(v), quote(v) FROM cells";

    /// A value in the database, as an SQL expression, and what reading it gives.
    pub(super) struct Sample<T> {
        stored: String,
        pub(super) outcome: Result<T, Refusal>,
    }

    #[derive(Clone, Copy, Debug)]
    pub(super) enum Refusal {
        WrongType,
        OutOfRange,
        NotExact,
        NotUtf8,
        Length { expected: usize, found: usize },
    }
    use Refusal::{Length, NotExact, NotUtf8, OutOfRange, WrongType};

    /// The cell says "error": values of this class are not read, whatever they are.
    fn error<T>(class: Type) -> Vec<Sample<T>> {
        let stored: &[&str] = match class {
            Type::Null => &["NULL"],
            Type::Integer => &["0", "1", "987654321987"],
            Type::Real => &["0.0", "1.0", "2.718281828"],
            Type::Text => &["''", "'1'", "'hunter2'"],
            Type::Blob => &["x''", "x'01'", "x'c0ffee00c0ffee'"],
        };
        stored.iter().map(|&stored| Sample { stored: stored.into(), outcome: Err(WrongType) }).collect()
    }

    fn these<T, const N: usize>(samples: [(&str, Result<T, Refusal>); N]) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        move |_| samples.into_iter().map(|(stored, outcome)| Sample { stored: stored.into(), outcome }).collect()
    }

    /// INTEGER as a type that holds `lowest` to `highest` of them.
    fn within<T: TryFrom<i64, Error: Debug>>(lowest: i64, highest: i64) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        move |_| {
            let inside = [lowest, 0, 1, highest].map(|value| (value, Ok(T::try_from(value).unwrap())));
            let outside = [lowest.checked_sub(1), highest.checked_add(1)];
            let outside = outside.into_iter().flatten().map(|value| (value, Err(OutOfRange)));
            inside
                .into_iter()
                .chain(outside)
                .map(|(value, outcome)| Sample { stored: value.to_string(), outcome })
                .collect()
        }
    }

    /// TEXT as a type that is UTF-8.
    fn utf8<T>(make: fn(&'static str) -> T) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        these([
            ("''", Ok(make(""))),
            ("'it''s'", Ok(make("it's"))),
            ("'grüße, 世界 🦀'", Ok(make("grüße, 世界 🦀"))),
            ("CAST(x'610062' AS TEXT)", Ok(make("a\0b"))),
            ("CAST(x'00' AS TEXT)", Ok(make("\0"))),
            ("CAST(x'68756e74ff657232' AS TEXT)", Err(NotUtf8)),
            ("CAST(x'68756e74657232c3' AS TEXT)", Err(NotUtf8)),
            ("CAST(x'eda080' AS TEXT)", Err(NotUtf8)),
        ])
    }

    /// TEXT as a type that is bytes.
    fn bytes_of_text<T>(make: fn(&'static [u8]) -> T) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        these([
            ("''", Ok(make(b""))),
            ("'grüße'", Ok(make("grüße".as_bytes()))),
            ("CAST(x'610062' AS TEXT)", Ok(make(b"a\0b"))),
            ("CAST(x'68756e74ff657232' AS TEXT)", Ok(make(b"hunt\xffer2"))),
        ])
    }

    /// BLOB as a type that is bytes.
    fn bytes<T>(make: fn(&'static [u8]) -> T) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        these([
            ("x''", Ok(make(b""))),
            ("x'00'", Ok(make(b"\0"))),
            ("x'61ff0062'", Ok(make(b"a\xff\0b"))),
            ("zeroblob(3)", Ok(make(b"\0\0\0"))),
            ("zeroblob(0)", Ok(make(b""))),
        ])
    }

    fn only_null<T>(make: T) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        these([("NULL", Ok(make))])
    }

    fn every_integer<T>(make: fn(i64) -> T) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        these([
            ("-9223372036854775808", Ok(make(i64::MIN))),
            ("0", Ok(make(0))),
            ("9223372036854775807", Ok(make(i64::MAX))),
        ])
    }

    fn every_real<T>(make: fn(f64) -> T) -> impl FnOnce(Type) -> Vec<Sample<T>> {
        these([
            ("0.0", Ok(make(0.0))),
            ("-0.1", Ok(make(-0.1))),
            ("1e300", Ok(make(1e300))),
            ("9007199254740993.0", Ok(make(9_007_199_254_740_992.0))),
            ("9e999", Ok(make(f64::INFINITY))),
            ("-9e999", Ok(make(f64::NEG_INFINITY))),
        ])
    }

    fn f64_of_integer() -> impl FnOnce(Type) -> Vec<Sample<f64>> {
        these([
            ("0", Ok(0.0)),
            ("-7", Ok(-7.0)),
            ("9007199254740992", Ok(9_007_199_254_740_992.0)),
            ("-9007199254740992", Ok(-9_007_199_254_740_992.0)),
            ("9007199254740993", Err(NotExact)),
            ("-9007199254740993", Err(NotExact)),
            ("9007199254740994", Ok(9_007_199_254_740_994.0)),
            ("-9223372036854775808", Ok(-9_223_372_036_854_775_808.0)),
            ("9223372036854775807", Err(NotExact)),
            ("9223372036854774784", Ok(9_223_372_036_854_774_784.0)),
        ])
    }

    fn f32_of_integer() -> impl FnOnce(Type) -> Vec<Sample<f32>> {
        these([
            ("0", Ok(0.0)),
            ("16777216", Ok(16_777_216.0)),
            ("16777217", Err(NotExact)),
            ("-16777217", Err(NotExact)),
            ("16777218", Ok(16_777_218.0)),
            ("9007199254740993", Err(NotExact)),
            ("-9223372036854775808", Ok(-9_223_372_036_854_775_808.0)),
            ("9223372036854775807", Err(NotExact)),
        ])
    }

    /// The products are exact, so that they do not depend on how SQLite reads decimal fractions.
    fn f32_of_real() -> impl FnOnce(Type) -> Vec<Sample<f32>> {
        these([
            ("0.0", Ok(0.0)),
            ("-2.25", Ok(-2.25)),
            ("0.1", Ok(0.1)),
            ("16777217.0", Ok(16_777_216.0)),
            ("16777219.0", Ok(16_777_220.0)),
            ("16777215.0 * 9007199254740992.0 * 2251799813685248.0", Ok(f32::MAX)),
            ("16777216.0 * 9007199254740992.0 * 2251799813685248.0", Err(OutOfRange)),
            ("-1e300", Err(OutOfRange)),
            ("1.0 / 9007199254740992.0 / 9007199254740992.0 / 8796093022208.0", Ok(f32::from_bits(1))),
            ("0.5 / 9007199254740992.0 / 9007199254740992.0 / 8796093022208.0", Ok(0.0)),
            ("1e-300", Ok(0.0)),
            ("9e999", Ok(f32::INFINITY)),
            ("-9e999", Ok(f32::NEG_INFINITY)),
        ])
    }

    fn bool_of_integer() -> impl FnOnce(Type) -> Vec<Sample<bool>> {
        these([
            ("0", Ok(false)),
            ("1", Ok(true)),
            ("2", Err(OutOfRange)),
            ("-1", Err(OutOfRange)),
            ("9223372036854775807", Err(OutOfRange)),
        ])
    }

    fn three_bytes_of_text() -> impl FnOnce(Type) -> Vec<Sample<[u8; 3]>> {
        these([
            ("'abc'", Ok(*b"abc")),
            ("CAST(x'61ff62' AS TEXT)", Ok(*b"a\xffb")),
            ("''", Err(Length { expected: 3, found: 0 })),
            ("'hunter2'", Err(Length { expected: 3, found: 7 })),
            ("'aé€'", Err(Length { expected: 3, found: 6 })),
        ])
    }

    fn three_bytes() -> impl FnOnce(Type) -> Vec<Sample<[u8; 3]>> {
        these([
            ("x'61ff00'", Ok(*b"a\xff\0")),
            ("zeroblob(3)", Ok([0; 3])),
            ("x''", Err(Length { expected: 3, found: 0 })),
            ("x'0102'", Err(Length { expected: 3, found: 2 })),
            ("x'c0ffee00c0ffee'", Err(Length { expected: 3, found: 7 })),
        ])
    }

    /// Stores the value and hands the row that holds it, in column 1, to `look`.
    fn with_cell(stored: &str, class: Type, look: impl FnOnce(Row<'_>)) {
        let conn = open();
        conn.execute_batch("CREATE TABLE cells(id, v)").unwrap();
        conn.execute(&format!("INSERT INTO cells VALUES (1, {stored})"), ()).unwrap();
        conn.query_row(SQL, (), |row| {
            assert_eq!(row.get::<&str>(2)?, class.name().to_ascii_lowercase(), "{stored}");
            assert_eq!(row.value(1)?.data_type(), class, "{stored}");
            look(row);
            Ok(())
        })
        .unwrap();
    }

    fn compare<'row, T>(row: Row<'row>, stored: &str, class: Type, outcome: Result<T, Refusal>)
    where
        T: FromSql<'row> + PartialEq + Debug,
    {
        let refusal = match outcome {
            Ok(value) => return assert_eq!(row.get::<T>(1).unwrap(), value, "{stored}"),
            Err(refusal) => refusal,
        };
        let error = row.get::<T>(1).unwrap_err();
        let ErrorKind::ColumnConversion { column: 1, name, found, problem, .. } = error.kind() else {
            panic!("{stored}: {error:?}");
        };
        assert_eq!((&**name, *found), ("cell", class), "{stored}");
        let rust_type = problem.rust_type();
        let reason = match refusal {
            WrongType => format!("not readable as {rust_type}"),
            OutOfRange => format!("out of range for {rust_type}"),
            NotExact => format!("not exactly representable as {rust_type}"),
            NotUtf8 => format!("{} ({rust_type})", str::from_utf8(row.get(1).unwrap()).unwrap_err()),
            Length { expected, found } => {
                let reason = problem.to_string();
                let parts = [format!("{found} bytes"), expected.to_string(), rust_type.to_owned()];
                assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
                reason
            }
        };
        let hint = if class == Type::Null { format!(" (Option<{rust_type}> reads it)") } else { String::new() };
        assert_eq!(error.to_string(), format!("column 1 (cell), {class}: {reason}{hint}, in: {SQL}"), "{stored}");
        assert_eq!(error.sql(), Some(SQL));
        assert_eq!((error.code(), error.position()), (None, None), "SQLite did nothing wrong");
        let source = error.source().map(<dyn Error>::is::<Utf8Error>);
        assert_eq!(source, matches!(refusal, NotUtf8).then_some(true), "{stored}");
        // The text is compared above, word for word; what `Debug` says more must not be the value either.
        let debug = format!("{error:?}");
        for secret in renderings(row) {
            assert!(!debug.contains(&secret), "{stored}: {secret} is in {debug}");
        }
    }

    /// What the value in column 1 could be seen as in a text. A short number is everywhere, and proves nothing.
    fn renderings(row: Row<'_>) -> impl Iterator<Item = String> {
        let quoted = String::from_utf8_lossy(row.get(3).unwrap());
        let bytes: Vec<u8> = row.get(1).unwrap_or_default();
        let decimal = format!("{bytes:?}");
        [
            String::from_utf8_lossy(&bytes).into_owned(),
            decimal.trim_matches(['[', ']']).to_owned(),
            quoted.trim_start_matches("X'").trim_matches('\'').to_owned(),
        ]
        .into_iter()
        .filter(|rendering| rendering.len() > 5)
    }

    /// One line for each type: name in the documentation, and the five cells.
    macro_rules! reads {
        ($($module:ident: $type:ty, $name:literal,
            [$null:expr, $integer:expr, $real:expr, $text:expr, $blob:expr];)*) => {
            $(
                mod $module {
                    use super::*;

                    reads!(@cell null, Null, $type, $null);
                    reads!(@cell integer, Integer, $type, $integer);
                    reads!(@cell real, Real, $type, $real);
                    reads!(@cell text, Text, $type, $text);
                    reads!(@cell blob, Blob, $type, $blob);

                    mod option {
                        use super::*;

                        #[test]
                        fn null() {
                            with_cell("NULL", Type::Null, |row| {
                                assert_eq!(row.get::<Option<$type>>(1).unwrap(), None);
                            });
                        }

                        reads!(@option integer, Integer, $type, $integer);
                        reads!(@option real, Real, $type, $real);
                        reads!(@option text, Text, $type, $text);
                        reads!(@option blob, Blob, $type, $blob);
                    }
                }
            )*

            /// For the documentation: each type, and for each class which samples are read.
            pub(super) const ROWS: &[(&str, [fn() -> Vec<bool>; 5])] = &[
                $(($name, [
                    || reads!(@read Null, $type, $null),
                    || reads!(@read Integer, $type, $integer),
                    || reads!(@read Real, $type, $real),
                    || reads!(@read Text, $type, $text),
                    || reads!(@read Blob, $type, $blob),
                ])),*
            ];
        };
        (@cell $test:ident, $class:ident, $type:ty, $cell:expr) => {
            #[test]
            fn $test() {
                let samples: Vec<Sample<$type>> = ($cell)(Type::$class);
                for Sample { stored, outcome } in samples {
                    with_cell(&stored, Type::$class, |row| compare::<$type>(row, &stored, Type::$class, outcome));
                }
            }
        };
        (@option $test:ident, $class:ident, $type:ty, $cell:expr) => {
            #[test]
            fn $test() {
                let samples: Vec<Sample<$type>> = ($cell)(Type::$class);
                for Sample { stored, outcome } in samples {
                    with_cell(&stored, Type::$class, |row| {
                        compare::<Option<$type>>(row, &stored, Type::$class, outcome.map(Some));
                    });
                }
            }
        };
        (@read $class:ident, $type:ty, $cell:expr) => {{
            let samples: Vec<Sample<$type>> = ($cell)(Type::$class);
            samples.iter().map(|sample| sample.outcome.is_ok()).collect()
        }};
    }

    reads! {
        //           type            name          NULL   INTEGER                     REAL   TEXT   BLOB
        as_i8:       i8,             "i8",         [error, within(-128, 127),          error, error, error];
        as_i16:      i16,            "i16",        [error, within(-32_768, 32_767),    error, error, error];
        as_i32:      i32,            "i32",        [error, within(-2_147_483_648, 2_147_483_647), error, error, error];
        as_i64:      i64,            "i64",        [error, within(i64::MIN, i64::MAX), error, error, error];
        as_isize:    isize,          "isize",      [error, within(i64::try_from(isize::MIN).unwrap(), i64::try_from(isize::MAX).unwrap()),
                                                                                       error, error, error];
        as_i128:     i128,           "i128",       [error, within(i64::MIN, i64::MAX), error, error, error];
        as_u8:       u8,             "u8",         [error, within(0, 255),             error, error, error];
        as_u16:      u16,            "u16",        [error, within(0, 65_535),          error, error, error];
        as_u32:      u32,            "u32",        [error, within(0, 4_294_967_295),   error, error, error];
        as_u64:      u64,            "u64",        [error, within(0, i64::MAX),        error, error, error];
        as_usize:    usize,          "usize",      [error, within(0, i64::try_from(usize::MAX).unwrap_or(i64::MAX)),
                                                                                       error, error, error];
        as_u128:     u128,           "u128",       [error, within(0, i64::MAX),        error, error, error];
        as_f64:      f64,            "f64",        [error, f64_of_integer(), every_real(|real| real), error, error];
        as_f32:      f32,            "f32",        [error, f32_of_integer(), f32_of_real(), error, error];
        as_bool:     bool,           "bool",       [error, bool_of_integer(), error, error, error];
        as_str:      &str,           "&str",       [error, error, error, utf8(|text| text), error];
        as_string:   String,         "String",     [error, error, error, utf8(String::from), error];
        as_box_str:  Box<str>,       "Box<str>",   [error, error, error, utf8(Box::from), error];
        as_rc_str:   Rc<str>,        "Rc<str>",    [error, error, error, utf8(Rc::from), error];
        as_arc_str:  Arc<str>,       "Arc<str>",   [error, error, error, utf8(Arc::from), error];
        as_cow_str:  Cow<'_, str>,   "Cow<str>",   [error, error, error, utf8(Cow::Borrowed), error];
        as_bytes:    &[u8],          "&[u8]",      [error, error, error, bytes_of_text(|it| it), bytes(|it| it)];
        as_vec:      Vec<u8>,        "Vec<u8>",    [error, error, error, bytes_of_text(Vec::from), bytes(Vec::from)];
        as_box:      Box<[u8]>,      "Box<[u8]>",  [error, error, error, bytes_of_text(Box::from), bytes(Box::from)];
        as_rc:       Rc<[u8]>,       "Rc<[u8]>",   [error, error, error, bytes_of_text(Rc::from), bytes(Rc::from)];
        as_arc:      Arc<[u8]>,      "Arc<[u8]>",  [error, error, error, bytes_of_text(Arc::from), bytes(Arc::from)];
        as_cow:      Cow<'_, [u8]>,  "Cow<[u8]>",  [error, error, error, bytes_of_text(Cow::Borrowed),
                                                                                       bytes(Cow::Borrowed)];
        as_array:    [u8; 3],        "[u8; N]",    [error, error, error, three_bytes_of_text(), three_bytes()];
        as_value:    Value,          "Value",      [only_null(Value::Null), every_integer(Value::Integer),
                                                    every_real(Value::Real), utf8(|text| Value::Text(text.into())),
                                                    bytes(|bytes| Value::Blob(bytes.into()))];
        as_value_ref: ValueRef<'_>,  "ValueRef",   [only_null(ValueRef::Null), every_integer(ValueRef::Integer),
                                                    every_real(ValueRef::Real), bytes_of_text(ValueRef::Text),
                                                    bytes(ValueRef::Blob)];
    }

    /// An error names the type that was asked for, not the one it is made of.
    mod names_in_errors {
        use super::*;

        const NOT_UTF8: &str = "SELECT CAST(x'ff' AS TEXT)";

        fn rust_type<T: for<'row> FromSql<'row> + Debug>(conn: &Connection, sql: &str) -> &'static str {
            named_in(&conn.query_one::<T>(sql, ()).unwrap_err())
        }

        fn named_in(error: &finalite::Error) -> &'static str {
            match error.kind() {
                ErrorKind::ColumnConversion { problem, .. } => problem.rust_type(),
                other => panic!("{other:?}"),
            }
        }

        #[test]
        fn of_numbers() {
            let conn = open();
            macro_rules! check {
                ($($type:ident)*) => {
                    $(assert_eq!(rust_type::<$type>(&conn, "SELECT 'x'"), stringify!($type));)*
                };
            }
            check! { i8 i16 i32 i64 isize i128 u8 u16 u32 u64 usize u128 f32 f64 bool }
            assert_eq!(rust_type::<i8>(&conn, "SELECT 128"), "i8");
            assert_eq!(rust_type::<bool>(&conn, "SELECT 2"), "bool");
            assert_eq!(rust_type::<f32>(&conn, "SELECT 1e300"), "f32");
            assert_eq!(rust_type::<Option<u16>>(&conn, "SELECT -1"), "u16");
        }

        #[test]
        fn of_text_and_bytes_of_another_class() {
            let conn = open();
            assert_eq!(rust_type::<String>(&conn, "SELECT 1"), "String");
            assert_eq!(rust_type::<Box<str>>(&conn, "SELECT 1"), "Box<str>");
            assert_eq!(rust_type::<Rc<str>>(&conn, "SELECT 1"), "Rc<str>");
            assert_eq!(rust_type::<Arc<str>>(&conn, "SELECT 1"), "Arc<str>");
            assert_eq!(rust_type::<Vec<u8>>(&conn, "SELECT 1"), "Vec<u8>");
            assert_eq!(rust_type::<Box<[u8]>>(&conn, "SELECT 1"), "Box<[u8]>");
            assert_eq!(rust_type::<Rc<[u8]>>(&conn, "SELECT 1"), "Rc<[u8]>");
            assert_eq!(rust_type::<Arc<[u8]>>(&conn, "SELECT 1"), "Arc<[u8]>");
            assert_eq!(rust_type::<[u8; 3]>(&conn, "SELECT 1"), "[u8; 3]");
            assert_eq!(rust_type::<[u8; 3]>(&conn, "SELECT 'four'"), "[u8; 3]");
            conn.query_row("SELECT 1", (), |row| {
                assert_eq!(named_in(&row.get::<&str>(0).unwrap_err()), "&str");
                assert_eq!(named_in(&row.get::<&[u8]>(0).unwrap_err()), "&[u8]");
                Ok(())
            })
            .unwrap();
        }

        #[test]
        fn of_cows() {
            open()
                .query_row("SELECT 1", (), |row| {
                    assert_eq!(named_in(&row.get::<Cow<'_, str>>(0).unwrap_err()), "Cow<str>");
                    assert_eq!(named_in(&row.get::<Cow<'_, [u8]>>(0).unwrap_err()), "Cow<[u8]>");
                    Ok(())
                })
                .unwrap();
            open()
                .query_row(NOT_UTF8, (), |row| {
                    assert_eq!(named_in(&row.get::<Cow<'_, str>>(0).unwrap_err()), "Cow<str>");
                    Ok(())
                })
                .unwrap();
        }

        #[test]
        fn of_text_that_is_not_utf8() {
            let conn = open();
            assert_eq!(rust_type::<String>(&conn, NOT_UTF8), "String");
            assert_eq!(rust_type::<Box<str>>(&conn, NOT_UTF8), "Box<str>");
            assert_eq!(rust_type::<Rc<str>>(&conn, NOT_UTF8), "Rc<str>");
            assert_eq!(rust_type::<Arc<str>>(&conn, NOT_UTF8), "Arc<str>");
            conn.query_row(NOT_UTF8, (), |row| {
                assert_eq!(named_in(&row.get::<&str>(0).unwrap_err()), "&str");
                Ok(())
            })
            .unwrap();
        }

        #[test]
        fn of_a_value_that_is_not_utf8() {
            assert_eq!(rust_type::<Value>(&open(), NOT_UTF8), "Value");
        }
    }

    #[test]
    fn a_cow_borrows_from_the_row() {
        let conn = open();
        conn.query_row("SELECT 'text', x'0102'", (), |row| {
            let text: &str = row.get(0)?;
            let bytes: &[u8] = row.get(1)?;
            assert!(matches!(row.get::<Cow<'_, str>>(0)?, Cow::Borrowed(it) if it.as_ptr() == text.as_ptr()));
            assert!(matches!(row.get::<Cow<'_, [u8]>>(1)?, Cow::Borrowed(it) if it.as_ptr() == bytes.as_ptr()));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn text_that_is_not_utf8_is_there_as_bytes_after_the_error() {
        let conn = open();
        conn.query_row("SELECT CAST(x'61ff62' AS TEXT)", (), |row| {
            assert!(row.get::<&str>(0).is_err());
            assert!(row.get::<Value>(0).is_err());
            assert!(row.value(0)?.as_str().is_err());
            assert!(row.value(0)?.to_value().is_err());
            assert_eq!(row.get::<&[u8]>(0)?, b"a\xffb");
            assert_eq!(row.value(0)?, ValueRef::Text(b"a\xffb"));
            assert_eq!(row.value(0)?.as_bytes()?, b"a\xffb");
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn zero_length_is_not_null() {
        let conn = open();
        conn.query_row("SELECT '', x'', zeroblob(0), NULL", (), |row| {
            assert_eq!(row.value(0)?, ValueRef::Text(b""));
            assert_eq!(row.value(1)?, ValueRef::Blob(b""));
            assert_eq!(row.value(2)?, ValueRef::Blob(b""));
            assert_eq!(row.value(3)?, ValueRef::Null);
            assert_eq!(row.get::<Option<&str>>(0)?, Some(""));
            assert_eq!(row.get::<Option<&[u8]>>(1)?, Some(&b""[..]));
            assert_eq!(row.get::<Option<[u8; 0]>>(2)?, Some([]));
            assert_eq!(row.get::<Option<[u8; 0]>>(3)?, None);
            Ok(())
        })
        .unwrap();
    }

    /// The accessors of `ValueRef` are the conversions without a Rust type of their own.
    #[test]
    fn value_refs_give_their_own_class_only() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(7),
            ValueRef::Real(0.5),
            ValueRef::Text(b"text"),
            ValueRef::Blob(b"blob"),
        ];
        for (value, class) in values.into_iter().zip(super::CLASSES) {
            assert_eq!(value.data_type(), class);
            assert_eq!(value.is_null(), class == Type::Null);
            assert_eq!(value.as_i64().ok(), (class == Type::Integer).then_some(7));
            assert_eq!(value.as_f64().ok(), (class == Type::Real).then_some(0.5));
            assert_eq!(value.as_str().ok(), (class == Type::Text).then_some("text"));
            let bytes = match class {
                Type::Text => Some(&b"text"[..]),
                Type::Blob => Some(&b"blob"[..]),
                _ => None,
            };
            assert_eq!(value.as_bytes().ok(), bytes);
            let owned = value.to_value().unwrap();
            assert_eq!((owned.data_type(), owned.as_value_ref()), (class, value));
        }
    }
}

mod binding {
    use std::borrow::Cow;
    use std::fmt::{Debug, Display, Write as _};
    use std::rc::Rc;
    use std::sync::Arc;

    use finalite::{ErrorKind, FromSql, Param, Row, ToSql, Value, ValueRef, ZeroBlob, named_params};

    use super::open;

    const SQL: &str = "SELECT ?1, typeof(:value), quote(:value), hex(:value)";

    /// What SQLite holds for a value that was bound.
    #[derive(Clone, Debug)]
    enum Bound {
        Null,
        Integer(String),
        /// As `quote()` writes it.
        Real(&'static str),
        Text(&'static str),
        Blob(Vec<u8>),
        Refused(String),
    }
    use Bound::{Blob, Integer, Real, Refused, Text};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02X}").unwrap();
            hex
        })
    }

    /// Binds the value and lets SQLite say what it got.
    fn check(param: impl ToSql, expected: &Bound) {
        let conn = open();
        let seen = conn.query_one::<(i64, String, String, String)>(SQL, (7, param));
        if let Refused(reason) = expected {
            let error = seen.unwrap_err();
            let ErrorKind::ParameterConversion { index: 2, name: Some(name), problem, .. } = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!((&**name, problem.to_string()), (":value", reason.clone()));
            assert_eq!(error.to_string(), format!("parameter 2 (:value): {reason}, in: {SQL}"));
            assert_eq!(error.sql(), Some(SQL));
            return;
        }
        let (before, class, quote, hex_digits) = seen.unwrap();
        assert_eq!(before, 7);
        let (expected_class, expected_quote, bytes) = match expected {
            Bound::Null => ("null", "NULL".to_owned(), Vec::new()),
            Integer(digits) => ("integer", digits.clone(), digits.clone().into_bytes()),
            Real("9.0e+999") => ("real", "9.0e+999".to_owned(), b"Inf".to_vec()),
            Real("-9.0e+999") => ("real", "-9.0e+999".to_owned(), b"-Inf".to_vec()),
            Real(digits) => ("real", (*digits).to_owned(), digits.as_bytes().to_vec()),
            Text(text) => ("text", format!("'{}'", text.replace('\'', "''")), text.as_bytes().to_vec()),
            Blob(bytes) => ("blob", format!("X'{}'", hex(bytes)), bytes.clone()),
            Refused(_) => unreachable!("returned above"),
        };
        assert_eq!((&*class, hex_digits), (expected_class, hex(&bytes)));
        // For text, `quote()` ends at a NUL.
        if class != "text" || !bytes.contains(&0) {
            assert_eq!(quote, expected_quote);
        }
    }

    fn reads_as<'row, T: FromSql<'row> + PartialEq + Debug>(row: Row<'row>, value: &T) {
        assert_eq!(row.get::<T>(0).unwrap(), *value);
    }

    fn integers<T: Copy + Display, const N: usize>(values: [T; N]) -> Vec<(T, Bound)> {
        values.into_iter().map(|value| (value, Integer(value.to_string()))).collect()
    }

    /// Some that fit in 64 bits with sign, and some that do not.
    fn big_integers<T: Copy + Display>(name: &str, fitting: &[T], not: &[T]) -> Vec<(T, Bound)> {
        let fitting = fitting.iter().map(|&value| (value, Integer(value.to_string())));
        let reason = |value| format!("{value} ({name}) does not fit in an INTEGER, 64 bits with sign");
        fitting.chain(not.iter().map(|&value| (value, Refused(reason(value))))).collect()
    }

    fn not_a_number(name: &str) -> Bound {
        Refused(format!("SQLite cannot store NaN ({name}): it would become NULL"))
    }

    fn texts<T>(make: fn(&'static str) -> T) -> Vec<(T, Bound)> {
        ["", "text", "it's", "grüße, 世界 🦀", "a\0b", "\0"].map(|text| (make(text), Text(text))).into()
    }

    fn blobs<T>(make: fn(&'static [u8]) -> T) -> Vec<(T, Bound)> {
        [&b""[..], b"\0", b"a\xff\0b"].map(|bytes| (make(bytes), Blob(bytes.into()))).into()
    }

    fn zeroblobs() -> Vec<(ZeroBlob, Bound)> {
        vec![(ZeroBlob(0), Blob(vec![])), (ZeroBlob(5), Blob(vec![0; 5]))]
    }

    fn values() -> Vec<(Value, Bound)> {
        let numbers = vec![
            (Value::Null, Bound::Null),
            (Value::Integer(i64::MIN), Integer(i64::MIN.to_string())),
            (Value::Real(-0.5), Real("-0.5")),
            (Value::Real(f64::NAN), not_a_number("Value")),
        ];
        let texts = texts(|text| Value::Text(text.into()));
        numbers.into_iter().chain(texts).chain(blobs(|bytes| Value::Blob(bytes.into()))).collect()
    }

    fn value_refs() -> Vec<(ValueRef<'static>, Bound)> {
        let numbers = vec![
            (ValueRef::Null, Bound::Null),
            (ValueRef::Integer(i64::MAX), Integer(i64::MAX.to_string())),
            (ValueRef::Real(f64::INFINITY), Real("9.0e+999")),
            (ValueRef::Real(f64::NAN), not_a_number("ValueRef")),
        ];
        let texts = texts(|text| ValueRef::Text(text.as_bytes()));
        numbers.into_iter().chain(texts).chain(blobs(ValueRef::Blob)).collect()
    }

    /// One line for each type: name and class in the documentation, and samples.
    macro_rules! binds {
        ($($module:ident: $type:ty, $name:literal, $class:literal, $samples:expr, [$($way:ident)*];)*) => {
            $(
                mod $module {
                    use super::*;

                    fn samples() -> Vec<($type, Bound)> {
                        $samples
                    }

                    $(binds!(@$way $type);)*
                }
            )*

            /// For the documentation: each type and what it becomes.
            pub(super) const ROWS: &[(&str, &str)] = &[$(($name, $class)),*];
        };
        (@value $type:ty) => {
            #[test]
            fn by_value() {
                for (value, expected) in samples() {
                    check(value, &expected);
                }
            }

            #[test]
            fn in_an_option_by_value() {
                for (value, expected) in samples() {
                    check(Some(value), &expected);
                }
                check(None::<$type>, &Bound::Null);
            }
        };
        (@reference $type:ty) => {
            #[test]
            fn by_reference() {
                for (value, expected) in samples() {
                    let reference: &$type = &value;
                    check(reference, &expected);
                    check(&reference, &expected);
                }
            }

            #[test]
            fn by_dyn_reference() {
                for (value, expected) in samples() {
                    let reference: &dyn ToSql = &value;
                    check(reference, &expected);
                }
            }

            #[test]
            fn in_an_option_by_reference() {
                for (value, expected) in samples() {
                    check(Some(&value), &expected);
                    let option: &Option<$type> = &Some(value);
                    check(option, &expected);
                }
                let none: &Option<$type> = &None;
                check(none, &Bound::Null);
            }
        };
        (@round_trip $type:ty) => {
            /// What was bound is read back as the same type and value.
            #[test]
            fn round_trip() {
                let conn = open();
                let mut statement = conn.prepare("SELECT ?").unwrap();
                for (value, expected) in samples() {
                    if !matches!(expected, Refused(_)) {
                        let mut rows = statement.query((value.clone(),)).unwrap();
                        reads_as(rows.next().unwrap().unwrap(), &value);
                    }
                }
            }
        };
    }

    binds! {
        of_i8: i8, "i8", "INTEGER", integers([i8::MIN, 0, i8::MAX]), [value reference round_trip];
        of_i16: i16, "i16", "INTEGER", integers([i16::MIN, 0, i16::MAX]), [value reference round_trip];
        of_i32: i32, "i32", "INTEGER", integers([i32::MIN, 0, i32::MAX]), [value reference round_trip];
        of_i64: i64, "i64", "INTEGER", integers([i64::MIN, 0, i64::MAX]), [value reference round_trip];
        of_isize: isize, "isize", "INTEGER", integers([isize::MIN, 0, isize::MAX]), [value reference round_trip];
        of_u8: u8, "u8", "INTEGER", integers([0, 255]), [value reference round_trip];
        of_u16: u16, "u16", "INTEGER", integers([0, 65_535]), [value reference round_trip];
        of_u32: u32, "u32", "INTEGER", integers([0, u32::MAX]), [value reference round_trip];
        of_u64: u64, "u64", "INTEGER",
            big_integers("u64", &[0, 9_223_372_036_854_775_807], &[9_223_372_036_854_775_808, u64::MAX]),
            [value reference round_trip];
        of_usize: usize, "usize", "INTEGER",
            if usize::BITS == 64 { big_integers("usize", &[0], &[usize::MAX]) } else { integers([0, usize::MAX]) },
            [value reference round_trip];
        of_i128: i128, "i128", "INTEGER",
            big_integers(
                "i128",
                &[-9_223_372_036_854_775_808, 0, 9_223_372_036_854_775_807],
                &[-9_223_372_036_854_775_809, 9_223_372_036_854_775_808, i128::MIN, i128::MAX],
            ),
            [value reference round_trip];
        of_u128: u128, "u128", "INTEGER",
            big_integers("u128", &[0, 9_223_372_036_854_775_807], &[9_223_372_036_854_775_808, u128::MAX]),
            [value reference round_trip];
        of_f32: f32, "f32", "REAL",
            vec![
                (0.0, Real("0.0")),
                (-2.25, Real("-2.25")),
                (16_777_216.0, Real("16777216.0")),
                (f32::INFINITY, Real("9.0e+999")),
                (f32::NEG_INFINITY, Real("-9.0e+999")),
                (f32::NAN, not_a_number("f32")),
            ],
            [value reference round_trip];
        of_f64: f64, "f64", "REAL",
            vec![
                (0.0, Real("0.0")),
                (0.1, Real("0.1")),
                (-1234.5, Real("-1234.5")),
                (f64::INFINITY, Real("9.0e+999")),
                (f64::NEG_INFINITY, Real("-9.0e+999")),
                (f64::NAN, not_a_number("f64")),
                (-f64::NAN, not_a_number("f64")),
            ],
            [value reference round_trip];
        of_bool: bool, "bool", "INTEGER",
            vec![(false, Integer("0".into())), (true, Integer("1".into()))],
            [value reference round_trip];
        of_str: &'static str, "&str", "TEXT", texts(|text| text), [value reference round_trip];
        of_string: String, "String", "TEXT", texts(String::from), [value reference round_trip];
        of_box_str: Box<str>, "Box<str>", "TEXT", texts(Box::from), [value reference round_trip];
        of_rc_str: Rc<str>, "Rc<str>", "TEXT", texts(Rc::from), [value reference round_trip];
        of_arc_str: Arc<str>, "Arc<str>", "TEXT", texts(Arc::from), [value reference round_trip];
        of_cow_str: Cow<'static, str>, "Cow<str>", "TEXT",
            texts(Cow::Borrowed).into_iter().chain(texts(|text| Cow::Owned(text.into()))).collect(),
            [value reference round_trip];
        of_bytes: &'static [u8], "&[u8]", "BLOB", blobs(|bytes| bytes), [value reference round_trip];
        of_vec: Vec<u8>, "Vec<u8>", "BLOB", blobs(Vec::from), [value reference round_trip];
        of_box: Box<[u8]>, "Box<[u8]>", "BLOB", blobs(Box::from), [value reference round_trip];
        of_rc: Rc<[u8]>, "Rc<[u8]>", "BLOB", blobs(Rc::from), [value reference round_trip];
        of_arc: Arc<[u8]>, "Arc<[u8]>", "BLOB", blobs(Arc::from), [value reference round_trip];
        of_array: [u8; 3], "[u8; N]", "BLOB", vec![(*b"\0\xff.", Blob(b"\0\xff.".into()))], [value reference round_trip];
        of_cow: Cow<'static, [u8]>, "Cow<[u8]>", "BLOB",
            blobs(Cow::Borrowed).into_iter().chain(blobs(|bytes| Cow::Owned(bytes.into()))).collect(),
            [value reference round_trip];
        of_zeroblob: ZeroBlob, "ZeroBlob", "BLOB", zeroblobs(), [value reference];
        of_value: Value, "Value", "itself", values(), [value reference round_trip];
        of_value_ref: ValueRef<'static>, "ValueRef", "itself", value_refs(), [value round_trip];
    }

    #[test]
    fn an_empty_array_is_a_blob() {
        check([0_u8; 0], &Blob(vec![]));
        let reference: &[u8; 0] = &[];
        check(reference, &Blob(vec![]));
    }

    /// A parameter without a name is told by its index, and so is one that was bound by name.
    #[test]
    fn a_number_that_does_not_fit_is_named_with_its_parameter() {
        let conn = open();
        let error = conn.execute("SELECT ?, ?", (1, u64::MAX)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter 2: 18446744073709551615 (u64) does not fit in an INTEGER, 64 bits with sign, in: SELECT ?, ?"
        );
        assert!(matches!(error.kind(), ErrorKind::ParameterConversion { index: 2, name: None, .. }), "{error:?}");
        let error = conn.execute("SELECT :a, :b", named_params! { ":b": f64::NAN, ":a": 1 }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter 2 (:b): SQLite cannot store NaN (f64): it would become NULL, in: SELECT :a, :b"
        );
    }

    #[test]
    fn a_value_ref_that_is_not_utf8_is_refused() {
        let conn = open();
        let error = conn.execute("SELECT :t", (ValueRef::Text(b"hunter2\xff"),)).unwrap_err();
        let ErrorKind::ParameterConversion { index: 1, name: Some(name), problem, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(&**name, ":t");
        assert!(problem.to_string().starts_with("invalid utf-8 sequence of 1 bytes from index 7"), "{problem}");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("hunter2") && !text.contains("104, 117"), "{text}");
        }
        // The same bytes are a BLOB like any other.
        check(ValueRef::Blob(b"hunter2\xff"), &Blob(b"hunter2\xff".into()));
    }

    #[test]
    fn zero_keeps_its_sign() {
        let conn = open();
        for zero in [0.0_f64, -0.0] {
            let read: f64 = conn.query_one("SELECT ?", (zero,)).unwrap();
            assert_eq!(read.to_bits(), zero.to_bits());
            let read: f32 = conn.query_one("SELECT ?", (zero,)).unwrap();
            assert_eq!(f64::from(read).to_bits(), zero.to_bits());
        }
    }

    /// `Param::real` is SQLite's own way with NaN; the types above do not take it.
    #[test]
    fn params_made_by_hand() {
        check(Param::null(), &Bound::Null);
        check(Param::integer(-7), &Integer("-7".into()));
        check(Param::real(0.5), &Real("0.5"));
        check(Param::real(f64::NAN), &Bound::Null);
        check(Param::text("text"), &Text("text"));
        check(Param::text(String::from("text")), &Text("text"));
        check(Param::blob(&b"\xff"[..]), &Blob(vec![0xff]));
        check(Param::blob(vec![0xff]), &Blob(vec![0xff]));
        check(Param::zeroblob(2), &Blob(vec![0; 2]));
        let problem = finalite::ConversionError::message("Color", "no such color");
        check(Param::error(problem), &Refused("no such color (Color)".into()));
    }

    /// Where the bytes lie that SQLite reads. The cast to BLOB keeps them where they are.
    fn address_in_sqlite(param: impl ToSql) -> usize {
        let conn = open();
        let bytes = |row: Row<'_>| Ok(row.get::<&[u8]>(0)?.as_ptr().addr());
        conn.query_row("SELECT CAST(? AS BLOB)", (param,), bytes).unwrap()
    }

    #[test]
    fn borrowed_text_is_not_copied() {
        macro_rules! check {
            ($($type:ty)*) => {
                $(
                    let text = <$type>::from("text");
                    assert_eq!(address_in_sqlite(&text), text.as_ptr().addr(), stringify!($type));
                )*
            };
        }
        check! { String Box<str> Rc<str> Arc<str> Cow<'_, str> }
        let text = String::from("text");
        assert_eq!(address_in_sqlite(text.as_str()), text.as_ptr().addr());
        assert_eq!(address_in_sqlite(Some(text.as_str())), text.as_ptr().addr());
        assert_eq!(address_in_sqlite(Cow::Borrowed(text.as_str())), text.as_ptr().addr());
        assert_eq!(address_in_sqlite(ValueRef::Text(text.as_bytes())), text.as_ptr().addr());
        let value = Value::Text(text);
        assert_eq!(address_in_sqlite(&value), value.as_value_ref().as_bytes().unwrap().as_ptr().addr());
    }

    #[test]
    fn borrowed_bytes_are_not_copied() {
        macro_rules! check {
            ($($type:ty)*) => {
                $(
                    let bytes = <$type>::from(&b"bytes"[..]);
                    assert_eq!(address_in_sqlite(&bytes), bytes.as_ptr().addr(), stringify!($type));
                )*
            };
        }
        check! { Vec<u8> Box<[u8]> Rc<[u8]> Arc<[u8]> Cow<'_, [u8]> }
        let bytes = *b"bytes";
        let reference: &[u8; 5] = &bytes;
        assert_eq!(address_in_sqlite(reference), bytes.as_ptr().addr());
        assert_eq!(address_in_sqlite(&bytes[..]), bytes.as_ptr().addr());
        assert_eq!(address_in_sqlite(Cow::Borrowed(&bytes[..])), bytes.as_ptr().addr());
        assert_eq!(address_in_sqlite(ValueRef::Blob(&bytes)), bytes.as_ptr().addr());
        let value = Value::Blob(bytes.into());
        assert_eq!(address_in_sqlite(&value), value.as_value_ref().as_bytes().unwrap().as_ptr().addr());
    }

    #[test]
    fn owned_text_and_bytes_are_copied() {
        macro_rules! check {
            ($($owned:expr;)*) => {
                $(
                    let owned = $owned;
                    let address = owned.as_ptr().addr();
                    assert_ne!(address_in_sqlite(owned), address, stringify!($owned));
                )*
            };
        }
        check! {
            String::from("text");
            Box::<str>::from("text");
            Rc::<str>::from("text");
            Arc::<str>::from("text");
            Cow::<str>::Owned("text".into());
            Vec::from(*b"bytes");
            Box::<[u8]>::from(*b"bytes");
            Rc::<[u8]>::from(*b"bytes");
            Arc::<[u8]>::from(*b"bytes");
            Cow::<[u8]>::Owned(b"bytes".into());
        }
    }
}

/// The documentation and the tests above have the same rows.
mod tables {
    use super::{CLASSES, binding, reading};

    struct TableRow {
        /// The types in the first column.
        types: Vec<String>,
        cells: Vec<String>,
    }

    /// The rows of the table under this heading.
    fn table(heading: &str) -> Vec<TableRow> {
        let rows: Vec<_> = include_str!("../../src/convert.rs")
            .lines()
            .map(|line| line.trim_start_matches("//!").trim())
            .skip_while(|line| !line.starts_with(heading))
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
                TableRow { types: types(&cells.next().unwrap()), cells: cells.collect() }
            })
            .collect();
        assert!(rows.len() >= 10, "{heading}: {} rows found", rows.len());
        rows
    }

    /// What stands between backticks, and what an ellipsis between two of them leaves out.
    fn types(cell: &str) -> Vec<String> {
        let mut types: Vec<String> = Vec::new();
        let mut pieces = cell.split('`');
        while let (Some(between), Some(name)) = (pieces.next(), pieces.next()) {
            if between.contains('…') {
                let (letter, first) = types.last().unwrap().split_at(1);
                let (letter, widths) = (letter.to_owned(), width(first) + 1..width(&name[1..]));
                types.extend([16, 32].iter().filter(|it| widths.contains(it)).map(|it| format!("{letter}{it}")));
            }
            types.push(name.to_owned());
        }
        types
    }

    fn width(digits: &str) -> u32 {
        digits.parse().unwrap()
    }

    #[test]
    fn ranges_of_types_are_filled() {
        assert_eq!(
            types("`i8` … `i64`, `isize`, `u8` … `u32`"),
            ["i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32"]
        );
        assert_eq!(types("`&str`, [`Value`](crate::Value), a reference"), ["&str", "Value"]);
    }

    #[test]
    fn reading_is_tested_for_every_type() {
        let table = table("# Reading");
        for TableRow { types, cells } in &table {
            for name in types.iter().filter(|name| *name != "Option<T>") {
                let Some((_, samples)) = reading::ROWS.iter().find(|(tested, _)| tested == name) else {
                    panic!("`{name}` is in the documentation, and has no tests");
                };
                for ((cell, samples), class) in cells.iter().zip(samples).zip(CLASSES) {
                    let (read, refused) = samples().into_iter().partition::<Vec<_>, _>(|&is_read| is_read);
                    // The only conditional cells without an exception: these hold every INTEGER.
                    let is_total = matches!(&**name, "i64" | "i128") || name == "isize" && isize::BITS == 64;
                    let as_said = match &**cell {
                        "error" => read.is_empty() && !refused.is_empty(),
                        "yes" | "its bytes" => !read.is_empty() && refused.is_empty(),
                        _ => !read.is_empty() && (!refused.is_empty() || is_total),
                    };
                    assert!(as_said, "`{name}` from {class}: the documentation says \"{cell}\", the samples do not");
                }
            }
        }
        for (tested, _) in reading::ROWS {
            let is_documented = table.iter().any(|row| row.types.iter().any(|name| name == tested));
            assert!(is_documented, "`{tested}` has tests, and is not in the documentation");
        }
        assert!(table.iter().any(|row| row.types == ["Option<T>"]), "tested in each of the modules");
    }

    #[test]
    fn binding_is_tested_for_every_type() {
        let table = table("# Binding");
        for TableRow { types, cells } in &table {
            let [becomes] = cells.as_slice() else {
                panic!("{cells:?}");
            };
            for name in types.iter().filter(|name| !matches!(&***name, "None" | "Some(T)")) {
                // A reference to an owned type is bound in the module of the type.
                let find = |name: &str| binding::ROWS.iter().find(|(tested, _)| *tested == name);
                let Some((_, class)) = find(name).or_else(|| find(name.strip_prefix('&')?)) else {
                    panic!("`{name}` is in the documentation, and has no tests");
                };
                assert!(becomes.starts_with(class), "`{name}` becomes {class}, the documentation says \"{becomes}\"");
            }
        }
        for (tested, _) in binding::ROWS {
            let is_documented = table.iter().any(|row| row.types.iter().any(|name| name == tested));
            assert!(is_documented, "`{tested}` has tests, and is not in the documentation");
        }
        for option in ["None", "Some(T)"] {
            assert!(table.iter().any(|row| row.types == [option]), "tested in each of the modules");
        }
    }
}

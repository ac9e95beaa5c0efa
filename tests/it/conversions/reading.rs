//! What is read: each cell of the table.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::Utf8Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use finalite::convert::{IntegerBlob, Micros, Millis, Nanos, Seconds, U64Bits};
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
    Message(&'static str),
}
use Refusal::{Length, Message, NotExact, NotUtf8, OutOfRange, WrongType};

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

fn one_char() -> impl FnOnce(Type) -> Vec<Sample<char>> {
    these([
        ("'a'", Ok('a')),
        ("'🦀'", Ok('🦀')),
        ("CAST(x'00' AS TEXT)", Ok('\0')),
        ("''", Err(Message("not one character"))),
        ("'hunter2'", Err(Message("not one character"))),
        ("CAST(x'68756e74657232c3' AS TEXT)", Err(NotUtf8)),
    ])
}

/// TEXT as an address, of which this is one.
fn address<T>(stored: &'static str) -> impl FnOnce(Type) -> Vec<Sample<T>>
where
    T: std::str::FromStr<Err: Debug>,
{
    let value = stored.trim_matches('\'').parse().unwrap();
    let refused = || Err(Message("not such an address"));
    these([(stored, Ok(value)), ("''", refused()), ("'hunter2'", refused()), ("'127.0.0.1 '", refused())])
}

/// INTEGER as a duration of this many units.
fn units<T>(make: fn(Duration) -> T, unit: Duration) -> impl FnOnce(Type) -> Vec<Sample<T>> {
    these([
        ("0", Ok(make(Duration::ZERO))),
        ("1500", Ok(make(unit * 1500))),
        ("-1", Err(OutOfRange)),
        ("-9223372036854775808", Err(OutOfRange)),
    ])
}

fn time_of_text() -> impl FnOnce(Type) -> Vec<Sample<SystemTime>> {
    let unreadable = || Err(Message("not a date or time in a form that SQLite reads"));
    these([
        ("'1970-01-02 00:00:00+00:00'", Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400))),
        ("'1970-01-01T00:00:00.5Z'", Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(500))),
        ("'1970-01-01 00:00:00.0000000001'", Err(NotExact)),
        ("''", unreadable()),
        ("'hunter2'", unreadable()),
    ])
}

fn number_without_unit(class: Type) -> Vec<Sample<SystemTime>> {
    const REASON: &str =
        "a number does not tell its unit: read it as UnixSeconds, UnixMillis, .. or JulianDay of this type";
    let outcome = || Err(Message(REASON));
    match class {
        Type::Integer => these([("0", outcome()), ("1700000000", outcome())])(class),
        _ => these([("0.5", outcome()), ("2460000.5", outcome())])(class),
    }
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
        Message(message) => format!("{message} ({rust_type})"),
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
    as_char:     char,           "char",       [error, error, error, one_char(), error];
    as_path:     &Path,          "&Path",      [error, error, error, utf8(Path::new), error];
    as_path_buf: PathBuf,        "PathBuf",    [error, error, error, utf8(PathBuf::from), error];
    as_ip:       IpAddr,         "IpAddr",     [error, error, error, address("'::1'"), error];
    as_ipv4:     Ipv4Addr,       "Ipv4Addr",   [error, error, error, address("'10.0.0.1'"), error];
    as_ipv6:     Ipv6Addr,       "Ipv6Addr",   [error, error, error, address("'2001:db8::1'"), error];
    as_socket:   SocketAddr,     "SocketAddr", [error, error, error, address("'[::1]:80'"), error];
    as_socket4:  SocketAddrV4,   "SocketAddrV4", [error, error, error, address("'10.0.0.1:80'"), error];
    as_socket6:  SocketAddrV6,   "SocketAddrV6", [error, error, error, address("'[::1]:80'"), error];
    as_time:     SystemTime,     "SystemTime", [error, number_without_unit, number_without_unit, time_of_text(), error];
    as_seconds:  Seconds,        "Seconds",    [error, units(Seconds, Duration::from_secs(1)), error, error, error];
    as_millis:   Millis,         "Millis",     [error, units(Millis, Duration::from_millis(1)), error, error, error];
    as_micros:   Micros,         "Micros",     [error, units(Micros, Duration::from_micros(1)), error, error, error];
    as_nanos:    Nanos,          "Nanos",      [error, units(Nanos, Duration::from_nanos(1)), error, error, error];
    as_non_zero: NonZero<u8>,    "NonZero<T>", [error, these([("1", Ok(NonZero::<u8>::MIN)), ("255", Ok(NonZero::<u8>::MAX)),
                                                       ("0", Err(OutOfRange)), ("256", Err(OutOfRange))]),
                                                                                   error, error, error];
    as_bits:     U64Bits,        "U64Bits",    [error, every_integer(|value| U64Bits(value.cast_unsigned())),
                                                                                   error, error, error];
    as_blob:     IntegerBlob<u64>, "IntegerBlob<T>", [error, error, error, error,
                                                these([("x'8000000000000001'", Ok(IntegerBlob(1 << 63 | 1))),
                                                       ("x''", Err(Length { expected: 8, found: 0 })),
                                                       ("zeroblob(16)", Err(Length { expected: 8, found: 16 }))])];
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
    let values =
        [ValueRef::Null, ValueRef::Integer(7), ValueRef::Real(0.5), ValueRef::Text(b"text"), ValueRef::Blob(b"blob")];
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

//! What is bound: each cell of the table.

use std::borrow::Cow;
use std::fmt::{Debug, Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use finalite::convert::{IntegerBlob, Micros, Millis, Nanos, Seconds, U64Bits};
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

/// Addresses and what is not one of a text.
fn addresses<T: std::str::FromStr<Err: Debug>>(text: &'static str) -> Vec<(T, Bound)> {
    vec![(text.parse().unwrap(), Text(text))]
}

/// 1,500 units, a part of one, and too many.
fn durations<T>(make: fn(Duration) -> T, name: &str, unit: Duration) -> Vec<(T, Bound)> {
    let too_long = Refused(format!("out of range for {name}"));
    vec![
        (make(Duration::ZERO), Integer("0".into())),
        (make(unit * 1500), Integer("1500".into())),
        (make(Duration::MAX), too_long),
    ]
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
    of_char: char, "char", "TEXT", vec![('a', Text("a")), ('🦀', Text("🦀")), ('\0', Text("\0"))],
        [value reference round_trip];
    of_path: &'static Path, "&Path", "TEXT", texts(Path::new), [value reference round_trip];
    of_path_buf: PathBuf, "PathBuf", "TEXT", texts(PathBuf::from), [value reference round_trip];
    of_ip: IpAddr, "IpAddr", "TEXT", addresses("::1"), [value reference round_trip];
    of_ipv4: Ipv4Addr, "Ipv4Addr", "TEXT", addresses("10.0.0.1"), [value reference round_trip];
    of_ipv6: Ipv6Addr, "Ipv6Addr", "TEXT", addresses("2001:db8::1"), [value reference round_trip];
    of_socket: SocketAddr, "SocketAddr", "TEXT", addresses("[::1]:80"), [value reference round_trip];
    of_socket4: SocketAddrV4, "SocketAddrV4", "TEXT", addresses("10.0.0.1:80"), [value reference round_trip];
    of_socket6: SocketAddrV6, "SocketAddrV6", "TEXT", addresses("[::1]:80"), [value reference round_trip];
    of_time: SystemTime, "SystemTime", "TEXT",
        vec![(SystemTime::UNIX_EPOCH, Text("1970-01-01 00:00:00+00:00"))], [value reference round_trip];
    of_seconds: Seconds, "Seconds", "INTEGER", durations(Seconds, "Seconds", Duration::from_secs(1)),
        [value reference round_trip];
    of_millis: Millis, "Millis", "INTEGER", durations(Millis, "Millis", Duration::from_millis(1)),
        [value reference round_trip];
    of_micros: Micros, "Micros", "INTEGER", durations(Micros, "Micros", Duration::from_micros(1)),
        [value reference round_trip];
    of_nanos: Nanos, "Nanos", "INTEGER", durations(Nanos, "Nanos", Duration::from_nanos(1)),
        [value reference round_trip];
    of_non_zero: NonZero<u8>, "NonZero<T>", "INTEGER", integers([NonZero::<u8>::MIN, NonZero::<u8>::MAX]),
        [value reference round_trip];
    of_bits: U64Bits, "U64Bits", "INTEGER",
        vec![(U64Bits(1), Integer("1".into())), (U64Bits(u64::MAX), Integer("-1".into()))], [value reference round_trip];
    of_integer_blob: IntegerBlob<u64>, "IntegerBlob<T>", "BLOB",
        vec![(IntegerBlob(1), Blob(vec![0, 0, 0, 0, 0, 0, 0, 1]))], [value reference round_trip];
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

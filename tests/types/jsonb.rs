//! JSON as SQLite's BLOB, beside SQLite's own functions.

use std::thread;

use finalite::convert::Jsonb;
use finalite::{Connection, Value};
use serde_json::json;

use super::{read, stored, try_read, unbound, unread};
use crate::common::random::Random;

/// A value of up to this depth, with texts of all lengths of headers and of all kinds of escapes.
pub(super) fn any_value(random: &mut Random, depth: usize) -> serde_json::Value {
    let kinds = if depth == 0 { 7 } else { 9 };
    match random.below(kinds) {
        0 => json!(null),
        1 => json!(random.one_in(2)),
        2 => json!(random.next().cast_signed() >> random.below(64)),
        3 => json!(random.next() >> random.below(64)),
        4 => json!(f64::from_bits(random.next())),
        5 => json!((random.next() >> 40) as f64 / 64.0),
        6 => json!(any_text(random)),
        7 => (0..random.below(5)).map(|_| any_value(random, depth - 1)).collect(),
        _ => {
            let members = (0..random.below(5)).map(|_| (any_text(random), any_value(random, depth - 1)));
            serde_json::Value::Object(members.collect())
        }
    }
}

fn any_text(random: &mut Random) -> String {
    let lens = [0, 1, 5, 11, 12, 30, 255, 256, 300, 70_000];
    let end = if random.one_in(50) { lens.len() } else { 8 };
    let len = random.pick(&lens[..end]);
    let alphabet =
        ['a', 'b', '7', ' ', '\'', 'ü', '世', '🦀', '/', '"', '\\', '\n', '\t', '\0', '\x1f', '\u{2028}', '\x7f'];
    let of = if random.one_in(2) { 9 } else { alphabet.len() };
    (0..len).map(|_| alphabet[random.below(of)]).collect()
}

#[test]
fn what_is_bound_is_what_sqlite_reads() {
    let conn = Connection::open_in_memory().unwrap();
    let sql = "SELECT ?1, json(?1), json_valid(?1, 8), jsonb(?2), json(jsonb(?1)) = json(?1)";
    let mut select = conn.prepare(sql).unwrap();
    let mut random = Random::new(10, 0);
    for _ in 0..1500 {
        let value = any_value(&mut random, 5);
        type Row = (Jsonb<serde_json::Value>, serde_json::Value, bool, Jsonb<serde_json::Value>, bool);
        let (ours, as_text, is_valid, theirs, is_equal) =
            select.query_one::<Row>((Jsonb(&value), value.to_string())).unwrap();
        assert_eq!(ours.0, value);
        assert_eq!(as_text, value);
        assert_eq!(theirs.0, value);
        assert!(is_valid && is_equal, "{value}");
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    for (value, bytes) in [
        (json!(null), &b"\x00"[..]),
        (json!(true), b"\x01"),
        (json!(false), b"\x02"),
        (json!(-12), b"\x33-12"),
        (json!(1.5), b"\x351.5"),
        (json!("plain"), b"\x57plain"),
        (json!("a\"b"), b"\x3aa\"b"),
        (json!([]), b"\x0b"),
        (json!({"a": [1, null]}), b"\x6c\x17a\x3b\x131\x00"),
        (json!("twelve bytes"), b"\xc7\x0ctwelve bytes"),
    ] {
        assert_eq!(stored(Jsonb(&value)), Value::Blob(bytes.into()), "{value}");
        assert_eq!(read::<Jsonb<serde_json::Value>>(bytes).0, value);
    }
    for (len, header) in [(255, &b"\xc7\xff"[..]), (256, b"\xd7\x01\x00"), (65_536, b"\xe7\x00\x01\x00\x00")] {
        let bytes: Vec<u8> = read(Jsonb("x".repeat(len)));
        assert_eq!((&bytes[..header.len()], bytes.len()), (header, header.len() + len));
    }
    let conn = Connection::open_in_memory().unwrap();
    let object = Jsonb(json!({"a\"b": {"ü\n": 7}}));
    let found = conn.query_one::<i64>(r#"SELECT ? ->> '$."a\"b"."ü\n"'"#, (object,)).unwrap();
    assert_eq!(found, 7, "labels are found by their names");
    // Sizes need not be in their shortest form.
    for bytes in
        [&b"\xc3\x011"[..], b"\xd3\x00\x011", b"\xe3\x00\x00\x00\x011", b"\xf3\x00\x00\x00\x00\x00\x00\x00\x011"]
    {
        assert_eq!(read::<Jsonb<u8>>(bytes).0, 1);
    }
}

/// SQLite keeps what is JSON5 as it is.
#[test]
fn json5_is_read_as_sqlite_writes_it_in_json() {
    let conn = Connection::open_in_memory().unwrap();
    let mut select = conn.prepare("SELECT jsonb(?1), json(jsonb(?1))").unwrap();
    for json5 in [
        "[0x1F, -0x1f, 0XFFFFFFFFFFFFFFFF, +5]",
        "[.5, 5., -.5, +.5, 5.e3, -5.E-3]",
        "{a: 1, $b_2: 2, 'c': 3}",
        r#"'it\'s \x41 \v \0 \u0042 \" / \/ \b\f\n\r\t \\'"#,
        "'a\\\nb\\\r\nc\\\rd\\\u{2028}e\\\u{2029}f'",
        "'\"quoted\" \\'and\\' \x01 raw'",
        "[1, 2,] // comment",
        "/* comment */ [NaN, null]",
    ] {
        let mut rows = select.query((json5,)).unwrap();
        let row = rows.next().unwrap().unwrap();
        let Jsonb(ours): Jsonb<serde_json::Value> = row.get(0).unwrap();
        let theirs: serde_json::Value = row.get(1).unwrap();
        assert_eq!(ours, theirs, "{json5}");
    }
    let infinite = conn.query_one::<Vec<u8>>("SELECT jsonb('Infinity')", ()).unwrap();
    assert_eq!(unread::<Jsonb<f64>>(infinite), "not JSON (Jsonb)");
}

/// Damaged bytes are an error, or are read as SQLite reads them.
#[test]
fn damaged_bytes_are_refused_or_read_as_sqlite_reads_them() {
    let conn = Connection::open_in_memory().unwrap();
    let mut random = Random::new(11, 0);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..6000 {
        let value = any_value(&mut random, 3);
        let mut bytes: Vec<u8> = conn.query_one("SELECT ?", (Jsonb(&value),)).unwrap();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.next().to_le_bytes()[0],
                1 => bytes[at] ^= 1 << random.below(8),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.next().to_le_bytes()[0]),
            }
        }
        match conn.query_one::<Jsonb<serde_json::Value>>("SELECT ?", (&bytes,)) {
            Ok(Jsonb(ours)) => {
                let theirs = conn.query_one::<serde_json::Value>("SELECT json(?)", (&bytes,));
                assert_eq!(theirs.unwrap_or_else(|error| panic!("{bytes:02x?}: {error}")), ours, "{bytes:02x?}");
                read += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 300 && refused > 300, "{read} read, {refused} refused");
}

#[test]
fn malformed_bytes_are_errors() {
    for bytes in [
        &b""[..],
        b"\x10x",
        b"\x0d",
        b"\x0f",
        b"\x00\x00",
        b"\x23",
        b"\xc3",
        b"\xf3\xff\xff\xff\xff\xff\xff\xff\xff1",
        b"\xe7\xff\xff\xff\xffx",
        b"\x23,1",
        b"\x33[1]",
        b"\x14",
        b"\x340x",
        b"\x340xg",
        b"\x340x+",
        b"\x17\"",
        b"\x17\\",
        b"\x17\n",
        b"\x17\xff",
        b"\x1a\xff",
        b"\x18\\",
        b"\x18\"",
        b"\x39\\x4",
        b"\x29\\q",
        b"\x39\\01",
        b"\x2c\x17a",
        b"\x2c\x00\x00",
        b"\x1b\x17",
    ] {
        let reason = unread::<Jsonb<serde_json::Value>>(bytes);
        assert!(reason.ends_with("(Jsonb)"), "{bytes:02x?}: {reason}");
        assert!(["malformed JSONB", "not JSON", "JSON that ends"].iter().any(|it| reason.starts_with(it)), "{reason}");
    }
    // These would be two elements of an array.
    for element in [&b"\x57a\",\"b"[..], b"\x58a\",\"b", b"\x331,2", b"\x351,2", b"\x361,2", b"\x340,2"] {
        let array = [&[u8::try_from(element.len()).unwrap() << 4 | 0x0b], element].concat();
        assert_eq!(unread::<Jsonb<serde_json::Value>>(array), "malformed JSONB (Jsonb)", "{element:02x?}");
    }
    // An element without text, beside another.
    for kind in [3_u8, 4, 5, 6] {
        for array in [[0x3b, kind, 0x13, b'1'], [0x3b, 0x13, b'1', kind]] {
            assert_eq!(unread::<Jsonb<serde_json::Value>>(&array[..]), "malformed JSONB (Jsonb)", "{array:02x?}");
        }
    }
    assert_eq!(unread::<Jsonb<u8>>("1"), "not readable as Jsonb");
    let error = try_read::<Jsonb<u8>>(&b"\x77hunter2"[..]).unwrap_err();
    assert!(error.to_string().contains("JSON of another shape than the type has (Jsonb)"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

/// Runs on a thread with a stack of this size.
fn with_stack(bytes: usize, run: impl FnOnce() + Send) {
    thread::scope(|scope| {
        thread::Builder::new().stack_size(bytes).spawn_scoped(scope, run).unwrap().join().unwrap();
    });
}

/// Arrays in each other, or objects with one member each, whose label is "a".
fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let label: &[u8] = if kind == 0x0b { b"" } else { b"\x17a" };
    let mut bytes = vec![kind];
    for _ in 1..levels {
        let len = u32::try_from(label.len() + bytes.len()).unwrap();
        bytes = [&[0xe0 | kind][..], &len.to_be_bytes(), label, &bytes].concat();
    }
    bytes
}

/// serde_json reads 127 levels, SQLite 1,000. What is stored decides on no more of the stack than serde_json takes.
#[test]
fn depth_is_limited_in_what_is_read() {
    for kind in [0x0b, 0x0c] {
        assert!(try_read::<Jsonb<serde_json::Value>>(nested(kind, 127)).is_ok(), "{kind}");
        with_stack(512 << 10, || {
            for (levels, problem) in [
                (128, "JSON that is nested too deeply (Jsonb)"),
                (1000, "JSON that is nested too deeply (Jsonb)"),
                (1001, "malformed JSONB (Jsonb)"),
                (50_000, "malformed JSONB (Jsonb)"),
            ] {
                assert_eq!(
                    unread::<Jsonb<serde_json::Value>>(nested(kind, levels)),
                    problem,
                    "{kind}, {levels} levels"
                );
            }
        });
    }
}

#[test]
fn depth_is_limited_in_what_is_bound() {
    // serde_json takes much of it for a value of so many levels.
    with_stack(16 << 20, bind_deep_values);
}

fn bind_deep_values() {
    let conn = Connection::open_in_memory().unwrap();
    for is_object in [false, true] {
        let around = |inner| if is_object { json!({ "a": inner }) } else { json!([inner]) };
        let innermost = if is_object { json!({}) } else { json!([]) };
        let value = |levels: usize| (1..levels).fold(innermost.clone(), |inner: serde_json::Value, _| around(inner));
        assert!(conn.query_one::<bool>("SELECT json_valid(?, 8)", (Jsonb(value(1000)),)).unwrap());
        assert_eq!(unbound(Jsonb(value(1001))), "the value has no form in JSON (Jsonb)");
    }
}

//! JSON as text.

use std::collections::BTreeMap;

use finalite::convert::{Json, Jsonb};
use finalite::{Connection, Value};
use serde_json::json;

use super::jsonb::any_value;
use super::{passes_through_a_function, read, stored, text, try_read, unbound, unread};
use crate::common::random::Random;

#[test]
fn values_are_text() {
    for (value, written) in [
        (json!(null), "null"),
        (json!(true), "true"),
        (json!(5), "5"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!("it's"), "\"it's\""),
        (json!([1, 2.5]), "[1,2.5]"),
    ] {
        assert_eq!(text(&value), written);
        assert_eq!(text(Json(&value)), written);
        assert_eq!(read::<serde_json::Value>(&value), value);
        assert_eq!(read::<Json<serde_json::Value>>(&value).0, value);
    }
}

#[test]
fn round_trips_that_sqlite_reads() {
    let conn = Connection::open_in_memory().unwrap();
    let mut select = conn.prepare("SELECT ?1, json(?1), json_valid(?1)").unwrap();
    let mut random = Random::new(9, 0);
    for _ in 0..1000 {
        let value = any_value(&mut random, 4);
        let (back, by_sqlite, is_valid) =
            select.query_one::<(serde_json::Value, serde_json::Value, bool)>((&value,)).unwrap();
        assert_eq!((back, by_sqlite, is_valid), (value.clone(), value, true));
    }
}

/// rusqlite writes numbers as numbers, and a column that is declared as JSON makes them of text.
#[test]
fn numbers_of_other_writers_are_read() {
    assert_eq!(read::<serde_json::Value>(5), json!(5));
    assert_eq!(read::<serde_json::Value>(0.5), json!(0.5));
    assert_eq!(read::<Json<u8>>(5).0, 5);
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a JSON)").unwrap();
    conn.execute("INSERT INTO t VALUES (?)", (json!(5),)).unwrap();
    assert_eq!(conn.query_one::<Value>("SELECT a FROM t", ()).unwrap(), Value::Integer(5), "the affinity of JSON");
    assert_eq!(conn.query_one::<serde_json::Value>("SELECT a FROM t", ()).unwrap(), json!(5));
    assert_eq!(unread::<serde_json::Value>(f64::INFINITY), "not readable as serde_json::Value");
}

#[test]
fn text_is_borrowed_from_the_row() {
    let conn = Connection::open_in_memory().unwrap();
    conn.query_row("SELECT '{\"name\": \"Ada\", \"town\": \"London\"}'", (), |row| {
        let whole: &str = row.get(0)?;
        let Json(map) = row.get::<Json<BTreeMap<&str, &str>>>(0)?;
        assert_eq!(map["town"], "London");
        assert!(whole.as_bytes().as_ptr_range().contains(&map["town"].as_ptr()));
        Ok(())
    })
    .unwrap();
}

#[test]
fn errors_tell_the_place_and_not_the_value() {
    for (written, reason) in [
        ("\"hunter2\"", "JSON of another shape than the type has, at line 1 column 9 (Json)"),
        ("{\"hunter2\": 1", "JSON that ends too early, at line 1 column 13 (Json)"),
        ("", "JSON that ends too early, at line 1 column 0 (Json)"),
        ("{hunter2}", "not JSON, at line 1 column 2 (Json)"),
    ] {
        let error = try_read::<Json<BTreeMap<String, u8>>>(written).unwrap_err();
        assert_eq!(unread::<Json<BTreeMap<String, u8>>>(written), reason, "{written}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert_eq!(unread::<Json<u8>>(-1), "JSON of another shape than the type has (Json)");
    assert_eq!(unread::<Json<u8>>(*b"5"), "not readable as Json");
    assert_eq!(unread::<Json<u8>>(None::<i64>), "not readable as Json");
    assert_eq!(read::<Option<Json<u8>>>(None::<i64>), None);
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(
        unread::<serde_json::Value>(deep),
        "JSON that is nested too deeply, at line 1 column 128 (serde_json::Value)"
    );
}

/// A key of JSON is a text.
#[test]
fn what_has_no_form_in_json_is_not_bound() {
    let map = BTreeMap::from([(vec![1], 2)]);
    assert_eq!(unbound(Json(&map)), "the value has no form in JSON (Json)");
    assert_eq!(unbound(Jsonb(&map)), "the value has no form in JSON (Jsonb)");
    assert_eq!(stored(Json(&f64::NAN)), Value::Text("null".into()), "as serde_json writes it");
}

#[test]
fn functions_take_and_return_them() {
    passes_through_a_function(json!([1, "two"]));
    passes_through_a_function(Json(vec![1, 2]));
    passes_through_a_function(Jsonb(vec![1, 2]));
}

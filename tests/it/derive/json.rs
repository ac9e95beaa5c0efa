//! The attribute `json`.

use std::collections::BTreeMap;

use finalite::{Connection, ErrorKind, FromRow, FromSql, Params, ToSql};

type Tags = BTreeMap<String, Vec<i64>>;

#[derive(Debug, FromRow, Params, PartialEq)]
struct Post {
    id: i64,
    #[finalite(json)]
    tags: Tags,
    #[finalite(json)]
    maybe: Option<Vec<u8>>,
    #[finalite(json, default)]
    more: Vec<u8>,
}

fn post(maybe: Option<Vec<u8>>) -> Post {
    Post { id: 1, tags: BTreeMap::from([("a".to_owned(), vec![1, 2])]), maybe, more: vec![9] }
}

#[test]
fn fields_are_texts_of_json() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE posts(id INTEGER, tags TEXT, maybe TEXT, more TEXT)", ()).unwrap();
    conn.insert_into("posts", &post(Some(vec![3]))).unwrap();
    let row: (String, String, String) = conn.query_one("SELECT tags, maybe, more FROM posts", ()).unwrap();
    assert_eq!(row, (r#"{"a":[1,2]}"#.into(), "[3]".into(), "[9]".into()));
    assert_eq!(conn.query_one::<Post>("SELECT * FROM posts", ()).unwrap(), post(Some(vec![3])));
    let read: Post = conn.query_one("SELECT id, tags, NULL AS maybe FROM posts", ()).unwrap();
    assert_eq!(read, Post { more: Vec::new(), ..post(None) });
    // `None` is NULL, and not the JSON null.
    let stored: bool = conn.query_one("SELECT :maybe IS NULL", &post(None)).unwrap();
    assert!(stored);
}

#[test]
fn a_text_that_is_no_json_is_an_error_of_its_column() {
    let conn = Connection::open_in_memory().unwrap();
    let error =
        conn.query_one::<Post>("SELECT 1 AS id, '{secret' AS tags, NULL AS maybe, '[]' AS more", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 1, .. }), "{error}");
}

#[test]
fn a_newtype_is_a_text_of_json() {
    #[derive(Debug, FromSql, PartialEq, ToSql)]
    struct Settings(#[finalite(json)] Tags);
    #[derive(Debug, FromSql, PartialEq, ToSql)]
    struct Generic<T>(#[finalite(json)] T);
    #[derive(Debug, FromSql, PartialEq, ToSql)]
    struct Maybe(#[finalite(json)] Option<u8>);

    let conn = Connection::open_in_memory().unwrap();
    let settings = Settings(post(None).tags);
    assert_eq!(conn.query_one::<String>("SELECT ?", (&settings,)).unwrap(), r#"{"a":[1,2]}"#);
    assert_eq!(conn.query_one::<Settings>("SELECT ?", (&settings,)).unwrap(), settings);
    let generic = Generic(vec![1.5]);
    assert_eq!(conn.query_one::<Generic<Vec<f64>>>("SELECT ?", (&generic,)).unwrap(), generic);
    for maybe in [Maybe(Some(5)), Maybe(None)] {
        assert_eq!(conn.query_one::<Maybe>("SELECT ?", (&maybe,)).unwrap(), maybe);
    }
}

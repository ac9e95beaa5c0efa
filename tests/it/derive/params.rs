//! `#[derive(Params)]`.

use finalite::{Connection, ErrorKind, Param, Params};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

#[derive(Params)]
struct User {
    id: i64,
    name: String,
    age: Option<u8>,
}

fn ada() -> User {
    User { id: 1, name: "Ada".into(), age: Some(36) }
}

#[test]
fn fields_are_bound_by_name_with_any_prefix() {
    let conn = memory();
    for sql in ["SELECT :id, :name, :age", "SELECT $id, @name, :age"] {
        let row: (i64, String, u8) = conn.query_one(sql, &ada()).unwrap();
        assert_eq!(row, (1, "Ada".into(), 36), "{sql}");
    }
    // In the order of the SQL, some more than once, and not all of them.
    let row: (String, i64, String, i64) = conn.query_one("SELECT :name, :id, @name, :id", &ada()).unwrap();
    assert_eq!(row, ("Ada".into(), 1, "Ada".into(), 1));
    assert_eq!(conn.query_one::<i64>("SELECT :id", &ada()).unwrap(), 1);
}

#[test]
fn fields_are_bound_by_position() {
    let conn = memory();
    for sql in ["SELECT ?, ?, ?", "SELECT ?1, ?2, ?3"] {
        let row: (i64, String, u8) = conn.query_one(sql, &ada()).unwrap();
        assert_eq!(row, (1, "Ada".into(), 36), "{sql}");
    }
    for sql in ["SELECT 1", "SELECT ?, ?", "SELECT ?, ?, ?, ?"] {
        let error = conn.query_row(sql, &ada(), |_| Ok(())).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterCount { given: 3, .. }), "{error}");
    }
}

#[test]
fn a_parameter_without_a_field_is_an_error() {
    let conn = memory();
    let sql = "SELECT :id, :nmae";
    let error = conn.query_row(sql, &ada(), |_| Ok(())).unwrap_err();
    assert!(error.to_string().starts_with("parameter 2 (:nmae) has no value"), "{error}");
    assert_eq!(error.sql(), Some(sql));
    let error = conn.query_row("SELECT :id, ?", &ada(), |_| Ok(())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ParameterUnset { index: 2, .. }), "{error}");
    // The statement is usable afterwards, and nothing stays bound.
    let mut statement = conn.prepare("SELECT :id, :nmae").unwrap();
    assert!(statement.query(&ada()).is_err());
    let row: (i64, i64) = statement.query_one((1, 2)).unwrap();
    assert_eq!(row, (1, 2));
}

/// SQLite returns the memory that it was lent.
#[test]
fn bytes_are_bound_without_a_copy() {
    #[derive(Params)]
    struct Bytes<'a> {
        owned: Vec<u8>,
        lent: &'a [u8],
        maybe: Option<Box<[u8]>>,
    }

    let conn = memory();
    let bytes = Bytes { owned: vec![1; 100], lent: &[2; 100], maybe: Some([3; 100].into()) };
    let addresses = [bytes.owned.as_ptr(), bytes.lent.as_ptr(), bytes.maybe.as_ref().unwrap().as_ptr()];
    for sql in ["SELECT :owned, :lent, :maybe", "SELECT ?, ?, ?"] {
        let mut statement = conn.prepare(sql).unwrap();
        let mut rows = statement.query(&bytes).unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!([0, 1, 2].map(|column| row.get::<&[u8]>(column).unwrap().as_ptr()), addresses, "{sql}");
    }
    // The control: what is given away is copied.
    let given = vec![1; 100];
    let address = given.as_ptr();
    assert!(!conn.query_row("SELECT ?", (given,), |row| Ok(row.get::<&[u8]>(0)?.as_ptr() == address)).unwrap());
}

#[test]
fn structs_without_names_are_bound_by_position() {
    #[derive(Params)]
    struct Pair<'a>(i64, &'a str, #[finalite(skip)] u8);

    let conn = memory();
    let pair = Pair(1, "one", 9);
    let row: (i64, String) = conn.query_one("SELECT ?, ?", &pair).unwrap();
    assert_eq!(row, (1, "one".into()));
    let error = conn.query_one::<i64>("SELECT ?", &pair).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ParameterCount { expected: 1, given: 2, .. }), "{error}");
    assert_eq!(pair.2, 9);
}

mod doubled {
    use super::Param;

    pub(super) fn to_sql(value: &i64) -> Param<'_> {
        Param::integer(value * 2)
    }
}

#[test]
fn attributes_are_those_of_reading() {
    #[derive(Params)]
    #[finalite(rename_all = "camelCase")]
    struct Post<T> {
        post_id: i64,
        #[finalite(rename = "text")]
        body: T,
        #[finalite(with = doubled)]
        half: i64,
        #[finalite(skip)]
        cache: Vec<u8>,
        #[finalite(flatten)]
        author: User,
        #[finalite(flatten, prefix = "editor_")]
        editor: Option<User>,
    }

    let conn = memory();
    let mut post = Post { post_id: 9, body: "b", half: 4, cache: Vec::new(), author: ada(), editor: None };
    let sql = "SELECT :postId, :text, :half, :name, :editor_name, :editor_id, :id";
    let row: (i64, String, i64, String, Option<String>, Option<i64>, i64) = conn.query_one(sql, &post).unwrap();
    assert_eq!(row, (9, "b".into(), 8, "Ada".into(), None, None, 1));
    post.editor = Some(User { id: 2, name: "Bob".into(), age: None });
    let row: (i64, String, i64, String, Option<String>, Option<i64>, i64) = conn.query_one(sql, &post).unwrap();
    assert_eq!(row, (9, "b".into(), 8, "Ada".into(), Some("Bob".into()), Some(2), 1));
    // By position, parts come last.
    let row: (i64, String, i64, i64, String, u8, i64, String, Option<u8>) =
        conn.query_one("SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?", &post).unwrap();
    assert_eq!(row, (9, "b".into(), 8, 1, "Ada".into(), 36, 2, "Bob".into(), None));
    assert!(post.cache.is_empty());
}

#[test]
fn statements_run_for_many_structs() {
    let conn = memory();
    conn.execute("CREATE TABLE u(id, name, age)", ()).unwrap();
    let users = [ada(), ada()];
    let mut insert = conn.prepare("INSERT INTO u VALUES (:id, :name, :age)").unwrap();
    assert_eq!(insert.execute_many(&users).unwrap(), 2);
    assert_eq!(conn.execute("DELETE FROM u WHERE id = :id", &users[0]).unwrap(), 2);
}

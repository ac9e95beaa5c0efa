//! `Connection::insert_into` and `Connection::upsert`.

use finalite::{Connection, ErrorKind, FromRow, Params};

#[derive(Clone, Debug, FromRow, Params, PartialEq)]
struct User {
    id: Option<i64>,
    name: String,
    #[finalite(rename = "odd \"name\"")]
    odd: i64,
}

fn ada() -> User {
    User { id: None, name: "Ada".into(), odd: 3 }
}

fn database() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    let sql = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, \"odd \"\"name\"\"\" INTEGER)";
    conn.execute(sql, ()).unwrap();
    conn
}

fn all(conn: &Connection) -> Vec<User> {
    conn.query_all("SELECT * FROM users ORDER BY id", ()).unwrap()
}

#[test]
fn a_struct_is_inserted() {
    let conn = database();
    assert_eq!(conn.insert_into("users", &ada()).unwrap(), 1);
    assert_eq!(conn.last_insert_rowid(), 1);
    assert_eq!(all(&conn), [User { id: Some(1), ..ada() }]);
}

#[test]
fn names_of_tables_are_quoted() {
    #[derive(Params)]
    struct One {
        order: i64,
    }

    let conn = Connection::open_in_memory().unwrap();
    for (created, table) in [
        ("\"select\"", "select"),
        ("\"a\"\"b\"", "a\"b"),
        ("\"a.b\"", "a.b"),
        ("temp.other", "temp.other"),
        ("\"x(y); DROP\"", "x(y); DROP"),
    ] {
        conn.execute(&format!("CREATE TABLE {created}(\"order\")"), ()).unwrap();
        conn.insert_into(table, &One { order: 5 }).unwrap();
        assert_eq!(conn.query_one::<i64>(&format!("SELECT \"order\" FROM {created}"), ()).unwrap(), 5, "{table}");
    }
    let error = conn.insert_into("missing", &One { order: 5 }).unwrap_err();
    assert!(error.to_string().contains("no such table: missing"), "{error}");
}

#[test]
fn a_column_that_does_not_exist_is_an_error() {
    #[derive(Params)]
    struct Typo {
        nmae: &'static str,
    }

    let conn = database();
    let error = conn.insert_into("users", &Typo { nmae: "Ada" }).unwrap_err();
    assert!(error.to_string().contains("nmae"), "{error}");
    assert!(error.sql().unwrap().starts_with("INSERT INTO \"users\" (\"nmae\")"), "{error}");
    assert!(!error.to_string().contains("Ada"));
}

#[test]
fn statements_are_cached() {
    let conn = database();
    conn.insert_into("users", &ada()).unwrap();
    let before = conn.statement_cache_stats();
    conn.insert_into("users", &User { name: "Bob".into(), ..ada() }).unwrap();
    let after = conn.statement_cache_stats();
    assert_eq!((after.hits - before.hits, after.misses - before.misses), (1, 0));
}

/// The text of the last insertion is kept for the same table and struct alone.
#[test]
fn tables_and_structs_take_turns() {
    #[derive(Params)]
    struct A {
        a: i64,
    }
    #[derive(Params)]
    struct B {
        b: i64,
    }

    let conn = Connection::open_in_memory().unwrap();
    let tables = ["x", "xy", "y", "x\" (\"a", "1", "2", "3", "4", "5"];
    for table in tables {
        conn.execute(&format!("CREATE TABLE {}(a, b)", finalite::sql::quote_identifier(table)), ()).unwrap();
    }
    for number in 1..=2 {
        for table in tables {
            conn.insert_into(table, &A { a: number }).unwrap();
            conn.insert_into(table, &B { b: -number }).unwrap();
            conn.insert_into(table, &B { b: -number }).unwrap();
        }
    }
    for table in tables {
        let sql = format!("SELECT sum(a), sum(b), count(*) FROM {}", finalite::sql::quote_identifier(table));
        assert_eq!(conn.query_one::<(i64, i64, i64)>(&sql, ()).unwrap(), (3, -6, 6), "{table}");
    }
}

/// A name with a dot is that of a table, until a database has the name before the dot.
#[test]
fn a_database_may_be_attached_between_insertions() {
    #[derive(Params)]
    struct A {
        a: i64,
    }

    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE \"later.t\"(a)", ()).unwrap();
    conn.insert_into("later.t", &A { a: 1 }).unwrap();
    conn.execute_batch("ATTACH ':memory:' AS later; CREATE TABLE later.t(a)").unwrap();
    conn.insert_into("later.t", &A { a: 2 }).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT a FROM later.t", ()).unwrap(), 2);
    assert_eq!(conn.query_one::<i64>("SELECT a FROM main.\"later.t\"", ()).unwrap(), 1);
}

#[test]
fn a_struct_is_updated_if_its_key_is_there() {
    let conn = database();
    assert_eq!(conn.upsert("users", &["name"], &ada()).unwrap(), 1);
    assert_eq!(conn.upsert("users", &["NAME"], &User { id: Some(1), odd: 4, ..ada() }).unwrap(), 1);
    assert_eq!(all(&conn), [User { id: Some(1), odd: 4, ..ada() }]);
    conn.upsert("main.users", &["id"], &User { id: Some(1), name: "Bob".into(), odd: 5 }).unwrap();
    assert_eq!(all(&conn), [User { id: Some(1), name: "Bob".into(), odd: 5 }]);
    // Without a key, the row of any constraint is updated.
    conn.upsert("users", &[], &User { id: Some(1), name: "Eve".into(), odd: 6 }).unwrap();
    assert_eq!(all(&conn), [User { id: Some(1), name: "Eve".into(), odd: 6 }]);
}

#[test]
fn an_upsert_of_its_key_alone_changes_nothing() {
    #[derive(Params)]
    struct Tag {
        name: &'static str,
    }

    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE tags(name TEXT PRIMARY KEY)", ()).unwrap();
    assert_eq!(conn.upsert("tags", &["name"], &Tag { name: "a" }).unwrap(), 1);
    assert_eq!(conn.upsert("tags", &["name"], &Tag { name: "a" }).unwrap(), 0);
}

#[test]
fn another_constraint_or_a_wrong_key_is_an_error() {
    let conn = database();
    conn.insert_into("users", &ada()).unwrap();
    let error = conn.upsert("users", &["id"], &User { id: Some(7), ..ada() }).unwrap_err();
    assert!(error.constraint().is_some(), "{error}");
    let error = conn.upsert("users", &["odd \"name\""], &ada()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sqlite { .. }), "{error}");
    assert!(error.to_string().contains("ON CONFLICT"), "{error}");
}

#[test]
fn parts_are_columns_of_the_same_row() {
    #[derive(Params)]
    struct Place {
        city: &'static str,
        street: &'static str,
    }
    #[derive(Params)]
    struct Order {
        #[finalite(flatten, prefix = "to_")]
        to: Place,
        #[finalite(flatten, prefix = "from_")]
        from: Option<Place>,
        id: i64,
    }

    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, to_city, to_street, from_city, from_street)", ())
        .unwrap();
    let mut order = Order { to: Place { city: "A", street: "1" }, from: None, id: 9 };
    conn.insert_into("orders", &order).unwrap();
    order.from = Some(Place { city: "B", street: "2" });
    conn.upsert("orders", &["id"], &order).unwrap();
    let row: (i64, String, String, String, String) = conn.query_one("SELECT * FROM orders", ()).unwrap();
    assert_eq!(row, (9, "A".into(), "1".into(), "B".into(), "2".into()));
}

/// Seventeen columns are more than the marks that are written at once.
#[test]
fn structs_of_many_columns_are_inserted() {
    macro_rules! wide {
        ($($field:ident)*) => {
            #[derive(Debug, Default, FromRow, Params, PartialEq)]
            struct Wide { $($field: i64),* }
            const COLUMNS: &str = concat!($(stringify!($field), ","),*);
        };
    }
    wide! { a b c d e f g h i j k l m n o p q r s t u v w x y z aa ab ac ad ae af ag ah }

    let conn = Connection::open_in_memory().unwrap();
    conn.execute(&format!("CREATE TABLE wide({})", COLUMNS.trim_end_matches(',')), ()).unwrap();
    let wide = Wide { a: 1, p: 16, q: 17, af: 32, ag: 33, ah: 34, ..Wide::default() };
    conn.insert_into("wide", &wide).unwrap();
    assert_eq!(conn.query_one::<Wide>("SELECT * FROM wide", ()).unwrap(), wide);
}

/// A column that two parts of a struct have would get the value of one of them, and SQLite would not say which.
#[test]
fn a_column_of_two_parts_is_an_error() {
    #[derive(Params)]
    struct Part {
        name: &'static str,
    }
    #[derive(Params)]
    struct Twice {
        #[finalite(flatten)]
        one: Part,
        #[finalite(flatten, prefix = "na")]
        other: Rest,
    }
    #[derive(Params)]
    struct Rest {
        #[finalite(rename = "ME")]
        me: &'static str,
    }

    let conn = database();
    let twice = Twice { one: Part { name: "Ada" }, other: Rest { me: "Bob" } };
    for result in [conn.insert_into("users", &twice), conn.upsert("users", &["name"], &twice)] {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterTwice { index: 2, .. }), "{error}");
        assert!(error.to_string().contains("(naME) is given twice"), "{error}");
        assert!(!error.to_string().contains("Ada"), "{error}");
    }
    assert_eq!(all(&conn), []);
    // The next one is not affected.
    assert_eq!(conn.insert_into("users", &ada()).unwrap(), 1);
}

/// Whatever a table is, SQLite decides what may be inserted, and its error is passed on.
#[test]
fn tables_of_each_kind_are_written() {
    #[derive(Params)]
    struct Pair {
        a: i64,
        b: &'static str,
    }

    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE bare(a PRIMARY KEY, b) WITHOUT ROWID;
         CREATE TABLE strict(a INTEGER PRIMARY KEY, b TEXT) STRICT;
         CREATE TABLE more(a, b, c AS (a + 1), d DEFAULT 7);
         CREATE TABLE generated(a, b AS (a + 1));
         CREATE VIEW pairs AS SELECT a, b FROM bare;
         CREATE TRIGGER pairs_insert INSTEAD OF INSERT ON pairs BEGIN INSERT INTO bare VALUES (NEW.a, NEW.b); END;
         ATTACH ':memory:' AS \"odd.\"\"name\"; CREATE TABLE \"odd.\"\"name\".t(a, b)",
    )
    .unwrap();
    for table in ["bare", "strict", "more"] {
        assert_eq!(conn.insert_into(table, &Pair { a: 1, b: "x" }).unwrap(), 1, "{table}");
    }
    assert_eq!(conn.query_one::<(i64, String, i64, i64)>("SELECT * FROM more", ()).unwrap(), (1, "x".into(), 2, 7));
    conn.insert_into("pairs", &Pair { a: 2, b: "y" }).unwrap();
    assert_eq!(conn.upsert("bare", &["a"], &Pair { a: 2, b: "z" }).unwrap(), 1);
    assert_eq!(conn.query_all::<String>("SELECT b FROM bare ORDER BY a", ()).unwrap(), ["x", "z"]);
    for (table, expected) in [
        ("generated", "cannot INSERT into generated column \"b\""),
        ("pairs", "UPSERT"),
        ("a\0b", "NUL"),
        ("", "no such table"),
        (".", "no such table"),
        ("main.", "no such table"),
    ] {
        let error = conn.upsert(table, &["a"], &Pair { a: 9, b: "secret" }).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{table:?}: {error}");
    }
    conn.insert_into("odd.\"name.t", &Pair { a: 1, b: "x" }).unwrap();
}

/// A function that SQL calls cannot write through the connection that is calling it, and harms no statement of it.
#[test]
fn a_function_within_an_insertion_does_not_insert() {
    use std::cell::RefCell;

    thread_local! {
        static CONN: RefCell<Option<Connection>> = const { RefCell::new(None) };
    }
    let conn = database();
    conn.create_scalar_function("nested", || {
        CONN.with_borrow(|conn| {
            let conn = conn.as_ref().unwrap();
            let is_misuse = |error: finalite::Error| matches!(error.kind(), ErrorKind::Misuse { .. });
            let results = [conn.insert_into("users", &ada()), conn.upsert("other", &["id"], &ada())];
            results.into_iter().all(|result| is_misuse(result.unwrap_err()))
        })
    })
    .unwrap();
    conn.execute_batch(
        "CREATE TABLE log(refused);
         CREATE TEMP TRIGGER users_log AFTER INSERT ON users BEGIN INSERT INTO log VALUES (nested()); END",
    )
    .unwrap();
    CONN.set(Some(conn));
    CONN.with_borrow(|conn| {
        let conn = conn.as_ref().unwrap();
        for name in ["a", "b"] {
            assert_eq!(conn.insert_into("users", &User { name: name.into(), ..ada() }).unwrap(), 1);
        }
        assert_eq!(conn.query_all::<bool>("SELECT refused FROM log", ()).unwrap(), [true, true]);
        assert_eq!(all(conn).len(), 2);
    });
    CONN.set(None);
}

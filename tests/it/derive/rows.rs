//! `#[derive(FromRow)]`.

use std::borrow::Cow;
use std::marker::PhantomData;

use finalite::{Connection, ConversionError, Error, ErrorKind, FromRow, NameKind, Params, Result, Row, ValueRef};

fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

#[derive(Clone, Debug, FromRow, PartialEq)]
struct User {
    id: i64,
    name: String,
    age: Option<u8>,
}

impl User {
    fn ada() -> Self {
        Self { id: 1, name: "Ada".into(), age: Some(36) }
    }
}

#[test]
fn fields_are_read_by_name_in_any_order() {
    let conn = memory();
    for sql in [
        "SELECT 1 AS id, 'Ada' AS name, 36 AS age",
        "SELECT 36 AS age, 'Ada' AS name, 1 AS id",
        "SELECT 'Ada' AS NAME, 36 AS Age, 1 AS iD",
    ] {
        assert_eq!(conn.query_one::<User>(sql, ()).unwrap(), User::ada(), "{sql}");
        assert_eq!(conn.query_all::<User>(sql, ()).unwrap(), [User::ada()], "{sql}");
        let by_closure = conn.query_map(sql, (), |row| Ok((User::from_row(row)?, 0))).unwrap();
        assert_eq!(by_closure.map(Result::unwrap).collect::<Vec<_>>(), [(User::ada(), 0)], "{sql}");
    }
}

#[test]
fn a_struct_may_borrow_the_row() {
    #[derive(FromRow)]
    struct Borrowed<'r> {
        name: &'r str,
        bytes: Option<&'r [u8]>,
        either: Cow<'r, str>,
    }
    #[derive(FromRow)]
    struct Pair<'a>(&'a str, i64);

    let conn = memory();
    let mut statement = conn.prepare("SELECT 'Ada' AS name, x'01' AS bytes, 'x' AS either").unwrap();
    let mut rows = statement.query(()).unwrap();
    let row = rows.next().unwrap().unwrap();
    let read = Borrowed::from_row(row).unwrap();
    assert_eq!((read.name, read.bytes, &*read.either), ("Ada", Some(&[1][..]), "x"));
    assert!(matches!(read.either, Cow::Borrowed(_)));
    assert_eq!(read.name.as_ptr(), row.get::<&str>(0).unwrap().as_ptr());
    let length = conn.query_row("SELECT 'four', 4", (), |row| {
        let Pair(text, number) = Pair::from_row(row)?;
        Ok((text.len(), number))
    });
    assert_eq!(length.unwrap(), (4, 4));
}

#[test]
fn structs_without_names_are_read_by_position() {
    #[derive(Debug, FromRow, PartialEq)]
    struct Pair(i64, String);
    #[derive(Debug, FromRow, PartialEq)]
    struct Skipping(i64, #[finalite(skip)] PhantomData<u8>, String);

    let conn = memory();
    let sql = "SELECT 1, 'one'";
    assert_eq!(conn.query_one::<Pair>(sql, ()).unwrap(), Pair(1, "one".into()));
    assert_eq!(conn.query_one::<Skipping>(sql, ()).unwrap(), Skipping(1, PhantomData, "one".into()));
    let error = conn.query_one::<Pair>("SELECT 1", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSuch { what: NameKind::Column, .. }), "{error}");
}

#[test]
fn generic_structs_are_read() {
    #[derive(Debug, FromRow, PartialEq)]
    struct Wrapped<T, const N: usize>
    where
        T: Clone,
    {
        value: T,
        bytes: [u8; N],
        all: Option<T>,
    }
    #[derive(Debug, FromRow, PartialEq)]
    struct Counted<T> {
        #[finalite(flatten)]
        item: T,
        total: i64,
    }

    let conn = memory();
    let sql = "SELECT 'a' AS value, x'0102' AS bytes, NULL AS \"all\"";
    let expected = Wrapped { value: "a".to_owned(), bytes: [1, 2], all: None };
    assert_eq!(conn.query_one::<Wrapped<String, 2>>(sql, ()).unwrap(), expected);
    let sql = "SELECT 9 AS total, 1 AS id, 'Ada' AS name, 36 AS age";
    let expected = Counted { item: User::ada(), total: 9 };
    assert_eq!(conn.query_one::<Counted<User>>(sql, ()).unwrap(), expected);
}

#[test]
fn a_generic_struct_may_borrow_and_be_made_by_a_macro() {
    macro_rules! pair {
        ($name:ident { $($field:ident: $ty:ty),* }) => {
            #[derive(Debug, FromRow, Params, PartialEq)]
            struct $name<'p, T: Clone> {
                $($field: $ty,)*
                value: Option<T>,
                text: &'p str,
            }
        };
    }
    pair! { Pair { number: i64, bytes: Option<Vec<u8>> } }

    let conn = memory();
    let pair = Pair { number: 1, bytes: Some(vec![2]), value: Some(1.5), text: "x" };
    let mut statement =
        conn.prepare("SELECT :text AS text, :value AS value, :bytes AS bytes, :number AS number").unwrap();
    let mut rows = statement.query(&pair).unwrap();
    assert_eq!(Pair::<f64>::from_row(rows.next().unwrap().unwrap()).unwrap(), pair);
}

/// Two instances of a generic struct differ in their parts alone, and are read from one statement.
#[test]
fn each_type_of_a_generic_struct_finds_its_own_columns() {
    #[derive(FromRow)]
    struct Holder<T> {
        #[finalite(flatten)]
        part: T,
        rest: i64,
    }
    #[derive(FromRow)]
    #[finalite(ignore_extra)]
    struct A {
        a: i64,
    }
    #[derive(FromRow)]
    #[finalite(ignore_extra)]
    struct B {
        b: i64,
    }

    let conn = memory();
    let mut statement = conn.prepare("SELECT 1 AS a, 2 AS b, 3 AS rest").unwrap();
    for _ in 0..2 {
        let mut get = |read: fn(Row<'_>) -> Result<(i64, i64)>| statement.query_row((), read).unwrap();
        assert_eq!(get(|row| Holder::<A>::from_row(row).map(|x| (x.part.a, x.rest))), (1, 3));
        assert_eq!(get(|row| Holder::<B>::from_row(row).map(|x| (x.part.b, x.rest))), (2, 3));
        assert_eq!(get(|row| A::from_row(row).map(|x| (x.a, 0))), (1, 0));
        assert_eq!(get(|row| B::from_row(row).map(|x| (x.b, 0))), (2, 0));
    }
}

#[test]
fn names_are_changed_by_attributes() {
    #[derive(Debug, FromRow, PartialEq)]
    #[finalite(rename_all = "camelCase")]
    struct Event {
        created_at: i64,
        #[finalite(rename = "kind of event")]
        kind: String,
        r#type: i64,
    }

    let conn = memory();
    let sql = "SELECT 7 AS createdAt, 'x' AS \"kind of event\", 2 AS type";
    let expected = Event { created_at: 7, kind: "x".into(), r#type: 2 };
    assert_eq!(conn.query_one::<Event>(sql, ()).unwrap(), expected);
}

#[test]
fn a_missing_column_may_have_a_default() {
    fn nobody() -> String {
        "nobody".into()
    }
    #[derive(Debug, FromRow, PartialEq)]
    struct Lenient {
        id: i64,
        #[finalite(default)]
        age: i64,
        #[finalite(default = nobody)]
        name: String,
        #[finalite(skip)]
        cache: Vec<u8>,
    }

    let conn = memory();
    let lenient = |age, name: &str| Lenient { id: 1, age, name: name.into(), cache: Vec::new() };
    let one = |sql| conn.query_one::<Lenient>(sql, ());
    assert_eq!(one("SELECT 1 AS id").unwrap(), lenient(0, "nobody"));
    assert_eq!(one("SELECT 3 AS age, 1 AS id").unwrap(), lenient(3, "nobody"));
    assert_eq!(one("SELECT 'Ada' AS name, 1 AS id").unwrap(), lenient(0, "Ada"));
    // NULL is a value, and not a missing column.
    let error = one("SELECT 1 AS id, NULL AS age").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 1, .. }), "{error}");
}

mod seconds {
    use super::{ConversionError, Duration, ValueRef};

    pub(super) fn from_sql(value: ValueRef<'_>) -> Result<Duration, ConversionError> {
        u64::try_from(value.as_i64()?).map(Duration::from_secs).map_err(|_| ConversionError::out_of_range("Duration"))
    }
}
use std::time::Duration;

#[test]
fn a_field_is_converted_by_a_path() {
    #[derive(Debug, FromRow, PartialEq)]
    struct Timed {
        #[finalite(with = seconds)]
        elapsed: Duration,
        #[finalite(with = seconds, default, rename = "limit")]
        most: Duration,
    }

    let conn = memory();
    let timed = conn.query_one::<Timed>("SELECT 5 AS elapsed", ()).unwrap();
    assert_eq!(timed, Timed { elapsed: Duration::from_secs(5), most: Duration::ZERO });
    let error = conn.query_one::<Timed>("SELECT 5 AS elapsed, -1 AS \"limit\"", ()).unwrap_err();
    assert!(error.to_string().starts_with("column 1 (limit), INTEGER: out of range for Duration"), "{error}");
    assert!(!error.to_string().contains("-1 AS elapsed"));
}

#[test]
fn parts_are_structs_of_their_own() {
    #[derive(Debug, FromRow, PartialEq)]
    struct Post {
        id: i64,
        #[finalite(flatten, prefix = "author_")]
        author: User,
        #[finalite(flatten, prefix = "editor_")]
        editor: Option<User>,
    }

    let conn = memory();
    let sql = "SELECT 9 AS id, 1 AS author_id, 'Ada' AS author_name, 36 AS author_age,
                      NULL AS editor_id, NULL AS editor_name, NULL AS editor_age";
    let expected = Post { id: 9, author: User::ada(), editor: None };
    assert_eq!(conn.query_one::<Post>(sql, ()).unwrap(), expected);
    let sql = "SELECT 'Bob' AS editor_name, 2 AS editor_id, NULL AS editor_age,
                      9 AS id, 1 AS author_id, 'Ada' AS author_name, 36 AS author_age";
    let bob = User { id: 2, name: "Bob".into(), age: None };
    let expected = Post { id: 9, author: User::ada(), editor: Some(bob) };
    assert_eq!(conn.query_one::<Post>(sql, ()).unwrap(), expected);
    // A part that is not all NULL is read, and its NULL is an error.
    let error = conn.query_one::<Post>(&sql.replace("2 AS editor_id", "NULL AS editor_id"), ()).unwrap_err();
    assert!(error.to_string().starts_with("column 1 (editor_id), NULL"), "{error}");
    let error = conn.query_one::<Post>(&sql.replace("editor_age", "editor_wage"), ()).unwrap_err();
    assert!(error.to_string().starts_with("no such column: editor_age (there are editor_name"), "{error}");
}

#[test]
fn joins_without_names_of_their_own_are_pairs_of_parts() {
    #[derive(Debug, FromRow, PartialEq)]
    struct Both(#[finalite(flatten)] User, #[finalite(flatten, prefix = "other_")] Option<User>);

    let conn = memory();
    let sql = "SELECT 1 AS id, 'Ada' AS name, 36 AS age, NULL AS other_id, NULL AS other_name, NULL AS other_age";
    assert_eq!(conn.query_one::<Both>(sql, ()).unwrap(), Both(User::ada(), None));
}

#[test]
fn errors_name_the_column_and_the_sql() {
    #[derive(Debug, FromRow)]
    #[finalite(ignore_extra)]
    struct Id {
        id: i64,
    }

    let conn = memory();
    let fail = |sql: &str| -> Error {
        let error = conn.query_one::<User>(sql, ()).unwrap_err();
        assert_eq!(error.sql(), Some(sql));
        error
    };

    let error = fail("SELECT 1 AS id, 'Ada' AS nmae, 36 AS age");
    let ErrorKind::NoSuch { what: NameKind::Column, name, known, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((&**name, known.len()), ("name", 3));

    let error = fail("SELECT 1 AS id, 'Ada' AS name, 36 AS age, 5 AS shoe");
    let ErrorKind::UnreadColumn { column: 3, name, rust_type, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(&**name, "shoe");
    assert!(rust_type.ends_with("User"), "{rust_type}");
    assert!(error.to_string().starts_with("column 3 (shoe) is read by no field of "), "{error}");

    let error = fail("SELECT 1 AS id, 'Ada' AS name, 36 AS age, 2 AS ID");
    let ErrorKind::AmbiguousColumn { name, first: 0, second: 3, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(&**name, "id");
    assert!(error.to_string().starts_with("columns 0 and 3 both have the name id"), "{error}");

    // What is not read may be there, if the struct says so, but not twice where it is read.
    assert_eq!(conn.query_one::<Id>("SELECT 5 AS a, 1 AS id, 6 AS a", ()).unwrap().id, 1);
    let error = conn.query_one::<Id>("SELECT 1 AS id, 2 AS id", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::AmbiguousColumn { .. }), "{error}");

    let error = fail("SELECT 1 AS id, x'00' AS name, 36 AS age");
    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 1, .. }), "{error}");
}

/// A schema change moves the columns; SQLite prepares the statement again, and the columns are found again.
#[test]
fn columns_are_found_again_after_a_schema_change() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE u(id, name, age); INSERT INTO u VALUES (1, 'Ada', 36)").unwrap();
    let mut statement = conn.prepare("SELECT * FROM u").unwrap();
    assert_eq!(statement.query_one::<User>(()).unwrap(), User::ada());
    conn.execute_batch("DROP TABLE u; CREATE TABLE u(age, id, name); INSERT INTO u VALUES (36, 1, 'Ada')").unwrap();
    assert_eq!(statement.query_one::<User>(()).unwrap(), User::ada());
    conn.execute_batch("ALTER TABLE u ADD COLUMN shoe").unwrap();
    let error = statement.query_one::<User>(()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnreadColumn { column: 3, .. }), "{error}");
    conn.execute_batch("ALTER TABLE u DROP COLUMN shoe").unwrap();
    assert_eq!(statement.query_one::<User>(()).unwrap(), User::ada());
}

#[test]
fn many_types_are_read_from_one_statement() {
    macro_rules! types {
        ($($name:ident)*) => {
            $(
                #[derive(FromRow)]
                #[finalite(ignore_extra)]
                struct $name {
                    a: i64,
                }
            )*
            fn all(row: Row<'_>) -> Result<i64> {
                Ok(0 $(+ $name::from_row(row)?.a)*)
            }
        };
    }
    types! { A B C D E }

    let conn = memory();
    let sums: Vec<i64> = conn
        .query_map("SELECT 'x' AS b, column1 AS a FROM (VALUES (1), (2))", (), all)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(sums, [5, 10]);
}

/// A scan reads database pages; its rows have the names of its statement.
#[test]
fn rows_of_a_scan_are_read() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE u(id INTEGER PRIMARY KEY, name TEXT, age INTEGER)").unwrap();
    conn.execute("INSERT INTO u VALUES (1, 'Ada', 36), (2, 'Ada', 36)", ()).unwrap();
    let mut all = Vec::new();
    conn.scan("SELECT age, name, id FROM u", ())
        .for_each(|row| {
            all.push(User::from_row(row)?);
            Ok(())
        })
        .unwrap();
    assert_eq!(all, [User::ada(), User { id: 2, ..User::ada() }]);
}

/// The expansion names everything by its full path.
#[test]
fn derived_code_does_not_depend_on_what_is_in_scope() {
    #![allow(dead_code, non_camel_case_types, reason = "they stand in the way")]
    mod shadowed {
        struct Result;
        struct Option;
        struct Ok;
        struct Some;
        struct None;
        struct String;
        trait Default {}
        mod core {}
        mod std {}
        mod finalite {}

        #[derive(::finalite::FromRow, ::finalite::Params)]
        pub(super) struct Row {
            pub(super) a: i64,
            #[finalite(default)]
            pub(super) cells: i64,
            #[finalite(skip)]
            pub(super) binder: ::std::marker::PhantomData<u8>,
        }

        #[derive(::finalite::FromSql, ::finalite::ToSql)]
        pub(super) enum Error {
            A,
        }

        #[derive(::finalite::FromSql, ::finalite::ToSql)]
        pub(super) struct Value(pub(super) i64);
    }
    let conn = memory();
    assert_eq!(conn.query_one::<shadowed::Row>("SELECT 1 AS a", ()).unwrap().a, 1);
    assert_eq!(conn.query_one::<shadowed::Value>("SELECT ?", (shadowed::Value(2),)).unwrap().0, 2);
    conn.query_one::<shadowed::Error>("SELECT ?", (shadowed::Error::A,)).unwrap();
}

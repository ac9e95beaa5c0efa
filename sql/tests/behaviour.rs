//! Statements of `sql!` when they are run.

use finalite::pool::Pool;
use finalite::{
    AnyParams, Connection, ErrorKind, FromRow, LeakCheck, NamedParams, Params, Result, StatementKey, array,
    named_params, params,
};
use finalite_sql::sql;

fn connection() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(include_str!("schema.sql")).unwrap();
    conn
}

/// Of the tests alone: the crate's own schema is that of its example.
macro_rules! people {
    ($($all:tt)*) => { sql!(schema = "tests/schema.sql", $($all)*) };
}

fn add(conn: &Connection, name: &str) -> i64 {
    people!(r#"INSERT INTO people("full name", type) VALUES (?, 'a') RETURNING id"#).query_one(conn, (name,)).unwrap()
}

#[test]
fn a_row_of_several_columns_is_a_struct() -> Result<()> {
    let conn = connection();
    add(&conn, "Ada");
    conn.execute("UPDATE people SET weight = 1, photo = x'0102', born = '1815-12-10'", ())?;
    let all = people!(r#"SELECT id, "full name" AS name, type, weight, photo, active, born FROM people"#);
    let row = all.query_one(&conn, ())?;
    let (id, name, r#type): (i64, String, String) = (row.id, row.name.clone(), row.r#type.clone());
    assert_eq!((id, &*name, &*r#type), (1, "Ada", "a"));
    let (weight, photo, active): (Option<f64>, Option<Vec<u8>>, bool) = (row.weight, row.photo.clone(), row.active);
    assert_eq!((weight, photo, active), (Some(1.0), Some(vec![1, 2]), true));
    // The use decides.
    assert_eq!(row.born, Some("1815-12-10".to_owned()));
    assert_eq!(row.clone(), row);
    assert!(format!("{row:?}").starts_with("Record { id: 1, name: \"Ada\", type: \"a\""));
    Ok(())
}

/// In a macro of the program, and in a module without the prelude.
#[test]
fn statements_within_macros() -> Result<()> {
    macro_rules! all {
        ($sql:literal as $row:ty) => {
            people!($sql as $row)
        };
        ($sql:literal) => {
            people!($sql)
        };
    }

    mod bare {
        #![no_implicit_prelude]
        pub(super) fn kind(conn: &::finalite::Connection) -> ::finalite::Result<::std::string::String> {
            let row = ::finalite_sql::sql!(schema = "tests/schema.sql", "SELECT id, type, id + 1 AS next FROM people");
            let row = row.query_one(conn, ())?;
            let _: i64 = row.next;
            ::core::result::Result::Ok(row.r#type)
        }
    }

    let conn = connection();
    add(&conn, "Ada");
    let row = all!("SELECT id, type FROM people").query_one(&conn, ())?;
    assert_eq!((row.id, &*row.r#type), (1, "a"));
    assert_eq!(all!("SELECT id, type FROM people" as (u8, String)).query_one(&conn, ())?, (1, "a".into()));
    assert_eq!(bare::kind(&conn)?, "a");
    Ok(())
}

#[test]
fn calls_are_those_of_a_key() -> Result<()> {
    let conn = connection();
    let names = people!(r#"SELECT "full name" FROM people WHERE id >= ? ORDER BY id"#);
    assert_eq!(names.query_optional(&conn, (1,))?, None);
    assert!(names.query_one(&conn, (1,)).unwrap_err().is_no_rows());
    let ids = [add(&conn, "Ada"), add(&conn, "Grace")];
    assert_eq!(names.query_all(&conn, (ids[0],))?, ["Ada", "Grace"]);
    assert_eq!(names.query_one(&conn, (ids[1],))?, "Grace");
    assert_eq!(people!("DELETE FROM people").execute(&conn, ())?, 2);
    let mut statement = conn.statement(people!("SELECT id, type FROM people WHERE id = ?"))?;
    assert!(!statement.exists((1,))?);
    // Nothing else would decide about the type.
    let mut count = conn.statement(people!("SELECT count(*) FROM people" as u64))?;
    assert_eq!(count.query_one::<u64>(())?, 0);
    Ok(())
}

/// The statement is kept, as that of any key.
#[test]
fn a_statement_is_prepared_once() -> Result<()> {
    let conn = connection();
    let add = || people!("UPDATE people SET type = 'b'").execute(&conn, ());
    add()?;
    let before = conn.statement_cache_stats();
    for _ in 0..5 {
        add()?;
    }
    assert_eq!(conn.statement_cache_stats().misses, before.misses);
    Ok(())
}

#[test]
fn keys_can_be_statics() -> Result<()> {
    static COUNT: StatementKey<(), u8> = people!("SELECT count(*) FROM people");
    static NAME: StatementKey<AnyParams<1>, String> = people!(r#"SELECT "full name" FROM people WHERE id = ?"#);
    let conn = connection();
    let id = add(&conn, "Ada");
    assert_eq!((COUNT.query_one(&conn, ())?, NAME.query_one(&conn, (id,))?), (1, "Ada".into()));
    Ok(())
}

#[test]
fn parameters() -> Result<()> {
    #[derive(Params)]
    struct Pair<'a> {
        b: &'a str,
        a: i64,
    }

    let conn = connection();
    let by_position: StatementKey<AnyParams<2>, String> = people!("SELECT ? || ?");
    assert_eq!(by_position.query_one(&conn, ("a", 1))?, "a1");
    assert_eq!(by_position.query_one(&conn, ["a", "b"])?, "ab");
    assert_eq!(by_position.query_one(&conn, params!["a", 1])?, "a1");
    let numbered: StatementKey<AnyParams<2>, String> = people!("SELECT ?2 || ?1 || ?2");
    assert_eq!(numbered.query_one(&conn, (1, "a"))?, "a1a");
    let by_name: StatementKey<NamedParams<2>, String> = people!("SELECT :a || @b || :a");
    assert_eq!(by_name.query_one(&conn, (1, "b"))?, "1b1");
    assert_eq!(by_name.query_one(&conn, &Pair { a: 1, b: "b" })?, "1b1");
    assert_eq!(by_name.query_one(&conn, named_params! { "b": "b", "a": 1 })?, "1b1");
    let dollars: StatementKey<NamedParams<2>, String> = people!("SELECT $1 || $2");
    assert_eq!(dollars.query_one(&conn, ("a", "b"))?, "ab");
    let mixed: StatementKey<AnyParams<2>, String> = people!("SELECT ? || :b");
    assert_eq!(mixed.query_one(&conn, ("a", "b"))?, "ab");

    // A list is one value, and `list` a table that each connection has.
    let in_list = people!("SELECT value FROM list(?) WHERE value > ?" as i64);
    assert_eq!(in_list.query_all(&conn, (array(&[1, 2, 3]), 1))?, [2, 3]);

    // Beyond the longest tuple.
    let many: StatementKey<AnyParams<17>, i64> = people!("SELECT max(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    assert_eq!(many.query_one(&conn, params![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17])?, 17);
    assert_eq!(many.query_one(&conn, [3; 17])?, 3);

    // A struct without the name.
    let other = people!("SELECT :a || :c" as String).query_one(&conn, &Pair { a: 1, b: "b" }).unwrap_err();
    assert!(matches!(other.kind(), ErrorKind::ParameterUnset { index: 2, .. }), "{other}");
    Ok(())
}

#[test]
fn names_of_columns_choose_types() -> Result<()> {
    let conn = connection();
    add(&conn, "Ada");
    let row = people!(
        r#"SELECT id AS "id: u8", weight AS "weight?", born AS "born?: String", type AS "kind!", count(*) AS "n!: u16",
                  max(id) AS "highest: _", active AS "active: Option<u8>", weight AS "other: f32"
           FROM people"#
    )
    .query_one(&conn, ())?;
    // An aggregate without GROUP BY.
    let (id, weight, born): (Option<u8>, Option<f64>, Option<String>) = (row.id, row.weight, row.born);
    let (kind, n, active, other): (String, u16, Option<u8>, Option<f32>) = (row.kind, row.n, row.active, row.other);
    let highest: i64 = row.highest;
    assert_eq!((id, weight, born, &*kind, n, highest), (Some(1), None, None, "a", 1, 1));
    assert_eq!((active, other), (Some(1), None));

    let exists: StatementKey<(), bool> = people!(r#"SELECT EXISTS(SELECT 1 FROM people) AS "exists!: bool""#);
    assert!(exists.query_one(&conn, ())?);
    // A name that only looks like one of these.
    let is_true: bool = people!("SELECT id IS NOT NULL AND 1!=2 FROM people").query_one(&conn, ())?;
    assert!(is_true);
    Ok(())
}

#[test]
fn rows_as_types_of_the_program() -> Result<()> {
    #[derive(Debug, FromRow, PartialEq)]
    struct Person {
        id: u32,
        #[finalite(rename = "full name")]
        name: String,
    }

    let conn = connection();
    let id = add(&conn, "Ada");
    let person = people!(r#"SELECT id, "full name" FROM people"# as Person).query_one(&conn, ())?;
    assert_eq!(person, Person { id: 1, name: "Ada".into() });
    let pairs = people!("SELECT id, type FROM people" as (i64, String)).query_all(&conn, ())?;
    assert_eq!(pairs, [(id, "a".into())]);
    Ok(())
}

/// The comparison of columns and fields stays out of the way where it cannot be made.
#[test]
fn rows_as_types_that_are_read_in_other_ways() -> Result<()> {
    #[derive(FromRow)]
    struct Line<'row> {
        id: i64,
        r#type: &'row str,
    }

    #[derive(FromRow)]
    struct Parts<T> {
        #[finalite(flatten)]
        one: T,
        #[finalite(default)]
        weight: f64,
    }

    #[derive(FromRow)]
    #[finalite(ignore_extra)]
    struct Kind {
        #[finalite(rename = "TYPE")]
        kind: String,
        #[finalite(default)]
        nowhere: u8,
    }

    impl Kind {
        fn all(conn: &Connection) -> Result<Vec<Self>> {
            people!("SELECT id, type FROM people" as Self).query_all(conn, ())
        }
    }

    struct ByHand(i64);

    impl FromRow<'_> for ByHand {
        fn from_row(row: finalite::Row<'_>) -> Result<Self> {
            row.get("id").map(Self)
        }
    }

    fn all<T: for<'row> FromRow<'row>>(conn: &Connection) -> Result<Vec<T>> {
        people!("SELECT id, type FROM people" as T).query_all(conn, ())
    }

    fn borrowed<'a>(_: &'a str) -> StatementKey<(), Line<'a>> {
        people!("SELECT id, type FROM people" as Line<'a>)
    }

    let conn = connection();
    add(&conn, "Ada");
    let kind = Kind::all(&conn)?.remove(0);
    assert_eq!((&*kind.kind, kind.nowhere), ("a", 0));
    assert_eq!(people!("SELECT id, type FROM people" as ByHand).query_one(&conn, ())?.0, 1);
    assert_eq!(all::<(u8, String)>(&conn)?, [(1, "a".into())]);
    let parts = people!("SELECT id, type FROM people" as Parts<Kind>).query_one(&conn, ())?;
    assert_eq!((&*parts.one.kind, parts.weight), ("a", 0.0));
    let mut statement = conn.statement(borrowed(""))?;
    let mut rows = statement.query(())?;
    let line = Line::from_row(rows.next()?.unwrap())?;
    assert_eq!((line.id, line.r#type), (1, "a"));
    Ok(())
}

/// No field is read from another column than the one that was checked.
#[test]
fn a_schema_that_has_changed_is_a_typed_error() -> Result<()> {
    #[derive(FromRow)]
    #[finalite(ignore_extra)]
    struct Whole {
        #[expect(dead_code, reason = "it is never read")]
        r#type: String,
    }

    let all = people!(r#"SELECT * FROM people WHERE "full name" <> ''"# as Whole);
    let two = people!("SELECT id, type, weight FROM people");

    let conn = connection();
    add(&conn, "Ada");
    assert_eq!(two.query_one(&conn, ())?.r#type, "a");
    conn.execute_batch("ALTER TABLE people RENAME COLUMN type TO kind")?;
    let error = two.query_one(&conn, ()).unwrap_err();
    assert!(error.to_string().starts_with("no such column: type"), "{error}");
    let error = all.query_one(&conn, ()).map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoSuch { .. }), "{error}");

    conn.execute_batch(
        "DROP TABLE people; CREATE TABLE people(id INTEGER PRIMARY KEY, type TEXT, weight REAL);
         INSERT INTO people VALUES (1, NULL, 1)",
    )?;
    let error = two.query_one(&conn, ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { column: 1, .. }), "{error}");
    conn.execute_batch("DROP TABLE people")?;
    assert!(two.query_one(&conn, ()).unwrap_err().to_string().starts_with("no such table: people"));
    Ok(())
}

/// `SELECT *` when columns are exchanged: the number and the types are the same.
#[test]
fn a_star_reads_columns_by_name() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(
        "CREATE TABLE users(name TEXT NOT NULL, id INTEGER PRIMARY KEY); INSERT INTO users VALUES ('Ada', 1)",
    )?;
    let row = sql!(schema = "tests/migrations", "SELECT * FROM users").query_one(&conn, ())?;
    assert_eq!((row.id, &*row.name), (1, "Ada"));
    conn.execute_batch("ALTER TABLE users RENAME COLUMN name TO other; ALTER TABLE users ADD COLUMN more")?;
    let error = sql!(schema = "tests/migrations", "SELECT * FROM users").query_one(&conn, ()).unwrap_err();
    assert!(error.to_string().starts_with("no such column: name"), "{error}");
    Ok(())
}

#[test]
fn a_folder_of_migrations_is_a_schema() -> Result<()> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(include_str!("migrations/0001_users.sql"))?;
    conn.execute_batch(include_str!("migrations/0002_names.sql"))?;
    let id = sql!(schema = "tests/migrations", "INSERT INTO users(name) VALUES (?) RETURNING id")
        .query_one(&conn, ("Ada",))?;
    let name = sql!(schema = "tests/migrations", "SELECT name FROM users WHERE id = ?").query_one(&conn, (id,))?;
    assert_eq!(name, "Ada");
    Ok(())
}

#[test]
fn with_a_pool() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::builder(dir.path().join("app.db")).readers(2).build()?;
    pool.write(|tx| tx.execute_batch(include_str!("schema.sql")))?;
    let add = people!(r#"INSERT INTO people("full name", type) VALUES (?, ?) RETURNING id"#);
    let id = pool.write(|tx| add.query_one(tx, ("Ada", "a")))?;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let conn = pool.reader().unwrap();
                let row = people!("SELECT id, type FROM people WHERE id = ?").query_one(&conn, (id,)).unwrap();
                assert_eq!((row.id, &*row.r#type), (id, "a"));
            });
        }
    });
    drop(pool.close());
    Ok(())
}

/// Statements in use twice leave nothing behind; the rows that are forgotten are found.
#[test]
fn nothing_is_left_behind() -> Result<()> {
    for forgets in [false, true] {
        let conn = connection();
        add(&conn, "Ada");
        let check = LeakCheck::for_connection(&conn);
        let ids = people!("SELECT id, type FROM people WHERE id < ?");
        for _ in 0..3 {
            let mut statement = conn.statement(ids)?;
            let mut rows = statement.query((10,))?;
            assert!(rows.next()?.is_some());
            // The statement is in use.
            assert_eq!(ids.query_all(&conn, (10,))?.len(), 1);
            if forgets {
                std::mem::forget(rows);
            } else {
                drop(rows);
            }
            drop(statement);
            assert_eq!(ids.query_one(&conn, (10,))?.id, 1);
        }
        conn.close()?;
        let report = check.finish();
        assert_eq!(report.is_clean(), !forgets, "{report}");
        assert!(report.open().is_empty(), "{report}");
    }
    Ok(())
}

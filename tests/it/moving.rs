//! Calls as programs on rusqlite write them: each compiles and does what it did there, or what its doc says instead.
#![expect(clippy::needless_borrows_for_generic_args, clippy::redundant_closure, reason = "as programs write them")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use finalite::{
    Connection, Error, ErrorKind, OptionalExtension, Param, Params, Result, Row, Statement, ToSql, Value, named_params,
    named_params_from_iter, params, params_from_iter,
};

/// A program's own error.
#[derive(Debug, PartialEq)]
enum AppError {
    Database(Error),
    NotANumber,
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

#[derive(Debug, PartialEq)]
struct User {
    id: i64,
    name: String,
    email: Option<String>,
}

impl User {
    fn from_row(row: Row<'_>) -> Result<Self> {
        Ok(Self { id: row.get("id")?, name: row.get("name")?, email: row.get("email")? })
    }
}

fn users() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute("CREATE TABLE user(id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT)", []).unwrap();
    for user in [ada(), grace()] {
        let User { id, name, email } = &user;
        assert_eq!(conn.execute("INSERT INTO user VALUES (?1, ?2, ?3)", params![id, name, email]).unwrap(), 1);
    }
    conn
}

fn ada() -> User {
    User { id: 1, name: "Ada".into(), email: None }
}

fn grace() -> User {
    User { id: 2, name: "Grace".into(), email: Some("grace@example.org".into()) }
}

mod parameters {
    use super::*;

    #[test]
    fn none() {
        let conn = users();
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM user", []).unwrap(), 2);
        let mut statement = conn.prepare("SELECT name FROM user").unwrap();
        assert_eq!(statement.query([]).unwrap().next().unwrap().unwrap().get::<&str>(0).unwrap(), "Ada");
        assert_eq!(statement.query_all::<String>([]).unwrap().len(), 2);
        let error = conn.execute("DELETE FROM user WHERE id = ?", []).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterCount { expected: 1, given: 0, .. }), "{error}");
    }

    #[test]
    fn the_macro_borrows_fields_and_takes_numbers() {
        let conn = users();
        let user = &grace();
        let mut statement = conn.prepare("SELECT id FROM user WHERE id = ? AND name = ? AND email IS ? AND ?").unwrap();
        // Rows that outlive the call: `user.id.min(9)` and `true` are temporaries.
        let mut rows = statement.query(params![user.id.min(9), user.name, user.email, true]).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 2);
    }

    #[test]
    fn the_macro_in_generic_code() {
        fn by_reference<T: ToSql>(conn: &Connection, value: &T) -> Result<Value> {
            conn.query_one("SELECT ?", params![value])
        }
        fn by_value<T: ToSql>(conn: &Connection, value: T) -> Result<Value> {
            conn.query_one("SELECT ?", params![value])
        }
        fn unsized_too<T: ToSql + ?Sized>(conn: &Connection, value: &T) -> Result<Value> {
            conn.query_one("SELECT ?", params![*value])
        }
        let conn = users();
        assert_eq!(by_reference(&conn, &7).unwrap(), Value::Integer(7));
        assert_eq!(by_value(&conn, String::from("x")).unwrap(), Value::Text("x".into()));
        assert_eq!(unsized_too(&conn, "x").unwrap(), Value::Text("x".into()));
        assert_eq!(unsized_too::<dyn ToSql>(&conn, &1).unwrap(), Value::Integer(1));
    }

    #[test]
    fn rows_of_borrowed_text_can_be_returned() {
        fn named<'a>(statement: &'a mut Statement<'_>, name: &'a str) -> Result<finalite::Rows<'a>> {
            statement.query(params![name])
        }
        let conn = users();
        let mut statement = conn.prepare("SELECT id FROM user WHERE name = ?").unwrap();
        assert!(named(&mut statement, "Ada").unwrap().next().unwrap().is_some());
    }

    /// The macro of more values than there are tuples or arrays for.
    #[test]
    fn forty_values() {
        let conn = users();
        let marks = vec!["?"; 40].join(" + ");
        let n = 1;
        let sum: i64 = conn
            .query_one(
                &format!("SELECT {marks}"),
                params![
                    n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
                    n, n, n, n, n, n, n
                ],
            )
            .unwrap();
        assert_eq!(sum, 40);
    }

    #[test]
    fn names() {
        let conn = users();
        let find = "SELECT id FROM user WHERE name = :name AND id = :id";
        let (id, name) = (1, String::from("Ada"));
        let key = String::from(":name");
        let check = |found: Result<i64>| assert_eq!(found.unwrap(), 1);
        check(conn.query_one(find, named_params! {":name": name, ":id": id}));
        check(conn.query_one(find, &[(":id", &id as &dyn ToSql), (":name", &name)]));
        check(conn.query_one(find, [(":id", &id as &dyn ToSql), (&*key, &name)]));
        let pairs: Vec<(String, Box<dyn ToSql>)> = vec![(":id".into(), Box::new(id)), (key.clone(), Box::new("Ada"))];
        check(conn.query_one(find, &pairs));
        check(conn.query_one(find, pairs.as_slice()));
        check(conn.query_one(find, named_params_from_iter(pairs)));
        let by_name = "SELECT id FROM user WHERE name = :name";
        check(conn.query_one(by_name, &[(":name", &name)]));
        check(conn.query_one(by_name, [(":name", "Ada")]));
        check(conn.query_one(by_name, &[(&key, &name)]));
    }

    #[test]
    fn values_known_at_run_time() {
        let conn = users();
        let find = "SELECT count(*) FROM user WHERE id = ? AND name = ?";
        let check = |found: Result<i64>| assert_eq!(found.unwrap(), 1);
        let boxed: Vec<Box<dyn ToSql>> = vec![Box::new(1), Box::new(String::from("Ada"))];
        check(conn.query_one(find, boxed.as_slice()));
        check(conn.query_one(find, params_from_iter(boxed.iter())));
        check(conn.query_one(find, params_from_iter(boxed)));
        let lent: [&dyn ToSql; 2] = [&1, &"Ada"];
        check(conn.query_one(find, &lent[..]));
        check(conn.query_one(find, lent));
        check(conn.query_one(find, params![Param::integer(1), Param::text("Ada")]));
        let shared: (Rc<str>, Arc<i64>) = ("Ada".into(), Arc::new(1));
        check(conn.query_one(find, (&shared.1, &shared.0)));
        check(conn.query_one(find, (shared.1, shared.0)));
    }

    /// A helper that hands parameters on.
    #[test]
    fn a_function_over_parameters() {
        fn first<'p, P: Params<'p>>(conn: &Connection, sql: &str, params: P) -> Result<i64> {
            let mut statement = conn.prepare(sql)?;
            let mut rows = statement.query(params)?;
            rows.next()?.ok_or_else(Error::no_rows)?.get(0)
        }
        let conn = users();
        let name = String::from("Grace");
        assert_eq!(first(&conn, "SELECT id FROM user WHERE name = ?", (&name,)).unwrap(), 2);
        assert_eq!(first(&conn, "SELECT 7", []).unwrap(), 7);
        assert!(first(&conn, "SELECT id FROM user WHERE name = ?", params![name + "!"]).unwrap_err().is_no_rows());
    }

    /// `ToSql` of a type that wraps another.
    #[test]
    fn made_from_what_binds() {
        let conn = users();
        let class = |param: Param<'_>| conn.query_one::<String>("SELECT typeof(?)", [param]).unwrap();
        let text = String::from("x");
        assert_eq!(
            [Param::from(1_u8), Param::from(-1_i64), Param::from(true), 7_usize.into()].map(class),
            ["integer"; 4]
        );
        assert_eq!([Param::from(0.5_f32), 0.5_f64.into()].map(class), ["real"; 2]);
        assert_eq!([Param::from("x"), text.clone().into(), Param::from(Some(&*text))].map(class), ["text"; 3]);
        assert_eq!([Param::from(&b"x"[..]), vec![0_u8].into(), Value::Blob([1].into()).into()].map(class), ["blob"; 3]);
        assert_eq!([Param::from(None::<i64>), Value::Null.into()].map(class), ["null"; 2]);
        let error = conn.execute("SELECT ?", [Param::from(u64::MAX)]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterConversion { .. }), "{error}");
    }

    /// What `ToSql` alone says is bound by reference and by value, text of its own included.
    #[test]
    fn one_impl_is_enough() {
        struct Name(String);
        impl ToSql for Name {
            fn to_sql(&self) -> Param<'_> {
                Param::text(&self.0)
            }
        }
        let conn = users();
        let find = "SELECT id FROM user WHERE name = ?";
        let name = Name("Ada".into());
        for found in [
            conn.query_one::<i64>(find, (&name,)),
            conn.query_one(find, [&name]),
            conn.query_one(find, params![name]),
            conn.query_one(find, (Some(&name),)),
            conn.query_one(find, (Box::new(Name("Ada".into())),)),
            conn.query_one(find, (Some(Name("Ada".into())),)),
        ] {
            assert_eq!(found.unwrap(), 1);
        }
        // By value the text is gone when the rows are read.
        let mut statement = conn.prepare(find).unwrap();
        let mut rows = statement.query((name,)).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 1);
    }

    #[test]
    fn a_value_that_cannot_be_bound_says_so_however_it_is_given() {
        let conn = users();
        let too_big = Param::error(finalite::ConversionError::out_of_range("Age"));
        for result in [
            conn.execute("SELECT ?", params![too_big]),
            conn.execute("SELECT ?", [&too_big]),
            conn.execute("SELECT ?", (too_big.into_owned(),)),
        ] {
            let error = result.unwrap_err();
            assert!(error.to_string().starts_with("parameter 1: out of range for Age"), "{error}");
        }
    }
}

mod rows {
    use super::*;

    #[test]
    fn query_map() {
        let conn = users();
        let mut statement = conn.prepare("SELECT * FROM user ORDER BY id").unwrap();
        let all: Vec<User> = statement.query_map([], User::from_row).unwrap().map(Result::unwrap).collect();
        assert_eq!(all, [ada(), grace()]);
        let names = statement.query_map([], |row| row.get(1)).unwrap().collect::<Result<Vec<String>>>();
        assert_eq!(names.unwrap(), ["Ada", "Grace"]);
        // Of the connection, it owns its statement.
        let all = conn.query_map("SELECT * FROM user WHERE id > ?", [1], |row| User::from_row(row)).unwrap();
        assert_eq!(all.collect::<Result<Vec<_>>>().unwrap(), [grace()]);
    }

    #[test]
    fn query_and_then() {
        let conn = users();
        let read = |row: Row<'_>| match row.get::<String>(0)?.as_str() {
            "Ada" => Ok(1815),
            _ => Err(AppError::NotANumber),
        };
        let mut statement = conn.prepare("SELECT name FROM user ORDER BY id").unwrap();
        let born: Vec<_> = statement.query_and_then([], read).unwrap().collect();
        assert!(matches!(born[..], [Ok(1815), Err(AppError::NotANumber)]), "{born:?}");
        let born: Vec<_> = conn.query_and_then("SELECT name FROM user ORDER BY id", [], read).unwrap().collect();
        assert!(matches!(born[..], [Ok(1815), Err(AppError::NotANumber)]), "{born:?}");
        let broken: Vec<_> = conn.query_and_then("SELECT id FROM user", [], read).unwrap().collect();
        assert!(matches!(broken[..], [Err(AppError::Database(_)), Err(AppError::Database(_))]), "{broken:?}");
    }

    /// SQLite's error ends it, in the closure's error type.
    #[test]
    fn an_error_of_sqlites_ends_the_iterator() {
        let conn = users();
        let sql = "SELECT abs(CASE id WHEN 2 THEN -9223372036854775808 ELSE id END) FROM user ORDER BY id";
        let read = |row: Row<'_>| -> Result<i64, AppError> { Ok(row.get(0)?) };
        let all: Vec<_> = conn.query_and_then(sql, [], read).unwrap().collect();
        assert!(matches!(&all[..], [Ok(1), Err(AppError::Database(error))] if error.code_name().is_some()), "{all:?}");
    }

    #[test]
    fn an_iterator_that_owns_its_statement_puts_it_back() {
        let conn = users();
        let sql = "SELECT id FROM user";
        let hits = |conn: &Connection| (conn.statement_cache_stats().statements, conn.statement_cache_stats().hits);
        let ids = conn.query_as::<i64>(sql, []).unwrap();
        let before = hits(&conn);
        assert_eq!(ids.collect::<Result<Vec<_>>>().unwrap(), [1, 2]);
        assert_eq!(hits(&conn).0, before.0 + 1);
        // Left half-way.
        let mut ids = conn.query_as::<i64>(sql, []).unwrap();
        assert_eq!(ids.next().unwrap().unwrap(), 1);
        drop(ids);
        conn.query_as::<i64>(sql, []).unwrap().finish().unwrap();
        assert_eq!(hits(&conn), (before.0 + 1, before.1 + 2));
        conn.execute("DELETE FROM user", []).unwrap();
    }

    #[test]
    fn query_row_takes_the_first() {
        let conn = users();
        let name = conn.query_row("SELECT name FROM user ORDER BY id", [], |row| row.get::<String>(0)).unwrap();
        assert_eq!(name, "Ada");
        let mut statement = conn.prepare("SELECT name FROM user ORDER BY id DESC").unwrap();
        assert_eq!(statement.query_row([], |row| row.get::<String>(0)).unwrap(), "Grace");
        // The strict one.
        let error = conn.query_one::<String>("SELECT name FROM user", []).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::RowCount { found: 2, .. }), "{error}");
    }

    #[test]
    fn query_row_runs_a_statement_that_writes_to_its_end() {
        let conn = users();
        let seen = Cell::new(0);
        let id: i64 = conn
            .query_row("INSERT INTO user(name) VALUES ('Edsger'), ('Barbara') RETURNING id", [], |row| {
                seen.set(seen.get() + 1);
                row.get(0)
            })
            .unwrap();
        assert_eq!((id, seen.get()), (3, 1));
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM user", []).unwrap(), 4);
        assert!(conn.exists("DELETE FROM user WHERE id > 2 RETURNING id", []).unwrap());
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM user", []).unwrap(), 2);
        // What fails only at the end is not lost.
        conn.execute_batch("CREATE TABLE mail(user REFERENCES user DEFERRABLE INITIALLY DEFERRED)").unwrap();
        for result in [
            conn.query_row("INSERT INTO mail VALUES (9) RETURNING user", [], |row| row.get::<i64>(0)).map(drop),
            conn.exists("INSERT INTO mail VALUES (9) RETURNING user", []).map(drop),
        ] {
            assert!(result.unwrap_err().is_constraint());
        }
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM mail", []).unwrap(), 0);
    }

    /// Whoever asks for rows of a statement that has none gets an error, and nothing is stored.
    #[test]
    fn an_insert_without_returning_is_not_run() {
        let conn = users();
        let insert = "INSERT INTO user(name) VALUES ('x')";
        let read = |row: Row<'_>| row.get::<i64>(0);
        let mut statement = conn.prepare(insert).unwrap();
        let refused = [
            conn.query_row(insert, [], read).map(drop),
            conn.query_row_and_then(insert, [], read).map(drop),
            conn.exists(insert, []).map(drop),
            conn.query_as::<i64>(insert, []).map(drop),
            conn.query_map(insert, [], read).map(drop),
            conn.query_and_then(insert, [], read).map(drop),
            statement.query_map([], read).map(drop),
            statement.exists([]).map(drop),
            statement.query_row([], read).map(drop),
        ];
        for error in refused.map(Result::unwrap_err) {
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
            assert!(error.to_string().contains("use `execute`"), "{error}");
        }
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM user", []).unwrap(), 2);
    }

    #[test]
    fn query_row_and_then() {
        let conn = users();
        let read =
            |row: Row<'_>| -> Result<i64, AppError> { row.get::<String>(0)?.parse().map_err(|_| AppError::NotANumber) };
        let parsed = conn.query_row_and_then("SELECT '12'", [], read);
        assert!(matches!(parsed, Ok(12)), "{parsed:?}");
        let parsed = conn.prepare("SELECT name FROM user").unwrap().query_row_and_then([], read);
        assert!(matches!(parsed, Err(AppError::NotANumber)), "{parsed:?}");
        let none = conn.query_row_and_then("SELECT name FROM user WHERE id = 9", [], read);
        assert!(matches!(&none, Err(AppError::Database(error)) if error.is_no_rows()), "{none:?}");
    }

    #[test]
    fn no_row() {
        let conn = users();
        let name = |id: i64| conn.query_row("SELECT name FROM user WHERE id = ?", [id], |row| row.get::<String>(0));
        assert_eq!(name(1).optional().unwrap().as_deref(), Some("Ada"));
        assert_eq!(name(9).optional().unwrap(), None);
        assert!(name(9).unwrap_err().is_no_rows());
        assert!(conn.query_one::<i64>("SELECT 1 WHERE 0", []).unwrap_err().is_no_rows());
        let error = conn.query_row("SELECT nam FROM user", [], |row| row.get::<String>(0)).optional().unwrap_err();
        assert!(error.to_string().starts_with("no such column: nam"));
        let several = conn.query_one::<i64>("SELECT id FROM user", []).unwrap_err();
        assert!(!several.is_no_rows(), "{several}");
        assert!(Error::no_rows().is_no_rows());
        assert!(!conn.exists("SELECT 1 FROM user WHERE id = ?", [9]).unwrap());
        assert!(conn.exists("SELECT 1 FROM user WHERE id = ?", [1]).unwrap());
    }
}

mod statements {
    use super::*;

    /// One type for both: a function over statements takes either.
    #[test]
    fn cached_and_not() {
        fn count(statement: &mut Statement<'_>) -> Result<i64> {
            statement.query_one([])
        }
        let conn = users();
        let sql = "SELECT count(*) FROM user";
        let before = conn.statement_cache_stats();
        assert_eq!(count(&mut conn.prepare(sql).unwrap()).unwrap(), 2);
        assert_eq!(conn.statement_cache_stats(), before);
        assert_eq!(count(&mut conn.prepare_cached(sql).unwrap()).unwrap(), 2);
        assert_eq!(conn.statement_cache_stats().statements, before.statements + 1);
        assert_eq!(count(&mut conn.prepare_cached(sql).unwrap()).unwrap(), 2);
        assert_eq!(conn.statement_cache_stats().hits, before.hits + 1);
    }

    /// Statements may be swapped: each takes its connection and its place in the cache along.
    #[test]
    fn swapped_statements_go_back_to_their_own_caches() {
        let (one, two) = (users(), users());
        let statements = |conn: &Connection| conn.statement_cache_stats().statements;
        let before = (statements(&one), statements(&two));
        let mut a = one.prepare_cached("SELECT 1").unwrap();
        let mut b = two.prepare_cached("SELECT 2").unwrap();
        let mut c = two.prepare("SELECT 3").unwrap();
        std::mem::swap(&mut a, &mut b);
        std::mem::swap(&mut b, &mut c);
        assert_eq!((a.sql(), b.sql(), c.sql()), ("SELECT 2", "SELECT 3", "SELECT 1"));
        assert_eq!(a.query_one::<i64>([]).unwrap(), 2);
        drop((a, b, c));
        assert_eq!((statements(&one), statements(&two)), (before.0 + 1, before.1 + 1));
        assert_eq!(one.query_one::<i64>("SELECT 1", []).unwrap(), 1);
        assert_eq!(two.query_one::<i64>("SELECT 2", []).unwrap(), 2);
        assert_eq!((one.statement_cache_stats().hits, two.statement_cache_stats().hits), (2, 2));
    }

    #[test]
    fn sets_of_parameters_that_may_fail() {
        let conn = users();
        let mut insert = conn.prepare("INSERT INTO user(name) VALUES (?)").unwrap();
        let lines = |lines: &'static [&'static str]| {
            lines.iter().map(|line| if line.is_empty() { Err(AppError::NotANumber) } else { Ok((*line,)) })
        };
        assert_eq!(insert.try_execute_many(lines(&["a", "b"])).unwrap(), 2);
        assert!(matches!(insert.try_execute_many(lines(&["c", "", "d"])), Err(AppError::NotANumber)));
        assert!(matches!(
            insert.try_execute_many([Ok::<_, AppError>(("e", "surplus"))]),
            Err(AppError::Database(error)) if matches!(error.kind(), ErrorKind::ParameterCount { .. })
        ));
        drop(insert);
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM user", []).unwrap(), 5);
    }
}

mod values {
    use super::*;

    #[test]
    fn from_what_std_has() {
        let conn = users();
        let values: Vec<(Value, &str)> = vec![
            (true.into(), "integer"),
            (7_u8.into(), "integer"),
            ((-7_i64).into(), "integer"),
            (u32::MAX.into(), "integer"),
            (0.5_f32.into(), "real"),
            (1.0.into(), "real"),
            ("text".into(), "text"),
            (String::from("text").into(), "text"),
            (Box::<str>::from("text").into(), "text"),
            (std::borrow::Cow::from("text").into(), "text"),
            ((&b"bytes"[..]).into(), "blob"),
            (vec![1_u8].into(), "blob"),
            ([1_u8, 2].into(), "blob"),
            (Some("text").into(), "text"),
            (None::<i64>.into(), "null"),
        ];
        for (value, class) in values {
            assert_eq!(conn.query_one::<String>("SELECT typeof(?)", [&value]).unwrap(), class);
            assert_eq!(value.data_type().name().to_lowercase(), class);
        }
    }

    #[test]
    fn shown_as_cells() {
        let shown = |value: Value| value.to_string();
        assert_eq!(shown(Value::Null), "NULL");
        assert_eq!(shown((-7).into()), "-7");
        assert_eq!(
            (shown(1.0.into()), shown(0.1.into()), shown(1e300.into())),
            ("1.0".into(), "0.1".into(), "1e300".into())
        );
        assert_eq!(shown("it's".into()), "it's");
        assert_eq!((shown([0_u8, 255].into()), shown(Vec::new().into())), ("X'00FF'".into(), "X''".into()));
        assert_eq!(
            format!("[{:>4}|{:<4}|{:4}|{:^5}]", Value::Null, Value::from("a"), Value::from(1), Value::from(0.5)),
            "[NULL|a   |   1| 0.5 ]"
        );
    }
}

mod errors {
    use super::*;

    fn failure(conn: &Connection, sql: &str) -> AppError {
        conn.execute(sql, []).unwrap_err().into()
    }

    /// What assertions of programs compare.
    #[test]
    fn are_equal_if_they_say_the_same() {
        let conn = users();
        assert_eq!(failure(&conn, "SELECT nam FROM user"), failure(&conn, "SELECT nam FROM user"));
        assert_ne!(failure(&conn, "SELECT nam FROM user"), failure(&conn, "SELECT nam  FROM user"));
        assert_ne!(failure(&conn, "SELECT nam FROM user"), failure(&conn, "SELECT mail FROM user"));
        assert_ne!(failure(&conn, "SELECT nam FROM user"), AppError::NotANumber);
        let duplicate = "INSERT INTO user VALUES (1, 'Ada', NULL)";
        assert_eq!(failure(&conn, duplicate), failure(&conn, duplicate));
        let missing = conn.query_one::<i64>("SELECT id FROM user WHERE id = 9", []).unwrap_err();
        assert_ne!(missing, Error::no_rows(), "the former knows its SQL");
        assert_eq!(missing.kind().to_string(), Error::no_rows().kind().to_string());
    }

    #[test]
    fn that_wrap_another_are_equal_to_none() {
        let error = Error::external("the program's");
        assert!(error != error && error != Error::external("the program's"));
    }
}

/// The table of behaviours in docs/from_rusqlite.md, where no other test is nearer.
mod behaviour {
    use finalite::OpenOptions;

    use super::*;

    #[test]
    fn opening() {
        let error = Connection::open("file:moving?mode=memory").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{error}");
        OpenOptions::new().uri(true).open("file:moving?mode=memory").unwrap();
        assert!(Connection::open_in_memory().unwrap().pragma::<bool>("foreign_keys").unwrap());
        let former = OpenOptions::new().foreign_keys(false).open_in_memory().unwrap();
        assert!(!former.pragma::<bool>("foreign_keys").unwrap());
        let creates = |options: OpenOptions| options.creates_file();
        assert!(creates(OpenOptions::new()) && !creates(OpenOptions::new().create(false)));
        assert!(!creates(OpenOptions::new().read_only(true)) && !creates(OpenOptions::new().immutable(true)));
    }

    #[test]
    fn a_pragma_without_effect_is_an_error_and_as_sql_none() {
        let conn = users();
        assert!(conn.set_pragma("journal_mode", "wal").is_err());
        conn.execute_batch("PRAGMA journal_mode = wal").unwrap();
        let tx = conn.unchecked_transaction().unwrap();
        assert!(tx.set_pragma("foreign_keys", "OFF").is_err());
        tx.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        assert!(tx.pragma::<bool>("foreign_keys").unwrap());
        let error = conn.unchecked_transaction().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    }

    #[test]
    fn a_name_left_out_is_an_error_unless_it_is_asked_for() {
        let conn = users();
        let insert = "INSERT INTO user(name, email) VALUES (:name, :email)";
        let name = [(":name", &"Edsger" as &dyn ToSql)];
        let error = conn.execute(insert, &name).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ParameterUnset { .. }), "{error}");
        conn.execute(insert, named_params_from_iter(name).missing_as_null()).unwrap();
        assert!(conn.exists("SELECT 1 FROM user WHERE name = 'Edsger' AND email IS NULL", []).unwrap());
    }

    #[test]
    fn values_are_exact() {
        let conn = users();
        assert!(conn.query_one::<bool>("SELECT 2", []).is_err());
        assert!(conn.query_one::<f64>("SELECT 9007199254740993", []).is_err());
        assert_eq!(conn.query_one::<f64>("SELECT 9007199254740992", []).unwrap(), 9_007_199_254_740_992.0);
        assert_eq!(conn.query_one::<Vec<u8>>("SELECT 'text'", []).unwrap(), b"text");
        assert!(conn.execute("SELECT ?", [f64::NAN]).is_err());
        assert!(conn.query_one::<(i64,)>("SELECT 1, 2", []).is_err());
        assert_eq!(conn.query_row("SELECT 1, 2", [], |row| row.get::<i64>(0)).unwrap(), 1);
    }

    #[test]
    fn a_query_is_executed_and_empty_sql_is_not() {
        let conn = users();
        assert_eq!(conn.execute("SELECT * FROM user", []).unwrap(), 0);
        for sql in ["", "-- nothing", "DELETE FROM user; DELETE FROM user"] {
            assert!(conn.execute(sql, []).is_err(), "{sql}");
        }
        assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM user", []).unwrap(), 2);
        conn.execute_batch("").unwrap();
    }
}

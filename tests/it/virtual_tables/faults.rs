//! Each method fails: by an error, by an error with a code, by a panic.

use finalite::extend::virtual_table::TableKind;

use super::*;

pub(super) type Action = fn(&Connection) -> finalite::Result<()>;

/// Makes SQLite forget the schema, so that the table is connected again.
fn reset(conn: &Connection) {
    conn.execute_batch("PRAGMA writable_schema = RESET").unwrap();
}

fn read(conn: &Connection) -> finalite::Result<()> {
    conn.query_all::<(i64, i64, String)>("SELECT rowid, * FROM t", ()).map(drop)
}

fn run(sql: &'static str, conn: &Connection) -> finalite::Result<()> {
    conn.execute_batch(sql)
}

/// The methods whose error is that of the statement, and statements that call them.
pub(super) const METHODS: &[(&str, Action)] = &[
    ("create", |conn| run("CREATE VIRTUAL TABLE t USING probe", conn)),
    ("connect", |conn| {
        reset(conn);
        read(conn)
    }),
    ("best_index", read),
    ("open", read),
    ("filter", read),
    ("next", read),
    ("column", read),
    ("rowid", read),
    ("insert", |conn| run("INSERT INTO t VALUES (40, 'four')", conn)),
    ("update", |conn| run("UPDATE t SET a = 0", conn)),
    ("delete", |conn| run("DELETE FROM t", conn)),
    ("begin", |conn| run("INSERT INTO t VALUES (40, 'four')", conn)),
    ("sync", |conn| run("INSERT INTO t VALUES (40, 'four')", conn)),
    ("savepoint", |conn| run("BEGIN; INSERT INTO t VALUES (40, 'four'); SAVEPOINT s", conn)),
    ("release", |conn| run("BEGIN; INSERT INTO t VALUES (40, 'four'); SAVEPOINT s; RELEASE s", conn)),
    ("rollback_to", |conn| run("BEGIN; INSERT INTO t VALUES (40, 'four'); SAVEPOINT s; ROLLBACK TO s", conn)),
    ("rename", |conn| run("ALTER TABLE t RENAME TO u", conn)),
    ("destroy", |conn| run("DROP TABLE t", conn)),
];

/// Makes a method fail, runs a statement, and returns its result and the connection, which works on.
fn failing(method: &'static str, action: Action, fault: Fault) -> (Shared, Connection) {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    if method == "create" {
        conn.execute("DROP TABLE t", ()).unwrap();
    }
    shared.take_calls();
    shared.fail(method, fault);
    match fault {
        Fault::Panic => assert_eq!(panic_of(|| action(&conn)), format!("{method} panics")),
        Fault::Made(_) => assert!(action(&conn).is_err()),
        Fault::Error => {
            let error = action(&conn).unwrap_err();
            assert_is_of(&error, method, ResultCode::ERROR);
        }
        Fault::Coded(code) => {
            let error = action(&conn).unwrap_err();
            // Of planning, SQLite reports no other code.
            assert_is_of(&error, method, if method == "best_index" { ResultCode::ERROR } else { code });
        }
    }
    shared.mend();
    (shared, conn)
}

#[test]
fn the_error_of_each_method_is_that_of_the_statement() {
    let codes = [ResultCode::READONLY, ResultCode::CONSTRAINT, ResultCode::FULL, ResultCode::BUSY];
    let faults = codes.into_iter().map(Fault::Coded).chain([Fault::Error, Fault::Panic]);
    for fault in faults {
        for &(method, action) in METHODS {
            let (shared, conn) = failing(method, action, fault);
            assert!(shared.take_calls().contains(&method), "{method}");
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK").unwrap();
            }
            assert_eq!(shared.alive().1, 0, "{method}: a cursor is left");
            // The same works as soon as the method does.
            action(&conn).unwrap_or_else(|error| panic!("{method}, {fault:?}: {error:?}"));
            if !conn.is_autocommit() {
                conn.execute_batch("COMMIT").unwrap();
            }
            conn.close().unwrap();
            assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1), "{method}, {fault:?}");
        }
    }
}

#[test]
fn a_write_that_fails_is_undone() {
    for (method, action) in METHODS.iter().filter(|(method, _)| ["insert", "update", "delete", "sync"].contains(method))
    {
        let before = Shared::with_rows(3).rows();
        let (shared, conn) = failing(method, *action, Fault::Error);
        assert!(conn.is_autocommit());
        assert_eq!(shared.rows(), before, "{method}");
    }
}

#[test]
fn a_panic_of_a_method_without_a_result_is_resumed() {
    for (method, sql) in [
        ("commit", "INSERT INTO t VALUES (40, 'four')"),
        ("rollback", "BEGIN; INSERT INTO t VALUES (40, 'f'); ROLLBACK"),
    ] {
        let shared = Shared::with_rows(3);
        let conn = probe(&shared);
        shared.fail(method, Fault::Panic);
        assert_eq!(panic_of(|| conn.execute_batch(sql)), format!("{method} panics"));
        shared.mend();
        assert!(conn.is_autocommit());
        assert_eq!(shared.rows().len(), if method == "commit" { 4 } else { 3 });
        assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t"), shared.rows().len() as i64);
    }
}

#[test]
fn an_integrity_check_reports_what_it_finds() {
    struct Broken;
    impl VirtualTable for Broken {
        type Shared = ();
        type Cursor<'t> = Never;
        fn integrity(&self, check: &IntegrityCheck<'_>) -> Result<Option<String>, CallbackError> {
            let kind = if check.is_quick() { "quick" } else { "full" };
            Ok(Some(format!("{kind}: {}.{} is broken", check.database_name(), check.table_name())))
        }
        fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(a)", Self))
        }
        fn open(&self, _: &Self::Shared) -> Result<Never, CallbackError> {
            Ok(Never)
        }
    }
    let conn = open();
    conn.create_module::<Broken>("broken", ()).unwrap();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING broken").unwrap();
    assert_eq!(conn.query_all::<String>("PRAGMA integrity_check", ()).unwrap(), ["full: main.t is broken"]);
    assert_eq!(conn.query_all::<String>("PRAGMA quick_check", ()).unwrap(), ["quick: main.t is broken"]);

    let shared = Shared::with_rows(1);
    let conn = probe(&shared);
    assert_eq!(conn.query_all::<String>("PRAGMA integrity_check", ()).unwrap(), ["ok"]);
    assert!(shared.take_calls().contains(&"integrity"));
    shared.fail("integrity", Fault::Panic);
    assert_eq!(panic_of(|| conn.query_all::<String>("PRAGMA integrity_check", ())), "integrity panics");
    shared.fail("integrity", Fault::Coded(ResultCode::CORRUPT));
    let error = conn.query_all::<String>("PRAGMA integrity_check", ()).unwrap_err();
    assert_is_of(&error, "integrity", ResultCode::CORRUPT);
}

/// A cursor without rows.
pub(super) struct Never;

impl TableCursor for Never {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        Ok(false)
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        Ok(false)
    }

    fn column(&self, _: usize, _: &CellCall<'_>) -> Result<(), CallbackError> {
        Ok(())
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(1)
    }
}

// ---- declarations

#[test]
fn a_declaration_that_sqlite_refuses_is_an_error() {
    let shared = Shared::new();
    let conn = open();
    conn.create_module::<Probe>("probe", shared.clone()).unwrap();
    for (schema, part) in [
        ("", ""),
        ("SELECT 1", "syntax error"),
        ("CREATE TABLE", "incomplete input"),
        ("CREATE TABLE x(a,)", "near "),
        ("CREATE TABLE x(a) garbage", "unknown table option"),
        ("CREATE TABLE x(a\0b)", "NUL character"),
        ("CREATE TABLE x(a) WITHOUT ROWID", "PRIMARY KEY missing"),
        ("CREATE VIEW x AS SELECT 1", ""),
        ("CREATE TABLE x AS SELECT 1", "SQL logic error"),
        ("DROP TABLE sqlite_schema", "syntax error"),
    ] {
        *shared.0.schema.lock().unwrap() = schema.into();
        let error = conn.execute("CREATE VIRTUAL TABLE t USING probe", ()).unwrap_err();
        assert_is_of(&error, "create", ResultCode::ERROR);
        assert!(error.to_string().contains(part), "{schema}: {error}");
        assert_eq!(shared.alive(), (0, 0), "{schema}: a table is left");
        assert!(!conn.exists("SELECT 1 FROM sqlite_schema", ()).unwrap());
    }
    *shared.0.schema.lock().unwrap() = "CREATE TABLE x(a, b)".into();
    conn.execute("CREATE VIRTUAL TABLE t USING probe", ()).unwrap();
    assert_eq!(shared.alive(), (1, 0));
}

#[test]
fn a_declaration_with_other_columns_than_the_cursor_has() {
    // One column more reads as NULL, one less is not asked for.
    let shared = Shared::with_rows(1);
    *shared.0.schema.lock().unwrap() = "CREATE TABLE x(a, b, c, d)".into();
    let conn = probe(&shared);
    let row: (i64, String, Option<i64>, Option<i64>) = one(&conn, "SELECT * FROM t");
    assert_eq!(row, (10, "one".into(), None, None));
    let error = conn.execute("INSERT INTO t VALUES (1, 2, 3, 4)", ()).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::FunctionArgument { function, argument: 2, .. } if &**function == "t"),
        "{error:?}"
    );
    let shared = Shared::with_rows(1);
    *shared.0.schema.lock().unwrap() = "CREATE TABLE x(a)".into();
    let conn = probe(&shared);
    assert_eq!(one::<i64>(&conn, "SELECT * FROM t"), 10);
    let error = conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
    assert!(error.to_string().contains("argument 2 is missing"), "{error}");
}

#[test]
fn names_of_modules_are_checked() {
    let conn = open();
    for name in ["", "a\0b"] {
        let error = conn.create_module::<Probe>(name, Shared::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
    }
    conn.create_module::<Probe>("odd name", Shared::new()).unwrap();
    conn.execute("CREATE VIRTUAL TABLE t USING \"odd name\"", ()).unwrap();
}

// ---- values

#[test]
fn a_value_that_sqlite_cannot_represent_is_an_error() {
    struct Odd;
    struct Cell;
    impl VirtualTable for Odd {
        type Shared = ();
        type Cursor<'t> = Cell;
        const KIND: TableKind = TableKind::EponymousOnly;
        fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(nan, large, list, huge, fine)", Self))
        }
        fn open(&self, _: &Self::Shared) -> Result<Cell, CallbackError> {
            Ok(Cell)
        }
    }
    impl TableCursor for Cell {
        fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
            Ok(true)
        }
        fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
            Ok(false)
        }
        fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
            match column {
                0 => cell.set(f64::NAN),
                1 => cell.set(u64::MAX),
                2 => cell.set(finalite::array(&[1, 2])),
                3 => cell.set(finalite::ZeroBlob(u64::MAX)),
                _ => {
                    cell.set("first")?;
                    cell.set("second")
                }
            }
        }
        fn rowid(&self) -> Result<i64, CallbackError> {
            Ok(1)
        }
    }
    let conn = open();
    conn.create_module::<Odd>("t", ()).unwrap();
    for column in ["nan", "large", "list"] {
        let error = conn.query_one::<i64>(&format!("SELECT {column} FROM t"), ()).unwrap_err();
        assert_is_of(&error, "column", ResultCode::ERROR);
    }
    let error = conn.query_one::<i64>("SELECT huge FROM t", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::TOOBIG), "{error:?}");
    assert_eq!(one::<String>(&conn, "SELECT fine FROM t"), "second");
}

#[test]
fn some_codes_roll_the_transaction_back_also_of_a_statement_that_reads() {
    for (code, is_ended) in [
        (ResultCode::IOERR, true),
        (ResultCode::FULL, true),
        (ResultCode::INTERRUPT, false),
        (ResultCode::BUSY, false),
        (ResultCode::ERROR, false),
    ] {
        let shared = Shared::with_rows(3);
        let conn = probe(&shared);
        conn.execute_batch("CREATE TABLE o(a); BEGIN; INSERT INTO o VALUES (1)").unwrap();
        shared.fail("next", Fault::Coded(code));
        assert!(read(&conn).is_err());
        assert_eq!(
            (conn.is_autocommit(), one(&conn, "SELECT count(*) FROM o")),
            (is_ended, i64::from(!is_ended)),
            "{code}"
        );
    }
}

#[test]
fn no_stored_value_is_in_an_error() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let error = conn.execute("INSERT INTO t VALUES ('secret', 'secret')", ()).unwrap_err();
    assert!(!format!("{error:?}").replace("VALUES ('secret', 'secret')", "").contains("secret"), "{error:?}");
    let error = conn.execute("INSERT INTO t(rowid, a, b) VALUES (?, 1, 'x')", ("secret",)).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::MISMATCH), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[test]
fn an_error_of_finalite_keeps_its_kind_and_its_source() {
    struct Reads;
    impl VirtualTable for Reads {
        type Shared = ();
        type Cursor<'t> = Never;
        const KIND: TableKind = TableKind::EponymousOnly;
        fn connect(_: &(), definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            definition.connection().query_one::<i64>("SELECT count(*) FROM missing", ())?;
            Ok(Declared::new("CREATE TABLE x(a)", Self))
        }
        fn open(&self, _: &Self::Shared) -> Result<Never, CallbackError> {
            Ok(Never)
        }
    }
    let conn = open();
    conn.create_module::<Reads>("t", ()).unwrap();
    let error = conn.query_one::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert_is_of(&error, "connect", ResultCode::ERROR);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<Error>().unwrap();
    assert!(source.to_string().contains("no such table: missing"), "{source}");
    conn.execute("CREATE TABLE missing(a)", ()).unwrap();
    assert!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap().is_empty());
}

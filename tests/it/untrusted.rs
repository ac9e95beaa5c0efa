//! Files and SQL from strangers: each setting of `OpenOptions::untrusted`, beside a connection without it.

use std::ffi::c_int;
use std::path::{Path, PathBuf};

use finalite::pool::Pool;
use finalite::scan::ScanStrategy;
use finalite::{Connection, Error, ErrorKind, OpenOptions, ResultCode, ffi};

use crate::common::library;

const ENABLE_ATTACH_CREATE: c_int = 1020;
const ENABLE_ATTACH_WRITE: c_int = 1021;
const LIMIT_PARSER_DEPTH: c_int = 12;

/// The state of a switch; `None` if this SQLite does not have it. With `Some(on)`, it is set before.
fn switch(conn: &Connection, operation: c_int, set: Option<bool>) -> Option<bool> {
    // SAFETY: the handle is used during this call alone.
    let db = unsafe { conn.as_raw() };
    let mut now: c_int = -1;
    // SAFETY: these operations take an int, of which -1 changes nothing, and a pointer to one.
    let code = unsafe { ffi::sqlite3_db_config(db, operation, set.map_or(-1, c_int::from), &raw mut now) };
    (code == ffi::SQLITE_OK).then_some(now != 0)
}

fn limit(conn: &Connection, limit: c_int) -> c_int {
    // SAFETY: the handle is used during this call alone.
    let db = unsafe { conn.as_raw() };
    // SAFETY: a negative value changes nothing.
    unsafe { ffi::sqlite3_limit(db, limit, -1) }
}

/// A database file that the closure fills by a connection without settings.
fn file(dir: &tempfile::TempDir, sql: &str) -> PathBuf {
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path
}

/// Two connections to files with the same content, the first of them untrusted.
fn both(options: OpenOptions, sql: &str) -> (tempfile::TempDir, [Connection; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, sql);
    let copy = dir.path().join("b.db");
    std::fs::copy(&path, &copy).unwrap();
    let conns = [options.open(path).unwrap(), Connection::open(copy).unwrap()];
    (dir, conns)
}

#[test]
fn each_switch_is_as_documented() {
    let [hardened, plain] = [OpenOptions::untrusted(), OpenOptions::new()].map(|it| it.open_in_memory().unwrap());
    for (operation, on) in [
        (ffi::SQLITE_DBCONFIG_DEFENSIVE, true),
        (ffi::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (ffi::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (ffi::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (ffi::SQLITE_DBCONFIG_DQS_DML, false),
        (ffi::SQLITE_DBCONFIG_DQS_DDL, false),
        (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, false),
        (ffi::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (ENABLE_ATTACH_CREATE, false),
        (ENABLE_ATTACH_WRITE, false),
    ] {
        // The control: set to the other state, it reads as that.
        match switch(&plain, operation, Some(!on)) {
            Some(other) => assert_eq!((switch(&hardened, operation, None), other), (Some(on), !on), "{operation}"),
            None => assert!(operation >= ENABLE_ATTACH_CREATE && finalite::sqlite::version_number() < 3_049_000),
        }
    }
    assert!(hardened.pragma::<bool>("cell_size_check").unwrap() && !plain.pragma::<bool>("cell_size_check").unwrap());
    assert!(hardened.pragma::<bool>("foreign_keys").unwrap());
}

#[test]
fn each_limit_is_as_documented() {
    let [hardened, plain] = [OpenOptions::untrusted(), OpenOptions::new()].map(|it| it.open_in_memory().unwrap());
    for (number, max) in [
        (ffi::SQLITE_LIMIT_LENGTH, 1_000_000),
        (ffi::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (ffi::SQLITE_LIMIT_COLUMN, 100),
        (ffi::SQLITE_LIMIT_EXPR_DEPTH, 10),
        (LIMIT_PARSER_DEPTH, 100),
        (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 3),
        (ffi::SQLITE_LIMIT_VDBE_OP, 25_000),
        (ffi::SQLITE_LIMIT_FUNCTION_ARG, 8),
        (ffi::SQLITE_LIMIT_ATTACHED, 0),
        (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
        (ffi::SQLITE_LIMIT_VARIABLE_NUMBER, 10),
        (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    ] {
        let usual = limit(&plain, number);
        if usual < 0 {
            assert!(number == LIMIT_PARSER_DEPTH && finalite::sqlite::version_number() < 3_053_000, "{number}");
            continue;
        }
        assert_eq!(limit(&hardened, number), max, "{number}");
        assert!(usual > max, "{number}: {usual}");
    }
}

fn repeated(item: &str, count: usize, separator: &str) -> String {
    vec![item; count].join(separator)
}

#[test]
fn sql_beyond_a_limit_is_an_error() {
    let [hardened, plain] = [OpenOptions::untrusted(), OpenOptions::new()].map(|it| it.open_in_memory().unwrap());
    let too_big = |error: &Error| error.code() == Some(ResultCode::TOOBIG);
    let is_error = |error: &Error| error.code() == Some(ResultCode::ERROR);
    let no_memory = |error: &Error| matches!(error.kind(), ErrorKind::NoMemory { .. });
    type IsExpected<'a> = &'a dyn Fn(&Error) -> bool;
    let cases: [(String, IsExpected<'_>); 11] = [
        ("SELECT length(zeroblob(1000001))".into(), &too_big),
        (format!("SELECT 1 -- {}", "x".repeat(100_000)), &too_big),
        (format!("SELECT {}", repeated("1", 101, ", ")), &is_error),
        (format!("SELECT {}", repeated("1", 12, " + ")), &is_error),
        (repeated("SELECT 1", 4, " UNION ALL "), &is_error),
        (format!("SELECT 1 IN ({})", repeated("1", 40_000, ",")), &no_memory),
        (format!("SELECT max({})", repeated("1", 9, ", ")), &is_error),
        ("ATTACH ':memory:' AS other".into(), &is_error),
        (format!("SELECT 'a' LIKE '{}'", "%".repeat(51)), &is_error),
        (format!("SELECT {}", repeated("?", 11, ", ")), &|error| {
            matches!(error.kind(), ErrorKind::TooManyParameters { max: 10, .. })
        }),
        ("VACUUM".into(), &is_error),
    ];
    for (sql, is_expected) in cases {
        let run = |conn: &Connection| {
            let mut statement = conn.prepare(&sql)?;
            statement.execute(finalite::params_from_iter(vec![None::<i64>; statement.parameter_count()]))
        };
        let error = run(&hardened).unwrap_err();
        assert!(is_expected(&error), "{error:?}");
        // The control.
        run(&plain).unwrap();
    }
    assert_eq!(hardened.query_one::<i64>("SELECT max(1, 2, 3, 4, 5, 6, 7, 8)", ()).unwrap(), 8);
}

#[test]
fn sql_cannot_damage_the_file() {
    let schema = "CREATE TABLE t(a); CREATE VIRTUAL TABLE f USING fts5(body)";
    let (_dir, [hardened, plain]) = both(OpenOptions::untrusted(), schema);
    for (sql, is_allowed) in [
        ("PRAGMA writable_schema = on", true),
        ("UPDATE sqlite_schema SET sql = sql", false),
        ("INSERT INTO f_config VALUES ('x', 1)", false),
        ("INSERT INTO t VALUES (1)", true),
    ] {
        assert_eq!(hardened.execute(sql, ()).is_ok(), is_allowed, "{sql}");
        plain.execute(sql, ()).unwrap();
    }
    let off = |conn: &Connection| conn.query_one::<String>("PRAGMA journal_mode = off", ()).unwrap() == "off";
    assert!(!off(&hardened) && off(&plain));
    hardened.execute("INSERT INTO f VALUES ('words')", ()).unwrap();
    assert!(hardened.exists("SELECT 1 FROM f WHERE f MATCH 'words'", ()).unwrap());
}

#[test]
fn the_schema_calls_no_function_that_may_do_harm() {
    let (_dir, conns) = both(OpenOptions::untrusted(), "CREATE TABLE t(a, b DEFAULT (reach()))");
    let run = conns.map(|conn| {
        conn.create_scalar_function("reach", || 7).unwrap();
        assert_eq!(conn.query_one::<i64>("SELECT reach()", ()).unwrap(), 7, "SQL itself may");
        conn.execute("INSERT INTO t(a) VALUES (1)", ())
    });
    let [hardened, plain] = run;
    assert!(hardened.unwrap_err().to_string().contains("unsafe use of reach()"));
    assert_eq!(plain.unwrap(), 1);
}

#[test]
fn triggers_and_views_are_off_until_they_are_switched_on() {
    let schema = "CREATE TABLE t(a); CREATE TABLE log(a); CREATE VIEW v AS SELECT 3;
                  CREATE TRIGGER logged AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.a); END";
    for (options, triggers, views) in [
        (OpenOptions::untrusted(), false, false),
        (OpenOptions::untrusted().triggers(true), true, false),
        (OpenOptions::untrusted().views(true), false, true),
        (OpenOptions::new().triggers(false), false, true),
        (OpenOptions::recommended().views(false), true, false),
        (OpenOptions::new(), true, true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let conn = options.open(file(&dir, schema)).unwrap();
        conn.execute("INSERT INTO t VALUES (1)", ()).unwrap();
        assert_eq!(conn.exists("SELECT 1 FROM log", ()).unwrap(), triggers);
        assert_eq!(conn.query_one::<i64>("SELECT * FROM v", ()).is_ok(), views);
        // What the program makes for itself is there in any case.
        conn.execute_batch(
            "CREATE TEMP VIEW own AS SELECT 4; CREATE TEMP TABLE seen(a);
             CREATE TEMP TRIGGER mine AFTER INSERT ON main.t BEGIN INSERT INTO seen VALUES (NEW.a); END;
             INSERT INTO t VALUES (5)",
        )
        .unwrap();
        assert_eq!(conn.query_one::<(i64, i64)>("SELECT * FROM own, seen", ()).unwrap(), (4, 5));
    }
}

#[test]
fn a_chain_of_triggers_is_limited() {
    let mut schema = "CREATE TABLE t0(a);".to_owned();
    for n in 0..12 {
        let next = n + 1;
        schema += &format!(
            "CREATE TABLE t{next}(a); CREATE TRIGGER r{n} AFTER INSERT ON t{n} BEGIN INSERT INTO t{next} VALUES (1); END;"
        );
    }
    let (_dir, [hardened, plain]) = both(OpenOptions::untrusted().triggers(true), &schema);
    let error = hardened.execute("INSERT INTO t0 VALUES (1)", ()).unwrap_err();
    let text = error.to_string();
    assert!(["triggers nested too deep", "too many levels of trigger"].iter().any(|it| text.contains(it)), "{text}");
    plain.execute("INSERT INTO t0 VALUES (1)", ()).unwrap();
}

#[test]
fn a_text_in_double_quotes_is_a_name() {
    let [hardened, plain] = [OpenOptions::untrusted(), OpenOptions::new()].map(|it| it.open_in_memory().unwrap());
    assert!(hardened.query_one::<String>("SELECT \"nosuch\"", ()).unwrap_err().to_string().contains("no such column"));
    assert_eq!(plain.query_one::<String>("SELECT \"nosuch\"", ()).unwrap(), "nosuch");
    let error = hardened.query_one::<i64>("SELECT load_extension('nowhere')", ()).unwrap_err();
    assert!(error.to_string().contains("not authorized"), "{error}");
}

#[test]
fn the_file_is_not_mapped() {
    let (_dir, [hardened, plain]) = both(OpenOptions::untrusted(), "CREATE TABLE t(a)");
    assert_eq!(hardened.pragma::<i64>("mmap_size").unwrap(), 0);
    // The control, and the caller's own pragmas, which come later.
    plain.set_pragma("mmap_size", 1 << 20).unwrap();
    assert_eq!(plain.pragma::<i64>("mmap_size").unwrap(), 1 << 20);
    let path = hardened.path().unwrap();
    let conn = OpenOptions::untrusted().pragma("mmap_size", 1 << 20).open(path).unwrap();
    assert_eq!(conn.pragma::<i64>("mmap_size").unwrap(), 1 << 20);
}

type Damage = fn(&mut Vec<u8>);

const PAGE_BYTES: usize = 4096;

/// A file of some pages: a table with an index.
fn pages(dir: &tempfile::TempDir) -> PathBuf {
    file(
        dir,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL); CREATE INDEX i ON t(a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         INSERT INTO t SELECT i, 'a text of row ' || i FROM n",
    )
}

/// Opens a file in the usual way, so that the control shows what the check has prevented.
fn opens_otherwise(path: &Path) {
    Connection::open(path).unwrap().close().unwrap();
}

#[test]
fn a_damaged_file_is_not_opened() {
    let cases: [(&str, Damage, ResultCode); 8] = [
        ("no database", |bytes| bytes.fill(7), ResultCode::NOTADB),
        ("a page of zeros", |bytes| bytes[3 * PAGE_BYTES..4 * PAGE_BYTES].fill(0), ResultCode::CORRUPT),
        ("a leaf of an unknown kind", |bytes| bytes[5 * PAGE_BYTES] = 99, ResultCode::CORRUPT),
        ("more cells than fit", |bytes| bytes[5 * PAGE_BYTES + 3] = 0xff, ResultCode::CORRUPT),
        ("a cell beyond its page", |bytes| bytes[5 * PAGE_BYTES + 8] = 0, ResultCode::CORRUPT),
        ("fewer pages than the header says", |bytes| bytes.truncate(5 * PAGE_BYTES), ResultCode::CORRUPT),
        ("a pointer to a page that is used", |bytes| bytes[2 * PAGE_BYTES - 1] = 3, ResultCode::CORRUPT),
        (
            "a schema that is none",
            |bytes| {
                let at = bytes.windows(12).position(|at| at == b"CREATE TABLE").unwrap();
                bytes[at..at + 12].copy_from_slice(b"CREATE TALBE");
            },
            ResultCode::CORRUPT,
        ),
    ];
    for (name, damage, code) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = pages(&dir);
        drop(OpenOptions::untrusted().open(&path).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        let before = bytes.clone();
        damage(&mut bytes);
        assert!(bytes != before, "{name}");
        std::fs::write(&path, &bytes).unwrap();
        for options in [OpenOptions::untrusted(), OpenOptions::untrusted().read_only(true)] {
            let options = options.init(|_| panic!("it is checked before the program sees it"));
            let error = options.open(&path).unwrap_err();
            assert_eq!(error.code(), Some(code), "{name}: {error}");
            assert!(error.to_string().contains("a.db"), "{name}: {error}");
        }
        opens_otherwise(&path);
        // Nothing of the connection is left.
        std::fs::write(&path, &before).unwrap();
        drop(OpenOptions::untrusted().open(&path).unwrap());
    }
}

#[test]
fn what_the_check_finds_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        &dir,
        "CREATE TABLE t(a CHECK (a > 0)); PRAGMA ignore_check_constraints = on; INSERT INTO t VALUES (-777)",
    );
    let error = OpenOptions::untrusted().open(&path).unwrap_err();
    let ErrorKind::FailedCheck { finding, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(&**finding, "CHECK constraint failed in t");
    assert_eq!(error.code(), Some(ResultCode::CORRUPT));
    let text = error.to_string();
    assert!(
        text.starts_with("PRAGMA quick_check found a problem in the database: CHECK constraint failed in t"),
        "{text}"
    );
    assert!(!format!("{error:?}").contains("777"));
    opens_otherwise(&path);
    // A problem of pages is told without the line that names the database.
    let dir = tempfile::tempdir().unwrap();
    let path = pages(&dir);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5 * PAGE_BYTES] = 99;
    std::fs::write(&path, bytes).unwrap();
    let error = OpenOptions::untrusted().open(&path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::FailedCheck { .. }) && !error.to_string().contains("***"), "{error}");
}

#[test]
fn a_schema_beyond_the_limits_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let columns: Vec<String> = (0..101).map(|n| format!("c{n}")).collect();
    let path = file(&dir, &format!("CREATE TABLE wide({})", columns.join(", ")));
    let error = OpenOptions::untrusted().open(&path).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CORRUPT), "{error}");
    opens_otherwise(&path);
}

#[test]
fn many_tables_are_checked_beyond_the_limit_of_instructions() {
    let dir = tempfile::tempdir().unwrap();
    let columns: Vec<String> = (0..90).map(|n| format!("c{n} TEXT NOT NULL")).collect();
    let tables: Vec<String> = (0..60).map(|n| format!("CREATE TABLE t{n}({});", columns.join(", "))).collect();
    let path = file(&dir, &format!("BEGIN; {} COMMIT", tables.concat()));
    let conn = OpenOptions::untrusted().open(&path).unwrap();
    // The control: afterwards the check is too long.
    let error = conn.query_all::<String>("PRAGMA quick_check", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoMemory { .. }), "{error}");
}

#[test]
fn sqlite_alone_decodes_an_untrusted_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = pages(&dir);
    let hardened = OpenOptions::untrusted().open(&path).unwrap();
    let plain = Connection::open(&path).unwrap();
    let plan =
        |conn: &Connection| conn.scan("SELECT a FROM t NOT INDEXED", ()).strategy(ScanStrategy::Pages).plan().unwrap();
    let control = if library::reads_pages() { ScanStrategy::Pages } else { ScanStrategy::Statement };
    assert_eq!(plan(&plain).strategy, control);
    assert_eq!(plan(&hardened).strategy, ScanStrategy::Statement);
    if library::reads_pages() {
        assert!(plan(&hardened).reason.contains("untrusted"), "{}", plan(&hardened));
    }
    let mut ends = Vec::new();
    let rows = |conn: &Connection, ends: &mut Vec<ScanStrategy>| {
        let scan = conn.scan_table("t").select(["a"]).threads(2).on_end(|plan| ends.push(plan.strategy));
        let batch = scan.columns().unwrap();
        let texts = batch.column("a").unwrap().as_str().unwrap();
        (0..batch.len()).map(|row| texts.get(row).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&hardened, &mut ends), rows(&plain, &mut ends));
    assert_eq!(ends, [ScanStrategy::Statement, control]);
}

#[test]
fn introspection_works_within_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let conn = OpenOptions::untrusted().open(pages(&dir)).unwrap();
    assert!(conn.table_exists(None, "t").unwrap() && conn.column_exists(Some("main"), "t", "a").unwrap());
    assert_eq!(conn.schema().table("t").unwrap().unwrap().indexes.len(), 1);
    conn.query_plan("SELECT id FROM t WHERE a = ?").unwrap().assert_uses_index("i");
}

#[test]
fn a_pool_opens_untrusted_connections() {
    let dir = tempfile::tempdir().unwrap();
    let path = pages(&dir);
    let pool = Pool::builder(&path).readers(1).options(OpenOptions::untrusted()).build().unwrap();
    for _ in 0..2 {
        let reader = pool.reader().unwrap();
        assert_eq!(reader.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 2000);
        assert!(reader.execute("ATTACH ':memory:' AS other", ()).is_err());
    }
    pool.write(|tx| tx.execute("DELETE FROM t WHERE id > 10", ())).unwrap();
    assert!(pool.close().log_left().is_none());
}

#[test]
fn bytes_are_opened_in_memory_and_checked_by_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(pages(&dir)).unwrap();
    bytes[5 * PAGE_BYTES] = 99;
    let mut conn = OpenOptions::untrusted().open_in_memory().unwrap();
    conn.deserialize_into("main", &bytes).unwrap();
    assert_ne!(conn.query_one::<String>("PRAGMA quick_check(1)", ()).unwrap(), "ok");
    assert!(conn.execute("ATTACH ':memory:' AS other", ()).is_err());
}

#[test]
fn settings_of_the_caller_take_precedence() {
    let options =
        OpenOptions::untrusted().trusted_schema(true).double_quoted_strings(true).pragma("cell_size_check", 0);
    let conn = options.open_in_memory().unwrap();
    assert!(conn.pragma::<bool>("trusted_schema").unwrap() && !conn.pragma::<bool>("cell_size_check").unwrap());
    assert_eq!(conn.query_one::<String>("SELECT \"nosuch\"", ()).unwrap(), "nosuch");
    let conn = OpenOptions::untrusted().open_temporary().unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
}

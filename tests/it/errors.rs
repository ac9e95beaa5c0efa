//! Errors: codes, places, constraints, sources, and that no line shows a value.

use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::mem::size_of;
use std::ptr;
use std::time::Duration;

use finalite::{
    Connection, ConstraintKind, ConversionError, Error, ErrorKind, FromSql, NameKind, OpenOptions, Param, Result,
    ResultCode, TransactionBehavior, Type, ValueRef, ffi, named_params,
};

fn memory(script: &str) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(script).unwrap();
    conn
}

/// The error that a statement fails with.
fn failure(conn: &Connection, sql: &str) -> Error {
    conn.execute(sql, ()).unwrap_err()
}

#[test]
fn an_error_is_one_word_and_goes_anywhere() {
    fn goes_anywhere<T: Send + Sync + 'static>() {}
    goes_anywhere::<Error>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
}

macro_rules! assert_codes {
    ($($name:ident $c_name:ident)*) => {
        $(
            assert_eq!(ResultCode::$name.number(), ffi::$c_name, stringify!($c_name));
            assert_eq!(ResultCode::$name.name(), stringify!($c_name));
            assert_eq!(ResultCode::$name.to_string(), stringify!($c_name));
            assert_eq!(ResultCode::$name.primary().number(), ffi::$c_name & 0xff);
        )*
    };
}

#[test]
fn codes_are_the_headers_numbers_and_names() {
    assert_codes! {
        OK SQLITE_OK ERROR SQLITE_ERROR INTERNAL SQLITE_INTERNAL PERM SQLITE_PERM ABORT SQLITE_ABORT BUSY SQLITE_BUSY
        LOCKED SQLITE_LOCKED NOMEM SQLITE_NOMEM READONLY SQLITE_READONLY INTERRUPT SQLITE_INTERRUPT IOERR SQLITE_IOERR
        CORRUPT SQLITE_CORRUPT NOTFOUND SQLITE_NOTFOUND FULL SQLITE_FULL CANTOPEN SQLITE_CANTOPEN
        PROTOCOL SQLITE_PROTOCOL EMPTY SQLITE_EMPTY SCHEMA SQLITE_SCHEMA TOOBIG SQLITE_TOOBIG
        CONSTRAINT SQLITE_CONSTRAINT MISMATCH SQLITE_MISMATCH MISUSE SQLITE_MISUSE NOLFS SQLITE_NOLFS AUTH SQLITE_AUTH
        FORMAT SQLITE_FORMAT RANGE SQLITE_RANGE NOTADB SQLITE_NOTADB NOTICE SQLITE_NOTICE WARNING SQLITE_WARNING
        ROW SQLITE_ROW DONE SQLITE_DONE
        ERROR_MISSING_COLLSEQ SQLITE_ERROR_MISSING_COLLSEQ ERROR_RETRY SQLITE_ERROR_RETRY
        ERROR_SNAPSHOT SQLITE_ERROR_SNAPSHOT
        IOERR_READ SQLITE_IOERR_READ IOERR_SHORT_READ SQLITE_IOERR_SHORT_READ IOERR_WRITE SQLITE_IOERR_WRITE
        IOERR_FSYNC SQLITE_IOERR_FSYNC IOERR_DIR_FSYNC SQLITE_IOERR_DIR_FSYNC IOERR_TRUNCATE SQLITE_IOERR_TRUNCATE
        IOERR_FSTAT SQLITE_IOERR_FSTAT IOERR_UNLOCK SQLITE_IOERR_UNLOCK IOERR_RDLOCK SQLITE_IOERR_RDLOCK
        IOERR_DELETE SQLITE_IOERR_DELETE IOERR_BLOCKED SQLITE_IOERR_BLOCKED IOERR_NOMEM SQLITE_IOERR_NOMEM
        IOERR_ACCESS SQLITE_IOERR_ACCESS IOERR_CHECKRESERVEDLOCK SQLITE_IOERR_CHECKRESERVEDLOCK
        IOERR_LOCK SQLITE_IOERR_LOCK IOERR_CLOSE SQLITE_IOERR_CLOSE IOERR_DIR_CLOSE SQLITE_IOERR_DIR_CLOSE
        IOERR_SHMOPEN SQLITE_IOERR_SHMOPEN IOERR_SHMSIZE SQLITE_IOERR_SHMSIZE IOERR_SHMLOCK SQLITE_IOERR_SHMLOCK
        IOERR_SHMMAP SQLITE_IOERR_SHMMAP IOERR_SEEK SQLITE_IOERR_SEEK IOERR_DELETE_NOENT SQLITE_IOERR_DELETE_NOENT
        IOERR_MMAP SQLITE_IOERR_MMAP IOERR_GETTEMPPATH SQLITE_IOERR_GETTEMPPATH IOERR_CONVPATH SQLITE_IOERR_CONVPATH
        IOERR_VNODE SQLITE_IOERR_VNODE IOERR_AUTH SQLITE_IOERR_AUTH IOERR_BEGIN_ATOMIC SQLITE_IOERR_BEGIN_ATOMIC
        IOERR_COMMIT_ATOMIC SQLITE_IOERR_COMMIT_ATOMIC IOERR_ROLLBACK_ATOMIC SQLITE_IOERR_ROLLBACK_ATOMIC
        IOERR_DATA SQLITE_IOERR_DATA IOERR_CORRUPTFS SQLITE_IOERR_CORRUPTFS IOERR_IN_PAGE SQLITE_IOERR_IN_PAGE
        LOCKED_SHAREDCACHE SQLITE_LOCKED_SHAREDCACHE LOCKED_VTAB SQLITE_LOCKED_VTAB
        BUSY_RECOVERY SQLITE_BUSY_RECOVERY BUSY_SNAPSHOT SQLITE_BUSY_SNAPSHOT BUSY_TIMEOUT SQLITE_BUSY_TIMEOUT
        CANTOPEN_NOTEMPDIR SQLITE_CANTOPEN_NOTEMPDIR CANTOPEN_ISDIR SQLITE_CANTOPEN_ISDIR
        CANTOPEN_FULLPATH SQLITE_CANTOPEN_FULLPATH CANTOPEN_CONVPATH SQLITE_CANTOPEN_CONVPATH
        CANTOPEN_DIRTYWAL SQLITE_CANTOPEN_DIRTYWAL CANTOPEN_SYMLINK SQLITE_CANTOPEN_SYMLINK
        CORRUPT_VTAB SQLITE_CORRUPT_VTAB CORRUPT_SEQUENCE SQLITE_CORRUPT_SEQUENCE CORRUPT_INDEX SQLITE_CORRUPT_INDEX
        READONLY_RECOVERY SQLITE_READONLY_RECOVERY READONLY_CANTLOCK SQLITE_READONLY_CANTLOCK
        READONLY_ROLLBACK SQLITE_READONLY_ROLLBACK READONLY_DBMOVED SQLITE_READONLY_DBMOVED
        READONLY_CANTINIT SQLITE_READONLY_CANTINIT READONLY_DIRECTORY SQLITE_READONLY_DIRECTORY
        ABORT_ROLLBACK SQLITE_ABORT_ROLLBACK
        CONSTRAINT_CHECK SQLITE_CONSTRAINT_CHECK CONSTRAINT_COMMITHOOK SQLITE_CONSTRAINT_COMMITHOOK
        CONSTRAINT_FOREIGNKEY SQLITE_CONSTRAINT_FOREIGNKEY CONSTRAINT_FUNCTION SQLITE_CONSTRAINT_FUNCTION
        CONSTRAINT_NOTNULL SQLITE_CONSTRAINT_NOTNULL CONSTRAINT_PRIMARYKEY SQLITE_CONSTRAINT_PRIMARYKEY
        CONSTRAINT_TRIGGER SQLITE_CONSTRAINT_TRIGGER CONSTRAINT_UNIQUE SQLITE_CONSTRAINT_UNIQUE
        CONSTRAINT_VTAB SQLITE_CONSTRAINT_VTAB CONSTRAINT_ROWID SQLITE_CONSTRAINT_ROWID
        CONSTRAINT_PINNED SQLITE_CONSTRAINT_PINNED CONSTRAINT_DATATYPE SQLITE_CONSTRAINT_DATATYPE
        NOTICE_RECOVER_WAL SQLITE_NOTICE_RECOVER_WAL NOTICE_RECOVER_ROLLBACK SQLITE_NOTICE_RECOVER_ROLLBACK
        NOTICE_RBU SQLITE_NOTICE_RBU WARNING_AUTOINDEX SQLITE_WARNING_AUTOINDEX AUTH_USER SQLITE_AUTH_USER
        OK_LOAD_PERMANENTLY SQLITE_OK_LOAD_PERMANENTLY OK_SYMLINK SQLITE_OK_SYMLINK
    }
    // Newer than the bindings for a system SQLite.
    #[cfg(feature = "bundled")]
    assert_codes! {
        ERROR_RESERVESIZE SQLITE_ERROR_RESERVESIZE ERROR_KEY SQLITE_ERROR_KEY ERROR_UNABLE SQLITE_ERROR_UNABLE
        IOERR_BADKEY SQLITE_IOERR_BADKEY IOERR_CODEC SQLITE_IOERR_CODEC
    }
}

#[track_caller]
fn assert_code(error: &Error, code: ResultCode) {
    assert_eq!(error.extended_code(), Some(code), "{error:?}");
    assert_eq!(error.code(), Some(code.primary()));
    assert_eq!(error.code_name(), Some(code.name()));
    assert_eq!(error.is_busy(), code.primary() == ResultCode::BUSY);
    assert_eq!(error.is_locked(), code.primary() == ResultCode::LOCKED);
    assert_eq!(error.is_constraint(), code.primary() == ResultCode::CONSTRAINT);
    assert_eq!(error.is_constraint(), error.constraint().is_some());
    assert_eq!(error.is_busy_snapshot(), code == ResultCode::BUSY_SNAPSHOT);
    assert_eq!(error.is_interrupted(), code == ResultCode::INTERRUPT);
}

#[test]
fn codes_that_sql_alone_provokes() {
    let conn = memory(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE);
         CREATE TABLE fixed(a);
         INSERT INTO t VALUES (1, 1);",
    );
    assert_code(&failure(&conn, "nonsense"), ResultCode::ERROR);
    assert_code(&failure(&conn, "SELECT a COLLATE nowhere FROM t ORDER BY 1"), ResultCode::ERROR_MISSING_COLLSEQ);
    assert_code(&failure(&conn, "INSERT INTO t(id) VALUES ('one')"), ResultCode::MISMATCH);
    assert_code(&failure(&conn, "SELECT zeroblob(2000000000)"), ResultCode::TOOBIG);
    assert_code(&failure(&conn, "INSERT INTO t(a) VALUES (1)"), ResultCode::CONSTRAINT_UNIQUE);
    assert_code(&failure(&conn, "ATTACH '/nowhere/at/all.db' AS other"), ResultCode::CANTOPEN);
    conn.execute("PRAGMA query_only = on", ()).unwrap();
    assert_code(&failure(&conn, "INSERT INTO t(a) VALUES (2)"), ResultCode::READONLY);
    conn.execute("PRAGMA query_only = off", ()).unwrap();
    conn.execute("PRAGMA max_page_count = 1", ()).unwrap();
    assert_code(&failure(&conn, "INSERT INTO fixed VALUES (zeroblob(100000))"), ResultCode::FULL);
}

#[test]
fn the_limit_of_a_bound_value_is_sqlites_code() {
    let conn = memory("");
    let error = conn.query_one::<i64>("SELECT length(?)", (finalite::ZeroBlob(1 << 40),)).unwrap_err();
    assert_code(&error, ResultCode::TOOBIG);
    assert_eq!(error.sql(), Some("SELECT length(?)"));
}

#[test]
fn a_rollback_under_a_reader_is_abort() {
    let conn = memory("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
    conn.execute("BEGIN", ()).unwrap();
    conn.execute("CREATE TABLE u(a)", ()).unwrap();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.execute("ROLLBACK", ()).unwrap();
    let error = rows.next().unwrap_err();
    assert_code(&error, ResultCode::ABORT_ROLLBACK);
    assert_eq!(error.sql(), Some("SELECT a FROM t"));
}

#[test]
fn an_interrupt_is_told_apart() {
    let conn = memory("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.interrupt_handle().interrupt();
    let error = rows.next().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted));
    assert_code(&error, ResultCode::INTERRUPT);
    assert_eq!(error.sql(), Some("SELECT a FROM t"));
}

#[test]
fn a_damaged_file_is_corrupt_and_a_foreign_one_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    drop(file);
    let conn = Connection::open(&path).unwrap();
    let error = conn.query_all::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CORRUPT));
    assert!(error.to_string().contains("a.db"), "{error}");

    let path = dir.path().join("b.db");
    fs::write(&path, "no database. ".repeat(100)).unwrap();
    let error = failure(&Connection::open(&path).unwrap(), "CREATE TABLE t(a)");
    assert_code(&error, ResultCode::NOTADB);
    assert!(error.to_string().contains("b.db"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_systems_words_are_part_of_io_errors() {
    let dir = tempfile::tempdir().unwrap();
    let error = Connection::open(dir.path().join("missing/a.db")).unwrap_err();
    assert_code(&error, ResultCode::CANTOPEN);
    assert!(error.to_string().contains("No such file or directory"), "{error}");
    let error = Connection::open(dir.path()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::CANTOPEN));
    assert!(error.to_string().contains("Is a directory"), "{error}");
    // The beginning of a process's memory cannot be read.
    let open = OpenOptions::new().read_only(true).open("/proc/self/mem");
    let error = open.and_then(|conn| conn.query_all::<i64>("SELECT 1 FROM sqlite_schema", ())).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::IOERR), "{error:?}");
    let line = error.to_string();
    assert!(line.contains("(os error 5)") && line.contains("/proc/self/mem"), "{line}");
}

#[cfg(unix)]
#[test]
fn a_write_to_a_deleted_database_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    fs::remove_file(&path).unwrap();
    let error = failure(&conn, "INSERT INTO t VALUES (1)");
    assert_code(&error, ResultCode::READONLY_DBMOVED);
    assert!(error.to_string().contains("READONLY_DBMOVED") && error.to_string().contains("a.db"), "{error}");
}

#[test]
fn locks_of_others_are_busy_and_locks_of_ones_own_are_locked() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().pragma("journal_mode", "wal").busy_timeout(Duration::ZERO);
    let mut writer = options.open(dir.path().join("a.db")).unwrap();
    let mut reader = options.open(dir.path().join("a.db")).unwrap();
    writer.execute("CREATE TABLE t(a)", ()).unwrap();

    let tx = writer.transaction_with(TransactionBehavior::Immediate).unwrap();
    assert_code(&failure(&reader, "INSERT INTO t VALUES (1)"), ResultCode::BUSY);
    drop(tx);

    let tx = reader.transaction().unwrap();
    tx.query_all::<i64>("SELECT a FROM t", ()).unwrap();
    writer.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    assert_code(&failure(&tx, "INSERT INTO t VALUES (2)"), ResultCode::BUSY_SNAPSHOT);
    drop(tx);

    let mut statement = writer.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    assert_code(&failure(&writer, "DROP TABLE t"), ResultCode::LOCKED);
}

#[test]
fn locks_within_a_shared_cache_are_locked() {
    let options = OpenOptions::new().uri(true).busy_timeout(Duration::ZERO);
    let [first, second] = [(); 2].map(|()| options.open("file:errors_shared?mode=memory&cache=shared").unwrap());
    first.execute_batch("CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (1)").unwrap();
    let error = second.query_all::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert_code(&error, ResultCode::LOCKED_SHAREDCACHE);
}

#[test]
fn errors_that_are_not_sqlites_have_no_code() {
    let conn = memory("");
    for error in [
        conn.query_one::<i64>("SELECT 'a'", ()).unwrap_err(),
        conn.execute("", ()).unwrap_err(),
        conn.execute("SELECT ?", ()).unwrap_err(),
        Error::external("mine"),
    ] {
        assert_eq!((error.code(), error.extended_code(), error.code_name()), (None, None, None), "{error:?}");
        assert!(!error.is_busy() && !error.is_locked() && !error.is_constraint() && !error.is_interrupted());
        assert!(error.constraint().is_none());
    }
}

#[test]
fn kinds_carry_names_types_and_counts() {
    let conn = memory("CREATE TABLE t(a, b)");
    let error = conn.query_one::<(i64, i64)>("SELECT 1 AS one, 'two' AS two", ()).unwrap_err();
    let ErrorKind::ColumnConversion { column, name, found, problem, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*column, &**name, *found, problem.rust_type()), (1, "two", Type::Text, "i64"));

    let error = conn.execute("INSERT INTO t VALUES (?, :b)", (1, u64::MAX)).unwrap_err();
    let ErrorKind::ParameterConversion { index, name, problem, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*index, name.as_deref(), problem.rust_type()), (2, Some(":b"), "u64"));
    assert!(error.to_string().contains("18446744073709551615"), "{error}");

    let error = conn.execute("INSERT INTO t VALUES (?, ?)", (1,)).unwrap_err();
    let ErrorKind::ParameterCount { expected, given, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*expected, *given), (2, 1));

    let error = conn.execute("INSERT INTO t VALUES (:a, :b)", named_params! { ":a": 1 }).unwrap_err();
    let ErrorKind::ParameterUnset { index, name, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*index, name.as_deref()), (2, Some(":b")));

    let error = conn.execute("INSERT INTO t VALUES (:a, ?)", named_params! { "c": 1 }).unwrap_err();
    let ErrorKind::NoSuch { what, name, known, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*what, &**name, known.len(), &*known[0]), (NameKind::Parameter, "c", 1, ":a"));

    let error = conn.query_row("SELECT 1 AS one", (), |row| row.get::<i64>("two")).unwrap_err();
    let ErrorKind::NoSuch { what, name, known, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*what, &**name, known.len(), &*known[0]), (NameKind::Column, "two", 1, "one"));

    let error = conn.query_one::<(i64, i64)>("SELECT 1", ()).unwrap_err();
    let ErrorKind::ColumnCount { expected, found, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((*expected, *found), (2, 1));

    for (sql, rows) in [("SELECT 1 WHERE 0", 0), ("VALUES (1), (2), (3)", 2)] {
        let error = conn.query_one::<i64>(sql, ()).unwrap_err();
        let ErrorKind::RowCount { found, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!((*found, error.sql()), (rows, Some(sql)));
    }

    let error = conn.execute("DELETE FROM t; SELECT 2", ()).unwrap_err();
    let ErrorKind::TrailingSql { rest, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(&**rest, "SELECT 2");

    assert!(matches!(conn.execute(" -- ", ()).unwrap_err().kind(), ErrorKind::EmptySql));
    assert!(matches!(conn.execute("SELECT 1\0", ()).unwrap_err().kind(), ErrorKind::NulInSql));
}

#[track_caller]
fn assert_place(sql: &str, line: usize, column: usize) {
    let conn = memory("");
    let error = conn.prepare(sql).unwrap_err();
    let location = error.position().unwrap_or_else(|| panic!("no place: {error:?}"));
    assert_eq!((location.line, location.column), (line, column), "{error:?}");
    assert_eq!(error.sql(), Some(sql));
    assert!(error.to_string().contains(&format!("line {line}, column {column}")), "{error}");
    let in_script = conn.execute_batch(sql).unwrap_err();
    assert_eq!(in_script.position(), Some(location), "as a script: {in_script:?}");
}

#[test]
fn a_mistake_has_a_line_and_a_column() {
    assert_place("SELECT nowhere", 1, 8);
    assert_place("nonsense", 1, 1);
    assert_place("SELECT 1,\n  nowhere", 2, 3);
    assert_place("\n\n\tSELECT nowhere", 3, 9);
    assert_place("-- comment\nSELECT nowhere", 2, 8);
    assert_place("SELECT 1\nFROM sqlite_schema\nWHERE x y", 3, 9);
}

#[test]
fn columns_count_characters() {
    assert_place("SELECT 'ä€😀', nowhere", 1, 15);
    assert_place("SELECT 1 AS größe, nowhere", 1, 20);
    assert_place("-- ä€😀\nSELECT 'ä',\n'€€', nowhere", 3, 7);
    assert_place("\u{feff}SELECT nowhere", 1, 9);
}

#[test]
fn crlf_ends_a_line_once() {
    assert_place("SELECT 1,\r\nnowhere", 2, 1);
    assert_place("SELECT 1,\r\n\r\n  'ä', nowhere\r\n", 3, 8);
}

#[track_caller]
fn assert_script_place(script: &str, line: usize, column: usize, sql: &str) {
    let error = memory("CREATE TABLE u(a UNIQUE, b)").execute_batch(script).unwrap_err();
    let location = error.position().unwrap_or_else(|| panic!("no place: {error:?}"));
    assert_eq!((location.line, location.column), (line, column), "{error:?}");
    assert_eq!(error.sql().unwrap().trim_end_matches(';'), sql.trim_end_matches(';'), "{error:?}");
}

#[test]
fn a_script_places_mistakes_in_its_later_statements() {
    assert_script_place("SELECT 1; SELECT nowhere; SELECT 2", 1, 18, "SELECT nowhere");
    assert_script_place("SELECT 'ä€😀'; SELECT nowhere", 1, 22, "SELECT nowhere");
    assert_script_place("SELECT 1;\n-- two\nSELECT\n  'ä', nowhere", 4, 8, "SELECT\n  'ä', nowhere");
    assert_script_place("SELECT 1;\r\nSELECT 2;\r\n  SELEC 3", 3, 3, "SELEC 3");
    assert_script_place("SELECT 1; SELECT\n nowhere", 2, 2, "SELECT\n nowhere");
}

#[test]
fn a_failure_at_run_time_is_placed_where_its_statement_begins() {
    let insert = "INSERT INTO u VALUES (1, 'ä');";
    assert_script_place(&format!("{insert}{insert}"), 1, 31, insert);
    assert_script_place(&format!("{insert}\n/* ä */ {insert}"), 2, 9, insert);
    assert_script_place(&format!("{insert}\r\n-- again\r\n\t{insert} SELECT 1"), 3, 2, insert);
    // Alone, there is nothing to tell.
    let conn = memory("CREATE TABLE u(a UNIQUE, b)");
    conn.execute(insert, ()).unwrap();
    assert_eq!(failure(&conn, insert).position(), None);
}

#[test]
fn a_place_is_not_left_over_from_an_earlier_error() {
    let conn = memory("CREATE TABLE u(a UNIQUE)");
    for error in ["INSERT INTO u VALUES (1), (1)", "INSERT INTO nowhere VALUES (1)", "ATTACH '/no/where.db' AS x"] {
        assert!(failure(&conn, "SELECT   nowhere").position().is_some());
        assert_eq!(failure(&conn, error).position(), None, "{error}");
    }
}

#[test]
fn the_sql_of_a_statement_is_in_every_error_of_it() {
    let conn = memory(
        "CREATE TABLE u(a UNIQUE);
         CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO u VALUES (1)",
    );
    type Fail = fn(&Connection, &str) -> Option<Error>;
    let of_insert: [(&str, Fail); 8] = [
        ("execute", |conn, sql| conn.execute(sql, (1,)).err()),
        ("prepare and execute", |conn, sql| conn.prepare(sql).unwrap().execute((1,)).err()),
        ("execute_many", |conn, sql| conn.prepare(sql).unwrap().execute_many([(2,), (1,)]).err()),
        ("query", |conn, sql| conn.prepare(sql).unwrap().query((1,)).unwrap().next().err()),
        ("query_as", |conn, sql| conn.prepare(sql).unwrap().query_as::<i64>((1,)).err()),
        ("into_rows", |conn, sql| conn.prepare(sql).unwrap().into_rows((1,)).unwrap().next().err()),
        ("parameters", |conn, sql| conn.prepare(sql).unwrap().query((1, 2)).err()),
        ("expanded_sql", |conn, sql| conn.prepare(sql).unwrap().expanded_sql(()).err()),
    ];
    let of_returning: [(&str, Fail); 4] = [
        ("query_one", |conn, sql| conn.query_one::<i64>(sql, (7,)).err()),
        ("query_all", |conn, sql| conn.query_all::<i64>(sql, (7,)).err()),
        ("finish", |conn, sql| {
            let mut statement = conn.prepare(sql).unwrap();
            let mut rows = statement.query((7,)).unwrap();
            rows.next().unwrap();
            rows.finish().err()
        }),
        ("finish of owned rows", |conn, sql| {
            let mut rows = conn.prepare(sql).unwrap().into_rows((7,)).unwrap();
            rows.next().unwrap();
            rows.finish().err()
        }),
    ];
    let insert = "INSERT INTO u VALUES (?)";
    let returning = "INSERT INTO child VALUES (?) RETURNING 1";
    let all = of_insert.map(|call| (insert, call)).into_iter().chain(of_returning.map(|call| (returning, call)));
    for (sql, (call, fail)) in all {
        let error = fail(&conn, sql).unwrap_or_else(|| panic!("{call} does not fail"));
        assert_eq!(error.sql(), Some(sql), "{call}: {error:?}");
        assert!(error.to_string().ends_with(&format!(", in: {sql}")), "{call}: {error}");
    }
}

struct Failed {
    kind: ConstraintKind,
    target: Option<String>,
    columns: Vec<(String, String)>,
    code: ResultCode,
}

fn failed_constraint(script: &str, sql: &str) -> Failed {
    let error = failure(&memory(script), sql);
    let constraint = error.constraint().unwrap_or_else(|| panic!("{error:?}"));
    Failed {
        kind: constraint.kind(),
        target: constraint.target().map(str::to_owned),
        columns: constraint.columns().map(|(table, column)| (table.to_owned(), column.to_owned())).collect(),
        code: error.extended_code().unwrap(),
    }
}

#[track_caller]
fn assert_constraint(
    (script, sql): (&str, &str),
    (kind, code): (ConstraintKind, ResultCode),
    target: Option<&str>,
    columns: &[(&str, &str)],
) {
    let failed = failed_constraint(script, sql);
    assert_eq!((failed.kind, failed.code), (kind, code), "{sql}");
    assert_eq!(failed.target.as_deref(), target, "{sql}");
    let found: Vec<_> = failed.columns.iter().map(|(table, column)| (&**table, &**column)).collect();
    assert_eq!(found, columns, "{sql}");
}

#[test]
fn constraints_on_keys_name_their_columns() {
    let unique = (ConstraintKind::Unique, ResultCode::CONSTRAINT_UNIQUE);
    let twice = "INSERT INTO t VALUES (1, 2), (1, 2)";
    assert_constraint(("CREATE TABLE t(a UNIQUE, b)", twice), unique, Some("t.a"), &[("t", "a")]);
    let both = [("t", "a"), ("t", "b")];
    assert_constraint(("CREATE TABLE t(a, b, UNIQUE(a, b))", twice), unique, Some("t.a, t.b"), &both);
    let script = "CREATE TABLE t(a, b); CREATE UNIQUE INDEX i ON t(b, a) WHERE a > 0";
    assert_constraint((script, twice), unique, Some("t.b, t.a"), &[("t", "b"), ("t", "a")]);
    let script = "CREATE TABLE t(a, b); CREATE TABLE log(x UNIQUE);
                  CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.a); END";
    assert_constraint((script, twice), unique, Some("log.x"), &[("log", "x")]);

    let primary = (ConstraintKind::PrimaryKey, ResultCode::CONSTRAINT_PRIMARYKEY);
    assert_constraint(("CREATE TABLE t(a INTEGER PRIMARY KEY, b)", twice), primary, Some("t.a"), &[("t", "a")]);
    let script = "CREATE TABLE t(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID";
    assert_constraint((script, twice), primary, Some("t.a, t.b"), &both);

    let rowid = (ConstraintKind::PrimaryKey, ResultCode::CONSTRAINT_ROWID);
    let insert = "INSERT INTO t(rowid, a) VALUES (1, 1), (1, 2)";
    assert_constraint(("CREATE TABLE t(a)", insert), rowid, Some("t.rowid"), &[("t", "rowid")]);

    let not_null = (ConstraintKind::NotNull, ResultCode::CONSTRAINT_NOTNULL);
    let insert = "INSERT INTO t(b) VALUES (1)";
    assert_constraint(("CREATE TABLE t(a NOT NULL, b)", insert), not_null, Some("t.a"), &[("t", "a")]);
}

#[test]
fn constraints_without_columns_name_what_sqlite_names() {
    let check = (ConstraintKind::Check, ResultCode::CONSTRAINT_CHECK);
    let insert = "INSERT INTO t VALUES (0)";
    assert_constraint(("CREATE TABLE t(a CHECK (t.a IN (1, 2)))", insert), check, Some("t.a IN (1, 2)"), &[]);
    assert_constraint(("CREATE TABLE t(a CONSTRAINT positive CHECK (a > 0))", insert), check, Some("positive"), &[]);
    let script = "CREATE TABLE t(a, CONSTRAINT \"a.b, c.d\" CHECK (a > 0))";
    assert_constraint((script, insert), check, Some("a.b, c.d"), &[]);

    let unique = (ConstraintKind::Unique, ResultCode::CONSTRAINT_UNIQUE);
    let script = "CREATE TABLE t(a); CREATE UNIQUE INDEX i ON t(lower(a))";
    assert_constraint((script, "INSERT INTO t VALUES ('A'), ('a')"), unique, Some("index 'i'"), &[]);

    let foreign = (ConstraintKind::ForeignKey, ResultCode::CONSTRAINT_FOREIGNKEY);
    let script = "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(a REFERENCES p)";
    assert_constraint((script, "INSERT INTO t VALUES (7)"), foreign, None, &[]);

    let trigger = (ConstraintKind::Trigger, ResultCode::CONSTRAINT_TRIGGER);
    let script = "CREATE TABLE t(a); CREATE TRIGGER tr BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'closed'); END";
    assert_constraint((script, insert), trigger, None, &[]);
    assert!(failure(&memory(script), insert).to_string().starts_with("closed [SQLITE_CONSTRAINT_TRIGGER]"));

    let other = (ConstraintKind::Other, ResultCode::CONSTRAINT);
    let script = "CREATE VIRTUAL TABLE r USING rtree(id, low, high)";
    let failed = failed_constraint(script, "INSERT INTO r VALUES (1, 2, 1)");
    assert_eq!((failed.kind, failed.code), other);
    assert!(failed.columns.is_empty());
}

#[test]
fn a_strict_table_refuses_by_a_constraint() {
    let kind = (ConstraintKind::DataType, ResultCode::CONSTRAINT_DATATYPE);
    let failed = failed_constraint("CREATE TABLE t(a INTEGER) STRICT", "INSERT INTO t VALUES ('one')");
    assert_eq!((failed.kind, failed.code), kind);
}

#[test]
fn the_column_of_a_strict_table_is_the_target() {
    let kind = (ConstraintKind::DataType, ResultCode::CONSTRAINT_DATATYPE);
    let script = "CREATE TABLE t(a INTEGER) STRICT";
    assert_constraint((script, "INSERT INTO t VALUES ('one')"), kind, Some("t.a"), &[("t", "a")]);
}

#[test]
fn an_index_is_no_column() {
    let unique = (ConstraintKind::Unique, ResultCode::CONSTRAINT_UNIQUE);
    let script = "CREATE TABLE t(a); CREATE UNIQUE INDEX \"a.b\" ON t(lower(a))";
    assert_constraint((script, "INSERT INTO t VALUES ('A'), ('a')"), unique, Some("index 'a.b'"), &[]);
}

#[test]
fn the_message_of_a_trigger_is_no_target() {
    let trigger = (ConstraintKind::Trigger, ResultCode::CONSTRAINT_TRIGGER);
    let script = "CREATE TABLE t(a);
                  CREATE TRIGGER tr BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'constraint failed: by hand'); END";
    assert_constraint((script, "INSERT INTO t VALUES (1)"), trigger, None, &[]);
}

#[test]
fn a_deferred_foreign_key_fails_the_commit() {
    let mut conn = memory(
        "CREATE TABLE p(id INTEGER PRIMARY KEY);
         CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED);",
    );
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO c VALUES (7)", ()).unwrap();
    let error = tx.commit().unwrap_err();
    assert_eq!(error.constraint().unwrap().kind(), ConstraintKind::ForeignKey);
    assert_eq!(error.sql(), Some("COMMIT"));
}

#[derive(Debug)]
struct Seven;

impl FromSql<'_> for Seven {
    fn from_sql(value: ValueRef<'_>) -> Result<Self, ConversionError> {
        match value.as_str()?.parse::<i64>() {
            Ok(7) => Ok(Self),
            Ok(_) => Err(ConversionError::message("Seven", "some other number")),
            Err(error) => Err(ConversionError::other("Seven", error)),
        }
    }
}

#[test]
fn the_source_is_the_callers_error() {
    let conn = memory("");
    let error = Error::external(fmt::Error);
    assert!(error.source().unwrap().is::<fmt::Error>());
    let error = conn.query_row("SELECT 1", (), |_| Err::<(), _>(Error::external("mine"))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::External(_)));
    assert_eq!(error.source().unwrap().to_string(), "mine");

    conn.query_one::<Seven>("SELECT '7'", ()).unwrap();
    let error = conn.query_one::<Seven>("SELECT 'x'", ()).unwrap_err();
    assert!(error.source().unwrap().is::<std::num::ParseIntError>());
    let error = conn.query_one::<Seven>("SELECT '8'", ()).unwrap_err();
    assert!(error.source().is_none());
    let error = conn.query_one::<String>("SELECT CAST(x'ff' AS TEXT)", ()).unwrap_err();
    assert!(error.source().unwrap().is::<std::str::Utf8Error>());

    let param = Param::error(ConversionError::other("Seven", fmt::Error));
    let error = conn.query_one::<i64>("SELECT ?", (param,)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ParameterConversion { .. }));
    assert!(error.source().unwrap().is::<fmt::Error>());

    assert!(failure(&conn, "nonsense").source().is_none());
}

/// `fn main() -> finalite::Result<()>` prints `Debug`.
#[test]
fn debug_begins_with_what_display_says() {
    let mut conn = memory(
        "CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1);
         CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
    );
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO child VALUES (7)", ()).unwrap();
    let commit = tx.commit_or_return().unwrap_err();
    let mut lines = vec![[commit.to_string(), format!("{commit:?}"), format!("{commit:#?}")]];
    drop(commit);
    let close = {
        let conn = memory("");
        let mut statement = ptr::null_mut();
        // SAFETY: the connection is open; the statement keeps it from being closed, until it is finalized below.
        unsafe {
            ffi::sqlite3_prepare_v2(conn.as_raw(), c"SELECT 1".as_ptr(), -1, &raw mut statement, ptr::null_mut());
        }
        let close = conn.close_or_return().unwrap_err();
        lines.push([close.to_string(), format!("{close:?}"), format!("{close:#?}")]);
        // SAFETY: made above, and finalized once.
        unsafe { ffi::sqlite3_finalize(statement) };
        close
    };
    close.into_connection().close().unwrap();
    for error in [
        failure(&conn, "SELECT nowhere FROM t"),
        failure(&conn, "INSERT INTO t VALUES (1)"),
        conn.query_one::<String>("SELECT 1 AS one", ()).unwrap_err(),
        conn.query_row("SELECT 1 AS one", (), |row| row.get::<i64>("two")).unwrap_err(),
        conn.execute("SELECT ?", (1, 2)).unwrap_err(),
        conn.execute("", ()).unwrap_err(),
        Connection::open("/missing/a.db").unwrap_err(),
        Error::external("mine"),
    ] {
        let (debug, pretty) = (format!("{error:?}"), format!("{error:#?}"));
        assert!(debug.contains(" Error { kind: ") && debug.contains("databases: ["), "{debug}");
        assert!(is_one_line(&debug), "{debug}");
        lines.push([error.to_string(), debug, pretty]);
    }
    let conversion = ConversionError::message("Seven", "some other number");
    lines.push([conversion.to_string(), format!("{conversion:?}"), format!("{conversion:#?}")]);
    for [display, debug, pretty] in lines {
        assert!(debug.starts_with(&format!("{display}; ")), "{debug}");
        assert!(pretty.starts_with(&format!("{display}; ")), "{pretty}");
    }
}

#[test]
fn an_error_says_the_same_after_the_connection_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.execute_batch("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)").unwrap();
    conn.execute("PRAGMA query_only = on", ()).unwrap();
    let errors = [
        failure(&conn, "SELECT nowhere"),
        failure(&conn, "INSERT INTO t VALUES (1)"),
        conn.query_one::<String>("SELECT a FROM t", ()).unwrap_err(),
    ];
    let say = || errors.iter().map(|error| format!("{error} {error:?} {:?}", error.constraint())).collect::<Vec<_>>();
    let before = say();
    conn.close().unwrap();
    drop(dir);
    assert_eq!(say(), before);
}

#[test]
fn long_sql_is_cut_in_the_line_and_whole_in_the_error() {
    let conn = memory("");
    for letter in ["x", "ä", "€", "😀"] {
        for length in (150..260).chain([10_000]) {
            for sql in [
                // One word, many words, and a cut at every offset within a character.
                format!("SELECT 1 AS {}, nowhere", letter.repeat(length)),
                format!("SELECT '{}', nowhere", format!("{letter} ").repeat(length)),
                format!("SELECT nowhere, '{}'", letter.repeat(length)),
            ] {
                let error = conn.prepare(&sql).unwrap_err();
                let line = error.to_string();
                assert!(line.chars().count() < 320, "{} characters: {line}", line.chars().count());
                assert!(line.contains("no such column: nowhere") && line.contains(", in: "), "{line}");
                assert_eq!(error.sql(), Some(&*sql));
            }
        }
    }
    let line = conn.prepare("SELECT\n\t1,\r\n  nowhere").unwrap_err().to_string();
    assert!(line.ends_with("in: SELECT 1, nowhere"), "{line}");
}

/// Whether a log viewer shows it as one line, and a terminal takes nothing in it for a command.
fn is_one_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

#[test]
fn sql_is_shown_on_one_line() {
    assert!(!is_one_line("a\nb") && !is_one_line("\u{1b}[2J") && is_one_line("ä"));
    let conn = memory("CREATE TABLE t(a, b)");
    for error in [
        conn.prepare("SELECT\n1,\r\n\tnowhere").unwrap_err(),
        conn.prepare("SELECT\n1;\nSELECT\n2").unwrap_err(),
        conn.prepare("\n-- nothing\n").unwrap_err(),
        conn.query_one::<i64>("SELECT\n'a'\nAS\nb", ()).unwrap_err(),
        conn.execute_batch("SELECT\n1;\nSELECT\nnowhere;\nSELECT\n2").unwrap_err(),
    ] {
        assert!(is_one_line(&error.to_string()), "{error:?}");
    }
}

#[test]
fn names_and_messages_are_shown_on_one_line() {
    let conn = memory("CREATE TABLE t(a, b CHECK (b > 0\n AND b < 10))");
    for error in [
        conn.query_one::<i64>("SELECT 'a\nb'", ()).unwrap_err(),
        conn.query_row("SELECT 1 AS \"o\nne\"", (), |row| row.get::<i64>("t\nwo")).unwrap_err(),
        conn.prepare("SELECT [no\nwhere] FROM t").unwrap_err(),
        failure(&conn, "INSERT INTO t VALUES (1, 0)"),
        Connection::open("/no\nwhere/a.db").unwrap_err(),
    ] {
        assert!(is_one_line(&error.to_string()), "{error:?}");
    }
}

#[test]
fn control_characters_in_sql_are_not_shown_as_they_are() {
    let conn = memory("");
    for sql in ["SELECT 1\0", "SELECT '\u{1b}[2J', nowhere", "SELECT \u{8}"] {
        let error = conn.prepare(sql).unwrap_err();
        assert!(is_one_line(&error.to_string()), "{error:?}");
        assert_eq!(error.sql(), Some(sql));
    }
}

#[test]
fn names_are_shortened() {
    let conn = memory("");
    let columns: Vec<String> = (0..2000).map(|n| format!("{n} AS column_{n}")).collect();
    let error =
        conn.query_row(&format!("SELECT {}", columns.join(", ")), (), |row| row.get::<i64>("nowhere")).unwrap_err();
    assert!(error.to_string().len() < 1000, "{} bytes", error.to_string().len());
    let parameters: Vec<String> = (0..2000).map(|n| format!(":parameter_{n}")).collect();
    let error =
        conn.execute(&format!("SELECT 1 IN ({})", parameters.join(", ")), named_params! { ":x": 1 }).unwrap_err();
    assert!(error.to_string().len() < 1000, "{} bytes", error.to_string().len());
    let error = conn.query_one::<i64>(&format!("SELECT '{}'", "x".repeat(10_000)), ()).unwrap_err();
    assert!(error.to_string().len() < 1000, "{} bytes", error.to_string().len());
}

#[test]
fn the_line_shows_the_place_of_the_mistake_in_long_sql() {
    let conn = memory("");
    let sql = format!("SELECT '{}',\n  misspelt_function(1), '{}'", "before ".repeat(100), "after ".repeat(100));
    let line = conn.prepare(&sql).unwrap_err().to_string();
    let (_, shown) = line.split_once(", in: ").unwrap();
    assert!(shown.contains("misspelt_function(1)"), "{line}");
}

#[test]
fn a_short_or_doubtful_value_is_cut_where_it_is_a_word() {
    let conn = memory("");
    conn.execute("ATTACH ':memory:' AS ?", ("a",)).unwrap();
    conn.execute("ATTACH ':memory:' AS ?", (42,)).unwrap();
    conn.execute("ATTACH ':memory:' AS ?", ("it's",)).unwrap();
    for error in [
        conn.execute("ATTACH ':memory:' AS ?", ("a",)).unwrap_err(),
        conn.execute("ATTACH ':memory:' AS ?", (42,)).unwrap_err(),
        conn.execute("ATTACH ':memory:' AS ?", ("it's",)).unwrap_err(),
    ] {
        assert_eq!(error.kind().to_string(), "database … is already in use");
    }
}

#[test]
fn what_the_sql_says_is_shown() {
    let conn = memory("CREATE TABLE t(a)");
    conn.execute("ATTACH ':memory:' AS \"o\"\"ther\"", ()).unwrap();
    for (sql, expected) in [
        ("RELEASE plain", "no such savepoint: plain"),
        ("RELEASE \"a\"\"b\"", "no such savepoint: a\"b"),
        ("RELEASE `a``b`", "no such savepoint: a`b"),
        ("DETACH 'it''s'", "no such database: it's"),
        ("ATTACH ':memory:' AS \"o\"\"ther\"", "database o\"ther is already in use"),
    ] {
        assert_eq!(failure(&conn, sql).kind().to_string(), expected);
    }
    // A value that is in the SQL too is no secret.
    let sql = "SELECT cid, :schema AS nowhere FROM pragma_table_info('t', :schema)";
    let error = conn.query_all::<(i64, String)>(sql, ("nowhere",)).unwrap_err();
    assert_eq!(error.kind().to_string(), "unknown database 'nowhere'");
    // The words of a trigger are the program's own.
    conn.execute_batch("CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'no ' || NEW.a); END").unwrap();
    let error = conn.execute("INSERT INTO t VALUES (?)", ("apples",)).unwrap_err();
    assert!(error.to_string().starts_with("no apples"), "{error}");
}

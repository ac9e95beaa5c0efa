//! The advisories and holes of other drivers, as far as this part could have them, each by its name.

use finalite::{Connection, ErrorKind, OpenOptions, Type, ffi};

/// RUSTSEC-2020-0014 (rusqlite), RUSTSEC-2026-0111 (diesel): text of SQLite's taken for UTF-8 unchecked.
#[test]
fn rustsec_2020_0014_and_2026_0111_text_is_validated() {
    let conn = Connection::open_in_memory().unwrap();
    let error = conn.query_one::<String>("SELECT CAST(x'c328' AS TEXT)", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnConversion { found: Type::Text, .. }));
    // Names too, and those are shown, with a sign for what is wrong.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let script = "CREATE TABLE t(c);
                  INSERT INTO t VALUES (1);
                  PRAGMA writable_schema = on;
                  UPDATE sqlite_schema SET sql = 'CREATE TABLE t(\"' || CAST(x'61c328' AS TEXT) || '\")'";
    Connection::open(&path).unwrap().execute_batch(script).unwrap();
    let conn = Connection::open(&path).unwrap();
    let name = conn.query_row("SELECT * FROM t", (), |row| Ok(row.column_name(0)?.to_owned())).unwrap();
    assert_eq!(name, "a\u{fffd}(");
    assert_eq!(conn.prepare("SELECT * FROM t").unwrap().columns().unwrap()[0].origin_column(), origin("a\u{fffd}("));
    // It is that name of which SQLite has bytes that are no UTF-8.
    let bytes = "SELECT CAST(name AS BLOB) FROM pragma_table_info('t')";
    assert_eq!(conn.query_one::<Vec<u8>>(bytes, ()).unwrap(), b"a\xc3(");
}

/// What there is of a column's origin: nothing, in a system library that may be built without.
fn origin(name: &str) -> Option<&str> {
    cfg!(feature = "bundled").then_some(name)
}

/// SQL that calls any address: `fts3_tokenizer` takes a blob for a pointer to C functions, and one that is bound whatever
/// `SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER` is.
#[test]
fn fts3_tokenizer_takes_no_address_from_sql() {
    let check = |conn: &Connection| {
        let address = 0x1234_5678_9abc_def0_u64.to_ne_bytes();
        let error = conn.query_one::<Vec<u8>>("SELECT fts3_tokenizer('x', ?)", (&address[..],)).unwrap_err();
        assert!(error.to_string().contains("no such function"), "{error}");
        // Nor does it tell one.
        assert!(conn.query_one::<Vec<u8>>("SELECT fts3_tokenizer(?)", ("simple",)).is_err());
        assert!(conn.execute("CREATE VIRTUAL TABLE bad USING fts3(a, tokenize=x)", ()).is_err());
        // Those that exist are there.
        conn.execute("CREATE VIRTUAL TABLE good USING fts3(a, tokenize=porter)", ()).unwrap();
        conn.execute("INSERT INTO good VALUES ('running')", ()).unwrap();
        assert!(conn.exists("SELECT 1 FROM good WHERE good MATCH 'runs'", ()).unwrap());
    };
    check(&Connection::open_in_memory().unwrap());
    check(&OpenOptions::untrusted().open_in_memory().unwrap());
    let mut raw = std::ptr::null_mut();
    // SAFETY: the path is NUL-terminated, and the handle goes to `raw`.
    assert_eq!(unsafe { ffi::sqlite3_open(c":memory:".as_ptr(), &raw mut raw) }, 0);
    // SAFETY: the handle was just opened, and nobody else has it.
    check(&unsafe { Connection::from_raw(raw) }.unwrap());
}

/// RUSTSEC-2021-0037 (diesel): a column name kept across the step that prepares anew.
#[test]
fn rustsec_2021_0037_names_survive_a_schema_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let before: Vec<String> = statement.column_names().unwrap().map(str::to_owned).collect();
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE t RENAME COLUMN a TO renamed").unwrap();
    statement
        .query_row((), |row| {
            assert_eq!(row.column_name(0)?, "renamed");
            row.get::<i64>("renamed")
        })
        .unwrap();
    assert_eq!(before, ["a"]);
    assert_eq!(statement.column_names().unwrap().collect::<Vec<_>>(), ["renamed"]);
}

/// RUSTSEC-2022-0090 (libsqlite3-sys): SQLite before 3.39.2 (CVE-2022-35737).
#[test]
fn rustsec_2022_0090_the_bundled_sqlite_is_newer() {
    assert!(finalite::sqlite::version_number() >= 3_039_002);
}

/// RUSTSEC-2024-0363 (sqlx), RUSTSEC-2024-0365 (diesel): lengths cut to 32 bits.
#[test]
fn rustsec_2024_0363_and_0365_lengths_are_not_cut() {
    let conn = Connection::open_in_memory().unwrap();
    // 4 GiB + 1 would be 1 byte, 2 GiB a negative length.
    for bytes in [(1_u64 << 32) + 1, 1 << 31, u64::MAX] {
        let error = conn.query_one::<i64>("SELECT length(?)", (finalite::ZeroBlob(bytes),)).unwrap_err();
        assert_eq!(error.code_name(), Some("SQLITE_TOOBIG"), "{bytes}");
    }
    assert_eq!(conn.query_one::<i64>("SELECT length(?)", (finalite::ZeroBlob(5),)).unwrap(), 5);
}

/// RUSTSEC-2026-0178 (tokio-postgres): a panic on a row that is shorter than expected.
#[test]
fn rustsec_2026_0178_a_short_row_is_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    let error = conn.query_one::<(i64, i64, i64)>("SELECT 1, 2", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ColumnCount { expected: 3, found: 2, .. }));
}

/// rusqlite 1546: an interrupt handle that outlives its connection wrote out of bounds.
#[test]
fn rusqlite_1546_an_interrupt_handle_may_outlive_its_connection() {
    let conn = Connection::open_in_memory().unwrap();
    let handle = conn.interrupt_handle();
    let in_thread = std::thread::spawn({
        let handle = handle.clone();
        move || while handle.interrupt() {}
    });
    drop(conn);
    in_thread.join().unwrap();
    assert!(!handle.interrupt());
}

/// rusqlite 913, 1016: NULL from SQLite where a statement is empty.
#[test]
fn rusqlite_913_and_1016_empty_sql_is_no_null_statement() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(matches!(conn.prepare_cached("-- nothing").unwrap_err().kind(), ErrorKind::EmptySql));
    assert_eq!(conn.script(";;-- nothing").count(), 0);
}

/// rusqlite 15385cc0: SQL injected through the name of a savepoint.
#[test]
fn rusqlite_15385cc0_savepoint_names_are_quoted() {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    let mut tx = conn.transaction().unwrap();
    tx.savepoint_named("x; DROP TABLE t; --").unwrap().commit().unwrap();
    tx.savepoint_named("x\"; DROP TABLE t; --").unwrap().rollback().unwrap();
    tx.commit().unwrap();
    conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap();
}

/// rusqlite: `execute_batch("SELECT 1;\0 DROP TABLE x")` ran one half and said `Ok`.
#[test]
fn rusqlite_a_nul_does_not_hide_the_rest_of_a_script() {
    let conn = Connection::open_in_memory().unwrap();
    assert!(matches!(conn.execute_batch("SELECT 1;\0 SELECT 2").unwrap_err().kind(), ErrorKind::NulInSql));
}

/// r2d2 31, diesel 2020: a panic in a transaction left it open.
#[test]
fn diesel_2020_a_panic_in_a_transaction_ends_it() {
    let mut conn = Connection::open_in_memory().unwrap();
    let run = std::panic::AssertUnwindSafe(|| {
        let _tx = conn.transaction().unwrap();
        panic!("in a transaction");
    });
    assert!(std::panic::catch_unwind(run).is_err());
    assert!(conn.is_autocommit());
}

/// rusqlite 1371: columns of a cached `SELECT *` after an `ALTER TABLE`.
#[test]
fn rusqlite_1371_a_cached_select_star_has_the_columns_of_now() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let sql = "SELECT * FROM t";
    assert_eq!(conn.query_one::<i64>(sql, ()).unwrap(), 1);
    conn.execute("ALTER TABLE t ADD COLUMN b DEFAULT 'x'", ()).unwrap();
    assert_eq!(conn.query_one::<(i64, String)>(sql, ()).unwrap(), (1, "x".into()));
    conn.execute("ALTER TABLE t DROP COLUMN a", ()).unwrap();
    assert_eq!(conn.query_one::<String>(sql, ()).unwrap(), "x");
}

/// A rollback under a running statement (`SQLITE_ABORT_ROLLBACK`): an error, and the statement runs again.
#[test]
fn rows_that_a_rollback_aborts_end_with_an_error() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2); BEGIN; CREATE TABLE u(a)").unwrap();
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.execute("ROLLBACK", ()).unwrap();
    assert_eq!(rows.next().unwrap_err().code_name(), Some("SQLITE_ABORT_ROLLBACK"));
    drop(rows);
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [1, 2]);
}

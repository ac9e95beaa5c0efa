//! Whose words a message is in: SQLite's own are cut where they quote a value, the program's are shown whole.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;

use finalite::{Connection, Error, Param, PragmaValue, ResultCode, ffi, params_from_iter};

const SECRET: &str = "s3cr3t-value";

type Function = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

fn argument(values: *mut *mut ffi::sqlite3_value) -> String {
    // SAFETY: SQLite calls the function with the one argument that it was registered for.
    let value = unsafe { *values };
    // SAFETY: the value is alive during the call.
    let text: *const c_char = unsafe { ffi::sqlite3_value_text(value) }.cast();
    // SAFETY: text is NUL-terminated, and there was memory for it.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

fn fail(context: *mut ffi::sqlite3_context, message: &str, code: Option<c_int>) {
    let message = CString::new(message).unwrap();
    // SAFETY: SQLite copies the message.
    unsafe { ffi::sqlite3_result_error(context, message.as_ptr(), -1) };
    if let Some(code) = code {
        // SAFETY: the context is that of the call.
        unsafe { ffi::sqlite3_result_error_code(context, code) };
    }
}

unsafe extern "C" fn config(context: *mut ffi::sqlite3_context, _: c_int, values: *mut *mut ffi::sqlite3_value) {
    fail(context, &format!("config: no such file: {}", argument(values)), None);
}

unsafe extern "C" fn refused(context: *mut ffi::sqlite3_context, _: c_int, values: *mut *mut ffi::sqlite3_value) {
    fail(context, &argument(values), None);
}

unsafe extern "C" fn unopened(context: *mut ffi::sqlite3_context, _: c_int, values: *mut *mut ffi::sqlite3_value) {
    fail(context, &format!("cannot open: {}", argument(values)), Some(ffi::SQLITE_CANTOPEN));
}

fn register(conn: &Connection, name: &CStr, function: Function) {
    // SAFETY: the connection is open and lives through the call.
    let db = unsafe { conn.as_raw() };
    // SAFETY: the function lives as long as the program and needs no context.
    let code = unsafe {
        ffi::sqlite3_create_function_v2(
            db,
            name.as_ptr(),
            1,
            ffi::SQLITE_UTF8,
            ptr::null_mut(),
            Some(function),
            None,
            None,
            None,
        )
    };
    assert_eq!(code, ffi::SQLITE_OK);
}

fn with_functions() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    register(&conn, c"config", config);
    register(&conn, c"refused", refused);
    register(&conn, c"unopened", unopened);
    conn.execute_batch(
        "CREATE TABLE t(secret);
         INSERT INTO t VALUES ('s3cr3t-value');
         CREATE TABLE closed(a);
         CREATE TRIGGER closing BEFORE INSERT ON closed
             BEGIN SELECT RAISE(ABORT, 'cannot set: ' || NEW.a) FROM t; END;",
    )
    .unwrap();
    conn
}

fn running(conn: &Connection, sql: &str) -> Error {
    let params = if sql.contains('?') { vec![SECRET] } else { Vec::new() };
    conn.execute(sql, params_from_iter(&params)).unwrap_err()
}

#[test]
fn the_words_of_the_program_are_shown_whole() {
    let conn = with_functions();
    for (sql, words) in [
        ("SELECT config(?)", "config: no such file: s3cr3t-value"),
        ("SELECT config(secret) FROM t", "config: no such file: s3cr3t-value"),
        ("SELECT refused('late: ' || ?)", "late: s3cr3t-value"),
        ("SELECT refused(' near ' || secret) FROM t", " near s3cr3t-value"),
        ("SELECT refused(?)", "s3cr3t-value"),
        ("SELECT unopened(?)", "cannot open: s3cr3t-value"),
        ("INSERT INTO closed VALUES (?)", "cannot set: s3cr3t-value"),
        ("INSERT INTO closed SELECT secret FROM t", "cannot set: s3cr3t-value"),
    ] {
        let error = running(&conn, sql);
        assert_eq!(error.kind().to_string(), words.trim_start(), "{sql}");
    }
    assert_eq!(running(&conn, "SELECT unopened(?)").code(), Some(ResultCode::CANTOPEN));
}

#[test]
fn sqlites_words_are_cut_whoever_else_has_functions() {
    let strange = Connection::open_in_memory().unwrap();
    let path = format!("/no/where/{SECRET}");
    for conn in [with_functions(), strange] {
        conn.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('a'); CREATE TABLE paths(path)",
        )
        .unwrap();
        conn.execute("INSERT INTO paths VALUES (?)", (SECRET,)).unwrap();
        conn.execute("ATTACH ':memory:' AS ?", (SECRET,)).unwrap();
        let value = |sql: &str| conn.query_all::<i64>(sql, (SECRET,)).unwrap_err();
        let errors = [
            value("SELECT json_extract('{}', ?)"),
            value("SELECT json_set('{}', ?, 1)"),
            value("SELECT value FROM json_each('{}', ?)"),
            conn.query_all::<i64>("SELECT json_extract('{}', path) FROM paths", ()).unwrap_err(),
            conn.execute("DETACH ?", ("s3cr3t-value?",)).unwrap_err(),
            conn.execute("ATTACH ? AS other", (&path,)).unwrap_err(),
            conn.execute("ATTACH ? AS other", (format!("file:x?vfs={SECRET}"),)).unwrap_err(),
            conn.execute("ATTACH ? AS other", (format!("file:x?mode={SECRET}"),)).unwrap_err(),
            conn.execute("ATTACH ? AS other", (format!("file:x?cache={SECRET}"),)).unwrap_err(),
            conn.execute("ATTACH ? AS other", (format!("file://{SECRET}/x"),)).unwrap_err(),
            conn.execute("ATTACH ':memory:' AS ?", (SECRET,)).unwrap_err(),
            conn.query_all::<i64>("SELECT cid FROM pragma_table_info('t', ?)", ("s3cr3t-value?",)).unwrap_err(),
            conn.query_all::<i64>("SELECT 1 FROM words WHERE words MATCH ?", (format!("\"{SECRET}\" : x"),))
                .unwrap_err(),
            conn.query_all::<i64>("SELECT 1 FROM words WHERE words MATCH ?", (format!("*{SECRET}"),)).unwrap_err(),
            conn.query_all::<i64>(
                "SELECT 1 FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank",
                ("a", "s3cr3t_value(1)"),
            )
            .unwrap_err(),
        ];
        for error in errors {
            let line = error.kind().to_string();
            assert!(!line.contains("s3cr3t"), "{line}");
            assert!(line.contains('…'), "{line}");
        }
    }
}

#[test]
fn debug_of_what_is_bound_tells_type_and_length() {
    let owned = SECRET.to_owned();
    for (param, expected) in [
        (Param::null(), "Param(NULL)"),
        (Param::integer(4711), "Param(INTEGER)"),
        (Param::real(47.11), "Param(REAL)"),
        (Param::text(SECRET), "Param(TEXT, 12 bytes)"),
        (Param::text(owned.clone()), "Param(TEXT, 12 bytes)"),
        (Param::blob(SECRET.as_bytes()), "Param(BLOB, 12 bytes)"),
        (Param::zeroblob(1000), "Param(BLOB, 1000 bytes)"),
    ] {
        assert_eq!(format!("{param:?}"), expected);
        let pretty = format!("{param:#?}");
        assert!(!pretty.contains("4711") && !pretty.contains(SECRET), "{pretty}");
    }
    let bound = [
        format!("{:?}", params_from_iter([SECRET])),
        format!("{:?}", params_from_iter(vec![owned])),
        format!("{:?}", finalite::params![SECRET, 7]),
        format!("{:?}", finalite::named_params! { ":a": SECRET }),
        format!("{:?}", PragmaValue::from(SECRET)),
        format!("{:?}", PragmaValue::from(SECRET.to_owned())),
    ];
    for text in bound {
        assert!(!text.is_empty() && !text.contains(SECRET), "{text}");
    }
}

/// FTS5 tells which row of its content table is missing.
#[test]
fn a_rowid_that_is_stored_is_not_shown() {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(
        "CREATE TABLE d(a); CREATE VIRTUAL TABLE f USING fts5(a, content='d');
         INSERT INTO d(rowid, a) VALUES (471147, 'x'); INSERT INTO f(rowid, a) VALUES (471147, 'x'); DELETE FROM d",
    )
    .unwrap();
    let error = conn.query_all::<String>("SELECT a FROM f WHERE f MATCH ?", ("x",)).unwrap_err();
    assert_eq!(error.extended_code(), Some(ResultCode::CORRUPT_VTAB));
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("fts5: missing row …") && !shown.contains("471147"), "{shown}");
}

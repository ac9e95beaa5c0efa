//! Extensions: shared libraries that are compiled here. Without a C compiler and SQLite's header, these tests say so
//! and end.

use std::path::{Path, PathBuf};
use std::process::Command;

use finalite::extend::virtual_table::Series;
use finalite::extend::{
    Extension, FunctionContext, FunctionOptions, Replaced, TableColumns, TableFunctionCall, aggregate, window,
};
use finalite::pool::{DestroyReason, Pool};
use finalite::{Connection, DbConfig, ErrorKind, ResultCode};
use tempfile::TempDir;

const SOURCE: &str = r#"
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1
static void twice(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count;
    sqlite3_result_int64(context, 2 * sqlite3_value_int64(values[0]));
}
static void failing(sqlite3_context *context, int count, sqlite3_value **values) {
    (void)count; (void)values;
    sqlite3_result_error(context, "the words of the extension", -1);
}
int sqlite3_extension_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    (void)message;
    SQLITE_EXTENSION_INIT2(api);
    sqlite3_create_function(db, "failing", 0, SQLITE_UTF8, 0, failing, 0, 0);
    return sqlite3_create_function(db, "twice", 1, SQLITE_UTF8, 0, twice, 0, 0);
}
int other_entry(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    (void)message;
    SQLITE_EXTENSION_INIT2(api);
    return sqlite3_create_function(db, "of_other_entry", 1, SQLITE_UTF8, 0, twice, 0, 0);
}
int refusing(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    (void)db;
    SQLITE_EXTENSION_INIT2(api);
    *message = sqlite3_mprintf("no licence for %s", "this");
    return SQLITE_ERROR;
}
int silent(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
    (void)db; (void)message; (void)api;
    return SQLITE_ERROR;
}
"#;

/// The directory of `sqlite3ext.h`: that of the bundled SQLite, or of the system.
fn include() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let list = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let registries = home.into_iter().flat_map(|home| list(home.join("registry/src")));
    let packages = registries.flat_map(list).filter(|path| path.to_string_lossy().contains("libsqlite3-sys"));
    let bundled = packages.map(|package| package.join("sqlite3"));
    bundled.chain(["/usr/include".into()]).find(|path| path.join("sqlite3ext.h").exists())
}

/// Compiles the extension. `None` if that is not possible here.
fn compile() -> Option<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("twice.c"), dir.path().join("twice.so"));
    std::fs::write(&source, SOURCE).unwrap();
    let compile = |include: PathBuf| {
        let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.arg("-shared").arg("-fPIC").arg("-I").arg(include).arg("-o").arg(&library).arg(&source);
        compiler.output().ok().filter(|output| output.status.success())
    };
    if cfg!(not(unix)) || include().and_then(compile).is_none() {
        eprintln!("skipped: no C compiler, or no sqlite3ext.h");
        return None;
    }
    Some((dir, library))
}

fn load(conn: &Connection, path: &Path, entry_point: Option<&str>) -> finalite::Result<()> {
    // SAFETY: the extension above, which registers functions that live as long as it is loaded, and calls nothing else.
    unsafe { conn.load_extension(path, entry_point) }
}

/// What SQL may load is nothing, before and after. Whether C code may is as it was: a build of SQLite decides.
fn assert_sql_loads_nothing(conn: &Connection, path: &Path) {
    let error = conn.query_one::<Option<i64>>("SELECT load_extension(?)", (path.to_str().unwrap(),)).unwrap_err();
    assert!(error.to_string().contains("not authorized"), "{error}");
    let new = Connection::open_in_memory().unwrap().db_config(DbConfig::LoadExtension).unwrap();
    assert_eq!(conn.db_config(DbConfig::LoadExtension).unwrap(), new);
}

#[test]
fn functions_of_an_extension_are_called() {
    let Some((_dir, library)) = compile() else { return };
    let conn = Connection::open_in_memory().unwrap();
    assert_sql_loads_nothing(&conn, &library);
    load(&conn, &library, None).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT twice(21)", ()).unwrap(), 42);
    assert_sql_loads_nothing(&conn, &library);
    // Its words are the program's, and shown whole.
    let error = conn.query_one::<i64>("SELECT failing()", ()).unwrap_err();
    assert!(error.to_string().starts_with("the words of the extension"), "{error}");
    // Without its ending; by a name of an entry point; twice.
    let conn = Connection::open_in_memory().unwrap();
    load(&conn, &library.with_extension(""), Some("other_entry")).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT of_other_entry(4)", ()).unwrap(), 8);
    load(&conn, &library, None).unwrap();
    load(&conn, &library, None).unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT twice(of_other_entry(1))", ()).unwrap(), 4);
    conn.close().unwrap();
    // Another connection does not have it.
    assert!(Connection::open_in_memory().unwrap().query_one::<i64>("SELECT twice(1)", ()).is_err());
}

#[test]
fn errors_have_the_words_of_the_system_or_the_extension() {
    let conn = Connection::open_in_memory().unwrap();
    let error = load(&conn, Path::new("/no/where/at/all"), None).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::ERROR));
    assert!(error.to_string().contains("/no/where/at/all"), "{error}");
    assert!(load(&conn, Path::new(""), None).is_err());
    let error = load(&conn, Path::new("a\0b"), None).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Path { .. }), "{error}");
    let error = load(&conn, Path::new("a"), Some("b\0c")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error}");
    let Some((dir, library)) = compile() else { return };
    std::fs::write(dir.path().join("text.so"), "no library").unwrap();
    assert!(load(&conn, &dir.path().join("text.so"), None).is_err());
    for (entry, words) in [
        ("nowhere", "nowhere"),
        ("refusing", "error during initialization: no licence for this"),
        ("silent", "error during initialization"),
    ] {
        for _ in 0..10 {
            let error = load(&conn, &library, Some(entry)).unwrap_err();
            assert!(error.to_string().contains(words), "{entry}: {error}");
            assert_eq!(error.code(), Some(ResultCode::ERROR));
        }
        assert_sql_loads_nothing(&conn, &library);
        assert_eq!(conn.query_one::<i64>("SELECT 1", ()).unwrap(), 1);
    }
    load(&conn, &library, None).unwrap();
    conn.close().unwrap();
}

/// The switch is as it was, whatever it was.
#[test]
fn the_switch_is_restored() {
    let conn = Connection::open_in_memory().unwrap();
    for on in [true, false] {
        conn.set_db_config(DbConfig::LoadExtension, on).unwrap();
        load(&conn, Path::new("/no/where"), None).unwrap_err();
        assert_eq!(conn.db_config(DbConfig::LoadExtension).unwrap(), on);
    }
}

#[test]
fn a_pool_closes_a_connection_that_loaded_one() {
    let pool = Pool::in_memory("extension: loaded").build().unwrap();
    load(&pool.writer().unwrap(), Path::new("/no/where"), None).unwrap_err();
    assert_eq!(pool.status().destroyed(DestroyReason::Raw), 1, "its code may have run");
    let Some((_dir, library)) = compile() else { return };
    let path = library.clone();
    let pool = Pool::in_memory("extension: init").init(move |conn| load(conn, &path, None)).build().unwrap();
    for _ in 0..3 {
        assert_eq!(pool.writer().unwrap().query_one::<i64>("SELECT twice(1)", ()).unwrap(), 2);
    }
    assert_eq!(pool.status().destroyed(DestroyReason::Raw), 0);
    load(&pool.writer().unwrap(), &library, Some("other_entry")).unwrap();
    assert_eq!(pool.status().destroyed(DestroyReason::Raw), 1);
    assert!(pool.writer().unwrap().query_one::<i64>("SELECT of_other_entry(1)", ()).is_err());
}

/// [`Extension`] registers what the connection would. Hosts are programs of their own: `.ci/extension.sh`.
#[test]
fn a_connection_is_extended_by_a_function() {
    fn register(extension: &Extension<'_>) -> finalite::Result<()> {
        assert_eq!(extension.create_scalar_function("one", || 1)?, Replaced::Nothing);
        assert_eq!(extension.create_scalar_function("one", || 1)?, Replaced::Registered);
        let count = |call: &FunctionContext<'_>| Ok(i64::try_from(call.argument_count())?);
        extension.create_scalar_function_with("count_them", FunctionOptions::new(), count)?;
        let sum = aggregate(|| 0, |sum: &mut i64, n: i64| *sum += n, |sum: i64| sum);
        extension.create_aggregate_function("added", sum)?;
        let step = |sum: &mut i64, n: i64| *sum += n;
        let moving = window(|| 0, step, |sum: &mut i64, n: i64| *sum -= n, |sum: &i64| *sum);
        extension.create_window_function("moving", moving)?;
        extension.create_collation("down", |a: &str, b: &str| b.cmp(a))?;
        extension.create_bytes_collation("down_bytes", |a: &[u8], b: &[u8]| b.cmp(a))?;
        extension.create_table_function("pair", ["n"], |n: i64| [(n,), (n + 1,)])?;
        let given = |call: &TableFunctionCall<'_, '_>| Ok([(call.get::<i64>(0)?,)]);
        extension.create_table_function_with("given", TableColumns::from(["n"]).arguments(["a"]), given)?;
        extension.create_module::<Series>("numbers", ())?;
        extension.create_math_functions()?;
        extension.connection().query_one::<i64>("SELECT one()", ())?;
        Ok(())
    }
    let conn = Connection::open_in_memory().unwrap();
    conn.extend_with(register).unwrap();
    let sql = "SELECT one(), count_them(1, 2), (SELECT added(n) FROM pair(3)), (SELECT n FROM given(9)), sqrt(4.0), \
               (SELECT count(*) FROM numbers(1, 5))";
    let found: (i64, i64, i64, i64, f64, i64) = conn.query_one(sql, ()).unwrap();
    assert_eq!(found, (1, 2, 7, 9, 2.0, 5));
    let sql = "SELECT moving(n) OVER (ROWS 1 PRECEDING) FROM pair(1) ORDER BY n COLLATE down, n COLLATE down_bytes";
    assert_eq!(conn.query_all::<i64>(sql, ()).unwrap().len(), 2);
    let error = conn.extend_with(|extension| {
        extension.connection().query_one::<i64>("SELECT two()", ())?;
        Ok(())
    });
    assert!(error.unwrap_err().to_string().contains("two"));
    conn.close().unwrap();
}

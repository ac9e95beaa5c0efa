//! What a borrower may leave behind, and what the next one sees of it.

use super::*;
use crate::common::panicking::Panicking;

/// What is left open in a transaction is rolled back, and the connection lent again.
#[test]
fn transactions_left_open_are_rolled_back() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(1).build()?;
    let insert = "INSERT INTO t(b) VALUES ('never stored')";
    let ways: [&dyn Fn(&Pool) -> Outcome; 7] = [
        &|pool| Ok(pool.writer()?.execute_batch(&format!("BEGIN; {insert}"))?),
        &|pool| Ok(pool.writer()?.execute_batch(&format!("SAVEPOINT one; SAVEPOINT two; {insert}"))?),
        &|pool| {
            let mut writer = pool.writer()?;
            let tx = writer.transaction()?;
            tx.execute(insert, ())?;
            forget(tx);
            Ok(())
        },
        &|pool| {
            let mut writer = pool.writer()?;
            let mut tx = writer.transaction()?;
            let savepoint = tx.savepoint()?;
            savepoint.execute(insert, ())?;
            forget(savepoint);
            forget(tx);
            Ok(())
        },
        &|pool| {
            let writer = pool.writer()?;
            let mut statement = writer.prepare("SELECT 1 FROM sqlite_schema")?;
            statement.query(())?.next()?;
            Ok(())
        },
        &|pool| {
            let writer = pool.writer()?;
            writer.execute_batch(&format!("BEGIN; {insert}"))?;
            let mut statement = writer.prepare_cached("SELECT b FROM t")?;
            let mut rows = statement.query(())?;
            rows.next()?;
            forget(rows);
            Ok(())
        },
        &|pool| {
            let result = pool.write(|tx| tx.execute(insert, ()).and(Err::<(), _>(Error::external("no"))));
            assert!(result.is_err());
            Ok(())
        },
    ];
    for (turn, way) in ways.iter().enumerate() {
        way(&pool)?;
        let writer = pool.writer()?;
        assert!(writer.is_autocommit(), "{turn}");
        assert_eq!((rows(&writer), writer.last_insert_rowid()), (0, 0), "{turn}");
        let other = OpenOptions::new().busy_timeout(Duration::ZERO).open(&db.path)?;
        other.execute("UPDATE t SET b = b", ()).unwrap_or_else(|error| panic!("{turn}: {error}"));
    }
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    assert_eq!(pool.status().opened_total, 1);
    Ok(())
}

#[test]
fn statements_that_were_forgotten_cost_the_connection() -> Outcome {
    let db = Database::new();
    let pool = db.pool().readers(1).build()?;
    let ways: [&dyn Fn(&Connection); 3] = [
        &|conn| forget(conn.prepare("SELECT 1").unwrap()),
        &|conn| forget(conn.prepare_cached("SELECT 1").unwrap()),
        &|conn| {
            let mut rows = conn.prepare("SELECT 1 FROM sqlite_schema").unwrap().into_rows(()).unwrap();
            rows.next().unwrap();
            forget(rows);
        },
    ];
    for (turn, way) in (1..).zip(ways) {
        way(&*pool.reader()?);
        assert_eq!(pool.status().destroyed(DestroyReason::Forgotten), turn);
    }
    assert!(pool.close().is_clean() && db.is_closed());
    Ok(())
}

/// What a borrower may change, with the reason for which `Reset` destroys it, if it does.
const CHANGES: [(&str, Option<DestroyReason>); 12] = [
    ("CREATE TEMP TABLE x(a)", Some(DestroyReason::TemporarySchema)),
    ("CREATE TABLE temp.x(a)", Some(DestroyReason::TemporarySchema)),
    ("CREATE TEMP VIEW x AS SELECT 1", Some(DestroyReason::TemporarySchema)),
    ("create /* c */ temporary trigger x after insert on t begin select 1; end", Some(DestroyReason::TemporarySchema)),
    ("-- c\nCREATE VIRTUAL TABLE temp.x USING rtree(a, b, c)", Some(DestroyReason::TemporarySchema)),
    ("ATTACH ':memory:' AS other", None),
    ("attach ':memory:' as \"an 'odd' \"\"name\"", None),
    ("PRAGMA foreign_keys = off", None),
    ("PRAGMA case_sensitive_like = 1", Some(DestroyReason::Pragma)),
    ("PRAGMA locking_mode = exclusive", Some(DestroyReason::Pragma)),
    ("PRAGMA temp_store = memory", Some(DestroyReason::Pragma)),
    ("PRAGMA writable_schema = 1", Some(DestroyReason::Pragma)),
];

#[test]
fn reset_puts_back_what_it_can() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let new = state(&*pool.writer()?);
    for (sql, reason) in CHANGES {
        let before = pool.status();
        pool.writer()?.execute_batch(sql)?;
        let now = pool.status();
        for one in DestroyReason::ALL {
            let expected = u64::from(reason == Some(one));
            assert_eq!(now.destroyed(one) - before.destroyed(one), expected, "{sql}: {one}");
        }
        assert_eq!(state(&*pool.writer()?), new, "{sql}");
    }
    Ok(())
}

#[test]
fn destroy_closes_whatever_was_changed() -> Outcome {
    let db = Database::new();
    let pool = db.pool().on_return(ReturnPolicy::Destroy).build()?;
    for (turn, (sql, _)) in (1..).zip(CHANGES) {
        pool.writer()?.execute_batch(sql)?;
        let destroyed = pool.status();
        let sum = destroyed.destroyed(DestroyReason::Changed) + destroyed.destroyed(DestroyReason::Pragma);
        assert_eq!(sum, turn, "{sql}");
    }
    let before = pool.status().destroyed_total;
    pool.writer()?.execute_batch("CREATE TABLE u(a); PRAGMA foreign_keys; PRAGMA user_version = 3; DROP TABLE u")?;
    assert_eq!(pool.status().destroyed_total, before, "the database's own, or only asked for");
    Ok(())
}

#[test]
fn panic_tells_who_changed_it() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().on_return(ReturnPolicy::Panic).build()?);
    for (sql, _) in CHANGES {
        let writer = pool.writer()?;
        writer.execute_batch(sql)?;
        let hook = catch_unwind(AssertUnwindSafe(|| drop(writer))).unwrap_err();
        assert!(hook.downcast_ref::<String>().is_some_and(|text| text.contains("was returned to its pool changed")));
        assert!(pool.writer_within(SHORT).is_ok(), "the slot is there");
    }
    let owned = pool.writer_owned()?;
    owned.set_busy_timeout(SHORT)?;
    panics(|| drop(owned));
    assert!(pool.writer_within(SHORT).is_ok());
    // A rollback is no change, and a thread that panics already does not panic again.
    pool.writer()?.execute_batch("BEGIN")?;
    panics(|| {
        let writer = pool.writer().unwrap();
        writer.execute_batch("CREATE TEMP TABLE x(a)").unwrap();
        resume_unwind(Box::new("first"));
    });
    Ok(())
}

#[test]
fn settings_of_the_crate_are_put_back() -> Outcome {
    let db = Database::new();
    let options = quick().busy_timeout(Duration::from_millis(1234)).statement_cache_limits(5, 100_000);
    let pool = db.pool().options(options).build()?;
    let writer = pool.writer()?;
    writer.set_busy_timeout(Duration::ZERO)?;
    writer.set_statement_cache_limits(0, 0);
    writer.set_slow_threshold(Some(Duration::ZERO));
    drop(writer);
    let writer = pool.writer()?;
    assert_eq!(writer.pragma::<i64>("busy_timeout")?, 1234);
    for n in 0..10 {
        writer.execute(&format!("SELECT {n}"), ())?;
    }
    assert_eq!(writer.statement_cache_stats().statements, 5);
    assert_eq!(pool.status().opened_total, 1);
    Ok(())
}

#[test]
fn a_raw_handle_costs_the_connection() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let writer = pool.writer()?;
    // SAFETY: nothing is done with it.
    let _ = unsafe { writer.as_raw() };
    drop(writer);
    assert_eq!(pool.status().destroyed(DestroyReason::Raw), 1);
    Ok(())
}

#[test]
fn a_cached_statement_taints_whoever_runs_it() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    for turn in 1..4 {
        let writer = pool.writer()?;
        writer.execute("ATTACH ':memory:' AS other", ())?;
        writer.execute("ATTACH ':memory:' AS another", ())?;
        drop(writer);
        let writer = pool.writer()?;
        assert_eq!(writer.query_one::<i64>("SELECT count(*) FROM pragma_database_list", ())?, 1, "{turn}");
    }
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    Ok(())
}

/// Every pragma that tells of its connection, what there is beside `main`, and whether LIKE is as it should be.
fn state(conn: &Connection) -> BTreeSet<String> {
    const ASKED: &[&str] = &[
        "analysis_limit",
        "automatic_index",
        "busy_timeout",
        "cache_size",
        "cache_spill",
        "cell_size_check",
        "checkpoint_fullfsync",
        "count_changes",
        "defer_foreign_keys",
        "empty_result_callbacks",
        "foreign_keys",
        "full_column_names",
        "fullfsync",
        "ignore_check_constraints",
        "journal_mode",
        "journal_size_limit",
        "legacy_alter_table",
        "locking_mode",
        "main.cache_size",
        "max_page_count",
        "mmap_size",
        "query_only",
        "read_uncommitted",
        "recursive_triggers",
        "reverse_unordered_selects",
        "secure_delete",
        "short_column_names",
        "synchronous",
        "temp.journal_mode",
        "temp.journal_size_limit",
        "temp.max_page_count",
        "temp.secure_delete",
        "temp.synchronous",
        "temp_store",
        "temp_store_directory",
        "threads",
        "trusted_schema",
        "wal_autocheckpoint",
        "writable_schema",
        "hard_heap_limit",
        "temp.page_size",
    ];
    let pragma = |name: &&str| {
        let mut statement = conn.prepare(&format!("PRAGMA {name}")).unwrap();
        format!("{name} {:?}", statement.query_all::<finalite::Value>(()).unwrap())
    };
    let mut state: BTreeSet<String> = ASKED.iter().map(pragma).collect();
    let databases: Vec<String> =
        conn.prepare("SELECT name FROM pragma_database_list WHERE name <> 'temp'").unwrap().query_all(()).unwrap();
    state.insert(format!("databases {databases:?}"));
    let temporary: Vec<String> = conn.prepare("SELECT name FROM sqlite_temp_schema").unwrap().query_all(()).unwrap();
    state.insert(format!("temporary {temporary:?}"));
    let like: bool = conn.prepare("SELECT 'a' LIKE 'A'").unwrap().query_one(()).unwrap();
    state.insert(format!("like {like}"));
    state
}

/// A value that each pragma does not have when a connection is new.
const PRAGMA_VALUES: [(&str, i64); 20] = [
    ("analysis_limit", 100),
    ("automatic_index", 0),
    ("busy_timeout", 1),
    ("cache_size", -100),
    ("cache_spill", 0),
    ("cell_size_check", 1),
    ("checkpoint_fullfsync", 1),
    ("defer_foreign_keys", 1),
    ("foreign_keys", 0),
    ("fullfsync", 1),
    ("ignore_check_constraints", 1),
    ("journal_size_limit", 1000),
    ("legacy_alter_table", 1),
    ("query_only", 1),
    ("read_uncommitted", 1),
    ("recursive_triggers", 1),
    ("reverse_unordered_selects", 1),
    ("secure_delete", 1),
    ("synchronous", 3),
    ("trusted_schema", 1),
];

/// Gives one connection to a borrower, and tells what the next one sees changed. The connection may be another.
fn seen_after(pool: &Pool, borrow: impl FnOnce(&Connection)) -> Vec<String> {
    let new = state(&pool.writer().unwrap());
    borrow(&pool.writer().unwrap());
    state(&pool.writer().unwrap()).difference(&new).cloned().collect()
}

/// Sets every pragma in one spelling, and tells for which of them the next borrower sees it.
fn seen_of_pragmas(form: &str, run: impl Fn(&Connection, &str)) -> (Vec<String>, u64) {
    let db = Database::new();
    let pool = db.pool().build().unwrap();
    let mut seen = Vec::new();
    for (name, value) in PRAGMA_VALUES {
        let sql = form.replace("NAME", name).replace("VALUE", &value.to_string());
        seen.extend(seen_after(&pool, |conn| run(conn, &sql)));
    }
    (seen, pool.status().destroyed_total.iter().sum())
}

const PLAIN: [&str; 12] = [
    "PRAGMA NAME = VALUE",
    "pragma NAME=VALUE;",
    "PRAGMA NAME(VALUE)",
    "PRAGMA main.NAME = VALUE",
    "PRAGMA main . NAME = VALUE",
    "PRAGMA MAIN.NAME(VALUE)",
    ";; PRAGMA NAME = VALUE",
    "-- a comment\nPRAGMA NAME = VALUE",
    "/* a = (comment */ PRAGMA NAME = VALUE",
    "PRAGMA /**/ NAME = VALUE",
    "\u{feff}PRAGMA\tNAME\n=\r\nVALUE",
    "PRAGMA NAME = 'VALUE'",
];

#[test]
fn pragmas_are_put_back_however_they_are_set() {
    for form in PLAIN {
        assert_eq!(
            seen_of_pragmas(form, |conn, sql| assert_eq!(conn.execute(sql, ()).unwrap(), 0)),
            (vec![], 0),
            "{form}"
        );
    }
    for form in ["SELECT 1; PRAGMA NAME = VALUE", "SELECT 1; PRAGMA NAME = VALUE; SELECT * FROM nowhere"] {
        assert_eq!(seen_of_pragmas(form, |conn, sql| drop(conn.execute_batch(sql))), (vec![], 0), "{form}");
    }
}

/// Spellings that nobody is expected to put back: another connection is as good.
#[test]
fn pragmas_are_seen_however_they_are_spelt() {
    for form in
        ["PRAGMA \"NAME\" = VALUE", "PRAGMA [NAME] = VALUE", "PRAGMA `NAME`(VALUE)", "PRAGMA NAME /* = */ = VALUE"]
    {
        let (seen, _) = seen_of_pragmas(form, |conn, sql| assert_eq!(conn.execute(sql, ()).unwrap(), 0));
        assert!(seen.is_empty(), "{form}: {seen:?}");
    }
}

#[test]
fn asking_is_no_change() -> Outcome {
    let db = Database::new();
    let pool = db.pool().on_return(ReturnPolicy::Destroy).build()?;
    for (name, _) in PRAGMA_VALUES {
        pool.writer()?.pragma::<finalite::Value>(name)?;
        pool.writer()?.execute_batch(&format!("PRAGMA {name}; SELECT * FROM pragma_{name}"))?;
    }
    pool.writer()?.execute_batch("PRAGMA table_info(t); PRAGMA index_list = t; PRAGMA integrity_check(1)")?;
    pool.writer()?.execute_batch("PRAGMA optimize(2); PRAGMA wal_checkpoint(passive); ANALYZE; VACUUM")?;
    pool.writer()?.execute_batch("EXPLAIN CREATE TEMP TABLE x(a); EXPLAIN QUERY PLAN ATTACH ':memory:' AS y")?;
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    Ok(())
}

/// What is neither a change of pragmas nor of the schema, and might be taken for none.
#[test]
fn what_else_leaves_nothing() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let into = db.path.with_extension("copy").to_str().unwrap().to_owned();
    let ways: [&dyn Fn(&Connection); 9] = [
        &|conn| conn.execute_batch(&format!("VACUUM INTO '{into}'")).unwrap(),
        &|conn| conn.execute_batch("SAVEPOINT a; SAVEPOINT b; RELEASE b").unwrap(),
        &|conn| conn.execute_batch("BEGIN; PRAGMA foreign_keys = 0; PRAGMA defer_foreign_keys = 1").unwrap(),
        &|conn| conn.execute_batch("BEGIN; CREATE TEMP TABLE x(a); ROLLBACK").unwrap(),
        &|conn| conn.execute_batch("CREATE TEMP TABLE x(a); DROP TABLE x").unwrap(),
        &|conn| drop(conn.execute_batch("ATTACH ':memory:' AS other; nonsense").unwrap_err()),
        &|conn| drop(conn.execute_batch("CREATE TEMP TABLE x(a); nonsense").unwrap_err()),
        &|conn| conn.execute_batch("ATTACH ':memory:' AS other; PRAGMA other.cache_size = 7; BEGIN").unwrap(),
        &|conn| {
            conn.execute("ATTACH ':memory:' AS other", ()).unwrap();
            let mut statement = conn.prepare("SELECT * FROM other.sqlite_schema, sqlite_schema").unwrap();
            statement.query(()).unwrap().next().unwrap();
        },
    ];
    for (turn, way) in ways.iter().enumerate() {
        let seen = seen_after(&pool, |conn| way(conn));
        assert!(seen.is_empty(), "{turn}: {seen:?}");
    }
    let functions = pool
        .writer()?
        .query_all::<String>("SELECT name FROM pragma_module_list WHERE name LIKE 'pragma\\_%' ESCAPE '\\'", ())?;
    // Those that are functions of tables must not change anything.
    for name in functions {
        let seen = seen_after(&pool, |conn| {
            for arguments in ["", "(1)", "('x')"] {
                drop(conn.execute_batch(&format!("SELECT * FROM {name}{arguments}")));
            }
        });
        assert!(seen.is_empty(), "{name}: {seen:?}");
    }
    Ok(())
}

#[test]
fn an_explained_pragma_is_seen() {
    for form in ["EXPLAIN PRAGMA NAME = VALUE", "EXPLAIN QUERY PLAN PRAGMA NAME = VALUE"] {
        let (seen, _) = seen_of_pragmas(form, |conn, sql| assert_eq!(conn.execute(sql, ()).unwrap(), 0));
        assert!(seen.is_empty(), "{form}: {seen:?}");
    }
}

#[test]
fn a_pragma_that_is_only_prepared_is_seen() {
    let (seen, _) = seen_of_pragmas("PRAGMA NAME = VALUE", |conn, sql| drop(conn.prepare(sql).unwrap()));
    assert!(seen.is_empty(), "prepare: {seen:?}");
    let (seen, _) = seen_of_pragmas("PRAGMA NAME = VALUE", |conn, sql| drop(conn.script(sql).next().unwrap().unwrap()));
    assert!(seen.is_empty(), "script: {seen:?}");
    let more = "PRAGMA NAME = VALUE; SELECT 1";
    let (seen, _) = seen_of_pragmas(more, |conn, sql| drop(conn.execute(sql, ()).unwrap_err()));
    assert!(seen.is_empty(), "refused because more follows: {seen:?}");
}

#[test]
fn a_comment_does_not_rename_a_pragma() {
    for form in ["PRAGMA NAME /* .user_version = */ = VALUE", "PRAGMA NAME -- .user_version (\n = VALUE"] {
        let (seen, _) = seen_of_pragmas(form, |conn, sql| assert_eq!(conn.execute(sql, ()).unwrap(), 0));
        assert!(seen.is_empty(), "{form}: {seen:?}");
    }
}

#[test]
fn pragmas_of_temp_are_seen() {
    let db = Database::new();
    let pool = db.pool().init(|conn| conn.set_pragma("temp.cache_size", 100)).build().unwrap();
    let pragmas = ["cache_size", "secure_delete", "journal_size_limit"];
    let read = || pragmas.map(|name| pool.writer().unwrap().pragma::<i64>(&format!("temp.{name}")).unwrap());
    let new = read();
    for name in pragmas {
        pool.writer().unwrap().execute_batch(&format!("PRAGMA temp.{name} = 1")).unwrap();
        assert_eq!(read(), new, "{name}");
    }
}

#[test]
fn a_temporary_table_of_analyze_is_seen() {
    let db = Database::new();
    let pool = db.pool().build().unwrap();
    let seen = seen_after(&pool, |conn| conn.execute_batch("ANALYZE temp").unwrap());
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn settings_of_init_are_put_back() -> Outcome {
    let db = Database::new();
    let pool = db.pool().init(|conn| conn.set_busy_timeout(Duration::from_millis(77))).build()?;
    pool.writer()?.set_busy_timeout(Duration::ZERO)?;
    assert_eq!(pool.writer()?.pragma::<i64>("busy_timeout")?, 77);
    Ok(())
}

#[test]
fn databases_of_init_stay_attached() {
    let db = Database::new();
    let pool = db.pool().init(|conn| conn.execute_batch("ATTACH ':memory:' AS side")).build().unwrap();
    for sql in ["ATTACH ':memory:' AS other", "DETACH side", "DETACH side; ATTACH ':memory:' AS side"] {
        let side = || pool.writer().unwrap().query_one::<i64>("SELECT count(*) FROM side.sqlite_schema", ());
        side().unwrap();
        pool.writer().unwrap().execute_batch(sql).unwrap();
        side().unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// A check that panics, in a listener to its statements, has proven nothing.
#[test]
fn a_connection_whose_check_panicked_is_closed() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let writer = pool.writer()?;
    writer.execute("CREATE TEMP TABLE mine(a)", ())?;
    let listener = Panicking(&["finalite::statement"]);
    // With one listener in the process, another thread that meets an event first would decide that nobody wants it.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    tracing::subscriber::with_default(listener, || {
        catch_unwind(AssertUnwindSafe(|| drop(writer))).expect_err("the listener panics");
    });
    assert_eq!(pool.status().destroyed(DestroyReason::Panicked), 1);
    assert!(pool.writer()?.prepare("SELECT * FROM mine").is_err());
    Ok(())
}

/// A name may stand for another database than in the beginning.
#[test]
fn databases_of_init_are_the_same_ones() -> Outcome {
    let db = Database::new();
    let file = |name: &str, value: i64| -> Result<String, Box<dyn StdError>> {
        let path = db.path.with_extension(name).to_str().ok_or("UTF-8")?.to_owned();
        Connection::open(&path)?.execute_batch(&format!("CREATE TABLE v AS SELECT {value} AS a"))?;
        Ok(path)
    };
    let (one, other) = (file("one", 1)?, file("other", 2)?);
    let attach = format!(
        "ATTACH '{one}' AS side; ATTACH '{other}' AS further;
         ATTACH ':memory:' AS memory; CREATE TABLE memory.u AS SELECT 3 AS a"
    );
    let pool = db.pool().init(move |conn| conn.execute_batch(&attach)).build()?;
    let values = || {
        let sql = "SELECT one.a, two.a, u.a, (SELECT a FROM v) FROM side.v AS one, further.v AS two, u";
        pool.writer()?.query_one::<(i64, i64, i64, i64)>(sql, [])
    };
    assert_eq!(values()?, (1, 2, 3, 1));
    for sql in [
        format!("DETACH side; ATTACH '{other}' AS side"),
        format!("DETACH side; ATTACH '{one}' AS side"), // is behind `further` now
        "DETACH memory; ATTACH ':memory:' AS memory; CREATE TABLE memory.u AS SELECT 4 AS a".to_owned(),
    ] {
        pool.writer()?.execute_batch(&sql)?;
        assert_eq!(values()?, (1, 2, 3, 1), "{sql}");
    }
    Ok(())
}

#[test]
fn temporary_tables_of_init_are_there() {
    let db = Database::new();
    let pool = db.pool().init(|conn| conn.execute_batch("CREATE TEMP TABLE side(a)")).build().unwrap();
    for sql in ["DROP TABLE side", "ALTER TABLE side RENAME TO other", "ALTER TABLE side ADD COLUMN b"] {
        pool.writer().unwrap().execute_batch(sql).unwrap();
        let columns = pool.writer().unwrap().query_all::<String>("SELECT name FROM pragma_table_info('side')", ());
        assert_eq!(columns.unwrap(), ["a"], "{sql}");
    }
}

#[test]
fn an_interrupt_handle_ends_with_its_guard() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    let handle = pool.writer()?.interrupt_handle();
    let writer = pool.writer()?;
    let mut statement = writer.prepare("VALUES (1), (2), (3)")?;
    let mut rows = statement.query(())?;
    rows.next()?;
    handle.interrupt();
    assert!(rows.next().is_ok(), "another's handle");
    Ok(())
}

#[test]
fn set_pragma_of_the_database_costs_no_connection() -> Outcome {
    let db = Database::new();
    let pool = db.pool().build()?;
    pool.writer()?.set_pragma("user_version", 7)?;
    pool.writer()?.set_pragma("cache_size", 7)?;
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    Ok(())
}

#[test]
fn functions_of_a_borrower_stay_with_its_connection() -> Outcome {
    let db = Database::new();
    // Those of `init` are on every connection.
    let register = |conn: &mut Connection| conn.create_scalar_function("of_all", || 1).map(drop);
    let pool = db.pool().init(register).build()?;
    let knows = |conn: &Connection, name: &str| conn.prepare(&format!("SELECT {name}()")).is_ok();
    let writer = pool.writer()?;
    writer.create_scalar_function("of_one", || 1)?;
    assert!(knows(&writer, "of_one") && knows(&writer, "of_all"));
    drop(writer);
    let reader = pool.reader()?;
    reader.create_collation("of_one", |a: &str, b: &str| b.cmp(a))?;
    drop(reader);
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 2);
    for conn in [pool.writer()?, pool.reader()?] {
        assert!(!knows(&conn, "of_one") && knows(&conn, "of_all"));
        assert!(conn.prepare("SELECT 1 < 2 COLLATE of_one").is_err());
        assert_eq!(conn.query_one::<i64>("SELECT of_all()", ())?, 1);
    }
    // Using them is no change.
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 2);
    // Removing one is.
    let reader = pool.reader()?;
    assert!(reader.remove_function("of_all", Some(0))?);
    drop(reader);
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 3);
    assert!(knows(&*pool.reader()?, "of_all"));
    let reader = pool.reader()?;
    reader.remove_module("rtree")?;
    drop(reader);
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 4);
    Ok(())
}

#[test]
fn a_panic_that_no_call_resumed_ends_the_connection() -> Outcome {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in the drop of auxiliary data");
            }
        }
    }
    let db = Database::new();
    let register = |conn: &mut Connection| {
        let options = finalite::extend::FunctionOptions::new().arguments(1);
        conn.create_scalar_function_with("loud", options, |call| {
            call.auxiliary(0, || Ok(Loud))?;
            Ok(1)
        })
        .map(drop)
    };
    let pool = db.pool().readers(1).init(register).build()?;
    let reader = pool.reader()?;
    let mut statement = reader.prepare("SELECT loud('a') FROM (VALUES (1), (2))")?;
    let mut rows = statement.query(())?;
    rows.next()?;
    // The reset releases the data; Drop resumes nothing.
    drop(rows);
    drop(statement);
    drop(reader);
    assert_eq!(pool.status().destroyed(DestroyReason::Panicked), 1);
    assert_eq!(pool.reader()?.query_one::<i64>("SELECT 1", ())?, 1);
    Ok(())
}

#[test]
fn tables_added_to_a_guard_stay_with_its_connection() -> Outcome {
    let db = Database::new();
    let pool = Arc::new(db.pool().build()?);
    let knows = |conn: &Connection| conn.query_one::<i64>("SELECT count(*) FROM finalite_handles", ()).is_ok();
    let mut writer = pool.writer()?;
    writer.create_diagnostic_tables()?;
    assert!(knows(&writer));
    drop(writer);
    assert!(!knows(&*pool.writer()?));
    let mut reader = pool.reader_owned()?;
    reader.create_diagnostic_tables()?;
    assert!(knows(&reader));
    drop(reader);
    assert!(!knows(&*pool.reader()?));
    assert_eq!(pool.status().destroyed(DestroyReason::Registered), 2);
    Ok(())
}

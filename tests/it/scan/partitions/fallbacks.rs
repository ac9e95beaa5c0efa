//! Where one thread reads, and why.

use std::time::Duration;

use finalite::extend::QueryLimits;
use finalite::scan::{Partitions, ScanStrategy};
use finalite::{Connection, ErrorKind, OpenOptions, Params, Result, ffi};

use super::{IDS, SALES, check, fill, open, read};

/// One thread reads all rows, for this reason.
#[track_caller]
fn check_one<'p, P: Params<'p> + Clone + Sync>(reason: &str, partitions: impl Fn() -> Partitions<'p, P>) {
    let (rows, plan) = read(partitions);
    assert!(!rows.is_empty());
    assert_eq!((plan.threads, plan.strategy), (1, ScanStrategy::Statement));
    assert!(plan.reason.contains(reason), "{plan}");
}

#[test]
fn databases_without_a_file_are_read_by_one_thread() {
    let reason = "the database is in memory, or temporary";
    for conn in [
        Connection::open_in_memory().unwrap(),
        OpenOptions::new().open_temporary().unwrap(),
        OpenOptions::new().uri(true).open("file:shop?vfs=memdb").unwrap(),
    ] {
        fill(&conn);
        check_one(reason, || conn.scan(IDS, ()).partitions_of("sale", 2));
        check_one(reason, || conn.scan_table("sale").select(["id"]).partitions(2));
    }
    let conn = Connection::open_in_memory().unwrap();
    fill(&conn);
    let dir = tempfile::tempdir().unwrap();
    let mut other = Connection::open(dir.path().join("other.db")).unwrap();
    other.deserialize_into("main", &conn.serialize("main").unwrap()).unwrap();
    check_one(reason, || other.scan(IDS, ()).partitions_of("sale", 2));
}

#[test]
fn an_open_transaction_is_read_by_one_thread() {
    check(|conn| {
        let reason = "a transaction is open";
        for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT a"] {
            conn.execute(begin, ()).unwrap();
            check_one(reason, || conn.scan(IDS, ()).partitions_of("sale", 2));
            conn.execute("ROLLBACK", ()).unwrap();
        }
        // It sees its own changes.
        conn.execute_batch("BEGIN; DELETE FROM sale WHERE id > 5").unwrap();
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).0, [1, 2, 3, 4, 5]);
        conn.execute("ROLLBACK", ()).unwrap();
        // A statement that is running has a snapshot, too.
        let mut statement = conn.prepare("SELECT id FROM sale").unwrap();
        let mut rows = statement.query(()).unwrap();
        rows.next().unwrap();
        check_one(reason, || conn.scan(IDS, ()).partitions_of("sale", 2));
        rows.finish().unwrap();
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
    });
}

#[test]
fn tables_without_rowids_are_read_by_one_thread() {
    check(|conn| {
        conn.execute_batch(
            "CREATE TABLE keyed(id INTEGER PRIMARY KEY, a) WITHOUT ROWID;
             INSERT INTO keyed SELECT id, price FROM sale;
             CREATE VIEW dear AS SELECT id, price FROM sale WHERE price > 4500;
             CREATE VIRTUAL TABLE tree USING rtree(id, low, high);
             INSERT INTO tree VALUES (1, 2, 3), (2, 3, 4);
             CREATE TABLE odd(rowid, _rowid_, oid); INSERT INTO odd VALUES (1, 2, 3), (4, 5, 6);
             CREATE TABLE partly(rowid, b); INSERT INTO partly VALUES (6, 'a'), (5, 'b'), (4, 'c');",
        )
        .unwrap();
        let scan =
            |table: &'static str, column: &'static str| move || conn.scan_table(table).select([column]).partitions(2);
        check_one("the table has no rowids", scan("keyed", "id"));
        check_one("the table is a view", scan("dear", "id"));
        check_one("the table is virtual", scan("tree", "id"));
        check_one("columns have taken all names of the rowid", scan("odd", "oid"));
        check_one("the table has no two rows", scan("few", "a"));
        let (rows, plan) = read(scan("partly", "rowid"));
        assert_eq!((rows, plan.threads), (vec![6, 5, 4], 2));
        // A view of the table by whose rowids it is divided.
        let sql = "SELECT id FROM dear WHERE id BETWEEN :first_rowid AND :last_rowid";
        let (rows, plan) = read(|| conn.scan(sql, ()).partitions_of("sale", 2));
        assert_eq!((rows.len(), plan.threads), (1_500, 2));
        check_one("the table is a view", || conn.scan(sql, ()).partitions_of("dear", 2));
        conn.execute("DELETE FROM few", ()).unwrap();
        let empty = conn.scan_table("few").select(["a"]).partitions(2);
        assert_eq!(empty.fold(|| 7, |_, _| Ok(()), |_, _| ()).unwrap(), 7);
        conn.execute_batch("DROP TABLE tree; INSERT INTO few VALUES (1)").unwrap();
    });
}

/// Names that mean something else on another connection.
#[test]
fn what_only_the_connection_has_is_read_by_one_thread() {
    check(|conn| {
        let other = "SQLite runs another program on another connection";
        let two = || conn.scan(IDS, ()).partitions_of("main.sale", 2);
        conn.execute_batch("CREATE TEMP TABLE sale(id INTEGER PRIMARY KEY); INSERT INTO temp.sale VALUES (77)")
            .unwrap();
        assert_eq!(read(two).0, [77]);
        check_one(other, two);
        check_one("temporary", || conn.scan_table("sale").select(["id"]).partitions(2));
        assert_eq!(read(|| conn.scan_table("main.sale").select(["id"]).partitions(2)).1.threads, 2);
        conn.execute("DROP TABLE temp.sale", ()).unwrap();

        conn.execute("CREATE TEMP VIEW sale AS SELECT 78 AS id", ()).unwrap();
        assert_eq!(read(two).0, [78]);
        check_one(other, two);
        // A view of the same rows, and of the same program, is another matter.
        conn.execute_batch("DROP VIEW temp.sale; CREATE TEMP VIEW sale AS SELECT id FROM main.sale").unwrap();
        assert_eq!(read(two).0.len(), SALES as usize);
        conn.execute("DROP VIEW temp.sale", ()).unwrap();

        conn.execute_batch("ATTACH ':memory:' AS more; CREATE TABLE more.extra AS SELECT 1 AS id UNION ALL SELECT 2")
            .unwrap();
        let joined =
            "SELECT extra.id FROM extra JOIN sale USING (id) WHERE sale.id BETWEEN :first_rowid AND :last_rowid";
        check_one(other, || conn.scan(joined, ()).partitions_of("sale", 2));
        check_one("attached", || conn.scan_table("more.extra").select(["id"]).partitions(2));
        check_one("attached", || conn.scan_table("extra").select(["id"]).partitions(2));
        conn.execute("DETACH more", ()).unwrap();

        let own = "the statement calls a function whose result is a property of the connection";
        for function in ["last_insert_rowid()", "changes()", "total_changes()"] {
            let sql = format!("SELECT {function} FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid");
            check_one(own, || conn.scan(&sql, ()).partitions_of("sale", 2));
        }
        let pragma = "PRAGMA case_sensitive_like = on";
        conn.execute(pragma, ()).unwrap();
        check_one("case_sensitive_like", || conn.scan(IDS, ()).partitions_of("sale", 2));
        conn.execute("PRAGMA case_sensitive_like = off", ()).unwrap();
        assert_eq!(read(two).1.threads, 2);
    });
}

#[test]
fn what_the_program_has_registered_is_called_by_one_thread() {
    let reason = "functions, collations, virtual tables, hooks or an authorizer of the program";
    type Register = fn(&Connection) -> Result<Box<dyn std::any::Any>>;
    let all: [Register; 6] = [
        |conn| Ok(Box::new(conn.create_scalar_function("lower", |_: &str| "mine")?)),
        |conn| Ok(Box::new(conn.create_collation("mine", |a: &str, b: &str| b.cmp(a))?)),
        |conn| Ok(Box::new(conn.set_authorizer(|_| finalite::extend::Access::Allow)?)),
        |conn| Ok(Box::new(conn.on_progress(1_000, || ())?)),
        |conn| Ok(Box::new(conn.on_trace(finalite::extend::TraceEvents::STATEMENT, |_| ())?)),
        |conn| Ok(Box::new(conn.set_busy_handler(|_| true)?)),
    ];
    for register in all {
        let dir = tempfile::tempdir().unwrap();
        let conn = open(dir.path());
        let kept = register(&conn).unwrap();
        check_one(reason, || conn.scan(IDS, ()).partitions_of("sale", 2));
        drop(kept);
    }
    let dir = tempfile::tempdir().unwrap();
    let conn = open(dir.path());
    // A subscription that has ended is none.
    drop(conn.on_update(|_| ()).unwrap());
    assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
    // Code that has the handle may have registered anything.
    // SAFETY: the pointer is not used.
    let handle: *mut ffi::sqlite3 = unsafe { conn.as_raw() };
    assert!(!handle.is_null());
    check_one("its handle was given out", || conn.scan(IDS, ()).partitions_of("sale", 2));
}

#[test]
fn deadlines_and_limits_are_kept_by_one_thread() {
    check(|conn| {
        let reason = "a deadline or a limit is set";
        let deadline = conn.deadline(Duration::from_secs(600)).unwrap();
        check_one(reason, || conn.scan(IDS, ()).partitions_of("sale", 2));
        drop(deadline);
        let limits = conn.limit_queries(QueryLimits::new().rows(10)).unwrap();
        let error = conn.scan(IDS, ()).partitions_of("sale", 2).columns().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::QueryLimit { .. }));
        drop(limits);
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
    });
}

#[test]
fn statements_that_are_no_queries_are_run_by_one_thread() {
    check(|conn| {
        let sql =
            "UPDATE sale SET price = price + 1 WHERE id BETWEEN :first_rowid AND :last_rowid AND id < 4 RETURNING id";
        let mut plan = None;
        let ids = conn.scan(sql, ()).partitions_of("sale", 2).on_end(|it| plan = Some(it)).columns().unwrap();
        assert_eq!(ids[0].column(0).unwrap().as_i64().unwrap(), [1, 2, 3]);
        assert_eq!(plan.unwrap().reason, "the statement is not a SELECT");
        // What begins otherwise, and is one.
        let sql =
            "/* all */ WITH s AS (SELECT * FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid) SELECT id FROM s";
        assert_eq!(read(|| conn.scan(sql, ()).partitions_of("sale", 2)).1.threads, 2);
    });
}

#[test]
fn locks_and_ways_to_open_that_leave_one_thread() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let path = dir.path().join("shop.db");
    let uri = |parameters: &str| format!("file:{}?{parameters}", path.display());
    let conn = OpenOptions::new().uri(true).open(uri("cache=shared")).unwrap();
    check_one("cache is shared", || conn.scan(IDS, ()).partitions_of("sale", 2));
    drop(conn);
    let conn = OpenOptions::new().uri(true).open(uri("psow=0")).unwrap();
    check_one("opened with URI parameters", || conn.scan(IDS, ()).partitions_of("sale", 2));
    drop(conn);
    for parameters in ["mode=ro", "mode=rw&cache=private", "immutable=1"] {
        let conn = OpenOptions::new().uri(true).open(uri(parameters)).unwrap();
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2, "{parameters}");
    }
    let conn = OpenOptions::new().pragma("locking_mode", "exclusive").open(&path).unwrap();
    check_one("exclusive locking mode", || conn.scan(IDS, ()).partitions_of("sale", 2));
    drop(conn);
    // That of the main database alone, and that of the others alone.
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA main.locking_mode = exclusive; INSERT INTO few VALUES (3)").unwrap();
    check_one("exclusive locking mode", || conn.scan(IDS, ()).partitions_of("sale", 2));
    drop(conn);
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA locking_mode = exclusive; PRAGMA main.locking_mode = normal").unwrap();
    assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
    drop(conn);
    let conn = OpenOptions::new().pragma("query_only", true).open(&path).unwrap();
    assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
    drop(conn);
    #[cfg(unix)]
    {
        let conn = Connection::open(&path).unwrap();
        conn.execute("PRAGMA journal_mode = delete", ()).unwrap();
        drop(conn);
        let conn = OpenOptions::new().vfs("unix-dotfile").open(&path).unwrap();
        check_one("file system (VFS)", || conn.scan(IDS, ()).partitions_of("sale", 2));
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_was_replaced_is_read_by_one_thread() {
    for read_only in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.db");
        let conn = Connection::open(&path).unwrap();
        fill(&conn);
        let conn = if read_only { OpenOptions::new().read_only(true).open(&path).unwrap() } else { conn };
        std::fs::rename(&path, dir.path().join("moved.db")).unwrap();
        check_one("could not be opened", || conn.scan(IDS, ()).partitions_of("sale", 2));
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch("CREATE TABLE sale(id INTEGER PRIMARY KEY); INSERT INTO sale VALUES (1), (2), (3)")
            .unwrap();
        check_one("moved or replaced", || conn.scan(IDS, ()).partitions_of("sale", 2));
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_written_is_read_by_all_threads() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    let conn = Connection::open(&path).unwrap();
    fill(&conn);
    conn.close().unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    // SQLite opens it for reading, unless the user may do anything.
    let conn = Connection::open(&path).unwrap();
    assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
}

/// Tables whose rows are properties of the connection that reads them. SQLite makes those of pragmas when they are named.
#[test]
fn tables_about_the_connection_are_read_by_one_thread() {
    check(|conn| {
        let reason = "a table whose rows may be about the connection";
        let of = |value: &str| format!("SELECT {value} FROM sale WHERE id BETWEEN :first_rowid AND :last_rowid");
        conn.execute_batch("CREATE TEMP TABLE mine(a)").unwrap();
        for value in [
            "(SELECT timeout FROM pragma_busy_timeout)",
            "(SELECT timeout FROM \"PRAGMA_busy_timeout\"())",
            "(SELECT count(*) FROM pragma_table_list)",
            "(SELECT count(*) FROM pragma_database_list)",
        ] {
            let sql = of(value);
            let expected: i64 = conn.query_one(&format!("SELECT {value}"), ()).unwrap();
            assert!(read(|| conn.scan(&sql, ()).partitions_of("sale", 2)).0.iter().all(|value| *value == expected));
            check_one(reason, || conn.scan(&sql, ()).partitions_of("sale", 2));
        }
        // Tables that are the same for each connection, in a schema that names no other.
        conn.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES ('one'), ('two');
             CREATE VIRTUAL TABLE tree USING rtree(id, low, high); INSERT INTO tree VALUES (1, 2, 3);",
        )
        .unwrap();
        let same =
            of("(SELECT sum(value) FROM json_each('[1, 2]')) + (SELECT count(*) FROM words WHERE words MATCH 'one')
                       + (SELECT count(*) FROM tree WHERE low > 1)");
        let two = || conn.scan(&same, ()).partitions_of("sale", 2);
        let (rows, plan) = read(two);
        assert_eq!((rows, plan.threads), (vec![5; SALES as usize], 2));

        // A view hides the name.
        conn.execute("CREATE VIEW patience AS SELECT timeout FROM Pragma_busy_timeout", ()).unwrap();
        let sql = of("(SELECT timeout FROM patience)");
        assert!(read(|| conn.scan(&sql, ()).partitions_of("sale", 2)).0.iter().all(|value| *value == 5_000));
        check_one(reason, || conn.scan(&sql, ()).partitions_of("sale", 2));
        assert_eq!(read(|| conn.scan(IDS, ()).partitions_of("sale", 2)).1.threads, 2);
    });
}

#[test]
fn diagnostic_tables_are_read_by_one_thread() {
    let dir = tempfile::tempdir().unwrap();
    let mut conn = open(dir.path());
    conn.create_diagnostic_tables().unwrap();
    let sql = "SELECT (SELECT count(*) FROM finalite_memory WHERE scope = 'process') FROM sale
               WHERE id BETWEEN :first_rowid AND :last_rowid";
    check_one("functions, collations", || conn.scan(sql, ()).partitions_of("sale", 2));
}

//! The behaviours of SQLite's own tests of virtual tables (`test/vtab*.test` of its source).
//!
//! | Test of SQLite | Behaviour | Here |
//! |---|---|---|
//! | vtab1, vtab2, vtabL | names and arguments of `CREATE VIRTUAL TABLE`, `IF NOT EXISTS`, `TEMP`, errors of modules and declarations | `a_definition_has_its_names_and_arguments`, `faults.rs` |
//! | vtab1 | no index, trigger or column can be added | `what_sqlite_refuses_for_virtual_tables` |
//! | vtab1 | a table is created once, and connected by each connection; connected again after a change of the schema | `a_table_of_a_file_is_created_once_and_connected_by_each_connection` |
//! | vtab1, vtab5, vtab9 | `INSERT`, `UPDATE`, `DELETE`, rowids, `INSERT .. SELECT`, `RETURNING` | `writing.rs` |
//! | vtab2 | attached databases | `a_table_of_an_attached_database` |
//! | vtab3 | the authorizer is asked | `the_authorizer_is_asked_about_virtual_tables` |
//! | vtab4 | the order of `begin`, `sync`, `commit`, `rollback` of several tables; one `sync` that fails | `several_tables_commit_together_or_not_at_all` |
//! | vtab6, vtab8 | joins, `LEFT JOIN`, NULL in a constraint | `joins_read_a_table_several_times` |
//! | vtab7 | methods that use the connection | `reentry.rs` |
//! | vtabA | hidden columns | `hidden_columns` |
//! | vtabB | a table that is created or dropped in a transaction which is rolled back | `a_table_that_is_created_and_undone` |
//! | vtabC | more tables in a transaction than SQLite has room for at first | `several_tables_commit_together_or_not_at_all` |
//! | vtabD, vtabF | `OR`, rowids in lists | `several_constraints_are_several_reads` |
//! | vtabE | a table that is called as a function, in a join with itself | `joins_read_a_table_several_times` |
//! | vtabH | `LIKE`, `GLOB`, `REGEXP`, `MATCH` | `index.rs` |
//! | vtabI | columns in use | `index.rs` |
//! | vtabJ | a write while a cursor is open on the same table | `a_table_is_written_while_a_cursor_is_open` |
//! | vtab_alter | `ALTER TABLE .. RENAME TO` | `a_table_is_renamed` |
//! | vtab_err | memory runs out | `tests/alone/out_of_memory/` |
//! | vtab_shared | connections with a shared cache | `connections_that_share_a_cache_have_tables_of_their_own` |
//! | vtabdistinct | DISTINCT, GROUP BY, ORDER BY | `index.rs` |
//! | vtabdrop | DROP while the table is used, or fails | `endings.rs` |
//! | vtabrhs1 | right-hand values | `index.rs` |

use finalite::extend::virtual_table::TableKind;
use finalite::extend::{Access, AccessRequest, Action};
use finalite::{DbConfig, OpenOptions};

use super::*;

/// A table with one row: its definition.
struct Defined {
    texts: Vec<String>,
}

struct DefinedCursor<'t>(&'t [String]);

impl VirtualTable for Defined {
    type Shared = ();
    type Cursor<'t> = DefinedCursor<'t>;

    fn connect(_: &(), definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        let mut texts = vec![
            definition.is_new().to_string(),
            definition.module_name().to_owned(),
            definition.database_name().to_owned(),
            definition.table_name().to_owned(),
        ];
        texts.extend(definition.arguments().map(str::to_owned));
        Ok(Declared::new("CREATE TABLE x(text)", Self { texts }))
    }

    fn open(&self, _: &Self::Shared) -> Result<DefinedCursor<'_>, CallbackError> {
        Ok(DefinedCursor(&self.texts))
    }
}

impl TableCursor for DefinedCursor<'_> {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        Ok(true)
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        Ok(false)
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        cell.set(self.0.join("|"))
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(1)
    }
}

fn defined() -> Connection {
    let conn = open();
    conn.create_module::<Defined>("defined", ()).unwrap();
    conn
}

#[test]
fn a_definition_has_its_names_and_arguments() {
    let conn = defined();
    for (sql, table, expected) in [
        ("CREATE VIRTUAL TABLE t USING defined", "t", "true|defined|main|t"),
        ("CREATE VIRTUAL TABLE IF NOT EXISTS t USING defined(other)", "t", "true|defined|main|t"),
        ("CREATE VIRTUAL TABLE a USING defined()", "a", "true|defined|main|a"),
        (
            "CREATE VIRTUAL TABLE b USING defined(x, y z ,'it''s', k = \"v\")",
            "b",
            "true|defined|main|b|x|y z|'it''s'|k = \"v\"",
        ),
        ("CREATE VIRTUAL TABLE c USING defined((a, b), [c,d])", "c", "true|defined|main|c|(a, b)|[c,d]"),
        ("CREATE VIRTUAL TABLE temp.d USING DEFINED(é)", "d", "true|DEFINED|temp|d|é"),
        ("CREATE VIRTUAL TABLE main.\"a b\" USING \"defined\"(,)", "\"a b\"", "true|defined|main|a b"),
    ] {
        conn.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(one::<String>(&conn, &format!("SELECT text FROM {table}")), expected, "{sql}");
    }
    let error = conn.execute("CREATE VIRTUAL TABLE t USING defined", ()).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    let error = conn.execute("CREATE VIRTUAL TABLE z USING missing", ()).unwrap_err();
    assert!(error.to_string().contains("no such module: missing"), "{error}");
}

#[test]
fn what_sqlite_refuses_for_virtual_tables() {
    let conn = defined();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING defined").unwrap();
    for (sql, part) in [
        ("CREATE INDEX i ON t(text)", "virtual tables may not be indexed"),
        ("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "cannot create triggers on virtual tables"),
        ("ALTER TABLE t ADD COLUMN b", "virtual tables may not be altered"),
        ("ALTER TABLE t RENAME COLUMN text TO b", "cannot rename columns of virtual table"),
        ("INSERT INTO t VALUES (1)", "may not be modified"),
    ] {
        let error = conn.execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
    conn.execute_batch("CREATE VIEW v AS SELECT text FROM t").unwrap();
    assert!(one::<String>(&conn, "SELECT text FROM v").starts_with("true|"));
}

#[test]
fn a_table_of_a_file_is_created_once_and_connected_by_each_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let connect = || {
        let conn = Connection::open(&path).unwrap();
        conn.create_module::<Defined>("defined", ()).unwrap();
        conn
    };
    let first = connect();
    first.execute_batch("CREATE VIRTUAL TABLE t USING defined(x)").unwrap();
    assert_eq!(one::<String>(&first, "SELECT text FROM t"), "true|defined|main|t|x");
    let second = connect();
    assert_eq!(one::<String>(&second, "SELECT text FROM t"), "false|defined|main|t|x");
    second.execute_batch("CREATE TABLE o(a)").unwrap();
    // The schema has changed.
    assert_eq!(one::<String>(&first, "SELECT text FROM t"), "false|defined|main|t|x");
    // Without its module it can be neither read nor dropped.
    let third = Connection::open(&path).unwrap();
    for sql in ["SELECT text FROM t", "DROP TABLE t"] {
        let error = third.execute(sql, ()).unwrap_err();
        assert!(error.to_string().contains("no such module: defined"), "{sql}: {error}");
    }
    second.execute("DROP TABLE t", ()).unwrap();
    assert!(first.query_one::<String>("SELECT text FROM t", ()).is_err());
}

#[test]
fn a_table_of_an_attached_database() {
    let shared = Shared::with_rows(2);
    let conn = open();
    conn.create_transactional_module::<Probe>("probe", shared.clone()).unwrap();
    conn.execute_batch("ATTACH ':memory:' AS other; CREATE VIRTUAL TABLE other.t USING probe").unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM other.t"), 2);
    conn.execute("INSERT INTO t VALUES (30, 'three')", ()).unwrap();
    conn.clear_statement_cache();
    conn.execute_batch("DETACH other").unwrap();
    // SQLite lets go of it when it is next used.
    assert!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    assert_eq!(shared.alive(), (0, 0));
    conn.close().unwrap();
}

#[test]
fn the_authorizer_is_asked_about_virtual_tables() {
    let shared = Shared::with_rows(2);
    let conn = probe(&shared);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let authorizer = conn
        .set_authorizer(move |request: &AccessRequest<'_>| match request.action {
            Action::CreateVirtualTable { table, module, .. } => {
                seen.lock().unwrap().push(format!("create {table} {module}"));
                if table == "forbidden" { Access::Deny } else { Access::Allow }
            }
            Action::DropVirtualTable { table, module, .. } => {
                seen.lock().unwrap().push(format!("drop {table} {module}"));
                Access::Allow
            }
            _ => Access::Allow,
        })
        .unwrap();
    conn.execute("CREATE VIRTUAL TABLE u USING probe", ()).unwrap();
    assert!(conn.execute("CREATE VIRTUAL TABLE forbidden USING probe", ()).is_err());
    conn.execute("DROP TABLE u", ()).unwrap();
    assert_eq!(*asked.lock().unwrap(), ["create u probe", "create forbidden probe", "drop u probe"]);
    drop(authorizer);
    assert_eq!(shared.alive(), (1, 0));
}

#[test]
fn several_tables_commit_together_or_not_at_all() {
    const TABLES: usize = 12;
    let all: Vec<Shared> = (0..TABLES).map(|_| Shared::new()).collect();
    let conn = open();
    for (index, shared) in all.iter().enumerate() {
        conn.create_transactional_module::<Probe>(&format!("probe{index}"), shared.clone()).unwrap();
        conn.execute_batch(&format!("CREATE VIRTUAL TABLE t{index} USING probe{index}")).unwrap();
        shared.take_calls();
    }
    let script: String = (0..TABLES).map(|index| format!("INSERT INTO t{index} VALUES (1, 'x');")).collect();
    conn.execute_batch(&format!("BEGIN; {script} COMMIT")).unwrap();
    for shared in &all {
        let calls = shared.take_calls();
        assert_eq!((calls.first(), calls.last(), shared.rows().len()), (Some(&"begin"), Some(&"commit"), 1));
    }
    all[5].fail("sync", Fault::Error);
    let error = conn.execute_batch(&format!("BEGIN; {script} COMMIT")).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::VirtualTable { table, method: "sync", .. } if &**table == "t5"),
        "{error:?}"
    );
    all[5].mend();
    for shared in &all {
        assert_eq!((shared.take_calls().last(), shared.rows().len()), (Some(&"rollback"), 1));
    }
    // A begin that fails leaves the others in the transaction.
    all[3].fail("begin", Fault::Error);
    let error = conn.execute_batch(&format!("BEGIN; {script} COMMIT")).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::VirtualTable { table, method: "begin", .. } if &**table == "t3"),
        "{error:?}"
    );
    if !conn.is_autocommit() {
        conn.execute_batch("COMMIT").unwrap();
    }
    conn.close().unwrap();
    assert!(all.iter().all(|shared| shared.alive() == (0, 0) && Arc::strong_count(&shared.0) == 1));
}

#[test]
fn a_table_that_is_created_and_undone() {
    let shared = Shared::with_rows(2);
    let conn = open();
    conn.create_transactional_module::<Probe>("probe", shared.clone()).unwrap();
    conn.execute_batch("BEGIN; CREATE VIRTUAL TABLE t USING probe; INSERT INTO t VALUES (30, 'three'); ROLLBACK")
        .unwrap();
    assert!(conn.query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    assert_eq!(shared.alive(), (0, 0));
    conn.execute_batch("CREATE VIRTUAL TABLE t USING probe; BEGIN; DROP TABLE t; ROLLBACK").unwrap();
    // It is in the schema again, and is connected.
    assert!(one::<i64>(&conn, "SELECT count(*) FROM t") >= 2);
    conn.execute_batch("BEGIN; DROP TABLE t; COMMIT").unwrap();
    assert_eq!(shared.alive(), (0, 0));
    conn.execute_batch("SAVEPOINT s; CREATE VIRTUAL TABLE t USING probe; ROLLBACK TO s; RELEASE s").unwrap();
    assert_eq!(shared.alive(), (0, 0));
    conn.close().unwrap();
    assert_eq!(Arc::strong_count(&shared.0), 1);
}

#[test]
fn joins_read_a_table_several_times() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let pairs: Vec<(i64, i64)> =
        conn.query_all("SELECT x.a, y.a FROM t AS x JOIN t AS y ON y.a = x.a + 10", ()).unwrap();
    assert_eq!(pairs, [(10, 20), (20, 30)]);
    let pairs: Vec<(i64, Option<String>)> =
        conn.query_all("SELECT x.a, y.b FROM t AS x LEFT JOIN t AS y ON y.a = x.a + 10 ORDER BY 1", ()).unwrap();
    assert_eq!(pairs, [(10, Some("two".into())), (20, Some("three".into())), (30, None)]);
    // NULL equals nothing; the cursor sees it all the same.
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t WHERE a = NULL"), 0);
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t NATURAL JOIN (SELECT 20 AS a)"), 1);
    let sql =
        "WITH RECURSIVE r(n) AS (SELECT 10 UNION ALL SELECT n + 10 FROM r JOIN t ON t.a = r.n) SELECT max(n) FROM r";
    assert_eq!(one::<i64>(&conn, sql), 40);
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t AS x WHERE EXISTS (SELECT 1 FROM t AS y WHERE y.a > x.a)"), 2);
    assert_eq!(one::<String>(&conn, "SELECT max(b) FROM t"), "two");
    assert_eq!(one::<String>(&conn, "SELECT group_concat(b ORDER BY b DESC) FROM t"), "two,three,one");
    assert_eq!(shared.alive(), (1, 0));
}

#[test]
fn several_constraints_are_several_reads() {
    let shared = Shared::with_rows(4);
    let conn = probe(&shared);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a = 10 OR a = 30 ORDER BY 1", ()).unwrap(), [10, 30]);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a = 10 OR b = 'two' ORDER BY 1", ()).unwrap(), [10, 20]);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a IN (40, 10, 99) ORDER BY 1", ()).unwrap(), [10, 40]);
    assert_eq!(
        conn.query_all::<i64>("SELECT a FROM t WHERE rowid IN (SELECT 2 UNION SELECT 4)", ()).unwrap(),
        [20, 40]
    );
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE (a, b) = (20, 'two')", ()).unwrap(), [20]);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t WHERE a BETWEEN 20 AND 30", ()).unwrap(), [20, 30]);
}

#[test]
fn a_table_is_written_while_a_cursor_is_open() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 10);
    conn.execute("DELETE FROM t WHERE a >= 20", ()).unwrap();
    conn.execute("INSERT INTO t VALUES (90, 'nine')", ()).unwrap();
    // This cursor has the rows of its beginning.
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 20);
    drop(rows);
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [10, 90]);
    conn.execute("INSERT INTO t SELECT a + 1, b FROM t", ()).unwrap();
    assert_eq!(statement.query_all::<i64>(()).unwrap(), [10, 90, 11, 91]);
}

#[test]
fn hidden_columns() {
    struct Hidden;
    struct Args(Vec<i64>);
    impl VirtualTable for Hidden {
        type Shared = ();
        type Cursor<'t> = Args;
        const KIND: TableKind = TableKind::Eponymous;
        fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(a, b INTEGER HIDDEN, c hidden, d, e)", Self))
        }
        fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
            for column in [1, 2] {
                if let Some(constraint) = query.find(column, ConstraintOperator::Equal) {
                    query.omit(constraint)?;
                }
            }
            Ok(())
        }
        fn open(&self, _: &Self::Shared) -> Result<Args, CallbackError> {
            Ok(Args(Vec::new()))
        }
    }
    impl TableCursor for Args {
        fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
            self.0 = (0..call.argument_count()).map(|at| call.get(at)).collect::<finalite::Result<_>>()?;
            Ok(true)
        }
        fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
            Ok(false)
        }
        fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
            match column {
                1 | 2 => cell.set(self.0.get(column - 1).copied()),
                _ => cell.set(self.0.iter().sum::<i64>()),
            }
        }
        fn rowid(&self) -> Result<i64, CallbackError> {
            Ok(1)
        }
    }
    let conn = open();
    conn.create_module::<Hidden>("t", ()).unwrap();
    assert_eq!(one::<(i64, i64, i64)>(&conn, "SELECT * FROM t(3, 4)"), (7, 7, 7));
    assert_eq!(one::<(Option<i64>, Option<i64>)>(&conn, "SELECT b, c FROM t(3)"), (Some(3), None));
    assert_eq!(one::<i64>(&conn, "SELECT a FROM t WHERE b = 5"), 5);
    let error = conn.query_one::<i64>("SELECT a FROM t(1, 2, 3)", ()).unwrap_err();
    assert!(error.to_string().contains("too many arguments"), "{error}");
    // Under another name, too.
    conn.execute("CREATE VIRTUAL TABLE u USING t", ()).unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT a FROM u WHERE b = 5"), 5);
}

#[test]
fn kinds_of_tables() {
    macro_rules! kind {
        ($name:ident, $kind:ident) => {
            struct $name;
            impl VirtualTable for $name {
                type Shared = ();
                type Cursor<'t> = DefinedCursor<'t>;
                const KIND: TableKind = TableKind::$kind;
                fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
                    Ok(Declared::new("CREATE TABLE x(text)", Self))
                }
                fn open(&self, _: &Self::Shared) -> Result<DefinedCursor<'_>, CallbackError> {
                    Ok(DefinedCursor(&[]))
                }
            }
        };
    }
    kind!(Ordinary, Ordinary);
    kind!(Both, Eponymous);
    kind!(Only, EponymousOnly);
    let conn = open();
    conn.create_module::<Ordinary>("ordinary", ()).unwrap();
    conn.create_module::<Both>("both", ()).unwrap();
    conn.create_module::<Only>("only", ()).unwrap();
    let is_there = |name: &str| conn.query_one::<String>(&format!("SELECT text FROM {name}"), ()).is_ok();
    let creates = |name: &str| conn.execute(&format!("CREATE VIRTUAL TABLE t_{name} USING {name}"), ()).is_ok();
    let found = ["ordinary", "both", "only"].map(|name| (is_there(name), creates(name)));
    assert_eq!(found, [(false, true), (true, true), (true, false)]);
    assert_eq!(["main.both", "temp.only", "both"].map(is_there), [true; 3]);
}

#[test]
fn a_table_is_renamed() {
    let shared = Shared::with_rows(2);
    let conn = probe(&shared);
    conn.execute_batch("CREATE VIEW v AS SELECT a FROM t; ALTER TABLE t RENAME TO u").unwrap();
    assert_eq!(shared.take_calls().iter().filter(|call| **call == "rename").count(), 1);
    assert_eq!(one::<i64>(&conn, "SELECT sum(a) FROM u"), 30);
    assert_eq!(one::<i64>(&conn, "SELECT sum(a) FROM v"), 30);
    assert!(conn.query_one::<i64>("SELECT sum(a) FROM t", ()).is_err());
    // A table that does nothing about it is renamed, too.
    let conn = defined();
    conn.execute_batch("CREATE VIRTUAL TABLE t USING defined; ALTER TABLE t RENAME TO u").unwrap();
    assert_eq!(one::<String>(&conn, "SELECT text FROM u"), "false|defined|main|u");
}

#[test]
fn shadow_tables_are_protected() {
    struct Shadowed;
    impl VirtualTable for Shadowed {
        type Shared = ();
        type Cursor<'t> = DefinedCursor<'t>;
        const SHADOW_NAMES: &'static [&'static str] = &["data", "index"];
        fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(text)", Self))
        }
        fn open(&self, _: &Self::Shared) -> Result<DefinedCursor<'_>, CallbackError> {
            Ok(DefinedCursor(&[]))
        }
    }
    let conn = open();
    conn.create_module::<Shadowed>("shadowed", ()).unwrap();
    conn.execute_batch("CREATE TABLE t_data(a); CREATE TABLE t_other(a); CREATE VIRTUAL TABLE t USING shadowed")
        .unwrap();
    conn.execute_batch("INSERT INTO t_data VALUES (1)").unwrap();
    conn.set_db_config(DbConfig::Defensive, true).unwrap();
    let error = conn.execute("INSERT INTO t_data VALUES (2)", ()).unwrap_err();
    assert!(error.to_string().contains("may not be modified"), "{error}");
    conn.execute("INSERT INTO t_other VALUES (2)", ()).unwrap();
    assert!(conn.execute("CREATE TABLE t_INDEX(a)", ()).is_err());
    assert_eq!(one::<String>(&conn, "SELECT type FROM pragma_table_list WHERE name = 't_data'"), "shadow");
    assert_eq!(one::<String>(&conn, "SELECT type FROM pragma_table_list WHERE name = 't_other'"), "table");
}

#[test]
fn a_schema_that_is_not_trusted_uses_innocuous_tables_alone() {
    macro_rules! with_options {
        ($name:ident, $options:expr) => {
            struct $name;
            impl VirtualTable for $name {
                type Shared = ();
                type Cursor<'t> = DefinedCursor<'t>;
                const KIND: TableKind = TableKind::Eponymous;
                const OPTIONS: TableOptions = $options;
                fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
                    Ok(Declared::new("CREATE TABLE x(text)", Self))
                }
                fn open(&self, _: &Self::Shared) -> Result<DefinedCursor<'_>, CallbackError> {
                    Ok(DefinedCursor(&[]))
                }
            }
        };
    }
    with_options!(Plain, TableOptions::new().uses_all_schemas());
    with_options!(Harmless, TableOptions::new().innocuous());
    with_options!(Direct, TableOptions::new().direct_only());
    let conn = open();
    conn.create_module::<Plain>("plain", ()).unwrap();
    conn.create_module::<Harmless>("harmless", ()).unwrap();
    conn.create_module::<Direct>("direct", ()).unwrap();
    let names = ["plain", "harmless", "direct"];
    for name in names {
        conn.execute_batch(&format!("CREATE VIEW v_{name} AS SELECT text FROM {name}")).unwrap();
    }
    let work = |prefix: &str| {
        names.map(|name| conn.query_one::<String>(&format!("SELECT text FROM {prefix}{name}"), ()).is_ok())
    };
    assert_eq!((work(""), work("v_")), ([true; 3], [true, true, false]));
    conn.set_db_config(DbConfig::TrustedSchema, false).unwrap();
    conn.clear_statement_cache();
    assert_eq!((work(""), work("v_")), ([true; 3], [false, true, false]));
}

#[test]
fn connections_that_share_a_cache_have_tables_of_their_own() {
    let connect = |shared: &Shared| {
        let options = OpenOptions::new().uri(true);
        let conn = options.open("file:shared_virtual_tables?mode=memory&cache=shared").unwrap();
        conn.create_module::<Probe>("probe", shared.clone()).unwrap();
        conn
    };
    let (one_shared, two_shared) = (Shared::with_rows(1), Shared::with_rows(2));
    let first = connect(&one_shared);
    first.execute_batch("CREATE VIRTUAL TABLE t USING probe").unwrap();
    let second = connect(&two_shared);
    assert_eq!(one::<i64>(&second, "SELECT count(*) FROM t"), 2);
    assert_eq!(one::<i64>(&first, "SELECT count(*) FROM t"), 1);
    assert_eq!((one_shared.alive(), two_shared.alive()), ((1, 0), (1, 0)));
    first.clear_statement_cache();
    second.clear_statement_cache();
    // It is destroyed by one, and disconnected by the other at its next use.
    first.execute("DROP TABLE t", ()).unwrap();
    assert!(second.query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    assert_eq!((one_shared.alive(), two_shared.alive()), ((0, 0), (0, 0)));
    first.execute_batch("CREATE VIRTUAL TABLE t USING probe").unwrap();
    assert_eq!(one::<i64>(&second, "SELECT count(*) FROM t"), 2);
    first.close().unwrap();
    assert_eq!(one::<i64>(&second, "SELECT count(*) FROM t"), 2);
    second.close().unwrap();
    assert_eq!((one_shared.alive(), two_shared.alive()), ((0, 0), (0, 0)));
}

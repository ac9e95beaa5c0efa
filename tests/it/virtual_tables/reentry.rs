//! Methods that use their connection: as an argument, and in other ways.

use std::cell::RefCell;
use std::rc::Rc;

use finalite::extend::virtual_table::TableKind;

use super::*;

thread_local! {
    static HERE: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    static TRIED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Uses the connection that is running: each use is refused.
fn try_everything(method: &'static str) {
    HERE.with(|here| {
        let Some(conn) = here.borrow().clone() else { return };
        let results = [
            conn.execute("SELECT 1", ()).map(drop),
            conn.execute_batch("SELECT 1"),
            conn.prepare("SELECT 1").map(drop),
            conn.query_one::<i64>("SELECT count(*) FROM t", ()).map(drop),
            conn.create_module::<Probe>("other", Shared::new()),
            conn.create_writable_module::<Probe>("other", Shared::new()),
            conn.create_transactional_module::<Probe>("other", Shared::new()),
            conn.remove_module("uses"),
            conn.retain_modules(&[]),
            conn.create_scalar_function("f", || 1).map(drop),
            conn.remove_function("f", Some(0)).map(drop),
        ];
        for (index, result) in results.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{method}, {index}: {error:?}");
        }
        TRIED.with(|tried| tried.borrow_mut().push(method));
    });
}

struct Uses(Probe);
struct UsesCursor<'t>(ProbeCursor<'t>);

impl VirtualTable for Uses {
    type Shared = Shared;
    type Cursor<'t> = UsesCursor<'t>;

    fn rename(&self, name: &str, call: &TableCall<'_>) -> Result<(), CallbackError> {
        try_everything("rename");
        assert_eq!((name, call.connection().query_one::<i64>("SELECT 1", ())?), ("u", 1));
        try_everything("rename");
        Ok(())
    }

    fn integrity(&self, check: &IntegrityCheck<'_>) -> Result<Option<String>, CallbackError> {
        try_everything("integrity");
        assert_eq!(check.connection().query_one::<i64>("SELECT count(*) FROM t", ())?, 3);
        Ok(None)
    }

    fn connect(shared: &Shared, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        try_everything("connect");
        assert_eq!(definition.connection().query_one::<i64>("SELECT 1", ())?, 1);
        // One that reads registers nothing, and nothing else may use the connection meanwhile.
        // (SQLITE_DEBUG asserts that no RETURNING is prepared here.)
        let error = definition.connection().query_one::<i64>("PRAGMA user_version = 1", ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
        try_everything("connect");
        shared.0.tables.fetch_add(1, Ordering::Relaxed);
        Ok(Declared::new("CREATE TABLE x(a, b)", Self(Probe { shared: shared.clone() })))
    }

    fn destroy(&self, call: &TableCall<'_>) -> Result<(), CallbackError> {
        try_everything("destroy");
        assert_eq!(call.connection().query_one::<i64>("SELECT 1", ())?, 1);
        Ok(())
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
        try_everything("best_index");
        self.0.best_index(query)
    }

    fn open<'t>(&'t self, shared: &'t Shared) -> Result<UsesCursor<'t>, CallbackError> {
        try_everything("open");
        self.0.open(shared).map(UsesCursor)
    }
}

impl TableCursor for UsesCursor<'_> {
    fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
        try_everything("filter");
        // The table that it belongs to, by another cursor.
        if call.plan() == 0 {
            let count: i64 = call.connection().query_one("SELECT count(*) FROM t WHERE a = 20", ())?;
            assert_eq!(count, 1);
        }
        try_everything("filter");
        self.0.filter(call)
    }

    fn next(&mut self, call: &TableCall<'_>) -> Result<bool, CallbackError> {
        try_everything("next");
        // That cursor has one row, and reads nothing in turn.
        if self.0.rows.len() > 1 {
            assert_eq!(call.connection().query_all::<i64>("SELECT a FROM t WHERE a = 30", ())?, [30]);
        }
        self.0.next(call)
    }

    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        try_everything("column");
        assert!(cell.connection().exists("SELECT 1 FROM o", ())?);
        self.0.column(column, cell)
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        try_everything("rowid");
        self.0.rowid()
    }
}

impl WritableTable for Uses {
    fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError> {
        try_everything("insert");
        assert_eq!(row.connection().query_one::<i64>("SELECT count(*) FROM t WHERE a = 20", ())?, 1);
        self.0.insert(row)
    }

    fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> Result<(), CallbackError> {
        try_everything("update");
        assert_eq!(old.connection().query_one::<i64>("SELECT count(*) FROM t WHERE a = 20", ())?, 1);
        self.0.update(old, row)
    }

    fn delete(&self, old: &OldRow<'_>) -> Result<(), CallbackError> {
        try_everything("delete");
        self.0.delete(old)
    }
}

impl TransactionalTable for Uses {
    fn begin(&self) -> Result<(), CallbackError> {
        try_everything("begin");
        Ok(())
    }

    fn sync(&self, call: &TableCall<'_>) -> Result<(), CallbackError> {
        try_everything("sync");
        assert_eq!(call.connection().query_one::<i64>("SELECT 1", ())?, 1);
        Ok(())
    }

    fn commit(&self) {
        try_everything("commit");
    }

    fn rollback(&self) {
        try_everything("rollback");
    }

    fn savepoint(&self, _: i32) -> Result<(), CallbackError> {
        try_everything("savepoint");
        Ok(())
    }

    fn release(&self, _: i32) -> Result<(), CallbackError> {
        try_everything("release");
        Ok(())
    }

    fn rollback_to(&self, _: i32) -> Result<(), CallbackError> {
        try_everything("rollback_to");
        Ok(())
    }
}

#[test]
fn rule_4_a_method_uses_the_connection_of_its_call_alone() {
    let shared = Shared::with_rows(3);
    let conn = Rc::new(open());
    conn.execute_batch("CREATE TABLE o(a); INSERT INTO o VALUES (1)").unwrap();
    conn.create_transactional_module::<Uses>("uses", shared.clone()).unwrap();
    HERE.with(|here| here.replace(Some(Rc::clone(&conn))));
    for sql in [
        "CREATE VIRTUAL TABLE t USING uses",
        "SELECT rowid, a, b FROM t",
        "INSERT INTO t VALUES (40, 'four')",
        "UPDATE t SET b = 'x' WHERE a = 30",
        "DELETE FROM t WHERE a = 40",
        "PRAGMA integrity_check",
        "BEGIN; INSERT INTO t VALUES (40, 'four'); SAVEPOINT s; RELEASE s; SAVEPOINT s; ROLLBACK TO s; ROLLBACK",
        "DELETE FROM t WHERE a = 40",
        "ALTER TABLE t RENAME TO u",
        "DROP TABLE u",
    ] {
        conn.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    HERE.with(|here| here.replace(None));
    let mut tried = TRIED.with(|tried| tried.take());
    tried.sort_unstable();
    tried.dedup();
    let expected = [
        "begin",
        "best_index",
        "column",
        "commit",
        "connect",
        "delete",
        "destroy",
        "filter",
        "insert",
        "integrity",
        "next",
        "open",
        "release",
        "rename",
        "rollback",
        "rollback_to",
        "rowid",
        "savepoint",
        "sync",
        "update",
    ];
    assert_eq!(tried, expected);
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
    // No statement by which the methods have read keeps a table.
    assert_eq!(shared.alive(), (0, 0));
    Rc::into_inner(conn).unwrap().close().unwrap();
    assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
}

#[test]
fn rule_4_a_table_that_reads_itself_without_end_is_an_error() {
    struct Endless;
    struct Cursor;
    impl VirtualTable for Endless {
        type Shared = ();
        type Cursor<'t> = Cursor;
        const KIND: TableKind = TableKind::EponymousOnly;
        fn connect(_: &(), definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            // SQLite refuses a table that connects while it connects.
            let error = definition.connection().query_all::<i64>("SELECT a FROM t", ()).unwrap_err();
            assert!(error.to_string().contains("recursively"), "{error}");
            Ok(Declared::new("CREATE TABLE x(a)", Self))
        }
        fn open(&self, _: &Self::Shared) -> Result<Cursor, CallbackError> {
            Ok(Cursor)
        }
    }
    impl TableCursor for Cursor {
        fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
            thread_local!(static DEPTH: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
            let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
            if depth == 20 {
                return Err("deep enough".into());
            }
            call.connection().query_all::<i64>("SELECT a FROM t", ())?;
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
    let conn = open();
    conn.create_module::<Endless>("t", ()).unwrap();
    let error = conn.query_all::<i64>("SELECT a FROM t", ()).unwrap_err();
    assert!(error.to_string().contains("deep enough"), "{error}");
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

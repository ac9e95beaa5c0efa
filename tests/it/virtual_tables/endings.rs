//! Endings: in every order of statements, tables, modules and connections, once each, also after panics in Drop.

use std::cell::RefCell;
use std::rc::Rc;

use finalite::extend::virtual_table::TableKind;

use super::*;
use crate::common::leaked;

/// Steps a statement to its first row, and forgets it there.
fn forget_within(conn: &Connection, sql: &str) {
    let mut rows = conn.prepare(sql).unwrap().into_rows(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    std::mem::forget(rows);
}

#[test]
fn rule_18_cursors_and_tables_are_dropped_once() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let mut statement = conn.prepare("SELECT x.a FROM t AS x, t AS y").unwrap();
    let mut rows = statement.query(()).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert_eq!(shared.alive(), (1, 2));
    drop(rows);
    assert_eq!(shared.alive(), (1, 0));
    drop(statement);
    conn.close().unwrap();
    assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
    let calls = shared.take_calls();
    assert_eq!(calls.last(), Some(&"drop table"));
    assert_eq!(calls.iter().filter(|call| **call == "drop cursor").count(), 2);
}

#[test]
fn rule_18_a_forgotten_cursor_ends_before_its_table_when_the_connection_closes() {
    for has_transaction in [false, true] {
        let shared = Shared::with_rows(3);
        let conn = probe(&shared);
        if has_transaction {
            conn.execute_batch("BEGIN; INSERT INTO t VALUES (40, 'four')").unwrap();
        }
        forget_within(&conn, "SELECT a FROM t");
        forget_within(&conn, "SELECT x.a FROM t AS x, t AS y");
        assert_eq!(shared.alive(), (1, 3));
        shared.take_calls();
        conn.close().unwrap();
        // Nothing but Drop runs.
        assert_eq!(shared.take_calls(), ["drop cursor", "drop cursor", "drop cursor", "drop table"]);
        assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
    }
}

#[test]
fn rule_18_a_table_whose_destroy_fails_goes_on() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    for fault in [Fault::Error, Fault::Panic] {
        shared.fail("destroy", fault);
        match fault {
            Fault::Panic => assert_eq!(panic_of(|| conn.execute("DROP TABLE t", ())), "destroy panics"),
            _ => assert_is_of(&conn.execute("DROP TABLE t", ()).unwrap_err(), "destroy", ResultCode::ERROR),
        }
        shared.mend();
        assert_eq!(shared.alive(), (1, 0));
        assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t"), 3);
    }
    shared.fail("destroy", Fault::Error);
    conn.execute("DROP TABLE t", ()).unwrap_err();
    conn.close().unwrap();
    assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
}

#[test]
fn rule_18_a_table_with_an_open_cursor_is_not_dropped() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let mut statement = conn.prepare("SELECT b FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    let first: String = rows.next().unwrap().unwrap().get(0).unwrap();
    let error = conn.execute("DROP TABLE t", ()).unwrap_err();
    assert_eq!(error.code(), Some(ResultCode::LOCKED), "{error:?}");
    assert_eq!((first, shared.alive()), ("one".to_owned(), (1, 1)));
    assert_eq!(rows.next().unwrap().unwrap().get::<String>(0).unwrap(), "two");
    drop(rows);
    conn.execute("DROP TABLE t", ()).unwrap();
    assert_eq!(shared.alive(), (0, 0));
    // The statement finds out.
    assert!(statement.query_all::<String>(()).is_err());
}

// ---- modules that are replaced and removed

#[test]
fn rule_18_a_module_that_is_removed_lives_as_long_as_its_tables() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.remove_module("probe").unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 20);
    drop(rows);
    // It is connected, and goes on.
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t"), 3);
    conn.execute("INSERT INTO t VALUES (1, 'x')", ()).unwrap();
    assert!(Arc::strong_count(&shared.0) > 1);
    let error = conn.execute("CREATE VIRTUAL TABLE u USING probe", ()).unwrap_err();
    assert!(error.to_string().contains("no such module"), "{error}");
    conn.execute_batch("PRAGMA writable_schema = RESET").unwrap();
    let error = conn.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap_err();
    assert!(error.to_string().contains("no such module"), "{error}");
    drop(statement);
    conn.close().unwrap();
    assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
}

#[test]
fn rule_18_a_module_that_is_replaced_lives_as_long_as_its_tables() {
    let (old, new) = (Shared::with_rows(3), Shared::with_rows(1));
    let conn = probe(&old);
    conn.create_transactional_module::<Probe>("PROBE", new.clone()).unwrap();
    conn.execute("CREATE VIRTUAL TABLE u USING probe", ()).unwrap();
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t"), 3);
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM u"), 1);
    conn.execute("DROP TABLE t", ()).unwrap();
    assert_eq!(old.alive(), (0, 0));
    // Its statements are prepared again, or end.
    one::<i64>(&conn, "SELECT 1");
    drop(conn);
    assert_eq!((Arc::strong_count(&old.0), Arc::strong_count(&new.0)), (1, 1));
}

#[test]
fn a_module_that_nothing_uses_is_dropped_by_the_call_that_removes_it() {
    let conn = open();
    let shared: Vec<Shared> = (0..4).map(|_| Shared::new()).collect();
    for (name, shared) in ["a", "b", "c", "d"].into_iter().zip(&shared) {
        conn.create_module::<Probe>(name, shared.clone()).unwrap();
    }
    let held = || shared.iter().map(|shared| Arc::strong_count(&shared.0) - 1).collect::<Vec<_>>();
    assert_eq!(held(), [1, 1, 1, 1]);
    conn.remove_module("a").unwrap();
    conn.remove_module("a").unwrap();
    conn.remove_module("nothing").unwrap();
    assert_eq!(held(), [0, 1, 1, 1]);
    conn.retain_modules(&["c"]).unwrap();
    assert_eq!(held(), [0, 0, 1, 0]);
    conn.create_module::<Probe>("c", Shared::new()).unwrap();
    assert_eq!(held(), [0, 0, 0, 0]);
    assert!(
        !conn.exists("SELECT 1 FROM pragma_module_list WHERE name IN ('a', 'b', 'd', 'rtree')", ()).is_ok_and(|it| it)
    );
    drop(conn);
}

#[test]
fn rule_18_an_eponymous_table_is_replaced_while_its_statement_runs() {
    struct Numbers(i64);
    struct Count(i64, i64);
    impl VirtualTable for Numbers {
        type Shared = i64;
        type Cursor<'t> = Count;
        const KIND: TableKind = TableKind::Eponymous;
        fn connect(shared: &i64, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(n)", Self(*shared)))
        }
        fn open(&self, _: &Self::Shared) -> Result<Count, CallbackError> {
            Ok(Count(0, self.0))
        }
    }
    impl TableCursor for Count {
        fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
            self.0 = 0;
            Ok(self.0 < self.1)
        }
        fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
            self.0 += 1;
            Ok(self.0 < self.1)
        }
        fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
            cell.set(self.0)
        }
        fn rowid(&self) -> Result<i64, CallbackError> {
            Ok(self.0)
        }
    }
    let conn = open();
    conn.create_module::<Numbers>("numbers", 3).unwrap();
    let mut statement = conn.prepare("SELECT n FROM numbers").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    conn.create_module::<Numbers>("numbers", 5).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 1);
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM numbers"), 5);
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 2);
    assert!(rows.next().unwrap().is_none());
    drop(rows);
    drop(statement);
    conn.remove_module("numbers").unwrap();
    assert!(conn.query_one::<i64>("SELECT count(n) FROM numbers", ()).is_err());
}

// ---- Drop of the program

#[test]
fn rule_5_a_panic_in_the_drop_of_a_cursor_is_resumed_once() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    shared.fail("drop cursor", Fault::Panic);
    assert_eq!(panic_of(|| conn.query_all::<i64>("SELECT a FROM t", ())), "drop cursor panics");
    // In Drop, the next call resumes it.
    let mut statement = conn.prepare("SELECT a FROM t").unwrap();
    let mut rows = statement.query(()).unwrap();
    rows.next().unwrap();
    drop(rows);
    shared.mend();
    assert_eq!(panic_of(|| conn.query_one::<i64>("SELECT 1", ())), "drop cursor panics");
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t"), 3);
    assert_eq!(shared.alive(), (1, 0));
    drop(statement);
    conn.close().unwrap();
}

#[test]
fn rule_5_a_panic_in_the_drop_of_a_table() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    shared.fail("drop table", Fault::Panic);
    assert_eq!(panic_of(|| conn.execute("DROP TABLE t", ())), "drop table panics");
    assert_eq!(shared.alive(), (0, 0));
    assert!(!conn.exists("SELECT 1 FROM sqlite_schema", ()).unwrap());
    conn.execute("CREATE VIRTUAL TABLE t USING probe", ()).unwrap();
    // While the connection closes, it is discarded.
    conn.close().unwrap();
    assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
}

#[test]
fn rule_5_a_panic_in_the_drop_of_the_shared_value() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the shared value panics");
        }
    }
    struct Empty;
    impl VirtualTable for Empty {
        type Shared = Bomb;
        type Cursor<'t> = Nothing;
        fn connect(_: &Bomb, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(n)", Self))
        }
        fn open(&self, _: &Self::Shared) -> Result<Nothing, CallbackError> {
            Ok(Nothing)
        }
    }
    struct Nothing;
    impl TableCursor for Nothing {
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
    let conn = open();
    conn.create_module::<Empty>("empty", Bomb).unwrap();
    assert_eq!(panic_of(|| conn.remove_module("empty")), "the shared value panics");
    conn.create_module::<Empty>("empty", Bomb).unwrap();
    assert_eq!(panic_of(|| conn.create_module::<Empty>("empty", Bomb)), "the shared value panics");
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
    conn.close().unwrap();
}

thread_local! {
    static HERE: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

#[test]
fn rule_4_the_drop_of_a_cursor_and_of_a_table_cannot_use_the_connection() {
    /// Uses the connection in its Drop.
    struct Uses(Arc<AtomicUsize>);
    impl Drop for Uses {
        fn drop(&mut self) {
            HERE.with(|here| {
                let Some(conn) = here.borrow().clone() else { return };
                let error = conn.query_one::<i64>("SELECT 1", ()).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
                let error = conn.remove_module("uses").unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Misuse { .. }), "{error:?}");
                self.0.fetch_add(1, Ordering::Relaxed);
            });
        }
    }
    struct Table(Arc<AtomicUsize>, Uses);
    struct Cursor(Uses);
    impl VirtualTable for Table {
        type Shared = Arc<AtomicUsize>;
        type Cursor<'t> = Cursor;
        fn connect(shared: &Self::Shared, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(n)", Self(shared.clone(), Uses(shared.clone()))))
        }
        fn open(&self, _: &Self::Shared) -> Result<Cursor, CallbackError> {
            let _ = &self.1;
            Ok(Cursor(Uses(self.0.clone())))
        }
    }
    impl TableCursor for Cursor {
        fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
            let _ = &self.0;
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
    let conn = Rc::new(open());
    let refused = Arc::new(AtomicUsize::new(0));
    conn.create_module::<Table>("uses", refused.clone()).unwrap();
    HERE.with(|here| here.replace(Some(Rc::clone(&conn))));
    conn.execute("CREATE VIRTUAL TABLE t USING uses", ()).unwrap();
    assert!(conn.query_all::<i64>("SELECT n FROM t", ()).unwrap().is_empty());
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    conn.execute("DROP TABLE t", ()).unwrap();
    assert_eq!(refused.load(Ordering::Relaxed), 2);
    HERE.with(|here| here.replace(None));
    assert_eq!(one::<i64>(&conn, "SELECT 1"), 1);
}

#[test]
fn rule_12_a_cursor_is_not_dropped_on_another_thread() {
    /// A table whose cursors have a note of their own, which is leaked with them.
    struct Noted(Arc<AtomicUsize>);
    struct Note(Arc<AtomicUsize>);
    impl VirtualTable for Noted {
        type Shared = Arc<AtomicUsize>;
        type Cursor<'t> = Note;
        fn connect(shared: &Self::Shared, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
            Ok(Declared::new("CREATE TABLE x(n)", Self(Arc::clone(shared))))
        }
        fn open(&self, _: &Self::Shared) -> Result<Note, CallbackError> {
            Ok(Note(Arc::clone(&self.0)))
        }
    }
    impl TableCursor for Note {
        fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
            Ok(true)
        }
        fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
            Ok(true)
        }
        fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
            cell.set(1)
        }
        fn rowid(&self) -> Result<i64, CallbackError> {
            Ok(1)
        }
    }
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    leaked::note(Arc::as_ptr(&dropped).cast());
    let with_forgotten = || {
        let conn = open();
        conn.create_module::<Noted>("noted", Arc::clone(&dropped)).unwrap();
        conn.execute("CREATE VIRTUAL TABLE t USING noted", ()).unwrap();
        forget_within(&conn, "SELECT n FROM t");
        conn
    };
    // The control: on its own thread it is.
    with_forgotten().close().unwrap();
    assert_eq!((dropped.load(Ordering::Relaxed), Arc::strong_count(&dropped)), (1, 1));
    let conn = with_forgotten();
    std::thread::spawn(move || conn.close().unwrap()).join().unwrap();
    assert_eq!((dropped.load(Ordering::Relaxed), Arc::strong_count(&dropped)), (1, 2));
}

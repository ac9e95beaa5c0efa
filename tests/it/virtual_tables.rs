//! Virtual tables of the program. `sqlite.rs` has the behaviours of SQLite's own tests of virtual tables.

mod elsewhere;
mod endings;
mod errors;
mod faults;
mod index;
mod reentry;
mod sqlite;
mod writing;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use finalite::extend::CallbackError;
use finalite::extend::virtual_table::{
    CellCall, ConstraintOperator, Declared, FilterCall, IndexQuery, IntegrityCheck, NewRow, OldRow, TableCall,
    TableCursor, TableDefinition, TableError, TableOptions, TransactionalTable, VirtualTable, WritableTable,
};
use finalite::{Connection, Error, ErrorKind, ResultCode};

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

fn one<T: for<'row> finalite::FromRow<'row>>(conn: &Connection, sql: &str) -> T {
    conn.query_one(sql, ()).unwrap()
}

/// Returns the text of the panic with which a call ends.
fn panic_of<R>(run: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(run)) else { panic!("no panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
    }
}

/// What a method does in place of its work.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Error,
    /// An error of a type of the test.
    Made(fn() -> CallbackError),
    Coded(ResultCode),
    Panic,
}

type Rows = BTreeMap<i64, (i64, String)>;

/// What the tables of a module have in common: a log of calls, and a method that fails.
#[derive(Default)]
struct State {
    calls: Mutex<Vec<&'static str>>,
    fault: Mutex<Option<(&'static str, Fault)>>,
    schema: Mutex<String>,
    tables: AtomicUsize,
    cursors: AtomicUsize,
    rows: Mutex<Rows>,
    /// Rows at the beginning of the transaction, and at each savepoint.
    saved: Mutex<Vec<(i32, Rows)>>,
}

#[derive(Clone)]
struct Shared(Arc<State>);

impl Shared {
    fn new() -> Self {
        let state = State { schema: Mutex::new("CREATE TABLE x(a INTEGER, b TEXT)".into()), ..State::default() };
        Self(Arc::new(state))
    }

    /// With the rows (1, 10, "one"), (2, 20, "two") and so on.
    fn with_rows(rows: i64) -> Self {
        const NAMES: [&str; 4] = ["one", "two", "three", "four"];
        let shared = Self::new();
        *shared.0.rows.lock().unwrap() =
            (1..=rows).zip(NAMES).map(|(rowid, name)| (rowid, (10 * rowid, name.to_owned()))).collect();
        shared
    }

    fn enter(&self, method: &'static str) -> Result<(), CallbackError> {
        self.0.calls.lock().unwrap().push(method);
        let fault = *self.0.fault.lock().unwrap();
        match fault {
            Some((failing, fault)) if failing == method => match fault {
                Fault::Error => Err(format!("{method} on purpose").into()),
                Fault::Made(make) => Err(make()),
                Fault::Coded(code) => Err(TableError::new(code, format!("{method} with a code")).into()),
                Fault::Panic => panic!("{method} panics"),
            },
            _ => Ok(()),
        }
    }

    fn fail(&self, method: &'static str, fault: Fault) {
        *self.0.fault.lock().unwrap() = Some((method, fault));
    }

    fn mend(&self) {
        *self.0.fault.lock().unwrap() = None;
    }

    /// Returns the calls since the last one, without those that each statement makes in a number of its own.
    fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.calls.lock().unwrap())
    }

    fn alive(&self) -> (usize, usize) {
        (self.0.tables.load(Ordering::Relaxed), self.0.cursors.load(Ordering::Relaxed))
    }

    fn rows(&self) -> Vec<(i64, i64, String)> {
        self.0.rows.lock().unwrap().iter().map(|(rowid, (a, b))| (*rowid, *a, b.clone())).collect()
    }
}

/// A table whose methods are logged, and fail on demand.
struct Probe {
    shared: Shared,
}

struct ProbeCursor<'t> {
    table: &'t Probe,
    rows: Vec<(i64, i64, String)>,
    at: usize,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.0.tables.fetch_sub(1, Ordering::Relaxed);
        self.shared.enter("drop table").unwrap();
    }
}

impl Drop for ProbeCursor<'_> {
    fn drop(&mut self) {
        self.table.shared.0.cursors.fetch_sub(1, Ordering::Relaxed);
        self.table.shared.enter("drop cursor").unwrap();
    }
}

impl Probe {
    fn make(method: &'static str, shared: &Shared) -> Result<Declared<Self>, CallbackError> {
        shared.enter(method)?;
        shared.0.tables.fetch_add(1, Ordering::Relaxed);
        let schema = shared.0.schema.lock().unwrap().clone();
        Ok(Declared::new(schema, Self { shared: shared.clone() }))
    }
}

impl VirtualTable for Probe {
    type Shared = Shared;
    type Cursor<'t> = ProbeCursor<'t>;

    const OPTIONS: TableOptions = TableOptions::new().constraint_support();

    fn connect(shared: &Shared, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        Self::make("connect", shared)
    }

    fn create(shared: &Shared, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        Self::make("create", shared)
    }

    fn destroy(&self, _: &TableCall<'_>) -> Result<(), CallbackError> {
        self.shared.enter("destroy")
    }

    fn rename(&self, _: &str, _: &TableCall<'_>) -> Result<(), CallbackError> {
        self.shared.enter("rename")
    }

    fn integrity(&self, _: &IntegrityCheck<'_>) -> Result<Option<String>, CallbackError> {
        self.shared.enter("integrity")?;
        Ok(None)
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
        self.shared.enter("best_index")?;
        if let Some(a) = query.find(0, ConstraintOperator::Equal) {
            query.omit(a)?;
            query.set_plan(1);
            query.set_cost(1.0);
        }
        Ok(())
    }

    fn open(&self, _: &Self::Shared) -> Result<ProbeCursor<'_>, CallbackError> {
        self.shared.enter("open")?;
        self.shared.0.cursors.fetch_add(1, Ordering::Relaxed);
        Ok(ProbeCursor { table: self, rows: Vec::new(), at: 0 })
    }
}

impl TableCursor for ProbeCursor<'_> {
    fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
        self.table.shared.enter("filter")?;
        self.rows = self.table.shared.rows();
        if call.plan() == 1 {
            let a: Option<i64> = call.get(0)?;
            self.rows.retain(|row| Some(row.1) == a);
        }
        self.at = 0;
        Ok(!self.rows.is_empty())
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.table.shared.enter("next")?;
        self.at += 1;
        Ok(self.at < self.rows.len())
    }

    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        self.table.shared.enter("column")?;
        let (_, a, b) = &self.rows[self.at];
        match column {
            0 => cell.set(*a),
            1 => cell.set(b),
            _ => Ok(()),
        }
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        self.table.shared.enter("rowid")?;
        Ok(self.rows[self.at].0)
    }
}

impl WritableTable for Probe {
    fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError> {
        self.shared.enter("insert")?;
        let mut rows = self.shared.0.rows.lock().unwrap();
        let rowid = match row.rowid()? {
            Some(rowid) => rowid,
            None => rows.keys().last().map_or(1, |last| last + 1),
        };
        if rows.contains_key(&rowid) {
            return Err(TableError::constraint("the rowid is taken").into());
        }
        rows.insert(rowid, (row.get(0)?, row.get(1)?));
        Ok(rowid)
    }

    fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> Result<(), CallbackError> {
        self.shared.enter("update")?;
        let mut rows = self.shared.0.rows.lock().unwrap();
        rows.remove(&old.rowid()?);
        rows.insert(row.rowid()?.ok_or("no rowid")?, (row.get(0)?, row.get(1)?));
        Ok(())
    }

    fn delete(&self, old: &OldRow<'_>) -> Result<(), CallbackError> {
        self.shared.enter("delete")?;
        self.shared.0.rows.lock().unwrap().remove(&old.rowid()?);
        Ok(())
    }
}

impl Probe {
    fn save(&self, number: i32) {
        let rows = self.shared.0.rows.lock().unwrap().clone();
        self.shared.0.saved.lock().unwrap().push((number, rows));
    }
}

impl TransactionalTable for Probe {
    fn begin(&self) -> Result<(), CallbackError> {
        self.shared.enter("begin")?;
        self.shared.0.saved.lock().unwrap().clear();
        self.save(-1);
        Ok(())
    }

    fn sync(&self, _: &TableCall<'_>) -> Result<(), CallbackError> {
        self.shared.enter("sync")
    }

    fn commit(&self) {
        self.shared.0.saved.lock().unwrap().clear();
        self.shared.enter("commit").unwrap();
    }

    fn rollback(&self) {
        if let Some((_, rows)) = self.shared.0.saved.lock().unwrap().drain(..).next() {
            *self.shared.0.rows.lock().unwrap() = rows;
        }
        self.shared.enter("rollback").unwrap();
    }

    fn savepoint(&self, number: i32) -> Result<(), CallbackError> {
        self.shared.enter("savepoint")?;
        self.save(number);
        Ok(())
    }

    fn release(&self, number: i32) -> Result<(), CallbackError> {
        self.shared.enter("release")?;
        self.shared.0.saved.lock().unwrap().retain(|(saved, _)| *saved < number);
        Ok(())
    }

    fn rollback_to(&self, number: i32) -> Result<(), CallbackError> {
        self.shared.enter("rollback_to")?;
        let mut saved = self.shared.0.saved.lock().unwrap();
        if let Some((_, rows)) = saved.iter().find(|(saved, _)| *saved >= number) {
            *self.shared.0.rows.lock().unwrap() = rows.clone();
        }
        saved.retain(|(saved, _)| *saved <= number);
        Ok(())
    }
}

/// A connection with the module `probe` and a table `t` of it.
fn probe(shared: &Shared) -> Connection {
    let conn = open();
    conn.create_transactional_module::<Probe>("probe", shared.clone()).unwrap();
    conn.execute("CREATE VIRTUAL TABLE t USING probe", ()).unwrap();
    shared.take_calls();
    conn
}

/// Asserts that an error is that of a method.
fn assert_is_of(error: &Error, method: &str, code: ResultCode) {
    let ErrorKind::VirtualTable { code: its, table, method: found, error: inner, .. } = error.kind() else {
        panic!("another kind: {error:?}");
    };
    assert_eq!((&**table, *found, *its), ("t", method, code), "{error:?}");
    let source = std::error::Error::source(error).unwrap().to_string();
    assert_eq!(inner.to_string(), source);
    assert!(error.to_string().starts_with(&format!("table t, {method}: {source}")), "{error}");
}

#[test]
fn a_table_is_read_and_written() {
    let shared = Shared::with_rows(3);
    let conn = probe(&shared);
    let all = |conn: &Connection| conn.query_all::<(i64, i64, String)>("SELECT rowid, * FROM t", ()).unwrap();
    assert_eq!(all(&conn), shared.rows());
    assert_eq!(one::<String>(&conn, "SELECT b FROM t WHERE a = 20"), "two");
    assert_eq!(conn.execute("INSERT INTO t VALUES (40, 'four')", ()).unwrap(), 1);
    assert_eq!(conn.last_insert_rowid(), 4);
    assert_eq!(conn.execute("UPDATE t SET b = b || '!' WHERE a > 20", ()).unwrap(), 2);
    assert_eq!(conn.execute("DELETE FROM t WHERE rowid = 1", ()).unwrap(), 1);
    let expected = [(2, 20, "two".into()), (3, 30, "three!".into()), (4, 40, "four!".into())];
    assert_eq!((all(&conn), shared.rows()), (expected.to_vec(), expected.to_vec()));
    conn.execute("DROP TABLE t", ()).unwrap();
    assert_eq!(shared.alive(), (0, 0));
    conn.close().unwrap();
    assert_eq!(Arc::strong_count(&shared.0), 1);
}

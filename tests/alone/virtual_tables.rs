//! Nothing is left of virtual tables, however their statements, modules and connections end.

use std::mem::forget;
use std::sync::Mutex;

use finalite::extend::CallbackError;
use finalite::extend::virtual_table::{
    CellCall, Declared, FilterCall, NewRow, OldRow, OverloadedFunction, TableCall, TableCursor, TableDefinition,
    TableError, TransactionalTable, VirtualTable, WritableTable,
};
use finalite::handles;
use finalite::{Connection, LeakCheck};

use crate::common::witness::{left_by, nothing_left_by};
use crate::runner::cases;

cases![nothing_is_left_of_virtual_tables, a_module_is_counted_until_it_ends, a_table_of_a_forgotten_connection_is_seen];

/// A table of texts, which fails for those that say so.
struct Texts(Vec<String>);

struct TextCursor<'t>(std::slice::Iter<'t, String>, Option<&'t String>, Box<[u8]>);

impl VirtualTable for Texts {
    type Shared = Vec<String>;
    type Cursor<'t> = TextCursor<'t>;

    fn functions() -> Vec<OverloadedFunction> {
        vec![OverloadedFunction::new("of_table", 1, |call| Ok(call.argument_count() as i64))]
    }

    fn connect(shared: &Vec<String>, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        match definition.arguments().next() {
            Some("fail") => Err("it fails".into()),
            Some("wrong") => Ok(Declared::new("SELECT", Self(shared.clone()))),
            _ => Ok(Declared::new("CREATE TABLE x(text)", Self(shared.clone()))),
        }
    }

    fn destroy(&self, call: &TableCall<'_>) -> Result<(), CallbackError> {
        let keeps = call.connection().exists("SELECT 1 FROM sqlite_schema WHERE name = 'keep'", ())?;
        if keeps { Err("it is kept".into()) } else { Ok(()) }
    }

    fn open(&self, _: &Self::Shared) -> Result<TextCursor<'_>, CallbackError> {
        Ok(TextCursor(self.0.iter(), None, vec![7; 1000].into()))
    }
}

impl TableCursor for TextCursor<'_> {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        self.1 = self.0.next();
        Ok(self.1.is_some() && !self.2.is_empty())
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.1 = self.0.next();
        Ok(self.1.is_some())
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        match self.1.map(String::as_str) {
            Some("fail") => Err("it fails".into()),
            text => cell.set(text),
        }
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(0)
    }
}

impl WritableTable for Texts {
    fn insert(&self, _: &NewRow<'_>) -> Result<i64, CallbackError> {
        Err(TableError::constraint("it is full").into())
    }

    fn update(&self, _: &OldRow<'_>, _: &NewRow<'_>) -> Result<(), CallbackError> {
        Ok(())
    }

    fn delete(&self, _: &OldRow<'_>) -> Result<(), CallbackError> {
        Ok(())
    }
}

impl TransactionalTable for Texts {
    fn begin(&self) -> Result<(), CallbackError> {
        Ok(())
    }

    fn commit(&self) {}

    fn rollback(&self) {}
}

/// How a use of the table ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Plain,
    Dropped,
    Removed,
    Replaced,
    Forgotten,
    Kept,
    InTransaction,
    Elsewhere,
}

fn use_tables(end: End) {
    let texts: Vec<String> = ["one", "two", "fail"].map(|text| text.to_owned()).into();
    let conn = Connection::open_in_memory().unwrap();
    conn.create_transactional_module::<Texts>("texts", texts.clone()).unwrap();
    conn.execute("CREATE VIRTUAL TABLE t USING texts", ()).unwrap();
    for argument in ["fail", "wrong"] {
        conn.execute(&format!("CREATE VIRTUAL TABLE u USING texts({argument})"), ()).unwrap_err();
    }
    conn.query_all::<String>("SELECT text FROM t", ()).unwrap_err();
    conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
    conn.execute("UPDATE t SET text = 2 WHERE text = 'one'", ()).unwrap_err();
    assert_eq!(conn.query_row("SELECT of_table(text) FROM t LIMIT 1", (), |row| row.get::<i64>(0)).unwrap(), 1);
    match end {
        End::Plain => {}
        End::Dropped => conn.execute_batch("DROP TABLE t").unwrap(),
        End::Removed => conn.remove_module("texts").unwrap(),
        End::Replaced => conn.create_module::<Texts>("texts", texts).unwrap(),
        End::Forgotten | End::Elsewhere => {
            let mut rows = conn.prepare("SELECT text FROM t").unwrap().into_rows(()).unwrap();
            rows.next().unwrap();
            if matches!(end, End::Forgotten) {
                forget(rows);
            }
        }
        End::Kept => {
            conn.execute("CREATE TABLE keep(a)", ()).unwrap();
            conn.execute("DROP TABLE t", ()).unwrap_err();
        }
        End::InTransaction => {
            conn.execute_batch("CREATE TABLE o(a); BEGIN; INSERT INTO o VALUES (1)").unwrap();
            conn.execute("DELETE FROM t WHERE text = 'two'", ()).unwrap_err();
            conn.execute("INSERT INTO t VALUES (1)", ()).unwrap_err();
        }
    }
    if matches!(end, End::Elsewhere) {
        std::thread::spawn(move || conn.close().unwrap()).join().unwrap();
    }
}

fn nothing_is_left_of_virtual_tables() {
    // The first thread of a process leaves something of its own.
    use_tables(End::Elsewhere);
    let all = [End::Plain, End::Dropped, End::Removed, End::Replaced, End::Kept, End::InTransaction, End::Elsewhere];
    for end in all {
        nothing_left_by(&format!("{end:?}"), || {
            let _check = LeakCheck::new();
            use_tables(end);
        });
    }
    nothing_left_by("forgotten", || use_tables(End::Forgotten));
}

fn a_module_is_counted_until_it_ends() {
    let count = || handles::counts().callbacks;
    let before = count();
    let conn = Connection::open_in_memory().unwrap();
    conn.create_module::<Texts>("texts", Vec::new()).unwrap();
    // The module and its function.
    assert_eq!(count(), before + 2);
    conn.create_module::<Texts>("texts", Vec::new()).unwrap();
    assert_eq!(count(), before + 2);
    conn.execute("CREATE VIRTUAL TABLE t USING texts", ()).unwrap();
    conn.remove_module("texts").unwrap();
    assert_eq!(count(), before + 2);
    conn.execute("DROP TABLE t", ()).unwrap();
    conn.clear_statement_cache();
    conn.query_one::<i64>("SELECT 1", ()).unwrap();
    assert_eq!(count(), before);
    conn.create_writable_module::<Texts>("texts", Vec::new()).unwrap();
    drop(conn);
    assert_eq!(count(), before);
}

/// The control: what is left would be told.
fn a_table_of_a_forgotten_connection_is_seen() {
    static FORGOTTEN: Mutex<Option<Connection>> = Mutex::new(None);

    let left = left_by(|| {
        let conn = Connection::open_in_memory().unwrap();
        conn.create_module::<Texts>("texts", Vec::new()).unwrap();
        conn.execute("CREATE VIRTUAL TABLE t USING texts", ()).unwrap();
        // Never dropped, and not lost either, as LeakSanitizer sees it.
        *FORGOTTEN.lock().unwrap() = Some(conn);
    });
    let (before, after) = left.unwrap();
    assert_eq!(after.handles.callbacks, before.handles.callbacks + 2);
    assert!(after.native_blocks > before.native_blocks && after.native_bytes > before.native_bytes);
}

//! Virtual tables in the rest of the interface: scans, schema, deadlines, insertions, backups, copies.

use std::time::Duration;

use finalite::data::Backup;
use finalite::extend::virtual_table::TableKind;
use finalite::scan::ScanStrategy;

use super::*;

/// The numbers from 0 on, without end.
struct Endless;

struct Number(i64);

impl VirtualTable for Endless {
    type Shared = ();
    type Cursor<'t> = Number;

    const KIND: TableKind = TableKind::EponymousOnly;

    fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        Ok(Declared::new("CREATE TABLE x(n INTEGER)", Self))
    }

    fn open(&self, _: &()) -> Result<Number, CallbackError> {
        Ok(Number(0))
    }
}

impl TableCursor for Number {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        self.0 = 0;
        Ok(true)
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.0 += 1;
        Ok(true)
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        cell.set(self.0)
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(self.0)
    }
}

fn endless() -> Connection {
    let conn = open();
    conn.create_module::<Endless>("endless", ()).unwrap();
    conn
}

#[test]
fn a_table_without_end_is_stopped() {
    let conn = endless();
    assert_eq!(conn.query_all::<i64>("SELECT n FROM endless LIMIT 3", ()).unwrap(), [0, 1, 2]);
    let deadline = conn.deadline(Duration::from_millis(20)).unwrap();
    let error = conn.query_one::<i64>("SELECT count(*) FROM endless", ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Deadline { .. }), "{error:?}");
    drop(deadline);
    let handle = conn.interrupt_handle();
    let mut read = 0;
    let error = conn
        .query_map("SELECT n FROM endless", (), |row| row.get::<i64>(0))
        .unwrap()
        .inspect(|_| {
            read += 1;
            if read == 1000 {
                handle.interrupt();
            }
        })
        .find_map(Result::err)
        .unwrap();
    assert!(error.is_interrupted(), "{error:?}");
    assert_eq!(conn.query_all::<i64>("SELECT n FROM endless LIMIT 1", ()).unwrap(), [0]);
}

#[test]
fn scans_read_virtual_tables() {
    let shared = Shared::with_rows(4);
    let conn = probe(&shared);
    let mut sum = 0;
    conn.scan("SELECT a, b FROM t", ())
        .for_each(|row| {
            sum += row.get::<i64>(0)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(sum, 100);
    let columns = conn.scan("SELECT a, b FROM t", ()).columns().unwrap();
    assert_eq!(columns.len(), 4);
    let columns = conn.scan_table("t").all_columns().columns().unwrap();
    assert_eq!(columns.len(), 4);
    let columns = conn.scan("SELECT a FROM t", ()).strategy(ScanStrategy::Pages).columns();
    assert!(columns.is_ok_and(|columns| columns.len() == 4));
    // Ordinary tables are read as ever.
    conn.execute_batch("CREATE TABLE o(a, b); INSERT INTO o SELECT a, b FROM t").unwrap();
    assert_eq!(conn.scan_table("o").all_columns().columns().unwrap().len(), 4);
    // An error and a panic of a method end the scan.
    shared.fail("next", Fault::Error);
    assert_is_of(&conn.scan("SELECT a FROM t", ()).for_each(|_| Ok(())).unwrap_err(), "next", ResultCode::ERROR);
    shared.fail("column", Fault::Panic);
    assert_eq!(panic_of(|| conn.scan("SELECT a FROM t", ()).for_each(|_| Ok(()))), "column panics");
    shared.mend();
    assert_eq!(shared.alive(), (1, 0));
    // Not even the closure of a scan can drop the table that it reads.
    let result = conn.scan("SELECT a FROM t", ()).for_each(|_| conn.execute("DROP TABLE t", ()).map(drop));
    assert_eq!(result.unwrap_err().code(), Some(ResultCode::LOCKED));
}

#[test]
fn insertions_write_virtual_tables() {
    let shared = Shared::new();
    let conn = probe(&shared);
    let mut statement = conn.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
    statement.execute_many([(1, "one"), (2, "two")]).unwrap();
    drop(statement);
    assert_eq!(shared.rows().len(), 2);
    shared.fail("insert", Fault::Coded(ResultCode::FULL));
    let mut statement = conn.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
    assert_is_of(&statement.execute_many([(3, "three")]).unwrap_err(), "insert", ResultCode::FULL);
    shared.mend();
    drop(statement);
    assert_eq!(shared.rows().len(), 2);
}

#[test]
fn the_schema_and_copies_know_virtual_tables() {
    let shared = Shared::with_rows(2);
    let conn = probe(&shared);
    assert!(conn.table_exists(None, "t").unwrap());
    assert!(conn.blob(("t", "b", 1), finalite::data::Access::ReadOnly).is_err());
    // A copy has the definition, and needs the module.
    let copy = Connection::deserialize(&conn.serialize("main").unwrap()).unwrap();
    assert!(copy.query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    copy.create_module::<Probe>("probe", shared.clone()).unwrap();
    assert_eq!(one::<i64>(&copy, "SELECT count(*) FROM t"), 2);
    assert_eq!(shared.alive(), (2, 0));
    // What was connected is not, when other content takes its place.
    let empty = open();
    let mut backup = Backup::new(&empty, copy).unwrap();
    backup.step(1_000).unwrap();
    let copy = backup.finish().unwrap();
    assert!(copy.query_one::<i64>("SELECT count(*) FROM t", ()).is_err());
    copy.close().unwrap();
    assert_eq!(shared.alive(), (1, 0));
    conn.close().unwrap();
    assert_eq!((shared.alive(), Arc::strong_count(&shared.0)), ((0, 0), 1));
}

#[test]
fn values_of_all_types_pass_in_each_encoding() {
    use finalite::{OpenOptions, Value};
    for encoding in ["UTF-8", "UTF-16"] {
        let conn = OpenOptions::new().pragma("encoding", encoding).open_in_memory().unwrap();
        let values = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(-0.5),
            Value::from("grüße \0 und mehr"),
            Value::from(""),
            Value::from(&[][..] as &[u8]),
            Value::from(&[0_u8, 255][..]),
        ];
        conn.create_writable_module::<Any>("any", ()).unwrap();
        conn.execute("CREATE VIRTUAL TABLE t USING any", ()).unwrap();
        for value in &values {
            conn.execute("INSERT INTO t VALUES (?)", (value,)).unwrap();
        }
        assert_eq!(conn.query_all::<Value>("SELECT v FROM t", ()).unwrap(), values, "{encoding}");
        // A cursor's text is copied: it may be gone when SQLite looks at it.
        let sorted = conn.query_all::<Value>("SELECT v FROM t WHERE typeof(v) = 'text' ORDER BY v DESC", ()).unwrap();
        assert_eq!(sorted, [Value::from("grüße \0 und mehr"), Value::from("")]);
        let joined: String = conn.query_one("SELECT group_concat(quote(v)) FROM t WHERE v > x''", ()).unwrap();
        assert_eq!(joined, "X'00FF'");
    }
}

/// A table of any values, whose cursor makes a new text for each cell.
struct Any(std::cell::RefCell<Vec<finalite::Value>>);

struct AnyCursor<'t>(&'t Any, usize);

impl VirtualTable for Any {
    type Shared = ();
    type Cursor<'t> = AnyCursor<'t>;

    fn connect(_: &(), _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        Ok(Declared::new("CREATE TABLE x(v)", Self(Default::default())))
    }

    fn open(&self, _: &()) -> Result<AnyCursor<'_>, CallbackError> {
        Ok(AnyCursor(self, 0))
    }
}

impl TableCursor for AnyCursor<'_> {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        self.1 = 0;
        Ok(!self.0.0.borrow().is_empty())
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.1 += 1;
        Ok(self.1 < self.0.0.borrow().len())
    }

    fn column(&self, _: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        let value = self.0.0.borrow()[self.1].clone();
        cell.set(value)
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(self.1.try_into()?)
    }
}

impl WritableTable for Any {
    fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError> {
        let mut values = self.0.borrow_mut();
        values.push(row.get(0)?);
        Ok(values.len().try_into()?)
    }

    fn update(&self, _: &OldRow<'_>, _: &NewRow<'_>) -> Result<(), CallbackError> {
        Err(TableError::new(ResultCode::READONLY, "rows stay as they are").into())
    }

    fn delete(&self, _: &OldRow<'_>) -> Result<(), CallbackError> {
        Err(TableError::new(ResultCode::READONLY, "rows stay").into())
    }
}

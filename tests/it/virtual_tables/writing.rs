//! Writes: rowids and keys, conflict policies, unchanged columns, transactions and savepoints.

use finalite::extend::virtual_table::{ConflictPolicy, TableKind};
use finalite::{ConstraintKind, Value};

use super::*;

#[test]
fn a_table_that_is_only_read_refuses_to_be_written() {
    let shared = Shared::with_rows(3);
    let conn = open();
    conn.create_module::<Probe>("probe", shared.clone()).unwrap();
    conn.execute("CREATE VIRTUAL TABLE t USING probe", ()).unwrap();
    for sql in ["INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = 1", "DELETE FROM t"] {
        let error = conn.execute(sql, ()).unwrap_err();
        assert!(error.to_string().contains("may not be modified"), "{error}");
    }
    // Nor does it take part in transactions.
    conn.execute_batch("BEGIN; SAVEPOINT s; SELECT * FROM t; ROLLBACK").unwrap();
    let calls = shared.take_calls();
    assert!(["begin", "savepoint", "rollback", "sync"].iter().all(|method| !calls.contains(method)), "{calls:?}");
}

#[test]
fn a_table_without_transactions_is_written() {
    let shared = Shared::with_rows(1);
    let conn = open();
    conn.create_writable_module::<Probe>("probe", shared.clone()).unwrap();
    conn.execute("CREATE VIRTUAL TABLE t USING probe", ()).unwrap();
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (20, 'two'); ROLLBACK").unwrap();
    assert_eq!(shared.rows().len(), 2);
    let calls = shared.take_calls();
    assert!(["begin", "savepoint", "rollback", "sync"].iter().all(|method| !calls.contains(method)), "{calls:?}");
}

#[test]
fn rowids_are_those_of_the_statement_or_of_the_table() {
    let shared = Shared::new();
    let conn = probe(&shared);
    conn.execute("INSERT INTO t(rowid, a, b) VALUES (7, 70, 'seven')", ()).unwrap();
    assert_eq!(conn.last_insert_rowid(), 7);
    conn.execute("INSERT INTO t VALUES (80, 'eight')", ()).unwrap();
    assert_eq!(conn.last_insert_rowid(), 8);
    let returned: Vec<(i64, i64)> =
        conn.query_all("INSERT INTO t VALUES (90, 'nine') RETURNING a, b = 'nine'", ()).unwrap();
    assert_eq!(returned, [(90, 1)]);
    conn.execute("UPDATE t SET rowid = 1 WHERE a = 70", ()).unwrap();
    conn.execute("UPDATE t SET rowid = rowid + 10 WHERE a > 70", ()).unwrap();
    let rowids = shared.rows().iter().map(|row| row.0).collect::<Vec<_>>();
    assert_eq!(rowids, [1, 18, 19]);
    for sql in ["INSERT INTO t(rowid, a, b) VALUES ('x', 1, 'x')", "UPDATE t SET rowid = 'x' WHERE a = 70"] {
        let error = conn.execute(sql, ()).unwrap_err();
        assert_eq!(error.code(), Some(ResultCode::MISMATCH), "{error:?}");
        assert!(error.constraint().is_none());
    }
    assert_eq!(shared.rows().len(), 3);
    // What SQL triggers reads the same.
    conn.execute_batch(
        "CREATE TABLE o(a, b); INSERT INTO o SELECT a, b FROM t; INSERT INTO t SELECT a + 100, b FROM o",
    )
    .unwrap();
    assert_eq!(shared.rows().len(), 6);
}

/// A table with a key in place of a rowid, whose policy and unchanged columns are logged.
struct Keyed {
    log: Arc<KeyedLog>,
}

#[derive(Default)]
struct KeyedLog {
    rows: Mutex<BTreeMap<String, (i64, String)>>,
    seen: Mutex<Vec<String>>,
}

struct KeyedCursor {
    rows: Vec<(String, (i64, String))>,
    at: usize,
    log: Arc<KeyedLog>,
}

impl VirtualTable for Keyed {
    type Shared = Arc<KeyedLog>;
    type Cursor<'t> = KeyedCursor;

    const KIND: TableKind = TableKind::Eponymous;
    const OPTIONS: TableOptions = TableOptions::new().constraint_support();

    fn connect(log: &Arc<KeyedLog>, _: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        let schema = "CREATE TABLE x(key TEXT PRIMARY KEY NOT NULL, n INTEGER, big TEXT, hint HIDDEN) WITHOUT ROWID";
        Ok(Declared::new(schema, Self { log: Arc::clone(log) }))
    }

    fn open(&self, _: &Self::Shared) -> Result<KeyedCursor, CallbackError> {
        Ok(KeyedCursor { rows: Vec::new(), at: 0, log: Arc::clone(&self.log) })
    }
}

impl TableCursor for KeyedCursor {
    fn filter(&mut self, _: &FilterCall<'_>) -> Result<bool, CallbackError> {
        self.rows = self.log.rows.lock().unwrap().clone().into_iter().collect();
        self.at = 0;
        Ok(!self.rows.is_empty())
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.at += 1;
        Ok(self.at < self.rows.len())
    }

    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        let (key, (n, big)) = &self.rows[self.at];
        match column {
            0 => cell.set(key),
            1 => cell.set(*n),
            2 if cell.is_unchanged() => Ok(()),
            2 => cell.set(big),
            _ => cell.set(None::<i64>),
        }
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Err("a table without rowid is not asked".into())
    }
}

impl Keyed {
    fn see(&self, text: String) {
        self.log.seen.lock().unwrap().push(text);
    }
}

impl WritableTable for Keyed {
    fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError> {
        let key: String = row.get(0)?;
        self.see(format!("insert {key} {:?} {:?} {:?}", row.conflict_policy(), row.value(3)?, row.rowid()?));
        let mut rows = self.log.rows.lock().unwrap();
        if rows.contains_key(&key) && row.conflict_policy() != ConflictPolicy::Replace {
            return Err(TableError::constraint("the key is taken").into());
        }
        rows.insert(key, (row.get(1)?, row.get(2)?));
        Ok(99)
    }

    fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> Result<(), CallbackError> {
        assert!(old.rowid().is_err());
        let old: String = old.key()?;
        assert_eq!(row.column_count(), 4);
        let unchanged: Vec<bool> = (0..5).map(|column| row.is_unchanged(column)).collect();
        self.see(format!("update {old} {unchanged:?} {:?}", row.value(2)?));
        let mut rows = self.log.rows.lock().unwrap();
        let (_, big) = rows.remove(&old).ok_or("no such row")?;
        let big = if row.is_unchanged(2) { big } else { row.get(2)? };
        rows.insert(row.get(0)?, (row.get(1)?, big));
        Ok(())
    }

    fn delete(&self, old: &OldRow<'_>) -> Result<(), CallbackError> {
        let key: Value = old.key()?;
        self.see(format!("delete {key:?}"));
        if let Value::Text(key) = key {
            self.log.rows.lock().unwrap().remove(&*key);
        }
        Ok(())
    }
}

fn keyed() -> (Connection, Arc<KeyedLog>) {
    let conn = open();
    let log = Arc::new(KeyedLog::default());
    conn.create_writable_module::<Keyed>("t", Arc::clone(&log)).unwrap();
    conn.execute_batch("INSERT INTO t VALUES ('a', 1, 'aaa'), ('b', 2, 'bbb'), ('c', 3, 'ccc')").unwrap();
    log.seen.lock().unwrap().clear();
    (conn, log)
}

impl KeyedLog {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn text(&self) -> String {
        let rows = self.rows.lock().unwrap();
        rows.iter().map(|(key, (n, big))| format!("{key}{n}{big} ")).collect()
    }
}

#[test]
fn a_table_without_rowids_has_keys() {
    let (conn, log) = keyed();
    conn.execute("UPDATE t SET n = n + 1 WHERE key = 'b'", ()).unwrap();
    assert_eq!(log.take(), ["update b [false, false, true, false, false] Null"]);
    conn.execute("UPDATE t SET key = 'z', big = 'zzz' WHERE key = 'c'", ()).unwrap();
    assert_eq!(log.take(), [r#"update c [false, false, false, false, false] Text([122, 122, 122])"#]);
    conn.execute("DELETE FROM t WHERE n = 1", ()).unwrap();
    assert_eq!(log.take(), [r#"delete Text("a")"#]);
    assert_eq!(log.text(), "b3bbb z3zzz ");
    conn.execute("INSERT INTO t(key, n, big, hint) VALUES ('d', 4, 'ddd', 7)", ()).unwrap();
    assert_eq!(log.take(), ["insert d Abort Integer(7) None"]);
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM t WHERE hint IS NULL"), 3);
}

#[test]
fn the_policy_of_the_statement_is_followed() {
    let (conn, log) = keyed();
    for (or, policy) in [("", "Abort"), ("OR FAIL", "Fail"), ("OR ABORT", "Abort"), ("OR ROLLBACK", "Rollback")] {
        let error = conn.execute(&format!("INSERT {or} INTO t VALUES ('a', 9, 'x')"), ()).unwrap_err();
        assert_is_of(&error, "insert", ResultCode::CONSTRAINT);
        assert!(error.to_string().contains("the key is taken"), "{error}");
        let constraint = error.constraint().unwrap();
        assert_eq!((constraint.kind(), constraint.target()), (ConstraintKind::Other, None));
        assert_eq!(log.take(), [format!("insert a {policy} Null None")]);
    }
    assert_eq!(log.text(), "a1aaa b2bbb c3ccc ");
    // The row is left out, and the others are not.
    conn.execute("INSERT OR IGNORE INTO t VALUES ('a', 9, 'x'), ('d', 4, 'ddd')", ()).unwrap();
    assert_eq!(log.text(), "a1aaa b2bbb c3ccc d4ddd ");
    conn.execute("REPLACE INTO t VALUES ('a', 9, 'x')", ()).unwrap();
    assert_eq!(log.text(), "a9x b2bbb c3ccc d4ddd ");
    // OR ROLLBACK ends the transaction, OR FAIL keeps what came before.
    conn.execute_batch("CREATE TABLE o(a); BEGIN; INSERT INTO o VALUES (1)").unwrap();
    conn.execute("INSERT OR ROLLBACK INTO t VALUES ('a', 9, 'x')", ()).unwrap_err();
    assert!(conn.is_autocommit());
    assert_eq!(one::<i64>(&conn, "SELECT count(*) FROM o"), 0);
}

#[test]
fn changes_are_kept_or_undone_with_the_transaction() {
    let shared = Shared::with_rows(1);
    let mut conn = probe(&shared);
    conn.execute("INSERT INTO t VALUES (20, 'two')", ()).unwrap();
    let calls = shared.take_calls();
    let of_transaction = |calls: &[&'static str]| {
        calls
            .iter()
            .copied()
            .filter(|call| {
                ["begin", "insert", "sync", "commit", "rollback", "savepoint", "release", "rollback_to"].contains(call)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(of_transaction(&calls), ["begin", "insert", "sync", "commit"]);
    let tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (30, 'three')", ()).unwrap();
    drop(tx);
    assert_eq!((shared.rows().len(), of_transaction(&shared.take_calls())), (2, vec!["begin", "insert", "rollback"]));
    let mut tx = conn.transaction().unwrap();
    tx.execute("INSERT INTO t VALUES (30, 'three')", ()).unwrap();
    let savepoint = tx.savepoint().unwrap();
    savepoint.execute("INSERT INTO t VALUES (40, 'four')", ()).unwrap();
    assert_eq!(shared.rows().len(), 4);
    savepoint.rollback().unwrap();
    assert_eq!(shared.rows().len(), 3);
    tx.commit().unwrap();
    assert_eq!(shared.rows().len(), 3);
    let calls = of_transaction(&shared.take_calls());
    assert_eq!(calls.first().zip(calls.last()), Some((&"begin", &"commit")));
    assert!(calls.contains(&"savepoint") && calls.contains(&"rollback_to"), "{calls:?}");
    // A sync that fails undoes the transaction, here and in the database.
    conn.execute("CREATE TABLE o(a)", ()).unwrap();
    shared.fail("sync", Fault::Coded(ResultCode::FULL));
    let error =
        conn.execute_batch("BEGIN; INSERT INTO o VALUES (1); INSERT INTO t VALUES (50, 'five'); COMMIT").unwrap_err();
    assert_is_of(&error, "sync", ResultCode::FULL);
    assert_eq!((shared.rows().len(), one::<i64>(&conn, "SELECT count(*) FROM o")), (3, 0));
}

#[test]
fn a_statement_that_fails_half_way_is_undone() {
    let shared = Shared::with_rows(1);
    let conn = probe(&shared);
    conn.execute_batch("BEGIN; INSERT INTO t VALUES (20, 'two')").unwrap();
    conn.execute("INSERT INTO t(rowid, a, b) VALUES (30, 30, 'x'), (1, 1, 'taken')", ()).unwrap_err();
    assert_eq!(shared.rows().len(), 2);
    conn.execute_batch("COMMIT").unwrap();
    assert_eq!(shared.rows().len(), 2);
}

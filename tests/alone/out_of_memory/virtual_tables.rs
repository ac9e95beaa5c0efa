//! Virtual tables: registering, creating, planning, reading, writing, transactions, errors.

use std::cell::RefCell;
use std::collections::BTreeMap;

use finalite::extend::CallbackError;
use finalite::extend::virtual_table::{
    CellCall, ConstraintOperator, Declared, FilterCall, IndexQuery, IntegrityCheck, NewRow, OldRow, OverloadedFunction,
    TableCall, TableCursor, TableDefinition, TableKind, TransactionalTable, VirtualTable, WritableTable,
};
use finalite::{Connection, ErrorKind, OpenOptions, Result};

use super::Run::Alone;
use super::{Scenario, World};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a virtual table that is read",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_module::<Words>("words", "shared".to_owned())?;
            conn.execute_batch("CREATE VIRTUAL TABLE w USING words(eins, 'zwei drei', ä)")?;
            assert_eq!(
                conn.query_one::<(i64, String)>("SELECT n, word FROM w WHERE n = 2", ())?,
                (2, "'zwei drei'".into())
            );
            let found: Vec<String> = conn.query_all("SELECT word FROM w WHERE n IN (3, 1, ?) ORDER BY n", (7,))?;
            assert_eq!(found, ["eins", "ä"]);
            let found: Vec<String> = conn.query_all("SELECT of_table(word) FROM w WHERE n = 3", ())?;
            assert_eq!(found, ["ä!"]);
            assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ())?, "ok");
            conn.execute_batch("ALTER TABLE w RENAME TO v")?;
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM v AS x JOIN v AS y ON y.n = x.n", ())?, 3);
            conn.execute_batch("DROP TABLE v")?;
            conn.create_module::<Words>("words", "another".to_owned())?;
            conn.remove_module("words")?;
            conn.retain_modules(&["fts5", "json_each"])?;
            conn.close()
        }),
    },
    Scenario {
        name: "a virtual table that is written",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_transactional_module::<Words>("words", String::new())?;
            conn.execute_batch("CREATE VIRTUAL TABLE w USING words(eins)")?;
            conn.execute("INSERT INTO w VALUES (?, 'grüße')", (2,))?;
            conn.execute_batch(
                "BEGIN; INSERT INTO w SELECT a + 10, b FROM t; SAVEPOINT s; DELETE FROM w WHERE n = 1; ROLLBACK TO s;
                 UPDATE w SET word = word || '!' WHERE n = 2; COMMIT",
            )?;
            let words: Vec<String> = conn.query_all("SELECT word FROM w WHERE n < 12 AND n > 1 ORDER BY n", ())?;
            assert_eq!(words, ["grüße!", "grüße und mehr"]);
            conn.close()
        }),
    },
    Scenario {
        name: "virtual tables whose methods fail",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_transactional_module::<Words>("words", String::new())?;
            conn.execute_batch("CREATE VIRTUAL TABLE w USING words(eins, zwei)")?;
            for (sql, method) in [
                ("CREATE VIRTUAL TABLE x USING words()", "create"),
                ("SELECT word FROM w WHERE n = 'fail'", "filter"),
                ("SELECT failing FROM w", "column"),
                ("INSERT INTO w VALUES (13, 'x')", "insert"),
                ("INSERT INTO w VALUES (14, 'x')", "sync"),
            ] {
                let error = conn.execute_batch(sql).unwrap_err();
                if matches!(error.kind(), ErrorKind::NoMemory { .. }) {
                    return Err(error);
                }
                let is_it = match error.kind() {
                    ErrorKind::VirtualTable { method: its, .. } => *its == method,
                    // SQLite can do without the text of an error, by which finalite knows its own.
                    ErrorKind::Sqlite { message, .. } => &**message == "SQL logic error",
                    _ => false,
                };
                assert!(is_it, "{error:?}");
            }
            conn.close()
        }),
    },
];

fn open(world: &World) -> Result<Connection> {
    let options = world.options(OpenOptions::new().pragma("encoding", "UTF-16"));
    let conn = options.open_in_memory()?;
    conn.execute_batch(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (1, 'grüße und mehr'), (2, 'x')",
    )?;
    Ok(conn)
}

/// The arguments of its definition, numbered, and what is inserted.
struct Words {
    words: RefCell<BTreeMap<i64, String>>,
    before: RefCell<BTreeMap<i64, String>>,
}

struct WordCursor<'t> {
    table: &'t Words,
    rows: Vec<(i64, String)>,
    at: usize,
}

impl VirtualTable for Words {
    type Shared = String;
    type Cursor<'t> = WordCursor<'t>;

    const KIND: TableKind = TableKind::Ordinary;
    const SHADOW_NAMES: &'static [&'static str] = &["data"];

    fn functions() -> Vec<OverloadedFunction> {
        vec![OverloadedFunction::new("of_table", 1, |call| Ok(format!("{}!", call.get::<&str>(0)?)))]
    }

    fn connect(_: &String, definition: &TableDefinition<'_>) -> Result<Declared<Self>, CallbackError> {
        let words: BTreeMap<_, _> = (1..).zip(definition.arguments().map(str::to_owned)).collect();
        if words.is_empty() {
            return Err("no words".into());
        }
        assert!(definition.connection().exists("SELECT 1 FROM t", ())?);
        let table = Self { words: RefCell::new(words), before: RefCell::default() };
        Ok(Declared::new("CREATE TABLE x(n INTEGER, word TEXT, failing HIDDEN)", table))
    }

    fn integrity(&self, _: &IntegrityCheck<'_>) -> Result<Option<String>, CallbackError> {
        Ok(None)
    }

    fn best_index(&self, query: &mut IndexQuery<'_>) -> Result<(), CallbackError> {
        let Some(constraint) = query.find(0, ConstraintOperator::Equal) else { return Ok(()) };
        query.right_hand_value(constraint)?;
        match query.pass_in_list(constraint)? {
            Some(_) => query.set_plan_text("list")?,
            None => {
                query.pass(constraint)?;
                query.set_plan_text("one")?;
            }
        }
        query.set_cost(1.0);
        Ok(())
    }

    fn open(&self, _: &Self::Shared) -> Result<WordCursor<'_>, CallbackError> {
        Ok(WordCursor { table: self, rows: Vec::new(), at: 0 })
    }
}

impl TableCursor for WordCursor<'_> {
    fn filter(&mut self, call: &FilterCall<'_>) -> Result<bool, CallbackError> {
        let keys: Option<Vec<i64>> = match call.plan_text() {
            Some("list") => Some(call.in_list(0)?.collect::<Result<_>>()?),
            Some(_) if call.get::<String>(0).is_ok_and(|text| text == "fail") => return Err("failed".into()),
            Some(_) => Some(vec![call.get(0)?]),
            None => None,
        };
        let words = self.table.words.borrow();
        let is_found = |n: &i64| keys.as_ref().is_none_or(|keys| keys.contains(n));
        self.rows = words.iter().filter(|(n, _)| is_found(n)).map(|(n, word)| (*n, word.clone())).collect();
        self.at = 0;
        Ok(!self.rows.is_empty())
    }

    fn next(&mut self, _: &TableCall<'_>) -> Result<bool, CallbackError> {
        self.at += 1;
        Ok(self.at < self.rows.len())
    }

    fn column(&self, column: usize, cell: &CellCall<'_>) -> Result<(), CallbackError> {
        let (n, word) = &self.rows[self.at];
        match column {
            0 => cell.set(*n),
            1 => cell.set(word),
            _ if cell.is_unchanged() => Ok(()),
            _ => Err("failed".into()),
        }
    }

    fn rowid(&self) -> Result<i64, CallbackError> {
        Ok(self.rows[self.at].0)
    }
}

impl WritableTable for Words {
    fn insert(&self, row: &NewRow<'_>) -> Result<i64, CallbackError> {
        let n = row.get(0)?;
        if n == 13 {
            return Err("failed".into());
        }
        self.words.borrow_mut().insert(n, row.get(1)?);
        Ok(n)
    }

    fn update(&self, old: &OldRow<'_>, row: &NewRow<'_>) -> Result<(), CallbackError> {
        self.words.borrow_mut().remove(&old.rowid()?);
        self.insert(row).map(drop)
    }

    fn delete(&self, old: &OldRow<'_>) -> Result<(), CallbackError> {
        self.words.borrow_mut().remove(&old.rowid()?);
        Ok(())
    }
}

impl TransactionalTable for Words {
    fn begin(&self) -> Result<(), CallbackError> {
        *self.before.borrow_mut() = self.words.borrow().clone();
        Ok(())
    }

    fn sync(&self, _: &TableCall<'_>) -> Result<(), CallbackError> {
        if self.words.borrow().contains_key(&14) { Err("failed".into()) } else { Ok(()) }
    }

    fn commit(&self) {}

    fn rollback(&self) {
        *self.words.borrow_mut() = self.before.take();
    }

    fn rollback_to(&self, _: i32) -> Result<(), CallbackError> {
        self.words.borrow_mut().entry(1).or_insert_with(|| "eins".to_owned());
        Ok(())
    }
}

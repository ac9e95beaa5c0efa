//! Which tables are inserted into by columns, and why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finalite::Limit;
use finalite::extend::{Access, AccessRequest, Action};
use finalite::workspace::Insertion;

use super::*;

const TRIGGER: &str = "a trigger, or an action of a foreign key, runs for each row";
const FOREIGN_KEY: &str = "a foreign key is checked after each row, and after one statement would name none";

/// Inserts 1 to 3 into a column, and compares with the plan that is announced.
fn planned(conn: &Connection, table: &str, policy: OnConflict) -> InsertPlan {
    let values = [1, 2, 3];
    let options = || InsertOptions::new().strategy(InsertStrategy::Columns).on_conflict(policy);
    let announced = options().plan(conn, table, [("a", (&values).into())]).unwrap();
    let mut plan = None;
    options().on_end(|it| plan = Some(it)).insert_columns(conn, table, [("a", (&values).into())]).unwrap();
    assert_eq!(Some(announced), plan);
    announced
}

#[test]
fn tables_of_each_kind_are_inserted_into_by_columns() {
    for schema in [
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE TABLE t(a PRIMARY KEY, b) WITHOUT ROWID",
        "CREATE TABLE t(a INTEGER, b INTEGER AS (a + 1) STORED, c INTEGER AS (a * 2) UNIQUE) STRICT",
        "CREATE TABLE t(a UNIQUE, b DEFAULT (random()), CHECK (a > 0)); CREATE INDEX i ON t(a + 1) WHERE a > 1",
        "CREATE TEMP TABLE t(a)",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        "CREATE VIRTUAL TABLE t USING rtree_i32(a, x, y)",
        // Keys of others, which a new row does not break.
        "CREATE TABLE t(a INTEGER PRIMARY KEY); CREATE TABLE child(b REFERENCES t(a))",
    ] {
        let conn = open(schema);
        let plan = planned(&conn, "t", OnConflict::Abort);
        assert_eq!(plan.to_string(), "by columns: one statement reads the columns where they are", "{schema}");
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1, 2, 3], "{schema}");
    }
}

#[test]
fn few_rows_and_those_of_no_columns_are_inserted_one_by_one() {
    let conn = open("CREATE TABLE t(a)");
    let plan = |count: usize| {
        let values = vec![0_i64; count];
        InsertOptions::new().plan(&conn, "t", [("a", (&values).into())]).unwrap()
    };
    assert_eq!(plan(3).to_string(), "row by row: so few rows are as fast, each by itself");
    assert_eq!(plan(100_000).strategy, InsertStrategy::Columns);
    let options = InsertOptions::new().strategy(InsertStrategy::Rows);
    let plan = options.plan(&conn, "t", [("a", (&[1]).into())]).unwrap();
    assert_eq!(plan.to_string(), "row by row: it was requested: see `InsertOptions::strategy`");
}

#[test]
fn rows_with_triggers_are_inserted_one_by_one() {
    // Each row sees those before it, also of a table that the trigger reads while it is written.
    let conn = open(
        "CREATE TABLE t(a); CREATE TABLE log(n);
         CREATE TRIGGER seen BEFORE INSERT ON t BEGIN INSERT INTO log SELECT count(*) FROM t; END;",
    );
    assert_eq!(planned(&conn, "t", OnConflict::Abort).reason, TRIGGER);
    assert_eq!(conn.query_all::<i64>("SELECT n FROM log", ()).unwrap(), [0, 1, 2]);

    let conn = open(
        "CREATE TABLE t(a); CREATE VIEW v AS SELECT a FROM t;
         CREATE TRIGGER into_t INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (new.a); END;",
    );
    assert_eq!(planned(&conn, "v", OnConflict::Abort).reason, TRIGGER);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1, 2, 3]);

    // A trigger that appears between two insertions.
    let conn = open("CREATE TABLE t(a)");
    assert_eq!(planned(&conn, "t", OnConflict::Abort).strategy, InsertStrategy::Columns);
    conn.execute_batch("CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t WHERE a < new.a; END").unwrap();
    assert_eq!(planned(&conn, "t", OnConflict::Abort).reason, TRIGGER);
    assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [3, 3]);
}

#[test]
fn rows_with_foreign_keys_are_inserted_one_by_one() {
    let schema = "CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE t(a REFERENCES parent(id));
                  INSERT INTO parent VALUES (1), (2), (3);";
    let conn = open(schema);
    assert_eq!(planned(&conn, "t", OnConflict::Abort).reason, FOREIGN_KEY);
    let error = conn.insert_columns("t", [("a", (&[3, 4]).into())]).unwrap_err();
    assert_eq!((error.row(), count(&conn)), (Some(1), 3));
    conn.set_pragma("foreign_keys", false).unwrap();
    assert_eq!(planned(&conn, "t", OnConflict::Abort).strategy, InsertStrategy::Columns);

    // Actions that REPLACE causes.
    let conn = open(
        "CREATE TABLE t(a INTEGER PRIMARY KEY);
         CREATE TABLE child(b INTEGER REFERENCES t(a) ON DELETE CASCADE);
         INSERT INTO t VALUES (2); INSERT INTO child VALUES (2);",
    );
    assert_eq!(planned(&conn, "t", OnConflict::Replace).reason, TRIGGER);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM child", ()).unwrap(), 0);
}

#[test]
fn what_hides_the_columns_is_noticed() {
    const NOT_ACCEPTED: &str = "SQLite does not accept a statement over the columns";
    for (answer, reason) in [(Access::Deny, NOT_ACCEPTED), (Access::Ignore, "an authorizer hides the columns")] {
        let conn = open("CREATE TABLE t(a)");
        let _subscription = conn
            .set_authorizer(move |request| match request.action {
                Action::Read { table, .. } if table.starts_with("finalite_columns") => answer,
                _ => Access::Allow,
            })
            .unwrap();
        assert_eq!(planned(&conn, "t", OnConflict::Abort).reason, reason);
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t", ()).unwrap(), [1, 2, 3]);
    }
    // A table of that name.
    let conn = open("CREATE TABLE t(a); CREATE TABLE finalite_columns_1(c0)");
    assert_eq!(planned(&conn, "t", OnConflict::Abort).reason, NOT_ACCEPTED);
    // One column more than a table may have, with the argument.
    let conn = open("CREATE TABLE t(a, b, c)");
    conn.set_limit(Limit::Column, 3).unwrap();
    let values = [1, 2, 3];
    let columns = ["a", "b", "c"].map(|name| (name, InsertColumn::from(&values)));
    let (result, plan) = insert(&conn, InsertStrategy::Columns, columns.into());
    assert_eq!((result.unwrap(), plan.unwrap().reason), (3, NOT_ACCEPTED));
}

#[test]
fn untrusted_files_and_schemas_are_inserted_into_by_columns() {
    let directory = tempfile::tempdir().unwrap();
    let conn = OpenOptions::untrusted().open(directory.path().join("t.db")).unwrap();
    conn.execute("CREATE TABLE t(a)", ()).unwrap();
    assert_eq!(planned(&conn, "t", OnConflict::Abort).strategy, InsertStrategy::Columns);
    let conn = open("PRAGMA trusted_schema = off; CREATE TABLE t(a)");
    assert_eq!(planned(&conn, "t", OnConflict::Abort).strategy, InsertStrategy::Columns);
}

#[test]
fn wide_tables_are_inserted_into_by_columns() {
    let names: Vec<String> = (0..1999).map(|column| format!("x{column}")).collect();
    let conn = open(&format!("CREATE TABLE t({})", names.join(",")));
    let values = [1, 2];
    let columns = names.iter().map(|name| (&**name, InsertColumn::from(&values))).collect();
    let (result, plan) = insert(&conn, InsertStrategy::Columns, columns);
    assert_eq!((result.unwrap(), plan.unwrap().strategy), (2, InsertStrategy::Columns));
    assert_eq!(conn.query_one::<i64>("SELECT sum(x0 + x1998) FROM t", ()).unwrap(), 6);
}

#[test]
fn hooks_and_traces_see_each_row_and_the_sql() {
    let conn = open("CREATE TABLE t(a)");
    let rows = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&rows);
    let _hook = conn.on_update(move |_| _ = counted.fetch_add(1, Ordering::Relaxed)).unwrap();
    let seen = Arc::new(std::sync::Mutex::new(vec![]));
    let texts = Arc::clone(&seen);
    let events = finalite::extend::TraceEvents::STATEMENT;
    let _trace = conn
        .on_trace(events, move |event| {
            if let finalite::extend::TraceEvent::Statement { statement, .. } = event {
                texts.lock().unwrap().push(statement.sql().to_owned());
            }
        })
        .unwrap();
    planned(&conn, "t", OnConflict::Ignore);
    assert_eq!(rows.load(Ordering::Relaxed), 3);
    let sql = r#"INSERT OR IGNORE INTO "t"("a") SELECT c0 FROM finalite_columns_1(?)"#;
    let seen = seen.lock().unwrap();
    assert!(["BEGIN", sql, "COMMIT"].iter().all(|sql| seen.iter().any(|seen| seen == sql)), "{seen:?}");
}

/// A statement that SQLite has compiled again since may read the columns otherwise.
#[test]
fn a_schema_that_changes_in_between_is_planned_again() {
    let values: Vec<i64> = (0..3000).collect();
    let of_main = "CREATE TRIGGER x BEFORE INSERT ON t BEGIN SELECT 1; END";
    let of_temp = "CREATE TEMP TRIGGER x BEFORE INSERT ON t BEGIN SELECT 1; END";
    for change in [of_main, of_temp] {
        let mut plan = None;
        let conn = open("CREATE TABLE t(a CHECK (a <> 1500))");
        let options = InsertOptions::new().on_end(|it| plan = Some(it)).progress(1000, |rows| {
            assert_eq!(rows, 1000);
            conn.execute_batch(change).unwrap();
            ControlFlow::Continue(())
        });
        let error = options.insert_columns(&conn, "t", [("a", (&values).into())]).unwrap_err();
        assert_eq!((error.row(), plan.unwrap().reason), (Some(1500), TRIGGER));

        // Between two sets of columns.
        let mut plan = None;
        let conn = open("CREATE TABLE t(a CHECK (a <> 1500))");
        let mut insertion = Insertion::begin(&conn, "t", InsertOptions::new().on_end(|it| plan = Some(it))).unwrap();
        insertion.insert_columns(&["a"], vec![(&values[..1000]).into()], 1000).unwrap();
        conn.execute_batch(change).unwrap();
        let result = insertion.insert_columns(&["a"], vec![(&values[1000..]).into()], 2000);
        drop(insertion);
        assert_eq!(result.unwrap_err().into_error(&["a"]).row(), Some(1500));
        assert_eq!(plan.unwrap().reason, TRIGGER);
    }
    // An authorizer that hides the columns, or refuses them.
    for answer in [Access::Ignore, Access::Deny] {
        let conn = open("CREATE TABLE t(a)");
        let mut subscription = None;
        let options = InsertOptions::new().progress(1000, |_| {
            let hide = move |request: &AccessRequest<'_>| match request.action {
                Action::Read { table, .. } if table.starts_with("finalite_columns") => answer,
                _ => Access::Allow,
            };
            subscription.get_or_insert_with(|| conn.set_authorizer(hide).unwrap());
            ControlFlow::Continue(())
        });
        assert_eq!(options.insert_columns(&conn, "t", [("a", (&values).into())]).unwrap(), 3000);
        assert_eq!(conn.query_all::<i64>("SELECT a FROM t ORDER BY a", ()).unwrap(), values);
    }
    // What changes nothing for it, on tables that notice an insertion without rows if any do.
    for schema in [
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        "CREATE VIRTUAL TABLE t USING rtree_i32(a, x, y)",
    ] {
        let mut plan = None;
        let conn = open(schema);
        let mut changes = vec![];
        let options = InsertOptions::new().on_end(|it| plan = Some(it)).progress(1000, |rows| {
            changes.push(conn.changes());
            conn.execute_batch(&format!("CREATE TABLE other{rows}(a)")).unwrap();
            ControlFlow::Continue(())
        });
        assert_eq!(options.insert_columns(&conn, "t", [("a", (&values[1..]).into())]).unwrap(), 2999, "{schema}");
        assert_eq!((plan.unwrap().strategy, count(&conn)), (InsertStrategy::Columns, 2999), "{schema}");
        let stored = conn.query_all::<i64>("SELECT a FROM t ORDER BY rowid", ()).unwrap();
        assert_eq!((stored == values[1..], changes), (true, vec![1000, 1000]), "{schema}");
        if schema.contains("AUTOINCREMENT") {
            assert_eq!(conn.query_all::<i64>("SELECT seq FROM sqlite_sequence", ()).unwrap(), [2999]);
        }
    }
    // A few rows, and then many.
    let mut plan = None;
    let conn = open("CREATE TABLE t(a)");
    let mut insertion = Insertion::begin(&conn, "t", InsertOptions::new().on_end(|it| plan = Some(it))).unwrap();
    insertion.insert_columns(&["a"], vec![(&[1, 2]).into()], 2).unwrap();
    insertion.insert_columns(&["a"], vec![(&values).into()], 3000).unwrap();
    insertion.insert_columns(&["a"], vec![(&values).into()], 3000).unwrap();
    assert_eq!(insertion.finish().unwrap(), 6002);
    assert_eq!((plan.unwrap().strategy, count(&conn)), (InsertStrategy::Columns, 6002));
}

/// A statement that is kept for the next set of columns is for those columns alone.
#[test]
fn sets_of_other_columns_are_inserted_into_these() {
    let (ones, twos) = (vec![1; 3000], vec![2; 3000]);
    for strategy in [InsertStrategy::Columns, InsertStrategy::Rows] {
        let conn = open("CREATE TABLE t(a, b)");
        let options = InsertOptions::new().strategy(strategy);
        let mut plan = None;
        let mut insertion = Insertion::begin(&conn, "t", options.on_end(|it| plan = Some(it))).unwrap();
        for names in [["a", "b"], ["b", "a"], ["b", "a"], ["a", "b"]] {
            let of = |name: &str| if name == "a" { (&ones).into() } else { (&twos).into() };
            insertion.insert_columns(&names, names.map(of).into(), 3000).unwrap();
        }
        assert_eq!(insertion.finish().unwrap(), 12_000);
        assert_eq!(plan.unwrap().strategy, strategy);
        let stored: Vec<(i64, i64, i64)> = conn.query_all("SELECT a, b, count(*) FROM t GROUP BY a, b", ()).unwrap();
        assert_eq!(stored, [(1, 2, 12_000)]);
    }
}

//! Lists bound as one parameter, and read by `list(?)`.

mod errors;
mod modules;
mod rule_10;

use finalite::{Connection, ErrorKind, ToSql, Type, Value, array, named_params, params};

const SQL: &str = "SELECT value FROM list(?)";

fn open() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// A database with the table `t(id, name)`, with the ids from 1 to 1000.
fn filled() -> Connection {
    let conn = open();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO t SELECT i, 'name ' || i FROM n",
    )
    .unwrap();
    conn
}

/// Values of a list with their types, as SQL sees them.
fn seen(conn: &Connection, list: &dyn ToSql) -> Vec<(String, Value)> {
    conn.query_all("SELECT typeof(value), value FROM list(?)", (list,)).unwrap()
}

#[test]
fn every_type_is_read_back_as_it_was_bound() {
    for conn in [open(), finalite::OpenOptions::new().pragma("encoding", "UTF-16le").open_in_memory().unwrap()] {
        let integers = |values: &[i64]| -> Vec<(String, Value)> {
            values.iter().map(|&value| ("integer".into(), Value::Integer(value))).collect()
        };
        assert_eq!(seen(&conn, &array(&[i64::MIN, -1, 0, i64::MAX])), integers(&[i64::MIN, -1, 0, i64::MAX]));
        assert_eq!(seen(&conn, &array(&[i32::MIN, i32::MAX])), integers(&[i32::MIN.into(), i32::MAX.into()]));
        assert_eq!(seen(&conn, &array(&[u32::MAX])), integers(&[u32::MAX.into()]));
        assert_eq!(seen(&conn, &array(&[i64::MAX.cast_unsigned()])), integers(&[i64::MAX]));
        let reals = [0.5, -0.0, f64::INFINITY, f64::MIN_POSITIVE];
        assert_eq!(seen(&conn, &array(&reals)), reals.map(|value| ("real".into(), Value::Real(value))));
        let texts = ["", "ä\u{1f980}", "a 'quote'"];
        let as_seen = texts.map(|text| ("text".to_owned(), Value::Text(text.into())));
        assert_eq!(seen(&conn, &array(&texts)), as_seen);
        assert_eq!(seen(&conn, &array(&texts.map(String::from))), as_seen);
        let blobs: [&[u8]; 3] = [b"", b"\0", &[0xff; 300]];
        let as_seen = blobs.map(|blob| ("blob".to_owned(), Value::Blob(blob.into())));
        assert_eq!(seen(&conn, &array(&blobs)), as_seen);
        assert_eq!(seen(&conn, &array(&blobs.map(Vec::from))), as_seen);
        let values =
            [Value::Null, Value::Integer(1), Value::Real(1.5), Value::Text("x".into()), Value::Blob([7].into())];
        let types = ["null", "integer", "real", "text", "blob"];
        assert_eq!(seen(&conn, &array(&values)), types.map(String::from).into_iter().zip(values).collect::<Vec<_>>());
        assert_eq!(seen(&conn, &array(Vec::<i64>::new())), []);
    }
}

#[test]
fn slices_vectors_and_owned_ones() {
    let conn = filled();
    let sql = "SELECT count(*) FROM t WHERE id IN (SELECT value FROM list(?))";
    let ids: Vec<i64> = vec![1, 5, 5, 1000, 1001];
    assert_eq!(conn.query_one::<i64>(sql, (array(&ids),)).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>(sql, (array(ids.as_slice()),)).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>(sql, (array(&ids[1..]),)).unwrap(), 2);
    assert_eq!(conn.query_one::<i64>(sql, (array(ids.clone()),)).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>(sql, params![array(&ids)]).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>(sql, [&array(&ids)]).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>(&sql.replace('?', ":ids"), named_params! { ":ids": array(&ids) }).unwrap(), 3);
    assert_eq!(conn.query_one::<i64>(sql, (std::rc::Rc::new(array(&ids)),)).unwrap(), 3, "a copy");
    let names = ["name 3", "name 4", "no name"];
    let sql = "SELECT id FROM t WHERE name IN (SELECT value FROM list(?)) ORDER BY id";
    assert_eq!(conn.query_all::<i64>(sql, (array(&names),)).unwrap(), [3, 4]);
    let texts = array(&names);
    assert_eq!((texts.len(), texts.is_empty()), (3, false));
    assert_eq!(format!("{texts:?} {:?}", texts.to_sql()), "Array(3 values) Param(list of 3)");
}

#[test]
fn one_list_is_bound_again_and_again() {
    let conn = filled();
    let mut statement = conn.prepare("SELECT sum(id) FROM t WHERE id IN (SELECT value FROM list(?))").unwrap();
    let ids = [1_i64, 2, 3];
    let list = array(&ids);
    for _ in 0..3 {
        assert_eq!(statement.query_one::<i64>((&list,)).unwrap(), 6);
        assert_eq!(statement.query_one::<i64>((array(vec![10_i64]),)).unwrap(), 10);
    }
}

#[test]
fn rows_have_their_order_and_their_number() {
    let conn = open();
    let sql = "SELECT value, rowid FROM list(?) ORDER BY rowid";
    let rows = conn.query_all::<(i64, i64)>(sql, (array(&[30_i64, 10, 20]),)).unwrap();
    assert_eq!(rows, [(30, 1), (10, 2), (20, 3)]);
    let plan = conn.query_plan(sql).unwrap().to_string();
    assert!(!plan.contains("ORDER BY"), "SQLite need not sort: {plan}");
    let rows = conn.query_all::<i64>("SELECT rowid FROM list(?) ORDER BY rowid DESC", (array(&[1_i64, 1]),)).unwrap();
    assert_eq!(rows, [2, 1]);
    let found = "SELECT rowid FROM list(?1) WHERE value = ?2 OR rowid = ?2 ORDER BY value DESC";
    assert_eq!(conn.query_all::<i64>(found, (array(&[3_i64, 9]), 3)).unwrap(), [1]);
    assert_eq!(conn.query_one::<Option<i64>>("SELECT pointer FROM list(?)", (array(&[3_i64]),)).unwrap(), None);
}

#[test]
fn rarray_is_the_same_table() {
    let conn = filled();
    let sql = "SELECT count(*) FROM t WHERE id IN rarray(?1) AND id NOT IN (SELECT value FROM Rarray ( ?2 ))";
    assert_eq!(conn.query_one::<i64>(sql, (array(&[1_i64, 2, 3]), array(&[2_i64]))).unwrap(), 2);
}

#[test]
fn several_lists_joins_and_common_table_expressions() {
    let conn = filled();
    let (ids, names) = ([7_i64, 3, 5], ["seven", "three", "five"]);
    let updated = "UPDATE t SET name = new.name FROM (SELECT i.value AS id, n.value AS name FROM list(?1) i \
                   JOIN list(?2) n ON n.rowid = i.rowid) AS new WHERE t.id = new.id";
    assert_eq!(conn.execute(updated, (array(&ids), array(&names))).unwrap(), 3);
    let sql = "SELECT name FROM list(?) l JOIN t ON t.id = l.value ORDER BY l.rowid";
    assert_eq!(conn.query_all::<String>(sql, (array(&ids),)).unwrap(), names);
    let sql = "WITH wanted AS MATERIALIZED (SELECT value FROM list(?1)) \
               SELECT count(*) FROM wanted a, wanted b, list(?1) c WHERE a.value = b.value AND b.value = c.value";
    assert_eq!(conn.query_one::<i64>(sql, (array(&ids),)).unwrap(), 3);
    let inserted = "INSERT INTO t SELECT value, 'new' FROM list(?) WHERE true ON CONFLICT DO NOTHING RETURNING id";
    assert_eq!(conn.query_all::<i64>(inserted, (array(&[1000_i64, 1001]),)).unwrap(), [1001]);
    let sql = "SELECT count(*) FROM t LEFT JOIN list(?) l ON l.value = t.id WHERE l.value IS NULL AND t.id <= 10";
    assert_eq!(conn.query_one::<i64>(sql, (array(&ids),)).unwrap(), 7);
}

#[test]
fn a_pool_lends_its_connections_on_and_watches_what_a_list_selects() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pool.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY)").unwrap();
    let pool = finalite::pool::Pool::builder(&path).readers(1).build().unwrap();
    let sql = "SELECT id FROM t WHERE id IN (SELECT value FROM list(?))";
    let watch = pool.watch_query(sql).unwrap();
    pool.writer().unwrap().execute("INSERT INTO t SELECT value FROM rarray(?)", (array(&[1_i64, 2]),)).unwrap();
    assert!(watch.try_next().is_some());
    for _ in 0..2 {
        assert_eq!(pool.reader().unwrap().query_all::<i64>(sql, (array(&[2_i64, 3]),)).unwrap(), [2]);
    }
    assert_eq!(pool.status().destroyed_total.iter().sum::<u64>(), 0);
    drop(watch);
    drop(pool.close());
}

#[test]
fn the_planner_begins_with_the_list() {
    let conn = filled();
    conn.execute_batch("CREATE INDEX t_name ON t(name)").unwrap();
    for (sql, search) in [
        ("SELECT name FROM t WHERE id IN (SELECT value FROM list(?))", "SEARCH t USING INTEGER PRIMARY KEY"),
        ("SELECT t.name FROM t JOIN list(?) l ON t.id = l.value", "SEARCH t USING INTEGER PRIMARY KEY"),
        ("SELECT id FROM t, list(?) l WHERE t.name = l.value", "SEARCH t USING COVERING INDEX t_name"),
    ] {
        let plan = conn.query_plan(sql).unwrap();
        plan.assert_no_full_scan();
        assert!(plan.to_string().contains(search) && plan.to_string().contains("VIRTUAL TABLE INDEX"), "{plan}");
    }
}

#[test]
fn a_table_of_that_name_takes_precedence() {
    let conn = open();
    conn.execute_batch("DROP TABLE IF EXISTS list; CREATE TABLE list(a); INSERT INTO list VALUES (1)").unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT a FROM list", ()).unwrap(), 1);
    let error = conn.query_all::<i64>(SQL, (array(&[1_i64]),)).unwrap_err();
    assert!(error.to_string().starts_with("'list' is not a function"), "{error}");
    assert_eq!(conn.query_all::<i64>("SELECT value FROM rarray(?)", (array(&[1_i64]),)).unwrap(), [1]);
    conn.execute_batch("DROP TABLE list").unwrap();
    assert_eq!(conn.query_all::<i64>(SQL, (array(&[1_i64]),)).unwrap(), [1]);
}

#[test]
fn a_connection_has_the_tables_when_sql_calls_them() {
    let conn = open();
    let error = conn.execute("SELECT * FROM list", ()).unwrap_err();
    assert!(error.to_string().starts_with("no such table: list"), "{error}");
    assert!(!conn.table_exists(None, "list").unwrap());
    let modules = "SELECT count(*) FROM pragma_module_list WHERE name IN ('list', 'rarray')";
    assert_eq!(conn.query_one::<i64>(modules, ()).unwrap(), 0);
    // A control: this SQL calls it.
    assert_eq!(conn.query_all::<i64>(SQL, (array(&[1_i64]),)).unwrap(), [1]);
    assert_eq!(conn.query_one::<i64>(modules, ()).unwrap(), 1);
    // It is no table of a database, and SQLite does not drop it.
    assert!(conn.schema().tables().unwrap().iter().all(|table| &*table.name != "list"));
    assert_eq!(conn.schema_snapshot().unwrap(), "");
    let error = conn.execute_batch("DROP TABLE IF EXISTS list").unwrap_err();
    assert!(error.to_string().starts_with("table list may not be dropped"), "{error}");
    conn.execute_batch("CREATE TABLE list(a); DROP TABLE list").unwrap();
}

#[test]
fn scripts_scans_and_functions_read_lists_too() {
    let conn = filled();
    let ids: Vec<i64> = (1..=500).collect();
    let mut sum = 0;
    let sql = "SELECT id FROM t WHERE id IN (SELECT value FROM list(?))";
    conn.scan(sql, (array(&ids),))
        .for_each(|row| {
            sum += row.get::<i64>(0)?;
            Ok::<_, finalite::Error>(())
        })
        .unwrap();
    assert_eq!(sum, 500 * 501 / 2);
    let mut rows = conn.prepare(sql).unwrap().into_rows((array(vec![3_i64, 4]),)).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().get::<i64>(0).unwrap(), 3);
    drop(rows);
    let mut script = conn.script("SELECT 1; SELECT value FROM rarray(?)");
    assert_eq!(script.next().unwrap().unwrap().query_one::<i64>(()).unwrap(), 1);
    assert_eq!(script.next().unwrap().unwrap().query_one::<i64>((array(&[8_i64]),)).unwrap(), 8);
    drop(script);
    // A function that reads by its connection, from which `list` is called first.
    conn.create_scalar_function_with("reads", finalite::extend::FunctionOptions::new(), |context| {
        let ids = [1_i64, 2, 3];
        Ok(context.connection().query_one::<i64>("SELECT sum(value) FROM list(?)", (array(&ids),))?)
    })
    .unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT reads()", ()).unwrap(), 6);
}

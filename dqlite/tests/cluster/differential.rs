//! The same statements on a local SQLite, and the `dqlite` command beside both.

use std::process::Command;

use finalite::{Value, params_from_iter};
use finalite_dqlite::Connection;

use crate::nodes::Nodes;
use crate::with_nodes;

#[test]
#[ignore = "three nodes, by .ci/dqlite.sh"]
fn results_are_those_of_sqlite() {
    with_nodes(|nodes| {
        let remote = nodes.open("differential");
        let local = finalite::Connection::open_in_memory().unwrap();
        values(&remote, &local);
        parameters(&remote, &local);
        batches(&remote, &local);
        derived(&remote, &local);
        the_command_agrees(nodes, &remote);
        dumped(nodes, &local);
    });
}

#[track_caller]
fn check(remote: &Connection, local: &finalite::Connection, sql: &str, values: &[Value]) {
    let read = |row: finalite::Row<'_>| -> finalite::Result<Vec<Value>> {
        (0..row.column_count()).map(|column| row.get(column)).collect()
    };
    let expected: Vec<Vec<Value>> =
        local.prepare(sql).unwrap().query_map(values, read).unwrap().collect::<Result<_, _>>().unwrap();
    let mut statement = remote.prepare(sql).unwrap();
    let mut rows = statement.query(values).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        found.push(read(row).unwrap());
    }
    assert!(found == expected, "{sql}: {} rows, {} expected", found.len(), expected.len());
    let all = remote.query_row(&format!("SELECT count(*) FROM ({sql})"), values, |row| row.get::<usize>(0));
    assert_eq!(all.unwrap(), expected.len(), "{sql}");
}

fn values(remote: &Connection, local: &finalite::Connection) {
    let values = [
        Value::Null,
        Value::Integer(0),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Real(0.0),
        Value::Real(-0.5),
        Value::Real(f64::MAX),
        Value::Real(f64::INFINITY),
        Value::from(""),
        Value::from("1234567"),
        Value::from("12345678"),
        Value::from("größe \u{1f600}"),
        Value::Blob(Vec::new()),
        Value::Blob(vec![0, 255, 0]),
        Value::Blob(vec![7; 5000]),
    ];
    for value in &values {
        check(remote, local, "SELECT ?, typeof(?1)", std::slice::from_ref(value));
    }
    let marks = vec!["?"; values.len()].join(",");
    check(remote, local, &format!("SELECT {marks}"), &values);
    let table = "CREATE TABLE v(id INTEGER PRIMARY KEY, a ANY, b INTEGER, c REAL, d TEXT, e BLOB) STRICT";
    let insert = "INSERT INTO v(a, b, c, d, e) VALUES (?, 1, 2, 'three', x'04'), (1, NULL, NULL, NULL, NULL)";
    remote.execute(table, ()).unwrap();
    local.execute(table, ()).unwrap();
    for value in &values {
        remote.execute(insert, (value,)).unwrap();
        local.execute(insert, (value,)).unwrap();
    }
    check(remote, local, "SELECT *, typeof(a) FROM v ORDER BY id", &[]);
    check(remote, local, "SELECT a FROM v WHERE 0", &[]);
}

fn parameters(remote: &Connection, local: &finalite::Connection) {
    for count in [0_i64, 1, 2, 7, 8, 255] {
        let values: Vec<Value> = (0..count).map(Value::Integer).collect();
        let marks = vec!["?"; values.len()].join(" + ");
        check(remote, local, &format!("SELECT 0{}{marks}", if count > 0 { " + " } else { "" }), &values);
    }
    // More than one byte can count: from dqlite 1.18 on; refused before.
    let marks = vec!["?"; 1000].join(",");
    let sum = format!("SELECT sum(value) FROM json_each(json_array({marks}))");
    let found = remote.query_one::<i64>(&sum, params_from_iter(0..1000));
    match found {
        Ok(found) => {
            assert_eq!(found, 499_500);
            eprintln!("1000 parameters");
        }
        Err(error) => assert!(error.to_string().contains("at most 255 parameters"), "{error}"),
    }
    let named = finalite::named_params! { ":b": 1, "@a": "zwei" };
    assert_eq!(remote.query_one::<(i64, String)>("SELECT :b, @a", named).unwrap(), (1, "zwei".to_owned()));
    remote.query_one::<i64>("SELECT :b", finalite::named_params! { "c": 1 }).unwrap_err();
}

fn batches(remote: &Connection, local: &finalite::Connection) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, -i / 2.0 FROM n";
    for rows in [1, 254, 255, 256, 257, 100_000] {
        check(remote, local, sql, &[Value::Integer(rows)]);
    }
    // One value that is larger than any batch, in both directions.
    let blob: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    let found: Vec<u8> = remote.query_one("SELECT ?", (&blob,)).unwrap();
    assert!(found == blob, "{} bytes", found.len());
    let found: usize =
        remote.query_one("SELECT length(zeroblob(20000000)) + length(?)", (finalite::ZeroBlob(7),)).unwrap();
    assert_eq!(found, 20_000_007);
}

#[derive(Debug, PartialEq, finalite::FromRow, finalite::Params)]
struct User {
    id: i64,
    name: String,
    #[finalite(rename = "email_address")]
    email: Option<String>,
}

fn derived(remote: &Connection, local: &finalite::Connection) {
    let table = "CREATE TABLE user(id INTEGER PRIMARY KEY, name TEXT, email_address TEXT) STRICT";
    let insert = "INSERT INTO user VALUES (:id, :name, :email_address)";
    let ada = User { id: 1, name: "Ada".into(), email: None };
    let query = "SELECT email_address, name, id FROM user";
    remote.execute(table, ()).unwrap();
    remote.execute(insert, &ada).unwrap();
    assert_eq!(remote.query_one::<User>(query, ()).unwrap(), ada);
    let mut statement = remote.prepare(query).unwrap();
    let found: Vec<User> = statement.query_as(()).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(found, [User { id: 1, name: "Ada".into(), email: None }]);
    let error = remote.query_one::<User>("SELECT id FROM user", ()).unwrap_err();
    local.execute(table, ()).unwrap();
    local.execute(insert, &ada).unwrap();
    let expected = local.query_one::<User>("SELECT id FROM user", ()).unwrap_err();
    assert_eq!(error.to_string(), expected.to_string());
    let error = remote.query_one::<i64>("SELECT name FROM user", ()).unwrap_err();
    let expected = local.query_one::<i64>("SELECT name FROM user", ()).unwrap_err();
    assert_eq!(error.to_string(), expected.to_string());
    assert!(!error.to_string().contains("Ada"), "{error}");
}

/// The client of go-dqlite reads what this one has written.
fn the_command_agrees(nodes: &Nodes, remote: &Connection) {
    let servers = nodes.addresses().join(",");
    let output = Command::new("dqlite").args(["-s", &servers, "differential"]).arg("SELECT count(*) FROM v").output();
    let output = output.expect("the command `dqlite`, of the same package as the nodes");
    let expected: i64 = remote.query_one("SELECT count(*) FROM v", ()).unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(found.contains(&expected.to_string()), "{found}");
}

/// The driver opens a copy of the database, and finds the same.
fn dumped(nodes: &Nodes, local: &finalite::Connection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("copy.db");
    nodes.cluster().dump_to("differential", &path).unwrap();
    nodes.cluster().dump_to("differential", &path).unwrap_err();
    let copy = finalite::Connection::open(&path).unwrap();
    let all = "SELECT * FROM v ORDER BY id";
    let read = |row: finalite::Row<'_>| -> finalite::Result<Vec<Value>> {
        (0..row.column_count()).map(|column| row.get(column)).collect()
    };
    let rows = |conn: &finalite::Connection| -> Vec<Vec<Value>> {
        conn.prepare(all).unwrap().query_map((), read).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert!(rows(&copy) == rows(local));
    assert_eq!(copy.query_one::<String>("PRAGMA integrity_check", ()).unwrap(), "ok");
}

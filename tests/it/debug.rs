//! `Debug` of handles and of what is made of them: the type's name, and no stored or bound value.

use std::fmt::Debug;

use finalite::data::{Access, Backup, Migration, Migrations};
use finalite::extend::{FunctionOptions, aggregate};
use finalite::insert::{InsertColumn, InsertOptions};
use finalite::pool::Pool;
use finalite::vfs::Memory;
use finalite::{Connection, Limit, OpenOptions};

const SECRET: &str = "a stored secret";

/// The text, which begins with this name.
#[track_caller]
fn shown(value: impl Debug, name: &str) -> String {
    let text = format!("{value:?}");
    assert!(text.starts_with(name) && !text.contains(SECRET), "{text}");
    text
}

fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t(a)").unwrap();
    conn.execute("INSERT INTO t VALUES (?)", (SECRET,)).unwrap();
    conn
}

#[test]
fn handles_are_shown_by_name() {
    let mut conn = open();
    shown(&conn, "Connection {");
    shown(conn.interrupt_handle(), "InterruptHandle");
    shown(conn.script("SELECT 1; SELECT 2"), "Script {");
    shown(conn.scoped_limit(Limit::SqlLength, 1000).unwrap(), "ScopedLimit {");
    shown(conn.prepare("SELECT a FROM t").unwrap(), "Statement {");
    let rows = shown(conn.prepare("SELECT a FROM t").unwrap().into_rows(()).unwrap(), "OwnedRows {");
    assert!(rows.contains("SELECT a FROM t"), "{rows}");
    shown(conn.blob(("t", "a", 1), Access::ReadOnly).unwrap(), "Blob {");
    shown(Backup::new(&conn, Connection::open_in_memory().unwrap()).unwrap(), "Backup {");
    shown(conn.serialize("main").unwrap(), "Serialized {");
    shown(conn.on_commit(|| ()).unwrap(), "Subscription {");
    let mut transaction = conn.transaction().unwrap();
    shown(&transaction, "Transaction {");
    let mut savepoint = transaction.savepoint().unwrap();
    shown(&savepoint, "Savepoint { depth: 0");
    shown(savepoint.savepoint().unwrap(), "Savepoint { depth: 1");
}

#[test]
fn pools_and_options_are_shown_by_name() {
    let builder = Pool::in_memory("shown").readers(1);
    shown(&builder, "PoolBuilder {");
    let pool = builder.build().unwrap();
    pool.writer().unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    shown(&pool, "Pool {");
    shown(pool.writer().unwrap(), "PooledConnection {");
    assert!(shown(pool.watch(["t"]).unwrap(), "Watch {").contains("\"t\""));
    shown(OpenOptions::new(), "OpenOptions {");
    shown(InsertOptions::new(), "InsertOptions {");
    assert_eq!(shown(InsertColumn::from(&[1, 2, 3]), "InsertColumn"), "InsertColumn(3 values)");
}

#[test]
fn migrations_are_shown_by_their_names() {
    let one = Migration::new("one", "CREATE TABLE secret(a)").down("DROP TABLE secret");
    let text = shown(Migrations::new([one, Migration::new("two", "SELECT 1")]), "[Migration { name: \"one\"");
    assert!(
        text.contains("name: \"two\"") && text.contains("has_down: true") && text.contains("has_down: false"),
        "{text}"
    );
}

#[test]
fn files_in_memory_are_shown_by_their_sizes() {
    let memory = Memory::new();
    assert_eq!(shown(&memory, "{"), "{}");
    memory.restore([("a.db".into(), SECRET.into())]).unwrap();
    assert_eq!(shown(&memory, "{"), format!("{{\"a.db\": {}}}", SECRET.len()));
}

#[test]
fn functions_are_shown_by_name() {
    let options = FunctionOptions::new();
    assert!(shown(options, "FunctionOptions {").contains("is_deterministic"), "{options:?}");
    shown(aggregate(|| 0, |sum: &mut i64, value: i64| *sum += value, |sum: i64| sum), "Aggregate");
    let conn = open();
    conn.create_scalar_function_with("shown", options.arguments(1), |call| {
        shown(call, "FunctionContext {");
        shown(call.connection(), "ReadConnection");
        Ok(1)
    })
    .unwrap();
    assert_eq!(conn.query_one::<i64>("SELECT shown(a) FROM t", ()).unwrap(), 1);
}

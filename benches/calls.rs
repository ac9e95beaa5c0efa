//! Single calls: a lookup, an insert, and the allocator that counts.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use finalite::{Connection, array};
use support::{ROWS, Table, c, database, sum_of_bytes};

fn lookups(criterion: &mut Criterion) {
    const SQL: &str = "SELECT s1, i1 FROM t WHERE id = ?";
    let (_dir, conn) = database();
    let keys = || (1..=1000).map(|n| n * 7919 % i64::from(ROWS) + 1);
    let sum_of = |(text, integer): (String, i64)| sum_of_bytes(text.as_bytes()).wrapping_add(integer.cast_unsigned());
    let mut table = Table::new(criterion, "1,000 lookups by primary key");
    let mut statement = c::Statement::prepare(&conn, SQL).unwrap();
    table
        .add("C, a kept statement", || keys().try_fold(0_u64, |sum, key| Ok(sum.wrapping_add(statement.lookup(key)?))));
    let mut kept = conn.prepare(SQL).unwrap();
    table.add("a kept statement", || {
        keys().try_fold(0_u64, |sum, key| Ok(sum.wrapping_add(kept.query_one((key,)).map(sum_of)?)))
    });
    table.add("query_one, cached", || {
        keys().try_fold(0_u64, |sum, key| Ok(sum.wrapping_add(conn.query_one(SQL, (key,)).map(sum_of)?)))
    });
    table.finish(1);
}

fn inserts(criterion: &mut Criterion) {
    const SQL: &str = "INSERT INTO sink VALUES (?, ?, ?)";
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE sink(a INTEGER, b TEXT, c REAL)").unwrap();
    let transaction = |work: &mut dyn FnMut(i64) -> finalite::Result<()>| {
        let tx = conn.unchecked_transaction()?;
        (0..1000).try_for_each(work)?;
        tx.rollback()?;
        Ok(1000)
    };
    let mut table = Table::new(criterion, "1,000 inserts in a transaction, rolled back");
    let mut statement = c::Statement::prepare(&conn, SQL).unwrap();
    table.add("C, a kept statement", || transaction(&mut |n| statement.insert(n, "some text of 24 letters.", 0.5)));
    let mut kept = conn.prepare(SQL).unwrap();
    table
        .add("a kept statement", || transaction(&mut |n| kept.execute((n, "some text of 24 letters.", 0.5)).map(drop)));
    table.add("execute, cached", || {
        transaction(&mut |n| conn.execute(SQL, (n, "some text of 24 letters.", 0.5)).map(drop))
    });
    table.finish(1);
}

/// 5,000 rows of 100,000 by their keys, in one statement.
fn lists(criterion: &mut Criterion) {
    let by_keys = |table: &str| format!("SELECT sum(i1) FROM t WHERE id IN (SELECT value FROM {table}(?))");
    let by_join = |table: &str| format!("SELECT sum(i1) FROM {table}(?) l JOIN t ON t.id = l.value");
    let by_itself = |table: &str| format!("SELECT sum(value) FROM {table}(?)");
    let (_dir, conn) = database();
    let ids: Vec<i64> = (1..=5000).map(|n| n * 7919 % i64::from(ROWS) + 1).collect();
    let sum = |sum: i64| sum.cast_unsigned();
    for (name, sql) in [
        ("5,000 values", &by_itself as &dyn Fn(&str) -> String),
        ("5,000 keys in IN", &by_keys),
        ("5,000 keys in a join", &by_join),
    ] {
        let (by_list, by_json) = (&sql("list"), &sql("json_each"));
        let mut table = Table::new(criterion, name);
        let mut kept = conn.prepare(by_json).unwrap();
        table.add("json_each, text made", || kept.query_one((format!("{ids:?}"),)).map(sum));
        let (text, mut kept) = (format!("{ids:?}"), conn.prepare(by_json).unwrap());
        table.add("json_each, text at hand", || kept.query_one((&text,)).map(sum));
        let mut kept = conn.prepare(by_list).unwrap();
        table.add("array, a kept statement", || kept.query_one((array(&ids),)).map(sum));
        table.add("array, cached", || conn.query_one(by_list, (array(&ids),)).map(sum));
        table.finish(2);
    }
}

/// Beside what it calls. Stock SQLite's own counting allocator cannot be in the same process: `benches/peers` has it, in
/// another (`--bin memory`).
fn memory(criterion: &mut Criterion) {
    drop(Connection::open_in_memory().unwrap());
    let mut table = Table::new(criterion, "10,000 blocks allocated and freed");
    table.add("malloc", || c::system_malloc_and_free(10_000));
    table.add("sqlite3_malloc, counted", || c::malloc_and_free(10_000));
    table.finish(1);
}

criterion_group!(benches, lookups, inserts, lists, memory);
criterion_main!(benches);

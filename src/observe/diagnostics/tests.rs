//! Tables whose rows cannot be made: a panic within a call of SQLite's.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

static BROKEN: Table =
    Table { name: c"broken", schema: c"CREATE TABLE x(a)", rows: || panic!("while the rows were made") };

static EMPTY: Table = Table { name: c"empty", schema: c"CREATE TABLE x(a)", rows: Vec::new };

fn open() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    for table in [&BROKEN, &EMPTY] {
        conn.db_mut().create_table(table).unwrap();
    }
    conn
}

fn panic_of(run: impl FnOnce()) -> Box<dyn Any + Send> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_err()
}

fn is_of_the_table(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref() == Some(&"while the rows were made")
}

#[test]
fn rule_5_a_panic_in_a_callback_is_caught_and_resumed_by_the_call_that_entered_sqlite() {
    let conn = open();
    let sql = "SELECT a FROM broken";
    let calls: [(&str, &dyn Fn()); 5] = [
        ("query_all", &|| drop(conn.query_all::<i64>(sql, ()))),
        ("execute", &|| drop(conn.execute(sql, ()))),
        ("execute_batch", &|| drop(conn.execute_batch("SELECT 1; SELECT a FROM broken"))),
        ("scan", &|| drop(conn.scan(sql, ()).for_each(|_| Ok::<_, crate::Error>(())))),
        ("rows that own their statement", &|| {
            drop(conn.prepare(sql).unwrap().into_rows(()).unwrap().next());
        }),
    ];
    for (call, run) in calls {
        assert!(is_of_the_table(&*panic_of(run)), "{call}");
        // Once, and the connection goes on.
        assert_eq!(conn.query_all::<i64>("SELECT a FROM empty", ()).unwrap(), [0_i64; 0], "after {call}");
        let error = conn.query_one::<i64>("SELECT abs(-9223372036854775808)", ()).unwrap_err();
        assert_eq!(error.kind().to_string(), "integer overflow", "after {call}");
    }
    conn.close().unwrap();
}

//! Functions and collations: registering, calling, and what they keep.

use std::cmp::Ordering;

use finalite::extend::{FunctionOptions, aggregate, deterministic, window};
use finalite::{Connection, OpenOptions, Result};

use super::Run::Alone;
use super::{Scenario, World};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "scalar functions",
        run: Alone(|world| {
            let conn = open(world)?;
            conn.create_scalar_function("plus", deterministic(|a: i64, b: Option<i64>| a + b.unwrap_or(0)))?;
            conn.create_scalar_function("twice", |text: &str| text.repeat(2))?;
            conn.create_scalar_function("blob", |bytes: i64| vec![7_u8; usize::try_from(bytes).unwrap_or(0)])?;
            let sql = "SELECT plus(a, 1), length(twice(b)), length(blob(5000)) FROM t WHERE a = 2";
            assert_eq!(conn.query_one::<(i64, i64, i64)>(sql, ())?, (3, 10, 5000));
            assert!(conn.remove_function("plus", Some(2))?);
            assert!(conn.prepare("SELECT plus(1, 2)").is_err());
            conn.remove_function("twice", Some(1))?;
            conn.remove_function("blob", Some(1))?;
            conn.close()
        }),
    },
    Scenario {
        name: "a function with auxiliary data that reads",
        run: Alone(|world| {
            let conn = open(world)?;
            let options = FunctionOptions::new().arguments(2).deterministic();
            conn.create_scalar_function_with("found", options, |call| {
                let key = call.auxiliary(0, || Ok(call.get::<i64>(0)?))?;
                let text: String = call.connection().query_one("SELECT b FROM t WHERE a = ?", (*key,))?;
                Ok(call.reply(format!("{text}{}", call.get::<i64>(1)?)))
            })?;
            let texts: Vec<String> = conn.query_all("SELECT found(2, column1) FROM (VALUES (1), (2))", ())?;
            assert_eq!(texts, ["grüße1", "grüße2"]);
            assert!(conn.remove_function("found", Some(2))?);
            conn.close()
        }),
    },
    Scenario {
        name: "aggregates and windows",
        run: Alone(|world| {
            let conn = open(world)?;
            let joined = aggregate(String::new, |all: &mut String, text: &str| all.push_str(text), |all: String| all);
            conn.create_aggregate_function("joined", joined)?;
            let sum =
                window(|| 0, |sum: &mut i64, n: i64| *sum += n, |sum: &mut i64, n: i64| *sum -= n, |sum: &i64| *sum);
            conn.create_window_function("sums", sum)?;
            let sql = "SELECT joined(column1) FROM (VALUES ('a'), ('b'), ('c')) GROUP BY column1 < 'c'";
            assert_eq!(conn.query_all::<String>(sql, ())?, ["c", "ab"]);
            let sql = "SELECT sums(column1) OVER (ROWS 1 PRECEDING) FROM (VALUES (1), (2), (3))";
            assert_eq!(conn.query_all::<i64>(sql, ())?, [1, 3, 5]);
            conn.remove_function("joined", Some(1))?;
            conn.remove_function("sums", Some(1))?;
            conn.close()
        }),
    },
    Scenario {
        name: "collations",
        run: Alone(|world| {
            let conn = open(world)?;
            fn reversed(a: &str, b: &str) -> Ordering {
                b.cmp(a)
            }
            conn.create_collation("reversed", reversed)?;
            conn.on_collation_needed(|name| (name == "supplied").then_some(reversed as fn(&str, &str) -> Ordering))?;
            let sorted = |conn: &Connection, collation: &str| -> Result<Vec<String>> {
                let sql = format!("SELECT column1 FROM (VALUES ('a'), ('b')) ORDER BY column1 COLLATE {collation}");
                conn.query_all(&sql, ())
            };
            assert_eq!(sorted(&conn, "reversed")?, ["b", "a"]);
            assert!(conn.remove_collation("reversed")? && conn.remove_collation_needed()?);
            conn.close()
        }),
    },
];

/// What is registered goes with its connection, also after an error.
fn open(world: &World) -> Result<Connection> {
    let conn = world.options(OpenOptions::new()).open_in_memory()?;
    conn.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'eins'), (2, 'grüße')")?;
    Ok(conn)
}

//! Functions, collations, hooks, deadlines, sessions: registering, calling, and what they keep.

use std::cmp;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(feature = "session")]
use finalite::data::{ConflictAction, Rebaser};
use finalite::extend::{
    Access, FunctionOptions, QueryLimits, TraceEvent, TraceEvents, aggregate, deterministic, window,
};
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
            fn reversed(a: &str, b: &str) -> cmp::Ordering {
                b.cmp(a)
            }
            conn.create_collation("reversed", reversed)?;
            conn.on_collation_needed(|name| {
                (name == "supplied").then_some(reversed as fn(&str, &str) -> cmp::Ordering)
            })?;
            let sorted = |conn: &Connection, collation: &str| -> Result<Vec<String>> {
                let sql = format!("SELECT column1 FROM (VALUES ('a'), ('b')) ORDER BY column1 COLLATE {collation}");
                conn.query_all(&sql, ())
            };
            assert_eq!(sorted(&conn, "reversed")?, ["b", "a"]);
            assert!(conn.remove_collation("reversed")? && conn.remove_collation_needed()?);
            conn.close()
        }),
    },
    Scenario {
        name: "hooks of each kind",
        run: Alone(|world| {
            let conn = open(world)?;
            let calls = Arc::new(AtomicUsize::new(0));
            let call = |calls: &Arc<AtomicUsize>| {
                let calls = Arc::clone(calls);
                move || _ = calls.fetch_add(1, Ordering::Relaxed)
            };
            let (update, commit, rollback) = (call(&calls), call(&calls), call(&calls));
            let subscriptions = [
                conn.on_update(move |update_of| {
                    assert!(!update_of.table.is_empty());
                    update();
                })?,
                conn.on_commit(commit)?,
                conn.on_rollback(rollback)?,
                conn.on_wal(|_| ())?,
                conn.on_autovacuum_pages(|event| event.free_pages)?,
                conn.on_progress(5, || ())?,
                // Without memory, the SQL is not expanded.
                conn.on_trace(TraceEvents::ALL, |event| {
                    if let TraceEvent::Statement { statement, .. } = event {
                        drop(statement.expanded_sql());
                    }
                })?,
                conn.set_authorizer(|_| Access::Allow)?,
                conn.set_busy_handler(|_| false)?,
            ];
            conn.execute_batch("CREATE TEMP TABLE x(a); BEGIN")?;
            conn.execute("INSERT INTO x VALUES (?), (2)", ("one",))?;
            conn.execute_batch("ROLLBACK")?;
            conn.execute("INSERT INTO x VALUES (3)", ())?;
            assert!(calls.load(Ordering::Relaxed) >= 4);
            drop(subscriptions);
            assert_eq!(Arc::strong_count(&calls), 1);
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM x", ())?, 1);
            conn.close()
        }),
    },
    Scenario {
        name: "deadlines and limits",
        run: Alone(|world| {
            let conn = open(world)?;
            let deadline = conn.deadline(Duration::from_secs(3_600))?;
            let limits = conn.limit_queries(QueryLimits::new().rows(10).steps(1_000_000))?;
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 2);
            drop((deadline, limits));
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 2);
            conn.close()
        }),
    },
    #[cfg(feature = "session")]
    Scenario {
        name: "a pre-update closure that reads",
        run: Alone(|world| {
            let conn = open(world)?;
            let failed = Arc::new(AtomicUsize::new(0));
            let subscription = {
                let failed = Arc::clone(&failed);
                conn.on_preupdate(move |change| {
                    for column in 0..change.column_count() {
                        for value in [change.old_value(column), change.new_value(column)] {
                            failed.fetch_add(usize::from(value.is_err()), Ordering::Relaxed);
                        }
                    }
                })?
            };
            conn.execute_batch("CREATE TEMP TABLE x(a, b)")?;
            // No zeroblob is inserted: SQLite crashes where it has no memory to expand it for the hook.
            conn.execute("INSERT INTO x VALUES (?, ?)", ("one", vec![7; 5_000]))?;
            conn.execute("UPDATE x SET a = zeroblob(3000), b = 'two'", ())?;
            conn.execute("DELETE FROM x", ())?;
            drop(subscription);
            conn.close()
        }),
    },
    #[cfg(feature = "session")]
    Scenario {
        name: "sessions and changesets",
        run: Alone(|world| {
            let (conn, other) = (open(world)?, Connection::open_in_memory()?);
            conn.execute_batch("ATTACH ':memory:' AS m")?;
            for (conn, database) in [(&conn, "m"), (&other, "main")] {
                conn.execute_batch(&format!("CREATE TABLE {database}.s(id INTEGER PRIMARY KEY, a, b)"))?;
            }
            let mut session = conn.session_of("m")?;
            session.attach("s")?;
            session.set_table_filter(|_| true)?;
            conn.execute("INSERT INTO m.s VALUES (1, 'one', hex(zeroblob(1500))), (2, 'two', NULL)", ())?;
            let first = session.changeset()?;
            conn.execute("UPDATE m.s SET a = 'uno' WHERE id = 1", ())?;
            conn.execute("DELETE FROM m.s WHERE id = 2", ())?;
            let (changeset, mut streamed) = (session.changeset()?, Vec::new());
            session.write_changeset(&mut streamed)?;
            assert_eq!(streamed, changeset.as_bytes());
            assert!(!session.patchset()?.is_empty());
            drop(session);
            let mut changes = changeset.changes()?;
            while let Some(change) = changes.next()? {
                for column in 0..change.column_count() {
                    change.new_value(column)?;
                }
            }
            drop(changes);
            other.apply_changeset(&first, |_| ConflictAction::Abort)?;
            other.apply_changeset(&first.invert()?, |_| ConflictAction::Abort)?;
            other.execute("INSERT INTO s VALUES (1, 'mine', 0)", ())?;
            let applied = other.apply_changeset(&changeset, |_| ConflictAction::Omit)?;
            assert_eq!(applied.conflicts(), 1);
            let mut rebaser = Rebaser::new()?;
            rebaser.add(&applied)?;
            rebaser.rebase(&first)?;
            assert!(!first.concat(&changeset.invert()?)?.to_sql(&other)?.is_empty());
            other.close()?;
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

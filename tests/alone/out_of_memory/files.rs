//! Operations that touch more than one file, or more of SQLite than tables: logs, spills, attached files, modules, scans.

use finalite::pool::Pool;
use finalite::scan::{Relation, ScanStrategy};
use finalite::{Connection, DropBehavior, Error, ErrorKind, OpenOptions, Result, ResultCode, TransactionBehavior};

use super::Place::{File, Memory};
use super::Run::{Alone, Exclusive, Shared, Writing, WritingInDrop};
use super::scenarios::store;
use super::{ROW, Scenario, World};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "open an untrusted file",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::untrusted().read_only(true)).open(world.path("data.db"))?;
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 3);
            conn.close()
        }),
    },
    Scenario {
        name: "schema",
        run: Shared(Memory, |conn| {
            let table = conn.schema().table("t")?.unwrap();
            assert_eq!((table.columns.len(), table.indexes.len()), (3, 1));
            assert_eq!(table.columns[0].collation.as_deref(), Some("BINARY"));
            assert!(conn.table_exists(None, "t")? && conn.column_exists(Some("main"), "t", "c")?);
            assert!(conn.schema().triggers()?.is_empty());
            Ok(())
        }),
    },
    Scenario {
        name: "query plan",
        run: Shared(File, |conn| {
            conn.query_plan("SELECT a FROM t WHERE b = ? ORDER BY c")?.assert_uses_index("t_b");
            Ok(())
        }),
    },
    Scenario {
        name: "write to a log, checkpoint",
        run: Alone(|world| {
            on_a_copy(world, "wal.db", |conn| {
                conn.execute("UPDATE t SET c = c", ())?;
                conn.set_pragma("wal_checkpoint", "truncate")
            })
        }),
    },
    Scenario {
        name: "a large transaction in a log",
        run: Alone(|world| {
            on_a_copy(world, "wal.db", |conn| {
                let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
                fill_much(&tx)?;
                tx.rollback()?;
                let tx = conn.transaction()?;
                fill_much(&tx)?;
                tx.commit()
            })
        }),
    },
    Scenario {
        name: "a log that is recovered",
        run: Alone(|world| on_a_copy(world, "log.db", |conn| counted(conn, 4))),
    },
    Scenario {
        name: "a journal that is rolled back",
        run: Alone(|world| on_a_copy(world, "hot.db", |conn| counted(conn, 3))),
    },
    Scenario {
        name: "a transaction over two files",
        run: Alone(|world| {
            std::fs::copy(world.path("data.db"), world.path("second.db")).unwrap();
            let result = on_a_copy(world, "data.db", |conn| {
                conn.execute("ATTACH ? AS other", (world.path("second.db").to_str().unwrap(),))?;
                conn.execute_batch("BEGIN; UPDATE main.t SET c = a; UPDATE other.t SET c = a; COMMIT")
            });
            for suffix in ["", "-journal"] {
                std::fs::remove_file(world.path(&format!("second.db{suffix}"))).ok();
            }
            result
        }),
    },
    Scenario {
        name: "pages that are freed at the commit",
        run: Alone(|world| {
            on_a_copy(world, "data.db", |conn| {
                conn.execute_batch("PRAGMA auto_vacuum = full; VACUUM")?;
                let tx = conn.transaction()?;
                fill_much(&tx)?;
                tx.execute("DELETE FROM t WHERE a < 110", ())?;
                tx.commit()
            })
        }),
    },
    Scenario {
        name: "a journal in memory",
        run: Exclusive(File, |conn| {
            conn.set_pragma("journal_mode", "memory")?;
            let mut tx = conn.transaction()?;
            let savepoint = tx.savepoint()?;
            fill_much(&savepoint)?;
            savepoint.rollback()?;
            tx.rollback()?;
            conn.set_pragma("journal_mode", "delete")
        }),
    },
    Scenario {
        name: "a pool",
        run: Alone(|world| {
            std::fs::copy(world.path("wal.db"), world.path("pool.db")).unwrap();
            let options = world.options(OpenOptions::recommended().pragma("synchronous", "off"));
            let builder = Pool::builder(world.path("pool.db")).readers(2).options(options);
            let result = builder.build().and_then(|pool| {
                pool.write(|tx| store(tx))?;
                counted(&*pool.reader()?, 4)?;
                counted(&*pool.writer()?, 4)?;
                // Where closing fails, the report says so.
                let report = pool.close();
                assert!(report.is_clean() || cfg!(c_calls_wrapped), "{report}");
                Ok(())
            });
            for suffix in ["", "-wal", "-shm"] {
                std::fs::remove_file(world.path(&format!("pool.db{suffix}"))).ok();
            }
            result
        }),
    },
    Scenario {
        name: "to a log and back",
        run: Alone(|world| {
            on_a_copy(world, "data.db", |conn| {
                conn.set_pragma("journal_mode", "wal")?;
                conn.execute("DELETE FROM t", ())?;
                conn.set_pragma("journal_mode", "delete")
            })
        }),
    },
    Scenario {
        name: "a transaction that spills, rolled back",
        run: Exclusive(File, |conn| {
            conn.set_pragma("cache_size", 5)?;
            let tx = conn.transaction()?;
            fill_much(&tx)?;
            tx.rollback()
        }),
    },
    Scenario {
        name: "a sort and an index that spill to a temporary file",
        run: Shared(Memory, |conn| {
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
                       SELECT count(*) FROM (SELECT DISTINCT i, zeroblob(2000) AS z FROM n ORDER BY i % 7, z)";
            conn.set_pragma("cache_size", 5)?;
            assert_eq!(conn.query_one::<i64>(sql, ())?, 300);
            conn.set_pragma("cache_size", 100)
        }),
    },
    Scenario {
        name: "a temporary table in a file",
        run: Exclusive(File, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("CREATE TEMP TABLE x(a); INSERT INTO x SELECT b FROM t; CREATE INDEX temp.i ON x(a)")?;
            assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM temp.x", ())?, 3);
            tx.rollback()
        }),
    },
    Scenario {
        name: "attach, write to both, detach",
        run: Alone(|world| {
            on_a_copy(world, "data.db", |conn| {
                conn.execute("ATTACH ? AS other", (world.path("wal.db").to_str().unwrap(),))?;
                conn.execute_batch("BEGIN; UPDATE main.t SET c = c; SELECT b FROM other.t; COMMIT")?;
                conn.execute("DETACH other", ()).map(drop)
            })
        }),
    },
    Scenario {
        name: "vacuum into a file",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open(world.path("data.db"))?;
            let path = world.path("copy.db");
            let result = conn.execute("VACUUM INTO ?", (path.to_str().unwrap(),));
            std::fs::remove_file(path).ok();
            result?;
            conn.close()
        }),
    },
    Scenario { name: "vacuum", run: Shared(Memory, |conn| conn.execute("VACUUM", ()).map(drop)) },
    Scenario {
        name: "analyze, reindex, check",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("ANALYZE; REINDEX")?;
            assert_eq!(tx.query_one::<String>("PRAGMA integrity_check", ())?, "ok");
            tx.rollback()
        }),
    },
    Scenario {
        name: "altering a table",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("ALTER TABLE t ADD COLUMN d DEFAULT 'x'; ALTER TABLE t RENAME COLUMN b TO e")?;
            tx.execute_batch("ALTER TABLE t DROP COLUMN d; ALTER TABLE t RENAME TO u")?;
            assert_eq!(tx.query_one::<i64>("SELECT count(e) FROM u", ())?, 3);
            tx.rollback()
        }),
    },
    Scenario {
        name: "triggers and foreign keys",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch(
                "CREATE TABLE child(a REFERENCES t DEFERRABLE INITIALLY DEFERRED);
                 CREATE TRIGGER x AFTER INSERT ON child BEGIN UPDATE t SET b = b || NEW.a; END;
                 INSERT INTO child VALUES (1), (2);",
            )?;
            tx.rollback()
        }),
    },
    Scenario {
        name: "a search",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch(
                "CREATE VIRTUAL TABLE words USING fts5(word);
                 INSERT INTO words SELECT b FROM t;",
            )?;
            assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM words WHERE words MATCH 'gr*'", ())?, 2);
            tx.rollback()
        }),
    },
    Scenario {
        name: "an r-tree",
        run: Exclusive(File, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("CREATE VIRTUAL TABLE boxes USING rtree(id, low, high)")?;
            for n in 0..60 {
                tx.execute("INSERT INTO boxes VALUES (?, ?, ?)", (n, n, n + 1))?;
            }
            assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM boxes WHERE low >= 50", ())?, 10);
            tx.rollback()
        }),
    },
    Scenario {
        name: "JSON",
        run: Shared(Memory, |conn| {
            let sql = "SELECT json_group_array(json_object('a', a, 'b', json_extract(json_array(b), '$[0]'))) FROM t";
            assert!(conn.query_one::<String>(sql, ())?.contains("grüße"));
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM json_each('[1, [2, 3]]')", ())?, 2);
            Ok(())
        }),
    },
    Scenario {
        name: "a constraint that fails",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            must_be(tx.execute("INSERT INTO t SELECT a + 1, b, c FROM t", ()), ResultCode::CONSTRAINT)?;
            must_be(tx.execute("INSERT OR ROLLBACK INTO t VALUES (1, 2, 3)", ()), ResultCode::CONSTRAINT)?;
            tx.rollback()
        }),
    },
    Scenario {
        name: "rows that are dropped before their statement is done",
        run: Writing(File, |conn| {
            let tx = conn.transaction()?;
            let mut insert = tx.prepare("INSERT INTO t VALUES (?, ?, x'010203') RETURNING a")?;
            let mut rows = insert.query((ROW.0, ROW.1))?;
            assert!(rows.next()?.is_some());
            drop(rows);
            drop(insert);
            tx.commit()
        }),
    },
    Scenario {
        name: "rows that are ended by what others do in Drop",
        run: Shared(Memory, |conn| {
            let mut reading = conn.prepare("SELECT a FROM t ORDER BY a")?;
            let mut reading = reading.query(())?;
            assert!(reading.next()?.is_some());
            let mut update = conn.prepare("UPDATE t SET c = c WHERE a < 3 RETURNING b")?;
            let mut rows = update.query(())?;
            assert!(rows.next()?.is_some());
            drop(rows);
            assert!(reading.next()?.is_some());
            reading.finish()
        }),
    },
    Scenario {
        name: "errors that nobody looks at, within a savepoint",
        run: Exclusive(Memory, |conn| {
            let mut tx = conn.transaction()?;
            let mut savepoint = tx.savepoint()?;
            savepoint.set_drop_behavior(DropBehavior::Commit);
            fill_much(&savepoint).ok();
            drop(savepoint);
            tx.execute("DELETE FROM t", ()).ok();
            tx.rollback()
        }),
    },
    Scenario {
        name: "errors that nobody looks at, in a file",
        run: Exclusive(File, |conn| {
            conn.set_pragma("cache_size", 5)?;
            let mut tx = conn.transaction()?;
            let savepoint = tx.savepoint()?;
            fill_much(&savepoint).ok();
            let result = savepoint.rollback();
            tx.execute("UPDATE t SET c = zeroblob(5000)", ()).ok();
            tx.rollback()?;
            result
        }),
    },
    Scenario {
        name: "savepoints that are dropped",
        run: Exclusive(Memory, |conn| {
            let mut tx = conn.transaction()?;
            for _ in 0..3 {
                let savepoint = tx.savepoint()?;
                savepoint.execute("DELETE FROM t WHERE a = 1", ())?;
            }
            assert_eq!(tx.query_one::<i64>("SELECT count(*) FROM t", ())?, 3);
            tx.rollback()
        }),
    },
    Scenario {
        name: "savepoints that are forgotten",
        run: Writing(Memory, |conn| {
            let mut tx = conn.transaction()?;
            let savepoint = tx.savepoint()?;
            savepoint.execute("DELETE FROM t WHERE a = 1", ())?;
            std::mem::forget(savepoint);
            let savepoint = tx.savepoint_named("zwei")?;
            store(&savepoint)?;
            savepoint.commit()?;
            tx.commit()
        }),
    },
    Scenario {
        name: "a transaction that is committed when dropped, after a savepoint",
        run: WritingInDrop(Memory, |conn| {
            let mut tx = conn.transaction()?;
            tx.set_drop_behavior(DropBehavior::Commit);
            tx.savepoint()?.execute("DELETE FROM t", ())?;
            store(&tx)
        }),
    },
    Scenario {
        name: "pragmas that do not take",
        run: Shared(Memory, |conn| {
            for (name, known) in [("mmap_size", true), ("nowhere_pragma", false)] {
                let Err(error) = conn.set_pragma(name, 1) else { panic!("{name} has taken") };
                match error.kind() {
                    ErrorKind::Pragma { is_known, .. } => assert_eq!(*is_known, known, "{name}: {error}"),
                    _ => return Err(error),
                }
            }
            Ok(())
        }),
    },
    Scenario {
        name: "a scan by rows, batches and columns",
        run: Shared(File, |conn| {
            let mut rows = 0;
            conn.scan("SELECT a, b, c FROM t", ()).for_each(|row| {
                row.get::<String>(1)?;
                rows += 1;
                Ok::<_, Error>(())
            })?;
            assert_eq!(rows, 3);
            assert_eq!(conn.scan("SELECT a, b, c FROM t", ()).columns()?.len(), 3);
            assert_eq!(conn.scan_table("t").select(["a", "b"]).columns()?.len(), 3);
            Ok(())
        }),
    },
    Scenario {
        name: "a scan of pages",
        run: Alone(|world| {
            on_a_copy(world, "data.db", |conn| {
                fill_much(conn)?;
                for threads in 1..3 {
                    let scan =
                        conn.scan_table("t").select(["a", "b", "c"]).strategy(ScanStrategy::Pages).threads(threads);
                    assert_eq!(scan.columns()?.len(), 33);
                }
                let scan = conn.scan_table("t").select(["b"]).strategy(ScanStrategy::Pages);
                let mut rows = 0;
                scan.batches(10, |batch| {
                    rows += batch.len();
                    Ok::<_, Error>(())
                })?;
                assert_eq!(rows, 33);
                for threads in 1..3 {
                    let scan = conn.scan_table("t").select(["a", "c"]).filter("b", Relation::NotEqual, "nowhere");
                    assert_eq!(scan.strategy(ScanStrategy::Pages).threads(threads).columns()?.len(), 33);
                }
                conn.execute_batch(
                    "CREATE TABLE k(a PRIMARY KEY, b, c) WITHOUT ROWID; INSERT INTO k SELECT a, b, c FROM t;
                     CREATE INDEX t_b_c ON t(b, c)",
                )?;
                for sql in ["SELECT a, c FROM k", "SELECT b, a, c FROM t INDEXED BY t_b_c"] {
                    let mut rows = 0;
                    conn.scan(sql, ()).strategy(ScanStrategy::Pages).for_each(|_| {
                        rows += 1;
                        // The rest is read by another statement.
                        if rows == 2 { conn.execute("UPDATE t SET c = c WHERE a = 100", ()).map(drop) } else { Ok(()) }
                    })?;
                    assert_eq!(rows, 33);
                    assert_eq!(conn.scan(sql, ()).strategy(ScanStrategy::Pages).threads(2).columns()?.len(), 33);
                }
                Ok(())
            })
        }),
    },
    Scenario {
        name: "diagnostic tables",
        run: Alone(|world| {
            let mut conn = world.options(OpenOptions::new()).open_in_memory()?;
            conn.create_diagnostic_tables()?;
            assert!(conn.query_one::<i64>("SELECT count(*) FROM finalite_memory", ())? > 0);
            conn.close()
        }),
    },
    Scenario {
        name: "a scan in UTF-16",
        run: Shared(Memory, |conn| {
            assert_eq!(conn.scan("SELECT b, a FROM t ORDER BY b", ()).columns()?.len(), 3);
            Ok(())
        }),
    },
];

fn counted(conn: &Connection, rows: i64) -> Result<()> {
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, rows);
    Ok(())
}

/// Runs this on a copy of a file and of what is beside it, which are gone afterwards.
pub(super) fn on_a_copy(world: &World, name: &str, run: impl FnOnce(&mut Connection) -> Result<()>) -> Result<()> {
    const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];
    for suffix in BESIDE {
        let copied = std::fs::copy(world.path(&format!("{name}{suffix}")), world.path(&format!("copy.db{suffix}")));
        assert!(copied.is_ok() || !suffix.is_empty());
    }
    let options = world.options(OpenOptions::new().pragma("cache_size", 5).pragma("synchronous", "off"));
    let result = options.open(world.path("copy.db")).and_then(|mut conn| {
        run(&mut conn)?;
        conn.close()
    });
    for suffix in BESIDE {
        std::fs::remove_file(world.path(&format!("copy.db{suffix}"))).ok();
    }
    result
}

fn fill_much(conn: &Connection) -> Result<()> {
    for n in 100..130 {
        conn.execute("INSERT INTO t VALUES (?, 'viel', zeroblob(3000))", (n,))?;
    }
    Ok(())
}

/// The error that is there without a fault is what it should come to; any other is returned.
fn must_be<T>(result: Result<T>, code: ResultCode) -> Result<()> {
    match result {
        Ok(_) => panic!("it should fail"),
        Err(error) if error.code() == Some(code) => Ok(()),
        Err(error) => Err(error),
    }
}

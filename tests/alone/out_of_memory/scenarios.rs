//! Every public operation that can make SQLite allocate.

use finalite::insert::{InsertColumn, InsertOptions, InsertStrategy};
use finalite::{
    Connection, DropBehavior, FromRow, OpenOptions, Param, Params, Result, ResultCode, StatementKey,
    TransactionBehavior, Value, ValueRef, ZeroBlob, array, named_params, params_from_iter,
};

use super::Place::{File, Memory};
use super::Run::{Alone, Exclusive, Shared, Writing, WritingInDrop};
use super::{ROW, Scenario};

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "open in memory", run: Alone(|world| used(world.options(OpenOptions::new()).open_in_memory()?)) },
    Scenario { name: "open as the default", run: Alone(|_| used(Connection::open_in_memory()?)) },
    Scenario {
        name: "open a file",
        run: Alone(|world| read(world.options(OpenOptions::new()).open(world.path("data.db"))?)),
    },
    Scenario {
        name: "open a file for reading",
        run: Alone(|world| {
            let options = world.options(OpenOptions::new().read_only(true));
            let conn = options.open(world.path("data.db"))?;
            assert_eq!(conn.is_readonly("main"), Some(true));
            read(conn)
        }),
    },
    Scenario {
        name: "open a URI",
        run: Alone(|world| {
            let uri = format!("file:{}?mode=ro&cache=private", world.path("data.db").display());
            let conn = world.options(OpenOptions::new().uri(true)).open(uri)?;
            assert_eq!(conn.path().unwrap(), world.path("data.db").canonicalize().unwrap());
            read(conn)
        }),
    },
    Scenario {
        name: "open a new file",
        run: Alone(|world| {
            let path = world.path("new.db");
            let result = world.options(OpenOptions::new()).open(&path).and_then(used);
            std::fs::remove_file(path).ok();
            result
        }),
    },
    Scenario {
        name: "open a temporary file",
        run: Alone(|world| used(world.options(OpenOptions::new()).open_temporary()?)),
    },
    Scenario {
        name: "open as recommended, optimize at close",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::recommended()).open(world.path("wal.db"))?;
            assert_eq!(conn.pragma::<String>("journal_mode")?, "wal");
            read(conn)
        }),
    },
    Scenario {
        name: "open with pragmas and limits",
        run: Alone(|world| {
            let options = OpenOptions::new().pragma("cache_size", 100).pragma("temp_store", "memory");
            let options = options.double_quoted_strings(false).trusted_schema(false).statement_cache_limits(2, 10_000);
            let conn = world.options(options).open_in_memory()?;
            assert_eq!(conn.pragma::<i64>("cache_size")?, 100);
            assert_eq!(conn.pragma::<i64>("temp_store")?, 2);
            conn.close()
        }),
    },
    Scenario {
        name: "open with an init",
        run: Alone(|world| {
            let options = OpenOptions::new().init(|conn| conn.execute_batch("CREATE TEMP TABLE x(a)"));
            let conn = world.options(options).open(world.path("data.db"))?;
            assert_eq!(conn.execute("INSERT INTO x VALUES (1)", ())?, 1);
            read(conn)
        }),
    },
    Scenario {
        name: "open with an init that fails",
        run: Alone(|world| {
            let options = OpenOptions::new().init(|conn| conn.execute_batch("SELECT 1; SELECT nowhere"));
            must_fail(world.options(options).open(world.path("data.db")), ResultCode::ERROR)
        }),
    },
    Scenario {
        name: "open in a directory that is missing",
        run: Alone(|world| {
            let path = world.path("missing").join("data.db");
            must_fail(world.options(OpenOptions::new()).open(path), ResultCode::CANTOPEN)
        }),
    },
    Scenario {
        name: "open a directory",
        run: Alone(|world| must_fail(world.options(OpenOptions::new()).open(world.dir.path()), ResultCode::CANTOPEN)),
    },
    Scenario {
        name: "open what is no database",
        run: Alone(|world| {
            let options = OpenOptions::new().pragma("user_version", 1);
            must_fail(world.options(options).open(world.path("text.db")), ResultCode::NOTADB)
        }),
    },
    Scenario {
        name: "open by a VFS that is missing",
        run: Alone(|_| must_fail(OpenOptions::new().vfs("nowhere").open_in_memory(), ResultCode::ERROR)),
    },
    Scenario {
        name: "close, drop, close with a statement forgotten",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            conn.query_one::<i64>("SELECT 1", ())?;
            drop(conn);
            let conn = world.options(OpenOptions::new().optimize_on_close(true)).open_in_memory()?;
            conn.query_one::<i64>("SELECT 1", ())?;
            conn.close_or_return()?;
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            std::mem::forget(conn.prepare("SELECT 1")?);
            conn.close()
        }),
    },
    Scenario {
        name: "prepare and finalize",
        run: Shared(Memory, |conn| {
            let statement =
                conn.prepare("SELECT a, b || 'x' AS bx, length(c) FROM t WHERE a > ? AND b LIKE 'g%' ORDER BY bx")?;
            assert_eq!((statement.column_count(), statement.parameter_count()), (3, 1));
            assert!(statement.is_readonly() && !statement.is_explain());
            assert!(statement.memory().bytes > 0);
            statement.finalize()
        }),
    },
    Scenario {
        name: "prepare what is wrong",
        run: Shared(Memory, |conn| must_fail(conn.prepare("SELECT nowhere FROM t"), ResultCode::ERROR)),
    },
    Scenario {
        name: "prepare a join with views and subqueries",
        run: Shared(Memory, |conn| {
            let sql = "WITH x AS (SELECT a, count(*) AS n FROM t GROUP BY a)
                       SELECT t.a, n FROM t JOIN x USING (a) WHERE t.a IN (SELECT a FROM x WHERE n = 1)";
            assert_eq!(conn.prepare(sql)?.query_all::<(i64, i64)>(())?, [(1, 1), (2, 1), (3, 1)]);
            Ok(())
        }),
    },
    Scenario {
        name: "explain",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("EXPLAIN QUERY PLAN SELECT * FROM t WHERE b = 'x'")?;
            assert!(statement.is_explain());
            let detail = statement.query_row((), |row| row.get::<String>("detail"))?;
            assert!(detail.contains("t_b"), "{detail}");
            Ok(())
        }),
    },
    Scenario {
        name: "script",
        run: Shared(Memory, |conn| {
            let mut script = conn.script("SELECT 1; /* two */ SELECT 2; SELECT a FROM t ORDER BY b");
            let mut found = Vec::new();
            while let Some(mut statement) = script.next().transpose()? {
                found.extend(statement.query_all::<i64>(())?);
            }
            assert_eq!(found, [1, 2, 3, 2, 1]);
            assert_eq!(script.rest(), "");
            Ok(())
        }),
    },
    Scenario {
        name: "batch",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("CREATE TEMP TABLE x(a); INSERT INTO x VALUES (1), ('zwei'); /* */ UPDATE t SET b = ''")?;
            assert_eq!(tx.query_all::<Value>("SELECT a FROM x", ())?.len(), 2);
            tx.rollback()
        }),
    },
    Scenario {
        name: "columns, of a connection that has inserted none, and errors of theirs",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            conn.execute_batch("CREATE TABLE x(a UNIQUE, b)")?;
            let (numbers, texts) = ([1_i64, 2, 3], ["grüße", "", "x"]);
            let insert = |numbers: &[i64; 3]| {
                let columns = [("a", InsertColumn::from(numbers)), ("b", InsertColumn::from(&texts))];
                InsertOptions::new().strategy(InsertStrategy::Columns).insert_columns(&conn, "x", columns)
            };
            assert_eq!(insert(&numbers)?, 3);
            let error = insert(&[4, 5, 1]).unwrap_err();
            if !error.is_constraint() {
                return Err(error);
            }
            assert_eq!(error.row(), Some(2));
            let rows: Vec<(i64, String)> = conn.query_all("SELECT a, b FROM x", ())?;
            assert_eq!(rows, [(1, "grüße".into()), (2, "".into()), (3, "x".into())]);
            conn.close()
        }),
    },
    Scenario {
        name: "columns that are inserted",
        run: Writing(File, |conn| {
            let (a, b, c) = ([ROW.0], [ROW.1], ZeroBlob(ROW.2.cast_unsigned()));
            let columns = [("a", (&a).into()), ("b", (&b).into()), ("c", InsertColumn::from_values([c]))];
            InsertOptions::new().strategy(InsertStrategy::Columns).insert_columns(conn, "t", columns).map(drop)
        }),
    },
    Scenario {
        name: "lists, of a connection that has read none, and errors of theirs",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).pragma("encoding", "UTF-16").open_in_memory()?;
            let (ids, texts) = ([3, 1, 2], ["drei".to_owned(), "eins".to_owned()]);
            let sql = "SELECT value FROM list(?) ORDER BY value";
            assert_eq!(conn.query_all::<i64>(sql, (array(&ids),))?, [1, 2, 3]);
            assert_eq!(conn.query_all::<String>(sql, (array(&texts),))?, texts);
            let sql = "SELECT value, rowid FROM rarray(?) WHERE value NOT IN (SELECT value FROM list(?))";
            let rest = (array(vec![1, 2]), array(vec![2_i64]));
            assert_eq!(conn.query_one::<(i64, i64)>(sql, rest)?, (1, 1));
            must_fail(conn.query_one::<i64>("SELECT value FROM list(?)", (1,)), ResultCode::ERROR)?;
            must_fail(conn.prepare("SELECT value FROM list"), ResultCode::ERROR)?;
            must_fail(conn.query_one::<f64>("SELECT value FROM list(?)", (array(&[f64::NAN]),)), ResultCode::ERROR)
        }),
    },
    Scenario {
        name: "bind numbers and NULL",
        run: Shared(Memory, |conn| {
            let row: (Option<i64>, i64, u8, f64, bool) =
                conn.query_one("SELECT ?, ?, ?, ?, ?", (None::<i64>, i64::MIN, 7_u8, 1.5, true))?;
            assert_eq!(row, (None, i64::MIN, 7, 1.5, true));
            Ok(())
        }),
    },
    Scenario {
        name: "bind borrowed text",
        run: Shared(Memory, |conn| {
            assert_eq!(conn.query_one::<String>("SELECT ? || ?", ("grüße", " und mehr"))?, "grüße und mehr");
            Ok(())
        }),
    },
    Scenario {
        name: "bind owned text",
        run: Shared(Memory, |conn| {
            let text = "grüße ".repeat(50);
            let row: (String, i64) = conn.query_one("SELECT ?1, length(?2)", (text.clone(), text.clone()))?;
            assert_eq!(row, (text, 300));
            Ok(())
        }),
    },
    Scenario {
        name: "bind bytes",
        run: Shared(Memory, |conn| {
            let bytes = vec![7_u8; 300];
            let row: (Vec<u8>, Vec<u8>) = conn.query_one("SELECT ?, ?", (&bytes, bytes.clone()))?;
            assert_eq!(row, (bytes.clone(), bytes));
            Ok(())
        }),
    },
    Scenario {
        name: "bind a zeroblob",
        run: Shared(Memory, |conn| {
            let row: (i64, Vec<u8>) = conn.query_one("SELECT length(?1), ?1", [ZeroBlob(5000)])?;
            assert_eq!(row, (5000, vec![0; 5000]));
            Ok(())
        }),
    },
    Scenario {
        name: "bind by name",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT :text || @number, $bytes")?;
            assert_eq!(statement.parameter_name(2), Some("@number"));
            let bytes = vec![1_u8, 2];
            let params = named_params! { ":text": "grüße", "@number": 7, "$bytes": bytes };
            assert_eq!(statement.query_one::<(String, Vec<u8>)>(params)?, ("grüße7".to_owned(), vec![1, 2]));
            Ok(())
        }),
    },
    Scenario {
        name: "bind from an iterator and a slice",
        run: Shared(Memory, |conn| {
            let texts = ["a", "ä", "漢"];
            let sql = "SELECT ? || ? || ?";
            assert_eq!(conn.query_one::<String>(sql, params_from_iter(texts.iter()))?, "aä漢");
            assert_eq!(conn.query_one::<String>(sql, &texts)?, "aä漢");
            assert_eq!(conn.query_one::<String>(sql, texts.map(|text| Param::text(text.to_owned())))?, "aä漢");
            Ok(())
        }),
    },
    Scenario {
        name: "a sorter",
        run: Shared(Memory, |conn| {
            let sql = "SELECT x.a, y.b FROM t x, t y ORDER BY y.b DESC, x.b, x.a";
            let mut statement = conn.prepare(sql)?;
            let rows = statement.query_all::<(i64, String)>(())?;
            assert_eq!((rows.len(), rows[0].0, &*rows[8].1), (9, 3, "drei"));
            Ok(())
        }),
    },
    Scenario {
        name: "an automatic index",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT count(*) FROM t x JOIN t y ON x.c = y.c WHERE +x.a > 0")?;
            assert_eq!(statement.query_one::<i64>(())?, 2);
            assert!(statement.counters().autoindexes > 0);
            Ok(())
        }),
    },
    Scenario {
        name: "grouping, distinct and windows",
        run: Shared(Memory, |conn| {
            let sql = "SELECT DISTINCT length(b) % 2 AS odd, group_concat(b, ',') OVER (ORDER BY a) FROM t
                       UNION SELECT count(*), max(b) FROM t GROUP BY length(c)";
            assert_eq!(conn.query_all::<(i64, String)>(sql, ())?.len(), 6);
            Ok(())
        }),
    },
    Scenario {
        name: "statements of keys",
        run: Shared(File, |conn| {
            let key = conn.store("SELECT count(*) FROM t")?;
            let other: StatementKey<(i64,), i64> = StatementKey::new("SELECT a FROM t WHERE a = ?");
            assert_eq!(conn.statement(key)?.query_one::<i64>(())?, 3);
            assert_eq!(other.query_one(conn, (2,))?, 2);
            let mut first = conn.statement(other)?;
            let mut rows = first.query((1,))?;
            assert!(rows.next()?.is_some());
            assert_eq!(other.query_optional(conn, (4,))?, None);
            conn.clear_statement_cache();
            rows.finish()
        }),
    },
    Scenario {
        name: "a result as text",
        run: Shared(File, |conn| {
            let table = conn.query_table("SELECT * FROM t ORDER BY b", ())?;
            assert_eq!(table.to_string().lines().count(), 4);
            Ok(())
        }),
    },
    Scenario {
        name: "read text by row",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT b FROM t ORDER BY a")?;
            let mut rows = statement.query(())?;
            let mut all = String::new();
            while let Some(row) = rows.next()? {
                all.push_str(row.get::<&str>(0)?);
                assert!(all.ends_with(&row.get::<String>("b")?));
            }
            assert_eq!(all, "grüße und mehrgrüßedrei");
            rows.finish()
        }),
    },
    Scenario {
        name: "read on after a cell that failed",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT b, a FROM t ORDER BY a")?;
            let mut rows = statement.query(())?;
            let mut failed = None;
            while let Some(row) = rows.next()? {
                match row.get::<&str>(0) {
                    Ok(text) => assert!(!text.is_empty()),
                    Err(error) => failed = Some(error),
                }
                // The rest of the row is there.
                assert!(row.get::<i64>(1)? > 0);
            }
            failed.map_or(Ok(()), Err)
        }),
    },
    Scenario {
        name: "read values and bytes by row",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT b, c FROM t WHERE c IS NOT NULL ORDER BY a")?;
            let mut rows = statement.query(())?;
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                assert!(matches!(row.value(0)?, ValueRef::Text(text) if text.starts_with("grüße".as_bytes())));
                bytes += row.get::<&[u8]>(1)?.len();
                assert_eq!(row.column_name(1)?, "c");
            }
            assert_eq!(bytes, 3002);
            Ok(())
        }),
    },
    Scenario {
        name: "a zeroblob that is read",
        run: Shared(Memory, |conn| {
            let zeros = conn.query_row("SELECT zeroblob(50000)", (), |row| Ok(row.get::<&[u8]>(0)?.len()))?;
            assert_eq!(zeros, 50_000);
            Ok(())
        }),
    },
    Scenario {
        name: "rows that own their statement",
        run: Shared(Memory, |conn| {
            let mut rows = conn.prepare("SELECT b FROM t WHERE b > ? ORDER BY a")?.into_rows(("e",))?;
            assert_eq!(rows.next()?.unwrap().get::<&str>(0)?, "grüße und mehr");
            assert_eq!(rows.next()?.unwrap().get::<String>(0)?, "grüße");
            assert!(rows.next()?.is_none());
            rows.finish()
        }),
    },
    Scenario {
        name: "rows that are dropped halfway",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT b FROM t ORDER BY c, b")?;
            let mut rows = statement.query(())?;
            assert_eq!(rows.next()?.unwrap().get::<&str>(0)?, "drei");
            drop(rows);
            assert_eq!(statement.query(())?.next()?.unwrap().get::<&str>(0)?, "drei");
            Ok(())
        }),
    },
    Scenario {
        name: "rows as a type",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT a, b FROM t ORDER BY a")?;
            let rows = statement.query_as::<(i64, String)>(())?.collect::<Result<Vec<_>>>()?;
            assert_eq!(rows.len(), 3);
            assert_eq!(statement.query_all::<(i64, Value)>(())?.len(), 3);
            assert_eq!(conn.query_all::<(i64, String)>("SELECT a, b FROM t ORDER BY a", ())?, rows);
            Ok(())
        }),
    },
    Scenario {
        name: "rows as structs, after a schema change too",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("CREATE TABLE y(größe, b, x); INSERT INTO y VALUES (1, 'zwei', 3)")?;
            let mut statement = tx.prepare("SELECT * FROM y")?;
            let expected = Named { b: "zwei".into(), größe: 1 };
            assert_eq!(statement.query_one::<Named>(())?, expected);
            tx.execute_batch("ALTER TABLE y ADD COLUMN c; ALTER TABLE y DROP COLUMN x")?;
            assert_eq!(statement.query_one::<Named>(())?, expected);
            drop(statement);
            tx.rollback()
        }),
    },
    Scenario {
        name: "structs as parameters and as rows to insert",
        run: Exclusive(Memory, |conn| {
            let named = Named { b: "zwei".into(), größe: 1 };
            let tx = conn.transaction()?;
            tx.execute("CREATE TABLE y(größe PRIMARY KEY, b)", ())?;
            tx.insert_into("y", &named)?;
            tx.upsert("y", &["größe"], &named)?;
            let sql = "SELECT b, größe FROM y WHERE b = :b AND größe = :größe";
            assert_eq!(tx.query_one::<Named>(sql, &named)?, named);
            tx.rollback()
        }),
    },
    Scenario {
        name: "one row, or none",
        run: Shared(Memory, |conn| {
            let sql = "SELECT b FROM t WHERE a = ?";
            assert_eq!(conn.query_one::<String>(sql, (3,))?, "drei");
            assert_eq!(conn.query_optional::<String>(sql, (2,))?.as_deref(), Some("grüße"));
            assert_eq!(conn.query_optional::<String>(sql, (9,))?, None);
            assert_eq!(conn.query_row(sql, (1,), |row| Ok(row.get::<&str>(0)?.len()))?, 16);
            Ok(())
        }),
    },
    Scenario {
        name: "names and metadata",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT a AS one, b, length(c) AS größe FROM t WHERE a = :a")?;
            assert_eq!(statement.column_names()?.collect::<Vec<_>>(), ["one", "b", "größe"]);
            let columns = statement.columns()?;
            assert_eq!((columns[1].name(), columns[1].declared_type()), ("b", Some("TEXT")));
            assert_eq!((columns[1].database(), columns[1].table()), (Some("main"), Some("t")));
            assert_eq!((columns[0].declared_type(), columns[2].declared_type()), (Some("INTEGER"), None));
            let size = statement.column("GRÖßE".to_lowercase().as_str())?;
            assert_eq!(statement.query_row((1,), |row| row.get::<i64>(size))?, 2);
            Ok(())
        }),
    },
    Scenario {
        name: "a handle after a schema change",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute_batch("CREATE TABLE y(größe, b); INSERT INTO y VALUES (1, 2)")?;
            let mut statement = tx.prepare("SELECT * FROM y")?;
            let column = statement.column("b")?;
            assert_eq!(statement.query_row((), |row| row.get::<i64>(column))?, 2);
            tx.execute_batch("ALTER TABLE y ADD COLUMN c; ALTER TABLE y DROP COLUMN größe")?;
            assert_eq!(statement.query_row((), |row| row.get::<i64>(column))?, 2);
            assert_eq!(statement.column_names()?.collect::<Vec<_>>(), ["b", "c"]);
            drop(statement);
            tx.rollback()
        }),
    },
    Scenario {
        name: "expanded SQL",
        run: Shared(Memory, |conn| {
            let mut statement = conn.prepare("SELECT ?, :b, @c")?;
            let expanded = statement.expanded_sql((1, "it's", vec![1_u8]))?;
            assert_eq!(&*expanded, "SELECT 1, 'it''s', x'01'");
            let rows = statement.query((1, "grüße", None::<i64>))?;
            assert_eq!(&*rows.expanded_sql()?, "SELECT 1, 'grüße', NULL");
            Ok(())
        }),
    },
    Scenario {
        name: "the cache: insert, hit, evict, clear",
        run: Shared(Memory, |conn| {
            conn.clear_statement_cache();
            let hits = conn.statement_cache_stats().hits;
            for _ in 0..2 {
                conn.query_one::<i64>("SELECT count(*) FROM t", ())?;
            }
            assert_eq!(conn.statement_cache_stats().hits, hits + 1);
            conn.set_statement_cache_limits(1, 1 << 20);
            for n in 0..3 {
                assert_eq!(conn.query_one::<i64>(&format!("SELECT {n}"), ())?, n);
            }
            let out = conn.prepare_cached("SELECT 2")?;
            let mut other = conn.prepare_cached("SELECT 2")?;
            assert_eq!(other.query_one::<i64>(())?, 2);
            conn.set_statement_cache_limits(0, 0);
            drop(out);
            other.finalize()?;
            conn.set_statement_cache_limits(128, 8 << 20);
            Ok(())
        }),
    },
    Scenario {
        name: "transaction, rolled back",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            assert_eq!(tx.execute("INSERT INTO t(b, c) VALUES (?, x'00')", ("grüße aus der Transaktion",))?, 1);
            assert_eq!(tx.execute("UPDATE t SET b = b || 'x' WHERE a < 3", ())?, 2);
            tx.rollback()
        }),
    },
    Scenario {
        name: "transaction, dropped",
        run: Exclusive(File, |conn| {
            let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
            tx.execute("DELETE FROM t", ())?;
            Ok(())
        }),
    },
    Scenario {
        name: "transaction, committed",
        run: Writing(Memory, |conn| {
            let tx = conn.transaction()?;
            store(&tx)?;
            tx.commit()
        }),
    },
    Scenario {
        name: "transaction in a file, committed",
        run: Writing(File, |conn| {
            let tx = conn.transaction_with(TransactionBehavior::Immediate)?;
            store(&tx)?;
            tx.commit()
        }),
    },
    Scenario {
        name: "transaction, committed when dropped",
        run: WritingInDrop(File, |conn| {
            let mut tx = conn.transaction_with(TransactionBehavior::Exclusive)?;
            store(&tx)?;
            tx.set_drop_behavior(DropBehavior::Commit);
            Ok(())
        }),
    },
    Scenario {
        name: "commit, or the transaction back",
        run: Writing(Memory, |conn| {
            let tx = conn.transaction()?;
            store(&tx)?;
            match tx.commit_or_return() {
                Ok(()) => Ok(()),
                // Once more, if it is still there.
                Err(error) => error.into_transaction().commit(),
            }
        }),
    },
    Scenario {
        name: "savepoints",
        run: Writing(Memory, |conn| {
            let mut tx = conn.transaction()?;
            store(&tx)?;
            let mut outer = tx.savepoint_named("außen")?;
            outer.execute("DELETE FROM t WHERE a = 1", ())?;
            let inner = outer.savepoint()?;
            inner.execute("DELETE FROM t", ())?;
            inner.rollback()?;
            assert_eq!(outer.query_one::<i64>("SELECT count(*) FROM t", ())?, 3);
            let inner = outer.savepoint()?;
            inner.execute("UPDATE t SET c = NULL", ())?;
            inner.commit()?;
            outer.rollback()?;
            tx.commit()
        }),
    },
    Scenario {
        name: "savepoints in a file, dropped",
        run: Writing(File, |conn| {
            let mut tx = conn.transaction_with(TransactionBehavior::Immediate)?;
            let savepoint = tx.savepoint()?;
            savepoint.execute("DELETE FROM t", ())?;
            drop(savepoint);
            let mut savepoint = tx.savepoint()?;
            store(&savepoint)?;
            savepoint.set_drop_behavior(DropBehavior::Commit);
            drop(savepoint);
            tx.commit()
        }),
    },
    Scenario {
        name: "a transaction that was forgotten",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            tx.execute("DELETE FROM t", ())?;
            std::mem::forget(tx);
            assert_eq!(conn.transaction()?.query_one::<i64>("SELECT count(*) FROM t", ())?, 3);
            Ok(())
        }),
    },
    Scenario {
        name: "many runs of one statement",
        run: Exclusive(Memory, |conn| {
            let tx = conn.transaction()?;
            let mut insert = tx.prepare("INSERT INTO t(b, c) VALUES (?, ?)")?;
            let changed = insert.execute_many((0..5).map(|n| (format!("Zeile {n}"), vec![7_u8; 100])))?;
            assert_eq!(changed, 5);
            drop(insert);
            tx.rollback()
        }),
    },
    Scenario {
        name: "a write that returns rows",
        run: Writing(File, |conn| {
            let stored: String =
                conn.query_one("INSERT INTO t VALUES (?, ?, x'010203') RETURNING b", (ROW.0, ROW.1))?;
            assert_eq!(stored, ROW.1);
            assert_eq!((conn.last_insert_rowid(), conn.changes()), (ROW.0, 1));
            Ok(())
        }),
    },
    Scenario {
        name: "pages that are read from the file",
        run: Shared(File, |conn| {
            conn.release_memory()?;
            assert_eq!(conn.query_one::<i64>("SELECT sum(length(c)) FROM t", ())?, 3002);
            assert!(conn.release_memory()? > 0);
            Ok(())
        }),
    },
    Scenario {
        name: "pragmas",
        run: Shared(Memory, |conn| {
            conn.set_pragma("cache_size", 123)?;
            assert_eq!(conn.pragma::<i64>("cache_size")?, 123);
            assert!(conn.pragma::<String>("encoding")?.starts_with("UTF-16"));
            conn.set_pragma("main.user_version", 3)?;
            conn.set_pragma("temp_store", "memory")?;
            conn.set_pragma("shrink_memory", 1)
        }),
    },
    Scenario {
        name: "pragmas of a file",
        run: Shared(File, |conn| {
            conn.set_pragma("journal_mode", "truncate")?;
            conn.set_pragma("journal_mode", "delete")?;
            conn.set_pragma("user_version", 3)?;
            assert_eq!(conn.pragma::<i64>("user_version")?, 3);
            Ok(())
        }),
    },
    Scenario {
        name: "figures and small things",
        run: Shared(Memory, |conn| {
            let handle = conn.interrupt_handle();
            assert!(conn.memory().bytes > 0);
            assert!(handle.interrupt());
            conn.release_memory()?;
            conn.set_busy_timeout(std::time::Duration::from_secs(1))?;
            assert!(conn.is_autocommit() && conn.path().is_none());
            assert_eq!(conn.query_one::<i64>("SELECT 7", ())?, 7);
            Ok(())
        }),
    },
    Scenario {
        name: "batch with a transaction of its own",
        run: Writing(Memory, |conn| {
            conn.execute_batch(
                "BEGIN; INSERT INTO t VALUES (7, 'sieben', x'010203'); DELETE FROM t WHERE a > 7; COMMIT",
            )
        }),
    },
    Scenario {
        name: "batch in a file",
        run: Writing(File, |conn| {
            conn.execute_batch(
                "BEGIN; INSERT INTO t VALUES (7, 'sieben', x'010203'); DELETE FROM t WHERE a > 7; COMMIT",
            )
        }),
    },
];

#[derive(Debug, FromRow, Params, PartialEq)]
#[finalite(ignore_extra)]
struct Named {
    b: String,
    größe: i64,
}

fn used(conn: Connection) -> Result<()> {
    conn.execute("CREATE TABLE x(a)", ())?;
    assert_eq!(conn.execute("INSERT INTO x VALUES (1), ('zwei')", ())?, 2);
    assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM x", ())?, 2);
    conn.close()
}

fn read(conn: Connection) -> Result<()> {
    assert_eq!(conn.query_one::<String>("SELECT b FROM t WHERE a = 2", ())?, "grüße");
    conn.close()
}

pub fn store(conn: &Connection) -> Result<()> {
    assert_eq!(conn.execute("INSERT INTO t VALUES (?, ?, ?)", (ROW.0, ROW.1, vec![1_u8, 2, 3]))?, 1);
    Ok(())
}

/// The error that is there without a fault is what it should come to; any other is returned.
pub(super) fn must_fail<T>(result: Result<T>, code: ResultCode) -> Result<()> {
    match result {
        Ok(_) => panic!("it should fail"),
        Err(error) if error.code() == Some(code) => Ok(()),
        Err(error) => Err(error),
    }
}

//! Services of a connection: attached databases, checkpoints, properties of files, checks.

use finalite::data::{Migration, Migrations};
use finalite::vfs::{self, Memory as FilesInMemory};
use finalite::{CheckScope, CheckpointMode, Connection, DbConfig, Limit, OpenOptions, Result, ResultCode, sql};

use super::Place::{File, Memory};
use super::Run::{Alone, Exclusive, Shared};
use super::Scenario;
use super::files::on_a_copy;
use super::scenarios::must_fail;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "attach, read, detach",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            let attached = conn.attach(world.path("data.db"), "other")?;
            assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM other.t", ())?, 3);
            attached.detach()?;
            drop(conn.attach(":memory:", "dropped")?);
            conn.attach_uri("file:x?mode=memory", "kept")?.keep();
            conn.close()
        }),
    },
    Scenario {
        name: "migrations up, down, dry, and one that fails",
        run: Alone(|world| {
            let users =
                Migration::new("users", "CREATE TABLE users(id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1)");
            let posts = "CREATE TABLE posts(author REFERENCES users); INSERT INTO posts VALUES (1)";
            let list = Migrations::new([users, Migration::new("posts", posts).down("DROP TABLE posts")]);
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            assert_eq!(list.pending(&conn)?.len(), 2);
            list.dry_run(&conn)?;
            list.migrate(&conn)?;
            list.migrate_to(&conn, 1)?;
            assert!(conn.schema_snapshot()?.starts_with("CREATE TABLE users"));
            let broken = Migrations::new([users, Migration::new("broken", "INSERT INTO users VALUES (1)")]);
            let result = broken.migrate(&conn);
            // Whatever came of it, foreign keys are on again.
            assert!(conn.query_one::<bool>("PRAGMA foreign_keys", ()).is_ok_and(|is_on| is_on) || result.is_err());
            must_fail(result, ResultCode::CONSTRAINT)?;
            conn.close()
        }),
    },
    Scenario {
        name: "attach what cannot be opened",
        run: Shared(Memory, |conn| must_fail(conn.attach("/no/where/at/all", "x"), ResultCode::CANTOPEN)),
    },
    Scenario {
        name: "checkpoint a log, and its state",
        run: Alone(|world| {
            on_a_copy(world, "wal.db", |conn| {
                conn.execute("INSERT INTO t VALUES (7, 'sieben', NULL)", ())?;
                let log = conn.wal_status()?.unwrap();
                assert!(log.frames > 0 && log.pending_frames > 0, "{log:?}");
                assert!(conn.checkpoint(CheckpointMode::Passive)?.is_complete());
                assert_eq!(conn.checkpoint(CheckpointMode::Truncate)?.log_frames, Some(0));
                assert_eq!(conn.wal_status()?.map(|log| log.bytes), Some(0));
                Ok(())
            })
        }),
    },
    Scenario {
        name: "limits and switches",
        run: Shared(Memory, |conn| {
            let scope = conn.scoped_limit(Limit::Length, 1000)?;
            must_fail(conn.query_one::<Vec<u8>>("SELECT zeroblob(1001)", ()), ResultCode::TOOBIG)?;
            drop(scope);
            let before = conn.set_db_config(DbConfig::Defensive, true)?;
            conn.set_db_config(DbConfig::Defensive, before).map(drop)
        }),
    },
    Scenario {
        name: "properties of a file",
        run: Exclusive(File, |conn| {
            assert!(conn.vfs_name("main")?.is_some());
            conn.data_version("main")?;
            assert_eq!(conn.reserve_bytes("main")?, 0);
            conn.set_chunk_size("main", 0)?;
            assert!(!conn.persist_wal("main")?);
            conn.transaction_state(Some("main")).map(drop)
        }),
    },
    Scenario {
        name: "checks",
        run: Shared(File, |conn| {
            let problems = conn.integrity_check(CheckScope::All)?.chain(conn.quick_check(CheckScope::Table("t"))?);
            let problems = problems.collect::<Result<Vec<_>>>()?;
            assert!(problems.is_empty(), "{problems:?}");
            assert!(conn.foreign_key_check(None)?.collect::<Result<Vec<_>>>()?.is_empty());
            Ok(())
        }),
    },
    Scenario {
        name: "reset a database",
        run: Alone(|world| {
            on_a_copy(world, "data.db", |conn| {
                conn.reset_database()?;
                assert!(!conn.exists("SELECT 1 FROM sqlite_schema", ())?);
                Ok(())
            })
        }),
    },
    Scenario {
        name: "load an extension that is not there",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            must_fail(load(&conn, "/no/where/at/all"), ResultCode::ERROR)?;
            conn.close()
        }),
    },
    Scenario {
        name: "changed pages written before the commit",
        run: Exclusive(File, |conn| {
            let tx = conn.transaction()?;
            tx.execute("UPDATE t SET c = zeroblob(20000)", ())?;
            tx.flush_cache()?;
            tx.rollback()
        }),
    },
    Scenario {
        name: "a log that is checkpointed beside a closure",
        run: Alone(|world| {
            on_a_copy(world, "wal.db", |conn| {
                conn.set_pragma("wal_autocheckpoint", 1)?;
                let commits = conn.on_wal(|_| ())?;
                conn.execute("INSERT INTO t VALUES (7, 'sieben', NULL)", ())?;
                drop(commits);
                assert_eq!(conn.query_one::<i64>("SELECT count(*) FROM t", ())?, 4);
                Ok(())
            })
        }),
    },
    Scenario {
        name: "mathematical functions of text",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open_in_memory()?;
            conn.create_math_functions()?;
            let found: (f64, f64, f64) = conn.query_one("SELECT sqrt('16'), floor('2.5'), log('2', '8')", ())?;
            assert_eq!(found, (4.0, 2.0, 3.0));
            conn.close()
        }),
    },
    Scenario {
        name: "a file system of the program",
        run: Alone(|world| {
            let registration = vfs::register("of the program", FilesInMemory::new())?;
            let options = world.options(OpenOptions::new().vfs(registration.name()));
            let result = options.open("one.db").and_then(|conn| {
                conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")?;
                conn.close()
            });
            let unregistered = registration.unregister();
            if unregistered.is_err() {
                assert!(vfs::exists(registration.name()));
                registration.unregister()?;
            }
            result.and(unregistered)
        }),
    },
    Scenario {
        name: "complete statements",
        run: Shared(Memory, |_| {
            assert!(sql::complete("SELECT 1;"));
            Ok(())
        }),
    },
];

fn load(conn: &Connection, path: &str) -> Result<()> {
    // SAFETY: there is no such library.
    unsafe { conn.load_extension(path, None) }
}

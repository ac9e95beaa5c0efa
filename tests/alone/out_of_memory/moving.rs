//! Blobs, backups, databases as bytes.

use std::io::{Read, Write};
use std::sync::OnceLock;

use finalite::data::{Access, Backup};
use finalite::{Connection, OpenOptions, Result, ResultCode, ZeroBlob};

use super::Place::{File, Memory};
use super::Run::{Alone, Exclusive, Shared};
use super::Scenario;
use super::scenarios::must_fail;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "read blobs",
        run: Shared(File, |conn| {
            let mut blob = conn.blob(("t", "c", 2), Access::ReadOnly)?;
            let mut all = Vec::new();
            blob.read_to_end(&mut all)?;
            assert_eq!(all, [0; 3000]);
            blob.reopen(1)?;
            let mut bytes = [0; 2];
            blob.read_at(&mut bytes, 0)?;
            assert_eq!(bytes, [1, 2]);
            blob.close()
        }),
    },
    Scenario {
        name: "a blob that cannot be opened",
        run: Shared(Memory, |conn| must_fail(conn.blob(("t", "c", 3), Access::ReadOnly), ResultCode::ERROR)),
    },
    Scenario {
        name: "write a blob, which is rolled back",
        run: Exclusive(File, |conn| {
            let tx = conn.transaction()?;
            tx.execute("UPDATE t SET c = ? WHERE a = 3", (ZeroBlob(20_000),))?;
            let mut blob = tx.blob(("t", "c", 3), Access::ReadWrite)?;
            blob.write_all(&[7; 20_000])?;
            blob.close()?;
            assert_eq!(tx.query_one::<Vec<u8>>("SELECT c FROM t WHERE a = 3", ())?, [7; 20_000]);
            tx.rollback()
        }),
    },
    Scenario {
        name: "forget a blob",
        run: Alone(|world| {
            let conn = world.options(OpenOptions::new()).open(world.path("data.db"))?;
            std::mem::forget(conn.blob(("t", "c", 2), Access::ReadOnly)?);
            conn.close()
        }),
    },
    Scenario {
        name: "a backup in steps to memory",
        run: Alone(|world| {
            let source = world.options(OpenOptions::new()).open(world.path("data.db"))?;
            let mut backup = Backup::new(&source, world.options(OpenOptions::new()).open_in_memory()?)?;
            assert!(!backup.step(1)?.is_done);
            let copy = backup.finish()?;
            check_copy(&copy)?;
            copy.close()?;
            source.close()
        }),
    },
    Scenario {
        name: "a backup to a file",
        run: Alone(|world| {
            let source = world.options(OpenOptions::new()).open(world.path("wal.db"))?;
            let path = world.path("copy.db");
            let result = source.backup_to(&path, |_| {});
            let check = || check_copy(&OpenOptions::new().read_only(true).open(&path)?);
            let result = result.and_then(|()| check());
            std::fs::remove_file(&path).ok();
            std::fs::remove_file(world.path("copy.db-wal")).ok();
            std::fs::remove_file(world.path("copy.db-shm")).ok();
            std::fs::remove_file(world.path("copy.db-journal")).ok();
            result?;
            source.close()
        }),
    },
    Scenario {
        name: "a backup that is cancelled, and one that is forgotten",
        run: Alone(|world| {
            let source = world.options(OpenOptions::new()).open(world.path("data.db"))?;
            let mut backup = Backup::new(&source, world.options(OpenOptions::new()).open_in_memory()?)?;
            backup.step(2)?;
            let copy = backup.cancel()?;
            assert!(!copy.exists("SELECT 1 FROM sqlite_schema", ())?);
            let mut backup = Backup::new(&source, copy)?;
            backup.step(2)?;
            std::mem::forget(backup);
            source.close()
        }),
    },
    Scenario {
        name: "a copy without free pages",
        run: Alone(|world| {
            let source = world.options(OpenOptions::new()).open(world.path("data.db"))?;
            let path = world.path("vacuumed.db");
            let result = source.vacuum_into(&path).and_then(|()| check_copy(&Connection::open(&path)?));
            std::fs::remove_file(&path).ok();
            std::fs::remove_file(world.path("vacuumed.db-journal")).ok();
            result?;
            source.close()
        }),
    },
    Scenario {
        name: "serialize a file, and open the bytes",
        run: Alone(|world| {
            let source = world.options(OpenOptions::new().pragma("cache_size", 1)).open(world.path("data.db"))?;
            let bytes = source.serialize("main")?;
            source.close()?;
            // No page that could not be read for lack of memory is missing.
            let copy = Connection::deserialize(&bytes)?;
            check_copy(&copy)?;
            copy.execute("UPDATE t SET c = zeroblob(50000)", ())?;
            copy.close()
        }),
    },
    Scenario {
        name: "serialize memory with pages of zeros",
        run: Shared(Memory, |conn| {
            let bytes = conn.serialize("main")?;
            Connection::deserialize(&bytes)?.close()
        }),
    },
    Scenario {
        name: "open static bytes",
        run: Alone(|world| {
            static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
            let conn =
                Connection::deserialize_static(BYTES.get_or_init(|| std::fs::read(world.path("data.db")).unwrap()))?;
            check_copy(&conn)?;
            conn.close()
        }),
    },
];

fn check_copy(copy: &Connection) -> Result<()> {
    let numbers: (i64, i64) = copy.query_one("SELECT count(*), sum(length(c)) FROM t", ())?;
    assert_eq!(numbers, (3, 3002));
    Ok(())
}

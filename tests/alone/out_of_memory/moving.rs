//! Blobs.

use std::io::{Read, Write};

use finalite::data::Access;
use finalite::{OpenOptions, ResultCode, ZeroBlob};

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
];

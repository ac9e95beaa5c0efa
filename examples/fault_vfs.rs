//! Faults of files in a program's own test: a full disk, and a power cut, without a disk.
//!
//! ```text
//! cargo run --features fault-injection --example fault_vfs
//! ```

mod events;

use std::error::Error;

use finalite::faults::{self, Failure, Fault, Operation, PowerCut};
use finalite::vfs::{self, Memory};
use finalite::{Connection, OpenOptions, Result, ResultCode};

/// Part of the program that is tested.
fn book(conn: &mut Connection, cents: i64) -> Result<()> {
    let tx = conn.transaction()?;
    tx.execute("UPDATE account SET cents = cents - ?1 WHERE id = 1", (cents,))?;
    tx.execute("UPDATE account SET cents = cents + ?1 WHERE id = 2", (cents,))?;
    tx.execute("INSERT INTO receipt VALUES (?1, zeroblob(100000))", (cents,))?;
    tx.commit()
}

fn total(conn: &Connection) -> Result<i64> {
    conn.query_one("SELECT sum(cents) FROM account", ())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    events::warn_on_stderr();
    let faults = faults::Vfs::new(Memory::new());
    vfs::register("faulty", faults.clone())?;
    let mut conn = OpenOptions::recommended().vfs("faulty").pragma("synchronous", "full").open("bank.db")?;
    conn.execute_batch(
        "CREATE TABLE account(id INTEGER PRIMARY KEY, cents INTEGER NOT NULL); CREATE TABLE receipt(cents, form);
         INSERT INTO account VALUES (1, 1000), (2, 0)",
    )?;

    // Each write fails once: the booking is done, or it is not.
    let mut failed = 0;
    for n in 0.. {
        let armed = faults.arm(Fault::after(n, Operation::Write).failure(Failure::Full));
        let booked = book(&mut conn, 1);
        if armed.disarm() == 0 {
            break;
        }
        failed += 1;
        assert_eq!(booked.unwrap_err().code(), Some(ResultCode::FULL));
        assert_eq!(total(&conn)?, 1000);
    }
    println!("{failed} writes failed, and each error was reported");

    // The power fails: what was committed is there, whatever became of the rest.
    let disk = Memory::new();
    let registration = vfs::register("after", disk.clone())?;
    for seed in 0..20 {
        disk.restore(faults.image(PowerCut::Random(seed)))?;
        let conn = OpenOptions::new().vfs(registration.name()).open("bank.db")?;
        assert_eq!(conn.query_one::<String>("PRAGMA integrity_check", ())?, "ok");
        assert_eq!((total(&conn)?, conn.query_one::<i64>("SELECT count(*) FROM receipt", ())?), (1000, 1));
    }
    println!("20 power cuts, and nothing was lost");
    conn.close()?;
    Ok(())
}

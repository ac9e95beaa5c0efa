//! error[E0505]: savepoints are nested in their transaction
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let mut tx = conn.transaction()?;
    let savepoint = tx.savepoint()?;
    tx.commit()?; //~ fails
    savepoint.commit()?;
    Ok(())
}

//! error[E0596]: a transaction lends its connection shared, so that none begins within it
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let mut tx = conn.transaction()?;
    tx.transaction()?.commit()?; //~ fails
    tx.savepoint()?.commit()?; //~ passes
    tx.commit()?;
    Ok(())
}

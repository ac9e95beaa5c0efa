//! error[E0505]: a transaction borrows its connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = conn.transaction()?;
    conn.close()?; //~ fails
    tx.commit()?;
    Ok(())
}

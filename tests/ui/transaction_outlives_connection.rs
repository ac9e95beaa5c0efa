//! error[E0597]: a transaction borrows its connection
use finalite::{Connection, Result};

fn main() -> Result<()> {
    let mut conn = Connection::open_in_memory()?;
    let tx = {
        let mut conn = Connection::open_in_memory()?; //~ fails
        conn.transaction()?
    };
    tx.commit()?;
    Ok(())
}
